//! `macsec keygen`, run as a user runs it.

mod common;

use common::{CANNOT_RUN, macsec, stdout};
use serde_json::Value;

fn keys(arguments: &[&str]) -> Value {
    let output = macsec(&[&["keygen", "--json"], arguments].concat());
    assert!(output.status.success());
    serde_json::from_str(&stdout(&output)).expect("JSON")
}

fn octets(keys: &Value, name: &str) -> Vec<u8> {
    hex::decode(keys[name].as_str().expect("a text")).expect("hexadecimal digits")
}

#[test]
fn makes_all_keys_of_256_bits_by_default() {
    let keys = keys(&[]);
    for name in ["ckn", "cak", "sak"] {
        assert_eq!(octets(&keys, name).len(), 32, "{name}");
    }
    assert_ne!(keys["cak"], keys["sak"]);
}

#[test]
fn makes_the_one_asked_for() {
    for (kind, octets_expected) in [("cak", 16), ("sak", 16), ("ckn", 32)] {
        let keys = keys(&[kind, "--bits", "128"]);
        assert_eq!(keys.as_object().map(serde_json::Map::len), Some(1), "{keys}");
        assert_eq!(octets(&keys, kind).len(), octets_expected);
    }
}

#[test]
fn never_makes_the_same_twice() {
    let all: std::collections::HashSet<_> =
        (0..20).map(|_| octets(&keys(&["sak"]), "sak")).collect();
    assert_eq!(all.len(), 20);
}

#[test]
fn the_text_form_can_be_pasted_into_a_configuration() {
    let text = stdout(&macsec(&["keygen"]));
    let names: Vec<_> = text
        .lines()
        .map(|line| {
            let (name, value) = line.split_once(" = ").expect("name = value");
            let digits = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).expect("quoted");
            assert_eq!(hex::decode(digits).expect("hexadecimal digits").len(), 32);
            name.to_owned()
        })
        .collect();
    assert_eq!(names, ["ckn", "cak", "sak"]);
}

#[test]
fn other_sizes_are_refused() {
    let output = macsec(&["keygen", "--bits", "192"]);
    assert_eq!(output.status.code(), Some(CANNOT_RUN));
    assert!(output.stdout.is_empty());
}

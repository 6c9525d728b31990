//! `macsec keygen`, run as a user runs it.

mod common;

use std::{fs, os::unix::fs::PermissionsExt};

use common::{CANNOT_RUN, macsec, stderr, stdout};
use macsec::{CipherSuite, Ssci};
use macsec_gateway::config::{Config, PortConfig};
use mka::{Cak, KeyLength};
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

/// The lesser SCI and the greater one.
const SCIS: [&str; 2] = ["02-00-00-00-00-01-0001", "02-00-00-00-00-02-000a"];

fn fragments(suite: &str, scis: [&str; 2], more: &[&str]) -> [String; 2] {
    let arguments = ["keygen", "static", "--suite", suite, "--sci", scis[0], "--peer", scis[1]];
    let output = macsec(&[&arguments, more].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    let (a, b) = text.split_once("# end B").expect("two ends");
    assert!(a.starts_with("# end A"), "{a}");
    [a.to_owned(), format!("# end B{b}")]
}

/// What the port means that `fragment` is pasted into.
fn port(fragment: &str) -> PortConfig {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("macsec.toml");
    let text = format!("[[port]]\nname = \"wan0\"\nuplink = \"eth1\"\n{fragment}");
    fs::write(&file, text).expect("written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("ours");
    let checked = macsec(&["check", file.to_str().expect("UTF-8")]);
    assert_eq!(checked.status.code(), Some(0), "{}", stderr(&checked));
    Config::load(&file).expect("no fault").config.ports.remove(0)
}

#[test]
fn fragments_for_both_ends_pass_the_check_and_fit_each_other() {
    for suite in CipherSuite::ALL {
        for scis in [SCIS, [SCIS[1], SCIS[0]]] {
            let [a, b] = fragments(suite.name(), scis, &[]).map(|fragment| port(&fragment));
            assert_eq!((a.cipher_suite, b.cipher_suite), (suite, suite));
            let keys = [&a, &b].map(|port| port.static_keys.as_ref().expect("there"));
            assert!(keys.iter().all(|keys| keys.first_use && keys.peers.len() == 1));
            let [of_a, of_b] = keys;
            assert!(of_a.key == of_b.key);
            assert_eq!((a.sci, b.sci), (Some(of_b.peers[0].sci), Some(of_a.peers[0].sci)));
            assert_eq!((of_a.ssci, of_b.ssci), (of_b.peers[0].ssci, of_a.peers[0].ssci));
            // As MKA assigns them: the greatest SCI gets SSCI 1.
            let greater = if a.sci > b.sci { of_a } else { of_b };
            assert_eq!(greater.ssci, suite.is_xpn().then_some(Ssci(1)));
        }
    }
}

#[test]
fn fragments_are_for_xpn_with_256_bits_by_default() {
    let output = macsec(&["keygen", "static", "--sci", SCIS[0], "--peer", SCIS[1]]);
    assert!(stdout(&output).contains("cipher_suite = \"gcm-aes-xpn-256\""));
}

#[test]
fn a_fragment_says_what_to_do_with_first_use() {
    for fragment in fragments("gcm-aes-128", SCIS, &[]) {
        let comment = "# Remove this line after the first start: it hides the loss of PN marks.\n\
                       first_use = true\n";
        assert!(fragment.contains(comment), "{fragment}");
        assert!(fragment.lines().all(|line| line.len() <= 80), "{fragment}");
    }
}

#[test]
fn keys_can_be_written_to_files_of_their_own() {
    let directory = tempfile::tempdir().expect("a directory");
    // To be quoted.
    let keys = directory.path().join("a \"b\" \\c");
    fs::create_dir(&keys).expect("made");
    let path = keys.to_str().expect("UTF-8");
    let both = fragments("gcm-aes-xpn-256", SCIS, &["--write-keys", path]);
    let files: Vec<_> = fs::read_dir(&keys).expect("there").map(|f| f.expect("a file")).collect();
    let [file] = &files[..] else { panic!("one file: {files:?}") };
    assert_eq!(file.metadata().expect("there").permissions().mode() & 0o7777, 0o600);
    let text = fs::read_to_string(file.path()).expect("text");
    let sak = text.strip_suffix('\n').expect("a line");
    for fragment in both {
        assert!(!fragment.contains(sak) && !fragment.contains("sak = "), "{fragment}");
        let key = port(&fragment).static_keys.expect("there").key;
        assert_eq!(hex::encode(key.sak.expose_octets()), sak);
    }
}

#[test]
fn fragments_need_two_scis_and_a_directory_that_is_there() {
    let refusals: [(&[&str], &str); 5] = [
        (&["--sci", SCIS[0]], "--peer"),
        (&["--peer", SCIS[0]], "--sci"),
        (&["--sci", SCIS[0], "--peer", "02"], "SCI: expected aa-bb-cc-dd-ee-ff-pppp"),
        (
            &["--sci", SCIS[0], "--peer", "0200000000010001"],
            "macsec keygen static: --peer: must differ from --sci, else both ends use the same nonces\n",
        ),
        (
            &["--sci", SCIS[0], "--peer", SCIS[1], "--write-keys", "/nonexistent"],
            "macsec keygen static: --write-keys /nonexistent: No such file or directory (os error 2)\n",
        ),
    ];
    for (arguments, reason) in refusals {
        let output = macsec(&[&["keygen", "static"], arguments].concat());
        assert_eq!(output.status.code(), Some(CANNOT_RUN));
        assert!(output.stdout.is_empty());
        assert!(stderr(&output).contains(reason), "{}", stderr(&output));
    }
}

/// The fragments for both ends, from `keygen mka`.
fn mka_fragments(arguments: &[&str]) -> [String; 2] {
    let output = macsec(&[&["keygen", "mka"], arguments].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    let (a, b) = text.split_once("\n# end B").expect("two ends");
    assert!(a.starts_with("# end A"), "{a}");
    [a.to_owned(), format!("# end B{b}")]
}

#[test]
fn fragments_for_mka_pass_the_check_and_fit_each_other() {
    let fragments = mka_fragments(&[]);
    let [a, b] = fragments.each_ref().map(|fragment| port(fragment).mka.expect("there"));
    assert!(a.keys == b.keys && a.suites == b.suites);
    assert_eq!(a.keys[0].ckn.octets().len(), 16);
    assert_eq!(a.keys[0].cak.length(), KeyLength::Bits256);
    assert_eq!(a.suites.as_slice(), [CipherSuite::GcmAesXpn256]);
    // One of them makes the SAKs, whatever their addresses.
    assert_eq!((a.priority, b.priority), (16, 32));
    for fragment in &fragments {
        let [cak] = &fragment.lines().filter(|l| l.starts_with("cak")).collect::<Vec<_>>()[..]
        else {
            panic!("one CAK: {fragment}")
        };
        assert_eq!(cak.len(), "cak = \"\"".len() + 64);
    }
    let other = port(&mka_fragments(&[])[0]).mka.expect("there");
    assert!(
        other.keys[0].ckn != a.keys[0].ckn && !other.has_cak_of(&a.keys[0]),
        "never the same twice"
    );
}

#[test]
fn fragments_for_mka_are_as_asked_for() {
    let of = |arguments: &[&str]| port(&mka_fragments(arguments)[0]).mka.expect("there");
    let short = of(&["--bits", "128"]);
    assert_eq!(short.keys[0].cak.length(), KeyLength::Bits128);
    // No more bits than the CAK has.
    assert_eq!(short.suites.as_slice(), [CipherSuite::GcmAesXpn128]);
    for suite in CipherSuite::ALL {
        assert_eq!(of(&["--suite", suite.name()]).suites.as_slice(), [suite]);
    }
    for len in ["1", "5", "32"] {
        assert_eq!(of(&["--ckn-len", len]).keys[0].ckn.octets().len().to_string(), len);
    }
    assert_eq!(of(&["--ckn", "0aBc"]).keys[0].ckn.octets(), [0x0a, 0xbc]);
}

#[test]
fn a_cak_can_be_written_to_a_file_of_its_own() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().to_str().expect("UTF-8");
    let both = mka_fragments(&["--write-keys", path]);
    let files: Vec<_> =
        fs::read_dir(&directory).expect("there").map(|f| f.expect("a file")).collect();
    let [file] = &files[..] else { panic!("one file: {files:?}") };
    assert_eq!(file.metadata().expect("there").permissions().mode() & 0o7777, 0o600);
    let name = file.file_name().into_string().expect("UTF-8");
    assert!(name.starts_with("mka-") && name.ends_with(".cak"), "{name}");
    let text = fs::read_to_string(file.path()).expect("text");
    let cak = hex::decode(text.trim_end()).expect("hexadecimal digits");
    for fragment in both {
        assert!(!fragment.contains(text.trim_end()) && !fragment.contains("cak = "), "{fragment}");
        assert!(
            port(&fragment).mka.expect("there").keys[0].cak() == Cak::new(&cak).expect("a CAK")
        );
    }
}

#[test]
fn fragments_for_mka_are_refused_what_cannot_be() {
    let refusals: [(&[&str], &str); 7] = [
        (&["--bits", "192"], "must be 128 or 256"),
        (&["--suite", "aes"], "--suite"),
        (&["--ckn", "abc"], "--ckn"),
        (&["--ckn-len", "0"], "must be 1 to 32"),
        (&["--ckn-len", "33"], "must be 1 to 32"),
        (&["--ckn", "01", "--ckn-len", "2"], "cannot be used with"),
        (
            &["--write-keys", "/nonexistent"],
            "macsec keygen mka: --write-keys /nonexistent: No such file or directory (os error 2)\n",
        ),
    ];
    for (arguments, reason) in refusals {
        let output = macsec(&[&["keygen", "mka"], arguments].concat());
        assert_eq!(output.status.code(), Some(CANNOT_RUN));
        assert!(output.stdout.is_empty());
        assert!(stderr(&output).contains(reason), "{}", stderr(&output));
    }
}

#[test]
fn a_key_goes_to_a_new_file_of_its_owners() {
    use std::os::unix::fs::PermissionsExt;

    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("lab.sak");
    let path = path.to_str().expect("text");
    let output = macsec(&["keygen", "sak", "--bits", "128", "--out", path]);
    assert!(output.status.success() && stdout(&output).is_empty());
    let written = fs::read_to_string(path).expect("the key");
    assert_eq!(hex::decode(written.trim_end()).expect("hexadecimal digits").len(), 16);
    let mode = fs::metadata(path).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Not over a key that is there.
    let again = macsec(&["keygen", "sak", "--out", path]);
    assert_eq!(again.status.code(), Some(CANNOT_RUN));
    assert_eq!(fs::read_to_string(path).expect("the key"), written);
    for kind in ["all", "ckn"] {
        let output = macsec(&["keygen", kind, "--out", "/nonexistent/key"]);
        assert_eq!(output.status.code(), Some(CANNOT_RUN));
        assert!(stderr(&output).contains("cak or sak"), "{}", stderr(&output));
    }
}

//! Keys are read from files that are nobody else's, and are shown to nobody.

use std::os::unix::fs::{chown, symlink};

use super::*;
use crate::common::skip;

const LINE: &str = ":6: port.wan0.static_keys.sak_file = \"key\": a key file that";

fn with_key_file(place: &Place) -> Result<Loaded, Vec<String>> {
    place.load(keyed(&format!("sak_file = \"key\"\n{PEER}")))
}

#[test]
fn a_key_file_that_others_can_read_or_write_is_refused() {
    let place = Place::new();
    for mode in [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o777] {
        let path = place.write("key", SAK_128, mode);
        let faults = with_key_file(&place).expect_err("exposed");
        let path = path.display();
        let rule = format!("must be readable by its owner only: chmod 600 {path}");
        assert_eq!(faults, [format!("{LINE} {rule}")], "{mode:o}");
    }
    for mode in [0o600, 0o400, 0o700] {
        place.write("key", SAK_128, mode);
        with_key_file(&place).expect("private");
    }
}

#[test]
fn a_key_file_of_another_user_is_refused() {
    let place = Place::new();
    let path = place.write("key", SAK_128, 0o600);
    if !rustix::process::geteuid().is_root() || chown(&path, Some(4711), None).is_err() {
        skip("only root can give a file away");
        return;
    }
    let faults = with_key_file(&place).expect_err("another's");
    let path = path.display();
    let rule = format!("must be owned by root or user 0: chown, then chmod 600 {path}");
    assert_eq!(faults, [format!("{LINE} {rule}")]);
}

#[test]
fn what_counts_is_the_file_behind_a_link() {
    let place = Place::new();
    let file = place.write("behind", SAK_128, 0o644);
    symlink(&file, place.path("key")).expect("a link");
    let faults = with_key_file(&place).expect_err("exposed");
    assert!(faults[0].contains("readable by its owner only"), "{faults:?}");
    place.write("behind", SAK_128, 0o600);
    with_key_file(&place).expect("private");
}

#[test]
fn only_a_regular_file_holds_a_key() {
    let place = Place::new();
    fs::create_dir(place.path("key")).expect("made");
    let rule = format!("{LINE} must be a regular file");
    assert_eq!(with_key_file(&place).expect_err("a directory"), [rule.as_str()]);
    fs::remove_dir(place.path("key")).expect("empty");
    // Nobody writes to it: whoever waits, waits for ever.
    let fifo = place.path("key");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .expect("a FIFO");
    assert_eq!(with_key_file(&place).expect_err("a FIFO"), [rule.as_str()]);
}

#[test]
fn a_key_file_has_a_key_and_nothing_else() {
    let place = Place::new();
    let rule = "32 hexadecimal digits for gcm-aes-128";
    let at = ":6: port.wan0.static_keys.sak_file = \"key\":";
    let cases = [
        (String::new(), format!("{at} {rule}, and nothing but white space around them")),
        (
            format!("sak = {SAK_128}"),
            format!("{at} {rule}, and nothing but white space around them"),
        ),
        (
            format!("{SAK_128}\n{SAK_128}"),
            format!("{at} {rule}, and nothing but white space around them"),
        ),
        (SAK_128.repeat(4), format!("{at} {rule}: there are 128")),
        (" ".repeat(256), format!("{at} {rule}, and nothing but white space around them")),
        (" ".repeat(257), format!("{at} a key file that must have 256 octets at most")),
    ];
    for (text, expected) in cases {
        place.write("key", &text, 0o600);
        assert_eq!(with_key_file(&place).expect_err("no key"), [expected], "{text:?}");
    }
}

#[test]
fn a_file_with_a_key_in_it_is_refused_like_a_key_file() {
    let place = Place::new();
    let text = keyed(&format!("sak = \"{SAK_128}\"\n{PEER}"));
    let path = place.write("open.toml", &text, 0o644);
    let rule = "a file with a key in it must be readable by its owner only: chmod 600";
    assert_eq!(
        load(&path).expect_err("exposed"),
        [format!(":6: port.wan0.static_keys.sak = (hidden): {rule} {}", path.display())]
    );
    place.write("open.toml", &text, 0o600);
    load(&path).expect("private");
    // Without one, anybody may read it.
    load(&place.write("open.toml", keyed(&format!("sak_file = \"k128\"\n{PEER}")), 0o644))
        .expect("no key in it");
}

#[test]
fn no_fault_shows_a_key_wherever_it_stands() {
    let place = Place::new();
    place.write("key", format!("key: {SAK_256}"), 0o600);
    let spelled = [
        SAK_256.to_owned(),
        SAK_256.to_uppercase(),
        // As other tools print it.
        SAK_256.as_bytes().chunks(2).map(|two| format!("{}:", two.escape_ascii())).collect(),
        format!("0x{SAK_256}"),
    ];
    let keys = [
        "name",
        "uplink",
        "isolation",
        "tap",
        "mac",
        "mtu",
        "sci",
        "cipher_suite",
        "replay_window",
        "bypass_ethertypes",
        "validate_frames",
        "static_keys",
        "unknown",
        "sak",
        "psk",
    ];
    let static_keys =
        ["first_use", "an", "salt", "ssci", "sak_file", "sak_env", "sak", "peer", "sakk"];
    let mut texts = Vec::new();
    for spelled in &spelled {
        texts.push(format!("control_socket = '{spelled}'\nnamespace = '{spelled}'\n{}", port("")));
        texts.push(format!("'{spelled}' = 1\n['{spelled}s']\n{}", port("")));
        texts.extend(keys.map(|key| port(&format!("{key} = '{spelled}'"))));
        texts.extend(static_keys.map(|key| keyed(&format!("{key} = '{spelled}'"))));
        texts.extend(
            static_keys.map(|key| keyed(&format!("{key} = ['{spelled}', {{ a = '{spelled}' }}]"))),
        );
        texts.push(keyed(&format!("sak = \"{spelled}\\t\\u0020!\"")));
        texts.push(keyed(&format!("sak = {spelled}")));
        texts.push(keyed(&format!("sak = '{spelled}\n")));
        texts.push(keyed(&format!("{spelled}\n")));
        texts.push(keyed(&format!("peer = [{{ sci = '{spelled}', salt = '{spelled}' }}]")));
    }
    texts.push(keyed(&format!("sak_file = 'key'\n{PEER}")));
    // A number of as many digits.
    texts.push(keyed(&format!("sak = {}", "12345678".repeat(8))));
    texts.push(port(&format!("mtu = 0x{SAK_256}")));
    for text in texts {
        let faults = place.faults(&text);
        assert!(!faults.is_empty(), "{text}");
        for fault in faults {
            let digits: String = fault
                .chars()
                .filter(char::is_ascii_alphanumeric)
                .collect::<String>()
                .to_lowercase();
            for part in [&SAK_256[..12], &SAK_256[20..32], &SAK_256[52..], "1234567812"] {
                assert!(!digits.contains(part), "{text}\n{fault}");
            }
        }
    }
}

#[test]
fn debug_shows_no_key() {
    let place = Place::new();
    let loaded = place
        .load(keyed_xpn(&format!("sak_file = \"k256\"\nsalt = \"{SALT}\"\nssci = 1\n{PEER_XPN}")))
        .expect("no fault");
    let shown = format!("{loaded:?}");
    assert!(shown.contains("Sak(256 bits)"), "{shown}");
    let octets = hex::decode(SAK_256).expect("digits");
    for secret in [&SAK_256[..16], &SALT[..16], &format!("{:?}", &octets[..4])[1..11]] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

//! `[port.mka]`: what it means, each rule broken once, and no CAK shown.

use std::time::Duration;

use macsec::{CipherSuite, Confidentiality, ConfidentialityOffset, MacAddress, Sci};
use macsec_gateway::config::{KeyCheck, MkaConfig, Policy, PortConfig};
use mka::{Cak, Ckn, KeyLength, SetOrder};

use super::*;

/// A file with one port; the lines from 5 on are `lines`, within its MKA.
fn with_mka(lines: &str) -> String {
    port(&format!("[port.mka]\n{lines}"))
}

/// The same with what every such file needs, in lines 5 and 6.
fn complete(lines: &str) -> String {
    with_mka(&format!("ckn = \"6d6b61\"\ncak_file = \"k256\"\n{lines}"))
}

/// The same with lines of the port before its MKA, from 4 on.
fn complete_below(of_port: &str, lines: &str) -> String {
    port(&format!("{of_port}\n[port.mka]\nckn = \"6d6b61\"\ncak_file = \"k256\"\n{lines}"))
}

#[track_caller]
fn the_port(text: &str) -> PortConfig {
    Place::new().load(text).expect("no fault").config.ports.remove(0)
}

#[track_caller]
fn the_mka(text: &str) -> MkaConfig {
    the_port(text).mka.expect("there")
}

#[test]
fn defaults() {
    let port = the_port(&complete(""));
    assert_eq!(port.static_keys, None);
    assert_eq!(port.cipher_suite, CipherSuite::GcmAesXpn256);
    let mka = port.mka.expect("there");
    let [key] = &mka.keys[..] else { panic!("one key") };
    assert_eq!(key.ckn, Ckn::new(b"mka").expect("a CKN"));
    assert_eq!((key.start, key.end, key.fallback), (None, None, false));
    assert_eq!(key.cak(), Cak::new(&hex::decode(SAK_256).expect("digits")).expect("a CAK"));
    assert_eq!(key.cak.length(), KeyLength::Bits256);
    assert_eq!(mka.priority, 16);
    assert_eq!(mka.suites.as_slice(), [CipherSuite::GcmAesXpn256]);
    assert_eq!(mka.policy, Policy::MustSecure);
    assert_eq!((mka.rekey_interval, mka.rekey_on_peer_loss), (None, false));
    assert_eq!(mka.destination, MacAddress([0x01, 0x80, 0xc2, 0, 0, 3]));
    assert_eq!(mka.ethertype, 0x888e);
    assert_eq!(mka.hello_time, Duration::from_secs(2));
    assert_eq!((mka.delay_protect, mka.max_peers), (false, 4));
    assert_eq!((mka.version, mka.icv_indicator), (3, false));
    assert_eq!(mka.set_order, SetOrder::Ascending);
    assert_eq!(warnings(&complete("")), [""; 0]);
}

#[test]
fn everything_else_than_by_default() {
    let port = the_port(&complete_below(
        "confidentiality_offset = 30\nprotect_frames = false\nvalidate_frames = \"check\"\n\
         bypass_ethertypes = [0x88cc]",
        "key_server_priority = 0\ncipher_suites = [\"gcm-aes-256\", \"gcm-aes-xpn-128\"]\n\
         policy = \"should-secure\"\nrekey_interval = 3600\nrekey_on_peer_loss = true\n\
         destination = \"ff:ff:ff:ff:ff:ff\"\nethertype = 0x876f\nhello_time = 500\n\
         delay_protect = true\nmax_peers = 31\n\
         mka_version = 1\nicv_indicator = true\nset_order = \"standard\"",
    ));
    // The port is what the most wanted suite makes of it.
    assert_eq!(port.cipher_suite, CipherSuite::GcmAes256);
    assert_eq!(port.confidentiality, Confidentiality::Encrypt(ConfidentialityOffset::Thirty));
    assert!(!port.controls.protect_frames);
    let mka = port.mka.expect("there");
    assert_eq!(mka.priority, 0);
    let suites = [CipherSuite::GcmAes256, CipherSuite::GcmAesXpn128];
    assert_eq!(mka.suites.as_slice(), suites);
    assert_eq!(mka.policy, Policy::ShouldSecure);
    assert_eq!(mka.rekey_interval, Some(Duration::from_secs(3600)));
    assert!(mka.rekey_on_peer_loss);
    assert_eq!((mka.destination, mka.ethertype), (MacAddress([0xff; 6]), 0x876f));
    assert_eq!(mka.hello_time, Duration::from_millis(500));
    assert_eq!((mka.delay_protect, mka.max_peers), (true, 31));
    assert_eq!((mka.version, mka.icv_indicator), (1, true));
    assert_eq!(mka.set_order, SetOrder::Standard);
}

#[test]
fn a_ckn_is_octets() {
    for (text, octets) in [("00", &[0][..]), ("0000", &[0, 0]), ("aBCd", &[0xab, 0xcd])] {
        let mka = the_mka(&with_mka(&format!("ckn = \"{text}\"\ncak_file = \"k256\"")));
        assert_eq!(mka.keys[0].ckn.octets(), octets);
    }
    let longest = "5a".repeat(32);
    let mka = the_mka(&with_mka(&format!("ckn = \"{longest}\"\ncak_file = \"k256\"")));
    assert_eq!(mka.keys[0].ckn.octets(), [0x5a; 32]);
}

#[test]
fn limits_are_within() {
    for (seconds, interval) in [(0, None), (30, Some(30)), (2_592_000, Some(2_592_000))] {
        let mka = the_mka(&complete(&format!("rekey_interval = {seconds}")));
        assert_eq!(mka.rekey_interval, interval.map(Duration::from_secs));
    }
    let mka = the_mka(&complete("hello_time = 60_000"));
    assert_eq!(mka.hello_time, Duration::from_secs(60));
    assert_eq!(the_mka(&complete("ethertype = 0x0600")).ethertype, 0x0600);
    assert_eq!(the_mka(&complete("ethertype = 0xffff")).ethertype, 0xffff);
    for policy in ["must-secure", "should-secure"] {
        let mka = the_mka(&complete(&format!("policy = \"{policy}\"")));
        assert_eq!(mka.policy == Policy::ShouldSecure, policy == "should-secure");
    }
}

#[test]
fn delay_is_bounded_by_hellos() {
    let mka = the_mka(&complete("delay_protect = true"));
    assert_eq!((mka.delay_protect, mka.hello_time), (true, Duration::from_millis(500)));
    for hello_time in [501, 2000] {
        let rule = "500 with delay_protect: slower hellos cannot bound delay";
        check(
            complete(&format!("delay_protect = true\nhello_time = {hello_time}")),
            &[&format!(":8: port.wan0.mka.hello_time = {hello_time}: {rule}")],
        );
    }
    let port = the_port(&complete("delay_protect = true\nmax_peers = 7"));
    let mac = MacAddress([2, 0, 0, 0, 0, 1]);
    let config = port.kay_config(Sci::new(mac, 1), mac).expect("there").participant;
    assert_eq!((config.delay_protect, config.max_peers), (true, 7));
    assert_eq!(config.hello_time, Duration::from_millis(500));
}

#[test]
fn there_is_room_for_every_peer_and_for_those_that_replace_them() {
    for (peers, room) in [(1, 8), (4, 8), (5, 10), (31, 62)] {
        let port = the_port(&complete(&format!("max_peers = {peers}")));
        assert_eq!(port.room().peers, room);
    }
}

#[test]
fn the_suite_of_the_port_is_the_only_one_by_default() {
    for suite in CipherSuite::ALL {
        let port = the_port(&complete_below(&format!("cipher_suite = \"{suite}\""), ""));
        assert_eq!(port.cipher_suite, suite);
        assert_eq!(port.mka.expect("there").suites.as_slice(), [suite]);
    }
    let names = CipherSuite::ALL.map(|suite| format!("\"{suite}\"")).join(", ");
    let mka = the_mka(&complete(&format!("cipher_suites = [{names}]")));
    assert_eq!(mka.suites.as_slice(), CipherSuite::ALL);
}

#[test]
fn configurations_can_be_compared() {
    let text = complete("");
    assert_eq!(the_mka(&text), the_mka(&text));
    // From another place, but the same CAK.
    let inline = |cak: &str| with_mka(&format!("ckn = \"6D6b61\"\ncak = \"{cak}\""));
    assert_eq!(the_mka(&text), the_mka(&inline(SAK_256)));
    assert_ne!(the_mka(&text), the_mka(&inline(SAK_128)));
    assert_ne!(the_mka(&text), the_mka(&complete("key_server_priority = 17")));
    let check = hex::decode("0e01b164c708aa176a9fd5906cb4e021").expect("digits");
    let check = KeyCheck(check.try_into().expect("16"));
    assert_eq!(the_mka(&inline(SAK_128)).keys[0].cak.check, check);
}

#[test]
fn of_a_value_that_is_not_allowed() {
    const CKN: &str = "2 to 64 hexadecimal digits, an even number of them";
    const DESTINATION: &str = "a group address, as 01-80-c2-00-00-03: the first octet odd";
    const ETHERTYPE: &str = "0x0600 to 0xffff, but for 0x88e5 (MACsec), 0x8100 and 0x88a8 (VLAN), \
        and for bypass_ethertypes";
    let suites = "an array of \"gcm-aes-128\", \"gcm-aes-256\", \"gcm-aes-xpn-128\", \
                  \"gcm-aes-xpn-256\"";
    for (value, shown) in [
        ("1", "1"),
        ("\"\"", "\"\""),
        ("\"6d6\"", "\"6d6\""),
        ("\"mka1\"", "\"mka1\""),
        ("\"6d 6b\"", "\"6d 6b\""),
        ("\"+1\"", "\"+1\""),
        // It may be a CAK.
        (&format!("\"{}\"", "5a".repeat(33)), "(hidden)"),
    ] {
        let text = with_mka(&format!("ckn = {value}\ncak_file = \"k256\""));
        check(text, &[&format!(":5: port.wan0.mka.ckn = {shown}: {CKN}")]);
    }
    let cases = [
        ("key_server_priority = 256", "key_server_priority = 256: 0 to 255"),
        ("key_server_priority = -1", "key_server_priority = -1: 0 to 255"),
        ("cipher_suites = \"gcm-aes-128\"", &format!("cipher_suites = \"gcm-aes-128\": {suites}")),
        ("cipher_suites = []", &format!("cipher_suites = (an array): {suites}")),
        ("cipher_suites = [1]", &format!("cipher_suites = 1: {suites}")),
        ("cipher_suites = [\"gcm\"]", &format!("cipher_suites = \"gcm\": {suites}")),
        (
            "cipher_suites = [\"gcm-aes-128\", \"gcm-aes-128\"]",
            "cipher_suites = \"gcm-aes-128\": each only once",
        ),
        ("policy = \"must\"", "policy = \"must\": \"must-secure\", \"should-secure\""),
        ("rekey_interval = 29", "rekey_interval = 29: 0 or 30 to 2592000"),
        ("rekey_interval = 2592001", "rekey_interval = 2592001: 0 or 30 to 2592000"),
        ("rekey_on_peer_loss = 1", "rekey_on_peer_loss = 1: true or false"),
        (
            "destination = \"02:00:00:00:00:01\"",
            &format!("destination = \"02:00:00:00:00:01\": {DESTINATION}"),
        ),
        ("destination = \"01-80\"", &format!("destination = \"01-80\": {DESTINATION}")),
        ("ethertype = 0x05ff", &format!("ethertype = 0x05ff: {ETHERTYPE}")),
        ("ethertype = 0x10000", &format!("ethertype = 0x10000: {ETHERTYPE}")),
        ("ethertype = 0x88e5", &format!("ethertype = 0x88e5: {ETHERTYPE}")),
        ("ethertype = 0x8100", &format!("ethertype = 0x8100: {ETHERTYPE}")),
        ("ethertype = 0x88a8", &format!("ethertype = 0x88a8: {ETHERTYPE}")),
        ("hello_time = 499", "hello_time = 499: 500 to 60000"),
        ("hello_time = 60001", "hello_time = 60001: 500 to 60000"),
        ("delay_protect = 1", "delay_protect = 1: true or false"),
        ("max_peers = 0", "max_peers = 0: 1 to 31"),
        ("max_peers = 32", "max_peers = 32: 1 to 31"),
        ("mka_version = 0", "mka_version = 0: 1 to 3"),
        ("mka_version = 4", "mka_version = 4: 1 to 3"),
        ("icv_indicator = \"yes\"", "icv_indicator = \"yes\": true or false"),
        ("set_order = \"any\"", "set_order = \"any\": \"ascending\", \"standard\""),
        ("helo_time = 1", "helo_time = 1: unknown key: did you mean hello_time?"),
    ];
    for (line, expected) in cases {
        check(complete(line), &[&format!(":7: port.wan0.mka.{expected}")]);
    }
    let text = complete_below("bypass_ethertypes = [0x876f]", "ethertype = 0x876f");
    check(text, &[&format!(":8: port.wan0.mka.ethertype = 0x876f: {ETHERTYPE}")]);
    check(port("mka = 1"), &[":4: port.wan0.mka = 1: a table"]);
}

#[test]
fn of_what_is_required() {
    check(
        with_mka(""),
        &[
            ":4: port.wan0.mka.ckn = (missing): required: 2 to 64 hexadecimal digits, an even number \
             of them",
            ":4: port.wan0.mka.cak_file = (missing): required: one of cak_file, cak_env, cak",
        ],
    );
}

#[test]
fn of_what_is_given_for_a_cak() {
    let rule = "32 or 64 hexadecimal digits";
    let zeros = "random digits: they are all zero";
    let cases = [
        ("cak_file = 1".to_owned(), "cak_file = 1: the path of a file".to_owned()),
        (
            "cak_file = \"none\"".into(),
            "cak_file = \"none\": a key file that cannot be read: No such file or directory (os error 2)"
                .into(),
        ),
        (
            "cak_env = \"A=B\"".into(),
            "cak_env = \"A=B\": the name of an environment variable: letters, digits and '_'".into(),
        ),
        (
            "cak_env = \"MACSEC_TEST_NO_SUCH\"".into(),
            "cak_env = \"MACSEC_TEST_NO_SUCH\": a variable of the environment: there is none of this name"
                .into(),
        ),
        ("cak = 1".into(), "cak = (hidden): a text".into()),
        (format!("cak = '{}'", &SAK_128[1..]), format!("cak = (hidden): {rule}: there are 31")),
        (format!("cak = '{}'", "5a".repeat(24)), format!("cak = (hidden): {rule}: there are 48")),
        ("cak = 'x'".into(), format!("cak = (hidden): {rule}, and nothing but white space around them")),
        (format!("cak = '{}'", "00".repeat(16)), format!("cak = (hidden): {zeros}")),
        (format!("cak = '{}'", "00".repeat(32)), format!("cak = (hidden): {zeros}")),
    ];
    for (line, expected) in cases {
        let expected = format!(":6: port.wan0.mka.{expected}");
        check(with_mka(&format!("ckn = \"01\"\n{line}")), &[&expected]);
    }
    check(
        complete("cak_env = \"PATH\""),
        &[":7: port.wan0.mka.cak_env = \"PATH\": nothing beside port.wan0.mka.cak_file: one of \
           cak_file, cak_env, cak"],
    );
}

#[test]
fn of_a_cak_file_that_others_can_read() {
    let place = Place::new();
    let path = place.write("k256", SAK_256, 0o640);
    let rule = format!("must be readable by its owner only: chmod 600 {}", path.display());
    assert_eq!(
        place.faults(complete("")),
        [format!(":6: port.wan0.mka.cak_file = \"k256\": a key file that {rule}")]
    );
    let text = with_mka(&format!("ckn = \"01\"\ncak = \"{SAK_256}\""));
    let path = place.write("open.toml", text, 0o644);
    let rule = "a file with a key in it must be readable by its owner only: chmod 600";
    assert_eq!(
        load(&path).expect_err("exposed"),
        [format!(":6: port.wan0.mka.cak = (hidden): {rule} {}", path.display())]
    );
}

#[test]
fn of_a_cak_that_stands_where_anybody_sees_it() {
    check(
        with_mka(&format!("ckn = \"{SAK_256}\"\ncak_file = \"k256\"")),
        &[
            ":5: port.wan0.mka.ckn = (hidden): other digits than the CAK's: every MKPDU shows the CKN",
        ],
    );
}

#[test]
fn of_keys_of_the_port_that_do_not_go_with_it() {
    let cases = [
        (
            complete_below("protect_frames = false", ""),
            ":4: port.wan0.protect_frames = false: true with the MKA policy must-secure",
        ),
        (
            complete_below("validate_frames = \"check\"", "policy = \"must-secure\""),
            ":4: port.wan0.validate_frames = \"check\": \"strict\" with the MKA policy must-secure",
        ),
        (
            complete_below("cipher_suite = \"gcm-aes-128\"", "cipher_suites = [\"gcm-aes-128\"]"),
            ":8: port.wan0.mka.cipher_suites = (an array): nothing beside port.wan0.cipher_suite: \
             one suite, or a list",
        ),
        (
            complete_below(
                "confidentiality_offset = 30",
                "cipher_suites = [\"gcm-aes-xpn-128\", \"gcm-aes-128\"]",
            ),
            ":4: port.wan0.confidentiality_offset = 30: 0 with gcm-aes-xpn-128",
        ),
        (
            // Whichever suite the key server chooses.
            complete_below(
                "replay_window = 0x4000_0000",
                "cipher_suites = [\"gcm-aes-128\", \"gcm-aes-xpn-128\"]",
            ),
            ":4: port.wan0.replay_window = 0x40000000: 0 to 1073741823 with gcm-aes-xpn-128",
        ),
        (
            complete(&format!(
                "[port.static_keys]\nsak = '{SAK_128}{SAK_128}'\nsalt = '{SALT}'\nssci = 1\n{PEER_XPN}"
            )),
            ":7: port.wan0.static_keys = (a table): nothing beside port.wan0.mka: keys are agreed \
             upon or given",
        ),
    ];
    for (text, expected) in cases {
        check(text, &[expected]);
    }
    // One after another: the port has both faults.
    check(
        complete_below("protect_frames = false\nvalidate_frames = \"null\"", ""),
        &[
            ":4: port.wan0.protect_frames = false: true with the MKA policy must-secure",
            ":5: port.wan0.validate_frames = \"null\": \"strict\" with the MKA policy must-secure",
        ],
    );
}

#[test]
fn of_a_cak_that_is_a_sak_too() {
    let agreed = with_mka("ckn = \"01\"\ncak_file = \"k128\"")
        .replace("[port.mka]", "cipher_suite = \"gcm-aes-128\"\n[port.mka]");
    let given = keyed(&format!("sak_file = \"k128\"\n{PEER}"))
        .replace("wan0", "wan1")
        .replace("eth1", "eth2");
    check(
        format!("{agreed}{given}"),
        &[":13: port.wan1.static_keys.sak_file = \"k128\": a SAK of its own; \
           port.wan0.mka.cak_file has this (line 7)"],
    );
    check(
        format!("{given}{agreed}"),
        &[":14: port.wan0.mka.cak_file = \"k128\": a CAK of its own; \
           port.wan1.static_keys.sak_file has this (line 6)"],
    );
}

#[test]
fn what_should_not_stay_is_warned_about() {
    let cases = [
        (
            with_mka(&format!("ckn = \"01\"\ncak = \"{SAK_256}\"")),
            ":6: port.wan0.mka.cak: a key is better off in a file of its own: cak_file",
        ),
        (
            complete("key_server_priority = 255"),
            ":7: port.wan0.mka.key_server_priority: 255 is never: without an end that is less, \
             there is no key",
        ),
        (
            complete("policy = \"should-secure\""),
            ":7: port.wan0.mka.policy: must-secure, after the roll-out: whoever drops MKPDUs opens \
             this port",
        ),
        (
            with_mka("ckn = \"01\"\ncak_file = \"k128\""),
            ":6: port.wan0.mka.cak_file: 64 hexadecimal digits for gcm-aes-xpn-256: no SAK is safer \
             than the CAK that it travels under",
        ),
        (
            with_mka(
                "ckn = \"01\"\ncak_file = \"k128\"\n\
                 cipher_suites = [\"gcm-aes-128\", \"gcm-aes-256\"]",
            ),
            ":6: port.wan0.mka.cak_file: 64 hexadecimal digits for gcm-aes-256: no SAK is safer \
             than the CAK that it travels under",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(warnings(&text), [expected]);
    }
    let narrow = with_mka("ckn = \"01\"\ncak_file = \"k128\"\ncipher_suites = [\"gcm-aes-128\"]");
    assert_eq!(warnings(&narrow), [""; 0]);
}

/// Two ports, the second with `ckn` and `cak_file` of its own.
fn two_ports(ckn: &str, cak_file: &str) -> String {
    let port = |name, uplink, ckn: &str, cak_file: &str| {
        format!(
            "[[port]]\nname = \"{name}\"\nuplink = \"{uplink}\"\ncipher_suite = \"gcm-aes-128\"\n\
             [port.mka]\nckn = \"{ckn}\"\ncak_file = \"{cak_file}\"\n"
        )
    };
    port("wan0", "eth1", "01", "k128") + &port("wan1", "eth2", ckn, cak_file)
}

#[test]
fn a_name_for_two_caks_and_a_cak_of_two_names_are_warned_about() {
    assert_eq!(
        warnings(&two_ports("01", "k256")),
        [
            ":13: port.wan1.mka.ckn: a CKN of its own keeps mistakes apart; port.wan0.mka.ckn has this \
          (line 6), for another CAK"
        ]
    );
    assert_eq!(
        warnings(&two_ports("02", "k128")),
        [":14: port.wan1.mka.cak_file: a CAK of its own for each CKN; port.wan0.mka.cak_file \
          has this (line 7), under another CKN"]
    );
    // One CA, and two.
    assert_eq!(warnings(&two_ports("01", "k128")), [""; 0]);
    assert_eq!(warnings(&two_ports("02", "k256")), [""; 0]);
}

#[test]
fn no_fault_and_no_warning_shows_a_cak_wherever_it_stands() {
    let place = Place::new();
    place.write("key", format!("cak = {SAK_256}"), 0o600);
    let keys = [
        "ckn",
        "cak",
        "cak_file",
        "cak_env",
        "cakk",
        "policy",
        "destination",
        "ethertype",
        "hello_time",
        "set_order",
        "cipher_suites",
        "unknown",
    ];
    let mut texts =
        vec![with_mka("ckn = \"01\"\ncak_file = 'key'"), port(&format!("mka = '{SAK_256}'"))];
    for spelled in [SAK_256.to_owned(), SAK_256.to_uppercase(), format!("0x{SAK_256}")] {
        texts.extend(keys.map(|key| with_mka(&format!("{key} = '{spelled}'"))));
        texts.extend(keys.map(|key| with_mka(&format!("{key} = ['{spelled}']"))));
        texts.push(with_mka(&format!("cak = '{spelled}\n")));
        texts.push(with_mka(&format!("'{spelled}' = 1")));
    }
    for text in texts {
        let faults = place.faults(&text);
        assert!(!faults.is_empty(), "{text}");
        for fault in faults {
            let digits = fault.to_lowercase();
            for part in [&SAK_256[..12], &SAK_256[20..32], &SAK_256[52..]] {
                assert!(!digits.contains(part), "{text}\n{fault}");
            }
        }
    }
    let inline = with_mka(&format!("ckn = \"01\"\ncak = \"{SAK_256}\""));
    assert!(!warnings(&inline).concat().contains(&SAK_256[..12]));
}

#[test]
fn debug_shows_no_cak() {
    let shown = format!("{:?}", the_port(&complete("")));
    assert!(shown.contains("Cak(256 bits)") && shown.contains("Ckn(6d6b61)"), "{shown}");
    let octets = hex::decode(SAK_256).expect("digits");
    for secret in [&SAK_256[..16], &format!("{:?}", &octets[..4])[1..11]] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

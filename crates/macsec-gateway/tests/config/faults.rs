//! Each rule broken once, and the one line that says so.

use super::*;

const INTERFACE: &str = "an interface: 1 to 15 printable ASCII characters without '/', ':' and '%', \
    and not \".\", \"..\", \"all\" or \"default\"";
const ETHERTYPE: &str = "0x0600 to 0xffff, but for 0x888e (EAPOL), 0x88e5 (MACsec), 0x8100 and \
    0x88a8 (VLAN)";

#[test]
fn of_a_port() {
    let cases = [
        ("isolation = \"none\"", "isolation = \"none\": \"namespace\", \"filter\"".to_owned()),
        ("uplink_mtu = 255", "uplink_mtu = 255: 256 to 64978".into()),
        ("uplink_mtu = 65536", "uplink_mtu = 65536: 256 to 64978".into()),
        ("uplink_mtu = -1", "uplink_mtu = -1: 256 to 64978".into()),
        ("uplink_mtu = 1500.0", "uplink_mtu = 1500.0: 256 to 64978".into()),
        ("uplink_mtu = \"1500\"", "uplink_mtu = \"1500\": 256 to 64978".into()),
        ("promiscuous = 1", "promiscuous = 1: true or false".into()),
        ("tap = \"a/b\"", format!("tap = \"a/b\": {INTERFACE}")),
        ("tap = \"macsec%d\"", format!("tap = \"macsec%d\": {INTERFACE}")),
        ("tap = \"default\"", format!("tap = \"default\": {INTERFACE}")),
        ("tap = \"\"", format!("tap = \"\": {INTERFACE}")),
        ("tap = \"a\\nb\"", format!("tap = \"a\\nb\": {INTERFACE}")),
        (
            "mac = \"01:00:00:00:00:01\"",
            "mac = \"01:00:00:00:00:01\": the address of one station, as aa:bb:cc:dd:ee:ff: the \
             first octet even, not all zero"
                .into(),
        ),
        (
            "mac = \"00:00:00:00:00:00\"",
            "mac = \"00:00:00:00:00:00\": the address of one station, as aa:bb:cc:dd:ee:ff: the \
             first octet even, not all zero"
                .into(),
        ),
        ("mtu = 67", "mtu = 67: 68 to 65521".into()),
        ("mtu = 65522", "mtu = 65522: 68 to 65521".into()),
        ("inner_vlan_tags = 3", "inner_vlan_tags = 3: 0 to 2".into()),
        (
            "sci = \"02-00\"",
            "sci = \"02-00\": aa-bb-cc-dd-ee-ff-pppp or 16 hexadecimal digits".into(),
        ),
        (
            "cipher_suite = \"gcm-aes-512\"",
            "cipher_suite = \"gcm-aes-512\": \"gcm-aes-128\", \"gcm-aes-256\", \
             \"gcm-aes-xpn-128\", \"gcm-aes-xpn-256\""
                .into(),
        ),
        ("confidentiality = \"yes\"", "confidentiality = \"yes\": true or false".into()),
        ("confidentiality_offset = 20", "confidentiality_offset = 20: 0, 30, 50".into()),
        (
            "confidentiality_offset = 30",
            "confidentiality_offset = 30: 0 with gcm-aes-xpn-256".into(),
        ),
        (
            "validate_frames = \"loose\"",
            "validate_frames = \"loose\": \"strict\", \"check\", \"disabled\", \"null\"".into(),
        ),
        (
            "replay_window = 1_073_741_824",
            "replay_window = 1073741824: 0 to 1073741823 with gcm-aes-xpn-256".into(),
        ),
        ("replay_window = 4294967296", "replay_window = 4294967296: 0 to 4294967295".into()),
        ("vlan_tags_in_clear = 3", "vlan_tags_in_clear = 3: 0 to 2".into()),
        (
            "bypass_ethertypes = 0x88cc",
            "bypass_ethertypes = 0x88cc: an array of whole numbers".into(),
        ),
        (
            "bypass_ethertypes = [\"a\"]",
            "bypass_ethertypes = \"a\": an array of whole numbers".into(),
        ),
        ("bypass_ethertypes = [0x888e]", format!("bypass_ethertypes = 0x888e: {ETHERTYPE}")),
        ("bypass_ethertypes = [0x88e5]", format!("bypass_ethertypes = 0x88e5: {ETHERTYPE}")),
        ("bypass_ethertypes = [0x8100]", format!("bypass_ethertypes = 0x8100: {ETHERTYPE}")),
        ("bypass_ethertypes = [0x88a8]", format!("bypass_ethertypes = 0x88a8: {ETHERTYPE}")),
        ("bypass_ethertypes = [1535]", format!("bypass_ethertypes = 1535: {ETHERTYPE}")),
        ("bypass_ethertypes = [0x10000]", format!("bypass_ethertypes = 0x10000: {ETHERTYPE}")),
        (
            "bypass_ethertypes = [0x88cc, 0x0800, 0x88cc]",
            "bypass_ethertypes = 0x88cc: each only once".into(),
        ),
        ("static_keys = 1", "static_keys = 1: a table".into()),
    ];
    for key in ["protect_frames", "replay_protect", "detect_duplicates", "always_include_sci"]
        .into_iter()
        .chain(["use_es", "use_scb", "accept_changed_text", "disabled_decrypts"])
    {
        check(port(&format!("{key} = 1")), &[&format!(":4: port.wan0.{key} = 1: true or false")]);
    }
    for (line, expected) in cases {
        check(port(line), &[&format!(":4: port.wan0.{expected}")]);
    }
}

#[test]
fn of_controls_that_exclude_each_other() {
    let cases = [
        (
            "use_es = true\nalways_include_sci = true",
            ":5: port.wan0.always_include_sci = true: false together with use_es or use_scb",
        ),
        (
            "use_scb = true\nalways_include_sci = true",
            ":5: port.wan0.always_include_sci = true: false together with use_es or use_scb",
        ),
        (
            "use_es = true\nsci = \"0200000000010002\"",
            ":5: port.wan0.sci = \"0200000000010002\": an SCI that ends in 0001, together with use_es",
        ),
        (
            "use_es = true\nuse_scb = true\nsci = \"0200000000010001\"",
            ":6: port.wan0.sci = \"0200000000010001\": an SCI that ends in 0000, together with \
             use_es and use_scb",
        ),
        (
            "use_es = true\nuse_scb = true",
            ":4: port.wan0.use_es = true: false, or an sci that ends in 0000, as use_es and use_scb",
        ),
        (
            "detect_duplicates = true\nreplay_protect = false",
            ":4: port.wan0.detect_duplicates = true: false, unless replay_protect is true and \
             replay_window at most 1024",
        ),
        (
            "detect_duplicates = true\nreplay_window = 1025",
            ":4: port.wan0.detect_duplicates = true: false, unless replay_protect is true and \
             replay_window at most 1024",
        ),
        (
            "cipher_suite = \"gcm-aes-128\"\nconfidentiality = false\nconfidentiality_offset = 50",
            ":6: port.wan0.confidentiality_offset = 50: 0 without confidentiality",
        ),
        (
            "mtu = 1469\nuplink_mtu = 1500",
            ":4: port.wan0.mtu = 1469: 68 to 1468: the uplink's 1500 less 32",
        ),
        (
            "mtu = 1461\nuplink_mtu = 1500\ninner_vlan_tags = 2",
            ":4: port.wan0.mtu = 1461: 68 to 1460: the uplink's 1500 less 40",
        ),
    ];
    for (lines, expected) in cases {
        check(port(lines), &[expected]);
    }
}

#[test]
fn of_names() {
    let name = |name: &str| format!("[[port]]\nuplink = \"eth1\"\nname = {name}\n");
    let rule = "1 to 15 letters, digits, '-' and '_'";
    for bad in ["\"\"", "\"sixteen-letters-\"", "\"wän\"", "\"a.b\"", "7"] {
        check(name(bad), &[&format!(":3: port.1.name = {bad}: {rule}")]);
    }
    check(
        name("\"all\""),
        &[":3: port.all.name = \"all\": another name, or a tap: no interface can be called so"],
    );
    check(
        "[[port]]\n",
        &[
            ":1: port.1.name = (missing): required: 1 to 15 letters, digits, '-' and '_'",
            &format!(":1: port.1.uplink = (missing): required: {INTERFACE}"),
        ],
    );
    check(port("tap = 'a b'"), &[&format!(":4: port.wan0.tap = \"a b\": {INTERFACE}")]);
    check(
        "[[port]]\nname = \"a\"\nuplink = \"all\"\n",
        &[&format!(":3: port.a.uplink = \"all\": {INTERFACE}")],
    );
}

#[test]
fn of_what_occurs_twice() {
    let ports = |ports: &[[&str; 3]]| {
        let port = |[name, uplink, tap]: &[&str; 3]| {
            format!("[[port]]\nname = \"{name}\"\nuplink = \"{uplink}\"\ntap = \"{tap}\"\n")
        };
        ports.iter().map(port).collect::<String>()
    };
    let cases = [
        (
            [["a", "eth1", "t1"], ["a", "eth2", "t2"]],
            ":6: port.a.name = \"a\": a name of its own; port.a.name has this (line 2)",
        ),
        (
            [["a", "eth1", "t1"], ["b", "eth1", "t2"]],
            ":7: port.b.uplink = \"eth1\": an interface of its own; port.a.uplink has this (line 3)",
        ),
        (
            [["a", "eth1", "t1"], ["b", "eth2", "t1"]],
            ":8: port.b.tap = \"t1\": a TAP of its own; port.a.tap has this (line 4)",
        ),
        (
            [["a", "eth1", "t1"], ["b", "t1", "t2"]],
            ":7: port.b.uplink = \"t1\": an interface of its own; port.a.tap has this (line 4)",
        ),
    ];
    for (twice, expected) in cases {
        check(ports(&twice), &[expected]);
    }
    check(
        ports(&[["a", "eth1", "eth1"]]),
        &[":4: port.a.tap = \"eth1\": a TAP of its own; port.a.uplink has this (line 3)"],
    );
    // One fault is enough, though the TAPs would be called alike too.
    check(
        "[[port]]\nname = \"a\"\nuplink = \"eth1\"\n[[port]]\nname = \"a\"\nuplink = \"eth2\"\n",
        &[":5: port.a.name = \"a\": a name of its own; port.a.name has this (line 2)"],
    );
    // The TAP that is called like its port.
    check(
        "[[port]]\nname = \"eth1\"\nuplink = \"eth1\"\n",
        &[":2: port.eth1.name = \"eth1\": a TAP of its own; port.eth1.uplink has this (line 3)"],
    );
}

#[test]
fn of_the_whole_file() {
    let cases = [
        (
            "control_socket = \"run/s\"",
            ":5: control_socket = \"run/s\": an absolute path of at most 107 octets".to_owned(),
        ),
        (
            "control_socket = 1",
            ":5: control_socket = 1: an absolute path of at most 107 octets".into(),
        ),
        ("state_directory = \"\"", ":5: state_directory = \"\": an absolute path".into()),
        (
            "namespace = \"../x\"",
            ":5: namespace = \"../x\": 1 to 64 letters, digits, '-' and '_'".into(),
        ),
    ];
    for (line, expected) in cases {
        check(format!("\n\r\n# three\n\n{line}\n{}", port("")), &[&expected]);
    }
    let long = format!("control_socket = \"/{}\"\n{}", "x".repeat(107), port(""));
    let shown = format!("\"/{}...", "x".repeat(58));
    let rule = "an absolute path of at most 107 octets";
    check(long, &[&format!(":1: control_socket = {shown}: {rule}")]);
    let no_port = ":1: port = (missing): required: at least one [[port]]";
    check("", &[no_port]);
    check("[port]\nname = \"a\"\n", &[":1: port = (a table): at least one [[port]]"]);
    check("port = []", &[":1: port = (an array): at least one [[port]]"]);
    check("port = [\n1,\n]", &[":2: port.1 = 1: at least one [[port]]"]);
}

#[test]
fn of_keys_that_nobody_knows() {
    check(
        port("uplnk_mtu = 1500"),
        &[":4: port.wan0.uplnk_mtu = 1500: unknown key: did you mean uplink_mtu?"],
    );
    check(format!("prot = 1\n{}", port("")), &[":1: prot = 1: unknown key: did you mean port?"]);
    check(
        format!("verbose = true\n{}", port("")),
        &[
            ":1: verbose = true: unknown key: there are control_socket, state_directory, namespace, port",
        ],
    );
    check(
        keyed(&format!("sak_file = \"k128\"\n{PEER}\nkeys = {{}}")),
        &[
            ":8: port.wan0.static_keys.keys = (a table): unknown key: there are first_use, an, sak_file, \
           sak_env, sak, salt, ssci, peer",
        ],
    );
    check(
        keyed(
            "sak_file = \"k128\"\n[[port.static_keys.peer]]\nsci = \"0200000000020001\"\nscsi = 1",
        ),
        &[":9: port.wan0.static_keys.peer.1.scsi = 1: unknown key: did you mean sci?"],
    );
}

#[test]
fn of_static_keys() {
    let cases = [
        ("first_use = 1".to_owned(), "first_use = 1: true or false"),
        ("an = 4".into(), "an = 4: 0 to 3"),
        ("ssci = 1".into(), "ssci = 1: nothing: gcm-aes-128 has no ssci"),
        (format!("salt = '{SALT}'"), "salt = (hidden): nothing: gcm-aes-128 has no salt"),
        (
            "sak_env = \"PATH\"".into(),
            "sak_env = \"PATH\": nothing beside port.wan0.static_keys.sak_file: one of sak_file, \
             sak_env, sak",
        ),
    ];
    for (line, expected) in cases {
        check(
            keyed(&format!("{line}\nsak_file = \"k128\"\n{PEER}")),
            &[&format!(":6: port.wan0.static_keys.{expected}")],
        );
    }
    check(
        keyed(PEER),
        &[
            ":5: port.wan0.static_keys.sak_file = (missing): required: one of sak_file, sak_env, sak",
        ],
    );
}

#[test]
fn of_what_is_given_for_a_sak() {
    let rule = "32 hexadecimal digits for gcm-aes-128";
    let cases = [
        ("sak_file = 1".to_owned(), "sak_file = 1: the path of a file".to_owned()),
        ("sak_file = \"\"".into(), "sak_file = \"\": the path of a file".into()),
        (
            "sak_file = \"none\"".into(),
            "sak_file = \"none\": a key file that cannot be read: No such file or directory (os error 2)"
                .into(),
        ),
        ("sak_file = \"k256\"".into(), format!("sak_file = \"k256\": {rule}: there are 64")),
        (
            "sak_env = \"A=B\"".into(),
            "sak_env = \"A=B\": the name of an environment variable: letters, digits and '_'".into(),
        ),
        (
            "sak_env = \"MACSEC_TEST_NO_SUCH\"".into(),
            "sak_env = \"MACSEC_TEST_NO_SUCH\": a variable of the environment: there is none of this name"
                .into(),
        ),
        ("sak = 1".into(), "sak = (hidden): a text".into()),
        (format!("sak = '{SAK_256}'"), format!("sak = (hidden): {rule}: there are 64")),
        (format!("sak = '{}'", &SAK_128[1..]), format!("sak = (hidden): {rule}: there are 31")),
        (
            format!("sak = '0x{}'", &SAK_128[2..]),
            format!("sak = (hidden): {rule}, and nothing but white space around them"),
        ),
        ("sak = ''".into(), format!("sak = (hidden): {rule}, and nothing but white space around them")),
    ];
    for (line, expected) in cases {
        let expected = format!(":6: port.wan0.static_keys.{expected}");
        check(keyed(&format!("{line}\n{PEER}")), &[&expected]);
    }
    // The suite is not known: any length will do.
    let text = keyed(&format!("sak = '00'\n{PEER}")).replace("aes-128", "aes-129");
    let [of_suite, of_sak] = &Place::new().faults(text)[..] else { panic!("two") };
    assert!(of_suite.starts_with(":4: port.wan0.cipher_suite"), "{of_suite}");
    assert_eq!(
        of_sak,
        ":6: port.wan0.static_keys.sak = (hidden): 32 or 64 hexadecimal digits: there are 2"
    );
}

#[test]
fn of_xpn() {
    let all = |sak_file: &str, salt: &str, ssci: &str, peer: &str| {
        keyed_xpn(&format!("sak_file = \"{sak_file}\"\nsalt = {salt}\nssci = {ssci}\n{peer}"))
    };
    let salt = &format!("'{SALT}'");
    let cases = [
        (
            all("k128", salt, "1", PEER_XPN),
            ":7: port.wan0.static_keys.sak_file = \"k128\": 64 hexadecimal digits for \
             gcm-aes-xpn-256: there are 32",
        ),
        (
            all("k256", "''", "1", PEER_XPN),
            ":8: port.wan0.static_keys.salt = (hidden): 24 hexadecimal digits",
        ),
        (all("k256", salt, "0", PEER_XPN), ":9: port.wan0.static_keys.ssci = 0: 1 to 4294967295"),
        (
            all("k256", salt, "1", PEER),
            ":10: port.wan0.static_keys.peer.1.ssci = (missing): required: 1 to 4294967295, with \
             gcm-aes-xpn-256",
        ),
        (
            all("k256", salt, "2", PEER_XPN),
            ":10: port.wan0.static_keys.peer.1.ssci = 2: an SSCI of its own; \
             port.wan0.static_keys.ssci has this (line 9)",
        ),
    ];
    for (text, expected) in cases {
        check(text, &[expected]);
    }
    check(
        keyed_xpn(&format!("sak_file = \"k256\"\n{PEER_XPN}")),
        &[
            ":6: port.wan0.static_keys.salt = (missing): required: 24 hexadecimal digits, with \
             gcm-aes-xpn-256",
            ":6: port.wan0.static_keys.ssci = (missing): required: 1 to 4294967295, with gcm-aes-xpn-256",
        ],
    );
}

#[test]
fn of_peers() {
    let peers = |peers: &str| keyed(&format!("sak_file = \"k128\"\n{peers}"));
    let rule = "1 to 31 tables: [[port.static_keys.peer]]";
    check(peers(""), &[&format!(":5: port.wan0.static_keys.peer = (missing): required: {rule}")]);
    check(peers("peer = []"), &[&format!(":7: port.wan0.static_keys.peer = (an array): {rule}")]);
    let many = |count: u8| -> String {
        let peer = |n| format!("[[port.static_keys.peer]]\nsci = \"0200000000{n:02x}0001\"\n");
        (1..=count).map(peer).collect()
    };
    check(peers(&many(31)), &[]);
    check(peers(&many(32)), &[&format!(":7: port.wan0.static_keys.peer = (an array): {rule}")]);

    let one = |lines: &str| peers(&format!("[[port.static_keys.peer]]\n{lines}"));
    let cases = [
        (
            "",
            ":7: port.wan0.static_keys.peer.1.sci = (missing): required: aa-bb-cc-dd-ee-ff-pppp or 16 \
             hexadecimal digits",
        ),
        (
            "sci = 2",
            ":8: port.wan0.static_keys.peer.1.sci = 2: aa-bb-cc-dd-ee-ff-pppp or 16 hexadecimal digits",
        ),
        ("sci = '0200000000020001'\nan = -1", ":9: port.wan0.static_keys.peer.1.an = -1: 0 to 3"),
        (
            "sci = '0200000000020001'\nssci = 2",
            ":9: port.wan0.static_keys.peer.1.ssci = 2: nothing: gcm-aes-128 has no ssci",
        ),
        (
            "sci = '0200000000020001'\nsalt = 'e6a1b2c3d4e5f60718293a4b'",
            ":9: port.wan0.static_keys.peer.1.salt = (hidden): nothing without a SAK that it belongs to",
        ),
        (
            "sci = '0200000000020001'\nsak_file = 'k256'",
            ":9: port.wan0.static_keys.peer.1.sak_file = \"k256\": 32 hexadecimal digits for \
             gcm-aes-128: there are 64",
        ),
    ];
    for (lines, expected) in cases {
        check(one(lines), &[expected]);
    }
    let two = "[[port.static_keys.peer]]\nsci = '0200000000020001'\n".repeat(2);
    check(
        peers(&two),
        &[":10: port.wan0.static_keys.peer.2.sci = \"0200000000020001\": an SCI of its own; \
           port.wan0.static_keys.peer.1.sci has this (line 8)"],
    );
    // Our own, under XPN too.
    check(
        keyed_xpn(&format!(
            "sak_file = 'k256'\nsalt = '{SALT}'\nssci = 1\n[[port.static_keys.peer]]\nssci = 2\n\
             sci = '02-00-00-00-00-01-000a'"
        )),
        &[
            ":12: port.wan0.static_keys.peer.1.sci = \"02-00-00-00-00-01-000a\": an SCI of its own; \
           port.wan0.sci has this (line 5)",
        ],
    );
    check(
        keyed_xpn(&format!(
            "sak_file = 'k256'\nsalt = '{SALT}'\nssci = 1\n[[port.static_keys.peer]]\nssci = 2\n\
             sci = '0200000000020001'\nsak = '{SAK_128}{SAK_128}'"
        )),
        &[
            ":10: port.wan0.static_keys.peer.1.salt = (missing): required: 24 hexadecimal digits, with \
           gcm-aes-xpn-256",
        ],
    );
}

#[test]
fn of_a_sak_that_is_used_twice() {
    let first = keyed(&format!("sak_file = \"k128\"\n{PEER}"));
    let second = first.replace("wan0", "wan1").replace("eth1", "eth2");
    // In another file, in another spelling, even for another suite: it is the same key.
    let inline = format!("sak = '{}'", SAK_128.to_uppercase());
    let spellings = [("sak_file = \"k128\"", "sak_file = \"k128\""), (&inline, "sak = (hidden)")];
    for (line, shown) in spellings {
        check(
            format!("{first}{}", second.replace("sak_file = \"k128\"", line)),
            &[&format!(
                ":13: port.wan1.static_keys.{shown}: a SAK of its own; \
                 port.wan0.static_keys.sak_file has this (line 6)"
            )],
        );
    }
    check(
        keyed(
            "sak_file = 'k128'\n[[port.static_keys.peer]]\nsci = '0200000000020001'\nsak_file = './k128'",
        ),
        &[":9: port.wan0.static_keys.peer.1.sak_file = \"./k128\": a SAK of its own; \
           port.wan0.static_keys.sak_file has this (line 6)"],
    );
}

#[test]
fn of_what_is_no_toml() {
    let cases: [(&[u8], &str); 5] = [
        (b"a = 1\nb = \"x\nc = 2\n", ":2: not TOML: invalid basic string, expected `\"`"),
        (b"a = 1\n\na = 2\n", ":3: not TOML: duplicate key"),
        (b"a\n", ":1: not TOML: key with no value, expected `=`"),
        (b"[[port]]\n[port\n", ":2: not TOML: unclosed table, expected `]`"),
        (b"a = 1\nb = \"\xff\"\n", ":2: not TOML: must be UTF-8"),
    ];
    for (text, expected) in cases {
        check(text, &[expected]);
    }
}

#[test]
fn of_a_file_that_cannot_be_read() {
    let place = Place::new();
    let faults = load(&place.path("none")).expect_err("none");
    assert_eq!(faults, [": cannot be read: No such file or directory (os error 2)"]);
    let faults = load(place.directory.path()).expect_err("a directory");
    assert_eq!(faults, [": cannot be read: Is a directory (os error 21)"]);
    let faults = place.faults(" ".repeat(256 * 1024 + 1));
    assert_eq!(faults, [": must have 262144 octets at most"]);
}

const BOGUS: &str = ":5: port.wan0.bogus = 1: unknown key: there are name, uplink, tap, isolation, \
    promiscuous, mac, mka, cipher_suite, sci, confidentiality, confidentiality_offset, protect_frames, \
    validate_frames, replay_protect, replay_window, detect_duplicates, always_include_sci, use_es, \
    use_scb, vlan_tags_in_clear, accept_changed_text, disabled_decrypts, uplink_mtu, \
    inner_vlan_tags, mtu, bypass_ethertypes, static_keys";

#[test]
fn are_reported_together_in_the_order_of_the_lines() {
    check(
        "[[port]]\n\
         name = \"wan0\"\n\
         replay_window = -1\n\
         uplink = \"eth1\"\n\
         bogus = 1\n\
         [[port.static_keys.peer]]\n\
         an = 9\n\
         ssci = 1\n\
         sci = \"0200000000020001\"\n\
         [[port]]\n\
         mtu = 9000 # fits no uplink\n\
         uplink_mtu = 1500\n\
         [other]\n",
        &[
            ":3: port.wan0.replay_window = -1: 0 to 4294967295",
            BOGUS,
            ":6: port.wan0.static_keys.sak_file = (missing): required: one of sak_file, sak_env, sak",
            ":6: port.wan0.static_keys.salt = (missing): required: 24 hexadecimal digits, with \
             gcm-aes-xpn-256",
            ":6: port.wan0.static_keys.ssci = (missing): required: 1 to 4294967295, with gcm-aes-xpn-256",
            ":7: port.wan0.static_keys.peer.1.an = 9: 0 to 3",
            ":10: port.2.name = (missing): required: 1 to 15 letters, digits, '-' and '_'",
            &format!(":10: port.2.uplink = (missing): required: {INTERFACE}"),
            ":11: port.2.mtu = 9000: 68 to 1468: the uplink's 1500 less 32",
            ":13: other = (a table): unknown key: there are control_socket, state_directory, \
             namespace, port",
        ],
    );
}

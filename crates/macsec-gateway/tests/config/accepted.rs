//! What a file that is accepted means.

use macsec::{
    An, CipherSuite, ClearVlanTags, Confidentiality, ConfidentialityOffset, Sci, Ssci,
    ValidateFrames,
};
use macsec_gateway::config::{
    Config, DEFAULT_CONTROL_SOCKET, DEFAULT_NAMESPACE, DEFAULT_STATE_DIRECTORY, Isolation,
    KeyCheck, PortConfig,
};

use super::*;

fn config(text: &str) -> Config {
    Place::new().load(text).expect("no fault").config
}

fn the_port(lines: &str) -> PortConfig {
    config(&port(lines)).ports.remove(0)
}

#[test]
fn defaults() {
    let config = config(&port(""));
    assert_eq!(config.control_socket, Path::new(DEFAULT_CONTROL_SOCKET));
    assert_eq!(config.state_directory, Path::new(DEFAULT_STATE_DIRECTORY));
    assert_eq!(config.namespace, DEFAULT_NAMESPACE);
    let mut controls = macsec::Config::default();
    controls.always_include_sci = true;
    let expected = PortConfig {
        name: "wan0".into(),
        uplink: "eth1".into(),
        isolation: Isolation::Namespace,
        uplink_mtu: None,
        promiscuous: false,
        tap: "wan0".into(),
        mac: None,
        mtu: None,
        inner_vlan_tags: 0,
        sci: None,
        cipher_suite: CipherSuite::GcmAesXpn256,
        confidentiality: Confidentiality::Encrypt(ConfidentialityOffset::Zero),
        controls,
        bypass: Vec::new(),
        mka: None,
        static_keys: None,
    };
    assert_eq!(config.ports, [expected]);
}

#[test]
fn everything_else_than_by_default() {
    let text =
        "control_socket = \"/run/other\"\nstate_directory = \"/srv/state\"\nnamespace = \"n1\"\n"
            .to_owned()
            + &port(
                "isolation = \"filter\"\nuplink_mtu = 9000\npromiscuous = true\ntap = \"macsec0\"\n\
             mac = \"02:00:00:00:00:07\"\nmtu = 8952\ninner_vlan_tags = 2\n\
             sci = \"02-00-00-00-00-01-0007\"\ncipher_suite = \"gcm-aes-256\"\n\
             confidentiality_offset = 50\nprotect_frames = false\nvalidate_frames = \"check\"\n\
             replay_window = 64\ndetect_duplicates = true\nalways_include_sci = false\n\
             vlan_tags_in_clear = 2\nbypass_ethertypes = [0x88f7, 0x88cc]\n\
             accept_changed_text = true\ndisabled_decrypts = true",
            );
    let config = config(&text);
    assert_eq!(config.control_socket, Path::new("/run/other"));
    assert_eq!(config.state_directory, Path::new("/srv/state"));
    assert_eq!(config.namespace, "n1");
    let mut controls = macsec::Config::default();
    controls.protect_frames = false;
    controls.validate_frames = ValidateFrames::Check;
    controls.replay_window = 64;
    controls.detect_duplicates = true;
    controls.clear_vlan_tags = ClearVlanTags::Two;
    controls.compat.accept_changed_text = true;
    controls.compat.disabled_decrypts = true;
    let expected = PortConfig {
        name: "wan0".into(),
        uplink: "eth1".into(),
        isolation: Isolation::Filter,
        uplink_mtu: Some(9000),
        promiscuous: true,
        tap: "macsec0".into(),
        mac: Some("02:00:00:00:00:07".parse().expect("a MAC address")),
        mtu: Some(8952),
        inner_vlan_tags: 2,
        sci: Some("02-00-00-00-00-01-0007".parse().expect("an SCI")),
        cipher_suite: CipherSuite::GcmAes256,
        confidentiality: Confidentiality::Encrypt(ConfidentialityOffset::Fifty),
        controls,
        bypass: vec![0x88cc, 0x88f7],
        mka: None,
        static_keys: None,
    };
    assert_eq!(config.ports, [expected]);
}

#[test]
fn the_sci_is_left_out_where_es_or_scb_implies_it() {
    for (lines, always) in [
        ("", true),
        ("use_es = true", false),
        ("use_scb = true", false),
        ("use_es = true\nuse_scb = true\nsci = \"0200000000010000\"", false),
        ("use_es = true\nsci = \"0200000000010001\"", false),
        ("always_include_sci = false", false),
    ] {
        assert_eq!(the_port(lines).controls.always_include_sci, always, "{lines}");
    }
}

#[test]
fn every_name_of_a_choice() {
    for suite in CipherSuite::ALL {
        assert_eq!(the_port(&format!("cipher_suite = \"{suite}\"")).cipher_suite, suite);
    }
    for mode in [
        ValidateFrames::Strict,
        ValidateFrames::Check,
        ValidateFrames::Disabled,
        ValidateFrames::Null,
    ] {
        let port = the_port(&format!("validate_frames = \"{mode}\""));
        assert_eq!(port.controls.validate_frames, mode);
    }
    assert_eq!(the_port("isolation = \"namespace\"").isolation, Isolation::Namespace);
    let integrity = the_port("confidentiality = false").confidentiality;
    assert_eq!(integrity, Confidentiality::IntegrityOnly);
    assert!(!the_port("replay_protect = false").controls.replay_protect);
}

#[test]
fn limits_are_within() {
    assert_eq!(the_port("replay_window = 0x3fff_ffff").controls.replay_window, (1 << 30) - 1);
    let wide = the_port("cipher_suite = \"gcm-aes-128\"\nreplay_window = 4294967295");
    assert_eq!(wide.controls.replay_window, u32::MAX);
    assert_eq!(the_port("uplink_mtu = 1500\nmtu = 1468").mtu, Some(1468));
    assert_eq!(the_port("uplink_mtu = 1500\nmtu = 1460\ninner_vlan_tags = 2").mtu, Some(1460));
    assert_eq!(the_port("uplink_mtu = 256\nmtu = 68").uplink_mtu, Some(256));
    assert_eq!(the_port("inner_vlan_tags = 1").greatest_mtu(1500), 1464);
    assert_eq!(the_port("vlan_tags_in_clear = 2").greatest_mtu(1500), 1460);
    assert_eq!(the_port("bypass_ethertypes = [0x0600, 0xffff]").bypass, [0x0600, 0xffff]);
}

#[test]
fn static_keys() {
    let text = keyed_xpn(&format!(
        "first_use = true\nan = 2\nsak_file = \"k256\"\nsalt = \"{SALT}\"\nssci = 1\n\
         [[port.static_keys.peer]]\nsci = \"02-00-00-00-00-02-0001\"\nssci = 4294967295\n\
         [[port.static_keys.peer]]\nsci = \"0200000000030001\"\nssci = 1\nan = 3\n\
         sak = \"{SAK_128}{SAK_128}\"\nsalt = \"{SALT}\""
    ));
    let keys = config(&text).ports.remove(0).static_keys.expect("there");
    assert!(keys.first_use);
    assert_eq!((keys.an, keys.ssci), (An::ALL[2], Some(Ssci(1))));
    assert_eq!(hex::encode(keys.key.sak.expose_octets()), SAK_256);
    assert_eq!(keys.key.salt.map(|salt| hex::encode(salt.0)).as_deref(), Some(SALT));
    let [by_default, with_own] = &keys.peers[..] else { panic!("two peers") };
    let sci: Sci = "02-00-00-00-00-02-0001".parse().expect("an SCI");
    assert_eq!((by_default.sci, by_default.ssci), (sci, Some(Ssci(u32::MAX))));
    assert_eq!((by_default.an, &by_default.key), (An::ALL[2], &None));
    assert_eq!((with_own.an, with_own.ssci), (An::ALL[3], Some(Ssci(1))));
    let own = with_own.key.as_ref().expect("its own");
    assert_eq!(hex::encode(own.sak.expose_octets()), SAK_128.repeat(2));
}

#[test]
fn a_key_file_is_sought_beside_the_file_or_where_its_path_says() {
    let place = Place::new();
    let absolute = place.path("k128");
    fs::create_dir(place.path("keys")).expect("made");
    place.write("keys/k", format!(" \t{}\r\n\n", SAK_128.to_uppercase()), 0o400);
    for path in ["k128", absolute.to_str().expect("UTF-8"), "keys/../k128", "keys/k"] {
        let loaded = place.load(keyed(&format!("sak_file = \"{path}\"\n{PEER}")));
        let keys = loaded.expect(path).config.ports.remove(0).static_keys.expect("there");
        assert_eq!(hex::encode(keys.key.sak.expose_octets()), SAK_128);
    }
}

#[test]
fn configurations_can_be_compared() {
    let text = keyed(&format!("sak_file = \"k128\"\n{PEER}"));
    let other = text.replace("sak_file = \"k128\"", &format!("sak = \"{}\"", &SAK_256[..32]));
    assert_eq!(config(&text), config(&text));
    // From another place, but the same key.
    let same = text.replace("sak_file = \"k128\"", &format!("sak = \"{SAK_128}\""));
    assert_eq!(config(&text), config(&same));
    for different in [other, text.replace("eth1", "eth2"), text.replace("-0001", "-0002")] {
        assert_ne!(config(&text), config(&different));
    }
}

#[test]
fn the_check_value_is_the_hash_that_others_can_compute() {
    // printf 'macsec-gateway key check' | cat - key | sha256sum | cut -c -32
    let keys = config(&keyed(&format!("sak_file = \"k128\"\n{PEER}"))).ports.remove(0).static_keys;
    let check = keys.expect("there").key.check;
    assert_eq!(check.to_string(), CHECK_OF_SAK_128);
    assert_eq!(format!("{check:?}"), format!("KeyCheck({CHECK_OF_SAK_128})"));
    let octets = hex::decode(CHECK_OF_SAK_128).expect("digits");
    assert_eq!(check, KeyCheck(octets.try_into().expect("16")));
}

const CHECK_OF_SAK_128: &str = "0e01b164c708aa176a9fd5906cb4e021";

#[test]
fn warnings_say_what_should_not_stay() {
    let place = Place::new();
    let loaded = place
        .load(keyed(&format!("first_use = true\nsak = \"{SAK_128}\"\n{PEER}")))
        .expect("no fault");
    let warnings: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
    let file = place.path("c.toml");
    assert_eq!(
        warnings,
        [
            format!(
                "{}:6: port.wan0.static_keys.first_use: remove it after the first start: it hides the \
             loss of PN marks",
                file.display()
            ),
            format!(
                "{}:7: port.wan0.static_keys.sak: a key is better off in a file of its own: sak_file",
                file.display()
            ),
        ]
    );
    let quiet = place.load(keyed(&format!("sak_file = \"k128\"\n{PEER}"))).expect("no fault");
    assert_eq!(quiet.warnings, []);
}

//! Whatever octets a file has, it is refused with reasons or can be put into force.

use std::{collections::HashSet, time::Duration};

use macsec::{
    Confidentiality, ConfidentialityOffset, DataKey, Ki, MacAddress, ReceiveSa, Sak, Salt, Sci,
    TransmitSa, ValidateFrames,
};
use macsec_gateway::config::{Config, Fault, Key, MAX_KEYS, MkaConfig, Policy, PortConfig};
use macsec_gateway::port::new_secy;
use mka::{OsRandom, Participant, ParticipantConfig};
use proptest::{prelude::*, sample::select};

use super::*;

/// Lines of which files are made: right ones, wrong ones, and ones that do not go together.
const LINES: &[&str] = &[
    "[[port]]",
    "[[port]]",
    "[port.static_keys]",
    "[port.mka]",
    "[[port.static_keys.peer]]",
    "[[port.static_keys.peer]]",
    "[[port.mka.key]]",
    "[[port.mka.key]]",
    "[port]",
    "[",
    "port = 1",
    "name = \"a\"",
    "name = \"b\"",
    "uplink = \"eth1\"",
    "uplink = \"eth2\"",
    "tap = \"a\"",
    "tap = \"eth1\"",
    "tap = \"t\"",
    "mac = \"02:00:00:00:00:01\"",
    "mtu = 1468",
    "mtu = 1400",
    "uplink_mtu = 1500",
    "inner_vlan_tags = 2",
    "sci = \"0200000000010001\"",
    "sci = \"0200000000020001\"",
    "sci = \"0200000000020000\"",
    "cipher_suite = \"gcm-aes-128\"",
    "cipher_suite = \"gcm-aes-256\"",
    "cipher_suite = \"gcm-aes-xpn-128\"",
    "cipher_suite = \"gcm-aes-xpn-256\"",
    "confidentiality = false",
    "confidentiality_offset = 30",
    "confidentiality_offset = 0",
    "protect_frames = false",
    "validate_frames = \"check\"",
    "replay_protect = false",
    "replay_window = 64",
    "replay_window = 0xffffffff",
    "detect_duplicates = true",
    "always_include_sci = true",
    "always_include_sci = false",
    "use_es = true",
    "use_scb = true",
    "vlan_tags_in_clear = 1",
    "bypass_ethertypes = [0x88cc, 0x888e]",
    "bypass_ethertypes = [0x88cc]",
    "first_use = true",
    "an = 1",
    "an = 3",
    "ssci = 1",
    "ssci = 2",
    "ssci = 0",
    "sak_file = \"k128\"",
    "sak_file = \"k256\"",
    "sak_env = \"PATH\"",
    "sak = \"00112233445566778899aabbccddee01\"",
    "sak = \"ffeeddccbbaa99887766554433221100\"",
    "salt = \"e6a1b2c3d4e5f60718293a4b\"",
    "salt = \"000000000000000000000000\"",
    "ckn = \"01\"",
    "ckn = \"02\"",
    "ckn = \"0\"",
    "start = 2026-12-01T00:00:00Z",
    "start = 2026-12-01",
    "end = 2026-12-01T00:00:00+01:00",
    "end = 2027-01-01T00:00:00Z",
    "fallback = true",
    "profile = \"aws\"",
    "profile = \"gcp\"",
    "profile = \"azure\"",
    "cak_file = \"k128\"",
    "cak_file = \"k256\"",
    "cak_env = \"PATH\"",
    "cak = \"00112233445566778899aabbccddee01\"",
    "cak = \"00000000000000000000000000000000\"",
    "key_server_priority = 255",
    "cipher_suites = [\"gcm-aes-128\", \"gcm-aes-xpn-256\"]",
    "cipher_suites = [\"gcm-aes-256\"]",
    "cipher_suites = []",
    "policy = \"should-secure\"",
    "rekey_interval = 30",
    "destination = \"01-80-c2-00-00-00\"",
    "ethertype = 0x88cc",
    "hello_time = 500",
    "hello_time = 1",
    "delay_protect = true",
    "max_peers = 31",
    "mka_version = 1",
    "set_order = \"standard\"",
    "\u{1f511} = 1",
    "",
];

/// A port of each kind, to be varied.
const PORTS: [&str; 5] = [
    "[[port]]\nname = \"a\"\nuplink = \"eth1\"\ncipher_suite = \"gcm-aes-128\"\n[port.static_keys]\n\
     sak_file = \"k128\"\n[[port.static_keys.peer]]\nsci = \"0200000000020001\"\n",
    "[[port]]\nname = \"b\"\nuplink = \"eth2\"\nsci = \"0200000000010001\"\n[port.static_keys]\nssci = 1\n\
     sak_file = \"k256\"\nsalt = \"e6a1b2c3d4e5f60718293a4b\"\n[[port.static_keys.peer]]\nssci = 2\n\
     sci = \"0200000000020001\"\n[[port.static_keys.peer]]\nssci = 3\nsci = \"0200000000030001\"\n",
    "[[port]]\nname = \"c\"\nuplink = \"eth3\"\n",
    "[[port]]\nname = \"d\"\nuplink = \"eth4\"\nreplay_window = 64\n[port.mka]\nckn = \"01\"\n\
     cak_file = \"k256\"\npolicy = \"must-secure\"\ncipher_suites = [\"gcm-aes-xpn-256\"]\n\
     hello_time = 2000\n",
    "[[port]]\nname = \"e\"\nuplink = \"eth5\"\n[port.mka]\n[[port.mka.key]]\nckn = \"01\"\n\
     cak_file = \"k256\"\nend = 2026-12-02T00:00:00Z\n[[port.mka.key]]\nckn = \"02\"\n\
     cak_file = \"k128\"\nfallback = true\n",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_octets(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        judge(&octets)?;
    }

    #[test]
    fn any_text(text in "[\\[\\]a-z_='\"0-9{}., \n\\\\]{0,200}") {
        judge(text.as_bytes())?;
    }

    #[test]
    fn any_lines(lines in prop::collection::vec(select(LINES), 0..30)) {
        judge(lines.join("\n").as_bytes())?;
    }

    #[test]
    fn right_files_with_lines_put_in_and_left_out(
        ports in prop::collection::vec(select(&PORTS[..]), 1..4),
        edits in prop::collection::vec((any::<prop::sample::Index>(), select(LINES), 0..4_u8), 0..5),
    ) {
        let text = ports.concat();
        let mut lines: Vec<_> = text.lines().collect();
        let key = |line: &str| line.split('=').next().unwrap_or_default().to_owned();
        for (at, line, how) in edits {
            let alike: Vec<_> = (0..lines.len()).filter(|n| key(lines[*n]) == key(line)).collect();
            match how {
                0 if lines.len() > 1 => { lines.remove(at.index(lines.len())); }
                // Another value for a key that is there: what is still well formed may be refused late.
                1 | 2 if !alike.is_empty() => lines[alike[at.index(alike.len())]] = line,
                _ => lines.insert(at.index(lines.len()), line),
            }
        }
        judge(lines.join("\n").as_bytes())?;
    }

    #[test]
    fn right_files_with_octets_changed(
        port in select(&PORTS[..]),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut octets = port.as_bytes().to_vec();
        for (at, octet) in edits {
            let at = at.index(octets.len());
            octets[at] = octet;
        }
        judge(&octets)?;
    }
}

fn judge(octets: &[u8]) -> Result<(), TestCaseError> {
    thread_local! { static PLACE: Place = Place::new(); }
    let file = PLACE.with(|place| place.write("c.toml", octets, 0o600));
    match Config::load(&file) {
        Ok(loaded) => {
            prop_assert!(!loaded.config.ports.is_empty());
            loaded.config.ports.iter().try_for_each(comes_into_force)
        }
        Err(faults) => {
            prop_assert!(!faults.is_empty());
            faults.iter().try_for_each(is_one_line_without_secrets)
        }
    }
}

fn is_one_line_without_secrets(fault: &Fault) -> Result<(), TestCaseError> {
    let shown = fault.to_string();
    prop_assert!(!shown.contains(char::is_control), "{shown:?}");
    prop_assert!(!shown.contains(&SAK_128[..20]), "{shown:?}");
    Ok(())
}

/// What the configuration takes, a participant takes.
fn takes_part(port: &PortConfig, mka: &MkaConfig, sci: Sci) -> Result<(), TestCaseError> {
    prop_assert_eq!(mka.suites.first(), port.cipher_suite);
    prop_assert!(!port.bypass.contains(&mka.ethertype));
    let strict =
        port.controls.protect_frames && port.controls.validate_frames == ValidateFrames::Strict;
    prop_assert!(strict || mka.policy == Policy::ShouldSecure);
    let mut config = ParticipantConfig::new(sci);
    config.framing.destination = mka.destination;
    config.framing.ethertype = mka.ethertype;
    config.version = mka.version;
    config.hello_time = mka.hello_time;
    config.delay_protect = mka.delay_protect;
    config.max_peers = mka.max_peers;
    config.suites = mka.suites;
    for key in &mka.keys {
        let made = Participant::new(config, key.cak(), key.ckn, OsRandom, Duration::ZERO);
        prop_assert!(made.is_ok());
        prop_assert!(key.start.is_none_or(|start| key.end.is_none_or(|end| start < end)));
    }
    let ckns: HashSet<_> = mka.keys.iter().map(|key| key.ckn).collect();
    prop_assert_eq!(ckns.len(), mka.keys.len());
    prop_assert!((1..=MAX_KEYS).contains(&mka.keys.len()));
    let fallbacks = mka.keys.iter().filter(|key| key.fallback).count();
    prop_assert!(fallbacks == 0 || (fallbacks == 1 && mka.keys.len() > 1));
    Ok(())
}

/// What the configuration takes, the SecY takes.
fn comes_into_force(port: &PortConfig) -> Result<(), TestCaseError> {
    let sci = port.sci.unwrap_or(Sci::new(MacAddress([0x02, 0, 0, 0, 0, 0xee]), 1));
    let secy = new_secy(sci, port.controls, port.room());
    let mut secy = secy.map_err(|error| TestCaseError::fail(error.to_string()))?;
    if let Some(mka) = &port.mka {
        takes_part(port, mka, sci)?;
        // Whichever suite is chosen, the SecY takes its keys.
        for &suite in mka.suites.as_slice() {
            let salt = suite.is_xpn().then_some(Salt([1; 12]));
            let sak = Sak::new(&[7; 32][..suite.key_len()]).expect("a SAK");
            let key = DataKey::new(Ki([suite.key_len() as u8; 16]), suite, sak, salt);
            let refused = |error: macsec::InstallError| TestCaseError::fail(error.to_string());
            secy.install_key(&key.expect("fits the suite")).map_err(refused)?;
            secy.remove_key(Ki([suite.key_len() as u8; 16])).expect("no SA has it");
        }
    }
    let Some(keys) = &port.static_keys else { return Ok(()) };
    prop_assert!(port.mka.is_none());
    let data_key = |key: &Key| {
        let sak = Sak::new(key.sak.expose_octets()).expect("it was one");
        DataKey::new(Ki(key.check.0), port.cipher_suite, sak, key.salt).expect("fits the suite")
    };
    let offset = match port.confidentiality {
        Confidentiality::Encrypt(offset) => offset,
        Confidentiality::IntegrityOnly => ConfidentialityOffset::Zero,
    };
    let refused = |error: macsec::InstallError| TestCaseError::fail(error.to_string());
    secy.install_key(&data_key(&keys.key)).map_err(refused)?;
    let transmit = TransmitSa {
        an: keys.an,
        ki: Ki(keys.key.check.0),
        ssci: keys.ssci,
        next_pn: 1,
        confidentiality: port.confidentiality,
    };
    secy.install_transmit_sa(&transmit).map_err(refused)?;
    for peer in &keys.peers {
        if let Some(key) = &peer.key {
            secy.install_key(&data_key(key)).map_err(refused)?;
        }
        let ki = Ki(peer.key.as_ref().unwrap_or(&keys.key).check.0);
        secy.create_receive_sc(peer.sci).expect("another SCI, and there is room");
        let receive = ReceiveSa { an: peer.an, ki, ssci: peer.ssci, lowest_pn: 1, offset };
        secy.install_receive_sa(peer.sci, &receive).map_err(refused)?;
    }
    Ok(())
}

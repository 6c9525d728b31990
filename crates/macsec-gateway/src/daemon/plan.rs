//! What a new configuration changes, and what that means for traffic.

use std::{fmt, sync::Arc};

use macsec::{CipherSuite, Confidentiality};
use mka::SetOrder;

use crate::config::{Config, MkaConfig, MkaKey, Policy, PortConfig, Profile, Timestamp};

/// One step from the configuration in force to the new one.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Add(Arc<PortConfig>),
    Remove(Arc<PortConfig>),
    Change { old: Arc<PortConfig>, new: Arc<PortConfig> },
}

/// The steps from `old` to `new`: removals first, as what is added may want what they free.
pub(super) fn steps(old: &[Arc<PortConfig>], new: &[Arc<PortConfig>]) -> Vec<Step> {
    let find = |ports: &[Arc<PortConfig>], name: &str| {
        ports.iter().find(|port| port.name == name).map(Arc::clone)
    };
    let removed = old.iter().filter(|port| find(new, &port.name).is_none());
    let removed = removed.map(|port| Step::Remove(Arc::clone(port)));
    let others = new.iter().filter_map(|port| match find(old, &port.name) {
        None => Some(Step::Add(Arc::clone(port))),
        Some(old) if old == *port => None,
        Some(old) => Some(Step::Change { old, new: Arc::clone(port) }),
    });
    removed.chain(others).collect()
}

/// What a running gateway cannot change about itself; one line for each key.
pub(super) fn fixed(old: &Config, new: &Config) -> Vec<String> {
    let mut lines = Vec::new();
    let mut compare = |key: &str, same: bool| {
        if !same {
            lines.push(format!("{key}: takes a restart of the gateway to change"));
        }
    };
    compare("control_socket", old.control_socket == new.control_socket);
    compare("state_directory", old.state_directory == new.state_directory);
    compare("namespace", old.namespace == new.namespace);
    lines
}

/// In one line: what changes, and what becomes of traffic.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add(port) => write!(
                f,
                "port {}: added; takes uplink {} away from the host",
                port.name, port.uplink
            ),
            Self::Remove(port) => write!(
                f,
                "port {}: removed; its traffic stops, uplink {} is given back",
                port.name, port.uplink
            ),
            Self::Change { old, new } => {
                write!(f, "port {}: {}", new.name, changes(old, new).join("; "))
            }
        }
    }
}

const NEXT_FRAME: &str = "from the next frame on";
const PAUSE: &str = "frames are lost for a moment";
const NEXT_START: &str = "for keys that are not in use yet";
const REKEYED: &str = "traffic stops until the other end has the same";
const SAME_SESSION: &str = "the session goes on";
const KEYS_STAY: &str = "the session goes on, under the keys that stay";
const KEY_LEAVES: &str =
    "the session goes on; the key stays until another has been in use for two Life Times";
const NEW_SESSION: &str = "a new session, traffic stops until it is up (about a second)";
const OTHER_SESSION: &str = "a new session, traffic stops until the other end has the same";
const OTHER_TAP: &str =
    "the former TAP goes, with its addresses and routes, unless it is persistent";
const LARGER_SECY: &str = "the SecY is made anew, its counters begin at 0";
const OTHER_SECY: &str = "the SecY is made anew, its counters begin at 0; traffic stops until the other \
    end has the SCI as its peer's";
const OTHER_SCI: &str = "the SecY is made anew, its counters begin at 0; a new session, and traffic stops \
    until the other end has given up the former SCI (a Life Time)";
const OTHER_UPLINK: &str = "traffic moves to the other interface";
const OTHER_LINK: &str = "traffic moves to the other interface, and to a new session there";
const SUITE_SESSION: &str = "a new session, traffic stops until it is up (about a second, if the other end may use the same)";

/// What differs, key by key, each with what its change does.
fn changes(old: &PortConfig, new: &PortConfig) -> Vec<String> {
    let mut changes = Vec::new();
    let mut compare = |key: &str, old: String, new: String, effect: &str| {
        if old != new {
            changes.push(format!("{key} {old} -> {new}: {effect}"));
        }
    };
    let or_default = |value: Option<String>| value.unwrap_or_else(|| "default".to_owned());
    let on_both = |of: &dyn Fn(&PortConfig) -> String| (of(old), of(new));
    // What MKA agrees upon differs from what a key given by hand is made for.
    let both_mka = old.mka.is_some() && new.mka.is_some();
    let suite_of =
        |c: &PortConfig| if both_mka { String::new() } else { c.cipher_suite.to_string() };
    // A session does not outlive its link: whoever lets go of the uplink ends it.
    let [paused, opened] = if both_mka { [NEW_SESSION; 2] } else { [PAUSE, NEXT_FRAME] };
    let moved = if both_mka { OTHER_LINK } else { OTHER_UPLINK };
    let other_sci = if both_mka { OTHER_SCI } else { OTHER_SECY };
    let rows: [(&str, (String, String), &str); 23] = [
        ("uplink", on_both(&|c| c.uplink.clone()), moved),
        ("isolation", on_both(&|c| format!("{:?}", c.isolation).to_lowercase()), paused),
        ("uplink_mtu", on_both(&|c| or_default(c.uplink_mtu.map(|mtu| mtu.to_string()))), paused),
        ("promiscuous", on_both(&|c| c.promiscuous.to_string()), PAUSE),
        ("tap", on_both(&|c| c.tap.clone()), OTHER_TAP),
        ("mac", on_both(&|c| or_default(c.mac.map(|mac| mac.to_string()))), PAUSE),
        ("mtu", on_both(&|c| or_default(c.mtu.map(|mtu| mtu.to_string()))), NEXT_FRAME),
        ("inner_vlan_tags", on_both(&|c| c.inner_vlan_tags.to_string()), NEXT_FRAME),
        ("sci", on_both(&|c| or_default(c.sci.map(|sci| sci.to_string()))), other_sci),
        ("room for peers", on_both(&|c| c.room().peers.to_string()), LARGER_SECY),
        ("cipher_suite", on_both(&suite_of), REKEYED),
        ("confidentiality", on_both(&|c| confidentiality(c.confidentiality)), paused),
        ("protect_frames", on_both(&|c| c.controls.protect_frames.to_string()), opened),
        ("validate_frames", on_both(&|c| c.controls.validate_frames.to_string()), opened),
        ("replay_protect", on_both(&|c| c.controls.replay_protect.to_string()), NEXT_FRAME),
        ("replay_window", on_both(&|c| c.controls.replay_window.to_string()), NEXT_FRAME),
        ("detect_duplicates", on_both(&|c| c.controls.detect_duplicates.to_string()), NEXT_FRAME),
        ("always_include_sci", on_both(&|c| c.controls.always_include_sci.to_string()), NEXT_FRAME),
        ("use_es", on_both(&|c| c.controls.use_es.to_string()), NEXT_FRAME),
        ("use_scb", on_both(&|c| c.controls.use_scb.to_string()), NEXT_FRAME),
        (
            "vlan_tags_in_clear",
            on_both(&|c| format!("{:?}", c.controls.clear_vlan_tags).to_lowercase()),
            REKEYED,
        ),
        ("bypass_ethertypes", on_both(&|c| ether_types(&c.bypass)), NEXT_FRAME),
        ("compatibility", on_both(&|c| format!("{:?}", c.controls.compat)), NEXT_FRAME),
    ];
    for (key, (old, new), effect) in rows {
        compare(key, old, new, effect);
    }
    // What goes is told before what comes.
    if old.mka.is_some() && new.mka.is_none() {
        changes.push("mka removed: traffic stops".to_owned());
    }
    changes.extend(key_changes(old, new));
    match (&old.mka, &new.mka) {
        (None, Some(_)) => {
            changes.push("mka added: traffic begins when a peer is there".to_owned());
        }
        (Some(old), Some(new)) => changes.extend(mka_changes(old, new)),
        (_, None) => {}
    }
    changes
}

/// What becomes of MKA.
fn mka_changes(old: &MkaConfig, new: &MkaConfig) -> Vec<String> {
    let mut changes = cak_changes(old, new);
    let on_both = |of: &dyn Fn(&MkaConfig) -> String| (of(old), of(new));
    let seconds = |c: &MkaConfig| c.rekey_interval.map_or(0, |time| time.as_secs()).to_string();
    let profile = |c: &MkaConfig| c.profile.map_or("none", Profile::name).to_owned();
    let rows: [(&str, (String, String), &str); 14] = [
        ("profile", on_both(&profile), SAME_SESSION),
        ("key_server_priority", on_both(&|c| c.priority.to_string()), NEW_SESSION),
        ("cipher_suites", on_both(&|c| suites(c.suites.as_slice())), SUITE_SESSION),
        ("policy", on_both(&|c| policy(c.policy).to_owned()), NEW_SESSION),
        ("rekey_interval", on_both(&seconds), SAME_SESSION),
        ("rekey_on_peer_loss", on_both(&|c| c.rekey_on_peer_loss.to_string()), SAME_SESSION),
        ("destination", on_both(&|c| c.destination.to_string()), NEW_SESSION),
        ("ethertype", on_both(&|c| format!("{:#06x}", c.ethertype)), OTHER_SESSION),
        ("hello_time", on_both(&|c| c.hello_time.as_millis().to_string()), OTHER_SESSION),
        ("delay_protect", on_both(&|c| c.delay_protect.to_string()), NEW_SESSION),
        ("max_peers", on_both(&|c| c.max_peers.to_string()), NEW_SESSION),
        ("mka_version", on_both(&|c| c.version.to_string()), NEW_SESSION),
        ("icv_indicator", on_both(&|c| c.icv_indicator.to_string()), NEW_SESSION),
        ("set_order", on_both(&|c| set_order(c.set_order).to_owned()), NEW_SESSION),
    ];
    let rows = rows.into_iter().filter(|(_, (old, new), _)| old != new);
    changes.extend(
        rows.map(|(key, (old, new), effect)| format!("mka.{key} {old} -> {new}: {effect}")),
    );
    changes
}

/// Which CAKs come and go. They are told by their CKNs and check values, which are no secret.
fn cak_changes(old: &MkaConfig, new: &MkaConfig) -> Vec<String> {
    let stays = old.keys.iter().any(|key| new.has_cak_of(key));
    let replaced = if stays { KEYS_STAY } else { OTHER_SESSION };
    let has = |config: &MkaConfig, ckn| config.keys.iter().any(|key| key.ckn == ckn);
    let removed = old.keys.iter().filter(|key| !has(new, key.ckn));
    let mut changes: Vec<_> =
        removed.map(|key| format!("mka.key {} removed: {KEY_LEAVES}", key.ckn)).collect();
    for key in &new.keys {
        let ckn = key.ckn;
        let Some(before) = old.keys.iter().find(|before| before.ckn == ckn) else {
            changes.push(format!("mka.key {ckn} added: {SAME_SESSION}"));
            continue;
        };
        let instant = |at: Option<Timestamp>| at.map_or("none".to_owned(), |at| at.to_string());
        let on_both = |of: &dyn Fn(&MkaKey) -> String| (of(before), of(key));
        let rows = [
            ("cak", on_both(&|key| key.cak.check.to_string()), replaced),
            ("start", on_both(&|key| instant(key.start)), SAME_SESSION),
            ("end", on_both(&|key| instant(key.end)), SAME_SESSION),
            ("fallback", on_both(&|key| key.fallback.to_string()), SAME_SESSION),
        ];
        for (name, (old, new), effect) in rows.into_iter().filter(|(_, (old, new), _)| old != new) {
            changes.push(format!("mka.key {ckn} {name} {old} -> {new}: {effect}"));
        }
    }
    if changes.is_empty() && old.keys != new.keys {
        changes.push(format!("mka.key in another order: {SAME_SESSION}"));
    }
    changes
}

/// What becomes of the static keys. SAKs are told by their check values, which are no secret.
fn key_changes(old: &PortConfig, new: &PortConfig) -> Option<String> {
    match (&old.static_keys, &new.static_keys) {
        (Some(_), None) => Some("static_keys removed: traffic stops".to_owned()),
        (None, Some(_)) => Some("static_keys added: traffic begins".to_owned()),
        (Some(old), Some(new)) if old.key.check != new.key.check => {
            Some(format!("SAK {} -> {}: {REKEYED}", old.key.check, new.key.check))
        }
        (Some(old), Some(new)) if old.gives_same_sas(new) => (old.first_use != new.first_use)
            .then(|| format!("first_use {} -> {}: {NEXT_START}", old.first_use, new.first_use)),
        (Some(_), Some(_)) => Some(format!("static_keys: the SAs are made anew, {PAUSE}")),
        (None, None) => None,
    }
}

fn suites(suites: &[CipherSuite]) -> String {
    let names: Vec<_> = suites.iter().map(|suite| suite.name()).collect();
    format!("[{}]", names.join(", "))
}

fn policy(policy: Policy) -> &'static str {
    match policy {
        Policy::MustSecure => "must-secure",
        Policy::ShouldSecure => "should-secure",
    }
}

fn set_order(order: SetOrder) -> &'static str {
    match order {
        SetOrder::Ascending => "ascending",
        SetOrder::Standard => "standard",
    }
}

fn ether_types(ether_types: &[u16]) -> String {
    let texts: Vec<_> = ether_types.iter().map(|ether_type| format!("{ether_type:#06x}")).collect();
    format!("[{}]", texts.join(", "))
}

fn confidentiality(confidentiality: Confidentiality) -> String {
    match confidentiality {
        Confidentiality::IntegrityOnly => "false".to_owned(),
        Confidentiality::Encrypt(offset) => format!("true (offset {})", offset.octets()),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn config(ports: &str) -> (Config, Vec<Arc<PortConfig>>) {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("macsec.toml");
        fs::write(&file, ports).expect("written");
        // It may hold a key.
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("private");
        let mut config = Config::load(&file).expect("valid").config;
        let ports = std::mem::take(&mut config.ports).into_iter().map(Arc::new).collect();
        (config, ports)
    }

    fn told(old: &str, new: &str) -> Vec<String> {
        steps(&config(old).1, &config(new).1).iter().map(ToString::to_string).collect()
    }

    const A: &str = "[[port]]\nname = \"a\"\nuplink = \"eth1\"\n";
    const B: &str = "[[port]]\nname = \"b\"\nuplink = \"eth2\"\n";

    #[test]
    fn what_is_the_same_takes_no_step() {
        assert!(told(A, A).is_empty());
        assert!(told(&format!("{A}{B}"), &format!("{B}{A}")).is_empty(), "nor does the order");
    }

    #[test]
    fn ports_come_and_go_and_what_goes_goes_first() {
        assert_eq!(
            told(A, B),
            [
                "port a: removed; its traffic stops, uplink eth1 is given back",
                "port b: added; takes uplink eth2 away from the host",
            ]
        );
    }

    #[test]
    fn each_key_is_told_with_both_values_and_the_effect() {
        let new = format!("{A}replay_window = 64\nbypass_ethertypes = [0x88cc]\nmtu = 1400\n");
        assert_eq!(
            told(A, &new),
            [format!(
                "port a: mtu default -> 1400: {NEXT_FRAME}; replay_window 0 -> 64: {NEXT_FRAME}; \
                 bypass_ethertypes [] -> [0x88cc]: {NEXT_FRAME}"
            )]
        );
    }

    /// To take it out is what everybody is told to do after the first start.
    #[test]
    fn first_use_is_taken_out_without_a_pause() {
        let keys = |first_use, an| {
            format!(
                "{A}cipher_suite = \"gcm-aes-128\"\n[port.static_keys]\nfirst_use = {first_use}\n\
                 an = {an}\nsak = \"42424242424242424242424242424242\"\n\
                 [[port.static_keys.peer]]\nsci = \"02-00-00-00-00-02-0001\"\nan = 0\n"
            )
        };
        let line = told(&keys(true, 0), &keys(false, 0));
        assert_eq!(line, [format!("port a: first_use true -> false: {NEXT_START}")]);
        let line = told(&keys(true, 0), &keys(false, 1));
        assert_eq!(line, [format!("port a: static_keys: the SAs are made anew, {PAUSE}")]);
    }

    fn mka(lines: &str) -> String {
        let cak = if lines.contains("cak =") {
            ""
        } else {
            "cak = \"4242424242424242424242424242424242424242424242424242424242424242\"\n"
        };
        let ckn = if lines.contains("ckn =") { "" } else { "ckn = \"01\"\n" };
        format!("{A}[port.mka]\n{ckn}{cak}{lines}\n")
    }

    #[test]
    fn each_key_of_mka_is_told_and_the_session_goes_on_where_it_can() {
        let suites = "mka.cipher_suites [gcm-aes-xpn-256] -> [gcm-aes-256, gcm-aes-xpn-256]";
        let cases = [
            ("cak = \"43434343434343434343434343434343\"", "mka.key 01 cak ", OTHER_SESSION),
            (
                "profile = \"aws\"\ncipher_suites = [\"gcm-aes-xpn-256\"]",
                "mka.profile none -> aws",
                SAME_SESSION,
            ),
            ("key_server_priority = 0", "mka.key_server_priority 16 -> 0", NEW_SESSION),
            ("cipher_suites = [\"gcm-aes-256\", \"gcm-aes-xpn-256\"]", suites, SUITE_SESSION),
            ("policy = \"should-secure\"", "mka.policy must-secure -> should-secure", NEW_SESSION),
            ("rekey_interval = 30", "mka.rekey_interval 0 -> 30", SAME_SESSION),
            ("rekey_on_peer_loss = true", "mka.rekey_on_peer_loss false -> true", SAME_SESSION),
            (
                "destination = \"01-80-c2-00-00-00\"",
                "mka.destination 01:80:c2:00:00:03 -> 01:80:c2:00:00:00",
                NEW_SESSION,
            ),
            ("ethertype = 0x876f", "mka.ethertype 0x888e -> 0x876f", OTHER_SESSION),
            ("hello_time = 500", "mka.hello_time 2000 -> 500", OTHER_SESSION),
            ("max_peers = 2", "mka.max_peers 4 -> 2", NEW_SESSION),
            ("mka_version = 1", "mka.mka_version 3 -> 1", NEW_SESSION),
            ("icv_indicator = true", "mka.icv_indicator false -> true", NEW_SESSION),
            ("set_order = \"standard\"", "mka.set_order ascending -> standard", NEW_SESSION),
        ];
        for (line, change, effect) in cases {
            let steps = told(&mka(""), &mka(line));
            let [step] = &steps[..] else { panic!("{line}: one step") };
            assert!(step.starts_with(&format!("port a: {change}")), "{step}");
            assert!(step.ends_with(&format!(": {effect}")), "{step}");
            assert_eq!(step.matches(" -> ").count(), 1, "{step}");
            assert!(!step.contains("42424242") && !step.contains("43434343"), "{step}");
            let [old, new] = [mka(""), mka(line)].map(|text| config(&text).1.remove(0));
            let [old, new] = [&old, &new].map(|port| port.mka.as_ref().expect("there"));
            // The KaY sees to keys itself.
            let goes_on = effect == SAME_SESSION || line.starts_with("cak");
            assert_eq!(old.keeps_session(new), goes_on, "{line}");
        }
        assert!(told(&mka(""), &mka("hello_time = 2000")).is_empty());
    }

    /// `[[port.mka.key]]`, whose CAK is 32 times `octet`.
    fn key(ckn: &str, octet: &str, lines: &str) -> String {
        format!("[[port.mka.key]]\nckn = \"{ckn}\"\ncak = \"{}\"\n{lines}\n", octet.repeat(32))
    }

    #[test]
    fn keys_come_and_go_and_the_session_goes_on() {
        let end = "end = 2026-12-01T00:00:00+01:00";
        let [one, two, three] = [key("01", "41", ""), key("0a", "42", ""), key("03", "43", "")];
        let [other_cak, ends] = [key("0a", "44", ""), key("0a", "42", end)];
        let fallback = key("0a", "42", "fallback = true");
        let [one, two] = [&*one, &*two];
        let cases = [
            ([one, ""], [one, two], format!("mka.key 0a added: {SAME_SESSION}")),
            ([one, two], ["", two], format!("mka.key 01 removed: {KEY_LEAVES}")),
            (
                [one, two],
                [two, &three],
                format!("mka.key 01 removed: {KEY_LEAVES}; mka.key 03 added: {SAME_SESSION}"),
            ),
            (
                [one, two],
                [one, &ends],
                format!("mka.key 0a end none -> 2026-11-30T23:00:00Z: {SAME_SESSION}"),
            ),
            (
                [one, two],
                [one, &fallback],
                format!("mka.key 0a fallback false -> true: {SAME_SESSION}"),
            ),
            (
                [one, ""],
                [two, ""],
                format!("mka.key 01 removed: {KEY_LEAVES}; mka.key 0a added: {SAME_SESSION}"),
            ),
        ];
        for (old, new, expected) in cases {
            let [old, new] = [old, new].map(|keys| format!("{A}[port.mka]\n{}", keys.concat()));
            assert_eq!(told(&old, &new), [format!("port a: {expected}")]);
            let [old, new] = [&old, &new].map(|text| config(text).1.remove(0));
            let [old, new] = [&old, &new].map(|port| port.mka.as_ref().expect("there"));
            assert!(old.keeps_session(new), "{expected}");
        }
        // The same name for another CAK is another key.
        for (first, effect) in [(one, KEYS_STAY), ("", OTHER_SESSION)] {
            let [old, new] =
                [two, &*other_cak].map(|second| format!("{A}[port.mka]\n{first}{second}"));
            let steps = told(&old, &new);
            assert!(steps[0].starts_with("port a: mka.key 0a cak "), "{steps:?}");
            assert!(steps[0].ends_with(&format!(": {effect}")), "{steps:?}");
            assert!(!steps[0].contains("42424242"), "{steps:?}");
        }
        let [old, new] = [[one, two], [two, one]];
        let [old, new] = [old, new].map(|[a, b]| format!("{A}[port.mka]\n{a}{b}"));
        let line = format!("port a: mka.key in another order: {SAME_SESSION}");
        assert_eq!(told(&old, &new), [line]);
    }

    #[test]
    fn delay_protection_takes_faster_hellos() {
        let hello = format!("mka.hello_time 2000 -> 500: {OTHER_SESSION}");
        let protect = format!("mka.delay_protect false -> true: {NEW_SESSION}");
        let line = told(&mka(""), &mka("delay_protect = true"));
        assert_eq!(line, [format!("port a: {hello}; {protect}")]);
        let line = told(&mka("hello_time = 500"), &mka("delay_protect = true"));
        assert_eq!(line, [format!("port a: {protect}")]);
    }

    #[test]
    fn more_peers_than_there_is_room_for_take_another_secy() {
        let room = format!("room for peers 8 -> 62: {LARGER_SECY}");
        let peers = format!("mka.max_peers 4 -> 31: {NEW_SESSION}");
        let line = told(&mka(""), &mka("max_peers = 31"));
        assert_eq!(line, [format!("port a: {room}; {peers}")]);
        let line = told(&mka("max_peers = 1"), &mka("max_peers = 4"));
        assert_eq!(line, [format!("port a: mka.max_peers 1 -> 4: {NEW_SESSION}")]);
        let keys = |peers: u8| {
            let peer = |n| format!("[[port.static_keys.peer]]\nsci = \"02000000000200{n:02x}\"\n");
            let peers: String = (1..=peers).map(peer).collect();
            format!(
                "{A}cipher_suite = \"gcm-aes-128\"\n[port.static_keys]\n\
                 sak = \"42424242424242424242424242424242\"\n{peers}"
            )
        };
        let anew = format!("static_keys: the SAs are made anew, {PAUSE}");
        assert_eq!(told(&keys(1), &keys(8)), [format!("port a: {anew}")]);
        let room = format!("room for peers 8 -> 9: {LARGER_SECY}");
        assert_eq!(told(&keys(1), &keys(9)), [format!("port a: {room}; {anew}")]);
    }

    #[test]
    fn what_mka_takes_from_the_port_begins_a_new_session() {
        let integrity = mka("").replace("[port.mka]", "confidentiality = false\n[port.mka]");
        let line = told(&mka(""), &integrity);
        let change = "confidentiality true (offset 0) -> false";
        assert_eq!(line, [format!("port a: {change}: {NEW_SESSION}")]);
    }

    /// Regression: these were said to cost a moment, as they do with static keys.
    #[test]
    fn what_lets_go_of_the_uplink_ends_a_session() {
        let sci = "02-00-00-00-00-09-0001";
        for (line, change, effect) in [
            ("uplink_mtu = 9000", "uplink_mtu default -> 9000".to_owned(), NEW_SESSION),
            ("isolation = \"filter\"", "isolation namespace -> filter".to_owned(), NEW_SESSION),
            ("sci = \"02-00-00-00-00-09-0001\"", format!("sci default -> {sci}"), OTHER_SCI),
            ("promiscuous = true", "promiscuous false -> true".to_owned(), PAUSE),
        ] {
            let new = mka("").replace("[port.mka]", &format!("{line}\n[port.mka]"));
            assert_eq!(told(&mka(""), &new), [format!("port a: {change}: {effect}")]);
        }
        let line = told(A, &format!("{A}uplink_mtu = 9000\n"));
        assert_eq!(line, [format!("port a: uplink_mtu default -> 9000: {PAUSE}")]);
    }

    #[test]
    fn mka_comes_and_goes() {
        let keys = format!(
            "{A}[port.static_keys]\nssci = 1\nsalt = \"000102030405060708090a0b\"\n\
             sak = \"4242424242424242424242424242424242424242424242424242424242424242\"\n\
             [[port.static_keys.peer]]\nsci = \"02-00-00-00-00-02-0001\"\nssci = 2\n"
        );
        let added = "mka added: traffic begins when a peer is there";
        let removed = "static_keys removed: traffic stops";
        assert_eq!(told(&keys, &mka("")), [format!("port a: {removed}; {added}")]);
        let line = "port a: mka removed: traffic stops; static_keys added: traffic begins";
        assert_eq!(told(&mka(""), &keys), [line]);
        assert_eq!(told(&mka(""), A), ["port a: mka removed: traffic stops"]);
    }

    #[test]
    fn what_takes_a_restart_is_told() {
        let new = format!("namespace = \"other\"\n{A}");
        let lines = fixed(&config(A).0, &config(&new).0);
        assert_eq!(lines, ["namespace: takes a restart of the gateway to change"]);
        assert!(fixed(&config(A).0, &config(B).0).is_empty());
    }
}

//! What a new configuration changes, and what that means for traffic.

use std::{fmt, sync::Arc};

use macsec::Confidentiality;

use crate::config::{Config, PortConfig};

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
const OTHER_TAP: &str =
    "the former TAP goes, with its addresses and routes, unless it is persistent";
const OTHER_SECY: &str = "the SecY is made anew, its counters begin at 0";

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
    let rows: [(&str, (String, String), &str); 22] = [
        ("uplink", on_both(&|c| c.uplink.clone()), "traffic moves to the other interface"),
        ("isolation", on_both(&|c| format!("{:?}", c.isolation).to_lowercase()), PAUSE),
        ("uplink_mtu", on_both(&|c| or_default(c.uplink_mtu.map(|mtu| mtu.to_string()))), PAUSE),
        ("promiscuous", on_both(&|c| c.promiscuous.to_string()), PAUSE),
        ("tap", on_both(&|c| c.tap.clone()), OTHER_TAP),
        ("mac", on_both(&|c| or_default(c.mac.map(|mac| mac.to_string()))), PAUSE),
        ("mtu", on_both(&|c| or_default(c.mtu.map(|mtu| mtu.to_string()))), NEXT_FRAME),
        ("inner_vlan_tags", on_both(&|c| c.inner_vlan_tags.to_string()), NEXT_FRAME),
        ("sci", on_both(&|c| or_default(c.sci.map(|sci| sci.to_string()))), OTHER_SECY),
        ("cipher_suite", on_both(&|c| c.cipher_suite.to_string()), REKEYED),
        ("confidentiality", on_both(&|c| confidentiality(c.confidentiality)), PAUSE),
        ("protect_frames", on_both(&|c| c.controls.protect_frames.to_string()), NEXT_FRAME),
        ("validate_frames", on_both(&|c| c.controls.validate_frames.to_string()), NEXT_FRAME),
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
    changes.extend(key_changes(old, new));
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

    #[test]
    fn what_takes_a_restart_is_told() {
        let new = format!("namespace = \"other\"\n{A}");
        let lines = fixed(&config(A).0, &config(&new).0);
        assert_eq!(lines, ["namespace: takes a restart of the gateway to change"]);
        assert!(fixed(&config(A).0, &config(B).0).is_empty());
    }
}

//! What a new configuration changes, and what that means for traffic.

use std::{fmt, sync::Arc};

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
                write!(f, "port {}: ", new.name)?;
                for (index, (key, effect)) in changes(old, new).iter().enumerate() {
                    write!(f, "{}{key}: {effect}", if index > 0 { "; " } else { "" })?;
                }
                Ok(())
            }
        }
    }
}

const NEXT_FRAME: &str = "from the next frame on, nothing is interrupted";
const PAUSE: &str = "frames are lost for a moment";
const REKEYED: &str = "traffic stops until the other end has the same";

/// The keys that differ, each with what its change does.
fn changes(old: &PortConfig, new: &PortConfig) -> Vec<(&'static str, String)> {
    let mut changes = Vec::new();
    let mut compare = |key, same: bool, effect: &str| {
        if !same {
            changes.push((key, effect.to_owned()));
        }
    };
    let (a, b) = (&old.controls, &new.controls);
    compare("uplink", old.uplink == new.uplink, "traffic moves to the other interface");
    compare("isolation", old.isolation == new.isolation, PAUSE);
    compare("uplink_mtu", old.uplink_mtu == new.uplink_mtu, PAUSE);
    compare("promiscuous", old.promiscuous == new.promiscuous, PAUSE);
    compare(
        "tap",
        old.tap == new.tap,
        "the host's interface is another; the former goes, with its addresses and routes, \
         unless it is persistent",
    );
    compare("mac", old.mac == new.mac, PAUSE);
    compare("mtu", old.mtu == new.mtu, NEXT_FRAME);
    compare("inner_vlan_tags", old.inner_vlan_tags == new.inner_vlan_tags, NEXT_FRAME);
    compare("sci", old.sci == new.sci, "the SecY is made anew, its counters begin at 0");
    compare("cipher_suite", old.cipher_suite == new.cipher_suite, REKEYED);
    compare("confidentiality", old.confidentiality == new.confidentiality, PAUSE);
    compare("protect_frames", a.protect_frames == b.protect_frames, NEXT_FRAME);
    compare("validate_frames", a.validate_frames == b.validate_frames, NEXT_FRAME);
    compare("replay_protect", a.replay_protect == b.replay_protect, NEXT_FRAME);
    compare("replay_window", a.replay_window == b.replay_window, NEXT_FRAME);
    compare("detect_duplicates", a.detect_duplicates == b.detect_duplicates, NEXT_FRAME);
    compare("always_include_sci", a.always_include_sci == b.always_include_sci, NEXT_FRAME);
    compare("use_es", a.use_es == b.use_es, NEXT_FRAME);
    compare("use_scb", a.use_scb == b.use_scb, NEXT_FRAME);
    compare("vlan_tags_in_clear", a.clear_vlan_tags == b.clear_vlan_tags, REKEYED);
    compare("bypass_ethertypes", old.bypass == new.bypass, NEXT_FRAME);
    compare("accept_changed_text/disabled_decrypts", a.compat == b.compat, NEXT_FRAME);
    match (&old.static_keys, &new.static_keys) {
        (Some(_), None) => changes.push(("static_keys", "removed; traffic stops".to_owned())),
        (None, Some(_)) => changes.push(("static_keys", "added; traffic begins".to_owned())),
        (Some(old), Some(new)) if old.key.check != new.key.check => {
            changes.push(("static_keys", format!("another SAK; {REKEYED}")));
        }
        (Some(old), Some(new)) if old != new => {
            changes.push(("static_keys", format!("SAs are made anew; {PAUSE}")));
        }
        _ => {}
    }
    changes
}

//! The kernel's SecY: set up and asked by `ip macsec`.

use macsec::{COUNTERS, Sci, ValidateFrames};
use serde_json::Value;

use super::{
    Counts, Result,
    case::{Case, Form},
    guest::Guest,
    keys::Keys,
};

/// The interface of the SecY in the guest.
pub(super) const INTERFACE: &str = "macsec0";

/// A receive SC that is of no use.
const THIRD: &str = "024d530000030001";

/// Sets up the SecY of a case, in place of any that was there. `ours` is the receive SC's.
pub(super) fn set_up(guest: &mut Guest, case: &Case, keys: &Keys, ours: Sci) -> Result<()> {
    if guest.ip("link show macsec0").is_ok() {
        guest.ip("link delete macsec0")?;
    }
    guest.ip(&format!("link set eth0 mtu {}", case.mtu))?;
    let form = match (case.form, case.second_peer) {
        (Form::Explicit, false) => "send_sci on",
        (Form::EndStation, _) => "send_sci off end_station on",
        (Form::SingleCopyBroadcast, _) => "send_sci off scb on",
        (Form::Implicit, _) | (Form::Explicit, true) => "send_sci off",
    };
    let encrypt = if case.confidentiality { "on" } else { "off" };
    let validate = match case.validate() {
        ValidateFrames::Check => "check",
        _ => "strict",
    };
    let window = case.replay_window;
    let suite = case.suite.name();
    let an = case.an().number();
    guest.ip(&format!(
        "link add link eth0 name {INTERFACE} type macsec port 1 cipher {suite} {form} \
         encrypt {encrypt} validate {validate} encodingsa {an} replay on window {window}"
    ))?;
    let rx = format!("macsec add {INTERFACE} rx sci {}", word(ours));
    guest.ip(&format!("{rx} on"))?;
    guest.ip(&format!("{rx} sa {an} {}", sa(case, case.our_pn, keys.our_ssci, keys)))?;
    let tx = sa(case, case.kernel_pn, keys.kernel_ssci, keys);
    guest.ip(&format!("macsec add {INTERFACE} tx sa {an} {tx}"))?;
    if case.second_peer {
        guest.ip(&format!("macsec add {INTERFACE} rx sci {THIRD} on"))?;
    }
    guest.ip(&format!("link set {INTERFACE} up"))?;
    Ok(())
}

fn sa(case: &Case, pn: u64, ssci: u32, keys: &Keys) -> String {
    let key = format!("on key {} {}", hex::encode(keys.ki), hex::encode(&keys.kernel_sak));
    if case.suite.is_xpn() {
        format!("xpn {pn} salt {} ssci {ssci} {key}", hex::encode(keys.salt))
    } else {
        format!("pn {pn} {key}")
    }
}

fn word(sci: Sci) -> String {
    hex::encode(sci.0)
}

/// The counters of the SecY, under their names in 802.1AE-2018.
pub(super) fn counters(guest: &mut Guest) -> Result<Counts> {
    let text = guest.ip(&format!("-j -s macsec show {INTERFACE}"))?;
    let shown: Value = serde_json::from_str(&text)?;
    let secy = shown.get(0).ok_or("no SecY is shown")?;
    Ok(COUNTERS
        .iter()
        .map(|counter| (counter.name, counter.linux.iter().map(|name| sum(secy, name)).sum()))
        .collect())
}

/// A counter of the SecY itself, or of all its receive SCs.
fn sum(secy: &Value, name: &str) -> u64 {
    let receive_scs = secy["rx_sc"].as_array().into_iter().flatten();
    [secy].into_iter().chain(receive_scs).filter_map(|part| part[name].as_u64()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_where_they_are_shown() {
        let secy = serde_json::json!({
            "OutPktsEncrypted": 3,
            "sa_list": [{ "OutPktsEncrypted": 3 }],
            "rx_sc": [{ "InPktsOK": 4, "sa_list": [{ "InPktsOK": 4 }] }, { "InPktsOK": 1 }],
        });
        assert_eq!(sum(&secy, "OutPktsEncrypted"), 3);
        assert_eq!(sum(&secy, "InPktsOK"), 5);
        assert_eq!(sum(&secy, "InPktsLate"), 0);
    }
}

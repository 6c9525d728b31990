//! Their end: wpa_supplicant in the guest, and the kernel's SecY that it drives.

use macsec::{An, Ki};
use serde_json::Value;

use super::{CAK, CKN, Case, THEIR_PRIORITY, session::Look};
use crate::interop::{Result, gateway, guest::Guest, image, kernel};

const CONFIGURATION: &str = "/wpa.conf";

/// Writes the configuration of a case, and starts it.
///
/// It cannot use a SecY that it finds with SCs, as one that was killed leaves it: then it refuses every peer for ever
/// ("Can't create SC, discard peer"). So whoever starts it again has to take that away.
pub(super) fn start(guest: &mut Guest, case: &Case) -> Result<()> {
    if guest.ip(&format!("link show {}", kernel::INTERFACE)).is_ok() {
        guest.ip(&format!("link delete {}", kernel::INTERFACE))?;
    }
    let text = format!(
        "eapol_version=3
        ap_scan=0
        network={{
        key_mgmt=NONE
        eapol_flags=0
        macsec_policy=1
        macsec_integ_only={integrity_only}
        macsec_replay_protect=1
        macsec_replay_window={window}
        mka_cak={cak}
        mka_ckn={ckn}
        mka_priority={THEIR_PRIORITY}
        }}
        ",
        integrity_only = u8::from(!case.confidentiality),
        window = case.replay_window,
        cak = hex::encode(CAK),
        ckn = hex::encode(CKN),
    );
    guest.write(CONFIGURATION, &text)?;
    let program = image::SUPPLICANT;
    guest.start(&format!("{program} -i eth0 -D macsec_linux -c {CONFIGURATION} -ddKt"))
}

/// How the kernel's SecY stands.
pub(super) fn look(guest: &mut Guest) -> Result<Look> {
    let text = guest.ip("-j macsec show")?;
    // Nothing is said of no SecY.
    let shown: Value = serde_json::from_str(if text.is_empty() { "[]" } else { &text })?;
    Ok(shown.get(0).map_or_else(Look::default, look_at))
}

fn look_at(secy: &Value) -> Look {
    let ours = sci_word(gateway::MAC);
    let of_us = list(&secy["rx_sc"]).filter(|sc| sc["sci"] == ours.as_str());
    Look {
        sends: sas(secy).find(|(_, an)| secy["encoding_sa"] == an.number()),
        receives: of_us.flat_map(sas).collect(),
    }
}

/// The SAs in use of an SC.
fn sas(sc: &Value) -> impl Iterator<Item = (Ki, An)> + '_ {
    list(&sc["sa_list"]).filter(|sa| sa["active"] == true).filter_map(|sa| {
        let an = An::from_low_bits(sa["an"].as_u64()? as u8);
        let mut ki: [u8; 16] = hex::decode(sa["key"].as_str()?).ok()?.try_into().ok()?;
        // wpa_supplicant gives the kernel its key number as the CPU has it.
        ki[12..].reverse();
        Some((Ki(ki), an))
    })
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// An SCI as `ip -j` shows it.
fn sci_word(mac: [u8; 6]) -> String {
    format!("{:#x}", u64::from_be_bytes(macsec::Sci::new(macsec::MacAddress(mac), 1).0))
}

/// Has the kernel go on with `pn` where it sends.
pub(super) fn set_pn(guest: &mut Guest, an: An, pn: u32) -> Result<()> {
    guest.ip(&format!("macsec set {} tx sa {} pn {pn}", kernel::INTERFACE, an.number())).map(drop)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::interop::guest;

    #[test]
    fn a_secy_is_understood() {
        let key = format!("{}02000000", "07".repeat(12));
        let sa = serde_json::json!({ "an": 1, "pn": 9, "active": true, "key": key });
        let inactive = serde_json::json!({ "an": 2, "pn": 9, "active": false, "key": key });
        let secy = serde_json::json!({
            "encoding_sa": 1,
            "sa_list": [inactive, sa],
            "rx_sc": [
                { "sci": "0x24d53000001_0001".replace('_', ""), "sa_list": [sa] },
                { "sci": "0x24d530000030001", "sa_list": [inactive] },
            ],
        });
        let mut ki = [7; 16];
        ki[12..].copy_from_slice(&[0, 0, 0, 2]);
        let sa = (Ki(ki), An::from_low_bits(1));
        assert_eq!(look_at(&secy), Look { sends: Some(sa), receives: BTreeSet::from([sa]) });
        assert_eq!(look_at(&serde_json::json!({})), Look::default());
        assert_eq!(sci_word(guest::MAC), "0x24d530000020001");
    }
}

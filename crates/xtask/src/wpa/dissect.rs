//! What tshark makes of the MKPDUs that we send.

use std::{path::Path, process::Command};

use mka::ICV_LEN;

use super::Result;

/// Whether there is a tshark.
pub(super) fn is_installed(tshark: &Path) -> bool {
    Command::new(tshark).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Checks that tshark finds `count` MKPDUs from `mac` in a capture, and nothing to complain of in
/// them.
pub(super) fn check(tshark: &Path, capture: &Path, mac: [u8; 6], count: usize) -> Result<()> {
    let mac = mac.map(|octet| format!("{octet:02x}")).join(":");
    let output = Command::new(tshark)
        .arg("-r")
        .arg(capture)
        .args(["-Y", &format!("eapol && eth.src == {mac}"), "-T", "fields"])
        .args(["-e", "frame.number", "-e", "mka.icv", "-e", "_ws.expert.message"])
        .args(["-e", "_ws.malformed", "-e", "eth.trailer"])
        .output()
        .map_err(|error| format!("tshark: {error}"))?;
    if !output.status.success() {
        return Err(format!("tshark: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let text = String::from_utf8(output.stdout)?;
    for line in text.lines() {
        // It has come to the end, where the ICV is, and has nothing to add.
        let is_fine = match line.split('\t').collect::<Vec<_>>()[..] {
            [_, icv, ref complaints @ ..] => {
                icv.len() == 2 * ICV_LEN && complaints.iter().all(|field| field.is_empty())
            }
            _ => false,
        };
        if !is_fine {
            return Err(format!("tshark complains of {}: {line:?}", capture.display()).into());
        }
    }
    match text.lines().count() {
        found if found == count && count > 0 => Ok(()),
        found => Err(format!("tshark finds {found} MKPDUs of ours, not {count}").into()),
    }
}

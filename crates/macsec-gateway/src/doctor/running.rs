//! A port that runs: what it says of itself.

use super::{Finding, Sample, counters, interface, mka};
use crate::status::{PortStatus, SecyStatus};

/// Everything that the status of a port tells.
pub(super) fn port(sample: &Sample<'_>) -> Vec<Finding> {
    let status = sample.after;
    let mut findings: Vec<_> = status.problems.iter().map(|text| problem(text)).collect();
    if status.uplink.present && !status.uplink.carrier {
        findings.push(interface::no_carrier(&status.uplink.name));
    }
    findings.extend(status.mka.iter().flat_map(mka::findings));
    findings.extend(status.secy.iter().flat_map(controls));
    findings.extend(closed(status).filter(|_| findings.is_empty()));
    let mut findings: Vec<_> = findings.into_iter().map(|f| f.of_port(&status.name)).collect();
    findings.extend(counters(sample));
    findings
}

fn problem(text: &str) -> Finding {
    let advice = "Put that right; the port tries again every second, without a restart.";
    Finding::problem("gateway", text, advice)
}

/// Why the hosts cannot use the port, if nothing else says so.
fn closed(status: &PortStatus) -> Option<Finding> {
    const CHECK: &str = "controlled port";
    if status.controlled_port_enabled {
        return Some(Finding::ok(CHECK, "enabled"));
    }
    let (seen, advice) = match status.key_source.as_str() {
        "none" => (
            "closed: the port has no keys",
            "Give it [port.mka]: `macsec keygen mka` prints both ends' parts.",
        ),
        "mka" => (
            "closed: MKA has no session",
            "Look at it again in a few seconds: `macsec status` shows the peers, the log the rest.",
        ),
        _ => ("closed", "Look at it again in a few seconds: `macsec status`, and the log."),
    };
    Some(Finding::problem(CHECK, seen, advice))
}

/// Controls that leave something open.
fn controls(secy: &SecyStatus) -> Vec<Finding> {
    const CHECK: &str = "controls";
    let mut findings = Vec::new();
    if !secy.protect_frames {
        let seen = "protect_frames is off: frames leave IN CLEAR";
        findings.push(Finding::warning(CHECK, seen, "Set it to true."));
    }
    if secy.validate_frames != "strict" {
        let seen =
            format!("validate_frames is \"{}\": frames in clear are let in", secy.validate_frames);
        let advice = "Set it to \"strict\" once the other end protects everything.";
        findings.push(Finding::warning(CHECK, seen, advice));
    }
    if !secy.replay_protect {
        let seen = "replay_protect is off: old frames can be sent again by anybody";
        let advice = "Set it to true, with a replay_window above the reordering on the way.";
        findings.push(Finding::warning(CHECK, seen, advice));
    }
    findings
}

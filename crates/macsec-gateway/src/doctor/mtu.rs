//! Whether what the hosts send fits through the port.

use super::{Finding, interface::Tap};
use crate::config::PortConfig;

const CHECK: &str = "MTU";
/// What most hosts have.
const USUAL: u32 = 1500;
const VLAN_TAG: u32 = 4;

/// The MTU of the uplink beside that of the TAP, and those of the interfaces around the TAP.
pub(super) fn pair(port: &PortConfig, uplink: u32, tap: Option<&Tap>) -> Vec<Finding> {
    let greatest = port.greatest_mtu(uplink);
    let mtu = tap.map_or(port.mtu.unwrap_or(greatest), |tap| tap.mtu);
    let both = format!("uplink {uplink}, TAP {mtu}");
    if mtu > greatest {
        let seen = format!("{both}; at most {greatest} fits");
        let advice = match tap {
            Some(_) => format!("Somebody has set it: `ip link set {} mtu {greatest}`.", port.tap),
            None => format!("Write mtu = {greatest}, or raise the uplink's (uplink_mtu)."),
        };
        return vec![Finding::problem(CHECK, seen, advice)];
    }
    let mut findings = vec![if mtu < USUAL {
        let needed = USUAL + (uplink - greatest);
        let advice = format!(
            "Hosts with an MTU of {USUAL} behind a bridge or route need path MTU discovery. If the \
             line carries longer frames, set uplink_mtu = {needed} at both ends."
        );
        Finding::note(CHECK, both, advice)
    } else {
        Finding::ok(CHECK, both)
    }];
    let Some(tap) = tap else {
        return findings;
    };
    for (name, member) in tap.members.iter().filter(|(_, member)| *member > mtu) {
        let seen = format!("{name}, in one bridge with the TAP, has {member}: the TAP has {mtu}");
        let advice = format!(
            "A bridge does not cut frames: the longer ones are lost. `ip link set {name} mtu \
             {mtu}`, or raise uplink_mtu."
        );
        findings.push(Finding::warning(CHECK, seen, advice));
    }
    // What the tag needs is set aside if the configuration says so.
    let room = mtu + VLAN_TAG * u32::from(port.inner_vlan_tags);
    for (name, vlan) in tap.vlans.iter().filter(|(_, vlan)| *vlan + VLAN_TAG > room) {
        let seen =
            format!("the VLAN interface {name} has {vlan}, which leaves no room for its tag");
        let advice = format!("Write inner_vlan_tags = 1, or `ip link set {name} mtu {}`.", mtu - 4);
        findings.push(Finding::warning(CHECK, seen, advice));
    }
    findings
}

//! What the kernel can do, tried in a network namespace of its own that is gone afterwards.

use macsec_io::{
    netlink::Netlink,
    netns::Namespace,
    packet::{PacketRxRing, RxConfig, RxMode},
    tap::Tap,
};

use super::Finding;
use crate::{config::Isolation, uplink::MARK};

const CHECK: &str = "kernel";
/// What the interface for the trial is called.
const TRIAL: &str = "doctor0";

/// Tries what ports with `isolations` need.
pub(super) fn features(isolations: &[Isolation]) -> Vec<Finding> {
    let namespace = match Namespace::new() {
        Ok(namespace) => namespace,
        Err(error) => {
            let seen = format!("no network namespace can be made: {error}");
            let advice = "The kernel needs CONFIG_NET_NS, and a sandbox has to allow it; isolation \
                          = \"filter\" does without. Nothing else was tried.";
            return vec![if isolations.contains(&Isolation::Namespace) {
                Finding::problem(CHECK, seen, advice)
            } else {
                Finding::note(CHECK, seen, advice)
            }];
        }
    };
    let filter = isolations.contains(&Isolation::Filter);
    let tried = namespace.run(|| try_all(filter));
    tried.unwrap_or_else(|error| {
        let advice = "See whether /proc is mounted, and what a sandbox forbids.";
        vec![Finding::problem(CHECK, error.to_string(), advice)]
    })
}

/// In the namespace of the calling thread.
fn try_all(filter: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    // It is the interface for everything else, too.
    let tap = match Tap::create(TRIAL) {
        Ok(tap) => tap,
        Err(error) => {
            let advice = "The kernel needs CONFIG_TUN (`modprobe tun`), and this process \
                          /dev/net/tun (in a container: pass the device in).";
            return vec![Finding::problem(CHECK, format!("no TAP: {error}"), advice)];
        }
    };
    let up = Netlink::open().and_then(|mut netlink| netlink.set_up(tap.name()));
    if let Err(error) = up {
        let advice = "A gateway sets interfaces up and down: see what a sandbox forbids.";
        findings.push(Finding::problem(CHECK, format!("netlink: {error}"), advice));
        return findings;
    }
    let small = RxConfig { mode: RxMode::Slots { frames: 16 }, ..RxConfig::default() };
    if let Err(error) = PacketRxRing::open(tap.name(), &small) {
        let advice = "The kernel needs CONFIG_PACKET, with TPACKET_V2 rings; in a sandbox, let \
                      AF_PACKET sockets be opened.";
        findings.push(Finding::problem(CHECK, format!("no packet rings: {error}"), advice));
    }
    let barrier = || Netlink::open()?.install_barrier(tap.name(), MARK);
    if let (true, Err(error)) = (filter, barrier()) {
        let advice = "isolation = \"filter\" needs CONFIG_NET_SCH_INGRESS and CONFIG_NET_CLS_BPF; \
                      isolation = \"namespace\" does without.";
        findings.push(Finding::problem(CHECK, format!("no filters: {error}"), advice));
    }
    if findings.is_empty() {
        let filters = if filter { ", filters" } else { "" };
        let seen = format!("namespaces, TAP, packet rings{filters}: all tried");
        findings.push(Finding::ok(CHECK, seen));
    }
    findings
}

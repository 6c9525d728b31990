//! Interfaces as the machine has them: the uplink before it is taken and after, the TAP and what
//! stands beside it.

use std::fs;

use macsec_io::{
    netlink::{Link, Netlink, NetlinkError},
    netns::Namespace,
    offload::{self, Offload},
};

use super::Finding;
use crate::{
    config::PortConfig,
    uplink::{self, UplinkError},
};

const CHECK: &str = "uplink";

/// The uplink of a port that does not run: whether it could be taken. Returns it, if it is there.
pub(super) fn free_uplink(port: &PortConfig, namespace: &str) -> (Vec<Finding>, Option<Link>) {
    let name = &port.uplink;
    match uplink::inspect(name, port.isolation) {
        Ok(link) => {
            let up = if link.up { "up" } else { "down, will be set up" };
            let seen = format!("{name} is there, {up}, and nobody else uses it");
            let mut findings = vec![Finding::ok(CHECK, seen)];
            if link.up && !link.carrier {
                findings.push(no_carrier(name));
            }
            findings.extend(half_duplex(name));
            (findings, Some(link))
        }
        Err(UplinkError::Missing(_)) => match left_behind(name, namespace) {
            Some(link) => {
                let seen = format!("an earlier run has left {name} in the namespace {namespace}");
                let advice = format!(
                    "The next start takes it over. To have it back without one: `ip -n {namespace} \
                     link set {name} netns 1`."
                );
                (vec![Finding::note(CHECK, seen, advice)], Some(link))
            }
            None => (vec![refused(&UplinkError::Missing(name.clone()))], None),
        },
        Err(error) => {
            let link = Netlink::open().and_then(|mut netlink| netlink.link(name)).ok();
            (vec![refused(&error)], link)
        }
    }
}

/// What keeps an interface from being an uplink.
fn refused(error: &UplinkError) -> Finding {
    let (seen, advice) = match error {
        UplinkError::Missing(name) => (
            format!("there is no interface {name}"),
            "`ip link` shows the names. A gateway waits for it, and takes it when it comes."
                .to_owned(),
        ),
        UplinkError::OtherName { name, own } => {
            (format!("{name} is another name of {own}"), format!("Write uplink = \"{own}\"."))
        }
        UplinkError::NotEthernet(name) => (
            format!("{name} is no Ethernet interface"),
            "MACsec takes Ethernet: name the interface that the wire is plugged into.".to_owned(),
        ),
        UplinkError::HasAddresses { name, addresses } => (
            format!("{name} has addresses: {addresses}"),
            format!(
                "The host uses the TAP from now on: `ip address flush dev {name}`, and give the \
                     addresses to the TAP; in the network configuration, too."
            ),
        ),
        UplinkError::HasMaster { name, master } => (
            format!("{name} belongs to {master}"),
            format!("`ip link set {name} nomaster`, and put the TAP into {master} instead."),
        ),
        UplinkError::HasUpper { name, kind, upper } => (
            format!("the {kind} interface {upper} stands on {name}"),
            format!("`ip link delete {upper}`; make it anew on the TAP if it is still wanted."),
        ),
        UplinkError::HasQdisc { name, kind } => (
            format!("{name} has the queueing discipline {kind}, which would be lost"),
            format!("`tc qdisc delete dev {name} root`, or isolation = \"filter\"."),
        ),
        other => (other.to_string(), "Put that right, or use another interface.".to_owned()),
    };
    Finding::problem(CHECK, seen, advice)
}

/// An uplink that is a gateway's: what looking at the interface adds to what the gateway tells.
pub(super) fn taken_uplink(name: &str, isolation: &str, namespace: &str) -> Vec<Finding> {
    let look = |name: &str| Offload::ALL.map(|o| (o, offload::is_enabled(name, o)));
    let offloads = match isolation {
        "namespace" => match Namespace::open_named(namespace).and_then(|n| n.run(|| look(name))) {
            Ok(offloads) => offloads,
            Err(error) => {
                let seen = format!("{name} could not be looked at: {error}");
                let advice = "Nothing, if `macsec doctor` does not run as root. Else: without a \
                              pinned namespace a virtual uplink does not survive a kill of the \
                              gateway.";
                return vec![Finding::note(CHECK, seen, advice)];
            }
        },
        _ => look(name),
    };
    let on = offloads.into_iter().filter(|(_, on)| matches!(on, Ok(Some(true))));
    judge_offloads(name, &on.map(|(offload, _)| offload).collect::<Vec<_>>())
}

fn judge_offloads(name: &str, on: &[Offload]) -> Vec<Finding> {
    const CHECK: &str = "offloads";
    let harmful: Vec<_> = on
        .iter()
        .filter(|offload| {
            use Offload::{GenericReceive, LargeReceive, TcpSegmentation};
            matches!(offload, GenericReceive | LargeReceive | TcpSegmentation)
        })
        .map(|offload| format!("{offload:?}"))
        .collect();
    if harmful.is_empty() {
        return vec![Finding::ok(CHECK, format!("{name} neither glues nor cuts frames"))];
    }
    let seen = format!("{name} has {} on again", harmful.join(", "));
    let advice = "Something has turned them on since (a tuning service?): have it leave the uplink \
                  alone, and restart the gateway, which turns them off.";
    vec![Finding::problem(CHECK, seen, advice)]
}

pub(super) fn no_carrier(name: &str) -> Finding {
    Finding::problem(
        "carrier",
        format!("{name} has no signal"),
        "Look at cable, optics, and whether the other end is up. In a virtual machine: whether the \
         host has plugged the interface in.",
    )
}

fn half_duplex(name: &str) -> Option<Finding> {
    // Not of every interface, and not while it is down.
    let duplex = fs::read_to_string(format!("/sys/class/net/{name}/duplex")).ok()?;
    (duplex.trim() == "half").then(|| {
        let seen = format!("{name} runs at half duplex");
        Finding::warning(CHECK, seen, "Let both ends negotiate, or set both to full duplex.")
    })
}

fn left_behind(name: &str, namespace: &str) -> Option<Link> {
    let namespace = Namespace::open_named(namespace).ok()?;
    namespace.run(|| Netlink::open()?.link(name)).ok()?.ok()
}

/// The TAP, and the interfaces that share frames with it.
#[derive(Debug, Default)]
pub(super) struct Tap {
    /// Its MTU.
    pub(super) mtu: u32,
    /// The other members of its bridge, with their MTUs.
    pub(super) members: Vec<(String, u32)>,
    /// VLAN interfaces on it, with their MTUs.
    pub(super) vlans: Vec<(String, u32)>,
}

impl Tap {
    /// That of the calling thread's namespace; `None` if there is none.
    pub(super) fn find(name: &str) -> Option<Self> {
        let links = || -> Result<Vec<Link>, NetlinkError> { Netlink::open()?.links() };
        Self::among(name, &links().ok()?)
    }

    fn among(name: &str, links: &[Link]) -> Option<Self> {
        let tap = links.iter().find(|link| link.name == name)?;
        let named = |link: &Link| (link.name.clone(), link.mtu);
        let other = |link: &&Link| link.index != tap.index;
        let member = |link: &&Link| link.master.is_some() && link.master == tap.master;
        let vlan =
            |link: &&Link| link.lower == Some(tap.index) && link.kind.as_deref() == Some("vlan");
        Some(Self {
            mtu: tap.mtu,
            members: links.iter().filter(other).filter(member).map(named).collect(),
            vlans: links.iter().filter(vlan).map(named).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn offloads_that_do_harm() {
        assert_eq!(judge_offloads("up0", &[])[0].level, Level::Ok);
        assert_eq!(judge_offloads("up0", &[Offload::ReceiveChecksum])[0].level, Level::Ok);
        let findings = judge_offloads("up0", &[Offload::GenericReceive]);
        assert_eq!(findings[0].level, Level::Problem);
        assert!(findings[0].seen.contains("GenericReceive"), "{findings:?}");
    }
}

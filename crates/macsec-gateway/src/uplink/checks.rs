//! What an interface must not be to become an uplink.

use std::net::IpAddr;

use macsec_io::netlink::{Link, Netlink};

use super::{Isolation, UplinkError};

/// Refuses an interface that the host uses or that is part of something else. It is in the namespace of
/// the calling thread. `barrier`: with a barrier of ours, left by an earlier run.
pub(super) fn check(link: &Link, isolation: Isolation, barrier: bool) -> Result<(), UplinkError> {
    let name = link.name.clone();
    if !link.ethernet {
        return Err(UplinkError::NotEthernet(name));
    }
    let failed = |source| UplinkError::netlink(&link.name, source);
    let mut netlink = Netlink::open().map_err(failed)?;

    let addresses = netlink.addresses(&name).map_err(failed)?;
    let addresses: Vec<_> = addresses
        .iter()
        .filter(|(address, _)| !is_automatic(address))
        .map(|(address, prefix)| format!("{address}/{prefix}"))
        .collect();
    if !addresses.is_empty() {
        return Err(UplinkError::HasAddresses { name, addresses: addresses.join(", ") });
    }

    let links = netlink.links().map_err(failed)?;
    if let Some(master) = link.master {
        let master = links.into_iter().find(|other| other.index == master);
        let master = master.map_or_else(|| "another interface".to_owned(), |link| link.name);
        return Err(UplinkError::HasMaster { name, master });
    }
    // The two ends of a pair name each other, but neither stands on the other.
    let is_pair = |kind: &str| matches!(kind, "veth" | "netkit" | "vxcan");
    for upper in links.into_iter().filter(|other| other.lower == Some(link.index)) {
        let kind = upper.kind.unwrap_or_else(|| "stacked".to_owned());
        if !is_pair(&kind) {
            return Err(UplinkError::HasUpper { name, kind, upper: upper.name });
        }
    }

    if isolation == Isolation::Namespace {
        let qdiscs = netlink.qdiscs(&name).map_err(failed)?;
        let is_ours = |kind: &str| barrier && kind == "clsact";
        let lost = qdiscs.into_iter().find(|qdisc| qdisc.is_configured() && !is_ours(&qdisc.kind));
        if let Some(lost) = lost {
            return Err(UplinkError::HasQdisc { name, kind: lost.kind });
        }
    }
    Ok(())
}

/// The link-local address that every interface gets by itself: it goes with IPv6, and comes back.
fn is_automatic(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

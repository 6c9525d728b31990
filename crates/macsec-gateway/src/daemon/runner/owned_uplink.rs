//! An uplink that is ours.

use macsec_io::netlink::{LinkMonitor, Netlink};

use crate::{
    daemon::problem::Problem,
    status::UplinkState,
    uplink::{Claim, Uplink},
};

/// An uplink that is ours.
pub(super) struct OwnedUplink {
    _claim: Claim,
    pub(super) uplink: Uplink,
    /// Tells of changes where the uplink lives.
    pub(super) monitor: LinkMonitor,
    netlink: Netlink,
    pub(super) state: UplinkState,
}

impl OwnedUplink {
    pub(super) fn new(claim: Claim, uplink: Uplink) -> Result<Self, Problem> {
        let (monitor, mut netlink) =
            uplink.run(|| Ok::<_, Problem>((LinkMonitor::open()?, Netlink::open()?)))?;
        let state = state_of(&mut netlink, uplink.name())?;
        Ok(Self { _claim: claim, uplink, monitor, netlink, state })
    }

    pub(super) fn state(&mut self) -> Result<UplinkState, Problem> {
        state_of(&mut self.netlink, self.uplink.name())
    }
}

fn state_of(netlink: &mut Netlink, name: &str) -> Result<UplinkState, Problem> {
    let link = netlink.link(name)?;
    let mac = link
        .mac
        .ok_or_else(|| Problem::lasting(format!("uplink = {name:?}: no Ethernet interface")))?;
    Ok(UplinkState { mac, mtu: link.mtu, carrier: link.up && link.carrier })
}

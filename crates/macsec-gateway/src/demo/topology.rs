//! The demo's world: two clouds and two edges, each a network namespace, and a wire between the edges.
//!
//! ```text
//!  cloud A           edge A                      edge B           cloud B
//!  macsec0 (TAP) --- gateway --- wire-a === wire-b --- gateway --- macsec0 (TAP)
//!  10.99.0.1                                                      10.99.0.2
//! ```

use std::{
    net::{IpAddr, Ipv4Addr},
    os::fd::AsFd,
};

use macsec::ClearVlanTags;
use macsec_io::{
    netlink::{Netlink, NetlinkError, VethEnd},
    netns::{Namespace, NamespaceError},
    offload, sysctl,
    tap::{Tap, TapError},
};
use thiserror::Error;

use crate::port;

/// The name of the TAP in either cloud.
pub const TAP: &str = "macsec0";
/// The MTU of the wire, in octets of Ethernet payload.
pub const WIRE_MTU: u32 = 1500;
const PREFIX: u8 = 24;

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Cloud A and its gateway.
    A,
    /// Cloud B and its gateway.
    B,
}

impl End {
    /// Both ends.
    pub const BOTH: [Self; 2] = [Self::A, Self::B];

    /// The end's interface on the wire.
    pub fn wire(self) -> &'static str {
        match self {
            Self::A => "wire-a",
            Self::B => "wire-b",
        }
    }

    /// The MAC address of the end's wire interface and of its TAP.
    pub fn mac(self) -> [u8; 6] {
        [0x02, 0x4d, 0x53, 0, 0, self as u8 + 1]
    }

    /// The address of the end's TAP.
    pub fn address(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 99, 0, self as u8 + 1)
    }

    /// The other end.
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// The namespaces. Everything in them goes when this goes.
pub struct Topology {
    clouds: [Namespace; 2],
    edges: [Namespace; 2],
}

/// Why the world cannot be made.
#[derive(Debug, Error)]
pub enum TopologyError {
    /// A namespace.
    #[error("{0}")]
    Namespace(#[from] NamespaceError),
    /// A link.
    #[error("{0}")]
    Netlink(#[from] NetlinkError),
    /// A TAP.
    #[error("{0}")]
    Tap(#[from] TapError),
    /// A kernel setting.
    #[error("{0}")]
    Setting(#[from] std::io::Error),
    /// An offload.
    #[error("{0}")]
    Offload(#[from] offload::OffloadError),
}

impl Topology {
    /// Makes namespaces and wire. The wire is up and silent: no addresses, no IPv6, no ARP.
    ///
    /// # Errors
    /// [`TopologyError`]; above all missing privileges, a TAP being tried out too.
    pub fn new() -> Result<Self, TopologyError> {
        let clouds = [Namespace::new()?, Namespace::new()?];
        let edges = [Namespace::new()?, Namespace::new()?];
        // Better to know now than from a gateway that does not come up.
        clouds[0].run(|| Tap::create("probe%d").map(drop))??;
        let topology = Self { clouds, edges };
        topology.edge(End::A).run(|| {
            let near = VethEnd::new(End::A.wire()).mac(End::A.mac());
            let far = VethEnd::new(End::B.wire()).mac(End::B.mac());
            let far = far.namespace(topology.edge(End::B).as_fd());
            Netlink::open()?.create_veth(&near, &far)
        })??;
        for end in End::BOTH {
            topology.edge(end).run(|| -> Result<(), TopologyError> {
                let mut netlink = Netlink::open()?;
                sysctl::disable_ipv6(end.wire())?;
                offload::disable_all(end.wire())?;
                netlink.set_arp(end.wire(), false)?;
                netlink.set_mtu(end.wire(), WIRE_MTU)?;
                netlink.set_up(end.wire())?;
                Ok(())
            })??;
        }
        Ok(topology)
    }

    /// The namespace of an end's hosts.
    pub fn cloud(&self, end: End) -> &Namespace {
        &self.clouds[end as usize]
    }

    /// The namespace of an end's gateway: nothing in it but the wire.
    pub fn edge(&self, end: End) -> &Namespace {
        &self.edges[end as usize]
    }

    /// Brings up the TAP that the gateway of `end` has made: addresses, MTU, up. It is silent until
    /// someone uses it: what IPv6 says by itself could reach the other TAP before that is up, and
    /// would count as lost.
    ///
    /// # Errors
    /// [`TopologyError`].
    pub fn configure_tap(&self, end: End) -> Result<(), TopologyError> {
        self.cloud(end).run(|| {
            let mut netlink = Netlink::open()?;
            sysctl::disable_ipv6(TAP)?;
            offload::disable_all(TAP)?;
            netlink.set_mac(TAP, end.mac())?;
            netlink.set_mtu(TAP, port::inner_mtu(WIRE_MTU, 0, ClearVlanTags::None))?;
            netlink.set_up(TAP)?;
            netlink.add_address(TAP, IpAddr::V4(end.address()), PREFIX)?;
            Ok(())
        })?
    }
}

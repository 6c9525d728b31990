//! The demo's world: two clouds, each a network namespace, and a wire between them.
//!
//! ```text
//!  cloud A                                                          cloud B
//!  macsec0 (TAP) --- gateway --- wire-a === wire-b --- gateway --- macsec0 (TAP)
//!  10.99.0.1                                                       10.99.0.2
//! ```
//!
//! The wire ends in the clouds' own namespaces, where whoever listens sees it. What keeps the
//! clouds off it is the gateways' doing.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    os::fd::AsFd,
};

use macsec_io::{
    netlink::{Netlink, NetlinkError, VethEnd},
    netns::{Namespace, NamespaceError},
    sysctl,
    tap::{Tap, TapError},
};
use thiserror::Error;

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

    /// What the end is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }

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
}

impl Topology {
    /// Makes clouds and wire. All of it is silent until someone uses it: what IPv6 says by itself
    /// could reach the other TAP before that is up, and would count as lost.
    ///
    /// # Errors
    /// [`TopologyError`]; above all missing privileges.
    pub fn new() -> Result<Self, TopologyError> {
        let topology = Self { clouds: [Namespace::new()?, Namespace::new()?] };
        for end in End::BOTH {
            topology.cloud(end).run(|| make_tap(end))??;
        }
        topology.cloud(End::A).run(|| {
            let near = VethEnd::new(End::A.wire()).mac(End::A.mac());
            let far = VethEnd::new(End::B.wire()).mac(End::B.mac());
            let far = far.namespace(topology.cloud(End::B).as_fd());
            Netlink::open()?.create_veth(&near, &far)
        })??;
        for end in End::BOTH {
            topology.cloud(end).run(|| {
                let mut netlink = Netlink::open()?;
                netlink.set_mtu(end.wire(), WIRE_MTU)?;
                netlink.set_up(end.wire())
            })??;
        }
        Ok(topology)
    }

    /// The namespace of an end's hosts, and of its gateway.
    pub fn cloud(&self, end: End) -> &Namespace {
        &self.clouds[end as usize]
    }
}

/// Makes the TAP of `end` in the namespace of this thread. It stays when its gateway goes, as one
/// with addresses and routes should.
fn make_tap(end: End) -> Result<(), TopologyError> {
    sysctl::disable_ipv6_everywhere()?;
    Tap::create(TAP)?.set_persistent(true)?;
    Netlink::open()?.add_address(TAP, IpAddr::V4(end.address()), PREFIX)?;
    // What is measured is gateways, not hosts that wait a second before they ask (ARP) again. Older
    // kernels keep this from users who are not root, who may see that second.
    let _ = fs::write(format!("/proc/sys/net/ipv4/neigh/{TAP}/retrans_time_ms"), "20");
    Ok(())
}

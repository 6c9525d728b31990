//! Raw Ethernet frames of one interface, in batches, through memory shared with the kernel.
//!
//! [`PacketRxRing`] receives and [`PacketTxRing`] sends. They are two sockets, so that two threads
//! can have one each and the sending one never receives.
//!
//! [`FilteredSocket`] is for a protocol with a few frames a second, beside the rings: both ways, frame
//! by frame, one EtherType.
//!
//! Frames are octets from the destination address on, without FCS. The outer VLAN tag, which Linux
//! takes out of received frames, is put back where it was by the rings.
//!
//! An AF_PACKET socket is a copy, not a barrier: the host's own stack still receives what arrives
//! on the interface and may send on it. Keep it out by other means: a namespace of its own, or
//! [`install_barrier`](crate::netlink::Netlink::install_barrier), and in both
//! [`disable_ipv6`](crate::sysctl::disable_ipv6), ARP off, no addresses.

mod filtered;
mod frame;
mod mmap;
mod rx;
mod rx_blocks;
mod rx_slots;
mod socket;
mod tx;

pub use filtered::{FilteredConfig, FilteredSocket};
pub use rx::{BATCH, PacketRxRing, RxConfig, RxMode, RxStatistics};
pub use socket::PacketError;
pub use tx::{PacketTxRing, PushError, TxConfig, TxStatistics};

/// Octets of an Ethernet header: two addresses and an EtherType.
const ETHERNET_HEADER: usize = 14;
/// Octets of a VLAN tag.
const VLAN_TAG: usize = 4;
/// Frames longer than this fit no ring here (the kernel's own limit for one is a little higher).
const MAX_FRAME: usize = 65_000;

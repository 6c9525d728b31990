//! Linux packet I/O for a user-space MACsec gateway.
//!
//! A gateway sits between a wire (the *uplink*) and the host's own stack (the *controlled port*):
//!
//! ```text
//!            the wire                                             the host
//!               |                                                    |
//!        +------+------+   PacketRxRing   +-----------+    write   +-+---+
//!        |   uplink    | ===============> |  gateway  | =========> | TAP |
//!        |  (AF_PACKET)| <=============== | (a SecY)  | <========= |     |
//!        +-------------+   PacketTxRing   +-----------+    read    +-----+
//!
//!        netlink, sysctl, offload: set up both ends      netns: keep them apart
//! ```
//!
//! | module | what it does |
//! |---|---|
//! | [`packet`] | raw Ethernet frames of one interface, in batches through memory shared with the kernel |
//! | [`tap`] | an Ethernet interface whose wire is this process |
//! | [`poll`] | waiting for several of these at once |
//! | [`netlink`] | links, addresses, neighbours and a barrier against the host's stack (what `ip` and `tc` do), without starting a program |
//! | [`netns`] | network namespaces held by a file descriptor or by name, and code run inside them |
//! | [`offload`] | turning off what an interface would do to frames behind our back |
//! | [`interface`] | interface names and indices |
//! | [`peer`] | who is at the other end of a Unix socket |
//! | [`sysctl`] | the one kernel setting an uplink needs: no IPv6 |
//!
//! Nothing here knows MACsec. Frames are octets from the destination address on, without FCS.
//!
//! # Example: from the wire to a TAP
//!
//! ```no_run
//! use std::{os::fd::AsFd, time::Duration};
//! use macsec_io::{offload, packet::{PacketRxRing, RxConfig}, poll, sysctl, tap::Tap};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! sysctl::disable_ipv6("eth1")?; // the host stack must not talk on the uplink
//! offload::disable_all("eth1")?; // and frames must be whole when we see them
//!
//! let mut uplink = PacketRxRing::open("eth1", &RxConfig::default())?;
//! let tap = Tap::create("macsec%d")?;
//!
//! loop {
//!     let [ready] = poll::wait_readable([uplink.as_fd()], Some(Duration::from_secs(1)))?;
//!     if ready.error {
//!         uplink.take_error()?;
//!     }
//!     // No system call for each frame, no copy: the octets are the kernel's own ring.
//!     uplink.receive_batch(64, |frames| {
//!         for frame in frames {
//!             // ... validate in place, then:
//!             let _ = tap.write(frame);
//!         }
//!     });
//! }
//! # }
//! ```
//!
//! # Privileges
//!
//! Raw sockets and links need `CAP_NET_RAW` and `CAP_NET_ADMIN` in the network namespace they act
//! in; [`netns::enter_user_namespace`] gives both to an unprivileged process, in a namespace of its
//! own. A TAP also needs access to `/dev/net/tun`.
//!
//! # Unsafe code
//!
//! This crate calls the kernel, so it cannot do without. All of it is in two private modules:
//! `sys` (system calls) and `packet/mmap` (the shared memory). Both have safe interfaces.
#![cfg(target_os = "linux")]
#![warn(missing_docs)]

pub mod interface;
pub mod netlink;
pub mod netns;
pub mod offload;
pub mod packet;
pub mod peer;
pub mod poll;
pub mod sysctl;
pub mod tap;

mod bpf;
mod sys;

//! One protocol, both ways, frame by frame: [`FilteredSocket`].

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use super::socket::{PacketError, PacketSocket, failed};
use crate::bpf::{self, Instruction};
use crate::sys;

/// How many frames that are too long one call of [`FilteredSocket::recv`] takes out of the way. Whoever
/// sends nothing else must not keep it from returning.
const MAX_SKIPPED: u32 = 64;

/// The part of a VLAN tag that tells the VLAN.
const VLAN_ID: u32 = 0x0fff;

/// What to receive and how to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilteredConfig {
    /// The EtherType, e.g. 0x888E for EAPOL. It must be 0x0600 or above: below that are lengths.
    pub ether_type: u16,
    /// Group addresses that the interface is asked for, e.g. 01:80:C2:00:00:03 for EAPOL.
    pub groups: Vec<[u8; 6]>,
    /// A mark on every frame sent (SO_MARK), as in [`TxConfig::mark`](super::TxConfig::mark). 0 for
    /// none.
    pub mark: u32,
    /// Octets of the kernel's buffer for received frames. The kernel doubles it, and counts its own
    /// overhead: a frame of MKA takes about 800 octets. It has a minimum of its own; above the sysctl
    /// `rmem_max` it takes `CAP_NET_ADMIN` and is cut off there without.
    pub receive_buffer: usize,
}

/// A socket for the frames of one protocol on one interface, which come seldom and must not be lost in
/// the flood of the others: EAPOL beside the data of a MACsec port.
///
/// It receives frames of one EtherType, without a VLAN tag or with one of VLAN 0 (which only gives a
/// priority, and is taken off). All others are dropped by the kernel before they take room in the
/// buffer. It does not look at the destination: frames to other stations come too if another socket has
/// asked the interface for them. It does not receive what this host sends.
///
/// Frames pass that a barrier ([`install_barrier`](crate::netlink::Netlink::install_barrier)) keeps from
/// the host's stack.
///
/// It stays tied to the interface and network namespace it was opened in, and goes on when the
/// interface has been down.
pub struct FilteredSocket {
    socket: PacketSocket,
    /// As far as the kernel has been asked.
    dropped: AtomicU64,
    too_long: AtomicU64,
}

impl fmt::Debug for FilteredSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilteredSocket").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl FilteredSocket {
    /// Starts to receive on `interface`.
    ///
    /// # Errors
    /// [`PacketError`]: no such interface, no permission, or a bad configuration.
    pub fn open(interface: &str, config: &FilteredConfig) -> Result<Self, PacketError> {
        if config.ether_type < 0x0600 {
            return Err(PacketError::InvalidConfig("ether_type must be 0x0600 or above"));
        }
        let socket = PacketSocket::new(interface)?;
        socket.filter(&program(config.ether_type))?;
        socket.ignore_outgoing()?;
        socket.mark(config.mark)?;
        socket.set_receive_buffer(config.receive_buffer)?;
        for group in &config.groups {
            socket.join(libc::PACKET_MR_MULTICAST, *group)?;
        }
        // Last: until it is bound the socket receives nothing, so nothing that has not been filtered.
        // To all types: bound to one it would be asked after the barrier, which leaves it nothing.
        socket.bind(libc::ETH_P_ALL as u16)?;
        Ok(Self { socket, dropped: AtomicU64::new(0), too_long: AtomicU64::new(0) })
    }

    /// Takes the next frame that is there, and returns its length; `None` if there is none. It does not
    /// wait: poll for that.
    ///
    /// Frames that do not fit into `buffer` are skipped and counted ([`FilteredSocket::too_long`]).
    ///
    /// # Errors
    /// [`PacketError::InterfaceDown`], once each time the interface goes down or is removed: see
    /// [`FilteredSocket::check_interface`]. [`PacketError::Io`].
    pub fn recv(&self, buffer: &mut [u8]) -> Result<Option<usize>, PacketError> {
        for _ in 0..MAX_SKIPPED {
            match sys::receive(self.as_fd(), buffer) {
                Ok(len) if len <= buffer.len() => return Ok(Some(len)),
                Ok(_) => self.too_long.fetch_add(1, Ordering::Relaxed),
                Err(error) => {
                    return match error.kind() {
                        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(None),
                        _ => Err(failed("recv")(error)),
                    };
                }
            };
        }
        Ok(None)
    }

    /// Sends a frame, from its destination address on, without FCS. It does not wait.
    ///
    /// # Errors
    /// The frame has not been sent. [`PacketError::InterfaceDown`], [`PacketError::InterfaceGone`];
    /// [`PacketError::Io`] with `ENOBUFS` or `EAGAIN` if the interface is congested (or a filter has
    /// dropped it), `EMSGSIZE` if it is longer than the MTU allows, `EINVAL` if it is no frame.
    pub fn send(&self, frame: &[u8]) -> Result<(), PacketError> {
        sys::send(self.as_fd(), frame).map_err(failed("send"))
    }

    /// Asks the kernel whether the interface is up. One that is removed goes down first, and the
    /// socket has no second error to tell: after [`PacketError::InterfaceDown`] ask now and then.
    ///
    /// # Errors
    /// [`PacketError::InterfaceDown`] or [`PacketError::InterfaceGone`].
    pub fn check_interface(&self) -> Result<(), PacketError> {
        self.socket.check_interface()
    }

    /// How many frames of the protocol have been lost since it was opened because the buffer was full.
    ///
    /// # Errors
    /// [`PacketError::Io`] when the kernel does not give its count.
    pub fn dropped(&self) -> Result<u64, PacketError> {
        // The kernel's count is 32 bits wide and starts again each time it is read.
        let counts =
            sys::packet_statistics_v2(self.as_fd()).map_err(failed("PACKET_STATISTICS"))?;
        let more = u64::from(counts.tp_drops);
        Ok(self.dropped.fetch_add(more, Ordering::Relaxed) + more)
    }

    /// How many frames have been skipped because they did not fit into the buffer of the caller.
    pub fn too_long(&self) -> u64 {
        self.too_long.load(Ordering::Relaxed)
    }
}

impl AsFd for FilteredSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What is received whole, all else not at all. The kernel has taken the outer VLAN tag off before it
/// asks, so the type is the one behind it, and the tag stands beside the frame.
fn program(ether_type: u16) -> [Instruction; 10] {
    [
        bpf::load(libc::SKF_AD_PROTOCOL),
        bpf::jump_if_equal(ether_type.into(), 0, 7),
        // Before Linux 4.20 our own frames come too.
        bpf::load(libc::SKF_AD_PKTTYPE),
        bpf::jump_if_equal(libc::PACKET_OUTGOING.into(), 5, 0),
        bpf::load(libc::SKF_AD_VLAN_TAG_PRESENT),
        bpf::jump_if_equal(0, 2, 0),
        bpf::load(libc::SKF_AD_VLAN_TAG),
        bpf::jump_if_any(VLAN_ID, 1, 0),
        bpf::answer(u32::MAX),
        bpf::answer(0),
    ]
}

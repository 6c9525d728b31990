//! What all of them have in common: an AF_PACKET socket, tied to one interface.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::MAX_FRAME;
use super::mmap::{Layout, Region};
use crate::bpf::Instruction;
use crate::interface::{self, InterfaceError};
use crate::sys;

/// Why a ring or another packet socket cannot be had, or has failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum PacketError {
    /// The interface cannot be addressed.
    Interface(InterfaceError),
    /// `CAP_NET_RAW` is missing in this network namespace.
    PermissionDenied,
    /// A value of the configuration is out of bounds.
    InvalidConfig(&'static str),
    /// The interface is down. They go on when it is up again.
    InterfaceDown,
    /// The interface has been removed. They are of no more use.
    InterfaceGone,
    /// Another failure, of the step named. `ENOMEM` when a ring is set up: make it smaller.
    Io(&'static str, io::Error),
}

impl fmt::Display for PacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interface(error) => error.fmt(f),
            Self::PermissionDenied => {
                write!(f, "no permission for a packet socket: CAP_NET_RAW is needed")
            }
            Self::InvalidConfig(what) => write!(f, "packet socket configuration: {what}"),
            Self::InterfaceDown => write!(f, "the interface of the packet socket is down"),
            Self::InterfaceGone => write!(f, "the interface of the packet socket has been removed"),
            Self::Io(what, error) => write!(f, "packet socket: {what}: {error}"),
        }
    }
}

impl std::error::Error for PacketError {}

impl From<InterfaceError> for PacketError {
    fn from(error: InterfaceError) -> Self {
        Self::Interface(error)
    }
}

/// Makes a [`PacketError`] of the failure of `step`.
pub(super) fn failed(step: &'static str) -> impl Fn(io::Error) -> PacketError {
    move |error| match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => PacketError::PermissionDenied,
        Some(libc::ENETDOWN) => PacketError::InterfaceDown,
        Some(libc::ENXIO | libc::ENODEV) => PacketError::InterfaceGone,
        _ => PacketError::Io(step, error),
    }
}

/// An AF_PACKET socket of one interface, not bound yet: it receives nothing until `bind`.
#[derive(Debug)]
pub(super) struct PacketSocket {
    fd: OwnedFd,
    pub(super) index: u32,
}

impl PacketSocket {
    pub(super) fn new(interface: &str) -> Result<Self, PacketError> {
        let index = interface::index_of(interface)?;
        let fd = sys::socket(libc::AF_PACKET, libc::SOCK_RAW, 0).map_err(failed("socket"))?;
        Ok(Self { fd, index })
    }

    /// Sets an integer option of level SOL_PACKET.
    pub(super) fn set(
        &self,
        option: i32,
        value: i32,
        name: &'static str,
    ) -> Result<(), PacketError> {
        sys::set_option(self.as_fd(), libc::SOL_PACKET, option, &value).map_err(failed(name))
    }

    /// Asks the interface for frames it would not take otherwise.
    pub(super) fn join(&self, kind: i32, address: [u8; 6]) -> Result<(), PacketError> {
        let mut mr_address = [0; 8];
        mr_address[..6].copy_from_slice(&address);
        let membership = libc::packet_mreq {
            mr_ifindex: self.index as i32,
            mr_type: kind as u16,
            mr_alen: 6,
            mr_address,
        };
        sys::set_option(self.as_fd(), libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &membership)
            .map_err(failed("PACKET_ADD_MEMBERSHIP"))
    }

    /// Asks for none of the frames that this host sends. Before Linux 4.20 they come all the same.
    pub(super) fn ignore_outgoing(&self) -> Result<(), PacketError> {
        match self.set(libc::PACKET_IGNORE_OUTGOING, 1, "PACKET_IGNORE_OUTGOING") {
            Err(PacketError::Io(_, error)) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => {
                Ok(())
            }
            other => other,
        }
    }

    /// Receives only what `program` says.
    pub(super) fn filter(&self, program: &[Instruction]) -> Result<(), PacketError> {
        sys::attach_filter(self.as_fd(), program).map_err(failed("SO_ATTACH_FILTER"))
    }

    /// Puts a mark on every frame sent; 0 for none.
    pub(super) fn mark(&self, mark: u32) -> Result<(), PacketError> {
        if mark == 0 {
            return Ok(());
        }
        sys::set_option(self.as_fd(), libc::SOL_SOCKET, libc::SO_MARK, &mark.cast_signed())
            .map_err(failed("SO_MARK"))
    }

    /// Octets of the buffer for received frames.
    pub(super) fn set_receive_buffer(&self, octets: usize) -> Result<(), PacketError> {
        let octets = octets.min(1 << 30) as i32;
        let level = libc::SOL_SOCKET;
        // In a user namespace the force is missing; the sysctl rmem_max then limits it.
        sys::set_option(self.as_fd(), level, libc::SO_RCVBUFFORCE, &octets)
            .or_else(|_| sys::set_option(self.as_fd(), level, libc::SO_RCVBUF, &octets))
            .map_err(failed("SO_RCVBUF"))
    }

    /// `protocol`: an EtherType, `ETH_P_ALL`, or 0 for a socket that only sends.
    pub(super) fn bind(&self, protocol: u16) -> Result<(), PacketError> {
        sys::bind_packet(self.as_fd(), self.index, protocol).map_err(failed("bind"))
    }

    pub(super) fn map(&self, layout: Layout) -> Result<Vec<Region>, PacketError> {
        Region::map(self.as_fd(), layout).map_err(failed("mmap"))
    }

    pub(super) fn check_interface(&self) -> Result<(), PacketError> {
        match sys::interface_is_up(self.as_fd(), self.index).map_err(failed("interface flags"))? {
            true => Ok(()),
            false => Err(PacketError::InterfaceDown),
        }
    }

    /// The pending error of the socket (SO_ERROR), which reading clears.
    pub(super) fn take_error(&self) -> Result<(), PacketError> {
        let error = sys::get_option::<i32>(self.as_fd(), libc::SOL_SOCKET, libc::SO_ERROR)
            .map_err(failed("SO_ERROR"))?;
        if error == 0 {
            return Ok(());
        }
        Err(failed("pending error")(io::Error::from_raw_os_error(error)))
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A ring of `frames` slots (TPACKET_V2), for frames of up to `max_frame` octets.
///
/// Slots are of the exact size (in steps of 16 octets) and not a power of two: a power of two would
/// put the same octets of all frames into the same few cache sets.
pub(super) fn slot_layout(max_frame: usize, frames: usize) -> Result<Layout, PacketError> {
    if !(60..=MAX_FRAME).contains(&max_frame) {
        return Err(PacketError::InvalidConfig("max_frame must be 60 to 65000 octets"));
    }
    if !(2..=65_536).contains(&frames) {
        return Err(PacketError::InvalidConfig("frames must be 2 to 65536"));
    }
    let page = sys::page_size();
    let region_size = (max_frame + super::frame::SLOT_OVERHEAD).next_multiple_of(16);
    // Blocks of 64 KiB or a little more waste little and are easy for the kernel to find.
    let block_size = region_size.max(65_536).next_multiple_of(page);
    let regions_per_block = block_size / region_size;
    Ok(Layout {
        block_size,
        block_count: frames.div_ceil(regions_per_block),
        regions_per_block,
        region_size,
        status_at: 0,
    })
}

/// The same for setsockopt(PACKET_RX_RING or PACKET_TX_RING).
pub(super) fn slot_request(layout: &Layout) -> Result<libc::tpacket_req, PacketError> {
    Ok(libc::tpacket_req {
        tp_block_size: narrow(layout.block_size)?,
        tp_block_nr: narrow(layout.block_count)?,
        tp_frame_size: narrow(layout.region_size)?,
        tp_frame_nr: narrow(layout.block_count * layout.regions_per_block)?,
    })
}

pub(super) fn narrow(value: usize) -> Result<u32, PacketError> {
    u32::try_from(value).map_err(|_| PacketError::InvalidConfig("ring larger than 4 GiB"))
}

//! Turning off what an interface does to frames behind our back.
//!
//! With transmit checksum offload a veth hands over frames whose checksum is still to be computed,
//! and with segmentation offloads "frames" of 64 KiB. A gateway that reads them from an AF_PACKET
//! socket would protect octets that never were a valid frame. Large receive offloads glue frames
//! together, which breaks the rule that one MACsec frame carries one frame.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use crate::interface::{self, InterfaceError};
use crate::sys;

/// One offload that `ethtool -K` can switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Offload {
    /// Checksums of received packets verified by the interface.
    ReceiveChecksum,
    /// Checksums of sent packets computed by the interface.
    TransmitChecksum,
    /// Frames handed over in pieces.
    ScatterGather,
    /// TCP segmented by the interface (TSO).
    TcpSegmentation,
    /// Segmentation put off to the last moment (GSO).
    GenericSegmentation,
    /// Received segments glued together by the kernel (GRO).
    GenericReceive,
    /// Received segments glued together by the interface (LRO).
    LargeReceive,
}

impl Offload {
    /// All of them, in an order in which they can be disabled (segmentation needs the others).
    pub const ALL: [Self; 7] = [
        Self::LargeReceive,
        Self::GenericReceive,
        Self::GenericSegmentation,
        Self::TcpSegmentation,
        Self::ScatterGather,
        Self::TransmitChecksum,
        Self::ReceiveChecksum,
    ];

    /// (get, set) commands of linux/ethtool.h; large receive has none of its own.
    fn commands(self) -> (u32, u32) {
        match self {
            Self::ReceiveChecksum => (0x14, 0x15),
            Self::TransmitChecksum => (0x16, 0x17),
            Self::ScatterGather => (0x18, 0x19),
            Self::TcpSegmentation => (0x1e, 0x1f),
            Self::GenericSegmentation => (0x23, 0x24),
            Self::LargeReceive => (0x25, 0x26),
            Self::GenericReceive => (0x2b, 0x2c),
        }
    }

    /// The bit that means "on" in the value of the commands (ETH_FLAG_LRO for large receive).
    fn bit(self) -> Option<u32> {
        (self == Self::LargeReceive).then_some(1 << 15)
    }
}

/// Why offloads could not be read or changed.
#[derive(Debug)]
#[non_exhaustive]
pub enum OffloadError {
    /// The interface cannot be addressed.
    Interface(InterfaceError),
    /// `CAP_NET_ADMIN` is missing in the network namespace of the interface.
    PermissionDenied(String),
    /// Another failure of the kernel, on the interface named.
    Io(String, io::Error),
}

impl fmt::Display for OffloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interface(error) => error.fmt(f),
            Self::PermissionDenied(name) => {
                write!(f, "no permission to change offloads of {name:?}: CAP_NET_ADMIN is needed")
            }
            Self::Io(name, error) => write!(f, "offloads of {name:?}: {error}"),
        }
    }
}

impl std::error::Error for OffloadError {}

impl From<InterfaceError> for OffloadError {
    fn from(error: InterfaceError) -> Self {
        Self::Interface(error)
    }
}

/// Whether an offload is on; `None` when the driver does not know it.
///
/// # Errors
/// [`OffloadError`]; an offload the driver does not support is no error.
pub fn is_enabled(interface: &str, offload: Offload) -> Result<Option<bool>, OffloadError> {
    let (get, _) = offload.commands();
    let value = call(interface, get, 0)?;
    Ok(value.map(|v| v & offload.bit().unwrap_or(u32::MAX) != 0))
}

/// Disables every offload the interface has. Returns those that are still on because the driver
/// fixes them: an uplink with any of [`Offload::GenericReceive`], [`Offload::LargeReceive`] or
/// [`Offload::TcpSegmentation`] left should be refused.
///
/// # Errors
/// [`OffloadError`]; an offload the driver does not support or will not change is no error.
pub fn disable_all(interface: &str) -> Result<Vec<Offload>, OffloadError> {
    for offload in Offload::ALL {
        disable(interface, offload)?;
    }
    let mut left = Vec::new();
    for offload in Offload::ALL {
        if is_enabled(interface, offload)? == Some(true) {
            left.push(offload);
        }
    }
    Ok(left)
}

fn disable(interface: &str, offload: Offload) -> Result<(), OffloadError> {
    let (get, set) = offload.commands();
    let value = match offload.bit() {
        None => 0,
        // The flags of others share this word.
        Some(bit) => match call(interface, get, 0)? {
            Some(flags) if flags & bit != 0 => flags & !bit,
            _ => return Ok(()),
        },
    };
    call(interface, set, value).map(drop)
}

/// Every feature of an interface that can be switched, and whether it is asked for: to put them all
/// back after [`disable_all`], also those that its few commands cannot tell apart.
///
/// What a bit stands for is the running kernel's own matter: a value means nothing after a reboot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Features(Vec<[u32; 2]>);

impl Features {
    /// Those of `interface` now.
    ///
    /// # Errors
    /// [`OffloadError`].
    pub fn of(interface: &str) -> Result<Self, OffloadError> {
        let (socket, name) = address(interface)?;
        let words = sys::ethtool_features(socket.as_fd(), &name);
        Ok(Self(words.map_err(|e| io_error(interface, e))?))
    }

    /// Puts them back. What cannot be changed now is left as it is.
    ///
    /// # Errors
    /// [`OffloadError`].
    pub fn restore(&self, interface: &str) -> Result<(), OffloadError> {
        // A value from elsewhere may know features that are fixed here.
        let now = Self::of(interface)?;
        let words: Vec<_> = now
            .0
            .iter()
            .zip(&self.0)
            .map(|([changeable, _], [known, on])| [changeable & known, changeable & known & on])
            .collect();
        let (socket, name) = address(interface)?;
        // The kernel takes its own number of words and no other.
        if words.len() != now.0.len() {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "features of another kernel");
            return Err(OffloadError::Io(interface.to_owned(), error));
        }
        sys::ethtool_set_features(socket.as_fd(), &name, &words).map_err(|e| io_error(interface, e))
    }

    /// As numbers, to be kept in a file: for each 32 features, which can be changed and which are on.
    #[must_use]
    pub fn words(&self) -> &[[u32; 2]] {
        &self.0
    }

    /// From what [`Features::words`] gave.
    #[must_use]
    pub fn from_words(words: Vec<[u32; 2]>) -> Self {
        Self(words)
    }
}

/// A socket for ioctls on `interface`, and its name for them.
fn address(interface: &str) -> Result<(OwnedFd, [u8; libc::IFNAMSIZ]), OffloadError> {
    let name = interface::raw_name(interface)?;
    let socket = sys::socket(libc::AF_UNIX, libc::SOCK_DGRAM, 0);
    Ok((socket.map_err(|e| io_error(interface, e))?, name))
}

/// `None`: not supported by this driver.
fn call(interface: &str, command: u32, data: u32) -> Result<Option<u32>, OffloadError> {
    let (socket, name) = address(interface)?;
    match sys::ethtool_value(socket.as_fd(), &name, command, data) {
        Ok(value) => Ok(Some(value)),
        Err(error) => match error.raw_os_error() {
            Some(libc::EOPNOTSUPP | libc::EINVAL) => Ok(None),
            _ => Err(io_error(interface, error)),
        },
    }
}

fn io_error(interface: &str, error: io::Error) -> OffloadError {
    match error.raw_os_error() {
        Some(libc::ENODEV) => InterfaceError::NotFound(interface.to_owned()).into(),
        Some(libc::EPERM) => OffloadError::PermissionDenied(interface.to_owned()),
        _ => OffloadError::Io(interface.to_owned(), error),
    }
}

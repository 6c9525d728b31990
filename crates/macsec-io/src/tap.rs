//! A TAP interface: an Ethernet interface of the host whose wire is this process.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use crate::interface::{self, InterfaceError};
use crate::sys;

const DEVICE: &str = "/dev/net/tun";

/// Why a TAP cannot be had. Each text names what is missing.
#[derive(Debug)]
#[non_exhaustive]
pub enum TapError {
    /// `/dev/net/tun` does not exist, or the kernel has no driver behind it.
    NoDevice,
    /// `/dev/net/tun` exists but this process may not open it.
    DevicePermission,
    /// `CAP_NET_ADMIN` is missing in this network namespace (and the TAP named is not a persistent
    /// one that belongs to this user).
    PermissionDenied(String),
    /// Another process holds the TAP.
    Busy(String),
    /// The interface exists and is no TAP (or a multi-queue one, or one with packet information).
    NotATap(String),
    /// The name is malformed, or there is no such interface to open.
    Interface(InterfaceError),
    /// Another failure, of the operation named.
    Io(&'static str, io::Error),
}

impl fmt::Display for TapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDevice => {
                write!(f, "{DEVICE} is missing: load the module tun, or `mknod {DEVICE} c 10 200`")
            }
            Self::DevicePermission => write!(
                f,
                "no permission to open {DEVICE}: run as its owner or have its mode changed"
            ),
            Self::PermissionDenied(name) => write!(
                f,
                "no permission to attach to TAP {name:?}: CAP_NET_ADMIN is needed, or a persistent \
                 TAP owned by this user"
            ),
            Self::Busy(name) => write!(f, "TAP {name:?} is held by another process"),
            Self::NotATap(name) => {
                write!(f, "interface {name:?} exists and is no single-queue TAP")
            }
            Self::Interface(error) => error.fmt(f),
            Self::Io(what, error) => write!(f, "TAP: {what}: {error}"),
        }
    }
}

impl std::error::Error for TapError {}

impl From<InterfaceError> for TapError {
    fn from(error: InterfaceError) -> Self {
        Self::Interface(error)
    }
}

/// An open TAP. Dropping it removes the interface, unless it is persistent.
///
/// Frames are octets from the destination address on, VLAN tags in place, without FCS and with
/// complete checksums. It stays tied to the network namespace it was made in: one made inside
/// [`Namespace::run`](crate::netns::Namespace::run) can be used from any thread afterwards.
#[derive(Debug)]
pub struct Tap {
    device: File,
    name: String,
}

impl Tap {
    /// Creates the TAP `name`, or attaches to it if a persistent one is there. A `%d` in the name
    /// stands for the lowest free number. A new TAP is down and has carrier.
    ///
    /// # Errors
    /// [`TapError`].
    pub fn create(name: &str) -> Result<Self, TapError> {
        let raw = interface::raw_name(name)?;
        // Non-blocking: a caller waits with `poll`, for this and the uplink together.
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open(DEVICE)
            .map_err(open_error)?;
        let flags = libc::IFF_TAP | libc::IFF_NO_PI;
        let attached =
            sys::tun_attach(device.as_fd(), &raw, flags).map_err(|e| attach_error(name, e))?;
        let octets = attached.split(|o| *o == 0).next().unwrap_or_default();
        Ok(Self { device, name: String::from_utf8_lossy(octets).into_owned() })
    }

    /// Attaches to an existing persistent TAP and never creates one.
    ///
    /// # Errors
    /// [`TapError`]; a missing one is [`InterfaceError::NotFound`].
    pub fn open(name: &str) -> Result<Self, TapError> {
        interface::index_of(name)?;
        Self::create(name)
    }

    /// The interface's name at the time it was opened.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads one frame that the host sent, and returns its length in octets.
    ///
    /// `buffer` must be *longer* than any frame (MTU + 14 + 4 for each VLAN tag): the kernel cuts
    /// without a word, so a frame that fills the buffer to the end may be cut and is an error.
    ///
    /// # Errors
    /// `WouldBlock` when there is none, so also while the interface is down; `InvalidData` for a
    /// frame too long for `buffer` (it is lost); others as read(2), of them `EBADFD` once the
    /// interface has been removed, which `poll` shows as an error that stays.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = (&self.device).read(buffer)?;
        if len >= buffer.len() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "frame as long as the buffer"));
        }
        Ok(len)
    }

    /// Hands one frame to the host, as if it had arrived on the interface.
    ///
    /// # Errors
    /// As write(2): `InvalidInput` for one shorter than an Ethernet header, `EIO` while the
    /// interface is down. Too long for the MTU is no error: the host decides what it takes.
    pub fn write(&self, frame: &[u8]) -> io::Result<()> {
        // The driver takes a frame whole or not at all.
        (&self.device).write(frame).map(drop)
    }

    /// Whether the interface outlives this process (and so do its addresses and routes).
    ///
    /// # Errors
    /// [`TapError::Io`].
    pub fn set_persistent(&self, on: bool) -> Result<(), TapError> {
        sys::tun_set_persistent(self.as_fd(), on).map_err(|e| TapError::Io("TUNSETPERSIST", e))
    }

    /// Plugs (`true`) or unplugs the cable, as the host sees it.
    ///
    /// # Errors
    /// [`TapError::Io`]; kernels before 4.20 have no such call.
    pub fn set_carrier(&self, on: bool) -> Result<(), TapError> {
        sys::tun_set_carrier(self.as_fd(), on).map_err(|e| TapError::Io("TUNSETCARRIER", e))
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

fn open_error(error: io::Error) -> TapError {
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => TapError::NoDevice,
        Some(libc::EACCES | libc::EPERM) => TapError::DevicePermission,
        _ => TapError::Io("open /dev/net/tun", error),
    }
}

fn attach_error(name: &str, error: io::Error) -> TapError {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => TapError::PermissionDenied(name.to_owned()),
        Some(libc::EBUSY) => TapError::Busy(name.to_owned()),
        Some(libc::EINVAL | libc::EEXIST) => TapError::NotATap(name.to_owned()),
        _ => TapError::Io("TUNSETIFF", error),
    }
}

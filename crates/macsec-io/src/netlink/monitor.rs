//! Learning that links have changed.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use super::NetlinkError;
use super::socket::refused;

/// Messages read at most in one [`LinkMonitor::drain`]. If more are there, it stays readable.
const MAX_MESSAGES: usize = 256;

/// Becomes readable when a link appears, goes, or changes (up, carrier, MTU, name, ...).
///
/// It does not say which: ask [`Netlink`](super::Netlink) for what you care about, also once after
/// this was opened, for what was before.
#[derive(Debug)]
pub struct LinkMonitor {
    socket: Socket,
}

impl LinkMonitor {
    /// Watches the links in the network namespace of the calling thread.
    ///
    /// # Errors
    /// [`NetlinkError::Io`].
    pub fn open() -> Result<Self, NetlinkError> {
        let listen = || {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.set_non_blocking(true)?;
            socket.bind(&SocketAddr::new(0, libc::RTMGRP_LINK as u32))?;
            Ok(socket)
        };
        let socket = listen().map_err(|e| refused("open link monitor", e))?;
        Ok(Self { socket })
    }

    /// Reads what there is, without waiting. `true`: some link has changed since the last call (or the
    /// kernel had more to tell than it could keep, which includes any change).
    ///
    /// # Errors
    /// [`NetlinkError::Io`].
    pub fn drain(&mut self) -> Result<bool, NetlinkError> {
        let mut changed = false;
        for _ in 0..MAX_MESSAGES {
            // Only that there is a message counts: one octet of it is enough, the rest is thrown away.
            let mut octet = [0; 1];
            match self.socket.recv(&mut octet.as_mut_slice(), 0) {
                Ok(_) => changed = true,
                Err(error) => match (error.kind(), error.raw_os_error()) {
                    (io::ErrorKind::WouldBlock, _) => break,
                    (io::ErrorKind::Interrupted, _) => {}
                    (_, Some(libc::ENOBUFS)) => changed = true,
                    _ => return Err(refused("link monitor", error)),
                },
            }
        }
        Ok(changed)
    }
}

impl AsFd for LinkMonitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

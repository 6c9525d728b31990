//! Waiting for several file descriptors at once.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// What poll(2) said about one descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Readiness {
    /// There is something to receive.
    pub readable: bool,
    /// There is an error to take (of a packet socket mostly: the interface went down). It stays
    /// until it is taken (`take_error`), and `wait_readable` returns at once until then.
    pub error: bool,
}

/// Waits until one of `sources` is readable or has an error, at most `timeout` (to the nanosecond
/// as far as the machine's timers go; `None` waits for ever). All `false` means that time is up, or
/// that a signal arrived: the caller's loop can then look at its flags.
///
/// # Errors
/// Those of ppoll(2): `ENOMEM`, or more descriptors than `RLIMIT_NOFILE`.
pub fn wait_readable<const N: usize>(
    sources: [BorrowedFd<'_>; N],
    timeout: Option<Duration>,
) -> io::Result<[Readiness; N]> {
    let mut polled = sources.map(|source| libc::pollfd {
        fd: source.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    });
    crate::sys::poll(&mut polled, timeout)?;
    Ok(polled.map(|fd| Readiness {
        readable: fd.revents & libc::POLLIN != 0,
        error: fd.revents & (libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) != 0,
    }))
}

//! Waiting for several file descriptors at once.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use arrayvec::ArrayVec;

/// What poll(2) said about one descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Readiness {
    /// There is something to receive.
    pub readable: bool,
    /// There is an error to take (of a packet socket mostly: the interface went down). It stays
    /// until it is taken (`take_error`), and `wait_readable` returns at once until then.
    pub error: bool,
}

/// How many descriptors [`wait_readable_list`] takes at most.
pub const MAX_SOURCES: usize = 16;

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
    let mut polled = sources.map(asked);
    crate::sys::poll(&mut polled, timeout)?;
    Ok(polled.map(|fd| answered(&fd)))
}

/// [`wait_readable`] for sources whose number is not known beforehand: what is said of `sources[i]`
/// stands in `ready[i]`.
///
/// # Errors
/// As [`wait_readable`]; `InvalidInput` for more than [`MAX_SOURCES`] sources, or for a `ready` of
/// another length.
pub fn wait_readable_list(
    sources: &[BorrowedFd<'_>],
    ready: &mut [Readiness],
    timeout: Option<Duration>,
) -> io::Result<()> {
    if sources.len() > MAX_SOURCES || sources.len() != ready.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut polled: ArrayVec<_, MAX_SOURCES> = sources.iter().copied().map(asked).collect();
    crate::sys::poll(&mut polled, timeout)?;
    for (ready, fd) in ready.iter_mut().zip(&polled) {
        *ready = answered(fd);
    }
    Ok(())
}

fn asked(source: BorrowedFd<'_>) -> libc::pollfd {
    libc::pollfd { fd: source.as_raw_fd(), events: libc::POLLIN, revents: 0 }
}

fn answered(fd: &libc::pollfd) -> Readiness {
    Readiness {
        readable: fd.revents & libc::POLLIN != 0,
        error: fd.revents & (libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) != 0,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_list_is_answered_in_its_order() {
        let (mut a, b) = UnixStream::pair().unwrap();
        let sources = [a.as_fd(), b.as_fd()];
        let mut ready = [Readiness { readable: true, error: true }; 2];
        wait_readable_list(&sources, &mut ready, Some(Duration::ZERO)).unwrap();
        assert_eq!(ready, [Readiness::default(); 2]);
        a.write_all(b"x").unwrap();
        let sources = [a.as_fd(), b.as_fd()];
        wait_readable_list(&sources, &mut ready, None).unwrap();
        assert_eq!(ready, [Readiness::default(), Readiness { readable: true, error: false }]);
        wait_readable_list(&[], &mut [], Some(Duration::ZERO)).unwrap();
    }

    #[test]
    fn a_list_that_does_not_fit_is_refused() {
        let (a, _b) = UnixStream::pair().unwrap();
        let sources = [a.as_fd(); MAX_SOURCES + 1];
        let mut ready = [Readiness::default(); MAX_SOURCES + 1];
        assert!(wait_readable_list(&sources, &mut ready, None).is_err());
        assert!(wait_readable_list(&sources[..2], &mut ready[..1], None).is_err());
    }
}

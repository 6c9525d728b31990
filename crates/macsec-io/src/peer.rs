//! Who is at the other end of a Unix socket.

use std::io;
use std::os::fd::AsFd;

use crate::sys;

/// A process as it was when it connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerCredentials {
    /// Its effective user.
    pub uid: u32,
    /// Its number; 0 if it has none here, as it is of another PID namespace.
    pub pid: i32,
}

/// Who has connected to `socket`, a Unix socket. The kernel says so, and not the peer.
///
/// # Errors
/// Those of getsockopt(2).
pub fn credentials(socket: &impl AsFd) -> io::Result<PeerCredentials> {
    let libc::ucred { pid, uid, .. } = sys::peer_credentials(socket.as_fd())?;
    Ok(PeerCredentials { uid, pid })
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn the_other_end_of_a_pair_is_this_process() {
        let (one, _other) = UnixStream::pair().unwrap();
        let (uid, _) = sys::effective_ids();
        let pid = std::process::id().cast_signed();
        assert_eq!(credentials(&one).unwrap(), PeerCredentials { uid, pid });
    }
}

//! Kernel settings under `/proc/sys/net`, of the calling thread's network namespace.

use std::fs;
use std::io;

use crate::interface::{self, InterfaceError};

/// Keeps the host's IPv6 stack off an interface. An idle interface without addresses sends router
/// solicitations and neighbour discovery otherwise: clear text on the uplink.
///
/// Returns `false` when the kernel has no IPv6 at all, so there is nothing to disable.
///
/// # Errors
/// `InvalidInput` for a malformed name, `NotFound` when the interface is not in this network
/// namespace, `PermissionDenied` without `CAP_NET_ADMIN` (or with `/proc/sys` mounted read-only).
pub fn disable_ipv6(interface: &str) -> io::Result<bool> {
    // Looked up, as `all` and `default` stand there too.
    interface::index_of(interface).map_err(|error| {
        let kind = match error {
            InterfaceError::InvalidName(_) => io::ErrorKind::InvalidInput,
            InterfaceError::NotFound(_) => io::ErrorKind::NotFound,
        };
        io::Error::new(kind, error)
    })?;
    let conf = "/proc/sys/net/ipv6/conf";
    if !fs::exists(conf)? {
        return Ok(false);
    }
    let path = format!("{conf}/{interface}/disable_ipv6");
    fs::write(&path, "1\n").map_err(|e| io::Error::new(e.kind(), format!("{path}: {e}")))?;
    Ok(true)
}

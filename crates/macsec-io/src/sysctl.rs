//! Kernel settings under `/proc/sys/net`, of the calling thread's network namespace.

use std::fs;
use std::io;

use crate::interface::{self, InterfaceError};

const CONF: &str = "/proc/sys/net/ipv6/conf";

/// Keeps the host's IPv6 stack off an interface. An idle interface without addresses sends router
/// solicitations and neighbour discovery otherwise: clear text on the uplink.
///
/// Returns `false` when there is nothing to disable: the kernel has no IPv6 at all, or keeps it off
/// this interface itself (because its MTU is less than 1280).
///
/// # Errors
/// `InvalidInput` for a malformed name, `NotFound` when the interface is not in this network
/// namespace, `PermissionDenied` without `CAP_NET_ADMIN` (or with `/proc/sys` mounted read-only).
pub fn disable_ipv6(interface: &str) -> io::Result<bool> {
    set_ipv6_disabled(interface, true)
}

/// As [`disable_ipv6`], either way: `disabled = false` lets IPv6 in again.
///
/// # Errors
/// As [`disable_ipv6`].
pub fn set_ipv6_disabled(interface: &str, disabled: bool) -> io::Result<bool> {
    let Some(path) = setting_of(interface)? else {
        return Ok(false);
    };
    write(&path, disabled)?;
    Ok(true)
}

/// Whether IPv6 is kept off an interface; `None` when there is none to be kept off, as explained for
/// [`disable_ipv6`].
///
/// # Errors
/// As [`disable_ipv6`].
pub fn is_ipv6_disabled(interface: &str) -> io::Result<Option<bool>> {
    let Some(path) = setting_of(interface)? else {
        return Ok(None);
    };
    let text = fs::read_to_string(&path).map_err(|e| about(&path, &e))?;
    Ok(Some(text.trim() != "0"))
}

/// Keeps IPv6 off every interface of this namespace, those that are there and those that come: a
/// link moved into a private namespace then never says a word. Not for the host's own namespace.
///
/// Returns `false` when the kernel has no IPv6 at all.
///
/// # Errors
/// `PermissionDenied` without `CAP_NET_ADMIN` (or with `/proc/sys` mounted read-only).
pub fn disable_ipv6_everywhere() -> io::Result<bool> {
    if !fs::exists(CONF)? {
        return Ok(false);
    }
    for which in ["all", "default"] {
        write(&format!("{CONF}/{which}/disable_ipv6"), true)?;
    }
    Ok(true)
}

/// The file of the setting; `None` if there is no IPv6 on the interface.
fn setting_of(interface: &str) -> io::Result<Option<String>> {
    // Looked up, as `all` and `default` stand there too.
    interface::index_of(interface).map_err(|error| {
        let kind = match error {
            InterfaceError::InvalidName(_) => io::ErrorKind::InvalidInput,
            InterfaceError::NotFound(_) => io::ErrorKind::NotFound,
        };
        io::Error::new(kind, error)
    })?;
    let path = format!("{CONF}/{interface}/disable_ipv6");
    Ok(fs::exists(&path)?.then_some(path))
}

fn write(path: &str, on: bool) -> io::Result<()> {
    fs::write(path, if on { "1\n" } else { "0\n" }).map_err(|e| about(path, &e))
}

fn about(path: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{path}: {error}"))
}

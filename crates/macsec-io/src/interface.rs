//! Interface names and indices, in the network namespace of the calling thread.

use std::ffi::CStr;
use std::fmt;

/// Why an interface cannot be addressed by a name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InterfaceError {
    /// Not a name Linux would give an interface: 1 to 15 octets, no `/`, `:`, space or control
    /// character, not `.` or `..`.
    InvalidName(String),
    /// There is no such interface in this network namespace.
    NotFound(String),
}

impl fmt::Display for InterfaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidName(name) => write!(
                f,
                "{name:?} is no interface name: use 1 to 15 octets without '/', ':' or white space"
            ),
            Self::NotFound(name) => {
                write!(f, "interface {name:?} does not exist in this network namespace")
            }
        }
    }
}

impl std::error::Error for InterfaceError {}

/// The kernel's index of the interface `name`.
///
/// # Errors
/// [`InterfaceError`] when the name is malformed or not there.
pub fn index_of(name: &str) -> Result<u32, InterfaceError> {
    let raw = raw_name(name)?;
    let c_name = CStr::from_bytes_until_nul(&raw)
        .map_err(|_| InterfaceError::InvalidName(name.to_owned()))?;
    match crate::sys::interface_index(c_name) {
        0 => Err(InterfaceError::NotFound(name.to_owned())),
        index => Ok(index),
    }
}

/// The name as `struct ifreq` wants it: padded with NULs, at least one of them.
pub(crate) fn raw_name(name: &str) -> Result<[u8; libc::IFNAMSIZ], InterfaceError> {
    let octets = name.as_bytes();
    let forbidden = |o: &u8| o.is_ascii_control() || matches!(o, b'/' | b':' | b' ');
    if octets.is_empty()
        || octets.len() >= libc::IFNAMSIZ
        || octets.iter().any(forbidden)
        || matches!(name, "." | "..")
    {
        return Err(InterfaceError::InvalidName(name.to_owned()));
    }
    let mut raw = [0; libc::IFNAMSIZ];
    raw[..octets.len()].copy_from_slice(octets);
    Ok(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for bad in ["", ".", "..", "a/b", "a b", "a:b", "nul\0", "0123456789abcdef"] {
            assert!(matches!(raw_name(bad), Err(InterfaceError::InvalidName(_))), "{bad:?}");
        }
        assert_eq!(&raw_name("0123456789abcde").unwrap(), b"0123456789abcde\0");
        assert!(matches!(index_of("no-such-if"), Err(InterfaceError::NotFound(_))));
    }
}

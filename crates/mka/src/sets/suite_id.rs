//! Cipher suites as MKA names them.

use core::fmt;

use macsec::CipherSuite;

use crate::hex::Hex;

/// A cipher suite on the wire: one of ours, or eight octets that name another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SuiteId {
    /// One of the four. The misprint of GCM-AES-128 in old documents counts as GCM-AES-128.
    Known(CipherSuite),
    /// Any other.
    Unknown([u8; 8]),
}

impl SuiteId {
    pub(crate) fn of(identifier: [u8; 8]) -> Self {
        CipherSuite::from_identifier(identifier).map_or(Self::Unknown(identifier), Self::Known)
    }

    /// The suite, if it is one of ours.
    #[must_use]
    pub const fn known(self) -> Option<CipherSuite> {
        match self {
            Self::Known(suite) => Some(suite),
            Self::Unknown(_) => None,
        }
    }
}

impl fmt::Display for SuiteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(suite) => suite.fmt(f),
            Self::Unknown(identifier) => write!(f, "suite {}", Hex(identifier)),
        }
    }
}

//! Keys before they are expanded.

use core::fmt;

use macsec_gcm::KeyBytes;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{CipherSuite, Ki, Salt};

/// A Secure Association Key, 128 or 256 bits; zeroed on drop, never shown.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Sak {
    octets: [u8; 32],
    #[zeroize(skip)]
    len: usize,
}

impl Sak {
    /// Takes a key of 16 or 32 octets. The caller's copy is the caller's to erase.
    ///
    /// # Errors
    /// [`DataKeyError::SakLength`] for any other length.
    pub fn new(octets: &[u8]) -> Result<Self, DataKeyError> {
        if !matches!(octets.len(), 16 | 32) {
            return Err(DataKeyError::SakLength);
        }
        let mut sak = Self { octets: [0; 32], len: octets.len() };
        sak.octets[..octets.len()].copy_from_slice(octets);
        Ok(sak)
    }

    /// The key itself, 16 or 32 octets, for wrapping or for programming hardware. Handle with care.
    #[must_use]
    pub fn expose_octets(&self) -> &[u8] {
        &self.octets[..self.len]
    }

    pub(crate) fn key_bytes(&self) -> KeyBytes<'_> {
        match KeyBytes::from_slice(self.expose_octets()) {
            Some(key) => key,
            // `new` lets no other length in.
            None => KeyBytes::Aes256(&self.octets),
        }
    }
}

impl fmt::Debug for Sak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sak({} bits)", self.len * 8)
    }
}

/// Everything that makes a SAK usable: the standard's data key object (802.1AE clause 10.7).
///
/// It cannot be built with a part missing or of the wrong size, so no SA ever runs with a salt that
/// somebody forgot.
#[derive(Debug)]
pub struct DataKey {
    pub(crate) ki: Ki,
    pub(crate) suite: CipherSuite,
    pub(crate) sak: Sak,
    pub(crate) salt: Option<Salt>,
}

impl DataKey {
    /// A key for `suite`, named `ki`; `salt` for the XPN suites and only for these.
    ///
    /// # Errors
    /// Names the part that does not fit `suite`.
    pub fn new(
        ki: Ki,
        suite: CipherSuite,
        sak: Sak,
        salt: Option<Salt>,
    ) -> Result<Self, DataKeyError> {
        if sak.expose_octets().len() != suite.key_len() {
            return Err(DataKeyError::SakLength);
        }
        match (suite.is_xpn(), salt) {
            (true, None) => Err(DataKeyError::SaltMissing),
            (false, Some(_)) => Err(DataKeyError::SaltUnexpected),
            _ => Ok(Self { ki, suite, sak, salt }),
        }
    }

    /// The name of the key.
    #[must_use]
    pub const fn ki(&self) -> Ki {
        self.ki
    }

    /// The suite it is for.
    #[must_use]
    pub const fn suite(&self) -> CipherSuite {
        self.suite
    }

    /// The SAK, for another data plane than our SecY: a driver, a PHY.
    #[must_use]
    pub const fn sak(&self) -> &Sak {
        &self.sak
    }

    /// The salt; `Some` for the XPN suites only.
    #[must_use]
    pub const fn salt(&self) -> Option<Salt> {
        self.salt
    }
}

/// Why octets do not make a data key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DataKeyError {
    /// The SAK has not the length that the suite takes (16 or 32 octets).
    SakLength,
    /// An XPN suite needs a salt.
    SaltMissing,
    /// A salt was given for a suite that has none.
    SaltUnexpected,
}

impl fmt::Display for DataKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SakLength => "SAK: must have 16 octets (128-bit suites) or 32 (256-bit suites)",
            Self::SaltMissing => "salt: an XPN cipher suite needs one of 12 octets",
            Self::SaltUnexpected => "salt: only XPN cipher suites have one",
        })
    }
}

impl core::error::Error for DataKeyError {}

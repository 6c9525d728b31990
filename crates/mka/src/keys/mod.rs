//! The key hierarchy: CAK; ICK, KEK and SAK derived from it; SAKs and group CAKs under way
//! (802.1X clauses 6.2 and 9.3).

mod eap;
mod kdf;
mod random;
mod sak;
mod secret;
mod wrap;
mod xpn;

use core::fmt;

pub use eap::eap_cak_and_ckn;
#[cfg(feature = "std")]
pub use random::OsRandom;
pub use random::{Random, RandomError};
pub use secret::{Cak, Ick, Kek, KeyLength};
pub(crate) use wrap::WRAP_OVERHEAD;
pub use wrap::WrappedKey;
pub use xpn::{SsciOrder, ssci_by_sci, xpn_salt};

/// Why there is no key. It names the field and what is allowed, and shows nothing of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyError {
    /// A CAK has not 16 or 32 octets.
    CakLength,
    /// A CAK of zeros only.
    CakZero,
    /// A CKN has not 1 to 32 octets.
    CknLength,
    /// The text of a CKN is no hexadecimal digits in pairs.
    CknText,
    /// The MSK is shorter than the CAK that is to come of it.
    MskLength,
    /// A SAK has not the length that the cipher suite takes.
    SakLength,
    /// The octets to unwrap have not the length that the key takes.
    WrappedLength,
    /// What was unwrapped fails its integrity check: another KEK, or changed octets.
    Unwrap,
    /// The random generator failed.
    Random,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CakLength => "CAK: must have 16 or 32 octets",
            Self::CakZero => "CAK: must not be zeros only",
            Self::CknLength => "CKN: must have 1 to 32 octets",
            Self::CknText => "CKN: expected an even number of hexadecimal digits",
            Self::MskLength => "MSK: must have the 16 or 32 octets that the CAK takes at least",
            Self::SakLength => "SAK: must have the 16 or 32 octets that the cipher suite takes",
            Self::WrappedLength => "wrapped key: must have the length of the key and 8 octets",
            Self::Unwrap => "wrapped key: fails its integrity check",
            Self::Random => "random generator: failed",
        })
    }
}

impl core::error::Error for KeyError {}

impl From<RandomError> for KeyError {
    fn from(RandomError: RandomError) -> Self {
        Self::Random
    }
}

//! CAK, ICK and KEK.

use core::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{
    KeyError,
    kdf::{CmacKey, kdf},
};
use crate::{Ckn, ICV_LEN};

const ICK_LABEL: &[u8] = b"IEEE8021 ICK";
const KEK_LABEL: &[u8] = b"IEEE8021 KEK";

/// How long a CAK is, and so its ICK and its KEK. It has no bearing on the length of SAKs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyLength {
    /// 128 bits.
    Bits128,
    /// 256 bits.
    Bits256,
}

impl KeyLength {
    /// 16 or 32.
    #[must_use]
    pub const fn octets(self) -> usize {
        match self {
            Self::Bits128 => 16,
            Self::Bits256 => 32,
        }
    }
}

/// The octets of a key, zeroed on drop.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(super) enum Secret {
    Bits128([u8; 16]),
    Bits256([u8; 32]),
}

impl Secret {
    /// Takes 16 or 32 octets.
    pub(super) fn new(octets: &[u8]) -> Option<Self> {
        if let Ok(octets) = octets.try_into() {
            return Some(Self::Bits128(octets));
        }
        octets.try_into().ok().map(Self::Bits256)
    }

    pub(super) const fn zeros(length: KeyLength) -> Self {
        match length {
            KeyLength::Bits128 => Self::Bits128([0; 16]),
            KeyLength::Bits256 => Self::Bits256([0; 32]),
        }
    }

    pub(super) const fn octets(&self) -> &[u8] {
        match self {
            Self::Bits128(octets) => octets,
            Self::Bits256(octets) => octets,
        }
    }

    pub(super) const fn octets_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Bits128(octets) => octets,
            Self::Bits256(octets) => octets,
        }
    }

    pub(super) const fn length(&self) -> KeyLength {
        match self {
            Self::Bits128(_) => KeyLength::Bits128,
            Self::Bits256(_) => KeyLength::Bits256,
        }
    }

    /// Derives a key of `length` from this one.
    fn derive(&self, label: &[u8], ckn: &Ckn, length: KeyLength) -> Self {
        let mut derived = Self::zeros(length);
        kdf(self, label, &[ckn.kdf_context()].into_iter(), derived.octets_mut());
        derived
    }
}

/// A Secure Connectivity Association Key, 128 or 256 bits: who has it is a member of the CA (802.1X
/// clause 9.3).
#[derive(Clone, ZeroizeOnDrop)]
pub struct Cak(pub(super) Secret);

impl Cak {
    /// Takes a key of 16 or 32 octets, which must be random: whoever can guess it is a member. The
    /// caller's copy is the caller's to erase.
    ///
    /// # Errors
    /// [`KeyError::CakLength`], or [`KeyError::CakZero`] for the key that somebody forgot to set.
    pub fn new(octets: &[u8]) -> Result<Self, KeyError> {
        let cak = Self(Secret::new(octets).ok_or(KeyError::CakLength)?);
        let zero = cak == Self(Secret::zeros(cak.length()));
        if zero { Err(KeyError::CakZero) } else { Ok(cak) }
    }

    /// Its length.
    #[must_use]
    pub const fn length(&self) -> KeyLength {
        self.0.length()
    }

    /// The ICV Key that goes with this CAK under the name `ckn` (802.1X clause 9.3.3).
    #[must_use]
    pub fn ick(&self, ckn: &Ckn) -> Ick {
        let key = self.0.derive(ICK_LABEL, ckn, self.length());
        let rounds = CmacKey::new(&key);
        Ick(key, rounds)
    }

    /// The Key Encrypting Key that goes with this CAK under the name `ckn` (802.1X clause 9.3.3).
    #[must_use]
    pub fn kek(&self, ckn: &Ckn) -> Kek {
        Kek(self.0.derive(KEK_LABEL, ckn, self.length()))
    }
}

/// The ICV Key: it authenticates MKPDUs by AES-CMAC (802.1X clause 9.4.1). Its round keys are kept with it.
#[derive(Clone, ZeroizeOnDrop)]
pub struct Ick(Secret, CmacKey);

impl Ick {
    /// The ICV over `octets`: a frame from its destination address up to its ICV.
    #[must_use]
    pub fn icv(&self, octets: &[u8]) -> [u8; ICV_LEN] {
        self.1.cmac([octets].into_iter())
    }

    /// Whether `icv` is that over `parts`. Takes the same time whatever the answer.
    pub(crate) fn verify(&self, parts: &[&[u8]], icv: &[u8; ICV_LEN]) -> bool {
        self.1.cmac(parts.iter().copied()).ct_eq(icv).into()
    }
}

/// The Key Encrypting Key: it wraps SAKs and group CAKs (802.1X clause 9.3.3).
#[derive(Clone, ZeroizeOnDrop)]
pub struct Kek(pub(super) Secret);

macro_rules! opaque {
    ($($key:ident),*) => {$(
        /// Shows the length only.
        impl fmt::Debug for $key {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({} bits)", stringify!($key), self.0.octets().len() * 8)
            }
        }

        /// Takes the same time whatever the answer, for keys of the same length.
        impl PartialEq for $key {
            fn eq(&self, other: &Self) -> bool {
                self.0.octets().ct_eq(other.0.octets()).into()
            }
        }

        impl Eq for $key {}
    )*};
}

opaque!(Cak, Ick, Kek);

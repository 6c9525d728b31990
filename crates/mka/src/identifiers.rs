//! The names that MKA gives to members, keys and associations: MI, MN, KI, CKN.

use core::{fmt, str::FromStr};

use macsec::Ki;

use crate::{
    hex::Hex,
    keys::{KeyError, Random, RandomError},
};

/// A Member Identifier: 96 random bits that name one participant for as long as it keeps its message
/// numbers (802.1X clause 9.4.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mi(pub [u8; 12]);

impl Mi {
    /// A new MI.
    ///
    /// # Errors
    /// The generator failed; there is no MI then.
    pub fn generate(random: &mut impl Random) -> Result<Self, RandomError> {
        let mut octets = [0; 12];
        random.fill(&mut octets)?;
        Ok(Self(octets))
    }

    /// The KI of the SAK with key number `key_number` that the key server with this MI made
    /// (802.1X clause 9.8: MI, then key number).
    #[must_use]
    pub const fn ki(self, key_number: u32) -> Ki {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = self.0;
        let [m, n, o, p] = key_number.to_be_bytes();
        Ki([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p])
    }

    /// The MI of the key server that made the SAK named `ki`.
    #[must_use]
    pub const fn of_ki(ki: Ki) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, ..] = ki.0;
        Self([a, b, c, d, e, f, g, h, i, j, k, l])
    }
}

impl fmt::Debug for Mi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mi({self})")
    }
}

impl fmt::Display for Mi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

/// The key number in `ki`: its last four octets.
#[must_use]
pub const fn key_number(ki: Ki) -> u32 {
    let [.., a, b, c, d] = ki.0;
    u32::from_be_bytes([a, b, c, d])
}

/// A KI as MKA reads it: MI, slash, key number.
pub(crate) struct KiText(pub(crate) Ki);

impl fmt::Display for KiText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Mi::of_ki(self.0), key_number(self.0))
    }
}

/// A member and a message number of its: how MKPDUs name their sender and how they list peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// Who.
    pub mi: Mi,
    /// The number of a message of this member's. Counts from 1 for each MI.
    pub mn: u32,
}

/// Dissector style: `939e90af2426d8c263469208 MN 1`.
impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MN {}", self.mi, self.mn)
    }
}

/// The CAK Name: 1 to 32 octets that say which CAK an MKPDU is under (802.1X clause 9.3.1).
///
/// Names of different length are different names, even if only zeros tell them apart. A CKN is sent
/// in clear; it is no secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ckn {
    octets: [u8; Self::MAX_LEN],
    len: u8,
}

impl Ckn {
    /// The most octets that a CKN has.
    pub const MAX_LEN: usize = 32;

    /// The name made of these octets.
    ///
    /// # Errors
    /// [`KeyError::CknLength`] unless there are 1 to 32.
    pub fn new(octets: &[u8]) -> Result<Self, KeyError> {
        let mut ckn = Self { octets: [0; Self::MAX_LEN], len: 0 };
        let room = ckn.octets.get_mut(..octets.len()).ok_or(KeyError::CknLength)?;
        room.copy_from_slice(octets);
        ckn.len = u8::try_from(octets.len()).map_err(|_| KeyError::CknLength)?;
        if octets.is_empty() { Err(KeyError::CknLength) } else { Ok(ckn) }
    }

    /// The octets of the name, 1 to 32.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.octets[..usize::from(self.len)]
    }

    /// The context of the derivations of KEK and ICK: the first 16 octets, zeros behind a shorter name.
    pub(crate) fn kdf_context(&self) -> &[u8] {
        &self.octets[..16]
    }
}

impl fmt::Debug for Ckn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ckn({self})")
    }
}

impl fmt::Display for Ckn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(self.octets()).fmt(f)
    }
}

/// Reads 2 to 64 hexadecimal digits of either case, two for each octet.
impl FromStr for Ckn {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let digits = text.as_bytes();
        let mut octets = [0; Self::MAX_LEN];
        let octets = octets.get_mut(..digits.len() / 2).ok_or(KeyError::CknLength)?;
        if !digits.len().is_multiple_of(2) {
            return Err(KeyError::CknText);
        }
        for (octet, pair) in octets.iter_mut().zip(digits.chunks_exact(2)) {
            for &digit in pair {
                let digit = char::from(digit).to_digit(16).ok_or(KeyError::CknText)?;
                // The cast cannot cut: the value is below 16.
                *octet = (*octet << 4) | digit as u8;
            }
        }
        Self::new(octets)
    }
}

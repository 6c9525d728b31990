//! AES key wrap (RFC 3394) of SAKs and group CAKs under the KEK (802.1X clauses 9.8.2 and 9.12).

use aes::{Aes128, Aes256};
use aes_kw::{AesKw, KeyInit};
use macsec::{CipherSuite, Sak};
use zeroize::Zeroizing;

use super::{Cak, Kek, KeyError, KeyLength, secret::Secret};

/// Octets that wrapping adds.
pub(crate) const WRAP_OVERHEAD: usize = 8;
const MAX_LEN: usize = 32 + WRAP_OVERHEAD;

/// A key under AES key wrap: 24 octets, or 40. No secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrappedKey {
    octets: [u8; MAX_LEN],
    len: usize,
}

impl WrappedKey {
    /// What goes on the wire.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.octets[..self.len]
    }
}

impl Kek {
    /// Wraps a SAK, for a [`DistributedKey`](crate::DistributedKey).
    ///
    /// # Errors
    /// None for a SAK of 16 or 32 octets, and there are no others.
    pub fn wrap_sak(&self, sak: &Sak) -> Result<WrappedKey, KeyError> {
        self.wrap(sak.expose_octets())
    }

    /// Unwraps a SAK for `suite`.
    ///
    /// # Errors
    /// `WrappedLength`, or `Unwrap` if this is not the KEK it was wrapped with.
    pub fn unwrap_sak(&self, wrapped: &[u8], suite: CipherSuite) -> Result<Sak, KeyError> {
        let mut octets = Zeroizing::new([0; 32]);
        let octets = &mut octets[..suite.key_len()];
        self.unwrap(wrapped, octets)?;
        Sak::new(octets).map_err(|_| KeyError::SakLength)
    }

    /// Wraps a group CAK, for a [`DistributedCak`](crate::DistributedCak).
    ///
    /// # Errors
    /// None: see [`wrap_sak`](Self::wrap_sak).
    pub fn wrap_cak(&self, cak: &Cak) -> Result<WrappedKey, KeyError> {
        self.wrap(cak.0.octets())
    }

    /// Unwraps a group CAK of this length.
    ///
    /// # Errors
    /// As [`unwrap_sak`](Self::unwrap_sak), and `CakZero`.
    pub fn unwrap_cak(&self, wrapped: &[u8], length: KeyLength) -> Result<Cak, KeyError> {
        let mut octets = Zeroizing::new([0; 32]);
        let octets = &mut octets[..length.octets()];
        self.unwrap(wrapped, octets)?;
        Cak::new(octets)
    }

    fn wrap(&self, key: &[u8]) -> Result<WrappedKey, KeyError> {
        let mut wrapped = WrappedKey { octets: [0; MAX_LEN], len: key.len() + WRAP_OVERHEAD };
        let result = match &self.0 {
            Secret::Bits128(kek) => {
                AesKw::<Aes128>::new(kek.into()).wrap_key(key, &mut wrapped.octets).map(drop)
            }
            Secret::Bits256(kek) => {
                AesKw::<Aes256>::new(kek.into()).wrap_key(key, &mut wrapped.octets).map(drop)
            }
        };
        result.map_err(|_| KeyError::SakLength)?;
        Ok(wrapped)
    }

    fn unwrap(&self, wrapped: &[u8], key: &mut [u8]) -> Result<(), KeyError> {
        if wrapped.len() != key.len() + WRAP_OVERHEAD {
            return Err(KeyError::WrappedLength);
        }
        let result = match &self.0 {
            Secret::Bits128(kek) => {
                AesKw::<Aes128>::new(kek.into()).unwrap_key(wrapped, key).map(drop)
            }
            Secret::Bits256(kek) => {
                AesKw::<Aes256>::new(kek.into()).unwrap_key(wrapped, key).map(drop)
            }
        };
        result.map_err(|_| KeyError::Unwrap)
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use serde_json::Value;

    use super::*;

    const PRIMITIVES: &str = include_str!("../../../../test-vectors/rfc/rfc-cmac-kw.json");

    fn octets(value: &Value) -> Vec<u8> {
        hex::decode(value.as_str().unwrap()).unwrap()
    }

    #[test]
    fn key_wrap_of_rfc_3394() {
        let all: Value = serde_json::from_str(PRIMITIVES).unwrap();
        let mut wrapped = 0;
        for vector in all["aes_kw"].as_array().unwrap() {
            // MKA has no keys of 192 bits.
            let Some(kek) = Secret::new(&octets(&vector["kek"])) else { continue };
            let Ok(sak) = Sak::new(&octets(&vector["key_data"])) else { continue };
            let expected = octets(&vector["wrapped"]);
            assert_eq!(Kek(kek).wrap_sak(&sak).unwrap().octets(), expected);
            wrapped += 1;
        }
        assert_eq!(wrapped, 3);
    }
}

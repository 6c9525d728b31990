//! The four cipher suites of 802.1AE clause 14, and how much of a frame they encrypt.

use core::{fmt, str::FromStr};

use crate::ParseError;

/// A cipher suite (802.1AE table 14-1).
///
/// Text forms are those of `ip macsec`: `gcm-aes-128`, `gcm-aes-256`, `gcm-aes-xpn-128`, `gcm-aes-xpn-256`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CipherSuite {
    /// GCM-AES-128, the default suite that every conforming device has.
    #[default]
    GcmAes128,
    /// GCM-AES-256.
    GcmAes256,
    /// GCM-AES-XPN-128: 64-bit packet numbers.
    GcmAesXpn128,
    /// GCM-AES-XPN-256: 64-bit packet numbers.
    GcmAesXpn256,
}

impl CipherSuite {
    /// All four, in the order of their identifiers.
    pub const ALL: [Self; 4] =
        [Self::GcmAes128, Self::GcmAes256, Self::GcmAesXpn128, Self::GcmAesXpn256];

    /// The 8-octet Cipher Suite Identifier (an EUI-64).
    #[must_use]
    pub const fn identifier(self) -> [u8; 8] {
        let number = match self {
            Self::GcmAes128 => 1,
            Self::GcmAes256 => 2,
            Self::GcmAesXpn128 => 3,
            Self::GcmAesXpn256 => 4,
        };
        [0x00, 0x80, 0xc2, 0x00, 0x01, 0x00, 0x00, number]
    }

    /// The suite that `identifier` names.
    ///
    /// `00-80-02-00-01-00-00-01`, a misprint that hostap 2.10 and Linux netlink live by, is taken for
    /// GCM-AES-128.
    #[must_use]
    pub fn from_identifier(identifier: [u8; 8]) -> Option<Self> {
        const HISTORIC_GCM_AES_128: [u8; 8] = [0x00, 0x80, 0x02, 0x00, 0x01, 0x00, 0x00, 0x01];
        if identifier == HISTORIC_GCM_AES_128 {
            return Some(Self::GcmAes128);
        }
        Self::ALL.into_iter().find(|suite| suite.identifier() == identifier)
    }

    /// Octets of a SAK: 16 or 32.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::GcmAes128 | Self::GcmAesXpn128 => 16,
            Self::GcmAes256 | Self::GcmAesXpn256 => 32,
        }
    }

    /// Whether packet numbers have 64 bits (extended packet numbering).
    #[must_use]
    pub const fn is_xpn(self) -> bool {
        matches!(self, Self::GcmAesXpn128 | Self::GcmAesXpn256)
    }

    /// The greatest packet number: 2^32 - 1, or 2^64 - 1 for XPN.
    #[must_use]
    pub const fn max_pn(self) -> u64 {
        if self.is_xpn() { u64::MAX } else { u32::MAX as u64 }
    }

    /// The packet number from which a new SAK is due: 0xC000_0000, or 0xC000_0000_0000_0000 for XPN
    /// (802.1X's PendingPNExhaustion).
    #[must_use]
    pub const fn rekey_pn(self) -> u64 {
        if self.is_xpn() { 0xc000_0000_0000_0000 } else { 0xc000_0000 }
    }

    /// The name as `ip macsec` spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::GcmAes128 => "gcm-aes-128",
            Self::GcmAes256 => "gcm-aes-256",
            Self::GcmAesXpn128 => "gcm-aes-xpn-128",
            Self::GcmAesXpn256 => "gcm-aes-xpn-256",
        }
    }
}

impl fmt::Display for CipherSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for CipherSuite {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::ALL
            .into_iter()
            .find(|suite| suite.name().eq_ignore_ascii_case(text))
            .ok_or(ParseError::CipherSuite)
    }
}

/// How many leading octets of the User Data stay readable, though authenticated, in an encrypted frame.
///
/// The offset is a property of the key, agreed beforehand: it does not show on the wire. It is counted
/// from the first octet after the SecTAG. The XPN suites have offset 0 only (UNCONFIRMED in public
/// sources; refusing the others is the safe reading).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ConfidentialityOffset {
    /// All User Data is encrypted.
    #[default]
    Zero,
    /// The first 30 octets stay readable: enough for an IPv4 header's addresses.
    Thirty,
    /// The first 50 octets stay readable: enough for an IPv6 header's addresses.
    Fifty,
}

impl ConfidentialityOffset {
    /// The offset in octets.
    #[must_use]
    pub const fn octets(self) -> usize {
        match self {
            Self::Zero => 0,
            Self::Thirty => 30,
            Self::Fifty => 50,
        }
    }
}

/// What a transmit SA does with User Data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Confidentiality {
    /// Authenticate only; the User Data stays readable (E and C clear).
    IntegrityOnly,
    /// Authenticate and, from the offset on, encrypt (E and C set).
    Encrypt(ConfidentialityOffset),
}

impl Default for Confidentiality {
    /// Encrypts everything.
    fn default() -> Self {
        Self::Encrypt(ConfidentialityOffset::Zero)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::*;

    #[test]
    fn identifiers_and_names_round_trip() {
        for suite in CipherSuite::ALL {
            assert_eq!(CipherSuite::from_identifier(suite.identifier()), Some(suite));
            assert_eq!(suite.to_string().parse(), Ok(suite));
        }
        assert_eq!(
            CipherSuite::from_identifier([0x00, 0x80, 0x02, 0x00, 0x01, 0x00, 0x00, 0x01]),
            Some(CipherSuite::GcmAes128)
        );
        assert_eq!(CipherSuite::from_identifier([0; 8]), None);
        assert_eq!("gcm-aes-512".parse::<CipherSuite>(), Err(ParseError::CipherSuite));
    }
}

//! Distributed SAK: the key server's decision, and its key (802.1X clause 11.11.1, figures 11-11 and
//! 11-12).

use core::fmt;

use macsec::{An, CipherSuite, Confidentiality, ConfidentialityOffset};
use nom::{IResult, Parser, bytes::complete::take, combinator::rest, number::complete::be_u32};

use super::{RawSet, SetType, SuiteId};
use crate::{DecodeError, EncodeError, keys::WRAP_OVERHEAD, write::Writer};

/// A key number, a wrapped SAK of 128 bits, and no suite: GCM-AES-128.
const DEFAULT_SUITE_LEN: usize = 28;
const EXPLICIT_128_LEN: usize = 36;
const EXPLICIT_256_LEN: usize = 52;
/// Key number and suite.
const EXPLICIT_OVERHEAD: usize = 12;

/// What the key server has decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DistributedSak<'a> {
    /// No MACsec: a set without a body. A port that must be secure ignores it.
    PlainText,
    /// MACsec, with this key.
    Key(DistributedKey<'a>),
}

/// A SAK in a Distributed SAK set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DistributedKey<'a> {
    /// The AN to use it with.
    pub an: An,
    /// What it is to be used for.
    pub confidentiality: Confidentiality,
    /// The key number. With the MI of the key server, who is the sender, it makes the KI.
    pub key_number: u32,
    /// The cipher suite it is for.
    pub suite: SuiteId,
    /// The SAK under AES key wrap: 24 octets for a SAK of 128 bits, 40 for one of 256.
    pub wrapped: &'a [u8],
}

impl<'a> DistributedSak<'a> {
    /// The key, if there is one.
    #[must_use]
    pub const fn key(&self) -> Option<&DistributedKey<'a>> {
        match self {
            Self::PlainText => None,
            Self::Key(key) => Some(key),
        }
    }

    pub(crate) fn parse(set: &RawSet<'a>) -> Result<Self, DecodeError> {
        let parsed = match set.body.len() {
            0 => return Ok(Self::PlainText),
            DEFAULT_SUITE_LEN => {
                let suite = SuiteId::Known(CipherSuite::GcmAes128);
                (be_u32, rest).map(|(number, wrapped)| (number, suite, wrapped)).parse(set.body)
            }
            EXPLICIT_128_LEN | EXPLICIT_256_LEN => (be_u32, suite_id, rest).parse(set.body),
            _ => return Err(set.wrong_length()),
        };
        let (_, (key_number, suite, wrapped)) =
            parsed.map_err(|_: nom::Err<()>| set.wrong_length())?;
        let fits = |suite: CipherSuite| wrapped.len() == suite.key_len() + WRAP_OVERHEAD;
        if !suite.known().is_none_or(fits) {
            return Err(DecodeError::DistributedSakSuite(set.length()));
        }
        Ok(Self::Key(DistributedKey {
            an: An::from_low_bits(set.specific >> 6),
            confidentiality: confidentiality(set.specific >> 4),
            key_number,
            suite,
            wrapped,
        }))
    }

    /// GCM-AES-128 always goes in the short form: nobody is known to send the long one for it.
    pub(crate) fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        let kind = SetType::DistributedSak.octet();
        let Self::Key(key) = self else {
            return writer.header(kind, 0, 0, 0);
        };
        let suite = key.suite.known().ok_or(EncodeError::CipherSuite)?;
        if key.wrapped.len() != suite.key_len() + WRAP_OVERHEAD {
            return Err(EncodeError::WrappedKey);
        }
        let specific = (key.an.number() << 6) | (offset_bits(key.confidentiality) << 4);
        if suite == CipherSuite::GcmAes128 {
            writer.header(kind, specific, 0, DEFAULT_SUITE_LEN)?;
            writer.put(&key.key_number.to_be_bytes())?;
        } else {
            writer.header(kind, specific, 0, EXPLICIT_OVERHEAD + key.wrapped.len())?;
            writer.put(&key.key_number.to_be_bytes())?;
            writer.put(&suite.identifier())?;
        }
        writer.put(key.wrapped)
    }
}

/// Dissector style: `plain text`, or `key number 1 AN 0 gcm-aes-128 encrypt, offset 0`.
impl fmt::Display for DistributedSak<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Key(key) = self else {
            return f.write_str("plain text");
        };
        write!(f, "key number {} AN {} {} ", key.key_number, key.an, key.suite)?;
        match key.confidentiality {
            Confidentiality::IntegrityOnly => f.write_str("integrity only"),
            Confidentiality::Encrypt(offset) => write!(f, "encrypt, offset {}", offset.octets()),
        }
    }
}

/// The confidentiality offset field: 0 is no confidentiality, and not offset 0.
fn confidentiality(bits: u8) -> Confidentiality {
    match bits & 0x03 {
        0 => Confidentiality::IntegrityOnly,
        1 => Confidentiality::Encrypt(ConfidentialityOffset::Zero),
        2 => Confidentiality::Encrypt(ConfidentialityOffset::Thirty),
        _ => Confidentiality::Encrypt(ConfidentialityOffset::Fifty),
    }
}

const fn offset_bits(confidentiality: Confidentiality) -> u8 {
    match confidentiality {
        Confidentiality::IntegrityOnly => 0,
        Confidentiality::Encrypt(ConfidentialityOffset::Zero) => 1,
        Confidentiality::Encrypt(ConfidentialityOffset::Thirty) => 2,
        Confidentiality::Encrypt(ConfidentialityOffset::Fifty) => 3,
    }
}

pub(super) fn suite_id(input: &[u8]) -> IResult<&[u8], SuiteId, ()> {
    take(8usize).map_res(<[u8; 8]>::try_from).map(SuiteId::of).parse(input)
}

//! The Key Management Domain (802.1X clause 11.11.1).

use core::fmt;

use super::{RawSet, SetType};
use crate::{DecodeError, EncodeError, write::Writer};

/// A Key Management Domain: a text that names where a cached CAK means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kmd<'a> {
    octets: &'a [u8],
}

impl<'a> Kmd<'a> {
    /// The most octets that it has.
    pub const MAX_LEN: usize = 253;

    /// The domain of this name. `None` if it has more than 253 octets.
    #[must_use]
    pub const fn new(name: &'a str) -> Option<Self> {
        if name.len() > Self::MAX_LEN { None } else { Some(Self { octets: name.as_bytes() }) }
    }

    pub(crate) fn parse(set: &RawSet<'a>) -> Result<Self, DecodeError> {
        if set.body.len() > Self::MAX_LEN {
            return Err(set.wrong_length());
        }
        Ok(Self { octets: set.body })
    }

    /// The octets as received.
    #[must_use]
    pub const fn octets(&self) -> &'a [u8] {
        self.octets
    }

    /// The text, if it is UTF-8 as it should be.
    #[must_use]
    pub const fn as_str(&self) -> Option<&'a str> {
        match core::str::from_utf8(self.octets) {
            Ok(text) => Some(text),
            Err(_) => None,
        }
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.header(SetType::Kmd.octet(), 0, 0, self.octets.len())?;
        writer.put(self.octets)?;
        writer.pad(self.octets.len())
    }
}

/// The text in quotes, with escapes for what does not print and for what is not UTF-8.
impl fmt::Display for Kmd<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.octets.escape_ascii())
    }
}

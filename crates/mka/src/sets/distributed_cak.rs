//! Distributed CAK: a group CAK for the members of a pairwise CA (802.1X clause 11.11.1).

use core::fmt;

use super::{RawSet, SetType};
use crate::{
    Ckn, DecodeError, EncodeError,
    keys::{KeyLength, WRAP_OVERHEAD},
    write::Writer,
};

/// A group CAK and its name.
///
/// Public sources describe the set for CAKs of 128 bits only. Octets of a longer set could be a CAK of
/// 256 bits or one of 128 with a long CKN, and nothing says which; so the reader has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DistributedCak<'a> {
    body: &'a [u8],
}

impl<'a> DistributedCak<'a> {
    const MIN_LEN: usize = 16 + WRAP_OVERHEAD + 1;
    const MAX_LEN: usize = 32 + WRAP_OVERHEAD + Ckn::MAX_LEN;

    /// The set with this body: the wrapped CAK, and the CKN behind it. `None` unless there are 25
    /// to 72 octets.
    #[must_use]
    pub fn new(body: &'a [u8]) -> Option<Self> {
        (Self::MIN_LEN..=Self::MAX_LEN).contains(&body.len()).then_some(Self { body })
    }

    pub(crate) fn parse(set: &RawSet<'a>) -> Result<Self, DecodeError> {
        Self::new(set.body).ok_or_else(|| set.wrong_length())
    }

    /// The wrapped CAK and the CKN, if the CAK is of this length.
    #[must_use]
    pub fn split(&self, cak: KeyLength) -> Option<(&'a [u8], Ckn)> {
        let (wrapped, ckn) = self.body.split_at_checked(cak.octets() + WRAP_OVERHEAD)?;
        Some((wrapped, Ckn::new(ckn).ok()?))
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.header(SetType::DistributedCak.octet(), 0, 0, self.body.len())?;
        writer.put(self.body)?;
        writer.pad(self.body.len())
    }
}

/// Dissector style. The CKN is shown as if the CAK had 128 bits.
impl fmt::Display for DistributedCak<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.split(KeyLength::Bits128) {
            Some((_, ckn)) => write!(f, "CKN {ckn} (if the CAK has 128 bits)"),
            None => f.write_str("CAK of 256 bits"),
        }
    }
}

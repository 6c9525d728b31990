//! The SecTAG: its octets, and the rules for a valid one (802.1AE clauses 9.3 to 9.12).

use core::fmt;

use crate::{An, Sci};

/// The MACsec EtherType, first field of every SecTAG.
pub const ETHERTYPE_MACSEC: u16 = 0x88e5;
/// Octets of a SecTAG without SCI, EtherType included.
pub const SECTAG_LEN: usize = 8;
/// Octets of a SecTAG with SCI, EtherType included.
pub const SECTAG_LEN_WITH_SCI: usize = 16;
/// Octets of the ICV in all four cipher suites.
pub const ICV_LEN: usize = macsec_gcm::TAG_LEN;
/// Octets that protection adds to a frame at most: SecTAG with SCI, and ICV.
pub const MAX_OVERHEAD: usize = SECTAG_LEN_WITH_SCI + ICV_LEN;
/// Secure Data shorter than this has its length in the SL field.
pub const SHORT_DATA_LIMIT: usize = 48;

const VERSION: u8 = 0x80;
const ES: u8 = 0x40;
const SC: u8 = 0x20;
const SCB: u8 = 0x10;
const E: u8 = 0x08;
const C: u8 = 0x04;
const SL_RESERVED: u8 = 0xc0;

/// How a SecTAG says which SC its frame belongs to: the `ES`, `SC` and `SCB` bits and the SCI field.
///
/// These five are all the combinations that a valid tag can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TagSci {
    /// `SC` set: the SCI is in the tag.
    Explicit(Sci),
    /// `ES` set: the SCI is the source address with Port Identifier 00-01.
    EndStation,
    /// `ES` and `SCB` set: the source address with Port Identifier 00-00.
    EndStationBroadcast,
    /// `SCB` set alone: single copy broadcast from the one peer there is.
    Broadcast,
    /// No bit set: a point-to-point link with one peer, whose SCI is known.
    PointToPoint,
}

/// The `E` and `C` bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TagProtection {
    /// Both clear: integrity only.
    IntegrityOnly,
    /// Both set: encrypted, from the confidentiality offset on.
    Encrypted,
    /// `C` alone: data changed but not encrypted. None of the four suites sends it.
    ChangedText,
    /// `E` alone: for the key agreement entity, never for the Controlled Port.
    Reserved,
}

/// A SecTAG, in parts.
///
/// Only what a valid tag can say can be written down here, so [`emit`](Self::emit) has nothing to
/// refuse.
///
/// ```
/// use macsec::{An, Sci, SecTag, TagProtection, TagSci};
///
/// let octets = [0x88, 0xe5, 0x2c, 0x00, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0, 1];
/// let tag = SecTag::parse(&octets)?;
/// assert_eq!(tag.protection, TagProtection::Encrypted);
/// assert_eq!(tag.sci, TagSci::Explicit(Sci([2, 0, 0, 0, 0, 1, 0, 1])));
/// assert_eq!(tag.an, An::default());
/// assert_eq!(tag.pn, 1);
/// # Ok::<(), macsec::SecTagError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SecTag {
    /// How the SCI is given.
    pub sci: TagSci,
    /// How the Secure Data is protected.
    pub protection: TagProtection,
    /// Which SA of the SC.
    pub an: An,
    /// Length of the Secure Data if that is 1 to 47 octets, else 0. What is above 47 is written as 0.
    pub short_length: u8,
    /// The packet number, or its low 32 bits for the XPN suites.
    pub pn: u32,
}

impl SecTag {
    /// Reads the tag that `octets` begin with, EtherType first. Pure; looks at 16 octets at most.
    ///
    /// A packet number of zero passes: whether it is valid depends on the cipher suite.
    ///
    /// # Errors
    /// The rule of clause 9.12 that the tag breaks.
    #[inline]
    pub fn parse(octets: &[u8]) -> Result<Self, SecTagError> {
        let (fixed, rest) =
            octets.split_first_chunk::<SECTAG_LEN>().ok_or(SecTagError::Truncated)?;
        let [ethertype_hi, ethertype_lo, tci, sl, pn @ ..] = *fixed;
        if u16::from_be_bytes([ethertype_hi, ethertype_lo]) != ETHERTYPE_MACSEC {
            return Err(SecTagError::EtherType);
        }
        if tci & VERSION != 0 {
            return Err(SecTagError::Version);
        }
        let sci = match (tci & SC != 0, tci & ES != 0, tci & SCB != 0) {
            (false, false, false) => TagSci::PointToPoint,
            (false, false, true) => TagSci::Broadcast,
            (false, true, false) => TagSci::EndStation,
            (false, true, true) => TagSci::EndStationBroadcast,
            (true, false, false) => {
                TagSci::Explicit(Sci(*rest.first_chunk().ok_or(SecTagError::Truncated)?))
            }
            (true, ..) => return Err(SecTagError::SciTwice),
        };
        if sl & SL_RESERVED != 0 {
            return Err(SecTagError::ReservedBits);
        }
        if usize::from(sl) >= SHORT_DATA_LIMIT {
            return Err(SecTagError::ShortLengthRange);
        }
        Ok(Self {
            sci,
            protection: TagProtection::of(tci),
            an: An::from_low_bits(tci),
            short_length: sl,
            pn: u32::from_be_bytes(pn),
        })
    }

    /// Octets of this tag: 8, or 16 with an explicit SCI.
    #[must_use]
    #[inline]
    pub const fn octets(&self) -> usize {
        match self.sci {
            TagSci::Explicit(_) => SECTAG_LEN_WITH_SCI,
            _ => SECTAG_LEN,
        }
    }

    /// The octet that follows the EtherType: TCI and AN.
    #[must_use]
    #[inline]
    pub const fn tci_an(&self) -> u8 {
        let sci = match self.sci {
            TagSci::Explicit(_) => SC,
            TagSci::EndStation => ES,
            TagSci::EndStationBroadcast => ES | SCB,
            TagSci::Broadcast => SCB,
            TagSci::PointToPoint => 0,
        };
        let protection = match self.protection {
            TagProtection::IntegrityOnly => 0,
            TagProtection::Encrypted => E | C,
            TagProtection::ChangedText => C,
            TagProtection::Reserved => E,
        };
        sci | protection | self.an.number()
    }

    /// Writes the tag to the front of `buffer` and returns its length, or `None` (and writes nothing)
    /// if `buffer` is shorter than [`octets`](Self::octets).
    #[must_use]
    #[inline]
    pub fn emit(&self, buffer: &mut [u8]) -> Option<usize> {
        let tag = buffer.get_mut(..self.octets())?;
        let (fixed, sci) = tag.split_first_chunk_mut::<SECTAG_LEN>()?;
        fixed[..2].copy_from_slice(&ETHERTYPE_MACSEC.to_be_bytes());
        fixed[2] = self.tci_an();
        fixed[3] = Self::short_length_for(self.short_length.into());
        fixed[4..].copy_from_slice(&self.pn.to_be_bytes());
        if let TagSci::Explicit(explicit) = self.sci {
            sci.copy_from_slice(&explicit.0);
        }
        Some(self.octets())
    }

    /// The SL value for `len` octets of Secure Data: `len` below 48, else 0.
    #[must_use]
    #[inline]
    pub const fn short_length_for(len: usize) -> u8 {
        // The cast cannot cut: the value is below 48.
        if len < SHORT_DATA_LIMIT { len as u8 } else { 0 }
    }

    /// Where the Secure Data of this tag's MPDU ends, counted from the EtherType.
    ///
    /// `mpdu_len` is what follows from the EtherType to the end of the frame, and `frame_len` the whole
    /// frame. A short frame may carry padding after its ICV, which MACs add up to 60 octets;
    /// a frame longer than that has no business to be padded (a decision: see U3 in ARCHITECTURE.md).
    ///
    /// # Errors
    /// [`SecTagError::TooShort`] or [`SecTagError::TooLong`].
    #[inline]
    pub fn secure_data_end(&self, mpdu_len: usize, frame_len: usize) -> Result<usize, SecTagError> {
        const MIN_FRAME_LEN: usize = 60;
        let overhead = self.octets() + ICV_LEN;
        if self.short_length == 0 {
            return if mpdu_len >= overhead + SHORT_DATA_LIMIT {
                Ok(mpdu_len - ICV_LEN)
            } else {
                Err(SecTagError::TooShort)
            };
        }
        let exact = overhead + usize::from(self.short_length);
        if mpdu_len < exact {
            Err(SecTagError::TooShort)
        } else if mpdu_len > exact && frame_len > MIN_FRAME_LEN {
            Err(SecTagError::TooLong)
        } else {
            Ok(exact - ICV_LEN)
        }
    }
}

/// Dissector style: `MACsec AN 2 PN 17 SCI 02-00-00-00-00-01-0001 encrypted`.
impl fmt::Display for SecTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MACsec AN {} PN {}", self.an, self.pn)?;
        match self.sci {
            TagSci::Explicit(sci) => write!(f, " SCI {sci}")?,
            TagSci::EndStation => f.write_str(" ES")?,
            TagSci::EndStationBroadcast => f.write_str(" ES SCB")?,
            TagSci::Broadcast => f.write_str(" SCB")?,
            TagSci::PointToPoint => {}
        }
        if self.short_length != 0 {
            write!(f, " SL {}", self.short_length)?;
        }
        f.write_str(match self.protection {
            TagProtection::IntegrityOnly => " integrity only",
            TagProtection::Encrypted => " encrypted",
            TagProtection::ChangedText => " changed text",
            TagProtection::Reserved => " reserved",
        })
    }
}

impl TagProtection {
    #[inline]
    const fn of(tci: u8) -> Self {
        match (tci & E != 0, tci & C != 0) {
            (false, false) => Self::IntegrityOnly,
            (true, true) => Self::Encrypted,
            (false, true) => Self::ChangedText,
            (true, false) => Self::Reserved,
        }
    }

    /// Whether the octet that holds TCI and AN has `E` set and `C` clear. That question comes
    /// before any other about a tag, so it is asked of the bare octet.
    pub(crate) const fn is_reserved(tci_an: u8) -> bool {
        matches!(Self::of(tci_an), Self::Reserved)
    }

    /// The `C` bit.
    pub(crate) const fn changes_text(self) -> bool {
        matches!(self, Self::Encrypted | Self::ChangedText)
    }
}

/// The rule of clause 9.12 that an MPDU breaks. Such a frame counts as InPktsBadTag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SecTagError {
    /// The frame ends before its SecTAG does.
    Truncated,
    /// The EtherType is not 88-E5. (Never seen by a SecY, which looks at the EtherType first.)
    EtherType,
    /// The version bit is set.
    Version,
    /// `SC` is set together with `ES` or `SCB`.
    SciTwice,
    /// The two high bits of the SL octet are not zero.
    ReservedBits,
    /// SL is 48 or more, which a sender writes as 0.
    ShortLengthRange,
    /// The packet number is zero and the suite is not an XPN one.
    PnZero,
    /// `C` is set without `E`, which no defined suite does.
    ChangedText,
    /// Fewer octets than SL, SecTAG and ICV ask for.
    TooShort,
    /// More octets than SL, SecTAG and ICV ask for, and not as padding.
    TooLong,
}

impl fmt::Display for SecTagError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "SecTAG: the frame ends inside it",
            Self::EtherType => "SecTAG: EtherType is not 88-E5",
            Self::Version => "SecTAG V: must be 0",
            Self::SciTwice => "SecTAG SC: must be clear when ES or SCB is set",
            Self::ReservedBits => "SecTAG SL: bits 7 and 8 must be 0",
            Self::ShortLengthRange => "SecTAG SL: must be below 48",
            Self::PnZero => "SecTAG PN: must not be 0 for a suite with 32-bit PNs",
            Self::ChangedText => "SecTAG C: must not be set without E",
            Self::TooShort => "MPDU: shorter than SecTAG, SL and ICV ask for",
            Self::TooLong => "MPDU: longer than SecTAG, SL and ICV ask for",
        })
    }
}

impl core::error::Error for SecTagError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// All 256 octets of TCI and AN: 80 are valid, and those come back as they were.
    #[test]
    fn every_tci_is_refused_or_written_as_it_was_read() {
        let mut valid = 0;
        for tci_an in 0..=u8::MAX {
            let octets = [0x88, 0xe5, tci_an, 47, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
            let expected = match (tci_an & 0x80 != 0, tci_an & 0x20 != 0, tci_an & 0x50 != 0) {
                (true, ..) => Err(SecTagError::Version),
                (false, true, true) => Err(SecTagError::SciTwice),
                (false, with_sci, _) => Ok(if with_sci { 16 } else { 8 }),
            };
            let tag = SecTag::parse(&octets);
            assert_eq!(tag.map(|tag| tag.octets()), expected, "{tci_an:02x}");
            let Ok(tag) = tag else { continue };
            let mut emitted = [0; 16];
            assert_eq!(tag.emit(&mut emitted), Some(tag.octets()));
            assert_eq!(emitted[..tag.octets()], octets[..tag.octets()]);
            assert_eq!(tag.emit(&mut emitted[..tag.octets() - 1]), None);
            valid += 1;
        }
        assert_eq!(valid, 80);
    }

    #[test]
    fn no_tag_is_written_that_would_be_refused() {
        for short_length in 0..=u8::MAX {
            let tag = SecTag {
                sci: TagSci::PointToPoint,
                protection: TagProtection::Encrypted,
                an: An::default(),
                short_length,
                pn: 1,
            };
            let mut octets = [0; SECTAG_LEN];
            assert_eq!(tag.emit(&mut octets), Some(SECTAG_LEN));
            let expected = if short_length < 48 { short_length } else { 0 };
            assert_eq!(SecTag::parse(&octets).map(|tag| tag.short_length), Ok(expected));
        }
    }
}

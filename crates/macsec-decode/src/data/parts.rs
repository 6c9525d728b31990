//! A protected frame taken apart, and one attempt to open it.

use macsec::{
    ICV_LEN, MacAddress, NonceBase, Portable, Sci, SecTag, SecTagError, TagProtection, TagSci,
    gcm::{Backend, GcmKey, KeyBytes, OpenJob, PortableKey},
};

use super::{BrokenRule, DataVerdict, rows::Who};
use crate::{Frame, SakBook};

const ADDRESSES_LEN: usize = 12;
/// The TCI with `E` and `C`, and its `E`.
const E_AND_C: u8 = 0x0c;
const E: u8 = 0x08;

/// A frame with a valid SecTAG, and where its parts are.
pub(super) struct Parts<'a> {
    pub(super) tag: SecTag,
    octets: &'a [u8],
    /// The SecTAG: end of addresses and VLAN tags in clear.
    at: usize,
    /// The Secure Data.
    data: usize,
    /// Its end.
    end: usize,
    icv: &'a [u8; ICV_LEN],
}

impl<'a> Parts<'a> {
    /// Takes `frame` apart, whose SecTAG is at `at`.
    pub(super) fn of(frame: &Frame<'a>, at: usize) -> Result<Self, (Option<SecTag>, DataVerdict)> {
        let octets = frame.octets;
        let broken = |rule| DataVerdict::Malformed(rule);
        // Asked first, as the SecY does.
        if octets.get(at + 2).is_some_and(|&tci_an| tci_an & E_AND_C == E) {
            return Err((None, broken(BrokenRule::ReservedTci)));
        }
        let mpdu = &octets[at..];
        let tag = match SecTag::parse(mpdu) {
            Ok(tag) => tag,
            Err(SecTagError::Truncated) if !frame.whole => {
                return Err((None, DataVerdict::CutShort));
            }
            Err(error) => return Err((None, broken(error.into()))),
        };
        if tag.protection == TagProtection::ChangedText {
            return Err((Some(tag), broken(SecTagError::ChangedText.into())));
        }
        // Without SL, the ICV is at the end, which was not captured.
        if !frame.whole && tag.short_length == 0 {
            return Err((Some(tag), DataVerdict::CutShort));
        }
        let end = match tag.secure_data_end(mpdu.len(), octets.len()) {
            Ok(end) => at + end,
            Err(SecTagError::TooShort) if !frame.whole => {
                return Err((Some(tag), DataVerdict::CutShort));
            }
            Err(error) => return Err((Some(tag), broken(error.into()))),
        };
        let Some(icv) = octets.get(end..).and_then(<[u8]>::first_chunk) else {
            return Err((Some(tag), broken(SecTagError::TooShort.into())));
        };
        Ok(Self { tag, octets, at, data: at + tag.octets(), end, icv })
    }
}

/// Who has sent a frame of at least twelve octets that has this SecTAG.
pub(super) fn sender(tag: &SecTag, octets: &[u8]) -> Who {
    let mut source = MacAddress::default();
    source.0.copy_from_slice(&octets[6..ADDRESSES_LEN]);
    match tag.sci {
        TagSci::Explicit(sci) => Who::Sci(sci),
        TagSci::EndStation => Who::Sci(Sci::new(source, Sci::PORT_END_STATION)),
        TagSci::EndStationBroadcast => Who::Sci(Sci::new(source, Sci::PORT_SINGLE_COPY_BROADCAST)),
        TagSci::Broadcast | TagSci::PointToPoint => Who::Source(source),
    }
}

/// The keys, and how much may still be tried with them.
pub(super) struct Cipher {
    /// Expanded when first needed, in the order of the book.
    keys: Vec<Option<Box<PortableKey>>>,
    /// The octets that are authenticated only, in a row.
    aad: Vec<u8>,
    budget: u64,
}

/// What an attempt costs beside the octets of the frame.
const ATTEMPT: u64 = 256;
/// Attempts that each frame adds to what may be tried.
const EARNED: u64 = 6;
/// Octets that may be tried beyond that. So a capture takes at most so much more time as `EARNED`
/// honest ones, whatever it says.
const MOST: u64 = 256 << 20;

impl Default for Cipher {
    fn default() -> Self {
        Self { keys: Vec::new(), aad: Vec::new(), budget: MOST }
    }
}

impl Cipher {
    /// Another frame has come.
    pub(super) fn earn(&mut self, octets: usize) {
        let earned = (octets as u64).saturating_add(ATTEMPT).saturating_mul(EARNED);
        self.budget = self.budget.saturating_add(earned).min(MOST.max(earned));
    }

    /// Whether there may be another attempt at this frame.
    pub(super) fn may_try(&self, parts: &Parts<'_>) -> bool {
        self.left_after(parts).is_some()
    }

    fn left_after(&self, parts: &Parts<'_>) -> Option<u64> {
        self.budget.checked_sub(parts.octets.len() as u64 + ATTEMPT)
    }

    /// Tries to open a frame with SAK number `sak`, into `clear`: addresses, VLAN tags in clear,
    /// User Data. If it does not open, what is in `clear` means nothing.
    pub(super) fn open(
        &mut self,
        book: &SakBook,
        sak: usize,
        nonce: (&NonceBase, u64),
        parts: &Parts<'_>,
        clear: &mut Vec<u8>,
    ) -> bool {
        let Some(known) = book.saks.get(sak) else { return false };
        let Some(left) = self.left_after(parts) else { return false };
        self.budget = left;
        if self.keys.len() <= sak {
            self.keys.resize_with(book.saks.len(), || None);
        }
        let slot = &mut self.keys[sak];
        if slot.is_none() {
            let Some(octets) = KeyBytes::from_slice(known.sak.expose_octets()) else {
                return false;
            };
            *slot = Some(Box::new(Portable.expand(octets)));
        }
        let Some(key) = slot else { return false };

        let Parts { octets, at, data, end, .. } = *parts;
        let encrypted = parts.tag.protection == TagProtection::Encrypted;
        let text = if encrypted { end.min(data + known.offset.octets()) } else { end };
        // VLAN tags in clear, between addresses and SecTAG, are not authenticated.
        self.aad.clear();
        self.aad.extend_from_slice(&octets[..ADDRESSES_LEN]);
        self.aad.extend_from_slice(&octets[at..text]);
        clear.clear();
        clear.extend_from_slice(&octets[..at]);
        clear.extend_from_slice(&octets[data..end]);
        let text = &mut clear[at + text - data..];
        let (base, pn) = nonce;
        let mut job = OpenJob::new(base.with_pn(pn), &self.aad, text, parts.icv);
        key.open(&mut job);
        job.is_authentic()
    }
}

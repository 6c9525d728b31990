//! The first step of frame verification: what kind of frame is it, and where are its parts
//! (802.1AE clauses 9.7 and 9.12).

use core::{fmt, ops::Range};

use crate::{
    ClearVlanTags, SecTag, SecTagError, TagProtection,
    frame::{self, ADDRESSES_LEN},
};

/// A received frame after step one: its SecTAG has been read, and nothing else has happened.
///
/// `F` is whatever holds the octets, from the destination address to the last one received, without
/// FCS: `&mut [u8]`, `Vec<u8>`, a buffer of a pool.
pub struct Parsed<F> {
    pub(crate) frame: F,
    pub(crate) form: Form,
}

/// Shows no octets: they may be user data.
impl<F> fmt::Debug for Parsed<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parsed").field("form", &self.form).finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(crate) enum Form {
    Runt,
    Untagged,
    ReservedTci,
    BadTag(SecTagError),
    Tagged { tag: SecTag, layout: Layout },
}

/// Where the parts of a protected frame are, in octets from its start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// The SecTAG: end of addresses and clear VLAN tags.
    pub(crate) tag: usize,
    /// The Secure Data.
    pub(crate) data: usize,
    /// The ICV: end of the Secure Data. Padding may follow the ICV.
    pub(crate) icv: usize,
}

impl<F: AsRef<[u8]> + AsMut<[u8]>> Parsed<F> {
    /// Step one: reads the SecTAG of a frame. Pure; needs no SecY, and may run anywhere.
    ///
    /// `clear_vlan_tags` is that of the [`Config`](crate::Config).
    #[must_use]
    #[inline]
    pub fn new(frame: F, clear_vlan_tags: ClearVlanTags) -> Self {
        let form = Form::of(frame.as_ref(), clear_vlan_tags);
        Self { frame, form }
    }

    /// The SecTAG, if the frame has a valid one.
    #[must_use]
    pub fn sectag(&self) -> Option<&SecTag> {
        match &self.form {
            Form::Tagged { tag, .. } => Some(tag),
            _ => None,
        }
    }
}

impl Form {
    #[inline]
    fn of(octets: &[u8], clear_vlan_tags: ClearVlanTags) -> Self {
        if octets.len() < ADDRESSES_LEN + 2 {
            return Self::Runt;
        }
        let Some(at) = frame::header_len(octets, clear_vlan_tags) else {
            return Self::Runt;
        };
        if !frame::is_macsec_at(octets, at) {
            return Self::Untagged;
        }
        // This question comes before the rules for valid tags (question 2 of the table in `validate`).
        if octets.get(at + 2).is_some_and(|&tci_an| TagProtection::is_reserved(tci_an)) {
            return Self::ReservedTci;
        }
        let mpdu = &octets[at..];
        let tag = match SecTag::parse(mpdu) {
            Ok(tag) => tag,
            Err(error) => return Self::BadTag(error),
        };
        match tag.secure_data_end(mpdu.len(), octets.len()) {
            Ok(end) => {
                let layout = Layout { tag: at, data: at + tag.octets(), icv: at + end };
                Self::Tagged { tag, layout }
            }
            Err(error) => Self::BadTag(error),
        }
    }
}

impl Layout {
    /// Takes the SecTAG out by moving what stands before it up to the data. Gives the frame's new place.
    #[inline]
    pub(crate) fn strip(self, octets: &mut [u8]) -> Range<usize> {
        let start = self.data - self.tag;
        frame::move_header(octets, 0, start, self.tag);
        start..self.icv
    }
}

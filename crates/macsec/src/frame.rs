//! Where things are in an Ethernet frame, and the buffers frames come in.

use core::{fmt, ops::Range};

use crate::{
    MacAddress,
    sectag::{ETHERTYPE_MACSEC, ICV_LEN, SECTAG_LEN_WITH_SCI},
};

/// Octets that must be free before a frame that is to be protected.
pub const HEADROOM: usize = SECTAG_LEN_WITH_SCI;
/// Octets that must be free after it.
pub const TAILROOM: usize = ICV_LEN;

/// Octets of destination and source address.
pub(crate) const ADDRESSES_LEN: usize = 12;
/// Octets of one VLAN tag.
const VLAN_TAG_LEN: usize = 4;
const MAX_CLEAR_TAGS_LEN: usize = 2 * VLAN_TAG_LEN;

/// VLAN tags that stay readable between the addresses and the SecTAG.
///
/// Some carriers select the service by a VLAN tag and so must see it. Such tags are **not
/// authenticated**: whoever holds the wire can change them. A frame with fewer tags than allowed
/// here is handled with those it has. Tags count as such with TPID 81-00 or 88-A8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ClearVlanTags {
    /// The SecTAG follows the source address, as 802.1AE has it.
    #[default]
    None,
    /// Up to one tag in clear.
    One,
    /// Up to two tags in clear.
    Two,
}

impl ClearVlanTags {
    const fn count(self) -> usize {
        match self {
            Self::None => 0,
            Self::One => 1,
            Self::Two => 2,
        }
    }
}

/// Octets of addresses and clear VLAN tags at the front of `frame`, or `None` if nothing follows them.
///
/// A tag counts only if at least one octet follows it.
#[inline]
pub(crate) fn header_len(frame: &[u8], clear: ClearVlanTags) -> Option<usize> {
    let mut at = ADDRESSES_LEN;
    for _ in 0..clear.count() {
        let is_vlan = matches!(frame.get(at..at + 2), Some([0x81, 0x00] | [0x88, 0xa8]));
        if !is_vlan || frame.len() <= at + VLAN_TAG_LEN {
            break;
        }
        at += VLAN_TAG_LEN;
    }
    (frame.len() > at).then_some(at)
}

/// Whether the EtherType at `at` is 88-E5.
#[inline]
pub(crate) fn is_macsec_at(frame: &[u8], at: usize) -> bool {
    frame.get(at..at + 2) == Some(&ETHERTYPE_MACSEC.to_be_bytes()[..])
}

/// Moves `len` octets of addresses and clear VLAN tags from `from` to `to`.
#[inline]
pub(crate) fn move_header(octets: &mut [u8], from: usize, to: usize, len: usize) {
    if len == ADDRESSES_LEN {
        // The length known, this is two moves instead of a call. The usual case.
        let mut header = [0; ADDRESSES_LEN];
        header.copy_from_slice(&octets[from..from + ADDRESSES_LEN]);
        octets[to..to + ADDRESSES_LEN].copy_from_slice(&header);
    } else {
        octets.copy_within(from..from + len, to);
    }
}

/// The source address of a frame of at least 12 octets.
#[inline]
pub(crate) fn source_address(frame: &[u8]) -> MacAddress {
    let mut mac = [0; 6];
    mac.copy_from_slice(&frame[6..ADDRESSES_LEN]);
    MacAddress(mac)
}

/// Clear VLAN tags, kept here while the addresses stand in their place.
///
/// The AAD is addresses and SecTAG without the clear tags between. Moving the addresses next to
/// the SecTAG for the length of the cipher call makes that one slice.
pub(crate) struct ClearTags {
    octets: [u8; MAX_CLEAR_TAGS_LEN],
    len: usize,
}

impl ClearTags {
    /// No tags: nothing to restore.
    pub(crate) const NONE: Self = Self { octets: [0; MAX_CLEAR_TAGS_LEN], len: 0 };

    /// Octets of the tags.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Moves the addresses of `frame` up to its SecTAG at `tag_at`.
    #[inline]
    pub(crate) fn lift(frame: &mut [u8], tag_at: usize) -> Self {
        let len = tag_at - ADDRESSES_LEN;
        let mut octets = [0; MAX_CLEAR_TAGS_LEN];
        if len != 0 {
            octets[..len].copy_from_slice(&frame[ADDRESSES_LEN..tag_at]);
            frame.copy_within(..ADDRESSES_LEN, len);
        }
        Self { octets, len }
    }

    /// Moves the addresses back and puts the tags in their place again.
    #[inline]
    pub(crate) fn restore(&self, frame: &mut [u8]) {
        if self.len != 0 {
            frame.copy_within(self.len..self.len + ADDRESSES_LEN, 0);
            frame[ADDRESSES_LEN..ADDRESSES_LEN + self.len]
                .copy_from_slice(&self.octets[..self.len]);
        }
    }
}

/// A frame in a buffer with room around it.
///
/// Octets run from the destination address, without FCS. Protection puts up to 16 octets in front and 16
/// behind, so a frame to protect needs [`HEADROOM`] and [`TAILROOM`].
/// The payload itself never moves.
///
/// `F` is whatever holds octets: `&mut [u8]`, `Vec<u8>`, a buffer of a pool.
pub struct FrameBuf<F> {
    pub(crate) buffer: F,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Shows where the frame is, and none of its octets: they are user data.
impl<F> fmt::Debug for FrameBuf<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FrameBuf({}..{})", self.start, self.end)
    }
}

impl<F: AsRef<[u8]> + AsMut<[u8]>> FrameBuf<F> {
    /// The frame in `buffer[range]`, or the buffer back if the range does not lie inside it.
    ///
    /// # Errors
    /// The buffer, when `range` reaches past its end or is reversed.
    #[inline]
    pub fn new(buffer: F, range: Range<usize>) -> Result<Self, F> {
        if range.start <= range.end && range.end <= buffer.as_ref().len() {
            Ok(Self { buffer, start: range.start, end: range.end })
        } else {
            Err(buffer)
        }
    }

    /// The frame's octets.
    #[must_use]
    #[inline]
    pub fn octets(&self) -> &[u8] {
        &self.buffer.as_ref()[self.start..self.end]
    }

    /// Where in the buffer the frame stands.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.start..self.end
    }

    /// The buffer, whole.
    #[must_use]
    pub fn into_buffer(self) -> F {
        self.buffer
    }

    #[inline]
    pub(crate) fn octets_mut(&mut self) -> &mut [u8] {
        &mut self.buffer.as_mut()[self.start..self.end]
    }
}

//! Parameter sets: what an MKPDU is made of (802.1X clause 11.11.1).
//!
//! Each set is a header of four octets, a body, and zeros up to the next multiple of four. The
//! header has a type, an octet and a nibble for the set's own use, and the length of the body.

mod announcement;
mod basic;
mod distributed_cak;
mod distributed_sak;
mod kmd;
mod peer_list;
mod sak_use;
mod suite_id;
mod xpn;

use core::fmt;

use nom::{
    IResult, Parser,
    bytes::complete::take,
    number::complete::{be_u8, be_u16},
};

pub use announcement::{AnnouncedSuite, Announcement, Tlv, Tlvs};
pub use basic::{ALGORITHM_AGILITY, Basic, Capability};
pub use distributed_cak::DistributedCak;
pub use distributed_sak::{DistributedKey, DistributedSak};
pub use kmd::Kmd;
pub use peer_list::{PeerList, Peers};
pub use sak_use::{KeyUse, SakUse};
pub use suite_id::SuiteId;
pub use xpn::Xpn;

use crate::{DecodeError, ICV_LEN};

const LENGTH_MASK: u16 = 0x0fff;

/// The type of a parameter set (802.1X clause 11.11.1). The Basic parameter set comes first and has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SetType {
    /// 1: the peers that are live.
    LivePeerList,
    /// 2: the peers that may become live.
    PotentialPeerList,
    /// 3: which SAKs the sender uses, and how.
    SakUse,
    /// 4: a SAK from the key server.
    DistributedSak,
    /// 5: a group CAK from the key server.
    DistributedCak,
    /// 6: the Key Management Domain.
    Kmd,
    /// 7: TLVs of EAPOL-Announcements.
    Announcement,
    /// 8: the upper halves of 64-bit PNs, and suspension.
    Xpn,
    /// 255: how long the ICV is.
    IcvIndicator,
    /// A type that we do not know; passed over by its length.
    Unknown(u8),
}

impl SetType {
    pub(crate) const fn of(octet: u8) -> Self {
        match octet {
            1 => Self::LivePeerList,
            2 => Self::PotentialPeerList,
            3 => Self::SakUse,
            4 => Self::DistributedSak,
            5 => Self::DistributedCak,
            6 => Self::Kmd,
            7 => Self::Announcement,
            8 => Self::Xpn,
            255 => Self::IcvIndicator,
            other => Self::Unknown(other),
        }
    }

    /// The octet on the wire.
    #[must_use]
    pub const fn octet(self) -> u8 {
        match self {
            Self::LivePeerList => 1,
            Self::PotentialPeerList => 2,
            Self::SakUse => 3,
            Self::DistributedSak => 4,
            Self::DistributedCak => 5,
            Self::Kmd => 6,
            Self::Announcement => 7,
            Self::Xpn => 8,
            Self::IcvIndicator => 255,
            Self::Unknown(octet) => octet,
        }
    }

    pub(crate) const fn allowed_lengths(self) -> &'static str {
        match self {
            Self::LivePeerList | Self::PotentialPeerList => "a multiple of 16",
            Self::SakUse => "0, or 40 and more",
            Self::DistributedSak => "0, 28, 36 or 52",
            Self::DistributedCak => "25 to 72",
            Self::Kmd => "at most 253",
            Self::Xpn => "8 at least",
            Self::IcvIndicator => "16",
            Self::Announcement | Self::Unknown(_) => "what the MKPDU holds",
        }
    }
}

impl fmt::Display for SetType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LivePeerList => "Live Peer List",
            Self::PotentialPeerList => "Potential Peer List",
            Self::SakUse => "SAK Use",
            Self::DistributedSak => "Distributed SAK",
            Self::DistributedCak => "Distributed CAK",
            Self::Kmd => "KMD",
            Self::Announcement => "Announcement",
            Self::Xpn => "XPN",
            Self::IcvIndicator => "ICV Indicator",
            Self::Unknown(octet) => return write!(f, "parameter set {octet}"),
        })
    }
}

/// A parameter set as it stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawSet<'a> {
    /// What it is.
    pub set_type: SetType,
    /// Octet 2, for the set's own use.
    pub(crate) specific: u8,
    /// The upper half of octet 3, for the set's own use, in its four upper bits.
    pub(crate) flags: u8,
    /// The body, without padding.
    pub body: &'a [u8],
}

impl RawSet<'_> {
    /// The length of the body. It comes from twelve bits.
    pub(crate) fn length(&self) -> u16 {
        u16::try_from(self.body.len()).unwrap_or(LENGTH_MASK)
    }

    pub(crate) fn wrong_length(&self) -> DecodeError {
        DecodeError::SetLength(self.set_type, self.length())
    }
}

/// The header of a parameter set: first two octets, flags, length.
pub(crate) fn header(input: &[u8]) -> IResult<&[u8], (u8, u8, u8, u16), ()> {
    let (rest, (first, second, word)) = (be_u8, be_u8, be_u16).parse(input)?;
    // The shift leaves eight bits.
    Ok((rest, (first, second, (word >> 8) as u8 & 0xf0, word & LENGTH_MASK)))
}

/// `len` octets and the padding behind them.
pub(crate) fn padded(input: &[u8], len: usize) -> IResult<&[u8], &[u8], ()> {
    let (rest, body) = take(len).parse(input)?;
    let (rest, _) = take(padding(len)).parse(rest)?;
    Ok((rest, body))
}

/// How many zeros follow `len` octets.
pub(crate) const fn padding(len: usize) -> usize {
    len.wrapping_neg() % 4
}

/// The sets between the Basic parameter set and the ICV, in the order of the wire.
///
/// It ends at the ICV Indicator or at the ICV, or with the error that it yields.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawSets<'a> {
    rest: &'a [u8],
    icv_indicator: bool,
}

impl<'a> RawSets<'a> {
    /// Walks `octets`, which end where the ICV begins.
    pub(crate) const fn new(octets: &'a [u8]) -> Self {
        Self { rest: octets, icv_indicator: false }
    }

    /// Whether the ICV Indicator has been passed.
    pub(crate) const fn icv_indicator(&self) -> bool {
        self.icv_indicator
    }
}

impl<'a> Iterator for RawSets<'a> {
    type Item = Result<RawSet<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        // What is left is a multiple of four, so there is a header or nothing.
        let (rest, (octet, specific, flags, length)) = header(self.rest).ok()?;
        self.rest = &[];
        let set_type = SetType::of(octet);
        if set_type == SetType::IcvIndicator {
            self.icv_indicator = true;
            let ends = rest.is_empty() && usize::from(length) == ICV_LEN;
            return (!ends).then_some(Err(DecodeError::IcvIndicator(length)));
        }
        Some(match padded(rest, length.into()) {
            Ok((rest, body)) => {
                self.rest = rest;
                Ok(RawSet { set_type, specific, flags, body })
            }
            Err(_) => Err(DecodeError::SetOverrun(set_type, length)),
        })
    }
}

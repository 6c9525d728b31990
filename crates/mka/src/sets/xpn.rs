//! XPN: what 64-bit PNs need on top of SAK Use, and suspension (802.1X clause 11.11.1, figure 11-16).

use core::fmt;

use nom::{Parser, number::complete::be_u32};

use super::{RawSet, SetType};
use crate::{DecodeError, EncodeError, write::Writer};

const BODY_LEN: usize = 8;

/// The XPN parameter set, of MKA version 2 and above.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Xpn {
    /// The MKA Suspension Time in seconds; 0 for none.
    pub suspension_time: u8,
    latest: u32,
    old: u32,
}

impl Xpn {
    /// The set that completes these lowest PNs, those of the latest and of the old key. Their lower
    /// halves go into [`SakUse`](crate::SakUse). A suite without XPN has upper halves of 0.
    #[must_use]
    pub const fn new(suspension_time: u8, latest_lowest_pn: u64, old_lowest_pn: u64) -> Self {
        // The casts keep the upper halves whole.
        let (latest, old) = ((latest_lowest_pn >> 32) as u32, (old_lowest_pn >> 32) as u32);
        Self { suspension_time, latest, old }
    }

    /// The 64-bit lowest PN of the latest key; `low` is [`KeyUse::lowest_pn`](crate::KeyUse).
    #[must_use]
    pub const fn latest_lowest_pn(&self, low: u32) -> u64 {
        whole(self.latest, low)
    }

    /// The 64-bit lowest PN of the old key; `low` is [`KeyUse::lowest_pn`](crate::KeyUse).
    #[must_use]
    pub const fn old_lowest_pn(&self, low: u32) -> u64 {
        whole(self.old, low)
    }

    /// Excess octets are passed over.
    pub(crate) fn parse(set: &RawSet<'_>) -> Result<Self, DecodeError> {
        let (_, (latest, old)) =
            (be_u32, be_u32).parse(set.body).map_err(|_: nom::Err<()>| set.wrong_length())?;
        Ok(Self { suspension_time: set.specific, latest, old })
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.header(SetType::Xpn.octet(), self.suspension_time, 0, BODY_LEN)?;
        writer.put(&self.latest.to_be_bytes())?;
        writer.put(&self.old.to_be_bytes())
    }
}

const fn whole(high: u32, low: u32) -> u64 {
    ((high as u64) << 32) | low as u64
}

/// Dissector style: `upper lowest PNs 0, 0 suspension 5 s`.
impl fmt::Display for Xpn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "upper lowest PNs {}, {}", self.latest, self.old)?;
        if self.suspension_time != 0 {
            write!(f, " suspension {} s", self.suspension_time)?;
        }
        Ok(())
    }
}

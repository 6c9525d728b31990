//! What an MKPDU says: the Basic parameter set and those behind it (802.1X clause 11.11).

use core::fmt;

use macsec::CipherSuite;

use crate::{
    Announcement, Basic, DecodeError, DistributedCak, DistributedSak, EncodeError, Kmd, PeerList,
    SakUse, SetOrder, SetType, Xpn,
    keys::SsciOrder,
    sets::{RawSet, RawSets},
    write::Writer,
};

/// The parameter sets of an MKPDU, to be sent or received.
///
/// A body by itself claims nothing: what was received and verified is an [`Mkpdu`](crate::Mkpdu). A set
/// that is absent is `None`; of a set that came more than once this is the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Body<'a> {
    /// Who sends, and under which CAK.
    pub basic: Basic,
    /// The peers that are live.
    pub live: Option<PeerList<'a>>,
    /// The peers that may become live.
    pub potential: Option<PeerList<'a>>,
    /// Which SAKs the sender uses, and how.
    pub sak_use: Option<SakUse>,
    /// What the key server has decided, and its key.
    pub distributed_sak: Option<DistributedSak<'a>>,
    /// A group CAK.
    pub distributed_cak: Option<DistributedCak<'a>>,
    /// The Key Management Domain.
    pub kmd: Option<Kmd<'a>>,
    /// What the sender announces.
    pub announcement: Option<Announcement<'a>>,
    /// The upper halves of 64-bit PNs, and suspension.
    pub xpn: Option<Xpn>,
}

impl<'a> Body<'a> {
    /// A body of nothing but the Basic parameter set: a hello to nobody known.
    #[must_use]
    pub const fn new(basic: Basic) -> Self {
        Self {
            basic,
            live: None,
            potential: None,
            sak_use: None,
            distributed_sak: None,
            distributed_cak: None,
            kmd: None,
            announcement: None,
            xpn: None,
        }
    }

    /// The SSCIs that the order of the Live Peer List gives, where it gives any: in MKA version 3, in
    /// an MKPDU that distributes a SAK for an XPN suite (802.1X-2020 clause 11.11.1, figure 11-9).
    #[must_use]
    pub fn ssci_order(&self) -> Option<SsciOrder> {
        let suite = self.distributed_sak?.key()?.suite.known()?;
        let live = self.live?;
        (self.basic.version >= 3 && CipherSuite::is_xpn(suite))
            .then(|| SsciOrder::new(live.key_server_ssci(), live.len()))?
    }

    /// Reads the sets behind the Basic parameter set, in any order; passes over what is unknown.
    pub(crate) fn parse(basic: Basic, mut sets: RawSets<'a>) -> Result<Parsed<'a>, DecodeError> {
        let mut body = Self::new(basic);
        let mut announcement_error = None;
        for set in &mut sets {
            let set = set?;
            match body.take(&set) {
                // No session depends on what is announced.
                Err(error) if set.set_type == SetType::Announcement => {
                    announcement_error = announcement_error.or(Some(error));
                }
                taken => taken?,
            }
        }
        Ok(Parsed { body, icv_indicator: sets.icv_indicator(), announcement_error })
    }

    fn take(&mut self, set: &RawSet<'a>) -> Result<(), DecodeError> {
        match set.set_type {
            SetType::LivePeerList => first(&mut self.live, set, PeerList::parse),
            SetType::PotentialPeerList => first(&mut self.potential, set, PeerList::parse),
            SetType::SakUse => first(&mut self.sak_use, set, SakUse::parse),
            SetType::DistributedSak => first(&mut self.distributed_sak, set, DistributedSak::parse),
            SetType::DistributedCak => first(&mut self.distributed_cak, set, DistributedCak::parse),
            SetType::Kmd => first(&mut self.kmd, set, Kmd::parse),
            SetType::Announcement => first(&mut self.announcement, set, Announcement::parse),
            SetType::Xpn => first(&mut self.xpn, set, Xpn::parse),
            // The Indicator ends the walk and never gets here.
            SetType::IcvIndicator | SetType::Unknown(_) => Ok(()),
        }
    }

    pub(crate) fn write(
        &self,
        order: SetOrder,
        writer: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        self.basic.write(writer)?;
        match order {
            SetOrder::Ascending => {
                self.write_lists(writer)?;
                self.write_others(writer)
            }
            SetOrder::Standard => {
                self.write_others(writer)?;
                self.write_lists(writer)
            }
        }
    }

    fn write_lists(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        if let Some(peers) = &self.live {
            peers.write(SetType::LivePeerList, writer)?;
        }
        self.potential.map_or(Ok(()), |peers| peers.write(SetType::PotentialPeerList, writer))
    }

    fn write_others(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        self.sak_use.map_or(Ok(()), |set| set.write(writer))?;
        self.distributed_sak.map_or(Ok(()), |set| set.write(writer))?;
        self.distributed_cak.map_or(Ok(()), |set| set.write(writer))?;
        self.kmd.map_or(Ok(()), |set| set.write(writer))?;
        self.announcement.map_or(Ok(()), |set| set.write(writer))?;
        self.xpn.map_or(Ok(()), |set| set.write(writer))
    }
}

/// A body, and what else there is to be said of the sets that it was read from.
pub(crate) struct Parsed<'a> {
    pub(crate) body: Body<'a>,
    pub(crate) icv_indicator: bool,
    /// What is wrong with the first Announcement that has been passed over.
    pub(crate) announcement_error: Option<DecodeError>,
}

/// Dissector style: the Basic parameter set, and each other in a line of its own.
impl fmt::Display for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.basic.fmt(f)?;
        line(f, SetType::LivePeerList, self.live)?;
        line(f, SetType::PotentialPeerList, self.potential)?;
        line(f, SetType::SakUse, self.sak_use)?;
        line(f, SetType::DistributedSak, self.distributed_sak)?;
        line(f, SetType::DistributedCak, self.distributed_cak)?;
        line(f, SetType::Kmd, self.kmd)?;
        line(f, SetType::Announcement, self.announcement)?;
        line(f, SetType::Xpn, self.xpn)
    }
}

fn line(
    f: &mut fmt::Formatter<'_>,
    set_type: SetType,
    set: Option<impl fmt::Display>,
) -> fmt::Result {
    set.map_or(Ok(()), |set| write!(f, "\n  {set_type}: {set}"))
}

/// Fills `slot` unless an earlier set of the type has.
fn first<'a, T>(
    slot: &mut Option<T>,
    set: &RawSet<'a>,
    parse: fn(&RawSet<'a>) -> Result<T, DecodeError>,
) -> Result<(), DecodeError> {
    if slot.is_none() {
        *slot = Some(parse(set)?);
    }
    Ok(())
}

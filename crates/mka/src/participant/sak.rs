//! The SAK that a participant agrees on: its name, its use and its frozen members.

use alloc::{collections::VecDeque, vec::Vec};

use macsec::{An, CipherSuite, Confidentiality, DataKey, Ki, Sci, Ssci};

use super::peers::PeerTable;
use crate::{Mi, SsciOrder};

/// As many as fit into a Live Peer List, and its sender.
const MAX_MEMBERS: usize = 92;
/// How many KIs are remembered; the SecY remembers as many.
const HISTORY: usize = 16;

/// A SAK that has just been agreed on: what the CP machine calls `newSAK`, to be installed.
#[derive(Debug)]
pub struct AgreedSak {
    /// The key, its KI, its suite and, for XPN, its salt.
    pub key: DataKey,
    /// `distributedAN`: the AN to use it with. An SA of another key that still has that AN has to go.
    pub an: An,
    /// What it is to be used for.
    pub confidentiality: Confidentiality,
}

/// Somebody who has a SAK, or will.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SakMember {
    /// Who.
    pub mi: Mi,
    /// Its SCI, once known.
    pub sci: Option<Sci>,
    /// Its SSCI, once known; with XPN suites only.
    pub ssci: Option<Ssci>,
    /// No longer live: if it comes back, it needs another SAK.
    pub(crate) gone: bool,
    /// It wanted MACsec when the SAK was made. If it did not, it did not take it.
    pub(crate) wants_macsec: bool,
}

impl SakMember {
    pub(crate) const fn new(mi: Mi, sci: Option<Sci>) -> Self {
        Self { mi, sci, ssci: None, gone: false, wants_macsec: true }
    }
}

/// What is known of the SAK agreed on last. Its key is not here: see [`AgreedSak`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SakInfo {
    /// Its name.
    pub ki: Ki,
    /// Its AN.
    pub an: An,
    /// Its cipher suite.
    pub suite: CipherSuite,
    /// What it is used for.
    pub confidentiality: Confidentiality,
    /// Our MI when we got it.
    pub(crate) own: Mi,
    /// The key server gave the SSCIs by the order of its list.
    pub(crate) ordered: bool,
    /// The key server has listed other members for the same KI: numbers may be in use twice.
    pub(crate) contradicted: bool,
}

/// The SAK agreed on, if any, and those before it.
pub(crate) struct SakState {
    info: Option<SakInfo>,
    members: Vec<SakMember>,
    history: VecDeque<Ki>,
    pub(crate) last_an: Option<An>,
}

impl SakState {
    pub(crate) fn new() -> Self {
        Self {
            info: None,
            members: Vec::with_capacity(MAX_MEMBERS),
            history: VecDeque::with_capacity(HISTORY),
            last_an: None,
        }
    }

    pub(crate) const fn info(&self) -> Option<&SakInfo> {
        self.info.as_ref()
    }

    pub(crate) fn members(&self) -> &[SakMember] {
        &self.members
    }

    /// Whether there is, or was of late, a SAK of that name.
    pub(crate) fn knows(&self, ki: Ki) -> bool {
        self.history.contains(&ki)
    }

    /// Forgets that there was a SAK of that name.
    pub(crate) fn disown(&mut self, ki: Ki) {
        self.history.retain(|known| *known != ki);
    }

    /// Sets down a new SAK with its members. `false`, and nothing done, if they are too many or one is
    /// there twice. The name of one that is `in_use` is never forgotten: it is by its name that it is ours.
    pub(crate) fn set(
        &mut self,
        info: SakInfo,
        members: impl Iterator<Item = SakMember> + Clone,
        in_use: impl Fn(Ki) -> bool,
    ) -> bool {
        let twice = |(index, member): (usize, SakMember)| {
            members.clone().skip(index + 1).any(|other| {
                other.mi == member.mi || (other.sci.is_some() && other.sci == member.sci)
            })
        };
        if members.clone().count() > MAX_MEMBERS || members.clone().enumerate().any(twice) {
            return false;
        }
        self.members.clear();
        self.members.extend(members);
        if self.history.len() == HISTORY {
            let oldest = self.history.iter().position(|ki| !in_use(*ki));
            self.history.remove(oldest.unwrap_or_default());
        }
        self.history.push_back(info.ki);
        self.last_an = Some(info.an);
        self.info = Some(info);
        true
    }

    /// Takes the SSCIs from the order of the members behind the first, who is the key server.
    pub(crate) fn number(&mut self, order: SsciOrder) {
        if let Some((server, listed)) = self.members.split_first_mut() {
            server.ssci = Some(order.key_server());
            for (index, member) in listed.iter_mut().enumerate() {
                member.ssci = order.peer(index);
            }
        }
    }

    /// Drops the SAK, but not the memory of its name.
    pub(crate) fn clear(&mut self) {
        self.info = None;
        self.members.clear();
    }

    /// The key server lists others as members of the same SAK.
    pub(crate) const fn contradict(&mut self) {
        if let Some(info) = &mut self.info {
            info.contradicted = true;
        }
    }

    /// Learns SCIs from `peers`, and who has gone. Numbers the members as soon as all SCIs are known,
    /// unless the key server has.
    pub(crate) fn update(&mut self, peers: &PeerTable) {
        let Some(info) = self.info else { return };
        for member in &mut self.members {
            if member.mi == info.own {
                continue;
            }
            let peer = peers.get(member.mi);
            if member.sci.is_none() {
                member.sci = peer.and_then(|peer| peer.heard).map(|heard| heard.sci);
            }
            member.gone |= !peer.is_some_and(|peer| peer.live);
        }
        if info.suite.is_xpn() && !info.ordered && self.members.iter().all(|one| one.sci.is_some())
        {
            for index in 0..self.members.len() {
                let sci = self.members[index].sci;
                let greater = self.members.iter().filter(|one| one.sci > sci).count();
                let once = self.members.iter().filter(|one| one.sci == sci).count() == 1;
                let place = u32::try_from(greater + 1).ok().map(Ssci);
                self.members[index].ssci = place.filter(|_| once);
            }
        }
    }

    pub(crate) fn member(&self, mi: Mi) -> Option<&SakMember> {
        self.members.iter().find(|member| member.mi == mi)
    }

    /// Our own SSCI.
    pub(crate) fn own_ssci(&self) -> Option<Ssci> {
        self.member(self.info?.own)?.ssci
    }

    /// Whether one may transmit with the key: no other member can have our SSCI.
    pub(crate) fn may_transmit(&self) -> bool {
        self.info.is_some_and(|info| {
            !info.suite.is_xpn() || (!info.contradicted && self.own_ssci().is_some())
        })
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use macsec::MacAddress;

    use super::*;

    fn info(number: u32, ordered: bool) -> SakInfo {
        SakInfo {
            ki: mi(9).ki(number),
            an: An::ALL[0],
            suite: CipherSuite::GcmAesXpn128,
            confidentiality: Confidentiality::default(),
            own: mi(1),
            ordered,
            contradicted: false,
        }
    }

    const fn mi(octet: u8) -> Mi {
        Mi([octet; 12])
    }

    fn member(octet: u8) -> SakMember {
        SakMember::new(mi(octet), Some(Sci::new(MacAddress([2, 0, 0, 0, 0, octet]), 1)))
    }

    #[test]
    fn the_greatest_sci_is_number_one() {
        let mut sak = SakState::new();
        assert!(sak.set(info(1, false), [member(9), member(1), member(5)].into_iter(), |_| false));
        assert!(!sak.may_transmit());
        sak.update(&PeerTable::new(1, Duration::from_secs(6)));
        assert!(sak.may_transmit());
        let numbers: Vec<_> = sak.members().iter().map(|member| member.ssci.unwrap().0).collect();
        assert_eq!(numbers, [1, 3, 2]);
        assert_eq!(sak.own_ssci(), Some(Ssci(3)));
    }

    /// Versions 1 and 2 (MI0171): nobody transmits before the SCI of every member is known.
    #[test]
    fn an_unknown_sci_holds_transmission_back_unless_the_key_server_has_numbered() {
        let peers = PeerTable::new(1, Duration::from_secs(6));
        let members = [member(9), member(1), SakMember::new(mi(5), None)];
        let mut sak = SakState::new();
        assert!(sak.set(info(1, false), members.into_iter(), |_| false));
        sak.update(&peers);
        assert!(!sak.may_transmit());
        assert!(sak.set(info(2, true), members.into_iter(), |_| false));
        sak.number(SsciOrder::new(1, 2).unwrap());
        sak.update(&peers);
        assert_eq!(sak.own_ssci(), Some(Ssci(2)));
        assert!(sak.may_transmit());
        sak.contradict();
        assert!(!sak.may_transmit());
    }

    #[test]
    fn one_member_twice_is_refused_and_names_are_remembered() {
        let mut sak = SakState::new();
        assert!(!sak.set(info(1, false), [member(9), member(1), member(9)].into_iter(), |_| false));
        let same_sci = SakMember::new(mi(7), member(1).sci);
        assert!(!sak.set(info(1, false), [member(9), member(1), same_sci].into_iter(), |_| false));
        assert!(sak.set(info(1, false), [member(9), member(1)].into_iter(), |_| false));
        sak.clear();
        assert!(sak.knows(info(1, false).ki));
        for number in 2..=17 {
            sak.set(info(number, false), [member(9), member(1)].into_iter(), |_| false);
        }
        assert!(!sak.knows(info(1, false).ki));
        assert!(sak.knows(info(2, false).ki));
        let in_use = info(2, false).ki;
        for number in 18..=60 {
            let members = [member(9), member(1)].into_iter();
            sak.set(info(number, false), members, |ki| ki == in_use);
        }
        assert!(sak.knows(in_use));
        assert!(!sak.knows(info(3, false).ki));
    }
}

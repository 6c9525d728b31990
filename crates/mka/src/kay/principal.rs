//! Which participant is the principal one: the one whose SAKs the port uses (802.1X clause 9).
//!
//! - **Only the key server chooses.** It goes over to a participant that it prefers once every live peer of the present
//!   principal one is live there as well, so nobody is left behind. Nobody is about to join then, and the last SAK has
//!   taken the place of the one before: that we transmit with it is told in one participant, and the next SAK would
//!   come in another, perhaps before that.
//! - **A key server that has no key in use yet**, as it has just come, goes where its peers transmit; it may have heard of them
//!   elsewhere first.
//! - **All others follow** the participant in which the key server has sent them the last SAK: also if they find out only
//!   later that who sent it is key server of the present one as well.
//! - **Who has no live peer left gives way** to one that has: of those the one with the best key server; of these one with
//!   a SAK to be followed, or the most preferred.
//! - **Who gets no SAK there, or finds nobody to take its own,** goes over to one that has a SAK for it.
//! - The SAK of another key server than the present principal participant's is kept, and not followed as long as that has a
//!   live peer. Whoever has but one of the CAKs, the fallback say, does not get those over who have another in use; unless
//!   it takes the SCI of their key server, as anyone can who has a CAK. Each CAK has to be kept as secret as the others.
//!
//! A participant that becomes the principal one as key server makes a new SAK. The keys in use stay until that is in
//! use in their place, as in any rollover.

use core::time::Duration;

use macsec::Sci;

use super::{
    Kay, KayEvent,
    slots::{Slot, Slots},
};
use crate::{
    Ckn, KeyServer, Participant, Random,
    cp::CpState,
    participant::{Place, UsedAns},
};

/// Priority and SCI of a key server. Who has none is behind all others.
fn server<R: Random>(participant: &Participant<R>) -> (bool, Option<(u8, Sci)>) {
    let rank = participant.server_rank();
    (rank.is_none(), rank)
}

/// Whether all live peers of `present` are live peers of `other`.
fn covers<R: Random>(other: &Participant<R>, present: &Participant<R>) -> bool {
    present.live_scis().all(|sci| other.live_scis().any(|live| live == sci))
}

/// Whether a live peer transmits with a SAK that it has from here.
fn peers_transmit<R: Random>(slot: &Slot<R>) -> bool {
    let mut uses =
        slot.participant.peers().filter(|peer| peer.live).filter_map(|peer| peer.key_use);
    uses.any(|keys| keys.transmits())
}

/// How it stands with the port.
#[derive(Clone, Copy)]
struct Standing {
    /// No SAK is on its way into use.
    at_rest: bool,
    /// There is a key in use.
    in_use: bool,
    stranded: bool,
}

impl<R: Random> Slots<R> {
    /// Who is to be the principal participant, as far as that is ours to say.
    fn best(&self, standing: Standing) -> Option<&Slot<R>> {
        let stays = |slot: &&Slot<R>| slot.leaves_by.is_none();
        let live = || self.iter().filter(stays).filter(|slot| slot.participant.has_session());
        let present = self.principal();
        let Some(present) = present.filter(|slot| slot.participant.has_session()) else {
            let best = live()
                .min_by_key(|slot| (server(&slot.participant), slot.to_be_followed().is_none()));
            return best.or(present).or(self.iter().next());
        };
        if standing.stranded
            && let Some(other) = live().find(|slot| slot.to_be_followed().is_some())
        {
            return Some(other);
        }
        let ours = |slot: &&Slot<R>| slot.participant.key_server() == KeyServer::Us;
        if !ours(&present) {
            let server = present.participant.server_rank().map(|(_, sci)| sci);
            let follows = |slot: &&Slot<R>| server.is_some() && slot.to_be_followed() == server;
            return live().find(follows).or(Some(present));
        }
        if !standing.in_use
            && let Some(theirs) = live().filter(ours).find(|slot| peers_transmit(slot))
        {
            return Some(theirs);
        }
        if !standing.at_rest {
            return Some(present);
        }
        let better = live().filter(ours).find(|slot| {
            let other = &slot.participant;
            slot.preference < present.preference
                && !other.has_potential_peers()
                && covers(other, &present.participant)
        });
        better.or(Some(present))
    }
}

impl<R: Random> Kay<R> {
    /// Sees to it that the right participant is the principal one.
    pub(super) fn choose_principal(&mut self, now: Duration) {
        let at_rest = self.port.state() != CpState::Transmitting && !self.rollover_is_under_way();
        let (in_use, stranded) = (self.port.in_use().is_some(), self.is_stranded(now));
        let best = self.slots.best(Standing { at_rest, in_use, stranded });
        let best = best.map(|slot| *slot.participant.ckn());
        self.make_principal(now, best);
    }

    fn make_principal(&mut self, now: Duration, ckn: Option<Ckn>) {
        if self.slots.principal().map(|slot| slot.participant.ckn()) == ckn.as_ref() {
            return;
        }
        for slot in self.slots.iter_mut() {
            slot.principal = ckn.as_ref() == Some(slot.participant.ckn());
        }
        self.tell(KayEvent::Principal(ckn));
        if self.slots.principal().is_some_and(|slot| slot.agreed.is_some()) {
            self.note_sak(now, None);
        }
    }

    /// Tells the participants what they have to know of the port.
    pub(super) fn tell_places(&mut self, now: Duration) {
        let place = self.place();
        for slot in self.slots.iter_mut() {
            let (principal, leaves) = (slot.principal, slot.leaves_by.is_some());
            slot.participant.take_place(now, Place { principal, leaves, ..place });
        }
    }

    /// The place of a participant that is not the principal one.
    pub(super) fn place(&self) -> Place {
        let mut used_ans = UsedAns::default();
        let ours = self.port.reported().into_iter().flatten().map(|key| (key.an, key.tx));
        let theirs = self.slots.iter().flat_map(|slot| slot.participant.peers_ans());
        ours.chain(theirs).for_each(|an| used_ans.add(an));
        let made = self.last_sak.filter(|last| last.reason.is_some());
        Place {
            principal: false,
            leaves: false,
            has_keys: !self.port.has_no_keys(),
            last_an: self.last_an,
            used_ans,
            last_sak: made.map(|last| last.at),
        }
    }
}

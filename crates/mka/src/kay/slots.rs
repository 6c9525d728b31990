//! The participants of a KaY, one for each CAK, in the order in which they are preferred.

use core::{fmt, time::Duration};

use alloc::{boxed::Box, vec::Vec};

use macsec::{Ki, Sci};

use super::Kay;
use crate::{
    AgreedSak, Cak, Ckn, Event, KeyServer, Mi, Participant, ParticipantCounters, ParticipantError,
    Random,
};

/// How many participants a KaY has at the most: the CAK in use, the next one, a fallback, and as many again on their
/// way out. Each sends hellos of its own.
pub const MAX_PARTICIPANTS: usize = 8;

/// Why a participant has not been added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddError {
    /// There is one with this CKN.
    Known,
    /// There are [`MAX_PARTICIPANTS`].
    Full,
    /// It could not be made.
    Participant(ParticipantError),
}

impl fmt::Display for AddError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known => f.write_str("CKN: there is a participant of that name"),
            Self::Full => write!(f, "participants: there are {MAX_PARTICIPANTS} already"),
            Self::Participant(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for AddError {}

/// A participant and what the KaY keeps along with it.
pub(super) struct Slot<R> {
    pub(super) participant: Participant<R>,
    /// Less is better.
    pub(super) preference: u32,
    pub(super) principal: bool,
    /// A SAK that waits for our SSCI, or for the participant to become the principal one.
    pub(super) agreed: Option<AgreedSak>,
    /// It has been removed, and goes at this time at the latest: as soon as its SAK, on the way into use, has got there.
    pub(super) leaves_by: Option<Duration>,
}

impl<R: Random> Slot<R> {
    /// Which key server has sent a SAK that is not followed yet, and is key server still.
    pub(super) fn to_be_followed(&self) -> Option<Sci> {
        let maker = KeyServer::Peer(Mi::of_ki(self.agreed.as_ref()?.key.ki()));
        let server = self.participant.server_rank();
        server.filter(|_| self.participant.key_server() == maker).map(|(_, sci)| sci)
    }

    fn maker_of_agreed(&self) -> Option<Sci> {
        self.participant.sci_of(Mi::of_ki(self.agreed.as_ref()?.key.ki()))
    }
}

/// The participants, the most preferred first. Each takes more room than all the rest of a KaY, so there is room for
/// those only that there are; and one that moves leaves no copy of its keys.
pub(super) struct Slots<R> {
    slots: Vec<Box<Slot<R>>>,
}

impl<R: Random> Slots<R> {
    pub(super) fn new() -> Self {
        Self { slots: Vec::with_capacity(MAX_PARTICIPANTS) }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Slot<R>> + Clone {
        self.slots.iter().map(Box::as_ref)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Slot<R>> {
        self.slots.iter_mut().map(Box::as_mut)
    }

    pub(super) fn get(&self, ckn: &Ckn) -> Option<&Slot<R>> {
        self.iter().find(|slot| slot.participant.ckn() == ckn)
    }

    pub(super) fn get_mut(&mut self, ckn: &Ckn) -> Option<&mut Slot<R>> {
        self.iter_mut().find(|slot| slot.participant.ckn() == ckn)
    }

    pub(super) fn principal(&self) -> Option<&Slot<R>> {
        self.iter().find(|slot| slot.principal)
    }

    pub(super) fn principal_mut(&mut self) -> Option<&mut Slot<R>> {
        self.iter_mut().find(|slot| slot.principal)
    }

    /// The participant in which the SAK `ki` was agreed on.
    pub(super) fn owner(&self, ki: Ki) -> Option<&Slot<R>> {
        self.iter().find(|slot| slot.participant.has_agreed_on(ki))
    }

    pub(super) fn owner_mut(&mut self, ki: Ki) -> Option<&mut Slot<R>> {
        self.iter_mut().find(|slot| slot.participant.has_agreed_on(ki))
    }

    /// Whether the SAK `ki` was agreed on in another participant than `ckn`.
    pub(super) fn is_known_to_another(&self, ki: Ki, ckn: &Ckn) -> bool {
        let mut others = self.slots.iter().filter(|slot| slot.participant.ckn() != ckn);
        others.any(|slot| slot.participant.has_agreed_on(ki))
    }

    /// Whether a peer is live in any participant.
    pub(super) fn is_live(&self, sci: Sci) -> bool {
        self.slots.iter().any(|slot| slot.participant.live_scis().any(|live| live == sci))
    }

    /// A SAK has been agreed on in the participant `ckn`. What its maker has sent in others, and is not in use yet, is not to
    /// be followed any more.
    pub(super) fn supersede_by(&mut self, ckn: &Ckn) {
        let maker = self.get(ckn).and_then(Slot::maker_of_agreed);
        for slot in self.slots.iter_mut().filter(|slot| slot.participant.ckn() != ckn) {
            if maker.is_some()
                && slot.maker_of_agreed() == maker
                && let Some(AgreedSak { key, .. }) = slot.agreed.take()
            {
                slot.participant.forget_sak(key.ki());
            }
        }
    }

    /// What has happened next, and to whom.
    pub(super) fn poll_event(&mut self) -> Option<(Ckn, Event)> {
        self.slots.iter_mut().find_map(|slot| {
            let event = slot.participant.poll_event()?;
            Some((*slot.participant.ckn(), event))
        })
    }

    fn sort(&mut self) {
        // Those that are preferred alike stay as they came.
        self.slots.sort_by_key(|slot| slot.preference);
    }
}

impl<R: Random> Kay<R> {
    /// Adds a participant of another CA: the CAK `cak` under the name `ckn`. It finds its peers beside the others. Which
    /// participant the port's SAKs come from is for the key server to say: of those that all peers have, the one that
    /// it prefers. Less is better; among equals, who was there first.
    ///
    /// This allocates, once.
    ///
    /// # Errors
    /// See [`AddError`]; nothing has changed then.
    pub fn add_participant(
        &mut self,
        now: Duration,
        cak: Cak,
        ckn: Ckn,
        preference: u32,
        random: R,
    ) -> Result<(), AddError> {
        if self.participant(&ckn).is_some() {
            return Err(AddError::Known);
        }
        if self.participants().count() == MAX_PARTICIPANTS {
            return Err(AddError::Full);
        }
        let mut participant = Participant::new(self.config.participant, cak, ckn, random, now)
            .map_err(AddError::Participant)?;
        participant.set_port_enabled(now, self.port_enabled);
        participant.take_place(now, self.place());
        // Nobody has two participants of one name, nor more than there is room for.
        let full = self.slots.slots.len() == MAX_PARTICIPANTS;
        self.drop_leaving(|slot| full || *slot.participant.ckn() == ckn);
        let slot =
            Slot { participant, preference, principal: false, agreed: None, leaves_by: None };
        self.slots.slots.push(Box::new(slot));
        self.slots.sort();
        // `MKA.failed` counts from the newest participant.
        self.pending_since = now;
        self.settle(now);
        Ok(())
    }

    /// Removes the participant with the CKN `ckn`, and erases its CAK: at once, as a rule. `false` if there is none.
    ///
    /// The port's keys stay in use, if they are of this participant and another has live peers, until that one's have
    /// taken their place; for as long as a change of key server may take at the most
    /// ([`Timers::replace`](crate::cp::Timers::replace)). If no other has, the port closes.
    ///
    /// If a SAK of this participant is on its way into use, and another has live peers, it goes once the SAK has got there, or
    /// after the same time: peers have to be told that we transmit with it. It is none of [`Self::participants`] any more.
    pub fn remove_participant(&mut self, now: Duration, ckn: &Ckn) -> bool {
        if self.participant(ckn).is_none() {
            return false;
        }
        let leaves_by = now.saturating_add(self.config.port.timers.replace);
        if let Some(slot) = self.slots.get_mut(ckn) {
            slot.leaves_by = Some(leaves_by);
        }
        self.settle(now);
        true
    }

    /// Lets those go that have been removed.
    pub(super) fn see_off(&mut self, now: Duration) {
        let stays = |slot: &Slot<R>| slot.leaves_by.is_none();
        let others = self.slots.iter().any(|slot| stays(slot) && slot.participant.has_session());
        let under_way = self.keys_under_way();
        let before = self.slots.slots.len();
        self.drop_leaving(|slot| {
            let mut keys = under_way.into_iter().flatten();
            let awaited = others && keys.any(|ki| slot.participant.has_agreed_on(ki));
            !awaited || slot.leaves_by.is_some_and(|by| by <= now)
        });
        let in_use = self.port.in_use();
        if self.slots.slots.len() < before
            && in_use.is_some_and(|key| self.slots.owner(key.ki).is_none())
        {
            // Though another SAK has come already: it may be one that nobody brings into use.
            self.port.server_changed(now);
        }
    }

    /// Drops those that have been removed, if they `go`.
    fn drop_leaving(&mut self, go: impl Fn(&Slot<R>) -> bool) {
        let Self { slots, removed, .. } = self;
        slots.slots.retain(|slot| {
            let stays = slot.leaves_by.is_none() || !go(slot);
            if !stays {
                removed.add(slot.participant.counters());
            }
            stays
        });
    }

    /// Changes how much the participant with the CKN `ckn` is preferred. `false` if there is none.
    pub fn set_preference(&mut self, now: Duration, ckn: &Ckn, preference: u32) -> bool {
        let slot = self.slots.get_mut(ckn).filter(|slot| slot.leaves_by.is_none());
        let Some(slot) = slot else { return false };
        if slot.preference != preference {
            slot.preference = preference;
            self.slots.sort();
            self.settle(now);
        }
        true
    }

    /// The participants, the most preferred first.
    pub fn participants(&self) -> impl Iterator<Item = &Participant<R>> {
        let stay = self.slots.iter().filter(|slot| slot.leaves_by.is_none());
        stay.map(|slot| &slot.participant)
    }

    /// The participant with the CKN `ckn`.
    #[must_use]
    pub fn participant(&self, ckn: &Ckn) -> Option<&Participant<R>> {
        self.participants().find(|participant| participant.ckn() == ckn)
    }

    /// The participant in which the SAK `ki` was agreed on, be it now or of late.
    #[must_use]
    pub fn participant_of(&self, ki: Ki) -> Option<&Participant<R>> {
        self.slots.owner(ki).map(|slot| &slot.participant)
    }

    /// What all participants have counted, those that have been removed included.
    #[must_use]
    pub fn participant_counters(&self) -> ParticipantCounters {
        let mut counters = self.removed;
        self.slots.iter().for_each(|slot| counters.add(slot.participant.counters()));
        counters
    }

    /// The principal participant: the one whose SAKs the port uses, or is about to. `None` only if there is no
    /// participant.
    #[must_use]
    pub fn principal(&self) -> Option<&Participant<R>> {
        self.slots.principal().map(|slot| &slot.participant)
    }
}

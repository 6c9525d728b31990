//! What one machine tells the other.

use core::time::Duration;

use arrayvec::ArrayVec;
use macsec::{Ki, Sci, Ssci};

use super::{Hold, Kay, KayEvent, LastSak, slots::Slot};
use crate::{
    AgreedSak, Agreement, Ckn, Event, KeyInUse, KeyReport, KeyServer, Mi, MiReason, Participant,
    Random, RekeyReason,
    cp::{CpEvent, CpState, Inputs, KeyStatus, MAX_PEERS, NewSak, PeerReport, PeerSa},
    logon::{EapOutcome, MkaOutcome},
    order::OrderFailure,
};

/// The machines come to rest in two or three rounds. More would be a fault of ours, which is not to hang a port:
/// the next input goes on from there.
const MAX_ROUNDS: usize = 16;

impl<R: Random> Kay<R> {
    /// Lets the machines tell each other what has happened, until neither has news.
    pub(super) fn settle(&mut self, now: Duration) {
        self.now = now;
        for _ in 0..MAX_ROUNDS {
            let heard = self.hear_participants(now);
            self.see_off(now);
            self.choose_principal(now);
            self.tell_places(now);
            self.judge(now);
            self.offer_agreed();
            let inputs = self.inputs();
            self.port.update(now, inputs);
            self.add_peers(now);
            self.bind_delays();
            let heard = self.hear_port(now) || heard;
            self.report(now);
            if !heard && self.slots.iter().all(|slot| !slot.participant.has_events()) {
                return;
            }
        }
    }

    /// When it is to be said that MKA has failed (`MKA.failed`).
    pub(super) fn failure_due(&self) -> Option<Duration> {
        let waits = self.port_enabled && self.outcome == MkaOutcome::Pending;
        waits.then(|| self.pending_since + self.config.participant.life_time())
    }

    fn judge(&mut self, now: Duration) {
        let agreement = self.principal().map_or(Agreement::Pending, Participant::agreement);
        let outcome = match agreement {
            Agreement::Secured => MkaOutcome::Secured,
            Agreement::PlainText => MkaOutcome::Plain,
            Agreement::Pending if self.holds() => MkaOutcome::Secured,
            Agreement::Pending => match self.outcome {
                MkaOutcome::Secured | MkaOutcome::Plain => {
                    self.pending_since = now;
                    MkaOutcome::Pending
                }
                _ if !self.port_enabled => MkaOutcome::Pending,
                MkaOutcome::Failed => MkaOutcome::Failed,
                MkaOutcome::Pending => match self.failure_due() {
                    Some(due) if due <= now => MkaOutcome::Failed,
                    _ => MkaOutcome::Pending,
                },
            },
        };
        self.hold = match self.hold {
            Hold::Barred if agreement == Agreement::Pending => Hold::Barred,
            before if agreement == Agreement::Pending && outcome == MkaOutcome::Secured => {
                if before != Hold::On {
                    // If no SAK comes in time, the port closes.
                    self.port.server_changed(now);
                }
                Hold::On
            }
            _ => Hold::Ready,
        };
        if outcome != self.outcome {
            self.outcome = outcome;
            self.tell(KayEvent::Outcome(outcome));
        }
    }

    /// Whether the keys in use stay until the principal participant has a SAK to replace them: they are another's.
    fn holds(&self) -> bool {
        let others = |ki| self.slots.owner(ki).is_none_or(|owner| !owner.principal);
        self.outcome == MkaOutcome::Secured
            && self.hold != Hold::Barred
            && self.principal().is_some_and(Participant::has_session)
            && self.port.in_use().is_some_and(|key| others(key.ki))
    }

    fn hear_participants(&mut self, now: Duration) -> bool {
        let mut heard = false;
        while let Some((ckn, event)) = self.slots.poll_event() {
            heard = true;
            self.hear_participant(now, &ckn, event);
            self.tell(KayEvent::Participant(ckn, event));
        }
        heard
    }

    fn hear_participant(&mut self, now: Duration, ckn: &Ckn, event: Event) {
        match event {
            Event::KeyServer(elected) => self.take_key_server(now, ckn, elected),
            Event::PeerLost { sci, .. } if !self.is_needed(sci) => self.port.remove_peer(sci),
            Event::SakGenerated(_, reason) => self.take_sak(now, ckn, Some(reason)),
            Event::SakReceived(_) => self.take_sak(now, ckn, None),
            Event::NewMi(MiReason::MembersChanged) => self.hold = Hold::Barred,
            _ => {}
        }
    }

    /// A change of key server is a rollover to its SAK; but if it is the one whose SAK we have, it need not make
    /// another.
    fn take_key_server(&mut self, now: Duration, ckn: &Ckn, elected: KeyServer) {
        let Some(slot) = self.slots.principal().filter(|slot| slot.participant.ckn() == ckn) else {
            return;
        };
        let server = match elected {
            KeyServer::Us => Some(slot.participant.member().mi),
            KeyServer::Peer(mi) => Some(mi),
            KeyServer::Nobody => None,
        };
        let of_sak = slot.participant.sak().map(|info| Mi::of_ki(info.ki));
        if server.is_some() && server == of_sak {
            self.port.server_restored();
        } else {
            self.port.server_changed(now);
        }
    }

    /// Whether the peer `sci`, in this instance or another, is one that a SAK was made for, or is still live under
    /// another CAK.
    fn is_needed(&self, sci: Sci) -> bool {
        let mut members = self.slots.iter().flat_map(|slot| slot.participant.sak_members());
        members.any(|member| member.sci == Some(sci)) || self.slots.is_live(sci)
    }

    fn take_sak(&mut self, now: Duration, ckn: &Ckn, reason: Option<RekeyReason>) {
        let Some(slot) = self.slots.get_mut(ckn) else { return };
        if let Some(agreed) = slot.participant.take_agreed_sak() {
            let ki = agreed.key.ki();
            slot.agreed = Some(agreed);
            if self.port.has_key(ki) || self.slots.is_known_to_another(ki, ckn) {
                return self.refuse_name(now, ckn, ki);
            }
            self.slots.supersede_by(ckn);
        }
        if self.principal().is_some_and(|principal| principal.ckn() == ckn) {
            self.note_sak(now, reason);
        }
    }

    /// The key server of the participant `ckn` has given a SAK the name of another that is here, and it must not be taken for
    /// that. An honest one does so if it has one MI for all its participants: with a new MI of ours its next SAK has
    /// another name.
    fn refuse_name(&mut self, now: Duration, ckn: &Ckn, ki: Ki) {
        if let Some(slot) = self.slots.get_mut(ckn) {
            slot.agreed = None;
            slot.participant.refuse_sak(now, ki);
            slot.participant.disown_sak(ki);
        }
    }

    /// Takes note of the SAK of the principal participant.
    pub(super) fn note_sak(&mut self, now: Duration, reason: Option<RekeyReason>) {
        let Some(participant) = self.slots.principal().map(|slot| &slot.participant) else {
            return;
        };
        if let Some(info) = participant.sak() {
            self.last_sak = Some(LastSak { ki: info.ki, ckn: *participant.ckn(), at: now, reason });
            self.last_an = Some(info.an);
        }
    }

    /// Offers the SAK agreed on to the port, once all is known that its SAs take.
    fn offer_agreed(&mut self) {
        let Some(slot) = self.slots.principal_mut() else { return };
        let Some(ki) = slot.agreed.as_ref().map(|agreed| agreed.key.ki()) else { return };
        let current = slot.participant.sak().is_some_and(|info| info.ki == ki);
        let ssci = slot.participant.own_ssci();
        let Some(AgreedSak { key, an, confidentiality }) = slot
            .agreed
            .take_if(|agreed| !current || ssci.is_some() || !agreed.key.suite().is_xpn())
        else {
            return;
        };
        if current {
            let ssci = ssci.filter(|_| key.suite().is_xpn());
            let peers = peer_sas(&slot.participant).take(MAX_PEERS).collect();
            // One that is there already is not offered again.
            let _ = self.port.offer(NewSak { key, an, confidentiality, ssci, next_pn: 1, peers });
        }
    }

    /// Members become known after the SAK, too.
    fn add_peers(&mut self, now: Duration) {
        for slot in self.slots.iter() {
            let Some(ki) = slot.participant.sak().map(|info| info.ki) else { continue };
            let new = peer_sas(&slot.participant)
                .filter(|peer| self.port.has_key(ki) && !self.port.receives_from(ki, peer.sci));
            let peers: ArrayVec<_, MAX_PEERS> = new.take(MAX_PEERS).collect();
            for peer in peers {
                self.port.add_peer(now, ki, peer);
            }
        }
    }

    fn inputs(&mut self) -> Inputs {
        let latest = self.port.latest().map(|latest| latest.ki);
        let report = latest.map(|ki| self.peer_report(ki));
        let elected_self = |principal: &Participant<R>| principal.key_server() == KeyServer::Us;
        // A SAK whose CAK has been removed is not one to begin with.
        let is_nobodys = latest.is_some_and(|ki| self.slots.owner(ki).is_none());
        let elected_self = self.principal().is_some_and(elected_self) && !is_nobodys;
        let leads = |ki| elected_self || self.has_made(ki);
        Inputs {
            port_enabled: self.port_enabled,
            connect: self.config.policy.connect(self.outcome, EapOutcome::Pending),
            elected_self,
            peers_transmit: is_nobodys
                || latest.filter(|ki| leads(*ki)).is_some_and(|ki| {
                    self.slots.iter().any(|slot| slot.participant.others_transmit(ki))
                }),
            latest: report,
        }
    }

    fn has_made(&self, ki: Ki) -> bool {
        let maker = Mi::of_ki(ki);
        self.slots.iter().any(|slot| slot.participant.member().mi == maker)
    }

    fn peer_report(&mut self, ki: Ki) -> PeerReport {
        let owner = self.slots.owner(ki).map(|slot| &slot.participant);
        let current = owner.filter(|owner| owner.sak().is_some_and(|info| info.ki == ki));
        if let Some(owner) = current {
            self.barred = (!owner.may_transmit()).then_some(ki);
        }
        let server_transmitting = owner.is_some_and(|owner| owner.server_transmitting(ki));
        PeerReport {
            ki,
            // A key server that comes upon the SAK of one that has gone: who transmits has seen that all receive.
            all_receiving: server_transmitting
                || owner.is_some_and(|owner| owner.all_receiving(ki) && !self.leaves_behind(owner)),
            server_transmitting,
            ssci_map_known: self.barred != Some(ki),
        }
    }

    /// Whether a peer that would follow us transmits with a SAK of another participant, and has not got that of `owner`.
    fn leaves_behind(&self, owner: &Participant<R>) -> bool {
        let is_member = |sci: Option<Sci>| {
            owner.sak_members().iter().any(|member| member.sci == sci && !member.gone)
        };
        let others = self.slots.iter().filter(|slot| {
            let other = &slot.participant;
            other.ckn() != owner.ckn() && other.key_server() == KeyServer::Us
        });
        let mut peers = others.flat_map(|slot| slot.participant.peers()).filter(|peer| peer.live);
        peers.any(|peer| peer.key_use.is_some_and(|keys| keys.transmits()) && !is_member(peer.sci))
    }

    fn hear_port(&mut self, now: Duration) -> bool {
        let mut heard = false;
        while let Some(event) = self.port.poll_event() {
            heard = true;
            match event {
                CpEvent::NewInfo => continue,
                CpEvent::Transmitting(_) => self.setbacks.clear(),
                CpEvent::OrderFailed { ki, failure: OrderFailure::KeyUsedBefore, .. } => {
                    self.used_before = ki;
                }
                CpEvent::Abandoned(ki) | CpEvent::Retired(ki) if !self.is_of_principal(ki) => {
                    if let Some(owner) = self.slots.owner_mut(ki) {
                        owner.participant.forget_sak(ki);
                    }
                }
                CpEvent::Abandoned(ki) | CpEvent::Incomplete(ki) => self.lose(now, ki),
                CpEvent::Retired(ki) if self.port.has_no_keys() => self.lose(now, ki),
                _ => {}
            }
            self.tell(KayEvent::ControlledPort(event));
        }
        heard
    }

    fn is_of_principal(&self, ki: Ki) -> bool {
        self.slots.owner(ki).is_some_and(|owner| owner.principal)
    }

    /// The data plane has no use for the SAK `ki`, or not the whole use. If it is the one agreed on, another has to come.
    fn lose(&mut self, now: Duration, ki: Ki) {
        let Some(slot) = self.slots.principal_mut() else { return };
        if slot.participant.sak().is_none_or(|info| info.ki != ki) {
            return;
        }
        if self.used_before == Some(ki) {
            slot.participant.refuse_sak(now, ki);
        } else {
            self.setbacks.add(now, ki);
        }
    }

    /// Whether a SAK is on its way into use. One whose participant has lost its peers is not waited for, if there is
    /// another to go on with; nor one of a participant that we have left before we used any.
    pub(super) fn rollover_is_under_way(&self) -> bool {
        let before_use = [CpState::Receive, CpState::Receiving, CpState::Ready, CpState::Transmit];
        let wanted = |ki| {
            let owner = self.slots.owner(ki);
            owner.is_some_and(|owner| {
                owner.principal || owner.participant.has_session() && self.port.in_use().is_some()
            })
        };
        let latest = self.port.latest().filter(|_| before_use.contains(&self.port.state()));
        self.slots.principal().is_some_and(|slot| slot.agreed.is_some())
            || self.port.new_sak().is_some_and(wanted)
            || latest.is_some_and(|key| wanted(key.ki))
    }

    /// The SAKs that are on their way into use, until the one before them has gone.
    pub(super) fn keys_under_way(&self) -> [Option<Ki>; 3] {
        let at_rest = [CpState::Retire, CpState::Abandon].contains(&self.port.state());
        let agreed = self.slots.principal().and_then(|slot| slot.agreed.as_ref());
        let latest = self.port.latest().filter(|_| !at_rest);
        [latest.map(|key| key.ki), self.port.new_sak(), agreed.map(|agreed| agreed.key.ki())]
    }

    /// Tells each participant what becomes of its keys.
    fn report(&mut self, now: Duration) {
        let under_way = self.rollover_is_under_way();
        let keys = self.port.reported().map(|key| key.map(|key| self.key_in_use(now, key)));
        let (plain_tx, plain_rx) = (self.port.plain_tx(), self.port.plain_rx());
        for Slot { participant, .. } in self.slots.iter_mut() {
            participant.set_rollover(now, under_way);
            let [latest, old] = keys.map(|key| key.filter(|key| participant.has_agreed_on(key.ki)));
            participant.report_keys(now, KeyReport { latest, old, plain_tx, plain_rx });
        }
    }

    fn key_in_use(&self, now: Duration, key: KeyStatus) -> KeyInUse {
        KeyInUse {
            ki: key.ki,
            an: key.an,
            tx: key.tx,
            rx: key.rx,
            lowest_pn: self.pns.lowest(key.ki, now),
            next_pn: self.pns.next(key.ki),
        }
    }

    pub(super) fn tell(&mut self, event: KayEvent) {
        if self.events.len() == self.events.capacity() {
            self.events.pop_front();
            self.counters.events_lost += 1;
        }
        self.events.push_back(event);
    }
}

/// Those that have the SAK and that we have heard, live or on the way there, to receive from.
fn peer_sas<R: Random>(participant: &Participant<R>) -> impl Iterator<Item = PeerSa> {
    let members = participant.sak_members();
    let xpn = participant.sak().is_some_and(|info| info.suite.is_xpn());
    let (own, own_ssci) = (participant.config().sci, participant.own_ssci());
    participant.peers().filter_map(move |peer| {
        let member = members.iter().find(|member| member.mi == peer.member.mi)?;
        let sci = member.sci.filter(|sci| *sci != own)?;
        let ssci: Option<Ssci> = member.ssci.filter(|ssci| Some(*ssci) != own_ssci);
        (ssci.is_some() || !xpn).then_some(PeerSa { sci, ssci, lowest_pn: 1 })
    })
}

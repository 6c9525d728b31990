//! What one machine tells the other.

use core::time::Duration;

use arrayvec::ArrayVec;
use macsec::{Ki, Sci, Ssci};

use super::{Kay, KayEvent, LastSak, MAX_EVENTS};
use crate::{
    AgreedSak, Agreement, Event, KeyInUse, KeyReport, KeyServer, Mi, Random, RekeyReason,
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
            let heard = self.hear_participant(now);
            self.judge(now);
            self.offer_agreed();
            let inputs = self.inputs();
            self.port.update(now, inputs);
            self.add_peers(now);
            let heard = self.hear_port(now) || heard;
            let under_way = self.rollover_is_under_way();
            self.participant.set_rollover(now, under_way);
            self.participant.report_keys(now, self.key_report(now));
            if !heard && !self.participant.has_events() {
                return;
            }
        }
    }

    /// Whether we are the key server of a session.
    pub(super) fn serves(&self) -> bool {
        self.participant.key_server() == KeyServer::Us
            && self.participant.agreement() == Agreement::Secured
    }

    /// When it is to be said that MKA has failed (`MKA.failed`).
    pub(super) fn failure_due(&self) -> Option<Duration> {
        let waits = self.port_enabled && self.outcome == MkaOutcome::Pending;
        waits.then(|| self.pending_since + self.participant.config().life_time())
    }

    fn judge(&mut self, now: Duration) {
        let outcome = match self.participant.agreement() {
            Agreement::Secured => MkaOutcome::Secured,
            Agreement::PlainText => MkaOutcome::Plain,
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
        if outcome != self.outcome {
            self.outcome = outcome;
            self.tell(KayEvent::Outcome(outcome));
        }
    }

    fn hear_participant(&mut self, now: Duration) -> bool {
        let mut heard = false;
        while let Some(event) = self.participant.poll_event() {
            heard = true;
            match event {
                Event::KeyServer(elected) => self.take_key_server(now, elected),
                Event::PeerLost { sci, .. } if !self.is_member(sci) => self.port.remove_peer(sci),
                Event::SakGenerated(ki, reason) => self.take_sak(now, ki, Some(reason)),
                Event::SakReceived(ki) => self.take_sak(now, ki, None),
                _ => {}
            }
            self.tell(KayEvent::Participant(event));
        }
        heard
    }

    /// A change of key server is a rollover to its SAK; but if it is the one whose SAK we have, it need not make
    /// another.
    fn take_key_server(&mut self, now: Duration, elected: KeyServer) {
        let server = match elected {
            KeyServer::Us => Some(self.participant.member().mi),
            KeyServer::Peer(mi) => Some(mi),
            KeyServer::Nobody => None,
        };
        let of_sak = self.participant.sak().map(|info| Mi::of_ki(info.ki));
        if server.is_some() && server == of_sak {
            self.port.server_restored();
        } else {
            self.port.server_changed(now);
        }
    }

    /// Whether the SAK was made for the peer with the SCI `sci`, in this instance or another.
    fn is_member(&self, sci: Sci) -> bool {
        self.participant.sak_members().iter().any(|member| member.sci == Some(sci))
    }

    fn take_sak(&mut self, now: Duration, ki: Ki, reason: Option<RekeyReason>) {
        self.last_sak = Some(LastSak { ki, at: now, reason });
        if let Some(agreed) = self.participant.take_agreed_sak() {
            self.agreed = Some(agreed);
        }
    }

    /// Offers the SAK agreed on to the port, once all is known that its SAs take.
    fn offer_agreed(&mut self) {
        let Some(ki) = self.agreed.as_ref().map(|agreed| agreed.key.ki()) else { return };
        let current = self.participant.sak().is_some_and(|info| info.ki == ki);
        let ssci = self.participant.own_ssci();
        let Some(AgreedSak { key, an, confidentiality }) = self
            .agreed
            .take_if(|agreed| !current || ssci.is_some() || !agreed.key.suite().is_xpn())
        else {
            return;
        };
        if current {
            let ssci = ssci.filter(|_| key.suite().is_xpn());
            let peers = self.peer_sas().take(MAX_PEERS).collect();
            // One that is there already is not offered again.
            let _ = self.port.offer(NewSak { key, an, confidentiality, ssci, next_pn: 1, peers });
        }
    }

    /// Those that have the SAK and that we have heard, live or on the way there, to receive from.
    fn peer_sas(&self) -> impl Iterator<Item = PeerSa> {
        let members = self.participant.sak_members();
        let xpn = self.participant.sak().is_some_and(|info| info.suite.is_xpn());
        let (own, own_ssci) = (self.participant.config().sci, self.participant.own_ssci());
        self.participant.peers().filter_map(move |peer| {
            let member = members.iter().find(|member| member.mi == peer.member.mi)?;
            let sci = member.sci.filter(|sci| *sci != own)?;
            let ssci: Option<Ssci> = member.ssci.filter(|ssci| Some(*ssci) != own_ssci);
            (ssci.is_some() || !xpn).then_some(PeerSa { sci, ssci, lowest_pn: 1 })
        })
    }

    /// Members become known after the SAK, too.
    fn add_peers(&mut self, now: Duration) {
        let Some(ki) = self.participant.sak().map(|info| info.ki) else { return };
        let new = self.peer_sas().filter(|peer| !self.port.receives_from(ki, peer.sci));
        let peers: ArrayVec<_, MAX_PEERS> = new.take(MAX_PEERS).collect();
        for peer in peers {
            self.port.add_peer(now, ki, peer);
        }
    }

    fn inputs(&mut self) -> Inputs {
        Inputs {
            port_enabled: self.port_enabled,
            connect: self.policy.connect(self.outcome, EapOutcome::Pending),
            elected_self: self.participant.key_server() == KeyServer::Us,
            peers_transmit: self
                .port
                .latest()
                .is_some_and(|latest| self.participant.others_transmit(latest.ki)),
            latest: self.port.latest().map(|latest| self.peer_report(latest.ki)),
        }
    }

    fn peer_report(&mut self, ki: Ki) -> PeerReport {
        if self.participant.sak().is_some_and(|info| info.ki == ki) {
            self.barred = (!self.participant.may_transmit()).then_some(ki);
        }
        PeerReport {
            ki,
            all_receiving: self.participant.all_receiving(ki),
            server_transmitting: self.participant.server_transmitting(ki),
            ssci_map_known: self.barred != Some(ki),
        }
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
                CpEvent::Abandoned(ki) | CpEvent::Incomplete(ki) => self.lose(now, ki),
                CpEvent::Retired(ki) if self.port.has_no_keys() => self.lose(now, ki),
                _ => {}
            }
            self.tell(KayEvent::ControlledPort(event));
        }
        heard
    }

    /// The data plane has no use for the SAK `ki`, or not the whole use. If it is the one agreed on, another has to come.
    fn lose(&mut self, now: Duration, ki: Ki) {
        if self.participant.sak().is_none_or(|info| info.ki != ki) {
            return;
        }
        if self.used_before == Some(ki) {
            self.participant.refuse_sak(now, ki);
        } else {
            self.setbacks.add(now, ki);
        }
    }

    /// Whether a SAK is on its way into use.
    fn rollover_is_under_way(&self) -> bool {
        let before_use = [CpState::Receive, CpState::Receiving, CpState::Ready, CpState::Transmit];
        self.agreed.is_some() || self.port.has_new_sak() || before_use.contains(&self.port.state())
    }

    fn key_report(&self, now: Duration) -> KeyReport {
        let in_use = |key: KeyStatus| KeyInUse {
            ki: key.ki,
            an: key.an,
            tx: key.tx,
            rx: key.rx,
            lowest_pn: self.pns.lowest(key.ki, now),
            next_pn: self.pns.next(key.ki),
        };
        let [latest, old] = self.port.reported().map(|key| key.map(in_use));
        let (plain_tx, plain_rx) = (self.port.plain_tx(), self.port.plain_rx());
        KeyReport { latest, old, plain_tx, plain_rx }
    }

    fn tell(&mut self, event: KayEvent) {
        if self.events.len() == MAX_EVENTS {
            self.events.pop_front();
            self.counters.events_lost += 1;
        }
        self.events.push_back(event);
    }
}

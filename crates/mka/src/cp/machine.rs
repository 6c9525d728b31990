//! The machine: what is done on entry to each state, and what it is told.

use alloc::collections::VecDeque;
use core::time::Duration;

use macsec::{Ki, Sci, ValidateFrames};

use super::{
    CpEvent, Inputs, KeyStatus, NewSak, PeerSa, PortStatus, SakKnown, Settings, SingleKey,
    deletions::{Deletion, Deletions},
    keys::{InstalledKey, Room, WaitingKey},
    orders::{Awaited, LateOrders, Outbox},
    state::{Conditions, CpState},
    timer::Timer,
};
use crate::{
    ParticipantConfig,
    logon::Connect,
    order::{Action, Controls, Order, OrderFailure, OrderId},
};

/// Events that one call brings forth at the most, beside one for each order that fails: the caller fetches them
/// after each.
const EVENTS_OF_A_CALL: usize = 16;

/// The Controlled Port of a KaY. See the [module](crate::cp) for how to drive it.
#[derive(Debug)]
pub struct ControlledPort {
    settings: Settings,
    /// When the machine last ran.
    now: Duration,
    state: CpState,
    inputs: Inputs,
    controls: Controls,
    port: PortStatus,
    /// `newSAK`.
    waiting: Option<WaitingKey>,
    latest: Option<InstalledKey>,
    old: Option<InstalledKey>,
    room: Room,
    key_orders: Awaited,
    port_orders: Awaited,
    late_orders: LateOrders,
    deletions: Deletions,
    transmit_when: Timer,
    retire_when: Timer,
    replace_by: Timer,
    retry_at: Timer,
    orders: Outbox,
    events: VecDeque<CpEvent>,
}

impl ControlledPort {
    /// A port that is down and closed.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let peers = 2 * settings.max_peers.min(ParticipantConfig::MAX_PEERS);
        Self {
            settings,
            now: Duration::ZERO,
            state: CpState::Init,
            inputs: Inputs::default(),
            controls: settings.secured,
            port: PortStatus::Closed,
            waiting: None,
            latest: None,
            old: None,
            room: Room::new(peers),
            key_orders: Awaited::about_key(peers),
            port_orders: Awaited::about_port(),
            late_orders: LateOrders::new(peers),
            deletions: Deletions::new(peers),
            transmit_when: Timer::default(),
            retire_when: Timer::default(),
            replace_by: Timer::default(),
            retry_at: Timer::default(),
            orders: Outbox::new(peers),
            events: VecDeque::with_capacity(EVENTS_OF_A_CALL),
        }
    }

    /// Takes a SAK to be brought into use: `newSAK`. It takes effect with the next [`Self::update`],
    /// which is to tell what came in the same MKPDU. A SAK that still waits is replaced.
    ///
    /// If its AN is that of the key in use, that one goes first, and the port is closed meanwhile: a key
    /// server that has restarted does not know which AN is free.
    ///
    /// # Errors
    /// The SAK is not taken and has been erased.
    pub fn offer(&mut self, sak: NewSak) -> Result<(), SakKnown> {
        if self.has_key(sak.key.ki()) {
            return Err(SakKnown);
        }
        self.drop_waiting();
        self.waiting = Some(InstalledKey::of(sak, &mut self.room));
        Ok(())
    }

    /// Takes how things are now, and acts on it. Call it with all that an MKPDU changed, at once.
    pub fn update(&mut self, now: Duration, inputs: Inputs) {
        self.inputs = inputs;
        self.run(now);
    }

    /// The key server has changed (`chgdServer`). The keys stay for the time that a new SAK may take to come;
    /// if none does, the port closes.
    pub fn server_changed(&mut self, now: Duration) {
        if self.keys().next().is_some() {
            self.replace_by.start(now, self.settings.timers.replace);
        }
    }

    /// The key server whose SAK is in use is key server again: no SAK has to come.
    pub fn server_restored(&mut self) {
        self.replace_by.stop();
    }

    /// A peer has become live, to receive from with the key `ki`. It gets its SC and its SA. `false`: there
    /// is no such key, the peer has its SA already, or there is no room for more ([`Settings::max_peers`]).
    pub fn add_peer(&mut self, now: Duration, ki: Ki, peer: PeerSa) -> bool {
        if let Some(waiting) = self.waiting.as_mut().filter(|one| one.installed.status.ki == ki) {
            return waiting.installed.add_peer(peer);
        }
        let Some(key) = self.latest.iter_mut().chain(&mut self.old).find(|key| key.status.ki == ki)
        else {
            return false;
        };
        if !key.add_peer(peer) {
            return false;
        }
        let sa = key.receive_sa(&peer);
        let ids = [
            self.orders.give(Action::CreateReceiveSc { sci: peer.sci }),
            self.orders.give(Action::InstallReceiveSa { sci: peer.sci, sa }),
        ];
        let in_receive = self.state == CpState::Receive && self.latest_ki() == Some(ki);
        for id in ids {
            if in_receive {
                self.key_orders.await_answer(id, now, self.settings.timers.order);
            } else {
                self.late_orders.note(id, ki);
            }
        }
        true
    }

    /// A peer says that it has sent nothing below `lowest_pn` of late with the key `ki`, and that this binds
    /// (delay protection). It grows only; a key that is not received with, and a peer without an SA, are passed
    /// over. No state waits for the data plane.
    pub fn raise_lowest_pn(&mut self, sci: Sci, ki: Ki, lowest_pn: u64) {
        let mut keys = self.latest.iter_mut().chain(&mut self.old);
        let Some(key) = keys.find(|key| key.status.ki == ki && key.status.rx) else { return };
        let an = key.status.an;
        let mut peers = key.peers.iter_mut();
        let Some(peer) = peers.find(|peer| peer.sci == sci && peer.lowest_pn < lowest_pn) else {
            return;
        };
        peer.lowest_pn = lowest_pn;
        self.orders.raise_lowest_pn((sci, an, ki), lowest_pn);
    }

    /// A peer is gone for good: its SAs go, and then its SC (802.1X clause 9.4.3). Not for a peer that has
    /// come back under the same SCI and has a SAK already: its old SA goes with the old key.
    pub fn remove_peer(&mut self, sci: Sci) {
        if let Some(waiting) = &mut self.waiting {
            waiting.installed.peers.retain(|peer| peer.sci != sci);
        }
        let mut had_one = false;
        for key in self.latest.iter_mut().chain(&mut self.old) {
            if key.has_peer(sci) {
                key.peers.retain(|peer| peer.sci != sci);
                let KeyStatus { an, ki, .. } = key.status;
                self.deletions.order(&mut self.orders, Deletion::ReceiveSa { sci, an, ki });
                had_one = true;
            }
        }
        if had_one {
            self.deletions.order(&mut self.orders, Deletion::ReceiveSc(sci));
        }
    }

    /// Takes the answer to an order. One that nobody waits for any more changes nothing, but if it is a
    /// failure it is still told.
    pub fn order_done(&mut self, now: Duration, id: OrderId, result: Result<(), OrderFailure>) {
        let about_key = self.key_orders.answer(id, result.is_ok());
        let about_port = self.port_orders.answer(id, result.is_ok());
        let late = self.late_orders.answer(id);
        self.deletions.answer(id, result.is_ok(), now, self.settings.timers.order);
        if let Err(failure) = result {
            let ki = self.latest_ki().filter(|_| about_key);
            self.events.push_back(CpEvent::OrderFailed { id, ki, failure });
            if about_port {
                self.retry_at.start(now, self.settings.timers.retry);
            }
            self.events.extend(late.map(CpEvent::Incomplete));
        }
        self.run(now);
    }

    /// Acts on timers that have run out.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.run(now);
    }

    /// When to call [`Self::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let now = self.now;
        [self.transmit_when, self.retire_when, self.replace_by, self.retry_at]
            .iter()
            .filter_map(|timer| timer.pending(now))
            .chain(self.key_orders.deadline(now))
            .chain(self.port_orders.deadline(now))
            .chain(self.deletions.pending(now))
            .min()
    }

    /// The next order to the data plane.
    pub fn poll_order(&mut self) -> Option<Order> {
        self.orders.take()
    }

    /// What has happened next.
    pub fn poll_event(&mut self) -> Option<CpEvent> {
        self.events.pop_front()
    }

    /// Where the machine is.
    #[must_use]
    pub const fn state(&self) -> CpState {
        self.state
    }

    /// Whether the port is open, and how.
    #[must_use]
    pub const fn port(&self) -> PortStatus {
        self.port
    }

    /// The key that is being brought into use (`lki`): about which to report in [`Inputs::latest`].
    #[must_use]
    pub fn latest(&self) -> Option<KeyStatus> {
        self.latest.as_ref().map(|key| key.status)
    }

    /// The key that data is sent with.
    #[must_use]
    pub fn in_use(&self) -> Option<KeyStatus> {
        // While transmission goes over both bear `tx`: until that is confirmed, it is the old one.
        let old = self.old.iter().find(|key| key.status.tx);
        old.or_else(|| self.latest.as_ref().filter(|key| key.status.tx)).map(|key| key.status)
    }

    /// Whether there is no key, and none to come.
    #[must_use]
    pub fn has_no_keys(&self) -> bool {
        self.keys().next().is_none() && self.waiting.is_none()
    }

    /// Whether the peer `sci` is among those to receive from with the key `ki`.
    #[must_use]
    pub fn receives_from(&self, ki: Ki, sci: Sci) -> bool {
        let waiting = self.waiting.iter().map(|waiting| &waiting.installed);
        waiting.chain(self.keys()).any(|key| key.status.ki == ki && key.has_peer(sci))
    }

    /// Whether the PNs of the key `ki` have 64 bits. `None`: there is no such key.
    #[must_use]
    pub fn is_xpn(&self, ki: Ki) -> Option<bool> {
        self.keys().find(|key| key.status.ki == ki).map(|key| key.xpn)
    }

    /// The SAK that waits to be installed, if one does (`newSAK`).
    #[must_use]
    pub fn new_sak(&self) -> Option<Ki> {
        self.waiting.as_ref().map(|sak| sak.key.ki())
    }

    /// Whether the key `ki` is here, in use or on the way there.
    #[must_use]
    pub fn has_key(&self, ki: Ki) -> bool {
        self.new_sak() == Some(ki) || self.keys().any(|key| key.status.ki == ki)
    }

    /// The latest and the old key, as a SAK Use is to report them (802.1X figure 11-10).
    #[must_use]
    pub fn reported(&self) -> [Option<KeyStatus>; 2] {
        let [latest, old] = [&self.latest, &self.old].map(|key| key.as_ref().map(|key| key.status));
        match (latest, self.settings.report) {
            (None, SingleKey::Latest) => [old, None],
            _ => [latest, old],
        }
    }

    /// `Plain TX` of the SAK Use: we send unprotected frames.
    #[must_use]
    pub const fn plain_tx(&self) -> bool {
        !self.controls.protect_frames
    }

    /// `Plain RX` of the SAK Use: we take unprotected frames.
    #[must_use]
    pub fn plain_rx(&self) -> bool {
        self.controls.validate_frames != ValidateFrames::Strict
    }

    /// Goes on from state to state until none follows. It ends: on every circle there is a state that waits for the
    /// data plane, for a timer, or for a SAK that it uses up.
    fn run(&mut self, now: Duration) {
        self.now = now;
        self.delete_again(now);
        for (awaited, about_port) in [(&mut self.key_orders, false), (&mut self.port_orders, true)]
        {
            if let Some(id) = awaited.give_up(now) {
                let ki = self.latest.as_ref().map(|key| key.status.ki).filter(|_| !about_port);
                self.events.push_back(CpEvent::OrderFailed {
                    id,
                    ki,
                    failure: OrderFailure::Device,
                });
                if about_port {
                    self.retry_at.start(now, self.settings.timers.retry);
                }
            }
        }
        while let Some(next) = self.state.next(&self.conditions(now)) {
            self.state = next;
            self.enter(now);
        }
    }

    fn conditions(&self, now: Duration) -> Conditions {
        let latest = self.latest.as_ref();
        let report = self.inputs.latest.filter(|report| self.latest_ki() == Some(report.ki));
        Conditions {
            port_enabled: self.inputs.port_enabled,
            connect: self.inputs.connect,
            new_sak: self.waiting.is_some(),
            elected_self: self.inputs.elected_self,
            all_receiving: report.is_some_and(|report| report.all_receiving),
            server_transmitting: report.is_some_and(|report| report.server_transmitting),
            ssci_map_known: latest.is_some_and(|key| !key.xpn)
                || report.is_some_and(|report| report.ssci_map_known),
            controlled_port_enabled: self.port != PortStatus::Closed || self.inputs.peers_transmit,
            transmit_when_zero: self.transmit_when.is_zero(now),
            retire_when_zero: self.retire_when.is_zero(now),
            replacement_overdue: self.replace_by.is_zero(now),
            key_orders: self.key_orders.so_far(),
            port_orders: self.port_orders.so_far(),
            holding_off: self.retry_at.pending(now).is_some(),
        }
    }

    fn enter(&mut self, now: Duration) {
        match self.state {
            CpState::Init => {
                self.close_and_delete(now);
                // Nobody waits for the answers: once the port is up, CHANGE closes it again.
                self.port_orders.forget();
                self.drop_waiting();
            }
            CpState::Change => {
                self.close_and_delete(now);
                if self.inputs.connect != Connect::Secure {
                    self.drop_waiting();
                }
            }
            CpState::Allowed | CpState::Authenticated => {
                self.set_controls(now, Controls::UNPROTECTED);
                self.set_port(now, PortStatus::Unprotected);
            }
            CpState::Secured => self.set_controls(now, self.settings.secured),
            CpState::Receive => self.install_waiting(now),
            CpState::Receiving => {
                self.mark_latest(|key| key.rx = true);
                self.transmit_when.start(now, self.settings.timers.transmit);
                self.new_info();
            }
            CpState::Ready => {
                self.transmit_when.stop();
                self.new_info();
            }
            CpState::Transmit => {
                self.transmit_when.stop();
                self.mark_latest(|key| key.tx = true);
                if let Some(KeyStatus { an, ki, .. }) = self.latest() {
                    self.await_for_key(now, Action::EnableTransmit { an, ki });
                }
            }
            CpState::Transmitting => self.take_over(now),
            CpState::Retire => {
                self.retire_when.stop();
                let gone = self.old.take();
                self.old = self.latest.take();
                if let Some(key) = gone {
                    self.events.push_back(CpEvent::Retired(key.status.ki));
                    self.delete(key);
                }
                self.new_info();
            }
            CpState::Abandon => self.abandon(now),
        }
    }

    /// Closes the port, then takes the keys away.
    fn close_and_delete(&mut self, now: Duration) {
        self.key_orders.forget();
        for timer in [&mut self.transmit_when, &mut self.retire_when, &mut self.replace_by] {
            timer.stop();
        }
        self.port_orders.forget();
        self.set_port(now, PortStatus::Closed);
        if let Some(key) = self.latest.take() {
            let KeyStatus { ki, tx, .. } = key.status;
            self.delete(key);
            self.events.push_back(if tx { CpEvent::Retired(ki) } else { CpEvent::Abandoned(ki) });
        }
        if let Some(key) = self.old.take() {
            self.events.push_back(CpEvent::Retired(key.status.ki));
            self.delete(key);
        }
    }

    /// Moves the waiting SAK to the data plane: first the key, then everything to receive with it, and last the
    /// transmit SA.
    fn install_waiting(&mut self, now: Duration) {
        let Some(WaitingKey { installed, key, transmit_sa }) = self.waiting.take() else { return };
        if let Some(key) = self.old.take_if(|key| key.status.an == installed.status.an) {
            self.set_port(now, PortStatus::Closed);
            self.events.push_back(CpEvent::Retired(key.status.ki));
            self.delete(key);
        }
        self.key_orders.forget();
        if self.replace_by.is_on() {
            // What was to come has come; give it as long again to get into use.
            self.replace_by.start(now, self.settings.timers.replace);
        }
        self.await_for_key(now, Action::InstallKey(key));
        for peer in &installed.peers {
            let (sci, sa) = (peer.sci, installed.receive_sa(peer));
            self.await_for_key(now, Action::CreateReceiveSc { sci });
            self.await_for_key(now, Action::InstallReceiveSa { sci, sa });
        }
        self.await_for_key(now, Action::InstallTransmitSa(transmit_sa));
        self.latest = Some(installed);
        self.new_info();
    }

    /// Transmission has gone over to the latest key.
    fn take_over(&mut self, now: Duration) {
        self.replace_by.stop();
        let retire = match &mut self.old {
            Some(old) => {
                old.status.tx = false;
                self.settings.timers.retire
            }
            None => Duration::ZERO,
        };
        self.retire_when.start(now, retire);
        if self.port == PortStatus::Closed {
            self.set_port(now, PortStatus::Secured);
        }
        if let Some(ki) = self.latest_ki() {
            self.events.push_back(CpEvent::Transmitting(ki));
        }
        self.new_info();
    }

    /// Gives up the latest key. The one before it goes on as if nothing had been.
    fn abandon(&mut self, now: Duration) {
        self.key_orders.forget();
        self.transmit_when.stop();
        let Some(key) = self.latest.take() else { return };
        if let (true, Some(old)) = (key.status.tx, &self.old) {
            let KeyStatus { an, ki, .. } = old.status;
            self.await_for_port(now, Action::EnableTransmit { an, ki });
        }
        self.events.push_back(CpEvent::Abandoned(key.status.ki));
        self.delete(key);
        self.new_info();
    }

    /// The SA of each way and the key itself, then the SCs that no other key needs.
    fn delete(&mut self, key: InstalledKey) {
        let KeyStatus { an, ki, .. } = key.status;
        self.deletions.order(&mut self.orders, Deletion::TransmitSa { an, ki });
        for &PeerSa { sci, .. } in &key.peers {
            self.deletions.order(&mut self.orders, Deletion::ReceiveSa { sci, an, ki });
        }
        self.deletions.order(&mut self.orders, Deletion::Key(ki));
        for &PeerSa { sci, .. } in &key.peers {
            if !self.keys().any(|other| other.has_peer(sci)) {
                self.deletions.order(&mut self.orders, Deletion::ReceiveSc(sci));
            }
        }
        self.room.give_back(key.peers);
    }

    /// Deletes once more what could not be deleted, but for what has come to be needed again.
    fn delete_again(&mut self, now: Duration) {
        let keys = || self.latest.iter().chain(&self.old);
        self.deletions.repeat(&mut self.orders, now, |deletion| match deletion {
            Deletion::TransmitSa { ki, .. } | Deletion::Key(ki) => {
                keys().any(|key| key.status.ki == ki)
            }
            Deletion::ReceiveSa { sci, ki, .. } => {
                keys().any(|key| key.status.ki == ki && key.has_peer(sci))
            }
            Deletion::ReceiveSc(sci) => keys().any(|key| key.has_peer(sci)),
        });
    }

    fn drop_waiting(&mut self) {
        if let Some(WaitingKey { installed, .. }) = self.waiting.take() {
            self.events.push_back(CpEvent::Abandoned(installed.status.ki));
            self.room.give_back(installed.peers);
        }
    }

    fn set_controls(&mut self, now: Duration, controls: Controls) {
        self.controls = controls;
        self.await_for_port(now, Action::SetControls(controls));
    }

    fn set_port(&mut self, now: Duration, port: PortStatus) {
        let enabled = port != PortStatus::Closed;
        self.await_for_port(now, Action::SetControlledPort { enabled });
        if self.port != port {
            self.port = port;
            self.events.push_back(CpEvent::Port(port));
        }
    }

    fn await_for_key(&mut self, now: Duration, action: Action) {
        let id = self.orders.give(action);
        self.key_orders.await_answer(id, now, self.settings.timers.order);
    }

    fn await_for_port(&mut self, now: Duration, action: Action) {
        let id = self.orders.give(action);
        self.port_orders.await_answer(id, now, self.settings.timers.order);
    }

    fn mark_latest(&mut self, mark: impl FnOnce(&mut KeyStatus)) {
        if let Some(key) = &mut self.latest {
            mark(&mut key.status);
        }
    }

    fn new_info(&mut self) {
        // One MKPDU tells everything; the caller has not even fetched the last such event.
        if self.events.back() != Some(&CpEvent::NewInfo) {
            self.events.push_back(CpEvent::NewInfo);
        }
    }

    fn latest_ki(&self) -> Option<Ki> {
        self.latest.as_ref().map(|key| key.status.ki)
    }

    fn keys(&self) -> impl Iterator<Item = &InstalledKey> {
        self.latest.iter().chain(&self.old)
    }
}

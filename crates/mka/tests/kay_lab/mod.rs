//! KaYs on a LAN in virtual time, each with a data plane that keeps books and data frames that are counted, and a
//! ledger of who has ever used which nonces.
#![allow(dead_code)] // Every test file uses its own part of this.

mod network;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
    time::Duration,
};

use macsec::{Ki, Sci};
use mka::{
    Body, Cak, Ckn, Discard, ETHERTYPE_EAPOL, Event, Framing, ICV_LEN, Kay, KayConfig, KayEvent,
    KeyPns, KeyServer, MAX_FRAME_LEN, MiReason, Received, RekeyReason,
    cp::{CpEvent, PortStatus},
    logon::MkaOutcome,
    order::{Action, Order, OrderFailure},
};
use netem::{Dice, Node};

use crate::{
    data_plane::Plane,
    lab::{Ledger, Seeded, cak, ckn},
};
#[allow(unused_imports)]
pub(crate) use network::{KayLab, any_member, common_ki};

const PN_REPORTS: Duration = Duration::from_millis(500);
/// A key server transmits after so long, whoever receives.
const TRANSMIT_DELAY: Duration = Duration::from_secs(6);
const DATA: [u8; 2] = [0x88, 0xe5];
/// Where things are in a data frame of this laboratory.
const AN_AT: usize = 14;
const KI_AT: usize = 15;
const SCI_AT: usize = 31;
const SEQUENCE_AT: usize = 39;
const PN_AT: usize = 47;
const SENT_AT: usize = 55;

/// A port: its KaY and its data plane.
pub(crate) struct Station {
    pub(crate) kay: Kay<Seeded>,
    pub(crate) random_fails: Rc<RefCell<bool>>,
    pub(crate) sci: Sci,
    pub(crate) plane: Plane,
    pub(crate) events: Vec<KayEvent>,
    pub(crate) discards: Vec<Discard>,
    /// Answers an order: `None` carries it out.
    pub(crate) fault: Option<fn(&Action) -> Option<OrderFailure>>,
    /// How often, per mille, the data plane fails an order for no reason.
    pub(crate) failing: u16,
    /// How long the data plane takes for an order.
    pub(crate) order_delay: Duration,
    /// How often data is sent while the port is open.
    pub(crate) data_interval: Option<Duration>,
    /// What is added to the PNs that the data plane reports.
    pub(crate) pn_offset: u64,
    /// Sequence numbers of the data sent, and of that delivered by sender.
    pub(crate) sent: u64,
    pub(crate) delivered: BTreeMap<Sci, u64>,
    /// Data that came and was not delivered: the port closed, or no SA for it.
    pub(crate) refused: u64,
    /// Data that was not delivered because its PN was too low, and how long the quickest of it was on its way.
    pub(crate) late: u64,
    pub(crate) quickest_late: Duration,
    /// How long the slowest data delivered was on its way.
    pub(crate) slowest_delivered: Duration,
    /// What its MKPDUs say otherwise than its KaY does.
    pub(crate) says: Option<Words>,
    /// What becomes of these words before they get an ICV.
    pub(crate) spoils: Option<fn(&mut [u8])>,
    /// Its KaY stands still, and knows nothing of it when it goes on; data goes on meanwhile.
    asleep_since: Option<Duration>,
    slept: Duration,
    /// How long each tenth of its data frames is held up before it goes out.
    pub(crate) holds_up: Option<Duration>,
    /// EnableTransmit, by KI.
    pub(crate) rotations: u64,
    saks: BTreeMap<[u8; 16], Vec<u8>>,
    /// Who we are to the nonces of a key, and who the others are.
    senders: BTreeMap<[u8; 16], Vec<u8>>,
    peers: BTreeMap<(Sci, [u8; 16]), Vec<u8>>,
    claimed: BTreeSet<[u8; 16]>,
    installed_at: BTreeMap<[u8; 16], Duration>,
    /// Of whom data has come under which key: such an SA is not made twice, as its PNs would begin anew.
    heard: BTreeSet<(Sci, [u8; 16])>,
    chance: Dice,
    orders: VecDeque<(Duration, Order)>,
    outgoing: VecDeque<Vec<u8>>,
    held_up: VecDeque<(Duration, Vec<u8>)>,
    next_data: Duration,
    next_report: Duration,
    next_pn: BTreeMap<[u8; 16], u64>,
    ledger: Rc<RefCell<Ledger>>,
    instance: u64,
}

impl Station {
    pub(crate) fn new(
        config: KayConfig,
        (cak, ckn): (Cak, Ckn),
        instance: u64,
        now: Duration,
        ledger: &Rc<RefCell<Ledger>>,
    ) -> Self {
        let random_fails = Rc::new(RefCell::new(false));
        let random = Seeded { dice: Dice::new(instance), fails: Rc::clone(&random_fails) };
        let mut station = Self {
            kay: Kay::new(config, cak, ckn, random, now).unwrap(),
            random_fails,
            sci: config.participant.sci,
            plane: Plane::default(),
            events: Vec::new(),
            discards: Vec::new(),
            fault: None,
            failing: 0,
            order_delay: Duration::ZERO,
            data_interval: None,
            pn_offset: 0,
            sent: 0,
            delivered: BTreeMap::new(),
            refused: 0,
            late: 0,
            quickest_late: Duration::MAX,
            slowest_delivered: Duration::ZERO,
            says: None,
            spoils: None,
            asleep_since: None,
            slept: Duration::ZERO,
            holds_up: None,
            rotations: 0,
            saks: BTreeMap::new(),
            senders: BTreeMap::new(),
            peers: BTreeMap::new(),
            claimed: BTreeSet::new(),
            installed_at: BTreeMap::new(),
            heard: BTreeSet::new(),
            chance: Dice::new(!instance),
            orders: VecDeque::new(),
            outgoing: VecDeque::new(),
            held_up: VecDeque::new(),
            next_data: now,
            next_report: now,
            next_pn: BTreeMap::new(),
            ledger: Rc::clone(ledger),
            instance,
        };
        station.kay.set_port_enabled(now, true);
        station.drain(now);
        station
    }

    pub(crate) fn is_key_server(&self) -> bool {
        self.kay.principal().unwrap().key_server() == KeyServer::Us
    }

    pub(crate) fn is_secured(&self) -> bool {
        self.kay.outcome() == MkaOutcome::Secured && self.kay.port().port() == PortStatus::Secured
    }

    /// The key that data is sent with.
    pub(crate) fn ki(&self) -> Option<Ki> {
        self.kay.port().in_use().map(|key| key.ki)
    }

    pub(crate) fn live_peers(&self) -> usize {
        self.kay.principal().unwrap().peers().filter(|peer| peer.live).count()
    }

    pub(crate) fn generated(&self) -> Vec<RekeyReason> {
        let reason = |event: &KayEvent| match event {
            KayEvent::Participant(_, Event::SakGenerated(_, reason)) => Some(*reason),
            _ => None,
        };
        self.events.iter().filter_map(reason).collect()
    }

    pub(crate) fn new_mis(&self) -> Vec<MiReason> {
        let reason = |event: &KayEvent| match event {
            KayEvent::Participant(_, Event::NewMi(reason)) => Some(*reason),
            _ => None,
        };
        self.events.iter().filter_map(reason).collect()
    }

    /// How often the port has been closed.
    pub(crate) fn closed(&self) -> usize {
        let closed = KayEvent::ControlledPort(CpEvent::Port(PortStatus::Closed));
        self.events.iter().filter(|event| **event == closed).count()
    }

    /// Does something to the KaY, and what follows from it.
    pub(crate) fn act<T>(&mut self, now: Duration, act: impl FnOnce(&mut Kay<Seeded>) -> T) -> T {
        let done = act(&mut self.kay);
        self.drain(now);
        done
    }

    /// Adds the participant of the CAK with this number.
    pub(crate) fn add_cak(&mut self, now: Duration, number: u8, preference: u32) {
        self.add_cak_as(now, number, number, preference);
    }

    /// Adds a participant with the CAK of one number under the name of another.
    pub(crate) fn add_cak_as(&mut self, now: Duration, number: u8, name: u8, preference: u32) {
        self.instance = self.instance.wrapping_add(1 << 32);
        let random =
            Seeded { dice: Dice::new(self.instance), fails: Rc::clone(&self.random_fails) };
        let cak = Cak::new(&[number; 16]).unwrap();
        self.act(now, |kay| kay.add_participant(now, cak, ckn_of(name), preference, random))
            .unwrap();
    }

    pub(crate) fn remove_cak(&mut self, now: Duration, number: u8) {
        assert!(self.act(now, |kay| kay.remove_participant(now, &ckn_of(number))));
    }

    pub(crate) fn prefer(&mut self, now: Duration, number: u8, preference: u32) {
        assert!(self.act(now, |kay| kay.set_preference(now, &ckn_of(number), preference)));
    }

    /// Whether data is sent with a SAK of the CAK with this number.
    pub(crate) fn uses_cak(&self, number: u8) -> bool {
        let participant = self.ki().and_then(|ki| self.kay.participant_of(ki));
        participant.is_some_and(|participant| *participant.ckn() == ckn_of(number))
    }

    /// The number of the CAK whose SAK data is sent with.
    pub(crate) fn cak_in_use(&self) -> Option<u8> {
        let ckn = *self.kay.participant_of(self.ki()?)?.ckn();
        (0..=u8::MAX).find(|number| ckn_of(*number) == ckn)
    }

    pub(crate) fn sleep(&mut self, now: Duration) {
        self.asleep_since = Some(now);
    }

    pub(crate) fn wake(&mut self, now: Duration) {
        self.slept += self.asleep_since.take().map_or(Duration::ZERO, |since| now - since);
    }

    /// What time it is to the KaY.
    fn kay_time(&self, now: Duration) -> Duration {
        now - self.slept
    }

    /// Fetches everything from the KaY and carries out what is due.
    fn drain(&mut self, now: Duration) {
        if self.asleep_since.is_some() {
            return;
        }
        loop {
            while let Some(event) = self.kay.poll_event() {
                self.events.push(event);
            }
            while let Some(order) = self.kay.poll_order() {
                if let Action::EnableTransmit { ki, .. } = order.action {
                    self.check_transmit(now, ki);
                }
                self.orders.push_back((now + self.order_delay, order));
            }
            let Some((_, order)) = self.orders.pop_front_if(|(at, _)| *at <= now) else { return };
            let result = self.carry_out(now, &order.action);
            self.kay.order_done(self.kay_time(now), order.id, result);
        }
    }

    fn carry_out(&mut self, now: Duration, action: &Action) -> Result<(), OrderFailure> {
        let fails = self.chance.chance(self.failing).then_some(OrderFailure::Device);
        if let Some(failure) = fails.or_else(|| self.fault.and_then(|fault| fault(action))) {
            self.plane.broken = true;
            return Err(failure);
        }
        match action {
            Action::EnableTransmit { ki, .. } => self.claim(*ki),
            Action::InstallReceiveSa { sci, sa } => {
                let there = self.plane.receive.get(&(*sci, sa.an.number())) == Some(&sa.ki);
                if !there && self.heard.contains(&(*sci, sa.ki.0)) {
                    return Err(OrderFailure::Refused);
                }
                let ssci = sa.ssci.map(|ssci| ssci.0.to_be_bytes().to_vec());
                let sender = ssci.unwrap_or_else(|| sci.0.to_vec());
                if let Some(sak) = self.saks.get(&sa.ki.0) {
                    self.ledger.borrow_mut().name(sak, *sci, &sender);
                }
                self.peers.insert((*sci, sa.ki.0), sender);
            }
            Action::InstallKey(key) => {
                self.saks.insert(key.ki().0, key.sak().expose_octets().to_vec());
            }
            Action::InstallTransmitSa(sa) => {
                assert_eq!(sa.next_pn, 1);
                let ssci = sa.ssci.map(|ssci| ssci.0.to_be_bytes().to_vec());
                let sender = ssci.unwrap_or_else(|| self.sci.0.to_vec());
                if let Some(sak) = self.saks.get(&sa.ki.0) {
                    self.ledger.borrow_mut().name(sak, self.sci, &sender);
                }
                self.senders.insert(sa.ki.0, sender);
                self.installed_at.insert(sa.ki.0, now);
                self.next_pn.insert(sa.ki.0, 1);
            }
            Action::DeleteTransmitSa { ki, .. } => {
                self.claimed.remove(&ki.0);
                self.next_pn.remove(&ki.0);
            }
            Action::RemoveKey(ki) => {
                self.saks.remove(&ki.0);
                self.senders.remove(&ki.0);
                self.installed_at.remove(&ki.0);
                self.peers.retain(|(_, of), _| *of != ki.0);
                self.heard.retain(|(_, of)| *of != ki.0);
            }
            _ => {}
        }
        self.plane.carry_out(action)
    }

    /// A member transmits with a new SAK only when the others are ready, or when it has nothing to lose.
    fn check_transmit(&mut self, now: Duration, ki: Ki) {
        if self.claimed.contains(&ki.0) {
            // Back to the key of before.
            return;
        }
        let participant = self.kay.participant_of(ki).unwrap();
        let installed = self.installed_at.get(&ki.0).copied().unwrap_or(now);
        let waited = now.saturating_sub(installed) >= TRANSMIT_DELAY;
        let ready = match participant.key_server() {
            KeyServer::Us => {
                participant.all_receiving(ki) || participant.server_transmitting(ki) || waited
            }
            _ => participant.server_transmitting(ki),
        };
        let open = self.kay.port().port() != PortStatus::Closed;
        assert!(ready || !open, "{} transmits with {ki} too early", self.sci);
    }

    /// Nobody has ever transmitted with this key as we will.
    fn claim(&mut self, ki: Ki) {
        if !self.plane.transmit.values().any(|there| *there == ki) || !self.claimed.insert(ki.0) {
            return;
        }
        self.rotations += 1;
        self.ledger.borrow_mut().claim(&self.saks[&ki.0], &self.senders[&ki.0], self.instance);
    }

    fn send_data(&mut self, now: Duration) {
        let Some((an, ki)) = self.plane.encoding.filter(|_| self.plane.open) else { return };
        let mut frame = vec![0xff; 6];
        frame.extend(self.sci.mac().0);
        frame.extend(DATA);
        frame.push(an);
        frame.extend(ki.0);
        frame.extend(self.sci.0);
        frame.extend(self.sent.to_be_bytes());
        self.sent += 1;
        let next_pn = self.next_pn.get_mut(&ki.0).unwrap();
        frame.extend(next_pn.to_be_bytes());
        frame.extend((now.as_micros() as u64).to_be_bytes());
        *next_pn += 1;
        match self.holds_up.filter(|_| self.sent.is_multiple_of(10)) {
            Some(time) => self.held_up.push_back((now + time, frame)),
            None => self.outgoing.push_back(frame),
        }
    }

    fn take_data(&mut self, now: Duration, frame: &[u8]) {
        // Corruption is MACsec's to find, not MKA's.
        let Some(&[an]) = frame.get(AN_AT..KI_AT) else { return };
        let field = |from: usize, to: usize| frame.get(from..to);
        let number = |at: usize| field(at, at + 8)?.try_into().ok().map(u64::from_be_bytes);
        let (Some(ki), Some(sci), Some(pn), Some(sent_at)) = (
            field(KI_AT, SCI_AT).and_then(|octets| octets.try_into().ok()).map(Ki),
            field(SCI_AT, SEQUENCE_AT).and_then(|octets| octets.try_into().ok()).map(Sci),
            number(PN_AT),
            number(SENT_AT).map(Duration::from_micros),
        ) else {
            return;
        };
        let on_its_way = now.saturating_sub(sent_at);
        if !self.plane.receives(sci, an, ki) {
            self.refused += 1;
        } else if self.plane.lowest.get(&(sci, ki.0)).is_some_and(|lowest| pn < *lowest) {
            self.late += 1;
            self.quickest_late = self.quickest_late.min(on_its_way);
        } else {
            self.slowest_delivered = self.slowest_delivered.max(on_its_way);
            *self.delivered.entry(sci).or_default() += 1;
            self.heard.insert((sci, ki.0));
        }
    }

    fn report_pns(&mut self, now: Duration) {
        let pns: Vec<_> = self
            .next_pn
            .iter()
            .map(|(ki, pn)| KeyPns {
                ki: Ki(*ki),
                transmit_next_pn: pn + self.pn_offset,
                receive_next_pn: 1,
            })
            .collect();
        self.kay.report_pns(now, &pns);
    }
}

impl Node for Station {
    fn receive(&mut self, now: Duration, frame: &[u8]) {
        if frame.get(12..14) == Some(&DATA) {
            return self.take_data(now, frame);
        }
        if self.asleep_since.is_some() {
            return;
        }
        if let Err(discard) = self.kay.handle_frame(self.kay_time(now), frame) {
            self.discards.push(discard);
        }
        self.drain(now);
    }

    fn timeout(&mut self, now: Duration) {
        let (kay_time, awake) = (self.kay_time(now), self.asleep_since.is_none());
        if awake && self.kay.poll_timeout().is_some_and(|at| at <= kay_time) {
            self.kay.handle_timeout(kay_time);
        }
        if self.next_report <= now {
            self.next_report = now + PN_REPORTS;
            if awake {
                self.report_pns(kay_time);
            }
        }
        if let Some(interval) = self.data_interval.filter(|_| self.next_data <= now) {
            self.next_data = now + interval;
            self.send_data(now);
        }
        while let Some((_, frame)) = self.held_up.pop_front_if(|(at, _)| *at <= now) {
            self.outgoing.push_back(frame);
        }
        self.drain(now);
    }

    fn next_timeout(&self, _: Duration) -> Option<Duration> {
        let reports = (!self.next_pn.is_empty()).then_some(self.next_report);
        let data = self.data_interval.map(|_| self.next_data);
        let orders = self.orders.front().map(|(at, _)| *at);
        let held_up = self.held_up.front().map(|(at, _)| *at);
        let kay = self.kay.poll_timeout().filter(|_| self.asleep_since.is_none());
        let kay = kay.map(|at| at + self.slept);
        [kay, reports, data, orders, held_up].into_iter().flatten().min()
    }

    fn transmit(&mut self, now: Duration) -> Option<Vec<u8>> {
        if let Some(frame) = self.outgoing.pop_front() {
            return Some(frame);
        }
        if self.asleep_since.is_some() {
            return None;
        }
        let mut buffer = [0; MAX_FRAME_LEN];
        let len = self.kay.poll_transmit(self.kay_time(now), &mut buffer)?;
        let frame = buffer[..len].to_vec();
        Some(self.says.as_ref().map_or(frame.clone(), |words| {
            let spoils = self.spoils.unwrap_or(|_| {});
            with_words(now, &frame, words, spoils)
        }))
    }
}

/// The name of the CAK with this number; 0 is the one that all stations begin with.
pub(crate) fn ckn_of(number: u8) -> Ckn {
    if number == 0 { ckn() } else { Ckn::new(&[0xca, number]).unwrap() }
}

/// What is said at a time.
pub(crate) type Words = Box<dyn Fn(Duration, &mut Body<'_>)>;

/// The MKPDU with other words, and an ICV that fits.
fn with_words(now: Duration, frame: &[u8], words: &Words, spoils: fn(&mut [u8])) -> Vec<u8> {
    let (ick, mut buffer) = (cak().ick(&ckn()), [0; MAX_FRAME_LEN]);
    let received = Received::parse(frame, ETHERTYPE_EAPOL).unwrap();
    let mkpdu = received.verify(&ick).unwrap();
    let mut body = *mkpdu.body();
    words(now, &mut body);
    let len = Framing::new(mkpdu.frame().source).encode(&body, &ick, &mut buffer).unwrap();
    let (said, icv) = buffer[..len].split_at_mut(len - ICV_LEN);
    spoils(said);
    icv.copy_from_slice(&ick.icv(said));
    buffer[..len].to_vec()
}

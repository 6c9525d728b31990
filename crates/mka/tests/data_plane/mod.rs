//! A data plane that only keeps books, and a bench that runs a Controlled Port on it.
#![allow(dead_code)]

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use macsec::{An, CipherSuite, Confidentiality, DataKey, Ki, MacAddress, Sak, Salt, Sci, Ssci};
use mka::{
    Mi,
    cp::{ControlledPort, CpEvent, Inputs, NewSak, PeerReport, PeerSa, Settings},
    logon::Connect,
    order::{Action, Controls, Order, OrderFailure},
};

pub(crate) const fn sci(member: u8) -> Sci {
    Sci::new(MacAddress([2, 0, 0, 0, 0, member]), 1)
}

pub(crate) const fn ki(number: u32) -> Ki {
    Mi([7; 12]).ki(number)
}

pub(crate) fn an(number: u32) -> An {
    An::from_low_bits(u8::try_from(number % 4).unwrap())
}

pub(crate) fn sak(number: u32, peers: &[u8]) -> NewSak {
    suite_sak(CipherSuite::GcmAes128, number, peers)
}

/// The SAK with key number `number` and the AN that follows from it.
pub(crate) fn suite_sak(suite: CipherSuite, number: u32, peers: &[u8]) -> NewSak {
    let xpn = suite.is_xpn();
    let octets = [9; 32];
    let key = Sak::new(&octets[..suite.key_len()]).unwrap();
    let ssci = |member: u8| xpn.then_some(Ssci(u32::from(member) + 1));
    NewSak {
        key: DataKey::new(ki(number), suite, key, xpn.then_some(Salt([3; 12]))).unwrap(),
        an: an(number),
        confidentiality: Confidentiality::default(),
        ssci: ssci(0),
        next_pn: 1,
        peers: peers
            .iter()
            .map(|&peer| PeerSa { sci: sci(peer), ssci: ssci(peer), lowest_pn: 1 })
            .collect(),
    }
}

#[derive(Default)]
pub(crate) struct Plane {
    pub(crate) controls: Option<Controls>,
    pub(crate) open: bool,
    pub(crate) keys: BTreeSet<[u8; 16]>,
    pub(crate) scs: BTreeSet<Sci>,
    pub(crate) receive: BTreeMap<(Sci, u8), Ki>,
    /// The lowest PNs that peers have bound themselves to.
    pub(crate) lowest: BTreeMap<(Sci, [u8; 16]), u64>,
    pub(crate) transmit: BTreeMap<u8, Ki>,
    pub(crate) encoding: Option<(u8, Ki)>,
    /// Orders have failed: what was to be prevented by them may happen.
    pub(crate) broken: bool,
}

impl Plane {
    /// Carries out an order. What no machine may ever ask for panics.
    pub(crate) fn carry_out(&mut self, action: &Action) -> Result<(), OrderFailure> {
        match action {
            Action::SetControls(controls) => self.controls = Some(*controls),
            Action::SetControlledPort { enabled } => {
                let protects = self.controls.is_some_and(|controls| controls.protect_frames);
                assert!(
                    !enabled || !protects || self.encoding.is_some() || self.broken,
                    "opens without a key"
                );
                self.open = *enabled;
            }
            Action::InstallKey(key) => {
                self.keys.insert(key.ki().0);
            }
            Action::CreateReceiveSc { sci } => {
                self.scs.insert(*sci);
            }
            Action::InstallReceiveSa { sci, sa } => {
                if !(self.scs.contains(sci) && self.keys.contains(&sa.ki.0)) {
                    assert!(self.broken, "an SA without an SC or a key");
                    return Err(OrderFailure::Refused);
                }
                let at = (*sci, sa.an.number());
                if self.receive.get(&at).is_some_and(|there| *there != sa.ki) {
                    return Err(OrderFailure::Refused);
                }
                self.receive.insert(at, sa.ki);
            }
            Action::RaiseLowestPn { sci, an, ki, lowest_pn } => {
                if self.receive.get(&(*sci, an.number())) == Some(ki) {
                    let before = self.lowest.insert((*sci, ki.0), *lowest_pn);
                    assert!(before.unwrap_or(1) < *lowest_pn, "a lowest PN that does not grow");
                }
            }
            Action::InstallTransmitSa(sa) => {
                if !self.keys.contains(&sa.ki.0) {
                    assert!(self.broken, "an SA without a key");
                    return Err(OrderFailure::Refused);
                }
                let at = sa.an.number();
                if self.transmit.get(&at).is_some_and(|there| *there != sa.ki) {
                    return Err(OrderFailure::Refused);
                }
                self.transmit.insert(at, sa.ki);
            }
            Action::EnableTransmit { an, ki } => {
                if self.transmit.get(&an.number()) != Some(ki) {
                    return Err(OrderFailure::Refused);
                }
                self.encoding = Some((an.number(), *ki));
            }
            Action::DeleteTransmitSa { an, ki } => {
                if self.transmit.get(&an.number()) == Some(ki) {
                    assert!(
                        !self.open || self.encoding != Some((an.number(), *ki)) || self.broken,
                        "deletes what an open port transmits with"
                    );
                    self.transmit.remove(&an.number());
                    self.encoding = self.encoding.filter(|encoding| encoding.1 != *ki);
                }
            }
            Action::DeleteReceiveSa { sci, an, ki } => {
                if self.receive.get(&(*sci, an.number())) == Some(ki) {
                    self.receive.remove(&(*sci, an.number()));
                    self.lowest.remove(&(*sci, ki.0));
                }
            }
            Action::DeleteReceiveSc { sci } => {
                if self.receive.keys().any(|(of, _)| of == sci) {
                    assert!(self.broken, "an SC before its SAs");
                    return Err(OrderFailure::Refused);
                }
                self.scs.remove(sci);
            }
            Action::RemoveKey(ki) => {
                if self.receive.values().chain(self.transmit.values()).any(|used| used == ki) {
                    assert!(self.broken, "a key before its SAs");
                    return Err(OrderFailure::Refused);
                }
                self.keys.remove(&ki.0);
            }
            other => panic!("{other:?}"),
        }
        Ok(())
    }

    pub(crate) fn receives(&self, from: Sci, an: u8, ki: Ki) -> bool {
        self.open && self.receive.get(&(from, an)) == Some(&ki)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
            && self.scs.is_empty()
            && self.receive.is_empty()
            && self.transmit.is_empty()
    }
}

/// A Controlled Port, its data plane, and what there is between them.
pub(crate) struct Bench {
    pub(crate) cp: ControlledPort,
    pub(crate) plane: Plane,
    pub(crate) now: Duration,
    pub(crate) inputs: Inputs,
    pub(crate) events: Vec<CpEvent>,
    pub(crate) queue: VecDeque<Order>,
    /// What the data plane was told, by name.
    pub(crate) log: Vec<String>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        Self {
            cp: ControlledPort::new(settings),
            plane: Plane::default(),
            now: Duration::from_secs(100),
            inputs: Inputs::default(),
            events: Vec::new(),
            queue: VecDeque::new(),
            log: Vec::new(),
        }
    }

    /// A port with the SAK of number 1 in use.
    pub(crate) fn secured(elected_self: bool) -> Self {
        let mut bench = Self::new();
        bench.inputs.port_enabled = true;
        bench.inputs.connect = Connect::Secure;
        bench.inputs.elected_self = elected_self;
        bench.cp.offer(sak(1, &[1])).unwrap();
        bench.update();
        bench.events.clear();
        bench.log.clear();
        bench
    }

    /// Has the machine look at its inputs, with all orders carried out at once.
    pub(crate) fn update(&mut self) {
        self.update_only();
        self.settle();
    }

    /// The same, and leaves orders lying.
    pub(crate) fn update_only(&mut self) {
        self.cp.update(self.now, self.inputs);
        self.collect();
    }

    pub(crate) fn report(&mut self, key: u32, all_receiving: bool, server_transmitting: bool) {
        self.inputs.latest = Some(PeerReport {
            ki: ki(key),
            all_receiving,
            server_transmitting,
            ssci_map_known: true,
        });
        self.update();
    }

    pub(crate) fn connect(&mut self, connect: Connect) {
        self.inputs.connect = connect;
        self.update();
    }

    pub(crate) fn collect(&mut self) {
        while let Some(order) = self.cp.poll_order() {
            self.queue.push_back(order);
        }
        while let Some(event) = self.cp.poll_event() {
            self.events.push(event);
        }
    }

    /// Carries out the next order, or has it fail.
    pub(crate) fn answer(&mut self, fail: Option<OrderFailure>) -> bool {
        let Some(order) = self.queue.pop_front() else { return false };
        let name = format!("{:?}", order.action);
        self.log.push(name.split([' ', '(']).next().unwrap().to_string());
        let result = match fail {
            Some(failure) => Err(failure),
            None => self.plane.carry_out(&order.action),
        };
        self.cp.order_done(self.now, order.id, result);
        self.collect();
        true
    }

    pub(crate) fn settle(&mut self) {
        while self.answer(None) {}
    }

    /// Carries out orders until one has this name, and has that fail.
    pub(crate) fn fail_at(&mut self, name: &str, failure: OrderFailure) {
        loop {
            let order = self.queue.front().unwrap_or_else(|| panic!("no {name} among the orders"));
            let found = format!("{:?}", order.action).starts_with(name);
            self.answer(found.then_some(failure));
            if found {
                return;
            }
        }
    }

    /// Lets time pass; orders are carried out at once.
    pub(crate) fn wait(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(at) = self.cp.poll_timeout().filter(|&at| at <= end) {
            assert!(at > self.now, "a timer that does not move");
            self.now = at;
            self.cp.handle_timeout(self.now);
            self.collect();
            self.settle();
        }
        self.now = end;
    }

    pub(crate) fn has(&self, event: CpEvent) -> bool {
        self.events.contains(&event)
    }
}

//! Message numbers and key numbers that run out: a new MI is taken, and the session goes on.

use core::time::Duration;
use std::vec::Vec;

use macsec::{MacAddress, Sci};
use netem::{Dice, Lan, Node};

use crate::{
    Cak, Ckn, Event, Kay, KayConfig, KayEvent, KeyServer, MAX_FRAME_LEN, MiReason,
    ParticipantConfig, Random, RandomError, cp::CpEvent, cp::PortStatus, key_number,
};

/// From here on a new MI is taken.
const LAST: u32 = 0xffff_ff00;

struct Seeded(Dice);

impl Random for Seeded {
    fn fill(&mut self, octets: &mut [u8]) -> Result<(), RandomError> {
        octets.fill_with(|| self.0.number() as u8);
        Ok(())
    }
}

/// A KaY whose data plane does everything at once.
struct Port {
    kay: Kay<Seeded>,
    events: Vec<KayEvent>,
}

impl Port {
    fn new(station: u8) -> Self {
        let sci = Sci::new(MacAddress([2, 0, 0, 0, 0, station]), 1);
        let mut config = KayConfig::new(ParticipantConfig::new(sci));
        config.participant.priority = station;
        let (cak, ckn) = (Cak::new(&[0x42; 16]).unwrap(), Ckn::new(b"lab").unwrap());
        let random = Seeded(Dice::new(station.into()));
        let mut kay = Kay::new(config, cak, ckn, random, Duration::ZERO).unwrap();
        kay.set_port_enabled(Duration::ZERO, true);
        let mut port = Self { kay, events: Vec::new() };
        port.drain(Duration::ZERO);
        port
    }

    fn drain(&mut self, now: Duration) {
        while let Some(order) = self.kay.poll_order() {
            self.kay.order_done(now, order.id, Ok(()));
        }
        while let Some(event) = self.kay.poll_event() {
            self.events.push(event);
        }
    }

    fn count(&self, event: Event) -> usize {
        let is = |one: &&KayEvent| matches!(one, KayEvent::Participant(_, one) if *one == event);
        self.events.iter().filter(is).count()
    }
}

impl Node for Port {
    fn receive(&mut self, now: Duration, frame: &[u8]) {
        let _ = self.kay.handle_frame(now, frame);
        self.drain(now);
    }

    fn timeout(&mut self, now: Duration) {
        self.kay.handle_timeout(now);
        self.drain(now);
    }

    fn next_timeout(&self, _: Duration) -> Option<Duration> {
        self.kay.poll_timeout()
    }

    fn transmit(&mut self, now: Duration) -> Option<Vec<u8>> {
        let mut buffer = [0; MAX_FRAME_LEN];
        let len = self.kay.poll_transmit(now, &mut buffer)?;
        Some(buffer[..len].to_vec())
    }
}

fn secured() -> Lan<Port> {
    let mut lan = Lan::new(1, [Port::new(1), Port::new(2)]);
    lan.run_for(Duration::from_secs(10));
    assert!(is_secured(&lan));
    lan
}

fn is_secured(lan: &Lan<Port>) -> bool {
    let keys: Vec<_> = lan.nodes().map(|port| port.kay.port().in_use().map(|key| key.ki)).collect();
    let open = lan.nodes().all(|port| port.kay.port().port() == PortStatus::Secured);
    open && keys[0].is_some() && keys[0] == keys[1]
}

fn nothing_closed(lan: &Lan<Port>) {
    let closed = KayEvent::ControlledPort(CpEvent::Port(PortStatus::Closed));
    assert!(lan.nodes().all(|port| !port.events.contains(&closed)));
}

const EXHAUSTED: Event = Event::NewMi(MiReason::Exhausted);

#[test]
fn message_numbers_run_out_at_either_end() {
    for index in 0..2 {
        let mut lan = secured();
        let (mi, ki) =
            (lan[index].kay.principal().unwrap().member().mi, lan[0].kay.port().in_use());
        lan[index].kay.slots.principal_mut().unwrap().participant.skip_to(LAST - 3, 1);
        lan.run_for(Duration::from_secs(20));
        assert_eq!(lan[index].count(EXHAUSTED), 1);
        let member = lan[index].kay.principal().unwrap().member();
        assert!(member.mi != mi && member.mn < 40, "{member:?}");
        assert!(is_secured(&lan));
        assert_ne!(lan[0].kay.port().in_use(), ki, "a new MI, a new SAK");
        nothing_closed(&lan);
    }
}

#[test]
fn both_run_out_of_message_numbers_at_once() {
    let mut lan = secured();
    for index in 0..2 {
        lan[index].kay.slots.principal_mut().unwrap().participant.skip_to(LAST - 3, 1);
    }
    lan.run_for(Duration::from_secs(20));
    assert!((0..2).all(|index| lan[index].count(EXHAUSTED) == 1));
    assert!(is_secured(&lan));
    nothing_closed(&lan);
}

#[test]
fn key_numbers_run_out() {
    let mut lan = secured();
    assert_eq!(lan[0].kay.principal().unwrap().key_server(), KeyServer::Us);
    lan[0].kay.slots.principal_mut().unwrap().participant.skip_to(1000, LAST - 3);
    for _ in 0..6 {
        let before = lan[0].kay.port().in_use();
        lan.with(0, |port, now| {
            assert!(port.kay.request_rekey(now));
            port.drain(now);
        });
        lan.run_for(Duration::from_secs(10));
        assert!(is_secured(&lan));
        assert_ne!(lan[0].kay.port().in_use(), before);
    }
    assert_eq!(lan[0].count(EXHAUSTED), 1);
    assert!(key_number(lan[0].kay.port().in_use().unwrap().ki) < 10);
    nothing_closed(&lan);
}

//! A laboratory: participants on a LAN in virtual time, each with a CP machine just good enough for it,
//! and a ledger of who has ever used which nonces.
#![allow(dead_code)] // Every test file uses its own part of this.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use macsec::{An, Ki, MacAddress, Sci};
use mka::{
    AgreedSak, Agreement, Cak, Ckn, Discard, Event, KeyInUse, KeyReport, KeyServer, MAX_FRAME_LEN,
    MiReason, Participant, ParticipantConfig, Random, RandomError, RekeyReason, SakRefusal,
};
use netem::{Dice, Lan, Link, Node};
use proptest::prelude::*;

pub(crate) const TRANSMIT_DELAY: Duration = Duration::from_secs(6);
pub(crate) const RETIRE_DELAY: Duration = Duration::from_secs(3);

/// Randomness by seed, which can be made to fail.
pub(crate) struct Seeded {
    pub(crate) dice: Dice,
    pub(crate) fails: Rc<RefCell<bool>>,
}

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        Self { dice: Dice::new(seed), fails: Rc::new(RefCell::new(false)) }
    }
}

impl Random for Seeded {
    fn fill(&mut self, octets: &mut [u8]) -> Result<(), RandomError> {
        if *self.fails.borrow() {
            return Err(RandomError);
        }
        octets.fill_with(|| self.dice.number() as u8);
        Ok(())
    }
}

/// Which instance of a member has transmitted with a SAK under an SSCI or, without XPN, an SCI; and who is known by
/// which.
///
/// A second claim on one is a nonce used twice, as every claim begins at PN 1.
#[derive(Default)]
pub(crate) struct Ledger {
    claims: BTreeMap<(Vec<u8>, Vec<u8>), u64>,
    names: BTreeMap<(Vec<u8>, Sci), Vec<u8>>,
    /// Somebody with the CAK may tell one member this and another that, of who is known by which.
    pub(crate) insider: bool,
}

impl Ledger {
    pub(crate) fn claim(&mut self, sak: &[u8], sender: &[u8], instance: u64) {
        let before = self.claims.insert((sak.to_vec(), sender.to_vec()), instance);
        assert_eq!(before, None, "instance {instance}: nonces of {sender:?} are in use");
    }

    /// Whatever anybody takes the member `sci` for under a SAK, all others do as well.
    pub(crate) fn name(&mut self, sak: &[u8], sci: Sci, sender: &[u8]) {
        if self.insider {
            return;
        }
        let name = self.names.entry((sak.to_vec(), sci)).or_insert_with(|| sender.to_vec());
        assert_eq!(name, sender, "{sci} has two SSCIs under one SAK");
    }

    pub(crate) fn claims(&self) -> usize {
        self.claims.len()
    }
}

/// A SAK as the data plane holds it.
pub(crate) struct Held {
    pub(crate) ki: Ki,
    pub(crate) an: An,
    pub(crate) sak: Vec<u8>,
    pub(crate) tx: bool,
    pub(crate) next_pn: u64,
}

impl Held {
    fn in_use(&self) -> KeyInUse {
        let Self { ki, an, tx, next_pn, .. } = *self;
        KeyInUse { ki, an, tx, rx: true, lowest_pn: next_pn, next_pn }
    }
}

pub(crate) struct Station {
    pub(crate) participant: Participant<Seeded>,
    pub(crate) random_fails: Rc<RefCell<bool>>,
    pub(crate) events: Vec<Event>,
    pub(crate) discards: Vec<Discard>,
    pub(crate) latest: Option<Held>,
    pub(crate) old: Option<Held>,
    transmit_when: Option<Duration>,
    transmit_anyway: bool,
    retire_when: Option<Duration>,
    ledger: Rc<RefCell<Ledger>>,
    instance: u64,
}

pub(crate) fn sci(station: u8) -> Sci {
    Sci::new(MacAddress([2, 0, 0, 0, 0, station]), 1)
}

pub(crate) fn cak() -> Cak {
    Cak::new(&[0x42; 16]).unwrap()
}

pub(crate) fn ckn() -> Ckn {
    Ckn::new(b"MACSEC-LAB-CKN01").unwrap()
}

pub(crate) fn config(station: u8) -> ParticipantConfig {
    ParticipantConfig::new(sci(station))
}

impl Station {
    pub(crate) fn new(
        config: ParticipantConfig,
        instance: u64,
        now: Duration,
        ledger: &Rc<RefCell<Ledger>>,
    ) -> Self {
        Self::with_cak(config, cak(), ckn(), instance, now, ledger)
    }

    pub(crate) fn with_cak(
        config: ParticipantConfig,
        cak: Cak,
        ckn: Ckn,
        instance: u64,
        now: Duration,
        ledger: &Rc<RefCell<Ledger>>,
    ) -> Self {
        let fails = Rc::new(RefCell::new(false));
        let random = Seeded { dice: Dice::new(instance), fails: Rc::clone(&fails) };
        Self {
            participant: Participant::new(config, cak, ckn, random, now).unwrap(),
            random_fails: fails,
            events: Vec::new(),
            discards: Vec::new(),
            latest: None,
            old: None,
            transmit_when: None,
            transmit_anyway: false,
            retire_when: None,
            ledger: Rc::clone(ledger),
            instance,
        }
    }

    pub(crate) fn is_key_server(&self) -> bool {
        self.participant.key_server() == KeyServer::Us
    }

    pub(crate) fn ki(&self) -> Option<Ki> {
        self.latest.as_ref().map(|held| held.ki)
    }

    pub(crate) fn live_peers(&self) -> usize {
        self.participant.peers().filter(|peer| peer.live).count()
    }

    pub(crate) fn generated(&self) -> Vec<RekeyReason> {
        let reason = |event: &Event| match event {
            Event::SakGenerated(_, reason) => Some(*reason),
            _ => None,
        };
        self.events.iter().filter_map(reason).collect()
    }

    pub(crate) fn new_mis(&self) -> Vec<MiReason> {
        let reason = |event: &Event| match event {
            Event::NewMi(reason) => Some(*reason),
            _ => None,
        };
        self.events.iter().filter_map(reason).collect()
    }

    pub(crate) fn refusals(&self) -> Vec<SakRefusal> {
        let refusal = |event: &Event| match event {
            Event::SakRefused(refusal) => Some(*refusal),
            _ => None,
        };
        self.events.iter().filter_map(refusal).collect()
    }

    /// Sets the PN that the latest key has come to.
    pub(crate) fn set_next_pn(&mut self, now: Duration, pn: u64) {
        if let Some(latest) = &mut self.latest {
            latest.next_pn = pn;
        }
        self.drain(now);
    }

    /// Does what a KaY does after each input: events, SAKs, CP machine, report.
    pub(crate) fn drain(&mut self, now: Duration) {
        // What is reported may have consequences at once: stop after two rounds of nothing new.
        let mut quiet = 0;
        while quiet < 2 {
            let events = self.events.len();
            while let Some(event) = self.participant.poll_event() {
                self.events.push(event);
                if event == Event::Alone {
                    (self.latest, self.old) = (None, None);
                }
            }
            let new = self.participant.take_agreed_sak();
            if let Some(new) = &new {
                self.install(now, new);
            }
            self.transmit_if_it_is_time(now);
            if self.retire_when.is_some_and(|at| at <= now) {
                (self.old, self.retire_when) = (None, None);
            }
            self.report(now);
            let news = new.is_some() || self.events.len() > events;
            quiet = if news { 0 } else { quiet + 1 };
        }
    }

    fn install(&mut self, now: Duration, new: &AgreedSak) {
        if let Some(latest) = self.latest.take().filter(|latest| latest.tx) {
            self.old = Some(latest);
            self.retire_when = None;
        }
        // An AN has one SA: that of a key server of before has to go.
        self.old.take_if(|old| old.an == new.an);
        let (ki, sak) = (new.key.ki(), new.key.sak().expose_octets().to_vec());
        self.latest = Some(Held { ki, an: new.an, sak, tx: false, next_pn: 1 });
        self.transmit_when = Some(now + TRANSMIT_DELAY);
        self.transmit_anyway = false;
    }

    fn transmit_if_it_is_time(&mut self, now: Duration) {
        if self.transmit_when.is_some_and(|at| at <= now) {
            self.transmit_when = None;
            self.transmit_anyway = self.is_key_server();
        }
        let Some(latest) = self.latest.as_ref().filter(|latest| !latest.tx) else { return };
        let ki = latest.ki;
        let current = self.participant.sak().is_some_and(|sak| sak.ki == ki);
        let others_are_ready = if self.is_key_server() {
            self.participant.all_receiving(ki) || self.transmit_anyway
        } else {
            self.participant.server_transmitting(ki)
        };
        let ready = others_are_ready || self.old.is_none();
        if !current || !self.participant.may_transmit() || !ready {
            return;
        }
        let sender = self.sender();
        let Some(latest) = &mut self.latest else { return };
        latest.tx = true;
        self.ledger.borrow_mut().claim(&latest.sak, &sender, self.instance);
        self.transmit_when = None;
        self.retire_when = self.old.as_ref().map(|_| now + RETIRE_DELAY);
    }

    /// What tells our nonces from those of others.
    fn sender(&self) -> Vec<u8> {
        let own = self.participant.config().sci;
        if self.participant.sak().is_some_and(|sak| !sak.suite.is_xpn()) {
            return own.0.to_vec();
        }
        let us = self.participant.sak_members().iter().find(|member| member.sci == Some(own));
        us.unwrap().ssci.unwrap().0.to_be_bytes().to_vec()
    }

    fn report(&mut self, now: Duration) {
        let in_use = |held: &Option<Held>| held.as_ref().map(Held::in_use);
        let (latest, old) = (in_use(&self.latest), in_use(&self.old));
        let report = KeyReport { latest, old, plain_tx: false, plain_rx: false };
        self.participant.report_keys(now, report);
    }
}

impl Node for Station {
    fn receive(&mut self, now: Duration, frame: &[u8]) {
        if let Err(discard) = self.participant.handle_frame(now, frame) {
            self.discards.push(discard);
        }
        self.drain(now);
    }

    fn timeout(&mut self, now: Duration) {
        self.participant.handle_timeout(now);
        self.drain(now);
    }

    fn next_timeout(&self, now: Duration) -> Option<Duration> {
        let cp = self.transmit_when.into_iter().chain(self.retire_when).min();
        self.participant.poll_timeout(now).into_iter().chain(cp).min()
    }

    fn transmit(&mut self, now: Duration) -> Option<Vec<u8>> {
        let mut buffer = [0; MAX_FRAME_LEN];
        let len = self.participant.poll_transmit(now, &mut buffer)?;
        Some(buffer[..len].to_vec())
    }
}

/// A LAN of stations, and the means to restart them.
pub(crate) struct Lab {
    pub(crate) lan: Lan<Station>,
    pub(crate) configs: Vec<ParticipantConfig>,
    pub(crate) ledger: Rc<RefCell<Ledger>>,
    seed: u64,
    instances: u64,
}

impl Lab {
    pub(crate) fn new(seed: u64, configs: &[ParticipantConfig]) -> Self {
        let ledger = Rc::new(RefCell::new(Ledger::default()));
        let seed_of = |index: u64| seed.wrapping_mul(1_000_003).wrapping_add(index);
        let stations: Vec<_> = (0..)
            .zip(configs)
            .map(|(index, config)| Station::new(*config, seed_of(index), Duration::ZERO, &ledger))
            .collect();
        let instances = stations.len() as u64;
        Self { lan: Lan::new(seed, stations), configs: configs.to_vec(), ledger, seed, instances }
    }

    /// Stations 1, 2, ... with the priorities given.
    pub(crate) fn of(seed: u64, priorities: &[u8]) -> Self {
        let configs: Vec<_> = (1..)
            .zip(priorities)
            .map(|(station, &priority)| {
                let mut config = config(station);
                config.priority = priority;
                config
            })
            .collect();
        Self::new(seed, &configs)
    }

    /// Starts a station, or starts it again: nothing of it has survived.
    pub(crate) fn restart(&mut self, index: usize) {
        let instance = self.seed.wrapping_mul(1_000_003).wrapping_add(self.instances);
        self.instances += 1;
        let now = self.lan.now();
        self.lan.put(index, Station::new(self.configs[index], instance, now, &self.ledger));
    }

    /// Waits for agreement among all stations that are there.
    #[track_caller]
    pub(crate) fn agree_within(&mut self, time: Duration) -> Ki {
        let deadline = self.lan.now() + time;
        let agreed = self.lan.drive_until(deadline, |lan| agreed_ki(lan).is_some());
        assert!(agreed, "no agreement at {:?}:\n{}", self.lan.now(), self.show());
        agreed_ki(&self.lan).unwrap()
    }

    pub(crate) fn show(&self) -> String {
        let show = |station: &Station| {
            let peers: Vec<_> = station.participant.peers().collect();
            let events = &station.events[station.events.len().saturating_sub(12)..];
            let state = (station.participant.agreement(), station.ki(), events);
            format!("{:?}\n  {state:?}\n  {peers:?}\n", station.participant)
        };
        self.lan.nodes().map(show).collect()
    }
}

/// The KI that all stations agree on: one key server, one SAK, all live, all receiving and sending,
/// and of one mind about SSCIs.
pub(crate) fn agreed_ki(lan: &Lan<Station>) -> Option<Ki> {
    let stations: Vec<_> = lan.nodes().collect();
    let first = stations.first()?;
    let held = first.latest.as_ref()?;
    let map = |station: &Station| {
        let members = station.participant.sak_members();
        let mut map: Vec<_> = members.iter().map(|member| (member.sci, member.ssci)).collect();
        map.sort_unstable();
        map
    };
    let agrees = |station: &&Station| {
        station.participant.agreement() == Agreement::Secured
            && station.live_peers() == stations.len() - 1
            && station.latest.as_ref().is_some_and(|other| {
                (other.ki, other.an, &other.sak) == (held.ki, held.an, &held.sak) && other.tx
            })
            && map(station) == map(first)
    };
    let one_server = stations.iter().filter(|station| station.is_key_server()).count() == 1;
    (one_server && stations.iter().all(agrees)).then_some(held.ki)
}

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A link with up to 30 % loss, and everything else that links do to frames.
pub(crate) fn bad_link() -> impl Strategy<Value = Link> {
    (0..=300u16, 0..200u64, 0..=200u16, 0..=200u16, 0..=100u16, 0..=100u16).prop_map(
        |(loss, jitter, reorder, duplicate, corrupt, reflect)| Link {
            loss,
            jitter: Duration::from_millis(jitter),
            reorder,
            duplicate,
            corrupt,
            reflect,
            ..Link::CLEAN
        },
    )
}

/// So many cases of a property, or as many as `MKA_SIMULATIONS` says.
pub(crate) fn cases(number: u32) -> ProptestConfig {
    let asked = std::env::var("MKA_SIMULATIONS").ok().and_then(|asked| asked.parse().ok());
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(asked.unwrap_or(number))
    }
}

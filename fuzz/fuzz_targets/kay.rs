//! Two KaYs that talk to each other under up to four CAKs, with all that may go wrong between them and around them, and
//! an insider.
//!
//! Input: a flag octet (suite, versions, a tie of priorities, policy); then one action after the other, each an octet and
//! what it needs. See [`Bench::act`].
#![no_main]

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use libfuzzer_sys::fuzz_target;
use macsec::{MacAddress, Sci};
use macsec_fuzz::{Input, suite};
use mka::{
    Cak, Ckn, ICV_LEN, Kay, KayConfig, KeyPns, MAX_FRAME_LEN, ParticipantConfig, Random,
    RandomError, Suites,
    cp::MAX_PEERS,
    logon::LogonPolicy,
    order::{Action, Order, OrderFailure},
};

/// More say nothing new, and take their time.
const MOST_ACTIONS: usize = 400;
/// The most steps that one moment takes, if time does not stand still.
const MOST_STEPS: u32 = 200;
/// Orders of one call: a key and what it needs made, and two deleted.
const MOST_ORDERS: usize = 4 * (2 * MAX_PEERS + 2);

/// Different octets each time, the same in each run.
struct Counting(u64);

impl Random for Counting {
    fn fill(&mut self, octets: &mut [u8]) -> Result<(), RandomError> {
        for chunk in octets.chunks_mut(8) {
            self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            chunk.copy_from_slice(&self.0.to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

/// CAKs that a station may have. The first is there from the start.
const CAKS: u8 = 4;

/// One of the CAKs, and its name.
fn secrets(which: u8) -> (Cak, Ckn) {
    let which = which % CAKS;
    (Cak::new(&[0x42 + which; 16]).expect("octets"), Ckn::new(&[which, 0x61]).expect("octets"))
}

struct Station {
    kay: Kay<Counting>,
    orders: VecDeque<Order>,
    /// Orders are carried out at once, and not when the input says so.
    prompt: bool,
    /// How the next orders are answered.
    fault: Option<OrderFailure>,
    /// Keys installed with our SSCI or SCI, and those transmitted with.
    installed: Vec<([u8; 16], Vec<u8>, Vec<u8>)>,
    /// The lowest PNs ordered, by peer and key.
    lowest: HashMap<(Sci, [u8; 16]), u64>,
}

impl Station {
    fn new(config: KayConfig, instance: u64) -> Self {
        let (cak, ckn) = secrets(0);
        let random = Counting(instance);
        let kay = Kay::new(config, cak, ckn, random, Duration::ZERO).expect("a good configuration");
        Self {
            kay,
            orders: VecDeque::new(),
            prompt: true,
            fault: None,
            installed: Vec::new(),
            lowest: HashMap::new(),
        }
    }
}

struct Bench {
    now: Duration,
    configs: [KayConfig; 2],
    stations: [Station; 2],
    /// Frames on their way, and the last ones that were there, to mutate and to replay.
    wire: VecDeque<(usize, Vec<u8>)>,
    captured: VecDeque<Vec<u8>>,
    /// Each direction may be cut.
    cut: [bool; 2],
    instances: u64,
    /// Somebody with the CAK has said what nobody would say. It may give one SAK two names; a SecY finds that out.
    insider: bool,
    /// SAK (or KI, if there is an insider) and SSCI or SCI of all that was ever transmitted with.
    nonces: HashSet<(Vec<u8>, Vec<u8>)>,
}

fuzz_target!(|octets: &[u8]| {
    let mut input = Input::new(octets);
    let mut bench = Bench::new(input.u8());
    for index in 0..2 {
        bench.stations[index].kay.set_port_enabled(bench.now, true);
        bench.fetch(index);
    }
    for _ in 0..MOST_ACTIONS {
        if input.is_empty() {
            break;
        }
        bench.act(&mut input);
    }
});

impl Bench {
    fn new(flags: u8) -> Self {
        let config = |station: u8, priority: u8, version: u8| {
            let sci = Sci::new(MacAddress([2, 0, 0, 0, 0, station]), 1);
            let mut config = ParticipantConfig::new(sci);
            config.priority = priority;
            config.version = 1 + version % 3;
            if version & 0x03 == 0x03 {
                (config.version, config.delay_protect) = (3, true);
                config.hello_time = Duration::from_millis(500);
            }
            config.suites = Suites::new(&[suite(flags)]).expect("one suite");
            config.max_peers = 4;
            let mut config = KayConfig::new(config);
            if flags & 0x80 != 0 {
                config.policy = LogonPolicy::SHOULD_SECURE;
                config.participant.plain_text_allowed = true;
            }
            config
        };
        let other = if flags & 0x04 == 0 { 32 } else { 16 };
        let configs = [config(1, 16, flags >> 3), config(2, other, flags >> 5)];
        Self {
            now: Duration::ZERO,
            configs,
            stations: [Station::new(configs[0], 1), Station::new(configs[1], 2)],
            wire: VecDeque::new(),
            captured: VecDeque::new(),
            cut: [false; 2],
            instances: 2,
            insider: false,
            nonces: HashSet::new(),
        }
    }

    /// One action: what it is in the low bits of an octet, whom it concerns in the highest.
    fn act(&mut self, input: &mut Input<'_>) {
        let octet = input.u8();
        let of = usize::from(octet >> 7);
        match octet & 0x0f {
            0 | 1 => self.pass(Duration::from_millis(4 * u64::from(input.u8()))),
            2 => self.pass(Duration::from_millis(u64::from(input.u16() % 4000))),
            3 => self.pass(Duration::from_millis(u64::from(input.u16() % 16_000))),
            4 => {
                let frame = input.octets().to_vec();
                self.arrive(of, &frame);
            }
            5 => {
                if let Some(frame) = self.mutated(input) {
                    self.arrive(of, &frame);
                }
            }
            6 => {
                let (cak, ckn) = secrets(octet >> 4);
                if let Some(mut frame) = self.mutated(input)
                    && let Some(end) = frame.len().checked_sub(ICV_LEN)
                {
                    self.insider = true;
                    let icv = cak.ick(&ckn).icv(&frame[..end]);
                    frame[end..].copy_from_slice(&icv);
                    self.arrive(of, &frame);
                }
            }
            7 => self.cut[of] = octet & 0x40 != 0,
            8 => self.with(of, |kay, now| kay.set_port_enabled(now, octet & 0x40 != 0)),
            9 => {
                self.instances += 1;
                self.stations[of] = Station::new(self.configs[of], self.instances);
                self.with(of, |kay, now| kay.set_port_enabled(now, true));
            }
            10 => self.with(of, |kay, now| {
                kay.request_rekey(now);
            }),
            11 => self.stations[of].prompt = octet & 0x40 != 0,
            12 => {
                for _ in 0..1 + input.u8() % 8 {
                    self.carry_out(of, octet & 0x40 != 0);
                }
            }
            13 => {
                self.stations[of].fault = match octet >> 4 & 0x07 {
                    0 => Some(OrderFailure::KeyUsedBefore),
                    1 => Some(OrderFailure::Device),
                    2 => Some(OrderFailure::NoRoom),
                    _ => None,
                }
            }
            14 => self.report(of, input),
            _ if octet & 0x30 != 0 => self.change_caks(of, octet >> 4 & 0x03, input),
            _ => self.with(of, |kay, now| {
                kay.set_rekeying(now, Some(Duration::from_secs(30)), octet & 0x40 != 0);
            }),
        }
        self.check();
    }

    fn with(&mut self, of: usize, act: impl FnOnce(&mut Kay<Counting>, Duration)) {
        act(&mut self.stations[of].kay, self.now);
        self.fetch(of);
    }

    fn change_caks(&mut self, of: usize, how: u8, input: &mut Input<'_>) {
        let octet = input.u8();
        let ((cak, ckn), preference) = (secrets(octet), u32::from(octet >> 4));
        self.instances += 1;
        let random = Counting(self.instances);
        self.with(of, |kay, now| match how {
            1 => {
                // It may be there already.
                let _ = kay.add_participant(now, cak, ckn, preference, random);
            }
            2 => {
                kay.remove_participant(now, &ckn);
            }
            _ => {
                kay.set_preference(now, &ckn, preference);
            }
        });
    }

    fn report(&mut self, of: usize, input: &mut Input<'_>) {
        let (transmit_next_pn, receive_next_pn) = (input.u64().max(1), input.u64().max(1));
        let keys = self.stations[of].kay.port().reported();
        let pns: Vec<_> = keys
            .into_iter()
            .flatten()
            .map(|key| KeyPns { ki: key.ki, transmit_next_pn, receive_next_pn })
            .collect();
        self.with(of, |kay, now| kay.report_pns(now, &pns));
    }

    /// One of the last frames, with some octets others. The MKPDU may be cut short, and says so itself.
    fn mutated(&self, input: &mut Input<'_>) -> Option<Vec<u8>> {
        let which = usize::from(input.u8());
        let mut frame = self.captured.get(which % self.captured.len().max(1))?.clone();
        for _ in 0..input.u8() % 8 {
            let (at, with) = (usize::from(input.u8()), input.u8());
            // Headers are of less interest than what is behind them.
            let at = 18 + at % (frame.len() - 18);
            frame[at] = with;
        }
        Some(frame)
    }

    fn arrive(&mut self, to: usize, frame: &[u8]) {
        self.with(to, |kay, now| {
            let _ = kay.handle_frame(now, frame);
        });
    }

    /// Lets time pass, frames arrive and timers run out.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        let mut steps = 0;
        loop {
            while let Some((to, frame)) = self.wire.pop_front() {
                self.arrive(to, &frame);
                steps += 1;
                assert!(steps < MOST_STEPS * (1 + time.as_secs() as u32), "frames without end");
            }
            let due = |station: &Station| station.kay.poll_timeout();
            let next = self.stations.iter().filter_map(due).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            for of in 0..2 {
                if due(&self.stations[of]).is_some_and(|at| at <= self.now) {
                    self.with(of, Kay::handle_timeout);
                }
            }
            steps += 1;
            assert!(steps < MOST_STEPS * (1 + time.as_secs() as u32), "time stands still");
        }
        self.now = end;
    }

    /// Fetches all that has come of an input.
    fn fetch(&mut self, of: usize) {
        loop {
            let station = &mut self.stations[of];
            let before = station.orders.len();
            while let Some(order) = station.kay.poll_order() {
                match order.action {
                    Action::RaiseLowestPn { sci, ki, lowest_pn, .. } => {
                        let before = station.lowest.insert((sci, ki.0), lowest_pn);
                        assert!(before.unwrap_or(1) < lowest_pn, "a lowest PN that does not grow");
                    }
                    Action::DeleteReceiveSa { sci, ki, .. } => {
                        station.lowest.remove(&(sci, ki.0));
                    }
                    _ => {}
                }
                station.orders.push_back(order);
            }
            assert!(station.orders.len() - before <= MOST_ORDERS);
            while station.kay.poll_event().is_some() {}
            if !station.prompt || station.orders.is_empty() {
                break;
            }
            while !self.stations[of].orders.is_empty() {
                self.carry_out_only(of, false);
            }
        }
        let mut buffer = [0; MAX_FRAME_LEN];
        while let Some(len) = self.stations[of].kay.poll_transmit(self.now, &mut buffer) {
            let frame = buffer[..len].to_vec();
            if !self.cut[of] {
                self.wire.push_back((1 - of, frame.clone()));
            }
            if self.captured.len() == 16 {
                self.captured.pop_front();
            }
            self.captured.push_back(frame);
        }
    }

    fn carry_out(&mut self, of: usize, last: bool) {
        self.carry_out_only(of, last);
        self.fetch(of);
    }

    /// Carries out the first order there is and answers it; the last, in the wrong order, if so told.
    fn carry_out_only(&mut self, of: usize, last: bool) {
        let station = &mut self.stations[of];
        let order = if last { station.orders.pop_back() } else { station.orders.pop_front() };
        let Some(order) = order else { return };
        let result = match station.fault {
            Some(failure) if matches!(order.action, Action::EnableTransmit { .. }) => Err(failure),
            Some(failure) if failure != OrderFailure::KeyUsedBefore => Err(failure),
            _ => Ok(()),
        };
        if result.is_ok() {
            self.book(of, &order.action);
        }
        self.stations[of].kay.order_done(self.now, order.id, result);
    }

    /// Keeps the books of nonces: nobody ever transmits with a SAK for which the same SSCI or SCI has been in use.
    fn book(&mut self, of: usize, action: &Action) {
        let station = &mut self.stations[of];
        match action {
            Action::InstallKey(key) => {
                let sak = key.sak().expose_octets().to_vec();
                station.installed.push((key.ki().0, sak, Vec::new()));
            }
            Action::InstallTransmitSa(sa) => {
                assert_eq!(sa.next_pn, 1);
                let sci = self.configs[of].participant.sci.0.to_vec();
                let sender = sa.ssci.map_or(sci, |ssci| ssci.0.to_be_bytes().to_vec());
                if let Some(key) = station.installed.iter_mut().find(|key| key.0 == sa.ki.0) {
                    key.2 = sender;
                }
            }
            Action::EnableTransmit { ki, .. } => {
                // Back to the key of before, or new.
                if let Some(at) = station.installed.iter().position(|key| key.0 == ki.0)
                    && !station.installed[at].2.is_empty()
                {
                    let (ki, sak, sender) = &mut station.installed[at];
                    let sender = std::mem::take(sender);
                    let key = if self.insider { ki.to_vec() } else { sak.clone() };
                    assert!(self.nonces.insert((key, sender)), "nonces in use");
                }
            }
            Action::RemoveKey(ki) => station.installed.retain(|key| key.0 != ki.0),
            _ => {}
        }
    }

    fn check(&self) {
        for station in &self.stations {
            for participant in station.kay.participants() {
                assert!(participant.peers().count() <= 2 * participant.config().max_peers);
                assert_eq!(participant.counters().out_errors, 0);
                assert_eq!(participant.counters().events_lost, 0);
            }
            assert_eq!(station.kay.principal().is_some(), station.kay.participants().count() > 0);
            assert_eq!(station.kay.counters().events_lost, 0);
        }
    }
}

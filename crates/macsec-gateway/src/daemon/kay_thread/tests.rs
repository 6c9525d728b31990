//! A KaY's thread and a disk that is slow, or fails.

use std::{
    cell::Cell,
    path::Path,
    sync::mpsc::{Receiver, channel},
    time::Instant,
};

use macsec::{Ki, MacAddress, Sci};
use mka::{Cak, Ckn, KayEvent, ParticipantConfig, RandomError, cp::CpEvent, logon::MkaOutcome};

use super::*;
use crate::ki_journal::{KiJournal, KiJournalError};

thread_local! {
    /// Time that a test has not waited for.
    pub(super) static SKIPPED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

fn skip(time: Duration) {
    SKIPPED.set(SKIPPED.get() + time);
}

/// As little random as can be: each run of a key server makes the same MI and the same SAKs.
struct Counting(u8);

impl Random for Counting {
    fn fill(&mut self, octets: &mut [u8]) -> Result<(), RandomError> {
        for octet in octets {
            self.0 = self.0.wrapping_add(1);
            *octet = self.0;
        }
        Ok(())
    }
}

/// It fails once it has given so many octets.
struct Failing(usize);

impl Random for Failing {
    fn fill(&mut self, octets: &mut [u8]) -> Result<(), RandomError> {
        self.0 = self.0.checked_sub(octets.len()).ok_or(RandomError)?;
        octets.fill(7);
        Ok(())
    }
}

fn kay<R: Random>(number: u8, random: R) -> Kay<R> {
    let sci = Sci::new(MacAddress([2, 0, 0, 0, 0, number]), 1);
    let mut participant = ParticipantConfig::new(sci);
    participant.priority = number;
    let mut config = KayConfig::new(participant);
    config.port.timers.order = ORDER_TIMEOUT;
    let (cak, ckn) = (Cak::new(&[0x42; 16]).expect("a CAK"), Ckn::new(b"lab").expect("a CKN"));
    let mut kay = Kay::new(config, cak, ckn, random, now()).expect("a KaY");
    kay.set_port_enabled(now(), true);
    kay
}

/// A KaY's thread and a peer, driven by hand.
struct Bench<R, S> {
    thread: Thread<R>,
    orders: Mailbox<port_thread::Order>,
    inputs: Mailbox<Input>,
    peer: Kay<S>,
    /// The keys that the port has been ordered to transmit with.
    enabled: Vec<Ki>,
    open: bool,
    status: Option<MkaStatus>,
    hellos: usize,
    failures: usize,
}

impl<R: Random, S: Random> Bench<R, S> {
    /// With a journal that is kept in this directory, or by the test.
    fn new(
        kay: Kay<R>,
        peer: Kay<S>,
        directory: Option<&Path>,
    ) -> (Self, Option<Receiver<Request>>) {
        let (port, orders) = mailbox().expect("a mailbox");
        let (address, inputs) = mailbox().expect("a mailbox");
        let sci = kay.config().participant.sci;
        let (journal, asked) = match directory {
            Some(directory) => {
                let journal = KayJournal::start("wan0", directory.into(), sci, address);
                (journal.expect("a thread"), None)
            }
            None => {
                let (requests, asked) = channel();
                (KayJournal { requests, thread: None }, Some(asked))
            }
        };
        let log = KayLog::new("wan0");
        let thread = Thread::new(kay, journal, port, 7, log);
        let bench = Self {
            thread,
            orders,
            inputs,
            peer,
            enabled: Vec::new(),
            open: false,
            status: None,
            hellos: 0,
            failures: 0,
        };
        (bench, asked)
    }

    /// Both do what is due now, and tell each other.
    fn turn(&mut self) {
        let (now, mut frame) = (now(), [0; MAX_FRAME_LEN]);
        self.inputs.take_all().for_each(|input| self.thread.take(input));
        self.thread.kay.handle_timeout(now);
        while let Some(len) = self.thread.kay.poll_transmit(now, &mut frame) {
            self.hellos += 1;
            let _ = self.peer.handle_frame(now, &frame[..len]);
        }
        self.peer.handle_timeout(now);
        while let Some(len) = self.peer.poll_transmit(now, &mut frame) {
            let _ = self.thread.kay.handle_frame(now, &frame[..len]);
        }
        while let Some(order) = self.peer.poll_order() {
            self.peer.order_done(now, order.id, Ok(()));
        }
        while let Some(event) = self.thread.kay.poll_event() {
            if let KayEvent::ControlledPort(CpEvent::OrderFailed { .. }) = event {
                self.failures += 1;
            }
        }
        self.thread.deliver();
        for order in self.orders.take_all() {
            let port_thread::Order::Kay(7, output) = order else { panic!("a KaY's") };
            match output {
                Output::Order(order) => {
                    match order.action {
                        Action::EnableTransmit { ki, .. } => self.enabled.push(ki),
                        Action::SetControlledPort { enabled } => self.open = enabled,
                        _ => {}
                    }
                    self.thread.kay.order_done(now, order.id, Ok(()));
                }
                Output::Status(status) => self.status = Some(*status),
                Output::Ready => {}
                Output::Ended(_) => panic!("it does not end"),
            }
        }
    }

    /// Lets the time pass.
    fn pass(&mut self, time: Duration) {
        let until = now() + time;
        while now() < until {
            skip(Duration::from_millis(50));
            self.turn();
        }
    }

    /// The next key that is to be put on record.
    fn asked(&mut self, journal: &Receiver<Request>) -> (OrderId, Ki) {
        for _ in 0..400 {
            match journal.try_recv() {
                Ok(Request::Record(id, ki)) => return (id, ki),
                Ok(_) => {}
                Err(_) => self.pass(Duration::from_millis(50)),
            }
        }
        panic!("no key is to be put on record");
    }

    fn answer(&mut self, id: OrderId, result: Result<(), Refusal>) {
        self.thread.take(Input::Journal(Answer::Recorded(id, result)));
        self.turn();
    }

    fn says(&mut self) -> MkaStatus {
        self.thread.take(Input::Status);
        self.turn();
        self.status.take().expect("an answer")
    }
}

/// A key server with a session, and the key in use. The disk is the test's.
fn session() -> (Bench<OsRandom, OsRandom>, Receiver<Request>, Ki) {
    let (mut bench, journal) = Bench::new(kay(1, OsRandom), kay(9, OsRandom), None);
    let journal = journal.expect("the test's");
    let (id, first) = bench.asked(&journal);
    assert!(!bench.open && bench.enabled.is_empty());
    bench.answer(id, Ok(()));
    bench.pass(Duration::from_secs(5));
    assert!(bench.open && bench.enabled == [first]);
    (bench, journal, first)
}

fn disk_error() -> Refusal {
    KiJournalError::Io("ki".into(), io::Error::other("broken")).into()
}

/// A thread that a key server with predictable SAKs has come to: the keys that it has been ordered to
/// transmit with, by and by.
fn transmits_with(directory: &Path, keys: usize) -> Vec<Ki> {
    let (mut bench, _) = Bench::new(kay(9, OsRandom), kay(1, Counting(0)), Some(directory));
    let sci = bench.thread.kay.config().participant.sci;
    let deadline = Instant::now() + Duration::from_secs(30);
    while bench.enabled.len() < keys {
        assert!(Instant::now() < deadline, "no SAK comes into use");
        bench.turn();
        thread::sleep(Duration::from_millis(5));
    }
    // What has been ordered is on record.
    let enabled = bench.enabled.clone();
    drop(bench);
    let journal = KiJournal::open(directory, sci).expect("a journal");
    assert!(enabled.iter().all(|ki| journal.used_before(ki)));
    enabled
}

#[test]
fn a_key_is_on_record_before_it_is_transmitted_with_and_not_used_by_another_run() {
    let directory = tempfile::tempdir().expect("a directory");
    let first = transmits_with(directory.path(), 1);
    // The key server begins again too, and makes the same SAK: that is refused, the next one is not.
    let second = transmits_with(directory.path(), 1);
    assert_ne!(first, second);
    let third = transmits_with(directory.path(), 1);
    assert!(third != first && third != second);
}

/// Regression: the thread waited for the disk, so a disk that stood still for a Life Time ended a healthy
/// session.
#[test]
fn a_session_outlasts_a_disk_that_stands_still() {
    let (mut bench, journal, first) = session();
    assert!(bench.thread.kay.request_rekey(now()));
    let (id, second) = bench.asked(&journal);
    bench.hellos = 0;
    bench.pass(Duration::from_secs(10));
    assert!((4..=8).contains(&bench.hellos), "{} hellos", bench.hellos);
    assert_eq!((&bench.enabled[..], bench.open), (&[first][..], true));
    assert_eq!((bench.thread.kay.outcome(), bench.failures), (MkaOutcome::Secured, 0));
    assert_eq!(bench.peer.outcome(), MkaOutcome::Secured);
    let status = bench.says();
    let unrecorded = status.unrecorded.expect("told");
    assert!(unrecorded.starts_with("the disk has not answered for 1"), "{unrecorded}");

    bench.answer(id, Ok(()));
    bench.pass(Duration::from_secs(5));
    assert_eq!(bench.enabled, [first, second]);
    assert!(bench.open && bench.failures == 0 && bench.says().unrecorded.is_none());
    assert!(matches!(journal.try_recv(), Ok(Request::Retire(ki)) if ki == first));
}

/// A port that is to be closed does not wait for the disk either, and the key is not used any more.
#[test]
fn a_disk_that_stands_still_keeps_no_port_open() {
    let (mut bench, journal, first) = session();
    assert!(bench.thread.kay.request_rekey(now()));
    let (id, second) = bench.asked(&journal);
    bench.thread.take(Input::PortEnabled(false));
    bench.turn();
    assert!(!bench.open);
    bench.answer(id, Ok(()));
    bench.pass(Duration::from_secs(1));
    assert!(!bench.open && bench.enabled == [first]);
    let retired = [second, first].map(Request::Retire);
    assert!(journal.try_iter().eq(retired), "neither may come again");
}

/// Past the time that orders have, the key before stays in use, and another one is tried.
#[test]
fn a_disk_that_does_not_answer_at_all_costs_the_new_key() {
    let (mut bench, journal, first) = session();
    assert!(bench.thread.kay.request_rekey(now()));
    let (given_up, _) = bench.asked(&journal);
    bench.pass(ORDER_TIMEOUT + Duration::from_secs(2));
    assert_eq!((&bench.enabled[..], bench.open), (&[first, first][..], true), "back to it");
    assert!(bench.failures > 0 && bench.thread.kay.outcome() == MkaOutcome::Secured);
    let (id, third) = bench.asked(&journal);
    bench.answer(given_up, Ok(()));
    assert_eq!(bench.enabled, [first, first], "nobody waits for that any more");
    bench.answer(id, Ok(()));
    assert_eq!(bench.enabled, [first, first, third]);
}

#[test]
fn a_key_that_cannot_be_put_on_record_is_not_used() {
    let (mut bench, journal, first) = session();
    assert!(bench.thread.kay.request_rekey(now()));
    let (id, _) = bench.asked(&journal);
    bench.answer(id, Err(disk_error()));
    assert_eq!(bench.says().unrecorded.as_deref(), Some("ki: broken"));
    let (id, third) = bench.asked(&journal);
    assert!(bench.enabled.iter().all(|ki| *ki == first) && bench.open);
    bench.answer(id, Ok(()));
    assert_eq!(bench.enabled.last(), Some(&third));
    assert_eq!(bench.says().unrecorded, None);
}

#[test]
fn a_random_generator_that_fails_is_the_end() {
    let sci = Sci::new(MacAddress([2, 0, 0, 0, 0, 9]), 1);
    let config = KayConfig::new(ParticipantConfig::new(sci));
    let (cak, ckn) = (Cak::new(&[0x42; 16]).expect("a CAK"), Ckn::new(b"lab").expect("a CKN"));
    // For the first MI there is enough, and none for the one that a link takes when it comes up.
    let failing = Kay::new(config, cak, ckn, Failing(12), now()).expect("a KaY");
    let (bench, _journal) = Bench::new(failing, kay(1, OsRandom), None);
    let (inputs, mailbox) = mailbox().expect("a mailbox");
    inputs.send(Input::PortEnabled(true));
    let problem = bench.thread.run(&mailbox).expect("an end that nobody has ordered");
    let text = problem.to_string();
    assert!(text.contains("random number generator has failed"), "{text}");
    assert!(problem.passing);
}

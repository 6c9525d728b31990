//! Crashes and failures at each step of a write. See also `tests/pn_store.rs`.

use std::time::{Duration, Instant};

use macsec::{CipherSuite, Ssci};
use proptest::prelude::*;
use tempfile::TempDir;

use super::{writer::Shared, *};
use crate::state_directory::Step;

const KEY: [u8; 16] = [0x5a; 16];
const SUITE: CipherSuite = CipherSuite::GcmAesXpn256;
const STEPS: [Step; 6] =
    [Step::Create, Step::Write, Step::Sync, Step::Rename, Step::SyncDirectory, Step::Report];

fn us() -> NonceIdentity {
    NonceIdentity::Ssci(Ssci(1), Salt([7; 12]))
}

fn peer() -> NonceIdentity {
    NonceIdentity::Ssci(Ssci(2), Salt([7; 12]))
}

fn fail_at(store: &PnStore, step: Step) {
    *store.directory.fault.lock().unwrap() = Some(step);
}

#[test]
fn a_failed_write_never_leaves_a_lower_mark_than_was_promised() {
    for step in STEPS {
        let dir = tempfile::tempdir().unwrap();
        let store = PnStore::open(dir.path()).unwrap();
        let mut mark = store.transmit(&KEY, &us(), true).unwrap();
        mark.0.write(1000).unwrap();
        fail_at(&store, step);
        let error = mark.0.write(2000).unwrap_err();
        assert_eq!(error.to_string(), format!("injected at {step:?}"));
        assert!(!mark.0.holds(1000) && !mark.0.holds(2000), "either may be on disk");

        drop(mark);
        let mut mark = store.transmit(&KEY, &us(), false).unwrap();
        let renamed = matches!(step, Step::SyncDirectory | Step::Report);
        assert_eq!(mark.next_pn(SUITE), Some(if renamed { 2000 } else { 1000 }), "{step:?}");
        mark.0.write(3000).unwrap();
        drop(mark);
        assert_eq!(store.transmit(&KEY, &us(), false).unwrap().next_pn(SUITE), Some(3000));
    }
}

#[test]
fn without_its_first_write_an_sa_cannot_be_had() {
    for step in STEPS {
        let dir = tempfile::tempdir().unwrap();
        let store = PnStore::open(dir.path()).unwrap();
        fail_at(&store, step);
        assert!(matches!(store.transmit(&KEY, &us(), true), Err(PnStoreError::Io(..))));
        assert_eq!(store.transmit(&KEY, &us(), true).unwrap().next_pn(SUITE), Some(1));
    }
}

#[test]
fn a_limit_stays_where_it_is_until_a_write_succeeds() {
    let dir = tempfile::tempdir().unwrap();
    let store = PnStore::open(dir.path()).unwrap();
    let shared = Arc::new(Shared::new().unwrap());
    let mut pns = TransmitPns::new(&shared, store.transmit(&KEY, &us(), true).unwrap());
    assert_eq!(pns.limit(), 1, "nothing has been reserved yet");
    pns.want(1, Instant::now());
    for step in STEPS {
        fail_at(&store, step);
        assert!(!shared.write_marks());
        assert_eq!(pns.limit(), 1);
    }
    assert!(shared.write_marks());
    assert_eq!(pns.limit(), 1025);
}

#[test]
fn steps_follow_the_rate() {
    let dir = tempfile::tempdir().unwrap();
    let store = PnStore::open(dir.path()).unwrap();
    let shared = Arc::new(Shared::new().unwrap());
    let mut pns = TransmitPns::new(&shared, store.transmit(&KEY, &us(), true).unwrap());
    let mut now = Instant::now();
    let mut step_after = |pause| {
        now += pause;
        let next = pns.limit();
        pns.want(next, now);
        shared.write_marks();
        pns.limit() - next
    };
    assert_eq!(step_after(Duration::ZERO), 1024);
    assert_eq!(step_after(Duration::from_millis(499)), 2048);
    assert_eq!(step_after(Duration::from_secs(1)), 2048);
    assert_eq!(step_after(Duration::from_secs(3)), 1024);
    assert_eq!(step_after(Duration::from_secs(3)), 1024);
    for _ in 0..20 {
        step_after(Duration::ZERO);
    }
    assert_eq!(step_after(Duration::ZERO), 1 << 20);
}

#[test]
fn more_is_asked_for_when_half_of_the_step_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let store = PnStore::open(dir.path()).unwrap();
    let shared = Arc::new(Shared::new().unwrap());
    let mut pns = TransmitPns::new(&shared, store.transmit(&KEY, &us(), true).unwrap());
    let now = Instant::now();
    pns.want(1, now);
    shared.write_marks();
    pns.want(513, now);
    shared.write_marks();
    assert_eq!(pns.limit(), 1025, "512 are left");
    pns.want(514, now);
    shared.write_marks();
    assert_eq!(pns.limit(), 514 + 2048);
}

#[test]
fn a_receive_mark_comes_down_when_the_traffic_slows_and_the_limit_comes_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = PnStore::open(dir.path()).unwrap();
    let shared = Arc::new(Shared::new().unwrap());
    let mut pns = ReceivePns::new(&shared, store.receive(&KEY, &peer(), true).unwrap());
    let now = Instant::now();
    let mut next = 1;
    for _ in 0..15 {
        pns.want(next, now);
        shared.write_marks();
        next = pns.limit();
    }
    pns.want(next, now);
    shared.write_marks();
    let high = pns.limit();
    assert_eq!(high - next, 1 << 18);

    pns.tick(next);
    shared.write_marks();
    assert_eq!(pns.limit(), high, "in step with the traffic of the last second");
    pns.tick(next);
    assert_eq!(pns.limit(), next + 8, "before the file has been written");
    pns.tick(next);
    shared.write_marks();
    assert_eq!(pns.limit(), next + 8);

    // A frame a second keeps it a few ahead, with a step to match.
    for _ in 0..20 {
        next += 1;
        pns.want(next, now + Duration::from_secs(60));
        shared.write_marks();
        pns.tick(next);
        shared.write_marks();
        assert!((next..next + 20).contains(&pns.limit()));
    }
    drop((pns, shared));
    let lowest = store.receive(&KEY, &peer(), false).unwrap().lowest_pn(SUITE);
    assert!((Some(next)..Some(next + 20)).contains(&lowest));
}

#[test]
fn the_exact_number_is_written_at_the_end_but_never_a_lower_one_than_was_told() {
    for (told, end) in [(5, 7), (7, 7), (9, 9)] {
        let dir = tempfile::tempdir().unwrap();
        let store = PnStore::open(dir.path()).unwrap();
        let shared = Arc::new(Shared::new().unwrap());
        let mut tx = TransmitPns::new(&shared, store.transmit(&KEY, &us(), true).unwrap());
        let mut rx = ReceivePns::new(&shared, store.receive(&KEY, &peer(), true).unwrap());
        tx.want(told, Instant::now());
        rx.want(told, Instant::now());
        shared.write_marks();
        tx.finish(7);
        rx.finish(7);
        assert!(matches!(store.transmit(&KEY, &us(), false), Err(PnStoreError::InUse(_))));
        shared.write_marks();
        assert_eq!(store.transmit(&KEY, &us(), false).unwrap().next_pn(SUITE), Some(end));
        assert_eq!(store.receive(&KEY, &peer(), false).unwrap().lowest_pn(SUITE), Some(end));
    }
}

#[test]
fn the_end_of_all_packet_numbers_is_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let store = PnStore::open(dir.path()).unwrap();
    let shared = Arc::new(Shared::new().unwrap());
    let mut pns = TransmitPns::new(&shared, store.transmit(&KEY, &us(), true).unwrap());
    pns.want(u64::MAX - 1, Instant::now());
    shared.write_marks();
    assert_eq!(pns.limit(), NO_PN_LEFT);
    pns.want(NO_PN_LEFT, Instant::now());
    pns.finish(NO_PN_LEFT);
    shared.write_marks();
    assert_eq!(store.transmit(&KEY, &us(), false).unwrap().next_pn(SUITE), None);

    let sci = NonceIdentity::Sci(Sci([1; 8]));
    let mut mark = store.transmit(&[1; 16], &sci, true).unwrap();
    mark.0.write(u64::from(u32::MAX)).unwrap();
    assert_eq!(mark.next_pn(CipherSuite::GcmAes128), Some(u64::from(u32::MAX)));
    mark.0.write(1 << 32).unwrap();
    assert_eq!(mark.next_pn(CipherSuite::GcmAes128), None);
}

/// What may happen, in any order.
#[derive(Clone, Debug)]
enum Event {
    /// Up to so many frames go out.
    Send(u64),
    /// A frame with a PN so far ahead comes in.
    Receive(u64),
    Second,
    /// The writer runs, and perhaps a step fails.
    Write(Option<Step>),
    Crash,
    Finish(Option<Step>),
}

fn event() -> impl Strategy<Value = Event> {
    let fault = || proptest::option::of(proptest::sample::select(&STEPS));
    prop_oneof![
        4 => (0_u64..3000).prop_map(Event::Send),
        4 => prop_oneof![0_u64..20, 0_u64..5000].prop_map(Event::Receive),
        4 => Just(Event::Second),
        6 => fault().prop_map(Event::Write),
        1 => Just(Event::Crash),
        1 => fault().prop_map(Event::Finish),
    ]
}

/// One life of a daemon.
struct Run {
    store: PnStore,
    shared: Arc<Shared>,
    tx: TransmitPns,
    rx: ReceivePns,
    tx_next: u64,
    rx_next: u64,
}

impl Run {
    fn start(dir: &TempDir, first_use: bool) -> Self {
        let store = PnStore::open(dir.path()).unwrap();
        let shared = Arc::new(Shared::new().unwrap());
        let tx = store.transmit(&KEY, &us(), first_use).unwrap();
        let rx = store.receive(&KEY, &peer(), first_use).unwrap();
        let (tx_next, rx_next) = (tx.next_pn(SUITE).unwrap(), rx.lowest_pn(SUITE).unwrap());
        let (tx, rx) = (TransmitPns::new(&shared, tx), ReceivePns::new(&shared, rx));
        Self { store, shared, tx, rx, tx_next, rx_next }
    }

    fn write(&self, fault: Option<Step>) {
        *self.store.directory.fault.lock().unwrap() = fault;
        self.shared.write_marks();
        *self.store.directory.fault.lock().unwrap() = None;
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn nothing_is_used_or_accepted_twice(events in proptest::collection::vec(event(), 1..80)) {
        // In memory if possible, as nobody pulls the plug here.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let mut run = Run::start(&dir, true);
        let mut now = Instant::now();
        // The greatest PNs used and accepted in all runs.
        let (mut used, mut accepted) = (0, 0);
        for event in events {
            now += Duration::from_millis(300);
            match event {
                Event::Send(count) => {
                    let end = (run.tx_next + count).min(run.tx.limit()).max(run.tx_next);
                    if end > run.tx_next {
                        prop_assert!(run.tx_next > used, "{} used again", run.tx_next);
                        used = end - 1;
                    }
                    run.tx_next = end;
                    run.tx.want(end, now);
                }
                Event::Receive(ahead) => {
                    let pn = run.rx_next + ahead;
                    if pn < run.rx.limit() || run.rx.wait_until_durable(pn + 1, Duration::ZERO) {
                        prop_assert!(pn > accepted, "{pn} accepted again");
                        accepted = pn;
                        run.rx_next = pn + 1;
                    }
                    run.rx.want(run.rx_next, now);
                }
                Event::Second => run.rx.tick(run.rx_next),
                Event::Write(fault) => run.write(fault),
                Event::Crash => {
                    drop(run);
                    run = Run::start(&dir, false);
                }
                Event::Finish(fault) => {
                    let Run { store, shared, tx, rx, tx_next, rx_next } = run;
                    tx.finish(tx_next);
                    rx.finish(rx_next);
                    *store.directory.fault.lock().unwrap() = fault;
                    shared.write_marks();
                    drop((shared, store));
                    run = Run::start(&dir, false);
                    if fault.is_none() {
                        prop_assert_eq!((run.tx_next, run.rx_next), (tx_next, rx_next));
                    }
                }
            }
            prop_assert!(run.tx_next > used && run.rx_next > accepted);
        }
    }
}

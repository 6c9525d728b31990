//! `macsec run` is killed at any instant, again and again, with traffic both ways.
//!
//! Now and then its disk does not write before, so that traffic reaches the marks. On the wire no
//! packet number ever comes twice; nothing that a killed gateway has delivered is delivered once more;
//! and each time it comes up by itself. `MACSEC_KILLS` says how often (25).

mod common;

mod daemon {
    pub mod bench;
    pub mod peer;
}

use std::{
    collections::{HashMap, VecDeque},
    fs,
    os::unix::fs::PermissionsExt,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use common::StopAtEnd;
use macsec::CipherSuite;
use macsec_io::{
    netlink::Netlink,
    netns::Namespace,
    packet::{RxConfig, RxMode},
    tap::Tap,
};

use daemon::{
    bench::{
        Edge, FAR, NEAR, Random, SAK_128, SAK_256, Station, Wan, figure, number_of, numbered, plug,
        quiet,
    },
    peer::Peer,
};

/// Frames sent at a time, and how long to wait then: together about 20000 a second each way, so that
/// marks are extended all the time.
const BURST: usize = 32;
const PAUSE: Duration = Duration::from_micros(1500);
/// Frames that are sent once more later.
const HISTORY: usize = 4096;
const FRAME_OCTETS: usize = 80;

#[test]
fn xpn_with_a_filter() {
    kill_and_kill_again("gcm-aes-xpn-256", "k256", SAK_256, "filter", 1);
}

#[test]
fn short_packet_numbers_in_a_namespace() {
    kill_and_kill_again("gcm-aes-128", "k128", SAK_128, "namespace", 2);
}

fn kill_and_kill_again(
    suite: &'static str,
    sak_file: &'static str,
    sak: &str,
    isolation: &'static str,
    seed: u64,
) {
    let open = || Ok::<_, Box<dyn std::error::Error>>((Edge::new()?, Namespace::new()?));
    let (edge, far) = match open() {
        Ok(places) => places,
        Err(error) => return common::skip(&error.to_string()),
    };
    let kills = std::env::var("MACSEC_KILLS").map_or(25, |text| text.parse().expect("a number"));
    plug((&edge.home, "up0", NEAR), (&far, "far0", FAR));
    edge.run(|| quiet("up0"));
    // A TAP that outlives the gateway, so that the host is there all the time too.
    edge.run(|| {
        Tap::create("wan0").expect("a TAP").set_persistent(true).expect("persistent");
        Netlink::open().expect("netlink").set_up("wan0").expect("up");
    });

    let suite_id: CipherSuite = suite.parse().expect("a suite");
    let wan = Wan { suite, sak_file, isolation, ..Wan::default() };
    let world = World::default();
    let began = Instant::now();
    thread::scope(|scope| {
        let wire = scope.spawn(|| {
            let station = far.run(|| open_station("far0")).expect("the namespace");
            world.hold_the_wire(station, Peer::new(suite_id, sak));
        });
        let host = scope.spawn(|| world.be_the_host(edge.run(|| open_station("wan0"))));
        // Whatever goes wrong, the two end.
        let stop = StopAtEnd(&world.stop);
        world.kill_again_and_again(&edge, &wan, kills, &mut Random(seed));
        drop(stop);
        wire.join().expect("the wire");
        host.join().expect("the host");
    });

    let sent = world.sent.lock().expect("sound");
    let delivered = world.delivered.lock().expect("sound");
    figure(&format!(
        "{suite}, {isolation}: {kills} kills in {:.0} s, {} of them while it started, {} while no mark \
         could be written; {} frames sent by the gateway, {} PNs repeated; {} frames delivered, {} sent once more after a kill, {} \
         delivered twice",
        began.elapsed().as_secs_f64(),
        world.killed_early.load(Ordering::Relaxed),
        world.killed_stuck.load(Ordering::Relaxed),
        sent.count,
        sent.repeated,
        delivered.count,
        world.replayed.load(Ordering::Relaxed),
        delivered.repeated,
    ));
    assert_eq!(sent.repeated, 0, "packet numbers repeat");
    assert_eq!(delivered.repeated, 0, "frames are delivered twice");
    assert_eq!(world.in_clear.load(Ordering::Relaxed), 0, "frames in clear");
    // What has not been looked at proves nothing.
    assert_eq!(world.missed.load(Ordering::Relaxed), 0, "frames that this test has missed");
    assert!(sent.count > 100 * kills && delivered.count > 100 * kills, "too little traffic");
    assert!(world.replayed.load(Ordering::Relaxed) > kills, "too little replayed");
}

fn open_station(interface: &str) -> Station {
    let mode = RxMode::Slots { frames: 65536 };
    Station::open_with(interface, &RxConfig { mode, max_frame: 256, ..RxConfig::default() })
}

/// What all threads of a test look at.
#[derive(Default)]
struct World {
    stop: AtomicBool,
    /// Packet numbers of the gateway, seen on the wire.
    sent: Mutex<Numbers>,
    /// Numbers of frames that the host got.
    delivered: Mutex<Numbers>,
    /// Frames that had been delivered, sent once more.
    replayed: AtomicU64,
    /// Counts kills.
    life: AtomicU64,
    /// The life in which there are new frames again.
    resumed: AtomicU64,
    killed_early: AtomicU64,
    killed_stuck: AtomicU64,
    /// Where the gateway's peer is to go on, so that it takes its frames at once.
    go_on_with: AtomicU64,
    in_clear: AtomicU64,
    missed: AtomicU64,
}

impl World {
    fn kill_again_and_again(&self, edge: &Edge, wan: &Wan, kills: u64, random: &mut Random) {
        // The first start is the one that makes the record.
        let mut gateway = edge.start(&[wan]);
        gateway.secured();
        let mut killed = 0;
        let state = edge.path("state");
        let allow =
            |mode| fs::set_permissions(&state, fs::Permissions::from_mode(mode)).expect("mode");
        loop {
            thread::sleep(Duration::from_millis(random.below(400)));
            if random.below(4) == 0 {
                // The marks stay where they are, and traffic comes up to them.
                allow(0o500);
                thread::sleep(Duration::from_millis(random.below(800)));
                self.killed_stuck.fetch_add(1, Ordering::Relaxed);
            }
            gateway.kill();
            allow(0o700);
            killed += 1;
            edge.configure(&[&Wan { first_use: false, ..wan.clone() }]);
            self.life.fetch_add(1, Ordering::Relaxed);
            // Some do not even get to be there.
            while killed < kills && random.below(2) == 0 {
                let gateway = edge.spawn(&[]);
                thread::sleep(Duration::from_millis(random.below(200)));
                gateway.kill();
                killed += 1;
                self.killed_early.fetch_add(1, Ordering::Relaxed);
            }
            gateway = edge.spawn(&[]);
            let status = gateway.secured();
            if killed >= kills {
                break;
            }
            let secy = status.ports[0].secy.as_ref().expect("a SecY");
            let lowest_pn = secy.receive_sc[0].receive_sa[0].lowest_pn;
            self.go_on_with.store(lowest_pn, Ordering::Relaxed);
            // At first there are old frames only: new ones would make all of them late.
            thread::sleep(Duration::from_millis(random.below(200)));
            self.resumed.store(self.life.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        gateway.stop();
        // And after a clean end.
        let mut gateway = edge.spawn(&[]);
        gateway.secured();
        thread::sleep(Duration::from_millis(200));
        gateway.stop();
    }

    /// Sees every frame that the gateway sends, and sends it new ones and old ones.
    fn hold_the_wire(&self, mut station: Station, mut peer: Peer) {
        let mut history: VecDeque<(u64, Vec<u8>)> = VecDeque::new();
        let mut old: Vec<Vec<u8>> = Vec::new();
        let (mut number, mut life, mut turn) = (0, 0, 0);
        while !self.stop.load(Ordering::Relaxed) {
            self.look_at_the_wire(&mut station);
            let now = self.life.load(Ordering::Relaxed);
            if now != life {
                life = now;
                let delivered = self.delivered.lock().expect("sound");
                let known = history.iter().filter(|(number, _)| delivered.contains(*number));
                old = known.map(|(_, frame)| frame.clone()).collect();
            }
            peer.raise(self.go_on_with.load(Ordering::Relaxed));
            let fresh = if self.resumed.load(Ordering::Relaxed) == life { BURST } else { 0 };
            for _ in 0..fresh {
                number += 1;
                let frame = peer.protect(&numbered(NEAR, FAR, number, FRAME_OCTETS));
                let _ = station.tx.push(&frame);
                history.push_back((number, frame));
            }
            history.drain(..history.len().saturating_sub(HISTORY));
            // The latest first: it is those that a mark which is too low would let in.
            for frame in old.iter().rev().cycle().skip(turn).take(old.len().min(BURST)) {
                let _ = station.tx.push(frame);
                self.replayed.fetch_add(1, Ordering::Relaxed);
            }
            turn = (turn + BURST) % old.len().max(1);
            let _ = station.tx.flush();
            thread::sleep(PAUSE);
        }
        self.look_at_the_wire(&mut station);
        self.count_missed(&mut station);
    }

    fn look_at_the_wire(&self, station: &mut Station) {
        let mut sent = self.sent.lock().expect("sound");
        station.rx.receive(usize::MAX, |frame| match (frame.get(12..14), frame.get(16..20)) {
            (Some([0x88, 0xe5]), Some(&[a, b, c, d])) => {
                // Of an XPN the lower half, which does not come round in so few starts.
                sent.insert(u32::from_be_bytes([a, b, c, d]).into());
            }
            _ => drop(self.in_clear.fetch_add(1, Ordering::Relaxed)),
        });
    }

    /// Floods the gateway with frames, and notes what it delivers.
    fn be_the_host(&self, mut station: Station) {
        while !self.stop.load(Ordering::Relaxed) {
            for _ in 0..BURST {
                let _ = station.tx.push(&numbered(FAR, NEAR, 0, FRAME_OCTETS));
            }
            let _ = station.tx.flush();
            self.look_at_the_host(&mut station);
            thread::sleep(PAUSE);
        }
        self.look_at_the_host(&mut station);
        self.count_missed(&mut station);
    }

    fn look_at_the_host(&self, station: &mut Station) {
        let mut delivered = self.delivered.lock().expect("sound");
        station.rx.receive(usize::MAX, |frame| {
            if let Some(number) = number_of(frame) {
                delivered.insert(number);
            }
        });
    }

    fn count_missed(&self, station: &mut Station) {
        let statistics = station.rx.statistics().expect("statistics");
        let missed = statistics.ring_full + statistics.truncated + statistics.malformed;
        self.missed.fetch_add(missed, Ordering::Relaxed);
    }
}

/// A set of numbers that come mostly in order, and how many came twice.
#[derive(Default)]
struct Numbers {
    blocks: HashMap<u64, [u64; 16]>,
    count: u64,
    repeated: u64,
}

impl Numbers {
    fn insert(&mut self, number: u64) {
        let word = &mut self.blocks.entry(number >> 10).or_default()[(number >> 6 & 15) as usize];
        let bit = 1 << (number & 63);
        self.repeated += u64::from(*word & bit != 0);
        *word |= bit;
        self.count += 1;
    }

    fn contains(&self, number: u64) -> bool {
        let block = self.blocks.get(&(number >> 10));
        block.is_some_and(|words| words[(number >> 6 & 15) as usize] & (1 << (number & 63)) != 0)
    }
}

/// A test that sees repetitions needs eyes.
#[test]
fn a_number_that_comes_twice_is_noticed() {
    let mut numbers = Numbers::default();
    for number in [1, 2, 5000, 63, 64, 1023, 1024] {
        assert!(!numbers.contains(number));
        numbers.insert(number);
        assert!(numbers.contains(number));
    }
    assert_eq!((numbers.count, numbers.repeated), (7, 0));
    numbers.insert(64);
    assert_eq!((numbers.count, numbers.repeated), (8, 1));
}

//! What a received MKPDU costs a KaY, taken or not, beside the AES-CMAC that its ICV takes. See README.md.

use std::{
    env,
    hint::black_box,
    time::{Duration, Instant},
};

use cmac::{Cmac, KeyInit, Mac};
use criterion::{Criterion, Throughput};
use macsec::{MacAddress, Sci};
use mka::{
    Basic, Body, Cak, Capability, Ckn, Framing, ICV_LEN, Kay, KayConfig, MAX_FRAME_LEN, Member, Mi,
    OsRandom, ParticipantConfig, PeerList,
};

/// Frames that are timed at once.
const CHUNK: usize = 32;
/// Rounds of the summary, in which the contenders take turns.
const ROUNDS: usize = 300;
const CAK: [u8; 32] = [0x42; 32];

/// Handles [`CHUNK`] frames, prepared before, and says how long that took.
struct Contender {
    name: &'static str,
    time_chunk: Box<dyn FnMut() -> Duration>,
}

fn main() {
    // Run by `cargo test --benches`: that this builds is all that is asked then.
    if !env::args().any(|arg| arg == "--bench") {
        return;
    }
    let given = |option: &str| env::args().any(|arg| arg == option);
    let smoke = given("--quick") || env::var_os("MACSEC_BENCH_SMOKE").is_some();
    if !given("--summary") {
        absolute(smoke);
    }
    summary();
}

fn contenders() -> [Contender; 5] {
    let ours = ckn(b"ours");
    let wrong = |frame: &mut Vec<u8>| *frame.last_mut().expect("an ICV") ^= 1;
    [
        Contender { name: "AES-256-CMAC alone", time_chunk: cmac_alone() },
        Contender { name: "taken", time_chunk: received(ours, true, |_| {}) },
        Contender { name: "replayed", time_chunk: received(ours, false, |_| {}) },
        Contender { name: "wrong ICV", time_chunk: received(ours, true, wrong) },
        Contender { name: "unknown CKN", time_chunk: received(ckn(b"theirs"), true, |_| {}) },
    ]
}

fn ckn(name: &[u8]) -> Ckn {
    Ckn::new(name).expect("1 to 32 octets")
}

/// MKPDUs of a peer that hears us: the MN of each is `rising`, or always the same.
fn received(
    ckn: Ckn,
    rising: bool,
    change: impl Fn(&mut Vec<u8>) + 'static,
) -> Box<dyn FnMut() -> Duration> {
    let now = Duration::ZERO;
    let config = KayConfig::new(ParticipantConfig::new(sci(1)));
    let cak = Cak::new(&CAK).expect("32 octets");
    let mut kay = Kay::new(config, cak, self::ckn(b"ours"), OsRandom, now).expect("a KaY");
    kay.set_port_enabled(now, true);
    let mut mn = 0;
    Box::new(move || {
        let us = kay.principal().unwrap().member();
        let frames: Vec<_> = (0..CHUNK)
            .map(|_| {
                mn += u32::from(rising || mn == 0);
                let mut frame = mkpdu(ckn, mn, us);
                change(&mut frame);
                frame
            })
            .collect();
        let begin = Instant::now();
        for frame in &frames {
            let _ = black_box(kay.handle_frame(now, black_box(frame)));
        }
        let time = begin.elapsed();
        while kay.poll_order().is_some() || kay.poll_event().is_some() {}
        time
    })
}

fn cmac_alone() -> Box<dyn FnMut() -> Duration> {
    let cmac = <Cmac<aes::Aes256> as KeyInit>::new(&CAK.into());
    let frame = mkpdu(ckn(b"ours"), 1, Member { mi: Mi([1; 12]), mn: 1 });
    Box::new(move || {
        let begin = Instant::now();
        for _ in 0..CHUNK {
            let covered = black_box(&frame[..frame.len() - ICV_LEN]);
            black_box(cmac.clone().chain_update(covered).finalize());
        }
        begin.elapsed()
    })
}

fn sci(station: u8) -> Sci {
    Sci::new(MacAddress([2, 0, 0, 0, 0, station]), 1)
}

fn mkpdu(ckn: Ckn, mn: u32, us: Member) -> Vec<u8> {
    let mut body = Body::new(Basic {
        version: 3,
        key_server_priority: 32,
        key_server: false,
        macsec_desired: true,
        macsec_capability: Capability::Offsets,
        sci: sci(2),
        actor: Member { mi: Mi([7; 12]), mn },
        ckn,
    });
    let listed = [us];
    body.live = Some(PeerList::new(&listed));
    let mut buffer = [0; MAX_FRAME_LEN];
    let ick = Cak::new(&CAK).expect("32 octets").ick(&ckn);
    let len = Framing::new(sci(2).mac()).encode(&body, &ick, &mut buffer).expect("room");
    buffer[..len].to_vec()
}

/// Every contender on its own, by criterion.
fn absolute(smoke: bool) {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(if smoke { 300 } else { 1500 }))
        .sample_size(if smoke { 10 } else { 30 })
        .configure_from_args();
    let mut group = criterion.benchmark_group("mkpdu");
    group.throughput(Throughput::Elements(CHUNK as u64));
    for Contender { name, mut time_chunk } in contenders() {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|chunks| (0..chunks).map(|_| time_chunk()).sum::<Duration>());
        });
    }
    group.finish();
}

/// All contenders by turns, and the ratios of their medians.
fn summary() {
    let mut contenders = contenders();
    let mut times = vec![Vec::with_capacity(ROUNDS); contenders.len()];
    for round in 0..ROUNDS {
        for turn in 0..contenders.len() {
            let which = (round + turn) % contenders.len();
            times[which].push((contenders[which].time_chunk)());
        }
    }
    let medians: Vec<_> = times
        .into_iter()
        .map(|mut times| times.select_nth_unstable(ROUNDS / 2).1.as_secs_f64() / CHUNK as f64)
        .collect();
    println!("\nReceived MKPDUs by turns, in chunks of {CHUNK}; medians, and their ratios.");
    for (contender, median) in contenders.iter().zip(&medians) {
        println!(
            "{:20} {:7.0} ns  {:9.0}/s  {:5.2} CMACs",
            contender.name,
            median * 1e9,
            1.0 / median,
            median / medians[0]
        );
    }
}

//! `cargo xtask soak`: many rolls of the CAK and many new SAKs while two clouds talk, and no frame lost.
//!
//! The world is that of `macsec demo`: two gateways as anybody would run them, a wire, and hosts that send numbered
//! datagrams both ways and a TCP stream. Keys are added and rotated by `macsec keys`, SAKs by `macsec rekey`. Which
//! end is done first changes from roll to roll, and whether the other end is done after it or at the same time.

mod rolls;

use std::{
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use macsec::CipherSuite;
use macsec_gateway::demo::{
    files,
    gateway::{Gateway, settle, wait_until_secured},
    guard::Guard,
    topology::{End, Topology},
    traffic::{TrafficResult, UdpResult, talk_during},
};
use serde::Serialize;

use crate::{
    interop::{Result, build_gateway},
    memory::resident,
};
use rolls::Ends;

/// How often it is told how far it has got.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// What to do, and how often.
#[derive(Args)]
pub(crate) struct Options {
    /// How often to go over to a new CAK
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    cak_rolls: u32,
    /// How often to go over to a new SAK beside those
    #[arg(long, value_name = "NUMBER", default_value_t = 1000)]
    sak_rotations: u32,
    /// How long to wait between one and the next
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    seconds_between: u64,
    /// Cipher suite: gcm-aes-128, gcm-aes-256, gcm-aes-xpn-128 or gcm-aes-xpn-256
    #[arg(long, value_name = "NAME", default_value = "gcm-aes-xpn-256")]
    cipher_suite: CipherSuite,
    /// Print nothing but one JSON object at the end
    #[arg(long)]
    json: bool,
}

/// What has come of it.
#[derive(Serialize)]
struct Summary {
    cak_rolls: u32,
    sak_rotations: u32,
    seconds: f64,
    /// The longest that one has taken, from the request until the former key has gone at both ends.
    longest_cak_roll_ms: u128,
    longest_sak_rotation_ms: u128,
    datagrams_sent: u64,
    datagrams_lost: u64,
    datagrams_reordered: u64,
    datagrams_duplicated: u64,
    tcp_octets: u64,
    tcp_intact: bool,
    /// Frames that one gateway has protected and the other has not delivered.
    frames_lost: u64,
    /// Memory in use by the gateways in octets, in the beginning and in the end.
    resident_before: [u64; 2],
    resident_after: [u64; 2],
    passed: bool,
}

/// What has been done while the clouds talked.
#[derive(Default)]
struct Done {
    cak_rolls: u32,
    sak_rotations: u32,
    longest_cak_roll: Duration,
    longest_sak_rotation: Duration,
}

/// Does everything that is asked for. `true`: no frame was lost.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let program = build_gateway()?;
    let topology = Topology::new()?;
    // The gateways end before the guard does, which they belong to.
    let guard = Guard::start(&program)?;
    let directory = guard.directory();
    files::write_mka(directory, options.cipher_suite)?;
    let mut gateways =
        [Gateway::spawn(End::A, &topology, &guard)?, Gateway::spawn(End::B, &topology, &guard)?];
    wait_until_secured(&mut gateways)?;
    let resident_before = memory(&gateways)?;
    let start = Instant::now();
    let mut ends = Ends::new(&program, directory, options.cipher_suite);
    let (done, traffic) = talk_during(&topology, || go_through(options, &mut ends, &mut gateways))?;
    let seconds = start.elapsed().as_secs_f64();
    let [a, b] = settle(&mut gateways)?;
    let summary = Summary {
        seconds,
        frames_lost: a.sealed.abs_diff(b.delivered) + b.sealed.abs_diff(a.delivered),
        resident_before,
        resident_after: memory(&gateways)?,
        ..Summary::new(&done?, &traffic)
    }
    .judged(options);
    if options.json {
        println!("{}", serde_json::to_string(&summary)?);
    } else {
        println!("{}", serde_json::to_string_pretty(&summary)?);
    }
    Ok(summary.passed)
}

impl Summary {
    fn new(done: &Done, traffic: &TrafficResult) -> Self {
        let udp = [traffic.udp_a_to_b, traffic.udp_b_to_a];
        let both = |of: fn(&UdpResult) -> u64| udp.iter().map(of).sum();
        Self {
            cak_rolls: done.cak_rolls,
            sak_rotations: done.sak_rotations,
            seconds: 0.0,
            longest_cak_roll_ms: done.longest_cak_roll.as_millis(),
            longest_sak_rotation_ms: done.longest_sak_rotation.as_millis(),
            datagrams_sent: both(|udp| udp.sent),
            datagrams_lost: both(UdpResult::lost),
            datagrams_reordered: both(|udp| udp.reordered),
            datagrams_duplicated: both(|udp| udp.duplicated),
            tcp_octets: traffic.tcp_a_to_b.octets,
            tcp_intact: traffic.tcp_a_to_b.intact,
            frames_lost: 0,
            resident_before: [0; 2],
            resident_after: [0; 2],
            passed: false,
        }
    }

    fn judged(mut self, options: &Options) -> Self {
        self.passed = self.datagrams_sent > 0
            && self.datagrams_lost + self.datagrams_reordered + self.datagrams_duplicated == 0
            && self.frames_lost == 0
            && self.tcp_intact
            && self.cak_rolls == options.cak_rolls
            && self.sak_rotations == options.sak_rotations;
        self
    }
}

/// SAK rotations, with the CAK rolls spread among them.
fn go_through(options: &Options, ends: &mut Ends<'_>, gateways: &mut [Gateway; 2]) -> Result<Done> {
    let Options { cak_rolls, sak_rotations, .. } = *options;
    let mut done = Done::default();
    let mut next_report = Instant::now() + REPORT_INTERVAL;
    while done.cak_rolls < cak_rolls || done.sak_rotations < sak_rotations {
        let begin = Instant::now();
        // Whichever is further behind its share.
        let [rolled, rotated] = [
            u64::from(done.cak_rolls + 1) * u64::from(sak_rotations),
            u64::from(done.sak_rotations + 1) * u64::from(cak_rolls),
        ];
        if done.cak_rolls < cak_rolls && (done.sak_rotations == sak_rotations || rolled <= rotated)
        {
            ends.roll_cak(gateways, done.cak_rolls)?;
            done.cak_rolls += 1;
            done.longest_cak_roll = done.longest_cak_roll.max(begin.elapsed());
        } else {
            ends.rotate_sak(gateways)?;
            done.sak_rotations += 1;
            done.longest_sak_rotation = done.longest_sak_rotation.max(begin.elapsed());
        }
        if !options.json && Instant::now() >= next_report {
            next_report += REPORT_INTERVAL;
            println!("{} CAK rolls, {} SAK rotations", done.cak_rolls, done.sak_rotations);
        }
        thread::sleep(Duration::from_secs(options.seconds_between));
    }
    Ok(done)
}

fn memory(gateways: &[Gateway; 2]) -> Result<[u64; 2]> {
    let [a, b] = gateways;
    Ok([resident(a.id())?, resident(b.id())?])
}

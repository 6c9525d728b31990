//! `cargo xtask scale`: what participants cost that have nothing to do but their hellos.
//!
//! Sessions of two KaYs each run in one thread on one core, in real time, as [`mka::schedule`] shows. Both ends are
//! here, so each hello is made, and read at the other end, in the same thread; frames go from one to the other in
//! memory. There is no SecY: orders are answered at once. What is measured is MKA, and nothing but MKA.

mod ports;

use std::{
    env,
    process::{self, Command},
    time::{Duration, Instant},
};

use clap::Args;
use rustix::{
    thread::{CpuSet, sched_setaffinity},
    time::{ClockId, clock_gettime},
};
use serde::{Deserialize, Serialize};

use crate::{interop::Result, memory::resident};
use ports::Ports;

/// How long sessions may take to come up: the first hellos, a SAK, and more on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// Participants in all, once for each measurement
    #[arg(long, value_name = "NUMBER", value_delimiter = ',', default_value = "1000,10000")]
    participants: Vec<usize>,
    /// CAKs, and so participants, of each KaY, once for each measurement
    #[arg(long, value_name = "NUMBER", value_delimiter = ',', default_value = "1,2,3")]
    caks: Vec<usize>,
    /// How many peers there is room for: the bounds of everything else follow
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    max_peers: usize,
    /// How long to measure
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// How long to wait before, from when all sessions are secured: the SAKs come into use meanwhile
    #[arg(long, default_value_t = 10)]
    warm_up: u64,
    /// Tell each KaY twice a second where its packet numbers are, as the gateway does
    #[arg(long)]
    pns: bool,
    /// Write the measurements as JSON, one a line
    #[arg(long)]
    json: bool,
}

/// What has been measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Measurement {
    participants: usize,
    kays: usize,
    /// MKPDUs sent, each of which has been received too.
    hellos: u64,
    seconds: f64,
    /// CPU time of the thread, in seconds.
    cpu: f64,
    /// Octets of memory that the KaYs and all else of the ports take.
    octets: u64,
}

/// Measures everything that is asked for. `true`: all sessions were secured all the time.
pub(crate) fn run(options: &Options) -> Result<bool> {
    if cfg!(debug_assertions) && !options.json {
        println!("Not optimised, so the times mean little: cargo run --release -p xtask -- scale");
    }
    if let ([participants], [caks]) = (&options.participants[..], &options.caks[..]) {
        let measurement = measure(*participants, *caks, options)?;
        if options.json {
            println!("{}", serde_json::to_string(&measurement)?);
        } else {
            println!("{HEAD}\n{}", line(&measurement));
        }
        return Ok(true);
    }
    if !options.json {
        println!("{HEAD}");
    }
    for participants in &options.participants {
        for caks in &options.caks {
            // Each in a process of its own: memory that one has given up is not given back to the system.
            let text = in_process(*participants, *caks, options)?;
            if options.json {
                print!("{text}");
            } else {
                println!("{}", line(&serde_json::from_str(&text)?));
            }
        }
    }
    Ok(true)
}

const HEAD: &str =
    "participants    KaYs  hellos/s    CPU %  us a hello  octets a participant  octets a KaY";

fn line(of: &Measurement) -> String {
    let (hellos, octets) = (of.hellos as f64, of.octets as f64);
    format!(
        "{:>12} {:>7} {:>9.0} {:>8.2} {:>11.2} {:>21.0} {:>13.0}",
        of.participants,
        of.kays,
        hellos / of.seconds,
        100.0 * of.cpu / of.seconds,
        1e6 * of.cpu / hellos,
        octets / of.participants as f64,
        octets / of.kays as f64,
    )
}

fn in_process(participants: usize, caks: usize, options: &Options) -> Result<String> {
    let mut command = Command::new(env::current_exe()?);
    command.args(["scale", "--json"]).args(options.pns.then_some("--pns"));
    let numbers = [
        ("--participants", participants.to_string()),
        ("--caks", caks.to_string()),
        ("--max-peers", options.max_peers.to_string()),
        ("--seconds", options.seconds.to_string()),
        ("--warm-up", options.warm_up.to_string()),
    ];
    command.args(numbers.iter().flat_map(|(name, value)| [*name, value]));
    let output = command.output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn measure(participants: usize, caks: usize, options: &Options) -> Result<Measurement> {
    let sessions = participants / (2 * caks.max(1));
    if sessions == 0 {
        return Err(format!("{participants} participants are no session of two KaYs").into());
    }
    let mut core = CpuSet::new();
    core.set(thread_core()?);
    sched_setaffinity(None, &core)?;

    let before = resident(process::id())?;
    let mut ports = Ports::new(sessions, caks, options.max_peers, options.pns)?;
    ports.run_until(Instant::now() + PATIENCE, Ports::are_secured);
    if !ports.are_secured() {
        return Err("not all sessions have come up".into());
    }
    ports.run_for(Duration::from_secs(options.warm_up));

    let (begin, cpu, hellos) = (Instant::now(), cpu_time(), ports.hellos());
    ports.run_for(Duration::from_secs(options.seconds));
    let measurement = Measurement {
        participants: 2 * sessions * caks,
        kays: 2 * sessions,
        hellos: ports.hellos() - hellos,
        seconds: begin.elapsed().as_secs_f64(),
        cpu: (cpu_time() - cpu).as_secs_f64(),
        octets: resident(process::id())?.saturating_sub(before),
    };
    if !ports.are_secured() || ports.lost_peers() {
        return Err("a session has been lost".into());
    }
    Ok(measurement)
}

/// The core that this thread runs on.
fn thread_core() -> Result<usize> {
    Ok(rustix::thread::sched_getcpu())
}

/// The CPU time of this thread.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    // Neither is ever negative.
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

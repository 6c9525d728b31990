//! `macsec demo`: two clouds join their networks, on one machine and with no set-up.
//!
//! Each cloud is a network namespace with a TAP that its hosts route through, and one end of a veth
//! pair, the wire. Between the two stands a gateway: `macsec run` with a configuration file, as
//! anybody would run it, asked by its control socket. The clouds exchange UDP and TCP, a tap listens to
//! the wire, and an attacker on the wire tampers, replays and injects.

pub mod files;
pub mod gateway;
pub mod guard;
pub mod report;
pub mod topology;
pub mod traffic;
pub mod wire;

use std::{
    env,
    error::Error,
    io,
    path::Path,
    process::ExitCode,
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use macsec::CipherSuite;
use macsec_io::netns::{self, Namespace, NamespaceError};
use rustix::mount::{MountFlags, mount};

use self::{
    gateway::{Gateway, Status},
    guard::Guard,
    report::{Observed, Report},
    topology::{End, Topology},
    traffic::{Control, Traffic},
    wire::{Attacker, Shared, WireTap},
};
use crate::exit::{self, cannot_run};

/// How often the attacker strikes.
const STRIKE_INTERVAL: Duration = Duration::from_millis(400);
/// How long frames under way may take to arrive once the clouds have fallen silent.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(3);
const TICK: Duration = Duration::from_millis(20);

/// Options of `macsec demo`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// How long the clouds talk to each other
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub seconds: u32,

    /// Cipher suite: gcm-aes-128, gcm-aes-256, gcm-aes-xpn-128 or gcm-aes-xpn-256
    #[arg(long, value_name = "NAME", default_value = "gcm-aes-xpn-256")]
    pub cipher_suite: CipherSuite,

    /// Print nothing but one JSON object at the end
    #[arg(long)]
    pub json: bool,
}

/// Runs the demo. Exit code 0 only if all held that should hold; 2 if it cannot run here.
#[must_use]
pub fn run(options: &Options) -> ExitCode {
    // Now, as mount namespaces may change what it is called.
    let program = match env::current_exe() {
        Ok(program) => program,
        Err(error) => return cannot_run("demo", &error),
    };
    if let Err(error) = get_privileges() {
        return cannot_run("demo", &*error);
    }
    let topology = match Topology::new() {
        Ok(topology) => topology,
        Err(error) => return cannot_run("demo", &error),
    };
    let report = match observe(options, &program, &topology) {
        Ok(observed) => Report::new(observed),
        Err(error) => {
            eprintln!("macsec demo: {error}");
            return ExitCode::from(exit::FAILED);
        }
    };
    if options.json {
        match serde_json::to_string(&report) {
            Ok(json) => println!("{json}"),
            Err(error) => unreachable!("numbers and strings always serialize: {error}"),
        }
    } else {
        report.print();
    }
    if report.passed { ExitCode::SUCCESS } else { ExitCode::from(exit::FAILED) }
}

/// Root has what it takes. Anyone else may be root of a user namespace, if the system lets them.
fn get_privileges() -> Result<(), Box<dyn Error>> {
    match Namespace::new() {
        Err(NamespaceError::PermissionDenied) => {
            netns::enter_user_namespace()?;
            // Gateways meet in /run/macsec, which is root's outside.
            mount("tmpfs", "/run", "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, None)
                .map_err(|error| format!("a /run of its own: {error}").into())
        }
        other => Ok(other.map(drop)?),
    }
}

/// Lets the clouds talk and the attacker strike, and gathers what everyone saw.
fn observe(options: &Options, program: &Path, topology: &Topology) -> io::Result<Observed> {
    // First, so that nothing is sent that they do not see.
    let taps = [WireTap::open(topology, End::A)?, WireTap::open(topology, End::B)?];
    // The gateways end before the guard does, which they belong to.
    let guard = Guard::start(program)?;
    files::write_static(guard.directory(), options.cipher_suite)?;
    let mut gateways = start_gateways(topology, &guard)?;
    let mut attacker = Attacker::open(topology)?;
    let shared = Shared::default();
    let control = Control::default();
    if !options.json {
        print_picture(options);
    }
    thread::scope(|scope| {
        let taps = taps.map(|tap| scope.spawn(|| tap.run(&shared)));
        let result = talk(options, topology, &control, |tick| match tick {
            Tick::Strike => attacker.strike(&shared),
            Tick::Report(elapsed) if !options.json => {
                print_progress(elapsed, &statuses(&mut gateways)?, attacker.attacks());
                Ok(())
            }
            Tick::Report(_) => Ok(()),
        });
        let gateways = settle(&mut gateways);
        shared.stop.store(true, Ordering::Relaxed);
        let [tap_a, tap_b] = taps
            .map(|tap| tap.join().map_err(|_| io::Error::other("a tap on the wire panicked"))?);
        let (seconds, traffic) = result?;
        Ok(Observed {
            cipher_suite: options.cipher_suite.name().to_owned(),
            seconds: seconds.as_secs_f64(),
            attacks: attacker.attacks(),
            wire: tap_a? + tap_b?,
            traffic,
            gateways: gateways?,
        })
    })
}

/// Starts both gateways at once, and waits until they are up.
fn start_gateways(topology: &Topology, guard: &Guard) -> io::Result<[Gateway; 2]> {
    let spawn = |end| Gateway::spawn(end, topology, guard);
    let mut gateways = [spawn(End::A)?, spawn(End::B)?];
    gateway::wait_until_secured(&mut gateways)?;
    Ok(gateways)
}

/// Runs the traffic for as long as the options say, and calls `on_tick` meanwhile: every second, and
/// whenever the attacker is to strike.
fn talk(
    options: &Options,
    topology: &Topology,
    control: &Control,
    mut on_tick: impl FnMut(Tick) -> io::Result<()>,
) -> io::Result<(Duration, traffic::TrafficResult)> {
    let traffic = Traffic::connect(topology)?;
    let duration = Duration::from_secs(options.seconds.into());
    thread::scope(|scope| {
        let start = Instant::now();
        let traffic = scope.spawn(|| traffic.run(control));
        let mut next_strike = STRIKE_INTERVAL;
        let mut next_report = Duration::from_secs(1);
        let mut result = Ok(());
        while result.is_ok() && start.elapsed() < duration && !traffic.is_finished() {
            thread::sleep(TICK);
            let elapsed = start.elapsed();
            // None in the last moments: an old frame must have been followed by others.
            if elapsed >= next_strike && elapsed + STRIKE_INTERVAL < duration {
                next_strike = elapsed + STRIKE_INTERVAL;
                result = on_tick(Tick::Strike);
            }
            if result.is_ok() && elapsed >= next_report {
                next_report += Duration::from_secs(1);
                result = on_tick(Tick::Report(elapsed));
            }
        }
        let seconds = start.elapsed();
        control.stop.store(true, Ordering::Relaxed);
        let traffic =
            traffic.join().map_err(|_| io::Error::other("the traffic thread panicked"))?;
        result.and(traffic).map(|traffic| (seconds, traffic))
    })
}

/// What is due while the clouds talk.
enum Tick {
    /// The attacker strikes.
    Strike,
    /// A line for those who watch, so long after the start.
    Report(Duration),
}

fn statuses(gateways: &mut [Gateway; 2]) -> io::Result<[Status; 2]> {
    let [a, b] = gateways;
    Ok([a.status()?, b.status()?])
}

/// Waits until what either gateway has sealed the other has delivered, or no more can be hoped for.
fn settle(gateways: &mut [Gateway; 2]) -> io::Result<[Status; 2]> {
    let start = Instant::now();
    loop {
        let [a, b] = statuses(gateways)?;
        let settled = a.sealed == b.delivered && b.sealed == a.delivered;
        if settled || start.elapsed() > SETTLE_TIMEOUT {
            return Ok([a, b]);
        }
        thread::sleep(TICK);
    }
}

fn print_picture(options: &Options) {
    let [a, b] = End::BOTH.map(End::address);
    println!();
    println!("   cloud A         edge A                      edge B         cloud B");
    println!("  {a} -- TAP -- gw ==== {:^16} ==== gw -- TAP -- {b}", options.cipher_suite);
    println!("                                  ^ attacker");
    println!();
}

fn print_progress(elapsed: Duration, [a, b]: &[Status; 2], attacks: wire::Attacks) {
    println!(
        "  {:>3} s   A to B {:>8}   B to A {:>8} frames   attacks {:>3}, dropped {:>3}",
        elapsed.as_secs(),
        b.delivered,
        a.delivered,
        attacks.tampered + attacks.replayed + attacks.injected,
        ["InPktsNotValid", "InPktsLate", "InPktsNoTag"]
            .map(|name| b.counter(name))
            .iter()
            .sum::<u64>(),
    );
}

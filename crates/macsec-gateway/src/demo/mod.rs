//! `macsec demo`: two clouds join their networks, on one machine and with no set-up.
//!
//! Each cloud is a network namespace with a TAP that its hosts route through, and one end of a veth
//! pair, the wire. Between the two stands a gateway: `macsec run` with a configuration file, as
//! anybody would run it, asked by its control socket. The clouds exchange UDP and TCP, a tap
//! listens to the wire, and an attacker on the wire tampers, replays and injects.

pub mod fallback;
pub mod files;
pub mod gateway;
pub mod guard;
pub mod report;
pub mod rotation;
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
    report::{MkaObserved, Observed, Report},
    rotation::{Kind, Rotations},
    topology::{End, Topology},
    traffic::{Control, Traffic, TrafficResult},
    wire::{Attacker, Attacks, Shared, WireTaps},
};
use crate::exit::{self, cannot_run};

/// How often the attacker strikes.
const STRIKE_INTERVAL: Duration = Duration::from_millis(400);
/// How long datagrams may take to come through after a restart.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_millis(20);

/// What the figures of a run with MKA mean.
const FIGURES: &str = "\
With MKA, JSON has:
  mka_up_ms                    from the start of the second gateway's process, both
                               from cold and at once, until both ends are secured
  sak_rotations                new SAKs in use at both ends, with the old one deleted,
                               while the clouds talk: one in 5 s at least, 3 in 15 s
  cak_rotations                those of them that were of the CAK, which is retired at
                               both ends: one, if the clouds talk for 10 s at least
  frames_lost_during_rotation  datagrams of that time, both ways, that never came, by
                               their sequence numbers
  fallback_ms                  from the moment at which gateway B has a wrong CAK, until
                               both ends use the one to fall back on; most of that is the
                               Life Time of 6 s that the key server takes to notice
  frames_lost_during_fallback  datagrams of that time, both ways, that never came
  recovered_after_restart_ms   from the start of the process that replaces a gateway
                               killed afterwards, until a datagram has come each way";

/// Options of `macsec demo`.
#[derive(Args, Clone, Debug)]
#[command(after_help = FIGURES)]
pub struct Options {
    /// How long the clouds talk to each other
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub seconds: u32,

    /// Cipher suite: gcm-aes-128, gcm-aes-256, gcm-aes-xpn-128 or gcm-aes-xpn-256
    #[arg(long, value_name = "NAME", default_value = "gcm-aes-xpn-256")]
    pub cipher_suite: CipherSuite,

    /// Static keys instead of MKA: nothing is agreed on, rotated or restarted
    #[arg(long = "static")]
    pub static_keys: bool,

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

/// Tells the demo's story, and gathers what everyone saw: the gateways start, the clouds talk, the
/// attacker strikes; with MKA, SAKs and the CAK are replaced meanwhile, then one end gets a wrong CAK,
/// and at last a gateway is killed and started again.
fn observe(options: &Options, program: &Path, topology: &Topology) -> io::Result<Observed> {
    // First, so that nothing is sent that they do not see.
    let taps = WireTaps::open(topology)?;
    // The gateways end before the guard does, which they belong to.
    let guard = Guard::start(program)?;
    if options.static_keys {
        files::write_static(guard.directory(), options.cipher_suite)?;
    } else {
        files::write_mka(guard.directory(), options.cipher_suite)?;
    }
    if !options.json {
        print_picture(options);
    }
    let spawn = |end| Gateway::spawn(end, topology, &guard);
    let mut gateways = [spawn(End::A)?, spawn(End::B)?];
    gateway::wait_until_secured(&mut gateways)?;
    let up = gateways[End::B as usize].age();
    if !options.json && !options.static_keys {
        println!("  both ends secured by MKA, {} ms from cold", up.as_millis());
        println!();
    }

    let shared = Shared::default();
    let (talked, wire) =
        taps.listen(&shared, || talk(options, topology, &mut gateways, &shared))?;
    let mut observed = Observed {
        cipher_suite: options.cipher_suite.name().to_owned(),
        seconds: talked.duration.as_secs_f64(),
        attacks: talked.attacks,
        wire,
        traffic: talked.traffic,
        gateways: talked.gateways,
        mka: None,
    };
    if !options.static_keys {
        let ((fallen_back, recovered), wire) =
            talked.next_taps.listen(&Shared::default(), || {
                let fallen_back = fallback::fall_back(topology, &mut gateways)?;
                if let (false, Some(took)) = (options.json, fallen_back.took) {
                    println!();
                    println!(
                        "  gateway B got a wrong CAK: both ends use the fallback after {} ms",
                        took.as_millis()
                    );
                }
                let a = &mut gateways[End::A as usize];
                Ok((fallen_back, restart(topology, &guard, a)?))
            })?;
        if let (false, Some(recovered)) = (options.json, recovered) {
            let ms = recovered.as_millis();
            println!("  gateway A killed and started again: datagrams pass after {ms} ms");
        }
        observed.mka = Some(MkaObserved {
            up,
            rotations: talked.rotations,
            required_rotations: rotation::required(options.seconds),
            rolls: talked.rolls,
            required_rolls: rotation::required_rolls(options.seconds),
            fallen_back,
            recovered,
            wire,
        });
    }
    Ok(observed)
}

/// What came of the talk.
struct Talked {
    duration: Duration,
    traffic: TrafficResult,
    attacks: Attacks,
    rotations: u32,
    rolls: u32,
    gateways: [Status; 2],
    /// For what comes next: opened before the talk's are closed, so that nothing is missed.
    next_taps: WireTaps,
}

/// Lets the clouds talk for as long as the options say; meanwhile the attacker strikes, and SAKs
/// make way for others.
fn talk(
    options: &Options,
    topology: &Topology,
    gateways: &mut [Gateway; 2],
    shared: &Shared,
) -> io::Result<Talked> {
    let duration = Duration::from_secs(options.seconds.into());
    let mut attacker = Attacker::open(topology)?;
    let mut rotations = Rotations::new(duration)?;
    let traffic = Traffic::connect(topology)?;
    let control = Control::default();
    let (elapsed, traffic) = thread::scope(|scope| {
        let start = Instant::now();
        let traffic = scope.spawn(|| traffic.run(&control));
        let mut next_strike = STRIKE_INTERVAL;
        let mut next_report = Duration::from_secs(1);
        let mut go_on = |elapsed: Duration| {
            // None in the last moments: an old frame must have been followed by others.
            if elapsed >= next_strike && elapsed + STRIKE_INTERVAL < duration {
                next_strike = elapsed + STRIKE_INTERVAL;
                attacker.strike(shared)?;
            }
            if elapsed >= next_report {
                next_report += Duration::from_secs(1);
                if !options.json {
                    print_progress(elapsed, &gateway::statuses(gateways)?, attacker.attacks());
                }
            }
            if !options.static_keys
                && let Some((kind, took)) = rotations.go_on(elapsed, gateways)?
                && !options.json
            {
                print_rotation(elapsed, rotations.done(), kind, took);
            }
            Ok(())
        };
        let mut result = Ok(());
        while result.is_ok() && start.elapsed() < duration && !traffic.is_finished() {
            thread::sleep(TICK);
            result = go_on(start.elapsed());
        }
        let elapsed = start.elapsed();
        control.stop.store(true, Ordering::Relaxed);
        let traffic =
            traffic.join().map_err(|_| io::Error::other("the traffic thread panicked"))?;
        result.and(traffic).map(|traffic| (elapsed, traffic))
    })?;
    Ok(Talked {
        duration: elapsed,
        traffic,
        attacks: attacker.attacks(),
        rotations: rotations.done(),
        rolls: rotations.rolls(),
        gateways: gateway::settle(gateways)?,
        next_taps: WireTaps::open(topology)?,
    })
}

/// Kills a gateway and starts it again. Says how long it took from there until datagrams came
/// through both ways, if they did.
fn restart(
    topology: &Topology,
    guard: &Guard,
    gateway: &mut Gateway,
) -> io::Result<Option<Duration>> {
    gateway.kill()?;
    *gateway = Gateway::spawn(gateway.end(), topology, guard)?;
    let through = traffic::get_through(topology, RECOVERY_TIMEOUT)?;
    Ok(through.then(|| gateway.age()))
}

fn print_picture(options: &Options) {
    let [a, b] = End::BOTH.map(End::address);
    println!();
    println!("   cloud A         edge A                      edge B         cloud B");
    println!("  {a} -- TAP -- gw ==== {:^16} ==== gw -- TAP -- {b}", options.cipher_suite);
    println!("                                  ^ attacker");
    println!();
}

fn print_progress(elapsed: Duration, [a, b]: &[Status; 2], attacks: Attacks) {
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

fn print_rotation(elapsed: Duration, number: u32, kind: Kind, took: Duration) {
    let what = match kind {
        Kind::Sak => "the former SAK is gone",
        Kind::Cak => "CAK rolled, the former is gone",
    };
    println!(
        "  {:>3} s   rotation {number}: {what}, {:.1} s after the request",
        elapsed.as_secs(),
        took.as_secs_f64()
    );
}

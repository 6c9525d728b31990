//! `cargo xtask interop`: our gateway against a peer that we have not written, the macsec driver of Debian's kernel.
//!
//! ```text
//!      this machine                                         a virtual machine
//!  station --- TAP --- macsec run ======= wire ======== eth0 --- macsec0 --- station
//!        our network namespace, or the wire    |            the guest
//!        in the private one of the daemon      '-- QEMU, which captures what passes
//! ```
//!
//! Our end is the daemon itself, started for each case with a configuration file of its own, and asked through its
//! control socket. The wire is its uplink: QEMU holds the TAP by a file descriptor, which stays good when the
//! interface is moved to the daemon's private namespace.
//!
//! The guest boots once for all cases. An agent in it, this very program, sets up the kernel's SecY and sends and
//! receives at its station as it is told. In the cases with MKA it is Debian's wpa_supplicant that sets up the SecY:
//! see [`mka`].
//!
//! Daemon and virtual machine die with the thread that has started them, and our namespace has no name, so nothing
//! is left when this process ends. If it is killed, a name below `/run/netns` and a directory of files are.

mod agent;
mod capture;
mod case;
mod cpio;
mod ends;
mod frames;
mod gateway;
mod guest;
mod image;
mod kernel;
mod keys;
mod mka;
mod restart;
mod station;
mod stream;
mod trial;
mod udp;
mod way;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Instant,
};

use clap::Args;
use macsec_io::{netlink::Netlink, netns::Namespace, sysctl, tap::Tap};

pub(crate) use agent::run as guest_agent;
use case::Case;
use gateway::Site;
pub(crate) use gateway::build as build_gateway;
use guest::Guest;
use image::Image;
use trial::Bed;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Counters under their names in 802.1AE-2018.
type Counts = BTreeMap<&'static str, u64>;

/// Which cases to run.
#[derive(Args)]
pub(crate) struct Options {
    /// Run these cases only
    names: Vec<String>,
    /// Name the cases and run none
    #[arg(long)]
    list: bool,
}

/// Runs the cases asked for. `true`: all have passed.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let source = source_directory();
    let mut trials: Vec<_> =
        Case::all(&source.join("cases.toml"))?.into_iter().map(Trial::StaticKeys).collect();
    trials.extend(mka::Case::all().into_iter().map(Trial::Mka));
    if let Some(name) = options.names.iter().find(|name| trials.iter().all(|t| t.name() != **name))
    {
        return Err(format!("there is no case {name}: see --list").into());
    }
    trials.retain(|trial| {
        options.names.is_empty() || options.names.iter().any(|name| name == trial.name())
    });
    if options.list {
        trials.iter().for_each(|trial| println!("{}", trial.name()));
        return Ok(true);
    }
    let directory = target_directory()?.join("interop");
    let image = Image::build(&directory, &source)?;
    if !image.has_supplicant && trials.iter().any(Trial::is_mka) {
        println!("WARNING: SKIPPED the cases with MKA: there is no {}", image::SUPPLICANT);
        trials.retain(|trial| !trial.is_mka());
    }
    let site = Site::new(&directory.join("run"))?;
    let edge = Namespace::new()?;
    // Guest and daemon must not outlive the thread that starts them, so that thread does everything.
    edge.run(|| run_in_edge(&trials, site, &image, &directory.join("run")))?
}

/// A case of either kind.
enum Trial {
    StaticKeys(Case),
    Mka(mka::Case),
}

impl Trial {
    fn name(&self) -> &str {
        match self {
            Self::StaticKeys(case) => &case.name,
            Self::Mka(case) => case.name,
        }
    }

    const fn is_mka(&self) -> bool {
        matches!(self, Self::Mka(_))
    }

    /// Tries it, and returns what is not as it should be.
    fn run(&self, bed: &mut Bed) -> Result<Vec<String>> {
        match self {
            Self::StaticKeys(case) => bed.try_case(case),
            Self::Mka(case) => case.run(bed),
        }
    }
}

/// Where the guest's files and the table are.
fn source_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../macsec-gateway/tests/interop")
}

/// Where Cargo builds, of which this program is a product.
pub(crate) fn target_directory() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(2).ok_or("this program is in no directory of Cargo's")?;
    Ok(target.to_owned())
}

fn run_in_edge(trials: &[Trial], site: Site, image: &Image, directory: &Path) -> Result<bool> {
    let begin = Instant::now();
    // The host must have nothing to say, neither on the wire nor on the daemon's TAP.
    sysctl::disable_ipv6_everywhere()?;
    let wire = Tap::create(gateway::WIRE)?;
    let mut netlink = Netlink::open()?;
    netlink.set_mac(gateway::WIRE, gateway::MAC)?;
    netlink.set_up(gateway::WIRE)?;
    let guest = Guest::boot(image, wire, directory)?;
    println!("Linux {} is up in {:.1} s", image.version, begin.elapsed().as_secs_f32());

    let mut bed = Bed { site, guest, capture: directory.join("wire.pcap"), notes: Vec::new() };
    let (mut passed, mut failed) = (0, 0);
    for trial in trials {
        let begin = Instant::now();
        let faults = trial.run(&mut bed).unwrap_or_else(|error| vec![error.to_string()]);
        let verdict = if faults.is_empty() { "ok" } else { "FAILED" };
        println!("{verdict:6}  {:32} {:5.1} s", trial.name(), begin.elapsed().as_secs_f32());
        let lines = bed.notes.drain(..).chain(faults.iter().cloned());
        lines.for_each(|line| println!("        {line}"));
        if faults.is_empty() {
            passed += 1;
        } else {
            failed += 1;
        }
    }
    if failed > 0 {
        println!("logs of both ends and what was on the wire: {}", directory.display());
    }
    println!("interop: {passed} passed, {failed} failed");
    Ok(failed == 0 && passed > 0)
}

//! `cargo xtask interop`: our gateway against a peer that we have not written, the macsec driver of Debian's kernel.
//!
//! ```text
//!      this machine                                        a virtual machine
//!  station --- TAP --- gateway ======= wire ======== eth0 --- macsec0 --- station
//!          cloud    |            edge            |          the guest
//!          (network namespaces of our own)       '-- QEMU, which captures what passes
//! ```
//!
//! The guest boots once for all cases. An agent in it, this very program, sets up the kernel's SecY and sends and
//! receives at its station as it is told. Everything is gone when this process ends, however it ends: the
//! namespaces have no names, and the virtual machine dies with the thread that started it.

mod agent;
mod capture;
mod case;
mod cpio;
mod frames;
mod gateway;
mod guest;
mod image;
mod kernel;
mod keys;
mod station;
mod trial;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Instant,
};

use clap::Args;
use macsec_io::{netlink::Netlink, netns::Namespace, offload, sysctl, tap::Tap};

pub(crate) use agent::run as guest_agent;
use case::Case;
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
    /// Run the cases that CI runs
    #[arg(long, conflicts_with = "names")]
    short: bool,
    /// Name the cases and run none
    #[arg(long)]
    list: bool,
}

/// Runs the cases asked for. `true`: all have passed.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let source = source_directory();
    let mut cases = Case::all(&source.join("cases.toml"))?;
    if let Some(name) = options.names.iter().find(|name| cases.iter().all(|c| c.name != **name)) {
        return Err(format!("there is no case {name}: see --list").into());
    }
    cases.retain(|case| {
        (options.names.is_empty() || options.names.contains(&case.name))
            && (case.short || !options.short)
    });
    if options.list {
        cases.iter().for_each(|case| println!("{}", case.name));
        return Ok(true);
    }
    let directory = output_directory()?;
    let image = Image::build(&directory, &source)?;
    let edge = Namespace::new()?;
    // The guest must not outlive the thread that boots it, so that thread does everything.
    edge.run(|| run_in_edge(&cases, &image, &directory.join("run")))?
}

/// Where the guest's files and the table are.
fn source_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../macsec-gateway/tests/interop")
}

/// Where Cargo builds, of which this program is a product.
fn output_directory() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(2).ok_or("this program is in no directory of Cargo's")?;
    Ok(target.join("interop"))
}

fn run_in_edge(cases: &[Case], image: &Image, directory: &Path) -> Result<bool> {
    let begin = Instant::now();
    let wire = Tap::create(trial::WIRE)?;
    sysctl::disable_ipv6(trial::WIRE)?;
    offload::disable_all(trial::WIRE)?;
    let mut netlink = Netlink::open()?;
    netlink.set_mac(trial::WIRE, gateway::MAC)?;
    netlink.set_arp(trial::WIRE, false)?;
    netlink.set_up(trial::WIRE)?;
    let guest = Guest::boot(image, wire, directory)?;
    println!("Linux {} is up in {:.1} s", image.version, begin.elapsed().as_secs_f32());

    let cloud = Namespace::new()?;
    let mut bed = Bed { cloud, netlink, guest, capture: directory.join("wire.pcap") };
    let (mut passed, mut failed) = (0, 0);
    for case in cases {
        let begin = Instant::now();
        let faults = match bed.try_case(case) {
            Ok(faults) => faults,
            Err(error) => vec![error.to_string()],
        };
        let verdict = if faults.is_empty() { "ok" } else { "FAILED" };
        println!("{verdict:6}  {:32} {:5.1} s", case.name, begin.elapsed().as_secs_f32());
        faults.iter().for_each(|fault| println!("        {fault}"));
        if faults.is_empty() {
            passed += 1;
        } else {
            failed += 1;
        }
    }
    if failed > 0 {
        println!("logs of the guest and what was on the wire: {}", directory.display());
    }
    println!("interop: {passed} passed, {failed} failed");
    Ok(failed == 0 && passed > 0)
}

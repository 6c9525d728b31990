//! `macsec run`: the gateway as a daemon.
//!
//! ```text
//!   main thread            control socket, signals, reload, watchdog
//!   one thread a port      frames, and all that the port stands on: see `runner`
//!   one thread a port      packet numbers on record, if the keys are static: see `pn_store`
//!   one thread a port      agrees keys, if there is MKA: see `kay_thread`
//!   one thread a port      keys on record, if there is MKA: see `kay_journal`
//!   one resident thread    in the private namespace: see `macsec_io::netns::Resident`
//!   one thread             writes the log: see `logging`
//! ```
//!
//! A port's thread never waits for the main thread.

mod kay_journal;
mod kay_messages;
mod kay_ring;
mod kay_thread;
mod key_guards;
mod key_operations;
mod key_stores;
mod keys;
mod logging;
mod order_gate;
mod plan;
mod port_thread;
mod problem;
mod runner;
mod service;
mod signals;
mod surroundings;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;
use tracing::{info, level_filters::LevelFilter};

pub use self::logging::Format;
use self::{logging::Log, surroundings::Surroundings};
use crate::{config::Config, exit, privileges};

/// Options of `macsec run`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "/etc/macsec/macsec.toml")]
    pub config: PathBuf,

    /// Capture both sides of every port to this file (pcapng); it holds user data in clear
    #[arg(long, value_name = "FILE")]
    pub pcap: Option<PathBuf>,

    /// How to write the log, which goes to standard error
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub log_format: Format,

    /// How much to log: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log_level: LevelFilter,
}

/// Runs the gateway until a signal ends it. Exit code 2 if it cannot start.
#[must_use]
pub fn run(options: &Options) -> ExitCode {
    let log = Log { format: options.log_format, level: options.log_level };
    let prepared = log.during(|| prepare(options));
    // Before a port has anything to say, and until the last has said it.
    let _writer = log.start();
    let service = prepared.and_then(|(config, surroundings)| {
        let service = service::Service::start(options, config, surroundings)?;
        info!(configuration = %options.config.display(), "gateway started");
        Ok(service)
    });
    match service {
        Ok(service) => service.run(),
        Err(reasons) => {
            for reason in reasons {
                // Nobody may be reading.
                let _ = writeln!(io::stderr(), "macsec run: {reason}");
            }
            ExitCode::from(exit::CANNOT_RUN)
        }
    }
}

/// Reads the configuration and does what takes privileges, all of which are gone afterwards but those
/// that ports need. Or says in one line each why not.
fn prepare(options: &Options) -> Result<(Config, Surroundings), Vec<String>> {
    let one = |reason: String| vec![reason];
    // Before there is a key in memory.
    privileges::harden().map_err(|error| one(error.to_string()))?;
    let loaded = Config::load(&options.config)
        .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let surroundings = Surroundings::new(&loaded.config).map_err(one)?;
    // Before there are other threads, which inherit what is left.
    privileges::drop_capabilities(privileges::RUNNING).map_err(|error| one(error.to_string()))?;
    // Root may read what is another user's; what is left of root may not.
    if let Err(faults) = Config::load(&options.config) {
        faults.iter().for_each(|fault| tracing::warn!("a reload will be refused: {fault}"));
    }
    Ok((loaded.config, surroundings))
}

//! `macsec check`: what a configuration file would do, or all that is wrong with it.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use crate::{config::Config, exit};

/// Options of `macsec check`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The configuration file
    pub file: PathBuf,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Checks the file and prints what was found.
#[must_use]
pub fn run(options: &Options) -> ExitCode {
    match Config::load(&options.file) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                eprintln!("{warning}");
            }
            ExitCode::SUCCESS
        }
        Err(faults) => {
            for fault in faults {
                eprintln!("{fault}");
            }
            ExitCode::from(exit::CANNOT_RUN)
        }
    }
}

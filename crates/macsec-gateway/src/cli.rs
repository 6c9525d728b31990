//! The command line of the binary `macsec`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{demo, keygen};

/// What went wrong, as an exit code: the job ran and something did not hold.
pub const EXIT_FAILED: u8 = 1;
/// What went wrong, as an exit code: wrong use, or something is missing to run at all.
pub const EXIT_CANNOT_RUN: u8 = 2;

/// MACsec (IEEE 802.1AE) in user space.
#[derive(Parser)]
#[command(name = "macsec", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show an encrypted link at work: two clouds, two gateways and an attacker on this machine
    Demo(demo::Options),
    /// Make fresh keys from the system's random number generator
    Keygen(keygen::Options),
    /// One gateway of the demo, started by it
    #[command(hide = true)]
    DemoGateway,
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Demo(options) => demo::run(&options),
        Command::Keygen(options) => keygen::run(&options),
        Command::DemoGateway => demo::worker::run(),
    }
}

/// Says in one line why the command cannot run.
#[must_use]
pub(crate) fn cannot_run(command: &str, reason: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("macsec {command}: {reason}");
    ExitCode::from(EXIT_CANNOT_RUN)
}

//! The command line of the binary `macsec`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{check, control, daemon, decode, demo, doctor, keygen};

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
    /// Run the gateway
    Run(daemon::Options),
    /// Show what a running gateway does
    Status(control::StatusOptions),
    /// Have a running gateway read its configuration again
    Reload(control::ReloadOptions),
    /// Have a running gateway make new SAKs, where it is the key server
    Rekey(control::RekeyOptions),
    /// The CAKs of a running gateway: list, add, activate, retire, rotate
    Keys(control::KeysOptions),
    /// Look for faults in a configuration file
    Check(check::Options),
    /// Look for what keeps a gateway from working, and say what to do
    Doctor(doctor::Options),
    /// Read MKA and MACsec in a capture, given the keys, and open the traffic
    Decode(decode::Options),
    /// Make fresh keys from the system's random number generator
    Keygen(keygen::Options),
    /// What cleans up after the demo, started by it
    #[command(hide = true)]
    DemoGuard,
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Demo(options) => demo::run(&options),
        Command::Run(options) => daemon::run(&options),
        Command::Status(options) => control::status(&options),
        Command::Reload(options) => control::reload(&options),
        Command::Rekey(options) => control::rekey(&options),
        Command::Keys(options) => control::keys(&options),
        Command::Check(options) => check::run(&options),
        Command::Doctor(options) => doctor::run(&options),
        Command::Decode(options) => decode::run(&options),
        Command::Keygen(options) => keygen::run(&options),
        Command::DemoGuard => demo::guard::run(),
    }
}

//! Tasks of this repository that are more than a command: `cargo xtask TASK`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod interop;
mod memory;
mod scale;
mod soak;
mod wpa;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Frames between our gateway and the macsec driver of Debian's kernel, which runs under QEMU, with static keys
    /// and with wpa_supplicant's MKA
    ///
    /// Needs root, and what `.ci/interop-kernel --prepare` installs and fetches.
    Interop(interop::Options),
    /// MKA between our gateway and Debian's wpa_supplicant
    ///
    /// Needs root, and what `.ci/interop-wpa --prepare` installs.
    Wpa(wpa::Options),
    /// CPU time and memory of many participants in one thread, which have nothing to do but their hellos
    ///
    /// Build it with `--release`: cargo run --release -p xtask -- scale
    Scale(scale::Options),
    /// Many CAK rolls and SAK rotations while two clouds talk through gateways, without a lost frame
    ///
    /// Needs root. What is asked for by default takes about 80 minutes.
    Soak(soak::Options),
    /// What runs in the guest
    #[command(hide = true)]
    GuestAgent {
        /// Where requests come from and answers go to
        port: std::path::PathBuf,
        /// Where the output of programs goes to
        log: std::path::PathBuf,
    },
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Interop(options) => interop::run(&options),
        Task::Wpa(options) => wpa::run(&options),
        Task::Scale(options) => scale::run(&options),
        Task::Soak(options) => soak::run(&options),
        Task::GuestAgent { port, log } => interop::guest_agent(&port, &log).map(|()| true),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::from(2)
        }
    }
}

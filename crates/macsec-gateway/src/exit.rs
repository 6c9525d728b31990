//! How the binary ends when something is wrong.

use std::{fmt::Display, process::ExitCode};

/// The job ran, and something did not hold.
pub const FAILED: u8 = 1;
/// Wrong use, or something is missing to run at all.
pub const CANNOT_RUN: u8 = 2;

/// Says in one line why `command` cannot run.
pub(crate) fn cannot_run(command: &str, reason: &dyn Display) -> ExitCode {
    eprintln!("macsec {command}: {reason}");
    ExitCode::from(CANNOT_RUN)
}

//! What the tests of this crate share. Each of them uses a part of it.
#![allow(dead_code, unreachable_pub)]

use std::{
    io::Write,
    process::{Command, Output},
    sync::atomic::{AtomicBool, Ordering},
};

/// The exit code for "cannot run here".
pub const CANNOT_RUN: i32 = 2;

/// Runs the binary `macsec` with `arguments`.
pub fn macsec(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_macsec"))
        .args(arguments)
        .output()
        .expect("the binary has been built")
}

/// Standard output as text.
pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// Standard error as text.
pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

/// Says that a test cannot run for lack of privileges. Where it has to run, that is a failure.
pub fn skip(reason: &str) {
    let ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    assert!(!ci, "must run in CI: {reason}");
    // Not by `eprintln!`, which the test harness keeps to itself when a test passes.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {reason}");
}

/// Has the threads of a test end when it does, however it does.
pub struct StopAtEnd<'a>(pub &'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

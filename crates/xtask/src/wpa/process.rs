//! A process in the namespace of an end.

use std::{
    fs::OpenOptions,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use macsec_io::netns::Resident;
use rustix::process::{Pid, Signal, kill_process};

use super::{Result, wait_for};

/// How long it may take to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a process is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// As an operator does it.
    Terminated,
    /// As a crash does it.
    Killed,
}

/// A process. Dropping it kills it; so does the end of the thread in the namespace.
pub(super) struct Process(Child);

impl Process {
    /// Starts `program` with `arguments` in the namespace of `resident`. What it says is added to
    /// `log`.
    pub(super) fn start(
        resident: &Resident,
        program: &Path,
        arguments: &[&str],
        log: &Path,
    ) -> Result<Self> {
        let log = OpenOptions::new().create(true).append(true).open(log)?;
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let child = resident.run(move || command.spawn());
        Ok(Self(child.map_err(|error| format!("setpriv: {error}"))?))
    }

    /// Whether it has ended by itself.
    pub(super) fn has_ended(&mut self) -> bool {
        self.0.try_wait().is_ok_and(|status| status.is_some())
    }

    /// Ends it, and waits until it has.
    pub(super) fn end(mut self, how: Ending) -> Result<ExitStatus> {
        if let Some(status) = self.0.try_wait()? {
            return Err(format!("it had ended already: {status}").into());
        }
        let signal = match how {
            Ending::Terminated => Signal::TERM,
            Ending::Killed => Signal::KILL,
        };
        kill_process(Pid::from_child(&self.0), signal)?;
        wait_for("its end", PATIENCE, || Ok(self.0.try_wait()?))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

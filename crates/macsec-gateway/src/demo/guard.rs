//! Whatever becomes of the demo, none of its processes and files stays behind.
//!
//! A demo that is killed cannot clean up after itself. So a process of its own, the guard, makes
//! the private directory, and waits at its standard input for the demo to end, be it well or not.
//! The gateways are in the guard's process group: the guard ends what is left of them, and removes
//! the directory that it has made, and no other. That they are in no group of a terminal's keeps
//! Ctrl-C from reaching some of them before others.

use std::{
    env,
    ffi::OsString,
    fs::{self, DirBuilder},
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::DirBuilderExt,
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitCode, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use rustix::process::{Signal, getpgrp, kill_process_group};
use signal_hook::{consts::SIGTERM, flag};

use crate::exit;

/// In memory: keys do not get to a disk, and packet numbers do not wait for one.
const MEMORY: &str = "/dev/shm";
/// What the demo says when it has ended its gateways itself.
const GOOD_BYE: &[u8] = b"done";
/// How long gateways of a demo that was killed may take to end.
const GRACE: Duration = Duration::from_secs(1);

/// The guard, seen from the demo. Dropping it removes the directory; end the gateways first.
pub struct Guard {
    program: PathBuf,
    process: Child,
    input: Option<ChildStdin>,
    directory: PathBuf,
}

impl Guard {
    /// Starts the guard, and waits until it has made the directory. `program` is this program.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn start(program: &Path) -> io::Result<Self> {
        let mut process = Command::new(program)
            .arg("demo-guard")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let input = process.stdin.take();
        let output = process.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut line = Vec::new();
        BufReader::new(output).read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Err(io::Error::other("no directory for temporary files can be made"));
        }
        let (program, directory) = (program.to_owned(), OsString::from_vec(line).into());
        Ok(Self { program, process, input, directory })
    }

    /// The private directory, which only its owner may look into.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// This program, to be run in the guard's care.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.process_group(self.process.id().cast_signed());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // If the guard has gone, there is nobody left to tell.
        if let Some(mut input) = self.input.take() {
            let _ = input.write_all(GOOD_BYE);
        }
        let _ = self.process.wait();
    }
}

/// The guard process itself.
#[must_use]
pub fn run() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::cannot_run("demo-guard", &error),
    }
}

fn serve() -> io::Result<()> {
    // It is in the group that it sends this to.
    flag::register(SIGTERM, Arc::default())?;
    let directory = make_directory()?;
    let mut heard = Vec::new();
    let told = io::stdout().write_all(&[directory.as_os_str().as_bytes(), b"\n"].concat());
    let listened = told.and_then(|()| io::stdin().read_to_end(&mut heard));
    if listened.is_err() || heard != GOOD_BYE {
        let _ = kill_process_group(getpgrp(), Signal::TERM);
        thread::sleep(GRACE);
    }
    let removed = fs::remove_dir_all(&directory);
    if heard != GOOD_BYE {
        // Itself, too.
        let _ = kill_process_group(getpgrp(), Signal::KILL);
    }
    removed
}

fn make_directory() -> io::Result<PathBuf> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let name = format!("macsec-demo-{}", hex::encode(random));
    let make = |parent: &Path| {
        let path = parent.join(&name);
        DirBuilder::new().mode(0o700).create(&path).map(|()| path)
    };
    make(Path::new(MEMORY)).or_else(|_| make(&env::temp_dir()))
}

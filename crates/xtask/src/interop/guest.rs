//! The guest: a virtual machine with Debian's kernel, and what the host asks of it.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    os::fd::{AsFd, AsRawFd},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use macsec_io::tap::Tap;
use rustix::io::{FdFlags, fcntl_setfd};

use super::{
    Result,
    agent::{Answer, Ending, Request},
    frames::Frames,
    image::Image,
    station,
    stream::Streamed,
};

/// The MAC address of the guest's `eth0`.
pub(super) const MAC: [u8; 6] = [0x02, 0x4d, 0x53, 0, 0, 2];

/// Two seconds are usual.
const BOOT_PATIENCE: Duration = Duration::from_secs(120);

/// A guest that runs. Dropping it ends the virtual machine; so does the end of this process.
pub(super) struct Guest {
    qemu: Child,
    requests: ChildStdin,
    answers: Receiver<String>,
    /// What was asked, and what was answered.
    log: File,
    directory: PathBuf,
}

impl Guest {
    /// Boots the guest with `wire` as what its network card is plugged into. Logs and a capture of the
    /// wire go to `directory`.
    ///
    /// The calling thread must live as long as the guest: its end is what ends the virtual machine
    /// when nobody is left to do it.
    pub(super) fn boot(image: &Image, wire: Tap, directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory)?;
        let log = File::create(directory.join("guest.log"))?;
        // Nobody else starts programs while the descriptor can be inherited.
        fcntl_setfd(wire.as_fd(), FdFlags::empty())?;
        let mut qemu = Command::new("setpriv");
        qemu.args(["--pdeathsig", "KILL", "--", "qemu-system-x86_64"])
            .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"])
            // Emulated, so that it runs on every machine.
            .args(["-machine", "q35", "-accel", "tcg", "-cpu", "max", "-m", "256"])
            .arg("-kernel")
            .arg(&image.kernel)
            .arg("-initrd")
            .arg(&image.initramfs)
            .args(["-append", "console=ttyS0 loglevel=5 panic=-1"])
            .arg("-serial")
            .arg(format!("file:{}", directory.join("console.log").display()))
            .args(["-chardev", "stdio,id=agent,signal=off", "-device", "virtio-serial-pci"])
            .args(["-device", "virtserialport,chardev=agent,name=agent,nr=1"])
            .arg("-chardev")
            .arg(format!("file,id=log,path={}", directory.join("wpa.log").display()))
            .args(["-device", "virtserialport,chardev=log,name=log,nr=2"])
            .arg("-netdev")
            .arg(format!("tap,id=wire,fd={}", wire.as_fd().as_raw_fd()))
            .arg("-device")
            .arg(format!("virtio-net-pci,netdev=wire,mac={},romfile=", colons(MAC)))
            .arg("-object")
            .arg(format!(
                "filter-dump,id=dump,netdev=wire,file={}",
                directory.join("wire.pcap").display()
            ))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(directory.join("qemu.log"))?);
        let mut qemu = qemu.spawn().map_err(|error| format!("setpriv: {error}"))?;
        drop(wire);
        let requests = qemu.stdin.take().ok_or("no standard input")?;
        let output = qemu.stdout.take().ok_or("no standard output")?;
        let (sender, answers) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(std::result::Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut guest = Self { qemu, requests, answers, log, directory: directory.to_owned() };
        match guest.answer(BOOT_PATIENCE)? {
            Answer::Ready => Ok(guest),
            other => Err(format!("the guest says {other:?}").into()),
        }
    }

    /// Runs `ip` with these words, and returns what it says.
    pub(super) fn ip(&mut self, arguments: &str) -> Result<String> {
        self.ask(&Request::Ip(arguments.split_whitespace().map(str::to_owned).collect()))
    }

    /// Sends and receives on `interface` from now on.
    pub(super) fn open(&mut self, interface: &str) -> Result<()> {
        self.ask(&Request::Open(interface.to_owned())).map(drop)
    }

    /// Sends `frames`.
    pub(super) fn send(&mut self, frames: &Frames) -> Result<()> {
        self.ask(&Request::Send(frames.clone())).map(drop)
    }

    /// Puts `frames` on the wire, past the SecY.
    pub(super) fn inject(&mut self, frames: &[Vec<u8>]) -> Result<()> {
        let frames = frames.iter().map(hex::encode).collect();
        self.ask(&Request::Inject("eth0".to_owned(), frames)).map(drop)
    }

    /// Receives `frames`, and says in what they differ.
    pub(super) fn receive(&mut self, frames: &Frames) -> Result<Option<String>> {
        let difference = self.ask(&Request::Receive(frames.clone()))?;
        Ok(Some(difference).filter(|difference| !difference.is_empty()))
    }

    /// Answers datagrams from now on, until the guest ends.
    pub(super) fn echo(&mut self) -> Result<()> {
        self.ask(&Request::Echo).map(drop)
    }

    /// Writes a file.
    pub(super) fn write(&mut self, path: &str, text: &str) -> Result<()> {
        self.ask(&Request::Write(path.to_owned(), text.to_owned())).map(drop)
    }

    /// Starts a program, the only one that runs. What it says goes to `wpa.log`.
    pub(super) fn start(&mut self, command: &str) -> Result<()> {
        let words = command.split_whitespace().map(str::to_owned).collect();
        self.ask(&Request::Start(words)).map(drop)
    }

    /// Ends that program.
    pub(super) fn end(&mut self, how: Ending) -> Result<()> {
        self.ask(&Request::End(how)).map(drop)
    }

    /// Sends and receives numbered frames on `interface` from now on.
    pub(super) fn stream(&mut self, interface: &str, destination: [u8; 6]) -> Result<()> {
        self.ask(&Request::Stream(interface.to_owned(), MAC, destination)).map(drop)
    }

    /// Ends that, and returns what came of it.
    pub(super) fn streamed(&mut self) -> Result<Streamed> {
        Ok(serde_json::from_str(&self.ask(&Request::Streamed)?)?)
    }

    /// Begins a part of the log, if the guest still runs.
    pub(super) fn begin(&mut self, title: &str) -> Result<()> {
        match self.qemu.try_wait()? {
            Some(_) => Err(self.gone("it has ended").into()),
            None => self.note(&format!("# {title}")),
        }
    }

    /// Writes a line into the log.
    fn note(&mut self, line: &str) -> Result<()> {
        Ok(writeln!(self.log, "{line}")?)
    }

    fn ask(&mut self, request: &Request) -> Result<String> {
        let line = serde_json::to_string(request)?;
        self.note(&format!("> {line}"))?;
        writeln!(self.requests, "{line}").map_err(|error| self.gone(&error.to_string()))?;
        match self.answer(2 * station::PATIENCE)? {
            Answer::Done(result) => Ok(result),
            Answer::Failed(reason) => Err(reason.into()),
            Answer::Ready => Err("the guest has started again".into()),
        }
    }

    fn answer(&mut self, patience: Duration) -> Result<Answer> {
        let line = self.answers.recv_timeout(patience).map_err(|error| {
            self.gone(match error {
                RecvTimeoutError::Timeout => "it does not answer",
                RecvTimeoutError::Disconnected => "it has ended",
            })
        })?;
        self.note(&format!("< {line}"))?;
        Ok(serde_json::from_str(&line)?)
    }

    fn gone(&self, reason: &str) -> String {
        format!("the guest: {reason}; see {}", self.directory.display())
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// A MAC address as `ip` and QEMU take it.
pub(super) fn colons(mac: [u8; 6]) -> String {
    mac.map(|octet| format!("{octet:02x}")).join(":")
}

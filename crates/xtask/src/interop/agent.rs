//! The agent in the guest: does what the host asks for, one request after the other.
//!
//! It is this very program, so both ends share the code that makes and checks frames. Requests and
//! answers are lines of JSON on a virtio port; no frame goes that way.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command},
};

use rustix::process::{Pid, Signal, kill_process};

use serde::{Deserialize, Serialize};

use super::{
    Result,
    frames::Frames,
    image,
    station::{self, Station},
    stream::Stream,
    udp,
};

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// Run `ip` with these arguments, and answer what it says.
    Ip(Vec<String>),
    /// Send and receive on this interface from now on.
    Open(String),
    /// Send these.
    Send(Frames),
    /// Put these octets on the wire of this interface.
    Inject(String, Vec<String>),
    /// Receive these, and answer in what they differ.
    Receive(Frames),
    /// Answer datagrams from now on: see [`udp::echo`].
    Echo,
    /// Write this text to a file.
    Write(String, String),
    /// Run a program from now on.
    Start(Vec<String>),
    /// End that program.
    End(Ending),
    /// Send numbered frames on this interface from now on, from this address to that, and listen.
    Stream(String, [u8; 6], [u8; 6]),
    /// End that, and answer what came of it.
    Streamed,
}

/// How a program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Ending {
    /// By SIGTERM, as an operator ends it.
    Terminated,
    /// By SIGKILL, as a crash does.
    Killed,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// The agent runs; it says so once, unasked.
    Ready,
    /// Done, and this is the result.
    Done(String),
    /// It cannot be done.
    Failed(String),
}

/// Serves requests from `port` until it is closed. What programs say goes to `log`.
pub(crate) fn run(port: &Path, log: &Path) -> Result<()> {
    let mut output = File::options().read(true).write(true).open(port)?;
    let input = BufReader::new(output.try_clone()?);
    let log = File::options().write(true).open(log)?;
    let mut agent = Agent { log, station: None, program: None, stream: None };
    answer(&mut output, &Answer::Ready)?;
    for line in input.lines() {
        let result = match agent.serve(serde_json::from_str(&line?)?) {
            Ok(result) => Answer::Done(result),
            Err(error) => Answer::Failed(error.to_string()),
        };
        answer(&mut output, &result)?;
    }
    Ok(())
}

fn answer(output: &mut File, answer: &Answer) -> Result<()> {
    let line = serde_json::to_string(answer)? + "\n";
    Ok(output.write_all(line.as_bytes())?)
}

struct Agent {
    log: File,
    station: Option<Station>,
    program: Option<Child>,
    stream: Option<Stream>,
}

impl Agent {
    fn serve(&mut self, request: Request) -> Result<String> {
        match request {
            Request::Ip(arguments) => return ip(&arguments),
            Request::Open(interface) => self.station = Some(Station::open(&interface)?),
            Request::Send(frames) => self.station()?.send(&frames)?,
            Request::Inject(interface, frames) => {
                let frames: std::result::Result<Vec<_>, _> =
                    frames.iter().map(hex::decode).collect();
                station::inject(&interface, 0, frames?.into_iter())?;
            }
            Request::Receive(frames) => {
                return Ok(self.station()?.receive(&frames)?.unwrap_or_default());
            }
            Request::Echo => udp::echo()?,
            Request::Write(path, text) => fs::write(path, text)?,
            Request::Start(words) => self.start(&words)?,
            Request::End(how) => self.end(how)?,
            Request::Stream(interface, source, destination) => {
                self.stream = Some(Stream::start(Station::open(&interface)?, source, destination));
            }
            Request::Streamed => {
                let stream = self.stream.take().ok_or("there is no stream")?;
                return Ok(serde_json::to_string(&stream.end()?)?);
            }
        }
        Ok(String::new())
    }

    fn station(&mut self) -> Result<&mut Station> {
        self.station.as_mut().ok_or_else(|| "no interface is open".into())
    }

    fn start(&mut self, words: &[String]) -> Result<()> {
        // A case that has failed may have left one.
        if let Some(mut program) = self.program.take() {
            program.kill()?;
            program.wait()?;
        }
        let (name, arguments) = words.split_first().ok_or("no program is named")?;
        let mut program = Command::new(name);
        program.args(arguments).stdout(self.log.try_clone()?).stderr(self.log.try_clone()?);
        let program = program.spawn().map_err(|error| format!("{name}: {error}"))?;
        self.program = Some(program);
        Ok(())
    }

    fn end(&mut self, how: Ending) -> Result<()> {
        let mut program = self.program.take().ok_or("no program runs")?;
        if let Some(status) = program.try_wait()? {
            return Err(format!("it has ended by itself: {status}").into());
        }
        let signal = match how {
            Ending::Terminated => Signal::TERM,
            Ending::Killed => Signal::KILL,
        };
        kill_process(Pid::from_child(&program), signal)?;
        program.wait()?;
        Ok(())
    }
}

fn ip(arguments: &[String]) -> Result<String> {
    let output = Command::new(image::IP).args(arguments).output()?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    let reason = String::from_utf8_lossy(&output.stderr);
    Err(format!("ip {}: {}", arguments.join(" "), reason.trim()).into())
}

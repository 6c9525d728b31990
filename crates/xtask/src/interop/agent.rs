//! The agent in the guest: does what the host asks for, one request after the other.
//!
//! It is this very program, so both ends share the code that makes and checks frames. Requests and
//! answers are lines of JSON on a virtio port; no frame goes that way.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::Command,
};

use serde::{Deserialize, Serialize};

use super::{
    Result,
    frames::Frames,
    station::{self, Station},
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

/// Serves requests from `port` until it is closed.
pub(crate) fn run(port: &Path) -> Result<()> {
    let mut output = File::options().read(true).write(true).open(port)?;
    let input = BufReader::new(output.try_clone()?);
    let mut station = None;
    answer(&mut output, &Answer::Ready)?;
    for line in input.lines() {
        let result = match serve(serde_json::from_str(&line?)?, &mut station) {
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

fn serve(request: Request, station: &mut Option<Station>) -> Result<String> {
    let is_open = "no interface is open";
    match request {
        Request::Ip(arguments) => ip(&arguments),
        Request::Open(interface) => {
            *station = Some(Station::open(&interface)?);
            Ok(String::new())
        }
        Request::Send(frames) => {
            station.as_mut().ok_or(is_open)?.send(&frames)?;
            Ok(String::new())
        }
        Request::Inject(interface, frames) => {
            let frames: std::result::Result<Vec<_>, _> = frames.iter().map(hex::decode).collect();
            station::inject(&interface, 0, frames?.into_iter())?;
            Ok(String::new())
        }
        Request::Receive(frames) => {
            let difference = station.as_mut().ok_or(is_open)?.receive(&frames)?;
            Ok(difference.unwrap_or_default())
        }
        Request::Echo => {
            udp::echo()?;
            Ok(String::new())
        }
    }
}

fn ip(arguments: &[String]) -> Result<String> {
    let output = Command::new("/usr/sbin/ip").args(arguments).output()?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    let reason = String::from_utf8_lossy(&output.stderr);
    Err(format!("ip {}: {}", arguments.join(" "), reason.trim()).into())
}

//! `macsec status`.

use std::{io::Write, path::PathBuf, process::ExitCode, thread, time::Duration};

use clap::Args;

use super::{DEFAULT_SOCKET, Reply, Request, ask};
use crate::{
    exit,
    status::{Status, render},
};

/// Between two looks with `--watch`.
const INTERVAL: Duration = Duration::from_secs(1);
/// Clears a terminal and puts the cursor in its corner.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Options of `macsec status`.
#[derive(Args, Clone, Debug)]
pub struct StatusOptions {
    /// Only this port
    pub port: Option<String>,

    /// The control socket of the gateway
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    pub socket: PathBuf,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,

    /// Look again every second, until interrupted (with --json: one object a line)
    #[arg(long)]
    pub watch: bool,
}

/// Asks the gateway and prints what it says.
#[must_use]
pub fn status(options: &StatusOptions) -> ExitCode {
    loop {
        match look(options) {
            Ok(text) => {
                let clear = if options.watch && !options.json { CLEAR } else { "" };
                // Nobody may be reading any more: `macsec status | head`.
                if write!(std::io::stdout(), "{clear}{text}").is_err() {
                    return ExitCode::SUCCESS;
                }
            }
            Err(reason) => return exit::cannot_run("status", &reason),
        }
        if !options.watch {
            return ExitCode::SUCCESS;
        }
        let _ = std::io::stdout().flush();
        thread::sleep(INTERVAL);
    }
}

fn look(options: &StatusOptions) -> Result<String, String> {
    let mut status = match ask(&options.socket, &Request::Status) {
        Ok(Reply::Status(status)) => *status,
        Ok(Reply::Refused(reasons)) => return Err(reasons.join("; ")),
        Ok(Reply::NoAnswer) => return Err("the gateway does not answer".to_owned()),
        Ok(Reply::Changes(_) | Reply::Keys(_) | Reply::Key(_)) => {
            return Err("the gateway answers something else".to_owned());
        }
        Err(error) => return Err(error.to_string()),
    };
    if let Some(name) = &options.port {
        pick(&mut status, name)?;
    }
    if options.json {
        serde_json::to_string(&status).map(|json| json + "\n").map_err(|error| error.to_string())
    } else {
        Ok(render(&status))
    }
}

/// Leaves the one port that is asked for.
fn pick(status: &mut Status, name: &str) -> Result<(), String> {
    let names: Vec<_> = status.ports.iter().map(|port| port.name.clone()).collect();
    status.ports.retain(|port| port.name == name);
    if status.ports.is_empty() {
        return Err(format!("no port {name:?}: there are {}", names.join(", ")));
    }
    Ok(())
}

//! `macsec rekey`.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use super::{DEFAULT_SOCKET, Reply, Request, ask};
use crate::exit;

/// Options of `macsec rekey`.
#[derive(Args, Clone, Debug)]
pub struct RekeyOptions {
    /// Only this port [default: all with MKA]
    #[arg(long, value_name = "NAME")]
    pub port: Option<String>,

    /// The control socket of the gateway
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    pub socket: PathBuf,
}

/// Has the gateway make new SAKs. Exit code 1 if it cannot: only the key server of a session can.
#[must_use]
pub fn rekey(options: &RekeyOptions) -> ExitCode {
    match ask(&options.socket, &Request::Rekey { port: options.port.clone() }) {
        Ok(Reply::Changes(lines)) => {
            lines.iter().for_each(|line| println!("{line}"));
            ExitCode::SUCCESS
        }
        Ok(Reply::Refused(lines)) => {
            lines.iter().for_each(|line| eprintln!("macsec rekey: {line}"));
            ExitCode::from(exit::FAILED)
        }
        Ok(Reply::NoAnswer) => {
            eprintln!("macsec rekey: no answer in time; `macsec status` shows what has come of it");
            ExitCode::from(exit::FAILED)
        }
        Ok(Reply::Status(_) | Reply::Keys(_) | Reply::Key(_)) => {
            exit::cannot_run("rekey", &"the gateway answers something else")
        }
        Err(error) => exit::cannot_run("rekey", &error),
    }
}

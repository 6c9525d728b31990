//! `macsec reload`.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use super::{DEFAULT_SOCKET, Reply, Request, ask};
use crate::exit;

/// Options of `macsec reload`.
#[derive(Args, Clone, Debug)]
pub struct ReloadOptions {
    /// The control socket of the gateway
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    pub socket: PathBuf,

    /// Only say what would change, and what that would mean for traffic
    #[arg(long)]
    pub dry_run: bool,
}

/// Has the gateway read its configuration again. Exit code 1 if it refuses.
#[must_use]
pub fn reload(options: &ReloadOptions) -> ExitCode {
    match ask(&options.socket, &Request::Reload { dry_run: options.dry_run }) {
        Ok(Reply::Changes(lines)) => {
            if lines.is_empty() {
                println!("nothing has changed");
            }
            lines.iter().for_each(|line| println!("{line}"));
            ExitCode::SUCCESS
        }
        Ok(Reply::Refused(lines)) => {
            lines.iter().for_each(|line| eprintln!("macsec reload: {line}"));
            eprintln!("macsec reload: refused, nothing has changed");
            ExitCode::from(exit::FAILED)
        }
        Ok(Reply::NoAnswer) => {
            eprintln!(
                "macsec reload: no answer in time; `macsec status` shows what has come of it"
            );
            ExitCode::from(exit::FAILED)
        }
        Ok(Reply::Status(_) | Reply::Keys(_) | Reply::Key(_)) => {
            exit::cannot_run("reload", &"the gateway answers something else")
        }
        Err(error) => exit::cannot_run("reload", &error),
    }
}

//! `macsec keys`: the CAKs of a port that runs.

mod list;
mod request;
mod rotate;

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Subcommand};
use mka::Ckn;
use serde::Serialize;
use zeroize::Zeroizing;

use super::{DEFAULT_SOCKET, Reply, Request, ask};
use crate::{
    config::{MAX_KEY_TEXT, Timestamp, read_key_file},
    exit,
};

pub use request::{KeyAnswer, KeyOperation, KeyResult, PortKeys, RefusalCode, SecretText};

/// Options of `macsec keys`.
#[derive(Args, Clone, Debug)]
pub struct KeysOptions {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Subcommand, Clone, Debug)]
enum KeysCommand {
    /// Show the keys of ports, and how they fare
    List {
        /// Only this port [default: all with MKA]
        #[arg(long, value_name = "NAME")]
        port: Option<String>,
        #[command(flatten)]
        asking: Asking,
    },
    /// Add a key, beside those that there are
    Add {
        #[command(flatten)]
        key: KeyArgs,
        #[command(flatten)]
        cak: CakArgs,
        /// From when on it is valid, as 2026-12-01T00:00:00Z [default: now]
        #[arg(long, value_name = "TIME")]
        start: Option<Timestamp>,
        /// Until when it is valid [default: for ever]
        #[arg(long, value_name = "TIME")]
        end: Option<Timestamp>,
        /// Use it only while no other has a live peer
        #[arg(long)]
        fallback: bool,
        #[command(flatten)]
        asking: Asking,
        #[command(flatten)]
        dry: Dry,
    },
    /// Prefer a key that is live with every peer
    Activate {
        #[command(flatten)]
        key: KeyArgs,
        #[command(flatten)]
        asking: Asking,
        #[command(flatten)]
        dry: Dry,
    },
    /// Take a key out of use for good, while another is in use
    Retire {
        #[command(flatten)]
        key: KeyArgs,
        /// Even if it is in use, or nothing is known of the link; never the last key
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        asking: Asking,
        #[command(flatten)]
        dry: Dry,
    },
    /// Go over to a key: wait for its peers, activate it, wait for its use, retire the former
    Rotate {
        /// The port
        #[arg(long, value_name = "NAME")]
        port: String,
        /// The key to go over to
        #[arg(long, value_name = "HEX")]
        to: Ckn,
        /// How long it may take, in seconds
        #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = parse_seconds)]
        timeout: Duration,
        #[command(flatten)]
        asking: Asking,
        #[command(flatten)]
        dry: Dry,
    },
}

/// Which key.
#[derive(Args, Clone, Debug)]
struct KeyArgs {
    /// The port
    #[arg(long, value_name = "NAME")]
    port: String,
    /// The name of the CAK: 2 to 64 hexadecimal digits
    #[arg(long, value_name = "HEX")]
    ckn: Ckn,
}

/// Where the CAK is. Never on the command line, which everybody can see.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
struct CakArgs {
    /// A file with the CAK, 32 or 64 hexadecimal digits, that only its owner may read
    #[arg(long, value_name = "FILE")]
    cak_file: Option<PathBuf>,
    /// Read the CAK from standard input
    #[arg(long)]
    cak_stdin: bool,
}

/// Whom to ask, and how to answer.
#[derive(Args, Clone, Debug)]
struct Asking {
    /// The control socket of the gateway
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    socket: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Clone, Debug)]
struct Dry {
    /// Only say what would happen
    #[arg(long)]
    dry_run: bool,
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.strip_suffix('s').unwrap_or(text).parse::<u32>();
    let seconds = seconds.ok().filter(|seconds| (1..=86_400).contains(seconds));
    let seconds = seconds.ok_or("1 to 86400 seconds")?;
    Ok(Duration::from_secs(seconds.into()))
}

/// Does what is asked for. Exit code 1 if it is refused, or does not come about; 2 if nobody could
/// be asked.
#[must_use]
pub fn keys(options: &KeysOptions) -> ExitCode {
    match &options.command {
        KeysCommand::List { port, asking } => list::list(asking, port.as_deref()),
        KeysCommand::Add { key, cak, start, end, fallback, asking, dry } => {
            let cak = match read_cak(cak) {
                Ok(cak) => cak,
                Err(reason) => return exit::cannot_run("keys add", &reason),
            };
            operate(
                asking,
                &Request::KeyAdd {
                    port: key.port.clone(),
                    ckn: key.ckn.to_string(),
                    cak: SecretText(cak),
                    start: start.map(|at| at.to_string()),
                    end: end.map(|at| at.to_string()),
                    fallback: *fallback,
                    dry_run: dry.dry_run,
                },
            )
        }
        KeysCommand::Activate { key, asking, dry } => operate(
            asking,
            &Request::KeyActivate {
                port: key.port.clone(),
                ckn: key.ckn.to_string(),
                dry_run: dry.dry_run,
            },
        ),
        KeysCommand::Retire { key, force, asking, dry } => operate(
            asking,
            &Request::KeyRetire {
                port: key.port.clone(),
                ckn: key.ckn.to_string(),
                force: *force,
                dry_run: dry.dry_run,
            },
        ),
        KeysCommand::Rotate { port, to, timeout, asking, dry } => {
            rotate::Rotation::new(asking, port, *to, *timeout).run(dry.dry_run)
        }
    }
}

/// The digits of a CAK.
fn read_cak(from: &CakArgs) -> Result<Zeroizing<String>, String> {
    let text = match &from.cak_file {
        Some(file) => read_key_file(file)
            .map_err(|error| format!("--cak-file {}: a key file that {error}", file.display()))?,
        None => read_stdin().map_err(|error| format!("--cak-stdin: {error}"))?,
    };
    let text = str::from_utf8(text.trim_ascii());
    text.map(|text| Zeroizing::new(text.to_owned()))
        .map_err(|_| "the CAK: 32 or 64 hexadecimal digits".to_owned())
}

fn read_stdin() -> io::Result<Zeroizing<Vec<u8>>> {
    // With room for more than is read: a buffer that grows leaves copies behind.
    let mut text = Zeroizing::new(Vec::with_capacity(MAX_KEY_TEXT + 64));
    io::stdin().take(MAX_KEY_TEXT as u64).read_to_end(&mut text)?;
    Ok(text)
}

/// Has one operation carried out, and says what has come of it.
fn operate(asking: &Asking, request: &Request) -> ExitCode {
    let answer = match ask_key(&asking.socket, request) {
        Ok(answer) => answer,
        Err(reason) => return exit::cannot_run("keys", &reason),
    };
    if asking.json {
        print_json(&answer);
    } else {
        print(&answer);
    }
    match answer.result {
        KeyResult::Refused => ExitCode::from(exit::FAILED),
        _ => ExitCode::SUCCESS,
    }
}

fn print(answer: &KeyAnswer) {
    let KeyAnswer { operation, port, ckn, message, .. } = answer;
    let line = format!("port {port}: key {ckn}: {message}");
    match answer.result {
        KeyResult::Done => println!("{line}"),
        KeyResult::NothingToDo => println!("{line}; nothing to do"),
        KeyResult::WouldBeDone => println!("{line} (dry run: nothing has changed)"),
        KeyResult::Refused => eprintln!("macsec keys {}: refused: {line}", operation.name()),
    }
}

/// One line of JSON.
fn print_json(value: &impl Serialize) {
    match serde_json::to_string(value) {
        Ok(json) => println!("{json}"),
        Err(error) => eprintln!("macsec keys: {error}"),
    }
}

/// Asks for one operation.
fn ask_key(socket: &Path, request: &Request) -> Result<KeyAnswer, String> {
    match ask(socket, request).map_err(|error| error.to_string())? {
        Reply::Key(answer) => Ok(answer),
        Reply::Refused(reasons) => Err(reasons.join("; ")),
        Reply::NoAnswer => {
            Err("no answer in time; `macsec keys list` shows what has come of it".to_owned())
        }
        _ => Err("the gateway answers something else".to_owned()),
    }
}

/// Asks for the keys of ports.
fn ask_keys(socket: &Path, port: Option<&str>) -> Result<Vec<PortKeys>, String> {
    let request = Request::Keys { port: port.map(str::to_owned) };
    match ask(socket, &request).map_err(|error| error.to_string())? {
        Reply::Keys(ports) => Ok(ports),
        Reply::Refused(reasons) => Err(reasons.join("; ")),
        Reply::NoAnswer => Err("the gateway does not answer".to_owned()),
        _ => Err("the gateway answers something else".to_owned()),
    }
}

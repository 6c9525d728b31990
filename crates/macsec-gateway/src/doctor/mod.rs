//! `macsec doctor`: looks at the machine, the configuration and a running gateway, and says what
//! to do.
//!
//! | file | what it looks at |
//! |---|---|
//! | `machine` | privileges, clock, processor |
//! | `kernel` | what the kernel can do |
//! | `configuration` | the file, and whether it is in force |
//! | `state` | the records of packet numbers |
//! | `interface`, `mtu` | uplink and TAP |
//! | `running`, `mka` | what a port says of itself |
//! | `sample`, `counters` | what it counts |
//! | `finding`, `text` | what was found, and how it is shown |

mod configuration;
mod counters;
mod finding;
mod interface;
mod kernel;
mod machine;
mod mka;
mod mtu;
mod running;
mod sample;
mod state;
mod text;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use macsec::Sci;
use serde::Serialize;

pub use counters::counters;
pub use finding::{Finding, Level};
pub use sample::Sample;
pub use text::render;

use crate::{
    config::{Config, DEFAULT_CONTROL_SOCKET, DEFAULT_NAMESPACE, Isolation, PortConfig},
    control::{self, ControlError, Reply, Request},
    exit,
    status::{PortStatus, Status},
};

const DEFAULT_FILE: &str = "/etc/macsec/macsec.toml";
/// Between two looks at the counters.
const INTERVAL: Duration = Duration::from_secs(2);

/// Options of `macsec doctor`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Only this port
    pub port: Option<String>,

    /// The configuration file [default: that of the running gateway, or /etc/macsec/macsec.toml]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// The control socket of the gateway [default: as the configuration says]
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// The result, as `macsec doctor --json` prints it.
#[derive(Serialize)]
struct Verdict<'a> {
    findings: &'a [Finding],
}

/// Looks, and prints what was found. Exit code 1 if there is a problem.
#[must_use]
pub fn run(options: &Options) -> ExitCode {
    let findings = match examine(options) {
        Ok(findings) => findings,
        Err(reason) => return exit::cannot_run("doctor", &reason),
    };
    if options.json {
        match serde_json::to_string(&Verdict { findings: &findings }) {
            Ok(json) => println!("{json}"),
            Err(error) => return exit::cannot_run("doctor", &error),
        }
    } else {
        print!("{}", render(&findings));
    }
    let has_problem = findings.iter().any(|finding| finding.level == Level::Problem);
    if has_problem { ExitCode::from(exit::FAILED) } else { ExitCode::SUCCESS }
}

/// All findings, in the order of the checks. An error is that of whoever asks.
fn examine(options: &Options) -> Result<Vec<Finding>, String> {
    let mut file = options.config.clone().unwrap_or_else(|| DEFAULT_FILE.into());
    let mut loaded = Config::load(&file);
    let socket = options.socket.clone().unwrap_or_else(|| match &loaded {
        Ok(loaded) => loaded.config.control_socket.clone(),
        Err(_) => DEFAULT_CONTROL_SOCKET.into(),
    });
    let gateway = ask(&socket);
    if let (Ok(status), None) = (&gateway, &options.config) {
        let used = configuration_of(status);
        if used != file {
            loaded = Config::load(&used);
            file = used;
        }
    }
    let config = loaded.as_ref().ok().map(|loaded| &loaded.config);
    let running = gateway.as_ref().ok();
    let wanted = |name: &str| options.port.as_ref().is_none_or(|wanted| wanted == name);
    check_port_name(options.port.as_deref(), config, running)?;

    let mut findings = vec![reachable(&socket, &gateway, options.socket.is_some())];
    findings.extend(configuration::file(&file, &loaded));
    if running.is_some() {
        findings.extend(configuration::in_force(&socket));
    } else {
        // A gateway that runs has them.
        let privileges = machine::privileges();
        if privileges.level == Level::Ok {
            findings.extend(kernel::features(&isolations(config)));
        }
        findings.push(privileges);
    }
    findings.push(machine::clock());
    let backend = running.and_then(|status| status.ports.iter().find_map(|p| p.secy.as_ref()));
    findings.push(machine::processor(backend.map(|secy| secy.cipher_backend.as_str())));
    if let Some(config) = config {
        findings.push(state::directory(&config.state_directory));
        let is_running =
            |name: &str| running.is_some_and(|s| s.ports.iter().any(|p| p.name == name));
        let stopped =
            config.ports.iter().filter(|port| wanted(&port.name) && !is_running(&port.name));
        findings.extend(stopped.flat_map(|port| stopped_port(config, port)));
    }
    if let Some(before) = running {
        let seen_at = Instant::now();
        thread::sleep(INTERVAL);
        let after = ask(&socket).map_err(|error| error.to_string())?;
        let interval = seen_at.elapsed();
        for port in after.ports.iter().filter(|port| wanted(&port.name)) {
            let first = before.ports.iter().find(|first| first.name == port.name).unwrap_or(port);
            let sample = Sample { before: first, after: port, interval };
            findings.extend(running::port(&sample));
            findings.extend(around(config, port));
        }
    }
    Ok(findings)
}

fn ask(socket: &Path) -> Result<Status, ControlError> {
    match control::ask(socket, &Request::Status)? {
        Reply::Status(status) => Ok(*status),
        _ => {
            let error = std::io::Error::other("the gateway does not tell its status");
            Err(ControlError::Io(socket.to_owned(), error))
        }
    }
}

/// Whether there is a gateway to be asked.
fn reachable(socket: &Path, gateway: &Result<Status, ControlError>, expected: bool) -> Finding {
    const CHECK: &str = "gateway";
    match gateway {
        Ok(Status { version, pid, .. }) => {
            Finding::ok(CHECK, format!("version {version} runs as process {pid}"))
        }
        Err(ControlError::NotRunning(_)) if !expected => Finding::note(
            CHECK,
            format!("none runs ({})", socket.display()),
            "`systemctl start macsec`, or `macsec run --config FILE`. What follows is the machine \
             as a gateway would find it.",
        ),
        Err(error) => {
            let advice = "Look at `systemctl status macsec` and its log; ask as root.";
            Finding::problem(CHECK, error.to_string(), advice)
        }
    }
}

/// The file that a gateway has read, from wherever it was started.
fn configuration_of(status: &Status) -> PathBuf {
    let file = Path::new(&status.configuration);
    let directory = PathBuf::from(format!("/proc/{}/cwd", status.pid));
    if file.is_absolute() { file.to_owned() } else { directory.join(file) }
}

fn check_port_name(
    wanted: Option<&str>,
    config: Option<&Config>,
    running: Option<&Status>,
) -> Result<(), String> {
    let Some(wanted) = wanted.filter(|_| config.is_some() || running.is_some()) else {
        return Ok(());
    };
    let mut names = configuration::port_names(config);
    names.extend(running.iter().flat_map(|s| &s.ports).map(|port| port.name.clone()));
    names.dedup();
    if names.iter().any(|name| name == wanted) {
        return Ok(());
    }
    Err(format!("no port {wanted:?}: there are {}", names.join(", ")))
}

/// What the ports need; anything, if they are not known.
fn isolations(config: Option<&Config>) -> Vec<Isolation> {
    match config {
        Some(config) => config.ports.iter().map(|port| port.isolation).collect(),
        None => vec![Isolation::Namespace, Isolation::Filter],
    }
}

/// A port that no gateway runs.
fn stopped_port(config: &Config, port: &PortConfig) -> Vec<Finding> {
    let (mut findings, link) = interface::free_uplink(port, &config.namespace);
    if let Some(link) = &link {
        let uplink = port.uplink_mtu.unwrap_or(link.mtu);
        findings.extend(mtu::pair(port, uplink, None));
    }
    let address = link.and_then(|link| link.mac).map(macsec::MacAddress);
    let default_sci = address.map(|mac| Sci::new(mac, Sci::PORT_END_STATION));
    let mut findings: Vec<_> = findings.into_iter().map(|f| f.of_port(&port.name)).collect();
    findings.extend(state::marks(&config.state_directory, port, port.sci.or(default_sci)));
    findings
}

/// What stands around a port that runs: its interfaces.
fn around(config: Option<&Config>, status: &PortStatus) -> Vec<Finding> {
    let mut findings = Vec::new();
    let namespace = config.map_or(DEFAULT_NAMESPACE, |config| &config.namespace);
    let uplink = &status.uplink;
    if uplink.present {
        findings.extend(interface::taken_uplink(&uplink.name, &uplink.isolation, namespace));
    }
    let port = config.and_then(|config| config.ports.iter().find(|p| p.name == status.name));
    if let (Some(port), true) = (port, uplink.present && status.tap.present) {
        let tap = interface::Tap::find(&status.tap.name);
        findings.extend(mtu::pair(port, uplink.mtu, tap.as_ref()));
    }
    findings.into_iter().map(|finding| finding.of_port(&status.name)).collect()
}

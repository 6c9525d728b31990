//! The gateways of the demo, which are what users run: `macsec run` with a configuration file,
//! asked by its control socket.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    process::Child,
    thread,
    time::{Duration, Instant},
};

use macsec::{COUNTERS, CounterScope};
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use zeroize::Zeroizing;

use super::{
    files::{Files, PORT},
    guard::Guard,
    topology::{End, Topology},
};
use crate::{
    control::{self, ControlError, KeyAnswer, PortKeys, Reply, Request, SecretText},
    status::{PortStatus, SecyStatus},
};

/// How long gateways may take to come up.
const START_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a gateway may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long frames under way may take to arrive once the clouds have fallen silent.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(3);
const SETTLE_PAUSE: Duration = Duration::from_millis(20);
/// Between two looks at something that is awaited.
const PAUSE: Duration = Duration::from_millis(5);

/// A gateway process. Dropping it ends the process, as a service manager would.
pub struct Gateway {
    end: End,
    process: Child,
    files: Files,
    spawned: Instant,
}

impl Gateway {
    /// Starts the gateway of `end`, whose configuration is in the guard's directory, in its cloud.
    /// It is not waited for.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn spawn(end: End, topology: &Topology, guard: &Guard) -> io::Result<Self> {
        let files = Files::of(end, guard.directory());
        let log = File::options().create(true).append(true).open(&files.log)?;
        let mut command = guard.command();
        command.arg("run").arg("--config").arg(&files.config).stderr(log);
        let spawned = Instant::now();
        let process = topology.cloud(end).run(|| command.spawn()).map_err(io::Error::other)??;
        Ok(Self { end, process, files, spawned })
    }

    /// What it says of its port; `None` while it does not answer, as it has just been started.
    ///
    /// # Errors
    /// The process has ended, or answers something else.
    pub fn look(&mut self) -> io::Result<Option<PortStatus>> {
        match control::ask(&self.files.socket, &Request::Status) {
            Ok(Reply::Status(status)) => Ok(status.ports.into_iter().next()),
            Ok(Reply::NoAnswer) | Err(ControlError::NotRunning(_)) => {
                match self.process.try_wait()? {
                    None => Ok(None),
                    Some(_) => Err(self.failure("has ended")),
                }
            }
            Ok(_) => Err(self.failure("does not say how it is")),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    /// How it is.
    ///
    /// # Errors
    /// As [`Gateway::look`]; it has to answer.
    pub fn status(&mut self) -> io::Result<Status> {
        Status::of(&self.answer()?).ok_or_else(|| self.failure("has lost its uplink"))
    }

    /// What it says of its port.
    ///
    /// # Errors
    /// As [`Gateway::look`]; it has to answer.
    pub fn answer(&mut self) -> io::Result<PortStatus> {
        self.look()?.ok_or_else(|| self.failure("does not answer"))
    }

    /// Where it is.
    #[must_use]
    pub fn end(&self) -> End {
        self.end
    }

    /// Its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// How long ago its process was started.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.spawned.elapsed()
    }

    /// Asks for a new SAK, as `macsec rekey` does.
    ///
    /// # Errors
    /// It is not the key server, or does not answer.
    pub fn rekey(&self) -> io::Result<()> {
        match control::ask(&self.files.socket, &Request::Rekey { port: None }) {
            Ok(Reply::Changes(_)) => Ok(()),
            Ok(Reply::Refused(reasons)) => Err(self.failure(&reasons.join("; "))),
            Ok(_) => Err(self.failure("does not say whether there will be a new SAK")),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    /// Adds a CAK, as `macsec keys add` does.
    ///
    /// # Errors
    /// As [`Gateway::keys`].
    pub fn add_key(&self, ckn: &str, cak: &str) -> io::Result<KeyAnswer> {
        let cak = SecretText(Zeroizing::new(cak.to_owned()));
        let (port, ckn) = (PORT.to_owned(), ckn.to_owned());
        let (start, end, fallback, dry_run) = (None, None, false, false);
        self.ask_key(&Request::KeyAdd { port, ckn, cak, start, end, fallback, dry_run })
    }

    /// Prefers a CAK, as `macsec keys activate` does.
    ///
    /// # Errors
    /// As [`Gateway::keys`].
    pub fn activate_key(&self, ckn: &str) -> io::Result<KeyAnswer> {
        let (port, ckn) = (PORT.to_owned(), ckn.to_owned());
        self.ask_key(&Request::KeyActivate { port, ckn, dry_run: false })
    }

    /// Takes a CAK out of use, as `macsec keys retire` does.
    ///
    /// # Errors
    /// As [`Gateway::keys`].
    pub fn retire_key(&self, ckn: &str, force: bool) -> io::Result<KeyAnswer> {
        let (port, ckn) = (PORT.to_owned(), ckn.to_owned());
        self.ask_key(&Request::KeyRetire { port, ckn, force, dry_run: false })
    }

    fn ask_key(&self, request: &Request) -> io::Result<KeyAnswer> {
        match control::ask(&self.files.socket, request) {
            Ok(Reply::Key(answer)) => Ok(answer),
            Ok(_) => Err(self.failure("does not say what has become of a key")),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    /// Its CAKs, as `macsec keys list` shows them.
    ///
    /// # Errors
    /// It does not answer.
    pub fn keys(&self) -> io::Result<PortKeys> {
        let request = Request::Keys { port: Some(PORT.to_owned()) };
        match control::ask(&self.files.socket, &request) {
            Ok(Reply::Keys(ports)) => {
                ports.into_iter().next().ok_or_else(|| self.failure("has no port"))
            }
            Ok(_) => Err(self.failure("does not say which keys it has")),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    /// Ends it as nobody should: with no chance to say good-bye.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn kill(&mut self) -> io::Result<()> {
        self.process.kill()?;
        self.process.wait().map(drop)
    }

    /// What is wrong with it, and the last words in its log, which may tell why.
    fn failure(&self, what: &str) -> io::Error {
        let log = fs::read_to_string(&self.files.log).unwrap_or_default();
        let last = log.lines().last().unwrap_or("nothing");
        io::Error::other(format!("gateway {} {what}; its log ends: {last}", self.end.name()))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if !matches!(self.process.try_wait(), Ok(None)) {
            return;
        }
        let _ = kill_process(Pid::from_child(&self.process), Signal::TERM);
        let deadline = Instant::now() + STOP_TIMEOUT;
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(PAUSE);
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits until the ports of all `gateways` are secured.
///
/// # Errors
/// `TimedOut` if that does not come about; as [`Gateway::look`].
pub fn wait_until_secured(gateways: &mut [Gateway]) -> io::Result<()> {
    let deadline = Instant::now() + START_TIMEOUT;
    for gateway in gateways {
        loop {
            let port = gateway.look()?;
            if port.as_ref().is_some_and(|port| port.secured) {
                break;
            }
            if Instant::now() >= deadline {
                let problems = port.map(|port| port.problems.join("; ")).unwrap_or_default();
                return Err(gateway.failure(&format!("does not come up: {problems}")));
            }
            thread::sleep(PAUSE);
        }
    }
    Ok(())
}

/// What both gateways say of themselves.
///
/// # Errors
/// As [`Gateway::status`].
pub fn statuses(gateways: &mut [Gateway; 2]) -> io::Result<[Status; 2]> {
    let [a, b] = gateways;
    Ok([a.status()?, b.status()?])
}

/// Waits until what either gateway has sealed the other has delivered, or no more can be hoped for.
///
/// # Errors
/// As [`Gateway::status`].
pub fn settle(gateways: &mut [Gateway; 2]) -> io::Result<[Status; 2]> {
    let start = Instant::now();
    loop {
        let [a, b] = statuses(gateways)?;
        let settled = a.sealed == b.delivered && b.sealed == a.delivered;
        if settled || start.elapsed() > SETTLE_TIMEOUT {
            return Ok([a, b]);
        }
        thread::sleep(SETTLE_PAUSE);
    }
}

/// What a gateway says of itself, as far as the demo is concerned.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Status {
    /// The cipher backend.
    pub backend: String,
    /// Frames protected.
    pub sealed: u64,
    /// Frames validated and taken by the host.
    pub delivered: u64,
    /// The 802.1AE-2018 counters by name.
    pub counters: BTreeMap<String, u64>,
    /// Our own counters by name.
    pub local: BTreeMap<String, u64>,
}

impl Status {
    /// A counter of 802.1AE-2018.
    #[must_use]
    pub fn counter(&self, name: &str) -> u64 {
        self.counters.get(name).copied().unwrap_or_default()
    }

    /// From what a port says; `None` if it has no SecY.
    fn of(port: &PortStatus) -> Option<Self> {
        let secy = port.secy.as_ref()?;
        let counters = COUNTERS.iter().map(|counter| {
            let value = scope(secy, counter.scope).get(counter.yang);
            (counter.name.to_owned(), value.copied().unwrap_or_default())
        });
        let mut status = Self {
            backend: secy.cipher_backend.clone(),
            counters: counters.collect(),
            local: port.local.clone(),
            ..Self::default()
        };
        status.sealed = status.counter("OutPktsEncrypted") + status.counter("OutPktsProtected");
        // These count what went well.
        status.delivered = status.local.remove("delivered").unwrap_or_default();
        status.local.remove("uplink-sent");
        Some(status)
    }
}

/// The counters of a scope, by the names of their leaves.
fn scope(secy: &SecyStatus, scope: CounterScope) -> &BTreeMap<String, u64> {
    match scope {
        CounterScope::Verification => &secy.verification,
        CounterScope::Generation => &secy.generation,
        CounterScope::TransmitSc => &secy.transmit_sc.statistics,
        CounterScope::ReceiveSc => &secy.receive_sc_sum,
    }
}

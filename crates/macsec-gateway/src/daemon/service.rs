//! The main thread: ports come and go, somebody asks, signals arrive, the watchdog is fed.

use std::{
    collections::HashMap,
    os::fd::AsFd,
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        mpsc::{Receiver, sync_channel},
    },
    time::{Duration, Instant},
};

use macsec_io::{peer::PeerCredentials, poll::wait_readable};
use sd_notify::NotifyState;
use tracing::{error, info, warn};

use super::{
    Options, Surroundings,
    key_operations::Asked,
    key_stores::KeyStores,
    plan::{self, Step},
    port_thread::{Order, PortThread},
    problem::Problem,
    signals::Signals,
};
use crate::{
    config::{Config, PortConfig},
    control::{KeyOperation, Question, Reply, Request, Server},
    mailbox::{Mailbox, mailbox},
    pcap::{Capture, Side},
    port::Captures,
    status::{PortStatus, Status},
};

/// How long ports may take to start or to change, all together: less than whoever asked waits.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a port may take to tell its status.
pub(super) const STATUS_TIMEOUT: Duration = Duration::from_secs(2);
/// How often the main thread looks around if nothing happens.
const TICK: Duration = Duration::from_secs(1);
/// How long a port may take for a turn, which it makes once a second even if nothing happens.
const TURN_TIMEOUT: Duration = Duration::from_secs(5);
/// Of longer frames, a capture has the beginning.
const CAPTURED_OCTETS: usize = 16 * 1024;

/// A gateway that runs.
pub(super) struct Service {
    file: PathBuf,
    pub(super) config: Config,
    surroundings: Arc<Surroundings>,
    pub(super) ports: Vec<PortThread>,
    pub(super) keys: KeyStores,
    /// Ports that have panicked and could not be started again yet.
    missing: Vec<Arc<PortConfig>>,
    capture: Option<Capture>,
    questions: Mailbox<Question>,
    signals: Signals,
    started: Instant,
    /// How often to feed the watchdog, if there is one.
    watchdog: Option<Duration>,
    /// The turns that each port had made when all were last seen to move, and when that was.
    turns: (HashMap<String, u64>, Instant),
    /// Last, so that the socket is there as long as anything else is.
    _server: Server,
}

impl Service {
    /// Starts everything that `config` asks for.
    pub(super) fn start(
        options: &Options,
        mut config: Config,
        surroundings: Surroundings,
    ) -> Result<Self, Vec<String>> {
        let one = |reason: String| vec![reason];
        let signals = Signals::new().map_err(|error| one(format!("signals: {error}")))?;
        let (address, questions) = mailbox().map_err(|error| one(error.to_string()))?;
        // Before anything is touched: a second gateway with the same configuration ends here.
        let socket = &config.control_socket;
        let server = Server::start(socket, address)
            .map_err(|error| one(format!("control_socket {}: {error}", socket.display())))?;
        let capture = options.pcap.as_deref().map(Capture::start).transpose();
        let capture = capture.map_err(|error| one(error.to_string()))?;
        let ports = std::mem::take(&mut config.ports);
        let keys = KeyStores::new(config.state_directory.clone());
        let mut service = Self {
            file: options.config.clone(),
            config,
            keys,
            surroundings: Arc::new(surroundings),
            ports: Vec::new(),
            missing: Vec::new(),
            capture,
            questions,
            signals,
            started: Instant::now(),
            watchdog: sd_notify::watchdog_enabled().map(|interval| interval / 3),
            turns: (HashMap::new(), Instant::now()),
            _server: server,
        };
        match service.start_ports(ports.into_iter().map(Arc::new)) {
            Ok(()) => Ok(service),
            Err(reasons) => {
                service.stop_ports();
                Err(reasons)
            }
        }
    }

    /// Serves until a signal ends it.
    pub(super) fn run(mut self) -> ExitCode {
        notify(&[NotifyState::Ready]);
        loop {
            self.revive_ports();
            self.retry_keys();
            self.feed_watchdog();
            let sources = [self.signals.as_fd(), self.questions.as_fd()];
            let timeout = self.watchdog.map_or(TICK, |interval| interval.min(TICK));
            if let Err(error) = wait_readable(sources, Some(timeout)) {
                error!("poll: {error}");
                std::thread::sleep(TICK);
            }
            let questions: Vec<_> = self.questions.take_all().collect();
            for (request, client, answering) in questions {
                answering.answer(self.answer(&request, client));
            }
            if self.signals.take_reload() {
                self.reload_on_signal();
            }
            if let Some(signal) = self.signals.end() {
                info!("ending on {signal}");
                notify(&[NotifyState::Stopping]);
                self.stop_ports();
                return ExitCode::SUCCESS;
            }
        }
    }

    fn answer(&mut self, request: &Request, client: PeerCredentials) -> Reply {
        let mut operate = |operation, port: &str, ckn: &str, dry_run: bool| {
            let asked = Asked::new(operation, port, ckn, dry_run);
            Reply::Key(self.operate_on_key(asked, request, client))
        };
        match request {
            Request::KeyAdd { port, ckn, dry_run, .. } => {
                operate(KeyOperation::Add, port, ckn, *dry_run)
            }
            Request::KeyActivate { port, ckn, dry_run } => {
                operate(KeyOperation::Activate, port, ckn, *dry_run)
            }
            Request::KeyRetire { port, ckn, dry_run, .. } => {
                operate(KeyOperation::Retire, port, ckn, *dry_run)
            }
            Request::Status => Reply::Status(Box::new(self.status())),
            Request::Keys { port } => match self.list_keys(port.as_deref()) {
                Ok(ports) => Reply::Keys(ports),
                Err(reasons) => Reply::Refused(reasons),
            },
            Request::Reload { dry_run } => match self.reload_and_tell(*dry_run) {
                Ok(changes) => Reply::Changes(changes),
                Err(reasons) => Reply::Refused(reasons),
            },
            Request::Rekey { port } => match self.rekey(port.as_deref()) {
                Ok(lines) => Reply::Changes(lines),
                Err(reasons) => Reply::Refused(reasons),
            },
        }
    }

    fn status(&self) -> Status {
        let asked: Vec<(&PortThread, Receiver<PortStatus>)> = self
            .ports
            .iter()
            .map(|port| {
                let (answer, status) = sync_channel(1);
                port.order(Order::Status(answer));
                (port, status)
            })
            .collect();
        let deadline = Instant::now() + STATUS_TIMEOUT;
        let ports = asked.into_iter().map(|(port, status)| {
            let left = deadline.saturating_duration_since(Instant::now());
            status.recv_timeout(left).unwrap_or_else(|_| PortStatus::silent(&port.config))
        });
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime: self.started.elapsed().as_secs(),
            configuration: self.file.display().to_string(),
            pcap_missed: self.capture.as_ref().map(Capture::missed),
            ports: ports.chain(self.missing.iter().map(|c| PortStatus::silent(c))).collect(),
        }
    }

    /// Has KaYs make new SAKs: that of the port `name`, or all. It has worked if one does.
    fn rekey(&self, name: Option<&str>) -> Result<Vec<String>, Vec<String>> {
        let asked: Vec<_> = ports_asked_for(&self.ports, name)?
            .into_iter()
            .map(|port| {
                let (answer, done) = sync_channel(1);
                port.order(Order::Rekey(answer));
                (port, done)
            })
            .collect();
        let deadline = Instant::now() + STATUS_TIMEOUT;
        let mut worked = false;
        let lines = asked.into_iter().map(|(port, done)| {
            let left = deadline.saturating_duration_since(Instant::now());
            let done = done.recv_timeout(left);
            worked |= matches!(done, Ok(Ok(())));
            let text = match done {
                Ok(Ok(())) => "a new SAK is on its way".to_owned(),
                Ok(Err(reason)) => reason,
                Err(_) => Problem::silent().to_string(),
            };
            format!("port {}: {text}", port.config.name)
        });
        let lines: Vec<_> = lines.collect();
        if worked { Ok(lines) } else { Err(lines) }
    }

    fn reload_on_signal(&mut self) {
        // The log has the answer.
        drop(self.reload_and_tell(false));
    }

    /// Reloads, and has systemd know when that begins and ends, and the log why ports begin anew.
    fn reload_and_tell(&mut self, dry_run: bool) -> Result<Vec<String>, Vec<String>> {
        if dry_run {
            return self.reload(dry_run);
        }
        // One message: systemd takes a reload only with the time of its beginning.
        match NotifyState::monotonic_usec_now() {
            Ok(now) => notify(&[NotifyState::Reloading, now]),
            Err(_) => notify(&[NotifyState::Reloading]),
        }
        let result = self.reload(dry_run);
        match &result {
            Ok(changes) if changes.is_empty() => info!("reload: nothing has changed"),
            Ok(changes) => changes.iter().for_each(|change| info!("reload: {change}")),
            Err(reasons) => reasons.iter().for_each(|reason| error!("reload refused: {reason}")),
        }
        notify(&[NotifyState::Ready]);
        result
    }

    /// Goes over to what the file says now; nothing that is the same is touched. All or nothing as far
    /// as the file goes; what then does not work is a port's problem, and told.
    fn reload(&mut self, dry_run: bool) -> Result<Vec<String>, Vec<String>> {
        let mut loaded = Config::load(&self.file)
            .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        let mut fixed = plan::fixed(&self.config, &loaded.config);
        let offered = |port: &&PortConfig| self.surroundings.offers(port.isolation);
        fixed.extend(loaded.config.ports.iter().filter(|port| !offered(port)).map(|port| {
            format!(
                "port {}: isolation = \"namespace\": takes a restart of the gateway, which has begun \
                 without such a port",
                port.name
            )
        }));
        if !fixed.is_empty() {
            return Err(fixed);
        }
        let new: Vec<_> =
            std::mem::take(&mut loaded.config.ports).into_iter().map(Arc::new).collect();
        let old: Vec<_> = self.ports.iter().map(|port| Arc::clone(&port.config)).collect();
        if !dry_run {
            // They are added, or not there any more.
            for config in std::mem::take(&mut self.missing) {
                self.give_back(&config);
            }
        }
        let steps = plan::steps(&old, &new);
        let mut lines: Vec<String> = steps.iter().map(ToString::to_string).collect();
        if !dry_run {
            for warning in &loaded.warnings {
                warn!("{warning}");
            }
            lines.extend(self.carry_out(steps));
            // The order of the file.
            let place = |name: &str| new.iter().position(|port| port.name == name);
            self.ports.sort_by_key(|port| place(&port.config.name));
        }
        Ok(lines)
    }

    /// Carries out removals first, then everything else at the same time, as each may have to wait for
    /// links and for the disk. Returns what does not work afterwards.
    fn carry_out(&mut self, steps: Vec<Step>) -> Vec<String> {
        self.revive_ports();
        let mut lines = Vec::new();
        let (removals, others): (Vec<_>, Vec<_>) =
            steps.into_iter().partition(|step| matches!(step, Step::Remove(_)));
        let goes = |port: &mut PortThread| {
            let is = |step: &Step| matches!(step, Step::Remove(p) if p.name == port.config.name);
            removals.iter().any(is)
        };
        let gone: Vec<_> = self.ports.extract_if(.., goes).collect();
        let names: Vec<_> = gone.iter().map(|port| port.config.name.clone()).collect();
        self.stop(gone);
        names.iter().for_each(|name| self.keys.close(name));

        let mut waiting = Vec::new();
        for step in others {
            let started = match step {
                Step::Remove(_) => continue,
                Step::Add(config) => self.start_port(&config).map(|problems| (config, problems)),
                Step::Change { new, .. } => Ok((Arc::clone(&new), self.change_port(&new))),
            };
            match started {
                Ok(started) => waiting.push(started),
                Err(reason) => lines.push(reason),
            }
        }
        for (config, problems) in wait_for(waiting) {
            let line = |problem| format!("port {}: !! {problem}", config.name);
            lines.extend(problems.iter().map(line));
        }
        lines
    }

    /// Starts ports at once, and waits for all. An error is one that does not pass by itself.
    fn start_ports(
        &mut self,
        ports: impl Iterator<Item = Arc<PortConfig>>,
    ) -> Result<(), Vec<String>> {
        let mut waiting = Vec::new();
        for port in ports {
            let problems = self.start_port(&port).map_err(|reason| vec![reason])?;
            waiting.push((port, problems));
        }
        let mut reasons = Vec::new();
        for (port, problems) in wait_for(waiting) {
            let lasting = problems.iter().filter(|problem| !problem.passing);
            reasons.extend(lasting.map(|problem| format!("port {}: {problem}", port.name)));
        }
        if reasons.is_empty() { Ok(()) } else { Err(reasons) }
    }

    fn change_port(&mut self, config: &Arc<PortConfig>) -> Receiver<Vec<Problem>> {
        let (answer, problems) = sync_channel(1);
        let keys = self.keys.keys(config);
        if let Some(port) = self.ports.iter_mut().find(|port| port.config.name == config.name) {
            port.order(Order::Apply(Arc::clone(config), keys, answer));
            port.former = std::mem::replace(&mut port.config, Arc::clone(config));
        }
        problems
    }

    fn start_port(&mut self, config: &Arc<PortConfig>) -> Result<Receiver<Vec<Problem>>, String> {
        let (started, problems) = sync_channel(1);
        let capture = self.capture.as_mut();
        let captures = capture.map(|capture| captures(capture, &config.name));
        let keys = self.keys.keys(config);
        let thread = PortThread::start(config, keys, &self.surroundings, captures, started)
            .map_err(|error| format!("port {}: {error}", config.name))?;
        self.ports.push(thread);
        Ok(problems)
    }

    fn stop_ports(&mut self) {
        let ports = std::mem::take(&mut self.ports);
        self.stop(ports);
        for config in std::mem::take(&mut self.missing) {
            self.give_back(&config);
        }
    }

    /// Ends ports, at the same time.
    fn stop(&self, ports: Vec<PortThread>) {
        ports.iter().for_each(|port| port.order(Order::Stop));
        for port in ports {
            let (config, former) = (Arc::clone(&port.config), Arc::clone(&port.former));
            if !port.join() {
                self.give_back(&former);
                self.give_back(&config);
            }
        }
    }

    /// What the thread of a port does at its end, for one that has panicked.
    fn give_back(&self, config: &PortConfig) {
        if let Err(error) = self.surroundings.give_back(&config.uplink) {
            warn!(port = config.name, uplink = config.uplink, "not put back: {error}");
        }
    }

    /// Starts ports again whose thread has panicked. That is a fault of this program, and must not be
    /// the end of a link.
    fn revive_ports(&mut self) {
        let mut missing = std::mem::take(&mut self.missing);
        let dead: Vec<_> = self.ports.extract_if(.., |port| port.is_finished()).collect();
        for port in dead {
            let (config, former) = (Arc::clone(&port.config), Arc::clone(&port.former));
            port.join();
            if former.uplink != config.uplink {
                self.give_back(&former);
            }
            missing.push(config);
        }
        for config in missing {
            match self.start_port(&config) {
                Ok(_) => error!(port = config.name, "the port is started again"),
                Err(reason) => {
                    error!("{reason}");
                    self.missing.push(config);
                }
            }
        }
    }

    /// Tries again for keys on record that could not be had.
    fn retry_keys(&mut self) {
        for port in &self.ports {
            if self.keys.is_missing(&port.config)
                && let keys @ Ok(_) = self.keys.keys(&port.config)
            {
                port.order(Order::Keys(keys));
            }
        }
    }

    /// Feeds the watchdog if every port has moved since it was last fed. One that has not yet need not
    /// hang: this is called as often as somebody asks.
    fn feed_watchdog(&mut self) {
        if self.watchdog.is_none() {
            return;
        }
        let turns = |port: &PortThread| (port.config.name.clone(), port.turns());
        let now: HashMap<_, _> = self.ports.iter().map(turns).collect();
        let (before, since) = &self.turns;
        let still = |(name, turns): &(&String, &u64)| before.get(*name) == Some(*turns);
        if let Some((name, _)) = now.iter().find(still) {
            if since.elapsed() > TURN_TIMEOUT {
                warn!(port = name, "the port does not move");
            }
            return;
        }
        self.turns = (now, Instant::now());
        notify(&[NotifyState::Watchdog]);
    }
}

/// The port `name`, or all that have MKA; or, in one line, that there is none.
pub(super) fn ports_asked_for<'a>(
    ports: &'a [PortThread],
    name: Option<&str>,
) -> Result<Vec<&'a PortThread>, Vec<String>> {
    let is_meant = |port: &&PortThread| match name {
        Some(name) => port.config.name == name,
        None => port.config.mka.is_some(),
    };
    let meant: Vec<_> = ports.iter().filter(is_meant).collect();
    if !meant.is_empty() {
        return Ok(meant);
    }
    let names = names(ports);
    Err(vec![match name {
        Some(name) => format!("no port {name:?}: there are {names}"),
        None => format!("no port has MKA: there are {names}"),
    }])
}

/// The names of all ports.
pub(super) fn names(ports: &[PortThread]) -> String {
    let names: Vec<_> = ports.iter().map(|port| port.config.name.as_str()).collect();
    names.join(", ")
}

fn captures(capture: &mut Capture, port: &str) -> Captures {
    let tap = |side| capture.tap(port, side, CAPTURED_OCTETS);
    Captures { uplink: tap(Side::Uplink), tap: tap(Side::Tap) }
}

/// What does not work, once the ports know, or after [`CHANGE_TIMEOUT`].
fn wait_for(
    waiting: Vec<(Arc<PortConfig>, Receiver<Vec<Problem>>)>,
) -> impl Iterator<Item = (Arc<PortConfig>, Vec<Problem>)> {
    let deadline = Instant::now() + CHANGE_TIMEOUT;
    waiting.into_iter().map(move |(config, problems)| {
        let left = deadline.saturating_duration_since(Instant::now());
        let problems = problems.recv_timeout(left).unwrap_or_else(|_| vec![Problem::silent()]);
        (config, problems)
    })
}

/// Tells systemd, if it listens.
fn notify(state: &[NotifyState<'_>]) {
    // It may have gone; that is no reason to stop.
    let _ = sd_notify::notify(state);
}

#[cfg(test)]
mod tests;

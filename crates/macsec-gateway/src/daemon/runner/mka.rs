//! MKA on a port: the KaY has a thread of its own, and here the port does what it is ordered to.

use std::{
    mem,
    sync::{Arc, mpsc::SyncSender},
    time::{Duration, Instant},
};

use macsec::{Ki, MacAddress, Sci};
use macsec_io::packet::{FilteredConfig, FilteredSocket};
use mka::{
    NEAREST_BRIDGE, NEAREST_CUSTOMER_BRIDGE, NEAREST_NON_TPMR_BRIDGE,
    order::{Action, Controls, Order},
};

use super::{LOOK_INTERVAL, OwnedUplink, Runner};
use crate::{
    config::{MkaConfig, PortConfig},
    daemon::{
        kay_thread::{Input, KayThread, Output, Stopping},
        key_stores::Keys,
        keys,
        problem::{Problem, Where},
    },
    keyring::Ring,
    status::{MkaStatus, PortStatus},
};

/// How often the KaY is told where packet numbers are.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(500);
/// How long a KaY that has come to an unexpected end stays away.
const RESTART_PAUSE: Duration = Duration::from_secs(5);
/// How long a KaY may take to begin, to end or to say how it is before it is told that it has not.
const PATIENCE: Duration = Duration::from_secs(1);
/// What the port's thread tells of a KaY that has not answered by then.
const NO_ANSWER: &str = "the thread for MKA does not answer";
/// Octets of the buffer for EAPOL: some hundred frames.
const EAPOL_BUFFER: usize = 256 * 1024;

/// The KaY of a port, and what it has been told.
pub(super) struct Mka {
    thread: KayThread,
    /// What it speaks as: the SCI of the port, and the address of the uplink.
    identity: (Sci, MacAddress),
    /// It has its journal.
    ready: bool,
    has_socket: bool,
    port_enabled: bool,
    /// The keys that it has had installed, and when.
    keys: Vec<(Ki, Instant)>,
    next_sample: Instant,
}

impl Mka {
    /// When to tell it where packet numbers are. Without keys there are none.
    pub(super) fn sample_due(&self) -> Option<Instant> {
        (!self.keys.is_empty()).then_some(self.next_sample)
    }

    /// How long the key `ki` has been installed.
    pub(super) fn key_age(&self, ki: Ki) -> Duration {
        let since = self.keys.iter().find(|key| key.0 == ki);
        since.map_or(Duration::ZERO, |(_, since)| since.elapsed())
    }
}

/// The KaYs of a port that there are for a while only, and who waits for one.
#[derive(Default)]
pub(super) struct KayWaits {
    /// KaYs that have been ordered to end. The next one cannot have the journal before.
    ending: Vec<Stopping>,
    /// Why there is no KaY, or has not been until it has begun, and when to try again.
    failed: Option<(Problem, Instant)>,
    /// Since when one is on its way.
    since: Option<Instant>,
    /// Who wants the status of the port, and until when the KaY may take to say its part.
    asked: Vec<(SyncSender<PortStatus>, Instant)>,
    /// Who wants a new SAK, and until when the KaY may take to say what becomes of that.
    rekeys: Vec<(SyncSender<Result<(), String>>, Instant)>,
}

impl KayWaits {
    /// When to answer without the KaY.
    pub(super) fn due(&self) -> Option<Instant> {
        let statuses = self.asked.iter().map(|asked| asked.1);
        statuses.chain(self.rekeys.iter().map(|asked| asked.1)).min()
    }

    /// Forgets why there was no KaY.
    pub(super) fn forgive(&mut self) {
        self.failed = None;
    }

    /// Whether one is on its way that may be here soon.
    pub(super) fn is_patient(&self) -> bool {
        self.since.is_some_and(|since| since.elapsed() < PATIENCE)
    }

    /// What is told of a KaY that is on its way. A failure before is told until it has begun.
    fn for_disk(&mut self, text: &str) -> Result<(), Problem> {
        self.since.get_or_insert_with(Instant::now);
        match &self.failed {
            Some((problem, _)) => Err(problem.clone()),
            None if self.is_patient() => Ok(()),
            None => Err(Problem::passing(format!("MKA waits for the disk: {text}"))),
        }
    }

    /// Waits until KaYs that have been ordered to end have ended.
    pub(super) fn join(self) {
        self.ending.into_iter().for_each(Stopping::join);
    }
}

/// Whether the KaY of a port, if it has one, and its session can go on when the configuration changes so.
pub(super) fn goes_on(old: &PortConfig, new: &PortConfig) -> bool {
    // What peers are told of.
    let told =
        |c: &PortConfig| (c.controls.protect_frames, c.controls.validate_frames, c.confidentiality);
    match (&old.mka, &new.mka) {
        (Some(a), Some(b)) => a.keeps_session(b) && told(old) == told(new),
        (a, b) => a.is_none() && b.is_none(),
    }
}

impl Runner {
    /// Sees to it that the KaY is there, has its socket, and knows whether there is a signal.
    pub(super) fn mend_mka(&mut self) -> Result<(), Problem> {
        let config = Arc::clone(&self.config);
        let (Some(mka), Some(port), Some(owned)) = (&config.mka, &self.port, &self.uplink) else {
            self.kay_waits.since = None;
            return Ok(());
        };
        let ring = match &self.keys {
            Ok(ring) => Arc::clone(ring),
            Err(reason) => {
                let problem = Problem::passing(reason.clone());
                self.end_mka();
                self.kay_waits.since = None;
                return Err(problem);
            }
        };
        let identity = (port.secy().sci(), MacAddress(owned.state.mac));
        let carrier = owned.state.carrier;
        if self.mka.as_ref().is_some_and(|mka| mka.identity != identity) {
            self.end_mka();
        }
        if self.mka.is_none() {
            if let Some((problem, until)) = &self.kay_waits.failed
                && Instant::now() < *until
            {
                self.kay_waits.since = None;
                return Err(problem.clone());
            }
            if !self.kay_waits.ending.is_empty() {
                return self.kay_waits.for_disk("the KaY before has not ended");
            }
            self.mka = Some(self.start_mka(ring, identity)?);
        }
        let (Some(running), Some(owned)) = (&mut self.mka, &self.uplink) else { return Ok(()) };
        if !running.ready {
            return self.kay_waits.for_disk("the KI journal is not open");
        }
        self.kay_waits.since = None;
        self.kay_waits.failed = None;
        if !running.has_socket {
            let socket = eapol_socket(&config, mka, owned)?;
            running.thread.tell(Input::Socket(Some(socket)));
            running.has_socket = true;
        }
        running.set_port_enabled(carrier);
        Ok(())
    }

    fn start_mka(&mut self, ring: Arc<Ring>, identity: (Sci, MacAddress)) -> Result<Mka, Problem> {
        let (sci, source) = identity;
        let lasting = |reason: String| Problem::lasting(reason);
        let Some(config) = self.config.kay_config(sci, source) else {
            return Err(lasting("mka: not configured".to_owned()));
        };
        self.kays += 1;
        let (name, address) = (&self.config.name, self.address.clone());
        let state_directory = self.surroundings.state_directory.clone();
        let thread = KayThread::start(name, config, ring, state_directory, address, self.kays)
            .map_err(lasting)?;
        Ok(Mka {
            thread,
            identity,
            ready: false,
            has_socket: false,
            port_enabled: false,
            keys: Vec::new(),
            next_sample: Instant::now(),
        })
    }

    /// Has the KaY end. The port closes at once, and the keys go.
    pub(super) fn end_mka(&mut self) {
        if let Some(mka) = self.mka.take() {
            self.kay_waits.ending.push(mka.thread.stop());
            self.close_without_mka();
        }
    }

    fn close_without_mka(&mut self) {
        if let Some(port) = &mut self.port {
            port.set_controlled_port(false);
            keys::remove(port);
            let controls = port.forget_orders();
            self.problems.set(Where::Controls, controls.err().map(Problem::from));
        }
        self.tell_carrier();
        self.answer_status(None);
    }

    /// The uplink has gone, or is to.
    pub(super) fn unplug_mka(&mut self) {
        if let Some(mka) = &mut self.mka {
            mka.set_port_enabled(false);
            mka.thread.tell(Input::Socket(None));
            mka.has_socket = false;
        }
    }

    /// Does what the KaY says. One that has been replaced has nothing to say but that it has ended.
    pub(super) fn hear_kay(&mut self, number: u64, output: Output) {
        let Some(mka) = self.mka.as_mut().filter(|mka| mka.thread.number() == number) else {
            let before = self.kay_waits.ending.len();
            if matches!(output, Output::Ended(_)) {
                self.kay_waits.ending.retain(|ending| ending.number() != number);
            }
            if self.kay_waits.ending.len() != before {
                self.mend();
            }
            return;
        };
        match output {
            Output::Ready => {
                mka.ready = true;
                self.mend();
            }
            Output::Status(status) => self.answer_status(Some(&status)),
            Output::Order(order) => {
                let Order { id, mut action } = *order;
                if let Action::SetControls(controls) = &mut action {
                    with_replay(controls, &self.config);
                }
                let Some(port) = &mut self.port else { return };
                let result = port.carry_out(&action);
                match &action {
                    Action::InstallKey(key) if result.is_ok() => mka.add_key(key.ki()),
                    Action::RemoveKey(ki) => mka.keys.retain(|key| key.0 != *ki),
                    _ => {}
                }
                mka.thread.tell(Input::Answer(id, result));
            }
            Output::Ended(problem) => {
                self.mka = None;
                self.close_without_mka();
                // Only one that has been ordered to end, and is not ours any more, says no reason.
                let Some(problem) = problem else { return };
                let pause = if problem.passing { RESTART_PAUSE } else { LOOK_INTERVAL };
                self.kay_waits.failed = Some((problem, Instant::now() + pause));
                self.mend();
            }
        }
    }

    /// Tells the KaY where packet numbers are, if it is time to.
    pub(super) fn sample_pns(&mut self) {
        let now = Instant::now();
        if let (Some(mka), Some(port)) = (&mut self.mka, &self.port)
            && mka.sample_due().is_some_and(|due| due <= now)
        {
            mka.next_sample = now + SAMPLE_INTERVAL;
            mka.thread.tell(Input::Pns(port.key_pns()));
        }
    }

    /// Takes other keys.
    pub(super) fn take_keys(&mut self, keys: Keys) {
        self.keys = keys;
        self.tune_mka();
        self.mend();
    }

    /// Takes what the configuration says that a session can go on with, and the keys.
    pub(super) fn tune_mka(&self) {
        let (Some(running), Some(mka)) = (&self.mka, &self.config.mka) else { return };
        if let Ok(ring) = &self.keys {
            running.thread.tell(Input::Keys(Arc::clone(ring)));
        }
        let (interval, on_peer_loss) = (mka.rekey_interval, mka.rekey_on_peer_loss);
        running.thread.tell(Input::Rekeying { interval, on_peer_loss });
    }

    /// Has the KaY make a new SAK.
    pub(super) fn rekey(&mut self, answer: SyncSender<Result<(), String>>) {
        match &self.mka {
            Some(mka) => {
                mka.thread.tell(Input::Rekey(answer.clone()));
                self.kay_waits.rekeys.push((answer, Instant::now() + PATIENCE));
            }
            // Nobody may be waiting any more.
            None => drop(answer.send(Err(match self.config.mka {
                Some(_) => "MKA has not begun, see `macsec status`".to_owned(),
                None => "it has no [port.mka]".to_owned(),
            }))),
        }
    }

    /// Answers with the status of the port, once the KaY has said its part.
    pub(super) fn tell_status(&mut self, answer: SyncSender<PortStatus>) {
        match &self.mka {
            Some(mka) => {
                mka.thread.tell(Input::Status);
                self.kay_waits.asked.push((answer, Instant::now() + PATIENCE));
            }
            // Nobody may be waiting any more.
            None => drop(answer.send(self.status())),
        }
    }

    /// Answers all who have asked.
    fn answer_status(&mut self, mka: Option<&MkaStatus>) {
        for (answer, _) in mem::take(&mut self.kay_waits.asked) {
            let mut status = self.status();
            if let Some(mka) = mka {
                status.set_mka(mka.clone());
            }
            // Nobody may be waiting any more.
            drop(answer.send(status));
        }
    }

    /// Answers those who have waited long enough for the KaY.
    pub(super) fn answer_without_kay(&mut self) {
        let now = Instant::now();
        for (answer, _) in
            self.kay_waits.asked.extract_if(.., |asked| asked.1 <= now).collect::<Vec<_>>()
        {
            let mut status = self.status();
            status.problems.push(NO_ANSWER.to_owned());
            drop(answer.send(status));
        }
        for (answer, _) in self.kay_waits.rekeys.extract_if(.., |asked| asked.1 <= now) {
            // The KaY has answered, as a rule.
            drop(answer.try_send(Err(NO_ANSWER.to_owned())));
        }
    }

    #[cfg(test)]
    pub(super) fn tell_mka(&self, input: Input) {
        if let Some(mka) = &self.mka {
            mka.thread.tell(input);
        }
    }
}

impl Mka {
    fn set_port_enabled(&mut self, enabled: bool) {
        if self.port_enabled != enabled {
            self.port_enabled = enabled;
            self.thread.tell(Input::PortEnabled(enabled));
        }
    }

    fn add_key(&mut self, ki: Ki) {
        let known = self.keys.iter().any(|key| key.0 == ki);
        if !known {
            self.keys.push((ki, Instant::now()));
        }
    }
}

/// Replay protection as the configuration has it by now, of which no peer is told. A port that is open in
/// clear has none.
fn with_replay(controls: &mut Controls, config: &PortConfig) {
    if *controls == Controls::UNPROTECTED {
        return;
    }
    controls.replay_protect = config.controls.replay_protect;
    controls.replay_window = config.controls.replay_window;
}

/// The socket that a KaY speaks through, where the uplink is.
fn eapol_socket(
    config: &PortConfig,
    mka: &MkaConfig,
    owned: &OwnedUplink,
) -> Result<FilteredSocket, Problem> {
    let others = [NEAREST_NON_TPMR_BRIDGE, NEAREST_CUSTOMER_BRIDGE, NEAREST_BRIDGE];
    let others = others.into_iter().filter(|group| *group != mka.destination);
    let settings = FilteredConfig {
        ether_type: mka.ethertype,
        groups: others.chain([mka.destination]).map(|group| group.0).collect(),
        mark: super::mark(config),
        receive_buffer: EAPOL_BUFFER,
    };
    let name = config.uplink.clone();
    Ok(owned.uplink.run(move || FilteredSocket::open(&name, &settings))?)
}

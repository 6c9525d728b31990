//! MKA on a port: the KaY has a thread of its own, and here the port does what it is ordered to.

use std::{
    sync::{Arc, mpsc::SyncSender},
    time::{Duration, Instant},
};

use macsec::{Ki, MacAddress, Sci};
use macsec_io::packet::{FilteredConfig, FilteredSocket};
use mka::{
    NEAREST_BRIDGE, NEAREST_CUSTOMER_BRIDGE, NEAREST_NON_TPMR_BRIDGE,
    order::{Action, Controls, Order},
};

use super::{OwnedUplink, Runner};
use crate::{
    config::{MkaConfig, PortConfig},
    daemon::{
        kay_thread::{Input, KayThread, Output},
        keys,
        problem::{Problem, Where},
    },
    ki_journal::KiJournal,
    status::PortStatus,
};

/// How often the KaY is told where packet numbers are.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(500);
/// How long a KaY that has come to an unexpected end stays away.
const RESTART_PAUSE: Duration = Duration::from_secs(5);
/// Octets of the buffer for EAPOL: some hundred frames.
const EAPOL_BUFFER: usize = 256 * 1024;

/// The KaY of a port, and what it has been told.
pub(super) struct Mka {
    thread: KayThread,
    /// What it speaks as: the SCI of the port, and the address of the uplink.
    identity: (Sci, MacAddress),
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

/// Whether the KaY of a port, if it has one, and its session can go on when the configuration changes so.
pub(super) fn goes_on(old: &PortConfig, new: &PortConfig) -> bool {
    // What peers are told of.
    let told =
        |c: &PortConfig| (c.controls.protect_frames, c.controls.validate_frames, c.confidentiality);
    match (&old.mka, &new.mka) {
        // The KaY has the first key only.
        (Some(a), Some(b)) => {
            let first = |mka: &MkaConfig| mka.keys.first().map(|key| (key.ckn, key.cak.check));
            first(a) == first(b) && a.keeps_session(b) && told(old) == told(new)
        }
        (a, b) => a.is_none() && b.is_none(),
    }
}

impl Runner {
    /// Sees to it that the KaY is there, has its socket, and knows whether there is a signal.
    pub(super) fn mend_mka(&mut self) -> Result<(), Problem> {
        let config = Arc::clone(&self.config);
        let (Some(mka), Some(port), Some(owned)) = (&config.mka, &self.port, &self.uplink) else {
            return Ok(());
        };
        let identity = (port.secy().sci(), MacAddress(owned.state.mac));
        let carrier = owned.state.carrier;
        if self.mka.as_ref().is_some_and(|mka| mka.identity != identity) {
            self.end_mka();
        }
        if let Some((problem, until)) = &self.mka_pause {
            if Instant::now() < *until {
                return Err(problem.clone());
            }
            self.mka_pause = None;
        }
        if self.mka.is_none() {
            self.mka = Some(self.start_mka(mka, identity)?);
        }
        let (Some(running), Some(owned)) = (&mut self.mka, &self.uplink) else { return Ok(()) };
        if !running.has_socket {
            let socket = eapol_socket(&config, mka, owned)?;
            running.thread.tell(Input::Socket(Some(socket)));
            running.has_socket = true;
        }
        running.set_port_enabled(carrier);
        Ok(())
    }

    fn start_mka(&mut self, mka: &MkaConfig, identity: (Sci, MacAddress)) -> Result<Mka, Problem> {
        let (sci, source) = identity;
        let lasting = |reason: String| Problem::lasting(reason);
        let Some(config) = self.config.kay_config(sci, source) else {
            return Err(lasting("mka: not configured".to_owned()));
        };
        let journal = KiJournal::open(&self.surroundings.state_directory, sci)
            .map_err(|error| lasting(error.to_string()))?;
        self.kays += 1;
        let (name, address) = (&self.config.name, self.address.clone());
        let thread =
            KayThread::start(name, config, mka, journal, address, self.kays).map_err(lasting)?;
        Ok(Mka {
            thread,
            identity,
            has_socket: false,
            port_enabled: false,
            keys: Vec::new(),
            next_sample: Instant::now(),
        })
    }

    /// Ends the KaY. The port closes, and the keys go.
    pub(super) fn end_mka(&mut self) {
        let Some(mka) = self.mka.take() else { return };
        if let Some(port) = &mut self.port {
            port.set_controlled_port(false);
            keys::remove(port);
            let controls = port.forget_orders();
            self.problems.set(Where::Controls, controls.err().map(Problem::from));
        }
        self.tell_carrier();
        // It may be waiting for the disk.
        drop(mka);
    }

    /// The uplink has gone, or is to.
    pub(super) fn unplug_mka(&mut self) {
        if let Some(mka) = &mut self.mka {
            mka.set_port_enabled(false);
            mka.thread.tell(Input::Socket(None));
            mka.has_socket = false;
        }
    }

    /// Does what the KaY says, unless that is one that has been replaced.
    pub(super) fn hear_kay(&mut self, number: u64, output: Output) {
        let Some(mka) = self.mka.as_mut().filter(|mka| mka.thread.number() == number) else {
            return;
        };
        match output {
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
            Output::Ended(reason) => {
                self.end_mka();
                let text = format!("{reason}: the port is closed, and begins anew in a moment");
                let problem = Problem::passing(text);
                self.mka_pause = Some((problem.clone(), Instant::now() + RESTART_PAUSE));
                self.problems.set(Where::Mka, Some(problem));
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

    /// Takes what the configuration says that a session can go on with.
    pub(super) fn tune_mka(&self) {
        let (Some(running), Some(mka)) = (&self.mka, &self.config.mka) else { return };
        let (interval, on_peer_loss) = (mka.rekey_interval, mka.rekey_on_peer_loss);
        running.thread.tell(Input::Rekeying { interval, on_peer_loss });
    }

    /// Has the KaY make a new SAK.
    pub(super) fn rekey(&self, answer: SyncSender<Result<(), String>>) {
        match &self.mka {
            Some(mka) => mka.thread.tell(Input::Rekey(answer)),
            // Nobody may be waiting any more.
            None => drop(answer.send(Err(match self.config.mka {
                Some(_) => "MKA has not begun, see `macsec status`".to_owned(),
                None => "it has no [port.mka]".to_owned(),
            }))),
        }
    }

    /// Answers with the status of the port. The KaY adds what is its own, and nobody waits for it here.
    pub(super) fn tell_status(&mut self, answer: SyncSender<PortStatus>) {
        let status = self.status();
        match &self.mka {
            Some(mka) => mka.thread.tell(Input::Status(Box::new(status), answer)),
            None => drop(answer.send(status)),
        }
    }

    #[cfg(test)]
    pub(super) fn panic_mka(&self) {
        if let Some(mka) = &self.mka {
            mka.thread.tell(Input::Panic);
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

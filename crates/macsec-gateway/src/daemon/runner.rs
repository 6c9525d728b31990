//! The thread of a port: it brings the port up, moves its frames, and mends what breaks.
//!
//! What a port needs may come and go: the uplink, its signal, the TAP. The thread goes on in any
//! case. It looks at what is missing once a second and whenever the kernel says that links have
//! changed, and puts together what it can.

use std::{
    os::fd::{AsFd, BorrowedFd},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::SyncSender,
    },
    thread,
    time::{Duration, Instant},
};

use macsec::{InstallError, Sci};
use macsec_io::{
    netlink::{LinkMonitor, Netlink},
    tap::Tap,
};
use tracing::{info, warn};

use super::{
    Surroundings,
    keys::{self, KeysError},
    port_thread::Order,
    problem::{Problem, Problems, Where},
};
use crate::{
    config::{Isolation, PortConfig},
    mailbox::Mailbox,
    port::{Captures, Port, PortError, RingSettings, UplinkRings},
    status::{self, Observed, PortStatus, UplinkState},
    uplink::{self, Claim, Shut, Uplink},
};

/// How often to look at what is missing, and at peers that have fallen silent.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Between two looks when the kernel has news of links: it may have a great many.
const NEWS_PAUSE: Duration = Duration::from_millis(100);
/// How long the uplink may take to take what is in its ring when the port ends.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(500);

/// An uplink that is ours.
struct OwnedUplink {
    _claim: Claim,
    uplink: Uplink,
    /// Tells of changes where the uplink lives.
    monitor: LinkMonitor,
    netlink: Netlink,
    state: UplinkState,
}

/// What the thread of a port works with.
pub(super) struct Runner {
    config: Arc<PortConfig>,
    surroundings: Arc<Surroundings>,
    /// From the first time on that the uplink is there: it gives the SCI.
    port: Option<Port>,
    uplink: Option<OwnedUplink>,
    /// MTU and MAC address of the TAP.
    tap: Option<(u32, [u8; 6])>,
    /// The TAP of a SecY that is to be made anew.
    spare_tap: Option<Tap>,
    keys_since: Option<Instant>,
    problems: Problems,
    captures: Option<Captures>,
    /// What the host has been told.
    carrier: bool,
    /// When to try for the uplink again.
    retry_uplink: Instant,
}

impl Runner {
    pub(super) fn new(
        config: Arc<PortConfig>,
        surroundings: Arc<Surroundings>,
        captures: Option<Captures>,
    ) -> Self {
        let problems = Problems::new(config.name.clone());
        Self {
            config,
            surroundings,
            port: None,
            uplink: None,
            tap: None,
            spare_tap: None,
            keys_since: None,
            problems,
            captures,
            carrier: false,
            retry_uplink: Instant::now(),
        }
    }

    /// Serves until ordered to stop. Says on `started` what keeps the port from working at first.
    pub(super) fn run(
        mut self,
        orders: &Mailbox<Order>,
        turns: &AtomicU64,
        started: &SyncSender<Vec<Problem>>,
    ) {
        let mut home = LinkMonitor::open();
        self.mend();
        // Nobody may be waiting any more.
        let _ = started.send(self.problems.all());
        let mut last_look = Instant::now();
        let mut next_look = last_look + LOOK_INTERVAL;
        let mut next_tick = next_look;
        loop {
            turns.fetch_add(1, Ordering::Relaxed);
            let woken = self.turn(orders.as_fd(), home.as_ref().ok(), next_look.min(next_tick));
            if woken {
                for order in orders.take_all() {
                    match order {
                        Order::Stop => return self.stop(),
                        #[cfg(test)]
                        Order::Panic => panic!("as ordered"),
                        Order::Status(answer) => drop(answer.send(self.status())),
                        Order::Apply(config, answer) => {
                            self.apply(config);
                            drop(answer.send(self.problems.all()));
                        }
                    }
                }
            }
            let news = |monitor: &mut LinkMonitor| monitor.drain().unwrap_or(true);
            let at_home = woken && home.as_mut().is_ok_and(news);
            let there = woken && self.uplink.as_mut().is_some_and(|u| news(&mut u.monitor));
            if at_home || there {
                next_look = next_look.min(last_look + NEWS_PAUSE);
            }
            let now = Instant::now();
            if now >= next_look {
                (last_look, next_look) = (now, now + LOOK_INTERVAL);
                self.look();
                self.mend();
            }
            if now >= next_tick {
                next_tick = now + LOOK_INTERVAL;
                self.tick();
            }
        }
    }

    /// Moves frames, or waits. Returns whether somebody wants something.
    fn turn(&mut self, orders: BorrowedFd<'_>, home: Option<&LinkMonitor>, until: Instant) -> bool {
        let there = self.uplink.as_ref().map(|uplink| uplink.monitor.as_fd());
        let home = home.map(AsFd::as_fd);
        let wakers: arrayvec::ArrayVec<_, 3> =
            [Some(orders), home, there].into_iter().flatten().collect();
        let timeout = until.saturating_duration_since(Instant::now());
        let Some(port) = &mut self.port else {
            let mut ready = [macsec_io::poll::Readiness::default(); 3];
            let ready = &mut ready[..wakers.len()];
            let waited = macsec_io::poll::wait_readable_list(&wakers, ready, Some(timeout));
            if waited.is_err() {
                thread::sleep(timeout);
            }
            return true;
        };
        let result = port.turn(&wakers, timeout);
        drop(wakers);
        result.unwrap_or_else(|error| {
            self.lose(&error);
            true
        })
    }

    /// Something the port stood on has gone.
    fn lose(&mut self, error: &PortError) {
        match error {
            PortError::Uplink(_) => self.lose_uplink(),
            PortError::Tap(_) | PortError::TapGone => {
                warn!(port = self.config.name, tap = self.config.tap, "TAP gone: {error}");
                if let Some(port) = &mut self.port {
                    port.detach_tap();
                }
                self.tap = None;
            }
            // The system is out of memory or the like: not to be asked again at once.
            _ => {
                warn!(port = self.config.name, "{error}");
                thread::sleep(Duration::from_millis(100));
            }
        }
    }

    fn lose_uplink(&mut self) {
        let Some(owned) = self.uplink.take() else {
            return;
        };
        warn!(port = self.config.name, uplink = self.config.uplink, "uplink gone");
        if let Some(port) = &mut self.port {
            port.detach_uplink();
        }
        // It is gone, so there is nothing to give back.
        drop(owned);
        self.problems.set(Where::Isolation, None);
    }

    /// What is to be done once a second.
    fn tick(&mut self) {
        if let Some((marks, secy)) = self.port.as_mut().and_then(Port::marks_mut) {
            marks.tick(secy);
        }
        let Some(owned) = &mut self.uplink else {
            return;
        };
        let problem = match owned.uplink.keep_shut() {
            Ok(Shut::AsLeft) => None,
            Ok(Shut::Repaired(what)) => {
                let what = what.join(", ");
                let (port, uplink) = (&self.config.name, &self.config.uplink);
                warn!(port, uplink, "the host was let onto the uplink; put back: {what}");
                if let Some(port) = &mut self.port {
                    port.count_uplink_opened();
                }
                None
            }
            Ok(Shut::Gone) => return self.lose_uplink(),
            Err(error) => Some(Problem::from(error)),
        };
        self.problems.set(Where::Isolation, problem);
    }

    /// Looks at what is there: the uplink, its signal and its MTU.
    fn look(&mut self) {
        let Some(owned) = &mut self.uplink else {
            return;
        };
        match owned.state() {
            Err(_) => self.lose_uplink(),
            Ok(state) if state.mtu != owned.state.mtu || state.mac != owned.state.mac => {
                info!(port = self.config.name, mtu = state.mtu, "the uplink has changed");
                owned.state = state;
                // The rings have been made for the former MTU.
                if let Some(port) = &mut self.port {
                    port.detach_uplink();
                }
                self.tap = None;
            }
            Ok(state) => owned.state = state,
        }
    }

    /// Puts together whatever is missing and can be had.
    fn mend(&mut self) {
        if self.uplink.is_none() && Instant::now() >= self.retry_uplink {
            let attempt = self.mend_uplink();
            // An attempt that fails may have changed the interface and changed it back, which is
            // news of links, and not to be answered by the next attempt at once.
            if attempt.as_ref().is_err_and(|problem| !problem.passing) {
                self.retry_uplink = Instant::now() + LOOK_INTERVAL;
            }
            self.problems.set(Where::Uplink, attempt.err());
        }
        let attempt = self.mend_port();
        self.problems.set(Where::Port, attempt.err());
        let attempt = self.mend_tap();
        self.problems.set(Where::Tap, attempt.err());
        let attempt = self.mend_keys();
        self.problems.set(Where::Keys, attempt.err());
        let failing = self.port.as_ref().and_then(Port::marks).and_then(|m| m.failures().present);
        self.problems.set(Where::State, failing.map(Problem::passing));
        self.tell_carrier();
    }

    fn mend_uplink(&mut self) -> Result<(), Problem> {
        let settings = uplink::Settings { mtu: self.config.uplink_mtu };
        let (claim, uplink) =
            self.surroundings.take_uplink(&self.config.uplink, self.config.isolation, &settings)?;
        let owned = OwnedUplink::new(claim, uplink)?;
        info!(
            port = self.config.name,
            uplink = self.config.uplink,
            mtu = owned.state.mtu,
            carrier = owned.state.carrier,
            "uplink taken"
        );
        self.uplink = Some(owned);
        // Its MTU and MAC address follow those of the uplink.
        self.tap = None;
        Ok(())
    }

    /// The SecY, and the rings of the uplink.
    fn mend_port(&mut self) -> Result<(), Problem> {
        let config = Arc::clone(&self.config);
        let Some(UplinkState { mac, mtu, carrier }) = self.uplink.as_ref().map(|u| u.state) else {
            return Ok(());
        };
        let sci = config.sci.unwrap_or(Sci::new(macsec::MacAddress(mac), Sci::PORT_END_STATION));
        if self.port.as_ref().is_some_and(|port| port.secy().sci() != sci) {
            self.discard_port();
        }
        let port = match &mut self.port {
            Some(port) => port,
            None => {
                let mut port = Port::new(sci, config.controls)?;
                self.problems.set(Where::Controls, None);
                port.set_bypass(&config.bypass);
                port.set_captures(self.captures.take());
                if let Some(tap) = self.spare_tap.take() {
                    port.attach_tap(tap);
                }
                self.port.insert(port)
            }
        };
        if let (false, Some(owned)) = (port.has_uplink(), &self.uplink) {
            let settings = RingSettings {
                mtu,
                promiscuous: config.promiscuous,
                address: config.mac.map(|mac| mac.0).filter(|address| *address != mac),
                mark: match config.isolation {
                    Isolation::Filter => uplink::MARK,
                    Isolation::Namespace => 0,
                },
            };
            let name = config.uplink.clone();
            let rings = owned.uplink.run(move || UplinkRings::open(&name, &settings))?;
            port.attach_uplink(rings, mtu);
        }
        port.set_uplink_carrier(carrier);
        Ok(())
    }

    fn mend_tap(&mut self) -> Result<(), Problem> {
        let (Some(port), Some(owned)) = (&mut self.port, &self.uplink) else {
            return Ok(());
        };
        let config = &self.config;
        let greatest = config.greatest_mtu(owned.state.mtu);
        let mtu = config.mtu.unwrap_or(greatest);
        if mtu > greatest {
            return Err(Problem::lasting(format!(
                "mtu = {mtu}: at most {greatest} over an uplink with MTU {}",
                owned.state.mtu
            )));
        }
        if self.tap.is_some() && port.tap().is_some() {
            return Ok(());
        }
        let mac = config.mac.map_or(owned.state.mac, |mac| mac.0);
        if port.tap().is_none() {
            let tap = Tap::create(&config.tap)?;
            // Plugged in when the port is.
            tap.set_carrier(false)?;
            self.carrier = false;
            port.attach_tap(tap);
        }
        let mut netlink = Netlink::open()?;
        // Only if need be: some kernels change no address of an interface that is up.
        if netlink.link(&config.tap)?.mac != Some(mac) {
            netlink.set_mac(&config.tap, mac)?;
        }
        netlink.set_mtu(&config.tap, mtu)?;
        netlink.set_up(&config.tap)?;
        info!(port = config.name, tap = config.tap, mtu, "TAP up");
        self.tap = Some((mtu, mac));
        Ok(())
    }

    fn mend_keys(&mut self) -> Result<(), Problem> {
        let (Some(port), Some(keys)) = (&mut self.port, &self.config.static_keys) else {
            return Ok(());
        };
        if self.keys_since.is_some() {
            return Ok(());
        }
        if let Err(error) = keys::install(port, &self.config, keys, &self.surroundings.store) {
            keys::remove(port);
            if matches!(error, KeysError::Install(InstallError::PnRegress)) {
                // The disk has failed meanwhile, and the SecY has seen more than the record holds. None
                // of that has been sent or delivered, so the record is right, for another SecY.
                self.discard_port();
            }
            return Err(Problem::lasting(error.to_string()));
        }
        info!(
            port = self.config.name,
            ki = %keys::ki(&keys.key),
            an = %keys.an,
            cipher_suite = %self.config.cipher_suite,
            "static keys in use (for labs only)"
        );
        self.keys_since = Some(Instant::now());
        Ok(())
    }

    /// Plugs the TAP in while the host may use the port.
    fn tell_carrier(&mut self) {
        let Some((port, tap)) = self.port.as_ref().and_then(|port| Some((port, port.tap()?)))
        else {
            return;
        };
        let enabled = port.is_enabled();
        if enabled == self.carrier {
            return;
        }
        match tap.set_carrier(enabled) {
            Ok(()) => {
                info!(
                    port = self.config.name,
                    controlled_port_enabled = enabled,
                    "controlled port"
                );
                self.carrier = enabled;
            }
            Err(error) => warn!(port = self.config.name, "{error}"),
        }
    }

    /// Takes another configuration, and touches nothing that it does not change.
    fn apply(&mut self, config: Arc<PortConfig>) {
        let old = std::mem::replace(&mut self.config, config);
        let new = &self.config;
        let uplink = |c: &PortConfig| (c.isolation, c.uplink_mtu);
        self.retry_uplink = Instant::now();
        if old.uplink != new.uplink {
            self.release_uplink(&old.uplink);
        } else if uplink(&old) != uplink(new) {
            // It stays shut, and is taken anew as it is.
            if let Some(port) = &mut self.port {
                port.detach_uplink();
            }
            self.uplink = None;
            self.problems.set(Where::Isolation, None);
        } else if (old.promiscuous, old.mac) != (new.promiscuous, new.mac)
            && let Some(port) = &mut self.port
        {
            port.detach_uplink();
        }
        let new = &self.config;
        if old.tap != new.tap
            && let Some(port) = &mut self.port
        {
            port.detach_tap();
        }
        let tap = |c: &PortConfig| {
            (c.tap.clone(), c.mac, c.mtu, c.inner_vlan_tags, c.controls.clear_vlan_tags)
        };
        if tap(&old) != tap(new) {
            self.tap = None;
        }
        let keys = |c: &PortConfig| (c.cipher_suite, c.confidentiality);
        let same_keys = match (&old.static_keys, &new.static_keys) {
            (Some(a), Some(b)) => a.gives_same_sas(b) && keys(&old) == keys(new),
            (a, b) => a.is_none() && b.is_none(),
        };
        if !same_keys && let Some(port) = &mut self.port {
            keys::remove(port);
            self.keys_since = None;
        }
        if let Some(port) = &mut self.port {
            port.set_bypass(&new.bypass);
            let controls = port.set_controls(new.controls);
            self.problems.set(Where::Controls, controls.err().map(Problem::from));
        }
        self.mend();
    }

    fn status(&mut self) -> PortStatus {
        let observed = Observed {
            config: &self.config,
            uplink: self.uplink.as_ref().map(|owned| owned.state),
            tap: self.tap,
            key_age: self.keys_since.map_or(Duration::ZERO, |since| since.elapsed()),
            problems: self.problems.all().iter().map(ToString::to_string).collect(),
        };
        status::port_status(self.port.as_mut(), &observed)
    }

    /// Gives up the SecY, for another to be made. The TAP stays.
    fn discard_port(&mut self) {
        if let Some(mut port) = self.port.take() {
            keys::remove(&mut port);
            self.captures = port.set_captures(None);
            self.spare_tap = port.detach_tap();
            self.keys_since = None;
        }
    }

    /// Gives the uplink `name` back, whether it is ours now or was left shut.
    fn release_uplink(&mut self, name: &str) {
        if let Some(port) = &mut self.port {
            port.detach_uplink();
        }
        let released = match self.uplink.take() {
            Some(owned) => owned.uplink.release(),
            None => self.surroundings.give_back(name),
        };
        if let Err(error) = released {
            warn!(port = self.config.name, uplink = name, "not put back: {error}");
        }
        self.problems.set(Where::Isolation, None);
    }

    /// Sends what is under way, writes down where the packet numbers are, puts everything back.
    fn stop(mut self) {
        if let Some(port) = &mut self.port {
            // The host stops sending, and what it has sent is still sent on.
            if let Some(tap) = port.tap()
                && let Err(error) = tap.set_carrier(false)
            {
                warn!(port = self.config.name, "{error}");
            }
            port.drain(Instant::now() + DRAIN_TIMEOUT);
        }
        // Before anything that may have to wait for the disk.
        let config = Arc::clone(&self.config);
        self.release_uplink(&config.uplink);
        if let Some(port) = &mut self.port {
            port.detach_tap();
            keys::remove(port);
        }
        info!(port = self.config.name, "port ended");
    }
}

impl OwnedUplink {
    fn new(claim: Claim, uplink: Uplink) -> Result<Self, Problem> {
        let (monitor, mut netlink) =
            uplink.run(|| Ok::<_, Problem>((LinkMonitor::open()?, Netlink::open()?)))?;
        let state = state_of(&mut netlink, uplink.name())?;
        Ok(Self { _claim: claim, uplink, monitor, netlink, state })
    }

    fn state(&mut self) -> Result<UplinkState, Problem> {
        state_of(&mut self.netlink, self.uplink.name())
    }
}

fn state_of(netlink: &mut Netlink, name: &str) -> Result<UplinkState, Problem> {
    let link = netlink.link(name)?;
    let mac = link
        .mac
        .ok_or_else(|| Problem::lasting(format!("uplink = {name:?}: no Ethernet interface")))?;
    Ok(UplinkState { mac, mtu: link.mtu, carrier: link.up && link.carrier })
}

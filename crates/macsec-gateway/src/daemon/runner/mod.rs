//! The thread of a port: it brings the port up, moves its frames, and mends what breaks.
//!
//! What a port needs may come and go: the uplink, its signal, the TAP. The thread goes on in any
//! case. It looks at what is missing once a second and whenever the kernel says that links have
//! changed, and puts together what it can.

mod mend;
mod mka;
mod owned_uplink;

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

use macsec::Ki;
use macsec_io::{netlink::LinkMonitor, tap::Tap};
use tracing::{info, warn};

use super::{
    Surroundings,
    key_stores::Keys,
    keys,
    port_thread::Order,
    problem::{Problem, Problems, Where},
};
use crate::{
    config::{Isolation, PortConfig},
    mailbox::{Address, Mailbox},
    port::{Captures, Port, PortError},
    status::{self, Observed, PortStatus},
    uplink::{self, Shut},
};
use mka::{KayWaits, Mka};
use owned_uplink::OwnedUplink;

/// How often to look at what is missing, and at peers that have fallen silent.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Between two looks when the kernel has news of links: it may have a great many.
const NEWS_PAUSE: Duration = Duration::from_millis(100);
/// How long the uplink may take to take what is in its ring when the port ends.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(500);

/// What the thread of a port works with.
pub(super) struct Runner {
    config: Arc<PortConfig>,
    /// The keys of MKA.
    keys: Keys,
    surroundings: Arc<Surroundings>,
    /// From the first time on that the uplink is there: it gives the SCI.
    port: Option<Port>,
    uplink: Option<OwnedUplink>,
    /// MTU and MAC address of the TAP.
    tap: Option<(u32, [u8; 6])>,
    /// The TAP of a SecY that is to be made anew.
    spare_tap: Option<Tap>,
    /// Since when static keys have been in use.
    keys_since: Option<Instant>,
    mka: Option<Mka>,
    kay_waits: KayWaits,
    /// How many KaYs there have been: what one of them says must not be taken for another's.
    kays: u64,
    /// Where orders to this thread go.
    address: Address<Order>,
    problems: Problems,
    captures: Option<Captures>,
    /// What the host has been told.
    carrier: bool,
    /// When to try for the uplink again.
    retry_uplink: Instant,
    /// Who wants to know what does not work, once all has begun.
    unanswered: Vec<SyncSender<Vec<Problem>>>,
}

impl Runner {
    pub(super) fn new(
        config: Arc<PortConfig>,
        keys: Keys,
        surroundings: Arc<Surroundings>,
        captures: Option<Captures>,
        address: Address<Order>,
    ) -> Self {
        let problems = Problems::new(config.name.clone());
        Self {
            config,
            keys,
            surroundings,
            port: None,
            uplink: None,
            tap: None,
            spare_tap: None,
            keys_since: None,
            mka: None,
            kay_waits: KayWaits::default(),
            kays: 0,
            address,
            problems,
            captures,
            carrier: false,
            retry_uplink: Instant::now(),
            unanswered: Vec::new(),
        }
    }

    /// Serves until ordered to stop. Says on `started` what keeps the port from working at first.
    pub(super) fn run(
        mut self,
        orders: &Mailbox<Order>,
        turns: &AtomicU64,
        started: SyncSender<Vec<Problem>>,
    ) {
        let mut home = LinkMonitor::open();
        self.unanswered.push(started);
        self.mend();
        let mut last_look = Instant::now();
        let mut next_look = last_look + LOOK_INTERVAL;
        let mut next_tick = next_look;
        loop {
            turns.fetch_add(1, Ordering::Relaxed);
            let sample = self.mka.as_ref().and_then(Mka::sample_due);
            let mka_due = [sample, self.kay_waits.due()].into_iter().flatten();
            let due = mka_due.fold(next_look.min(next_tick), Instant::min);
            let woken = self.turn(orders.as_fd(), home.as_ref().ok(), due);
            if woken {
                for order in orders.take_all() {
                    match order {
                        Order::Stop => return self.stop(),
                        #[cfg(test)]
                        Order::Panic => panic!("as ordered"),
                        #[cfg(test)]
                        Order::TellKay(input) => self.tell_mka(input),
                        Order::Status(answer) => self.tell_status(answer),
                        Order::Rekey(answer) => self.rekey(answer),
                        Order::Kay(number, output) => self.hear_kay(number, output),
                        Order::Keys(keys) => self.take_keys(keys),
                        Order::Apply(config, keys, answer) => {
                            self.unanswered.push(answer);
                            self.apply(config, keys);
                        }
                    }
                }
                // The KaY may have opened the port, or closed it.
                self.tell_carrier();
            }
            self.sample_pns();
            self.answer_without_kay();
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
        self.detach_uplink();
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
            Ok(state) => {
                if state.carrier != owned.state.carrier {
                    let (port, uplink) = (&self.config.name, &self.config.uplink);
                    info!(port, uplink, carrier = state.carrier, "signal of the uplink");
                }
                owned.state = state;
            }
        }
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
    fn apply(&mut self, config: Arc<PortConfig>, keys: Keys) {
        self.keys = keys;
        let old = std::mem::replace(&mut self.config, config);
        let new = &self.config;
        let uplink = |c: &PortConfig| (c.isolation, c.uplink_mtu);
        self.retry_uplink = Instant::now();
        if old.uplink != new.uplink {
            self.release_uplink(&old.uplink);
        } else if uplink(&old) != uplink(new) {
            // It stays shut, and is taken anew as it is.
            self.detach_uplink();
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
        if !mka::goes_on(&old, new) {
            self.end_mka();
            self.kay_waits.forgive();
        }
        let new = &self.config;
        if let Some(port) = &mut self.port {
            if self.mka.is_none() {
                port.set_controlled_port(new.mka.is_none());
            }
            port.set_eapol_ether_type(eapol_ether_type(new));
            port.set_bypass(&new.bypass);
            let controls = port.set_controls(new.controls);
            self.problems.set(Where::Controls, controls.err().map(Problem::from));
        }
        self.tune_mka();
        self.mend();
    }

    fn status(&mut self) -> PortStatus {
        let (mka, keys_since) = (&self.mka, self.keys_since);
        let key_age = |ki: Ki| match (mka, keys_since) {
            (Some(mka), _) => mka.key_age(ki),
            (None, since) => since.map_or(Duration::ZERO, |since| since.elapsed()),
        };
        let observed = Observed {
            config: &self.config,
            uplink: self.uplink.as_ref().map(|owned| owned.state),
            tap: self.tap,
            key_age: &key_age,
            problems: self.problems.all().iter().map(ToString::to_string).collect(),
        };
        status::port_status(self.port.as_mut(), &observed)
    }

    /// Gives up the SecY, for another to be made. The TAP stays.
    fn discard_port(&mut self) {
        self.end_mka();
        if let Some(mut port) = self.port.take() {
            keys::remove(&mut port);
            self.captures = port.set_captures(None);
            self.spare_tap = port.detach_tap();
            self.keys_since = None;
        }
    }

    /// Lets go of the uplink, which is about to go or has gone.
    fn detach_uplink(&mut self) {
        if let Some(port) = &mut self.port {
            port.detach_uplink();
        }
        self.unplug_mka();
    }

    /// Gives the uplink `name` back, whether it is ours now or was left shut.
    fn release_uplink(&mut self, name: &str) {
        self.detach_uplink();
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
        // Before anything that may have to wait for the disk, as the end of the KaY does.
        let config = Arc::clone(&self.config);
        self.release_uplink(&config.uplink);
        self.end_mka();
        if let Some(port) = &mut self.port {
            port.detach_tap();
            keys::remove(port);
        }
        self.kay_waits.join();
        info!(port = self.config.name, "port ended");
    }
}

/// The mark on what we send ourselves, by which the barrier at the uplink lets it pass.
fn mark(config: &PortConfig) -> u32 {
    match config.isolation {
        Isolation::Filter => uplink::MARK,
        Isolation::Namespace => 0,
    }
}

/// The EtherType of a port's EAPOL.
fn eapol_ether_type(config: &PortConfig) -> u16 {
    config.mka.as_ref().map_or(::mka::ETHERTYPE_EAPOL, |mka| mka.ethertype)
}

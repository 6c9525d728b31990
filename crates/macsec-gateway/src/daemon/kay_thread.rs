//! The thread of a KaY: it agrees the keys of a port with the other end, and has the port's thread use them.
//!
//! ```text
//!   port's thread  --- socket, carrier, answers, packet numbers --->  this thread  <---> EAPOL at the uplink
//!                  <--- orders ------------------------------------
//! ```
//!
//! No data comes here, so that no flood of it delays a hello. Neither thread ever waits for the other. The time is
//! that since boot, sleep of the machine included: who has slept has no live peers.
//!
//! Before the port may transmit with a key, the key is on disk as used: see [`KiJournal`].

use std::{
    io,
    os::fd::AsFd,
    sync::mpsc::SyncSender,
    thread::{self, JoinHandle},
    time::Duration,
};

use macsec_io::{
    packet::{FilteredSocket, PacketError},
    poll::{Readiness, wait_readable_list},
};
use mka::{
    Kay, KayConfig, KeyPns, MAX_FRAME_LEN, OsRandom, Random,
    order::{Action, Order, OrderFailure, OrderId},
};
use tracing::{debug, warn};

use super::{kay_messages::KayLog, port_thread};
use crate::{
    config::MkaConfig,
    ki_journal::KiJournal,
    mailbox::{Address, Mailbox, mailbox},
    status::{KayView, KeyServerStatus, LastWell, MkaStatus, PortStatus, key_server},
};

/// Frames taken from the wire in one turn: then it is the turn of timers and of the mailbox.
const FRAME_BUDGET: usize = 64;
/// However soon something is due: no faster than this.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
/// How long to wait if waiting itself fails, for want of memory say.
const POLL_PAUSE: Duration = Duration::from_millis(100);
/// The longest frame that is taken: what is longer is no MKPDU. Two VLAN tags may be among it.
const BUFFER_LEN: usize = MAX_FRAME_LEN + 8;

/// What the thread of a port tells its KaY.
pub(super) enum Input {
    /// The socket for EAPOL at the uplink, or that there is none any more.
    Socket(Option<FilteredSocket>),
    /// `portEnabled`: whether there is a signal.
    PortEnabled(bool),
    /// How an order has been carried out.
    Answer(OrderId, Result<(), OrderFailure>),
    /// Where the packet numbers of all keys are.
    Pns(Vec<KeyPns>),
    /// When SAKs are made without need.
    Rekeying { interval: Option<Duration>, on_peer_loss: bool },
    /// Make a new SAK. The answer is why not.
    Rekey(SyncSender<Result<(), String>>),
    /// Add what is yours to the status of the port, and answer with it.
    Status(Box<PortStatus>, SyncSender<PortStatus>),
    /// To end.
    Stop,
    /// To panic.
    #[cfg(test)]
    Panic,
}

/// What a KaY tells the thread of its port. The number tells it from those before it.
pub(super) enum Output {
    /// Something to do.
    Order(Box<Order>),
    /// It has ended, and why. It has not been ordered to.
    Ended(String),
}

/// The thread of a KaY as the port's sees it. It ends when this is dropped.
pub(super) struct KayThread {
    inputs: Address<Input>,
    thread: Option<JoinHandle<()>>,
    number: u64,
}

impl KayThread {
    /// Starts the KaY of the port `name`, whose thread is at `port`. `number` is no other KaY's of this
    /// port.
    ///
    /// # Errors
    /// Why there is none, in one line.
    pub(super) fn start(
        name: &str,
        config: KayConfig,
        mka: &MkaConfig,
        journal: KiJournal,
        port: Address<port_thread::Order>,
        number: u64,
    ) -> Result<Self, String> {
        let Some(key) = mka.keys.first() else { return Err("mka: no key".to_owned()) };
        let kay = Kay::new(config, key.cak(), key.ckn, OsRandom, now())
            .map_err(|error| format!("mka: {error}"))?;
        let thread_error = |error: io::Error| format!("thread for MKA: {error}");
        let (inputs, mailbox) = mailbox().map_err(thread_error)?;
        let log = KayLog::new(name, key.ckn);
        let thread = thread::Builder::new().name(format!("kay-{name}")).spawn(move || {
            let panicked = Some("MKA: its thread has panicked".to_owned());
            let mut farewell = Farewell { port: port.clone(), number, reason: panicked };
            let thread = Thread {
                kay,
                journal,
                port,
                number,
                socket: None,
                log,
                failed_sends: 0,
                last_well: LastWell::default(),
                unrecorded: None,
            };
            farewell.reason = thread.run(&mailbox);
        });
        let thread = Some(thread.map_err(thread_error)?);
        Ok(Self { inputs, thread, number })
    }

    /// Tells it something.
    pub(super) fn tell(&self, input: Input) {
        // If it has ended, it has said so, or is about to.
        self.inputs.send(input);
    }

    /// Which of the KaYs of its port it is.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for KayThread {
    fn drop(&mut self) {
        self.tell(Input::Stop);
        if let Some(thread) = self.thread.take() {
            // It has panicked, and said so.
            let _ = thread.join();
        }
    }
}

/// Tells the port's thread that this one ends, if it has not been told to.
struct Farewell {
    port: Address<port_thread::Order>,
    number: u64,
    reason: Option<String>,
}

impl Drop for Farewell {
    fn drop(&mut self) {
        if let Some(reason) = self.reason.take() {
            self.port.send(port_thread::Order::Kay(self.number, Output::Ended(reason)));
        }
    }
}

/// What the thread works with.
struct Thread<R> {
    kay: Kay<R>,
    journal: KiJournal,
    port: Address<port_thread::Order>,
    number: u64,
    socket: Option<FilteredSocket>,
    log: KayLog,
    /// MKPDUs that the uplink did not take.
    failed_sends: u64,
    last_well: LastWell,
    /// Why the last SAK could not be put on record, if it could not.
    unrecorded: Option<String>,
}

impl<R: Random> Thread<R> {
    /// Serves until it is told to stop, or cannot go on: then it says why.
    fn run(mut self, mailbox: &Mailbox<Input>) -> Option<String> {
        let mut octets = [0; BUFFER_LEN];
        loop {
            self.deliver();
            if self.kay.has_failed() {
                return Some("MKA: the system's random number generator has failed".to_owned());
            }
            let wire = self.wait(mailbox);
            for input in mailbox.take_all() {
                if matches!(input, Input::Stop) {
                    return None;
                }
                self.take(input);
                self.deliver();
            }
            if wire.readable || wire.error {
                self.receive(&mut octets);
            }
            let now = now();
            if self.kay.poll_timeout().is_some_and(|due| due <= now) {
                self.kay.handle_timeout(now);
            }
            self.log.tick(now);
        }
    }

    /// Waits for mail, for frames, or for the time that something is due. Says what is with the socket.
    fn wait(&self, mailbox: &Mailbox<Input>) -> Readiness {
        let due = self.kay.poll_timeout().map(|due| due.saturating_sub(now()).max(SHORTEST_WAIT));
        let sources = [Some(mailbox.as_fd()), self.socket.as_ref().map(AsFd::as_fd)];
        let sources: arrayvec::ArrayVec<_, 2> = sources.into_iter().flatten().collect();
        let mut ready = [Readiness::default(); 2];
        if wait_readable_list(&sources, &mut ready[..sources.len()], due).is_err() {
            thread::sleep(POLL_PAUSE);
        }
        ready[1]
    }

    fn take(&mut self, input: Input) {
        let now = now();
        match input {
            Input::Socket(socket) => self.socket = socket,
            Input::PortEnabled(enabled) => self.kay.set_port_enabled(now, enabled),
            Input::Answer(id, result) => self.kay.order_done(now, id, result),
            Input::Pns(pns) => self.kay.report_pns(now, &pns),
            Input::Rekeying { interval, on_peer_loss } => {
                self.kay.set_rekeying(now, interval, on_peer_loss);
            }
            Input::Rekey(answer) => {
                let asked = self.kay.request_rekey(now);
                // Nobody may be waiting any more.
                let _ = answer.send(if asked { Ok(()) } else { Err(self.why_no_rekey()) });
            }
            Input::Status(mut status, answer) => {
                let socket = self.socket.as_ref();
                let missed = socket.and_then(|socket| socket.dropped().ok()).unwrap_or_default();
                let (kay, failed_sends, last_well) =
                    (&self.kay, self.failed_sends, &self.last_well);
                let unrecorded = self.unrecorded.as_deref();
                let view = KayView { kay, now, failed_sends, missed, last_well, unrecorded };
                status.set_mka(MkaStatus::of(&view));
                let _ = answer.send(*status);
            }
            Input::Stop => {}
            #[cfg(test)]
            Input::Panic => panic!("as ordered"),
        }
    }

    fn why_no_rekey(&self) -> String {
        match key_server(&self.kay) {
            Some(KeyServerStatus { sci, priority, is_self: false }) => {
                format!("the key server is {sci} (priority {priority}): ask there for a new SAK")
            }
            _ => "there is no session, so there is no SAK to replace".to_owned(),
        }
    }

    /// Takes what has arrived, as much as one turn allows.
    fn receive(&mut self, octets: &mut [u8; BUFFER_LEN]) {
        for _ in 0..FRAME_BUDGET {
            let Some(socket) = &self.socket else { return };
            match socket.recv(octets) {
                Ok(Some(len)) => {
                    let now = now();
                    if let Err(discard) = self.kay.handle_frame(now, &octets[..len]) {
                        self.log.discarded(now, discard, &self.kay);
                    }
                    self.deliver();
                }
                Ok(None) => return,
                // The port's thread looks after the uplink.
                Err(PacketError::InterfaceDown | PacketError::InterfaceGone) => return,
                Err(error) => {
                    debug!(port = self.log.port(), "EAPOL socket: {error}");
                    return;
                }
            }
        }
    }

    /// Passes on everything that has come of the last input.
    fn deliver(&mut self) {
        let now = now();
        self.last_well.note(&self.kay);
        loop {
            while let Some(event) = self.kay.poll_event() {
                self.log.event(now, &event, &self.kay);
            }
            // An order that is answered here may lead to others.
            let Some(order) = self.kay.poll_order() else { break };
            self.give(now, order);
        }
        let mut frame = [0; MAX_FRAME_LEN];
        while let Some(len) = self.kay.poll_transmit(now, &mut frame) {
            self.send(now, &frame[..len]);
        }
    }

    /// Gives an order to the port; not before a key that is to be transmitted with is on record.
    fn give(&mut self, now: Duration, order: Order) {
        if let Action::EnableTransmit { ki, .. } = order.action {
            let refused = if self.journal.used_before(&ki) {
                Some(OrderFailure::KeyUsedBefore)
            } else {
                let known = self.journal.is_recorded(&ki);
                let failure = self.journal.record(ki).err();
                // To go back to a key that is on record says nothing about the next one.
                if !known {
                    self.unrecorded = failure.as_ref().map(ToString::to_string);
                }
                failure.map(|error| {
                    warn!(port = self.log.port(), %ki, "no transmission with a key that is not on record: {error}");
                    OrderFailure::Device
                })
            };
            if let Some(failure) = refused {
                return self.kay.order_done(now, order.id, Err(failure));
            }
        }
        if let Action::DeleteTransmitSa { ki, .. } = order.action {
            self.journal.retire(ki);
        }
        // If the port's thread has gone, this one is about to be told to stop.
        self.port.send(port_thread::Order::Kay(self.number, Output::Order(Box::new(order))));
    }

    fn send(&mut self, now: Duration, frame: &[u8]) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = socket.send(frame) {
            self.failed_sends += 1;
            self.log.not_sent(now, &error);
        }
    }
}

/// The time since boot, sleep of the machine included.
fn now() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    // Neither is ever negative.
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::from_secs(seconds)
        + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::Instant};

    use macsec::{Ki, MacAddress, Sci};
    use mka::{Cak, Ckn, ParticipantConfig, RandomError};

    use super::*;

    /// As little random as can be: each run of a key server makes the same MI and the same SAKs.
    struct Counting(u8);

    impl Random for Counting {
        fn fill(&mut self, octets: &mut [u8]) -> Result<(), RandomError> {
            for octet in octets {
                self.0 = self.0.wrapping_add(1);
                *octet = self.0;
            }
            Ok(())
        }
    }

    /// It fails once it has given so many octets.
    struct Failing(usize);

    impl Random for Failing {
        fn fill(&mut self, octets: &mut [u8]) -> Result<(), RandomError> {
            self.0 = self.0.checked_sub(octets.len()).ok_or(RandomError)?;
            octets.fill(7);
            Ok(())
        }
    }

    fn thread<R: Random>(
        kay: Kay<R>,
        directory: &Path,
    ) -> (Thread<R>, Mailbox<port_thread::Order>) {
        let (port, orders) = mailbox().expect("a mailbox");
        let journal = KiJournal::open(directory, kay.config().participant.sci);
        let thread = Thread {
            kay,
            journal: journal.expect("a journal"),
            port,
            number: 7,
            socket: None,
            log: KayLog::new("wan0", Ckn::new(b"lab").expect("a CKN")),
            failed_sends: 0,
            last_well: LastWell::default(),
            unrecorded: None,
        };
        (thread, orders)
    }

    fn kay<R: Random>(number: u8, random: R) -> Kay<R> {
        let sci = Sci::new(MacAddress([2, 0, 0, 0, 0, number]), 1);
        let mut participant = ParticipantConfig::new(sci);
        participant.priority = number;
        let (cak, ckn) = (Cak::new(&[0x42; 16]).expect("a CAK"), Ckn::new(b"lab").expect("a CKN"));
        let mut kay =
            Kay::new(KayConfig::new(participant), cak, ckn, random, now()).expect("a KaY");
        kay.set_port_enabled(now(), true);
        kay
    }

    /// A thread that a key server with predictable SAKs has come to: the keys that it has been ordered to
    /// transmit with, by and by.
    fn transmits_with(directory: &Path, keys: usize) -> Vec<Ki> {
        let (mut thread, orders) = thread(kay(9, OsRandom), directory);
        let sci = thread.kay.config().participant.sci;
        let mut server = kay(1, Counting(0));
        let mut enabled = Vec::new();
        let mut frame = [0; MAX_FRAME_LEN];
        let deadline = Instant::now() + Duration::from_secs(30);
        while enabled.len() < keys {
            assert!(Instant::now() < deadline, "no SAK comes into use");
            let now = now();
            thread.kay.handle_timeout(now);
            while let Some(len) = thread.kay.poll_transmit(now, &mut frame) {
                let _ = server.handle_frame(now, &frame[..len]);
            }
            server.handle_timeout(now);
            while let Some(len) = server.poll_transmit(now, &mut frame) {
                let _ = thread.kay.handle_frame(now, &frame[..len]);
            }
            while let Some(order) = server.poll_order() {
                server.order_done(now, order.id, Ok(()));
            }
            thread.deliver();
            for order in orders.take_all() {
                let port_thread::Order::Kay(7, Output::Order(order)) = order else {
                    panic!("an order");
                };
                if let Action::EnableTransmit { ki, .. } = order.action {
                    assert!(!thread.journal.used_before(&ki));
                    enabled.push(ki);
                }
                thread.kay.order_done(now, order.id, Ok(()));
            }
            thread::sleep(Duration::from_millis(5));
        }
        // What has been ordered is on record.
        drop(thread);
        let journal = KiJournal::open(directory, sci).expect("a journal");
        assert!(enabled.iter().all(|ki| journal.used_before(ki)));
        enabled
    }

    #[test]
    fn a_key_is_on_record_before_it_is_transmitted_with_and_not_used_by_another_run() {
        let directory = tempfile::tempdir().expect("a directory");
        let first = transmits_with(directory.path(), 1);
        // The key server begins again too, and makes the same SAK: that is refused, the next one is not.
        let second = transmits_with(directory.path(), 1);
        assert_ne!(first, second);
        let third = transmits_with(directory.path(), 1);
        assert!(third != first && third != second);
    }

    #[test]
    fn a_random_generator_that_fails_is_the_end() {
        let directory = tempfile::tempdir().expect("a directory");
        let sci = Sci::new(MacAddress([2, 0, 0, 0, 0, 9]), 1);
        let config = KayConfig::new(ParticipantConfig::new(sci));
        let (cak, ckn) = (Cak::new(&[0x42; 16]).expect("a CAK"), Ckn::new(b"lab").expect("a CKN"));
        // For the first MI there is enough, and none for the one that a link takes when it comes up.
        let kay = Kay::new(config, cak, ckn, Failing(12), now()).expect("a KaY");
        let (thread, _orders) = thread(kay, directory.path());
        let (inputs, mailbox) = mailbox().expect("a mailbox");
        inputs.send(Input::PortEnabled(true));
        let reason = thread.run(&mailbox).expect("an end that nobody has ordered");
        assert!(reason.contains("random number generator has failed"), "{reason}");
    }
}

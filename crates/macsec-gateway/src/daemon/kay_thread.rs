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
//! Before the port may transmit with a key, the key is on disk as used: see
//! [`ki_journal`](crate::ki_journal). This thread does not wait for the disk, another does: [`KayJournal`].
//! Meanwhile the order is held back, with those behind it, and all else goes on.

use std::{
    io,
    os::fd::AsFd,
    path::PathBuf,
    sync::{Arc, mpsc::SyncSender},
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

use super::{
    kay_journal::{Answer, KayJournal, Refusal, Request},
    kay_messages::KayLog,
    kay_ring::KayRing,
    order_gate::{OrderGate, Step},
    port_thread,
    problem::Problem,
};
use crate::{
    config::Timestamp,
    keyring::Ring,
    mailbox::{Address, Mailbox, mailbox},
    status::{KayView, KeyServerStatus, LastWell, MkaStatus, key_server},
};

/// Frames taken from the wire in one turn: then it is the turn of timers and of the mailbox.
const FRAME_BUDGET: usize = 64;
/// However soon something is due: no faster than this.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
/// How long to wait if waiting itself fails, for want of memory say.
const POLL_PAUSE: Duration = Duration::from_millis(100);
/// The longest frame that is taken: what is longer is no MKPDU. Two VLAN tags may be among it.
const BUFFER_LEN: usize = MAX_FRAME_LEN + 8;
/// How long an order may take. The port's thread is quick, but a disk may stand still. The keys in use stay
/// meanwhile, and what comes of giving up is worse: a new MI, and another SAK that waits for the same disk.
const ORDER_TIMEOUT: Duration = Duration::from_secs(30);
/// A disk that has not answered for so long is told of.
const DISK_PATIENCE: Duration = Duration::from_secs(2);

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
    /// These are the keys.
    Keys(Arc<Ring>),
    /// Make a new SAK. The answer is why not.
    Rekey(SyncSender<Result<(), String>>),
    /// Say how it is: [`Output::Status`].
    Status,
    /// What the KI journal has to say.
    Journal(Answer),
    /// To end.
    Stop,
    /// To panic.
    #[cfg(test)]
    Panic,
    /// To stand still.
    #[cfg(test)]
    Hang(Duration),
}

/// What a KaY tells the thread of its port. The number tells it from those before it.
pub(super) enum Output {
    /// It has its journal, and can begin.
    Ready,
    /// Something to do.
    Order(Box<Order>),
    /// How it is.
    Status(Box<MkaStatus>),
    /// It has ended, and nothing is its own any more; and why, unless it was ordered to.
    Ended(Option<Problem>),
}

/// The thread of a KaY as the port's sees it. It ends by and by when this is dropped.
pub(super) struct KayThread {
    inputs: Address<Input>,
    thread: Option<JoinHandle<()>>,
    number: u64,
}

impl KayThread {
    /// Starts the KaY of the port `name`, whose thread is at `port`. `number` is no other KaY's of this
    /// port. Nobody waits for the disk here: it says when it is ready.
    ///
    /// # Errors
    /// Why there is none, in one line.
    pub(super) fn start(
        name: &str,
        mut config: KayConfig,
        ring: Arc<Ring>,
        state_directory: PathBuf,
        port: Address<port_thread::Order>,
        number: u64,
    ) -> Result<Self, String> {
        config.port.timers.order = config.port.timers.order.max(ORDER_TIMEOUT);
        let sci = config.participant.sci;
        let (kay, keys) =
            KayRing::start(name, config, ring, OsRandom::default, now(), Timestamp::now())?;
        let (inputs, mailbox) = mailbox().map_err(|error| no_thread(&error))?;
        let log = KayLog::new(name);
        let name = name.to_owned();
        let own_address = inputs.clone();
        let thread = thread::Builder::new().name(format!("kay-{name}")).spawn(move || {
            let panicked = Some(ended_by_itself("its thread has panicked"));
            let mut farewell = Farewell { port: port.clone(), number, problem: panicked };
            farewell.problem = match KayJournal::start(&name, state_directory, sci, own_address) {
                Ok(journal) => {
                    let mut thread = Thread::new(kay, journal, port, number, log);
                    thread.keys = Some(keys);
                    thread.run(&mailbox)
                }
                Err(error) => Some(Problem::passing(no_thread(&error))),
            };
        });
        let thread = Some(thread.map_err(|error| no_thread(&error))?);
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

    /// Orders it to end. It says when it has.
    pub(super) fn stop(mut self) -> Stopping {
        Stopping { number: self.number, thread: self.thread.take() }
    }
}

impl Drop for KayThread {
    fn drop(&mut self) {
        self.tell(Input::Stop);
    }
}

/// The thread of a KaY that has been ordered to end, and may be waiting for the disk.
pub(super) struct Stopping {
    number: u64,
    thread: Option<JoinHandle<()>>,
}

impl Stopping {
    /// Which of the KaYs of its port it is.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Waits until it has ended.
    pub(super) fn join(self) {
        if let Some(thread) = self.thread {
            // It may have panicked, and said so.
            let _ = thread.join();
        }
    }
}

fn no_thread(error: &io::Error) -> String {
    format!("thread for MKA: {error}")
}

/// Of a KaY that cannot go on.
fn ended_by_itself(reason: &str) -> Problem {
    Problem::passing(format!("MKA: {reason}: the port is closed, and begins anew in a moment"))
}

/// Tells the port's thread that this one has ended.
struct Farewell {
    port: Address<port_thread::Order>,
    number: u64,
    problem: Option<Problem>,
}

impl Drop for Farewell {
    fn drop(&mut self) {
        let ended = Output::Ended(self.problem.take());
        self.port.send(port_thread::Order::Kay(self.number, ended));
    }
}

/// What the thread works with.
struct Thread<R> {
    kay: Kay<R>,
    /// `None` if the KaY's participants are nobody's concern but a test's.
    keys: Option<KayRing<R>>,
    journal: KayJournal,
    gate: OrderGate,
    port: Address<port_thread::Order>,
    number: u64,
    socket: Option<FilteredSocket>,
    log: KayLog,
    /// MKPDUs that the uplink did not take.
    failed_sends: u64,
    /// EAPOL frames that were lost at sockets before this one.
    missed_before: u64,
    last_well: LastWell,
    /// Why the last SAK could not be put on record, if it could not.
    unrecorded: Option<String>,
    /// The log has been told that the disk does not answer.
    disk_overdue: bool,
}

impl<R: Random> Thread<R> {
    fn new(
        kay: Kay<R>,
        journal: KayJournal,
        port: Address<port_thread::Order>,
        number: u64,
        log: KayLog,
    ) -> Self {
        Self {
            kay,
            keys: None,
            journal,
            gate: OrderGate::default(),
            port,
            number,
            socket: None,
            log,
            failed_sends: 0,
            missed_before: 0,
            last_well: LastWell::default(),
            unrecorded: None,
            disk_overdue: false,
        }
    }

    /// Serves until it is told to stop, or cannot go on: then it says why.
    fn run(mut self, mailbox: &Mailbox<Input>) -> Option<Problem> {
        let mut octets = [0; BUFFER_LEN];
        loop {
            self.deliver();
            if self.kay.has_failed() {
                let reason = "the system's random number generator has failed";
                return Some(ended_by_itself(reason));
            }
            let wire = self.wait(mailbox);
            for input in mailbox.take_all() {
                match input {
                    Input::Stop => return None,
                    Input::Journal(Answer::Opened(Err(error))) => {
                        return Some(Problem::lasting(error.to_string()));
                    }
                    input => self.take(input),
                }
                self.deliver();
            }
            if wire.readable || wire.error {
                self.receive(&mut octets);
            }
            let now = now();
            if self.kay.poll_timeout().is_some_and(|due| due <= now) {
                self.kay.handle_timeout(now);
            }
            if let Some(keys) = &mut self.keys {
                keys.look(now, Timestamp::now(), &mut self.kay);
            }
            self.watch_disk(now);
            self.log.tick(now);
        }
    }

    /// Waits for mail, for frames, or for the time that something is due. Says what is with the socket.
    fn wait(&self, mailbox: &Mailbox<Input>) -> Readiness {
        let due = [self.kay.poll_timeout(), self.keys.as_ref().and_then(KayRing::due)];
        let due = due.into_iter().flatten().min();
        let due = due.map(|due| due.saturating_sub(now()).max(SHORTEST_WAIT));
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
            Input::Socket(socket) => {
                self.missed_before = self.missed();
                self.socket = socket;
            }
            Input::PortEnabled(enabled) => self.kay.set_port_enabled(now, enabled),
            Input::Answer(id, result) => self.kay.order_done(now, id, result),
            Input::Pns(pns) => self.kay.report_pns(now, &pns),
            Input::Rekeying { interval, on_peer_loss } => {
                self.kay.set_rekeying(now, interval, on_peer_loss);
            }
            Input::Keys(ring) => {
                if let Some(keys) = &mut self.keys {
                    keys.set(now, Timestamp::now(), ring, &mut self.kay);
                }
            }
            Input::Rekey(answer) => {
                let asked = self.kay.request_rekey(now);
                // Nobody may be waiting any more, or the port's thread has answered in our place.
                let _ = answer.try_send(if asked { Ok(()) } else { Err(self.why_no_rekey()) });
            }
            Input::Status => {
                let status = self.status(now);
                self.tell_port(Output::Status(Box::new(status)));
            }
            Input::Journal(Answer::Opened(_)) => self.tell_port(Output::Ready),
            Input::Journal(Answer::Recorded(id, result)) => self.recorded(now, id, result),
            Input::Stop => {}
            #[cfg(test)]
            Input::Panic => panic!("as ordered"),
            #[cfg(test)]
            Input::Hang(time) => thread::sleep(time),
        }
    }

    fn status(&self, now: Duration) -> MkaStatus {
        let overdue = self.gate.waits(now).filter(|waits| *waits >= DISK_PATIENCE);
        let overdue = overdue.map(no_answer);
        let keys = self.keys.as_ref();
        MkaStatus::of(&KayView {
            kay: &self.kay,
            now,
            failed_sends: self.failed_sends,
            missed: self.missed(),
            last_well: &self.last_well,
            keys: keys
                .map_or_else(Vec::new, |keys| keys.statuses(now, Timestamp::now(), &self.kay)),
            former_key: keys.and_then(KayRing::former),
            unrecorded: overdue.as_deref().or(self.unrecorded.as_deref()),
        })
    }

    /// EAPOL frames that were lost because there was no room at the socket.
    fn missed(&self) -> u64 {
        let socket = self.socket.as_ref();
        self.missed_before + socket.and_then(|socket| socket.dropped().ok()).unwrap_or_default()
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
                        self.log.discarded(now, discard, &octets[..len], &self.kay);
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
        if let Some(keys) = &mut self.keys {
            keys.note(now, &self.kay);
        }
        loop {
            while let Some(event) = self.kay.poll_event() {
                self.log.event(now, &event, &self.kay);
            }
            let Some(order) = self.kay.poll_order() else { break };
            self.gate.push(order);
            // One that is answered there may lead to others.
            self.pass_on(now);
        }
        let mut frame = [0; MAX_FRAME_LEN];
        while let Some(len) = self.kay.poll_transmit(now, &mut frame) {
            self.send(now, &frame[..len]);
        }
    }

    /// Gives orders to the port, but none to transmit with a key that is not on record.
    fn pass_on(&mut self, now: Duration) {
        while let Some(step) = self.gate.next(now) {
            match step {
                Step::Record(id, ki) => self.journal.ask(Request::Record(id, ki)),
                Step::Pass(order) => {
                    if let Action::DeleteTransmitSa { ki, .. } = order.action {
                        self.journal.ask(Request::Retire(ki));
                    }
                    self.tell_port(Output::Order(Box::new(order)));
                }
                Step::GiveUp(id, ki) => {
                    warn!(port = self.log.port(), %ki, "the key is given up before it is on record");
                    self.kay.order_done(now, id, Err(OrderFailure::Device));
                }
            }
        }
    }

    /// The journal has answered about the key of an order.
    fn recorded(&mut self, now: Duration, id: OrderId, result: Result<(), Refusal>) {
        if !matches!(result, Err(Refusal::UsedBefore)) {
            self.unrecorded = result.as_ref().err().map(ToString::to_string);
        }
        if let Some((id, refusal)) = self.gate.recorded(id, result) {
            let failure = match refusal {
                Refusal::UsedBefore => OrderFailure::KeyUsedBefore,
                Refusal::NotRecorded(error) => {
                    let port = self.log.port();
                    warn!(port, "no transmission with a key that is not on record: {error}");
                    OrderFailure::Device
                }
            };
            self.kay.order_done(now, id, Err(failure));
        }
        self.pass_on(now);
    }

    /// Tells the log if the disk does not answer.
    fn watch_disk(&mut self, now: Duration) {
        let overdue = self.gate.waits(now).filter(|waits| *waits >= DISK_PATIENCE);
        if let Some(waits) = overdue.filter(|_| !self.disk_overdue) {
            let text = no_answer(waits);
            warn!(port = self.log.port(), "the new SAK waits to be put on record: {text}");
        }
        self.disk_overdue = overdue.is_some();
    }

    fn tell_port(&self, output: Output) {
        // If the port's thread has gone, this one is about to be told to stop.
        self.port.send(port_thread::Order::Kay(self.number, output));
    }

    fn send(&mut self, now: Duration, frame: &[u8]) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = socket.send(frame) {
            self.failed_sends += 1;
            self.log.not_sent(now, &error);
        }
    }
}

fn no_answer(since: Duration) -> String {
    format!("the disk has not answered for {} s", since.as_secs())
}

/// The time since boot, sleep of the machine included.
fn now() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    // Neither is ever negative.
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let now = Duration::from_secs(seconds)
        + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or_default());
    #[cfg(test)]
    let now = now + tests::SKIPPED.get();
    now
}

#[cfg(test)]
mod tests;

//! The thread that writes marks, and the data thread's side of it, which does no file I/O.

use std::{
    io, mem,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle, Thread},
    time::{Duration, Instant},
};

use macsec_io::poll;
use rustix::event::{EventfdFlags, eventfd};

use super::{Mark, NO_PN_LEFT, ReceiveMark, TransmitMark};

/// Steps of a transmit mark. A crash costs one at most, of 2^32 or 2^64 PNs.
const TRANSMIT_STEP: (u64, u64) = (1 << 10, 1 << 20);
/// Steps of a receive mark. After a crash as many frames are refused as it was ahead.
const RECEIVE_STEP: (u64, u64) = (1 << 3, 1 << 18);
/// How far ahead a receive mark stays when nothing comes.
const IDLE_MARGIN: u64 = 8;
/// Asked again sooner than this, a step doubles.
const SOON: Duration = Duration::from_millis(500);
/// Asked again later than this, it halves.
const LATE: Duration = Duration::from_secs(2);
/// Pauses before a write that failed is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Writes the marks of a port on a thread of its own. It ends when this is dropped, after everything
/// that was asked for has been written or has failed.
pub struct PnWriter {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// A file descriptor that becomes readable when a limit has moved.
#[derive(Clone)]
pub struct PnSignal(Arc<Shared>);

/// Writes that have failed. They are tried again, and until one succeeds no limit moves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// How many have failed since the start.
    pub count: u64,
    /// Why the last write failed; `None` when it did not.
    pub present: Option<String>,
}

/// The packet numbers that a transmit SA may use. Dropped without [`finish`](Self::finish), it leaves
/// the mark where it is: above everything used.
pub struct TransmitPns(Pns);

/// The packet numbers of a peer that may be accepted. Dropped without [`finish`](Self::finish), it
/// leaves the mark where it is: above everything accepted.
pub struct ReceivePns {
    pns: Pns,
    last_tick: u64,
}

impl PnWriter {
    /// Starts the thread, named after the port.
    ///
    /// # Errors
    /// Those of eventfd(2) and of starting a thread.
    pub fn start(port: &str) -> io::Result<Self> {
        let shared = Arc::new(Shared::new()?);
        let thread = thread::Builder::new().name(format!("pn-{port}")).spawn({
            let shared = Arc::clone(&shared);
            move || shared.run()
        })?;
        let _ = shared.thread.set(thread.thread().clone());
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Takes charge of a transmit SA's mark. May wait for a write that is going on.
    #[must_use]
    pub fn transmit(&self, mark: TransmitMark) -> TransmitPns {
        TransmitPns::new(&self.shared, mark)
    }

    /// Takes charge of a receive SA's mark. May wait for a write that is going on.
    #[must_use]
    pub fn receive(&self, mark: ReceiveMark) -> ReceivePns {
        ReceivePns::new(&self.shared, mark)
    }

    /// What the data thread polls.
    #[must_use]
    pub fn signal(&self) -> PnSignal {
        PnSignal(Arc::clone(&self.shared))
    }

    /// Writes that have failed.
    #[must_use]
    pub fn failures(&self) -> Failures {
        lock(&self.shared.failures).clone()
    }
}

impl Drop for PnWriter {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.shared.wake();
        if let Some(thread) = self.thread.take() {
            // A panic in it has been reported; the marks are where they were.
            let _ = thread.join();
        }
    }
}

impl PnSignal {
    /// Makes it unreadable until a limit moves again. Look at the limits after this, not before.
    pub fn clear(&self) {
        self.0.clear();
    }
}

impl AsFd for PnSignal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.event.as_fd()
    }
}

impl TransmitPns {
    pub(super) fn new(shared: &Arc<Shared>, mark: TransmitMark) -> Self {
        Self(Pns::new(shared, mark.0, TRANSMIT_STEP))
    }

    /// PNs below this may be used.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.0.limit()
    }

    /// Keeps the limit ahead of `next_pn`, the first PN not yet used. Never blocks; to be called after
    /// each batch.
    pub fn want(&mut self, next_pn: u64, now: Instant) {
        self.0.want(next_pn, now);
    }

    /// Makes `next_pn` the mark exactly, and ends the use of the SA. Does not block.
    pub fn finish(self, next_pn: u64) {
        self.0.finish(next_pn);
    }
}

impl ReceivePns {
    pub(super) fn new(shared: &Arc<Shared>, mark: ReceiveMark) -> Self {
        let last_tick = mark.0.pn();
        Self { pns: Pns::new(shared, mark.0, RECEIVE_STEP), last_tick }
    }

    /// Frames with PNs below this may be delivered.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.pns.limit()
    }

    /// Keeps the limit ahead of `next_pn`, the PN after the greatest accepted. Never blocks; to be
    /// called after each batch.
    pub fn want(&mut self, next_pn: u64, now: Instant) {
        self.pns.want(next_pn, now);
    }

    /// Waits until the limit is at least `next_pn`, and says whether it is. For frames that are beyond
    /// the limit, as when the peer has started again and skipped PNs: to be called before they are
    /// delivered, with the PN after the greatest.
    pub fn wait_until_durable(&mut self, next_pn: u64, timeout: Duration) -> bool {
        let start = Instant::now();
        loop {
            self.pns.shared.clear();
            if self.limit() >= next_pn {
                return true;
            }
            let now = Instant::now();
            self.pns.ask_above(next_pn, now);
            let left = timeout.saturating_sub(now.duration_since(start));
            let signal = [self.pns.shared.event.as_fd()];
            if left.is_zero() || poll::wait_readable(signal, Some(left)).is_err() {
                return false;
            }
        }
    }

    /// To be called once a second, with the PN after the greatest accepted: takes the mark down when
    /// it is further ahead than the traffic calls for, so that a crash costs a few seconds of it
    /// even if the traffic has become slow. Never blocks.
    pub fn tick(&mut self, next_pn: u64) {
        self.pns.note(next_pn);
        let a_second = next_pn.saturating_sub(mem::replace(&mut self.last_tick, next_pn));
        let ahead = self.limit().saturating_sub(next_pn);
        if ahead > a_second.saturating_mul(4).saturating_add(IDLE_MARGIN) && !self.pns.is_pending()
        {
            let enough = a_second.saturating_mul(2).saturating_add(IDLE_MARGIN);
            self.pns.step.shrink_to(enough);
            self.pns.ask(next_pn.saturating_add(enough));
        }
    }

    /// Makes `next_pn` the mark exactly, and ends the use of the SA. Does not block.
    pub fn finish(self, next_pn: u64) {
        self.pns.finish(next_pn);
    }
}

/// What both directions have in common.
struct Pns {
    shared: Arc<Shared>,
    state: Arc<State>,
    /// What was asked for last. While the answer is pending nothing else is.
    asked: u64,
    /// The greatest next PN that we have been told: no mark will be below it.
    known_next: u64,
    step: Step,
}

impl Pns {
    fn new(shared: &Arc<Shared>, mark: Mark, (min, max): (u64, u64)) -> Self {
        let pn = mark.pn();
        let state = Arc::new(State {
            wanted: pn.into(),
            durable: pn.into(),
            ended: AtomicBool::new(false),
        });
        lock(&shared.slots).push(Slot { state: Arc::clone(&state), mark });
        let step = Step { min, max, current: min, last: None };
        Self { shared: Arc::clone(shared), state, asked: pn, known_next: pn, step }
    }

    /// While a lower mark is being written, that is the limit already.
    fn limit(&self) -> u64 {
        self.durable().min(self.asked)
    }

    fn durable(&self) -> u64 {
        self.state.durable.load(Ordering::Acquire)
    }

    fn is_pending(&self) -> bool {
        self.durable() != self.asked
    }

    fn note(&mut self, next_pn: u64) {
        self.known_next = self.known_next.max(next_pn);
    }

    fn want(&mut self, next_pn: u64, now: Instant) {
        self.note(next_pn);
        if self.limit().saturating_sub(next_pn) < self.step.current / 2 {
            self.ask_above(next_pn, now);
        }
    }

    fn ask_above(&mut self, next_pn: u64, now: Instant) {
        if !self.is_pending() && self.asked != NO_PN_LEFT {
            let step = self.step.next(now);
            self.ask(next_pn.saturating_add(step));
        }
    }

    fn ask(&mut self, mark: u64) {
        debug_assert!(!self.is_pending(), "the answer could not be told from that to come");
        self.asked = mark.max(self.known_next);
        self.state.wanted.store(self.asked, Ordering::Release);
        self.shared.wake();
    }

    fn finish(self, next_pn: u64) {
        // Nothing is used or accepted from here on, so an answer may well be pending.
        self.state.wanted.store(next_pn.max(self.known_next), Ordering::Release);
        // Dropped now, which says so.
    }
}

impl Drop for Pns {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::Release);
        self.shared.wake();
    }
}

/// How far to go ahead.
struct Step {
    min: u64,
    max: u64,
    current: u64,
    last: Option<Instant>,
}

impl Step {
    fn next(&mut self, now: Instant) -> u64 {
        if let Some(last) = self.last.replace(now) {
            let since = now.saturating_duration_since(last);
            if since < SOON {
                self.current = (self.current * 2).min(self.max);
            } else if since > LATE {
                self.current = (self.current / 2).max(self.min);
            }
        }
        self.current
    }

    fn shrink_to(&mut self, enough: u64) {
        self.current = self.current.min(enough).max(self.min);
    }
}

/// What a data thread and the writer tell each other about an SA.
struct State {
    /// The mark to write.
    wanted: AtomicU64,
    /// The mark that is written.
    durable: AtomicU64,
    /// Whether `wanted` is the last one. Stored after it, and loaded before it.
    ended: AtomicBool,
}

struct Slot {
    state: Arc<State>,
    mark: Mark,
}

pub(super) struct Shared {
    slots: Mutex<Vec<Slot>>,
    failures: Mutex<Failures>,
    stopping: AtomicBool,
    event: OwnedFd,
    thread: OnceLock<Thread>,
}

impl Shared {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            slots: Mutex::default(),
            failures: Mutex::default(),
            stopping: AtomicBool::new(false),
            event: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            thread: OnceLock::new(),
        })
    }

    fn run(&self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let stopping = self.stopping.load(Ordering::Acquire);
            let all_written = self.write_marks();
            if stopping {
                // Gives the locks back, even where somebody still holds on to an SA.
                lock(&self.slots).clear();
                return;
            }
            if all_written {
                pause = FIRST_PAUSE;
                thread::park();
            } else {
                thread::park_timeout(pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    /// Writes every mark that is wanted and lets go of those that have ended. Returns whether all are
    /// as wanted.
    pub(super) fn write_marks(&self) -> bool {
        let mut all_written = true;
        lock(&self.slots).retain_mut(|Slot { state, mark }| {
            let ended = state.ended.load(Ordering::Acquire);
            let wanted = state.wanted.load(Ordering::Acquire);
            if mark.holds(wanted) {
                return !ended;
            }
            let result = mark.write(wanted);
            self.note(mark, &result);
            if result.is_err() {
                all_written = false;
                return true;
            }
            state.durable.store(wanted, Ordering::Release);
            self.signal();
            !ended
        });
        all_written
    }

    fn note(&self, mark: &Mark, result: &io::Result<()>) {
        let mut failures = lock(&self.failures);
        match result {
            Ok(()) => {
                if failures.present.take().is_some() {
                    tracing::info!("PN state can be written again");
                }
            }
            Err(error) => {
                let text = format!("{}: {error}", mark.directory.path(&mark.name).display());
                if failures.present.is_none() {
                    tracing::error!("PN state cannot be written, traffic will stop: {text}");
                }
                failures.count += 1;
                failures.present = Some(text);
            }
        }
    }

    fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    fn signal(&self) {
        // It cannot block, and fails only when it is readable already.
        let _ = rustix::io::write(&self.event, &1_u64.to_ne_bytes());
    }

    fn clear(&self) {
        // It cannot block, and fails when there is nothing to clear.
        let _ = rustix::io::read(&self.event, &mut [0; 8]);
    }
}

/// Nothing here is left half done by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

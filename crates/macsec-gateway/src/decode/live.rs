//! `--follow`: frames as they come in from an interface, in one pass.
//!
//! A data frame can come before its SAK is known to us. Such frames wait, a few megabytes of them;
//! so does what comes behind them, where it is to be written: order is kept.

use std::{
    collections::VecDeque,
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use macsec_decode::{DataFinding, DataVerdict, Frame, Given, Kind, SakBook, classify};
use macsec_io::packet::{PacketError, PacketRxRing, RxConfig, RxMode};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};

use super::{
    progress::Progress,
    session::{Session, Show},
    write::ClearFile,
};

/// Octets of frames that wait, at most.
const MOST_HELD: usize = 8 * 1024 * 1024;
/// What a frame that waits takes besides its octets.
const HELD_OVERHEAD: usize = 256;
/// How long frames wait for their SAK: MKA distributes it every two seconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// Frames between two looks at the signals.
const AT_A_TIME: usize = 256;
const SLOTS: usize = 2048;
const TICK: Duration = Duration::from_millis(200);

/// Why an interface cannot be followed.
#[derive(Debug, thiserror::Error)]
pub(super) enum LiveError {
    #[error("{0}")]
    Packet(#[from] PacketError),
    #[error("signals: {0}")]
    Signals(io::Error),
    #[error("{0}: {1}")]
    Write(String, io::Error),
}

/// Decodes what passes `interface` until SIGINT or SIGTERM, or until nobody reads what is said.
/// Tells how many frames were lost as well.
///
/// # Errors
/// [`LiveError`].
pub(super) fn follow(
    interface: &str,
    given: &Given,
    show: Show,
    write: Option<&Path>,
    begin: impl FnOnce(&mut Session),
) -> Result<(Session, u64), LiveError> {
    let end = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register(signal, Arc::clone(&end)).map_err(LiveError::Signals)?;
    }
    let config = RxConfig {
        mode: RxMode::Slots { frames: SLOTS },
        promiscuous: true,
        all_multicast: true,
        ..RxConfig::default()
    };
    let mut ring = PacketRxRing::open(interface, &config)?;
    let failed = |error| {
        let name = write.map_or_else(|| "stdout".to_owned(), |path| path.display().to_string());
        LiveError::Write(name, error)
    };
    let file = write.map(|path| ClearFile::create(path, true)).transpose().map_err(failed)?;
    let mut session = Session::new(show, given, SakBook::of_given(given), file);
    begin(&mut session);
    let mut live = Live {
        session,
        progress: Progress::new(0),
        queue: VecDeque::new(),
        held: 0,
        generation: 0,
        waits: !given.cas.is_empty(),
    };
    live.session.output.flush();
    eprintln!("macsec decode: following {interface}: SIGINT (^C) ends it with a summary");
    loop {
        // What has come before the signal is read as well.
        let is_over = end.load(Ordering::Relaxed);
        let timeout = if is_over { Duration::ZERO } else { TICK };
        match ring.wait(Some(timeout)).and_then(|_| ring.check_interface()) {
            // It may come up again.
            Ok(()) | Err(PacketError::InterfaceDown) => {}
            Err(error) => {
                eprintln!("macsec decode: {error}");
                break;
            }
        }
        let mut written = Ok(());
        ring.receive(if is_over { SLOTS } else { AT_A_TIME }, |octets| {
            if written.is_ok() {
                written = live.frame(now(), octets);
            }
        });
        written.and_then(|()| live.tick(now())).map_err(failed)?;
        live.session.output.flush();
        if is_over || live.session.nobody_cares() {
            break;
        }
    }
    live.let_go(None).map_err(failed)?;
    let Live { mut session, .. } = live;
    if let Some(file) = session.file.take() {
        file.finish().map_err(failed)?;
    }
    let lost =
        ring.statistics().map_or(0, |counts| counts.ring_full + counts.truncated + counts.too_long);
    Ok((session, lost))
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

struct Live {
    session: Session,
    progress: Progress,
    /// What waits, in order. The first is always a data frame whose SAK is not known.
    queue: VecDeque<Held>,
    /// Octets in it.
    held: usize,
    /// That of the SAKs in the book.
    generation: u64,
    /// SAKs may come to be known.
    waits: bool,
}

/// A frame that waits.
struct Held {
    number: u64,
    at: Duration,
    since: Instant,
    octets: Vec<u8>,
    /// What is known of a data frame that could not be opened; none if the octets are as they are
    /// to be written.
    unopened: Option<DataFinding>,
}

impl Held {
    fn frame(&self) -> Frame<'_> {
        Frame { number: self.number, at: self.at, octets: &self.octets, whole: true }
    }
}

impl Live {
    fn frame(&mut self, at: Duration, octets: &[u8]) -> io::Result<()> {
        let number = self.session.tally.frames + 1;
        let frame = Frame { number, at, octets, whole: true };
        self.session.begin(&frame);
        match classify(octets) {
            Kind::Eapol { .. } => {
                self.session.eapol(&mut self.progress, &frame);
                self.pass_on(&frame, None)?;
                self.learn()
            }
            Kind::Macsec { .. } => {
                let Some(finding) = self.session.open(&frame) else {
                    return self.pass_on(&frame, None);
                };
                if finding.verdict == DataVerdict::NoKey && self.waits {
                    return self.hold(&frame, Some(finding));
                }
                self.session.tell_data(&mut self.progress, &frame, &finding);
                self.pass_on(&frame, Some(&finding))
            }
            Kind::Other => {
                self.session.tally.other += 1;
                self.pass_on(&frame, None)
            }
        }
    }

    /// Writes a frame as it is, or what was in it; behind those that wait.
    fn pass_on(&mut self, frame: &Frame<'_>, opened: Option<&DataFinding>) -> io::Result<()> {
        if self.session.file.is_some() && !self.queue.is_empty() {
            match opened {
                Some(finding) if finding.verdict == DataVerdict::Ok => {
                    let clear = self.session.clear().to_vec();
                    return self.hold(&Frame { octets: &clear, ..*frame }, None);
                }
                Some(_) => self.session.tally.left_out += 1,
                None => return self.hold(frame, None),
            }
            return Ok(());
        }
        match opened {
            Some(finding) => self.session.write_opened(frame.at, finding),
            None => {
                let len = u32::try_from(frame.octets.len()).unwrap_or(u32::MAX);
                self.session.write(frame.at, frame.octets, len)
            }
        }
    }

    fn hold(&mut self, frame: &Frame<'_>, unopened: Option<DataFinding>) -> io::Result<()> {
        self.held += frame.octets.len() + HELD_OVERHEAD;
        self.queue.push_back(Held {
            number: frame.number,
            at: frame.at,
            since: Instant::now(),
            octets: frame.octets.to_vec(),
            unopened,
        });
        while self.held > MOST_HELD {
            self.let_first_go()?;
        }
        self.let_ready_go()
    }

    /// Tries those that wait with SAKs that have come to be known.
    fn learn(&mut self) -> io::Result<()> {
        if self.session.mka.generation() == self.generation {
            return Ok(());
        }
        self.generation = self.session.mka.generation();
        self.session.mka.learned(&mut self.session.book);
        let mut queue = std::mem::take(&mut self.queue);
        for held in &mut queue {
            let Some(before) = &held.unopened else { continue };
            let Some(finding) = self.session.reopen(&held.frame(), before) else { continue };
            if finding.verdict == DataVerdict::NoKey {
                held.unopened = Some(finding);
                continue;
            }
            self.session.tell_data(&mut self.progress, &held.frame(), &finding);
            held.unopened = None;
            self.held -= held.octets.len();
            held.octets.clear();
            if finding.verdict == DataVerdict::Ok {
                held.octets.extend_from_slice(self.session.clear());
                self.held += held.octets.len();
            } else {
                self.session.tally.left_out += 1;
            }
        }
        self.queue = queue;
        self.let_ready_go()
    }

    fn tick(&mut self, at: Duration) -> io::Result<()> {
        let news = self.session.mka.passed(at);
        self.session.tell_story(&mut self.progress, &news);
        self.let_go(Some(PATIENCE))
    }

    /// Gives up on those that have waited so long, or on all.
    fn let_go(&mut self, patience: Option<Duration>) -> io::Result<()> {
        let is_over =
            |held: &Held| patience.is_none_or(|patience| held.since.elapsed() >= patience);
        while self.queue.front().is_some_and(is_over) {
            self.let_first_go()?;
        }
        self.let_ready_go()
    }

    /// Writes those that nothing is to be waited for any more.
    fn let_ready_go(&mut self) -> io::Result<()> {
        while self.queue.front().is_some_and(|held| held.unopened.is_none()) {
            self.let_first_go()?;
        }
        Ok(())
    }

    fn let_first_go(&mut self) -> io::Result<()> {
        let Some(held) = self.queue.pop_front() else { return Ok(()) };
        self.held -= held.octets.len() + HELD_OVERHEAD;
        match &held.unopened {
            Some(finding) => {
                self.session.tell_data(&mut self.progress, &held.frame(), finding);
                self.session.tally.left_out += 1;
                Ok(())
            }
            // Its ICV was wrong.
            None if held.octets.is_empty() => Ok(()),
            None => {
                let len = u32::try_from(held.octets.len()).unwrap_or(u32::MAX);
                self.session.write(held.at, &held.octets, len)
            }
        }
    }
}

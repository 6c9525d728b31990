//! What is counted and remembered, for each SA of each SC.

use core::time::Duration;
use std::collections::HashMap;

use macsec::{An, MacAddress, NonceBase, Sci, Ssci};

use super::{
    DataFinding, DataVerdict,
    pn::{Order, PnTracker},
};

/// SAs that frames were opened of, at most. Further ones are opened, and counted only in all.
const MOST_OPENED: usize = 4096;
/// Rows of which no frame was opened, at most. They are apart, so that noise takes no room from the
/// others.
const MOST_OTHERS: usize = 4096;
/// Who is remembered to have sent what cannot be opened.
const MOST_FAILURES: usize = 4096;
/// Failures in a row after which it is only tried hard now and then.
const FEW_FAILURES: u32 = 4;

/// Counts of frames with a SecTAG. Each is in `frames` and in one of `ok`, `bad`, `no_key`,
/// `cut_short` and `malformed`; those of `ok` may also be `replayed` or `late`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DataCounts {
    /// All.
    pub frames: u64,
    /// The ICV was right.
    pub ok: u64,
    /// The ICV was wrong.
    pub bad: u64,
    /// No SAK is known for it.
    pub no_key: u64,
    /// The capture holds too little of it.
    pub cut_short: u64,
    /// A rule was broken.
    pub malformed: u64,
    /// Opened, the PN having been seen before.
    pub replayed: u64,
    /// Opened, out of order.
    pub late: u64,
}

impl DataCounts {
    pub(super) fn add(&mut self, finding: &DataFinding) {
        self.change(finding, |count| *count += 1);
    }

    /// The frame is counted no more.
    pub(super) fn take_back(&mut self, finding: &DataFinding) {
        self.change(finding, |count| *count = count.saturating_sub(1));
    }

    fn change(&mut self, finding: &DataFinding, change: impl Fn(&mut u64)) {
        change(&mut self.frames);
        change(match finding.verdict {
            DataVerdict::Ok => &mut self.ok,
            DataVerdict::BadIcv => &mut self.bad,
            DataVerdict::NoKey => &mut self.no_key,
            DataVerdict::CutShort => &mut self.cut_short,
            DataVerdict::Malformed(_) => &mut self.malformed,
        });
        if finding.replayed {
            change(&mut self.replayed);
        }
        if finding.late {
            change(&mut self.late);
        }
    }
}

/// One SA of an SC: the frames of one sender under one SAK. Without a SAK: its frames with that AN
/// that no known SAK goes with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScRow {
    /// Who transmits.
    pub sci: Sci,
    /// Frames do not tell the SCI: it is a guess.
    pub sci_guessed: bool,
    /// Under which AN.
    pub an: An,
    /// With which SAK: an index into [`SakBook::saks`](crate::SakBook).
    pub sak: Option<usize>,
    /// How many frames. None are left where all could be opened later: see
    /// [`Opener::reopen`](crate::Opener::reopen).
    pub counts: DataCounts,
    /// The PN of the first frame that was opened.
    pub first_pn: Option<u64>,
    /// The highest PN of those that were opened.
    pub highest_pn: Option<u64>,
    /// When the first frame came, opened or not.
    pub first_at: Duration,
    /// When the last came.
    pub last_at: Duration,
}

/// Who has sent a frame, as far as the frame tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Who {
    /// The SCI is in the SecTAG, or follows from it.
    Sci(Sci),
    /// Only the source address is known.
    Source(MacAddress),
}

impl Who {
    /// The SCI, or what it would be if an end station had sent the frame.
    pub(super) fn likely_sci(self) -> Sci {
        match self {
            Self::Sci(sci) => sci,
            Self::Source(source) => Sci::new(source, Sci::PORT_END_STATION),
        }
    }

    pub(super) fn is_guess(self) -> bool {
        matches!(self, Self::Source(_))
    }
}

/// What opens the frames of an SA, and the PNs of those that it has opened.
pub(super) struct Track {
    pub(super) base: NonceBase,
    pub(super) ssci: Option<Ssci>,
    pub(super) pns: PnTracker,
}

#[derive(Default)]
struct Failures {
    in_a_row: u32,
    /// How many SAKs were known.
    saks: usize,
}

/// All rows, and how to find them. Everything in here is bounded.
#[derive(Default)]
pub(super) struct Table {
    rows: Vec<ScRow>,
    /// Beside `rows`: those of which frames were opened have one.
    tracks: Vec<Option<Track>>,
    opened: usize,
    index: HashMap<(Option<usize>, Sci, An), usize>,
    /// The row that has opened the last frame.
    routes: HashMap<(Who, An), usize>,
    failures: HashMap<(Who, An), Failures>,
}

impl Table {
    pub(super) fn rows(&self) -> &[ScRow] {
        &self.rows
    }

    pub(super) fn row_mut(&mut self, row: usize) -> Option<&mut ScRow> {
        self.rows.get_mut(row)
    }

    /// What has opened frames of this row: its SAK, SCI and the rest.
    pub(super) fn track(&self, row: usize) -> Option<(usize, Sci, &Track)> {
        let track = self.tracks.get(row)?.as_ref()?;
        let row = self.rows.get(row)?;
        Some((row.sak?, row.sci, track))
    }

    /// The row that has opened the last frame of `who` with `an`.
    pub(super) fn route(&self, who: Who, an: An) -> Option<usize> {
        self.routes.get(&(who, an)).copied()
    }

    /// The row of an SA, if there is one.
    pub(super) fn find(&self, sak: usize, sci: Sci, an: An) -> Option<usize> {
        self.index.get(&(Some(sak), sci, an)).copied()
    }

    /// Whether everything should be tried for a frame that is not easily opened.
    pub(super) fn try_hard(&self, who: Who, an: An, saks: usize) -> bool {
        self.failures.get(&(who, an)).is_none_or(|failures| {
            failures.saks != saks
                || failures.in_a_row < FEW_FAILURES
                || failures.in_a_row.is_power_of_two()
        })
    }

    /// A frame of `who` could not be opened.
    pub(super) fn failed(&mut self, who: Who, an: An, saks: usize) {
        if self.failures.len() >= MOST_FAILURES && !self.failures.contains_key(&(who, an)) {
            self.failures.clear();
        }
        let failures = self.failures.entry((who, an)).or_default();
        let in_a_row = if failures.saks == saks { failures.in_a_row } else { 0 };
        *failures = Failures { in_a_row: in_a_row.saturating_add(1), saks };
    }

    /// A frame of `row`, which has opened frames before, was opened.
    pub(super) fn note(&mut self, row: usize, pn: u64) -> Order {
        let Some(track) = self.tracks.get_mut(row).and_then(Option::as_mut) else {
            return Order::Rising;
        };
        let order = track.pns.note(pn);
        if let Some(row) = self.rows.get_mut(row) {
            row.highest_pn = Some(track.pns.highest());
        }
        order
    }

    /// The row of an SA of which a frame was opened for the first time, with `track`; if there is
    /// room.
    pub(super) fn opened(
        &mut self,
        sak: usize,
        (sci, guessed): (Sci, bool),
        an: An,
        at: Duration,
        track: Track,
    ) -> Option<usize> {
        if self.opened >= MOST_OPENED {
            return None;
        }
        let row = match self.find(sak, sci, an) {
            Some(row) => row,
            None => self.add(Some(sak), (sci, guessed), an, at),
        };
        let pn = Some(track.pns.highest());
        *self.tracks.get_mut(row)? = Some(track);
        let found = self.rows.get_mut(row)?;
        (found.first_pn, found.highest_pn) = (pn, pn);
        self.opened += 1;
        Some(row)
    }

    /// The next frame of `who` will be tried as those of `row` first.
    pub(super) fn set_route(&mut self, who: Who, an: An, row: usize) {
        self.failures.remove(&(who, an));
        if self.routes.len() < MOST_OPENED || self.routes.contains_key(&(who, an)) {
            self.routes.insert((who, an), row);
        }
    }

    /// The row of frames that could not be opened, if there is room.
    pub(super) fn not_opened(
        &mut self,
        sak: Option<usize>,
        (sci, guessed): (Sci, bool),
        an: An,
        at: Duration,
    ) -> Option<usize> {
        if let Some(&row) = self.index.get(&(sak, sci, an)) {
            return Some(row);
        }
        let others = self.rows.len() - self.opened;
        (others < MOST_OTHERS).then(|| self.add(sak, (sci, guessed), an, at))
    }

    fn add(
        &mut self,
        sak: Option<usize>,
        (sci, sci_guessed): (Sci, bool),
        an: An,
        at: Duration,
    ) -> usize {
        let row = self.rows.len();
        self.rows.push(ScRow {
            sci,
            sci_guessed,
            an,
            sak,
            counts: DataCounts::default(),
            first_pn: None,
            highest_pn: None,
            first_at: at,
            last_at: at,
        });
        self.tracks.push(None);
        self.index.insert((sak, sci, an), row);
        row
    }
}

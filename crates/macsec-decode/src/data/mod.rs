//! Opens MACsec frames with the SAKs that are known.

mod finding;
mod parts;
mod pn;
mod rows;
mod saks;
mod search;

pub use finding::{BrokenRule, DataFinding, DataVerdict};
pub use rows::{DataCounts, ScRow};

use core::fmt;

use macsec::{SecTag, SecTagError};

use self::{
    parts::{Cipher, Parts, sender},
    pn::{Order, PnTracker},
    rows::{Table, Track},
    saks::SakIndex,
    search::{Guess, Wanted},
};
use crate::{Frame, Kind, SakBook, classify};

/// Opens MACsec frames, and keeps count of them for each SC and SAK.
///
/// One pass over a capture takes one of these. All calls have to be given the same [`SakBook`], to
/// which SAKs (at the end) and what is known of their senders may have been added in between.
///
/// Once a sender is known, a frame takes one run of the cipher and no allocation. What is tried
/// beyond that is bounded, as is what is kept.
#[derive(Default)]
pub struct Opener {
    saks: SakIndex,
    cipher: Cipher,
    table: Table,
    totals: DataCounts,
    /// The SAKs that the last frame may be under that was not opened at once.
    likely: Vec<usize>,
}

/// Shows the counts, and no keys.
impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").field("totals", &self.totals).finish_non_exhaustive()
    }
}

impl Opener {
    /// One that has seen no frame.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens `frame`, or says why it cannot be opened; `None` if it has no SecTAG.
    ///
    /// `clear` is overwritten: with the frame as it was before it was protected (addresses, VLAN
    /// tags in clear, User Data) if the verdict is [`DataVerdict::Ok`], and with nothing otherwise.
    pub fn open(
        &mut self,
        book: &SakBook,
        frame: &Frame<'_>,
        clear: &mut Vec<u8>,
    ) -> Option<DataFinding> {
        clear.clear();
        let Kind::Macsec { at } = classify(frame.octets) else { return None };
        self.saks.update(book);
        self.cipher.earn(frame.octets.len());
        let finding = match Parts::of(frame, at) {
            Ok(parts) => {
                let who = sender(&parts.tag, frame.octets);
                let wanted = Wanted { parts, who, at: frame.at };
                match self.search(book, &wanted, clear) {
                    Some(guess) => self.opened(&guess, &wanted),
                    None => {
                        clear.clear();
                        self.not_opened(book, &wanted)
                    }
                }
            }
            Err((tag, verdict)) => self.not_tried(tag, verdict, frame),
        };
        self.count(&finding, frame);
        Some(finding)
    }

    /// Opens a frame that could not be opened `before`, now that `book` may tell more. What was
    /// counted then is taken back, so that each frame counts once.
    pub fn reopen(
        &mut self,
        book: &SakBook,
        frame: &Frame<'_>,
        before: &DataFinding,
        clear: &mut Vec<u8>,
    ) -> Option<DataFinding> {
        self.totals.take_back(before);
        if let Some(row) = before.row.and_then(|row| self.table.row_mut(row)) {
            row.counts.take_back(before);
        }
        self.open(book, frame, clear)
    }

    /// Counts of all frames.
    #[must_use]
    pub fn totals(&self) -> &DataCounts {
        &self.totals
    }

    /// Counts for each SC and SAK, in the order in which they were first seen. Rows are added,
    /// never removed.
    #[must_use]
    pub fn rows(&self) -> &[ScRow] {
        self.table.rows()
    }

    fn opened(&mut self, guess: &Guess, wanted: &Wanted<'_>) -> DataFinding {
        let Wanted { who, at, .. } = *wanted;
        let (tag, pn) = (wanted.parts.tag, guess.pn);
        let (row, order) = match guess.row {
            Some(row) => (Some(row), self.table.note(row, pn)),
            None => {
                let (base, ssci) = (guess.base, guess.ssci);
                let track = Track { base, ssci, pns: PnTracker::new(pn) };
                let sci = (guess.sci, who.is_guess());
                (self.table.opened(guess.sak, sci, tag.an, at, track), Order::Rising)
            }
        };
        if let Some(row) = row
            && self.table.route(who, tag.an) != Some(row)
        {
            self.table.set_route(who, tag.an, row);
        }
        DataFinding {
            tag: Some(tag),
            sci: Some(guess.sci),
            sci_guessed: who.is_guess(),
            sak: Some(guess.sak),
            ssci: guess.ssci,
            pn,
            pn_searched: guess.searched,
            verdict: DataVerdict::Ok,
            replayed: order == Order::Replayed,
            late: order == Order::Late,
            row,
        }
    }

    fn not_opened(&mut self, book: &SakBook, wanted: &Wanted<'_>) -> DataFinding {
        let Wanted { ref parts, who, at } = *wanted;
        let tag = parts.tag;
        self.table.failed(who, tag.an, book.saks.len());
        let expected = self.expected(book, wanted);
        let known = expected.and_then(|sak| book.saks.get(sak));
        let verdict = match known {
            None => DataVerdict::NoKey,
            Some(known) if tag.pn == 0 && !known.suite.is_xpn() => {
                DataVerdict::Malformed(SecTagError::PnZero.into())
            }
            Some(_) => DataVerdict::BadIcv,
        };
        let route = self.table.route(who, tag.an);
        let likely = route.and_then(|row| self.guess_by_row(book, row, wanted));
        let sci = match (&likely, known) {
            (Some(likely), _) => likely.sci,
            (None, Some(known)) => known.name_of(who),
            (None, None) => who.likely_sci(),
        };
        let row = self.table.not_opened(expected, (sci, who.is_guess()), tag.an, at);
        let pn = likely.as_ref().map_or(tag.pn.into(), |likely| likely.pn);
        DataFinding {
            sci: Some(sci),
            sci_guessed: who.is_guess(),
            sak: expected,
            pn,
            row,
            ..DataFinding::unopened(Some(tag), verdict)
        }
    }

    /// A frame in which something other than the ICV is wrong.
    fn not_tried(
        &self,
        tag: Option<SecTag>,
        verdict: DataVerdict,
        frame: &Frame<'_>,
    ) -> DataFinding {
        let Some(tag) = tag else { return DataFinding::unopened(None, verdict) };
        let who = sender(&tag, frame.octets);
        let row = self.table.route(who, tag.an);
        let known = row.and_then(|row| self.table.track(row));
        let sci = known.map_or(who.likely_sci(), |(_, sci, _)| sci);
        DataFinding {
            sci: Some(sci),
            sci_guessed: who.is_guess(),
            row,
            ..DataFinding::unopened(Some(tag), verdict)
        }
    }

    fn count(&mut self, finding: &DataFinding, frame: &Frame<'_>) {
        self.totals.add(finding);
        if let Some(row) = finding.row.and_then(|row| self.table.row_mut(row)) {
            row.counts.add(finding);
            row.first_at = row.first_at.min(frame.at);
            row.last_at = row.last_at.max(frame.at);
        }
    }
}

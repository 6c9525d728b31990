//! Which SAK, SCI, SSCI and PN open a frame.
//!
//! First what has opened the last frame of that sender, which is all there is to do for most. Then
//! what is likely, for every frame. Then everything, as long as that is not in vain every time.

use core::{iter, mem, time::Duration};

use macsec::{NonceBase, Sci, Ssci};

use super::{
    Opener,
    parts::Parts,
    pn::{nearest, upper_halves, with_upper_half},
    rows::Who,
};
use crate::SakBook;

/// SAKs, and SCIs for each, that are tried for every frame.
const LIKELY_SAKS: usize = 4;
const LIKELY_SCIS: usize = 2;

/// A frame that is to be opened.
pub(super) struct Wanted<'a> {
    pub(super) parts: Parts<'a>,
    pub(super) who: Who,
    pub(super) at: Duration,
}

/// What may open a frame, and what has opened it.
pub(super) struct Guess {
    pub(super) sak: usize,
    pub(super) sci: Sci,
    pub(super) ssci: Option<Ssci>,
    pub(super) base: NonceBase,
    pub(super) pn: u64,
    /// SSCI or upper half of the PN are neither known nor near to what is known.
    pub(super) searched: bool,
    /// The row that has opened frames in this way.
    pub(super) row: Option<usize>,
}

impl Opener {
    /// Opens the frame into `clear` by whatever opens it.
    pub(super) fn search(
        &mut self,
        book: &SakBook,
        wanted: &Wanted<'_>,
        clear: &mut Vec<u8>,
    ) -> Option<Guess> {
        let route = self.table.route(wanted.who, wanted.parts.tag.an);
        let by_route = route.and_then(|row| self.guess_by_row(book, row, wanted));
        if let Some(guess) = by_route
            && self.opens(book, &guess, wanted, clear)
        {
            return Some(guess);
        }
        let (who, an) = (wanted.who, wanted.parts.tag.an);
        let mut saks = mem::take(&mut self.likely);
        self.saks.likely(book, who, an, wanted.at, &mut saks);
        let found = self.search_among(book, &saks, wanted, route, clear);
        self.likely = saks;
        found
    }

    fn search_among(
        &mut self,
        book: &SakBook,
        saks: &[usize],
        wanted: &Wanted<'_>,
        tried: Option<usize>,
        clear: &mut Vec<u8>,
    ) -> Option<Guess> {
        let (who, an) = (wanted.who, wanted.parts.tag.an);
        let hard = self.table.try_hard(who, an, book.saks.len());
        for (place, &sak) in saks.iter().enumerate() {
            if place >= LIKELY_SAKS && !hard {
                break;
            }
            let scis = book.saks.get(sak).into_iter().flat_map(|known| known.scis(who));
            for sci in scis.take(if hard { usize::MAX } else { LIKELY_SCIS }) {
                if !self.cipher.may_try(&wanted.parts) {
                    return None;
                }
                let Some(guess) = self.first_guess(book, sak, sci, wanted) else { continue };
                // What was tried first of all need not be tried again.
                let new = guess.row.is_none() || guess.row != tried;
                if new && self.opens(book, &guess, wanted, clear) {
                    return Some(guess);
                }
            }
        }
        if !hard {
            return None;
        }
        for &sak in saks {
            for sci in book.saks.get(sak).into_iter().flat_map(|known| known.scis(who)) {
                if !self.cipher.may_try(&wanted.parts) {
                    return None;
                }
                let found = self.search_xpn(book, sak, sci, wanted, clear);
                if found.is_some() {
                    return found;
                }
            }
        }
        None
    }

    /// Tries upper halves of the PN, and SSCIs where they are not known.
    fn search_xpn(
        &mut self,
        book: &SakBook,
        sak: usize,
        sci: Sci,
        wanted: &Wanted<'_>,
        clear: &mut Vec<u8>,
    ) -> Option<Guess> {
        let known = book.saks.get(sak).filter(|known| known.suite.is_xpn())?;
        let tag = wanted.parts.tag;
        let row = self.table.find(sak, sci, tag.an);
        let guess = row.and_then(|row| self.guess_by_row(book, row, wanted));
        let told = nearest(known.pn_near(sci, wanted.at), tag.pn);
        let (ssci, row, likely) = match guess {
            Some(guess) => (guess.ssci, guess.row, guess.pn),
            None => (known.ssci(sci), None, told),
        };
        let upper_half = |pn: u64| (pn >> 32) as u32;
        for upper in iter::once(told).map(upper_half).chain(upper_halves(upper_half(likely))) {
            let pn = with_upper_half(upper, tag.pn);
            // The one, or all.
            let others = known.sscis().filter(|_| ssci.is_none());
            for ssci in ssci.into_iter().chain(others) {
                if !self.cipher.may_try(&wanted.parts) {
                    return None;
                }
                let base = known.nonce_base(sci, Some(ssci))?;
                let guess = Guess { sak, sci, ssci: Some(ssci), base, pn, searched: true, row };
                if self.opens(book, &guess, wanted, clear) {
                    return Some(guess);
                }
            }
        }
        None
    }

    /// By what is known of this SAK and SCI. `None` if the SSCI is not.
    fn first_guess(
        &self,
        book: &SakBook,
        sak: usize,
        sci: Sci,
        wanted: &Wanted<'_>,
    ) -> Option<Guess> {
        let row = self.table.find(sak, sci, wanted.parts.tag.an);
        if let Some(guess) = row.and_then(|row| self.guess_by_row(book, row, wanted)) {
            return Some(guess);
        }
        let known = book.saks.get(sak)?;
        let ssci = known.ssci(sci);
        let base = known.nonce_base(sci, ssci)?;
        let low = wanted.parts.tag.pn;
        let pn = if known.suite.is_xpn() {
            nearest(known.pn_near(sci, wanted.at), low)
        } else {
            low.into()
        };
        Some(Guess { sak, sci, ssci, base, pn, searched: false, row: None })
    }

    /// As the last frame of this row that was opened.
    pub(super) fn guess_by_row(
        &self,
        book: &SakBook,
        row: usize,
        wanted: &Wanted<'_>,
    ) -> Option<Guess> {
        let (sak, sci, track) = self.table.track(row)?;
        let low = wanted.parts.tag.pn;
        let is_xpn = book.saks.get(sak)?.suite.is_xpn();
        let pn = if is_xpn { nearest(track.pns.highest(), low) } else { low.into() };
        let (ssci, base) = (track.ssci, track.base);
        Some(Guess { sak, sci, ssci, base, pn, searched: false, row: Some(row) })
    }

    fn opens(
        &mut self,
        book: &SakBook,
        guess: &Guess,
        wanted: &Wanted<'_>,
        clear: &mut Vec<u8>,
    ) -> bool {
        let is_xpn = book.saks.get(guess.sak).is_some_and(|known| known.suite.is_xpn());
        // No sender without XPN has a PN of zero.
        (is_xpn || guess.pn != 0)
            && self.cipher.open(book, guess.sak, (&guess.base, guess.pn), &wanted.parts, clear)
    }

    /// The SAK that should have opened a frame that nothing opens.
    pub(super) fn expected(&self, book: &SakBook, wanted: &Wanted<'_>) -> Option<usize> {
        let (who, an) = (wanted.who, wanted.parts.tag.an);
        let by_route = self.table.route(who, an).and_then(|row| self.table.track(row));
        if let Some((sak, ..)) = by_route {
            return Some(sak);
        }
        // Those that were looked at for this frame.
        self.likely.iter().copied().find(|&sak| {
            book.saks.get(sak).is_some_and(|known| known.is_expected_of(who, wanted.at))
        })
    }
}

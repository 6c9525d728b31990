//! Which SAKs a frame may be under, the likely ones first.

use core::{iter, time::Duration};

use macsec::{An, NonceBase, Sci, Ssci};

use super::rows::Who;
use crate::{KnownSak, SakBook, SakSender, SakSource};

/// SAKs that are considered for a frame, at most.
const MOST_SAKS: usize = 16;
/// SSCIs that are tried if it is not known how many members there are, and at most.
const USUAL_SSCIS: u32 = 32;
const MOST_SSCIS: u32 = 128;

/// The SAKs of a book, by AN.
#[derive(Default)]
pub(super) struct SakIndex {
    /// How many of the book are in here.
    count: usize,
    given: [Vec<usize>; 4],
    /// By the time of their distribution.
    distributed: [Vec<(Duration, usize)>; 4],
}

impl SakIndex {
    /// Takes in what `book` has got since the last call.
    pub(super) fn update(&mut self, book: &SakBook) {
        for (number, known) in book.saks.iter().enumerate().skip(self.count) {
            let an = usize::from(known.an.number());
            match known.source {
                SakSource::Given => self.given[an].push(number),
                SakSource::Distributed { at, .. } => {
                    let list = &mut self.distributed[an];
                    let place = list.partition_point(|&(earlier, _)| earlier <= at);
                    list.insert(place, (at, number));
                }
            }
        }
        self.count = self.count.max(book.saks.len());
    }

    /// Puts into `list` the SAKs under which `who` may have sent a frame with `an` at `at`: those
    /// that the user has given for it, then those that were distributed, by turns the latest
    /// before and the first after, for MKPDUs may be missing in a capture.
    pub(super) fn likely(
        &self,
        book: &SakBook,
        who: Who,
        an: An,
        at: Duration,
        list: &mut Vec<usize>,
    ) {
        list.clear();
        let an = usize::from(an.number());
        let given = self.given[an].iter().copied();
        let fits = |number: &usize| {
            let known = book.saks.get(*number);
            known.is_some_and(|known| known.may_be_of(who))
        };
        list.extend(given.filter(fits).take(MOST_SAKS));
        let distributed = &self.distributed[an];
        let (past, future) = distributed.split_at(distributed.partition_point(|d| d.0 <= at));
        let (mut past, mut future) = (past.iter().rev(), future.iter());
        let turns = iter::from_fn(|| match (past.next(), future.next()) {
            (None, None) => None,
            both => Some(both),
        });
        let turns = turns.flat_map(|(past, future)| past.into_iter().chain(future));
        list.extend(turns.map(|&(_, number)| number).take(MOST_SAKS - list.len()));
    }
}

impl KnownSak {
    fn sender(&self, sci: Sci) -> Option<&SakSender> {
        self.senders.iter().find(|sender| sender.sci == sci)
    }

    /// Whether `who` is known to send with it, or may be one of those who do.
    fn may_be_of(&self, who: Who) -> bool {
        match who {
            Who::Sci(sci) => self.sender(sci).is_some(),
            Who::Source(_) => true,
        }
    }

    /// Whether a frame of `who` at `at` should open with it, if it was not changed on its way.
    pub(super) fn is_expected_of(&self, who: Who, at: Duration) -> bool {
        let early = matches!(self.source, SakSource::Distributed { at: from, .. } if from > at);
        !early && self.may_be_of(who)
    }

    /// SCIs that a frame of `who` may have been protected with, the likely ones first.
    pub(super) fn scis(&self, who: Who) -> impl Iterator<Item = Sci> {
        let (named, source) = match who {
            Who::Sci(sci) => (sci, None),
            Who::Source(source) => (Sci::new(source, Sci::PORT_END_STATION), Some(source)),
        };
        let scis = || self.senders.iter().map(|sender| sender.sci).take(MOST_SSCIS as usize);
        let own = scis().filter(move |sci| Some(sci.mac()) == source);
        let others = scis().filter(move |sci| source.is_some_and(|source| source != sci.mac()));
        let is_new = source.is_none() || self.sender(named).is_none();
        own.chain(others).chain(is_new.then_some(named))
    }

    /// The best name for `who`, of which no frame was opened.
    pub(super) fn name_of(&self, who: Who) -> Sci {
        let Who::Source(source) = who else { return who.likely_sci() };
        let mut scis = self.senders.iter().map(|sender| sender.sci);
        scis.find(|sci| sci.mac() == source).unwrap_or(who.likely_sci())
    }

    /// XPN: the SSCI of `sci`, if known.
    pub(super) fn ssci(&self, sci: Sci) -> Option<Ssci> {
        self.sender(sci)?.ssci.filter(|_| self.suite.is_xpn())
    }

    /// XPN: SSCIs that there may be.
    pub(super) fn sscis(&self) -> impl Iterator<Item = Ssci> + use<> {
        let members = match self.source {
            SakSource::Distributed { .. } => self.senders.len(),
            SakSource::Given => 0,
        };
        let most = if members == 0 { USUAL_SSCIS } else { members.min(MOST_SSCIS as usize) as u32 };
        (1..=most).map(Ssci)
    }

    /// The nonce base of `sci`; `None` if, for XPN, SSCI or salt is missing.
    pub(super) fn nonce_base(&self, sci: Sci, ssci: Option<Ssci>) -> Option<NonceBase> {
        if self.suite.is_xpn() {
            Some(NonceBase::from_ssci(ssci?, self.salt?))
        } else {
            Some(NonceBase::from_sci(sci))
        }
    }

    /// XPN: a PN that `sci` was not far from at `at`.
    pub(super) fn pn_near(&self, sci: Sci, at: Duration) -> u64 {
        let told = self.sender(sci).map_or(&[][..], |sender| &sender.lowest_pns);
        let (before, after) = told.split_at(told.partition_point(|&(when, _)| when <= at));
        let near = before.last().into_iter().chain(after.first());
        near.min_by_key(|(when, _)| when.abs_diff(at)).map_or(1, |&(_, pn)| pn)
    }
}

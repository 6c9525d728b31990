//! Packet numbers on receipt: recovery of the upper 32 bits, the replay window, duplicates
//! (802.1AE clause 10.6).

/// How many packet numbers back a duplicate is recognised.
pub(crate) const SEEN_BITS: u32 = 1024;
const WORDS: usize = (SEEN_BITS / 32) as usize;

/// The packet numbers of one receive SA.
///
/// nextPN is `highest + 1` and lowestPN is `floor + 1`. Holding the predecessors keeps everything in a `u64`
/// right up to PN 2^64 - 1, after which nothing is acceptable any more.
pub(crate) struct ReplayState {
    /// The highest PN of a valid frame.
    highest: u64,
    /// The highest PN that is no longer acceptable.
    floor: u64,
    /// Which of the last `SEEN_BITS` PNs up to `highest` have been seen: PN n is bit n mod `SEEN_BITS`.
    seen: [u32; WORDS],
}

impl ReplayState {
    /// Nothing received, `lowest_pn` (at least 1) the lowest acceptable PN.
    pub(crate) const fn new(lowest_pn: u64) -> Self {
        let floor = lowest_pn.saturating_sub(1);
        Self { highest: floor, floor, seen: [0; WORDS] }
    }

    /// nextPN, saturating at 2^64 - 1.
    pub(crate) const fn next_pn(&self) -> u64 {
        self.highest.saturating_add(1)
    }

    /// lowestPN, saturating at 2^64 - 1.
    pub(crate) const fn lowest_pn(&self) -> u64 {
        self.floor.saturating_add(1)
    }

    /// Where this SA may begin again once it has been deleted: at lowestPN, or, if
    /// `without_duplicates`, at nextPN, as what was seen in the window is forgotten. `None` if the
    /// last PN of all, 2^64 - 1, has gone.
    pub(crate) const fn acceptable_from(&self, without_duplicates: bool) -> Option<u64> {
        let gone = if without_duplicates { self.highest } else { self.floor };
        gone.checked_add(1)
    }

    /// Raises lowestPN; never lowers it.
    pub(crate) fn raise_lowest_pn(&mut self, lowest_pn: u64) {
        self.floor = self.floor.max(lowest_pn.saturating_sub(1));
        self.highest = self.highest.max(self.floor);
    }

    /// The full PN of an XPN frame that carries `low`, as seen from lowestPN.
    ///
    /// The reference is the lowest acceptable PN, so the upper half is that of lowestPN or one
    /// more, never one less. nextPN as reference would mistake a straggler from before a wrap.
    #[inline]
    pub(crate) const fn recover_xpn(&self, low: u32) -> u64 {
        const TOP_BIT: u64 = 1 << 31;
        let lowest = self.lowest_pn();
        let mut high = lowest >> 32;
        if lowest & TOP_BIT != 0 && low as u64 & TOP_BIT == 0 {
            // At the last of all epochs there is none to follow: the PN then reads as too low.
            high = if high == u32::MAX as u64 { 0 } else { high + 1 };
        }
        high << 32 | low as u64
    }

    /// Whether `pn` lies below lowestPN.
    #[inline]
    pub(crate) const fn is_late(&self, pn: u64) -> bool {
        pn <= self.floor
    }

    /// Whether `pn` is known to have been seen. Only what [`advance`](Self::advance) was told to
    /// track is known.
    #[inline]
    pub(crate) fn is_duplicate(&self, pn: u64) -> bool {
        let (word, bit) = position(pn);
        pn <= self.highest && self.highest - pn < u64::from(SEEN_BITS) && self.seen[word] & bit != 0
    }

    /// Takes note of a valid frame: nextPN and lowestPN move up, never down.
    #[inline]
    pub(crate) fn advance(&mut self, pn: u64, window: u32, track_duplicates: bool) {
        if track_duplicates {
            self.mark_seen(pn);
        }
        self.highest = self.highest.max(pn);
        self.narrow(window);
    }

    /// Raises lowestPN to what `window` leaves of the PNs below nextPN.
    #[inline]
    pub(crate) fn narrow(&mut self, window: u32) {
        self.floor = self.floor.max(self.highest.saturating_sub(u64::from(window)));
    }

    /// Takes every PN up to now for seen: those received before tracking began are not known.
    pub(crate) fn start_tracking(&mut self) {
        self.seen = [u32::MAX; WORDS];
    }

    /// Whether a valid frame with `pn` would move lowestPN to another half of a 2^32 epoch, which changes how
    /// the frames that follow it are recovered.
    #[inline]
    pub(crate) fn moves_recovery(&self, pn: u64, window: u32) -> bool {
        let after = self.highest.max(pn).saturating_sub(u64::from(window)).saturating_add(1);
        after >> 31 > self.lowest_pn() >> 31
    }

    fn mark_seen(&mut self, pn: u64) {
        if pn > self.highest {
            if pn - self.highest >= u64::from(SEEN_BITS) {
                self.seen = [0; WORDS];
            } else {
                for skipped in self.highest + 1..pn {
                    let (word, bit) = position(skipped);
                    self.seen[word] &= !bit;
                }
            }
        }
        let (word, bit) = position(pn);
        self.seen[word] |= bit;
    }
}

const fn position(pn: u64) -> (usize, u32) {
    let index = pn % SEEN_BITS as u64;
    ((index / 32) as usize, 1 << (index % 32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovers_the_upper_half_over_the_wrap() {
        // (lowestPN, received low half, recovered PN)
        for (lowest, low, pn) in [
            (1, 1, 1),
            (1, 0xffff_ffff, 0xffff_ffff),
            (0x7fff_ffff, 0, 0),
            (0x7fff_ffff, 0xffff_ffff, 0xffff_ffff),
            (0x8000_0000, 0, 0x1_0000_0000),
            (0x8000_0000, 0x7fff_ffff, 0x1_7fff_ffff),
            (0x8000_0000, 0x8000_0000, 0x8000_0000),
            (0xffff_ffff, 0xffff_ffff, 0xffff_ffff),
            (0xffff_ffff, 0, 0x1_0000_0000),
            (0x1_0000_0000, 0xffff_ffff, 0x1_ffff_ffff),
            (0x1_8000_0000, 5, 0x2_0000_0005),
            (0xffff_ffff_7fff_ffff, 0xffff_fffe, 0xffff_ffff_ffff_fffe),
            (0xffff_ffff_ffff_ffff, 0xffff_ffff, 0xffff_ffff_ffff_ffff),
            // No epoch follows the last.
            (0xffff_ffff_8000_0000, 5, 5),
        ] {
            assert_eq!(ReplayState::new(lowest).recover_xpn(low), pn, "{lowest:x} {low:x}");
        }
    }

    #[test]
    fn the_last_pn_of_all_cannot_be_replayed() {
        for last in [u64::from(u32::MAX), u64::MAX] {
            let mut state = ReplayState::new(last - 5);
            state.advance(last, 0, false);
            assert!(state.is_late(last));
            let mut state = ReplayState::new(last - 5);
            state.advance(last, 2, false);
            assert!(state.is_late(last - 2) && !state.is_late(last - 1) && !state.is_late(last));
        }
    }

    #[test]
    fn lowest_pn_follows_the_window_and_never_falls() {
        let mut state = ReplayState::new(1);
        state.advance(0x4b, 0x20, false);
        assert_eq!((state.next_pn(), state.lowest_pn()), (0x4c, 0x2c));
        state.advance(0x30, 0x20, false);
        assert_eq!((state.next_pn(), state.lowest_pn()), (0x4c, 0x2c));
        state.advance(0x4c, 0x1000, false);
        assert_eq!(state.lowest_pn(), 0x2c);
        state.raise_lowest_pn(0x100);
        assert_eq!((state.next_pn(), state.lowest_pn()), (0x100, 0x100));
        state.raise_lowest_pn(0x10);
        assert_eq!(state.lowest_pn(), 0x100);
    }

    /// What a wide window let in, a narrow one does not: not even before the next new frame.
    #[test]
    fn a_narrower_window_holds_at_once() {
        let mut state = ReplayState::new(1);
        state.advance(6000, 100_000, false);
        assert_eq!(state.lowest_pn(), 1);
        state.narrow(1024);
        assert_eq!(state.lowest_pn(), 4977);
        state.advance(5000, 0, false);
        assert_eq!((state.next_pn(), state.lowest_pn()), (6001, 6001));
        state.narrow(100_000);
        assert_eq!(state.lowest_pn(), 6001);
    }

    #[test]
    fn duplicates_are_known_by_the_window() {
        let mut state = ReplayState::new(1);
        for pn in [5, 3, 4, 1030] {
            assert!(!state.is_duplicate(pn));
            state.advance(pn, SEEN_BITS, true);
            assert!(state.is_duplicate(pn));
        }
        // 1030 - 1024 = 6: five is out of the window and late, its bit reused or cleared.
        assert!(state.is_late(5) && !state.is_late(7));
        assert!((7..1030).all(|pn| !state.is_duplicate(pn)));
        state.advance(1031, SEEN_BITS, true);
        assert!(state.is_duplicate(1030) && !state.is_duplicate(1029));
        state.advance(5000, SEEN_BITS, true);
        assert!((4000..5000).all(|pn| !state.is_duplicate(pn)) && state.is_duplicate(5000));
    }

    /// Against a plain set, over pseudo-random arrivals.
    #[test]
    fn duplicates_agree_with_a_plain_set() {
        extern crate std;
        let mut seen = std::collections::BTreeSet::new();
        let mut state = ReplayState::new(1);
        let mut random = 12345_u64;
        let mut centre = 2000;
        for _ in 0..200_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let pn =
                centre + (random >> 40) % 1400 - 1300 + if random >> 60 == 0 { 700 } else { 0 };
            if state.is_late(pn) {
                continue;
            }
            assert_eq!(state.is_duplicate(pn), !seen.insert(pn), "{pn}");
            state.advance(pn, SEEN_BITS, true);
            centre = centre.max(pn);
        }
    }
}

//! Packet numbers: the upper half of those of XPN, and which have been seen.

/// PNs below the highest that are remembered one by one.
const WINDOW: u64 = 1024;
const WORDS: usize = (WINDOW / 64) as usize;
/// Upper halves that are tried, from zero and from what is likely.
const UPPER_HALVES: u32 = 16;

/// How a PN stands to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Higher than all before.
    Rising,
    /// Below the highest, and not known to have been seen.
    Late,
    /// Seen before.
    Replayed,
}

/// The PNs that have been seen of one SA.
pub(super) struct PnTracker {
    highest: u64,
    /// PN n is bit n mod `WINDOW`, for the last `WINDOW` PNs up to the highest.
    seen: [u64; WORDS],
}

impl PnTracker {
    /// `first` has been seen.
    pub(super) fn new(first: u64) -> Self {
        let mut tracker = Self { highest: first, seen: [0; WORDS] };
        tracker.mark(first);
        tracker
    }

    pub(super) fn highest(&self) -> u64 {
        self.highest
    }

    /// Takes note of `pn`.
    pub(super) fn note(&mut self, pn: u64) -> Order {
        if pn > self.highest {
            if pn - self.highest >= WINDOW {
                self.seen = [0; WORDS];
            } else {
                for skipped in self.highest + 1..pn {
                    let (word, bit) = position(skipped);
                    self.seen[word] &= !bit;
                }
            }
            self.highest = pn;
            self.mark(pn);
            return Order::Rising;
        }
        // Further back nothing is known.
        if self.highest - pn >= WINDOW {
            return Order::Late;
        }
        let (word, bit) = position(pn);
        if self.seen[word] & bit != 0 {
            return Order::Replayed;
        }
        self.mark(pn);
        Order::Late
    }

    fn mark(&mut self, pn: u64) {
        let (word, bit) = position(pn);
        self.seen[word] |= bit;
    }
}

fn position(pn: u64) -> (usize, u64) {
    let index = pn % WINDOW;
    ((index / 64) as usize, 1 << (index % 64))
}

/// The PN nearest to `reference` whose low half is `low`.
pub(super) fn nearest(reference: u64, low: u32) -> u64 {
    // The cast cuts to the low half, and the sign of the difference says which way is shorter.
    let difference = i64::from(low.wrapping_sub(reference as u32).cast_signed());
    let nearest = reference.checked_add_signed(difference);
    nearest.unwrap_or(with_upper_half((reference >> 32) as u32, low))
}

/// The PN of these two halves.
pub(super) fn with_upper_half(upper: u32, low: u32) -> u64 {
    u64::from(upper) << 32 | u64::from(low)
}

/// Upper halves to try, each once, beginning with `likely`.
pub(super) fn upper_halves(likely: u32) -> impl Iterator<Item = u32> {
    let near = likely.saturating_sub(1)..=likely.saturating_add(UPPER_HALVES);
    let after = (likely..=*near.end()).chain(likely.checked_sub(1));
    after.chain((0..=UPPER_HALVES).filter(move |upper| !near.contains(upper)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_upper_half_is_the_nearest() {
        for (reference, low, pn) in [
            (1, 1, 1),
            (1, 0xffff_ffff, 0xffff_ffff),
            (0xffff_fff0, 5, 0x1_0000_0005),
            (0x1_0000_0005, 0xffff_fff0, 0xffff_fff0),
            (0x1_8000_0000, 0x8000_0001, 0x1_8000_0001),
            (u64::MAX, 0xffff_fffe, u64::MAX - 1),
            (u64::MAX, 3, 0xffff_ffff_0000_0003),
        ] {
            assert_eq!(nearest(reference, low), pn, "{reference:x} {low:x}");
        }
    }

    #[test]
    fn upper_halves_are_tried_once_each() {
        for likely in [0, 1, 7, 16, 17, 18, 40, u32::MAX - 3, u32::MAX] {
            let tried: Vec<_> = upper_halves(likely).collect();
            assert_eq!(tried[0], likely);
            let distinct: BTreeSet<_> = tried.iter().copied().collect();
            assert_eq!(distinct.len(), tried.len(), "{likely}");
            assert!((0..=16).all(|upper| distinct.contains(&upper)), "{likely}");
            assert!(tried.len() <= 40);
        }
    }

    /// Against a plain set, over pseudo-random arrivals.
    #[test]
    fn what_was_seen_agrees_with_a_plain_set() {
        let mut seen = BTreeSet::from([5000]);
        let mut tracker = PnTracker::new(5000);
        let (mut random, mut highest) = (99_u64, 5000);
        for _ in 0..100_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let jump = if random >> 58 == 0 { 900 } else { 0 };
            let pn = highest + (random >> 40) % 1200 - 1190 + jump;
            let expected = match (pn > highest, !seen.insert(pn) && highest - pn < WINDOW) {
                (true, _) => Order::Rising,
                (false, true) => Order::Replayed,
                (false, false) => Order::Late,
            };
            assert_eq!(tracker.note(pn), expected, "{pn} {highest}");
            highest = highest.max(pn);
            assert_eq!(tracker.highest(), highest);
        }
    }
}

//! Packet numbers of the data plane's keys, now and two seconds ago.

use core::time::Duration;

use arrayvec::ArrayVec;
use macsec::Ki;

/// What a peer is told as the lowest PN lies so far back (802.1X clause 9.10: MKA Bounded Hello Time, four times).
const WINDOW: Duration = Duration::from_secs(2);
/// The least time between two that are remembered. Reports come twice a second, give or take how busy a machine is.
const SPACING: Duration = Duration::from_millis(250);
/// As many as lie in the window, the one before it, and one more.
const MAX_SAMPLES: usize = 10;
/// A latest key, an old one, and one that is just going.
const MAX_KEYS: usize = 3;

/// Where the packet numbers of one key are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPns {
    /// The key.
    pub ki: Ki,
    /// `nextPN` of the transmit SA: from 1 on; [`u64::MAX`] if there is none left.
    pub transmit_next_pn: u64,
    /// The greatest `nextPN` of the receive SAs; 1 if there are none.
    pub receive_next_pn: u64,
}

#[derive(Debug)]
struct KeyHistory {
    latest: KeyPns,
    /// When, and the transmit SA's nextPN then.
    samples: ArrayVec<(Duration, u64), MAX_SAMPLES>,
}

/// The last reports of the data plane.
#[derive(Debug, Default)]
pub(super) struct PnHistory {
    keys: ArrayVec<KeyHistory, MAX_KEYS>,
}

impl PnHistory {
    /// Takes what the data plane says of all its keys. Those that it does not name are gone.
    pub(super) fn report(&mut self, now: Duration, pns: &[KeyPns]) {
        self.keys.retain(|key| pns.iter().any(|pns| pns.ki == key.latest.ki));
        for pns in pns {
            let known = self.keys.iter().position(|key| key.latest.ki == pns.ki);
            let Some(at) = known.or_else(|| self.add(*pns)) else { continue };
            let key = &mut self.keys[at];
            key.latest = *pns;
            // Reports that come quickly one after the other do not push out those of two seconds ago.
            if key.samples.last().is_none_or(|(at, _)| now >= at.saturating_add(SPACING)) {
                if key.samples.is_full() {
                    key.samples.remove(0);
                }
                key.samples.push((now, pns.transmit_next_pn));
            }
        }
    }

    fn add(&mut self, latest: KeyPns) -> Option<usize> {
        self.keys.try_push(KeyHistory { latest, samples: ArrayVec::new() }).ok()?;
        Some(self.keys.len() - 1)
    }

    /// The lowest PN that was sent with the key in the last two seconds, or a lower one; at least 1.
    pub(super) fn lowest(&self, ki: Ki, now: Duration) -> u64 {
        let Some(key) = self.key(ki) else { return 1 };
        let old = |(at, _): &&(Duration, u64)| at.saturating_add(WINDOW) <= now;
        key.samples.iter().rfind(old).map_or(1, |&(_, pn)| pn.max(1))
    }

    /// The greatest next PN of all SAs of the key.
    pub(super) fn next(&self, ki: Ki) -> u64 {
        self.key(ki).map_or(1, |key| key.latest.transmit_next_pn.max(key.latest.receive_next_pn))
    }

    fn key(&self, ki: Ki) -> Option<&KeyHistory> {
        self.keys.iter().find(|key| key.latest.ki == ki)
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    const KI: Ki = Ki([7; 16]);

    const fn pns(transmit_next_pn: u64) -> KeyPns {
        KeyPns { ki: KI, transmit_next_pn, receive_next_pn: 5 }
    }

    /// Pitfall 7: what is told as the lowest PN is not the next one.
    #[test]
    fn p07_the_lowest_pn_is_that_of_two_seconds_ago() {
        let mut history = PnHistory::default();
        let half = Duration::from_millis(500);
        for step in 0..20_u32 {
            history.report(half * step, &[pns(u64::from(step) * 1000 + 1)]);
            let expected = u64::from(step.saturating_sub(4)) * 1000 + 1;
            assert_eq!(history.lowest(KI, half * step), expected, "step {step}");
        }
        assert_eq!(history.next(KI), 19_001);
    }

    #[test]
    fn reports_in_a_burst_keep_the_memory_of_two_seconds_ago() {
        let mut history = PnHistory::default();
        history.report(Duration::ZERO, &[pns(10)]);
        for millis in 0..2000 {
            history.report(Duration::from_millis(millis), &[pns(1000 + millis)]);
        }
        assert_eq!(history.lowest(KI, Duration::from_secs(2)), 10);
    }

    /// A report that came a moment too early was left out, and the bound was half a second longer.
    #[test]
    fn reports_that_are_not_punctual_all_count() {
        let mut history = PnHistory::default();
        for step in 0..40_u64 {
            let at = Duration::from_millis(500 * step + [0, 30, 90, 10][step as usize % 4]);
            history.report(at, &[pns(step * 1000 + 1)]);
            let lowest = history.lowest(KI, at);
            assert!(step < 5 || (step - 5) * 1000 < lowest, "{step} {lowest}");
            assert!(lowest <= step.saturating_sub(4) * 1000 + 1, "{step} {lowest}");
        }
    }

    #[test]
    fn keys_that_are_gone_are_forgotten_and_others_do_not_pile_up() {
        let mut history = PnHistory::default();
        assert_eq!((history.lowest(KI, WINDOW), history.next(KI)), (1, 1));
        history.report(Duration::ZERO, &[pns(100)]);
        history.report(WINDOW, &[]);
        assert_eq!(history.lowest(KI, WINDOW), 1);
        let many: Vec<_> = (0..9).map(|n| KeyPns { ki: Ki([n; 16]), ..pns(7) }).collect();
        history.report(WINDOW, &many);
        assert_eq!(history.keys.len(), MAX_KEYS);
    }
}

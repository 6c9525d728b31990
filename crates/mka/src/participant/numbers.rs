//! Our own message numbers: which were sent, and when.

use alloc::collections::VecDeque;
use core::time::Duration;

/// A new MI is taken from this message number on, long before the numbers run out.
const LAST: u32 = 0xffff_ff00;
/// As many as are sent in a Life Time of MKPDUs at the least gap, and more.
const REMEMBERED: usize = 128;

/// The numbers of our last messages. A peer that lists one of them is there: it has heard us of late.
#[derive(Debug)]
pub(crate) struct MessageNumbers {
    last: u32,
    /// When the last messages were sent, in nanoseconds; that with the number `last` comes last.
    sent: VecDeque<u64>,
}

impl MessageNumbers {
    pub(crate) fn new() -> Self {
        Self { last: 0, sent: VecDeque::with_capacity(REMEMBERED) }
    }

    /// Begins anew, for a new MI.
    pub(crate) fn restart(&mut self) {
        self.last = 0;
        self.sent.clear();
    }

    /// The number of the last message; 0 before the first.
    pub(crate) const fn last(&self) -> u32 {
        self.last
    }

    /// Whether the numbers of this MI are used up.
    pub(crate) const fn exhausted(&self) -> bool {
        self.last >= LAST
    }

    /// Leaves out all numbers up to `last`.
    #[cfg(test)]
    pub(crate) fn skip_to(&mut self, last: u32) {
        self.last = last;
        self.sent.clear();
    }

    /// The number of a message that goes out now.
    pub(crate) fn next(&mut self, now: Duration) -> u32 {
        if self.sent.len() == REMEMBERED {
            self.sent.pop_front();
        }
        self.last = self.last.saturating_add(1);
        self.sent.push_back(nanoseconds(now));
        self.last
    }

    /// Whether the message `mn` was sent less than `age` ago. What the standard calls acceptably recent
    /// is not settled in public sources; one Life Time is the intent, and what some document.
    pub(crate) fn is_recent(&self, mn: u32, now: Duration, age: Duration) -> bool {
        let back = self.last.checked_sub(mn).and_then(|back| usize::try_from(back).ok());
        let at = back.and_then(|back| self.sent.iter().rev().nth(back));
        at.is_some_and(|at| nanoseconds(now).saturating_sub(*at) < nanoseconds(age))
    }
}

/// As many as there are in 584 years.
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pitfall 22: two MKPDUs that cross do not make peers flap.
    #[test]
    fn p22_numbers_of_a_life_time_are_recent() {
        let (mut numbers, life) = (MessageNumbers::new(), Duration::from_secs(6));
        assert_eq!(numbers.next(Duration::ZERO), 1);
        assert_eq!(numbers.next(Duration::from_secs(5)), 2);
        assert!(numbers.is_recent(1, Duration::from_millis(5999), life));
        assert!(!numbers.is_recent(1, Duration::from_secs(6), life));
        assert!(numbers.is_recent(2, Duration::from_secs(6), life));
        assert!(!numbers.is_recent(3, Duration::from_secs(6), life));
        numbers.restart();
        assert!(!numbers.is_recent(2, Duration::from_secs(6), life));
        assert_eq!(numbers.next(Duration::from_secs(6)), 1);
    }

    #[test]
    fn the_ring_forgets_the_oldest_and_does_not_grow() {
        let mut numbers = MessageNumbers::new();
        for _ in 0..1000 {
            numbers.next(Duration::ZERO);
        }
        assert_eq!(numbers.sent.len(), REMEMBERED);
        assert!(!numbers.is_recent(872, Duration::ZERO, LIFE));
        assert!(numbers.is_recent(873, Duration::ZERO, LIFE));
    }

    const LIFE: Duration = Duration::from_secs(6);
}

//! SAKs that came to nothing, and when to try for another.

use core::time::Duration;

use macsec::Ki;

/// Between two attempts at the most.
const LONGEST: Duration = Duration::from_secs(32);

/// How often in a row a SAK has come to nothing: each time it takes longer before another is asked for. A data plane that
/// takes no SAK at all is not to be kept busy, nor are the peers.
#[derive(Debug, Default)]
pub(super) struct Setbacks {
    in_a_row: u32,
    retry: Option<(Duration, Ki)>,
}

impl Setbacks {
    /// One more: the SAK `ki` is of no use.
    pub(super) fn add(&mut self, now: Duration, ki: Ki) {
        let delay = match self.in_a_row {
            0 => Duration::ZERO,
            more => Duration::from_secs(1 << (more - 1).min(5)).min(LONGEST),
        };
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.retry = Some((now.saturating_add(delay), ki));
    }

    /// A SAK is in use.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn due(&self) -> Option<Duration> {
        self.retry.map(|(at, _)| at)
    }

    /// The SAK that is of no use, once it is time for another.
    pub(super) fn take_due(&mut self, now: Duration) -> Option<Ki> {
        self.retry.take_if(|(at, _)| *at <= now).map(|(_, ki)| ki)
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn attempts_become_rare_and_never_cease() {
        let (mut setbacks, now) = (Setbacks::default(), Duration::from_secs(100));
        let delays: Vec<_> = (0..9)
            .map(|number| {
                setbacks.add(now, Ki([number; 16]));
                (setbacks.due().unwrap() - now).as_secs()
            })
            .collect();
        assert_eq!(delays, [0, 1, 2, 4, 8, 16, 32, 32, 32]);
        assert_eq!(setbacks.take_due(now + Duration::from_secs(31)), None);
        assert_eq!(setbacks.take_due(now + Duration::from_secs(32)), Some(Ki([8; 16])));
        assert_eq!(setbacks.due(), None);
        setbacks.clear();
        setbacks.add(now, Ki([0; 16]));
        assert_eq!(setbacks.due(), Some(now));
    }
}

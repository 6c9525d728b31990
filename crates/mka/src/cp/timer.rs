//! A timer without a clock.

use core::time::Duration;

/// Off, or a moment; once that has passed the timer is at zero, until it is set anew.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timer(Option<Duration>);

impl Timer {
    pub(super) fn start(&mut self, now: Duration, delay: Duration) {
        self.0 = Some(now.saturating_add(delay));
    }

    pub(super) fn stop(&mut self) {
        self.0 = None;
    }

    pub(super) fn is_on(self) -> bool {
        self.0.is_some()
    }

    pub(super) fn is_zero(self, now: Duration) -> bool {
        self.0.is_some_and(|at| at <= now)
    }

    /// When it gets to zero, if it has not done so before `now`: nobody has to be woken for that.
    pub(super) fn pending(self, now: Duration) -> Option<Duration> {
        self.0.filter(|&at| at > now)
    }
}

//! How far it is, on a terminal.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

/// Frames between two looks at the clock.
const STRIDE: u64 = 1024;
const INTERVAL: Duration = Duration::from_millis(200);
/// Characters of the bar.
const BAR: u64 = 30;

/// A bar on stderr, if that is a terminal; otherwise nothing.
pub(super) struct Progress {
    is_terminal: bool,
    /// Octets to be read, in all passes.
    total: u64,
    /// Octets that former passes have read.
    before: u64,
    frames: u64,
    next: Instant,
    is_drawn: bool,
}

impl Progress {
    /// Of reading `total` octets. None is drawn in the first moments, nor of nothing.
    pub(super) fn new(total: u64) -> Self {
        Self {
            is_terminal: total > 0 && io::stderr().is_terminal(),
            total,
            before: 0,
            frames: 0,
            next: Instant::now() + 2 * INTERVAL,
            is_drawn: false,
        }
    }

    /// A frame has been read; `used` octets of this pass by now.
    pub(super) fn frame(&mut self, used: impl FnOnce() -> u64) {
        self.frames += 1;
        if !self.is_terminal || !self.frames.is_multiple_of(STRIDE) || Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + INTERVAL;
        let done = (self.before + used()).min(self.total);
        // A terminal that is gone misses nothing.
        let _ = write!(io::stderr(), "\r{}", bar(done, self.total));
        self.is_drawn = true;
    }

    /// A pass has ended, which has read `used` octets.
    pub(super) fn pass(&mut self, used: u64) {
        self.before += used;
    }

    /// Takes the bar off the terminal.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.is_drawn) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

fn bar(done: u64, total: u64) -> String {
    const MIB: u64 = 1024 * 1024;
    // No capture has so many octets that this overflows.
    let share = |of: u64| done.saturating_mul(of) / total.max(1);
    let full = usize::try_from(share(BAR)).unwrap_or_default();
    let width = usize::try_from(BAR).unwrap_or_default();
    let hashes = "#".repeat(full);
    format!("[{hashes:-<width$}] {:>3} % of {} MiB", share(100), total / MIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_shows_the_share() {
        assert_eq!(bar(0, 2 << 20), format!("[{}]   0 % of 2 MiB", "-".repeat(30)));
        let half = format!("[{}{}]  50 % of 2 MiB", "#".repeat(15), "-".repeat(15));
        assert_eq!(bar(1 << 20, 2 << 20), half);
        assert_eq!(bar(2 << 20, 2 << 20), format!("[{}] 100 % of 2 MiB", "#".repeat(30)));
    }
}

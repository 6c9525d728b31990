//! When a participant sends: at once, quickly at first, then every Hello Time, and whenever it has news.

use core::time::Duration;

/// MKA Life Time at the least (802.1X table 9-3).
pub(crate) const LIFE_TIME: Duration = Duration::from_secs(6);
/// MKA Hello Time unless configured otherwise (802.1X table 9-3).
pub const HELLO_TIME: Duration = Duration::from_secs(2);
/// MKA Bounded Hello Time: the Hello Time with delay protection (802.1X table 9-3).
pub(crate) const BOUNDED_HELLO_TIME: Duration = Duration::from_millis(500);

/// The gaps between the first hellos, and between those that follow on news of weight. A session comes
/// up within a second that way, on a bad network too, and a SAK gets to all before anybody uses it.
const RAMP: [Duration; 5] = [
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
    Duration::from_millis(800),
];
/// The least gap between two MKPDUs: news that come in a burst go out together.
const LEAST_GAP: Duration = Duration::from_millis(100);

/// The time of the next MKPDU.
#[derive(Debug)]
pub(crate) struct HelloTimer {
    hello: Duration,
    next: Duration,
    sent: Option<Duration>,
    ramp: usize,
    news: bool,
}

impl HelloTimer {
    pub(crate) const fn new(hello: Duration, now: Duration) -> Self {
        Self { hello, next: now, sent: None, ramp: 0, news: false }
    }

    /// There is something that peers should know before the next hello.
    pub(crate) const fn news(&mut self) {
        self.news = true;
    }

    /// There is something that peers must know soon, even if the next frames get lost: be as quick as after
    /// the start.
    pub(crate) const fn restart(&mut self) {
        self.ramp = 0;
        self.news = true;
    }

    /// When the next MKPDU is due.
    pub(crate) fn due(&self) -> Duration {
        match self.sent {
            Some(sent) if self.news => self.next.min(sent.saturating_add(LEAST_GAP)),
            _ => self.next,
        }
    }

    /// An MKPDU goes out now.
    pub(crate) fn sent(&mut self, now: Duration) {
        let gap = RAMP.get(self.ramp).map_or(self.hello, |gap| self.hello.min(*gap));
        self.ramp = RAMP.len().min(self.ramp + 1);
        self.next = now.saturating_add(gap);
        self.sent = Some(now);
        self.news = false;
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn gaps(timer: &mut HelloTimer, count: usize) -> Vec<u128> {
        let mut last = timer.due();
        let mut gap = || {
            timer.sent(last);
            let gap = timer.due() - last;
            last = timer.due();
            gap.as_millis()
        };
        (0..count).map(|_| gap()).collect()
    }

    #[test]
    fn first_hellos_are_ramped() {
        let mut timer = HelloTimer::new(HELLO_TIME, Duration::from_secs(9));
        assert_eq!(timer.due(), Duration::from_secs(9));
        assert_eq!(gaps(&mut timer, 7), [100, 200, 400, 800, 800, 2000, 2000]);
    }

    #[test]
    fn bounded_hellos_are_never_slower_than_half_a_second() {
        let mut timer = HelloTimer::new(BOUNDED_HELLO_TIME, Duration::ZERO);
        assert_eq!(gaps(&mut timer, 6), [100, 200, 400, 500, 500, 500]);
    }

    #[test]
    fn news_go_out_together_after_the_least_gap() {
        let mut timer = HelloTimer::new(HELLO_TIME, Duration::ZERO);
        gaps(&mut timer, 10);
        let sent = timer.due();
        timer.sent(sent);
        timer.news();
        timer.news();
        assert_eq!(timer.due(), sent + LEAST_GAP);
        timer.sent(sent + LEAST_GAP);
        assert_eq!(timer.due(), sent + LEAST_GAP + HELLO_TIME);
    }
}

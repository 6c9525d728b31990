//! The paired measurement.

use std::time::{Duration, Instant};

use crate::Contender;

/// Median time of a chunk for each contender, in the order given.
#[derive(Debug)]
pub struct Medians(Vec<Duration>);

impl Medians {
    /// The median of one contender.
    #[must_use]
    pub fn of(&self, contender: usize) -> Duration {
        self.0[contender]
    }

    /// How many times as long as the contender `base` this one took.
    #[must_use]
    pub fn ratio(&self, contender: usize, base: usize) -> f64 {
        self.0[contender].as_secs_f64() / self.0[base].as_secs_f64()
    }
}

/// Lets the contenders take turns for about `budget`, one chunk each per round. The one that begins
/// changes from round to round, so that none always runs behind the same other.
#[must_use]
pub fn paired(contenders: &mut [Contender], budget: Duration) -> Medians {
    const LEAST_ROUNDS: usize = 30;
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); contenders.len()];
    let begin = Instant::now();
    let mut round = 0;
    while round < LEAST_ROUNDS || begin.elapsed() < budget {
        for turn in 0..contenders.len() {
            let which = (round + turn) % contenders.len();
            times[which].push(contenders[which].time_chunk());
        }
        round += 1;
    }
    Medians(times.into_iter().map(median).collect())
}

fn median(mut times: Vec<Duration>) -> Duration {
    let middle = times.len() / 2;
    *times.select_nth_unstable(middle).1
}

//! What has happened, line by line.

use core::time::Duration;

use macsec::Ki;
use mka::{Ckn, Mi, key_number};

use super::report::StoryLine;

/// The story of a capture, as far as there is room.
#[derive(Debug, Default)]
pub(super) struct Story {
    pub(super) lines: Vec<StoryLine>,
    pub(super) left_out: u64,
}

impl Story {
    pub(super) fn add(&mut self, news: &[StoryLine], limit: usize) {
        let room = limit.saturating_sub(self.lines.len()).min(news.len());
        let (told, rest) = news.split_at(room);
        self.lines.extend_from_slice(told);
        self.left_out += rest.len() as u64;
    }
}

/// What becomes known at one time.
#[derive(Debug)]
pub(super) struct News {
    frame: u64,
    pub(super) at: Duration,
    pub(super) lines: Vec<StoryLine>,
}

impl News {
    pub(super) const fn new(frame: u64, at: Duration) -> Self {
        Self { frame, at, lines: Vec::new() }
    }

    pub(super) fn tell(&mut self, ckn: &Ckn, verified: bool, text: String) {
        let (frame, at) = (self.frame, self.at);
        self.lines.push(StoryLine { frame, at, ckn: ckn.to_string(), verified, text });
    }
}

/// A KI as people read it: MI, slash, key number.
pub(super) fn ki_text(ki: Ki) -> String {
    format!("{}/{}", Mi::of_ki(ki), key_number(ki))
}

/// How long after something: `+2.1 s`.
pub(super) fn after(at: Duration, since: Duration) -> String {
    format!("+{:.1} s", at.saturating_sub(since).as_secs_f64())
}

//! Lines on stdout, beside a bar on a terminal.

use std::{
    collections::HashMap,
    fmt,
    io::{self, BufWriter, IsTerminal, Stdout, Write},
    time::Duration,
};

use super::progress::Progress;

/// Lines that are alike are shown so often.
const SHOWN: u64 = 10;
/// Kinds of lines that are counted apart. A capture can have any number of senders.
const MOST_KINDS: usize = 1024;

/// Standard output. One that nobody reads any more takes everything and shows nothing.
pub(super) struct Output {
    stdout: BufWriter<Stdout>,
    is_terminal: bool,
    closed: bool,
    failed: Option<io::Error>,
    /// When the capture begins.
    start: Option<Duration>,
    /// The frame that the last line was about.
    last: u64,
    /// How often there was a line of its kind.
    kinds: HashMap<LineKind, u64>,
}

/// What makes lines alike: who it is about, and what is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct LineKind {
    pub(super) sci: Option<macsec::Sci>,
    pub(super) an: Option<macsec::An>,
    pub(super) what: &'static str,
}

impl Output {
    pub(super) fn new() -> Self {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        let stdout = BufWriter::with_capacity(64 * 1024, stdout);
        Self {
            stdout,
            is_terminal,
            closed: false,
            failed: None,
            start: None,
            last: 0,
            kinds: HashMap::new(),
        }
    }

    /// Whether nobody reads what is written.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Writes a line about a frame.
    pub(super) fn frame(
        &mut self,
        progress: &mut Progress,
        number: u64,
        at: Duration,
        text: impl fmt::Display,
    ) {
        let start = *self.start.get_or_insert(at);
        self.last = number;
        self.line(progress, format_args!("{number:>7} {:>12} {text}", Since { start, at }));
    }

    /// Writes a line about what a frame shows; below the line about that frame, it needs no number.
    pub(super) fn shown(
        &mut self,
        progress: &mut Progress,
        number: u64,
        at: Duration,
        text: impl fmt::Display,
    ) {
        if number == self.last {
            self.line(progress, format_args!("{:20}   -- {text}", ""));
        } else {
            self.frame(progress, number, at, format_args!("  -- {text}"));
        }
    }

    /// Writes a line about a frame, unless there have been many of its kind; the last that is shown
    /// says so.
    pub(super) fn frame_of_kind(
        &mut self,
        progress: &mut Progress,
        number: u64,
        at: Duration,
        kind: LineKind,
        text: impl fmt::Display,
    ) {
        let is_new = !self.kinds.contains_key(&kind);
        let kind = if is_new && self.kinds.len() >= MOST_KINDS {
            LineKind { sci: None, an: None, ..kind }
        } else {
            kind
        };
        let count = self.kinds.entry(kind).or_default();
        *count += 1;
        match *count {
            ..SHOWN => self.frame(progress, number, at, text),
            SHOWN => {
                let more = "(more like this are only counted, -v shows them)";
                self.frame(progress, number, at, format_args!("{text} {more}"));
            }
            _ => {}
        }
    }

    /// Tells when the capture begins: times are shown from there on.
    pub(super) fn begin(&mut self, at: Duration) {
        self.start.get_or_insert(at);
    }

    /// Writes a line, or several.
    pub(super) fn line(&mut self, progress: &mut Progress, text: impl fmt::Display) {
        if self.closed {
            return;
        }
        if self.is_terminal {
            progress.clear();
        }
        let written = writeln!(self.stdout, "{text}");
        self.note(written);
        if self.is_terminal {
            self.flush();
        }
    }

    /// Writes text as it is.
    pub(super) fn text(&mut self, text: &str) {
        if !self.closed {
            let written = self.stdout.write_all(text.as_bytes());
            self.note(written);
        }
    }

    pub(super) fn flush(&mut self) {
        if !self.closed {
            let written = self.stdout.flush();
            self.note(written);
        }
    }

    /// Why not everything could be written, if somebody wanted to read it.
    pub(super) fn take_error(&mut self) -> Option<io::Error> {
        self.failed.take()
    }

    fn note(&mut self, written: io::Result<()>) {
        if let Err(error) = written {
            self.closed = true;
            if error.kind() != io::ErrorKind::BrokenPipe {
                self.failed = Some(error);
            }
        }
    }
}

/// A time since the capture began, in seconds: `+2.100000`.
pub(super) struct Since {
    pub(super) start: Duration,
    pub(super) at: Duration,
}

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, time) = match self.at.checked_sub(self.start) {
            Some(time) => ('+', time),
            None => ('-', self.start - self.at),
        };
        f.pad(&format!("{sign}{}.{:06}", time.as_secs(), time.subsec_micros()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_since_the_start_before_it_too() {
        let since = |start, at| {
            Since { start: Duration::from_micros(start), at: Duration::from_micros(at) }.to_string()
        };
        assert_eq!(since(1_000_000, 3_100_002), "+2.100002");
        assert_eq!(since(1_000_000, 999_999), "-0.000001");
    }
}

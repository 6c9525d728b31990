//! What is done with each frame: it is read, told, and written in clear.

use std::{io, time::Duration};

use macsec_decode::{
    DataFinding, DataVerdict, Frame, Given, Kind, Opener, SakBook, classify,
    mka::{Limits, MkaReader, MkpduRecord, StoryLine},
};

use super::{
    output::{LineKind, Output},
    progress::Progress,
    write::ClearFile,
};

/// What is shown of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Show {
    /// A line for each MKPDU, and for each data frame that is not plainly fine.
    Lines,
    /// MKPDUs whole, and a line for each data frame.
    All,
    /// Nothing: the summary is JSON.
    Nothing,
    /// MKPDUs as JSON, the elements of an array.
    JsonMkpdus,
}

/// How many frames there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// All.
    pub(super) frames: u64,
    /// Not of an Ethernet.
    pub(super) other_links: u64,
    /// Neither EAPOL nor MACsec.
    pub(super) other: u64,
    /// In the file in clear.
    pub(super) written: u64,
    /// Not there, as they could not be opened.
    pub(super) left_out: u64,
}

/// A pass over a capture in which frames are told.
pub(super) struct Session {
    pub(super) show: Show,
    pub(super) output: Output,
    pub(super) book: SakBook,
    pub(super) mka: MkaReader,
    pub(super) opener: Opener,
    pub(super) tally: Tally,
    pub(super) first_at: Option<Duration>,
    pub(super) last_at: Duration,
    pub(super) file: Option<ClearFile>,
    clear: Vec<u8>,
    json_mkpdus: u64,
}

impl Session {
    pub(super) fn new(show: Show, given: &Given, book: SakBook, file: Option<ClearFile>) -> Self {
        Self {
            show,
            output: Output::new(),
            book,
            mka: MkaReader::new(given, Limits::default()),
            opener: Opener::new(),
            tally: Tally::default(),
            first_at: None,
            last_at: Duration::ZERO,
            file,
            clear: Vec::new(),
            json_mkpdus: 0,
        }
    }

    /// Whether the lines have lost their reader, and there is nothing else to be done.
    pub(super) fn nobody_cares(&self) -> bool {
        self.output.is_closed() && self.file.is_none()
    }

    /// Counts a frame that is of no Ethernet.
    pub(super) fn other_link(&mut self) {
        self.tally.frames += 1;
        self.tally.other_links += 1;
    }

    /// Takes a frame of `original_len` octets: `frame` has what was captured of it. What is opened
    /// later, if ever, is given back.
    ///
    /// # Errors
    /// The file in clear cannot be written.
    pub(super) fn frame(
        &mut self,
        progress: &mut Progress,
        frame: &Frame<'_>,
        original_len: u32,
    ) -> io::Result<()> {
        self.begin(frame);
        match classify(frame.octets) {
            Kind::Eapol { .. } => {
                self.eapol(progress, frame);
                self.write(frame.at, frame.octets, original_len)
            }
            Kind::Macsec { .. } => {
                let Some(finding) = self.open(frame) else {
                    return self.write(frame.at, frame.octets, original_len);
                };
                self.tell_data(progress, frame, &finding);
                self.write_opened(frame.at, &finding)
            }
            Kind::Other => {
                self.tally.other += 1;
                self.write(frame.at, frame.octets, original_len)
            }
        }
    }

    /// Counts a frame, and notes its time.
    pub(super) fn begin(&mut self, frame: &Frame<'_>) {
        self.tally.frames += 1;
        self.first_at.get_or_insert(frame.at);
        self.last_at = self.last_at.max(frame.at);
        self.output.begin(frame.at);
    }

    /// Reads a frame of EAPOL, and tells what it says.
    pub(super) fn eapol(&mut self, progress: &mut Progress, frame: &Frame<'_>) {
        let finding = self.mka.read(frame);
        self.tell_mkpdu(progress, &finding.record);
        self.tell_story(progress, &finding.news);
    }

    /// Opens a data frame. What is in it, stands in `clear` then.
    pub(super) fn open(&mut self, frame: &Frame<'_>) -> Option<DataFinding> {
        self.opener.open(&self.book, frame, &mut self.clear)
    }

    /// Opens a data frame that could not be opened before.
    pub(super) fn reopen(
        &mut self,
        frame: &Frame<'_>,
        before: &DataFinding,
    ) -> Option<DataFinding> {
        self.opener.reopen(&self.book, frame, before, &mut self.clear)
    }

    /// What the last data frame had in it.
    pub(super) fn clear(&self) -> &[u8] {
        &self.clear
    }

    fn tell_mkpdu(&mut self, progress: &mut Progress, record: &MkpduRecord) {
        let output = &mut self.output;
        match self.show {
            Show::Lines => output.frame(progress, record.frame, record.at, record.summary()),
            Show::All => output.frame(progress, record.frame, record.at, record.whole()),
            Show::Nothing => {}
            Show::JsonMkpdus => match serde_json::to_string(record) {
                Ok(json) => {
                    self.json_mkpdus += 1;
                    output.text(if self.json_mkpdus == 1 { "" } else { "," });
                    output.text(&json);
                }
                Err(error) => unreachable!("texts and numbers always serialize: {error}"),
            },
        }
    }

    /// Tells what has happened.
    pub(super) fn tell_story(&mut self, progress: &mut Progress, news: &[StoryLine]) {
        if !matches!(self.show, Show::Lines | Show::All) {
            return;
        }
        for line in news {
            let doubt = if line.verified { "" } else { " (not verified)" };
            let text = format_args!("{}{doubt}", line.text);
            self.output.shown(progress, line.frame, line.at, text);
        }
    }

    /// Tells what became of a data frame.
    pub(super) fn tell_data(
        &mut self,
        progress: &mut Progress,
        frame: &Frame<'_>,
        finding: &DataFinding,
    ) {
        let (number, at) = (frame.number, frame.at);
        let what = what(finding);
        let output = &mut self.output;
        match self.show {
            Show::All => output.frame(progress, number, at, data_line(finding)),
            Show::Lines if what != FINE => {
                let kind = LineKind { sci: finding.sci, an: finding.tag.map(|tag| tag.an), what };
                output.frame_of_kind(progress, number, at, kind, data_line(finding));
            }
            Show::Lines | Show::Nothing | Show::JsonMkpdus => {}
        }
    }

    /// Writes what was in the last data frame, if it was opened.
    pub(super) fn write_opened(&mut self, at: Duration, finding: &DataFinding) -> io::Result<()> {
        if finding.verdict != DataVerdict::Ok {
            self.tally.left_out += 1;
            return Ok(());
        }
        let clear = std::mem::take(&mut self.clear);
        let written = self.write(at, &clear, u32::try_from(clear.len()).unwrap_or(u32::MAX));
        self.clear = clear;
        written
    }

    /// Writes a frame as it is, if there is a file.
    pub(super) fn write(&mut self, at: Duration, octets: &[u8], len: u32) -> io::Result<()> {
        match &mut self.file {
            Some(file) => {
                self.tally.written += 1;
                file.add(at, octets, len)
            }
            None => Ok(()),
        }
    }
}

const FINE: &str = "ok";

/// What became of a frame, in a word or two.
fn what(finding: &DataFinding) -> &'static str {
    match finding.verdict {
        DataVerdict::Ok if finding.replayed => "ok, REPLAYED",
        DataVerdict::Ok if finding.late => "ok, late",
        DataVerdict::Ok => FINE,
        DataVerdict::BadIcv => "ICV BAD",
        DataVerdict::NoKey => "no SAK",
        DataVerdict::CutShort => "cut short by the capture",
        DataVerdict::Malformed(_) => "MALFORMED",
    }
}

/// A data frame in one line.
fn data_line(finding: &DataFinding) -> String {
    let mut line = "MACsec".to_owned();
    if let Some(sci) = finding.sci {
        line += &format!(" {sci}");
        line += if finding.sci_guessed { " (guessed)" } else { "" };
    }
    if let Some(tag) = &finding.tag {
        line += &format!(" AN {} PN {}", tag.an, finding.pn);
        line += if finding.pn_searched { " (searched)" } else { "" };
        line += match tag.protection {
            macsec::TagProtection::IntegrityOnly => ", integrity only",
            _ => "",
        };
    }
    line = line + ", " + what(finding);
    if let DataVerdict::Malformed(rule) = finding.verdict {
        line += &format!(" {rule}");
    }
    line
}

//! Capture files, read frame by frame: pcap and pcapng, of either byte order.
//!
//! Whatever a file says, no more than [`MAX_RECORD`] octets of it are held at a time.

mod pcap;
mod pcapng;
mod source;

use std::{
    io::{self, Read},
    time::Duration,
};

use ::pcap_file::PcapError;
use thiserror::Error;

use pcap::Pcap;
use pcapng::PcapNg;
pub(super) use source::{Opened, Source, SourceError};

/// Octets of a packet record or block, at most. Nothing that Ethernet carries comes near.
const MAX_RECORD: usize = 16 * 1024 * 1024;
/// Octets that the buffer begins with: enough for a good many frames at a time.
const BUFFER: usize = 1024 * 1024;
/// The LINKTYPE of Ethernet.
const ETHERNET: u32 = 1;

/// A file that begins, or goes on, as no capture does.
#[derive(Debug, Error)]
pub(super) enum CaptureError {
    #[error("must be pcap or pcapng, and begins as neither")]
    NoCapture,
    #[error("must be pcap or pcapng: it is compressed, so `zcat FILE | macsec decode -`")]
    Compressed,
    #[error("is empty")]
    Empty,
    #[error("ends in the middle of a record, {0} octets from the beginning")]
    Truncated(u64),
    #[error("has a record of {length} octets {at} octets from the beginning: {MAX_RECORD} at most")]
    TooLong { at: u64, length: u64 },
    #[error("is damaged {0} octets from the beginning: {1}")]
    Damaged(u64, &'static str),
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// A record of a capture.
#[derive(Debug, PartialEq)]
pub(super) struct Record<'a> {
    /// When it was captured.
    pub(super) at: Duration,
    /// Octets on the wire, without FCS.
    pub(super) original_len: u32,
    /// What was captured of them.
    pub(super) octets: &'a [u8],
    /// Whether it is of an Ethernet.
    pub(super) is_ethernet: bool,
}

/// What a format makes of the octets at hand.
enum Step {
    /// A record, and where it ends.
    Record(Place, usize),
    /// So many octets are of no interest.
    Skip(usize),
    /// It takes so many octets to go on.
    Need(usize),
    /// It cannot go on.
    Damaged(&'static str),
}

/// Where the octets of a frame are, and what is told of them.
struct Place {
    at: Duration,
    original_len: u32,
    /// Octets from the start of the record to the frame.
    start: usize,
    len: usize,
    is_ethernet: bool,
}

impl Place {
    /// Leaves an FCS of `fcs_len` octets at the end of a frame out.
    fn without_fcs(mut self, fcs_len: u32) -> Self {
        let cut = self.original_len.saturating_sub(u32::try_from(self.len).unwrap_or(u32::MAX));
        // Of what was captured, as much as reaches into the FCS.
        let captured = usize::try_from(fcs_len.saturating_sub(cut)).unwrap_or(usize::MAX);
        self.len = self.len.saturating_sub(captured);
        self.original_len = self.original_len.saturating_sub(fcs_len);
        self
    }
}

enum Format {
    Pcap(Pcap),
    PcapNg(PcapNg),
}

/// A capture that is read from its beginning to its end.
pub(super) struct Capture<R> {
    input: R,
    format: Format,
    buffer: Vec<u8>,
    /// What of the buffer has not been used yet.
    start: usize,
    end: usize,
    /// Octets of the input that have been used.
    used: u64,
}

impl<R: Read> Capture<R> {
    /// Reads how the capture begins.
    ///
    /// # Errors
    /// [`CaptureError`] if that is not how one does.
    pub(super) fn new(mut input: R) -> Result<Self, CaptureError> {
        let mut buffer = vec![0; BUFFER];
        let mut end = 0;
        while end < 24 {
            let read = read_some(&mut input, &mut buffer[end..])?;
            if read == 0 {
                break;
            }
            end += read;
        }
        let head = &buffer[..end];
        let (format, start) = match head {
            [] => return Err(CaptureError::Empty),
            [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] => {
                return Err(CaptureError::Compressed);
            }
            [0x0a, 0x0d, 0x0d, 0x0a, ..] => (Format::PcapNg(PcapNg::default()), 0),
            _ => match Pcap::new(head) {
                Ok((pcap, used)) => (Format::Pcap(pcap), used),
                Err(PcapError::IncompleteBuffer) => return Err(CaptureError::Truncated(0)),
                Err(_) => return Err(CaptureError::NoCapture),
            },
        };
        Ok(Self { input, format, buffer, start, end, used: start as u64 })
    }

    /// The next frame, of whatever kind of link. None at the end of the capture.
    ///
    /// # Errors
    /// [`CaptureError`]: there is nothing more to be read.
    pub(super) fn next(&mut self) -> Result<Option<Record<'_>>, CaptureError> {
        let (place, record) = loop {
            let octets = &self.buffer[self.start..self.end];
            let step = match &mut self.format {
                Format::Pcap(pcap) => pcap.step(octets),
                Format::PcapNg(pcapng) => pcapng.step(octets),
            };
            match step {
                Step::Record(place, len) => break (place, self.take(len)),
                Step::Skip(len) => {
                    self.take(len);
                }
                Step::Need(len) => {
                    if !self.fill(len)? {
                        let is_end = self.start == self.end;
                        let truncated = CaptureError::Truncated(self.used);
                        return if is_end { Ok(None) } else { Err(truncated) };
                    }
                }
                Step::Damaged(what) => return Err(CaptureError::Damaged(self.used, what)),
            }
        };
        let start = record + place.start;
        Ok(Some(Record {
            at: place.at,
            original_len: place.original_len,
            octets: self.buffer.get(start..start + place.len).unwrap_or_default(),
            is_ethernet: place.is_ethernet,
        }))
    }

    /// Octets of the input that have been used.
    pub(super) fn used(&self) -> u64 {
        self.used
    }

    /// Whether times finer than microseconds are told, by what has been read so far.
    pub(super) fn counts_nanoseconds(&self) -> bool {
        match &self.format {
            Format::Pcap(pcap) => pcap.counts_nanoseconds(),
            Format::PcapNg(pcapng) => pcapng.counts_nanoseconds(),
        }
    }

    /// Uses `len` octets, and tells where in the buffer they begin.
    fn take(&mut self, len: usize) -> usize {
        let start = self.start;
        self.start = (start + len).min(self.end);
        self.used += len as u64;
        start
    }

    /// Has `len` octets at hand. False: there are not so many.
    fn fill(&mut self, len: usize) -> Result<bool, CaptureError> {
        if len > MAX_RECORD {
            return Err(CaptureError::TooLong { at: self.used, length: len as u64 });
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if len > self.buffer.len() {
            // In steps: a file that only claims to have a long record costs no memory.
            let step = len.min(2 * self.buffer.len());
            self.buffer.resize(step, 0);
        }
        // One more at least, so that this ends whatever a format asks for.
        let wanted = len.max(self.end + 1).min(self.buffer.len());
        while self.end < wanted {
            let read = read_some(&mut self.input, &mut self.buffer[self.end..])?;
            if read == 0 {
                return Ok(false);
            }
            self.end += read;
        }
        Ok(true)
    }
}

/// Reads what there is, interrupted by signals or not. 0 at the end.
fn read_some(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match input.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests;

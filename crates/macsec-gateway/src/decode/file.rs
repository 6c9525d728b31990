//! A capture file, read twice: once for the keys, once for everything.

use std::{fmt, io, path::Path};

use macsec_decode::{
    Frame, Given, Kind, SakBook, classify,
    mka::{Limits, MkaReader},
};

use super::{
    capture::{CaptureError, Opened, Record, Source, SourceError},
    progress::Progress,
    session::{Session, Show},
    write::ClearFile,
};

/// Why a capture could not be decoded.
#[derive(Debug, thiserror::Error)]
pub(super) enum DecodeError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("{0}: {1}")]
    Write(String, io::Error),
}

/// What is to be done with a capture.
pub(super) struct Job<'a> {
    pub(super) source: &'a Source,
    pub(super) given: &'a Given,
    pub(super) show: Show,
    pub(super) write: Option<&'a Path>,
}

/// Where and why a capture ended before its end.
pub(super) struct EarlyEnd {
    pub(super) name: String,
    pub(super) reason: CaptureError,
    /// Frames before it.
    pub(super) frames: u64,
}

impl fmt::Display for EarlyEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, reason, frames } = self;
        write!(f, "{name}: {reason}: {frames} frames before it have been read")
    }
}

/// Decodes the capture. If it breaks off, what was before stands.
///
/// # Errors
/// [`DecodeError`]: it does not begin, or the file in clear cannot be written.
pub(super) fn decode(
    job: &Job<'_>,
    begin: impl FnOnce(&mut Session),
) -> Result<(Session, Option<EarlyEnd>), DecodeError> {
    let Job { source, given, show, write } = *job;
    let mut capture = source.capture()?;
    let passes = if given.cas.is_empty() && write.is_none() { 1 } else { 2 };
    let mut progress = Progress::new(passes * source.len());
    let mut book = SakBook::of_given(given);
    let mut counts_nanoseconds = false;
    if passes == 2 {
        let mut mka = MkaReader::new(given, Limits::default());
        // Where it breaks off, the second pass will tell.
        let _ = each_frame(&mut capture, &mut progress, |_, found| {
            if let Found::Frame(frame, _) = found
                && let Kind::Eapol { .. } = classify(frame.octets)
            {
                mka.read(&frame);
            }
            Ok(true)
        });
        mka.learned(&mut book);
        counts_nanoseconds = capture.counts_nanoseconds();
        progress.pass(source.len());
        capture = source.capture()?;
    }
    let failed = |error| {
        let name = write.map_or_else(|| "stdout".to_owned(), |path| path.display().to_string());
        DecodeError::Write(name, error)
    };
    let file = write.map(|path| ClearFile::create(path, counts_nanoseconds)).transpose();
    let file = file.map_err(failed)?;
    let mut session = Session::new(show, given, book, file);
    begin(&mut session);
    let end = each_frame(&mut capture, &mut progress, |progress, found| {
        match found {
            Found::Frame(frame, original_len) => session.frame(progress, &frame, original_len)?,
            Found::OtherLink => session.other_link(),
        }
        Ok(!session.nobody_cares())
    });
    let early = match end {
        Ok(()) => None,
        Err(EachError::Write(error)) => return Err(failed(error)),
        Err(EachError::Capture(reason)) => {
            let (name, frames) = (source.name().to_owned(), session.tally.frames);
            Some(EarlyEnd { name, reason, frames })
        }
    };
    let news = session.mka.passed(session.last_at);
    session.tell_story(&mut progress, &news);
    if let Some(file) = session.file.take() {
        file.finish().map_err(failed)?;
    }
    Ok((session, early))
}

enum EachError {
    Capture(CaptureError),
    Write(io::Error),
}

impl From<io::Error> for EachError {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

enum Found<'a> {
    /// A frame, of so many octets.
    Frame(Frame<'a>, u32),
    OtherLink,
}

/// Has `action` take each frame, in order, until it says no.
fn each_frame(
    capture: &mut Opened<'_>,
    progress: &mut Progress,
    mut action: impl FnMut(&mut Progress, Found<'_>) -> io::Result<bool>,
) -> Result<(), EachError> {
    for number in 1.. {
        let Some(record) = capture.next().map_err(EachError::Capture)? else { break };
        let Record { at, original_len, octets, is_ethernet } = record;
        let whole = usize::try_from(original_len).is_ok_and(|len| len <= octets.len());
        let found = if is_ethernet {
            Found::Frame(Frame { number, at, octets, whole }, original_len)
        } else {
            Found::OtherLink
        };
        if !action(progress, found)? {
            break;
        }
        progress.frame(|| capture.used());
    }
    Ok(())
}

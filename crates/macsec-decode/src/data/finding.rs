//! What was found out about a MACsec frame.

use macsec::{Sci, SecTag, SecTagError, Ssci};

/// What a frame with a SecTAG turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataFinding {
    /// Its SecTAG: AN, E and C, SL, and the low 32 bits of the PN. `None` if it could not be read.
    pub tag: Option<SecTag>,
    /// Who has sent it. `None` if the SecTAG could not be read.
    pub sci: Option<Sci>,
    /// The frame does not tell its SCI, and neither does its ES bit: `sci` is one that opened it,
    /// or else a sender with its source address, or else that address with port 1.
    pub sci_guessed: bool,
    /// The SAK that opened it; else, with a bad ICV, the one that should have. An index into
    /// [`SakBook::saks`](crate::SakBook).
    pub sak: Option<usize>,
    /// XPN: the SSCI that it was opened with.
    pub ssci: Option<Ssci>,
    /// The whole PN if the frame was opened; else, for XPN, what is most likely, or what the SecTAG
    /// says.
    pub pn: u64,
    /// XPN: the upper half of the PN, or the SSCI, was found by trying.
    pub pn_searched: bool,
    /// Opened, or why not.
    pub verdict: DataVerdict,
    /// Opened, and this PN was seen before.
    pub replayed: bool,
    /// Opened, not seen before, and a higher PN has come already: out of order.
    pub late: bool,
    /// Where it is counted: an index into [`Opener::rows`](crate::Opener::rows). `None` if there
    /// are too many SCs, or if the frame has to do with none for certain.
    pub row: Option<usize>,
}

impl DataFinding {
    /// All that is known of a frame that was not even tried.
    pub(super) fn unopened(tag: Option<SecTag>, verdict: DataVerdict) -> Self {
        Self {
            tag,
            sci: None,
            sci_guessed: false,
            sak: None,
            ssci: None,
            pn: tag.map_or(0, |tag| tag.pn.into()),
            pn_searched: false,
            verdict,
            replayed: false,
            late: false,
            row: None,
        }
    }
}

/// Whether a frame could be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataVerdict {
    /// The ICV is right.
    Ok,
    /// The sender and its SAK are known, and the ICV is wrong.
    BadIcv,
    /// No SAK is known that it could have been protected with.
    NoKey,
    /// The capture holds too little of the frame.
    CutShort,
    /// It breaks a rule.
    Malformed(BrokenRule),
}

/// The rule that a frame breaks, so that no receiver would look at its ICV.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokenRule {
    /// A rule for SecTAGs and lengths (802.1AE clause 9.12).
    #[error(transparent)]
    SecTag(#[from] SecTagError),
    /// `E` without `C`: kept for key agreement, never delivered.
    #[error("SecTAG E: set without C, which is kept for key agreement")]
    ReservedTci,
}

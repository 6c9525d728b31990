//! What becomes of a frame: one enum for each direction, one variant for each counter.

use core::fmt;

use crate::{SecTagError, ValidateFrames};

/// What became of a received frame (802.1AE clause 10.6).
///
/// Each variant is one counter, named in its text. The first seven are delivered to the Controlled
/// Port, the others discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReceiveOutcome {
    /// Delivered as it came: `validateFrames` is Null. Not counted.
    Null,
    /// Delivered as it came: no SecTAG, and not Strict. InPktsUntagged.
    Untagged,
    /// Delivered without its tag: not encrypted, and no SA to check it with. InPktsNoSA.
    NoSa(MissingSa),
    /// Delivered without validation (Disabled). InPktsUnchecked.
    Unchecked,
    /// Delivered though below lowestPN: `replayProtect` is off. InPktsDelayed.
    Delayed,
    /// Valid and delivered. InPktsOK.
    Ok,
    /// Delivered with a wrong ICV: not encrypted, and only Check. InPktsInvalid.
    Invalid,

    /// Discarded: no SecTAG, and Strict. InPktsNoTag.
    NoTag,
    /// Discarded: `E` set and `C` clear, which is not for the Controlled Port. Local: `in_reserved_tci`.
    ReservedTci,
    /// Discarded: the SecTAG or the length breaks a rule. InPktsBadTag.
    BadTag(SecTagError),
    /// Discarded: no SA to check it with. InPktsNoSAError.
    NoSaError(MissingSa),
    /// Discarded: below lowestPN. InPktsLate.
    Late,
    /// Discarded: seen before, and duplicates are being detected. Local: `in_duplicate`.
    Duplicate,
    /// Discarded: no capacity to validate it. InPktsOverrun.
    Overrun,
    /// Discarded: the ICV is wrong, or the frame is encrypted while validation is Disabled.
    /// InPktsNotValid.
    NotValid,
    /// Discarded: too short for an Ethernet frame. Local: `in_runt`.
    Runt,
}

impl ReceiveOutcome {
    /// Whether the frame goes to the Controlled Port.
    #[must_use]
    pub const fn is_delivered(self) -> bool {
        match self {
            Self::Null
            | Self::Untagged
            | Self::NoSa(_)
            | Self::Unchecked
            | Self::Delayed
            | Self::Ok
            | Self::Invalid => true,
            Self::NoTag
            | Self::ReservedTci
            | Self::BadTag(_)
            | Self::NoSaError(_)
            | Self::Late
            | Self::Duplicate
            | Self::Overrun
            | Self::NotValid
            | Self::Runt => false,
        }
    }

    /// What this outcome, reached without an SA, is if `validateFrames` has become `mode` since.
    pub(crate) fn under(self, mode: ValidateFrames) -> Self {
        match self {
            Self::Null if mode != ValidateFrames::Null => Self::NoTag,
            Self::Untagged if mode == ValidateFrames::Strict => Self::NoTag,
            Self::NoSa(missing) if mode == ValidateFrames::Strict => Self::NoSaError(missing),
            settled => settled,
        }
    }
}

impl fmt::Display for ReceiveOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("delivered unchecked: validateFrames is Null"),
            Self::Untagged => f.write_str("InPktsUntagged"),
            Self::NoSa(missing) => write!(f, "InPktsNoSA: {missing}"),
            Self::Unchecked => f.write_str("InPktsUnchecked"),
            Self::Delayed => f.write_str("InPktsDelayed"),
            Self::Ok => f.write_str("InPktsOK"),
            Self::Invalid => f.write_str("InPktsInvalid"),
            Self::NoTag => f.write_str("InPktsNoTag"),
            Self::ReservedTci => f.write_str("discarded: SecTAG E set and C clear"),
            Self::BadTag(error) => write!(f, "InPktsBadTag: {error}"),
            Self::NoSaError(missing) => write!(f, "InPktsNoSAError: {missing}"),
            Self::Late => f.write_str("InPktsLate"),
            Self::Duplicate => f.write_str("discarded: PN seen before"),
            Self::Overrun => f.write_str("InPktsOverrun"),
            Self::NotValid => f.write_str("InPktsNotValid"),
            Self::Runt => f.write_str("discarded: too short for an Ethernet frame"),
        }
    }
}

/// Why there is no SA for a frame. The 2006 MIB and Linux count the two apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MissingSa {
    /// No receive SC has the frame's SCI.
    UnknownSci,
    /// The SC is known; the SA of this AN does not exist or is not in use.
    SaNotInUse,
}

impl fmt::Display for MissingSa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownSci => "SCI: no such receive SC",
            Self::SaNotInUse => "AN: no SA in use",
        })
    }
}

/// Why a frame was not sent. Each variant is one counter, but for the caller's faults, which share
/// `out_caller_error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProtectError {
    /// No transmit SA is in use. Local: `out_no_transmit_sa`.
    NoTransmitSa,
    /// The transmit SA has used its last PN; only a new SAK helps. Local: `out_pn_exhausted`.
    PnExhausted,
    /// The next PN of the transmit SA is not released yet
    /// ([`limit_transmit_pn`](crate::SecY::limit_transmit_pn)). Local: `out_pn_withheld`.
    PnWithheld,
    /// Protection makes the frame longer than `max_frame_octets`. OutPktsTooLong.
    TooLong,
    /// `useES` is set and the source address is not that of the SCI: the peer would take the frame
    /// for another SC's. Local: `out_source_not_sci`.
    SourceNotSci,
    /// The caller's fault: nothing follows the addresses (and clear VLAN tags).
    Runt,
    /// The caller's fault: fewer than [`HEADROOM`](crate::HEADROOM) octets before the frame.
    NoHeadroom,
    /// The caller's fault: fewer than [`TAILROOM`](crate::TAILROOM) octets after the frame.
    NoTailroom,
    /// The caller's fault: the packet number was reserved for another SA. Nothing was sealed.
    ForeignPn,
}

impl fmt::Display for ProtectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoTransmitSa => "no transmit SA is in use",
            Self::PnExhausted => "PN: the transmit SA has used its last one",
            Self::PnWithheld => "PN: the next one is not released yet",
            Self::TooLong => "OutPktsTooLong: longer than the Common Port takes",
            Self::SourceNotSci => "source address: must be that of the SCI while useES is set",
            Self::Runt => "frame: nothing follows the addresses",
            Self::NoHeadroom => "buffer: too little room before the frame",
            Self::NoTailroom => "buffer: too little room after the frame",
            Self::ForeignPn => "PN: reserved for another SA",
        })
    }
}

impl core::error::Error for ProtectError {}

//! What MKA's reasons are called, for status and log.

use mka::{MiReason, RekeyReason, ResumeReason, SakRefusal};

/// Why a SAK was made.
pub(crate) const fn rekey_reason(reason: RekeyReason) -> &'static str {
    match reason {
        RekeyReason::First => "there was none",
        RekeyReason::CakChanged => "another CAK is to be used",
        RekeyReason::KeyServerChanged => "the key server has changed",
        RekeyReason::NewMember => "a peer had none",
        RekeyReason::MemberLost => "a peer has gone",
        RekeyReason::Abandoned => "the SecY has given up the last one",
        RekeyReason::CipherChanged => "suite or confidentiality have changed",
        RekeyReason::PnExhaustion => "packet numbers run out",
        RekeyReason::Interval => "rekey_interval",
        RekeyReason::Requested => "macsec rekey",
    }
}

/// Why we have taken a new MI.
pub(crate) const fn mi_reason(reason: MiReason) -> &'static str {
    match reason {
        MiReason::Exhausted => "message or key numbers run out",
        MiReason::Collision => "another member has the former one",
        MiReason::Cloned => "somebody else sends as this port",
        MiReason::KeyServerLost => "the key server is lost",
        MiReason::UnknownSak => "the key server uses a SAK that has not come",
        MiReason::SakReused => "the key server sends a SAK of before",
        MiReason::MembersChanged => "the key server lists other members for the same SAK",
        MiReason::SakAbandoned => "the SecY has given up the SAK, and needs another",
        MiReason::PortEnabled => "the link is up",
    }
}

/// The access status in the first octet of Access Information (802.1X clause 11.12).
pub(crate) const fn access_status(octet: u8) -> &'static str {
    match octet & 0x03 {
        0 => "none",
        1 => "remedial",
        2 => "restricted",
        _ => "expected",
    }
}

/// Why a suspension has ended.
pub(crate) const fn resume_reason(reason: ResumeReason) -> &'static str {
    match reason {
        ResumeReason::TimeIsOver => "its time is over",
        ResumeReason::KeyServer => "the key server says so, or is key server no more",
        ResumeReason::NewPeer => "there is a new peer",
        ResumeReason::Unsupported => "a peer knows nothing of suspension",
    }
}

/// Why a SAK of the key server's is not taken.
pub(crate) const fn sak_refusal(refusal: SakRefusal) -> &'static str {
    match refusal {
        SakRefusal::NotKeyServer => "its sender is not the key server elected here",
        SakRefusal::PlainText => "it says to do without MACsec, which policy forbids",
        SakRefusal::CipherSuite => "its cipher suite is not one of cipher_suites",
        SakRefusal::Confidentiality => "its confidentiality is not what is configured",
        SakRefusal::Reused => "there was one of that name",
        SakRefusal::Members => "its members are too many, or one is listed twice",
        SakRefusal::Unwrap => "it does not unwrap",
    }
}

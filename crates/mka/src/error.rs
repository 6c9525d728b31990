//! What can be wrong with a received MKPDU.

use core::fmt;

use crate::SetType;

/// The rule that a received frame breaks. It names the field and what is allowed.
///
/// Which step found it says which counter it belongs to: [`Received::parse`](crate::Received::parse)
/// (invalid EAPOL frames), or [`Received::verify`](crate::Received::verify), which tells an ICV
/// ([`Self::is_icv`]) from a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DecodeError {
    /// The frame ends before its EAPOL header does.
    FrameLength,
    /// Not the EtherType that carries EAPOL on this port.
    EtherType(u16),
    /// An EAPOL version below 3.
    EapolVersion(u8),
    /// Another EAPOL type than 5, EAPOL-MKA.
    EapolType(u8),
    /// The frame holds fewer octets than its EAPOL header says.
    EapolLength(u16),
    /// The destination is an individual address (802.1X clause 11.11.2 a).
    Destination,
    /// Fewer octets than the smallest MKPDU (802.1X clause 11.11.2 b), or more than the largest.
    MkpduLength(u16),
    /// The length of the MKPDU is no multiple of 4 (802.1X clause 11.11.2 c).
    MkpduAlignment(u16),
    /// The Basic parameter set has not a length that a CKN of 1 to 32 octets gives it
    /// (802.1X clause 11.11.2 d).
    BasicLength(u16),
    /// The Basic parameter set leaves no room for the ICV (802.1X clause 11.11.2 d).
    BasicOverrun,
    /// MKA version 0.
    MkaVersion,
    /// An algorithm agility that names other algorithms than ours.
    AlgorithmAgility(u32),
    /// The ICV is not that of frame and key: another CAK, or a changed frame.
    Icv,
    /// The ICV Indicator does not announce 16 octets that end the MKPDU.
    IcvIndicator(u16),
    /// A parameter set runs into the ICV.
    SetOverrun(SetType, u16),
    /// A parameter set has a length that its type does not allow.
    SetLength(SetType, u16),
    /// The wrapped key in the Distributed SAK has not the length that its cipher suite takes.
    DistributedSakSuite(u16),
    /// A TLV of the Announcement runs past its end.
    TlvOverrun(u8),
    /// A TLV of the Announcement has a length that its type does not allow.
    TlvLength(u8, u16),
}

impl DecodeError {
    /// Whether it is the ICV that failed, rather than the form of the MKPDU.
    #[must_use]
    pub const fn is_icv(self) -> bool {
        matches!(self, Self::Icv)
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FrameLength => f.write_str("frame: ends before its EAPOL header does"),
            Self::EtherType(ethertype) => {
                write!(f, "EtherType: {ethertype:04x} is not that of EAPOL on this port")
            }
            Self::EapolVersion(version) => {
                write!(f, "EAPOL version: {version}, MKA takes 3 and above")
            }
            Self::EapolType(kind) => write!(f, "EAPOL type: {kind}, MKPDUs have 5"),
            Self::EapolLength(len) => {
                write!(f, "EAPOL body length: {len}, more than the frame holds")
            }
            Self::Destination => f.write_str("destination: must be a group address"),
            Self::MkpduLength(len) => write!(f, "MKPDU length: {len}, must be 32 to 1496"),
            Self::MkpduAlignment(len) => {
                write!(f, "MKPDU length: {len}, must be a multiple of 4")
            }
            Self::BasicLength(len) => {
                write!(f, "Basic length: {len}, must be 29 to 60 (a CKN of 1 to 32 octets)")
            }
            Self::BasicOverrun => f.write_str("Basic: leaves no room for the ICV"),
            Self::MkaVersion => f.write_str("MKA version: must be 1 at least"),
            Self::AlgorithmAgility(value) => {
                write!(f, "algorithm agility: {value:08x}, must be 0080c201")
            }
            Self::Icv => f.write_str("ICV: does not fit frame and key"),
            Self::IcvIndicator(len) => {
                write!(f, "ICV Indicator: length {len}, must be 16 octets that end the MKPDU")
            }
            Self::SetOverrun(set, len) => {
                write!(f, "{set}: length {len} runs into the ICV")
            }
            Self::SetLength(set, len) => {
                write!(f, "{set}: length {len}, must be {}", set.allowed_lengths())
            }
            Self::DistributedSakSuite(len) => {
                write!(f, "Distributed SAK: length {len} does not fit its cipher suite")
            }
            Self::TlvOverrun(kind) => {
                write!(f, "Announcement: TLV {kind} runs past the end")
            }
            Self::TlvLength(kind, len) => {
                write!(f, "Announcement: TLV {kind} cannot have length {len}")
            }
        }
    }
}

impl core::error::Error for DecodeError {}

/// Why an MKPDU cannot be written. It names the field and what is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EncodeError {
    /// The MKA version is none of 1 to 3.
    MkaVersion,
    /// The frame would not fit into 1496 octets of MKPDU. Nothing is ever left out to make it fit.
    TooLong,
    /// The caller's buffer is shorter than the frame.
    Buffer,
    /// The destination is no group address.
    Destination,
    /// The wrapped key has not the length that its cipher suite takes.
    WrappedKey,
    /// The suite of the SAK to distribute is none of ours.
    CipherSuite,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MkaVersion => "MKA version: must be 1, 2 or 3",
            Self::TooLong => "MKPDU: must fit into 1496 octets",
            Self::Buffer => "buffer: shorter than the frame",
            Self::Destination => "destination: must be a group address",
            Self::WrappedKey => "wrapped SAK: must have the length of the suite's key and 8 octets",
            Self::CipherSuite => "cipher suite: only known suites can be distributed",
        })
    }
}

impl core::error::Error for EncodeError {}

//! What the user knows of a link.

use macsec::{An, ConfidentialityOffset, Sak, Salt, Sci, Ssci};
use mka::{Cak, Ckn};

/// All keys that the user has given.
#[derive(Debug, Default)]
pub struct Given {
    /// CAKs: what opens MKA, and the SAKs in it.
    pub cas: Vec<GivenCa>,
    /// SAKs of which MKA tells nothing: static keys, or a capture without MKA.
    pub sas: Vec<GivenSa>,
}

/// A CA whose CAK is known.
#[derive(Debug)]
pub struct GivenCa {
    /// The CAK's name.
    pub ckn: Ckn,
    /// The CAK.
    pub cak: Cak,
}

/// An SA whose SAK is known.
#[derive(Debug)]
pub struct GivenSa {
    /// Who transmits.
    pub sci: Sci,
    /// Under which AN.
    pub an: An,
    /// With which suite.
    pub suite: macsec::CipherSuite,
    /// The key.
    pub sak: Sak,
    /// XPN: the SSCI of the sender, if known.
    pub ssci: Option<Ssci>,
    /// XPN: the salt. No frame opens without.
    pub salt: Option<Salt>,
    /// Octets in clear before the encrypted ones.
    pub offset: ConfidentialityOffset,
    /// XPN: a PN not far below those in the capture, all 64 bits.
    pub pn: u64,
}

//! SAKs on their way through the CP machine.

use core::fmt;

use arrayvec::ArrayVec;
use macsec::{
    An, Confidentiality, ConfidentialityOffset, DataKey, Ki, ReceiveSa, Sci, Ssci, TransmitSa,
};

/// How many peers a SAK has at the most: as many as a participant has live and potential ones.
pub const MAX_PEERS: usize = 2 * crate::ParticipantConfig::MAX_PEERS;

/// A SAK to be brought into use, with all it takes (`distributedKI`, `distributedAN`, `cipherSuite`,
/// `cipherOffset` of 802.1X clause 12.4).
#[derive(Debug)]
pub struct NewSak {
    /// The SAK with its KI, its suite, and its salt for XPN.
    pub key: DataKey,
    /// The AN that the key server gave it.
    pub an: An,
    /// Whether and from where to encrypt.
    pub confidentiality: Confidentiality,
    /// Our SSCI: for the XPN suites, and only for these.
    pub ssci: Option<Ssci>,
    /// The first packet number to send with: 1, or further if the key has been in use here.
    pub next_pn: u64,
    /// Those to receive from: the live peers. More may be added later.
    pub peers: ArrayVec<PeerSa, MAX_PEERS>,
}

/// A peer to receive from with a SAK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerSa {
    /// Its SCI.
    pub sci: Sci,
    /// Its SSCI: for the XPN suites, and only for these.
    pub ssci: Option<Ssci>,
    /// The lowest packet number to accept, at least 1.
    pub lowest_pn: u64,
}

/// Why a SAK is not taken: it is here already, distributed once more. There is nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SakKnown;

impl fmt::Display for SakKnown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KI: this SAK is here already")
    }
}

impl core::error::Error for SakKnown {}

/// A key as a SAK Use reports it (`lki`, `lan`, `ltx`, `lrx`, or `oki` and so on).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyStatus {
    /// Its KI.
    pub ki: Ki,
    /// Its AN.
    pub an: An,
    /// We transmit with it, or are about to.
    pub tx: bool,
    /// We receive with it.
    pub rx: bool,
}

/// A key that the data plane has, or is given. The key itself is not kept here.
#[derive(Debug)]
pub(super) struct InstalledKey {
    pub(super) status: KeyStatus,
    pub(super) xpn: bool,
    pub(super) peers: ArrayVec<PeerSa, MAX_PEERS>,
    offset: ConfidentialityOffset,
}

impl InstalledKey {
    /// Takes a SAK apart: what stays here, and what goes to the data plane.
    pub(super) fn of(sak: NewSak) -> (Self, DataKey, TransmitSa) {
        let NewSak { key, an, confidentiality, ssci, next_pn, peers } = sak;
        let ki = key.ki();
        let offset = match confidentiality {
            Confidentiality::Encrypt(offset) => offset,
            Confidentiality::IntegrityOnly => ConfidentialityOffset::Zero,
        };
        let status = KeyStatus { ki, an, tx: false, rx: false };
        let installed = Self { status, xpn: key.suite().is_xpn(), peers, offset };
        (installed, key, TransmitSa { an, ki, ssci, next_pn, confidentiality })
    }

    pub(super) fn receive_sa(&self, peer: &PeerSa) -> ReceiveSa {
        ReceiveSa {
            an: self.status.an,
            ki: self.status.ki,
            ssci: peer.ssci,
            lowest_pn: peer.lowest_pn,
            offset: self.offset,
        }
    }

    pub(super) fn has_peer(&self, sci: Sci) -> bool {
        self.peers.iter().any(|peer| peer.sci == sci)
    }
}

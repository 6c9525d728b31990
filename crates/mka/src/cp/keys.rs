//! SAKs on their way through the CP machine.

use alloc::vec::Vec;
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

/// Where the peers of keys are: one that is waiting, the latest and the old one. What one key leaves is the next one's.
#[derive(Debug)]
pub(super) struct Room {
    free: ArrayVec<Vec<PeerSa>, 3>,
    for_each: usize,
}

impl Room {
    pub(super) fn new(for_each: usize) -> Self {
        Self { free: (0..3).map(|_| Vec::with_capacity(for_each)).collect(), for_each }
    }

    /// Takes these in, as many as there is room for.
    fn take(&mut self, peers: &[PeerSa]) -> Vec<PeerSa> {
        debug_assert!(!self.free.is_empty(), "there are three keys at the most");
        let mut room = self.free.pop().unwrap_or_default();
        room.extend(peers.iter().take(self.for_each));
        room
    }

    pub(super) fn give_back(&mut self, mut peers: Vec<PeerSa>) {
        peers.clear();
        // There is room for as many as there ever were.
        let _ = self.free.try_push(peers);
    }
}

/// A SAK that is to be brought into use (`newSAK`), with what the data plane gets of it.
#[derive(Debug)]
pub(super) struct WaitingKey {
    pub(super) installed: InstalledKey,
    pub(super) key: DataKey,
    pub(super) transmit_sa: TransmitSa,
}

/// A key that the data plane has, or is given. The key itself is not kept here.
#[derive(Debug)]
pub(super) struct InstalledKey {
    pub(super) status: KeyStatus,
    pub(super) xpn: bool,
    pub(super) peers: Vec<PeerSa>,
    offset: ConfidentialityOffset,
}

impl InstalledKey {
    /// Takes a SAK apart: what stays here, and what goes to the data plane.
    pub(super) fn of(sak: NewSak, room: &mut Room) -> WaitingKey {
        let NewSak { key, an, confidentiality, ssci, next_pn, peers } = sak;
        let peers = room.take(&peers);
        let ki = key.ki();
        let offset = match confidentiality {
            Confidentiality::Encrypt(offset) => offset,
            Confidentiality::IntegrityOnly => ConfidentialityOffset::Zero,
        };
        let status = KeyStatus { ki, an, tx: false, rx: false };
        let installed = Self { status, xpn: key.suite().is_xpn(), peers, offset };
        let transmit_sa = TransmitSa { an, ki, ssci, next_pn, confidentiality };
        WaitingKey { installed, key, transmit_sa }
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

    /// One more to receive from. `false`: it is there already, or there is no room for more.
    pub(super) fn add_peer(&mut self, peer: PeerSa) -> bool {
        let new = !self.has_peer(peer.sci) && self.peers.len() < self.peers.capacity();
        if new {
            self.peers.push(peer);
        }
        new
    }

    pub(super) fn has_peer(&self, sci: Sci) -> bool {
        self.peers.iter().any(|peer| peer.sci == sci)
    }
}

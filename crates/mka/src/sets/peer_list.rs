//! The Live and the Potential Peer List (802.1X clause 11.11.1, figure 11-9).

use core::{fmt, slice};

use super::{RawSet, SetType, basic::member};
use crate::{DecodeError, EncodeError, Member, Mi, write::Writer};

const ENTRY_LEN: usize = 16;

/// Peers, each with the number of its last message that the sender has seen.
///
/// Either as received or as lent by whoever sends it; the two compare by their entries.
#[derive(Clone, Copy)]
pub struct PeerList<'a> {
    entries: Entries<'a>,
    key_server_ssci: u8,
}

#[derive(Clone, Copy)]
enum Entries<'a> {
    /// A multiple of `ENTRY_LEN` octets.
    Wire(&'a [u8]),
    Members(&'a [Member]),
}

impl<'a> PeerList<'a> {
    /// The list of these peers.
    #[must_use]
    pub const fn new(peers: &'a [Member]) -> Self {
        Self { entries: Entries::Members(peers), key_server_ssci: 0 }
    }

    /// The same list with the least significant octet of the key server's SSCI. Only the Live Peer
    /// List has it, in MKA version 3, and only if the MKPDU distributes a SAK for an XPN suite; the list
    /// is then in the order of the peers' SSCIs.
    #[must_use]
    pub const fn with_key_server_ssci(mut self, octet: u8) -> Self {
        self.key_server_ssci = octet;
        self
    }

    pub(crate) fn parse(set: &RawSet<'a>) -> Result<Self, DecodeError> {
        if !set.body.len().is_multiple_of(ENTRY_LEN) {
            return Err(set.wrong_length());
        }
        let live = set.set_type == SetType::LivePeerList;
        let key_server_ssci = if live { set.specific } else { 0 };
        Ok(Self { entries: Entries::Wire(set.body), key_server_ssci })
    }

    /// The octet for the key server's SSCI, whether or not it means anything here: see
    /// [`Body::ssci_order`](crate::Body::ssci_order).
    #[must_use]
    pub const fn key_server_ssci(&self) -> u8 {
        self.key_server_ssci
    }

    /// How many peers are listed.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self.entries {
            Entries::Wire(octets) => octets.len() / ENTRY_LEN,
            Entries::Members(members) => members.len(),
        }
    }

    /// Whether nobody is listed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The peers in the order of the list.
    #[must_use]
    pub fn iter(&self) -> Peers<'a> {
        Peers(match self.entries {
            Entries::Wire(octets) => PeersOf::Wire(octets.chunks_exact(ENTRY_LEN)),
            Entries::Members(members) => PeersOf::Members(members.iter()),
        })
    }

    /// The message number listed for `mi`; that of the first entry, if there are several.
    #[must_use]
    pub fn find(&self, mi: Mi) -> Option<u32> {
        self.iter().find(|peer| peer.mi == mi).map(|peer| peer.mn)
    }

    pub(crate) fn write(&self, kind: SetType, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        let ssci = if kind == SetType::LivePeerList { self.key_server_ssci } else { 0 };
        writer.header(kind.octet(), ssci, 0, self.len() * ENTRY_LEN)?;
        for peer in self.iter() {
            writer.put(&peer.mi.0)?;
            writer.put(&peer.mn.to_be_bytes())?;
        }
        Ok(())
    }
}

impl<'a> IntoIterator for &PeerList<'a> {
    type Item = Member;
    type IntoIter = Peers<'a>;

    fn into_iter(self) -> Peers<'a> {
        self.iter()
    }
}

impl PartialEq for PeerList<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.key_server_ssci == other.key_server_ssci && self.iter().eq(other.iter())
    }
}

impl Eq for PeerList<'_> {}

impl fmt::Debug for PeerList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerList {{ key_server_ssci: {}, peers: ", self.key_server_ssci)?;
        f.debug_list().entries(self.iter()).finish()?;
        f.write_str(" }")
    }
}

/// Dissector style: `2 (key server SSCI 1): MI MN 1, MI MN 7`.
impl fmt::Display for PeerList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.len().fmt(f)?;
        if self.key_server_ssci != 0 {
            write!(f, " (key server SSCI {})", self.key_server_ssci)?;
        }
        for (index, peer) in self.iter().enumerate() {
            write!(f, "{} {peer}", if index == 0 { ":" } else { "," })?;
        }
        Ok(())
    }
}

/// The peers of a [`PeerList`].
#[derive(Clone, Debug)]
pub struct Peers<'a>(PeersOf<'a>);

#[derive(Clone, Debug)]
enum PeersOf<'a> {
    Wire(slice::ChunksExact<'a, u8>),
    Members(slice::Iter<'a, Member>),
}

impl Iterator for Peers<'_> {
    type Item = Member;

    fn next(&mut self) -> Option<Member> {
        match &mut self.0 {
            PeersOf::Wire(entries) => Some(member(entries.next()?).ok()?.1),
            PeersOf::Members(members) => members.next().copied(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            PeersOf::Wire(entries) => entries.size_hint(),
            PeersOf::Members(members) => members.size_hint(),
        }
    }
}

impl ExactSizeIterator for Peers<'_> {}

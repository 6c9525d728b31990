//! Who is key server (802.1X clause 9.5).

use macsec::Sci;

use super::peers::PeerTable;
use crate::Mi;

/// The priority of a member that never wants to be key server.
pub(crate) const NEVER: u8 = 0xff;

/// The outcome of an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyServer {
    /// There is no candidate: all live members have priority 255, or have elected somebody else.
    Nobody,
    /// This participant.
    Us,
    /// The live peer with this MI.
    Peer(Mi),
}

/// Elects among us and the live peers that stand for election: the lowest priority wins, among these
/// the lowest SCI.
///
/// A better peer that does not set its flag does not stand: it knows a better one itself.
pub(crate) fn elect(priority: u8, sci: Sci, peers: &PeerTable) -> KeyServer {
    let us = (priority != NEVER).then_some((priority, sci, KeyServer::Us));
    let candidates = peers.live().filter_map(|(peer, heard)| {
        let stands = heard.key_server && heard.priority != NEVER;
        stands.then_some((heard.priority, heard.sci, KeyServer::Peer(peer.mi)))
    });
    candidates
        .chain(us)
        .min_by_key(|&(priority, sci, _)| (priority, sci))
        .map_or(KeyServer::Nobody, |(_, _, elected)| elected)
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use macsec::MacAddress;

    use super::*;
    use crate::{Basic, Capability, Ckn, Member};

    const US: Sci = Sci::new(MacAddress([2, 0, 0, 0, 0, 5]), 1);

    fn peer(table: &mut PeerTable, last_octet: u8, port: u16, priority: u8, flag: bool) -> Mi {
        let mi = Mi([last_octet ^ port.to_be_bytes()[1]; 12]);
        let basic = Basic {
            version: 3,
            key_server_priority: priority,
            key_server: flag,
            macsec_desired: true,
            macsec_capability: Capability::Offsets,
            sci: Sci::new(MacAddress([2, 0, 0, 0, 0, last_octet]), port),
            actor: Member { mi, mn: 1 },
            ckn: Ckn::new(b"lab").unwrap(),
        };
        table.hear(Duration::ZERO, &basic, Some(1)).unwrap();
        mi
    }

    fn table() -> PeerTable {
        PeerTable::new(8, Duration::from_secs(6))
    }

    #[test]
    fn the_lowest_priority_wins_then_the_lowest_sci() {
        let mut peers = table();
        assert_eq!(elect(16, US, &peers), KeyServer::Us);
        peer(&mut peers, 1, 1, 17, true);
        assert_eq!(elect(16, US, &peers), KeyServer::Us);
        peer(&mut peers, 6, 1, 16, true);
        assert_eq!(elect(16, US, &peers), KeyServer::Us);
        let better = peer(&mut peers, 4, 1, 16, true);
        assert_eq!(elect(16, US, &peers), KeyServer::Peer(better));
        let best = peer(&mut peers, 9, 1, 0, true);
        assert_eq!(elect(16, US, &peers), KeyServer::Peer(best));
    }

    /// Pitfall 27: two port identifiers on one MAC address are two SCIs, and one of them wins.
    #[test]
    fn p27_a_tie_is_broken_by_the_whole_sci() {
        let mut peers = table();
        peer(&mut peers, 5, 2, 16, true);
        assert_eq!(elect(16, US, &peers), KeyServer::Us);
        let lower = peer(&mut peers, 5, 0, 16, true);
        assert_eq!(elect(16, US, &peers), KeyServer::Peer(lower));
    }

    #[test]
    fn who_does_not_set_the_flag_does_not_stand() {
        let mut peers = table();
        peer(&mut peers, 1, 1, 0, false);
        assert_eq!(elect(16, US, &peers), KeyServer::Us);
        assert_eq!(elect(NEVER, US, &peers), KeyServer::Nobody);
    }

    /// Pitfall 38: where all have priority 255 there is no key server.
    #[test]
    fn p38_priority_255_is_never_elected() {
        let mut peers = table();
        peer(&mut peers, 1, 1, NEVER, true);
        assert_eq!(elect(NEVER, US, &peers), KeyServer::Nobody);
        assert_eq!(elect(254, US, &peers), KeyServer::Us);
        let other = peer(&mut peers, 2, 1, 254, true);
        assert_eq!(elect(NEVER, US, &peers), KeyServer::Peer(other));
    }
}

//! A participant's place among those of its port: one of them is the principal one, whose SAKs the port
//! uses (802.1X clause 9).

use core::time::Duration;

use macsec::{An, Ki, Sci};

use super::{Participant, election::KeyServer};
use crate::{Mi, Random};

/// What a participant is told of its port beyond its own keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// It is the principal participant. As key server it makes SAKs only then.
    pub(crate) principal: bool,
    /// Its CAK has been removed. It stays for the SAK that is on its way into use, and makes no other.
    pub(crate) leaves: bool,
    /// The port has keys, of whichever participant.
    pub(crate) has_keys: bool,
    /// The AN of the last SAK of the port.
    pub(crate) last_an: Option<An>,
    /// The ANs that are in use on the port, or at peers of other participants.
    pub(crate) used_ans: UsedAns,
    /// When the port got its last SAK.
    pub(crate) last_sak: Option<Duration>,
}

impl Default for Place {
    /// That of a participant which is the only one.
    fn default() -> Self {
        Self {
            principal: true,
            leaves: false,
            has_keys: false,
            last_an: None,
            used_ans: UsedAns::default(),
            last_sak: None,
        }
    }
}

/// The ANs in use, a bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct UsedAns {
    any: u8,
    sent: u8,
}

impl UsedAns {
    /// Adds one that somebody uses, and perhaps transmits with.
    pub(crate) const fn add(&mut self, (an, sent): (An, bool)) {
        let bit = 1 << an.number();
        self.any |= bit;
        if sent {
            self.sent |= bit;
        }
    }

    /// The first AN from `first` on that nobody uses. If there is none, one that nobody transmits with: that of a key which is
    /// about to go.
    pub(crate) fn free(self, first: An) -> An {
        let all = || core::iter::successors(Some(first), |an| Some(an.next())).take(An::ALL.len());
        let free_of = |used: u8| all().find(|an| used & (1 << an.number()) == 0);
        free_of(self.any).or_else(|| free_of(self.sent)).unwrap_or(first)
    }
}

impl<R: Random> Participant<R> {
    /// Takes its place. Who becomes the principal one as key server makes a new SAK, whatever there was before.
    pub(crate) fn take_place(&mut self, now: Duration, place: Place) {
        let before = core::mem::replace(&mut self.place, place);
        if before.principal == place.principal {
            return;
        }
        self.serve_no_more();
        self.cak_changed = place.principal && place.has_keys && self.key_server == KeyServer::Us;
        self.hello.news();
        if self.is_active() {
            self.settle(now);
        }
    }

    /// Whether there is a live peer.
    pub(crate) fn has_session(&self) -> bool {
        self.session_since.is_some()
    }

    /// Whether somebody may be about to join.
    pub(crate) fn has_potential_peers(&self) -> bool {
        self.peers.potential().next().is_some()
    }

    /// The SCIs of the live peers.
    pub(crate) fn live_scis(&self) -> impl Iterator<Item = Sci> {
        self.peers.live().map(|(_, heard)| heard.sci)
    }

    /// Priority and SCI of the key server, if there is one: less is better.
    pub(crate) fn server_rank(&self) -> Option<(u8, Sci)> {
        match self.key_server {
            KeyServer::Nobody => None,
            KeyServer::Us => Some((self.config.priority, self.config.sci)),
            KeyServer::Peer(mi) => {
                let heard = self.peers.get(mi)?.heard?;
                Some((heard.priority, heard.sci))
            }
        }
    }

    /// The SCI of the peer with the MI `mi`, if we have heard it.
    pub(crate) fn sci_of(&self, mi: Mi) -> Option<Sci> {
        Some(self.peers.get(mi)?.heard?.sci)
    }

    /// The ANs that live peers say they use, and whether they transmit with them.
    pub(crate) fn peers_ans(&self) -> impl Iterator<Item = (An, bool)> {
        let uses = self.peers.live().filter_map(|(peer, _)| peer.key_use);
        let keys = uses.flat_map(|uses| [uses.latest, uses.old]).flatten();
        keys.filter(|key| key.rx || key.tx).map(|key| (key.an, key.tx))
    }

    /// Whether the SAK `ki` was agreed on here, now or of late.
    pub(crate) fn has_agreed_on(&self, ki: Ki) -> bool {
        self.sak.knows(ki)
    }

    /// The SAK that is called `ki` is another participant's.
    pub(crate) fn disown_sak(&mut self, ki: Ki) {
        self.sak.disown(ki);
    }

    /// The port has no use for the SAK `ki` any more, as another participant's has taken its place.
    pub(crate) fn forget_sak(&mut self, ki: Ki) {
        if self.sak.info().is_some_and(|info| info.ki == ki) {
            self.drop_sak();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_an_that_nobody_uses_is_free_before_one_that_nobody_transmits_with() {
        let [zero, one, two, three] = An::ALL;
        let free = |first, used: &[(An, bool)]| {
            let mut ans = UsedAns::default();
            used.iter().for_each(|&an| ans.add(an));
            ans.free(first)
        };
        assert_eq!(free(two, &[]), two);
        assert_eq!(free(two, &[(two, false), (zero, true)]), three);
        assert_eq!(free(two, &[(two, true), (three, false), (zero, true)]), one);
        let all = [(zero, true), (one, false), (two, true), (three, true)];
        assert_eq!(free(two, &all), one);
        // Somebody else transmits with it all the same.
        assert_eq!(free(two, &[all.as_slice(), &[(one, true)]].concat()), two);
    }
}

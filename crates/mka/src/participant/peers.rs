//! Who else is there: potential and live peers, and those just forgotten (802.1X clause 9.4.3).

use alloc::{collections::VecDeque, vec::Vec};
use core::{cmp::Reverse, time::Duration};

use macsec::Sci;

use super::{announced::Announced, key_use::PeerKeyUse};
use crate::{Basic, Capability, Member, Mi, PeerList};

/// How many peers are remembered after they went: so many, and some for each that there may be.
const FORGOTTEN: usize = 16;
const FORGOTTEN_FOR_A_PEER: usize = 2;
/// So long after peers have been waited for to know each other nobody makes us begin anew: time for a SAK to get to all.
const NO_WAIT: Duration = Duration::from_secs(1);

/// A peer as it last spoke of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    pub(crate) sci: Sci,
    pub(crate) version: u8,
    pub(crate) priority: u8,
    pub(crate) key_server: bool,
    pub(crate) desired: bool,
    pub(crate) capability: Capability,
    /// When that was.
    pub(crate) at: Duration,
}

impl Heard {
    const fn of(basic: &Basic, at: Duration) -> Self {
        Self {
            at,
            sci: basic.sci,
            version: basic.version,
            priority: basic.key_server_priority,
            key_server: basic.key_server,
            desired: basic.macsec_desired,
            capability: basic.macsec_capability,
        }
    }

    /// Whether it takes part in MACsec at all.
    pub(crate) fn wants_macsec(&self) -> bool {
        self.desired && self.capability != Capability::None
    }
}

#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) mi: Mi,
    /// The number of its last message: heard by us or, if we have heard none, by a live peer.
    pub(crate) mn: u32,
    /// `None` as long as only others have heard it.
    pub(crate) heard: Option<Heard>,
    pub(crate) live: bool,
    pub(crate) key_use: Option<PeerKeyUse>,
    /// How many of its last MKPDUs had no SAK Use though keys were in use.
    pub(crate) mkpdus_without_sak_use: u32,
    /// What it has announced last.
    pub(crate) announced: Option<Announced>,
    /// The MKA Suspension Time of its last XPN set; `None` if its last MKPDU had no such set.
    pub(crate) suspension_time: Option<u8>,
    /// The last message of ours that it has listed.
    listed: u32,
    /// Its last message lists all others that are live and want MACsec.
    lists_all: bool,
    /// The live peer that told us of it.
    told_by: Option<Mi>,
    expires: Duration,
}

impl Peer {
    /// One that nobody knows anything about yet.
    const fn new(Member { mi, mn }: Member, expires: Duration) -> Self {
        Self {
            mi,
            mn,
            heard: None,
            live: false,
            key_use: None,
            mkpdus_without_sak_use: 0,
            announced: None,
            suspension_time: None,
            listed: 0,
            lists_all: false,
            told_by: None,
            expires,
        }
    }
}

/// Why a message of a peer is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    MessageNumber,
    Sci,
    Limit,
}

/// What a message of a peer has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// We did not know the peer.
    pub(crate) new: bool,
    /// The peer has become live.
    pub(crate) live: bool,
    /// The live or potential peer of the same SCI that it takes the place of.
    pub(crate) replaced: Option<Mi>,
    /// Something that an election looks at.
    pub(crate) candidacy: bool,
}

/// Until when live peers stay live whether they are heard or not.
#[derive(Clone, Copy)]
struct Kept {
    /// Those only whose time was not up by then.
    from: Duration,
    until: Duration,
}

struct Forgotten {
    mi: Mi,
    mn: u32,
    /// Another instance has taken its place; what it still says is out of date up to this time.
    replaced_until: Option<Duration>,
}

/// The peers of one participant, in the order of descending SCIs, which is that of their SSCIs.
///
/// Bounded: as many live ones and as many potential ones as given at construction.
pub(crate) struct PeerTable {
    peers: Vec<Peer>,
    forgotten: VecDeque<Forgotten>,
    most_forgotten: usize,
    /// Our own MI.
    own: Option<Mi>,
    /// Since when the live peers are waited for to know each other: one of them was new then.
    acquaintance: Duration,
    kept: Option<Kept>,
    limit: usize,
    life: Duration,
}

impl PeerTable {
    pub(crate) fn new(limit: usize, life: Duration) -> Self {
        let most_forgotten = FORGOTTEN + FORGOTTEN_FOR_A_PEER * limit;
        Self {
            // One more for a moment, until a new instance has taken the place of the old one.
            peers: Vec::with_capacity(2 * limit + 1),
            forgotten: VecDeque::with_capacity(most_forgotten),
            most_forgotten,
            own: None,
            acquaintance: Duration::ZERO,
            kept: None,
            limit,
            life,
        }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Peer> {
        self.peers.iter()
    }

    pub(crate) fn get(&self, mi: Mi) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.mi == mi)
    }

    pub(crate) fn get_mut(&mut self, mi: Mi) -> Option<&mut Peer> {
        self.peers.iter_mut().find(|peer| peer.mi == mi)
    }

    /// The live peers. All of them have been heard.
    pub(crate) fn live(&self) -> impl Iterator<Item = (&Peer, &Heard)> + Clone {
        self.peers
            .iter()
            .filter(|peer| peer.live)
            .filter_map(|peer| Some((peer, peer.heard.as_ref()?)))
    }

    pub(crate) fn potential(&self) -> impl Iterator<Item = &Peer> {
        self.peers.iter().filter(|peer| !peer.live)
    }

    /// Takes note of a message whose ICV is right. `listed`: the recent message of ours that its lists hold, if they do: it
    /// was sent of late, then.
    pub(crate) fn hear(
        &mut self,
        now: Duration,
        basic: &Basic,
        listed: Option<u32>,
    ) -> Result<Change, Refusal> {
        let (mi, mn) = (basic.actor.mi, basic.actor.mn);
        self.check(now, basic, listed.is_some())?;
        // Who has heard less of us than the live peer of the same SCI is an instance from before that one: this message was
        // held up, or is replayed.
        let listed = listed.filter(|listed| {
            let heard_more = |(other, heard): (&Peer, &Heard)| {
                other.mi != mi && heard.sci == basic.sci && other.listed > *listed
            };
            !self.live().any(heard_more)
        });
        if listed.is_some() && !self.has_live_place(mi, basic.sci) {
            return Err(Refusal::Limit);
        }
        let mut change = Change { candidacy: true, ..Change::default() };
        match self.get_mut(mi) {
            Some(peer) => {
                let before = peer.heard.replace(Heard::of(basic, now));
                change.candidacy = before.is_none_or(|before| {
                    let standing = |heard: Heard| (heard.key_server, heard.priority);
                    standing(before) != standing(Heard::of(basic, now))
                });
                peer.mn = mn;
            }
            None => {
                if listed.is_none() {
                    self.make_room()?;
                }
                let expires = now.saturating_add(self.life);
                let heard = Some(Heard::of(basic, now));
                self.peers.push(Peer { heard, ..Peer::new(basic.actor, expires) });
                change.new = true;
            }
        }
        if let Some(listed) = listed {
            self.make_live(now, mi, listed, &mut change);
        }
        self.peers.sort_unstable_by_key(|peer| Reverse(peer.heard.map(|heard| heard.sci)));
        Ok(change)
    }

    fn check(&self, now: Duration, basic: &Basic, fresh: bool) -> Result<(), Refusal> {
        let (mi, mn) = (basic.actor.mi, basic.actor.mn);
        if mn == 0 {
            return Err(Refusal::MessageNumber);
        }
        if let Some(peer) = self.get(mi) {
            return match peer.heard {
                Some(heard) if heard.sci != basic.sci => Err(Refusal::Sci),
                Some(_) if mn <= peer.mn => Err(Refusal::MessageNumber),
                // What others have heard of it says nothing about what we have.
                _ => Ok(()),
            };
        }
        match self.forgotten.iter().find(|forgotten| forgotten.mi == mi) {
            // Whoever lists what we have sent since the peer was forgotten is no replay, however low its number: somebody
            // has made up a higher one in its name.
            Some(forgotten)
                if (mn <= forgotten.mn && !fresh)
                    || forgotten.replaced_until.is_some_and(|until| now < until) =>
            {
                Err(Refusal::MessageNumber)
            }
            _ => Ok(()),
        }
    }

    /// Whether the peer may be live: it is, or takes the place of a former instance, or a free one.
    fn has_live_place(&self, mi: Mi, sci: Sci) -> bool {
        let others = self.live().filter(|(other, heard)| other.mi != mi && heard.sci != sci);
        others.count() < self.limit
    }

    /// A potential peer that we have heard may push out one that we only know of.
    fn make_room(&mut self) -> Result<(), Refusal> {
        if self.potential().count() < self.limit {
            return Ok(());
        }
        let hearsay = self.peers.iter().position(|peer| peer.heard.is_none());
        self.peers.remove(hearsay.ok_or(Refusal::Limit)?);
        Ok(())
    }

    fn make_live(&mut self, now: Duration, mi: Mi, listed: u32, change: &mut Change) {
        let life = self.life;
        let awaited = self.acquainted_by().is_some_and(|by| now < by.saturating_add(NO_WAIT));
        let sci = self.get(mi).and_then(|peer| peer.heard).map(|heard| heard.sci);
        let Some(peer) = self.get_mut(mi) else { return };
        peer.listed = listed;
        change.live = !peer.live;
        peer.live = true;
        peer.expires = now.saturating_add(life);
        if change.live {
            if !awaited {
                self.acquaintance = now;
            }
            self.peers.iter_mut().for_each(|peer| peer.lists_all = false);
            let same = |peer: &Peer| peer.mi != mi && peer.heard.map(|heard| heard.sci) == sci;
            while let Some(index) = self.peers.iter().position(same) {
                let old = self.peers.remove(index);
                change.replaced = Some(old.mi);
                // Whom it had listed is the new instance's to say.
                self.peers.retain(|peer| peer.heard.is_some() || peer.told_by != Some(old.mi));
                self.remember(old.mi, old.mn, Some(now.saturating_add(life)));
            }
        }
    }

    /// Takes note of the peers that the live peer `by` lists as live. Says whether one is new.
    ///
    /// One that it no longer lists, and that we have not heard ourselves, is gone: it may have been an
    /// instance of a member, even of us, from before a restart.
    pub(crate) fn hear_of(&mut self, now: Duration, by: Mi, live: &PeerList<'_>) -> bool {
        self.peers.retain(|peer| {
            peer.heard.is_some() || peer.told_by != Some(by) || live.find(peer.mi).is_some()
        });
        let before = self.peers.len();
        for Member { mi, mn } in live {
            let known = self.own == Some(mi)
                || self.get(mi).is_some()
                || self.forgotten.iter().any(|forgotten| forgotten.mi == mi)
                || self.potential().count() >= self.limit;
            if !known {
                let (told_by, expires) = (Some(by), now.saturating_add(self.life));
                self.peers.push(Peer { told_by, ..Peer::new(Member { mi, mn }, expires) });
            }
        }
        self.peers.len() > before
    }

    /// Takes note of whom a peer lists, as live or potential.
    pub(crate) fn lists(&mut self, mi: Mi, lists: [Option<PeerList<'_>>; 2]) {
        let is_listed = |other| lists.iter().flatten().any(|list| list.find(other).is_some());
        let all = self.wanting_macsec().all(|other| other.mi == mi || is_listed(other.mi));
        if let Some(peer) = self.get_mut(mi) {
            peer.lists_all = all;
        }
    }

    /// Until when the live peers are waited for, if they do not all say yet that they know of each
    /// other: half a Life Time from when one of them was new. Others that come meanwhile, or just
    /// then, do not prolong that.
    pub(crate) fn acquainted_by(&self) -> Option<Duration> {
        let by = self.acquaintance.saturating_add(self.life / 2);
        self.wanting_macsec().any(|peer| !peer.lists_all).then_some(by)
    }

    /// The live peers that want MACsec.
    fn wanting_macsec(&self) -> impl Iterator<Item = &Peer> {
        self.live().filter(|(_, heard)| heard.wants_macsec()).map(|(peer, _)| peer)
    }

    /// Never takes `mi` for a peer: it is ours. Nor the one that was, as long as it is remembered.
    pub(crate) fn disown(&mut self, mi: Mi) {
        if let Some(former) = self.own.replace(mi) {
            self.remember(former, u32::MAX, Some(Duration::MAX));
        }
    }

    /// Our messages are numbered anew.
    pub(crate) fn begin_anew(&mut self) {
        self.peers.iter_mut().for_each(|peer| peer.listed = 0);
    }

    /// Keeps the peers that are live at the time `from` until `until`, even if they are silent. Whose time was up
    /// before that is not kept again.
    pub(crate) const fn keep(&mut self, from: Duration, until: Duration) {
        self.kept = Some(Kept { from, until });
    }

    /// Keeps nobody for longer than until `until`.
    pub(crate) fn keep_no_longer(&mut self, until: Duration) {
        if let Some(kept) = &mut self.kept {
            kept.until = kept.until.min(until);
        }
    }

    /// Forgets all peers, but not the numbers of their messages.
    pub(crate) fn clear(&mut self) {
        self.kept = None;
        while let Some(peer) = self.peers.pop() {
            if peer.heard.is_some() {
                self.remember(peer.mi, peer.mn, None);
            }
        }
    }

    /// Forgets one peer whose time has come, and returns it.
    ///
    /// A potential peer's time is not prolonged by what it says: one that hears nobody would keep the
    /// list from ever becoming empty.
    pub(crate) fn expire(&mut self, now: Duration) -> Option<Peer> {
        let index = self.peers.iter().position(|peer| self.due(peer) <= now)?;
        let peer = self.peers.remove(index);
        if peer.heard.is_some() {
            self.remember(peer.mi, peer.mn, None);
        }
        Some(peer)
    }

    /// When the next peer's time comes.
    pub(crate) fn next_expiry(&self) -> Option<Duration> {
        self.peers.iter().map(|peer| self.due(peer)).min()
    }

    fn due(&self, peer: &Peer) -> Duration {
        let kept = self.kept.filter(|kept| peer.live && peer.expires > kept.from);
        kept.map_or(peer.expires, |kept| peer.expires.max(kept.until))
    }

    fn remember(&mut self, mi: Mi, mn: u32, replaced_until: Option<Duration>) {
        self.forgotten.retain(|forgotten| forgotten.mi != mi);
        if self.forgotten.len() == self.most_forgotten {
            self.forgotten.pop_front();
        }
        self.forgotten.push_back(Forgotten { mi, mn, replaced_until });
    }
}

#[cfg(test)]
mod tests {
    use macsec::MacAddress;

    use super::*;
    use crate::Ckn;

    const LIFE: Duration = Duration::from_secs(6);
    const HALF: Duration = Duration::from_secs(3);

    fn basic(mi: u8, mn: u32, mac: u8) -> Basic {
        Basic {
            version: 3,
            key_server_priority: 16,
            key_server: true,
            macsec_desired: true,
            macsec_capability: Capability::Offsets,
            sci: Sci::new(MacAddress([2, 0, 0, 0, 0, mac]), 1),
            actor: Member { mi: Mi([mi; 12]), mn },
            ckn: Ckn::new(b"lab").unwrap(),
        }
    }

    fn table() -> PeerTable {
        PeerTable::new(2, LIFE)
    }

    fn tell(peers: &mut PeerTable, listed: &[(u8, u32)]) -> bool {
        let listed: Vec<_> =
            listed.iter().map(|&(mi, mn)| Member { mi: Mi([mi; 12]), mn }).collect();
        peers.hear_of(HALF, Mi([7; 12]), &PeerList::new(&listed))
    }

    #[test]
    fn who_lists_us_is_live_for_a_life_time() {
        let mut peers = table();
        assert!(!peers.hear(Duration::ZERO, &basic(1, 1, 1), None).unwrap().live);
        assert!(peers.hear(HALF, &basic(1, 2, 1), Some(1)).unwrap().live);
        assert_eq!(peers.live().next().unwrap().1.at, HALF);
        assert!(!peers.hear(HALF, &basic(1, 3, 1), Some(1)).unwrap().live, "is live already");
        assert!(peers.expire(HALF + LIFE - Duration::from_millis(1)).is_none());
        assert!(peers.expire(HALF + LIFE).unwrap().live);
    }

    /// Pitfall 21: a peer that never lists us does not stay potential for ever.
    #[test]
    fn p21_a_potential_peer_expires_however_much_it_says() {
        let mut peers = table();
        for mn in 1..60 {
            let now = Duration::from_millis(100) * mn;
            peers.hear(now, &basic(1, mn, 1), None).unwrap();
        }
        assert!(peers.expire(Duration::from_millis(100) + LIFE).is_some());
    }

    #[test]
    fn message_numbers_only_rise_but_for_one_forgotten_that_has_heard_us_since() {
        let mut peers = table();
        assert_eq!(peers.hear(HALF, &basic(1, 0, 1), Some(1)), Err(Refusal::MessageNumber));
        peers.hear(HALF, &basic(1, 7, 1), Some(1)).unwrap();
        assert_eq!(peers.hear(HALF, &basic(1, 7, 1), Some(1)), Err(Refusal::MessageNumber));
        assert_eq!(peers.hear(HALF, &basic(1, 8, 2), Some(1)), Err(Refusal::Sci));
        peers.expire(HALF + LIFE).unwrap();
        let later = HALF + 2 * LIFE;
        assert_eq!(peers.hear(later, &basic(1, 7, 1), None), Err(Refusal::MessageNumber));
        assert!(peers.hear(later, &basic(1, 5, 1), Some(1)).unwrap().live);
        assert_eq!(peers.hear(later, &basic(1, 5, 1), Some(1)), Err(Refusal::MessageNumber));
        peers.disown(Mi([7; 12]));
        peers.disown(Mi([8; 12]));
        assert_eq!(peers.hear(later, &basic(7, 1, 2), Some(1)), Err(Refusal::MessageNumber));
    }

    /// Pitfall 24: a restarted peer takes its own place as soon as it has proved live, and not before.
    #[test]
    fn p24_a_new_mi_replaces_the_old_one_when_live() {
        let mut peers = table();
        peers.hear(HALF, &basic(1, 9, 1), Some(1)).unwrap();
        assert_eq!(peers.hear(HALF, &basic(2, 1, 1), None).unwrap().replaced, None);
        assert_eq!(peers.live().count(), 1);
        let change = peers.hear(HALF, &basic(2, 2, 1), Some(1)).unwrap();
        assert_eq!((change.live, change.replaced), (true, Some(Mi([1; 12]))));
        assert_eq!(peers.all().count(), 1);
        // A straggler of the old instance does not turn things back.
        assert_eq!(peers.hear(HALF, &basic(1, 10, 1), Some(1)), Err(Refusal::MessageNumber));
        assert!(!tell(&mut peers, &[(1, 10)]));
    }

    /// What an instance said before it restarted, and we hear only now, does not turn things back either.
    #[test]
    fn an_instance_that_has_heard_less_of_us_takes_no_place() {
        let mut peers = table();
        peers.hear(HALF, &basic(2, 1, 1), Some(5)).unwrap();
        assert!(!peers.hear(HALF, &basic(1, 9, 1), Some(4)).unwrap().live);
        assert_eq!(peers.live().next().unwrap().0.mi, Mi([2; 12]));
        assert!(peers.hear(HALF, &basic(3, 1, 1), Some(5)).unwrap().live);
        // After a new MI of ours all begin with the same chances.
        peers.begin_anew();
        assert!(peers.hear(HALF, &basic(4, 1, 1), Some(1)).unwrap().live);
    }

    #[test]
    fn the_table_is_bounded_and_hearsay_makes_room() {
        let mut peers = table();
        assert!(tell(&mut peers, &[(9, 1)]));
        peers.hear(HALF, &basic(1, 1, 1), None).unwrap();
        peers.hear(HALF, &basic(2, 1, 2), None).unwrap();
        assert!(peers.get(Mi([9; 12])).is_none());
        assert!(!tell(&mut peers, &[(8, 1)]));
        assert_eq!(peers.hear(HALF, &basic(3, 1, 3), None), Err(Refusal::Limit));
        for mi in 1..=2 {
            peers.hear(HALF, &basic(mi, 2, mi), Some(1)).unwrap();
        }
        assert_eq!(peers.hear(HALF, &basic(3, 1, 3), Some(1)), Err(Refusal::Limit));
        peers.hear(HALF, &basic(3, 1, 3), None).unwrap();
        assert_eq!(peers.hear(HALF, &basic(3, 2, 3), Some(1)), Err(Refusal::Limit));
    }

    #[test]
    fn one_only_heard_of_may_still_say_its_first_word() {
        let mut peers = table();
        tell(&mut peers, &[(1, 5)]);
        assert!(peers.hear(HALF, &basic(1, 5, 1), Some(1)).unwrap().live);
    }

    #[test]
    fn one_only_heard_of_goes_when_it_is_no_longer_listed() {
        let mut peers = table();
        assert!(tell(&mut peers, &[(1, 5), (2, 7)]));
        assert!(!tell(&mut peers, &[(2, 8)]));
        assert_eq!(
            peers.potential().map(|peer| (peer.mi, peer.mn)).collect::<Vec<_>>(),
            [(Mi([2; 12]), 7)]
        );
    }

    /// Both ends begin anew at about the same time: the last message of the other's former instance lists ours.
    #[test]
    fn whom_a_former_instance_has_listed_goes_with_it() {
        let mut peers = table();
        peers.hear(HALF, &basic(7, 9, 7), Some(1)).unwrap();
        assert!(tell(&mut peers, &[(1, 5)]));
        let change = peers.hear(HALF, &basic(8, 1, 7), Some(2)).unwrap();
        assert_eq!(change.replaced, Some(Mi([7; 12])));
        assert!(peers.potential().next().is_none());
    }

    /// An MKPDU that lists us, but less of us than the live instance has, comes from a former one: it is a potential peer, and
    /// of these there are no more than of others.
    #[test]
    fn former_instances_are_as_few_as_other_potential_peers() {
        let mut peers = table();
        peers.hear(HALF, &basic(1, 1, 1), Some(5)).unwrap();
        for former in 2..=3 {
            assert!(!peers.hear(HALF, &basic(former, 1, 1), Some(4)).unwrap().live);
        }
        assert_eq!(peers.hear(HALF, &basic(4, 1, 1), Some(4)), Err(Refusal::Limit));
        assert_eq!(peers.potential().count(), 2);
    }

    /// Who restarts needs no second place.
    #[test]
    fn a_new_instance_takes_the_place_of_the_old_one_though_there_is_no_other() {
        let mut peers = table();
        for peer in 1..=2 {
            peers.hear(HALF, &basic(peer, 9, peer), Some(1)).unwrap();
        }
        assert_eq!(peers.hear(HALF, &basic(3, 1, 3), Some(1)), Err(Refusal::Limit));
        let change = peers.hear(HALF, &basic(4, 1, 1), Some(2)).unwrap();
        assert_eq!((change.live, change.replaced), (true, Some(Mi([1; 12]))));
        // In two steps as well.
        assert!(!peers.hear(HALF, &basic(5, 1, 2), None).unwrap().live);
        assert!(peers.hear(HALF, &basic(5, 2, 2), Some(2)).unwrap().live);
        assert_eq!(peers.all().count(), 2);
    }

    /// All live peers list us. That is not to be hearsay, however many others have been and gone since we took our MI.
    #[test]
    fn we_are_no_peer_of_ours_however_many_have_gone() {
        let mut peers = table();
        peers.disown(Mi([9; 12]));
        for peer in 0..2 * FORGOTTEN as u8 {
            let now = LIFE * u32::from(peer);
            peers.hear(now, &basic(peer + 10, 1, peer), Some(1)).unwrap();
            peers.expire(now + LIFE).unwrap();
        }
        assert!(!tell(&mut peers, &[(9, 5)]));
        assert!(peers.potential().next().is_none());
    }
}

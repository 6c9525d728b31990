//! A CA: who is a member, who is live to whom, and who is key server.

use core::time::Duration;

use macsec::{Ki, Sci};
use mka::{Body, Capability, Ckn, Ick, Kek, Mi, PeerList};

use super::{Limits, report::PeerState, story::News};
use crate::mka::record::MnVerdict;

/// Addresses that are kept of senders whose ICV is wrong.
const BAD_SENDERS: usize = 4;
/// Key Server Priority of who is never key server.
pub(super) const NEVER: u8 = 255;

/// The MKPDUs of a CKN.
#[derive(Debug)]
pub(super) struct Ca {
    pub(super) ckn: Ckn,
    /// What opens its MKPDUs, if the CAK is known.
    pub(super) keys: Option<CaKeys>,
    pub(super) mkpdus: u64,
    pub(super) icv_ok: u64,
    pub(super) icv_bad: u64,
    /// Who has sent those with a wrong ICV, a few of them.
    pub(super) bad_senders: Vec<String>,
    pub(super) unwrap_failures: u64,
    /// MKPDUs that say there is to be no MACsec.
    pub(super) plain_text: u64,
    /// SAKs of a name that another had.
    pub(super) renamed_saks: u64,
    /// MKPDUs of an MI under another SCI than before.
    pub(super) collisions: u64,
    /// MKPDUs under an MI in whose place another of the same SCI has come.
    pub(super) revenants: u64,
    pub(super) key_server: Option<(Mi, Sci)>,
    /// Since when two are live to each other.
    pub(super) live_since: Option<Duration>,
    pub(super) peers: Vec<Peer>,
    pub(super) peers_left_out: u64,
    /// Before that nobody can have gone.
    next_expiry: Option<Duration>,
}

/// ICK and KEK. Shows nothing of them.
#[derive(Debug)]
pub(super) struct CaKeys {
    pub(super) ick: Ick,
    pub(super) kek: Kek,
}

/// A member under one MI.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) mi: Mi,
    pub(super) mn: u32,
    pub(super) sci: Sci,
    pub(super) priority: u8,
    pub(super) version: u8,
    pub(super) key_server: bool,
    pub(super) wants_macsec: bool,
    pub(super) first_seen: Duration,
    pub(super) last_seen: Duration,
    pub(super) mkpdus: u64,
    pub(super) repeated: u64,
    pub(super) lower: u64,
    pub(super) gone: bool,
    pub(super) replaced: bool,
    /// How often it was gone and came again.
    pub(super) returns: u64,
    pub(super) live: Vec<Mi>,
    pub(super) potential: Vec<Mi>,
    /// How many others it is live to, and they to it.
    pub(super) mutual: usize,
    /// The SAKs that it transmits with.
    pub(super) transmits: [Option<Ki>; 2],
}

impl Peer {
    pub(super) const fn is_here(&self) -> bool {
        !self.gone && !self.replaced
    }

    pub(super) fn lists(&self, mi: Mi) -> bool {
        self.live.contains(&mi) || self.potential.contains(&mi)
    }
}

impl Ca {
    pub(super) const fn new(ckn: Ckn, keys: Option<CaKeys>) -> Self {
        Self {
            ckn,
            keys,
            mkpdus: 0,
            icv_ok: 0,
            icv_bad: 0,
            bad_senders: Vec::new(),
            unwrap_failures: 0,
            plain_text: 0,
            renamed_saks: 0,
            collisions: 0,
            revenants: 0,
            key_server: None,
            live_since: None,
            peers: Vec::new(),
            peers_left_out: 0,
            next_expiry: None,
        }
    }

    pub(super) fn peer(&self, mi: Mi) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.mi == mi)
    }

    pub(super) fn peer_mut(&mut self, mi: Mi) -> Option<&mut Peer> {
        self.peers.iter_mut().find(|peer| peer.mi == mi)
    }

    pub(super) fn here(&self) -> impl Iterator<Item = &Peer> {
        self.peers.iter().filter(|peer| peer.is_here())
    }

    /// What a member is called: by its SCI, if it was heard.
    pub(super) fn name(&self, mi: Mi) -> String {
        self.peer(mi).map_or_else(|| format!("MI {mi}"), |peer| peer.sci.to_string())
    }

    pub(super) fn tell(&self, news: &mut News, text: String) {
        news.tell(&self.ckn, self.keys.is_some(), text);
    }

    pub(super) fn bad_icv(&mut self, sender: Option<&String>) {
        self.icv_bad += 1;
        let Some(sender) = sender.filter(|sender| !self.bad_senders.contains(sender)) else {
            return;
        };
        if self.bad_senders.len() < BAD_SENDERS {
            self.bad_senders.push(sender.clone());
        }
    }

    /// Takes what a member says of itself and of others. `None` if there is no room for it.
    pub(super) fn take(
        &mut self,
        body: &Body<'_>,
        limits: &Limits,
        news: &mut News,
    ) -> Option<MnVerdict> {
        let (actor, now) = (body.basic.actor, news.at);
        let known = self.peers.iter().position(|peer| peer.mi == actor.mi);
        let (index, verdict) = match known {
            Some(index) => {
                let peer = &mut self.peers[index];
                peer.mkpdus += 1;
                let verdict = match actor.mn {
                    mn if mn == peer.mn => MnVerdict::Repeated,
                    mn if mn < peer.mn => MnVerdict::Lower,
                    _ => MnVerdict::Next,
                };
                peer.repeated += u64::from(verdict == MnVerdict::Repeated);
                peer.lower += u64::from(verdict == MnVerdict::Lower);
                self.collisions += u64::from(peer.sci != body.basic.sci);
                if verdict != MnVerdict::Next {
                    return Some(verdict);
                }
                (index, verdict)
            }
            None => (self.new_peer(body, limits, news)?, MnVerdict::First),
        };
        let before: Vec<_> = self.live_to(index).collect();
        let peer = &mut self.peers[index];
        let silence = now.saturating_sub(peer.last_seen);
        self.revenants += u64::from(peer.replaced);
        peer.mn = actor.mn;
        peer.last_seen = now.max(peer.last_seen);
        peer.priority = body.basic.key_server_priority;
        peer.version = body.basic.version;
        peer.key_server = body.basic.key_server;
        peer.wants_macsec =
            body.basic.macsec_desired && body.basic.macsec_capability != Capability::None;
        if peer.gone {
            peer.gone = false;
            peer.returns += 1;
            let text = format!("{} is heard again after {:.1} s", peer.sci, silence.as_secs_f64());
            self.tell(news, text);
        }
        let expiry = now.saturating_add(limits.life_time);
        self.next_expiry = Some(self.next_expiry.map_or(expiry, |next| next.min(expiry)));
        self.take_lists(index, &before, body, news);
        self.elect(news);
        Some(verdict)
    }

    fn new_peer(&mut self, body: &Body<'_>, limits: &Limits, news: &mut News) -> Option<usize> {
        let basic = &body.basic;
        self.make_room(limits)?;
        let (sci, mi) = (basic.sci, basic.actor.mi);
        let mut replaced = false;
        for index in 0..self.peers.len() {
            if self.peers[index].sci == sci && !self.peers[index].replaced {
                self.leaves(index);
                self.peers[index].replaced = true;
                replaced = true;
            }
        }
        let text = if replaced {
            format!("{sci} has taken a new MI, {mi}")
        } else {
            let (priority, version) = (basic.key_server_priority, basic.version);
            format!("{sci} appears, MI {mi}, priority {priority}, MKA version {version}")
        };
        self.tell(news, text);
        self.peers.push(Peer {
            mi,
            mn: basic.actor.mn,
            sci,
            priority: basic.key_server_priority,
            version: basic.version,
            key_server: basic.key_server,
            wants_macsec: basic.macsec_desired,
            first_seen: news.at,
            last_seen: news.at,
            mkpdus: 1,
            repeated: 0,
            lower: 0,
            gone: false,
            replaced: false,
            returns: 0,
            live: Vec::new(),
            potential: Vec::new(),
            mutual: 0,
            transmits: [None; 2],
        });
        Some(self.peers.len() - 1)
    }

    /// The one that was heard longest ago of those that are not here makes room.
    fn make_room(&mut self, limits: &Limits) -> Option<()> {
        if self.peers.len() < limits.peers {
            return Some(());
        }
        self.peers_left_out += 1;
        let away = self.peers.iter().enumerate().filter(|(_, peer)| !peer.is_here());
        let (index, _) = away.min_by_key(|(_, peer)| peer.last_seen)?;
        self.peers.remove(index);
        Some(())
    }

    /// A peer goes: nobody is live to it any more.
    fn leaves(&mut self, index: usize) {
        let others: Vec<_> = self.live_to(index).collect();
        for mi in others {
            self.count_mutual(mi, false);
        }
        self.peers[index].mutual = 0;
    }

    fn count_mutual(&mut self, mi: Mi, more: bool) {
        if let Some(peer) = self.peer_mut(mi) {
            peer.mutual = if more { peer.mutual + 1 } else { peer.mutual.saturating_sub(1) };
        }
    }

    fn take_lists(&mut self, index: usize, before: &[Mi], body: &Body<'_>, news: &mut News) {
        let mis = |list: Option<PeerList<'_>>| -> Vec<Mi> {
            list.iter().flat_map(PeerList::iter).map(|peer| peer.mi).collect()
        };
        let peer = &mut self.peers[index];
        let had = core::mem::replace(&mut peer.live, mis(body.live));
        let heard = core::mem::replace(&mut peer.potential, mis(body.potential));
        let (mi, sci) = (peer.mi, peer.sci);
        let after: Vec<_> = self.live_to(index).collect();
        let mut lines = Vec::new();
        for other in self.here().filter(|other| other.mi != mi) {
            let listed = |list: &[Mi]| list.contains(&other.mi);
            let peer = &self.peers[index];
            if after.contains(&other.mi) && !before.contains(&other.mi) {
                lines.push(format!("{sci} and {} are live to each other", other.sci));
            } else if listed(&had) && !listed(&peer.live) {
                lines.push(format!("{sci} lists {} as live no more", other.sci));
            } else if listed(&peer.potential) && !listed(&heard) && !listed(&had) {
                lines.push(format!("{sci} has heard {}", other.sci));
            }
        }
        for line in lines {
            self.tell(news, line);
        }
        for mi in after.iter().filter(|mi| !before.contains(mi)) {
            self.count_mutual(*mi, true);
        }
        for mi in before.iter().filter(|mi| !after.contains(mi)) {
            self.count_mutual(*mi, false);
        }
        self.peers[index].mutual = after.len();
        let any = self.peers.iter().any(|peer| peer.mutual > 0);
        self.live_since = any.then(|| self.live_since.unwrap_or(news.at));
    }

    /// Who is live to this peer, and it to them.
    fn live_to(&self, index: usize) -> impl Iterator<Item = Mi> {
        let peer = &self.peers[index];
        self.here()
            .filter(|other| {
                peer.is_here() && other.live.contains(&peer.mi) && peer.live.contains(&other.mi)
            })
            .map(|other| other.mi)
    }

    pub(super) fn state(&self, index: usize) -> PeerState {
        let peer = &self.peers[index];
        if peer.replaced {
            PeerState::Replaced
        } else if peer.gone {
            PeerState::Gone
        } else if peer.mutual > 0 {
            PeerState::Live
        } else if self.here().any(|other| other.lists(peer.mi)) {
            PeerState::Potential
        } else {
            PeerState::Heard
        }
    }

    /// Who is key server shows as soon as one alone of those that are live says so.
    fn elect(&mut self, news: &mut News) {
        let claims = |(_, peer): &(usize, &Peer)| {
            peer.key_server && peer.priority != NEVER && peer.mutual > 0
        };
        let mut claims = self.peers.iter().enumerate().filter(claims).map(|(index, _)| index);
        let (Some(index), None) = (claims.next(), claims.next()) else { return };
        self.serves(index, news);
    }

    fn serves(&mut self, index: usize, news: &mut News) {
        let Peer { mi, sci, priority, .. } = self.peers[index];
        let before = self.key_server.replace((mi, sci));
        let text = match before {
            // Under a new MI, perhaps.
            Some((_, before)) if before == sci => return,
            Some((_, before)) => {
                format!("key server is {sci} (priority {priority}), no more {before}")
            }
            None => format!("key server is {sci} (priority {priority})"),
        };
        self.tell(news, text);
    }

    /// Who has been silent for too long has gone: these.
    pub(super) fn expire(&mut self, limits: &Limits, news: &mut News) -> Vec<Mi> {
        if self.next_expiry.is_none_or(|at| news.at <= at) {
            return Vec::new();
        }
        let mut gone = Vec::new();
        let mut next = None;
        for index in 0..self.peers.len() {
            let peer = &self.peers[index];
            let expiry = peer.last_seen.saturating_add(limits.life_time);
            if expiry < news.at && !peer.gone {
                gone.push(peer.mi);
                self.leaves(index);
                self.peers[index].gone = true;
            } else if !peer.gone {
                next = Some(next.map_or(expiry, |next: Duration| next.min(expiry)));
            }
        }
        self.next_expiry = next;
        let silence = limits.life_time.as_secs_f64();
        for mi in gone.iter().filter(|mi| self.peer(**mi).is_some_and(|peer| !peer.replaced)) {
            let text = format!("{} has gone: silent for more than {silence:.1} s", self.name(*mi));
            self.tell(news, text);
        }
        if self.peers.iter().all(|peer| peer.mutual == 0) {
            self.live_since = None;
        }
        gone
    }
}

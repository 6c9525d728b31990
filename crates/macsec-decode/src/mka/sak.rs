//! The life of SAKs: distributed, received, in use, replaced.

use core::time::Duration;
use std::collections::HashMap;

use macsec::{An, CipherSuite, Confidentiality, ConfidentialityOffset, Ki, Sak, Sci, Ssci};
use mka::{Body, Ckn, DistributedKey, KeyUse, Mi, SuiteId, Xpn, ssci_by_sci, xpn_salt};

use super::{
    Limits,
    ca::Ca,
    story::{News, after, ki_text},
};
use crate::{KnownSak, SakBook, SakSender, SakSource};

/// So much of the room for SAKs is for CAs whose CAK is not known: a fraction.
const UNKNOWN_SHARE: usize = 8;
/// Lowest PNs that are kept of a sender.
const LOWEST_PNS: usize = 32;
/// A lowest PN is worth keeping from so far on: it tells upper halves apart.
const PN_STEP: u64 = 1 << 30;

/// All SAKs that were seen.
#[derive(Debug, Default)]
pub(super) struct Saks {
    pub(super) lives: Vec<Life>,
    /// The last of each name, by CA.
    by_name: HashMap<(usize, Ki), usize>,
    /// Those that have a member whose SCI is not known, by CA and MI. A search for it with each new
    /// peer would cost too much in a capture full of made-up names.
    waiting: HashMap<(usize, Mi), Vec<usize>>,
    unknown: usize,
    pub(super) left_out: u64,
    pub(super) generation: u64,
}

/// A SAK and what became of it.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) ca: usize,
    pub(super) ckn: Ckn,
    pub(super) ki: Ki,
    pub(super) an: An,
    pub(super) key: Option<Key>,
    pub(super) first_seen: Duration,
    pub(super) distributed: Option<Duration>,
    pub(super) last_distributed: Option<Duration>,
    pub(super) in_use: Option<Duration>,
    pub(super) replaced: Option<Duration>,
    pub(super) last_seen: Duration,
    pub(super) members: Vec<Member>,
    /// The SSCIs follow from the SCIs, once all of these are known.
    by_sci: bool,
}

/// What was distributed.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) suite: SuiteId,
    pub(super) confidentiality: Confidentiality,
    wrapped: Vec<u8>,
    /// Whether it unwraps, if there is a KEK.
    pub(super) unwraps: Option<bool>,
    sak: Option<Sak>,
}

/// Who has it, or says so.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) mi: Mi,
    pub(super) sci: Option<Sci>,
    pub(super) ssci: Option<Ssci>,
    /// The key server listed it with the SAK, or is it.
    pub(super) listed: bool,
    pub(super) receives: Option<Duration>,
    pub(super) transmits: Option<Duration>,
    transmits_now: bool,
    pub(super) lowest_pn: Option<u64>,
    lowest_pns: Vec<(Duration, u64)>,
}

impl Member {
    fn new(mi: Mi, sci: Option<Sci>) -> Self {
        Self {
            mi,
            sci,
            ssci: None,
            listed: false,
            receives: None,
            transmits: None,
            transmits_now: false,
            lowest_pn: None,
            lowest_pns: Vec::new(),
        }
    }

    /// Whether it is news: another upper half may come of it.
    fn note(&mut self, at: Duration, pn: u64) -> bool {
        self.lowest_pn = Some(pn);
        if self.lowest_pns.last().is_some_and(|(_, last)| pn.abs_diff(*last) < PN_STEP) {
            return false;
        }
        if self.lowest_pns.len() >= LOWEST_PNS {
            // Coarser, and as long as before.
            let mut keep = false;
            self.lowest_pns.retain(|_| {
                keep = !keep;
                keep
            });
        }
        self.lowest_pns.push((at, pn));
        true
    }
}

impl Life {
    pub(super) fn suite(&self) -> Option<CipherSuite> {
        self.key.as_ref()?.suite.known()
    }

    fn is_xpn(&self) -> bool {
        self.suite().is_some_and(CipherSuite::is_xpn)
    }

    fn member(&mut self, mi: Mi, sci: Option<Sci>, most: usize) -> Option<&mut Member> {
        let index = match self.members.iter().position(|member| member.mi == mi) {
            Some(index) => index,
            None if self.members.len() < most => {
                self.members.push(Member::new(mi, sci));
                self.members.len() - 1
            }
            None => return None,
        };
        self.members.get_mut(index)
    }

    /// Fills in what has become known of the members. Whether anything has.
    fn resolve(&mut self, ca: &Ca) -> bool {
        let mut news = false;
        for member in self.members.iter_mut().filter(|member| member.sci.is_none()) {
            member.sci = ca.peer(member.mi).map(|peer| peer.sci);
            news |= member.sci.is_some();
        }
        if self.by_sci && self.is_xpn() {
            let listed = self.members.iter().filter(|member| member.listed);
            let scis: Option<Vec<_>> = listed.map(|member| member.sci).collect();
            for member in self.members.iter_mut().filter(|member| member.listed) {
                let sscis = scis.as_deref().zip(member.sci);
                let ssci = sscis.and_then(|(scis, sci)| ssci_by_sci(scis, sci));
                news |= member.ssci != ssci;
                member.ssci = ssci;
            }
        }
        news
    }

    /// What to put into a book; `None` of a SAK that is not known.
    fn known(&self) -> Option<KnownSak> {
        let key = self.key.as_ref()?;
        let (suite, at) = (key.suite.known()?, self.distributed?);
        let sak = Sak::new(key.sak.as_ref()?.expose_octets()).ok()?;
        let offset = match key.confidentiality {
            Confidentiality::IntegrityOnly => ConfidentialityOffset::Zero,
            Confidentiality::Encrypt(offset) => offset,
        };
        let senders = self.members.iter().filter_map(|member| {
            let lowest_pns = member.lowest_pns.clone();
            Some(SakSender { sci: member.sci?, ssci: member.ssci, lowest_pns })
        });
        Some(KnownSak {
            source: SakSource::Distributed { ki: self.ki, at },
            an: self.an,
            suite,
            sak,
            salt: suite.is_xpn().then(|| xpn_salt(self.ki)),
            offset,
            senders: senders.collect(),
        })
    }
}

impl Saks {
    /// Takes what a member says of SAKs. What is to be remarked on the MKPDU.
    pub(super) fn take(
        &mut self,
        place: usize,
        ca: &mut Ca,
        body: &Body<'_>,
        limits: &Limits,
        news: &mut News,
    ) -> Option<bool> {
        let key = body.distributed_sak.as_ref().map(mka::DistributedSak::key);
        let unwraps = match key {
            Some(Some(key)) => self.distribute(place, ca, body, key, limits, news),
            Some(None) => {
                ca.plain_text += 1;
                None
            }
            None => None,
        };
        self.take_use(place, ca, body, limits, news);
        unwraps
    }

    fn distribute(
        &mut self,
        place: usize,
        ca: &mut Ca,
        body: &Body<'_>,
        key: &DistributedKey<'_>,
        limits: &Limits,
        news: &mut News,
    ) -> Option<bool> {
        let (actor, now) = (body.basic.actor, news.at);
        let ki = actor.mi.ki(key.key_number);
        let found = self.by_name.get(&(place, ki)).copied();
        if let Some(life) = found.and_then(|index| self.lives.get_mut(index))
            && let Some(known) = &life.key
        {
            if known.wrapped == key.wrapped && known.suite == key.suite && life.an == key.an {
                life.last_seen = now;
                life.last_distributed = Some(now);
                ca.unwrap_failures += u64::from(known.unwraps == Some(false));
                return known.unwraps;
            }
            ca.renamed_saks += 1;
        }
        // One that was seen in use before goes on under its name.
        let fresh =
            found.filter(|index| self.lives.get(*index).is_some_and(|life| life.key.is_none()));
        let index = fresh.or_else(|| self.add(place, ca, (ki, key.an), limits, now))?;
        let unwrapped = ca.keys.as_ref().zip(key.suite.known());
        let unwrapped = unwrapped.map(|(keys, suite)| keys.kek.unwrap_sak(key.wrapped, suite));
        let unwraps = unwrapped.as_ref().map(Result::is_ok);
        let life = self.lives.get_mut(index)?;
        let known = Key {
            suite: key.suite,
            confidentiality: key.confidentiality,
            wrapped: key.wrapped.to_vec(),
            unwraps,
            sak: unwrapped.and_then(Result::ok),
        };
        life.key = Some(known);
        life.an = key.an;
        life.distributed = Some(now);
        life.last_distributed = Some(now);
        life.last_seen = now;
        let order = body.ssci_order();
        life.by_sci = order.is_none();
        let most = limits.peers + 1;
        let own = order.map(|order| order.key_server());
        if let Some(member) = life.member(actor.mi, Some(body.basic.sci), most) {
            (member.ssci, member.listed) = (own, true);
        }
        for (at, peer) in body.live.iter().flat_map(mka::PeerList::iter).enumerate() {
            if let Some(member) = life.member(peer.mi, None, most) {
                (member.ssci, member.listed) = (order.and_then(|order| order.peer(at)), true);
            }
        }
        life.resolve(ca);
        for member in life.members.iter().filter(|member| member.sci.is_none()) {
            self.waiting.entry((place, member.mi)).or_default().push(index);
        }
        let others = body.live.map_or(0, |list| list.len());
        let mut text = format!(
            "SAK {} AN {} {} is distributed by {} to {others}",
            ki_text(ki),
            key.an,
            key.suite,
            body.basic.sci
        );
        if key.confidentiality == Confidentiality::IntegrityOnly {
            text += ", for integrity only";
        }
        if unwraps == Some(false) {
            text += ": it does not unwrap";
            ca.unwrap_failures += 1;
        }
        ca.tell(news, text);
        self.generation += 1;
        unwraps
    }

    fn add(
        &mut self,
        place: usize,
        ca: &Ca,
        (ki, an): (Ki, An),
        limits: &Limits,
        now: Duration,
    ) -> Option<usize> {
        let known = ca.keys.is_some();
        let room = if known { limits.saks } else { limits.saks / UNKNOWN_SHARE };
        let taken = if known { self.lives.len() - self.unknown } else { self.unknown };
        if taken >= room {
            self.left_out += 1;
            return None;
        }
        self.unknown += usize::from(!known);
        self.lives.push(Life {
            ca: place,
            ckn: ca.ckn,
            ki,
            an,
            key: None,
            first_seen: now,
            distributed: None,
            last_distributed: None,
            in_use: None,
            replaced: None,
            last_seen: now,
            members: Vec::new(),
            by_sci: false,
        });
        self.by_name.insert((place, ki), self.lives.len() - 1);
        Some(self.lives.len() - 1)
    }

    fn take_use(
        &mut self,
        place: usize,
        ca: &mut Ca,
        body: &Body<'_>,
        limits: &Limits,
        news: &mut News,
    ) {
        let Some([latest, old]) = body.sak_use.as_ref().and_then(|set| set.keys) else { return };
        let mut transmits = [None; 2];
        for (slot, (key, pn)) in transmits.iter_mut().zip([
            (latest, body.xpn.map(|xpn| Xpn::latest_lowest_pn(&xpn, latest.lowest_pn))),
            (old, body.xpn.map(|xpn| Xpn::old_lowest_pn(&xpn, old.lowest_pn))),
        ]) {
            if !key.is_none() {
                self.report(place, ca, body, (&key, pn), limits, news);
                *slot = key.tx.then_some(key.ki);
            }
        }
        let mi = body.basic.actor.mi;
        let Some(peer) = ca.peer_mut(mi) else { return };
        let before = core::mem::replace(&mut peer.transmits, transmits);
        let given_up = before.into_iter().flatten().filter(|ki| !transmits.contains(&Some(*ki)));
        for ki in given_up {
            self.stops(place, ca, (mi, ki), transmits.into_iter().flatten().next(), news);
        }
    }

    /// A member says how it uses a SAK.
    fn report(
        &mut self,
        place: usize,
        ca: &Ca,
        body: &Body<'_>,
        (key, whole_pn): (&KeyUse, Option<u64>),
        limits: &Limits,
        news: &mut News,
    ) {
        let (now, basic) = (news.at, &body.basic);
        let index = match self.by_name.get(&(place, key.ki)) {
            Some(index) => *index,
            None => {
                let Some(index) = self.add(place, ca, (key.ki, key.an), limits, now) else {
                    return;
                };
                index
            }
        };
        let Some(life) = self.lives.get_mut(index) else { return };
        life.last_seen = now;
        let name = ki_text(life.ki);
        // Without its distribution nobody knows the suite, and the set for XPN tells nothing by
        // itself.
        let xpn = life.is_xpn();
        let pn = if xpn { whole_pn } else { Some(key.lowest_pn.into()) };
        let since = life.distributed;
        let after = |words: &str| {
            let time = since.map_or_else(String::new, |since| format!(", {}", after(now, since)));
            format!("SAK {name} {words}{time}")
        };
        let Some(member) = life.member(basic.actor.mi, Some(basic.sci), limits.peers + 1) else {
            return;
        };
        member.sci = Some(basic.sci);
        if let Some(pn) = pn.filter(|_| key.tx)
            && member.note(now, pn)
        {
            self.generation += 1;
        }
        if key.rx && member.receives.is_none() {
            member.receives = Some(now);
            ca.tell(news, after(&format!("is received with by {}", basic.sci)));
        }
        let begins = key.tx && member.transmits.is_none();
        member.transmits_now = key.tx;
        if begins {
            member.transmits = Some(now);
            let first = life.in_use.is_none();
            life.in_use = life.in_use.or(Some(now));
            let words =
                if first { "is in use: transmitted with by" } else { "is transmitted with by" };
            ca.tell(news, after(&format!("{words} {}", basic.sci)));
        }
        if key.tx {
            life.replaced = None;
        }
    }

    /// A member does not transmit with a SAK any more.
    fn stops(
        &mut self,
        place: usize,
        ca: &Ca,
        (mi, ki): (Mi, Ki),
        successor: Option<Ki>,
        news: &mut News,
    ) {
        let Some(index) = self.by_name.get(&(place, ki)) else { return };
        let Some(life) = self.lives.get_mut(*index) else { return };
        for member in life.members.iter_mut().filter(|member| member.mi == mi) {
            member.transmits_now = false;
        }
        let used = life.members.iter().any(|member| member.transmits_now);
        if used || life.in_use.is_none() || life.replaced.is_some() {
            return;
        }
        life.replaced = Some(news.at);
        let name = ki_text(ki);
        ca.tell(
            news,
            successor.map_or_else(
                || format!("SAK {name} is in use no more"),
                |next| format!("SAK {name} is replaced by {}", ki_text(next)),
            ),
        );
    }

    /// Somebody has gone: it transmits no more.
    pub(super) fn gone(&mut self, place: usize, ca: &mut Ca, mi: Mi, news: &mut News) {
        let Some(peer) = ca.peer_mut(mi) else { return };
        let before = core::mem::take(&mut peer.transmits);
        for ki in before.into_iter().flatten() {
            self.stops(place, ca, (mi, ki), None, news);
        }
    }

    /// There is a new peer: perhaps a member whose SCI was not known.
    pub(super) fn resolve(&mut self, place: usize, ca: &Ca, mi: Mi) {
        let mut news = false;
        for index in self.waiting.remove(&(place, mi)).unwrap_or_default() {
            news |= self.lives.get_mut(index).is_some_and(|life| life.resolve(ca));
        }
        self.generation += u64::from(news);
    }

    pub(super) fn learned(&self, book: &mut SakBook) {
        for known in self.lives.iter().filter_map(Life::known) {
            let same = |there: &&mut KnownSak| {
                there.source == known.source
                    && there.an == known.an
                    && there.suite == known.suite
                    && there.sak.expose_octets() == known.sak.expose_octets()
            };
            match book.saks.iter_mut().find(same) {
                Some(there) => there.senders = known.senders,
                None => book.saks.push(known),
            }
        }
    }
}

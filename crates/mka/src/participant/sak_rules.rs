//! When the key server makes a SAK, and who has to have it (802.1X clause 9.8).

use core::time::Duration;

use macsec::{An, DataKey};

use super::{
    Participant,
    decision::{Decision, decide},
    election::{KeyServer, NEVER},
    event::{Event, MiReason},
    key_use::{receives, transmits},
    peers::Peer,
    sak::{AgreedSak, SakInfo, SakMember},
};
use crate::{KeyError, Random, WrappedKey, xpn_salt};

/// Between two SAKs, whatever peers do.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);
/// A new MI is taken from this key number on.
const LAST_KEY_NUMBER: u32 = 0xffff_ff00;

/// Why the key server makes a SAK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RekeyReason {
    /// There is none.
    First,
    /// The one in use is of another CAK.
    CakChanged,
    /// The one in use is another key server's, or of another MI of ours.
    KeyServerChanged,
    /// A live peer does not have it.
    NewMember,
    /// A member has gone before all had it, or has gone and the policy asks for a new one.
    MemberLost,
    /// Our data plane has given the last one up.
    Abandoned,
    /// Suite or confidentiality have changed.
    CipherChanged,
    /// The PNs of a member run out.
    PnExhaustion,
    /// It is as old as the configuration allows.
    Interval,
    /// Somebody asked.
    Requested,
}

/// The key server's own SAK under way.
pub(crate) struct Distribution {
    pub(crate) wrapped: WrappedKey,
    pub(crate) since: Duration,
    /// Every member has reported that it receives with it.
    pub(crate) done: bool,
}

impl<R: Random> Participant<R> {
    /// Why a SAK has to be made, if one has, and the policy knows how.
    pub(super) fn rekey_reason(&self, now: Duration, decision: Decision) -> Option<RekeyReason> {
        let Decision::Secure(suite, confidentiality) = decision else { return None };
        if self.cak_changed {
            return Some(RekeyReason::CakChanged);
        }
        let Some(info) = self.sak.info() else { return Some(RekeyReason::First) };
        let Some(distribution) = self.distribution.as_ref().filter(|_| info.own == self.mi) else {
            return Some(RekeyReason::KeyServerChanged);
        };
        if self.without_sak().next().is_some() {
            return Some(RekeyReason::NewMember);
        }
        let lost = self.sak.members().iter().any(|member| member.gone);
        if lost && (!distribution.done || self.config.rekey_on_member_loss) {
            return Some(RekeyReason::MemberLost);
        }
        if self.sak_abandoned {
            return Some(RekeyReason::Abandoned);
        }
        let old = now.saturating_sub(distribution.since);
        if !distribution.done && old < self.life {
            return None;
        }
        if (info.suite, info.confidentiality) != (suite, confidentiality) {
            Some(RekeyReason::CipherChanged)
        } else if self.pn_exhausted(info) {
            Some(RekeyReason::PnExhaustion)
        } else if self.config.rekey_interval.is_some_and(|interval| old >= interval) {
            Some(RekeyReason::Interval)
        } else {
            self.rekey_requested.then_some(RekeyReason::Requested)
        }
    }

    /// The live peers that want MACsec and that the SAK was not made for.
    fn without_sak(&self) -> impl Iterator<Item = &Peer> {
        let has_it =
            |mi| self.sak.member(mi).is_some_and(|member| member.wants_macsec && !member.gone);
        let wants = self.peers.live().filter(|(_, heard)| heard.wants_macsec());
        wants.map(|(peer, _)| peer).filter(move |peer| !has_it(peer.mi))
    }

    /// Whether the live peers are those that the SAK was made for. It is distributed along with that list alone: once
    /// somebody has come or gone, who does not have it yet will never get it.
    pub(super) fn lists_the_members(&self) -> bool {
        let is_member = |mi| self.sak.member(mi).is_some_and(|member| !member.gone);
        self.sak.members().len() == self.peers.live().count() + 1
            && self.peers.live().all(|(peer, _)| is_member(peer.mi))
    }

    /// Whether nobody is left of those that the SAK was made for.
    fn has_no_member(&self) -> bool {
        let is_member = |mi| self.sak.member(mi).is_some_and(|member| !member.gone);
        !self.peers.live().any(|(peer, _)| is_member(peer.mi))
    }

    /// Whether to go over to our SAK would cut off a peer that transmits with the one before: one that has taken a new MI,
    /// as all do that have lost a key server.
    fn leaves_behind(&self) -> bool {
        self.without_sak().any(|peer| peer.key_use.is_some_and(|keys| keys.transmits()))
    }

    /// Whether the key server before us has not come to use its last SAK: nobody has gone over to it then, and nobody will.
    fn nobody_transmits_with_the_latest(&self) -> bool {
        let Some(info) = self.sak.info() else { return false };
        self.report.latest.is_some_and(|key| key.ki == info.ki && !key.tx)
            && !self.peers.live().any(|(peer, _)| transmits(peer, info.ki))
    }

    /// Looks at both places of every report: the key in use stands in either.
    fn pn_exhausted(&self, info: &SakInfo) -> bool {
        let limit = info.suite.rekey_pn();
        let ours = self.report.keys().any(|key| key.ki == info.ki && key.next_pn >= limit);
        let mut reported =
            self.peers.live().filter_map(|(peer, _)| peer.key_use?.key(info.ki).copied());
        let xpn = info.suite.is_xpn();
        ours || reported.any(|key| key.whole_lowest_pn(xpn).is_some_and(|pn| pn >= limit))
    }

    /// The earliest time at which a SAK may be made.
    fn earliest_sak(&self) -> Duration {
        let last_sak = self.last_sak.max(self.place.last_sak);
        let mut earliest = last_sak.map_or(Duration::ZERO, |last| last + LEAST_INTERVAL);
        if self.peers.potential().next().is_some() {
            // Somebody may be about to join. Nobody makes us wait for more than a Life Time.
            earliest =
                earliest.max(self.last_sak.max(self.session_since).unwrap_or_default() + self.life);
        }
        if let Some(by) = self.peers.acquainted_by() {
            // wpa_supplicant takes a new MI when it hears of SAKs from a peer that lists none of its
            // last two messages. So members had better know each other before a SAK makes them talk:
            // that takes a Hello Time if they hear each other at all.
            earliest = earliest.max(by);
        }
        if let Some(since) = self.rollover_since {
            earliest = earliest.max(self.end_of_rollover(since));
        }
        if self.distribution.is_none() && self.peers_roll_over() {
            // The key server before us may be about to transmit with its last SAK: all others would give that up for ours.
            earliest = earliest.max(self.elected_since + LEAST_INTERVAL);
        }
        if self.better_peer_does_not_stand() {
            // It follows another, whom we do not hear yet.
            earliest = earliest.max(self.elected_since + self.life);
        }
        earliest
    }

    /// Until when the last SAK, on its way into use `since`, has its time.
    fn end_of_rollover(&self, since: Duration) -> Duration {
        let whole = self.last_sak.max(Some(since)).unwrap_or_default() + self.life;
        let Some(ours) = &self.distribution else {
            // Who has gone over to it unnoticed has told us by then.
            return if self.nobody_transmits_with_the_latest() {
                since + LEAST_INTERVAL
            } else {
                whole
            };
        };
        // Nobody holds the others up for more than a Life Time.
        let in_time = self.last_sak.is_none_or(|last| last < since + self.life);
        let cut_short = !ours.done && !self.lists_the_members();
        let in_vain = cut_short || self.leaves_behind() || self.has_no_member();
        if in_time && in_vain { since } else { whole }
    }

    /// Whether a peer receives with a key that it does not transmit with yet.
    fn peers_roll_over(&self) -> bool {
        let latest = self.peers.live().filter_map(|(peer, _)| peer.key_use?.latest);
        latest.into_iter().any(|key| key.rx && !key.tx)
    }

    pub(super) fn better_peer_does_not_stand(&self) -> bool {
        let own = (self.config.priority, self.config.sci);
        self.peers.live().any(|(_, heard)| {
            !heard.key_server && heard.priority != NEVER && (heard.priority, heard.sci) < own
        })
    }

    /// When to look again, as a SAK may be due then.
    pub(super) fn sak_due(&self, now: Duration) -> Option<Duration> {
        let decision = self.own_decision()?;
        if self.rekey_reason(now, decision).is_some() {
            return Some(self.earliest_sak());
        }
        let distribution = self.distribution.as_ref()?;
        let interval = self.config.rekey_interval.map(|interval| distribution.since + interval);
        if distribution.done {
            return interval.map(|due| due.max(self.earliest_sak()));
        }
        Some(distribution.since + self.life).filter(|&due| due > now)
    }

    /// As key server, sees to it that the members have a SAK.
    pub(super) fn serve(&mut self, now: Duration) {
        if !self.serves() {
            return;
        }
        let decision = match self.own_decision() {
            Some(Decision::PlainText) => return self.decide_plain_text(),
            decision => decision,
        };
        self.plain_text = false;
        let Some(decision) = decision else { return };
        if let Some(info) = self.sak.info() {
            let done = self.all_have(info.ki);
            if let Some(distribution) = &mut self.distribution {
                distribution.done |= done;
            }
        }
        if let Some(reason) = self.rekey_reason(now, decision)
            && now >= self.earliest_sak()
        {
            self.generate(now, decision, reason);
        }
    }

    fn generate(&mut self, now: Duration, decision: Decision, reason: RekeyReason) {
        let Decision::Secure(suite, confidentiality) = decision else { return };
        if self.key_number >= LAST_KEY_NUMBER {
            return self.renew(now, MiReason::Exhausted);
        }
        let key_number = self.key_number + 1;
        let members = self.peers.live().map(|(peer, _)| &peer.mi).chain([&self.mi]);
        let sak = self.cak.generate_sak(suite, members, key_number, &mut self.random);
        let ki = self.mi.ki(key_number);
        let salt = suite.is_xpn().then(|| xpn_salt(ki));
        let made = sak.and_then(|sak| {
            let wrapped = self.kek.wrap_sak(&sak)?;
            let key = DataKey::new(ki, suite, sak, salt);
            Ok((wrapped, key.map_err(|_| KeyError::SakLength)?))
        });
        let Ok((wrapped, key)) = made else { return self.fail() };
        let an = self.next_an();
        let own = self.mi;
        let info =
            SakInfo { ki, an, suite, confidentiality, own, ordered: false, contradicted: false };
        let us = SakMember::new(own, Some(self.config.sci));
        let listed = self.peers.live().map(|(peer, heard)| SakMember {
            wants_macsec: heard.wants_macsec(),
            ..SakMember::new(peer.mi, Some(heard.sci))
        });
        let in_use = |ki| self.report.keys().any(|key| key.ki == ki);
        if !self.sak.set(info, [us].into_iter().chain(listed), in_use) {
            return;
        }
        self.sak.update(&self.peers);
        self.key_number = key_number;
        self.distribution = Some(Distribution { wrapped, since: now, done: false });
        self.last_sak = Some(now);
        self.cak_changed = false;
        self.rekey_requested = false;
        self.sak_abandoned = false;
        self.new_sak = Some(AgreedSak { key, an, confidentiality });
        self.hello.restart();
        self.event(Event::SakGenerated(ki, reason));
    }

    /// The AN after the last one known on the port, but none that it or a live member still uses, if one is
    /// free: a key server that has restarted knows of none.
    fn next_an(&self) -> An {
        let mut used = self.place.used_ans;
        let ours = self.report.keys().map(|key| (key.an, key.tx));
        ours.chain(self.peers_ans()).for_each(|an| used.add(an));
        used.free(self.place.last_an.or(self.sak.last_an).map_or(An::ALL[0], An::next))
    }

    /// Whether every live member that wants MACsec reports that it receives with `ki`, and nobody is left behind who uses
    /// another SAK.
    pub(super) fn all_have(&self, ki: macsec::Ki) -> bool {
        let mut members = self
            .peers
            .live()
            .filter(|(peer, heard)| heard.wants_macsec() && self.sak.member(peer.mi).is_some())
            .peekable();
        members.peek().is_some()
            && members.all(|member| receives(&member, ki))
            && !self.leaves_behind()
    }

    /// What we decide, if it is ours to decide and the policy knows a way.
    fn own_decision(&self) -> Option<Decision> {
        self.serves().then(|| decide(&self.config, &self.peers))?
    }

    /// Whether it is ours to make SAKs, and there is anybody to make them for.
    fn serves(&self) -> bool {
        self.place.principal
            && !self.place.leaves
            && self.key_server == KeyServer::Us
            && self.peers.live().next().is_some()
    }

    /// What is under way for others as key server, or has been asked for, comes to nothing.
    pub(super) fn serve_no_more(&mut self) {
        self.distribution = None;
        self.cak_changed = false;
        self.rekey_requested = false;
        self.sak_abandoned = false;
    }

    fn decide_plain_text(&mut self) {
        if !self.plain_text {
            self.plain_text = true;
            self.drop_sak();
            self.hello.news();
            self.event(Event::PlainText);
        }
    }
}

//! What a member does with the key server's decisions (802.1X clause 9.8.2).

use core::time::Duration;

use macsec::DataKey;

use super::{
    Participant,
    decision::acceptable,
    election::KeyServer,
    event::{Event, MiReason, SakRefusal},
    sak::{AgreedSak, SakInfo, SakMember},
};
use crate::{
    Body, DistributedKey, DistributedSak, KeyUse, Mi, PeerList, Random, key_number, xpn_salt,
};

/// So many MKPDUs in a row must speak of a SAK that we do not have before we act on it: one or two
/// may have crossed with others.
const UNKNOWN_SAK_MKPDUS: u32 = 3;

/// A SAK that the key server uses and we do not have.
#[derive(Clone, Copy)]
pub(crate) struct UnknownSak {
    ki: macsec::Ki,
    since: Duration,
    mkpdus: u32,
}

impl<R: Random> Participant<R> {
    /// Acts on a Distributed SAK. A refusal is told once for each, as the set comes again and again.
    pub(super) fn take_distributed(&mut self, now: Duration, body: &Body<'_>) {
        let Some(set) = &body.distributed_sak else { return };
        let refusal = match set {
            DistributedSak::PlainText => self.take_plain_text(body).err(),
            DistributedSak::Key(key) => self.take_key(now, body, key).err(),
        };
        let Some(refusal) = refusal else { return };
        match refusal {
            SakRefusal::CipherSuite | SakRefusal::Confidentiality => {
                self.counters.sak_cipher_mismatch += 1;
            }
            SakRefusal::Unwrap => self.counters.sak_unwrap_errors += 1,
            _ => {}
        }
        let number = set.key().map_or(0, |key| key.key_number);
        let refused = (body.basic.actor.mi.ki(number), refusal);
        if self.refused != Some(refused) {
            self.refused = Some(refused);
            self.event(Event::SakRefused(refusal));
        }
        if refusal == SakRefusal::Reused {
            self.renew(now, MiReason::SakReused);
        }
    }

    /// The key server's live list, if the sender is our key server and lists us there.
    pub(super) fn listed_by_server<'a>(&self, body: &Body<'a>) -> Result<PeerList<'a>, SakRefusal> {
        let sender = body.basic.actor.mi;
        // Only live peers are elected.
        let elected = self.key_server == KeyServer::Peer(sender);
        body.live
            .filter(|list| elected && list.find(self.mi).is_some())
            .ok_or(SakRefusal::NotKeyServer)
    }

    fn take_plain_text(&mut self, body: &Body<'_>) -> Result<(), SakRefusal> {
        self.listed_by_server(body)?;
        if !self.config.plain_text_allowed {
            return Err(SakRefusal::PlainText);
        }
        if !self.plain_text {
            self.plain_text = true;
            self.drop_sak();
            self.event(Event::PlainText);
        }
        Ok(())
    }

    fn take_key(
        &mut self,
        now: Duration,
        body: &Body<'_>,
        key: &DistributedKey<'_>,
    ) -> Result<(), SakRefusal> {
        let list = self.listed_by_server(body)?;
        if !self.config.macsec_desired {
            // It is not meant for us, although everybody gets it.
            return Ok(());
        }
        let sender = body.basic.actor.mi;
        let ki = sender.ki(key.key_number);
        let suite = key.suite.known().filter(|suite| self.config.suites.contains(*suite));
        let suite = suite.ok_or(SakRefusal::CipherSuite)?;
        if let Some(info) = self.sak.info().copied()
            && info.ki == ki
        {
            if suite.is_xpn() && !self.same_members(sender, &list) {
                self.sak.contradict();
                if self.report.keys().any(|key| key.ki == ki && key.tx) {
                    // Who goes on may repeat the nonces of another. Without the SAK there is no session.
                    self.drop_sak();
                }
                self.renew(now, MiReason::MembersChanged);
            }
            return Ok(());
        }
        // Its AN may be that of a key in use, which makes way for it. The key server had none that is free, or does not
        // know that; it distributes this one until we have it.
        if self.sak.knows(ki) {
            return Err(SakRefusal::Reused);
        }
        if !acceptable(&self.config, suite, key.confidentiality) {
            return Err(SakRefusal::Confidentiality);
        }
        let sak = self.kek.unwrap_sak(key.wrapped, suite).map_err(|_| SakRefusal::Unwrap)?;
        let salt = suite.is_xpn().then(|| xpn_salt(ki));
        let data_key = DataKey::new(ki, suite, sak, salt).map_err(|_| SakRefusal::Unwrap)?;
        let order = body.ssci_order();
        let info = SakInfo {
            ki,
            an: key.an,
            suite,
            confidentiality: key.confidentiality,
            own: self.mi,
            ordered: order.is_some(),
            contradicted: false,
        };
        let known = |mi: Mi| {
            let sci = self.peers.get(mi).and_then(|peer| peer.heard).map(|heard| heard.sci);
            SakMember::new(mi, if mi == self.mi { Some(self.config.sci) } else { sci })
        };
        let listed = list.iter().map(|member| known(member.mi));
        let in_use = |ki| self.report.keys().any(|key| key.ki == ki);
        if !self.sak.set(info, [known(sender)].into_iter().chain(listed), in_use) {
            return Err(SakRefusal::Members);
        }
        if let Some(order) = order {
            self.sak.number(order);
        }
        let (an, confidentiality) = (key.an, key.confidentiality);
        self.new_sak = Some(AgreedSak { key: data_key, an, confidentiality });
        self.plain_text = false;
        self.refused = None;
        // That we have it must get through.
        self.hello.restart();
        self.event(Event::SakReceived(ki));
        Ok(())
    }

    fn same_members(&self, server: Mi, list: &PeerList<'_>) -> bool {
        let members = self.sak.members();
        members.len() == list.len() + 1
            && self.sak.member(server).is_some()
            && list.iter().all(|listed| self.sak.member(listed.mi).is_some())
    }

    /// Takes note of a SAK that the key server uses and we do not have, though it sends none along: we
    /// had it and dropped it. A new MI makes it send one.
    pub(super) fn look_for_unknown_sak(&mut self, now: Duration, body: &Body<'_>) {
        let unknown = self.unknown_latest(body);
        let Some(ki) = unknown else {
            if self.key_server == KeyServer::Peer(body.basic.actor.mi) {
                self.unknown_sak = None;
            }
            return;
        };
        let seen = self.unknown_sak.filter(|seen| seen.ki == ki);
        let mut seen = seen.unwrap_or(UnknownSak { ki, since: now, mkpdus: 0 });
        seen.mkpdus += 1;
        self.unknown_sak = Some(seen);
        let hello = self.config.hello_time;
        if seen.mkpdus >= UNKNOWN_SAK_MKPDUS && now.saturating_sub(seen.since) > hello {
            self.renew(now, MiReason::UnknownSak);
        }
    }

    fn unknown_latest(&self, body: &Body<'_>) -> Option<macsec::Ki> {
        self.listed_by_server(body).ok()?;
        let [latest, _]: [KeyUse; 2] = body.sak_use?.keys?;
        // One of before ours will go: the key server has yet to bring ours into use itself.
        let ours = |ki| {
            self.sak.info().is_some_and(|info| {
                Mi::of_ki(info.ki) == Mi::of_ki(ki) && key_number(info.ki) >= key_number(ki)
            })
        };
        let installed = self.report.keys().any(|key| key.ki == latest.ki);
        let refused = self.refused.is_some_and(|(ki, _)| ki == latest.ki);
        let known = latest.is_none() || ours(latest.ki) || installed || refused;
        // Key numbers count from 1: a KI without one names no SAK.
        let fine = known || body.distributed_sak.is_some() || key_number(latest.ki) == 0;
        (!fine).then_some(latest.ki)
    }
}

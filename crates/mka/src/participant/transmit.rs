//! The MKPDUs that a participant sends.

use core::time::Duration;

use super::{Participant, election::KeyServer, event::MiReason, sak_rules::Distribution};
use crate::{
    Basic, Body, DistributedKey, DistributedSak, MAX_FRAME_LEN, Member, PeerList, Random, SuiteId,
};

impl<R: Random> Participant<R> {
    /// Writes the frame that is due now, if one is, and returns its length. Call until there is none.
    pub fn poll_transmit(
        &mut self,
        now: Duration,
        buffer: &mut [u8; MAX_FRAME_LEN],
    ) -> Option<usize> {
        if !self.is_active() || now < self.hello.due() {
            return None;
        }
        if self.numbers.exhausted() {
            self.renew(now, MiReason::Exhausted);
            self.settle(now);
            if self.failed {
                return None;
            }
        }
        self.hello.sent(now);
        self.collect_lists();
        let mn = self.numbers.next(now);
        let body = self.body(Member { mi: self.mi, mn });
        let carries_sak = body.distributed_sak.is_some();
        let Ok(len) = self.config.framing.encode(&body, &self.ick, buffer) else {
            self.counters.out_errors += 1;
            return None;
        };
        self.counters.out_mkpdu += 1;
        self.counters.out_sak_mkpdu += u64::from(carries_sak);
        self.sak_use_sent |= self.report.keys().next().is_some();
        Some(len)
    }

    fn collect_lists(&mut self) {
        let member = |mi, mn| Member { mi, mn };
        self.live_list.clear();
        self.live_list.extend(self.peers.live().map(|(peer, _)| member(peer.mi, peer.mn)));
        self.potential_list.clear();
        self.potential_list.extend(self.peers.potential().map(|peer| member(peer.mi, peer.mn)));
    }

    fn body(&self, actor: Member) -> Body<'_> {
        let config = &self.config;
        let mut body = Body::new(Basic {
            version: config.version,
            key_server_priority: config.priority,
            key_server: self.key_server == KeyServer::Us,
            macsec_desired: config.macsec_desired,
            macsec_capability: config.capability,
            sci: config.sci,
            actor,
            ckn: self.ckn,
        });
        body.distributed_sak = self.distributed();
        let live = PeerList::new(&self.live_list);
        body.live = (!live.is_empty()).then(|| live.with_key_server_ssci(self.ssci_octet(&body)));
        let potential = PeerList::new(&self.potential_list);
        body.potential = (!potential.is_empty()).then_some(potential);
        // Once begun, a session never goes without: peers take its absence for the end.
        if self.sak_use_sent || self.report.keys().next().is_some() {
            body.sak_use = Some(self.report.sak_use(config.delay_protect));
            let xpn = self.sak.info().is_some_and(|info| info.suite.is_xpn());
            body.xpn = (xpn && config.version >= 2).then(|| self.report.xpn(config.delay_protect));
        }
        body
    }

    /// What we as key server distribute: a SAK until all have it, and only along with the list of
    /// members it was made for.
    fn distributed(&self) -> Option<DistributedSak<'_>> {
        if !self.place.principal || self.key_server != KeyServer::Us || self.live_list.is_empty() {
            return None;
        }
        if self.plain_text {
            return Some(DistributedSak::PlainText);
        }
        let Distribution { wrapped, .. } = self.distribution.as_ref().filter(|one| !one.done)?;
        let info = self.sak.info()?;
        self.lists_the_members().then(|| {
            DistributedSak::Key(DistributedKey {
                an: info.an,
                confidentiality: info.confidentiality,
                key_number: crate::key_number(info.ki),
                suite: SuiteId::Known(info.suite),
                wrapped: wrapped.octets(),
            })
        })
    }

    /// The octet that goes with a live list in the order of SSCIs; 0 where it has no meaning.
    fn ssci_octet(&self, body: &Body<'_>) -> u8 {
        let key = body.distributed_sak.is_some_and(|set| set.key().is_some());
        let ssci = self.sak.own_ssci().filter(|_| key && self.config.version >= 3);
        // Members are fewer than 256.
        ssci.map_or(0, |ssci| ssci.0 as u8)
    }
}

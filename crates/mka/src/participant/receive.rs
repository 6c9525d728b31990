//! From a received frame to what it changes, in the order of 802.1X clause 11.11.2 and 9.4: nothing is
//! touched before the ICV is known to be right.

use core::time::Duration;

use super::{
    Participant,
    event::{Discard, Event, MiReason},
    key_use::PeerKeyUse,
    peers::{Change, Refusal},
    suspension::ResumeReason,
};
use crate::{Body, DecodeError, PeerList, Random, Received};

/// So many MKPDUs in a row without a SAK Use are worth a word.
const MOST_WITHOUT_SAK_USE: u32 = 10;

impl<R: Random> Participant<R> {
    /// Takes a frame from the wire, from its destination address on, without FCS. Then fetch events, a
    /// [new SAK](Self::take_agreed_sak), frames to send and the next timeout.
    ///
    /// # Errors
    /// Why the frame was passed over. It has changed nothing then, but for counters and, with
    /// [`Discard::OwnMi`], our MI.
    pub fn handle_frame(&mut self, now: Duration, octets: &[u8]) -> Result<(), Discard> {
        let received = Received::parse(octets, self.config.framing.ethertype);
        let received = received.map_err(|error| self.malformed(error))?;
        self.handle_received(now, received)
    }

    /// As [`handle_frame`](Self::handle_frame), for a KaY that has parsed the frame to find the
    /// participant by its CKN.
    ///
    /// # Errors
    /// As [`handle_frame`](Self::handle_frame).
    pub fn handle_received(
        &mut self,
        now: Duration,
        received: Received<'_>,
    ) -> Result<(), Discard> {
        if self.failed {
            return Err(Discard::Failed);
        }
        if !self.enabled {
            return Err(Discard::PortDisabled);
        }
        if *received.ckn() != self.ckn {
            return Err(Discard::UnknownCkn);
        }
        let mkpdu = received.verify(&self.ick).map_err(|error| self.malformed(error))?;
        let body = mkpdu.body();
        // Ours first: reflected frames would otherwise make us change our MI for ever.
        if body.basic.sci == self.config.sci {
            self.counters.in_own += 1;
            return Err(Discard::OwnSci);
        }
        if body.basic.actor.mi == self.mi {
            return Err(self.not_us(now, MiReason::Collision));
        }
        let listed = self.listed_number(body);
        let recent = listed.filter(|mn| self.numbers.is_recent(*mn, now, self.life));
        let heard = self.peers.hear(now, &body.basic, recent);
        let change = heard.map_err(|refusal| self.refuse(refusal))?;
        if listed.is_some_and(|mn| mn > self.numbers.last()) {
            return Err(self.not_us(now, MiReason::Cloned));
        }
        self.counters.in_mkpdu += 1;
        self.take_announcement(body, mkpdu.announcement_error().is_some());
        self.act(now, body, change, recent.is_some());
        Ok(())
    }

    fn malformed(&mut self, error: DecodeError) -> Discard {
        let counter = if error.is_icv() {
            &mut self.counters.in_icv_errors
        } else {
            &mut self.counters.in_invalid
        };
        *counter += 1;
        Discard::Decode(error)
    }

    fn not_us(&mut self, now: Duration, reason: MiReason) -> Discard {
        self.counters.in_own += 1;
        self.renew(now, reason);
        self.settle(now);
        Discard::OwnMi
    }

    const fn refuse(&mut self, refusal: Refusal) -> Discard {
        match refusal {
            Refusal::MessageNumber => {
                self.counters.in_bad_message_number += 1;
                Discard::MessageNumber
            }
            Refusal::Sci => {
                self.counters.peer_list_errors += 1;
                Discard::PeerSci
            }
            Refusal::Limit => {
                self.counters.peer_list_errors += 1;
                Discard::PeerLimit
            }
        }
    }

    /// The message of ours that the sender lists, in either list.
    fn listed_number(&self, body: &Body<'_>) -> Option<u32> {
        [body.live, body.potential].into_iter().flatten().find_map(|list| list.find(self.mi))
    }

    /// Peers first, then the decision, then the use of keys, whatever the order on the wire. `fresh`: the MKPDU lists a
    /// message that we have sent of late.
    fn act(&mut self, now: Duration, body: &Body<'_>, change: Change, fresh: bool) {
        let (mi, sci) = (body.basic.actor.mi, body.basic.sci);
        if change.live {
            self.resume(now, ResumeReason::NewPeer);
        }
        self.tell(change, mi, sci);
        self.peers.lists(mi, [body.live, body.potential]);
        let live = self.peers.get(mi).is_some_and(|peer| peer.live);
        if live && self.peers.hear_of(now, mi, &body.live.unwrap_or(PeerList::new(&[]))) {
            self.hello.news();
        }
        if change.new {
            self.hello.restart();
        } else if change.live || change.candidacy {
            self.hello.news();
        }
        self.elect(now);
        self.take_offer(body);
        if body.distributed_sak.is_some() {
            self.counters.in_sak_mkpdu += 1;
            self.take_distributed(now, body);
        }
        self.take_sak_use(body);
        self.look_for_unknown_sak(now, body);
        self.take_suspension(now, body, fresh);
        self.settle(now);
    }

    fn take_sak_use(&mut self, body: &Body<'_>) {
        let (mi, sci) = (body.basic.actor.mi, body.basic.sci);
        let keys_in_use = self.report.keys().next().is_some();
        let Some(peer) = self.peers.get_mut(mi) else { return };
        match &body.sak_use {
            Some(sak_use) => {
                peer.key_use = Some(PeerKeyUse::new(sak_use, body.xpn.as_ref()));
                peer.mkpdus_without_sak_use = 0;
            }
            None if peer.live && keys_in_use => {
                peer.mkpdus_without_sak_use = peer.mkpdus_without_sak_use.saturating_add(1);
                // It stays live: that depends on what it lists alone.
                if peer.mkpdus_without_sak_use == MOST_WITHOUT_SAK_USE {
                    self.event(Event::NoSakUse { mi, sci });
                }
            }
            None => {}
        }
    }

    fn tell(&mut self, change: Change, mi: crate::Mi, sci: macsec::Sci) {
        if change.new && !change.live {
            self.event(Event::PeerPotential { mi, sci });
        }
        if let Some(old) = change.replaced {
            self.event(Event::PeerReplaced { old, new: mi });
        }
        if change.live {
            self.event(Event::PeerLive { mi, sci });
        }
    }
}

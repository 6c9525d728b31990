//! In-service suspension: a key server whose control plane restarts, and whose data plane goes on (802.1Xbx).
//!
//! The key server announces how long it will be silent. Until then nobody misses a live peer, so that all go on with their
//! keys, and whoever restarts may come back as the member it was. We never ask for that ourselves, nor grant it as key
//! server: what we announce is 0.
//!
//! It cannot keep a session for ever in which nobody is left:
//!
//! - An announcement counts only in an MKPDU that lists a message which we have sent of late: it is no recording.
//! - It is for 120 s at the most, and so are announcements one after the other, from the first one on.
//! - Then live peers have a Life Time to be heard. Who is not heard before the next suspension begins is not kept again.
//!
//! It ends at once if the key server says so or is key server no more, if a peer becomes live, which may be a member
//! after a restart, and if a live peer sends an MKPDU without an XPN set, as such a peer knows nothing of
//! suspension. A potential peer that does not list us ends nothing: that may be a recording.

use core::time::Duration;

use super::{Agreement, Participant, election::KeyServer, event::Event};
use crate::{Body, Mi, Random};

/// MKA Suspension Limit.
const LIMIT: Duration = Duration::from_secs(120);

/// Why live peers have to be heard again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResumeReason {
    /// The time that the key server announced is over.
    TimeIsOver,
    /// The key server says so, or is key server no more.
    KeyServer,
    /// A peer has become live.
    NewPeer,
    /// A live peer has sent an MKPDU without an XPN set.
    Unsupported,
}

/// Peers may be silent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Suspension {
    /// Who announced it.
    server: Mi,
    began: Duration,
    until: Duration,
}

impl<R: Random> Participant<R> {
    /// Until when live peers may be silent, if the key server has announced so.
    #[must_use]
    pub fn suspended_until(&self) -> Option<Duration> {
        self.suspension.map(|suspension| suspension.until)
    }

    /// Takes what the sender of an MKPDU says of suspension. `fresh`: it lists a message that we have sent of late.
    pub(super) fn take_suspension(&mut self, now: Duration, body: &Body<'_>, fresh: bool) {
        let mi = body.basic.actor.mi;
        let Some(peer) = self.peers.get_mut(mi).filter(|peer| peer.live) else { return };
        peer.suspension_time = body.xpn.map(|xpn| xpn.suspension_time);
        let of_server = self.key_server == KeyServer::Peer(mi);
        match peer.suspension_time {
            None => self.resume(now, ResumeReason::Unsupported),
            Some(0) if of_server => self.resume(now, ResumeReason::KeyServer),
            Some(seconds) if of_server && fresh => self.suspend(now, mi, seconds),
            Some(_) => {}
        }
    }

    fn suspend(&mut self, now: Duration, server: Mi, seconds: u8) {
        let all_know_of_it = self.peers.live().all(|(peer, _)| peer.suspension_time.is_some());
        let began = self.suspension.map_or(now, |suspension| suspension.began);
        let until = (now + Duration::from_secs(seconds.into())).min(began + LIMIT);
        if !all_know_of_it || until <= now || self.agreement() != Agreement::Secured {
            return;
        }
        if self.suspension.is_none() {
            self.event(Event::Suspended(until - now));
        }
        self.suspension = Some(Suspension { server, began, until });
        self.peers.keep(began, until + self.life);
    }

    /// Live peers have to be heard again, if they had not.
    pub(super) fn resume(&mut self, now: Duration, reason: ResumeReason) {
        if self.suspension.take().is_some() {
            self.peers.keep_no_longer(now + self.life);
            self.event(Event::Resumed(reason));
        }
    }

    pub(super) fn end_suspension_in_time(&mut self, now: Duration) {
        if self.suspended_until().is_some_and(|until| until <= now) {
            self.resume(now, ResumeReason::TimeIsOver);
        }
    }

    /// To be called when the key server may have changed.
    pub(super) fn check_suspension(&mut self, now: Duration) {
        if self.suspension.is_some_and(|one| self.key_server != KeyServer::Peer(one.server)) {
            self.resume(now, ResumeReason::KeyServer);
        }
    }
}

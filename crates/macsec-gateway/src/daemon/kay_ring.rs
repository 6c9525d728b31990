//! The keys of a KaY: its participants come and go as the key ring says.

use std::{sync::Arc, time::Duration};

use macsec::Ki;
use mka::{Ckn, Kay, KayConfig, Participant, Random};
use tracing::{info, warn};

use crate::{
    config::{KeyCheck, Timestamp},
    keyring::{Ring, RingKey, Running, decide},
    status::{CakStatus, Fare, cak_statuses, symptoms},
};

/// How often dates are looked at, and how participants fare.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The keys of a KaY, and what is known of its participants.
pub(super) struct KayRing<R> {
    port: String,
    ring: Arc<Ring>,
    /// Makes the randomness of a participant.
    random: fn() -> R,
    members: Vec<Member>,
    in_use: Option<InUse>,
    /// The key that was in use last, and the one before.
    last: Option<Ckn>,
    former: Option<Ckn>,
    next_look: Duration,
    /// Whether something may come of the time alone.
    waits: bool,
    /// What the log has been told of that looks wrong.
    told: Vec<String>,
}

/// A participant.
struct Member {
    ckn: Ckn,
    check: KeyCheck,
    live: bool,
    /// Since when it has been live, or not.
    since: Duration,
}

/// The key that the port transmits with.
struct InUse {
    ckn: Ckn,
    /// The SAK that came under it.
    ki: Ki,
    since: Duration,
}

impl<R: Random> KayRing<R> {
    /// A KaY with these keys. `now` counts from wherever the KaY's time does; `clock` is what the
    /// clock of the system says, which may be anything.
    ///
    /// # Errors
    /// Why there is none, in one line.
    pub(super) fn start(
        port: &str,
        config: KayConfig,
        ring: Arc<Ring>,
        random: fn() -> R,
        now: Duration,
        clock: Timestamp,
    ) -> Result<(Kay<R>, Self), String> {
        let mut kay =
            Kay::without_participants(config, now).map_err(|error| format!("mka: {error}"))?;
        let mut keys = Self {
            port: port.to_owned(),
            ring,
            random,
            members: Vec::new(),
            in_use: None,
            last: None,
            former: None,
            next_look: now,
            waits: true,
            told: Vec::new(),
        };
        keys.look(now, clock, &mut kay);
        Ok((kay, keys))
    }

    /// Takes other keys. A session under one that stays is not touched.
    pub(super) fn set(
        &mut self,
        now: Duration,
        clock: Timestamp,
        ring: Arc<Ring>,
        kay: &mut Kay<R>,
    ) {
        self.ring = ring;
        (self.next_look, self.waits) = (now, true);
        self.look(now, clock, kay);
    }

    /// When to [`look`](Self::look) next, at the latest. `None`: when there is something else to
    /// do.
    pub(super) fn due(&self) -> Option<Duration> {
        self.waits.then_some(self.next_look)
    }

    /// Takes note of who is live, and of what is in use. To be called after each input.
    pub(super) fn note(&mut self, now: Duration, kay: &Kay<R>) {
        for member in &mut self.members {
            let live = kay.participant(&member.ckn).is_some_and(is_live);
            if live != member.live {
                (member.live, member.since) = (live, now);
            }
        }
        let transmitting = kay.port().reported().into_iter().flatten().find(|key| key.tx);
        let Some(key) = transmitting else {
            self.in_use = None;
            return;
        };
        if self.in_use.as_ref().is_some_and(|in_use| in_use.ki == key.ki) {
            return;
        }
        let Some(ckn) = kay.participant_of(key.ki).map(|participant| *participant.ckn()) else {
            return;
        };
        let before = self.in_use.take().filter(|before| before.ckn == ckn);
        let since = before.map_or(now, |before| before.since);
        self.in_use = Some(InUse { ckn, ki: key.ki, since });
        if self.last != Some(ckn) {
            if let Some(last) = self.last.replace(ckn) {
                self.former = Some(last);
                info!(port = self.port, %ckn, former = %last, "another CAK is in use");
            }
            // What that means for the others need not wait for its time.
            self.next_look = now;
        }
    }

    /// Has participants come and go as dates and their fortunes want it. To be called when it is
    /// [due](Self::due); in between it does nothing.
    pub(super) fn look(&mut self, now: Duration, clock: Timestamp, kay: &mut Kay<R>) {
        if now < self.next_look {
            return;
        }
        self.next_look = now + LOOK_INTERVAL;
        // There are ports by the thousand with one key that is always valid: nothing can become of
        // that.
        if !self.waits && self.ring.keys.len() == 1 {
            return;
        }
        self.note(now, kay);
        self.drop_replaced(now, kay);
        let life = kay.config().participant.life_time();
        let running = self.running(now);
        let terms = self.ring.terms(&running);
        let decided = decide(clock, &terms, &running, life);

        let gone = self
            .members
            .extract_if(.., |member| !decided.iter().any(|(ckn, _)| *ckn == member.ckn));
        for Member { ckn, .. } in gone {
            kay.remove_participant(now, &ckn);
            info!(port = self.port, %ckn, "CAK no longer taken part with");
        }
        for (ckn, preference) in &decided {
            if self.members.iter().any(|member| member.ckn == *ckn) {
                kay.set_preference(now, ckn, *preference);
            } else if let Some(key) = self.ring.keys.iter().find(|key| key.ckn == *ckn).cloned() {
                self.add(now, &key, *preference, kay);
            }
        }
        let has_dates = self.ring.keys.iter().any(|key| key.start.is_some() || key.end.is_some());
        let ring = &self.ring;
        let is_settled = |member: &Member| ring.keys.iter().any(|key| key.ckn == member.ckn);
        self.waits = has_dates
            || self.members.len() != decided.len()
            || !self.members.iter().all(is_settled);
        self.tell_symptoms(now, clock, kay);
    }

    /// How the keys fare.
    pub(super) fn statuses(&self, now: Duration, clock: Timestamp, kay: &Kay<R>) -> Vec<CakStatus> {
        let live_peers =
            |participant: &Participant<R>| participant.peers().filter(|peer| peer.live).count();
        let fares: Vec<_> = self
            .members
            .iter()
            .zip(self.running(now))
            .map(|(member, running)| {
                let participant = kay.participant(&member.ckn);
                Fare {
                    running,
                    check: member.check,
                    live_peers: participant.map_or(0, live_peers),
                    icv_errors: participant.map_or(0, |one| one.counters().in_icv_errors),
                    state_age: now.saturating_sub(member.since),
                }
            })
            .collect();
        let peers = kay.principal().map_or(0, live_peers);
        let life = kay.config().participant.life_time();
        cak_statuses(clock, &self.ring, &fares, peers, life)
    }

    /// The key that was in use before the one in use. What an activation has put on record comes
    /// first: it outlives this process, and is no other that has stood in for a while since.
    pub(super) fn former(&self) -> Option<Ckn> {
        let is_activated = self.last.is_some() && self.last == self.ring.activated;
        self.ring.former.filter(|_| is_activated).or(self.former)
    }

    fn running(&self, now: Duration) -> Vec<Running> {
        let of_member = |member: &Member| {
            let in_use = self.in_use.as_ref().filter(|in_use| in_use.ckn == member.ckn);
            let in_use = in_use.map(|in_use| now.saturating_sub(in_use.since));
            Running { ckn: member.ckn, live: member.live, in_use }
        };
        self.members.iter().map(of_member).collect()
    }

    /// A CKN that stands for another CAK now: that is another key, and the two cannot be told apart
    /// on the wire.
    fn drop_replaced(&mut self, now: Duration, kay: &mut Kay<R>) {
        let ring = &self.ring;
        let replaced = |member: &mut Member| {
            ring.keys.iter().any(|key| key.ckn == member.ckn && key.check != member.check)
        };
        for Member { ckn, .. } in self.members.extract_if(.., replaced) {
            kay.remove_participant(now, &ckn);
            warn!(port = self.port, %ckn, "another CAK under this CKN: a new session");
        }
    }

    fn add(&mut self, now: Duration, key: &RingKey, preference: u32, kay: &mut Kay<R>) {
        let (ckn, check) = (key.ckn, key.check);
        match kay.add_participant(now, key.cak.clone(), ckn, preference, (self.random)()) {
            Ok(()) => {
                info!(port = self.port, %ckn, %check, "CAK taken part with");
                self.members.push(Member { ckn, check, live: false, since: now });
            }
            // It is tried again.
            Err(error) => warn!(port = self.port, %ckn, "CAK not taken part with: {error}"),
        }
    }

    /// Tells the log what looks wrong, once when it begins and once when it ends.
    fn tell_symptoms(&mut self, now: Duration, clock: Timestamp, kay: &Kay<R>) {
        let config = &kay.config().participant;
        let keys = self.statuses(now, clock, kay);
        let symptoms = symptoms::of_keys(&keys, config.life_time() + config.hello_time);
        let lines: Vec<_> = symptoms.iter().map(symptoms::Symptom::line).collect();
        for line in lines.iter().filter(|line| !self.told.contains(line)) {
            warn!(port = self.port, "{line}");
        }
        for line in self.told.iter().filter(|line| !lines.contains(line)) {
            info!(port = self.port, "no longer so: {line}");
        }
        self.told = lines;
    }
}

fn is_live<R: Random>(participant: &Participant<R>) -> bool {
    participant.peers().any(|peer| peer.live)
}

#[cfg(test)]
mod tests;

//! Which keys have a participant, and how much each is preferred.
//!
//! Pure: no clock, no KaY. What the clock of a host says may be wrong, and may step; so a date
//! alone takes no key away that the link lives on.
//!
//! - A key gets its participant at its start, not before. What has begun has begun: a clock that
//!   steps back takes nothing away, and changes no preference.
//! - A key that is to go, as its end has passed or as it is no longer among the port's keys, keeps
//!   its participant until another key has been in use for two Life Times, and has a live peer. So
//!   neither the key in use nor the last live one goes, whatever the clock says. (Only a key that
//!   is retired by force goes at once.)
//! - If every key that has begun has ended, and none is at work, the one that ended last gets a
//!   participant: a link on an old key can be seen and mended, one without any cannot.
//! - Preferred are, in this order: the key that was activated by hand; keys by their start, the
//!   latest first; the fallback; what has ended; what is no longer among the port's keys. Equals
//!   are in the order in which they are given.

use std::{cmp::Reverse, time::Duration};

use mka::Ckn;

use crate::config::{MAX_KEYS, Timestamp};

/// What is laid down for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyTerms {
    /// Its name.
    pub ckn: Ckn,
    /// From when on it is valid; `None`: always was.
    pub start: Option<Timestamp>,
    /// Until when it is valid; `None`: for ever.
    pub end: Option<Timestamp>,
    /// Whether it stands in for others only.
    pub fallback: bool,
    /// Whether it has been activated: it is preferred while it is valid.
    pub activated: bool,
    /// Whether it is to go, and how.
    pub leave: Option<Leave>,
}

/// How a key goes that is no longer among the port's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leave {
    /// It has been taken out of the configuration: it goes when another has been in use for two
    /// Life Times.
    Removed,
    /// It has been retired: it goes as soon as another is in use.
    Retired,
    /// It has been retired by force: it goes now.
    Forced,
}

/// How a participant fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// The name of its key.
    pub ckn: Ckn,
    /// Whether it has a live peer.
    pub live: bool,
    /// For how long the port has been transmitting with its SAKs; `None` if it does not.
    pub in_use: Option<Duration>,
}

/// Where a key is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its start is still to come.
    Pending,
    /// It may be used.
    Valid,
    /// Its end has passed.
    Ended,
    /// It is no longer among the port's keys.
    Leaving(Leave),
}

impl KeyTerms {
    /// Where the key is in its life. `running`: whether it has a participant.
    #[must_use]
    pub fn phase(&self, now: Timestamp, running: bool) -> Phase {
        if let Some(leave) = self.leave {
            Phase::Leaving(leave)
        } else if self.end.is_some_and(|end| end <= now) {
            Phase::Ended
        } else if self.start.is_some_and(|start| start > now) && !running {
            Phase::Pending
        } else {
            Phase::Valid
        }
    }
}

/// The keys that are to have a participant at the time `now`, the most preferred first, each with
/// its preference: less is preferred. At most [`MAX_KEYS`].
///
/// `keys` are those of the port, and those on their way out, each CKN once. `running` are the
/// participants that there are. `life` is the MKA Life Time.
#[must_use]
pub fn decide(
    now: Timestamp,
    keys: &[KeyTerms],
    running: &[Running],
    life: Duration,
) -> Vec<(Ckn, u32)> {
    let at_work = |key: &KeyTerms| running.iter().find(|running| running.ckn == key.ckn);
    let phase = |key: &KeyTerms| key.phase(now, at_work(key).is_some());
    // Whether another key has taken the place of this one for as long as that.
    let replaced = |key: &KeyTerms, patience: Duration| {
        running.iter().any(|other| {
            other.ckn != key.ckn && other.live && other.in_use.is_some_and(|time| time >= patience)
        })
    };
    let is_wanted = |key: &&KeyTerms| match phase(key) {
        Phase::Valid => true,
        Phase::Pending | Phase::Leaving(Leave::Forced) => false,
        Phase::Ended | Phase::Leaving(Leave::Removed) => {
            at_work(key).is_some_and(|own| own.in_use.is_some() || !replaced(key, 2 * life))
        }
        Phase::Leaving(Leave::Retired) => {
            at_work(key).is_some_and(|own| own.in_use.is_some() || !replaced(key, Duration::ZERO))
        }
    };
    let mut wanted: Vec<&KeyTerms> = keys.iter().filter(is_wanted).collect();
    if wanted.is_empty() {
        let ended = keys.iter().filter(|key| phase(key) == Phase::Ended);
        wanted.extend(ended.min_by_key(|key| rank(key, Phase::Ended)));
    }
    // Equals stay in the order in which they came.
    wanted.sort_by_key(|key| rank(key, phase(key)));
    make_room(&mut wanted, |key| at_work(key).copied());
    wanted.iter().zip(0..).map(|(key, preference)| (key.ckn, preference)).collect()
}

/// How much a key is preferred: less is more.
fn rank(key: &KeyTerms, phase: Phase) -> impl Ord {
    let class = match phase {
        Phase::Valid | Phase::Pending if key.activated => 0,
        Phase::Valid | Phase::Pending if key.fallback => 2,
        Phase::Valid | Phase::Pending => 1,
        Phase::Ended => 3,
        Phase::Leaving(_) => 4,
    };
    // Of what has ended, the one that did so last: its date is the least wrong.
    let end = matches!(phase, Phase::Ended).then_some(Reverse(key.end));
    (class, end, key.fallback, Reverse(key.start))
}

/// There is room for [`MAX_KEYS`]. The least preferred go without, but not the key in use, nor the
/// last live one.
fn make_room(wanted: &mut Vec<&KeyTerms>, at_work: impl Fn(&KeyTerms) -> Option<Running>) {
    while wanted.len() > MAX_KEYS {
        let live = |key: &KeyTerms| at_work(key).is_some_and(|own| own.live);
        let is_last_live =
            |key: &KeyTerms| live(key) && wanted.iter().filter(|key| live(key)).count() == 1;
        let can_go = |key: &&KeyTerms| {
            at_work(key).is_none_or(|own| own.in_use.is_none()) && !is_last_live(key)
        };
        let Some(index) = wanted.iter().rposition(can_go) else { return };
        wanted.remove(index);
    }
}

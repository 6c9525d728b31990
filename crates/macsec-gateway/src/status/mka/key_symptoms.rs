//! What looks wrong with the keys of a port.

use std::time::Duration;

use super::{CakState, CakStatus, symptoms::Symptom};

/// A key that ends within so many seconds should have a successor.
const NEAR: u64 = 7 * 24 * 3600;
/// A fallback that is in use for less than that may be so by chance: whoever comes first at a
/// start.
const FALLBACK_PATIENCE: u64 = 3;

const FALLBACK: &str =
    "no other key has a live peer: compare CKN, CAK and dates of both ends (`macsec keys list`)";
const PARTLY: &str = "the others do not have it, or another CAK under its CKN (`macsec keys list`)";
const CHOSEN: &str = "the key server has chosen it, as it is activated there, or no fallback; \
    if it does not use it, somebody else who has its CAK speaks as the key server";
const ENDED: &str = "it stays until another has: give both ends a key that is valid \
    (`macsec keys add`), and look at the clock";
const REMOVED: &str =
    "it stays until another has: give the other end the keys that are configured here";
const NONE: &str = "the port is closed until one begins: give both ends a key that is valid, \
    and look at the clock";
const NO_SUCCESSOR: &str = "give both ends the next one in time (`macsec keys add`, or \
    [[port.mka.key]] and `macsec reload`)";
const MISSING: &str = "the other end does not have it, or not yet: add it there";
const OTHER_CAK: &str = "the other end has likely another CAK under this CKN: retire it at both \
    ends, and take a new CKN";

/// All that looks wrong with the keys. `patience`: how long a participant may take to find its
/// peers.
pub(crate) fn of_keys(keys: &[CakStatus], patience: Duration) -> Vec<Symptom> {
    let mut symptoms = Vec::new();
    let mut add = |severe, seen: String, advice| symptoms.push(Symptom { severe, seen, advice });
    // Whether it has long been as it is.
    let lasts = |key: &CakStatus| {
        key.state_age.is_some_and(|seconds| Duration::from_secs(seconds) > patience)
    };
    let others_live = |key: &CakStatus| {
        keys.iter().find(|other| {
            other.ckn != key.ckn && other.live_peers > 0 && !other.has_ended() && !other.leaves()
        })
    };
    if !keys.is_empty() && keys.iter().all(|key| key.state_age.is_none()) {
        let first = keys.iter().filter(|key| key.state == CakState::Pending);
        let first = first.filter_map(|key| key.start.as_deref()).min();
        let seen = first.map_or_else(
            || "the port has no key to use".to_owned(),
            |start| format!("no key has begun: the first begins at {start}"),
        );
        add(true, seen, NONE);
    }
    for key in keys {
        let (ckn, is_in_use) = (&key.ckn, key.state == CakState::InUse);
        let end = key.end.as_deref().unwrap_or_default();
        if key.has_ended() && key.state_age.is_some() && others_live(key).is_none() {
            add(true, format!("key {ckn} has ended at {end}, and no other has a live peer"), ENDED);
        }
        if key.leaves() && is_in_use && others_live(key).is_none() {
            let seen =
                format!("key {ckn} is not configured any more, and no other has a live peer");
            add(true, seen, REMOVED);
        }
        let settled = key.in_use_for.is_some_and(|seconds| seconds >= FALLBACK_PATIENCE);
        if key.fallback && !key.activated && is_in_use && settled {
            let seen = format!("the fallback key {ckn} is in use");
            // One that has come back is about to be gone over to.
            match others_live(key).filter(|other| lasts(other)) {
                Some(other) => {
                    let (live, peers) = (other.live_peers, other.peers);
                    let seen = format!("{seen}, and {} is live with {live} of {peers}", other.ckn);
                    add(false, seen, if live < peers { PARTLY } else { CHOSEN });
                }
                None => add(false, seen, FALLBACK),
            }
        }
        let near = key.ends_in.is_some_and(|seconds| (1..=NEAR).contains(&seconds));
        if near && !key.fallback && key.state_age.is_some() && !has_successor(key, keys) {
            add(false, format!("key {ckn} ends at {end}, and no other goes on"), NO_SUCCESSOR);
        }
        if key.preferred
            && key.live_peers == 0
            && lasts(key)
            && let Some(other) = others_live(key)
        {
            let seen =
                format!("key {ckn} is preferred and has no live peer, while {} has", other.ckn);
            add(false, seen, if key.icv_errors > 0 { OTHER_CAK } else { MISSING });
        }
    }
    symptoms
}

/// Whether another key goes on when this one ends.
fn has_successor(key: &CakStatus, keys: &[CakStatus]) -> bool {
    keys.iter().any(|other| {
        let begins_in_time = other.starts_in.is_none_or(|start| Some(start) <= key.ends_in);
        let goes_on = other.ends_in.is_none_or(|end| Some(end) > key.ends_in);
        other.ckn != key.ckn
            && !other.fallback
            && !other.leaves()
            && other.state != CakState::Retired
            && begins_in_time
            && goes_on
    })
}

#[cfg(test)]
mod tests {
    use CakState::{Expired, InUse, Leaving, Live, NotLive, Pending, Retired};
    use mka::Ckn;

    use super::{super::keys::retired, *};

    const PATIENCE: Duration = Duration::from_secs(8);

    fn key(number: u8, state: CakState) -> CakStatus {
        let live_peers = usize::from(matches!(state, Live | InUse));
        let begun = !matches!(state, Pending | Retired);
        CakStatus {
            state,
            live_peers,
            state_age: begun.then_some(60),
            in_use_for: (state == InUse).then_some(60),
            ..retired(Ckn::new(&[number]).expect("a CKN"), None, 1)
        }
    }

    fn ends(key: CakStatus, seconds: u64) -> CakStatus {
        CakStatus { end: Some(format!("T{seconds}")), ends_in: Some(seconds), ..key }
    }

    fn begins(key: CakStatus, seconds: u64) -> CakStatus {
        CakStatus { start: Some(format!("T{seconds}")), starts_in: Some(seconds), ..key }
    }

    #[track_caller]
    fn told(keys: &[CakStatus], seen: &[(bool, &str)]) {
        let symptoms = of_keys(keys, PATIENCE);
        let lines: Vec<_> = symptoms.iter().map(|one| (one.severe, one.line())).collect();
        assert_eq!(lines.len(), seen.len(), "{lines:?}");
        for ((severe, line), (expected, words)) in lines.iter().zip(seen) {
            assert!(severe == expected && line.contains(words), "{words}: {line}");
        }
    }

    #[test]
    fn nothing_is_said_of_what_is_well() {
        told(&[], &[]);
        told(&[key(1, InUse)], &[]);
        told(&[key(1, NotLive)], &[]);
        let preferred = CakStatus { preferred: true, ..key(1, InUse) };
        let fallback = CakStatus { fallback: true, ..key(9, Live) };
        told(&[preferred.clone(), fallback, key(2, Retired)], &[]);
        told(&[preferred, begins(key(2, Pending), 500)], &[]);
    }

    #[test]
    fn a_fallback_in_use() {
        let fallback = CakStatus { fallback: true, ..key(9, InUse) };
        told(
            &[key(1, NotLive), fallback.clone()],
            &[(false, "the fallback key 09 is in use: no other key has a live peer")],
        );
        told(&[key(1, NotLive), CakStatus { activated: true, ..fallback.clone() }], &[]);
        told(&[key(1, Live), CakStatus { in_use_for: Some(2), ..fallback.clone() }], &[]);
        // The other has just come back.
        told(
            &[CakStatus { state_age: Some(8), ..key(1, Live) }, fallback.clone()],
            &[(false, "the fallback key 09 is in use: no other")],
        );
        // Regression: no other had a live peer, it was said.
        told(
            &[key(1, Live), fallback.clone()],
            &[(false, "09 is in use, and 01 is live with 1 of 1: the key server has chosen it")],
        );
        told(
            &[CakStatus { peers: 2, ..key(1, Live) }, fallback],
            &[(false, "09 is in use, and 01 is live with 1 of 2: the others do not have it")],
        );
    }

    #[test]
    fn a_key_that_has_ended_and_nothing_else_is_live() {
        let ended = ends(key(1, InUse), 0);
        let words = (true, "key 01 has ended at T0, and no other has a live peer: it stays");
        told(std::slice::from_ref(&ended), &[words]);
        told(&[ended.clone(), key(2, NotLive)], &[words]);
        told(&[ends(key(1, Expired), 0)], &[words]);
        told(&[ended, key(2, Live)], &[]);
        // One that has no participant any more.
        told(&[CakStatus { state_age: None, ..ends(key(1, Expired), 0) }, key(2, NotLive)], &[]);
    }

    #[test]
    fn a_key_that_is_not_configured_any_more_and_nothing_else_is_live() {
        let removed = CakStatus { source: "none".to_owned(), ..key(1, InUse) };
        told(&[key(2, NotLive), removed.clone()], &[(true, "key 01 is not configured any more")]);
        told(&[key(2, Live), removed], &[]);
        told(&[key(2, InUse), CakStatus { source: "none".to_owned(), ..key(1, Leaving) }], &[]);
    }

    #[test]
    fn a_key_near_its_end_without_a_successor() {
        let near = ends(key(1, InUse), NEAR);
        let words =
            (false, "key 01 ends at T604800, and no other goes on: give both ends the next");
        told(std::slice::from_ref(&near), &[words]);
        told(&[ends(key(1, InUse), NEAR + 1)], &[]);
        told(&[near.clone(), CakStatus { fallback: true, ..key(9, Live) }], &[words]);
        told(&[near.clone(), key(2, Retired)], &[words]);
        told(&[near.clone(), begins(key(2, Pending), NEAR + 1)], &[words]);
        told(&[near.clone(), begins(key(2, Pending), NEAR)], &[]);
        told(&[near.clone(), key(2, Live)], &[]);
        // Which does not go on itself.
        told(&[near.clone(), ends(key(2, Live), NEAR - 1)], &[words, (false, "key 02 ends")][..1]);
    }

    #[test]
    fn a_preferred_key_that_the_other_end_does_not_have() {
        let preferred = CakStatus { preferred: true, ..key(2, NotLive) };
        let words = "key 02 is preferred and has no live peer, while 01 has: the other end ";
        let missing = format!("{words}does not have it");
        told(&[key(1, InUse), preferred.clone()], &[(false, &missing)]);
        let wrong = CakStatus { icv_errors: 1, ..preferred.clone() };
        let other = format!("{words}has likely another CAK");
        told(&[key(1, InUse), wrong], &[(false, &other)]);
        told(&[key(1, NotLive), preferred.clone()], &[]);
        told(&[key(1, InUse), CakStatus { state_age: Some(8), ..preferred }], &[]);
    }

    #[test]
    fn no_key_to_use() {
        let first = begins(key(1, Pending), 500);
        let words = "no key has begun: the first begins at T500: the port is closed until";
        told(&[begins(key(2, Pending), 900), first], &[(true, words)]);
        told(&[key(1, Retired)], &[(true, "the port has no key to use")]);
    }
}

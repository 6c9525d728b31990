//! The keys of a port, and how each fares.

use std::time::Duration;

use mka::Ckn;
use serde::{Deserialize, Serialize};

use crate::{
    config::{KeyCheck, Timestamp},
    keyring::{KeyTerms, Phase, Ring, Running, Source, decide},
};

/// A key of a port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CakStatus {
    /// The name of the CAK.
    pub ckn: String,
    /// The check value of the CAK: the same for the same CAK everywhere, and no secret.
    pub check: String,
    /// Where it comes from: `configuration`, `store` (`macsec keys add`), or `none` if it is
    /// neither's any more.
    pub source: String,
    /// From when on it is valid; `None`: always was.
    pub start: Option<String>,
    /// Until when it is valid; `None`: for ever.
    pub end: Option<String>,
    /// Seconds until its start; `None` if there is none, or it has passed.
    pub starts_in: Option<u64>,
    /// Seconds until its end; 0 if it has passed, `None` if there is none.
    pub ends_in: Option<u64>,
    /// Whether it stands in for others only.
    pub fallback: bool,
    /// How it fares.
    pub state: CakState,
    /// Whether it has been activated.
    pub activated: bool,
    /// Whether it is the one that is preferred now.
    pub preferred: bool,
    /// How many live peers its participant has.
    pub live_peers: usize,
    /// How many live peers the principal participant has.
    pub peers: usize,
    /// MKPDUs under its CKN whose ICV was wrong.
    pub icv_errors: u64,
    /// For how many seconds it has had live peers, or none; `None` without a participant.
    pub state_age: Option<u64>,
    /// For how many seconds it has been in use; `None` if it is not.
    pub in_use_for: Option<u64>,
}

impl CakStatus {
    /// Whether its end has passed.
    pub(crate) fn has_ended(&self) -> bool {
        self.ends_in == Some(0)
    }

    /// Whether it is no longer among the port's keys.
    pub(crate) fn leaves(&self) -> bool {
        self.source == "none"
    }
}

/// How a key fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CakState {
    /// Its start is still to come.
    Pending,
    /// It has no live peer.
    NotLive,
    /// It has live peers, and is not in use.
    Live,
    /// The port transmits with a SAK that came under it.
    InUse,
    /// Its end has passed, and it is not in use.
    Expired,
    /// It is no longer configured, and goes when another has taken its place.
    Leaving,
    /// It has been retired, and is still in the configuration.
    Retired,
}

/// A participant, as far as its key is concerned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fare {
    pub(crate) running: Running,
    pub(crate) check: KeyCheck,
    pub(crate) live_peers: usize,
    pub(crate) icv_errors: u64,
    /// For how long it has had live peers, or none.
    pub(crate) state_age: Duration,
}

/// The keys of `ring` at the time `now`, and those on their way out, with how they fare. `peers`:
/// how many live peers the principal participant has. `life`: the MKA Life Time.
pub(crate) fn cak_statuses(
    now: Timestamp,
    ring: &Ring,
    fares: &[Fare],
    peers: usize,
    life: Duration,
) -> Vec<CakStatus> {
    let running: Vec<_> = fares.iter().map(|fare| fare.running).collect();
    let terms = ring.terms(&running);
    let preferred = decide(now, &terms, &running, life).first().map(|(ckn, _)| *ckn);
    let of_terms = terms.iter().map(|terms| {
        let fare = fares.iter().find(|fare| fare.running.ckn == terms.ckn);
        let key = ring.keys.iter().find(|key| key.ckn == terms.ckn);
        let check = key.map(|key| key.check).or(fare.map(|fare| fare.check));
        CakStatus {
            source: match key.map(|key| key.source) {
                Some(Source::Configuration) => "configuration",
                Some(Source::Store) => "store",
                None => "none",
            }
            .to_owned(),
            start: terms.start.as_ref().map(ToString::to_string),
            end: terms.end.as_ref().map(ToString::to_string),
            starts_in: terms.start.map(|at| seconds_until(at, now)).filter(|time| *time > 0),
            ends_in: terms.end.map(|at| seconds_until(at, now)),
            fallback: terms.fallback,
            state: state(now, terms, fare),
            activated: terms.activated,
            preferred: preferred == Some(terms.ckn),
            live_peers: fare.map_or(0, |fare| fare.live_peers),
            icv_errors: fare.map_or(0, |fare| fare.icv_errors),
            state_age: fare.map(|fare| fare.state_age.as_secs()),
            in_use_for: fare.and_then(|fare| fare.running.in_use).map(|time| time.as_secs()),
            ..retired(terms.ckn, check, peers)
        }
    });
    let others = ring
        .retired
        .iter()
        .filter(|key| key.configured && !terms.iter().any(|terms| terms.ckn == key.ckn));
    of_terms.chain(others.map(|key| retired(key.ckn, Some(key.check), peers))).collect()
}

/// A key of the configuration that has been retired.
pub(super) fn retired(ckn: Ckn, check: Option<KeyCheck>, peers: usize) -> CakStatus {
    CakStatus {
        ckn: ckn.to_string(),
        check: check.map_or_else(String::new, |check| check.to_string()),
        source: "configuration".to_owned(),
        start: None,
        end: None,
        starts_in: None,
        ends_in: None,
        fallback: false,
        state: CakState::Retired,
        activated: false,
        preferred: false,
        live_peers: 0,
        peers,
        icv_errors: 0,
        state_age: None,
        in_use_for: None,
    }
}

fn state(now: Timestamp, terms: &KeyTerms, fare: Option<&Fare>) -> CakState {
    let running = fare.map(|fare| fare.running);
    if running.is_some_and(|running| running.in_use.is_some()) {
        return CakState::InUse;
    }
    match terms.phase(now, running.is_some()) {
        Phase::Pending => CakState::Pending,
        Phase::Ended => CakState::Expired,
        Phase::Leaving(_) => CakState::Leaving,
        Phase::Valid if running.is_some_and(|running| running.live) => CakState::Live,
        Phase::Valid => CakState::NotLive,
    }
}

/// Never less than 0.
fn seconds_until(at: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(at.0.saturating_sub(now.0)).unwrap_or_default()
}

/// A key with the longest of everything.
#[cfg(test)]
pub(in crate::status) fn fixture(state: CakState) -> CakStatus {
    let date = || Some("2026-12-31T23:59:59Z".to_owned());
    CakStatus {
        ckn: "7b".repeat(32),
        check: "5a".repeat(16),
        source: "configuration".to_owned(),
        start: date(),
        end: date(),
        starts_in: None,
        ends_in: Some(90 * 86_400),
        fallback: true,
        state,
        activated: true,
        preferred: true,
        live_peers: 32,
        peers: 32,
        icv_errors: 0,
        state_age: Some(60),
        in_use_for: (state == CakState::InUse).then_some(60),
    }
}

//! What has to hold before a key is added, activated or retired.
//!
//! Pure: what is known of a port goes in, what may be done comes out.

use std::collections::BTreeSet;

use mka::Ckn;

use crate::{
    config::{MAX_KEYS, Timestamp},
    control::RefusalCode,
    keyring::{AddedKey, Ring},
    status::{CakState, CakStatus, MkaStatus, ParticipantStatus, PortStatus},
};

/// What is known of a peer is too old after so many seconds.
const FRESH: u64 = 60;
/// For so many seconds a key has to have been in use before the one before goes: as long as the SAK
/// of that one is received with (SAK Retire Time).
const SETTLED: u64 = 3;

/// Why something is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: RefusalCode,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(code: RefusalCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// What may be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Allowed {
    /// The operation, and what is to be said of it.
    Do(String),
    /// Nothing: it is so already.
    Nothing(String),
}

/// Whether `key` may be added at the time `now`.
pub(super) fn add(
    status: &PortStatus,
    ring: &Ring,
    key: &AddedKey,
    now: Timestamp,
) -> Result<Allowed, Refusal> {
    use RefusalCode::{Malformed, OtherCak, SecondFallback, TooManyKeys};
    let ckn = key.ckn;
    if key.shows_itself() {
        let message = "CKN: other digits than the CAK's, as every MKPDU shows the CKN";
        return Err(Refusal::new(Malformed, message));
    }
    let is_other = |(ckn, check): (String, String)| {
        ckn == key.ckn.to_string() && check != key.check.to_string()
    };
    let known = ring.keys.iter().map(|key| (key.ckn.to_string(), key.check.to_string()));
    // Those on their way out too.
    let running = status.mka.iter().flat_map(|mka| &mka.keys).filter(|key| key.leaves());
    let running = running.map(|key| (key.ckn.clone(), key.check.clone()));
    if known.chain(running).any(is_other) {
        let message = format!(
            "the port has another CAK under CKN {ckn}: take a CKN that was never used, at both ends"
        );
        return Err(Refusal::new(OtherCak, message));
    }
    if let Some(present) = ring.keys.iter().find(|present| present.ckn == ckn) {
        let same =
            (present.start, present.end, present.fallback) == (key.start, key.end, key.fallback);
        let but = if same { "" } else { ", with other dates or as a fallback: these stay" };
        return Ok(Allowed::Nothing(format!("the port has this key already{but}")));
    }
    if let (Some(start), Some(end)) = (key.start, key.end)
        && end <= start
    {
        return Err(Refusal::new(Malformed, format!("end: an instant after the start, {start}")));
    }
    if key.end.is_some_and(|end| end <= now) {
        return Err(Refusal::new(Malformed, format!("end: an instant to come: it is {now}")));
    }
    if let Some(other) = ring.keys.iter().find(|other| key.fallback && other.fallback) {
        let message = format!("the port has a fallback: {}", other.ckn);
        return Err(Refusal::new(SecondFallback, message));
    }
    if ring.keys.len() >= MAX_KEYS {
        let message = format!("the port has {MAX_KEYS} keys: retire one first");
        return Err(Refusal::new(TooManyKeys, message));
    }
    Ok(Allowed::Do(match key.start.filter(|start| *start > now) {
        Some(start) => format!("the key is added, and begins at {start}"),
        None => "the key is added".to_owned(),
    }))
}

/// Whether the key `ckn` may be preferred.
pub(super) fn activate(status: &PortStatus, ring: &Ring, ckn: Ckn) -> Result<Allowed, Refusal> {
    use RefusalCode::{Expired, NotLive, Pending};
    if !ring.keys.iter().any(|key| key.ckn == ckn) {
        return Err(no_such_key(ring, ckn));
    }
    if ring.activated == Some(ckn) {
        return Ok(Allowed::Nothing("the key is activated already".to_owned()));
    }
    let mka = secured(status)?;
    let key = find(mka, ckn).ok_or_else(no_state)?;
    match key.state {
        CakState::Pending => {
            let start = key.start.as_deref().unwrap_or_default();
            return Err(Refusal::new(Pending, format!("the key begins at {start}")));
        }
        CakState::Expired => {
            let end = key.end.as_deref().unwrap_or_default();
            return Err(Refusal::new(Expired, format!("the key has ended at {end}")));
        }
        _ => {}
    }
    let principal = mka.participants.iter().find(|one| one.principal).ok_or_else(no_state)?;
    let Some(participant) = participant(mka, &key.ckn).filter(|one| one.active) else {
        let message =
            "the key is not live with any peer: add it at the other end, with the same CAK";
        return Err(Refusal::new(NotLive, message));
    };
    let live = live_peers(participant);
    let missing: Vec<_> =
        live_peers(principal).into_iter().filter(|sci| !live.contains(sci)).collect();
    if !missing.is_empty() {
        let message = format!("the key is not live with {}: add it there", missing.join(", "));
        return Err(Refusal::new(NotLive, message));
    }
    fresh(participant)?;
    Ok(Allowed::Do(match &mka.key_server {
        _ if key.state == CakState::InUse => "the key is in use, and stays preferred".to_owned(),
        Some(server) if !server.is_self => format!(
            "the key is preferred here; which key is used, the key server {} says: activate it \
             there",
            server.sci
        ),
        _ => "the key is preferred; a SAK under it is on its way into use".to_owned(),
    }))
}

/// Whether the key `ckn` may be retired. `known`: it has been retired before.
pub(super) fn retire(
    status: &PortStatus,
    ring: &Ring,
    ckn: Ckn,
    known: bool,
    force: bool,
) -> Result<Allowed, Refusal> {
    use RefusalCode::{InUse, LastKey, NotSecured, NotSettled};
    let mka = status.mka.as_ref();
    let is_in_ring = ring.keys.iter().any(|key| key.ckn == ckn);
    let own = mka.and_then(|mka| find(mka, ckn));
    let is_leaving = own.is_some_and(|own| own.state != CakState::Retired);
    if !is_in_ring && !is_leaving {
        if known {
            return Ok(Allowed::Nothing("the key has been retired already".to_owned()));
        }
        return Err(no_such_key(ring, ckn));
    }
    if !others_remain(mka, ring, ckn) {
        let message = "the last key that the port can use is never retired: add another first, or \
                       take the port's [port.mka] out of the configuration and reload";
        return Err(Refusal::new(LastKey, message));
    }
    if force {
        return Ok(Allowed::Do("the key is retired at once, whatever is in use".to_owned()));
    }
    let mka = secured(status)?;
    let in_use = mka.keys.iter().find(|key| key.in_use_for.is_some());
    let Some(in_use) = in_use else {
        return Err(Refusal::new(NotSecured, "no key of the port is in use"));
    };
    if in_use.ckn == ckn.to_string() {
        let message = "the key is in use: activate another first (`macsec keys rotate` does both)";
        return Err(Refusal::new(InUse, message));
    }
    let settled = in_use.in_use_for.is_some_and(|seconds| seconds >= SETTLED);
    if !settled {
        let message = format!("CKN {} has been in use for less than {SETTLED} s", in_use.ckn);
        return Err(Refusal::new(NotSettled, message));
    }
    match participant(mka, &in_use.ckn).filter(|one| one.active) {
        Some(participant) => fresh(participant)?,
        None => {
            let message = format!("CKN {}, which is in use, has no live peer", in_use.ckn);
            return Err(Refusal::new(RefusalCode::NotLive, message));
        }
    }
    Ok(Allowed::Do(format!("the key is retired; CKN {} is in use", in_use.ckn)))
}

/// Whether a key but `ckn` is left that the port can use: one that has begun.
fn others_remain(mka: Option<&MkaStatus>, ring: &Ring, ckn: Ckn) -> bool {
    let now = Timestamp::now();
    ring.keys.iter().filter(|key| key.ckn != ckn).any(|key| {
        let state = mka.and_then(|mka| find(mka, key.ckn)).map(|key| key.state);
        match state {
            Some(state) => state != CakState::Pending,
            None => key.start.is_none_or(|start| start <= now),
        }
    })
}

fn no_such_key(ring: &Ring, ckn: Ckn) -> Refusal {
    let retired = ring.retired.iter().any(|retired| retired.ckn == ckn);
    let names: Vec<_> = ring.keys.iter().map(|key| key.ckn.to_string()).collect();
    let message = if retired {
        format!("the key {ckn} has been retired; there are {}", names.join(", "))
    } else {
        format!("no key {ckn}: there are {}", names.join(", "))
    };
    Refusal::new(RefusalCode::NoSuchKey, message)
}

/// What is known of MKA, if the port is secured.
fn secured(status: &PortStatus) -> Result<&MkaStatus, Refusal> {
    let mka = status.mka.as_ref().ok_or_else(no_state)?;
    if !(status.controlled_port_enabled && mka.secured) {
        return Err(Refusal::new(RefusalCode::NotSecured, "the port is not secured"));
    }
    Ok(mka)
}

fn no_state() -> Refusal {
    let message = "the port does not say how it is: see `macsec status`";
    Refusal::new(RefusalCode::NoState, message)
}

/// Requires that all live peers of a participant have been heard of late.
fn fresh(participant: &ParticipantStatus) -> Result<(), Refusal> {
    let stale = participant
        .peers
        .iter()
        .filter(|peer| peer.kind == "live")
        .find(|peer| peer.last_heard.is_none_or(|seconds| seconds > FRESH));
    let Some(peer) = stale else { return Ok(()) };
    let sci = peer.sci.as_deref().unwrap_or(&peer.mi);
    let message = format!("peer {sci} has not been heard for more than {FRESH} s");
    Err(Refusal::new(RefusalCode::StaleState, message))
}

fn find(mka: &MkaStatus, ckn: Ckn) -> Option<&CakStatus> {
    let ckn = ckn.to_string();
    mka.keys.iter().find(|key| key.ckn == ckn)
}

fn participant<'a>(mka: &'a MkaStatus, ckn: &str) -> Option<&'a ParticipantStatus> {
    mka.participants.iter().find(|one| one.ckn == ckn)
}

/// The SCIs of the live peers.
fn live_peers(participant: &ParticipantStatus) -> BTreeSet<String> {
    let live = participant.peers.iter().filter(|peer| peer.kind == "live");
    live.filter_map(|peer| peer.sci.clone()).collect()
}

#[cfg(test)]
mod tests;

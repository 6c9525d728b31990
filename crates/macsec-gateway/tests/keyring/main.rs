//! Which keys of a port have a participant, and in which order they are preferred.

mod properties;
mod store;
mod table;

use std::time::Duration;

use macsec_gateway::{
    config::Timestamp,
    keyring::{KeyTerms, Leave, Running, decide},
};
use mka::Ckn;

const LIFE: Duration = Duration::from_secs(6);
/// As long as another has to be in use before a key goes.
const SETTLED: Duration = Duration::from_secs(12);

fn ckn(number: u8) -> Ckn {
    Ckn::new(&[number]).expect("a CKN")
}

/// A key that is always valid.
fn key(number: u8) -> KeyTerms {
    KeyTerms {
        ckn: ckn(number),
        start: None,
        end: None,
        fallback: false,
        activated: false,
        leave: None,
    }
}

/// A key that is valid from `start` on, until `end`.
fn dated(number: u8, start: i64, end: i64) -> KeyTerms {
    KeyTerms { start: Some(Timestamp(start)), end: Some(Timestamp(end)), ..key(number) }
}

fn fallback(number: u8) -> KeyTerms {
    KeyTerms { fallback: true, ..key(number) }
}

fn leaving(number: u8, leave: Leave) -> KeyTerms {
    KeyTerms { leave: Some(leave), ..key(number) }
}

/// A participant without a live peer.
fn alone(number: u8) -> Running {
    Running { ckn: ckn(number), live: false, in_use: None }
}

fn live(number: u8) -> Running {
    Running { live: true, ..alone(number) }
}

fn in_use(number: u8, time: Duration) -> Running {
    Running { in_use: Some(time), ..live(number) }
}

/// The numbers of the keys that get a participant, the most preferred first.
#[track_caller]
fn decided(now: i64, keys: &[KeyTerms], running: &[Running]) -> Vec<u8> {
    let decided = decide(Timestamp(now), keys, running, LIFE);
    let preferences: Vec<_> = decided.iter().map(|(_, preference)| *preference).collect();
    assert!(preferences.is_sorted() && preferences.windows(2).all(|pair| pair[0] != pair[1]));
    decided.iter().map(|(ckn, _)| ckn.octets()[0]).collect()
}

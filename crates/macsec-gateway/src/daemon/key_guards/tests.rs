//! Case by case: each guard holds something back that the others let pass.

use zeroize::Zeroizing;

use super::*;
use crate::{
    config::KeyCheck,
    keyring::{RetiredKey, RingKey, Source},
    status::{KeyServerStatus, MkaPeerStatus, fixture},
};

fn ckn(number: u8) -> Ckn {
    Ckn::new(&[number]).expect("a CKN")
}

fn added(number: u8, octet: u8) -> AddedKey {
    AddedKey::new(ckn(number), Zeroizing::new(vec![octet; 16])).expect("a key")
}

/// Keys with these numbers, whose CAKs are 16 times the number.
fn ring(numbers: &[u8]) -> Ring {
    let key = |number: &u8| RingKey {
        ckn: ckn(*number),
        cak: added(*number, *number).cak(),
        check: added(*number, *number).check,
        source: Source::Configuration,
        start: None,
        end: None,
        fallback: false,
    };
    Ring { keys: numbers.iter().map(key).collect(), ..Ring::default() }
}

fn peer(number: u8) -> MkaPeerStatus {
    MkaPeerStatus {
        mi: String::new(),
        mn: 1,
        kind: "live".to_owned(),
        sci: Some(format!("S{number}")),
        priority: None,
        mka_version: None,
        last_heard: Some(2),
        without_sak: false,
        announced: None,
    }
}

/// A port with the keys 1, in use, and 2, live: each with the peers 7 and 8. It is secured and its
/// own key server.
fn well() -> PortStatus {
    let mut status = fixture::port();
    let mut mka = status.mka.take().expect("a KaY");
    mka.keys.truncate(2);
    mka.participants = Vec::new();
    for (key, number) in mka.keys.iter_mut().zip([1, 2]) {
        let (ckn, check) = (ckn(number).to_string(), added(number, number).check.to_string());
        (key.ckn, key.check, key.source) = (ckn.clone(), check, "configuration".to_owned());
        (key.end, key.ends_in, key.live_peers, key.peers) = (None, None, 2, 2);
        (key.state, key.in_use_for) = (CakState::Live, None);
        let peers = vec![peer(7), peer(8)];
        mka.participants.push(ParticipantStatus {
            ckn,
            active: true,
            principal: number == 1,
            suspended_while: None,
            kmd: None,
            nid: None,
            offered_cak: None,
            peers,
        });
    }
    (mka.keys[0].state, mka.keys[0].in_use_for) = (CakState::InUse, Some(60));
    mka.secured = true;
    mka.key_server = Some(KeyServerStatus { sci: "S1".to_owned(), priority: 1, is_self: true });
    (status.controlled_port_enabled, status.mka) = (true, Some(mka));
    status
}

/// That port, and what is wrong with it.
fn but(change: impl FnOnce(&mut MkaStatus)) -> PortStatus {
    let mut status = well();
    change(status.mka.as_mut().expect("a KaY"));
    status
}

fn closed() -> PortStatus {
    PortStatus { controlled_port_enabled: false, ..well() }
}

fn silent() -> PortStatus {
    PortStatus { mka: None, ..well() }
}

#[track_caller]
fn is_allowed(result: &Result<Allowed, Refusal>, words: &str) {
    assert!(matches!(result, Ok(Allowed::Do(text)) if text.contains(words)), "{result:?}");
}

#[track_caller]
fn is_nothing(result: &Result<Allowed, Refusal>) {
    assert!(matches!(result, Ok(Allowed::Nothing(_))), "{result:?}");
}

#[track_caller]
fn is_refused(result: &Result<Allowed, Refusal>, code: RefusalCode, words: &str) {
    let refusal = result.as_ref().expect_err("a refusal");
    assert_eq!(refusal.code, code, "{refusal:?}");
    assert!(refusal.message.contains(words), "{refusal:?}");
    assert_eq!(refusal.message.lines().count(), 1);
}

use RefusalCode::{
    Expired, InUse, LastKey, Malformed, NoState, NoSuchKey, NotLive, NotSecured, NotSettled,
    OtherCak, Pending, SecondFallback, StaleState, TooManyKeys,
};

#[test]
fn a_key_that_is_live_with_every_peer_is_activated() {
    let with = |status: &PortStatus| activate(status, &ring(&[1, 2]), ckn(2));
    is_allowed(&with(&well()), "a SAK under it is on its way");
    let elsewhere = but(|mka| {
        let server = KeyServerStatus { sci: "S9".to_owned(), priority: 0, is_self: false };
        mka.key_server = Some(server);
    });
    is_allowed(&with(&elsewhere), "which key is used, the key server S9 says: activate it there");

    is_refused(&with(&silent()), NoState, "does not say how it is");
    is_refused(&with(&closed()), NotSecured, "not secured");
    is_refused(&with(&but(|mka| mka.secured = false)), NotSecured, "not secured");
    let pending = but(|mka| {
        (mka.keys[1].state, mka.keys[1].start) = (CakState::Pending, Some("T5".to_owned()));
    });
    is_refused(&with(&pending), Pending, "begins at T5");
    let ended = but(|mka| {
        (mka.keys[1].state, mka.keys[1].end) = (CakState::Expired, Some("T3".to_owned()));
    });
    is_refused(&with(&ended), Expired, "has ended at T3");
    is_refused(&with(&but(|mka| mka.participants[1].active = false)), NotLive, "with any peer");
    let without = but(|mka| drop(mka.participants[1].peers.pop()));
    is_refused(&with(&without), NotLive, "not live with S8");
    let potential = but(|mka| mka.participants[1].peers[0].kind = "potential".to_owned());
    is_refused(&with(&potential), NotLive, "not live with S7");
    for heard in [Some(61), None] {
        let stale = but(|mka| mka.participants[1].peers[1].last_heard = heard);
        is_refused(&with(&stale), StaleState, "peer S8 has not been heard for more than 60 s");
    }
    let fresh = but(|mka| mka.participants[1].peers[1].last_heard = Some(60));
    is_allowed(&with(&fresh), "");
}

#[test]
fn what_is_activated_already_or_not_there() {
    let activated = Ring { activated: Some(ckn(2)), ..ring(&[1, 2]) };
    is_nothing(&activate(&silent(), &activated, ckn(2)));
    is_allowed(&activate(&well(), &activated, ckn(1)), "is in use, and stays preferred");
    is_refused(&activate(&well(), &ring(&[1, 2]), ckn(3)), NoSuchKey, "there are 01, 02");
    let mut ring = ring(&[1]);
    ring.retired.push(RetiredKey { ckn: ckn(2), check: KeyCheck([0; 16]), configured: true });
    is_refused(&activate(&well(), &ring, ckn(2)), NoSuchKey, "02 has been retired");
}

#[test]
fn a_key_is_retired_while_another_is_in_use() {
    let with = |status: &PortStatus| retire(status, &ring(&[1, 2]), ckn(2), false, false);
    is_allowed(&with(&well()), "01 is in use");
    is_refused(&with(&silent()), NoState, "");
    is_refused(&with(&closed()), NotSecured, "");
    is_refused(&with(&but(|mka| mka.secured = false)), NotSecured, "");
    let unused = but(|mka| mka.keys[0].in_use_for = None);
    is_refused(&with(&unused), NotSecured, "no key of the port is in use");
    let new = but(|mka| mka.keys[0].in_use_for = Some(2));
    is_refused(&with(&new), NotSettled, "01 has been in use for less than 3 s");
    let lost = but(|mka| mka.participants[0].active = false);
    is_refused(&with(&lost), NotLive, "01, which is in use, has no live peer");
    let stale = but(|mka| mka.participants[0].peers[0].last_heard = Some(61));
    is_refused(&with(&stale), StaleState, "S7");
    let own = retire(&well(), &ring(&[1, 2]), ckn(1), false, false);
    is_refused(&own, InUse, "activate another first");
}

#[test]
fn force_takes_all_but_the_last_key() {
    let forced = |status: &PortStatus, numbers: &[u8], number| {
        retire(status, &ring(numbers), ckn(number), false, true)
    };
    for status in [well(), silent(), closed()] {
        is_allowed(&forced(&status, &[1, 2], 1), "at once");
        is_refused(&forced(&status, &[1], 1), LastKey, "[port.mka]");
    }
    is_refused(&retire(&well(), &ring(&[1]), ckn(1), false, false), LastKey, "[port.mka]");
    // A key that has not begun is none to fall back on.
    let pending = but(|mka| mka.keys[1].state = CakState::Pending);
    is_refused(&forced(&pending, &[1, 2], 1), LastKey, "");
    let mut later = ring(&[1, 2]);
    later.keys[1].start = Some(Timestamp(i64::MAX));
    is_refused(&retire(&silent(), &later, ckn(1), false, true), LastKey, "");
}

#[test]
fn what_is_retired_already_or_not_there() {
    let with = |status: &PortStatus, known| retire(status, &ring(&[1]), ckn(2), known, false);
    let gone = but(|mka| drop(mka.keys.pop()));
    is_nothing(&with(&gone, true));
    is_refused(&with(&gone, false), NoSuchKey, "no key 02: there are 01");
    // One that has been taken out of the configuration and is still taken part with.
    let leaving = but(|mka| {
        (mka.keys[1].source, mka.keys[1].state) = ("none".to_owned(), CakState::Leaving);
    });
    is_allowed(&with(&leaving, false), "");
}

#[test]
fn a_key_is_added_beside_the_others() {
    let now = Timestamp(1000);
    let with = |key: &AddedKey| add(&well(), &ring(&[1, 2]), key, now);
    is_allowed(&with(&added(3, 3)), "the key is added");
    is_nothing(&with(&added(2, 2)));
    is_refused(&with(&added(2, 3)), OtherCak, "another CAK under CKN 02");
    let name = Ckn::new(&[7; 16]).expect("a CKN");
    let shown = AddedKey::new(name, Zeroizing::new(vec![7; 16])).expect("a key");
    is_refused(&with(&shown), Malformed, "every MKPDU shows the CKN");
    let dated = |start: Option<i64>, end: Option<i64>| {
        let mut key = added(3, 3);
        (key.start, key.end) = (start.map(Timestamp), end.map(Timestamp));
        with(&key)
    };
    is_allowed(&dated(Some(2000), Some(2001)), "begins at 1970-01-01T00:33:20Z");
    is_allowed(&dated(Some(0), Some(1001)), "the key is added");
    is_refused(&dated(Some(2000), Some(2000)), Malformed, "after the start");
    is_refused(&dated(None, Some(1000)), Malformed, "an instant to come");

    let mut fallback = added(3, 3);
    fallback.fallback = true;
    is_allowed(&with(&fallback), "");
    let mut has_one = ring(&[1, 2]);
    has_one.keys[1].fallback = true;
    is_refused(&add(&well(), &has_one, &fallback, now), SecondFallback, "02");
    let full = ring(&[1, 2, 3, 4, 5, 6, 7, 8]);
    is_refused(&add(&well(), &full, &added(9, 9), now), TooManyKeys, "8 keys");
    is_nothing(&add(&well(), &full, &added(8, 8), now));
    // One on its way out still stands for its CAK.
    let leaving = but(|mka| mka.keys[1].source = "none".to_owned());
    is_refused(&add(&leaving, &ring(&[1]), &added(2, 3), now), OtherCak, "");
    is_allowed(&add(&leaving, &ring(&[1]), &added(2, 2), now), "");
}

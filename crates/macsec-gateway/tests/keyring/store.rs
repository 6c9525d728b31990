//! Keys on disk.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use macsec_gateway::{
    config::{Config, MkaKey},
    keyring::{AddedKey, KeyStore, KeyStoreError, RetiredKey, Ring, Source},
};
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::*;

fn state() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

fn open(directory: &Path) -> KeyStore {
    KeyStore::open(directory, "wan0").expect("a store")
}

/// A key whose CAK is 32 times `octet`.
fn added(number: u8, octet: u8) -> AddedKey {
    AddedKey::new(ckn(number), Zeroizing::new(vec![octet; 32])).expect("a key")
}

/// The keys of a configuration: CKN, and the octet that the CAK is 32 times.
fn configured(keys: &[(u8, u8)]) -> Vec<MkaKey> {
    let directory = state();
    let file = directory.path().join("macsec.toml");
    let keys = keys.iter().map(|(ckn, octet)| {
        let cak = format!("{octet:02x}").repeat(32);
        format!("[[port.mka.key]]\nckn = \"{ckn:02x}\"\ncak = \"{cak}\"\n")
    });
    let keys: String = keys.collect();
    let text = format!("[[port]]\nname = \"wan0\"\nuplink = \"eth1\"\n[port.mka]\n{keys}");
    fs::write(&file, text).expect("written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("private");
    let mut config = Config::load(&file).expect("valid").config;
    config.ports.remove(0).mka.expect("MKA").keys
}

fn names(ring: &Ring) -> Vec<String> {
    ring.keys.iter().map(|key| key.ckn.to_string()).collect()
}

#[test]
fn what_has_been_done_is_there_after_a_restart() {
    let directory = state();
    let keys = configured(&[(1, 0x41), (2, 0x42)]);
    let mut store = open(directory.path());
    assert_eq!(names(&store.ring(&keys)), ["01", "02"]);
    let mut third = added(3, 0x43);
    (third.start, third.end) = (Some(Timestamp(-5)), Some(Timestamp(i64::MAX)));
    third.fallback = true;
    store.add(third.clone(), &[]).expect("added");
    store.add(added(4, 0x44), &[]).expect("added");
    store.activate(ckn(4), None).expect("activated");
    let check = keys[0].cak.check;
    store.retire(ckn(1), check, &keys).expect("retired");
    drop(store);

    let store = open(directory.path());
    let ring = store.ring(&keys);
    assert_eq!(names(&ring), ["02", "03", "04"]);
    assert_eq!(ring.activated, Some(ckn(4)));
    assert!(store.has_retired(ckn(1)) && !store.has_retired(ckn(2)));
    assert_eq!(ring.retired, [RetiredKey { ckn: ckn(1), check, configured: true }]);
    assert!(!store.ring(&[]).retired[0].configured);
    let key = &ring.keys[1];
    assert_eq!((key.start, key.end, key.fallback), (third.start, third.end, true));
    assert_eq!((key.check, key.source), (third.check, Source::Store));
    assert_eq!(key.cak, third.cak());
    assert_eq!(ring.keys[0].source, Source::Configuration);

    let file = directory.path().join("keys-wan0");
    assert_eq!(fs::metadata(file).expect("a file").permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_retired_key_is_off_the_disk_and_comes_back_only_when_it_is_added() {
    let directory = state();
    let file = directory.path().join("keys-wan0");
    let keys = configured(&[(1, 0x41)]);
    let mut store = open(directory.path());
    store.add(added(2, 0x42), &[]).expect("added");
    store.activate(ckn(2), None).expect("activated");
    assert!(fs::read_to_string(&file).expect("a file").contains(&"42".repeat(32)));
    store.retire(ckn(2), added(2, 0x42).check, &keys).expect("retired");
    assert!(!fs::read_to_string(&file).expect("a file").contains("4242"));
    assert_eq!(store.ring(&keys).activated, None, "what has gone is not preferred");
    assert_eq!(names(&store.ring(&keys)), ["01"]);
    store.add(added(2, 0x42), &[]).expect("added");
    assert_eq!(names(&store.ring(&keys)), ["01", "02"]);

    store.retire(ckn(1), keys[0].cak.check, &keys).expect("retired");
    assert_eq!(names(&store.ring(&keys)), ["02"]);
    // Another CAK under the name is another key.
    assert_eq!(names(&store.ring(&configured(&[(1, 0x49)]))), ["01", "02"]);
    // Regression: one that was added was hidden by the one that had been retired.
    store.add(added(1, 0x51), &keys).expect("added");
    let ring = store.ring(&keys);
    assert_eq!(names(&ring), ["02", "01"]);
    assert_eq!((ring.keys[1].check, ring.keys[1].source), (added(1, 0x51).check, Source::Store));
    store.add(added(1, 0x41), &keys).expect("added");
    let ring = store.ring(&keys);
    assert_eq!(names(&ring), ["01", "02"]);
    assert_eq!(ring.keys[0].source, Source::Configuration);
    assert!(!fs::read_to_string(&file).expect("a file").contains("4141"), "no need to keep it");
}

#[test]
fn the_key_of_the_configuration_counts() {
    let directory = state();
    let mut store = open(directory.path());
    let mut fallback = added(1, 0x41);
    fallback.fallback = true;
    store.add(fallback, &[]).expect("added");
    store.add(added(2, 0x42), &[]).expect("added");
    for octet in [0x41, 0x51] {
        let keys = configured(&[(1, octet)]);
        let ring = store.ring(&keys);
        assert_eq!(names(&ring), ["01", "02"]);
        assert_eq!((ring.keys[0].check, ring.keys[0].fallback), (keys[0].cak.check, false));
        assert_eq!(ring.keys[0].source, Source::Configuration);
    }
}

#[test]
fn the_key_before_the_activated_one_is_remembered_until_it_is_retired() {
    let directory = state();
    let keys = configured(&[(1, 0x41)]);
    let mut store = open(directory.path());
    store.add(added(2, 0x42), &keys).expect("added");
    store.activate(ckn(2), Some((ckn(1), keys[0].cak.check))).expect("activated");
    drop(store);
    let mut store = open(directory.path());
    let ring = store.ring(&keys);
    assert_eq!((ring.activated, ring.former), (Some(ckn(2)), Some(ckn(1))));
    // Another CAK under the name is another key, and has not been in use.
    assert_eq!(store.ring(&configured(&[(1, 0x51)])).former, None);
    assert_eq!(store.ring(&[]).former, None);
    store.retire(ckn(1), keys[0].cak.check, &keys).expect("retired");
    store.add(added(1, 0x41), &keys).expect("added");
    let ring = store.ring(&keys);
    assert_eq!((names(&ring), ring.former), (vec!["01".to_owned(), "02".to_owned()], None));
    // The next activation is about other keys.
    store.activate(ckn(1), Some((ckn(2), added(2, 0x42).check))).expect("activated");
    assert_eq!(store.ring(&keys).former, Some(ckn(2)));
    store.activate(ckn(2), None).expect("activated");
    assert_eq!(store.ring(&keys).former, None);
}

#[test]
fn as_many_retired_keys_are_remembered() {
    let directory = state();
    let keys = configured(&[(200, 0x41)]);
    let mut store = open(directory.path());
    store.retire(ckn(200), keys[0].cak.check, &keys).expect("retired");
    for number in 1..=100 {
        store.retire(ckn(number), added(number, number).check, &keys).expect("retired");
    }
    drop(store);
    let store = open(directory.path());
    let remembered: Vec<_> = (1..=100).filter(|number| store.has_retired(ckn(*number))).collect();
    assert_eq!(remembered, (38..=100).collect::<Vec<_>>());
    assert!(store.has_retired(ckn(200)), "or it would come back with the next start");
    assert_eq!(names(&store.ring(&keys)), [""; 0]);
}

#[test]
fn whatever_is_damaged_is_an_error() {
    let directory = state();
    let file = directory.path().join("keys-wan0");
    let mut store = open(directory.path());
    store.add(added(1, 0x41), &[]).expect("added");
    let former = Some((ckn(3), added(3, 0x43).check));
    store.activate(ckn(1), former).expect("activated");
    store.retire(ckn(2), added(2, 0x42).check, &[]).expect("retired");
    drop(store);
    let whole = fs::read(&file).expect("a file");
    let damaged = |octets: &[u8]| {
        fs::write(&file, octets).expect("written");
        match KeyStore::open(directory.path(), "wan0") {
            Err(KeyStoreError::Damaged(path, reason)) => (path == file).then_some(reason),
            _ => None,
        }
    };
    for index in 0..whole.len() {
        let mut octets = whole.clone();
        octets[index] ^= 1;
        assert!(damaged(&octets).is_some(), "octet {index} of {octets:02x?}");
        assert!(damaged(&whole[..index]).is_some(), "cut at {index}");
    }
    assert!(damaged(&[&whole[..], b"\n"].concat()).is_some());
    let text = String::from_utf8(whole.clone()).expect("a text");
    for (from, to, reason) in [
        ("keys 1 wan0", "keys 2 wan0", "its version is not 1"),
        ("keys 1 wan0", "keys 1 wan1", "it is that of another port"),
        ("activated", "deactivated", "it cannot be read"),
        ("activated 01", "activated 02", "its checksum is wrong"),
        ("former 03", "former 04", "its checksum is wrong"),
    ] {
        assert_eq!(damaged(text.replace(from, to).as_bytes()), Some(reason));
    }
    fs::write(&file, &whole).expect("written");
    assert_eq!(names(&open(directory.path()).ring(&[])), ["01"]);
    // What is said of it shows nothing of the keys.
    fs::write(&file, text.replace("activated", "x")).expect("written");
    let error = KeyStore::open(directory.path(), "wan0").err().expect("damaged").to_string();
    assert!(error.contains("remove it to go on with the keys of the configuration"), "{error}");
    assert!(!error.contains("4141"), "{error}");
}

#[test]
fn a_store_is_one_process_s_and_one_port_s() {
    let directory = state();
    let mut store = open(directory.path());
    assert!(matches!(KeyStore::open(directory.path(), "wan0"), Err(KeyStoreError::InUse(_))));
    let other = KeyStore::open(directory.path(), "wan1").expect("another port's");
    store.add(added(1, 0x41), &[]).expect("added");
    assert_eq!(names(&other.ring(&[])), [""; 0]);
    drop(store);
    assert_eq!(names(&open(directory.path()).ring(&[])), ["01"]);

    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).expect("mode");
    let error = KeyStore::open(directory.path(), "wan0").err().expect("not private");
    assert!(matches!(error, KeyStoreError::NotPrivate(_)), "{error}");
}

#[test]
fn a_key_is_taken_as_it_may_be_and_shows_nothing() {
    for (octets, allowed) in [(vec![7; 16], true), (vec![7; 32], true), (vec![7; 24], false)] {
        assert_eq!(AddedKey::new(ckn(1), Zeroizing::new(octets)).is_ok(), allowed);
    }
    assert!(AddedKey::new(ckn(1), Zeroizing::new(vec![0; 16])).is_err());
    let name = Ckn::new(&[7; 16]).expect("a CKN");
    let key = AddedKey::new(name, Zeroizing::new(vec![7; 16])).expect("a key");
    assert!(key.shows_itself() && !added(1, 7).shows_itself());
    let directory = state();
    let mut store = open(directory.path());
    store.add(added(1, 0x41), &[]).expect("added");
    let shown = format!("{:?}", store.ring(&[]));
    assert!(!shown.contains("65, 65") && !shown.contains("4141"), "{shown}");
}

#[test]
fn what_leaves_the_ring_goes_as_it_was_told_to() {
    let directory = state();
    let mut store = open(directory.path());
    store.add(added(1, 0x41), &[]).expect("added");
    store.activate(ckn(1), None).expect("activated");
    store.retire(ckn(2), added(2, 0x42).check, &[]).expect("retired");
    let running = [in_use(1, SETTLED), live(2), live(3)];
    let leaves = |ring: &Ring| -> Vec<_> {
        ring.terms(&running).iter().map(|terms| (terms.ckn, terms.activated, terms.leave)).collect()
    };
    let mut ring = store.ring(&[]);
    assert_eq!(
        leaves(&ring),
        [
            (ckn(1), true, None),
            (ckn(2), false, Some(Leave::Retired)),
            (ckn(3), false, Some(Leave::Removed)),
        ]
    );
    ring.forced = Some(ckn(2));
    assert_eq!(leaves(&ring)[1].2, Some(Leave::Forced));
}

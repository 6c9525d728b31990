//! Keys that operators add, activate and retire while the gateway runs, on disk.
//!
//! There is one file for each port (`keys-PORT`) in the state directory, its owner's only. It has
//! the keys that `macsec keys add` has brought, CAKs included; which key is activated, and which was
//! in use before it; and which have been retired, so that one of the configuration does not come
//! back with the next start.
//!
//! - No file means that nothing of this has happened.
//! - A file that is damaged is an error, never taken for none: a key that was retired, for whatever
//!   reason, would come back. The port stays closed then.
//! - Each change is durable when it returns, or has not happened; the file is whole in any case.
//! - Where the configuration has a key of the same CKN, that one counts, with its dates.
//! - An exclusive lock lies on the store as long as it is open.

use std::{
    io,
    path::{Path, PathBuf},
};

use mka::Ckn;
use thiserror::Error;
use zeroize::Zeroizing;

use super::{
    AddedKey, RetiredKey, Ring, RingKey, Source,
    stored::{MAX_RETIRED, Stored},
};
use crate::{
    config::{KeyCheck, MkaKey},
    private_dir::PrivateDirError,
    state_directory::{Directory, Lock},
};

/// Why the keys on record cannot be had, or changed.
#[derive(Debug, Error)]
pub enum KeyStoreError {
    /// Others could change the store.
    #[error("state directory {0}: must belong to this user, and only its owner may write to it")]
    NotPrivate(PathBuf),
    /// Another process has it.
    #[error("{0}: in use by another process")]
    InUse(PathBuf),
    /// The file is not as it was written, or not that of this port.
    #[error(
        "{0}: damaged key store: {1}; remove it to go on with the keys of the configuration alone: \
         keys added are lost then, and those retired come back unless they are taken out of it"
    )]
    Damaged(PathBuf, &'static str),
    /// The system refuses.
    #[error("{0}: {1}")]
    Io(PathBuf, #[source] io::Error),
}

/// The keys on record of a port, locked until this is dropped.
pub struct KeyStore {
    directory: Directory,
    name: String,
    port: String,
    stored: Stored,
    _lock: Lock,
}

impl KeyStore {
    /// Opens the store of the port `port`, in a directory that is made (for the owner only) if
    /// there is none.
    ///
    /// # Errors
    /// [`KeyStoreError`].
    pub fn open(state_directory: &Path, port: &str) -> Result<Self, KeyStoreError> {
        let directory = Directory::open(state_directory).map_err(|error| match error {
            PrivateDirError::NotPrivate => KeyStoreError::NotPrivate(state_directory.to_owned()),
            PrivateDirError::Io(error) => KeyStoreError::Io(state_directory.to_owned(), error),
        })?;
        let name = format!("keys-{port}");
        let path = directory.path(&name);
        let failed = |error| KeyStoreError::Io(path.clone(), error);

        let lock = directory.try_lock(&format!("{name}.lock")).map_err(failed)?;
        let lock = lock.ok_or_else(|| KeyStoreError::InUse(path.clone()))?;
        let stored = match directory.read(&name).map_err(failed)?.map(Zeroizing::new) {
            Some(text) => Stored::parse(port, &text)
                .map_err(|reason| KeyStoreError::Damaged(path.clone(), reason))?,
            None => Stored::default(),
        };
        Ok(Self { directory, name, port: port.to_owned(), stored, _lock: lock })
    }

    /// The keys of the port: those of the configuration, and those on record, less those retired.
    #[must_use]
    pub fn ring(&self, configured: &[MkaKey]) -> Ring {
        let Stored { keys: added, activated, former, retired } = &self.stored;
        let is_retired = |ckn: Ckn, check: KeyCheck| retired.contains(&(ckn, check));
        let of_configuration = configured
            .iter()
            .filter(|key| !is_retired(key.ckn, key.cak.check))
            .map(|key| RingKey {
                ckn: key.ckn,
                cak: key.cak(),
                check: key.cak.check,
                source: Source::Configuration,
                start: key.start,
                end: key.end,
                fallback: key.fallback,
            });
        // One that was retired makes room for another under its name.
        let counts = |other: &MkaKey| !is_retired(other.ckn, other.cak.check);
        let others = added
            .iter()
            .filter(|key| !configured.iter().any(|other| other.ckn == key.ckn && counts(other)));
        let of_store = others.map(|key| RingKey {
            ckn: key.ckn,
            cak: key.cak(),
            check: key.check,
            source: Source::Store,
            start: key.start,
            end: key.end,
            fallback: key.fallback,
        });
        let keys: Vec<_> = of_configuration.chain(of_store).collect();
        let is_there = |(ckn, check): &(Ckn, KeyCheck)| {
            keys.iter().any(|key| key.ckn == *ckn && key.check == *check)
        };
        Ring {
            activated: *activated,
            former: former.filter(is_there).map(|(ckn, _)| ckn),
            keys,
            retired: retired
                .iter()
                .map(|&(ckn, check)| RetiredKey {
                    ckn,
                    check,
                    configured: is_among(configured, ckn, check),
                })
                .collect(),
            forced: None,
        }
    }

    /// Adds a key, in the place of the one with its CKN if there is one. It is no longer retired,
    /// if it was. One that `configured` has is there already, and only that is noted.
    ///
    /// # Errors
    /// [`KeyStoreError::Io`].
    pub fn add(&mut self, key: AddedKey, configured: &[MkaKey]) -> Result<(), KeyStoreError> {
        let mut stored = self.stored.clone();
        stored.retired.retain(|retired| *retired != (key.ckn, key.check));
        if !is_among(configured, key.ckn, key.check) {
            stored.keys.retain(|other| other.ckn != key.ckn);
            stored.keys.push(key);
        }
        self.replace(stored)
    }

    /// Prefers a key, and no other. `former`: the one that is to give way, or has given way to it.
    ///
    /// # Errors
    /// [`KeyStoreError::Io`].
    pub fn activate(
        &mut self,
        ckn: Ckn,
        former: Option<(Ckn, KeyCheck)>,
    ) -> Result<(), KeyStoreError> {
        self.replace(Stored { activated: Some(ckn), former, ..self.stored.clone() })
    }

    /// Retires a key. Its CAK goes, if it is on record. If as many are retired as are remembered,
    /// the one retired first is forgotten, of those that `configured` does not have.
    ///
    /// # Errors
    /// [`KeyStoreError::Io`].
    pub fn retire(
        &mut self,
        ckn: Ckn,
        check: KeyCheck,
        configured: &[MkaKey],
    ) -> Result<(), KeyStoreError> {
        let mut stored = self.stored.clone();
        stored.keys.retain(|key| key.ckn != ckn);
        stored.activated = stored.activated.filter(|activated| *activated != ckn);
        stored.former = stored.former.filter(|(former, _)| *former != ckn);
        stored.retired.retain(|retired| *retired != (ckn, check));
        if stored.retired.len() == MAX_RETIRED {
            let can_go = |(ckn, check): &(Ckn, KeyCheck)| !is_among(configured, *ckn, *check);
            // There are fewer configured than remembered.
            let oldest = stored.retired.iter().position(can_go);
            stored.retired.remove(oldest.unwrap_or_default());
        }
        stored.retired.push((ckn, check));
        self.replace(stored)
    }

    /// Whether a key of this name has been retired, as far as is remembered.
    #[must_use]
    pub fn has_retired(&self, ckn: Ckn) -> bool {
        self.stored.retired.iter().any(|(retired, _)| *retired == ckn)
    }

    fn replace(&mut self, stored: Stored) -> Result<(), KeyStoreError> {
        self.directory
            .replace(&self.name, stored.to_text(&self.port).as_bytes())
            .map_err(|error| KeyStoreError::Io(self.directory.path(&self.name), error))?;
        self.stored = stored;
        Ok(())
    }
}

fn is_among(configured: &[MkaKey], ckn: Ckn, check: KeyCheck) -> bool {
    configured.iter().any(|key| key.ckn == ckn && key.cak.check == check)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state_directory::Step;

    fn key(number: u8) -> AddedKey {
        let ckn = Ckn::new(&[number]).expect("a CKN");
        AddedKey::new(ckn, Zeroizing::new(vec![number; 16])).expect("a key")
    }

    fn names(store: &KeyStore) -> Vec<String> {
        store.ring(&[]).keys.iter().map(|key| key.ckn.to_string()).collect()
    }

    #[test]
    fn a_failure_at_any_step_leaves_the_file_whole_and_can_be_tried_again() {
        use Step::{Create, Rename, Report, Sync, SyncDirectory, Write};
        for step in [Create, Write, Sync, Rename, SyncDirectory, Report] {
            let directory = tempfile::tempdir().expect("a directory");
            let open = || KeyStore::open(directory.path(), "wan0").expect("a store");
            let mut store = open();
            store.add(key(1), &[]).expect("added");
            *store.directory.fault.lock().expect("a lock") = Some(step);
            let error = store.add(key(2), &[]).expect_err("a fault").to_string();
            assert!(error.ends_with(&format!("keys-wan0: injected at {step:?}")), "{error}");
            assert_eq!(names(&store), ["01"], "nothing has changed here");
            drop(store);
            let mut store = open();
            let there = names(&store);
            assert!(there == ["01"] || there == ["01", "02"], "{there:?}");
            store.add(key(2), &[]).expect("added");
            assert_eq!(names(&open_again(store, directory.path())), ["01", "02"]);
        }
    }

    fn open_again(store: KeyStore, directory: &Path) -> KeyStore {
        drop(store);
        KeyStore::open(directory, "wan0").expect("a store")
    }
}

//! Keys that an earlier run has transmitted with, for keys that MKA gives out.
//!
//! Under one key no nonce may ever be used twice. After a restart the packet numbers of a SAK start
//! again at 1, so a SAK that has been used before the restart must not be used once more. MKA sees to
//! that by itself: who starts again takes a new MI, and for a new MI the key server makes a fresh SAK.
//! This is the second line of defence, against a key server that does not. Before anything is
//! transmitted with a SAK its KI is recorded here, durably; a KI that an earlier run has recorded, or that
//! this one has given up, is refused, and the KaY takes a new MI.
//!
//! There is one file for each SCI (`ki-SCI.journal`), with the last [`CAPACITY`] KIs:
//!
//! ```text
//! macsec-ki-journal 1 0200000000010001
//! 00112233445566778899aabb00000001
//! 00112233445566778899aabb00000002
//! sha256 ...
//! ```
//!
//! - No file means that there was no earlier run. Whoever deletes the state directory, or puts back an
//!   old copy of it, loses this protection.
//! - A file that is damaged is an error, never taken for none.
//! - An exclusive lock lies on the SCI as long as its journal is open.
//! - The journal is in the directory that was opened. If that is moved or deleted, the next start would
//!   not find it: nothing can be recorded until it is back.

use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
};

use macsec::{Ki, Sci};
use thiserror::Error;

use crate::{
    checked_text::{Kind, seal},
    private_dir::PrivateDirError,
    state_directory::{Directory, Lock},
};

/// How many KIs are kept. At a rekey every hour that is six weeks; a key server that comes back with an
/// older one is no accident.
pub const CAPACITY: usize = 1024;

const KIND: Kind =
    Kind { magic: "macsec-ki-journal", version: "1", of_another: "it is that of another SCI" };

/// Why keys cannot be told from those of earlier runs.
#[derive(Debug, Error)]
pub enum KiJournalError {
    /// Others could change the journal.
    #[error("state directory {0}: must belong to this user, and only its owner may write to it")]
    NotPrivate(PathBuf),
    /// Another process (or port) transmits with this SCI.
    #[error("{0}: in use by another process or port")]
    InUse(PathBuf),
    /// The file is not as it was written, or not that of this SCI.
    #[error("{0}: damaged KI journal: {1}; use a new CAK at every end, then remove this file")]
    Damaged(PathBuf, &'static str),
    /// The system refuses.
    #[error("{0}: {1}")]
    Io(PathBuf, #[source] io::Error),
}

/// The KIs that a transmitter has used, locked until it is dropped.
pub struct KiJournal {
    directory: Directory,
    name: String,
    sci: Sci,
    /// Not to be used any more: recorded by earlier runs, or retired by this one. The oldest come first.
    spent: VecDeque<Ki>,
    /// What the file holds, oldest first. After a failure it may hold one more.
    recorded: VecDeque<Ki>,
    _lock: Lock,
}

impl KiJournal {
    /// Opens the journal of the transmitter `sci`, in a directory that is made (for the owner only) if
    /// there is none.
    ///
    /// # Errors
    /// [`KiJournalError`].
    pub fn open(state_directory: &Path, sci: Sci) -> Result<Self, KiJournalError> {
        let directory = Directory::open(state_directory).map_err(|error| match error {
            PrivateDirError::NotPrivate => KiJournalError::NotPrivate(state_directory.to_owned()),
            PrivateDirError::Io(error) => KiJournalError::Io(state_directory.to_owned(), error),
        })?;
        let name = file_name(sci);
        let path = directory.path(&name);
        let failed = |error| KiJournalError::Io(path.clone(), error);

        let lock = directory.try_lock(&format!("{name}.lock")).map_err(failed)?;
        let lock = lock.ok_or_else(|| KiJournalError::InUse(path.clone()))?;
        let recorded = match directory.read(&name).map_err(failed)? {
            Some(text) => {
                parse(sci, &text).map_err(|reason| KiJournalError::Damaged(path, reason))?
            }
            None => VecDeque::new(),
        };
        let spent = recorded.clone();
        Ok(Self { directory, name, sci, spent, recorded, _lock: lock })
    }

    /// Whether this KI's key has been used and given up, by an earlier run or by this one: then nothing may
    /// be transmitted with it. The key that this run uses, and may go back to, does not count.
    #[must_use]
    pub fn used_before(&self, ki: &Ki) -> bool {
        self.spent.contains(ki)
    }

    /// Whether this KI is on record, by whichever run.
    #[must_use]
    pub fn is_recorded(&self, ki: &Ki) -> bool {
        self.recorded.contains(ki)
    }

    /// This KI's key is given up: its transmit SA goes. If it ever comes again, it has been used before.
    pub fn retire(&mut self, ki: Ki) {
        if !self.recorded.contains(&ki) || self.spent.contains(&ki) {
            return;
        }
        if self.spent.len() == CAPACITY {
            self.spent.pop_front();
        }
        self.spent.push_back(ki);
    }

    /// Records that this KI's key is used to transmit, to be called before it is. When this returns, it
    /// is durable. One that is recorded already stays as it is.
    ///
    /// It waits for the disk, so call it from a thread that may.
    ///
    /// # Errors
    /// [`KiJournalError::Io`]; the file is whole, with or without this KI. Do not transmit with its key;
    /// it may be tried again.
    pub fn record(&mut self, ki: Ki) -> Result<(), KiJournalError> {
        if self.is_recorded(&ki) {
            return Ok(());
        }
        let surplus = (self.recorded.len() + 1).saturating_sub(CAPACITY);
        let kis: VecDeque<_> = self.recorded.iter().copied().skip(surplus).chain([ki]).collect();
        self.directory
            .replace(&self.name, to_text(self.sci, &kis).as_bytes())
            .map_err(|error| KiJournalError::Io(self.directory.path(&self.name), error))?;
        self.recorded = kis;
        Ok(())
    }
}

fn file_name(sci: Sci) -> String {
    format!("ki-{}.journal", hex::encode(sci.0))
}

fn to_text(sci: Sci, kis: &VecDeque<Ki>) -> String {
    let mut text = KIND.head(&hex::encode(sci.0));
    for ki in kis {
        text += &format!("{ki}\n");
    }
    seal(&mut text);
    text
}

/// Reads what [`to_text`] wrote, to the octet; says what is wrong otherwise.
fn parse(sci: Sci, octets: &[u8]) -> Result<VecDeque<Ki>, &'static str> {
    let lines = KIND.body(&hex::encode(sci.0), octets)?;
    let kis: VecDeque<Ki> = lines.map_while(|line| line.parse().ok()).collect();
    if to_text(sci, &kis).as_bytes() != octets {
        return Err("its checksum is wrong");
    }
    if kis.len() > CAPACITY {
        return Err("it is too long");
    }
    Ok(kis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state_directory::Step;

    const US: Sci = Sci([2, 0, 0, 0, 0, 1, 0, 1]);

    fn fail_at(journal: &KiJournal, step: Step) {
        *journal.directory.fault.lock().unwrap() = Some(step);
    }

    #[test]
    fn a_failure_at_any_step_leaves_the_file_whole_and_can_be_tried_again() {
        use Step::{Create, Rename, Report, Sync, SyncDirectory, Write};
        for step in [Create, Write, Sync, Rename, SyncDirectory, Report] {
            let dir = tempfile::tempdir().unwrap();
            let open = || KiJournal::open(dir.path(), US).unwrap();
            let [first, second, third] = [1, 2, 3].map(|octet| Ki([octet; 16]));
            let mut journal = open();
            journal.record(first).unwrap();
            fail_at(&journal, step);
            let error = journal.record(second).unwrap_err().to_string();
            assert!(error.ends_with(&format!(".journal: injected at {step:?}")), "{error}");

            // After a crash the old or the new one is there.
            drop(journal);
            let mut journal = open();
            let renamed = matches!(step, SyncDirectory | Report);
            assert!(journal.used_before(&first), "{step:?}");
            assert_eq!(journal.used_before(&second), renamed, "{step:?}");

            // What has failed is written when it is tried again: it has not been taken for recorded.
            fail_at(&journal, step);
            journal.record(third).unwrap_err();
            std::fs::remove_file(journal.directory.path(&journal.name)).unwrap();
            journal.record(third).unwrap();
            drop(journal);
            let journal = open();
            assert!(journal.used_before(&first) && journal.used_before(&third), "{step:?}");
        }
    }
}

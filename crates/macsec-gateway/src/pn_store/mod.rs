//! Packet numbers that survive restarts, for keys given by hand.
//!
//! Under one key no nonce may ever be used twice, and no frame accepted twice. MKA sees to that with
//! a new key for each start. A static key stays the same, so the packet numbers have to be remembered:
//! on disk, in one file for each SA, the *mark*.
//!
//! | | the mark is |
//! |---|---|
//! | transmit | the first PN that has never been used |
//! | receive | the lowest PN to accept: above all that have been accepted |
//!
//! The mark runs ahead of the traffic, a step at a time, as a disk is much slower than a network. After
//! a crash the PNs between traffic and mark are skipped. A clean shutdown writes the exact number.
//!
//! # Why nothing repeats
//!
//! 1. A PN is used (accepted) only if it is below [`TransmitPns::limit`] ([`ReceivePns::limit`]).
//! 2. The limit is never above a mark that the disk may hold after a crash at that instant. When the
//!    mark goes up, the limit follows after the file has been written, synchronised, renamed and its
//!    directory synchronised. When it goes down (receive only), the limit goes down first, then the
//!    file. Until the file has answered nothing else is asked for, so no older answer can be taken
//!    for a newer one.
//! 3. A write that failed may still have reached the disk. Both its value and the one before are at
//!    or above the limit, so either is good.
//! 4. So each start begins at or above everything that any run before has used (accepted).
//! 5. Two runs at once are impossible: an exclusive lock lies on the SA as long as it is in use.
//! 6. What is missing, damaged or of another SA is an error, never a default. Files are named after
//!    the key and the nonce's identity, so a port with another name finds the same ones.
//! 7. Marks and locks are in the directory that was opened. If it is moved or deleted, the next start
//!    would not find them: no write succeeds until it is back.
//!
//! A restored backup or snapshot of the directory is out of reach of all this: after one, use a new key.

mod record;
mod writer;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use macsec::{CipherSuite, Salt, Sci, Ssci};
use thiserror::Error;

pub use writer::{Failures, PnSignal, PnWriter, ReceivePns, TransmitPns};

use record::{Direction, Record};

use crate::{
    private_dir::PrivateDirError,
    state_directory::{Directory, Lock},
};

/// The end of all PNs: none is left. (The very last PN of XPN is given up for this.)
pub const NO_PN_LEFT: u64 = u64::MAX;

/// Taken while an SA is opened, so that two processes do not both find nothing.
const OPENING_LOCK: &str = "opening.lock";

/// What makes the nonces of one SA differ from those of others under the same key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum NonceIdentity {
    /// The SCI of the transmitter, for suites with a 32-bit PN.
    Sci(Sci),
    /// The SSCI of the transmitter with the salt, for XPN.
    Ssci(Ssci, Salt),
}

impl NonceIdentity {
    /// That of a transmitter with `sci`; for XPN, of one with `ssci` and `salt`.
    #[must_use]
    pub fn of(sci: Sci, ssci: Option<Ssci>, salt: Option<Salt>) -> Self {
        ssci.zip(salt).map_or(Self::Sci(sci), |(ssci, salt)| Self::Ssci(ssci, salt))
    }
}

/// The file in `directory` that [`PnStore::transmit`] reads, whether it is there or not. For those who
/// only look.
#[must_use]
pub fn transmit_path(directory: &Path, key_check: &[u8; 16], nonce: &NonceIdentity) -> PathBuf {
    directory.join(Record::new(Direction::Transmit, key_check, nonce, 1).file_name())
}

/// The file in `directory` that [`PnStore::receive`] reads, whether it is there or not.
#[must_use]
pub fn receive_path(directory: &Path, key_check: &[u8; 16], nonce: &NonceIdentity) -> PathBuf {
    directory.join(Record::new(Direction::Receive, key_check, nonce, 1).file_name())
}

/// Why an SA's packet numbers cannot be had.
#[derive(Debug, Error)]
pub enum PnStoreError {
    /// Others could change the marks.
    #[error("state directory {0}: must belong to this user, and only its owner may write to it")]
    NotPrivate(PathBuf),
    /// There is no mark, and nobody said that there should be none.
    #[error(
        "{0}: the PN state of this key is missing; set `first_use = true` only if this key has \
         never been used here, else make a new key"
    )]
    Missing(PathBuf),
    /// Another process (or port) has the SA.
    #[error("{0}: in use by another process or port")]
    InUse(PathBuf),
    /// The file is damaged, or not that of this SA.
    #[error("{0}: damaged PN state: {1}; make a new key")]
    Corrupt(PathBuf, &'static str),
    /// The key has been used in a way that could give the same nonces.
    #[error("{0}: {1}; make a new key")]
    KeyUsedOtherwise(PathBuf, &'static str),
    /// The system refuses.
    #[error("{0}: {1}")]
    Io(PathBuf, #[source] io::Error),
}

/// The directory with the marks of all SAs.
pub struct PnStore {
    directory: Arc<Directory>,
}

/// The mark of a transmit SA, locked. [`PnWriter::transmit`] takes it.
pub struct TransmitMark(Mark);

/// The mark of a receive SA, locked. [`PnWriter::receive`] takes it.
pub struct ReceiveMark(Mark);

/// One SA's file.
struct Mark {
    directory: Arc<Directory>,
    name: String,
    record: Record,
    /// Whether the disk may hold something else than `record`, as the last write failed.
    uncertain: bool,
    _lock: Lock,
}

impl PnStore {
    /// Opens the directory, and makes it (for the owner only) if there is none.
    ///
    /// # Errors
    /// [`PnStoreError::NotPrivate`] and [`PnStoreError::Io`].
    pub fn open(directory: &Path) -> Result<Self, PnStoreError> {
        let opened = Directory::open(directory).map_err(|error| match error {
            PrivateDirError::NotPrivate => PnStoreError::NotPrivate(directory.to_owned()),
            PrivateDirError::Io(error) => PnStoreError::Io(directory.to_owned(), error),
        })?;
        Ok(Self { directory: Arc::new(opened) })
    }

    /// The mark of the SA in which we transmit with the key whose check is `key_check`.
    ///
    /// `first_use` says that a missing mark means a key that was never used; one that is there
    /// counts in any case.
    ///
    /// # Errors
    /// [`PnStoreError`]. A key that has been used with another SSCI or salt is refused, or with an SCI
    /// and now with an SSCI: the nonces could meet.
    pub fn transmit(
        &self,
        key_check: &[u8; 16],
        nonce: &NonceIdentity,
        first_use: bool,
    ) -> Result<TransmitMark, PnStoreError> {
        self.mark(Direction::Transmit, key_check, nonce, first_use).map(TransmitMark)
    }

    /// The mark of the SA in which a peer transmits: the key's check, and the peer's SCI or SSCI.
    ///
    /// # Errors
    /// [`PnStoreError`].
    pub fn receive(
        &self,
        key_check: &[u8; 16],
        nonce: &NonceIdentity,
        first_use: bool,
    ) -> Result<ReceiveMark, PnStoreError> {
        self.mark(Direction::Receive, key_check, nonce, first_use).map(ReceiveMark)
    }

    fn mark(
        &self,
        direction: Direction,
        key_check: &[u8; 16],
        nonce: &NonceIdentity,
        first_use: bool,
    ) -> Result<Mark, PnStoreError> {
        let directory = &self.directory;
        let fresh = Record::new(direction, key_check, nonce, 1);
        let name = fresh.file_name();
        let path = directory.path(&name);
        let failed = |error| PnStoreError::Io(path.clone(), error);

        let _opening = directory.lock(OPENING_LOCK).map_err(failed)?;
        let lock = directory.try_lock(&format!("{name}.lock")).map_err(failed)?;
        let lock = lock.ok_or_else(|| PnStoreError::InUse(path.clone()))?;
        for other in directory.names().map_err(failed)? {
            if let Some(why) = fresh.conflict_with(&other) {
                return Err(PnStoreError::KeyUsedOtherwise(directory.path(&other), why));
            }
        }

        let stored = directory.read(&name).map_err(failed)?;
        let record = match &stored {
            Some(text) => {
                let record = Record::parse(text)
                    .map_err(|reason| PnStoreError::Corrupt(path.clone(), reason))?;
                if record.is_same_sa_as(&fresh) {
                    record
                } else if record.is_other_salt_of(&fresh) {
                    let why = "this key has been used with another salt";
                    return Err(PnStoreError::KeyUsedOtherwise(path, why));
                } else {
                    return Err(PnStoreError::Corrupt(path, "it is that of another SA"));
                }
            }
            None if first_use => fresh,
            None => return Err(PnStoreError::Missing(path)),
        };
        let directory = Arc::clone(directory);
        let mut mark = Mark { directory, name, record, uncertain: false, _lock: lock };
        if stored.is_none() {
            let first_pn = mark.pn();
            mark.write(first_pn).map_err(|error| PnStoreError::Io(path, error))?;
        }
        Ok(mark)
    }
}

impl TransmitMark {
    /// The first PN to use now; none is left if that is not one of `suite`.
    #[must_use]
    pub fn next_pn(&self, suite: CipherSuite) -> Option<u64> {
        self.0.pn_of(suite)
    }
}

impl ReceiveMark {
    /// The lowest PN to accept now; none is left if that is not one of `suite`.
    #[must_use]
    pub fn lowest_pn(&self, suite: CipherSuite) -> Option<u64> {
        self.0.pn_of(suite)
    }
}

impl Mark {
    fn pn(&self) -> u64 {
        self.record.mark
    }

    fn pn_of(&self, suite: CipherSuite) -> Option<u64> {
        Some(self.pn()).filter(|&pn| pn != NO_PN_LEFT && pn <= suite.max_pn())
    }

    /// Whether the disk is known to hold `pn`.
    fn holds(&self, pn: u64) -> bool {
        !self.uncertain && self.pn() == pn
    }

    /// Makes `pn` the mark. When this returns, it is durable.
    ///
    /// # Errors
    /// Those of the disk. It may hold the former mark or `pn` then.
    fn write(&mut self, pn: u64) -> io::Result<()> {
        let record = self.record.with_mark(pn);
        self.uncertain = true;
        self.directory.replace(&self.name, record.to_text().as_bytes())?;
        self.record = record;
        self.uncertain = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests;

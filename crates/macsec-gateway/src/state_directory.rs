//! The directory for what has to survive restarts: files that are replaced as a whole and durably, in a
//! directory that only its owner may write to.

use std::{
    fs::{File, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use crate::private_dir::{PrivateDir, PrivateDirError};

/// More than any of the files takes.
const MAX_FILE: u64 = 1 << 16;

pub(crate) struct Directory {
    files: PrivateDir,
    /// Where to fail, once.
    #[cfg(test)]
    pub(crate) fault: std::sync::Mutex<Option<Step>>,
}

/// As long as a file of this name is in a directory, its disk stands still.
#[cfg(test)]
pub(crate) const STALL: &str = "stall";

/// An exclusive lock on a file, until dropped.
pub(crate) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file is not enough: a child that another thread is just starting has it too.
        // It cannot fail on a file that is locked.
        let _ = self.0.unlock();
    }
}

/// The steps of a replacement, each of which may fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Create,
    Write,
    Sync,
    Rename,
    SyncDirectory,
    /// All has been done, but nobody gets to know.
    Report,
}

impl Directory {
    /// Opens the directory, and makes it (for the owner only) if there is none.
    pub(crate) fn open(path: &Path) -> Result<Self, PrivateDirError> {
        #[cfg(test)]
        wait_while_stalled(path);
        Ok(Self {
            files: PrivateDir::open(path)?,
            #[cfg(test)]
            fault: None.into(),
        })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.files.path(name)
    }

    /// The names of all files.
    pub(crate) fn names(&self) -> io::Result<Vec<String>> {
        self.files.names()
    }

    /// The contents of a file; `None` if there is none.
    pub(crate) fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = self.files.open_file(name)? else {
            return Ok(None);
        };
        // With room for more than is read: it may be keys, and a buffer that grows leaves copies behind.
        let len = usize::try_from(file.metadata()?.len().min(MAX_FILE)).unwrap_or_default();
        let mut contents = Vec::with_capacity(len + 64);
        file.take(MAX_FILE).read_to_end(&mut contents)?;
        Ok(Some(contents))
    }

    /// Waits for the lock on a file, which is made for this and stays.
    pub(crate) fn lock(&self, name: &str) -> io::Result<Lock> {
        let file = self.files.lock_file(name)?;
        file.lock()?;
        Ok(Lock(file))
    }

    /// Takes the lock on a file; `None` if somebody else has it.
    pub(crate) fn try_lock(&self, name: &str) -> io::Result<Option<Lock>> {
        let file = self.files.lock_file(name)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Replaces a file, or makes it. When this returns, the new contents are durable, and where the
    /// next start looks for them; when it fails, the old or the new ones are there, whole.
    pub(crate) fn replace(&self, name: &str, contents: &[u8]) -> io::Result<()> {
        // Asked at the end, as it may happen at any time; and at the start, as nothing can be made in a
        // directory that has been deleted, and the reason for that would not be told.
        self.files.require_in_place()?;
        let temporary = format!("{name}.tmp");
        self.reach(Step::Create)?;
        let mut file = self.files.create_file(&temporary)?;
        self.reach(Step::Write)?;
        file.write_all(contents)?;
        self.reach(Step::Sync)?;
        file.sync_data()?;
        self.reach(Step::Rename)?;
        self.files.rename(&temporary, name)?;
        self.reach(Step::SyncDirectory)?;
        self.files.sync()?;
        self.files.require_in_place()?;
        self.reach(Step::Report)
    }

    #[cfg(not(test))]
    const fn reach(&self, _: Step) -> io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    fn reach(&self, step: Step) -> io::Result<()> {
        wait_while_stalled(&self.path(""));
        let mut fault = self.fault.lock().unwrap();
        match fault.take_if(|fault| *fault == step) {
            Some(step) => Err(io::Error::other(format!("injected at {step:?}"))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
fn wait_while_stalled(directory: &Path) {
    while directory.join(STALL).exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

//! Files that are replaced as a whole and durably, in a directory that only its owner may write to.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::PnStoreError;

/// Much more than a mark takes.
const MAX_FILE: u64 = 4096;

pub(super) struct Directory {
    path: PathBuf,
    handle: File,
    /// Where to fail, once.
    #[cfg(test)]
    pub(super) fault: std::sync::Mutex<Option<Step>>,
}

/// An exclusive lock on a file, until dropped.
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file is not enough: a child that another thread is just starting has it too.
        // It cannot fail on a file that is locked.
        let _ = self.0.unlock();
    }
}

/// The steps of a replacement, each of which may fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Create,
    Write,
    Sync,
    Rename,
    SyncDirectory,
    /// All has been done, but nobody gets to know.
    Report,
}

impl Directory {
    pub(super) fn open(path: &Path) -> Result<Self, PnStoreError> {
        let failed = |error| PnStoreError::Io(path.to_owned(), error);
        create_durably(path).map_err(failed)?;
        let handle = File::open(path).map_err(failed)?;
        let metadata = handle.metadata().map_err(failed)?;
        if !metadata.is_dir() {
            return Err(failed(io::ErrorKind::NotADirectory.into()));
        }
        let ours = metadata.uid() == rustix::process::geteuid().as_raw();
        if !ours || metadata.mode() & 0o022 != 0 {
            return Err(PnStoreError::NotPrivate(path.to_owned()));
        }
        Ok(Self {
            path: path.to_owned(),
            handle,
            #[cfg(test)]
            fault: None.into(),
        })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The names of all files.
    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        // A name that is no text is none of ours.
        let text = |entry: fs::DirEntry| entry.file_name().into_string().ok();
        fs::read_dir(&self.path)?.filter_map(|entry| entry.map(text).transpose()).collect()
    }

    /// The contents of a file; `None` if there is none.
    pub(super) fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(self.path(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut contents = Vec::new();
        file.take(MAX_FILE).read_to_end(&mut contents)?;
        Ok(Some(contents))
    }

    /// Waits for the lock on a file, which is made for this and stays.
    pub(super) fn lock(&self, name: &str) -> io::Result<Lock> {
        let file = self.lock_file(name)?;
        file.lock()?;
        Ok(Lock(file))
    }

    /// Takes the lock on a file; `None` if somebody else has it.
    pub(super) fn try_lock(&self, name: &str) -> io::Result<Option<Lock>> {
        let file = self.lock_file(name)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn lock_file(&self, name: &str) -> io::Result<File> {
        private().truncate(false).open(self.path(name))
    }

    /// Replaces a file, or makes it. When this returns, the new contents are durable; when it fails,
    /// the old or the new ones are there, whole.
    pub(super) fn replace(&self, name: &str, contents: &[u8]) -> io::Result<()> {
        let temporary = self.path(&format!("{name}.tmp"));
        self.reach(Step::Create)?;
        let mut file = private().truncate(true).open(&temporary)?;
        self.reach(Step::Write)?;
        file.write_all(contents)?;
        self.reach(Step::Sync)?;
        file.sync_data()?;
        self.reach(Step::Rename)?;
        fs::rename(&temporary, self.path(name))?;
        self.reach(Step::SyncDirectory)?;
        self.handle.sync_all()?;
        self.reach(Step::Report)
    }

    #[cfg(not(test))]
    const fn reach(&self, _: Step) -> io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    fn reach(&self, step: Step) -> io::Result<()> {
        let mut fault = self.fault.lock().unwrap();
        match fault.take_if(|fault| *fault == step) {
            Some(step) => Err(io::Error::other(format!("injected at {step:?}"))),
            None => Ok(()),
        }
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}

/// Makes a directory, and those above it, so that it will still be there after a power failure.
fn create_durably(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.exists() {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(Path::new(""));
    create_durably(parent)?;
    DirBuilder::new().mode(0o700).create(path)?;
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    File::open(parent)?.sync_all()
}

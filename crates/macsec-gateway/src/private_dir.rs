//! A directory that only its owner may write to, and the files in it.
//!
//! Files are named relative to the directory that was opened, not by path: what is written, locked and
//! synchronised is in one and the same directory, even if somebody moves it.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{self as at, AtFlags, Mode, OFlags},
    io::Errno,
};

/// Why a directory cannot be used.
#[derive(Debug)]
pub(crate) enum PrivateDirError {
    /// Others could change what is in it.
    NotPrivate,
    /// The system refuses.
    Io(io::Error),
}

impl From<io::Error> for PrivateDirError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A directory that belongs to this user, and that nobody else may write to.
#[derive(Debug)]
pub(crate) struct PrivateDir {
    path: PathBuf,
    handle: File,
}

impl PrivateDir {
    /// Opens the directory, and makes it (for the owner only) if there is none.
    ///
    /// # Errors
    /// [`PrivateDirError`].
    pub(crate) fn open(path: &Path) -> Result<Self, PrivateDirError> {
        create_durably(path)?;
        let handle = File::open(path)?;
        let metadata = handle.metadata()?;
        if !metadata.is_dir() {
            return Err(io::Error::from(io::ErrorKind::NotADirectory).into());
        }
        let ours = metadata.uid() == rustix::process::geteuid().as_raw();
        if !ours || metadata.mode() & 0o022 != 0 {
            return Err(PrivateDirError::NotPrivate);
        }
        Ok(Self { path: path.to_owned(), handle })
    }

    /// What to call a file of this directory to an operator.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The names of all files.
    pub(crate) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in at::Dir::read_from(&self.handle)? {
            // A name that is no text is none of ours.
            names.extend(entry?.file_name().to_str().ok().map(str::to_owned));
        }
        Ok(names)
    }

    /// Opens a file to be read; `None` if there is none.
    pub(crate) fn open_file(&self, name: &str) -> io::Result<Option<File>> {
        match self.open_at(name, OFlags::RDONLY) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            file => file.map(Some),
        }
    }

    /// Opens a file to be locked, and makes it if there is none.
    pub(crate) fn lock_file(&self, name: &str) -> io::Result<File> {
        self.open_at(name, OFlags::WRONLY | OFlags::CREATE)
    }

    /// Opens a file to be added to (and read), and makes it if there is none.
    pub(crate) fn append_file(&self, name: &str) -> io::Result<File> {
        self.open_at(name, OFlags::RDWR | OFlags::APPEND | OFlags::CREATE)
    }

    /// Makes a file to be written. One of that name, which somebody has left, is removed first.
    pub(crate) fn create_file(&self, name: &str) -> io::Result<File> {
        self.remove(name)?;
        self.open_at(name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)
    }

    /// Gives a file another name, which it takes from another one if need be.
    pub(crate) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(at::renameat(&self.handle, from, &self.handle, to)?)
    }

    /// Removes a file. No error if there is none.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        match at::unlinkat(&self.handle, name, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            other => Ok(other?),
        }
    }

    /// Makes the names durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.handle.sync_all()
    }

    /// Requires that this is still the directory that its path leads to: whoever starts next finds
    /// what is in it.
    pub(crate) fn require_in_place(&self) -> io::Result<()> {
        let here = self.handle.metadata()?;
        match fs::metadata(&self.path) {
            Ok(there) if (there.dev(), there.ino()) == (here.dev(), here.ino()) => Ok(()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Err(io::Error::other(format!(
                "the directory in use is no longer at {}: it has been moved or deleted; put it back, \
                 or start again",
                self.path.display()
            ))),
        }
    }

    fn open_at(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(at::openat(&self.handle, name, flags, Mode::RUSR | Mode::WUSR)?.into())
    }
}

/// Makes a directory, and those above it, so that it will still be there after a power failure.
fn create_durably(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.exists() {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(Path::new(""));
    create_durably(parent)?;
    match DirBuilder::new().mode(0o700).create(path) {
        // Another process was faster.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    File::open(parent)?.sync_all()
}

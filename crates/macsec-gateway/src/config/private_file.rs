//! Files that only their owner may read.

use std::{
    fmt,
    fs::{File, Metadata, OpenOptions},
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::{fs::OFlags, process::geteuid};
use zeroize::Zeroizing;

use super::fault::file_name;

/// What was in a file, and who else could have read it.
pub(super) struct Contents {
    pub(super) octets: Zeroizing<Vec<u8>>,
    pub(super) exposure: Option<Exposure>,
}

impl Contents {
    /// Reads the file `path`, `limit` octets at most.
    ///
    /// Permissions are those of the file that was opened, whatever its name means meanwhile.
    pub(super) fn read(path: &Path, limit: usize) -> Result<Self, ReadError> {
        Self::take(path, File::open(path)?, limit)
    }

    /// Reads the file `path`, `limit` octets at most, if only its owner can.
    pub(super) fn read_private(path: &Path, limit: usize) -> Result<Self, ReadError> {
        // Opening a FIFO that nobody writes to must not wait, nor a terminal become ours.
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        match Exposure::of(path, &file.metadata()?) {
            Some(exposure) => Err(ReadError::Exposed(exposure)),
            None => Self::take(path, file, limit),
        }
    }

    fn take(path: &Path, file: File, limit: usize) -> Result<Self, ReadError> {
        let exposure = Exposure::of(path, &file.metadata()?);
        // With room for more than is read: a buffer that grows leaves copies behind.
        let mut octets = Zeroizing::new(Vec::with_capacity(limit + 64));
        file.take(limit as u64 + 1).read_to_end(&mut octets)?;
        if octets.len() > limit {
            return Err(ReadError::TooLong(limit));
        }
        Ok(Self { octets, exposure })
    }
}

/// Why a file is no place for a key.
#[derive(Debug)]
pub(super) enum Exposure {
    NotRegular,
    Owner(PathBuf),
    Permissions(PathBuf),
}

impl Exposure {
    fn of(path: &Path, metadata: &Metadata) -> Option<Self> {
        if !metadata.is_file() {
            Some(Self::NotRegular)
        } else if metadata.uid() != 0 && metadata.uid() != geteuid().as_raw() {
            Some(Self::Owner(path.to_owned()))
        } else if metadata.mode() & 0o077 != 0 {
            Some(Self::Permissions(path.to_owned()))
        } else {
            None
        }
    }
}

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRegular => f.write_str("must be a regular file"),
            Self::Owner(path) => {
                let (path, user) = (file_name(path), geteuid());
                write!(
                    f,
                    "must be owned by root or user {}: chown, then chmod 600 {path}",
                    user.as_raw()
                )
            }
            Self::Permissions(path) => {
                write!(f, "must be readable by its owner only: chmod 600 {}", file_name(path))
            }
        }
    }
}

/// Why a file was not read.
#[derive(Debug)]
pub(super) enum ReadError {
    Io(io::Error),
    Exposed(Exposure),
    TooLong(usize),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "cannot be read: {error}"),
            Self::Exposed(exposure) => exposure.fmt(f),
            Self::TooLong(limit) => write!(f, "must have {limit} octets at most"),
        }
    }
}

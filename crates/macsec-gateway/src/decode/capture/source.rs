//! Where a capture comes from. It is read twice, so what cannot be is copied to a file first.

use std::{
    fs::File,
    io::{self, Seek, SeekFrom},
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::Path,
};

use thiserror::Error;

use super::{Capture, CaptureError};

/// A capture cannot be had.
#[derive(Debug, Error)]
#[error("{name}: {reason}")]
pub(in crate::decode) struct SourceError {
    name: String,
    reason: CaptureError,
}

/// A file that can be read more than once.
pub(in crate::decode) struct Source {
    name: String,
    file: File,
    /// Where the capture begins: that of a file on stdin may have been read from.
    start: u64,
    len: u64,
}

/// A capture that has been opened.
pub(in crate::decode) type Opened<'a> = Capture<&'a File>;

impl Source {
    /// Opens `path`; `-` is stdin. What is no regular file is copied to an unnamed one, in TMPDIR.
    ///
    /// # Errors
    /// [`SourceError`].
    pub(in crate::decode) fn open(path: &Path) -> Result<Self, SourceError> {
        let is_stdin = path == Path::new("-");
        let name = if is_stdin { "stdin".to_owned() } else { path.display().to_string() };
        let file = if is_stdin { stdin() } else { File::open(path) };
        let opened = file.and_then(|mut file| {
            let metadata = file.metadata()?;
            if metadata.is_dir() {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            if metadata.is_file() {
                let start = file.stream_position()?;
                return Ok((file, start, metadata.len().saturating_sub(start)));
            }
            let mut spool = tempfile::tempfile()?;
            let len = io::copy(&mut file, &mut spool)?;
            Ok((spool, 0, len))
        });
        match opened {
            Ok((file, start, len)) => Ok(Self { name, file, start, len }),
            Err(error) => Err(SourceError { name, reason: error.into() }),
        }
    }

    /// What it is called.
    pub(in crate::decode) fn name(&self) -> &str {
        &self.name
    }

    /// Octets of it.
    pub(in crate::decode) fn len(&self) -> u64 {
        self.len
    }

    /// Whether `path` is the same file.
    pub(in crate::decode) fn is(&self, path: &Path) -> bool {
        let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
        let own = self.file.metadata().map(identity);
        let other = std::fs::metadata(path).map(identity);
        matches!((own, other), (Ok(own), Ok(other)) if own == other)
    }

    /// The capture, from its beginning on.
    ///
    /// # Errors
    /// [`SourceError`].
    pub(in crate::decode) fn capture(&self) -> Result<Opened<'_>, SourceError> {
        let mut file = &self.file;
        let opened = file.seek(SeekFrom::Start(self.start)).map_err(CaptureError::from);
        let opened = opened.and_then(|_| Capture::new(file));
        opened.map_err(|reason| SourceError { name: self.name.clone(), reason })
    }
}

/// Standard input as a file, which shares its position.
fn stdin() -> io::Result<File> {
    Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
}

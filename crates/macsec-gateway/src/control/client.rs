//! The asking side of the control socket.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use thiserror::Error;
use zeroize::Zeroizing;

use super::{MAX_LINE, MAX_REQUEST, Reply, Request};

/// How long to wait for an answer. A reload may have to wait for links and for the disk.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum ControlError {
    /// Nobody listens.
    #[error("{0}: no gateway listens here: is `macsec run` running, with this control_socket?")]
    NotRunning(PathBuf),
    /// Not for this user.
    #[error("{0}: no permission: the control socket is its owner's only (root's, as a rule)")]
    PermissionDenied(PathBuf),
    /// Another failure.
    #[error("{0}: {1}")]
    Io(PathBuf, #[source] io::Error),
    /// An answer that cannot be understood.
    #[error("{0}: the answer makes no sense: {1}: another version of the gateway?")]
    Nonsense(PathBuf, #[source] serde_json::Error),
}

/// Asks the gateway behind `socket`, and waits for the answer.
///
/// # Errors
/// [`ControlError`].
pub fn ask(socket: &Path, request: &Request) -> Result<Reply, ControlError> {
    let io_error = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            ControlError::NotRunning(socket.to_owned())
        }
        io::ErrorKind::PermissionDenied => ControlError::PermissionDenied(socket.to_owned()),
        _ => ControlError::Io(socket.to_owned(), error),
    };
    let exchange = || {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        // There may be a key in it. A buffer that grows leaves copies behind.
        let mut line = Zeroizing::new(Vec::with_capacity(MAX_REQUEST));
        serde_json::to_writer(&mut *line, request)?;
        line.push(b'\n');
        stream.write_all(&line)?;
        let mut answer = String::new();
        BufReader::new(stream.take(MAX_LINE)).read_line(&mut answer)?;
        Ok(answer)
    };
    let answer: String = exchange().map_err(io_error)?;
    if answer.is_empty() {
        return Err(io_error(io::ErrorKind::UnexpectedEof.into()));
    }
    serde_json::from_str(&answer).map_err(|e| ControlError::Nonsense(socket.to_owned(), e))
}

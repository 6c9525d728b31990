//! Who did what to the keys, on disk: `audit.log` in the state directory.
//!
//! One line of JSON (shown here in two) for each operation that was asked for, whether it was
//! carried out or refused, with no secret in it:
//!
//! ```text
//! {"time":"2026-11-25T09:50:15Z","port":"wan0","operation":"retire","ckn":"6d6b61",
//!  "check":"0fd1...","uid":0,"pid":4711,"result":"done","reason":null}
//! ```
//!
//! A line is durable before the operation comes about. What cannot be written down is not done. The
//! file is bounded: when it gets longer than [`MAX_LOG`] it becomes `audit.log.1`, in the place of
//! the one before. Whoever wants to keep more copies it away; the file is opened for each line, so
//! it may be moved at any time.

use std::{
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

use serde::Serialize;
use tracing::{info, warn};

use crate::private_dir::{PrivateDir, PrivateDirError};

const NAME: &str = "audit.log";
const FORMER: &str = "audit.log.1";
/// Octets of the log after which another one is begun: some thousand operations.
pub const MAX_LOG: u64 = 1 << 20;

/// Something that was asked for.
#[derive(Clone, Debug, Serialize)]
pub struct Entry<'a> {
    /// When, as RFC 3339 has it.
    pub time: String,
    /// The port it was asked of.
    pub port: &'a str,
    /// What: `add`, `activate` or `retire`.
    pub operation: &'a str,
    /// The key it was about.
    pub ckn: &'a str,
    /// The check value of that key, if it is known.
    pub check: Option<&'a str>,
    /// Who asked: the user at the other end of the control socket.
    pub uid: u32,
    /// And the process.
    pub pid: i32,
    /// What has come of it.
    pub result: &'a str,
    /// Why it was refused.
    pub reason: Option<&'a str>,
}

/// Writes a line for `entry`, in a directory that is made (for the owner only) if there is none.
/// The line is durable when this returns. It goes to the log of the process too.
///
/// # Errors
/// What the system says; or that others may write to the directory.
pub fn record(state_directory: &Path, entry: &Entry<'_>) -> io::Result<()> {
    let Entry { port, operation, ckn, check, uid, pid, result, reason, .. } = entry;
    match reason {
        None => info!(port, ckn, check, uid, pid, "keys {operation}: {result}"),
        Some(reason) => warn!(port, ckn, check, uid, pid, "keys {operation}: {result}: {reason}"),
    }
    let directory = PrivateDir::open(state_directory).map_err(|error| match error {
        PrivateDirError::NotPrivate => io::Error::other(
            "the state directory must belong to this user, and only its owner may write to it",
        ),
        PrivateDirError::Io(error) => error,
    })?;
    let mut line = serde_json::to_string(entry)?;
    line.push('\n');
    append(&directory, line.as_bytes(), MAX_LOG)
}

fn append(directory: &PrivateDir, line: &[u8], limit: u64) -> io::Result<()> {
    let mut file = directory.append_file(NAME)?;
    if file.metadata()?.len() > limit {
        directory.rename(NAME, FORMER)?;
        file = directory.append_file(NAME)?;
    }
    // One that a crash has cut off stays by itself.
    let is_cut = file.seek(SeekFrom::End(-1)).is_ok() && {
        let mut last = [0];
        file.read_exact(&mut last)?;
        last != *b"\n"
    };
    let line = if is_cut { [b"\n", line].concat() } else { line.to_vec() };
    file.write_all(&line)?;
    file.sync_data()?;
    directory.sync()
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn entry<'a>(ckn: &'a str, reason: Option<&'a str>) -> Entry<'a> {
        let result = if reason.is_some() { "refused" } else { "done" };
        let (port, operation, check) = ("wan0", "activate", Some("0fd1"));
        let time = "2026-11-25T09:50:15Z".to_owned();
        Entry { time, port, operation, ckn, check, uid: 7, pid: 11, result, reason }
    }

    #[test]
    fn each_operation_is_a_line() {
        let directory = tempfile::tempdir().expect("a directory");
        let log = directory.path().join("state").join(NAME);
        let state = directory.path().join("state");
        record(&state, &entry("01", None)).expect("recorded");
        record(&state, &entry("a \"name\"\nof two lines", Some("not live"))).expect("recorded");
        let text = fs::read_to_string(&log).expect("a log");
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert_eq!(
            lines[0],
            "{\"time\":\"2026-11-25T09:50:15Z\",\"port\":\"wan0\",\"operation\":\"activate\",\
             \"ckn\":\"01\",\"check\":\"0fd1\",\"uid\":7,\"pid\":11,\"result\":\"done\",\"reason\":null}"
        );
        assert!(lines[1].ends_with("\"result\":\"refused\",\"reason\":\"not live\"}"), "{text}");
        assert_eq!(fs::metadata(&log).expect("a file").permissions().mode() & 0o777, 0o600);

        // It may be moved away.
        fs::rename(&log, directory.path().join("kept")).expect("moved");
        record(&state, &entry("02", None)).expect("recorded");
        assert_eq!(fs::read_to_string(&log).expect("a log").lines().count(), 1);

        fs::set_permissions(&state, fs::Permissions::from_mode(0o722)).expect("mode");
        let error = record(&state, &entry("03", None)).expect_err("not private").to_string();
        assert!(error.contains("only its owner may write to it"), "{error}");
    }

    #[test]
    fn it_is_bounded_and_a_line_that_was_cut_off_takes_no_other_with_it() {
        let path = tempfile::tempdir().expect("a directory");
        let directory = PrivateDir::open(path.path()).expect("private");
        let read = |name: &str| fs::read_to_string(path.path().join(name)).unwrap_or_default();
        for number in 0..30_u8 {
            append(&directory, format!("line {number}\n").as_bytes(), 50).expect("appended");
            assert!(read(NAME).len() <= 60 && read(FORMER).len() <= 60);
        }
        let kept = read(FORMER) + &read(NAME);
        let last: String = (0..30_u8).map(|number| format!("line {number}\n")).collect();
        assert!(kept.len() > 50 && last.ends_with(&kept), "{kept}");

        fs::write(path.path().join(NAME), "cut o").expect("written");
        append(&directory, b"whole\n", 50).expect("appended");
        assert_eq!(read(NAME), "cut o\nwhole\n");
    }
}

//! What the parts of configuration files for both ends of a link have in common.

use std::{
    fmt::{self, Write as _},
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use thiserror::Error;
use zeroize::Zeroizing;

use super::key_file;
use crate::{config::KeyCheck, exit};

/// Why there are no fragments.
#[derive(Debug, Error)]
pub(super) enum FragmentError {
    #[error("--peer: must differ from --sci, else both ends use the same nonces")]
    SameSci,
    #[error("no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    #[error("--write-keys {}: {error}", .path.display())]
    KeyFile { path: PathBuf, error: io::Error },
    #[error("--write-keys {}: must be a path in UTF-8", .0.display())]
    NoText(PathBuf),
}

/// Prints what was made for `command`, or why nothing was.
pub(super) fn print(
    command: &str,
    fragments: Result<Zeroizing<String>, FragmentError>,
) -> ExitCode {
    match fragments {
        Ok(text) => {
            print!("{}", *text);
            ExitCode::SUCCESS
        }
        Err(error) => exit::cannot_run(command, &error),
    }
}

/// The fragments of both ends, one below the other.
pub(super) fn both_ends(a: &impl fmt::Display, b: &impl fmt::Display) -> Zeroizing<String> {
    // With room for all of it, if there is a key in it: a text that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(4096));
    // Writing to a text cannot fail.
    let _ = write!(text, "{a}\n{b}");
    text
}

/// A fresh secret key.
pub(super) struct NewKey {
    kind: &'static str,
    check: KeyCheck,
    digits: Zeroizing<String>,
}

impl NewKey {
    /// A key of `len` octets: a `sak` or a `cak`, as `kind` says.
    pub(super) fn new(kind: &'static str, len: usize) -> Result<Self, FragmentError> {
        let mut octets = Zeroizing::new(vec![0; len]);
        getrandom::fill(&mut octets)?;
        let digits = Zeroizing::new(hex::encode(&*octets));
        Ok(Self { kind, check: KeyCheck::of_octets(&octets), digits })
    }

    /// Writes the key to a new file in `directory`, if one is given, that only its owner can read;
    /// the name of the file begins with `prefix`.
    pub(super) fn place(
        self,
        prefix: &str,
        directory: Option<&Path>,
    ) -> Result<PlacedKey, FragmentError> {
        let Some(directory) = directory else { return Ok(PlacedKey::Inline(self)) };
        let failed = |path: &Path| {
            let path = path.to_owned();
            |error| FragmentError::KeyFile { path, error }
        };
        // The configuration may be anywhere else.
        let directory = fs::canonicalize(directory).map_err(failed(directory))?;
        // Half of the name will do, and what has as many digits as a key is taken for one in
        // messages.
        let name = format!("{prefix}-{:.16}.{}", self.check.to_string(), self.kind);
        let path = directory.join(name);
        let text = path.to_str().ok_or_else(|| FragmentError::NoText(path.clone()))?.to_owned();
        key_file::write(&path, &self.digits).map_err(failed(&path))?;
        Ok(PlacedKey::File { kind: self.kind, path: text })
    }
}

/// A key as a fragment names it.
pub(super) enum PlacedKey {
    Inline(NewKey),
    File { kind: &'static str, path: String },
}

/// Lines of a fragment.
impl fmt::Display for PlacedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(key) => writeln!(f, "{} = \"{}\"", key.kind, *key.digits),
            Self::File { kind, path } => {
                writeln!(f, "# Both ends need this file, readable by its owner only.")?;
                writeln!(f, "{kind}_file = {}", Quoted(path))
            }
        }
    }
}

/// A text as TOML quotes it.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for character in self.0.chars() {
            match character {
                '"' | '\\' => write!(f, "\\{character}")?,
                _ if character.is_control() => write!(f, "\\u{:04x}", u32::from(character))?,
                _ => f.write_char(character)?,
            }
        }
        f.write_char('"')
    }
}

//! What is wrong with a configuration file, in one line.

use std::{fmt, path::Path};

use serde::Serialize;

/// One thing that a configuration file must not say, and what it may say instead.
///
/// Displayed in one line, `FILE:LINE: KEY = VALUE: what is allowed`. Keys and values that are or
/// look like secrets are `(hidden)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1 on; none if the file could not be read.
    pub line: Option<usize>,
    /// The key with its whole path, such as `port.wan0.static_keys.ssci`: ports by their name,
    /// peers by their number. None if the file is no TOML.
    pub key: Option<String>,
    /// The value as TOML spells it, or `(missing)`, `(hidden)`, `(a table)`, `(an array)`.
    pub value: Option<String>,
    /// What is allowed.
    pub allowed: String,
}

impl Fault {
    pub(super) fn of_file(file: &Path, reason: String) -> Self {
        Self { file: file_name(file), line: None, key: None, value: None, allowed: reason }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_place(f, &self.file, self.line)?;
        if let Some(key) = &self.key {
            f.write_str(key)?;
            if let Some(value) = &self.value {
                write!(f, " = {value}")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.allowed)
    }
}

/// What a configuration file may say, but should not for long.
///
/// Displayed in one line, `FILE:LINE: KEY: what to do`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1 on.
    pub line: usize,
    /// The key with its whole path, as in [`Fault::key`].
    pub key: String,
    /// What is better.
    pub advice: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_place(f, &self.file, Some(self.line))?;
        write!(f, "{}: {}", self.key, self.advice)
    }
}

fn write_place(f: &mut fmt::Formatter<'_>, file: &str, line: Option<usize>) -> fmt::Result {
    match line {
        Some(line) => write!(f, "{file}:{line}: "),
        None => write!(f, "{file}: "),
    }
}

/// The name of `file` in one line.
pub(super) fn file_name(file: &Path) -> String {
    one_line(&file.to_string_lossy())
}

/// `text` without the characters that would break a line.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

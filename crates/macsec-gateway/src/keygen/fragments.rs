//! `macsec keygen static`: one lab key, as both ends of a link write it into their configuration
//! files.

use std::{
    fmt::{self, Write as _},
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use macsec::{CipherSuite, Sci};
use thiserror::Error;
use zeroize::Zeroizing;

use super::{key_file, random_hex};
use crate::{config::KeyCheck, exit};

/// Options of `macsec keygen static`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The cipher suite: gcm-aes-128, gcm-aes-256, gcm-aes-xpn-128 or gcm-aes-xpn-256
    #[arg(long, value_name = "NAME", default_value_t = CipherSuite::GcmAesXpn256)]
    pub suite: CipherSuite,

    /// The SCI of end A: its uplink's MAC address and a port, as 02-00-00-00-00-01-0001
    #[arg(long, value_name = "SCI")]
    pub sci: Sci,

    /// The SCI of end B, another one
    #[arg(long, value_name = "SCI")]
    pub peer: Sci,

    /// Write the SAK to a new file in this directory instead of printing it
    #[arg(long, value_name = "DIR")]
    pub write_keys: Option<PathBuf>,
}

/// Makes the key and prints a fragment for each end.
#[must_use]
pub fn run(options: &Options) -> ExitCode {
    match make(options) {
        Ok(text) => {
            print!("{}", *text);
            ExitCode::SUCCESS
        }
        Err(error) => exit::cannot_run("keygen static", &error),
    }
}

/// Why there are no fragments.
#[derive(Debug, Error)]
enum FragmentError {
    #[error("--peer: must differ from --sci, else both ends use the same nonces")]
    SameSci,
    #[error("no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    #[error("--write-keys {}: {error}", .path.display())]
    KeyFile { path: PathBuf, error: io::Error },
    #[error("--write-keys {}: must be a path in UTF-8", .0.display())]
    NoText(PathBuf),
}

fn make(options: &Options) -> Result<Zeroizing<String>, FragmentError> {
    let (a, b) = (options.sci, options.peer);
    if a == b {
        return Err(FragmentError::SameSci);
    }
    let mut octets = Zeroizing::new(vec![0; options.suite.key_len()]);
    getrandom::fill(&mut octets)?;
    let sak = Zeroizing::new(hex::encode(&*octets));
    let salt = options.suite.is_xpn().then(|| random_hex(SALT_LEN)).transpose()?;
    let file = match &options.write_keys {
        Some(directory) => Some(write_key(directory, KeyCheck::of_octets(&octets), &sak)?),
        None => None,
    };
    let key = match &file {
        Some(path) => SakLine::File(path),
        None => SakLine::Inline(&sak),
    };
    let fragment = |end, own, peer| Fragment {
        end,
        suite: options.suite,
        own,
        peer,
        key,
        salt: salt.as_deref(),
    };
    // With room for all of it: a text that grows leaves copies behind.
    let path_len = file.as_ref().map_or(0, String::len);
    let mut text = Zeroizing::new(String::with_capacity(4096 + 4 * path_len));
    // Writing to a text cannot fail.
    let _ = write!(text, "{}\n{}", fragment('A', a, b), fragment('B', b, a));
    Ok(text)
}

const SALT_LEN: usize = 12;

/// Writes `sak` to a new file in `directory` that only its owner can read, and gives the whole
/// path.
fn write_key(directory: &Path, check: KeyCheck, sak: &str) -> Result<String, FragmentError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        |error| FragmentError::KeyFile { path, error }
    };
    // The configuration may be anywhere else.
    let directory = fs::canonicalize(directory).map_err(failed(directory))?;
    // Half of the name will do, and what has as many digits as a key is taken for one in messages.
    let path = directory.join(format!("static-{:.16}.sak", check.to_string()));
    let text = path.to_str().ok_or_else(|| FragmentError::NoText(path.clone()))?.to_owned();
    key_file::write(&path, sak).map_err(failed(&path))?;
    Ok(text)
}

/// What one end pastes.
struct Fragment<'a> {
    end: char,
    suite: CipherSuite,
    own: Sci,
    peer: Sci,
    key: SakLine<'a>,
    salt: Option<&'a String>,
}

/// How the fragment names the SAK.
#[derive(Clone, Copy)]
enum SakLine<'a> {
    Inline(&'a str),
    File(&'a str),
}

impl fmt::Display for Fragment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As MKA would assign them: the greatest SCI gets SSCI 1.
        let (own_ssci, peer_ssci) = if self.own > self.peer { (1, 2) } else { (2, 1) };
        writeln!(
            f,
            "# end {}: for the end of its [[port]]. For labs: this key is never replaced.",
            self.end
        )?;
        writeln!(f, "sci = \"{}\"", self.own)?;
        writeln!(f, "cipher_suite = \"{}\"", self.suite)?;
        writeln!(f, "\n[port.static_keys]")?;
        writeln!(f, "# Remove this line after the first start: it hides the loss of PN marks.")?;
        writeln!(f, "first_use = true")?;
        match self.key {
            SakLine::Inline(sak) => writeln!(f, "sak = \"{sak}\"")?,
            SakLine::File(path) => {
                writeln!(f, "# Both ends need this file, readable by its owner only.")?;
                writeln!(f, "sak_file = {}", Quoted(path))?;
            }
        }
        if let Some(salt) = self.salt {
            writeln!(f, "salt = \"{salt}\"")?;
            writeln!(f, "ssci = {own_ssci}")?;
        }
        writeln!(f, "\n[[port.static_keys.peer]]")?;
        writeln!(f, "sci = \"{}\"", self.peer)?;
        if self.salt.is_some() {
            writeln!(f, "ssci = {peer_ssci}")?;
        }
        Ok(())
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

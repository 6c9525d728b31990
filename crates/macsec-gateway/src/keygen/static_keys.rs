//! `macsec keygen static`: one lab key, as both ends of a link write it into their configuration
//! files.

use std::{fmt, path::PathBuf, process::ExitCode};

use clap::Args;
use macsec::{CipherSuite, Sci};
use zeroize::Zeroizing;

use super::{
    fragments::{FragmentError, NewKey, PlacedKey, both_ends, print},
    random_hex,
};

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
    print("keygen static", make(options))
}

fn make(options: &Options) -> Result<Zeroizing<String>, FragmentError> {
    let (a, b) = (options.sci, options.peer);
    if a == b {
        return Err(FragmentError::SameSci);
    }
    let sak = NewKey::new("sak", options.suite.key_len())?;
    let salt = options.suite.is_xpn().then(|| random_hex(SALT_LEN)).transpose()?;
    let sak = sak.place("static", options.write_keys.as_deref())?;
    let salt = salt.as_deref().map(String::as_str);
    let fragment =
        |end, own, peer| Fragment { end, suite: options.suite, own, peer, sak: &sak, salt };
    Ok(both_ends(&fragment('A', a, b), &fragment('B', b, a)))
}

const SALT_LEN: usize = 12;

/// What one end pastes.
struct Fragment<'a> {
    end: char,
    suite: CipherSuite,
    own: Sci,
    peer: Sci,
    sak: &'a PlacedKey,
    salt: Option<&'a str>,
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
        write!(f, "{}", self.sak)?;
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

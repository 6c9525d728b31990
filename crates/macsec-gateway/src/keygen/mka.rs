//! `macsec keygen mka`: one CAK and its CKN, as both ends of a link write them into their
//! configuration files.

use std::{fmt, path::PathBuf, process::ExitCode};

use clap::Args;
use macsec::CipherSuite;
use mka::Ckn;
use zeroize::Zeroizing;

use super::{
    fragments::{FragmentError, NewKey, PlacedKey, both_ends, print},
    parse_bits, random_hex,
};

/// Options of `macsec keygen mka`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Bits of the CAK
    #[arg(long, value_name = "BITS", default_value_t = 256, value_parser = parse_bits)]
    pub bits: usize,

    /// The cipher suite that a key server chooses; by default XPN with as many bits as the CAK
    #[arg(long, value_name = "NAME")]
    pub suite: Option<CipherSuite>,

    /// The CKN: 2 to 64 hexadecimal digits, an even number of them; by default random ones
    #[arg(long, value_name = "HEX")]
    pub ckn: Option<Ckn>,

    /// Octets of a random CKN, 1 to 32
    #[arg(long, value_name = "OCTETS", default_value_t = 16, conflicts_with = "ckn",
          value_parser = parse_ckn_len)]
    pub ckn_len: usize,

    /// Write the CAK to a new file in this directory instead of printing it
    #[arg(long, value_name = "DIR")]
    pub write_keys: Option<PathBuf>,
}

/// Makes the key and prints a fragment for each end.
#[must_use]
pub fn run(options: &Options) -> ExitCode {
    print("keygen mka", make(options))
}

fn make(options: &Options) -> Result<Zeroizing<String>, FragmentError> {
    let cak = NewKey::new("cak", options.bits / 8)?;
    let ckn = match &options.ckn {
        Some(ckn) => ckn.to_string(),
        None => random_hex(options.ckn_len)?.to_string(),
    };
    let suite = options.suite.unwrap_or(match options.bits {
        128 => CipherSuite::GcmAesXpn128,
        _ => CipherSuite::GcmAesXpn256,
    });
    let cak = cak.place("mka", options.write_keys.as_deref())?;
    let fragment = |end, priority| Fragment { end, ckn: &ckn, cak: &cak, priority, suite };
    Ok(both_ends(&fragment('A', 16), &fragment('B', 32)))
}

/// What one end pastes.
struct Fragment<'a> {
    end: char,
    ckn: &'a str,
    cak: &'a PlacedKey,
    priority: u8,
    suite: CipherSuite,
}

impl fmt::Display for Fragment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# end {}: for the end of its [[port]].", self.end)?;
        writeln!(f, "[port.mka]")?;
        writeln!(f, "ckn = \"{}\"", self.ckn)?;
        write!(f, "{}", self.cak)?;
        writeln!(f, "# The end with the lesser one makes the SAKs.")?;
        writeln!(f, "key_server_priority = {}", self.priority)?;
        writeln!(f, "cipher_suites = [\"{}\"]", self.suite)
    }
}

fn parse_ckn_len(text: &str) -> Result<usize, String> {
    let len = text.parse().ok().filter(|len| (1..=Ckn::MAX_LEN).contains(len));
    len.ok_or_else(|| format!("must be 1 to {}", Ckn::MAX_LEN))
}

//! `macsec keygen`: keys from the system's random number generator.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::exit;

mod fragments;
mod key_file;
pub mod mka;
pub mod static_keys;

/// Options of `macsec keygen`.
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Options {
    /// Parts of a configuration file instead of bare keys
    #[command(subcommand)]
    pub fragments: Option<Fragments>,

    /// Which key to make
    #[arg(value_enum, default_value_t = Kind::All)]
    pub kind: Kind,

    /// Bits of the CAK and the SAK
    #[arg(long, value_name = "BITS", default_value_t = 256, value_parser = parse_bits)]
    pub bits: usize,

    /// Print one JSON object
    #[arg(long, conflicts_with = "out")]
    pub json: bool,

    /// Write the key (`cak` or `sak`) to a new file that only its owner may read
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Which parts of a configuration file `macsec keygen` can make.
#[derive(Subcommand, Clone, Debug)]
pub enum Fragments {
    /// A CAK and its CKN for both ends of a link, ready to be pasted into their configuration files
    Mka(mka::Options),
    /// Static keys for both ends of a link in a lab, likewise
    Static(static_keys::Options),
}

/// What `macsec keygen` can make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A CKN with its CAK, and a SAK
    All,
    /// The long-lived secret that MKA starts from, shared by the ends of a link
    Cak,
    /// The name of a CAK: 32 octets, no secret
    Ckn,
    /// The key of one SA, for static keys in a lab
    Sak,
}

/// What was made. Serialized as it is printed; there is no `Debug`.
#[derive(Serialize)]
struct Keys {
    #[serde(skip_serializing_if = "Option::is_none")]
    ckn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cak: Option<Zeroizing<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sak: Option<Zeroizing<String>>,
}

const CKN_LEN: usize = 32;

/// Makes the keys and prints them.
#[must_use]
pub fn run(options: &Options) -> ExitCode {
    match &options.fragments {
        Some(Fragments::Mka(options)) => return mka::run(options),
        Some(Fragments::Static(options)) => return static_keys::run(options),
        None => {}
    }
    let keys = match make(options) {
        Ok(keys) => keys,
        Err(error) => {
            return exit::cannot_run("keygen", &format_args!("no random numbers: {error}"));
        }
    };
    let Some(path) = &options.out else {
        print(&keys, options.json);
        return ExitCode::SUCCESS;
    };
    let key = match options.kind {
        Kind::Cak => keys.cak.as_ref(),
        Kind::Sak => keys.sak.as_ref(),
        Kind::All | Kind::Ckn => None,
    };
    let Some(key) = key else {
        return exit::cannot_run("keygen", &"--out: takes one key: cak or sak");
    };
    match key_file::write(path, key) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::cannot_run("keygen", &format_args!("{}: {error}", path.display())),
    }
}

fn make(options: &Options) -> Result<Keys, getrandom::Error> {
    let wants = |kind| options.kind == Kind::All || options.kind == kind;
    let key = |wanted: bool| wanted.then(|| random_hex(options.bits / 8)).transpose();
    Ok(Keys {
        ckn: wants(Kind::Ckn).then(|| random_hex(CKN_LEN)).transpose()?.map(|ckn| ckn.to_string()),
        cak: key(wants(Kind::Cak))?,
        sak: key(wants(Kind::Sak))?,
    })
}

fn print(keys: &Keys, json: bool) {
    if json {
        // Not printed through a buffer that grows, as each of its sizes would keep a copy.
        let mut json = Zeroizing::new(Vec::with_capacity(512));
        match serde_json::to_writer(&mut *json, keys) {
            Ok(()) => println!("{}", String::from_utf8_lossy(&json)),
            Err(error) => unreachable!("strings always serialize: {error}"),
        }
        return;
    }
    let named =
        [("ckn", keys.ckn.as_ref()), ("cak", keys.cak.as_deref()), ("sak", keys.sak.as_deref())];
    for (name, key) in named {
        if let Some(key) = key {
            println!("{name} = \"{key}\"");
        }
    }
}

/// `len` random octets as hexadecimal digits.
fn random_hex(len: usize) -> Result<Zeroizing<String>, getrandom::Error> {
    let mut octets = Zeroizing::new(vec![0; len]);
    getrandom::fill(&mut octets)?;
    Ok(Zeroizing::new(hex::encode(&*octets)))
}

fn parse_bits(text: &str) -> Result<usize, String> {
    match text {
        "128" => Ok(128),
        "256" => Ok(256),
        _ => Err("must be 128 or 256".to_owned()),
    }
}

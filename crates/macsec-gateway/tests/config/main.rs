//! The configuration file: what is taken for what, and every fault with its line.

#[path = "../common/mod.rs"]
mod common;

mod accepted;
mod agreed;
mod faults;
mod mka_keys;
mod profiles;
mod properties;
mod secrets;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use macsec_gateway::config::{Config, Loaded};
use tempfile::TempDir;

/// A SAK for each length.
const SAK_128: &str = "00112233445566778899aabbccddee01";
const SAK_256: &str = "00112233445566778899aabbccddee0200112233445566778899aabbccddee02";
const SALT: &str = "e6a1b2c3d4e5f60718293a4b";

/// A directory with a configuration file and these keys: `k128`, `k256`.
struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { directory: tempfile::tempdir().expect("a directory") };
        place.write("k128", format!("{SAK_128}\n"), 0o600);
        place.write("k256", format!("{SAK_256}\n"), 0o600);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("ours");
        path
    }

    /// Loads `text`: the configuration, or the faults as they are displayed, less the name of the file.
    fn load(&self, text: impl AsRef<[u8]>) -> Result<Loaded, Vec<String>> {
        load(&self.write("c.toml", text, 0o600))
    }

    /// The faults of `text`.
    fn faults(&self, text: impl AsRef<[u8]>) -> Vec<String> {
        match self.load(text) {
            Ok(_) => Vec::new(),
            Err(faults) => faults,
        }
    }
}

#[track_caller]
fn check(text: impl AsRef<[u8]>, expected: &[&str]) {
    assert_eq!(Place::new().faults(text), expected);
}

/// The warnings of `text`, less the name of the file.
#[track_caller]
fn warnings(text: &str) -> Vec<String> {
    let place = Place::new();
    let warnings = place.load(text).expect("no fault").warnings;
    let file = place.path("c.toml").display().to_string();
    let displayed = warnings.iter().map(ToString::to_string);
    displayed.map(|text| text.strip_prefix(&file).expect("names the file").to_owned()).collect()
}

fn load(file: &Path) -> Result<Loaded, Vec<String>> {
    let name = file.to_str().expect("UTF-8");
    Config::load(file).map_err(|faults| {
        let displayed = faults.iter().map(ToString::to_string);
        displayed.map(|text| text.strip_prefix(name).expect("names the file").to_owned()).collect()
    })
}

/// A file with one port, whose lines from 4 on are `lines`.
fn port(lines: &str) -> String {
    format!("[[port]]\nname = \"wan0\"\nuplink = \"eth1\"\n{lines}\n")
}

/// A file with one port without XPN; the lines from 6 on are `lines`, within its static keys.
fn keyed(lines: &str) -> String {
    port(&format!("cipher_suite = \"gcm-aes-128\"\n[port.static_keys]\n{lines}"))
}

/// A file with one port with XPN; the lines from 7 on are `lines`, within its static keys.
fn keyed_xpn(lines: &str) -> String {
    port(&format!(
        "cipher_suite = \"gcm-aes-xpn-256\"\nsci = \"020000000001000a\"\n[port.static_keys]\n{lines}"
    ))
}

/// What every file with static keys needs, in one line.
const PEER: &str = "peer = [{ sci = \"02-00-00-00-00-02-0001\" }]";
const PEER_XPN: &str = "peer = [{ sci = \"02-00-00-00-00-02-0001\", ssci = 2 }]";

//! The records of packet numbers, for static keys. Only looked at, never locked.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use macsec::Sci;

use super::Finding;
use crate::{
    config::{PortConfig, StaticKeys},
    pn_store::{NonceIdentity, receive_path, transmit_path},
};

const CHECK: &str = "state";

/// Whether the directory is one that a gateway takes.
pub(super) fn directory(path: &Path) -> Finding {
    let shown = path.display();
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Finding::note(
                CHECK,
                format!("{shown} is not there"),
                "The first start makes it. If it has been there before, its packet numbers are \
                 lost: make new keys.",
            );
        }
        Err(error) => {
            return Finding::problem(CHECK, format!("{shown}: {error}"), "Run this as root.");
        }
    };
    if !metadata.is_dir() {
        let advice = "Set state_directory to a directory.";
        return Finding::problem(CHECK, format!("{shown} is no directory"), advice);
    }
    let owner = rustix::process::geteuid().as_raw();
    if metadata.uid() != owner {
        let seen = format!("{shown} belongs to user {}, this is user {owner}", metadata.uid());
        let advice = "Give it to the user that runs the gateway (chown).";
        return Finding::problem(CHECK, seen, advice);
    }
    if metadata.mode() & 0o022 != 0 {
        let seen = format!("{shown} has mode {:04o}", metadata.mode() & 0o7777);
        let advice = format!("Only its owner may write to it: chmod 700 {shown}.");
        return Finding::problem(CHECK, seen, advice);
    }
    Finding::ok(CHECK, format!("{shown} is its owner's only"))
}

/// Whether the packet numbers of the port's static keys are on record. `sci`: that of the port.
pub(super) fn marks(directory: &Path, port: &PortConfig, sci: Option<Sci>) -> Vec<Finding> {
    if port.mka.is_some() {
        // Its keys are fresh with every session.
        return Vec::new();
    }
    let Some(keys) = &port.static_keys else {
        let advice = "Give it [port.mka]: `macsec keygen mka` prints both ends' parts.";
        let seen = "no keys: the port stays closed";
        return vec![Finding::warning("keys", seen, advice).of_port(&port.name)];
    };
    let missing: Vec<_> =
        paths(directory, keys, sci).into_iter().filter(|path| is_missing(path)).collect();
    let finding = match (missing.first(), keys.first_use) {
        (None, _) => Finding::ok(CHECK, "the packet numbers of all keys are on record"),
        (Some(_), true) => Finding::note(
            CHECK,
            "no packet numbers on record, and first_use is on: taken for keys never used",
            "If they have been used before, here or anywhere, make new ones. Remove first_use \
             after the first start.",
        ),
        (Some(path), false) => Finding::problem(
            CHECK,
            format!(
                "{} of {} files missing: {}",
                missing.len(),
                keys.peers.len() + 1,
                path.display()
            ),
            "If the key has never been used, set first_use = true for the first start. If it has, \
             the record is lost: make a new key (`macsec keygen static`).",
        ),
    };
    vec![finding.of_port(&port.name)]
}

/// Where the marks are. Ours is left out if the SCI that names it is not known.
fn paths(directory: &Path, keys: &StaticKeys, sci: Option<Sci>) -> Vec<PathBuf> {
    let key = &keys.key;
    let ours = match (keys.ssci.zip(key.salt), sci) {
        (None, None) => None,
        (_, sci) => Some(NonceIdentity::of(sci.unwrap_or_default(), keys.ssci, key.salt)),
    };
    let ours = ours.map(|identity| transmit_path(directory, &key.check.0, &identity));
    let peers = keys.peers.iter().map(|peer| {
        let key = peer.key.as_ref().unwrap_or(&keys.key);
        let identity = NonceIdentity::of(peer.sci, peer.ssci, key.salt);
        receive_path(directory, &key.check.0, &identity)
    });
    ours.into_iter().chain(peers).collect()
}

fn is_missing(path: &Path) -> bool {
    fs::exists(path).is_ok_and(|there| !there)
}

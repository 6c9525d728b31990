//! What an interface was like before it was taken, and the file that remembers it.

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::fs::MetadataExt,
    path::Path,
};

use macsec_io::{
    netlink::{Link, Netlink},
    offload::Features,
    sysctl,
};
use serde::{Deserialize, Serialize};

use super::{UplinkError, place::Place};
use crate::private_dir::{PrivateDir, PrivateDirError};

/// Much more than a record takes.
const MAX_FILE: u64 = 1 << 16;

/// The state that is put back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Original {
    /// Names the run of the kernel, and the host's namespace: in another one nothing is left to be put
    /// back.
    world: String,
    /// The interface's index in the host's namespace.
    pub(super) index: u32,
    pub(super) up: bool,
    pub(super) arp: bool,
    pub(super) mtu: u32,
    /// `None` where there was no IPv6 to be disabled.
    pub(super) ipv6_disabled: Option<bool>,
    features: Vec<[u32; 2]>,
    /// There was an (empty) `clsact`, to be kept.
    pub(super) clsact: bool,
}

impl Original {
    /// The interface `link` as it is now, in `place`.
    pub(super) fn of(link: &Link, place: &Place) -> Result<Self, UplinkError> {
        let name = &link.name;
        let qdiscs = place.netlink(name, Netlink::qdiscs)?;
        Ok(Self {
            world: world(),
            index: link.index,
            up: link.up,
            arp: link.arp,
            mtu: link.mtu,
            ipv6_disabled: place.ipv6(name, sysctl::is_ipv6_disabled)?,
            features: place.offloads(name, Features::of)?.words().to_vec(),
            clsact: qdiscs.iter().any(|qdisc| qdisc.kind == "clsact"),
        })
    }

    /// Whether this is of `link`, found in the host's namespace: not of another of the same name. As
    /// long as the kernel runs it gives an index to one interface only. The MAC address says nothing: it
    /// may be changed at any time.
    pub(super) fn is_of(&self, link: &Link) -> bool {
        self.index == link.index
    }

    pub(super) fn features(&self) -> Features {
        Features::from_words(self.features.clone())
    }
}

/// The file with the [`Original`] of one interface, in a directory where nobody else can put or change
/// one: what it says is done to the host's interfaces.
#[derive(Debug)]
pub(super) struct Record {
    directory: PrivateDir,
    name: String,
}

impl Record {
    /// The directory is made if there is none.
    pub(super) fn new(directory: &Path, name: &str) -> Result<Self, UplinkError> {
        Ok(Self { directory: open_records(directory)?, name: format!("{name}.uplink.json") })
    }

    /// What an earlier run found, in this run of the kernel, and has not put back.
    pub(super) fn read(&self) -> Result<Option<Original>, UplinkError> {
        let Some(file) = self.directory.open_file(&self.name).map_err(|e| self.failed(e))? else {
            return Ok(None);
        };
        let mut octets = Vec::new();
        file.take(MAX_FILE).read_to_end(&mut octets).map_err(|e| self.failed(e))?;
        let original: Original =
            serde_json::from_slice(&octets).map_err(|e| self.failed(e.into()))?;
        Ok((original.world == world()).then_some(original))
    }

    /// Replaces the file as a whole: a run that is killed here leaves the old one or the new one.
    pub(super) fn write(&self, original: &Original) -> Result<(), UplinkError> {
        let new = format!("{}.new", self.name);
        let write = || {
            let text = serde_json::to_vec_pretty(original)?;
            self.directory.create_file(&new)?.write_all(&text)?;
            self.directory.rename(&new, &self.name)
        };
        write().map_err(|e| self.failed(e))
    }

    pub(super) fn remove(&self) -> Result<(), UplinkError> {
        self.directory.remove(&self.name).map_err(|e| self.failed(e))
    }

    fn failed(&self, source: io::Error) -> UplinkError {
        UplinkError::Record { path: self.directory.path(&self.name), source }
    }
}

/// Opens (and makes) the directory of the records.
pub(super) fn open_records(path: &Path) -> Result<PrivateDir, UplinkError> {
    PrivateDir::open(path).map_err(|error| match error {
        PrivateDirError::NotPrivate => UplinkError::NotPrivate(path.to_owned()),
        PrivateDirError::Io(source) => UplinkError::Record { path: path.to_owned(), source },
    })
}

/// A name for the kernel's present run and for the network namespace of this thread, the host's.
fn world() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = fs::metadata("/proc/thread-self/ns/net").map_or(0, |file| file.ino());
    format!("{} {namespace}", boot.trim())
}

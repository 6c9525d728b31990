//! The configuration file: TOML in, types out that hold only what is allowed.
//!
//! [`Config::load`] gives a whole configuration or every fault of the file at once, each in one
//! line with its place. Whoever has a [`Config`] need not check it again: names are unique, keys
//! fit their suites, and no two ends use one SAK with the same nonces. What only the machine knows,
//! whether an uplink is there and what MTU it has, is found out at the start.
//!
//! | file | what is in it |
//! |---|---|
//! | `capture_keys` | the keys that open a capture: no configuration, but read in the same way |
//! | `fault` | what is wrong, in one line |
//! | `reader` | tables read key by key, with the place of every value |
//! | `port` | what a port is made of |
//! | `mka` | how a port agrees on keys |
//! | `mka_keys` | the CAKs of a port, and when each is valid |
//! | `profile` | defaults for the edges of clouds |
//! | `timestamp` | instants |
//! | `static_keys`, `key` | keys given by hand |
//! | `key_text` | where the octets of a key come from |
//! | `private_file` | files that only their owner may read |
//! | `registry` | what must not occur twice in a file |

mod capture_keys;
mod fault;
mod key;
mod key_text;
mod mka;
mod mka_keys;
mod port;
mod private_file;
mod profile;
mod reader;
mod registry;
mod static_keys;
mod timestamp;

use std::path::{Path, PathBuf};

use macsec::{An, CipherSuite, Confidentiality, MacAddress, Sci, Ssci};
use toml::de::DeTable;

use crate::port::{Room, inner_mtu};

pub(crate) use capture_keys::{CaptureKeys, SaFields, SaRule};
pub use fault::{Fault, Warning};
pub use key::{Key, KeyCheck};
pub(crate) use key_text::{MAX_KEY_TEXT, parse_cak, read_key_file};
pub use mka::{MkaConfig, Policy};
pub use mka_keys::{CakKey, MAX_KEYS, MkaKey};
use private_file::Contents;
pub use profile::{Profile, UsedProfile, UsedSetting};
use reader::{Report, Table};
use registry::Registry;
pub use timestamp::{Timestamp, TimestampError};

/// Where the control socket is, unless the file says otherwise.
pub const DEFAULT_CONTROL_SOCKET: &str = "/run/macsec/control.sock";
/// Where the PN marks are kept, unless the file says otherwise.
pub const DEFAULT_STATE_DIRECTORY: &str = "/var/lib/macsec";
/// The name of the private network namespace, unless the file says otherwise.
pub const DEFAULT_NAMESPACE: &str = "macsec";

/// The most peers that a port has: with it, there are 32 in a CA.
pub const MAX_PEERS: usize = 31;

/// Octets of a configuration file at most.
const MAX_FILE: usize = 256 * 1024;
/// Octets of the path of a Unix socket at most: `sun_path` less a NUL.
const MAX_SOCKET_PATH: usize = 107;

/// A configuration file, valid as a whole.
#[derive(Debug, PartialEq)]
pub struct Config {
    /// The Unix socket that `macsec status` and its kin talk to: an absolute path of at most 107
    /// octets. Default [`DEFAULT_CONTROL_SOCKET`].
    pub control_socket: PathBuf,
    /// The directory of the PN marks: an absolute path. Default [`DEFAULT_STATE_DIRECTORY`].
    pub state_directory: PathBuf,
    /// The network namespace of the uplinks with [`Isolation::Namespace`]: the name below
    /// `/run/netns`. 1 to 64 letters, digits, `-` and `_`. Default [`DEFAULT_NAMESPACE`].
    pub namespace: String,
    /// The ports, in the order of the file; at least one.
    pub ports: Vec<PortConfig>,
}

/// A configuration, and what a careful operator would change about it.
#[derive(Debug, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What is allowed, but should not stay. In the order of the file.
    pub warnings: Vec<Warning>,
    /// The profiles that ports use, in the order of the file.
    pub profiles: Vec<UsedProfile>,
}

/// How the host's own stack is kept away from an uplink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// `namespace`: the uplink is moved to a private network namespace.
    #[default]
    Namespace,
    /// `filter`: the uplink stays, and filters drop whatever is not ours.
    Filter,
}

/// `[[port]]`: a SecY between an uplink and a TAP.
#[derive(Debug, PartialEq)]
pub struct PortConfig {
    /// What the port is called: 1 to 15 letters, digits, `-` and `_`. No two ports share it.
    pub name: String,
    /// The interface that is the wire. No two ports share it, and it is nobody's TAP.
    pub uplink: String,
    /// How the host is kept away from the uplink. Default [`Isolation::Namespace`].
    pub isolation: Isolation,
    /// The MTU to set on the uplink, 256 to 64978. Default: it is left as it is.
    pub uplink_mtu: Option<u32>,
    /// Whether the uplink takes frames for any address. Default false.
    pub promiscuous: bool,
    /// The interface that the host uses, new or an existing persistent TAP. No two ports share it.
    /// Default: the name of the port.
    pub tap: String,
    /// The MAC address of the TAP, an individual one. Default: the uplink's.
    pub mac: Option<MacAddress>,
    /// The MTU of the TAP, 68 to 65521. Default: the greatest that fits,
    /// [`PortConfig::greatest_mtu`]. If `uplink_mtu` is given, it fits.
    pub mtu: Option<u32>,
    /// How many VLAN tags the hosts put inside, 0 to 2. Default 0. Room is left for these.
    pub inner_vlan_tags: u8,
    /// The SCI that the port transmits as. Default: the uplink's MAC address and port 0001.
    pub sci: Option<Sci>,
    /// The cipher suite. Default GCM-AES-XPN-256. With MKA the most wanted one; a key server may
    /// choose another of [`MkaConfig::suites`].
    pub cipher_suite: CipherSuite,
    /// Whether, and from where on, User Data is encrypted. Default: all of it. An XPN suite has no
    /// offset.
    pub confidentiality: Confidentiality,
    /// The other controls of the SecY; they do not exclude each other and suit the suite and the
    /// SCI. `max_frame_octets` is left at no limit, as it follows from the uplink.
    pub controls: macsec::Config,
    /// EtherTypes that pass without MACsec, ascending. Never EAPOL, MACsec or a VLAN tag's. Default
    /// none.
    pub bypass: Vec<u16>,
    /// How keys are agreed upon. Never together with `static_keys`; without either the port stays
    /// closed.
    pub mka: Option<MkaConfig>,
    /// Keys given by hand.
    pub static_keys: Option<StaticKeys>,
}

impl PortConfig {
    /// The greatest MTU that the TAP can have over an uplink with MTU `uplink`: less SecTAG and
    /// ICV, and the VLAN tags inside.
    #[must_use]
    pub fn greatest_mtu(&self, uplink: u32) -> u32 {
        inner_mtu(uplink, self.inner_vlan_tags, self.controls.clear_vlan_tags)
    }

    /// How many peers and SAKs the port needs room for: no less than by default, so that most
    /// changes of a configuration fit what is there.
    #[must_use]
    pub fn room(&self) -> Room {
        let Room { peers, keys } = Room::default();
        if let Some(mka) = &self.mka {
            // Each peer may be replaced while the SC of the former is still there.
            return Room { peers: peers.max(2 * mka.max_peers), keys };
        }
        let given = self.static_keys.as_ref().map_or(0, |keys| keys.peers.len());
        Room { peers: peers.max(given), keys: keys.max(given + 1) }
    }
}

/// `[port.static_keys]`: keys given by hand, for labs.
#[derive(Debug, PartialEq)]
pub struct StaticKeys {
    /// Takes a key whose PN marks are missing for one that was never used. Default false.
    pub first_use: bool,
    /// The AN that we transmit with, 0 to 3. Default 0.
    pub an: An,
    /// Our SSCI, at least 1: there if the suite is XPN, and no peer under our key has the same.
    pub ssci: Option<Ssci>,
    /// The key that we transmit with, and receive with unless the peer has its own. It fits the
    /// suite.
    pub key: Key,
    /// The other ends, 1 to [`MAX_PEERS`]. Their SCIs differ from each other, and from ours if that
    /// is given.
    pub peers: Vec<Peer>,
}

impl StaticKeys {
    /// Whether the same SAs are made of both. `first_use` is only about the record at the start.
    #[must_use]
    pub fn gives_same_sas(&self, other: &Self) -> bool {
        let sas = |keys: &Self| (keys.an, keys.ssci);
        sas(self) == sas(other) && self.key == other.key && self.peers == other.peers
    }
}

/// `[[port.static_keys.peer]]`: another end.
#[derive(Debug, PartialEq)]
pub struct Peer {
    /// The SCI that it transmits as.
    pub sci: Sci,
    /// Its SSCI, at least 1: there if the suite is XPN.
    pub ssci: Option<Ssci>,
    /// The AN that it transmits with, 0 to 3. Default: that of the static keys.
    pub an: An,
    /// The key that it transmits with. Default: that of the static keys.
    pub key: Option<Key>,
}

impl Config {
    /// Reads `file`, and the key files that it names: relative paths start at its directory.
    ///
    /// # Errors
    /// Every fault of the file, in the order of the lines.
    pub fn load(file: &Path) -> Result<Loaded, Vec<Fault>> {
        let contents = Contents::read(file, MAX_FILE)
            .map_err(|reason| vec![Fault::of_file(file, reason.to_string())])?;
        parse(file, &contents)
    }
}

fn parse(file: &Path, contents: &Contents) -> Result<Loaded, Vec<Fault>> {
    let text = match std::str::from_utf8(&contents.octets) {
        Ok(text) => text,
        Err(error) => {
            let report = Report::new(file, &contents.octets);
            return Err(report.syntax(error.valid_up_to(), "must be UTF-8"));
        }
    };
    let mut report = Report::new(file, &contents.octets);
    // A syntax error holds a copy of the text, which the library does not erase.
    let root = match DeTable::parse(text) {
        Ok(root) => root.into_inner(),
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            return Err(report.syntax(at, error.message()));
        }
    };
    let source = Source {
        directory: file.parent().unwrap_or(Path::new("")),
        inline: contents
            .exposure
            .as_ref()
            .map_or(Inline::Unwise, |exposure| Inline::Refused(exposure.to_string())),
    };
    let config = read(&mut report, Table::root(root), &source);
    report.finish(config)
}

/// What the reading of keys needs to know of the file they are named in.
struct Source<'a> {
    directory: &'a Path,
    inline: Inline,
}

/// Whether the file is a place for a key.
enum Inline {
    /// No: why.
    Refused(String),
    /// There are better ones.
    Unwise,
    /// It is there for keys, but others can read it.
    Exposed(String),
    /// It is there for keys.
    Meant,
}

fn read(report: &mut Report, mut table: Table, source: &Source) -> Option<Config> {
    let control_socket = table.text(report, "control_socket", SOCKET_RULE, |path| {
        (is_absolute(path) && path.len() <= MAX_SOCKET_PATH).then(|| PathBuf::from(path))
    });
    let state_directory = table.text(report, "state_directory", "an absolute path", |path| {
        is_absolute(path).then(|| PathBuf::from(path))
    });
    let namespace = table.text(report, "namespace", NAMESPACE_RULE, |name| {
        (matches!(name.len(), 1..=64) && port::is_plain(name)).then(|| name.to_owned())
    });
    let mut registry = Registry::default();
    let ports: Vec<_> = table
        .tables(report, "port", 1..=usize::MAX, "at least one [[port]]")
        .into_iter()
        .map(|port| port::read(report, port, source, &mut registry))
        .collect();
    table.finish(report);
    Some(Config {
        control_socket: control_socket
            .map_or_else(|| DEFAULT_CONTROL_SOCKET.into(), |found| found.value),
        state_directory: state_directory
            .map_or_else(|| DEFAULT_STATE_DIRECTORY.into(), |found| found.value),
        namespace: namespace.map_or_else(|| DEFAULT_NAMESPACE.to_owned(), |found| found.value),
        ports: ports.into_iter().collect::<Option<_>>()?,
    })
}

const SOCKET_RULE: &str = "an absolute path of at most 107 octets";
const NAMESPACE_RULE: &str = "1 to 64 letters, digits, '-' and '_'";

fn is_absolute(path: &str) -> bool {
    Path::new(path).is_absolute() && !path.contains('\0')
}

//! The control socket: how other commands talk to a running `macsec run`.
//!
//! A Unix socket that only its owner may use. A connection carries one request and its answer, each
//! one line of JSON:
//!
//! ```text
//! > {"request":"status"}
//! < {"status":{...}}
//! > {"request":"reload","dry_run":true}
//! < {"changes":["port wan0: ..."]}
//! < {"refused":["macsec.toml:12: ..."]}
//! > {"request":"rekey","port":"wan0"}
//! < "no-answer"
//! > {"request":"keys"}
//! < {"keys":[{"port":"wan0","in-use":"6d6b61","keys":[{"ckn":"6d6b61",...}],...}]}
//! > {"request":"key-activate","port":"wan0","ckn":"6d6b62","dry_run":true}
//! < {"key":{"operation":"activate","result":"refused","refusal":"not-live",...}}
//! ```

mod client;
mod keys;
mod rekey;
mod reload;
mod server;
mod status;

use serde::{Deserialize, Serialize};

use crate::status::Status;

pub use crate::config::DEFAULT_CONTROL_SOCKET as DEFAULT_SOCKET;
pub use client::{ControlError, ask};
pub use keys::{
    KeyAnswer, KeyOperation, KeyResult, KeysOptions, PortKeys, RefusalCode, SecretText, keys,
};
pub use rekey::{RekeyOptions, rekey};
pub use reload::{ReloadOptions, reload};
pub(crate) use server::{Question, Server};
pub use status::{StatusOptions, status};

/// The longest line that is read, in octets. The status of a thousand ports fits.
const MAX_LINE: u64 = 16 << 20;
/// The longest request, in octets.
const MAX_REQUEST: usize = 4096;

/// What can be asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// The state of everything.
    Status,
    /// Read the configuration again and apply what has changed.
    Reload {
        /// Only say what would happen.
        #[serde(default)]
        dry_run: bool,
    },
    /// Make a new SAK.
    Rekey {
        /// Where. On all ports with MKA if it is left out.
        #[serde(default)]
        port: Option<String>,
    },
    /// The keys of ports, and how they fare.
    Keys {
        /// Of which. Of all ports with MKA if it is left out.
        #[serde(default)]
        port: Option<String>,
    },
    /// Add a key to a port's.
    KeyAdd {
        /// Which port.
        port: String,
        /// The name of the CAK: 2 to 64 hexadecimal digits.
        ckn: String,
        /// The CAK: 32 or 64 hexadecimal digits.
        cak: SecretText,
        /// From when on it is valid, as RFC 3339 has it.
        #[serde(default)]
        start: Option<String>,
        /// Until when.
        #[serde(default)]
        end: Option<String>,
        /// Whether it stands in for others only.
        #[serde(default)]
        fallback: bool,
        /// Only say what would happen.
        #[serde(default)]
        dry_run: bool,
    },
    /// Prefer a key of a port.
    KeyActivate {
        /// Which port.
        port: String,
        /// The name of the CAK.
        ckn: String,
        /// Only say what would happen.
        #[serde(default)]
        dry_run: bool,
    },
    /// Take a key of a port out of use for good.
    KeyRetire {
        /// Which port.
        port: String,
        /// The name of the CAK.
        ckn: String,
        /// Even if it is in use, or nothing is known of the link. Never the last key.
        #[serde(default)]
        force: bool,
        /// Only say what would happen.
        #[serde(default)]
        dry_run: bool,
    },
}

/// What is answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// The state of everything.
    Status(Box<Status>),
    /// What a reload has changed, or would change, or where new SAKs are made: one line for each.
    Changes(Vec<String>),
    /// Why nothing was done: one line for each reason.
    Refused(Vec<String>),
    /// The keys of ports.
    Keys(Vec<PortKeys>),
    /// What has come of an operation on a key.
    Key(KeyAnswer),
    /// The gateway has not answered in time. What was asked for may still come about.
    NoAnswer,
}

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
//! ```

mod client;
mod rekey;
mod reload;
mod server;
mod status;

use serde::{Deserialize, Serialize};

use crate::status::Status;

pub use crate::config::DEFAULT_CONTROL_SOCKET as DEFAULT_SOCKET;
pub use client::{ControlError, ask};
pub use rekey::{RekeyOptions, rekey};
pub use reload::{ReloadOptions, reload};
pub(crate) use server::{Question, Server};
pub use status::{StatusOptions, status};

/// The longest line that is read, in octets. The status of a thousand ports fits.
const MAX_LINE: u64 = 16 << 20;

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
    /// The gateway has not answered in time. What was asked for may still come about.
    NoAnswer,
}

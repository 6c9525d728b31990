//! What is asked of the keys of a port and answered, as it goes over the control socket.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::status::{CakStatus, KeyServerStatus};

/// A text that nobody is to see: the digits of a CAK. Zeroized on drop.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretText(pub Zeroizing<String>);

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// Something that is done to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyOperation {
    /// A key is added to the port's.
    Add,
    /// A key is preferred.
    Activate,
    /// A key is taken out of use for good.
    Retire,
}

impl KeyOperation {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Activate => "activate",
            Self::Retire => "retire",
        }
    }
}

/// The keys of a port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PortKeys {
    /// The port.
    pub port: String,
    /// Whether the port is open and secured.
    pub secured: bool,
    /// The key server; `None` if there is none.
    pub key_server: Option<KeyServerStatus>,
    /// The CKN of the key in use; `None` if none is.
    pub in_use: Option<String>,
    /// The CKN of the key that was in use before that, if this run of the gateway has seen it.
    pub former: Option<String>,
    /// The keys: those of the configuration, those added, those on their way out.
    pub keys: Vec<CakStatus>,
}

/// What has come of an operation on a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct KeyAnswer {
    /// What was asked for.
    pub operation: KeyOperation,
    /// The port.
    pub port: String,
    /// The key.
    pub ckn: String,
    /// The check value of its CAK, if it is known.
    pub check: Option<String>,
    /// What has come of it.
    pub result: KeyResult,
    /// Why it was refused, if it was.
    pub refusal: Option<RefusalCode>,
    /// The same for people, in one line.
    pub message: String,
}

/// What has come of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyResult {
    /// It is done: durable, and on its way into effect.
    Done,
    /// It is so already.
    NothingToDo,
    /// It would be done, and has not been.
    WouldBeDone,
    /// It is refused, and nothing has changed.
    Refused,
}

impl KeyResult {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NothingToDo => "nothing-to-do",
            Self::WouldBeDone => "would-be-done",
            Self::Refused => "refused",
        }
    }
}

/// Why an operation is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalCode {
    /// There is no such port.
    NoSuchPort,
    /// The port has no `[port.mka]`.
    NoMka,
    /// CKN, CAK or dates are not as they have to be.
    Malformed,
    /// The port has no such key.
    NoSuchKey,
    /// The port has another CAK under this CKN.
    OtherCak,
    /// The port has a fallback already.
    SecondFallback,
    /// The port has as many keys as it may.
    TooManyKeys,
    /// The port does not say how it is.
    NoState,
    /// What is known of a peer is too old.
    StaleState,
    /// The port is not secured.
    NotSecured,
    /// The start of the key is still to come.
    Pending,
    /// The end of the key has passed.
    Expired,
    /// The key is not live with every peer.
    NotLive,
    /// The key is in use.
    InUse,
    /// The key that is to stay has not been in use for long enough.
    NotSettled,
    /// It is the last key that the port can use.
    LastKey,
    /// The operation cannot be written down.
    NotRecorded,
}

impl RefusalCode {
    /// Whether it may pass by itself, as peers come and time goes by.
    #[must_use]
    pub const fn may_pass(self) -> bool {
        use RefusalCode::{InUse, NoState, NotLive, NotSecured, NotSettled, Pending, StaleState};
        matches!(self, NoState | StaleState | NotSecured | Pending | NotLive | InUse | NotSettled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Request;

    #[test]
    fn a_request_shows_no_cak() {
        let text = "{\"request\":\"key-add\",\"port\":\"wan0\",\"ckn\":\"01\",\"cak\":\"5eC7e7\"}";
        let request: Request = serde_json::from_str(text).expect("a request");
        let shown = format!("{request:?}");
        assert!(shown.contains("cak: (hidden)") && !shown.contains("5eC7e7"), "{shown}");
        assert!(serde_json::to_string(&request).expect("JSON").contains("\"cak\":\"5eC7e7\""));
    }

    #[test]
    fn names_are_those_of_the_json() {
        for operation in [KeyOperation::Add, KeyOperation::Activate, KeyOperation::Retire] {
            let json = serde_json::to_string(&operation).expect("JSON");
            assert_eq!(json, format!("\"{}\"", operation.name()));
        }
        use KeyResult::{Done, NothingToDo, Refused, WouldBeDone};
        for result in [Done, NothingToDo, WouldBeDone, Refused] {
            let json = serde_json::to_string(&result).expect("JSON");
            assert_eq!(json, format!("\"{}\"", result.name()));
        }
    }
}

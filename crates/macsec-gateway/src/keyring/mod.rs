//! The keys of a port: which CAKs MKA takes part with, and how much each is preferred.
//!
//! A port has several CAKs at a time: the one in use, the next one, a fallback. Each has a
//! participant of its own, which finds its peers beside the others, so that the port can go over
//! from one to the next without losing a frame. *When* a key has a participant is decided here,
//! from dates and from how the participants fare; *which* of them the port uses is for the key
//! server to say, which goes by the preference that is decided here too ([`mka::Kay`]).
//!
//! | file | what is in it |
//! |---|---|
//! | `decide` | which keys have participants, and how much each is preferred: a pure function |
//! | `store`, `stored` | keys added, activated and retired while the gateway runs, on disk |

mod decide;
mod store;
mod stored;

use mka::{Cak, Ckn};

use crate::config::{KeyCheck, Timestamp};

pub use decide::{KeyTerms, Leave, Phase, Running, decide};
pub use store::{KeyStore, KeyStoreError};
pub use stored::AddedKey;

/// The keys of a port.
#[derive(Clone, Debug, Default)]
pub struct Ring {
    /// Each CKN once: first those of the configuration, then those added.
    pub keys: Vec<RingKey>,
    /// The key that has been activated.
    pub activated: Option<Ckn>,
    /// The one of them that was in use before that.
    pub former: Option<Ckn>,
    /// Keys that have been retired, and are not among these.
    pub retired: Vec<RetiredKey>,
    /// The one that has just been retired by force: it goes whatever becomes of the link.
    pub forced: Option<Ckn>,
}

/// A key of a port. What it shows is no secret.
#[derive(Clone, Debug)]
pub struct RingKey {
    /// The name of the CAK.
    pub ckn: Ckn,
    /// The CAK.
    pub cak: Cak,
    /// The name of the CAK that follows from the key alone.
    pub check: KeyCheck,
    /// Where it comes from.
    pub source: Source,
    /// From when on it is valid; `None`: always was.
    pub start: Option<Timestamp>,
    /// Until when it is valid; `None`: for ever.
    pub end: Option<Timestamp>,
    /// Whether it stands in for others only.
    pub fallback: bool,
}

/// A key that has been retired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetiredKey {
    /// The name of the CAK.
    pub ckn: Ckn,
    /// The name of the CAK that follows from the key alone.
    pub check: KeyCheck,
    /// Whether the configuration still has it.
    pub configured: bool,
}

/// Where a key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// From the configuration file.
    Configuration,
    /// From `macsec keys add`.
    Store,
}

impl Ring {
    /// What is laid down for each key, and for those of `running` that are no longer among them.
    #[must_use]
    pub fn terms(&self, running: &[Running]) -> Vec<KeyTerms> {
        let keys = self.keys.iter().map(|key| KeyTerms {
            ckn: key.ckn,
            start: key.start,
            end: key.end,
            fallback: key.fallback,
            activated: self.activated == Some(key.ckn),
            leave: None,
        });
        let others = running.iter().filter(|run| !self.keys.iter().any(|key| key.ckn == run.ckn));
        let leaving = others.map(|run| KeyTerms {
            ckn: run.ckn,
            start: None,
            end: None,
            fallback: false,
            activated: false,
            leave: Some(self.leave(run.ckn)),
        });
        keys.chain(leaving).collect()
    }

    /// How a key goes that is not among these.
    fn leave(&self, ckn: Ckn) -> Leave {
        if self.forced == Some(ckn) {
            Leave::Forced
        } else if self.retired.iter().any(|retired| retired.ckn == ckn) {
            Leave::Retired
        } else {
            Leave::Removed
        }
    }
}

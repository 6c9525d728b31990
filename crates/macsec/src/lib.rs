//! IEEE 802.1AE (MACsec) for firmware, gateways and tests: `no_std`, no allocation, no `unsafe`.
//!
//! - [`SecTag`], [`Sci`] and their kin read and write the octets of the standard.
//! - [`SecY`] is a MAC Security Entity: keys, SCs, SAs, packet numbers, replay protection and every
//!   counter of 802.1AE-2018.
//!
//! It does no I/O, has no clock and agrees no keys. Frames go in as octets and come out as octets, in place.
//!
//! # Protect and validate
//!
//! Frames are contiguous octets from the destination address on, without FCS. Protection needs
//! [`HEADROOM`] and [`TAILROOM`] around them, because the SecTAG goes in by moving the addresses
//! forward and not the payload back.
//!
//! [`SecY::protect`] and [`SecY::validate`] do everything in one call; their batch forms do it for
//! many frames at once. Each is made of three steps, which are public so that worker threads or a
//! hardware engine can stand between them:
//!
//! | | step one | step two, shared key, `&self` | step three, `&mut` |
//! |---|---|---|---|
//! | transmit | [`SecY::reserve`] packet numbers | [`Sealer::seal`] | [`SecY::count_sealed`] |
//! | receive | [`Parsed::new`] | [`SecY::open`] | [`SecY::commit`] |
//!
//! [`SecY::open`] is [`SecY::admit`], which finds the SA, and [`Admitted::open`], which needs only
//! the key. Take these two where the cipher runs on another thread. An engine that works from a
//! queue stands between [`Sealer::prepare`] and [`ToSeal::sealed`], and between
//! [`Admitted::prepare`] and [`ToOpen::opened`].
//!
//! Data threads and a control thread may share a SecY behind a lock: take it for steps one and
//! three, once for a batch, and not for the cipher.
//!
//! # What the types make impossible
//!
//! - A (key, nonce) pair used twice: packet numbers are move-only values ([`PnBlock`],
//!   [`ReservedPn`]), tied to the SA that made them and spent by sealing. No call takes a key and a
//!   nonce.
//! - An SA with a part missing: [`DataKey`], [`TransmitSa`] and [`ReceiveSa`] are given whole.
//! - Plaintext before the verdict: an [`Opened`] frame shows its octets only after [`SecY::commit`].
//! - Clear text on the wire by mistake: only a SecY makes a [`ProtectedFrame`].
//!
//! Where the standard's meaning is not settled by public sources, the choice made is documented at
//! the item it concerns, and those that matter in practice are switches in [`Compat`].
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod config;
mod counter_names;
mod counters;
mod frame;
mod identifiers;
mod keys;
mod nonce;
mod open;
mod outcome;
mod parse;
mod protect;
mod receive;
mod replay;
mod sak;
mod sectag;
mod secy;
mod secy_error;
mod suite;
mod transmit;
mod validate;

pub use config::{
    Compat, Config, ConfigError, MAX_DUPLICATE_WINDOW, MAX_XPN_REPLAY_WINDOW, ValidateFrames,
};
pub use counter_names::{COUNTERS, CounterInfo, CounterScope};
pub use counters::{
    Counters, GenerationCounters, LocalCounters, ReceiveScCounters, TransmitScCounters,
    VerificationCounters,
};
pub use frame::{ClearVlanTags, FrameBuf, HEADROOM, TAILROOM};
pub use identifiers::{An, Ki, MacAddress, ParseError, Salt, Sci, Ssci};
pub use keys::{KeyError, KeySlot, Storage};
/// The cipher crate: for those who write a backend, or open frames apart from the SecY.
pub use macsec_gcm as gcm;
#[cfg(feature = "alloc")]
pub use macsec_gcm::Shared;
pub use macsec_gcm::{Backend, Portable};
pub use nonce::NonceBase;
pub use open::{Admitted, Opened, ToOpen};
pub use outcome::{MissingSa, ProtectError, ReceiveOutcome};
pub use parse::Parsed;
pub use protect::{ProtectedFrame, Refused, Sealed, Sealer, ToSeal};
pub use receive::{ReceiveSa, ReceiveSaStatus, ReceiveScSlot};
pub use sak::{DataKey, DataKeyError, Sak};
pub use sectag::{
    ETHERTYPE_MACSEC, ICV_LEN, MAX_OVERHEAD, SECTAG_LEN, SECTAG_LEN_WITH_SCI, SHORT_DATA_LIMIT,
    SecTag, SecTagError, TagProtection, TagSci,
};
pub use secy::SecY;
pub use secy_error::{InstallError, LifeCycleError};
pub use suite::{CipherSuite, Confidentiality, ConfidentialityOffset};
pub use transmit::{PnBlock, PnState, ReservedPn, TransmitSa, TransmitSaStatus};
pub use validate::Verdict;

/// How many frames the batch calls hand to the cipher at a time. More than this may be passed in.
pub const BATCH: usize = 32;

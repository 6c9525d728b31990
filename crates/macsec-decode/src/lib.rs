//! Reads a capture as a dissector would, given the keys: MKA (802.1X) and MACsec (802.1AE).
//!
//! Frames and keys go in, findings come out; there is no I/O here. Everything in a capture may have been made to
//! break its reader: time and memory are bounded whatever the frames say.

#![forbid(unsafe_code)]

mod book;
mod classify;
mod data;
mod given;
pub mod mka;

pub use book::{KnownSak, SakBook, SakSender, SakSource};
pub use classify::{Kind, classify};
pub use data::{BrokenRule, DataCounts, DataFinding, DataVerdict, Opener, ScRow};
pub use given::{Given, GivenCa, GivenSa};

use core::time::Duration;

/// A frame of a capture.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Its place in the capture; the first is 1.
    pub number: u64,
    /// When it was captured, since 1970 or whatever the capture counts from.
    pub at: Duration,
    /// From the destination address on, without FCS.
    pub octets: &'a [u8],
    /// All of it was captured.
    pub whole: bool,
}

//! A deterministic network in virtual time, for tests of protocols that do no I/O.
//!
//! A [`Lan`] joins members that implement [`Node`]: what one sends, all others get, each over a
//! [`Link`] of its own that delays, loses, duplicates, reorders, corrupts and reflects as a seed has
//! it. No clock is read and nothing is random: the same seed gives the same run.
//!
//! | item | what for |
//! |---|---|
//! | [`Node`] | a protocol: frames and time in, frames and timeouts out |
//! | [`Link`] | what can happen on the way |
//! | [`Lan`] | members, links, virtual time |
//! | [`Dice`] | chance by seed |

#![forbid(unsafe_code)]

mod lan;
mod link;
mod random;

pub use lan::{Lan, Node, Sent};
pub use link::Link;
pub use random::Dice;

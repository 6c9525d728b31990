//! The keys of a port: which CAKs MKA takes part with, and how much each is preferred.
//!
//! A port has several CAKs at a time: the one in use, the next one, a fallback. Each has a participant of its own, which
//! finds its peers beside the others, so that the port can go over from one to the next without losing a frame. *When* a
//! key has a participant is decided here, from dates and from how the participants fare; *which* of them the port uses
//! is for the key server to say, which goes by the preference that is decided here too ([`mka::Kay`]).
//!
//! | file | what is in it |
//! |---|---|
//! | `decide` | which keys have participants, and in which order they are preferred: a pure function |

mod decide;

pub use decide::{KeyTerms, Leave, Phase, Running, decide};

//! Comparing contenders by turns, so that the drift of a machine cancels out.
#![forbid(unsafe_code)]

mod contender;
mod paired;

pub use contender::{
    CHUNK, Contender, Operation, portable, portable_batch, protect, protect_batch, ring_alone,
    validate, validate_batch,
};
pub use paired::{Medians, paired};

//! Randomness, which is the caller's.

use core::fmt;

/// A cryptographically strong random generator. MIs, SAKs and nonces come from it.
pub trait Random {
    /// Fills `octets` with random octets, all or none of which may be used.
    ///
    /// # Errors
    /// There is no randomness to be had: whoever asked must do without the key.
    fn fill(&mut self, octets: &mut [u8]) -> Result<(), RandomError>;
}

impl<R: Random + ?Sized> Random for &mut R {
    fn fill(&mut self, octets: &mut [u8]) -> Result<(), RandomError> {
        (**self).fill(octets)
    }
}

/// The random generator failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RandomError;

impl fmt::Display for RandomError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the random generator failed")
    }
}

impl core::error::Error for RandomError {}

/// The generator of the operating system.
#[cfg(feature = "std")]
#[derive(Clone, Copy, Debug, Default)]
pub struct OsRandom;

#[cfg(feature = "std")]
impl Random for OsRandom {
    fn fill(&mut self, octets: &mut [u8]) -> Result<(), RandomError> {
        getrandom::fill(octets).map_err(|_| RandomError)
    }
}

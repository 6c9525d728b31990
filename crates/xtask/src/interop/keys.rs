//! The keys of a case. They protect nothing, so they need not be secret, nor ever change.

use super::case::Case;

/// What both ends are given.
pub(super) struct Keys {
    pub(super) ki: [u8; 16],
    pub(super) sak: Vec<u8>,
    /// As `sak`, unless the case wants another.
    pub(super) kernel_sak: Vec<u8>,
    pub(super) salt: [u8; 12],
    pub(super) our_ssci: u32,
    pub(super) kernel_ssci: u32,
}

impl Keys {
    /// The keys of a case.
    pub(super) fn of(case: &Case) -> Self {
        let sak: Vec<u8> = (0x40..).take(case.suite.key_len()).collect();
        let mut kernel_sak = sak.clone();
        if case.wrong_key {
            kernel_sak.reverse();
        }
        let salt = std::array::from_fn(|at| 0xe0 + at as u8);
        // The greater SCI, the kernel's, has the smaller SSCI, as MKA would have it.
        Self { ki: [0x4b; 16], sak, kernel_sak, salt, our_ssci: 2, kernel_ssci: 1 }
    }
}

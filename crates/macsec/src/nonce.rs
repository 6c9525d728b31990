//! The GCM nonce (802.1AE clauses 14.5 to 14.8).

use core::fmt;

use macsec_gcm::NONCE_LEN;

use crate::{Salt, Sci, Ssci};

/// All of an SA's nonce but the packet number.
///
/// The nonce is SCI and 32-bit PN side by side, or, for XPN, SSCI and 64-bit PN XORed with the salt. Either
/// way it is twelve fixed octets with the PN XORed into the last eight: without XPN the last four
/// fixed octets are zero and the PN has no upper half.
///
/// A SecY makes its nonces itself. This is for those who open frames apart from it: a decoder, a
/// tester.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NonceBase([u8; NONCE_LEN]);

/// Shows nothing: the salt could be had from it.
impl fmt::Debug for NonceBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NonceBase(..)")
    }
}

impl NonceBase {
    /// Of the suites with 32-bit PNs. `sci` may be one that is not in the SecTAG.
    #[must_use]
    pub fn from_sci(sci: Sci) -> Self {
        let mut base = [0; NONCE_LEN];
        base[..8].copy_from_slice(&sci.0);
        Self(base)
    }

    /// Of the XPN suites.
    #[must_use]
    pub fn from_ssci(ssci: Ssci, salt: Salt) -> Self {
        let mut base = salt.0;
        for (octet, ssci) in base.iter_mut().zip(ssci.0.to_be_bytes()) {
            *octet ^= ssci;
        }
        Self(base)
    }

    /// The nonce of the frame with `pn`: all 64 bits of it for XPN, else below 2^32.
    #[must_use]
    #[inline]
    pub fn with_pn(&self, pn: u64) -> [u8; NONCE_LEN] {
        let mut nonce = self.0;
        if let Some(low) = nonce.last_chunk_mut::<8>() {
            *low = (u64::from_be_bytes(*low) ^ pn).to_be_bytes();
        }
        nonce
    }
}

//! The GCM nonce (802.1AE clauses 14.5 to 14.8).

use macsec_gcm::NONCE_LEN;

use crate::{Salt, Sci, Ssci};

/// All of an SA's nonce but the packet number.
///
/// The nonce is SCI and 32-bit PN side by side, or, for XPN, SSCI and 64-bit PN XORed with the salt. Either
/// way it is twelve fixed octets with the PN XORed into the last eight: without XPN the last four
/// fixed octets are zero and the PN has no upper half.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct NonceBase([u8; NONCE_LEN]);

impl NonceBase {
    pub(crate) fn from_sci(sci: Sci) -> Self {
        let mut base = [0; NONCE_LEN];
        base[..8].copy_from_slice(&sci.0);
        Self(base)
    }

    pub(crate) fn from_ssci(ssci: Ssci, salt: Salt) -> Self {
        let mut base = salt.0;
        for (octet, ssci) in base.iter_mut().zip(ssci.0.to_be_bytes()) {
            *octet ^= ssci;
        }
        Self(base)
    }

    #[inline]
    pub(crate) fn with_pn(&self, pn: u64) -> [u8; NONCE_LEN] {
        let mut nonce = self.0;
        if let Some(low) = nonce.last_chunk_mut::<8>() {
            *low = (u64::from_be_bytes(*low) ^ pn).to_be_bytes();
        }
        nonce
    }
}

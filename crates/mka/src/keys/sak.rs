//! The key server's SAKs (802.1X clause 9.8.1).

use macsec::{CipherSuite, Sak};
use zeroize::Zeroizing;

use super::{Cak, KeyError, Random, kdf::kdf};
use crate::Mi;

const SAK_LABEL: &[u8] = b"IEEE8021 SAK";

impl Cak {
    /// Makes a new SAK for `suite`, with key number `key_number`. `members` are the MIs of the key server
    /// and of its live peers.
    ///
    /// It is derived from this CAK and from a nonce out of `random`, as long as the SAK. A SAK
    /// may be longer than its CAK, and is then no stronger than the CAK and the nonce.
    ///
    /// # Errors
    /// `Random`: there is no SAK without fresh randomness.
    pub fn generate_sak<'a>(
        &self,
        suite: CipherSuite,
        members: impl IntoIterator<Item = &'a Mi, IntoIter: Clone>,
        key_number: u32,
        random: &mut impl Random,
    ) -> Result<Sak, KeyError> {
        let mut nonce = Zeroizing::new([0; 32]);
        let nonce = &mut nonce[..suite.key_len()];
        random.fill(nonce)?;
        self.derive_sak(nonce, members.into_iter(), key_number)
    }

    /// The SAK has as many octets as the nonce: 16 or 32.
    fn derive_sak<'a>(
        &self,
        nonce: &[u8],
        members: impl Iterator<Item = &'a Mi> + Clone,
        key_number: u32,
    ) -> Result<Sak, KeyError> {
        let number = key_number.to_be_bytes();
        let members = members.map(|mi| &mi.0[..]);
        let context = [nonce].into_iter().chain(members).chain([&number[..]]);
        let mut sak = Zeroizing::new([0; 32]);
        let sak = sak.get_mut(..nonce.len()).ok_or(KeyError::SakLength)?;
        kdf(&self.0, SAK_LABEL, &context, sak);
        Sak::new(sak).map_err(|_| KeyError::SakLength)
    }
}

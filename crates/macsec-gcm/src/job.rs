//! What a backend is given to do: one frame's worth of sealing or opening.

use zeroize::Zeroize;

use crate::{NONCE_LEN, TAG_LEN};

/// One frame to seal in place.
pub struct SealJob<'a> {
    /// The 96-bit nonce. Never give the same one twice to the same key.
    pub nonce: [u8; NONCE_LEN],
    /// Octets that are authenticated and stay as they are; may be empty.
    pub aad: &'a [u8],
    /// The plaintext, which the ciphertext replaces; may be empty (integrity only).
    pub text: &'a mut [u8],
    /// Where the tag goes.
    pub tag: &'a mut [u8; TAG_LEN],
}

/// One frame to open in place.
///
/// After a backend has opened a job, either
/// - [`is_authentic`](Self::is_authentic) is true and the text is the plaintext, or
/// - it is false and every octet of the text is zero: unauthenticated plaintext does not exist.
///
/// The additional data is never written in either case, so an integrity-only payload, which travels as
/// additional data, survives a failed open. (802.1AE's `Check` mode delivers such payloads.)
pub struct OpenJob<'a> {
    /// The 96-bit nonce.
    pub nonce: [u8; NONCE_LEN],
    /// Octets that are authenticated only; may be empty.
    pub aad: &'a [u8],
    /// The ciphertext, which the plaintext or zeroes replace; may be empty (integrity only).
    pub text: &'a mut [u8],
    /// The tag that came with the frame.
    pub tag: &'a [u8; TAG_LEN],
    authentic: bool,
}

impl<'a> OpenJob<'a> {
    /// A job that counts as unauthentic until a backend accepts it.
    #[must_use]
    pub fn new(
        nonce: [u8; NONCE_LEN],
        aad: &'a [u8],
        text: &'a mut [u8],
        tag: &'a [u8; TAG_LEN],
    ) -> Self {
        Self { nonce, aad, text, tag, authentic: false }
    }

    /// Whether a backend has opened this job and found its tag right.
    #[must_use]
    pub fn is_authentic(&self) -> bool {
        self.authentic
    }

    /// For backends: the tag matched and `text` now holds the plaintext.
    pub fn accept(&mut self) {
        self.authentic = true;
    }

    /// For backends: the tag did not match. Zeroes the text.
    pub fn reject(&mut self) {
        self.text.zeroize();
        self.authentic = false;
    }
}

//! One frame and what sealing and opening it must give.

use std::fmt;

use macsec_gcm::{Backend, GcmKey, KeyBytes, NONCE_LEN, OpenJob, SealJob, TAG_LEN};

use crate::{Check, frame::Frame, oracle};

/// A known answer, by a test vector or by the oracle.
#[derive(Clone)]
pub(crate) struct Case {
    /// What to call it when it fails.
    pub(crate) label: String,
    pub(crate) key: Vec<u8>,
    pub(crate) nonce: [u8; NONCE_LEN],
    pub(crate) aad: Vec<u8>,
    /// Not looked at when the case must be refused.
    pub(crate) plaintext: Vec<u8>,
    pub(crate) ciphertext: Vec<u8>,
    pub(crate) tag: [u8; TAG_LEN],
}

/// The lengths of a frame and where its text starts, counted from a multiple of 64.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) aad: usize,
    pub(crate) text: usize,
    pub(crate) offset: usize,
}

impl Shape {
    pub(crate) fn new(aad: usize, text: usize) -> Self {
        let offset = 0;
        Self { aad, text, offset }
    }
}

/// The two key lengths, in octets.
pub(crate) const KEY_LENS: [usize; 2] = [16, 32];

impl Case {
    /// A frame of the given shape with octets from `seed`, sealed by the oracle.
    pub(crate) fn random(key: &[u8], seed: u64, shape: Shape) -> Self {
        let mut nonce = [0; NONCE_LEN];
        oracle::fill(oracle::child(seed, 0), &mut nonce);
        let aad = oracle::octets(oracle::child(seed, 1), shape.aad);
        let plaintext = oracle::octets(oracle::child(seed, 2), shape.text);
        let bits = key.len() * 8;
        let label = format!("AES-{bits}, seed {seed:#x}, {shape:?}");
        Self::sealed(label, key, nonce, aad, plaintext)
    }

    /// A case with the oracle's ciphertext and tag.
    pub(crate) fn sealed(
        label: String,
        key: &[u8],
        nonce: [u8; NONCE_LEN],
        aad: Vec<u8>,
        plaintext: Vec<u8>,
    ) -> Self {
        let mut ciphertext = plaintext.clone();
        let tag = oracle::seal(key_bytes(key), nonce, &aad, &mut ciphertext);
        Self { label, key: key.to_vec(), nonce, aad, plaintext, ciphertext, tag }
    }

    /// The case's key, expanded by `backend`.
    pub(crate) fn expand<B: Backend>(&self, backend: &B) -> B::Key {
        backend.expand(key_bytes(&self.key))
    }

    /// Sealing gives the ciphertext and the tag, and opening those gives the plaintext back.
    pub(crate) fn check(&self, key: &impl GcmKey, offset: usize) -> Check {
        for call in Call::BOTH {
            let mut frame = Frame::plain(self, offset);
            call.seal(key, &mut frame.seal_job());
            frame.expect_sealed(self).map_err(|e| self.fault(call, &e))?;
            let authentic = open(key, call, &mut frame);
            frame.expect_opened(self, authentic).map_err(|e| self.fault(call, &e))?;
        }
        Ok(())
    }

    /// Opening fails as it must.
    pub(crate) fn check_refused(&self, key: &impl GcmKey) -> Check {
        for call in Call::BOTH {
            let mut frame = Frame::cipher(self, 0);
            let authentic = open(key, call, &mut frame);
            frame.expect_refused(authentic).map_err(|e| self.fault(call, &e))?;
        }
        Ok(())
    }

    fn fault(&self, call: Call, message: &str) -> String {
        format!("{} ({call}): {message}", self.label)
    }
}

/// A key from a vector.
pub(crate) fn key_bytes(key: &[u8]) -> KeyBytes<'_> {
    KeyBytes::from_slice(key).expect("a vector's key has 16 or 32 octets")
}

/// Opens one frame; true when the backend finds it authentic.
pub(crate) fn open(key: &impl GcmKey, call: Call, frame: &mut Frame) -> bool {
    let mut job = frame.open_job();
    call.open(key, &mut job);
    job.is_authentic()
}

/// The two ways to hand a single job to a key.
#[derive(Clone, Copy)]
pub(crate) enum Call {
    Single,
    BatchOfOne,
}

impl Call {
    pub(crate) const BOTH: [Self; 2] = [Self::Single, Self::BatchOfOne];

    pub(crate) fn seal(self, key: &impl GcmKey, job: &mut SealJob<'_>) {
        match self {
            Self::Single => key.seal(job),
            Self::BatchOfOne => key.seal_batch(std::slice::from_mut(job)),
        }
    }

    pub(crate) fn open(self, key: &impl GcmKey, job: &mut OpenJob<'_>) {
        match self {
            Self::Single => key.open(job),
            Self::BatchOfOne => key.open_batch(std::slice::from_mut(job)),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Single => "single",
            Self::BatchOfOne => "batch of one",
        })
    }
}

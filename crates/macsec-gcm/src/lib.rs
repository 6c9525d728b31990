//! AES-GCM as MACsec needs it: one key, many frames, in place.
//!
//! IEEE 802.1AE uses one shape of GCM only: a 96-bit nonce, a 128-bit tag, keys of 128 or 256
//! bits, and thousands of frames under one key. This crate gives that shape a small, batch-first
//! interface and nothing else. It knows nothing of Ethernet, allocates nothing, and builds without
//! `std`.
//!
//! - [`Backend`] turns key octets into a [`GcmKey`] once.
//! - [`GcmKey`] seals and opens [`SealJob`]s and [`OpenJob`]s, one or many at a time. A single
//!   frame is a batch of one; both give the same octets.
//! - [`Portable`] is the default backend and the reference for all others.
//!
//! # This is a cipher
//!
//! Here, and only here, a caller picks key *and* nonce. Using one pair twice destroys the
//! protection of GCM. The crate `macsec` builds on this one and makes such misuse impossible by its
//! types: use that crate unless you are writing a backend or a SecY of your own.
//!
//! # The failed-open contract
//!
//! Every backend does the same when a tag does not match (see [`OpenJob`]): the text is zeroed, the
//! additional data is left as it was, and the job stays unauthentic. A job that no backend has
//! looked at is unauthentic too, so forgetting a step fails closed.
//!
//! ```
//! use macsec_gcm::{Backend, GcmKey, KeyBytes, OpenJob, Portable, SealJob};
//!
//! let key = Portable.expand(KeyBytes::Aes128(&[7; 16]));
//! let nonce = [1; 12];
//! let mut text = *b"user data";
//! let mut tag = [0; 16];
//!
//! key.seal(&mut SealJob { nonce, aad: b"addresses", text: &mut text, tag: &mut tag });
//! assert_ne!(&text, b"user data");
//!
//! let mut job = OpenJob::new(nonce, b"addresses", &mut text, &tag);
//! key.open(&mut job);
//! assert!(job.is_authentic());
//! assert_eq!(&text, b"user data");
//! ```
//!
//! # Features
//!
//! - `alloc` (default): [`Shared`], and [`GcmKey`] for `Arc` and `Box`.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;

mod job;
mod portable;
#[cfg(feature = "alloc")]
mod shared;

pub use job::{OpenJob, SealJob};
pub use portable::{Portable, PortableKey};
#[cfg(feature = "alloc")]
pub use shared::Shared;

/// Octets of a GCM nonce (the IV of IEEE 802.1AE clause 14).
pub const NONCE_LEN: usize = 12;

/// Octets of a GCM tag (the ICV of all four IEEE 802.1AE cipher suites).
pub const TAG_LEN: usize = 16;

/// The octets of an AES key, borrowed for as long as it takes to expand them.
///
/// There is no `Debug`: key octets do not belong in a log.
#[derive(Clone, Copy)]
pub enum KeyBytes<'a> {
    /// A key of 128 bits.
    Aes128(&'a [u8; 16]),
    /// A key of 256 bits.
    Aes256(&'a [u8; 32]),
}

impl<'a> KeyBytes<'a> {
    /// The key in `octets`, or `None` unless there are 16 or 32 of them.
    #[must_use]
    pub fn from_slice(octets: &'a [u8]) -> Option<Self> {
        if let Ok(key) = octets.try_into() {
            return Some(Self::Aes128(key));
        }
        octets.try_into().ok().map(Self::Aes256)
    }

    /// The key as a slice of 16 or 32 octets.
    #[must_use]
    pub fn as_slice(&self) -> &'a [u8] {
        match *self {
            Self::Aes128(key) => key,
            Self::Aes256(key) => key,
        }
    }
}

/// A way to do AES-GCM: an implementation, chosen once and used for every key.
///
/// A backend is a value. One that needs something of the machine (an instruction, an engine) has
/// a constructor that fails without it, so that to hold the value is to know that it works.
pub trait Backend {
    /// A key made ready by this backend.
    type Key: GcmKey;

    /// A short, stable name for status output and benchmarks, such as `"portable"`.
    fn name(&self) -> &'static str;

    /// Expands `key` for use with any number of frames.
    fn expand(&self, key: KeyBytes<'_>) -> Self::Key;
}

impl<B: Backend + ?Sized> Backend for &B {
    type Key = B::Key;

    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn expand(&self, key: KeyBytes<'_>) -> Self::Key {
        (**self).expand(key)
    }
}

/// A key made ready for many frames.
///
/// Implementations keep to these rules; the crate `macsec-gcm-test` checks what of them can be seen
/// from outside:
/// - a batch gives the very octets that its jobs would give one by one, in any mix of lengths;
/// - the failed-open contract of [`OpenJob`];
/// - key material is erased on drop and never shown by `Debug`;
/// - no allocation, no panic, and no branch or index that depends on a secret.
///
/// Implement the batch methods; the single ones follow from them unless something faster exists.
pub trait GcmKey {
    /// Encrypts and authenticates each job in place and writes its tag.
    fn seal_batch(&self, jobs: &mut [SealJob<'_>]);

    /// Authenticates and decrypts each job in place; ask each [`OpenJob::is_authentic`] afterwards.
    fn open_batch(&self, jobs: &mut [OpenJob<'_>]);

    /// Seals a single job.
    fn seal(&self, job: &mut SealJob<'_>) {
        self.seal_batch(core::slice::from_mut(job));
    }

    /// Opens a single job; ask [`OpenJob::is_authentic`] afterwards.
    fn open(&self, job: &mut OpenJob<'_>) {
        self.open_batch(core::slice::from_mut(job));
    }
}

impl<K: GcmKey + ?Sized> GcmKey for &K {
    fn seal_batch(&self, jobs: &mut [SealJob<'_>]) {
        (**self).seal_batch(jobs);
    }

    fn open_batch(&self, jobs: &mut [OpenJob<'_>]) {
        (**self).open_batch(jobs);
    }

    fn seal(&self, job: &mut SealJob<'_>) {
        (**self).seal(job);
    }

    fn open(&self, job: &mut OpenJob<'_>) {
        (**self).open(job);
    }
}

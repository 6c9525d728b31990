//! The portable backend, on RustCrypto's `aes-gcm`.

use aes_gcm::{
    AeadInOut, Aes128Gcm, Aes256Gcm, KeyInit,
    aead::{
        AeadCore,
        array::typenum::{U12, U16},
    },
};
use zeroize::Zeroize;

use crate::{Backend, GcmKey, KeyBytes, OpenJob, SealJob};

/// The portable backend: RustCrypto's `aes-gcm`, on any target. The default, and the reference that other
/// backends are tested against.
///
/// It uses AES and carry-less multiply instructions where the CPU has them (found at run time on
/// x86 and AArch64) and constant-time bit-sliced code where it has not.
#[derive(Clone, Copy, Debug, Default)]
pub struct Portable;

/// A key of the [`Portable`] backend. Its schedule is zeroed on drop; it has no `Debug`.
pub struct PortableKey(Cipher);

// Both variants live inline: a box would need an allocator, and a key is made once for many frames.
#[allow(clippy::large_enum_variant)]
enum Cipher {
    Aes128(Aes128Gcm),
    Aes256(Aes256Gcm),
}

impl Backend for Portable {
    type Key = PortableKey;

    fn name(&self) -> &'static str {
        "portable"
    }

    fn expand(&self, key: KeyBytes<'_>) -> PortableKey {
        PortableKey(match key {
            KeyBytes::Aes128(key) => Cipher::Aes128(Aes128Gcm::new(key.into())),
            KeyBytes::Aes256(key) => Cipher::Aes256(Aes256Gcm::new(key.into())),
        })
    }
}

impl GcmKey for PortableKey {
    fn seal_batch(&self, jobs: &mut [SealJob<'_>]) {
        match &self.0 {
            Cipher::Aes128(cipher) => jobs.iter_mut().for_each(|job| seal(cipher, job)),
            Cipher::Aes256(cipher) => jobs.iter_mut().for_each(|job| seal(cipher, job)),
        }
    }

    fn open_batch(&self, jobs: &mut [OpenJob<'_>]) {
        match &self.0 {
            Cipher::Aes128(cipher) => jobs.iter_mut().for_each(|job| open(cipher, job)),
            Cipher::Aes256(cipher) => jobs.iter_mut().for_each(|job| open(cipher, job)),
        }
    }
}

fn seal<C>(cipher: &C, job: &mut SealJob<'_>)
where
    C: AeadInOut + AeadCore<NonceSize = U12, TagSize = U16>,
{
    match cipher.encrypt_inout_detached(&job.nonce.into(), job.aad, (&mut *job.text).into()) {
        Ok(tag) => *job.tag = tag.into(),
        // Text beyond the 64 GiB that one GCM nonce allows: nothing of it may leave in clear.
        Err(_) => {
            job.text.zeroize();
            job.tag.zeroize();
        }
    }
}

fn open<C>(cipher: &C, job: &mut OpenJob<'_>)
where
    C: AeadInOut + AeadCore<NonceSize = U12, TagSize = U16>,
{
    let nonce = job.nonce.into();
    let tag = (*job.tag).into();
    match cipher.decrypt_inout_detached(&nonce, job.aad, (&mut *job.text).into(), &tag) {
        Ok(()) => job.accept(),
        Err(_) => job.reject(),
    }
}

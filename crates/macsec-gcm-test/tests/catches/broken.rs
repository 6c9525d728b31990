//! Backends that are right but for the function that is wrong.

use std::{
    cmp::min,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use macsec_gcm::{
    Backend, GcmKey, KeyBytes, NONCE_LEN, OpenJob, Portable, PortableKey, SealJob, TAG_LEN,
};

/// A backend and key made of functions, so that a fault is one field that differs from [`SOUND`].
#[derive(Clone, Copy)]
pub(crate) struct Broken {
    pub(crate) name: &'static str,
    pub(crate) expand: fn(KeyBytes<'_>) -> PortableKey,
    pub(crate) seal: fn(&PortableKey, &mut SealJob<'_>),
    pub(crate) open: fn(&PortableKey, &mut OpenJob<'_>),
    pub(crate) seal_batch: SealBatch,
    pub(crate) open_batch: OpenBatch,
}

type SealBatch = fn(&BrokenKey, &mut [SealJob<'_>]);
type OpenBatch = fn(&BrokenKey, &mut [OpenJob<'_>]);

/// The backend without a fault.
pub(crate) const SOUND: Broken = Broken {
    name: "sound",
    expand: |key| Portable.expand(key),
    seal: |key, job| key.seal(job),
    open: |key, job| key.open(job),
    seal_batch: |key, jobs| jobs.iter_mut().for_each(|job| key.seal(job)),
    open_batch: |key, jobs| jobs.iter_mut().for_each(|job| key.open(job)),
};

pub(crate) struct BrokenKey {
    inner: PortableKey,
    how: Broken,
}

impl Backend for Broken {
    type Key = BrokenKey;

    fn name(&self) -> &'static str {
        self.name
    }

    fn expand(&self, key: KeyBytes<'_>) -> BrokenKey {
        let inner = (self.expand)(key);
        BrokenKey { inner, how: *self }
    }
}

impl GcmKey for BrokenKey {
    fn seal_batch(&self, jobs: &mut [SealJob<'_>]) {
        (self.how.seal_batch)(self, jobs);
    }

    fn open_batch(&self, jobs: &mut [OpenJob<'_>]) {
        (self.how.open_batch)(self, jobs);
    }

    fn seal(&self, job: &mut SealJob<'_>) {
        (self.how.seal)(&self.inner, job);
    }

    fn open(&self, job: &mut OpenJob<'_>) {
        (self.how.open)(&self.inner, job);
    }
}

/// Decrypts and accepts when `alike` says so of the right tag and the one that came.
pub(crate) fn judge(
    key: &PortableKey,
    job: &mut OpenJob<'_>,
    alike: fn(&[u8; 16], &[u8; 16]) -> bool,
) {
    let (nonce, aad) = (job.nonce, job.aad);
    let mut tag = [0; TAG_LEN];
    // Encrypting in counter mode is decrypting; encrypting once more gives the right tag.
    key.seal(&mut SealJob { nonce, aad, text: job.text, tag: &mut tag });
    let text = &mut job.text.to_vec()[..];
    key.seal(&mut SealJob { nonce, aad, text, tag: &mut tag });
    if alike(&tag, job.tag) {
        job.accept();
    } else {
        job.reject();
    }
}

pub(crate) fn fold(tag: &[u8; TAG_LEN]) -> u8 {
    tag.iter().fold(0, |sum, octet| sum ^ octet)
}

/// Opens a good job; in a bad one leaves what `left` makes of ciphertext and plaintext.
pub(crate) fn on_failure(
    key: &PortableKey,
    job: &mut OpenJob<'_>,
    left: fn(Vec<u8>, Vec<u8>) -> Vec<u8>,
) {
    let (nonce, aad) = (job.nonce, job.aad);
    let ciphertext = job.text.to_vec();
    let mut plaintext = ciphertext.clone();
    let mut tag = [0; TAG_LEN];
    key.seal(&mut SealJob { nonce, aad, text: &mut plaintext, tag: &mut tag });
    let mut good = OpenJob::new(nonce, aad, job.text, job.tag);
    key.open(&mut good);
    if good.is_authentic() {
        job.accept();
    } else {
        job.text.copy_from_slice(&left(ciphertext, plaintext));
    }
}

pub(crate) fn zero_blocks(mut text: Vec<u8>, _: Vec<u8>) -> Vec<u8> {
    let whole = text.len() / 16 * 16;
    text[..whole].fill(0);
    text
}

pub(crate) fn zero_2048(mut text: Vec<u8>, _: Vec<u8>) -> Vec<u8> {
    let some = min(text.len(), 2048);
    text[..some].fill(0);
    text
}

pub(crate) fn open_sulking(key: &PortableKey, job: &mut OpenJob<'_>) {
    static SULKS: AtomicBool = AtomicBool::new(false);
    key.open(job);
    let refused = !job.is_authentic();
    if SULKS.swap(refused, Relaxed) {
        job.reject();
    }
}

pub(crate) fn seal_with_swapped_nonces(key: &BrokenKey, jobs: &mut [SealJob<'_>]) {
    for pair in jobs.chunks_exact_mut(2) {
        let first = pair[0].nonce;
        pair[0].nonce = pair[1].nonce;
        pair[1].nonce = first;
    }
    (SOUND.seal_batch)(key, jobs);
}

pub(crate) fn seal_with_swapped_tags(key: &BrokenKey, jobs: &mut [SealJob<'_>]) {
    (SOUND.seal_batch)(key, jobs);
    for pair in jobs.chunks_exact_mut(2) {
        let (first, second) = pair.split_at_mut(1);
        std::mem::swap(first[0].tag, second[0].tag);
    }
}

pub(crate) fn seal_reversed(key: &BrokenKey, jobs: &mut [SealJob<'_>]) {
    jobs.reverse();
    (SOUND.seal_batch)(key, jobs);
}

pub(crate) fn open_reversed(key: &BrokenKey, jobs: &mut [OpenJob<'_>]) {
    jobs.reverse();
    (SOUND.open_batch)(key, jobs);
}

pub(crate) fn open_until_forged(key: &BrokenKey, jobs: &mut [OpenJob<'_>]) {
    for job in jobs {
        key.open(job);
        if !job.is_authentic() {
            break;
        }
    }
}

pub(crate) fn open_all_or_none(key: &BrokenKey, jobs: &mut [OpenJob<'_>]) {
    (SOUND.open_batch)(key, jobs);
    if !jobs.iter().all(OpenJob::is_authentic) {
        jobs.iter_mut().for_each(OpenJob::reject);
    }
}

pub(crate) fn seal_in_eights(key: &BrokenKey, jobs: &mut [SealJob<'_>]) {
    jobs.chunks_exact_mut(8).for_each(|eight| (SOUND.seal_batch)(key, eight));
}

pub(crate) fn open_64(key: &BrokenKey, jobs: &mut [OpenJob<'_>]) {
    let some = min(jobs.len(), 64);
    (SOUND.open_batch)(key, &mut jobs[..some]);
}

pub(crate) fn seal_as_long_as_the_longest(key: &BrokenKey, jobs: &mut [SealJob<'_>]) {
    let longest = jobs.iter().map(|job| job.text.len()).max().unwrap_or(0);
    for SealJob { nonce, aad, text, tag } in jobs {
        let mut padded = text.to_vec();
        padded.resize(longest, 0);
        key.seal(&mut SealJob { nonce: *nonce, aad, text: &mut padded, tag });
        text.copy_from_slice(&padded[..text.len()]);
    }
}

pub(crate) fn seal_some(key: &BrokenKey, jobs: &mut [SealJob<'_>]) {
    let (first, rest) = jobs.split_first_mut().expect("jobs");
    key.seal(first);
    (SOUND.seal_batch)(key, rest);
}

/// Keys that keep the nonce of the frame at work where all threads write to it.
pub(crate) fn seal_with_shared_nonce(key: &BrokenKey, jobs: &mut [SealJob<'_>]) {
    static NONCE: Mutex<[u8; NONCE_LEN]> = Mutex::new([0; NONCE_LEN]);
    for job in jobs {
        *NONCE.lock().unwrap() = job.nonce;
        thread::sleep(Duration::from_micros(50));
        job.nonce = *NONCE.lock().unwrap();
        key.seal(job);
    }
}

pub(crate) fn seal_untagged(key: &PortableKey, job: &mut SealJob<'_>) {
    let (nonce, aad) = (job.nonce, job.aad);
    key.seal(&mut SealJob { nonce, aad, text: job.text, tag: &mut [0; TAG_LEN] });
}

pub(crate) fn seal_28(key: &PortableKey, job: &mut SealJob<'_>) {
    job.aad = &job.aad[..min(job.aad.len(), 28)];
    key.seal(job);
}

pub(crate) fn open_28(key: &PortableKey, job: &mut OpenJob<'_>) {
    job.aad = &job.aad[..min(job.aad.len(), 28)];
    key.open(job);
}

pub(crate) fn seal_short_nonce(key: &PortableKey, job: &mut SealJob<'_>) {
    job.nonce[NONCE_LEN - 1] = 0;
    key.seal(job);
}

pub(crate) fn open_short_nonce(key: &PortableKey, job: &mut OpenJob<'_>) {
    job.nonce[NONCE_LEN - 1] = 0;
    key.open(job);
}

/// Seals what only [`open_behind`] opens, for texts longer than `LEN`.
pub(crate) fn seal_behind<const LEN: usize>(key: &PortableKey, job: &mut SealJob<'_>) {
    key.seal(job);
    job.text.iter_mut().skip(LEN).for_each(|octet| *octet ^= 1);
}

pub(crate) fn open_behind<const LEN: usize>(key: &PortableKey, job: &mut OpenJob<'_>) {
    job.text.iter_mut().skip(LEN).for_each(|octet| *octet ^= 1);
    key.open(job);
}

pub(crate) fn seal_aligned(key: &PortableKey, job: &mut SealJob<'_>) {
    key.seal(job);
    if !(job.text.as_ptr() as usize).is_multiple_of(16) {
        job.tag[0] ^= 1;
    }
}

pub(crate) fn expand_half(key: KeyBytes<'_>) -> PortableKey {
    let mut octets = key.as_slice().to_vec();
    octets[16..].fill(0);
    Portable.expand(KeyBytes::from_slice(&octets).expect("the same length"))
}

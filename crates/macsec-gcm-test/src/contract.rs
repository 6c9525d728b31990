//! The rules that [`GcmKey`] and [`OpenJob`] state in their documentation.

use std::{sync::Arc, thread};

use macsec_gcm::{Backend, GcmKey, KeyBytes, OpenJob, Shared, TAG_LEN};

use crate::{
    Check,
    case::{Call, Case, KEY_LENS, Shape, key_bytes, open},
    frame::Frame,
    must, oracle,
};

/// Frames small and large, with and without text and additional data.
const SHAPES: [(usize, usize); 8] =
    [(28, 46), (20, 1500), (28, 9600), (58, 12), (28 + 1500, 0), (0, 33), (20, 0), (0, 0)];

/// A failed open zeroes the text, leaves the additional data and the tag, and accepts nothing,
/// whatever the wrong tag looks like.
///
/// # Panics
/// When the backend does otherwise.
pub fn failed_open<B: Backend>(backend: &B) {
    for case in cases(31) {
        let key = case.expand(backend);
        let refuse = |tag, why: &str| {
            let mut forged = case.clone();
            forged.tag = tag;
            forged.label += &format!(", {why}");
            must(forged.check_refused(&key));
        };
        refuse([0; TAG_LEN], "a tag of zeroes");
        refuse([0xff; TAG_LEN], "a tag of ones");
        refuse(case.tag.map(|octet| !octet), "the inverted tag");
        refuse(case.nonce_tag(), "the nonce for a tag");
        for right in 0..TAG_LEN {
            let mut tag = case.tag;
            tag[right..].iter_mut().for_each(|octet| *octet = !*octet);
            refuse(tag, &format!("{right} octets of the right tag"));
        }
        must(case.check(&key, 0));
    }
}

/// A job that no backend has looked at is not authentic, and a batch touches no others.
///
/// # Panics
/// When the backend does otherwise.
pub fn unopened_jobs<B: Backend>(backend: &B) {
    let key = oracle::octets(32, KEY_LENS[0]);
    let expanded = backend.expand(key_bytes(&key));
    let random = |index| Case::random(&key, oracle::child(32, index), Shape::new(28, 64));
    let cases: Vec<_> = (0..24).map(random).collect();
    for opened in [0, 1, 7, 8, 9, 16, 23] {
        let mut frames: Vec<_> = cases.iter().map(|case| Frame::cipher(case, 0)).collect();
        let mut jobs: Vec<_> = frames.iter_mut().map(Frame::open_job).collect();
        expanded.open_batch(&mut jobs[..opened]);
        let authentic: Vec<_> = jobs.iter().map(OpenJob::is_authentic).collect();
        for (index, frame) in frames.iter().enumerate() {
            let checked = if index < opened {
                frame.expect_opened(&cases[index], authentic[index])
            } else if authentic[index] {
                Err("authentic without having been opened".into())
            } else {
                frame.expect_untouched()
            };
            must(checked.map_err(|e| format!("job {index}, {opened} of 24 opened: {e}")));
        }
    }
}

/// A batch of no jobs is nothing to do.
///
/// # Panics
/// When the backend does.
pub fn empty_batch<B: Backend>(backend: &B) {
    for case in cases(33) {
        let key = case.expand(backend);
        key.seal_batch(&mut []);
        key.open_batch(&mut []);
        must(case.check(&key, 0));
    }
}

/// A job counts for what its last opening gave: plaintext that is opened again is a forgery, and a
/// refused job that is put right is authentic.
///
/// # Panics
/// When the backend does otherwise.
pub fn used_jobs<B: Backend>(backend: &B) {
    for case in cases(34) {
        let key = case.expand(backend);
        for call in Call::BOTH {
            must(used_job(&key, &case, call).map_err(|e| format!("{} ({call}): {e}", case.label)));
        }
    }
}

fn used_job(key: &impl GcmKey, case: &Case, call: Call) -> Check {
    let mut text = case.ciphertext.clone();
    let wrong_tag = case.tag.map(|octet| octet ^ 0x80);
    let mut job = OpenJob::new(case.nonce, &case.aad, &mut text, &case.tag);
    let expect = |job: &OpenJob<'_>, authentic: bool, when: &str| {
        let right = match authentic {
            true => *job.text == case.plaintext,
            false => job.text.iter().all(|octet| *octet == 0),
        };
        match (job.is_authentic() == authentic, right) {
            (true, true) => Ok(()),
            (false, _) => Err(format!("{when}: authentic is {}", !authentic)),
            (_, false) => Err(format!("{when}: wrong text")),
        }
    };
    call.open(key, &mut job);
    expect(&job, true, "opened")?;
    // Without text the additional data and the tag are still right, so this one still opens.
    call.open(key, &mut job);
    expect(&job, job.text.is_empty(), "opened again")?;

    job.text.copy_from_slice(&case.ciphertext);
    call.open(key, &mut job);
    expect(&job, true, "put right")?;
    job.tag = &wrong_tag;
    job.text.copy_from_slice(&case.ciphertext);
    call.open(key, &mut job);
    expect(&job, false, "with a wrong tag")?;
    job.tag = &case.tag;
    job.text.copy_from_slice(&case.ciphertext);
    call.open(key, &mut job);
    expect(&job, true, "put right again")
}

/// A key gives the same octets however often it is used, whatever came before, whatever other keys
/// do, and after the octets it was expanded from are gone.
///
/// # Panics
/// When the backend does otherwise.
pub fn stateless_keys<B: Backend>(backend: &B) {
    let cases: Vec<_> = cases(35).collect();
    let expand = |case: &Case| {
        let mut octets = case.key.clone();
        let key = backend.expand(key_bytes(&octets));
        octets.fill(0);
        key
    };
    let keys: Vec<_> = cases.iter().map(expand).collect();
    for _ in 0..3 {
        for (case, key) in cases.iter().zip(&keys) {
            must(case.check(key, 0));
            let mut forged = case.clone();
            forged.tag[0] ^= 1;
            must(forged.check_refused(key));
            must(case.check(&expand(case), 0));
            must(case.check(key, 0));
        }
    }
}

/// A key behind `&`, `Box` and `Arc` is the same key.
///
/// # Panics
/// When it is not.
pub fn pointers_to_keys<B: Backend>(backend: &B) {
    for case in cases(36) {
        must(case.check(&&case.expand(backend), 0));
        must(case.check(&Box::new(case.expand(backend)), 0));
        must(case.check(&Arc::new(case.expand(backend)), 0));
    }
}

/// A key of [`Shared`] is the same key, and so are its clones, which outlive it.
///
/// # Panics
/// When it is not.
pub fn shared_keys<B: Backend>(backend: &B) {
    let shared = Shared(Borrowed(backend));
    assert_eq!(shared.name(), backend.name(), "Shared has a name of its own");
    for case in cases(37) {
        let key = case.expand(&shared);
        let clone = key.clone();
        must(case.check(&key, 0));
        drop(key);
        must(case.check(&clone, 0));
        let mut forged = case.clone();
        forged.tag[15] ^= 0x80;
        must(forged.check_refused(&clone));
    }
}

/// The name is there, short, printable and always the same.
///
/// # Panics
/// When it is not.
pub fn name<B: Backend>(backend: &B) {
    let name = backend.name();
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.+".contains(c);
    assert!((1..=32).contains(&name.len()), "name {name:?} has {} octets", name.len());
    assert!(name.chars().all(fits), "name {name:?} is not of a-z, 0-9, '-', '_', '.', '+'");
    assert_eq!(name, backend.name(), "the name changes");
}

/// Several threads use one key at once.
///
/// # Panics
/// When a thread gets wrong octets.
pub fn threads<B: Backend>(backend: &B)
where
    B::Key: Sync,
{
    for key in KEY_LENS.map(|len| oracle::octets(38, len)) {
        let expanded = &backend.expand(key_bytes(&key));
        let key = &key;
        let worker = |number: usize| {
            for round in 0..40 {
                let seed = oracle::child(38, number * 1000 + round);
                let case = Case::random(key, seed, Shape::new(28, 37 * round));
                must(case.check(expanded, number));
                let mut forged = Frame::cipher(&case, number);
                forged.nonce[0] ^= 1;
                let authentic = open(expanded, Call::Single, &mut forged);
                must(forged.expect_refused(authentic));
            }
        };
        thread::scope(|scope| {
            for number in 0..4 {
                scope.spawn(move || worker(number));
            }
        });
    }
}

/// The frames of all [`SHAPES`] under both key lengths, each with a key of its own.
fn cases(seed: u64) -> impl Iterator<Item = Case> {
    let shapes = KEY_LENS.into_iter().flat_map(|len| SHAPES.map(|shape| (len, shape)));
    shapes.enumerate().map(move |(index, (len, (aad, text)))| {
        let seed = oracle::child(seed, index);
        Case::random(&oracle::octets(seed, len), seed, Shape::new(aad, text))
    })
}

impl Case {
    /// A tag that a confused backend might hold for right.
    fn nonce_tag(&self) -> [u8; TAG_LEN] {
        let mut tag = [0; TAG_LEN];
        tag[..self.nonce.len()].copy_from_slice(&self.nonce);
        tag
    }
}

/// A borrowed backend, as [`Shared`] wants to own one.
struct Borrowed<'a, B>(&'a B);

impl<B: Backend> Backend for Borrowed<'_, B> {
    type Key = B::Key;

    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn expand(&self, key: KeyBytes<'_>) -> B::Key {
        self.0.expand(key)
    }
}

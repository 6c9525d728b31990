//! A batch gives what its jobs give one by one, each at its own place.

use macsec_gcm::{Backend, GcmKey, OpenJob, SealJob};
use proptest::{collection, option, prelude::*};

use super::{any_damage, any_key, any_shape, hold};
use crate::{
    Check,
    case::{Call, Case, KEY_LENS, Shape, key_bytes, open},
    frame::{Damage, Frame, Part},
    must, oracle,
};

/// The largest batch tried: more than any backend handles at once, and no multiple of it.
const MAX_BATCH: usize = 70;

/// A job of a batch, and what is done to it between sealing and opening.
#[derive(Clone, Copy, Debug)]
struct Job {
    shape: Shape,
    damage: Option<Damage>,
}

/// Every size of batch from 0 to 70: frames of one length, as a loaded line has them, and of
/// lengths that differ from job to job; all good, and every third damaged.
///
/// # Panics
/// When a batch gives other octets than its jobs one by one, or in another order.
pub fn every_batch_size<B: Backend>(backend: &B) {
    for key in KEY_LENS.map(|len| oracle::octets(21, len)) {
        let expanded = backend.expand(key_bytes(&key));
        for size in 0..=MAX_BATCH {
            let alike = |_| Shape::new(28, 64);
            let growing = |index: usize| Shape::new(20 + 8 * (index % 2), 37 * index % 200);
            let falling = |index: usize| Shape::new(28, 4 * (size - index));
            let shapes: [&dyn Fn(usize) -> Shape; 3] = [&alike, &growing, &falling];
            for (shape, damaged) in shapes.into_iter().flat_map(|s| [(s, false), (s, true)]) {
                let job = |index| Job {
                    shape: shape(index),
                    damage: (damaged && index % 3 == 1).then_some(nth_damage(index)),
                };
                let jobs: Vec<_> = (0..size).map(job).collect();
                must(check_batch(&expanded, &key, size as u64, &jobs));
            }
        }
    }
}

/// Batches of 0 to 70 jobs of any shape, good and bad ones mixed.
///
/// # Panics
/// When a batch gives other octets than its jobs one by one, or in another order.
pub fn mixed_batches<B: Backend>(backend: &B) {
    let job = (any_shape(), option::of(any_damage()));
    let job = job.prop_map(|(shape, damage)| Job { shape, damage });
    let inputs = (any_key(), any::<u64>(), collection::vec(job, 0..=MAX_BATCH));
    hold("batch", 100, &inputs, |(key, seed, jobs)| {
        check_batch(&backend.expand(key_bytes(&key)), &key, seed, &jobs)
    });
}

/// One bad job among good ones, and one good job among bad ones, at every place.
///
/// # Panics
/// When one job's outcome is another's too.
pub fn one_odd_job_anywhere<B: Backend>(backend: &B) {
    let key = oracle::octets(23, KEY_LENS[1]);
    let expanded = backend.expand(key_bytes(&key));
    for size in [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 32, 33, 65] {
        let shape = |index: usize| Shape::new(28, [46, 64, 0, 100][index % 4]);
        let random = |index| Case::random(&key, oracle::child(23, index), shape(index));
        let cases: Vec<_> = (0..size).map(random).collect();
        for (odd, odd_is_bad) in (0..size).flat_map(|odd| [(odd, true), (odd, false)]) {
            let damaged = |index: usize| (index == odd) == odd_is_bad;
            let job = |index| Job {
                shape: shape(index),
                damage: damaged(index).then_some(nth_damage(index)),
            };
            let jobs: Vec<_> = (0..size).map(job).collect();
            let checked = check_open(&expanded, &cases, &jobs);
            must(checked.map_err(|e| format!("odd job {odd} of {size}: {e}")));
        }
    }
}

fn nth_damage(index: usize) -> Damage {
    let part = Part::ALL[index % 4];
    Damage { part, bit: index }
}

/// Seals and opens `jobs` as a batch and one by one.
fn check_batch(key: &impl GcmKey, octets: &[u8], seed: u64, jobs: &[Job]) -> Check {
    let numbered = jobs.iter().enumerate();
    let cases: Vec<_> = numbered
        .map(|(index, job)| Case::random(octets, oracle::child(seed, index), job.shape))
        .collect();
    let size = jobs.len();
    check_seal(key, &cases, jobs)
        .and_then(|()| check_open(key, &cases, jobs))
        .map_err(|e| format!("AES-{}, seed {seed:#x}, {size} jobs: {e}", octets.len() * 8))
}

fn check_seal(key: &impl GcmKey, cases: &[Case], jobs: &[Job]) -> Check {
    let plain = |(case, job): (&Case, &Job)| Frame::plain(case, job.shape.offset);
    let mut frames: Vec<_> = cases.iter().zip(jobs).map(plain).collect();
    let places: Vec<_> = frames.iter().map(Frame::place).collect();
    let mut batch: Vec<_> = frames.iter_mut().map(Frame::seal_job).collect();
    key.seal_batch(&mut batch);
    let after = batch.iter().map(|SealJob { text, .. }| (text.as_ptr() as usize, text.len()));
    if !after.eq(places) {
        return Err("sealing moves the jobs of the batch".into());
    }
    for (index, (frame, case)) in frames.iter().zip(cases).enumerate() {
        frame.expect_sealed(case).map_err(|e| fault("in the batch", index, case, &e))?;
    }
    for (index, (case, job)) in cases.iter().zip(jobs).enumerate() {
        let mut frame = plain((case, job));
        Call::Single.seal(key, &mut frame.seal_job());
        frame.expect_sealed(case).map_err(|e| fault("by itself", index, case, &e))?;
    }
    Ok(())
}

fn check_open(key: &impl GcmKey, cases: &[Case], jobs: &[Job]) -> Check {
    let arrived = |(case, job): (&Case, &Job)| {
        let mut frame = Frame::cipher(case, job.shape.offset);
        if let Some(damage) = job.damage {
            frame.damage(damage);
        }
        frame
    };
    let expect = |frame: &Frame, case: &Case, job: &Job, authentic| match job.damage {
        None => frame.expect_opened(case, authentic),
        Some(_) => frame.expect_refused(authentic),
    };
    let mut frames: Vec<_> = cases.iter().zip(jobs).map(arrived).collect();
    let places: Vec<_> = frames.iter().map(Frame::place).collect();
    let mut batch: Vec<_> = frames.iter_mut().map(Frame::open_job).collect();
    key.open_batch(&mut batch);
    let authentic: Vec<_> = batch.iter().map(OpenJob::is_authentic).collect();
    let after = batch.iter().map(|OpenJob { text, .. }| (text.as_ptr() as usize, text.len()));
    if !after.eq(places) {
        return Err("opening moves the jobs of the batch".into());
    }
    for (index, frame) in frames.iter().enumerate() {
        let (case, job) = (&cases[index], &jobs[index]);
        let outcome = expect(frame, case, job, authentic[index]);
        outcome.map_err(|e| fault("in the batch", index, case, &e))?;
    }
    for (index, (case, job)) in cases.iter().zip(jobs).enumerate() {
        let mut frame = arrived((case, job));
        let authentic = open(key, Call::Single, &mut frame);
        let outcome = expect(&frame, case, job, authentic);
        outcome.map_err(|e| fault("by itself", index, case, &e))?;
    }
    Ok(())
}

fn fault(how: &str, index: usize, case: &Case, message: &str) -> String {
    format!("job {index} {how} ({}): {message}", case.label)
}

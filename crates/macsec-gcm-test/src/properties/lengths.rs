//! One frame at a time: right octets, and back again, at any length and alignment.

use macsec_gcm::Backend;
use proptest::prelude::*;

use super::{MAX_TEXT, any_key, any_length, any_shape, hold};
use crate::{
    case::{Case, KEY_LENS, Shape, key_bytes},
    must, oracle,
};

/// Every length of text from 0 to 300 behind several lengths of additional data, and every length
/// of additional data from 0 to 300 before several lengths of text.
///
/// # Panics
/// When sealing gives other octets than the oracle or opening does not give the plaintext back.
pub fn every_short_length<B: Backend>(backend: &B) {
    for key in KEY_LENS.map(|len| oracle::octets(1, len)) {
        let expanded = backend.expand(key_bytes(&key));
        for long in 0..=300 {
            for short in [0, 1, 12, 16, 20, 28] {
                for (aad, text) in [(short, long), (long, short)] {
                    let case = Case::random(&key, long as u64, Shape::new(aad, text));
                    must(case.check(&expanded, 0));
                }
            }
        }
    }
}

/// Any frame up to 9600 octets of text, and the lengths around which frames, pages and counters
/// turn over.
///
/// # Panics
/// When sealing gives other octets than the oracle or opening does not give the plaintext back.
pub fn frame_lengths<B: Backend>(backend: &B) {
    let edges = [46, 1500, 2048, 4064, 4080, 4096, 8192, 9000, 9216, MAX_TEXT - 1];
    for key in KEY_LENS.map(|len| oracle::octets(2, len)) {
        let expanded = backend.expand(key_bytes(&key));
        for length in edges.into_iter().flat_map(|edge| edge - 1..=edge + 1) {
            for (aad, text) in [(20, length), (28, length), (28 + length, 0), (length, length)] {
                let case = Case::random(&key, length as u64, Shape::new(aad, text));
                must(case.check(&expanded, 0));
            }
        }
    }
    let shapes = prop_oneof![
        any_shape(),
        (0..=MAX_TEXT, 0..=MAX_TEXT).prop_map(|(aad, text)| Shape::new(aad, text)),
    ];
    let inputs = (any_key(), any::<u64>(), shapes);
    hold("sealed and opened", 400, &inputs, |(key, seed, shape)| {
        let case = Case::random(&key, seed, shape);
        case.check(&case.expand(backend), shape.offset)
    });
}

/// Texts so long that the block counter carries into its third octet.
///
/// # Panics
/// When sealing gives other octets than the oracle or opening does not give the plaintext back.
pub fn long_text<B: Backend>(backend: &B) {
    for key in KEY_LENS.map(|len| oracle::octets(3, len)) {
        let case = Case::random(&key, 3, Shape::new(28, (16 << 16) + 333));
        must(case.check(&case.expand(backend), 0));
    }
}

/// Buffers at every offset from 0 to 63 from a multiple of 64.
///
/// # Panics
/// When sealing gives other octets than the oracle, opening does not give the plaintext back, or
/// anything is written outside of the buffers.
pub fn every_alignment<B: Backend>(backend: &B) {
    for key in KEY_LENS.map(|len| oracle::octets(4, len)) {
        let expanded = backend.expand(key_bytes(&key));
        for offset in 0..64 {
            for (aad, text) in [(20, 46), (28, 200), (28, 1500), (33, 65), (777, 0)] {
                let shape = Shape { aad, text, offset };
                must(Case::random(&key, 4, shape).check(&expanded, offset));
            }
        }
    }
    let inputs = (any_key(), 0..=100_usize, any_length(), 0..64_usize);
    hold("unaligned", 200, &inputs, |(key, aad, text, offset)| {
        let case = Case::random(&key, 5, Shape { aad, text, offset });
        case.check(&case.expand(backend), offset)
    });
}

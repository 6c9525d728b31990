//! What is not authentic is refused. Each check also has the frame itself accepted, for to a backend
//! that refuses everything no forgery means anything.

use macsec_gcm::{Backend, GcmKey, TAG_LEN};
use proptest::prelude::*;

use super::{any_damage, any_key, any_shape, hold};
use crate::{
    Check,
    case::{Call, Case, KEY_LENS, Shape, key_bytes, open},
    frame::{Damage, Frame, Part},
    must, oracle,
};

/// Every single bit of the nonce, the additional data, the text and the tag of some frames.
///
/// # Panics
/// When a damaged frame is accepted or left unzeroed.
pub fn every_flipped_bit<B: Backend>(backend: &B) {
    for key in KEY_LENS.map(|len| oracle::octets(11, len)) {
        let expanded = backend.expand(key_bytes(&key));
        for (aad, text) in [(28, 80), (20, 1), (0, 17), (28 + 46, 0), (0, 0)] {
            let case = Case::random(&key, 11, Shape::new(aad, text));
            must(case.check(&expanded, 0));
            let bits = [12, aad, text, TAG_LEN].map(|octets| octets * 8);
            for (part, bits) in Part::ALL.into_iter().zip(bits) {
                for bit in 0..bits {
                    must(refused(&expanded, &case, Damage { part, bit }, 0));
                }
            }
        }
    }
}

/// Two octets of the tag, damaged alike: what a comparison that adds differences up by XOR misses.
///
/// # Panics
/// When a damaged frame is accepted or left unzeroed.
pub fn paired_tag_bits<B: Backend>(backend: &B) {
    for key in KEY_LENS.map(|len| oracle::octets(12, len)) {
        let expanded = backend.expand(key_bytes(&key));
        let case = Case::random(&key, 12, Shape::new(28, 33));
        must(case.check(&expanded, 0));
        for second in 1..TAG_LEN {
            for first in 0..second {
                for bit in 0..8 {
                    let mut forged = case.clone();
                    forged.tag[first] ^= 1 << bit;
                    forged.tag[second] ^= 1 << bit;
                    forged.label += &format!(", bit {bit} of tag octets {first} and {second}");
                    must(forged.check_refused(&expanded));
                }
            }
        }
    }
}

/// A random bit of a random frame.
///
/// # Panics
/// When a damaged frame is accepted or left unzeroed.
pub fn random_forgeries<B: Backend>(backend: &B) {
    let inputs = (any_key(), any::<u64>(), any_shape(), any_damage());
    hold("one flipped bit", 500, &inputs, |(key, seed, shape, damage)| {
        let case = Case::random(&key, seed, shape);
        let key = case.expand(backend);
        case.check(&key, shape.offset)?;
        refused(&key, &case, damage, shape.offset)
    });
}

/// The same octets, split elsewhere into additional data and text, and octets of zero added or
/// taken away where GCM pads with them.
///
/// # Panics
/// When such a frame is accepted or left unzeroed.
pub fn moved_boundaries<B: Backend>(backend: &B) {
    for key in KEY_LENS.map(|len| oracle::octets(13, len)) {
        let expanded = backend.expand(key_bytes(&key));
        let mut case = Case::random(&key, 13, Shape::new(40, 40));
        // Zeroes at the end of both parts, so that taking them away leaves the padded blocks alike.
        case.aad[32..].fill(0);
        let keystream = case.plaintext.iter().zip(&case.ciphertext).map(|(p, c)| p ^ c);
        case.plaintext = keystream.collect();
        case.plaintext[..32].fill(7);
        let Case { label, nonce, aad, plaintext, .. } = case;
        let label = format!("{label}, zeroes at the ends");
        let case = Case::sealed(label, &key, nonce, aad, plaintext);
        assert!(case.ciphertext.ends_with(&[0; 8]));
        must(case.check(&expanded, 0));

        let wire = [&case.aad[..], &case.ciphertext[..]].concat();
        for split in (0..=wire.len()).filter(|split| *split != case.aad.len()) {
            let mut forged = case.clone();
            (forged.aad, forged.ciphertext) = (wire[..split].to_vec(), wire[split..].to_vec());
            forged.label += &format!(", split at {split}");
            must(forged.check_refused(&expanded));
        }
        for len in (32..=48).filter(|len| *len != 40) {
            let mut forged = case.clone();
            forged.aad.resize(len, 0);
            forged.label += &format!(", {len} octets of additional data");
            must(forged.check_refused(&expanded));

            let mut forged = case.clone();
            forged.ciphertext.resize(len, 0);
            forged.label += &format!(", {len} octets of text");
            must(forged.check_refused(&expanded));
        }
    }
}

/// Every single bit of the key matters, and none but to this key.
///
/// # Panics
/// When a key that differs in one bit opens the frame or is not the oracle's.
pub fn every_key_bit<B: Backend>(backend: &B) {
    for key in KEY_LENS.map(|len| oracle::octets(14, len)) {
        let case = Case::random(&key, 14, Shape::new(28, 46));
        for bit in 0..key.len() * 8 {
            let mut other = key.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            let expanded = backend.expand(key_bytes(&other));
            let differs = format!("key bit {bit} flipped: ");
            must(case.check_refused(&expanded).map_err(|e| differs.clone() + &e));
            let case = Case::random(&other, 14, Shape::new(28, 46));
            must(case.check(&expanded, 0).map_err(|e| differs + &e));
        }
    }
}

fn refused(key: &impl GcmKey, case: &Case, damage: Damage, offset: usize) -> Check {
    for call in Call::BOTH {
        let mut frame = Frame::cipher(case, offset);
        frame.damage(damage);
        let authentic = open(key, call, &mut frame);
        let refused = frame.expect_refused(authentic);
        refused.map_err(|e| format!("{}, {damage:?} ({call}): {e}", case.label))?;
    }
    Ok(())
}

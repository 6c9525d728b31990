//! The right answer, by RustCrypto's `aes-gcm` and without `macsec-gcm` in between.

use aes_gcm::{AeadInOut, Aes128Gcm, Aes256Gcm, KeyInit};
use macsec_gcm::{KeyBytes, NONCE_LEN, TAG_LEN};

/// Encrypts `text` in place and returns the tag.
pub(crate) fn seal(
    key: KeyBytes<'_>,
    nonce: [u8; NONCE_LEN],
    aad: &[u8],
    text: &mut [u8],
) -> [u8; TAG_LEN] {
    let nonce = nonce.into();
    match key {
        KeyBytes::Aes128(key) => {
            Aes128Gcm::new(key.into()).encrypt_inout_detached(&nonce, aad, text.into())
        }
        KeyBytes::Aes256(key) => {
            Aes256Gcm::new(key.into()).encrypt_inout_detached(&nonce, aad, text.into())
        }
    }
    .expect("test texts are far shorter than what GCM allows")
    .into()
}

/// Fills `octets` from `seed`, the same ones for the same seed (SplitMix64).
pub(crate) fn fill(seed: u64, octets: &mut [u8]) {
    let mut state = seed;
    for chunk in octets.chunks_mut(8) {
        let word = mix(&mut state);
        chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
    }
}

/// `len` octets from `seed`.
pub(crate) fn octets(seed: u64, len: usize) -> Vec<u8> {
    let mut octets = vec![0; len];
    fill(seed, &mut octets);
    octets
}

/// A seed that differs for each `index` below `seed`.
pub(crate) fn child(seed: u64, index: usize) -> u64 {
    let mut state = seed ^ (index as u64).rotate_left(32);
    mix(&mut state)
}

fn mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut word = *state;
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

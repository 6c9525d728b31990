//! AES-CMAC (NIST SP 800-38B), and the key derivation function made of it (802.1X clause 6.2.1).

use aes::{Aes128Enc, Aes256Enc};
use cmac::{
    Cmac, KeyInit, Mac,
    digest::{common::InnerInit, consts::U16},
};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::secret::Secret;

const BLOCK_LEN: usize = 16;

/// The standard's KDF: fills `out`, which has 16 or 32 octets, from `key`, `label` and `context`.
///
/// Each block of output is the CMAC over a counter from 1, the label, a zero, the context and
/// the length of the whole output in bits.
pub(super) fn kdf<'a>(
    key: &Secret,
    label: &[u8],
    context: &(impl Iterator<Item = &'a [u8]> + Clone),
    out: &mut [u8],
) {
    // Two blocks at most, so neither cast can cut.
    let bits = ((out.len() * 8) as u16).to_be_bytes();
    let key = CmacKey::new(key);
    for (index, block) in out.chunks_mut(BLOCK_LEN).enumerate() {
        let counter = [index as u8 + 1];
        let before = [&counter[..], label, &[0]];
        // The closure shortens a lifetime, so that the parts can stand in one row.
        let context = context.clone().map(|part| -> &[u8] { part });
        let parts = before.into_iter().chain(context).chain([&bits[..]]);
        let mac = Zeroizing::new(key.cmac(parts));
        block.copy_from_slice(&mac[..block.len()]);
    }
}

/// A key whose round keys are made once.
#[derive(Clone, ZeroizeOnDrop)]
pub(super) enum CmacKey {
    Bits128(Aes128Enc),
    Bits256(Aes256Enc),
}

impl CmacKey {
    pub(super) fn new(key: &Secret) -> Self {
        match key {
            Secret::Bits128(key) => Self::Bits128(Aes128Enc::new(key.into())),
            Secret::Bits256(key) => Self::Bits256(Aes256Enc::new(key.into())),
        }
    }

    /// The AES-CMAC over the parts, one after the other.
    pub(super) fn cmac<'a>(&self, parts: impl Iterator<Item = &'a [u8]>) -> [u8; BLOCK_LEN] {
        match self {
            Self::Bits128(key) => run(Cmac::inner_init(key.clone()), parts),
            Self::Bits256(key) => run(Cmac::inner_init(key.clone()), parts),
        }
    }
}

fn run<'a, M>(mut mac: M, parts: impl Iterator<Item = &'a [u8]>) -> [u8; BLOCK_LEN]
where
    M: Mac<OutputSize = U16>,
{
    parts.for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use serde_json::Value;

    use super::*;

    const PRIMITIVES: &str = include_str!("../../../../test-vectors/rfc/rfc-cmac-kw.json");
    const KEYS: &str = include_str!("../../../../test-vectors/mka/keys.json");

    fn octets(value: &Value) -> Vec<u8> {
        hex::decode(value.as_str().unwrap()).unwrap()
    }

    #[test]
    fn cmac_of_rfc_4493_and_sp_800_38b() {
        let all: Value = serde_json::from_str(PRIMITIVES).unwrap();
        let vectors = all["aes_cmac"].as_array().unwrap();
        assert_eq!(vectors.len(), 8);
        for vector in vectors {
            let key = Secret::new(&octets(&vector["key"])).unwrap();
            let message = octets(&vector["msg"]);
            let key = CmacKey::new(&key);
            assert_eq!(key.cmac([&message[..]].into_iter())[..], octets(&vector["mac"]));
            // The same octets in two parts.
            let (first, second) = message.split_at(message.len() / 3);
            assert_eq!(key.cmac([first, second].into_iter())[..], octets(&vector["mac"]));
        }
    }

    #[test]
    fn kdf_of_annex_g_1() {
        let all: Value = serde_json::from_str(KEYS).unwrap();
        for vector in all["kdf"].as_array().unwrap() {
            let key = Secret::new(&octets(&vector["key"])).unwrap();
            let label = vector["label"].as_str().unwrap().as_bytes();
            let (context, expected) = (octets(&vector["context"]), octets(&vector["out"]));
            let mut out = Zeroizing::new([0; 32]);
            let out = &mut out[..expected.len()];
            kdf(&key, label, &[&context[..]].into_iter(), out);
            assert_eq!(out, expected, "{}", vector["id"]);
        }
    }
}

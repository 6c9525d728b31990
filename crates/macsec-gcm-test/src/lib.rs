//! The test suite that every backend of `macsec-gcm` passes.
//!
//! A backend's own test is a few lines, in a file of its `tests` folder:
//!
//! ```
//! macsec_gcm_test::provider_tests!(macsec_gcm::Portable);
//! ```
//!
//! Each group of checks becomes a `#[test]` of its own. [`run`] does the same in one call, and
//! [`groups`] names the groups. A check that fails panics with the vector, or with the smallest
//! input found to break the property.
//!
//! - [`vectors`]: known answers by NIST, Wycheproof and IEEE 802.1AE.
//! - [`properties`]: what holds for any frame, batch and forgery. RustCrypto's `aes-gcm`, which
//!   this crate uses by itself, says what the right octets are.
//! - [`contract`]: the rules of [`GcmKey`](macsec_gcm::GcmKey) and
//!   [`OpenJob`](macsec_gcm::OpenJob).
//!
//! Every buffer lies between guard octets that must not change, and so must nothing else that a
//! job may not write to.
//!
//! What the suite can not see: whether key material is erased, whether time depends on secrets,
//! and whether anything is allocated. Those a backend has to show by other means.
//!
//! Random inputs differ from run to run. `PROPTEST_CASES` sets their number for a longer search
//! and `PROPTEST_RNG_SEED` repeats a run.
#![forbid(unsafe_code)]

mod case;
pub mod contract;
mod frame;
mod oracle;
pub mod properties;
pub mod vectors;

use std::io::{self, Write};

use macsec_gcm::Backend;

/// What a check finds: nothing, or a message that says which input broke which rule.
type Check = Result<(), String>;

/// A group of checks: its name and the function that panics unless a backend passes.
pub type Group<B> = (&'static str, fn(&B));

/// Every group of checks but [`contract::threads`], which needs a key that is `Sync`.
#[must_use]
pub fn groups<B: Backend>() -> Vec<Group<B>> {
    provider_tests!(@list groups B)
}

/// Puts `backend` through all [`groups`].
///
/// # Panics
/// When the backend fails a check.
pub fn run<B: Backend>(backend: &B) {
    for (_, check) in groups::<B>() {
        check(backend);
    }
}

/// Declares a `#[test]` for each group of checks.
///
/// ```
/// mod portable {
///     macsec_gcm_test::provider_tests!(macsec_gcm::Portable);
/// }
/// ```
///
/// For a backend that only some machines have, give an `Option`. On a machine without it the tests
/// say so on standard error and pass.
///
/// ```
/// fn detect() -> Option<macsec_gcm::Portable> {
///     Some(macsec_gcm::Portable)
/// }
///
/// macsec_gcm_test::provider_tests!(if available: detect());
/// ```
#[macro_export]
macro_rules! provider_tests {
    (@list $then:ident $state:tt) => {
        $crate::provider_tests! { @$then $state
            vectors::wycheproof,
            vectors::nist_cavp,
            vectors::ieee_annex_c,
            vectors::derived_offsets,
            properties::every_short_length,
            properties::frame_lengths,
            properties::long_text,
            properties::every_alignment,
            properties::every_flipped_bit,
            properties::paired_tag_bits,
            properties::random_forgeries,
            properties::moved_boundaries,
            properties::every_key_bit,
            properties::every_batch_size,
            properties::mixed_batches,
            properties::one_odd_job_anywhere,
            contract::failed_open,
            contract::unopened_jobs,
            contract::empty_batch,
            contract::used_jobs,
            contract::stateless_keys,
            contract::pointers_to_keys,
            contract::shared_keys,
            contract::name,
        }
    };
    (@groups $backend:ident $($module:ident::$group:ident,)*) => {
        vec![$((
            concat!(stringify!($module), "::", stringify!($group)),
            $module::$group as fn(&$backend),
        )),*]
    };
    (@tests { $backend:expr } $($module:ident::$group:ident,)*) => {
        $(#[test]
        fn $group() {
            $crate::$module::$group(&$backend);
        })*

        #[test]
        fn threads() {
            $crate::contract::threads(&$backend);
        }
    };
    (@optional { $backend:expr } $($module:ident::$group:ident,)*) => {
        $(#[test]
        fn $group() {
            $crate::if_available($backend, $crate::$module::$group);
        })*

        #[test]
        fn threads() {
            $crate::if_available($backend, $crate::contract::threads);
        }
    };
    (if available: $backend:expr) => {
        $crate::provider_tests! { @list optional { $backend } }
    };
    ($backend:expr) => {
        $crate::provider_tests! { @list tests { $backend } }
    };
}

#[doc(hidden)]
pub fn if_available<B: Backend>(backend: Option<B>, check: fn(&B)) {
    match backend {
        Some(backend) => check(&backend),
        // Not by `eprintln!`, which the test harness keeps to itself when a test passes.
        None => {
            let _ = writeln!(io::stderr(), "SKIPPED: this machine does not have the backend");
        }
    }
}

/// Panics with the message of a failed check.
#[track_caller]
fn must(check: Check) {
    if let Err(message) = check {
        panic!("{message}");
    }
}

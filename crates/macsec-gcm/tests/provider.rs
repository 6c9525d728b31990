//! The portable backend, by itself and shared, passes the suite that every backend passes.

mod portable {
    macsec_gcm_test::provider_tests!(macsec_gcm::Portable);
}

#[cfg(feature = "alloc")]
mod shared {
    macsec_gcm_test::provider_tests!(macsec_gcm::Shared(macsec_gcm::Portable));
}

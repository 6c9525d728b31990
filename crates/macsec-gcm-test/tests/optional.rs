//! A backend that this machine may not have.

mod present {
    macsec_gcm_test::provider_tests!(if available: Some(macsec_gcm::Portable));
}

/// Passes, and says on standard error that it has tested nothing.
mod absent {
    macsec_gcm_test::provider_tests!(if available: None::<macsec_gcm_null::Null>);
}

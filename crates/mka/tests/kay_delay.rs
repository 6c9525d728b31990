//! Delay protection: what is held up on its way for longer than some 2.5 seconds is not delivered.

mod lab;

use std::time::Duration;

use lab::{cak, ckn, config, seconds};
use mka::{ConfigError, Kay, KayConfig, OsRandom, ParticipantError};

#[test]
fn a_hello_time_that_bounds_nothing_is_refused() {
    for (hello, expected) in [
        (Duration::from_millis(500), None),
        (Duration::from_millis(501), Some(ConfigError::DelayProtect)),
        (seconds(2), Some(ConfigError::DelayProtect)),
    ] {
        let mut participant = config(1);
        participant.delay_protect = true;
        participant.hello_time = hello;
        let kay = Kay::new(KayConfig::new(participant), cak(), ckn(), OsRandom, Duration::ZERO);
        assert_eq!(kay.err(), expected.map(ParticipantError::Config));
        participant.delay_protect = false;
        assert!(Kay::new(KayConfig::new(participant), cak(), ckn(), OsRandom, seconds(0)).is_ok());
    }
}

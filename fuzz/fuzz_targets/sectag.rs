//! `SecTag::parse` on any octets.
#![no_main]

use libfuzzer_sys::fuzz_target;
use macsec::{ETHERTYPE_MACSEC, SHORT_DATA_LIMIT, SecTag, SecTagError};

fuzz_target!(|octets: &[u8]| {
    let _ = SecTagError::Truncated.to_string();
    match SecTag::parse(octets) {
        Ok(tag) => {
            let _ = tag.to_string();
            assert_eq!(octets[..2], ETHERTYPE_MACSEC.to_be_bytes());
            assert!(usize::from(tag.short_length) < SHORT_DATA_LIMIT);
            let mut again = [0; 16];
            let len = tag.emit(&mut again).expect("sixteen octets take any tag");
            assert_eq!(len, tag.octets());
            assert_eq!(again[..len], octets[..len], "emitted otherwise than parsed");
            assert_eq!(SecTag::parse(&again[..len]), Ok(tag));
            // No more room than needed is needed, and with less nothing is written.
            let mut tight = vec![0xee; len - 1];
            assert_eq!(tag.emit(&mut tight), None);
            assert!(tight.iter().all(|&octet| octet == 0xee));
        }
        Err(error) => {
            let _ = error.to_string();
        }
    }
});

//! The example frames of 802.1AE Annex C, and frames with a confidentiality offset, are opened.

mod common;

use std::collections::HashMap;

use common::{Decoder, seconds};
use macsec::{An, CipherSuite, ConfidentialityOffset, Ki, Sak, Salt, Sci, Ssci};
use macsec_decode::{KnownSak, SakSender, SakSource};
use serde_json::Value;

macro_rules! vectors {
    ($path:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../test-vectors/", $path))
    };
}

const FILES: [&str; 5] = [
    vectors!("ieee/gcm-aes-128.json"),
    vectors!("ieee/gcm-aes-256.json"),
    vectors!("ieee/gcm-aes-xpn-128.json"),
    vectors!("ieee/gcm-aes-xpn-256.json"),
    vectors!("derived/derived-confidentiality-offset.json"),
];

fn octets(vector: &Value, name: &str) -> Vec<u8> {
    hex::decode(vector[name].as_str().expect(name)).expect(name)
}

fn number(vector: &Value, name: &str) -> u64 {
    octets(vector, name).iter().fold(0, |number, &octet| number << 8 | u64::from(octet))
}

#[test]
fn published_frames_open_to_the_octet() {
    let mut opened = 0;
    let mut unprotected = HashMap::new();
    for file in FILES {
        let file: Value = serde_json::from_str(file).expect("JSON");
        for vector in file["vectors"].as_array().expect("vectors") {
            let suite: CipherSuite =
                vector["cipher_suite"].as_str().expect("suite").parse().expect("suite");
            let is_xpn = suite.is_xpn();
            let sci = Sci(octets(vector, "sci").try_into().expect("8 octets"));
            let pn = number(vector, if is_xpn { "pn64" } else { "pn" });
            let offset = match vector["confidentiality_offset"].as_u64().unwrap_or(0) {
                0 => ConfidentialityOffset::Zero,
                30 => ConfidentialityOffset::Thirty,
                50 => ConfidentialityOffset::Fifty,
                other => panic!("offset {other}"),
            };
            let sender = SakSender {
                sci,
                ssci: is_xpn.then(|| Ssci(number(vector, "ssci") as u32)),
                lowest_pns: vec![(seconds(1), pn.saturating_sub(9).max(1))],
            };
            let known = KnownSak {
                source: SakSource::Distributed { ki: Ki([1; 16]), at: seconds(1) },
                an: An::new(vector["an"].as_u64().expect("an") as u8).expect("an"),
                suite,
                sak: Sak::new(&octets(vector, "key")).expect("a SAK"),
                salt: is_xpn.then(|| Salt(octets(vector, "salt").try_into().expect("12 octets"))),
                offset,
                senders: vec![sender],
            };
            let mut decoder = Decoder::new([known]);
            let protected = octets(vector, "protected_frame");
            // Those with an offset are made from one without.
            let (id, base) = (&vector["id"], &vector["base"]);
            if base.is_null() {
                unprotected.insert(id.to_string(), octets(vector, "unprotected_frame"));
            }
            let plain = &unprotected[&(if base.is_null() { id } else { base }).to_string()];
            let found = decoder.opens(&protected, plain);
            assert_eq!((found.sci, found.pn), (Some(sci), pn), "{id}");
            opened += 1;
        }
    }
    assert_eq!(opened, 32 + 16);
}

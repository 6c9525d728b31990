//! A status for tests.

use std::collections::BTreeMap;

use macsec::COUNTERS;

use super::{
    PortStatus, ReceiveSaStatus, ReceiveScStatus, SecyStatus, TapStatus, TransmitSaStatus,
    TransmitScStatus, UplinkStatus, mka,
};

/// A port with the longest of everything.
pub(crate) fn port() -> PortStatus {
    let sci = || "02-00-00-00-00-01-0001".to_owned();
    let ki = || "00112233445566778899aabbccddeeff".to_owned();
    let counters = || {
        let counters = COUNTERS.iter().map(|c| (c.yang.to_owned(), 99_999_999_999_999_999));
        counters.collect::<BTreeMap<_, _>>()
    };
    PortStatus {
        name: "a-port-of-15-xx".to_owned(),
        controlled_port_enabled: true,
        secured: true,
        problems: Vec::new(),
        key_source: "static".to_owned(),
        mka: Some(mka::fixture()),
        uplink: UplinkStatus {
            name: "enp123s45f67np8".to_owned(),
            isolation: "namespace".to_owned(),
            present: true,
            carrier: false,
            mtu: 65_000,
            phys_address: "02:00:00:00:00:01".to_owned(),
            io_method: String::new(),
        },
        tap: TapStatus {
            name: "macsec-of-15-xx".to_owned(),
            present: true,
            mtu: 65_000,
            phys_address: "02:00:00:00:00:01".to_owned(),
        },
        secy: Some(SecyStatus {
            sci: sci(),
            cipher_backend: "portable".to_owned(),
            cipher_suite: "gcm-aes-xpn-256".to_owned(),
            cipher_suite_identifier: String::new(),
            protect_frames: true,
            always_include_sci: true,
            use_es: false,
            use_scb: false,
            including_sci: true,
            validate_frames: "disabled".to_owned(),
            replay_protect: true,
            replay_window: u32::MAX,
            detect_duplicates: false,
            verification: counters(),
            generation: counters(),
            transmit_sc: TransmitScStatus {
                sci: sci(),
                transmitting: true,
                encoding_sa: Some(3),
                transmit_sa: vec![TransmitSaStatus {
                    an: 3,
                    in_use: true,
                    key_identifier: ki(),
                    cipher_suite: String::new(),
                    confidentiality: true,
                    confidentiality_offset: 0,
                    next_pn: Some(u64::MAX),
                    pn_limit: None,
                    age: 90_000,
                }],
                statistics: counters(),
            },
            receive_sc: vec![ReceiveScStatus {
                sci: sci(),
                receiving: true,
                receive_sa: vec![ReceiveSaStatus {
                    an: 0,
                    in_use: true,
                    key_identifier: ki(),
                    next_pn: u64::from(u32::MAX),
                    lowest_pn: u64::from(u32::MAX),
                    age: 61,
                }],
                statistics: counters(),
            }],
            receive_sc_sum: counters(),
        }),
        local: ["tap-drop", "ring-drop", "uplink-not-sent", "eapol-from-uplink", "runt"]
            .map(|name| (name.to_owned(), 123_456_789))
            .into(),
        bypass: Vec::new(),
    }
}

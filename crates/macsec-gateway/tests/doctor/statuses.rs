//! Statuses as gateways give them.
#![allow(unreachable_pub)]

use std::{collections::BTreeMap, time::Duration};

use macsec::{COUNTERS, CounterScope};
use macsec_gateway::{
    doctor::Sample,
    status::{
        PortStatus, ReceiveSaStatus, ReceiveScStatus, SecyStatus, TapStatus, TransmitSaStatus,
        TransmitScStatus, UplinkStatus,
    },
};

/// The names of the local counters, as `macsec status` has them.
const LOCAL: [&str; 24] = [
    "delivered",
    "ring-drop",
    "tap-drop",
    "tap-too-long",
    "state-drop",
    "state-write-failures",
    "no-uplink",
    "uplink-sent",
    "uplink-not-sent",
    "uplink-down",
    "uplink-opened",
    "eapol-from-tap",
    "eapol-from-uplink",
    "port-closed",
    "no-transmit-sa",
    "pn-exhausted",
    "pn-withheld",
    "source-not-sci",
    "caller-error",
    "reserved-tci",
    "runt",
    "duplicate",
    "unknown-sci",
    "no-sci",
];

/// A port that has counted nothing yet.
pub fn idle() -> PortStatus {
    let ki = || "00112233445566778899aabbccddeeff".to_owned();
    let scope = |scope| {
        let counters = COUNTERS.iter().filter(|counter| counter.scope == scope);
        counters.map(|counter| (counter.yang.to_owned(), 0)).collect::<BTreeMap<_, _>>()
    };
    PortStatus {
        name: "wan0".to_owned(),
        controlled_port_enabled: true,
        secured: true,
        problems: Vec::new(),
        key_source: "static".to_owned(),
        mka: None,
        uplink: UplinkStatus {
            name: "up0".to_owned(),
            isolation: "filter".to_owned(),
            present: true,
            carrier: true,
            mtu: 1500,
            ..UplinkStatus::default()
        },
        tap: TapStatus {
            name: "wan0".to_owned(),
            present: true,
            mtu: 1468,
            ..TapStatus::default()
        },
        secy: Some(SecyStatus {
            sci: "02-00-00-00-00-01-0001".to_owned(),
            cipher_backend: "portable".to_owned(),
            cipher_suite: "gcm-aes-128".to_owned(),
            cipher_suite_identifier: String::new(),
            protect_frames: true,
            always_include_sci: true,
            use_es: false,
            use_scb: false,
            including_sci: true,
            validate_frames: "strict".to_owned(),
            replay_protect: true,
            replay_window: 7,
            detect_duplicates: false,
            verification: scope(CounterScope::Verification),
            generation: scope(CounterScope::Generation),
            transmit_sc: TransmitScStatus {
                sci: "02-00-00-00-00-01-0001".to_owned(),
                transmitting: true,
                encoding_sa: Some(0),
                transmit_sa: vec![TransmitSaStatus {
                    an: 0,
                    in_use: true,
                    key_identifier: ki(),
                    cipher_suite: "gcm-aes-128".to_owned(),
                    confidentiality: true,
                    confidentiality_offset: 0,
                    next_pn: Some(1),
                    pn_limit: None,
                    age: 10,
                }],
                statistics: scope(CounterScope::TransmitSc),
            },
            receive_sc: vec![ReceiveScStatus {
                sci: "02-00-00-00-00-02-0001".to_owned(),
                receiving: true,
                receive_sa: vec![ReceiveSaStatus {
                    an: 0,
                    in_use: true,
                    key_identifier: ki(),
                    next_pn: 1,
                    lowest_pn: 1,
                    age: 10,
                }],
                statistics: scope(CounterScope::ReceiveSc),
            }],
            receive_sc_sum: scope(CounterScope::ReceiveSc),
        }),
        local: LOCAL.map(|name| (name.to_owned(), 0)).into(),
        bypass: Vec::new(),
    }
}

/// A port between whose two looks frames have gone both ways.
pub fn healthy() -> (PortStatus, PortStatus) {
    let (mut before, mut after) = (idle(), idle());
    for (status, frames) in [(&mut before, 1000), (&mut after, 1100)] {
        set(status, "in-pkts-ok", frames);
        set(status, "out-pkts-encrypted", frames);
    }
    (before, after)
}

/// Has a counter say `value`.
pub fn set(status: &mut PortStatus, counter: &str, value: u64) {
    let secy = status.secy.as_mut().expect("a SecY");
    let maps = [
        &mut secy.verification,
        &mut secy.generation,
        &mut secy.transmit_sc.statistics,
        &mut secy.receive_sc_sum,
        &mut status.local,
    ];
    let entry = maps.into_iter().find_map(|map| map.get_mut(counter));
    *entry.unwrap_or_else(|| panic!("no counter {counter}")) = value;
}

/// Two looks.
pub fn sample<'a>(before: &'a PortStatus, after: &'a PortStatus) -> Sample<'a> {
    Sample { before, after, interval: Duration::from_secs(2) }
}

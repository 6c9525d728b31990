//! From the state of a port to what is said of it.

use std::{collections::BTreeMap, time::Duration};

use macsec::{
    An, COUNTERS, Confidentiality, ConfidentialityOffset, CounterScope, Counters, Ki, Sci,
};

use super::{
    BypassStatus, PortStatus, ReceiveSaStatus, ReceiveScStatus, SecyStatus, TapStatus,
    TransmitSaStatus, TransmitScStatus, UplinkStatus,
};
use crate::{
    config::{Isolation, PortConfig},
    port::{Port, PortSecY},
};

/// What is known of the uplink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UplinkState {
    /// Its MAC address.
    pub(crate) mac: [u8; 6],
    /// Its MTU.
    pub(crate) mtu: u32,
    /// Whether there is a signal.
    pub(crate) carrier: bool,
}

/// What is known of a port beside what it tells itself.
pub(crate) struct Observed<'a> {
    pub(crate) config: &'a PortConfig,
    pub(crate) uplink: Option<UplinkState>,
    /// MTU and MAC address of the TAP, if it is there.
    pub(crate) tap: Option<(u32, [u8; 6])>,
    /// How long the SAs with a key have been there.
    pub(crate) key_age: &'a dyn Fn(Ki) -> Duration,
    pub(crate) problems: Vec<String>,
}

impl PortStatus {
    /// What can be said of a port that does not answer.
    pub(crate) fn silent(config: &PortConfig) -> Self {
        let problems = vec!["the port does not answer".to_owned()];
        let observed =
            Observed { config, uplink: None, tap: None, key_age: &|_| Duration::ZERO, problems };
        port_status(None, &observed)
    }
}

/// Looks at a port; `None` if its uplink has never been there.
pub(crate) fn port_status(port: Option<&mut Port>, observed: &Observed<'_>) -> PortStatus {
    let Observed { config, uplink, tap, key_age, problems } = observed;
    let mac = |mac: [u8; 6]| macsec::MacAddress(mac).to_string();
    let mut status = PortStatus {
        name: config.name.clone(),
        controlled_port_enabled: port.as_ref().is_some_and(|port| port.is_enabled()),
        secured: port.as_ref().is_some_and(|port| port.is_enabled() && port.protects()),
        problems: problems.clone(),
        key_source: match (&config.mka, &config.static_keys) {
            (Some(_), _) => "mka",
            (None, Some(_)) => "static",
            (None, None) => "none",
        }
        .to_owned(),
        mka: None,
        uplink: UplinkStatus {
            name: config.uplink.clone(),
            isolation: match config.isolation {
                Isolation::Namespace => "namespace",
                Isolation::Filter => "filter",
            }
            .to_owned(),
            present: uplink.is_some(),
            carrier: uplink.is_some_and(|uplink| uplink.carrier),
            mtu: uplink.map_or(0, |uplink| uplink.mtu),
            phys_address: uplink.map_or_else(String::new, |uplink| mac(uplink.mac)),
            io_method: "af_packet rings (TPACKET_V2)".to_owned(),
        },
        tap: TapStatus {
            name: config.tap.clone(),
            present: port.as_ref().is_some_and(|port| port.tap().is_some()),
            mtu: tap.map_or(0, |(mtu, _)| mtu),
            phys_address: tap.map_or_else(String::new, |(_, address)| mac(address)),
        },
        secy: None,
        local: BTreeMap::new(),
        bypass: Vec::new(),
    };
    if let Some(port) = port {
        status.secy = Some(secy_status(port.secy(), config, key_age));
        status.local = local(port);
        status.bypass = port.bypassed().iter().map(bypass_status).collect();
    }
    status
}

fn secy_status(secy: &PortSecY, config: &PortConfig, age: &dyn Fn(Ki) -> Duration) -> SecyStatus {
    let controls = secy.config();
    let counters = secy.counters();
    SecyStatus {
        sci: secy.sci().to_string(),
        cipher_backend: secy.backend_name().to_owned(),
        cipher_suite: config.cipher_suite.name().to_owned(),
        cipher_suite_identifier: hex_with_dashes(config.cipher_suite.identifier()),
        protect_frames: controls.protect_frames,
        always_include_sci: controls.always_include_sci,
        use_es: controls.use_es,
        use_scb: controls.use_scb,
        including_sci: secy.including_sci(),
        validate_frames: controls.validate_frames.to_string(),
        replay_protect: controls.replay_protect,
        replay_window: controls.replay_window,
        detect_duplicates: controls.detect_duplicates,
        verification: scope(&counters, CounterScope::Verification),
        generation: scope(&counters, CounterScope::Generation),
        transmit_sc: TransmitScStatus {
            sci: secy.sci().to_string(),
            transmitting: secy.is_transmitting(),
            encoding_sa: secy.encoding_sa().map(An::number),
            transmit_sa: transmit_sas(secy, age),
            statistics: scope(&counters, CounterScope::TransmitSc),
        },
        receive_sc: secy.receive_scs().map(|sci| receive_sc(secy, sci, age)).collect(),
        receive_sc_sum: scope(&counters, CounterScope::ReceiveSc),
    }
}

fn transmit_sas(secy: &PortSecY, age: &dyn Fn(Ki) -> Duration) -> Vec<TransmitSaStatus> {
    let sas = An::ALL.into_iter().filter_map(|an| secy.transmit_sa(an));
    sas.map(|sa| TransmitSaStatus {
        an: sa.an.number(),
        in_use: sa.in_use,
        key_identifier: sa.ki.to_string(),
        cipher_suite: sa.suite.name().to_owned(),
        confidentiality: matches!(sa.confidentiality, Confidentiality::Encrypt(_)),
        confidentiality_offset: match sa.confidentiality {
            Confidentiality::Encrypt(offset) => offset,
            Confidentiality::IntegrityOnly => ConfidentialityOffset::Zero,
        }
        .octets(),
        next_pn: sa.next_pn,
        pn_limit: sa.pn_limit,
        age: age(sa.ki).as_secs(),
    })
    .collect()
}

fn receive_sc(secy: &PortSecY, sci: Sci, age: &dyn Fn(Ki) -> Duration) -> ReceiveScStatus {
    let mut counters = Counters::default();
    counters.receive_scs = secy.receive_sc_counters(sci).unwrap_or_default();
    let sas = An::ALL.into_iter().filter_map(|an| secy.receive_sa(sci, an));
    ReceiveScStatus {
        sci: sci.to_string(),
        receiving: secy.is_receiving(sci),
        receive_sa: sas
            .map(|sa| ReceiveSaStatus {
                an: sa.an.number(),
                in_use: sa.in_use,
                key_identifier: sa.ki.to_string(),
                next_pn: sa.next_pn,
                lowest_pn: sa.lowest_pn,
                age: age(sa.ki).as_secs(),
            })
            .collect(),
        statistics: scope(&counters, CounterScope::ReceiveSc),
    }
}

/// The counters of a scope, by the names of their leaves.
fn scope(counters: &Counters, scope: CounterScope) -> BTreeMap<String, u64> {
    let counters_of = COUNTERS.iter().filter(|counter| counter.scope == scope);
    counters_of.map(|counter| (counter.yang.to_owned(), (counter.value)(counters))).collect()
}

/// Everything that is counted and has no name in the standard.
pub(crate) fn local(port: &mut Port) -> BTreeMap<String, u64> {
    let uplink = port.uplink_counters();
    let own = port.counters();
    let secy = port.secy().counters();
    let failures = port.marks().map_or(0, |marks| marks.failures().count);
    [
        ("delivered", own.tap_written),
        ("ring-drop", uplink.ring_drop),
        ("tap-drop", own.tap_drop),
        ("tap-too-long", own.tap_too_long),
        ("state-drop", own.state_drop),
        ("state-write-failures", failures),
        ("no-uplink", own.no_uplink),
        ("uplink-sent", uplink.sent),
        ("uplink-not-sent", uplink.not_sent),
        ("uplink-down", own.uplink_down),
        ("uplink-opened", own.uplink_opened),
        ("eapol-from-tap", own.eapol_from_tap),
        ("eapol-from-uplink", own.eapol_from_uplink),
        ("port-closed", own.port_closed),
        ("no-transmit-sa", secy.local.out_no_transmit_sa),
        ("pn-exhausted", secy.local.out_pn_exhausted),
        ("pn-withheld", secy.local.out_pn_withheld),
        ("source-not-sci", secy.local.out_source_not_sci),
        ("caller-error", secy.local.out_caller_error),
        ("reserved-tci", secy.local.in_reserved_tci),
        ("runt", secy.local.in_runt),
        ("duplicate", secy.receive_scs.in_duplicate),
        ("unknown-sci", secy.local.in_unknown_sci),
        ("no-sci", secy.local.in_no_sci),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

fn bypass_status(entry: &crate::port::Bypass) -> BypassStatus {
    BypassStatus {
        ether_type: format!("{:#06x}", entry.ether_type),
        in_pkts: entry.from_uplink,
        out_pkts: entry.from_tap,
    }
}

fn hex_with_dashes(octets: [u8; 8]) -> String {
    octets.map(|octet| format!("{octet:02x}")).join("-")
}

//! What a gateway says of itself: the answer to `macsec status`.
//!
//! The names in JSON are those of the leaves of `ieee802-dot1ae-secy` (and `ietf-interfaces`) where
//! these have one; the counters' are [`CounterInfo::yang`](macsec::CounterInfo).

mod collect;
#[cfg(test)]
pub(crate) mod fixture;
mod mka;
mod text;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(crate) use collect::{Observed, UplinkState, port_status};
pub use mka::{
    ActorStatus, CakState, CakStatus, KeyServerStatus, LastRekey, MkaPeerStatus, MkaStatus,
    ParticipantStatus, SakStatus,
};
pub(crate) use mka::{
    Fare, KayView, LastWell, cak_statuses, key_server, key_state, names, symptoms,
};
pub use text::render;

/// A gateway process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// The version of the program.
    pub version: String,
    /// The process.
    pub pid: u32,
    /// Seconds since it started.
    pub uptime: u64,
    /// The configuration file.
    pub configuration: String,
    /// Frames that a capture (`--pcap`) has missed.
    pub pcap_missed: Option<u64>,
    /// Its ports, in the order of the configuration.
    pub ports: Vec<PortStatus>,
}

/// A port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PortStatus {
    /// Its name.
    pub name: String,
    /// Whether the host may send and receive through it.
    pub controlled_port_enabled: bool,
    /// Whether nothing crosses but what is protected, and validated: enabled, `protectFrames` on and
    /// `validateFrames` Strict. (What is on the bypass list crosses all the same.)
    pub secured: bool,
    /// What keeps it from working, one line each; empty if nothing does.
    pub problems: Vec<String>,
    /// Where the keys come from: `mka`, `static` (for labs) or `none`.
    pub key_source: String,
    /// The KaY. `None` without MKA, and until the uplink has been there once.
    pub mka: Option<MkaStatus>,
    /// The wire.
    pub uplink: UplinkStatus,
    /// The host's side.
    pub tap: TapStatus,
    /// The SecY. `None` until the uplink has been there once, as it gives the SCI.
    pub secy: Option<SecyStatus>,
    /// Counters that the standard does not have: what was dropped here for other reasons, and more.
    pub local: BTreeMap<String, u64>,
    /// Frames that passed in clear, by EtherType.
    pub bypass: Vec<BypassStatus>,
}

impl PortStatus {
    /// Adds what a KaY says of itself.
    pub(crate) fn set_mka(&mut self, mut mka: MkaStatus) {
        let sas = self.secy.iter().flat_map(|secy| &secy.transmit_sc.transmit_sa);
        // Of SAKs that are installed, and not the one agreed on last, only the SecY knows the suite.
        for sak in mka.saks.iter_mut().filter(|sak| sak.cipher_suite.is_none()) {
            let mut sas = sas.clone();
            let sa = sas.find(|sa| sa.key_identifier == sak.key_identifier);
            sak.cipher_suite = sa.map(|sa| sa.cipher_suite.clone());
        }
        self.mka = Some(mka);
    }
}

/// The wire of a port.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct UplinkStatus {
    /// The interface.
    pub name: String,
    /// How the host's own stack is kept off it: `namespace` or `filter`.
    pub isolation: String,
    /// Whether it is there, and ours.
    pub present: bool,
    /// Whether there is a signal.
    pub carrier: bool,
    /// Its MTU, in octets of Ethernet payload.
    pub mtu: u32,
    /// Its MAC address.
    pub phys_address: String,
    /// How frames are moved.
    pub io_method: String,
}

/// The host's side of a port.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TapStatus {
    /// The interface.
    pub name: String,
    /// Whether it is there, and ours.
    pub present: bool,
    /// Its MTU, in octets of Ethernet payload.
    pub mtu: u32,
    /// Its MAC address.
    pub phys_address: String,
}

/// A SecY.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SecyStatus {
    /// The SCI of the transmit SC.
    pub sci: String,
    /// What encrypts.
    pub cipher_backend: String,
    /// The cipher suite of the configuration, as `ip macsec` spells it.
    pub cipher_suite: String,
    /// Its identifier, as the standard has it.
    pub cipher_suite_identifier: String,
    /// `protectFrames`.
    pub protect_frames: bool,
    /// `alwaysIncludeSCI`.
    pub always_include_sci: bool,
    /// `useES`.
    pub use_es: bool,
    /// `useSCB`.
    pub use_scb: bool,
    /// Whether SecTAGs carry the SCI now.
    pub including_sci: bool,
    /// `validateFrames`.
    pub validate_frames: String,
    /// `replayProtect`.
    pub replay_protect: bool,
    /// `replayWindow`, in packets.
    pub replay_window: u32,
    /// Whether duplicates in the window are discarded (not the standard's).
    pub detect_duplicates: bool,
    /// Frame verification counters.
    pub verification: BTreeMap<String, u64>,
    /// Frame generation counters.
    pub generation: BTreeMap<String, u64>,
    /// The transmit SC.
    pub transmit_sc: TransmitScStatus,
    /// The receive SCs.
    pub receive_sc: Vec<ReceiveScStatus>,
    /// Receive SC counters, summed over the SCs that are or ever were.
    pub receive_sc_sum: BTreeMap<String, u64>,
}

/// The transmit SC.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TransmitScStatus {
    /// Its SCI.
    pub sci: String,
    /// Whether frames can be sent.
    pub transmitting: bool,
    /// The AN that frames are sent with.
    pub encoding_sa: Option<u8>,
    /// Its SAs.
    pub transmit_sa: Vec<TransmitSaStatus>,
    /// Its counters.
    pub statistics: BTreeMap<String, u64>,
}

/// A transmit SA.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TransmitSaStatus {
    /// Its AN.
    pub an: u8,
    /// Whether frames are sent with it.
    pub in_use: bool,
    /// The KI of its SAK.
    pub key_identifier: String,
    /// What it encrypts with.
    pub cipher_suite: String,
    /// Whether it encrypts, or only authenticates.
    pub confidentiality: bool,
    /// The octets that stay readable.
    pub confidentiality_offset: usize,
    /// nextPN; `None` if there is none left.
    pub next_pn: Option<u64>,
    /// PNs below are on record, and may be used. `None` if all may.
    pub pn_limit: Option<u64>,
    /// Seconds since it was installed.
    pub age: u64,
}

/// A receive SC.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReceiveScStatus {
    /// Its SCI.
    pub sci: String,
    /// Whether frames are accepted from it.
    pub receiving: bool,
    /// Its SAs.
    pub receive_sa: Vec<ReceiveSaStatus>,
    /// Its counters.
    pub statistics: BTreeMap<String, u64>,
}

/// A receive SA.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReceiveSaStatus {
    /// Its AN.
    pub an: u8,
    /// Whether frames are accepted with it.
    pub in_use: bool,
    /// The KI of its SAK.
    pub key_identifier: String,
    /// nextPN.
    pub next_pn: u64,
    /// lowestPN.
    pub lowest_pn: u64,
    /// Seconds since it was installed.
    pub age: u64,
}

/// An EtherType that passes in clear.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BypassStatus {
    /// The EtherType, as `0x88cc`.
    pub ether_type: String,
    /// Frames of the wire given to the host.
    pub in_pkts: u64,
    /// Frames of the host sent on the wire.
    pub out_pkts: u64,
}

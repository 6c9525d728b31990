//! What a KaY says of itself.
//!
//! The names in JSON are those of the leaves of `ieee802-dot1x` where it has one; the counters' are
//! those of `ieee802-dot1x` and of `openconfig-macsec`.

mod collect;
mod key_symptoms;
mod keys;
pub(crate) mod names;
pub(crate) mod symptoms;
mod text;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(crate) use collect::{KayView, LastWell, key_server};
pub use keys::{CakState, CakStatus};
pub(crate) use keys::{Fare, cak_statuses};
pub(crate) use text::key_state;
pub(super) use text::write_mka;

/// The KaY of a port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MkaStatus {
    /// `must-secure`: closed unless secured; or `should-secure`: in clear once MKA has failed.
    pub policy: String,
    /// Ourselves.
    pub actor: ActorStatus,
    /// The key server; `None` if there is none.
    pub key_server: Option<KeyServerStatus>,
    /// Whether MKPDUs are sent and taken: the uplink has a signal.
    pub active: bool,
    /// Whether the members have agreed to do without MACsec.
    pub authenticated: bool,
    /// Whether there is a SAK.
    pub secured: bool,
    /// Whether a Life Time has passed without a session.
    pub failed: bool,
    /// Where the Controlled Port is: the state of the machine of figure 12-2.
    pub cp_state: String,
    /// The keys of the port, and how they fare.
    pub keys: Vec<CakStatus>,
    /// The CKN of the key that was in use before the one in use. After a restart that is known of an
    /// activated one alone.
    pub former_key: Option<String>,
    /// The participants: one for each CAK.
    pub participants: Vec<ParticipantStatus>,
    /// The SAKs in use or on their way into it, the latest first.
    pub saks: Vec<SakStatus>,
    /// The SAK that was made or received last.
    pub last_rekey: Option<LastRekey>,
    /// Seconds until the next SAK is made for its age; `None` if that is not ours to do, or not wanted.
    pub next_rekey: Option<u64>,
    /// MKA Hello Time, in milliseconds.
    pub hello_time: u64,
    /// MKA Life Time, in milliseconds.
    pub life_time: u64,
    /// What has been counted.
    pub counters: BTreeMap<String, u64>,
    /// Those of the counters that point at what is wrong, from when all was last well: since a peer was last
    /// understood, or, of SAKs, since the port was last secured.
    pub errors_since_well: BTreeMap<String, u64>,
    /// Who sent the last MKPDU.
    pub last_eapol_frame_source: Option<String>,
    /// The last CKN heard that is not ours.
    pub unknown_ckn: Option<String>,
    /// Why the last SAK could not be put on record, and so is not transmitted with; `None` if it is.
    pub unrecorded: Option<String>,
    /// What looks wrong, and the likely cause.
    pub symptoms: Vec<String>,
}

/// Ourselves as a member.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ActorStatus {
    /// Our SCI.
    pub sci: String,
    /// Our Key Server Priority.
    pub priority: u8,
    /// Our MI.
    pub mi: String,
    /// The number of our last message.
    pub mn: u32,
    /// The MKA version that we send.
    pub mka_version: u8,
}

/// The key server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct KeyServerStatus {
    /// Its SCI.
    pub sci: String,
    /// Its Key Server Priority.
    pub priority: u8,
    /// Whether it is this port.
    pub is_self: bool,
}

/// A participant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ParticipantStatus {
    /// The name of its CAK.
    pub ckn: String,
    /// Whether it has live peers.
    pub active: bool,
    /// Whether it is the one whose SAK is used.
    pub principal: bool,
    /// For how many seconds at the most the key server has announced that live peers may be silent; `None` if it has not.
    pub suspended_while: Option<u64>,
    /// The Key Management Domain that a peer has announced last.
    pub kmd: Option<AnnouncedNameStatus>,
    /// The network (NID) that a peer has announced last.
    pub nid: Option<AnnouncedNameStatus>,
    /// The group CAK that the key server has distributed last.
    pub offered_cak: Option<OfferedCakStatus>,
    /// The others, live and potential.
    pub peers: Vec<MkaPeerStatus>,
}

/// A name that a peer has announced. Nothing depends on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AnnouncedNameStatus {
    /// The name, with escapes for what does not print.
    pub name: String,
    /// The SCI of the peer.
    pub from: String,
}

/// A group CAK that a key server has distributed. Nothing is done with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct OfferedCakStatus {
    /// Its CKN.
    pub ckn: String,
    /// The SCI of the key server.
    pub from: String,
}

/// What a peer has announced of itself. Nothing depends on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AnnouncedStatus {
    /// The cipher suites that it can do, and `other` if there are some that we do not know.
    pub cipher_suites: Vec<String>,
    /// What access it has or gives: `none`, `remedial`, `restricted` or `expected`.
    pub access_status: Option<String>,
    /// The two octets of its Access Information, in hexadecimal digits.
    pub access_information: Option<String>,
}

/// A peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MkaPeerStatus {
    /// Its MI.
    pub mi: String,
    /// The number of its last message.
    pub mn: u32,
    /// `live`: it has shown that it hears us; or `potential`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its SCI; `None` of one that only others have heard.
    pub sci: Option<String>,
    /// Its Key Server Priority, if it has been heard.
    pub priority: Option<u8>,
    /// Its MKA version, if it has been heard.
    pub mka_version: Option<u8>,
    /// Seconds since it was last heard, if it has been.
    pub last_heard: Option<u64>,
    /// What it has announced last, if it ever has.
    pub announced: Option<AnnouncedStatus>,
    /// Whether it is live, and has not said for longer than a Life Time that it receives with the SAK that we
    /// transmit with: our frames are lost there.
    pub without_sak: bool,
}

/// A SAK.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SakStatus {
    /// Its KI: the MI of the key server that made it, and its number.
    pub key_identifier: String,
    /// Its number.
    pub key_number: u32,
    /// Its AN.
    pub association_number: u8,
    /// Whether we transmit with it.
    pub tx: bool,
    /// Whether we receive with it.
    pub rx: bool,
    /// Its cipher suite, if it is installed.
    pub cipher_suite: Option<String>,
}

/// The SAK that came last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LastRekey {
    /// Its KI.
    pub key_identifier: String,
    /// Seconds since it was made or received.
    pub age: u64,
    /// Why.
    pub reason: String,
}

/// A KaY with the longest of everything.
#[cfg(test)]
pub(in crate::status) fn fixture() -> MkaStatus {
    let sci = || "02-00-00-00-00-01-0001".to_owned();
    let mi = || "5a".repeat(12);
    MkaStatus {
        policy: "should-secure".to_owned(),
        actor: ActorStatus { sci: sci(), priority: 255, mi: mi(), mn: u32::MAX, mka_version: 3 },
        key_server: Some(KeyServerStatus { sci: sci(), priority: 255, is_self: false }),
        active: true,
        authenticated: false,
        secured: false,
        failed: false,
        cp_state: "AUTHENTICATED".to_owned(),
        keys: [CakState::InUse, CakState::Pending, CakState::Leaving].map(keys::fixture).into(),
        former_key: None,
        participants: vec![ParticipantStatus {
            ckn: "7b".repeat(32),
            active: true,
            principal: true,
            suspended_while: Some(120),
            kmd: Some(AnnouncedNameStatus { name: "\\u{9b}".repeat(126), from: sci() }),
            nid: Some(AnnouncedNameStatus { name: "n".repeat(100), from: sci() }),
            offered_cak: Some(OfferedCakStatus { ckn: "7b".repeat(32), from: sci() }),
            peers: vec![MkaPeerStatus {
                mi: mi(),
                mn: u32::MAX,
                kind: "potential".to_owned(),
                sci: Some(sci()),
                priority: Some(255),
                mka_version: Some(255),
                last_heard: Some(0),
                announced: Some(AnnouncedStatus {
                    cipher_suites: macsec::CipherSuite::ALL
                        .map(|suite| suite.name().to_owned())
                        .into_iter()
                        .chain(["other".to_owned()])
                        .collect(),
                    access_status: Some("restricted".to_owned()),
                    access_information: Some("02ff".to_owned()),
                }),
                without_sak: false,
            }],
        }],
        saks: vec![SakStatus {
            key_identifier: "5a".repeat(16),
            key_number: u32::MAX,
            association_number: 3,
            tx: true,
            rx: true,
            cipher_suite: Some("gcm-aes-xpn-256".to_owned()),
        }],
        last_rekey: Some(LastRekey {
            key_identifier: "5a".repeat(16),
            age: 90_000,
            reason: names::rekey_reason(mka::RekeyReason::CipherChanged).to_owned(),
        }),
        next_rekey: Some(90_000),
        hello_time: 60_000,
        life_time: 180_000,
        counters: ["in-mkpdu-icv-verification-errors", "sak-cipher-mismatch-errors", "in-mkpdu"]
            .map(|name| (name.to_owned(), u64::MAX))
            .into(),
        errors_since_well: BTreeMap::new(),
        last_eapol_frame_source: None,
        unknown_ckn: Some("7b".repeat(32)),
        unrecorded: None,
        symptoms: Vec::new(),
    }
}

//! What an MKPDU says, as text and numbers: every field under the name that the standard gives it
//! (802.1X clause 11.11), for people and for JSON.

use core::time::Duration;

use macsec::{Confidentiality, ConfidentialityOffset, MacAddress};
use mka::{
    Announcement, Basic, Body, Capability, DistributedCak, DistributedSak, ETHERTYPE_EAPOL,
    EapolFrame, ICV_LEN, KeyLength, KeyUse, PeerList, SakUse, Tlv, Xpn, key_number,
};
use serde::{Serialize, Serializer};

use crate::Frame;

/// A frame of EAPOL, and what was made of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MkpduRecord {
    /// Its place in the capture, from 1.
    pub frame: u64,
    /// When it was captured, in seconds.
    #[serde(serialize_with = "seconds")]
    pub at: Duration,
    /// Who sent it, if there is room for an address.
    pub source: Option<String>,
    /// Whom it was sent to.
    pub destination: Option<String>,
    /// The EAPOL type: 5 is MKA.
    pub eapol_type: Option<u8>,
    /// The CKN that it claims to be under, in hexadecimal digits, if it has the form of an MKPDU.
    pub ckn: Option<String>,
    /// What the ICV says.
    pub icv: IcvVerdict,
    /// The first rule that it breaks, in words. Nothing of it counts then.
    pub malformed: Option<String>,
    /// How its MN goes with those before it of the same MI; `None` if nothing is known of its
    /// sender.
    pub mn: Option<MnVerdict>,
    /// What else is to be said: why the ICV is likely wrong, that the SAK does not unwrap.
    pub remarks: Vec<String>,
    /// The parameter sets, if they could be read. Unless [`icv`](Self::icv) is [`IcvVerdict::Ok`]
    /// anybody may have written them.
    pub mkpdu: Option<Box<MkpduFields>>,
}

/// What the ICV of an MKPDU says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IcvVerdict {
    /// Somebody with the CAK has sent it.
    Ok,
    /// The ICV does not fit frame and CAK.
    Bad,
    /// No CAK is known for its CKN.
    NoKey,
    /// It was not looked at: it is no MKPDU, cut short, or for other algorithms.
    NotTried,
}

/// How the MN of an MKPDU goes with those before it of the same MI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MnVerdict {
    /// The first of this MI in the capture.
    First,
    /// Greater than all before.
    Next,
    /// The same as the one before: the frame was captured twice, or has been played again.
    Repeated,
    /// Lower than one before: out of order, or played again.
    Lower,
}

/// The fields of an MKPDU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MkpduFields {
    /// The EAPOL protocol version.
    pub eapol_version: u8,
    /// Octets of the MKPDU: the EAPOL packet body length.
    pub packet_body_length: usize,
    /// MKA version identifier.
    pub mka_version_identifier: u8,
    /// Key Server Priority: less is better, 255 is never.
    pub key_server_priority: u8,
    /// Key Server: the sender is it, or knows no better one yet.
    pub key_server: bool,
    /// MACsec Desired.
    pub macsec_desired: bool,
    /// MACsec Capability, 0 to 3.
    pub macsec_capability: u8,
    /// SCI, as `aa-bb-cc-dd-ee-ff-pppp`.
    pub sci: String,
    /// Actor's Member Identifier.
    pub actor_mi: String,
    /// Actor's Message Number.
    pub actor_mn: u32,
    /// Algorithm Agility.
    pub algorithm_agility: String,
    /// CAK Name.
    pub ckn: String,
    /// Live Peer List.
    pub live_peer_list: Option<PeerListRecord>,
    /// Potential Peer List.
    pub potential_peer_list: Option<PeerListRecord>,
    /// MACsec SAK Use.
    pub macsec_sak_use: Option<SakUseRecord>,
    /// Distributed SAK.
    pub distributed_sak: Option<DistributedSakRecord>,
    /// Distributed CAK.
    pub distributed_cak: Option<DistributedCakRecord>,
    /// Key Management Domain; what is not printable is escaped.
    pub kmd: Option<String>,
    /// Announcement.
    pub announcement: Option<Vec<TlvRecord>>,
    /// XPN.
    pub xpn: Option<XpnRecord>,
    /// All parameter sets in their order on the wire, behind the Basic parameter set.
    pub parameter_sets: Vec<SetRecord>,
    /// An ICV Indicator announces the ICV.
    pub icv_indicator: bool,
    /// The ICV as received.
    pub icv: String,
}

/// The header of a parameter set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SetRecord {
    /// Parameter set type.
    #[serde(rename = "type")]
    pub set_type: u8,
    /// Octets of its body.
    pub length: usize,
}

/// A Live or a Potential Peer List.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PeerListRecord {
    /// The least significant octet of the Key Server's SSCI: of the Live Peer List, in MKA version
    /// 3, with a SAK of XPN.
    pub key_server_ssci: u8,
    /// The peers, in order.
    pub peers: Vec<ListedPeer>,
}

/// A peer in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListedPeer {
    /// Member Identifier.
    pub mi: String,
    /// Message Number: of the last message that the sender has of this peer.
    pub mn: u32,
}

/// MACsec SAK Use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SakUseRecord {
    /// Plain tx: the sender sends unprotected frames on its controlled port.
    pub plain_tx: bool,
    /// Plain rx: the sender takes unprotected frames on its controlled port.
    pub plain_rx: bool,
    /// Delay protect: the lowest acceptable PNs bind.
    pub delay_protect: bool,
    /// Latest key; `None` from a sender without MACsec, whose set has no body.
    pub latest_key: Option<KeyUseRecord>,
    /// Old key.
    pub old_key: Option<KeyUseRecord>,
}

/// The latest or the old key in a MACsec SAK Use. All is zero if there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyUseRecord {
    /// AN.
    pub an: u8,
    /// The sender transmits with it (tx).
    pub tx: bool,
    /// The sender receives with it (rx).
    pub rx: bool,
    /// Key Server Member Identifier.
    pub key_server_mi: String,
    /// Key Number.
    pub key_number: u32,
    /// Lowest Acceptable PN; its lower half with XPN.
    pub lowest_acceptable_pn: u32,
}

/// Distributed SAK.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DistributedSakRecord {
    /// The set has no body: the key server has decided on no MACsec.
    pub plain_text: bool,
    /// Distributed AN.
    pub distributed_an: u8,
    /// Confidentiality Offset, the field: 0 is integrity only, 1 offset 0, 2 offset 30, 3 offset
    /// 50.
    pub confidentiality_offset: u8,
    /// Key Number.
    pub key_number: u32,
    /// The MACsec Cipher Suite stands in the set; if not, it is the default one.
    pub cipher_suite_present: bool,
    /// MACsec Cipher Suite: its name, or the identifier in hexadecimal digits if it is unknown.
    pub macsec_cipher_suite: String,
    /// AES Key Wrap of SAK, as on the wire. No secret.
    pub aes_key_wrap_of_sak: String,
    /// Whether the SAK has been unwrapped; `None` if no KEK is known.
    pub unwrapped: Option<bool>,
}

/// Distributed CAK, read as one of a CAK of 128 bits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DistributedCakRecord {
    /// AES Key Wrap of CAK, as on the wire. No secret.
    pub aes_key_wrap_of_cak: String,
    /// CAK Name.
    pub ckn: String,
}

/// A TLV of an Announcement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TlvRecord {
    /// TLV type.
    #[serde(rename = "type")]
    pub tlv_type: u8,
    /// What it says; hexadecimal digits if that is not known.
    pub value: String,
}

/// XPN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct XpnRecord {
    /// MKA Suspension Time in seconds.
    pub suspension_time: u8,
    /// The most significant 32 bits of the Latest Key Lowest Acceptable PN.
    pub latest_lowest_acceptable_pn_upper: u32,
    /// The most significant 32 bits of the Old Key Lowest Acceptable PN.
    pub old_lowest_acceptable_pn_upper: u32,
}

/// Times are seconds in JSON.
pub(crate) fn seconds<S: Serializer>(at: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(at.as_secs_f64())
}

/// As [`seconds`], for what may not have happened.
pub(crate) fn some_seconds<S: Serializer>(
    at: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    at.map(|at| at.as_secs_f64()).serialize(serializer)
}

impl MkpduRecord {
    /// Of a frame of which only the headers have been looked at.
    pub(super) fn new(frame: &Frame<'_>) -> Self {
        let headers = EapolFrame::parse(frame.octets, ETHERTYPE_EAPOL).ok();
        Self {
            frame: frame.number,
            at: frame.at,
            source: address(frame.octets, 6),
            destination: address(frame.octets, 0),
            eapol_type: headers.map(|headers| headers.packet_type),
            ckn: None,
            icv: IcvVerdict::NotTried,
            malformed: None,
            mn: None,
            remarks: Vec::new(),
            mkpdu: None,
        }
    }
}

fn address(octets: &[u8], at: usize) -> Option<String> {
    let octets = octets.get(at..at + 6)?.try_into().ok()?;
    Some(MacAddress(octets).to_string())
}

impl MkpduFields {
    pub(super) fn new(frame: &EapolFrame<'_>, body: &Body<'_>, icv_indicator: bool) -> Self {
        let Basic { version, key_server_priority, key_server, macsec_desired, sci, actor, .. } =
            body.basic;
        let (sets, icv) = frame.body.split_last_chunk::<ICV_LEN>().unwrap_or((&[], &[0; ICV_LEN]));
        let parameter_sets: Vec<_> = set_headers(sets).collect();
        let sak_len = parameter_sets.iter().find(|set| set.set_type == 4).map(|set| set.length);
        Self {
            eapol_version: frame.version,
            packet_body_length: frame.body.len(),
            mka_version_identifier: version,
            key_server_priority,
            key_server,
            macsec_desired,
            macsec_capability: capability(body.basic.macsec_capability),
            sci: sci.to_string(),
            actor_mi: actor.mi.to_string(),
            actor_mn: actor.mn,
            algorithm_agility: format!("{:08x}", mka::ALGORITHM_AGILITY),
            ckn: body.basic.ckn.to_string(),
            live_peer_list: body.live.as_ref().map(peer_list),
            potential_peer_list: body.potential.as_ref().map(peer_list),
            macsec_sak_use: body.sak_use.as_ref().map(sak_use),
            distributed_sak: body
                .distributed_sak
                .as_ref()
                .map(|set| distributed_sak(set, sak_len.unwrap_or_default())),
            distributed_cak: body.distributed_cak.as_ref().and_then(distributed_cak),
            kmd: body.kmd.map(|kmd| kmd.octets().escape_ascii().to_string()),
            announcement: body.announcement.as_ref().map(announcement),
            xpn: body.xpn.as_ref().map(xpn),
            parameter_sets,
            icv_indicator,
            icv: hex::encode(icv),
        }
    }
}

/// The headers behind the Basic parameter set, for an MKPDU that has been read already.
fn set_headers(mkpdu: &[u8]) -> impl Iterator<Item = SetRecord> {
    let mut rest = mkpdu;
    let mut walk = move || {
        let &[set_type, _, high, low, ..] = rest else { return None };
        let length = usize::from(u16::from_be_bytes([high & 0x0f, low]));
        rest = rest.get(4 + length.next_multiple_of(4)..).unwrap_or_default();
        Some(SetRecord { set_type, length })
    };
    // The first octet of the Basic parameter set is a version and no type.
    walk();
    core::iter::from_fn(walk)
}

const fn capability(capability: Capability) -> u8 {
    match capability {
        Capability::None => 0,
        Capability::Integrity => 1,
        Capability::Confidentiality => 2,
        Capability::Offsets => 3,
    }
}

fn peer_list(list: &PeerList<'_>) -> PeerListRecord {
    let peers = list.iter().map(|peer| ListedPeer { mi: peer.mi.to_string(), mn: peer.mn });
    PeerListRecord { key_server_ssci: list.key_server_ssci(), peers: peers.collect() }
}

fn sak_use(set: &SakUse) -> SakUseRecord {
    let [latest_key, old_key] = match &set.keys {
        Some(keys) => [0, 1].map(|place| Some(key_use(&keys[place]))),
        None => [None, None],
    };
    SakUseRecord {
        plain_tx: set.plain_tx,
        plain_rx: set.plain_rx,
        delay_protect: set.delay_protect,
        latest_key,
        old_key,
    }
}

fn key_use(key: &KeyUse) -> KeyUseRecord {
    KeyUseRecord {
        an: key.an.number(),
        tx: key.tx,
        rx: key.rx,
        key_server_mi: mka::Mi::of_ki(key.ki).to_string(),
        key_number: key_number(key.ki),
        lowest_acceptable_pn: key.lowest_pn,
    }
}

/// The length says whether the suite stands in the set.
fn distributed_sak(set: &DistributedSak<'_>, length: usize) -> DistributedSakRecord {
    let Some(key) = set.key() else {
        return DistributedSakRecord {
            plain_text: true,
            distributed_an: 0,
            confidentiality_offset: 0,
            key_number: 0,
            cipher_suite_present: false,
            macsec_cipher_suite: String::new(),
            aes_key_wrap_of_sak: String::new(),
            unwrapped: None,
        };
    };
    DistributedSakRecord {
        plain_text: false,
        distributed_an: key.an.number(),
        confidentiality_offset: match key.confidentiality {
            Confidentiality::IntegrityOnly => 0,
            Confidentiality::Encrypt(ConfidentialityOffset::Zero) => 1,
            Confidentiality::Encrypt(ConfidentialityOffset::Thirty) => 2,
            Confidentiality::Encrypt(ConfidentialityOffset::Fifty) => 3,
        },
        key_number: key.key_number,
        cipher_suite_present: length > 4 + key.wrapped.len(),
        macsec_cipher_suite: key.suite.to_string(),
        aes_key_wrap_of_sak: hex::encode(key.wrapped),
        unwrapped: None,
    }
}

fn distributed_cak(set: &DistributedCak<'_>) -> Option<DistributedCakRecord> {
    let (wrapped, ckn) = set.split(KeyLength::Bits128).or_else(|| set.split(KeyLength::Bits256))?;
    Some(DistributedCakRecord { aes_key_wrap_of_cak: hex::encode(wrapped), ckn: ckn.to_string() })
}

fn announcement(set: &Announcement<'_>) -> Vec<TlvRecord> {
    set.tlvs().map(tlv).collect()
}

fn tlv(tlv: Tlv<'_>) -> TlvRecord {
    let (tlv_type, value) = match tlv {
        Tlv::AccessInformation(octets) => {
            (111, format!("Access Information {}", hex::encode(octets)))
        }
        Tlv::CipherSuites(_) => {
            let suites: Vec<_> = tlv
                .suites()
                .map(|entry| format!("{} ({})", entry.suite, entry.capability))
                .collect();
            (112, format!("MACsec Cipher Suites {}", suites.join(", ")))
        }
        Tlv::Kmd(name) => (113, format!("Key Management Domain \"{}\"", name.escape_ascii())),
        Tlv::Nid(name) => (114, format!("NID \"{}\"", name.escape_ascii())),
        Tlv::Other(kind, value) => (kind, hex::encode(value)),
        _ => (0, String::new()),
    };
    TlvRecord { tlv_type, value }
}

/// The casts keep the upper halves whole.
fn xpn(set: &Xpn) -> XpnRecord {
    XpnRecord {
        suspension_time: set.suspension_time,
        latest_lowest_acceptable_pn_upper: (set.latest_lowest_pn(0) >> 32) as u32,
        old_lowest_acceptable_pn_upper: (set.old_lowest_pn(0) >> 32) as u32,
    }
}

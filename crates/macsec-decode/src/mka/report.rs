//! What is to be said of a whole capture, as values for text and JSON.

use core::time::Duration;

use macsec::{Confidentiality, Sci};
use mka::{Mi, key_number};
use serde::Serialize;

use super::{
    ca::{Ca, Peer},
    record::{IcvVerdict, MkpduRecord, seconds, some_seconds},
    sak::{Life, Member},
    story::{after, ki_text},
};

/// Everything that is to be said of the MKA of a capture.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MkaReport {
    /// How many frames there were, by verdict.
    pub counts: Counts,
    /// The CAs: those whose CAK is known, then others.
    pub cas: Vec<CaReport>,
    /// CAs that there was no room for.
    pub cas_left_out: u64,
    /// The SAKs, in the order in which they were first seen.
    pub saks: Vec<SakReport>,
    /// SAKs that there was no room for.
    pub saks_left_out: u64,
    /// What has happened, in order.
    pub story: Vec<StoryLine>,
    /// Lines of the story that there was no room for.
    pub story_left_out: u64,
    /// What looks wrong, with the likely cause.
    pub symptoms: Vec<Symptom>,
}

/// How many frames there were, by verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Frames that have the form of an MKPDU up to the CKN.
    pub mkpdus: u64,
    /// The ICV is right.
    pub icv_ok: u64,
    /// The ICV is wrong.
    pub icv_bad: u64,
    /// No CAK is known.
    pub no_key: u64,
    /// EAPOL-MKA that breaks a rule, before or behind its ICV.
    pub malformed: u64,
    /// EAPOL of other types than MKA.
    pub other_eapol: u64,
}

impl Counts {
    pub(super) fn count(&mut self, record: &MkpduRecord) {
        let MkpduRecord { ckn, icv, malformed, .. } = record;
        let is_mka = !record.is_other_eapol();
        let verdict = |verdict| u64::from(*icv == verdict);
        self.mkpdus += u64::from(ckn.is_some());
        self.icv_ok += verdict(IcvVerdict::Ok);
        self.icv_bad += verdict(IcvVerdict::Bad);
        self.no_key += verdict(IcvVerdict::NoKey);
        self.malformed += u64::from(is_mka && malformed.is_some());
        self.other_eapol += u64::from(!is_mka);
    }
}

/// A CA: the MKPDUs of a CKN.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CaReport {
    /// Its CKN, in hexadecimal digits.
    pub ckn: String,
    /// Its CAK is known. If not, nothing of it is verified.
    pub cak_known: bool,
    /// MKPDUs under this CKN.
    pub mkpdus: u64,
    /// Those whose ICV is right.
    pub icv_ok: u64,
    /// Those whose ICV is wrong.
    pub icv_bad: u64,
    /// The SCI of the key server, once it shows.
    pub key_server: Option<String>,
    /// The peers, in the order in which they came. One that has taken a new MI is there twice.
    pub peers: Vec<PeerReport>,
    /// Peers that there was no room for, or that made room for others.
    pub peers_left_out: u64,
}

/// A peer of a CA: a member, under one MI.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PeerReport {
    /// Member Identifier.
    pub mi: String,
    /// The highest MN of it.
    pub mn: u32,
    /// SCI.
    pub sci: String,
    /// Key Server Priority.
    pub key_server_priority: u8,
    /// MKA version identifier.
    pub mka_version_identifier: u8,
    /// How the others have it.
    pub state: PeerState,
    /// When it was first heard.
    #[serde(serialize_with = "seconds")]
    pub first_seen: Duration,
    /// When it was last heard.
    #[serde(serialize_with = "seconds")]
    pub last_seen: Duration,
    /// MKPDUs of it.
    pub mkpdus: u64,
    /// MKPDUs whose MN was that of the one before.
    pub repeated: u64,
    /// MKPDUs whose MN was lower than one before.
    pub lower_mn: u64,
    /// The MIs in its last Live Peer List.
    pub live_peer_list: Vec<String>,
    /// The MIs in its last Potential Peer List.
    pub potential_peer_list: Vec<String>,
}

/// How the others have a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PeerState {
    /// No other lists it.
    Heard,
    /// Another lists it, but it and another do not list each other as live.
    Potential,
    /// It and another list each other as live.
    Live,
    /// It has taken a new MI.
    Replaced,
    /// It has been silent for longer than MKA Life Time.
    Gone,
}

/// A SAK and what became of it, by what MKA says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SakReport {
    /// Key Identifier, in hexadecimal digits.
    pub ki: String,
    /// MI of the key server that made it.
    pub key_server_mi: String,
    /// SCI of that, if it was heard.
    pub key_server_sci: Option<String>,
    /// Key Number.
    pub key_number: u32,
    /// The CKN of the CA that it was seen in.
    pub ckn: String,
    /// AN.
    pub an: u8,
    /// Cipher suite. `None` if it was never distributed in the capture.
    pub suite: Option<String>,
    /// Octets in clear before the encrypted ones; `None` if it is for integrity only, or was never
    /// distributed.
    pub confidentiality_offset: Option<usize>,
    /// It is for integrity only.
    pub integrity_only: bool,
    /// Whether it is known: unwrapped. `None` if nobody could try: it was not distributed in the
    /// capture, or there is no CAK.
    pub unwrapped: Option<bool>,
    /// When it was first seen, distributed or in use.
    #[serde(serialize_with = "seconds")]
    pub first_seen: Duration,
    /// When it was first distributed in the capture.
    #[serde(serialize_with = "some_seconds")]
    pub distributed: Option<Duration>,
    /// When somebody first transmitted with it.
    #[serde(serialize_with = "some_seconds")]
    pub in_use: Option<Duration>,
    /// When nobody transmitted with it any more.
    #[serde(serialize_with = "some_seconds")]
    pub replaced: Option<Duration>,
    /// When it was last seen, distributed or in use.
    #[serde(serialize_with = "seconds")]
    pub last_seen: Duration,
    /// Its members, the key server among them.
    pub members: Vec<SakMemberReport>,
    /// Its whole life in a sentence.
    pub text: String,
}

/// A member that a SAK is for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SakMemberReport {
    /// Member Identifier.
    pub mi: String,
    /// SCI, if it was heard.
    pub sci: Option<String>,
    /// XPN: its SSCI, if that can be told.
    pub ssci: Option<u32>,
    /// When it first reported to receive with it.
    #[serde(serialize_with = "some_seconds")]
    pub receives: Option<Duration>,
    /// When it first reported to transmit with it.
    #[serde(serialize_with = "some_seconds")]
    pub transmits: Option<Duration>,
    /// The last Lowest Acceptable PN that it reported, all 64 bits with XPN.
    pub lowest_acceptable_pn: Option<u64>,
}

/// Something that has happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StoryLine {
    /// The frame that shows it; for a silence, the next frame.
    pub frame: u64,
    /// When, in seconds.
    #[serde(serialize_with = "seconds")]
    pub at: Duration,
    /// The CKN of the CA that it is about.
    pub ckn: String,
    /// It stands on MKPDUs whose ICV is right.
    pub verified: bool,
    /// What. One line, without CKN and time.
    pub text: String,
}

/// Something that looks wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Symptom {
    /// Whether it keeps the link from being secured, or of use.
    pub severe: bool,
    /// What is seen.
    pub seen: String,
    /// The likely cause, and what to do.
    pub advice: String,
}

impl Symptom {
    /// Both in one line.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{}: {}", self.seen, self.advice)
    }
}

impl CaReport {
    pub(super) fn new(ca: &Ca) -> Self {
        let peers = ca.peers.iter().enumerate();
        Self {
            ckn: ca.ckn.to_string(),
            cak_known: ca.keys.is_some(),
            mkpdus: ca.mkpdus,
            icv_ok: ca.icv_ok,
            icv_bad: ca.icv_bad,
            key_server: ca.key_server.map(|(_, sci)| sci.to_string()),
            peers: peers.map(|(index, peer)| PeerReport::new(peer, ca.state(index))).collect(),
            peers_left_out: ca.peers_left_out,
        }
    }
}

impl PeerReport {
    fn new(peer: &Peer, state: PeerState) -> Self {
        let mis = |list: &[Mi]| list.iter().map(Mi::to_string).collect();
        Self {
            mi: peer.mi.to_string(),
            mn: peer.mn,
            sci: peer.sci.to_string(),
            key_server_priority: peer.priority,
            mka_version_identifier: peer.version,
            state,
            first_seen: peer.first_seen,
            last_seen: peer.last_seen,
            mkpdus: peer.mkpdus,
            repeated: peer.repeated,
            lower_mn: peer.lower,
            live_peer_list: mis(&peer.live),
            potential_peer_list: mis(&peer.potential),
        }
    }
}

impl SakReport {
    pub(super) fn new(life: &Life, ca: Option<&Ca>) -> Self {
        let mi = Mi::of_ki(life.ki);
        let sci = ca.and_then(|ca| ca.peer(mi)).map(|peer| peer.sci);
        let key = life.key.as_ref();
        let sci = sci.or_else(|| life.members.iter().find(|member| member.mi == mi)?.sci);
        let confidentiality = key.map(|key| key.confidentiality);
        Self {
            ki: life.ki.to_string(),
            key_server_mi: mi.to_string(),
            key_server_sci: sci.as_ref().map(Sci::to_string),
            key_number: key_number(life.ki),
            ckn: life.ckn.to_string(),
            an: life.an.number(),
            suite: key.map(|key| key.suite.to_string()),
            confidentiality_offset: match confidentiality {
                Some(Confidentiality::Encrypt(offset)) => Some(offset.octets()),
                _ => None,
            },
            integrity_only: confidentiality == Some(Confidentiality::IntegrityOnly),
            unwrapped: key.and_then(|key| key.unwraps),
            first_seen: life.first_seen,
            distributed: life.distributed,
            in_use: life.in_use,
            replaced: life.replaced,
            last_seen: life.last_seen,
            members: life.members.iter().map(SakMemberReport::new).collect(),
            text: life_text(life, sci),
        }
    }
}

impl SakMemberReport {
    fn new(member: &Member) -> Self {
        Self {
            mi: member.mi.to_string(),
            sci: member.sci.as_ref().map(Sci::to_string),
            ssci: member.ssci.map(|ssci| ssci.0),
            receives: member.receives,
            transmits: member.transmits,
            lowest_acceptable_pn: member.lowest_pn,
        }
    }
}

/// The whole life in a sentence: `SAK MI/1 AN 0 gcm-aes-128 distributed by .., received by .. +0.1
/// s, in use +2.1 s`.
fn life_text(life: &Life, server: Option<Sci>) -> String {
    let mut text = format!("SAK {} AN {}", ki_text(life.ki), life.an);
    if let Some(key) = &life.key {
        text += &format!(" {}", key.suite);
    }
    let since = life.distributed.unwrap_or(life.first_seen);
    text += match life.distributed {
        Some(_) => " distributed",
        None => " seen in use, not distributed in the capture",
    };
    if let Some(sci) = server {
        text += &format!(" by {sci}");
    }
    if life.key.as_ref().is_some_and(|key| key.unwraps == Some(false)) {
        text += ", does not unwrap";
    }
    if life.distributed.is_none() {
        return text;
    }
    let received: Vec<_> = life
        .members
        .iter()
        .filter_map(|member| Some(format!("{} {}", member.sci?, after(member.receives?, since))))
        .collect();
    if !received.is_empty() {
        text += &format!(", received by {}", received.join(", "));
    }
    for (at, words) in [(life.in_use, "in use"), (life.replaced, "replaced")] {
        if let Some(at) = at {
            text += &format!(", {words} {}", after(at, since));
        }
    }
    if life.in_use.is_none() {
        text += ", never in use";
    }
    text
}

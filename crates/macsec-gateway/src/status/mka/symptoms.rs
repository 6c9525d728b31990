//! From what a KaY shows to the likely cause: for `macsec status`, `macsec doctor` and the log.

use super::{MkaPeerStatus, MkaStatus};

/// Something that looks wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Symptom {
    /// Whether it keeps the port from being secured.
    pub(crate) severe: bool,
    /// What is seen.
    pub(crate) seen: String,
    /// The likely cause, and what to do.
    pub(crate) advice: &'static str,
}

impl Symptom {
    /// Both in one line.
    pub(crate) fn line(&self) -> String {
        format!("{}: {}", self.seen, self.advice)
    }
}

/// As many MKPDUs of ours without an answer are no accident: they go out every Hello Time, and quicker
/// at first.
const UNANSWERED: u64 = 6;

const SILENCE: &str = "the other end does not run MKA, or something on the way takes the frames out: \
    compare destination and ethertype of both ends";
pub(crate) const CKN: &str =
    "the two ends have not the same ckn (each digit counts, zeros in front and behind too)";
pub(crate) const CAK: &str = "the two ends have not the same CAK";
const ONE_WAY: &str = "it does not hear us: the link works one way only, or it refuses our MKPDUs";
const NO_CANDIDATE: &str =
    "all ends have key_server_priority 255, which is never: lower that of one";
const NO_SAK: &str = "it waits for a peer that is not live yet, or does not want MACsec";
const SUITE: &str = "cipher_suites of the two ends have none in common that the key server prefers";
const UNWRAP: &str = "the key server wraps SAKs under another key, or they are damaged";
pub(crate) const LOOP: &str = "a loop on the way, or another system with this address";
const CROWD: &str = "more systems have the CAK than this port has room for";
const CLEAR: &str = "policy should-secure, and MKA has failed: set must-secure after the roll-out";
const AGREED_CLEAR: &str = "policy should-secure, and the key server has said so";

/// What is to be said of MKPDUs under a CKN that is not ours.
pub(crate) fn other_ckn(theirs: &str, ours: &str) -> String {
    format!("MKPDUs come under CKN {theirs}, ours is {ours}")
}

/// What is to be said of MKPDUs under our CKN whose ICV is wrong.
pub(crate) fn other_cak(ckn: &str) -> String {
    format!("likely another CAK under CKN {ckn}")
}

/// All that looks wrong.
pub(crate) fn of(mka: &MkaStatus) -> Vec<Symptom> {
    let mut symptoms = Vec::new();
    let mut add = |severe, seen: String, advice| symptoms.push(Symptom { severe, seen, advice });
    let count = |name: &str| mka.counters.get(name).copied().unwrap_or_default();
    let peers = || mka.participants.iter().flat_map(|participant| &participant.peers);
    let live = |peer: &&MkaPeerStatus| peer.kind == "live";
    let alone = !peers().any(|peer| live(&peer));
    let ckn = mka.participants.first().map_or("", |participant| &participant.ckn);
    if mka.active && alone {
        let (no_ckn, icv) = (count("eapol-mk-no-cfn"), count("in-mkpdu-icv-verification-errors"));
        if let Some(theirs) = mka.unknown_ckn.as_ref().filter(|_| no_ckn > 0) {
            add(true, format!("{} ({no_ckn})", other_ckn(theirs, ckn)), CKN);
        }
        if icv > 0 {
            add(true, format!("{icv} MKPDUs with a wrong ICV, {}", other_cak(ckn)), CAK);
        }
        let heard = peers().find_map(|peer| peer.sci.as_ref());
        match heard {
            Some(sci) if mka.failed => {
                add(true, format!("peer {sci} is heard and stays potential"), ONE_WAY);
            }
            None if no_ckn + icv == 0 && count("out-mkpdu") >= UNANSWERED => {
                let heard_before = count("in-mkpdu") > 0;
                let what =
                    if heard_before { "no peer is heard any more" } else { "no peer is heard" };
                add(true, format!("MKPDUs are sent, and {what}"), SILENCE);
            }
            _ => {}
        }
    }
    if !alone && mka.key_server.is_none() {
        add(true, "there are live peers, and no key server".to_owned(), NO_CANDIDATE);
    }
    if !mka.secured {
        let (suite, unwrap) = (count("sak-cipher-mismatch-errors"), count("sak-decryption-errors"));
        if suite > 0 {
            add(true, format!("{suite} SAKs came with a suite or offset not configured"), SUITE);
        }
        if unwrap > 0 {
            add(true, format!("{unwrap} SAKs came that do not unwrap"), UNWRAP);
        }
        let server = mka.key_server.as_ref().filter(|server| !server.is_self && !alone);
        if let Some(server) = server.filter(|_| mka.failed && suite + unwrap == 0) {
            add(true, format!("key server {} sends no SAK", server.sci), NO_SAK);
        }
    }
    let own = count("in-mkpdu-own");
    if own > 0 {
        add(false, format!("{own} MKPDUs of ours have come back"), LOOP);
    }
    let crowd = count("in-mkpdu-peer-list-errors");
    if crowd > 0 {
        add(false, format!("{crowd} MKPDUs of peers beyond those there is room for"), CROWD);
    }
    if matches!(mka.cp_state.as_str(), "ALLOWED" | "AUTHENTICATED") {
        let advice = if mka.authenticated { AGREED_CLEAR } else { CLEAR };
        add(false, "frames pass IN CLEAR".to_owned(), advice);
    }
    symptoms
}

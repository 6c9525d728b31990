//! From what a KaY shows to the likely cause: for `macsec status`, `macsec doctor` and the log.

use std::time::Duration;

use super::{MkaPeerStatus, MkaStatus};

pub(crate) use super::key_symptoms::of_keys;

/// Something that looks wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Symptom {
    /// Whether it keeps the port from being secured, or of use.
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
const SUITE: &str = "the suite that the key server prefers is not among cipher_suites here, or its offset is another";
const WITHOUT_SAK: &str = "what is sent to it is lost; it refuses the SAK (cipher_suites, offset) or cannot use it: look there";
const UNWRAP: &str = "the key server wraps SAKs under another key, or they are damaged";
pub(crate) const LOOP: &str = "a loop on the way, or another system with this address";
const CROWD: &str = "more systems have the CAK than this port has room for";
const UNRECORDED: &str =
    "no new SAK is transmitted with until that works; it is tried again every half a minute";
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
    let lately = |name: &str| mka.errors_since_well.get(name).copied().unwrap_or_default();
    let peers = || mka.participants.iter().flat_map(|participant| &participant.peers);
    let live = |peer: &&MkaPeerStatus| peer.kind == "live";
    let alone = !peers().any(|peer| live(&peer));
    if mka.active && alone {
        let ckns: Vec<_> = mka.participants.iter().map(|one| one.ckn.as_str()).collect();
        let wrong: Vec<_> =
            mka.keys.iter().filter(|key| key.icv_errors > 0).map(|key| key.ckn.as_str()).collect();
        let (ckns, wrong) = (ckns.join(", "), wrong.join(", "));
        let (no_ckn, icv) = (lately("eapol-mk-no-cfn"), lately("in-mkpdu-icv-verification-errors"));
        if let Some(theirs) = mka.unknown_ckn.as_ref().filter(|_| no_ckn > 0) {
            add(true, format!("{} ({no_ckn})", other_ckn(theirs, &ckns)), CKN);
        }
        if icv > 0 {
            add(true, format!("{icv} MKPDUs with a wrong ICV, {}", other_cak(&wrong)), CAK);
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
    for peer in peers().filter(|peer| peer.without_sak) {
        let sci = peer.sci.as_deref().unwrap_or(&peer.mi);
        add(true, format!("peer {sci} does not receive with the SAK in use"), WITHOUT_SAK);
    }
    if !mka.secured {
        let (suite, unwrap) =
            (lately("sak-cipher-mismatch-errors"), lately("sak-decryption-errors"));
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
    if let Some(reason) = &mka.unrecorded {
        add(true, format!("the SAK cannot be put on record: {reason}"), UNRECORDED);
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
    let patience = Duration::from_millis(mka.life_time.saturating_add(mka.hello_time));
    symptoms.extend(of_keys(&mka.keys, patience));
    symptoms
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::status::{CakStatus, KeyServerStatus, mka::fixture};

    fn peer(kind: &str, sci: Option<&str>) -> MkaPeerStatus {
        MkaPeerStatus {
            mi: "00".repeat(12),
            mn: 1,
            kind: kind.to_owned(),
            sci: sci.map(str::to_owned),
            priority: None,
            mka_version: None,
            last_heard: None,
            announced: None,
            without_sak: false,
        }
    }

    /// A KaY that has a session, and nothing is wrong with it.
    fn healthy() -> MkaStatus {
        MkaStatus { secured: true, ..alone(&[("out-mkpdu", 99), ("in-mkpdu", 99)], "live") }
    }

    /// A KaY with these counts, and one peer of this kind, if it has a name.
    fn alone(counts: &[(&str, u64)], kind: &str) -> MkaStatus {
        let mut mka = fixture();
        mka.cp_state = "CHANGE".to_owned();
        mka.counters = counts.iter().map(|&(name, count)| (name.to_owned(), count)).collect();
        mka.errors_since_well = mka.counters.clone();
        mka.participants[0].ckn = "6d6b61".to_owned();
        let icv_errors = mka.counters.get("in-mkpdu-icv-verification-errors").copied();
        mka.keys.truncate(1);
        mka.keys[0] = CakStatus {
            ckn: "6d6b61".to_owned(),
            fallback: false,
            icv_errors: icv_errors.unwrap_or_default(),
            ..mka.keys[0].clone()
        };
        mka.participants[0].peers = Some(peer(kind, Some("02-00-00-00-00-02-0001")))
            .filter(|_| !kind.is_empty())
            .into_iter()
            .collect();
        mka.key_server =
            Some(KeyServerStatus { sci: "S".to_owned(), priority: 16, is_self: false });
        mka.unknown_ckn = None;
        mka
    }

    #[track_caller]
    fn told(mka: &MkaStatus, seen: &[&str]) {
        let symptoms = of(mka);
        let all: Vec<_> = symptoms.iter().map(Symptom::line).collect();
        assert_eq!(all.len(), seen.len(), "{all:?}");
        for (line, words) in all.iter().zip(seen) {
            assert!(line.contains(words), "{words}: {line}");
        }
    }

    #[test]
    fn nothing_is_said_of_what_is_well() {
        told(&healthy(), &[]);
        // It has only just begun, or has no signal.
        told(&alone(&[("out-mkpdu", 2)], ""), &[]);
        told(&MkaStatus { active: false, ..alone(&[("out-mkpdu", 99)], "") }, &[]);
        // Old errors do not count once there is a session.
        let past = [("in-mkpdu-icv-verification-errors", 5), ("eapol-mk-no-cfn", 5)];
        told(&MkaStatus { secured: true, ..alone(&past, "live") }, &[]);
    }

    #[test]
    fn errors_of_before_are_not_why_it_fails_now() {
        let past = [
            ("out-mkpdu", 99),
            ("in-mkpdu", 9),
            ("eapol-mk-no-cfn", 5),
            ("in-mkpdu-icv-verification-errors", 5),
            ("sak-cipher-mismatch-errors", 5),
            ("sak-decryption-errors", 5),
        ];
        let all_was_well_since = MkaStatus {
            unknown_ckn: Some("6d6b6100".to_owned()),
            errors_since_well: BTreeMap::new(),
            ..alone(&past, "")
        };
        told(&all_was_well_since, &["no peer is heard any more"]);
    }

    #[test]
    fn silence_is_told_apart_from_what_is_not_understood() {
        let sent = ("out-mkpdu", UNANSWERED);
        told(&alone(&[sent], ""), &["no peer is heard: the other end does not run MKA"]);
        told(&alone(&[sent, ("in-mkpdu", 4)], ""), &["no peer is heard any more"]);
        let other = MkaStatus {
            unknown_ckn: Some("6d6b6100".to_owned()),
            ..alone(&[sent, ("eapol-mk-no-cfn", 3)], "")
        };
        told(&other, &["MKPDUs come under CKN 6d6b6100, ours is 6d6b61 (3): the two ends"]);
        told(
            &alone(&[sent, ("in-mkpdu-icv-verification-errors", 3)], ""),
            &["3 MKPDUs with a wrong ICV, likely another CAK under CKN 6d6b61"],
        );
    }

    #[test]
    fn a_peer_that_does_not_hear_us() {
        let heard = alone(&[("out-mkpdu", 99), ("in-mkpdu", 99)], "potential");
        told(&heard, &[]);
        let words = "peer 02-00-00-00-00-02-0001 is heard and stays potential: it does not hear us";
        told(&MkaStatus { failed: true, ..heard }, &[words]);
    }

    #[test]
    fn a_peer_that_does_not_use_the_sak() {
        let mut mka = healthy();
        mka.participants[0].peers[0].without_sak = true;
        told(&mka, &["peer 02-00-00-00-00-02-0001 does not receive with the SAK in use"]);
        assert!(of(&mka)[0].severe, "the doctor has to see it");
    }

    #[test]
    fn peers_without_a_sak() {
        let failed = |counts: &[_]| MkaStatus { failed: true, ..alone(counts, "live") };
        told(&failed(&[]), &["key server S sends no SAK"]);
        told(&MkaStatus { key_server: None, ..failed(&[]) }, &["and no key server: all ends"]);
        told(&failed(&[("sak-cipher-mismatch-errors", 2)]), &["2 SAKs came with a suite"]);
        told(&failed(&[("sak-decryption-errors", 2)]), &["2 SAKs came that do not unwrap"]);
    }

    #[test]
    fn what_is_no_obstacle_is_told_beside_it() {
        let with = |counts: &[_]| MkaStatus { secured: true, ..alone(counts, "live") };
        let unrecorded = Some("disk full".to_owned());
        told(
            &MkaStatus { unrecorded, ..healthy() },
            &["cannot be put on record: disk full: no new"],
        );
        told(&with(&[("in-mkpdu-own", 1)]), &["1 MKPDUs of ours have come back: a loop"]);
        told(&with(&[("in-mkpdu-peer-list-errors", 1)]), &["beyond those there is room for"]);
        assert!(of(&with(&[("in-mkpdu-own", 1)])).iter().all(|symptom| !symptom.severe));
        for (state, authenticated, advice) in [
            ("ALLOWED", false, CLEAR),
            ("AUTHENTICATED", false, CLEAR),
            ("AUTHENTICATED", true, AGREED_CLEAR),
        ] {
            let open = MkaStatus { cp_state: state.to_owned(), authenticated, ..healthy() };
            told(&open, &[&format!("frames pass IN CLEAR: {advice}")]);
        }
    }
}

//! From a KaY to what is said of it.

use std::{collections::BTreeMap, time::Duration};

use mka::{
    Announced, AnnouncedName, Ckn, Kay, KeyServer, OfferedCak, Participant, PeerStatus, Random,
    cp::KeyStatus, key_number, logon::MkaOutcome,
};

use super::{
    ActorStatus, AnnouncedNameStatus, AnnouncedStatus, CakStatus, KeyServerStatus, LastRekey,
    MkaPeerStatus, MkaStatus, OfferedCakStatus, ParticipantStatus, SakStatus, names, symptoms,
};

/// A KaY, and what its thread knows beside it.
pub(crate) struct KayView<'a, R> {
    pub(crate) kay: &'a Kay<R>,
    pub(crate) now: Duration,
    /// MKPDUs that the uplink did not take.
    pub(crate) failed_sends: u64,
    /// EAPOL frames that found the socket's buffer full.
    pub(crate) missed: u64,
    pub(crate) last_well: &'a LastWell,
    pub(crate) keys: Vec<CakStatus>,
    pub(crate) former_key: Option<Ckn>,
    /// Why the last SAK could not be put on record, if it could not.
    pub(crate) unrecorded: Option<&'a str>,
}

/// What the counters of errors were when all was last well: what has come since points at what is wrong now.
#[derive(Debug, Default)]
pub(crate) struct LastWell {
    /// MKPDUs of peers: another one is a peer that is understood.
    in_mkpdu: u64,
    in_no_ckn: u64,
    in_icv_errors: u64,
    sak_cipher_mismatch: u64,
    sak_unwrap_errors: u64,
}

impl LastWell {
    /// To be called after each frame.
    pub(crate) fn note(&mut self, kay: &Kay<impl Random>) {
        let participant = kay.participant_counters();
        if participant.in_mkpdu != self.in_mkpdu {
            self.in_mkpdu = participant.in_mkpdu;
            self.in_no_ckn = kay.counters().in_no_ckn;
            self.in_icv_errors = participant.in_icv_errors;
        }
        if kay.outcome() == MkaOutcome::Secured {
            self.sak_cipher_mismatch = participant.sak_cipher_mismatch;
            self.sak_unwrap_errors = participant.sak_unwrap_errors;
        }
    }

    /// The errors since.
    fn errors_since(&self, kay: &Kay<impl Random>) -> BTreeMap<String, u64> {
        let participant = kay.participant_counters();
        [
            ("eapol-mk-no-cfn", kay.counters().in_no_ckn, self.in_no_ckn),
            ("in-mkpdu-icv-verification-errors", participant.in_icv_errors, self.in_icv_errors),
            (
                "sak-cipher-mismatch-errors",
                participant.sak_cipher_mismatch,
                self.sak_cipher_mismatch,
            ),
            ("sak-decryption-errors", participant.sak_unwrap_errors, self.sak_unwrap_errors),
        ]
        .map(|(name, now, then)| (name.to_owned(), now.saturating_sub(then)))
        .into()
    }
}

impl MkaStatus {
    pub(crate) fn of(view: &KayView<'_, impl Random>) -> Self {
        let KayView { kay, now, .. } = view;
        let outcome = kay.outcome();
        let config = &kay.config().participant;
        let member = kay.principal().map(Participant::member);
        let mut status = Self {
            policy: policy(config.plain_text_allowed).to_owned(),
            actor: ActorStatus {
                sci: config.sci.to_string(),
                priority: config.priority,
                mi: member.map_or_else(String::new, |member| member.mi.to_string()),
                mn: member.map_or(0, |member| member.mn),
                mka_version: config.version,
            },
            key_server: key_server(kay),
            active: kay.is_port_enabled(),
            authenticated: outcome == MkaOutcome::Plain,
            secured: outcome == MkaOutcome::Secured,
            failed: outcome == MkaOutcome::Failed,
            cp_state: kay.port().state().to_string(),
            keys: view.keys.clone(),
            former_key: view.former_key.map(|ckn| ckn.to_string()),
            participants: kay.participants().map(|one| participant_status(view, one)).collect(),
            saks: kay.port().reported().into_iter().flatten().map(|key| sak(kay, key)).collect(),
            last_rekey: kay.last_sak().map(|last| LastRekey {
                key_identifier: last.ki.to_string(),
                age: now.saturating_sub(last.at).as_secs(),
                reason: last
                    .reason
                    .map_or("the key server made one", names::rekey_reason)
                    .to_owned(),
            }),
            next_rekey: next_rekey(kay, *now),
            hello_time: millis(config.hello_time),
            life_time: millis(config.life_time()),
            counters: counters(view),
            errors_since_well: view.last_well.errors_since(kay),
            last_eapol_frame_source: kay.last_source().map(|source| source.to_string()),
            unknown_ckn: kay.unknown_ckn().map(ToString::to_string),
            unrecorded: view.unrecorded.map(str::to_owned),
            symptoms: Vec::new(),
        };
        status.symptoms = symptoms::of(&status).iter().map(symptoms::Symptom::line).collect();
        status
    }
}

fn policy(plain_text_allowed: bool) -> &'static str {
    if plain_text_allowed { "should-secure" } else { "must-secure" }
}

/// Who is key server, if anybody is whom we have heard.
pub(crate) fn key_server(kay: &Kay<impl Random>) -> Option<KeyServerStatus> {
    let participant = kay.principal()?;
    let (sci, priority, is_self) = match participant.key_server() {
        KeyServer::Nobody => return None,
        KeyServer::Us => (participant.config().sci, participant.config().priority, true),
        KeyServer::Peer(mi) => {
            let peer = participant.peers().find(|peer| peer.member.mi == mi)?;
            (peer.sci?, peer.priority?, false)
        }
    };
    Some(KeyServerStatus { sci: sci.to_string(), priority, is_self })
}

fn participant_status<R: Random>(
    view: &KayView<'_, R>,
    participant: &Participant<R>,
) -> ParticipantStatus {
    let ckn = participant.ckn();
    let principal = view.kay.principal().is_some_and(|principal| principal.ckn() == ckn);
    ParticipantStatus {
        ckn: ckn.to_string(),
        active: participant.peers().any(|peer| peer.live),
        principal: principal && view.kay.outcome() != MkaOutcome::Pending,
        suspended_while: participant
            .suspended_until()
            .map(|until| until.saturating_sub(view.now).as_secs()),
        kmd: participant.announced_kmd().map(name),
        nid: participant.announced_nid().map(name),
        offered_cak: participant.offered_cak().map(offered),
        peers: participant.peers().map(|peer| peer_status(view, ckn, &peer)).collect(),
    }
}

fn name(announced: &AnnouncedName) -> AnnouncedNameStatus {
    AnnouncedNameStatus { name: printable(announced.as_str()), from: announced.from.to_string() }
}

fn offered(offered: &OfferedCak) -> OfferedCakStatus {
    OfferedCakStatus { ckn: offered.ckn.to_string(), from: offered.from.to_string() }
}

/// With escapes: anybody who has the CAK may have sent it, and a terminal would do what it says.
fn printable(text: &str) -> String {
    text.escape_debug().to_string()
}

fn announced(announced: &Announced) -> AnnouncedStatus {
    let other = announced.other_suites.then(|| "other".to_owned());
    let access = announced.access_information;
    AnnouncedStatus {
        cipher_suites: announced
            .suites()
            .map(|suite| suite.name().to_owned())
            .chain(other)
            .collect(),
        access_status: access.map(|[status, _]| names::access_status(status).to_owned()),
        access_information: access.map(|[first, second]| format!("{first:02x}{second:02x}")),
    }
}

fn peer_status(view: &KayView<'_, impl Random>, ckn: &Ckn, peer: &PeerStatus) -> MkaPeerStatus {
    MkaPeerStatus {
        mi: peer.member.mi.to_string(),
        mn: peer.member.mn,
        kind: if peer.live { "live" } else { "potential" }.to_owned(),
        sci: peer.sci.map(|sci| sci.to_string()),
        priority: peer.priority,
        mka_version: peer.version,
        last_heard: peer.heard_at.map(|at| view.now.saturating_sub(at).as_secs()),
        announced: peer.announced.as_ref().map(announced),
        without_sak: peer.live && is_without_sak(view, ckn, peer),
    }
}

/// Whether a peer has had the time to receive with the SAK that we transmit with, and does not. A key server
/// goes on all the same (802.1X 9.10): nothing else would show it.
fn is_without_sak(view: &KayView<'_, impl Random>, ckn: &Ckn, peer: &PeerStatus) -> bool {
    let KayView { kay, now, .. } = view;
    let config = &kay.config().participant;
    let patience = config.life_time() + config.hello_time;
    let has_had_time = kay.last_sak().is_some_and(|last| now.saturating_sub(last.at) > patience);
    let ours = kay.port().reported().into_iter().flatten().find(|key| key.tx);
    has_had_time
        && ours.is_some_and(|ours| {
            // Each participant speaks of its own keys.
            kay.participant_of(ours.ki).is_some_and(|owner| owner.ckn() == ckn)
                && !peer.key_use.is_some_and(|keys| keys.key(ours.ki).is_some_and(|key| key.rx))
        })
}

fn sak(kay: &Kay<impl Random>, key: KeyStatus) -> SakStatus {
    let agreed = kay.participant_of(key.ki).and_then(|participant| participant.sak());
    let agreed = agreed.filter(|agreed| agreed.ki == key.ki);
    SakStatus {
        key_identifier: key.ki.to_string(),
        key_number: key_number(key.ki),
        association_number: key.an.number(),
        tx: key.tx,
        rx: key.rx,
        cipher_suite: agreed.map(|agreed| agreed.suite.name().to_owned()),
    }
}

fn next_rekey(kay: &Kay<impl Random>, now: Duration) -> Option<u64> {
    let principal = kay.principal()?;
    let ours = principal.key_server() == KeyServer::Us && kay.outcome() == MkaOutcome::Secured;
    let interval = principal.config().rekey_interval.filter(|_| ours)?;
    Some((kay.last_sak()?.at + interval).saturating_sub(now).as_secs())
}

fn counters(view: &KayView<'_, impl Random>) -> BTreeMap<String, u64> {
    let (own, participant) = (view.kay.counters(), view.kay.participant_counters());
    [
        ("in-mkpdu", participant.in_mkpdu),
        ("in-sak-mkpdu", participant.in_sak_mkpdu),
        ("in-cak-mkpdu", participant.in_cak_mkpdu),
        ("out-mkpdu", participant.out_mkpdu),
        ("out-sak-mkpdu", participant.out_sak_mkpdu),
        ("out-mkpdu-errors", participant.out_errors + view.failed_sends),
        ("in-mkpdu-icv-verification-errors", participant.in_icv_errors),
        ("in-mkpdu-validation-errors", participant.in_invalid),
        ("in-mkpdu-bad-peer-errors", participant.in_bad_message_number),
        ("in-mkpdu-peer-list-errors", participant.peer_list_errors),
        ("in-mkpdu-own", participant.in_own),
        ("in-mkpdu-announcement-errors", participant.in_bad_announcements),
        ("sak-cipher-mismatch-errors", participant.sak_cipher_mismatch),
        ("sak-decryption-errors", participant.sak_unwrap_errors),
        ("invalid-eapol-frame-rx", own.in_invalid_eapol),
        ("eapol-announcements-rx", own.in_announcements),
        ("eapol-announce-reqs-rx", own.in_announcement_requests),
        ("eapol-mk-no-cfn", own.in_no_ckn),
        ("eapol-socket-drop", view.missed),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn no_terminal_is_told_what_to_do() {
        assert_eq!(printable("Zürich/north 1"), "Zürich/north 1");
        let tricks = "\u{1b}[2J\n\u{9b}1m\u{202e}\u{7f}";
        let shown = printable(tricks);
        assert!(shown.is_ascii() && shown.chars().all(|c| !c.is_control()), "{shown}");
    }
}

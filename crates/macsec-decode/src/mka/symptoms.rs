//! From what the exchange shows to the likely cause.

use core::time::Duration;

use super::{
    MkaReader,
    ca::{Ca, NEVER, Peer},
    report::Symptom,
    sak::Life,
};

/// Symptoms of a capture, at most.
const MOST: usize = 64;
/// As many MKPDUs without an answer are no accident.
const UNANSWERED: u64 = 6;
/// What a Hello Time may add to MKA Life Time before something is late.
const HELLO_TIME: Duration = Duration::from_secs(2);
/// A peer that has come again so often has not just been restarted.
const RETURNS: u64 = 2;

const SILENCE: &str = "the other end does not run MKA, or something on the way takes the \
    frames out: compare destination and ethertype of both ends";
const CKN: &str =
    "the two ends have not the same ckn (each digit counts, zeros in front and behind too)";
const CAK: &str = "the two ends have not the same CAK, or the one given here is another";
const ONE_WAY: &str = "the link works one way only, or it refuses the MKPDUs of the other";
const NO_CANDIDATE: &str =
    "all ends have key_server_priority 255, which is never: lower that of one";
const NO_SAK: &str = "it waits for a peer that is not live yet, or does not want MACsec";
const WITHOUT_SAK: &str = "what is sent to it is lost; \
    it refuses the SAK (cipher suites, offset) or cannot use it: look there";
const UNWRAP: &str = "the key server wraps SAKs under another key, or they are damaged";
const LOOP: &str = "a loop on the way, a frame captured twice, or somebody plays frames again";
const COLLISION: &str = "another system has taken its MI: \
    the frames of one are played again, or two have the same state";
const TWINS: &str = "two systems have the same SCI, or frames are played again";
const RENAMED: &str = "nonces may have been in use twice: restart the key server";
const RETURNING: &str =
    "MKPDUs are lost on the way, or its Hello Time is another than that of the other end";
const CLEAR: &str = "frames pass in clear if policy lets them";
const EXHAUSTION: &str = "a new SAK is due, and does not come";

/// All that looks wrong.
pub(super) fn of(reader: &MkaReader) -> Vec<Symptom> {
    let mut found = Found(Vec::new());
    of_names(&reader.cas, &mut found);
    for (place, ca) in reader.cas.iter().enumerate() {
        of_ca(reader, place, ca, &mut found);
    }
    found.0
}

struct Found(Vec<Symptom>);

impl Found {
    fn add(&mut self, severe: bool, ca: Option<&Ca>, seen: String, advice: &str) {
        if self.0.len() >= MOST {
            return;
        }
        let unverified = ca.is_some_and(|ca| ca.keys.is_none());
        let seen = if unverified { seen + " (not verified)" } else { seen };
        self.0.push(Symptom { severe, seen, advice: advice.to_owned() });
    }
}

/// Ends that have not the same CKN.
fn of_names(cas: &[Ca], found: &mut Found) {
    let theirs = |ca: &&Ca| ca.keys.is_none() && ca.mkpdus > 0;
    for ours in cas.iter().filter(|ca| ca.keys.is_some() && ca.mkpdus == 0) {
        if let Some(theirs) = cas.iter().find(theirs) {
            let seen =
                format!("MKPDUs come under CKN {}, the one given is {}", theirs.ckn, ours.ckn);
            found.add(true, None, seen, CKN);
        }
    }
    let lonely: Vec<_> = cas.iter().filter_map(|ca| Some((ca, lonely(ca)?))).collect();
    for pair in lonely.windows(2) {
        if let [(one, peer), (other, another)] = pair
            && peer.sci != another.sci
            && one.ckn != other.ckn
        {
            let seen = format!(
                "{} is alone under CKN {}, {} under CKN {}",
                peer.sci, one.ckn, another.sci, other.ckn
            );
            found.add(true, None, seen, CKN);
        }
    }
    if let [(ca, peer)] = &lonely[..]
        && !cas.iter().any(|ca| ca.icv_bad > 0)
        && peer.mkpdus >= UNANSWERED
    {
        let seen = format!("{} sends MKPDUs, and no peer is heard", peer.sci);
        found.add(true, Some(ca), seen, SILENCE);
    }
}

/// The one member there is.
fn lonely(ca: &Ca) -> Option<&Peer> {
    let first = ca.peers.last()?;
    ca.peers.iter().all(|peer| peer.sci == first.sci).then_some(first)
}

fn of_ca(reader: &MkaReader, place: usize, ca: &Ca, found: &mut Found) {
    if ca.icv_bad > 0 {
        let (count, ckn, from) = (ca.icv_bad, ca.ckn, ca.bad_senders.join(", "));
        let seen = format!(
            "{count} MKPDUs with a wrong ICV, from {from}: likely another CAK under CKN {ckn}"
        );
        found.add(ca.live_since.is_none(), None, seen, CAK);
    }
    of_pairs(reader, ca, found);
    of_saks(reader, place, ca, found);
    for peer in &ca.peers {
        let odd = peer.repeated + peer.lower;
        if odd > 0 {
            let seen = format!("{odd} MKPDUs of {} whose MN was not new", peer.sci);
            found.add(false, Some(ca), seen, LOOP);
        }
        if peer.returns >= RETURNS {
            let seen = format!("{} was gone and came again {} times", peer.sci, peer.returns);
            found.add(true, Some(ca), seen, RETURNING);
        }
    }
    let ckn = ca.ckn;
    for (count, severe, what, advice) in [
        (ca.collisions, true, "MKPDUs under the MI of another SCI", COLLISION),
        (ca.revenants, true, "MKPDUs under an MI that its SCI had given up", TWINS),
        (ca.unwrap_failures, true, "SAKs came that do not unwrap", UNWRAP),
        (ca.renamed_saks, true, "SAKs came under the name of another", RENAMED),
        (ca.plain_text, false, "MKPDUs say that there is to be no MACsec", CLEAR),
    ] {
        if count > 0 {
            found.add(severe, Some(ca), format!("{count} {what}, CKN {ckn}"), advice);
        }
    }
}

/// Members that are here and do not hear each other.
fn of_pairs(reader: &MkaReader, ca: &Ca, found: &mut Found) {
    let patience = reader.limits.life_time.saturating_add(HELLO_TIME);
    for peer in ca.here() {
        let deaf_to = |other: &&Peer| {
            let together = peer
                .last_seen
                .min(other.last_seen)
                .checked_sub(peer.first_seen.max(other.first_seen));
            other.mi != peer.mi && together > Some(patience) && !peer.lists(other.mi)
        };
        for other in ca.here().filter(deaf_to) {
            let seen = format!("{} is heard, and {} does not list it", other.sci, peer.sci);
            found.add(true, Some(ca), seen, ONE_WAY);
        }
        let potential = |other: &&Peer| {
            let heard_for = other.last_seen.saturating_sub(other.first_seen);
            peer.potential.contains(&other.mi) && heard_for > patience && other.lists(peer.mi)
        };
        for other in ca.here().filter(potential) {
            let seen = format!("{} is heard and stays potential to {}", other.sci, peer.sci);
            found.add(true, Some(ca), seen, ONE_WAY);
        }
    }
}

fn of_saks(reader: &MkaReader, place: usize, ca: &Ca, found: &mut Found) {
    let patience = reader.limits.life_time.saturating_add(HELLO_TIME);
    let last = ca.here().map(|peer| peer.last_seen).max().unwrap_or_default();
    let late = |since: Duration| last.saturating_sub(since) > patience;
    let mut lives = reader.saks.lives.iter().filter(|life| life.ca == place).peekable();
    if let Some(since) = ca.live_since.filter(|since| late(*since))
        && lives.peek().is_none()
    {
        match ca.key_server {
            None if ca.here().all(|peer| peer.priority == NEVER) => {
                let seen = "there are live peers, and no key server".to_owned();
                found.add(true, Some(ca), seen, NO_CANDIDATE);
            }
            server => {
                let name = server.map_or_else(String::new, |(_, sci)| format!(" {sci}"));
                let seen = format!("key server{name} sends no SAK for {}", whole(last, since));
                let unwilling: Vec<_> = ca.here().filter(|peer| !peer.wants_macsec).collect();
                let seen = unwilling
                    .iter()
                    .fold(seen, |seen, peer| format!("{seen}; {} does not want MACsec", peer.sci));
                found.add(true, Some(ca), seen, NO_SAK);
            }
        }
    }
    let Some(life) = lives.rfind(|life| life.distributed.is_some()) else { return };
    without_sak(ca, life, late, found);
    let limit = life.suite().map_or(u64::MAX, macsec::CipherSuite::rekey_pn);
    for member in &life.members {
        if let (Some(pn), Some(sci)) = (member.lowest_pn.filter(|pn| *pn >= limit), member.sci) {
            let seen = format!("{sci} is at PN {pn} of the last SAK there is");
            found.add(true, Some(ca), seen, EXHAUSTION);
        }
    }
}

/// Members of the last SAK that have never said that they receive with it.
fn without_sak(ca: &Ca, life: &Life, late: impl Fn(Duration) -> bool, found: &mut Found) {
    if !life.distributed.is_some_and(late) {
        return;
    }
    for member in life.members.iter().filter(|member| member.receives.is_none()) {
        let Some(peer) = ca.peer(member.mi).filter(|peer| peer.is_here()) else { continue };
        let seen = format!(
            "peer {} does not receive with the SAK that is distributed last, {}",
            peer.sci,
            super::story::ki_text(life.ki)
        );
        found.add(true, Some(ca), seen, WITHOUT_SAK);
    }
}

fn whole(now: Duration, since: Duration) -> String {
    format!("{} s", now.saturating_sub(since).as_secs())
}

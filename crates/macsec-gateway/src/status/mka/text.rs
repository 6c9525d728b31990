//! A KaY for people, at 80 columns.

use std::fmt::{self, Write};

use super::{AnnouncedNameStatus, CakState, CakStatus, MkaPeerStatus, MkaStatus, OfferedCakStatus};
use crate::status::text::{age, wrap};

/// Characters of a long name in a line.
const NAME_WIDTH: usize = 64;

pub(crate) fn write_mka(f: &mut String, mka: &MkaStatus) -> fmt::Result {
    writeln!(f, "    MKA under CKN")?;
    match &mka.keys[..] {
        // There is no more to be said of it than of MKA as a whole.
        [key] if key.in_use_for.is_some() => writeln!(f, "        {}", key.ckn)?,
        keys => keys.iter().try_for_each(|key| write_key(f, key))?,
    }
    let outcome = match (mka.active, mka.secured, mka.authenticated, mka.failed) {
        (false, ..) => "no signal",
        (_, true, ..) => "secured",
        (_, _, true, _) => "agreed to do without MACsec",
        (.., true) => "FAILED: no session",
        _ => "no session",
    };
    writeln!(f, "        {outcome}, {}, CP state {}", mka.policy, mka.cp_state)?;
    let actor = &mka.actor;
    writeln!(f, "        this end {}, priority {}", actor.sci, actor.priority)?;
    writeln!(f, "            MI {} MN {}, MKA version {}", actor.mi, actor.mn, actor.mka_version)?;
    match &mka.key_server {
        Some(server) if server.is_self => writeln!(f, "        key server: this end")?,
        Some(server) => {
            writeln!(f, "        key server: {}, priority {}", server.sci, server.priority)?;
        }
        None => writeln!(f, "        key server: NONE")?,
    }
    let suspended = mka.participants.iter().filter_map(|one| one.suspended_while).max();
    if let Some(seconds) = suspended {
        writeln!(f, "        suspended for {seconds} s by key server")?;
    }
    for (kind, name) in
        mka.participants.iter().flat_map(|one| [("KMD", &one.kmd), ("NID", &one.nid)])
    {
        if let Some(AnnouncedNameStatus { name, from }) = name {
            writeln!(f, "        {kind} announced by {from}:")?;
            write_long(f, name)?;
        }
    }
    for OfferedCakStatus { ckn, from } in
        mka.participants.iter().filter_map(|one| one.offered_cak.as_ref())
    {
        writeln!(f, "        CAK distributed by {from}, and not taken:")?;
        writeln!(f, "            {ckn}")?;
    }
    // Others have the same peers, as a rule; what is different about them the keys tell.
    let has_principal = mka.participants.iter().any(|participant| participant.principal);
    let shown = mka.participants.iter().filter(|one| one.principal || !has_principal);
    shown.flat_map(|participant| &participant.peers).try_for_each(|peer| write_peer(f, peer))?;
    for sak in &mka.saks {
        let way = match (sak.tx, sak.rx) {
            (true, true) => "transmits and receives",
            (true, false) => "transmits",
            (false, true) => "receives",
            (false, false) => "not in use yet",
        };
        let suite = sak.cipher_suite.as_deref().unwrap_or_default();
        writeln!(f, "        SAK {} AN {}", sak.key_identifier, sak.association_number)?;
        writeln!(f, "            {suite} {way}")?;
    }
    if let Some(last) = &mka.last_rekey {
        writeln!(f, "        last SAK {} ago: {}", age(last.age), last.reason)?;
    }
    if let Some(seconds) = mka.next_rekey {
        writeln!(f, "        next SAK in {}", age(seconds))?;
    }
    writeln!(f, "        hello {} ms, life {} ms", mka.hello_time, mka.life_time)?;
    let counts: Vec<_> = mka
        .counters
        .iter()
        .filter(|(_, count)| **count != 0)
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    wrap(f, "    ", &counts)?;
    mka.symptoms.iter().try_for_each(|symptom| writeln!(f, "        !! {symptom}"))
}

fn write_key(f: &mut String, key: &CakStatus) -> fmt::Result {
    writeln!(f, "        {}", key.ckn)?;
    write!(f, "            {}", key_state(key))?;
    for (is_so, word) in [(key.preferred, "preferred"), (key.fallback, "fallback")] {
        if is_so {
            write!(f, ", {word}")?;
        }
    }
    writeln!(f)?;
    match &key.end {
        Some(end) if !key.has_ended() => writeln!(f, "            until {end}"),
        _ => Ok(()),
    }
}

/// How a key fares, in some words.
pub(crate) fn key_state(key: &CakStatus) -> String {
    let (start, end) = (key.start.as_deref(), key.end.as_deref());
    let (start, end) = (start.unwrap_or_default(), end.unwrap_or_default());
    let live = format!("live with {} of {}", key.live_peers, key.peers);
    match key.state {
        CakState::Pending => format!("begins at {start}"),
        CakState::NotLive => "no live peer".to_owned(),
        CakState::Live => live,
        CakState::InUse => format!("in use, {live}"),
        CakState::Expired => format!("ended at {end}, {live}"),
        CakState::Leaving => format!("not configured any more, {live}"),
        CakState::Retired => "retired".to_owned(),
    }
}

fn write_peer(f: &mut String, peer: &MkaPeerStatus) -> fmt::Result {
    let sci = peer.sci.as_deref().unwrap_or("that others have heard");
    write!(f, "        {} peer {sci}", peer.kind)?;
    if let Some(priority) = peer.priority {
        write!(f, ", priority {priority}")?;
    }
    write!(f, "\n            MI {} MN {}", peer.mi, peer.mn)?;
    match peer.mka_version {
        Some(version) => writeln!(f, ", MKA version {version}")?,
        None => writeln!(f)?,
    }
    let Some(announced) = &peer.announced else { return Ok(()) };
    let access = announced.access_status.iter().map(|status| format!("access {status}"));
    let announced: Vec<_> = announced.cipher_suites.iter().cloned().chain(access).collect();
    wrap(f, "        announces ", &announced)
}

/// A name of whatever length.
fn write_long(f: &mut String, name: &str) -> fmt::Result {
    let mut rest = name;
    while !rest.is_empty() {
        let end = rest.char_indices().nth(NAME_WIDTH).map_or(rest.len(), |(at, _)| at);
        let (line, after) = rest.split_at(end);
        writeln!(f, "            {line}")?;
        rest = after;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    fn text(mka: &MkaStatus) -> String {
        let mut text = String::new();
        write_mka(&mut text, mka).expect("a string takes everything");
        text
    }

    #[test]
    fn what_peers_announce_is_told() {
        let mut mka = fixture();
        let participant = &mut mka.participants[0];
        participant.nid = None;
        let from = "02-00-00-00-00-01-0001".to_owned();
        participant.kmd = Some(AnnouncedNameStatus { name: "domain".to_owned(), from });
        let text = text(&mka);
        let kmd = "\n        KMD announced by 02-00-00-00-00-01-0001:\n            domain\n";
        assert!(text.contains(kmd) && !text.contains("NID"), "{text}");
        let suites = "            announces gcm-aes-128, gcm-aes-256, gcm-aes-xpn-128,";
        assert!(text.contains(suites) && text.contains("access restricted\n"), "{text}");
    }

    #[test]
    fn a_cak_that_is_not_taken_is_told() {
        let mut mka = fixture();
        let (ckn, from) = ("67726f7570".to_owned(), "02-00-00-00-00-01-0001".to_owned());
        mka.participants[0].offered_cak = Some(OfferedCakStatus { ckn, from });
        let told = "\n        CAK distributed by 02-00-00-00-00-01-0001, and not taken:\n            \
             67726f7570\n";
        assert!(text(&mka).contains(told), "{}", text(&mka));
        mka.participants[0].offered_cak = None;
        assert!(!text(&mka).contains("CAK distributed"));
    }

    #[test]
    fn a_suspension_is_told_with_its_time() {
        let mut mka = fixture();
        mka.participants[0].suspended_while = Some(42);
        assert!(text(&mka).contains("\n        suspended for 42 s by key server\n"));
        mka.participants[0].suspended_while = None;
        assert!(!text(&mka).contains("suspended"));
    }
}

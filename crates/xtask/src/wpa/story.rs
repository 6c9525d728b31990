//! What happens in the cases.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use mka::ETHERTYPE_EAPOL;

use super::{
    Result,
    bed::{Bed, PATIENCE},
    case::Hold,
    process::Ending,
    wait_for,
    wire::Side,
};

/// MKA Life Time: after that without a word, a peer is lost.
const LIFE_TIME: Duration = Duration::from_secs(6);
/// Long enough for a session that has a flaw to fail: each end hears of each from the other, and
/// they drop who does not hear them, or does not use the SAK.
const AWHILE: Duration = Duration::from_secs(8);
/// A next PN beyond that where a key server has to make a new SAK.
const NEARLY_EXHAUSTED: u32 = 0xd000_0000;

pub(super) fn as_server(bed: &mut Bed) -> Result<()> {
    plain(bed, true)
}

pub(super) fn as_client(bed: &mut Bed) -> Result<()> {
    plain(bed, false)
}

/// A session comes up and lasts.
fn plain(bed: &mut Bed, we_serve: bool) -> Result<()> {
    bed.start()?;
    bed.secured_anew()?;
    if bed.we_serve()? != we_serve {
        return Err("the wrong one is key server".into());
    }
    bed.holds(AWHILE)
}

/// A session comes up with the CAK that both have, and we say that it is only our fallback.
pub(super) fn fallback(bed: &mut Bed) -> Result<()> {
    let we_serve = bed.case.ours.priority < bed.case.theirs.priority;
    plain(bed, we_serve)?;
    let mka = bed.gateway()?.mka()?;
    let told = "is in use: no other key has a live peer";
    match mka.symptoms.iter().any(|symptom| symptom.contains(told)) {
        true => Ok(()),
        false => Err(format!("nothing is said of the fallback: {mka:?}").into()),
    }
}

/// Each end restarts in turn.
pub(super) fn restarts(bed: &mut Bed) -> Result<()> {
    bed.start()?;
    bed.secured_anew()?;
    for (side, how) in [
        (Side::Theirs, Ending::Killed),
        (Side::Ours, Ending::Killed),
        (Side::Ours, Ending::Terminated),
    ] {
        bed.end(side, how)?;
        bed.start_end(side)?;
        bed.secured_anew().map_err(|error| format!("{side:?}, {how:?}: {error}"))?;
    }
    bed.holds(AWHILE)
}

/// An end that is gone is missed by the other one, and welcome when it comes back.
pub(super) fn gone(bed: &mut Bed) -> Result<()> {
    bed.start()?;
    for (side, other) in [(Side::Ours, Side::Theirs), (Side::Theirs, Side::Ours)] {
        bed.secured_anew()?;
        bed.end(side, Ending::Killed)?;
        wait_for("a port that closes", PATIENCE, || {
            Ok(bed.look(other)?.secured.is_none().then_some(()))
        })?;
        bed.start_end(side)?;
    }
    bed.secured_anew()?;
    bed.holds(AWHILE)
}

/// A link without a signal for ten seconds heals.
pub(super) fn cut(bed: &mut Bed) -> Result<()> {
    bed.start()?;
    bed.secured_anew()?;
    bed.wire.cut(true)?;
    sleep(Duration::from_secs(10));
    bed.wire.cut(false)?;
    bed.secured_anew()?;
    bed.holds(AWHILE)
}

/// Frames that get lost for three seconds do no harm. For longer than a Life Time they do, and that
/// heals.
pub(super) fn loss(bed: &mut Bed) -> Result<()> {
    bed.start()?;
    bed.secured_anew()?;
    Side::BOTH.iter().for_each(|side| bed.wire.lose(*side, true));
    bed.lasts(Duration::from_secs(3))?;
    Side::BOTH.iter().for_each(|side| bed.wire.lose(*side, false));
    bed.holds(2 * LIFE_TIME)?;

    // One way only: whom nobody hears any more has to notice.
    bed.wire.lose(Side::Ours, true);
    sleep(2 * LIFE_TIME);
    bed.wire.lose(Side::Ours, false);
    bed.secured_anew()?;
    bed.holds(AWHILE)
}

/// New SAKs as the operator wants them.
pub(super) fn rekey(bed: &mut Bed) -> Result<()> {
    bed.start()?;
    let (_, mut an) = bed.secured_anew()?;
    for _ in 0..5 {
        bed.gateway()?.rekey()??;
        let (_, next) = bed.secured_anew()?;
        if next != an.next() {
            return Err(format!("AN {next} comes after {an}").into());
        }
        an = next;
    }
    bed.holds(AWHILE)
}

/// The operator is told that it is the key server that makes SAKs.
pub(super) fn rekey_as_client(bed: &mut Bed) -> Result<()> {
    bed.start()?;
    bed.secured_anew()?;
    match bed.gateway()?.rekey()? {
        Ok(()) => Err("macsec rekey succeeds".into()),
        Err(told) if told.contains("key server") => bed.holds(AWHILE),
        Err(told) => Err(format!("macsec rekey says {told:?}").into()),
    }
}

/// A new SAK because the packet numbers of wpa_supplicant come to an end: it tells us, or knows
/// itself.
pub(super) fn rekey_by_pn(bed: &mut Bed) -> Result<()> {
    bed.start()?;
    for _ in 0..2 {
        let (_, an) = bed.secured_anew()?;
        bed.theirs().tell_pn(an, NEARLY_EXHAUSTED)?;
    }
    bed.secured_anew()?;
    bed.holds(AWHILE)
}

/// A session lasts for long, with new SAKs now and then, and serves data all the while.
pub(super) fn held(bed: &mut Bed) -> Result<()> {
    let Hold { time, rekeys } = bed.case.hold;
    bed.start()?;
    let (_, mut an) = bed.secured_anew()?;
    let mut exchanges = 0;
    for rekey in 0..=rekeys {
        let until = Instant::now() + time / (rekeys + 1);
        while Instant::now() < until {
            bed.holds(AWHILE)?;
            exchanges += 1;
        }
        if rekey < rekeys {
            match bed.we_serve()? {
                true => bed.gateway()?.rekey()??,
                false => bed.theirs().tell_pn(an, NEARLY_EXHAUSTED)?,
            }
            an = bed.secured_anew()?.1;
        }
    }
    let closed = bed.closings()?;
    let [ours, theirs] = Side::BOTH.map(|side| bed.wire.sent(side, ETHERTYPE_EAPOL).len());
    println!(
        "{}: {rekeys} rekeys, {exchanges} exchanges of data, {ours} MKPDUs of ours and {theirs} of \
         wpa_supplicant's, ports closed {closed:?} times",
        bed.case.name,
    );
    match closed.iter().all(|closings| *closings == 0) {
        true => Ok(()),
        false => Err("a port has been closed".into()),
    }
}

/// Somebody without the CAK sends all that he has heard, from both ends, over and over.
pub(super) fn replayed(bed: &mut Bed) -> Result<()> {
    bed.start()?;
    bed.secured_anew()?;
    // What he hears is old and new, of this session and of one before.
    bed.end(Side::Theirs, Ending::Killed)?;
    bed.start_end(Side::Theirs)?;
    bed.secured_anew()?;
    let heard = bed.wire.seen();
    for _ in 0..8 {
        for frame in &heard {
            bed.wire.send_as(Side::Theirs, frame.octets.clone());
        }
        bed.lasts(Duration::from_secs(1))?;
    }
    bed.holds(AWHILE)
}

/// Ends with two CAKs stay apart, and we say why.
pub(super) fn wrong_cak(bed: &mut Bed) -> Result<()> {
    bed.start()?;
    bed.stays_apart(2 * LIFE_TIME)?;
    bed.complains("another CAK", |mka| mka.counters["in-mkpdu-icv-verification-errors"] > 0)
}

/// Ends with two CKNs stay apart, and we say why.
pub(super) fn wrong_ckn(bed: &mut Bed) -> Result<()> {
    bed.start()?;
    bed.stays_apart(2 * LIFE_TIME)?;
    // That of the other end is no secret, and shown: "mka" backwards.
    bed.complains("MKPDUs come under CKN 616b6d", |mka| {
        mka.counters["eapol-mk-no-cfn"] > 0 && mka.unknown_ckn.as_deref() == Some("616b6d")
    })
}

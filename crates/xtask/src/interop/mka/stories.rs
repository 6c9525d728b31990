//! What happens in the cases.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{
    session::{Session, Side},
    supplicant,
};
use crate::interop::{Counts, Result, agent::Ending, kernel, station::PATIENCE};

/// A packet number beyond which either key server makes a new SAK.
const EXHAUSTED: u32 = 0xc000_0100;
/// Rekeys that we ask for.
const REKEYS: usize = 3;
/// Time for some traffic with a key.
const A_WHILE: Duration = Duration::from_millis(700);
/// Frames of an attack.
const ATTACKS: usize = 12;

/// A session comes up, and the hosts talk.
pub(super) fn plain(session: &mut Session<'_>) -> Result<()> {
    session.speak_too_early()?;
    session.secured_anew()?;
    session.exchange()?;
    session.check_wire()?;
    if session.ledger.key_servers() != [session.case.we_serve, !session.case.we_serve] {
        return Err("the wrong one is key server".into());
    }
    if !session.case.we_serve && session.gateway.rekey().is_ok() {
        return Err("a client takes it upon itself to make a SAK".into());
    }
    session.datagrams()
}

/// New SAKs as the operator wants them.
pub(super) fn rekey(session: &mut Session<'_>) -> Result<()> {
    session.secured_anew()?;
    session.under_traffic(|session| {
        thread::sleep(A_WHILE);
        for _ in 0..REKEYS {
            session.gateway.rekey()?;
            session.secured_anew()?;
            thread::sleep(A_WHILE);
        }
        Ok(())
    })?;
    session.exchange()
}

/// A new SAK because the packet numbers of the kernel come to an end.
pub(super) fn rekey_by_pn(session: &mut Session<'_>) -> Result<()> {
    let (_, an) = session.secured_anew()?;
    session.under_traffic(|session| {
        thread::sleep(A_WHILE);
        supplicant::set_pn(session.guest, an, EXHAUSTED)?;
        session.secured_anew()?;
        thread::sleep(A_WHILE);
        Ok(())
    })?;
    session.exchange()
}

/// Each end restarts in turn.
pub(super) fn restarts(session: &mut Session<'_>) -> Result<()> {
    session.secured_anew()?;
    session.exchange()?;
    for (side, how) in [
        (Side::Theirs, Ending::Killed),
        (Side::Ours, Ending::Killed),
        (Side::Theirs, Ending::Terminated),
        (Side::Ours, Ending::Terminated),
    ] {
        let begin = Instant::now();
        session.restart(side, how)?;
        let again = session.secured_anew().and_then(|_| session.exchange());
        again.map_err(|error| format!("{side:?}, {how:?}: {error}"))?;
        let time = begin.elapsed().as_secs_f32();
        session.notes.push(format!("{side:?}, {how:?}: secured again after {time:.1} s"));
    }
    Ok(())
}

/// Frames are sent once more to both ends, by somebody on the wire. In the replay window that is no attack, as far as
/// Linux goes.
pub(super) fn replay(session: &mut Session<'_>) -> Result<()> {
    session.secured_anew()?;
    // More than the window.
    for _ in 0..4 {
        session.exchange()?;
    }
    let of = [session.data_frames_to(Side::Theirs)?, session.data_frames_to(Side::Ours)?];
    let window = session.case.replay_window as usize;
    for (recent, counter) in
        [(false, "InPktsLate"), (true, if window > 0 { "InPktsOK" } else { "InPktsLate" })]
    {
        for (side, frames) in [Side::Theirs, Side::Ours].into_iter().zip(&of) {
            session.check_wire()?;
            let frames = match recent {
                true => &frames[frames.len().saturating_sub(ATTACKS)..],
                false => &frames[..ATTACKS.min(frames.len())],
            };
            let before = counters(session, side)?;
            match side {
                Side::Theirs => session.site.inject(session.case.isolation, frames)?,
                Side::Ours => session.guest.inject(frames)?,
            }
            let want = before.get(counter).copied().unwrap_or_default() + ATTACKS as u64;
            let until = Instant::now() + PATIENCE;
            while counters(session, side)?.get(counter) != Some(&want) {
                if Instant::now() > until {
                    let now = counters(session, side)?;
                    return Err(format!("{side:?}: {counter}: {before:?}, then {now:?}").into());
                }
                thread::sleep(Duration::from_millis(20));
            }
            session.skip_wire()?;
        }
    }
    session.exchange()
}

fn counters(session: &mut Session<'_>, side: Side) -> Result<Counts> {
    match side {
        Side::Ours => session.gateway.counters(),
        Side::Theirs => kernel::counters(session.guest),
    }
}

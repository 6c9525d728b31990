//! A group: our gateway as key server, and two wpa_supplicants, which start when they like.
//!
//! A miss of its time that is known is of wpa_supplicant's making. An MKPDU with a SAK Use that crosses
//! the first one of its own makes it take a new MI. The other wpa_supplicant then has two peers of one
//! SCI, deletes the SC of both when the time of the former is up, and does not make it again.

use std::{
    collections::BTreeSet,
    thread::sleep,
    time::{Duration, Instant},
};

use macsec::Ki;
use mka::{Body, Cak, Ckn, ETHERTYPE_EAPOL, Ick, KeyUse, Mi, Received};

use super::{Result, bed::Bed, wire::Side};

/// How long a group may take, from the start of its last member on.
const LIMIT: Duration = Duration::from_secs(20);
/// Long enough for a member that has been left out to be dropped.
const AWHILE: Duration = Duration::from_secs(8);

/// All orders to start in.
const ORDERS: [[Side; 3]; 6] = {
    use Side::{Ours, Theirs, Third};
    [
        [Ours, Theirs, Third],
        [Theirs, Third, Ours],
        [Third, Ours, Theirs],
        [Theirs, Ours, Third],
        [Third, Theirs, Ours],
        [Ours, Third, Theirs],
    ]
};

/// The group comes up and lasts.
pub(super) fn comes_up(bed: &mut Bed) -> Result<()> {
    let plan = plan(bed.case.run);
    for (side, wait) in plan {
        sleep(wait);
        bed.start_end(side)?;
    }
    let begin = Instant::now();
    let secured = bed.secured_within(LIMIT);
    let took = begin.elapsed();
    let waits = plan.map(|(side, wait)| format!("{side:?} +{:.1} s", wait.as_secs_f32()));
    bed.note = format!("  started {}", waits.join(", "));
    let lasts = match secured {
        Ok(_) if !bed.we_serve()? => return Err("we are not the key server".into()),
        Ok(_) => {
            bed.note += &format!("; secured after {:.1} s", took.as_secs_f32());
            bed.holds(AWHILE)
        }
        Err(error) => Err(error),
    };
    if let Err(error) = lasts {
        // One that has ended is more than a miss.
        Side::ALL.iter().try_for_each(|side| bed.look(*side).map(drop))?;
        let mut lines = vec![error.to_string()];
        let (cak, ckn) = (Cak::new(&bed.case.ours.cak)?, Ckn::new(&bed.case.ours.ckn)?);
        let mkpdus = Side::ALL.map(|side| (side, bed.wire.sent(side, ETHERTYPE_EAPOL)));
        lines.extend(explain(&mkpdus, &cak.ick(&ckn)));
        lines.push(format!("what was on the wire: {}", bed.capture().display()));
        bed.miss = Some(lines.join("\n        "));
    }
    Ok(())
}

/// Who is started in a run, in which order, and how long after the one before.
fn plan(run: u32) -> [(Side, Duration); 3] {
    let [first, second, third] = ORDERS[run as usize % ORDERS.len()];
    // Now and then all at once.
    let wait = |step: u32| match run % 4 {
        0 => Duration::ZERO,
        _ => Duration::from_millis(u64::from(run.wrapping_mul(step) % 9_000)),
    };
    [(first, Duration::ZERO), (second, wait(1_700)), (third, wait(3_100))]
}

/// What the last MKPDUs of all members say of why they are no group. Ours come first.
fn explain(sent: &[(Side, Vec<Vec<u8>>)], ick: &Ick) -> Vec<String> {
    let members: Vec<_> =
        sent.iter().map(|(side, frames)| Member::of(*side, frames, ick)).collect();
    let newest = members.first().and_then(Member::newest_key);
    let mut faults = Vec::new();
    for member in &members {
        let side = member.side;
        if member.mis.len() > 1 {
            faults.push(format!("{side:?} has taken {} MIs", member.mis.len()));
        }
        if member.last.is_none() {
            faults.push(format!("{side:?} has said nothing"));
            continue;
        }
        for other in members.iter().filter(|other| other.side != side) {
            let how = match member.lists(other) {
                [true, _] => continue,
                [false, true] => "lists as potential only",
                [false, false] => "does not list",
            };
            faults.push(format!("{side:?} {how} {:?}", other.side));
        }
        for (does, what) in member.uses(newest).into_iter().zip(["receive", "transmit"]) {
            if !does {
                faults.push(format!("{side:?} does not {what} with our newest SAK"));
            }
        }
    }
    faults
}

/// What a member has sent.
struct Member<'a> {
    side: Side,
    mis: BTreeSet<Mi>,
    last: Option<Body<'a>>,
}

impl<'a> Member<'a> {
    fn of(side: Side, frames: &'a [Vec<u8>], ick: &Ick) -> Self {
        let bodies = frames.iter().filter_map(|frame| {
            let mkpdu = Received::parse(frame, ETHERTYPE_EAPOL).ok()?.verify(ick).ok()?;
            Some(*mkpdu.body())
        });
        let mut new = Self { side, mis: BTreeSet::new(), last: None };
        for body in bodies {
            new.mis.insert(body.basic.actor.mi);
            new.last = Some(body);
        }
        new
    }

    /// Whether it lists another one as it is now: as live, as potential.
    fn lists(&self, other: &Self) -> [bool; 2] {
        let Some((own, other)) = self.last.zip(other.last) else { return [false; 2] };
        [own.live, own.potential]
            .map(|list| list.is_some_and(|list| list.find(other.basic.actor.mi).is_some()))
    }

    /// Whether it receives and transmits with a SAK.
    fn uses(&self, ki: Option<Ki>) -> [bool; 2] {
        let keys = self.last.and_then(|body| body.sak_use?.keys).unwrap_or([KeyUse::NONE; 2]);
        let used = keys.iter().find(|key| !key.is_none() && Some(key.ki) == ki);
        used.map_or([false; 2], |key| [key.rx, key.tx])
    }

    fn newest_key(&self) -> Option<Ki> {
        let keys = self.last?.sak_use?.keys?;
        keys.iter().find(|key| !key.is_none()).map(|key| key.ki)
    }
}

#[cfg(test)]
mod tests {
    use macsec::{An, MacAddress, Sci};
    use mka::{Basic, Capability, Framing, MAX_FRAME_LEN, Member as Listed, PeerList, SakUse};

    use super::*;

    const KI: Ki = Ki([0x4b; 16]);

    #[test]
    fn runs_start_everybody_in_every_order() {
        let sides = |run| plan(run).map(|(side, _)| side as usize);
        let orders: BTreeSet<_> = (1..=20).map(sides).collect();
        assert_eq!(orders.len(), ORDERS.len());
        for run in 1..=20 {
            assert_eq!(sides(run).iter().sum::<usize>(), 3, "{run}");
            assert!(plan(run).iter().all(|(_, wait)| *wait < Duration::from_secs(9)), "{run}");
        }
        assert!((1..=20).any(|run| plan(run).iter().all(|(_, wait)| wait.is_zero())));
    }

    /// An MKPDU of a member that lists those in `live` and `potential`.
    fn mkpdu(side: Side, mi: u8, [live, potential]: [&[u8]; 2], tx: bool) -> Vec<u8> {
        let member = |mi| Listed { mi: Mi([mi; 12]), mn: 1 };
        let [live, potential] =
            [live, potential].map(|list| list.iter().map(|mi| member(*mi)).collect::<Vec<_>>());
        let mac = MacAddress(side.mac());
        let mut body = Body::new(Basic {
            version: 1,
            key_server_priority: 32,
            key_server: false,
            macsec_desired: true,
            macsec_capability: Capability::Confidentiality,
            sci: Sci::new(mac, 1),
            actor: member(mi),
            ckn: Ckn::new(b"mka").unwrap(),
        });
        body.live = Some(PeerList::new(&live));
        body.potential = Some(PeerList::new(&potential));
        let key = KeyUse { ki: KI, an: An::ALL[0], tx, rx: true, lowest_pn: 1 };
        body.sak_use = Some(SakUse {
            plain_tx: false,
            plain_rx: false,
            delay_protect: false,
            // wpa_supplicant's place, after a while.
            keys: Some([KeyUse::NONE, key]),
        });
        let mut buffer = [0; MAX_FRAME_LEN];
        let len = Framing::new(mac).encode(&body, &ick(), &mut buffer).unwrap();
        buffer[..len].to_vec()
    }

    fn ick() -> Ick {
        Cak::new(&[7; 16]).unwrap().ick(&Ckn::new(b"mka").unwrap())
    }

    #[test]
    fn a_miss_is_explained_by_what_was_sent_last() {
        use Side::{Ours, Theirs, Third};
        let ours = (Ours, vec![mkpdu(Ours, 1, [&[2, 3], &[]], true)]);
        let theirs = mkpdu(Theirs, 2, [&[1, 3], &[]], true);
        let third = mkpdu(Third, 3, [&[1, 2], &[]], true);
        let good = [ours.clone(), (Theirs, vec![theirs.clone()]), (Third, vec![third.clone()])];
        assert_eq!(explain(&good, &ick()), [""; 0]);

        let theirs = vec![theirs, mkpdu(Theirs, 2, [&[1], &[3]], false)];
        let third = vec![third, mkpdu(Third, 4, [&[1, 2], &[]], true)];
        assert_eq!(
            explain(&[ours.clone(), (Theirs, theirs), (Third, third)], &ick()),
            [
                "Ours does not list Third",
                "Theirs does not list Third",
                "Theirs does not transmit with our newest SAK",
                "Third has taken 2 MIs",
            ]
        );
        let silent = explain(&[ours, (Theirs, Vec::new()), good[2].clone()], &ick());
        assert!(silent.contains(&"Theirs has said nothing".to_owned()), "{silent:?}");
    }
}

//! Frames of outsiders, and of insiders who are confused, change nothing that matters.

mod lab;

use std::time::Duration;

use lab::{Lab, Station, agreed_ki, cak, ckn, config, sci, seconds};
use mka::{
    Basic, Body, Cak, Capability, Ckn, DecodeError, Discard, Event, Framing, MAX_FRAME_LEN, Member,
    Mi, MiReason, PeerList, Received, key_number,
};
use netem::Dice;

/// Everything of a station that a frame might change, but for counters.
fn state(station: &Station, now: Duration) -> String {
    let participant = &station.participant;
    let peers: Vec<_> = participant.peers().collect();
    format!(
        "{participant:?} {:?} {peers:?} {:?} {:?} {}",
        participant.member(),
        participant.sak_members(),
        participant.poll_timeout(now),
        station.events.len(),
    )
}

fn agreed() -> Lab {
    let mut lab = Lab::of(1, &[16, 32]);
    lab.agree_within(seconds(2));
    lab.lan.run_for(seconds(10));
    lab
}

/// Gives `frame` to every station and asserts that nothing changes.
#[track_caller]
fn changes_nothing(lab: &mut Lab, frame: &[u8], because: impl Fn(Discard) -> bool) {
    for index in 0..lab.lan.len() {
        let now = lab.lan.now();
        let station = &mut lab.lan[index];
        let before = state(station, now);
        let discard = station.participant.handle_frame(now, frame).unwrap_err();
        station.drain(now);
        assert!(because(discard), "{discard:?}");
        assert_eq!(state(station, now), before);
    }
}

fn encode(body: &Body<'_>, cak: &Cak) -> Vec<u8> {
    let mut buffer = [0; MAX_FRAME_LEN];
    let framing = Framing::new(body.basic.sci.mac());
    let len = framing.encode(body, &cak.ick(&body.basic.ckn), &mut buffer).unwrap();
    buffer[..len].to_vec()
}

fn basic(station: u8, mi: Mi, mn: u32) -> Basic {
    Basic {
        version: 3,
        key_server_priority: 0,
        key_server: true,
        macsec_desired: true,
        macsec_capability: Capability::Offsets,
        sci: sci(station),
        actor: Member { mi, mn },
        ckn: ckn(),
    }
}

/// Pitfall 25: whatever was captured, ours or others', may come again as often as it likes.
#[test]
fn p25_replayed_and_reflected_mkpdus_change_nothing() {
    let mut lab = agreed();
    for sent in lab.lan.sent().to_vec() {
        changes_nothing(&mut lab, &sent.frame, |discard| {
            matches!(discard, Discard::OwnSci | Discard::MessageNumber)
        });
    }
    let ki = agreed_ki(&lab.lan);
    lab.lan.run_for(seconds(60));
    assert_eq!(agreed_ki(&lab.lan), ki);
}

/// The MKPDUs of sessions of before have right ICVs. They add potential peers for a while, no more.
#[test]
fn replays_from_sessions_of_before_do_not_disturb() {
    let mut lab = agreed();
    for _ in 0..3 {
        lab.restart(0);
        lab.restart(1);
        lab.agree_within(seconds(2));
        lab.lan.run_for(seconds(15));
    }
    let ki = agreed_ki(&lab.lan);
    let captured = lab.lan.sent().to_vec();
    for sent in captured.iter().cycle().take(5000) {
        for to in 0..2 {
            lab.lan.inject(to, &sent.frame);
        }
        lab.lan.run_for(Duration::from_millis(10));
    }
    lab.lan.run_for(seconds(10));
    assert_eq!(agreed_ki(&lab.lan), ki);
    for station in lab.lan.nodes() {
        assert_eq!(station.new_mis(), []);
        assert_eq!(station.participant.peers().count(), 1);
        assert!(!station.events.iter().any(|event| matches!(event, Event::PeerLost { .. })));
    }
}

#[test]
fn truncated_corrupt_and_foreign_mkpdus_change_nothing() {
    let mut lab = agreed();
    let frame = lab.lan.sent().last().unwrap().frame.clone();
    for len in 0..frame.len() {
        changes_nothing(&mut lab, &frame[..len], |discard| matches!(discard, Discard::Decode(_)));
    }
    for bit in 0..8 * frame.len() {
        let mut frame = frame.clone();
        frame[bit / 8] ^= 1 << (bit % 8);
        changes_nothing(&mut lab, &frame, |discard| {
            matches!(discard, Discard::Decode(_) | Discard::UnknownCkn)
        });
    }
    let mut hello = Body::new(basic(9, Mi([9; 12]), 1));
    let wrong_cak = Cak::new(&[0x43; 16]).unwrap();
    changes_nothing(&mut lab, &encode(&hello, &wrong_cak), |discard| {
        discard == Discard::Decode(DecodeError::Icv)
    });
    // Pitfall 3: a CKN is not another with zeros behind it.
    hello.basic.ckn = Ckn::new(b"MACSEC-LAB-CKN01\0").unwrap();
    changes_nothing(&mut lab, &encode(&hello, &cak()), |discard| discard == Discard::UnknownCkn);
}

/// Pitfall 32: an MKPDU with a right ICV and a wrong form keeps nobody alive.
#[test]
fn p32_a_malformed_mkpdu_counts_for_nothing() {
    let mut lab = agreed();
    let (mi, mn) = (lab.lan[0].participant.member().mi, lab.lan[0].participant.member().mn);
    let us = [lab.lan[1].participant.member()];
    let mut body = Body::new(basic(1, mi, mn + 1));
    body.live = Some(PeerList::new(&us));
    let mut frame = encode(&body, &cak());
    // One octet more in the list's length, and the ICV put right.
    let list = frame.len() - 16 - 20;
    frame[list + 3] += 1;
    let end = frame.len() - 16;
    let icv = cak().ick(&ckn()).icv(&frame[..end]);
    frame[end..].copy_from_slice(&icv);
    let now = lab.lan.now();
    let station = &mut lab.lan[1];
    let before = state(station, now);
    let discard = station.participant.handle_frame(now, &frame);
    assert!(matches!(discard, Err(Discard::Decode(_))), "{discard:?}");
    assert_eq!(state(station, now), before);
    assert_eq!(station.participant.counters().in_invalid, 1);
}

/// Section 4.2, item 2: another member with our MI.
#[test]
fn a_collision_of_mis_is_solved_by_a_new_one() {
    let mut lab = agreed();
    let mi = lab.lan[1].participant.member().mi;
    let frame = encode(&Body::new(basic(9, mi, 1)), &cak());
    lab.lan.inject(1, &frame);
    lab.lan.run_for(Duration::from_millis(1));
    assert_eq!(lab.lan[1].new_mis(), [MiReason::Collision]);
    assert_eq!(lab.lan[1].discards, [Discard::OwnMi]);
    lab.agree_within(seconds(5));
}

/// Section 4.2: with a new MI key numbers begin anew. What others still list of the old one is not
/// taken for somebody else.
#[test]
fn a_new_mi_begins_anew_and_the_old_one_is_nobody() {
    let mut lab = Lab::of(1, &[16, 32, 48]);
    let first = lab.agree_within(seconds(2));
    lab.lan.run_for(seconds(10));
    let mi = lab.lan[0].participant.member().mi;
    assert_eq!(first, mi.ki(1));
    let body = Body::new(basic(9, mi, 1));
    lab.lan.inject(0, &encode(&body, &cak()));
    // The others hear neither that nor, for a while, of the new MI.
    lab.lan.link(0, 1).cut = true;
    lab.lan.run_for(seconds(2));
    assert_eq!(lab.lan[0].participant.peers().count(), 2);
    lab.lan.link(0, 1).cut = false;
    let second = lab.agree_within(seconds(5));
    assert_eq!(second, lab.lan[0].participant.member().mi.ki(key_number(second)));
    assert!(key_number(second) <= 2, "{second}");
}

/// Section 4.2, item 3: a peer lists messages of ours that we have not sent.
#[test]
fn a_clone_of_us_makes_us_take_a_new_mi() {
    let mut lab = agreed();
    let mut us = [lab.lan[1].participant.member()];
    us[0].mn += 1;
    let mut body = Body::new(basic(9, Mi([9; 12]), 1));
    body.live = Some(PeerList::new(&us));
    lab.lan.inject(1, &encode(&body, &cak()));
    lab.lan.run_for(Duration::from_millis(1));
    assert_eq!(lab.lan[1].new_mis(), [MiReason::Cloned]);
    lab.agree_within(seconds(10));
}

/// A stale message number proves nothing: a replayed list does not make its sender live.
#[test]
fn a_peer_that_lists_an_old_message_is_potential_only() {
    let mut lab = agreed();
    let mut us = [lab.lan[1].participant.member()];
    us[0].mn = 1;
    let mut body = Body::new(basic(9, Mi([9; 12]), 1));
    body.live = Some(PeerList::new(&us));
    lab.lan.inject(1, &encode(&body, &cak()));
    lab.lan.run_for(Duration::from_millis(1));
    let peers: Vec<_> = lab.lan[1].participant.peers().collect();
    assert_eq!(peers.iter().filter(|peer| peer.live).count(), 1);
    assert_eq!(peers.len(), 2);
}

/// However many members an insider invents, memory and MKPDUs stay within bounds, and so does the session.
#[test]
fn a_flood_of_members_is_bounded() {
    let mut lab = agreed();
    for number in 0..2000u32 {
        let mut mi = [0xee; 12];
        mi[..4].copy_from_slice(&number.to_be_bytes());
        let mut basic = basic(1, Mi(mi), 1);
        basic.sci.0[2..6].copy_from_slice(&number.to_be_bytes());
        let frame = encode(&Body::new(basic), &cak());
        lab.lan.inject(1, &frame);
        lab.lan.run_for(Duration::from_millis(2));
    }
    let participant = &lab.lan[1].participant;
    assert!(participant.peers().count() <= 2 * participant.config().max_peers);
    assert!(participant.counters().peer_list_errors > 1900);
    assert_eq!(participant.counters().out_errors, 0);
    lab.lan.run_for(seconds(10));
    assert!(agreed_ki(&lab.lan).is_some());
}

/// The greatest configured number of peers fits into an MKPDU along with everything else.
#[test]
fn the_longest_mkpdu_of_ours_can_be_sent() {
    let mut config = config(1);
    config.framing.icv_indicator = true;
    let ckn = Ckn::new(&[7; 32]).unwrap();
    let ledger = Default::default();
    let mut station = Station::with_cak(config, cak(), ckn, 1, Duration::ZERO, &ledger);
    let mut buffer = [0; MAX_FRAME_LEN];
    let now = Duration::ZERO;
    station.participant.poll_transmit(now, &mut buffer).unwrap();
    for number in 0..64u8 {
        let us = [station.participant.member()];
        let mut basic = basic(100 + number, Mi([number; 12]), 1);
        (basic.ckn, basic.key_server_priority) = (ckn, 255);
        let mut body = Body::new(basic);
        body.live = (number < 32).then_some(PeerList::new(&us));
        station.participant.handle_frame(now, &encode(&body, &cak())).unwrap();
    }
    let now = seconds(3);
    station.participant.handle_timeout(now);
    station.drain(now);
    let len = station.participant.poll_transmit(now, &mut buffer).unwrap();
    let received = Received::parse(&buffer[..len], 0x888e).unwrap();
    let mkpdu = received.verify(&cak().ick(&ckn)).unwrap();
    assert_eq!(mkpdu.body().live.unwrap().len(), 32);
    assert_eq!(mkpdu.body().potential.unwrap().len(), 32);
}

/// Random octets, and random octets behind the start of a real frame.
#[test]
fn noise_changes_nothing() {
    let mut lab = agreed();
    let frame = lab.lan.sent().last().unwrap().frame.clone();
    let mut dice = Dice::new(11);
    for _ in 0..2000 {
        let keep = dice.below(frame.len() as u64) as usize;
        let mut noise = frame[..keep].to_vec();
        noise.extend((0..dice.below(200)).map(|_| dice.number() as u8));
        if noise != frame {
            changes_nothing(&mut lab, &noise, |discard| {
                matches!(discard, Discard::Decode(_) | Discard::UnknownCkn)
            });
        }
    }
}

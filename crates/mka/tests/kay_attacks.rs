//! Whoever does not have the CAK changes nothing of a session: no state, no timer, no memory, not a frame, not a word in
//! answer. Whoever has it can spoil the session, but a KaY neither panics nor grows nor spins nor repeats a nonce.

mod data_plane;
mod kay_lab;
mod lab;

use std::time::Duration;

use kay_lab::{KayLab, Station};
use lab::{cak, ckn, seconds};
use macsec::{An, CipherSuite, Confidentiality, Ki, MacAddress, Sak};
use mka::{
    Basic, Body, Cak, Capability, Ckn, Discard, DistributedKey, DistributedSak, Event, Framing,
    KayEvent, KeyUse, MAX_FRAME_LEN, Member, Mi, MiReason, PeerList, SakUse, SuiteId, WrappedKey,
    Xpn,
};
use netem::{Dice, Link, Node};
use proptest::prelude::*;

const DATA: Duration = Duration::from_millis(20);

fn secured(priorities: &[u8]) -> KayLab {
    let mut lab = KayLab::of(1, priorities);
    lab.secured_within(seconds(2));
    lab.lan.run_for(seconds(10));
    lab.send_data(DATA);
    lab.lan.run_for(seconds(1));
    lab
}

/// MKPDUs that were on the wire.
fn captured(lab: &KayLab) -> Vec<Vec<u8>> {
    let frames = lab.lan.sent().iter().map(|sent| sent.frame.clone());
    frames.filter(|frame| frame[12..14] == [0x88, 0x8e]).collect()
}

/// Everything of a station that a frame might change, but for counters and what they go with.
fn state(station: &Station) -> String {
    let (kay, participant) = (&station.kay, station.kay.principal().unwrap());
    let peers: Vec<_> = participant.peers().collect();
    format!(
        "{kay:?} {:?} {peers:?} {:?} {:?} {:?} {:?} {:?} {}",
        participant.member(),
        participant.sak_members(),
        kay.port().reported(),
        kay.last_sak(),
        kay.poll_timeout(),
        station.next_timeout(Duration::ZERO),
        station.events.len(),
    )
}

/// Gives `frame` to a station. Nothing changes, nothing is sent.
#[track_caller]
fn in_vain(lab: &mut KayLab, to: usize, frame: &[u8]) -> Discard {
    lab.lan.with(to, |station, now| {
        let before = state(station);
        let discards = station.discards.len();
        station.receive(now, frame);
        assert_eq!(state(station), before);
        assert_eq!(station.transmit(now), None);
        assert_eq!(station.discards.len(), discards + 1, "{frame:02x?}");
        station.discards.pop().unwrap()
    })
}

/// After all that the session is what it was, and has lost nothing.
#[track_caller]
fn nothing_has_happened(lab: &mut KayLab, ki: Option<Ki>) {
    lab.lan.run_for(seconds(20));
    lab.stop_data();
    assert_eq!(lab.secured_within(seconds(1)), ki.unwrap());
    assert_eq!(lab.lost(), 0, "{}", lab.show());
    for station in lab.lan.nodes() {
        assert_eq!((station.closed(), station.refused), (0, 0));
        let lost = |event: &KayEvent| {
            matches!(event, KayEvent::Participant(_, Event::PeerLost { .. } | Event::NewMi(_)))
        };
        // The one at the start is that of the port.
        assert_eq!(station.events.iter().filter(|event| lost(event)).count(), 1);
    }
}

#[test]
fn replays_at_once() {
    let mut lab = secured(&[16, 32]);
    let ki = lab.lan[0].ki();
    for frame in captured(&lab) {
        for to in 0..2 {
            let discard = in_vain(&mut lab, to, &frame);
            assert!(matches!(discard, Discard::OwnSci | Discard::MessageNumber), "{discard:?}");
        }
    }
    nothing_has_happened(&mut lab, ki);
}

#[test]
fn replays_of_three_members_later_and_after_rekeys() {
    let mut lab = secured(&[16, 32, 48]);
    for _ in 0..5 {
        lab.lan.with(0, |station, now| station.act(now, |kay| kay.request_rekey(now)));
        lab.lan.run_for(seconds(10));
    }
    let ki = lab.lan[0].ki();
    for frame in captured(&lab) {
        for to in 0..3 {
            in_vain(&mut lab, to, &frame);
        }
    }
    lab.lan.run_for(seconds(60));
    for frame in captured(&lab) {
        for to in 0..3 {
            in_vain(&mut lab, to, &frame);
        }
    }
    nothing_has_happened(&mut lab, ki);
}

/// At every moment of a rekey all that was ever said comes again: the rekey is completed, and loses nothing.
#[test]
fn replays_amid_a_rekey() {
    for millis in (0..1000).step_by(50) {
        let mut lab = secured(&[16, 32]);
        lab.lan.with(0, |station, now| station.act(now, |kay| kay.request_rekey(now)));
        lab.lan.run_for(Duration::from_millis(millis));
        for frame in captured(&lab) {
            (0..2).for_each(|to| lab.lan.inject(to, &frame));
        }
        lab.lan.run_for(seconds(8));
        let ki = lab.lan[0].ki();
        assert_eq!(lab.lan[0].generated().len(), 2);
        nothing_has_happened(&mut lab, ki);
    }
}

/// A victim that has restarted knows no message numbers. Members of before are potential peers, for a Life Time: so long
/// a SAK may be held up once, and no longer, whatever comes again and however often.
#[test]
fn replays_to_one_that_has_restarted() {
    for victim in 0..2 {
        let mut lab = secured(&[16, 32]);
        for _ in 0..3 {
            (0..2).for_each(|index| lab.restart(index));
            lab.secured_within(seconds(8));
            lab.lan.run_for(seconds(5));
        }
        let old = captured(&lab);
        lab.restart(victim);
        let restarted = lab.lan.now();
        let mut chance = Dice::new(9);
        let mut secured_at = None;
        while lab.lan.now() < restarted + seconds(60) {
            for _ in 0..20 {
                let frame = &old[chance.below(old.len() as u64) as usize];
                lab.lan.inject(victim, frame);
            }
            lab.lan.run_for(Duration::from_millis(100));
            if lab.lan[victim].is_secured() {
                secured_at.get_or_insert(lab.lan.now());
            }
        }
        assert!(secured_at.unwrap() < restarted + seconds(9), "{secured_at:?} {restarted:?}");
        let ki = lab.secured_within(seconds(1));
        assert_eq!(lab.lan[victim].closed(), 0);
        // At the most one MKPDU in a tenth of a second was sent for it.
        assert!(lab.lan[victim].kay.principal().unwrap().counters().out_mkpdu < 600);
        lab.lan.run_for(seconds(10));
        assert_eq!(lab.secured_within(seconds(1)), ki);
        assert_eq!(lab.lan[victim].kay.principal().unwrap().peers().count(), 1);
    }
}

/// A frame that got lost is news to who was to hear it, and an outsider may have it. It is of an instance that has restarted
/// since.
#[test]
fn a_frame_of_a_former_instance_that_was_lost_comes_later() {
    for millis in (0..1500).step_by(100) {
        let mut lab = secured(&[16, 32]);
        lab.restart(0);
        lab.lan.link(1, 0).cut = true;
        lab.lan.run_for(Duration::from_millis(millis));
        let lost = captured(&lab);
        lab.lan.set_links(Link::CLEAN);
        lab.restart(1);
        let ki = lab.secured_within(seconds(8));
        lab.lan.run_for(Duration::from_millis(500));
        let closed = lab.lan[0].closed() + lab.lan[1].closed();
        for frame in lost {
            lab.lan.inject(0, &frame);
        }
        lab.lan.run_for(seconds(20));
        assert_eq!(lab.secured_within(seconds(1)), ki);
        assert_eq!(lab.lan[0].closed() + lab.lan[1].closed(), closed, "{millis}: {}", lab.show());
    }
}

#[test]
fn truncations_and_bit_flips_of_all_that_was_ever_sent() {
    let mut lab = secured(&[16, 32, 48]);
    let ki = lab.lan[0].ki();
    let mut frames = captured(&lab);
    // Hellos are much alike: the longest, the first and the last will do.
    frames.sort_by_key(|frame| std::cmp::Reverse(frame.len()));
    frames.dedup_by_key(|frame| frame.len());
    for frame in &frames {
        for to in 0..3 {
            for len in 0..frame.len() {
                in_vain(&mut lab, to, &frame[..len]);
            }
            for bit in 0..8 * frame.len() {
                let mut frame = frame.clone();
                frame[bit / 8] ^= 1 << (bit % 8);
                in_vain(&mut lab, to, &frame);
            }
        }
    }
    nothing_has_happened(&mut lab, ki);
}

fn encode(body: &Body<'_>, cak: &Cak, source: MacAddress) -> Vec<u8> {
    let mut buffer = [0; MAX_FRAME_LEN];
    let len = Framing::new(source).encode(body, &cak.ick(&body.basic.ckn), &mut buffer).unwrap();
    buffer[..len].to_vec()
}

fn basic_of(station: &Station) -> Basic {
    let participant = station.kay.principal().unwrap();
    let mut actor = participant.member();
    actor.mn += 1;
    Basic {
        version: 3,
        key_server_priority: 0,
        key_server: true,
        macsec_desired: true,
        macsec_capability: Capability::Offsets,
        sci: station.sci,
        actor,
        ckn: ckn(),
    }
}

/// Made up by somebody without the CAK: with the MI and the SCI of anybody and any CKN.
#[test]
fn forgeries_with_the_mi_and_sci_of_members() {
    let mut lab = secured(&[16, 32]);
    let ki = lab.lan[0].ki();
    let wrong = Cak::new(&[0x43; 16]).unwrap();
    for claimed in 0..2 {
        let mut basic = basic_of(&lab.lan[claimed]);
        let members = [lab.lan[1 - claimed].kay.principal().unwrap().member()];
        for (name, known) in [(ckn(), true), (Ckn::new(b"another").unwrap(), false)] {
            basic.ckn = name;
            for sci in [basic.sci, lab.lan[1 - claimed].sci, lab::sci(9)] {
                let mut body = Body::new(Basic { sci, ..basic });
                body.live = Some(PeerList::new(&members));
                body.distributed_sak = Some(DistributedSak::PlainText);
                let frame = encode(&body, &wrong, sci.mac());
                for to in 0..2 {
                    let discard = in_vain(&mut lab, to, &frame);
                    assert_eq!(discard != Discard::UnknownCkn, known);
                }
            }
        }
    }
    assert_eq!(lab.lan[0].kay.unknown_ckn(), Some(&Ckn::new(b"another").unwrap()));
    nothing_has_happened(&mut lab, ki);
}

/// With known and unknown CKNs, of no form at all, thousands a second, with a rekey under way as well.
#[test]
fn floods() {
    let mut lab = secured(&[16, 32]);
    let mut dice = Dice::new(3);
    let wrong = Cak::new(&[0x43; 16]).unwrap();
    let frame = captured(&lab).pop().unwrap();
    for second in 0..20 {
        if second % 6 == 0 {
            lab.lan.with(0, |station, now| station.act(now, |kay| kay.request_rekey(now)));
        }
        for _ in 0..100 {
            for _ in 0..10 {
                let mut basic = basic_of(&lab.lan[0]);
                basic.actor =
                    Member { mi: Mi([dice.number() as u8; 12]), mn: dice.number() as u32 };
                if dice.chance(500) {
                    basic.ckn = Ckn::new(&dice.number().to_be_bytes()).unwrap();
                }
                let mut noise = frame[..dice.below(frame.len() as u64) as usize].to_vec();
                noise.extend((0..dice.below(100)).map(|_| dice.number() as u8));
                let made_up = encode(&Body::new(basic), &wrong, basic.sci.mac());
                for to in 0..2 {
                    lab.lan.inject(to, &made_up);
                    lab.lan.inject(to, &noise);
                }
            }
            lab.lan.run_for(Duration::from_millis(10));
        }
        (0..2).for_each(|index| lab.lan[index].discards.clear());
    }
    assert_eq!(lab.lan[0].generated().len(), 5);
    for index in 0..2 {
        let station = &lab.lan[index];
        assert_eq!(station.kay.principal().unwrap().peers().count(), 1);
        assert_eq!(station.kay.counters().events_lost, 0);
        assert!(station.kay.principal().unwrap().counters().in_icv_errors > 9000);
        assert!(station.kay.counters().in_no_ckn > 9000);
    }
    let ki = lab.lan[0].ki();
    nothing_has_happened(&mut lab, ki);
}

/// A loop in the network: everybody gets all of its own frames back, and others' twice.
#[test]
fn reflections() {
    let mut lab = KayLab::of(1, &[16, 32, 48]);
    lab.lan.set_links(Link { reflect: 1000, duplicate: 1000, ..Link::CLEAN });
    lab.secured_within(seconds(2));
    lab.lan.run_for(seconds(60));
    for station in lab.lan.nodes() {
        assert_eq!(station.new_mis().len(), 1);
        assert!(station.discards.contains(&Discard::OwnSci));
    }
    assert_eq!(lab.lan[0].generated().len(), 1);
}

/// A number of one of a few things, so that they meet.
fn few(dice: &mut Dice) -> u8 {
    dice.below(5) as u8
}

/// One of the MIs that matter.
fn some_mi(dice: &mut Dice, known: &[Mi]) -> Mi {
    match dice.below(8) as usize {
        at if at < known.len() => known[at],
        _ => Mi([few(dice); 12]),
    }
}

fn some_number(dice: &mut Dice, near: u32) -> u32 {
    match few(dice) {
        0 => dice.number() as u32,
        1 => u32::MAX,
        _ => near.wrapping_add(dice.below(4) as u32),
    }
}

/// What a mad insider says: of itself or in the name of a member, about members and about keys.
fn madness(dice: &mut Dice, lab: &KayLab, wrapped: &WrappedKey) -> Vec<u8> {
    let stations: Vec<_> = lab.lan.nodes().collect();
    let members: Vec<_> =
        stations.iter().map(|station| station.kay.principal().unwrap().member()).collect();
    let mis: Vec<_> = members.iter().map(|member| member.mi).collect();
    let near = members[dice.below(members.len() as u64) as usize].mn;
    let some_members = |dice: &mut Dice| {
        let mut list: Vec<_> = (0..few(dice))
            .map(|_| Member { mi: some_mi(dice, &mis), mn: some_number(dice, near) })
            .collect();
        if dice.chance(700) {
            list.extend(&members);
        }
        list
    };
    let (live, potential) = (some_members(dice), some_members(dice));
    let kis: Vec<_> = stations
        .iter()
        .filter_map(|station| station.kay.principal().unwrap().sak())
        .map(|sak| sak.ki)
        .collect();
    let some_use = |dice: &mut Dice| KeyUse {
        ki: match kis.first().filter(|_| dice.chance(600)) {
            Some(ki) => *ki,
            None => some_mi(dice, &mis).ki(few(dice).into()),
        },
        an: An::from_low_bits(few(dice)),
        tx: dice.chance(500),
        rx: dice.chance(500),
        lowest_pn: some_number(dice, 1),
    };
    let mut basic = basic_of(stations[dice.below(stations.len() as u64) as usize]);
    basic.version = 1 + dice.below(3) as u8;
    basic.key_server_priority = [0, 16, 255][dice.below(3) as usize];
    basic.key_server = dice.chance(500);
    basic.macsec_desired = dice.chance(800);
    basic.macsec_capability =
        [Capability::None, Capability::Integrity, Capability::Offsets][dice.below(3) as usize];
    if dice.chance(400) {
        basic.sci = lab::sci(few(dice));
    }
    if dice.chance(400) {
        basic.actor = Member { mi: some_mi(dice, &mis), mn: some_number(dice, near) };
    }
    let mut body = Body::new(basic);
    body.live = Some(PeerList::new(&live).with_key_server_ssci(few(dice)));
    body.potential = Some(PeerList::new(&potential));
    if dice.chance(500) {
        body.distributed_sak = Some(DistributedSak::Key(DistributedKey {
            an: An::from_low_bits(few(dice)),
            confidentiality: Confidentiality::default(),
            key_number: few(dice).into(),
            suite: SuiteId::Known(CipherSuite::GcmAesXpn256),
            wrapped: wrapped.octets(),
        }));
    }
    if dice.chance(600) {
        body.sak_use = Some(SakUse {
            plain_tx: dice.chance(500),
            plain_rx: dice.chance(500),
            delay_protect: dice.chance(500),
            keys: dice.chance(900).then(|| [some_use(dice), some_use(dice)]),
        });
        body.xpn = dice.chance(500).then(|| Xpn::new(0, dice.number(), dice.number()));
    }
    encode(&body, &cak(), basic.sci.mac())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    /// What it says is heard by all or by one. When it falls silent, the others find to each other again.
    #[test]
    fn an_insider_gone_mad_is_survived(seed: u64, members in 2..=3usize) {
        let mut dice = Dice::new(seed);
        let mut lab = KayLab::of(seed, &[16, 32, 48][..members]);
        lab.ledger.borrow_mut().insider = true;
        lab.send_data(Duration::from_millis(100));
        for index in 0..members {
            lab.lan[index].order_delay = Duration::from_millis(dice.below(300));
        }
        for _ in 0..150 {
            // One SAK for each frame: what a mad key server repeats is not ours to prevent.
            let mut sak = [0; 32];
            sak[..8].copy_from_slice(&dice.number().to_be_bytes());
            let wrapped = cak().kek(&ckn()).wrap_sak(&Sak::new(&sak).unwrap()).unwrap();
            let frame = madness(&mut dice, &lab, &wrapped);
            let only = dice.below(2 * members as u64) as usize;
            for to in (0..members).filter(|to| only >= members || *to == only) {
                lab.lan.inject(to, &frame);
            }
            lab.lan.run_for(Duration::from_millis(dice.below(1500)));
            for station in lab.lan.nodes() {
                let participant = station.kay.principal().unwrap();
                prop_assert!(participant.peers().count() <= 2 * participant.config().max_peers);
                prop_assert_eq!(participant.counters().events_lost, 0);
                prop_assert_eq!(participant.counters().out_errors, 0);
                prop_assert!(station.plane.keys.len() <= 3);
                prop_assert!(station.plane.receive.len() <= 3 * 8);
            }
        }
        lab.lan.run_for(seconds(10));
        lab.secured_within(seconds(60));
    }
}

/// An insider numbers a message in the name of a member as high as can be, so that all that the member says counts as replayed.
/// It learns of that from our lists and takes a new MI; if it does not hear us just then, what it says once we hear each
/// other again proves by our numbers that it is new. A key server that was lost by its only peer was locked out for good.
#[test]
fn a_number_that_an_insider_has_forged_locks_nobody_out_for_good() {
    for (victim, forged_as) in [(0, 1), (1, 0)] {
        for other_sci in [false, true] {
            for forged_after in [0, 3, 10, 20].map(seconds) {
                let mut lab = secured(&[16, 32]);
                lab.stop_data();
                lab.lan.set_links(Link { cut: true, ..Link::CLEAN });
                let mut basic = basic_of(&lab.lan[forged_as]);
                basic.actor.mn = u32::MAX;
                if other_sci {
                    basic.sci = lab::sci(0x40);
                }
                lab.lan.run_for(forged_after);
                let frame = encode(&Body::new(basic), &cak(), basic.sci.mac());
                lab.lan.inject(victim, &frame);
                lab.lan.run_for(seconds(10));
                lab.lan.set_links(Link::CLEAN);
                lab.secured_within(seconds(12));
            }
        }
    }
}

/// A key server that gives a SAK which is in use to another member, too, as some do for a Life Time: that one may have our SSCI
/// now. The machines saw to it that nobody begins to transmit with such a SAK, but who did already went on.
#[test]
fn a_sak_that_is_given_to_others_later_is_not_transmitted_with_any_more() {
    let mut lab = KayLab::of(1, &[16]);
    let wrapped = cak().kek(&ckn()).wrap_sak(&Sak::new(&[0x5a; 32]).unwrap()).unwrap();
    let sci = lab::sci(0x40);
    let ki = Mi([0x40; 12]).ki(1);
    let other = Member { mi: Mi([0x41; 12]), mn: 1 };
    let mut mn = 0;
    let mut give = |lab: &mut KayLab, others: &[Member]| {
        mn += 1;
        let us = lab.lan[0].kay.principal().unwrap().member();
        let live: Vec<_> = others.iter().copied().chain([us]).collect();
        let actor = Member { mi: Mi([0x40; 12]), mn };
        let mut body = Body::new(Basic { sci, actor, ..basic_of(&lab.lan[0]) });
        body.live = Some(PeerList::new(&live).with_key_server_ssci(1));
        body.distributed_sak = Some(DistributedSak::Key(DistributedKey {
            an: An::ALL[0],
            confidentiality: Confidentiality::default(),
            key_number: 1,
            suite: SuiteId::Known(CipherSuite::GcmAesXpn256),
            wrapped: wrapped.octets(),
        }));
        lab.lan.inject(0, &encode(&body, &cak(), sci.mac()));
        lab.lan.run_for(Duration::from_millis(200));
    };
    lab.lan.run_for(seconds(1));
    give(&mut lab, &[]);
    assert_eq!(lab.lan[0].plane.encoding.map(|(_, ki)| ki), Some(ki));
    give(&mut lab, &[]);
    assert!(lab.lan[0].is_secured());
    give(&mut lab, &[other]);
    assert_eq!(lab.lan[0].plane.encoding, None);
    assert!(lab.lan[0].plane.is_empty());
    assert_eq!(lab.lan[0].new_mis().last(), Some(&MiReason::MembersChanged));
    assert_eq!(lab.lan[0].closed(), 1);
}

//! Captures made to break their reader.

mod lan;

use std::time::{Duration, Instant};

use lan::{cak, captured, ckn, given, lan, read, sci, seconds};
use macsec::{An, CipherSuite, Confidentiality, ConfidentialityOffset, MacAddress};
use macsec_decode::{
    Frame, Given, SakBook,
    mka::{Limits, MkaReader},
};
use mka::{
    Basic, Body, Capability, Ckn, DistributedKey, DistributedSak, Framing, KeyUse, MAX_FRAME_LEN,
    Member, Mi, PeerList, SakUse, SuiteId,
};
use proptest::prelude::*;

/// An MKPDU that anybody could make, full of names that nobody has.
fn made_up(number: u32, ckn: Ckn, listed: &[Member], station: u8) -> Vec<u8> {
    let mi = |number: u32| {
        let mut octets = [0; 12];
        octets[..4].copy_from_slice(&number.to_be_bytes());
        Mi(octets)
    };
    let actor = Member { mi: mi(number), mn: 1 };
    let mut body = Body::new(Basic {
        version: 3,
        key_server_priority: 0,
        key_server: true,
        macsec_desired: true,
        macsec_capability: Capability::Offsets,
        sci: sci(station),
        actor,
        ckn,
    });
    body.live = Some(PeerList::new(listed));
    let key = |number| KeyUse {
        ki: mi(number).ki(number),
        an: An::ALL[1],
        tx: true,
        rx: true,
        lowest_pn: 1,
    };
    body.sak_use = Some(SakUse {
        plain_tx: false,
        plain_rx: false,
        delay_protect: false,
        keys: Some([key(number), key(!number)]),
    });
    body.distributed_sak = Some(DistributedSak::Key(DistributedKey {
        an: An::ALL[1],
        confidentiality: Confidentiality::Encrypt(ConfidentialityOffset::Zero),
        key_number: number,
        suite: SuiteId::Known(CipherSuite::GcmAesXpn256),
        wrapped: &[7; 40],
    }));
    let mut buffer = [0; MAX_FRAME_LEN];
    let framing = Framing::new(MacAddress([2, 0, 0, 0, 0, 9]));
    // Some other key: who has none does not verify.
    let len = framing.encode(&body, &cak(0x42).ick(&ckn), &mut buffer).unwrap();
    buffer[..len].to_vec()
}

/// What is kept after so many frames that all have other names.
fn flooded(given: &Given, frames: u32, ckn: impl Fn(u32) -> Ckn) -> (MkaReader, Duration) {
    let listed: Vec<_> = (0..60).map(|n| Member { mi: Mi([n; 12]), mn: 1 }).collect();
    let mut reader = MkaReader::new(given, Limits::default());
    let mut taken = Duration::ZERO;
    for number in 1..=frames {
        // Often the same SCI under another MI, and silence now and then.
        let octets = made_up(number, ckn(number), &listed, (number % 97) as u8);
        let at = Duration::from_millis(u64::from(number) * 150);
        let begin = Instant::now();
        let frame = Frame { number: number.into(), at, octets: &octets, whole: true };
        let finding = reader.read(&frame);
        taken += begin.elapsed();
        assert!(finding.news.len() < 300 && finding.record.summary().chars().count() <= 160);
    }
    (reader, taken)
}

#[track_caller]
fn is_bounded(reader: &MkaReader) {
    let (report, limits) = (reader.report(), Limits::default());
    assert!(report.cas.len() <= limits.unknown_cas + 1);
    assert!(report.cas.iter().all(|ca| ca.peers.len() <= limits.peers));
    assert!(report.saks.len() <= limits.saks + limits.saks / 8);
    assert!(report.saks.iter().all(|sak| sak.members.len() <= limits.peers + 1));
    assert!(report.story.len() <= limits.story);
    assert!(report.symptoms.len() <= 64);
}

#[test]
fn a_hundred_thousand_made_up_members_without_the_cak() {
    let (reader, taken) = flooded(&Given::default(), 100_000, |_| ckn());
    is_bounded(&reader);
    let report = reader.report();
    assert!(report.saks_left_out > 0 && report.cas[0].peers_left_out > 0);
    assert!(report.story_left_out > 0);
    assert!(taken < seconds(120), "{taken:?}");
}

#[test]
fn made_up_members_by_somebody_with_the_cak() {
    let (reader, taken) = flooded(&given(), 10_000, |_| ckn());
    is_bounded(&reader);
    assert!(taken < seconds(120), "{taken:?}");
}

#[test]
fn as_many_names_of_caks() {
    let name = |number: u32| Ckn::new(&number.to_be_bytes()).unwrap();
    let (reader, _) = flooded(&given(), 5_000, name);
    is_bounded(&reader);
    assert!(reader.report().cas_left_out > 0);
}

#[test]
fn who_has_no_cak_changes_nothing_of_a_ca_whose_cak_is_known() {
    let mut lan = lan(3, CipherSuite::GcmAesXpn256, 3);
    lan.run_for(seconds(20));
    let good = captured(&lan);
    let mut frames = Vec::new();
    for (number, (at, octets)) in (0..).zip(&good) {
        frames.push((*at, octets.clone()));
        let mut forged = octets.clone();
        let place = 20 + number % (octets.len() - 36);
        forged[place] ^= 0x11;
        frames.push((*at, forged));
    }
    let (clean, _) = read(&given(), &good);
    let (attacked, _) = read(&given(), &frames);
    let (clean, attacked) = (clean.report(), attacked.report());
    let ca = attacked.cas.iter().find(|ca| ca.cak_known).unwrap();
    assert_eq!(ca.peers, clean.cas[0].peers);
    assert_eq!(
        attacked.saks.iter().filter(|sak| sak.unwrapped.is_some()).count(),
        clean.saks.len()
    );
}

#[test]
fn times_at_the_end_of_all_time() {
    let mut lan = lan(2, CipherSuite::GcmAes128, 3);
    lan.run_for(seconds(10));
    let mut frames = captured(&lan);
    let places = frames.len();
    frames[places / 2].0 = Duration::MAX;
    let (mut reader, _) = read(&given(), &frames);
    reader.passed(Duration::MAX);
    reader.passed(Duration::ZERO);
    assert_eq!(reader.report().counts.icv_ok, places as u64);
}

/// The frames of a session, to be changed.
fn session() -> Vec<Vec<u8>> {
    let mut lan = lan(3, CipherSuite::GcmAesXpn256, 3);
    lan.run_for(seconds(8));
    captured(&lan).into_iter().map(|(_, frame)| frame).collect()
}

/// Everything there is to be called.
fn use_up(reader: &mut MkaReader, number: u64, octets: &[u8], whole: bool) {
    let at = Duration::from_millis(number * 300);
    let finding = reader.read(&Frame { number, at, octets, whole });
    assert!(finding.record.summary().chars().count() <= 160);
    assert!(!finding.record.whole().is_empty());
    serde_json::to_string(&finding.record).unwrap();
    let report = reader.report();
    serde_json::to_string(&report).unwrap();
    reader.learned(&mut SakBook::default());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_octets(
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..20),
    ) {
        let mut reader = MkaReader::new(&given(), Limits::default());
        for (number, mut octets) in (1..).zip(frames) {
            use_up(&mut reader, number, &octets, true);
            // The same behind headers that let it further in.
            let len = octets.len() as u16;
            let mut frame = hex::decode("0180c200000302000000000a888e0305").unwrap();
            frame.extend(len.to_be_bytes());
            frame.append(&mut octets);
            use_up(&mut reader, number, &frame, false);
        }
    }

    #[test]
    fn good_frames_with_octets_changed_and_an_icv_that_fits(
        changes in prop::collection::vec((0..usize::MAX, 18..400_usize, any::<u8>()), 1..60),
    ) {
        let (session, ick) = (session(), cak(0x42).ick(&ckn()));
        let mut reader = MkaReader::new(&given(), Limits::default());
        for (number, (which, at, octet)) in (1..).zip(changes) {
            let mut frame = session[which % session.len()].clone();
            let len = frame.len();
            frame[at % len] = octet;
            let mut fitted = frame.clone();
            let icv = ick.icv(&fitted[..len - 16]);
            fitted[len - 16..].copy_from_slice(&icv);
            use_up(&mut reader, number, &frame, true);
            use_up(&mut reader, number, &fitted, true);
            use_up(&mut reader, number, &frame[..at % len], false);
        }
    }
}

//! What peers announce is shown to people, whatever it is, and changes nothing.

mod data_plane;
mod kay_lab;
mod lab;

use kay_lab::KayLab;
use lab::{sci, seconds};
use macsec::CipherSuite;
use mka::{Announcement, Body, Discard, KayCounters, Kmd};

/// A TLV of an announcement.
fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    let word = u16::from(kind) << 9 | u16::try_from(value.len()).unwrap();
    [&word.to_be_bytes(), value].concat()
}

/// The suite with this number, and what its sender can do with it.
fn suite(number: u8) -> [u8; 10] {
    [0, 3, 0, 0x80, 0xc2, 0, 1, 0, 0, number]
}

/// Two stations, secured, the first of which says more than we would.
fn lab(words: impl Fn(&mut Body<'_>) + 'static) -> KayLab {
    let mut lab = KayLab::of(1, &[16, 32]);
    lab.lan[0].says = Some(Box::new(move |_, body| words(body)));
    lab.secured_within(seconds(5));
    lab.send_data(seconds(1) / 10);
    lab.lan.run_for(seconds(20));
    lab.stop_data();
    assert_eq!(lab.lost(), 0);
    lab
}

#[test]
fn what_a_peer_announces_is_kept_and_the_last_holds() {
    // The first network is the one that is shown.
    let octets = [
        tlv(111, &[0x1b, 0x07]),
        tlv(112, &[suite(1), suite(4), suite(9)].concat()),
        tlv(113, b"domain"),
        tlv(114, "n\u{e9}t".as_bytes()),
        tlv(111, &[0, 0]),
        tlv(112, &suite(3)),
        tlv(114, b"another"),
        tlv(99, b"?"),
    ]
    .concat();
    let octets: &'static [u8] = octets.leak();
    let mut lab = lab(|body| body.announcement = Some(Announcement::new(octets).unwrap()));
    let participant = lab.lan[1].kay.principal().unwrap();
    let announced = participant.peers().next().unwrap().announced.unwrap();
    let suites = [CipherSuite::GcmAes128, CipherSuite::GcmAesXpn128, CipherSuite::GcmAesXpn256];
    assert_eq!(announced.suites().collect::<Vec<_>>(), suites);
    assert_eq!((announced.other_suites, announced.access_information), (true, Some([0x1b, 0x07])));
    let (kmd, nid) = (participant.announced_kmd().unwrap(), participant.announced_nid().unwrap());
    assert_eq!((kmd.as_str(), kmd.from), ("domain", sci(1)));
    assert_eq!((nid.as_str(), nid.from), ("n\u{e9}t", sci(1)));
    assert_eq!(participant.counters().in_bad_announcements, 0);
    // The other announces nothing.
    let other = lab.lan[0].kay.principal().unwrap();
    assert_eq!(other.peers().next().unwrap().announced, None);
    assert!(other.announced_kmd().is_none() && other.announced_nid().is_none());
    // What is said next replaces it; a KMD may have a set of its own.
    lab.lan[0].says = Some(Box::new(|_, body| {
        body.announcement = Some(Announcement::new(&[]).unwrap());
        body.kmd = Kmd::new("other\n\u{1b}[2J");
    }));
    lab.lan.run_for(seconds(5));
    let participant = lab.lan[1].kay.principal().unwrap();
    assert_eq!(participant.peers().next().unwrap().announced, Some(mka::Announced::default()));
    assert_eq!(participant.announced_kmd().unwrap().as_str(), "other\n\u{1b}[2J");
    assert_eq!(participant.announced_nid().unwrap().as_str(), "n\u{e9}t");
}

#[test]
fn the_longest_names_are_kept_whole() {
    let (kmd, nid) = ("k".repeat(253), "n".repeat(100));
    let octets: &'static [u8] =
        [tlv(113, kmd.as_bytes()), tlv(114, nid.as_bytes())].concat().leak();
    let lab = lab(|body| body.announcement = Some(Announcement::new(octets).unwrap()));
    let participant = lab.lan[1].kay.principal().unwrap();
    assert_eq!(participant.announced_kmd().unwrap().as_str(), kmd);
    assert_eq!(participant.announced_nid().unwrap().as_str(), nid);
}

/// In an MKPDU whose ICV is right. It is counted, and the session goes on.
#[test]
fn names_that_are_no_utf8_are_counted_and_passed_over() {
    let octets: &'static [u8] =
        [tlv(113, b"\xff"), tlv(114, b"\xc3"), tlv(112, &suite(2))].concat().leak();
    let lab = lab(|body| body.announcement = Some(Announcement::new(octets).unwrap()));
    let participant = lab.lan[1].kay.principal().unwrap();
    assert!(participant.announced_kmd().is_none() && participant.announced_nid().is_none());
    let announced = participant.peers().next().unwrap().announced.unwrap();
    assert!(announced.suites().eq([CipherSuite::GcmAes256]));
    let counters = participant.counters();
    assert_eq!(counters.in_bad_announcements, counters.in_mkpdu);
    assert!(counters.in_mkpdu > 10);
}

/// A TLV that runs past the end, put where a KMD was. The encoder does not write such a thing.
#[test]
fn malformed_tlvs_cost_no_session() {
    let mut lab = KayLab::of(1, &[16, 32]);
    lab.lan[0].says = Some(Box::new(|_, body| body.kmd = Kmd::new("\u{7f}~~~")));
    lab.lan[0].spoils = Some(|octets| {
        let at = octets.windows(5).position(|set| set == [6, 0, 0, 4, 0x7f]);
        octets[at.expect("the KMD")] = 7;
    });
    lab.secured_within(seconds(5));
    lab.send_data(seconds(1) / 10);
    lab.lan.run_for(seconds(30));
    lab.stop_data();
    assert_eq!(lab.lost(), 0);
    let participant = lab.lan[1].kay.principal().unwrap();
    let counters = participant.counters();
    assert_eq!((counters.in_bad_announcements, counters.in_invalid), (counters.in_mkpdu, 0));
    assert!(counters.in_mkpdu > 10 && participant.announced_kmd().is_none());
    assert_eq!((lab.lan[1].closed(), lab.lan[1].new_mis().len()), (0, 1));
}

/// Nobody vouches for EAPOL-Announcements: they are counted, and that is all.
#[test]
fn eapol_announcements_are_counted() {
    let mut lab = lab(|_| {});
    let before = lab.show();
    let counted = |lab: &KayLab| {
        let KayCounters { in_announcements, in_announcement_requests, in_invalid_eapol, .. } =
            *lab.lan[1].kay.counters();
        (in_announcements, in_announcement_requests, in_invalid_eapol)
    };
    for (kind, expected) in [(6, (1, 0, 0)), (7, (2, 0, 0)), (8, (2, 1, 0)), (9, (2, 1, 1))] {
        let value = tlv(113, b"domain");
        let len = u16::try_from(value.len()).unwrap().to_be_bytes();
        let header = [0x01, 0x80, 0xc2, 0, 0, 3, 2, 0, 0, 0, 0, 9, 0x88, 0x8e, 3, kind];
        lab.lan.inject(1, &[&header[..], &len, &value].concat());
        lab.lan.run_for(seconds(1) / 100);
        assert_eq!(counted(&lab), expected);
        let announcement = lab.lan[1].discards.last() == Some(&Discard::Announcement);
        assert_eq!(announcement, kind != 9);
    }
    assert_eq!(lab.show(), before);
    assert!(lab.lan[1].kay.principal().unwrap().announced_kmd().is_none());
}

//! Captures of sessions: members, key server, the life of SAKs.

mod lan;

use lan::{cak, captured, ckn, config, given, lan, read, sci, seconds, story, symptoms};
use macsec::{CipherSuite, Ssci};
use macsec_decode::{
    Given, GivenCa, SakBook, SakSource,
    mka::{MkaReader, PeerState},
};
use netem::Lan;

fn book(reader: &MkaReader) -> SakBook {
    let mut book = SakBook::default();
    reader.learned(&mut book);
    // Twice is as good as once.
    reader.learned(&mut book);
    book
}

/// The book has what the stations have: the same SAKs, and each station's SSCI.
fn agrees(book: &SakBook, lan: &Lan<lan::Station>) {
    for (place, station) in (1..).zip(lan.nodes()) {
        assert!(!station.saks.is_empty());
        for (ki, octets) in &station.saks {
            let is_it =
                |source| matches!(source, SakSource::Distributed { ki: its, .. } if its == *ki);
            let mut saks = book.saks.iter();
            let known = saks
                .find(|known| is_it(known.source))
                .unwrap_or_else(|| panic!("{ki} is not in the book"));
            assert_eq!(known.sak.expose_octets(), octets);
            let sender = known.senders.iter().find(|sender| sender.sci == sci(place)).unwrap();
            let ssci = station.sscis.iter().find(|(its, _)| its == ki).map(|(_, ssci)| *ssci);
            assert_eq!(sender.ssci, ssci, "SSCI of station {place} under {ki}");
            assert_eq!(known.salt.is_some(), known.suite.is_xpn());
        }
    }
}

#[test]
fn a_pair_its_key_server_and_two_saks() {
    let mut lan = lan(2, CipherSuite::GcmAes128, 1);
    lan.run_for(seconds(20));
    lan.with(0, |station, now| station.kay.request_rekey(now));
    lan.run_for(seconds(20));
    let (mut reader, findings) = read(&given(), &captured(&lan));
    let report = reader.report();
    let told = story(&report);
    for (place, words) in [
        "02-00-00-00-00-01-0001 appears",
        "02-00-00-00-00-02-0001 appears",
        "are live to each other",
        "key server is 02-00-00-00-00-01-0001 (priority 16)",
        "/1 AN 0 gcm-aes-128 is distributed by 02-00-00-00-00-01-0001 to 1",
        "/1 is received with by",
        "/1 is in use: transmitted with by 02-00-00-00-00-01-0001, +",
        "/2 AN 1 gcm-aes-128 is distributed",
        "/2 is in use",
        "/1 is replaced by",
    ]
    .into_iter()
    .enumerate()
    {
        let at = told.iter().position(|line| line.contains(words));
        assert!(at.is_some(), "{place}: {words}\n{}", told.join("\n"));
    }
    assert_eq!(symptoms(&report), [""; 0]);
    assert_eq!(report.counts.icv_ok, findings.len() as u64);
    let [ca] = &report.cas[..] else { panic!("{:?}", report.cas) };
    assert_eq!(ca.key_server, Some(sci(1).to_string()));
    assert!(ca.peers.iter().all(|peer| peer.state == PeerState::Live), "{:?}", ca.peers);
    assert_eq!((report.saks.len(), ca.peers.len()), (2, 2));
    let [first, second] = &report.saks[..] else { panic!() };
    assert!(first.replaced > first.in_use && second.in_use >= second.distributed);
    assert_eq!((second.an, second.replaced), (1, None));
    assert!(
        first.text.contains("received by") && first.text.contains("replaced +"),
        "{}",
        first.text
    );
    agrees(&book(&reader), &lan);
    // Both fall silent.
    let news = reader.passed(lan.now() + seconds(30));
    assert_eq!(news.iter().filter(|line| line.text.contains("has gone")).count(), 2, "{news:?}");
    assert!(reader.report().cas[0].peers.iter().all(|peer| peer.state == PeerState::Gone));
}

#[test]
fn a_group_of_three_with_xpn_of_every_version() {
    for version in 1..=3 {
        let mut lan = lan(3, CipherSuite::GcmAesXpn256, version);
        lan.run_for(seconds(30));
        let (reader, _) = read(&given(), &captured(&lan));
        let report = reader.report();
        assert_eq!(symptoms(&report), [""; 0], "version {version}");
        let book = book(&reader);
        agrees(&book, &lan);
        let sak = book.saks.last().unwrap();
        let mut sscis: Vec<_> = sak.senders.iter().filter_map(|sender| sender.ssci).collect();
        sscis.sort();
        assert_eq!(sscis, [1, 2, 3].map(Ssci));
        // Version 1 has no upper halves to tell.
        let told = sak.senders.iter().all(|sender| !sender.lowest_pns.is_empty());
        assert_eq!(told, version > 1, "{sak:?}");
        assert_eq!(report.saks.last().unwrap().members.len(), 3);
    }
}

#[test]
fn a_second_reader_finds_the_same() {
    let mut lan = lan(3, CipherSuite::GcmAesXpn128, 3);
    lan.run_for(seconds(20));
    let frames = captured(&lan);
    assert_eq!(read(&given(), &frames).1, read(&given(), &frames).1);
}

#[test]
fn a_peer_that_restarts_and_one_that_goes() {
    let mut lan = lan(3, CipherSuite::GcmAes256, 2);
    lan.run_for(seconds(20));
    let config = config(2, CipherSuite::GcmAes256, 2);
    let again = lan::Station::new(lan.now(), 99, config, cak(0x42), ckn());
    lan.put(1, again);
    lan.run_for(seconds(20));
    lan.take(0);
    lan.run_for(seconds(30));
    let (reader, _) = read(&given(), &captured(&lan));
    let report = reader.report();
    let told = story(&report).join("\n");
    assert!(told.contains("02-00-00-00-00-02-0001 has taken a new MI"), "{told}");
    assert!(told.contains("02-00-00-00-00-01-0001 has gone: silent for more than 6.0 s"), "{told}");
    assert!(
        told.contains(
            "key server is 02-00-00-00-00-02-0001 (priority 32), no more 02-00-00-00-00-01-0001"
        ),
        "{told}"
    );
    let states: Vec<_> = report.cas[0].peers.iter().map(|peer| peer.state).collect();
    assert!(
        states.contains(&PeerState::Replaced) && states.contains(&PeerState::Gone),
        "{states:?}"
    );
}

#[test]
fn without_the_cak_all_is_told_as_not_verified() {
    let mut lan = lan(2, CipherSuite::GcmAesXpn256, 3);
    lan.run_for(seconds(20));
    let (reader, findings) = read(&Given::default(), &captured(&lan));
    let report = reader.report();
    assert_eq!((report.counts.no_key, report.counts.icv_ok), (findings.len() as u64, 0));
    assert!(!report.cas[0].cak_known && report.story.iter().all(|line| !line.verified));
    assert_eq!(report.saks[0].unwrapped, None);
    assert!(book(&reader).saks.is_empty());
    for finding in &findings {
        let line = finding.record.summary();
        assert!(line.contains(" ICV unverified CKN "), "{line}");
    }
}

#[test]
fn another_cak_is_told_and_nothing_believed() {
    let mut lan = lan(2, CipherSuite::GcmAes128, 3);
    lan.run_for(seconds(20));
    let other = Given { cas: vec![GivenCa { ckn: ckn(), cak: cak(7) }], sas: Vec::new() };
    let (reader, findings) = read(&other, &captured(&lan));
    let report = reader.report();
    assert_eq!(report.counts.icv_bad, findings.len() as u64);
    assert!(report.cas[0].peers.is_empty() && report.saks.is_empty() && report.story.is_empty());
    let [symptom] = &symptoms(&report)[..] else { panic!("{report:?}") };
    assert!(symptom.contains("likely another CAK under CKN 4d4143"), "{symptom}");
    assert!(symptom.contains("from 02:00:00:00:00:01, 02:00:00:00:00:02"), "{symptom}");
    let line = findings[0].record.summary();
    assert!(line.contains(" ICV BAD [likely another CAK] CKN "), "{line}");
}

#[test]
fn two_caks_under_one_ckn_are_two_cas() {
    let mut stations = Vec::new();
    for (station, number) in [(1, 0x42), (2, 7)] {
        let config = config(station, CipherSuite::GcmAes128, 3);
        let seed = u64::from(station);
        stations.push(lan::Station::new(seconds(0), seed, config, cak(number), ckn()));
    }
    let mut lan = Lan::new(1, stations);
    lan.run_for(seconds(20));
    let given = Given {
        cas: [0x42, 7].map(|number| GivenCa { ckn: ckn(), cak: cak(number) }).into(),
        sas: Vec::new(),
    };
    let (reader, findings) = read(&given, &captured(&lan));
    let report = reader.report();
    assert_eq!(report.counts.icv_ok, findings.len() as u64);
    assert!(report.cas.iter().all(|ca| ca.peers.len() == 1));
}

#[test]
fn other_names_on_both_ends_are_told() {
    let mut stations = Vec::new();
    for (station, name) in [(1, &b"mka"[..]), (2, b"mka\0")] {
        let (config, ckn) =
            (config(station, CipherSuite::GcmAes128, 3), mka::Ckn::new(name).unwrap());
        stations.push(lan::Station::new(seconds(0), station.into(), config, cak(1), ckn));
    }
    let mut lan = Lan::new(1, stations);
    lan.run_for(seconds(20));
    let given = Given {
        cas: vec![GivenCa { ckn: mka::Ckn::new(b"mka").unwrap(), cak: cak(1) }],
        sas: Vec::new(),
    };
    let report = read(&given, &captured(&lan)).0.report();
    let told = symptoms(&report).join("\n");
    assert!(told.contains("is alone under CKN 6d6b61, "), "{told}");
    assert!(told.contains("the two ends have not the same ckn"), "{told}");
    let ours = read(&lan::given(), &captured(&lan)).0.report();
    let told = symptoms(&ours).join("\n");
    assert!(told.contains("MKPDUs come under CKN 6d6b61, the one given is 4d4143"), "{told}");
}

#[test]
fn one_that_nobody_answers_and_a_link_of_one_way() {
    let mut alone = lan(1, CipherSuite::GcmAes128, 3);
    alone.run_for(seconds(30));
    let told = symptoms(&read(&given(), &captured(&alone)).0.report());
    assert!(told[0].contains("sends MKPDUs, and no peer is heard"), "{told:?}");

    let mut lan = lan(2, CipherSuite::GcmAes128, 3);
    lan.link(0, 1).cut = true;
    lan.run_for(seconds(30));
    let told = symptoms(&read(&given(), &captured(&lan)).0.report());
    let words = "02-00-00-00-00-01-0001 is heard, and 02-00-00-00-00-02-0001 does not list it";
    assert!(told.iter().any(|line| line.contains(words)), "{told:?}");
}

#[test]
fn a_frame_captured_twice_is_marked_and_changes_nothing() {
    let mut lan = lan(2, CipherSuite::GcmAes128, 3);
    lan.run_for(seconds(20));
    let once = captured(&lan);
    let twice: Vec<_> = once.iter().flat_map(|frame| [frame.clone(), frame.clone()]).collect();
    let (reader, findings) = read(&given(), &twice);
    let report = reader.report();
    assert!(findings[1].record.summary().contains("[MN repeated]"));
    assert_eq!(story(&report), story(&read(&given(), &once).0.report()));
    assert!(symptoms(&report)[0].contains("whose MN was not new"), "{:?}", symptoms(&report));
}

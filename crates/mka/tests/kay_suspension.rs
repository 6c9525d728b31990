//! A key server that announces that it will be silent: nobody misses it, nor anybody else, for as long as it may take.

mod data_plane;
mod kay_lab;
mod lab;

use std::time::Duration;

use kay_lab::{KayLab, Station};
use lab::{config, seconds};
use macsec::CipherSuite;
use mka::{Event, HELLO_TIME, KayConfig, KayEvent, Received, ResumeReason, Suites};
use netem::Link;

const DATA: Duration = Duration::from_millis(100);
const LIFE: Duration = seconds(6);
/// How long an announcement is made before the silence: Life Time and Hello Time.
const NOTICE: Duration = seconds(8);

/// Members with these MKA versions, secured; the first is the key server.
fn lab(versions: &[u8]) -> KayLab {
    lab_of(versions, HELLO_TIME)
}

fn lab_of(versions: &[u8], hello_time: Duration) -> KayLab {
    let configs: Vec<_> = (1..)
        .zip(versions)
        .map(|(station, &version)| {
            let mut config = KayConfig::new(config(station));
            config.participant.priority = 16 * station;
            config.participant.version = version;
            config.participant.hello_time = hello_time;
            config.participant.suites = Suites::new(&[CipherSuite::GcmAesXpn256]).unwrap();
            config
        })
        .collect();
    let mut lab = KayLab::new(1, &configs);
    lab.secured_within(seconds(5));
    lab.lan.run_for(seconds(10));
    lab.send_data(DATA);
    for index in lab.present() {
        lab.lan[index].events.clear();
    }
    lab
}

fn says_suspension_time(of: impl Fn(Duration) -> u64 + 'static) -> Option<kay_lab::Words> {
    Some(Box::new(move |now, body| {
        if let Some(xpn) = &mut body.xpn {
            xpn.suspension_time = of(now).min(255) as u8;
        }
    }))
}

/// Has a station say what is left of `seconds` from now on.
fn announce(lab: &mut KayLab, index: usize, seconds: u64) {
    let until = lab.lan.now() + Duration::from_secs(seconds);
    lab.lan[index].says = says_suspension_time(move |now| until.saturating_sub(now).as_secs());
}

fn sleep(lab: &mut KayLab, index: usize) {
    lab.lan.with(index, Station::sleep);
}

fn wake(lab: &mut KayLab, index: usize) {
    lab.lan.with(index, Station::wake);
}

fn is_suspended(station: &Station) -> bool {
    station.kay.principal().unwrap().suspended_until().is_some()
}

fn is_mkpdu(frame: &[u8]) -> bool {
    frame[12..14] == [0x88, 0x8e]
}

fn resumed(station: &Station) -> Vec<ResumeReason> {
    let reason = |event: &KayEvent| match event {
        KayEvent::Participant(_, Event::Resumed(reason)) => Some(*reason),
        _ => None,
    };
    station.events.iter().filter_map(reason).collect()
}

/// What happened but for the suspension itself.
fn others(station: &Station) -> Vec<KayEvent> {
    let of_suspension = |event: &KayEvent| {
        matches!(event, KayEvent::Participant(_, Event::Suspended(_) | Event::Resumed(_)))
    };
    station.events.iter().filter(|event| !of_suspension(event)).copied().collect()
}

/// How long it takes until the station loses a peer.
fn loses_a_peer_after(lab: &mut KayLab, index: usize) -> Duration {
    let (start, before) = (lab.lan.now(), lab.lan[index].live_peers());
    let lost = |lan: &netem::Lan<Station>| lan[index].live_peers() < before;
    assert!(lab.lan.drive_until(start + seconds(600), lost), "{}", lab.show());
    lab.lan.now() - start
}

#[test]
fn a_key_server_that_comes_back_in_time_has_not_been_missed() {
    let mut lab = lab(&[3, 3, 2]);
    announce(&mut lab, 0, 68);
    lab.lan.run_for(NOTICE);
    assert!(is_suspended(&lab.lan[1]) && is_suspended(&lab.lan[2]) && !is_suspended(&lab.lan[0]));
    sleep(&mut lab, 0);
    lab.lan.run_for(seconds(50));
    wake(&mut lab, 0);
    lab.lan.run_for(seconds(1));
    lab.lan[0].says = None;
    lab.lan.run_for(seconds(30));
    lab.stop_data();
    assert_eq!(lab.lost(), 0, "{}", lab.show());
    for index in 0..3 {
        assert_eq!(others(&lab.lan[index]), [], "{}", lab.show());
    }
    for index in 1..3 {
        assert_eq!(resumed(&lab.lan[index]), [ResumeReason::KeyServer]);
    }
    lab.secured_within(seconds(1));
}

#[test]
fn a_key_server_that_does_not_come_back_is_missed_in_the_end() {
    let mut lab = lab(&[3, 3]);
    announce(&mut lab, 0, 68);
    lab.lan.run_for(NOTICE);
    sleep(&mut lab, 0);
    let lost = loses_a_peer_after(&mut lab, 1);
    // It has announced 60 to 62 seconds last, rounded down.
    assert!((seconds(59) + LIFE..=seconds(62) + LIFE).contains(&lost), "{lost:?}");
    assert_eq!(resumed(&lab.lan[1]), [ResumeReason::TimeIsOver]);
    lab.lan.run_for(seconds(10));
    assert_eq!(lab.lan[1].closed(), 1);
}

/// Whatever a key server says, and however often: a third member that has gone is not kept for ever.
#[test]
fn a_member_that_is_gone_is_not_kept_for_ever() {
    let mut first = lab(&[3, 3, 3]);
    first.lan[0].says = says_suspension_time(|_| 255);
    first.lan.run_for(seconds(4));
    first.lan.take(2);
    let lost = loses_a_peer_after(&mut first, 1);
    assert!(lost <= seconds(120) + LIFE && lost > seconds(110), "{lost:?}");
    // Nor if it ends it and begins anew all the time.
    let mut second = lab(&[3, 3, 3]);
    second.lan[0].says =
        says_suspension_time(|now| if now.as_secs().is_multiple_of(8) { 0 } else { 120 });
    second.lan.run_for(seconds(16));
    second.lan.take(2);
    let lost = loses_a_peer_after(&mut second, 1);
    assert!(lost <= seconds(120) + LIFE, "{lost:?}");
}

/// The key server's announcements are held back by somebody on the way, and delivered one by one once it has gone.
#[test]
fn recordings_of_announcements_prolong_nothing() {
    let mut lab = lab_of(&[3, 3], Duration::from_millis(500));
    announce(&mut lab, 0, 120);
    lab.lan.run_for(NOTICE);
    lab.lan.link(0, 1).cut = true;
    let from = lab.lan.sent().len();
    lab.lan.run_for(seconds(5));
    sleep(&mut lab, 0);
    let of_server = lab.lan.sent()[from..].iter().filter(|sent| sent.from == 0);
    let held: Vec<_> =
        of_server.map(|sent| sent.frame.clone()).filter(|frame| is_mkpdu(frame)).collect();
    assert!(held.len() >= 9);
    let until = lab.lan[1].kay.principal().unwrap().suspended_until().unwrap();
    for frame in &held {
        lab.lan.run_for(seconds(13));
        lab.lan.inject(1, frame);
        if !is_suspended(&lab.lan[1]) {
            break;
        }
        assert_eq!(lab.lan[1].kay.principal().unwrap().suspended_until(), Some(until));
    }
    assert_eq!(resumed(&lab.lan[1]), [ResumeReason::TimeIsOver]);
    assert!(lab.lan.now() <= until + seconds(13));
    lab.lan.run_for(LIFE);
    assert_eq!(lab.lan[1].live_peers(), 0);
}

#[test]
fn a_new_peer_ends_it_at_once() {
    let mut lab = lab(&[3, 3]);
    announce(&mut lab, 0, 120);
    lab.lan.run_for(NOTICE);
    assert!(is_suspended(&lab.lan[1]));
    // The key server restarts for good, with nothing left of what it was.
    lab.restart(0);
    lab.secured_within(seconds(8));
    assert_eq!(resumed(&lab.lan[1]), [ResumeReason::NewPeer]);
}

#[test]
fn members_that_know_nothing_of_it_are_missed_as_ever() {
    for versions in [[3, 3, 1], [3, 1, 3]] {
        let mut lab = lab(&versions);
        announce(&mut lab, 0, 120);
        lab.lan.run_for(NOTICE);
        for index in (1..3).filter(|index| versions[*index] == 3) {
            assert!(!is_suspended(&lab.lan[index]));
        }
    }
}

/// What another than the key server asks for is not granted: we announce 0.
#[test]
fn nobody_is_granted_a_silence() {
    let mut lab = lab(&[3, 3, 3]);
    announce(&mut lab, 1, 120);
    let from = lab.lan.sent().len();
    lab.lan.run_for(NOTICE);
    assert!(lab.lan.nodes().all(|station| !is_suspended(station)));
    let said = lab.lan.sent()[from..].iter().filter(|sent| sent.from != 1);
    let said: Vec<_> = said.filter(|sent| is_mkpdu(&sent.frame)).collect();
    assert!(said.len() >= 6);
    for sent in said {
        let received = Received::parse(&sent.frame, 0x888e).unwrap();
        assert_eq!(received.unverified().unwrap().claimed_body().xpn.unwrap().suspension_time, 0);
    }
    sleep(&mut lab, 1);
    let lost = loses_a_peer_after(&mut lab, 0);
    assert!(lost <= LIFE, "{lost:?}");
}

#[test]
fn an_announcement_gets_through_a_bad_network() {
    let mut lab = lab_of(&[3, 3, 3], seconds(1));
    lab.lan.set_links(Link { loss: 300, ..Link::CLEAN });
    announce(&mut lab, 0, 100);
    lab.lan.run_for(2 * NOTICE);
    sleep(&mut lab, 0);
    lab.lan.run_for(seconds(60));
    wake(&mut lab, 0);
    lab.lan.set_links(Link::CLEAN);
    lab.lan.run_for(seconds(60));
    for index in 0..3 {
        assert_eq!((lab.lan[index].closed(), lab.lan[index].new_mis()), (0, vec![]));
    }
    lab.secured_within(seconds(1));
}

//! Traps of section 8 of our list that lie where a KaY's machines meet. The table of all is in `pitfalls.rs`.

mod data_plane;
mod kay_lab;
mod lab;

use std::time::Duration;

use kay_lab::{KayLab, Station};
use lab::{cak, ckn, config, seconds};
use macsec::{CipherSuite, MacAddress};
use mka::{
    Body, Event, KayConfig, KayEvent, KeyPns, MAX_FRAME_LEN, ParticipantConfig, Received,
    RekeyReason, SakUse,
    cp::PortStatus,
    logon::MkaOutcome,
    order::{Action, OrderFailure},
};
use netem::{Lan, Link, Node};

const DATA: Duration = Duration::from_millis(20);

fn configs(change: impl Fn(&mut KayConfig)) -> Vec<KayConfig> {
    let config = |station: u8| {
        let mut config = KayConfig::new(config(station));
        config.participant.priority = 16 * station;
        change(&mut config);
        config
    };
    (1..=2).map(config).collect()
}

fn secured(configs: &[KayConfig]) -> KayLab {
    let mut lab = KayLab::new(1, configs);
    lab.secured_within(seconds(2));
    lab.send_data(DATA);
    lab.lan.run_for(seconds(10));
    lab
}

/// The MKPDUs sent from `from` on: when, by whom, and what they say.
fn look(lan: &Lan<Station>, from: usize, mut look: impl FnMut(Duration, usize, &Body<'_>)) {
    for sent in &lan.sent()[from..] {
        let ethertype = 0x888e;
        if sent.frame[12..14] == [0x88, 0x8e] {
            let received = Received::parse(&sent.frame, ethertype).unwrap();
            look(sent.at, sent.from, received.verify(&cak().ick(&ckn())).unwrap().body());
        }
    }
}

fn sak_use(body: &Body<'_>) -> SakUse {
    body.sak_use.expect("it is in every MKPDU once there was a key")
}

fn rekey(lab: &mut KayLab) {
    assert!(lab.lan.with(0, |station, now| station.act(now, |kay| kay.request_rekey(now))));
}

fn protect_delay(config: &mut KayConfig) {
    config.participant.delay_protect = true;
    config.participant.hello_time = Duration::from_millis(500);
}

/// Pitfalls 6 and 37: Delay Protect is said only by who sends each half a second, and that is no busy loop.
#[test]
fn p06_p37_delay_protect_goes_with_a_hello_each_half_a_second() {
    for protect in [false, true] {
        let mut lab = secured(&configs(|config| {
            if protect {
                protect_delay(config);
            }
        }));
        let before = lab.lan.sent().len();
        lab.lan.run_for(seconds(100));
        let mut last = [lab.lan.now() - seconds(100); 2];
        let mut count = 0;
        look(&lab.lan, before, |at, from, body| {
            assert_eq!(sak_use(body).delay_protect, protect);
            if protect {
                assert!(at - last[from] <= Duration::from_millis(500));
            }
            last[from] = at;
            count += 1;
        });
        assert!(if protect { 390..=410 } else { 95..=105 }.contains(&count), "{count}");
    }
}

/// Pitfall 7: no frame that was sent in the last two seconds is below what is told as the lowest PN.
#[test]
fn p07_the_lowest_pn_told_is_two_seconds_old() {
    let mut lab = secured(&configs(protect_delay));
    let start = lab.lan.now();
    let before = lab.lan.sent().len();
    lab.lan.run_for(seconds(60));
    let per_second = u32::try_from(seconds(1).as_millis() / DATA.as_millis()).unwrap();
    // Data has been sent at an even rate for some seconds before that, from PN 1 on.
    let first = lab.lan[0].sent - 60 * u64::from(per_second);
    look(&lab.lan, before, |at, from, body| {
        if from == 0 {
            let [latest, _] = sak_use(body).keys.unwrap();
            let since = u32::try_from((at - start).as_millis() / DATA.as_millis()).unwrap();
            let next = u32::try_from(first).unwrap() + since;
            assert!(latest.lowest_pn <= next - 2 * per_second + 2, "{} {next}", latest.lowest_pn);
            assert!(latest.lowest_pn + 4 * per_second >= next, "{} {next}", latest.lowest_pn);
        }
    });
}

/// Pitfalls 24 and 46: of peers that restart again and again nothing stays behind.
#[test]
fn p24_p46_restarted_peers_leave_no_scs_and_keys() {
    let mut lab = KayLab::of(1, &[16, 32, 48]);
    lab.secured_within(seconds(2));
    for _ in 0..20 {
        lab.restart(2);
        lab.secured_within(seconds(8));
        lab.lan.run_for(seconds(8));
        for station in lab.lan.nodes() {
            assert_eq!(station.plane.scs.len(), 2);
            assert_eq!((station.plane.keys.len(), station.plane.receive.len()), (1, 2));
            assert_eq!(station.kay.principal().unwrap().peers().count(), 2);
        }
    }
}

/// Pitfalls 26 and 50: with the last peer go the keys, and the port is closed; nobody is key server to nobody.
#[test]
fn p26_p50_alone_a_port_is_closed_and_has_no_keys() {
    for index in 0..2 {
        let mut lab = secured(&configs(|_| {}));
        lab.lan.take(1 - index);
        lab.lan.run_for(seconds(9));
        let station = &lab.lan[index];
        assert!(station.plane.is_empty() && !station.plane.open);
        assert_eq!(station.kay.port().port(), PortStatus::Closed);
        assert!(matches!(station.kay.outcome(), MkaOutcome::Pending | MkaOutcome::Failed));
        assert!(station.kay.principal().unwrap().sak().is_none());
        let before = lab.lan.sent().len();
        lab.lan.run_for(seconds(10));
        look(&lab.lan, before, |_, _, body| {
            assert!(body.sak_use.is_none() && body.distributed_sak.is_none());
        });
    }
}

/// Pitfall 30: a data plane that takes its time costs nobody a peer.
#[test]
fn p30_slow_sas_do_not_make_peers_flap() {
    for index in 0..2 {
        let mut lab = KayLab::new(1, &configs(|_| {}));
        lab.lan[index].order_delay = Duration::from_millis(4500);
        lab.secured_within(seconds(40));
        lab.lan.run_for(seconds(30));
        for station in lab.lan.nodes() {
            let lost = |event: &KayEvent| {
                matches!(event, KayEvent::Participant(_, Event::PeerLost { .. } | Event::Alone))
            };
            assert!(!station.events.iter().any(lost), "{}", lab.show());
        }
    }
}

/// A station whose MKPDUs have lost their SAK Use and all that follows it: a peer that forgets it.
struct Forgetful(Station);

impl Node for Forgetful {
    fn receive(&mut self, now: Duration, frame: &[u8]) {
        self.0.receive(now, frame);
    }
    fn timeout(&mut self, now: Duration) {
        self.0.timeout(now);
    }
    fn next_timeout(&self, now: Duration) -> Option<Duration> {
        self.0.next_timeout(now)
    }
    fn transmit(&mut self, now: Duration) -> Option<Vec<u8>> {
        let frame = self.0.transmit(now)?;
        if now < seconds(5) || frame[12..14] != [0x88, 0x8e] || self.0.sci == lab::sci(1) {
            return Some(frame);
        }
        let ick = cak().ick(&ckn());
        let received = Received::parse(&frame, 0x888e).unwrap();
        let mut body = *received.verify(&ick).unwrap().body();
        (body.sak_use, body.xpn) = (None, None);
        let mut buffer = [0; MAX_FRAME_LEN];
        let framing = self.0.kay.principal().unwrap().config().framing;
        let len = framing.encode(&body, &ick, &mut buffer).unwrap();
        Some(buffer[..len].to_vec())
    }
}

/// Pitfall 31: who sends no SAK Use is spoken of, once, and stays what it is.
#[test]
fn p31_a_missing_sak_use_is_told_once_and_costs_nothing() {
    let ledger = Default::default();
    let stations: Vec<_> = configs(|_| {})
        .into_iter()
        .zip(1..)
        .map(|(config, instance)| {
            Forgetful(Station::new(config, (cak(), ckn()), instance, Duration::ZERO, &ledger))
        })
        .collect();
    let mut lan = Lan::new(1, stations);
    lan.run_for(seconds(5));
    let ki = lan[0].0.ki();
    assert!(ki.is_some());
    lan.run_for(seconds(19));
    let told = |lan: &Lan<Forgetful>| {
        let no_sak_use =
            |event: &&KayEvent| matches!(event, KayEvent::Participant(_, Event::NoSakUse { .. }));
        lan[0].0.events.iter().filter(no_sak_use).count()
    };
    assert_eq!(told(&lan), 0);
    lan.run_for(seconds(300));
    assert_eq!(told(&lan), 1);
    assert!(lan[0].0.is_secured() && lan[1].0.is_secured());
    assert_eq!((lan[0].0.ki(), lan[1].0.ki()), (ki, ki));
}

/// Pitfall 33: nobody announces anything, and nobody waits for that.
#[test]
fn p33_no_announcement_is_needed() {
    let lab = secured(&configs(|_| {}));
    look(&lab.lan, 0, |_, _, body| assert!(body.announcement.is_none()));
}

/// Pitfall 36: slow hellos are fine if they are so at both ends: Life Time is three of them.
#[test]
fn p36_slow_hellos_at_both_ends_keep_a_session() {
    for hello in [Duration::from_millis(500), seconds(10), seconds(60)] {
        let mut lab = secured(&configs(|config| config.participant.hello_time = hello));
        let ki = lab.lan[0].ki();
        lab.lan.run_for(seconds(1000));
        assert_eq!(lab.lan[0].ki(), ki);
        assert_eq!(lab.lan[0].closed() + lab.lan[1].closed(), 0);
    }
}

/// Pitfall 40: with another address and another EtherType at both ends there is a session, and none with who has the usual.
#[test]
fn p40_address_and_ethertype_are_configurable() {
    let change = |config: &mut KayConfig| {
        config.participant.framing.destination = MacAddress([0xff; 6]);
        config.participant.framing.ethertype = 0x876f;
    };
    let mut both = configs(change);
    secured(&both);
    both[1] = configs(|_| {})[1];
    let mut lab = KayLab::new(1, &both);
    lab.lan.run_for(seconds(60));
    assert!(lab.lan.nodes().all(|station| station.live_peers() == 0 && !station.plane.open));
}

/// Pitfalls 41 and 43: whatever SAK Use says of a key is so, in every MKPDU of many rekeys.
#[test]
fn p41_p43_sak_use_tells_the_truth() {
    let mut lab = KayLab::of(1, &[16, 32, 48]);
    lab.lan[1].order_delay = Duration::from_millis(130);
    lab.lan[2].order_delay = Duration::from_millis(270);
    let mut seen = 0;
    let mut rekeys = 0;
    while lab.lan.now() < seconds(60) {
        if lab.lan.now() > seconds(6 * (rekeys + 1)) {
            rekeys += 1;
            rekey(&mut lab);
        }
        lab.lan.step();
        look(&lab.lan, seen, |_, from, body| {
            let Some(keys) = body.sak_use.and_then(|sak_use| sak_use.keys) else { return };
            let plane = &lab.lan[from].plane;
            for key in keys.iter().filter(|key| !key.is_none()) {
                let (an, ki) = (key.an.number(), key.ki);
                let received = plane.receive.iter().filter(|(at, of)| at.1 == an && **of == ki);
                assert!(!key.rx || received.count() == 2, "{}", lab.show());
                assert!(!key.tx || plane.transmit.get(&an) == Some(&ki), "{}", lab.show());
            }
            // It is said as soon as it is ordered.
            assert!(plane.encoding.is_none() || keys.iter().any(|key| key.tx));
        });
        seen = lab.lan.sent().len();
    }
    assert!(rekeys >= 9);
}

/// Pitfall 44: the PNs that a silent peer comes to are seen by who receives them.
#[test]
fn p44_a_peer_that_reports_nothing_is_watched() {
    let mut lab = secured(&configs(|_| {}));
    lab.stop_data();
    let ki = lab.lan[0].ki().unwrap();
    let near = CipherSuite::GcmAesXpn256.rekey_pn();
    for (pn, reason) in [(near - 1, None), (near, Some(RekeyReason::PnExhaustion))] {
        lab.lan.with(0, |station, now| {
            let pns = [KeyPns { ki, transmit_next_pn: 5, receive_next_pn: pn }];
            station.act(now, |kay| kay.report_pns(now, &pns));
        });
        assert_eq!(lab.lan[0].kay.last_sak().unwrap().reason, reason.or(Some(RekeyReason::First)));
    }
}

/// Pitfall 48: a data plane with two ANs gets on, at whichever end: SAKs with the others are given up.
#[test]
fn p48_a_data_plane_with_two_ans_gets_on() {
    for index in 0..2 {
        let mut lab = KayLab::new(1, &configs(|_| {}));
        lab.lan[index].fault = Some(|action| {
            let beyond = |an: macsec::An| an.number() > 1;
            let unsupported = match action {
                Action::InstallReceiveSa { sa, .. } => beyond(sa.an),
                Action::InstallTransmitSa(sa) => beyond(sa.an),
                _ => false,
            };
            unsupported.then_some(OrderFailure::Unsupported)
        });
        lab.secured_within(seconds(5));
        for _ in 0..6 {
            let before = lab.lan[0].ki();
            rekey(&mut lab);
            lab.lan.run_for(seconds(30));
            lab.secured_within(seconds(1));
            assert_ne!(lab.lan[0].ki(), before);
        }
        assert_eq!(lab.lan[0].closed() + lab.lan[1].closed(), 0);
    }
}

/// Pitfall 52: a better key server that comes and goes every second makes no flood of SAKs, and the others stay open.
#[test]
fn p52_a_key_server_that_flaps_makes_few_saks() {
    let mut lab = KayLab::of(1, &[16, 32, 1]);
    lab.lan.take(2);
    lab.secured_within(seconds(2));
    lab.send_data(DATA);
    let before = lab.lan.sent().len();
    for second in 0..120 {
        if second % 2 == 0 {
            lab.restart(2);
        } else {
            lab.lan.take(2);
        }
        lab.lan.run_for(seconds(1));
    }
    assert!(lab.lan[0].rotations + lab.lan[1].rotations <= 2 * 120);
    let mkpdus = lab.lan.sent()[before..].iter().filter(|sent| sent.frame[13] == 0x8e);
    assert!(mkpdus.filter(|sent| sent.from == 0).count() <= 1200);
    lab.lan.take(2);
    lab.lan.run_for(seconds(20));
    lab.secured_within(seconds(5));
}

/// Pitfall 54: who asks for nothing gets packet numbers that last.
#[test]
fn p54_the_default_suite_has_long_packet_numbers() {
    let config = ParticipantConfig::new(lab::sci(1));
    assert!(config.suites.first().is_xpn());
    assert!(
        secured(&configs(|_| {})).lan[0].kay.principal().unwrap().sak().unwrap().suite.is_xpn()
    );
}

/// Frames of a rollover that the network holds up come late, not in vain: the old key stays for three seconds.
#[test]
fn frames_under_way_at_a_rollover_are_delivered() {
    let mut lab = KayLab::new(1, &configs(|_| {}));
    lab.lan.set_links(Link { delay: Duration::from_millis(900), ..Link::CLEAN });
    lab.secured_within(seconds(10));
    lab.lan.run_for(seconds(5));
    lab.send_data(DATA);
    for _ in 0..5 {
        rekey(&mut lab);
        lab.lan.run_for(seconds(12));
    }
    lab.stop_data();
    lab.lan.run_for(seconds(2));
    assert_eq!((lab.lost(), lab.lan[0].closed()), (0, 0), "{}", lab.show());
}

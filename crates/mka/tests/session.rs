//! Sessions on a clean network: from cold, members that come, go and come again, rekeying.

mod lab;

use std::time::Duration;

use lab::{Lab, Station, agreed_ki, config, seconds};
use macsec::{CipherSuite, Ssci};
use mka::{Event, KeyServer, MiReason, RekeyReason, SakRefusal, Suites, key_number};
use netem::Link;

const TRIPLE: [u8; 3] = [32, 16, 48];

#[test]
fn a_pair_is_up_within_a_second_for_every_suite_and_version() {
    for suite in CipherSuite::ALL {
        for version in 1..=3 {
            let configs = [1, 2].map(|station| {
                let mut config = config(station);
                config.version = version;
                config.suites = Suites::new(&[suite]).unwrap();
                config
            });
            let mut lab = Lab::new(1, &configs);
            lab.agree_within(seconds(1));
            assert_eq!(lab.lan[0].participant.sak().unwrap().suite, suite);
        }
    }
}

#[test]
fn a_triple_agrees_on_one_key_server_and_one_sak() {
    let mut lab = Lab::of(1, &TRIPLE);
    lab.agree_within(seconds(1));
    let servers: Vec<_> = lab.lan.nodes().map(Station::is_key_server).collect();
    assert_eq!(servers, [false, true, false]);
    // The greatest SCI is number 1.
    for station in lab.lan.nodes() {
        for (number, index) in [(3, 1), (2, 2), (1, 3)] {
            let sci = Some(lab::sci(index));
            let members = station.participant.sak_members();
            let member = members.iter().find(|member| member.sci == sci).unwrap();
            assert_eq!(member.ssci, Some(Ssci(number)));
        }
    }
}

#[test]
fn members_of_different_versions_agree_on_sscis() {
    for versions in [[1, 2, 3], [3, 1, 2], [2, 3, 1]] {
        let mut station = 0;
        let configs = versions.map(|version| {
            station += 1;
            let mut config = config(station);
            (config.version, config.priority) = (version, TRIPLE[usize::from(station) - 1]);
            config
        });
        Lab::new(2, &configs).agree_within(seconds(10));
    }
}

#[test]
fn a_steady_session_keeps_its_sak_and_its_peers() {
    let mut lab = Lab::of(1, &TRIPLE);
    let ki = lab.agree_within(seconds(10));
    lab.lan.run_for(seconds(5));
    let sent = lab.lan.sent().len();
    lab.lan.run_for(seconds(600));
    assert_eq!(agreed_ki(&lab.lan), Some(ki));
    assert!(lab.lan.nodes().all(|station| {
        !station.events.iter().any(|event| matches!(event, Event::PeerLost { .. }))
    }));
    let hellos = lab.lan.sent().len() - sent;
    assert!((895..=910).contains(&hellos), "{hellos} MKPDUs in ten minutes of three members");
}

/// Pitfall 30: a peer is live because it lists us, whatever it says or does not say of SAKs.
#[test]
fn p30_sak_use_has_no_part_in_liveness() {
    let configs = [1, 2].map(|station| {
        let mut config = config(station);
        config.macsec_desired = false;
        config
    });
    let mut lab = Lab::new(1, &configs);
    lab.lan.run_for(seconds(60));
    assert!(lab.lan.nodes().all(|station| station.live_peers() == 1 && station.ki().is_none()));
}

/// Pitfall 29: a participant with a pre-shared CAK sends for ever.
#[test]
fn p29_a_lonely_participant_sends_for_ever() {
    let mut lab = Lab::of(1, &[16, 32]);
    let gone = lab.lan.take(1);
    lab.lan.run_for(seconds(3600));
    assert!(lab.lan.sent().len() > 1800);
    drop(gone);
    lab.restart(1);
    lab.agree_within(seconds(5));
}

/// Pitfall 38: all at priority 255 have no key server, and say so.
#[test]
fn p38_nobody_is_key_server_at_priority_255() {
    let mut lab = Lab::of(1, &[255, 255]);
    lab.lan.run_for(seconds(30));
    for station in lab.lan.nodes() {
        assert_eq!(station.participant.key_server(), KeyServer::Nobody);
        assert_eq!(station.live_peers(), 1);
    }
    let mut lab = Lab::of(1, &[255, 254]);
    lab.agree_within(seconds(2));
    assert!(lab.lan[1].is_key_server());
}

#[test]
fn a_late_joiner_gets_a_fresh_sak_and_so_does_all_the_ca() {
    let mut lab = Lab::of(1, &TRIPLE);
    lab.lan.take(2);
    let first = lab.agree_within(seconds(10));
    lab.lan.run_for(seconds(20));
    lab.restart(2);
    let second = lab.agree_within(seconds(10));
    assert_ne!(first, second);
    assert_eq!(lab.lan[1].generated().last(), Some(&RekeyReason::NewMember));
    assert_eq!(lab.lan[0].refusals(), []);
}

/// Pitfall 24, whole: a client restarts under the same SCI and is back at once, under a fresh SAK.
#[test]
fn p24_a_restarted_client_is_back_within_two_seconds() {
    let mut lab = Lab::of(1, &[16, 32]);
    let first = lab.agree_within(seconds(10));
    lab.lan.run_for(seconds(20));
    lab.restart(1);
    let second = lab.agree_within(seconds(2));
    assert_ne!(first, second);
    assert!(lab.lan[0].events.iter().any(|event| matches!(event, Event::PeerReplaced { .. })));
}

#[test]
fn a_restarted_key_server_is_back_within_two_seconds() {
    let mut lab = Lab::of(1, &[16, 32]);
    lab.agree_within(seconds(10));
    lab.lan.run_for(seconds(20));
    lab.restart(0);
    let ki = lab.agree_within(seconds(2));
    assert_eq!(key_number(ki), 1);
    assert_eq!(lab.lan[1].new_mis(), []);
}

#[test]
fn when_the_key_server_goes_another_takes_over_and_gives_way_again() {
    let mut lab = Lab::of(1, &TRIPLE);
    lab.agree_within(seconds(10));
    lab.lan.take(1);
    lab.agree_within(seconds(20));
    assert!(lab.lan[0].is_key_server());
    assert_eq!(lab.lan[0].new_mis(), [MiReason::KeyServerLost]);
    lab.restart(1);
    lab.agree_within(seconds(10));
    assert!(lab.lan[1].is_key_server());
}

/// Pitfall 28: who is no longer key server stops distributing at once.
#[test]
fn p28_a_former_key_server_distributes_no_more() {
    let mut lab = Lab::of(1, &TRIPLE);
    lab.lan.take(1);
    lab.agree_within(seconds(10));
    lab.restart(1);
    lab.agree_within(seconds(10));
    let before = lab.lan[0].participant.counters().out_sak_mkpdu;
    lab.lan.run_for(seconds(60));
    assert_eq!(lab.lan[0].participant.counters().out_sak_mkpdu, before);
}

/// Pitfall 23: we lose the key server, it does not lose us; it would not send its SAK again.
#[test]
fn p23_a_client_that_loses_the_key_server_takes_a_new_mi() {
    let mut lab = Lab::of(1, &[16, 32]);
    let first = lab.agree_within(seconds(10));
    lab.lan.link(0, 1).cut = true;
    // The client's messages still come, but list the server less and less recently.
    lab.lan.run_for(seconds(7));
    assert_eq!(lab.lan[1].new_mis(), [MiReason::KeyServerLost]);
    lab.lan.link(0, 1).cut = false;
    let second = lab.agree_within(seconds(10));
    assert_ne!(first, second);
}

/// Pitfall 26: after the last peer nothing of the session is left.
#[test]
fn p26_without_peers_there_is_no_agreement_and_no_sak() {
    let mut lab = Lab::of(1, &[16, 32]);
    lab.agree_within(seconds(10));
    lab.lan.take(0);
    lab.lan.run_for(seconds(10));
    let alone = &lab.lan[1];
    assert!(alone.events.contains(&Event::Alone));
    assert_eq!(alone.participant.agreement(), mka::Agreement::Pending);
    assert!(alone.participant.sak().is_none());
    assert_eq!(alone.participant.key_server(), KeyServer::Us);
}

/// Pitfalls 18 and 44: PNs that run out, with 32 bits and with 64, on either side.
#[test]
fn p18_p44_pn_exhaustion_of_any_member_makes_a_sak() {
    for suite in [CipherSuite::GcmAes128, CipherSuite::GcmAesXpn128] {
        for (index, version) in [(0, 3), (1, 3), (0, 1)] {
            let configs = [1, 2].map(|station| {
                let mut config = config(station);
                config.version = version;
                config.suites = Suites::new(&[suite]).unwrap();
                config
            });
            let mut lab = Lab::new(1, &configs);
            let first = lab.agree_within(seconds(10));
            lab.lan.run_for(seconds(10));
            let pn = suite.rekey_pn();
            lab.lan.with(index, |station, now| station.set_next_pn(now, pn - 1));
            lab.lan.run_for(seconds(5));
            assert_eq!(agreed_ki(&lab.lan), Some(first));
            lab.lan.with(index, |station, now| station.set_next_pn(now, pn));
            lab.lan.run_for(seconds(5));
            assert_ne!(agreed_ki(&lab.lan).unwrap(), first);
            assert_eq!(lab.lan[0].generated(), [RekeyReason::First, RekeyReason::PnExhaustion]);
        }
    }
}

/// Pitfall 44: hostap keeps the key in use in the old place.
#[test]
fn p44_exhaustion_is_seen_in_the_old_place_too() {
    let mut lab = Lab::of(1, &[16, 32]);
    let first = lab.agree_within(seconds(10));
    lab.lan.run_for(seconds(10));
    lab.lan.with(0, |station, now| {
        let mut held = station.latest.take().unwrap();
        held.next_pn = u64::MAX - 5;
        station.old = Some(held);
        station.drain(now);
    });
    assert_eq!(lab.lan[0].generated(), [RekeyReason::First, RekeyReason::PnExhaustion]);
    assert_ne!(lab.agree_within(seconds(5)), first);
}

#[test]
fn rekeying_by_interval_and_on_request_counts_up_keys_and_ans() {
    let mut lab = Lab::of(1, &[16, 32]);
    lab.configs[0].rekey_interval = Some(seconds(30));
    lab.restart(0);
    lab.agree_within(seconds(10));
    lab.lan.run_for(seconds(95));
    let interval = RekeyReason::Interval;
    assert_eq!(lab.lan[0].generated(), [RekeyReason::First, interval, interval, interval]);
    lab.lan.with(1, |station, now| station.participant.request_rekey(now));
    lab.lan.with(0, |station, now| {
        station.participant.request_rekey(now);
        station.drain(now);
    });
    let ki = lab.agree_within(seconds(2));
    assert_eq!(key_number(ki), 5);
    assert_eq!(lab.lan[0].latest.as_ref().unwrap().an.number(), 0);
    assert_eq!(lab.lan[0].generated().last(), Some(&RekeyReason::Requested));
    assert_eq!(lab.lan[1].generated(), []);
}

/// Pitfall 52: SAKs are a second apart, whatever is asked for.
#[test]
fn p52_saks_are_at_least_a_second_apart() {
    let mut lab = Lab::of(1, &[16, 32]);
    lab.agree_within(seconds(10));
    for _ in 0..50 {
        lab.lan.with(0, |station, now| {
            station.participant.request_rekey(now);
            station.drain(now);
        });
        lab.lan.run_for(Duration::from_millis(100));
    }
    let generated = lab.lan[0].generated().len();
    assert!((5..=7).contains(&generated), "{generated} SAKs");
    lab.agree_within(seconds(3));
}

/// Pitfalls 21 and 51: somebody who hears nobody delays the first SAK by a Life Time, and no longer.
#[test]
fn p21_p51_a_one_way_peer_delays_the_first_sak_by_a_life_time() {
    let mut lab = Lab::of(1, &[16, 32, 48]);
    lab.lan.link(0, 2).cut = true;
    lab.lan.link(1, 2).cut = true;
    lab.lan.run_for(seconds(5));
    assert_eq!(lab.lan[0].generated(), []);
    lab.lan.run_for(seconds(3));
    assert_eq!(lab.lan[0].generated(), [RekeyReason::First]);
    assert!(lab.lan[1].ki().is_some());
    lab.lan.set_links(Link::CLEAN);
    lab.agree_within(seconds(10));
}

/// Who sees only somebody that follows another does not take that other's place at once.
#[test]
fn a_better_peer_that_does_not_stand_is_waited_for() {
    let mut lab = Lab::of(1, &[16, 32, 48]);
    for (from, to) in [(0, 2), (2, 0)] {
        lab.lan.link(from, to).cut = true;
    }
    lab.lan.run_for(seconds(3));
    assert!(lab.lan[2].is_key_server());
    assert_eq!(lab.lan[2].generated(), []);
    lab.lan.set_links(Link::CLEAN);
    lab.agree_within(seconds(10));
    assert_eq!(lab.lan[2].generated(), []);
}

#[test]
fn one_that_does_not_want_macsec_is_left_out() {
    let mut lab = Lab::of(1, &TRIPLE);
    lab.configs[2].macsec_desired = false;
    lab.restart(2);
    lab.lan.run_for(seconds(10));
    assert!(lab.lan[0].ki().is_some());
    assert!(lab.lan[2].ki().is_none());
    assert_eq!(lab.lan[2].refusals(), []);
    assert_eq!(lab.lan[1].generated(), [RekeyReason::First]);
    lab.configs[2].macsec_desired = true;
    lab.restart(2);
    lab.agree_within(seconds(5));
}

#[test]
fn losing_a_member_makes_a_sak_only_where_asked_for() {
    for asked in [false, true] {
        let mut lab = Lab::of(1, &TRIPLE);
        lab.configs[1].rekey_on_member_loss = asked;
        lab.restart(1);
        let first = lab.agree_within(seconds(10));
        lab.lan.run_for(seconds(10));
        lab.lan.take(2);
        lab.lan.run_for(seconds(12));
        assert_eq!(agreed_ki(&lab.lan) != Some(first), asked, "{}", lab.show());
    }
}

#[test]
fn a_client_refuses_a_suite_that_it_does_not_have_and_keeps_its_mi() {
    let mut configs = [1, 2].map(config);
    configs[1].suites = Suites::new(&[CipherSuite::GcmAes256]).unwrap();
    let mut lab = Lab::new(1, &configs);
    lab.lan.run_for(seconds(60));
    assert_eq!(lab.lan[1].refusals().first(), Some(&SakRefusal::CipherSuite));
    assert_eq!(lab.lan[1].new_mis(), []);
    assert!(lab.lan[1].participant.counters().sak_cipher_mismatch > 5);
    assert!(lab.lan[1].ki().is_none());
    lab.configs[1].suites =
        Suites::new(&[CipherSuite::GcmAes256, CipherSuite::GcmAesXpn256]).unwrap();
    lab.restart(1);
    lab.agree_within(seconds(5));
}

#[test]
fn plain_text_is_agreed_on_only_where_both_allow_it() {
    let mut configs = [1, 2].map(config);
    configs[0].macsec_desired = false;
    configs[0].plain_text_allowed = true;
    let mut lab = Lab::new(1, &configs);
    lab.lan.run_for(seconds(20));
    assert_eq!(lab.lan[1].participant.agreement(), mka::Agreement::Pending);
    assert_eq!(lab.lan[1].refusals(), [SakRefusal::PlainText]);
    lab.configs[1].plain_text_allowed = true;
    lab.restart(1);
    lab.lan.run_for(seconds(5));
    for station in lab.lan.nodes() {
        assert_eq!(station.participant.agreement(), mka::Agreement::PlainText);
    }
}

/// Section 4.2, item 6: a SAK that the caller knows from an earlier run is refused, and another made.
#[test]
fn a_refused_sak_is_replaced() {
    let mut lab = Lab::of(1, &[16, 32]);
    let first = lab.agree_within(seconds(10));
    lab.lan.with(1, |station, now| {
        station.latest = None;
        station.participant.refuse_sak(now, first);
        station.drain(now);
    });
    assert_eq!(lab.lan[1].new_mis(), [MiReason::SakReused]);
    assert_ne!(lab.agree_within(seconds(5)), first);
}

/// A generator that fails ends the participant: no MI and no SAK without randomness.
#[test]
fn without_randomness_there_is_nothing() {
    let mut lab = Lab::of(1, &[16, 32]);
    *lab.lan[0].random_fails.borrow_mut() = true;
    lab.lan.run_for(seconds(10));
    let failed = &lab.lan[0];
    assert!(failed.participant.has_failed());
    assert_eq!(failed.events.last(), Some(&Event::Failed));
    assert_eq!(failed.participant.poll_timeout(lab.lan.now()), None);
    assert!(failed.ki().is_none());
    assert!(lab.lan[1].ki().is_none());
}

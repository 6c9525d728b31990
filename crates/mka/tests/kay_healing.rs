//! From each kind of trouble by itself ports are secured again, without a restart, within a time that is stated, and
//! then all hear all.

mod data_plane;
mod kay_lab;
mod lab;

use std::time::Duration;

use kay_lab::{KayLab, common_ki};
use lab::{config, seconds};
use macsec::CipherSuite;
use mka::{
    KayConfig, KayEvent, MiReason, RekeyReason, Suites,
    cp::CpEvent,
    order::{Action, OrderFailure},
};
use netem::Link;

const DATA: Duration = Duration::from_millis(50);

fn secured(seed: u64, priorities: &[u8]) -> KayLab {
    let mut lab = KayLab::of(seed, priorities);
    lab.secured_within(seconds(2));
    lab.send_data(DATA);
    lab.lan.run_for(seconds(10));
    lab
}

/// Healed within `time`, for good: for a while nothing closes, nothing is lost.
#[track_caller]
fn healed_within(lab: &mut KayLab, time: Duration) {
    lab.secured_within(time);
    lab.lan.run_for(seconds(5));
    all_hear_all(lab);
}

#[track_caller]
fn all_hear_all(lab: &mut KayLab) {
    lab.stop_data();
    lab.forget_data();
    let closed: Vec<_> = lab.lan.nodes().map(kay_lab::Station::closed).collect();
    lab.send_data(DATA);
    lab.lan.run_for(seconds(40));
    lab.stop_data();
    lab.secured_within(seconds(1));
    assert_eq!(lab.lost(), 0, "{}", lab.show());
    let closed_since: Vec<_> = lab.lan.nodes().map(kay_lab::Station::closed).collect();
    assert_eq!(closed_since, closed, "{}", lab.show());
}

fn rekey(lab: &mut KayLab, server: usize) {
    assert!(lab.lan.with(server, |station, now| station.act(now, |kay| kay.request_rekey(now))));
}

fn link(lab: &mut KayLab, index: usize, up: bool) {
    lab.lan.with(index, |station, now| station.act(now, |kay| kay.set_port_enabled(now, up)));
}

#[test]
fn one_way_cuts_of_any_length() {
    for (from, to) in [(0, 1), (1, 0)] {
        for time in [1, 3, 5, 6, 7, 8, 9, 12, 60] {
            let mut lab = secured(time, &[16, 32]);
            lab.lan.link(from, to).cut = true;
            lab.lan.run_for(seconds(time));
            lab.lan.set_links(Link::CLEAN);
            healed_within(&mut lab, seconds(15));
        }
    }
}

#[test]
fn one_way_cuts_between_any_two_of_three() {
    for from in 0..3 {
        for to in (0..3).filter(|to| *to != from) {
            for time in [3, 7, 9, 30] {
                let mut lab = secured(time, &[16, 32, 48]);
                lab.lan.link(from, to).cut = true;
                lab.lan.run_for(seconds(time));
                lab.lan.set_links(Link::CLEAN);
                healed_within(&mut lab, seconds(25));
            }
        }
    }
}

#[test]
fn cuts_both_ways_between_any_two_of_three() {
    for (one, other) in [(0, 1), (0, 2), (1, 2)] {
        for time in [3, 7, 9, 30] {
            let mut lab = secured(time, &[16, 32, 48]);
            lab.lan.link(one, other).cut = true;
            lab.lan.link(other, one).cut = true;
            lab.lan.run_for(seconds(time));
            lab.lan.set_links(Link::CLEAN);
            healed_within(&mut lab, seconds(25));
        }
    }
}

#[test]
fn a_network_that_is_gone_for_an_hour() {
    let mut lab = secured(2, &[16, 32, 48]);
    lab.lan.set_links(Link { cut: true, ..Link::CLEAN });
    lab.lan.run_for(seconds(3600));
    assert!(lab.lan.nodes().all(|station| !station.plane.open && station.plane.is_empty()));
    lab.lan.set_links(Link::CLEAN);
    healed_within(&mut lab, seconds(10));
}

#[test]
fn links_down_and_up_at_either_end() {
    for index in 0..2 {
        for millis in [0, 1, 150, 3000, 7000] {
            let mut lab = secured(millis, &[16, 32]);
            link(&mut lab, index, false);
            assert!(!lab.lan[index].plane.open);
            lab.lan.run_for(Duration::from_millis(millis));
            link(&mut lab, index, true);
            healed_within(&mut lab, seconds(8));
        }
    }
}

#[test]
fn a_link_that_flaps() {
    for gap in [1, 40, 300, 1500] {
        let mut lab = secured(gap, &[16, 32]);
        for _ in 0..100 {
            for up in [false, true] {
                link(&mut lab, 1, up);
                lab.lan.run_for(Duration::from_millis(gap));
            }
        }
        healed_within(&mut lab, seconds(15));
    }
}

#[test]
fn restarts_of_anybody_and_of_all() {
    for index in 0..3 {
        let mut lab = secured(index as u64, &[16, 32, 48]);
        lab.restart(index);
        healed_within(&mut lab, seconds(8));
    }
    let mut lab = secured(9, &[16, 32, 48]);
    (0..3).for_each(|index| lab.restart(index));
    healed_within(&mut lab, seconds(8));
}

#[test]
fn restarts_in_quick_succession() {
    for index in 0..2 {
        for gap in [10, 120, 500, 1500, 2900] {
            let mut lab = secured(gap, &[16, 32]);
            for _ in 0..4 {
                lab.restart(index);
                lab.lan.run_for(Duration::from_millis(gap));
            }
            healed_within(&mut lab, seconds(15));
        }
    }
}

/// At every moment of a rekey.
#[test]
fn restarts_while_a_sak_is_under_way() {
    for index in 0..2 {
        for millis in (0..400).step_by(20) {
            let mut lab = secured(millis, &[16, 32]);
            rekey(&mut lab, 0);
            lab.lan.run_for(Duration::from_millis(millis));
            lab.restart(index);
            healed_within(&mut lab, seconds(15));
        }
    }
}

/// The last MKPDU with LRX or with LTX gets lost, or any other: one way is dead from some moment of a rekey on, for
/// so long.
#[test]
fn losses_at_every_moment_of_a_rekey() {
    for (from, to) in [(0, 1), (1, 0)] {
        for time in [500, 2500, 5500, 8500] {
            for millis in (0..500).step_by(50) {
                let mut lab = secured(millis, &[16, 32]);
                rekey(&mut lab, 0);
                lab.lan.run_for(Duration::from_millis(millis));
                lab.lan.link(from, to).cut = true;
                lab.lan.run_for(Duration::from_millis(time));
                lab.lan.set_links(Link::CLEAN);
                healed_within(&mut lab, seconds(20));
            }
        }
    }
}

fn fails(action: &Action, what: &str) -> Option<OrderFailure> {
    format!("{action:?}").starts_with(what).then_some(OrderFailure::Device)
}

/// Each kind of order by itself, at either end, at a rekey and at the first SAK.
#[test]
fn data_planes_that_fail_one_kind_of_order_for_a_while() {
    type Fault = fn(&Action) -> Option<OrderFailure>;
    let faults: [(&str, Fault); 9] = [
        ("SetControls", |action| fails(action, "SetControls")),
        ("SetControlledPort", |action| fails(action, "SetControlledPort")),
        ("InstallKey", |action| fails(action, "InstallKey")),
        ("CreateReceiveSc", |action| fails(action, "CreateReceiveSc")),
        ("InstallReceiveSa", |action| fails(action, "InstallReceiveSa")),
        ("InstallTransmitSa", |action| fails(action, "InstallTransmitSa")),
        ("EnableTransmit", |action| fails(action, "EnableTransmit")),
        ("Delete", |action| fails(action, "Delete")),
        ("RemoveKey", |action| fails(action, "RemoveKey")),
    ];
    for (name, fault) in faults {
        for index in 0..3 {
            let mut lab = KayLab::of(1, &[16, 32, 48]);
            lab.lan[index].fault = Some(fault);
            lab.lan.run_for(seconds(20));
            lab.lan[index].fault = None;
            println!("{name} at {index}, first");
            healed_within(&mut lab, seconds(45));

            let mut lab = secured(2, &[16, 32, 48]);
            lab.lan[index].fault = Some(fault);
            rekey(&mut lab, 0);
            lab.lan.run_for(seconds(20));
            lab.lan[index].fault = None;
            println!("{name} at {index}, then");
            healed_within(&mut lab, seconds(45));
        }
    }
}

#[test]
fn slow_data_planes() {
    for index in 0..2 {
        for millis in [300, 1000, 2500, 4000] {
            let mut lab = KayLab::of(millis, &[16, 32]);
            lab.lan[index].order_delay = Duration::from_millis(millis);
            lab.secured_within(seconds(40));
            lab.lan.run_for(seconds(10));
            if index == 0 {
                lab.lan.with(0, |station, now| station.act(now, |kay| kay.request_rekey(now)));
            }
            lab.lan.run_for(seconds(40));
            lab.lan[index].order_delay = Duration::ZERO;
            healed_within(&mut lab, seconds(30));
        }
    }
}

/// Answers that come only after they were given up.
#[test]
fn a_data_plane_that_is_too_slow_for_a_while() {
    for index in 0..2 {
        for secs in [7, 10, 25] {
            let mut lab = secured(secs, &[16, 32]);
            lab.lan[index].order_delay = seconds(secs);
            rekey(&mut lab, 0);
            lab.lan.run_for(seconds(60));
            lab.lan[index].order_delay = Duration::ZERO;
            healed_within(&mut lab, seconds(90));
        }
    }
}

#[test]
fn key_servers_that_come_and_go() {
    let mut lab = secured(5, &[32, 48, 16]);
    for _ in 0..5 {
        lab.lan.take(2);
        lab.lan.run_for(seconds(20));
        lab.secured_within(seconds(5));
        lab.restart(2);
        lab.lan.run_for(seconds(4));
    }
    healed_within(&mut lab, seconds(20));
}

/// Two of one priority, and three.
#[test]
fn ties_of_priorities() {
    for members in 2..=3 {
        let mut lab = KayLab::of(6, &[16; 3][..members]);
        healed_within(&mut lab, seconds(10));
        assert!(lab.lan[0].is_key_server(), "the lowest SCI");
    }
}

#[test]
fn both_ends_down_and_up_at_once() {
    let mut lab = secured(7, &[16, 32]);
    for up in [false, true] {
        for index in 0..2 {
            link(&mut lab, index, up);
        }
    }
    healed_within(&mut lab, seconds(5));
}

#[test]
fn a_split_in_two_halves_with_a_key_server_each() {
    let mut lab = secured(8, &[16, 32, 48, 64]);
    for one in 0..2 {
        for other in 2..4 {
            lab.lan.link(one, other).cut = true;
            lab.lan.link(other, one).cut = true;
        }
    }
    lab.lan.run_for(seconds(40));
    assert!(lab.lan[0].is_key_server() && lab.lan[2].is_key_server());
    assert!(common_ki(&lab.lan).is_none());
    assert!(lab.lan.nodes().all(kay_lab::Station::is_secured));
    lab.lan.set_links(Link::CLEAN);
    healed_within(&mut lab, seconds(20));
}

#[test]
fn packet_numbers_that_run_out_again_and_again() {
    for suite in CipherSuite::ALL {
        for index in 0..2 {
            let configs: Vec<_> = [16, 32]
                .iter()
                .zip(1..)
                .map(|(&priority, station)| {
                    let mut config = KayConfig::new(config(station));
                    config.participant.priority = priority;
                    config.participant.suites = Suites::new(&[suite]).unwrap();
                    config
                })
                .collect();
            let mut lab = KayLab::new(10, &configs);
            lab.secured_within(seconds(2));
            lab.send_data(DATA);
            lab.lan[index].pn_offset = if suite.is_xpn() { 0xc000 << 48 } else { 0xc000_0000 };
            lab.lan.run_for(seconds(60));
            assert!(lab.lan[0].generated().contains(&RekeyReason::PnExhaustion), "{suite:?}");
            lab.lan[index].pn_offset = 0;
            healed_within(&mut lab, seconds(10));
            assert_eq!(lab.lan[0].closed() + lab.lan[1].closed(), 0);
        }
    }
}

/// An earlier run knows the KI, again and again.
#[test]
fn kis_of_an_earlier_run() {
    for index in 0..2 {
        let mut lab = KayLab::of(11, &[16, 32]);
        lab.lan[index].fault = Some(|action| {
            matches!(action, Action::EnableTransmit { .. }).then_some(OrderFailure::KeyUsedBefore)
        });
        lab.lan.run_for(seconds(30));
        assert!(lab.lan[index].new_mis().contains(&MiReason::SakReused));
        assert!(lab.lan[index].new_mis().len() < 60, "{:?}", lab.lan[index].new_mis().len());
        lab.lan[index].fault = None;
        healed_within(&mut lab, seconds(40));
    }
}

/// What could not be deleted stayed, for ever: each SAK that got the AN of such an SA was refused by the data plane. When all
/// other ANs were taken in that way no SAK ever got into use.
#[test]
fn deletions_that_failed_are_repeated() {
    let mut lab = secured(12, &[16, 32]);
    lab.lan[1].fault = Some(|action| fails(action, "Delete").or_else(|| fails(action, "Remove")));
    for _ in 0..4 {
        rekey(&mut lab, 0);
        lab.lan.run_for(seconds(5));
    }
    lab.lan[1].fault = None;
    lab.lan.run_for(seconds(60));
    assert_eq!(lab.lan[1].plane.keys.len(), 1, "{}", lab.show());
    let before = lab.lan[1].events.len();
    for _ in 0..8 {
        rekey(&mut lab, 0);
        lab.lan.run_for(seconds(10));
    }
    let failed =
        |event: &KayEvent| matches!(event, KayEvent::ControlledPort(CpEvent::OrderFailed { .. }));
    assert!(!lab.lan[1].events[before..].iter().any(failed), "{}", lab.show());
}

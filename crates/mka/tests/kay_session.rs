//! Sessions of KaYs: up, rekeyed, restarted, torn, healed, and not a frame lost that need not be.

mod data_plane;
mod kay_lab;
mod lab;

use std::time::Duration;

use kay_lab::KayLab;
use lab::seconds;
use mka::{
    MiReason, RekeyReason,
    order::{Action, OrderFailure},
};

const DATA: Duration = Duration::from_millis(5);

#[test]
fn two_ports_are_secured_within_a_second() {
    for seed in 0..20 {
        let mut lab = KayLab::of(seed, &[16, 32]);
        lab.secured_within(Duration::from_millis(999));
        assert_eq!(lab.lan[0].generated(), [RekeyReason::First]);
    }
}

#[test]
fn a_rekey_loses_no_frame() {
    let mut lab = KayLab::of(1, &[16, 32]);
    lab.secured_within(seconds(1));
    lab.send_data(DATA);
    for _ in 0..20 {
        let before = lab.lan[0].ki();
        assert!(lab.lan.with(0, |station, now| station.act(now, |kay| kay.request_rekey(now))));
        lab.lan.run_for(seconds(1));
        assert_ne!(lab.lan[0].ki(), before);
        lab.lan.run_for(seconds(4));
    }
    for index in 0..2 {
        lab.lan[index].data_interval = None;
    }
    lab.lan.run_for(seconds(1));
    assert!(lab.lan[0].sent > 15_000);
    assert_eq!((lab.lost(), lab.lan[0].closed()), (0, 0), "{}", lab.show());
}

#[test]
fn three_ports_and_a_late_one() {
    let mut lab = KayLab::of(3, &[16, 32, 48]);
    lab.lan.take(2);
    lab.secured_within(seconds(2));
    lab.restart(2);
    lab.secured_within(seconds(8));
}

#[test]
fn either_end_restarts() {
    for index in [0, 1] {
        let mut lab = KayLab::of(4, &[16, 32]);
        lab.secured_within(seconds(1));
        lab.lan.run_for(seconds(20));
        lab.restart(index);
        lab.secured_within(seconds(2));
    }
}

#[test]
fn a_data_plane_that_fails_once_gets_another_sak() {
    for index in [0, 1] {
        let mut lab = KayLab::of(5, &[16, 32]);
        lab.secured_within(seconds(1));
        lab.lan[index].fault = Some(|action| {
            matches!(action, Action::InstallTransmitSa(_)).then_some(OrderFailure::Device)
        });
        lab.lan.with(0, |station, now| station.act(now, |kay| kay.request_rekey(now)));
        lab.lan.run_for(seconds(3));
        lab.lan[index].fault = None;
        lab.lan.run_for(seconds(40));
        lab.secured_within(seconds(1));
        assert_eq!(lab.lan[index].closed(), 0, "the key of before goes on");
    }
}

#[test]
fn a_ki_of_an_earlier_run_is_refused_with_a_new_mi() {
    let mut lab = KayLab::of(6, &[16, 32]);
    lab.lan[1].fault = Some(|action| {
        matches!(action, Action::EnableTransmit { .. }).then_some(OrderFailure::KeyUsedBefore)
    });
    lab.lan.run_for(Duration::from_millis(300));
    lab.lan[1].fault = None;
    lab.secured_within(seconds(8));
    assert!(lab.lan[1].new_mis().contains(&MiReason::SakReused), "{:?}", lab.lan[1].new_mis());
}

//! What went wrong once where the machines of a KaY meet.

mod data_plane;
mod kay_lab;
mod lab;

use std::time::Duration;

use kay_lab::KayLab;
use lab::{config, millis, seconds};
use mka::{
    KayConfig,
    order::{Action, OrderFailure},
};
use netem::{Dice, Link};

const DATA: Duration = Duration::from_millis(20);

fn secured(seed: u64, priorities: &[u8]) -> KayLab {
    let mut lab = KayLab::of(seed, priorities);
    lab.secured_within(seconds(2));
    lab.send_data(DATA);
    lab.lan.run_for(seconds(10));
    lab
}

/// Not a frame is lost in a minute.
#[track_caller]
fn all_hear_all(lab: &mut KayLab) {
    lab.stop_data();
    lab.forget_data();
    lab.send_data(DATA);
    lab.lan.run_for(seconds(60));
    lab.stop_data();
    assert_eq!(lab.lost(), 0, "{}", lab.show());
}

/// Cuts both ways between 1 and 2.
fn cut(lab: &mut KayLab, cut: bool) {
    for (from, to) in [(1, 2), (2, 1)] {
        lab.lan.link(from, to).cut = cut;
    }
}

/// The participant did not ask whether its port was enabled before it sent.
#[test]
fn a_port_that_is_down_is_silent() {
    let mut lab = secured(3, &[16, 32]);
    lab.lan.with(1, |station, now| station.act(now, |kay| kay.set_port_enabled(now, false)));
    let sent = lab.lan.sent().len();
    lab.lan.run_for(seconds(30));
    assert!(lab.lan.sent()[sent..].iter().all(|sent| sent.from == 0));
    assert_eq!(lab.lan[1].kay.poll_timeout(), None);
}

/// Clients that had lost each other, though not the key server, deleted each other's SAs. When they were back there was no
/// new SAK, and a SecY does not make an SA a second time for one key.
#[test]
fn clients_that_lost_each_other_hear_each_other_again() {
    let mut lab = secured(1, &[16, 32, 48]);
    let ki = lab.lan[0].ki();
    cut(&mut lab, true);
    lab.lan.run_for(seconds(20));
    cut(&mut lab, false);
    lab.secured_within(seconds(10));
    lab.lan.run_for(seconds(5));
    all_hear_all(&mut lab);
    assert_eq!(lab.lan[0].ki(), ki, "the key server has lost nobody");
}

/// Nobody waited for the SA of a member that became known after the SAK: if it failed, that member was not heard until the
/// next SAK, which might never come.
#[test]
fn a_receive_sa_that_failed_for_a_late_member_makes_for_another_sak() {
    let mut lab = KayLab::of(4, &[16, 32, 48]);
    cut(&mut lab, true);
    lab.lan.run_for(seconds(8));
    let first = lab.lan[0].ki();
    lab.lan[1].fault = Some(|action| {
        matches!(action, Action::InstallReceiveSa { .. }).then_some(OrderFailure::Device)
    });
    cut(&mut lab, false);
    lab.lan.run_for(seconds(5));
    lab.lan[1].fault = None;
    lab.lan.run_for(seconds(40));
    lab.secured_within(seconds(1));
    assert_ne!(lab.lan[0].ki(), first);
    all_hear_all(&mut lab);
    assert_eq!(lab.lan[1].closed(), 0, "the key of before goes on");
}

/// A key server that joins transmitted at once, as its own port was closed; whoever had its SAK first followed it and was
/// not heard by who had not.
#[test]
fn a_key_server_that_joins_waits_until_all_have_its_sak() {
    let mut lab = KayLab::of(5, &[16, 32, 1]);
    lab.lan.take(2);
    lab.secured_within(seconds(2));
    lab.lan[1].order_delay = Duration::from_millis(400);
    lab.send_data(DATA);
    lab.lan.run_for(seconds(1));
    lab.restart(2);
    lab.lan.run_for(seconds(20));
    lab.secured_within(seconds(1));
    lab.stop_data();
    assert!(lab.lan[2].is_key_server());
    let others = [lab.lan[0].sci, lab.lan[1].sci];
    assert_eq!(lab.lost_among(&others), 0, "{}", lab.show());
}

/// Who has lost the key server takes a new MI. A successor that had made its SAK for the MIs of before went over to it with
/// whoever was left, and cut the others off.
#[test]
fn a_successor_of_the_key_server_leaves_nobody_behind() {
    for seed in 0..20 {
        let mut lab = KayLab::of(seed, &[16, 32, 48, 64]);
        lab.lan.set_links(Link { jitter: Duration::from_millis(20), ..Link::CLEAN });
        lab.secured_within(seconds(2));
        lab.lan.run_for(seconds(10));
        lab.send_data(DATA);
        lab.lan.take(0);
        lab.lan.run_for(seconds(20));
        lab.secured_within(seconds(1));
        lab.stop_data();
        assert_eq!(lab.lost(), 0, "seed {seed}: {}", lab.show());
    }
}

/// When a key server goes, everybody takes itself for the successor for a moment. Whoever saw all members receive with its last
/// SAK, which it had not come to transmit with itself, went over to it at that moment. The true successor did not, if somebody
/// had joined meanwhile; and it counted the time that had been lost with that SAK as its own.
#[test]
fn the_last_sak_of_a_key_server_that_has_gone_is_its_successors_to_use() {
    for late in [1, 50, 150] {
        let mut lab = KayLab::of(1, &[16, 32, 48, 64, 80]);
        // When the successor notices.
        lab.lan.link(0, 1).delay = Duration::from_millis(late);
        lab.secured_within(seconds(2));
        lab.lan.run_for(seconds(10));
        lab.send_data(DATA);
        // Who has gone holds the SAK up, until the key server goes as well.
        lab.lan.take(4);
        lab.lan.with(0, |station, now| station.act(now, |kay| kay.request_rekey(now)));
        lab.lan.run_for(seconds(4));
        lab.lan.take(0);
        lab.lan.run_for(seconds(1));
        lab.restart(4);
        lab.lan.run_for(seconds(20));
        lab.secured_within(seconds(1));
        lab.stop_data();
        let others = [lab.lan[1].sci, lab.lan[2].sci, lab.lan[3].sci];
        assert_eq!(lab.lost_among(&others), 0, "{late} ms late\n{}", lab.show());
    }
}

/// A newcomer that is the best key server came amid a rollover. The key server of before was about to transmit with its SAK,
/// when all others gave that up for the newcomer's.
#[test]
fn a_better_key_server_that_comes_amid_a_rollover_costs_nothing() {
    for after in (0..300).step_by(10) {
        let mut lab = KayLab::of(after, &[32, 48, 64, 16]);
        lab.lan.take(3);
        for index in 0..3 {
            lab.lan[index].order_delay = Duration::from_millis(60);
        }
        lab.secured_within(seconds(2));
        lab.lan.run_for(seconds(10));
        lab.send_data(DATA);
        lab.lan.with(0, |station, now| station.act(now, |kay| kay.request_rekey(now)));
        lab.lan.run_for(Duration::from_millis(after));
        lab.restart(3);
        lab.lan.run_for(seconds(20));
        lab.stop_data();
        let others = [0, 1, 2].map(|index| lab.lan[index].sci);
        assert_eq!(lab.lost_among(&others), 0, "after {after} ms\n{}", lab.show());
        lab.secured_within(seconds(1));
    }
}

/// Who joined just after the SAK for another joiner had been made stopped its distribution: it goes along with the list of its
/// members alone. The key server waited for it all the same, and after six seconds went over to a SAK that nobody had.
#[test]
fn two_that_join_at_once_cost_the_others_nothing() {
    for apart in (0..120).step_by(10) {
        let mut lab = KayLab::of(7, &[16, 32, 48, 64]);
        lab.lan.take(2);
        lab.lan.take(3);
        lab.secured_within(seconds(2));
        lab.lan.run_for(seconds(10));
        lab.send_data(DATA);
        lab.restart(2);
        lab.lan.run_for(Duration::from_millis(apart));
        lab.restart(3);
        lab.secured_within(seconds(5));
        lab.lan.run_for(seconds(10));
        lab.stop_data();
        let before = [lab.lan[0].sci, lab.lan[1].sci];
        assert_eq!(lab.lost_among(&before), 0, "{apart} ms apart\n{}", lab.show());
    }
}

/// The Controlled Port's timers were those of a Life Time of six seconds, whatever the Hello Time. Who noticed first that the
/// key server had gone was out of patience before another had noticed at all.
#[test]
fn members_that_lose_the_key_server_one_after_the_other_lose_no_data_whatever_the_hello_time() {
    let hello = seconds(10);
    let configs: Vec<_> = (1..=3)
        .map(|station| {
            let mut participant = config(station);
            participant.priority = 16 * station;
            participant.hello_time = hello;
            KayConfig::new(participant)
        })
        .collect();
    let mut lab = KayLab::new(1, &configs);
    lab.secured_within(hello);
    lab.lan.run_for(5 * hello);
    lab.send_data(DATA);
    cut_off(&mut lab, 0, 1);
    lab.lan.run_for(seconds(8));
    cut_off(&mut lab, 0, 2);
    lab.lan.run_for(8 * hello);
    lab.stop_data();
    let others = [lab.lan[1].sci, lab.lan[2].sci];
    assert_eq!(lab.lost_among(&others), 0, "{}", lab.show());
    assert_eq!(lab.lan[1].ki(), lab.lan[2].ki());
    assert_eq!(lab.lan[1].closed() + lab.lan[2].closed(), 0);
}

fn cut_off(lab: &mut KayLab, one: usize, other: usize) {
    for (from, to) in [(one, other), (other, one)] {
        lab.lan.link(from, to).cut = true;
    }
}

/// A key server that had just come made a SAK of which another did not know yet, and stopped being key server: as it had no
/// key in use it went over to that, and whoever had it followed.
#[test]
fn who_is_key_server_no_more_takes_nobody_along_to_a_sak_that_not_all_have() {
    for (seed, back) in (0..4).flat_map(|seed| (0..25).map(move |back| (seed, back))) {
        let mut lab = KayLab::of(seed, &[1, 2, 3, 4]);
        lab.begin(&mut Dice::new(seed), 150);
        lab.send_data(DATA);
        lab.lan.take(0);
        lab.lan.run_for(millis(70));
        lab.restart(1);
        lab.lan.run_for(millis(3600 + 100 * back));
        lab.restart(0);
        lab.lan.run_for(seconds(20));
        lab.stop_data();
        let stayed = [lab.lan[2].sci, lab.lan[3].sci];
        assert_eq!(lab.lost_among(&stayed), 0, "seed {seed} back {back}\n{}", lab.show());
        lab.secured_within(seconds(1));
    }
}

/// Members that do not know each other are waited for, half a Life Time after one was new. One that began anew in just that
/// rhythm had all others wait for ever: a newcomer got no SAK, nor was there any other.
#[test]
fn who_begins_anew_again_and_again_does_not_keep_others_out() {
    for every in (200..4600).step_by(200).chain([990, 1010, 2990, 3010]) {
        let mut lab = KayLab::of(every, &[1, 2, 3, 4]);
        lab.lan.take(3);
        lab.secured_within(seconds(10));
        // Two do not hear each other, and list nobody whom only others have heard.
        cut_off(&mut lab, 1, 2);
        lab.lan[1].says = Some(Box::new(|_, body| body.potential = None));
        lab.lan.run_for(seconds(8));
        let start = lab.lan.now();
        lab.restart(3);
        let mut is_in = false;
        while !is_in {
            assert!(lab.lan.now() < start + seconds(15), "every {every} ms\n{}", lab.show());
            lab.restart(2);
            lab.lan[2].says = Some(Box::new(|_, body| body.potential = None));
            let next = lab.lan.now() + millis(every);
            is_in =
                lab.lan.drive_until(next, |lan| lan[3].is_secured() && lan[3].ki() == lan[0].ki());
        }
    }
}

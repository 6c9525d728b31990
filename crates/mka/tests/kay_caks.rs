//! Several CAKs at once: a CAK that is rolled, and one to fall back on.

mod data_plane;
mod kay_lab;
mod lab;

use std::time::Duration;

use kay_lab::{KayLab, Station, ckn_of, common_ki};
use lab::{millis, seconds};
use mka::{AddError, Cak, KayEvent, MAX_PARTICIPANTS, RekeyReason};
use netem::Link;

const OLD: u8 = 0;
const NEW: u8 = 1;
const FALLBACK: u8 = 2;

fn each(lab: &mut KayLab, mut act: impl FnMut(&mut Station, Duration)) {
    for index in 0..lab.lan.len() {
        lab.lan.with(index, &mut act);
    }
}

fn with(lab: &mut KayLab, index: usize, act: impl FnOnce(&mut Station, Duration)) {
    lab.lan.with(index, act);
}

/// A lab that is secured under the old CAK, with data under way.
fn secured(seed: u64, priorities: &[u8]) -> KayLab {
    let mut lab = KayLab::of(seed, priorities);
    lab.secured_within(seconds(10));
    lab.lan.run_for(seconds(5));
    lab.send_data(millis(5));
    lab
}

#[track_caller]
fn all_use(lab: &KayLab, number: u8) {
    for station in lab.lan.nodes() {
        assert_eq!(station.cak_in_use(), Some(number), "{}", lab.show());
    }
    assert!(common_ki(&lab.lan).is_some(), "{}", lab.show());
}

/// Nothing has been lost, and no port been closed after it was first open.
#[track_caller]
fn nothing_lost(lab: &mut KayLab) {
    lab.stop_data();
    assert_eq!(lab.lost(), 0, "{}", lab.show());
    let refused: u64 = lab.lan.nodes().map(|station| station.refused).sum();
    assert_eq!(refused, 0, "{}", lab.show());
    assert!(lab.lan.nodes().all(|station| station.closed() == 0), "{}", lab.show());
}

#[test]
fn a_cak_is_rolled_in_whatever_order_the_ends_are_told() {
    for (first, preferred_at_once) in [(0, false), (1, false), (0, true), (1, true)] {
        let mut lab = secured(7, &[1, 2]);
        let second = 1 - first;
        let preference = if preferred_at_once { 0 } else { 9 };
        for index in [first, second] {
            with(&mut lab, index, |station, now| {
                station.prefer(now, OLD, 5);
                station.add_cak(now, NEW, preference);
            });
            if index == first {
                lab.lan.run_for(seconds(20));
                all_use(&lab, OLD);
            }
            lab.lan.run_for(seconds(8));
        }
        if !preferred_at_once {
            all_use(&lab, OLD);
            // The key server alone has a say.
            with(&mut lab, 1, |station, now| station.prefer(now, NEW, 0));
            lab.lan.run_for(seconds(8));
            all_use(&lab, OLD);
            with(&mut lab, 0, |station, now| station.prefer(now, NEW, 0));
            lab.lan.run_for(seconds(3));
        }
        all_use(&lab, NEW);
        let why = lab.lan[0].generated();
        assert_eq!(why, [RekeyReason::First, RekeyReason::CakChanged]);
        for index in [first, second] {
            with(&mut lab, index, |station, now| station.remove_cak(now, OLD));
            lab.lan.run_for(seconds(20));
            all_use(&lab, NEW);
        }
        nothing_lost(&mut lab);
    }
}

#[test]
fn nobody_is_left_behind_by_a_roll() {
    let mut lab = secured(3, &[1, 2, 3, 4]);
    for index in [0, 3, 2] {
        with(&mut lab, index, |station, now| {
            station.prefer(now, OLD, 5);
            station.add_cak(now, NEW, 0);
        });
        lab.lan.run_for(seconds(10));
        all_use(&lab, OLD);
    }
    with(&mut lab, 1, |station, now| station.add_cak(now, NEW, 9));
    lab.lan.run_for(seconds(10));
    all_use(&lab, NEW);
    each(&mut lab, |station, now| station.remove_cak(now, OLD));
    lab.lan.run_for(seconds(20));
    all_use(&lab, NEW);
    nothing_lost(&mut lab);
}

#[test]
fn many_rolls_and_rekeys_lose_nothing() {
    let mut lab = secured(11, &[2, 1, 3]);
    let mut present = OLD;
    for next in 1..=16_u8 {
        let order = [usize::from(next) % 3, usize::from(next + 1) % 3, usize::from(next + 2) % 3];
        for index in order {
            with(&mut lab, index, |station, now| {
                station.prefer(now, present, 5);
                station.add_cak(now, next, 0);
            });
            lab.lan.run_for(millis(300));
        }
        let deadline = lab.lan.now() + seconds(8);
        lab.lan.drive_until(deadline, |lan| {
            lan.nodes().all(|station| station.cak_in_use() == Some(next))
        });
        all_use(&lab, next);
        with(&mut lab, 1, |station, now| {
            assert!(station.act(now, |kay| kay.request_rekey(now)));
        });
        for index in order {
            lab.lan.run_for(millis(700));
            with(&mut lab, index, |station, now| station.remove_cak(now, present));
        }
        present = next;
    }
    lab.lan.run_for(seconds(10));
    all_use(&lab, present);
    nothing_lost(&mut lab);
}

/// The CAK of one end is replaced by a wrong one. The other end needs a Life Time to notice; meanwhile and after that
/// data goes on.
#[test]
fn the_fallback_takes_over_and_gives_back_without_a_loss() {
    for wrong_end in [0, 1] {
        let mut lab = secured(5, &[1, 2]);
        each(&mut lab, |station, now| station.add_cak(now, FALLBACK, 100));
        lab.lan.run_for(seconds(10));
        all_use(&lab, OLD);

        with(&mut lab, wrong_end, |station, now| {
            station.remove_cak(now, OLD);
            station.add_cak_as(now, 77, OLD, 0);
        });
        lab.lan.run_for(seconds(10));
        all_use(&lab, FALLBACK);
        lab.lan.run_for(seconds(60));
        all_use(&lab, FALLBACK);

        with(&mut lab, 1 - wrong_end, |station, now| {
            station.remove_cak(now, OLD);
            station.add_cak_as(now, 77, OLD, 0);
        });
        lab.lan.run_for(seconds(10));
        all_use(&lab, OLD);
        nothing_lost(&mut lab);
    }
}

#[test]
fn with_a_wrong_primary_a_session_begins_on_the_fallback() {
    let mut lab = KayLab::of(9, &[1, 2]);
    each(&mut lab, |station, now| station.add_cak(now, FALLBACK, 100));
    with(&mut lab, 1, |station, now| {
        station.remove_cak(now, OLD);
        station.add_cak_as(now, 77, OLD, 0);
    });
    lab.secured_within(seconds(2));
    all_use(&lab, FALLBACK);
    assert!(lab.lan[0].kay.participant_counters().in_icv_errors > 0);
}

#[test]
fn the_key_server_goes_and_another_goes_on_with_its_own_preference() {
    let mut lab = secured(13, &[1, 2, 3]);
    each(&mut lab, |station, now| station.add_cak(now, NEW, 9));
    with(&mut lab, 1, |station, now| station.prefer(now, OLD, 20));
    lab.lan.run_for(seconds(10));
    all_use(&lab, OLD);
    lab.stop_data();
    lab.lan.take(0);
    lab.send_data(millis(5));
    lab.lan.run_for(seconds(30));
    for station in lab.lan.nodes() {
        assert_eq!(station.cak_in_use(), Some(NEW), "{}", lab.show());
        assert_eq!(station.closed(), 0);
    }
}

/// It is key server of those who have its CAK, which is not the one that the others use.
#[test]
fn who_has_the_fallback_alone_gets_nobody_over() {
    let mut lab = KayLab::of(29, &[1, 2, 0]);
    with(&mut lab, 2, |station, now| {
        station.remove_cak(now, OLD);
        station.add_cak(now, FALLBACK, 0);
    });
    for index in 0..2 {
        with(&mut lab, index, |station, now| station.add_cak(now, FALLBACK, 100));
    }
    lab.lan.run_for(seconds(5));
    lab.send_data(millis(5));
    lab.lan.run_for(seconds(60));
    lab.stop_data();
    for index in 0..2 {
        assert_eq!(lab.lan[index].cak_in_use(), Some(OLD), "{}", lab.show());
    }
    assert_eq!(lab.lost_among(&[lab.lan[0].sci, lab.lan[1].sci]), 0);
    // Without the other CAK, it is the one to follow.
    for index in 0..2 {
        with(&mut lab, index, |station, now| station.remove_cak(now, OLD));
    }
    lab.secured_within(seconds(20));
    all_use(&lab, FALLBACK);
}

/// An end that gives up the CAK in use, with another live, holds the keys until the key server has noticed.
#[test]
fn keys_do_not_outlive_their_cak_for_ever() {
    let mut lab = secured(17, &[1, 2]);
    each(&mut lab, |station, now| station.add_cak(now, NEW, 9));
    lab.lan.run_for(seconds(10));
    lab.lan.set_links(Link { loss: 1000, ..Link::default() });
    with(&mut lab, 1, |station, now| station.remove_cak(now, OLD));
    // The other participant has live peers still, but for no longer than a Life Time.
    lab.lan.run_for(seconds(3));
    assert!(lab.lan[1].is_secured());
    lab.lan.run_for(seconds(5));
    assert!(!lab.lan[1].is_secured(), "{}", lab.show());
    assert!(lab.lan[1].ki().is_none());
    lab.lan.set_links(Link::default());
    lab.lan.run_for(seconds(15));
    all_use(&lab, NEW);
}

#[test]
fn the_last_participant_takes_the_keys_along() {
    let mut lab = secured(19, &[1, 2]);
    with(&mut lab, 1, |station, now| station.remove_cak(now, OLD));
    assert!(!lab.lan[1].is_secured());
    assert!(lab.lan[1].kay.principal().is_none());
    assert!(lab.lan[1].kay.poll_timeout().is_none_or(|at| at > lab.lan.now()));
    with(&mut lab, 1, |station, now| station.add_cak_as(now, 0x42, OLD, 0));
    lab.stop_data();
    lab.secured_within(seconds(10));
}

#[test]
fn a_cak_that_goes_and_comes_at_once_is_a_roll_as_well() {
    let mut lab = secured(23, &[1, 2]);
    each(&mut lab, |station, now| station.add_cak(now, NEW, 9));
    lab.lan.run_for(seconds(10));
    // Back and forth, faster than the old key is retired.
    for (number, preference) in [(NEW, 0), (NEW, 9), (NEW, 0), (OLD, 0), (NEW, 20)] {
        with(&mut lab, 0, |station, now| {
            station.prefer(now, OLD, 5);
            station.prefer(now, number, preference);
        });
        lab.lan.run_for(millis(1300));
    }
    lab.lan.run_for(seconds(10));
    all_use(&lab, OLD);
    nothing_lost(&mut lab);
}

#[test]
fn what_cannot_be_added_changes_nothing() {
    let mut lab = KayLab::of(1, &[1]);
    for number in 1..MAX_PARTICIPANTS as u8 {
        lab.lan.with(0, |station, now| station.add_cak(now, number, 0));
    }
    let add = |lab: &mut KayLab, number| {
        lab.lan.with(0, |station, now| {
            let random = lab::Seeded::new(1);
            let cak = Cak::new(&[7; 16]).unwrap();
            station.act(now, |kay| kay.add_participant(now, cak, ckn_of(number), 0, random))
        })
    };
    assert_eq!(add(&mut lab, 3), Err(AddError::Known));
    assert_eq!(add(&mut lab, 99), Err(AddError::Full));
    assert_eq!(lab.lan[0].kay.participants().count(), MAX_PARTICIPANTS);
    let principals = |event: &&KayEvent| matches!(event, KayEvent::Principal(_));
    assert_eq!(lab.lan[0].events.iter().filter(principals).count(), 1);
}

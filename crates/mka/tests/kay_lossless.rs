//! On a network that loses nothing, what secured ports send to each other gets there, whatever keys come and go.
//!
//! `MKA_SIMULATIONS=5000` runs so many cases of each property instead of 32.

mod data_plane;
mod kay_lab;
mod lab;

use std::time::Duration;

use kay_lab::{KayLab, any_member};
use lab::{cases, config, sci, seconds};
use macsec::{CipherSuite, Sci};
use mka::{KayConfig, Suites};
use netem::Dice;
use proptest::prelude::*;

const DATA: Duration = Duration::from_millis(30);

/// Members of any kind, the last of which has the best priority and is not there yet.
fn lab(seed: u64, members: usize, slowest: u64) -> KayLab {
    let mut dice = Dice::new(seed ^ 0x1055);
    let suite = CipherSuite::ALL[dice.below(4) as usize];
    let configs: Vec<_> = (1..=members as u8)
        .map(|station| any_member(&mut dice, station, suite, 500))
        .chain([{
            let mut config = KayConfig::new(config(0x40));
            config.participant.priority = 1;
            config.participant.suites = Suites::new(&[suite]).unwrap();
            config
        }])
        .collect();
    let mut lab = KayLab::new(seed, &configs);
    lab.lan.take(members);
    lab.begin(&mut dice, slowest);
    lab.send_data(DATA);
    lab
}

/// Nothing that one of `members` has sent to another is lost, nor has their port been closed.
#[track_caller]
fn nothing_is_lost(lab: &mut KayLab, members: &[Sci]) {
    lab.stop_data();
    assert_eq!(lab.lost_among(members), 0, "lost\n{}", lab.show());
    let closed = |lab: &KayLab| {
        let stations = lab.lan.nodes().filter(|station| members.contains(&station.sci));
        stations.map(kay_lab::Station::closed).sum::<usize>()
    };
    assert_eq!(closed(lab), 0, "closed\n{}", lab.show());
    lab.send_data(DATA);
}

fn members(count: usize) -> Vec<Sci> {
    (1..=count as u8).map(sci).collect()
}

fn rekey(lab: &mut KayLab) {
    for index in lab.present() {
        lab.lan.with(index, |station, now| station.act(now, |kay| kay.request_rekey(now)));
    }
}

proptest! {
    #![proptest_config(cases(32))]

    #[test]
    fn rekeys_lose_nothing(
        seed: u64,
        count in 2..=4usize,
        waits in prop::collection::vec(0..8000u64, 1..8),
    ) {
        let mut lab = lab(seed, count, 1000);
        for wait in waits {
            rekey(&mut lab);
            lab.lan.run_for(Duration::from_millis(wait));
        }
        lab.lan.run_for(seconds(10));
        nothing_is_lost(&mut lab, &members(count));
    }

    /// A joiner with the best priority takes over as key server, rekeys, and leaves.
    #[test]
    fn changes_of_key_server_lose_nothing(
        seed: u64,
        count in 2..=4usize,
        waits in prop::collection::vec(0..8000u64, 0..3),
    ) {
        let mut lab = lab(seed, count, 400);
        let joiner = count;
        lab.restart(joiner);
        lab.lan.run_for(seconds(25));
        nothing_is_lost(&mut lab, &members(count));
        lab.secured_within(seconds(1));
        lab.stop_data();
        lab.forget_data();
        lab.send_data(DATA);
        for wait in waits {
            rekey(&mut lab);
            lab.lan.run_for(Duration::from_millis(wait));
        }
        lab.lan.run_for(seconds(10));
        let mut all = members(count);
        all.push(sci(0x40));
        nothing_is_lost(&mut lab, &all);
        // The others go on with its SAK until they have one of their own.
        lab.lan.take(joiner);
        lab.lan.run_for(seconds(30));
        nothing_is_lost(&mut lab, &members(count));
        lab.secured_within(seconds(1));
    }

    /// The key server goes at any moment of a rekey.
    #[test]
    fn a_key_server_that_goes_amid_a_rekey_costs_nothing(seed: u64, millis in 0..5000u64) {
        let mut lab = lab(seed, 3, 400);
        let server = (0..3).find(|index| lab.lan[*index].is_key_server()).unwrap();
        let others: Vec<_> = (0..3).filter(|at| *at != server).map(|at| members(3)[at]).collect();
        rekey(&mut lab);
        lab.lan.run_for(Duration::from_millis(millis));
        lab.lan.take(server);
        lab.lan.run_for(seconds(30));
        nothing_is_lost(&mut lab, &others);
        lab.secured_within(seconds(1));
        lab.restart(server);
        lab.lan.run_for(seconds(20));
        nothing_is_lost(&mut lab, &others);
        lab.secured_within(seconds(1));
    }

    /// A member that is not key server leaves and comes back.
    #[test]
    fn leavers_and_joiners_lose_nothing_of_the_others(seed: u64, gone in 0..20_000u64) {
        let mut lab = lab(seed, 3, 400);
        let leaver = (0..3).find(|index| !lab.lan[*index].is_key_server()).unwrap();
        let others: Vec<_> =
            members(3).into_iter().enumerate().filter(|(at, _)| *at != leaver).map(|(_, sci)| sci).collect();
        lab.lan.take(leaver);
        lab.lan.run_for(Duration::from_millis(gone));
        lab.restart(leaver);
        lab.lan.run_for(seconds(20));
        nothing_is_lost(&mut lab, &others);
        lab.secured_within(seconds(1));
    }
}

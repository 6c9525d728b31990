//! Several CAKs at once, by seed: what is added, removed and preferred where and when, in whatever order, costs no frame as
//! long as there is a CAK that all have; and all come back when the network does.
//!
//! `MKA_SIMULATIONS=5000` runs so many cases of each property instead of 24.

mod data_plane;
mod kay_lab;
mod lab;

use std::{collections::BTreeMap, time::Duration};

use kay_lab::{KayLab, any_member, ckn_of};
use lab::{bad_link, cases, millis, seconds};
use macsec::CipherSuite;
use mka::order::{Action, OrderFailure};
use netem::{Dice, Link};
use proptest::prelude::*;

const DATA: Duration = millis(30);
const CAKS: u8 = 3;
/// After so long a CAK that all have been given is one in which all are live.
const LIVE: Duration = seconds(5);

fn lab(seed: u64, members: usize, slowest: u64) -> KayLab {
    let mut dice = Dice::new(seed ^ 0xca5);
    let suite = CipherSuite::ALL[dice.below(4) as usize];
    let configs: Vec<_> =
        (1..=members as u8).map(|station| any_member(&mut dice, station, suite, 300)).collect();
    let mut lab = KayLab::new(seed, &configs);
    lab.begin(&mut dice, slowest);
    lab
}

/// What an operator may do, and what a network and a data plane may.
#[derive(Clone, Debug)]
enum Act {
    Wait(u64),
    Add(usize, u8, u32),
    Remove(usize, u8),
    /// At all ends, in an order of its own and with so much time in between.
    RemoveEverywhere(usize, u8, u64),
    Prefer(usize, u8, u32),
    Rekey,
    Restart(usize),
    Link(usize, bool),
    Cut(usize, usize),
    Heal,
}

fn who() -> impl Strategy<Value = usize> {
    0..4usize
}

fn operator() -> impl Strategy<Value = Act> {
    let (cak, preference) = (0..CAKS, 0..5u32);
    prop_oneof![
        2 => (0..8_000u64).prop_map(Act::Wait),
        3 => (0..300u64).prop_map(Act::Wait),
        3 => (who(), cak.clone(), preference.clone()).prop_map(|(at, cak, how)| Act::Add(at, cak, how)),
        3 => (who(), cak.clone()).prop_map(|(at, cak)| Act::Remove(at, cak)),
        2 => (who(), cak.clone(), 0..800u64)
            .prop_map(|(at, cak, gap)| Act::RemoveEverywhere(at, cak, gap)),
        2 => (who(), cak, preference).prop_map(|(at, cak, how)| Act::Prefer(at, cak, how)),
        2 => Just(Act::Rekey),
    ]
}

fn trouble() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => operator(),
        1 => who().prop_map(Act::Restart),
        1 => (who(), any::<bool>()).prop_map(|(at, up)| Act::Link(at, up)),
        1 => (who(), who()).prop_map(|(from, to)| Act::Cut(from, to)),
        1 => Just(Act::Heal),
    ]
}

/// The CAK that all begin with has a name and a value of its own.
fn add_cak(lab: &mut KayLab, at: usize, cak: u8, preference: u32) {
    let value = if cak == 0 { 0x42 } else { cak };
    lab.lan.with(at, |station, now| station.add_cak_as(now, value, cak, preference));
}

/// Who has had which CAK since when.
struct Ring {
    since: BTreeMap<(usize, u8), Duration>,
}

impl Ring {
    fn new(members: usize) -> Self {
        Self { since: (0..members).map(|at| ((at, 0), Duration::ZERO)).collect() }
    }

    fn had_by_all(&self, lab: &KayLab, cak: u8) -> bool {
        (0..lab.lan.len()).all(|at| {
            self.since.get(&(at, cak)).is_some_and(|since| *since + LIVE <= lab.lan.now())
        })
    }

    /// Whether all can do without this one.
    fn spares(&self, lab: &KayLab, cak: u8) -> bool {
        (0..CAKS).any(|other| other != cak && self.had_by_all(lab, other))
    }

    fn add(&mut self, lab: &mut KayLab, at: usize, cak: u8, preference: u32) {
        let now = lab.lan.now();
        if self.since.insert((at, cak), now).is_none() {
            add_cak(lab, at, cak, preference);
        } else {
            lab.lan.with(at, |station, now| station.prefer(now, cak, preference));
        }
    }

    fn remove(&mut self, lab: &mut KayLab, at: usize, cak: u8) {
        if self.since.remove(&(at, cak)).is_some() {
            lab.lan.with(at, |station, now| station.remove_cak(now, cak));
        }
    }
}

fn act(lab: &mut KayLab, ring: &mut Ring, links: Link, act: &Act) {
    let members = lab.lan.len();
    let at = |at: usize| at % members;
    match *act {
        Act::Wait(time) => lab.lan.run_for(millis(time)),
        Act::Add(who, cak, preference) => {
            // One that is there already keeps its age.
            let since = ring.since.get(&(at(who), cak)).copied();
            ring.add(lab, at(who), cak, preference);
            ring.since.extend(since.map(|since| ((at(who), cak), since)));
        }
        // Of three, one that gives up what the others go on with is left behind. And who goes before a SAK has got there is
        // waited for, for as long as it takes to be lost: whichever comes first decides.
        Act::Remove(who, cak) if members == 2 && ring.spares(lab, cak) => {
            lab.lan.run_for(millis(250));
            ring.remove(lab, at(who), cak);
        }
        Act::RemoveEverywhere(first, cak, gap) if ring.spares(lab, cak) => {
            lab.lan.run_for(millis(250));
            for who in first..first + members {
                ring.remove(lab, at(who), cak);
                lab.lan.run_for(millis(gap));
            }
        }
        Act::Prefer(who, cak, preference) if ring.since.contains_key(&(at(who), cak)) => {
            lab.lan.with(at(who), |station, now| station.prefer(now, cak, preference));
        }
        Act::Rekey => {
            for index in 0..members {
                lab.lan.with(index, |station, now| station.act(now, |kay| kay.request_rekey(now)));
            }
        }
        Act::Restart(who) => {
            let caks: Vec<_> =
                (1..CAKS).filter(|cak| ring.since.contains_key(&(at(who), *cak))).collect();
            let first = ring.since.contains_key(&(at(who), 0));
            lab.restart(at(who));
            let now = lab.lan.now();
            ring.since.insert((at(who), 0), now);
            for cak in caks {
                add_cak(lab, at(who), cak, 1);
                ring.since.insert((at(who), cak), now);
            }
            if !first {
                ring.remove(lab, at(who), 0);
            }
        }
        Act::Link(who, up) => lab.lan.with(at(who), |station, now| {
            station.act(now, |kay| kay.set_port_enabled(now, up));
        }),
        Act::Cut(from, to) => lab.lan.link(at(from), at(to)).cut = true,
        Act::Heal => lab.lan.set_links(links),
        _ => {}
    }
}

/// The best key server sends a SAK under the new CAK to those who go on under the old one with another key server, as it
/// does not have that. They find out later that it is key server there as well.
#[test]
fn a_key_server_is_followed_as_soon_as_it_is_that_of_the_present_participant() {
    let mut lab = KayLab::of(41, &[1, 2, 3]);
    for at in 0..3 {
        add_cak(&mut lab, at, 1, 9);
    }
    lab.secured_within(seconds(10));
    lab.lan.run_for(seconds(5));
    for other in 1..3 {
        lab.lan.link(0, other).cut = true;
        lab.lan.link(other, 0).cut = true;
    }
    lab.lan.run_for(seconds(20));
    lab.lan.with(0, |station, now| station.remove_cak(now, 0));
    lab.lan.set_links(Link::CLEAN);
    lab.lan.run_for(seconds(10));
    assert_eq!(lab.lan[0].cak_in_use(), Some(1), "{}", lab.show());
    for at in 1..3 {
        assert_eq!(lab.lan[at].cak_in_use(), Some(0), "{}", lab.show());
    }
    add_cak(&mut lab, 0, 0, 20);
    lab.secured_within(seconds(10));
    assert!(lab.lan.nodes().all(|station| station.cak_in_use() == Some(1)), "{}", lab.show());
}

/// The CAK in use goes at any moment of a rekey, at either end: who goes on with another one tells the peers first that it
/// transmits with the new SAK.
#[test]
fn a_cak_that_goes_amid_a_rekey_costs_nothing() {
    for (end, order_delay) in [(0, 0), (1, 0), (0, 70), (1, 70)] {
        for time in (0..500).step_by(13) {
            let mut lab = KayLab::of(37, &[1, 2]);
            for at in 0..2 {
                add_cak(&mut lab, at, 1, 9);
            }
            lab.secured_within(seconds(10));
            lab.lan.run_for(seconds(8) + 11 * millis(time));
            for at in 0..2 {
                lab.lan[at].order_delay = millis(order_delay);
            }
            lab.send_data(DATA);
            lab.lan.with(0, |station, now| station.act(now, |kay| kay.request_rekey(now)));
            lab.lan.run_for(millis(time));
            lab.lan.with(end, |station, now| station.remove_cak(now, 0));
            assert!(lab.lan[end].kay.participant(&ckn_of(0)).is_none());
            lab.lan.run_for(seconds(20));
            lab.stop_data();
            assert_eq!(lab.lost(), 0, "end {end} after {time} ms\n{}", lab.show());
            assert!(lab.lan.nodes().all(|station| station.cak_in_use() == Some(1)));
        }
    }
}

/// The key server sends one SAK of the new CAK after the other, and its data plane takes none. Who has given up the old CAK
/// meanwhile does not go on with the keys of that for ever.
#[test]
fn keys_of_a_removed_cak_do_not_wait_for_ever_for_a_sak_that_nobody_uses() {
    let mut lab = KayLab::of(43, &[1, 2]);
    for at in 0..2 {
        add_cak(&mut lab, at, 1, 9);
    }
    lab.secured_within(seconds(10));
    lab.lan.run_for(seconds(8));
    let old = lab.lan[1].ki().unwrap();
    lab.lan[0].fault = Some(|action| {
        matches!(action, Action::InstallTransmitSa(_)).then_some(OrderFailure::NoRoom)
    });
    lab.lan.with(0, |station, now| station.prefer(now, 0, 20));
    lab.lan.run_for(millis(500));
    lab.lan.with(1, |station, now| station.remove_cak(now, 0));
    lab.lan.run_for(seconds(7));
    assert_eq!(lab.lan[1].ki(), Some(old), "{}", lab.show());
    lab.lan.run_for(seconds(40));
    assert_ne!(lab.lan[1].ki(), Some(old), "{}", lab.show());
    lab.lan[0].fault = None;
    lab.secured_within(seconds(60));
}

/// The key server has a wrong CAK, so all live on the fallback. Who comes again may find those with the right CAK first: their
/// key server, if it is not the one who comes, makes no SAK of that, and if it is, nobody takes it.
#[test]
fn who_comes_to_a_group_on_its_fallback_is_taken_in() {
    let (wrong, fallback) = (77, 1);
    for (guest, seed) in (1..4).flat_map(|guest| (0..8).map(move |seed| (guest, seed))) {
        let mut lab = KayLab::of(seed, &[1, 2, 3, 4]);
        for at in 0..4 {
            add_cak(&mut lab, at, fallback, 100);
        }
        lab.secured_within(seconds(10));
        lab.lan.run_for(seconds(8));
        lab.lan.with(0, |station, now| {
            station.remove_cak(now, 0);
            station.add_cak_as(now, wrong, 0, 0);
        });
        lab.lan.run_for(seconds(20) + millis(77 * seed));
        lab.restart(guest);
        add_cak(&mut lab, guest, fallback, 100);
        lab.secured_within(seconds(15));
        lab.lan.run_for(seconds(15));
        lab.secured_within(seconds(1));
        for station in lab.lan.nodes() {
            assert_eq!(station.cak_in_use(), Some(fallback), "guest {guest}\n{}", lab.show());
        }
    }
}

/// Some have the new CAK already when the key server begins anew. Whichever CAK it hears of them under first: it makes no SAK
/// that the others do not get, or does not go over to it, and those that have the new one do not either.
#[test]
fn a_key_server_that_begins_anew_amid_a_roll_leaves_nobody_behind() {
    for (seed, with_new) in (0..16).flat_map(|seed| (1..4).map(move |with_new| (seed, with_new))) {
        let mut lab = KayLab::of(seed, &[1, 2, 3, 4]);
        lab.begin(&mut Dice::new(seed), 200);
        for at in (0..4).filter(|at| *at != with_new) {
            lab.lan.with(at, |station, now| station.prefer(now, 0, 5));
            add_cak(&mut lab, at, 1, 0);
        }
        lab.lan.run_for(seconds(5));
        lab.send_data(DATA);
        lab.restart(0);
        lab.lan.with(0, |station, now| station.prefer(now, 0, 5));
        add_cak(&mut lab, 0, 1, 0);
        lab.lan.run_for(seconds(20));
        lab.stop_data();
        let others: Vec<_> = (1..4).map(|at| lab.lan[at].sci).collect();
        assert_eq!(lab.lost_among(&others), 0, "without {with_new}\n{}", lab.show());
        assert!(lab.lan.nodes().all(|station| station.uses_cak(0)), "{}", lab.show());
        lab.secured_within(seconds(1));
    }
}

/// One with the best priority has a wrong CAK, and its SAK of the fallback waits at all others. The peers of their key server
/// begin anew at once, and have only the other CAK: the key server left them for that SAK, as none of them had its own yet.
#[test]
fn a_key_server_whose_peers_all_begin_anew_stays_with_them() {
    let (wrong, fallback) = (77, 1);
    for seed in 0..8 {
        let mut lab = KayLab::of(seed, &[1, 2, 3, 4]);
        lab.lan.with(0, |station, now| {
            station.remove_cak(now, 0);
            station.add_cak_as(now, wrong, 0, 0);
        });
        lab.lan.run_for(seconds(15));
        for at in 0..4 {
            add_cak(&mut lab, at, fallback, 100);
        }
        lab.lan.run_for(seconds(5));
        for (from, to) in [(2, 3), (3, 2)] {
            // They do not hear each other, and list nobody whom only others have heard. So their SAK takes some time.
            lab.lan.link(from, to).cut = true;
            lab.restart(from);
            lab.lan[from].says = Some(Box::new(|_, body| body.potential = None));
        }
        lab.lan.run_for(seconds(8));
        let stays = |at| lab.lan[at].is_secured() && lab.lan[at].uses_cak(0);
        assert!((1..4).all(stays), "seed {seed}\n{}", lab.show());
    }
}

/// Before its first SAK is in use the key server gets a CAK that it prefers, and one has not got that yet: it was left behind.
#[test]
fn who_lacks_a_preferred_cak_is_not_left_behind_at_the_start() {
    for (seed, without) in (0..8).flat_map(|seed| (1..3).map(move |without| (seed, without))) {
        let mut lab = KayLab::of(seed, &[1, 2, 3]);
        for at in 0..3 {
            lab.lan[at].order_delay = seconds(1);
            lab.lan.with(at, |station, now| station.prefer(now, 0, 5));
        }
        lab.lan.run_for(millis(500));
        for at in (0..3).filter(|at| *at != without) {
            add_cak(&mut lab, at, 1, 0);
        }
        lab.secured_within(seconds(10));
        assert!(lab.lan.nodes().all(|station| station.uses_cak(0)), "{}", lab.show());
        add_cak(&mut lab, without, 1, 0);
        lab.lan.run_for(seconds(10));
        assert!(lab.lan.nodes().all(|station| station.uses_cak(1)), "{}", lab.show());
    }
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn with_a_cak_in_common_nothing_is_lost(
        seed: u64,
        members in 2..=4usize,
        slowest in prop_oneof![Just(1u64), Just(400)],
        acts in prop::collection::vec(operator(), 1..30),
    ) {
        let mut lab = lab(seed, members, slowest);
        let mut ring = Ring::new(members);
        lab.send_data(DATA);
        for one in &acts {
            act(&mut lab, &mut ring, Link::CLEAN, one);
        }
        lab.lan.run_for(seconds(30));
        lab.stop_data();
        prop_assert_eq!(lab.lost(), 0, "lost\n{}", lab.show());
        let closed: usize = lab.lan.nodes().map(kay_lab::Station::closed).sum();
        prop_assert_eq!(closed, 0, "closed\n{}", lab.show());
        lab.secured_within(seconds(1));
    }

    #[test]
    fn all_come_back(
        seed: u64,
        members in 2..=4usize,
        links in prop_oneof![Just(Link::CLEAN), bad_link()],
        acts in prop::collection::vec(trouble(), 1..30),
        common in 0..CAKS,
        all in any::<bool>(),
    ) {
        let mut lab = lab(seed, members, 400);
        let mut ring = Ring::new(members);
        lab.send_data(DATA);
        for one in &acts {
            act(&mut lab, &mut ring, links, one);
        }
        lab.lan.set_links(Link::CLEAN);
        for at in 0..members {
            lab.lan.with(at, |station, now| station.act(now, |kay| kay.set_port_enabled(now, true)));
            ring.add(&mut lab, at, common, 2);
            for cak in (0..CAKS).filter(|cak| *cak != common) {
                if all {
                    let preference = ring.since.len() as u32 % 5;
                    ring.add(&mut lab, at, cak, preference);
                } else {
                    ring.remove(&mut lab, at, cak);
                }
            }
        }
        lab.secured_within(seconds(30));
        lab.lan.run_for(seconds(30));
        lab.secured_within(seconds(1));
    }
}

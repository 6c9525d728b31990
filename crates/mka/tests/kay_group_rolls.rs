//! Groups of 2 to 32 members that roll their CAK, with a fallback or without, whatever comes and goes meanwhile and
//! whatever the network does: no nonce is used twice, nothing passes in clear, and a network that heals leads back to one
//! SAK of the newest CAK for all.
//!
//! The seeds are always the same. `MKA_SIMULATIONS=5000` runs so many instead; `MKA_SEED=7` runs that one alone.

mod data_plane;
mod groups;
mod kay_lab;
mod lab;

use std::time::Duration;

use groups::{Case, Group, bad_links, seeds, trouble::TROUBLES};
use lab::seconds;
use netem::Link;

fn rolling(seed: u64) -> Group {
    let mut group = Group::new(seed);
    let fallback = group.dice.chance(500);
    group.has_caks(fallback);
    group
}

/// Rolls under up to 30 % of loss: a minute after the last change all are secured with one SAK of the new CAK.
#[test]
fn caks_are_rolled_on_a_bad_network() {
    let mut longest = Duration::ZERO;
    for seed in seeds(8) {
        let _case = Case(seed);
        let mut group = rolling(seed);
        let links = bad_links(&mut group.dice);
        group.lab.lan.set_links(links);
        group.lab.secured_within(seconds(60));
        group.send_data();
        for _ in 0..1 + group.dice.below(2) {
            group.roll();
            group.finish_changes();
            let since = group.lab.lan.now();
            group.secured_with_newest(seconds(60));
            longest = longest.max(group.lab.lan.now() - since);
        }
        group.lab.lan.set_links(Link::CLEAN);
        group.heals_with_newest();
    }
    println!("longest {longest:?}");
}

/// How many members there are, how often they roll, and how long they take to recover.
fn roll_amid_trouble(seed: u64) -> (usize, u64, Duration) {
    let _case = Case(seed);
    let mut group = rolling(seed);
    let links = if group.dice.chance(500) { bad_links(&mut group.dice) } else { Link::CLEAN };
    group.lab.lan.set_links(links);
    group.send_data();
    let mut rolls = 0;
    for _ in 0..4 + group.dice.below(28) {
        match group.dice.below(12) {
            0..=1 if group.caks.newest < 6 => {
                group.roll();
                rolls += 1;
            }
            2 => {
                let member = group.anybody();
                group.make_wrong(member, Duration::ZERO);
            }
            _ => {
                let trouble = TROUBLES[group.dice.below(TROUBLES.len() as u64) as usize];
                group.cause(trouble, links);
            }
        }
    }
    group.heal();
    group.finish_changes();
    group.put_right(Duration::ZERO);
    let time = group.heals_with_newest();
    (group.members(), rolls, time)
}

#[test]
fn groups_that_roll_are_secured_again_after_any_trouble() {
    let mut longest = (Duration::ZERO, 0);
    let (mut members, mut rolls) = (0, 0);
    for seed in seeds(12) {
        let (these, times, time) = roll_amid_trouble(seed);
        longest = longest.max((time, seed));
        members += these;
        rolls += times;
    }
    println!("{members} members, {rolls} rolls, longest {longest:?}");
}

/// A CAK was replaced by another of that name while its SAK was on the way into use, and that was used, though nobody vouched
/// for it any more.
#[test]
fn nobody_begins_with_a_sak_whose_cak_has_gone() {
    roll_amid_trouble(2265);
}

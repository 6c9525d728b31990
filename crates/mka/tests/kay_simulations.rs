//! Simulations of KaYs with seeds. In every run the lab's ledger sees to it that no nonce is used twice, and its
//! stations that nobody transmits with a SAK too early.
//!
//! `MKA_SIMULATIONS=5000` runs so many cases of each property instead of 64.

mod data_plane;
mod kay_lab;
mod lab;

use std::time::Duration;

use kay_lab::{KayLab, any_member};
use lab::{bad_link, cases, seconds};
use macsec::CipherSuite;
use netem::{Dice, Link};
use proptest::prelude::*;

/// Once the network and the data planes are well again all are secured within this time: peers expire, potential peers
/// hold a SAK up, a rollover under way is waited for, each for a Life Time; and a data plane that failed is left alone
/// for 32 s at the most.
const HEALING: Duration = seconds(60);

/// Members of any kind; ties of priorities are frequent.
fn lab(seed: u64, members: usize) -> KayLab {
    let mut dice = Dice::new(seed ^ 0x5eed);
    let suite = CipherSuite::ALL[dice.below(4) as usize];
    let configs: Vec<_> = (1..=members as u8)
        .map(|station| {
            let mut config = any_member(&mut dice, station, suite, 300);
            config.participant.rekey_interval = dice.chance(300).then_some(seconds(30));
            if dice.chance(200) {
                config.participant.delay_protect = true;
                config.participant.hello_time = Duration::from_millis(500);
            }
            config
        })
        .collect();
    KayLab::new(seed, &configs)
}

/// What may happen to a LAN, besides what its links do.
#[derive(Clone, Debug)]
enum Trouble {
    Wait(u64),
    Cut(usize, usize),
    Join,
    Link(usize, bool),
    Restart(usize),
    Leave(usize),
    Rekey(usize),
    Replay(usize),
    Slow(usize, u64),
    Fail(usize, u16),
    Exhaust(usize),
}

fn trouble() -> impl Strategy<Value = Trouble> {
    let who = 0..5usize;
    prop_oneof![
        4 => (1..10_000u64).prop_map(Trouble::Wait),
        2 => (1..500u64).prop_map(Trouble::Wait),
        2 => (who.clone(), who.clone()).prop_map(|(from, to)| Trouble::Cut(from, to)),
        1 => Just(Trouble::Join),
        2 => (who.clone(), any::<bool>()).prop_map(|(of, up)| Trouble::Link(of, up)),
        2 => who.clone().prop_map(Trouble::Restart),
        1 => who.clone().prop_map(Trouble::Leave),
        2 => who.clone().prop_map(Trouble::Rekey),
        1 => who.clone().prop_map(Trouble::Replay),
        1 => (who.clone(), 0..8000u64).prop_map(|(of, millis)| Trouble::Slow(of, millis)),
        1 => (who.clone(), 0..=500u16).prop_map(|(of, rate)| Trouble::Fail(of, rate)),
        1 => who.prop_map(Trouble::Exhaust),
    ]
}

fn cause(lab: &mut KayLab, trouble: &Trouble, links: Link) {
    let members = lab.lan.len();
    let there = |lab: &KayLab, index: usize| lab.present().contains(&(index % members));
    match *trouble {
        Trouble::Wait(millis) => lab.lan.run_for(Duration::from_millis(millis)),
        Trouble::Cut(from, to) => lab.lan.link(from % members, to % members).cut = true,
        Trouble::Join => lab.lan.set_links(links),
        Trouble::Restart(index) => lab.restart(index % members),
        Trouble::Leave(index) => drop(lab.lan.take(index % members)),
        Trouble::Replay(to) => {
            let captured: Vec<_> = lab.lan.sent().iter().rev().take(200).cloned().collect();
            for sent in captured {
                lab.lan.inject(to % members, &sent.frame);
            }
        }
        Trouble::Link(of, up) if there(lab, of) => lab.lan.with(of % members, |station, now| {
            station.act(now, |kay| kay.set_port_enabled(now, up));
        }),
        Trouble::Rekey(index) if there(lab, index) => {
            lab.lan.with(index % members, |station, now| {
                station.act(now, |kay| kay.request_rekey(now));
            });
        }
        Trouble::Slow(of, millis) if there(lab, of) => {
            lab.lan[of % members].order_delay = Duration::from_millis(millis);
        }
        Trouble::Fail(of, rate) if there(lab, of) => lab.lan[of % members].failing = rate,
        // With delay protection peers hold one to what it has said of its PNs.
        Trouble::Exhaust(of)
            if there(lab, of) && !lab.configs[of % members].participant.delay_protect =>
        {
            lab.lan[of % members].pn_offset = u64::MAX / 4 * 3 + 9;
        }
        _ => {}
    }
}

/// Everybody and everything is well again.
fn heal(lab: &mut KayLab) {
    lab.lan.set_links(Link::CLEAN);
    let present = lab.present();
    for index in 0..lab.lan.len() {
        if !present.contains(&index) {
            lab.restart(index);
        }
        lab.lan.with(index, |station, now| {
            station.order_delay = Duration::ZERO;
            station.failing = 0;
            station.pn_offset = 0;
            station.act(now, |kay| kay.set_port_enabled(now, true));
        });
    }
}

proptest! {
    #![proptest_config(cases(64))]

    /// Up to 30 % of loss do not keep ports closed.
    #[test]
    fn ports_are_secured_on_a_bad_network(seed: u64, members in 2..=5usize, links in bad_link()) {
        let mut lab = lab(seed, members);
        lab.lan.set_links(links);
        lab.secured_within(seconds(60));
    }

    /// From wherever trouble has led, a network and data planes that are well again lead back to secured ports, without
    /// a restart. Then they stay so, and everything that anybody sends gets to everybody.
    #[test]
    fn ports_are_secured_again_after_any_trouble(
        seed: u64,
        members in 2..=5usize,
        links in bad_link(),
        troubles in prop::collection::vec(trouble(), 1..32),
    ) {
        let mut lab = lab(seed, members);
        lab.lan.set_links(links);
        lab.send_data(Duration::from_millis(200));
        for trouble in &troubles {
            cause(&mut lab, trouble, links);
        }
        heal(&mut lab);
        // Early on they may take each other for what they were, and find out only when that expires.
        lab.lan.run_for(HEALING / 2);
        lab.secured_within(HEALING / 2);
        lab.lan.run_for(seconds(5));
        lab.stop_data();
        lab.forget_data();
        let closed: Vec<_> = lab.lan.nodes().map(kay_lab::Station::closed).collect();
        lab.send_data(Duration::from_millis(200));
        lab.lan.run_for(seconds(70));
        lab.stop_data();
        // A rekey may be under way.
        lab.secured_within(seconds(3));
        prop_assert_eq!(lab.lost(), 0, "lost\n{}", lab.show());
        prop_assert_eq!(closed, lab.lan.nodes().map(kay_lab::Station::closed).collect::<Vec<_>>());
    }
}

//! Simulations with seeds: whatever the network does, no nonce is used twice (the lab's ledger sees
//! to that), and once the network is well again all agree.

mod lab;

use std::time::Duration;

use lab::{Lab, Station, agreed_ki, bad_link, config, seconds};
use macsec::CipherSuite;
use mka::Suites;
use netem::{Dice, Lan, Link};
use proptest::prelude::*;

/// Long enough for peers to expire, twice, and for a session to come up.
const HEALING: Duration = seconds(40);

fn lab(seed: u64, members: usize) -> Lab {
    let mut dice = Dice::new(seed ^ 0x5eed);
    let suite = CipherSuite::ALL[dice.below(4) as usize];
    let configs: Vec<_> = (1..=members as u8)
        .map(|station| {
            let mut config = config(station);
            config.priority = 16 + 16 * dice.below(3) as u8;
            config.version = 1 + dice.below(3) as u8;
            config.suites = Suites::new(&[suite]).unwrap();
            config.rekey_on_member_loss = dice.chance(500);
            config
        })
        .collect();
    Lab::new(seed, &configs)
}

/// What may happen to a LAN, besides what its links do.
#[derive(Clone, Debug)]
enum Trouble {
    Wait(u64),
    Cut(usize, usize),
    Heal,
    Restart(usize),
    Leave(usize),
    Rekey(usize),
    Replay(usize),
}

fn trouble() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        3 => (1..20_000u64).prop_map(Trouble::Wait),
        2 => (0..3usize, 0..3usize).prop_map(|(from, to)| Trouble::Cut(from, to)),
        1 => Just(Trouble::Heal),
        2 => (0..3usize).prop_map(Trouble::Restart),
        1 => (0..3usize).prop_map(Trouble::Leave),
        1 => (0..3usize).prop_map(Trouble::Rekey),
        1 => (0..3usize).prop_map(Trouble::Replay),
    ]
}

fn cause(lab: &mut Lab, trouble: &Trouble, links: Link) {
    let members = lab.lan.len();
    match *trouble {
        Trouble::Wait(millis) => lab.lan.run_for(Duration::from_millis(millis)),
        Trouble::Cut(from, to) => lab.lan.link(from % members, to % members).cut = true,
        Trouble::Heal => lab.lan.set_links(links),
        Trouble::Restart(index) => lab.restart(index % members),
        Trouble::Leave(index) => drop(lab.lan.take(index % members)),
        Trouble::Rekey(index) => {
            if lab.lan.nodes().count() == members {
                lab.lan.with(index % members, |station, now| {
                    station.participant.request_rekey(now);
                    station.drain(now);
                });
            }
        }
        Trouble::Replay(to) => {
            let captured: Vec<_> = lab.lan.sent().iter().rev().take(200).cloned().collect();
            for sent in captured {
                lab.lan.inject(to % members, &sent.frame);
            }
        }
    }
}

fn come_back(lab: &mut Lab) {
    for index in 0..lab.lan.len() {
        if let Some(station) = lab.lan.take(index) {
            lab.lan.put(index, station);
        } else {
            lab.restart(index);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Up to 30 % of loss do not keep members from agreeing.
    #[test]
    fn members_agree_on_a_bad_network(seed: u64, members in 2..=3usize, links in bad_link()) {
        let mut lab = lab(seed, members);
        lab.lan.set_links(links);
        lab.agree_within(seconds(60));
    }

    /// From wherever trouble has led, a network that is well again leads back to agreement.
    #[test]
    fn members_agree_again_after_any_trouble(
        seed: u64,
        members in 2..=3usize,
        links in bad_link(),
        troubles in prop::collection::vec(trouble(), 1..24),
    ) {
        let mut lab = lab(seed, members);
        lab.lan.set_links(links);
        for trouble in &troubles {
            cause(&mut lab, trouble, links);
        }
        lab.lan.set_links(Link::CLEAN);
        come_back(&mut lab);
        lab.agree_within(HEALING);
        // And it lasts.
        lab.lan.run_for(seconds(60));
        prop_assert!(agreed_ki(&lab.lan).is_some());
    }

    /// A failure can be had again from its seed.
    #[test]
    fn the_same_seed_gives_the_same_session(seed: u64, links in bad_link()) {
        let run = || {
            let mut lab = lab(seed, 3);
            lab.lan.set_links(links);
            lab.lan.run_for(seconds(30));
            lab.lan.sent().iter().map(|sent| (sent.at, sent.frame.clone())).collect::<Vec<_>>()
        };
        prop_assert_eq!(run(), run());
    }
}

/// Whether all that is sent now can be received by all others.
fn all_understand_all(lan: &Lan<Station>) -> bool {
    lan.nodes().all(|sender| {
        let sending = [&sender.latest, &sender.old].into_iter().flatten().find(|held| held.tx);
        let holds = |other: &Station| {
            let held = [&other.latest, &other.old].into_iter().flatten();
            sending.is_none_or(|key| held.into_iter().any(|other| other.ki == key.ki))
        };
        lan.nodes().all(holds)
    })
}

/// Hours of rekeys in which nobody is ever left behind, or sends what another cannot receive.
#[test]
fn hours_of_rekeys_lose_nobody() {
    let mut lab = Lab::of(5, &[16, 32, 48]);
    lab.configs[0].rekey_interval = Some(seconds(30));
    lab.restart(0);
    let mut last = lab.agree_within(seconds(20));
    for _ in 0..480 {
        let deadline = lab.lan.now() + seconds(30);
        let lost = lab.lan.drive_until(deadline, |lan| !all_understand_all(lan));
        assert!(!lost, "{}", lab.show());
        let ki = lab.agree_within(seconds(5));
        assert_ne!(ki, last);
        last = ki;
    }
    assert!(lab.ledger.borrow().claims() >= 3 * 480);
}

//! Delay protection: what is held up on its way for three seconds is not delivered, and what takes less than two is.

mod data_plane;
mod kay_lab;
mod lab;

use std::time::Duration;

use data_plane::{Bench, ki};
use kay_lab::KayLab;
use lab::{Seeded, cak, cases, ckn, config, seconds};
use macsec::CipherSuite;
use mka::{ConfigError, Kay, KayConfig, ParticipantError, SakUse, Suites, order::Action};
use netem::{Dice, Link};
use proptest::prelude::*;

const DATA: Duration = Duration::from_millis(30);
const HALF: Duration = Duration::from_millis(500);
const TWO: Duration = seconds(2);
/// Two seconds, half a second between the samples that a sender reports, and half a second between its MKPDUs.
const BOUND: Duration = seconds(3);

/// Two or three members, secured, that all bind their lowest PNs; data that comes late, a new SAK every few seconds.
fn lab(seed: u64, links: Link) -> KayLab {
    let mut dice = Dice::new(seed ^ 0xde1a);
    let suite = CipherSuite::ALL[dice.below(4) as usize];
    let configs: Vec<_> = (1..=2 + dice.below(2) as u8)
        .map(|station| {
            let mut participant = config(station);
            participant.suites = Suites::new(&[suite]).unwrap();
            participant.version = 2 + dice.below(2) as u8;
            participant.delay_protect = true;
            participant.hello_time = HALF;
            KayConfig::new(participant)
        })
        .collect();
    let mut lab = KayLab::new(seed, &configs);
    lab.secured_within(seconds(10));
    lab.lan.run_for(seconds(5));
    lab.lan.set_links(links);
    lab.send_data(DATA);
    lab
}

fn rekey(lab: &mut KayLab) {
    for index in lab.present() {
        lab.lan.with(index, |station, now| station.act(now, |kay| kay.request_rekey(now)));
    }
}

proptest! {
    #![proptest_config(cases(16))]

    /// A frame that takes less than two seconds is not late, whatever becomes of MKPDUs and SAKs.
    #[test]
    fn frames_of_less_than_two_seconds_are_never_late(
        seed: u64,
        loss in 0..=300u16,
        held in 0..1900u64,
        waits in prop::collection::vec(1..8000u64, 4..12),
    ) {
        let reorder_by = Duration::from_millis(held);
        let jitter = Duration::from_millis(90);
        let mut lab = lab(seed, Link { loss, reorder: 300, reorder_by, jitter, ..Link::CLEAN });
        for wait in waits {
            rekey(&mut lab);
            lab.lan.run_for(Duration::from_millis(wait));
        }
        for station in lab.lan.nodes() {
            prop_assert!(station.quickest_late >= TWO, "{:?}", station.quickest_late);
            prop_assert!(!station.delivered.is_empty());
        }
    }

    /// One that is held up for longer than the bound is not delivered; each MKPDU that gets lost adds half a second to it.
    #[test]
    fn frames_that_are_held_up_are_not_delivered(
        seed: u64,
        lossy: bool,
        waits in prop::collection::vec(1..8000u64, 4..12),
    ) {
        let loss = if lossy { 300 } else { 0 };
        // So many in a row do not get lost in all these runs.
        let held_up = if lossy { BOUND + 16 * HALF } else { BOUND };
        let mut lab = lab(seed, Link { loss, ..Link::CLEAN });
        for index in lab.present() {
            lab.lan[index].holds_up = Some(held_up);
        }
        for wait in waits {
            rekey(&mut lab);
            lab.lan.run_for(Duration::from_millis(wait));
        }
        lab.lan.run_for(held_up);
        for station in lab.lan.nodes() {
            let slowest = station.slowest_delivered;
            prop_assert!(slowest < held_up, "{slowest:?}\n{}", lab.show());
            prop_assert!(station.late + station.refused > 0);
        }
    }

    /// All that takes less than two seconds gets there, if no MKPDU is lost: also what was sent with the key before.
    #[test]
    fn rollovers_lose_nothing_of_a_slow_network(
        seed: u64,
        delay in 0..1500u64,
        waits in prop::collection::vec(1..8000u64, 4..8),
    ) {
        let mut lab = lab(seed, Link::CLEAN);
        lab.lan.run_for(seconds(3));
        lab.stop_data();
        lab.forget_data();
        lab.lan.set_links(Link { delay: Duration::from_millis(delay), ..Link::CLEAN });
        lab.lan.run_for(seconds(10));
        lab.send_data(DATA);
        for wait in waits {
            rekey(&mut lab);
            lab.lan.run_for(Duration::from_millis(wait));
        }
        lab.lan.run_for(seconds(10));
        lab.stop_data();
        lab.lan.run_for(TWO);
        prop_assert_eq!(lab.lost(), 0, "lost\n{}", lab.show());
    }
}

/// Pitfall 6: a peer that says Delay Protect and sends every two seconds only binds what it says and no more.
#[test]
fn a_peer_with_slow_hellos_harms_nothing_that_is_on_time() {
    let mut lab = KayLab::of(1, &[16, 32]);
    lab.secured_within(seconds(10));
    lab.lan.run_for(seconds(5));
    lab.lan[0].says = Some(Box::new(|_, body| {
        body.sak_use = body.sak_use.map(|sak_use| SakUse { delay_protect: true, ..sak_use });
    }));
    let reorder_by = Duration::from_millis(1900);
    lab.lan.set_links(Link { reorder: 300, reorder_by, ..Link::CLEAN });
    lab.send_data(DATA);
    for _ in 0..10 {
        lab.lan.run_for(seconds(10));
        rekey(&mut lab);
    }
    assert!(lab.lan[1].quickest_late >= TWO, "{:?}", lab.lan[1].quickest_late);
    lab.lan.set_links(Link { reorder: 300, reorder_by: seconds(5), ..Link::CLEAN });
    lab.lan.run_for(seconds(20));
    assert!(lab.lan[1].late > 100, "{}", lab.lan[1].late);
    assert_eq!(lab.lan[0].late, 0, "the other has bound nothing");
}

/// Orders that nobody fetches do not pile up, and nothing is ordered for what is not there.
#[test]
fn one_order_for_each_peer_and_key_says_the_last_word() {
    let mut bench = Bench::secured(true);
    for lowest_pn in [7, 900, 900, 20, 1000] {
        for (member, key) in [(1, 1), (2, 1), (1, 2)] {
            bench.cp.raise_lowest_pn(data_plane::sci(member), ki(key), lowest_pn);
        }
    }
    bench.collect();
    let orders: Vec<_> = bench.queue.drain(..).map(|order| order.action).collect();
    let [Action::RaiseLowestPn { sci, ki: of, lowest_pn: 1000, .. }] = orders[..] else {
        panic!("{orders:?}");
    };
    assert_eq!((sci, of), (data_plane::sci(1), ki(1)));
    // No more than that has been said.
    bench.cp.raise_lowest_pn(data_plane::sci(1), ki(1), 1000);
    bench.collect();
    assert!(bench.queue.is_empty());
    assert_eq!((bench.cp.is_xpn(ki(1)), bench.cp.is_xpn(ki(2))), (Some(false), None));
}

/// Pitfall 18: half a PN is none. A peer of version 1 sends no XPN set.
#[test]
fn the_lower_half_of_a_pn_binds_nothing() {
    for (suite, version, binds) in [
        (CipherSuite::GcmAes256, 1, true),
        (CipherSuite::GcmAesXpn256, 1, false),
        (CipherSuite::GcmAesXpn256, 2, true),
    ] {
        let configs = [1, 2].map(|station| {
            let mut participant = config(station);
            participant.suites = Suites::new(&[suite]).unwrap();
            participant.version = version;
            participant.delay_protect = true;
            participant.hello_time = HALF;
            KayConfig::new(participant)
        });
        let mut lab = KayLab::new(1, &configs);
        lab.secured_within(seconds(10));
        lab.send_data(DATA);
        lab.lan.run_for(seconds(10));
        assert_eq!(lab.lan.nodes().all(|station| !station.plane.lowest.is_empty()), binds);
    }
}

#[test]
fn a_hello_time_that_bounds_nothing_is_refused() {
    for (hello, expected) in [
        (Duration::from_millis(500), None),
        (Duration::from_millis(501), Some(ConfigError::DelayProtect)),
        (seconds(2), Some(ConfigError::DelayProtect)),
    ] {
        let mut participant = config(1);
        participant.delay_protect = true;
        participant.hello_time = hello;
        let kay =
            Kay::new(KayConfig::new(participant), cak(), ckn(), Seeded::new(1), Duration::ZERO);
        assert_eq!(kay.err(), expected.map(ParticipantError::Config));
        participant.delay_protect = false;
        assert!(
            Kay::new(KayConfig::new(participant), cak(), ckn(), Seeded::new(1), seconds(0)).is_ok()
        );
    }
}

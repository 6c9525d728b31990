//! The network does what its links say, and always the same for the same seed.

use std::time::Duration;

use netem::{Lan, Link, Node};

/// Sends a numbered frame every 10 ms and keeps what it gets.
#[derive(Default)]
struct Counter {
    next: Duration,
    number: u16,
    due: bool,
    got: Vec<(Duration, Vec<u8>)>,
}

impl Node for Counter {
    fn receive(&mut self, now: Duration, frame: &[u8]) {
        self.got.push((now, frame.to_vec()));
    }

    fn timeout(&mut self, now: Duration) {
        self.next = now + Duration::from_millis(10);
        self.due = true;
    }

    fn next_timeout(&self, _: Duration) -> Option<Duration> {
        Some(self.next)
    }

    fn transmit(&mut self, _: Duration) -> Option<Vec<u8>> {
        std::mem::take(&mut self.due).then(|| {
            self.number += 1;
            self.number.to_be_bytes().to_vec()
        })
    }
}

fn lan(seed: u64, link: Link) -> Lan<Counter> {
    let mut lan = Lan::new(seed, [Counter::default(), Counter::default(), Counter::default()]);
    lan.set_links(link);
    lan
}

fn numbers(node: &Counter) -> Vec<u16> {
    node.got.iter().map(|(_, frame)| u16::from_be_bytes([frame[0], frame[1]])).collect()
}

#[test]
fn a_clean_lan_delivers_everything_once_in_order_after_the_delay() {
    let mut lan = lan(1, Link::CLEAN);
    lan.run_for(Duration::from_millis(999));
    for node in lan.nodes() {
        let twice: Vec<u16> = (1..=100).flat_map(|number| [number, number]).collect();
        assert_eq!(numbers(node), twice);
        assert!(node.got.iter().all(|(at, _)| at.as_millis() % 10 == 1));
    }
    assert_eq!(lan.now(), Duration::from_millis(999));
    assert_eq!(lan.sent().len(), 300);
}

#[test]
fn loss_duplication_corruption_and_reflection_come_as_often_as_asked_for() {
    let count = |link| {
        let mut lan = lan(7, link);
        lan.run_for(Duration::from_secs(10));
        lan[0].got.len()
    };
    assert!((1500..1700).contains(&count(Link { loss: 200, ..Link::CLEAN })));
    assert!((2300..2500).contains(&count(Link { duplicate: 200, ..Link::CLEAN })));
    assert!((2300..2500).contains(&count(Link { reflect: 200, ..Link::CLEAN })));
    let mut lan = lan(7, Link { corrupt: 1000, ..Link::CLEAN });
    lan.run_for(Duration::from_millis(9));
    assert!(
        lan[0]
            .got
            .iter()
            .all(|(_, frame)| { (u16::from_be_bytes([frame[0], frame[1]]) ^ 1).count_ones() == 1 })
    );
}

#[test]
fn reordered_frames_are_overtaken() {
    let mut lan = lan(3, Link { reorder: 100, ..Link::CLEAN });
    lan.run_for(Duration::from_secs(5));
    assert!(!numbers(&lan[1]).is_sorted());
}

#[test]
fn a_cut_is_one_way() {
    let mut lan = lan(1, Link::CLEAN);
    lan.link(0, 1).cut = true;
    lan.run_for(Duration::from_millis(99));
    assert_eq!(lan[1].got.len(), 10);
    assert_eq!(lan[0].got.len(), 20);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let link = Link {
        loss: 100,
        jitter: Duration::from_millis(30),
        duplicate: 100,
        corrupt: 50,
        reflect: 50,
        ..Link::CLEAN
    };
    let run = |seed| {
        let mut lan = lan(seed, link);
        lan.run_for(Duration::from_secs(2));
        lan[2].got.clone()
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

#[test]
fn members_come_and_go() {
    let mut lan = lan(1, Link::CLEAN);
    lan.take(1);
    lan.run_for(Duration::from_millis(95));
    assert_eq!(lan[0].got.len(), 10);
    lan.put(1, Counter { next: lan.now(), ..Counter::default() });
    lan.inject(1, &[0, 77]);
    assert!(lan.drive_until(Duration::from_secs(1), |lan| numbers(&lan[1]).contains(&77)));
    assert!(!lan.drive_until(Duration::from_secs(2), |_| false));
}

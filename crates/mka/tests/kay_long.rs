//! Sessions that last: nothing drifts, nothing grows, nothing is lost.
//!
//! `MKA_LONG=1000000` runs for so many seconds of virtual time instead of 40,000.

mod data_plane;
mod kay_lab;
mod lab;

use std::{collections::VecDeque, time::Duration};

use kay_lab::Station;
use lab::{cak, ckn, config, seconds};
use macsec::{CipherSuite, Sci};
use mka::{KayConfig, Suites, key_number};
use netem::Node;

const DELAY: Duration = Duration::from_millis(1);

/// Stations on a LAN that loses nothing, and keeps nothing either.
struct Wire {
    now: Duration,
    stations: Vec<Station>,
    frames: VecDeque<(Duration, usize, Vec<u8>)>,
}

impl Wire {
    fn new(configs: &[KayConfig]) -> Self {
        let ledger = Default::default();
        let station = |(config, instance): (&KayConfig, u64)| {
            Station::new(*config, (cak(), ckn()), instance, Duration::ZERO, &ledger)
        };
        let stations = configs.iter().zip(1..).map(station).collect();
        Self { now: Duration::ZERO, stations, frames: VecDeque::new() }
    }

    fn run_until(&mut self, end: Duration) {
        loop {
            let arrival = self.frames.front().map(|(at, ..)| *at);
            let timeouts = self.stations.iter().filter_map(|one| one.next_timeout(self.now));
            let Some(next) = timeouts.chain(arrival).min().filter(|next| *next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            while let Some((_, from, frame)) = self.frames.pop_front_if(|(at, ..)| *at <= next) {
                for to in (0..self.stations.len()).filter(|to| *to != from) {
                    self.stations[to].receive(self.now, &frame);
                    self.send(to);
                }
            }
            for index in 0..self.stations.len() {
                if self.stations[index].next_timeout(self.now).is_some_and(|at| at <= self.now) {
                    self.stations[index].timeout(self.now);
                    self.send(index);
                }
            }
        }
        self.now = end;
    }

    fn send(&mut self, from: usize) {
        while let Some(frame) = self.stations[from].transmit(self.now) {
            self.frames.push_back((self.now + DELAY, from, frame));
        }
    }
}

fn virtual_time() -> u64 {
    std::env::var("MKA_LONG").ok().and_then(|time| time.parse().ok()).unwrap_or(40_000)
}

/// `priorities` of the members; rekeyed every `interval` seconds.
fn session(priorities: &[u8], suite: CipherSuite, interval: u64) {
    let configs: Vec<_> = (1..)
        .zip(priorities)
        .map(|(station, &priority)| {
            let mut config = KayConfig::new(config(station));
            config.participant.priority = priority;
            config.participant.suites = Suites::new(&[suite]).unwrap();
            config.participant.rekey_interval = Some(seconds(interval));
            config
        })
        .collect();
    let mut wire = Wire::new(&configs);
    wire.run_until(seconds(5));
    for station in &mut wire.stations {
        station.data_interval = Some(seconds(1));
    }
    let mis: Vec<_> =
        wire.stations.iter().map(|one| one.kay.principal().unwrap().member().mi).collect();
    let (step, end) = (seconds(1000), seconds(virtual_time() / priorities.len() as u64 * 2));
    while wire.now < end {
        wire.run_until(wire.now + step);
        let rekeys = wire.now.as_secs() / interval;
        for (station, mi) in wire.stations.iter_mut().zip(&mis) {
            let participant = station.kay.principal().unwrap();
            assert_eq!(participant.member().mi, *mi, "nobody has reason to take a new MI");
            // Hellos, and a few quick ones for each SAK.
            let most = wire.now.as_secs() / 2 + 14 * (rekeys + 1);
            assert!(u64::from(participant.member().mn) <= most, "{}", participant.member().mn);
            let number = u64::from(key_number(participant.sak().unwrap().ki));
            // An interval is from SAK to SAK, and each comes with the timeout after that.
            assert!((rekeys - rekeys / 50..=rekeys + 1).contains(&number), "{number} {rekeys}");
            assert_eq!(participant.counters().events_lost, 0);
            assert_eq!(station.kay.counters().events_lost, 0);
            assert_eq!(participant.peers().count(), priorities.len() - 1);
            assert!(station.plane.keys.len() <= 2);
            assert_eq!(station.plane.scs.len(), priorities.len() - 1);
            assert!(station.plane.transmit.len() <= 2);
            let due = station.kay.poll_timeout().unwrap();
            assert!(due > wire.now && due <= wire.now + seconds(2));
            assert_eq!((station.closed(), station.discards.len()), (0, 0));
            station.events.clear();
        }
    }
    for station in &mut wire.stations {
        station.data_interval = None;
    }
    wire.run_until(wire.now + seconds(1));
    let scis: Vec<Sci> = wire.stations.iter().map(|station| station.sci).collect();
    for station in &wire.stations {
        assert!(station.sent >= end.as_secs() - 10);
        assert_eq!(station.refused, 0);
        for from in scis.iter().filter(|from| **from != station.sci) {
            let sent = wire.stations.iter().find(|other| other.sci == *from).unwrap().sent;
            assert_eq!(station.delivered[from], sent);
        }
        println!(
            "{suite:?}, {} members: {:?}, {} SAKs, {} MKPDUs, {} data frames",
            priorities.len(),
            wire.now,
            station.rotations,
            station.kay.principal().unwrap().counters().out_mkpdu,
            station.sent,
        );
    }
}

#[test]
fn two_members_rekeyed_every_half_a_minute() {
    session(&[16, 32], CipherSuite::GcmAesXpn256, 30);
}

#[test]
fn three_members_rekeyed_every_minute() {
    session(&[16, 32, 48], CipherSuite::GcmAes128, 60);
}

//! Groups of 2 to 32 members of any kind on a LAN, by seed: who is there, what happens, and what must hold throughout.
#![allow(dead_code)] // Every test file uses its own part of this.

pub(crate) mod caks;
pub(crate) mod trouble;

use std::{env, ops::Range, thread, time::Duration};

use macsec::{CipherSuite, Confidentiality, ConfidentialityOffset, Sci, ValidateFrames};
use mka::{Capability, KayConfig, ParticipantConfig, Suites};
use netem::{Dice, Lan, Link};

use crate::{
    kay_lab::{KayLab, Station},
    lab::{config, millis, seconds},
};
use caks::Caks;

/// So many seeds, or as many as `MKA_SIMULATIONS` says; `MKA_SEED` asks for one alone.
pub(crate) fn seeds(number: u64) -> Range<u64> {
    let asked = |name| env::var(name).ok().and_then(|value| value.parse().ok());
    match asked("MKA_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..asked("MKA_SIMULATIONS").unwrap_or(number),
    }
}

/// As [`seeds`], and these as well if nothing else is asked for.
pub(crate) fn seeds_and(number: u64, more: &[u64]) -> impl Iterator<Item = u64> {
    let seeds = seeds(number);
    let all = seeds == (0..number);
    seeds.chain(more.iter().copied().filter(move |_| all))
}

/// Names the seed of a case that fails.
pub(crate) struct Case(pub(crate) u64);

impl Drop for Case {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("failed with MKA_SEED={}", self.0);
        }
    }
}

/// A LAN of stations of any kind, and the dice that decide what becomes of it.
pub(crate) struct Group {
    pub(crate) lab: KayLab,
    pub(crate) dice: Dice,
    pub(crate) caks: Caks,
}

impl Group {
    /// As many members as the seed says, most often few. The first is always ready to be key server.
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ 0x9709);
        let members = match dice.below(10) {
            0 => 17 + dice.below(16),
            1..=3 => 7 + dice.below(10),
            _ => 2 + dice.below(5),
        };
        let kind = Kind::new(&mut dice);
        let configs: Vec<_> =
            (1..=members as u8).map(|station| kind.member(&mut dice, station)).collect();
        let mut lab = KayLab::new(seed, &configs);
        for index in 0..lab.lan.len() {
            lab.lan[index].order_delay = millis(dice.below(200));
        }
        let caks = Caks::new(lab.lan.len());
        Self { lab, dice, caks }
    }

    pub(crate) fn members(&self) -> usize {
        self.lab.lan.len()
    }

    /// Has all send as often as leaves the test time for other things.
    pub(crate) fn send_data(&mut self) {
        let members = self.members() as u64;
        let interval = (members * (members - 1) / 2).clamp(50, 500);
        self.lab.send_data(millis(interval));
    }

    /// Anybody, there or not.
    pub(crate) fn anybody(&mut self) -> usize {
        self.dice.below(self.members() as u64) as usize
    }

    pub(crate) fn key_server(&self) -> Option<usize> {
        self.lab.present().into_iter().find(|index| self.lab.lan[*index].is_key_server())
    }

    /// The member with the best priority or, half the time, with the second best: those that are worth a change.
    pub(crate) fn candidate(&mut self) -> usize {
        let ranked = self.ranked();
        ranked[self.dice.below(2) as usize]
    }

    /// The member with the best priority.
    pub(crate) fn best(&self) -> usize {
        self.ranked()[0]
    }

    fn ranked(&self) -> Vec<usize> {
        let mut all: Vec<_> = (0..self.members()).collect();
        all.sort_by_key(|index| {
            let config = &self.lab.configs[*index].participant;
            (config.priority, config.sci)
        });
        all
    }

    pub(crate) fn is_there(&self, index: usize) -> bool {
        self.lab.present().contains(&index)
    }

    pub(crate) fn leave(&mut self, index: usize) {
        drop(self.lab.lan.take(index));
    }

    pub(crate) fn restart(&mut self, index: usize) {
        self.lab.restart(index);
        self.lab.lan[index].order_delay = millis(self.dice.below(200));
        self.give_caks(index);
    }

    pub(crate) fn set_link(&mut self, index: usize, up: bool) {
        if self.is_there(index) {
            let set = |station: &mut Station, now| {
                station.act(now, |kay| kay.set_port_enabled(now, up));
            };
            self.lab.lan.with(index, set);
        }
    }

    pub(crate) fn rekey(&mut self) {
        for index in self.lab.present() {
            let ask = |station: &mut Station, now| station.act(now, |kay| kay.request_rekey(now));
            self.lab.lan.with(index, ask);
        }
    }

    pub(crate) fn wait(&mut self, most: Duration) {
        let time = self.dice.below(most.as_millis() as u64);
        self.run_for(millis(time));
    }

    /// Lets time pass, and sees to it that nothing is open that is not secured, and that nothing grows. CAKs come and go at
    /// their times.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let deadline = self.lab.lan.now() + time;
        self.run_until(deadline, |_| false);
    }

    /// The same, until all are as they are to be: `false` if they are not by then.
    pub(crate) fn run_until(
        &mut self,
        deadline: Duration,
        mut done: impl FnMut(&Lan<Station>) -> bool,
    ) -> bool {
        loop {
            let stop = self.caks.next_change().filter(|at| *at <= deadline).unwrap_or(deadline);
            let is_done = self.lab.lan.drive_until(stop, |lan| {
                nothing_in_clear(lan);
                done(lan)
            });
            self.lab.lan.nodes().for_each(is_bounded);
            self.change_caks();
            if is_done || self.lab.lan.now() >= deadline {
                return is_done;
            }
        }
    }

    pub(crate) fn closed(&self) -> usize {
        self.lab.lan.nodes().map(Station::closed).sum()
    }

    pub(crate) fn closed_among(&self, scis: &[Sci]) -> usize {
        let those = self.lab.lan.nodes().filter(|station| scis.contains(&station.sci));
        those.map(Station::closed).sum()
    }
}

fn nothing_in_clear(lan: &Lan<Station>) {
    for station in lan.nodes().filter(|station| station.plane.open) {
        let controls = station.plane.controls.unwrap();
        assert!(controls.protect_frames, "{} sends in clear", station.sci);
        assert_eq!(controls.validate_frames, ValidateFrames::Strict);
    }
}

fn is_bounded(station: &Station) {
    let most = station.kay.config().participant.max_peers;
    for participant in station.kay.participants() {
        assert!(participant.peers().count() <= 2 * most);
    }
    let counters = (station.kay.participant_counters(), station.kay.counters());
    assert_eq!((counters.0.out_errors, counters.0.events_lost, counters.1.events_lost), (0, 0, 0));
    let plane = &station.plane;
    assert!(plane.keys.len() <= 3, "{:?}", plane.keys);
    assert!(plane.transmit.len() <= 3 && plane.scs.len() <= 2 * most);
    assert!(plane.receive.len() <= 3 * plane.scs.len());
}

/// What the members of a group have in common.
struct Kind {
    suites: Vec<CipherSuite>,
    /// Each prefers a suite of its own.
    of_one_mind: bool,
    confidentiality: ConfidentialityOffset,
    rekey_on_member_loss: bool,
    rekey_interval: Option<Duration>,
    priorities: u64,
}

impl Kind {
    fn new(dice: &mut Dice) -> Self {
        let of_one_mind = dice.chance(750);
        let one = CipherSuite::ALL[dice.below(4) as usize];
        Self {
            suites: if of_one_mind { vec![one] } else { CipherSuite::ALL.to_vec() },
            of_one_mind,
            confidentiality: match dice.below(3) {
                0 => ConfidentialityOffset::Thirty,
                _ => ConfidentialityOffset::Zero,
            },
            rekey_on_member_loss: dice.chance(300),
            rekey_interval: dice.chance(200).then_some(seconds(30)),
            priorities: 1 + dice.below(4),
        }
    }

    fn member(&self, dice: &mut Dice, station: u8) -> KayConfig {
        let mut participant: ParticipantConfig = config(station);
        participant.priority = match dice.below(8) {
            0 if station > 1 => 255,
            _ => 16 * dice.below(self.priorities) as u8,
        };
        participant.version = 1 + dice.below(3) as u8;
        let mut suites = self.suites.clone();
        let first = dice.below(suites.len() as u64) as usize;
        suites.rotate_left(first);
        participant.suites = Suites::new(&suites).unwrap();
        participant.confidentiality = Confidentiality::Encrypt(self.confidentiality);
        if dice.chance(200) {
            participant.capability = Capability::Confidentiality;
        }
        participant.rekey_on_member_loss = self.rekey_on_member_loss;
        participant.rekey_interval = self.rekey_interval;
        if dice.chance(200) {
            (participant.hello_time, participant.delay_protect) = (millis(500), true);
        }
        KayConfig::new(participant)
    }
}

/// Links with up to 30 % loss, and everything else that links do to frames.
pub(crate) fn bad_links(dice: &mut Dice) -> Link {
    let per_mille = |dice: &mut Dice, most: u64| dice.below(most + 1) as u16;
    Link {
        loss: per_mille(dice, 300),
        jitter: millis(dice.below(200)),
        reorder: per_mille(dice, 200),
        duplicate: per_mille(dice, 200),
        corrupt: per_mille(dice, 50),
        reflect: per_mille(dice, 50),
        ..Link::CLEAN
    }
}

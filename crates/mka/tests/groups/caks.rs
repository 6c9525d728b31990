//! The CAKs of a group: each is added, preferred and removed at one member after the other, be the member there or not.

use std::{collections::BTreeMap, time::Duration};

use super::Group;
use crate::{
    kay_lab::Station,
    lab::{millis, seconds},
};

/// What all begin with.
const FIRST: u8 = 0;
/// What is used when there is nothing else, where there is such a thing.
pub(crate) const FALLBACK: u8 = 100;
/// Whoever has a wrong CAK shares it with nobody: it has this number and, added to it, that of the member.
const WRONG: u8 = 200;
const OF_FALLBACK: u32 = 5000;

/// How much the CAK of this number is preferred: the newest most, once it is to be used.
fn preference(number: u8, wanted: bool) -> u32 {
    if wanted { 1000 - u32::from(number) } else { 2000 }
}

/// A CAK under the name of this number, and how much it is preferred.
#[derive(Clone, Copy, Debug)]
struct Given {
    value: u8,
    preference: u32,
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Add(u8, Given),
    Prefer(u8, u32),
    Remove(u8),
}

/// When a new CAK is preferred to the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Preferred {
    AtOnce,
    /// When all have it.
    Later,
    /// Not while there is another.
    Never,
}

/// Which CAKs each member is to have, and what is to be changed of that.
pub(crate) struct Caks {
    members: Vec<BTreeMap<u8, Given>>,
    /// The first one first.
    changes: Vec<(Duration, usize, Change)>,
    pub(crate) newest: u8,
    before: Option<u8>,
}

impl Caks {
    pub(crate) fn new(members: usize) -> Self {
        let given = Given { value: value(FIRST), preference: 0 };
        Self {
            members: vec![BTreeMap::from([(FIRST, given)]); members],
            changes: Vec::new(),
            newest: FIRST,
            before: None,
        }
    }

    pub(crate) fn next_change(&self) -> Option<Duration> {
        self.changes.first().map(|change| change.0)
    }

    fn plan(&mut self, at: Duration, member: usize, change: Change) {
        let place = self.changes.partition_point(|(before, ..)| *before <= at);
        self.changes.insert(place, (at, member, change));
    }
}

/// The first CAK has a name and a value of its own.
fn value(number: u8) -> u8 {
    if number == FIRST { 0x42 } else { number }
}

fn apply(station: &mut Station, now: Duration, change: Change) {
    match change {
        Change::Add(number, given) => {
            station.add_cak_as(now, given.value, number, given.preference);
        }
        Change::Prefer(number, preference) => station.prefer(now, number, preference),
        Change::Remove(number) => station.remove_cak(now, number),
    }
}

impl Group {
    /// Has all members prefer a new CAK to an older one and, if there is to be one, a fallback to none.
    pub(crate) fn has_caks(&mut self, fallback: bool) {
        let now = self.lab.lan.now();
        for member in 0..self.members() {
            self.caks.plan(now, member, Change::Prefer(FIRST, preference(FIRST, true)));
            if fallback {
                let given = Given { value: value(FALLBACK), preference: OF_FALLBACK };
                self.caks.plan(now, member, Change::Add(FALLBACK, given));
            }
        }
        self.change_caks();
    }

    /// A new CAK is added to all members within some time, in any order.
    pub(crate) fn add_new(&mut self, preferred: Preferred) {
        let number = self.caks.newest + 1;
        let within = self.spread();
        let now = self.lab.lan.now();
        for member in 0..self.members() {
            let preference = preference(number, preferred == Preferred::AtOnce);
            let given = Given { value: value(number), preference };
            let added = now + self.below(within);
            self.caks.plan(added, member, Change::Add(number, given));
            if preferred == Preferred::Later {
                let at = now + within + self.below(within);
                self.prefer(member, number, at);
            }
        }
        self.caks.before = Some(std::mem::replace(&mut self.caks.newest, number));
    }

    fn prefer(&mut self, member: usize, number: u8, at: Duration) {
        self.caks.plan(at, member, Change::Prefer(number, preference(number, true)));
    }

    /// The CAK before the newest is removed from all members within some time from then on. Some are the last to lose it.
    pub(crate) fn remove_former(&mut self, from: Duration, within: Duration, last: &[usize]) {
        let Some(number) = self.caks.before.take() else { return };
        for member in 0..self.members() {
            let first = if last.contains(&member) { from + within } else { from };
            let at = first + self.below(within);
            self.caks.plan(at, member, Change::Remove(number));
        }
    }

    /// All of a roll, whatever else may be: when the former CAK goes, all have been given the new one.
    pub(crate) fn roll(&mut self) {
        let preferred = [Preferred::AtOnce, Preferred::Later][self.dice.below(2) as usize];
        self.add_new(preferred);
        let all_have = self.caks.changes.last().map_or(self.lab.lan.now(), |change| change.0);
        let (gap, within) = (self.spread(), self.spread());
        self.remove_former(all_have + gap, within, &[]);
    }

    /// The member gets another CAK under the name of the newest, within this time, if it has that one now.
    pub(crate) fn make_wrong(&mut self, member: usize, within: Duration) {
        self.replace(member, within, WRONG + member as u8);
    }

    /// All have the newest CAK itself, within this time.
    pub(crate) fn put_right(&mut self, within: Duration) {
        let newest = value(self.caks.newest);
        for member in 0..self.members() {
            let has = self.caks.members[member].get(&self.caks.newest);
            if has.is_some_and(|given| given.value != newest) {
                self.replace(member, within, newest);
            }
        }
    }

    fn replace(&mut self, member: usize, within: Duration, value: u8) {
        let number = self.caks.newest;
        let Some(before) = self.caks.members[member].get(&number) else { return };
        let given = Given { value, ..*before };
        let at = self.lab.lan.now() + self.below(within);
        self.caks.plan(at, member, Change::Remove(number));
        self.caks.plan(at, member, Change::Add(number, given));
        self.change_caks();
    }

    /// Does what is due.
    pub(super) fn change_caks(&mut self) {
        let now = self.lab.lan.now();
        while self.caks.next_change().is_some_and(|at| at <= now) {
            let (_, member, change) = self.caks.changes.remove(0);
            let has = &mut self.caks.members[member];
            match change {
                Change::Add(number, given) => {
                    has.insert(number, given);
                }
                Change::Prefer(number, preference) => {
                    has.get_mut(&number).unwrap().preference = preference;
                }
                Change::Remove(number) => {
                    has.remove(&number);
                }
            }
            if self.is_there(member) {
                self.lab.lan.with(member, |station, now| apply(station, now, change));
            }
        }
    }

    /// A station that has begun anew has the first CAK, and is given all that it is to have.
    pub(super) fn give_caks(&mut self, member: usize) {
        let has = &self.caks.members[member];
        self.lab.lan.with(member, |station, now| {
            for (&number, given) in has {
                let change = match number {
                    FIRST => Change::Prefer(FIRST, given.preference),
                    _ => Change::Add(number, *given),
                };
                apply(station, now, change);
            }
            if !has.contains_key(&FIRST) {
                station.remove_cak(now, FIRST);
            }
        });
    }

    /// Lets time pass until all that is planned is done.
    pub(crate) fn finish_changes(&mut self) {
        while let Some(at) = self.caks.next_change() {
            let time = at.saturating_sub(self.lab.lan.now());
            self.run_for(time);
        }
    }

    pub(crate) fn all_use(&self, members: &[usize], number: u8) -> bool {
        members.iter().all(|member| self.lab.lan[*member].uses_cak(number))
    }

    /// Within what time something is done at all members.
    pub(crate) fn spread(&mut self) -> Duration {
        [millis(200), seconds(2), seconds(10), seconds(25)][self.dice.below(4) as usize]
    }

    pub(crate) fn below(&mut self, time: Duration) -> Duration {
        millis(self.dice.below(time.as_millis() as u64))
    }
}

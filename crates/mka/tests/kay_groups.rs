//! Groups of 2 to 32 members of MKA version 1, 2 and 3: whatever comes and goes, and whatever the network does, no nonce
//! is used twice, all know each other by one SSCI, nothing passes in clear, and a network that heals leads back to one SAK
//! for all.
//!
//! The seeds are always the same. `MKA_SIMULATIONS=5000` runs so many instead; `MKA_SEED=7` runs that one alone.

mod data_plane;
mod groups;
mod kay_lab;
mod lab;

use std::time::Duration;

use groups::{Case, Group, bad_links, seeds};
use kay_lab::common_ki;
use lab::{millis, seconds};
use netem::Link;

/// Once the network is well all are secured within this time: former instances expire, potential peers hold a SAK up, a
/// rollover under way is waited for, each for a Life Time, and a key server that is new may have to wait as long.
const HEALING: Duration = seconds(30);

#[derive(Clone, Copy)]
enum Trouble {
    Wait(u64),
    Silence(Whom),
    LinkDown(Whom),
    LinkUp(Whom),
    Restart(Whom),
    Rekey,
    Deaf,
    Partition,
    Scattered,
    Join,
    Worse,
}

#[derive(Clone, Copy)]
enum Whom {
    Anybody,
    KeyServer,
    Candidate,
}

const TROUBLES: [Trouble; 22] = {
    use Trouble::*;
    use Whom::*;
    [
        Wait(300),
        Wait(3000),
        Wait(3000),
        Wait(9000),
        Wait(20_000),
        Silence(Anybody),
        Silence(KeyServer),
        Silence(Candidate),
        LinkDown(Anybody),
        LinkDown(KeyServer),
        LinkUp(Anybody),
        LinkUp(Candidate),
        Restart(Anybody),
        Restart(Anybody),
        Restart(KeyServer),
        Restart(Candidate),
        Rekey,
        Deaf,
        Partition,
        Scattered,
        Join,
        Worse,
    ]
};

impl Group {
    fn whom(&mut self, whom: Whom) -> usize {
        let anybody = self.anybody();
        match whom {
            Whom::Anybody => anybody,
            Whom::KeyServer => self.key_server().unwrap_or(anybody),
            Whom::Candidate => self.candidate(),
        }
    }

    fn cause(&mut self, trouble: Trouble, links: Link) {
        let members = self.members();
        match trouble {
            Trouble::Wait(most) => self.wait(millis(most)),
            Trouble::Silence(whom) => {
                let whom = self.whom(whom);
                self.leave(whom);
            }
            Trouble::LinkDown(whom) => {
                let whom = self.whom(whom);
                self.set_link(whom, false);
            }
            Trouble::LinkUp(whom) => {
                let whom = self.whom(whom);
                self.set_link(whom, true);
            }
            Trouble::Restart(whom) => {
                let whom = self.whom(whom);
                self.restart(whom);
            }
            Trouble::Rekey => self.rekey(),
            Trouble::Deaf => {
                let (from, to) = (self.anybody(), self.anybody());
                self.lab.lan.link(from, to).cut = true;
            }
            Trouble::Partition => {
                let side: Vec<_> = (0..members).map(|_| self.dice.chance(500)).collect();
                for (from, to) in pairs(members).filter(|&(from, to)| side[from] != side[to]) {
                    self.lab.lan.link(from, to).cut = true;
                }
            }
            // Who hears whom has no order to it.
            Trouble::Scattered => {
                let rate = self.dice.below(500) as u16;
                for (from, to) in pairs(members) {
                    self.lab.lan.link(from, to).cut |= self.dice.chance(rate);
                }
            }
            Trouble::Join => self.lab.lan.set_links(links),
            Trouble::Worse => {
                let links = bad_links(&mut self.dice);
                self.lab.lan.set_links(links);
            }
        }
    }

    /// The network is well, all links are up; who is not there stays away, half the time. Somebody has to be key server.
    fn heal(&mut self) {
        self.lab.lan.set_links(Link::CLEAN);
        let all = self.dice.chance(500);
        for index in 0..self.members() {
            if !self.is_there(index) && (all || index < 2) {
                self.restart(index);
            }
            self.set_link(index, true);
        }
    }

    /// How long it takes until all have one key.
    #[track_caller]
    fn heals(&mut self) -> Duration {
        let since = self.lab.lan.now();
        self.lab.secured_within(HEALING);
        let time = self.lab.lan.now() - since;
        self.run_for(HEALING - time);
        self.stays();
        time
    }

    /// From now on nothing closes and nothing is lost.
    #[track_caller]
    fn stays(&mut self) {
        self.lab.stop_data();
        self.lab.forget_data();
        let closed = self.closed();
        self.send_data();
        self.run_for(seconds(20));
        self.lab.stop_data();
        // A rekey may be under way.
        self.lab.secured_within(seconds(3));
        assert_eq!(self.lab.lost(), 0, "lost\n{}", self.lab.show());
        assert_eq!(self.closed(), closed, "closed\n{}", self.lab.show());
    }
}

fn pairs(members: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..members).flat_map(move |from| (0..members).map(move |to| (from, to)))
}

/// Up to 30 % of loss do not keep ports closed.
#[test]
fn groups_are_secured_on_a_bad_network() {
    let mut longest = Duration::ZERO;
    for seed in seeds(32) {
        let _case = Case(seed);
        let mut group = Group::new(seed);
        let links = bad_links(&mut group.dice);
        group.lab.lan.set_links(links);
        group.lab.secured_within(seconds(60));
        longest = longest.max(group.lab.lan.now());
        group.lab.lan.set_links(Link::CLEAN);
        longest = longest.max(group.heals());
    }
    println!("longest {longest:?}");
}

#[test]
fn groups_are_secured_again_after_any_trouble() {
    let mut longest = (Duration::ZERO, 0);
    let mut members = 0;
    for seed in seeds(48) {
        let _case = Case(seed);
        let mut group = Group::new(seed);
        let links = if group.dice.chance(500) { bad_links(&mut group.dice) } else { Link::CLEAN };
        group.lab.lan.set_links(links);
        group.send_data();
        for _ in 0..4 + group.dice.below(28) {
            let trouble = TROUBLES[group.dice.below(TROUBLES.len() as u64) as usize];
            group.cause(trouble, links);
        }
        group.heal();
        longest = longest.max((group.heals(), seed));
        members += group.members();
        assert!(common_ki(&group.lab.lan).is_some());
    }
    println!("{members} members, longest {longest:?}");
}

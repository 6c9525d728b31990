//! What may befall a group, and how it recovers.

use std::time::Duration;

use netem::Link;

use super::{Group, bad_links};
use crate::{
    kay_lab::common_ki,
    lab::{millis, seconds},
};

/// Once the network is well all are secured within this time: former instances expire, potential peers hold a SAK up, a
/// rollover under way is waited for, each for a Life Time, and a key server that is new may have to wait as long.
pub(crate) const HEALING: Duration = seconds(30);

#[derive(Clone, Copy)]
pub(crate) enum Trouble {
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
pub(crate) enum Whom {
    Anybody,
    KeyServer,
    Candidate,
}

pub(crate) const TROUBLES: [Trouble; 22] = {
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

    pub(crate) fn cause(&mut self, trouble: Trouble, links: Link) {
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
    pub(crate) fn heal(&mut self) {
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
    pub(crate) fn heals(&mut self) -> Duration {
        let since = self.lab.lan.now();
        self.lab.secured_within(HEALING);
        let time = self.lab.lan.now() - since;
        self.run_for(HEALING - time);
        self.stays();
        time
    }

    /// From now on nothing closes and nothing is lost.
    #[track_caller]
    pub(crate) fn stays(&mut self) {
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

    /// Waits until all have one key of the newest CAK.
    #[track_caller]
    pub(crate) fn secured_with_newest(&mut self, time: Duration) {
        let (deadline, newest) = (self.lab.lan.now() + time, self.caks.newest);
        let secured = self.run_until(deadline, |lan| {
            lan.nodes().all(|station| station.uses_cak(newest)) && common_ki(lan).is_some()
        });
        assert!(secured, "not secured with CAK {newest}\n{}", self.lab.show());
        self.lab.secured_within(Duration::ZERO);
    }

    /// How long it takes until that is so. They stay so.
    #[track_caller]
    pub(crate) fn heals_with_newest(&mut self) -> Duration {
        let since = self.lab.lan.now();
        self.secured_with_newest(HEALING);
        let time = self.lab.lan.now() - since;
        self.run_for(HEALING - time);
        self.stays();
        self.secured_with_newest(seconds(3));
        time
    }
}

fn pairs(members: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..members).flat_map(move |from| (0..members).map(move |to| (from, to)))
}

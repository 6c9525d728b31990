//! Stations on a LAN, and what is to be seen of all of them.

use std::{cell::RefCell, rc::Rc, time::Duration};

use macsec::{CipherSuite, Ki, Sci};
use mka::{KayConfig, Suites};
use netem::{Dice, Lan, Link};

use super::Station;
use crate::lab::{Ledger, cak, ckn, config, millis, seconds};

/// A member of any kind, for a CA of this suite; ties of priorities are frequent. So often per mille it makes a new SAK when a
/// member has gone.
pub(crate) fn any_member(
    dice: &mut Dice,
    station: u8,
    suite: CipherSuite,
    rekeys_on_loss: u16,
) -> KayConfig {
    let mut config = KayConfig::new(config(station));
    config.participant.priority = 16 + 16 * dice.below(3) as u8;
    config.participant.version = 1 + dice.below(3) as u8;
    config.participant.suites = Suites::new(&[suite]).unwrap();
    config.participant.rekey_on_member_loss = dice.chance(rekeys_on_loss);
    config
}

/// A LAN of stations, and the means to restart them.
pub(crate) struct KayLab {
    pub(crate) lan: Lan<Station>,
    pub(crate) configs: Vec<KayConfig>,
    pub(crate) ledger: Rc<RefCell<Ledger>>,
    pub(crate) data_interval: Option<Duration>,
    seed: u64,
    instances: u64,
}

impl KayLab {
    pub(crate) fn new(seed: u64, configs: &[KayConfig]) -> Self {
        let ledger = Rc::new(RefCell::new(Ledger::default()));
        let seed_of = |index: u64| seed.wrapping_mul(1_000_003).wrapping_add(index);
        let stations: Vec<_> = (0..)
            .zip(configs)
            .map(|(index, config)| {
                Station::new(*config, (cak(), ckn()), seed_of(index), Duration::ZERO, &ledger)
            })
            .collect();
        let instances = stations.len() as u64;
        let lan = Lan::new(seed, stations);
        Self { lan, configs: configs.to_vec(), ledger, data_interval: None, seed, instances }
    }

    /// Stations 1, 2, ... with the priorities given.
    pub(crate) fn of(seed: u64, priorities: &[u8]) -> Self {
        let configs: Vec<_> = (1..)
            .zip(priorities)
            .map(|(station, &priority)| {
                let mut config = KayConfig::new(config(station));
                config.participant.priority = priority;
                config
            })
            .collect();
        Self::new(seed, &configs)
    }

    /// Has all stations send data from now on, as long as their ports are open.
    pub(crate) fn send_data(&mut self, interval: Duration) {
        self.data_interval = Some(interval);
        let now = self.lan.now();
        for index in self.present() {
            let station = &mut self.lan[index];
            station.data_interval = Some(interval);
            station.next_data = now;
        }
    }

    /// Starts a station, or starts it again: nothing of it has survived.
    pub(crate) fn restart(&mut self, index: usize) {
        let instance = self.seed.wrapping_mul(1_000_003).wrapping_add(self.instances);
        self.instances += 1;
        let now = self.lan.now();
        let config = self.configs[index];
        let mut station = Station::new(config, (cak(), ckn()), instance, now, &self.ledger);
        station.data_interval = self.data_interval;
        self.lan.put(index, station);
    }

    /// Waits until all stations that are there are secured with one key.
    #[track_caller]
    pub(crate) fn secured_within(&mut self, time: Duration) -> Ki {
        let deadline = self.lan.now() + time;
        let secured = self.lan.drive_until(deadline, |lan| common_ki(lan).is_some());
        assert!(secured, "not secured at {:?}:\n{}", self.lan.now(), self.show());
        let ki = common_ki(&self.lan).unwrap();
        // After an insider they may be of two, until the next SAK.
        if !self.ledger.borrow().insider {
            self.of_one_mind(ki);
        }
        ki
    }

    /// Pitfall 49: all have the same key under one name, and know each other's nonces.
    #[track_caller]
    fn of_one_mind(&self, ki: Ki) {
        let stations: Vec<_> = self.lan.nodes().collect();
        for one in &stations {
            assert_eq!(one.saks[&ki.0], stations[0].saks[&ki.0]);
            for other in stations.iter().filter(|other| other.sci != one.sci) {
                let known_as = one.peers.get(&(other.sci, ki.0));
                assert!(known_as.is_none_or(|sender| *sender == other.senders[&ki.0]));
            }
        }
    }

    /// Data sent by any station that another has not delivered, once nothing is under way.
    pub(crate) fn lost(&self) -> u64 {
        self.lost_among(&self.lan.nodes().map(|station| station.sci).collect::<Vec<_>>())
    }

    /// The same, among some of the stations.
    pub(crate) fn lost_among(&self, scis: &[Sci]) -> u64 {
        let stations: Vec<_> =
            self.lan.nodes().filter(|station| scis.contains(&station.sci)).collect();
        let mut lost = 0;
        for from in &stations {
            for to in stations.iter().filter(|to| to.sci != from.sci) {
                lost += from.sent - to.delivered.get(&from.sci).copied().unwrap_or_default();
            }
        }
        lost
    }

    /// Stops the data, until none is under way.
    pub(crate) fn stop_data(&mut self) {
        self.data_interval = None;
        for index in self.present() {
            self.lan[index].data_interval = None;
        }
        self.lan.run_for(Duration::from_millis(50));
    }

    /// Who is there.
    pub(crate) fn present(&self) -> Vec<usize> {
        let there = |index: &usize| {
            let sci = self.configs[*index].participant.sci;
            self.lan.nodes().any(|station| station.sci == sci)
        };
        (0..self.lan.len()).filter(there).collect()
    }

    /// Lets all that are there, on a link and with data planes that take their time as the dice fall, come to rest.
    pub(crate) fn begin(&mut self, dice: &mut Dice, slowest: u64) {
        for index in self.present() {
            self.lan[index].order_delay = millis(dice.below(slowest));
        }
        let jitter = millis(dice.below(20));
        self.lan.set_links(Link { jitter, ..Link::CLEAN });
        self.secured_within(seconds(20));
        self.lan.run_for(seconds(5));
    }

    /// Begins to count data anew.
    pub(crate) fn forget_data(&mut self) {
        for index in self.present() {
            let station = &mut self.lan[index];
            station.sent = 0;
            station.delivered.clear();
            station.refused = 0;
        }
    }

    /// What one wants to see of a run that has gone wrong, a few lines for each station.
    pub(crate) fn show(&self) -> String {
        self.lan.nodes().map(show).collect()
    }
}

fn show(station: &Station) -> String {
    let (kay, participant) = (&station.kay, station.kay.principal().unwrap());
    let mut shown = format!(
        "{} {} server {} outcome {:?} cp {} {:?}\n  keys {:?} agreed {:?} plane {:?} {:?}\n  peers",
        station.sci,
        participant.member().mi,
        station.is_key_server(),
        kay.outcome(),
        kay.port().state(),
        kay.port().port(),
        kay.port().reported().map(|key| key.map(|key| (key.ki.to_string(), key.an, key.tx))),
        participant.sak().map(|sak| sak.ki.to_string()),
        station.plane.transmit,
        station.plane.receive.keys().collect::<Vec<_>>(),
    );
    for peer in participant.peers() {
        let heard = if peer.live { "live" } else { "potential" };
        shown += &format!(" {} {heard}", peer.member.mi);
        for key in peer.key_use.iter().flat_map(|keys| [keys.latest, keys.old]).flatten() {
            shown += &format!(" ({} tx {} rx {})", key.ki, key.tx, key.rx);
        }
    }
    for event in &station.events[station.events.len().saturating_sub(8)..] {
        shown += &format!("\n  {event:?}");
    }
    shown + "\n"
}

/// The key that all stations send with: all secured, all live to each other, one key server.
pub(crate) fn common_ki(lan: &Lan<Station>) -> Option<Ki> {
    let stations: Vec<_> = lan.nodes().collect();
    let ki = stations.first()?.ki()?;
    let agrees = |station: &&Station| {
        station.is_secured()
            && station.ki() == Some(ki)
            && station.live_peers() == stations.len() - 1
            && stations
                .iter()
                .filter(|other| other.sci != station.sci)
                .all(|other| station.plane.scs.contains(&other.sci))
    };
    let one_server = stations.iter().filter(|station| station.is_key_server()).count() == 1;
    (one_server && stations.iter().all(agrees)).then_some(ki)
}

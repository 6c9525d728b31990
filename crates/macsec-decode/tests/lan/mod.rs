//! What the tests share: captures made of KaYs on a LAN in virtual time.
#![allow(dead_code)] // Every test file uses its own part of this.

use std::time::Duration;

use macsec::{CipherSuite, Ki, MacAddress, Sci, Ssci, TransmitSa};
use macsec_decode::{
    Frame, Given, GivenCa,
    mka::{Limits, MkaReader, MkaReport, MkpduFinding, StoryLine, Symptom},
};
use mka::{
    Cak, Ckn, Kay, KayConfig, MAX_FRAME_LEN, ParticipantConfig, Random, RandomError, Suites,
    order::Action,
};
use netem::{Dice, Lan, Node};

/// A frame and when it was sent.
pub(crate) type Captured = (Duration, Vec<u8>);

pub(crate) struct Seeded(Dice);

impl Random for Seeded {
    fn fill(&mut self, octets: &mut [u8]) -> Result<(), RandomError> {
        octets.fill_with(|| self.0.number() as u8);
        Ok(())
    }
}

/// A port whose data plane does at once as it is told.
pub(crate) struct Station {
    pub(crate) kay: Kay<Seeded>,
    pub(crate) saks: Vec<(Ki, Vec<u8>)>,
    pub(crate) sscis: Vec<(Ki, Ssci)>,
}

pub(crate) fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

pub(crate) fn sci(station: u8) -> Sci {
    Sci::new(MacAddress([2, 0, 0, 0, 0, station]), 1)
}

pub(crate) fn ckn() -> Ckn {
    Ckn::new(b"MACSEC-LAB-CKN01").unwrap()
}

pub(crate) fn cak(number: u8) -> Cak {
    Cak::new(&[number; 16]).unwrap()
}

pub(crate) fn config(station: u8, suite: CipherSuite, version: u8) -> KayConfig {
    let mut config = ParticipantConfig::new(sci(station));
    config.suites = Suites::new(&[suite]).unwrap();
    config.version = version;
    config.priority = 16 * station;
    KayConfig::new(config)
}

impl Station {
    pub(crate) fn new(now: Duration, seed: u64, config: KayConfig, cak: Cak, ckn: Ckn) -> Self {
        let mut kay = Kay::new(config, cak, ckn, Seeded(Dice::new(seed)), now).unwrap();
        kay.set_port_enabled(now, true);
        let mut station = Self { kay, saks: Vec::new(), sscis: Vec::new() };
        station.drain(now);
        station
    }

    fn drain(&mut self, now: Duration) {
        while self.kay.poll_event().is_some() {}
        while let Some(order) = self.kay.poll_order() {
            match &order.action {
                Action::InstallKey(key) => {
                    self.saks.push((key.ki(), key.sak().expose_octets().to_vec()));
                }
                Action::InstallTransmitSa(TransmitSa { ki, ssci: Some(ssci), .. }) => {
                    self.sscis.push((*ki, *ssci));
                }
                _ => {}
            }
            self.kay.order_done(now, order.id, Ok(()));
        }
    }
}

impl Node for Station {
    fn receive(&mut self, now: Duration, frame: &[u8]) {
        let _ = self.kay.handle_frame(now, frame);
        self.drain(now);
    }

    fn timeout(&mut self, now: Duration) {
        if self.kay.poll_timeout().is_some_and(|at| at <= now) {
            self.kay.handle_timeout(now);
        }
        self.drain(now);
    }

    fn next_timeout(&self, _: Duration) -> Option<Duration> {
        self.kay.poll_timeout()
    }

    fn transmit(&mut self, now: Duration) -> Option<Vec<u8>> {
        let mut buffer = [0; MAX_FRAME_LEN];
        let len = self.kay.poll_transmit(now, &mut buffer)?;
        Some(buffer[..len].to_vec())
    }
}

/// A LAN of stations 1, 2, .. of one CA.
pub(crate) fn lan(members: u8, suite: CipherSuite, version: u8) -> Lan<Station> {
    let stations = (1..=members).map(|station| {
        let config = config(station, suite, version);
        Station::new(Duration::ZERO, station.into(), config, cak(0x42), ckn())
    });
    Lan::new(1, stations.collect::<Vec<_>>())
}

/// What somebody on the LAN would have captured.
pub(crate) fn captured(lan: &Lan<Station>) -> Vec<Captured> {
    lan.sent().iter().map(|sent| (sent.at, sent.frame.clone())).collect()
}

/// The lab's CAK.
pub(crate) fn given() -> Given {
    Given { cas: vec![GivenCa { ckn: ckn(), cak: cak(0x42) }], sas: Vec::new() }
}

/// Everything that is found.
pub(crate) fn read(given: &Given, frames: &[Captured]) -> (MkaReader, Vec<MkpduFinding>) {
    let mut reader = MkaReader::new(given, Limits::default());
    let findings = (1..)
        .zip(frames)
        .map(|(number, (at, octets))| reader.read(&Frame { number, at: *at, octets, whole: true }))
        .collect();
    (reader, findings)
}

/// The story as text.
pub(crate) fn story(report: &MkaReport) -> Vec<String> {
    let line = |line: &StoryLine| line.text.clone();
    report.story.iter().map(line).collect()
}

pub(crate) fn symptoms(report: &MkaReport) -> Vec<String> {
    report.symptoms.iter().map(Symptom::line).collect()
}

//! One way of the traffic: what is sent, and what must come of it.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::{
    Counts, Result,
    capture::{self, Sender},
    case::{Attack, Case, Expect},
    ends::End,
    frames::Frames,
    station::PATIENCE,
};

/// Frames of an attack: as many as begin a case with less than [`SHORTEST`] octets.
pub(super) const ATTACKS: usize = 12;
/// Octets of the shortest frame that an Ethernet carries, without FCS.
const SHORTEST: usize = 60;

/// One way of the traffic.
pub(super) struct Way<'a> {
    case: &'a Case,
    source: [u8; 6],
    destination: [u8; 6],
    pub(super) first_pn: u64,
    /// Linux counts octets that it has tried to open, too (secy.md, 11 e).
    octets_of_invalid: bool,
    /// Frames that have been handed to the sender, and of these the ones it could send.
    offered: u32,
    pub(super) frames: u64,
    pub(super) octets: u64,
}

impl<'a> Way<'a> {
    pub(super) fn new(
        case: &'a Case,
        (source, destination): ([u8; 6], [u8; 6]),
        first_pn: u64,
        to_linux: bool,
    ) -> Self {
        let (octets_of_invalid, offered, frames, octets) = (to_linux, 0, 0, 0);
        Self { case, source, destination, first_pn, octets_of_invalid, offered, frames, octets }
    }

    /// Begins anew behind what has been sent so far.
    pub(super) fn next_section(&mut self) {
        self.first_pn += self.frames;
        (self.frames, self.octets) = (0, 0);
    }

    /// How many frames can still be sent.
    pub(super) fn left(&self) -> u64 {
        (self.case.suite.max_pn() - self.first_pn).saturating_add(1) - self.frames
    }

    /// Makes frames to be sent, and counts those that can be.
    pub(super) fn offer(&mut self, payloads: &[usize]) -> Frames {
        let frames = self.frames_of(payloads);
        let sendable = frames.truncated(usize::try_from(self.left()).unwrap_or(usize::MAX));
        self.offered += payloads.len() as u32;
        self.frames += sendable.payloads.len() as u64;
        self.octets += sendable.user_data();
        frames
    }

    /// Sends a burst, and returns what is wrong with what came of it.
    pub(super) fn burst(
        &mut self,
        payloads: &[usize],
        from: &mut dyn End,
        to: &mut dyn End,
    ) -> Result<Option<String>> {
        let (first, before) = (self.offered, self.frames);
        let frames = self.offer(payloads);
        let sendable = frames.truncated((self.frames - before) as usize);
        from.send(&frames)?;
        let delivered = match self.case.expect {
            Expect::NotValid => {
                // Nothing will come; when all have been counted, nothing is under way either.
                self.wait_until_counted(to)?;
                sendable.truncated(0)
            }
            Expect::Delivered | Expect::Invalid | Expect::Exhausted => sendable,
        };
        let difference = to.receive(&delivered)?;
        let (from, to) = (from.name(), to.name());
        let range = format!("frames from {first} on, from {from} to {to}");
        Ok(difference.map(|difference| format!("{range}: {difference}")))
    }

    fn wait_until_counted(&self, to: &mut dyn End) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        while to.counters()?.get("InPktsNotValid") < Some(&self.frames) && Instant::now() < until {
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// What the sender must have counted.
    pub(super) fn sent(&self) -> Counts {
        if self.case.confidentiality {
            [("OutPktsEncrypted", self.frames), ("OutOctetsEncrypted", self.octets)].into()
        } else {
            [("OutPktsProtected", self.frames), ("OutOctetsProtected", self.octets)].into()
        }
    }

    /// What the receiver must have counted.
    pub(super) fn received(&self) -> Counts {
        let (packets, valid) = match self.case.expect {
            Expect::Delivered | Expect::Exhausted => ("InPktsOK", true),
            Expect::NotValid => ("InPktsNotValid", false),
            Expect::Invalid => ("InPktsInvalid", false),
        };
        let octets =
            if self.case.confidentiality { "InOctetsDecrypted" } else { "InOctetsValidated" };
        let counted = if valid || self.octets_of_invalid { self.octets } else { 0 };
        [(packets, self.frames), (octets, counted)].into()
    }

    /// Counts what the wire has seen behind `start` of the capture: for traffic that is not ours to
    /// count.
    pub(super) fn count(&mut self, capture: &Path, start: usize) -> Result<()> {
        let frames = capture::frames_of(self.source, capture, start)?;
        self.frames = frames.len() as u64;
        self.octets = frames.iter().map(|frame| capture::user_data(frame)).sum();
        Ok(())
    }

    /// What an attacker sends this way, who has seen what was sent behind `start` of the capture.
    pub(super) fn attack(
        &self,
        attack: Attack,
        capture: &Path,
        start: usize,
    ) -> Result<Vec<Vec<u8>>> {
        let mut seen = capture::frames_of(self.source, capture, start)?;
        match attack {
            Attack::Replayed => seen.truncate(ATTACKS),
            Attack::Padded => {
                seen.truncate(ATTACKS);
                seen.iter_mut().for_each(|frame| frame.resize(frame.len().max(SHORTEST), 0));
            }
            Attack::Recent => drop(seen.drain(..seen.len().saturating_sub(ATTACKS))),
            Attack::Plain => seen = self.frames_of(&[100; ATTACKS]).octets().collect(),
        }
        Ok(seen)
    }

    /// The frames that must come of an attack, when `payloads` have been sent.
    pub(super) fn delivered(&self, attack: Attack, payloads: &[usize]) -> Frames {
        let recent = match attack {
            Attack::Recent => &payloads[payloads.len().saturating_sub(ATTACKS)..],
            Attack::Replayed | Attack::Padded | Attack::Plain => &[],
        };
        let first = self.offered - recent.len() as u32;
        Frames { first, ..self.frames_of(recent) }
    }

    /// The first `count` frames of this section, all of this `payload`.
    pub(super) fn of_section(&self, payload: usize, count: usize) -> Frames {
        let first = self.offered - self.frames as u32;
        Frames { first, ..self.frames_of(&vec![payload; count]) }
    }

    /// Frames of these payloads, numbered on from those offered.
    fn frames_of(&self, payloads: &[usize]) -> Frames {
        let Self { source, destination, offered, .. } = *self;
        let (vlan, payloads) = (self.case.vlan, payloads.to_vec());
        Frames { source, destination, vlan, first: offered, payloads }
    }

    /// What the wire must have seen.
    pub(super) fn sender(&self, name: &'static str) -> Sender {
        let (tci_an, first_pn) = (self.case.tci_an, self.first_pn);
        Sender { name, mac: self.source, tci_an, first_pn, frames: Some(self.frames) }
    }
}

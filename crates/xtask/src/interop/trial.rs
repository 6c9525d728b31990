//! A case is tried: both ends set up, frames both ways, and then everything looked at.

use std::{
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use macsec::{COUNTERS, MAX_OVERHEAD};
use macsec_io::{netlink::Netlink, netns::Namespace, offload, sysctl, tap::Tap};

use super::{
    Counts, Result,
    capture::{self, Sender},
    case::{Attack, Case, Expect, Lengths},
    frames::{Frames, VLAN_TAG},
    gateway::{self, Gateway},
    guest::{self, Guest},
    kernel,
    keys::Keys,
    station::{self, PATIENCE, Station},
};

/// The interface of the edge that is plugged into the guest.
pub(super) const WIRE: &str = "wire";
const TAP: &str = "tap0";

/// Frames that are under way at once: fewer than any queue on the way holds.
const BURST: usize = 64;

/// Frames of an attack: as many as begin a case with less than [`SHORTEST`] octets.
const ATTACKS: usize = 12;
/// Octets of the shortest frame that an Ethernet carries, without FCS.
const SHORTEST: usize = 60;

/// What all cases share.
pub(super) struct Bed {
    pub(super) cloud: Namespace,
    pub(super) netlink: Netlink,
    pub(super) guest: Guest,
    pub(super) capture: PathBuf,
}

/// One end, seen from the test.
trait End {
    fn name(&self) -> &'static str;
    fn send(&mut self, frames: &Frames) -> Result<()>;
    fn receive(&mut self, frames: &Frames) -> Result<Option<String>>;
    fn counters(&mut self) -> Result<Counts>;
    /// Puts `frames` on the wire on its own side of it.
    fn inject(&mut self, frames: &[Vec<u8>]) -> Result<()>;
}

struct Ours {
    station: Station,
    gateway: Gateway,
}

impl End for Ours {
    fn name(&self) -> &'static str {
        "ours"
    }

    fn send(&mut self, frames: &Frames) -> Result<()> {
        self.station.send(frames)
    }

    fn receive(&mut self, frames: &Frames) -> Result<Option<String>> {
        self.station.receive(frames)
    }

    fn counters(&mut self) -> Result<Counts> {
        self.gateway.counters()
    }

    fn inject(&mut self, frames: &[Vec<u8>]) -> Result<()> {
        station::inject(WIRE, frames.iter().cloned())
    }
}

struct Kernel<'a>(&'a mut Guest);

impl End for Kernel<'_> {
    fn name(&self) -> &'static str {
        "the kernel"
    }

    fn send(&mut self, frames: &Frames) -> Result<()> {
        self.0.send(frames)
    }

    fn receive(&mut self, frames: &Frames) -> Result<Option<String>> {
        self.0.receive(frames)
    }

    fn counters(&mut self) -> Result<Counts> {
        kernel::counters(self.0)
    }

    fn inject(&mut self, frames: &[Vec<u8>]) -> Result<()> {
        self.0.inject(frames)
    }
}

impl Bed {
    /// Tries a case, and returns what is not as it should be.
    pub(super) fn try_case(&mut self, case: &Case) -> Result<Vec<String>> {
        self.guest.begin(&case.name)?;
        let keys = Keys::of(case);
        self.netlink.set_mtu(WIRE, case.mtu)?;
        kernel::set_up(&mut self.guest, case, &keys, gateway::sci())?;
        self.guest.open(kernel::INTERFACE)?;
        let tap = self.cloud.run(|| tap(case))??;
        let gateway = Gateway::start(case, &keys, WIRE, tap)?;
        let station = self.cloud.run(|| Station::open(TAP))??;
        let start = capture::end(&self.capture)?;

        let (mut ours, mut kernel) = (Ours { station, gateway }, Kernel(&mut self.guest));
        let mut to_kernel = Way::new(case, gateway::MAC, guest::MAC, case.our_pn);
        // Linux counts octets that it has tried to open, too (secy.md, 11 e).
        to_kernel.octets_of_invalid = true;
        let mut to_us = Way::new(case, guest::MAC, gateway::MAC, case.kernel_pn);
        let mut faults = Vec::new();
        for burst in payloads(case).chunks(BURST) {
            faults.extend(to_kernel.burst(burst, &mut ours, &mut kernel)?);
            faults.extend(to_us.burst(burst, &mut kernel, &mut ours)?);
            if !faults.is_empty() {
                break;
            }
        }
        let mut counted_by_us = add(to_kernel.sent(), to_us.received());
        faults.extend(settle(&mut ours, &counted_by_us)?);
        let mut counted_by_kernel = add(to_us.sent(), to_kernel.received());
        faults.extend(settle(&mut kernel, &counted_by_kernel)?);
        let senders = [to_kernel.sender("ours"), to_us.sender("the kernel")];
        faults.extend(capture::check(&self.capture, start, &senders)?);
        for attack in &case.attacks {
            let frames = |way: &Way| way.attack(*attack, &self.capture, start);
            counted_by_kernel = add(counted_by_kernel, attacked(*attack, true));
            ours.inject(&frames(&to_kernel)?)?;
            faults.extend(settle(&mut kernel, &counted_by_kernel)?);
            faults.extend(to_kernel.nothing_came(&mut kernel)?);
            counted_by_us = add(counted_by_us, attacked(*attack, false));
            kernel.inject(&frames(&to_us)?)?;
            faults.extend(settle(&mut ours, &counted_by_us)?);
            faults.extend(to_us.nothing_came(&mut ours)?);
        }
        Ok(faults)
    }
}

/// The TAP of a case, silent but for us.
fn tap(case: &Case) -> Result<Tap> {
    let tap = Tap::create(TAP)?;
    sysctl::disable_ipv6(TAP)?;
    offload::disable_all(TAP)?;
    let mut netlink = Netlink::open()?;
    netlink.set_mac(TAP, gateway::MAC)?;
    netlink.set_arp(TAP, false)?;
    netlink.set_mtu(TAP, case.mtu - MAX_OVERHEAD as u32)?;
    netlink.set_up(TAP)?;
    Ok(tap)
}

/// The payloads of a case, in octets: from one to what the wire takes when all is added. (Linux receives
/// no frame with a VLAN tag and fewer than two octets behind its EtherType, at either station.)
fn payloads(case: &Case) -> Vec<usize> {
    let (shortest, tag) = if case.vlan { (2, VLAN_TAG) } else { (1, 0) };
    let longest = case.mtu as usize - MAX_OVERHEAD - tag;
    let every = match case.lengths {
        Lengths::All => 1,
        Lengths::Some => 97,
    };
    let is_edge = |len: usize| len <= 64 || len + 8 > longest;
    (shortest..=longest).filter(|len| is_edge(*len) || len % every == 0).collect()
}

/// One way of the traffic.
struct Way<'a> {
    case: &'a Case,
    source: [u8; 6],
    destination: [u8; 6],
    first_pn: u64,
    octets_of_invalid: bool,
    /// Frames that have been handed to the sender, and of these the ones it could send.
    offered: u32,
    frames: u64,
    octets: u64,
}

impl<'a> Way<'a> {
    fn new(case: &'a Case, source: [u8; 6], destination: [u8; 6], first_pn: u64) -> Self {
        let (octets_of_invalid, offered, frames, octets) = (false, 0, 0, 0);
        Self { case, source, destination, first_pn, octets_of_invalid, offered, frames, octets }
    }

    /// Sends a burst, and returns what is wrong with what came of it.
    fn burst(
        &mut self,
        payloads: &[usize],
        from: &mut dyn End,
        to: &mut dyn End,
    ) -> Result<Option<String>> {
        let frames = self.frames(payloads);
        let first = self.offered;
        let left = (self.case.suite.max_pn() - self.first_pn).saturating_add(1) - self.frames;
        let sendable = frames.truncated(usize::try_from(left).unwrap_or(usize::MAX));
        self.offered += payloads.len() as u32;
        self.frames += sendable.payloads.len() as u64;
        self.octets += sendable.user_data();
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
    fn sent(&self) -> Counts {
        if self.case.confidentiality {
            [("OutPktsEncrypted", self.frames), ("OutOctetsEncrypted", self.octets)].into()
        } else {
            [("OutPktsProtected", self.frames), ("OutOctetsProtected", self.octets)].into()
        }
    }

    /// What the receiver must have counted.
    fn received(&self) -> Counts {
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

    /// What an attacker sends this way, who has seen what was sent behind `start` of the capture.
    fn attack(&self, attack: Attack, capture: &Path, start: usize) -> Result<Vec<Vec<u8>>> {
        let seen = || capture::frames_of(self.source, capture, start, ATTACKS);
        let pad = |mut frame: Vec<u8>| {
            frame.resize(frame.len().max(SHORTEST), 0);
            frame
        };
        match attack {
            Attack::Replayed => seen(),
            Attack::Padded => Ok(seen()?.into_iter().map(pad).collect()),
            Attack::Plain => Ok(self.frames(&[100; ATTACKS]).octets().collect()),
        }
    }

    fn nothing_came(&self, to: &mut dyn End) -> Result<Option<String>> {
        let difference = to.receive(&self.frames(&[]))?;
        Ok(difference.map(|difference| format!("attack on {}: {difference}", to.name())))
    }

    fn frames(&self, payloads: &[usize]) -> Frames {
        let Self { source, destination, offered, .. } = *self;
        let (vlan, payloads) = (self.case.vlan, payloads.to_vec());
        Frames { source, destination, vlan, first: offered, payloads }
    }

    /// What the wire must have seen.
    fn sender(&self, name: &'static str) -> Sender {
        let (tci_an, first_pn) = (self.case.tci_an, self.first_pn);
        Sender { name, mac: self.source, tci_an, first_pn, frames: self.frames as usize }
    }
}

/// What the victim of an attack must have counted. Linux takes a frame for malformed that is longer
/// than its SL says, padding or not (secy.md, 5).
fn attacked(attack: Attack, is_linux: bool) -> Counts {
    let counter = match attack {
        Attack::Padded if is_linux => "InPktsBadTag",
        Attack::Replayed | Attack::Padded => "InPktsLate",
        Attack::Plain => "InPktsNoTag",
    };
    [(counter, ATTACKS as u64)].into()
}

fn add(mut counts: Counts, others: Counts) -> Counts {
    for (name, count) in others {
        *counts.entry(name).or_default() += count;
    }
    counts
}

/// Waits until the counters of an end are as expected, and returns those that do not get there.
fn settle(end: &mut dyn End, expected: &Counts) -> Result<Vec<String>> {
    let until = Instant::now() + PATIENCE / 4;
    loop {
        let counters = end.counters()?;
        let faults: Vec<_> = COUNTERS
            .iter()
            .filter_map(|counter| {
                let is = counters.get(counter.name).copied().unwrap_or_default();
                let ought = expected.get(counter.name).copied().unwrap_or_default();
                let what = || format!("{}: {} is {is}, not {ought}", end.name(), counter.name);
                (is != ought).then(what)
            })
            .collect();
        if faults.is_empty() || Instant::now() > until {
            return Ok(faults);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

//! A case is tried: both ends set up, frames both ways, and then everything looked at.

use std::{
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use macsec::MAX_OVERHEAD;
use macsec_io::netlink::Netlink;

use super::{
    Counts, Result, capture,
    case::{Attack, Case, ETHERNET_MTU, Expect, Lengths},
    ends::{End, Kernel, Ours, settle},
    frames::{Frames, VLAN_TAG},
    gateway::{self, Gateway, Site, TAP, WIRE},
    guest::{self, Guest},
    kernel,
    keys::Keys,
    station::{PATIENCE, Station},
    way::{ATTACKS, Way},
};

/// Frames that are under way at once: fewer than any queue on the way holds.
pub(super) const BURST: usize = 64;

/// What all cases share.
pub(super) struct Bed {
    pub(super) site: Site,
    pub(super) guest: Guest,
    pub(super) capture: PathBuf,
    /// What the case before has to tell, apart from its faults.
    pub(super) notes: Vec<String>,
}

/// A case that is being tried.
pub(super) struct Trial<'a> {
    pub(super) case: &'a Case,
    pub(super) keys: &'a Keys,
    pub(super) capture: PathBuf,
    pub(super) ours: Ours<'a>,
    pub(super) kernel: Kernel<'a>,
    pub(super) to_kernel: Way<'a>,
    pub(super) to_us: Way<'a>,
    /// Where in the capture begins what both ways count.
    pub(super) start: usize,
    /// What was counted before that, and what neither way counts.
    pub(super) counted_by_us: Counts,
    pub(super) counted_by_kernel: Counts,
}

impl Bed {
    /// Tries a case, and returns what is not as it should be.
    pub(super) fn try_case(&mut self, case: &Case) -> Result<Vec<String>> {
        self.guest.begin(&case.name)?;
        let keys = Keys::of(case);
        self.site.begin(case, &keys)?;
        kernel::set_up(&mut self.guest, case, &keys, gateway::sci())?;
        self.guest.open(kernel::INTERFACE)?;
        let start = capture::end(&self.capture)?;
        let mut to_us = Way::new(case, (guest::MAC, gateway::MAC), case.kernel_pn, false);
        // Nobody hears these. Some are shorter than an Ethernet frame can be.
        let early = to_us.offer(if case.held_back { &[1, 2, 10, 21, 22, 23, 60] } else { &[] });
        if case.held_back {
            self.guest.send(&early)?;
        }

        let gateway = Gateway::start(&self.site, case, &keys, true)?;
        let station = Station::open(TAP)?;
        let ours = Ours { station, gateway, site: &self.site, isolation: case.isolation };
        let mut trial = Trial {
            case,
            keys: &keys,
            capture: self.capture.clone(),
            ours,
            kernel: Kernel(&mut self.guest),
            to_kernel: Way::new(case, (gateway::MAC, guest::MAC), case.our_pn, true),
            to_us,
            start,
            counted_by_us: Counts::new(),
            counted_by_kernel: Counts::new(),
        };
        let mut faults =
            trial.run(&early).map_err(|error| match trial.ours.gateway.has_ended() {
                true => format!("the gateway has ended: {error}").into(),
                false => error,
            })?;
        trial.ours.gateway.terminate()?;
        faults.extend(not_given_back()?);
        Ok(faults)
    }
}

impl Trial<'_> {
    fn run(&mut self, early: &Frames) -> Result<Vec<String>> {
        let mut faults = self.deliver_padded(early)?;
        match self.case.restart {
            _ if !faults.is_empty() => {}
            Some(restart) => faults.extend(self.restart(restart)?),
            None if self.case.udp => faults.extend(self.udp()?),
            None => faults.extend(self.frames_and_attacks()?),
        }
        Ok(faults)
    }

    /// Delivers `early` frames of the kernel, as Ethernet would: padded.
    fn deliver_padded(&mut self, early: &Frames) -> Result<Vec<String>> {
        if early.payloads.is_empty() {
            return Ok(Vec::new());
        }
        let padded = self.to_us.attack(Attack::Padded, &self.capture, self.start)?;
        self.kernel.inject(&padded)?;
        let mut faults = self.settle()?;
        let difference = self.ours.receive(early)?;
        faults.extend(difference.map(|difference| format!("padded frames: {difference}")));
        self.next_section()?;
        Ok(faults)
    }

    fn frames_and_attacks(&mut self) -> Result<Vec<String>> {
        let mut faults = self.exchange()?;
        let payloads = payloads(self.case);
        for attack in &self.case.attacks {
            let frames = |way: &Way| way.attack(*attack, &self.capture, self.start);
            let (at_kernel, at_us) = (frames(&self.to_kernel)?, frames(&self.to_us)?);
            let delivered = self.to_kernel.delivered(*attack, &payloads);
            add(&mut self.counted_by_kernel, attacked(*attack, &delivered, self.case, true));
            self.ours.inject(&at_kernel)?;
            faults.extend(self.settle()?);
            faults.extend(came_of_attack(&mut self.kernel, &delivered)?);
            let delivered = self.to_us.delivered(*attack, &payloads);
            add(&mut self.counted_by_us, attacked(*attack, &delivered, self.case, false));
            self.kernel.inject(&at_us)?;
            faults.extend(self.settle()?);
            faults.extend(came_of_attack(&mut self.ours, &delivered)?);
        }
        Ok(faults)
    }

    /// Sends frames of all lengths both ways, and looks at everything.
    pub(super) fn exchange(&mut self) -> Result<Vec<String>> {
        let Self { case, ours, kernel, to_kernel, to_us, .. } = self;
        let mut faults = Vec::new();
        for burst in payloads(case).chunks(BURST) {
            // A port without PNs is closed: then the host cannot even try.
            if to_kernel.left() > 0 {
                faults.extend(to_kernel.burst(burst, ours, kernel)?);
            }
            faults.extend(to_us.burst(burst, kernel, ours)?);
            if !faults.is_empty() {
                break;
            }
        }
        faults.extend(self.settle()?);
        let senders = [self.to_kernel.sender("ours"), self.to_us.sender("the kernel")];
        faults.extend(capture::check(&self.capture, self.start, &senders)?);
        if self.case.expect == Expect::Exhausted && !self.closes()? {
            faults.push("our port stays open without PNs".to_owned());
        }
        Ok(faults)
    }

    /// Whether the port closes, and unplugs the host.
    fn closes(&self) -> Result<bool> {
        let mut netlink = Netlink::open()?;
        let until = Instant::now() + PATIENCE;
        while self.ours.gateway.status()?.controlled_port_enabled || netlink.link(TAP)?.carrier {
            if Instant::now() > until {
                return Ok(false);
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(true)
    }

    /// Waits until both ends have counted what they ought to.
    pub(super) fn settle(&mut self) -> Result<Vec<String>> {
        let by_us = sum([&self.counted_by_us, &self.to_kernel.sent(), &self.to_us.received()]);
        let by_kernel =
            sum([&self.counted_by_kernel, &self.to_us.sent(), &self.to_kernel.received()]);
        let mut faults = settle(&mut self.ours, || Ok(by_us.clone()))?;
        faults.extend(settle(&mut self.kernel, || Ok(by_kernel.clone()))?);
        Ok(faults)
    }

    /// Has both ways begin anew.
    pub(super) fn next_section(&mut self) -> Result<()> {
        add(&mut self.counted_by_us, sum([&self.to_kernel.sent(), &self.to_us.received()]));
        add(&mut self.counted_by_kernel, sum([&self.to_us.sent(), &self.to_kernel.received()]));
        self.to_kernel.next_section();
        self.to_us.next_section();
        self.start = capture::end(&self.capture)?;
        Ok(())
    }
}

/// Whether the host has the wire back, as it was.
pub(super) fn not_given_back() -> Result<Option<String>> {
    let mut netlink = Netlink::open()?;
    let as_it_was = netlink.link(WIRE)?.mtu == ETHERNET_MTU && !netlink.has_barrier(WIRE)?;
    Ok((!as_it_was).then(|| "the gateway has not given the wire back as it was".to_owned()))
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

fn came_of_attack(end: &mut dyn End, delivered: &Frames) -> Result<Option<String>> {
    let difference = end.receive(delivered)?;
    Ok(difference.map(|difference| format!("attack on {}: {difference}", end.name())))
}

/// What the victim of an attack must have counted, to whom these were `delivered`. Linux takes a frame
/// for malformed that is longer than its SL says, padding or not (secy.md, 5).
fn attacked(attack: Attack, delivered: &Frames, case: &Case, is_linux: bool) -> Counts {
    let counter = match attack {
        Attack::Padded if is_linux => "InPktsBadTag",
        Attack::Replayed | Attack::Padded => "InPktsLate",
        Attack::Plain => "InPktsNoTag",
        Attack::Recent => "InPktsOK",
    };
    let octets = if case.confidentiality { "InOctetsDecrypted" } else { "InOctetsValidated" };
    [(counter, ATTACKS as u64), (octets, delivered.user_data())].into()
}

/// What several have counted.
pub(super) fn sum<const N: usize>(counts: [&Counts; N]) -> Counts {
    let mut sum = Counts::new();
    counts.into_iter().for_each(|counts| add(&mut sum, counts.clone()));
    sum
}

/// Adds `others` to `counts`.
pub(super) fn add(counts: &mut Counts, others: Counts) {
    for (name, count) in others {
        *counts.entry(name).or_default() += count;
    }
}

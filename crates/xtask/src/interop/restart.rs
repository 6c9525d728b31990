//! Our end is ended in mid-traffic and started again: no PN is used twice, no frame delivered twice.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{
    Counts, Result, capture,
    case::Restart,
    ends::{Kernel, settle},
    gateway::{Gateway, TAP},
    guest, kernel,
    station::{PATIENCE, Station},
    trial::{BURST, Trial, add},
    way::Way,
};

/// Octets of payload in mid-traffic.
const PAYLOAD: usize = 100;
/// Frames at a time from our host in mid-traffic: a guest that is emulated takes that many a millisecond.
const FEW: usize = 2;
/// Frames that either end has to count before our end is ended.
const ENOUGH: u64 = 100;
/// The most PNs that a crash may cost in so short a time.
const MOST_SKIPPED: u64 = 1 << 14;

impl Trial<'_> {
    pub(super) fn restart(&mut self, how: Restart) -> Result<Vec<String>> {
        let mut faults = self.exchange()?;
        if !faults.is_empty() {
            return Ok(faults);
        }
        self.next_section()?;
        let delivered = self.end_in_mid_traffic(how)?;
        // What our host has sent meanwhile is not ours to count: some of it was still in the TAP.
        self.to_kernel.count(&self.capture, self.start)?;
        let senders = [self.to_kernel.sender("ours"), self.to_us.sender("the kernel")];
        faults.extend(capture::check(&self.capture, self.start, &senders)?);
        let expected = self.to_us.of_section(PAYLOAD, delivered.len());
        faults.extend(expected.difference(&delivered).map(|d| format!("in mid-traffic: {d}")));
        let heard: Vec<_> = capture::frames_of(guest::MAC, &self.capture, self.start)?
            .into_iter()
            .take(delivered.len())
            .collect();
        let first_not_delivered = self.to_us.first_pn + delivered.len() as u64;
        self.next_section()?;

        let (case, keys, site) = (self.case, self.keys, self.ours.site);
        self.ours.gateway = Gateway::start(site, case, keys, false)?;
        self.ours.station = Station::open(TAP)?;
        // What the guest's station has of that time nobody has asked for.
        self.kernel.0.open(kernel::INTERFACE)?;
        self.counted_by_us = Counts::new();
        let (next_pn, lowest_pn) = self.pns()?;
        let what = [
            ("next PN", next_pn, self.to_kernel.first_pn),
            ("lowest PN", lowest_pn, first_not_delivered),
        ];
        for (what, is, ought) in what {
            let most = if how == Restart::Killed { MOST_SKIPPED } else { 0 };
            if !(ought..=ought + most).contains(&is) {
                faults.push(format!("the {what} is {is} after the start, and was {ought} before"));
            }
        }
        self.to_kernel.first_pn = next_pn;

        add(&mut self.counted_by_us, [("InPktsLate", heard.len() as u64)].into());
        for burst in heard.chunks(BURST) {
            self.kernel.0.inject(burst)?;
        }
        faults.extend(self.settle()?);
        self.skip_to(lowest_pn)?;
        faults.extend(self.settle()?);
        let late = self.ours.station.receive_now().len();
        if late > 0 {
            faults.push(format!("{late} frames have been delivered that come late"));
        }
        self.start = capture::end(&self.capture)?;
        if faults.is_empty() {
            faults.extend(self.exchange()?);
        }
        Ok(faults)
    }

    /// Ends our end while frames move both ways. Returns those that it has delivered since the section
    /// began; the kernel's are counted.
    fn end_in_mid_traffic(&mut self, how: Restart) -> Result<Vec<Vec<u8>>> {
        let stop = &AtomicBool::new(false);
        let Self { ours, kernel, to_kernel, to_us, counted_by_us, .. } = self;
        let (station, gateway) = (&mut ours.station, &mut ours.gateway);
        thread::scope(|scope| {
            let guest = scope.spawn(|| guest_sends(kernel, to_us, stop));
            let host = scope.spawn(|| host_sends_and_receives(station, to_kernel, stop));
            let ended = wait_for_traffic(gateway, counted_by_us).and_then(|()| match how {
                Restart::Terminated => gateway.terminate(),
                Restart::Killed => gateway.kill(),
            });
            stop.store(true, Ordering::Release);
            let panicked = |_| "a thread has panicked";
            guest.join().map_err(panicked)??;
            let delivered = host.join().map_err(panicked)??;
            ended.map(|()| delivered)
        })
    }

    /// Where our end begins: the next PN that it sends, the lowest that it takes.
    fn pns(&self) -> Result<(u64, u64)> {
        let secy = self.ours.gateway.secy()?;
        let transmit = secy.transmit_sc.transmit_sa.first().and_then(|sa| sa.next_pn);
        let receive = secy.receive_sc.iter().flat_map(|sc| &sc.receive_sa).map(|sa| sa.lowest_pn);
        Ok((transmit.ok_or("no PN is left")?, receive.min().ok_or("there is no receive SA")?))
    }

    /// Has the kernel use up its PNs below `lowest_pn`, which come late.
    fn skip_to(&mut self, lowest_pn: u64) -> Result<()> {
        let late = lowest_pn.saturating_sub(self.to_us.first_pn).min(MOST_SKIPPED);
        for burst in vec![PAYLOAD; late as usize].chunks(BURST) {
            let frames = self.to_us.offer(burst);
            self.kernel.0.send(&frames)?;
            // No more under way than any queue holds.
            let sent = [("InPktsLate", burst.len() as u64)].into();
            add(&mut self.counted_by_us, sent);
            let expected = self.counted_by_us.clone();
            settle(&mut self.ours, || Ok(expected.clone()))?;
        }
        add(&mut self.counted_by_kernel, self.to_us.sent());
        self.to_us.next_section();
        Ok(())
    }
}

/// Waits until our end has counted enough in both directions, more than `before`.
fn wait_for_traffic(gateway: &Gateway, before: &Counts) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        let counters = gateway.counters()?;
        let more = |name| {
            let of = |counts: &Counts| counts.get(name).copied().unwrap_or_default();
            of(&counters) >= of(before) + ENOUGH
        };
        if more("OutPktsEncrypted") && more("InPktsOK") {
            return Ok(());
        }
        if Instant::now() > until {
            return Err("there is no traffic to end our end in".into());
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn guest_sends(kernel: &mut Kernel<'_>, way: &mut Way<'_>, stop: &AtomicBool) -> Result<()> {
    while !stop.load(Ordering::Acquire) {
        let frames = way.offer(&[PAYLOAD; 8]);
        kernel.0.send(&frames)?;
    }
    Ok(())
}

/// Sends until told to stop, and returns what has come.
fn host_sends_and_receives(
    station: &mut Station,
    way: &mut Way<'_>,
    stop: &AtomicBool,
) -> Result<Vec<Vec<u8>>> {
    let mut received = Vec::new();
    let mut sent = Ok(());
    while !stop.load(Ordering::Acquire) {
        if sent.is_ok() {
            // The TAP goes with the gateway; what is lost before shows where it has not arrived.
            sent = station.send(&way.offer(&[PAYLOAD; FEW]));
        }
        received.extend(station.receive_now());
        thread::sleep(Duration::from_millis(1));
    }
    received.extend(station.receive_now());
    Ok(received)
}

//! The two ends, seen from the test.

use std::{
    thread,
    time::{Duration, Instant},
};

use macsec::COUNTERS;
use macsec_gateway::config::Isolation;

use super::{
    Counts, Result,
    frames::Frames,
    gateway::{Gateway, Site},
    guest::Guest,
    kernel,
    station::{PATIENCE, Station},
};

/// One end.
pub(super) trait End {
    fn name(&self) -> &'static str;
    fn send(&mut self, frames: &Frames) -> Result<()>;
    fn receive(&mut self, frames: &Frames) -> Result<Option<String>>;
    fn counters(&mut self) -> Result<Counts>;
    /// Puts `frames` on the wire on its own side of it.
    fn inject(&mut self, frames: &[Vec<u8>]) -> Result<()>;
}

/// The daemon, and a station at its TAP.
pub(super) struct Ours<'a> {
    pub(super) station: Station,
    pub(super) gateway: Gateway,
    pub(super) site: &'a Site,
    pub(super) isolation: Isolation,
}

impl End for Ours<'_> {
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
        self.site.inject(self.isolation, frames)
    }
}

/// The guest, with a station at its `macsec0`.
pub(super) struct Kernel<'a>(pub(super) &'a mut Guest);

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

/// Waits until the counters of an end are as expected, and returns those that do not get there. What
/// is expected may change while traffic dies down.
pub(super) fn settle(
    end: &mut dyn End,
    mut expected: impl FnMut() -> Result<Counts>,
) -> Result<Vec<String>> {
    let until = Instant::now() + PATIENCE / 4;
    loop {
        let (counters, expected) = (end.counters()?, expected()?);
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

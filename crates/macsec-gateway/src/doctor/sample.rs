//! What a port has counted between two looks.

use std::{collections::BTreeMap, time::Duration};

use macsec::COUNTERS;

use crate::status::PortStatus;

/// A port, seen twice.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// The first look.
    pub before: &'a PortStatus,
    /// The second one.
    pub after: &'a PortStatus,
    /// The time between them.
    pub interval: Duration,
}

/// Which frames to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// All that there have been.
    Ever,
    /// Those between the two looks.
    Now,
}

impl Sample<'_> {
    /// The present value of a counter, by the name of its leaf (`in-pkts-ok`, `ring-drop`).
    pub(super) fn total(&self, counter: &str) -> u64 {
        value(self.after, counter)
    }

    /// How much a counter has risen.
    pub(super) fn rise(&self, counter: &str) -> u64 {
        // One that has begun anew has no past.
        self.total(counter).checked_sub(value(self.before, counter)).unwrap_or(self.total(counter))
    }

    fn count(&self, when: When, counter: &str) -> u64 {
        match when {
            When::Ever => self.total(counter),
            When::Now => self.rise(counter),
        }
    }

    /// The sum of some counters.
    pub(super) fn sum<'a>(&self, when: When, counters: impl IntoIterator<Item = &'a str>) -> u64 {
        counters.into_iter().map(|counter| self.count(when, counter)).sum()
    }

    /// Frames that the wire brought; with MKA without those that agree on keys.
    pub(super) fn received(&self, when: When) -> u64 {
        let of_standard = COUNTERS.iter().map(|counter| counter.yang);
        let of_standard = of_standard.filter(|name| name.starts_with("in-pkts"));
        let local = ["port-closed", "reserved-tci", "runt", "duplicate", "state-drop"];
        let eapol = Some("eapol-from-uplink").filter(|_| self.after.key_source != "mka");
        let in_clear = match when {
            When::Ever => bypassed(self.after),
            When::Now => bypassed(self.after).saturating_sub(bypassed(self.before)),
        };
        self.sum(when, of_standard.chain(local).chain(eapol)) + in_clear
    }

    /// Frames of the host that the SecY has protected.
    pub(super) fn sent(&self, when: When) -> u64 {
        self.sum(when, ["out-pkts-protected", "out-pkts-encrypted"])
    }

    /// What a counter says, in one line.
    pub(super) fn told(&self, counter: &str) -> String {
        let (rise, total, seconds) = (self.rise(counter), self.total(counter), self.seconds());
        match rise {
            0 => format!("{total}, none of them in the last {seconds} s"),
            _ if rise == total => format!("{rise} in the last {seconds} s"),
            _ => format!("{rise} in the last {seconds} s, {total} in all"),
        }
    }

    /// The time between the looks, rounded.
    pub(super) fn seconds(&self) -> u64 {
        (self.interval.as_secs_f64().round() as u64).max(1)
    }
}

fn value(status: &PortStatus, counter: &str) -> u64 {
    let empty = BTreeMap::new();
    let secy = status.secy.as_ref();
    let maps = [
        secy.map_or(&empty, |secy| &secy.verification),
        secy.map_or(&empty, |secy| &secy.generation),
        secy.map_or(&empty, |secy| &secy.receive_sc_sum),
        secy.map_or(&empty, |secy| &secy.transmit_sc.statistics),
        &status.local,
    ];
    maps.iter().find_map(|map| map.get(counter)).copied().unwrap_or_default()
}

fn bypassed(status: &PortStatus) -> u64 {
    status.bypass.iter().map(|entry| entry.in_pkts).sum()
}

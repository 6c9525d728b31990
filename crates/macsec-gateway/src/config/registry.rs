//! What must not occur twice in a file.

use std::collections::{HashMap, hash_map::Entry};
use std::hash::Hash;

use super::{
    key::KeyCheck,
    reader::{Report, Spot},
};

/// What has been taken so far, and where.
#[derive(Default)]
pub(super) struct Registry {
    /// Names of ports.
    pub(super) names: Taken<String>,
    /// Uplinks and TAPs: an interface is one thing only.
    pub(super) interfaces: Taken<String>,
    /// SAKs. Two ports with one SAK would meet in a nonce.
    pub(super) saks: Taken<KeyCheck>,
}

/// Things of one kind that have been taken.
pub(super) struct Taken<T>(HashMap<T, Spot>);

impl<T> Default for Taken<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Eq + Hash> Taken<T> {
    /// Takes `thing`, which stands at `spot`, or says who has it. `what` names it in the fault.
    pub(super) fn claim(&mut self, report: &mut Report, thing: T, spot: &Spot, what: &str) -> bool {
        match self.0.entry(thing) {
            Entry::Vacant(free) => {
                free.insert(spot.clone());
                true
            }
            Entry::Occupied(first) => {
                let first = first.get();
                let rule =
                    format!("{what} of its own; {} has this (line {})", first.key, first.line);
                report.fault(spot, rule);
                false
            }
        }
    }
}

//! What must not occur twice in a file.

use std::collections::{HashMap, hash_map::Entry};
use std::hash::Hash;

use mka::Ckn;

use super::{
    key::KeyCheck,
    reader::{Found, Report, Spot},
};

/// What has been taken so far, and where.
#[derive(Default)]
pub(super) struct Registry {
    /// Names of ports.
    pub(super) names: Taken<String>,
    /// Uplinks and TAPs: an interface is one thing only.
    pub(super) interfaces: Taken<String>,
    /// SAKs. Two ports with one SAK would meet in a nonce.
    saks: Taken<KeyCheck>,
    /// CKNs, and the CAK that each is the name of.
    ckns: HashMap<Ckn, (KeyCheck, Spot)>,
    /// CAKs, and the CKN that each goes by.
    caks: HashMap<KeyCheck, (Ckn, Spot)>,
}

impl Registry {
    /// Takes a SAK, which stands at `spot`, or says who has it.
    pub(super) fn claim_sak(&mut self, report: &mut Report, sak: KeyCheck, spot: &Spot) -> bool {
        if let Some((_, first)) = self.caks.get(&sak) {
            report.fault(spot, format!("a SAK of its own; {}", first.has_this()));
            return false;
        }
        self.saks.claim(report, sak, spot, "a SAK")
    }

    /// Takes a CAK, which stands at `spot`, under the name `ckn`, or says who has it as a SAK.
    ///
    /// Ports may share a CAK: they are of one CA then. They may share a CKN without the CAK, too, as
    /// each port knows its own CAK only; routers' key chains often number the keys of every link
    /// from 1. Neither should stay if it is not meant.
    pub(super) fn claim_cak(
        &mut self,
        report: &mut Report,
        cak: KeyCheck,
        spot: &Spot,
        ckn: &Found<Ckn>,
    ) -> bool {
        if let Some(first) = self.saks.0.get(&cak) {
            report.fault(spot, format!("a CAK of its own; {}", first.has_this()));
            return false;
        }
        let (other, first) = self.ckns.entry(ckn.value).or_insert((cak, ckn.at.clone()));
        if *other != cak {
            let reason = format!("{}, for another CAK", first.has_this());
            report.warn(&ckn.at, format!("a CKN of its own keeps mistakes apart; {reason}"));
        }
        let (other, first) = self.caks.entry(cak).or_insert((ckn.value, spot.clone()));
        if *other != ckn.value {
            let reason = format!("{}, under another CKN", first.has_this());
            report.warn(spot, format!("a CAK of its own for each CKN; {reason}"));
        }
        true
    }
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
                report.fault(spot, format!("{what} of its own; {}", first.get().has_this()));
                false
            }
        }
    }
}

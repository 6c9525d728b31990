//! A group CAK that the key server distributes (802.1X clause 11.11.1): for people to see.
//!
//! We take part in the CAs that we are configured for, and in no other. So its name is kept, and
//! nothing else: the wrapped key is not looked at.

use macsec::Sci;

use super::{Participant, event::Event};
use crate::{Body, Ckn, DistributedCak, KeyLength, Random};

/// The name of a group CAK that a key server has distributed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfferedCak {
    /// The key server.
    pub from: Sci,
    /// The name of the CAK. The octets do not say where the CAK ends and its name begins: it is
    /// taken to be as long as that of the CA, if they admit that.
    pub ckn: Ckn,
}

impl<R: Random> Participant<R> {
    /// The group CAK that a key server has distributed last.
    #[must_use]
    pub const fn offered_cak(&self) -> Option<&OfferedCak> {
        self.offered_cak.as_ref()
    }

    /// Takes note of a Distributed CAK. It is told once for each, as the set comes again and again.
    pub(super) fn take_offer(&mut self, body: &Body<'_>) {
        let Some(set) = &body.distributed_cak else { return };
        self.counters.in_cak_mkpdu += 1;
        // Nobody else has a say in it, no more than in the SAK.
        if self.listed_by_server(body).is_err() {
            return;
        }
        let Some(ckn) = name(set, self.cak.length()) else { return };
        let (mi, sci) = (body.basic.actor.mi, body.basic.sci);
        let offer = OfferedCak { from: sci, ckn };
        if self.offered_cak != Some(offer) {
            self.offered_cak = Some(offer);
            self.event(Event::CakOffered { mi, sci });
        }
    }
}

/// The name in the set. `length`: that of the CA's own CAK.
fn name(set: &DistributedCak<'_>, length: KeyLength) -> Option<Ckn> {
    let lengths = [length, KeyLength::Bits128, KeyLength::Bits256];
    lengths.into_iter().find_map(|length| set.split(length)).map(|(_, ckn)| ckn)
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    /// Sets with a wrapped CAK of so many octets and a CKN of so many.
    fn names(wrapped: usize, ckn: usize, own: KeyLength) -> bool {
        let body = [vec![0xee; wrapped], vec![b'n'; ckn]].concat();
        let set = DistributedCak::new(&body).expect("a set");
        name(&set, own) == Some(Ckn::new(&vec![b'n'; ckn]).expect("a CKN"))
    }

    #[test]
    fn a_name_is_cut_where_the_length_of_the_ca_or_of_the_set_says() {
        use KeyLength::{Bits128, Bits256};
        for (wrapped, ckns, same, other) in
            [(24, 1..=16, Bits128, Bits256), (40, 17..=32, Bits256, Bits128)]
        {
            for ckn in 1..=Ckn::MAX_LEN {
                assert!(names(wrapped, ckn, same), "{wrapped} {ckn}");
                assert_eq!(names(wrapped, ckn, other), ckns.contains(&ckn), "{wrapped} {ckn}");
            }
        }
    }
}

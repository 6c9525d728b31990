//! What a frame is, by its EtherType: EAPOL, on the bypass list, or the SecY's.

const VLAN_TAG: usize = 4;
const ETHERTYPE_EAPOL: u16 = 0x888e;
const ETHERTYPE_VLAN: [u8; 2] = [0x81, 0x00];

/// Where a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// To the key agreement entity, and never across the port.
    Eapol,
    /// Past the SecY, in clear: entry of the bypass list.
    Bypass(usize),
    /// Through the SecY.
    Data,
}

/// An EtherType that passes in clear because the configuration says so, and how often it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bypass {
    /// The EtherType, at octets 12 and 13 of a frame.
    pub ether_type: u16,
    /// Frames of the wire given to the host.
    pub from_uplink: u64,
    /// Frames of the host sent on the wire.
    pub from_tap: u64,
}

/// The EtherTypes that do not go through the SecY.
#[derive(Debug, Default)]
pub(super) struct BypassList {
    /// Those that pass in clear.
    entries: Vec<Bypass>,
    /// The EtherType that this port's EAPOL goes under instead of its own.
    other_eapol: Option<u16>,
}

impl BypassList {
    /// Sets the EtherType of this port's EAPOL. That never crosses, nor does EAPOL's own.
    pub(super) fn set_eapol(&mut self, ether_type: u16) {
        self.other_eapol = Some(ether_type).filter(|ether_type| *ether_type != ETHERTYPE_EAPOL);
    }

    /// Replaces the list of what passes in clear. Types that stay keep their counts.
    pub(super) fn set(&mut self, ether_types: &[u16]) {
        let entry = |ether_type: &u16| {
            let known = self.entries.iter().find(|entry| entry.ether_type == *ether_type);
            let fresh = Bypass { ether_type: *ether_type, from_uplink: 0, from_tap: 0 };
            known.copied().unwrap_or(fresh)
        };
        self.entries = ether_types.iter().filter(|t| **t != ETHERTYPE_EAPOL).map(entry).collect();
    }

    pub(super) fn entries(&self) -> &[Bypass] {
        &self.entries
    }

    /// Sorts a frame in.
    ///
    /// EAPOL is looked for behind a priority tag too; the bypass list is not, so that nothing which
    /// carries a tag leaves in clear.
    #[inline]
    pub(super) fn classify(&self, frame: &[u8]) -> Class {
        let ethertype = frame.get(12..).unwrap_or_default();
        let behind_tag = match ethertype.split_first_chunk::<VLAN_TAG>() {
            // Priority and drop eligibility take the upper four bits, and the VLAN is 0.
            Some(([a, b, c, 0], rest)) if [*a, *b] == ETHERTYPE_VLAN && c & 0x0f == 0 => rest,
            _ => ethertype,
        };
        let is = |ether_type: u16| behind_tag.starts_with(&ether_type.to_be_bytes());
        if is(ETHERTYPE_EAPOL) || self.other_eapol.is_some_and(is) {
            return Class::Eapol;
        }
        if self.entries.is_empty() {
            return Class::Data;
        }
        let ethertype = ethertype.first_chunk().map(|octets| u16::from_be_bytes(*octets));
        let position = self.entries.iter().position(|entry| Some(entry.ether_type) == ethertype);
        position.map_or(Class::Data, Class::Bypass)
    }

    /// Counts a frame of the wire that passes in clear.
    pub(super) fn count_from_uplink(&mut self, entry: usize) {
        self.entries[entry].from_uplink += 1;
    }

    /// Counts a frame of the host that passes in clear.
    pub(super) fn count_from_tap(&mut self, entry: usize) {
        self.entries[entry].from_tap += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(behind_addresses: &[u8]) -> Vec<u8> {
        [&[0; 12][..], behind_addresses, &[0; 46]].concat()
    }

    fn list(ether_types: &[u16]) -> BypassList {
        let mut list = BypassList::default();
        list.set(ether_types);
        list
    }

    #[test]
    fn frames_are_sorted_by_what_follows_the_addresses() {
        let list = list(&[0x88cc, 0x88f7]);
        for (octets, class) in [
            (&[0x88, 0x8e][..], Class::Eapol),
            (&[0x81, 0x00, 0x00, 0x00, 0x88, 0x8e], Class::Eapol),
            (&[0x81, 0x00, 0xe0, 0x00, 0x88, 0x8e], Class::Eapol),
            (&[0x81, 0x00, 0x00, 0x05, 0x88, 0x8e], Class::Data),
            (&[0x81, 0x00, 0x01, 0x00, 0x88, 0x8e], Class::Data),
            (&[0x88, 0xcc], Class::Bypass(0)),
            (&[0x88, 0xf7], Class::Bypass(1)),
            (&[0x81, 0x00, 0x00, 0x00, 0x88, 0xcc], Class::Data),
            (&[0x08, 0x00], Class::Data),
        ] {
            assert_eq!(list.classify(&frame(octets)), class, "{octets:02x?}");
        }
        for short in 0..14 {
            assert_eq!(list.classify(&vec![0x88; short]), Class::Data);
        }
    }

    #[test]
    fn eapol_cannot_be_bypassed() {
        let list = list(&[ETHERTYPE_EAPOL]);
        assert_eq!(list.classify(&frame(&[0x88, 0x8e])), Class::Eapol);
        assert!(list.entries().is_empty());
    }

    #[test]
    fn eapol_under_another_ethertype_does_not_cross_either() {
        let mut list = list(&[0x88cc]);
        list.set_eapol(0x876f);
        for (octets, class) in [
            (&[0x87, 0x6f][..], Class::Eapol),
            (&[0x81, 0x00, 0xe0, 0x00, 0x87, 0x6f], Class::Eapol),
            (&[0x81, 0x00, 0x00, 0x05, 0x87, 0x6f], Class::Data),
            (&[0x88, 0x8e], Class::Eapol),
            (&[0x88, 0xcc], Class::Bypass(0)),
        ] {
            assert_eq!(list.classify(&frame(octets)), class, "{octets:02x?}");
        }
        list.set_eapol(ETHERTYPE_EAPOL);
        assert_eq!(list.classify(&frame(&[0x87, 0x6f])), Class::Data, "user data again");
        assert_eq!(list.classify(&frame(&[0x88, 0x8e])), Class::Eapol);
    }

    #[test]
    fn a_new_list_keeps_the_counts_of_what_stays() {
        let mut list = list(&[0x88cc, 0x88f7]);
        list.count_from_tap(0);
        list.count_from_tap(1);
        list.set(&[0x88f7, 0x8809]);
        let counts: Vec<_> = list.entries().iter().map(|e| (e.ether_type, e.from_tap)).collect();
        assert_eq!(counts, [(0x88f7, 1), (0x8809, 0)]);
    }
}

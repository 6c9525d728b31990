//! What kind of frame it is.

use mka::ETHERTYPE_EAPOL;

const ADDRESSES_LEN: usize = 12;
const VLAN_TAG_LEN: usize = 4;
/// VLAN tags in clear that are looked behind.
const MOST_VLAN_TAGS: usize = 2;
const ETHERTYPE_MACSEC: u16 = 0x88e5;

/// What kind of frame it is, and where its EtherType stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// EAPOL. Whether it is an MKPDU, its reader finds.
    Eapol {
        /// Octets before the EtherType.
        at: usize,
    },
    /// It has a SecTAG.
    Macsec {
        /// Octets before the EtherType.
        at: usize,
    },
    /// Neither, or too short to be anything.
    Other,
}

/// Looks at the EtherType, behind up to two VLAN tags in clear.
#[must_use]
pub fn classify(octets: &[u8]) -> Kind {
    let mut at = ADDRESSES_LEN;
    for _ in 0..=MOST_VLAN_TAGS {
        let Some(&[high, low]) = octets.get(at..at + 2) else { return Kind::Other };
        match u16::from_be_bytes([high, low]) {
            ETHERTYPE_EAPOL => return Kind::Eapol { at },
            ETHERTYPE_MACSEC => return Kind::Macsec { at },
            0x8100 | 0x88a8 => at += VLAN_TAG_LEN,
            _ => return Kind::Other,
        }
    }
    Kind::Other
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ethertype_is_found_behind_two_tags_and_not_behind_three() {
        let frame = |types: &[u16]| {
            let mut octets = vec![2; 12];
            for (place, ethertype) in types.iter().enumerate() {
                octets.extend(ethertype.to_be_bytes());
                if place + 1 < types.len() {
                    octets.extend([0, 7]);
                }
            }
            octets
        };
        assert_eq!(classify(&frame(&[0x88e5])), Kind::Macsec { at: 12 });
        assert_eq!(classify(&frame(&[0x8100, 0x888e])), Kind::Eapol { at: 16 });
        assert_eq!(classify(&frame(&[0x88a8, 0x8100, 0x88e5])), Kind::Macsec { at: 20 });
        assert_eq!(classify(&frame(&[0x8100, 0x8100, 0x8100, 0x88e5])), Kind::Other);
        assert_eq!(classify(&frame(&[0x0800])), Kind::Other);
        assert_eq!(classify(&[2; 13]), Kind::Other);
        assert_eq!(classify(&[]), Kind::Other);
    }
}

//! The frames that are sent: both ends make the same from few words, so none has to tell the other.

use serde::{Deserialize, Serialize};

/// Octets of two addresses and an EtherType.
pub(super) const ETHERNET_HEADER: usize = 14;
pub(super) const VLAN_TAG: usize = 4;
/// Local Experimental EtherType 1: nothing answers to it.
pub(super) const ETHERTYPE: [u8; 2] = [0x88, 0xb5];
/// Priority 5, VLAN 291.
pub(super) const VLAN: [u8; VLAN_TAG] = [0x81, 0x00, 0xa1, 0x23];

/// Some frames in a row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Frames {
    pub(super) source: [u8; 6],
    pub(super) destination: [u8; 6],
    pub(super) vlan: bool,
    /// The number of the first, which goes into the octets of all.
    pub(super) first: u32,
    /// Octets of payload of each.
    pub(super) payloads: Vec<usize>,
}

impl Frames {
    /// The frames, as octets.
    pub(super) fn octets(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        self.payloads.iter().zip(self.first..).map(|(payload, number)| {
            let tag = if self.vlan { &VLAN[..] } else { &[] };
            let mut frame = [&self.destination[..], &self.source, tag, &ETHERTYPE].concat();
            let mut state = number.wrapping_mul(2_654_435_761).wrapping_add(1);
            frame.extend((0..*payload).map(|_| {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                state.to_le_bytes()[0]
            }));
            frame
        })
    }

    /// Octets of User Data of all: what comes behind the addresses.
    pub(super) fn user_data(&self) -> u64 {
        let header = ETHERNET_HEADER - 12 + if self.vlan { VLAN_TAG } else { 0 };
        self.payloads.iter().map(|payload| (payload + header) as u64).sum()
    }

    /// Only the first `count` of them.
    pub(super) fn truncated(&self, count: usize) -> Self {
        let payloads = self.payloads.iter().copied().take(count).collect();
        Self { payloads, ..self.clone() }
    }

    /// Holds what has come against these: the first difference, if there is one.
    pub(super) fn difference(&self, received: &[Vec<u8>]) -> Option<String> {
        for (at, (expected, got)) in self.octets().zip(received).enumerate() {
            if expected.len() != got.len() {
                let lengths = format!("{} octets, not {}", got.len(), expected.len());
                return Some(format!("frame {at} has {lengths}"));
            }
            if let Some(octet) = expected.iter().zip(got).position(|(a, b)| a != b) {
                return Some(format!("frame {at} of {} octets differs at {octet}", got.len()));
            }
        }
        (received.len() != self.payloads.len())
            .then(|| format!("{} frames came, not {}", received.len(), self.payloads.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_found() {
        let payloads = vec![1, 2, 300];
        let frames = Frames { source: [2; 6], destination: [4; 6], vlan: true, first: 7, payloads };
        let mut received: Vec<_> = frames.octets().collect();
        assert_eq!(frames.user_data(), 303 + 3 * 6);
        assert_eq!(frames.difference(&received), None);
        received[2][200] ^= 1;
        assert!(frames.difference(&received).is_some());
        received.swap(0, 2);
        assert!(frames.difference(&received).is_some(), "order");
        assert!(frames.difference(&[]).is_some(), "loss");
    }
}

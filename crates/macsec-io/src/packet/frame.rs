//! Finding a received frame behind its TPACKET header, and putting its VLAN tag back.
//!
//! The header is the kernel's, but every offset in it is checked against the region all the same.

use std::mem::offset_of;

use libc::{sockaddr_ll, tpacket2_hdr, tpacket3_hdr};

use super::rx::RxStatistics;
use super::{ETHERNET_HEADER, VLAN_TAG};

/// PACKET_RESERVE: free octets in front of each received frame, for its VLAN tag.
pub(super) const RESERVE: usize = 16;

/// Octets of a slot that are not frame: header (32), sockaddr_ll (20), room for a link layer
/// header (16), alignment, [`RESERVE`].
pub(super) const SLOT_OVERHEAD: usize = 128;

/// Octets between a TPACKET_V3 header and its sockaddr_ll, which is where the header ends.
const V3_ADDRESS: usize = size_of::<tpacket3_hdr>().next_multiple_of(16);
const V2_ADDRESS: usize = size_of::<tpacket2_hdr>().next_multiple_of(16);

/// What the kernel says about a frame. Offsets count from the start of the slice it was read from.
#[derive(Debug, Clone, Copy)]
pub(super) struct FrameHeader {
    status: u32,
    len: usize,
    captured: usize,
    /// Where the frame starts, and the first octet that is free to be used in front of it.
    start: Option<usize>,
    free_from: usize,
    packet_type: u8,
    tag: [u8; VLAN_TAG],
}

impl FrameHeader {
    /// Reads the header at the start of `packet`. `None` if the slice is too short.
    pub(super) fn read_v3(packet: &[u8]) -> Option<Self> {
        const HV1: usize = offset_of!(tpacket3_hdr, hv1);
        let tci_at = HV1 + offset_of!(libc::tpacket_hdr_variant1, tp_vlan_tci);
        let tpid_at = HV1 + offset_of!(libc::tpacket_hdr_variant1, tp_vlan_tpid);
        let status = read_u32(packet, offset_of!(tpacket3_hdr, tp_status))?;
        Some(Self {
            status,
            len: read_u32(packet, offset_of!(tpacket3_hdr, tp_len))? as usize,
            captured: read_u32(packet, offset_of!(tpacket3_hdr, tp_snaplen))? as usize,
            start: Some(read_u16(packet, offset_of!(tpacket3_hdr, tp_mac))?.into()),
            free_from: V3_ADDRESS + size_of::<sockaddr_ll>(),
            packet_type: *packet.get(V3_ADDRESS + offset_of!(sockaddr_ll, sll_pkttype))?,
            tag: tag(status, read_u16(packet, tpid_at)?, read_u32(packet, tci_at)? as u16),
        })
    }

    /// Where the next header of the block starts, counted from this one; 0 after the last.
    pub(super) fn next_v3(packet: &[u8]) -> Option<usize> {
        Some(read_u32(packet, offset_of!(tpacket3_hdr, tp_next_offset))? as usize)
    }

    /// Reads the header of a slot, whose first octets (the status, read as `status` before) are
    /// missing from `slot`: it starts `cut` octets into the header.
    pub(super) fn read_v2(slot: &[u8], status: u32, cut: usize) -> Option<Self> {
        let mac = read_u16(slot, offset_of!(tpacket2_hdr, tp_mac) - cut)?;
        let tci = read_u16(slot, offset_of!(tpacket2_hdr, tp_vlan_tci) - cut)?;
        let tpid = read_u16(slot, offset_of!(tpacket2_hdr, tp_vlan_tpid) - cut)?;
        Some(Self {
            status,
            len: read_u32(slot, offset_of!(tpacket2_hdr, tp_len) - cut)? as usize,
            captured: read_u32(slot, offset_of!(tpacket2_hdr, tp_snaplen) - cut)? as usize,
            start: usize::from(mac).checked_sub(cut),
            free_from: V2_ADDRESS + size_of::<sockaddr_ll>() - cut,
            packet_type: *slot.get(V2_ADDRESS + offset_of!(sockaddr_ll, sll_pkttype) - cut)?,
            tag: tag(status, tpid, tci),
        })
    }

    /// The frame as it was on the wire, or `None` if it is not to be delivered. Either way it is
    /// counted, once.
    pub(super) fn frame<'a>(
        &self,
        packet: &'a mut [u8],
        max_frame: usize,
        statistics: &mut RxStatistics,
    ) -> Option<&'a mut [u8]> {
        if self.packet_type == libc::PACKET_OUTGOING {
            statistics.outgoing += 1;
            return None;
        }
        if self.captured < self.len {
            statistics.truncated += 1;
            return None;
        }
        let has_tag = self.status & libc::TP_STATUS_VLAN_VALID != 0;
        let Some(frame) = self.locate(packet, has_tag) else {
            statistics.malformed += 1;
            return None;
        };
        if frame.len() > max_frame {
            statistics.too_long += 1;
            return None;
        }
        if has_tag {
            frame.copy_within(VLAN_TAG..VLAN_TAG + 12, 0);
            frame[12..12 + VLAN_TAG].copy_from_slice(&self.tag);
        }
        statistics.delivered += 1;
        let partial = self.status & libc::TP_STATUS_CSUMNOTREADY != 0;
        statistics.checksum_not_ready += u64::from(partial);
        Some(frame)
    }

    /// The frame's octets, with room for the tag in front if there is one to put back.
    fn locate<'a>(&self, packet: &'a mut [u8], has_tag: bool) -> Option<&'a mut [u8]> {
        if self.captured < ETHERNET_HEADER {
            return None;
        }
        let start = self.start?;
        let end = start.checked_add(self.captured)?;
        let start = if has_tag { start.checked_sub(VLAN_TAG)? } else { start };
        if start < self.free_from {
            return None;
        }
        packet.get_mut(start..end)
    }
}

/// The four octets of the tag. A kernel that does not tell the type means 0x8100.
fn tag(status: u32, tpid: u16, tci: u16) -> [u8; VLAN_TAG] {
    let known = status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
    let [a, b] = if known { tpid } else { 0x8100 }.to_be_bytes();
    let [c, d] = tci.to_be_bytes();
    [a, b, c, d]
}

pub(super) fn read_u32(octets: &[u8], at: usize) -> Option<u32> {
    let octets = octets.get(at..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*octets))
}

fn read_u16(octets: &[u8], at: usize) -> Option<u16> {
    let octets = octets.get(at..)?.first_chunk()?;
    Some(u16::from_ne_bytes(*octets))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A TPACKET_V3 packet of 200 octets whose frame of `captured` octets starts at `mac`.
    fn packet(mac: u16, captured: u32, len: u32, status: u32) -> Vec<u8> {
        let mut packet = vec![0u8; 200];
        let mut put = |at: usize, octets: &[u8]| {
            packet[at..at + octets.len()].copy_from_slice(octets);
        };
        put(offset_of!(tpacket3_hdr, tp_mac), &mac.to_ne_bytes());
        put(offset_of!(tpacket3_hdr, tp_snaplen), &captured.to_ne_bytes());
        put(offset_of!(tpacket3_hdr, tp_len), &len.to_ne_bytes());
        put(offset_of!(tpacket3_hdr, tp_status), &status.to_ne_bytes());
        put(offset_of!(tpacket3_hdr, hv1) + 4, &0x2fff_u32.to_ne_bytes());
        put(offset_of!(tpacket3_hdr, hv1) + 8, &0x88a8_u16.to_ne_bytes());
        packet
    }

    fn deliver(packet: &mut [u8]) -> (Option<Vec<u8>>, RxStatistics) {
        let mut statistics = RxStatistics::default();
        let header = FrameHeader::read_v3(packet).unwrap();
        let frame = header.frame(packet, 1514, &mut statistics).map(|f| f.to_vec());
        (frame, statistics)
    }

    #[test]
    fn offsets_outside_the_region_are_malformed() {
        for (mac, captured) in [(0, 60), (67, 60), (141, 60), (u16::MAX, 60), (98, u32::MAX)] {
            let (frame, statistics) = deliver(&mut packet(mac, captured, captured, 0));
            assert_eq!((frame, statistics.malformed), (None, 1), "{mac} {captured}");
        }
        let (frame, statistics) = deliver(&mut packet(140, 60, 60, 0));
        assert_eq!((frame.unwrap().len(), statistics.malformed), (60, 0));
        let (frame, statistics) = deliver(&mut packet(98, 13, 13, 0));
        assert_eq!((frame, statistics.malformed), (None, 1));
    }

    #[test]
    fn a_tag_needs_room_in_front() {
        let valid = libc::TP_STATUS_VLAN_VALID;
        let (frame, statistics) = deliver(&mut packet(71, 60, 60, valid));
        assert_eq!((frame, statistics.malformed), (None, 1));

        let mut whole = packet(72, 60, 60, valid);
        for (value, octet) in whole[72..132].iter_mut().enumerate() {
            *octet = value as u8;
        }
        let frame = deliver(&mut whole).0.unwrap();
        assert_eq!(frame[..12], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
        assert_eq!(frame[12..18], [0x81, 0x00, 0x2f, 0xff, 12, 13]);
        assert_eq!(frame.len(), 64);
    }

    #[test]
    fn the_type_of_the_tag_is_kept() {
        let status = libc::TP_STATUS_VLAN_VALID | libc::TP_STATUS_VLAN_TPID_VALID;
        let frame = deliver(&mut packet(80, 60, 60, status)).0.unwrap();
        assert_eq!(frame[12..16], [0x88, 0xa8, 0x2f, 0xff]);
    }

    #[test]
    fn truncated_is_counted_and_not_delivered() {
        let (frame, statistics) = deliver(&mut packet(98, 60, 61, 0));
        assert_eq!((frame, statistics.truncated), (None, 1));
    }

    #[test]
    fn short_slices_give_no_header() {
        let whole = packet(98, 60, 60, 0);
        for len in 0..V3_ADDRESS + 11 {
            assert!(FrameHeader::read_v3(&whole[..len]).is_none());
        }
        for len in 0..V2_ADDRESS + 11 - 4 {
            assert!(FrameHeader::read_v2(&whole[..len], 0, 4).is_none());
        }
    }
}

//! pcap.

use std::time::Duration;

use pcap_file::{
    PcapError, TsResolution,
    pcap::{PcapParser, RawPcapPacket},
};

use super::{ETHERNET, Place, Step};

/// Octets before the frame of a record.
const RECORD_HEADER: usize = 16;

pub(super) struct Pcap {
    parser: PcapParser,
}

impl Pcap {
    /// Reads the header of a file, and tells its length.
    pub(super) fn new(octets: &[u8]) -> Result<(Self, usize), PcapError> {
        let (rest, parser) = PcapParser::new(octets)?;
        Ok((Self { parser }, octets.len() - rest.len()))
    }

    pub(super) fn step(&self, octets: &[u8]) -> Step {
        match self.parser.next_raw_packet(octets) {
            Ok((rest, packet)) => Step::Record(self.place(&packet), octets.len() - rest.len()),
            Err(PcapError::IncompleteBuffer) => Step::Need(self.needed(octets)),
            Err(_) => Step::Damaged("no packet record"),
        }
    }

    pub(super) fn counts_nanoseconds(&self) -> bool {
        self.parser.header().ts_resolution == TsResolution::NanoSecond
    }

    fn place(&self, packet: &RawPcapPacket<'_>) -> Place {
        let unit = if self.counts_nanoseconds() { 1 } else { 1000 };
        let header = self.parser.header();
        let link = u32::from(header.datalink);
        let place = Place {
            at: Duration::from_secs(packet.ts_sec.into())
                + Duration::from_nanos(u64::from(packet.ts_frac) * unit),
            original_len: packet.orig_len.max(packet.incl_len),
            start: RECORD_HEADER,
            len: packet.data.len(),
            is_ethernet: link & 0xffff == ETHERNET,
        };
        // The upper bits: whether there is an FCS (P), and its length in 16-bit words.
        let fcs_len = if link & 0x0400_0000 == 0 { 0 } else { 2 * (link >> 28) };
        place.without_fcs(fcs_len)
    }

    /// The octets of the record that `octets` begins with.
    fn needed(&self, octets: &[u8]) -> usize {
        let Some(&[a, b, c, d]) = octets.get(8..12) else { return RECORD_HEADER };
        let len = if self.parser.header().endianness.is_big() {
            u32::from_be_bytes([a, b, c, d])
        } else {
            u32::from_le_bytes([a, b, c, d])
        };
        // The library looks for more than the header only once that is there.
        (RECORD_HEADER).saturating_add(usize::try_from(len).unwrap_or(usize::MAX))
    }
}

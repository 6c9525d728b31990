use std::{borrow::Cow, io::Read};

use pcap_file::{
    DataLink, Endianness, TsResolution,
    pcap::{PcapHeader, PcapWriter, RawPcapPacket},
};

use super::*;

type Frames = Vec<(Duration, u32, Vec<u8>, bool)>;

/// Reads all that is there, in pieces of `piece` octets.
fn read(octets: &[u8], piece: usize) -> (Frames, Result<bool, CaptureError>) {
    let mut frames = Vec::new();
    let mut capture = match Capture::new(Pieces(octets, piece)) {
        Ok(capture) => capture,
        Err(error) => return (frames, Err(error)),
    };
    let end = loop {
        match capture.next() {
            Ok(Some(Record { at, original_len, octets, is_ethernet })) => {
                frames.push((at, original_len, octets.to_vec(), is_ethernet));
            }
            Ok(None) => break Ok(capture.counts_nanoseconds()),
            Err(error) => break Err(error),
        }
    };
    (frames, end)
}

struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = buffer.len().min(self.1);
        self.0.read(&mut buffer[..len])
    }
}

fn pcap(
    endianness: Endianness,
    ts_resolution: TsResolution,
    link: u32,
    frames: &[&[u8]],
) -> Vec<u8> {
    let datalink = DataLink::from(link);
    let header = PcapHeader { endianness, ts_resolution, datalink, ..PcapHeader::default() };
    let mut writer = PcapWriter::with_header(Vec::new(), header).expect("a vector");
    for (second, frame) in (10..).zip(frames) {
        let packet = RawPcapPacket {
            ts_sec: second,
            ts_frac: 5,
            incl_len: frame.len() as u32,
            orig_len: frame.len() as u32,
            data: Cow::Borrowed(frame),
        };
        writer.write_raw_packet(&packet).expect("a vector");
    }
    writer.into_writer()
}

const FRAME: [u8; 60] = [7; 60];

#[test]
fn pcap_of_either_order_and_resolution_is_read() {
    for endianness in [Endianness::Big, Endianness::Little] {
        for (resolution, nanoseconds) in
            [(TsResolution::MicroSecond, 5000), (TsResolution::NanoSecond, 5)]
        {
            let file = pcap(endianness, resolution, 1, &[&FRAME, &FRAME[..14]]);
            for piece in [1, 7, 1 << 20] {
                let (frames, end) = read(&file, piece);
                let first = (Duration::new(10, nanoseconds), 60, FRAME.to_vec(), true);
                assert_eq!(frames[0], first);
                assert_eq!(frames[1].2, FRAME[..14]);
                assert_eq!(end.expect("whole"), resolution == TsResolution::NanoSecond);
            }
        }
    }
}

#[test]
fn frames_of_other_links_and_with_an_fcs_are_told() {
    let (frames, _) =
        read(&pcap(Endianness::Little, TsResolution::MicroSecond, 101, &[&FRAME]), 99);
    assert!(!frames[0].3);
    // Two words of FCS.
    let link = 1 | 1 << 26 | 2 << 28;
    let (frames, _) = read(&pcap(Endianness::Big, TsResolution::MicroSecond, link, &[&FRAME]), 99);
    assert_eq!(frames[0], (Duration::new(10, 5000), 56, FRAME[..56].to_vec(), true));
}

/// A pcapng file, written by hand.
struct Blocks {
    is_big: bool,
    octets: Vec<u8>,
}

impl Blocks {
    fn new(is_big: bool) -> Self {
        let mut this = Self { is_big, octets: Vec::new() };
        let mut body = this.u32s(&[0x1a2b_3c4d]);
        body.extend(this.u16s(&[1, 0]));
        body.extend([0xff; 8]);
        this.block(0x0a0d_0d0a, &body);
        this
    }

    fn u16s(&self, numbers: &[u16]) -> Vec<u8> {
        let octets = |n: &u16| if self.is_big { n.to_be_bytes() } else { n.to_le_bytes() };
        numbers.iter().flat_map(octets).collect()
    }

    fn u32s(&self, numbers: &[u32]) -> Vec<u8> {
        let octets = |n: &u32| if self.is_big { n.to_be_bytes() } else { n.to_le_bytes() };
        numbers.iter().flat_map(octets).collect()
    }

    fn block(&mut self, kind: u32, body: &[u8]) {
        let body = [body, &[0; 3][..(4 - body.len() % 4) % 4]].concat();
        let len = body.len() as u32 + 12;
        let parts = [self.u32s(&[kind, len]), body, self.u32s(&[len])];
        self.octets.extend(parts.concat());
    }

    fn interface(&mut self, link: u16, options: &[(u16, &[u8])]) {
        let mut body = [self.u16s(&[link, 0]), self.u32s(&[0])].concat();
        for (code, value) in options {
            body.extend(self.u16s(&[*code, value.len() as u16]));
            body.extend(*value);
            body.extend(&[0; 3][..(4 - value.len() % 4) % 4]);
        }
        self.block(1, &body);
    }

    fn packet(&mut self, interface: u32, units: u64, frame: &[u8]) {
        let len = frame.len() as u32;
        let mut body = self.u32s(&[interface, (units >> 32) as u32, units as u32, len, len]);
        body.extend(frame);
        self.block(6, &body);
    }
}

#[test]
fn pcapng_of_either_order_is_read_with_several_interfaces_and_their_clocks() {
    for is_big in [true, false] {
        let mut blocks = Blocks::new(is_big);
        blocks.interface(1, &[]);
        // A comment that is no UTF-8, a time zone of 4 octets, nanoseconds.
        blocks.interface(1, &[(1, &[0xff]), (10, &[0; 4]), (9, &[9]), (0, &[])]);
        blocks.interface(113, &[(9, &[0x80 | 10])]);
        let offset = if is_big { 100_u64.to_be_bytes() } else { 100_u64.to_le_bytes() };
        blocks.interface(1, &[(14, &offset), (13, &[4])]);
        blocks.block(4, &[1, 2, 3]);
        blocks.packet(0, 3_000_001, &FRAME);
        blocks.packet(1, 5_000_000_001, &FRAME[..15]);
        blocks.packet(2, 1024 + 512, &FRAME);
        blocks.packet(3, 1, &FRAME);
        let simple = [blocks.u32s(&[60]), FRAME.to_vec()].concat();
        blocks.block(3, &simple);
        // A section in the other order.
        let mut other = Blocks::new(!is_big);
        other.interface(1, &[]);
        other.packet(0, 1, &FRAME);
        let file = [blocks.octets, other.octets].concat();
        for piece in [1, 13, 1 << 20] {
            let (frames, end) = read(&file, piece);
            assert!(end.expect("whole"), "one interface counts nanoseconds");
            let times: Vec<_> = frames.iter().map(|frame| frame.0).collect();
            assert_eq!(
                times,
                [
                    Duration::new(3, 1000),
                    Duration::new(5, 1),
                    Duration::new(1, 500_000_000),
                    Duration::new(100, 1000),
                    Duration::ZERO,
                    Duration::new(0, 1000)
                ]
            );
            let lengths: Vec<_> = frames.iter().map(|frame| frame.2.len()).collect();
            assert_eq!(lengths, [60, 15, 60, 56, 60, 60]);
            let kinds: Vec<_> = frames.iter().map(|frame| frame.3).collect();
            assert_eq!(kinds, [true, true, false, true, true, true]);
        }
    }
}

#[test]
fn what_has_been_read_of_a_file_that_was_cut_stays() {
    let file = pcap(Endianness::Little, TsResolution::MicroSecond, 1, &[&FRAME, &FRAME]);
    for cut in 1..76 {
        let (frames, end) = read(&file[..file.len() - cut], 1 << 20);
        assert_eq!(frames.len(), 1);
        assert!(matches!(end, Err(CaptureError::Truncated(100))), "{end:?}");
    }
    let mut blocks = Blocks::new(false);
    blocks.interface(1, &[]);
    blocks.packet(0, 1, &FRAME);
    let whole = blocks.octets.len() as u64;
    blocks.packet(0, 1, &FRAME);
    for cut in 1..92 {
        let (frames, end) = read(&blocks.octets[..blocks.octets.len() - cut], 1 << 20);
        assert_eq!(frames.len(), 1);
        assert!(matches!(end, Err(CaptureError::Truncated(at)) if at == whole), "{end:?}");
    }
}

#[test]
fn what_is_no_capture_is_told() {
    assert!(matches!(read(&[], 1).1, Err(CaptureError::Empty)));
    assert!(matches!(read(b"[[ca]]\nckn = \"00\"\n# ....\n", 9).1, Err(CaptureError::NoCapture)));
    assert!(matches!(read(&[0x1f, 0x8b, 8, 0], 9).1, Err(CaptureError::Compressed)));
    assert!(matches!(read(&[0xa1, 0xb2, 0xc3, 0xd4], 9).1, Err(CaptureError::Truncated(0))));
}

#[test]
fn a_record_that_claims_to_be_long_costs_no_memory() {
    let mut file = pcap(Endianness::Little, TsResolution::MicroSecond, 1, &[&FRAME]);
    file[24 + 8..24 + 12].fill(0xff);
    let (frames, end) = read(&file, 1 << 20);
    assert!(frames.is_empty());
    assert!(matches!(end, Err(CaptureError::TooLong { at: 24, length: 0x1_0000_000f })), "{end:?}");
}

#[test]
fn damaged_blocks_are_told() {
    let mut blocks = Blocks::new(false);
    blocks.packet(0, 1, &FRAME);
    assert!(matches!(read(&blocks.octets, 99).1, Err(CaptureError::Damaged(28, _))));
    let mut blocks = Blocks::new(false);
    blocks.interface(1, &[]);
    blocks.block(6, &[0; 16]);
    assert!(matches!(read(&blocks.octets, 99).1, Err(CaptureError::Damaged(48, _))));
    let end = blocks.octets.len() - 1;
    blocks.octets[end] = 1;
    assert!(matches!(read(&blocks.octets, 99).1, Err(CaptureError::Damaged(..))));
}

#[test]
fn whatever_octets_are_changed_it_ends_without_a_panic() {
    let mut blocks = Blocks::new(false);
    blocks.interface(1, &[(9, &[9]), (14, &[0; 8]), (0, &[])]);
    for _ in 0..3 {
        blocks.packet(0, 7, &FRAME);
    }
    blocks.block(3, &[0, 0, 0, 60]);
    let pcap = pcap(Endianness::Big, TsResolution::NanoSecond, 1, &[&FRAME, &FRAME]);
    for file in [blocks.octets, pcap] {
        for at in 0..file.len() {
            for value in [0, 1, 3, 0x7f, 0x80, 0xff] {
                let mut changed = file.clone();
                changed[at] = value;
                let (frames, _) = read(&changed, 1 << 20);
                assert!(frames.len() <= 4);
            }
        }
    }
}

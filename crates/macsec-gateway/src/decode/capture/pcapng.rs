//! pcapng. Blocks are told apart by the library; their insides are read here: it refuses a whole
//! file for an option that it does not know the form of, and takes all times for nanoseconds.

use std::time::Duration;

use byteorder_slice::{BigEndian, LittleEndian};
use pcap_file::{PcapError, pcapng::RawBlock};

use super::{ETHERNET, Place, Step};

/// Octets of a block before its body.
const BLOCK_HEADER: usize = 8;
/// Interfaces of a section, at most: each takes memory.
const MAX_INTERFACES: usize = 65_536;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

const IF_TSRESOL: u16 = 9;
const IF_FCSLEN: u16 = 13;
const IF_TSOFFSET: u16 = 14;

#[derive(Default)]
pub(super) struct PcapNg {
    order: Order,
    interfaces: Vec<Interface>,
    counts_nanoseconds: bool,
}

/// An interface, as its description has it.
struct Interface {
    link: u16,
    /// Octets of a frame that are kept; 0: all.
    snap_len: u32,
    /// Units of time in a second.
    resolution: u64,
    /// Seconds to be added to times.
    offset: i64,
    fcs_len: u32,
}

impl PcapNg {
    pub(super) fn step(&mut self, octets: &[u8]) -> Step {
        let block = match self.order {
            Order::Big => RawBlock::from_slice::<BigEndian>(octets),
            Order::Little => RawBlock::from_slice::<LittleEndian>(octets),
        };
        let (rest, block) = match block {
            Ok(found) => found,
            Err(PcapError::IncompleteBuffer) => return Step::Need(self.needed(octets)),
            Err(PcapError::InvalidField(what)) => return Step::Damaged(what),
            Err(_) => return Step::Damaged("no block"),
        };
        let used = octets.len() - rest.len();
        let body = Fields { order: self.order, octets: &block.body };
        let place = match block.type_ {
            SECTION_HEADER => {
                self.order = Order::of_section(&block.body);
                self.interfaces.clear();
                return Step::Skip(used);
            }
            INTERFACE_DESCRIPTION => match self.describe(body) {
                Some(interface) if self.interfaces.len() < MAX_INTERFACES => {
                    let is_finer = interface.resolution > 1_000_000;
                    self.counts_nanoseconds |= is_finer && interface.is_ethernet();
                    self.interfaces.push(interface);
                    return Step::Skip(used);
                }
                Some(_) => return Step::Damaged("more than 65536 interfaces"),
                None => return Step::Damaged("an interface description that is too short"),
            },
            PACKET | ENHANCED_PACKET => self.packet(body, block.type_ == PACKET),
            SIMPLE_PACKET => self.simple_packet(body),
            _ => return Step::Skip(used),
        };
        match place {
            Some(place) => Step::Record(place, used),
            None => Step::Damaged("a packet that is longer than its block, or of no interface"),
        }
    }

    pub(super) fn counts_nanoseconds(&self) -> bool {
        self.counts_nanoseconds
    }

    fn describe(&self, body: Fields<'_>) -> Option<Interface> {
        let mut interface = Interface {
            link: body.u16(0)?,
            snap_len: body.u32(4)?,
            resolution: 1_000_000,
            offset: 0,
            fcs_len: 0,
        };
        let mut at = BLOCK_HEADER;
        // Whatever is no list of options says nothing.
        while let (Some(code @ 1..), Some(len)) = (body.u16(at), body.u16(at + 2)) {
            let Some(value) = body.octets.get(at + 4..at + 4 + usize::from(len)) else { break };
            match (code, value) {
                (IF_TSRESOL, &[resolution]) => interface.resolution = units(resolution),
                // In octets, or in bits.
                (IF_FCSLEN, &[length]) => {
                    interface.fcs_len = if length >= 16 { length / 8 } else { length }.into();
                }
                (IF_TSOFFSET, &[..]) if len == 8 => {
                    let offset = Fields { order: self.order, octets: value }.u64(0)?;
                    interface.offset = offset.cast_signed();
                }
                _ => {}
            }
            at += 4 + usize::from(len).next_multiple_of(4);
        }
        Some(interface)
    }

    /// A packet block, enhanced or obsolete: the two differ only in the width of the interface's
    /// number.
    fn packet(&self, body: Fields<'_>, is_obsolete: bool) -> Option<Place> {
        let interface = if is_obsolete { body.u16(0)?.into() } else { body.u32(0)? };
        let interface = self.interfaces.get(usize::try_from(interface).ok()?)?;
        let units = u64::from(body.u32(4)?) << 32 | u64::from(body.u32(8)?);
        let len = usize::try_from(body.u32(12)?).ok()?;
        let original_len = body.u32(16)?;
        body.octets.get(20..)?.get(..len)?;
        Some(interface.place(interface.time(units), 20, len, original_len))
    }

    /// A packet without a time, of the first interface.
    fn simple_packet(&self, body: Fields<'_>) -> Option<Place> {
        let interface = self.interfaces.first()?;
        let original_len = body.u32(0)?;
        let there = body.octets.len() - 4;
        let kept = if interface.snap_len == 0 { u32::MAX } else { interface.snap_len };
        let len = usize::try_from(original_len.min(kept)).ok()?;
        (len <= there).then(|| interface.place(Duration::ZERO, 4, len, original_len))
    }

    /// The octets of the block that `octets` begins with.
    fn needed(&self, octets: &[u8]) -> usize {
        let order = match octets {
            [0x0a, 0x0d, 0x0d, 0x0a, _, _, _, _, body @ ..] => Order::of_section(body),
            _ => self.order,
        };
        let whole = Fields { order, octets };
        match whole.u32(4).filter(|_| octets.len() >= 12) {
            Some(len) => usize::try_from(len).unwrap_or(usize::MAX),
            None => 12,
        }
    }
}

impl Interface {
    fn is_ethernet(&self) -> bool {
        u32::from(self.link) == ETHERNET
    }

    /// The time that `units` stand for. One before 1970 is 1970.
    fn time(&self, units: u64) -> Duration {
        let seconds = (units / self.resolution).saturating_add_signed(self.offset);
        let rest = u128::from(units % self.resolution);
        let nanoseconds = rest * 1_000_000_000 / u128::from(self.resolution);
        // Below a thousand million, as the rest is below the resolution.
        Duration::new(seconds, u32::try_from(nanoseconds).unwrap_or_default())
    }

    fn place(&self, at: Duration, start: usize, len: usize, original_len: u32) -> Place {
        let original_len = original_len.max(u32::try_from(len).unwrap_or(u32::MAX));
        let is_ethernet = self.is_ethernet();
        let place = Place { at, original_len, start: BLOCK_HEADER + start, len, is_ethernet };
        place.without_fcs(self.fcs_len)
    }
}

/// Units in a second, by if_tsresol: a negative power of ten, or of two if the highest bit is set.
fn units(resolution: u8) -> u64 {
    let power = u32::from(resolution & 0x7f);
    let base: u64 = if resolution & 0x80 == 0 { 10 } else { 2 };
    base.checked_pow(power).unwrap_or(u64::MAX)
}

#[derive(Clone, Copy, Default)]
enum Order {
    #[default]
    Big,
    Little,
}

impl Order {
    /// That of a section, by the magic number that its header's body begins with.
    fn of_section(body: &[u8]) -> Self {
        if body.first() == Some(&0x4d) { Self::Little } else { Self::Big }
    }
}

/// Octets, read as numbers.
#[derive(Clone, Copy)]
struct Fields<'a> {
    order: Order,
    octets: &'a [u8],
}

impl Fields<'_> {
    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.octets.get(at..at.checked_add(N)?)?.try_into().ok()
    }

    fn u16(&self, at: usize) -> Option<u16> {
        let octets = self.array(at)?;
        Some(match self.order {
            Order::Big => u16::from_be_bytes(octets),
            Order::Little => u16::from_le_bytes(octets),
        })
    }

    fn u32(&self, at: usize) -> Option<u32> {
        let octets = self.array(at)?;
        Some(match self.order {
            Order::Big => u32::from_be_bytes(octets),
            Order::Little => u32::from_le_bytes(octets),
        })
    }

    fn u64(&self, at: usize) -> Option<u64> {
        let octets = self.array(at)?;
        Some(match self.order {
            Order::Big => u64::from_be_bytes(octets),
            Order::Little => u64::from_le_bytes(octets),
        })
    }
}

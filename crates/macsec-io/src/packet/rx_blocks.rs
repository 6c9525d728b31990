//! TPACKET_V3: the kernel packs frames into large blocks and hands over whole blocks.

use std::mem::offset_of;
use std::os::fd::AsFd;
use std::time::Duration;

use arrayvec::ArrayVec;
use libc::{tpacket_block_desc, tpacket_hdr_v1};

use super::frame::{FrameHeader, SLOT_OVERHEAD, read_u32};
use super::mmap::{Layout, Region};
use super::rx::{BATCH, RxStatistics};
use super::socket::{PacketError, PacketSocket, failed, narrow};
use super::{MAX_FRAME, VLAN_TAG};
use crate::sys;

/// Offsets in a block descriptor.
const STATUS: usize =
    offset_of!(tpacket_block_desc, hdr) + offset_of!(tpacket_hdr_v1, block_status);
const PACKETS: usize = offset_of!(tpacket_block_desc, hdr) + offset_of!(tpacket_hdr_v1, num_pkts);
const FIRST: usize =
    offset_of!(tpacket_block_desc, hdr) + offset_of!(tpacket_hdr_v1, offset_to_first_pkt);

/// The rest of a block that has been begun.
#[derive(Clone, Copy)]
struct Cursor {
    /// Of the next header, in [`Region::bytes`].
    at: usize,
    /// Headers left, as far as the kernel's count goes.
    left: u32,
}

pub(super) struct BlockRing {
    blocks: Vec<Region>,
    /// The block to read next, or begun (then there is a cursor).
    current: usize,
    cursor: Option<Cursor>,
    /// Blocks read to the end but not given back yet: those before `current`.
    spent: usize,
}

impl BlockRing {
    pub(super) fn new(
        socket: &PacketSocket,
        block_size: usize,
        block_count: usize,
        timeout: Duration,
        max_frame: usize,
    ) -> Result<Self, PacketError> {
        if max_frame > MAX_FRAME {
            return Err(PacketError::InvalidConfig("max_frame must be at most 65000 octets"));
        }
        if block_size > 1 << 24 || !(2..=4096).contains(&block_count) {
            return Err(PacketError::InvalidConfig("at most 16 MiB a block, 2 to 4096 blocks"));
        }
        // 0 would mean "let the kernel choose".
        let timeout = timeout.as_micros().div_ceil(1000).clamp(1, 1000) as u32;
        // A frame must fit into a block, with the headers of both.
        let least = (max_frame + 2 * SLOT_OVERHEAD).next_multiple_of(sys::page_size());
        let block_size = block_size.next_multiple_of(sys::page_size()).max(least);
        let layout = Layout {
            block_size,
            block_count,
            regions_per_block: 1,
            region_size: block_size,
            status_at: STATUS,
        };
        // V3 has no slots; the kernel wants a frame size that divides the block all the same.
        let request = libc::tpacket_req3 {
            tp_block_size: narrow(block_size)?,
            tp_block_nr: narrow(block_count)?,
            tp_frame_size: narrow(block_size)?,
            tp_frame_nr: narrow(block_count)?,
            tp_retire_blk_tov: timeout,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        sys::set_option(socket.as_fd(), libc::SOL_PACKET, libc::PACKET_RX_RING, &request)
            .map_err(failed("PACKET_RX_RING"))?;
        Ok(Self { blocks: socket.map(layout)?, current: 0, cursor: None, spent: 0 })
    }

    /// Adds frames to `batch` until it has `limit`, or no block is left that is ours.
    pub(super) fn collect<'a>(
        &'a mut self,
        batch: &mut ArrayVec<&'a mut [u8], BATCH>,
        limit: usize,
        max_frame: usize,
        statistics: &mut RxStatistics,
    ) {
        let count = self.blocks.len();
        let (before, from) = self.blocks.split_at_mut(self.current);
        // Each block at most once: one that is spent is still ours, and must not be read again.
        for block in from.iter_mut().chain(before).take(count - self.spent) {
            if batch.len() >= limit {
                return;
            }
            let cursor = match self.cursor.take() {
                Some(cursor) => cursor,
                None => match begin(block) {
                    Begun::NotOurs => return,
                    Begun::At(cursor) => cursor,
                    Begun::Malformed => {
                        statistics.malformed += 1;
                        self.spent += 1;
                        self.current = (self.current + 1) % count;
                        continue;
                    }
                },
            };
            self.cursor = read_on(block.bytes(), cursor, batch, limit, max_frame, statistics);
            if self.cursor.is_none() {
                self.spent += 1;
                self.current = (self.current + 1) % count;
            }
        }
    }

    /// Gives the blocks back whose frames have been dealt with.
    pub(super) fn release_spent(&mut self) {
        let count = self.blocks.len();
        while self.spent > 0 {
            let block = (self.current + count - self.spent) % count;
            self.blocks[block].release(libc::TP_STATUS_KERNEL);
            self.spent -= 1;
        }
    }
}

enum Begun {
    NotOurs,
    At(Cursor),
    Malformed,
}

fn begin(block: &mut Region) -> Begun {
    if block.acquire(|status| status & libc::TP_STATUS_USER != 0).is_none() {
        return Begun::NotOurs;
    }
    let cut = block.bytes_at();
    let bytes = block.bytes();
    let first = read_u32(bytes, FIRST - cut).and_then(|at| (at as usize).checked_sub(cut));
    match (first, read_u32(bytes, PACKETS - cut)) {
        (Some(at), Some(left)) if at <= bytes.len() => Begun::At(Cursor { at, left }),
        _ => Begun::Malformed,
    }
}

/// Reads frames of a block from `cursor` on. Returns where to go on, or `None` at its end.
fn read_on<'a>(
    bytes: &'a mut [u8],
    cursor: Cursor,
    batch: &mut ArrayVec<&'a mut [u8], BATCH>,
    limit: usize,
    max_frame: usize,
    statistics: &mut RxStatistics,
) -> Option<Cursor> {
    let Cursor { mut at, mut left } = cursor;
    let mut rest = bytes.get_mut(at..)?;
    // Ends: `left` counts down, and each turn takes at least a header off `rest`.
    while left > 0 {
        if batch.len() >= limit {
            return Some(Cursor { at, left });
        }
        let (Some(header), Some(next)) = (FrameHeader::read_v3(rest), FrameHeader::next_v3(rest))
        else {
            statistics.malformed += 1;
            return None;
        };
        left -= 1;
        let last = left == 0 || next == 0;
        let next = if last { rest.len() } else { next };
        if next < VLAN_TAG || next > rest.len() {
            statistics.malformed += 1;
            return None;
        }
        let (packet, behind) = rest.split_at_mut(next);
        if let Some(frame) = header.frame(packet, max_frame, statistics) {
            batch.push(frame);
        }
        rest = behind;
        at += next;
        if last {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever stands in a block: no panic, no endless loop, and each frame inside the block.
    #[test]
    fn garbage_in_a_block_is_survived() {
        let mut state = 1_u32;
        let mut random = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 16
        };
        let mut found = 0;
        for _ in 0..20_000 {
            let len = random() as usize % 700;
            let mut block: Vec<u8> = (0..len).map(|_| random() as u8).collect();
            // Small values make headers that are nearly right.
            for word in block.chunks_exact_mut(4) {
                match random() % 4 {
                    0 => word.copy_from_slice(&(random() % 200).to_ne_bytes()),
                    1 => word.copy_from_slice(&[0; 4]),
                    2 => word.copy_from_slice(&[72, 0, 0, 0]),
                    _ => {}
                }
            }
            let limit = 1 + random() as usize % BATCH;
            let mut cursor = Some(Cursor { at: random() as usize % 64, left: random() });
            let mut statistics = RxStatistics::default();
            for _ in 0..100 {
                let Some(from) = cursor else { break };
                let mut batch = ArrayVec::new();
                cursor = read_on(&mut block, from, &mut batch, limit, 1514, &mut statistics);
                assert!(batch.len() <= limit && batch.iter().all(|f| f.len() <= 1514));
                found += batch.len();
                batch.iter_mut().for_each(|frame| frame.fill(0xaa));
            }
        }
        assert!(found > 100, "{found}: the garbage is no good");
    }
}

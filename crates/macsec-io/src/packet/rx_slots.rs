//! TPACKET_V2: a slot for each frame, handed over as soon as the frame is there.

use std::os::fd::AsFd;

use arrayvec::ArrayVec;

use super::frame::FrameHeader;
use super::mmap::Region;
use super::rx::{BATCH, RxStatistics};
use super::socket::{PacketError, PacketSocket, failed, slot_layout, slot_request};
use crate::sys;

pub(super) struct SlotRing {
    slots: Vec<Region>,
    /// The slot the kernel fills next, as far as we have read.
    current: usize,
    /// Slots read but not given back yet: those before `current`.
    spent: usize,
}

impl SlotRing {
    pub(super) fn new(
        socket: &PacketSocket,
        frames: usize,
        max_frame: usize,
    ) -> Result<Self, PacketError> {
        let layout = slot_layout(max_frame, frames)?;
        let request = slot_request(&layout)?;
        sys::set_option(socket.as_fd(), libc::SOL_PACKET, libc::PACKET_RX_RING, &request)
            .map_err(failed("PACKET_RX_RING"))?;
        Ok(Self { slots: socket.map(layout)?, current: 0, spent: 0 })
    }

    /// Adds frames to `batch` until it has `limit`, or no slot is left that is ours.
    pub(super) fn collect<'a>(
        &'a mut self,
        batch: &mut ArrayVec<&'a mut [u8], BATCH>,
        limit: usize,
        max_frame: usize,
        statistics: &mut RxStatistics,
    ) {
        let count = self.slots.len();
        let (before, from) = self.slots.split_at_mut(self.current);
        // Each slot at most once: one that is spent is still ours, and must not be read again.
        for slot in from.iter_mut().chain(before).take(count - self.spent) {
            if batch.len() >= limit {
                return;
            }
            let Some(status) = slot.acquire(|status| status & libc::TP_STATUS_USER != 0) else {
                return;
            };
            self.spent += 1;
            self.current = (self.current + 1) % count;
            let cut = slot.bytes_at();
            let bytes = slot.bytes();
            match FrameHeader::read_v2(bytes, status, cut) {
                Some(header) => batch.extend(header.frame(bytes, max_frame, statistics)),
                None => statistics.malformed += 1,
            }
        }
    }

    /// Gives the slots back whose frames have been dealt with.
    pub(super) fn release_spent(&mut self) {
        let count = self.slots.len();
        while self.spent > 0 {
            let slot = (self.current + count - self.spent) % count;
            self.slots[slot].release(libc::TP_STATUS_KERNEL);
            self.spent -= 1;
        }
    }
}

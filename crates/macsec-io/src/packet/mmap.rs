//! Memory shared with the kernel, cut into regions that change owner through a status word.
//!
//! A [`Region`] is one block (TPACKET_V3) or one slot (TPACKET_V2) of a ring. The kernel and this
//! process own it in turn; the status word says who. The type hands out the octets only while they
//! are ours, so all code above it is safe.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::sys;

/// How a ring is cut. All sizes in octets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub(super) block_size: usize,
    pub(super) block_count: usize,
    /// Regions in each block, one after the other; octets left over belong to none.
    pub(super) regions_per_block: usize,
    pub(super) region_size: usize,
    /// Where the status word stands in a region.
    pub(super) status_at: usize,
}

/// The whole mapping; unmapped when the last region is gone.
struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what mmap returned, and no region (each holds an `Arc` of this) is left.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

// SAFETY: memory of the process, tied to no thread; this type gives no access to it.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

/// One piece of a ring. Values of one ring never overlap.
pub(super) struct Region {
    start: NonNull<u8>,
    len: usize,
    status_at: usize,
    ours: bool,
    _mapping: Arc<Mapping>,
}

// SAFETY: the region is the only access of this process to its octets, and `&Region` only gives an
// atomic load.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    /// Maps the ring of `socket` as regions owned by the kernel.
    ///
    /// That they really change hands by their status words takes a ring that was set up with these
    /// sizes just before, and is mapped this once. The two callers make the kernel's request from
    /// the very `layout` they pass here, and keep the socket to themselves.
    pub(super) fn map(socket: BorrowedFd<'_>, layout: Layout) -> io::Result<Vec<Self>> {
        let fits = layout.regions_per_block.checked_mul(layout.region_size);
        let len = layout.block_size.checked_mul(layout.block_count);
        let valid = fits.is_some_and(|used| used <= layout.block_size)
            && layout.status_at.is_multiple_of(align_of::<AtomicU32>())
            && layout.region_size.is_multiple_of(align_of::<AtomicU32>())
            && layout.block_size.is_multiple_of(align_of::<AtomicU32>())
            && layout.status_at + size_of::<AtomicU32>() <= layout.region_size;
        let len = len.filter(|len| valid && *len > 0 && isize::try_from(*len).is_ok());
        let len = len.ok_or(io::ErrorKind::InvalidInput)?;

        let base = NonNull::new(sys::map_ring(socket, len)?.cast::<u8>())
            .ok_or(io::ErrorKind::OutOfMemory)?;
        let mapping = Arc::new(Mapping { base, len });

        let mut regions = Vec::with_capacity(layout.block_count * layout.regions_per_block);
        for block in 0..layout.block_count {
            for region in 0..layout.regions_per_block {
                let offset = block * layout.block_size + region * layout.region_size;
                regions.push(Self {
                    // SAFETY: the checks above put the whole region inside the mapping.
                    start: unsafe { base.add(offset) },
                    len: layout.region_size,
                    status_at: layout.status_at,
                    ours: false,
                    _mapping: Arc::clone(&mapping),
                });
            }
        }
        Ok(regions)
    }

    fn status_word(&self) -> &AtomicU32 {
        // SAFETY: `map` has checked that the word is inside the region.
        let word = unsafe { self.start.add(self.status_at) };
        // SAFETY: mapped, aligned (checked by `map`; mmap aligns to pages), alive as long as
        // `self`, and never part of `bytes`: this process only touches it through this atomic.
        unsafe { AtomicU32::from_ptr(word.cast().as_ptr()) }
    }

    /// The status word, with all that was written before it was set.
    pub(super) fn status(&self) -> u32 {
        // Acquire pairs with the kernel's write barrier before it sets the status.
        self.status_word().load(Ordering::Acquire)
    }

    /// Takes the region over if `is_ours` says so of its status; returns that status.
    pub(super) fn acquire(&mut self, is_ours: impl FnOnce(u32) -> bool) -> Option<u32> {
        let status = self.status();
        self.ours = is_ours(status);
        self.ours.then_some(status)
    }

    /// Where [`Region::bytes`] starts in the region: behind the status word.
    pub(super) fn bytes_at(&self) -> usize {
        self.status_at + size_of::<AtomicU32>()
    }

    /// The octets behind the status word; empty unless the region is ours.
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        if !self.ours {
            return &mut [];
        }
        let at = self.bytes_at();
        // SAFETY: `map` has checked that the status word and so its end is inside the region.
        let start = unsafe { self.start.add(at) };
        // SAFETY: inside the mapping, which lives as long as `self`. The kernel leaves a region
        // alone while its status says that it is ours, regions do not overlap, and `&mut self`
        // makes this the only slice.
        unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), self.len - at) }
    }

    /// Hands the region over to the kernel with this status. Does nothing unless it is ours.
    pub(super) fn release(&mut self, status: u32) {
        if std::mem::take(&mut self.ours) {
            // Release: the kernel sees all our octets once it sees the status.
            self.status_word().store(status, Ordering::Release);
        }
    }
}

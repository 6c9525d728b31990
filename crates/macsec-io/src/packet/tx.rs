//! Sending: [`PacketTxRing`].

use std::fmt;
use std::mem::offset_of;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::thread;
use std::time::{Duration, Instant};

use libc::{sockaddr_ll, tpacket2_hdr};

use super::mmap::Region;
use super::socket::{PacketError, PacketSocket, failed, slot_layout, slot_request};
use super::{ETHERNET_HEADER, VLAN_TAG};
use crate::sys;

/// Where frame octets may start in a slot: behind its header.
const DATA: usize = size_of::<tpacket2_hdr>().next_multiple_of(16);

/// How often one frame may be refused before it is given up. A frame the kernel never takes (a
/// filter, say) must not hold up those behind it.
const MAX_TRIES: u32 = 16;

/// How long to sleep between two looks at a full ring.
const FULL_PAUSE: Duration = Duration::from_micros(50);

/// How to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxConfig {
    /// Number of slots, 2 to 65536; rounded up to whole blocks of the kernel. Default: 512.
    pub frames: usize,
    /// Octets of the longest frame, 60 to 65000. The interface's MTU is a limit of its own.
    /// Default: 9728.
    pub max_frame: usize,
    /// Hand frames straight to the driver, past the queueing discipline (PACKET_QDISC_BYPASS):
    /// faster, without traffic control and its buffer. Default: off.
    pub bypass_qdisc: bool,
    /// A mark on every frame sent (SO_MARK), by which an egress filter tells them from frames of
    /// others, as [`Netlink::install_barrier`](crate::netlink::Netlink::install_barrier) does. It
    /// needs `CAP_NET_ADMIN`, or from Linux 5.17 on `CAP_NET_RAW`. Default: 0, none.
    pub mark: u32,
}

impl Default for TxConfig {
    fn default() -> Self {
        Self { frames: 512, max_frame: 9728, bypass_qdisc: false, mark: 0 }
    }
}

/// Why a frame was not put into the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PushError {
    /// No slot is free: flush, wait ([`PacketTxRing::wait_for_room`]) or drop the frame.
    Full,
    /// Longer than the interface's MTU (with the Ethernet header, and one VLAN tag if it starts
    /// with one of type 0x8100) or the ring allows. It is counted as rejected.
    TooLong {
        /// Octets of the frame.
        len: usize,
        /// Octets allowed.
        limit: usize,
    },
    /// Shorter than an Ethernet header, or a range outside the buffer. It is counted as rejected.
    Malformed,
}

impl fmt::Display for PushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => write!(f, "the transmit ring is full"),
            Self::TooLong { len, limit } => {
                write!(f, "a frame of {len} octets is longer than the {limit} allowed")
            }
            Self::Malformed => write!(f, "shorter than an Ethernet header"),
        }
    }
}

impl std::error::Error for PushError {}

/// Counts since the ring was opened. Each frame pushed is in one of the first three, or still
/// [`PacketTxRing::pending`], or was refused with [`PushError::Full`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TxStatistics {
    /// Taken by the interface (or its queue). One without carrier takes frames too, drops them and
    /// counts them itself ([`LinkStatistics::tx_dropped`](crate::netlink::LinkStatistics)).
    pub sent: u64,
    /// Refused for good, by us or by the kernel: too long for the MTU, or no frame at all.
    pub rejected: u64,
    /// Given up: the queue stayed full, a filter dropped it, or the interface went down.
    pub dropped: u64,
    /// How often the kernel stopped before the end of a batch (`ENOBUFS`, `EAGAIN`). The frames
    /// are still there and tried again with the next flush.
    pub congested: u64,
    /// How often a push found no free slot.
    pub ring_full: u64,
}

/// What we remember of a frame in the ring. The kernel skips the slot of a frame given up.
#[derive(Debug, Clone, Copy, Default)]
struct Queued {
    len: usize,
    mtu_needed: usize,
    given_up: bool,
}

/// The sending side of an interface: frames are put into memory shared with the kernel, and one
/// system call ([`PacketTxRing::flush`]) sends all of them, in order.
///
/// Never blocks, except in [`PacketTxRing::wait_for_room`]. Frames not flushed are lost when it is
/// dropped.
pub struct PacketTxRing {
    socket: PacketSocket,
    slots: Vec<Region>,
    queued: Vec<Queued>,
    /// The slot for the next frame.
    next: usize,
    /// Frames pushed that the kernel has not taken: the slots before `next`.
    pending: usize,
    /// How often in a row the oldest pending frame was refused.
    tries: u32,
    mtu: usize,
    max_frame: usize,
    statistics: TxStatistics,
}

impl fmt::Debug for PacketTxRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PacketTxRing")
            .field("socket", &self.socket)
            .field("pending", &self.pending)
            .field("statistics", &self.statistics)
            .finish_non_exhaustive()
    }
}

impl PacketTxRing {
    /// A ring that sends on `interface` and receives nothing.
    ///
    /// # Errors
    /// [`PacketError`]: no such interface, no permission, a bad configuration, or no memory.
    pub fn open(interface: &str, config: &TxConfig) -> Result<Self, PacketError> {
        let socket = PacketSocket::new(interface)?;
        let version = libc::tpacket_versions::TPACKET_V2 as i32;
        socket.set(libc::PACKET_VERSION, version, "PACKET_VERSION")?;
        // With PACKET_LOSS the kernel skips a frame it refuses. Without, it stops there and waits
        // for someone to repair the slot: one bad frame would block the ring.
        socket.set(libc::PACKET_LOSS, 1, "PACKET_LOSS")?;
        // The frame may start anywhere in its slot: a SecTAG grows it at the front.
        socket.set(libc::PACKET_TX_HAS_OFF, 1, "PACKET_TX_HAS_OFF")?;
        if config.bypass_qdisc {
            socket.set(libc::PACKET_QDISC_BYPASS, 1, "PACKET_QDISC_BYPASS")?;
        }
        socket.mark(config.mark)?;
        let layout = slot_layout(config.max_frame, config.frames)?;
        let request = slot_request(&layout)?;
        sys::set_option(socket.as_fd(), libc::SOL_PACKET, libc::PACKET_TX_RING, &request)
            .map_err(failed("PACKET_TX_RING"))?;

        // The default send buffer holds 93 full frames, fewer than the ring.
        let bytes = (layout.block_size * layout.block_count).min(1 << 30) as i32;
        let level = libc::SOL_SOCKET;
        if sys::set_option(socket.as_fd(), level, libc::SO_SNDBUFFORCE, &bytes).is_err() {
            // In a user namespace the force is missing; the sysctl wmem_max then limits it, and
            // flush stops early (EAGAIN) more often.
            sys::set_option(socket.as_fd(), level, libc::SO_SNDBUF, &bytes)
                .map_err(failed("SO_SNDBUF"))?;
        }
        let slots = socket.map(layout)?;
        let mtu = sys::interface_mtu(socket.as_fd(), socket.index).map_err(failed("MTU"))?;
        socket.bind(0)?;
        Ok(Self {
            queued: vec![Queued::default(); slots.len()],
            slots,
            socket,
            next: 0,
            pending: 0,
            tries: 0,
            mtu,
            max_frame: config.max_frame,
            statistics: TxStatistics::default(),
        })
    }

    /// Puts a copy of `frame` into the ring.
    ///
    /// # Errors
    /// [`PushError`]; the ring is unchanged.
    pub fn push(&mut self, frame: &[u8]) -> Result<(), PushError> {
        if frame.len() > self.max_frame {
            self.statistics.rejected += 1;
            return Err(PushError::TooLong { len: frame.len(), limit: self.max_frame });
        }
        self.push_with(|slot| {
            slot[..frame.len()].copy_from_slice(frame);
            0..frame.len()
        })
    }

    /// Lets `build` write a frame straight into the next slot and return where it stands. The
    /// slice has at least [`TxConfig::max_frame`] octets, with octets of an earlier frame in it.
    /// An empty range means "no frame after all": nothing is queued or counted.
    ///
    /// # Errors
    /// [`PushError`]; the ring is unchanged, and if it is [`PushError::Full`], `build` has not run.
    pub fn push_with(
        &mut self,
        build: impl FnOnce(&mut [u8]) -> Range<usize>,
    ) -> Result<(), PushError> {
        // A slot that waits to be sent looks like any other to `acquire`: count first.
        let full = self.pending == self.slots.len();
        let slot = &mut self.slots[self.next];
        if full || slot.acquire(is_free).is_none() {
            self.statistics.ring_full += 1;
            return Err(PushError::Full);
        }
        let cut = slot.bytes_at();
        let data = slot.bytes().get_mut(DATA - cut..).unwrap_or_default();
        let range = build(data);
        if range.is_empty() {
            return Ok(());
        }
        let Some(frame) = data.get(range.clone()).filter(|f| f.len() >= ETHERNET_HEADER) else {
            self.statistics.rejected += 1;
            return Err(PushError::Malformed);
        };
        let tagged = frame[12..14] == [0x81, 0x00];
        let len = frame.len();
        let overhead = ETHERNET_HEADER + if tagged { VLAN_TAG } else { 0 };
        let mtu_needed = len.saturating_sub(overhead);
        if mtu_needed > self.mtu {
            // It may have grown since we looked.
            self.refresh_mtu();
        }
        if mtu_needed > self.mtu || len > self.max_frame {
            self.statistics.rejected += 1;
            let limit = (self.mtu + overhead).min(self.max_frame);
            return Err(PushError::TooLong { len, limit });
        }
        let slot = &mut self.slots[self.next];
        write_header(slot.bytes(), cut, len, DATA + range.start);
        slot.release(libc::TP_STATUS_SEND_REQUEST);
        self.queued[self.next] = Queued { len, mtu_needed, given_up: false };
        self.next = (self.next + 1) % self.slots.len();
        self.pending += 1;
        Ok(())
    }

    /// Frames pushed that the kernel has not taken yet.
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// Whether the next `frames` pushes will find a free slot. A frame that the interface has taken
    /// keeps its slot until it has left the queues of the kernel and the driver, so there may be no
    /// room although nothing is [`PacketTxRing::pending`].
    pub fn has_room(&self, frames: usize) -> bool {
        let count = self.slots.len();
        let is_free = |i: usize| is_free(self.slots[(self.next + i) % count].status());
        frames <= count - self.pending && (0..frames).all(is_free)
    }

    /// Sends what is pending, with one system call and without waiting. Returns how many frames the
    /// interface took. If [`PacketTxRing::pending`] is not 0 afterwards, it is congested: flush
    /// again later.
    ///
    /// # Errors
    /// [`PacketError::InterfaceDown`] or [`PacketError::InterfaceGone`]: what was pending is
    /// dropped, since by the time the interface is back those frames would be stale.
    /// [`PacketError::Io`]: the oldest frame was refused for an unusual reason; it is tried again
    /// a few times and then dropped, so keep on flushing.
    pub fn flush(&mut self) -> Result<usize, PacketError> {
        if self.pending == 0 {
            return Ok(0);
        }
        let result = sys::kick(self.socket.as_fd());
        let sent = self.settle(result.as_ref().ok().copied());
        let Err(error) = result else {
            return Ok(sent);
        };
        match error.raw_os_error() {
            Some(libc::ENETDOWN | libc::ENXIO | libc::ENODEV) => {
                self.take_back_all();
                return Err(failed("send")(error));
            }
            // The send buffer is full: it empties as the interface sends, this frame is as good
            // as any other.
            Some(libc::EAGAIN) => {}
            _ => {
                self.tries = if sent > 0 { 1 } else { self.tries + 1 };
                if self.tries >= MAX_TRIES {
                    self.give_up_oldest();
                    self.tries = 0;
                }
            }
        }
        self.statistics.congested += 1;
        match error.raw_os_error() {
            Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM | libc::EINTR) => Ok(sent),
            _ => Err(failed("send")(error)),
        }
    }

    /// Flushes until at least one slot is free, at most `timeout`. `false`: time is up.
    ///
    /// # Errors
    /// As [`PacketTxRing::flush`].
    pub fn wait_for_room(&mut self, timeout: Duration) -> Result<bool, PacketError> {
        let deadline = Instant::now() + timeout;
        loop {
            self.flush()?;
            if self.has_room(1) {
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            // poll(2) is no help: it reports room in the send buffer, not in the ring.
            thread::sleep(FULL_PAUSE);
        }
    }

    /// The counts so far.
    pub fn statistics(&self) -> TxStatistics {
        self.statistics
    }

    /// Accounts for the frames the kernel has taken out of the ring, of which it says it sent
    /// `octets` (it says nothing if it stopped with an error). Returns the number sent.
    fn settle(&mut self, octets: Option<usize>) -> usize {
        let oldest = self.oldest();
        let count = self.slots.len();
        let at = |i: usize| (oldest + i) % count;
        let taken = (0..self.pending)
            .take_while(|i| !waits_to_be_sent(self.slots[at(*i)].status()))
            .count();
        let frames = || (0..taken).map(|i| self.queued[at(i)]).filter(|q| !q.given_up);

        let attempted = frames().count();
        let all_sent = octets == Some(frames().map(|q| q.len).sum());
        let rejected = if all_sent || attempted == 0 {
            0
        } else {
            // The kernel skips a frame without a word if the MTU has shrunk after our own check.
            let mtu = sys::interface_mtu(self.socket.as_fd(), self.socket.index);
            let mtu = mtu.unwrap_or(self.mtu);
            let too_long = frames().filter(|q| q.mtu_needed > mtu).count();
            self.mtu = mtu;
            // By the octets at least one is missing, even if the MTU has changed once more.
            too_long.max(usize::from(octets.is_some()))
        };
        let sent = attempted - rejected;
        self.pending -= taken;
        if taken > 0 {
            self.tries = 0;
        }
        self.statistics.sent += sent as u64;
        self.statistics.rejected += rejected as u64;
        sent
    }

    /// Makes the kernel skip the oldest pending frame, so that those behind it get their turn.
    fn give_up_oldest(&mut self) {
        let at = self.oldest();
        if self.pending == 0 || std::mem::replace(&mut self.queued[at].given_up, true) {
            return;
        }
        self.statistics.dropped += 1;
        // The kernel looks at slots only during our own call, so the slot can be taken back.
        let slot = &mut self.slots[at];
        if slot.acquire(waits_to_be_sent).is_some() {
            let cut = slot.bytes_at();
            // A frame that starts inside the header: refused and, with PACKET_LOSS, skipped.
            write_header(slot.bytes(), cut, ETHERNET_HEADER, 0);
            slot.release(libc::TP_STATUS_SEND_REQUEST);
        }
    }

    /// Empties the ring of all that the kernel has not taken. It will go on at the oldest of these
    /// slots, and so do we.
    fn take_back_all(&mut self) {
        let oldest = self.oldest();
        for i in 0..self.pending {
            let at = (oldest + i) % self.slots.len();
            self.statistics.dropped += u64::from(!self.queued[at].given_up);
            let slot = &mut self.slots[at];
            if slot.acquire(waits_to_be_sent).is_some() {
                slot.release(libc::TP_STATUS_AVAILABLE);
            }
        }
        self.next = oldest;
        self.pending = 0;
        self.tries = 0;
    }

    fn oldest(&self) -> usize {
        (self.next + self.slots.len() - self.pending) % self.slots.len()
    }

    fn refresh_mtu(&mut self) {
        if let Ok(mtu) = sys::interface_mtu(self.socket.as_fd(), self.socket.index) {
            self.mtu = mtu;
        }
    }
}

impl AsFd for PacketTxRing {
    /// For options and ioctls; sending on it directly would confuse the ring.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn waits_to_be_sent(status: u32) -> bool {
    status & libc::TP_STATUS_SEND_REQUEST != 0
}

/// Neither waiting to be sent nor on its way (the frame's memory is in use by the driver then).
fn is_free(status: u32) -> bool {
    status & (libc::TP_STATUS_SEND_REQUEST | libc::TP_STATUS_SENDING) == 0
}

/// Fills in the header of a slot whose first `cut` octets are missing from `slot`.
fn write_header(slot: &mut [u8], cut: usize, len: usize, start: usize) {
    let len_at = offset_of!(tpacket2_hdr, tp_len) - cut;
    let mac_at = offset_of!(tpacket2_hdr, tp_mac) - cut;
    slot[len_at..len_at + 4].copy_from_slice(&(len as u32).to_ne_bytes());
    slot[mac_at..mac_at + 2].copy_from_slice(&(start as u16).to_ne_bytes());
}

// `DATA` is the lowest start of a frame that the kernel accepts with PACKET_TX_HAS_OFF.
const _: () = assert!(DATA == libc::TPACKET2_HDRLEN - size_of::<sockaddr_ll>());

//! Receiving: [`PacketRxRing`].

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use arrayvec::ArrayVec;

use super::frame::RESERVE;
use super::rx_blocks::BlockRing;
use super::rx_slots::SlotRing;
use super::socket::{PacketError, PacketSocket, failed};
use crate::{bpf, sys};

/// The largest number of frames handed over at once by [`PacketRxRing::receive_batch`].
pub const BATCH: usize = 64;

/// How the kernel hands frames over.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RxMode {
    /// A slot for each frame (TPACKET_V2), ours as soon as the frame is there: the latency is that
    /// of waking a thread (10 us on our test machine, where blocks of 1 ms took 900 us at the same
    /// rate of frames per second). Each slot takes [`RxConfig::max_frame`] octets, filled or not.
    Slots {
        /// Number of slots, 2 to 65536; rounded up to whole blocks of the kernel.
        frames: usize,
    },
    /// Frames packed into blocks (TPACKET_V3). It holds many more short frames in the same memory
    /// and wakes the reader once for each block, but a block that is not full is handed over only
    /// after `timeout`, which each frame at light load has to wait for.
    Blocks {
        /// Octets of a block: rounded up to whole pages, and to hold one frame of the longest.
        size: usize,
        /// Number of blocks, 2 to 4096.
        count: usize,
        /// Between the first frame of a block and its handing over, 1 ms to 1 s. Kernels before
        /// 6.18 count it in timer ticks: with `CONFIG_HZ=250`, 1 ms is 4 to 8.
        timeout: Duration,
    },
}

/// What to receive and how. The default suits an uplink: everything, in slots, jumbo frames too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RxConfig {
    /// How the kernel hands frames over. Default: 2048 slots, which take about 20 MiB with the
    /// default `max_frame` and hold 2 to 6 ms of a busy wire.
    pub mode: RxMode,
    /// Octets of the longest frame delivered, with its VLAN tags, 60 to 65000. Longer ones are
    /// counted as [`RxStatistics::truncated`] or [`RxStatistics::too_long`]. Default: 9728.
    pub max_frame: usize,
    /// Only frames of this EtherType; `None` (default) is all. The type is the one behind a VLAN
    /// tag that the kernel has taken out, so a filter for 0x88E5 also passes tagged MACsec frames
    /// (with the tag back in place: look at the frame before you take it for one without).
    pub ether_type: Option<u16>,
    /// Ask the interface for frames to other stations too. Default: off. A MACsec port that
    /// serves a bridge needs it.
    pub promiscuous: bool,
    /// Group addresses to receive, e.g. 01:80:C2:00:00:03 for EAPOL. Default: none.
    pub groups: Vec<[u8; 6]>,
    /// Ask the interface for frames to every group address. Default: off. A MACsec port carries the
    /// host's multicast, whose groups only the hosts know.
    pub all_multicast: bool,
    /// Unicast addresses to receive besides the interface's own: that of the TAP, where it differs.
    /// Default: none.
    pub addresses: Vec<[u8; 6]>,
}

impl Default for RxConfig {
    fn default() -> Self {
        Self {
            mode: RxMode::Slots { frames: 2048 },
            max_frame: 9728,
            ether_type: None,
            promiscuous: false,
            groups: Vec::new(),
            all_multicast: false,
            addresses: Vec::new(),
        }
    }
}

/// Counts since the ring was opened. Each frame is in one of the first six.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RxStatistics {
    /// Handed to the caller.
    pub delivered: u64,
    /// Lost because the ring was full: the caller was too slow, or the ring is too small.
    pub ring_full: u64,
    /// Not delivered: the kernel had room for a part of it only.
    pub truncated: u64,
    /// Not delivered: whole, but longer than [`RxConfig::max_frame`].
    pub too_long: u64,
    /// Not delivered: sent by this host. Zero on kernels from 4.20 on, which do not hand them over.
    pub outgoing: u64,
    /// Not delivered: a header of the kernel points outside its region, or the frame is shorter
    /// than an Ethernet header. One may stand for all frames left in a block.
    pub malformed: u64,
    /// Of those delivered: sent by a neighbour on this machine with its checksum left to a network
    /// card that does not exist. Its transmit checksum offload is to be turned off
    /// ([`disable_all`](crate::offload::disable_all)).
    pub checksum_not_ready: u64,
    /// How often the ring has become full (in [`RxMode::Blocks`] only).
    pub freezes: u64,
}

enum Ring {
    Slots(SlotRing),
    Blocks(BlockRing),
}

/// The receiving side of an interface: frames read in place from memory the kernel writes to.
///
/// It stays tied to the interface and network namespace it was opened in. When the interface goes
/// down it has an error to take ([`PacketRxRing::take_error`]) and goes on once it is up again.
pub struct PacketRxRing {
    socket: PacketSocket,
    ring: Ring,
    max_frame: usize,
    statistics: RxStatistics,
}

impl fmt::Debug for PacketRxRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PacketRxRing")
            .field("socket", &self.socket)
            .field("statistics", &self.statistics)
            .finish_non_exhaustive()
    }
}

impl PacketRxRing {
    /// Starts to receive on `interface`.
    ///
    /// # Errors
    /// [`PacketError`]: no such interface, no permission, a bad configuration, or no memory.
    pub fn open(interface: &str, config: &RxConfig) -> Result<Self, PacketError> {
        let socket = PacketSocket::new(interface)?;
        let version = match config.mode {
            RxMode::Slots { .. } => libc::tpacket_versions::TPACKET_V2,
            RxMode::Blocks { .. } => libc::tpacket_versions::TPACKET_V3,
        };
        socket.set(libc::PACKET_VERSION, version as i32, "PACKET_VERSION")?;
        socket.set(libc::PACKET_RESERVE, RESERVE as i32, "PACKET_RESERVE")?;
        // Before 4.20 they come all the same, and are dropped by their packet type.
        socket.ignore_outgoing()?;
        let ring = match config.mode {
            RxMode::Slots { frames } => {
                Ring::Slots(SlotRing::new(&socket, frames, config.max_frame)?)
            }
            RxMode::Blocks { size, count, timeout } => {
                Ring::Blocks(BlockRing::new(&socket, size, count, timeout, config.max_frame)?)
            }
        };
        if config.promiscuous {
            socket.join(libc::PACKET_MR_PROMISC, [0; 6])?;
        }
        if config.all_multicast {
            socket.join(libc::PACKET_MR_ALLMULTI, [0; 6])?;
        }
        for group in &config.groups {
            socket.join(libc::PACKET_MR_MULTICAST, *group)?;
        }
        for address in &config.addresses {
            socket.join(libc::PACKET_MR_UNICAST, *address)?;
        }
        // A filter, not a socket bound to the type: for those the kernel throws an outer VLAN tag
        // away without telling, and a tagged frame would pass for an untagged one.
        if let Some(ether_type) = config.ether_type {
            socket.filter(&[
                bpf::load(libc::SKF_AD_PROTOCOL),
                bpf::jump_if_equal(ether_type.into(), 0, 1),
                bpf::answer(u32::MAX),
                bpf::answer(0),
            ])?;
        }
        // Last: before it is bound the socket receives nothing, so no frame of another interface.
        socket.bind(libc::ETH_P_ALL as u16)?;
        let statistics = RxStatistics::default();
        Ok(Self { socket, ring, max_frame: config.max_frame, statistics })
    }

    /// Calls `action` for each frame that is there, in the order of arrival, at most `max` times,
    /// and returns how often. It makes no system call and does not wait.
    ///
    /// A frame may be changed in place; it goes back to the kernel when `action` has returned.
    pub fn receive(&mut self, max: usize, mut action: impl FnMut(&mut [u8])) -> usize {
        self.receive_batch(max, |frames| {
            for frame in frames {
                action(frame);
            }
        })
    }

    /// As [`PacketRxRing::receive`], with up to [`BATCH`] frames at a time, so that they can be
    /// decrypted together. Returns the number of frames.
    pub fn receive_batch(&mut self, max: usize, mut action: impl FnMut(&mut [&mut [u8]])) -> usize {
        let mut delivered = 0;
        loop {
            // First, in case the action of an earlier call has panicked.
            match &mut self.ring {
                Ring::Slots(ring) => ring.release_spent(),
                Ring::Blocks(ring) => ring.release_spent(),
            }
            let limit = BATCH.min(max - delivered);
            let mut batch = ArrayVec::new();
            let (max_frame, statistics) = (self.max_frame, &mut self.statistics);
            match &mut self.ring {
                Ring::Slots(ring) => ring.collect(&mut batch, limit, max_frame, statistics),
                Ring::Blocks(ring) => ring.collect(&mut batch, limit, max_frame, statistics),
            }
            if batch.is_empty() {
                // What was collected may have been rejected as a whole: the kernel needs it back.
                drop(batch);
                match &mut self.ring {
                    Ring::Slots(ring) => ring.release_spent(),
                    Ring::Blocks(ring) => ring.release_spent(),
                }
                return delivered;
            }
            delivered += batch.len();
            action(&mut batch);
        }
    }

    /// Waits for frames, at most `timeout` (`None`: for ever). `false`: time is up or a signal came.
    ///
    /// # Errors
    /// The pending error of the socket, e.g. [`PacketError::InterfaceDown`], which is then cleared.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<bool, PacketError> {
        let [ready] =
            crate::poll::wait_readable([self.as_fd()], timeout).map_err(failed("poll"))?;
        if ready.error {
            self.take_error()?;
        }
        Ok(ready.readable)
    }

    /// Takes the pending error of the socket; poll(2) reports it until then.
    ///
    /// # Errors
    /// That error, e.g. [`PacketError::InterfaceDown`].
    pub fn take_error(&self) -> Result<(), PacketError> {
        self.socket.take_error()
    }

    /// Asks the kernel whether the interface is up. One that is removed goes down first, and the
    /// socket has no second error to take: after [`PacketError::InterfaceDown`] ask now and then.
    ///
    /// # Errors
    /// [`PacketError::InterfaceDown`] or [`PacketError::InterfaceGone`].
    pub fn check_interface(&self) -> Result<(), PacketError> {
        self.socket.check_interface()
    }

    /// The counts so far.
    ///
    /// # Errors
    /// [`PacketError::Io`] when the kernel does not give its own.
    pub fn statistics(&mut self) -> Result<RxStatistics, PacketError> {
        let socket = self.socket.as_fd();
        // The kernel's counts are 32 bits wide and start again each time they are read.
        let (drops, freezes) = match self.ring {
            Ring::Slots(_) => (sys::packet_statistics_v2(socket).map(|s| (s.tp_drops, 0)))
                .map_err(failed("PACKET_STATISTICS"))?,
            Ring::Blocks(_) => sys::packet_statistics_v3(socket)
                .map(|s| (s.tp_drops, s.tp_freeze_q_cnt))
                .map_err(failed("PACKET_STATISTICS"))?,
        };
        self.statistics.ring_full += u64::from(drops);
        self.statistics.freezes += u64::from(freezes);
        Ok(self.statistics)
    }
}

impl AsFd for PacketRxRing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

//! `macsec run --pcap FILE`: what passes on both sides of a port, in a pcapng file.
//!
//! ```text
//!   data thread                                      writer thread
//!   PcapTap::record --copies into a buffer--> full --> file
//!          ^                                   |
//!          +--------------- free <-------------+
//! ```
//!
//! Buffers go round in circles, so a data thread neither allocates nor waits: when the disk is slower
//! than the traffic there is no free buffer, and the frame is not recorded but counted.
//!
//! Each side of each port is an interface of the file: `PORT/uplink` (the wire: protected) and
//! `PORT/tap` (the host: **in clear**).

use std::{
    borrow::Cow,
    fs::{OpenOptions, Permissions},
    io::{self, BufWriter, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use pcap_file::{
    DataLink,
    pcapng::{
        PcapNgBlock, PcapNgWriter,
        blocks::{
            enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption},
            interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption},
        },
    },
};
use thiserror::Error;

/// Octets kept of a frame: all, as nothing on Ethernet is longer.
const SNAP_LENGTH: u16 = u16::MAX;
/// Buffers of each tap: a few milliseconds of traffic at 1 Gbit/s.
const BUFFERS: usize = 512;
/// Frames on their way to the writer, of all taps.
const QUEUE: usize = 4 * BUFFERS;
const FLUSH_INTERVAL: Duration = Duration::from_secs(1);
/// How long the end waits for a disk (or a pipe's reader) that does not take what is left.
const PATIENCE: Duration = Duration::from_secs(2);
/// if_tsresol: the negative power of ten in which timestamps count.
const NANOSECONDS: u8 = 9;

/// A capture file cannot be made.
#[derive(Debug, Error)]
#[error("pcap file {0}: {1}")]
pub struct CaptureError(PathBuf, #[source] io::Error);

/// A side of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The wire.
    Uplink,
    /// The host.
    Tap,
}

/// Which way a frame goes, as the gateway sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Received: from the wire on the uplink, from the host on the TAP.
    Inbound,
    /// Sent.
    Outbound,
}

/// A capture file and the thread that writes it. Dropped, it writes what there is and ends; taps that
/// are left record nothing any more.
pub struct Capture {
    queue: SyncSender<Message>,
    interfaces: Interfaces,
    missed: Arc<AtomicU64>,
    writer: Option<JoinHandle<()>>,
}

/// All interfaces, in the order of their numbers.
type Interfaces = Arc<Mutex<Vec<Interface>>>;

#[derive(Clone)]
struct Interface {
    name: String,
    /// Where its buffers go back to.
    free: SyncSender<Vec<u8>>,
}

/// Records the frames of one side of one port.
pub struct PcapTap {
    interface: usize,
    queue: SyncSender<Message>,
    free: Receiver<Vec<u8>>,
    /// A buffer that the queue had no room for.
    spare: Option<Vec<u8>>,
    missed: Arc<AtomicU64>,
    missed_since_last: u64,
}

/// What the writer is told.
enum Message {
    Frame(Frame),
    /// Write what there is and end.
    End,
}

struct Frame {
    interface: usize,
    direction: Direction,
    time: SystemTime,
    /// Octets, of which the buffer may hold fewer.
    original_len: usize,
    missed_before: u64,
    buffer: Vec<u8>,
}

impl Capture {
    /// Makes the file (for its owner only), or empties the one that is there, and starts the writer.
    ///
    /// # Errors
    /// [`CaptureError`].
    pub fn start(path: &Path) -> Result<Self, CaptureError> {
        let start = || {
            let mut options = OpenOptions::new();
            let file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
            // One that was there before may be open to others. A pipe or a device is its owner's.
            if file.metadata()?.is_file() {
                file.set_permissions(Permissions::from_mode(0o600))?;
            }
            let (queue, messages) = sync_channel(QUEUE);
            let file = PcapNgWriter::new(BufWriter::new(file)).map_err(io::Error::other)?;
            let interfaces = Interfaces::default();
            let all_interfaces = Arc::clone(&interfaces);
            let writer = Writer { file, interfaces: Vec::new(), all_interfaces, is_dirty: true };
            let path = path.to_owned();
            let writer = thread::Builder::new()
                .name("pcap".to_owned())
                .spawn(move || writer.run(&path, &messages))?;
            Ok(Self { queue, interfaces, missed: Arc::default(), writer: Some(writer) })
        };
        start().map_err(|error| CaptureError(path.to_owned(), error))
    }

    /// A tap for one side of a port. Of frames longer than `max_frame` octets only so many are recorded.
    #[must_use]
    pub fn tap(&self, port: &str, side: Side, max_frame: usize) -> PcapTap {
        let side = match side {
            Side::Uplink => "uplink",
            Side::Tap => "tap",
        };
        let (to_free, free) = sync_channel(BUFFERS);
        for _ in 0..BUFFERS {
            let buffer = Vec::with_capacity(max_frame.min(SNAP_LENGTH.into()));
            // It has room for all.
            let _ = to_free.try_send(buffer);
        }
        let mut interfaces = lock(&self.interfaces);
        let interface = interfaces.len();
        interfaces.push(Interface { name: format!("{port}/{side}"), free: to_free });
        PcapTap {
            interface,
            queue: self.queue.clone(),
            free,
            spare: None,
            missed: Arc::clone(&self.missed),
            missed_since_last: 0,
        }
    }

    /// Frames of all taps that could not be recorded.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let Some(writer) = self.writer.take() else {
            return;
        };
        let start = Instant::now();
        let mut told = false;
        while !writer.is_finished() && start.elapsed() < PATIENCE {
            told = told || self.queue.try_send(Message::End).is_ok();
            thread::sleep(Duration::from_millis(1));
        }
        if writer.is_finished() {
            // A panic in it has been reported.
            let _ = writer.join();
        }
    }
}

impl PcapTap {
    /// Records a frame, from its destination address to before the FCS. Never waits or allocates.
    pub fn record(&mut self, direction: Direction, octets: &[u8]) {
        let Some(mut buffer) = self.spare.take().or_else(|| self.free.try_recv().ok()) else {
            return self.miss();
        };
        buffer.clear();
        buffer.extend_from_slice(&octets[..octets.len().min(buffer.capacity())]);
        let frame = Frame {
            interface: self.interface,
            direction,
            time: SystemTime::now(),
            original_len: octets.len(),
            missed_before: self.missed_since_last,
            buffer,
        };
        match self.queue.try_send(Message::Frame(frame)) {
            Ok(()) => self.missed_since_last = 0,
            Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) => {
                if let Message::Frame(frame) = message {
                    self.spare = Some(frame.buffer);
                }
                self.miss();
            }
        }
    }

    fn miss(&mut self) {
        self.missed_since_last += 1;
        self.missed.fetch_add(1, Ordering::Relaxed);
    }
}

struct Writer<W: Write> {
    file: PcapNgWriter<W>,
    /// Those that are in the file.
    interfaces: Vec<Interface>,
    all_interfaces: Interfaces,
    /// Whether something has been written since the last flush.
    is_dirty: bool,
}

impl<W: Write> Writer<W> {
    /// Writes until told to end, or until the file cannot be written any more.
    fn run(mut self, path: &Path, messages: &Receiver<Message>) {
        if let Err(error) = self.write_all(messages) {
            tracing::error!("pcap file {}: {error}; the capture ends here", path.display());
        }
    }

    fn write_all(&mut self, messages: &Receiver<Message>) -> io::Result<()> {
        let mut last_flush = Instant::now();
        loop {
            let left = FLUSH_INTERVAL.saturating_sub(last_flush.elapsed());
            match messages.recv_timeout(left) {
                Ok(Message::Frame(frame)) => self.add_frame(frame)?,
                Ok(Message::End) | Err(RecvTimeoutError::Disconnected) => {
                    return self.file.get_mut().flush();
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if last_flush.elapsed() >= FLUSH_INTERVAL {
                last_flush = Instant::now();
                if std::mem::take(&mut self.is_dirty) {
                    self.file.get_mut().flush()?;
                }
            }
        }
    }

    /// Describes the interfaces that are not in the file yet.
    fn add_interfaces(&mut self) -> io::Result<()> {
        let new = lock(&self.all_interfaces)[self.interfaces.len()..].to_vec();
        for interface in new {
            let name = Cow::Borrowed(&*interface.name);
            self.write(InterfaceDescriptionBlock {
                linktype: DataLink::ETHERNET,
                snaplen: SNAP_LENGTH.into(),
                options: vec![
                    InterfaceDescriptionOption::IfName(name),
                    InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
                ],
            })?;
            self.interfaces.push(interface);
        }
        Ok(())
    }

    fn add_frame(&mut self, frame: Frame) -> io::Result<()> {
        if frame.interface >= self.interfaces.len() {
            self.add_interfaces()?;
        }
        let mut options = vec![EnhancedPacketOption::Flags(match frame.direction {
            Direction::Inbound => 1,
            Direction::Outbound => 2,
        })];
        if frame.missed_before > 0 {
            options.push(EnhancedPacketOption::DropCount(frame.missed_before));
        }
        self.write(EnhancedPacketBlock {
            interface_id: u32::try_from(frame.interface).unwrap_or(u32::MAX),
            timestamp: frame.time.duration_since(UNIX_EPOCH).unwrap_or_default(),
            original_len: u32::try_from(frame.original_len).unwrap_or(u32::MAX),
            data: Cow::Borrowed(&frame.buffer),
            options,
        })?;
        if let Some(interface) = self.interfaces.get(frame.interface) {
            // There is room for as many as there are; the tap may be gone.
            let _ = interface.free.try_send(frame.buffer);
        }
        Ok(())
    }

    fn write<'a>(&mut self, block: impl PcapNgBlock<'a>) -> io::Result<()> {
        self.is_dirty = true;
        match self.file.write_pcapng_block(block) {
            Ok(_) => Ok(()),
            Err(pcap_file::PcapError::IoError(error)) => Err(error),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

/// Nothing here is left half done by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

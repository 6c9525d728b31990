//! The wire between the ends: a veth pair for each, and a thread that passes frames from one to all
//! others. It keeps what it sees, and loses frames when told to.

use std::{
    fs::File,
    os::fd::AsFd,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use macsec_io::{
    netlink::{Netlink, VethEnd},
    netns::{Namespace, Resident},
    offload,
    packet::{PacketRxRing, PacketTxRing, RxConfig, RxMode, TxConfig},
    poll::{self, Readiness},
    sysctl,
};
use pcap_file::pcap::{PcapPacket, PcapWriter};

use super::Result;

/// The interface of each end.
pub(super) const INTERFACE: &str = "wire";
/// Octets of the longest frame.
const LONGEST: usize = 2048;
/// Frames that a ring holds. There are few.
const SLOTS: usize = 64;
/// How soon the thread looks at what it is told.
const PERIOD: Duration = Duration::from_millis(20);

/// One of the ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Ours,
    Theirs,
    /// The second wpa_supplicant of a group.
    Third,
}

impl Side {
    pub(super) const BOTH: [Self; 2] = [Self::Ours, Self::Theirs];
    pub(super) const ALL: [Self; 3] = [Self::Ours, Self::Theirs, Self::Third];

    /// The MAC address of its interface.
    pub(super) fn mac(self) -> [u8; 6] {
        [0x02, 0x4d, 0x53, 0, 0, self as u8 + 1]
    }

    /// The interface in the middle that its own is connected to.
    fn middle(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Theirs => "theirs",
            Self::Third => "third",
        }
    }
}

/// A frame that was on the wire.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) from: Side,
    pub(super) octets: Vec<u8>,
    pub(super) at: SystemTime,
    /// It was the test that sent it.
    forged: bool,
}

/// What the thread shares with the test.
#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    /// Whether frames are lost, by who sends them.
    lossy: [AtomicBool; Side::ALL.len()],
    seen: Mutex<Vec<Seen>>,
    /// What the test sends in the name of an end.
    to_send: Mutex<Vec<(Side, Vec<u8>)>>,
}

/// A wire with a network namespace at each end. All of it goes when this goes.
pub(super) struct Wire {
    sides: &'static [Side],
    ends: Vec<Arc<Resident>>,
    middle: Namespace,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Wire {
    /// One between these ends: [`Side::BOTH`] or [`Side::ALL`].
    pub(super) fn new(sides: &'static [Side]) -> Result<Self> {
        let middle = Namespace::new()?;
        middle.run(sysctl::disable_ipv6_everywhere)??;
        let mut ends = Vec::new();
        for side in sides {
            let end = Namespace::new()?;
            end.run(|| -> Result<()> {
                // The hosts must have nothing to say.
                sysctl::disable_ipv6_everywhere()?;
                let near = VethEnd::new(INTERFACE).mac(side.mac());
                let far = VethEnd::new(side.middle()).namespace(middle.as_fd());
                let mut netlink = Netlink::open()?;
                netlink.create_veth(&near, &far)?;
                offload::disable_all(INTERFACE)?;
                Ok(netlink.set_up(INTERFACE)?)
            })??;
            ends.push(Arc::new(Resident::start(end)?));
        }
        let rings = middle.run(|| -> Result<Vec<_>> {
            let mut netlink = Netlink::open()?;
            sides.iter().try_for_each(|side| netlink.set_up(side.middle()))?;
            sides.iter().map(|side| Ok((*side, rings(*side)?))).collect()
        })??;
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread = Some(thread::spawn(move || pass(&of_thread, rings)));
        Ok(Self { sides, ends, middle, shared, thread })
    }

    /// The ends that there are, ours first.
    pub(super) fn sides(&self) -> &'static [Side] {
        self.sides
    }

    /// The namespace of an end: a thread in it, whose children die with it.
    pub(super) fn end(&self, side: Side) -> Arc<Resident> {
        Arc::clone(&self.ends[side as usize])
    }

    /// From now on frames of `side` get lost, or do so no more.
    pub(super) fn lose(&self, side: Side, lost: bool) {
        self.shared.lossy[side as usize].store(lost, Ordering::Release);
    }

    /// Takes the signal from all ends, or gives it back.
    pub(super) fn cut(&self, cut: bool) -> Result<()> {
        self.middle.run(|| -> Result<()> {
            let mut netlink = Netlink::open()?;
            for side in self.sides {
                match cut {
                    true => netlink.set_down(side.middle())?,
                    false => netlink.set_up(side.middle())?,
                }
            }
            Ok(())
        })?
    }

    /// Sends a frame as if `side` had.
    pub(super) fn send_as(&self, side: Side, octets: Vec<u8>) {
        lock(&self.shared.to_send).push((side, octets));
    }

    /// What has been on the wire.
    pub(super) fn seen(&self) -> Vec<Seen> {
        lock(&self.shared.seen).clone()
    }

    /// The frames that an end has sent with this EtherType.
    pub(super) fn sent(&self, side: Side, ethertype: u16) -> Vec<Vec<u8>> {
        let frames = self.seen().into_iter().filter(|seen| seen.from == side && !seen.forged);
        let octets = frames.map(|seen| seen.octets);
        octets.filter(|octets| octets.get(12..14) == Some(&ethertype.to_be_bytes())).collect()
    }

    /// Writes what the ends have sent.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let mut writer = PcapWriter::new(File::create(path)?)?;
        for frame in self.seen().iter().filter(|seen| !seen.forged) {
            let at = frame.at.duration_since(UNIX_EPOCH).unwrap_or_default();
            let len = u32::try_from(frame.octets.len())?;
            writer.write_packet(&PcapPacket::new(at, len, &frame.octets))?;
        }
        Ok(())
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // What it has to say of a panic it has said.
            let _ = thread.join();
        }
    }
}

type Rings = (PacketRxRing, PacketTxRing);

fn rings(side: Side) -> Result<Rings> {
    let mode = RxMode::Slots { frames: SLOTS };
    let rx = RxConfig { mode, max_frame: LONGEST, promiscuous: true, ..RxConfig::default() };
    let tx = TxConfig { frames: SLOTS, max_frame: LONGEST, ..TxConfig::default() };
    let name = side.middle();
    Ok((PacketRxRing::open(name, &rx)?, PacketTxRing::open(name, &tx)?))
}

/// Passes frames on until told to stop. A link that is down is what some cases are about.
fn pass(shared: &Shared, mut rings: Vec<(Side, Rings)>) {
    while !shared.stop.load(Ordering::Acquire) {
        let sources: Vec<_> = rings.iter().map(|(_, (rx, _))| rx.as_fd()).collect();
        let mut ready = vec![Readiness::default(); sources.len()];
        let _ = poll::wait_readable_list(&sources, &mut ready, Some(PERIOD));
        let mut frames: Vec<_> =
            lock(&shared.to_send).drain(..).map(|(side, octets)| (side, octets, true)).collect();
        for (side, (rx, _)) in &mut rings {
            let _ = rx.take_error();
            rx.receive(SLOTS, |octets| frames.push((*side, octets.to_vec(), false)));
        }
        for (from, octets, forged) in frames {
            if !shared.lossy[from as usize].load(Ordering::Acquire) {
                for (_, (_, tx)) in rings.iter_mut().filter(|(side, _)| *side != from) {
                    let _ = tx.push(&octets);
                    let _ = tx.flush();
                }
            }
            lock(&shared.seen).push(Seen { from, octets, at: SystemTime::now(), forged });
        }
    }
}

/// Nothing here is left half done by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! The wire between the gateways: who listens to it, and who attacks it.

use std::{
    io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use macsec_io::packet::{PacketError, PacketRxRing, PacketTxRing, RxConfig, RxMode, TxConfig};
use serde::Serialize;

use super::{
    topology::{End, Topology, WIRE_MTU},
    traffic::UDP_MARK,
};
use crate::uplink;

const MACSEC: [u8; 2] = [0x88, 0xe5];
const EAPOL: [u8; 2] = [0x88, 0x8e];
const ETHERTYPE_AT: usize = 12;
/// Where the TCI is in a frame with a SecTAG, and the bits that say it is encrypted: E and C.
const TCI_AT: usize = 14;
const ENCRYPTED: u8 = 0x0c;
/// In a frame that is not encrypted, the mark of a datagram stands within as many octets.
const MARK_WITHIN: usize = 128;
/// Where the low 32 bits of the packet number are in a frame with a SecTAG.
const PN_AT: usize = 16;
/// By how much the attacker raises a packet number: beyond all that the peer has seen.
const PN_RAISED_BY: u32 = 1_000_000;
/// Frames of these lengths carry the datagrams of the clouds; TCP's are longer or shorter.
const WORTH_REPLAYING: std::ops::Range<usize> = 200..1200;
const TAP_SLOTS: usize = 16384;
const TAP_TIMEOUT: Duration = Duration::from_millis(50);

/// What was seen on the wire, both directions together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WireCounts {
    /// Frames with EtherType 0x88E5, encrypted.
    pub protected: u64,
    /// Frames with EtherType 0x888E.
    pub eapol: u64,
    /// Frames with any other EtherType, MACsec frames that are not encrypted, and frames of whatever
    /// kind with a datagram in clear; but not those that the attacker sent.
    pub plaintext: u64,
    /// Frames that the attacker sent.
    pub attacks: u64,
    /// Frames that the tap was too slow for: nothing can be said of them.
    pub missed: u64,
}

impl std::ops::Add for WireCounts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            protected: self.protected + other.protected,
            eapol: self.eapol + other.eapol,
            plaintext: self.plaintext + other.plaintext,
            attacks: self.attacks + other.attacks,
            missed: self.missed + other.missed,
        }
    }
}

/// What tap and attacker know in common.
#[derive(Default)]
pub struct Shared {
    /// A frame that went from A to B a while ago.
    overheard: Mutex<Option<Vec<u8>>>,
    /// What the attacker has sent and the tap not yet seen.
    forged: Mutex<Vec<Vec<u8>>>,
    /// Set to end the taps.
    pub stop: AtomicBool,
}

/// A tap on the wire that sees what arrives at one end.
pub struct WireTap {
    ring: PacketRxRing,
    end: End,
}

impl WireTap {
    /// Listens at `end`.
    ///
    /// # Errors
    /// [`PacketError`].
    pub fn open(topology: &Topology, end: End) -> io::Result<Self> {
        let config = RxConfig {
            mode: RxMode::Slots { frames: TAP_SLOTS },
            max_frame: WIRE_MTU as usize + 64,
            promiscuous: true,
            ..RxConfig::default()
        };
        let ring = open_in(topology, end, || PacketRxRing::open(end.wire(), &config))?;
        Ok(Self { ring, end })
    }

    /// Counts what arrives until told to stop, and keeps a frame for the attacker now and then.
    ///
    /// # Errors
    /// [`PacketError`].
    pub fn run(mut self, shared: &Shared) -> io::Result<WireCounts> {
        let mut counts = WireCounts::default();
        loop {
            let stop = shared.stop.load(Ordering::Relaxed);
            self.ring.wait(Some(TAP_TIMEOUT)).map_err(io::Error::other)?;
            let to_b = self.end == End::B;
            let seen =
                self.ring.receive(TAP_SLOTS, |frame| count(&mut counts, frame, to_b, shared));
            if stop && seen == 0 {
                break;
            }
        }
        let statistics = self.ring.statistics().map_err(io::Error::other)?;
        counts.missed = statistics.ring_full
            + statistics.truncated
            + statistics.too_long
            + statistics.malformed;
        Ok(counts)
    }
}

fn count(counts: &mut WireCounts, frame: &[u8], to_b: bool, shared: &Shared) {
    if to_b {
        let mut forged = lock(&shared.forged);
        if let Some(at) = forged.iter().position(|forged| forged == frame) {
            forged.swap_remove(at);
            counts.attacks += 1;
            return;
        }
    }
    match frame.get(ETHERTYPE_AT..TCI_AT) {
        _ if has_mark(frame) => counts.plaintext += 1,
        Some(ethertype) if ethertype == MACSEC && is_encrypted(frame) => counts.protected += 1,
        Some(ethertype) if ethertype == EAPOL => counts.eapol += 1,
        _ => counts.plaintext += 1,
    }
    if to_b && WORTH_REPLAYING.contains(&frame.len()) && frame[ETHERTYPE_AT..].starts_with(&MACSEC)
    {
        let mut overheard = lock(&shared.overheard);
        if overheard.is_none() {
            *overheard = Some(frame.to_vec());
        }
    }
}

fn is_encrypted(frame: &[u8]) -> bool {
    frame.get(TCI_AT).is_some_and(|tci| tci & ENCRYPTED == ENCRYPTED)
}

/// Whether a datagram of the clouds can be read in the frame, whatever its headers say.
fn has_mark(frame: &[u8]) -> bool {
    let start = &frame[..frame.len().min(MARK_WITHIN)];
    start.windows(UDP_MARK.len()).any(|octets| octets == UDP_MARK)
}

/// How many of each attack were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Attacks {
    /// Frames with their packet number raised.
    pub tampered: u64,
    /// Old frames sent again.
    pub replayed: u64,
    /// Frames in clear.
    pub injected: u64,
}

/// Someone on the wire, who sends to gateway B.
pub struct Attacker {
    ring: PacketTxRing,
    attacks: Attacks,
}

impl Attacker {
    /// Gets hold of the wire at its end A, past the barrier that shuts cloud A out: that is not made
    /// for someone on the wire.
    ///
    /// # Errors
    /// [`PacketError`].
    pub fn open(topology: &Topology) -> io::Result<Self> {
        let config =
            TxConfig { frames: 64, max_frame: 2048, mark: uplink::MARK, ..TxConfig::default() };
        let ring = open_in(topology, End::A, || PacketTxRing::open(End::A.wire(), &config))?;
        Ok(Self { ring, attacks: Attacks::default() })
    }

    /// What has been done so far.
    pub fn attacks(&self) -> Attacks {
        self.attacks
    }

    /// Makes each attack once, if a frame has been overheard to make them from. Waits until that frame
    /// is old.
    ///
    /// # Errors
    /// [`PacketError`].
    pub fn strike(&mut self, shared: &Shared) -> io::Result<()> {
        let Some(old) = lock(&shared.overheard).take() else {
            return Ok(());
        };
        // Long enough for frames with higher packet numbers to have passed.
        std::thread::sleep(Duration::from_millis(30));

        let mut tampered = old.clone();
        if let Some(pn) = tampered.get_mut(PN_AT..).and_then(|rest| rest.first_chunk_mut()) {
            *pn = u32::from_be_bytes(*pn).wrapping_add(PN_RAISED_BY).to_be_bytes();
            self.send(tampered, shared)?;
            self.attacks.tampered += 1;
        }
        self.send(plain_frame(self.attacks.injected), shared)?;
        self.attacks.injected += 1;
        self.send(old, shared)?;
        self.attacks.replayed += 1;
        Ok(())
    }

    fn send(&mut self, frame: Vec<u8>, shared: &Shared) -> io::Result<()> {
        // Before it is on the wire, so that the tap knows it.
        let mut forged = lock(&shared.forged);
        self.ring.push(&frame).map_err(io::Error::other)?;
        forged.push(frame);
        drop(forged);
        self.ring.flush().map_err(io::Error::other)?;
        Ok(())
    }
}

/// A broadcast that no gateway would send: an Ethernet frame in clear, of the type for local
/// experiments.
fn plain_frame(number: u64) -> Vec<u8> {
    let mut frame = Vec::with_capacity(64);
    frame.extend([0xff; 6]);
    frame.extend(End::A.mac());
    frame.extend([0x88, 0xb5]);
    frame.extend(number.to_be_bytes());
    frame.resize(64, 0);
    frame
}

fn open_in<T: Send>(
    topology: &Topology,
    end: End,
    open: impl FnOnce() -> Result<T, PacketError> + Send,
) -> io::Result<T> {
    topology.cloud(end).run(open).map_err(io::Error::other)?.map_err(io::Error::other)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count_one(frame: &[u8]) -> WireCounts {
        let mut counts = WireCounts::default();
        count(&mut counts, frame, true, &Shared::default());
        counts
    }

    /// A frame with this EtherType and TCI, and a datagram's mark behind if so wished.
    fn frame(ethertype: [u8; 2], tci: u8, marked: bool) -> Vec<u8> {
        let mut frame = [&[0; 12][..], &ethertype, &[tci]].concat();
        frame.resize(58, 0);
        frame.extend(if marked { *UDP_MARK } else { [0; 8] });
        frame
    }

    #[test]
    fn only_encrypted_frames_count_as_protected() {
        let (encrypted, in_clear) = (0x2c, 0x20);
        let protected = WireCounts { protected: 1, ..WireCounts::default() };
        let plaintext = WireCounts { plaintext: 1, ..WireCounts::default() };
        assert_eq!(count_one(&frame(MACSEC, encrypted, false)), protected);
        assert_eq!(count_one(&frame(MACSEC, in_clear, false)), plaintext);
        assert_eq!(count_one(&frame(MACSEC, encrypted, true)), plaintext);
        assert_eq!(count_one(&frame(EAPOL, 0, true)), plaintext);
        assert_eq!(count_one(&frame([0x08, 0x00], encrypted, false)), plaintext);
        assert_eq!(count_one(&MACSEC), plaintext, "too short to tell");
    }

    #[test]
    fn a_forged_frame_is_excused_once() {
        let shared = Shared::default();
        let forged = frame([0x88, 0xb5], 0, false);
        lock(&shared.forged).push(forged.clone());
        let mut counts = WireCounts::default();
        for to_b in [false, true, true] {
            count(&mut counts, &forged, to_b, &shared);
        }
        assert_eq!((counts.attacks, counts.plaintext), (1, 2));
        assert!(lock(&shared.forged).is_empty(), "nor kept for ever");
    }
}

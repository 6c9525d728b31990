//! The wire between the gateways: who listens to it, and who attacks it.

use std::{
    io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
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
/// The bits beside them that are the AN.
const AN: u8 = 0x03;
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
    /// Frames with any other EtherType, MACsec frames that are not encrypted, and frames of
    /// whatever kind with a datagram in clear; but not those that the attacker sent.
    pub plaintext: u64,
    /// Frames that the attacker sent.
    pub attacks: u64,
    /// Protected frames whose AN and packet number do not follow on the frame before: whose packet
    /// number may have been used before, that is.
    pub repeated: u64,
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
            repeated: self.repeated + other.repeated,
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
    stop: AtomicBool,
}

/// Taps on the wire, one at each end.
pub struct WireTaps([WireTap; 2]);

impl WireTaps {
    /// Begins to collect what there is to be seen.
    ///
    /// # Errors
    /// [`PacketError`].
    pub fn open(topology: &Topology) -> io::Result<Self> {
        Ok(Self([WireTap::open(topology, End::A)?, WireTap::open(topology, End::B)?]))
    }

    /// Listens while `action` runs. Returns what it returns, and what was on the wire since the
    /// taps have been open.
    ///
    /// # Errors
    /// Those of `action`; [`PacketError`].
    pub fn listen<T>(
        self,
        shared: &Shared,
        action: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<(T, WireCounts)> {
        thread::scope(|scope| {
            let taps = self.0.map(|tap| scope.spawn(|| tap.run(shared)));
            let result = action();
            shared.stop.store(true, Ordering::Relaxed);
            let [a, b] = taps.map(|tap| {
                tap.join().map_err(|_| io::Error::other("a tap on the wire panicked"))?
            });
            Ok((result?, a? + b?))
        })
    }
}

/// A tap on the wire that sees what arrives at one end.
struct WireTap {
    ring: PacketRxRing,
    end: End,
}

impl WireTap {
    fn open(topology: &Topology, end: End) -> io::Result<Self> {
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
    fn run(mut self, shared: &Shared) -> io::Result<WireCounts> {
        let mut watch = Watch::new(self.end == End::B);
        loop {
            let stop = shared.stop.load(Ordering::Relaxed);
            self.ring.wait(Some(TAP_TIMEOUT)).map_err(io::Error::other)?;
            let seen = self.ring.receive(TAP_SLOTS, |frame| watch.see(frame, shared));
            if stop && seen == 0 {
                break;
            }
        }
        let statistics = self.ring.statistics().map_err(io::Error::other)?;
        watch.counts.missed = statistics.ring_full
            + statistics.truncated
            + statistics.too_long
            + statistics.malformed;
        Ok(watch.counts)
    }
}

/// What is known of the frames in one direction.
struct Watch {
    counts: WireCounts,
    to_b: bool,
    /// AN and packet number of the last protected frame.
    last: Option<(u8, u32)>,
}

impl Watch {
    fn new(to_b: bool) -> Self {
        Self { counts: WireCounts::default(), to_b, last: None }
    }

    fn see(&mut self, frame: &[u8], shared: &Shared) {
        if self.to_b {
            let mut forged = lock(&shared.forged);
            if let Some(at) = forged.iter().position(|forged| forged == frame) {
                forged.swap_remove(at);
                self.counts.attacks += 1;
                return;
            }
        }
        match frame.get(ETHERTYPE_AT..TCI_AT) {
            _ if has_mark(frame) => self.counts.plaintext += 1,
            Some(ethertype) if ethertype == MACSEC && is_encrypted(frame) => self.protected(frame),
            Some(ethertype) if ethertype == EAPOL => self.counts.eapol += 1,
            _ => self.counts.plaintext += 1,
        }
        if self.to_b
            && WORTH_REPLAYING.contains(&frame.len())
            && frame[ETHERTYPE_AT..].starts_with(&MACSEC)
        {
            let mut overheard = lock(&shared.overheard);
            if overheard.is_none() {
                *overheard = Some(frame.to_vec());
            }
        }
    }

    /// An AN comes back with another SAK only when others have been in between. As long as it stays
    /// the same, packet numbers can but rise.
    fn protected(&mut self, frame: &[u8]) {
        self.counts.protected += 1;
        let Some((an, pn)) = an_and_pn(frame) else { return };
        if self.last.is_some_and(|(last_an, last_pn)| an == last_an && pn <= last_pn) {
            self.counts.repeated += 1;
        }
        self.last = Some((an, pn));
    }
}

/// AN and low half of the packet number in a frame with a SecTAG.
fn an_and_pn(frame: &[u8]) -> Option<(u8, u32)> {
    let pn = frame.get(PN_AT..)?.first_chunk()?;
    Some((frame[TCI_AT] & AN, u32::from_be_bytes(*pn)))
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
    /// Gets hold of the wire at its end A, past the barrier that shuts cloud A out: that is not
    /// made for someone on the wire.
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

    /// Makes each attack once, if a frame has been overheard to make them from. Waits until that
    /// frame is old.
    ///
    /// # Errors
    /// [`PacketError`].
    pub fn strike(&mut self, shared: &Shared) -> io::Result<()> {
        let Some(old) = lock(&shared.overheard).take() else {
            return Ok(());
        };
        // Long enough for frames with higher packet numbers to have passed.
        thread::sleep(Duration::from_millis(30));

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
        count(true, [frame], &Shared::default())
    }

    fn count<'a>(
        to_b: bool,
        frames: impl IntoIterator<Item = &'a [u8]>,
        shared: &Shared,
    ) -> WireCounts {
        let mut watch = Watch::new(to_b);
        frames.into_iter().for_each(|frame| watch.see(frame, shared));
        watch.counts
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
        assert_eq!(count_one(&frame(EAPOL, 0, false)).eapol, 1);
    }

    #[test]
    fn frames_too_short_to_tell_are_plaintext() {
        let short = [0; ETHERTYPE_AT];
        for frame in [&short[..], &MACSEC, &[]] {
            assert_eq!(count_one(frame).plaintext, 1, "{frame:?}");
        }
        let cut = &frame(MACSEC, 0x2c, false)[..PN_AT];
        assert_eq!((count_one(cut).protected, count_one(cut).repeated), (1, 0));
    }

    #[test]
    fn a_packet_number_that_comes_again_is_counted() {
        let numbered = |an: u8, pn: u8| {
            let mut frame = frame(MACSEC, 0x2c | an, false);
            frame[PN_AT + 3] = pn;
            frame
        };
        let repeated = |numbers: &[(u8, u8)]| {
            let frames: Vec<_> = numbers.iter().map(|(an, pn)| numbered(*an, *pn)).collect();
            count(false, frames.iter().map(Vec::as_slice), &Shared::default()).repeated
        };
        assert_eq!(repeated(&[(0, 1), (0, 2), (0, 9), (1, 1), (1, 2), (2, 1), (0, 1)]), 0);
        assert_eq!(repeated(&[(0, 1), (0, 2), (0, 2)]), 1);
        assert_eq!(repeated(&[(3, 7), (3, 6), (3, 7)]), 1);
    }

    #[test]
    fn a_forged_frame_is_excused_once() {
        let shared = Shared::default();
        let forged = frame([0x88, 0xb5], 0, false);
        lock(&shared.forged).push(forged.clone());
        let from_b = count(false, [&forged[..]], &shared);
        assert_eq!((from_b.attacks, from_b.plaintext), (0, 1));
        let to_b = count(true, [&forged[..], &forged], &shared);
        assert_eq!((to_b.attacks, to_b.plaintext), (1, 1));
        assert!(lock(&shared.forged).is_empty(), "nor kept for ever");
    }
}

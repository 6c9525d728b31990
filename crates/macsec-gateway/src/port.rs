//! A port: a SecY between an uplink (the wire) and a TAP (the host), and the loop that moves frames.
//!
//! ```text
//!   wire                                                              host
//!    |        +--------- PacketRxRing --> validate --> write ---+      |
//!  uplink ----|                  SecY                           |---- TAP
//!             +--------- PacketTxRing <-- protect <--- read ----+
//! ```
//!
//! One thread serves both directions in turns, a batch at a time, so frames keep their order. It
//! waits only in poll(2).
//!
//! EAPOL never crosses: it belongs to the key agreement entity. That is 0x888E without a tag or with a
//! priority tag (VLAN 0), the two forms in which a port sends and has to take it. Within a VLAN it is
//! that of another port, above this one, and user data here: encrypted when it comes from the host,
//! refused by the SecY when it comes from the wire in clear.
//!
//! An uplink or a TAP may go down and come up again: frames meanwhile are lost, and counted. Only when
//! one is removed does the port end.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use macsec::{
    An, BATCH, CipherSuite, Config, DataKey, DataKeyError, FrameBuf, HEADROOM, InstallError,
    KeySlot, Ki, LifeCycleError, MAX_OVERHEAD, Portable, ReceiveSa, ReceiveScSlot, Sak, Salt, Sci,
    SecY, Ssci, TAILROOM, TransmitSa,
};
use macsec_io::{
    packet::{PacketError, PacketRxRing, PacketTxRing, PushError, RxConfig, RxMode, TxConfig},
    poll,
    tap::Tap,
};
use thiserror::Error;

/// Octets of addresses and EtherType.
const ETHERNET_HEADER: usize = 14;
const VLAN_TAG: usize = 4;
/// Octets of the two VLAN tags that an inner frame may carry beyond its MTU.
const INNER_VLAN_TAGS: usize = 2 * VLAN_TAG;
const ETHERTYPE_EAPOL: [u8; 2] = [0x88, 0x8e];
const ETHERTYPE_VLAN: [u8; 2] = [0x81, 0x00];
/// Frames taken from the uplink before the TAP gets its turn.
const UPLINK_BUDGET: usize = 256;
/// How soon to try again when the uplink would not take all frames.
const CONGESTED_PAUSE: Duration = Duration::from_millis(1);

/// Receive slots of an uplink: half a second of 1500-octet frames at 200 Mbit/s, should this process
/// be held up.
const RX_SLOTS: usize = 8192;

/// The greatest MTU for the TAP over an uplink with MTU `uplink`: less SecTAG with SCI, and ICV.
#[must_use]
pub const fn inner_mtu(uplink: u32) -> u32 {
    uplink.saturating_sub(MAX_OVERHEAD as u32)
}

/// Keys given by hand, for labs and the demo: they know no rekey, and a restart must not reuse them.
pub struct StaticKeys {
    /// The suite.
    pub suite: CipherSuite,
    /// A name for the key.
    pub ki: Ki,
    /// The key that both ends transmit with.
    pub sak: Sak,
    /// The salt, for XPN suites.
    pub salt: Option<Salt>,
    /// Our SSCI, for XPN suites.
    pub ssci: Option<Ssci>,
    /// The other end.
    pub peer: Sci,
    /// The other end's SSCI, for XPN suites.
    pub peer_ssci: Option<Ssci>,
}

/// Counters of a port that no SecY can know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortCounters {
    /// Frames delivered to the host: validated, and taken by the TAP.
    pub tap_written: u64,
    /// TapDrop: frames validated, but not taken by the TAP.
    pub tap_drop: u64,
    /// Frames of the host that could not be read whole: longer than the TAP's MTU allows.
    pub tap_too_long: u64,
    /// EAPOL frames of the host, dropped: they never cross a port.
    pub eapol_from_tap: u64,
    /// EAPOL frames of the wire, which nobody listens to yet.
    pub eapol_from_uplink: u64,
    /// How often the uplink has gone down.
    pub uplink_down: u64,
}

/// Counts of the uplink's rings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UplinkCounters {
    /// RingDrop: frames lost because the receive ring was full, or that did not fit into a slot of it.
    pub ring_drop: u64,
    /// Frames that the interface took.
    pub sent: u64,
    /// Frames protected that the interface or its ring did not take.
    pub not_sent: u64,
}

/// Why a port cannot be set up or go on.
#[derive(Debug, Error)]
pub enum PortError {
    /// The uplink.
    #[error("uplink: {0}")]
    Uplink(#[from] PacketError),
    /// Waiting for frames.
    #[error("poll: {0}")]
    Poll(#[source] io::Error),
    /// The TAP.
    #[error("TAP: {0}")]
    Tap(#[source] io::Error),
    /// The TAP has been removed.
    #[error("the TAP has been removed")]
    TapGone,
    /// The keys do not fit the suite.
    #[error(transparent)]
    Key(#[from] DataKeyError),
    /// The SecY refuses the keys.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// The SecY refuses the SCs.
    #[error(transparent)]
    LifeCycle(#[from] LifeCycleError),
    /// The SecY refuses the controls.
    #[error(transparent)]
    Controls(#[from] macsec::ConfigError),
}

/// The SecY of a port: room for four SAKs and four peers.
pub type PortSecY =
    SecY<Portable, [KeySlot<<Portable as macsec::Backend>::Key>; 4], [ReceiveScSlot; 4]>;

/// A port. See the module's picture.
pub struct Port {
    secy: PortSecY,
    uplink_rx: PacketRxRing,
    uplink_tx: PacketTxRing,
    uplink_is_down: bool,
    tap: Tap,
    /// Buffers for the frames read from the TAP in one turn, with room for SecTAG and ICV.
    from_tap: Vec<Vec<u8>>,
    counters: PortCounters,
}

impl Port {
    /// Opens the rings on the interface `uplink` of the calling thread's network namespace, with MTU
    /// `uplink_mtu`, and joins it to `tap`. Nothing moves yet: there are no keys.
    ///
    /// # Errors
    /// [`PortError`].
    pub fn open(
        uplink: &str,
        uplink_mtu: u32,
        tap: Tap,
        sci: Sci,
        mut controls: Config,
    ) -> Result<Self, PortError> {
        let max_frame = ETHERNET_HEADER + uplink_mtu as usize;
        controls.max_frame_octets = max_frame;
        let keys = [const { KeySlot::EMPTY }; 4];
        let peers = [const { ReceiveScSlot::EMPTY }; 4];
        let secy = SecY::new(Portable, sci, controls, keys, peers)?;

        let rx = RxConfig {
            mode: RxMode::Slots { frames: RX_SLOTS },
            max_frame: max_frame + INNER_VLAN_TAGS,
            ..RxConfig::default()
        };
        let tx = TxConfig { max_frame, ..TxConfig::default() };
        // One octet more than the longest frame: a read that fills the buffer may have been cut.
        let inner = ETHERNET_HEADER + INNER_VLAN_TAGS + inner_mtu(uplink_mtu) as usize + 1;
        Ok(Self {
            secy,
            uplink_rx: PacketRxRing::open(uplink, &rx)?,
            uplink_tx: PacketTxRing::open(uplink, &tx)?,
            uplink_is_down: false,
            tap,
            from_tap: vec![vec![0; HEADROOM + inner + TAILROOM]; BATCH],
            counters: PortCounters::default(),
        })
    }

    /// Installs static keys, both directions in use at once.
    ///
    /// # Errors
    /// [`PortError`]; equal SCIs or SSCIs on both ends among others.
    pub fn install_static_keys(&mut self, keys: StaticKeys) -> Result<(), PortError> {
        let StaticKeys { suite, ki, sak, salt, ssci, peer, peer_ssci } = keys;
        let an = An::default();
        let secy = &mut self.secy;
        secy.install_key(&DataKey::new(ki, suite, sak, salt)?)?;
        secy.create_receive_sc(peer)?;
        let offset = macsec::ConfidentialityOffset::Zero;
        let receive = ReceiveSa { an, ki, ssci: peer_ssci, lowest_pn: 1, offset };
        secy.install_receive_sa(peer, &receive)?;
        secy.enable_receive_sa(peer, an)?;
        let confidentiality = macsec::Confidentiality::default();
        secy.install_transmit_sa(&TransmitSa { an, ki, ssci, next_pn: 1, confidentiality })?;
        secy.enable_transmit_sa(an)?;
        Ok(())
    }

    /// Waits for frames or for `control` to become readable, at most `timeout`, and moves the frames
    /// that are there. Returns whether `control` is readable.
    ///
    /// # Errors
    /// [`PortError`], when the uplink or the TAP is gone for good. Down is no error.
    pub fn turn(&mut self, control: BorrowedFd<'_>, timeout: Duration) -> Result<bool, PortError> {
        // While the uplink does not take what we have, the host's frames wait where they are.
        let congested = !self.uplink_tx.has_room(BATCH);
        let timeout =
            if congested || self.uplink_tx.pending() > 0 { CONGESTED_PAUSE } else { timeout };
        let uplink = self.uplink_rx.as_fd();
        let (uplink, tap, control) = if congested {
            let [uplink, control] =
                poll::wait_readable([uplink, control], Some(timeout)).map_err(PortError::Poll)?;
            (uplink, poll::Readiness::default(), control)
        } else {
            let sources = [uplink, self.tap.as_fd(), control];
            let [uplink, tap, control] =
                poll::wait_readable(sources, Some(timeout)).map_err(PortError::Poll)?;
            (uplink, tap, control)
        };
        if uplink.error {
            let error = self.uplink_rx.take_error();
            self.survive(error)?;
        }
        if self.uplink_is_down {
            self.look_for_uplink()?;
        }
        if uplink.readable {
            self.uplink_to_tap();
        }
        if tap.readable {
            self.tap_to_uplink()?;
        } else if self.uplink_tx.pending() > 0 {
            self.flush()?;
        }
        if tap.error {
            // It has no other, and this one stays.
            return Err(PortError::TapGone);
        }
        Ok(control.readable || control.error)
    }

    /// The SecY, to look at.
    #[must_use]
    pub fn secy(&self) -> &PortSecY {
        &self.secy
    }

    /// What the port itself has counted.
    #[must_use]
    pub fn counters(&self) -> PortCounters {
        self.counters
    }

    /// What the uplink's rings have counted.
    ///
    /// # Errors
    /// [`PortError::Uplink`] if the kernel does not tell.
    pub fn uplink_counters(&mut self) -> Result<UplinkCounters, PortError> {
        let rx = self.uplink_rx.statistics()?;
        let tx = self.uplink_tx.statistics();
        Ok(UplinkCounters {
            ring_drop: rx.ring_full + rx.truncated + rx.too_long + rx.malformed,
            sent: tx.sent,
            not_sent: tx.rejected + tx.dropped + tx.ring_full,
        })
    }

    /// Lets pass whatever the uplink says, except that it has been removed. What it did not take it
    /// has counted.
    fn survive<T>(&mut self, result: Result<T, PacketError>) -> Result<(), PortError> {
        match result {
            Err(gone @ PacketError::InterfaceGone) => Err(gone.into()),
            Err(PacketError::InterfaceDown) => {
                self.counters.uplink_down += u64::from(!self.uplink_is_down);
                self.uplink_is_down = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Nobody says when an uplink that went down is up again or removed.
    fn look_for_uplink(&mut self) -> Result<(), PortError> {
        let state = self.uplink_rx.check_interface();
        self.uplink_is_down = state.is_err();
        self.survive(state)
    }

    fn flush(&mut self) -> Result<(), PortError> {
        let result = self.uplink_tx.flush();
        self.survive(result)
    }

    fn uplink_to_tap(&mut self) {
        let Self { secy, tap, uplink_rx, counters, .. } = self;
        uplink_rx.receive_batch(UPLINK_BUDGET, |frames| {
            let mut eapol = 0;
            let data = frames.iter_mut().map(|frame| &mut **frame).filter(|frame| {
                let is_eapol = is_eapol(frame);
                eapol += u64::from(is_eapol);
                !is_eapol
            });
            secy.validate_batch(data, |verdict| {
                if let Some(frame) = verdict.delivered() {
                    match tap.write(frame) {
                        Ok(()) => counters.tap_written += 1,
                        Err(_) => counters.tap_drop += 1,
                    }
                }
            });
            counters.eapol_from_uplink += eapol;
        });
    }

    fn tap_to_uplink(&mut self) -> Result<(), PortError> {
        let mut lengths = [0; BATCH];
        let read = self.read_tap(&mut lengths)?;
        let Self { secy, uplink_tx, from_tap, .. } = self;
        let frames = from_tap.iter_mut().zip(&lengths[..read]).filter_map(|(buffer, &len)| {
            FrameBuf::new(buffer.as_mut_slice(), HEADROOM..HEADROOM + len).ok()
        });
        secy.protect_batch(frames, |result| {
            // What is refused has been counted, by the SecY or by the ring.
            if let Ok(frame) = result
                && let Err(error) = uplink_tx.push(frame.octets())
            {
                debug_assert_ne!(error, PushError::Full, "turn() leaves room for a batch");
            }
        });
        self.flush()
    }

    /// Reads up to a batch of frames, each to [`HEADROOM`] of its buffer, and returns how many.
    fn read_tap(&mut self, lengths: &mut [usize; BATCH]) -> Result<usize, PortError> {
        let mut read = 0;
        // Bounded even if every frame is one that does not count.
        for _ in 0..2 * BATCH {
            let Some(buffer) = self.from_tap.get_mut(read) else {
                break;
            };
            let end = buffer.len() - TAILROOM;
            match self.tap.read(&mut buffer[HEADROOM..end]) {
                Ok(len) if is_eapol(&buffer[HEADROOM..HEADROOM + len]) => {
                    self.counters.eapol_from_tap += 1;
                }
                Ok(len) => {
                    lengths[read] = len;
                    read += 1;
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => break,
                    io::ErrorKind::InvalidData => self.counters.tap_too_long += 1,
                    // What has been read goes first; the error will still be there.
                    _ if read > 0 => break,
                    _ => return Err(PortError::Tap(error)),
                },
            }
        }
        Ok(read)
    }
}

/// Whether a frame is EAPOL of this very port: without a tag, or with a priority tag.
fn is_eapol(frame: &[u8]) -> bool {
    let ethertype = frame.get(12..).unwrap_or_default();
    let behind_tag = match ethertype.split_first_chunk::<VLAN_TAG>() {
        // Priority and drop eligibility take the upper four bits, and the VLAN is 0.
        Some(([a, b, c, 0], rest)) if [*a, *b] == ETHERTYPE_VLAN && c & 0x0f == 0 => rest,
        _ => ethertype,
    };
    behind_tag.starts_with(&ETHERTYPE_EAPOL)
}

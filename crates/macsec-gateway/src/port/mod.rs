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
//! waits in poll(2), and, if a peer's packet numbers take a leap, a moment for the disk: see [`Marks`].
//!
//! EAPOL never crosses: it belongs to the key agreement entity. That is 0x888E without a tag or with a
//! priority tag (VLAN 0), the two forms in which a port sends and has to take it. Within a VLAN it is
//! that of another port, above this one, and user data here: encrypted when it comes from the host,
//! refused by the SecY when it comes from the wire in clear. EtherTypes on the bypass list cross in
//! clear, and are counted.
//!
//! An uplink or a TAP may go down and come up again: frames meanwhile are lost, and counted. Either
//! may even be removed and another attached: the SecY, its keys, packet numbers and counters stay.

mod classify;
mod counters;
mod marks;
mod moving;
mod orders;
mod uplink_rings;

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use arrayvec::ArrayVec;
use macsec::{
    BATCH, ClearVlanTags, Config, HEADROOM, KeySlot, MAX_OVERHEAD, Portable, ReceiveScSlot, Sci,
    SecY, TAILROOM,
};
use macsec_io::{
    packet::PacketError,
    poll::{self, MAX_SOURCES, Readiness},
    tap::Tap,
};
use thiserror::Error;

pub use self::{
    classify::Bypass,
    counters::PortCounters,
    marks::Marks,
    uplink_rings::{RingSettings, UplinkCounters, UplinkRings},
};
use self::{classify::BypassList, orders::Command};
use crate::pcap::PcapTap;

/// Octets of addresses and EtherType.
const ETHERNET_HEADER: usize = 14;
const VLAN_TAG: usize = 4;
/// Octets of the two VLAN tags that an inner frame may carry beyond its MTU.
const INNER_VLAN_TAGS: usize = 2 * VLAN_TAG;
/// Frames taken from the TAP in one turn: a batch for the SecY, and as many again that bypass it or
/// count for nothing.
const TAP_BUDGET: usize = 2 * BATCH;
/// How soon to try again when the uplink would not take all frames.
const CONGESTED_PAUSE: Duration = Duration::from_millis(1);
/// Looks at a receive ring before it is closed: it is empty after as many, unless it fills meanwhile.
const MAX_DRAIN_ROUNDS: usize = 64;
/// No frame for so long means that no more will come.
const DRAIN_PAUSE: Duration = Duration::from_millis(5);

/// The greatest MTU for the TAP over an uplink with MTU `uplink`: less SecTAG with SCI and ICV, and
/// less each VLAN tag of the hosts, be it inside or in clear. (Linux makes room for one tag in clear,
/// but only for one of type 0x8100, and not every carrier does.)
#[must_use]
pub const fn inner_mtu(uplink: u32, inner_tags: u8, in_clear: ClearVlanTags) -> u32 {
    let in_clear = match in_clear {
        ClearVlanTags::None => 0,
        ClearVlanTags::One => 1,
        ClearVlanTags::Two => 2,
    };
    let tags = inner_tags as u32 + in_clear;
    uplink.saturating_sub(MAX_OVERHEAD as u32 + tags * VLAN_TAG as u32)
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
    /// The SecY refuses the controls.
    #[error(transparent)]
    Controls(#[from] macsec::ConfigError),
}

/// How many peers, and how many SAKs at a time, a port has room for.
///
/// By default for 8 and 5: enough for four peers, each of them replaced before its SC has gone, or
/// each with a SAK of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// SCs that frames are received from.
    pub peers: usize,
    /// SAKs.
    pub keys: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self { peers: 8, keys: 5 }
    }
}

/// The SecY of a port.
pub type PortSecY =
    SecY<Portable, Box<[KeySlot<<Portable as macsec::Backend>::Key>]>, Box<[ReceiveScSlot]>>;

/// A SecY as ports have it.
///
/// # Errors
/// [`macsec::ConfigError`]: the controls exclude each other, or do not suit the SCI.
pub fn new_secy(sci: Sci, controls: Config, room: Room) -> Result<PortSecY, macsec::ConfigError> {
    let keys = (0..room.keys).map(|_| KeySlot::EMPTY).collect();
    let peers = (0..room.peers).map(|_| ReceiveScSlot::EMPTY).collect();
    SecY::new(Portable, sci, controls, keys, peers)
}

/// Captures of a port's two sides.
pub struct Captures {
    /// What is on the wire.
    pub uplink: PcapTap,
    /// What the host sends and gets.
    pub tap: PcapTap,
}

/// A port. See the module's picture.
pub struct Port {
    secy: PortSecY,
    room: Room,
    command: Command,
    bypass: BypassList,
    uplink: Option<UplinkRings>,
    uplink_mtu: u32,
    uplink_is_down: bool,
    uplink_has_carrier: bool,
    /// What the rings of former uplinks have counted.
    former: UplinkCounters,
    tap: Option<Tap>,
    /// Buffers for the frames read from the TAP in one turn, with room for SecTAG and ICV.
    from_tap: Vec<Vec<u8>>,
    counters: PortCounters,
    marks: Option<Marks>,
    captures: Option<Captures>,
}

impl Port {
    /// A port with neither uplink nor TAP yet. Nothing moves: there are no keys either.
    ///
    /// # Errors
    /// [`PortError::Controls`].
    pub fn new(sci: Sci, controls: Config, room: Room) -> Result<Self, PortError> {
        Ok(Self {
            secy: new_secy(sci, controls, room)?,
            room,
            command: Command::new(controls),
            bypass: BypassList::default(),
            uplink: None,
            uplink_mtu: 0,
            uplink_is_down: false,
            uplink_has_carrier: true,
            former: UplinkCounters::default(),
            tap: None,
            from_tap: Vec::new(),
            counters: PortCounters::default(),
            marks: None,
            captures: None,
        })
    }

    /// Attaches the uplink, whose MTU is `mtu`.
    pub fn attach_uplink(&mut self, rings: UplinkRings, mtu: u32) {
        self.detach_uplink();
        self.uplink = Some(rings);
        self.uplink_mtu = mtu;
        self.uplink_is_down = false;
        let mut controls = *self.secy.config();
        self.limit_frames(&mut controls);
        // The one control that changes stands in no relation to the others.
        let _ = self.secy.set_config(controls);
        // One octet more than the longest frame: a read that fills the buffer may have been cut.
        let inner = ETHERNET_HEADER + INNER_VLAN_TAGS + mtu as usize + 1;
        self.from_tap = vec![vec![0; HEADROOM + inner + TAILROOM]; BATCH];
    }

    /// Lets go of the uplink. What has arrived is delivered first, and what the interface does not
    /// take any more is counted as not sent. Its counts stay.
    pub fn detach_uplink(&mut self) {
        // Bounded, as frames may come faster than they go.
        for _ in 0..MAX_DRAIN_ROUNDS {
            if self.uplink_to_tap() == 0 {
                break;
            }
        }
        if let Some(mut rings) = self.uplink.take() {
            // It may be gone.
            let _ = rings.tx.flush();
            let mut counters = rings.counters();
            counters.not_sent += rings.tx.pending() as u64;
            self.former = self.former + counters;
        }
    }

    /// Whether there is an uplink.
    #[must_use]
    pub fn has_uplink(&self) -> bool {
        self.uplink.is_some()
    }

    /// Attaches the TAP.
    pub fn attach_tap(&mut self, tap: Tap) {
        self.tap = Some(tap);
    }

    /// Lets go of the TAP.
    pub fn detach_tap(&mut self) -> Option<Tap> {
        self.tap.take()
    }

    /// The TAP.
    #[must_use]
    pub fn tap(&self) -> Option<&Tap> {
        self.tap.as_ref()
    }

    /// Says whether the uplink has a signal. Without one, frames of the host are dropped before they
    /// cost a packet number: the kernel would take them, drop them and call them sent.
    pub fn set_uplink_carrier(&mut self, carrier: bool) {
        self.uplink_has_carrier = carrier;
    }

    /// Replaces the controls of the SecY, but for those that a KaY has ordered: whether frames are
    /// protected and validated, and all that a port open in clear needs. All or nothing.
    ///
    /// # Errors
    /// [`PortError::Controls`].
    pub fn set_controls(&mut self, controls: Config) -> Result<(), PortError> {
        let former = self.command;
        self.command.configure(controls);
        let mut controls = self.command.controls();
        self.limit_frames(&mut controls);
        self.secy.set_config(controls).map_err(|error| {
            self.command = former;
            error.into()
        })
    }

    /// Replaces the list of EtherTypes that pass in clear. 0x888E never does.
    pub fn set_bypass(&mut self, ether_types: &[u16]) {
        self.bypass.set(ether_types);
    }

    /// Sets the EtherType of this port's EAPOL, 0x888E unless the other end has it otherwise. It never
    /// crosses; nor does 0x888E.
    pub fn set_eapol_ether_type(&mut self, ether_type: u16) {
        self.bypass.set_eapol(ether_type);
    }

    /// Keeps packet numbers on record from now on, or not. See [`Marks`].
    ///
    /// Set it before the SAs concerned are enabled.
    pub fn set_marks(&mut self, marks: Option<Marks>) -> Option<Marks> {
        std::mem::replace(&mut self.marks, marks)
    }

    /// Captures what moves, or ceases to. Returns what it captured to before.
    pub fn set_captures(&mut self, captures: Option<Captures>) -> Option<Captures> {
        std::mem::replace(&mut self.captures, captures)
    }

    /// The SecY.
    #[must_use]
    pub fn secy(&self) -> &PortSecY {
        &self.secy
    }

    /// What there is room for.
    #[must_use]
    pub const fn room(&self) -> Room {
        self.room
    }

    /// The SecY, for whoever agrees the keys.
    pub fn secy_mut(&mut self) -> &mut PortSecY {
        &mut self.secy
    }

    /// Whether the host may use the port: no KaY has closed it, there are keys in use in both
    /// directions (or the controls ask for none), an uplink, and a signal on it. The standard's
    /// controlledPortEnabled, as far as a port can tell.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        let controls = self.secy.config();
        let sends = !controls.protect_frames || self.secy.is_transmitting();
        let receives = controls.validate_frames != macsec::ValidateFrames::Strict
            || self.secy.receive_scs().any(|sci| self.secy.is_receiving(sci));
        self.command.open && sends && receives && self.can_send()
    }

    /// What the port itself has counted.
    #[must_use]
    pub fn counters(&self) -> PortCounters {
        self.counters
    }

    /// Counts that the uplink had been open to the host's stack.
    pub fn count_uplink_opened(&mut self) {
        self.counters.uplink_opened += 1;
    }

    /// The EtherTypes that pass in clear, and how often they did.
    #[must_use]
    pub fn bypassed(&self) -> &[Bypass] {
        self.bypass.entries()
    }

    /// What the rings of this uplink and of former ones have counted.
    pub fn uplink_counters(&mut self) -> UplinkCounters {
        let now = self.uplink.as_mut().map(UplinkRings::counters).unwrap_or_default();
        self.former + now
    }

    /// Packet numbers on record.
    #[must_use]
    pub fn marks(&self) -> Option<&Marks> {
        self.marks.as_ref()
    }

    /// Packet numbers on record, to idle or to finish them.
    pub fn marks_mut(&mut self) -> Option<(&mut Marks, &PortSecY)> {
        self.marks.as_mut().map(|marks| (marks, &self.secy))
    }

    /// Waits for frames or for one of `wakers` to become readable, at most `timeout`, and moves the
    /// frames that are there. Returns whether a waker is readable, or has an error.
    ///
    /// At most thirteen wakers.
    ///
    /// # Errors
    /// [`PortError`], when the uplink or the TAP is gone for good: detach it. Down is no error.
    pub fn turn(
        &mut self,
        wakers: &[BorrowedFd<'_>],
        timeout: Duration,
    ) -> Result<bool, PortError> {
        self.release_pns();
        let congested = self.is_congested();
        let pending = self.uplink.as_ref().is_some_and(|uplink| uplink.tx.pending() > 0);
        // While the uplink does not take what we have, the host's frames wait where they are; so
        // they do while the packet numbers they need are not on record yet.
        let listen = !congested && !self.awaits_pns();
        let timeout = if congested || pending { CONGESTED_PAUSE } else { timeout };

        let [uplink, tap, marks, woken] = self.wait(wakers, listen, timeout)?;
        if marks.readable
            && let Some(marks) = &self.marks
        {
            marks.take_news();
        }
        if uplink.error
            && let Some(rings) = &self.uplink
        {
            let error = rings.rx.take_error();
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
        } else if pending {
            self.flush()?;
        }
        if tap.error {
            return Err(PortError::TapGone);
        }
        Ok(woken.readable || woken.error)
    }

    /// Moves frames until none come any more and the uplink has taken them all, at most until
    /// `deadline`.
    pub fn drain(&mut self, deadline: Instant) {
        let moved = |port: &Self| {
            let secy = port.secy.counters();
            let pending = port.uplink.as_ref().map_or(0, |uplink| uplink.tx.pending());
            (secy.frames_in() + secy.frames_out(), pending)
        };
        while Instant::now() < deadline {
            let before = moved(self);
            if self.turn(&[], DRAIN_PAUSE).is_err() || moved(self) == (before.0, 0) {
                return;
            }
        }
    }

    /// Waits, and says what has happened: at the uplink, at the TAP (if it is listened to), to the
    /// marks, at any of the wakers.
    fn wait(
        &self,
        wakers: &[BorrowedFd<'_>],
        listen_to_tap: bool,
        timeout: Duration,
    ) -> Result<[Readiness; 4], PortError> {
        let own = [
            self.uplink.as_ref().map(|uplink| uplink.rx.as_fd()),
            self.tap.as_ref().filter(|_| listen_to_tap).map(AsFd::as_fd),
            self.marks.as_ref().map(AsFd::as_fd),
        ];
        let mut sources: ArrayVec<_, MAX_SOURCES> = own.iter().flatten().copied().collect();
        let wakers = wakers.iter().take(MAX_SOURCES - own.len());
        sources.extend(wakers.copied());
        let mut ready = [Readiness::default(); MAX_SOURCES];
        let ready = &mut ready[..sources.len()];
        poll::wait_readable_list(&sources, ready, Some(timeout)).map_err(PortError::Poll)?;

        let mut ready = ready.iter();
        // Those that have not been asked have no answer among these.
        let mut next = |source: &Option<BorrowedFd<'_>>| {
            source.and_then(|_| ready.next().copied()).unwrap_or_default()
        };
        let [uplink, tap, marks] = own.each_ref().map(&mut next);
        let woken = ready.fold(Readiness::default(), |all, one| Readiness {
            readable: all.readable || one.readable,
            error: all.error || one.error,
        });
        Ok([uplink, tap, marks, woken])
    }

    /// What the uplink's MTU means for the SecY, once there is an uplink.
    fn limit_frames(&self, controls: &mut Config) {
        if self.uplink_mtu > 0 {
            controls.max_frame_octets = ETHERNET_HEADER + self.uplink_mtu as usize;
        }
    }

    fn can_send(&self) -> bool {
        self.uplink.is_some() && self.uplink_has_carrier && !self.uplink_is_down
    }

    fn is_congested(&self) -> bool {
        self.uplink.as_ref().is_some_and(|uplink| !uplink.tx.has_room(TAP_BUDGET))
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
        let Some(uplink) = &self.uplink else {
            return Ok(());
        };
        let state = uplink.rx.check_interface();
        self.uplink_is_down = state.is_err();
        self.survive(state)
    }

    fn flush(&mut self) -> Result<(), PortError> {
        let Some(uplink) = &mut self.uplink else {
            return Ok(());
        };
        let result = uplink.tx.flush();
        self.survive(result)
    }

    /// Lets the SecY use the packet numbers that are on record by now.
    fn release_pns(&mut self) {
        if let Some(marks) = &mut self.marks {
            marks.release(&mut self.secy);
        }
    }

    /// Whether the SecY has too few packet numbers left for a batch until more are on record.
    fn awaits_pns(&self) -> bool {
        let Some(an) = self.secy.encoding_sa().filter(|_| self.marks.is_some()) else {
            return false;
        };
        let sa = self.secy.transmit_sa(an);
        let left = sa.and_then(|sa| Some(sa.pn_limit?.saturating_sub(sa.next_pn?)));
        left.is_some_and(|left| left < BATCH as u64)
    }
}

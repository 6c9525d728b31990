//! The KaY: the key agreement entity of a port (802.1X clause 9).
//!
//! A [`Kay`] joins what agrees on SAKs, the [`Participant`](crate::Participant), with what brings them into use, the
//! [`ControlledPort`]. It does no I/O and has no clock. Each call takes the time, a duration since any moment that
//! never goes back; after each call fetch everything that has come of it:
//!
//! | verb | what for |
//! |---|---|
//! | [`Kay::set_port_enabled`], [`Kay::handle_frame`], [`Kay::handle_timeout`] | the wire and the time |
//! | [`Kay::order_done`], [`Kay::report_pns`] | answers of the data plane |
//! | [`Kay::poll_order`] | what the data plane is to do, in this order |
//! | [`Kay::poll_transmit`] | frames to send |
//! | [`Kay::poll_event`] | what has happened, for a log |
//! | [`Kay::poll_timeout`] | when to call [`Kay::handle_timeout`] and [`Kay::poll_transmit`] again |
//!
//! # Several CAKs
//!
//! There is a participant for each CAK: the one in use, the next one, a fallback ([`Kay::add_participant`]). Each has
//! peers of its own. One is the principal one, whose SAKs the port uses:
//!
//! - Only the key server chooses which, and the others follow. It goes over to one that it prefers when all peers are live
//!   there. So a CAK is rolled by adding the new one at all ends, in any order, and having the key server prefer it.
//! - When the last peer of the principal participant is lost, another that has live peers takes its place.
//! - Either is a rollover to a new SAK: the keys in use stay until the new one has taken their place.
//! - A CAK that is removed while a SAK of it is on its way into use goes when that has got there.
//!
//! # Between the machines
//!
//! - A SAK goes to the Controlled Port as soon as our own SSCI is known, if it needs one.
//! - The reports of peers reach the Controlled Port as levels, those of the key that is being brought into use.
//! - As key server no SAK is made while one is on its way into use, as long as it can get there
//!   ([`Participant::set_rollover`](crate::Participant::set_rollover)).
//! - A SAK that the data plane does not take, or loses, is replaced by another: at once the first time, then
//!   after 1, 2, 4 ... 32 seconds.
//! - A peer that is lost keeps its SC as long as it is a member of the SAK. It may have lost nobody itself, come back
//!   and go on with its PNs; and a SecY does not make an SA a second time for one key.
//!
//! # Example
//!
#![cfg_attr(feature = "std", doc = "```")]
#![cfg_attr(not(feature = "std"), doc = "```ignore")]
//! use std::time::Duration;
//!
//! use macsec::{MacAddress, Sci};
//! use mka::{Cak, Ckn, Kay, KayConfig, MAX_FRAME_LEN, OsRandom, ParticipantConfig};
//!
//! let sci = Sci::new(MacAddress([2, 0, 0, 0, 0, 1]), 1);
//! let config = KayConfig::new(ParticipantConfig::new(sci));
//! let (cak, ckn) = (Cak::new(&[0x42; 32])?, Ckn::new(b"lab")?);
//! let mut kay = Kay::new(config, cak, ckn, OsRandom, Duration::ZERO)?;
//!
//! kay.set_port_enabled(Duration::ZERO, true);
//! let mut frame = [0; MAX_FRAME_LEN];
//! let hello = kay.poll_transmit(Duration::ZERO, &mut frame).unwrap();
//! assert_eq!(frame[12..14], [0x88, 0x8e]);
//! # assert!(hello > 60);
//! while let Some(order) = kay.poll_order() {
//!     // Whatever the SecY says:
//!     kay.order_done(Duration::ZERO, order.id, Ok(()));
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod delay;
#[cfg(test)]
mod exhaustion_tests;
mod join;
mod pns;
mod principal;
mod setbacks;
mod slots;
mod stranded;

use alloc::collections::VecDeque;
use core::{fmt, time::Duration};

use macsec::{An, Ki, MacAddress};

pub use pns::KeyPns;
pub use slots::{AddError, MAX_PARTICIPANTS};

use crate::{
    Agreement, Cak, Ckn, DecodeError, Discard, Event, KeyServer, MAX_FRAME_LEN, ParticipantConfig,
    ParticipantCounters, ParticipantError, Random, Received, RekeyReason,
    cp::{ControlledPort, CpEvent, Settings},
    eapol::{EAPOL_ANNOUNCEMENT, EAPOL_ANNOUNCEMENT_REQ, EAPOL_ANNOUNCEMENT_SPECIFIC},
    logon::{LogonPolicy, MkaOutcome},
    order::{Order, OrderFailure, OrderId},
};
use pns::PnHistory;
use setbacks::Setbacks;
use slots::Slots;

/// Events that nobody fetches make room for newer ones: so many, and some for each peer.
const EVENTS: usize = 48;
const EVENTS_OF_A_PEER: usize = 8;

/// The configuration of a KaY.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct KayConfig {
    /// That of its participants.
    pub participant: ParticipantConfig,
    /// What the port may do without MACsec.
    pub policy: LogonPolicy,
    /// How the Controlled Port is run.
    pub port: Settings,
}

impl KayConfig {
    /// A port that must be secured, with the standard's settings. Those of its timers that come from the MKA Life Time are as
    /// long as that of `participant`: set its Hello Time before.
    #[must_use]
    pub fn new(participant: ParticipantConfig) -> Self {
        let mut port = Settings::default();
        let life = participant.life_time();
        port.timers.transmit = port.timers.transmit.max(life);
        port.timers.replace = port.timers.replace.max(life.saturating_add(participant.hello_time));
        Self { participant, policy: LogonPolicy::MUST_SECURE, port }
    }
}

/// Something that happened to a KaY, for its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KayEvent {
    /// To the participant with this CKN.
    Participant(Ckn, Event),
    /// The participant with this CKN has become the principal one.
    Principal(Option<Ckn>),
    /// To its Controlled Port.
    ControlledPort(CpEvent),
    /// How MKA fares has changed.
    Outcome(MkaOutcome),
}

/// What a KaY has counted beside its [participants](crate::Participant).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KayCounters {
    /// Frames that are no MKPDUs: EAPOL of another kind, or malformed (`invalid-eapol-frame-rx`).
    pub in_invalid_eapol: u64,
    /// EAPOL-Announcements, generic and specific: nobody vouches for them, and nothing is done with them
    /// (`eapol-announcements-rx`).
    pub in_announcements: u64,
    /// Requests for EAPOL-Announcements (`eapol-announce-reqs-rx`).
    pub in_announcement_requests: u64,
    /// MKPDUs under a CKN that is none of ours (`eapol-mk-no-cfn`).
    pub in_no_ckn: u64,
    /// Events that nobody fetched in time.
    pub events_lost: u64,
}

impl KayCounters {
    /// Counts a frame that is no MKPDU.
    const fn count_other(&mut self, error: DecodeError) -> Discard {
        let counter = match error {
            DecodeError::EapolType(EAPOL_ANNOUNCEMENT | EAPOL_ANNOUNCEMENT_SPECIFIC) => {
                &mut self.in_announcements
            }
            DecodeError::EapolType(EAPOL_ANNOUNCEMENT_REQ) => &mut self.in_announcement_requests,
            _ => {
                self.in_invalid_eapol += 1;
                return Discard::Decode(error);
            }
        };
        *counter += 1;
        Discard::Announcement
    }
}

/// The SAK agreed on last, and how it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastSak {
    /// Its name.
    pub ki: Ki,
    /// The CKN of the CAK that it came under.
    pub ckn: Ckn,
    /// When it was made or received.
    pub at: Duration,
    /// Why we made it; `None` if another key server did.
    pub reason: Option<RekeyReason>,
}

/// Whether keys stay in use though the participant that they came from has no session any more, as another is about to
/// replace them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    /// They would if need be.
    Ready,
    /// They do.
    On,
    /// They must not: nonces may be in use twice.
    Barred,
}

/// The key agreement entity of a port. See the [module](self).
pub struct Kay<R> {
    config: KayConfig,
    slots: Slots<R>,
    port: ControlledPort,
    /// When something came in last.
    now: Duration,
    port_enabled: bool,
    outcome: MkaOutcome,
    /// Since when there has been no session.
    pending_since: Duration,
    /// Since when the principal participant has come to nothing.
    in_vain_since: Option<Duration>,
    hold: Hold,

    last_sak: Option<LastSak>,
    /// Its AN.
    last_an: Option<An>,
    /// A SAK whose SSCIs may be in use twice.
    barred: Option<Ki>,
    /// A SAK that an earlier run has transmitted with.
    used_before: Option<Ki>,
    setbacks: Setbacks,
    pns: PnHistory,

    events: VecDeque<KayEvent>,
    counters: KayCounters,
    /// What participants have counted that are no more.
    removed: ParticipantCounters,
    last_source: Option<MacAddress>,
    unknown_ckn: Option<Ckn>,
}

impl<R: Random> Kay<R> {
    /// The KaY of a port that is down, with one participant: the CAK `cak` under the name `ckn`, with the preference 0.
    ///
    /// # Errors
    /// See [`ParticipantError`].
    pub fn new(
        config: KayConfig,
        cak: Cak,
        ckn: Ckn,
        random: R,
        now: Duration,
    ) -> Result<Self, ParticipantError> {
        let mut kay = Self::without_participants(config, now)?;
        match kay.add_participant(now, cak, ckn, 0, random) {
            Ok(()) | Err(AddError::Known | AddError::Full) => Ok(kay),
            Err(AddError::Participant(error)) => Err(error),
        }
    }

    /// The KaY of a port that is down, without a participant: the port stays closed until one is
    /// [added](Self::add_participant).
    ///
    /// # Errors
    /// [`ParticipantError::Config`].
    pub fn without_participants(
        config: KayConfig,
        now: Duration,
    ) -> Result<Self, ParticipantError> {
        config.participant.check().map_err(ParticipantError::Config)?;
        let max_peers = config.participant.max_peers;
        Ok(Self {
            config,
            slots: Slots::new(),
            port: ControlledPort::new(Settings { max_peers, ..config.port }),
            now,
            port_enabled: false,
            outcome: MkaOutcome::Pending,
            pending_since: now,
            in_vain_since: None,
            hold: Hold::Ready,
            last_sak: None,
            last_an: None,
            barred: None,
            used_before: None,
            setbacks: Setbacks::default(),
            pns: PnHistory::default(),
            events: VecDeque::with_capacity(EVENTS + EVENTS_OF_A_PEER * max_peers),
            counters: KayCounters::default(),
            removed: ParticipantCounters::default(),
            last_source: None,
            unknown_ckn: None,
        })
    }

    /// `portEnabled`: whether the link is up. Without it there are no peers and no keys, and the port is closed.
    /// When it comes back, new MIs are taken.
    pub fn set_port_enabled(&mut self, now: Duration, enabled: bool) {
        if enabled != self.port_enabled {
            self.port_enabled = enabled;
            self.pending_since = now;
            for slot in self.slots.iter_mut() {
                slot.participant.set_port_enabled(now, enabled);
            }
        }
        self.settle(now);
    }

    /// Takes a frame from the wire, from its destination address on, without FCS.
    ///
    /// # Errors
    /// Why the frame was passed over; nothing but counters has changed then, and with
    /// [`Discard::OwnMi`] our MI.
    pub fn handle_frame(&mut self, now: Duration, octets: &[u8]) -> Result<(), Discard> {
        if !self.port_enabled {
            return Err(Discard::PortDisabled);
        }
        let ethertype = self.config.participant.framing.ethertype;
        let received = Received::parse(octets, ethertype);
        let received = received.map_err(|error| self.counters.count_other(error))?;
        self.last_source = Some(received.frame().source);
        let Some(slot) = self.slots.get_mut(received.ckn()) else {
            self.counters.in_no_ckn += 1;
            self.unknown_ckn = Some(*received.ckn());
            return Err(Discard::UnknownCkn);
        };
        let result = slot.participant.handle_received(now, received);
        // What a stranger sends is not worth more than its ICV.
        if matches!(result, Ok(()) | Err(Discard::OwnMi)) {
            self.settle(now);
        }
        result
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Duration) {
        for slot in self.slots.iter_mut() {
            slot.participant.handle_timeout(now);
        }
        self.port.handle_timeout(now);
        if let Some(ki) = self.setbacks.take_due(now)
            && let Some(slot) = self.slots.owner_mut(ki).filter(|slot| slot.principal)
        {
            slot.participant.sak_abandoned(now, ki);
        }
        self.settle(now);
    }

    /// Takes the answer of the data plane to an order.
    pub fn order_done(&mut self, now: Duration, id: OrderId, result: Result<(), OrderFailure>) {
        self.port.order_done(now, id, result);
        self.settle(now);
    }

    /// Takes the PNs of all keys of the data plane. To be called every half a second while there are any: a key
    /// server looks there for keys that run out, and peers are told the lowest PN of the last two seconds.
    pub fn report_pns(&mut self, now: Duration, pns: &[KeyPns]) {
        self.pns.report(now, pns);
        self.settle(now);
    }

    /// Asks for a new SAK. `false` if we are not the key server of a session: then it is not ours to make.
    pub fn request_rekey(&mut self, now: Duration) -> bool {
        let Some(slot) = self.slots.principal_mut() else { return false };
        let ours = slot.participant.key_server() == KeyServer::Us
            && slot.participant.agreement() == Agreement::Secured;
        if ours {
            slot.participant.request_rekey(now);
            self.settle(now);
        }
        ours
    }

    /// Changes when SAKs are made without need: from the next one on, nothing else changes.
    pub fn set_rekeying(
        &mut self,
        now: Duration,
        interval: Option<Duration>,
        on_member_loss: bool,
    ) {
        self.config.participant.rekey_interval = interval;
        self.config.participant.rekey_on_member_loss = on_member_loss;
        for slot in self.slots.iter_mut() {
            slot.participant.set_rekeying(interval, on_member_loss);
        }
        self.settle(now);
    }

    /// When to call [`Self::handle_timeout`] and [`Self::poll_transmit`] next, at the latest. `None` if never.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let participants = self.slots.iter().map(|slot| slot.participant.poll_timeout(self.now));
        participants
            .chain(self.slots.iter().map(|slot| slot.leaves_by))
            .chain([self.port.poll_timeout(), self.setbacks.due(), self.failure_due()])
            .flatten()
            .min()
    }

    /// Writes the frame that is due now, if one is, and returns its length. Call until there is none.
    pub fn poll_transmit(
        &mut self,
        now: Duration,
        buffer: &mut [u8; MAX_FRAME_LEN],
    ) -> Option<usize> {
        self.now = self.now.max(now);
        self.slots.iter_mut().find_map(|slot| slot.participant.poll_transmit(now, buffer))
    }

    /// The next order to the data plane.
    pub fn poll_order(&mut self) -> Option<Order> {
        self.port.poll_order()
    }

    /// What has happened, oldest first.
    pub fn poll_event(&mut self) -> Option<KayEvent> {
        self.events.pop_front()
    }

    /// The Controlled Port.
    #[must_use]
    pub const fn port(&self) -> &ControlledPort {
        &self.port
    }

    /// The configuration, with what [`Self::set_rekeying`] has changed of it.
    #[must_use]
    pub const fn config(&self) -> &KayConfig {
        &self.config
    }

    /// Whether the random generator of a participant has failed, and the participant with it.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.slots.iter().any(|slot| slot.participant.has_failed())
    }

    /// How MKA fares.
    #[must_use]
    pub const fn outcome(&self) -> MkaOutcome {
        self.outcome
    }

    /// `portEnabled`.
    #[must_use]
    pub const fn is_port_enabled(&self) -> bool {
        self.port_enabled
    }

    /// The SAK agreed on last, and how it came.
    #[must_use]
    pub const fn last_sak(&self) -> Option<&LastSak> {
        self.last_sak.as_ref()
    }

    /// What has been counted, beside [`Participant::counters`](crate::Participant::counters).
    #[must_use]
    pub const fn counters(&self) -> &KayCounters {
        &self.counters
    }

    /// Who sent the last frame that had the form of an MKPDU, as it says of itself.
    #[must_use]
    pub const fn last_source(&self) -> Option<MacAddress> {
        self.last_source
    }

    /// The last CKN heard that is none of ours.
    #[must_use]
    pub const fn unknown_ckn(&self) -> Option<&Ckn> {
        self.unknown_ckn.as_ref()
    }
}

/// Shows no key.
impl<R: Random> fmt::Debug for Kay<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kay")
            .field("principal", &self.principal())
            .field("outcome", &self.outcome)
            .field("state", &self.port.state())
            .field("port", &self.port.port())
            .field("port_enabled", &self.port_enabled)
            .finish_non_exhaustive()
    }
}

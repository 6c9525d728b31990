//! The Controlled Port: its state machine (802.1X clause 12.4, figure 12-2).
//!
//! [`ControlledPort`] brings SAKs into use and takes them out again, opens the port and closes it. It has no
//! clock and does no I/O. Time, a duration since any moment, comes in with every call and never goes back; orders to
//! the data plane and events come out. After each call take all that [`ControlledPort::poll_order`] and
//! [`ControlledPort::poll_event`] have, and ask [`ControlledPort::poll_timeout`] when to call
//! [`ControlledPort::handle_timeout`].
//!
//! # The machine
//!
//! [`CpState::next`] is a total function of the state and of [`Conditions`]. The first line that holds wins,
//! and the machine goes on until none does.
//!
//! | state | what is done on entry | exits |
//! |---|---|---|
//! | any | | port disabled → INIT; an order about the port failed → CHANGE |
//! | INIT | close, delete all keys, the waiting one too | → CHANGE |
//! | CHANGE | close, delete the keys | once closed, by `connect`: → ALLOWED, AUTHENTICATED, SECURED; stays if pending |
//! | ALLOWED, AUTHENTICATED | send in clear, check only, open | `connect` differs → CHANGE |
//! | SECURED | protect and validate as configured | `connect` differs → CHANGE; new SAK → RECEIVE |
//! | RECEIVE | install the new SAK: receive SAs enabled, transmit SA not | changed, failed → ABANDON; done → RECEIVING; new SAK → ABANDON |
//! | RECEIVING | tell the peers that we receive | changed → ABANDON; not key server → READY; all receive → TRANSMIT; new SAK → ABANDON |
//! | READY | | changed → ABANDON; key server transmits, or all receive and we have become it → TRANSMIT; new SAK → ABANDON |
//! | TRANSMIT | enable transmission | changed, failed → ABANDON; done → TRANSMITTING |
//! | TRANSMITTING | open, if it is not; the old key stays for 3 s | changed, time over → RETIRE |
//! | RETIRE | delete the old key; the new one is the one in use | changed → CHANGE; new SAK → RECEIVE |
//! | ABANDON | delete the new key; transmit with the old one still | changed → CHANGE; new SAK → RECEIVE |
//!
//! From RECEIVING and READY it goes to TRANSMIT also if the port is not open, as there is nothing to lose; from
//! RECEIVING after 6 s whoever receives. With XPN only if all SSCIs are known.
//!
//! A key server that is new to its CA has something to lose though its own port is closed: the peers transmit with
//! another key, and follow it to the new one whether all of them have that or not. It waits until all do.
//!
//! # Where it is not the figure
//!
//! - **A change of key server, suite or offset deletes no key.** It is a rollover to a new SAK. Only if that does
//!   not come in time ([`Timers::replace`]) does it count as changed.
//! - **A rollover that can be completed is completed** before the next begins: transmission comes before
//!   `newSAK` in RECEIVING and READY. The key server transmits with the key that READY waits for; to
//!   abandon it would lose frames. Who becomes key server in READY completes it too: the one before may
//!   transmit with the key already. So a key server makes no SAK while its own machine is between RECEIVE and
//!   TRANSMITTING, unless that lasts for a Life Time, or the SAK cannot get to all who should have it.
//! - **States wait for answers**, and each such wait ends: a failure, or no answer in [`Timers::order`], leads
//!   on, with an event. RECEIVE and TRANSMIT have exits for that, CHANGE tries again after [`Timers::retry`].
//! - **The port opens after transmission has been enabled**, not with it, so a failure opens nothing.
//! - **ABANDON has transmission go back** to the key before, if it had been ordered to go over.
//!   If that was for a change, it leads to CHANGE, not to RETIRE: that would delete the key in use of a port that
//!   is open still.
//! - **RECEIVE deletes the key in use if the new SAK has its AN**, with the port closed: a key server that has
//!   restarted knows of no AN. There is nobody left who receives with that key.
//! - INIT deletes keys before it forgets them.
//! - What the data plane fails to delete is deleted again after [`Timers::order`]: its AN would be lost otherwise.
//! - The key in use is the old key in the machine, as in the figure, but reported as the latest unless
//!   [`Settings::report`] says otherwise.

mod deletions;
mod keys;
mod machine;
mod orders;
mod state;
mod timer;

pub use keys::{KeyStatus, MAX_PEERS, NewSak, PeerSa, SakKnown};
pub use machine::ControlledPort;
pub use state::{Answer, Conditions, CpState};

use core::time::Duration;

use macsec::Ki;

use crate::{
    ParticipantConfig,
    logon::Connect,
    order::{Controls, OrderFailure, OrderId},
};

/// How a port is to be run. Starts from the standard's defaults.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The controls of the port while it is secured.
    pub secured: Controls,
    /// How long things take.
    pub timers: Timers,
    /// Where a single key is reported.
    pub report: SingleKey,
    /// The greatest number of live peers, up to [`ParticipantConfig::MAX_PEERS`], and of potential ones. There is
    /// room for so many; a [`Kay`](crate::Kay) takes that of its participants.
    pub max_peers: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            secured: Controls::STRICT,
            timers: Timers::default(),
            report: SingleKey::default(),
            max_peers: ParticipantConfig::MAX_PEERS,
        }
    }
}

/// How long things take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// `transmitDelay`: after this a key server transmits whoever receives (802.1X clause 12.4; MKA Life
    /// Time, 6 s).
    pub transmit: Duration,
    /// `retireDelay`: how long the old key stays when the new one is in use (SAK Retire Time, 3 s).
    pub retire: Duration,
    /// How long the keys stay in use after [`ControlledPort::server_changed`] with nothing to replace
    /// them. A new key server may have to wait for a Life Time before it makes a SAK, and its
    /// message takes up to a Hello Time to come: 8 s.
    pub replace: Duration,
    /// When an order without an answer counts as failed, and when a deletion that failed is repeated: 6 s.
    pub order: Duration,
    /// How long to wait after an order about the port has failed: 1 s.
    pub retry: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            transmit: Duration::from_secs(6),
            retire: Duration::from_secs(3),
            replace: Duration::from_secs(8),
            order: Duration::from_secs(6),
            retry: Duration::from_secs(1),
        }
    }
}

/// Where a SAK Use speaks of the key when there is but one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SingleKey {
    /// As the latest key. hostap recognises that its key server transmits by the latest key only; so it
    /// cannot miss it.
    #[default]
    Latest,
    /// As the old key, as figure 12-2 has it.
    Old,
}

/// What the machine is told by others. All of it is level, not edge: how things are, each time anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inputs {
    /// `portEnabled`: the link is up.
    pub port_enabled: bool,
    /// `connect`, from the Logon Process.
    pub connect: Connect,
    /// `electedSelf`: we are the key server.
    pub elected_self: bool,
    /// Some live peer transmits with another key than [`ControlledPort::latest`], and would follow us if we transmitted with
    /// that: we are the key server, or have made it as such. Also if the CAK that it came from has gone.
    pub peers_transmit: bool,
    /// What the peers say of [`ControlledPort::latest`].
    pub latest: Option<PeerReport>,
}

/// What the peers say of a key in the last SAK Use of each, be it in the place of the latest or of the old key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerReport {
    /// The key. A report about another than the latest key counts for nothing.
    pub ki: Ki,
    /// Every live peer receives with it.
    pub all_receiving: bool,
    /// The key server transmits with it, or who made it does.
    pub server_transmitting: bool,
    /// The SSCI of every member is known, and the list of members is the one that the key came with first.
    /// Without meaning for suites without XPN.
    pub ssci_map_known: bool,
}

/// What has happened, for the KaY and for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CpEvent {
    /// `newInfo`: what a SAK Use says has changed; send an MKPDU.
    NewInfo,
    /// Transmission has gone over to this key.
    Transmitting(Ki),
    /// The SAs of this key are deleted; it had been in use. If no other is in use now, the port is closed, and a
    /// key server makes a new SAK; another member takes a new MI to get one.
    Retired(Ki),
    /// The SAs of this key are deleted, or have never been made; it had not been in use.
    Abandoned(Ki),
    /// A peer that became known after this key could not be given its SA: it is not heard with this key, which stays in
    /// use. As with [`Self::Abandoned`] another SAK helps.
    Incomplete(Ki),
    /// The port has been ordered open or closed.
    Port(PortStatus),
    /// The data plane has not done what it was asked to. If it concerns a key that was to be brought into
    /// use, [`Self::Abandoned`] follows: a key server makes another SAK then, another member takes a
    /// new MI to get one.
    OrderFailed {
        /// The order.
        id: OrderId,
        /// The key that was to be brought into use, if it was about that.
        ki: Option<Ki>,
        /// Why.
        failure: OrderFailure,
    },
}

/// Whether frames pass (`controlledPortEnabled` and `portValid`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PortStatus {
    /// None do.
    #[default]
    Closed,
    /// In clear.
    Unprotected,
    /// Under MACsec.
    Secured,
}

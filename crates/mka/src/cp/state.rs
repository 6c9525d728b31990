//! The states of the CP machine, and what leads from one to the next.

use core::fmt;

use crate::logon::Connect;

/// A state of the CP machine (802.1X figure 12-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CpState {
    /// The port is down.
    Init,
    /// Closed, without keys, until it is known what the port is to be.
    Change,
    /// Open in clear, to anybody.
    Allowed,
    /// Open in clear, to an authenticated peer.
    Authenticated,
    /// To be secured; waits for the first SAK.
    Secured,
    /// A SAK is being installed, to receive with.
    Receive,
    /// Receives with it too. A key server waits until all do so.
    Receiving,
    /// All others wait for the key server to transmit with it.
    Ready,
    /// Transmission with it is being enabled.
    Transmit,
    /// Transmits with it. The key before stays for what is on its way still.
    Transmitting,
    /// One key in use, until there is another.
    Retire,
    /// The new key has been given up. The key before it, if there is one, stays in use.
    Abandon,
}

impl CpState {
    /// All twelve.
    pub const ALL: [Self; 12] = [
        Self::Init,
        Self::Change,
        Self::Allowed,
        Self::Authenticated,
        Self::Secured,
        Self::Receive,
        Self::Receiving,
        Self::Ready,
        Self::Transmit,
        Self::Transmitting,
        Self::Retire,
        Self::Abandon,
    ];

    /// The state to go to from here, or `None` to stay. The first line that holds wins.
    ///
    /// It may be the same state ([`Self::Change`] after a failure), which is then entered anew.
    #[must_use]
    pub fn next(self, is: &Conditions) -> Option<Self> {
        if !is.port_enabled {
            return (self != Self::Init).then_some(Self::Init);
        }
        // A data plane that cannot do as the port is told has the port closed.
        if is.port_orders == Answer::Failed && !matches!(self, Self::Init | Self::Change) {
            return Some(Self::Change);
        }
        let first = |exits: &[(bool, Self)]| {
            exits.iter().find(|(holds, _)| *holds).map(|&(_, state)| state)
        };
        let (connect, changed) = (is.connect, is.changed_connect());
        match self {
            Self::Init => Some(Self::Change),
            Self::Change => match (is.port_orders, connect) {
                (Answer::Outstanding, _) => None,
                _ if is.holding_off => None,
                (Answer::Failed, _) => Some(Self::Change),
                (Answer::Done, Connect::Pending) => None,
                (Answer::Done, Connect::Unauthenticated) => Some(Self::Allowed),
                (Answer::Done, Connect::Authenticated) => Some(Self::Authenticated),
                (Answer::Done, Connect::Secure) => Some(Self::Secured),
            },
            Self::Allowed => first(&[(connect != Connect::Unauthenticated, Self::Change)]),
            Self::Authenticated => first(&[(connect != Connect::Authenticated, Self::Change)]),
            Self::Secured => first(&[
                (connect != Connect::Secure, Self::Change),
                (is.new_sak && is.port_orders == Answer::Done, Self::Receive),
            ]),
            Self::Receive => first(&[
                (changed || is.key_orders == Answer::Failed, Self::Abandon),
                (is.key_orders == Answer::Done, Self::Receiving),
                (is.new_sak, Self::Abandon),
            ]),
            Self::Receiving => first(&[
                (changed, Self::Abandon),
                (!is.elected_self, Self::Ready),
                (is.may_transmit(is.all_receiving || is.transmit_when_zero), Self::Transmit),
                (is.new_sak, Self::Abandon),
            ]),
            Self::Ready => first(&[
                (changed, Self::Abandon),
                (
                    is.may_transmit(
                        is.server_transmitting || (is.elected_self && is.all_receiving),
                    ),
                    Self::Transmit,
                ),
                (is.new_sak, Self::Abandon),
            ]),
            Self::Transmit => first(&[
                (changed || is.key_orders == Answer::Failed, Self::Abandon),
                (is.key_orders == Answer::Done, Self::Transmitting),
            ]),
            Self::Transmitting => first(&[(changed || is.retire_when_zero, Self::Retire)]),
            Self::Retire | Self::Abandon => {
                first(&[(changed, Self::Change), (is.new_sak, Self::Receive)])
            }
        }
    }
}

impl fmt::Display for CpState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Init => "INIT",
            Self::Change => "CHANGE",
            Self::Allowed => "ALLOWED",
            Self::Authenticated => "AUTHENTICATED",
            Self::Secured => "SECURED",
            Self::Receive => "RECEIVE",
            Self::Receiving => "RECEIVING",
            Self::Ready => "READY",
            Self::Transmit => "TRANSMIT",
            Self::Transmitting => "TRANSMITTING",
            Self::Retire => "RETIRE",
            Self::Abandon => "ABANDON",
        })
    }
}

/// How far the data plane has got with the orders that a state waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Some have not been answered.
    Outstanding,
    /// All have been carried out.
    Done,
    /// One of them has failed.
    Failed,
}

impl Answer {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Outstanding, Self::Done, Self::Failed];
}

/// Everything that decides about the next state (802.1X clauses 12.3 and 12.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conditions {
    /// `portEnabled`: the link is up.
    pub port_enabled: bool,
    /// `connect`.
    pub connect: Connect,
    /// `newSAK`: a SAK waits to be installed.
    pub new_sak: bool,
    /// `electedSelf`: we are the key server.
    pub elected_self: bool,
    /// `allReceiving`: all live peers receive with the latest key.
    pub all_receiving: bool,
    /// `serverTransmitting`: the key server transmits with the latest key.
    pub server_transmitting: bool,
    /// The SSCI of every member is known for the latest key; always so without XPN.
    pub ssci_map_known: bool,
    /// `controlledPortEnabled`; for a key server, or who made the latest key as such, that of any peer as well.
    pub controlled_port_enabled: bool,
    /// `transmitWhen` has run out.
    pub transmit_when_zero: bool,
    /// `retireWhen` has run out.
    pub retire_when_zero: bool,
    /// The key in use was to be replaced, and in all the time allowed has not been.
    pub replacement_overdue: bool,
    /// The orders about the latest key: `usingReceiveSAs` and `usingTransmitSA`.
    pub key_orders: Answer,
    /// The orders about the port itself.
    pub port_orders: Answer,
    /// An order about the port has failed of late: not to be tried again yet.
    pub holding_off: bool,
}

impl Conditions {
    /// The figure's `changedConnect`, without what is no reason to lose keys: a change of key server, of
    /// cipher suite or of offset is a new SAK, and it counts only if that does not come in time.
    fn changed_connect(&self) -> bool {
        self.connect != Connect::Secure || self.replacement_overdue
    }

    /// Whether to transmit with the latest key: because others are `ready`, or because there is no key that
    /// one could go on with; but never where our SSCI may be that of another member as well.
    fn may_transmit(&self, ready: bool) -> bool {
        self.ssci_map_known && (ready || !self.controlled_port_enabled)
    }
}

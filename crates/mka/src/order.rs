//! What the KaY asks of a data plane: orders with a name each, to be answered (802.1X clause 10.7, the LMI
//! to the SecY).
//!
//! Any data plane can carry them out: our SecY, a kernel's, a PHY. The rules are few:
//!
//! - Orders are carried out **in the order in which they are given**.
//! - Each is answered once, with its [`OrderId`]. An answer may come late, or in another order.
//! - Each is **idempotent**: what is there already is not made again, and what is not there is deleted.
//! - What cannot be done is answered by an [`OrderFailure`], with nothing changed. It is never dropped.
//! - Before the first order there are no keys, and the Controlled Port is closed: a KaY whose port is down orders nothing.

use core::fmt;

use macsec::{An, DataKey, Ki, ReceiveSa, Sci, TransmitSa, ValidateFrames};

/// The name of an order, for its answer. No two orders of a KaY have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrderId(pub(crate) u64);

/// One order. It is no [`Clone`], as it may carry a key.
#[derive(Debug)]
#[must_use = "an order that nobody carries out stops the port"]
pub struct Order {
    /// To be handed back with the answer.
    pub id: OrderId,
    /// What to do.
    pub action: Action,
}

/// What a data plane is to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum Action {
    /// Set `protectFrames`, `validateFrames`, `replayProtect` (802.1AE clause 10.7).
    SetControls(Controls),
    /// Open or close the Controlled Port (`controlledPortEnabled`, 802.1X clause 12.4).
    SetControlledPort {
        /// Frames pass.
        enabled: bool,
    },
    /// Take a key, with its suite and salt, for the SAs to come.
    InstallKey(DataKey),
    /// Make the receive SC of a peer (802.1AE clause 10.7.11).
    CreateReceiveSc {
        /// The peer.
        sci: Sci,
    },
    /// Make a receive SA and enable it (802.1AE clauses 10.7.13 and 10.7.15).
    InstallReceiveSa {
        /// The peer.
        sci: Sci,
        /// The whole SA.
        sa: ReceiveSa,
    },
    /// Take no frame of a peer below this PN any more, whatever the replay window lets in: it has been held
    /// up on its way for longer than the peer allows (802.1X clause 9.10; 802.1AE clause 10.7.14,
    /// lowestPN). The PN only ever grows. An SA that is gone by now, or whose AN is another key's, needs none.
    /// Nothing waits for the answer.
    RaiseLowestPn {
        /// The peer.
        sci: Sci,
        /// The AN of the SA.
        an: An,
        /// Its key.
        ki: Ki,
        /// The lowest PN to accept: all 64 bits of it with an XPN suite.
        lowest_pn: u64,
    },
    /// Make a transmit SA, but do not transmit with it yet (802.1AE clause 10.7.21).
    InstallTransmitSa(TransmitSa),
    /// From now on transmit with this SA, and with no other (802.1AE clause 10.7.23). The SA that was
    /// in use stays installed.
    ///
    /// Before that, who keeps a journal of KIs records this one durably; a KI that an earlier run
    /// recorded is refused with [`OrderFailure::KeyUsedBefore`].
    EnableTransmit {
        /// The AN of the SA.
        an: An,
        /// Its key.
        ki: Ki,
    },
    /// Delete the transmit SA, if the AN is still that of this key.
    DeleteTransmitSa {
        /// The AN of the SA.
        an: An,
        /// Its key.
        ki: Ki,
    },
    /// Delete a receive SA, if the AN is still that of this key.
    DeleteReceiveSa {
        /// The peer.
        sci: Sci,
        /// The AN of the SA.
        an: An,
        /// Its key.
        ki: Ki,
    },
    /// Delete the receive SC of a peer. Its SAs have been deleted before.
    DeleteReceiveSc {
        /// The peer.
        sci: Sci,
    },
    /// Forget a key and erase it. Its SAs have been deleted before.
    RemoveKey(Ki),
}

/// The controls that differ between an open and a secured port (802.1X figure 12-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Controls {
    /// `protectFrames`.
    pub protect_frames: bool,
    /// `validateFrames`.
    pub validate_frames: ValidateFrames,
    /// `replayProtect`.
    pub replay_protect: bool,
    /// `replayWindow`, in packets.
    pub replay_window: u32,
}

impl Controls {
    /// Those of a port that is open without MACsec: send in clear, take what comes.
    pub const UNPROTECTED: Self = Self {
        protect_frames: false,
        validate_frames: ValidateFrames::Check,
        replay_protect: false,
        replay_window: 0,
    };
    /// Those of a secured port unless configured otherwise: protect everything, deliver valid frames only,
    /// in strict order.
    pub const STRICT: Self = Self {
        protect_frames: true,
        validate_frames: ValidateFrames::Strict,
        replay_protect: true,
        replay_window: 0,
    };
}

/// Why a data plane has not carried out an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OrderFailure {
    /// It cannot do this at all: a cipher suite, an offset or an AN that it does not have.
    Unsupported,
    /// No room for another SC, SA or key.
    NoRoom,
    /// What the order asks would break a rule of the data plane: the AN is taken, packet numbers would
    /// come twice.
    Refused,
    /// An earlier run has transmitted with this key already.
    KeyUsedBefore,
    /// The device failed, or did not answer in time.
    Device,
}

impl fmt::Display for OrderFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unsupported => "the data plane cannot do this",
            Self::NoRoom => "the data plane has no room for another SC, SA or key",
            Self::Refused => "the data plane refuses: AN taken, or packet numbers would come twice",
            Self::KeyUsedBefore => "an earlier run has transmitted with this key",
            Self::Device => "the data plane failed or did not answer",
        })
    }
}

impl core::error::Error for OrderFailure {}

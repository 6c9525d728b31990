//! What a participant has to tell: events, refusals, counters.

use alloc::collections::VecDeque;
use core::{fmt, time::Duration};

use macsec::{Ki, Sci};

use super::{election::KeyServer, sak_rules::RekeyReason, suspension::ResumeReason};
use crate::{DecodeError, Mi};

/// Something that happened to a participant, for logs and for its KaY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Somebody has been heard who may become a live peer.
    PeerPotential {
        /// Its MI.
        mi: Mi,
        /// Its SCI.
        sci: Sci,
    },
    /// A peer has shown that it hears us.
    PeerLive {
        /// Its MI.
        mi: Mi,
        /// Its SCI.
        sci: Sci,
    },
    /// A live peer has taken the place of another with the same SCI: it has restarted, or two systems
    /// have one address.
    PeerReplaced {
        /// Who is gone.
        old: Mi,
        /// Who is live.
        new: Mi,
    },
    /// A live peer has not shown for a Life Time that it hears us.
    PeerLost {
        /// Its MI.
        mi: Mi,
        /// Its SCI.
        sci: Sci,
    },
    /// A live peer has sent ten MKPDUs in a row without a SAK Use, though keys are in use.
    NoSakUse {
        /// Its MI.
        mi: Mi,
        /// Its SCI.
        sci: Sci,
    },
    /// The key server has announced that it will be silent, for this long at the most if it says no more: no
    /// live peer is missed meanwhile.
    Suspended(Duration),
    /// Live peers have to be heard again, within a Life Time.
    Resumed(ResumeReason),
    /// The last live peer has gone: there is no session.
    Alone,
    /// Another key server has been elected (`chgdServer`).
    KeyServer(KeyServer),
    /// We have taken a new MI.
    NewMi(MiReason),
    /// As key server we have made a SAK.
    SakGenerated(Ki, RekeyReason),
    /// The key server has sent us a SAK.
    SakReceived(Ki),
    /// The key server has sent us what we do not take. It may do so again and again.
    SakRefused(SakRefusal),
    /// The key server distributes a group CAK, or another than before:
    /// [`Participant::offered_cak`](crate::Participant::offered_cak) has its name. Nothing is done with it.
    CakOffered {
        /// The MI of the key server.
        mi: Mi,
        /// Its SCI.
        sci: Sci,
    },
    /// The key server, we or another, has decided against MACsec.
    PlainText,
    /// The random generator has failed, and with it the participant: it does nothing any more.
    Failed,
}

/// Why a new MI was taken (802.1X clause 9.4.2 and what experience adds).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MiReason {
    /// Message or key numbers were about to run out.
    Exhausted,
    /// Another member has our MI.
    Collision,
    /// A peer knows messages of our MI that we have not sent: another instance of us did.
    Cloned,
    /// We have lost the key server, which may not have lost us and would not send its SAK again.
    KeyServerLost,
    /// The key server uses a SAK that we do not have, and thinks we do.
    UnknownSak,
    /// The SAK distributed is one of before, and its PNs cannot be told.
    SakReused,
    /// The key server has listed other members for the SAK than at first. With XPN one of them may have our SSCI: if we
    /// transmitted with the SAK already, it has been dropped.
    MembersChanged,
    /// The data plane has given up the SAK, and the key server would not send another.
    SakAbandoned,
    /// The port has been enabled.
    PortEnabled,
}

/// Why a Distributed SAK is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SakRefusal {
    /// The sender is not the key server that we have elected, or does not list us as live.
    NotKeyServer,
    /// We want MACsec, and are told to do without.
    PlainText,
    /// The suite is unknown, or not configured.
    CipherSuite,
    /// The offset is beyond us or the suite, or confidentiality is given up.
    Confidentiality,
    /// There was a SAK of that name before.
    Reused,
    /// The members are too many, or one is listed twice.
    Members,
    /// It does not unwrap.
    Unwrap,
}

/// Why a received frame changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Discard {
    /// It is an EAPOL-Announcement, or asks for one. Only announcements in MKPDUs are looked at.
    Announcement,
    /// It is no MKPDU, or not of somebody who has the CAK.
    Decode(DecodeError),
    /// It is under another CKN.
    UnknownCkn,
    /// It bears our SCI: it was reflected or replayed, or another system has our address.
    OwnSci,
    /// It bears our MI, or lists messages of ours that we have not sent. We have taken a new MI.
    OwnMi,
    /// Its message number is not above that of the last, or its sender has been replaced.
    MessageNumber,
    /// It bears the MI of a peer with another SCI.
    PeerSci,
    /// There is no room for another peer.
    PeerLimit,
    /// The participant has failed.
    Failed,
    /// The port is disabled.
    PortDisabled,
}

impl fmt::Display for Discard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Announcement => f.write_str("EAPOL type: an announcement outside of MKA"),
            Self::Decode(error) => error.fmt(f),
            Self::UnknownCkn => f.write_str("CKN: not that of this participant"),
            Self::OwnSci => f.write_str("SCI: our own"),
            Self::OwnMi => f.write_str("MI: our own, from elsewhere"),
            Self::MessageNumber => f.write_str("MN: must be above that of the last message"),
            Self::PeerSci => f.write_str("SCI: not that of the peer with this MI"),
            Self::PeerLimit => f.write_str("peers: no room for another"),
            Self::Failed => f.write_str("participant: failed, as its random generator did"),
            Self::PortDisabled => f.write_str("port: disabled"),
        }
    }
}

impl core::error::Error for Discard {}

/// What a participant has counted since its construction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParticipantCounters {
    /// MKPDUs received and acted on.
    pub in_mkpdu: u64,
    /// Those of them with a Distributed SAK.
    pub in_sak_mkpdu: u64,
    /// Those of them with a Distributed CAK, whoever sent it. Nothing is done with it.
    pub in_cak_mkpdu: u64,
    /// MKPDUs sent.
    pub out_mkpdu: u64,
    /// Those of them with a Distributed SAK.
    pub out_sak_mkpdu: u64,
    /// MKPDUs whose ICV was wrong: another CAK under the same CKN, or changed frames.
    pub in_icv_errors: u64,
    /// MKPDUs whose form was wrong.
    pub in_invalid: u64,
    /// MKPDUs with a message number that was not above the last.
    pub in_bad_message_number: u64,
    /// MKPDUs with our own SCI or MI.
    pub in_own: u64,
    /// MKPDUs of peers that there was no room for, or with the MI of another.
    pub peer_list_errors: u64,
    /// SAKs distributed to us with a suite or offset that we do not use.
    pub sak_cipher_mismatch: u64,
    /// SAKs distributed to us that did not unwrap.
    pub sak_unwrap_errors: u64,
    /// Announcements and KMDs in MKPDUs that were malformed or no UTF-8. The rest of the MKPDU was taken.
    pub in_bad_announcements: u64,
    /// MKPDUs that could not be sent.
    pub out_errors: u64,
    /// Events that nobody fetched in time.
    pub events_lost: u64,
}

impl ParticipantCounters {
    /// Adds what another participant has counted.
    pub(crate) const fn add(&mut self, other: &Self) {
        let Self {
            in_mkpdu,
            in_sak_mkpdu,
            in_cak_mkpdu,
            out_mkpdu,
            out_sak_mkpdu,
            in_icv_errors,
            in_invalid,
            in_bad_message_number,
            in_own,
            peer_list_errors,
            sak_cipher_mismatch,
            sak_unwrap_errors,
            in_bad_announcements,
            out_errors,
            events_lost,
        } = *other;
        self.in_mkpdu += in_mkpdu;
        self.in_sak_mkpdu += in_sak_mkpdu;
        self.in_cak_mkpdu += in_cak_mkpdu;
        self.out_mkpdu += out_mkpdu;
        self.out_sak_mkpdu += out_sak_mkpdu;
        self.in_icv_errors += in_icv_errors;
        self.in_invalid += in_invalid;
        self.in_bad_message_number += in_bad_message_number;
        self.in_own += in_own;
        self.peer_list_errors += peer_list_errors;
        self.sak_cipher_mismatch += sak_cipher_mismatch;
        self.sak_unwrap_errors += sak_unwrap_errors;
        self.in_bad_announcements += in_bad_announcements;
        self.out_errors += out_errors;
        self.events_lost += events_lost;
    }
}

/// Events that wait to be fetched. Bounded: the oldest make room.
pub(crate) struct Events {
    queue: VecDeque<Event>,
    limit: usize,
}

impl Events {
    pub(crate) fn new(limit: usize) -> Self {
        Self { queue: VecDeque::with_capacity(limit), limit }
    }

    pub(crate) fn push(&mut self, event: Event, counters: &mut ParticipantCounters) {
        if self.queue.len() == self.limit {
            self.queue.pop_front();
            counters.events_lost += 1;
        }
        self.queue.push_back(event);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn pop(&mut self) -> Option<Event> {
        self.queue.pop_front()
    }
}

//! The counters of 802.1AE-2018, in their scopes, and our own beside them.
//!
//! All are `u64`, only ever grow, and belong to a SecY or an SC, never to an SA: replacing SAs does
//! not touch them. The field names are the standard's in snake case.

use crate::{MissingSa, ProtectError, ReceiveOutcome};

/// Frame verification counters of a SecY (802.1AE clause 10.7.9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerificationCounters {
    /// InPktsUntagged: frames without a SecTAG, delivered because not Strict.
    pub in_pkts_untagged: u64,
    /// InPktsNoTag: frames without a SecTAG, discarded because Strict.
    pub in_pkts_no_tag: u64,
    /// InPktsBadTag: frames whose SecTAG breaks a rule, discarded.
    pub in_pkts_bad_tag: u64,
    /// InPktsNoSA: unencrypted frames for which no SA is in use, delivered because not Strict.
    pub in_pkts_no_sa: u64,
    /// InPktsNoSAError: frames for which no SA is in use, discarded.
    pub in_pkts_no_sa_error: u64,
    /// InPktsOverrun: frames discarded because there was no capacity to validate them.
    pub in_pkts_overrun: u64,
    /// InOctetsValidated: User Data octets of valid frames that were not encrypted.
    pub in_octets_validated: u64,
    /// InOctetsDecrypted: User Data octets of valid frames that were encrypted. With a confidentiality
    /// offset all octets count here (design decision).
    pub in_octets_decrypted: u64,
}

/// Frame generation counters of a SecY (802.1AE clause 10.7.18).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GenerationCounters {
    /// OutPktsUntagged: frames sent in clear because `protectFrames` is false.
    pub out_pkts_untagged: u64,
    /// OutPktsTooLong: frames discarded because protection would make them longer than the Common Port takes.
    pub out_pkts_too_long: u64,
    /// OutOctetsProtected: User Data octets of frames protected without encryption.
    pub out_octets_protected: u64,
    /// OutOctetsEncrypted: User Data octets of encrypted frames.
    pub out_octets_encrypted: u64,
}

/// Counters of a receive SC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceiveScCounters {
    /// InPktsOK: valid frames, in the window, delivered.
    pub in_pkts_ok: u64,
    /// InPktsUnchecked: frames delivered without validation (Disabled).
    pub in_pkts_unchecked: u64,
    /// InPktsDelayed: frames below lowestPN, delivered because `replayProtect` is off.
    pub in_pkts_delayed: u64,
    /// InPktsLate: frames below lowestPN, discarded.
    pub in_pkts_late: u64,
    /// InPktsInvalid: frames with a wrong ICV, delivered (Check, unencrypted).
    pub in_pkts_invalid: u64,
    /// InPktsNotValid: frames with a wrong ICV, discarded.
    pub in_pkts_not_valid: u64,
    /// Local, not the standard's: frames whose PN was seen before, discarded (`detect_duplicates`).
    pub in_duplicate: u64,
}

impl ReceiveScCounters {
    /// Adds the counts of another SC.
    pub(crate) fn add(&mut self, other: &Self) {
        self.in_pkts_ok += other.in_pkts_ok;
        self.in_pkts_unchecked += other.in_pkts_unchecked;
        self.in_pkts_delayed += other.in_pkts_delayed;
        self.in_pkts_late += other.in_pkts_late;
        self.in_pkts_invalid += other.in_pkts_invalid;
        self.in_pkts_not_valid += other.in_pkts_not_valid;
        self.in_duplicate += other.in_duplicate;
    }
}

/// Counters of the transmit SC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransmitScCounters {
    /// OutPktsProtected: frames sent with integrity only.
    pub out_pkts_protected: u64,
    /// OutPktsEncrypted: frames sent encrypted.
    pub out_pkts_encrypted: u64,
}

/// Counters that the standard does not have, so that every frame is accounted for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LocalCounters {
    /// Received frames too short to be Ethernet frames (below 14 octets), discarded.
    pub in_runt: u64,
    /// Received frames with `E` set and `C` clear, discarded: they are not for the Controlled Port.
    pub in_reserved_tci: u64,
    /// Of InPktsNoSA: those of an unknown SCI. The rest found their SC but no SA in use.
    pub in_unknown_sci: u64,
    /// Of InPktsNoSAError: those of an unknown SCI. The rest found their SC but no SA in use.
    pub in_no_sci: u64,
    /// Frames not sent because no transmit SA is in use.
    pub out_no_transmit_sa: u64,
    /// Frames not sent because the transmit SA has used up its PNs.
    pub out_pn_exhausted: u64,
    /// Frames not sent because the next PN of the transmit SA is not released yet.
    pub out_pn_withheld: u64,
    /// Frames not sent because `useES` is set and their source address is not that of the SCI.
    pub out_source_not_sci: u64,
    /// Frames not sent for a fault of the caller: too short, no room around them, or sealed with
    /// the reservation of another SA.
    pub out_caller_error: u64,
}

/// All the counters of a SecY at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Frame verification.
    pub verification: VerificationCounters,
    /// Frame generation.
    pub generation: GenerationCounters,
    /// The transmit SC.
    pub transmit_sc: TransmitScCounters,
    /// The sum over all receive SCs that are or ever were.
    pub receive_scs: ReceiveScCounters,
    /// Our own.
    pub local: LocalCounters,
}

impl Counters {
    /// Counts a frame that has been sealed.
    pub(crate) const fn count_sealed(&mut self, user_data_octets: u64, encrypted: bool) {
        if encrypted {
            self.transmit_sc.out_pkts_encrypted += 1;
            self.generation.out_octets_encrypted += user_data_octets;
        } else {
            self.transmit_sc.out_pkts_protected += 1;
            self.generation.out_octets_protected += user_data_octets;
        }
    }

    /// Counts a frame that was not sent.
    pub(crate) const fn count_refused(&mut self, error: ProtectError) {
        let counter = match error {
            ProtectError::TooLong => &mut self.generation.out_pkts_too_long,
            ProtectError::NoTransmitSa => &mut self.local.out_no_transmit_sa,
            ProtectError::PnExhausted => &mut self.local.out_pn_exhausted,
            ProtectError::PnWithheld => &mut self.local.out_pn_withheld,
            ProtectError::SourceNotSci => &mut self.local.out_source_not_sci,
            ProtectError::Runt
            | ProtectError::NoHeadroom
            | ProtectError::NoTailroom
            | ProtectError::ForeignPn => &mut self.local.out_caller_error,
        };
        *counter += 1;
    }

    /// Counts a received frame whose outcome is not an SC's business.
    pub(crate) fn count_without_sc(&mut self, outcome: ReceiveOutcome) {
        let verification = &mut self.verification;
        let local = &mut self.local;
        match outcome {
            ReceiveOutcome::Untagged => verification.in_pkts_untagged += 1,
            ReceiveOutcome::NoTag => verification.in_pkts_no_tag += 1,
            ReceiveOutcome::BadTag(_) => verification.in_pkts_bad_tag += 1,
            ReceiveOutcome::NoSa(missing) => {
                verification.in_pkts_no_sa += 1;
                local.in_unknown_sci += u64::from(missing == MissingSa::UnknownSci);
            }
            ReceiveOutcome::NoSaError(missing) => {
                verification.in_pkts_no_sa_error += 1;
                local.in_no_sci += u64::from(missing == MissingSa::UnknownSci);
            }
            ReceiveOutcome::Overrun => verification.in_pkts_overrun += 1,
            ReceiveOutcome::ReservedTci => local.in_reserved_tci += 1,
            ReceiveOutcome::Runt => local.in_runt += 1,
            // Null counts nowhere; the others are counted with their SC.
            ReceiveOutcome::Null
            | ReceiveOutcome::Unchecked
            | ReceiveOutcome::Delayed
            | ReceiveOutcome::Ok
            | ReceiveOutcome::Invalid
            | ReceiveOutcome::Late
            | ReceiveOutcome::Duplicate
            | ReceiveOutcome::NotValid => {}
        }
    }

    /// Frames received: every one has exactly one outcome, and this is the sum of all of them.
    ///
    /// (Frames that `validateFrames` Null passes are not counted anywhere.)
    #[must_use]
    pub const fn frames_in(&self) -> u64 {
        let v = &self.verification;
        let sc = &self.receive_scs;
        self.discarded_in()
            + v.in_pkts_untagged
            + v.in_pkts_no_sa
            + sc.in_pkts_ok
            + sc.in_pkts_unchecked
            + sc.in_pkts_delayed
            + sc.in_pkts_invalid
    }

    /// Frames received and discarded, for whatever reason.
    #[must_use]
    pub const fn discarded_in(&self) -> u64 {
        self.in_errors()
            + self.in_discards()
            + self.receive_scs.in_duplicate
            + self.local.in_runt
            + self.local.in_reserved_tci
    }

    /// The Controlled Port's ifInErrors: InPktsBadTag, InPktsNoSAError and InPktsNotValid.
    #[must_use]
    pub const fn in_errors(&self) -> u64 {
        let v = &self.verification;
        v.in_pkts_bad_tag + v.in_pkts_no_sa_error + self.receive_scs.in_pkts_not_valid
    }

    /// The Controlled Port's ifInDiscards: InPktsNoTag, InPktsOverrun and InPktsLate.
    #[must_use]
    pub const fn in_discards(&self) -> u64 {
        let v = &self.verification;
        v.in_pkts_no_tag + v.in_pkts_overrun + self.receive_scs.in_pkts_late
    }

    /// The Controlled Port's ifOutErrors: OutPktsTooLong.
    #[must_use]
    pub const fn out_errors(&self) -> u64 {
        self.generation.out_pkts_too_long
    }

    /// Frames handed in for sending: each was sent or refused, and this is the sum of all of them.
    #[must_use]
    pub const fn frames_out(&self) -> u64 {
        let local = &self.local;
        self.transmit_sc.out_pkts_protected
            + self.transmit_sc.out_pkts_encrypted
            + self.generation.out_pkts_untagged
            + self.generation.out_pkts_too_long
            + local.out_no_transmit_sa
            + local.out_pn_exhausted
            + local.out_pn_withheld
            + local.out_source_not_sci
            + local.out_caller_error
    }
}

//! Frame verification in three steps (802.1AE clause 10.6): parse and open (next door), commit.
//!
//! In the order of the standard, which decides what counts when several things are wrong:
//!
//! | | question | if so |
//! |---|---|---|
//! | 0 | `validateFrames` Null? | deliver as it came |
//! | 1 | no SecTAG? | Strict: NoTag; else Untagged, deliver as it came |
//! | 2 | `E` without `C`? | not for the Controlled Port |
//! | 3 | SecTAG or length invalid? | BadTag |
//! | 4 | no SA in use? | `C` set or Strict: NoSAError; else NoSA, deliver |
//! | 5 | PN, recovered, below lowestPN, and `replayProtect`? | Late |
//! | | seen before, and duplicates are detected (local)? | Duplicate |
//! | 6 | no capacity? | Overrun; else verify and decrypt, unless Disabled |
//! | 7 | as 5, for the state may have moved | Late |
//! | 8 | not valid? | `C` set or Strict: NotValid; else Invalid, deliver |
//! | | not validated, or valid | below lowestPN: Delayed; else Unchecked or OK; deliver |
//! | 9 | valid: | nextPN and lowestPN move up |
//! | 10 | valid: | octets count as decrypted or validated |

use core::{fmt, ops::Range};

use arrayvec::ArrayVec;
use macsec_gcm::Backend;
use zeroize::Zeroize;

use crate::{
    Admitted, BATCH, KeySlot, MissingSa, Opened, Parsed, ReceiveOutcome, ReceiveScSlot,
    SecTagError, SecY, Storage, TagProtection, ValidateFrames, frame,
    open::{Claim, Fate, Finding, open_in_place},
    parse::Form,
};

/// What became of a received frame.
#[must_use = "the frame may have to be delivered"]
pub struct Verdict<F> {
    frame: F,
    outcome: ReceiveOutcome,
    range: Range<usize>,
}

/// Shows no octets: they may be user data.
impl<F> fmt::Debug for Verdict<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verdict")
            .field("outcome", &self.outcome)
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}

impl<F: AsRef<[u8]> + AsMut<[u8]>> Verdict<F> {
    /// The outcome, which is also the counter that moved.
    #[must_use]
    pub fn outcome(&self) -> ReceiveOutcome {
        self.outcome
    }

    /// The frame for the Controlled Port, from the destination address on, without SecTAG, ICV or padding;
    /// `None` if it is discarded.
    #[must_use]
    pub fn delivered(&self) -> Option<&[u8]> {
        self.outcome.is_delivered().then(|| &self.frame.as_ref()[self.range.clone()])
    }

    /// Where in the buffer that frame stands; empty if it is discarded.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// The buffer, whole. In that of a discarded frame nothing that came encrypted is readable.
    #[must_use]
    pub fn into_buffer(self) -> F {
        self.frame
    }
}

impl<B, S, R> SecY<B, S, R>
where
    B: Backend,
    S: Storage<KeySlot<B::Key>>,
    R: Storage<ReceiveScSlot>,
{
    /// Validates one frame: all three steps in one call.
    #[inline]
    pub fn validate<F: AsRef<[u8]> + AsMut<[u8]>>(&mut self, frame: F) -> Verdict<F> {
        let parsed = Parsed::new(frame, self.config.clear_vlan_tags);
        let opened = self.open(parsed);
        self.commit(opened)
    }

    /// Validates frames in batches and passes the verdicts on in order. The same outcomes, octets
    /// and counts as [`validate`](Self::validate) one by one, in less time.
    pub fn validate_batch<F: AsRef<[u8]> + AsMut<[u8]>>(
        &mut self,
        frames: impl IntoIterator<Item = F>,
        mut deliver: impl FnMut(Verdict<F>),
    ) {
        let mut batch: ArrayVec<Admitted<F>, BATCH> = ArrayVec::new();
        let mut batch_key = None;
        for frame in frames {
            let admitted = self.admit(Parsed::new(frame, self.config.clear_vlan_tags));
            let key = admitted.key_index();
            if batch.is_full() || (key.is_some() && batch_key.is_some() && key != batch_key) {
                self.finish_batch(&mut batch, batch_key.take(), &mut deliver);
            }
            batch_key = batch_key.or(key);
            let last = self.moves_recovery(&admitted);
            batch.push(admitted);
            if last {
                self.finish_batch(&mut batch, batch_key.take(), &mut deliver);
            }
        }
        self.finish_batch(&mut batch, batch_key, &mut deliver);
    }

    /// Step two: finds the SA, checks the packet number, verifies and decrypts. Changes nothing in the SecY.
    #[inline]
    pub fn open<F: AsRef<[u8]> + AsMut<[u8]>>(&self, parsed: Parsed<F>) -> Opened<F> {
        let admitted = self.admit(parsed);
        match admitted.key_index().and_then(|index| self.keys.get(index)) {
            Some(installed) => admitted.open(&installed.key),
            None => admitted.into_opened(),
        }
    }

    /// The first half of step two, all but the cipher, for those who run that elsewhere.
    #[inline]
    pub fn admit<F: AsRef<[u8]> + AsMut<[u8]>>(&self, parsed: Parsed<F>) -> Admitted<F> {
        let fate = self.fate_of(&parsed);
        Admitted { frame: parsed.frame, fate }
    }

    /// The key that opens `admitted`, if it needs one. With [`Shared`](crate::Shared) keys, clone
    /// it for another thread.
    #[must_use]
    pub fn key_of<F: AsRef<[u8]> + AsMut<[u8]>>(&self, admitted: &Admitted<F>) -> Option<&B::Key> {
        admitted.key_index().and_then(|index| self.keys.get(index)).map(|installed| &installed.key)
    }

    /// Step three: checks the packet number again, moves the replay window, counts, and says what
    /// becomes of the frame. Commit in the order of arrival, and to the SecY that opened the frame:
    /// any other finds no SA.
    ///
    /// The controls of this moment count. Where `validateFrames` has become stricter since the
    /// frame was opened, it is discarded if it could not be delivered now.
    #[inline]
    pub fn commit<F: AsRef<[u8]> + AsMut<[u8]>>(&mut self, opened: Opened<F>) -> Verdict<F> {
        let Opened { mut frame, fate } = opened;
        let (outcome, strip, text) = match fate {
            Fate::Settled { outcome, strip } => {
                let outcome = outcome.under(self.config.validate_frames);
                self.counters.count_without_sc(outcome);
                (outcome, strip, None)
            }
            Fate::WithSa { claim, finding } => {
                let outcome = self.settle_claim(&claim, finding);
                let text = (finding == Finding::Authentic).then_some(claim.text..claim.layout.icv);
                (outcome, Some(claim.layout), text)
            }
        };
        let range = match (outcome.is_delivered(), strip) {
            (true, Some(layout)) => layout.strip(frame.as_mut()),
            (true, None) => 0..frame.as_ref().len(),
            (false, _) => {
                // A frame found late after it was decrypted: its plaintext goes nowhere.
                if let Some(text) = text {
                    frame.as_mut()[text].zeroize();
                }
                0..0
            }
        };
        Verdict { frame, outcome, range }
    }

    /// Questions 0 to 5 of the table above.
    #[inline]
    fn fate_of<F>(&self, parsed: &Parsed<F>) -> Fate
    where
        F: AsRef<[u8]>,
    {
        let mode = self.config.validate_frames;
        let strict = mode == ValidateFrames::Strict;
        let settled = |outcome| Fate::Settled { outcome, strip: None };
        if mode == ValidateFrames::Null {
            return settled(ReceiveOutcome::Null);
        }
        let (tag, layout) = match parsed.form {
            Form::Runt => return settled(ReceiveOutcome::Runt),
            Form::Untagged if strict => return settled(ReceiveOutcome::NoTag),
            Form::Untagged => return settled(ReceiveOutcome::Untagged),
            Form::ReservedTci => return settled(ReceiveOutcome::ReservedTci),
            Form::BadTag(error) => return settled(ReceiveOutcome::BadTag(error)),
            Form::Tagged { ref tag, layout } => (tag, layout),
        };
        let compat = &self.config.compat;
        if tag.protection == TagProtection::ChangedText && !compat.accept_changed_text {
            return settled(ReceiveOutcome::BadTag(SecTagError::ChangedText));
        }
        // Without an SA the suite is unknown; a zero PN is plainly bad if no key here could have sent it.
        if tag.pn == 0 && !self.any_xpn {
            return settled(ReceiveOutcome::BadTag(SecTagError::PnZero));
        }
        let encrypted = tag.protection == TagProtection::Encrypted;
        let changes_text = tag.protection.changes_text();
        let source = frame::source_address(parsed.frame.as_ref());
        let (sc, sa) = match self.receive.select(tag.sci, source, tag.an) {
            Ok(found) => found,
            Err(missing) if strict || changes_text => {
                return settled(ReceiveOutcome::NoSaError(missing));
            }
            Err(missing) => {
                let outcome = ReceiveOutcome::NoSa(missing);
                return Fate::Settled { outcome, strip: Some(layout) };
            }
        };
        if tag.pn == 0 && !sa.suite.is_xpn() {
            return settled(ReceiveOutcome::BadTag(SecTagError::PnZero));
        }
        let pn = sa.recover_pn(tag.pn);
        let finding = if self.config.replay_protect && sa.replay.is_late(pn) {
            Finding::Late
        } else if self.config.detect_duplicates && sa.replay.is_duplicate(pn) {
            Finding::Duplicate
        } else if mode == ValidateFrames::Disabled && !(changes_text && compat.disabled_decrypts) {
            if changes_text { Finding::Undeliverable } else { Finding::NotToBeChecked }
        } else {
            Finding::ToBeOpened
        };
        let text =
            if encrypted { layout.icv.min(layout.data + sa.offset.octets()) } else { layout.icv };
        let (an, serial, key) = (tag.an, sa.serial, sa.key);
        let nonce = sa.base.with_pn(pn);
        let claim = Claim {
            secy: self.transmit.sci,
            sc,
            an,
            serial,
            key,
            pn,
            nonce,
            encrypted,
            changes_text,
            layout,
            text,
        };
        Fate::WithSa { claim, finding }
    }

    /// Questions 6 to 10 of the table above.
    #[inline]
    fn settle_claim(&mut self, claim: &Claim, finding: Finding) -> ReceiveOutcome {
        let config = &self.config;
        let ours = claim.secy == self.transmit.sci;
        let sa = ours.then(|| self.receive.reselect(claim.sc, claim.an, claim.serial));
        let Some((sa, counters)) = sa.flatten() else {
            // The SA went between the steps, or is another SecY's.
            let outcome = ReceiveOutcome::NoSaError(MissingSa::SaNotInUse);
            self.counters.count_without_sc(outcome);
            return outcome;
        };
        let late = sa.replay.is_late(claim.pn);
        let duplicate = config.detect_duplicates && sa.replay.is_duplicate(claim.pn);
        let outcome = match finding {
            Finding::Overrun => ReceiveOutcome::Overrun,
            _ if config.replay_protect && late => ReceiveOutcome::Late,
            _ if duplicate => ReceiveOutcome::Duplicate,
            Finding::Late => ReceiveOutcome::Late,
            Finding::Duplicate => ReceiveOutcome::Duplicate,
            Finding::Undeliverable | Finding::ToBeOpened => ReceiveOutcome::NotValid,
            Finding::Forged
                if claim.changes_text || config.validate_frames == ValidateFrames::Strict =>
            {
                ReceiveOutcome::NotValid
            }
            Finding::Forged => ReceiveOutcome::Invalid,
            Finding::NotToBeChecked if config.validate_frames != ValidateFrames::Disabled => {
                ReceiveOutcome::NotValid
            }
            Finding::NotToBeChecked | Finding::Authentic if late => ReceiveOutcome::Delayed,
            Finding::NotToBeChecked => ReceiveOutcome::Unchecked,
            Finding::Authentic => ReceiveOutcome::Ok,
        };
        let counter = match outcome {
            ReceiveOutcome::Ok => &mut counters.in_pkts_ok,
            ReceiveOutcome::Unchecked => &mut counters.in_pkts_unchecked,
            ReceiveOutcome::Delayed => &mut counters.in_pkts_delayed,
            ReceiveOutcome::Late => &mut counters.in_pkts_late,
            ReceiveOutcome::Invalid => &mut counters.in_pkts_invalid,
            ReceiveOutcome::Duplicate => &mut counters.in_duplicate,
            ReceiveOutcome::NotValid => &mut counters.in_pkts_not_valid,
            _ => &mut self.counters.verification.in_pkts_overrun,
        };
        *counter += 1;
        if finding == Finding::Authentic && outcome.is_delivered() {
            sa.replay.advance(claim.pn, config.replay_window, config.detect_duplicates);
            let octets = (claim.layout.icv - claim.layout.data) as u64;
            let verification = &mut self.counters.verification;
            if claim.encrypted {
                verification.in_octets_decrypted += octets;
            } else {
                verification.in_octets_validated += octets;
            }
        }
        outcome
    }

    /// Whether the frames after this one must wait for its commit, because that may change how their packet
    /// numbers are recovered. Once in 2^31 frames; it keeps batches exactly equal to single calls.
    #[inline]
    fn moves_recovery<F>(&self, admitted: &Admitted<F>) -> bool {
        let Fate::WithSa { claim, finding: Finding::ToBeOpened } = &admitted.fate else {
            return false;
        };
        self.receive.get(claim.sc, claim.an).is_some_and(|sa| {
            sa.suite.is_xpn() && sa.replay.moves_recovery(claim.pn, self.config.replay_window)
        })
    }

    /// Opens and commits what is in the batch, and leaves it empty.
    fn finish_batch<F: AsRef<[u8]> + AsMut<[u8]>>(
        &mut self,
        batch: &mut ArrayVec<Admitted<F>, BATCH>,
        key: Option<u16>,
        deliver: &mut impl FnMut(Verdict<F>),
    ) {
        if let Some(installed) = key.and_then(|index| self.keys.get(index)) {
            open_in_place(&installed.key, batch);
        }
        for admitted in batch.drain(..) {
            deliver(self.commit(admitted.into_opened()));
        }
    }
}

//! Frame verification in three steps (802.1AE clause 10.6): parse (next door), open, commit.
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
use macsec_gcm::{Backend, GcmKey, NONCE_LEN, OpenJob};
use zeroize::Zeroize;

use crate::{
    An, BATCH, ICV_LEN, KeySlot, MissingSa, Parsed, ReceiveOutcome, ReceiveScSlot, Sci,
    SecTagError, SecY, Storage, TagProtection, ValidateFrames,
    frame::{self, ADDRESSES_LEN, ClearTags},
    parse::{Form, Layout},
};

/// A received frame halfway through step two: its SA has been found, its packet number recovered and
/// checked. What is left to do needs only the key.
#[must_use = "the frame has been neither counted nor delivered"]
pub struct Admitted<F> {
    frame: F,
    fate: Fate,
}

/// Shows no octets: they may be user data.
impl<F> fmt::Debug for Admitted<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admitted").field("fate", &self.fate).finish_non_exhaustive()
    }
}

/// A received frame after step two. Whether it is delivered, [`SecY::commit`] says; until then
/// there is no way to its octets. (A buffer that was only lent is the lender's again when this is
/// dropped: do not read what was never committed.)
///
/// ```compile_fail
/// fn peek(opened: &macsec::Opened<Vec<u8>>) -> &[u8] {
///     &opened.frame
/// }
/// ```
#[must_use = "the frame has been neither counted nor delivered"]
pub struct Opened<F> {
    frame: F,
    fate: Fate,
}

/// Shows no octets: they may be plaintext.
impl<F> fmt::Debug for Opened<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("fate", &self.fate).finish_non_exhaustive()
    }
}

#[derive(Debug)]
enum Fate {
    /// Decided before any SA was found.
    Settled { outcome: ReceiveOutcome, strip: Option<Layout> },
    /// An SA is at hand.
    WithSa { claim: Claim, finding: Finding },
}

/// Which SA a frame belongs to, and what is needed to open it.
struct Claim {
    /// The SCI of the SecY whose SA it is.
    secy: Sci,
    sc: u16,
    an: An,
    serial: u32,
    key: u16,
    pn: u64,
    nonce: [u8; NONCE_LEN],
    encrypted: bool,
    changes_text: bool,
    layout: Layout,
    /// Where the ciphertext begins: after the confidentiality offset, or at the ICV.
    text: usize,
}

const NO_ICV: &[u8; ICV_LEN] = &[0; ICV_LEN];

impl Claim {
    /// The job for the cipher on a frame whose clear VLAN tags have been lifted.
    #[inline]
    fn job<'a>(&self, octets: &'a mut [u8]) -> OpenJob<'a> {
        let (aad, rest) = octets.split_at_mut(self.text);
        let (text, rest) = rest.split_at_mut(self.layout.icv - self.text);
        // Parsing has made sure that the ICV is there.
        let icv = rest.first_chunk().unwrap_or(NO_ICV);
        OpenJob::new(self.nonce, &aad[self.layout.tag - ADDRESSES_LEN..], text, icv)
    }
}

/// Does not show the nonce, from which the salt could be had.
impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("sc", &self.sc)
            .field("an", &self.an)
            .field("pn", &self.pn)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finding {
    ToBeOpened,
    NotToBeChecked,
    Undeliverable,
    Late,
    Duplicate,
    Overrun,
    Authentic,
    Forged,
}

impl<F: AsRef<[u8]> + AsMut<[u8]>> Admitted<F> {
    /// The rest of step two: verifies and decrypts with the key of the SA, where that is called for.
    ///
    /// With any other key than the one of [`SecY::key_of`] the frame merely turns out invalid.
    #[inline]
    pub fn open(mut self, key: &impl GcmKey) -> Opened<F> {
        if self.needs_key() {
            let (mut job, tags) = self.job();
            key.open(&mut job);
            let authentic = job.is_authentic();
            self.settle(authentic, &tags);
        }
        self.into_opened()
    }

    /// As [`open`](Self::open) for many frames under one key, in batches; passes them on in order.
    /// The same outcomes in less time.
    ///
    /// `key` must be the key of all that need one: see [`SecY::key_of`].
    pub fn open_batch(
        key: &impl GcmKey,
        frames: impl IntoIterator<Item = Self>,
        mut emit: impl FnMut(Opened<F>),
    ) {
        let mut frames = frames.into_iter();
        let mut batch: ArrayVec<Self, BATCH> = ArrayVec::new();
        loop {
            for admitted in frames.by_ref().take(BATCH) {
                batch.push(admitted);
            }
            if batch.is_empty() {
                return;
            }
            open_in_place(key, &mut batch);
            batch.drain(..).for_each(|admitted| emit(admitted.into_opened()));
        }
    }

    /// Lays the frame out for an engine that works from a queue. [`open`](Self::open) does this and
    /// the opening in one.
    ///
    /// # Errors
    /// A frame that needs no opening, ready for [`SecY::commit`].
    pub fn prepare(mut self) -> Result<ToOpen<F>, Opened<F>> {
        match self.fate {
            Fate::WithSa { claim, finding: Finding::ToBeOpened } => {
                let tags = ClearTags::lift(self.frame.as_mut(), claim.layout.tag);
                Ok(ToOpen { frame: self.frame, claim, tags })
            }
            fate => Err(Opened { frame: self.frame, fate }),
        }
    }

    /// Gives up on the frame because there is no capacity to open it (InPktsOverrun). Frames that need no
    /// opening keep their outcome.
    pub fn overrun(mut self) -> Opened<F> {
        if let Fate::WithSa { finding: finding @ Finding::ToBeOpened, .. } = &mut self.fate {
            *finding = Finding::Overrun;
        }
        self.into_opened()
    }

    /// Whether the key is needed at all; if not, [`open`](Self::open) does nothing.
    #[must_use]
    #[inline]
    pub fn needs_key(&self) -> bool {
        matches!(self.fate, Fate::WithSa { finding: Finding::ToBeOpened, .. })
    }

    #[inline]
    fn key_index(&self) -> Option<u16> {
        match &self.fate {
            Fate::WithSa { claim, finding: Finding::ToBeOpened } => Some(claim.key),
            _ => None,
        }
    }

    /// The job for the cipher. The clear VLAN tags have been lifted, and [`settle`](Self::settle)
    /// puts them back.
    ///
    /// A frame that needs no opening gets a job on nothing; `needs_key` tells.
    #[inline]
    fn job(&mut self) -> (OpenJob<'_>, ClearTags) {
        let Fate::WithSa { claim, .. } = &self.fate else {
            return (OpenJob::new([0; NONCE_LEN], &[], &mut [], NO_ICV), ClearTags::NONE);
        };
        let octets = self.frame.as_mut();
        let tags = ClearTags::lift(octets, claim.layout.tag);
        (claim.job(octets), tags)
    }

    #[inline]
    fn into_opened(self) -> Opened<F> {
        Opened { frame: self.frame, fate: self.fate }
    }

    #[inline]
    fn settle(&mut self, authentic: bool, tags: &ClearTags) {
        tags.restore(self.frame.as_mut());
        if let Fate::WithSa { finding, .. } = &mut self.fate {
            *finding = if authentic { Finding::Authentic } else { Finding::Forged };
        }
    }
}

/// A received frame laid out for the cipher, for an engine that works from a queue.
///
/// Give the engine [`job`](Self::job), keep this while it works, and pass on what it found to
/// [`opened`](Self::opened).
#[must_use = "the frame has been neither counted nor delivered"]
pub struct ToOpen<F> {
    frame: F,
    claim: Claim,
    tags: ClearTags,
}

/// Shows neither nonce nor octets.
impl<F> fmt::Debug for ToOpen<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToOpen").field("claim", &self.claim).finish_non_exhaustive()
    }
}

impl<F: AsRef<[u8]> + AsMut<[u8]>> ToOpen<F> {
    /// What the engine has to do, and with which nonce. The key is that of the SA.
    pub fn job(&mut self) -> OpenJob<'_> {
        self.claim.job(self.frame.as_mut())
    }

    /// The engine has verified and decrypted the job, and found it `authentic` or not. It is trusted
    /// in this like any backend. What is not authentic is erased.
    pub fn opened(mut self, authentic: bool) -> Opened<F> {
        if !authentic {
            self.job().reject();
        }
        self.into_opened(if authentic { Finding::Authentic } else { Finding::Forged })
    }

    /// The engine has no capacity for it (InPktsOverrun).
    pub fn overrun(self) -> Opened<F> {
        self.into_opened(Finding::Overrun)
    }

    fn into_opened(mut self, finding: Finding) -> Opened<F> {
        self.tags.restore(self.frame.as_mut());
        Opened { frame: self.frame, fate: Fate::WithSa { claim: self.claim, finding } }
    }
}

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

/// Verifies and decrypts those of a batch that need it.
#[inline]
fn open_in_place<F: AsRef<[u8]> + AsMut<[u8]>>(
    key: &impl GcmKey,
    batch: &mut ArrayVec<Admitted<F>, BATCH>,
) {
    let mut jobs: ArrayVec<OpenJob<'_>, BATCH> = ArrayVec::new();
    let mut lifted: ArrayVec<ClearTags, BATCH> = ArrayVec::new();
    for (job, tags) in batch.iter_mut().filter(|admitted| admitted.needs_key()).map(Admitted::job) {
        jobs.push(job);
        lifted.push(tags);
    }
    key.open_batch(&mut jobs);
    let authentic: ArrayVec<bool, BATCH> = jobs.iter().map(OpenJob::is_authentic).collect();
    drop(jobs);
    let to_settle = batch.iter_mut().filter(|admitted| admitted.needs_key());
    for (admitted, (&authentic, tags)) in to_settle.zip(authentic.iter().zip(&lifted)) {
        admitted.settle(authentic, tags);
    }
}

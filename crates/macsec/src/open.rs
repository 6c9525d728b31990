//! The second step of frame verification: a frame whose SA is known, on its way through the cipher.

use core::fmt;

use arrayvec::ArrayVec;
use macsec_gcm::{GcmKey, NONCE_LEN, OpenJob};

use crate::{
    An, BATCH, ICV_LEN, ReceiveOutcome, Sci,
    frame::{ADDRESSES_LEN, ClearTags},
    parse::Layout,
};

/// A received frame halfway through step two: its SA has been found, its packet number recovered and
/// checked. What is left to do needs only the key.
#[must_use = "the frame has been neither counted nor delivered"]
pub struct Admitted<F> {
    pub(crate) frame: F,
    pub(crate) fate: Fate,
}

/// Shows no octets: they may be user data.
impl<F> fmt::Debug for Admitted<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admitted").field("fate", &self.fate).finish_non_exhaustive()
    }
}

/// A received frame after step two. Whether it is delivered, [`SecY::commit`](crate::SecY::commit) says; until then
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
    pub(crate) frame: F,
    pub(crate) fate: Fate,
}

/// Shows no octets: they may be plaintext.
impl<F> fmt::Debug for Opened<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("fate", &self.fate).finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(crate) enum Fate {
    /// Decided before any SA was found.
    Settled { outcome: ReceiveOutcome, strip: Option<Layout> },
    /// An SA is at hand.
    WithSa { claim: Claim, finding: Finding },
}

/// Which SA a frame belongs to, and what is needed to open it.
pub(crate) struct Claim {
    /// The SCI of the SecY whose SA it is.
    pub(crate) secy: Sci,
    pub(crate) sc: u16,
    pub(crate) an: An,
    pub(crate) serial: u32,
    pub(crate) key: u16,
    pub(crate) pn: u64,
    pub(crate) nonce: [u8; NONCE_LEN],
    pub(crate) encrypted: bool,
    pub(crate) changes_text: bool,
    pub(crate) layout: Layout,
    /// Where the ciphertext begins: after the confidentiality offset, or at the ICV.
    pub(crate) text: usize,
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
pub(crate) enum Finding {
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
    /// With any other key than the one of [`SecY::key_of`](crate::SecY::key_of) the frame merely turns out invalid.
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
    /// `key` must be the key of all that need one: see [`SecY::key_of`](crate::SecY::key_of).
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
    /// A frame that needs no opening, ready for [`SecY::commit`](crate::SecY::commit).
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
    pub(crate) fn key_index(&self) -> Option<u16> {
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
    pub(crate) fn into_opened(self) -> Opened<F> {
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

/// Verifies and decrypts those of a batch that need it.
#[inline]
pub(crate) fn open_in_place<F: AsRef<[u8]> + AsMut<[u8]>>(
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

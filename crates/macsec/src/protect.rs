//! Frame generation in three steps (802.1AE clause 10.5): reserve, seal, count.

use arrayvec::ArrayVec;
use macsec_gcm::{Backend, GcmKey, SealJob, TAG_LEN};

use crate::{
    BATCH, ClearVlanTags, Confidentiality, FrameBuf, KeySlot, MacAddress, PnBlock, ProtectError,
    ReceiveScSlot, ReservedPn, SecTag, SecY, Storage, TagProtection, TagSci,
    frame::{self, ADDRESSES_LEN, ClearTags, HEADROOM},
    nonce::NonceBase,
    sectag::ICV_LEN,
    transmit::{PnState, SaTicket},
};

/// A frame as it goes on the wire: protected, or in clear because `protectFrames` is false.
///
/// Only a SecY makes these, so code that takes nothing else to the wire cannot leak.
#[derive(Debug)]
#[must_use = "the frame has not been sent"]
pub struct ProtectedFrame<F> {
    frame: FrameBuf<F>,
}

impl<F: AsRef<[u8]> + AsMut<[u8]>> ProtectedFrame<F> {
    /// The octets to send, from the destination address to the ICV.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        self.frame.octets()
    }

    /// Where in the buffer they stand.
    #[must_use]
    pub fn range(&self) -> core::ops::Range<usize> {
        self.frame.range()
    }

    /// The buffer, whole.
    #[must_use]
    pub fn into_buffer(self) -> F {
        self.frame.into_buffer()
    }
}

/// A frame that was not sent, and why. The frame is as it was.
#[derive(Debug)]
pub struct Refused<F> {
    /// The reason, which is also the counter that moved.
    pub error: ProtectError,
    /// The frame, untouched.
    pub frame: FrameBuf<F>,
}

/// A frame that has been sealed and not counted yet. [`SecY::count_sealed`] turns it into a [`ProtectedFrame`].
#[derive(Debug)]
#[must_use = "the frame has been neither counted nor sent"]
pub struct Sealed<F> {
    frame: FrameBuf<F>,
    user_data: usize,
    encrypted: bool,
}

/// What a transmit SA needs to seal frames, without the SecY: the middle one of the three steps.
///
/// `K` is a key or a reference to one. With [`Shared`](crate::Shared) keys, [`detach`](Sealer::detach) gives a
/// sealer to every worker thread. It only seals packet numbers that the very same SA reserved.
pub struct Sealer<K> {
    key: K,
    owner: SaTicket,
    base: NonceBase,
    template: SecTag,
    /// AAD beyond the SecTAG: the confidentiality offset, or everything.
    clear_octets: usize,
    /// With `useES`, the only source address that may be sent.
    only_source: Option<MacAddress>,
    clear_vlan_tags: ClearVlanTags,
    max_frame_octets: usize,
}

impl<K: Clone> Sealer<&K> {
    /// A sealer that does not borrow the SecY: for another thread.
    #[must_use]
    pub fn detach(&self) -> Sealer<K> {
        Sealer {
            key: self.key.clone(),
            owner: self.owner,
            base: self.base,
            template: self.template,
            clear_octets: self.clear_octets,
            only_source: self.only_source,
            clear_vlan_tags: self.clear_vlan_tags,
            max_frame_octets: self.max_frame_octets,
        }
    }
}

impl<K: GcmKey> Sealer<K> {
    /// Seals one frame with one reserved packet number, which is spent whatever happens.
    ///
    /// # Errors
    /// The frame, untouched, with the reason. Hand it to [`SecY::count_refused`].
    pub fn seal<F>(&self, pn: ReservedPn, frame: FrameBuf<F>) -> Result<Sealed<F>, Refused<F>>
    where
        F: AsRef<[u8]> + AsMut<[u8]>,
    {
        let mut prepared = self.prepare(pn, frame)?;
        self.key.seal(&mut prepared.job());
        Ok(prepared.finish())
    }

    /// Seals frames in batches, each with the next packet number of `pns`, and passes them on in order. Frames
    /// beyond the end of `pns` are refused as [`ProtectError::PnExhausted`].
    pub fn seal_batch<F>(
        &self,
        pns: &mut PnBlock,
        frames: impl IntoIterator<Item = FrameBuf<F>>,
        mut emit: impl FnMut(Result<Sealed<F>, Refused<F>>),
    ) where
        F: AsRef<[u8]> + AsMut<[u8]>,
    {
        let mut frames = frames.into_iter();
        loop {
            let mut batch: ArrayVec<_, BATCH> = frames
                .by_ref()
                .take(BATCH)
                .map(|frame| match pns.take_next() {
                    Some(pn) => self.prepare(pn, frame),
                    None => Err(Refused {
                        error: ProtectError::PnExhausted,
                        frame,
                    }),
                })
                .collect();
            if batch.is_empty() {
                return;
            }
            let mut jobs: ArrayVec<_, BATCH> =
                batch.iter_mut().flatten().map(Prepared::job).collect();
            self.key.seal_batch(&mut jobs);
            drop(jobs);
            batch
                .into_iter()
                .for_each(|result| emit(result.map(Prepared::finish)));
        }
    }

    /// Lays the frame out for the cipher: header moved, SecTAG written, nonce made.
    fn prepare<F>(&self, pn: ReservedPn, mut frame: FrameBuf<F>) -> Result<Prepared<F>, Refused<F>>
    where
        F: AsRef<[u8]> + AsMut<[u8]>,
    {
        let (owner, pn) = pn.spend();
        let header_len = match self.check(owner, &frame) {
            Ok(header_len) => header_len,
            Err(error) => return Err(Refused { error, frame }),
        };
        let user_data = frame.end - frame.start - header_len;
        let tag = SecTag {
            short_length: SecTag::short_length_for(user_data),
            // The low half: all there is, but for XPN.
            pn: pn as u32,
            ..self.template
        };
        let start = frame.start - tag.octets();
        let buffer = frame.buffer.as_mut();
        buffer.copy_within(frame.start..frame.start + header_len, start);
        frame.start = start;
        frame.end += ICV_LEN;
        let octets = frame.octets_mut();
        // The room is there: the header has just moved out of it.
        let _ = tag.emit(&mut octets[header_len..]);
        let clear_tags = ClearTags::lift(octets, header_len);
        let aad = header_len - ADDRESSES_LEN;
        let data = header_len + tag.octets();
        let text = data + self.clear_octets.min(user_data);
        let nonce = self.base.with_pn(pn);
        let encrypted = tag.protection == TagProtection::Encrypted;
        Ok(Prepared {
            frame,
            nonce,
            aad,
            text,
            clear_tags,
            user_data,
            encrypted,
        })
    }

    /// Checks all there is to check while the frame is untouched. Gives the length of addresses and clear tags.
    fn check<F>(&self, owner: SaTicket, frame: &FrameBuf<F>) -> Result<usize, ProtectError>
    where
        F: AsRef<[u8]> + AsMut<[u8]>,
    {
        if owner != self.owner {
            return Err(ProtectError::ForeignPn);
        }
        let octets = frame.octets();
        let header_len =
            frame::header_len(octets, self.clear_vlan_tags).ok_or(ProtectError::Runt)?;
        if self
            .only_source
            .is_some_and(|only| frame::source_address(octets) != only)
        {
            return Err(ProtectError::SourceNotSci);
        }
        if octets.len() + self.template.octets() + ICV_LEN > self.max_frame_octets {
            return Err(ProtectError::TooLong);
        }
        if frame.start < HEADROOM {
            return Err(ProtectError::NoHeadroom);
        }
        if frame.buffer.as_ref().len() - frame.end < ICV_LEN {
            return Err(ProtectError::NoTailroom);
        }
        Ok(header_len)
    }
}

/// A frame laid out for the cipher. Offsets count from the start of the frame.
struct Prepared<F> {
    frame: FrameBuf<F>,
    nonce: [u8; macsec_gcm::NONCE_LEN],
    aad: usize,
    text: usize,
    clear_tags: ClearTags,
    user_data: usize,
    encrypted: bool,
}

impl<F: AsRef<[u8]> + AsMut<[u8]>> Prepared<F> {
    fn job(&mut self) -> SealJob<'_> {
        let (aad_at, text_at, nonce) = (self.aad, self.text, self.nonce);
        let (aad, rest) = self.frame.octets_mut().split_at_mut(text_at);
        let (text, tag) = split_icv(rest);
        SealJob {
            nonce,
            aad: &aad[aad_at..],
            text,
            tag,
        }
    }

    fn finish(mut self) -> Sealed<F> {
        self.clear_tags.restore(self.frame.octets_mut());
        Sealed {
            frame: self.frame,
            user_data: self.user_data,
            encrypted: self.encrypted,
        }
    }
}

/// Parts the ICV from the text before it. `prepare` has made room for one.
fn split_icv(octets: &mut [u8]) -> (&mut [u8], &mut [u8; TAG_LEN]) {
    octets
        .split_last_chunk_mut()
        .unwrap_or_else(|| unreachable!("prepare adds the ICV's room"))
}

impl<B, S, R> SecY<B, S, R>
where
    B: Backend,
    S: Storage<KeySlot<B::Key>>,
    R: Storage<ReceiveScSlot>,
{
    /// Protects one frame: reserve, seal and count in one call.
    ///
    /// With `protectFrames` false the frame passes as it is.
    ///
    /// # Errors
    /// The frame, untouched, with the reason, which has been counted.
    pub fn protect<F>(&mut self, frame: FrameBuf<F>) -> Result<ProtectedFrame<F>, Refused<F>>
    where
        F: AsRef<[u8]> + AsMut<[u8]>,
    {
        if !self.config.protect_frames {
            return Ok(self.pass(frame));
        }
        let sealed = match self.reserve_one() {
            Ok((pn, sealer)) => sealer.seal(pn, frame),
            Err(error) => Err(Refused { error, frame }),
        };
        self.count(sealed)
    }

    /// Protects frames in batches and passes them on in order, each sent or refused. The same octets and counts as
    /// [`protect`](Self::protect) one by one, in less time.
    pub fn protect_batch<F>(
        &mut self,
        frames: impl IntoIterator<Item = FrameBuf<F>>,
        mut emit: impl FnMut(Result<ProtectedFrame<F>, Refused<F>>),
    ) where
        F: AsRef<[u8]> + AsMut<[u8]>,
    {
        let mut frames = frames.into_iter();
        loop {
            let batch: ArrayVec<_, BATCH> = frames.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                return;
            }
            if !self.config.protect_frames {
                batch
                    .into_iter()
                    .for_each(|frame| emit(Ok(self.pass(frame))));
                continue;
            }
            let mut sealed: ArrayVec<_, BATCH> = ArrayVec::new();
            match self.reserve(batch.len() as u32) {
                Ok(mut pns) => match self.sealer(&pns) {
                    Some(sealer) => {
                        sealer.seal_batch(&mut pns, batch, |result| sealed.push(result));
                    }
                    None => sealed.extend(refuse(batch, ProtectError::NoTransmitSa)),
                },
                Err(error) => sealed.extend(refuse(batch, error)),
            }
            sealed
                .into_iter()
                .for_each(|result| emit(self.count(result)));
        }
    }

    /// Step one: sets up to `count` packet numbers of the encoding SA aside. Fewer when its last ones are near,
    /// and at least one unless `count` is zero.
    ///
    /// # Errors
    /// [`ProtectError::NoTransmitSa`]; [`ProtectError::PnExhausted`]. Not counted here: refuse the frame by
    /// [`count_refused`](Self::count_refused).
    pub fn reserve(&mut self, count: u32) -> Result<PnBlock, ProtectError> {
        self.transmit.reserve(count)
    }

    /// What it takes to seal with the packet numbers of `pns`, or `None` if their SA has been deleted.
    ///
    /// The controls are those of this moment: get a new sealer for every batch.
    #[must_use]
    pub fn sealer(&self, pns: &PnBlock) -> Option<Sealer<&B::Key>> {
        self.sealer_of(pns.owner)
    }

    /// Step three: counts a sealed frame and makes it ready to send.
    pub fn count_sealed<F>(&mut self, sealed: Sealed<F>) -> ProtectedFrame<F> {
        let octets = sealed.user_data as u64;
        if sealed.encrypted {
            self.transmit.counters.out_pkts_encrypted += 1;
            self.counters.generation.out_octets_encrypted += octets;
        } else {
            self.transmit.counters.out_pkts_protected += 1;
            self.counters.generation.out_octets_protected += octets;
        }
        ProtectedFrame {
            frame: sealed.frame,
        }
    }

    /// Step three for a frame that was refused.
    pub fn count_refused(&mut self, error: ProtectError) {
        let local = &mut self.counters.local;
        let counter = match error {
            ProtectError::TooLong => &mut self.counters.generation.out_pkts_too_long,
            ProtectError::NoTransmitSa => &mut local.out_no_transmit_sa,
            ProtectError::PnExhausted => &mut local.out_pn_exhausted,
            ProtectError::SourceNotSci => &mut local.out_source_not_sci,
            ProtectError::Runt
            | ProtectError::NoHeadroom
            | ProtectError::NoTailroom
            | ProtectError::ForeignPn => &mut local.out_caller_error,
        };
        *counter += 1;
    }

    /// How far the packet numbers of the encoding SA have got; `None` if there is no such SA.
    #[must_use]
    pub fn pn_state(&self) -> Option<PnState> {
        self.transmit
            .encoding_sa
            .and_then(|an| Some(self.transmit.sa(an)?.pn_state()))
    }

    /// Whether SecTAGs carry the SCI now: the standard's includingSCI.
    #[must_use]
    pub fn including_sci(&self) -> bool {
        matches!(self.tag_sci(), TagSci::Explicit(_))
    }

    fn reserve_one(&mut self) -> Result<(ReservedPn, Sealer<&B::Key>), ProtectError> {
        let mut block = self.transmit.reserve(1)?;
        let pn = block.take_next().ok_or(ProtectError::PnExhausted)?;
        let sealer = self.sealer_of(pn.owner()).ok_or(ProtectError::NoTransmitSa)?;
        Ok((pn, sealer))
    }

    fn sealer_of(&self, owner: SaTicket) -> Option<Sealer<&B::Key>> {
        let (an, sa) = self.transmit.owner(owner)?;
        let key = &self.keys.get(sa.key)?.key;
        let (protection, clear_octets) = match sa.confidentiality {
            Confidentiality::IntegrityOnly => (TagProtection::IntegrityOnly, usize::MAX),
            Confidentiality::Encrypt(offset) => (TagProtection::Encrypted, offset.octets()),
        };
        let template = SecTag {
            sci: self.tag_sci(),
            protection,
            an,
            short_length: 0,
            pn: 0,
        };
        Some(Sealer {
            key,
            owner,
            base: sa.base,
            template,
            clear_octets,
            only_source: self.config.use_es.then_some(self.transmit.sci.mac()),
            clear_vlan_tags: self.config.clear_vlan_tags,
            max_frame_octets: self.config.max_frame_octets,
        })
    }

    /// How the SCI goes into SecTAGs (802.1AE clause 10.5.3): in full if told so, or if there is more than one
    /// peer and neither `useES` nor `useSCB` says otherwise.
    fn tag_sci(&self) -> TagSci {
        let config = &self.config;
        match (config.use_es, config.use_scb) {
            (true, true) => TagSci::EndStationBroadcast,
            (true, false) => TagSci::EndStation,
            (false, true) => TagSci::Broadcast,
            (false, false) if config.always_include_sci || self.receive.count() > 1 => {
                TagSci::Explicit(self.transmit.sci)
            }
            (false, false) => TagSci::PointToPoint,
        }
    }

    fn pass<F>(&mut self, frame: FrameBuf<F>) -> ProtectedFrame<F> {
        self.counters.generation.out_pkts_untagged += 1;
        ProtectedFrame { frame }
    }

    fn count<F>(
        &mut self,
        sealed: Result<Sealed<F>, Refused<F>>,
    ) -> Result<ProtectedFrame<F>, Refused<F>> {
        match sealed {
            Ok(sealed) => Ok(self.count_sealed(sealed)),
            Err(refused) => {
                self.count_refused(refused.error);
                Err(refused)
            }
        }
    }
}

fn refuse<F>(
    frames: ArrayVec<FrameBuf<F>, BATCH>,
    error: ProtectError,
) -> impl Iterator<Item = Result<Sealed<F>, Refused<F>>> {
    frames
        .into_iter()
        .map(move |frame| Err(Refused { error, frame }))
}

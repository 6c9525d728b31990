//! Frame generation in three steps (802.1AE clause 10.5): reserve, seal, count.

use core::fmt;

use arrayvec::ArrayVec;
use macsec_gcm::{Backend, GcmKey, SealJob, TAG_LEN};

use crate::{
    An, BATCH, ClearVlanTags, Confidentiality, Config, Counters, FrameBuf, HEADROOM, ICV_LEN,
    KeySlot, MacAddress, PnBlock, PnState, ProtectError, ReceiveScSlot, ReservedPn, SecTag, SecY,
    Storage, TagProtection, TagSci,
    frame::{self, ClearTags},
    keys::KeyStore,
    nonce::NonceBase,
    transmit::{FreshPn, InstalledTransmitSa, SaTicket},
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
pub struct Refused<F> {
    /// The reason, which is also the counter that moved.
    pub error: ProtectError,
    /// The frame, untouched.
    pub frame: FrameBuf<F>,
}

impl<F> fmt::Debug for Refused<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Refused({:?}, {:?})", self.error, self.frame)
    }
}

impl<F> fmt::Display for Refused<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<F> core::error::Error for Refused<F> {}

/// A frame that has been sealed and not counted yet. [`SecY::count_sealed`] turns it into a
/// [`ProtectedFrame`].
#[derive(Debug)]
#[must_use = "the frame has been neither counted nor sent"]
pub struct Sealed<F> {
    frame: FrameBuf<F>,
    user_data: usize,
    encrypted: bool,
}

/// What a transmit SA needs to seal frames, without the SecY: the middle one of the three steps.
///
/// `K` is a key or a reference to one. With [`Shared`](crate::Shared) keys,
/// [`detach`](Sealer::detach) gives a sealer to every worker thread. It only seals packet numbers
/// that the very same SA reserved.
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
        self.prepare(pn, frame).map(|to_seal| self.finish(to_seal))
    }

    /// Lays one frame out for an engine that works from a queue, with one reserved packet number,
    /// which is spent whatever happens. [`seal`](Self::seal) does this and the sealing in one.
    ///
    /// # Errors
    /// As [`seal`](Self::seal).
    pub fn prepare<F>(&self, pn: ReservedPn, frame: FrameBuf<F>) -> Result<ToSeal<F>, Refused<F>>
    where
        F: AsRef<[u8]> + AsMut<[u8]>,
    {
        if pn.owner() != self.owner {
            return Err(Refused { error: ProtectError::ForeignPn, frame });
        }
        self.lay_out(pn.into_fresh(), frame)
    }

    /// Seals frames in batches, each with the next packet number of `pns`, and passes them on in
    /// order. Frames beyond the end of `pns` are refused as [`ProtectError::PnExhausted`].
    pub fn seal_batch<F>(
        &self,
        pns: &mut PnBlock,
        frames: impl IntoIterator<Item = FrameBuf<F>>,
        emit: impl FnMut(Result<Sealed<F>, Refused<F>>),
    ) where
        F: AsRef<[u8]> + AsMut<[u8]>,
    {
        let foreign = pns.owner() != self.owner;
        let next_pn = || match pns.take_next() {
            Some(_) if foreign => Err(ProtectError::ForeignPn),
            Some(pn) => Ok(pn.into_fresh()),
            None => Err(ProtectError::PnExhausted),
        };
        self.seal_batch_with(next_pn, frames, emit);
    }

    /// Seals with a packet number of this very SA.
    #[inline]
    fn seal_with<F>(&self, pn: FreshPn, frame: FrameBuf<F>) -> Result<Sealed<F>, Refused<F>>
    where
        F: AsRef<[u8]> + AsMut<[u8]>,
    {
        self.lay_out(pn, frame).map(|to_seal| self.finish(to_seal))
    }

    #[inline]
    fn finish<F>(&self, mut to_seal: ToSeal<F>) -> Sealed<F>
    where
        F: AsRef<[u8]> + AsMut<[u8]>,
    {
        self.key.seal(&mut to_seal.job());
        to_seal.sealed()
    }

    /// Seals in batches with packet numbers of this very SA, one asked for with each frame.
    fn seal_batch_with<F>(
        &self,
        mut next_pn: impl FnMut() -> Result<FreshPn, ProtectError>,
        frames: impl IntoIterator<Item = FrameBuf<F>>,
        mut emit: impl FnMut(Result<Sealed<F>, Refused<F>>),
    ) where
        F: AsRef<[u8]> + AsMut<[u8]>,
    {
        let mut frames = frames.into_iter();
        let mut batch: ArrayVec<_, BATCH> = ArrayVec::new();
        loop {
            for frame in frames.by_ref().take(BATCH) {
                batch.push(match next_pn() {
                    Ok(pn) => self.lay_out(pn, frame),
                    Err(error) => Err(Refused { error, frame }),
                });
            }
            if batch.is_empty() {
                return;
            }
            let mut jobs: ArrayVec<_, BATCH> = ArrayVec::new();
            batch.iter_mut().flatten().for_each(|prepared| jobs.push(prepared.job()));
            self.key.seal_batch(&mut jobs);
            drop(jobs);
            batch.drain(..).for_each(|result| emit(result.map(ToSeal::sealed)));
        }
    }

    /// Lays the frame out for the cipher: header moved, SecTAG written, nonce made.
    #[inline]
    fn lay_out<F>(&self, pn: FreshPn, mut frame: FrameBuf<F>) -> Result<ToSeal<F>, Refused<F>>
    where
        F: AsRef<[u8]> + AsMut<[u8]>,
    {
        let pn = pn.spend();
        let header_len = match self.check(&frame) {
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
        let tag_len = tag.octets();
        frame.start -= tag_len;
        frame.end += ICV_LEN;
        let octets = frame.octets_mut();
        frame::move_header(octets, tag_len, 0, header_len);
        // The room is there: the header has just moved out of it.
        let _ = tag.emit(&mut octets[header_len..]);
        let clear_tags = ClearTags::lift(octets, header_len);
        let data = header_len + tag_len;
        let text = data + self.clear_octets.min(user_data);
        let encrypted = tag.protection == TagProtection::Encrypted;
        Ok(ToSeal { frame, nonce: self.base.with_pn(pn), data, text, clear_tags, encrypted })
    }

    /// Checks all there is to check while the frame is untouched. Gives the length of addresses and
    /// clear tags.
    #[inline]
    fn check<F>(&self, frame: &FrameBuf<F>) -> Result<usize, ProtectError>
    where
        F: AsRef<[u8]> + AsMut<[u8]>,
    {
        let octets = frame.octets();
        let header_len =
            frame::header_len(octets, self.clear_vlan_tags).ok_or(ProtectError::Runt)?;
        if self.only_source.is_some_and(|only| frame::source_address(octets) != only) {
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

/// A frame laid out for the cipher, for an engine that works from a queue.
///
/// Give the engine [`job`](Self::job), keep this while it works, and say [`sealed`](Self::sealed)
/// when it is done. Dropped, it takes its packet number with it, and the frame is not sent.
#[must_use = "the frame has not been sealed"]
pub struct ToSeal<F> {
    frame: FrameBuf<F>,
    nonce: [u8; macsec_gcm::NONCE_LEN],
    /// The Secure Data.
    data: usize,
    /// What is to be encrypted of it.
    text: usize,
    clear_tags: ClearTags,
    encrypted: bool,
}

/// Shows where the frame is, and neither nonce nor octets.
impl<F> fmt::Debug for ToSeal<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ToSeal({:?})", self.frame)
    }
}

impl<F: AsRef<[u8]> + AsMut<[u8]>> ToSeal<F> {
    /// What the engine has to do, and with which nonce. The key is that of the SA.
    #[inline]
    pub fn job(&mut self) -> SealJob<'_> {
        let (aad_at, text_at, nonce) = (self.clear_tags.len(), self.text, self.nonce);
        let (aad, rest) = self.frame.octets_mut().split_at_mut(text_at);
        let (text, tag) = split_icv(rest);
        SealJob { nonce, aad: &aad[aad_at..], text, tag }
    }

    /// The engine has sealed the job. It is trusted in this like any backend: a frame that was not
    /// sealed would go out in clear.
    #[inline]
    pub fn sealed(mut self) -> Sealed<F> {
        self.clear_tags.restore(self.frame.octets_mut());
        let user_data = self.frame.end - self.frame.start - self.data - ICV_LEN;
        Sealed { frame: self.frame, user_data, encrypted: self.encrypted }
    }
}

/// Parts the ICV from the text before it. `lay_out` has made room for one.
#[inline]
fn split_icv(octets: &mut [u8]) -> (&mut [u8], &mut [u8; TAG_LEN]) {
    octets.split_last_chunk_mut().unwrap_or_else(|| unreachable!("lay_out adds the ICV's room"))
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
        let tag_sci = self.tag_sci();
        let Self { config, keys, transmit, counters, .. } = self;
        let sealed = if !config.protect_frames {
            return Ok(pass(counters, frame));
        } else if let Some(sealer) = sealer(keys, transmit.encoding(), config, tag_sci) {
            match transmit.next_pn() {
                Ok(pn) => sealer.seal_with(pn, frame),
                Err(error) => Err(Refused { error, frame }),
            }
        } else {
            Err(Refused { error: ProtectError::NoTransmitSa, frame })
        };
        count(counters, sealed)
    }

    /// Protects frames in batches and passes them on in order, each sent or refused. The same
    /// octets and counts as [`protect`](Self::protect) one by one, in less time.
    pub fn protect_batch<F>(
        &mut self,
        frames: impl IntoIterator<Item = FrameBuf<F>>,
        mut emit: impl FnMut(Result<ProtectedFrame<F>, Refused<F>>),
    ) where
        F: AsRef<[u8]> + AsMut<[u8]>,
    {
        let tag_sci = self.tag_sci();
        let Self { config, keys, transmit, counters, .. } = self;
        if !config.protect_frames {
            frames.into_iter().for_each(|frame| emit(Ok(pass(counters, frame))));
        } else if let Some(sealer) = sealer(keys, transmit.encoding(), config, tag_sci) {
            let emit = |sealed| emit(count(counters, sealed));
            sealer.seal_batch_with(|| transmit.next_pn(), frames, emit);
        } else {
            let error = ProtectError::NoTransmitSa;
            frames
                .into_iter()
                .for_each(|frame| emit(count(counters, Err(Refused { error, frame }))));
        }
    }

    /// Step one: sets up to `count` packet numbers of the encoding SA aside. Fewer when its last
    /// ones are near, and at least one unless `count` is zero.
    ///
    /// These steps always protect: with `protectFrames` false, only [`protect`](Self::protect) and
    /// [`protect_batch`](Self::protect_batch) pass frames in clear.
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
        sealer(&self.keys, self.transmit.owner(pns.owner()), &self.config, self.tag_sci())
    }

    /// Step three: counts a sealed frame and makes it ready to send.
    pub fn count_sealed<F>(&mut self, sealed: Sealed<F>) -> ProtectedFrame<F> {
        self.counters.count_sealed(sealed.user_data as u64, sealed.encrypted);
        ProtectedFrame { frame: sealed.frame }
    }

    /// Step three for a frame that was refused.
    pub fn count_refused(&mut self, error: ProtectError) {
        self.counters.count_refused(error);
    }

    /// How far the packet numbers of the encoding SA have got; `None` if there is no such SA.
    #[must_use]
    pub fn pn_state(&self) -> Option<PnState> {
        self.transmit.encoding().map(|(_, sa)| sa.pn_state())
    }

    /// Whether SecTAGs carry the SCI now: the standard's includingSCI.
    #[must_use]
    pub fn including_sci(&self) -> bool {
        matches!(self.tag_sci(), TagSci::Explicit(_))
    }

    /// How the SCI goes into SecTAGs (802.1AE clause 10.5.3): in full if told so, or if there is
    /// more than one peer and neither `useES` nor `useSCB` says otherwise.
    #[inline]
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
}

/// The sealer of a transmit SA, if there is such an SA.
#[inline]
fn sealer<'a, K, S: Storage<KeySlot<K>>>(
    keys: &'a KeyStore<S>,
    sa: Option<(An, &InstalledTransmitSa)>,
    config: &Config,
    tag_sci: TagSci,
) -> Option<Sealer<&'a K>>
where
    K: 'a,
{
    let (an, sa) = sa?;
    let (protection, clear_octets) = match sa.confidentiality {
        Confidentiality::IntegrityOnly => (TagProtection::IntegrityOnly, usize::MAX),
        Confidentiality::Encrypt(offset) => (TagProtection::Encrypted, offset.octets()),
    };
    Some(Sealer {
        key: &keys.get(sa.key)?.key,
        owner: sa.ticket,
        base: sa.base,
        template: SecTag { sci: tag_sci, protection, an, short_length: 0, pn: 0 },
        clear_octets,
        only_source: config.use_es.then_some(sa.ticket.sci.mac()),
        clear_vlan_tags: config.clear_vlan_tags,
        max_frame_octets: config.max_frame_octets,
    })
}

fn pass<F>(counters: &mut Counters, frame: FrameBuf<F>) -> ProtectedFrame<F> {
    counters.generation.out_pkts_untagged += 1;
    ProtectedFrame { frame }
}

#[inline]
fn count<F>(
    counters: &mut Counters,
    sealed: Result<Sealed<F>, Refused<F>>,
) -> Result<ProtectedFrame<F>, Refused<F>> {
    match sealed {
        Ok(Sealed { frame, user_data, encrypted }) => {
            counters.count_sealed(user_data as u64, encrypted);
            Ok(ProtectedFrame { frame })
        }
        Err(refused) => {
            counters.count_refused(refused.error);
            Err(refused)
        }
    }
}

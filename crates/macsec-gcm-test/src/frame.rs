//! The buffer of one frame, watched for writes to where nothing may be written.

use std::ops::Range;

use macsec_gcm::{NONCE_LEN, OpenJob, SealJob, TAG_LEN};

use crate::{Check, case::Case};

/// Octets around the frame that must stay as they are.
const GUARD: usize = 64;
const GUARD_OCTET: u8 = 0xa5;
/// What a tag holds before it is written.
const NO_TAG: [u8; TAG_LEN] = [0xee; TAG_LEN];
/// Text alignment is counted from a multiple of this.
const ALIGN: usize = 64;

/// Guard, additional data, text, tag, guard: as a frame lies in a packet ring.
pub(crate) struct Frame {
    pub(crate) nonce: [u8; NONCE_LEN],
    octets: Vec<u8>,
    /// The octets at the time the last job was made.
    before: Vec<u8>,
    aad: Range<usize>,
    text: Range<usize>,
    tag: Range<usize>,
}

impl Frame {
    /// The frame of `case` before it is sealed.
    pub(crate) fn plain(case: &Case, offset: usize) -> Self {
        Self::new(case, &case.plaintext, &NO_TAG, offset)
    }

    /// The frame of `case` as it arrives.
    pub(crate) fn cipher(case: &Case, offset: usize) -> Self {
        Self::new(case, &case.ciphertext, &case.tag, offset)
    }

    fn new(case: &Case, text: &[u8], tag: &[u8; TAG_LEN], offset: usize) -> Self {
        let room = GUARD + case.aad.len() + ALIGN + offset + text.len() + TAG_LEN + GUARD;
        let mut octets = vec![GUARD_OCTET; room];
        let head = GUARD + case.aad.len();
        let aligned = octets[head..].as_ptr().align_offset(ALIGN);
        assert!(aligned < ALIGN, "cannot align");
        let text_start = head + aligned + offset;
        let frame = Self {
            nonce: case.nonce,
            aad: text_start - case.aad.len()..text_start,
            text: text_start..text_start + text.len(),
            tag: text_start + text.len()..text_start + text.len() + TAG_LEN,
            before: Vec::new(),
            octets: Vec::new(),
        };
        octets[frame.aad.clone()].copy_from_slice(&case.aad);
        octets[frame.text.clone()].copy_from_slice(text);
        octets[frame.tag.clone()].copy_from_slice(tag);
        Self { octets, ..frame }
    }

    pub(crate) fn text(&self) -> &[u8] {
        &self.octets[self.text.clone()]
    }

    pub(crate) fn seal_job(&mut self) -> SealJob<'_> {
        self.before.clone_from(&self.octets);
        let nonce = self.nonce;
        let (head, tail) = self.octets.split_at_mut(self.text.start);
        let (text, tail) = tail.split_at_mut(self.text.len());
        SealJob {
            nonce,
            aad: &head[self.aad.clone()],
            text,
            tag: tail.first_chunk_mut().expect("the tag follows the text"),
        }
    }

    pub(crate) fn open_job(&mut self) -> OpenJob<'_> {
        self.before.clone_from(&self.octets);
        let (head, tail) = self.octets.split_at_mut(self.text.start);
        let (text, tail) = tail.split_at_mut(self.text.len());
        let tag = tail.first_chunk().expect("the tag follows the text");
        OpenJob::new(self.nonce, &head[self.aad.clone()], text, tag)
    }

    /// Where the text and the tag lie, to see that a job is still this frame's.
    pub(crate) fn place(&self) -> (usize, usize) {
        (self.text().as_ptr() as usize, self.text.len())
    }

    /// Flips one bit.
    pub(crate) fn damage(&mut self, damage: Damage) {
        let part = match damage.part {
            Part::Nonce => &mut self.nonce[..],
            Part::Aad if !self.aad.is_empty() => &mut self.octets[self.aad.clone()],
            Part::Text if !self.text.is_empty() => &mut self.octets[self.text.clone()],
            _ => &mut self.octets[self.tag.clone()],
        };
        let bit = damage.bit % (part.len() * 8);
        part[bit / 8] ^= 1 << (bit % 8);
    }

    /// The last job sealed this frame into the ciphertext and tag of `case`.
    pub(crate) fn expect_sealed(&self, case: &Case) -> Check {
        self.expect_untouched_but(self.text.start..self.tag.end, "sealing")?;
        same("ciphertext", self.text(), &case.ciphertext)?;
        same("tag", &self.octets[self.tag.clone()], &case.tag)
    }

    /// The last job opened this frame into the plaintext of `case`.
    pub(crate) fn expect_opened(&self, case: &Case, authentic: bool) -> Check {
        if !authentic {
            return Err("an authentic frame is refused".into());
        }
        self.expect_untouched_but(self.text.clone(), "opening")?;
        same("plaintext", self.text(), &case.plaintext)
    }

    /// The last job refused this frame: text zeroed, nothing else written.
    pub(crate) fn expect_refused(&self, authentic: bool) -> Check {
        if authentic {
            return Err("a forged frame is accepted".into());
        }
        self.expect_untouched_but(self.text.clone(), "a failed open")?;
        match self.text().iter().position(|octet| *octet != 0) {
            Some(at) => {
                let len = self.text.len();
                Err(format!("a failed open leaves octet {at} of {len} of the text unzeroed"))
            }
            None => Ok(()),
        }
    }

    /// No octet has changed since the last job was made.
    pub(crate) fn expect_untouched(&self) -> Check {
        self.expect_untouched_but(self.text.start..self.text.start, "no call")
    }

    fn expect_untouched_but(&self, allowed: Range<usize>, what: &str) -> Check {
        let changed = |at: usize| self.octets[at] != self.before[at];
        let head = (self.octets[..allowed.start] != self.before[..allowed.start])
            .then(|| (0..allowed.start).find(|at| changed(*at)));
        let tail = (self.octets[allowed.end..] != self.before[allowed.end..])
            .then(|| (allowed.end..self.octets.len()).find(|at| changed(*at)));
        match head.or(tail).flatten() {
            None => Ok(()),
            Some(at) => Err(format!("{what} writes to {}", self.name_of(at))),
        }
    }

    fn name_of(&self, at: usize) -> String {
        if self.aad.contains(&at) {
            format!("octet {} of the additional data", at - self.aad.start)
        } else if self.text.contains(&at) {
            format!("octet {} of the text", at - self.text.start)
        } else if self.tag.contains(&at) {
            format!("octet {} of the tag", at - self.tag.start)
        } else if at < self.aad.start {
            format!("{} octets before the frame", self.aad.start - at)
        } else {
            format!("{} octets behind the frame", at - self.tag.end + 1)
        }
    }
}

fn same(what: &str, got: &[u8], want: &[u8]) -> Check {
    if got == want {
        return Ok(());
    }
    let len = want.len();
    match got.iter().zip(want).position(|(got, want)| got != want) {
        Some(at) => Err(format!(
            "wrong {what}: octet {at} of {len} is {:02x}, not {:02x}",
            got[at], want[at]
        )),
        None => Err(format!("wrong {what}: {} octets, not {len}", got.len())),
    }
}

/// One bit to flip, counted from the start of a part and around it. In an empty part it is one of
/// the tag instead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Damage {
    pub(crate) part: Part,
    pub(crate) bit: usize,
}

/// A part of a frame that a forger can change.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    Nonce,
    Aad,
    Text,
    Tag,
}

impl Part {
    pub(crate) const ALL: [Self; 4] = [Self::Nonce, Self::Aad, Self::Text, Self::Tag];
}

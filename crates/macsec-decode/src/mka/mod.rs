//! MKA in a capture: what each MKPDU says, who is a member, which SAKs there are and what becomes
//! of them.
//!
//! An [`MkaReader`] takes the frames of a capture in their order. Of each it gives an
//! [`MkpduFinding`], to be shown as it is; at the end [`MkaReader::report`] has everything there is
//! to be said of the whole, and [`MkaReader::learned`] the SAKs for who opens data frames.
//!
//! Memory is bounded by [`Limits`] whatever the frames say; what has been left out is counted.
//! Nobody without the CAK changes what is known of a CA whose CAK is known: what cannot be verified
//! is kept apart, and marked.

mod ca;
mod record;
mod report;
mod sak;
mod story;
mod symptoms;
mod text;

use core::time::Duration;

use macsec::MacAddress;
use mka::{
    Body, Cak, Ckn, DecodeError, ETHERTYPE_EAPOL, ICV_LEN, NEAREST_BRIDGE, NEAREST_CUSTOMER_BRIDGE,
    NEAREST_NON_TPMR_BRIDGE, Received,
};

pub use record::{
    DistributedCakRecord, DistributedSakRecord, IcvVerdict, KeyUseRecord, ListedPeer, MkpduFields,
    MkpduRecord, MnVerdict, PeerListRecord, SakUseRecord, SetRecord, TlvRecord, XpnRecord,
};
pub use report::{
    CaReport, Counts, MkaReport, PeerReport, PeerState, SakMemberReport, SakReport, StoryLine,
    Symptom,
};

use crate::{Frame, Given, SakBook};
use ca::{Ca, CaKeys};
use sak::{Life, Saks};
use story::{News, Story};

/// Where MKPDUs are sent to; something on the way may have put one of these in the place of
/// another.
const GROUPS: [MacAddress; 3] = [NEAREST_NON_TPMR_BRIDGE, NEAREST_CUSTOMER_BRIDGE, NEAREST_BRIDGE];

/// How much is kept, whatever a capture says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// CAs whose CAK is not known. Those that are known have a place of their own each.
    pub unknown_cas: usize,
    /// Peers of a CA; those that have gone make room for others.
    pub peers: usize,
    /// SAKs, of all CAs.
    pub saks: usize,
    /// Lines of the story.
    pub story: usize,
    /// After so long a silence a peer has gone: MKA Life Time.
    pub life_time: Duration,
}

impl Default for Limits {
    /// 32 CAs, 64 peers each, 4096 SAKs, 10,000 lines of story; 6 seconds.
    fn default() -> Self {
        Self {
            unknown_cas: 32,
            peers: 64,
            saks: 4096,
            story: 10_000,
            life_time: Duration::from_secs(6),
        }
    }
}

/// What was found of a frame of EAPOL.
#[derive(Clone, Debug, PartialEq)]
pub struct MkpduFinding {
    /// What it says; see [`MkpduRecord::summary`] and [`MkpduRecord::whole`].
    pub record: MkpduRecord,
    /// What has become known by it, each a line of the story.
    pub news: Vec<StoryLine>,
}

/// Reads the MKA of a capture. See the [module](self).
#[derive(Debug)]
pub struct MkaReader {
    limits: Limits,
    /// Those whose CAK is known, then others.
    cas: Vec<Ca>,
    cas_left_out: u64,
    saks: Saks,
    story: Story,
    counts: Counts,
    /// The latest time there was.
    now: Duration,
    frame: u64,
}

impl MkaReader {
    /// A reader that knows the CAKs in `given`.
    #[must_use]
    pub fn new(given: &Given, limits: Limits) -> Self {
        let ca = |ckn: Ckn, cak: &Cak| {
            Ca::new(ckn, Some(CaKeys { ick: cak.ick(&ckn), kek: cak.kek(&ckn) }))
        };
        Self {
            limits,
            cas: given.cas.iter().map(|given| ca(given.ckn, &given.cak)).collect(),
            cas_left_out: 0,
            saks: Saks::default(),
            story: Story::default(),
            counts: Counts::default(),
            now: Duration::ZERO,
            frame: 0,
        }
    }

    /// Takes the next frame, one that [`classify`](crate::classify) says is EAPOL. Frames of the
    /// same capture, given to a new reader, give the same findings again.
    pub fn read(&mut self, frame: &Frame<'_>) -> MkpduFinding {
        self.frame = frame.number;
        let mut news = self.expire(frame.at);
        let mut record = MkpduRecord::new(frame);
        self.look_at(frame, &mut record, &mut news);
        self.counts.count(&record);
        self.story.add(&news.lines, self.limits.story);
        MkpduFinding { record, news: news.lines }
    }

    /// Time has passed to `at` without an MKPDU: who has gone by then? To be called at the end of a
    /// capture, and now and then of one that goes on.
    pub fn passed(&mut self, at: Duration) -> Vec<StoryLine> {
        let news = self.expire(at);
        self.story.add(&news.lines, self.limits.story);
        news.lines
    }

    /// Puts the SAKs that have been unwrapped into `book`, and what has become known of those that
    /// it has already.
    pub fn learned(&self, book: &mut SakBook) {
        self.saks.learned(book);
    }

    /// Goes up whenever [`learned`](Self::learned) has something new.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.saks.generation
    }

    /// Everything that is to be said of the whole, up to now.
    #[must_use]
    pub fn report(&self) -> MkaReport {
        let symptoms = symptoms::of(self);
        MkaReport {
            counts: self.counts.clone(),
            cas: self.cas.iter().map(CaReport::new).collect(),
            cas_left_out: self.cas_left_out,
            saks: self.saks.lives.iter().map(|life| self.sak_report(life)).collect(),
            saks_left_out: self.saks.left_out,
            story: self.story.lines.clone(),
            story_left_out: self.story.left_out,
            symptoms,
        }
    }

    fn sak_report(&self, life: &Life) -> SakReport {
        SakReport::new(life, self.cas.get(life.ca))
    }

    /// The clock never goes back, whatever order the frames are in.
    fn expire(&mut self, at: Duration) -> News {
        self.now = self.now.max(at);
        let mut news = News::new(self.frame, self.now);
        for (place, ca) in self.cas.iter_mut().enumerate() {
            for mi in ca.expire(&self.limits, &mut news) {
                self.saks.gone(place, ca, mi, &mut news);
            }
        }
        news
    }

    /// Reads and verifies it, and takes what it says.
    fn look_at(&mut self, frame: &Frame<'_>, record: &mut MkpduRecord, news: &mut News) {
        let received = match Received::parse(frame.octets, ETHERTYPE_EAPOL) {
            Ok(received) => received,
            Err(DecodeError::EapolLength(_) | DecodeError::FrameLength) if !frame.whole => {
                record.malformed = Some("cut short by the capture".to_owned());
                return;
            }
            Err(error) => {
                record.malformed = Some(error.to_string());
                return;
            }
        };
        let ckn = *received.ckn();
        record.ckn = Some(ckn.to_string());
        // More than one CAK may go by that name.
        let mut bad = None;
        for place in (0..self.cas.len()).filter(|place| self.cas[*place].ckn == ckn) {
            let Some(keys) = &self.cas[place].keys else { continue };
            match received.verify(&keys.ick) {
                Err(DecodeError::Icv) => bad = bad.or(Some(place)),
                Err(error @ DecodeError::AlgorithmAgility(_)) => {
                    self.cas[place].mkpdus += 1;
                    record.malformed = Some(error.to_string());
                    return;
                }
                Err(error) => {
                    record.icv = IcvVerdict::Ok;
                    record.malformed = Some(error.to_string());
                    self.cas[place].mkpdus += 1;
                    self.cas[place].icv_ok += 1;
                    return;
                }
                Ok(mkpdu) => {
                    record.icv = IcvVerdict::Ok;
                    let body = mkpdu.body();
                    let fields = MkpduFields::new(mkpdu.frame(), body, mkpdu.has_icv_indicator());
                    record.mkpdu = Some(Box::new(fields));
                    if let Some(error) = mkpdu.announcement_error() {
                        record.remarks.push(format!("passed over: {error}"));
                    }
                    self.cas[place].icv_ok += 1;
                    return self.take(place, body, record, news);
                }
            }
        }
        let claimed = match received.unverified() {
            Ok(claimed) => {
                let body = claimed.claimed_body();
                let fields = MkpduFields::new(claimed.frame(), body, claimed.has_icv_indicator());
                record.mkpdu = Some(Box::new(fields));
                Some(*body)
            }
            Err(error) => {
                record.malformed = Some(error.to_string());
                None
            }
        };
        if let Some(place) = bad {
            record.icv = IcvVerdict::Bad;
            record.remarks.push(self.why_bad(&received, place));
            self.cas[place].mkpdus += 1;
            return self.cas[place].bad_icv(record.source.as_ref());
        }
        record.icv = IcvVerdict::NoKey;
        let Some(place) = self.unknown_ca(ckn) else { return };
        match claimed {
            Some(body) => self.take(place, &body, record, news),
            None => self.cas[place].mkpdus += 1,
        }
    }

    /// Where the CA of an unknown CAK is kept; `None` if there is no room.
    fn unknown_ca(&mut self, ckn: Ckn) -> Option<usize> {
        let unknown = |ca: &&Ca| ca.keys.is_none();
        if let Some(place) = self.cas.iter().position(|ca| ca.keys.is_none() && ca.ckn == ckn) {
            return Some(place);
        }
        if self.cas.iter().filter(unknown).count() >= self.limits.unknown_cas {
            self.cas_left_out += 1;
            return None;
        }
        self.cas.push(Ca::new(ckn, None));
        Some(self.cas.len() - 1)
    }

    /// Takes what a member says.
    fn take(&mut self, place: usize, body: &Body<'_>, record: &mut MkpduRecord, news: &mut News) {
        let Some(ca) = self.cas.get_mut(place) else { return };
        ca.mkpdus += 1;
        record.mn = ca.take(body, &self.limits, news);
        match record.mn {
            None => return record.remarks.push("no room for another peer".to_owned()),
            Some(MnVerdict::First) => self.saks.resolve(place, ca, body.basic.actor.mi),
            Some(MnVerdict::Next) => {}
            // What it says was said before, or is out of date.
            Some(MnVerdict::Repeated | MnVerdict::Lower) => return,
        }
        let unwraps = self.saks.take(place, ca, body, &self.limits, news);
        if unwraps == Some(false) {
            record.remarks.push("the SAK does not unwrap".to_owned());
        }
        let sak = record.mkpdu.as_mut().and_then(|mkpdu| mkpdu.distributed_sak.as_mut());
        if let Some(sak) = sak {
            sak.unwrapped = unwraps;
        }
    }

    /// Why an ICV is likely wrong.
    fn why_bad(&self, received: &Received<'_>, place: usize) -> String {
        let ca = &self.cas[place];
        let frame = received.frame();
        let covered = frame.body.len().saturating_sub(ICV_LEN);
        let (said, icv) = frame.body.split_at(covered);
        let Some(keys) = &ca.keys else { return String::new() };
        for destination in GROUPS.into_iter().filter(|group| *group != frame.destination) {
            let mut octets = [&destination.0[..], &frame.source.0].concat();
            octets.extend(ETHERTYPE_EAPOL.to_be_bytes());
            octets.extend([frame.version, frame.packet_type]);
            octets.extend(u16::try_from(frame.body.len()).unwrap_or(u16::MAX).to_be_bytes());
            octets.extend(said);
            if keys.ick.icv(&octets) == *icv {
                return format!("it was sent to {destination}: something on the way rewrites that");
            }
        }
        "likely another CAK".to_owned()
    }
}

//! What peers announce: for people to see. Nothing here depends on it.
//!
//! It comes in MKPDUs, whose ICV protects it. It may be as old as a recording, though, as peers that are not live are
//! heard as well: some say it in their first MKPDUs only.

use arrayvec::ArrayString;
use macsec::{CipherSuite, Sci};

use super::Participant;
use crate::{Body, Kmd, Random, SuiteId, Tlv};

/// What a peer has announced of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Announced {
    /// Access Information (802.1X clause 11.12), the first there was.
    pub access_information: Option<[u8; 2]>,
    /// It can do suites that we do not know.
    pub other_suites: bool,
    /// A bit for each of [`CipherSuite::ALL`].
    suites: u8,
}

impl Announced {
    /// The cipher suites that it can do, as far as we know them.
    pub fn suites(&self) -> impl Iterator<Item = CipherSuite> + use<> {
        let suites = self.suites;
        let announced = move |&(at, _): &(usize, CipherSuite)| suites & (1 << at) != 0;
        CipherSuite::ALL.into_iter().enumerate().filter(announced).map(|(_, suite)| suite)
    }

    fn take(&mut self, tlv: &Tlv<'_>) {
        match tlv {
            Tlv::AccessInformation(octets) => {
                self.access_information = self.access_information.or(Some(*octets));
            }
            Tlv::CipherSuites(_) => tlv.suites().for_each(|entry| self.add(entry.suite)),
            _ => {}
        }
    }

    fn add(&mut self, suite: SuiteId) {
        let known = |suite| CipherSuite::ALL.iter().position(|known| *known == suite);
        match suite.known().and_then(known) {
            Some(at) => self.suites |= 1 << at,
            None => self.other_suites = true,
        }
    }
}

/// A name that a peer has announced. Anything may be in it: escape it before it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnnouncedName {
    /// Who did.
    pub from: Sci,
    name: ArrayString<{ Kmd::MAX_LEN }>,
}

impl AnnouncedName {
    /// The name as it came: UTF-8, 1 to 253 octets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }
}

/// The names announced last.
#[derive(Debug, Default)]
pub(crate) struct AnnouncedNames {
    kmd: Option<AnnouncedName>,
    nid: Option<AnnouncedName>,
}

impl<R: Random> Participant<R> {
    /// The Key Management Domain announced last, in a set of its own or in an Announcement.
    #[must_use]
    pub const fn announced_kmd(&self) -> Option<&AnnouncedName> {
        self.names.kmd.as_ref()
    }

    /// The network (NID) announced last: the first that an Announcement speaks of.
    #[must_use]
    pub const fn announced_nid(&self) -> Option<&AnnouncedName> {
        self.names.nid.as_ref()
    }

    /// Takes what the sender of an MKPDU announces. `malformed`: its Announcement has been passed over.
    pub(super) fn take_announcement(&mut self, body: &Body<'_>, malformed: bool) {
        let sci = body.basic.sci;
        let (mut kmd, mut nid) = (body.kmd.map(|kmd| kmd.octets()), None);
        if let Some(announcement) = body.announcement {
            let mut announced = Announced::default();
            for tlv in announcement.tlvs() {
                match tlv {
                    Tlv::Kmd(name) => kmd = kmd.or(Some(name)),
                    Tlv::Nid(name) => nid = nid.or(Some(name)),
                    tlv => announced.take(&tlv),
                }
            }
            if let Some(peer) = self.peers.get_mut(body.basic.actor.mi) {
                peer.announced = Some(announced);
            }
        }
        let names = [(kmd, &mut self.names.kmd), (nid, &mut self.names.nid)];
        let mut bad = malformed;
        for (octets, slot) in names {
            let Some(octets) = octets.filter(|octets| !octets.is_empty()) else { continue };
            let text = core::str::from_utf8(octets).ok();
            match text.and_then(|text| ArrayString::from(text).ok()) {
                Some(name) => *slot = Some(AnnouncedName { from: sci, name }),
                None => bad = true,
            }
        }
        self.counters.in_bad_announcements += u64::from(bad);
    }
}

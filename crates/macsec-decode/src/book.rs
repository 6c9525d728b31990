//! Every SAK that is known, and who transmits with it.

use core::time::Duration;

use macsec::{An, CipherSuite, ConfidentialityOffset, Ki, Sak, Salt, Sci, Ssci};

use crate::{Given, GivenSa};

/// Every SAK that is known, in the order in which they came to be known.
#[derive(Debug, Default)]
pub struct SakBook {
    /// The SAKs.
    pub saks: Vec<KnownSak>,
}

impl SakBook {
    /// The SAKs that the user has given. SAs of one SAK are one entry with several senders.
    #[must_use]
    pub fn of_given(given: &Given) -> Self {
        let mut book = Self::default();
        for sa in &given.sas {
            let known = book.saks.iter_mut().find(|known| known.is_of(sa));
            let sender =
                SakSender { sci: sa.sci, ssci: sa.ssci, lowest_pns: vec![(Duration::ZERO, sa.pn)] };
            match known {
                Some(known) => known.senders.push(sender),
                None => book.saks.extend(KnownSak::given(sa, sender)),
            }
        }
        book
    }
}

/// A SAK, and what is known of its use.
#[derive(Debug)]
pub struct KnownSak {
    /// Where it is from.
    pub source: SakSource,
    /// The AN that it is used with.
    pub an: An,
    /// Its suite.
    pub suite: CipherSuite,
    /// The key.
    pub sak: Sak,
    /// XPN: its salt.
    pub salt: Option<Salt>,
    /// Octets in clear before the encrypted ones.
    pub offset: ConfidentialityOffset,
    /// Who may transmit with it, as far as is known.
    pub senders: Vec<SakSender>,
}

impl KnownSak {
    /// Its name. SAKs that the user has given have none.
    #[must_use]
    pub fn ki(&self) -> Option<Ki> {
        match self.source {
            SakSource::Given => None,
            SakSource::Distributed { ki, .. } => Some(ki),
        }
    }

    fn given(sa: &GivenSa, sender: SakSender) -> Option<Self> {
        // A copy: the length is one that SAKs have.
        let sak = Sak::new(sa.sak.expose_octets()).ok()?;
        Some(Self {
            source: SakSource::Given,
            an: sa.an,
            suite: sa.suite,
            sak,
            salt: sa.salt,
            offset: sa.offset,
            senders: vec![sender],
        })
    }

    fn is_of(&self, sa: &GivenSa) -> bool {
        self.an == sa.an
            && self.suite == sa.suite
            && self.salt == sa.salt
            && self.offset == sa.offset
            && self.sak.expose_octets() == sa.sak.expose_octets()
    }
}

/// How a SAK has come to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SakSource {
    /// The user has given it.
    Given,
    /// MKA has distributed it.
    Distributed {
        /// Its name.
        ki: Ki,
        /// When it was first seen on its way.
        at: Duration,
    },
}

/// Somebody who has a SAK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SakSender {
    /// Who.
    pub sci: Sci,
    /// XPN: its SSCI, if known.
    pub ssci: Option<Ssci>,
    /// Lowest PNs that it has told in MKA, and when: the upper half of the PNs of XPN is close to these.
    pub lowest_pns: Vec<(Duration, u64)>,
}

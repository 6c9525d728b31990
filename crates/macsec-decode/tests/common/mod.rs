//! Frames sealed by the SecY, and books of the SAKs that open them.
#![allow(dead_code)] // Every test file uses its own part of this.

use std::time::Duration;

use macsec::{
    An, CipherSuite, Confidentiality, ConfidentialityOffset, Config, DataKey, FrameBuf, HEADROOM,
    KeySlot, Ki, MacAddress, Portable, ReceiveScSlot, Sak, Salt, Sci, SecY, Ssci, TAILROOM,
    TransmitSa,
};
use macsec_decode::{
    DataFinding, DataVerdict, Frame, KnownSak, Opener, SakBook, SakSender, SakSource,
};

pub(crate) const A: Sci = Sci([0x02, 0, 0, 0, 0, 0x0a, 0, 1]);
pub(crate) const B: Sci = Sci([0x02, 0, 0, 0, 0, 0x0b, 0, 1]);
pub(crate) const STRANGER: Sci = Sci([0x02, 0, 0, 0, 0, 0x0c, 0, 1]);
pub(crate) const SALT: Salt = Salt(*b"salt of ours");
pub(crate) const ENCRYPT: Confidentiality = Confidentiality::Encrypt(ConfidentialityOffset::Zero);

pub(crate) fn an(number: u8) -> An {
    An::new(number).expect("an AN is 0 to 3")
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn sak(suite: CipherSuite, number: u8) -> Sak {
    let octets: Vec<_> = (0..suite.key_len()).map(|at| (at as u8) ^ number).collect();
    Sak::new(&octets).expect("a length that SAKs have")
}

/// SAK `number`, distributed at `at` seconds to `A` and `B`, whose SSCIs are 2 and 1.
pub(crate) fn distributed(suite: CipherSuite, number: u8, sa: u8, at: u64) -> KnownSak {
    let sender = |sci, ssci| SakSender {
        sci,
        ssci: suite.is_xpn().then_some(Ssci(ssci)),
        lowest_pns: Vec::new(),
    };
    KnownSak {
        source: SakSource::Distributed { ki: Ki([number; 16]), at: seconds(at) },
        an: an(sa),
        suite,
        sak: sak(suite, number),
        salt: suite.is_xpn().then_some(SALT),
        offset: ConfidentialityOffset::Zero,
        senders: vec![sender(A, 2), sender(B, 1)],
    }
}

pub(crate) fn book(saks: impl IntoIterator<Item = KnownSak>) -> SakBook {
    SakBook { saks: saks.into_iter().collect() }
}

/// A SecY that sends, and nothing else.
pub(crate) struct Sender(
    SecY<Portable, Vec<KeySlot<macsec::gcm::PortableKey>>, Vec<ReceiveScSlot>>,
);

/// What a sender does, apart from what everybody does.
#[derive(Clone, Copy)]
pub(crate) struct Sending {
    pub(crate) suite: CipherSuite,
    pub(crate) key: u8,
    pub(crate) sa: u8,
    pub(crate) sci: Sci,
    pub(crate) ssci: u32,
    pub(crate) pn: u64,
    pub(crate) confidentiality: Confidentiality,
}

impl Sending {
    /// From `A`, with SAK 1 under AN 0.
    pub(crate) fn new(suite: CipherSuite) -> Self {
        Self { suite, key: 1, sa: 0, sci: A, ssci: 2, pn: 1, confidentiality: ENCRYPT }
    }

    pub(crate) fn sender(self, change: impl FnOnce(&mut Config)) -> Sender {
        let mut config = Config::default();
        config.always_include_sci = true;
        config.max_frame_octets = 10_000;
        change(&mut config);
        let mut secy = SecY::new(Portable, self.sci, config, vec![KeySlot::EMPTY], Vec::new())
            .expect("controls that agree");
        let salt = self.suite.is_xpn().then_some(SALT);
        let ki = Ki([self.key; 16]);
        let key = DataKey::new(ki, self.suite, sak(self.suite, self.key), salt);
        secy.install_key(&key.expect("all fits")).expect("the first key");
        let sa = TransmitSa {
            an: an(self.sa),
            ki,
            ssci: self.suite.is_xpn().then_some(Ssci(self.ssci)),
            next_pn: self.pn,
            confidentiality: self.confidentiality,
        };
        secy.install_transmit_sa(&sa).expect("the first SA");
        secy.enable_transmit_sa(an(self.sa)).expect("it is there");
        Sender(secy)
    }
}

impl Sender {
    pub(crate) fn seal(&mut self, plain: &[u8]) -> Vec<u8> {
        let buffer = [&[0; HEADROOM][..], plain, &[0; TAILROOM]].concat();
        let frame = FrameBuf::new(buffer, HEADROOM..HEADROOM + plain.len()).expect("inside");
        self.0.protect(frame).expect("can be protected").octets().to_vec()
    }

    /// A frame with so many octets of User Data.
    pub(crate) fn seal_some(&mut self, user_data: usize) -> Vec<u8> {
        self.seal(&plain(A.mac(), user_data))
    }
}

/// A frame with so many octets of User Data, an EtherType among them.
pub(crate) fn plain(source: MacAddress, user_data: usize) -> Vec<u8> {
    let data = (0..).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8);
    let data: Vec<_> = [0x08, 0x00].into_iter().chain(data).take(user_data).collect();
    [&[0x02, 0, 0, 0, 0, 0xdd][..], &source.0, &data].concat()
}

pub(crate) fn frame(octets: &[u8], at: u64) -> Frame<'_> {
    Frame { number: 1, at: seconds(at), octets, whole: true }
}

/// An opener, and a book for it.
pub(crate) struct Decoder {
    pub(crate) opener: Opener,
    pub(crate) book: SakBook,
    pub(crate) clear: Vec<u8>,
}

impl Decoder {
    pub(crate) fn new(saks: impl IntoIterator<Item = KnownSak>) -> Self {
        Self { opener: Opener::new(), book: book(saks), clear: Vec::new() }
    }

    pub(crate) fn open_at(&mut self, octets: &[u8], at: u64) -> DataFinding {
        let frame = frame(octets, at);
        let found = self.opener.open(&self.book, &frame, &mut self.clear).expect("has a SecTAG");
        assert_eq!(self.clear.is_empty(), found.verdict != DataVerdict::Ok);
        found
    }

    pub(crate) fn open(&mut self, octets: &[u8]) -> DataFinding {
        self.open_at(octets, 100)
    }

    /// Opens a frame and compares it to what was sealed.
    pub(crate) fn opens(&mut self, octets: &[u8], plain: &[u8]) -> DataFinding {
        let found = self.open(octets);
        assert_eq!(found.verdict, DataVerdict::Ok, "{found:?}");
        assert_eq!(self.clear, plain);
        found
    }
}

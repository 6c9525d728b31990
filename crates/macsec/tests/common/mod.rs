//! Small builders that the integration tests share.
//!
//! One station, `SENDER`, transmits; another, `RECEIVER`, has a receive SC for it. Frames can also
//! be made without a SecY, by [`RawFrame`], from nothing but the cipher and the standard's layout:
//! that is the independent opinion.
#![allow(dead_code)] // Every test file uses its own part of this.

use macsec::{
    An, Backend, CipherSuite, Confidentiality, ConfidentialityOffset, Config, Counters, DataKey,
    FrameBuf, HEADROOM, KeySlot, Ki, MacAddress, Portable, ProtectError, ReceiveOutcome, ReceiveSa,
    ReceiveScSlot, Sak, Salt, Sci, SecTag, SecY, Ssci, TAILROOM, TransmitSa,
};
use macsec_gcm::{GcmKey, KeyBytes, SealJob};

pub(crate) type VecSecY<B = Portable> =
    SecY<B, Vec<KeySlot<<B as Backend>::Key>>, Vec<ReceiveScSlot>>;

pub(crate) const DESTINATION: MacAddress = MacAddress([0x02, 0, 0, 0, 0xd0, 0x01]);
pub(crate) const SENDER: Sci = Sci([0x02, 0, 0, 0, 0, 0x01, 0, 1]);
pub(crate) const RECEIVER: Sci = Sci([0x02, 0, 0, 0, 0, 0x02, 0, 1]);
pub(crate) const STRANGER: Sci = Sci([0x02, 0, 0, 0, 0, 0x03, 0, 1]);
pub(crate) const SALT: Salt = Salt(*b"salt of ours");

pub(crate) const INTEGRITY: Confidentiality = Confidentiality::IntegrityOnly;
pub(crate) const ENCRYPT: Confidentiality = Confidentiality::Encrypt(ConfidentialityOffset::Zero);
pub(crate) const ENCRYPT_30: Confidentiality =
    Confidentiality::Encrypt(ConfidentialityOffset::Thirty);
pub(crate) const ENCRYPT_50: Confidentiality =
    Confidentiality::Encrypt(ConfidentialityOffset::Fifty);

pub(crate) fn an(number: u8) -> An {
    An::new(number).expect("an AN is 0 to 3")
}

pub(crate) fn ki(number: u8) -> Ki {
    Ki([number; 16])
}

/// The SAK number `number` for `suite`, as octets.
pub(crate) fn sak_octets(suite: CipherSuite, number: u8) -> Vec<u8> {
    let octets = (0..suite.key_len()).map(|at| (at as u8).wrapping_mul(7) ^ number);
    octets.collect()
}

pub(crate) fn data_key(suite: CipherSuite, number: u8) -> DataKey {
    let sak = Sak::new(&sak_octets(suite, number)).expect("a length that SAKs have");
    let salt = suite.is_xpn().then_some(SALT);
    DataKey::new(ki(number), suite, sak, salt).expect("all the parts fit")
}

/// `number` where the suite has SSCIs.
pub(crate) fn ssci(suite: CipherSuite, number: u32) -> Option<Ssci> {
    suite.is_xpn().then_some(Ssci(number))
}

pub(crate) fn config(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config::default();
    change(&mut config);
    config
}

/// All zero but for what `change` sets.
pub(crate) fn counters(change: impl FnOnce(&mut Counters)) -> Counters {
    let mut counters = Counters::default();
    change(&mut counters);
    counters
}

/// A SecY with room for four keys and four peers, and nothing installed.
pub(crate) fn bare_secy<B: Backend>(backend: B, sci: Sci, config: Config) -> VecSecY<B> {
    let keys = (0..4).map(|_| KeySlot::EMPTY).collect();
    let peers = (0..4).map(|_| ReceiveScSlot::EMPTY).collect();
    SecY::new(backend, sci, config, keys, peers).expect("controls that agree")
}

/// What a sender and a receiver have in common: SA `an` of `SENDER`, with key 1 and SSCI 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) suite: CipherSuite,
    pub(crate) confidentiality: Confidentiality,
    /// The first PN to send, and the lowest to accept.
    pub(crate) pn: u64,
    pub(crate) an: An,
}

impl Link {
    pub(crate) fn new(suite: CipherSuite, confidentiality: Confidentiality) -> Self {
        let (pn, an) = (1, an(0));
        Self { suite, confidentiality, pn, an }
    }

    pub(crate) fn at_pn(self, pn: u64) -> Self {
        Self { pn, ..self }
    }

    pub(crate) fn transmit_sa(&self) -> TransmitSa {
        TransmitSa {
            an: self.an,
            ki: ki(1),
            ssci: ssci(self.suite, 1),
            next_pn: self.pn,
            confidentiality: self.confidentiality,
        }
    }

    pub(crate) fn receive_sa(&self) -> ReceiveSa {
        ReceiveSa {
            an: self.an,
            ki: ki(1),
            ssci: ssci(self.suite, 1),
            lowest_pn: self.pn,
            offset: offset_of(self.confidentiality),
        }
    }

    pub(crate) fn sender(&self, config: Config) -> VecSecY {
        self.sender_on(Portable, SENDER, config)
    }

    pub(crate) fn sender_on<B: Backend>(&self, backend: B, sci: Sci, config: Config) -> VecSecY<B> {
        let mut secy = bare_secy(backend, sci, config);
        let key = data_key(self.suite, 1);
        secy.install_key(&key).expect("the first key");
        let sa = self.transmit_sa();
        secy.install_transmit_sa(&sa).expect("the first SA");
        secy.enable_transmit_sa(self.an).expect("it is there");
        secy
    }

    pub(crate) fn receiver(&self, config: Config) -> VecSecY {
        self.receiver_on(Portable, SENDER, config)
    }

    /// A SecY that receives from `peer`.
    pub(crate) fn receiver_on<B: Backend>(
        &self,
        backend: B,
        peer: Sci,
        config: Config,
    ) -> VecSecY<B> {
        let mut secy = bare_secy(backend, RECEIVER, config);
        let key = data_key(self.suite, 1);
        secy.install_key(&key).expect("the first key");
        secy.create_receive_sc(peer).expect("the first SC");
        let sa = self.receive_sa();
        secy.install_receive_sa(peer, &sa).expect("the first SA");
        secy.enable_receive_sa(peer, self.an).expect("it is there");
        secy
    }
}

pub(crate) fn offset_of(confidentiality: Confidentiality) -> ConfidentialityOffset {
    match confidentiality {
        Confidentiality::IntegrityOnly => ConfidentialityOffset::Zero,
        Confidentiality::Encrypt(offset) => offset,
    }
}

/// `len` octets of User Data, an IPv4 EtherType in front.
pub(crate) fn user_data(len: usize) -> Vec<u8> {
    let rest = (0..).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8);
    [0x08, 0x00].into_iter().chain(rest).take(len).collect()
}

/// The two addresses in front of `rest`.
pub(crate) fn frame_of(source: MacAddress, rest: &[u8]) -> Vec<u8> {
    [&DESTINATION.0[..], &source.0, rest].concat()
}

/// A frame from `SENDER` with `len` octets of User Data.
pub(crate) fn user_frame(len: usize) -> Vec<u8> {
    frame_of(SENDER.mac(), &user_data(len))
}

/// `octets` with the room around them that protection needs.
pub(crate) fn with_room(octets: &[u8]) -> FrameBuf<Vec<u8>> {
    let buffer = [&[0xee; HEADROOM][..], octets, &[0xee; TAILROOM]].concat();
    FrameBuf::new(buffer, HEADROOM..HEADROOM + octets.len()).expect("inside the buffer")
}

pub(crate) fn try_protect<B: Backend>(
    secy: &mut VecSecY<B>,
    octets: &[u8],
) -> Result<Vec<u8>, ProtectError> {
    match secy.protect(with_room(octets)) {
        Ok(sent) => Ok(sent.octets().to_vec()),
        Err(refused) => {
            assert_eq!(refused.frame.octets(), octets, "refused frames stay whole");
            Err(refused.error)
        }
    }
}

pub(crate) fn protect<B: Backend>(secy: &mut VecSecY<B>, octets: &[u8]) -> Vec<u8> {
    try_protect(secy, octets).expect("can be protected")
}

/// What `validate` says, and what it delivers.
pub(crate) type Received = (ReceiveOutcome, Option<Vec<u8>>);

pub(crate) fn validate<B: Backend>(secy: &mut VecSecY<B>, octets: &[u8]) -> Received {
    let verdict = secy.validate(octets.to_vec());
    (verdict.outcome(), verdict.delivered().map(<[u8]>::to_vec))
}

pub(crate) fn outcome<B: Backend>(secy: &mut VecSecY<B>, octets: &[u8]) -> ReceiveOutcome {
    validate(secy, octets).0
}

/// Transmit SA number `sa_an` with key number `key`.
pub(crate) fn transmit_sa(suite: CipherSuite, sa_an: u8, key: u8, next_pn: u64) -> TransmitSa {
    TransmitSa {
        an: an(sa_an),
        ki: ki(key),
        ..Link::new(suite, ENCRYPT).at_pn(next_pn).transmit_sa()
    }
}

/// The receive SA that goes with it.
pub(crate) fn receive_sa(suite: CipherSuite, sa_an: u8, key: u8, lowest_pn: u64) -> ReceiveSa {
    ReceiveSa {
        an: an(sa_an),
        ki: ki(key),
        ..Link::new(suite, ENCRYPT).at_pn(lowest_pn).receive_sa()
    }
}

/// A protected frame made without a SecY, octet by octet (802.1AE clauses 9 and 14).
#[derive(Clone, Debug)]
pub(crate) struct RawFrame {
    pub(crate) suite: CipherSuite,
    pub(crate) key: u8,
    /// For the nonce: what `ssci` the sender has with XPN suites, and what SCI with the others.
    pub(crate) ssci: u32,
    pub(crate) sci: Sci,
    pub(crate) source: MacAddress,
    /// TCI and AN.
    pub(crate) tci_an: u8,
    pub(crate) sl: u8,
    pub(crate) pn: u64,
    pub(crate) offset: usize,
    pub(crate) clear_tags: Vec<u8>,
    pub(crate) user_data: Vec<u8>,
}

impl RawFrame {
    /// From `SENDER`, AN 0, key 1, SCI in the tag.
    pub(crate) fn new(suite: CipherSuite, encrypted: bool, pn: u64, user_data: &[u8]) -> Self {
        Self {
            suite,
            key: 1,
            ssci: 1,
            sci: SENDER,
            source: SENDER.mac(),
            tci_an: if encrypted { 0x2c } else { 0x20 },
            sl: SecTag::short_length_for(user_data.len()),
            pn,
            offset: 0,
            clear_tags: Vec::new(),
            user_data: user_data.to_vec(),
        }
    }

    pub(crate) fn sectag(&self) -> Vec<u8> {
        let mut tag = vec![0x88, 0xe5, self.tci_an, self.sl];
        tag.extend((self.pn as u32).to_be_bytes());
        if self.tci_an & 0x20 != 0 {
            tag.extend(self.sci.0);
        }
        tag
    }

    pub(crate) fn nonce(&self) -> [u8; 12] {
        let mut nonce = [0; 12];
        if self.suite.is_xpn() {
            nonce[..4].copy_from_slice(&self.ssci.to_be_bytes());
            nonce[4..].copy_from_slice(&self.pn.to_be_bytes());
            nonce.iter_mut().zip(SALT.0).for_each(|(n, s)| *n ^= s);
        } else {
            nonce[..8].copy_from_slice(&self.sci.0);
            nonce[8..].copy_from_slice(&(self.pn as u32).to_be_bytes());
        }
        nonce
    }

    /// From the destination address to the ICV.
    pub(crate) fn build(&self) -> Vec<u8> {
        let sak = sak_octets(self.suite, self.key);
        let key = Portable.expand(KeyBytes::from_slice(&sak).expect("16 or 32"));
        let clear = if self.tci_an & 0x08 != 0 {
            self.offset.min(self.user_data.len())
        } else {
            self.user_data.len()
        };
        let (clear, text) = self.user_data.split_at(clear);
        let addresses = frame_of(self.source, &[]);
        let aad = [&addresses, &self.sectag(), clear].concat();
        let (mut text, mut tag) = (text.to_vec(), [0; 16]);
        key.seal(&mut SealJob { nonce: self.nonce(), aad: &aad, text: &mut text, tag: &mut tag });
        [&addresses, &self.clear_tags, &self.sectag(), clear, &text, &tag]
            .map(|part: &[u8]| part)
            .concat()
    }

    /// Addresses, clear tags and User Data: what should be delivered.
    pub(crate) fn plain(&self) -> Vec<u8> {
        [&frame_of(self.source, &[])[..], &self.clear_tags, &self.user_data].concat()
    }
}

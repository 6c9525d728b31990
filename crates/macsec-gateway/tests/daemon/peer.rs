//! The far end of the wire: a SecY in the test's hands.
#![allow(unreachable_pub, dead_code)]

use macsec::{
    An, CipherSuite, Confidentiality, ConfidentialityOffset, Config, DataKey, FrameBuf, HEADROOM,
    Ki, MacAddress, ReceiveSa, Sak, Salt, Sci, Ssci, TAILROOM, TransmitSa,
};
use macsec_gateway::port::{PortSecY, Room, new_secy};

use super::bench::{FAR, NEAR, SALT};

const KI: Ki = Ki([7; 16]);

/// The SecY behind [`FAR`], or another address.
pub struct Peer {
    pub secy: PortSecY,
}

/// A frame that the gateway has sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Seen {
    /// Protected with our key, and this inside.
    Valid(Vec<u8>),
    /// With a SecTAG, and not valid.
    Invalid,
    /// In clear.
    Clear(Vec<u8>),
}

impl Peer {
    /// One that has `sak` (hexadecimal) in common with the gateway at [`NEAR`].
    pub fn new(suite: CipherSuite, sak: &str) -> Self {
        Self::with(suite, sak, FAR, NEAR, Config::default())
    }

    pub fn with(
        suite: CipherSuite,
        sak: &str,
        ours: [u8; 6],
        theirs: [u8; 6],
        controls: Config,
    ) -> Self {
        let sci = Sci::new(MacAddress(ours), 1);
        let mut secy = new_secy(sci, controls, Room::default()).expect("a SecY");
        let sak = Sak::new(&hex::decode(sak).expect("digits")).expect("a length there is");
        let xpn = suite.is_xpn();
        let salt =
            xpn.then(|| Salt(hex::decode(SALT).expect("digits").try_into().expect("12 octets")));
        let ssci = |number| xpn.then_some(Ssci(number));
        secy.install_key(&DataKey::new(KI, suite, sak, salt).expect("a key")).expect("a slot");
        let (an, ki) = (An::default(), KI);
        let confidentiality = Confidentiality::default();
        let sa = TransmitSa { an, ki, ssci: ssci(2), next_pn: 1, confidentiality };
        secy.install_transmit_sa(&sa).expect("an SA");
        secy.enable_transmit_sa(an).expect("the SA is there");
        let from = Sci::new(MacAddress(theirs), 1);
        secy.create_receive_sc(from).expect("room");
        let offset = ConfidentialityOffset::Zero;
        let sa = ReceiveSa { an, ki, ssci: ssci(1), lowest_pn: 1, offset };
        secy.install_receive_sa(from, &sa).expect("an SA");
        secy.enable_receive_sa(from, an).expect("the SA is there");
        Self { secy }
    }

    /// Protects a frame.
    pub fn protect(&mut self, inner: &[u8]) -> Vec<u8> {
        let mut buffer = vec![0; HEADROOM + inner.len() + TAILROOM];
        let range = HEADROOM..HEADROOM + inner.len();
        buffer[range.clone()].copy_from_slice(inner);
        let frame = FrameBuf::new(buffer.as_mut_slice(), range).expect("a frame");
        match self.secy.protect(frame) {
            Ok(frame) => frame.octets().to_vec(),
            Err(_) => panic!("refused"),
        }
    }

    /// Goes on with `pn`, if that is higher.
    pub fn raise(&mut self, pn: u64) {
        self.secy.raise_transmit_next_pn(An::default(), pn).expect("a PN");
    }

    /// What a frame on the wire is.
    pub fn look(&mut self, frame: &[u8]) -> Seen {
        if frame.get(12..14) != Some(&[0x88, 0xe5]) {
            return Seen::Clear(frame.to_vec());
        }
        let mut octets = frame.to_vec();
        let verdict = self.secy.validate(octets.as_mut_slice());
        verdict.delivered().map_or(Seen::Invalid, |inner| Seen::Valid(inner.to_vec()))
    }
}

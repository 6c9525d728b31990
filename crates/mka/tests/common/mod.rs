//! What the tests share: vectors, and frames made octet by octet.
#![allow(dead_code)] // Every test file uses its own part of this.

use macsec::{MacAddress, Sci};
use mka::{
    Basic, Body, Cak, Capability, Ckn, DecodeError, ETHERTYPE_EAPOL, Framing, ICV_LEN, Ick, Kek,
    MAX_FRAME_LEN, Member, Mi, Mkpdu, Random, RandomError, Received,
};
use serde_json::Value;

const KEYS: &str = include_str!("../../../../test-vectors/mka/keys.json");
const GOLDEN: &str = include_str!("../../../../test-vectors/mka/golden-frames.json");

pub(crate) const SOURCE: MacAddress = MacAddress([2, 0, 0, 0, 0, 0x0a]);
pub(crate) const MI: Mi = Mi(*b"our own MI..");
pub(crate) const PEER: Mi = Mi(*b"a peer's MI.");

/// The vectors of one kind.
pub(crate) fn vectors(kind: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(KEYS).unwrap();
    all[kind].as_array().unwrap().clone()
}

/// A golden frame and what is known about it.
pub(crate) struct Golden {
    pub(crate) id: String,
    pub(crate) ckn: Ckn,
    pub(crate) ick: Ick,
    pub(crate) kek: Kek,
    pub(crate) sak: Option<Vec<u8>>,
    pub(crate) standard_order: bool,
    pub(crate) frame: Vec<u8>,
}

pub(crate) fn golden() -> Vec<Golden> {
    let all: Value = serde_json::from_str(GOLDEN).unwrap();
    let golden = |frame: &Value| {
        let (cak, ckn) = (Cak::new(&octets(&frame["cak"])).unwrap(), ckn(&frame["ckn"]));
        Golden {
            id: frame["id"].as_str().unwrap().to_owned(),
            ckn,
            ick: cak.ick(&ckn),
            kek: cak.kek(&ckn),
            sak: frame["sak"].as_str().map(|sak| hex::decode(sak).unwrap()),
            standard_order: frame["order"] == "standard",
            frame: octets(&frame["frame"]),
        }
    };
    all["frames"].as_array().unwrap().iter().map(golden).collect()
}

/// The golden frame of this name.
pub(crate) fn golden_frame(id: &str) -> Golden {
    golden().into_iter().find(|golden| golden.id == id).unwrap()
}

pub(crate) fn octets(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

pub(crate) fn ckn(value: &Value) -> Ckn {
    Ckn::new(&octets(value)).unwrap()
}

pub(crate) fn lab_cak() -> Cak {
    Cak::new(&[0x42; 16]).unwrap()
}

pub(crate) fn lab_ckn() -> Ckn {
    Ckn::new(b"MACSEC-LAB-CKN01").unwrap()
}

pub(crate) fn lab_ick() -> Ick {
    lab_cak().ick(&lab_ckn())
}

/// A Basic parameter set of ours.
pub(crate) fn basic() -> Basic {
    Basic {
        version: 3,
        key_server_priority: 16,
        key_server: true,
        macsec_desired: true,
        macsec_capability: Capability::Offsets,
        sci: Sci::new(SOURCE, 1),
        actor: Member { mi: MI, mn: 7 },
        ckn: lab_ckn(),
    }
}

pub(crate) fn framing() -> Framing {
    Framing::new(SOURCE)
}

/// The frame that carries `body`, under the lab's key.
pub(crate) fn encode(framing: &Framing, body: &Body<'_>) -> Vec<u8> {
    let mut buffer = [0xee; MAX_FRAME_LEN];
    let len = framing.encode(body, &lab_ick(), &mut buffer).unwrap();
    buffer[..len].to_vec()
}

pub(crate) fn parse(frame: &[u8]) -> Result<Received<'_>, DecodeError> {
    Received::parse(frame, ETHERTYPE_EAPOL)
}

pub(crate) fn verify(frame: &[u8]) -> Result<Mkpdu<'_>, DecodeError> {
    parse(frame)?.verify(&lab_ick())
}

/// A parameter set made of a type, octet 2, the upper half of octet 3 and a body.
pub(crate) fn set(kind: u8, specific: u8, flags: u8, body: &[u8]) -> Vec<u8> {
    let mut set = set_header(kind, specific, flags, body.len());
    set.extend(body);
    set.resize(set.len().next_multiple_of(4), 0);
    set
}

pub(crate) fn set_header(kind: u8, specific: u8, flags: u8, len: usize) -> Vec<u8> {
    let [high, low] = u16::try_from(len).unwrap().to_be_bytes();
    vec![kind, specific, (flags << 4) | high, low]
}

/// A Basic parameter set made of a version, and of octets in place of a CKN.
pub(crate) fn raw_basic(version: u8, ckn: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(Sci::new(SOURCE, 1).0);
    body.extend(MI.0);
    body.extend(7u32.to_be_bytes());
    body.extend(0x0080_c201_u32.to_be_bytes());
    body.extend(ckn);
    set(version, 16, 0xf, &body)
}

/// The frame with these sets behind `basic`, under the lab's key. Whatever they are, the ICV is right.
pub(crate) fn raw_frame(basic: &[u8], sets: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x01, 0x80, 0xc2, 0, 0, 3];
    frame.extend(SOURCE.0);
    frame.extend([0x88, 0x8e, 3, 5]);
    let len = u16::try_from(basic.len() + sets.len() + ICV_LEN).unwrap();
    frame.extend(len.to_be_bytes());
    frame.extend(basic);
    frame.extend(sets);
    let icv = lab_ick().icv(&frame);
    frame.extend(icv);
    frame
}

/// The frame with these sets behind an ordinary Basic parameter set.
pub(crate) fn frame_of(sets: &[u8]) -> Vec<u8> {
    raw_frame(&raw_basic(3, lab_ckn().octets()), sets)
}

/// Puts the right ICV, under the lab's key, on a frame that was changed.
pub(crate) fn reseal(frame: &mut [u8]) {
    let (octets, icv) = frame.split_at_mut(frame.len() - ICV_LEN);
    icv.copy_from_slice(&lab_ick().icv(octets));
}

/// Gives out what it was made of, then fails.
pub(crate) struct Fixed(pub(crate) Vec<u8>);

impl Random for Fixed {
    fn fill(&mut self, octets: &mut [u8]) -> Result<(), RandomError> {
        if octets.len() > self.0.len() {
            return Err(RandomError);
        }
        octets.copy_from_slice(&self.0[..octets.len()]);
        self.0.drain(..octets.len());
        Ok(())
    }
}

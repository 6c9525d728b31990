//! The Basic parameter set: who sends, and under which CAK (802.1X clause 11.11.1, figure 11-8).

use core::fmt;

use macsec::Sci;
use nom::{IResult, Parser, bytes::complete::take, number::complete::be_u32};

use super::{header, padding};
use crate::{Ckn, DecodeError, EncodeError, ICV_LEN, Member, Mi, write::Writer};

/// The one algorithm agility there is: AES-CMAC for ICV and key derivation, AES key wrap.
pub const ALGORITHM_AGILITY: u32 = 0x0080_c201;

/// Octets of the body before the CKN.
const FIXED_LEN: u16 = 28;
const MAX_LEN: u16 = FIXED_LEN + Ckn::MAX_LEN as u16;
const KEY_SERVER: u8 = 0x80;
const MACSEC_DESIRED: u8 = 0x40;

/// What a member can do with MACsec, each with all that is above it (802.1X clause 11.11.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Capability {
    /// 0: no MACsec.
    None,
    /// 1: integrity without confidentiality.
    Integrity,
    /// 2: also confidentiality, offset 0.
    Confidentiality,
    /// 3: also the confidentiality offsets 30 and 50.
    Offsets,
}

impl Capability {
    pub(crate) const fn of(bits: u16) -> Self {
        match bits & 0x03 {
            0 => Self::None,
            1 => Self::Integrity,
            2 => Self::Confidentiality,
            _ => Self::Offsets,
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "no MACsec",
            Self::Integrity => "integrity",
            Self::Confidentiality => "confidentiality, offset 0",
            Self::Offsets => "confidentiality, offset 0, 30, 50",
        })
    }
}

/// The Basic parameter set, the first of every MKPDU.
///
/// Its algorithm agility is not here: an MKPDU with another than [`ALGORITHM_AGILITY`] is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Basic {
    /// The MKA version identifier: 1, 2 or 3; above that, whatever a newer member sends.
    pub version: u8,
    /// The Key Server Priority: less is better, 0xff is never.
    pub key_server_priority: u8,
    /// The sender is the key server, or knows no better one yet.
    pub key_server: bool,
    /// The sender wants MACsec.
    pub macsec_desired: bool,
    /// What the sender can do with MACsec.
    pub macsec_capability: Capability,
    /// The SCI of the sender.
    pub sci: Sci,
    /// The sender and the number of this message.
    pub actor: Member,
    /// The name of the CAK.
    pub ckn: Ckn,
}

impl Basic {
    /// Reads the set at the front of an MKPDU, and what stands behind it.
    pub(crate) fn parse(mkpdu: &[u8]) -> Result<(Self, u32, &[u8]), DecodeError> {
        let overrun = |_| DecodeError::BasicOverrun;
        let (rest, (version, priority, flags, length)) = header(mkpdu).map_err(overrun)?;
        if !(FIXED_LEN + 1..=MAX_LEN).contains(&length) {
            return Err(DecodeError::BasicLength(length));
        }
        let ckn_len = usize::from(length - FIXED_LEN);
        let (rest, ((sci, actor, agility), ckn)) = (fixed, take(ckn_len))
            .parse(rest)
            .map_err(|_: nom::Err<()>| DecodeError::BasicOverrun)?;
        let rest = rest.get(padding(ckn_len)..).ok_or(DecodeError::BasicOverrun)?;
        if rest.len() < ICV_LEN {
            return Err(DecodeError::BasicOverrun);
        }
        let ckn = Ckn::new(ckn).map_err(|_| DecodeError::BasicLength(length))?;
        if version == 0 {
            return Err(DecodeError::MkaVersion);
        }
        let basic = Self {
            version,
            key_server_priority: priority,
            key_server: flags & KEY_SERVER != 0,
            macsec_desired: flags & MACSEC_DESIRED != 0,
            macsec_capability: Capability::of(u16::from(flags >> 4)),
            sci,
            actor,
            ckn,
        };
        Ok((basic, agility, rest))
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        if !(1..=3).contains(&self.version) {
            return Err(EncodeError::MkaVersion);
        }
        let ckn = self.ckn.octets();
        let mut flags = (self.macsec_capability as u8) << 4;
        if self.key_server {
            flags |= KEY_SERVER;
        }
        if self.macsec_desired {
            flags |= MACSEC_DESIRED;
        }
        let len = usize::from(FIXED_LEN) + ckn.len();
        writer.header(self.version, self.key_server_priority, flags, len)?;
        writer.put(&self.sci.0)?;
        writer.put(&self.actor.mi.0)?;
        writer.put(&self.actor.mn.to_be_bytes())?;
        writer.put(&ALGORITHM_AGILITY.to_be_bytes())?;
        writer.put(ckn)?;
        writer.pad(len)
    }
}

/// Dissector style.
impl fmt::Display for Basic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, key_server_priority, macsec_capability, sci, actor, ckn, .. } = self;
        write!(f, "MKA v{version} SCI {sci} MI {actor} CKN {ckn} priority {key_server_priority}")?;
        if self.key_server {
            f.write_str(" key server")?;
        }
        if self.macsec_desired {
            f.write_str(" MACsec desired")?;
        }
        write!(f, " ({macsec_capability})")
    }
}

fn fixed(input: &[u8]) -> IResult<&[u8], (Sci, Member, u32), ()> {
    let sci = take(8usize).map_res(<[u8; 8]>::try_from).map(Sci);
    (sci, member, be_u32).parse(input)
}

/// An MI and an MN.
pub(super) fn member(input: &[u8]) -> IResult<&[u8], Member, ()> {
    let mi = take(12usize).map_res(<[u8; 12]>::try_from).map(Mi);
    (mi, be_u32).map(|(mi, mn)| Member { mi, mn }).parse(input)
}

//! Announcement: the TLVs of EAPOL-Announcements, protected by the ICV (802.1X clause 11.12).

use core::fmt;

use nom::{IResult, Parser, bytes::complete::take, number::complete::be_u16};

use super::{Capability, RawSet, SetType, SuiteId, distributed_sak::suite_id};
use crate::{DecodeError, EncodeError, write::Writer};

const ACCESS_INFORMATION: u8 = 111;
const CIPHER_SUITES: u8 = 112;
const KMD: u8 = 113;
const NID: u8 = 114;
const TLV_LENGTH_MASK: u16 = 0x01ff;
const SUITE_LEN: usize = 10;
const MAX_KMD_LEN: usize = super::Kmd::MAX_LEN;
const MAX_NID_LEN: usize = 100;

/// A string of TLVs whose lengths have been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcement<'a> {
    octets: &'a [u8],
}

impl<'a> Announcement<'a> {
    /// The announcement made of these TLVs.
    ///
    /// # Errors
    /// `TlvOverrun` or `TlvLength`.
    pub fn new(octets: &'a [u8]) -> Result<Self, DecodeError> {
        let mut rest = octets;
        while !rest.is_empty() {
            let (next, kind, value) = split_tlv(rest)?;
            let fits = match kind {
                ACCESS_INFORMATION => value.len() == 2,
                CIPHER_SUITES => value.len().is_multiple_of(SUITE_LEN),
                KMD => value.len() <= MAX_KMD_LEN,
                NID => value.len() <= MAX_NID_LEN,
                _ => true,
            };
            if !fits {
                let len = u16::try_from(value.len()).unwrap_or(TLV_LENGTH_MASK);
                return Err(DecodeError::TlvLength(kind, len));
            }
            rest = next;
        }
        Ok(Self { octets })
    }

    pub(crate) fn parse(set: &RawSet<'a>) -> Result<Self, DecodeError> {
        Self::new(set.body)
    }

    /// The TLVs in their order. Those before the first [`Tlv::Nid`] are about the default network.
    #[must_use]
    pub const fn tlvs(&self) -> Tlvs<'a> {
        Tlvs { rest: self.octets }
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.header(SetType::Announcement.octet(), 0, 0, self.octets.len())?;
        writer.put(self.octets)?;
        writer.pad(self.octets.len())
    }
}

/// One TLV of an announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tlv<'a> {
    /// 111: Access Information, as it is.
    AccessInformation([u8; 2]),
    /// 112: the cipher suites that the sender can do; a multiple of ten octets: see
    /// [`suites`](Self::suites).
    CipherSuites(&'a [u8]),
    /// 113: a Key Management Domain, which should be UTF-8.
    Kmd(&'a [u8]),
    /// 114: the name of the network that what follows is about, which should be UTF-8.
    Nid(&'a [u8]),
    /// Any other type, 0 to 127.
    Other(u8, &'a [u8]),
}

impl<'a> Tlv<'a> {
    /// The cipher suites of a [`CipherSuites`](Self::CipherSuites); none of any other TLV.
    pub fn suites(&self) -> impl Iterator<Item = AnnouncedSuite> + use<'a> {
        let octets = match *self {
            Self::CipherSuites(octets) => octets,
            _ => &[],
        };
        octets.chunks_exact(SUITE_LEN).filter_map(|entry| Some(announced_suite(entry).ok()?.1))
    }

    fn of(kind: u8, value: &'a [u8]) -> Self {
        match (kind, value) {
            (ACCESS_INFORMATION, &[first, second]) => Self::AccessInformation([first, second]),
            (CIPHER_SUITES, _) => Self::CipherSuites(value),
            (KMD, _) => Self::Kmd(value),
            (NID, _) => Self::Nid(value),
            _ => Self::Other(kind, value),
        }
    }
}

/// A cipher suite and what the sender can do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnnouncedSuite {
    /// The suite.
    pub suite: SuiteId,
    /// What the sender can do with it.
    pub capability: Capability,
}

/// The TLVs of an [`Announcement`].
#[derive(Clone, Debug)]
pub struct Tlvs<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Tlvs<'a> {
    type Item = Tlv<'a>;

    fn next(&mut self) -> Option<Tlv<'a>> {
        let (rest, kind, value) = split_tlv(self.rest).ok()?;
        self.rest = rest;
        Some(Tlv::of(kind, value))
    }
}

/// Dissector style: `cipher suites gcm-aes-128; NID "net"`.
impl fmt::Display for Announcement<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, tlv) in self.tlvs().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            match tlv {
                Tlv::AccessInformation([first, second]) => {
                    write!(f, "access information {first:02x}{second:02x}")?;
                }
                Tlv::CipherSuites(_) => {
                    f.write_str("cipher suites")?;
                    tlv.suites().try_for_each(|entry| write!(f, " {}", entry.suite))?;
                }
                Tlv::Kmd(name) => write!(f, "KMD \"{}\"", name.escape_ascii())?,
                Tlv::Nid(name) => write!(f, "NID \"{}\"", name.escape_ascii())?,
                Tlv::Other(kind, value) => write!(f, "TLV {kind} length {}", value.len())?,
            }
        }
        Ok(())
    }
}

/// Type, 7 bits, and length, 9 bits; then the value.
fn split_tlv(input: &[u8]) -> Result<(&[u8], u8, &[u8]), DecodeError> {
    let kind = input.first().map_or(0, |octet| octet >> 1);
    let overrun = |_: nom::Err<()>| DecodeError::TlvOverrun(kind);
    let (rest, word) = be_u16.parse(input).map_err(overrun)?;
    let (rest, value) = take(usize::from(word & TLV_LENGTH_MASK)).parse(rest).map_err(overrun)?;
    Ok((rest, kind, value))
}

fn announced_suite(input: &[u8]) -> IResult<&[u8], AnnouncedSuite, ()> {
    let capability = be_u16.map(Capability::of);
    (capability, suite_id)
        .map(|(capability, suite)| AnnouncedSuite { suite, capability })
        .parse(input)
}

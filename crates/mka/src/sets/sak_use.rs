//! MACsec SAK Use: which SAKs the sender uses, and how (802.1X clause 11.11.1, figure 11-10).

use core::fmt;

use macsec::{An, Ki};
use nom::{IResult, Parser, bytes::complete::take, number::complete::be_u32};

use super::{RawSet, SetType};
use crate::{DecodeError, EncodeError, identifiers::KiText, write::Writer};

/// Octets of the body if there is one.
const BODY_LEN: usize = 40;
const PLAIN_TX: u8 = 0x80;
const PLAIN_RX: u8 = 0x40;
const DELAY_PROTECT: u8 = 0x10;

/// One of the two keys that a SAK Use speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// The key; all zeros if there is none.
    pub ki: Ki,
    /// Its AN; 0 if there is no key.
    pub an: An,
    /// The sender transmits with it.
    pub tx: bool,
    /// The sender receives with it.
    pub rx: bool,
    /// The lowest PN that the sender used with it of late, or its low 32 bits. For the whole of a
    /// 64-bit PN see [`Xpn`](crate::Xpn).
    pub lowest_pn: u32,
}

impl KeyUse {
    /// No key. The PN is 1, as some peers take a 0 amiss even where there is no key.
    pub const NONE: Self =
        Self { ki: Ki([0; 16]), an: An::ALL[0], tx: false, rx: false, lowest_pn: 1 };

    /// Whether there is no key: a KI of all zeros.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.ki == Self::NONE.ki
    }

    /// AN and flags from four bits.
    fn of((ki, lowest_pn): (Ki, u32), bits: u8) -> Self {
        let an = An::from_low_bits(bits >> 2);
        Self { ki, an, tx: bits & 0x02 != 0, rx: bits & 0x01 != 0, lowest_pn }
    }

    fn bits(&self) -> u8 {
        (self.an.number() << 2) | (u8::from(self.tx) << 1) | u8::from(self.rx)
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        writer.put(&self.ki.0)?;
        writer.put(&self.lowest_pn.to_be_bytes())
    }
}

/// Dissector style: `none`, or `MI/1 AN 0 tx rx lowest PN 1`.
impl fmt::Display for KeyUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            return f.write_str("none");
        }
        write!(f, "{} AN {}", KiText(self.ki), self.an)?;
        if self.tx {
            f.write_str(" tx")?;
        }
        if self.rx {
            f.write_str(" rx")?;
        }
        write!(f, " lowest PN {}", self.lowest_pn)
    }
}

/// MACsec SAK Use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SakUse {
    /// The sender sends unprotected frames on its controlled port.
    pub plain_tx: bool,
    /// The sender takes unprotected frames on its controlled port.
    pub plain_rx: bool,
    /// The lowest PNs bind: older frames are to be dropped (802.1X clause 9.10).
    pub delay_protect: bool,
    /// Latest key and old key; `None` from a sender without MACsec, whose set has no body.
    ///
    /// A single key may stand in either place: peers differ.
    pub keys: Option<[KeyUse; 2]>,
}

impl SakUse {
    /// Excess octets behind a body of 40 are passed over, as hostap does.
    pub(crate) fn parse(set: &RawSet<'_>) -> Result<Self, DecodeError> {
        let keys = if set.body.is_empty() {
            None
        } else {
            let (_, (latest, old)) =
                (key_and_pn, key_and_pn).parse(set.body).map_err(|_| set.wrong_length())?;
            Some([KeyUse::of(latest, set.specific >> 4), KeyUse::of(old, set.specific)])
        };
        Ok(Self {
            plain_tx: set.flags & PLAIN_TX != 0,
            plain_rx: set.flags & PLAIN_RX != 0,
            delay_protect: set.flags & DELAY_PROTECT != 0,
            keys,
        })
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        let mut flags = 0;
        for (set, bit) in [
            (self.plain_tx, PLAIN_TX),
            (self.plain_rx, PLAIN_RX),
            (self.delay_protect, DELAY_PROTECT),
        ] {
            flags |= if set { bit } else { 0 };
        }
        let kind = SetType::SakUse.octet();
        let Some([latest, old]) = &self.keys else {
            return writer.header(kind, 0, flags, 0);
        };
        writer.header(kind, (latest.bits() << 4) | old.bits(), flags, BODY_LEN)?;
        latest.write(writer)?;
        old.write(writer)
    }
}

/// Dissector style.
impl fmt::Display for SakUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.keys {
            Some([latest, old]) => write!(f, "latest {latest}; old {old}")?,
            None => f.write_str("no MACsec")?,
        }
        for (set, name) in [
            (self.plain_tx, "plain tx"),
            (self.plain_rx, "plain rx"),
            (self.delay_protect, "delay protect"),
        ] {
            if set {
                write!(f, "; {name}")?;
            }
        }
        Ok(())
    }
}

fn key_and_pn(input: &[u8]) -> IResult<&[u8], (Ki, u32), ()> {
    let ki = take(16usize).map_res(<[u8; 16]>::try_from).map(Ki);
    (ki, be_u32).parse(input)
}

//! What is on record of the keys of a port, and how that is written.
//!
//! ```text
//! macsec-keys 1 wan0
//! key 6d6b62 00112233445566778899aabbccddeeff 1796083200 - -
//! activated 6d6b62
//! former 6d6b61 0fd1c1c1b0b7d8a8a5e5fca9c6f4e0b3
//! retired 6d6b61 0fd1c1c1b0b7d8a8a5e5fca9c6f4e0b3
//! sha256 ...
//! ```
//!
//! A key has its CKN, its CAK, its start, its end (in seconds since 1970), and `fallback` if it is
//! one; `-` stands for none. A retired one has its check value, as another CAK may come under the
//! same name one day, and so has the one that gave way to the activated one.

use mka::{Cak, Ckn, KeyError};
use zeroize::Zeroizing;

use crate::{
    checked_text::{Kind, seal},
    config::{KeyCheck, MAX_KEYS, Timestamp},
};

const KIND: Kind =
    Kind { magic: "macsec-keys", version: "1", of_another: "it is that of another port" };
/// As many retired keys are remembered.
pub(super) const MAX_RETIRED: usize = 64;
/// More than any text of these takes: one that grows leaves copies of keys behind.
const MAX_TEXT: usize = 16 * 1024;
const NONE: &str = "-";
const FALLBACK: &str = "fallback";

/// A key added by hand. It is never shown, and zeroized on drop.
#[derive(Clone)]
pub struct AddedKey {
    /// The name of the CAK.
    pub ckn: Ckn,
    octets: Zeroizing<Vec<u8>>,
    cak: Cak,
    /// The name of the CAK that follows from the key alone.
    pub check: KeyCheck,
    /// From when on it is valid; `None`: always was.
    pub start: Option<Timestamp>,
    /// Until when it is valid; `None`: for ever.
    pub end: Option<Timestamp>,
    /// Whether it stands in for others only.
    pub fallback: bool,
}

impl AddedKey {
    /// The CAK `octets` under the name `ckn`, always valid and no fallback.
    ///
    /// # Errors
    /// [`KeyError::CakLength`], [`KeyError::CakZero`].
    pub fn new(ckn: Ckn, octets: Zeroizing<Vec<u8>>) -> Result<Self, KeyError> {
        let cak = Cak::new(&octets)?;
        let check = KeyCheck::of_octets(&octets);
        Ok(Self { ckn, octets, cak, check, start: None, end: None, fallback: false })
    }

    /// The CAK. Whoever gets it has to keep it as closely as this does.
    #[must_use]
    pub fn cak(&self) -> Cak {
        self.cak.clone()
    }

    /// Whether the CKN is the CAK itself, which every MKPDU would show.
    #[must_use]
    pub fn shows_itself(&self) -> bool {
        self.ckn.octets() == self.octets.as_slice()
    }
}

/// All that is on record of the keys of a port.
#[derive(Clone, Default)]
pub(super) struct Stored {
    /// The keys added by hand, each CKN once, in the order in which they came.
    pub(super) keys: Vec<AddedKey>,
    /// The key that is preferred.
    pub(super) activated: Option<Ckn>,
    /// The key that was in use before the activated one.
    pub(super) former: Option<(Ckn, KeyCheck)>,
    /// Keys that have been retired, the last one last.
    pub(super) retired: Vec<(Ckn, KeyCheck)>,
}

impl Stored {
    /// As it is on disk.
    pub(super) fn to_text(&self, port: &str) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(MAX_TEXT));
        text.push_str(&KIND.head(port));
        let mut line = |words: &[&str]| {
            for (index, word) in words.iter().enumerate() {
                text.push_str(if index == 0 { "" } else { " " });
                text.push_str(word);
            }
            text.push('\n');
        };
        for key in &self.keys {
            let cak = Zeroizing::new(hex::encode(&*key.octets));
            let date =
                |date: Option<Timestamp>| date.map_or(NONE.to_owned(), |at| at.0.to_string());
            let fallback = if key.fallback { FALLBACK } else { NONE };
            line(&["key", &key.ckn.to_string(), &cak, &date(key.start), &date(key.end), fallback]);
        }
        if let Some(ckn) = self.activated {
            line(&["activated", &ckn.to_string()]);
        }
        if let Some((ckn, check)) = self.former {
            line(&["former", &ckn.to_string(), &check.to_string()]);
        }
        for (ckn, check) in &self.retired {
            line(&["retired", &ckn.to_string(), &check.to_string()]);
        }
        seal(&mut text);
        text
    }

    /// Reads what [`Self::to_text`] wrote, to the octet; says what is wrong otherwise.
    pub(super) fn parse(port: &str, octets: &[u8]) -> Result<Self, &'static str> {
        let mut stored = Self::default();
        for line in KIND.body(port, octets)? {
            stored.take_line(line).ok_or("it cannot be read")?;
        }
        if stored.to_text(port).as_bytes() != octets {
            return Err("its checksum is wrong");
        }
        let repeated = |(index, key): (usize, &AddedKey)| {
            stored.keys[..index].iter().any(|other| other.ckn == key.ckn)
        };
        if stored.keys.iter().enumerate().any(repeated) {
            return Err("a key is in it twice");
        }
        if stored.keys.len() > MAX_KEYS || stored.retired.len() > MAX_RETIRED {
            return Err("it is too long");
        }
        Ok(stored)
    }

    fn take_line(&mut self, line: &str) -> Option<()> {
        let words: arrayvec::ArrayVec<_, 6> = line.splitn(6, ' ').collect();
        match words[..] {
            ["key", ckn, cak, start, end, fallback] => {
                let octets = Zeroizing::new(hex::decode(cak).ok()?);
                let mut key = AddedKey::new(ckn.parse().ok()?, octets).ok()?;
                (key.start, key.end) = (date(start)?, date(end)?);
                key.fallback = fallback == FALLBACK;
                self.keys.push(key);
            }
            ["activated", ckn] => self.activated = Some(ckn.parse().ok()?),
            ["former", ckn, check] => self.former = Some(name(ckn, check)?),
            ["retired", ckn, check] => self.retired.push(name(ckn, check)?),
            _ => return None,
        }
        Some(())
    }
}

fn name(ckn: &str, check: &str) -> Option<(Ckn, KeyCheck)> {
    let mut octets = [0; 16];
    hex::decode_to_slice(check, &mut octets).ok()?;
    Some((ckn.parse().ok()?, KeyCheck(octets)))
}

fn date(text: &str) -> Option<Option<Timestamp>> {
    if text == NONE { Some(None) } else { text.parse().ok().map(|at| Some(Timestamp(at))) }
}

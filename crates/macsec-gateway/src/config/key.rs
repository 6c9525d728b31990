//! Keys given by hand: their octets, where these come from, and the name they go by.

use std::{fmt, path::PathBuf};

use macsec::{CipherSuite, Sak, Salt};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{
    Source,
    private_file::Contents,
    reader::{Found, Report, Spot, Table},
    registry::Registry,
};

/// A SAK, and the salt that belongs to it.
///
/// Equal keys are known by their check value: no octets are compared.
#[derive(Debug)]
pub struct Key {
    /// The SAK. It has the length that the port's cipher suite takes.
    pub sak: Sak,
    /// The salt; there if the port's cipher suite is XPN.
    pub salt: Option<Salt>,
    /// The name of the SAK.
    pub check: KeyCheck,
}

impl Key {
    /// A key, named by its octets.
    #[must_use]
    pub fn new(sak: Sak, salt: Option<Salt>) -> Self {
        let check = KeyCheck::of(&sak);
        Self { sak, salt, check }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.check == other.check && self.salt == other.salt
    }
}

/// What a SAK goes by where it must not be seen: a hash of it. The same SAK has the same name
/// everywhere.
///
/// It serves as KI too, and in names of files.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyCheck(pub [u8; 16]);

impl KeyCheck {
    /// The name of `sak`: the first 16 octets of SHA-256 over "macsec-gateway key check" and the
    /// SAK.
    #[must_use]
    pub fn of(sak: &Sak) -> Self {
        Self::of_octets(sak.expose_octets())
    }

    pub(crate) fn of_octets(sak: &[u8]) -> Self {
        let hash =
            Sha256::new().chain_update(b"macsec-gateway key check").chain_update(sak).finalize();
        let mut check = [0; 16];
        check.iter_mut().zip(hash).for_each(|(octet, of_hash)| *octet = of_hash);
        Self(check)
    }
}

/// Thirty-two hexadecimal digits.
impl fmt::Display for KeyCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for KeyCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyCheck({self})")
    }
}

/// Octets of a key file, or of a variable, at most: a key of 64 digits and generous white space.
const MAX_KEY_TEXT: usize = 256;

const SOURCES: [&str; 3] = ["sak_file", "sak_env", "sak"];
const VARIABLE_RULE: &str = "the name of an environment variable: letters, digits and '_'";
const SALT_RULE: &str = "24 hexadecimal digits";

/// Whether `table` names a SAK, rightly or not.
pub(super) fn is_given(table: &Table<'_>) -> bool {
    SOURCES.iter().any(|key| table.has(key))
}

/// Reads the key in `table`. None if there is none, or if it is faulty.
///
/// `suite` is none if it is not known, because it is faulty itself.
pub(super) fn read(
    report: &mut Report,
    table: &mut Table<'_>,
    suite: Option<CipherSuite>,
    source: &Source<'_>,
    registry: &mut Registry,
) -> Option<Key> {
    let is_given = is_given(table);
    let texts = [
        from_file(report, table, source),
        from_environment(report, table),
        inline(report, table, source),
    ];
    let salt = for_xpn(report, table, suite, "salt", SALT_RULE, |report, table| {
        table.text(report, "salt", SALT_RULE, |text| {
            let mut salt = Salt([0; 12]);
            hex::decode_to_slice(text, &mut salt.0).ok().map(|()| salt)
        })
    });
    if let Some(salt) = salt.as_ref().filter(|_| !is_given) {
        report.fault(&salt.at, "nothing without a SAK that it belongs to");
    }

    let mut texts = texts.into_iter().flatten();
    let Found { value: text, at } = texts.next()?;
    if let Some(other) = texts.next() {
        report
            .fault(&other.at, format!("nothing beside {}: one of {}", at.key, SOURCES.join(", ")));
        return None;
    }
    let sak = text.into_sak(report, &at, suite)?;
    let key = Key::new(sak, salt.map(|found| found.value));
    registry.saks.claim(report, key.check, &at, "a SAK").then_some(key)
}

fn from_file(
    report: &mut Report,
    table: &mut Table<'_>,
    source: &Source<'_>,
) -> Option<Found<KeyText>> {
    let Found { value: path, at } =
        table.text(report, "sak_file", "the path of a file", |text| {
            (!text.is_empty() && !text.contains('\0')).then(|| PathBuf::from(text))
        })?;
    match Contents::read_private(&source.directory.join(path), MAX_KEY_TEXT) {
        Ok(contents) => Some(Found { value: KeyText::new(&contents.octets), at }),
        Err(error) => {
            report.fault(&at, format!("a key file that {error}"));
            None
        }
    }
}

fn from_environment(report: &mut Report, table: &mut Table<'_>) -> Option<Found<KeyText>> {
    let Found { value: name, at } = table.text(report, "sak_env", VARIABLE_RULE, |text| {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        (!text.is_empty() && text.chars().all(is_name)).then(|| text.to_owned())
    })?;
    let Some(text) = std::env::var_os(name) else {
        report.fault(&at, "a variable of the environment: there is none of this name");
        return None;
    };
    let text = Zeroizing::new(text.into_encoded_bytes());
    Some(Found { value: KeyText::new(&text), at })
}

fn inline(
    report: &mut Report,
    table: &mut Table<'_>,
    source: &Source<'_>,
) -> Option<Found<KeyText>> {
    let key = table.text(report, "sak", "a text", |text| Some(KeyText::new(text.as_bytes())))?;
    match &source.inline_refusal {
        Some(reason) => report.fault(&key.at, format!("a file with a key in it {reason}")),
        None => report.warn(&key.at, "a key is better off in a file of its own: sak_file"),
    }
    Some(key)
}

/// Reads what the XPN suites need and the others do not have.
pub(super) fn for_xpn<'t, T>(
    report: &mut Report,
    table: &mut Table<'t>,
    suite: Option<CipherSuite>,
    key: &str,
    rule: &str,
    read: impl FnOnce(&mut Report, &mut Table<'t>) -> Option<Found<T>>,
) -> Option<Found<T>> {
    let is_missing = !table.has(key);
    let found = read(report, table);
    match (suite, &found) {
        (Some(suite), None) if suite.is_xpn() && is_missing => {
            report.missing(table, key, &format!("{rule}, with {suite}"));
        }
        (Some(suite), Some(found)) if !suite.is_xpn() => {
            report.fault(&found.at, format!("nothing: {suite} has no {key}"));
        }
        _ => {}
    }
    found
}

/// What a text given for a SAK turned out to be.
enum KeyText {
    Sak(Sak),
    /// So many hexadecimal digits.
    Digits(usize),
    /// Something else.
    Other,
}

impl KeyText {
    /// White space around the digits is welcome: files end in a newline.
    fn new(text: &[u8]) -> Self {
        let digits = text.trim_ascii();
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Self::Other;
        }
        let mut octets = Zeroizing::new([0; 32]);
        let sak = octets.get_mut(..digits.len() / 2).and_then(|octets| {
            hex::decode_to_slice(digits, octets).ok()?;
            Sak::new(octets).ok()
        });
        sak.map_or(Self::Digits(digits.len()), Self::Sak)
    }

    fn into_sak(self, report: &mut Report, at: &Spot, suite: Option<CipherSuite>) -> Option<Sak> {
        let rule = match suite {
            Some(suite) => format!("{} hexadecimal digits for {suite}", 2 * suite.key_len()),
            None => "32 or 64 hexadecimal digits".to_owned(),
        };
        let digits = match self {
            Self::Sak(sak) => {
                let len = sak.expose_octets().len();
                if suite.is_none_or(|suite| suite.key_len() == len) {
                    return Some(sak);
                }
                2 * len
            }
            Self::Digits(digits) => digits,
            Self::Other => {
                report.fault(at, format!("{rule}, and nothing but white space around them"));
                return None;
            }
        };
        report.fault(at, format!("{rule}: there are {digits}"));
        None
    }
}

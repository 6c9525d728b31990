//! SAKs given by hand, and the name that any key goes by.

use std::fmt;

use macsec::{CipherSuite, Sak, Salt};
use sha2::{Digest, Sha256};

use super::{
    Source,
    key_text::{ANY_LENGTH, SAK},
    reader::{Found, Report, Table},
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

/// What a SAK or a CAK goes by where it must not be seen: a hash of it. The same key has the same
/// name everywhere.
///
/// That of a SAK given by hand serves as its KI too, and in names of files.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyCheck(pub [u8; 16]);

impl KeyCheck {
    /// The name of `sak`: the first 16 octets of SHA-256 over "macsec-gateway key check" and the
    /// SAK.
    #[must_use]
    pub fn of(sak: &Sak) -> Self {
        Self::of_octets(sak.expose_octets())
    }

    pub(crate) fn of_octets(key: &[u8]) -> Self {
        let hash =
            Sha256::new().chain_update(b"macsec-gateway key check").chain_update(key).finalize();
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

const SALT_RULE: &str = "24 hexadecimal digits";

/// Reads the SAK in `table`, and its salt. None if there is none, or if it is faulty.
///
/// `suite` is none if it is not known, because it is faulty itself.
pub(super) fn read(
    report: &mut Report,
    table: &mut Table<'_>,
    suite: Option<CipherSuite>,
    source: &Source<'_>,
    registry: &mut Registry,
) -> Option<Key> {
    let is_given = SAK.is_given(table);
    let text = SAK.read(report, table, source);
    let salt = for_xpn(report, table, suite, "salt", SALT_RULE, |report, table| {
        table.text(report, "salt", SALT_RULE, |text| {
            let mut salt = Salt([0; 12]);
            hex::decode_to_slice(text, &mut salt.0).ok().map(|()| salt)
        })
    });
    if let Some(salt) = salt.as_ref().filter(|_| !is_given) {
        report.fault(&salt.at, "nothing without a SAK that it belongs to");
    }

    let Found { value: text, at } = text?;
    let rule = match suite {
        Some(suite) => format!("{} hexadecimal digits for {suite}", 2 * suite.key_len()),
        None => ANY_LENGTH.to_owned(),
    };
    let fits = |len| suite.is_none_or(|suite| suite.key_len() == len);
    let octets = text.into_octets(report, &at, &rule, fits)?;
    let key = Key::new(Sak::new(&octets).ok()?, salt.map(|found| found.value));
    registry.claim_sak(report, key.check, &at).then_some(key)
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

//! What a mark's file says: a line of JSON, and a line with its SHA-256.

use macsec::Salt;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::NonceIdentity;

const VERSION: u32 = 1;
const EXTENSION: &str = ".pn";

/// Whose frames an SA carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Direction {
    Transmit,
    Receive,
}

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    version: u32,
    direction: Direction,
    /// The key's check: a name for the key that does not tell it.
    key: String,
    /// SCI, or "ssci" and SSCI.
    nonce: String,
    /// A name for the salt, for XPN: under another one the same PNs can give the same nonces.
    salt: Option<String>,
    pub(super) mark: u64,
}

impl Record {
    pub(super) fn new(
        direction: Direction,
        key_check: &[u8; 16],
        nonce: &NonceIdentity,
        mark: u64,
    ) -> Self {
        let (nonce, salt) = match nonce {
            NonceIdentity::Sci(sci) => (hex::encode(sci.0), None),
            NonceIdentity::Ssci(ssci, salt) => {
                (format!("ssci{:08x}", ssci.0), Some(salt_check(key_check, salt)))
            }
        };
        Self { version: VERSION, direction, key: hex::encode(key_check), nonce, salt, mark }
    }

    pub(super) fn with_mark(&self, mark: u64) -> Self {
        Self { mark, ..self.clone() }
    }

    pub(super) fn file_name(&self) -> String {
        format!("{}{}{EXTENSION}", self.prefix(), self.nonce)
    }

    /// How the names of all files with this key and direction begin.
    fn prefix(&self) -> String {
        prefix(self.direction, &self.key)
    }

    /// Why an SA must not be used as there is a file `other`, if so.
    pub(super) fn conflict_with(&self, other: &str) -> Option<&'static str> {
        let other = other.strip_suffix(EXTENSION)?;
        let opposite = match self.direction {
            Direction::Transmit => Direction::Receive,
            Direction::Receive => Direction::Transmit,
        };
        if other.strip_prefix(&prefix(opposite, &self.key)) == Some(&self.nonce) {
            return Some("this key has been used by the other end with this SCI or SSCI");
        }
        let nonce = other.strip_prefix(&self.prefix())?;
        // The nonces of different SCIs never meet. Those of SSCIs should not either, but then an
        // SSCI that changes tells of a key in use elsewhere.
        let both_sci = self.salt.is_none() && !nonce.starts_with("ssci");
        if self.direction == Direction::Receive || nonce == self.nonce || both_sci {
            return None;
        }
        Some("this key has transmitted with another SCI or SSCI")
    }

    pub(super) fn is_same_sa_as(&self, other: &Self) -> bool {
        self.with_mark(other.mark) == *other
    }

    pub(super) fn is_other_salt_of(&self, other: &Self) -> bool {
        Self { salt: other.salt.clone(), ..self.clone() }.is_same_sa_as(other)
    }

    pub(super) fn to_text(&self) -> String {
        let line = match serde_json::to_string(self) {
            Ok(line) => line,
            Err(error) => unreachable!("numbers and strings always serialize: {error}"),
        };
        format!("{line}\n{}\n", hex::encode(Sha256::digest(&line)))
    }

    /// Reads what [`to_text`](Self::to_text) wrote, to the octet; says what is wrong otherwise.
    pub(super) fn parse(text: &[u8]) -> Result<Self, &'static str> {
        let line = text.split(|&octet| octet == b'\n').next().unwrap_or_default();
        let record: Self = serde_json::from_slice(line).map_err(|_| "it cannot be read")?;
        if record.version != VERSION {
            return Err("its version is not 1");
        }
        if record.to_text().as_bytes() != text {
            return Err("its checksum is wrong");
        }
        if record.mark == 0 {
            return Err("its mark is 0");
        }
        Ok(record)
    }
}

fn prefix(direction: Direction, key: &str) -> String {
    let direction = match direction {
        Direction::Transmit => "tx",
        Direction::Receive => "rx",
    };
    format!("{direction}-{key}-")
}

fn salt_check(key_check: &[u8; 16], salt: &Salt) -> String {
    let digest = Sha256::new().chain_update("macsec-gateway salt check").chain_update(key_check);
    hex::encode(&digest.chain_update(salt.0).finalize()[..8])
}

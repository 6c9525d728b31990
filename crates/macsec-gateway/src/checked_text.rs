//! Text files that say what they are and whose, and end with a checksum: the KI journal, and the keys on
//! record.
//!
//! ```text
//! macsec-keys 1 wan0
//! ...
//! sha256 ...
//! ```

use sha2::{Digest, Sha256};

const CHECKSUM: &str = "sha256 ";

/// A kind of file.
pub(crate) struct Kind {
    /// How the first line begins, whatever the version.
    pub(crate) magic: &'static str,
    /// The version that is written, and read.
    pub(crate) version: &'static str,
    /// What is wrong with a file of another owner.
    pub(crate) of_another: &'static str,
}

impl Kind {
    /// The first line.
    pub(crate) fn head(&self, owner: &str) -> String {
        format!("{} {} {owner}\n", self.magic, self.version)
    }

    /// The lines between the first and the checksum; or what is wrong. Whoever has read them writes them again and
    /// compares all octets: that is what shows whether the checksum is right.
    pub(crate) fn body<'a>(
        &self,
        owner: &str,
        octets: &'a [u8],
    ) -> Result<impl Iterator<Item = &'a str> + use<'a>, &'static str> {
        let text = str::from_utf8(octets).map_err(|_| "it is no text")?;
        let mut lines = text.lines();
        let head: Vec<_> = lines.next().unwrap_or_default().split(' ').collect();
        match head[..] {
            [magic, version, of] if magic == self.magic => {
                if version != self.version {
                    return Err("its version is not 1");
                }
                if of != owner {
                    return Err(self.of_another);
                }
                Ok(lines.take_while(|line| !line.starts_with(CHECKSUM)))
            }
            _ => Err("it cannot be read"),
        }
    }
}

/// Adds the last line.
pub(crate) fn seal(text: &mut String) {
    let digest = hex::encode(Sha256::digest(text.as_bytes()));
    for part in [CHECKSUM, &digest, "\n"] {
        text.push_str(part);
    }
}

//! Where the octets of a secret key come from: a file, a variable of the environment, or the
//! configuration file itself.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{
    Inline, Source,
    private_file::Contents,
    reader::{Found, Report, Spot, Table},
};

/// The keys of a table that a secret key may come by. One of them is given.
pub(super) struct Origins {
    file: &'static str,
    variable: &'static str,
    inline: &'static str,
    /// What is said of a key in the configuration file.
    inline_advice: &'static str,
}

/// Those of a SAK.
pub(super) const SAK: Origins = Origins {
    file: "sak_file",
    variable: "sak_env",
    inline: "sak",
    inline_advice: "a key is better off in a file of its own: sak_file",
};
/// Those of a CAK.
pub(super) const CAK: Origins = Origins {
    file: "cak_file",
    variable: "cak_env",
    inline: "cak",
    inline_advice: "a key is better off in a file of its own: cak_file",
};

/// Octets of a key file, or of a variable, at most: a key of 64 digits and generous white space.
pub(crate) const MAX_KEY_TEXT: usize = 256;
/// How a key is written if either length will do.
pub(super) const ANY_LENGTH: &str = "32 or 64 hexadecimal digits";
const VARIABLE_RULE: &str = "the name of an environment variable: letters, digits and '_'";

impl Origins {
    /// Whether `table` names a key, rightly or not.
    pub(super) fn is_given(&self, table: &Table<'_>) -> bool {
        [self.file, self.variable, self.inline].iter().any(|key| table.has(key))
    }

    /// A fault: `table` names no key.
    pub(super) fn missing(&self, report: &mut Report, table: &Table<'_>) {
        report.missing(table, self.file, &self.rule());
    }

    /// Reads the one text that `table` has for a key. None if there is none, or if it is faulty.
    pub(super) fn read(
        &self,
        report: &mut Report,
        table: &mut Table<'_>,
        source: &Source<'_>,
    ) -> Option<Found<KeyText>> {
        let texts = [
            self.in_file(report, table, source),
            self.in_environment(report, table),
            self.inline(report, table, source),
        ];
        let mut texts = texts.into_iter().flatten();
        let text = texts.next()?;
        if let Some(other) = texts.next() {
            let rule = format!("nothing beside {}: {}", text.at.key, self.rule());
            report.fault(&other.at, rule);
            return None;
        }
        Some(text)
    }

    fn rule(&self) -> String {
        format!("one of {}, {}, {}", self.file, self.variable, self.inline)
    }

    fn in_file(
        &self,
        report: &mut Report,
        table: &mut Table<'_>,
        source: &Source<'_>,
    ) -> Option<Found<KeyText>> {
        let Found { value: path, at } =
            table.text(report, self.file, "the path of a file", |text| {
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

    fn in_environment(&self, report: &mut Report, table: &mut Table<'_>) -> Option<Found<KeyText>> {
        let Found { value: name, at } =
            table.text(report, self.variable, VARIABLE_RULE, |text| {
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
        &self,
        report: &mut Report,
        table: &mut Table<'_>,
        source: &Source<'_>,
    ) -> Option<Found<KeyText>> {
        let key = table
            .text(report, self.inline, "a text", |text| Some(KeyText::new(text.as_bytes())))?;
        match &source.inline {
            Inline::Refused(reason) => {
                report.fault(&key.at, format!("a file with a key in it {reason}"));
            }
            Inline::Unwise => report.warn(&key.at, self.inline_advice),
            Inline::Exposed(reason) => {
                report.warn(&key.at, format!("a file with a key in it {reason}"));
            }
            Inline::Meant => {}
        }
        Some(key)
    }
}

/// The text in a key file that only its owner may read.
///
/// # Errors
/// What the file has to be.
pub(crate) fn read_key_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let contents = Contents::read_private(path, MAX_KEY_TEXT);
    contents.map(|contents| contents.octets).map_err(|error| error.to_string())
}

/// The octets of a CAK: 32 or 64 hexadecimal digits, with white space around them or not.
pub(crate) fn parse_cak(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    match KeyText::new(text) {
        KeyText::Octets(octets) => Some(octets),
        KeyText::Digits(_) | KeyText::Other => None,
    }
}

/// What a text given for a key turned out to be.
pub(super) enum KeyText {
    /// 16 or 32 octets.
    Octets(Zeroizing<Vec<u8>>),
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
        if !matches!(digits.len(), 32 | 64) {
            return Self::Digits(digits.len());
        }
        let mut octets = Zeroizing::new(vec![0; digits.len() / 2]);
        match hex::decode_to_slice(digits, &mut octets) {
            Ok(()) => Self::Octets(octets),
            Err(_) => Self::Other,
        }
    }

    /// The octets, if there are as many as `fits` takes: 16 or 32. If not, `rule` is what is
    /// allowed.
    pub(super) fn into_octets(
        self,
        report: &mut Report,
        at: &Spot,
        rule: &str,
        fits: impl Fn(usize) -> bool,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let digits = match self {
            Self::Octets(octets) if fits(octets.len()) => return Some(octets),
            Self::Octets(octets) => 2 * octets.len(),
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

//! The keys that open a capture, for `macsec decode --keys`: `[[ca]]` and `[[sa]]` in a file of
//! their own, or those of a gateway's configuration.

use std::path::Path;

use ::mka::{Cak, Ckn};
use macsec::{An, CipherSuite, Confidentiality, ConfidentialityOffset, Sak, Salt, Sci, Ssci};
use macsec_decode::{Given, GivenCa, GivenSa};
use toml::de::DeTable;
use zeroize::Zeroizing;

use super::{
    Config, Fault, Inline, MAX_FILE, PortConfig, Source, Warning,
    key_text::{ANY_LENGTH, CAK, SAK},
    parse,
    port::SCI_RULE,
    private_file::Contents,
    reader::{Found, Report, Spot, Table},
};

/// CAs and SAs in a file, at most each: what is searched for a frame stays little.
const MAX_KEYS: usize = 256;
const CKN_RULE: &str = "2 to 64 hexadecimal digits, an even number of them";
const SALT_RULE: &str = "24 hexadecimal digits";
const SUITE_RULE: &str = "gcm-aes-128, gcm-aes-256, gcm-aes-xpn-128 or gcm-aes-xpn-256";
const OFFSET_RULE: &str = "0, 30 or 50";

/// The keys of a file, and what a careful user would change about it.
pub(crate) struct CaptureKeys {
    pub(crate) given: Given,
    pub(crate) warnings: Vec<Warning>,
}

impl CaptureKeys {
    /// Reads `file`, and the key files that it names: relative paths start at its directory.
    ///
    /// # Errors
    /// Every fault of the file, in the order of the lines.
    pub(crate) fn load(file: &Path) -> Result<Self, Vec<Fault>> {
        let contents = Contents::read(file, MAX_FILE)
            .map_err(|reason| vec![Fault::of_file(file, reason.to_string())])?;
        let mut report = Report::new(file, &contents.octets);
        let text = match str::from_utf8(&contents.octets) {
            Ok(text) => text,
            Err(error) => return Err(report.syntax(error.valid_up_to(), "must be UTF-8")),
        };
        let root = match DeTable::parse(text) {
            Ok(root) => root.into_inner(),
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                return Err(report.syntax(at, error.message()));
            }
        };
        if root.contains_key("port") {
            let loaded = parse(file, &contents)?;
            return Ok(Self { given: of_config(&loaded.config), warnings: Vec::new() });
        }
        let source = Source {
            directory: file.parent().unwrap_or(Path::new("")),
            inline: contents
                .exposure
                .as_ref()
                .map_or(Inline::Meant, |exposure| Inline::Exposed(exposure.to_string())),
        };
        let given = read(&mut report, Table::root(root), &source);
        let (given, mut warnings) = report.give(given)?;
        // Others can read all of the file, or none.
        warnings.truncate(1);
        Ok(Self { given, warnings })
    }
}

/// The keys of all ports: CAKs, and static keys where it is known who transmits with them.
fn of_config(config: &Config) -> Given {
    let mkas = config.ports.iter().filter_map(|port| port.mka.as_ref());
    let keys = mkas.flat_map(|mka| &mka.keys);
    Given {
        cas: keys.map(|key| GivenCa { ckn: key.ckn, cak: key.cak() }).collect(),
        sas: config.ports.iter().flat_map(static_sas).collect(),
    }
}

fn static_sas(port: &PortConfig) -> Vec<GivenSa> {
    let Some(keys) = &port.static_keys else { return Vec::new() };
    let sa = |sci, an, ssci, key: &super::Key| {
        let sak = Sak::new(key.sak.expose_octets()).ok()?;
        let offset = match port.confidentiality {
            Confidentiality::Encrypt(offset) => offset,
            Confidentiality::IntegrityOnly => ConfidentialityOffset::Zero,
        };
        let suite = port.cipher_suite;
        Some(GivenSa { sci, an, suite, sak, ssci, salt: key.salt, offset, pn: 1 })
    };
    let own = port.sci.and_then(|sci| sa(sci, keys.an, keys.ssci, &keys.key));
    let peers = keys.peers.iter().filter_map(|peer| {
        sa(peer.sci, peer.an, peer.ssci, peer.key.as_ref().unwrap_or(&keys.key))
    });
    own.into_iter().chain(peers).collect()
}

fn read(report: &mut Report, mut table: Table<'_>, source: &Source<'_>) -> Option<Given> {
    let cas = table.tables(report, "ca", 0..=MAX_KEYS, "up to 256 tables: [[ca]]");
    let sas = table.tables(report, "sa", 0..=MAX_KEYS, "up to 256 tables: [[sa]]");
    if cas.is_empty() && sas.is_empty() {
        report.missing(&table, "ca", "at least one [[ca]], [[sa]], or a configuration's [[port]]");
    }
    table.finish(report);
    let cas: Vec<_> = cas.into_iter().map(|table| read_ca(report, table, source)).collect();
    let sas: Vec<_> = sas.into_iter().map(|table| read_sa(report, table, source)).collect();
    Some(Given {
        cas: cas.into_iter().collect::<Option<_>>()?,
        sas: sas.into_iter().collect::<Option<_>>()?,
    })
}

fn read_ca(report: &mut Report, mut table: Table<'_>, source: &Source<'_>) -> Option<GivenCa> {
    let ckn = table.required(report, "ckn", CKN_RULE, |text| text.parse::<Ckn>().ok());
    if !CAK.is_given(&table) {
        CAK.missing(report, &table);
    }
    let cak = CAK.read(report, &mut table, source).and_then(|Found { value, at }| {
        let octets = value.into_octets(report, &at, ANY_LENGTH, |_| true)?;
        let cak = Cak::new(&octets).ok();
        if cak.is_none() {
            report.fault(&at, "random digits: they are all zero");
        }
        cak
    });
    table.finish(report);
    Some(GivenCa { ckn: ckn?.value, cak: cak? })
}

fn read_sa(report: &mut Report, mut table: Table<'_>, source: &Source<'_>) -> Option<GivenSa> {
    let sci = table.required(report, "sci", SCI_RULE, |text| text.parse::<Sci>().ok());
    if !table.has("an") {
        report.missing(&table, "an", "0 to 3");
    }
    let an = table.whole(report, "an", "0 to 3", |n| An::new(u8::try_from(n).ok()?));
    let suite = table.required(report, "suite", SUITE_RULE, |text| text.parse().ok());
    if !SAK.is_given(&table) {
        SAK.missing(report, &table);
    }
    let sak = SAK.read(report, &mut table, source);
    let ssci = table.whole(report, "ssci", "1 to 4294967295", |n| (n > 0).then_some(Ssci(n)));
    let salt = table.text(report, "salt", SALT_RULE, SaFields::salt);
    let offset = table.whole(report, "offset", OFFSET_RULE, SaFields::offset);
    let pn = table.long(report, "pn");
    let here = table.at();
    table.finish(report);

    let suite: CipherSuite = suite?.value;
    let Found { value: sak, at: sak_at } = sak?;
    let rule = format!("{} hexadecimal digits for {suite}", 2 * suite.key_len());
    let sak = sak.into_octets(report, &sak_at, &rule, |len| len == suite.key_len())?;
    let spots: Vec<(&str, Spot)> = [
        ssci.as_ref().map(|found| ("ssci", found.at.clone())),
        salt.as_ref().map(|found| ("salt", found.at.clone())),
        offset.as_ref().map(|found| ("offset", found.at.clone())),
        pn.as_ref().map(|found| ("pn", found.at.clone())),
    ]
    .into_iter()
    .flatten()
    .collect();
    let fields = SaFields {
        sci: sci?.value,
        an: an?.value,
        suite,
        sak,
        ssci: ssci.map(|found| found.value),
        salt: salt.map(|found| found.value),
        offset: offset.map(|found| found.value),
        pn: pn.map(|found| found.value),
    };
    let sa = fields.check().map_err(|SaRule { field, allowed }| {
        match spots.iter().find(|(name, _)| *name == field) {
            Some((_, spot)) => report.fault(spot, allowed),
            None => {
                let key = format!("{}.{field}", here.key);
                let spot = Spot { key, value: "(missing)".to_owned(), line: here.line };
                report.fault(&spot, format!("required: {allowed}"));
            }
        }
    });
    sa.ok()
}

/// What is told of an SA, in a file or on a command line, before the parts are known to fit each
/// other.
pub(crate) struct SaFields {
    pub(crate) sci: Sci,
    pub(crate) an: An,
    pub(crate) suite: CipherSuite,
    /// As long as the suite takes.
    pub(crate) sak: Zeroizing<Vec<u8>>,
    pub(crate) ssci: Option<Ssci>,
    pub(crate) salt: Option<Salt>,
    pub(crate) offset: Option<ConfidentialityOffset>,
    pub(crate) pn: Option<u64>,
}

/// A part of an SA that does not fit the others, or is missing.
pub(crate) struct SaRule {
    pub(crate) field: &'static str,
    /// What it has to be.
    pub(crate) allowed: String,
}

impl SaFields {
    /// The SA, if its parts fit each other.
    pub(crate) fn check(self) -> Result<GivenSa, SaRule> {
        let Self { sci, an, suite, sak, ssci, salt, offset, pn } = self;
        let broken = |field, allowed| Err(SaRule { field, allowed });
        if suite.is_xpn() {
            if salt.is_none() {
                return broken("salt", format!("{SALT_RULE}, with {suite}"));
            }
            if offset.is_some_and(|offset| offset != ConfidentialityOffset::Zero) {
                return broken("offset", format!("nothing: {suite} has no offset"));
            }
        } else {
            if ssci.is_some() {
                return broken("ssci", format!("nothing: {suite} has no ssci"));
            }
            if salt.is_some() {
                return broken("salt", format!("nothing: {suite} has no salt"));
            }
            if pn.is_some_and(|pn| pn > u32::MAX.into()) {
                return broken("pn", format!("1 to 4294967295 with {suite}"));
            }
        }
        let Ok(sak) = Sak::new(&sak) else {
            let digits = 2 * suite.key_len();
            return broken("sak", format!("{digits} hexadecimal digits for {suite}"));
        };
        let (offset, pn) = (offset.unwrap_or_default(), pn.unwrap_or(1));
        Ok(GivenSa { sci, an, suite, sak, ssci, salt, offset, pn })
    }

    /// Reads a salt.
    pub(crate) fn salt(text: &str) -> Option<Salt> {
        let mut salt = Salt([0; 12]);
        hex::decode_to_slice(text, &mut salt.0).ok().map(|()| salt)
    }

    /// The confidentiality offset of so many octets.
    pub(crate) fn offset(octets: u32) -> Option<ConfidentialityOffset> {
        match octets {
            0 => Some(ConfidentialityOffset::Zero),
            30 => Some(ConfidentialityOffset::Thirty),
            50 => Some(ConfidentialityOffset::Fifty),
            _ => None,
        }
    }
}

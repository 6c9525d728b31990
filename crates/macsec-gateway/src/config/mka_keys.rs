//! The CAKs of a port, and when each is valid: `ckn` and `cak_file` of `[port.mka]`, and
//! `[[port.mka.key]]`.

use ::mka::{Cak, Ckn, KeyLength, Suites};

use super::{
    KeyCheck, Source, Timestamp,
    key_text::{ANY_LENGTH, CAK},
    reader::{Found, Report, Spot, Table},
    registry::{Registry, Taken},
};

/// The most CAKs that a port has.
pub const MAX_KEYS: usize = 8;

/// A CAK of a port, and when it is valid.
#[derive(Debug, PartialEq)]
pub struct MkaKey {
    /// The name of the CAK, 1 to 32 octets. It is no secret.
    pub ckn: Ckn,
    /// The CAK.
    pub cak: CakKey,
    /// From when on it is valid. Default: always was.
    pub start: Option<Timestamp>,
    /// Until when it is valid, later than `start`. Default: for ever.
    pub end: Option<Timestamp>,
    /// Whether it is used only while no other has a live peer. Default false.
    pub fallback: bool,
}

impl MkaKey {
    /// The CAK. Whoever gets it has to keep it as closely as this does.
    #[must_use]
    pub fn cak(&self) -> Cak {
        self.cak.cak.clone()
    }
}

/// A CAK, never shown, zeroed on drop.
///
/// Equal keys are known by their check value: no octets are compared.
#[derive(Debug)]
pub struct CakKey {
    cak: Cak,
    /// The name of the CAK where its CKN will not do: it follows from the key alone.
    pub check: KeyCheck,
}

impl CakKey {
    /// Its length.
    #[must_use]
    pub const fn length(&self) -> KeyLength {
        self.cak.length()
    }
}

impl PartialEq for CakKey {
    fn eq(&self, other: &Self) -> bool {
        self.check == other.check
    }
}

const CKN_RULE: &str = "2 to 64 hexadecimal digits, an even number of them";
const COUNT_RULE: &str = "at most 8 keys: that of [port.mka], and [[port.mka.key]]";
/// Seconds that two keys of a chain should both be valid: no two clocks are the same.
const OVERLAP: i64 = 60;

/// A key that was read, and where to point if something about it is wrong.
struct Placed {
    key: MkaKey,
    start: Option<Spot>,
    end: Option<Spot>,
    fallback: Option<Spot>,
}

/// Reads the keys in `table`, which is `[port.mka]`. None only if there is a fault.
pub(super) fn read(
    report: &mut Report,
    table: &mut Table<'_>,
    suites: Option<Suites>,
    source: &Source<'_>,
    registry: &mut Registry,
) -> Option<Vec<MkaKey>> {
    let has_own = table.has("ckn") || CAK.is_given(table);
    let most = MAX_KEYS - usize::from(has_own);
    let listed = table.tables(report, "key", 0..=most, COUNT_RULE);
    let mut ckns = Taken::default();
    let mut read_one = |report: &mut Report, table: &mut Table<'_>, dates: Dates| {
        let ckn = ckn(report, table, &mut ckns);
        let cak = cak(report, table, suites, ckn.as_ref(), source, registry);
        Some(dates.of(ckn?.value, cak?))
    };

    let mut keys = Vec::new();
    // Without any key, this says what is missing.
    if has_own || listed.is_empty() {
        keys.push(read_one(report, table, Dates::default()));
    }
    for mut table in listed {
        let dates = Dates::read(report, &mut table);
        keys.push(read_one(report, &mut table, dates));
        table.finish(report);
    }
    let keys = keys.into_iter().collect::<Option<Vec<_>>>()?;
    check_fallback(report, &keys);
    advise_on_chain(report, &keys);
    Some(keys.into_iter().map(|placed| placed.key).collect())
}

/// When a key is used, and where that is said.
#[derive(Default)]
struct Dates {
    start: Option<Found<Timestamp>>,
    end: Option<Found<Timestamp>>,
    fallback: Option<Found<bool>>,
}

impl Dates {
    fn read(report: &mut Report, table: &mut Table<'_>) -> Self {
        let start = table.timestamp(report, "start");
        let end = table.timestamp(report, "end");
        if let (Some(start), Some(end)) = (&start, &end)
            && end.value <= start.value
        {
            report.fault(&end.at, format!("an instant after the start, {}", start.value));
        }
        let fallback = table.boolean(report, "fallback").filter(|found| found.value);
        Self { start, end, fallback }
    }

    fn of(self, ckn: Ckn, cak: CakKey) -> Placed {
        let Self { start, end, fallback } = self;
        let key = MkaKey {
            ckn,
            cak,
            start: start.as_ref().map(|found| found.value),
            end: end.as_ref().map(|found| found.value),
            fallback: fallback.is_some(),
        };
        let spot = |found: Found<Timestamp>| found.at;
        let fallback = fallback.map(|found| found.at);
        Placed { key, start: start.map(spot), end: end.map(spot), fallback }
    }
}

fn ckn(report: &mut Report, table: &mut Table<'_>, ckns: &mut Taken<Ckn>) -> Option<Found<Ckn>> {
    let ckn = table.required(report, "ckn", CKN_RULE, |text| text.parse::<Ckn>().ok())?;
    ckns.claim(report, ckn.value, &ckn.at, "a CKN").then_some(ckn)
}

fn cak(
    report: &mut Report,
    table: &mut Table<'_>,
    suites: Option<Suites>,
    ckn: Option<&Found<Ckn>>,
    source: &Source<'_>,
    registry: &mut Registry,
) -> Option<CakKey> {
    if !CAK.is_given(table) {
        CAK.missing(report, table);
    }
    let Found { value: text, at } = CAK.read(report, table, source)?;
    let octets = text.into_octets(report, &at, ANY_LENGTH, |_| true)?;
    let Ok(cak) = Cak::new(&octets) else {
        report.fault(&at, "random digits: they are all zero");
        return None;
    };
    let ckn = ckn?;
    if ckn.value.octets() == octets.as_slice() {
        report.fault(&ckn.at, "other digits than the CAK's: every MKPDU shows the CKN");
        return None;
    }
    let wide =
        suites.and_then(|suites| suites.as_slice().iter().find(|s| s.key_len() == 32).copied());
    if let Some(suite) = wide.filter(|_| cak.length() == KeyLength::Bits128) {
        let reason = "no SAK is safer than the CAK that it travels under";
        report.warn(&at, format!("64 hexadecimal digits for {suite}: {reason}"));
    }
    let check = KeyCheck::of_octets(&octets);
    registry.claim_cak(report, check, &at, ckn).then_some(CakKey { cak, check })
}

/// A fallback stands in for others.
fn check_fallback(report: &mut Report, keys: &[Placed]) {
    let mut fallbacks = keys.iter().filter_map(|placed| placed.fallback.as_ref());
    let Some(first) = fallbacks.next() else { return };
    if keys.len() == 1 {
        report.fault(first, "false: it is the only key, and there is none to fall back from");
    }
    for other in fallbacks {
        report.fault(other, format!("false, but for one key; {}", first.has_this()));
    }
}

/// Warns of a chain that leaves the port without a key, now or then.
fn advise_on_chain(report: &mut Report, keys: &[Placed]) {
    let last = keys.iter().max_by_key(|placed| placed.key.end.unwrap_or(Timestamp(i64::MAX)));
    if let Some(at) = last.and_then(|placed| placed.end.as_ref()) {
        report.warn(at, "no end for one of the keys: after this no key is valid");
    }

    let has_fallback = keys.iter().any(|placed| placed.key.fallback);
    let left = if has_fallback { "only the fallback" } else { "no key" };
    let mut chain: Vec<_> = keys.iter().filter(|placed| !placed.key.fallback).collect();
    chain.sort_by_key(|placed| placed.key.start);
    let mut chain = chain.into_iter();
    // Until when one of the keys so far is valid.
    let Some(mut until) = chain.next().and_then(|placed| placed.key.end) else { return };
    for Placed { key, start: at, .. } in chain {
        if let (Some(start), Some(at)) = (key.start, at) {
            let overlap = until.0.saturating_sub(start.0);
            if overlap < 0 {
                report.warn(at, format!("an earlier one: from {until} on {left} is valid"));
            } else if overlap < OVERLAP && key.end.is_none_or(|end| end > until) {
                let reason = "the clocks of two ends are never the same";
                report.warn(
                    at,
                    format!("a minute or more before the key before it ends, {until}: {reason}"),
                );
            }
        }
        match key.end {
            Some(end) => until = until.max(end),
            None => return,
        }
    }
}

//! Tables read key by key. What is wrong is collected with its place; what nobody asked for is a
//! fault too.

use std::{borrow::Cow, ops::RangeInclusive, path::Path};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};
use zeroize::Zeroize;

use super::{
    Config, Loaded,
    fault::{Fault, Warning, file_name, one_line},
    profile::UsedProfile,
    timestamp::{TIMESTAMP_RULE, Timestamp},
};

/// Keys whose values are never shown.
const SECRETS: [&str; 3] = ["sak", "salt", "cak"];
const HIDDEN: &str = "(hidden)";
const A_TABLE: &str = "(a table)";
/// From so many hexadecimal digits on, a value may be a key that stands in the wrong place. An SCI
/// has 16.
const KEY_LIKE: usize = 24;
/// Characters of a value that are shown.
const SHOWN: usize = 60;

/// Where a value stands, and what it is.
#[derive(Clone)]
pub(super) struct Spot {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) line: usize,
}

impl Spot {
    /// That this is where something stands already.
    pub(super) fn has_this(&self) -> String {
        format!("{} has this (line {})", self.key, self.line)
    }
}

/// A value and where it stands.
pub(super) struct Found<T> {
    pub(super) value: T,
    pub(super) at: Spot,
}

/// The faults and warnings of a file, and the profiles that it uses.
pub(super) struct Report {
    file: String,
    /// Where each line begins.
    lines: Vec<usize>,
    faults: Vec<Fault>,
    warnings: Vec<Warning>,
    profiles: Vec<UsedProfile>,
}

impl Report {
    pub(super) fn new(file: &Path, text: &[u8]) -> Self {
        let ends = text.iter().enumerate().filter(|(_, octet)| **octet == b'\n');
        Self {
            file: file_name(file),
            lines: std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect(),
            faults: Vec::new(),
            warnings: Vec::new(),
            profiles: Vec::new(),
        }
    }

    fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at)
    }

    pub(super) fn fault(&mut self, spot: &Spot, allowed: impl Into<String>) {
        self.faults.push(Fault {
            file: self.file.clone(),
            line: Some(spot.line),
            key: Some(spot.key.clone()),
            value: Some(spot.value.clone()),
            allowed: allowed.into(),
        });
    }

    /// A fault: `table` has no `key`.
    pub(super) fn missing(&mut self, table: &Table<'_>, key: &str, allowed: &str) {
        let spot = Spot { key: table.path_of(key), value: "(missing)".into(), line: table.line };
        self.fault(&spot, format!("required: {allowed}"));
    }

    pub(super) fn warn(&mut self, spot: &Spot, advice: impl Into<String>) {
        self.warnings.push(Warning {
            file: self.file.clone(),
            line: spot.line,
            key: spot.key.clone(),
            advice: advice.into(),
        });
    }

    pub(super) fn tell_profile(&mut self, profile: UsedProfile) {
        self.profiles.push(profile);
    }

    /// The one fault of a file that is no TOML.
    pub(super) fn syntax(self, at: usize, message: &str) -> Vec<Fault> {
        let line = Some(self.line(at));
        let allowed = format!("not TOML: {}", one_line(message));
        vec![Fault { file: self.file, line, key: None, value: None, allowed }]
    }

    /// `config`, unless there is a fault.
    pub(super) fn finish(mut self, config: Option<Config>) -> Result<Loaded, Vec<Fault>> {
        let profiles = std::mem::take(&mut self.profiles);
        let (config, warnings) = self.give(config)?;
        Ok(Loaded { config, warnings, profiles })
    }

    /// What a file says, whatever kind of file it is, and the warnings; unless there is a fault.
    pub(super) fn give<T>(mut self, value: Option<T>) -> Result<(T, Vec<Warning>), Vec<Fault>> {
        self.faults.sort_by_key(|fault| fault.line);
        self.warnings.sort_by_key(|warning| warning.line);
        match value {
            Some(value) if self.faults.is_empty() => Ok((value, self.warnings)),
            _ => Err(self.faults),
        }
    }
}

/// A table, and which of its keys have been asked for.
pub(super) struct Table<'i> {
    path: String,
    line: usize,
    entries: DeTable<'i>,
    known: Vec<&'static str>,
}

impl<'i> Table<'i> {
    pub(super) fn root(entries: DeTable<'i>) -> Self {
        Self::new(String::new(), 1, entries)
    }

    fn new(path: String, line: usize, entries: DeTable<'i>) -> Self {
        Self { path, line, entries, known: Vec::new() }
    }

    /// Calls the table `path` from now on.
    pub(super) fn rename(&mut self, path: String) {
        self.path = path;
    }

    /// Where the table stands.
    pub(super) fn at(&self) -> Spot {
        Spot { key: self.path.clone(), value: A_TABLE.to_owned(), line: self.line }
    }

    /// Whether there is a value for `key` that has not been read.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Puts `value`, which is TOML, where there is no `key`, as if it stood at `spot`.
    pub(super) fn put(
        &mut self,
        report: &Report,
        key: &'static str,
        value: &'static str,
        spot: &Spot,
    ) {
        let start = report.lines.get(spot.line - 1).copied().unwrap_or_default();
        if let Ok(value) = DeValue::parse(value) {
            let key = Spanned::new(start..start, key.into());
            self.entries.insert(key, Spanned::new(start..start, value.into_inner()));
        }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Takes the value of `key` out, if there is one.
    fn take(&mut self, report: &Report, key: &'static str) -> Option<Found<DeValue<'i>>> {
        self.known.push(key);
        let value = self.entries.remove(key)?;
        let line = report.line(value.span().start);
        let value = value.into_inner();
        let shown = if SECRETS.contains(&key) { HIDDEN.to_owned() } else { show(&value) };
        Some(Found { value, at: Spot { key: self.path_of(key), value: shown, line } })
    }

    /// The value of `key` as `convert` makes it. If that makes nothing of it, `allowed` says what
    /// would do.
    fn read<T>(
        &mut self,
        report: &mut Report,
        key: &'static str,
        allowed: &str,
        convert: impl FnOnce(&DeValue<'i>) -> Option<T>,
    ) -> Option<Found<T>> {
        let Found { value, at } = self.take(report, key)?;
        let converted = convert(&value);
        erase(value);
        if converted.is_none() {
            report.fault(&at, allowed);
        }
        converted.map(|value| Found { value, at })
    }

    /// A text that `convert` takes.
    pub(super) fn text<T>(
        &mut self,
        report: &mut Report,
        key: &'static str,
        allowed: &str,
        convert: impl FnOnce(&str) -> Option<T>,
    ) -> Option<Found<T>> {
        self.read(report, key, allowed, |value| convert(value.as_str()?))
    }

    /// A text that `convert` takes, which must be there.
    pub(super) fn required<T>(
        &mut self,
        report: &mut Report,
        key: &'static str,
        allowed: &str,
        convert: impl FnOnce(&str) -> Option<T>,
    ) -> Option<Found<T>> {
        if !self.has(key) {
            report.missing(self, key, allowed);
        }
        self.text(report, key, allowed, convert)
    }

    /// One of `names`.
    pub(super) fn choice<T: Copy>(
        &mut self,
        report: &mut Report,
        key: &'static str,
        names: &[(&str, T)],
    ) -> Option<Found<T>> {
        self.text(report, key, &quoted(names), |text| {
            names.iter().find(|(name, _)| *name == text).map(|(_, value)| *value)
        })
    }

    /// True or false.
    pub(super) fn boolean(
        &mut self,
        report: &mut Report,
        key: &'static str,
    ) -> Option<Found<bool>> {
        self.read(report, key, "true or false", DeValue::as_bool)
    }

    /// True or false, or `default`.
    pub(super) fn flag(&mut self, report: &mut Report, key: &'static str, default: bool) -> bool {
        value_or(self.boolean(report, key), default)
    }

    /// A whole number that `convert` takes.
    pub(super) fn whole<T>(
        &mut self,
        report: &mut Report,
        key: &'static str,
        allowed: &str,
        convert: impl FnOnce(u32) -> Option<T>,
    ) -> Option<Found<T>> {
        self.read(report, key, allowed, |value| convert(number(value)?))
    }

    /// A whole number that may take 64 bits, not 0.
    pub(super) fn long(&mut self, report: &mut Report, key: &'static str) -> Option<Found<u64>> {
        self.read(report, key, "1 to 18446744073709551615", |value| {
            let number = value.as_integer()?;
            let number = u64::from_str_radix(number.as_str(), number.radix()).ok()?;
            (number > 0).then_some(number)
        })
    }

    /// A whole number within `range`.
    pub(super) fn number(
        &mut self,
        report: &mut Report,
        key: &'static str,
        range: RangeInclusive<u32>,
    ) -> Option<Found<u32>> {
        let allowed = format!("{} to {}", range.start(), range.end());
        self.whole(report, key, &allowed, |number| range.contains(&number).then_some(number))
    }

    /// The elements of an array, each a whole number that `check` takes. Absent: empty.
    pub(super) fn numbers(
        &mut self,
        report: &mut Report,
        key: &'static str,
        check: impl Fn(u32) -> Result<u16, &'static str>,
    ) -> Vec<u16> {
        let rule = "an array of whole numbers";
        let convert = |value: &DeValue<'_>| number(value).ok_or(rule).and_then(&check);
        let numbers = self.elements(report, key, rule, convert);
        numbers.map_or_else(Vec::new, |found| found.value)
    }

    /// The elements of an array, each one of `names`; one at least.
    pub(super) fn choices<T: Copy + PartialEq>(
        &mut self,
        report: &mut Report,
        key: &'static str,
        names: &[(&str, T)],
    ) -> Option<Found<Vec<T>>> {
        let rule = format!("an array of {}", quoted(names));
        let convert = |value: &DeValue<'_>| {
            let named = |text| names.iter().find(|(name, _)| *name == text);
            value.as_str().and_then(named).map(|(_, value)| *value).ok_or(rule.as_str())
        };
        let found = self.elements(report, key, &rule, convert)?;
        if found.value.is_empty() {
            report.fault(&found.at, rule);
            return None;
        }
        Some(found)
    }

    /// The elements of an array, each different and as `convert` makes it, or why not. `allowed` is
    /// what would do for the whole of it. None if there is a fault.
    fn elements<'r, T: PartialEq>(
        &mut self,
        report: &mut Report,
        key: &'static str,
        allowed: &'r str,
        convert: impl Fn(&DeValue<'i>) -> Result<T, &'r str>,
    ) -> Option<Found<Vec<T>>> {
        let Found { value, at } = self.take(report, key)?;
        let DeValue::Array(elements) = value else {
            report.fault(&at, allowed);
            return None;
        };
        let count = elements.len();
        let mut values = Vec::new();
        for element in elements {
            let line = report.line(element.span().start);
            let value = show(element.get_ref());
            let spot = Spot { key: at.key.clone(), value, line };
            match convert(element.get_ref()) {
                Ok(value) if values.contains(&value) => report.fault(&spot, "each only once"),
                Ok(value) => values.push(value),
                Err(allowed) => report.fault(&spot, allowed),
            }
        }
        (values.len() == count).then_some(Found { value: values, at })
    }

    /// The table `key`.
    pub(super) fn table(&mut self, report: &mut Report, key: &'static str) -> Option<Self> {
        let Found { value, at } = self.take(report, key)?;
        if let DeValue::Table(entries) = value {
            return Some(Self::new(at.key, at.line, entries));
        }
        report.fault(&at, "a table");
        None
    }

    /// An instant in whole seconds: a date-time of TOML with an offset.
    pub(super) fn timestamp(
        &mut self,
        report: &mut Report,
        key: &'static str,
    ) -> Option<Found<Timestamp>> {
        self.read(report, key, TIMESTAMP_RULE, |value| match value {
            DeValue::Datetime(time) => time.to_string().parse().ok(),
            _ => None,
        })
    }

    /// The tables of the array `key`, as many as `count` allows, called by their number from 1 on.
    pub(super) fn tables(
        &mut self,
        report: &mut Report,
        key: &'static str,
        count: RangeInclusive<usize>,
        allowed: &str,
    ) -> Vec<Self> {
        let Some(Found { value, at }) = self.take(report, key) else {
            if !count.contains(&0) {
                report.missing(self, key, allowed);
            }
            return Vec::new();
        };
        let DeValue::Array(elements) = value else {
            report.fault(&at, allowed);
            return Vec::new();
        };
        if !count.contains(&elements.len()) {
            report.fault(&at, allowed);
        }
        let mut tables = Vec::new();
        for (number, element) in (1..).zip(elements) {
            let line = report.line(element.span().start);
            let path = format!("{}.{number}", at.key);
            match element.into_inner() {
                DeValue::Table(entries) => tables.push(Self::new(path, line, entries)),
                other => report.fault(&Spot { key: path, value: show(&other), line }, allowed),
            }
        }
        tables
    }

    /// Ends the reading: whatever has not been asked for is a fault.
    pub(super) fn finish(self, report: &mut Report) {
        for (key, value) in &self.entries {
            let near = nearest(key.get_ref(), &self.known);
            let secret = near.is_some_and(|near| SECRETS.contains(&near));
            let spot = Spot {
                key: self.path_of(&one_line(if is_key_like(key.get_ref()) {
                    HIDDEN
                } else {
                    key.get_ref()
                })),
                value: if secret { HIDDEN.to_owned() } else { show(value.get_ref()) },
                line: report.line(key.span().start),
            };
            report.fault(
                &spot,
                match near {
                    Some(near) => format!("unknown key: did you mean {near}?"),
                    None => format!("unknown key: there are {}", self.known.join(", ")),
                },
            );
        }
    }
}

fn quoted<T>(names: &[(&str, T)]) -> String {
    let quoted: Vec<_> = names.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    quoted.join(", ")
}

/// The value that was found, or `default`.
pub(super) fn value_or<T>(found: Option<Found<T>>, default: T) -> T {
    found.map_or(default, |found| found.value)
}

/// `value` as TOML spells it, in one short line, unless it looks like a secret.
fn show(value: &DeValue<'_>) -> String {
    let text = match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) => "(an array)".to_owned(),
        DeValue::Table(_) => A_TABLE.to_owned(),
    };
    if is_key_like(&text) {
        HIDDEN.to_owned()
    } else if text.chars().count() > SHOWN {
        text.chars().take(SHOWN).chain("...".chars()).collect()
    } else {
        text
    }
}

/// Whether `text` has so many hexadecimal digits in a row, separators aside, that it may be a key.
fn is_key_like(text: &str) -> bool {
    let mut run = 0;
    text.chars().any(|character| {
        if character.is_ascii_hexdigit() {
            run += 1;
        } else if character.is_alphanumeric() || character == '/' {
            run = 0;
        }
        run >= KEY_LIKE
    })
}

/// Erases `value` where it is not part of the text that was read: a text with escapes is a copy.
fn erase(value: DeValue<'_>) {
    if let DeValue::String(Cow::Owned(mut text)) = value {
        text.zeroize();
    }
}

fn number(value: &DeValue<'_>) -> Option<u32> {
    let number = value.as_integer()?;
    u32::from_str_radix(number.as_str(), number.radix()).ok()
}

/// The known key that `key` is most likely meant to be.
fn nearest(key: &str, known: &[&'static str]) -> Option<&'static str> {
    let distances = known.iter().map(|known| (strsim::osa_distance(key, known), *known));
    let (distance, nearest) = distances.min()?;
    (distance <= (nearest.len() / 3).max(1)).then_some(nearest)
}

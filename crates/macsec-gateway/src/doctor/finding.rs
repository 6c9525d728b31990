//! What was seen, and what to do about it.

use serde::{Serialize, Serializer};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Good to know.
    Note,
    /// It works, but not well, or not for long.
    Warning,
    /// It keeps a port from working.
    Problem,
}

impl Level {
    /// How it is written in front of a finding.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "WARNING",
            Self::Problem => "PROBLEM",
        }
    }
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What was looked at: `uplink`, `MTU`, `InPktsNotValid`, ...
    pub check: &'static str,
    /// The port it is about; `None` for the machine as a whole.
    pub port: Option<String>,
    /// What was seen, in one line.
    pub seen: String,
    /// What to do, in one line; nothing if all is well.
    #[serde(serialize_with = "nothing_is_null")]
    pub advice: String,
}

impl Finding {
    /// All is well.
    pub(super) fn ok(check: &'static str, seen: impl Into<String>) -> Self {
        Self::new(Level::Ok, check, seen, "")
    }

    /// Something to know.
    pub(super) fn note(
        check: &'static str,
        seen: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self::new(Level::Note, check, seen, advice)
    }

    /// Something to change some time.
    pub(super) fn warning(
        check: &'static str,
        seen: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self::new(Level::Warning, check, seen, advice)
    }

    /// Something to change now.
    pub(super) fn problem(
        check: &'static str,
        seen: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self::new(Level::Problem, check, seen, advice)
    }

    pub(super) fn new(
        level: Level,
        check: &'static str,
        seen: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { level, check, port: None, seen: seen.into(), advice: advice.into() }
    }

    /// The same, about a port.
    pub(super) fn of_port(self, port: &str) -> Self {
        Self { port: Some(port.to_owned()), ..self }
    }
}

fn nothing_is_null<S: Serializer>(advice: &str, serializer: S) -> Result<S::Ok, S::Error> {
    Some(advice).filter(|advice| !advice.is_empty()).serialize(serializer)
}

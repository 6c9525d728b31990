//! Instants as a configuration gives them, to the second.

use std::{
    fmt,
    str::FromStr,
    time::{SystemTime, UNIX_EPOCH},
};

use thiserror::Error;
use time::{OffsetDateTime, UtcDateTime, format_description::well_known::Rfc3339};

/// How an instant is written.
pub(super) const TIMESTAMP_RULE: &str =
    "a date and a time of day with its offset, in whole seconds, as 2026-12-01T00:00:00Z";

/// An instant: whole seconds since the beginning of 1970, in UTC.
///
/// Read from text, and displayed, as RFC 3339 has it: `2026-12-01T00:00:00Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// What the clock of the system says.
    #[must_use]
    pub fn now() -> Self {
        let seconds = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            Err(before) => {
                i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |seconds| -seconds)
            }
        };
        Self(seconds)
    }
}

/// A text that is no [`Timestamp`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("must be {}", TIMESTAMP_RULE)]
pub struct TimestampError;

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let instant = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| TimestampError)?;
        let is_whole = instant.nanosecond() == 0;
        is_whole.then(|| Self(instant.unix_timestamp())).ok_or(TimestampError)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UtcDateTime::from_unix_timestamp(self.0) {
            Ok(at) if (0..=9999).contains(&at.year()) => {
                let (hour, minute, second) = at.as_hms();
                write!(f, "{:04}-{:02}-{:02}", at.year(), u8::from(at.month()), at.day())?;
                write!(f, "T{hour:02}:{minute:02}:{second:02}Z")
            }
            // RFC 3339 has no such year.
            _ => write!(f, "{} s since 1970", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_since_1970_in_utc() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1969-12-31T23:59:59Z", -1),
            ("2000-02-29T12:00:00Z", 951_825_600),
            ("2026-12-01T00:00:00Z", 1_796_083_200),
            ("0000-01-01T00:00:00Z", -62_167_219_200),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
        ] {
            assert_eq!(text.parse(), Ok(Timestamp(seconds)), "{text}");
            assert_eq!(Timestamp(seconds).to_string(), text);
        }
    }

    #[test]
    fn as_others_write_it() {
        for text in [
            "2026-12-01T01:30:00+01:30",
            "2026-11-30T19:00:00-05:00",
            "2026-12-01 00:00:00z",
            "2026-12-01T00:00:00.000Z",
        ] {
            assert_eq!(text.parse(), Ok(Timestamp(1_796_083_200)), "{text}");
        }
    }

    #[test]
    fn what_is_no_instant() {
        for text in [
            "",
            "2026-12-01",
            "00:00:00",
            "2026-12-01T00:00:00",
            "2026-12-01T00:00:00.5Z",
            "2026-02-30T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-12-01T24:00:00Z",
            // A leap second is no second of Unix time.
            "2016-12-31T23:59:60Z",
            "1796083200",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(TimestampError), "{text}");
        }
    }

    #[test]
    fn whatever_the_clock_says_can_be_shown() {
        assert!(Timestamp::now() > Timestamp(1_700_000_000));
        for seconds in [i64::MIN, i64::MAX, 253_402_300_800] {
            assert_eq!(Timestamp(seconds).to_string(), format!("{seconds} s since 1970"));
        }
    }
}

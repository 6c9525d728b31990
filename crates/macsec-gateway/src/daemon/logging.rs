//! Where the log goes, and what it looks like.

use std::io::{self, IsTerminal};

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;

/// How lines of the log are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Human,
    /// One JSON object a line
    Json,
}

/// Sends the log to standard error. Under systemd the journal has its own clock, so lines carry none.
pub(super) fn start(format: Format, level: LevelFilter) {
    let builder = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_max_level(level)
        .with_target(false)
        // If standard error has gone, saying so there would be the end of the thread that does.
        .log_internal_errors(false)
        .with_ansi(io::stderr().is_terminal());
    // It fails only if there is a log already: then that one is used.
    let _ = match format {
        Format::Json => builder.json().flatten_event(true).try_init(),
        Format::Human if std::env::var_os("JOURNAL_STREAM").is_some() => {
            builder.without_time().try_init()
        }
        Format::Human => builder.try_init(),
    };
}

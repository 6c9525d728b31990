//! Where the log goes, and what it looks like.
//!
//! To standard error, by a thread of its own: whoever reads it may be slow, and no port waits for that.
//! (Lines are lost then, once a good many are waiting.) That thread is to have no more capabilities
//! than the others, so there is none before these have been dropped: until then, lines are written where
//! they come up.

use std::io::{self, IsTerminal};

use clap::ValueEnum;
use tracing::{
    dispatcher::{self, Dispatch},
    level_filters::LevelFilter,
};
use tracing_appender::non_blocking::{self, WorkerGuard};
use tracing_subscriber::fmt::MakeWriter;

/// How lines of the log are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Human,
    /// One JSON object a line
    Json,
}

/// A log as the options want it.
#[derive(Clone, Copy)]
pub(super) struct Log {
    pub(super) format: Format,
    pub(super) level: LevelFilter,
}

impl Log {
    /// Runs `action`, whose lines are written at once.
    pub(super) fn during<T>(self, action: impl FnOnce() -> T) -> T {
        dispatcher::with_default(&self.to(io::stderr), action)
    }

    /// From now on, lines of all threads are written by a thread. What is waiting when the guard is
    /// dropped is written then.
    pub(super) fn start(self) -> WorkerGuard {
        let (writer, guard) = non_blocking::NonBlocking::new(io::stderr());
        // It fails only if there is a log already: then that one is used.
        let _ = dispatcher::set_global_default(self.to(writer));
        guard
    }

    fn to<W>(self, writer: W) -> Dispatch
    where
        W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
    {
        let builder = tracing_subscriber::fmt()
            .with_writer(writer)
            .with_max_level(self.level)
            .with_target(false)
            // If standard error has gone, saying so there would be the end of the thread that does.
            .log_internal_errors(false)
            .with_ansi(io::stderr().is_terminal());
        match self.format {
            Format::Json => builder.json().flatten_event(true).into(),
            // The journal has a clock of its own.
            Format::Human if std::env::var_os("JOURNAL_STREAM").is_some() => {
                builder.without_time().into()
            }
            Format::Human => builder.into(),
        }
    }
}

//! The thread that keeps the KI journal of a KaY, so that the KaY never waits for the disk.

use std::{
    io,
    path::PathBuf,
    sync::mpsc::{Receiver, Sender, channel},
    thread::{self, JoinHandle},
};

use macsec::{Ki, Sci};
use mka::order::OrderId;
use thiserror::Error;

use super::kay_thread::Input;
use crate::{
    ki_journal::{KiJournal, KiJournalError},
    mailbox::Address,
};

/// What a KaY asks. It is done in this order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// Put the key on record, for this order.
    Record(OrderId, Ki),
    /// The key is given up.
    Retire(Ki),
    /// To end.
    Stop,
}

/// What is answered.
#[derive(Debug)]
pub(super) enum Answer {
    /// The journal is open, which is said first; or cannot be, and there is nobody to ask.
    Opened(Result<(), KiJournalError>),
    /// Whether the key of this order is on record, and may be transmitted with.
    Recorded(OrderId, Result<(), Refusal>),
}

/// Why a key must not be transmitted with.
#[derive(Debug, Error)]
pub(super) enum Refusal {
    /// It has been.
    #[error("it has been used before")]
    UsedBefore,
    /// It is not on record.
    #[error(transparent)]
    NotRecorded(#[from] KiJournalError),
}

/// The thread that keeps a journal. Dropped, it does what has been asked, which may have to wait for the
/// disk, and gives the journal back.
pub(super) struct KayJournal {
    pub(super) requests: Sender<Request>,
    pub(super) thread: Option<JoinHandle<()>>,
}

impl KayJournal {
    /// Starts it for the KaY of the port `name`, which is at `kay`.
    ///
    /// # Errors
    /// Those of starting a thread.
    pub(super) fn start(
        name: &str,
        state_directory: PathBuf,
        sci: Sci,
        kay: Address<Input>,
    ) -> io::Result<Self> {
        let (requests, asked) = channel();
        let thread = thread::Builder::new()
            .name(format!("ki-{name}"))
            .spawn(move || keep(KiJournal::open(&state_directory, sci), &asked, &kay))?;
        Ok(Self { requests, thread: Some(thread) })
    }

    pub(super) fn ask(&self, request: Request) {
        // It ends before its time only if the journal could not be opened, which the KaY is told.
        let _ = self.requests.send(request);
    }
}

impl Drop for KayJournal {
    fn drop(&mut self) {
        self.ask(Request::Stop);
        if let Some(thread) = self.thread.take() {
            // A panic in it has been reported, and the file is whole.
            let _ = thread.join();
        }
    }
}

fn keep(
    opened: Result<KiJournal, KiJournalError>,
    requests: &Receiver<Request>,
    kay: &Address<Input>,
) {
    let answer = |answer| kay.send(Input::Journal(answer));
    let mut journal = match opened {
        Ok(journal) => journal,
        Err(error) => {
            answer(Answer::Opened(Err(error)));
            return;
        }
    };
    answer(Answer::Opened(Ok(())));
    for request in requests {
        match request {
            Request::Record(id, ki) => {
                answer(Answer::Recorded(id, record(&mut journal, ki)));
            }
            Request::Retire(ki) => journal.retire(ki),
            Request::Stop => return,
        }
    }
}

fn record(journal: &mut KiJournal, ki: Ki) -> Result<(), Refusal> {
    if journal.used_before(&ki) {
        return Err(Refusal::UsedBefore);
    }
    Ok(journal.record(ki)?)
}

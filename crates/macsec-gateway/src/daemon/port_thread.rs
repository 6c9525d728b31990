//! The thread of a port, as the main thread sees it. What it does is in `runner`.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::SyncSender,
    },
    thread::{self, JoinHandle},
};

use tracing::error;

use super::{Surroundings, kay_thread::Output, key_stores::Keys, problem::Problem, runner::Runner};
use crate::{
    config::PortConfig,
    mailbox::{Address, mailbox},
    port::Captures,
    status::PortStatus,
};

/// What the main thread asks of a port, and its KaY tells it.
pub(super) enum Order {
    /// Its status.
    Status(SyncSender<PortStatus>),
    /// To become what this says, with these keys. The answer is what does not work afterwards.
    Apply(Arc<PortConfig>, Keys, SyncSender<Vec<Problem>>),
    /// To have these keys.
    Keys(Keys),
    /// To make a new SAK. The answer is why not.
    Rekey(SyncSender<Result<(), String>>),
    /// What the KaY with this number says.
    Kay(u64, Output),
    /// To end.
    Stop,
    /// To panic.
    #[cfg(test)]
    Panic,
    /// To tell the KaY something.
    #[cfg(test)]
    TellKay(super::kay_thread::Input),
}

/// A port's thread, seen from the main thread.
pub(super) struct PortThread {
    /// The configuration that the port is to have.
    pub(super) config: Arc<PortConfig>,
    /// The one before, which may be in force still.
    pub(super) former: Arc<PortConfig>,
    orders: Address<Order>,
    /// Counts the thread's turns: one that stands still hangs.
    turns: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl PortThread {
    /// Starts the thread, for a port with these keys, and says by and by (on `started`) what keeps the port from working.
    ///
    /// # Errors
    /// Those of starting a thread and of its mailbox.
    pub(super) fn start(
        config: &Arc<PortConfig>,
        keys: Keys,
        surroundings: &Arc<Surroundings>,
        captures: Option<Captures>,
        started: SyncSender<Vec<Problem>>,
    ) -> io::Result<Self> {
        let (orders, mailbox) = mailbox()?;
        let turns = Arc::new(AtomicU64::new(0));
        let thread = thread::Builder::new().name(format!("port-{}", config.name)).spawn({
            let (config, surroundings) = (Arc::clone(config), Arc::clone(surroundings));
            let (turns, address) = (Arc::clone(&turns), orders.clone());
            move || {
                let runner = Runner::new(config, keys, surroundings, captures, address);
                runner.run(&mailbox, &turns, started);
            }
        })?;
        let (config, former) = (Arc::clone(config), Arc::clone(config));
        Ok(Self { config, former, orders, turns, thread })
    }

    /// Sends an order; the port carries it out between two turns.
    pub(super) fn order(&self, order: Order) {
        self.orders.send(order);
    }

    /// How many turns the thread has made.
    pub(super) fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    /// Whether the thread has ended. Unless it has been ordered to stop, it has panicked.
    pub(super) fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the thread, which has been ordered to stop: until everything is put back and written
    /// down. Returns false if it has panicked: then nothing is put back.
    pub(super) fn join(self) -> bool {
        let ended = self.thread.join().is_ok();
        if !ended {
            error!(port = self.config.name, "the thread of the port has panicked");
        }
        ended
    }
}

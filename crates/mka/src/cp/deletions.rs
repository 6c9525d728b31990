//! What the data plane is to delete, until it has.

use alloc::collections::VecDeque;
use core::time::Duration;

use macsec::{An, Ki, Sci};

use super::{
    orders::{Outbox, orders_for_a_key},
    timer::Timer,
};
use crate::order::{Action, OrderId};

/// An order to delete something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deletion {
    TransmitSa { an: An, ki: Ki },
    ReceiveSa { sci: Sci, an: An, ki: Ki },
    Key(Ki),
    ReceiveSc(Sci),
}

impl Deletion {
    const fn action(self) -> Action {
        match self {
            Self::TransmitSa { an, ki } => Action::DeleteTransmitSa { an, ki },
            Self::ReceiveSa { sci, an, ki } => Action::DeleteReceiveSa { sci, an, ki },
            Self::Key(ki) => Action::RemoveKey(ki),
            Self::ReceiveSc(sci) => Action::DeleteReceiveSc { sci },
        }
    }
}

/// Deletions that have not been answered, and those that have failed. What stays in the data plane keeps its AN from being
/// used again, so they are repeated.
#[derive(Debug)]
pub(super) struct Deletions {
    ordered: VecDeque<(OrderId, Deletion)>,
    failed: VecDeque<Deletion>,
    limit: usize,
    again_at: Timer,
}

impl Deletions {
    /// For keys with so many peers.
    pub(super) fn new(peers: usize) -> Self {
        // As many as there are when the port is closed, with two keys, and as many again.
        let limit = 4 * orders_for_a_key(peers);
        Self {
            ordered: VecDeque::with_capacity(limit),
            failed: VecDeque::with_capacity(limit),
            limit,
            again_at: Timer::default(),
        }
    }

    pub(super) fn order(&mut self, orders: &mut Outbox, deletion: Deletion) {
        let id = orders.give(deletion.action());
        push(&mut self.ordered, (id, deletion), self.limit);
    }

    /// Takes the answer to an order; one that has failed is to be repeated after `delay`.
    pub(super) fn answer(&mut self, id: OrderId, succeeded: bool, now: Duration, delay: Duration) {
        let Some(at) = self.ordered.iter().position(|&(ordered, _)| ordered == id) else { return };
        if let Some((_, deletion)) = self.ordered.remove(at).filter(|_| !succeeded) {
            push(&mut self.failed, deletion, self.limit);
            if !self.again_at.is_on() {
                self.again_at.start(now, delay);
            }
        }
    }

    /// Repeats what has failed, if it is time to, and if it is not `needed` again.
    pub(super) fn repeat(
        &mut self,
        orders: &mut Outbox,
        now: Duration,
        needed: impl Fn(Deletion) -> bool,
    ) {
        if !self.again_at.is_zero(now) {
            return;
        }
        self.again_at.stop();
        while let Some(deletion) = self.failed.pop_front() {
            if !needed(deletion) {
                self.order(orders, deletion);
            }
        }
    }

    pub(super) fn pending(&self, now: Duration) -> Option<Duration> {
        self.again_at.pending(now)
    }
}

/// Adds an entry at the end. Of too many the oldest is forgotten.
fn push<T>(queue: &mut VecDeque<T>, entry: T, limit: usize) {
    if queue.len() == limit {
        queue.pop_front();
    }
    queue.push_back(entry);
}

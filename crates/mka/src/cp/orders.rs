//! Orders given and not answered yet.

use alloc::{collections::VecDeque, vec::Vec};
use core::time::Duration;

use macsec::{An, Ki, Sci};

use super::{keys::MAX_PEERS, state::Answer, timer::Timer};
use crate::order::{Action, Order, OrderId};

/// Orders about a key: the key, SC and SA for each peer, the transmit SA.
pub(super) const ORDERS_FOR_A_KEY: usize = 2 * MAX_PEERS + 2;

/// Orders to be fetched, each with an id of its own.
#[derive(Debug)]
pub(super) struct Outbox {
    orders: VecDeque<Order>,
    last_id: u64,
}

impl Default for Outbox {
    fn default() -> Self {
        // One call installs a key and deletes two at the most.
        Self { orders: VecDeque::with_capacity(4 * ORDERS_FOR_A_KEY), last_id: 0 }
    }
}

impl Outbox {
    pub(super) fn give(&mut self, action: Action) -> OrderId {
        // It takes longer than anything lives to count to 2^64.
        self.last_id += 1;
        let id = OrderId(self.last_id);
        self.orders.push_back(Order { id, action });
        id
    }

    /// Raises the lowest PN of a peer's SA. One that nobody has fetched yet becomes this one, so there is
    /// never more than one for an SA, however long they lie here.
    pub(super) fn raise_lowest_pn(&mut self, (sci, an, ki): (Sci, An, Ki), to: u64) {
        for order in &mut self.orders {
            if let Action::RaiseLowestPn { sci: of, ki: with, lowest_pn, .. } = &mut order.action
                && (*of, *with) == (sci, ki)
            {
                *lowest_pn = to;
                return;
            }
        }
        // Nothing waits for its answer.
        let _ = self.give(Action::RaiseLowestPn { sci, an, ki, lowest_pn: to });
    }

    pub(super) fn take(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }
}

/// Orders about peers that became known after their key. No state waits for them, but if one fails a peer is not heard.
#[derive(Debug)]
pub(super) struct LateOrders(VecDeque<(OrderId, Ki)>);

impl Default for LateOrders {
    fn default() -> Self {
        Self(VecDeque::with_capacity(ORDERS_FOR_A_KEY))
    }
}

impl LateOrders {
    /// One more. Too many at once, and the oldest is forgotten.
    pub(super) fn note(&mut self, id: OrderId, ki: Ki) {
        if self.0.len() == ORDERS_FOR_A_KEY {
            self.0.pop_front();
        }
        self.0.push_back((id, ki));
    }

    /// The order has been answered: about which key was it?
    pub(super) fn answer(&mut self, id: OrderId) -> Option<Ki> {
        let at = self.0.iter().position(|&(late, _)| late == id)?;
        self.0.remove(at).map(|(_, ki)| ki)
    }
}

/// Orders that the machine waits for.
#[derive(Debug)]
pub(super) struct Awaited {
    ids: Vec<OrderId>,
    failed: bool,
    overdue: Timer,
}

impl Default for Awaited {
    fn default() -> Self {
        let ids = Vec::with_capacity(ORDERS_FOR_A_KEY);
        Self { ids, failed: false, overdue: Timer::default() }
    }
}

impl Awaited {
    /// Waits for nothing any more; answers that come late concern nobody.
    pub(super) fn forget(&mut self) {
        self.ids.clear();
        self.failed = false;
        self.overdue.stop();
    }

    /// Waits for one more; for all of them until `delay` from now.
    pub(super) fn await_answer(&mut self, id: OrderId, now: Duration, delay: Duration) {
        self.ids.push(id);
        self.overdue.start(now, delay);
    }

    /// Takes the answer to an order. `false`: it was not waited for.
    pub(super) fn answer(&mut self, id: OrderId, succeeded: bool) -> bool {
        let Some(at) = self.ids.iter().position(|&awaited| awaited == id) else { return false };
        self.ids.swap_remove(at);
        self.failed |= !succeeded;
        if self.ids.is_empty() {
            self.overdue.stop();
        }
        true
    }

    /// Gives up waiting if the time for it is over, and says for which order.
    pub(super) fn give_up(&mut self, now: Duration) -> Option<OrderId> {
        let id = self.ids.iter().min().copied().filter(|_| self.overdue.is_zero(now))?;
        self.ids.clear();
        self.overdue.stop();
        self.failed = true;
        Some(id)
    }

    pub(super) fn so_far(&self) -> Answer {
        match (self.failed, self.ids.is_empty()) {
            (true, _) => Answer::Failed,
            (false, true) => Answer::Done,
            (false, false) => Answer::Outstanding,
        }
    }

    pub(super) fn deadline(&self, now: Duration) -> Option<Duration> {
        self.overdue.pending(now)
    }
}

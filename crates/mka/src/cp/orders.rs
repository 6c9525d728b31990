//! Orders given and not answered yet.

use alloc::{collections::VecDeque, vec::Vec};
use core::time::Duration;

use macsec::{An, Ki, Sci};

use super::{state::Answer, timer::Timer};
use crate::order::{Action, Order, OrderId};

/// As many orders about the port itself as one call gives, and more.
const ABOUT_THE_PORT: usize = 8;

/// Orders about a key with so many peers: the key, SC and SA for each, the transmit SA.
pub(super) const fn orders_for_a_key(peers: usize) -> usize {
    2 * peers + 2
}

/// Orders to be fetched, each with an id of its own.
#[derive(Debug)]
pub(super) struct Outbox {
    orders: VecDeque<Order>,
    last_id: u64,
}

impl Outbox {
    /// For keys with so many peers.
    pub(super) fn new(peers: usize) -> Self {
        // One call installs a key and deletes two at the most, repeats deletions, and raises the lowest PNs of two.
        let capacity = 4 * orders_for_a_key(peers) + 2 * peers + ABOUT_THE_PORT;
        Self { orders: VecDeque::with_capacity(capacity), last_id: 0 }
    }

    pub(super) fn give(&mut self, action: Action) -> OrderId {
        // It takes longer than anything lives to count to 2^64.
        self.last_id += 1;
        let id = OrderId(self.last_id);
        debug_assert!(self.orders.len() < self.orders.capacity(), "nothing is allocated");
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
pub(super) struct LateOrders {
    orders: VecDeque<(OrderId, Ki)>,
    limit: usize,
}

impl LateOrders {
    /// For keys with so many peers.
    pub(super) fn new(peers: usize) -> Self {
        let limit = orders_for_a_key(peers);
        Self { orders: VecDeque::with_capacity(limit), limit }
    }

    /// One more. Too many at once, and the oldest is forgotten.
    pub(super) fn note(&mut self, id: OrderId, ki: Ki) {
        if self.orders.len() == self.limit {
            self.orders.pop_front();
        }
        self.orders.push_back((id, ki));
    }

    /// The order has been answered: about which key was it?
    pub(super) fn answer(&mut self, id: OrderId) -> Option<Ki> {
        let at = self.orders.iter().position(|&(late, _)| late == id)?;
        self.orders.remove(at).map(|(_, ki)| ki)
    }
}

/// Orders that the machine waits for.
#[derive(Debug)]
pub(super) struct Awaited {
    ids: Vec<OrderId>,
    failed: bool,
    overdue: Timer,
}

impl Awaited {
    /// Those about a key with so many peers.
    pub(super) fn about_key(peers: usize) -> Self {
        Self::new(orders_for_a_key(peers))
    }

    /// Those about the port itself.
    pub(super) fn about_port() -> Self {
        Self::new(ABOUT_THE_PORT)
    }

    fn new(capacity: usize) -> Self {
        Self { ids: Vec::with_capacity(capacity), failed: false, overdue: Timer::default() }
    }

    /// Waits for nothing any more; answers that come late concern nobody.
    pub(super) fn forget(&mut self) {
        self.ids.clear();
        self.failed = false;
        self.overdue.stop();
    }

    /// Waits for one more; for all of them until `delay` from now.
    pub(super) fn await_answer(&mut self, id: OrderId, now: Duration, delay: Duration) {
        debug_assert!(self.ids.len() < self.ids.capacity(), "nothing is allocated");
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

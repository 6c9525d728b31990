//! Many KaYs in one thread: when which of them is due.
//!
//! A [`Schedule`] keeps one time for each of so many indices. To change one and to take the earliest costs the
//! logarithm of their number, and nothing is allocated after construction. So a KaY that is idle costs its hellos.
//!
//! # Example
//!
//! One turn of a loop that runs many ports. What goes between the turns is to wait until [`Schedule::next`], or for
//! frames, orders that are answered, and links.
#![cfg_attr(feature = "std", doc = "```")]
#![cfg_attr(not(feature = "std"), doc = "```ignore")]
//! use std::time::Duration;
//!
//! use macsec::{MacAddress, Sci};
//! use mka::{
//!     Cak, Ckn, Kay, KayConfig, MAX_FRAME_LEN, OsRandom, ParticipantConfig, schedule::Schedule,
//! };
//!
//! /// To be called after everything that has come in at a port.
//! fn after_input(now: Duration, at: usize, kay: &mut Kay<OsRandom>, schedule: &mut Schedule) {
//!     while let Some(order) = kay.poll_order() {
//!         // Whatever the SecY says:
//!         kay.order_done(now, order.id, Ok(()));
//!     }
//!     let mut frame = [0; MAX_FRAME_LEN];
//!     while let Some(_len) = kay.poll_transmit(now, &mut frame) {
//!         // Here the frame is sent.
//!     }
//!     while let Some(_event) = kay.poll_event() {}
//!     schedule.set(at, kay.poll_timeout());
//! }
//!
//! let mut kays = Vec::new();
//! let mut schedule = Schedule::new(1000);
//! for number in 0..1000_u16 {
//!     let sci = Sci::new(MacAddress([2, 0, 0, 0, 0, 1]), number);
//!     let config = KayConfig::new(ParticipantConfig::new(sci));
//!     let (cak, ckn) = (Cak::new(&[0x42; 16])?, Ckn::new(&number.to_be_bytes())?);
//!     let mut kay = Kay::new(config, cak, ckn, OsRandom, Duration::ZERO)?;
//!     kay.set_port_enabled(Duration::ZERO, true);
//!     after_input(Duration::ZERO, kays.len(), &mut kay, &mut schedule);
//!     kays.push(kay);
//! }
//!
//! let now = schedule.next().expect("hellos are due");
//! while let Some(at) = schedule.pop_due(now) {
//!     kays[at].handle_timeout(now);
//!     after_input(now, at, &mut kays[at], &mut schedule);
//! }
//! assert!(schedule.next().expect("the next hellos are") > now);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use alloc::{vec, vec::Vec};
use core::time::Duration;

/// Children of a node of the heap. Four lie side by side in memory, and make it half as deep as two.
const ARITY: usize = 4;
/// The place of an index that is not due.
const NOWHERE: usize = usize::MAX;

#[derive(Clone, Copy, Debug)]
struct Entry {
    due: Duration,
    index: usize,
}

/// When which of many is due. See the [module](self).
#[derive(Clone, Debug)]
pub struct Schedule {
    /// No entry is due before its parent, so that the first is the earliest.
    heap: Vec<Entry>,
    /// Where in the heap each index is.
    places: Vec<usize>,
}

impl Schedule {
    /// A schedule for the indices below `capacity`, none of which is due.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { heap: Vec::with_capacity(capacity), places: vec![NOWHERE; capacity] }
    }

    /// The index is due then, and no more at the time that it had; with `None`, never.
    ///
    /// # Panics
    /// If there is no such index.
    pub fn set(&mut self, index: usize, due: Option<Duration>) {
        match (self.places[index], due) {
            (NOWHERE, None) => {}
            (NOWHERE, Some(due)) => {
                self.heap.push(Entry { due, index });
                self.rise(self.heap.len() - 1);
            }
            (place, None) => self.remove(place),
            (place, Some(due)) => {
                self.heap[place].due = due;
                self.order(place);
            }
        }
    }

    /// Takes out the index that is due first, if that is not later than `now`. It is not due any more until it is
    /// [set](Self::set) again. Of several that are due at the same time, any comes first.
    pub fn pop_due(&mut self, now: Duration) -> Option<usize> {
        let first = self.heap.first().filter(|first| first.due <= now)?.index;
        self.remove(0);
        Some(first)
    }

    /// When the first is due.
    #[must_use]
    pub fn next(&self) -> Option<Duration> {
        self.heap.first().map(|first| first.due)
    }

    fn remove(&mut self, place: usize) {
        let gone = self.heap.swap_remove(place);
        self.places[gone.index] = NOWHERE;
        if place < self.heap.len() {
            self.order(place);
        }
    }

    /// The entry here has changed: it goes where it belongs.
    fn order(&mut self, place: usize) {
        let place = self.rise(place);
        self.sink(place);
    }

    fn rise(&mut self, mut place: usize) -> usize {
        let entry = self.heap[place];
        while let Some(parent) = place.checked_sub(1).map(|below| below / ARITY) {
            if self.heap[parent].due <= entry.due {
                break;
            }
            self.put(place, self.heap[parent]);
            place = parent;
        }
        self.put(place, entry);
        place
    }

    fn sink(&mut self, mut place: usize) {
        let entry = self.heap[place];
        loop {
            let first = place * ARITY + 1;
            let children = first..(first + ARITY).min(self.heap.len());
            let Some(child) = children.min_by_key(|child| self.heap[*child].due) else { break };
            if entry.due <= self.heap[child].due {
                break;
            }
            self.put(place, self.heap[child]);
            place = child;
        }
        self.put(place, entry);
    }

    fn put(&mut self, place: usize, entry: Entry) {
        self.heap[place] = entry;
        self.places[entry.index] = place;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_and_each_once() {
        let mut schedule = Schedule::new(3);
        let [one, two, three] = [1, 2, 3].map(Duration::from_secs);
        assert_eq!((schedule.next(), schedule.pop_due(three)), (None, None));
        schedule.set(0, Some(three));
        schedule.set(1, Some(one));
        schedule.set(2, Some(two));
        assert_eq!(schedule.next(), Some(one));
        assert_eq!(schedule.pop_due(Duration::ZERO), None);
        assert_eq!([(); 3].map(|()| schedule.pop_due(two)), [Some(1), Some(2), None]);
        assert_eq!(schedule.next(), Some(three));
        schedule.set(0, None);
        schedule.set(0, None);
        assert_eq!((schedule.next(), schedule.pop_due(three)), (None, None));
    }
}

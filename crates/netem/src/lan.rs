//! Members on a LAN, and the time that passes there.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    ops::{Index, IndexMut},
    time::Duration,
};

use crate::{Dice, Link};

/// So many steps at one moment mean that somebody's timeout never passes.
const MOST_STEPS_AT_ONCE: u32 = 10_000;

/// A protocol without I/O.
pub trait Node {
    /// Takes a frame.
    fn receive(&mut self, now: Duration, frame: &[u8]);
    /// The time that [`next_timeout`](Self::next_timeout) gave has come.
    fn timeout(&mut self, now: Duration);
    /// When to call [`timeout`](Self::timeout).
    fn next_timeout(&self, now: Duration) -> Option<Duration>;
    /// The next frame to send. Asked until there is none, after each input.
    fn transmit(&mut self, now: Duration) -> Option<Vec<u8>>;
}

/// A frame that a member has sent.
#[derive(Clone, Debug)]
pub struct Sent {
    /// When.
    pub at: Duration,
    /// Who, by index.
    pub from: usize,
    /// What.
    pub frame: Vec<u8>,
}

/// Time of arrival, serial number, receiver, frame. The serial number keeps frames of one moment in
/// order.
type Arrival = (Duration, u64, usize, Vec<u8>);

/// The next timeout of a member, or that it has to be asked.
#[derive(Clone, Copy)]
enum Known {
    No,
    Yes(Option<Duration>),
}

/// A LAN: what a member sends, all others get.
///
/// Members are known by their index. A member can be taken out and another put in its place, as on a
/// restart.
pub struct Lan<N> {
    now: Duration,
    nodes: Vec<Option<N>>,
    /// When each has something to do next, as far as that is known: it changes only when the member is touched.
    timeouts: Vec<Known>,
    links: Vec<Link>,
    queue: BinaryHeap<Reverse<Arrival>>,
    serial: u64,
    dice: Dice,
    sent: Vec<Sent>,
    steps_at_once: u32,
}

impl<N: Node> Lan<N> {
    /// A LAN of clean links between these members, at time 0.
    pub fn new(seed: u64, nodes: impl IntoIterator<Item = N>) -> Self {
        let nodes: Vec<_> = nodes.into_iter().map(Some).collect();
        Self {
            now: Duration::ZERO,
            links: vec![Link::CLEAN; nodes.len() * nodes.len()],
            timeouts: vec![Known::No; nodes.len()],
            nodes,
            queue: BinaryHeap::new(),
            serial: 0,
            dice: Dice::new(seed),
            sent: Vec::new(),
            steps_at_once: 0,
        }
    }

    /// Virtual time.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// The link from one member to another.
    ///
    /// # Panics
    /// If there is no such member.
    pub fn link(&mut self, from: usize, to: usize) -> &mut Link {
        &mut self.links[from * self.nodes.len() + to]
    }

    /// Makes all links such.
    pub fn set_links(&mut self, link: Link) {
        self.links.fill(link);
    }

    /// All members that are there.
    pub fn nodes(&self) -> impl Iterator<Item = &N> {
        self.nodes.iter().flatten()
    }

    /// How many places for members there are, taken or not.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are no places at all.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Takes a member out. Frames to it get lost.
    pub fn take(&mut self, index: usize) -> Option<N> {
        self.timeouts[index] = Known::No;
        self.nodes[index].take()
    }

    /// Puts a member in.
    pub fn put(&mut self, index: usize, node: N) {
        self.timeouts[index] = Known::No;
        self.nodes[index] = Some(node);
    }

    /// Gives a member something to do outside of the network's own steps, and sends what comes of it.
    ///
    /// # Panics
    /// If the member is not there.
    pub fn with<T>(&mut self, index: usize, act: impl FnOnce(&mut N, Duration) -> T) -> T {
        let now = self.now;
        let done = act(&mut self[index], now);
        self.send_all(index);
        done
    }

    /// Lets a frame arrive at a member at once, as an attacker would.
    pub fn inject(&mut self, to: usize, frame: &[u8]) {
        self.arrive(self.now, to, frame.to_vec());
    }

    /// All that was sent so far, oldest first.
    pub fn sent(&self) -> &[Sent] {
        &self.sent
    }

    /// Lets the next thing happen: an arrival or a timeout. `false` if nothing ever will.
    ///
    /// # Panics
    /// If a member's timeout does not pass.
    pub fn step(&mut self) -> bool {
        let Some(next) = self.next() else { return false };
        self.steps_at_once = if next > self.now { 0 } else { self.steps_at_once + 1 };
        assert!(self.steps_at_once < MOST_STEPS_AT_ONCE, "time stands still at {:?}", self.now);
        self.now = self.now.max(next);
        let arrived = self.queue.peek().is_some_and(|Reverse(arrival)| arrival.0 <= self.now);
        if arrived && let Some(Reverse((_, _, to, frame))) = self.queue.pop() {
            if let Some(node) = &mut self.nodes[to] {
                self.timeouts[to] = Known::No;
                node.receive(self.now, &frame);
                self.send_all(to);
            }
            return true;
        }
        for index in 0..self.nodes.len() {
            let now = self.now;
            if self.timeout_of(index).is_some_and(|at| at <= now)
                && let Some(node) = &mut self.nodes[index]
            {
                self.timeouts[index] = Known::No;
                node.timeout(now);
                self.send_all(index);
            }
        }
        true
    }

    /// Steps until `done`, but not past `deadline`, a point in virtual time. Says whether it is done.
    pub fn drive_until(&mut self, deadline: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        loop {
            if done(self) {
                return true;
            }
            if self.next().is_none_or(|next| next > deadline) {
                self.now = self.now.max(deadline);
                return false;
            }
            self.step();
        }
    }

    /// Lets time pass.
    pub fn run_for(&mut self, time: Duration) {
        self.drive_until(self.now + time, |_| false);
    }

    fn next(&mut self) -> Option<Duration> {
        let arrival = self.queue.peek().map(|Reverse(arrival)| arrival.0);
        let timeouts = (0..self.nodes.len()).filter_map(|index| self.timeout_of(index));
        timeouts.chain(arrival).min()
    }

    fn timeout_of(&mut self, index: usize) -> Option<Duration> {
        if let Known::Yes(timeout) = self.timeouts[index] {
            return timeout;
        }
        let timeout = self.nodes[index].as_ref().and_then(|node| node.next_timeout(self.now));
        self.timeouts[index] = Known::Yes(timeout);
        timeout
    }

    fn send_all(&mut self, from: usize) {
        let now = self.now;
        self.timeouts[from] = Known::No;
        while let Some(frame) = self.nodes[from].as_mut().and_then(|node| node.transmit(now)) {
            for to in (0..self.nodes.len()).filter(|&to| to != from) {
                self.carry(from, to, &frame);
            }
            self.sent.push(Sent { at: now, from, frame });
        }
    }

    fn carry(&mut self, from: usize, to: usize, frame: &[u8]) {
        let link = *self.link(from, to);
        if link.cut || self.dice.chance(link.loss) {
            return;
        }
        let copies = if self.dice.chance(link.duplicate) { 2 } else { 1 };
        for _ in 0..copies {
            let mut frame = frame.to_vec();
            if self.dice.chance(link.corrupt) {
                let bit = self.dice.below(8 * frame.len() as u64) as usize;
                frame[bit / 8] ^= 1 << (bit % 8);
            }
            let at = self.now + self.delay(link);
            self.arrive(at, to, frame);
        }
        if self.dice.chance(link.reflect) {
            let at = self.now + self.delay(link);
            self.arrive(at, from, frame.to_vec());
        }
    }

    fn delay(&mut self, link: Link) -> Duration {
        let jitter = u64::try_from(link.jitter.as_micros()).unwrap_or(u64::MAX);
        let jitter = Duration::from_micros(self.dice.below(jitter));
        let held = if self.dice.chance(link.reorder) { link.reorder_by } else { Duration::ZERO };
        link.delay + jitter + held
    }

    fn arrive(&mut self, at: Duration, to: usize, frame: Vec<u8>) {
        self.serial += 1;
        self.queue.push(Reverse((at, self.serial, to, frame)));
    }
}

/// # Panics
/// If the member is not there.
impl<N> Index<usize> for Lan<N> {
    type Output = N;

    fn index(&self, index: usize) -> &N {
        self.nodes[index].as_ref().expect("the member is there")
    }
}

/// # Panics
/// If the member is not there.
impl<N> IndexMut<usize> for Lan<N> {
    fn index_mut(&mut self, index: usize) -> &mut N {
        self.timeouts[index] = Known::No;
        self.nodes[index].as_mut().expect("the member is there")
    }
}

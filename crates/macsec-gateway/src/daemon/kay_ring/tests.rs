//! Two KaYs whose keys come and go, in virtual time, with clocks that say anything.

use macsec::{MacAddress, Sci};
use mka::{MAX_FRAME_LEN, OsRandom, ParticipantConfig, logon::MkaOutcome, order::Action};
use netem::Dice;
use zeroize::Zeroizing;

use super::*;
use crate::{
    keyring::{AddedKey, RetiredKey, Source},
    status::CakState,
};

fn ckn(number: u8) -> Ckn {
    Ckn::new(&[number]).expect("a CKN")
}

/// A key whose CAK is 16 times the number.
fn key(number: u8, start: Option<i64>, end: Option<i64>) -> RingKey {
    let added = AddedKey::new(ckn(number), Zeroizing::new(vec![number; 16])).expect("a key");
    let (start, end) = (start.map(Timestamp), end.map(Timestamp));
    let (cak, check) = (added.cak(), added.check);
    RingKey { ckn: ckn(number), cak, check, source: Source::Store, start, end, fallback: false }
}

fn ring(keys: &[RingKey]) -> Arc<Ring> {
    Arc::new(Ring { keys: keys.to_vec(), ..Ring::default() })
}

/// One end of a link.
struct End {
    kay: Kay<OsRandom>,
    keys: KayRing<OsRandom>,
    clock: i64,
    /// Whether the SecY is open.
    open: bool,
    /// How often it has been closed.
    closed: usize,
}

impl End {
    fn new(number: u8, ring: Arc<Ring>) -> Self {
        let sci = Sci::new(MacAddress([2, 0, 0, 0, 0, number]), 1);
        let config = KayConfig::new(ParticipantConfig::new(sci));
        let started =
            KayRing::start("wan0", config, ring, || OsRandom, Duration::ZERO, Timestamp(0));
        let (mut kay, keys) = started.expect("a KaY");
        kay.set_port_enabled(Duration::ZERO, true);
        Self { kay, keys, clock: 0, open: false, closed: 0 }
    }

    fn set(&mut self, now: Duration, ring: Arc<Ring>) {
        self.keys.set(now, Timestamp(self.clock), ring, &mut self.kay);
    }

    /// Does what is due, and says what is to be sent.
    fn turn(&mut self, now: Duration, frames: &mut Vec<Vec<u8>>) {
        self.kay.handle_timeout(now);
        self.keys.note(now, &self.kay);
        self.keys.look(now, Timestamp(self.clock), &mut self.kay);
        while let Some(order) = self.kay.poll_order() {
            if let Action::SetControlledPort { enabled } = order.action {
                self.closed += usize::from(self.open && !enabled);
                self.open = enabled;
            }
            self.kay.order_done(now, order.id, Ok(()));
        }
        while self.kay.poll_event().is_some() {}
        let mut frame = [0; MAX_FRAME_LEN];
        while let Some(len) = self.kay.poll_transmit(now, &mut frame) {
            frames.push(frame[..len].to_vec());
        }
    }

    fn states(&self, now: Duration) -> Vec<(u8, CakState)> {
        let keys = self.keys.statuses(now, Timestamp(self.clock), &self.kay);
        keys.iter()
            .map(|key| (u8::from_str_radix(&key.ckn, 16).expect("a number"), key.state))
            .collect()
    }

    fn in_use(&self) -> Option<u8> {
        self.keys.in_use.as_ref().map(|in_use| in_use.ckn.octets()[0])
    }
}

/// A link.
struct Link {
    ends: [End; 2],
    now: Duration,
    /// Whether frames get through.
    whole: bool,
}

const TICK: Duration = Duration::from_millis(50);

impl Link {
    /// With a session.
    fn secured(rings: [Arc<Ring>; 2]) -> Self {
        let [a, b] = rings;
        let mut link =
            Self { ends: [End::new(1, a), End::new(2, b)], now: Duration::ZERO, whole: true };
        link.run(3, |_| {});
        assert!(link.ends.iter().all(|end| end.open && end.kay.outcome() == MkaOutcome::Secured));
        link
    }

    /// Lets so many seconds pass; after each step `check` is asked.
    fn run(&mut self, seconds: u32, mut check: impl FnMut(&Self)) {
        for _ in 0..seconds * 20 {
            self.now += TICK;
            for index in 0..2 {
                let mut frames = Vec::new();
                self.ends[index].turn(self.now, &mut frames);
                for frame in frames.iter().filter(|_| self.whole) {
                    let _ = self.ends[1 - index].kay.handle_frame(self.now, frame);
                }
            }
            check(self);
        }
    }

    fn set(&mut self, end: usize, keys: &[RingKey]) {
        self.ends[end].set(self.now, ring(keys));
    }

    /// It has been open all the time.
    #[track_caller]
    fn never_closed(&self) {
        assert_eq!(self.ends.each_ref().map(|end| (end.open, end.closed)), [(true, 0); 2]);
    }

    #[track_caller]
    fn uses(&self, number: u8) {
        assert_eq!(self.ends.each_ref().map(End::in_use), [Some(number); 2]);
    }
}

/// Clocks of both ends step anywhere, at any time, each for itself: the link stays up all the time.
#[test]
fn clocks_that_step_anywhere_never_close_a_link() {
    for seed in 1..=12 {
        let mut dice = Dice::new(seed);
        let chain = [
            key(1, None, Some(100)),
            key(2, Some(50), Some(200)),
            key(3, Some(150), Some(300)),
            key(4, Some(1000), None),
        ];
        let mut link = Link::secured([ring(&chain), ring(&chain)]);
        for _ in 0..30 {
            let steps = [0, 60, 120, 250, 5000, -1_000_000, i64::MAX, i64::MIN];
            let end = usize::from(dice.below(2) == 1);
            link.ends[end].clock = steps[usize::try_from(dice.below(8)).expect("small")];
            link.run(1 + u32::try_from(dice.below(20)).expect("small"), |link| {
                let live = |end: &End| end.keys.members.iter().any(|member| member.live);
                assert!(link.ends.iter().all(live), "seed {seed}");
            });
            assert!(link.ends.iter().all(|end| end.in_use().is_some()), "seed {seed}");
        }
        link.never_closed();
    }
}

#[test]
fn a_chain_is_followed_by_clocks_that_differ() {
    let chain = [key(1, None, Some(100)), key(2, Some(50), None)];
    let mut link = Link::secured([ring(&chain), ring(&chain)]);
    link.uses(1);
    // The key server is ahead: the other end has not begun the second yet.
    link.ends[0].clock = 60;
    link.run(5, |_| {});
    link.uses(1);
    assert_eq!(link.ends[1].states(link.now)[1], (2, CakState::Pending));
    link.ends[1].clock = 51;
    link.run(5, |_| {});
    link.uses(2);
    assert_eq!(link.ends[0].keys.former(), Some(ckn(1)));
    // One end gives the first up, two Life Times later.
    link.ends[0].clock = 100;
    link.run(15, |_| {});
    assert_eq!(link.ends[0].kay.participants().count(), 1);
    assert_eq!(link.ends[0].states(link.now)[0], (1, CakState::Expired));
    link.uses(2);
    link.never_closed();
}

/// Regression: a rotation that was cut short by a restart did not know what it had left behind.
#[test]
fn what_was_in_use_before_a_restart_is_known_of_an_activated_key() {
    let keys = [key(1, None, None), key(2, None, None), key(9, None, None)];
    let activated = |number, former: Option<u8>| {
        let (activated, former) = (Some(ckn(number)), former.map(ckn));
        Arc::new(Ring { activated, former, keys: keys.to_vec(), ..Ring::default() })
    };
    let former = |link: &Link| link.ends.each_ref().map(|end| end.keys.former());
    let mut link = Link::secured([activated(2, Some(1)), activated(2, Some(1))]);
    link.uses(2);
    assert_eq!(former(&link), [Some(ckn(1)); 2]);
    // One that stands in for a while, and that nobody has put on record.
    for (number, on_record, expected) in [(9, None, 2), (2, Some(1), 1)] {
        for end in &mut link.ends {
            end.set(link.now, activated(number, on_record));
        }
        link.run(5, |_| {});
        link.uses(number);
        assert_eq!(former(&link), [Some(ckn(expected)); 2]);
    }
    link.never_closed();
}

#[test]
fn a_key_in_use_is_given_up_only_for_another() {
    let [first, second] = [key(1, None, None), key(2, None, None)];
    let mut link = Link::secured([ring(std::slice::from_ref(&first)), ring(&[first])]);
    for end in 0..2 {
        link.set(end, std::slice::from_ref(&second));
        link.run(20, |_| {});
        link.never_closed();
        let states = link.ends[0].states(link.now);
        if end == 0 {
            link.uses(1);
            assert_eq!(states, [(2, CakState::NotLive), (1, CakState::InUse)]);
        } else {
            link.uses(2);
            assert_eq!(states, [(2, CakState::InUse)]);
        }
    }
    assert!(link.ends.iter().all(|end| end.kay.participants().count() == 1));
}

#[test]
fn retired_keys_go_at_once_and_forced_ones_whatever_is_in_use() {
    let [first, second] = [key(1, None, None), key(2, None, None)];
    let both = ring(&[first.clone(), second.clone()]);
    let mut link = Link::secured([Arc::clone(&both), both]);
    link.uses(1);
    let retired = RetiredKey { ckn: ckn(2), check: second.check, configured: true };
    let without = Ring { keys: vec![first.clone()], retired: vec![retired], ..Ring::default() };
    link.ends[0].set(link.now, Arc::new(without));
    assert_eq!(link.ends[0].kay.participants().count(), 1, "another is in use");
    assert_eq!(link.ends[0].states(link.now).last(), Some(&(2, CakState::Retired)));

    link.set(0, &[first.clone(), second.clone()]);
    link.run(5, |_| {});
    let retired = RetiredKey { ckn: ckn(1), check: first.check, configured: false };
    let mut without = Ring { keys: vec![second], retired: vec![retired], ..Ring::default() };
    link.ends[0].set(link.now, Arc::new(without.clone()));
    assert_eq!(link.ends[0].kay.participants().count(), 2, "it is in use");
    without.forced = Some(ckn(1));
    link.ends[0].set(link.now, Arc::new(without));
    assert_eq!(link.ends[0].kay.participants().count(), 1);
    link.run(15, |_| {});
    link.uses(2);
    link.never_closed();
}

#[test]
fn another_cak_under_the_same_ckn_is_another_key() {
    let first = key(1, None, None);
    let mut other = key(2, None, None);
    other.ckn = ckn(1);
    let mut link = Link::secured([ring(std::slice::from_ref(&first)), ring(&[first])]);
    link.set(0, std::slice::from_ref(&other));
    link.run(1, |_| {});
    assert!(!link.ends[0].open);
    link.run(9, |_| {});
    assert!(!link.ends[1].open, "they do not understand each other");
    assert!(
        link.ends[0].keys.statuses(link.now, Timestamp(0), &link.ends[0].kay)[0].icv_errors > 0
    );
    link.set(1, &[other]);
    link.run(10, |_| {});
    assert!(link.ends.iter().all(|end| end.open));
}

#[test]
fn a_link_that_was_cut_finds_all_its_keys_again() {
    let chain = [key(1, None, Some(100)), key(2, Some(50), None)];
    let mut link = Link::secured([ring(&chain), ring(&chain)]);
    link.whole = false;
    link.run(10, |_| {});
    assert!(link.ends.iter().all(|end| !end.open && end.in_use().is_none()));
    for end in &mut link.ends {
        end.clock = 200;
    }
    link.run(20, |_| {});
    // Nothing has taken the place of the first: it may be all that the other end has.
    assert!(link.ends.iter().all(|end| end.kay.participants().count() == 2));
    link.whole = true;
    link.run(30, |_| {});
    link.uses(2);
    assert!(link.ends.iter().all(|end| end.open && end.kay.participants().count() == 1));
}

#[test]
fn a_port_with_one_key_is_looked_at_only_when_something_happens() {
    let mut link = Link::secured([ring(&[key(1, None, None)]), ring(&[key(1, None, None)])]);
    assert!(link.ends.iter().all(|end| end.keys.due().is_none()));
    link.set(0, &[key(1, None, Some(5000))]);
    assert!(link.ends[0].keys.due().is_some_and(|due| due <= link.now + LOOK_INTERVAL));
    link.set(0, &[key(2, None, None)]);
    assert!(link.ends[0].keys.due().is_some(), "one is on its way out");
    link.set(1, &[key(2, None, None)]);
    link.run(20, |_| {});
    assert!(link.ends.iter().all(|end| end.keys.due().is_none()));
}

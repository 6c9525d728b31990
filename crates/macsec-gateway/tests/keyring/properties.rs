//! Whatever clocks, operators and links do.

use std::collections::BTreeSet;

use proptest::{collection::vec, option, prelude::*, sample::select};

use super::*;

fn any_date() -> impl Strategy<Value = Option<Timestamp>> {
    option::of((0..400_i64).prop_map(Timestamp))
}

fn any_key(number: u8) -> impl Strategy<Value = KeyTerms> {
    let leave = [None, None, None, Some(Leave::Removed), Some(Leave::Retired)];
    (any_date(), any_date(), any::<bool>(), prop::bool::weighted(0.2), select(leave.to_vec()))
        .prop_map(move |(start, end, fallback, activated, leave)| {
            let end = end.filter(|end| start.is_none_or(|start| start < *end));
            KeyTerms { ckn: ckn(number), start, end, fallback, activated, leave }
        })
}

fn any_keys() -> impl Strategy<Value = Vec<KeyTerms>> {
    (0..10_usize).prop_flat_map(|count| (0..count as u8).map(any_key).collect::<Vec<_>>())
}

/// A clock that may be anywhere.
fn any_time() -> impl Strategy<Value = i64> {
    prop_oneof![-50..450_i64, any::<i64>()]
}

/// Something that happens to a port.
#[derive(Clone, Debug)]
enum Turn {
    /// The clock steps there, and so much time passes.
    Clock(i64, u64),
    /// These keys are live, of those that have a participant.
    Live(Vec<bool>),
    /// The key server goes over to the most preferred live key.
    Follow,
    /// It does not, but to any live one.
    Choose(u8),
}

fn any_turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        (any_time(), 0..20_u64).prop_map(|(now, passed)| Turn::Clock(now, passed)),
        vec(any::<bool>(), 10).prop_map(Turn::Live),
        Just(Turn::Follow),
        (0..10_u8).prop_map(Turn::Choose),
    ]
}

/// A port as far as it matters here: participants, of which one may be in use.
#[derive(Default)]
struct Port {
    running: Vec<Running>,
    order: Vec<Ckn>,
}

impl Port {
    fn apply(&mut self, decided: &[(Ckn, u32)]) {
        self.order = decided.iter().map(|(ckn, _)| *ckn).collect();
        self.running.retain(|running| self.order.contains(&running.ckn));
        for &ckn in &self.order {
            if !self.running.iter().any(|running| running.ckn == ckn) {
                self.running.push(Running { ckn, live: false, in_use: None });
            }
        }
    }

    fn use_key(&mut self, ckn: Option<Ckn>) {
        for running in &mut self.running {
            running.in_use = (Some(running.ckn) == ckn).then(|| running.in_use.unwrap_or_default());
        }
    }

    fn best_live(&self) -> Option<Ckn> {
        let live = |ckn: &&Ckn| self.running.iter().any(|run| run.ckn == **ckn && run.live);
        self.order.iter().find(live).copied()
    }

    fn turn(&mut self, turn: &Turn) {
        match turn {
            Turn::Clock(_, passed) => {
                for time in self.running.iter_mut().filter_map(|run| run.in_use.as_mut()) {
                    *time += Duration::from_secs(*passed);
                }
            }
            Turn::Live(live) => {
                for (running, live) in self.running.iter_mut().zip(live) {
                    running.live = *live;
                }
                // A key without peers is not used any more if another has some, or is not at all.
                let in_use = self.running.iter().find(|run| run.in_use.is_some());
                if in_use.is_none_or(|run| !run.live) {
                    self.use_key(self.best_live());
                }
            }
            Turn::Follow => {
                let best = self.best_live();
                self.use_key(best);
            }
            Turn::Choose(number) => {
                let live = |run: &&Running| run.ckn == ckn(*number) && run.live;
                if let Some(ckn) = self.running.iter().find(live).map(|run| run.ckn) {
                    self.use_key(Some(ckn));
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// The clock steps about, peers come and go, key servers choose: the link stays on the keys
    /// that it has.
    #[test]
    fn what_the_link_lives_on_is_never_taken_away(
        keys in any_keys(),
        turns in vec(any_turn(), 1..60),
    ) {
        let mut port = Port::default();
        let mut now = 0;
        // A key that is on its way out began as one that is not.
        let begun: Vec<_> = keys.iter().map(|key| KeyTerms { leave: None, ..*key }).collect();
        port.apply(&decide(Timestamp(now), &begun, &[], LIFE));
        for turn in &turns {
            if let Turn::Clock(then, _) = turn {
                now = *then;
            }
            port.turn(turn);
            let before = port.running.clone();
            let decided = decide(Timestamp(now), &keys, &before, LIFE);
            let stays = |run: &Running| decided.iter().any(|(ckn, _)| *ckn == run.ckn);

            for run in before.iter().filter(|run| run.in_use.is_some()) {
                prop_assert!(stays(run), "the key in use, {run:?}, goes at {now}");
            }
            if before.iter().any(|run| run.live) {
                prop_assert!(
                    before.iter().any(|run| run.live && stays(run)),
                    "the last live key goes at {now}: {before:?} -> {decided:?}"
                );
            }
            // A port that has participants keeps one.
            prop_assert!(before.is_empty() || !decided.is_empty());
            port.apply(&decided);
        }
    }

    /// A key that was ever valid is a key to be on.
    #[test]
    fn there_is_a_participant_as_soon_as_a_key_has_begun(keys in any_keys(), now in any_time()) {
        let now = Timestamp(now);
        let begun = |key: &KeyTerms| {
            key.leave.is_none() && key.start.is_none_or(|start| start <= now)
        };
        let decided = decide(now, &keys, &[], LIFE);
        prop_assert_eq!(keys.iter().any(begun), !decided.is_empty());
        // And none for a key that has not begun, or is no longer there.
        for (ckn, _) in &decided {
            prop_assert!(keys.iter().any(|key| key.ckn == *ckn && begun(key)));
        }
    }

    /// No two are preferred alike, and neither other keys nor the order of the participants change
    /// who is before whom.
    #[test]
    fn the_order_is_total_and_stable(
        keys in any_keys(),
        now in any_time(),
        live in vec(any::<bool>(), 10),
        // A port transmits with one key at a time.
        in_use in option::of((0..10_u8, 0..20_u64)),
        without in 0..10_u8,
    ) {
        let now = Timestamp(now);
        let time_in_use = |key: &KeyTerms| {
            let (_, time) = in_use.filter(|(number, _)| ckn(*number) == key.ckn)?;
            Some(Duration::from_secs(time))
        };
        let running: Vec<_> = keys.iter().zip(&live).map(|(key, live)| {
            Running { ckn: key.ckn, live: *live, in_use: time_in_use(key) }
        }).collect();
        let decided = decide(now, &keys, &running, LIFE);
        let names: BTreeSet<_> = decided.iter().map(|(ckn, _)| ckn.octets().to_vec()).collect();
        prop_assert_eq!(names.len(), decided.len(), "each once");
        prop_assert!(decided.len() <= 8);
        let preferences: BTreeSet<_> = decided.iter().map(|(_, preference)| *preference).collect();
        prop_assert_eq!(preferences.len(), decided.len());
        prop_assert_eq!(decide(now, &keys, &running, LIFE), decided.clone());

        let reversed: Vec<_> = running.iter().rev().copied().collect();
        prop_assert_eq!(&decide(now, &keys, &reversed, LIFE), &decided);

        let fewer: Vec<_> =
            keys.iter().filter(|key| key.ckn != ckn(without)).copied().collect();
        let order = |decided: &[(Ckn, u32)], of: &[(Ckn, u32)]| -> Vec<Ckn> {
            let in_both = |ckn: &Ckn| of.iter().any(|(other, _)| other == ckn);
            decided.iter().map(|(ckn, _)| *ckn).filter(in_both).collect()
        };
        let other = decide(now, &fewer, &running, LIFE);
        prop_assert_eq!(order(&decided, &other), order(&other, &decided));
    }

    /// Before and after a step back of the clock, however far, everything is the same.
    #[test]
    fn a_step_back_changes_nothing(keys in any_keys(), now in 0..400_i64, back in 0..i64::MAX) {
        let first = decide(Timestamp(now), &keys, &[], LIFE);
        let running: Vec<_> =
            first.iter().map(|&(ckn, _)| Running { ckn, live: true, in_use: None }).collect();
        let valid = |key: &&KeyTerms| {
            key.end.is_none_or(|end| end > Timestamp(now)) && key.leave.is_none()
        };
        // What had ended may be valid again.
        let valid: Vec<_> = keys.iter().filter(valid).copied().collect();
        let before = decide(Timestamp(now), &valid, &running, LIFE);
        let after = decide(Timestamp(now.saturating_sub(back)), &valid, &running, LIFE);
        prop_assert_eq!(before, after);
    }
}

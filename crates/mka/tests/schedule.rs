//! A schedule does as a list does that is looked through from one end to the other.

use std::time::Duration;

use mka::schedule::Schedule;
use proptest::{collection::vec, prelude::*};

const CAPACITY: usize = 40;

#[derive(Clone, Debug)]
enum Step {
    Set(usize, Option<u64>),
    PopDue(u64),
}

fn step() -> impl Strategy<Value = Step> {
    // Few times, so that many are due at once.
    let due = prop_oneof![1 => Just(None), 4 => (0..30_u64).prop_map(Some)];
    prop_oneof![
        3 => (0..CAPACITY, due).prop_map(|(index, due)| Step::Set(index, due)),
        1 => (0..30_u64).prop_map(Step::PopDue),
    ]
}

proptest! {
    #[test]
    fn it_does_as_a_list_does(steps in vec(step(), 0..400)) {
        let mut schedule = Schedule::new(CAPACITY);
        let mut list = [None; CAPACITY];
        for step in steps {
            match step {
                Step::Set(index, due) => {
                    let due = due.map(Duration::from_secs);
                    schedule.set(index, due);
                    list[index] = due;
                }
                Step::PopDue(now) => {
                    let now = Duration::from_secs(now);
                    let earliest = list.iter().flatten().min().copied();
                    let popped = schedule.pop_due(now);
                    prop_assert_eq!(popped.is_some(), earliest.is_some_and(|due| due <= now));
                    if let Some(index) = popped {
                        prop_assert_eq!(list[index].take(), earliest);
                    }
                }
            }
            prop_assert_eq!(schedule.next(), list.iter().flatten().min().copied());
        }
        // What is left comes out in order, and all of it.
        let mut before = Duration::ZERO;
        while let Some(index) = schedule.pop_due(Duration::MAX) {
            let due = list[index].take();
            prop_assert!(due >= Some(before), "{due:?} after {before:?}");
            before = due.unwrap_or_default();
        }
        prop_assert!(list.iter().all(Option::is_none));
    }
}

//! Case by case.

use super::*;

#[test]
fn keys_without_dates_are_preferred_as_they_are_written() {
    assert_eq!(decided(0, &[], &[]), [0; 0]);
    assert_eq!(decided(0, &[key(3), key(1), key(2)], &[]), [3, 1, 2]);
    assert_eq!(decided(0, &[key(3), key(1), key(2)], &[live(2), in_use(1, SETTLED)]), [3, 1, 2]);
}

#[test]
fn a_chain_with_an_overlap_goes_from_key_to_key() {
    let keys = [dated(1, 0, 200), dated(2, 100, 300), dated(3, 290, 400)];
    // The next one has no participant before its start.
    assert_eq!(decided(0, &keys, &[]), [1]);
    assert_eq!(decided(99, &keys, &[in_use(1, SETTLED)]), [1]);
    // From its start on it is preferred, live or not: the KaY goes over when it is live.
    assert_eq!(decided(100, &keys, &[in_use(1, SETTLED)]), [2, 1]);
    assert_eq!(decided(199, &keys, &[live(1), in_use(2, SETTLED)]), [2, 1]);
    // The end is the first second in which it is not valid.
    assert_eq!(decided(200, &keys, &[live(1), in_use(2, SETTLED)]), [2]);
    assert_eq!(decided(290, &keys, &[in_use(2, SETTLED)]), [3, 2]);
}

#[test]
fn a_key_whose_end_has_passed_stays_until_another_has_settled() {
    let keys = [dated(1, 0, 200), dated(2, 100, 300)];
    let almost = SETTLED.checked_sub(Duration::from_millis(1)).expect("more");
    for (running, wanted) in [
        // The other end has not got the next one.
        (vec![in_use(1, SETTLED), alone(2)], vec![2, 1]),
        // It has, and the key server is about to go over, or does not want to.
        (vec![in_use(1, SETTLED), live(2)], vec![2, 1]),
        // It has gone over just now.
        (vec![live(1), in_use(2, Duration::ZERO)], vec![2, 1]),
        (vec![live(1), in_use(2, almost)], vec![2, 1]),
        // Its peer has gone, and its SAK is still in use.
        (vec![live(1), Running { live: false, ..in_use(2, SETTLED) }], vec![2, 1]),
        // Nothing is in use: no link, say.
        (vec![alone(1), alone(2)], vec![2, 1]),
        (vec![live(1), in_use(2, SETTLED)], vec![2]),
        (vec![alone(1), in_use(2, SETTLED)], vec![2]),
        // It has gone already.
        (vec![in_use(2, Duration::ZERO)], vec![2]),
        (vec![alone(2)], vec![2]),
    ] {
        assert_eq!(decided(250, &keys, &running), wanted, "{running:?}");
    }
}

#[test]
fn in_a_gap_the_last_key_stays() {
    let keys = [dated(1, 0, 200), dated(2, 300, 400)];
    assert_eq!(decided(250, &keys, &[in_use(1, SETTLED)]), [1]);
    assert_eq!(decided(300, &keys, &[in_use(1, SETTLED)]), [2, 1]);
    assert_eq!(decided(300, &keys, &[live(1), in_use(2, SETTLED)]), [2]);
    // One that begins in the gap gets the key that ended last, as good as it may be.
    assert_eq!(decided(250, &keys, &[]), [1]);
    let keys = [dated(1, 0, 100), dated(2, 0, 200), dated(3, 100, 200)];
    assert_eq!(decided(250, &keys, &[]), [3], "of those that ended last, the one begun last");
}

#[test]
fn before_its_first_key_a_port_has_none() {
    assert_eq!(decided(0, &[dated(1, 100, 200), dated(2, 150, 300)], &[]), [0; 0]);
}

#[test]
fn the_fallback_is_last_of_what_is_valid() {
    let keys = [fallback(9), dated(1, 0, 200), key(2)];
    assert_eq!(decided(100, &keys, &[]), [1, 2, 9]);
    // Even if it began last.
    let late = KeyTerms { start: Some(Timestamp(50)), ..fallback(9) };
    assert_eq!(decided(100, &[late, keys[1], keys[2]], &[]), [1, 2, 9]);
    // What has ended comes behind it: that is what an end is for.
    let keys = [fallback(9), dated(1, 0, 200)];
    assert_eq!(decided(200, &keys, &[in_use(1, SETTLED), live(9)]), [9, 1]);
    assert_eq!(decided(200, &keys, &[in_use(1, SETTLED), alone(9)]), [9, 1]);
    assert_eq!(decided(200, &keys, &[live(1), in_use(9, SETTLED)]), [9]);
    assert_eq!(decided(200, &keys, &[]), [9]);
}

#[test]
fn the_activated_key_is_preferred_while_it_is_valid() {
    let activated = KeyTerms { activated: true, ..dated(1, 0, 200) };
    let keys = [activated, dated(2, 100, 300), fallback(9)];
    assert_eq!(decided(150, &keys, &[]), [1, 2, 9]);
    assert_eq!(decided(200, &keys, &[in_use(1, SETTLED), live(2)]), [2, 9, 1]);
    // The fallback too.
    let keys = [key(1), KeyTerms { activated: true, ..fallback(9) }];
    assert_eq!(decided(0, &keys, &[]), [9, 1]);
    // But it does not begin before its time.
    let keys = [key(1), KeyTerms { activated: true, ..dated(2, 100, 200) }];
    assert_eq!(decided(0, &keys, &[]), [1]);
}

#[test]
fn a_clock_that_steps_back_takes_nothing_away_and_changes_no_preference() {
    let keys = [dated(1, 100, 300), dated(2, 200, 400), fallback(9)];
    let running = [live(1), in_use(2, SETTLED), live(9)];
    for now in [250, 150, 50, i64::MIN] {
        assert_eq!(decided(now, &keys, &running), [2, 1, 9], "{now}");
    }
}

#[test]
fn a_clock_that_leaps_ahead_leaves_the_key_in_use_and_what_comes_back_is_there_again() {
    let keys = [dated(1, 100, 300), dated(2, 200, 400)];
    assert_eq!(decided(i64::MAX, &keys, &[in_use(1, SETTLED), live(2)]), [1]);
    assert_eq!(decided(i64::MAX, &keys, &[in_use(1, SETTLED), alone(2)]), [1]);
    assert_eq!(decided(i64::MAX, &keys, &[live(1), live(2)]), [2, 1], "nothing is in use yet");
    assert_eq!(decided(250, &keys, &[in_use(1, SETTLED)]), [2, 1]);
}

#[test]
fn keys_taken_out_of_the_configuration_go_when_another_has_settled() {
    let keys = [key(2), leaving(1, Leave::Removed)];
    assert_eq!(decided(0, &keys, &[in_use(1, SETTLED)]), [2, 1]);
    assert_eq!(decided(0, &keys, &[in_use(1, SETTLED), live(2)]), [2, 1]);
    assert_eq!(decided(0, &keys, &[live(1), in_use(2, Duration::ZERO)]), [2, 1]);
    assert_eq!(decided(0, &keys, &[live(1), in_use(2, SETTLED)]), [2]);
    // Without a participant there is nothing to wait for.
    assert_eq!(decided(0, &keys, &[]), [2]);
    assert_eq!(decided(0, &[leaving(1, Leave::Removed)], &[in_use(1, SETTLED)]), [1]);
    assert_eq!(decided(0, &[leaving(1, Leave::Removed)], &[]), [0; 0]);
}

#[test]
fn retired_keys_go_as_soon_as_another_is_in_use_and_by_force_at_once() {
    let keys = [key(2), leaving(1, Leave::Retired)];
    assert_eq!(decided(0, &keys, &[live(1), in_use(2, Duration::ZERO)]), [2]);
    // The guards of `macsec keys retire` have passed, and it has come into use all the same.
    assert_eq!(decided(0, &keys, &[in_use(1, Duration::ZERO), live(2)]), [2, 1]);
    assert_eq!(decided(0, &keys, &[live(1), live(2)]), [2, 1]);
    let keys = [key(2), leaving(1, Leave::Forced)];
    assert_eq!(decided(0, &keys, &[in_use(1, SETTLED), alone(2)]), [2]);
}

#[test]
fn there_is_room_for_eight_and_the_key_in_use_is_among_them() {
    let mut keys: Vec<_> = (1..=8).map(key).collect();
    keys.push(leaving(9, Leave::Removed));
    let with = |running: &[Running]| decided(0, &keys, running);
    assert_eq!(with(&[alone(9)]), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(with(&[in_use(9, SETTLED)]), [1, 2, 3, 4, 5, 6, 7, 9]);
    assert_eq!(with(&[live(9), live(8)]), [1, 2, 3, 4, 5, 6, 7, 8], "another is live");
    assert_eq!(with(&[live(9)]), [1, 2, 3, 4, 5, 6, 7, 9], "no other is live");
}

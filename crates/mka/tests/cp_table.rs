//! The CP machine's table, whole: every state with every combination of conditions (802.1X figure 12-2).

use std::collections::HashSet;

use mka::{
    cp::{Answer, Conditions, CpState},
    logon::Connect,
};

/// All is as it should be, and nothing happens.
const GOOD: Conditions = Conditions {
    port_enabled: true,
    connect: Connect::Secure,
    new_sak: false,
    elected_self: false,
    all_receiving: false,
    server_transmitting: false,
    ssci_map_known: true,
    controlled_port_enabled: true,
    transmit_when_zero: false,
    retire_when_zero: false,
    replacement_overdue: false,
    key_orders: Answer::Done,
    port_orders: Answer::Done,
    holding_off: false,
};

/// The states in which a secured port may be.
const SECURE: [CpState; 8] = [
    CpState::Secured,
    CpState::Receive,
    CpState::Receiving,
    CpState::Ready,
    CpState::Transmit,
    CpState::Transmitting,
    CpState::Retire,
    CpState::Abandon,
];

fn every_condition() -> impl Iterator<Item = Conditions> {
    Connect::ALL.into_iter().flat_map(|connect| {
        Answer::ALL.into_iter().flat_map(move |key_orders| {
            Answer::ALL.into_iter().flat_map(move |port_orders| {
                (0..1u32 << 11).map(move |bits| {
                    let bit = |number: u32| bits & (1 << number) != 0;
                    Conditions {
                        port_enabled: bit(0),
                        connect,
                        new_sak: bit(1),
                        elected_self: bit(2),
                        all_receiving: bit(3),
                        server_transmitting: bit(4),
                        ssci_map_known: bit(5),
                        controlled_port_enabled: bit(6),
                        transmit_when_zero: bit(7),
                        retire_when_zero: bit(8),
                        replacement_overdue: bit(9),
                        key_orders,
                        port_orders,
                        holding_off: bit(10),
                    }
                })
            })
        })
    })
}

/// What a step changes of itself: entry uses up a new SAK, asks for answers, sets timers.
fn entered(state: CpState, is: &Conditions) -> Conditions {
    let mut is = *is;
    match state {
        CpState::Init | CpState::Change => {
            is.controlled_port_enabled = false;
            is.replacement_overdue = false;
            is.port_orders =
                if state == CpState::Change { Answer::Outstanding } else { Answer::Done };
            is.new_sak &= state == CpState::Change && is.connect == Connect::Secure;
        }
        CpState::Allowed | CpState::Authenticated => {
            is.controlled_port_enabled = true;
            is.port_orders = Answer::Outstanding;
        }
        CpState::Secured => is.port_orders = Answer::Outstanding,
        CpState::Receive => {
            is.new_sak = false;
            is.key_orders = Answer::Outstanding;
            is.replacement_overdue = false;
        }
        CpState::Receiving => is.transmit_when_zero = false,
        CpState::Ready | CpState::Retire => {}
        CpState::Transmit => is.key_orders = Answer::Outstanding,
        CpState::Transmitting => {
            is.replacement_overdue = false;
            is.retire_when_zero = false;
            is.controlled_port_enabled = true;
        }
        CpState::Abandon => is.key_orders = Answer::Done,
    }
    is
}

#[test]
fn from_every_combination_the_machine_settles_within_a_few_steps() {
    let mut longest = 0;
    let mut combinations = 0;
    for start in CpState::ALL {
        for start_conditions in every_condition() {
            let (mut state, mut is, mut steps) = (start, start_conditions, 0);
            while let Some(next) = state.next(&is) {
                is = entered(next, &is);
                state = next;
                steps += 1;
                assert!(steps <= 8, "{start} does not settle: {start_conditions:?}");
            }
            longest = longest.max(steps);
            combinations += 1;
        }
    }
    assert_eq!(combinations, 12 * 4 * 3 * 3 * (1 << 11));
    assert!(longest >= 4, "RECEIVING, READY, TRANSMIT and on at least");
}

#[test]
fn port_down_leads_to_init_from_everywhere() {
    for state in CpState::ALL {
        for is in every_condition().filter(|is| !is.port_enabled) {
            let expected = (state != CpState::Init).then_some(CpState::Init);
            assert_eq!(state.next(&is), expected);
        }
    }
}

#[test]
fn without_the_wish_for_security_every_secure_state_leads_to_change() {
    for start in SECURE {
        for start_conditions in every_condition() {
            if !start_conditions.port_enabled || start_conditions.connect == Connect::Secure {
                continue;
            }
            let (mut state, mut is) = (start, start_conditions);
            for _ in 0..3 {
                if state == CpState::Change {
                    break;
                }
                let next = state.next(&is);
                state = next.unwrap_or_else(|| panic!("{start} waits, {start_conditions:?}"));
                is = entered(state, &is);
            }
            assert_eq!(state, CpState::Change);
        }
    }
}

#[test]
fn no_way_to_transmit_but_by_the_rules() {
    for state in CpState::ALL {
        for is in every_condition() {
            if state.next(&is) != Some(CpState::Transmit) {
                continue;
            }
            assert!(is.ssci_map_known);
            assert_eq!(is.connect, Connect::Secure);
            match state {
                CpState::Receiving => assert!(
                    is.elected_self
                        && (is.all_receiving
                            || is.transmit_when_zero
                            || !is.controlled_port_enabled)
                ),
                CpState::Ready => {
                    assert!(
                        is.server_transmitting
                            || is.elected_self && is.all_receiving
                            || !is.controlled_port_enabled
                    );
                }
                other => panic!("{other} leads to TRANSMIT"),
            }
        }
    }
}

#[test]
fn keys_are_given_up_only_for_a_reason() {
    for state in SECURE {
        for is in every_condition() {
            let lost = !is.port_enabled
                || is.connect != Connect::Secure
                || is.replacement_overdue
                || is.port_orders == Answer::Failed;
            if matches!(state.next(&is), Some(CpState::Init | CpState::Change)) {
                assert!(lost, "{state}: {is:?}");
            }
        }
    }
}

/// What the outside may do once all is well: answer, let time pass, distribute a SAK, report.
fn good_turns(is: &Conditions) -> Vec<Conditions> {
    vec![
        Conditions { key_orders: Answer::Done, port_orders: Answer::Done, ..*is },
        Conditions { transmit_when_zero: true, retire_when_zero: true, holding_off: false, ..*is },
        Conditions { new_sak: true, ..*is },
        Conditions { all_receiving: true, server_transmitting: true, ssci_map_known: true, ..*is },
        Conditions { port_enabled: true, connect: Connect::Secure, ..*is },
    ]
}

/// Goes on until the machine stays where it is.
fn settle(mut state: CpState, mut is: Conditions) -> (CpState, Conditions) {
    while let Some(next) = state.next(&is) {
        is = entered(next, &is);
        state = next;
    }
    (state, is)
}

#[test]
fn from_every_combination_a_secured_port_is_within_reach() {
    // Places from where it has been shown already.
    let mut shown = HashSet::new();
    for start in CpState::ALL {
        for is in every_condition() {
            let settled = settle(start, is);
            let mut seen = HashSet::new();
            let mut open = vec![settled];
            let mut reached = false;
            while let Some((state, is)) = open.pop() {
                // Only answers lead to TRANSMITTING, and from there time to RETIRE.
                reached = state == CpState::Transmitting || shown.contains(&(state, is));
                if reached {
                    break;
                }
                if seen.insert((state, is)) {
                    open.extend(good_turns(&is).into_iter().map(|is| settle(state, is)));
                }
            }
            assert!(reached, "no way out of {start} with {is:?}");
            shown.insert(settled);
        }
    }
}

/// Each transition by itself.
mod transitions {
    use mka::cp::CpState::{
        Abandon, Allowed, Authenticated, Change, Ready, Receive, Receiving, Retire, Secured,
        Transmit, Transmitting,
    };

    use super::{Answer, Conditions, Connect, CpState, GOOD};

    /// One line of the table: from, what differs from [`GOOD`], to.
    macro_rules! transitions {
    ($($name:ident: $from:ident, {$($field:ident: $value:expr),*} => $to:expr;)*) => {$(
        #[test]
        fn $name() {
            #[allow(clippy::needless_update)]
            let is = Conditions { $($field: $value,)* ..GOOD };
            assert_eq!(CpState::$from.next(&is), $to);
        }
    )*};
}

    transitions! {
        init_to_change: Init, {} => Some(Change);
        init_stays_while_the_port_is_down: Init, {port_enabled: false} => None;

        change_to_allowed: Change, {connect: Connect::Unauthenticated} => Some(Allowed);
        change_to_authenticated: Change, {connect: Connect::Authenticated} => Some(Authenticated);
        change_to_secured: Change, {} => Some(Secured);
        change_stays_while_pending: Change, {connect: Connect::Pending} => None;
        change_stays_until_it_is_closed: Change, {port_orders: Answer::Outstanding} => None;
        change_tries_again_after_a_failure: Change, {port_orders: Answer::Failed} => Some(Change);
        change_does_not_try_at_once: Change, {port_orders: Answer::Failed, holding_off: true} => None;

        allowed_stays: Allowed, {connect: Connect::Unauthenticated, new_sak: true} => None;
        allowed_to_change: Allowed, {} => Some(Change);
        allowed_to_change_when_it_cannot_open:
            Allowed, {connect: Connect::Unauthenticated, port_orders: Answer::Failed} => Some(Change);
        authenticated_stays: Authenticated, {connect: Connect::Authenticated, new_sak: true} => None;
        authenticated_to_change: Authenticated, {connect: Connect::Unauthenticated} => Some(Change);

        secured_waits_for_a_sak: Secured, {} => None;
        secured_to_receive: Secured, {new_sak: true} => Some(Receive);
        secured_to_change: Secured, {new_sak: true, connect: Connect::Pending} => Some(Change);
        secured_waits_until_frames_are_protected:
            Secured, {new_sak: true, port_orders: Answer::Outstanding} => None;
        secured_to_change_when_frames_cannot_be_protected:
            Secured, {new_sak: true, port_orders: Answer::Failed} => Some(Change);

        receive_waits_for_the_sas: Receive, {key_orders: Answer::Outstanding} => None;
        receive_to_receiving: Receive, {} => Some(Receiving);
        receive_to_abandon_when_the_sas_fail: Receive, {key_orders: Answer::Failed} => Some(Abandon);
        receive_to_abandon_for_a_newer_sak:
            Receive, {key_orders: Answer::Outstanding, new_sak: true} => Some(Abandon);
        receive_to_abandon_on_change: Receive, {connect: Connect::Pending} => Some(Abandon);

        receiving_to_ready: Receiving, {all_receiving: true} => Some(Ready);
        receiving_waits_for_all: Receiving, {elected_self: true, server_transmitting: true} => None;
        receiving_to_transmit_when_all_receive:
            Receiving, {elected_self: true, all_receiving: true} => Some(Transmit);
        receiving_to_transmit_when_nothing_is_in_use:
            Receiving, {elected_self: true, controlled_port_enabled: false} => Some(Transmit);
        receiving_to_transmit_after_transmit_delay:
            Receiving, {elected_self: true, transmit_when_zero: true} => Some(Transmit);
        receiving_to_abandon_for_a_newer_sak:
            Receiving, {elected_self: true, new_sak: true} => Some(Abandon);
        receiving_to_abandon_on_change:
            Receiving, {elected_self: true, all_receiving: true, connect: Connect::Pending} => Some(Abandon);
        receiving_completes_a_rollover_that_can_be:
            Receiving, {elected_self: true, all_receiving: true, new_sak: true} => Some(Transmit);

        ready_waits_for_the_key_server: Ready, {all_receiving: true, transmit_when_zero: true} => None;
        ready_to_transmit: Ready, {server_transmitting: true} => Some(Transmit);
        ready_to_transmit_when_nothing_is_in_use: Ready, {controlled_port_enabled: false} => Some(Transmit);
        ready_to_transmit_as_the_new_key_server:
        Ready, {elected_self: true, all_receiving: true, new_sak: true} => Some(Transmit);
    ready_waits_for_the_sscis:
            Ready, {server_transmitting: true, controlled_port_enabled: false, ssci_map_known: false} => None;
        ready_to_abandon_for_a_newer_sak: Ready, {new_sak: true} => Some(Abandon);
        ready_to_abandon_on_change: Ready, {server_transmitting: true, connect: Connect::Pending} => Some(Abandon);
        ready_to_abandon_when_no_replacement_comes: Ready, {replacement_overdue: true} => Some(Abandon);
        ready_goes_with_a_server_that_transmits:
            Ready, {server_transmitting: true, new_sak: true} => Some(Transmit);

        transmit_waits_for_the_sa: Transmit, {key_orders: Answer::Outstanding, new_sak: true} => None;
        transmit_to_transmitting: Transmit, {new_sak: true} => Some(Transmitting);
        transmit_to_abandon_when_the_sa_fails: Transmit, {key_orders: Answer::Failed} => Some(Abandon);
        transmit_to_abandon_on_change:
            Transmit, {key_orders: Answer::Outstanding, connect: Connect::Pending} => Some(Abandon);

        transmitting_keeps_the_old_key_for_a_while: Transmitting, {new_sak: true} => None;
        transmitting_to_retire: Transmitting, {retire_when_zero: true} => Some(Retire);
        transmitting_to_retire_on_change: Transmitting, {connect: Connect::Pending} => Some(Retire);

        retire_stays: Retire, {} => None;
        retire_to_receive: Retire, {new_sak: true} => Some(Receive);
        retire_to_change: Retire, {new_sak: true, connect: Connect::Pending} => Some(Change);
        retire_to_change_when_no_replacement_comes: Retire, {replacement_overdue: true} => Some(Change);

        abandon_stays: Abandon, {} => None;
        abandon_to_receive: Abandon, {new_sak: true} => Some(Receive);
        abandon_to_change: Abandon, {new_sak: true, connect: Connect::Pending} => Some(Change);
    }
}

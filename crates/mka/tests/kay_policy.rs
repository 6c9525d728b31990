//! What a port does without MACsec, as its policy has it: must be secure, should be secure, and what lies between.

mod data_plane;
mod kay_lab;
mod lab;

use std::time::Duration;

use kay_lab::{KayLab, Station};
use lab::{ckn, config, seconds};
use macsec::ValidateFrames;
use mka::{
    Event, KayConfig, KayEvent, SakRefusal,
    cp::PortStatus,
    logon::{LogonPolicy, MkaOutcome, UnsecuredAllowed},
    order::{Action, Controls, OrderFailure},
};
use netem::Link;

const LIFE: Duration = seconds(6);
const MUST: LogonPolicy = LogonPolicy::MUST_SECURE;
const SHOULD: LogonPolicy = LogonPolicy::SHOULD_SECURE;

/// Stations with these policies. The first, the key server, wants MACsec or does not.
fn lab(policies: &[LogonPolicy], wanted: bool) -> KayLab {
    let configs: Vec<_> = (1..)
        .zip(policies)
        .map(|(station, policy)| {
            let mut config = KayConfig::new(config(station));
            config.participant.priority = 16 * station;
            config.participant.macsec_desired = wanted || station > 1;
            config.participant.plain_text_allowed = policy.accepts_plain();
            config.policy = *policy;
            config
        })
        .collect();
    KayLab::new(1, &configs)
}

/// Open, and what is sent and taken is in clear.
fn is_clear(station: &Station) -> bool {
    let controls = station.plane.controls == Some(Controls::UNPROTECTED);
    station.plane.open && controls && station.kay.port().port() == PortStatus::Unprotected
}

fn is_closed(station: &Station) -> bool {
    !station.plane.open && station.kay.port().port() == PortStatus::Closed
}

/// Secured, and nothing goes in or out without.
fn is_secure(station: &Station) -> bool {
    let strict = station.plane.controls.is_some_and(|controls| {
        controls.protect_frames && controls.validate_frames == ValidateFrames::Strict
    });
    station.plane.open && strict && station.is_secured()
}

fn restart_wanting(lab: &mut KayLab, index: usize, wanted: bool) {
    lab.configs[index].participant.macsec_desired = wanted;
    lab.restart(index);
}

#[test]
fn must_secure_never_opens_by_itself() {
    let mut lab = lab(&[MUST, MUST], true);
    lab.lan.set_links(Link { cut: true, ..Link::CLEAN });
    let opened = lab.lan.drive_until(seconds(3600), |lan| !lan.nodes().all(is_closed));
    assert!(!opened);
    assert_eq!(lab.lan[0].kay.outcome(), MkaOutcome::Failed);
    lab.lan.set_links(Link::CLEAN);
    lab.secured_within(seconds(5));
    assert!(lab.lan.nodes().all(is_secure));
}

#[test]
fn should_secure_opens_after_a_life_time_and_is_secured_when_a_peer_comes() {
    let mut lab = lab(&[SHOULD, SHOULD], true);
    lab.lan.take(1);
    let opened = lab.lan.drive_until(LIFE - Duration::from_millis(1), |lan| !is_closed(&lan[0]));
    assert!(!opened);
    lab.lan.run_for(Duration::from_millis(1));
    assert!(is_clear(&lab.lan[0]));
    lab.lan.run_for(seconds(3600));
    assert!(is_clear(&lab.lan[0]));

    lab.restart(1);
    lab.secured_within(seconds(2));
    assert!(lab.lan.nodes().all(is_secure));
    // It is never open in clear with a SAK in use.
    let clear = lab.lan.drive_until(lab.lan.now() + seconds(60), |lan| !lan.nodes().all(is_secure));
    assert!(!clear);

    lab.lan.take(1);
    let gone = lab.lan.now();
    lab.lan.drive_until(gone + seconds(9), |lan| is_closed(&lan[0]));
    let closed = lab.lan.now();
    assert!(closed >= gone + seconds(4) && closed <= gone + seconds(8), "{closed:?} {gone:?}");
    assert!(lab.lan[0].plane.is_empty());
    let early =
        lab.lan.drive_until(closed + LIFE - Duration::from_millis(1), |lan| !is_closed(&lan[0]));
    assert!(!early);
    lab.lan.run_for(Duration::from_millis(1));
    assert!(is_clear(&lab.lan[0]));
}

/// One must, the other should: they are secured. Without the peer each is what it is.
#[test]
fn policies_that_differ() {
    for policies in [[MUST, SHOULD], [SHOULD, MUST]] {
        let mut lab = lab(&policies, true);
        lab.secured_within(seconds(2));
        lab.lan.set_links(Link { cut: true, ..Link::CLEAN });
        lab.lan.run_for(seconds(20));
        for (station, policy) in lab.lan.nodes().zip(policies) {
            assert!(if policy == MUST { is_closed(station) } else { is_clear(station) });
        }
        lab.lan.set_links(Link::CLEAN);
        lab.secured_within(seconds(5));
    }
}

#[test]
fn a_key_server_that_wants_no_macsec_opens_the_ports_that_allow_it() {
    let mut lab = lab(&[SHOULD, SHOULD, MUST], false);
    lab.lan.run_for(seconds(60));
    for index in 0..2 {
        assert_eq!(lab.lan[index].kay.outcome(), MkaOutcome::Plain);
        assert!(is_clear(&lab.lan[index]), "{}", lab.show());
    }
    assert!(is_closed(&lab.lan[2]));
    let refused = KayEvent::Participant(ckn(), Event::SakRefused(SakRefusal::PlainText));
    assert_eq!(lab.lan[2].events.iter().filter(|event| **event == refused).count(), 1);
    let opened = |event: &KayEvent| {
        matches!(event, KayEvent::ControlledPort(mka::cp::CpEvent::Port(PortStatus::Unprotected)))
    };
    assert!(!lab.lan[2].events.iter().any(opened));

    // It changes its mind, and all are secured, and it changes it again.
    restart_wanting(&mut lab, 0, true);
    lab.secured_within(seconds(10));
    assert!(lab.lan.nodes().all(is_secure));
    restart_wanting(&mut lab, 0, false);
    lab.lan.run_for(seconds(30));
    assert!(is_clear(&lab.lan[0]) && is_clear(&lab.lan[1]));
    assert!(!lab.lan[2].plane.open, "{}", lab.show());
}

/// With `MkaServer` it is for the key server to say so; that MKA fails is not enough.
#[test]
fn a_port_that_opens_only_if_the_key_server_says_so() {
    let server = LogonPolicy { unsecured: UnsecuredAllowed::MkaServer, ..MUST };
    let mut lab = lab(&[SHOULD, server], false);
    lab.lan.set_links(Link { cut: true, ..Link::CLEAN });
    lab.lan.run_for(seconds(60));
    assert!(is_clear(&lab.lan[0]) && is_closed(&lab.lan[1]));
    lab.lan.set_links(Link::CLEAN);
    lab.lan.run_for(seconds(10));
    assert!(lab.lan.nodes().all(is_clear));
}

/// With `Immediate` it is open from link up on, but for the moment in which it is secured.
#[test]
fn a_port_that_opens_at_once() {
    let immediate = LogonPolicy { unsecured: UnsecuredAllowed::Immediate, ..MUST };
    let mut lab = lab(&[immediate, immediate], true);
    assert!(lab.lan.nodes().all(is_clear));
    lab.secured_within(seconds(2));
    lab.lan.set_links(Link { cut: true, ..Link::CLEAN });
    lab.lan.run_for(seconds(9));
    assert!(lab.lan.nodes().all(is_clear));
}

/// A Life Time counts from link up.
#[test]
fn a_link_that_goes_down_closes_a_clear_port() {
    let mut lab = lab(&[SHOULD, SHOULD], true);
    lab.lan.take(1);
    lab.lan.run_for(seconds(10));
    assert!(is_clear(&lab.lan[0]));
    let set = |lab: &mut KayLab, up| {
        lab.lan.with(0, |station, now| station.act(now, |kay| kay.set_port_enabled(now, up)));
    };
    set(&mut lab, false);
    assert!(is_closed(&lab.lan[0]));
    lab.lan.run_for(seconds(60));
    assert!(is_closed(&lab.lan[0]));
    set(&mut lab, true);
    lab.lan.run_for(LIFE - Duration::from_millis(1));
    assert!(is_closed(&lab.lan[0]));
    lab.lan.run_for(Duration::from_millis(1));
    assert!(is_clear(&lab.lan[0]));
}

/// A data plane that cannot protect keeps a should-secure port from being secured, not from being closed first.
#[test]
fn a_port_that_cannot_be_secured_is_not_open_in_the_meantime() {
    let mut lab = lab(&[SHOULD, SHOULD], true);
    for index in 0..2 {
        lab.lan[index].fault =
            Some(|action| matches!(action, Action::InstallKey(_)).then_some(OrderFailure::NoRoom));
    }
    let opened = lab.lan.drive_until(seconds(120), |lan| !lan.nodes().all(is_closed));
    assert!(!opened, "{}", lab.show());
    for index in 0..2 {
        lab.lan[index].fault = None;
    }
    lab.secured_within(seconds(45));
}

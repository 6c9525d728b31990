//! The Controlled Port on a data plane: what is ordered, in which order, and what is told.

mod data_plane;

use std::time::Duration;

use data_plane::{Bench, an, ki, sak, sci, suite_sak};
use macsec::{CipherSuite, Ssci, ValidateFrames};
use mka::{
    cp::{CpEvent, CpState, PeerReport, PeerSa, PortStatus, SakKnown, Settings, SingleKey},
    logon::Connect,
    order::{Action, Controls, OrderFailure},
};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn link_up_leads_to_a_secured_port_and_link_down_back() {
    let mut bench = Bench::new();
    bench.update();
    assert_eq!(bench.cp.state(), CpState::Init);
    assert!(bench.log.is_empty());

    bench.inputs.port_enabled = true;
    bench.connect(Connect::Pending);
    assert_eq!((bench.cp.state(), bench.plane.open), (CpState::Change, false));
    bench.connect(Connect::Secure);
    assert_eq!(bench.cp.state(), CpState::Secured);
    assert_eq!(bench.plane.controls, Some(Controls::STRICT));
    assert!(!bench.plane.open);

    bench.cp.offer(sak(1, &[1, 2])).unwrap();
    bench.update();
    assert_eq!(bench.cp.state(), CpState::Retire);
    assert_eq!(bench.cp.port(), PortStatus::Secured);
    assert!(bench.plane.open);
    assert_eq!(bench.plane.encoding, Some((1, ki(1))));
    assert!(bench.has(CpEvent::Transmitting(ki(1))));

    bench.inputs.port_enabled = false;
    bench.update();
    assert_eq!(bench.cp.state(), CpState::Init);
    assert!(!bench.plane.open && bench.plane.is_empty());
    assert!(bench.has(CpEvent::Retired(ki(1))) && bench.has(CpEvent::Port(PortStatus::Closed)));
}

#[test]
fn the_port_is_open_in_clear_when_the_logon_process_says_so() {
    for (connect, state) in [
        (Connect::Unauthenticated, CpState::Allowed),
        (Connect::Authenticated, CpState::Authenticated),
    ] {
        let mut bench = Bench::secured(true);
        assert!(!bench.cp.plain_tx() && !bench.cp.plain_rx());
        bench.connect(connect);
        assert_eq!((bench.cp.state(), bench.cp.port()), (state, PortStatus::Unprotected));
        assert!(bench.plane.open && bench.plane.is_empty());
        assert_eq!(bench.plane.controls.unwrap().validate_frames, ValidateFrames::Check);
        assert!(bench.cp.plain_tx() && bench.cp.plain_rx());
        // And it closes before it is secured.
        bench.log.clear();
        bench.connect(Connect::Secure);
        assert_eq!(bench.log, ["SetControlledPort", "SetControls"]);
        assert!(!bench.plane.open);
    }
}

#[test]
fn a_rollover_receives_first_then_transmits_and_retires_the_old_key_last() {
    let mut bench = Bench::secured(true);
    bench.cp.offer(sak(2, &[1])).unwrap();
    bench.update();
    assert_eq!(bench.cp.state(), CpState::Receiving);
    assert_eq!(bench.plane.encoding, Some((1, ki(1))));
    let [latest, old] = bench.cp.reported().map(Option::unwrap);
    assert_eq!((latest.ki, latest.tx, latest.rx), (ki(2), false, true));
    assert_eq!((old.ki, old.tx, old.rx), (ki(1), true, true));

    bench.report(2, true, false);
    assert_eq!(bench.cp.state(), CpState::Transmitting);
    assert_eq!(bench.plane.encoding, Some((2, ki(2))));
    assert!(bench.plane.receives(sci(1), 1, ki(1)) && bench.plane.receives(sci(1), 2, ki(2)));
    let [latest, old] = bench.cp.reported().map(Option::unwrap);
    assert_eq!((latest.tx, latest.rx, old.tx, old.rx), (true, true, false, true));

    bench.wait(SECOND * 3 - Duration::from_millis(1));
    assert!(bench.plane.receives(sci(1), 1, ki(1)), "SAK Retire Time is 3 s");
    bench.wait(Duration::from_millis(1));
    assert_eq!(bench.cp.state(), CpState::Retire);
    assert!(bench.has(CpEvent::Retired(ki(1))));
    assert_eq!(
        bench.log,
        [
            "InstallKey",
            "CreateReceiveSc",
            "InstallReceiveSa",
            "InstallTransmitSa",
            "EnableTransmit",
            "DeleteTransmitSa",
            "DeleteReceiveSa",
            "RemoveKey",
        ]
    );
    assert!(bench.plane.open);
}

#[test]
fn a_key_server_transmits_after_six_seconds_whoever_receives() {
    let mut bench = Bench::secured(true);
    bench.cp.offer(sak(2, &[1])).unwrap();
    bench.update();
    bench.wait(SECOND * 6 - Duration::from_millis(1));
    assert_eq!(bench.cp.state(), CpState::Receiving);
    bench.wait(Duration::from_millis(1));
    assert_eq!(bench.cp.state(), CpState::Transmitting);
}

#[test]
fn a_member_waits_for_the_key_server_however_long() {
    let mut bench = Bench::secured(false);
    bench.cp.offer(sak(2, &[1])).unwrap();
    bench.update();
    bench.report(2, true, false);
    bench.wait(SECOND * 3600);
    assert_eq!((bench.cp.state(), bench.plane.encoding), (CpState::Ready, Some((1, ki(1)))));
    bench.report(2, true, true);
    assert_eq!(bench.plane.encoding, Some((2, ki(2))));
}

#[test]
fn a_report_about_another_key_counts_for_nothing() {
    let mut bench = Bench::secured(false);
    bench.report(1, true, true);
    bench.cp.offer(sak(2, &[1])).unwrap();
    bench.update();
    assert_eq!(bench.cp.state(), CpState::Ready);
}

#[test]
fn a_server_seen_to_transmit_before_we_receive_is_not_forgotten() {
    // Pitfall 41: hostap takes it for an edge, and waits for ever.
    let mut bench = Bench::secured(false);
    bench.cp.offer(sak(2, &[1])).unwrap();
    bench.inputs.latest = Some(PeerReport {
        ki: ki(2),
        all_receiving: true,
        server_transmitting: true,
        ssci_map_known: true,
    });
    bench.update_only();
    assert_eq!(bench.cp.state(), CpState::Receive);
    bench.settle();
    assert_eq!(bench.cp.state(), CpState::Transmitting);
}

#[test]
fn the_same_sak_once_more_is_no_new_sak() {
    // Section 6.2: every MKPDU of the key server repeats it.
    let mut bench = Bench::secured(true);
    assert_eq!(bench.cp.offer(sak(1, &[1])), Err(SakKnown));
    bench.cp.offer(sak(2, &[1])).unwrap();
    assert_eq!(bench.cp.offer(sak(2, &[1])), Err(SakKnown), "while it waits");
    bench.update();
    assert_eq!(bench.cp.offer(sak(2, &[1])), Err(SakKnown), "while it is installed");
    assert_eq!(bench.cp.offer(sak(1, &[1])), Err(SakKnown), "while it is old");
    assert!(bench.cp.new_sak().is_none());
}

#[test]
fn the_key_in_use_makes_way_for_a_sak_with_its_an() {
    // Interop: a key server that has restarted begins at AN 0 again, whatever is in use.
    let mut bench = Bench::secured(false);
    bench.cp.offer(sak(5, &[1])).unwrap();
    bench.update();
    let closed = bench.events.iter().position(|event| *event == CpEvent::Port(PortStatus::Closed));
    let retired = bench.events.iter().position(|event| *event == CpEvent::Retired(ki(1)));
    assert!(closed.is_some() && closed < retired, "{:?}", bench.events);
    assert_eq!((bench.cp.state(), bench.plane.encoding), (CpState::Retire, Some((1, ki(5)))));
    assert_eq!(bench.cp.port(), PortStatus::Secured);
    assert_eq!(bench.plane.keys.len(), 1);
}

#[test]
fn abandon_does_not_lose_the_new_sak() {
    // Pitfall 43, hostap 536a7cfcf.
    let mut bench = Bench::secured(false);
    bench.cp.offer(sak(2, &[1])).unwrap();
    bench.update();
    bench.cp.offer(sak(3, &[1])).unwrap();
    bench.update();
    assert!(bench.has(CpEvent::Abandoned(ki(2))));
    assert_eq!(bench.cp.latest().unwrap().ki, ki(3));
    assert_eq!(bench.plane.encoding, Some((1, ki(1))));
    bench.report(3, true, true);
    assert_eq!(bench.plane.encoding, Some((3, ki(3))));
}

#[test]
fn change_does_not_lose_the_new_sak_but_forgets_the_keys() {
    // Pitfall 43, hostap 547ba732d.
    let mut bench = Bench::secured(false);
    bench.connect(Connect::Authenticated);
    assert_eq!(bench.cp.reported(), [None, None]);
    bench.cp.offer(sak(2, &[1])).unwrap();
    bench.connect(Connect::Secure);
    assert_eq!(bench.plane.encoding, Some((2, ki(2))));
}

#[test]
fn a_sak_that_waits_when_the_session_is_lost_is_erased() {
    let mut bench = Bench::secured(true);
    bench.cp.offer(sak(2, &[1])).unwrap();
    bench.connect(Connect::Pending);
    assert!(bench.cp.new_sak().is_none());
    assert!(bench.has(CpEvent::Abandoned(ki(2))));
    assert!(bench.plane.is_empty() && !bench.plane.open);
}

#[test]
fn a_change_of_key_server_keeps_the_keys_until_there_are_new_ones() {
    // Section 4.7, against the figure.
    let mut bench = Bench::secured(false);
    bench.cp.server_changed(bench.now);
    bench.update();
    bench.wait(SECOND * 7);
    assert!(bench.plane.open && bench.log.is_empty());
    bench.cp.offer(sak(2, &[1])).unwrap();
    bench.update();
    bench.wait(SECOND * 5);
    bench.report(2, true, true);
    bench.wait(SECOND * 60);
    assert!(bench.plane.open && bench.plane.encoding == Some((2, ki(2))));
    assert!(!bench.log.contains(&"SetControlledPort".to_string()));
}

#[test]
fn a_change_of_key_server_without_a_new_sak_closes_the_port_in_the_end() {
    let mut bench = Bench::secured(false);
    bench.cp.server_changed(bench.now);
    bench.update();
    bench.wait(SECOND * 8);
    assert_eq!((bench.cp.state(), bench.plane.open), (CpState::Secured, false));
    assert!(bench.plane.is_empty() && bench.has(CpEvent::Retired(ki(1))));
    // And a SAK opens it again.
    bench.cp.offer(sak(2, &[1])).unwrap();
    bench.update();
    assert!(bench.plane.open);
}

#[test]
fn a_change_of_suite_or_offset_is_a_rollover() {
    let mut bench = Bench::secured(true);
    bench.cp.offer(suite_sak(CipherSuite::GcmAesXpn256, 2, &[1])).unwrap();
    bench.update();
    bench.report(2, true, true);
    assert_eq!(bench.plane.encoding, Some((2, ki(2))));
    assert!(!bench.log.contains(&"SetControlledPort".to_string()));
}

#[test]
fn with_xpn_nobody_transmits_before_all_sscis_are_known() {
    // MI0171. It holds even where nothing is in use.
    let mut bench = Bench::new();
    bench.inputs.port_enabled = true;
    bench.inputs.connect = Connect::Secure;
    bench.cp.offer(suite_sak(CipherSuite::GcmAesXpn128, 1, &[1])).unwrap();
    bench.update();
    assert_eq!((bench.cp.state(), bench.plane.open), (CpState::Ready, false));
    // A member whose SCI is known at last gets its SA, and then it may begin.
    let peer = PeerSa { sci: sci(2), ssci: Some(Ssci(3)), lowest_pn: 1 };
    assert!(bench.cp.add_peer(bench.now, ki(1), peer));
    bench.report(1, false, false);
    assert!(bench.plane.open && bench.plane.receives(sci(2), 1, ki(1)));
}

#[test]
fn the_salt_and_ssci_of_xpn_are_there_before_any_sa() {
    // Pitfall 49: what the order carries is whole; the key with its suite comes first.
    let mut bench = Bench::new();
    bench.inputs.port_enabled = true;
    bench.connect(Connect::Secure);
    bench.cp.offer(suite_sak(CipherSuite::GcmAesXpn128, 1, &[1])).unwrap();
    bench.update_only();
    let mut orders = bench.queue.iter().map(|order| &order.action);
    let Some(Action::InstallKey(key)) = orders.next() else { panic!("the key is not first") };
    assert!(key.salt().is_some() && key.suite() == CipherSuite::GcmAesXpn128);
    for action in orders {
        match action {
            Action::InstallReceiveSa { sa, .. } => assert_eq!(sa.ssci, Some(Ssci(2))),
            Action::InstallTransmitSa(sa) => assert_eq!(sa.ssci, Some(Ssci(1))),
            _ => {}
        }
    }
}

#[test]
fn peers_come_and_go_under_a_key() {
    // Pitfall 50: SAs go before their SC; the bookkeeping data plane panics otherwise.
    let mut bench = Bench::secured(true);
    let peer = PeerSa { sci: sci(2), ssci: None, lowest_pn: 1 };
    assert!(bench.cp.add_peer(bench.now, ki(1), peer));
    assert!(!bench.cp.add_peer(bench.now, ki(1), peer), "it is there");
    assert!(!bench.cp.add_peer(bench.now, ki(9), peer), "there is no such key");
    bench.update();
    assert!(bench.plane.receives(sci(2), 1, ki(1)));
    bench.cp.offer(sak(2, &[1, 2])).unwrap();
    bench.update();
    bench.cp.remove_peer(sci(2));
    bench.update();
    assert!(!bench.plane.scs.contains(&sci(2)) && bench.plane.scs.contains(&sci(1)));
    bench.report(2, true, true);
    bench.wait(SECOND * 3);
    bench.connect(Connect::Pending);
    assert!(bench.plane.is_empty());
}

#[test]
fn a_single_key_is_reported_as_the_latest_or_as_the_old_one() {
    // Section 5.4; hostap looks for its key server's LTX in the latest place only (8.4 e).
    for (report, place) in [(SingleKey::Latest, 0), (SingleKey::Old, 1)] {
        let mut bench = Bench::with(Settings { report, ..Settings::default() });
        bench.inputs.port_enabled = true;
        bench.inputs.connect = Connect::Secure;
        bench.cp.offer(sak(1, &[1])).unwrap();
        bench.update();
        let reported = bench.cp.reported();
        let key = reported[place].unwrap();
        assert_eq!((key.ki, key.an, key.tx, key.rx), (ki(1), an(1), true, true));
        assert_eq!(reported[1 - place], None);
    }
}

// What fails, and what comes too late.

#[test]
fn sas_that_cannot_be_installed_leave_the_old_key_in_use() {
    for order in ["InstallKey", "CreateReceiveSc", "InstallReceiveSa", "InstallTransmitSa"] {
        let mut bench = Bench::secured(true);
        bench.cp.offer(sak(2, &[1])).unwrap();
        bench.update_only();
        bench.queue.truncate(4);
        let failure = OrderFailure::NoRoom;
        // The rest of the data plane goes on; one order fails.
        while let Some(front) = bench.queue.front() {
            let fails = format!("{:?}", front.action).starts_with(order);
            if fails {
                bench.answer(Some(failure));
                break;
            }
            bench.answer(None);
        }
        assert_eq!(bench.cp.state(), CpState::Abandon, "{order}");
        assert!(bench.events.iter().any(|event| matches!(
            event,
            CpEvent::OrderFailed { ki: Some(of), failure: OrderFailure::NoRoom, .. } if *of == ki(2)
        )));
        assert!(bench.has(CpEvent::Abandoned(ki(2))));
        assert_eq!(bench.cp.in_use().unwrap().ki, ki(1));
        assert!(bench.plane.open && bench.plane.encoding == Some((1, ki(1))));
    }
}

#[test]
fn a_transmit_sa_that_is_missing_is_no_dead_end() {
    // Pitfall 42, sonic-buildimage 28742.
    let mut bench = Bench::secured(true);
    bench.cp.offer(sak(2, &[1])).unwrap();
    bench.update();
    bench.plane.transmit.remove(&2);
    bench.report(2, true, false);
    assert_eq!(bench.cp.state(), CpState::Abandon);
    assert_eq!(bench.plane.encoding, Some((1, ki(1))));
    bench.cp.offer(sak(3, &[1])).unwrap();
    bench.update();
    bench.report(3, true, false);
    assert_eq!(bench.plane.encoding, Some((3, ki(3))));
}

#[test]
fn the_first_key_that_cannot_transmit_opens_nothing() {
    let mut bench = Bench::new();
    bench.inputs.port_enabled = true;
    bench.connect(Connect::Secure);
    bench.cp.offer(sak(1, &[1])).unwrap();
    bench.update_only();
    bench.fail_at("EnableTransmit", OrderFailure::KeyUsedBefore);
    bench.settle();
    assert_eq!((bench.cp.port(), bench.plane.open), (PortStatus::Closed, false));
    assert!(bench.plane.is_empty() && bench.has(CpEvent::Abandoned(ki(1))));
    bench.cp.offer(sak(2, &[1])).unwrap();
    bench.update();
    assert!(bench.plane.open);
}

#[test]
fn an_order_that_is_never_answered_is_a_failure_after_a_while() {
    for step in ["InstallKey", "EnableTransmit"] {
        let mut bench = Bench::secured(true);
        bench.cp.offer(sak(2, &[1])).unwrap();
        bench.update_only();
        if step == "EnableTransmit" {
            bench.settle();
            bench.inputs.latest = Some(PeerReport {
                ki: ki(2),
                all_receiving: true,
                server_transmitting: false,
                ssci_map_known: true,
            });
            bench.update_only();
        }
        bench.queue.clear();
        bench.now += SECOND * 6;
        assert_eq!(bench.cp.poll_timeout(), Some(bench.now));
        bench.cp.handle_timeout(bench.now);
        bench.collect();
        assert_eq!(bench.cp.state(), CpState::Abandon, "{step}");
        assert_eq!(bench.cp.in_use().unwrap().ki, ki(1));
        assert!(bench.events.iter().any(|event| matches!(
            event,
            CpEvent::OrderFailed { failure: OrderFailure::Device, .. }
        )));
    }
}

#[test]
fn transmission_goes_back_to_the_old_key_when_nobody_knows_which_it_has() {
    let mut bench = Bench::secured(true);
    bench.cp.offer(sak(2, &[1])).unwrap();
    bench.update();
    bench.inputs.latest = Some(PeerReport {
        ki: ki(2),
        all_receiving: true,
        server_transmitting: false,
        ssci_map_known: true,
    });
    bench.update_only();
    // Carried out, but the answer gets lost.
    let order = bench.queue.pop_front().unwrap();
    bench.plane.carry_out(&order.action).unwrap();
    assert_eq!(bench.plane.encoding, Some((2, ki(2))));
    bench.wait(SECOND * 6);
    assert_eq!(bench.cp.state(), CpState::Abandon);
    assert_eq!(bench.plane.encoding, Some((1, ki(1))));
    assert!(bench.plane.open && !bench.plane.keys.contains(&ki(2).0));
}

#[test]
fn answers_about_an_abandoned_key_change_nothing() {
    // Pitfall 42: a stale usingTransmitSA.
    let mut bench = Bench::secured(false);
    bench.cp.offer(sak(2, &[1])).unwrap();
    bench.update_only();
    let of_two: Vec<_> = bench.queue.drain(..).collect();
    bench.cp.offer(sak(3, &[1])).unwrap();
    bench.update_only();
    assert_eq!((bench.cp.state(), bench.cp.latest().unwrap().ki), (CpState::Receive, ki(3)));
    for order in &of_two {
        bench.plane.carry_out(&order.action).unwrap();
        bench.cp.order_done(bench.now, order.id, Ok(()));
        assert_eq!(bench.cp.state(), CpState::Receive, "not for this key");
    }
    // Late failures are told, but are not taken for those of the key at hand.
    let late = of_two[0].id;
    bench.cp.order_done(bench.now, late, Err(OrderFailure::Device));
    bench.collect();
    assert!(bench.has(CpEvent::OrderFailed { id: late, ki: None, failure: OrderFailure::Device }));
    assert_eq!(bench.cp.state(), CpState::Receive);
    bench.settle();
    assert_eq!(bench.cp.state(), CpState::Ready);
    assert!(!bench.plane.keys.contains(&ki(2).0));
}

#[test]
fn a_port_whose_frames_cannot_be_protected_stays_closed_and_tries_again() {
    let mut bench = Bench::new();
    bench.inputs.port_enabled = true;
    bench.inputs.connect = Connect::Secure;
    bench.cp.offer(sak(1, &[1])).unwrap();
    bench.update_only();
    bench.fail_at("SetControls", OrderFailure::Device);
    bench.settle();
    assert_eq!((bench.cp.state(), bench.plane.open), (CpState::Change, false));
    assert!(bench.plane.keys.is_empty());
    bench.wait(SECOND);
    assert!(bench.plane.open && bench.plane.encoding == Some((1, ki(1))), "the SAK has waited");
}

#[test]
fn a_port_that_cannot_close_is_told_again_and_nothing_else_happens() {
    let mut bench = Bench::secured(true);
    bench.inputs.connect = Connect::Authenticated;
    bench.update_only();
    bench.fail_at("SetControlledPort", OrderFailure::Device);
    // The data plane refuses nothing else, but it is open: our bookkeeper would panic.
    bench.plane.open = false;
    bench.settle();
    assert_eq!(bench.cp.state(), CpState::Change);
    bench.wait(SECOND);
    assert_eq!(bench.cp.state(), CpState::Authenticated);
}

//! Orders of a KaY, carried out on ports.

use std::{collections::VecDeque, time::Duration};

use macsec::{
    An, CipherSuite, Confidentiality, ConfidentialityOffset, Config, DataKey, FrameBuf, HEADROOM,
    Ki, MacAddress, ReceiveSa, Sak, Sci, TAILROOM, TransmitSa, ValidateFrames,
};
use macsec_gateway::port::{Port, Room};
use mka::{
    Cak, Ckn, Kay, KayConfig, KeyPns, MAX_FRAME_LEN, OsRandom, ParticipantConfig, Suites,
    cp::{CpEvent, PortStatus},
    kay::KayEvent,
    order::{Action, Controls, Order, OrderFailure},
};

use crate::bench::{Bench, frame};

const AN: An = An::ALL[2];

fn sci(number: u8) -> Sci {
    Sci::new(MacAddress([2, 0, 0, 0, 0, number]), 1)
}

fn port() -> Port {
    Port::new(sci(1), Config::default(), Room::default()).expect("controls")
}

fn key(number: u8) -> DataKey {
    let sak = Sak::new(&[number; 16]).expect("16 octets");
    DataKey::new(Ki([number; 16]), CipherSuite::GcmAes128, sak, None).expect("a key")
}

fn receive_sa(number: u8, an: An) -> Action {
    let offset = ConfidentialityOffset::Zero;
    let sa = ReceiveSa { an, ki: Ki([number; 16]), ssci: None, lowest_pn: 1, offset };
    Action::InstallReceiveSa { sci: sci(2), sa }
}

fn lowest_pn(number: u8, an: An, lowest_pn: u64) -> Action {
    Action::RaiseLowestPn { sci: sci(2), an, ki: Ki([number; 16]), lowest_pn }
}

fn transmit_sa(number: u8, an: An) -> Action {
    let confidentiality = Confidentiality::default();
    let ki = Ki([number; 16]);
    Action::InstallTransmitSa(TransmitSa { an, ki, ssci: None, next_pn: 1, confidentiality })
}

/// All that it takes to use the key `number`.
fn bring_up(number: u8, an: An) -> [Action; 5] {
    [
        Action::InstallKey(key(number)),
        Action::CreateReceiveSc { sci: sci(2) },
        receive_sa(number, an),
        transmit_sa(number, an),
        Action::EnableTransmit { an, ki: Ki([number; 16]) },
    ]
}

/// All that it takes to be rid of it again.
fn take_down(number: u8, an: An) -> [Action; 4] {
    let (sci, ki) = (sci(2), Ki([number; 16]));
    [
        Action::DeleteTransmitSa { an, ki },
        Action::DeleteReceiveSa { sci, an, ki },
        Action::RemoveKey(ki),
        Action::DeleteReceiveSc { sci },
    ]
}

fn do_all(port: &mut Port, actions: &[Action]) {
    for action in actions {
        assert_eq!(port.carry_out(action), Ok(()), "{action:?}");
    }
}

/// What the SecY has, to be compared.
fn seen(port: &Port) -> String {
    let secy = port.secy();
    let keys: Vec<_> = secy.keys().collect();
    let transmit: Vec<_> = An::ALL.into_iter().filter_map(|an| secy.transmit_sa(an)).collect();
    let receive: Vec<_> = secy
        .receive_scs()
        .map(|sci| (sci, An::ALL.into_iter().filter_map(|an| secy.receive_sa(sci, an)).collect()))
        .collect::<Vec<(_, Vec<_>)>>();
    format!("{keys:?} {transmit:?} {:?} {receive:?} {:?}", secy.encoding_sa(), secy.config())
}

#[test]
fn each_order_may_come_twice() {
    let mut port = port();
    let empty = seen(&port);
    for action in bring_up(1, AN).iter().chain(&take_down(1, AN)) {
        assert_eq!(port.carry_out(action), Ok(()), "{action:?}");
        let after_one = seen(&port);
        assert_eq!(port.carry_out(action), Ok(()), "{action:?} again");
        assert_eq!(seen(&port), after_one, "{action:?} again");
    }
    assert_eq!(seen(&port), empty);
    do_all(&mut port, &take_down(1, AN));
}

#[test]
fn the_lowest_pn_of_a_peer_grows_and_an_sa_that_is_gone_has_none() {
    let mut port = port();
    let empty = seen(&port);
    do_all(&mut port, &[lowest_pn(1, AN, 9)]);
    assert_eq!(seen(&port), empty);
    do_all(&mut port, &bring_up(1, AN));
    for (ordered, expected) in [(9, 9), (9, 9), (5, 9), (0xffff_ffff, 0xffff_ffff)] {
        do_all(&mut port, &[lowest_pn(1, AN, ordered)]);
        let sa = port.secy().receive_sa(sci(2), AN).expect("an SA");
        assert_eq!((sa.lowest_pn, sa.next_pn), (expected, expected));
    }
    let before = seen(&port);
    // Of another key on the AN, of the key on another AN, and one that the suite does not have.
    do_all(&mut port, &[lowest_pn(2, AN, 9), lowest_pn(1, An::ALL[0], 9)]);
    let refused = port.carry_out(&lowest_pn(1, AN, 1 << 32));
    assert_eq!((refused, seen(&port)), (Err(OrderFailure::Refused), before));
}

#[test]
fn what_is_brought_up_is_in_use() {
    let mut port = port();
    do_all(&mut port, &bring_up(1, AN));
    assert!(port.secy().is_transmitting() && port.secy().is_receiving(sci(2)));
    assert_eq!(port.secy().encoding_sa(), Some(AN));
}

#[test]
fn a_late_order_about_an_old_key_leaves_its_successor_alone() {
    let mut port = port();
    do_all(&mut port, &bring_up(1, AN));
    do_all(&mut port, &take_down(1, AN));
    do_all(&mut port, &bring_up(2, AN));
    let before = seen(&port);
    let (ki, sci) = (Ki([1; 16]), sci(2));
    let late = [
        Action::DeleteTransmitSa { an: AN, ki },
        Action::DeleteReceiveSa { sci, an: AN, ki },
        Action::RemoveKey(ki),
    ];
    do_all(&mut port, &late);
    // There is an SA of another key on the AN, or on the SC.
    for refused in [
        Action::EnableTransmit { an: AN, ki },
        receive_sa(1, AN),
        transmit_sa(1, AN),
        Action::DeleteReceiveSc { sci },
    ] {
        assert_eq!(port.carry_out(&refused), Err(OrderFailure::Refused), "{refused:?}");
    }
    assert_eq!(seen(&port), before);
}

#[test]
fn what_cannot_be_done_changes_nothing() {
    let mut port = port();
    do_all(&mut port, &bring_up(1, AN));
    let before = seen(&port);
    let xpn = {
        let sak = Sak::new(&[9; 16]).expect("16 octets");
        let salt = Some(macsec::Salt([9; 12]));
        DataKey::new(Ki([9; 16]), CipherSuite::GcmAesXpn128, sak, salt).expect("a key")
    };
    let other = An::ALL[0];
    for (action, failure) in [
        // The SAK of the key that is there, under another name.
        (
            Action::InstallKey({
                let sak = Sak::new(&[1; 16]).expect("16 octets");
                DataKey::new(Ki([7; 16]), CipherSuite::GcmAes128, sak, None).expect("a key")
            }),
            OrderFailure::Refused,
        ),
        (receive_sa(3, other), OrderFailure::Refused),
        (transmit_sa(3, other), OrderFailure::Refused),
        (Action::EnableTransmit { an: other, ki: Ki([1; 16]) }, OrderFailure::Refused),
        (Action::RemoveKey(Ki([1; 16])), OrderFailure::Refused),
        (Action::DeleteReceiveSc { sci: sci(2) }, OrderFailure::Refused),
    ] {
        assert_eq!(port.carry_out(&action), Err(failure), "{action:?}");
        assert_eq!(seen(&port), before, "{action:?}");
    }
    // A window that XPN does not have.
    let wide = Controls { replay_window: u32::MAX, ..Controls::STRICT };
    do_all(&mut port, &[Action::SetControls(wide)]);
    let before = seen(&port);
    let refused = port.carry_out(&Action::InstallKey(xpn));
    assert_eq!((refused, seen(&port)), (Err(OrderFailure::Unsupported), before));
}

#[test]
fn there_is_room_for_three_keys_and_all_peers_and_no_more() {
    let mut port = port();
    for number in 1..=3 {
        do_all(&mut port, &bring_up(number, An::ALL[usize::from(number)]));
    }
    let mut failures = (4..=20).filter_map(|number| {
        let action = Action::InstallKey(key(number));
        port.carry_out(&action).err()
    });
    assert_eq!(failures.next(), Some(OrderFailure::NoRoom));
    drop(failures);
    for number in 3..Room::default().peers as u8 + 2 {
        do_all(&mut port, &[Action::CreateReceiveSc { sci: sci(number) }]);
    }
    let one_more = Action::CreateReceiveSc { sci: sci(200) };
    assert_eq!(port.carry_out(&one_more), Err(OrderFailure::NoRoom));
}

#[test]
fn there_is_as_much_room_as_asked_for() {
    let room = Room { peers: 62, keys: 5 };
    let mut port = Port::new(sci(1), Config::default(), room).expect("controls");
    for number in 0..62 {
        do_all(&mut port, &[Action::CreateReceiveSc { sci: sci(100 + number) }]);
    }
    let one_more = Action::CreateReceiveSc { sci: sci(200) };
    assert_eq!(port.carry_out(&one_more), Err(OrderFailure::NoRoom));
    assert_eq!(port.room(), room);
}

#[test]
fn packet_numbers_are_told_by_key() {
    let mut port = port();
    assert_eq!(port.key_pns(), []);
    do_all(&mut port, &bring_up(1, AN));
    do_all(&mut port, &[Action::InstallKey(key(2))]);
    port.secy_mut().raise_transmit_next_pn(AN, 500).expect("a PN");
    port.secy_mut().raise_receive_lowest_pn(sci(2), AN, 900).expect("a PN");
    let pns = |ki, transmit_next_pn, receive_next_pn| KeyPns {
        ki: Ki([ki; 16]),
        transmit_next_pn,
        receive_next_pn,
    };
    assert_eq!(port.key_pns(), [pns(1, 500, 900), pns(2, 1, 1)]);
    // The last one of all.
    port.secy_mut().raise_transmit_next_pn(AN, u64::from(u32::MAX)).expect("a PN");
    drop(port.secy_mut().reserve(1));
    assert_eq!(port.key_pns()[0], pns(1, u64::MAX, 900));
}

#[test]
fn ordered_controls_leave_those_of_the_configuration_alone() {
    let mut configured = Config::default();
    configured.always_include_sci = true;
    configured.detect_duplicates = true;
    configured.replay_window = 64;
    let mut port = Port::new(sci(1), configured, Room::default()).expect("controls");

    do_all(&mut port, &[Action::SetControls(Controls::UNPROTECTED)]);
    let controls = *port.secy().config();
    assert!(!controls.protect_frames && !controls.replay_protect && controls.always_include_sci);
    assert_eq!(controls.validate_frames, ValidateFrames::Check);
    assert!(!controls.detect_duplicates, "there is no such thing without replay protection");
    assert!(!port.protects());

    // A reload changes what is the configuration's.
    configured.always_include_sci = false;
    configured.replay_window = 32;
    port.set_controls(configured).expect("controls");
    let controls = *port.secy().config();
    assert!(!controls.always_include_sci && !controls.protect_frames);
    assert_eq!(controls.replay_window, 0);

    let secured = Controls { replay_window: 64, ..Controls::STRICT };
    do_all(&mut port, &[Action::SetControls(secured)]);
    let controls = *port.secy().config();
    assert!(controls.detect_duplicates && controls.protect_frames && port.protects());
    assert_eq!(controls.replay_window, 64);

    port.forget_orders().expect("controls");
    assert_eq!(port.secy().config().replay_window, 32);
}

/// Regression: duplicate detection came with a smaller window, was refused for the sake of the former one,
/// and nobody was told.
#[test]
fn replay_protection_that_changes_under_a_session_changes_as_a_whole() {
    let controls = |replay_window, detect_duplicates| {
        let mut controls = Config::default();
        (controls.replay_window, controls.detect_duplicates) = (replay_window, detect_duplicates);
        controls
    };
    let mut port = Port::new(sci(1), controls(5000, false), Room::default()).expect("controls");
    let secured = Controls { replay_window: 5000, ..Controls::STRICT };
    do_all(&mut port, &[Action::SetControls(secured)]);
    for wanted in [controls(64, true), controls(5000, false), controls(64, true)] {
        port.set_controls(wanted).expect("controls");
        let got = port.secy().config();
        assert_eq!(
            (got.replay_window, got.detect_duplicates),
            (wanted.replay_window, wanted.detect_duplicates)
        );
    }
    // What cannot be is refused, and leaves all as it is.
    port.set_controls(controls(5000, true)).expect_err("too wide to detect duplicates in");
    let got = port.secy().config();
    assert_eq!((got.replay_window, got.detect_duplicates), (64, true));
    let mut off = Config::default();
    off.replay_protect = false;
    port.set_controls(off).expect("controls");
    assert!(!port.secy().config().replay_protect);
}

/// A KaY and the port whose SecY it orders about, without wires.
struct Member {
    kay: Kay<OsRandom>,
    port: Port,
    open: bool,
    orders: VecDeque<Order>,
    rollovers: usize,
}

impl Member {
    fn new(number: u8, suites: &[CipherSuite]) -> Self {
        Self::with(number, suites, |_| {})
    }

    fn with(number: u8, suites: &[CipherSuite], change: fn(&mut ParticipantConfig)) -> Self {
        let mut participant = ParticipantConfig::new(sci(number));
        participant.priority = number;
        participant.suites = Suites::new(suites).expect("suites");
        change(&mut participant);
        let (cak, ckn) = (Cak::new(&[0x42; 16]).expect("a CAK"), Ckn::new(b"lab").expect("a CKN"));
        let kay = Kay::new(KayConfig::new(participant), cak, ckn, OsRandom, Duration::ZERO);
        Self {
            kay: kay.expect("a KaY"),
            port: Port::new(sci(number), Config::default(), Room::default()).expect("controls"),
            open: false,
            orders: VecDeque::new(),
            rollovers: 0,
        }
    }

    fn fetch(&mut self) {
        while let Some(order) = self.kay.poll_order() {
            self.orders.push_back(order);
        }
        while let Some(event) = self.kay.poll_event() {
            match event {
                KayEvent::ControlledPort(CpEvent::Transmitting(_)) => self.rollovers += 1,
                KayEvent::ControlledPort(CpEvent::OrderFailed { failure, .. }) => {
                    panic!("{failure}");
                }
                _ => {}
            }
        }
    }

    /// Carries out one order, if there is one.
    fn work(&mut self, now: Duration) -> bool {
        let Some(order) = self.orders.pop_front() else { return false };
        if let Action::SetControlledPort { enabled } = order.action {
            self.open = enabled;
        }
        let result = self.port.carry_out(&order.action);
        self.kay.order_done(now, order.id, result);
        self.fetch();
        true
    }

    fn turn(&mut self, now: Duration, other: &mut Self) {
        self.kay.handle_timeout(now);
        self.kay.report_pns(now, &self.port.key_pns());
        let mut frame = [0; MAX_FRAME_LEN];
        while let Some(len) = self.kay.poll_transmit(now, &mut frame) {
            let _ = other.kay.handle_frame(now, &frame[..len]);
            other.fetch();
        }
        self.fetch();
    }
}

fn protected(from: &mut Member, sent: &[u8]) -> Vec<u8> {
    let mut buffer = vec![0; HEADROOM + sent.len() + TAILROOM];
    let range = HEADROOM..HEADROOM + sent.len();
    buffer[range.clone()].copy_from_slice(sent);
    let protected = from.port.secy_mut().protect(FrameBuf::new(buffer, range).expect("a frame"));
    let Ok(protected) = protected else { panic!("refused") };
    protected.octets().to_vec()
}

fn crosses(from: &mut Member, to: &mut Member) {
    let sent = frame([0x88, 0xb5], 100);
    let verdict = to.port.secy_mut().validate(protected(from, &sent));
    assert_eq!(verdict.delivered(), Some(&sent[..]), "{:?}", verdict.outcome());
}

/// However wide the replay window: what is on its way for two seconds comes in, what is held up for longer than
/// three does not.
#[test]
fn frames_that_are_held_up_are_late_beyond_the_replay_window() {
    for suite in CipherSuite::ALL {
        let protects_delay = |config: &mut ParticipantConfig| {
            config.delay_protect = true;
            config.hello_time = Duration::from_millis(500);
        };
        // Of two members one may do so, and the other not.
        let [a, b] = &mut [Member::with(1, &[suite], protects_delay), Member::new(2, &[suite])];
        let mut now = Duration::ZERO;
        a.kay.set_port_enabled(now, true);
        b.kay.set_port_enabled(now, true);
        let mut held = VecDeque::new();
        for step in 0..200 {
            now += Duration::from_millis(100);
            a.turn(now, b);
            b.turn(now, a);
            while a.work(now) | b.work(now) {}
            if step < 50 {
                continue;
            }
            let wide = Controls { replay_window: 1 << 20, ..Controls::STRICT };
            do_all(&mut a.port, &[Action::SetControls(wide)]);
            do_all(&mut b.port, &[Action::SetControls(wide)]);
            let sent = frame([0x88, 0xb5], 100);
            held.push_back([protected(a, &sent), protected(b, &sent)]);
            if held.len() <= 20 {
                continue;
            }
            let [from_a, _] = held[held.len() - 21].clone();
            assert!(
                b.port.secy_mut().validate(from_a).delivered().is_some(),
                "{suite}: two seconds"
            );
            if held.len() == 31 {
                let [from_a, from_b] = held.pop_front().expect("there are thirty-one");
                assert!(b.port.secy_mut().validate(from_a).delivered().is_none(), "{suite}: three");
                assert!(
                    a.port.secy_mut().validate(from_b).delivered().is_some(),
                    "{suite}: {step}"
                );
            }
        }
        let counters = b.port.secy().receive_sc_counters(sci(1)).expect("an SC");
        assert!(counters.in_pkts_late > 100, "{suite}: {}", counters.in_pkts_late);
        let counters = a.port.secy().receive_sc_counters(sci(2)).expect("an SC");
        assert_eq!(counters.in_pkts_late, 0);
    }
}

/// With a frame each way between any two orders.
#[test]
fn two_kays_rotate_saks_on_ports_and_lose_no_frame() {
    for suite in CipherSuite::ALL {
        let [a, b] = &mut [Member::new(1, &[suite]), Member::new(2, &[suite])];
        let mut now = Duration::ZERO;
        a.kay.set_port_enabled(now, true);
        b.kay.set_port_enabled(now, true);
        let mut frames = 0;
        for step in 0..600 {
            now += Duration::from_millis(100);
            a.turn(now, b);
            b.turn(now, a);
            while a.work(now) | b.work(now) {
                let first = a.rollovers < 1 || b.rollovers < 1;
                if !first && a.open && b.open {
                    crosses(a, b);
                    crosses(b, a);
                    frames += 1;
                }
            }
            let settled = a.orders.is_empty() && b.orders.is_empty();
            assert!(step < 20 || a.open && b.open, "{suite}: closed at step {step}");
            if step % 100 == 99 && settled {
                assert!(a.kay.request_rekey(now), "{suite}: the better priority serves");
                assert!(!b.kay.request_rekey(now));
            }
        }
        assert!(a.rollovers >= 5 && b.rollovers >= 5, "{suite}: {} {}", a.rollovers, b.rollovers);
        assert!(frames > 50, "{suite}: {frames}");
        for member in [a, b] {
            assert_eq!(member.kay.port().port(), PortStatus::Secured);
            assert!(member.port.secy().keys().count() <= 2);
        }
    }
}

/// A key server that looks where packet numbers are replaces a SAK in time.
#[test]
fn packet_numbers_that_run_out_bring_a_new_sak() {
    let suite = CipherSuite::GcmAes128;
    let [a, b] = &mut [Member::new(1, &[suite]), Member::new(2, &[suite])];
    let mut now = Duration::ZERO;
    a.kay.set_port_enabled(now, true);
    b.kay.set_port_enabled(now, true);
    for step in 0..300 {
        now += Duration::from_millis(100);
        a.turn(now, b);
        b.turn(now, a);
        while a.work(now) | b.work(now) {}
        if step == 150 {
            assert_eq!(a.rollovers, 1);
            // It is the client's that run out.
            let an = b.port.secy().encoding_sa().expect("an SA in use");
            b.port.secy_mut().raise_transmit_next_pn(an, suite.rekey_pn()).expect("a PN");
            crosses(b, a);
        }
    }
    assert_eq!((a.rollovers, b.rollovers), (2, 2));
}

#[test]
fn nothing_passes_a_closed_port() {
    let Some(mut bench) = Bench::with_keys() else { return };
    let mut peer = Bench::peer();
    assert!(bench.port.is_enabled(), "as no KaY has closed it");
    bench.port.set_bypass(&[0x88cc]);
    bench.port.set_controlled_port(false);
    assert!(!bench.port.is_enabled());
    bench.send_from_host(3);
    bench.send_protected(&mut peer);
    bench.send(&frame([0x08, 0x00], 100));
    bench.send(&frame([0x88, 0x8e], 100));
    bench.send(&frame([0x88, 0xcc], 100));
    bench.turn();
    assert_eq!(bench.wire(), Vec::<Vec<u8>>::new());
    let counters = bench.port.counters();
    assert_eq!((counters.port_closed, counters.eapol_from_uplink), (5, 1));
    assert_eq!(counters.tap_written, 1, "what bypasses the SecY");
    let secy = bench.port.secy().counters();
    assert_eq!((secy.frames_in(), secy.frames_out()), (0, 0), "the SecY has seen none");

    bench.port.set_controlled_port(true);
    assert!(bench.port.is_enabled());
    bench.send_from_host(3);
    bench.send_protected(&mut peer);
    bench.turn();
    assert_eq!(bench.wire().len(), 3);
    assert_eq!(bench.port.counters().tap_written, 2);
    assert_eq!(bench.port.counters().port_closed, 5);
}

#[test]
fn a_port_that_should_be_secured_opens_in_clear_when_ordered_to() {
    let Some(mut bench) = Bench::new() else { return };
    let closed = Action::SetControlledPort { enabled: false };
    let open = Action::SetControlledPort { enabled: true };
    do_all(&mut bench.port, &[closed, Action::SetControls(Controls::UNPROTECTED)]);
    bench.send_from_host(1);
    bench.send(&frame([0x08, 0x00], 100));
    bench.turn();
    assert_eq!((bench.wire().len(), bench.port.counters().tap_written), (0, 0), "closed still");

    do_all(&mut bench.port, &[open]);
    assert!(bench.port.is_enabled() && !bench.port.protects());
    bench.send_from_host(1);
    bench.send(&frame([0x08, 0x00], 100));
    bench.turn();
    let wire = bench.wire();
    assert_eq!(wire.len(), 1);
    assert_eq!(wire[0][12..14], [0x88, 0xb5], "in clear");
    assert_eq!(bench.port.counters().tap_written, 1, "and so the other way");

    do_all(&mut bench.port, &[Action::SetControls(Controls::STRICT)]);
    assert!(!bench.port.is_enabled(), "there is no key");
    bench.send_from_host(1);
    bench.send(&frame([0x08, 0x00], 100));
    bench.turn();
    assert_eq!((bench.wire().len(), bench.port.counters().tap_written), (0, 1), "no more");
}

#[test]
fn eapol_under_another_ethertype_never_crosses() {
    let Some(mut bench) = Bench::with_keys() else { return };
    bench.port.set_eapol_ether_type(0x876f);
    let mut from_host = bench.host_ring();
    for ether_type in [[0x87, 0x6f], [0x88, 0x8e]] {
        from_host.push(&frame(ether_type, 100)).expect("room");
        from_host.flush().expect("sent");
        bench.send(&frame(ether_type, 100));
    }
    bench.turn();
    assert_eq!(bench.wire(), Vec::<Vec<u8>>::new());
    let counters = bench.port.counters();
    assert_eq!((counters.eapol_from_tap, counters.eapol_from_uplink), (2, 2));
    assert_eq!(counters.tap_written, 0);
}

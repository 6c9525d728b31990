//! A port between a wire and a TAP, in namespaces of its own. Needs root and `/dev/net/tun`.

#[path = "../common/mod.rs"]
mod common;

mod bench;
mod orders;

use std::{
    net::UdpSocket,
    time::{Duration, Instant},
};

use macsec::{ClearVlanTags, Config};
use macsec_gateway::port::{PortError, inner_mtu};
use macsec_io::{netlink::Netlink, packet::PacketError};

use bench::{Bench, HOST, MTU, frame};

#[test]
fn without_keys_nothing_moves() {
    let Some(mut bench) = Bench::new() else {
        return;
    };
    let socket = bench.cloud.run(|| UdpSocket::bind((HOST, 0))).expect("run").expect("a socket");
    socket.send_to(b"hello", "10.0.0.2:9").expect("sent");
    bench.send(&frame([0x08, 0x00], 100));
    bench.turn();
    assert_eq!(bench.wire(), Vec::<Vec<u8>>::new());
    let counters = bench.port.secy().counters();
    assert_eq!(counters.local.out_no_transmit_sa, 1);
    assert_eq!(counters.verification.in_pkts_no_tag, 1);
    assert_eq!(bench.port.counters().tap_written, 0);
}

#[test]
fn the_host_talks_in_macsec_only() {
    let Some(mut bench) = Bench::with_keys() else {
        return;
    };
    let socket = bench.cloud.run(|| UdpSocket::bind((HOST, 0))).expect("run").expect("a socket");
    for len in [0, 1, 100, 1440] {
        socket.send_to(&vec![0xaa; len], "10.0.0.2:9").expect("sent");
    }
    bench.turn();
    let wire = bench.wire();
    assert_eq!(wire.len(), 4);
    for frame in &wire {
        assert_eq!(frame[12..14], [0x88, 0xe5]);
        assert!(!frame.windows(8).any(|octets| octets == [0xaa; 8]), "encrypted");
    }
}

#[test]
fn eapol_never_crosses() {
    let Some(mut bench) = Bench::with_keys() else {
        return;
    };
    let mut from_host = bench.host_ring();
    from_host.push(&frame([0x88, 0x8e], 100)).expect("room");
    from_host.flush().expect("sent");
    bench.send(&frame([0x88, 0x8e], 100));
    bench.turn();
    assert_eq!(bench.wire(), Vec::<Vec<u8>>::new());
    let counters = bench.port.counters();
    assert_eq!((counters.eapol_from_tap, counters.eapol_from_uplink), (1, 1));
    assert_eq!(counters.tap_written, 0);
    let secy = bench.port.secy().counters();
    assert_eq!((secy.frames_in(), secy.frames_out()), (0, 0), "the SecY has seen neither");
}

#[test]
fn a_frame_that_protection_makes_too_long_is_counted_and_dropped() {
    let mut controls = Config::default();
    controls.always_include_sci = true;
    let Some(mut bench) = Bench::with(controls) else {
        return;
    };
    bench.install_keys();
    let mut from_host = bench.host_ring();
    // A VLAN tag comes on top of the MTU: with it 4 octets too many, without it none.
    let longest = 14 + inner_mtu(MTU, 0, ClearVlanTags::None) as usize;
    from_host.push(&frame([0x81, 0x00], longest + 4)).expect("room");
    from_host.push(&frame([0x08, 0x00], longest)).expect("room");
    from_host.flush().expect("sent");
    bench.turn();
    assert_eq!(bench.port.secy().counters().generation.out_pkts_too_long, 1);
    let wire = bench.wire();
    assert_eq!(wire.len(), 1);
    assert_eq!(wire[0].len(), 14 + MTU as usize, "the longest that the wire takes");
}

#[test]
fn a_tagged_frame_of_the_host_goes_through_whole() {
    let Some(mut bench) = Bench::with_keys() else {
        return;
    };
    let mut from_host = bench.host_ring();
    from_host.push(&frame([0x81, 0x00], 200)).expect("room");
    from_host.flush().expect("sent");
    bench.turn();
    let wire = bench.wire();
    assert_eq!(wire.len(), 1);
    assert_eq!(wire[0][12..14], [0x88, 0xe5], "the tag is inside");
    assert_eq!(wire[0].len(), 200 + 24);
}

/// A frame with a VLAN tag of `tci` before `ethertype`.
fn tagged(tci: [u8; 2], ethertype: [u8; 2]) -> Vec<u8> {
    let mut frame = frame([0x81, 0x00], 100);
    frame[14..16].copy_from_slice(&tci);
    frame[16..18].copy_from_slice(&ethertype);
    frame
}

#[test]
fn eapol_with_a_priority_tag_never_crosses() {
    let Some(mut bench) = Bench::with_keys() else {
        return;
    };
    let priority_tagged = tagged([0xe0, 0x00], [0x88, 0x8e]);
    let mut from_host = bench.host_ring();
    from_host.push(&priority_tagged).expect("room");
    from_host.flush().expect("sent");
    bench.send(&priority_tagged);
    bench.turn();
    assert_eq!(bench.wire(), Vec::<Vec<u8>>::new());
    let counters = bench.port.counters();
    assert_eq!((counters.eapol_from_tap, counters.eapol_from_uplink), (1, 1));
    let secy = bench.port.secy().counters();
    assert_eq!((secy.frames_in(), secy.frames_out()), (0, 0));
}

#[test]
fn eapol_within_a_vlan_is_user_data() {
    let Some(mut bench) = Bench::with_keys() else {
        return;
    };
    let in_vlan_5 = tagged([0xe0, 0x05], [0x88, 0x8e]);
    let mut from_host = bench.host_ring();
    from_host.push(&in_vlan_5).expect("room");
    from_host.flush().expect("sent");
    bench.send(&in_vlan_5);
    bench.turn();
    let wire = bench.wire();
    assert_eq!(wire.len(), 1, "encrypted like anything else");
    assert_eq!(wire[0][12..14], [0x88, 0xe5]);
    let counters = bench.port.counters();
    assert_eq!((counters.eapol_from_tap, counters.eapol_from_uplink), (0, 0));
    let secy = bench.port.secy().counters();
    assert_eq!(secy.verification.in_pkts_no_tag, 1, "and refused in clear");
    assert_eq!(counters.tap_written, 0);
}

/// How often a port looks that has nothing to do: it waits 10 ms each time.
const IDLE_TURNS: u32 = 30;

#[test]
fn the_uplink_goes_down_and_up_again() {
    let Some(mut bench) = Bench::with_keys() else {
        return;
    };
    let mut peer = Bench::peer();
    bench.send_from_host(3);
    bench.send_protected(&mut peer);
    bench.turn();
    assert_eq!(bench.wire().len(), 3);
    assert_eq!(bench.port.counters().tap_written, 1);

    for round in 1..=2 {
        bench.uplink(Netlink::set_down);
        bench.send_from_host(100);
        bench.turn();
        let turns = bench.turns().expect("it goes on");
        assert!(turns <= IDLE_TURNS, "{turns} turns for nothing");
        assert_eq!(bench.port.counters().uplink_down, round);
        let lost = bench.port.uplink_counters().not_sent + bench.port.counters().no_uplink;
        assert_eq!(lost, round * 100, "each lost frame is counted");

        bench.uplink(Netlink::set_up);
        bench.turn();
        bench.wire();
        bench.send_from_host(3);
        bench.send_protected(&mut peer);
        bench.turn();
        assert_eq!(bench.wire().len(), 3, "round {round}");
        assert_eq!(bench.port.counters().tap_written, 1 + round);
        let counters = bench.port.uplink_counters();
        assert_eq!(counters.sent, 3 + 3 * round);
    }
}

#[test]
fn an_uplink_that_is_removed_ends_the_port() {
    let Some(mut bench) = Bench::new() else {
        return;
    };
    bench.uplink(Netlink::delete_link);
    let error = bench.turns().expect_err("no uplink");
    assert!(matches!(error, PortError::Uplink(PacketError::InterfaceGone)), "{error}");
}

#[test]
fn the_tap_goes_down_and_up_again() {
    let Some(mut bench) = Bench::with_keys() else {
        return;
    };
    let mut peer = Bench::peer();
    bench.send_from_host(10);
    bench.tap(Netlink::set_down);
    bench.send_protected(&mut peer);
    bench.turn();
    let turns = bench.turns().expect("it goes on");
    assert!(turns <= IDLE_TURNS, "{turns} turns for nothing");
    let counters = bench.port.counters();
    assert_eq!((counters.tap_written, counters.tap_drop), (0, 1));

    bench.wire();
    bench.tap(Netlink::set_up);
    bench.send_from_host(3);
    bench.send_protected(&mut peer);
    bench.turn();
    assert_eq!(bench.wire().len(), 3);
    let counters = bench.port.counters();
    assert_eq!((counters.tap_written, counters.tap_drop), (1, 1));
}

#[test]
fn a_tap_that_is_removed_ends_the_port() {
    let Some(mut bench) = Bench::new() else {
        return;
    };
    bench.tap(Netlink::delete_link);
    let error = bench.turns().expect_err("no TAP");
    assert!(matches!(error, PortError::TapGone), "{error}");
}

#[test]
fn a_frame_too_long_for_the_uplink_of_now_is_counted_once() {
    let Some(mut bench) = Bench::with_keys() else {
        return;
    };
    bench.uplink(|netlink, link| netlink.set_mtu(link, 900));
    bench.send_from_host(3);
    bench.turn();
    assert_eq!(bench.wire(), Vec::<Vec<u8>>::new());
    let counters = bench.port.uplink_counters();
    assert_eq!((counters.sent, counters.not_sent), (0, 3));
}

/// Frames in the interface's queue keep their slots of the ring: the host has to wait, not to lose.
#[test]
fn a_slow_uplink_holds_the_host_back() {
    let Some(mut bench) = Bench::with_keys().filter(Bench::slows_down) else {
        return;
    };
    // More than the ring has slots, fewer than the TAP's queue holds beside.
    let mut from_host = bench.host_ring();
    for _ in 0..9 {
        for _ in 0..100 {
            from_host.push(&frame([0x88, 0xb5], 1000)).expect("room");
        }
        from_host.flush().expect("sent");
        bench.turn();
    }
    let turns = bench.turns().expect("it goes on");
    assert!(turns <= 200, "{turns} turns, though it looks once a ms");
    bench.speeds_up();
    let until = Instant::now() + Duration::from_secs(5);
    let protected = |bench: &Bench| bench.port.secy().counters().transmit_sc.out_pkts_encrypted;
    while protected(&bench) < 900 && Instant::now() < until {
        bench.turn();
    }
    assert_eq!(protected(&bench), 900, "every frame got its turn");
    let counters = bench.port.uplink_counters();
    assert_eq!((counters.sent, counters.not_sent), (900, 0));
}

/// Regression: room was made for a batch, and two were read when frames of the bypass list were among
/// them.
#[test]
fn a_slow_uplink_holds_frames_back_that_bypass_the_secy_too() {
    let Some(mut bench) = Bench::with_keys().filter(Bench::slows_down) else {
        return;
    };
    bench.port.set_bypass(&[0x88cc]);
    let mut from_host = bench.host_ring();
    for _ in 0..9 {
        for number in 0..100 {
            let ethertype = if number % 2 == 0 { [0x88, 0xb5] } else { [0x88, 0xcc] };
            from_host.push(&frame(ethertype, 1000)).expect("room");
        }
        from_host.flush().expect("sent");
        bench.turn();
    }
    bench.speeds_up();
    let until = Instant::now() + Duration::from_secs(5);
    while bench.port.uplink_counters().sent < 900 && Instant::now() < until {
        bench.turn();
    }
    let counters = bench.port.uplink_counters();
    assert_eq!((counters.sent, counters.not_sent), (900, 0), "every frame got its turn");
    assert_eq!(bench.port.bypassed()[0].from_tap, 450);
    assert_eq!(bench.port.secy().counters().transmit_sc.out_pkts_encrypted, 450);
}

/// Regression: frames that had a packet number and were in the ring when the uplink was let go were in
/// no count.
#[test]
fn frames_that_a_slow_uplink_has_not_taken_when_it_is_let_go_are_counted() {
    let Some(mut bench) = Bench::with_keys().filter(Bench::slows_down) else {
        return;
    };
    for _ in 0..8 {
        bench.send_from_host(100);
        bench.turn();
    }
    bench.port.detach_uplink();
    let protected = bench.port.secy().counters().transmit_sc.out_pkts_encrypted;
    let counters = bench.port.uplink_counters();
    assert_eq!(counters.sent + counters.not_sent, protected);
}

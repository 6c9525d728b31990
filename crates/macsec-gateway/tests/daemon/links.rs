//! Links come, go and change: the gateway says so, and goes on when it can.

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

use macsec::{CipherSuite, Config};
use macsec_io::{
    netlink::{Link, Netlink, VethEnd},
    netns::Namespace,
    tap::Tap,
};

use crate::{
    Line,
    bench::{Daemon, FAR, NEAR, PATIENCE, SAK_128, SAK_256, Wan, number_of, numbered},
    peer::{Peer, Seen},
    traffic::Traffic,
};

const BOTH: [&str; 2] = ["filter", "namespace"];
const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 9];

/// A line with a gateway that is secured, once for each way to own an uplink.
fn for_both(test: impl Fn(&Line, Daemon, Wan)) {
    for isolation in BOTH {
        let Some(line) = Line::new() else { return };
        let wan = Wan { isolation, ..Wan::default() };
        let mut gateway = line.edge.start(&[&wan]);
        gateway.secured();
        test(&line, gateway, wan);
    }
}

/// Changes the uplink where it is.
fn at_uplink<T: Send>(line: &Line, wan: &Wan, action: impl FnOnce(&mut Netlink) -> T + Send) -> T {
    if wan.isolation == "filter" {
        return line.edge.netlink(action);
    }
    let private = Namespace::open_named(&line.edge.private).expect("pinned");
    private.run(|| action(&mut Netlink::open().expect("netlink"))).expect("the namespace")
}

fn at_far_end(line: &Line, action: impl FnOnce(&mut Netlink) + Send) {
    line.far.run(|| action(&mut Netlink::open().expect("netlink"))).expect("the namespace");
}

fn tap(line: &Line) -> Link {
    line.edge.netlink(|netlink| netlink.link("wan0").expect("a TAP"))
}

#[track_caller]
fn tap_becomes(line: &Line, what: &str, wanted: impl Fn(&Link) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !line.edge.netlink(|n| n.link("wan0")).is_ok_and(|link| wanted(&link)) {
        assert!(Instant::now() < deadline, "the TAP does not become {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_uplink_that_is_set_down_and_up() {
    for_both(|line, mut gateway, wan| {
        let mut traffic = Traffic::new(line);
        for _ in 0..3 {
            at_uplink(line, &wan, |netlink| netlink.set_down("up0").expect("down"));
            gateway.shows("NO CARRIER");
            gateway.shows("wan0: CLOSED");
            tap_becomes(line, "without carrier", |tap| !tap.carrier);
            at_uplink(line, &wan, |netlink| netlink.set_up("up0").expect("up"));
            gateway.secured();
            tap_becomes(line, "with carrier", |tap| tap.carrier);
            traffic.recovers();
            traffic.all_pass(50);
        }
        gateway.stop();
    });
}

#[test]
fn a_signal_that_is_lost_and_comes_back() {
    for_both(|line, mut gateway, _| {
        let mut traffic = Traffic::new(line);
        for _ in 0..3 {
            let next_pn = || {
                let secy = gateway.port("wan0").secy.expect("a SecY");
                secy.transmit_sc.transmit_sa[0].next_pn
            };
            at_far_end(line, |netlink| netlink.set_down("far0").expect("down"));
            tap_becomes(line, "without carrier", |tap| !tap.carrier);
            let (before, lost) = (next_pn(), gateway.port("wan0").local["no-uplink"]);
            traffic.host.send(&numbered(FAR, NEAR, 0, 100));
            // A TAP without carrier takes nothing from its host; if it did, it would cost no PN.
            assert_eq!(next_pn(), before);
            assert!(gateway.port("wan0").local["no-uplink"] - lost <= 1);
            gateway.shows("NO CARRIER");
            at_far_end(line, |netlink| netlink.set_up("far0").expect("up"));
            gateway.secured();
            tap_becomes(line, "with carrier", |tap| tap.carrier);
            traffic.recovers();
        }
        gateway.stop();
    });
}

#[test]
fn an_uplink_that_is_pulled_and_put_back() {
    for_both(|line, mut gateway, _| {
        let mut traffic = Traffic::new(line);
        for _ in 0..3 {
            traffic.recovers();
            at_far_end(line, |netlink| netlink.delete_link("far0").expect("deleted"));
            gateway.shows("NOT THERE");
            gateway.shows("wan0: CLOSED");
            gateway.shows("!! uplink up0");
            assert!(gateway.port("wan0").tap.present, "the TAP has stayed");
            tap_becomes(line, "without carrier", |tap| !tap.carrier);
            line.plug("up0", "far0", NEAR);
            gateway.secured();
            // SAs and TAP have stayed.
            traffic.wire = line.wire("far0");
            traffic.recovers();
            traffic.all_pass(50);
        }
        gateway.stop();
        assert!(line.edge.netlink(|n| n.link("up0")).is_ok(), "given back");
    });
}

#[test]
fn an_uplink_that_is_replaced_at_once() {
    for_both(|line, mut gateway, _| {
        let mut traffic = Traffic::new(line);
        traffic.recovers();
        for _ in 0..5 {
            at_far_end(line, |netlink| netlink.delete_link("far0").expect("deleted"));
            line.plug("up0", "far0", NEAR);
            traffic.wire = line.wire("far0");
            traffic.recovers();
        }
        gateway.secured();
        gateway.stop();
    });
}

#[test]
fn an_uplink_that_comes_back_with_another_address() {
    for_both(|line, mut gateway, _| {
        let mut traffic = Traffic::new(line);
        traffic.recovers();
        traffic.all_pass(200);
        let highest = {
            let secy = gateway.port("wan0").secy.expect("a SecY");
            secy.transmit_sc.transmit_sa[0].next_pn.expect("a PN")
        };
        assert!(highest > 200);
        at_far_end(line, |netlink| netlink.delete_link("far0").expect("deleted"));
        gateway.shows("NOT THERE");
        line.plug("up0", "far0", OTHER);
        // The SCI is another, the SSCI the same: packet numbers go on.
        gateway.shows("TXSC 02-00-00-00-00-09-0001");
        gateway.secured();
        tap_becomes(line, "of the other address", |tap| tap.mac == Some(OTHER));
        let mut peer =
            Peer::with(CipherSuite::GcmAesXpn256, SAK_256, FAR, OTHER, Config::default());
        let (mut wire, mut host) = (line.wire("far0"), line.edge.station("wan0"));
        host.send(&numbered(FAR, OTHER, 4711, 100));
        let frame = wire.wait_for(1, |frame| frame[12..14] == [0x88, 0xe5]).remove(0);
        let pn = u32::from_be_bytes(frame[16..20].try_into().expect("four octets"));
        assert!(u64::from(pn) >= highest, "PN {pn} after {highest}");
        let Seen::Valid(inner) = peer.look(&frame) else { panic!("not valid: {frame:02x?}") };
        assert_eq!(number_of(&inner), Some(4711));
        gateway.stop();
    });
}

#[test]
fn an_uplink_whose_address_has_no_record() {
    let Some(line) = Line::new() else { return };
    let wan = Wan { suite: "gcm-aes-128", sak_file: "k128", ..Wan::default() };
    let mut gateway = line.edge.start(&[&wan]);
    gateway.secured();
    gateway.stop();
    line.edge.configure(&[&Wan { first_use: false, ..wan }]);
    let mut gateway = line.edge.start_again();
    gateway.secured();
    let mut traffic = Traffic::with(&line, "wan0", Peer::new(CipherSuite::GcmAes128, SAK_128));
    for _ in 0..2 {
        traffic.all_pass(50);
        at_far_end(&line, |netlink| netlink.delete_link("far0").expect("deleted"));
        // Another SCI: with a PN of 32 bits other nonces, of which nothing is known.
        line.plug("up0", "far0", OTHER);
        gateway.shows("the PN state of this key is missing");
        gateway.shows("wan0: CLOSED");
        tap_becomes(&line, "without carrier", |tap| !tap.carrier);
        // With the former one back it goes on, after what it has sent.
        at_far_end(&line, |netlink| netlink.delete_link("far0").expect("deleted"));
        line.plug("up0", "far0", NEAR);
        gateway.secured();
        traffic.wire = line.wire("far0");
        traffic.recovers();
    }
    gateway.stop();
}

#[test]
fn an_mtu_that_changes() {
    for_both(|line, mut gateway, wan| {
        let mut traffic = Traffic::new(line);
        assert_eq!(tap(line).mtu, 1468);
        for mtu in [1400, 9000, 1500] {
            at_far_end(line, |netlink| netlink.set_mtu("far0", mtu).expect("an MTU"));
            at_uplink(line, &wan, |netlink| netlink.set_mtu("up0", mtu).expect("an MTU"));
            tap_becomes(line, "of the new MTU", |tap| tap.mtu == mtu - 32);
            traffic.wire = line.wire("far0");
            traffic.recovers();
            // The longest frame, and it arrives whole.
            let longest = numbered(FAR, NEAR, 77_000, 14 + mtu as usize - 32);
            traffic.host = line.edge.station("wan0");
            traffic.host.send(&longest);
            let frames = traffic.wire.wait_for(1, |frame| frame.len() > 1000);
            assert_eq!(traffic.peer.look(&frames[0]), Seen::Valid(longest));
        }
        gateway.secured();
        gateway.stop();
    });
}

#[test]
fn a_tap_that_is_deleted() {
    for_both(|line, mut gateway, _| {
        let mut traffic = Traffic::new(line);
        for _ in 0..3 {
            let former = tap(line).index;
            line.edge.netlink(|netlink| netlink.delete_link("wan0").expect("deleted"));
            tap_becomes(line, "there again", |tap| tap.index != former && tap.up && tap.carrier);
            gateway.secured();
            traffic.host = line.edge.station("wan0");
            traffic.recovers();
            traffic.all_pass(50);
        }
        gateway.stop();
    });
}

#[test]
fn a_tap_whose_name_is_taken_meanwhile() {
    let Some(line) = Line::new() else { return };
    let mut gateway = line.edge.start(&[&Wan::default()]);
    gateway.secured();
    let mut traffic = Traffic::new(&line);
    traffic.recovers();
    // The gateway may be faster.
    let dummy = |netlink: &mut Netlink| {
        let _ = netlink.delete_link("wan0");
        let (a, b) = (VethEnd::new("wan0"), VethEnd::new("wan0peer"));
        netlink.create_veth(&a, &b).is_ok()
    };
    let deadline = Instant::now() + PATIENCE;
    while !line.edge.netlink(dummy) {
        assert!(Instant::now() < deadline, "the name cannot be taken");
    }
    gateway.shows("no single-queue TAP");
    gateway.shows("TAP wan0, NOT THERE");
    line.edge.netlink(|netlink| netlink.delete_link("wan0").expect("deleted"));
    gateway.secured();
    traffic.host = line.edge.station("wan0");
    traffic.recovers();
    gateway.stop();
}

#[test]
fn a_tap_that_is_set_down_and_up() {
    let Some(line) = Line::new() else { return };
    let mut gateway = line.edge.start(&[&Wan::default()]);
    gateway.secured();
    let mut traffic = Traffic::new(&line);
    for _ in 0..3 {
        traffic.recovers();
        line.edge.netlink(|netlink| netlink.set_down("wan0").expect("down"));
        traffic.nothing_passes();
        line.edge.netlink(|netlink| netlink.set_up("wan0").expect("up"));
        traffic.host = line.edge.station("wan0");
        traffic.recovers();
        traffic.all_pass(50);
    }
    gateway.stop();
}

#[test]
fn a_tap_of_somebody_else_is_used_and_left() {
    let Some(line) = Line::new() else { return };
    line.edge.run(|| Tap::create("wan0").expect("a TAP").set_persistent(true).expect("persistent"));
    line.edge.netlink(|netlink| {
        netlink.set_up("wan0").expect("up");
        netlink.add_address("wan0", "192.0.2.1".parse().expect("IP"), 24).expect("an address");
    });
    let before = tap(&line);
    for _ in 0..2 {
        let mut gateway = line.edge.start(&[&Wan::default()]);
        gateway.secured();
        tap_becomes(&line, "with carrier", |tap| tap.carrier);
        let mut traffic = Traffic::new(&line);
        traffic.recovers();
        gateway.stop();
        let after = tap(&line);
        assert_eq!((after.index, after.up), (before.index, true));
        let addresses = line.edge.netlink(|n| n.addresses("wan0").expect("addresses"));
        assert_eq!(addresses, [("192.0.2.1".parse().expect("IP"), 24)]);
    }
}

#[test]
fn an_uplink_that_comes_later() {
    for isolation in BOTH {
        let Some(line) = Line::new() else { return };
        at_far_end(&line, |netlink| netlink.delete_link("far0").expect("deleted"));
        let mut gateway = line.edge.start(&[&Wan { isolation, ..Wan::default() }]);
        gateway.shows("NOT THERE");
        line.plug("up0", "far0", NEAR);
        gateway.secured();
        Traffic::new(&line).recovers();
        gateway.stop();
    }
}

/// Regression: when somebody took the filters away, the host was on the wire and nobody noticed.
#[test]
fn a_barrier_that_somebody_takes_away_is_put_back_and_told() {
    let Some(line) = Line::new() else { return };
    let mut gateway = line.edge.start(&[&Wan::default()]);
    gateway.secured();
    let mut traffic = Traffic::new(&line);
    traffic.recovers();
    let filters = || line.edge.netlink(|netlink| netlink.has_barrier("up0")).expect("an answer");
    assert!(filters());
    for count in 1..=2 {
        let tc = || Command::new("tc").args("qdisc del dev up0 clsact".split(' ')).status();
        assert!(line.edge.run(tc).expect("tc").success());
        gateway.wait_until("it is noticed", |status| {
            status.ports[0].local.get("uplink-opened") == Some(&count)
        });
        assert!(filters());
        traffic.all_pass(100);
    }
    gateway.logs("the host was let onto the uplink");
    gateway.stop();
}

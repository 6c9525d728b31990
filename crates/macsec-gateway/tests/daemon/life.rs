//! Starting and ending: everything is put back, and a start that is refused touches nothing.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Output, Stdio},
};

use macsec_io::{
    netlink::{Link, LinkStatistics, Netlink, Qdisc},
    offload::Features,
    sysctl,
    tap::Tap,
};

use crate::{
    Line,
    bench::{Edge, FAR, NEAR, SAK_256, Wan, numbered},
    common,
    traffic::Traffic,
};

/// All of an interface that is to be the same afterwards.
fn state_of(edge: &Edge, name: &str) -> (Link, Features, Vec<Qdisc>, Option<bool>) {
    edge.run(|| {
        let mut netlink = Netlink::open().expect("netlink");
        let mut link = netlink.link(name).expect("a link");
        // These count on, or are new in another namespace and back.
        link.statistics = LinkStatistics::default();
        link.index = 0;
        let mut qdiscs = netlink.qdiscs(name).expect("qdiscs");
        qdiscs.retain(Qdisc::is_configured);
        let ipv6 = sysctl::is_ipv6_disabled(name).expect("IPv6");
        (link, Features::of(name).expect("features"), qdiscs, ipv6)
    })
}

#[test]
fn a_signal_ends_it_with_everything_put_back() {
    for (isolation, signal) in [("filter", "-TERM"), ("namespace", "-INT"), ("namespace", "-TERM")]
    {
        let Some(line) = Line::new() else { return };
        let edge = &line.edge;
        edge.run(|| sysctl::set_ipv6_disabled("up0", false)).expect("IPv6");
        edge.netlink(|netlink| netlink.set_arp("up0", true)).expect("ARP");
        let before = state_of(edge, "up0");
        let wan = Wan { isolation, ..Wan::default() }
            .lines("uplink_mtu = 1450")
            .lines("promiscuous = true");
        let mut gateway = edge.start(&[&wan]);
        gateway.secured();
        let mut traffic = Traffic::new(&line);
        traffic.all_pass(500);
        let port = gateway.port("wan0").secy.expect("a SecY");
        let next_pn = port.transmit_sc.transmit_sa[0].next_pn;
        let expected = port.receive_sc[0].receive_sa[0].next_pn;

        gateway.signal(signal);
        assert_eq!(gateway.wait().code(), Some(0), "{}", gateway.log());
        assert_eq!(state_of(edge, "up0"), before, "{isolation}");
        assert!(!edge.socket().exists(), "the socket is gone");
        assert!(edge.netlink(|n| n.link("wan0")).is_err(), "the TAP is gone");

        // Packet numbers go on as if nothing had been.
        edge.configure(&[&Wan { first_use: false, ..wan }]);
        let mut gateway = edge.start_again();
        gateway.secured();
        let port = gateway.port("wan0").secy.expect("a SecY");
        assert_eq!(port.transmit_sc.transmit_sa[0].next_pn, next_pn);
        assert_eq!(port.receive_sc[0].receive_sa[0].lowest_pn, expected);
        traffic.host = edge.station("wan0");
        // In between the host has spoken for itself.
        traffic.wire = line.wire("far0");
        traffic.all_pass(100);
        gateway.stop();
        assert_eq!(state_of(edge, "up0"), before, "{isolation}");
    }
}

/// Requires that a gateway does not start, that it says why in one line, and that nothing is changed.
#[track_caller]
fn refused(edge: &Edge, reason: &str) {
    let before = state_of(edge, "up0");
    let taps = edge.netlink(|n| n.links().expect("links").len());
    let Output { status, stderr, stdout } = edge.refused();
    let stderr = String::from_utf8(stderr).expect("text");
    assert_eq!(status.code(), Some(2), "{stderr}");
    assert!(stdout.is_empty());
    let lines: Vec<_> = stderr.lines().filter(|line| line.starts_with("macsec run: ")).collect();
    let [line] = lines[..] else { panic!("not one line: {stderr}") };
    assert!(line.contains(reason), "{line}");
    assert_eq!(state_of(edge, "up0"), before, "{reason}");
    assert_eq!(edge.netlink(|n| n.links().expect("links").len()), taps, "{reason}");
}

#[test]
fn a_start_that_is_refused_changes_nothing() {
    for isolation in ["filter", "namespace"] {
        let Some(line) = Line::new() else { return };
        let edge = &line.edge;
        let good = Wan { isolation, ..Wan::default() };

        edge.configure(&[&Wan { first_use: false, ..good.clone() }]);
        refused(edge, "the PN state of this key is missing");
        assert!(!edge.socket().exists());

        edge.configure(&[&good.clone().lines("mtu = 1469")]);
        refused(edge, "port wan0: mtu = 1469: at most 1468 over an uplink with MTU 1500");

        // By name it is another's; the MAC address of the uplink makes it ours.
        edge.configure(&[&Wan { peer: NEAR, ..good.clone() }]);
        refused(edge, "peer 02-00-00-00-00-01-0001 has this port's own SCI");

        edge.ip("address add 192.0.2.7/24 dev up0");
        edge.configure(&[&good]);
        refused(edge, "192.0.2.7/24");
        edge.ip("address del 192.0.2.7/24 dev up0");

        edge.configure(&[&Wan { uplink: "lo", ..good.clone() }]);
        refused(edge, "uplink lo");

        edge.write("k256", "00", 0o600);
        refused_by_file(edge);
        edge.write("k256", SAK_256, 0o644);
        edge.configure(&[&good]);
        refused(edge, "k256");
        edge.write("k256", SAK_256, 0o600);

        // A TAP that somebody holds.
        let held = edge.run(|| Tap::create("wan0").expect("a TAP"));
        refused(edge, "wan0");
        drop(held);

        // With all that gone, it starts.
        let mut gateway = edge.start_again();
        gateway.secured();
        Traffic::new(&line).recovers();
        gateway.stop();
    }
}

/// Regression: what a killed run had shut stayed shut if the next one could not take it either.
#[test]
fn an_uplink_that_was_left_shut_and_is_refused_now_is_given_back() {
    let Some(line) = Line::new() else { return };
    let edge = &line.edge;
    let before = state_of(edge, "up0");
    let mut gateway = edge.start(&[&Wan::default()]);
    gateway.secured();
    gateway.kill();
    assert!(edge.netlink(|netlink| netlink.has_barrier("up0")).expect("an answer"));
    edge.ip("address add 192.0.2.7/24 dev up0");
    edge.configure(&[&Wan { first_use: false, ..Wan::default() }]);
    let output = edge.refused();
    assert!(String::from_utf8_lossy(&output.stderr).contains("192.0.2.7/24"));
    edge.ip("address del 192.0.2.7/24 dev up0");
    assert_eq!(state_of(edge, "up0"), before);
}

fn refused_by_file(edge: &Edge) {
    edge.configure(&[&Wan::default()]);
    refused(edge, "port.wan0.static_keys.sak_file");
}

#[test]
fn two_gateways_do_not_share() {
    let Some(line) = Line::new() else { return };
    let edge = &line.edge;
    let mut gateway = edge.start(&[&Wan::default()]);
    gateway.secured();
    let mut traffic = Traffic::new(&line);
    traffic.recovers();

    // The very same configuration: at the socket.
    refused(edge, "another gateway listens here");
    assert!(edge.socket().exists(), "it is still the first one's");
    // Another socket, port and uplink, but the same key and state.
    line.plug("up1", "far1", [2, 0, 0, 0, 0, 1]);
    let other = Wan { name: "wan1", uplink: "up1", ..Wan::default() };
    edge.configure(&[&other]);
    let file = fs::read_to_string(edge.path("macsec.toml")).expect("a file");
    let file = file.replace("control.sock", "second.sock");
    edge.write("macsec.toml", &file, 0o600);
    refused(edge, "in use by another process or port");
    assert!(!edge.path("second.sock").exists());
    // Another key and state, but the same uplink.
    edge.configure(&[&Wan { sak_file: "other256", ..Wan::default() }.lines("tap = \"lan0\"")]);
    let file = fs::read_to_string(edge.path("macsec.toml")).expect("a file");
    let file = file.replace("control.sock", "second.sock").replace("/state\"", "/state2\"");
    edge.write("macsec.toml", &file, 0o600);
    refused(edge, "uplink up0: another gateway has it");

    traffic.all_pass(100);
    gateway.stop();
}

#[test]
fn a_socket_that_a_killed_gateway_left_is_no_hindrance() {
    let Some(line) = Line::new() else { return };
    let mut gateway = line.edge.start(&[&Wan::default()]);
    gateway.secured();
    gateway.kill();
    assert!(line.edge.socket().exists());
    let mut gateway = line.edge.spawn(&[]);
    gateway.secured();
    gateway.stop();
    // What stands there and is no socket is not ours to remove.
    line.edge.write("control.sock", "precious", 0o600);
    refused(&line.edge, "exists, and is no socket");
    assert_eq!(fs::read_to_string(line.edge.socket()).expect("a file"), "precious");
}

#[test]
fn a_port_without_keys_stays_closed() {
    let Some(line) = Line::new() else { return };
    line.edge
        .configure_text("[[port]]\nname = \"wan0\"\nuplink = \"up0\"\nisolation = \"filter\"\n");
    let mut gateway = line.edge.start_again();
    gateway.shows("wan0: CLOSED");
    let mut traffic = Traffic::new(&line);
    traffic.nothing_passes();
    assert!(!line.edge.netlink(|n| n.link("wan0").expect("a TAP").carrier));
    traffic.wire.send(&numbered(NEAR, FAR, 1, 100));
    gateway.wait_until("the frame without a tag is counted", |status| {
        let secy = status.ports[0].secy.as_ref().expect("a SecY");
        secy.verification["in-pkts-no-tag"] == 1
    });
    assert!(traffic.host.received().is_empty());
    gateway.stop();
}

#[test]
fn the_status_is_for_people_and_programs_once_or_every_second() {
    let Some(line) = Line::new() else { return };
    let edge = &line.edge;
    let mut gateway = edge.start(&[&Wan::default()]);
    gateway.secured();
    let socket = edge.socket();
    let socket = socket.to_str().expect("text");
    let ask = |arguments: &[&str]| {
        let arguments = [&["status", "--socket", socket], arguments].concat();
        common::macsec(&arguments)
    };
    let text = ask(&["wan0"]);
    assert!(common::stdout(&text).starts_with("wan0: SECURED\n"));
    let unknown = ask(&["wan7"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert_eq!(common::stderr(&unknown), "macsec status: no port \"wan7\": there are wan0\n");

    let mut watch = Command::new(env!("CARGO_BIN_EXE_macsec"));
    watch.args(["status", "--socket", socket, "--json", "--watch"]).stdout(Stdio::piped());
    let mut child = watch.spawn().expect("a process");
    let output = BufReader::new(child.stdout.take().expect("a pipe"));
    let uptimes: Vec<u64> = output
        .lines()
        .take(2)
        .map(|line| {
            let status: serde_json::Value =
                serde_json::from_str(&line.expect("a line")).expect("JSON");
            assert_eq!(status["ports"][0]["secy"]["transmit-sc"]["encoding-sa"], 0);
            status["uptime"].as_u64().expect("seconds")
        })
        .collect();
    assert!(uptimes[1] > uptimes[0], "{uptimes:?}");
    child.kill().expect("killed");
    child.wait().expect("ended");

    gateway.stop();
    let gone = ask(&[]);
    assert_eq!(gone.status.code(), Some(2));
    assert!(common::stderr(&gone).contains("no gateway listens here"));
}

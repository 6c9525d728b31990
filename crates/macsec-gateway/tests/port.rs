//! A port between a wire and a TAP, in namespaces of its own. Needs root and `/dev/net/tun`.

mod common;

use std::{
    net::{IpAddr, Ipv4Addr, UdpSocket},
    os::fd::AsFd,
    time::{Duration, Instant},
};

use macsec::{CipherSuite, Config, Ki, MacAddress, Sak, Sci};
use macsec_gateway::port::{Port, PortError, StaticKeys, inner_mtu};
use macsec_io::{
    netlink::{Netlink, VethEnd},
    netns::Namespace,
    packet::{PacketRxRing, PacketTxRing, RxConfig, TxConfig},
    sysctl,
    tap::Tap,
};

const MTU: u32 = 1500;
const OURS: [u8; 6] = [2, 0, 0, 0, 0, 1];
const PEER: [u8; 6] = [2, 0, 0, 0, 0, 2];
const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

/// A port whose wire ends in the test's hands.
struct Bench {
    cloud: Namespace,
    port: Port,
    wire_rx: PacketRxRing,
    wire_tx: PacketTxRing,
    // Keeps the namespaces of the two wire ends.
    _edges: [Namespace; 2],
}

impl Bench {
    fn new() -> Option<Self> {
        Self::with(Config::default())
    }

    fn with(controls: Config) -> Option<Self> {
        let open = || -> Result<Self, Box<dyn std::error::Error>> {
            let cloud = Namespace::new()?;
            let edges = [Namespace::new()?, Namespace::new()?];
            edges[0].run(|| {
                let near = VethEnd::new("near").mac(OURS);
                let far = VethEnd::new("far").mac(PEER).namespace(edges[1].as_fd());
                Netlink::open()?.create_veth(&near, &far)
            })??;
            for (edge, name) in edges.iter().zip(["near", "far"]) {
                edge.run(|| {
                    let mut netlink = Netlink::open().expect("netlink");
                    sysctl::disable_ipv6(name).expect("no IPv6");
                    netlink.set_arp(name, false).expect("no ARP");
                    netlink.set_up(name).expect("up");
                })?;
            }
            let tap = cloud.run(|| Tap::create("tap0"))??;
            cloud.run(|| {
                let mut netlink = Netlink::open().expect("netlink");
                sysctl::disable_ipv6("tap0").expect("no IPv6");
                netlink.set_mac("tap0", OURS).expect("MAC");
                netlink.set_mtu("tap0", inner_mtu(MTU)).expect("MTU");
                netlink.set_up("tap0").expect("up");
                netlink
                    .add_address("tap0", IpAddr::V4(HOST), 24)
                    .expect("address");
                let peer = Ipv4Addr::new(10, 0, 0, 2);
                netlink
                    .add_neighbour("tap0", IpAddr::V4(peer), PEER)
                    .expect("neighbour");
            })?;
            let sci = Sci::new(MacAddress(OURS), 1);
            let port = edges[0].run(|| Port::open("near", MTU, tap, sci, controls))??;
            let wire_rx = edges[1].run(|| PacketRxRing::open("far", &RxConfig::default()))??;
            let wire_tx = edges[1].run(|| PacketTxRing::open("far", &TxConfig::default()))??;
            Ok(Self {
                cloud,
                port,
                wire_rx,
                wire_tx,
                _edges: edges,
            })
        };
        match open() {
            Ok(bench) => Some(bench),
            Err(error) => {
                common::skip(&error.to_string());
                None
            }
        }
    }

    fn keys(peer: [u8; 6]) -> StaticKeys {
        StaticKeys {
            suite: CipherSuite::GcmAes128,
            ki: Ki([1; 16]),
            sak: Sak::new(&[7; 16]).expect("16 octets"),
            salt: None,
            ssci: None,
            peer: Sci::new(MacAddress(peer), 1),
            peer_ssci: None,
        }
    }

    fn send(&mut self, frame: &[u8]) {
        self.wire_tx.push(frame).expect("room");
        self.wire_tx.flush().expect("sent");
    }

    /// What the host sends, frame by frame.
    fn host_ring(&self) -> PacketTxRing {
        let open = || PacketTxRing::open("tap0", &TxConfig::default());
        self.cloud
            .run(open)
            .expect("the namespace")
            .expect("a ring")
    }

    /// Lets the port work for a moment.
    fn turn(&mut self) {
        let silence = std::os::unix::net::UnixStream::pair().expect("a pair").0;
        let until = Instant::now() + Duration::from_millis(150);
        while Instant::now() < until {
            self.port
                .turn(silence.as_fd(), Duration::from_millis(10))
                .expect("a turn");
        }
    }

    /// What has come out on the wire.
    fn wire(&mut self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        self.wire_rx
            .receive(1000, |frame| frames.push(frame.to_vec()));
        frames
    }
}

fn frame(ethertype: [u8; 2], len: usize) -> Vec<u8> {
    let mut frame = [&OURS[..], &PEER, &ethertype].concat();
    frame.resize(len, 0x5a);
    frame
}

#[test]
fn without_keys_nothing_moves() {
    let Some(mut bench) = Bench::new() else {
        return;
    };
    let socket = bench
        .cloud
        .run(|| UdpSocket::bind((HOST, 0)))
        .expect("run")
        .expect("a socket");
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
    let Some(mut bench) = Bench::new() else {
        return;
    };
    bench
        .port
        .install_static_keys(Bench::keys(PEER))
        .expect("keys");
    let socket = bench
        .cloud
        .run(|| UdpSocket::bind((HOST, 0)))
        .expect("run")
        .expect("a socket");
    for len in [0, 1, 100, 1440] {
        socket
            .send_to(&vec![0xaa; len], "10.0.0.2:9")
            .expect("sent");
    }
    bench.turn();
    let wire = bench.wire();
    assert_eq!(wire.len(), 4);
    for frame in &wire {
        assert_eq!(frame[12..14], [0x88, 0xe5]);
        assert!(
            !frame.windows(8).any(|octets| octets == [0xaa; 8]),
            "encrypted"
        );
    }
}

#[test]
fn eapol_never_crosses() {
    let Some(mut bench) = Bench::new() else {
        return;
    };
    bench
        .port
        .install_static_keys(Bench::keys(PEER))
        .expect("keys");
    let mut from_host = bench.host_ring();
    from_host.push(&frame([0x88, 0x8e], 100)).expect("room");
    from_host.flush().expect("sent");
    bench.send(&frame([0x88, 0x8e], 100));
    bench.turn();
    assert_eq!(bench.wire(), Vec::<Vec<u8>>::new());
    let counters = bench.port.counters();
    assert_eq!(
        (counters.eapol_from_tap, counters.eapol_from_uplink),
        (1, 1)
    );
    assert_eq!(counters.tap_written, 0);
    let secy = bench.port.secy().counters();
    assert_eq!(
        (secy.frames_in(), secy.frames_out()),
        (0, 0),
        "the SecY has seen neither"
    );
}

#[test]
fn a_frame_that_protection_makes_too_long_is_counted_and_dropped() {
    let mut controls = Config::default();
    controls.always_include_sci = true;
    let Some(mut bench) = Bench::with(controls) else {
        return;
    };
    bench
        .port
        .install_static_keys(Bench::keys(PEER))
        .expect("keys");
    let mut from_host = bench.host_ring();
    // A VLAN tag comes on top of the MTU: with it 4 octets too many, without it none.
    let longest = 14 + inner_mtu(MTU) as usize;
    from_host
        .push(&frame([0x81, 0x00], longest + 4))
        .expect("room");
    from_host.push(&frame([0x08, 0x00], longest)).expect("room");
    from_host.flush().expect("sent");
    bench.turn();
    assert_eq!(bench.port.secy().counters().generation.out_pkts_too_long, 1);
    let wire = bench.wire();
    assert_eq!(wire.len(), 1);
    assert_eq!(
        wire[0].len(),
        14 + MTU as usize,
        "the longest that the wire takes"
    );
}

#[test]
fn a_tagged_frame_of_the_host_goes_through_whole() {
    let Some(mut bench) = Bench::new() else {
        return;
    };
    bench
        .port
        .install_static_keys(Bench::keys(PEER))
        .expect("keys");
    let mut from_host = bench.host_ring();
    from_host.push(&frame([0x81, 0x00], 200)).expect("room");
    from_host.flush().expect("sent");
    bench.turn();
    let wire = bench.wire();
    assert_eq!(wire.len(), 1);
    assert_eq!(wire[0][12..14], [0x88, 0xe5], "the tag is inside");
    assert_eq!(wire[0].len(), 200 + 24);
}

#[test]
fn both_ends_with_one_sci_are_refused() {
    let Some(mut bench) = Bench::new() else {
        return;
    };
    let error = bench
        .port
        .install_static_keys(Bench::keys(OURS))
        .expect_err("the same SCI");
    assert!(
        matches!(error, PortError::Install(macsec::InstallError::NonceInUse)),
        "{error}"
    );
}

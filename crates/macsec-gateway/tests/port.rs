//! A port between a wire and a TAP, in namespaces of its own. Needs root and `/dev/net/tun`.

mod common;

use std::{
    net::{IpAddr, Ipv4Addr, UdpSocket},
    os::{fd::AsFd, unix::net::UnixStream},
    process::Command,
    time::{Duration, Instant},
};

use macsec::{
    An, CipherSuite, ClearVlanTags, Config, DataKey, FrameBuf, HEADROOM, KeySlot, Ki, MacAddress,
    Portable, ReceiveScSlot, Sak, Sci, SecY, TAILROOM, TransmitSa,
};
use macsec_gateway::port::{FreshKey, MAX_PEERS, Port, PortError, PortSecY as PeerSecY, inner_mtu};
use macsec_io::{
    netlink::{Netlink, NetlinkError, VethEnd},
    netns::Namespace,
    packet::{PacketError, PacketRxRing, PacketTxRing, RxConfig, TxConfig},
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
    /// The namespaces of the two wire ends.
    edges: [Namespace; 2],
    /// What the port is told by: nothing, as the other end of the pair is open and silent.
    control: [UnixStream; 2],
}

impl Bench {
    fn new() -> Option<Self> {
        Self::with(Config::default())
    }

    fn with_keys() -> Option<Self> {
        let mut bench = Self::new()?;
        let keys = Self::keys(PEER);
        bench.port.install_fresh_key(keys).expect("keys");
        Some(bench)
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
                netlink.set_mtu("tap0", inner_mtu(MTU, 0, ClearVlanTags::None)).expect("MTU");
                netlink.set_up("tap0").expect("up");
                netlink.add_address("tap0", IpAddr::V4(HOST), 24).expect("address");
                let peer = Ipv4Addr::new(10, 0, 0, 2);
                netlink.add_neighbour("tap0", IpAddr::V4(peer), PEER).expect("neighbour");
            })?;
            let sci = Sci::new(MacAddress(OURS), 1);
            let port = edges[0].run(|| Port::open("near", MTU, tap, sci, controls))??;
            let wire_rx = edges[1].run(|| PacketRxRing::open("far", &RxConfig::default()))??;
            let wire_tx = edges[1].run(|| PacketTxRing::open("far", &TxConfig::default()))??;
            Ok(Self { cloud, port, wire_rx, wire_tx, edges, control: UnixStream::pair()?.into() })
        };
        match open() {
            Ok(bench) => Some(bench),
            Err(error) => {
                common::skip(&error.to_string());
                None
            }
        }
    }

    fn keys(peer: [u8; 6]) -> FreshKey {
        FreshKey {
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
        self.cloud.run(open).expect("the namespace").expect("a ring")
    }

    /// Lets the port work for a moment.
    fn turn(&mut self) {
        self.turns().expect("a turn");
    }

    /// Lets the port work for a moment and returns how often it had to look, or how it ended.
    fn turns(&mut self) -> Result<u32, PortError> {
        let until = Instant::now() + Duration::from_millis(150);
        let mut turns = 0;
        while Instant::now() < until {
            let control = self.control[0].as_fd();
            self.port.turn(&[control], Duration::from_millis(10))?;
            turns += 1;
        }
        Ok(turns)
    }

    /// Makes the uplink slow. If that cannot be done here, says so and returns false.
    fn slows_down(&self) -> bool {
        let slow = self.tc("qdisc add dev near root tbf rate 64kbit burst 1600 limit 8000000");
        if !slow {
            common::skip("no `tc` program, or no tbf in the kernel");
        }
        slow
    }

    /// Makes it as fast as before.
    fn speeds_up(&self) {
        assert!(self.tc("qdisc del dev near root"));
    }

    fn tc(&self, arguments: &str) -> bool {
        let run = || Command::new("tc").args(arguments.split(' ')).status();
        let status = self.edges[0].run(run).expect("the namespace");
        status.is_ok_and(|status| status.success())
    }

    /// Changes the uplink.
    fn uplink(&self, change: fn(&mut Netlink, &str) -> Result<(), NetlinkError>) {
        Self::change(&self.edges[0], "near", change);
    }

    /// Changes the TAP.
    fn tap(&self, change: fn(&mut Netlink, &str) -> Result<(), NetlinkError>) {
        Self::change(&self.cloud, "tap0", change);
    }

    fn change(
        namespace: &Namespace,
        link: &str,
        change: fn(&mut Netlink, &str) -> Result<(), NetlinkError>,
    ) {
        namespace
            .run(|| change(&mut Netlink::open().expect("netlink"), link).expect("a change"))
            .expect("the namespace");
    }

    /// A peer with the same key, whose frames the port delivers.
    fn peer() -> PeerSecY {
        let sci = Sci::new(MacAddress(PEER), 1);
        let keys = [const { KeySlot::EMPTY }; MAX_PEERS + 1];
        let receive = [const { ReceiveScSlot::EMPTY }; MAX_PEERS];
        let mut secy = SecY::new(Portable, sci, Config::default(), keys, receive).expect("a SecY");
        let FreshKey { ki, suite, sak, .. } = Self::keys(OURS);
        let key = DataKey::new(ki, suite, sak, None).expect("a key");
        secy.install_key(&key).expect("a slot");
        let an = An::default();
        secy.install_transmit_sa(&TransmitSa {
            an,
            ki,
            ssci: None,
            next_pn: 1,
            confidentiality: macsec::Confidentiality::default(),
        })
        .expect("an SA");
        secy.enable_transmit_sa(an).expect("the SA is there");
        secy
    }

    /// Sends a protected frame from the peer to the host.
    fn send_protected(&mut self, peer: &mut PeerSecY) {
        let inner = frame([0x88, 0xb5], 100);
        let mut buffer = vec![0; HEADROOM + inner.len() + TAILROOM];
        buffer[HEADROOM..HEADROOM + inner.len()].copy_from_slice(&inner);
        let range = HEADROOM..HEADROOM + inner.len();
        let frame = FrameBuf::new(buffer, range).expect("a frame");
        let Ok(protected) = peer.protect(frame) else {
            panic!("refused");
        };
        self.send(protected.octets());
    }

    /// Sends `count` frames from the host.
    fn send_from_host(&self, count: usize) {
        let mut ring = self.host_ring();
        for _ in 0..count {
            ring.push(&frame([0x88, 0xb5], 1000)).expect("room");
        }
        ring.flush().expect("sent");
    }

    /// What has come out on the wire.
    fn wire(&mut self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        self.wire_rx.receive(1000, |frame| frames.push(frame.to_vec()));
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
    bench.port.install_fresh_key(Bench::keys(PEER)).expect("keys");
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

#[test]
fn both_ends_with_one_sci_are_refused() {
    let Some(mut bench) = Bench::new() else {
        return;
    };
    let error = bench.port.install_fresh_key(Bench::keys(OURS)).expect_err("the same SCI");
    assert!(matches!(error, PortError::Install(macsec::InstallError::NonceInUse)), "{error}");
}

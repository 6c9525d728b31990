//! A port whose wire ends in the test's hands.
#![allow(unreachable_pub, dead_code)]

use std::{
    net::{IpAddr, Ipv4Addr},
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
    packet::{PacketRxRing, PacketTxRing, RxConfig, TxConfig},
    sysctl,
    tap::Tap,
};

use crate::common;

pub const MTU: u32 = 1500;
pub const OURS: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub const PEER: [u8; 6] = [2, 0, 0, 0, 0, 2];
pub const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

/// A port whose wire ends in the test's hands.
pub struct Bench {
    pub cloud: Namespace,
    pub port: Port,
    pub wire_rx: PacketRxRing,
    pub wire_tx: PacketTxRing,
    /// The namespaces of the two wire ends.
    pub edges: [Namespace; 2],
    /// What the port is told by: nothing, as the other end of the pair is open and silent.
    pub control: [UnixStream; 2],
}

impl Bench {
    pub fn new() -> Option<Self> {
        Self::with(Config::default())
    }

    pub fn with_keys() -> Option<Self> {
        let mut bench = Self::new()?;
        let keys = Self::keys(PEER);
        bench.port.install_fresh_key(keys).expect("keys");
        Some(bench)
    }

    pub fn with(controls: Config) -> Option<Self> {
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

    pub fn keys(peer: [u8; 6]) -> FreshKey {
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

    pub fn send(&mut self, frame: &[u8]) {
        self.wire_tx.push(frame).expect("room");
        self.wire_tx.flush().expect("sent");
    }

    /// What the host sends, frame by frame.
    pub fn host_ring(&self) -> PacketTxRing {
        let open = || PacketTxRing::open("tap0", &TxConfig::default());
        self.cloud.run(open).expect("the namespace").expect("a ring")
    }

    /// Lets the port work for a moment.
    pub fn turn(&mut self) {
        self.turns().expect("a turn");
    }

    /// Lets the port work for a moment and returns how often it had to look, or how it ended.
    pub fn turns(&mut self) -> Result<u32, PortError> {
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
    pub fn slows_down(&self) -> bool {
        let slow = self.tc("qdisc add dev near root tbf rate 64kbit burst 1600 limit 8000000");
        if !slow {
            common::skip("no `tc` program, or no tbf in the kernel");
        }
        slow
    }

    /// Makes it as fast as before.
    pub fn speeds_up(&self) {
        assert!(self.tc("qdisc del dev near root"));
    }

    pub fn tc(&self, arguments: &str) -> bool {
        let run = || Command::new("tc").args(arguments.split(' ')).status();
        let status = self.edges[0].run(run).expect("the namespace");
        status.is_ok_and(|status| status.success())
    }

    /// Changes the uplink.
    pub fn uplink(&self, change: fn(&mut Netlink, &str) -> Result<(), NetlinkError>) {
        Self::change(&self.edges[0], "near", change);
    }

    /// Changes the TAP.
    pub fn tap(&self, change: fn(&mut Netlink, &str) -> Result<(), NetlinkError>) {
        Self::change(&self.cloud, "tap0", change);
    }

    pub fn change(
        namespace: &Namespace,
        link: &str,
        change: fn(&mut Netlink, &str) -> Result<(), NetlinkError>,
    ) {
        namespace
            .run(|| change(&mut Netlink::open().expect("netlink"), link).expect("a change"))
            .expect("the namespace");
    }

    /// A peer with the same key, whose frames the port delivers.
    pub fn peer() -> PeerSecY {
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
    pub fn send_protected(&mut self, peer: &mut PeerSecY) {
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
    pub fn send_from_host(&self, count: usize) {
        let mut ring = self.host_ring();
        for _ in 0..count {
            ring.push(&frame([0x88, 0xb5], 1000)).expect("room");
        }
        ring.flush().expect("sent");
    }

    /// What has come out on the wire.
    pub fn wire(&mut self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        self.wire_rx.receive(1000, |frame| frames.push(frame.to_vec()));
        frames
    }
}

pub fn frame(ethertype: [u8; 2], len: usize) -> Vec<u8> {
    let mut frame = [&OURS[..], &PEER, &ethertype].concat();
    frame.resize(len, 0x5a);
    frame
}

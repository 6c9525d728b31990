//! A port whose wire ends in the test's hands.
#![allow(unreachable_pub, dead_code)]

use std::{
    net::{IpAddr, Ipv4Addr},
    os::{fd::AsFd, unix::net::UnixStream},
    process::Command,
    time::{Duration, Instant},
};

use macsec::{
    An, CipherSuite, ClearVlanTags, Confidentiality, ConfidentialityOffset, Config, DataKey,
    FrameBuf, HEADROOM, Ki, MacAddress, ReceiveSa, Sak, Sci, TAILROOM, TransmitSa,
};
use macsec_gateway::port::{
    Port, PortError, PortSecY as PeerSecY, RingSettings, Room, UplinkRings, inner_mtu, new_secy,
};
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
        bench.install_keys();
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
            let mut port = Port::new(sci, controls, Room::default())?;
            let settings = RingSettings { mtu: MTU, ..RingSettings::default() };
            port.attach_uplink(edges[0].run(|| UplinkRings::open("near", &settings))??, MTU);
            port.attach_tap(tap);
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

    /// Both directions under one key.
    pub fn install_keys(&mut self) {
        let (key, peer) = (key(), Sci::new(MacAddress(PEER), 1));
        let (an, ki, offset) = (An::default(), key.ki(), ConfidentialityOffset::Zero);
        let receive = ReceiveSa { an, ki, ssci: None, lowest_pn: 1, offset };
        let confidentiality = Confidentiality::default();
        let transmit = TransmitSa { an, ki, ssci: None, next_pn: 1, confidentiality };
        let secy = self.port.secy_mut();
        secy.install_key(&key).expect("room");
        secy.create_receive_sc(peer).expect("room");
        secy.install_receive_sa(peer, &receive).expect("an SA");
        secy.enable_receive_sa(peer, an).expect("an SA");
        secy.install_transmit_sa(&transmit).expect("an SA");
        secy.enable_transmit_sa(an).expect("an SA");
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
        let mut secy = new_secy(sci, Config::default(), Room::default()).expect("a SecY");
        let key = key();
        secy.install_key(&key).expect("a slot");
        let (an, ki) = (An::default(), key.ki());
        secy.install_transmit_sa(&TransmitSa {
            an,
            ki,
            ssci: None,
            next_pn: 1,
            confidentiality: Confidentiality::default(),
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

/// The key of both ends.
fn key() -> DataKey {
    let sak = Sak::new(&[7; 16]).expect("16 octets");
    DataKey::new(Ki([1; 16]), CipherSuite::GcmAes128, sak, None).expect("a key")
}

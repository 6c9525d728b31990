//! A silent veth pair between two namespaces of its own, and frames to send over it.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::fmt::Display;
use std::io::Write;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use macsec_io::netlink::{Netlink, VethEnd};
use macsec_io::netns::Namespace;
use macsec_io::packet::{PacketRxRing, PacketTxRing, RxConfig, RxMode, TxConfig};
use macsec_io::{offload, sysctl};

pub(crate) const LEFT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub(crate) const RIGHT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Passes a test that cannot run here, except in CI, where everything has to run.
pub(crate) fn skip(reason: impl Display) {
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "cannot run in CI: {reason}");
    // Not by `eprintln!`, which the test harness keeps to itself when a test passes.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {reason}");
}

/// A new namespace, or `None` after `skip`.
pub(crate) fn namespace() -> Option<Namespace> {
    Namespace::new().inspect_err(|e| skip(e)).ok()
}

/// Interface `left` in one namespace, `right` in another, both up, without any traffic.
pub(crate) struct Pair {
    pub(crate) left: Namespace,
    pub(crate) right: Namespace,
}

impl Pair {
    pub(crate) fn new(mtu: u32) -> Option<Self> {
        let (left, right) = (namespace()?, namespace()?);
        left.run(|| {
            let a = VethEnd::new("left").mac(LEFT_MAC);
            let b = VethEnd::new("right").mac(RIGHT_MAC).namespace(right.as_fd());
            Netlink::open().unwrap().create_veth(&a, &b).unwrap();
        })
        .unwrap();
        left.run(|| silence("left", mtu)).unwrap();
        right.run(|| silence("right", mtu)).unwrap();
        Some(Self { left, right })
    }

    pub(crate) fn sender(&self, config: &TxConfig) -> PacketTxRing {
        self.left.run(|| PacketTxRing::open("left", config).unwrap()).unwrap()
    }

    pub(crate) fn receiver(&self, config: &RxConfig) -> PacketRxRing {
        self.right.run(|| PacketRxRing::open("right", config).unwrap()).unwrap()
    }
}

fn silence(name: &str, mtu: u32) {
    sysctl::disable_ipv6(name).unwrap();
    let mut netlink = Netlink::open().unwrap();
    netlink.set_arp(name, false).unwrap();
    netlink.set_mtu(name, mtu).unwrap();
    netlink.set_up(name).unwrap();
    assert_eq!(offload::disable_all(name).unwrap(), []);
}

/// Both ways of receiving: every test of the receiver is run with each.
pub(crate) fn rx_configs() -> [RxConfig; 2] {
    let blocks = RxMode::Blocks { size: 1 << 17, count: 16, timeout: Duration::from_millis(1) };
    [RxConfig::default(), RxConfig { mode: blocks, ..RxConfig::default() }]
}

/// A frame of `len` octets with `ether_type` and a content that depends on `number`.
pub(crate) fn frame(number: u32, ether_type: [u8; 2], len: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(len);
    frame.extend(RIGHT_MAC);
    frame.extend(LEFT_MAC);
    frame.extend(ether_type);
    frame.extend(number.to_be_bytes());
    let mut state = number.wrapping_mul(2_654_435_761).wrapping_add(len as u32);
    while frame.len() < len {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        frame.push((state >> 24) as u8);
    }
    frame.truncate(len);
    frame
}

/// Receives until there are `count` frames or patience is at its end.
pub(crate) fn collect(ring: &mut PacketRxRing, count: usize) -> Vec<Vec<u8>> {
    let deadline = Instant::now() + PATIENCE;
    let mut frames = Vec::new();
    while frames.len() < count && Instant::now() < deadline {
        ring.wait(Some(Duration::from_millis(50))).unwrap();
        ring.receive(usize::MAX, |frame| frames.push(frame.to_vec()));
    }
    frames
}

/// Receives whatever comes within a fifth of a second.
pub(crate) fn drain(ring: &mut PacketRxRing) -> Vec<Vec<u8>> {
    let deadline = Instant::now() + Duration::from_millis(200);
    let mut frames = Vec::new();
    while Instant::now() < deadline {
        ring.wait(Some(Duration::from_millis(20))).unwrap();
        ring.receive(usize::MAX, |frame| frames.push(frame.to_vec()));
    }
    frames
}

/// Sends all frames, waiting for room where needed.
pub(crate) fn send_all(ring: &mut PacketTxRing, frames: &[Vec<u8>]) {
    for frame in frames {
        if ring.push(frame) == Err(macsec_io::packet::PushError::Full) {
            assert!(ring.wait_for_room(PATIENCE).unwrap(), "the ring stays full");
            ring.push(frame).unwrap();
        }
    }
    let deadline = Instant::now() + PATIENCE;
    while ring.pending() > 0 {
        ring.flush().unwrap();
        assert!(Instant::now() < deadline, "the ring does not empty");
    }
}

//! A TAP and the kernel's own IP stack behind it.

mod common;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use common::{namespace, skip};
use macsec_io::interface::InterfaceError;
use macsec_io::netlink::Netlink;
use macsec_io::netns::Namespace;
use macsec_io::poll::wait_readable;
use macsec_io::sysctl::disable_ipv6;
use macsec_io::tap::{Tap, TapError};

const HOST: Ipv4Addr = Ipv4Addr::new(10, 9, 8, 1);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 9, 8, 2);
const HOST_MAC: [u8; 6] = [2, 0, 0, 0, 1, 1];
const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 1, 2];

/// A TAP that is up with an address, in a namespace of its own; `None` after `skip`.
fn tap() -> Option<(Namespace, Tap)> {
    let namespace = namespace()?;
    let tap = match namespace.run(|| Tap::create("tap%d")).unwrap() {
        Ok(tap) => tap,
        Err(error @ (TapError::NoDevice | TapError::DevicePermission)) => {
            skip(error);
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    namespace
        .run(|| {
            disable_ipv6("tap0").unwrap();
            let mut netlink = Netlink::open().unwrap();
            netlink.set_mac("tap0", HOST_MAC).unwrap();
            netlink.set_mtu("tap0", 9000).unwrap();
            netlink.add_address("tap0", HOST.into(), 24).unwrap();
            netlink.add_neighbour("tap0", PEER.into(), PEER_MAC).unwrap();
            netlink.set_up("tap0").unwrap();
        })
        .unwrap();
    Some((namespace, tap))
}

/// An Ethernet frame with one UDP datagram from the peer to the host.
fn udp_frame(port: u16, payload: &[u8]) -> Vec<u8> {
    let total = (20 + 8 + payload.len()) as u16;
    let mut ip = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0];
    ip[2..4].copy_from_slice(&total.to_be_bytes());
    ip.extend(PEER.octets());
    ip.extend(HOST.octets());
    let mut sum: u32 = ip.chunks(2).map(|c| u32::from(u16::from_be_bytes([c[0], c[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    ip[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());

    let mut frame = [&HOST_MAC[..], &PEER_MAC, &[0x08, 0x00], &ip].concat();
    frame.extend(4000_u16.to_be_bytes());
    frame.extend(port.to_be_bytes());
    frame.extend((total - 20).to_be_bytes());
    frame.extend([0, 0]); // No UDP checksum.
    frame.extend(payload);
    frame
}

#[test]
fn frames_go_to_the_kernel_and_come_from_it() {
    let Some((namespace, tap)) = tap() else {
        return;
    };
    assert_eq!(tap.name(), "tap0");
    let socket = namespace.run(|| UdpSocket::bind((HOST, 0)).unwrap()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let port = socket.local_addr().unwrap().port();

    let mut buffer = vec![0; 16_384];
    let empty = tap.read(&mut buffer).unwrap_err();
    assert_eq!(empty.kind(), ErrorKind::WouldBlock);

    for len in [1, 100, 1472, 8000, 8972] {
        let payload: Vec<u8> = (0..len).map(|i| (i * 7) as u8).collect();
        tap.write(&udp_frame(port, &payload)).unwrap();
        let (got, from) = socket.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..got], from), (&payload[..], (PEER, 4000).into()));

        socket.send_to(&payload, (PEER, 4000)).unwrap();
        let [ready] = wait_readable([tap.as_fd()], Some(Duration::from_secs(5))).unwrap();
        assert!(ready.readable && !ready.error);
        let got = tap.read(&mut buffer).unwrap();
        let frame = &buffer[..got];
        assert_eq!(frame.len(), 14 + 20 + 8 + payload.len());
        assert_eq!(frame[..14], [&PEER_MAC[..], &HOST_MAC, &[0x08, 0x00]].concat());
        assert_eq!(frame[42..], payload);
    }
    let link = namespace.run(|| Netlink::open().unwrap().link("tap0").unwrap()).unwrap();
    assert_eq!((link.statistics.rx_packets, link.statistics.tx_packets), (5, 5));
}

#[test]
fn a_frame_as_long_as_the_buffer_is_an_error() {
    let Some((namespace, tap)) = tap() else {
        return;
    };
    namespace
        .run(|| {
            let socket = UdpSocket::bind((HOST, 0)).unwrap();
            for _ in 0..3 {
                socket.send_to(&[7; 58], (PEER, 4000)).unwrap();
            }
        })
        .unwrap();
    let mut buffer = [0; 200];
    assert_eq!(tap.read(&mut buffer[..60]).unwrap_err().kind(), ErrorKind::InvalidData);
    assert_eq!(tap.read(&mut buffer[..100]).unwrap_err().kind(), ErrorKind::InvalidData);
    assert_eq!(tap.read(&mut buffer[..101]).unwrap(), 100);
    assert!(tap.write(&[0; 13]).is_err(), "shorter than an Ethernet header");
}

#[test]
fn carrier_follows_us() {
    let Some((namespace, tap)) = tap() else {
        return;
    };
    let carrier =
        || namespace.run(|| Netlink::open().unwrap().link("tap0").unwrap().carrier).unwrap();
    assert!(carrier());
    tap.set_carrier(false).unwrap();
    assert!(!carrier());
    tap.set_carrier(true).unwrap();
    assert!(carrier());
}

#[test]
fn persistence_and_ownership() {
    let Some((namespace, tap)) = tap() else {
        return;
    };
    namespace
        .run(|| {
            assert!(matches!(Tap::create("tap0"), Err(TapError::Busy(_))));
            assert!(matches!(Tap::create("lo"), Err(TapError::NotATap(_) | TapError::Busy(_))));
            assert!(matches!(Tap::create("a/b"), Err(TapError::Interface(_))));
            let missing = Tap::open("tap7").unwrap_err();
            assert!(
                matches!(missing, TapError::Interface(InterfaceError::NotFound(_))),
                "{missing}"
            );

            let mut netlink = Netlink::open().unwrap();
            tap.set_persistent(true).unwrap();
            drop(tap);
            assert!(!netlink.link("tap0").unwrap().carrier, "no one holds it");
            // Same interface, with its address: the host's routes were never gone.
            let again = Tap::open("tap0").unwrap();
            assert_eq!(netlink.link("tap0").unwrap().mac, Some(HOST_MAC));
            again.set_persistent(false).unwrap();
            drop(again);
            let gone = Instant::now() + Duration::from_secs(2);
            while netlink.link("tap0").is_ok() {
                assert!(Instant::now() < gone);
            }
        })
        .unwrap();
}

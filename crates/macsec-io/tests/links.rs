//! netlink, namespaces, offloads and sysctl.

mod common;

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::Duration;

use common::{LEFT_MAC, Pair, RIGHT_MAC, collect, namespace};
use macsec_io::interface::{self, InterfaceError};
use macsec_io::netlink::{Netlink, NetlinkError, OperState, VethEnd};
use macsec_io::netns::{Namespace, NamespaceError, enter_user_namespace};
use macsec_io::offload::{self, Offload};
use macsec_io::packet::RxConfig;
use macsec_io::sysctl::disable_ipv6;

#[test]
fn links_are_created_changed_and_deleted() {
    let Some(namespace) = namespace() else { return };
    let other = Namespace::new().unwrap();
    let mut netlink = namespace.run(|| Netlink::open().unwrap()).unwrap();

    // From this thread, in another namespace: the handle stays where it was opened.
    netlink.create_veth(&VethEnd::new("one").mac(LEFT_MAC), &VethEnd::new("two")).unwrap();
    let taken = netlink.create_veth(&VethEnd::new("one"), &VethEnd::new("three"));
    assert!(matches!(taken, Err(NetlinkError::Exists(_))), "{taken:?}");

    let one = netlink.link("one").unwrap();
    assert_eq!((one.name.as_str(), one.mac, one.mtu), ("one", Some(LEFT_MAC), 1500));
    assert_eq!((one.up, one.arp, one.carrier, one.promiscuous), (false, true, false, false));
    assert_eq!(netlink.index_of("one").unwrap(), one.index);
    assert_eq!(namespace.run(|| interface::index_of("one")).unwrap(), Ok(one.index));

    netlink.set_mtu("one", 9000).unwrap();
    netlink.set_mac("one", RIGHT_MAC).unwrap();
    netlink.set_arp("one", false).unwrap();
    netlink.set_up("one").unwrap();
    let one = netlink.link("one").unwrap();
    assert_eq!((one.mtu, one.mac, one.up, one.arp), (9000, Some(RIGHT_MAC), true, false));
    assert_eq!(one.oper_state, OperState::LowerLayerDown, "the other end is down");
    netlink.set_up("two").unwrap();
    let one = netlink.link("one").unwrap();
    assert_eq!((one.carrier, one.oper_state), (true, OperState::Up));
    netlink.set_arp("one", true).unwrap();
    netlink.set_down("one").unwrap();
    let one = netlink.link("one").unwrap();
    assert_eq!((one.up, one.arp), (false, true));

    netlink.move_to_namespace("two", other.as_fd()).unwrap();
    assert!(netlink.link("two").is_err());
    let two = other.run(|| Netlink::open().unwrap().link("two").unwrap()).unwrap();
    assert!(!two.up);

    netlink.delete_link("one").unwrap();
    for gone in [netlink.link("one"), netlink.link("no-such-if")] {
        let error = gone.unwrap_err();
        let expected = matches!(error, NetlinkError::Interface(InterfaceError::NotFound(_)));
        assert!(expected, "{error:?}");
    }
    other.run(|| assert!(Netlink::open().unwrap().link("two").is_err())).unwrap();
    assert!(matches!(netlink.link("a/b"), Err(NetlinkError::Interface(_))));
    assert!(netlink.set_mtu("lo", 1).is_ok() || netlink.set_mtu("lo", 68).is_ok());
}

#[test]
fn addresses_and_neighbours_carry_udp() {
    let Some(pair) = Pair::new(1500) else { return };
    let setup = |name: &str, own: &str, peer: &str, mac| {
        let mut netlink = Netlink::open().unwrap();
        netlink.add_address(name, own.parse().unwrap(), 24).unwrap();
        netlink.add_neighbour(name, peer.parse().unwrap(), mac).unwrap();
        // Twice is no error for a neighbour, but is one for an address.
        netlink.add_neighbour(name, peer.parse().unwrap(), mac).unwrap();
        let again = netlink.add_address(name, own.parse().unwrap(), 24);
        assert!(matches!(again, Err(NetlinkError::Exists(_))), "{again:?}");
    };
    pair.left.run(|| setup("left", "10.1.1.1", "10.1.1.2", RIGHT_MAC)).unwrap();
    pair.right.run(|| setup("right", "10.1.1.2", "10.1.1.1", LEFT_MAC)).unwrap();
    let a = pair.left.run(|| UdpSocket::bind("10.1.1.1:5000").unwrap()).unwrap();
    let b = pair.right.run(|| UdpSocket::bind("10.1.1.2:5000").unwrap()).unwrap();
    b.set_read_timeout(Some(Duration::from_secs(5))).unwrap();

    // Offloads are off: what a packet socket sees has its checksum.
    let mut rx = pair.receiver(&RxConfig::default());
    a.send_to(b"hello", "10.1.1.2:5000").unwrap();
    let mut buffer = [0; 100];
    assert_eq!(b.recv_from(&mut buffer).unwrap(), (5, "10.1.1.1:5000".parse().unwrap()));
    assert_eq!(collect(&mut rx, 1).len(), 1);
    assert_eq!(rx.statistics().unwrap().checksum_not_ready, 0);

    let counts = pair.right.run(|| Netlink::open().unwrap().link("right").unwrap()).unwrap();
    assert_eq!(counts.statistics.rx_packets, 1);
}

#[test]
fn addresses_of_version_6() {
    let Some(namespace) = namespace() else { return };
    if !std::path::Path::new("/proc/sys/net/ipv6").exists() {
        return common::skip("this kernel has no IPv6");
    }
    namespace
        .run(|| {
            let mut netlink = Netlink::open().unwrap();
            netlink.create_veth(&VethEnd::new("one"), &VethEnd::new("two")).unwrap();
            netlink.set_up("one").unwrap();
            netlink.set_up("two").unwrap();
            netlink.add_address("one", "fd00::1".parse().unwrap(), 64).unwrap();
            netlink.add_neighbour("one", "fd00::2".parse().unwrap(), RIGHT_MAC).unwrap();
            // Usable at once, without duplicate detection.
            UdpSocket::bind("[fd00::1]:0").unwrap();

            assert!(disable_ipv6("one").unwrap());
            assert!(UdpSocket::bind("[fd00::1]:0").is_err(), "its addresses are gone");
            assert!(disable_ipv6("../all").is_err());
            // The last two are there, but they are no interfaces.
            for missing in ["no-such-if", "all", "default"] {
                let error = disable_ipv6(missing).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::NotFound, "{missing}");
            }
        })
        .unwrap();
}

#[test]
fn offloads_of_a_veth_can_be_disabled() {
    let Some(namespace) = namespace() else { return };
    namespace
        .run(|| {
            let mut netlink = Netlink::open().unwrap();
            netlink.create_veth(&VethEnd::new("one"), &VethEnd::new("two")).unwrap();
            let state = |offload| offload::is_enabled("one", offload).unwrap();
            assert_eq!(state(Offload::TransmitChecksum), Some(true));
            assert_eq!(state(Offload::TcpSegmentation), Some(true));
            assert_eq!(offload::disable_all("one").unwrap(), []);
            for offload in Offload::ALL {
                assert_ne!(state(offload), Some(true), "{offload:?}");
            }
            let missing = offload::disable_all("no-such-if").unwrap_err();
            assert!(matches!(missing, offload::OffloadError::Interface(_)), "{missing}");
        })
        .unwrap();
}

#[test]
fn partial_checksums_are_noticed() {
    let Some(namespace) = namespace() else { return };
    namespace
        .run(|| {
            let mut netlink = Netlink::open().unwrap();
            let b = VethEnd::new("two").mac(RIGHT_MAC);
            netlink.create_veth(&VethEnd::new("one"), &b).unwrap();
            for name in ["one", "two"] {
                disable_ipv6(name).unwrap();
                netlink.set_up(name).unwrap();
            }
            netlink.add_address("one", "10.1.1.1".parse().unwrap(), 24).unwrap();
            netlink.add_neighbour("one", "10.1.1.2".parse().unwrap(), RIGHT_MAC).unwrap();
            let mut rx =
                macsec_io::packet::PacketRxRing::open("two", &RxConfig::default()).unwrap();
            let socket = UdpSocket::bind("10.1.1.1:0").unwrap();
            socket.send_to(b"with offload", "10.1.1.2:5000").unwrap();
            assert_eq!(collect(&mut rx, 1).len(), 1);
            assert_eq!(rx.statistics().unwrap().checksum_not_ready, 1);
            assert_eq!(offload::disable_all("one").unwrap(), []);
            socket.send_to(b"without", "10.1.1.2:5000").unwrap();
            assert_eq!(collect(&mut rx, 1).len(), 1);
            assert_eq!(rx.statistics().unwrap().checksum_not_ready, 1);
        })
        .unwrap();
}

#[test]
fn a_namespace_is_apart_and_inherited_by_children() {
    let Some(namespace) = namespace() else { return };
    let inode = || std::fs::metadata("/proc/thread-self/ns/net").unwrap().ino();
    let outside = inode();
    let inside = namespace.run(inode).unwrap();
    assert_ne!(outside, inside);
    assert_eq!(inode(), outside, "this thread has not moved");
    let current = namespace.run(|| Namespace::current().unwrap()).unwrap();
    assert_eq!(current.run(inode).unwrap(), inside);
    let child = namespace
        .run(|| Command::new("readlink").arg("/proc/self/ns/net").output().unwrap())
        .unwrap();
    assert_eq!(String::from_utf8(child.stdout).unwrap().trim(), format!("net:[{inside}]"));

    let panic = std::panic::catch_unwind(|| namespace.run(|| panic!("on purpose")));
    assert!(panic.is_err());
}

#[test]
fn a_user_namespace_is_refused_to_a_process_with_threads() {
    // The test harness has several.
    assert!(matches!(enter_user_namespace(), Err(NamespaceError::MultiThreaded)));
}

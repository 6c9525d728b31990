//! netlink, namespaces, offloads and sysctl.

mod common;

use std::io::ErrorKind;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::{Duration, Instant};

use common::{LEFT_MAC, PATIENCE, Pair, RIGHT_MAC, collect, namespace};
use macsec_io::interface::{self, InterfaceError};
use macsec_io::netlink::{LinkMonitor, Netlink, NetlinkError, OperState, VethEnd};
use macsec_io::netns::{Namespace, NamespaceError, enter_user_namespace};
use macsec_io::offload::{self, Offload};
use macsec_io::packet::RxConfig;
use macsec_io::poll;
use macsec_io::sysctl::{self, disable_ipv6};

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

    // A name is taken in the other namespace, and loopback stays where it is.
    netlink.create_veth(&VethEnd::new("two"), &VethEnd::new("three")).unwrap();
    let taken = netlink.move_to_namespace("two", other.as_fd());
    assert!(matches!(taken, Err(NetlinkError::Exists(_))), "{taken:?}");
    let fixed = netlink.move_to_namespace("lo", other.as_fd());
    assert!(matches!(fixed, Err(NetlinkError::Immovable(_))), "{fixed:?}");

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
fn links_and_addresses_are_listed() {
    let Some(namespace) = namespace() else { return };
    namespace
        .run(|| {
            let mut netlink = Netlink::open().unwrap();
            // So many that the kernel needs several datagrams to tell.
            for i in 0..30 {
                let (a, b) = (format!("a{i}"), format!("b{i}"));
                netlink.create_veth(&VethEnd::new(&a), &VethEnd::new(&b)).unwrap();
            }
            let links = netlink.links().unwrap();
            assert_eq!(links.len(), 61);
            let find = |name: &str| links.iter().find(|link| link.name == name).unwrap();
            for i in 0..30 {
                let (a, b) = (find(&format!("a{i}")), find(&format!("b{i}")));
                assert_eq!((a.kind.as_deref(), a.ethernet), (Some("veth"), true));
                assert_eq!((a.lower, b.lower), (Some(b.index), Some(a.index)));
                assert_eq!(*a, netlink.link(&a.name).unwrap());
            }
            let lo = find("lo");
            assert_eq!((lo.kind.as_deref(), lo.ethernet, lo.lower), (None, false, None));

            let wanted: Vec<(IpAddr, u8)> = ["10.1.1.1/24", "10.2.2.2/31", "fd00::1/64"]
                .map(|text| text.split_once('/').unwrap())
                .map(|(ip, prefix)| (ip.parse().unwrap(), prefix.parse().unwrap()))
                .into();
            for (ip, prefix) in &wanted {
                netlink.add_address("a1", *ip, *prefix).unwrap();
            }
            netlink.add_address("a2", "10.3.3.3".parse().unwrap(), 8).unwrap();
            assert_eq!(netlink.addresses("a1").unwrap(), wanted);
            assert_eq!(netlink.addresses("b1").unwrap(), []);
            assert!(netlink.addresses("no-such-if").is_err());

            // Link-local ones count too.
            netlink.set_up("b2").unwrap();
            netlink.set_up("a2").unwrap();
            let is_local = |(ip, _): &(IpAddr, u8)| ip.to_string().starts_with("fe80::");
            let deadline = Instant::now() + PATIENCE;
            while !netlink.addresses("a2").unwrap().iter().any(is_local) {
                assert!(Instant::now() < deadline, "no link-local address");
            }
            assert_eq!(netlink.addresses("a2").unwrap().len(), 2);
        })
        .unwrap();
}

#[test]
fn the_other_end_of_a_pair_is_not_looked_for_in_the_wrong_namespace() {
    let Some(pair) = Pair::new(1500) else { return };
    let left = pair.left.run(|| Netlink::open().unwrap().link("left").unwrap()).unwrap();
    assert_eq!(left.lower, None);
}

#[test]
fn a_monitor_notices_what_happens_to_links() {
    let Some(namespace) = namespace() else { return };
    let mut monitor = namespace.run(|| LinkMonitor::open().unwrap()).unwrap();
    let mut netlink = namespace.run(|| Netlink::open().unwrap()).unwrap();
    let is_told = |monitor: &LinkMonitor| {
        let [ready] = poll::wait_readable([monitor.as_fd()], Some(PATIENCE)).unwrap();
        ready.readable || ready.error
    };
    assert!(!monitor.drain().unwrap());
    netlink.create_veth(&VethEnd::new("one"), &VethEnd::new("two")).unwrap();
    assert!(is_told(&monitor));
    assert!(monitor.drain().unwrap());
    for change in [Netlink::set_up, Netlink::set_down, Netlink::delete_link] {
        // What came late of the change before.
        while monitor.drain().unwrap() {}
        change(&mut netlink, "one").unwrap();
        assert!(is_told(&monitor));
        assert!(monitor.drain().unwrap());
    }

    // Far more than the kernel keeps: it says so, the monitor says "changed", and then is empty.
    netlink.create_veth(&VethEnd::new("one"), &VethEnd::new("two")).unwrap();
    for mtu in 0..2000 {
        netlink.set_mtu("one", 1000 + mtu % 2).unwrap();
    }
    let deadline = Instant::now() + PATIENCE;
    assert!(monitor.drain().unwrap());
    while monitor.drain().unwrap() {
        assert!(Instant::now() < deadline, "it never ends");
    }
    netlink.set_mtu("one", 1500).unwrap();
    assert!(is_told(&monitor) && monitor.drain().unwrap(), "it goes on after an overflow");
}

#[test]
fn ipv6_is_disabled_and_let_in_again() {
    let Some(namespace) = namespace() else { return };
    if !std::path::Path::new("/proc/sys/net/ipv6").exists() {
        return common::skip("this kernel has no IPv6");
    }
    namespace
        .run(|| {
            let mut netlink = Netlink::open().unwrap();
            netlink.create_veth(&VethEnd::new("one"), &VethEnd::new("two")).unwrap();
            assert_eq!(sysctl::is_ipv6_disabled("one").unwrap(), Some(false));
            for disabled in [true, false] {
                assert!(sysctl::set_ipv6_disabled("one", disabled).unwrap());
                assert_eq!(sysctl::is_ipv6_disabled("one").unwrap(), Some(disabled));
                assert_eq!(sysctl::is_ipv6_disabled("two").unwrap(), Some(false));
            }
            // Too small for IPv6.
            netlink.set_mtu("two", 1000).unwrap();
            assert_eq!(sysctl::is_ipv6_disabled("two").unwrap(), None);
            assert!(!disable_ipv6("two").unwrap());

            assert!(sysctl::disable_ipv6_everywhere().unwrap());
            netlink.create_veth(&VethEnd::new("three"), &VethEnd::new("four")).unwrap();
            for name in ["one", "three"] {
                assert_eq!(sysctl::is_ipv6_disabled(name).unwrap(), Some(true));
            }
        })
        .unwrap();
}

#[test]
fn offloads_are_restored_to_the_bit() {
    let Some(namespace) = namespace() else { return };
    namespace
        .run(|| {
            let mut netlink = Netlink::open().unwrap();
            netlink.create_veth(&VethEnd::new("one"), &VethEnd::new("two")).unwrap();
            let features = || offload::Features::of("one").unwrap();
            let restored = |saved: &offload::Features| {
                assert_eq!(offload::disable_all("one").unwrap(), []);
                assert_ne!(features(), *saved);
                let kept = offload::Features::from_words(saved.words().to_vec());
                kept.restore("one").unwrap();
                assert_eq!(features(), *saved);
            };
            restored(&features());
            assert_eq!(
                offload::is_enabled("one", Offload::TcpSegmentation).unwrap(),
                Some(true),
                "really on, not only asked for"
            );
            // A mixture, not all of which the commands of `disable_all` can tell apart.
            let mut words = features().words().to_vec();
            for (bit, word) in (0..).zip(&mut words) {
                word[1] &= 0x5a5a_5a5a_u32.rotate_left(bit);
            }
            offload::Features::from_words(words).restore("one").unwrap();
            restored(&features());

            let missing = offload::Features::of("no-such-if").unwrap_err();
            assert!(matches!(missing, offload::OffloadError::Interface(_)), "{missing}");
            let foreign = offload::Features::from_words(Vec::new());
            assert!(foreign.restore("one").is_err());
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

//! A barrier between an interface and the host's own stack.

mod common;

use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

use common::{LEFT_MAC, PATIENCE, Pair, RIGHT_MAC, collect, drain, frame, send_all, skip};
use macsec_io::netlink::{Netlink, NetlinkError};
use macsec_io::netns::Namespace;
use macsec_io::packet::{PacketRxRing, PacketTxRing, RxConfig, TxConfig};

const MARK: u32 = 0x4d41_4353;
const TEST_TYPE: [u8; 2] = [0x88, 0xb5];

/// Runs `action` on `right`, which has the barrier.
fn on_right<T: Send>(pair: &Pair, action: impl FnOnce(&mut Netlink) -> T + Send) -> T {
    pair.right.run(|| action(&mut Netlink::open().unwrap())).unwrap()
}

/// A pair whose ends have addresses and know each other, or `None` after `skip`.
fn pair() -> Option<Pair> {
    let pair = Pair::new(1500)?;
    let setup = |name: &str, own: &str, peer: &str, mac| {
        let mut netlink = Netlink::open().unwrap();
        netlink.add_address(name, own.parse().unwrap(), 24).unwrap();
        netlink.add_neighbour(name, peer.parse().unwrap(), mac).unwrap();
    };
    pair.left.run(|| setup("left", "10.1.1.1", "10.1.1.2", RIGHT_MAC)).unwrap();
    pair.right.run(|| setup("right", "10.1.1.2", "10.1.1.1", LEFT_MAC)).unwrap();
    match on_right(&pair, |netlink| netlink.install_barrier("right", MARK)) {
        Err(error @ NetlinkError::NotSupported(_)) => {
            skip(error);
            return None;
        }
        other => other.unwrap(),
    }
    Some(pair)
}

fn socket(namespace: &Namespace, address: &'static str) -> UdpSocket {
    let socket = namespace.run(|| UdpSocket::bind(address).unwrap()).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    socket
}

#[test]
fn the_host_neither_hears_nor_is_heard() {
    let Some(pair) = pair() else { return };
    let (left, right) = (socket(&pair.left, "10.1.1.1:5000"), socket(&pair.right, "10.1.1.2:5000"));
    let mut buffer = [0; 100];

    // A packet socket sees what the host does not get.
    let mut tap = pair.receiver(&RxConfig::default());
    left.send_to(b"hello", "10.1.1.2:5000").unwrap();
    assert_eq!(collect(&mut tap, 1).len(), 1);
    assert!(right.recv_from(&mut buffer).is_err());

    // What the host sends does not arrive, nor what a packet socket without the mark sends.
    let mut wire =
        pair.left.run(|| PacketRxRing::open("left", &RxConfig::default())).unwrap().unwrap();
    let _ = right.send_to(b"hello", "10.1.1.1:5000");
    for mark in [0, 1, MARK ^ 1] {
        let config = TxConfig { mark, ..TxConfig::default() };
        let open = || PacketTxRing::open("right", &config).unwrap();
        let mut unmarked = pair.right.run(open).unwrap();
        unmarked.push(&frame(1, TEST_TYPE, 100)).unwrap();
        let _ = unmarked.flush();
    }
    assert_eq!(drain(&mut wire), Vec::<Vec<u8>>::new());

    // Marked ones do, through the ring with and without the queueing discipline.
    for bypass_qdisc in [false, true] {
        let config = TxConfig { mark: MARK, bypass_qdisc, ..TxConfig::default() };
        let open = || PacketTxRing::open("right", &config).unwrap();
        let mut marked = pair.right.run(open).unwrap();
        let sent: Vec<_> = (0..100).map(|n| frame(n, TEST_TYPE, 100)).collect();
        send_all(&mut marked, &sent);
        assert!(collect(&mut wire, 100) == sent);
        assert_eq!(marked.statistics().sent, 100);
    }

    on_right(&pair, |netlink| netlink.remove_barrier("right", false)).unwrap();
    for socket in [&left, &right] {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    left.send_to(b"again", "10.1.1.2:5000").unwrap();
    assert_eq!(right.recv_from(&mut buffer).unwrap().0, 5);
    right.send_to(b"again", "10.1.1.1:5000").unwrap();
    assert_eq!(left.recv_from(&mut buffer).unwrap().0, 5);
}

#[test]
fn a_barrier_is_taken_over_and_removed_without_a_trace() {
    let Some(pair) = pair() else { return };
    on_right(&pair, |netlink| {
        let with = netlink.qdiscs("right").unwrap();
        assert!(netlink.has_barrier("right").unwrap());
        // Again, and with another mark, as another version of us may have left it.
        netlink.install_barrier("right", MARK).unwrap();
        netlink.install_barrier("right", 7).unwrap();
        netlink.install_barrier("right", MARK).unwrap();
        assert_eq!(netlink.qdiscs("right").unwrap(), with);

        netlink.remove_barrier("right", false).unwrap();
        assert!(!netlink.has_barrier("right").unwrap());
        let without = netlink.qdiscs("right").unwrap();
        assert!(!without.iter().any(|qdisc| qdisc.kind == "clsact"), "{without:?}");
        assert!(with.iter().any(|qdisc| qdisc.kind == "clsact" && qdisc.is_configured()));
        netlink.remove_barrier("right", false).unwrap();

        let missing = netlink.install_barrier("no-such-if", MARK);
        assert!(matches!(missing, Err(NetlinkError::Interface(_))), "{missing:?}");
    });
}

/// Runs `tc` in the namespace of `right`; `false` if there is no such program.
fn tc(pair: &Pair, arguments: &str) -> bool {
    // A program is one argument.
    let (words, program) = arguments.split_once(" bytecode ").unwrap_or((arguments, ""));
    let program = if program.is_empty() { [].as_slice() } else { &["bytecode", program] };
    let run = || Command::new("tc").args(words.split(' ')).args(program).output();
    match pair.right.run(run).unwrap() {
        Ok(output) => {
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "tc {arguments}: {error}");
            true
        }
        Err(error) => {
            skip(format!("tc: {error}"));
            false
        }
    }
}

#[test]
fn filters_of_others_are_left_alone() {
    let Some(pair) = pair() else { return };
    let install = || on_right(&pair, |netlink| netlink.install_barrier("right", MARK));
    let remove = |keep| on_right(&pair, |n| n.remove_barrier("right", keep)).unwrap();
    let has_clsact = || {
        on_right(&pair, |netlink| {
            netlink.qdiscs("right").unwrap().iter().any(|qdisc| qdisc.kind == "clsact")
        })
    };
    remove(false);

    // An empty clsact is used, and kept if asked to.
    if !tc(&pair, "qdisc add dev right clsact") {
        return;
    }
    install().unwrap();
    remove(true);
    assert!(has_clsact());
    install().unwrap();
    remove(false);
    assert!(!has_clsact());

    // Filters of others, also at our own preference, and a filter that drops like ours does.
    for filter in [
        "right ingress pref 10 protocol all bpf da bytecode 1,6 0 0 0",
        "right egress pref 1 protocol all bpf da bytecode 1,6 0 0 0",
        "right egress pref 1 protocol ip handle 2 bpf da bytecode 1,6 0 0 2",
    ] {
        tc(&pair, "qdisc add dev right clsact");
        tc(&pair, &format!("filter add dev {filter}"));
        let refused = install();
        assert!(matches!(refused, Err(NetlinkError::InTheWay(_))), "{filter}: {refused:?}");
        let text = refused.unwrap_err().to_string();
        assert!(text.contains("filter bpf (pref 1") && text.contains("right"), "{text}");
        // Removing what is not there leaves what is.
        remove(false);
        assert!(has_clsact(), "{filter}");
        tc(&pair, "qdisc del dev right clsact");
    }

    // Added beside ours meanwhile.
    install().unwrap();
    tc(&pair, "filter add dev right egress pref 20 protocol all bpf da bytecode 1,6 0 0 0");
    remove(false);
    assert!(has_clsact());
    tc(&pair, "qdisc del dev right clsact");

    tc(&pair, "qdisc add dev right ingress");
    let refused = install().unwrap_err();
    assert_eq!(refused.to_string(), "queueing discipline ingress of \"right\" is in the way");
}

#[test]
fn half_a_barrier_is_none() {
    let Some(pair) = pair() else { return };
    let is_whole = || on_right(&pair, |netlink| netlink.has_whole_barrier("right", MARK)).unwrap();
    let install = |mark| on_right(&pair, |n| n.install_barrier("right", mark)).unwrap();
    assert!(is_whole());
    for broken in ["filter del dev right ingress", "filter del dev right egress"] {
        if !tc(&pair, broken) {
            return;
        }
        assert!(!is_whole(), "{broken}");
        install(MARK);
        assert!(is_whole(), "mended after {broken}");
    }
    install(7);
    assert!(!is_whole(), "another mark");
    install(MARK);

    // A filter of someone else behind ours does no harm; one beside it is asked first.
    let other = "protocol all bpf da bytecode 1,6 0 0 0";
    tc(&pair, &format!("filter add dev right ingress pref 2 {other}"));
    assert!(is_whole());
    tc(&pair, &format!("filter add dev right ingress pref 1 {other}"));
    assert!(!is_whole());
    tc(&pair, "qdisc del dev right clsact");
    assert!(!is_whole(), "nothing at all");
}

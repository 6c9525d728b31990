//! Frames over a veth pair, from a transmit ring to a receive ring.

mod common;

use std::process::Command;
use std::time::{Duration, Instant};

use common::{PATIENCE, Pair, collect, drain, frame, rx_configs, send_all};
use macsec_io::packet::{RxConfig, RxMode, TxConfig};

const TEST_TYPE: [u8; 2] = [0x88, 0xb5];

#[test]
fn a_thousand_frames_arrive_identical_and_in_order() {
    let Some(pair) = Pair::new(1500) else { return };
    for config in rx_configs() {
        for bypass_qdisc in [false, true] {
            let mut tx = pair.sender(&TxConfig { bypass_qdisc, ..TxConfig::default() });
            let mut rx = pair.receiver(&config);
            let sizes = (0..1000).map(|i| 60 + (i * 1454) / 999);
            let sent: Vec<_> = (0..).zip(sizes).map(|(n, len)| frame(n, TEST_TYPE, len)).collect();
            assert_eq!((sent[0].len(), sent[999].len()), (60, 1514));
            let mut got = Vec::new();
            // More than that at once would not fit the 1000 frames of the veth's own queue.
            for part in sent.chunks(200) {
                send_all(&mut tx, part);
                got.extend(collect(&mut rx, part.len()));
            }
            assert!(got == sent, "{config:?}: frames differ, {} of 1000 arrived", got.len());
            assert_eq!(drain(&mut rx).len(), 0);

            let counts = rx.statistics().unwrap();
            assert_eq!(counts.delivered, 1000);
            assert_eq!((counts.ring_full, counts.truncated, counts.malformed), (0, 0, 0));
            assert_eq!((counts.outgoing, counts.too_long), (0, 0));
            let counts = tx.statistics();
            assert_eq!((counts.sent, counts.rejected, counts.dropped), (1000, 0, 0));
        }
    }
}

#[test]
fn batches_hold_many_frames_and_frames_can_be_changed() {
    let Some(pair) = Pair::new(1500) else { return };
    for config in rx_configs() {
        let (mut tx, mut rx) = (pair.sender(&TxConfig::default()), pair.receiver(&config));
        let sent: Vec<_> = (0..300).map(|n| frame(n, TEST_TYPE, 100)).collect();
        send_all(&mut tx, &sent);
        std::thread::sleep(Duration::from_millis(50));

        // A limit in the middle of a block must lose nothing.
        let mut sizes = Vec::new();
        let mut got = Vec::new();
        for limit in [1, 6, 100, 0, usize::MAX] {
            rx.receive_batch(limit, |frames| {
                sizes.push(frames.len());
                for frame in frames {
                    got.push(frame.to_vec());
                    frame.fill(0xff);
                }
            });
        }
        assert!(got == sent, "{config:?}: frames differ, {} of 300", got.len());
        assert_eq!(sizes, [1, 6, 64, 36, 64, 64, 64, 1]);
    }
}

#[test]
fn the_ring_survives_a_panic_of_its_user() {
    let Some(pair) = Pair::new(1500) else { return };
    for config in rx_configs() {
        let (mut tx, mut rx) = (pair.sender(&TxConfig::default()), pair.receiver(&config));
        let sent: Vec<_> = (0..20).map(|n| frame(n, TEST_TYPE, 100)).collect();
        send_all(&mut tx, &sent);
        std::thread::sleep(Duration::from_millis(50));
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            rx.receive_batch(10, |_| panic!("on purpose"));
        }));
        assert!(result.is_err());
        assert!(collect(&mut rx, 10) == sent[10..], "{config:?}");
        // Around the whole ring: everything has gone back to the kernel.
        for round in 0..30 {
            let sent: Vec<_> = (0..100).map(|n| frame(round * 100 + n, TEST_TYPE, 1500)).collect();
            send_all(&mut tx, &sent);
            assert!(collect(&mut rx, 100) == sent, "{config:?} round {round}");
        }
    }
}

#[test]
fn vlan_tags_arrive_where_they_were() {
    let Some(pair) = Pair::new(1500) else { return };
    let tag = |mut frame: Vec<u8>, tag: [u8; 4]| {
        frame.splice(12..12, tag);
        frame
    };
    let inner = |n, len| frame(n, [0x88, 0xe5], len);
    let sent = vec![
        tag(inner(0, 76), [0x81, 0x00, 0x60, 0x05]),
        // Priority only, VID 0.
        tag(inner(1, 76), [0x81, 0x00, 0xe0, 0x00]),
        tag(inner(2, 1514), [0x81, 0x00, 0x0f, 0xfe]),
        tag(tag(inner(3, 300), [0x81, 0x00, 0x00, 0x07]), [0x88, 0xa8, 0x20, 0x64]),
        tag(tag(inner(4, 300), [0x81, 0x00, 0x00, 0x07]), [0x81, 0x00, 0x20, 0x64]),
        inner(5, 60),
    ];
    for config in rx_configs() {
        // The filter sees the type behind the outer tag.
        for ether_type in [None, Some(0x88e5)] {
            let config = RxConfig { ether_type, ..config.clone() };
            let (mut tx, mut rx) = (pair.sender(&TxConfig::default()), pair.receiver(&config));
            send_all(&mut tx, &sent);
            let expected: Vec<_> = sent
                .iter()
                .enumerate()
                .filter(|(i, _)| ether_type.is_none() || !matches!(i, 3 | 4))
                .map(|(_, frame)| frame.clone())
                .collect();
            assert!(collect(&mut rx, expected.len()) == expected, "{config:?}");
            assert_eq!(drain(&mut rx).len(), 0);
            assert_eq!(tx.statistics().sent, 6);
        }
    }
}

#[test]
fn own_frames_are_not_seen() {
    let Some(pair) = Pair::new(1500) else { return };
    for config in rx_configs() {
        let mut tx = pair.sender(&TxConfig::default());
        let mut there = pair.receiver(&config);
        let mut here = pair
            .left
            .run(|| macsec_io::packet::PacketRxRing::open("left", &config).unwrap())
            .unwrap();
        let sent: Vec<_> = (0..50).map(|n| frame(n, TEST_TYPE, 200)).collect();
        send_all(&mut tx, &sent);
        assert_eq!(collect(&mut there, 50).len(), 50);
        assert_eq!(drain(&mut here).len(), 0);
        assert_eq!(here.statistics().unwrap().delivered, 0);
    }
}

#[test]
fn jumbo_frames() {
    let Some(pair) = Pair::new(9000) else { return };
    for config in rx_configs() {
        let (mut tx, mut rx) = (pair.sender(&TxConfig::default()), pair.receiver(&config));
        let sent: Vec<_> = (0..100).map(|n| frame(n, TEST_TYPE, 9014 - n as usize)).collect();
        send_all(&mut tx, &sent);
        assert!(collect(&mut rx, 100) == sent, "{config:?}");
    }
}

#[test]
fn only_the_chosen_type_is_received() {
    let Some(pair) = Pair::new(1500) else { return };
    for config in rx_configs() {
        let config = RxConfig { ether_type: Some(0x888e), ..config };
        let (mut tx, mut rx) = (pair.sender(&TxConfig::default()), pair.receiver(&config));
        let types = [[0x88, 0x8e], TEST_TYPE, [0x08, 0x00], [0x88, 0x8e]];
        let sent: Vec<_> = (0..).zip(types).map(|(n, t)| frame(n, t, 64)).collect();
        send_all(&mut tx, &sent);
        assert_eq!(collect(&mut rx, 2), [sent[0].clone(), sent[3].clone()]);
        assert_eq!(drain(&mut rx).len(), 0);
    }
}

#[test]
fn overflow_is_counted() {
    let Some(pair) = Pair::new(1500) else { return };
    let small = [
        RxConfig { mode: RxMode::Slots { frames: 64 }, max_frame: 1600, ..RxConfig::default() },
        RxConfig {
            mode: RxMode::Blocks { size: 8192, count: 4, timeout: Duration::from_millis(1) },
            max_frame: 1600,
            ..RxConfig::default()
        },
    ];
    for config in small {
        let (mut tx, mut rx) = (pair.sender(&TxConfig::default()), pair.receiver(&config));
        let sent: Vec<_> = (0..2000).map(|n| frame(n, TEST_TYPE, 1000)).collect();
        for part in sent.chunks(100) {
            send_all(&mut tx, part);
            std::thread::sleep(Duration::from_millis(1));
        }
        let got = drain(&mut rx);
        assert!(sent.starts_with(&got), "what was kept is the beginning, in order");
        let counts = rx.statistics().unwrap();
        assert!(counts.ring_full > 0 && counts.delivered > 0, "{counts:?}");
        assert_eq!(counts.delivered, got.len() as u64);
        assert_eq!(counts.delivered + counts.ring_full, 2000, "{config:?} {counts:?}");
        // Asking again does not count twice, and the ring goes on.
        assert_eq!(rx.statistics().unwrap().ring_full, counts.ring_full);
        send_all(&mut tx, &sent[..10]);
        assert!(collect(&mut rx, 10) == sent[..10]);
    }
}

#[test]
fn frames_too_long_for_the_receiver_are_counted_not_cut() {
    let Some(pair) = Pair::new(9000) else { return };
    for config in rx_configs() {
        let config = RxConfig { max_frame: 1518, ..config };
        let (mut tx, mut rx) = (pair.sender(&TxConfig::default()), pair.receiver(&config));
        let lengths = [1518, 1519, 4000, 9014, 60];
        let sent: Vec<_> = (0..).zip(lengths).map(|(n, len)| frame(n, TEST_TYPE, len)).collect();
        send_all(&mut tx, &sent);
        assert_eq!(collect(&mut rx, 2), [sent[0].clone(), sent[4].clone()]);
        assert_eq!(drain(&mut rx).len(), 0);
        let counts = rx.statistics().unwrap();
        assert_eq!((counts.delivered, counts.truncated + counts.too_long), (2, 3), "{counts:?}");
    }
}

#[test]
fn silence_is_waited_out() {
    let Some(pair) = Pair::new(1500) else { return };
    for config in rx_configs() {
        let mut rx = pair.receiver(&config);
        let start = Instant::now();
        assert!(!rx.wait(Some(Duration::from_millis(30))).unwrap());
        assert!(start.elapsed() >= Duration::from_millis(30) && start.elapsed() < PATIENCE);
        assert_eq!(rx.receive(10, |_| ()), 0);
    }
}

#[test]
fn an_interface_is_asked_for_more_than_its_own_frames() {
    let Some(pair) = Pair::new(1500) else { return };
    // (all groups, an address) as `ip` and `bridge` tell them; `None` where there are no such programs.
    let state = || {
        let text = |program: &str, arguments: &[&str]| {
            let output = pair.right.run(|| Command::new(program).args(arguments).output());
            Some(String::from_utf8(output.unwrap().ok()?.stdout).unwrap())
        };
        let link = text("ip", &["-details", "link", "show", "right"])?;
        let addresses = text("bridge", &["fdb", "show", "dev", "right"])?;
        Some((link.contains("allmulti 1"), addresses.contains("02:00:00:00:00:77")))
    };
    let Some(before) = state() else { return common::skip("iproute2 is missing") };
    assert_eq!(before, (false, false));
    for all_multicast in [false, true] {
        for addresses in [vec![], vec![[2, 0, 0, 0, 0, 0x77]]] {
            let wanted = (all_multicast, !addresses.is_empty());
            let ring = pair.receiver(&RxConfig { all_multicast, addresses, ..RxConfig::default() });
            assert_eq!(state(), Some(wanted));
            drop(ring);
            assert_eq!(state(), Some(before));
        }
    }
}

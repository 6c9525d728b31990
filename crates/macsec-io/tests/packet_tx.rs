//! The transmit ring when things go wrong.

mod common;

use std::os::fd::AsFd;
use std::process::Command;
use std::time::Duration;

use common::{Pair, collect, drain, frame, rx_configs, send_all, skip};
use macsec_io::netlink::Netlink;
use macsec_io::packet::{
    PacketError, PacketRxRing, PacketTxRing, PushError, RxConfig, RxMode, TxConfig,
};

const TEST_TYPE: [u8; 2] = [0x88, 0xb5];
const VLAN: [u8; 2] = [0x81, 0x00];

fn set_mtu(pair: &Pair, mtu: u32) {
    pair.left.run(|| Netlink::open().unwrap().set_mtu("left", mtu).unwrap()).unwrap();
}

#[test]
fn an_oversize_frame_is_rejected_and_the_next_one_goes() {
    let Some(pair) = Pair::new(1500) else { return };
    let mut tx = pair.sender(&TxConfig::default());
    let mut rx = pair.receiver(&RxConfig::default());
    let too_long = |len, limit| Err(PushError::TooLong { len, limit });
    assert_eq!(tx.push(&frame(0, TEST_TYPE, 1515)), too_long(1515, 1514));
    assert_eq!(tx.push(&frame(0, VLAN, 1519)), too_long(1519, 1518));
    assert_eq!(tx.push(&frame(0, [0x88, 0xa8], 1515)), too_long(1515, 1514));
    assert_eq!(tx.push(&frame(0, TEST_TYPE, 100_000)), too_long(100_000, 9728));
    assert_eq!(tx.push(&frame(0, TEST_TYPE, 13)), Err(PushError::Malformed));
    let sent = [frame(1, TEST_TYPE, 1514), frame(2, VLAN, 1518), frame(3, TEST_TYPE, 14)];
    send_all(&mut tx, &sent);
    assert!(collect(&mut rx, 3) == sent);
    let counts = tx.statistics();
    assert_eq!((counts.sent, counts.rejected, counts.dropped), (3, 5, 0));
}

#[test]
fn frames_the_kernel_rejects_are_counted_and_do_not_block_the_ring() {
    let Some(pair) = Pair::new(9000) else { return };
    let mut tx = pair.sender(&TxConfig { frames: 16, ..TxConfig::default() });
    let mut rx = pair.receiver(&RxConfig::default());
    let slots = free_slots(&mut tx);
    assert_eq!(collect(&mut rx, slots).len(), slots);

    for round in 0..4 {
        let before = tx.statistics();
        // Our own check passes them; then the MTU shrinks. The first and the last are among them.
        set_mtu(&pair, 9000);
        let sent: Vec<_> = (0..slots)
            .map(|n| frame(round, TEST_TYPE, if n % 3 == 0 || n == slots - 1 { 4000 } else { 400 }))
            .collect();
        for frame in &sent {
            tx.push(frame).unwrap();
        }
        assert_eq!(tx.push(&sent[1]), Err(PushError::Full));
        set_mtu(&pair, 1500);
        let short: Vec<_> = sent.iter().filter(|f| f.len() == 400).cloned().collect();
        assert_eq!(tx.flush().unwrap(), short.len());
        assert_eq!(tx.pending(), 0);
        let after = tx.statistics();
        assert_eq!(after.sent - before.sent, short.len() as u64);
        assert_eq!(after.rejected - before.rejected, (slots - short.len()) as u64);

        // The smaller MTU is known now, and a good frame still goes.
        assert!(matches!(tx.push(&sent[0]), Err(PushError::TooLong { limit: 1514, .. })));
        let good = frame(round, TEST_TYPE, 60);
        send_all(&mut tx, std::slice::from_ref(&good));
        let got = collect(&mut rx, short.len() + 1);
        assert!(got.split_last() == Some((&good, &short[..])), "round {round}");
        assert_eq!(drain(&mut rx).len(), 0);
    }
}

/// The real number of slots: the kernel wants whole blocks.
fn free_slots(tx: &mut PacketTxRing) -> usize {
    let mut slots = 0;
    while tx.push(&frame(0, TEST_TYPE, 60)).is_ok() {
        slots += 1;
    }
    assert_eq!(tx.flush().unwrap(), slots);
    slots
}

#[test]
fn a_full_ring_is_back_pressure() {
    let Some(pair) = Pair::new(1500) else { return };
    let mut tx = pair.sender(&TxConfig { frames: 16, max_frame: 1514, ..TxConfig::default() });
    let mut rx = pair.receiver(&RxConfig::default());
    let mut sent = Vec::new();
    loop {
        let frame = frame(sent.len() as u32, TEST_TYPE, 100);
        match tx.push(&frame) {
            Ok(()) => sent.push(frame),
            Err(error) => {
                assert_eq!(error, PushError::Full);
                break;
            }
        }
    }
    assert!((16..200).contains(&sent.len()));
    assert_eq!((tx.pending(), tx.statistics().ring_full), (sent.len(), 1));
    assert!(tx.wait_for_room(Duration::from_secs(1)).unwrap());
    assert!(collect(&mut rx, sent.len()) == sent);
}

#[test]
fn frames_built_in_the_slot() {
    let Some(pair) = Pair::new(1500) else { return };
    for config in rx_configs() {
        let mut tx = pair.sender(&TxConfig { max_frame: 1600, ..TxConfig::default() });
        let mut rx = pair.receiver(&config);
        let sent: Vec<_> = (0..100).map(|n| frame(n, TEST_TYPE, 80 + n as usize)).collect();
        for (start, frame) in sent.iter().enumerate() {
            tx.push_with(|slot| {
                let range = start..start + frame.len();
                slot[range.clone()].copy_from_slice(frame);
                range
            })
            .unwrap();
        }
        assert_eq!(tx.push_with(|_| 0..0), Ok(()));
        assert_eq!(tx.push_with(|_| 0..1_000_000), Err(PushError::Malformed));
        assert_eq!(tx.push_with(|slot| slot.len()..slot.len() + 60), Err(PushError::Malformed));
        assert_eq!(tx.flush().unwrap(), 100);
        assert!(collect(&mut rx, 100) == sent);
    }
}

#[test]
fn down_drops_what_is_pending_and_up_goes_on() {
    let Some(pair) = Pair::new(1500) else { return };
    for config in rx_configs() {
        let (mut tx, mut rx) = (pair.sender(&TxConfig::default()), pair.receiver(&config));
        let mut here = pair.left.run(|| PacketRxRing::open("left", &config).unwrap()).unwrap();
        let netlink = |set: fn(&mut Netlink)| {
            pair.left.run(|| set(&mut Netlink::open().unwrap())).unwrap();
        };
        for n in 0..10 {
            tx.push(&frame(n, TEST_TYPE, 100)).unwrap();
        }
        netlink(|n| n.set_down("left").unwrap());
        assert!(matches!(tx.flush(), Err(PacketError::InterfaceDown)));
        assert_eq!((tx.pending(), tx.flush().unwrap()), (0, 0));
        // Nothing piles up, however long it takes.
        for n in 0..2000 {
            tx.push(&frame(n, TEST_TYPE, 100)).unwrap();
            assert!(matches!(tx.flush(), Err(PacketError::InterfaceDown)));
        }
        assert!(matches!(here.check_interface(), Err(PacketError::InterfaceDown)));
        let error = here.wait(Some(Duration::from_secs(1)));
        assert!(matches!(error, Err(PacketError::InterfaceDown)), "{error:?}");
        assert!(!here.wait(Some(Duration::from_millis(10))).unwrap(), "the error is taken");

        netlink(|n| n.set_up("left").unwrap());
        here.check_interface().unwrap();
        let sent: Vec<_> = (10..20).map(|n| frame(n, TEST_TYPE, 100)).collect();
        send_all(&mut tx, &sent);
        assert!(collect(&mut rx, 10) == sent, "{config:?}");
        let counts = tx.statistics();
        assert_eq!((counts.sent, counts.dropped, counts.rejected), (10, 2010, 0));

        let mut back =
            pair.right.run(|| PacketTxRing::open("right", &TxConfig::default()).unwrap()).unwrap();
        send_all(&mut back, &sent);
        assert!(collect(&mut here, 10) == sent, "the receiver goes on too");
    }
}

#[test]
fn a_removed_interface_is_an_error_for_both() {
    let Some(pair) = Pair::new(1500) else { return };
    let mut tx = pair.sender(&TxConfig::default());
    let rx = pair.receiver(&RxConfig::default());
    tx.push(&frame(0, TEST_TYPE, 100)).unwrap();
    pair.left.run(|| Netlink::open().unwrap().delete_link("left").unwrap()).unwrap();
    let error = tx.flush();
    assert!(matches!(error, Err(PacketError::InterfaceGone | PacketError::InterfaceDown)));
    assert!(rx.wait(Some(Duration::from_secs(1))).is_err());
    assert!(matches!(rx.check_interface(), Err(PacketError::InterfaceGone)));
    assert_eq!(tx.statistics().dropped, 1);
}

/// A frame that the interface has queued keeps its slot: no longer pending, but no room either.
#[test]
fn frames_in_the_interfaces_queue_take_room() {
    let Some(pair) = Pair::new(1500) else { return };
    let arguments = "qdisc add dev left root tbf rate 8kbit burst 1600 limit 8000000";
    let tc = || Command::new("tc").args(arguments.split(' ')).status();
    let status = pair.left.run(tc).unwrap();
    if !status.is_ok_and(|status| status.success()) {
        return skip("no `tc` program, or no tbf in the kernel");
    }
    let mut tx = pair.sender(&TxConfig { frames: 128, max_frame: 1514, ..TxConfig::default() });
    let mut pushed = 0;
    while tx.has_room(64) {
        for n in 0..64 {
            tx.push(&frame(n, TEST_TYPE, 1000)).expect("room");
        }
        pushed += tx.flush().unwrap();
    }
    assert_eq!((pushed % 64, tx.pending()), (0, 0));
    assert!(!tx.has_room(usize::MAX));
    assert!(!tx.wait_for_room(Duration::ZERO).unwrap() || tx.has_room(1));
}

/// A queue that is full makes the kernel refuse frames with ENOBUFS.
#[test]
fn a_congested_queue_neither_blocks_the_ring_nor_loses_count() {
    let Some(pair) = Pair::new(1500) else { return };
    let queue = |arguments: &str| {
        let run = || Command::new("tc").args(arguments.split(' ')).status();
        pair.left.run(run).unwrap().is_ok_and(|status| status.success())
    };
    if !queue("qdisc add dev left root tbf rate 8kbit burst 1600 limit 3200") {
        return skip("no `tc` program, or no tbf in the kernel");
    }
    let mut tx = pair.sender(&TxConfig::default());
    let mut rx = pair.receiver(&RxConfig::default());
    for n in 0..50 {
        tx.push(&frame(n, TEST_TYPE, 1000)).unwrap();
    }
    let mut flushes = 0;
    while tx.pending() > 0 {
        tx.flush().unwrap();
        flushes += 1;
        assert!(flushes < 2000, "stuck with {} frames", tx.pending());
    }
    let counts = tx.statistics();
    assert_eq!((counts.sent + counts.dropped, counts.rejected), (50, 0), "{counts:?}");
    assert!(counts.sent >= 2 && counts.dropped >= 40 && counts.congested > 100, "{counts:?}");
    assert!(queue("qdisc del dev left root"));
    drain(&mut rx);

    // As good as new, all around the ring.
    let sent: Vec<_> = (0..1000).map(|n| frame(n, TEST_TYPE, 100)).collect();
    for part in sent.chunks(200) {
        send_all(&mut tx, part);
        assert!(collect(&mut rx, 200) == part);
    }
    assert_eq!(tx.statistics().sent, counts.sent + 1000);
    assert_eq!(tx.statistics().dropped, counts.dropped);
}

#[test]
fn a_slow_reader_costs_frames_that_are_counted() {
    let Some(pair) = Pair::new(1500) else { return };
    let blocks = RxMode::Blocks { size: 1 << 15, count: 8, timeout: Duration::from_millis(1) };
    for mode in [RxMode::Slots { frames: 512 }, blocks] {
        let config = RxConfig { mode, max_frame: 1518, ..RxConfig::default() };
        for bypass_qdisc in [false, true] {
            let mut tx = pair.sender(&TxConfig { bypass_qdisc, ..TxConfig::default() });
            let mut rx = pair.receiver(&config);
            let mut pushed = 0;
            let mut got = 0;
            for n in 0..50_000 {
                match tx.push(&frame(n, TEST_TYPE, 60)) {
                    Ok(()) => pushed += 1,
                    Err(error) => assert_eq!(error, PushError::Full),
                }
                if n % 500 == 499 {
                    tx.flush().unwrap();
                }
                if n % 5000 == 4999 {
                    got += rx.receive(usize::MAX, |_| ()) as u64;
                }
            }
            while tx.pending() > 0 {
                assert!(tx.wait_for_room(Duration::from_secs(5)).unwrap());
            }
            got += drain(&mut rx).len() as u64;
            let (sender, receiver) = (tx.statistics(), rx.statistics().unwrap());
            assert_eq!(sender.sent + sender.dropped, pushed, "{sender:?}");
            assert_eq!(receiver.delivered, got);
            // The neighbour's own backlog may drop, too.
            assert!(got + receiver.ring_full <= sender.sent, "{sender:?} {receiver:?}");
            assert!(receiver.ring_full > 0 && got > 2000, "{sender:?} {receiver:?}");
        }
    }
}

#[test]
fn a_bad_configuration_is_refused() {
    let Some(pair) = Pair::new(1500) else { return };
    let errors = pair
        .left
        .run(|| {
            let bad = [
                TxConfig { frames: 0, ..TxConfig::default() },
                TxConfig { frames: usize::MAX, ..TxConfig::default() },
                TxConfig { max_frame: usize::MAX, ..TxConfig::default() },
            ];
            bad.map(|config| PacketTxRing::open("left", &config).unwrap_err())
        })
        .unwrap();
    assert!(errors.iter().all(|e| matches!(e, PacketError::InvalidConfig(_))), "{errors:?}");
    let elsewhere = PacketTxRing::open("left", &TxConfig::default()).unwrap_err();
    assert!(matches!(elsewhere, PacketError::Interface(_)), "{elsewhere}");
    // It can be waited for like any other.
    let tx = pair.sender(&TxConfig::default());
    let _ = tx.as_fd();
}

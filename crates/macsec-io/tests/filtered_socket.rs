//! A socket for one protocol, over a veth pair, beside whatever else there is.

mod common;

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{PATIENCE, Pair, collect, frame, send_all};
use macsec_io::interface::InterfaceError;
use macsec_io::netlink::Netlink;
use macsec_io::packet::{
    FilteredConfig, FilteredSocket, PacketError, PacketRxRing, PacketTxRing, RxConfig, TxConfig,
};
use macsec_io::poll;

const EAPOL: [u8; 2] = [0x88, 0x8e];
const DATA: [u8; 2] = [0x88, 0xe5];
const MARKER: [u8; 2] = [0x88, 0xb5];
/// Nearest Customer Bridge, nearest non-TPMR Bridge (PAE), nearest Bridge.
const GROUPS: [[u8; 6]; 3] = [
    [0x01, 0x80, 0xc2, 0, 0, 0x00],
    [0x01, 0x80, 0xc2, 0, 0, 0x03],
    [0x01, 0x80, 0xc2, 0, 0, 0x0e],
];

fn config() -> FilteredConfig {
    FilteredConfig { ether_type: 0x888e, groups: GROUPS.to_vec(), mark: 0, receive_buffer: 1 << 16 }
}

fn open(pair: &Pair, config: &FilteredConfig) -> FilteredSocket {
    pair.right.run(|| FilteredSocket::open("right", config).unwrap()).unwrap()
}

/// An EAPOL frame.
fn eapol(number: u32) -> Vec<u8> {
    let mut eapol = frame(number, EAPOL, 100);
    eapol[..6].copy_from_slice(&GROUPS[1]);
    eapol
}

fn tagged(mut frame: Vec<u8>, tag: [u8; 4]) -> Vec<u8> {
    frame.splice(12..12, tag);
    frame
}

/// What is there now.
fn take(socket: &FilteredSocket) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut buffer = [0; 1514];
    while let Some(len) = socket.recv(&mut buffer).unwrap() {
        frames.push(buffer[..len].to_vec());
    }
    frames
}

/// Sends marks until one arrives: all that has been sent before has arrived (or been lost) then.
struct Marks(PacketRxRing);

impl Marks {
    /// With a sender whose frames arrive: those sent before the kernel has noticed that a link has come
    /// up are lost.
    fn and_sender(pair: &Pair) -> (Self, PacketTxRing) {
        let config = RxConfig { ether_type: Some(0x88b5), ..RxConfig::default() };
        let (mut marks, mut tx) = (Self(pair.receiver(&config)), pair.sender(&TxConfig::default()));
        marks.settle(&mut tx);
        (marks, tx)
    }

    fn settle(&mut self, tx: &mut PacketTxRing) {
        self.0.receive(usize::MAX, |_| ());
        let deadline = Instant::now() + PATIENCE;
        loop {
            send_all(tx, &[frame(0, MARKER, 60)]);
            self.0.wait(Some(Duration::from_millis(100))).unwrap();
            if self.0.receive(usize::MAX, |_| ()) > 0 {
                return;
            }
            assert!(Instant::now() < deadline, "nothing arrives any more");
        }
    }
}

#[test]
fn frames_of_the_protocol_arrive_whatever_their_destination() {
    let Some(pair) = Pair::new(1500) else { return };
    let (mut marks, mut tx) = Marks::and_sender(&pair);
    for ether_type in [0x888e_u16, 0x876f] {
        let socket = open(&pair, &FilteredConfig { ether_type, ..config() });
        let mut sent: Vec<_> = (0..4).map(|n| frame(n, ether_type.to_be_bytes(), 100)).collect();
        for (frame, group) in sent.iter_mut().zip(GROUPS) {
            frame[..6].copy_from_slice(&group);
        }
        // The shortest and the longest.
        sent.push(frame(4, ether_type.to_be_bytes(), 14));
        sent.push(frame(5, ether_type.to_be_bytes(), 1514));
        let others = [EAPOL, [0x87, 0x6f], DATA, [0x08, 0x00], [0x88, 0x8f], [0x05, 0xdc]];
        let others = others.iter().filter(|other| u16::from_be_bytes(**other) != ether_type);
        let others: Vec<_> = others.map(|other| frame(9, *other, 100)).collect();
        send_all(&mut tx, &others);
        send_all(&mut tx, &sent);
        send_all(&mut tx, &others);
        marks.settle(&mut tx);
        assert!(take(&socket) == sent, "{ether_type:#06x}");
        assert_eq!((socket.dropped().unwrap(), socket.too_long()), (0, 0));
    }
}

#[test]
fn a_tag_of_vlan_0_is_taken_off_and_other_vlans_do_not_come() {
    let Some(pair) = Pair::new(1500) else { return };
    let (mut marks, mut tx) = Marks::and_sender(&pair);
    let socket = open(&pair, &config());
    let sent = [
        eapol(0),
        tagged(eapol(1), [0x81, 0x00, 0x00, 0x05]),
        tagged(eapol(2), [0x81, 0x00, 0x00, 0x00]),
        tagged(eapol(3), [0x81, 0x00, 0xe0, 0x00]),
        tagged(eapol(4), [0x81, 0x00, 0xe0, 0x05]),
        tagged(eapol(5), [0x81, 0x00, 0x08, 0x00]),
        tagged(eapol(6), [0x88, 0xa8, 0x00, 0x05]),
        tagged(tagged(eapol(7), [0x81, 0x00, 0x00, 0x00]), [0x81, 0x00, 0x00, 0x00]),
    ];
    send_all(&mut tx, &sent);
    marks.settle(&mut tx);
    assert_eq!(take(&socket), [eapol(0), eapol(2), eapol(3)]);
}

#[test]
fn the_interface_is_asked_for_the_groups() {
    let Some(pair) = Pair::new(1500) else { return };
    let asked_for = || {
        let read = || std::fs::read_to_string("/proc/thread-self/net/dev_mcast").unwrap();
        let text = pair.right.run(read).unwrap();
        GROUPS.map(|group| {
            let group: String = group.iter().map(|octet| format!("{octet:02x}")).collect();
            text.lines().any(|line| line.contains("right") && line.ends_with(&group))
        })
    };
    assert_eq!(asked_for(), [false; 3]);
    let socket = open(&pair, &config());
    assert_eq!(asked_for(), [true; 3]);
    drop(socket);
    assert_eq!(asked_for(), [false; 3]);
}

#[test]
fn what_it_sends_arrives_and_does_not_come_back() {
    let Some(pair) = Pair::new(1500) else { return };
    let all = RxConfig::default();
    let mut there = pair.left.run(|| PacketRxRing::open("left", &all).unwrap()).unwrap();
    let (socket, neighbour) = (open(&pair, &config()), open(&pair, &config()));
    let sent: Vec<_> = (0..50).map(eapol).collect();
    for frame in &sent {
        socket.send(frame).unwrap();
    }
    assert!(collect(&mut there, 50) == sent);
    assert!(take(&socket).is_empty());
    assert!(take(&neighbour).is_empty(), "nor to another one of this host");

    let errno = |error| match error {
        PacketError::Io("send", error) => error.raw_os_error(),
        other => panic!("{other}"),
    };
    // EMSGSIZE, EINVAL
    assert_eq!(errno(socket.send(&frame(0, EAPOL, 1515)).unwrap_err()), Some(90));
    assert_eq!(errno(socket.send(&eapol(0)[..13]).unwrap_err()), Some(22));
    assert!(common::drain(&mut there).is_empty());
}

#[test]
fn a_flood_of_other_frames_takes_no_room() {
    let Some(pair) = Pair::new(1500) else { return };
    let (mut marks, mut tx) = Marks::and_sender(&pair);
    // Room for about ten frames, read only at the end.
    let socket = open(&pair, &FilteredConfig { receive_buffer: 4096, ..config() });
    let data: Vec<_> = (0..64)
        .map(|n| match n % 4 {
            0 => frame(n, DATA, 1514),
            1 => frame(n, DATA, 60),
            2 => tagged(eapol(n), [0x81, 0x00, 0x00, 0x05]),
            _ => frame(n, [0x08, 0x00], 200),
        })
        .collect();
    for half in [[0, 1], [2, 3]] {
        send_all(&mut tx, &half.map(eapol));
        marks.settle(&mut tx);
        for _ in 0..1000 {
            send_all(&mut tx, &data);
        }
        marks.settle(&mut tx);
    }
    assert_eq!(take(&socket), [0, 1, 2, 3].map(eapol));
    assert_eq!(socket.dropped().unwrap(), 0);

    // Frames of the protocol itself do fill it, and those lost are counted.
    for burst in 1..3_u64 {
        let frames: Vec<_> = (0..100).map(eapol).collect();
        send_all(&mut tx, &frames);
        marks.settle(&mut tx);
        let kept = take(&socket);
        assert!(!kept.is_empty() && kept.len() < 50 && frames.starts_with(&kept), "{}", kept.len());
        let lost = socket.dropped().unwrap();
        assert_eq!(lost, burst * (100 - kept.len() as u64), "burst {burst}");
        assert_eq!(socket.dropped().unwrap(), lost, "asking does not change it");
    }
}

/// Both see what has passed the neighbour's queue, which may lose some.
#[test]
fn in_the_midst_of_a_flood_it_receives_what_a_ring_does() {
    let Some(pair) = Pair::new(1500) else { return };
    let (mut marks, mut tx) = Marks::and_sender(&pair);
    let ring = RxConfig { ether_type: Some(0x888e), ..RxConfig::default() };
    let (mut ring, socket) = (pair.receiver(&ring), open(&pair, &config()));
    let data: Vec<_> = (0..200).map(|n| frame(n, DATA, 60)).collect();
    let done = AtomicBool::new(false);
    let mut received = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut received = Vec::new();
            while !done.load(Ordering::Relaxed) {
                let timeout = Some(Duration::from_millis(20));
                let [ready] = poll::wait_readable([socket.as_fd()], timeout).unwrap();
                assert!(!ready.error);
                received.extend(take(&socket));
            }
            received
        });
        for n in 0..500 {
            send_all(&mut tx, &data);
            send_all(&mut tx, &[eapol(n)]);
        }
        marks.settle(&mut tx);
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap()
    });
    received.extend(take(&socket));
    let mut expected = Vec::new();
    ring.receive(usize::MAX, |frame| expected.push(frame.to_vec()));
    assert!(expected.len() > 100, "{}", expected.len());
    assert!(received == expected, "{} of {}", received.len(), expected.len());
    assert_eq!(socket.dropped().unwrap(), 0);
}

#[test]
fn nothing_comes_that_has_not_been_filtered() {
    let Some(pair) = Pair::new(1500) else { return };
    let mut tx = pair.sender(&TxConfig::default());
    let data: Vec<_> = (0..64).map(|n| frame(n, DATA, 60)).collect();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                send_all(&mut tx, &data);
            }
        });
        for _ in 0..300 {
            let socket = open(&pair, &config());
            thread::yield_now();
            let frames = take(&socket).len();
            if frames != 0 {
                done.store(true, Ordering::Relaxed);
            }
            assert_eq!(frames, 0);
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn frames_too_long_for_the_reader_are_counted_not_cut() {
    let Some(pair) = Pair::new(9000) else { return };
    let (mut marks, mut tx) = Marks::and_sender(&pair);
    let socket = open(&pair, &FilteredConfig { receive_buffer: 1 << 20, ..config() });
    let long = |n| frame(n, EAPOL, 1515 + n as usize);
    send_all(&mut tx, &[long(0), eapol(1), long(2), long(7000), eapol(3), frame(4, EAPOL, 1514)]);
    marks.settle(&mut tx);
    assert_eq!(take(&socket), [eapol(1), eapol(3), frame(4, EAPOL, 1514)]);
    assert_eq!((socket.too_long(), socket.dropped().unwrap()), (3, 0));

    // A caller comes back even if there is nothing else, and does so again.
    let many: Vec<_> = (0..100).map(long).collect();
    send_all(&mut tx, &many);
    send_all(&mut tx, &[eapol(5)]);
    marks.settle(&mut tx);
    let mut buffer = [0; 1514];
    assert_eq!(socket.recv(&mut buffer).unwrap(), None);
    let [ready] = poll::wait_readable([socket.as_fd()], Some(Duration::ZERO)).unwrap();
    assert!(ready.readable);
    assert_eq!(take(&socket), [eapol(5)]);
    assert_eq!(socket.too_long(), 103);
}

#[test]
fn it_goes_on_after_its_interface_has_been_down() {
    let Some(pair) = Pair::new(1500) else { return };
    let (mut marks, mut tx) = Marks::and_sender(&pair);
    let socket = open(&pair, &config());
    socket.check_interface().unwrap();
    let right = |up| {
        let mut netlink = Netlink::open().unwrap();
        if up { netlink.set_up("right") } else { netlink.set_down("right") }.unwrap();
    };
    pair.right.run(|| right(false)).unwrap();
    let [ready] = poll::wait_readable([socket.as_fd()], Some(PATIENCE)).unwrap();
    assert!(ready.error, "poll(2) tells");
    let mut buffer = [0; 1514];
    assert!(matches!(socket.recv(&mut buffer), Err(PacketError::InterfaceDown)));
    assert!(matches!(socket.recv(&mut buffer), Ok(None)), "once");
    assert!(matches!(socket.check_interface(), Err(PacketError::InterfaceDown)));
    let sent = socket.send(&eapol(0));
    assert!(matches!(sent, Err(PacketError::InterfaceDown | PacketError::InterfaceGone)));

    pair.right.run(|| right(true)).unwrap();
    socket.check_interface().unwrap();
    // The ring of the marks has its own error to take.
    let _ = marks.0.take_error();
    marks.settle(&mut tx);
    send_all(&mut tx, &[eapol(1)]);
    marks.settle(&mut tx);
    assert_eq!(take(&socket), [eapol(1)]);
    socket.send(&eapol(2)).unwrap();
}

#[test]
fn it_says_when_its_interface_is_gone() {
    let Some(pair) = Pair::new(1500) else { return };
    let socket = open(&pair, &config());
    pair.left.run(|| Netlink::open().unwrap().delete_link("left").unwrap()).unwrap();
    let [ready] = poll::wait_readable([socket.as_fd()], Some(PATIENCE)).unwrap();
    assert!(ready.error);
    let mut buffer = [0; 1514];
    assert!(matches!(socket.recv(&mut buffer), Err(PacketError::InterfaceDown)));
    assert!(matches!(socket.recv(&mut buffer), Ok(None)), "who wants to know more has to ask");
    assert!(matches!(socket.check_interface(), Err(PacketError::InterfaceGone)));
    assert!(matches!(socket.send(&eapol(0)), Err(PacketError::InterfaceGone)));
}

#[test]
fn what_cannot_be_is_refused() {
    let Some(pair) = Pair::new(1500) else { return };
    let refused = |name: &'static str, config: FilteredConfig| {
        pair.right.run(|| FilteredSocket::open(name, &config).unwrap_err()).unwrap()
    };
    for ether_type in [0, 3, 0x05ff] {
        let error = refused("right", FilteredConfig { ether_type, ..config() });
        assert!(matches!(error, PacketError::InvalidConfig(_)), "{error}");
    }
    let error = refused("left", config());
    assert!(
        matches!(error, PacketError::Interface(InterfaceError::NotFound(_))),
        "in another namespace: {error}"
    );
    // Any size of the buffer will do.
    for receive_buffer in [0, usize::MAX] {
        drop(open(&pair, &FilteredConfig { receive_buffer, ..config() }));
    }
}

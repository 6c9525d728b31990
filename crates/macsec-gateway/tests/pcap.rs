//! Capture files, read back.

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use macsec_gateway::pcap::{Capture, Direction, Side};
use pcap_file::{
    DataLink,
    pcapng::{
        Block, PcapNgReader,
        blocks::{
            enhanced_packet::EnhancedPacketOption,
            interface_description::InterfaceDescriptionOption,
        },
    },
};

/// A frame of a file.
#[derive(Debug, PartialEq)]
struct Frame {
    interface: String,
    direction: Direction,
    original_len: u32,
    octets: Vec<u8>,
    time: Duration,
    dropped_before: u64,
}

fn read(path: &Path) -> Vec<Frame> {
    let mut reader = PcapNgReader::new(File::open(path).unwrap()).unwrap();
    let (mut interfaces, mut frames) = (Vec::new(), Vec::new());
    while let Some(block) = reader.next_block() {
        match block.unwrap().into_owned() {
            Block::InterfaceDescription(interface) => {
                assert_eq!((interface.linktype, interface.snaplen), (DataLink::ETHERNET, 65535));
                assert!(interface.options.contains(&InterfaceDescriptionOption::IfTsResol(9)));
                interfaces.extend(interface.options.iter().find_map(|option| match option {
                    InterfaceDescriptionOption::IfName(name) => Some(name.to_string()),
                    _ => None,
                }));
            }
            Block::EnhancedPacket(packet) => {
                let flag = |flags| packet.options.contains(&EnhancedPacketOption::Flags(flags));
                frames.push(Frame {
                    interface: interfaces[packet.interface_id as usize].clone(),
                    direction: match (flag(1), flag(2)) {
                        (true, false) => Direction::Inbound,
                        (false, true) => Direction::Outbound,
                        other => panic!("{other:?}"),
                    },
                    original_len: packet.original_len,
                    octets: packet.data.to_vec(),
                    time: packet.timestamp,
                    dropped_before: packet.options.iter().fold(0, |sum, option| match option {
                        EnhancedPacketOption::DropCount(count) => sum + count,
                        _ => sum,
                    }),
                });
            }
            other => panic!("{other:?}"),
        }
    }
    frames
}

#[test]
fn frames_come_back_with_interface_direction_and_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("capture.pcapng");
    fs::write(&path, "what was there before, and open to all").unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();

    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let capture = Capture::start(&path).unwrap();
    let mut uplink = capture.tap("wan0", Side::Uplink, 1518);
    let mut tap = capture.tap("wan0", Side::Tap, 1518);
    uplink.record(Direction::Inbound, &[1; 60]);
    tap.record(Direction::Outbound, &[2; 61]);
    // A port that comes with a reload.
    let mut late = capture.tap("wan1", Side::Tap, 100);
    late.record(Direction::Inbound, &[3; 101]);
    uplink.record(Direction::Outbound, &[]);
    assert_eq!(capture.missed(), 0);
    drop(capture);
    let after = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    uplink.record(Direction::Outbound, &[9; 60]);

    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let frames = read(&path);
    let expected = [
        ("wan0/uplink", Direction::Inbound, 60, vec![1; 60]),
        ("wan0/tap", Direction::Outbound, 61, vec![2; 61]),
        ("wan1/tap", Direction::Inbound, 101, vec![3; 100]),
        ("wan0/uplink", Direction::Outbound, 0, vec![]),
    ];
    assert_eq!(frames.len(), expected.len(), "nothing after the end");
    for (frame, (interface, direction, original_len, octets)) in frames.iter().zip(expected) {
        let found = (&*frame.interface, frame.direction, frame.original_len, &frame.octets);
        assert_eq!(found, (interface, direction, original_len, &octets));
        assert!((before..=after).contains(&frame.time));
        assert_eq!(frame.dropped_before, 0);
    }
}

#[test]
fn what_was_captured_is_in_the_file_within_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("capture.pcapng");
    let capture = Capture::start(&path).unwrap();
    capture.tap("wan0", Side::Uplink, 1518).record(Direction::Inbound, &[1; 60]);
    let deadline = Instant::now() + Duration::from_secs(30);
    while fs::metadata(&path).unwrap().len() < 100 {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(read(&path).len(), 1, "while the capture goes on");
}

#[test]
fn when_the_disk_is_slower_frames_are_missed_and_nobody_waits() {
    let dir = tempfile::tempdir().unwrap();
    let (capture, pipe) = capture_to_pipe(&dir.path().join("pipe"));

    const FRAMES: u64 = 10_000;
    let mut tap = capture.tap("wan0", Side::Uplink, 1518);
    let recorder = thread::spawn(move || {
        for _ in 0..FRAMES {
            tap.record(Direction::Inbound, &[1; 1500]);
        }
        tap
    });
    let deadline = Instant::now() + Duration::from_secs(60);
    while !recorder.is_finished() {
        assert!(Instant::now() < deadline, "record() waits");
        thread::sleep(Duration::from_millis(5));
    }
    let mut tap = recorder.join().unwrap();
    let missed = capture.missed();
    assert!(missed > FRAMES / 2, "{missed}");

    // As soon as somebody reads, it goes on, and the file tells of the gap.
    let copy = dir.path().join("copy");
    let copier = thread::spawn({
        let copy = copy.clone();
        move || std::io::copy(&mut { pipe }, &mut File::create(copy).unwrap()).unwrap()
    });
    let before = capture.missed();
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut more = 0;
    while more == 0 || capture.missed() > before + more - 1 {
        assert!(Instant::now() < deadline);
        tap.record(Direction::Outbound, &[2; 60]);
        more += 1;
        thread::sleep(Duration::from_millis(5));
    }
    let missed = capture.missed();
    drop(capture);
    copier.join().unwrap();
    let frames = read(&copy);
    assert_eq!(frames.len() as u64, FRAMES + more - missed);
    assert_eq!(frames.iter().map(|frame| frame.dropped_before).sum::<u64>(), missed);
}

#[test]
fn a_capture_ends_even_if_its_reader_hangs() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe");
    let (capture, _pipe) = capture_to_pipe(&path);
    let mut tap = capture.tap("wan0", Side::Uplink, 1518);
    while capture.missed() == 0 {
        tap.record(Direction::Inbound, &[1; 1500]);
    }
    let ender = thread::spawn(move || drop(capture));
    let deadline = Instant::now() + Duration::from_secs(60);
    while !ender.is_finished() {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(5));
    }
}

/// A capture to a pipe that nobody reads from: it takes a few thousand octets and then nothing.
fn capture_to_pipe(path: &Path) -> (Capture, File) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    let reader = thread::spawn({
        let path = path.to_owned();
        move || File::open(path).unwrap()
    });
    let capture = Capture::start(path).unwrap();
    (capture, reader.join().unwrap())
}

#[test]
fn a_full_disk_ends_the_capture_and_nothing_else() {
    let capture = Capture::start(Path::new("/dev/full")).unwrap();
    let mut tap = capture.tap("wan0", Side::Uplink, 1518);
    let deadline = Instant::now() + Duration::from_secs(30);
    while capture.missed() == 0 {
        assert!(Instant::now() < deadline);
        tap.record(Direction::Inbound, &[1; 1500]);
        thread::sleep(Duration::from_millis(1));
    }
    let mut late = capture.tap("wan1", Side::Uplink, 1518);
    let missed = capture.missed();
    for _ in 0..2000 {
        tap.record(Direction::Inbound, &[1; 1500]);
        late.record(Direction::Inbound, &[1; 1500]);
    }
    assert!(capture.missed() > missed);
    assert_eq!(fs::metadata("/dev/full").unwrap().permissions().mode() & 0o777, 0o666);
}

#[test]
fn a_file_that_cannot_be_made_is_named() {
    let error = Capture::start(Path::new("/nonexistent/file")).err().unwrap();
    let expected = "pcap file /nonexistent/file: No such file or directory (os error 2)";
    assert_eq!(error.to_string(), expected);
}

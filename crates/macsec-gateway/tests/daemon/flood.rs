//! As many frames as one thread can send, of the kinds that an attacker has.

use std::{
    io::Write,
    os::unix::net::UnixStream,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use macsec_gateway::status::PortStatus;

use crate::{
    Line,
    bench::{FAR, NEAR, PATIENCE, Random, Station, Stops, Wan, figure},
    traffic::Traffic,
};

const FLOOD: Duration = Duration::from_secs(2);
/// Until every page of the rings has been used once.
const WARM_UP: Duration = Duration::from_secs(1);
/// A status that takes longer is no use to anybody.
const LONGEST_ANSWER: Duration = Duration::from_secs(2);
const MEMORY: u64 = 8 << 20;

/// A SecTAG of the peer's with an XPN's short form, then octets that no key has made.
fn wrong_icv(_: &mut Random) -> Vec<u8> {
    let tag = [0x88, 0xe5, 0x2c, 0, 0x7f, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0, 1];
    frame(&[&tag[..], &[0x5a; 100]].concat())
}

fn unknown_sci(random: &mut Random) -> Vec<u8> {
    let tag = [0x88, 0xe5, 0x2c, 0, 0, 0, 0, 1];
    let sci = random.next().to_be_bytes();
    frame(&[&tag[..], &sci, &[0x5a; 100]].concat())
}

fn macsec_garbage(random: &mut Random) -> Vec<u8> {
    frame(&[&[0x88, 0xe5], &*octets(random)].concat())
}

fn eapol(random: &mut Random) -> Vec<u8> {
    frame(&[&[0x88, 0x8e, 3, 5], &*octets(random)].concat())
}

fn garbage(random: &mut Random) -> Vec<u8> {
    frame(&octets(random))
}

/// Makes the next frame.
type Kind = fn(&mut Random) -> Vec<u8>;

const KINDS: [(&str, Kind); 5] = [
    ("random octets", garbage),
    ("0x888e", eapol),
    ("0x88e5, right SCI, wrong ICV", wrong_icv),
    ("0x88e5, unknown SCIs", unknown_sci),
    ("0x88e5, random octets", macsec_garbage),
];

#[test]
fn a_flood_starves_nobody_and_takes_no_memory() {
    let Some(line) = Line::new() else { return };
    let mut gateway = line.edge.start(&[&Wan::default()]);
    gateway.secured();
    flood(&line, garbage, WARM_UP, || ());
    flood(&line, wrong_icv, WARM_UP, || ());
    let at_first = gateway.resident();
    for (name, kind) in KINDS {
        let before = frames_in(&gateway.port("wan0"));
        let (mut answers, mut worst) = (0, Duration::ZERO);
        let sent = flood(&line, kind, FLOOD, || {
            let asked = Instant::now();
            let output = line.edge.ask(&["status", "--json"]);
            assert!(output.status.success(), "{output:?}");
            worst = worst.max(asked.elapsed());
            answers += 1;
        });
        // What the ring still holds is taken in due course.
        gateway.wait_until("every frame has had an outcome", |status| {
            frames_in(&status.ports[0]) - before == sent
        });
        let growth = gateway.resident().saturating_sub(at_first);
        let dropped = gateway.port("wan0").local["ring-drop"];
        figure(&format!(
            "flood of {name}: {} frames/s, {answers} answers, the slowest in {} ms, {} KiB grown \
             (RingDrop so far {dropped})",
            sent / FLOOD.as_secs(),
            worst.as_millis(),
            growth >> 10,
        ));
        assert!(answers > 0 && worst < LONGEST_ANSWER, "{name}: {worst:?}");
        assert!(growth < MEMORY, "{name}: {growth} octets grown");
    }
    let mut traffic = Traffic::new(&line);
    traffic.recovers();
    traffic.all_pass(500);
    gateway.stop();
}

/// Sends from the far end for some time, with `meanwhile` again and again, and returns how many frames
/// have gone.
fn flood(line: &Line, kind: Kind, time: Duration, mut meanwhile: impl FnMut()) -> u64 {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let _stops = Stops(&stop);
        let sender = scope.spawn(|| {
            let Station { mut tx, .. } = line.wire("far0");
            let before = tx.statistics().sent;
            let mut random = Random(0x9e37_79b9_7f4a_7c15);
            while !stop.load(Ordering::Relaxed) {
                for _ in 0..64 {
                    let _ = tx.push(&kind(&mut random));
                }
                let _ = tx.wait_for_room(PATIENCE);
            }
            let deadline = Instant::now() + PATIENCE;
            while tx.pending() > 0 && Instant::now() < deadline {
                let _ = tx.flush();
            }
            // Frames that have been taken are on their way still.
            thread::sleep(Duration::from_millis(100));
            let _ = tx.flush();
            tx.statistics().sent - before
        });
        let until = Instant::now() + time;
        while Instant::now() < until {
            meanwhile();
            thread::sleep(Duration::from_millis(20));
        }
        stop.store(true, Ordering::Relaxed);
        sender.join().expect("the sender")
    })
}

/// Every frame of the wire, by what has become of it.
fn frames_in(port: &PortStatus) -> u64 {
    let secy = port.secy.as_ref().expect("a SecY");
    let packets = secy.verification.iter().chain(&secy.receive_sc_sum);
    let packets = packets.filter(|(name, _)| name.contains("pkts")).map(|(_, count)| count);
    let local = ["ring-drop", "eapol-from-uplink", "runt", "reserved-tci", "duplicate"];
    packets.sum::<u64>() + local.iter().map(|name| port.local[*name]).sum::<u64>()
}

#[test]
fn those_who_only_hold_the_control_socket_stop_nothing() {
    let Some(line) = Line::new() else { return };
    let mut gateway = line.edge.start(&[&Wan::default()]);
    gateway.secured();
    let mut traffic = Traffic::new(&line);
    let stop = AtomicBool::new(false);
    let connections = thread::scope(|scope| {
        let _stops = Stops(&stop);
        let clients = scope.spawn(|| {
            let (mut held, mut connections) = (Vec::new(), 0);
            while !stop.load(Ordering::Relaxed) {
                if let Ok(mut stream) = UnixStream::connect(line.edge.socket()) {
                    connections += 1;
                    let _ = stream.write_all(b"{\"request\":\"sta");
                    held.push(stream);
                }
                if held.len() > 100 {
                    held.drain(..50);
                }
            }
            connections
        });
        for _ in 0..20 {
            traffic.all_pass(200);
        }
        stop.store(true, Ordering::Relaxed);
        clients.join().expect("clients")
    });
    figure(&format!("{connections} connections with half a request, and no frame lost"));
    gateway.secured();
    // Nonsense is answered as such.
    let mut stream = UnixStream::connect(line.edge.socket()).expect("it listens");
    stream.write_all(b"{\"request\":\"sesame\"}\n").expect("sent");
    let answer = std::io::read_to_string(stream).expect("an answer");
    assert!(answer.starts_with("{\"refused\""), "{answer}");
    gateway.stop();
}

fn frame(behind_addresses: &[u8]) -> Vec<u8> {
    let mut frame = [&NEAR[..], &FAR, behind_addresses].concat();
    frame.resize(frame.len().max(60), 0);
    frame
}

fn octets(random: &mut Random) -> Vec<u8> {
    let words = 8 + random.below(24);
    (0..words).flat_map(|_| random.next().to_be_bytes()).collect()
}

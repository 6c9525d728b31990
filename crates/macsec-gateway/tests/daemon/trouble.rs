//! What goes wrong around a gateway, and what it does then.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use crate::{
    Line,
    bench::{FAR, NEAR, Stops, Wan, numbered},
    common::StopAtEnd,
    traffic::Traffic,
};

/// Packet numbers of frames on the wire (the lower half).
fn packet_numbers(frames: &[Vec<u8>]) -> Vec<u32> {
    let octets = frames.iter().filter_map(|frame| frame.get(16..20)?.try_into().ok());
    octets.map(u32::from_be_bytes).collect()
}

#[test]
fn a_record_that_cannot_be_written_withholds_frames_and_no_more() {
    let Some(line) = Line::new() else { return };
    let mut gateway = line.edge.start(&[&Wan::default()]);
    gateway.secured();
    let mut traffic = Traffic::new(&line);
    traffic.recovers();
    let state = line.edge.path("state");
    let allow = |mode| fs::set_permissions(&state, fs::Permissions::from_mode(mode)).expect("mode");
    for _ in 0..2 {
        allow(0o500);
        // More than the marks are ahead, both ways, for longer than anybody would wait for a disk.
        let stop = AtomicBool::new(false);
        let (mut host, mut wire) = (line.edge.station("wan0"), line.wire("far0"));
        let peer = &mut traffic.peer;
        thread::scope(|scope| {
            let _stops = Stops(&stop);
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    for _ in 0..32 {
                        host.send(&numbered(FAR, NEAR, 0, 100));
                        wire.send(&peer.protect(&numbered(NEAR, FAR, 0, 100)));
                    }
                    thread::sleep(Duration::from_millis(2));
                }
            });
            let ended = StopAtEnd(&stop);
            gateway.shows("!! ");
            for _ in 0..20 {
                let port = gateway.port("wan0");
                assert!(port.secy.is_some(), "the port answers: {:?}", port.problems);
                let [problem] = &port.problems[..] else { panic!("{:?}", port.problems) };
                assert!(problem.contains("Permission denied"), "{problem}");
                thread::sleep(Duration::from_millis(100));
            }
            drop(ended);
        });
        let port = gateway.port("wan0");
        let sa = &port.secy.as_ref().expect("a SecY").transmit_sc.transmit_sa[0];
        assert!(sa.next_pn <= sa.pn_limit, "{sa:?}");
        assert!(port.local["state-drop"] > 0, "{:?}", port.local);
        allow(0o700);
        gateway.secured();
        traffic.host = line.edge.station("wan0");
        traffic.wire = line.wire("far0");
        traffic.recovers();
        traffic.all_pass(200);
    }
    gateway.stop();
}

/// Regression: when the SecY had seen more of a peer than could be put on record, SAs made anew from the
/// record were refused by that SecY for good.
#[test]
fn keys_come_back_after_a_disk_failure_with_a_reload_in_its_midst() {
    let Some(line) = Line::new() else { return };
    let mut gateway = line.edge.start(&[&Wan::default()]);
    gateway.secured();
    let mut traffic = Traffic::new(&line);
    traffic.recovers();
    let state = line.edge.path("state");
    let allow = |mode| fs::set_permissions(&state, fs::Permissions::from_mode(mode)).expect("mode");
    allow(0o500);
    // The peer takes a leap beyond the record.
    traffic.peer.raise(1 << 20);
    let mut wire = line.wire("far0");
    wire.send(&traffic.peer.protect(&numbered(NEAR, FAR, 0, 100)));
    gateway.wait_until("a frame is withheld", |status| {
        status.ports[0].local.get("state-drop").is_some_and(|count| *count > 0)
    });
    line.edge.configure(&[&Wan::default().lines("confidentiality = false")]);
    gateway.reload(false).expect("done");
    gateway.shows("CLOSED");
    allow(0o700);
    gateway.secured();
    line.edge.configure(&[&Wan::default()]);
    gateway.reload(false).expect("done");
    gateway.secured();
    traffic.host = line.edge.station("wan0");
    traffic.wire = line.wire("far0");
    traffic.recovers();
    traffic.all_pass(200);
    gateway.stop();
}

#[test]
fn a_log_that_nobody_reads() {
    let Some(line) = Line::new() else { return };
    line.edge.configure(&[&Wan::default()]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_macsec"));
    command.arg("run").arg("--config").arg(line.edge.path("macsec.toml"));
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = line.edge.run(|| command.spawn()).expect("a process");
    // As when the journal is started anew.
    drop(child.stderr.take());
    let mut gateway = line.edge.adopt(child);
    gateway.secured();
    let mut traffic = Traffic::new(&line);
    for _ in 0..2 {
        line.edge.netlink(|netlink| netlink.set_down("up0").expect("down"));
        gateway.shows("NO CARRIER");
        line.edge.netlink(|netlink| netlink.set_up("up0").expect("up"));
        gateway.secured();
        gateway.signal("-HUP");
        traffic.recovers();
        traffic.all_pass(100);
    }
    gateway.stop();
}

#[test]
fn signals_by_the_dozen() {
    let Some(line) = Line::new() else { return };
    let mut gateway = line.edge.start(&[&Wan::default()]);
    gateway.secured();
    let mut traffic = Traffic::new(&line);
    traffic.recovers();
    for _ in 0..10 {
        for _ in 0..10 {
            gateway.signal("-HUP");
        }
        traffic.all_pass(200);
    }
    // One that stands still for a while, and goes on.
    gateway.signal("-STOP");
    thread::sleep(Duration::from_millis(500));
    gateway.signal("-CONT");
    traffic.recovers();
    traffic.all_pass(200);
    gateway.secured();
    gateway.stop();
}

#[test]
fn an_end_in_the_midst_of_traffic_leaves_no_gap() {
    for isolation in ["filter", "namespace"] {
        let Some(line) = Line::new() else { return };
        let wan = Wan { isolation, ..Wan::default() };
        let mut gateway = line.edge.start(&[&wan]);
        gateway.secured();
        let mut seen = Vec::new();
        for _ in 0..5 {
            let (mut host, mut wire) = (line.edge.station("wan0"), line.wire("far0"));
            let stop = AtomicBool::new(false);
            thread::scope(|scope| {
                let _stops = Stops(&stop);
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        for _ in 0..32 {
                            let _ = host.tx.push(&numbered(FAR, NEAR, 0, 100));
                        }
                        let _ = host.tx.flush();
                        seen.extend(packet_numbers(&wire.received()));
                        thread::sleep(Duration::from_millis(1));
                    }
                });
                let ended = StopAtEnd(&stop);
                thread::sleep(Duration::from_millis(200));
                gateway.stop();
                drop(ended);
            });
            seen.extend(packet_numbers(&wire.received()));
            assert_eq!(wire.rx.statistics().expect("statistics").ring_full, 0, "all is seen");
            gateway = line.edge.start_again();
            gateway.secured();
            let secy = gateway.port("wan0").secy.expect("a SecY");
            let next_pn = secy.transmit_sc.transmit_sa[0].next_pn;
            assert_eq!(next_pn, Some(seen.len() as u64 + 1), "{isolation}");
        }
        seen.sort_unstable();
        assert!(seen.iter().copied().eq(1..=seen.len() as u32), "{isolation}: a gap");
        assert!(seen.len() > 1000, "{isolation}: too little traffic");
        gateway.stop();
    }
}

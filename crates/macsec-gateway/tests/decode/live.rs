//! `--follow`.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use macsec_io::{
    netlink::{Netlink, VethEnd},
    netns::Namespace,
    packet::{PacketTxRing, TxConfig},
    sysctl,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::bench::{Bench, CAK, read_pcap};
use crate::common::skip;

const PATIENCE: Duration = Duration::from_secs(60);

/// Two ends of a wire, in a network namespace of their own; none without the privileges for it.
fn wire() -> Option<Namespace> {
    let namespace = match Namespace::new() {
        Ok(namespace) => namespace,
        Err(error) => {
            skip(&error.to_string());
            return None;
        }
    };
    let plug = || {
        let mut netlink = Netlink::open().expect("a socket");
        netlink.create_veth(&VethEnd::new("near"), &VethEnd::new("far")).expect("a pair");
        for name in ["near", "far"] {
            sysctl::disable_ipv6(name).expect("no chatter");
            netlink.set_up(name).expect("up");
        }
    };
    namespace.run(plug).expect("a thread");
    Some(namespace)
}

/// Sends the session of the bench, and waits until all of it has been told; gives stdout.
fn follow(bench: &Bench, namespace: &Namespace, arguments: &[&str]) -> (String, Option<i32>) {
    let keys = bench.keys_file(CAK);
    let all = [&["--follow", "near", "--keys", &keys], arguments].concat();
    let mut child = namespace
        .run(|| {
            let mut command = bench.command(&all);
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().expect("the binary has been built")
        })
        .expect("a thread");
    let mut stderr = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut line = String::new();
    stderr.read_line(&mut line).expect("text");
    assert!(line.contains("following near"), "{line}");
    namespace
        .run(|| {
            let mut ring = PacketTxRing::open("far", &TxConfig::default()).expect("a ring");
            for frame in Bench::session() {
                ring.push(&frame.octets).expect("room");
                ring.flush().expect("up");
                std::thread::sleep(Duration::from_millis(2));
            }
        })
        .expect("a thread");
    // They are all with the receiver by now, or very nearly.
    std::thread::sleep(Duration::from_secs(1));
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::INT).expect("it runs");
    let mut stdout = String::new();
    child.stdout.take().expect("a pipe").read_to_string(&mut stdout).expect("text");
    (stdout, ended(&mut child))
}

fn ended(child: &mut Child) -> Option<i32> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().expect("ours") {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    None
}

#[test]
fn an_interface_is_followed_until_a_signal_and_frames_wait_for_their_sak() {
    let bench = Bench::new();
    let Some(namespace) = wire() else { return };
    let (text, code) = follow(&bench, &namespace, &[]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(text.matches(" ICV ok CKN ").count(), 9, "{text}");
    assert!(text.contains("near: 12 frames"), "{text}");
    assert!(text.contains("2: opened 2, ICV bad 0, no SAK 0"), "{text}");
}

#[test]
fn what_is_written_of_an_interface_keeps_its_order() {
    let bench = Bench::new();
    let Some(namespace) = wire() else { return };
    let out = bench.path("live.pcap");
    let (json, code) = follow(&bench, &namespace, &["--json", "--write", &out]);
    assert_eq!(code, Some(0), "{json}");
    let json: Value = serde_json::from_str(&json).expect("one object");
    assert_eq!((&json["data_ok"], &json["lost"]), (&2.into(), &0.into()));
    let (frames, nanoseconds) = read_pcap(&out);
    assert!(nanoseconds);
    let octets: Vec<_> = frames.into_iter().map(|(_, octets)| octets).collect();
    let expected: Vec<_> = Bench::session().into_iter().map(|frame| frame.clear).collect();
    assert_eq!(octets, expected);
}

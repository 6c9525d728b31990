//! Keys stay out of sight, and what is logged and captured is as promised.

use std::{collections::HashSet, fs, process::Command};

use pcap_file::pcapng::{
    Block, PcapNgReader, blocks::interface_description::InterfaceDescriptionOption,
};

use crate::{
    Line,
    bench::{OTHER_SAK_256, SAK_256, SALT, Wan},
    traffic::Traffic,
};

#[test]
fn keys_are_nowhere_to_be_seen() {
    let Some(line) = Line::new() else { return };
    let edge = &line.edge;
    let inline =
        Wan::default().to_string().replace("sak_file = \"k256\"", &format!("sak = \"{SAK_256}\""));
    edge.configure_text(&inline);
    let mut gateway = edge.spawn(&["--log-level", "trace", "--log-format", "json"]);
    gateway.secured();
    let mut traffic = Traffic::new(&line);
    traffic.all_pass(100);
    // Another key, a broken one, and a fault in the very line of a key.
    edge.configure(&[&Wan { sak_file: "other256", ..Wan::default() }]);
    gateway.reload(false).expect("done");
    edge.configure_text(&inline.replace(SAK_256, &SAK_256[1..]));
    gateway.reload(false).expect_err("too short");
    edge.configure_text(&inline.replace("sak = ", "sakk = "));
    gateway.reload(false).expect_err("unknown");
    edge.configure_text(&inline.replace("sak = \"", "sak = "));
    gateway.signal("-HUP");
    gateway.wait_until("it has heard", |_| gateway_log(&line).contains("reload refused"));

    let status = edge.ask(&["status", "--json"]).stdout;
    let text = edge.ask(&["status"]).stdout;
    let cmdline = fs::read(format!("/proc/{}/cmdline", gateway.pid())).expect("a process");
    let pid = gateway.pid();
    let mut places = vec![("cmdline", cmdline), ("status", status), ("status as text", text)];
    for task in fs::read_dir(format!("/proc/{pid}/task")).expect("threads") {
        let comm = fs::read(task.expect("a thread").path().join("comm")).unwrap_or_default();
        places.push(("comm", comm));
    }
    unreadable(pid);
    gateway.stop();
    places.push(("log", gateway_log(&line).into_bytes()));
    for file in fs::read_dir(edge.path("state")).expect("state") {
        let path = file.expect("a file").path();
        places.push(("state", path.display().to_string().into_bytes()));
        places.push(("state", fs::read(path).expect("a file")));
    }
    for (place, octets) in places {
        let octets = String::from_utf8_lossy(&octets).to_lowercase();
        for secret in [SAK_256, OTHER_SAK_256] {
            // Not even a part of it.
            for part in [&secret[..16], &secret[1..17], &secret[48..]] {
                assert!(!octets.contains(part), "a key in {place}: {octets}");
            }
            let decimal = format!("{}, {}, {}", byte(secret, 0), byte(secret, 1), byte(secret, 2));
            assert!(!octets.contains(&decimal), "a key in {place}: {octets}");
        }
        assert!(place == "state" || !octets.contains(SALT), "the salt in {place}");
    }

    // The log is JSON throughout, an object a line, with what has happened.
    let log = gateway_log(&line);
    let mut events = HashSet::new();
    for line in log.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| {
            panic!("{error}: {line}");
        });
        let message = event["message"].as_str().expect("a message").to_owned();
        assert!(event["level"].is_string() && event["timestamp"].is_string(), "{line}");
        events.insert(message);
    }
    for event in ["uplink taken", "TAP up", "controlled port", "gateway started", "port ended"] {
        assert!(events.contains(event), "{event}: {events:?}");
    }
}

fn byte(digits: &str, index: usize) -> u8 {
    u8::from_str_radix(&digits[2 * index..2 * index + 2], 16).expect("digits")
}

fn gateway_log(line: &Line) -> String {
    fs::read_to_string(line.edge.path("log")).expect("a log")
}

/// What lets root look at memory: the last two from Linux 6.16 on.
const WITHOUT_PTRACE: &str = "--bounding-set=-sys_ptrace,-sys_admin,-perfmon";

/// Neither another user nor root without `CAP_SYS_PTRACE` looks into the process `pid`.
fn unreadable(pid: u32) {
    // Without capabilities, as those would protect it too.
    let mut other = Command::new("setpriv");
    let mut other = other.args(["--bounding-set=-all", "sleep", "60"]).spawn().expect("sleep");
    for who in ["--reuid=65534", WITHOUT_PTRACE] {
        let look = |pid: u32, what: &str| {
            let path = format!("/proc/{pid}/{what}");
            let mut command = Command::new("setpriv");
            command.args([who, "--clear-groups", "head", "-c", "1", &path]);
            command.output().expect("setpriv of util-linux")
        };
        for what in ["environ", "maps", "mem"] {
            let seen = look(pid, what);
            assert!(!seen.status.success() && seen.stdout.is_empty(), "{who}: {what}: {seen:?}");
        }
        // It is the process that makes the difference.
        let control = look(other.id(), "environ");
        assert_eq!(control.status.success(), who == WITHOUT_PTRACE, "{control:?}");
    }
    other.kill().expect("a child");
    other.wait().expect("a child");
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a line");
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
}

#[test]
fn a_capture_has_both_sides() {
    let Some(line) = Line::new() else { return };
    let capture = line.edge.path("capture.pcapng");
    line.edge.configure(&[&Wan::default()]);
    let mut gateway = line.edge.spawn(&["--pcap", capture.to_str().expect("UTF-8")]);
    gateway.secured();
    Traffic::new(&line).all_pass(100);
    gateway.stop();

    let file = fs::File::open(capture).expect("a file");
    let mut reader = PcapNgReader::new(file).expect("a capture");
    let (mut names, mut counts) = (Vec::new(), [0; 2]);
    while let Some(block) = reader.next_block() {
        match block.expect("a block") {
            Block::InterfaceDescription(interface) => {
                names.extend(interface.options.iter().find_map(|option| match option {
                    InterfaceDescriptionOption::IfName(name) => Some(name.to_string()),
                    _ => None,
                }));
            }
            Block::EnhancedPacket(packet) => {
                let name = &names[packet.interface_id as usize];
                let protected = packet.data[12..14] == [0x88, 0xe5];
                assert_eq!(protected, name.contains("uplink"), "{name}");
                counts[usize::from(protected)] += 1;
            }
            _ => {}
        }
    }
    // Some before these 200, until they passed.
    assert!(counts[0] == counts[1] && counts[0] >= 200, "{counts:?} of {names:?}");
}

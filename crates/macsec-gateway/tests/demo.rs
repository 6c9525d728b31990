//! `macsec demo`, run as a user runs it. Needs root, or a user namespace and `/dev/net/tun`.

mod common;

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use common::{CANNOT_RUN, macsec, skip, stderr, stdout};
use macsec_gateway::demo::topology::{End, TAP, Topology};
use macsec_io::{netlink::Netlink, tap::Tap};
use serde_json::Value;

/// For what has to come, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(30);

/// One at a time: two demos at once would take the processor from each other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn demo(arguments: &[&str]) -> Option<std::process::Output> {
    let _guard = ONE_AT_A_TIME.lock();
    let output = macsec(&[&["demo"], arguments].concat());
    if output.status.code() == Some(CANNOT_RUN) {
        skip(stderr(&output).trim());
        return None;
    }
    Some(output)
}

/// A run in which all holds that holds whatever the keys are. None where it cannot run.
fn assert_holds(suite: &str, options: &[&str]) -> Option<Value> {
    let output = demo(&[&["--json", "--cipher-suite", suite], options].concat())?;
    let text = stdout(&output);
    assert_eq!(text.lines().count(), 1, "one JSON object and nothing else: {text}{output:?}");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    assert_eq!(report["cipher_suite"], suite);
    assert_eq!(report["backend"], "portable");
    for (nothing, why) in
        [("frames_lost", "nothing lost"), ("plaintext_frames_on_wire", "nothing in clear")]
    {
        assert_eq!(report[nothing], 0, "{why}: {report:#}");
    }
    for attack in ["tampered", "replayed", "injected"] {
        let made = report["attacks"][attack].as_u64().expect("a count");
        assert!(made > 0, "{attack}: {report:#}");
        assert_eq!(report[format!("{attack}_dropped")], made, "{attack}: {report:#}");
    }
    assert_eq!(report["frames_sent"], report["frames_delivered"]);
    assert!(report["frames_delivered"].as_u64() > Some(400), "{report:#}");
    assert!(report["seconds"].as_f64() >= Some(2.0));
    // Encrypted, not merely authenticated.
    for gateway in report["gateways"].as_array().expect("two gateways") {
        let counters = &gateway["counters"];
        assert_eq!(counters["OutPktsEncrypted"], gateway["sealed"]);
        assert_eq!(counters["OutPktsProtected"], 0);
        assert_eq!(counters["OutPktsUntagged"], 0);
        assert_eq!(counters["InPktsUntagged"], 0);
        assert_eq!(counters["InPktsOK"], gateway["delivered"]);
    }
    Some(report)
}

fn assert_holds_with_static_keys(suite: &str) {
    let Some(report) = assert_holds(suite, &["--static", "--seconds", "2"]) else { return };
    assert_eq!(report["wire"]["eapol"], 0);
    assert!(report.get("mka_up_ms").is_none(), "{report:#}");
}

#[test]
fn keys_are_agreed_on_and_rotated_and_a_gateway_comes_back() {
    let Some(report) = assert_holds("gcm-aes-xpn-256", &["--seconds", "10"]) else { return };
    assert_eq!(report["frames_lost_during_rotation"], 0);
    assert!(report["sak_rotations"].as_u64() >= Some(2), "{report:#}");
    for time in ["mka_up_ms", "recovered_after_restart_ms"] {
        // How long exactly is a matter of the machine.
        assert!(report[time].as_u64() > Some(0), "{time}: {report:#}");
    }
    assert!(report["wire"]["eapol"].as_u64() > Some(0), "{report:#}");
    assert_eq!(report["wire"]["repeated"], 0);
}

#[test]
fn a_short_run_has_no_time_for_a_rotation() {
    let Some(report) = assert_holds("gcm-aes-128", &["--seconds", "2"]) else { return };
    assert_eq!([&report["sak_rotations"], &report["sak_rotations_required"]], [0, 0]);
}

#[test]
fn gcm_aes_128_holds() {
    assert_holds_with_static_keys("gcm-aes-128");
}

#[test]
fn gcm_aes_256_holds() {
    assert_holds_with_static_keys("gcm-aes-256");
}

#[test]
fn gcm_aes_xpn_128_holds() {
    assert_holds_with_static_keys("gcm-aes-xpn-128");
}

#[test]
fn gcm_aes_xpn_256_holds() {
    assert_holds_with_static_keys("gcm-aes-xpn-256");
}

#[test]
fn the_report_for_people_reads_to_the_end() {
    let Some(output) = demo(&["--seconds", "10"]) else {
        return;
    };
    let text = stdout(&output);
    assert!(output.status.success(), "{text}");
    for part in [
        "secured by MKA",
        "1 s   A to B",
        "rotation 1",
        "CAK rolled",
        "gateway B got a wrong CAK",
        "gateway A killed and started again",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.trim_end().ends_with("every attack dropped and counted."), "{text}");
    let longest = text.lines().map(|line| line.chars().count()).max();
    assert!(longest <= Some(80), "fits a terminal of 80 columns: {text}");
}

/// The children of a process, by what the kernel says of all processes.
fn children_of(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").expect("/proc");
    let names = processes.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names
        .filter_map(|name| {
            let stat = fs::read_to_string(format!("/proc/{name}/stat")).ok()?;
            // Behind the name, which may hold anything: the state, then the parent.
            let parent_of_it = stat.rsplit_once(") ")?.1.split(' ').nth(1)?;
            (parent_of_it.parse() == Ok(parent)).then(|| name.parse().ok())?
        })
        .collect()
}

fn is_alive(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

/// What a process was started with.
fn arguments_of(process: u32) -> Vec<String> {
    let octets = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    let arguments = octets.split(|octet| *octet == 0).map(|part| String::from_utf8_lossy(part));
    arguments.skip(1).filter(|part| !part.is_empty()).map(String::from).collect()
}

#[test]
fn a_killed_demo_leaves_nothing_behind() {
    let _guard = ONE_AT_A_TIME.lock();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_macsec"))
        .args(["demo", "--seconds", "60"])
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary has been built");
    let until = Instant::now() + PATIENCE;
    // The guard and two gateways, each of which is a copy of its parent for a moment.
    let is_at_work = |child: &u32| {
        let name = arguments_of(*child);
        name.first().is_some_and(|name| matches!(name.as_str(), "run" | "demo-guard"))
    };
    let mut children = Vec::new();
    while children.iter().filter(|child| is_at_work(child)).count() < 3 {
        if let Some(status) = demo.try_wait().expect("a child") {
            assert_eq!(status.code(), Some(CANNOT_RUN));
            return skip("no demo here");
        }
        assert!(Instant::now() < until, "{children:?}");
        std::thread::sleep(Duration::from_millis(20));
        children = children_of(demo.id());
    }
    let gateway = children.iter().find_map(|child| match &arguments_of(*child)[..] {
        [run, config, file] if run == "run" && config == "--config" => Some(PathBuf::from(file)),
        _ => None,
    });
    let gateway = gateway.expect("no key for all to see, and nothing special");
    let directory = gateway.parent().expect("a directory");
    let mode = |path: &Path| fs::metadata(path).expect("a file").permissions().mode() & 0o777;
    assert_eq!((mode(directory), mode(&gateway)), (0o700, 0o600), "{directory:?}");
    demo.kill().expect("SIGKILL");
    demo.wait().expect("it ends");
    let until = Instant::now() + PATIENCE;
    while children.iter().any(|child| is_alive(*child)) {
        assert!(Instant::now() < until, "{children:?} live on");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!directory.exists(), "{directory:?}");
}

/// What one cloud said before the other is up would be lost, and fail a demo that did nothing
/// wrong.
#[test]
fn a_cloud_is_silent_until_someone_uses_it() {
    let topology = match Topology::new() {
        Ok(topology) => topology,
        Err(error) => return skip(&error.to_string()),
    };
    let use_tap = || {
        let tap = Tap::create(TAP).expect("it is there");
        Netlink::open().expect("netlink").set_up(TAP).expect("it comes up");
        tap
    };
    let tap = topology.cloud(End::A).run(use_tap).expect("the namespace");
    std::thread::sleep(Duration::from_millis(1500));
    let error = tap.read(&mut [0; 2000]).expect_err("nothing to read");
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn wrong_options_are_one_clear_line() {
    for (arguments, says) in [
        (&["--cipher-suite", "des"][..], "expected gcm-aes-128, gcm-aes-256"),
        (&["--seconds", "0"], "--seconds"),
        (&["--seconds", "soon"], "--seconds"),
    ] {
        let output = macsec(&[&["demo"], arguments].concat());
        assert_eq!(output.status.code(), Some(CANNOT_RUN));
        let first = stderr(&output).lines().next().map(str::to_owned).unwrap_or_default();
        assert!(first.contains(says), "{first}");
        assert!(output.stdout.is_empty());
    }
}

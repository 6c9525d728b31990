//! `macsec demo`, run as a user runs it. Needs root, or a user namespace and `/dev/net/tun`.

mod common;

use std::sync::Mutex;

use common::{CANNOT_RUN, macsec, skip, stderr, stdout};
use serde_json::Value;

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

fn assert_holds(suite: &str) {
    let Some(output) = demo(&["--json", "--seconds", "2", "--cipher-suite", suite]) else {
        return;
    };
    let text = stdout(&output);
    assert_eq!(
        text.lines().count(),
        1,
        "one JSON object and nothing else: {text}"
    );
    let report: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    assert_eq!(report["cipher_suite"], suite);
    assert_eq!(report["backend"], "portable");
    for (nothing, why) in [
        ("frames_lost", "nothing lost"),
        ("plaintext_frames_on_wire", "nothing in clear"),
    ] {
        assert_eq!(report[nothing], 0, "{why}: {report:#}");
    }
    for attack in ["tampered", "replayed", "injected"] {
        let made = report["attacks"][attack].as_u64().expect("a count");
        assert!(made > 0, "{attack}: {report:#}");
        assert_eq!(
            report[format!("{attack}_dropped")],
            made,
            "{attack}: {report:#}"
        );
    }
    assert_eq!(report["frames_sent"], report["frames_delivered"]);
    assert!(
        report["frames_delivered"].as_u64() > Some(400),
        "{report:#}"
    );
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
}

#[test]
fn gcm_aes_128_holds() {
    assert_holds("gcm-aes-128");
}

#[test]
fn gcm_aes_256_holds() {
    assert_holds("gcm-aes-256");
}

#[test]
fn gcm_aes_xpn_128_holds() {
    assert_holds("gcm-aes-xpn-128");
}

#[test]
fn gcm_aes_xpn_256_holds() {
    assert_holds("gcm-aes-xpn-256");
}

#[test]
fn the_report_for_people_reads_to_the_end() {
    let Some(output) = demo(&["--seconds", "2"]) else {
        return;
    };
    let text = stdout(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 s   A to B"), "live lines: {text}");
    assert!(
        text.trim_end()
            .ends_with("every attack dropped and counted."),
        "{text}"
    );
    let longest = text.lines().map(|line| line.chars().count()).max();
    assert!(longest <= Some(80), "fits a terminal of 80 columns: {text}");
}

#[test]
fn wrong_options_are_one_clear_line() {
    for (arguments, says) in [
        (
            &["--cipher-suite", "des"][..],
            "expected gcm-aes-128, gcm-aes-256",
        ),
        (&["--seconds", "0"], "--seconds"),
        (&["--seconds", "soon"], "--seconds"),
    ] {
        let output = macsec(&[&["demo"], arguments].concat());
        assert_eq!(output.status.code(), Some(CANNOT_RUN));
        let first = stderr(&output)
            .lines()
            .next()
            .map(str::to_owned)
            .unwrap_or_default();
        assert!(first.contains(says), "{first}");
        assert!(output.stdout.is_empty());
    }
}

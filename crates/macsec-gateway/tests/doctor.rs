//! `macsec doctor`: what counters point at, machines that lack something, and gateways that run.

mod common;
mod doctor {
    pub mod bench;
    pub mod statuses;
}

use std::{fs, net::UdpSocket, os::unix::fs::PermissionsExt, time::Duration};

use doctor::{
    bench::{self, Bench, Doctor, FAR, NEAR},
    statuses::{healthy, idle, sample, set},
};
use macsec_gateway::{
    doctor::{Finding, Level, Sample, counters, render},
    status::PortStatus,
};
use macsec_io::netlink::{Netlink, VethEnd};

/// Findings as bad as `level`, or worse.
fn from(level: Level, findings: &[Finding]) -> Vec<&Finding> {
    findings.iter().filter(|finding| finding.level >= level).collect()
}

fn judge(before: &PortStatus, after: &PortStatus) -> Vec<Finding> {
    counters(&Sample { before, after, interval: Duration::from_secs(2) })
}

#[test]
fn a_port_that_works_has_nothing_to_complain_about() {
    let (before, after) = healthy();
    let findings = judge(&before, &after);
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!((findings[0].level, findings[0].check), (Level::Ok, "traffic"));
    assert_eq!(findings[0].port.as_deref(), Some("wan0"));

    let findings = judge(&idle(), &idle());
    assert_eq!((findings[0].level, findings[0].check), (Level::Note, "traffic"), "{findings:?}");
}

/// Each counter that has a meaning of its own, on a port where frames pass: how bad it is, and a
/// word that the advice must have.
const CAUSES: &[(&str, &str, Level, &str)] = &[
    ("in-pkts-bad-tag", "InPktsBadTag", Level::Warning, "accept_changed_text"),
    ("in-pkts-untagged", "InPktsUntagged", Level::Warning, "validate_frames"),
    ("in-pkts-unchecked", "InPktsUnchecked", Level::Warning, "validate_frames"),
    ("in-pkts-invalid", "InPktsInvalid", Level::Warning, "KI"),
    ("in-pkts-delayed", "InPktsDelayed", Level::Note, "replay_window"),
    ("in-pkts-overrun", "InPktsOverrun", Level::Warning, "processor"),
    ("in-pkts-not-valid", "InPktsNotValid", Level::Warning, "damaged"),
    ("in-pkts-no-sa-error", "InPktsNoSAError", Level::Warning, "AN 0 for 02-00-00-00-00-02-0001"),
    ("in-pkts-no-sa", "InPktsNoSA", Level::Warning, "AN 0 for 02-00-00-00-00-02-0001"),
    ("in-pkts-late", "InPktsLate", Level::Warning, "replay_window (now 7)"),
    ("in-pkts-no-tag", "InPktsNoTag", Level::Note, "LLDP"),
    ("out-pkts-too-long", "OutPktsTooLong", Level::Warning, "uplink_mtu"),
    ("out-pkts-untagged", "OutPktsUntagged", Level::Warning, "protect_frames"),
    ("reserved-tci", "reserved-tci", Level::Warning, "0x88E5"),
    ("duplicate", "duplicate", Level::Warning, "replay"),
    ("runt", "runt", Level::Warning, "cable"),
    ("ring-drop", "ring-drop", Level::Warning, "processor"),
    ("tap-drop", "tap-drop", Level::Warning, "ip link set"),
    ("tap-too-long", "tap-too-long", Level::Warning, "MTU"),
    ("uplink-not-sent", "uplink-not-sent", Level::Warning, "slower"),
    ("uplink-down", "uplink-down", Level::Warning, "cable"),
    ("uplink-opened", "uplink-opened", Level::Problem, "network managers"),
    ("no-uplink", "no-uplink", Level::Problem, "signal"),
    ("no-transmit-sa", "no-transmit-sa", Level::Problem, "[port.mka]"),
    ("pn-exhausted", "pn-exhausted", Level::Problem, "new keys"),
    ("pn-withheld", "pn-withheld", Level::Warning, "state_directory"),
    ("state-drop", "state-drop", Level::Warning, "state_directory"),
    ("state-write-failures", "state-write-failures", Level::Problem, "state_directory"),
    ("source-not-sci", "source-not-sci", Level::Problem, "use_es = false"),
    ("eapol-from-uplink", "eapol-from-uplink", Level::Note, "802.1X"),
    ("port-closed", "port-closed", Level::Note, "MKA"),
    ("eapol-from-tap", "eapol-from-tap", Level::Note, "802.1X"),
    ("caller-error", "caller-error", Level::Problem, "report"),
];

#[test]
fn every_counter_that_rises_points_at_its_cause() {
    for (counter, check, level, advice) in CAUSES {
        let (before, mut after) = healthy();
        set(&mut after, counter, 5);
        let findings = judge(&before, &after);
        let found: Vec<_> = findings.iter().filter(|f| f.check == *check).collect();
        let [finding] = found[..] else { panic!("{counter}: {findings:?}") };
        assert_eq!(finding.level, *level, "{finding:?}");
        assert!(finding.advice.contains(advice), "{finding:?}");
        assert_eq!(finding.seen, "5 in the last 2 s", "{counter}");

        // What has risen before and does not now is only worth a note.
        let (mut before, mut after) = healthy();
        set(&mut before, counter, 5);
        set(&mut after, counter, 5);
        let findings = judge(&before, &after);
        assert!(from(Level::Warning, &findings).is_empty(), "{counter}: {findings:?}");
        let note = findings.iter().find(|f| f.check == *check).expect("a note");
        assert_eq!(note.seen, "5, none of them in the last 2 s", "{counter}");
    }
}

#[test]
fn every_counter_of_a_port_means_something_or_is_no_fault() {
    let no_fault = |name: &str| {
        name.contains("octets")
            || ["in-pkts-ok", "out-pkts-protected", "out-pkts-encrypted"].contains(&name)
            || ["delivered", "uplink-sent"].contains(&name)
            // Parts of others.
            || ["unknown-sci", "no-sci"].contains(&name)
    };
    let (_, status) = healthy();
    let standard = macsec::COUNTERS.iter().map(|counter| counter.yang);
    for name in standard.chain(status.local.keys().map(String::as_str)) {
        let known = CAUSES.iter().any(|(counter, ..)| *counter == name);
        assert!(known != no_fault(name), "{name}");
    }
}

#[test]
fn where_no_frame_is_valid_the_cause_is_another() {
    for (counter, check, level, advice) in [
        ("in-pkts-not-valid", "InPktsNotValid", Level::Problem, "another SAK"),
        ("in-pkts-late", "InPktsLate", Level::Problem, "lost its record"),
        ("in-pkts-no-tag", "InPktsNoTag", Level::Problem, "MACsec is off at the other end"),
        ("in-pkts-no-sa-error", "InPktsNoSAError", Level::Problem, "`an`"),
        ("eapol-from-uplink", "eapol-from-uplink", Level::Warning, "static keys"),
    ] {
        let (before, mut after) = (idle(), idle());
        set(&mut after, counter, 5);
        let findings = judge(&before, &after);
        let finding = findings.iter().find(|finding| finding.check == check);
        let finding = finding.unwrap_or_else(|| panic!("{counter}: {findings:?}"));
        assert_eq!(finding.level, level, "{finding:?}");
        assert!(finding.advice.contains(advice), "{finding:?}");
    }
}

#[test]
fn a_peer_with_another_sci_is_told_from_one_with_another_an() {
    for (counter, part) in [("in-pkts-no-sa-error", "no-sci"), ("in-pkts-no-sa", "unknown-sci")] {
        let (before, mut after) = (idle(), idle());
        set(&mut after, counter, 5);
        set(&mut after, part, 5);
        let findings = judge(&before, &after);
        let advice = &from(Level::Problem, &findings)[0].advice;
        assert!(advice.contains("other end's SCI is not"), "{advice}");
        assert!(advice.contains("02-00-00-00-00-02-0001") && !advice.contains("AN 0"), "{advice}");
    }
}

#[test]
fn sending_without_an_answer_is_told() {
    // Never an answer.
    let (before, mut after) = (idle(), idle());
    set(&mut after, "out-pkts-encrypted", 3);
    let findings = judge(&before, &after);
    assert_eq!((findings[0].level, findings[0].check), (Level::Problem, "silence"));
    assert!(findings[0].advice.contains("0x88E5"), "{findings:?}");
    // No answer any more; a few frames are what hosts say anyway.
    for (sent, level) in [(9, Level::Ok), (10, Level::Warning)] {
        let (_, before) = healthy();
        let mut after = before.clone();
        set(&mut after, "out-pkts-encrypted", 1100 + sent);
        let findings = judge(&before, &after);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!(findings[0].level, level, "{findings:?}");
    }
    // Without a signal that is no wonder, and told elsewhere.
    after.uplink.carrier = false;
    assert!(judge(&before, &after).iter().all(|finding| finding.check != "silence"));
}

/// Hellos are no data: where they come and data does not, something takes the data out.
#[test]
fn hellos_do_not_hide_that_no_data_comes() {
    let (mut before, mut after) = (idle(), idle());
    for status in [&mut before, &mut after] {
        status.key_source = "mka".to_owned();
    }
    set(&mut after, "eapol-from-uplink", 2);
    set(&mut after, "out-pkts-encrypted", 20);
    let findings = judge(&before, &after);
    let silence = findings.iter().find(|finding| finding.check == "silence");
    assert!(silence.is_some_and(|finding| finding.advice.contains("0x88E5")), "{findings:?}");
    assert!(findings.iter().all(|finding| finding.check != "eapol-from-uplink"), "{findings:?}");
}

/// MKA makes a new SAK at three quarters; it is a fault if it has not much later.
#[test]
fn packet_numbers_of_agreed_keys_are_told_when_no_new_sak_has_come() {
    for (next_pn, level) in [(3_300_000_000, Level::Ok), (4_200_000_000, Level::Problem)] {
        let (before, mut after) = healthy();
        after.key_source = "mka".to_owned();
        let sa = &mut after.secy.as_mut().unwrap().transmit_sc.transmit_sa[0];
        (sa.cipher_suite, sa.next_pn) = ("gcm-aes-128".to_owned(), Some(next_pn));
        let findings = judge(&before, &after);
        assert_eq!(findings[0].level, level, "{next_pn}: {findings:?}");
        assert!(level == Level::Ok || findings[0].advice.contains("macsec rekey"));
    }
}

#[test]
fn packet_numbers_that_come_to_an_end_are_told() {
    for (suite, next_pn, level) in [
        ("gcm-aes-128", Some(3_000_000_000), Level::Ok),
        ("gcm-aes-128", Some(3_300_000_000), Level::Warning),
        ("gcm-aes-128", Some(4_200_000_000), Level::Problem),
        ("gcm-aes-xpn-128", Some(4_200_000_000), Level::Ok),
        ("gcm-aes-128", None, Level::Ok),
    ] {
        let (before, mut after) = healthy();
        let sa = &mut after.secy.as_mut().unwrap().transmit_sc.transmit_sa[0];
        (sa.cipher_suite, sa.next_pn) = (suite.to_owned(), next_pn);
        let findings = judge(&before, &after);
        assert_eq!(findings[0].level, level, "{suite} {next_pn:?}: {findings:?}");
    }
}

#[test]
fn counters_that_begin_anew_have_no_past() {
    let (mut before, mut after) = healthy();
    set(&mut before, "in-pkts-late", 1000);
    set(&mut after, "in-pkts-late", 3);
    let sample = sample(&before, &after);
    let findings = counters(&sample);
    let late = findings.iter().find(|finding| finding.check == "InPktsLate").unwrap();
    assert_eq!(late.seen, "3 in the last 2 s");
}

#[test]
fn advice_about_every_counter_fits_80_columns() {
    let (before, mut after) = healthy();
    CAUSES.iter().for_each(|(counter, ..)| set(&mut after, counter, u64::MAX / 100));
    for line in render(&judge(&before, &after)).lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn a_machine_without_the_uplink() {
    Bench::run(|bench| {
        let doctor = bench.doctor(&[]);
        let finding = doctor.the_one("uplink");
        assert_eq!((finding.0, doctor.code), ("problem", 1), "{doctor:?}");
        assert!(finding.1.contains("no interface up0"), "{doctor:?}");
        // A new machine: the rest is as it should be.
        assert_eq!(doctor.the_one("privileges").0, "ok", "{doctor:?}");
        assert_eq!(doctor.the_one("kernel").0, "ok", "{doctor:?}");
        assert_eq!(doctor.the_one("gateway").0, "note", "{doctor:?}");
    });
}

#[test]
fn an_uplink_that_the_host_uses() {
    Bench::run(|bench| {
        bench.plug();
        let mut netlink = Netlink::open().unwrap();
        assert_eq!(bench.doctor(&[]).the_one("uplink").0, "ok");
        netlink.add_address("up0", [10, 0, 0, 1].into(), 24).unwrap();
        let doctor = bench.doctor(&[]);
        let finding = doctor.the_one("uplink");
        assert_eq!((finding.0, doctor.code), ("problem", 1), "{doctor:?}");
        assert!(
            finding.1.contains("10.0.0.1/24") && finding.2.contains("ip address flush dev up0")
        );
    });
}

#[test]
fn a_record_of_packet_numbers_that_is_missing() {
    Bench::run(|bench| {
        bench.plug();
        bench.write_config(NEAR, FAR, "", bench.key());
        let doctor = bench.doctor(&[]);
        let states = doctor.all("state");
        let missing = states.iter().find(|(level, ..)| *level == "problem").expect("a problem");
        assert!(missing.1.contains("2 of 2 files missing"), "{doctor:?}");
        assert!(missing.2.contains("first_use"), "{doctor:?}");

        bench.write_config(NEAR, FAR, "first_use = true", bench.key());
        let doctor = bench.doctor(&[]);
        assert_eq!(doctor.code, 0, "{doctor:?}");
        assert!(doctor.all("state").iter().any(|(_, seen, _)| seen.contains("first_use")));
        // That it is left on is told, too.
        assert_eq!(doctor.the_one("configuration").0, "warning", "{doctor:?}");
    });
}

#[test]
fn a_state_directory_that_others_may_write_to() {
    Bench::run(|bench| {
        let state = bench.path("state");
        fs::create_dir(&state).unwrap();
        fs::set_permissions(&state, fs::Permissions::from_mode(0o777)).unwrap();
        let doctor = bench.doctor(&[]);
        let found = doctor.all("state");
        assert!(found.iter().any(|f| f.0 == "problem" && f.2.contains("chmod 700")), "{doctor:?}");
    });
}

#[test]
fn a_faulty_file_and_an_unknown_port() {
    Bench::run(|bench| {
        let doctor = bench.doctor(&["lan7"]);
        assert_eq!(doctor.code, common::CANNOT_RUN, "{doctor:?}");
        assert!(doctor.errors.contains("there are wan0"), "{doctor:?}");

        fs::write(bench.path("macsec.toml"), "[[port]]\nname = \"wan0\"\nuplnk = \"up0\"\n")
            .unwrap();
        let doctor = bench.doctor(&[]);
        assert_eq!(doctor.code, 1, "{doctor:?}");
        let faults = doctor.all("configuration");
        assert!(faults.iter().any(|fault| fault.1.contains("macsec.toml:3: port.wan0.uplnk")));
    });
}

#[test]
fn an_mtu_that_does_not_fit() {
    Bench::run(|bench| {
        bench.plug();
        assert_eq!(bench.doctor(&[]).the_one("MTU").0, "note");
        Netlink::open().unwrap().set_mtu("up0", 1532).unwrap();
        assert_eq!(bench.doctor(&[]).the_one("MTU").0, "ok");
        let file = bench.path("macsec.toml");
        let config = fs::read_to_string(&file).unwrap();
        fs::write(&file, config.replace("uplink = \"up0\"", "uplink = \"up0\"\nmtu = 1501"))
            .unwrap();
        let doctor = bench.doctor(&[]);
        assert_eq!(doctor.the_one("MTU").0, "problem", "{doctor:?}");
    });
}

#[test]
fn two_gateways_that_understand_each_other() {
    Bench::run(|bench| {
        bench.plug();
        bench.write_config(NEAR, FAR, "first_use = true", bench.key());
        let gateways = bench.gateways(bench.key());
        // The other tests know every counter that there is.
        let status = bench::status(&bench.path("sock")).expect("a status");
        let names = |status: &PortStatus| status.local.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&status.ports[0]), names(&idle()));

        // On a busy machine a frame may have to wait for the disk, and be told of.
        let mut doctors = std::iter::repeat_with(|| with_traffic(bench)).take(5);
        let doctor = doctors.find(|doctor| !doctor.all("traffic").is_empty()).expect("traffic");
        assert_eq!(doctor.the_one("traffic").0, "ok", "{doctor:?}");
        assert_eq!(doctor.the_one("controlled port").0, "ok", "{doctor:?}");
        assert_eq!(doctor.the_one("offloads").0, "ok", "{doctor:?}");
        assert_eq!(doctor.the_one("MTU").0, "note", "{doctor:?}");
        assert_eq!(doctor.code, 0, "{doctor:?}");
        // The file is changed, and nobody has told the gateway.
        bench.write_config(NEAR, FAR, "", bench.key());
        let doctor = bench.doctor(&[]);
        let told = doctor.all("configuration");
        assert!(told.iter().any(|note| note.2.contains("macsec reload")), "{doctor:?}");
        // A member of the TAP's bridge with longer frames.
        let mut netlink = Netlink::open().unwrap();
        netlink.create_veth(&VethEnd::new("lan0"), &VethEnd::new("lan1")).unwrap();
        bench::ip("link add br0 type bridge");
        bench::ip("link set wan0 master br0");
        bench::ip("link set lan0 master br0");
        let doctor = bench.doctor(&["wan0"]);
        let mtu = doctor.all("MTU");
        assert!(mtu.iter().any(|f| f.0 == "warning" && f.1.contains("lan0")), "{doctor:?}");
        drop(gateways);
    });
}

#[test]
fn two_gateways_with_different_keys() {
    Bench::run(|bench| {
        bench.plug();
        bench.write_config(NEAR, FAR, "first_use = true", bench.key());
        let gateways = bench.gateways(&"33".repeat(32));
        let doctor = with_traffic(bench);
        let finding = doctor.the_one("InPktsNotValid");
        assert_eq!((finding.0, doctor.code), ("problem", 1), "{doctor:?}");
        assert!(finding.2.contains("another SAK"), "{doctor:?}");
        drop(gateways);
    });
}

/// Both hosts talk while the doctor looks.
fn with_traffic(bench: &Bench) -> Doctor {
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for namespace in bench.hosts() {
            scope.spawn(|| {
                namespace.run(|| {
                    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
                    socket.set_broadcast(true).unwrap();
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        // The port may still be closed.
                        let _ = socket.send_to(&[0; 100], "10.9.9.255:9");
                        std::thread::sleep(Duration::from_millis(5));
                    }
                })
            });
        }
        let doctor = bench.doctor(&[]);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        doctor
    })
}

//! Several CAKs on a port: rolls, fallbacks, guards, restarts and reloads.

use std::{
    fs,
    io::Write,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use macsec_gateway::{
    config::Timestamp,
    control::{self, KeyAnswer, KeyResult, PortKeys, RefusalCode, Reply, Request},
    status::{CakState, Status},
};

use super::{CAK, Couple, END, Edge, Hosts, PATIENCE, has_symptom, in_use, kay};

const SECOND: &str = "2f0d61a8c4b79e5013fd8ac6297be450";
const THIRD: &str = "7ac91e30d5b8264ff0136c8ea94d275b";

/// `[[port.mka.key]]` with this CKN and CAK.
fn key(ckn: &str, cak: &str, lines: &str) -> String {
    format!("[[port.mka.key]]\nckn = {ckn:?}\ncak = {cak:?}\n{lines}\n")
}

/// A port with these keys and no other.
fn configure(edge: &Edge, keys: &str) {
    edge.configure_text(&format!(
        "[[port]]\nname = \"wan0\"\nuplink = \"up0\"\nisolation = \"filter\"\n[port.mka]\n{keys}"
    ));
}

fn command(edge: &Edge, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_macsec"));
    command.arg("keys").args(arguments).arg("--socket").arg(edge.socket());
    command
}

fn run(edge: &Edge, arguments: &[&str]) -> Output {
    command(edge, arguments).output().expect("the binary has been built")
}

/// What an operation has come to, as a controller reads it.
#[track_caller]
fn asked(edge: &Edge, arguments: &[&str]) -> KeyAnswer {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let output = run(edge, &[arguments, &["--json"]].concat());
        let answer: KeyAnswer = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {output:?}"));
        let code = i32::from(answer.result == KeyResult::Refused);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        // On a busy machine a port may take its time to say how it is.
        if answer.refusal != Some(RefusalCode::NoState) || Instant::now() > deadline {
            return answer;
        }
    }
}

#[track_caller]
fn done(edge: &Edge, arguments: &[&str]) {
    let answer = asked(edge, arguments);
    assert_eq!(answer.result, KeyResult::Done, "{arguments:?}: {answer:?}");
}

#[track_caller]
fn refused(edge: &Edge, arguments: &[&str], code: RefusalCode) {
    let answer = asked(edge, arguments);
    assert_eq!((answer.result, answer.refusal), (KeyResult::Refused, Some(code)), "{answer:?}");
}

/// Adds a key at run time.
#[track_caller]
fn add(edge: &Edge, ckn: &str, cak: &str, more: &[&str]) {
    edge.write("added", cak, 0o600);
    let file = edge.path("added");
    let file = file.to_str().expect("a path");
    done(edge, &[&["add", "--port", "wan0", "--ckn", ckn, "--cak-file", file], more].concat());
}

/// The keys of a port that has a KaY.
#[track_caller]
fn list(edge: &Edge) -> PortKeys {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let output = run(edge, &["list", "--port", "wan0", "--json"]);
        let mut ports: Vec<PortKeys> = serde_json::from_slice(&output.stdout).expect("keys");
        let keys = ports.remove(0);
        // On a busy machine a port may take its time to say how it is.
        if keys.keys.iter().any(|key| key.state_age.is_some()) || Instant::now() > deadline {
            return keys;
        }
    }
}

/// The keys of a port with their states.
fn states(edge: &Edge) -> Vec<(String, CakState)> {
    list(edge).keys.into_iter().map(|key| (key.ckn, key.state)).collect()
}

/// Waits until a port's keys are as wanted, while frames pass.
#[track_caller]
fn until(edge: &Edge, hosts: &mut Hosts, what: &str, wanted: impl Fn(&PortKeys) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        hosts.all_pass(20);
        let keys = list(edge);
        if wanted(&keys) {
            return;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}: {keys:#?}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn is_in_use(ckn: &str) -> impl Fn(&PortKeys) -> bool {
    move |keys| keys.in_use.as_deref() == Some(ckn)
}

fn rotation(edge: &Edge, to: &str) -> Child {
    let arguments = ["rotate", "--port", "wan0", "--to", to, "--timeout", "60s"];
    let mut command = command(edge, &arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a process")
}

/// Waits for rotations to end, while frames pass. What they print.
#[track_caller]
fn while_frames_pass(hosts: &mut Hosts, mut rotations: Vec<Child>) -> Vec<String> {
    let deadline = Instant::now() + 2 * PATIENCE;
    while rotations.iter_mut().any(|child| child.try_wait().expect("a child").is_none()) {
        hosts.all_pass(20);
        assert!(Instant::now() < deadline, "a rotation does not end");
        thread::sleep(Duration::from_millis(5));
    }
    hosts.all_pass(200);
    let outputs = rotations.into_iter().map(|child| child.wait_with_output().expect("an end"));
    outputs
        .map(|output| {
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).expect("a text")
        })
        .collect()
}

/// The recipe, whichever end is done first, and with the rotation at one end after the other or at
/// both at once.
#[test]
fn a_roll_loses_no_frame_in_whatever_order_the_ends_are_done() {
    let Some(couple) = Couple::new() else { return };
    let (left, right) = couple.secured(END, END);
    let mut hosts = couple.hosts();
    hosts.talk();
    let [a, b] = couple.ends();
    let mut former = super::CKN;
    for (ckn, cak, ends, both) in [
        ("02", SECOND, [a, b], false),
        ("03", THIRD, [b, a], true),
        ("04", CAK, [b, a], false),
        ("05", SECOND, [a, b], true),
    ] {
        for edge in ends {
            add(edge, ckn, cak, &[]);
            hosts.all_pass(50);
        }
        let outputs = if both {
            let first = rotation(ends[0], ckn);
            hosts.all_pass(50);
            while_frames_pass(&mut hosts, vec![first, rotation(ends[1], ckn)])
        } else {
            // The end that is not the key server waits for the other.
            let waiting = rotation(b, ckn);
            let of_a = while_frames_pass(&mut hosts, vec![rotation(a, ckn)]);
            [of_a, while_frames_pass(&mut hosts, vec![waiting])].concat()
        };
        for text in &outputs {
            for step in ["live: ", "activate: ", "in use: ", "done: "] {
                assert!(text.contains(&format!("{step}port wan0: key {ckn}: ")), "{text}");
            }
            assert!(text.contains(&format!("retire: port wan0: key {former}: ")), "{text}");
        }
        for edge in ends {
            let keys = list(edge);
            assert_eq!(keys.in_use.as_deref(), Some(ckn));
            let left: Vec<_> =
                keys.keys.iter().filter(|key| key.state != CakState::Retired).collect();
            assert_eq!(left.len(), 1, "{keys:#?}");
            assert!(left[0].preferred && left[0].activated && left[0].live_peers == 1);
        }
        former = ckn;
    }
    // Done again, there is nothing to do.
    let outputs = while_frames_pass(&mut hosts, vec![rotation(a, "05"), rotation(b, "05")]);
    assert!(outputs.iter().all(|text| !text.contains("retire: ")), "{outputs:?}");
    for (daemon, text) in [(&left, "A"), (&right, "B")] {
        let status = daemon.status();
        let secy = status.ports[0].secy.as_ref().expect("a SecY");
        for counter in ["in-pkts-not-valid", "in-pkts-late", "in-pkts-not-using-sa"] {
            let count = secy.receive_sc_sum.get(counter).copied().unwrap_or_default();
            assert_eq!(count, 0, "{counter} at {text}");
        }
        assert_eq!(kay(&status).symptoms, [""; 0]);
    }
    left.stop();
    right.stop();
}

#[test]
fn a_rotation_that_runs_out_of_time_retires_nothing() {
    let Some(couple) = Couple::new() else { return };
    let (left, right) = couple.secured(END, END);
    couple.hosts().talk();
    // The other end does not have it.
    add(&couple.a, "02", SECOND, &[]);
    let arguments = ["rotate", "--port", "wan0", "--to", "02", "--timeout", "2", "--json"];
    let output = run(&couple.a, &arguments);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("a text");
    let last: serde_json::Value =
        serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
    assert_eq!((&last["step"], &last["result"]), (&"live".into(), &"refused".into()), "{text}");
    assert_eq!(last["refusal"], "not-live", "{text}");
    let message = last["message"].as_str().expect("a text");
    assert!(message.contains("given up after 2 s, and nothing is retired"), "{text}");
    let keys = list(&couple.a);
    assert_eq!(keys.in_use.as_deref(), Some(super::CKN));
    assert!(keys.keys.iter().all(|key| !key.activated), "{keys:#?}");
    left.stop();
    right.stop();
}

#[test]
fn one_end_with_a_wrong_primary_lives_on_the_fallback_and_comes_back() {
    let Some(couple) = Couple::new() else { return };
    let fallback = key("09", THIRD, "fallback = true");
    let wrong = format!("{}{fallback}", key("01", SECOND, ""));
    let right_one = format!("{}{fallback}", key("01", CAK, ""));
    configure(&couple.a, &right_one);
    configure(&couple.b, &wrong);
    let (mut left, mut right) = (couple.a.start_again(), couple.b.start_again());
    left.secured();
    right.secured();
    let mut hosts = couple.hosts();
    hosts.talk();
    for (edge, daemon) in [(&couple.a, &mut left), (&couple.b, &mut right)] {
        assert_eq!(list(edge).in_use.as_deref(), Some("09"));
        daemon.wait_until("it says so", |s| has_symptom(s, "the fallback key 09 is in use"));
        daemon.wait_until("the likely cause", |status| {
            has_symptom(status, "key 01 is preferred and has no live peer, while 09 has")
                && has_symptom(status, "likely another CAK under this CKN")
        });
        daemon.logs("the fallback key 09 is in use");
    }
    hosts.all_pass(100);
    configure(&couple.b, &right_one);
    let lines = right.reload(false).expect("a reload");
    assert!(lines[0].contains("mka.key 01 cak "), "{lines:?}");
    for edge in couple.ends() {
        until(edge, &mut hosts, "the primary is in use", is_in_use("01"));
    }
    // And to the fallback again, without a pause, when one end loses its primary.
    configure(&couple.b, &wrong);
    right.reload(false).expect("a reload");
    for edge in couple.ends() {
        until(edge, &mut hosts, "the fallback is in use", is_in_use("09"));
    }
    left.stop();
    right.stop();
}

#[test]
fn what_may_not_be_done_is_refused_and_written_down() {
    let Some(couple) = Couple::new() else { return };
    let (left, right) = couple.secured(END, END);
    let mut hosts = couple.hosts();
    hosts.talk();
    let a = &couple.a;
    let [activate, retire] = ["activate", "retire"]
        .map(|what| move |ckn: &'static str| [what, "--port", "wan0", "--ckn", ckn]);

    use RefusalCode::{
        InUse, LastKey, NoSuchKey, NoSuchPort, NotLive, OtherCak, Pending, SecondFallback,
    };
    refused(a, &retire(super::CKN), LastKey);
    refused(a, &[&retire(super::CKN)[..], &["--force"]].concat(), LastKey);
    refused(a, &activate("02"), NoSuchKey);
    refused(a, &["activate", "--port", "wan1", "--ckn", "02"], NoSuchPort);
    add(a, "02", SECOND, &[]);
    let file = a.path("added");
    let file = file.to_str().expect("a path").to_owned();
    let again = ["add", "--port", "wan0", "--ckn", "02", "--cak-file", &file];
    assert_eq!(asked(a, &again).result, KeyResult::NothingToDo);
    refused(a, &activate("02"), NotLive);
    refused(a, &retire(super::CKN), InUse);
    a.write("added", THIRD, 0o600);
    refused(a, &again, OtherCak);
    a.write("added", "0000", 0o600);
    let malformed = ["add", "--port", "wan0", "--ckn", "03", "--cak-file", &file];
    refused(a, &malformed, RefusalCode::Malformed);
    add(a, "08", THIRD, &["--start", "2099-01-01T00:00:00Z"]);
    refused(a, &activate("08"), Pending);
    add(a, "09", CAK, &["--fallback"]);
    a.write("added", SECOND, 0o600);
    let fallback = ["add", "--port", "wan0", "--ckn", "0a", "--cak-file", &file, "--fallback"];
    refused(a, &fallback, SecondFallback);
    let past = ["--end", "2001-01-01T00:00:00Z"];
    refused(
        a,
        &[&malformed[..3], &["--ckn", "0b", "--cak-file", &file], &past].concat(),
        RefusalCode::Malformed,
    );

    let settled = |keys: &PortKeys| keys.keys.iter().any(|key| key.in_use_for >= Some(3));
    until(a, &mut hosts, "the first key has settled", settled);
    // A dry run says the same, and does nothing.
    let before = (states(a), fs::read_to_string(a.path("state/audit.log")).expect("a log"));
    let dry = asked(a, &[&retire("02")[..], &["--dry-run"]].concat());
    assert_eq!(dry.result, KeyResult::WouldBeDone, "{dry:?}");
    refused(a, &[&activate("02")[..], &["--dry-run"]].concat(), NotLive);
    a.write("added", SECOND, 0o600);
    let dry = [&malformed[..3], &["--ckn", "0c", "--cak-file", &file, "--dry-run"]].concat();
    assert_eq!(asked(a, &dry).result, KeyResult::WouldBeDone);
    let after = (states(a), fs::read_to_string(a.path("state/audit.log")).expect("a log"));
    assert_eq!(before, after);

    // What is retired can be retired again, and is not there any more.
    done(a, &retire("02"));
    assert_eq!(asked(a, &retire("02")).result, KeyResult::NothingToDo);
    refused(a, &activate("02"), NoSuchKey);
    assert_eq!(
        states(a),
        [
            (super::CKN.to_owned(), CakState::InUse),
            ("08".to_owned(), CakState::Pending),
            ("09".to_owned(), CakState::NotLive),
        ]
    );

    let log = fs::read_to_string(a.path("state/audit.log")).expect("a log");
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let user = rustix::process::geteuid().as_raw();
    for line in &lines {
        assert_eq!(line["uid"], user, "{line}");
        assert!(line["pid"].as_u64().is_some_and(|pid| pid > 0), "{line}");
        assert!(line["time"].as_str().is_some_and(|t| t.parse::<Timestamp>().is_ok()), "{line}");
        let refused = line["result"] == "refused";
        assert_eq!(line["reason"].is_string(), refused, "{line}");
    }
    let last: Vec<_> = lines[lines.len() - 3..]
        .iter()
        .map(|line| (line["operation"].as_str(), line["ckn"].as_str(), line["result"].as_str()))
        .collect();
    let of = |operation, result| (Some(operation), Some("02"), Some(result));
    let expected = [of("retire", "done"), of("retire", "nothing-to-do"), of("activate", "refused")];
    assert_eq!(last, expected);
    for secret in [CAK, SECOND, THIRD] {
        assert!(!log.contains(secret) && !left.log().contains(secret));
    }
    hosts.all_pass(100);
    left.stop();
    right.stop();
}

/// A key that is in use can be retired by force, if another is there. That is an outage unless it
/// is live.
#[test]
fn a_key_in_use_is_retired_by_force() {
    let Some(couple) = Couple::new() else { return };
    let (mut left, mut right) = couple.secured(END, END);
    let mut hosts = couple.hosts();
    hosts.talk();
    for edge in couple.ends() {
        add(edge, "02", SECOND, &[]);
    }
    until(&couple.a, &mut hosts, "both are live", |keys| {
        keys.keys.iter().all(|key| key.live_peers == 1)
    });
    done(&couple.a, &["retire", "--port", "wan0", "--ckn", super::CKN, "--force"]);
    for edge in couple.ends() {
        let deadline = Instant::now() + PATIENCE;
        while list(edge).in_use.as_deref() != Some("02") {
            assert!(Instant::now() < deadline, "{:#?}", list(edge));
            thread::sleep(Duration::from_millis(50));
        }
    }
    left.secured();
    right.secured();
    hosts.talk();
    hosts.all_pass(100);
    left.stop();
    right.stop();
}

#[test]
fn a_restart_keeps_what_was_added_activated_and_retired() {
    let Some(couple) = Couple::new() else { return };
    let (left, mut right) = couple.secured(END, END);
    let mut hosts = couple.hosts();
    hosts.talk();
    for edge in couple.ends() {
        add(edge, "02", SECOND, &[]);
    }
    let outputs = while_frames_pass(&mut hosts, vec![rotation(&couple.a, "02")]);
    assert!(outputs[0].contains("retire: port wan0: key 6d6b61"), "{outputs:?}");
    let before = list(&couple.a);
    drop(hosts);
    left.kill();
    let mut left = couple.a.start_again();
    left.secured();
    right.secured();
    let after = list(&couple.a);
    let told = |keys: &PortKeys| -> Vec<_> {
        keys.keys
            .iter()
            .map(|key| (key.ckn.clone(), key.check.clone(), key.source.clone(), key.state))
            .collect()
    };
    assert_eq!(told(&before), told(&after), "the configuration still has the first key");
    assert_eq!(after.in_use.as_deref(), Some("02"));
    let mut hosts = couple.hosts();
    hosts.talk();
    hosts.all_pass(100);

    // A store that cannot be read closes the port, and nobody guesses.
    left.stop();
    let store = couple.a.path("state/keys-wan0");
    let whole = fs::read(&store).expect("a store");
    couple.a.write("state/keys-wan0", "macsec-keys 1 wan0\nkey", 0o600);
    let mut left = couple.a.start_again();
    left.shows("damaged key store");
    let status = left.status();
    assert!(!status.ports[0].controlled_port_enabled && status.ports[0].mka.is_none());
    refused(&couple.a, &["activate", "--port", "wan0", "--ckn", "02"], RefusalCode::NotRecorded);
    fs::write(&store, whole).expect("written");
    left.secured();
    right.secured();
    left.stop();
    right.stop();
}

/// Regression: the key before the one in use was forgotten with the process, so it stayed.
#[test]
fn a_rotation_that_a_restart_cuts_short_goes_on_where_it_stopped() {
    let Some(couple) = Couple::new() else { return };
    let (mut left, mut right) = couple.secured(END, END);
    couple.hosts().talk();
    for edge in couple.ends() {
        add(edge, "02", SECOND, &[]);
    }
    // As far as a rotation gets that is cut short before it retires the former key. The key server
    // is the first: at the other end the key is in use when it is activated.
    let [a, b] = couple.ends();
    let live = |keys: &PortKeys| keys.keys.iter().all(|key| key.live_peers == 1);
    until(a, &mut couple.hosts(), "both are live", live);
    for edge in [a, b] {
        done(edge, &["activate", "--port", "wan0", "--ckn", "02"]);
        until(edge, &mut couple.hosts(), "it is in use", is_in_use("02"));
        until(b, &mut couple.hosts(), "it is in use at both ends", is_in_use("02"));
    }
    let mut rotations = Vec::new();
    for (edge, daemon) in [(a, &mut left), (b, &mut right)] {
        daemon.child.kill().expect("a child");
        daemon.wait();
        *daemon = edge.start_again();
        // Nothing is in use as yet.
        rotations.push(rotation(edge, "02"));
    }
    left.secured();
    right.secured();
    let mut hosts = couple.hosts();
    hosts.talk();
    for text in while_frames_pass(&mut hosts, rotations) {
        assert!(text.contains("retire: port wan0: key 6d6b61: "), "{text}");
    }
    for edge in [a, b] {
        let first = states(edge).into_iter().find(|(ckn, _)| ckn == super::CKN);
        assert_eq!(first.map(|(_, state)| state), Some(CakState::Retired));
    }
    left.stop();
    right.stop();
}

/// The configuration of one end after the other is changed to other keys, none of which stays.
#[test]
fn reloads_with_other_keys_keep_the_session() {
    let Some(couple) = Couple::new() else { return };
    let [old, new] = [key("01", CAK, ""), key("02", SECOND, "")];
    for edge in couple.ends() {
        configure(edge, &old);
    }
    let (mut left, mut right) = (couple.a.start_again(), couple.b.start_again());
    left.secured();
    right.secured();
    let mut hosts = couple.hosts();
    hosts.talk();
    let before = in_use(&left.status());
    // One end has a key more, and nothing comes of it.
    configure(&couple.b, &format!("{old}{new}"));
    right.reload(false).expect("a reload");
    hosts.all_pass(100);
    assert_eq!(in_use(&right.status()), before);
    // The other end has the new key only. The old one stays for as long as it takes.
    configure(&couple.a, &new);
    let lines = left.reload(false).expect("a reload");
    assert!(
        lines[0].contains("mka.key 01 removed: the session goes on; the key stays"),
        "{lines:?}"
    );
    for edge in couple.ends() {
        until(edge, &mut hosts, "the new key is in use", is_in_use("02"));
    }
    until(&couple.a, &mut hosts, "the old key has gone", |keys| keys.keys.len() == 1);
    configure(&couple.b, &new);
    right.reload(false).expect("a reload");
    until(&couple.b, &mut hosts, "the old key has gone", |keys| keys.keys.len() == 1);

    // To another key at both ends, which have no other in common: it stays until the second has it.
    for edge in couple.ends() {
        configure(edge, &old);
    }
    left.reload(false).expect("a reload");
    left.wait_until("it says so", |status| {
        has_symptom(status, "key 02 is not configured any more, and no other has a live peer")
    });
    hosts.all_pass(100);
    right.reload(false).expect("a reload");
    for edge in couple.ends() {
        until(edge, &mut hosts, "the other key is in use", is_in_use("01"));
    }
    left.stop();
    right.stop();
}

/// A key chain with dates: each end goes by its clock, and nobody does anything.
#[test]
fn a_chain_goes_from_key_to_key_by_its_dates() {
    let Some(couple) = Couple::new() else { return };
    let now = Timestamp::now();
    let after = |seconds: i64| Timestamp(now.0 + seconds).to_string();
    let (start, end) = (after(6), after(10));
    let keys =
        key("01", CAK, &format!("end = {end}")) + &key("02", SECOND, &format!("start = {start}"));
    for edge in couple.ends() {
        configure(edge, &keys);
    }
    let (mut left, mut right) = (couple.a.start_again(), couple.b.start_again());
    let pending = |status: &Status| {
        Timestamp::now() >= Timestamp(now.0 + 6)
            || kay(status).keys.iter().any(|key| key.state == CakState::Pending)
    };
    assert!(pending(&left.wait_until("MKA has begun", |status| status.ports[0].mka.is_some())));
    left.secured();
    right.secured();
    let mut hosts = couple.hosts();
    hosts.talk();
    for edge in couple.ends() {
        until(edge, &mut hosts, "the second key is in use", is_in_use("02"));
        until(edge, &mut hosts, "the first has gone", |keys| {
            keys.keys.iter().any(|key| key.state == CakState::Expired && key.state_age.is_none())
        });
    }
    left.stop();
    right.stop();
}

#[test]
fn requests_as_others_may_write_them() {
    let Some(couple) = Couple::new() else { return };
    configure(&couple.a, &key("01", CAK, ""));
    let left = couple.a.start_again();
    let ask = |request: &Request| control::ask(&couple.a.socket(), request).expect("an answer");
    // The other end is not there: nothing is known of it.
    let request: Request =
        serde_json::from_str("{\"request\":\"key-activate\",\"port\":\"wan0\",\"ckn\":\"01\"}")
            .expect("a request");
    let Reply::Key(answer) = ask(&request) else { panic!("an answer to this") };
    assert!(answer.refusal.is_some_and(RefusalCode::may_pass), "{answer:?}");
    let request: Request = serde_json::from_str("{\"request\":\"keys\"}").expect("a request");
    let Reply::Keys(ports) = ask(&request) else { panic!("an answer to this") };
    assert_eq!((ports.len(), ports[0].secured, ports[0].keys.len()), (1, false, 1));
    let text = run(&couple.a, &["list"]);
    let text = String::from_utf8(text.stdout).expect("a text");
    assert!(text.starts_with("wan0: NOT SECURED, key server: "), "{text}");
    assert!(text.contains("\n    * 01\n        no live peer\n        check "), "{text}");

    // A CAK comes from a file of its owner's, or from standard input.
    couple.a.write("open", SECOND, 0o644);
    let file = couple.a.path("open");
    let file = file.to_str().expect("a path");
    let output = run(&couple.a, &["add", "--port", "wan0", "--ckn", "02", "--cak-file", file]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(text.contains("must be readable by its owner only: chmod 600 "), "{text}");
    let arguments = ["add", "--port", "wan0", "--ckn", "02", "--cak-stdin"];
    let mut child = command(&couple.a, &arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(format!("{SECOND}\n").as_bytes()).expect("written");
    drop(input);
    let output = child.wait_with_output().expect("an end");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(text, "port wan0: key 02: the key is added\n", "{output:?}");
    assert_eq!(list(&couple.a).keys[1].source, "store");
    left.stop();
}

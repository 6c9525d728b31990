//! Ports that panic, wait or are refused. See also `tests/daemon`.

use std::{fs, os::unix::fs::PermissionsExt};

use macsec_io::{
    netlink::{Netlink, VethEnd},
    netns::Namespace,
};
use tracing::level_filters::LevelFilter;

use super::*;
use crate::{
    daemon::{Format, kay_thread::Input},
    state_directory::STALL,
};

/// The directory of the files of a service with these ports.
fn prepare(ports: &str) -> (tempfile::TempDir, Options) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let text = format!(
        "control_socket = {:?}\nstate_directory = {:?}\n{ports}",
        path("control.sock"),
        path("state")
    );
    fs::write(path("macsec.toml"), text).expect("written");
    // It may hold a key.
    let mode = fs::Permissions::from_mode(0o600);
    fs::set_permissions(path("macsec.toml"), mode).expect("private");
    let options = Options {
        config: path("macsec.toml"),
        pcap: None,
        log_format: Format::Human,
        log_level: LevelFilter::OFF,
    };
    (directory, options)
}

/// A service with these ports, and the directory of its files.
fn start(ports: &str) -> (tempfile::TempDir, Service) {
    let (directory, options) = prepare(ports);
    let config = Config::load(&options.config).expect("valid").config;
    let surroundings = Surroundings::new(&config).expect("surroundings");
    let service = Service::start(&options, config, surroundings).expect("started");
    (directory, service)
}

/// A port whose uplink is not there, so it waits, and touches nothing.
const WAITING: &str =
    "[[port]]\nname = \"wan0\"\nuplink = \"no-such-link\"\nisolation = \"filter\"\n";
const MKA: &str = "[port.mka]\nckn = \"61\"\ncak = \"135bd758b0ee5c11c55ff6ab19fdb199\"\n";

/// Regression: a port whose thread had panicked stayed away until the gateway was started again.
#[test]
fn a_port_whose_thread_panics_is_started_again() {
    let (_directory, mut service) = start(WAITING);
    let problems = service.status().ports[0].problems.clone();
    assert!(problems[0].contains("no such interface"), "{problems:?}");

    service.ports[0].order(Order::Panic);
    let deadline = Instant::now() + CHANGE_TIMEOUT;
    while !service.ports[0].is_finished() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    service.revive_ports();
    assert_eq!(service.ports.len(), 1);
    assert_eq!(service.status().ports[0].problems, problems, "it answers again");
    service.stop_ports();
}

/// Runs in a namespace of its own, with a wire between up0 and far0.
fn with_wire(run: impl FnOnce() + Send) {
    let Ok(namespace) = Namespace::new() else {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "must run in CI");
        return eprintln!("SKIPPED: no namespace to be had");
    };
    namespace
        .run(|| {
            let pair = (VethEnd::new("up0"), VethEnd::new("far0").mac([2, 0, 0, 0, 0, 2]));
            let mut netlink = Netlink::open().expect("netlink");
            netlink.create_veth(&pair.0, &pair.1).expect("a wire");
            netlink.set_up("up0").expect("up");
            netlink.set_up("far0").expect("up");
            run();
        })
        .expect("the namespace");
}

/// The only port, once it is as wanted.
fn until(service: &Service, wanted: impl Fn(&PortStatus) -> bool) -> PortStatus {
    let deadline = Instant::now() + CHANGE_TIMEOUT;
    loop {
        let port = service.status().ports.remove(0);
        if wanted(&port) {
            return port;
        }
        assert!(Instant::now() < deadline, "{port:#?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn has_problem(port: &PortStatus, text: &str) -> bool {
    port.problems.iter().any(|problem| problem.contains(text))
}

/// A port whose KaY has come to an end is closed, says so, and begins anew.
#[test]
fn a_kay_that_panics_closes_its_port() {
    with_wire(|| {
        let ports = format!("{}{MKA}", WAITING.replace("no-such-link", "up0"));
        let (_directory, mut service) = start(&ports);
        let begun = |port: &PortStatus| port.mka.is_some() && port.problems.is_empty();
        let before = until(&service, begun);
        service.ports[0].order(Order::TellKay(Input::Panic));
        let port = until(&service, |port| has_problem(port, "has panicked"));
        assert_eq!(port.problems.len(), 1);
        assert!(port.problems[0].contains("MKA: its thread has panicked: the port is closed"));
        assert!(port.mka.is_none() && !port.controlled_port_enabled);
        let after = until(&service, begun);
        let mi = |port: &PortStatus| port.mka.as_ref().map(|mka| mka.actor.mi.clone());
        assert_ne!(mi(&before), mi(&after), "another KaY");
        service.stop_ports();
    });
}

/// Regression: `macsec status` and `macsec rekey` said that the thread of the port did not answer.
#[test]
fn a_port_answers_though_its_kay_does_not() {
    with_wire(|| {
        let ports = format!("{}{MKA}", WAITING.replace("no-such-link", "up0"));
        let (_directory, mut service) = start(&ports);
        until(&service, |port| port.mka.is_some());
        let hang = Input::Hang(2 * STATUS_TIMEOUT + Duration::from_secs(1));
        service.ports[0].order(Order::TellKay(hang));
        let port = service.status().ports.remove(0);
        assert_eq!(port.problems, ["the thread for MKA does not answer"]);
        assert!(port.secy.is_some() && port.uplink.present && port.mka.is_none());
        let line = "port wan0: the thread for MKA does not answer";
        assert_eq!(service.rekey(None), Err(vec![line.to_owned()]));
        until(&service, |port| port.mka.is_some() && port.problems.is_empty());
        service.stop_ports();
    });
}

/// Regression: the port's thread opened the journal, and waited for the end of the KaY before.
#[test]
fn no_port_waits_for_the_disk() {
    with_wire(disk_that_stands_still);
}

fn disk_that_stands_still() {
    let near = format!("{}{MKA}key_server_priority = 1\n", WAITING.replace("no-such-link", "up0"));
    let far = WAITING.replace("no-such-link", "far0").replace("wan0", "wan1");
    let (directory, mut service) = start(&near);
    let (_far_directory, mut other) = start(&format!("{far}{MKA}"));
    let secured = |port: &PortStatus| port.secured && port.problems.is_empty();
    until(&service, secured);
    until(&other, secured);

    // It writes, and the keys in use stay.
    let stall = directory.path().join("state").join(STALL);
    fs::write(&stall, "").expect("written");
    service.rekey(None).expect("a new SAK");
    let symptom = |port: &PortStatus, text: &str| {
        port.mka.as_ref().is_some_and(|mka| mka.symptoms.iter().any(|s| s.contains(text)))
    };
    let port = until(&service, |port| symptom(port, "the disk has not answered"));
    assert!(secured(&port));
    // The KaY has to wait until what it writes is written, and the next one for that.
    let file = directory.path().join("macsec.toml");
    let change = |from: &str, to: &str| {
        let text = fs::read_to_string(&file).expect("read").replace(from, to);
        fs::write(&file, text).expect("written");
    };
    change("priority = 1", "priority = 2");
    let begin = Instant::now();
    let lines = service.reload(false).expect("valid");
    let took = begin.elapsed();
    assert!(took < CHANGE_TIMEOUT / 2, "{took:?}");
    let waits = "MKA waits for the disk: the KaY before has not ended";
    assert!(lines.iter().any(|line| line.contains(waits)), "{lines:?}");
    let port = service.status().ports.remove(0);
    assert!(has_problem(&port, waits) && !port.controlled_port_enabled && port.uplink.present);
    fs::remove_file(&stall).expect("removed");
    until(&service, secured);

    // It does not let a journal be opened.
    fs::write(&stall, "").expect("written");
    change("priority = 2", "priority = 3");
    let lines = service.reload(false).expect("valid");
    let waits = "MKA waits for the disk: the KI journal is not open";
    assert!(lines.iter().any(|line| line.contains(waits)), "{lines:?}");
    fs::remove_file(&stall).expect("removed");
    until(&service, secured);
    // Unless there is something to wait for, the answer tells of it.
    change("priority = 3", "priority = 4");
    let lines = service.reload(false).expect("valid");
    assert!(lines.iter().all(|line| !line.contains("!!")), "{lines:?}");
    until(&service, secured);
    service.stop_ports();
    other.stop_ports();
}

/// What nobody but the operator can mend is told at once.
#[test]
fn a_damaged_journal_keeps_the_gateway_from_starting() {
    with_wire(|| {
        let ports = format!("{}{MKA}", WAITING.replace("no-such-link", "far0"));
        let (directory, options) = prepare(&ports);
        let state = directory.path().join("state");
        fs::create_dir(&state).expect("a directory");
        fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).expect("private");
        fs::write(state.join("ki-0200000000020001.journal"), "nothing").expect("written");
        let config = Config::load(&options.config).expect("valid").config;
        let surroundings = Surroundings::new(&config).expect("surroundings");
        let reasons = Service::start(&options, config, surroundings).err().expect("refused");
        assert!(reasons[0].contains("damaged KI journal"), "{reasons:?}");
    });
}

#[test]
fn a_port_that_cannot_rekey_says_why() {
    let other = WAITING.replace("wan0", "wan1").replace("no-such-link", "no-such-one");
    // Neither uplink is there, so no KaY begins.
    let (_directory, mut service) = start(&format!("{WAITING}{MKA}{other}"));
    let begun = "port wan0: MKA has not begun, see `macsec status`";
    // Without a name, those that have MKA are meant.
    for (name, line) in [
        (None, begun),
        (Some("wan0"), begun),
        (Some("wan1"), "port wan1: it has no [port.mka]"),
        (Some("wan2"), "no port \"wan2\": there are wan0, wan1"),
    ] {
        assert_eq!(service.rekey(name), Err(vec![line.to_owned()]));
    }
    service.stop_ports();
}

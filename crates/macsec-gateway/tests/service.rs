//! What `macsec run` tells systemd, and when.

mod common;

use std::{
    fs,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

use macsec_io::{
    netlink::{Netlink, VethEnd},
    netns::Namespace,
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

/// A gateway, and the socket that systemd would listen at.
struct Service {
    process: Child,
    systemd: UnixDatagram,
    directory: TempDir,
}

impl Service {
    /// Starts a gateway whose uplink is not there, which is no reason for it not to start.
    fn start(watchdog: Option<Duration>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let systemd = UnixDatagram::bind(path("notify")).unwrap();
        systemd.set_read_timeout(Some(PATIENCE)).unwrap();
        write_config(directory.path(), "wan0");
        let mut command = Command::new(env!("CARGO_BIN_EXE_macsec"));
        command.args(["run", "--config"]).arg(path("macsec.toml"));
        command.env("NOTIFY_SOCKET", path("notify"));
        if let Some(watchdog) = watchdog {
            command.env("WATCHDOG_USEC", watchdog.as_micros().to_string());
        }
        let log = fs::File::create(path("log")).unwrap();
        let process = command.stderr(log).spawn().unwrap();
        Self { process, systemd, directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The next datagram, as its lines.
    fn told(&self) -> Vec<String> {
        let mut buffer = [0; 1024];
        let len = self.systemd.recv(&mut buffer).expect("a datagram");
        std::str::from_utf8(&buffer[..len]).unwrap().lines().map(str::to_owned).collect()
    }

    /// The next datagram that does not feed the watchdog.
    fn told_but_watchdog(&self) -> Vec<String> {
        std::iter::repeat_with(|| self.told()).find(|lines| lines != &["WATCHDOG=1"]).unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    fn socket(&self) -> String {
        self.path("sock").display().to_string()
    }

    fn control(&self, arguments: &[&str]) -> i32 {
        let socket = self.socket();
        let output = common::macsec(&[arguments, &["--socket", &socket]].concat());
        output.status.code().unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn write_config(directory: &Path, port: &str) {
    write_config_with(directory, port, "");
}

fn write_config_with(directory: &Path, port: &str, more: &str) {
    let text = format!(
        "control_socket = \"{0}/sock\"\nstate_directory = \"{0}/state\"\n\
         [[port]]\nname = \"{port}\"\nuplink = \"up0\"\nisolation = \"filter\"\n{more}\n",
        directory.display()
    );
    fs::write(directory.join("macsec.toml"), text).unwrap();
}

/// Runs `test` where there is no uplink.
fn run(test: impl FnOnce() + Send) {
    match Namespace::new().and_then(|namespace| namespace.run(test)) {
        Ok(()) => {}
        Err(error) => common::skip(&error.to_string()),
    }
}

#[test]
fn ready_comes_when_it_serves_and_stopping_when_it_ends() {
    run(|| {
        let mut service = Service::start(None);
        assert_eq!(service.told(), ["READY=1"]);
        // Not before it answers.
        assert_eq!(service.control(&["status"]), 0);
        service.signal(Signal::TERM);
        assert_eq!(service.told(), ["STOPPING=1"], "without a watchdog it is not fed");
        assert_eq!(service.process.wait().unwrap().code(), Some(0));
    });
}

#[test]
fn a_gateway_that_does_not_start_is_never_ready() {
    run(|| {
        let mut first = Service::start(None);
        assert_eq!(first.told(), ["READY=1"]);
        // The same control socket.
        let mut command = Command::new(env!("CARGO_BIN_EXE_macsec"));
        command.args(["run", "--config"]).arg(first.path("macsec.toml"));
        command.env("NOTIFY_SOCKET", first.path("notify"));
        assert_eq!(command.output().unwrap().status.code(), Some(common::CANNOT_RUN));
        first.signal(Signal::TERM);
        assert_eq!(first.told(), ["STOPPING=1"]);
        assert_eq!(first.process.wait().unwrap().code(), Some(0));
    });
}

/// The time has to come in the same datagram: systemd takes each as a whole.
#[test]
fn a_reload_is_told_with_its_time() {
    run(|| {
        let service = Service::start(None);
        assert_eq!(service.told(), ["READY=1"]);
        let reloaded = || {
            let told = service.told();
            let [reloading, time] = &told[..] else { panic!("{told:?}") };
            assert_eq!(reloading, "RELOADING=1");
            let microseconds = time.strip_prefix("MONOTONIC_USEC=").expect("a time");
            assert!(microseconds.parse::<u64>().is_ok_and(|time| time > 0), "{time}");
            assert_eq!(service.told(), ["READY=1"]);
        };
        service.signal(Signal::HUP);
        reloaded();
        // One that is refused ends, too.
        fs::write(service.path("macsec.toml"), "nonsense").unwrap();
        service.signal(Signal::HUP);
        reloaded();
        // And by the control socket.
        write_config(service.directory.path(), "wan1");
        assert_eq!(service.control(&["reload"]), 0);
        reloaded();
        // Looking is no reload.
        assert_eq!(service.control(&["reload", "--dry-run"]), 0);
        service.signal(Signal::TERM);
        assert_eq!(service.told(), ["STOPPING=1"]);
    });
}

#[test]
fn the_watchdog_is_fed_in_time() {
    run(|| {
        let watchdog = Duration::from_secs(9);
        let service = Service::start(Some(watchdog));
        assert_eq!(service.told(), ["READY=1"]);
        let mut last = Instant::now();
        for _ in 0..4 {
            assert_eq!(service.told(), ["WATCHDOG=1"]);
            assert!(last.elapsed() < watchdog, "{:?}", last.elapsed());
            last = Instant::now();
        }
        // Also while somebody asks all the time; and that is no reason to feed it all the time.
        let begin = Instant::now();
        while begin.elapsed() < watchdog / 3 {
            assert_eq!(service.control(&["reload", "--dry-run"]), 0);
        }
        service.systemd.set_nonblocking(true).unwrap();
        let mut buffer = [0; 100];
        let fed = std::iter::from_fn(|| service.systemd.recv(&mut buffer).ok()).count();
        assert!((1..=20).contains(&fed), "{fed}");
        // Nor is that a port that hangs, which has not moved between two questions.
        let log = fs::read_to_string(service.path("log")).unwrap();
        assert!(!log.contains("does not move"), "{log}");
    });
}

#[test]
fn a_gateway_that_hangs_does_not_feed_the_watchdog() {
    run(|| {
        let service = Service::start(Some(Duration::from_secs(3)));
        assert_eq!(service.told_but_watchdog(), ["READY=1"]);
        assert_eq!(service.told(), ["WATCHDOG=1"]);
        service.signal(Signal::STOP);
        service.systemd.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let mut buffer = [0; 100];
        while service.systemd.recv(&mut buffer).is_ok() {}
        assert!(service.systemd.recv(&mut buffer).is_err());
        service.signal(Signal::CONT);
        service.systemd.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(service.told(), ["WATCHDOG=1"], "and goes on when it can");
    });
}

/// It kept the MTU and the MAC address that it had had over the uplink before.
#[test]
fn the_tap_follows_an_uplink_that_is_taken_anew() {
    run(|| {
        let mut netlink = Netlink::open().unwrap();
        let plug = |netlink: &mut Netlink, mac: [u8; 6]| {
            netlink.create_veth(&VethEnd::new("up0").mac(mac), &VethEnd::new("far0")).unwrap();
            netlink.set_up("far0").unwrap();
        };
        plug(&mut netlink, [2, 0, 0, 0, 0, 1]);
        let service = Service::start(None);
        assert_eq!(service.told(), ["READY=1"]);
        let tap = netlink.link("wan0").unwrap();
        assert_eq!((tap.mtu, tap.mac), (1468, Some([2, 0, 0, 0, 0, 1])));

        write_config_with(service.directory.path(), "wan0", "uplink_mtu = 1600");
        assert_eq!(service.control(&["reload"]), 0);
        assert_eq!(netlink.link("wan0").unwrap().mtu, 1568);

        netlink.delete_link("up0").unwrap();
        plug(&mut netlink, [2, 0, 0, 0, 0, 3]);
        let until = Instant::now() + PATIENCE;
        while netlink.link("wan0").unwrap().mac != Some([2, 0, 0, 0, 0, 3]) {
            assert!(Instant::now() < until, "{:?}", netlink.link("wan0"));
            std::thread::sleep(Duration::from_millis(50));
        }
    });
}

//! A host of its own, on which `macsec run` runs as a process, and frames to tell apart.
#![allow(unreachable_pub, dead_code)]

use std::{
    fmt,
    fs::{self, OpenOptions},
    io::Write as _,
    os::{
        fd::AsFd,
        unix::{fs::PermissionsExt, process::ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::{Duration, Instant},
};

use macsec_gateway::{
    control::{self, Reply, Request},
    status::{PortStatus, Status},
};
use macsec_io::{
    netlink::{Netlink, VethEnd},
    netns::Namespace,
    offload,
    packet::{PacketRxRing, PacketTxRing, RxConfig, RxMode, TxConfig},
    sysctl,
};
use tempfile::TempDir;

/// For what has to come, on a machine that is busy with other things.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Keys as hexadecimal digits. What they protect is this test's.
pub const SAK_128: &str = "5c3a9e0147d2b86f10e4937ac5d8216b";
pub const SAK_256: &str = "91d7c04be82f563aa01c9d4ef7b325860b6e1fd3a98c427550e7b2c6143f9d08";
pub const OTHER_SAK_256: &str = "02d7c04be82f563aa01c9d4ef7b325860b6e1fd3a98c427550e7b2c6143f9d19";
pub const SALT: &str = "a7c1e350b94d26f88103d7ee";

/// MAC addresses: of the uplink here, and of the wire's far end.
pub const NEAR: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub const FAR: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// The ways to own an uplink.
pub const BOTH_ISOLATIONS: [&str; 2] = ["filter", "namespace"];

/// Stops the threads of a scope also if that panics: it waits for them before it tells why.
pub struct Stops<'a>(pub &'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A host with a directory for all files of a gateway.
pub struct Edge {
    pub home: Namespace,
    directory: TempDir,
    /// The name of the gateway's private namespace.
    pub private: String,
}

impl Edge {
    /// A host, or the reason why there is none to be had here.
    pub fn new() -> Result<Self, Box<dyn std::error::Error>> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        if !Path::new("/dev/net/tun").exists() {
            return Err("/dev/net/tun is missing".into());
        }
        let home = Namespace::new()?;
        home.run(sysctl::disable_ipv6_everywhere)??;
        let edge = Self {
            home,
            directory: tempfile::tempdir()?,
            private: format!("macsec-test-{}-{count}", std::process::id()),
        };
        edge.write("k128", SAK_128, 0o600);
        edge.write("k256", SAK_256, 0o600);
        edge.write("other256", OTHER_SAK_256, 0o600);
        Ok(edge)
    }

    /// In this host's namespace.
    pub fn run<T: Send>(&self, action: impl FnOnce() -> T + Send) -> T {
        self.home.run(action).expect("the namespace")
    }

    /// Changes links of this host.
    pub fn netlink<T: Send>(&self, action: impl FnOnce(&mut Netlink) -> T + Send) -> T {
        self.run(|| action(&mut Netlink::open().expect("netlink")))
    }

    /// Runs `ip` there.
    pub fn ip(&self, arguments: &str) {
        let output = self.run(|| Command::new("ip").args(arguments.split(' ')).output());
        let output = output.expect("ip of iproute2");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ip {arguments}: {error}");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str, mode: u32) {
        let path = self.path(name);
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("mode");
    }

    pub fn socket(&self) -> PathBuf {
        self.path("control.sock")
    }

    /// Replaces the configuration.
    pub fn configure(&self, ports: &[&Wan]) {
        self.configure_text(&ports.iter().map(ToString::to_string).collect::<String>());
    }

    pub fn configure_text(&self, ports: &str) {
        let (socket, state) = (self.socket(), self.path("state"));
        let head = format!(
            "control_socket = {socket:?}\nstate_directory = {state:?}\nnamespace = {:?}\n",
            self.private
        );
        self.write("macsec.toml", &(head + ports), 0o600);
    }

    /// `macsec run` with the configuration as it is, and not waited for.
    pub fn spawn(&self, options: &[&str]) -> Daemon {
        let log = self.path("log");
        let file = OpenOptions::new().create(true).append(true).open(&log).expect("a log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_macsec"));
        command.arg("run").arg("--config").arg(self.path("macsec.toml")).args(options);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
        self.adopt(self.run(|| command.spawn()).expect("the binary has been built"))
    }

    /// A gateway that has been started in some other way.
    pub fn adopt(&self, child: Child) -> Daemon {
        Daemon { child, socket: self.socket(), log: self.path("log") }
    }

    /// A gateway with these ports, which answers.
    pub fn start(&self, ports: &[&Wan]) -> Daemon {
        self.configure(ports);
        self.start_again()
    }

    /// A gateway with the configuration as it is, which answers.
    pub fn start_again(&self) -> Daemon {
        let mut daemon = self.spawn(&[]);
        daemon.wait_until("it answers", |_| true);
        daemon
    }

    /// `macsec run` that is expected to end by itself.
    pub fn refused(&self) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_macsec"));
        command.arg("run").arg("--config").arg(self.path("macsec.toml"));
        self.run(|| command.output()).expect("the binary has been built")
    }

    /// Runs another command of `macsec` against the gateway here.
    pub fn ask(&self, command: &[&str]) -> Output {
        let mut process = Command::new(env!("CARGO_BIN_EXE_macsec"));
        process.args(command).arg("--socket").arg(self.socket());
        process.output().expect("the binary has been built")
    }

    /// A host's way of sending and receiving at `interface`.
    pub fn station(&self, interface: &str) -> Station {
        self.run(|| Station::open(interface))
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ = Namespace::unpin(&self.private);
    }
}

/// A wire between `near`, an interface to be made in one namespace, and `far` in another.
pub fn plug(near: (&Namespace, &str, [u8; 6]), far: (&Namespace, &str, [u8; 6])) {
    near.0
        .run(|| {
            let far_end = VethEnd::new(far.1).mac(far.2).namespace(far.0.as_fd());
            let near_end = VethEnd::new(near.1).mac(near.2);
            Netlink::open().expect("netlink").create_veth(&near_end, &far_end).expect("a wire");
        })
        .expect("the namespace");
    far.0.run(|| quiet(far.1)).expect("the namespace");
}

/// Sets an interface up that says nothing by itself.
pub fn quiet(name: &str) {
    let mut netlink = Netlink::open().expect("netlink");
    sysctl::disable_ipv6(name).expect("no IPv6");
    netlink.set_arp(name, false).expect("no ARP");
    assert_eq!(offload::disable_all(name).expect("offloads"), []);
    netlink.set_up(name).expect("up");
}

/// A running `macsec run`.
pub struct Daemon {
    pub child: Child,
    socket: PathBuf,
    log: PathBuf,
}

impl Daemon {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it says, if it answers and all its ports do in time: on a busy machine they may not.
    pub fn try_status(&self) -> Option<Status> {
        match control::ask(&self.socket, &Request::Status) {
            Ok(Reply::Status(status)) => Some(*status).filter(is_whole),
            _ => None,
        }
    }

    #[track_caller]
    pub fn status(&self) -> Status {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.try_status() {
                return status;
            }
            assert!(Instant::now() < deadline, "no answer; log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What it says of its port `name`.
    pub fn port(&self, name: &str) -> PortStatus {
        let mut ports = self.status().ports.into_iter();
        ports.find(|port| port.name == name).expect("a port of this name")
    }

    /// Waits until its status is as wanted.
    #[track_caller]
    pub fn wait_until(&mut self, what: &str, wanted: impl Fn(&Status) -> bool) -> Status {
        let deadline = Instant::now() + PATIENCE;
        let mut last = None;
        while Instant::now() < deadline {
            if let Some(status) = self.try_status() {
                if wanted(&status) {
                    return status;
                }
                last = Some(status);
            }
            let ended = self.child.try_wait().expect("a child");
            assert!(ended.is_none(), "waiting until {what}: {ended:?}; log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("waited in vain until {what}: {last:#?}; log:\n{}", self.log());
    }

    /// Waits until each port is secured and has no problem.
    #[track_caller]
    pub fn secured(&mut self) -> Status {
        self.wait_until("all ports are secured", |status| {
            status.ports.iter().all(|port| port.controlled_port_enabled && port.problems.is_empty())
        })
    }

    /// Waits until the port `wan0` has a problem, or a line of its text, with `words` in it.
    #[track_caller]
    pub fn shows(&mut self, words: &str) {
        self.wait_until(words, |status| macsec_gateway::status::render(status).contains(words));
    }

    pub fn reload(&self, dry_run: bool) -> Result<Vec<String>, Vec<String>> {
        match control::ask(&self.socket, &Request::Reload { dry_run }).expect("an answer") {
            Reply::Changes(lines) => Ok(lines),
            Reply::Refused(lines) => Err(lines),
            _ => panic!("no answer to this"),
        }
    }

    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.pid().to_string()]).status();
        assert!(status.expect("kill").success());
    }

    /// Ends it as systemd would.
    #[track_caller]
    pub fn stop(mut self) {
        self.signal("-TERM");
        let status = self.wait();
        assert_eq!((status.code(), status.signal()), (Some(0), None), "log:\n{}", self.log());
    }

    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("it does not end; log:\n{}", self.log());
    }

    /// Ends it as nobody should.
    pub fn kill(mut self) {
        self.child.kill().expect("a child");
        self.child.wait().expect("a child");
    }

    /// Waits until `words` are in its log, which a thread of its own writes.
    #[track_caller]
    pub fn logs(&self, words: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.log().contains(words) {
            assert!(Instant::now() < deadline, "{words}: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Octets of memory in use.
    pub fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }
}

/// Whether all ports and their KaYs have said how they are.
fn is_whole(status: &Status) -> bool {
    let mut problems = status.ports.iter().flat_map(|port| &port.problems);
    !problems.any(|problem| problem.ends_with("does not answer"))
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port of the configuration. Fields that are left empty are left out.
#[derive(Clone)]
pub struct Wan {
    pub name: &'static str,
    pub uplink: &'static str,
    pub isolation: &'static str,
    pub suite: &'static str,
    /// More lines of the port.
    pub lines: String,
    pub first_use: bool,
    pub sak_file: &'static str,
    pub ssci: u32,
    pub peer: [u8; 6],
    /// More lines of the peer.
    pub peer_lines: String,
}

impl Default for Wan {
    fn default() -> Self {
        Self {
            name: "wan0",
            uplink: "up0",
            isolation: "filter",
            suite: "gcm-aes-xpn-256",
            lines: String::new(),
            first_use: true,
            sak_file: "k256",
            ssci: 1,
            peer: FAR,
            peer_lines: String::new(),
        }
    }
}

impl Wan {
    pub fn lines(mut self, lines: &str) -> Self {
        self.lines.push_str(lines);
        self.lines.push('\n');
        self
    }
}

impl fmt::Display for Wan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, uplink, isolation, suite, lines, first_use, sak_file, ssci, .. } = self;
        writeln!(f, "[[port]]\nname = {name:?}\nuplink = {uplink:?}\nisolation = {isolation:?}")?;
        writeln!(f, "cipher_suite = {suite:?}\n{lines}")?;
        writeln!(f, "[port.static_keys]\nfirst_use = {first_use}\nsak_file = {sak_file:?}")?;
        let xpn = suite.contains("xpn");
        if xpn {
            writeln!(f, "salt = {SALT:?}\nssci = {ssci}")?;
        }
        let sci = macsec::Sci::new(macsec::MacAddress(self.peer), 1);
        writeln!(f, "[[port.static_keys.peer]]\nsci = \"{sci}\"")?;
        if xpn {
            writeln!(f, "ssci = {}", if *ssci == 1 { 2 } else { 1 })?;
        }
        writeln!(f, "{}", self.peer_lines)
    }
}

/// EtherType of the frames that hosts send here (for local experiments).
const DATA: [u8; 2] = [0x88, 0xb5];

/// A frame with a number of its own, `len` octets long.
pub fn numbered(destination: [u8; 6], source: [u8; 6], number: u64, len: usize) -> Vec<u8> {
    let mut frame = [&destination[..], &source, &DATA, &number.to_be_bytes()].concat();
    frame.resize(len.max(60), 0xa5);
    frame
}

/// The number of such a frame.
pub fn number_of(frame: &[u8]) -> Option<u64> {
    let data = frame.get(12..)?.strip_prefix(&DATA)?;
    data.first_chunk().map(|octets| u64::from_be_bytes(*octets))
}

/// Rings of whoever sends and receives at an interface.
pub struct Station {
    pub rx: PacketRxRing,
    pub tx: PacketTxRing,
}

impl Station {
    /// In this thread's namespace.
    pub fn open(interface: &str) -> Self {
        // Enough for seconds in which this process does not get its turn.
        let mode = RxMode::Slots { frames: 16384 };
        Self::open_with(interface, &RxConfig { mode, promiscuous: true, ..RxConfig::default() })
    }

    pub fn open_with(interface: &str, rx: &RxConfig) -> Self {
        let rx = PacketRxRing::open(interface, rx).expect("a ring");
        let tx = TxConfig { max_frame: 9728, ..TxConfig::default() };
        let tx = PacketTxRing::open(interface, &tx).expect("a ring");
        Self { rx, tx }
    }

    /// Sends one frame, whether or not anybody takes it.
    pub fn send(&mut self, frame: &[u8]) {
        let _ = self.tx.wait_for_room(PATIENCE);
        let _ = self.tx.push(frame);
        let _ = self.tx.flush();
    }

    /// What has arrived up to now.
    pub fn received(&mut self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        self.rx.receive(usize::MAX, |frame| frames.push(frame.to_vec()));
        frames
    }

    /// Waits for frames until `enough` of them have come that `wanted` picks.
    #[track_caller]
    pub fn wait_for(&mut self, enough: usize, wanted: impl Fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
        let deadline = Instant::now() + PATIENCE;
        let mut frames = Vec::new();
        while frames.len() < enough {
            assert!(Instant::now() < deadline, "{} frames of {enough} have come", frames.len());
            let _ = self.rx.wait(Some(Duration::from_millis(20)));
            frames.extend(self.received().into_iter().filter(|frame| wanted(frame)));
        }
        frames
    }
}

/// Prints a figure even if the test passes.
pub fn figure(text: &str) {
    let _ = writeln!(std::io::stderr(), "FIGURE {text}");
}

/// Numbers that are as good as random, and the same each time (xorshift).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

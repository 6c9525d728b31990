//! A host with an uplink and another interface, and the far end of the wire.
#![allow(unreachable_pub)]

use std::{
    fs,
    os::fd::AsFd,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use macsec_gateway::uplink::{Isolation, Settings, Uplink, UplinkError};
use macsec_io::{
    netlink::{Netlink, NetlinkError, Qdisc, VethEnd},
    netns::{Namespace, Resident},
    offload::{self, Features},
    packet::{PacketRxRing, PacketTxRing, RxConfig, TxConfig},
    sysctl,
};

use super::frames::{FAR_HOST, FAR_MAC, HOST, HOST6, NEAR_MAC};
use crate::common;

/// `up0` of the host's namespace, whose other end is `far0` in one of its own; `lan0`, which has the
/// host's addresses; a private namespace; a directory for records.
pub struct Bench {
    home: Arc<Namespace>,
    private: Arc<Resident>,
    far: Namespace,
    directory: PathBuf,
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Bench {
    /// Runs `test` in the host's namespace. Says so if that is not possible here.
    pub fn run(test: impl FnOnce(&Self) + Send) {
        match Self::new() {
            Ok(bench) => {
                let home = Arc::clone(&bench.home);
                home.run(|| test(&bench)).unwrap();
            }
            Err(error) => common::skip(&error.to_string()),
        }
    }

    fn new() -> Result<Self, Box<dyn std::error::Error>> {
        Command::new("tc").arg("-V").output().map_err(|e| format!("tc of iproute2: {e}"))?;
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (home, far) = (Arc::new(Namespace::new()?), Namespace::new()?);
        let private = Arc::new(Resident::start(Namespace::new()?)?);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = format!("macsec-uplink-test-{}-{count}", std::process::id());
        let directory = std::env::temp_dir().join(directory);
        fs::create_dir(&directory)?;
        let bench = Self { home, private, far, directory };
        bench.home.run(|| bench.plug())?;
        bench.home.run(|| {
            let mut netlink = Netlink::open()?;
            netlink.create_veth(&VethEnd::new("lan0"), &VethEnd::new("lan1"))?;
            for name in ["lan0", "lan1"] {
                netlink.set_up(name)?;
            }
            netlink.add_address("lan0", HOST.into(), 24)?;
            netlink.add_address("lan0", HOST6.into(), 64)?;
            Ok::<_, NetlinkError>(())
        })??;
        Ok(bench)
    }

    /// Plugs `up0` in; it is down.
    pub fn plug(&self) {
        let near = VethEnd::new("up0").mac(NEAR_MAC);
        let far = VethEnd::new("far0").mac(FAR_MAC).namespace(self.far.as_fd());
        Netlink::open().unwrap().create_veth(&near, &far).unwrap();
        self.far
            .run(|| {
                let mut netlink = Netlink::open().unwrap();
                sysctl::disable_ipv6("far0").unwrap();
                netlink.set_arp("far0", false).unwrap();
                netlink.set_mtu("far0", 9000).unwrap();
                assert_eq!(offload::disable_all("far0").unwrap(), []);
                netlink.set_up("far0").unwrap();
            })
            .unwrap();
    }

    /// Pulls it out, wherever it is.
    pub fn unplug(&self) {
        self.far.run(|| Netlink::open().unwrap().delete_link("far0").unwrap()).unwrap();
    }

    pub fn replug(&self) {
        self.unplug();
        self.plug();
    }

    /// Sets `up0` up, with a route to [`FAR_HOST`] by way of it.
    pub fn set_up(&self) {
        let mut netlink = Netlink::open().unwrap();
        netlink.set_up("up0").unwrap();
        // A route needs no address on the interface: the host answers from any it has.
        ip(&format!("route add {FAR_HOST}/32 dev up0"));
        netlink.add_neighbour("up0", FAR_HOST.into(), FAR_MAC).unwrap();
    }

    /// Moves it home and does no more.
    pub fn move_home(&self, uplink: &Uplink) {
        let home = Arc::clone(&self.home);
        uplink.run(move || Netlink::open()?.move_to_namespace("up0", home.as_fd())).unwrap();
    }

    pub fn take(&self, isolation: Isolation, settings: &Settings) -> Result<Uplink, UplinkError> {
        self.take_named("up0", isolation, settings)
    }

    fn take_named(
        &self,
        name: &str,
        isolation: Isolation,
        settings: &Settings,
    ) -> Result<Uplink, UplinkError> {
        let (home, private) = (&self.home, Some(&self.private));
        Uplink::take(name, isolation, home, private, &self.directory, settings)
    }

    /// Requires that `name` cannot be taken, with a text of one line that has all of `words`.
    pub fn refused(&self, name: &str, isolation: Isolation, words: &[&str]) {
        let text = self.take_named(name, isolation, &Settings::default()).unwrap_err().to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
        assert!(!text.contains('\n') && text.len() < 140, "{text}");
        assert!(text.starts_with("uplink "), "{text}");
    }

    pub fn give_back(&self) -> Result<(), UplinkError> {
        Uplink::give_back("up0", &self.home, Some(&self.private), &self.directory)
    }

    /// Runs `action` while the wire's end sends `frames` without a pause. Returns what the wire's end
    /// has heard, and how many frames it has sent.
    pub fn in_flood(&self, frames: &[Vec<u8>], action: impl FnOnce()) -> (Vec<Vec<u8>>, u64) {
        let (mut rx, mut tx) = self.wire();
        let (done, sent) = (AtomicBool::new(false), AtomicU64::new(0));
        let heard = thread::scope(|scope| {
            let flood = scope.spawn(|| {
                let mut heard = Vec::new();
                while !done.load(Ordering::Relaxed) {
                    for frame in frames {
                        // It is full while the other end is away or down.
                        sent.fetch_add(u64::from(tx.push(frame).is_ok()), Ordering::Relaxed);
                    }
                    let _ = tx.flush();
                    rx.receive(usize::MAX, |frame| heard.push(frame.to_vec()));
                    thread::yield_now();
                }
                heard
            });
            let result = catch_unwind(AssertUnwindSafe(action));
            // Also when a test fails, which would wait for the flood to end.
            done.store(true, Ordering::Relaxed);
            let heard = flood.join().unwrap();
            result.unwrap_or_else(|panic| resume_unwind(panic));
            heard
        });
        (heard, sent.into_inner())
    }

    pub fn private(&self) -> &Resident {
        &self.private
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn record(&self) -> PathBuf {
        self.directory.join("up0.uplink.json")
    }

    /// Both directions of the wire's far end.
    pub fn wire(&self) -> (PacketRxRing, PacketTxRing) {
        self.far
            .run(|| {
                let rx = RxConfig { promiscuous: true, ..RxConfig::default() };
                let rx = PacketRxRing::open("far0", &rx).unwrap();
                (rx, PacketTxRing::open("far0", &TxConfig::default()).unwrap())
            })
            .unwrap()
    }

    /// Sends `frames` at the wire's end and returns what comes back within `millis`.
    pub fn exchange(
        &self,
        rx: &mut PacketRxRing,
        tx: &mut PacketTxRing,
        frames: &[&[u8]],
        millis: u64,
    ) -> Vec<Vec<u8>> {
        for frame in frames {
            tx.push(frame).unwrap();
        }
        tx.flush().unwrap();
        let until = Instant::now() + Duration::from_millis(millis);
        let mut heard = Vec::new();
        while Instant::now() < until {
            rx.wait(Some(Duration::from_millis(20))).unwrap();
            rx.receive(usize::MAX, |frame| heard.push(frame.to_vec()));
        }
        heard
    }
}

/// How many IPv4 packets this thread's network stack has got.
pub fn packets_heard() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/net/snmp").unwrap();
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Ip: "));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let at = names.split(' ').position(|name| name == "InReceives").unwrap();
    values.split(' ').nth(at).unwrap().parse().unwrap()
}

/// All that is to be the same after an interface has been given back.
#[derive(Debug, PartialEq, Eq)]
pub struct Snapshot {
    up: bool,
    arp: bool,
    mtu: u32,
    mac: Option<[u8; 6]>,
    promiscuous: bool,
    master: Option<u32>,
    ipv6_disabled: Option<bool>,
    features: Features,
    qdiscs: Vec<Qdisc>,
}

impl Snapshot {
    pub fn set_mac(&mut self, mac: [u8; 6]) {
        self.mac = Some(mac);
    }
}

/// Of an interface in this thread's namespace.
pub fn snapshot(name: &str) -> Snapshot {
    let mut netlink = Netlink::open().unwrap();
    let link = netlink.link(name).unwrap();
    // The kernel's own choice comes by itself, when the link goes up for the first time.
    let mut qdiscs = netlink.qdiscs(name).unwrap();
    qdiscs.retain(Qdisc::is_configured);
    Snapshot {
        up: link.up,
        arp: link.arp,
        mtu: link.mtu,
        mac: link.mac,
        promiscuous: link.promiscuous,
        master: link.master,
        ipv6_disabled: sysctl::is_ipv6_disabled(name).unwrap(),
        features: Features::of(name).unwrap(),
        qdiscs,
    }
}

/// Runs `ip` (or `tc`, if that is the first word) in this thread's namespace.
pub fn ip(command: &str) {
    let (program, arguments) = match command.strip_prefix("tc ") {
        Some(rest) => ("tc", rest),
        None => ("ip", command),
    };
    let output = Command::new(program).args(arguments.split(' ')).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments}: {error}");
}

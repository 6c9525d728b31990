//! One gateway of the demo, as a process of its own, and the handle that the demo holds it by.
//!
//! They talk in lines of JSON over the child's standard input and output: first the configuration,
//! answered by a status; then any line is answered by a status; end of input ends the process, so it
//! cannot outlive the demo. Keys travel by this pipe, never on a command line; their text is wiped
//! after use, and the gateway leaves no core dump.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Write},
    os::fd::{AsFd, AsRawFd},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio},
    time::Duration,
};

use macsec::{COUNTERS, CipherSuite, Config, Ki, MacAddress, Sak, Salt, Sci, Ssci};
use macsec_io::{netns::Namespace, tap::Tap};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::topology::{End, TAP, Topology, WIRE_MTU};
use crate::{
    exit,
    port::{FreshKey, Port},
};

/// Octets that hold every line with a key: a buffer that grew would leave a copy of the key behind.
const MAX_CONFIG: usize = 4096;

/// What a gateway needs to know. There is no `Debug`: it holds a key.
#[derive(Clone, Serialize, Deserialize)]
pub struct WorkerConfig {
    uplink: String,
    cloud_namespace: PathBuf,
    sci: String,
    peer: String,
    cipher_suite: String,
    sak: Zeroizing<String>,
    ki: String,
    salt: Option<String>,
    ssci: Option<u32>,
    peer_ssci: Option<u32>,
}

/// The key that both gateways of a demo share.
pub struct DemoKey {
    suite: CipherSuite,
    sak: Zeroizing<Vec<u8>>,
    ki: [u8; 16],
    salt: [u8; 12],
}

impl DemoKey {
    /// A fresh key from the system's random number generator.
    ///
    /// # Errors
    /// That of the generator.
    pub fn new(suite: CipherSuite) -> Result<Self, getrandom::Error> {
        let mut key = Self {
            suite,
            sak: Zeroizing::new(vec![0; suite.key_len()]),
            ki: [0; 16],
            salt: [0; 12],
        };
        getrandom::fill(&mut key.sak)?;
        getrandom::fill(&mut key.ki)?;
        getrandom::fill(&mut key.salt)?;
        Ok(key)
    }

    fn config(&self, end: End, topology: &Topology) -> WorkerConfig {
        let xpn = self.suite.is_xpn();
        // The greater SCI has SSCI 1, as MKA would have it.
        let ssci = |end: End| xpn.then_some(if sci(end) > sci(end.other()) { 1 } else { 2 });
        let cloud = topology.cloud(end).as_fd().as_raw_fd();
        WorkerConfig {
            uplink: end.wire().to_owned(),
            cloud_namespace: format!("/proc/{}/fd/{cloud}", std::process::id()).into(),
            sci: sci(end).to_string(),
            peer: sci(end.other()).to_string(),
            cipher_suite: self.suite.name().to_owned(),
            sak: Zeroizing::new(hex::encode(&*self.sak)),
            ki: hex::encode(self.ki),
            salt: xpn.then(|| hex::encode(self.salt)),
            ssci: ssci(end),
            peer_ssci: ssci(end.other()),
        }
    }
}

fn sci(end: End) -> Sci {
    Sci::new(MacAddress(end.mac()), Sci::PORT_END_STATION)
}

/// What a gateway says of itself.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Status {
    /// The cipher backend.
    pub backend: String,
    /// Frames protected.
    pub sealed: u64,
    /// Frames validated and taken by the host.
    pub delivered: u64,
    /// The 802.1AE-2018 counters by name.
    pub counters: BTreeMap<String, u64>,
    /// Our own counters by name.
    pub local: BTreeMap<String, u64>,
}

impl Status {
    /// A counter of 802.1AE-2018.
    #[must_use]
    pub fn counter(&self, name: &str) -> u64 {
        self.counters.get(name).copied().unwrap_or_default()
    }

    fn of(port: &mut Port) -> Self {
        let delivered = port.counters().tap_written;
        let mut local = crate::status::local(port);
        // These count what went well.
        local.retain(|name, _| !matches!(name.as_str(), "delivered" | "uplink-sent"));
        let secy = port.secy().counters();
        Self {
            backend: port.secy().backend_name().to_owned(),
            sealed: secy.transmit_sc.out_pkts_encrypted + secy.transmit_sc.out_pkts_protected,
            delivered,
            counters: COUNTERS.iter().map(|c| (c.name.to_owned(), (c.value)(&secy))).collect(),
            local,
        }
    }
}

/// A gateway process, seen from the demo. Dropping it ends the process.
pub struct Worker {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Worker {
    /// Starts the gateway of `end` in its edge's namespace and waits until it runs.
    ///
    /// # Errors
    /// What the operating system says, or what the gateway said before it ended.
    pub fn start(end: End, topology: &Topology, key: &DemoKey) -> io::Result<Self> {
        let program = std::env::current_exe()?;
        let mut child = topology
            .edge(end)
            .run(|| {
                Command::new(program)
                    .arg("demo-gateway")
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .spawn()
            })
            .map_err(io::Error::other)??;
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or_else(|| io::Error::other("no standard output"))?;
        let mut worker = Self { child, input, output: BufReader::new(output) };
        let mut config = Zeroizing::new(Vec::with_capacity(MAX_CONFIG));
        serde_json::to_writer(&mut *config, &key.config(end, topology))?;
        worker.send(&config)?;
        worker.answer()?;
        Ok(worker)
    }

    /// Asks the gateway for its status.
    ///
    /// # Errors
    /// When the gateway has ended.
    pub fn status(&mut self) -> io::Result<Status> {
        self.send(b"status")?;
        self.answer()
    }

    fn send(&mut self, line: &[u8]) -> io::Result<()> {
        let input = self.input.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        input.write_all(line)?;
        input.write_all(b"\n")
    }

    fn answer(&mut self) -> io::Result<Status> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the gateway has ended"));
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.input = None;
        for _ in 0..100 {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The gateway process itself.
#[must_use]
pub fn run() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::cannot_run("demo-gateway", &error),
    }
}

fn serve() -> Result<(), Box<dyn std::error::Error>> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    // Unbuffered: poll(2) must see every line that has not been answered.
    let mut input = std::fs::File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut output = io::stdout();
    let mut port = open(&read_line(&mut input)?)?;
    loop {
        serde_json::to_writer(&mut output, &Status::of(&mut port))?;
        output.write_all(b"\n")?;
        output.flush()?;
        while !port.turn(&[input.as_fd()], Duration::from_secs(1))? {}
        if read_line(&mut input)?.is_empty() {
            return Ok(());
        }
    }
}

/// Reads up to the end of a line, or of the input (then it is empty).
fn read_line(input: &mut impl io::Read) -> io::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::with_capacity(MAX_CONFIG));
    let mut octet = [0];
    while input.read(&mut octet)? == 1 && octet != *b"\n" {
        line.push(char::from(octet[0]));
    }
    Ok(line)
}

fn open(config: &str) -> Result<Port, Box<dyn std::error::Error>> {
    let config: WorkerConfig = serde_json::from_str(config)?;
    let sci: Sci = config.sci.parse()?;
    let tap = Namespace::open(&config.cloud_namespace)?.run(|| Tap::create(TAP))??;
    let mut controls = Config::default();
    // What every peer understands, and what providers ask for.
    controls.always_include_sci = true;
    let mut port = Port::open(&config.uplink, WIRE_MTU, tap, sci, controls)?;
    let mut salt = [0; 12];
    if let Some(hex) = &config.salt {
        hex::decode_to_slice(hex, &mut salt)?;
    }
    port.install_fresh_key(FreshKey {
        suite: config.cipher_suite.parse::<CipherSuite>()?,
        ki: config.ki.parse::<Ki>()?,
        sak: Sak::new(&Zeroizing::new(hex::decode(&*config.sak)?))?,
        salt: config.salt.is_some().then_some(Salt(salt)),
        ssci: config.ssci.map(Ssci),
        peer: config.peer.parse()?,
        peer_ssci: config.peer_ssci.map(Ssci),
    })?;
    Ok(port)
}

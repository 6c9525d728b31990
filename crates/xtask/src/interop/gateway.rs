//! Our end: the daemon, `macsec run`, with a configuration file of the case's.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use macsec::{COUNTERS, MacAddress, Sak, Salt, Sci, Ssci};
use macsec_gateway::{
    config::{Isolation, KeyCheck},
    control::{self, Reply, Request},
    pn_store::{NonceIdentity, PnStore, PnWriter},
    status::{PortStatus, SecyStatus},
    uplink,
};
use macsec_io::netns::Namespace;
use rustix::process::{Pid, Signal, kill_process};

use super::{
    Counts, Result,
    case::{Case, Form},
    guest,
    keys::Keys,
    station::{self, PATIENCE},
};

/// The MAC address of our end.
pub(super) const MAC: [u8; 6] = [0x02, 0x4d, 0x53, 0, 0, 1];
/// The interface that is plugged into the guest: the uplink.
pub(super) const WIRE: &str = "wire";
/// The host's side.
pub(super) const TAP: &str = "tap0";

/// Our SCI.
pub(super) fn sci() -> Sci {
    Sci::new(MacAddress(MAC), Sci::PORT_END_STATION)
}

fn peer() -> Sci {
    Sci::new(MacAddress(guest::MAC), Sci::PORT_END_STATION)
}

/// Where the daemons of all cases live, one after the other. The control socket is the same for all, so
/// that each finds the wire where one that was killed has left it.
pub(super) struct Site {
    program: PathBuf,
    directory: tempfile::TempDir,
    /// The name of the private namespace.
    namespace: String,
    log: PathBuf,
}

impl Site {
    /// Builds the daemon. Its log goes to the directory `logs`.
    pub(super) fn new(logs: &Path) -> Result<Self> {
        let program = build()?;
        let log = logs.join("gateway.log");
        fs::create_dir_all(logs)?;
        File::create(&log)?;
        Ok(Self {
            program,
            directory: tempfile::Builder::new().prefix("macsec-interop-").tempdir()?,
            namespace: format!("macsec-interop-{}", std::process::id()),
            log,
        })
    }

    /// Makes ready for a case: nothing is on record but the PNs that it begins with.
    pub(super) fn begin(&self, case: &Case, keys: &Keys) -> Result<()> {
        self.begin_anew(&case.name)?;
        self.write("sak", &hex::encode(&keys.sak))?;
        let store = PnStore::open(&self.state())?;
        let check = KeyCheck::of(&Sak::new(&keys.sak)?);
        let identity = |sci, ssci| match case.suite.is_xpn() {
            true => NonceIdentity::Ssci(Ssci(ssci), Salt(keys.salt)),
            false => NonceIdentity::Sci(sci),
        };
        // Of PN 1 there is no record: that is what `first_use` is for.
        let writer = PnWriter::start("interop")?;
        if case.our_pn != 1 {
            let mark = store.transmit(&check.0, &identity(sci(), keys.our_ssci), true)?;
            writer.transmit(mark).finish(case.our_pn);
        }
        if case.kernel_pn != 1 {
            let mark = store.receive(&check.0, &identity(peer(), keys.kernel_ssci), true)?;
            writer.receive(mark).finish(case.kernel_pn);
        }
        Ok(())
    }

    /// Makes ready for a case: nothing is on record.
    pub(super) fn begin_anew(&self, name: &str) -> Result<()> {
        self.note(&format!("# {name}"))?;
        let state = self.state();
        if state.exists() {
            fs::remove_dir_all(&state)?;
        }
        Ok(())
    }

    /// Writes a line into the log.
    pub(super) fn note(&self, line: &str) -> Result<()> {
        Ok(writeln!(self.log()?, "{line}")?)
    }

    /// Puts frames on the wire, past the daemon.
    pub(super) fn inject(&self, isolation: Isolation, frames: &[Vec<u8>]) -> Result<()> {
        let inject = || station::inject(WIRE, uplink::MARK, frames.iter().cloned());
        match isolation {
            Isolation::Namespace => Namespace::open_named(&self.namespace)?.run(inject)?,
            Isolation::Filter => inject(),
        }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("control.sock")
    }

    fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    fn log(&self) -> Result<File> {
        Ok(OpenOptions::new().append(true).open(&self.log)?)
    }

    /// Writes a file of the daemon's, beside its configuration.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.directory.path().join(name);
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&path);
        file?.write_all(text.as_bytes())?;
        Ok(path)
    }

    /// How every configuration begins: with all of a port that says where it is.
    pub(super) fn port(&self, isolation: Isolation) -> String {
        let isolation = match isolation {
            Isolation::Namespace => "namespace",
            Isolation::Filter => "filter",
        };
        format!(
            "control_socket = {socket:?}
            state_directory = {state:?}
            namespace = {namespace:?}
            [[port]]
            name = \"interop\"
            uplink = {WIRE:?}
            isolation = {isolation:?}
            tap = {TAP:?}
            ",
            socket = self.socket(),
            state = self.state(),
            namespace = self.namespace,
        )
    }

    fn configuration(&self, case: &Case, keys: &Keys, first_use: bool) -> String {
        let form = match case.form {
            Form::Explicit => "always_include_sci = true",
            Form::EndStation => "use_es = true",
            Form::SingleCopyBroadcast => "use_scb = true",
            Form::Implicit => "always_include_sci = false",
        };
        let (salt, our_ssci, kernel_ssci) = match case.suite.is_xpn() {
            true => (
                format!("salt = {:?}", hex::encode(keys.salt)),
                format!("ssci = {}", keys.our_ssci),
                format!("ssci = {}", keys.kernel_ssci),
            ),
            false => Default::default(),
        };
        format!(
            "{port}
            uplink_mtu = {mtu}
            inner_vlan_tags = {tags}
            cipher_suite = {suite:?}
            confidentiality = {confidentiality}
            validate_frames = {validate:?}
            replay_window = {window}
            {form}
            [port.static_keys]
            first_use = {first_use}
            an = {an}
            sak_file = \"sak\"
            {salt}
            {our_ssci}
            [[port.static_keys.peer]]
            sci = \"{peer}\"
            {kernel_ssci}
            ",
            port = self.port(case.isolation),
            mtu = case.mtu,
            tags = u8::from(case.vlan),
            suite = case.suite.name(),
            confidentiality = case.confidentiality,
            validate = case.validate().to_string(),
            window = case.replay_window,
            an = case.an().number(),
            peer = hex::encode(peer().0),
        )
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = Namespace::unpin(&self.namespace);
    }
}

/// Builds the daemon, as this program was built: with or without optimisation.
pub(crate) fn build() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let products = own.parent().ok_or("this program is in no directory of Cargo's")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--package", "macsec-gateway", "--bin", "macsec"]);
    if products.ends_with("release") {
        build.arg("--release");
    }
    if !build.status()?.success() {
        return Err("the gateway cannot be built".into());
    }
    Ok(products.join("macsec"))
}

/// A daemon that runs. Dropping it ends it; so does the end of this process.
pub(super) struct Gateway {
    process: Child,
    socket: PathBuf,
}

impl Gateway {
    /// Starts the daemon of a case as [`Self::run`] does, and waits until its port is open.
    pub(super) fn start(site: &Site, case: &Case, keys: &Keys, first_use: bool) -> Result<Self> {
        let mut gateway = Self::run(site, &site.configuration(case, keys, first_use))?;
        let until = Instant::now() + PATIENCE;
        while !gateway.status().is_ok_and(|status| status.controlled_port_enabled) {
            if gateway.has_ended() || Instant::now() > until {
                let log = site.log.display();
                return Err(format!("the gateway's port does not open: see {log}").into());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(gateway)
    }

    /// Starts the daemon with this configuration, in the namespace of the calling thread, which must
    /// live as long.
    pub(super) fn run(site: &Site, configuration: &str) -> Result<Self> {
        let configuration = site.write("macsec.toml", configuration)?;
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(&site.program)
            .arg("run")
            .arg("--config")
            .arg(configuration)
            .stdin(Stdio::null())
            .stdout(site.log()?)
            .stderr(site.log()?)
            .spawn()
            .map_err(|error| format!("setpriv: {error}"))?;
        Ok(Self { process, socket: site.socket() })
    }

    /// The state of the port.
    pub(super) fn status(&self) -> Result<PortStatus> {
        match control::ask(&self.socket, &Request::Status)? {
            Reply::Status(status) => {
                status.ports.into_iter().next().ok_or_else(|| "there is no port".into())
            }
            other => Err(format!("the gateway answers {other:?}").into()),
        }
    }

    /// The state of the port's SecY.
    pub(super) fn secy(&self) -> Result<SecyStatus> {
        Ok(self.status()?.secy.ok_or("there is no SecY")?)
    }

    /// The counters of the SecY, under their names in 802.1AE-2018.
    pub(super) fn counters(&self) -> Result<Counts> {
        let secy = self.secy()?;
        let scopes = [
            &secy.verification,
            &secy.generation,
            &secy.transmit_sc.statistics,
            &secy.receive_sc_sum,
        ];
        let value = |yang| {
            let value = scopes.iter().find_map(|scope| scope.get(yang)).copied();
            value.ok_or_else(|| format!("the gateway does not tell {yang}"))
        };
        COUNTERS.iter().map(|counter| Ok((counter.name, value(counter.yang)?))).collect()
    }

    /// Asks for a new SAK, as an operator does.
    pub(super) fn rekey(&self) -> Result<()> {
        match control::ask(&self.socket, &Request::Rekey { port: None })? {
            Reply::Changes(_) => Ok(()),
            other => Err(format!("the gateway answers {other:?}").into()),
        }
    }

    /// Whether the daemon has ended.
    pub(super) fn has_ended(&mut self) -> bool {
        self.process.try_wait().is_ok_and(|status| status.is_some())
    }

    /// Ends the daemon as an operator does, and waits until it has.
    pub(super) fn terminate(&mut self) -> Result<()> {
        match self.end(Signal::TERM)? {
            status if status.success() => Ok(()),
            status => Err(format!("the gateway ends with {status}").into()),
        }
    }

    /// Ends the daemon as a crash does.
    pub(super) fn kill(&mut self) -> Result<()> {
        self.end(Signal::KILL).map(drop)
    }

    fn end(&mut self, signal: Signal) -> Result<ExitStatus> {
        if let Some(status) = self.process.try_wait()? {
            return Ok(status);
        }
        kill_process(Pid::from_child(&self.process), signal)?;
        let until = Instant::now() + PATIENCE;
        loop {
            match self.process.try_wait()? {
                Some(status) => return Ok(status),
                None if Instant::now() > until => return Err("the gateway does not end".into()),
                None => thread::sleep(Duration::from_millis(1)),
            }
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if self.end(Signal::TERM).is_err() {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

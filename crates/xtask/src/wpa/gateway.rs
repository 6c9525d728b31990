//! An end that is our gateway: `macsec run` with `[port.mka]`.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use macsec::An;
pub(super) use macsec_gateway::config::Isolation;
use macsec_gateway::{
    control::{self, Reply, Request},
    status::{MkaStatus, PortStatus},
};
use macsec_io::netns::{Namespace, Resident};

use super::{
    Result,
    end::{End, Look},
    process::{Ending, Process},
    wire::INTERFACE,
};

/// A CAK that nobody else has, and its CKN.
const NOBODYS_CAK: [u8; 16] = [0x6e; 16];
const NOBODYS_CKN: &[u8] = b"nobody's";

/// The host's side.
pub(super) const TAP: &str = "tap0";

/// What it is told.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) cak: Vec<u8>,
    pub(super) ckn: Vec<u8>,
    pub(super) priority: u8,
    pub(super) isolation: Isolation,
    /// The key is our fallback: we should rather use one that nobody else has.
    pub(super) is_fallback: bool,
    /// `confidentiality`.
    pub(super) encrypt: bool,
    /// `cipher_suites`.
    pub(super) suites: &'static [&'static str],
    /// More lines of `[port.mka]`.
    pub(super) more: &'static str,
}

impl Settings {
    /// The CAKs, each with its CKN.
    pub(super) fn keys(&self) -> Vec<(&[u8], &[u8])> {
        let nobodys = self.is_fallback.then_some((&NOBODYS_CAK[..], NOBODYS_CKN));
        nobodys.into_iter().chain([(&*self.cak, &*self.ckn)]).collect()
    }
}

/// A gateway, which runs or not.
pub(super) struct Gateway {
    end: Arc<Resident>,
    program: PathBuf,
    directory: PathBuf,
    log: PathBuf,
    /// The name of the private namespace of its uplink, if it makes one.
    namespace: String,
    process: Option<Process>,
}

impl Gateway {
    /// One that is to run in the namespace of an end, for the case `name`. Its files are in
    /// `directory`, its log in `logs`.
    pub(super) fn new(
        end: Arc<Resident>,
        program: &Path,
        name: &str,
        (directory, logs): (&Path, &Path),
        settings: &Settings,
    ) -> Result<Self> {
        let new = Self {
            end,
            program: program.to_owned(),
            directory: directory.to_owned(),
            log: logs.join("gateway.log"),
            namespace: format!("macsec-wpa-{}-{name}", std::process::id()),
            process: None,
        };
        for (cak, ckn) in settings.keys() {
            new.write(&file_of(ckn), &hex::encode(cak))?;
        }
        new.write("macsec.toml", &new.configuration(settings))?;
        Ok(new)
    }

    /// Has it make a new SAK, as an operator does: by `macsec rekey`. If it will not, what it says.
    pub(super) fn rekey(&self) -> Result<std::result::Result<(), String>> {
        let output =
            Command::new(&self.program).args(["rekey", "--socket"]).arg(self.socket()).output()?;
        Ok(match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8(output.stderr)?),
        })
    }

    /// What it says of its KaY.
    pub(super) fn mka(&self) -> Result<MkaStatus> {
        self.status()?.mka.ok_or_else(|| "the gateway says nothing of MKA".into())
    }

    /// What it has logged.
    pub(super) fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(&self.log)?)
    }

    fn status(&self) -> Result<PortStatus> {
        match control::ask(&self.socket(), &Request::Status)? {
            Reply::Status(status) => {
                status.ports.into_iter().next().ok_or_else(|| "there is no port".into())
            }
            other => Err(format!("the gateway answers {other:?}").into()),
        }
    }

    fn socket(&self) -> PathBuf {
        self.directory.join("control.sock")
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        Ok(options.open(self.directory.join(name))?.write_all(text.as_bytes())?)
    }

    fn configuration(&self, settings: &Settings) -> String {
        let isolation = match settings.isolation {
            Isolation::Namespace => "namespace",
            Isolation::Filter => "filter",
        };
        let mut keys = String::new();
        for (number, (_, ckn)) in settings.keys().into_iter().enumerate() {
            let header = ["", "[[port.mka.key]]\nfallback = true\n"][number];
            keys +=
                &format!("{header}ckn = {:?}\ncak_file = {:?}\n", hex::encode(ckn), file_of(ckn));
        }
        format!(
            "control_socket = {socket:?}
            state_directory = {state:?}
            namespace = {namespace:?}
            [[port]]
            name = \"wpa\"
            uplink = {INTERFACE:?}
            isolation = {isolation:?}
            tap = {TAP:?}
            confidentiality = {encrypt}
            [port.mka]
            cipher_suites = {suites:?}
            key_server_priority = {priority}
            {more}
            {keys}
            ",
            socket = self.socket(),
            state = self.directory.join("state"),
            namespace = self.namespace,
            encrypt = settings.encrypt,
            suites = settings.suites,
            priority = settings.priority,
            more = settings.more,
        )
    }
}

impl End for Gateway {
    fn start(&mut self) -> Result<()> {
        let configuration = self.directory.join("macsec.toml");
        let configuration = configuration.to_str().ok_or("a path is no text")?;
        let arguments = ["run", "--config", configuration];
        self.process = Some(Process::start(&self.end, &self.program, &arguments, &self.log)?);
        Ok(())
    }

    fn end(&mut self, how: Ending) -> Result<()> {
        match self.process.take().ok_or("the gateway does not run")?.end(how)? {
            status if how == Ending::Terminated && !status.success() => {
                Err(format!("the gateway ends with {status}").into())
            }
            _ => Ok(()),
        }
    }

    fn look(&mut self) -> Result<Look> {
        if self.process.as_mut().is_none_or(Process::has_ended) {
            return Err(format!("the gateway does not run: see {}", self.log.display()).into());
        }
        // It may not listen yet.
        self.status().map_or_else(|_| Ok(Look::default()), |status| look(&status))
    }

    fn is_key_server(&self) -> Result<bool> {
        Ok(self.mka()?.key_server.is_some_and(|server| server.is_self))
    }

    fn closings(&self) -> Result<usize> {
        Ok(self.log()?.matches("controlled_port_enabled=false").count())
    }
}

/// Where the CAK of this name is.
fn file_of(ckn: &[u8]) -> String {
    format!("cak-{}", hex::encode(ckn))
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Before the namespace that its uplink is in.
        self.process = None;
        let _ = Namespace::unpin(&self.namespace);
    }
}

fn look(port: &PortStatus) -> Result<Look> {
    let mut look = Look::default();
    let Some(secy) = &port.secy else { return Ok(look) };
    let open = port.controlled_port_enabled && port.secured;
    if let Some(sa) = secy.transmit_sc.transmit_sa.iter().find(|sa| sa.in_use && open) {
        look.secured = Some((sa.key_identifier.parse()?, An::from_low_bits(sa.an)));
    }
    for sc in &secy.receive_sc {
        for sa in sc.receive_sa.iter().filter(|sa| sa.in_use) {
            let an = An::from_low_bits(sa.an);
            look.receives.push((sc.sci.parse()?, an, sa.key_identifier.parse()?));
        }
    }
    Ok(look)
}

//! An end that is our gateway: `macsec run` with `[port.mka]`.

use std::{
    fs::OpenOptions,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use macsec_gateway::{
    control::{self, Reply, Request},
    status::PortStatus,
};
use macsec_io::netns::Resident;

use super::{
    Result,
    end::{End, Look},
    process::{Ending, Process},
    wire::INTERFACE,
};

/// The host's side.
pub(super) const TAP: &str = "tap0";

/// What it is told.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) cak: Vec<u8>,
    pub(super) ckn: Vec<u8>,
    pub(super) priority: u8,
    /// More lines of `[port.mka]`.
    pub(super) more: &'static str,
}

/// A gateway, which runs or not.
pub(super) struct Gateway {
    namespace: Arc<Resident>,
    program: PathBuf,
    directory: PathBuf,
    logs: PathBuf,
    process: Option<Process>,
}

impl Gateway {
    /// One that is to run in `namespace`. Its files are in `directory`, its logs in `logs`.
    pub(super) fn new(
        namespace: Arc<Resident>,
        program: &Path,
        (directory, logs): (&Path, &Path),
        settings: &Settings,
    ) -> Result<Self> {
        let (directory, logs) = (directory.to_owned(), logs.to_owned());
        let new =
            Self { namespace, program: program.to_owned(), directory, logs, process: None };
        new.write("cak", &hex::encode(&settings.cak))?;
        new.write("macsec.toml", &new.configuration(settings))?;
        Ok(new)
    }

    /// The state of the port.
    pub(super) fn status(&self) -> Result<PortStatus> {
        match control::ask(&self.socket(), Request::Status)? {
            Reply::Status(status) => {
                status.ports.into_iter().next().ok_or_else(|| "there is no port".into())
            }
            other => Err(format!("the gateway answers {other:?}").into()),
        }
    }

    /// The program, for commands.
    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    pub(super) fn log(&self) -> PathBuf {
        self.logs.join("gateway.log")
    }

    pub(super) fn configuration_file(&self) -> PathBuf {
        self.directory.join("macsec.toml")
    }

    fn socket(&self) -> PathBuf {
        self.directory.join("control.sock")
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.directory.join(name);
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
        Ok(file?.write_all(text.as_bytes())?)
    }

    fn configuration(&self, settings: &Settings) -> String {
        format!(
            "control_socket = {socket:?}
            state_directory = {state:?}
            [[port]]
            name = \"wpa\"
            uplink = {INTERFACE:?}
            isolation = \"filter\"
            tap = {TAP:?}
            cipher_suite = \"gcm-aes-128\"
            [port.mka]
            ckn = \"{ckn}\"
            cak_file = \"cak\"
            key_server_priority = {priority}
            {more}
            ",
            socket = self.socket(),
            state = self.directory.join("state"),
            ckn = hex::encode(&settings.ckn),
            priority = settings.priority,
            more = settings.more,
        )
    }
}

impl End for Gateway {
    fn start(&mut self) -> Result<()> {
        let configuration = self.configuration_file();
        let configuration = configuration.to_str().ok_or("a path is no text")?;
        let arguments = ["run", "--config", configuration];
        self.process =
            Some(Process::start(&self.namespace, &self.program, &arguments, &self.log())?);
        Ok(())
    }

    fn end(&mut self, how: Ending) -> Result<()> {
        match self.process.take().ok_or("it does not run")?.end(how)? {
            status if how == Ending::Terminated && !status.success() => {
                Err(format!("the gateway ends with {status}").into())
            }
            _ => Ok(()),
        }
    }

    fn look(&mut self) -> Result<Look> {
        if self.process.as_mut().is_none_or(Process::has_ended) {
            return Err(format!("the gateway does not run: see {}", self.log().display()).into());
        }
        // It may not listen yet.
        self.status().map_or_else(|_| Ok(Look::default()), |status| look(&status))
    }
}

/// Whether MKA makes it the key server.
fn is_key_server(_port: &PortStatus) -> bool {
    false
}

fn look(port: &PortStatus) -> Result<Look> {
    let Some(secy) = &port.secy else { return Ok(Look::default()) };
    let mut look = Look { is_key_server: is_key_server(port), ..Look::default() };
    let open = port.controlled_port_enabled && port.secured;
    for sa in secy.transmit_sc.transmit_sa.iter().filter(|sa| sa.in_use && open) {
        look.secured = Some((sa.key_identifier.parse()?, macsec::An::from_low_bits(sa.an)));
    }
    for sc in &secy.receive_sc {
        for sa in sc.receive_sa.iter().filter(|sa| sa.in_use) {
            let an = macsec::An::from_low_bits(sa.an);
            look.receives.push((sc.sci.parse()?, an, sa.key_identifier.parse()?));
        }
    }
    Ok(look)
}

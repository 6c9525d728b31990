//! An end that is our gateway: `macsec run` with `[port.mka]`.

use std::{
    fs::OpenOptions,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use macsec::An;
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
    pub(super) fn status(&self) -> Result<serde_json::Value> {
        use std::io::{BufRead, BufReader};
        let mut stream = std::os::unix::net::UnixStream::connect(self.socket())?;
        stream.set_read_timeout(Some(std::time::Duration::from_secs(10)))?;
        stream.write_all(b"{\"request\":\"status\"}\n")?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        let reply: serde_json::Value = serde_json::from_str(&line)?;
        Ok(reply["status"]["ports"][0].clone())
    }

    /// Asks for a new SAK, as an operator does.
    pub(super) fn rekey(&self) -> Result<std::process::Output> {
        let mut command = Command::new(&self.program);
        Ok(command.args(["rekey", "--socket"]).arg(self.socket()).output()?)
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

fn look(port: &serde_json::Value) -> Result<Look> {
    let mut look = Look::default();
    look.is_key_server = port["mka"]["key-server"]["is-self"] == true;
    let open = port["controlled-port-enabled"] == true && port["secured"] == true;
    let list = |v: &serde_json::Value| v.as_array().cloned().unwrap_or_default();
    let text = |v: &serde_json::Value| v.as_str().unwrap_or_default().to_owned();
    let an = |sa: &serde_json::Value| An::from_low_bits(sa["an"].as_u64().unwrap_or_default() as u8);
    for sa in list(&port["secy"]["transmit-sc"]["transmit-sa"]) {
        if open && sa["in-use"] == true {
            look.secured = Some((text(&sa["key-identifier"]).parse()?, an(&sa)));
        }
    }
    for sc in list(&port["secy"]["receive-sc"]) {
        for sa in list(&sc["receive-sa"]) {
            if sa["in-use"] == true {
                look.receives.push((text(&sc["sci"]).parse()?, an(&sa), text(&sa["key-identifier"]).parse()?));
            }
        }
    }
    Ok(look)
}

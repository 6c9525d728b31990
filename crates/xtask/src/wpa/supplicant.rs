//! An end that is wpa_supplicant.

use std::{
    fs,
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
    shim::Driver,
    wire::INTERFACE,
};

const PROGRAM: &str = "/usr/sbin/wpa_supplicant";

/// What it says of itself.
pub(super) fn version() -> Result<String> {
    let output = Command::new(PROGRAM)
        .arg("-v")
        .output()
        .map_err(|error| format!("{PROGRAM}: {error}: run `.ci/interop-wpa --prepare` first"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// What it is told.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) cak: Vec<u8>,
    pub(super) ckn: Vec<u8>,
    pub(super) priority: u8,
    /// Not `macsec_integ_only`.
    pub(super) encrypt: bool,
}

impl Settings {
    fn text(&self, control: &Path) -> String {
        format!(
            "ctrl_interface={control}
            eapol_version=3
            ap_scan=0
            network={{
            key_mgmt=NONE
            eapol_flags=0
            macsec_policy=1
            mka_cak={cak}
            mka_ckn={ckn}
            mka_priority={priority}
            macsec_integ_only={integrity}
            }}
            ",
            control = control.display(),
            cak = hex::encode(&self.cak),
            ckn = hex::encode(&self.ckn),
            priority = self.priority,
            integrity = u8::from(!self.encrypt),
        )
    }
}

/// A wpa_supplicant, which runs or not.
pub(super) struct Supplicant {
    end: Arc<Resident>,
    library: PathBuf,
    directory: PathBuf,
    logs: PathBuf,
    /// The stem of its files.
    name: &'static str,
    process: Option<Process>,
}

impl Supplicant {
    /// One that is to run in the namespace of an end. Its files are below `directory`, its logs
    /// below `logs`.
    pub(super) fn new(
        end: Arc<Resident>,
        library: &Path,
        (directory, logs): (&Path, &Path),
        name: &'static str,
        settings: &Settings,
    ) -> Result<Self> {
        let new = Self {
            end,
            library: library.to_owned(),
            directory: directory.to_owned(),
            logs: logs.to_owned(),
            name,
            process: None,
        };
        fs::write(new.file("conf"), settings.text(&new.control()))?;
        Ok(new)
    }

    /// What its driver was told.
    pub(super) fn driver(&self) -> Result<Driver> {
        Driver::read(&self.driver_log())
    }

    /// Has its driver tell `next_pn` of the transmit SA with this AN from now on, and of no other.
    pub(super) fn tell_pn(&self, an: An, next_pn: u32) -> Result<()> {
        Ok(fs::write(self.file("pn"), format!("{an} {next_pn}\n"))?)
    }

    fn file(&self, extension: &str) -> PathBuf {
        self.directory.join(self.name).with_extension(extension)
    }

    fn control(&self) -> PathBuf {
        self.file("control")
    }

    fn driver_log(&self) -> PathBuf {
        self.logs.join(format!("{}-driver.log", self.name))
    }
}

impl End for Supplicant {
    fn start(&mut self) -> Result<()> {
        let setting = |name, path: PathBuf| format!("{name}={}", path.display());
        let arguments = [
            // `setpriv` is to be spared the library.
            setting("LD_PRELOAD", self.library.clone()),
            setting("WPA_SHIM_LOG", self.driver_log()),
            setting("WPA_SHIM_PN", self.file("pn")),
            PROGRAM.to_owned(),
            "-Dmacsec_linux".to_owned(),
            format!("-i{INTERFACE}"),
            format!("-c{}", self.file("conf").display()),
            "-ddKt".to_owned(),
        ];
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let log = self.logs.join(self.name).with_extension("log");
        let process = Process::start(&self.end, Path::new("env"), &arguments, &log)?;
        self.process = Some(process);
        Ok(())
    }

    fn end(&mut self, how: Ending) -> Result<()> {
        self.process.take().ok_or("wpa_supplicant does not run")?.end(how).map(drop)
    }

    fn look(&mut self) -> Result<Look> {
        if self.process.as_mut().is_none_or(Process::has_ended) {
            return Err(format!("wpa_supplicant does not run: see {}", self.logs.display()).into());
        }
        let driver = self.driver()?;
        Ok(Look {
            secured: driver.secured().map(|(an, sa)| (sa.ki, an)),
            receives: driver.receive_sas().map(|(sci, an, sa)| (sci, an, sa.ki)).collect(),
        })
    }

    /// One that has not come up yet says nothing.
    fn is_key_server(&self) -> Result<bool> {
        let output = Command::new("/usr/sbin/wpa_cli")
            .arg("-p")
            .arg(self.control())
            .args(["-i", INTERFACE, "status"])
            .output()
            .map_err(|error| format!("wpa_cli: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text.lines().any(|line| line == "is_key_server=Yes"))
    }

    fn closings(&self) -> Result<usize> {
        Ok(self.driver()?.closings)
    }
}

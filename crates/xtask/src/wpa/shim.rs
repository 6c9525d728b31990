//! The library that stands in for the kernel's macsec driver, and what it has been told.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use macsec::{An, Ki, Sci};

use super::Result;

/// Compiles the library into `directory`.
pub(super) fn build(directory: &Path) -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("wpa/shim.c");
    let library = directory.join("shim.so");
    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    let status = Command::new(&compiler)
        .args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(&source)
        .status()
        .map_err(|error| format!("{}: {error}", compiler.display()))?;
    match status.success() {
        true => Ok(library),
        false => Err(format!("{} does not compile", source.display()).into()),
    }
}

/// An SA as the driver was told to make it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sa {
    pub(super) ki: Ki,
    pub(super) sak: Vec<u8>,
    pub(super) pn: u64,
    pub(super) active: bool,
}

/// The driver, as it would be after all that it was told.
#[derive(Clone, Debug, Default)]
pub(super) struct Driver {
    pub(super) sci: Option<Sci>,
    /// Whether it encrypts what it sends, and not only protects it.
    pub(super) encrypt: bool,
    port_open: bool,
    encoding: Option<An>,
    transmit: BTreeMap<u8, Sa>,
    receive: BTreeMap<(Sci, u8), Sa>,
    /// Every transmit SA that ever was, in this process and in those before.
    pub(super) all_transmit: Vec<Sa>,
    /// How often the port has been closed, with or without its process.
    pub(super) closings: usize,
}

impl Driver {
    /// Reads the library's log. It need not be there yet.
    pub(super) fn read(log: &Path) -> Result<Self> {
        let mut driver = Self::default();
        if log.exists() {
            for line in fs::read_to_string(log)?.lines() {
                driver.take(line).ok_or_else(|| format!("the shim says {line:?}"))?;
            }
        }
        Ok(driver)
    }

    /// The SA that is sent with, if the port is open and the peer's SA of the same key receives.
    pub(super) fn secured(&self) -> Option<(An, &Sa)> {
        let an = self.encoding.filter(|_| self.port_open)?;
        let sa = self.transmit.get(&an.number()).filter(|sa| sa.active)?;
        let received = self.receive.values().any(|other| other.active && other.ki == sa.ki);
        received.then_some((an, sa))
    }

    /// The SAs that are received with.
    pub(super) fn receive_sas(&self) -> impl Iterator<Item = (Sci, An, &Sa)> {
        let active = self.receive.iter().filter(|(_, sa)| sa.active);
        active.map(|((sci, an), sa)| (*sci, An::from_low_bits(*an), sa))
    }

    fn take(&mut self, line: &str) -> Option<()> {
        let (order, arguments) = line.split_once(' ').unwrap_or((line, ""));
        let arguments: BTreeMap<_, _> =
            arguments.split_whitespace().filter_map(|word| word.split_once('=')).collect();
        let number = |name| arguments.get(name).and_then(|value: &&str| value.parse::<u64>().ok());
        let sci = || arguments.get("sci")?.parse::<Sci>().ok();
        let an = || u8::try_from(number("an")?).ok().filter(|an| *an < 4);
        let active = number("active").map(|value| value != 0);
        match order {
            "link" => {
                if let Some(sci) = sci() {
                    // Whoever makes a link has none yet: what there was went with its process.
                    self.forget();
                    self.sci = Some(sci);
                }
                self.encrypt = number("encrypt").map_or(self.encrypt, |value| value != 0);
                self.encoding = an().map(An::from_low_bits).or(self.encoding);
            }
            "delete-link" => self.forget(),
            "port" => {
                let open = number("open")? != 0;
                self.closings += usize::from(self.port_open && !open);
                self.port_open = open;
            }
            "add-txsa" => {
                let sa = sa(&arguments, number("pn")?, active?)?;
                self.all_transmit.push(sa.clone());
                self.transmit.insert(an()?, sa);
            }
            "add-rxsa" => {
                let sa = sa(&arguments, number("pn")?, active?)?;
                self.receive.insert((sci()?, an()?), sa);
            }
            "update-txsa" => {
                let sa = self.transmit.get_mut(&an()?)?;
                sa.active = active.unwrap_or(sa.active);
            }
            "update-rxsa" => {
                // With two members of one SCI, wpa_supplicant makes and deletes all twice. The kernel
                // refuses the second time.
                if let Some(sa) = self.receive.get_mut(&(sci()?, an()?)) {
                    sa.active = active.unwrap_or(sa.active);
                }
            }
            "delete-txsa" => drop(self.transmit.remove(&an()?)),
            "delete-rxsa" => drop(self.receive.remove(&(sci()?, an()?))),
            "add-rxsc" => drop(sci()?),
            "delete-rxsc" => {
                let sci = sci()?;
                self.receive.retain(|(of, _), _| *of != sci);
            }
            _ => return None,
        }
        Some(())
    }

    fn forget(&mut self) {
        let closings = self.closings + usize::from(self.port_open);
        let all_transmit = std::mem::take(&mut self.all_transmit);
        *self = Self { all_transmit, closings, ..Self::default() };
    }
}

fn sa(arguments: &BTreeMap<&str, &str>, pn: u64, active: bool) -> Option<Sa> {
    let Ki(mut ki) = arguments.get("ki")?.parse().ok()?;
    // The driver hands the key number on in the order of the processor.
    let number: [u8; 4] = ki.last_chunk().copied()?;
    ki[12..].copy_from_slice(&u32::from_ne_bytes(number).to_be_bytes());
    let sak = hex::decode(arguments.get("sak")?).ok()?;
    Some(Sa { ki: Ki(ki), sak, pn, active })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: &str = "\
link sci=024d530000020001
port open=0
add-rxsc sci=024d530000010001
add-rxsa sci=024d530000010001 an=1 active=0 pn=1 ki=ca0bb36b3ddf868b0f76160402000000 sak=ea6d
add-txsa an=1 pn=1 ki=ca0bb36b3ddf868b0f76160402000000 sak=ea6d active=0
update-rxsa sci=024d530000010001 an=1 active=1
port open=1
update-txsa an=1 active=1
link an=1 encrypt=1";

    fn driver(log: &str) -> Driver {
        let mut driver = Driver::default();
        log.lines().for_each(|line| driver.take(line).expect(line));
        driver
    }

    #[test]
    fn a_driver_is_what_it_was_told() {
        let secured = driver(SESSION);
        let (an, sa) = secured.secured().unwrap();
        assert_eq!((an.number(), sa.pn, &sa.sak[..]), (1, 1, &[0xea, 0x6d][..]));
        if cfg!(target_endian = "little") {
            assert_eq!(sa.ki.to_string(), "ca0bb36b3ddf868b0f76160400000002");
        }
        assert_eq!(secured.closings, 0);
        for more in [
            "port open=0",
            "update-txsa an=1 active=0",
            "delete-rxsa sci=024d530000010001 an=1",
            "delete-rxsc sci=024d530000010001",
            "delete-rxsa sci=024d530000010001 an=1\nupdate-rxsa sci=024d530000010001 an=1 active=1",
            "delete-link",
            "link sci=024d530000020001",
        ] {
            let driver = driver(&format!("{SESSION}\n{more}"));
            assert!(driver.secured().is_none(), "{more}");
            assert_eq!(driver.all_transmit.len(), 1);
            assert_eq!(
                driver.closings,
                usize::from(!more.contains("sa") && !more.contains("rxsc"))
            );
        }
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        for line in ["", "unknown", "port", "add-txsa an=4 pn=1", "update-txsa an=0 active=1"] {
            assert!(Driver::default().take(line).is_none(), "{line}");
        }
    }
}

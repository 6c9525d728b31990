//! A new CAK, and a new SAK, each from the request until the former key has gone at both ends.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use macsec::CipherSuite;
use macsec_gateway::demo::{
    files::{self, FALLBACK, Files, PORT},
    gateway::Gateway,
    rotation::{Saks, gone_over_from},
    topology::End,
};

use crate::interop::Result;

/// How long either may take: a rotation waits for peers, and keeps the former key for a while.
const PATIENCE: Duration = Duration::from_secs(90);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// Both ends, as an operator sees them.
pub(super) struct Ends<'a> {
    program: &'a Path,
    directory: &'a Path,
    key_len: usize,
}

impl<'a> Ends<'a> {
    pub(super) fn new(program: &'a Path, directory: &'a Path, suite: CipherSuite) -> Self {
        Self { program, directory, key_len: suite.key_len() }
    }

    /// Adds a fresh CAK at both ends, and has both go over to it. The number says in which order.
    pub(super) fn roll_cak(&mut self, gateways: &mut [Gateway; 2], number: u32) -> Result<()> {
        let ends = if number.is_multiple_of(2) { End::BOTH } else { [End::B, End::A] };
        let at_once = (number / 2).is_multiple_of(2);
        // The first one is in the configuration.
        let ckn = format!("{:08x}", number + 1);
        let cak = self.write_cak(&ckn)?;
        for end in ends {
            let mut add = self.keys(end, &["add", "--ckn", &ckn, "--cak-file"]);
            succeeds(add.arg(&cak).output()?)?;
        }
        let timeout = PATIENCE.as_secs().to_string();
        let mut rotations =
            ends.map(|end| self.keys(end, &["rotate", "--to", &ckn, "--timeout", &timeout]));
        if at_once {
            let running = rotations.map(|mut rotation| rotation.spawn());
            for rotation in running {
                succeeds(rotation?.wait_with_output()?)?;
            }
        } else {
            // Who is not the key server waits for the other, and would wait in vain if it were asked alone.
            let second = usize::from(ends[0] == End::A);
            let waiting = rotations[second].spawn()?;
            succeeds(rotations[1 - second].output()?)?;
            succeeds(waiting.wait_with_output()?)?;
        }
        std::fs::remove_file(cak)?;
        for gateway in gateways {
            let port = gateway.answer()?;
            let mka = port.mka.as_ref().ok_or("a gateway has no KaY")?;
            // The fallback stays.
            let others = mka.participants.iter().filter(|one| one.ckn != FALLBACK);
            let [participant] = others.collect::<Vec<_>>()[..] else {
                return Err(format!("{} participants are left", mka.participants.len()).into());
            };
            if participant.ckn != ckn || !port.secured {
                return Err(format!("key {ckn} is not in use, but {}", participant.ckn).into());
            }
        }
        Ok(())
    }

    /// Has the key server make a SAK, and waits until the one before has gone.
    pub(super) fn rotate_sak(&mut self, gateways: &mut [Gateway; 2]) -> Result<()> {
        let former = Saks::of(&gateways[0].answer()?).in_use.ok_or("there is no SAK")?;
        let mut rekey = Command::new(self.program);
        rekey.arg("rekey").arg("--socket").arg(self.socket(End::A));
        succeeds(rekey.output()?)?;
        let deadline = Instant::now() + PATIENCE;
        while !gone_over_from(&former, gateways)? {
            if Instant::now() >= deadline {
                return Err(format!("SAK {former} does not go").into());
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// `macsec keys` about the port of an end.
    fn keys(&self, end: End, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.program);
        command.arg("keys").arg(arguments[0]).args(["--port", PORT]);
        command.arg("--socket").arg(self.socket(end)).args(&arguments[1..]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn socket(&self, end: End) -> PathBuf {
        Files::of(end, self.directory).socket
    }

    /// A fresh CAK, in a file that only its owner may read.
    fn write_cak(&self, ckn: &str) -> Result<PathBuf> {
        let path = self.directory.join(format!("{ckn}.cak"));
        files::write_key(&path, self.key_len)?;
        Ok(path)
    }
}

fn succeeds(output: Output) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    let [out, error] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    Err(format!("macsec: {}: {out}{error}", output.status).into())
}

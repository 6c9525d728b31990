//! What the gateways' configuration files say, and the keys that they name.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use macsec::{CipherSuite, MacAddress, Sci};
use zeroize::Zeroizing;

use super::topology::{End, TAP};

/// The name of the port of each gateway.
pub const PORT: &str = "wan0";
/// The CKN of the CAK that the gateways begin with: "demo".
pub const PRIMARY: &str = "64656d6f";
/// The CKN of the CAK that they fall back on: "fallback".
pub const FALLBACK: &str = "66616c6c6261636b";

/// The files of one gateway.
pub struct Files {
    /// The configuration.
    pub config: PathBuf,
    /// The control socket.
    pub socket: PathBuf,
    /// The log.
    pub log: PathBuf,
    /// Packet numbers on record.
    state: PathBuf,
}

impl Files {
    /// What they are called in `directory`.
    #[must_use]
    pub fn of(end: End, directory: &Path) -> Self {
        let file = |kind: &str| directory.join(format!("{}.{kind}", end.name()));
        Self { config: file("toml"), socket: file("sock"), log: file("log"), state: file("state") }
    }

    fn head(&self, end: End, suite: CipherSuite) -> String {
        let Self { socket, state, .. } = self;
        format!(
            "control_socket = {socket:?}\n\
             state_directory = {state:?}\n\
             namespace = \"macsec-demo\"\n\
             \n\
             [[port]]\n\
             name = \"{PORT}\"\n\
             uplink = \"{}\"\n\
             isolation = \"filter\"\n\
             tap = \"{TAP}\"\n\
             cipher_suite = \"{suite}\"\n\
             \n",
            end.wire()
        )
    }
}

/// Writes the configurations of both gateways, and for them a fresh CAK and one to fall back on,
/// which nobody else has. Gateway A is to be the key server.
///
/// # Errors
/// Those of the random number generator and of the files.
pub fn write_mka(directory: &Path, suite: CipherSuite) -> io::Result<()> {
    write_key(&directory.join("cak"), suite.key_len())?;
    write_key(&directory.join("fallback"), suite.key_len())?;
    for end in End::BOTH {
        let files = Files::of(end, directory);
        let priority = match end {
            End::A => 16,
            End::B => 32,
        };
        let text = format!(
            "{}\
             [port.mka]\n\
             ckn = \"{PRIMARY}\"\n\
             cak_file = \"cak\"\n\
             key_server_priority = {priority}\n\
             \n\
             [[port.mka.key]]\n\
             ckn = \"{FALLBACK}\"\n\
             cak_file = \"fallback\"\n\
             fallback = true\n",
            files.head(end, suite)
        );
        write_private(&files.config, text.as_bytes())?;
    }
    Ok(())
}

/// Writes the configurations of both gateways, and one fresh static key for them, which nobody else
/// has.
///
/// # Errors
/// Those of the random number generator and of the files.
pub fn write_static(directory: &Path, suite: CipherSuite) -> io::Result<()> {
    write_key(&directory.join("sak"), suite.key_len())?;
    let mut salt = [0; 12];
    getrandom::fill(&mut salt).map_err(io::Error::other)?;
    for end in End::BOTH {
        let files = Files::of(end, directory);
        let peer = sci(end.other());
        // What XPN needs and the others do not have. The greater SCI has SSCI 1, as MKA would have
        // it.
        let ssci = |of: Sci, than: Sci| if of > than { 1 } else { 2 };
        let [ours, theirs] = if suite.is_xpn() {
            let salt = hex::encode(salt);
            let [ours, theirs] = [ssci(sci(end), peer), ssci(peer, sci(end))];
            [format!("salt = \"{salt}\"\nssci = {ours}\n"), format!("ssci = {theirs}\n")]
        } else {
            [const { String::new() }; 2]
        };
        let text = format!(
            "{}\
             [port.static_keys]\n\
             first_use = true\n\
             sak_file = \"sak\"\n\
             {ours}\
             \n\
             [[port.static_keys.peer]]\n\
             sci = \"{peer}\"\n\
             {theirs}",
            files.head(end, suite)
        );
        write_private(&files.config, text.as_bytes())?;
    }
    Ok(())
}

fn sci(end: End) -> Sci {
    Sci::new(MacAddress(end.mac()), Sci::PORT_END_STATION)
}

/// Writes a fresh key of `len` octets, 32 at the most, as hexadecimal digits, to a new file that only its
/// owner may read.
///
/// # Errors
/// Those of the random number generator and of the file.
pub fn write_key(path: &Path, len: usize) -> io::Result<()> {
    write_private(path, fresh_key(len)?.as_bytes())
}

/// A fresh key of `len` octets, 32 at the most, as hexadecimal digits.
///
/// # Errors
/// Those of the random number generator.
pub fn fresh_key(len: usize) -> io::Result<Zeroizing<String>> {
    let mut key = Zeroizing::new([0; 32]);
    let key = &mut key[..len];
    getrandom::fill(key).map_err(io::Error::other)?;
    Ok(Zeroizing::new(hex::encode(&*key)))
}

/// Writes a new file that only its owner may read.
fn write_private(path: &Path, octets: &[u8]) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(octets)
}

//! MKA with the guest: wpa_supplicant drives the kernel's macsec driver, `[port.mka]` is at our end.
//!
//! Each case begins with both ends new, and all that was on the wire is held against what both have said of their keys:
//! see [`ledger`].

mod ledger;
mod session;
mod stories;
mod supplicant;

use macsec_gateway::config::Isolation;

use super::{Result, trial::Bed};
use session::Session;

/// They protect nothing.
const CAK: [u8; 16] = *b"\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f";
const CKN: &[u8] = b"mka";
/// wpa_supplicant's Key Server Priority. Less is better.
const THEIR_PRIORITY: u8 = 32;

/// One case.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) name: &'static str,
    /// Whether we are the key server.
    we_serve: bool,
    isolation: Isolation,
    confidentiality: bool,
    /// Of both ends.
    replay_window: u32,
    story: fn(&mut Session<'_>) -> Result<()>,
}

impl Case {
    /// All cases.
    pub(super) fn all() -> Vec<Self> {
        let server = |name, story| Self {
            name,
            we_serve: true,
            isolation: Isolation::Namespace,
            confidentiality: true,
            replay_window: 0,
            story,
        };
        let client = |name, story| Self { we_serve: false, ..server(name, story) };
        vec![
            server("mka-server", stories::plain),
            Self { isolation: Isolation::Filter, ..client("mka-client", stories::plain) },
            server("mka-server-rekey", stories::rekey),
            server("mka-server-rekey-by-pn", stories::rekey_by_pn),
            client("mka-client-rekey-by-pn", stories::rekey_by_pn),
            server("mka-server-restarts", stories::restarts),
            Self {
                isolation: Isolation::Filter,
                ..client("mka-client-restarts", stories::restarts)
            },
            Self { confidentiality: false, ..server("mka-server-integrity", stories::plain) },
            Self { confidentiality: false, ..client("mka-client-integrity", stories::plain) },
            server("mka-replay", stories::replay),
            Self { replay_window: 64, ..client("mka-replay-window", stories::replay) },
        ]
    }

    /// Tries it, and returns what is not as it should be.
    pub(super) fn run(&self, bed: &mut Bed) -> Result<Vec<String>> {
        let mut session = Session::start(bed, self)?;
        let mut faults = Vec::new();
        if let Err(error) = (self.story)(&mut session) {
            faults.push(error.to_string());
            // An end that has gone has nothing to say; that it has is in the logs.
            let _ = session.keep_state();
        }
        faults.extend(session.finish().err().map(|error| error.to_string()));
        bed.notes = session.notes;
        Ok(faults)
    }

    fn priority(&self) -> u8 {
        if self.we_serve { THEIR_PRIORITY / 2 } else { THEIR_PRIORITY * 2 }
    }

    /// What every data frame begins its SecTAG with, but for the AN: an SCI, and encryption or not.
    fn tci(&self) -> u8 {
        if self.confidentiality { 0x2c } else { 0x20 }
    }
}

//! What both ends have in common.

use macsec::{An, Ki, Sci};

use super::{Result, process::Ending};

/// One end, which may be us or wpa_supplicant.
pub(super) trait End {
    /// Starts it. It is not waited for.
    fn start(&mut self) -> Result<()>;
    /// Ends it.
    fn end(&mut self, how: Ending) -> Result<()>;
    /// How it stands.
    fn look(&mut self) -> Result<Look>;
}

/// How an end stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    /// What it sends with, if its port is open and protected.
    pub(super) secured: Option<(Ki, An)>,
    /// What it receives with.
    pub(super) receives: Vec<(Sci, An, Ki)>,
    /// Whether it takes itself for the key server.
    pub(super) is_key_server: bool,
}

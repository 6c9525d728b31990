//! What both ends have in common.

use macsec::{An, Ki, Sci};

use super::{Result, process::Ending};

/// One end: our gateway or wpa_supplicant.
pub(super) trait End {
    /// Starts it. It is not waited for.
    fn start(&mut self) -> Result<()>;
    /// Ends it.
    fn end(&mut self, how: Ending) -> Result<()>;
    /// How it stands.
    fn look(&mut self) -> Result<Look>;
    /// Whether it takes itself for the key server.
    fn is_key_server(&self) -> Result<bool>;
    /// How often its port has been closed so far.
    fn closings(&self) -> Result<usize>;
}

/// How an end stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    /// What it sends with, if its port is open and protected.
    pub(super) secured: Option<(Ki, An)>,
    /// What it receives with.
    pub(super) receives: Vec<(Sci, An, Ki)>,
}

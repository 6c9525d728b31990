//! One fresh key between two ends: what the demo and tests run on.

use macsec::{
    An, CipherSuite, Confidentiality, ConfidentialityOffset, DataKey, Ki, ReceiveSa, Sak, Salt,
    Sci, Ssci, TransmitSa,
};

use super::{Port, PortError};

/// A key that has never been used and does not outlive the process, so that its packet numbers need
/// no record. For the gateway's own static keys, see [`Marks`](super::Marks).
pub struct FreshKey {
    /// The suite.
    pub suite: CipherSuite,
    /// A name for the key.
    pub ki: Ki,
    /// The key that both ends transmit with.
    pub sak: Sak,
    /// The salt, for XPN suites.
    pub salt: Option<Salt>,
    /// Our SSCI, for XPN suites.
    pub ssci: Option<Ssci>,
    /// The other end.
    pub peer: Sci,
    /// The other end's SSCI, for XPN suites.
    pub peer_ssci: Option<Ssci>,
}

impl Port {
    /// Installs a fresh key, both directions in use at once.
    ///
    /// # Errors
    /// [`PortError`]; equal SCIs or SSCIs on both ends among others.
    pub fn install_fresh_key(&mut self, keys: FreshKey) -> Result<(), PortError> {
        let FreshKey { suite, ki, sak, salt, ssci, peer, peer_ssci } = keys;
        let an = An::default();
        let secy = &mut self.secy;
        secy.install_key(&DataKey::new(ki, suite, sak, salt)?)?;
        secy.create_receive_sc(peer)?;
        let offset = ConfidentialityOffset::Zero;
        let receive = ReceiveSa { an, ki, ssci: peer_ssci, lowest_pn: 1, offset };
        secy.install_receive_sa(peer, &receive)?;
        secy.enable_receive_sa(peer, an)?;
        let confidentiality = Confidentiality::default();
        secy.install_transmit_sa(&TransmitSa { an, ki, ssci, next_pn: 1, confidentiality })?;
        secy.enable_transmit_sa(an)?;
        Ok(())
    }
}

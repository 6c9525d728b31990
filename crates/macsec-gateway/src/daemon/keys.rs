//! Static keys: from the configuration into the SecY, with their packet numbers on record.

use std::io;

use macsec::{
    An, Confidentiality, ConfidentialityOffset, DataKey, DataKeyError, InstallError, Ki,
    LifeCycleError, ReceiveSa, Sak, Sci, TransmitSa,
};
use thiserror::Error;

use crate::{
    config::{Key, PortConfig, StaticKeys},
    pn_store::{NonceIdentity, PnStore, PnStoreError, PnWriter},
    port::{Marks, Port},
};

/// Why static keys cannot be put to use.
#[derive(Debug, Error)]
pub(crate) enum KeysError {
    /// The packet numbers they were used with before.
    #[error(transparent)]
    Store(#[from] PnStoreError),
    /// The thread that keeps the packet numbers.
    #[error("thread for packet numbers: {0}")]
    Writer(#[source] io::Error),
    /// No packet number is left.
    #[error("static_keys: all packet numbers of the key have been used: make a new key")]
    Exhausted,
    /// A peer has our SCI. The configuration does not show it if ours comes from the uplink.
    #[error("static_keys: peer {0} has this port's own SCI: each end needs its own")]
    OwnSci(Sci),
    /// The key does not fit the suite.
    #[error("static_keys: {0}")]
    Key(#[from] DataKeyError),
    /// The SecY refuses an SA.
    #[error("static_keys: {0}")]
    Install(#[from] InstallError),
    /// The SecY refuses an SC.
    #[error("static_keys: {0}")]
    LifeCycle(#[from] LifeCycleError),
}

/// Installs the static keys of `config`, and uses them in both directions.
///
/// On an error the SecY may be left with a part of them, of which nothing is sent: call [`remove`].
pub(crate) fn install(
    port: &mut Port,
    config: &PortConfig,
    keys: &StaticKeys,
    store: &PnStore,
) -> Result<(), KeysError> {
    let suite = config.cipher_suite;
    let secy = port.secy_mut();
    let sci = secy.sci();
    if keys.peers.iter().any(|peer| peer.sci == sci) {
        return Err(KeysError::OwnSci(sci));
    }

    // All of them first: what is missing here is found before anything has changed.
    let identity = NonceIdentity::of(sci, keys.ssci, keys.key.salt);
    let mark = store.transmit(&keys.key.check.0, &identity, keys.first_use)?;
    let next_pn = mark.next_pn(suite).ok_or(KeysError::Exhausted)?;
    let mut receive_marks = Vec::with_capacity(keys.peers.len());
    for peer in &keys.peers {
        let key = peer.key.as_ref().unwrap_or(&keys.key);
        let identity = NonceIdentity::of(peer.sci, peer.ssci, key.salt);
        let mark = store.receive(&key.check.0, &identity, keys.first_use)?;
        receive_marks.push((peer.sci, peer.an, mark));
    }
    let writer = PnWriter::start(&config.name).map_err(KeysError::Writer)?;

    let offset = match config.confidentiality {
        Confidentiality::Encrypt(offset) => offset,
        Confidentiality::IntegrityOnly => ConfidentialityOffset::Zero,
    };
    for (peer, (.., mark)) in keys.peers.iter().zip(&receive_marks) {
        let key = peer.key.as_ref().unwrap_or(&keys.key);
        let lowest_pn = mark.lowest_pn(suite).ok_or(KeysError::Exhausted)?;
        let (an, ki, ssci) = (peer.an, ki(key), peer.ssci);
        if secy.key_suite(ki).is_none() {
            secy.install_key(&data_key(config, key)?)?;
        }
        secy.create_receive_sc(peer.sci)?;
        secy.install_receive_sa(peer.sci, &ReceiveSa { an, ki, ssci, lowest_pn, offset })?;
    }
    let (an, ki, ssci, confidentiality) =
        (keys.an, ki(&keys.key), keys.ssci, config.confidentiality);
    if secy.key_suite(ki).is_none() {
        secy.install_key(&data_key(config, &keys.key)?)?;
    }
    secy.install_transmit_sa(&TransmitSa { an, ki, ssci, next_pn, confidentiality })?;
    // Nothing is released before the marks say so.
    secy.limit_transmit_pn(an, ki, Some(0))?;
    port.set_marks(Some(Marks::new(writer, (an, ki, mark), receive_marks)));

    let secy = port.secy_mut();
    for peer in &keys.peers {
        secy.enable_receive_sa(peer.sci, peer.an)?;
    }
    Ok(secy.enable_transmit_sa(an)?)
}

/// Takes all keys out of use; the packet numbers of static ones are written down. Good after an
/// [`install`] that stopped half-way, too.
pub(crate) fn remove(port: &mut Port) {
    if let Some(marks) = port.set_marks(None) {
        marks.finish(port.secy());
    }
    let secy = port.secy_mut();
    // All of these are there, and each is its own last user.
    let transmit: Vec<_> = An::ALL.into_iter().filter_map(|an| secy.transmit_sa(an)).collect();
    for sa in transmit {
        let _ = secy.delete_transmit_sa(sa.an, sa.ki);
    }
    let peers: Vec<_> = secy.receive_scs().collect();
    for sci in peers {
        let _ = secy.delete_receive_sc(sci);
    }
    let kis: Vec<_> = secy.keys().collect();
    for ki in kis {
        let _ = secy.remove_key(ki);
    }
}

fn data_key(config: &PortConfig, key: &Key) -> Result<DataKey, KeysError> {
    let sak = Sak::new(key.sak.expose_octets())?;
    Ok(DataKey::new(ki(key), config.cipher_suite, sak, key.salt)?)
}

/// Static keys have no name of their own; the check value is as good as any.
pub(crate) fn ki(key: &Key) -> Ki {
    Ki(key.check.0)
}

//! The keys on record of all ports, which the main thread keeps.

use std::{
    collections::{HashMap, hash_map::Entry},
    path::PathBuf,
    sync::Arc,
};

use crate::{
    config::{MkaKey, PortConfig},
    keyring::{KeyStore, KeyStoreError, Ring},
};

/// The keys of a port, or why nobody knows which they are: then the port stays closed.
pub(super) type Keys = Result<Arc<Ring>, String>;

/// The keys on record of all ports that have been asked for.
pub(super) struct KeyStores {
    state_directory: PathBuf,
    open: HashMap<String, KeyStore>,
}

impl KeyStores {
    pub(super) fn new(state_directory: PathBuf) -> Self {
        Self { state_directory, open: HashMap::new() }
    }

    /// The keys on record of a port.
    pub(super) fn get(&mut self, port: &str) -> Result<&mut KeyStore, KeyStoreError> {
        Ok(match self.open.entry(port.to_owned()) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(place) => place.insert(KeyStore::open(&self.state_directory, port)?),
        })
    }

    /// The keys of a port: those of the configuration and those on record.
    pub(super) fn keys(&mut self, config: &PortConfig) -> Keys {
        if config.mka.is_none() {
            return Ok(Arc::default());
        }
        let store = self.get(&config.name).map_err(|error| error.to_string())?;
        Ok(Arc::new(store.ring(configured(config))))
    }

    /// Whether the keys on record of a port could not be had when they were last asked for.
    pub(super) fn is_missing(&self, config: &PortConfig) -> bool {
        config.mka.is_some() && !self.open.contains_key(&config.name)
    }

    /// Leaves the keys of a port that is no more to whoever wants them.
    pub(super) fn close(&mut self, port: &str) {
        self.open.remove(port);
    }
}

/// The keys in the configuration of a port.
pub(super) fn configured(config: &PortConfig) -> &[MkaKey] {
    config.mka.as_ref().map_or(&[], |mka| &mka.keys)
}

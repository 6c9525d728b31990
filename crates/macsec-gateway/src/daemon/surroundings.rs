//! What all ports of a gateway share: namespaces and the store of packet numbers.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use macsec_io::netns::{Namespace, Resident};
use tracing::warn;

use crate::{
    config::{Config, Isolation, PortConfig},
    pn_store::PnStore,
    privileges,
    uplink::{self, Claim, Settings, Uplink, UplinkError},
};

/// What all ports of a gateway share.
pub(super) struct Surroundings {
    home: Arc<Namespace>,
    /// The namespace of the uplinks that the host does not see.
    private: Option<Arc<Resident>>,
    /// Where it is noted what uplinks were like before: beside the control socket, so that each
    /// gateway has its own, and that it is gone after a reboot, like the changes.
    records: PathBuf,
    pub(super) store: PnStore,
    /// Where KIs are kept that have been transmitted with.
    pub(super) state_directory: PathBuf,
}

impl Surroundings {
    /// Finds or makes the namespaces. The last thing that needs `CAP_SYS_ADMIN`.
    ///
    /// # Errors
    /// In one line.
    pub(super) fn new(config: &Config) -> Result<Self, String> {
        let home = Namespace::current().map_err(|error| error.to_string())?;
        let store = PnStore::open(&config.state_directory).map_err(|error| error.to_string())?;
        let records = config.control_socket.with_extension("uplinks");
        uplink::prepare_records(&records).map_err(|error| error.to_string())?;
        let needs = |port: &&PortConfig| port.isolation == Isolation::Namespace;
        let private = match config.ports.iter().find(needs) {
            Some(port) => Some(private_namespace(&config.namespace).map_err(|error| {
                format!("port {}: isolation = \"namespace\": {error}", port.name)
            })?),
            // An earlier run may have left an uplink there.
            None => Namespace::open_named(&config.namespace).ok().and_then(|it| enter(it).ok()),
        };
        let state_directory = config.state_directory.clone();
        let (home, private) = (Arc::new(home), private.map(Arc::new));
        Ok(Self { home, private, records, store, state_directory })
    }

    /// Whether uplinks can be taken with this isolation. It is settled at the start, while there are
    /// the privileges to make a namespace.
    pub(super) fn offers(&self, isolation: Isolation) -> bool {
        isolation == Isolation::Filter || self.private.is_some()
    }

    /// Claims an uplink, and takes it.
    pub(super) fn take_uplink(
        &self,
        name: &str,
        isolation: Isolation,
        settings: &Settings,
    ) -> Result<(Claim, Uplink), UplinkError> {
        let (private, records): (_, &Path) = (self.private.as_ref(), &self.records);
        let claim = Claim::new(name, private)?;
        Ok((claim, Uplink::take(name, isolation, &self.home, private, records, settings)?))
    }

    /// Gives an uplink back that a killed run, or a change that failed, has left shut. Does nothing if
    /// there is none, or if it is another gateway's.
    pub(super) fn give_back(&self, name: &str) -> Result<(), UplinkError> {
        let private = self.private.as_ref();
        match Claim::new(name, private) {
            Ok(_claim) => Uplink::give_back(name, &self.home, private, &self.records),
            Err(UplinkError::Claimed(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// The namespace of this name, with a thread of ours in it. It is made if it is not there.
fn private_namespace(name: &str) -> Result<Resident, String> {
    let namespace = match Namespace::pin(name) {
        Ok(namespace) => namespace,
        Err(error) => {
            let namespace = Namespace::new().map_err(|error| error.to_string())?;
            warn!(
                "namespace {name} is not pinned, so a virtual uplink does not survive a kill of this \
                 process: {error}"
            );
            namespace
        }
    };
    enter(namespace)
}

fn enter(namespace: Namespace) -> Result<Resident, String> {
    let resident = Resident::start(namespace).map_err(|error| error.to_string())?;
    // A thread has capabilities of its own, and this one needs no more than the others.
    resident
        .run(|| privileges::drop_capabilities(privileges::RUNNING))
        .map_err(|error| error.to_string())?;
    Ok(resident)
}

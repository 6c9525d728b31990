//! Where an interface lives.

use std::{io, sync::Arc};

use macsec_io::{
    interface::InterfaceError,
    netlink::{Link, Netlink, NetlinkError},
    netns::Resident,
    offload::OffloadError,
};

use super::UplinkError;

/// A network namespace that things can be done in.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// That of the calling thread, the host's.
    Here,
    /// The private one.
    Private(Arc<Resident>),
}

impl Place {
    pub(super) fn is_here(&self) -> bool {
        matches!(self, Self::Here)
    }

    pub(super) fn run<T: Send + 'static>(&self, action: impl FnOnce() -> T + Send + 'static) -> T {
        match self {
            Self::Here => action(),
            Self::Private(resident) => resident.run(action),
        }
    }

    /// Asks or changes something about the interface `name`.
    pub(super) fn netlink<T: Send + 'static>(
        &self,
        name: &str,
        action: impl FnOnce(&mut Netlink, &str) -> Result<T, NetlinkError> + Send + 'static,
    ) -> Result<T, UplinkError> {
        let owned = name.to_owned();
        self.run(move || action(&mut Netlink::open()?, &owned))
            .map_err(|source| UplinkError::netlink(name, source))
    }

    /// Changes IPv6 settings.
    pub(super) fn ipv6<T: Send + 'static>(
        &self,
        name: &str,
        action: impl FnOnce(&str) -> io::Result<T> + Send + 'static,
    ) -> Result<T, UplinkError> {
        let owned = name.to_owned();
        self.run(move || action(&owned))
            .map_err(|source| UplinkError::Ipv6 { name: name.to_owned(), source })
    }

    /// Changes offloads.
    pub(super) fn offloads<T: Send + 'static>(
        &self,
        name: &str,
        action: impl FnOnce(&str) -> Result<T, OffloadError> + Send + 'static,
    ) -> Result<T, UplinkError> {
        let owned = name.to_owned();
        self.run(move || action(&owned))
            .map_err(|source| UplinkError::Offloads { name: name.to_owned(), source })
    }

    /// The interface `name`, if there is one.
    pub(super) fn find(&self, name: &str) -> Result<Option<Link>, UplinkError> {
        self.netlink(name, |netlink, name| match netlink.link(name) {
            Err(NetlinkError::Interface(InterfaceError::NotFound(_))) => Ok(None),
            other => other.map(Some),
        })
    }
}

//! Why an uplink cannot be taken or given back.

use std::{io, path::PathBuf};

use macsec_io::{netlink::NetlinkError, offload::OffloadError};
use thiserror::Error;

/// Why an uplink cannot be taken or given back. Each text is one line that names it.
#[derive(Debug, Error)]
pub enum UplinkError {
    /// Another gateway has it.
    #[error("uplink {0}: another gateway has it")]
    Claimed(String),
    /// It cannot be claimed.
    #[error("uplink {name}: cannot be claimed: {source}")]
    Claim {
        /// The uplink.
        name: String,
        /// What the kernel says.
        source: io::Error,
    },
    /// There is no such interface.
    #[error("uplink {0}: there is no such interface")]
    Missing(String),
    /// The name is an alternative one, which not every part of the kernel knows.
    #[error("uplink {name}: that is another name of {own}; use {own}")]
    OtherName {
        /// The name asked for.
        name: String,
        /// The interface's own name.
        own: String,
    },
    /// It is no Ethernet interface.
    #[error("uplink {0}: it is no Ethernet interface")]
    NotEthernet(String),
    /// The host uses it: it has addresses.
    #[error("uplink {name}: it has addresses ({addresses}); remove them, the TAP takes its place")]
    HasAddresses {
        /// The uplink.
        name: String,
        /// Its addresses with the lengths of their prefixes.
        addresses: String,
    },
    /// It belongs to a bridge, a bond or the like.
    #[error("uplink {name}: it belongs to {master}; take it out of there")]
    HasMaster {
        /// The uplink.
        name: String,
        /// What it belongs to.
        master: String,
    },
    /// Another interface stands on it, which would be cut off or deleted.
    #[error("uplink {name}: the {kind} interface {upper} stands on it; remove that first")]
    HasUpper {
        /// The uplink.
        name: String,
        /// `macsec`, `vlan`, ...
        kind: String,
        /// The interface on it.
        upper: String,
    },
    /// It has a queueing discipline that would be lost when it is moved.
    #[error(
        "uplink {name}: its queueing discipline {kind} would be lost; remove it, or use isolation \
         \"filter\""
    )]
    HasQdisc {
        /// The uplink.
        name: String,
        /// `fq`, `htb`, ...
        kind: String,
    },
    /// Filters of someone else are where ours should be.
    #[error("uplink {name}: {what} is in the way; remove it, or use isolation \"namespace\"")]
    HasFilters {
        /// The uplink.
        name: String,
        /// What is there.
        what: String,
    },
    /// It would glue or cut frames.
    #[error("uplink {name}: its driver does not let {left} be turned off")]
    KeepsOffloads {
        /// The uplink.
        name: String,
        /// What stays on.
        left: String,
    },
    /// There are two of this name.
    #[error("uplink {0}: one is in the private namespace and one in the host's; rename one")]
    Twice(String),
    /// There is no private namespace to take it to.
    #[error("uplink {0}: isolation \"namespace\" needs a private network namespace")]
    NoPrivateNamespace(String),
    /// Its driver does not let it leave its namespace.
    #[error("uplink {0}: it cannot be moved to a network namespace; use isolation \"filter\"")]
    Immovable(String),
    /// Its driver does not take this MTU.
    #[error("uplink {name}: MTU {mtu} is refused: {source}")]
    Mtu {
        /// The uplink.
        name: String,
        /// The MTU asked for.
        mtu: u32,
        /// What the kernel says.
        source: NetlinkError,
    },
    /// A change or a question that the kernel refused.
    #[error("uplink {name}: {source}")]
    Netlink {
        /// The uplink.
        name: String,
        /// What the kernel says.
        source: NetlinkError,
    },
    /// IPv6 cannot be turned off or on.
    #[error("uplink {name}: IPv6: {source}")]
    Ipv6 {
        /// The uplink.
        name: String,
        /// What the kernel says.
        source: io::Error,
    },
    /// The offloads cannot be read or changed.
    #[error("uplink {name}: {source}")]
    Offloads {
        /// The uplink.
        name: String,
        /// What the kernel says.
        source: OffloadError,
    },
    /// Others could change the records.
    #[error(
        "directory {}: must belong to this user, and only its owner may write to it",
        .0.display()
    )]
    NotPrivate(PathBuf),
    /// The record of what it was like cannot be read or written.
    #[error("uplink record {}: {source}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl UplinkError {
    /// What a netlink error about the interface `name` means to an operator.
    pub(super) fn netlink(name: &str, source: NetlinkError) -> Self {
        let name = name.to_owned();
        match source {
            NetlinkError::InTheWay(what) => Self::HasFilters { name, what },
            NetlinkError::Immovable(_) => Self::Immovable(name),
            source => Self::Netlink { name, source },
        }
    }
}

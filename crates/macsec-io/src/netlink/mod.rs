//! Links, addresses and neighbours: what `ip link`, `ip address` and `ip neighbour` do, without
//! starting a program and without an async runtime.
//!
//! Each call is one request and its answer. Names are looked up in the network namespace in which
//! the [`Netlink`] was opened, from whatever thread it is used.

mod barrier;
mod link;
mod monitor;
mod socket;

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::{
    NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NetlinkDeserializable, NetlinkHeader,
};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage as Message};

pub use barrier::Qdisc;
pub use link::{Link, LinkStatistics, OperState};
pub use monitor::LinkMonitor;
use socket::{Dumped, RouteSocket};

use crate::interface::{self, InterfaceError};

/// Why a request failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum NetlinkError {
    /// The interface cannot be addressed: its name is malformed, or it is not there.
    Interface(InterfaceError),
    /// `CAP_NET_ADMIN` is missing in this network namespace (or in the other one involved).
    PermissionDenied(&'static str),
    /// It exists already: a link of this name, this address, this neighbour.
    Exists(&'static str),
    /// The kernel has no such kind of link, queueing discipline or filter: a driver is missing.
    NotSupported(&'static str),
    /// The link named is bound to its network namespace: its driver does not let it move.
    Immovable(String),
    /// Traffic control of someone else, which we would have to break: see the text.
    InTheWay(String),
    /// The kernel refused the request named, or the answer could not be read.
    Io(&'static str, io::Error),
}

impl fmt::Display for NetlinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interface(error) => error.fmt(f),
            Self::PermissionDenied(what) => {
                write!(f, "{what}: no permission, CAP_NET_ADMIN is needed")
            }
            Self::Exists(what) => write!(f, "{what}: it exists already"),
            Self::NotSupported(what) => write!(f, "{what}: not supported by this kernel"),
            Self::Immovable(name) => {
                write!(f, "link {name:?} cannot be moved to another network namespace")
            }
            Self::InTheWay(what) => write!(f, "{what} is in the way"),
            Self::Io(what, error) => write!(f, "{what}: {error}"),
        }
    }
}

impl std::error::Error for NetlinkError {}

impl From<InterfaceError> for NetlinkError {
    fn from(error: InterfaceError) -> Self {
        Self::Interface(error)
    }
}

/// One end of a veth pair to be created.
#[derive(Debug, Clone, Copy)]
pub struct VethEnd<'a> {
    name: &'a str,
    mac: Option<[u8; 6]>,
    namespace: Option<BorrowedFd<'a>>,
}

impl<'a> VethEnd<'a> {
    /// An end called `name`, with a random MAC address, in the namespace of the [`Netlink`].
    pub fn new(name: &'a str) -> Self {
        Self { name, mac: None, namespace: None }
    }

    /// With this MAC address.
    pub fn mac(mut self, mac: [u8; 6]) -> Self {
        self.mac = Some(mac);
        self
    }

    /// In another network namespace (`namespace.as_fd()`).
    pub fn namespace(mut self, namespace: BorrowedFd<'a>) -> Self {
        self.namespace = Some(namespace);
        self
    }

    fn message(&self) -> Result<LinkMessage, NetlinkError> {
        interface::raw_name(self.name)?;
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(self.name.to_owned()));
        message.attributes.extend(self.mac.map(|mac| LinkAttribute::Address(mac.to_vec())));
        let namespace = self.namespace.map(|fd| LinkAttribute::NetNsFd(fd.as_raw_fd()));
        message.attributes.extend(namespace);
        Ok(message)
    }
}

/// A connection to the kernel's network configuration.
#[derive(Debug)]
pub struct Netlink {
    socket: RouteSocket,
}

impl Netlink {
    /// Opens a connection to the network namespace of the calling thread.
    ///
    /// # Errors
    /// [`NetlinkError::Io`].
    pub fn open() -> Result<Self, NetlinkError> {
        Ok(Self { socket: RouteSocket::open()? })
    }

    /// Creates a veth pair: what is sent on one end is received on the other. Both start down.
    ///
    /// # Errors
    /// [`NetlinkError`], of them [`NetlinkError::Exists`] for a name in use.
    pub fn create_veth(&mut self, a: &VethEnd<'_>, b: &VethEnd<'_>) -> Result<(), NetlinkError> {
        let mut message = a.message()?;
        message.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(b.message()?))),
        ]));
        let flags = NLM_F_CREATE | NLM_F_EXCL;
        self.socket.change("create veth pair", Message::NewLink(message), flags)
    }

    /// Moves a link to another network namespace. It loses its addresses, its traffic control and its
    /// settings below `/proc/sys/net`, and goes down.
    ///
    /// # Errors
    /// [`NetlinkError`], of them [`NetlinkError::Exists`] when its name is taken there, and
    /// [`NetlinkError::Immovable`].
    pub fn move_to_namespace(
        &mut self,
        name: &str,
        namespace: BorrowedFd<'_>,
    ) -> Result<(), NetlinkError> {
        let attribute = LinkAttribute::NetNsFd(namespace.as_raw_fd());
        match self.set_attribute("move link to namespace", name, attribute) {
            Err(NetlinkError::Io(_, error)) if error.raw_os_error() == Some(libc::EINVAL) => {
                Err(NetlinkError::Immovable(name.to_owned()))
            }
            other => other,
        }
    }

    /// Deletes a link; of a veth pair, both ends.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub fn delete_link(&mut self, name: &str) -> Result<(), NetlinkError> {
        let message = self.message_for(name)?;
        self.socket.change("delete link", Message::DelLink(message), 0)
    }

    /// Sets a link up.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub fn set_up(&mut self, name: &str) -> Result<(), NetlinkError> {
        self.set_flag("set link up", name, LinkFlags::Up, true)
    }

    /// Sets a link down.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub fn set_down(&mut self, name: &str) -> Result<(), NetlinkError> {
        self.set_flag("set link down", name, LinkFlags::Up, false)
    }

    /// Turns ARP and neighbour discovery on a link on or off (IFF_NOARP).
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub fn set_arp(&mut self, name: &str, on: bool) -> Result<(), NetlinkError> {
        self.set_flag("set ARP", name, LinkFlags::Noarp, !on)
    }

    /// Sets the MTU of a link, in octets of Ethernet payload.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub fn set_mtu(&mut self, name: &str, mtu: u32) -> Result<(), NetlinkError> {
        self.set_attribute("set MTU", name, LinkAttribute::Mtu(mtu))
    }

    /// Sets the MAC address of a link.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub fn set_mac(&mut self, name: &str, mac: [u8; 6]) -> Result<(), NetlinkError> {
        self.set_attribute("set MAC address", name, LinkAttribute::Address(mac.to_vec()))
    }

    /// Adds an address and the route to its prefix (0 to 32 or 128 bits).
    ///
    /// An IPv6 address is usable at once: duplicate detection, which takes a second or two, is
    /// left out.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub fn add_address(
        &mut self,
        name: &str,
        address: IpAddr,
        prefix: u8,
    ) -> Result<(), NetlinkError> {
        use netlink_packet_route::address::AddressHeaderFlags;

        let mut message = AddressMessage::default();
        message.header.index = self.index_of(name)?;
        message.header.family = family(address);
        message.header.prefix_len = prefix;
        if address.is_ipv6() {
            message.header.flags = AddressHeaderFlags::Nodad;
        }
        message.attributes.push(AddressAttribute::Local(address));
        message.attributes.push(AddressAttribute::Address(address));
        let flags = NLM_F_CREATE | NLM_F_EXCL;
        self.socket.change("add address", Message::NewAddress(message), flags)
    }

    /// The addresses of a link and the lengths of their prefixes, link-local ones too.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub fn addresses(&mut self, name: &str) -> Result<Vec<(IpAddr, u8)>, NetlinkError> {
        const WHAT: &str = "list addresses";
        let index = self.index_of(name)?;
        let request = Message::GetAddress(AddressMessage::default());
        let mut addresses = Vec::new();
        for dumped in self.socket.dump(WHAT, &request)? {
            let Message::NewAddress(message) = parse(WHAT, &dumped)? else { continue };
            if message.header.index != index {
                continue;
            }
            // Of a point-to-point link the other one is the peer's. Version 6 has one otherwise.
            let (mut local, mut address) = (None, None);
            for attribute in message.attributes {
                match attribute {
                    AddressAttribute::Local(ip) => local = Some(ip),
                    AddressAttribute::Address(ip) => address = Some(ip),
                    _ => {}
                }
            }
            addresses.extend(local.or(address).map(|ip| (ip, message.header.prefix_len)));
        }
        Ok(addresses)
    }

    /// Adds (or replaces) a permanent neighbour: frames to `address` on this link go to `mac`
    /// without ARP or neighbour discovery.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub fn add_neighbour(
        &mut self,
        name: &str,
        address: IpAddr,
        mac: [u8; 6],
    ) -> Result<(), NetlinkError> {
        let mut message = NeighbourMessage::default();
        message.header.ifindex = self.index_of(name)?;
        message.header.family = family(address);
        message.header.state = NeighbourState::Permanent;
        let destination = match address {
            IpAddr::V4(address) => NeighbourAddress::Inet(address),
            IpAddr::V6(address) => NeighbourAddress::Inet6(address),
        };
        message.attributes.push(NeighbourAttribute::Destination(destination));
        message.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.to_vec()));
        let flags = NLM_F_CREATE | NLM_F_REPLACE;
        self.socket.change("add neighbour", Message::NewNeighbour(message), flags)
    }

    /// The kernel's index of a link.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub fn index_of(&mut self, name: &str) -> Result<u32, NetlinkError> {
        Ok(self.link(name)?.index)
    }

    /// State and counts of a link.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub fn link(&mut self, name: &str) -> Result<Link, NetlinkError> {
        interface::raw_name(name)?;
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        match self.socket.query("link info", Message::GetLink(message)) {
            Ok(Message::NewLink(message)) => Ok(Link::from_message(message)),
            Ok(_) => Err(NetlinkError::Io("link info", io::ErrorKind::InvalidData.into())),
            Err(NetlinkError::Io(_, error)) if error.raw_os_error() == Some(libc::ENODEV) => {
                Err(InterfaceError::NotFound(name.to_owned()).into())
            }
            Err(error) => Err(error),
        }
    }

    /// Every link of the namespace.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub fn links(&mut self) -> Result<Vec<Link>, NetlinkError> {
        const WHAT: &str = "list links";
        let mut links = Vec::new();
        for dumped in self.socket.dump(WHAT, &Message::GetLink(LinkMessage::default()))? {
            if let Message::NewLink(message) = parse(WHAT, &dumped)? {
                links.push(Link::from_message(message));
            }
        }
        Ok(links)
    }

    fn message_for(&mut self, name: &str) -> Result<LinkMessage, NetlinkError> {
        let mut message = LinkMessage::default();
        message.header.index = self.index_of(name)?;
        Ok(message)
    }

    fn set_attribute(
        &mut self,
        what: &'static str,
        name: &str,
        attribute: LinkAttribute,
    ) -> Result<(), NetlinkError> {
        let mut message = self.message_for(name)?;
        message.attributes.push(attribute);
        self.socket.change(what, Message::SetLink(message), 0)
    }

    fn set_flag(
        &mut self,
        what: &'static str,
        name: &str,
        flag: LinkFlags,
        on: bool,
    ) -> Result<(), NetlinkError> {
        let mut message = self.message_for(name)?;
        message.header.change_mask = flag;
        message.header.flags = if on { flag } else { LinkFlags::empty() };
        self.socket.change(what, Message::SetLink(message), 0)
    }
}

fn parse(what: &'static str, dumped: &Dumped) -> Result<Message, NetlinkError> {
    let mut header = NetlinkHeader::default();
    header.message_type = dumped.kind;
    Message::deserialize(&header, &dumped.payload).map_err(|error| {
        let error = io::Error::new(io::ErrorKind::InvalidData, error.to_string());
        NetlinkError::Io(what, error)
    })
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

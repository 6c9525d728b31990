//! What the kernel tells about a link.

use netlink_packet_route::link::{
    LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage, State, Stats64,
};

/// RFC 2863 operational state of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OperState {
    /// The driver does not tell (TAP and loopback: see [`Link::carrier`] instead).
    #[default]
    Unknown,
    /// Down, or no carrier.
    Down,
    /// The link below, or the other end of a veth pair, is down.
    LowerLayerDown,
    /// Waiting for something else, e.g. 802.1X.
    Dormant,
    /// Ready.
    Up,
}

/// Counts of a link, from its creation on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LinkStatistics {
    /// Frames received.
    pub rx_packets: u64,
    /// Frames received that were dropped, for lack of room or of anyone interested.
    pub rx_dropped: u64,
    /// Frames received with errors.
    pub rx_errors: u64,
    /// Frames sent.
    pub tx_packets: u64,
    /// Frames to be sent that were dropped.
    pub tx_dropped: u64,
    /// Frames that could not be sent because of errors.
    pub tx_errors: u64,
}

/// State of a link at the time it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Link {
    /// The kernel's index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// MTU in octets of Ethernet payload.
    pub mtu: u32,
    /// MAC address; `None` for a link that has no Ethernet address.
    pub mac: Option<[u8; 6]>,
    /// Set up by the administrator (IFF_UP).
    pub up: bool,
    /// There is a signal (IFF_LOWER_UP). Only meaningful while it is up.
    pub carrier: bool,
    /// ARP and neighbour discovery are on (no IFF_NOARP).
    pub arp: bool,
    /// Someone asked for frames to other stations.
    pub promiscuous: bool,
    /// Index of the bridge, bond or other master this link belongs to.
    pub master: Option<u32>,
    /// Its frames are Ethernet frames (those of loopback are not).
    pub ethernet: bool,
    /// What kind of device made by software it is (`bridge`, `macsec`, `veth`, ...); `None` for real
    /// ones.
    pub kind: Option<String>,
    /// Index of the link that this one stands on (a VLAN, a macsec device), or of the other end of a
    /// veth pair; `None` when that is in another network namespace.
    pub lower: Option<u32>,
    /// Operational state.
    pub oper_state: OperState,
    /// Counts.
    pub statistics: LinkStatistics,
}

impl Link {
    pub(super) fn from_message(message: LinkMessage) -> Self {
        let flags = message.header.flags;
        let mut link = Self {
            index: message.header.index,
            up: flags.contains(LinkFlags::Up),
            carrier: flags.contains(LinkFlags::LowerUp),
            arp: !flags.contains(LinkFlags::Noarp),
            ethernet: message.header.link_layer_type == LinkLayerType::Ether,
            ..Self::default()
        };
        let mut lower_is_elsewhere = false;
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name = name,
                LinkAttribute::Mtu(mtu) => link.mtu = mtu,
                LinkAttribute::Address(mac) => link.mac = mac.try_into().ok(),
                LinkAttribute::Controller(index) => link.master = Some(index),
                // The count also covers packet sockets, which the flag does not.
                LinkAttribute::Promiscuity(count) => link.promiscuous = count > 0,
                LinkAttribute::LinkInfo(info) => link.kind = kind(&info),
                LinkAttribute::Link(index) => link.lower = Some(index),
                LinkAttribute::LinkNetNsId(_) => lower_is_elsewhere = true,
                LinkAttribute::OperState(state) => link.oper_state = oper_state(state),
                LinkAttribute::Stats64(counts) => link.statistics = statistics(&counts),
                _ => {}
            }
        }
        // A tunnel that stands on no link has index 0 here.
        link.lower = link.lower.filter(|index| *index != 0 && !lower_is_elsewhere);
        link
    }
}

fn kind(info: &[LinkInfo]) -> Option<String> {
    info.iter().find_map(|info| match info {
        LinkInfo::Kind(kind) => Some(kind.to_string()),
        _ => None,
    })
}

fn oper_state(state: State) -> OperState {
    match state {
        State::Up => OperState::Up,
        State::Dormant => OperState::Dormant,
        State::LowerLayerDown => OperState::LowerLayerDown,
        State::Down | State::NotPresent => OperState::Down,
        _ => OperState::Unknown,
    }
}

fn statistics(counts: &Stats64) -> LinkStatistics {
    LinkStatistics {
        rx_packets: counts.rx_packets,
        rx_dropped: counts.rx_dropped,
        rx_errors: counts.rx_errors,
        tx_packets: counts.tx_packets,
        tx_dropped: counts.tx_dropped,
        tx_errors: counts.tx_errors,
    }
}

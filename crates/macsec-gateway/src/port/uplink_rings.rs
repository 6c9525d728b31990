//! The two rings of an uplink, and what they count over the life of a port.

use macsec_io::packet::{PacketError, PacketRxRing, PacketTxRing, RxConfig, RxMode, TxConfig};

use super::{ETHERNET_HEADER, VLAN_TAG};

/// Octets that VLAN tags in clear may add to a frame on the wire.
const OUTER_VLAN_TAGS: usize = 2 * VLAN_TAG;
/// Receive slots of an uplink: half a second of 1500-octet frames at 200 Mbit/s, should this process
/// be held up. Fewer if frames are so long that they would take more than [`RX_OCTETS`].
const RX_SLOTS: usize = 8192;
const RX_OCTETS: usize = 64 << 20;

/// How to open the rings of an uplink.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RingSettings {
    /// The uplink's MTU, in octets of Ethernet payload.
    pub mtu: u32,
    /// Receive what is sent to other stations too: for a port that serves a bridge.
    pub promiscuous: bool,
    /// Receive what is sent to this address too, the TAP's, if it is not the uplink's.
    pub address: Option<[u8; 6]>,
    /// The mark (SO_MARK) on what we send, by which an egress filter lets it pass; 0 for none.
    pub mark: u32,
}

/// Counts of the uplink's rings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UplinkCounters {
    /// RingDrop: frames lost because the receive ring was full, or that did not fit into a slot of it.
    pub ring_drop: u64,
    /// Frames that the interface took.
    pub sent: u64,
    /// Frames protected that the interface or its ring did not take.
    pub not_sent: u64,
}

impl std::ops::Add for UplinkCounters {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            ring_drop: self.ring_drop + other.ring_drop,
            sent: self.sent + other.sent,
            not_sent: self.not_sent + other.not_sent,
        }
    }
}

/// The rings of an uplink, open.
#[derive(Debug)]
pub struct UplinkRings {
    pub(super) rx: PacketRxRing,
    pub(super) tx: PacketTxRing,
    /// As last told by the kernel.
    ring_drop: u64,
}

impl UplinkRings {
    /// Opens the rings on the interface `name` of the calling thread's network namespace.
    ///
    /// All group addresses are received: which of them the host wants is the TAP's business.
    ///
    /// # Errors
    /// [`PacketError`].
    pub fn open(name: &str, settings: &RingSettings) -> Result<Self, PacketError> {
        let max_frame = ETHERNET_HEADER + settings.mtu as usize;
        let rx = RxConfig {
            mode: RxMode::Slots { frames: RX_SLOTS.min(RX_OCTETS / max_frame) },
            max_frame: max_frame + OUTER_VLAN_TAGS,
            promiscuous: settings.promiscuous,
            all_multicast: true,
            addresses: settings.address.into_iter().collect(),
            ..RxConfig::default()
        };
        let tx = TxConfig { max_frame, mark: settings.mark, ..TxConfig::default() };
        Ok(Self {
            rx: PacketRxRing::open(name, &rx)?,
            tx: PacketTxRing::open(name, &tx)?,
            ring_drop: 0,
        })
    }

    pub(super) fn counters(&mut self) -> UplinkCounters {
        if let Ok(rx) = self.rx.statistics() {
            self.ring_drop = rx.ring_full + rx.truncated + rx.too_long + rx.malformed;
        }
        let tx = self.tx.statistics();
        UplinkCounters {
            ring_drop: self.ring_drop,
            sent: tx.sent,
            not_sent: tx.rejected + tx.dropped + tx.ring_full,
        }
    }
}

//! EAPOL framing: Ethernet and EAPOL headers (802.1X clauses 11.1 to 11.3).

use core::fmt;

use macsec::MacAddress;
use nom::{
    IResult, Parser,
    bytes::complete::take,
    number::complete::{be_u8, be_u16},
};

use crate::DecodeError;

/// The EtherType of EAPOL, PAE Ethernet Type in the standard's words.
pub const ETHERTYPE_EAPOL: u16 = 0x888e;
/// The EAPOL version that MKA came with, and that we send.
pub const EAPOL_VERSION: u8 = 3;
/// The EAPOL type of MKPDUs.
pub const EAPOL_MKA: u8 = 5;
/// The EAPOL type of generic EAPOL-Announcements.
pub(crate) const EAPOL_ANNOUNCEMENT: u8 = 6;
/// The EAPOL type of specific EAPOL-Announcements.
pub(crate) const EAPOL_ANNOUNCEMENT_SPECIFIC: u8 = 7;
/// The EAPOL type of a request for an EAPOL-Announcement.
pub(crate) const EAPOL_ANNOUNCEMENT_REQ: u8 = 8;
/// Octets of both addresses, the EtherType and the EAPOL header.
pub const HEADERS_LEN: usize = ADDRESSES_LEN + 2 + EAPOL_HEADER_LEN;
/// Where EAPOL goes unless it is configured otherwise: the PAE group address, which bridges that
/// are no Two-Port MAC Relays keep to their link.
pub const NEAREST_NON_TPMR_BRIDGE: MacAddress = MacAddress([0x01, 0x80, 0xc2, 0, 0, 0x03]);
/// The group address that reaches the nearest customer bridge, through provider bridges.
pub const NEAREST_CUSTOMER_BRIDGE: MacAddress = MacAddress([0x01, 0x80, 0xc2, 0, 0, 0x00]);
/// The group address that reaches the nearest bridge of any kind.
pub const NEAREST_BRIDGE: MacAddress = MacAddress([0x01, 0x80, 0xc2, 0, 0, 0x0e]);

pub(crate) const ADDRESSES_LEN: usize = 12;
const EAPOL_HEADER_LEN: usize = 4;
const VLAN_ETHERTYPES: [u16; 2] = [0x8100, 0x88a8];
const MAX_VLAN_TAGS: usize = 2;

/// A frame of EAPOL, of whatever type: its headers, and its body without padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EapolFrame<'a> {
    /// Destination and source address as received.
    pub(crate) addresses: &'a [u8],
    /// From the EtherType on to the end of the body.
    pub(crate) from_ethertype: &'a [u8],
    /// Whom it was sent to.
    pub destination: MacAddress,
    /// Who sent it.
    pub source: MacAddress,
    /// The EAPOL version.
    pub version: u8,
    /// The EAPOL type, [`EAPOL_MKA`] for MKPDUs.
    pub packet_type: u8,
    /// What the EAPOL header counts as body.
    pub body: &'a [u8],
}

impl<'a> EapolFrame<'a> {
    /// Reads a frame from its destination address on, without FCS. `ethertype` is that of EAPOL on
    /// this port, [`ETHERTYPE_EAPOL`] unless configured otherwise.
    ///
    /// What follows the body is padding and is cut off. Up to two VLAN tags before the EtherType are
    /// passed over: they are no part of what the ICV covers (802.1X clause 9.4.1).
    ///
    /// # Errors
    /// `FrameLength`, `EtherType` or `EapolLength`.
    pub fn parse(octets: &'a [u8], ethertype: u16) -> Result<Self, DecodeError> {
        let truncated = |_| DecodeError::FrameLength;
        let (tagged, (destination, source)) = addresses(octets).map_err(truncated)?;
        let mut from_ethertype = tagged;
        let mut tags = 0;
        let (version, packet_type, body_len, rest) = loop {
            let (rest, found) = u16_field(from_ethertype).map_err(truncated)?;
            if found == ethertype {
                let (rest, (version, packet_type, body_len)) =
                    eapol_header(rest).map_err(truncated)?;
                break (version, packet_type, body_len, rest);
            }
            if tags == MAX_VLAN_TAGS || !VLAN_ETHERTYPES.contains(&found) {
                return Err(DecodeError::EtherType(found));
            }
            (from_ethertype, _) = u16_field(rest).map_err(truncated)?;
            tags += 1;
        };
        let len = usize::from(body_len);
        let too_long = DecodeError::EapolLength(body_len);
        let body = rest.get(..len).ok_or(too_long)?;
        let from_ethertype = from_ethertype.get(..2 + EAPOL_HEADER_LEN + len).ok_or(too_long)?;
        let addresses = octets.get(..ADDRESSES_LEN).ok_or(DecodeError::FrameLength)?;
        Ok(Self { addresses, from_ethertype, destination, source, version, packet_type, body })
    }
}

/// Dissector style: `EAPOL v3 type 5 02:00:00:00:00:0a > 01:80:c2:00:00:03 length 80`.
impl fmt::Display for EapolFrame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, packet_type, source, destination, .. } = self;
        let len = self.body.len();
        write!(f, "EAPOL v{version} type {packet_type} {source} > {destination} length {len}")
    }
}

/// Whether the address is a group address: broadcast, or multicast.
pub(crate) const fn is_group(address: MacAddress) -> bool {
    address.0[0] & 0x01 != 0
}

fn addresses(input: &[u8]) -> IResult<&[u8], (MacAddress, MacAddress), ()> {
    (mac_address, mac_address).parse(input)
}

fn mac_address(input: &[u8]) -> IResult<&[u8], MacAddress, ()> {
    take(6usize).map_res(<[u8; 6]>::try_from).map(MacAddress).parse(input)
}

fn u16_field(input: &[u8]) -> IResult<&[u8], u16, ()> {
    be_u16.parse(input)
}

fn eapol_header(input: &[u8]) -> IResult<&[u8], (u8, u8, u16), ()> {
    (be_u8, be_u8, be_u16).parse(input)
}

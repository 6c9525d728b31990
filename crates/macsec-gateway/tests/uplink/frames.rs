//! Plain frames that a host would answer or take, as they stand on the wire.
#![allow(unreachable_pub)]

use std::net::{Ipv4Addr, Ipv6Addr};

pub const NEAR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub const FAR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// Addresses of the host, on another interface than the uplink.
pub const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub const HOST6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
/// The one who asks, at the far end of the uplink.
pub const FAR_HOST: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
const FAR_HOST6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
/// What the host makes of the uplink's MAC address by itself.
const NEAR_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0x0000, 0x00ff, 0xfe00, 1);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// Those that a host answers on the interface they came by.
pub fn answered() -> Vec<Vec<u8>> {
    vec![arp(), ping(), tcp_syn(), solicitation(NEAR_LOCAL), ping6(NEAR_LOCAL)]
}

pub fn all() -> Vec<Vec<u8>> {
    let mut all = answered();
    all.extend([
        udp(),
        udp_to_closed(),
        solicitation(HOST6),
        router_solicitation(),
        ping6(HOST6),
        ping6(ALL_NODES),
    ]);
    all
}

/// Who has the host's address?
pub fn arp() -> Vec<u8> {
    let request = [0, 1, 8, 0, 6, 4, 0, 1];
    let body =
        [request.as_slice(), &FAR_MAC, &FAR_HOST.octets(), &[0; 6], &HOST.octets(), &[0; 18]];
    frame([0xff; 6], [0x08, 0x06], &body.concat())
}

pub fn ping() -> Vec<u8> {
    let mut echo = [[8, 0, 0, 0, 1, 2, 3, 4].as_slice(), &[0x5a; 40]].concat();
    set_checksum(&mut echo, 2, &[]);
    ipv4(1, &echo)
}

/// To a port where the test listens.
pub fn udp() -> Vec<u8> {
    // No checksum, which is allowed.
    ipv4(17, &[[0x30, 0x39, 0x13, 0x88, 0, 28, 0, 0].as_slice(), &[0x77; 20]].concat())
}

/// To a port where nobody listens.
pub fn udp_to_closed() -> Vec<u8> {
    ipv4(17, &[[0x30, 0x39, 0x13, 0x89, 0, 28, 0, 0].as_slice(), &[0x77; 20]].concat())
}

pub fn tcp_syn() -> Vec<u8> {
    let mut syn =
        vec![0x30, 0x39, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0];
    let pseudo = [FAR_HOST.octets(), HOST.octets(), [0, 6, 0, 20]].concat();
    set_checksum(&mut syn, 16, &pseudo);
    ipv4(6, &syn)
}

/// Who has this address (neighbour discovery)?
pub fn solicitation(target: Ipv6Addr) -> Vec<u8> {
    let octets = target.octets();
    let mut group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 0).octets();
    group[13..].copy_from_slice(&octets[13..]);
    let body = [&[135, 0, 0, 0, 0, 0, 0, 0], octets.as_slice(), &[1, 1], &FAR_MAC].concat();
    ipv6(group.into(), body)
}

pub fn router_solicitation() -> Vec<u8> {
    ipv6(ALL_ROUTERS, [&[133, 0, 0, 0, 0, 0, 0, 0, 1, 1], FAR_MAC.as_slice()].concat())
}

pub fn ping6(to: Ipv6Addr) -> Vec<u8> {
    ipv6(to, [[128, 0, 0, 0, 1, 2, 3, 4].as_slice(), &[0x5a; 40]].concat())
}

/// What a gateway sends: an EtherType of MACsec.
pub fn protected() -> Vec<u8> {
    frame(FAR_MAC, [0x88, 0xe5], &[0x5a; 100])
}

fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(20 + payload.len()).unwrap();
    let mut header = vec![0x45, 0, 0, length, 0, 1, 0, 0, 64, protocol, 0, 0];
    header.extend(FAR_HOST.octets());
    header.extend(HOST.octets());
    set_checksum(&mut header, 10, &[]);
    header.extend(payload);
    frame(NEAR_MAC, [0x08, 0x00], &header)
}

/// An ICMPv6 packet.
fn ipv6(to: Ipv6Addr, mut body: Vec<u8>) -> Vec<u8> {
    let length = u8::try_from(body.len()).unwrap();
    let addresses = [FAR_HOST6.octets(), to.octets()].concat();
    let pseudo = [addresses.as_slice(), &[0, 0, 0, length, 0, 0, 0, 58]].concat();
    set_checksum(&mut body, 2, &pseudo);
    let header = [[0x60, 0, 0, 0, 0, length, 58, 255].as_slice(), &addresses].concat();
    let octets = to.octets();
    let mac = match octets {
        [0xff, .., a, b, c, d] => [0x33, 0x33, a, b, c, d],
        _ => NEAR_MAC,
    };
    frame(mac, [0x86, 0xdd], &[header, body].concat())
}

fn frame(to: [u8; 6], ether_type: [u8; 2], body: &[u8]) -> Vec<u8> {
    [to.as_slice(), &FAR_MAC, &ether_type, body].concat()
}

/// The Internet's checksum of `pseudo` and `octets`, put into `octets` at `at`.
fn set_checksum(octets: &mut [u8], at: usize, pseudo: &[u8]) {
    let words = |octets: &[u8]| -> u32 {
        octets.chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(*w.get(1).unwrap_or(&0))).sum()
    };
    let mut sum = words(pseudo) + words(octets);
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    let checksum = !(sum as u16);
    octets[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
}

//! Two gateways and the wire between them: what hosts send arrives, and nothing else.

use crate::{
    Line,
    bench::{self, Daemon, Edge, FAR, NEAR, SALT, Station, Wan, number_of, numbered, plug},
    common,
};

/// Two hosts, each with a gateway.
struct Link {
    edges: [Edge; 2],
    gateways: [Daemon; 2],
    hosts: [Station; 2],
}

impl Link {
    /// With these configurations, over a wire of this MTU. None where there are no privileges.
    fn new(mtu: u32, wans: &[Wan; 2]) -> Option<Self> {
        let edges = match (Edge::new(), Edge::new()) {
            (Ok(a), Ok(b)) => [a, b],
            (Err(error), _) | (_, Err(error)) => {
                common::skip(&error.to_string());
                return None;
            }
        };
        plug((&edges[0].home, "up0", NEAR), (&edges[1].home, "up0", FAR));
        for edge in &edges {
            edge.run(|| bench::quiet("up0"));
            edge.netlink(|netlink| netlink.set_mtu("up0", mtu)).expect("an MTU");
        }
        let [a, b] = wans;
        let mut gateways = [edges[0].start(&[a]), edges[1].start(&[b])];
        for gateway in &mut gateways {
            gateway.secured();
        }
        let hosts = [edges[0].station("wan0"), edges[1].station("wan0")];
        Some(Self { edges, gateways, hosts })
    }

    /// Requires that each frame sent by one host arrives at the other as it was, both ways.
    #[track_caller]
    fn carries(&mut self, frames: impl Fn([u8; 6], [u8; 6]) -> Vec<Vec<u8>>) {
        for (from, source, destination) in [(0, NEAR, FAR), (1, FAR, NEAR)] {
            let frames = frames(destination, source);
            for frame in &frames {
                self.hosts[from].send(frame);
            }
            let arrived = self.hosts[1 - from].wait_for(frames.len(), |_| true);
            assert!(arrived == frames, "{} frames of {}", arrived.len(), frames.len());
        }
    }

    #[track_caller]
    fn mtus_are(&self, mtu: u32) {
        for edge in &self.edges {
            assert_eq!(edge.netlink(|n| n.link("wan0").expect("a TAP").mtu), mtu);
        }
    }

    /// Ends both, with nothing lost or refused.
    #[track_caller]
    fn end(self) {
        for gateway in &self.gateways {
            let port = gateway.port("wan0");
            let secy = port.secy.expect("a SecY");
            let delivered = port.local["delivered"];
            assert!(delivered > 0);
            for (name, count) in secy.verification.iter().chain(&secy.receive_sc_sum) {
                let expected = if name == "in-pkts-ok" { delivered } else { 0 };
                let free = name.contains("octets");
                assert!(free || *count == expected, "{name}: {count}");
            }
            for name in ["ring-drop", "tap-drop", "tap-too-long", "uplink-not-sent", "no-uplink"] {
                assert_eq!(port.local[name], 0, "{name}");
            }
        }
        self.gateways.into_iter().for_each(Daemon::stop);
    }
}

fn pair(wan: &Wan) -> [Wan; 2] {
    [
        Wan { ssci: 1, peer: FAR, ..wan.clone() },
        Wan { ssci: 2, peer: NEAR, isolation: "namespace", ..wan.clone() },
    ]
}

/// From the shortest to the longest that an MTU allows.
fn lengths(mtu: usize) -> Vec<usize> {
    let mut lengths = vec![60, 61, 63, 64, 65, 100, 128, 577, 1024, 1400];
    lengths.extend(mtu - 3..=mtu);
    lengths.into_iter().map(|len| len.min(mtu) + 14).collect()
}

fn plain(mtu: usize) -> impl Fn([u8; 6], [u8; 6]) -> Vec<Vec<u8>> {
    move |destination, source| {
        let lengths = lengths(mtu).into_iter().enumerate();
        lengths.map(|(n, len)| numbered(destination, source, n as u64, len)).collect()
    }
}

/// The same with `tags` behind the addresses.
fn tagged(mtu: usize, tags: &'static [u8]) -> impl Fn([u8; 6], [u8; 6]) -> Vec<Vec<u8>> {
    let frames = plain(mtu);
    move |destination, source| {
        let mut frames = frames(destination, source);
        for frame in &mut frames {
            frame.splice(12..12, tags.iter().copied());
        }
        frames
    }
}

const ONE_TAG: &[u8] = &[0x81, 0x00, 0x20, 0x07];
const TWO_TAGS: &[u8] = &[0x81, 0x00, 0x00, 0x05, 0x81, 0x00, 0x20, 0x07];

#[test]
fn every_suite_and_protection() {
    for (suite, sak_file) in [
        ("gcm-aes-128", "k128"),
        ("gcm-aes-256", "k256"),
        ("gcm-aes-xpn-128", "k128"),
        ("gcm-aes-xpn-256", "k256"),
    ] {
        let xpn = suite.contains("xpn");
        let offsets = ["confidentiality_offset = 30", "confidentiality_offset = 50"];
        let protections = ["", "confidentiality = false"].into_iter();
        for protection in protections.chain(offsets.into_iter().filter(|_| !xpn)) {
            let wan = Wan { suite, sak_file, ..Wan::default() }.lines(protection);
            let Some(mut link) = Link::new(1500, &pair(&wan)) else { return };
            link.mtus_are(1468);
            link.carries(plain(1468));
            let encrypted = link.gateways[0].port("wan0").secy.expect("a SecY").transmit_sc;
            let sa = &encrypted.transmit_sa[0];
            assert_eq!(sa.confidentiality, !protection.contains("false"), "{suite} {protection}");
            link.end();
        }
    }
}

#[test]
fn jumbo_frames() {
    let Some(mut link) = Link::new(9000, &pair(&Wan::default())) else { return };
    link.mtus_are(8968);
    link.carries(plain(8968));
    link.end();
}

#[test]
fn vlan_tags_inside() {
    for (lines, mtu, tags) in [
        ("", 1468, ONE_TAG),
        ("inner_vlan_tags = 1", 1464, ONE_TAG),
        ("inner_vlan_tags = 2", 1460, TWO_TAGS),
    ] {
        let Some(mut link) = Link::new(1500, &pair(&Wan::default().lines(lines))) else { return };
        link.mtus_are(mtu);
        // Without room set aside for the tag, frames with one have to be shorter by it. And a socket
        // may exceed the MTU by one tag only.
        let room = if tags == ONE_TAG && !lines.is_empty() { mtu } else { mtu - 4 };
        link.carries(tagged(room as usize, tags));
        link.carries(plain(mtu as usize));
        link.end();
    }
}

#[test]
fn vlan_tags_in_clear() {
    for (lines, mtu, tags) in
        [("vlan_tags_in_clear = 1", 1464, ONE_TAG), ("vlan_tags_in_clear = 2", 1460, TWO_TAGS)]
    {
        let Some(line) = Line::new() else { return };
        let mut gateway = line.edge.start(&[&Wan::default().lines(lines)]);
        gateway.secured();
        let (mut host, mut wire) = (line.edge.station("wan0"), line.wire("far0"));
        let mut frame = numbered(FAR, NEAR, 1, 200);
        frame.splice(12..12, tags.iter().copied());
        host.send(&frame);
        // The tags stand before the SecTAG, where a provider can read them.
        let seen = wire.wait_for(1, |_| true).remove(0);
        assert_eq!(seen[12..12 + tags.len()], *tags);
        assert_eq!(seen[12 + tags.len()..][..2], [0x88, 0xe5]);
        assert!(!seen.windows(16).any(|octets| octets == [0xa5; 16]), "in clear: {seen:02x?}");
        gateway.stop();

        let Some(mut link) = Link::new(1500, &pair(&Wan::default().lines(lines))) else { return };
        link.mtus_are(mtu);
        // A socket may exceed the MTU by one tag only.
        let room = if tags == ONE_TAG { mtu } else { mtu - 4 };
        link.carries(tagged(room as usize, tags));
        link.carries(plain(mtu as usize));
        link.end();
    }
}

#[test]
fn a_peer_with_a_key_of_its_own() {
    // Each end sends with its own key.
    let a = Wan { sak_file: "k256", ..Wan::default() };
    let own = |file| format!("sak_file = \"{file}\"\nsalt = {:?}", SALT);
    let b = Wan { sak_file: "other256", ssci: 2, peer: NEAR, ..Wan::default() };
    let wans = [Wan { peer_lines: own("other256"), ..a }, Wan { peer_lines: own("k256"), ..b }];
    let Some(mut link) = Link::new(1500, &wans) else { return };
    link.carries(plain(1468));
    link.end();
}

#[test]
fn a_thousand_frames_each_way_and_none_lost() {
    let Some(mut link) = Link::new(1500, &pair(&Wan::default())) else { return };
    for round in 0..10 {
        link.carries(|destination, source| {
            (0..100).map(|n| numbered(destination, source, round * 100 + n, 500)).collect()
        });
    }
    link.end();
}

#[test]
fn lldp_in_clear_and_eapol_not_at_all() {
    let lines = "bypass_ethertypes = [0x88cc]";
    let Some(line) = Line::new() else { return };
    let mut gateway = line.edge.start(&[&Wan::default().lines(lines)]);
    gateway.secured();
    let (mut host, mut wire) = (line.edge.station("wan0"), line.wire("far0"));
    let frame = |destination: [u8; 6], source: [u8; 6], behind: &[u8]| {
        let mut frame = [&destination[..], &source, behind].concat();
        frame.resize(100, 0x33);
        frame
    };
    const LLDP: [u8; 6] = [0x01, 0x80, 0xc2, 0, 0, 0x0e];
    const PAE: [u8; 6] = [0x01, 0x80, 0xc2, 0, 0, 0x03];
    let mark_out = numbered(FAR, NEAR, 1, 100);
    for (lldp, eapol) in [(LLDP, PAE), (FAR, FAR)] {
        for out in [
            frame(eapol, NEAR, &[0x88, 0x8e, 3, 5]),
            frame(eapol, NEAR, &[0x81, 0, 0xe0, 0, 0x88, 0x8e, 3, 5]),
            frame(lldp, NEAR, &[0x88, 0xcc]),
        ] {
            host.send(&out);
        }
        host.send(&mark_out);
        let seen = wire.wait_for(2, |_| true);
        assert_eq!(seen[0], frame(lldp, NEAR, &[0x88, 0xcc]));
        assert_eq!(seen[1][12..14], [0x88, 0xe5]);
        assert_eq!(seen.len(), 2, "{seen:02x?}");
    }
    for (lldp, eapol) in [(LLDP, PAE), (NEAR, NEAR)] {
        for back in [
            frame(eapol, FAR, &[0x88, 0x8e, 3, 5]),
            frame(eapol, FAR, &[0x81, 0, 0xe0, 0, 0x88, 0x8e, 3, 5]),
            numbered(NEAR, FAR, 7, 100),
            frame(lldp, FAR, &[0x88, 0xcc]),
        ] {
            wire.send(&back);
        }
        let seen = host.wait_for(1, |_| true);
        assert_eq!(seen, [frame(lldp, FAR, &[0x88, 0xcc])]);
    }
    let port = gateway.port("wan0");
    let [bypass] = &port.bypass[..] else { panic!("{:?}", port.bypass) };
    assert_eq!((bypass.ether_type.as_str(), bypass.in_pkts, bypass.out_pkts), ("0x88cc", 2, 2));
    assert_eq!(port.local["eapol-from-tap"], 4);
    assert_eq!(port.local["eapol-from-uplink"], 4);
    assert_eq!(port.secy.expect("a SecY").verification["in-pkts-no-tag"], 2);
    assert!(host.received().iter().all(|frame| number_of(frame).is_none()));
    gateway.stop();
}

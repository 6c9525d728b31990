//! What holds for every MKPDU: round trips, any octets, any changes.

mod common;

use common::{
    encode, frame_of, framing, lab_ckn, lab_ick, parse, raw_basic, raw_frame, set, verify,
};
use macsec::{An, CipherSuite, Confidentiality, ConfidentialityOffset, Ki, MacAddress, Sci};
use mka::{
    Announcement, Basic, Body, Capability, Ckn, DistributedCak, DistributedKey, DistributedSak,
    Framing, KeyUse, Kmd, MAX_FRAME_LEN, Member, Mi, PeerList, Received, SakUse, SetOrder, SuiteId,
    Xpn,
};
use proptest::{collection::vec, option, prelude::*, sample::select};

type OwnedKey = (An, Confidentiality, u32, CipherSuite, Vec<u8>);

/// A body's parts, owned.
#[derive(Clone, Debug)]
struct Parts {
    basic: Basic,
    live: Option<(Vec<Member>, u8)>,
    potential: Option<Vec<Member>>,
    sak_use: Option<SakUse>,
    distributed_sak: Option<Option<OwnedKey>>,
    distributed_cak: Option<Vec<u8>>,
    kmd: Option<String>,
    announcement: Option<Vec<u8>>,
    xpn: Option<Xpn>,
}

impl Parts {
    fn body(&self) -> Body<'_> {
        let mut body = Body::new(self.basic);
        body.live = self
            .live
            .as_ref()
            .map(|(peers, ssci)| PeerList::new(peers).with_key_server_ssci(*ssci));
        body.potential = self.potential.as_deref().map(PeerList::new);
        body.sak_use = self.sak_use;
        body.distributed_sak = self.distributed_sak.as_ref().map(|key| match key {
            None => DistributedSak::PlainText,
            &Some((an, confidentiality, key_number, suite, ref wrapped)) => {
                let suite = SuiteId::Known(suite);
                let wrapped = &wrapped[..];
                let key = DistributedKey { an, confidentiality, key_number, suite, wrapped };
                DistributedSak::Key(key)
            }
        });
        body.distributed_cak =
            self.distributed_cak.as_deref().map(|octets| DistributedCak::new(octets).unwrap());
        body.kmd = self.kmd.as_deref().map(|name| Kmd::new(name).unwrap());
        body.announcement =
            self.announcement.as_deref().map(|octets| Announcement::new(octets).unwrap());
        body.xpn = self.xpn;
        body
    }
}

fn members() -> impl Strategy<Value = Member> {
    (any::<[u8; 12]>(), any::<u32>()).prop_map(|(mi, mn)| Member { mi: Mi(mi), mn })
}

fn basics() -> impl Strategy<Value = Basic> {
    let capabilities =
        [Capability::None, Capability::Integrity, Capability::Confidentiality, Capability::Offsets];
    let ckns = vec(any::<u8>(), 1..=32).prop_map(|octets| Ckn::new(&octets).unwrap());
    let flags = (any::<bool>(), any::<bool>(), select(capabilities.to_vec()));
    (1..=3u8, any::<u8>(), flags, any::<[u8; 8]>(), members(), ckns).prop_map(
        |(version, key_server_priority, flags, sci, actor, ckn)| Basic {
            version,
            key_server_priority,
            key_server: flags.0,
            macsec_desired: flags.1,
            macsec_capability: flags.2,
            sci: Sci(sci),
            actor,
            ckn,
        },
    )
}

fn ans() -> impl Strategy<Value = An> {
    select(&An::ALL[..])
}

fn key_uses() -> impl Strategy<Value = KeyUse> {
    (any::<[u8; 16]>(), ans(), any::<bool>(), any::<bool>(), any::<u32>())
        .prop_map(|(ki, an, tx, rx, lowest_pn)| KeyUse { ki: Ki(ki), an, tx, rx, lowest_pn })
}

fn sak_uses() -> impl Strategy<Value = SakUse> {
    let keys = option::of((key_uses(), key_uses()).prop_map(|(latest, old)| [latest, old]));
    (any::<[bool; 3]>(), keys).prop_map(|([plain_tx, plain_rx, delay_protect], keys)| SakUse {
        plain_tx,
        plain_rx,
        delay_protect,
        keys,
    })
}

fn distributed_keys() -> impl Strategy<Value = Option<OwnedKey>> {
    let modes = [
        Confidentiality::IntegrityOnly,
        Confidentiality::Encrypt(ConfidentialityOffset::Zero),
        Confidentiality::Encrypt(ConfidentialityOffset::Thirty),
        Confidentiality::Encrypt(ConfidentialityOffset::Fifty),
    ];
    let suites = select(&CipherSuite::ALL[..]);
    let key = (ans(), select(modes.to_vec()), any::<u32>(), suites, any::<[u8; 40]>());
    option::of(key.prop_map(|(an, mode, number, suite, wrapped)| {
        (an, mode, number, suite, wrapped[..suite.key_len() + 8].to_vec())
    }))
}

/// TLVs of types without a length of their own.
fn announcements() -> impl Strategy<Value = Vec<u8>> {
    vec((0..100u8, vec(any::<u8>(), 0..40)), 0..5).prop_map(|tlvs| {
        let mut octets = Vec::new();
        for (kind, value) in tlvs {
            octets.extend([kind << 1, u8::try_from(value.len()).unwrap()]);
            octets.extend(value);
        }
        octets
    })
}

fn parts() -> impl Strategy<Value = Parts> {
    let xpn = (any::<u8>(), any::<u64>(), any::<u64>())
        .prop_map(|(suspension, latest, old)| Xpn::new(suspension, latest, old));
    (
        basics(),
        option::of((vec(members(), 0..20), any::<u8>())),
        option::of(vec(members(), 0..20)),
        option::of(sak_uses()),
        option::of(distributed_keys()),
        option::of(vec(any::<u8>(), 25..=72)),
        option::of("[ -~é]{0,60}"),
        option::of(announcements()),
        option::of(xpn),
    )
        .prop_map(
            |(
                basic,
                live,
                potential,
                sak_use,
                distributed_sak,
                distributed_cak,
                kmd,
                announcement,
                xpn,
            )| {
                Parts {
                    basic,
                    live,
                    potential,
                    sak_use,
                    distributed_sak,
                    distributed_cak,
                    kmd,
                    announcement,
                    xpn,
                }
            },
        )
}

fn framings() -> impl Strategy<Value = Framing> {
    // An EtherType that could be taken for a VLAN tag is none that a port is given.
    let ethertypes = (0x0600..=0xffff_u16)
        .prop_filter("no VLAN tag", |ethertype| ![0x8100, 0x88a8].contains(ethertype));
    let orders = select(&[SetOrder::Ascending, SetOrder::Standard][..]);
    (any::<[u8; 6]>(), any::<[u8; 6]>(), ethertypes, orders, any::<bool>()).prop_map(
        |(mut destination, source, ethertype, order, icv_indicator)| {
            destination[0] |= 1;
            let mut framing = Framing::new(MacAddress(source));
            framing.destination = MacAddress(destination);
            framing.ethertype = ethertype;
            framing.order = order;
            framing.icv_indicator = icv_indicator;
            framing
        },
    )
}

/// Puts a frame through every reader and printer. Returns whether it passed for an MKPDU.
fn exercise(octets: &[u8]) -> bool {
    let received = match parse(octets) {
        Ok(received) => received,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return false;
        }
    };
    if let Ok(unverified) = received.unverified() {
        assert!(!format!("{unverified} {unverified:?}").is_empty());
        assert!(unverified.unknown_sets().count() <= MAX_FRAME_LEN / 4);
    }
    received.verify(&lab_ick()).is_ok()
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(parts in parts(), framing in framings()) {
        let body = parts.body();
        let frame = encode(&framing, &body);
        prop_assert!(frame.len() <= MAX_FRAME_LEN);
        prop_assert_eq!((frame.len() - 18) % 4, 0);
        let received = Received::parse(&frame, framing.ethertype).unwrap();
        prop_assert_eq!(*received.ckn(), body.basic.ckn);
        let mkpdu = received.verify(&lab_ick()).unwrap();
        prop_assert_eq!(mkpdu.body(), &body);
        prop_assert_eq!(mkpdu.frame().destination, framing.destination);
        prop_assert_eq!(mkpdu.frame().source, framing.source);
        prop_assert_eq!(mkpdu.has_icv_indicator(), framing.icv_indicator);
        prop_assert_eq!(encode(&framing, mkpdu.body()), frame);
    }

    #[test]
    fn any_octets(octets in vec(any::<u8>(), 0..200)) {
        exercise(&octets);
    }

    #[test]
    fn any_octets_behind_an_eapol_header(body in vec(any::<u8>(), 0..400)) {
        let mut frame = frame_of(&[])[..16].to_vec();
        frame.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
        frame.extend(body);
        exercise(&frame);
    }

    /// Under a right ICV, so that the walk over the sets is reached.
    #[test]
    fn any_octets_for_sets(words in vec(any::<[u8; 4]>(), 0..100)) {
        exercise(&frame_of(&words.concat()));
    }

    #[test]
    fn any_sets_that_are_well_formed(
        sets in vec((any::<u8>(), any::<u8>(), 0..16u8, vec(any::<u8>(), 0..80)), 0..10),
        ckn in vec(any::<u8>(), 1..=32),
        version in 1..=255u8,
    ) {
        let sets: Vec<_> = sets
            .into_iter()
            .flat_map(|(kind, specific, flags, body)| set(kind.min(254), specific, flags, &body))
            .collect();
        let frame = raw_frame(&raw_basic(version, &ckn), &sets);
        // The sets fill the frame: what is refused is refused for a length of a known set.
        if !exercise(&frame) {
            let error = verify(&frame).map(drop).unwrap_err();
            let text = error.to_string();
            prop_assert!(text.contains("length") || text.contains("Announcement"), "{}", text);
        }
    }

    /// A frame of ours, damaged: refused without the key's help, or by the ICV.
    #[test]
    fn any_damage_is_noticed(parts in parts(), at in any::<usize>(), bits in 1..=255u8) {
        let mut frame = encode(&framing(), &parts.body());
        let at = at % frame.len();
        frame[at] ^= bits;
        prop_assert!(!exercise(&frame));
    }

    #[test]
    fn any_truncation_is_noticed(parts in parts(), len in any::<usize>()) {
        let frame = encode(&framing(), &parts.body());
        prop_assert!(!exercise(&frame[..len % frame.len()]));
    }

    #[test]
    fn a_ckn_comes_back_from_its_text(octets in vec(any::<u8>(), 1..=32)) {
        let ckn = Ckn::new(&octets).unwrap();
        prop_assert_eq!(ckn.to_string().parse(), Ok(ckn));
        prop_assert_eq!(ckn.to_string().to_uppercase().parse(), Ok(ckn));
        prop_assert_eq!(ckn.octets(), &octets[..]);
        prop_assert_eq!(ckn == lab_ckn(), octets == lab_ckn().octets());
    }
}

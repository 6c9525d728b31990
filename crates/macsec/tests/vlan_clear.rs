//! VLAN tags in clear between the addresses and the SecTAG: readable, and not authenticated.

mod common;

use common::{Link, RawFrame, SENDER, VecSecY, config, counters, outcome, protect, validate};
use macsec::{
    CipherSuite, ClearVlanTags, Confidentiality, Config, MissingSa, Parsed, ReceiveOutcome, TagSci,
};

const ALL: [ClearVlanTags; 3] = [ClearVlanTags::None, ClearVlanTags::One, ClearVlanTags::Two];
const OUTER: [u8; 4] = [0x88, 0xa8, 0x20, 0x05];
const INNER: [u8; 4] = [0x81, 0x00, 0x00, 0x64];
const MODES: [Confidentiality; 4] =
    [common::INTEGRITY, common::ENCRYPT, common::ENCRYPT_30, common::ENCRYPT_50];

fn in_clear(clear: ClearVlanTags) -> Config {
    config(|config| {
        config.clear_vlan_tags = clear;
        config.always_include_sci = true;
    })
}

fn pair(confidentiality: Confidentiality, clear: ClearVlanTags) -> (VecSecY, VecSecY) {
    let link = Link::new(CipherSuite::GcmAes128, confidentiality);
    (link.sender(in_clear(clear)), link.receiver(in_clear(clear)))
}

/// No tag, an S-TAG, a C-TAG, both, and three.
fn tag_stacks() -> [Vec<u8>; 5] {
    [
        Vec::new(),
        OUTER.to_vec(),
        INNER.to_vec(),
        [OUTER, INNER].concat(),
        [OUTER, INNER, INNER].concat(),
    ]
}

fn max_clear(clear: ClearVlanTags) -> usize {
    match clear {
        ClearVlanTags::None => 0,
        ClearVlanTags::One => 4,
        ClearVlanTags::Two => 8,
    }
}

#[test]
fn tagged_frames_of_all_lengths_go_and_come_with_as_many_tags_in_clear_as_allowed() {
    for clear in ALL {
        for confidentiality in MODES {
            let (mut sender, mut receiver) = pair(confidentiality, clear);
            let (mut pn, mut octets) = (0, 0);
            for stack in tag_stacks() {
                for frame_len in (64..=130).chain([1500, 1518, 4096, 9000]) {
                    pn += 1;
                    let data_len = frame_len - 12 - stack.len();
                    let inside = [&stack[..], &common::user_data(data_len)].concat();
                    let frame = common::frame_of(SENDER.mac(), &inside);
                    let shown = stack.len().min(max_clear(clear));
                    let (clear_tags, user_data) = inside.split_at(shown);
                    let wire = protect(&mut sender, &frame);

                    // Against the description: AAD is addresses and SecTAG without the tags between.
                    let encrypted = confidentiality != common::INTEGRITY;
                    let suite = CipherSuite::GcmAes128;
                    let raw = RawFrame {
                        clear_tags: clear_tags.to_vec(),
                        offset: common::offset_of(confidentiality).octets(),
                        ..RawFrame::new(suite, encrypted, pn, user_data)
                    };
                    assert_eq!(wire, raw.build(), "{clear:?} {stack:x?} {frame_len}");
                    assert_eq!(wire[12..12 + shown], frame[12..12 + shown]);

                    let received = validate(&mut receiver, &wire);
                    assert_eq!(received, (ReceiveOutcome::Ok, Some(frame)));
                    octets += user_data.len() as u64;
                }
            }
            let out = sender.counters().generation;
            assert_eq!(out.out_octets_protected + out.out_octets_encrypted, octets);
            let verified = receiver.counters().verification;
            let total = verified.in_octets_validated + verified.in_octets_decrypted;
            assert_eq!(total, octets, "tags in clear are no User Data");
        }
    }
}

#[test]
fn short_frames_keep_their_sl_behind_tags_in_clear() {
    for clear in ALL {
        let (mut sender, mut receiver) = pair(common::ENCRYPT, clear);
        let stack = [OUTER, INNER].concat();
        for len in 1..=60 {
            let inside = [&stack[..], &common::user_data(len)].concat();
            let frame = common::frame_of(SENDER.mac(), &inside);
            let shown = max_clear(clear);
            let secure = inside.len() - shown;
            let mut wire = protect(&mut sender, &frame);
            let sl = if secure < 48 { secure as u8 } else { 0 };
            assert_eq!(wire[12 + shown + 3], sl, "{clear:?} {len}");
            // As a MAC would pad it.
            wire.resize(wire.len().max(60), 0);
            let received = validate(&mut receiver, &wire);
            assert_eq!(received, (ReceiveOutcome::Ok, Some(frame)), "{len}");
        }
    }
}

/// A tag is one only if something follows it; else it is the User Data.
#[test]
fn a_tag_with_nothing_behind_it_is_user_data() {
    for (clear, inside, shown) in [
        (ClearVlanTags::One, OUTER.to_vec(), 0),
        (ClearVlanTags::One, [&OUTER[..], &[7]].concat(), 4),
        (ClearVlanTags::Two, [OUTER, INNER].concat(), 4),
        (ClearVlanTags::Two, [&OUTER[..], &INNER, &[7]].concat(), 8),
        (ClearVlanTags::Two, OUTER[..3].to_vec(), 0),
        (ClearVlanTags::Two, OUTER[..1].to_vec(), 0),
    ] {
        for confidentiality in MODES {
            let (mut sender, mut receiver) = pair(confidentiality, clear);
            let frame = common::frame_of(SENDER.mac(), &inside);
            let wire = protect(&mut sender, &frame);
            assert_eq!(wire[12 + shown..12 + shown + 2], [0x88, 0xe5], "{inside:x?}");
            let received = validate(&mut receiver, &wire);
            assert_eq!(received, (ReceiveOutcome::Ok, Some(frame)), "{inside:x?}");
        }
    }
}

/// They are not authenticated: a carrier may change them, and so may an attacker. That is what it costs.
#[test]
fn tags_in_clear_may_be_changed_or_taken_away_on_the_wire() {
    for confidentiality in MODES {
        let (mut sender, mut receiver) = pair(confidentiality, ClearVlanTags::Two);
        let inside = [&OUTER[..], &INNER, &common::user_data(100)].concat();
        let frame = common::frame_of(SENDER.mac(), &inside);

        let mut other_vid = protect(&mut sender, &frame);
        other_vid[15] ^= 0xff;
        let mut expected = frame.clone();
        expected[15] ^= 0xff;
        let received = validate(&mut receiver, &other_vid);
        assert_eq!(received, (ReceiveOutcome::Ok, Some(expected)));

        let mut untagged = protect(&mut sender, &frame);
        untagged.drain(12..16);
        let mut expected = frame.clone();
        expected.drain(12..16);
        let received = validate(&mut receiver, &untagged);
        assert_eq!(received, (ReceiveOutcome::Ok, Some(expected)));

        // All the rest is.
        for at in (0..12).chain(20..untagged.len()) {
            let mut changed = protect(&mut sender, &frame);
            changed[at] ^= 1;
            let (outcome, delivered) = validate(&mut receiver, &changed);
            assert!(!outcome.is_delivered(), "{at}: {outcome}");
            assert_eq!(delivered, None);
        }
    }
}

/// A discarded frame keeps its tags in their place too: they are put back whatever the verdict.
#[test]
fn a_forged_frame_is_given_back_with_its_tags_in_place() {
    let (mut sender, mut receiver) = pair(common::ENCRYPT, ClearVlanTags::Two);
    let inside = [&OUTER[..], &INNER, &common::user_data(100)].concat();
    let frame = common::frame_of(SENDER.mac(), &inside);
    let mut wire = protect(&mut sender, &frame);
    *wire.last_mut().expect("an ICV") ^= 1;
    let verdict = receiver.validate(wire.clone());
    assert_eq!(verdict.outcome(), ReceiveOutcome::NotValid);
    let buffer = verdict.into_buffer();
    assert_eq!(buffer[..36], wire[..36]);
    assert!(buffer[36..136].iter().all(|octet| *octet == 0));
}

#[test]
fn more_tags_than_allowed_hide_the_sectag() {
    let (mut sender, _) = pair(common::ENCRYPT, ClearVlanTags::Two);
    let inside = [&OUTER[..], &INNER, &common::user_data(100)].concat();
    let wire = protect(&mut sender, &common::frame_of(SENDER.mac(), &inside));
    for (clear, expected) in [
        (ClearVlanTags::None, ReceiveOutcome::NoTag),
        (ClearVlanTags::One, ReceiveOutcome::NoTag),
        (ClearVlanTags::Two, ReceiveOutcome::Ok),
    ] {
        let (_, mut receiver) = pair(common::ENCRYPT, clear);
        assert_eq!(outcome(&mut receiver, &wire), expected, "{clear:?}");
    }
}

#[test]
fn the_source_address_before_the_tags_makes_an_end_stations_sci() {
    let raw = RawFrame {
        tci_an: 0x4c,
        clear_tags: [OUTER, INNER].concat(),
        ..RawFrame::new(CipherSuite::GcmAes128, true, 1, &common::user_data(80))
    };
    let wire = raw.build();
    let parsed = Parsed::new(wire.clone(), ClearVlanTags::Two);
    assert_eq!(parsed.sectag().map(|tag| tag.sci), Some(TagSci::EndStation));
    let (_, mut receiver) = pair(common::ENCRYPT, ClearVlanTags::Two);
    let received = validate(&mut receiver, &wire);
    assert_eq!(received, (ReceiveOutcome::Ok, Some(raw.plain())));
    let foreign = RawFrame { source: common::STRANGER.mac(), ..raw };
    let unknown = ReceiveOutcome::NoSaError(MissingSa::UnknownSci);
    assert_eq!(outcome(&mut receiver, &foreign.build()), unknown);
}

#[test]
fn the_limit_of_the_common_port_counts_tags_in_clear() {
    let link = Link::new(CipherSuite::GcmAes128, common::ENCRYPT);
    let inside = [&OUTER[..], &common::user_data(100)].concat();
    let frame = common::frame_of(SENDER.mac(), &inside);
    let mut config = in_clear(ClearVlanTags::One);
    config.max_frame_octets = frame.len() + 32;
    assert!(common::try_protect(&mut link.sender(config), &frame).is_ok());
    config.max_frame_octets -= 1;
    let mut sender = link.sender(config);
    let refused = common::try_protect(&mut sender, &frame);
    assert_eq!(refused, Err(macsec::ProtectError::TooLong));
    let counted = counters(|c| c.generation.out_pkts_too_long = 1);
    assert_eq!(sender.counters(), counted);
}

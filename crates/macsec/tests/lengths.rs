//! Every length rule of 802.1AE clauses 9.7 and 9.12, on both sides of its border.

mod common;

use common::{Link, RawFrame, SENDER, VecSecY, config, frame_of, outcome, user_data, validate};
use macsec::{
    CipherSuite, ClearVlanTags, FrameBuf, HEADROOM, ProtectError, ReceiveOutcome, SecTagError,
    TAILROOM,
};

const SUITE: CipherSuite = CipherSuite::GcmAes256;
const ICV: usize = 16;

/// With the SCI in the tag, and with `ES` instead.
const TCI: [(u8, usize); 2] = [(0x2c, 16), (0x4c, 8)];

const CLEAR: [(ClearVlanTags, &[u8]); 3] = [
    (ClearVlanTags::None, &[]),
    (ClearVlanTags::One, &[0x81, 0, 0, 9]),
    (ClearVlanTags::Two, &[0x88, 0xa8, 0, 8, 0x81, 0, 0, 9]),
];

fn bad(error: SecTagError) -> ReceiveOutcome {
    ReceiveOutcome::BadTag(error)
}

fn receiver(clear: ClearVlanTags) -> VecSecY {
    let link = Link::new(SUITE, common::ENCRYPT);
    link.receiver(config(|config| {
        config.clear_vlan_tags = clear;
        config.replay_window = 100; // The same PN, again and again.
    }))
}

fn raw(tci_an: u8, clear_tags: &[u8], len: usize) -> RawFrame {
    let mut raw = RawFrame::new(SUITE, true, 1, &user_data(len));
    raw.tci_an = tci_an;
    raw.clear_tags = clear_tags.to_vec();
    raw
}

#[test]
fn sl_is_the_length_below_48_and_zero_from_there_on() {
    for len in (1..=70).chain([1500, 9000]) {
        let mut sender = Link::new(SUITE, common::ENCRYPT).sender(config(|_| {}));
        let sent = common::protect(&mut sender, &common::user_frame(len));
        let sl = if len < 48 { len as u8 } else { 0 };
        assert_eq!(sent[15], sl, "{len}");
        assert_eq!(sent.len(), 12 + 8 + len + ICV);
    }
}

/// Valid frames whose SL field says anything at all: only the right value is accepted.
#[test]
fn of_all_sl_values_only_the_right_one_is_accepted() {
    for (clear, tags) in CLEAR {
        let mut secy = receiver(clear);
        for (tci_an, tag_len) in TCI {
            for len in [1, 2, 23, 24, 46, 47, 48, 49, 63, 64, 200] {
                for sl in 0..=u8::MAX {
                    let mut frame = raw(tci_an, tags, len);
                    frame.sl = sl;
                    let wire = frame.build();
                    let (whole, stated) = (wire.len(), usize::from(sl));
                    let expected = if sl & 0xc0 != 0 {
                        bad(SecTagError::ReservedBits)
                    } else if sl >= 48 {
                        bad(SecTagError::ShortLengthRange)
                    } else if sl == 0 && len < 48 {
                        bad(SecTagError::TooShort)
                    } else if sl == 0 || stated == len {
                        ReceiveOutcome::Ok
                    } else if stated > len {
                        bad(SecTagError::TooShort)
                    } else if whole > 60 {
                        bad(SecTagError::TooLong)
                    } else {
                        // Looks padded. The ICV is not where SL says.
                        ReceiveOutcome::NotValid
                    };
                    let what = format!("{clear:?} tag {tag_len} data {len} SL {sl}");
                    assert_eq!(outcome(&mut secy, &wire), expected, "{what}");
                }
            }
        }
    }
}

/// Each right frame made one octet shorter and one longer.
#[test]
fn one_octet_short_and_one_octet_long_are_bad_tags() {
    for (clear, tags) in CLEAR {
        let mut secy = receiver(clear);
        for (tci_an, _) in TCI {
            for len in 1..=60 {
                let frame = raw(tci_an, tags, len);
                let wire = frame.build();
                let received = validate(&mut secy, &wire);
                assert_eq!(received, (ReceiveOutcome::Ok, Some(frame.plain())), "{len}");

                let short = outcome(&mut secy, &wire[..wire.len() - 1]);
                // From 49 octets on the length is not on the wire: the ICV has to tell.
                let expected =
                    if len > 48 { ReceiveOutcome::NotValid } else { bad(SecTagError::TooShort) };
                assert_eq!(short, expected, "{clear:?} {len}");

                let mut long = wire;
                long.push(0);
                let (outcome, delivered) = validate(&mut secy, &long);
                if len >= 48 {
                    assert_eq!(outcome, ReceiveOutcome::NotValid, "{len}");
                } else if long.len() > 60 {
                    assert_eq!(outcome, bad(SecTagError::TooLong), "{len}");
                } else {
                    assert_eq!(outcome, ReceiveOutcome::Ok, "{len}");
                    assert_eq!(delivered, Some(frame.plain()), "{len}");
                }
            }
        }
    }
}

#[test]
fn padding_is_stripped_up_to_60_octets_of_frame_and_refused_beyond() {
    for (clear, tags) in CLEAR {
        let mut secy = receiver(clear);
        for (tci_an, _) in TCI {
            for len in 1..=24 {
                let frame = raw(tci_an, tags, len);
                let wire = frame.build();
                for total in wire.len()..=70 {
                    for filling in [0x00, 0xff] {
                        let mut padded = wire.clone();
                        padded.resize(total, filling);
                        let received = validate(&mut secy, &padded);
                        let expected = if total <= 60 || total == wire.len() {
                            (ReceiveOutcome::Ok, Some(frame.plain()))
                        } else {
                            (bad(SecTagError::TooLong), None)
                        };
                        assert_eq!(received, expected, "{clear:?} {len} in {total}");
                    }
                }
            }
        }
    }
}

/// 24 octets of overhead without SCI, 32 with it, and one of data.
#[test]
fn the_shortest_frame_of_all_has_one_octet_of_data() {
    for (tci_an, tag_len) in TCI {
        let frame = raw(tci_an, &[], 1);
        let wire = frame.build();
        assert_eq!(wire.len(), 12 + tag_len + 1 + ICV);
        let mut secy = receiver(ClearVlanTags::None);
        let received = validate(&mut secy, &wire);
        assert_eq!(received, (ReceiveOutcome::Ok, Some(frame.plain())));
        // No data at all, with a valid ICV: SL is 0, which says 48 or more.
        let empty = raw(tci_an, &[], 0).build();
        assert_eq!(outcome(&mut secy, &empty), bad(SecTagError::TooShort));
    }
}

#[test]
fn a_frame_cut_anywhere_in_its_first_52_octets_is_discarded_for_its_length() {
    for (clear, tags) in CLEAR {
        let mut secy = receiver(clear);
        for (tci_an, tag_len) in TCI {
            for len in [30, 100] {
                let wire = raw(tci_an, tags, len).build();
                let at = 12 + tags.len();
                for cut in 0..=at + 40 {
                    let received = validate(&mut secy, &wire[..cut]);
                    let expected = if cut < 14 {
                        ReceiveOutcome::Runt
                    } else if cut < at + 2 {
                        // What is left ends in a clear VLAN tag: no SecTAG to be seen.
                        ReceiveOutcome::NoTag
                    } else if cut < at + tag_len {
                        bad(SecTagError::Truncated)
                    } else {
                        bad(SecTagError::TooShort)
                    };
                    assert_eq!(received, (expected, None), "{clear:?} {len} cut at {cut}");
                }
            }
        }
    }
}

#[test]
fn frames_of_no_more_than_addresses_are_refused_and_spend_nothing_but_a_pn() {
    let mut sender = Link::new(SUITE, common::ENCRYPT).sender(config(|_| {}));
    for len in 0..=12 {
        let frame = vec![2; len];
        let refused = common::try_protect(&mut sender, &frame);
        assert_eq!(refused, Err(ProtectError::Runt), "{len}");
    }
    let expected = common::counters(|c| c.local.out_caller_error = 13);
    assert_eq!(sender.counters(), expected);
    let sent = common::protect(&mut sender, &frame_of(SENDER.mac(), &[7]));
    assert_eq!(sent.len(), 12 + 8 + 1 + ICV);
}

#[test]
fn room_is_asked_for_to_the_octet() {
    let frame = common::user_frame(100);
    for (before, after, expected) in [
        (HEADROOM, TAILROOM, None),
        (HEADROOM - 1, TAILROOM, Some(ProtectError::NoHeadroom)),
        (0, TAILROOM, Some(ProtectError::NoHeadroom)),
        (HEADROOM, TAILROOM - 1, Some(ProtectError::NoTailroom)),
        (HEADROOM, 0, Some(ProtectError::NoTailroom)),
    ] {
        let mut sender = Link::new(SUITE, common::ENCRYPT).sender(config(|config| {
            config.always_include_sci = true;
        }));
        let buffer = [&vec![0; before][..], &frame, &vec![0; after]].concat();
        let range = before..before + frame.len();
        let buf = FrameBuf::new(buffer, range.clone()).expect("inside");
        match (sender.protect(buf), expected) {
            (Ok(sent), None) => assert_eq!(sent.range(), 0..frame.len() + HEADROOM + TAILROOM),
            (Err(refused), Some(error)) => {
                assert_eq!(refused.error, error);
                assert_eq!(refused.frame.range(), range);
                assert_eq!(refused.frame.octets(), frame);
                assert_eq!(sender.counters().local.out_caller_error, 1);
            }
            (result, _) => panic!("{before} {after}: {result:?}"),
        }
    }
}

#[test]
fn the_common_ports_limit_counts_the_protected_frame_to_the_octet() {
    for (sci_in_tag, overhead) in [(true, 32), (false, 24)] {
        let frame = common::user_frame(1500);
        for (limit, fits) in [(frame.len() + overhead, true), (frame.len() + overhead - 1, false)] {
            let mut sender = Link::new(SUITE, common::ENCRYPT).sender(config(|config| {
                config.always_include_sci = sci_in_tag;
                config.max_frame_octets = limit;
            }));
            let sent = common::try_protect(&mut sender, &frame);
            assert_eq!(sent.as_ref().map(Vec::len).ok(), fits.then_some(limit));
            let expected = common::counters(|c| {
                if fits {
                    c.transmit_sc.out_pkts_encrypted = 1;
                    c.generation.out_octets_encrypted = 1500;
                } else {
                    c.generation.out_pkts_too_long = 1;
                }
            });
            assert_eq!(sender.counters(), expected);
            // The packet number is spent either way.
            let sa = sender.transmit_sa(common::an(0)).expect("the SA");
            assert_eq!(sa.next_pn, Some(2));
        }
    }
}

#[test]
fn a_range_outside_its_buffer_gives_the_buffer_back() {
    let reversed = std::ops::Range { start: 5, end: 4 };
    for range in [0..11, 11..11, reversed, 11..12] {
        let result = FrameBuf::new(vec![0; 10], range.clone());
        assert!(matches!(&result, Err(buffer) if buffer.len() == 10), "{range:?}");
    }
    assert!(FrameBuf::new(vec![0; 10], 10..10).is_ok());
}

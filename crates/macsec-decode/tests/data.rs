//! Frames of every form that the SecY sends are opened, and those that break a rule are told.

mod common;

use common::{A, B, Decoder, ENCRYPT, Sending, distributed, frame, plain};
use macsec::{
    CipherSuite, ClearVlanTags, Confidentiality, ConfidentialityOffset, SecTagError, Ssci,
    TagProtection,
};
use macsec_decode::{BrokenRule, DataVerdict, KnownSak};

const LENGTHS: [usize; 13] = [2, 3, 20, 29, 30, 31, 47, 48, 50, 51, 1000, 1502, 9000];

#[test]
fn every_suite_and_length_with_and_without_encryption() {
    for suite in CipherSuite::ALL {
        for confidentiality in [ENCRYPT, Confidentiality::IntegrityOnly] {
            let mut sender = Sending { confidentiality, ..Sending::new(suite) }.sender(|_| {});
            let mut decoder = Decoder::new([distributed(suite, 1, 0, 1)]);
            for (pn, len) in (1..).zip(LENGTHS) {
                let plain = plain(A.mac(), len);
                let found = decoder.opens(&sender.seal(&plain), &plain);
                assert_eq!((found.pn, found.sci, found.sak), (pn, Some(A), Some(0)));
                assert!(!found.replayed && !found.late && !found.pn_searched);
                assert!(!found.sci_guessed);
                assert_eq!(found.ssci, suite.is_xpn().then_some(Ssci(2)));
                let encrypted = found.tag.expect("a tag").protection == TagProtection::Encrypted;
                assert_eq!(encrypted, confidentiality == ENCRYPT);
            }
            let [row] = decoder.opener.rows() else { panic!("one SA") };
            let frames = LENGTHS.len() as u64;
            assert_eq!((row.counts.frames, row.counts.ok), (frames, frames));
            assert_eq!((row.first_pn, row.highest_pn), (Some(1), Some(frames)));
            assert_eq!(row.counts, *decoder.opener.totals());
        }
    }
}

#[test]
fn confidentiality_offsets() {
    for suite in [CipherSuite::GcmAes128, CipherSuite::GcmAes256] {
        for offset in [ConfidentialityOffset::Thirty, ConfidentialityOffset::Fifty] {
            let confidentiality = Confidentiality::Encrypt(offset);
            let mut sender = Sending { confidentiality, ..Sending::new(suite) }.sender(|_| {});
            let known = KnownSak { offset, ..distributed(suite, 1, 0, 1) };
            let mut decoder = Decoder::new([known]);
            for len in LENGTHS {
                let plain = plain(A.mac(), len);
                decoder.opens(&sender.seal(&plain), &plain);
            }
        }
    }
}

#[test]
fn the_sci_of_an_end_station_is_its_address() {
    let suite = CipherSuite::GcmAes128;
    let mut sender = Sending::new(suite).sender(|config| {
        config.always_include_sci = false;
        config.use_es = true;
    });
    let mut decoder = Decoder::new([distributed(suite, 1, 0, 1)]);
    let plain = plain(A.mac(), 100);
    let found = decoder.opens(&sender.seal(&plain), &plain);
    assert_eq!((found.sci, found.sci_guessed), (Some(A), false));
    // With SCB, Port Identifier 0.
    let sci = macsec::Sci::new(A.mac(), 0);
    let mut sender = Sending { sci, ..Sending::new(suite) }.sender(|config| {
        config.always_include_sci = false;
        (config.use_es, config.use_scb) = (true, true);
    });
    let found = decoder.opens(&sender.seal(&plain), &plain);
    assert_eq!((found.sci, found.sci_guessed), (Some(sci), false));
}

/// A short frame is padded behind its ICV to the 60 octets that Ethernet wants.
#[test]
fn short_frames_are_padded() {
    for use_es in [false, true] {
        let suite = CipherSuite::GcmAesXpn256;
        let mut sender = Sending::new(suite).sender(|config| {
            config.always_include_sci = !use_es;
            config.use_es = use_es;
        });
        let mut decoder = Decoder::new([distributed(suite, 1, 0, 1)]);
        for len in [2, 10, 15] {
            let plain = plain(A.mac(), len);
            let mut sealed = sender.seal(&plain);
            assert!(sealed.len() < 60);
            sealed.resize(60, 0);
            decoder.opens(&sealed, &plain);
            // Nobody pads beyond that.
            sealed.push(0);
            let too_long = DataVerdict::Malformed(SecTagError::TooLong.into());
            assert_eq!(decoder.open(&sealed).verdict, too_long);
        }
    }
}

#[test]
fn vlan_tags_inside_and_in_clear() {
    let suite = CipherSuite::GcmAes256;
    let mut tagged = plain(A.mac(), 80);
    tagged.splice(12..12, [0x88, 0xa8, 0, 7, 0x81, 0x00, 0, 9]);
    for clear in [ClearVlanTags::None, ClearVlanTags::One, ClearVlanTags::Two] {
        for confidentiality in [ENCRYPT, Confidentiality::IntegrityOnly] {
            let sending = Sending { confidentiality, ..Sending::new(suite) };
            let mut sender = sending.sender(|config| config.clear_vlan_tags = clear);
            let mut decoder = Decoder::new([distributed(suite, 1, 0, 1)]);
            let mut sealed = sender.seal(&tagged);
            decoder.opens(&sealed, &tagged);
            if clear == ClearVlanTags::Two {
                // Whoever holds the wire may change them.
                let mut changed = tagged.clone();
                (sealed[15], changed[15]) = (1, 1);
                assert!(decoder.opens(&sealed, &changed).replayed);
            }
        }
    }
}

#[test]
fn whatever_else_is_changed_is_noticed() {
    let suite = CipherSuite::GcmAes128;
    for confidentiality in [ENCRYPT, Confidentiality::IntegrityOnly] {
        let sending = Sending { confidentiality, pn: 6, ..Sending::new(suite) };
        let sealed = sending.sender(|_| {}).seal_some(60);
        for at in 0..sealed.len() {
            let mut decoder = Decoder::new([distributed(suite, 1, 0, 1)]);
            let mut changed = sealed.clone();
            changed[at] ^= if at == 14 { 1 } else { 4 };
            let found = decoder.opener.open(&decoder.book, &frame(&changed, 9), &mut Vec::new());
            let Some(found) = found else {
                assert!(matches!(at, 12 | 13), "the EtherType, not octet {at}");
                continue;
            };
            let expected = match at {
                // Another AN, another SCI.
                14 | 20..28 => DataVerdict::NoKey,
                15 => DataVerdict::Malformed(SecTagError::TooLong.into()),
                _ => DataVerdict::BadIcv,
            };
            assert_eq!(found.verdict, expected, "octet {at}");
            let bad = found.verdict == DataVerdict::BadIcv;
            assert_eq!(found.sak, bad.then_some(0), "octet {at}");
        }
    }
}

#[test]
fn frames_that_break_a_rule_are_told_with_the_rule() {
    let suite = CipherSuite::GcmAes128;
    let mut decoder = Decoder::new([distributed(suite, 1, 0, 1)]);
    let sealed = Sending::new(suite).sender(|_| {}).seal_some(60);
    decoder.open(&sealed);
    let mut malformed = 0;
    let mut check = |change: fn(&mut Vec<u8>), rule: BrokenRule| {
        let mut octets = sealed.clone();
        change(&mut octets);
        assert_eq!(decoder.open(&octets).verdict, DataVerdict::Malformed(rule));
        malformed += 1;
    };
    check(|octets| octets[14] = 0x28, BrokenRule::ReservedTci);
    check(|octets| octets[14] = 0x24, SecTagError::ChangedText.into());
    check(|octets| octets[14] |= 0x80, SecTagError::Version.into());
    check(|octets| octets[14] |= 0x40, SecTagError::SciTwice.into());
    check(|octets| octets[14] |= 0x10, SecTagError::SciTwice.into());
    check(|octets| octets[15] = 0x40, SecTagError::ReservedBits.into());
    check(|octets| octets[15] = 48, SecTagError::ShortLengthRange.into());
    check(|octets| octets[16..20].fill(0), SecTagError::PnZero.into());
    check(|octets| octets.truncate(12 + 16 + 48 + 15), SecTagError::TooShort.into());
    check(|octets| octets.truncate(27), SecTagError::Truncated.into());
    check(|octets| octets.truncate(14), SecTagError::Truncated.into());
    let totals = decoder.opener.totals();
    assert_eq!((totals.frames, totals.ok, totals.malformed), (malformed + 1, 1, malformed));
}

#[test]
fn frames_cut_short_by_the_capture_are_not_called_bad() {
    let suite = CipherSuite::GcmAes128;
    let mut decoder = Decoder::new([distributed(suite, 1, 0, 1)]);
    let mut sender = Sending::new(suite).sender(|_| {});
    let long = sender.seal_some(1000);
    let short = sender.seal_some(10);
    let mut verdict = |octets: &[u8]| {
        let cut = macsec_decode::Frame { whole: false, ..frame(octets, 1) };
        let found = decoder.opener.open(&decoder.book, &cut, &mut decoder.clear);
        found.map(|found| found.verdict)
    };
    for len in 14..long.len() {
        assert_eq!(verdict(&long[..len]), Some(DataVerdict::CutShort), "{len}");
    }
    for len in 14..short.len() {
        assert_eq!(verdict(&short[..len]), Some(DataVerdict::CutShort), "{len}");
    }
    // SL tells where its ICV is: only padding was cut.
    assert_eq!(verdict(&short), Some(DataVerdict::Ok));
    assert_eq!(verdict(&long[..13]), None);
}

#[test]
fn replayed_and_late_frames_are_opened_and_marked() {
    let suite = CipherSuite::GcmAes128;
    let mut sender = Sending::new(suite).sender(|_| {});
    let frames: Vec<_> = (0..10).map(|_| sender.seal_some(100)).collect();
    let mut decoder = Decoder::new([distributed(suite, 1, 0, 1)]);
    let marks = [0, 1, 4, 2, 2, 4, 0, 5, 9, 3].map(|at: usize| {
        let found = decoder.open(&frames[at]);
        assert_eq!(found.verdict, DataVerdict::Ok);
        (found.pn, found.replayed, found.late)
    });
    assert_eq!(
        marks,
        [
            (1, false, false),
            (2, false, false),
            (5, false, false),
            (3, false, true),
            (3, true, false),
            (5, true, false),
            (1, true, false),
            (6, false, false),
            (10, false, false),
            (4, false, true),
        ]
    );
    let counts = decoder.opener.rows()[0].counts;
    assert_eq!((counts.ok, counts.replayed, counts.late), (10, 3, 2));
}

#[test]
fn nobody_is_taken_for_another() {
    let suite = CipherSuite::GcmAes128;
    let mut decoder = Decoder::new([distributed(suite, 1, 0, 1)]);
    let mut a = Sending::new(suite).sender(|_| {});
    let mut b = Sending { sci: B, ssci: 1, ..Sending::new(suite) }.sender(|_| {});
    for _ in 0..5 {
        decoder.open(&a.seal_some(70));
        decoder.open(&b.seal(&plain(B.mac(), 70)));
    }
    let rows = decoder.opener.rows();
    let seen: Vec<_> = rows.iter().map(|row| (row.sci, row.counts.ok, row.highest_pn)).collect();
    assert_eq!(seen, [(A, 5, Some(5)), (B, 5, Some(5))]);
}

#[test]
fn what_has_no_sectag_is_not_ours() {
    let mut decoder = Decoder::new([]);
    for octets in [&[][..], &[2; 13], &plain(A.mac(), 100)] {
        assert_eq!(decoder.opener.open(&decoder.book, &frame(octets, 1), &mut Vec::new()), None);
    }
    assert_eq!(decoder.opener.totals().frames, 0);
}

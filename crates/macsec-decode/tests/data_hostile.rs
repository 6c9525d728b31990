//! Whatever frames say: no panic, bounded work, bounded memory, and honest frames are opened still.

mod common;

use common::{A, Decoder, Sending, distributed, frame, plain};
use macsec::{CipherSuite, Sci};
use macsec_decode::{DataVerdict, Frame, KnownSak, Opener};
use proptest::prelude::*;

/// Twelve SAKs of every suite, some with everything about them unknown.
fn many_saks() -> Vec<KnownSak> {
    let saks = CipherSuite::ALL.into_iter().flat_map(|suite| {
        (0..12).map(move |number| {
            let mut known = distributed(suite, number, number % 4, u64::from(number) * 10);
            if number.is_multiple_of(3) {
                known.senders.clear();
            }
            known
        })
    });
    saks.collect()
}

fn is_consistent(opener: &Opener) -> bool {
    let totals = opener.totals();
    let sum = totals.ok + totals.bad + totals.no_key + totals.cut_short + totals.malformed;
    let rows: u64 = opener.rows().iter().map(|row| row.counts.frames).sum();
    sum == totals.frames && rows <= totals.frames
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_octets_are_survived(
        mut octets in prop::collection::vec(any::<u8>(), 0..200),
        tags in 0_usize..3,
        tci in any::<u8>(),
        whole in any::<bool>(),
        at in 0_u64..200,
    ) {
        let ethertype = 12 + 4 * tags;
        if octets.len() >= ethertype + 3 {
            for tag in 0..tags {
                octets[12 + 4 * tag..14 + 4 * tag].copy_from_slice(&[0x81, 0]);
            }
            octets[ethertype..ethertype + 2].copy_from_slice(&[0x88, 0xe5]);
            octets[ethertype + 2] = tci;
        }
        let mut decoder = Decoder::new(many_saks());
        let frame = Frame { whole, ..frame(&octets, at) };
        for _ in 0..2 {
            let found = decoder.opener.open(&decoder.book, &frame, &mut decoder.clear);
            prop_assert!(found.is_none_or(|found| found.verdict != DataVerdict::Ok));
            prop_assert!(decoder.clear.is_empty());
        }
        prop_assert!(is_consistent(&decoder.opener));
    }

    /// Changed frames are never opened to anything but what was sealed.
    #[test]
    fn changed_frames_are_survived(
        suite in prop::sample::select(&CipherSuite::ALL[..]),
        len in 2_usize..200,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
        whole in any::<bool>(),
    ) {
        let plain = plain(A.mac(), len);
        let sealed = Sending::new(suite).sender(|_| {}).seal(&plain);
        let mut changed = sealed.clone();
        for (at, mask) in changes {
            changed[at.index(sealed.len())] ^= mask;
        }
        if let Some(cut) = cut {
            changed.truncate(cut.index(sealed.len()));
        }
        let mut decoder = Decoder::new(many_saks());
        decoder.book.saks.insert(0, distributed(suite, 1, 0, 1));
        let frame = Frame { whole, ..frame(&changed, 50) };
        let found = decoder.opener.open(&decoder.book, &frame, &mut decoder.clear);
        if found.is_some_and(|found| found.verdict == DataVerdict::Ok) {
            prop_assert_eq!(&changed, &sealed);
            prop_assert_eq!(&decoder.clear, &plain);
        } else if changed == sealed && whole {
            prop_assert!(false, "{:?}", found);
        }
        prop_assert!(is_consistent(&decoder.opener));
    }
}

/// A frame of an SCI and source address of its own.
fn noise(number: u32) -> Vec<u8> {
    let mut octets = vec![0x5a; 100];
    octets[8..12].copy_from_slice(&number.to_be_bytes());
    octets[12..14].copy_from_slice(&[0x88, 0xe5]);
    octets[14..16].copy_from_slice(&[if number.is_multiple_of(2) { 0x2c } else { 0x0c }, 0]);
    octets[22..26].copy_from_slice(&number.to_be_bytes());
    octets
}

/// Every frame is from somebody else, and none is under a key that is known.
#[test]
fn noise_takes_no_room_from_honest_senders() {
    let suite = CipherSuite::GcmAesXpn128;
    let mut known = distributed(suite, 1, 0, 1);
    for number in 0..30 {
        let mut sender = known.senders[0].clone();
        sender.sci = Sci([2, 7, 0, 0, 0, 0, 0, number]);
        known.senders.push(sender);
    }
    let mut decoder = Decoder::new([known]);
    for number in 0..20_000 {
        assert_ne!(decoder.open(&noise(number)).verdict, DataVerdict::Ok);
    }
    let rows = decoder.opener.rows().len();
    assert!(rows <= 4096, "{rows}");
    let mut sender = Sending::new(suite).sender(|_| {});
    for pn in 1..=3 {
        let found = decoder.open(&sender.seal_some(100));
        assert_eq!((found.verdict, found.pn), (DataVerdict::Ok, pn));
        assert_eq!(found.row, Some(rows));
    }
    assert!(is_consistent(&decoder.opener));
}

/// Somebody who has the key can have any number of SCIs. All is opened; not all is counted apart.
#[test]
fn senders_beyond_bounds_are_opened_all_the_same() {
    let suite = CipherSuite::GcmAes128;
    let mut decoder = Decoder::new([distributed(suite, 1, 0, 1)]);
    let sci = |number: u16| Sci::new(macsec::MacAddress([2, 5, 0, 0, 0, 0]), number);
    for _ in 0..2 {
        for number in 0..5000 {
            let mut sender = Sending { sci: sci(number), ..Sending::new(suite) }.sender(|_| {});
            let found = decoder.open(&sender.seal_some(20));
            assert_eq!(found.verdict, DataVerdict::Ok);
            assert_eq!(found.row.is_some(), number < 4096, "{number}");
        }
    }
    assert_eq!(decoder.opener.rows().len(), 4096);
    let totals = decoder.opener.totals();
    assert_eq!((totals.ok, totals.replayed), (10_000, 4096));
}

/// The dearest thing there is to ask for: every SAK is of an XPN suite, and nobody's SSCI is known.
#[test]
fn what_is_tried_in_vain_is_bounded() {
    let suite = CipherSuite::GcmAesXpn256;
    let saks = (0..64).map(|number| {
        let mut known = distributed(suite, number, 0, number.into());
        known.senders.clear();
        known
    });
    let mut decoder = Decoder::new(saks);
    let start = std::time::Instant::now();
    for number in 0..2_000 {
        let mut octets = noise(number);
        octets.resize(1500, 0);
        decoder.open(&octets);
    }
    // Without bounds it would be 2,000 times 20,000 attempts: many minutes.
    let took = start.elapsed();
    assert!(took.as_secs() < 120, "{took:?}");
}

//! What a frame does not tell is found: the SCI, the SAK among several, the upper half of the PN,
//! the SSCI.

mod common;

use std::time::Duration;

use common::{A, B, Decoder, SALT, STRANGER, Sending, distributed, frame, plain, sak, seconds};
use macsec::{CipherSuite, MacAddress, Ssci};
use macsec_decode::{DataVerdict, Given, GivenSa, KnownSak, Opener, SakBook};

const XPN: CipherSuite = CipherSuite::GcmAesXpn128;
const SUITE: CipherSuite = CipherSuite::GcmAes128;

fn given(sending: Sending) -> GivenSa {
    let is_xpn = sending.suite.is_xpn();
    GivenSa {
        sci: sending.sci,
        an: common::an(sending.sa),
        suite: sending.suite,
        sak: sak(sending.suite, sending.key),
        ssci: is_xpn.then_some(Ssci(sending.ssci)),
        salt: is_xpn.then_some(SALT),
        offset: Default::default(),
        pn: 1,
    }
}

fn with_given(sas: impl IntoIterator<Item = GivenSa>) -> Decoder {
    let given = Given { cas: Vec::new(), sas: sas.into_iter().collect() };
    Decoder { book: SakBook::of_given(&given), ..Decoder::new([]) }
}

#[test]
fn without_an_sci_it_is_one_of_those_who_send() {
    for suite in [SUITE, XPN] {
        for use_scb in [false, true] {
            let mut sender = Sending::new(suite).sender(|config| {
                config.always_include_sci = false;
                config.use_scb = use_scb;
            });
            let mut decoder = Decoder::new([distributed(suite, 1, 0, 1)]);
            // Its own address, and those of stations behind it.
            for source in [A.mac(), MacAddress([2, 9, 9, 9, 9, 1]), MacAddress([2, 9, 9, 9, 9, 2])]
            {
                for _ in 0..3 {
                    let plain = plain(source, 100);
                    let found = decoder.opens(&sender.seal(&plain), &plain);
                    assert_eq!((found.sci, found.sci_guessed), (Some(A), true));
                }
            }
            let [row] = decoder.opener.rows() else { panic!("one SC") };
            assert_eq!((row.sci_guessed, row.counts.ok, row.highest_pn), (true, 9, Some(9)));
        }
    }
}

/// Some leave out the SCI and ES both, though nobody knows them but by their address.
#[test]
fn without_an_sci_it_may_be_the_address() {
    let mut decoder = Decoder::new([distributed(SUITE, 1, 0, 1)]);
    let mut sender = Sending { sci: STRANGER, ..Sending::new(SUITE) }
        .sender(|config| config.always_include_sci = false);
    let plain = plain(STRANGER.mac(), 100);
    assert_eq!(decoder.opens(&sender.seal(&plain), &plain).sci, Some(STRANGER));
}

#[test]
fn without_an_sci_every_given_sa_is_tried() {
    let all = [(A, 3), (B, 7), (STRANGER, 9)];
    let sendings = all.map(|(sci, key)| Sending { sci, key, ..Sending::new(SUITE) });
    let mut decoder = with_given(sendings.map(given));
    let source = MacAddress([2, 9, 9, 9, 9, 9]);
    for (at, sending) in sendings.into_iter().enumerate() {
        let mut sender = sending.sender(|config| config.always_include_sci = false);
        let plain = plain(source, 100);
        let found = decoder.opens(&sender.seal(&plain), &plain);
        assert_eq!((found.sak, found.sci), (Some(at), Some(sending.sci)));
    }
}

/// MKA and captures tell nothing of these; the user knows the SAK.
#[test]
fn a_given_sa_is_that_of_its_sender() {
    let mut decoder = with_given([given(Sending::new(SUITE))]);
    decoder.open(&Sending::new(SUITE).sender(|_| {}).seal_some(90));
    let mut other = Sending { sci: B, ..Sending::new(SUITE) }.sender(|_| {});
    assert_eq!(decoder.open(&other.seal_some(90)).verdict, DataVerdict::NoKey);
    let mut wrong = Sending { key: 2, ..Sending::new(SUITE) }.sender(|_| {});
    let found = decoder.open(&wrong.seal_some(90));
    assert_eq!((found.verdict, found.sak), (DataVerdict::BadIcv, Some(0)));
}

#[test]
fn pns_of_xpn_pass_2_to_the_32() {
    let sending = Sending { pn: (1 << 32) - 5, ..Sending::new(XPN) };
    let mut sender = sending.sender(|_| {});
    let frames: Vec<_> = (0..10).map(|_| sender.seal_some(100)).collect();
    let mut decoder = Decoder::new([distributed(XPN, 1, 0, 1)]);
    // Out of order about the wrap as well.
    for at in [0, 1, 2, 5, 4, 3, 6, 9, 8, 7] {
        let found = decoder.open(&frames[at]);
        assert_eq!((found.verdict, found.pn), (DataVerdict::Ok, sending.pn + at as u64));
        assert!(!found.pn_searched);
    }
    let row = &decoder.opener.rows()[0];
    assert_eq!((row.first_pn, row.highest_pn), (Some(sending.pn), Some(sending.pn + 9)));
    assert_eq!((row.counts.ok, row.counts.late), (10, 4));
}

#[test]
fn the_upper_half_is_near_what_mka_told_then() {
    let mut known = distributed(XPN, 1, 0, 1);
    known.senders[0].lowest_pns =
        vec![(seconds(10), 5), (seconds(20), 40 << 32), (seconds(30), 900 << 32)];
    let mut decoder = Decoder::new([known]);
    for (at, upper) in [(19, 40), (31, 900), (11, 0)] {
        let pn = (upper << 32) + 77;
        let sealed = Sending { pn, ..Sending::new(XPN) }.sender(|_| {}).seal_some(99);
        // Whether frames before it say otherwise or there were none.
        for searched in [at != 19, false] {
            let found = decoder.open_at(&sealed, at);
            assert_eq!((found.verdict, found.pn), (DataVerdict::Ok, pn));
            assert_eq!(found.pn_searched, searched);
            if searched {
                decoder.opener = Opener::new();
            }
        }
        decoder.open_at(&sealed, at);
    }
}

#[test]
fn the_upper_half_is_searched_and_remembered() {
    for upper in [0_u64, 1, 9, 16] {
        let mut sender = Sending { pn: (upper << 32) + 7, ..Sending::new(XPN) }.sender(|_| {});
        let mut decoder = Decoder::new([distributed(XPN, 1, 0, 1)]);
        let searched = [(); 3].map(|()| {
            let plain = plain(A.mac(), 100);
            decoder.opens(&sender.seal(&plain), &plain).pn_searched
        });
        assert_eq!(searched, [upper != 0, false, false]);
    }
    let mut sender = Sending { pn: 17 << 32, ..Sending::new(XPN) }.sender(|_| {});
    let mut decoder = Decoder::new([distributed(XPN, 1, 0, 1)]);
    assert_eq!(decoder.open(&sender.seal_some(100)).verdict, DataVerdict::BadIcv);
}

/// The capture misses more than 2^31 frames.
#[test]
fn the_upper_half_is_found_again_after_a_gap() {
    let mut decoder = Decoder::new([distributed(XPN, 1, 0, 1)]);
    for pn in [5, 3 << 32, (3 << 32) + 1, 19 << 32, 35 << 32, (2 << 32) + 1] {
        let mut sender = Sending { pn, ..Sending::new(XPN) }.sender(|_| {});
        let found = decoder.open(&sender.seal_some(100));
        assert_eq!((found.verdict, found.pn), (DataVerdict::Ok, pn));
    }
    assert_eq!(decoder.opener.rows().len(), 1);
}

#[test]
fn the_ssci_is_searched_and_remembered() {
    for (ssci, in_clear) in [(1, false), (5, true), (32, false)] {
        let sending = Sending { ssci, pn: 4 << 32, ..Sending::new(XPN) };
        let mut decoder = with_given([GivenSa { ssci: None, ..given(sending) }]);
        let mut sender = sending.sender(|config| config.always_include_sci = in_clear);
        for place in 0..3 {
            let plain = plain(A.mac(), 100);
            let found = decoder.opens(&sender.seal(&plain), &plain);
            assert_eq!((found.ssci, found.sci), (Some(Ssci(ssci)), Some(A)));
            assert_eq!(found.pn_searched, place == 0);
        }
    }
    let sending = Sending { ssci: 33, ..Sending::new(XPN) };
    let mut decoder = with_given([GivenSa { ssci: None, ..given(sending) }]);
    let found = decoder.open(&sending.sender(|_| {}).seal_some(100));
    assert_eq!(found.verdict, DataVerdict::BadIcv);
}

/// The members were not all heard, so that the SSCIs are not known.
#[test]
fn the_ssci_of_an_unheard_member_is_searched() {
    let mut known = distributed(XPN, 1, 0, 1);
    known.senders.clear();
    let mut decoder = Decoder::new([known]);
    let found = decoder.open(&Sending::new(XPN).sender(|_| {}).seal_some(100));
    assert_eq!((found.verdict, found.ssci), (DataVerdict::Ok, Some(Ssci(2))));
}

#[test]
fn xpn_without_a_salt_opens_nothing() {
    let known = KnownSak { salt: None, ..distributed(XPN, 1, 0, 1) };
    let mut decoder = Decoder::new([known]);
    let found = decoder.open(&Sending::new(XPN).sender(|_| {}).seal_some(100));
    assert_eq!(found.verdict, DataVerdict::BadIcv);
}

/// Nine SAKs in turn under AN 2, one a minute, with frames before and after their time.
#[test]
fn saks_of_one_an_are_told_apart() {
    for suite in [SUITE, XPN] {
        let saks = (1..=9).map(|key| distributed(suite, key, 2, u64::from(key) * 60));
        let mut decoder = Decoder::new(saks);
        let mut senders: Vec<_> = (1..=9)
            .map(|key| Sending { key, sa: 2, ..Sending::new(suite) }.sender(|_| {}))
            .collect();
        let mut frames = 0;
        for (key, minutes) in [
            // In its time, and both neighbours.
            (1, 1),
            (2, 1),
            (2, 2),
            (1, 2),
            (5, 5),
            (4, 5),
            (5, 5),
            (6, 5),
            (5, 5),
            // Far from it.
            (9, 0),
            (1, 12),
            (9, 3),
            (3, 8),
            (7, 0),
        ] {
            let found = decoder.open_at(&senders[key - 1].seal_some(80), minutes * 60 + 20);
            assert_eq!((found.verdict, found.sak), (DataVerdict::Ok, Some(key - 1)));
            assert!(!found.replayed && !found.late);
            frames += 1;
        }
        assert_eq!(decoder.opener.totals().ok, frames);
        let rows = decoder.opener.rows();
        assert!(rows.iter().all(|row| row.counts.frames == row.counts.ok));
        assert_eq!(rows.iter().map(|row| row.counts.ok).sum::<u64>(), frames);
    }
}

/// However many frames of a sender could not be opened, those under its next SAK are at once.
#[test]
fn a_new_sak_is_taken_up_after_any_number_of_bad_frames() {
    let saks = [distributed(XPN, 1, 0, 10), distributed(XPN, 2, 0, 50)];
    let mut decoder = Decoder::new(saks);
    let mut first = Sending::new(XPN).sender(|_| {});
    decoder.open_at(&first.seal_some(80), 11);
    let mut bad = first.seal_some(80);
    bad[40] ^= 1;
    for _ in 0..1000 {
        let found = decoder.open_at(&bad, 12);
        assert_eq!((found.verdict, found.sak, found.pn), (DataVerdict::BadIcv, Some(0), 2));
    }
    let mut second = Sending { key: 2, ..Sending::new(XPN) }.sender(|_| {});
    for _ in 0..3 {
        let found = decoder.open_at(&second.seal_some(80), 51);
        assert_eq!((found.verdict, found.sak), (DataVerdict::Ok, Some(1)));
    }
    assert_eq!(decoder.opener.rows()[0].counts.bad, 1000);
}

/// A SAK that was distributed later is not what a frame should have opened with, but may be.
#[test]
fn before_any_sak_there_is_no_key() {
    let mut decoder = Decoder::new([distributed(SUITE, 1, 0, 60)]);
    let mut unknown = Sending { key: 9, ..Sending::new(SUITE) }.sender(|_| {});
    assert_eq!(decoder.open_at(&unknown.seal_some(80), 10).verdict, DataVerdict::NoKey);
    assert_eq!(decoder.open_at(&unknown.seal_some(80), 70).verdict, DataVerdict::BadIcv);
    let mut early = Sending::new(SUITE).sender(|_| {});
    assert_eq!(decoder.open_at(&early.seal_some(80), 10).verdict, DataVerdict::Ok);
    // Another CA on the same wire.
    let mut other = Sending { sci: STRANGER, key: 9, ..Sending::new(SUITE) }.sender(|_| {});
    assert_eq!(decoder.open_at(&other.seal_some(80), 80).verdict, DataVerdict::NoKey);
}

#[test]
fn frames_are_opened_again_once_their_sak_is_known() {
    let mut decoder = Decoder::new([]);
    let mut sender = Sending::new(SUITE).sender(|_| {});
    let frames: Vec<_> = (0..5).map(|_| sender.seal_some(80)).collect();
    let before: Vec<_> = frames.iter().map(|octets| decoder.open(octets)).collect();
    assert_eq!(decoder.opener.totals().no_key, 5);
    let again = |decoder: &mut Decoder, at: usize| {
        let Decoder { opener, book, clear } = decoder;
        opener.reopen(book, &frame(&frames[at], 100), &before[at], clear).expect("has a SecTAG")
    };
    // Still not.
    assert_eq!(again(&mut decoder, 0).verdict, DataVerdict::NoKey);
    assert_eq!(decoder.opener.totals().no_key, 5);
    decoder.book.saks.push(distributed(SUITE, 1, 0, 101));
    for at in 0..5 {
        assert_eq!(again(&mut decoder, at).verdict, DataVerdict::Ok);
    }
    let totals = *decoder.opener.totals();
    assert_eq!((totals.frames, totals.ok, totals.no_key), (5, 5, 0));
    let rows = decoder.opener.rows();
    assert_eq!(rows.iter().map(|row| row.counts.frames).collect::<Vec<_>>(), [0, 5]);
}

#[test]
fn senders_that_become_known_later_are_used() {
    let mut known = distributed(XPN, 1, 0, 1);
    let senders = std::mem::take(&mut known.senders);
    let mut decoder = Decoder::new([known]);
    // Nobody has 77 of 32 SSCIs.
    let mut sender = Sending { ssci: 77, ..Sending::new(XPN) }.sender(|_| {});
    let found = decoder.open(&sender.seal_some(80));
    assert_eq!(found.verdict, DataVerdict::NoKey);
    decoder.book.saks[0].senders = senders;
    decoder.book.saks[0].senders[0].ssci = Some(Ssci(77));
    assert_eq!(decoder.open(&sender.seal_some(80)).verdict, DataVerdict::Ok);
}

#[test]
fn rows_tell_when() {
    let mut decoder = Decoder::new([distributed(SUITE, 1, 0, 1)]);
    let mut sender = Sending::new(SUITE).sender(|_| {});
    for at in [30, 20, 50, 40] {
        decoder.open_at(&sender.seal_some(80), at);
    }
    let row = &decoder.opener.rows()[0];
    assert_eq!((row.first_at, row.last_at), (seconds(20), seconds(50)));
    assert_eq!(row.first_at.as_secs_f64(), Duration::from_secs(20).as_secs_f64());
}

#[test]
fn sas_of_one_sak_are_one_entry_of_the_book() {
    let (a, b) = (Sending::new(XPN), Sending { sci: B, ssci: 1, ..Sending::new(XPN) });
    let mut decoder = with_given([given(a), given(b), given(Sending { key: 2, ..a })]);
    let senders: Vec<_> = decoder.book.saks.iter().map(|known| known.senders.len()).collect();
    assert_eq!(senders, [2, 1]);
    for (sending, source, sak) in [(a, A, 0), (b, B, 0), (Sending { key: 2, ..a }, A, 1)] {
        let plain = plain(source.mac(), 80);
        let found = decoder.opens(&sending.sender(|_| {}).seal(&plain), &plain);
        assert_eq!(found.sak, Some(sak));
    }
}

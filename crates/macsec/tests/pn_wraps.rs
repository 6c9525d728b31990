//! Packet numbers at their ends: exhaustion, the wrap of the lower half, windows, the XPN limits.

mod common;

use common::{
    Link, RawFrame, SENDER, VecSecY, an, bare_secy, config, counters, data_key, ki, outcome,
    user_data, user_frame, with_room,
};
use macsec::{
    CipherSuite, ConfigError, InstallError, MAX_XPN_REPLAY_WINDOW, PnState, Portable, ProtectError,
    ReceiveOutcome, SecTagError, ValidateFrames,
};

const LAST_32: u64 = u32::MAX as u64;
const EPOCH: u64 = 1 << 32;
const XPN: CipherSuite = CipherSuite::GcmAesXpn256;
const PLAIN: CipherSuite = CipherSuite::GcmAes128;

fn link(suite: CipherSuite, pn: u64) -> Link {
    Link::new(suite, common::ENCRYPT).at_pn(pn)
}

fn with_window(window: u32) -> macsec::Config {
    config(|config| config.replay_window = window)
}

/// A frame with exactly this packet number, made without a SecY.
fn wire(suite: CipherSuite, pn: u64) -> Vec<u8> {
    RawFrame::new(suite, true, pn, &user_data(60)).build()
}

fn outcomes(secy: &mut VecSecY, suite: CipherSuite, pns: &[u64]) -> Vec<ReceiveOutcome> {
    let wires = pns.iter().map(|pn| wire(suite, *pn));
    wires.map(|wire| outcome(secy, &wire)).collect()
}

use ReceiveOutcome::{Duplicate, Late, NotValid, Ok as Valid};

#[test]
fn a_withheld_pn_is_refused_and_none_is_lost_or_repeated() {
    for suite in CipherSuite::ALL {
        let mut sender = link(suite, 10).sender(config(|_| {}));
        let mut receiver = link(suite, 10).receiver(config(|_| {}));
        let frame = user_frame(60);
        sender.limit_transmit_pn(an(0), ki(1), Some(12)).expect("there");
        let sent = [common::protect(&mut sender, &frame), common::protect(&mut sender, &frame)];
        let withheld = Err(ProtectError::PnWithheld);
        assert_eq!(common::try_protect(&mut sender, &frame), withheld, "{suite}");
        assert!(matches!(sender.reserve(1), Err(ProtectError::PnWithheld)));
        assert_eq!(sender.counters().local.out_pn_withheld, 1);
        assert_eq!(sender.counters().frames_out(), 3);
        let sa = sender.transmit_sa(an(0)).expect("there");
        assert_eq!((sa.next_pn, sa.pn_limit, sa.in_use), (Some(12), Some(12), true));
        let other = sender.limit_transmit_pn(an(0), ki(2), None);
        assert_eq!(other, Err(macsec::LifeCycleError::OtherKey));
        let none = sender.limit_transmit_pn(an(1), ki(1), None);
        assert_eq!(none, Err(macsec::LifeCycleError::NoSuchSa));

        sender.limit_transmit_pn(an(0), ki(1), Some(20)).expect("there");
        let next = common::protect(&mut sender, &frame);
        assert_eq!(next[16..20], 12_u32.to_be_bytes());
        for frame in sent.iter().chain([&next]) {
            assert_eq!(outcome(&mut receiver, frame), Valid, "{suite}");
        }
    }
}

#[test]
fn the_last_pn_of_all_is_sent_and_then_the_sa_has_stopped() {
    for suite in CipherSuite::ALL {
        let max = suite.max_pn();
        let mut sender = link(suite, max - 1).sender(config(|_| {}));
        let mut receiver = link(suite, max - 1).receiver(config(|_| {}));
        let frame = user_frame(60);
        let first = common::protect(&mut sender, &frame);
        let last = common::protect(&mut sender, &frame);
        assert_eq!(last[16..20], u32::MAX.to_be_bytes(), "{suite}");
        for _ in 0..3 {
            let refused = common::try_protect(&mut sender, &frame);
            assert_eq!(refused, Err(ProtectError::PnExhausted), "{suite}");
        }
        assert!(matches!(sender.reserve(1), Err(ProtectError::PnExhausted)));
        let sa = sender.transmit_sa(an(0)).expect("it is still there");
        assert_eq!((sa.in_use, sa.next_pn), (false, None));
        assert_eq!(sender.pn_state(), Some(PnState::Exhausted));
        let counted = counters(|c| {
            c.transmit_sc.out_pkts_encrypted = 2;
            c.generation.out_octets_encrypted = 120;
            c.local.out_pn_exhausted = 3;
        });
        assert_eq!(sender.counters(), counted);

        assert_eq!(outcome(&mut receiver, &first), Valid, "{suite}");
        assert_eq!(outcome(&mut receiver, &last), Valid, "{suite}");
        for replayed in [&first, &last, &last] {
            assert_eq!(outcome(&mut receiver, replayed), Late, "{suite}");
        }
    }
}

#[test]
fn an_exhausted_sa_cannot_be_had_again_with_its_key() {
    for suite in CipherSuite::ALL {
        let link = link(suite, suite.max_pn());
        let mut sender = link.sender(config(|_| {}));
        common::protect(&mut sender, &user_frame(60));
        sender.raise_transmit_next_pn(an(0), suite.max_pn()).expect("in range");
        assert_eq!(sender.pn_state(), Some(PnState::Exhausted));
        sender.delete_transmit_sa(an(0), ki(1)).expect("it is ours");
        let again = sender.install_transmit_sa(&link.transmit_sa());
        assert_eq!(again, Err(InstallError::PnRegress), "{suite}");
    }
}

/// Regression: lowestPN saturates at 2^64 - 1, which made the very last XPN packet number acceptable again
/// after the SA had been deleted and installed anew.
#[test]
fn the_last_pn_of_all_is_not_replayable_by_reinstalling_the_receive_sa() {
    for suite in CipherSuite::ALL {
        let link = link(suite, suite.max_pn());
        let mut receiver = link.receiver(config(|_| {}));
        assert_eq!(outcomes(&mut receiver, suite, &[suite.max_pn()]), [Valid]);
        receiver.delete_receive_sa(SENDER, an(0), ki(1)).expect("it is there");
        let again = receiver.install_receive_sa(SENDER, &link.receive_sa());
        assert_eq!(again, Err(InstallError::PnRegress), "{suite}");
    }
}

#[test]
fn a_block_ends_where_the_packet_numbers_end() {
    for suite in CipherSuite::ALL {
        let mut sender = link(suite, suite.max_pn() - 2).sender(config(|_| {}));
        let mut sent = Vec::new();
        let frames = (0..5).map(|_| with_room(&user_frame(60)));
        sender.protect_batch(frames, |result| sent.push(result.map_err(|r| r.error)));
        let low: Vec<_> =
            sent.iter().map(|s| s.as_ref().map(|s| s.octets()[19]).map_err(|e| *e)).collect();
        let none = Err(ProtectError::PnExhausted);
        assert_eq!(low, [Ok(0xfd), Ok(0xfe), Ok(0xff), none, none], "{suite}");
        assert_eq!(sender.counters().local.out_pn_exhausted, 2);
        assert_eq!(sender.counters().frames_out(), 5);
    }
}

#[test]
fn a_new_sak_is_due_three_quarters_through() {
    for suite in CipherSuite::ALL {
        let due = suite.rekey_pn();
        let mut sender = link(suite, due - 2).sender(config(|_| {}));
        for expected in [PnState::Fresh, PnState::Fresh, PnState::RekeyDue] {
            assert_eq!(sender.pn_state(), Some(expected), "{suite}");
            common::protect(&mut sender, &user_frame(60));
        }
        sender.disable_transmit_sa(an(0)).expect("it is there");
        assert_eq!(sender.pn_state(), None);
        let sa = sender.transmit_sa(an(0)).expect("it is there");
        assert_eq!(sa.pn_state, PnState::RekeyDue);
    }
}

#[test]
fn the_sender_crosses_two_to_the_32_without_a_gap() {
    let mut sender = link(XPN, EPOCH - 3).sender(with_window(0));
    let mut receiver = link(XPN, EPOCH - 3).receiver(with_window(0));
    for pn in EPOCH - 3..EPOCH + 3 {
        let frame = common::protect(&mut sender, &user_frame(60));
        assert_eq!(frame[16..20], (pn as u32).to_be_bytes());
        let raw = RawFrame { tci_an: 0x0c, ..RawFrame::new(XPN, true, pn, &user_data(60)) };
        assert_eq!(frame, raw.build(), "{pn:x}");
        assert_eq!(outcome(&mut receiver, &frame), Valid, "{pn:x}");
        let sa = receiver.receive_sa(SENDER, an(0)).expect("the SA");
        assert_eq!((sa.next_pn, sa.lowest_pn), (pn + 1, pn + 1));
    }
}

#[test]
fn stragglers_and_losses_around_two_to_the_32_are_told_apart() {
    let mut receiver = link(XPN, EPOCH - 100).receiver(with_window(20));
    let pns = [
        EPOCH - 50, // fifty lost
        EPOCH + 5,  // over the wrap, fifty lost
        EPOCH - 1,  // a straggler from before it
        EPOCH - 14, // the last that the window holds: lowestPN is EPOCH + 6 - 20
        EPOCH - 15, // one too old
        EPOCH + 4,
        EPOCH, // the PN field is 0
        EPOCH + 100,
        EPOCH + 81,
        EPOCH + 80,
    ];
    let expected = [Valid, Valid, Valid, Valid, Late, Valid, Valid, Valid, Valid, Late];
    assert_eq!(outcomes(&mut receiver, XPN, &pns), expected);
}

/// An epoch that is over is gone: its old frames read as frames of the next, and those fail.
#[test]
fn a_frame_from_an_epoch_ago_is_not_valid() {
    let mut receiver = link(XPN, 3 * EPOCH).receiver(with_window(1000));
    let pns = [3 * EPOCH + 5, 2 * EPOCH + 50, 4 * EPOCH + 50, 3 * EPOCH + 6];
    let expected = [Valid, NotValid, NotValid, Valid];
    assert_eq!(outcomes(&mut receiver, XPN, &pns), expected);
}

#[test]
fn recovery_works_until_the_sender_is_two_to_the_31_ahead() {
    for lowest in [1, EPOCH - 1, EPOCH + (1 << 31), 7 * EPOCH + 12345] {
        for (ahead, valid) in [
            (0, true),
            ((1 << 31) - 1, true),
            // From here on it depends on which half lowestPN lies in, but none is ever mistaken.
            (EPOCH, false),
            (5 * EPOCH, false),
        ] {
            let mut receiver = link(XPN, lowest).receiver(with_window(0));
            let expected = if valid { Valid } else { NotValid };
            let received = outcomes(&mut receiver, XPN, &[lowest + ahead]);
            assert_eq!(received, [expected], "{lowest:x} + {ahead:x}");
        }
    }
}

#[test]
fn a_receiver_that_restarts_must_be_told_the_lowest_pn() {
    let now = 9 * EPOCH + 77;
    let mut told = link(XPN, now - 10).receiver(with_window(0));
    assert_eq!(outcomes(&mut told, XPN, &[now, now + 1]), [Valid, Valid]);
    // Not told, it fails closed, in Check too.
    for mode in [ValidateFrames::Strict, ValidateFrames::Check] {
        let mut not_told = link(XPN, 1).receiver(config(|config| {
            config.validate_frames = mode;
        }));
        let received = common::validate(&mut not_told, &wire(XPN, now));
        assert_eq!(received, (NotValid, None));
        let sa = not_told.receive_sa(SENDER, an(0)).expect("the SA");
        assert_eq!((sa.next_pn, sa.lowest_pn), (1, 1));
    }
}

#[test]
fn raising_lowest_pn_moves_recovery_and_lateness() {
    let mut receiver = link(XPN, 1).receiver(with_window(100));
    receiver.raise_receive_lowest_pn(SENDER, an(0), 5 * EPOCH).expect("in range");
    receiver.raise_receive_lowest_pn(SENDER, an(0), 4 * EPOCH).expect("lower: no effect");
    let pns = [5 * EPOCH + 3, 5 * EPOCH, 5 * EPOCH + 1];
    assert_eq!(outcomes(&mut receiver, XPN, &pns), [Valid; 3]);
    let sa = receiver.receive_sa(SENDER, an(0)).expect("the SA");
    assert_eq!((sa.next_pn, sa.lowest_pn), (5 * EPOCH + 4, 5 * EPOCH));
}

/// DPDK's example of windows 0 and 32, and windows at their ends.
#[test]
fn the_window_is_as_wide_as_it_says() {
    for suite in CipherSuite::ALL {
        let pns = [0x02, 0x4b, 0x32, 0x03];
        let mut none = link(suite, 1).receiver(with_window(0));
        assert_eq!(outcomes(&mut none, suite, &pns), [Valid, Valid, Late, Late], "{suite}");
        let mut some = link(suite, 1).receiver(with_window(0x20));
        assert_eq!(outcomes(&mut some, suite, &pns), [Valid, Valid, Valid, Late], "{suite}");
        for window in [1, 2, 100, MAX_XPN_REPLAY_WINDOW] {
            let top = u64::from(window) + 1000;
            let lowest = top + 1 - u64::from(window);
            let mut secy = link(suite, 1).receiver(with_window(window));
            let received = outcomes(&mut secy, suite, &[top, lowest - 1, lowest]);
            assert_eq!(received, [Valid, Late, Valid], "{suite} {window}");
        }
    }
    let mut widest = link(PLAIN, 1).receiver(with_window(u32::MAX));
    assert_eq!(outcomes(&mut widest, PLAIN, &[LAST_32, 1, 2]), [Valid, Valid, Valid]);
}

#[test]
fn a_frame_that_fails_moves_neither_window_nor_recovery() {
    for suite in CipherSuite::ALL {
        let mut receiver = link(suite, 1).receiver(with_window(0));
        for pn in [2, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff] {
            let mut forged = wire(suite, pn);
            *forged.last_mut().expect("an ICV") ^= 1;
            assert_eq!(outcome(&mut receiver, &forged), NotValid);
        }
        assert_eq!(outcomes(&mut receiver, suite, &[1, 2]), [Valid, Valid]);
    }
}

#[test]
fn a_pn_field_of_zero_is_legal_with_xpn_only() {
    let zero = wire(PLAIN, 0);
    let mut receiver = link(PLAIN, 1).receiver(with_window(0));
    let bad = ReceiveOutcome::BadTag(SecTagError::PnZero);
    assert_eq!(outcome(&mut receiver, &zero), bad);
    // An XPN key beside it does not make it legal for the SA that has none.
    receiver.install_key(&data_key(XPN, 2)).expect("key");
    assert_eq!(outcome(&mut receiver, &zero), bad);
    assert_eq!(receiver.counters(), counters(|c| c.verification.in_pkts_bad_tag = 2));

    let mut receiver = link(XPN, EPOCH - 1).receiver(with_window(0));
    assert_eq!(outcomes(&mut receiver, XPN, &[EPOCH]), [Valid]);
    // Zero itself is never a PN: below the lowest there is.
    let mut receiver = link(XPN, 1).receiver(with_window(0));
    assert_eq!(outcomes(&mut receiver, XPN, &[0]), [Late]);
}

#[test]
fn a_window_too_wide_for_xpn_is_refused_whichever_comes_first() {
    let too_wide = with_window(MAX_XPN_REPLAY_WINDOW + 1);
    let mut secy = bare_secy(Portable, SENDER, too_wide);
    let error = InstallError::Config(ConfigError::XpnReplayWindow);
    assert_eq!(secy.install_key(&data_key(XPN, 1)), Err(error));
    secy.install_key(&data_key(PLAIN, 1)).expect("no XPN");

    let mut secy = bare_secy(Portable, SENDER, with_window(MAX_XPN_REPLAY_WINDOW));
    secy.install_key(&data_key(XPN, 1)).expect("the limit");
    let before = *secy.config();
    assert_eq!(secy.set_config(too_wide), Err(ConfigError::XpnReplayWindow));
    assert_eq!(*secy.config(), before);
    secy.remove_key(ki(1)).expect("no SA uses it");
    assert_eq!(secy.set_config(too_wide), Ok(()));
}

/// A forged or true frame from the next half of an epoch between others: batches and single calls agree.
#[test]
fn a_batch_over_the_epoch_boundary_equals_single_frames() {
    const HALF: u64 = 1 << 31;
    for start in [HALF - 6, EPOCH - 6, EPOCH + HALF - 6] {
        for window in [0, 4, 1000] {
            let mut pns: Vec<u64> = (start + 1..start + 14).collect();
            pns.swap(5, 8);
            // Far ahead, far behind, and such whose upper half is anybody's guess.
            pns.extend([start + HALF, start + 3, start + 20, start + EPOCH]);
            pns.extend([start + HALF + 1, start + EPOCH + 2, start + 21, start + 2 * HALF]);
            let mut single = link(XPN, start).receiver(with_window(window));
            let mut batch = link(XPN, start).receiver(with_window(window));
            let one_by_one = outcomes(&mut single, XPN, &pns);
            let mut together = Vec::new();
            let wires: Vec<_> = pns.iter().map(|pn| wire(XPN, *pn)).collect();
            batch.validate_batch(wires, |verdict| together.push(verdict.outcome()));
            assert_eq!(one_by_one, together, "{start:x} {window}");
            assert_eq!(single.counters(), batch.counters());
            assert_eq!(single.receive_sa(SENDER, an(0)), batch.receive_sa(SENDER, an(0)));
            assert!(together.iter().filter(|o| **o == Valid).count() > 12);
        }
    }
}

/// What a wide window let in, a narrow one does not, even if no new frame comes: whoever holds the wire
/// could see to that.
#[test]
fn a_window_made_narrower_holds_at_once() {
    for suite in [CipherSuite::GcmAes128, CipherSuite::GcmAesXpn256] {
        let mut receiver = link(suite, 1).receiver(with_window(100_000));
        assert_eq!(outcomes(&mut receiver, suite, &[6000]), [Valid]);
        let narrow = config(|c| {
            c.replay_window = 1024;
            c.detect_duplicates = true;
        });
        receiver.set_config(narrow).expect("they agree");
        let lowest = receiver.receive_sa(SENDER, an(0)).map(|sa| sa.lowest_pn);
        assert_eq!(lowest, Some(4977), "{suite}");
        // Before tracking began nothing was remembered, so all of it counts as seen.
        assert_eq!(
            outcomes(&mut receiver, suite, &[1, 4976, 4977, 6000, 6001]),
            [Late, Late, Duplicate, Duplicate, Valid],
            "{suite}"
        );
        receiver.set_config(with_window(0)).expect("they agree");
        assert_eq!(outcomes(&mut receiver, suite, &[5000, 6001, 6002]), [Late, Late, Valid]);
    }
}

//! No packet number twice under a key: the refusals that see to it, and reservations that outlive their SA.

mod common;

use common::{
    ENCRYPT, Link, RECEIVER, SENDER, STRANGER, VecSecY, an, bare_secy, config, data_key, ki,
    outcome, protect, receive_sa, transmit_sa, user_frame, with_room,
};
use macsec::{
    CipherSuite, Config, InstallError, MissingSa, Parsed, Portable, ProtectError, ReceiveOutcome,
    ReceiveSa, Ssci, TransmitSa,
};

const PLAIN: CipherSuite = CipherSuite::GcmAes128;
const XPN: CipherSuite = CipherSuite::GcmAesXpn128;

/// A SecY with keys 1 to 4 of `suite` and receive SCs for everybody, `SENDER`'s own SCI included.
fn secy_with_keys(suite: CipherSuite) -> VecSecY {
    let mut secy = bare_secy(Portable, SENDER, Config::default());
    for number in 1..=4 {
        secy.install_key(&data_key(suite, number)).expect("room");
    }
    for sci in [SENDER, RECEIVER, STRANGER] {
        secy.create_receive_sc(sci).expect("room");
    }
    secy
}

#[test]
fn a_transmit_sa_goes_on_where_it_stopped_or_further() {
    for suite in CipherSuite::ALL {
        let mut secy = secy_with_keys(suite);
        let install =
            |secy: &mut VecSecY, an, pn| secy.install_transmit_sa(&transmit_sa(suite, an, 1, pn));
        install(&mut secy, 0, 5).expect("fits");
        secy.enable_transmit_sa(an(0)).expect("there");
        protect(&mut secy, &user_frame(60));
        // Reserved counts as used.
        drop(secy.reserve(10));
        secy.delete_transmit_sa(an(0), ki(1)).expect("there");
        for pn in [1, 5, 6, 15] {
            let regress = install(&mut secy, 1, pn);
            assert_eq!(regress, Err(InstallError::PnRegress), "{suite} {pn}");
        }
        install(&mut secy, 1, 16).expect("where it stopped");
        secy.raise_transmit_next_pn(an(1), 100).expect("there");
        secy.delete_transmit_sa(an(1), ki(1)).expect("there");
        assert_eq!(install(&mut secy, 2, 99), Err(InstallError::PnRegress));
        // Neither removing the key nor giving it another name makes it forget.
        secy.remove_key(ki(1)).expect("no SA has it");
        secy.install_key(&data_key(suite, 1)).expect("room");
        assert_eq!(install(&mut secy, 2, 99), Err(InstallError::PnRegress));
        assert_eq!(install(&mut secy, 2, 100), Ok(()));
    }
}

#[test]
fn another_name_for_the_sak_does_not_reset_its_packet_numbers() {
    let mut secy = secy_with_keys(PLAIN);
    secy.install_transmit_sa(&transmit_sa(PLAIN, 0, 1, 500)).expect("fits");
    secy.delete_transmit_sa(an(0), ki(1)).expect("there");
    secy.remove_key(ki(1)).expect("no SA has it");
    let sak = macsec::Sak::new(&common::sak_octets(PLAIN, 1)).expect("16");
    let renamed = macsec::DataKey::new(ki(77), PLAIN, sak, None).expect("fits");
    secy.install_key(&renamed).expect("room");
    let regress = secy.install_transmit_sa(&transmit_sa(PLAIN, 0, 77, 499));
    assert_eq!(regress, Err(InstallError::PnRegress));
    let further = secy.install_transmit_sa(&transmit_sa(PLAIN, 0, 77, 500));
    assert_eq!(further, Ok(()));
}

#[test]
fn a_receive_sa_goes_on_at_its_lowest_pn() {
    let link = Link::new(PLAIN, ENCRYPT);
    let mut sender = link.sender(Config::default());
    let mut receiver = link.receiver(Config::default());
    let first = protect(&mut sender, &user_frame(60));
    assert_eq!(outcome(&mut receiver, &first), ReceiveOutcome::Ok);
    receiver.delete_receive_sa(SENDER, an(0), ki(1)).expect("there");
    let install = |receiver: &mut VecSecY, pn| {
        receiver.install_receive_sa(SENDER, &receive_sa(PLAIN, 0, 1, pn))
    };
    assert_eq!(install(&mut receiver, 1), Err(InstallError::PnRegress));
    install(&mut receiver, 2).expect("where it stopped");
    receiver.enable_receive_sa(SENDER, an(0)).expect("there");
    assert_eq!(outcome(&mut receiver, &first), ReceiveOutcome::Late);
}

#[test]
fn no_two_sas_share_key_and_sci_or_ssci() {
    for suite in CipherSuite::ALL {
        let mut secy = secy_with_keys(suite);
        let in_use = Err(InstallError::NonceInUse);
        let tx = transmit_sa(suite, 0, 1, 1);
        secy.install_transmit_sa(&tx).expect("fits");
        // One key, two transmit SAs, whatever the SSCI.
        for ssci in [tx.ssci, tx.ssci.map(|_| Ssci(2))] {
            let second = TransmitSa { an: an(1), ssci, next_pn: 1 << 20, ..tx };
            assert_eq!(secy.install_transmit_sa(&second), in_use, "{suite}");
        }
        // Transmit and receive under our own SCI, or with our own SSCI.
        let rx = receive_sa(suite, 1, 1, 1);
        assert_eq!(secy.install_receive_sa(SENDER, &rx), in_use, "{suite}");
        let same_ssci = secy.install_receive_sa(RECEIVER, &rx);
        assert_eq!(same_ssci, if suite.is_xpn() { in_use } else { Ok(()) });
        // Two peers with one SSCI, and one peer with two SAs under one key.
        let other = ReceiveSa { ssci: rx.ssci.map(|_| Ssci(3)), ..rx };
        let on_other_an = ReceiveSa { an: an(2), ..other };
        secy.install_receive_sa(STRANGER, &other).expect("fits");
        let twice = secy.install_receive_sa(STRANGER, &on_other_an);
        assert_eq!(twice, in_use, "{suite}");
        if suite.is_xpn() {
            assert_eq!(secy.install_receive_sa(RECEIVER, &on_other_an), in_use);
        }
        // The other order: receive first.
        let mut secy = secy_with_keys(suite);
        secy.install_receive_sa(SENDER, &rx).expect("fits");
        assert_eq!(secy.install_transmit_sa(&tx), in_use, "{suite}");
    }
}

/// Regression: nothing hindered an SA from transmitting under the very key and SCI (or SSCI) that a
/// deleted receive SA had: the peer's packet numbers all over again. Likewise in the other
/// direction, where a former self could be replayed.
#[test]
fn a_former_receive_sas_nonces_are_not_transmitted_nor_the_reverse() {
    for suite in CipherSuite::ALL {
        let in_use = Err(InstallError::NonceInUse);
        let (tx, rx) = (transmit_sa(suite, 0, 1, 50), receive_sa(suite, 0, 1, 50));
        let mut secy = secy_with_keys(suite);
        secy.install_receive_sa(SENDER, &rx).expect("fits");
        secy.delete_receive_sa(SENDER, an(0), ki(1)).expect("there");
        assert_eq!(secy.install_transmit_sa(&tx), in_use, "{suite}");

        let mut secy = secy_with_keys(suite);
        secy.install_transmit_sa(&tx).expect("fits");
        secy.delete_transmit_sa(an(0), ki(1)).expect("there");
        assert_eq!(secy.install_receive_sa(SENDER, &rx), in_use, "{suite}");
    }
}

#[test]
fn a_key_once_used_with_one_ssci_is_not_used_with_another() {
    let mut secy = secy_with_keys(XPN);
    let tx = transmit_sa(XPN, 0, 1, 1);
    secy.install_transmit_sa(&tx).expect("fits");
    secy.delete_transmit_sa(an(0), ki(1)).expect("there");
    let other = TransmitSa { ssci: Some(Ssci(2)), ..tx };
    let refused = secy.install_transmit_sa(&other);
    assert_eq!(refused, Err(InstallError::NonceInUse));
    assert_eq!(secy.install_transmit_sa(&tx), Ok(()));
}

/// Runs SA `key` up to PN 2 and deletes it. Needs a free key slot and AN 0.
fn come_and_go(secy: &mut VecSecY, key: u8, first_pn: u64) {
    secy.install_key(&data_key(PLAIN, key)).expect("room");
    secy.install_transmit_sa(&transmit_sa(PLAIN, 0, key, first_pn)).expect("fits");
    secy.enable_transmit_sa(an(0)).expect("there");
    protect(secy, &user_frame(60));
    secy.delete_transmit_sa(an(0), ki(key)).expect("there");
    secy.remove_key(ki(key)).expect("no SA has it");
}

fn may_begin_at(secy: &mut VecSecY, key: u8, pn: u64) -> bool {
    secy.install_key(&data_key(PLAIN, key)).expect("room");
    let result = secy.install_transmit_sa(&transmit_sa(PLAIN, 1, key, pn));
    if result.is_ok() {
        secy.delete_transmit_sa(an(1), ki(key)).expect("there");
    } else {
        assert_eq!(result, Err(InstallError::PnRegress));
    }
    secy.remove_key(ki(key)).expect("no SA has it");
    result.is_ok()
}

#[test]
fn the_last_sixteen_keys_are_remembered() {
    let mut secy = bare_secy(Portable, SENDER, Config::default());
    (1..=17).for_each(|key| come_and_go(&mut secy, key, 1));
    for key in 2..=17 {
        assert!(!may_begin_at(&mut secy, key, 1), "{key}");
    }
    assert!(may_begin_at(&mut secy, 1, 1), "the seventeenth is forgotten");
}

/// Regression: an SA that came back kept its old place in the history, so that the very latest
/// could be the first to be forgotten.
#[test]
fn an_sa_that_comes_back_is_the_latest_again() {
    let mut secy = bare_secy(Portable, SENDER, Config::default());
    (1..=16).for_each(|key| come_and_go(&mut secy, key, 1));
    come_and_go(&mut secy, 1, 2);
    // Fifteen more leave room for key 1 and no other.
    for key in 17..=31 {
        come_and_go(&mut secy, key, 1);
        assert!(!may_begin_at(&mut secy, 1, 2), "after {key}");
    }
    assert!(may_begin_at(&mut secy, 2, 1), "the oldest is forgotten");
}

#[test]
fn receive_sas_that_come_and_go_push_no_transmit_sa_out() {
    let mut secy = bare_secy(Portable, SENDER, Config::default());
    come_and_go(&mut secy, 1, 1);
    secy.create_receive_sc(RECEIVER).expect("room");
    for key in 2..=60 {
        secy.install_key(&data_key(PLAIN, key)).expect("room");
        secy.install_receive_sa(RECEIVER, &receive_sa(PLAIN, 0, key, 1)).expect("fits");
        secy.delete_receive_sa(RECEIVER, an(0), ki(key)).expect("there");
        secy.remove_key(ki(key)).expect("no SA has it");
    }
    assert!(!may_begin_at(&mut secy, 1, 1));
}

#[test]
fn a_block_whose_sa_is_gone_finds_no_sealer() {
    let link = Link::new(PLAIN, ENCRYPT);
    let mut secy = link.sender(Config::default());
    let block = secy.reserve(3).expect("plenty");
    assert!(secy.sealer(&block).is_some());
    secy.delete_transmit_sa(an(0), ki(1)).expect("there");
    assert!(secy.sealer(&block).is_none());
    // Nor when the same key is there again: it is another installation.
    let again = TransmitSa { next_pn: 4, ..link.transmit_sa() };
    secy.install_transmit_sa(&again).expect("goes on");
    secy.enable_transmit_sa(an(0)).expect("there");
    assert!(secy.sealer(&block).is_none());
}

#[test]
fn a_stale_block_cannot_be_sealed_by_the_successor() {
    let link = Link::new(PLAIN, ENCRYPT);
    let mut secy = link.sender(Config::default());
    let mut stale = secy.reserve(40).expect("plenty");
    secy.install_key(&data_key(PLAIN, 2)).expect("room");
    secy.install_transmit_sa(&transmit_sa(PLAIN, 1, 2, 1)).expect("fits");
    secy.enable_transmit_sa(an(1)).expect("there");
    let fresh = secy.reserve(1).expect("plenty");
    let sealer = secy.sealer(&fresh).expect("there");
    let pn = stale.take_next().expect("40");
    let refused = sealer.seal(pn, with_room(&user_frame(60)));
    let refused = refused.map(drop).expect_err("foreign");
    assert_eq!(refused.error, ProtectError::ForeignPn);
    assert_eq!(refused.frame.octets(), user_frame(60));
    // In a batch of more than one round, too.
    let mut errors = Vec::new();
    let frames = (0..41).map(|_| with_room(&user_frame(60)));
    sealer.seal_batch(&mut stale, frames, |r| errors.push(r.map(drop).err()));
    let errors: Vec<_> = errors.into_iter().flatten().map(|r| r.error).collect();
    let (foreign, exhausted) = errors.split_at(39);
    assert!(foreign.iter().all(|e| *e == ProtectError::ForeignPn));
    assert_eq!(exhausted, [ProtectError::PnExhausted; 2]);
    secy.count_refused(ProtectError::ForeignPn);
    assert_eq!(secy.counters().local.out_caller_error, 1);
}

#[test]
fn a_block_of_one_secy_is_nothing_to_the_sealer_of_another() {
    let link = Link::new(PLAIN, ENCRYPT);
    let mut ours = link.sender(Config::default());
    let mut theirs = link.sender_on(Portable, RECEIVER, Config::default());
    let block = ours.reserve(1).expect("plenty");
    assert!(theirs.sealer(&block).is_none());
    let their_block = theirs.reserve(1).expect("plenty");
    let sealer = theirs.sealer(&their_block).expect("there");
    let mut block = block;
    let pn = block.take_next().expect("one");
    let refused = sealer.seal(pn, with_room(&user_frame(60)));
    let error = refused.map(drop).map_err(|r| r.error);
    assert_eq!(error, Err(ProtectError::ForeignPn));
}

/// Regression: a frame that one SecY had opened was delivered by any other that had an SA in the same place.
#[test]
fn a_frame_opened_by_one_secy_is_not_delivered_by_another() {
    let link = Link::new(PLAIN, ENCRYPT);
    let mut sender = link.sender(Config::default());
    let frame = protect(&mut sender, &user_frame(60));
    let opener = link.receiver(Config::default());
    let mut other = bare_secy(Portable, STRANGER, Config::default());
    other.install_key(&data_key(PLAIN, 2)).expect("room");
    other.create_receive_sc(RECEIVER).expect("room");
    let sa = receive_sa(PLAIN, 0, 2, 1);
    other.install_receive_sa(RECEIVER, &sa).expect("fits");
    other.enable_receive_sa(RECEIVER, an(0)).expect("there");
    let parsed = Parsed::new(frame.clone(), macsec::ClearVlanTags::None);
    let verdict = other.commit(opener.open(parsed));
    let gone = ReceiveOutcome::NoSaError(MissingSa::SaNotInUse);
    assert_eq!((verdict.outcome(), verdict.delivered()), (gone, None));
    let left = verdict.into_buffer();
    assert!(left[20..80].iter().all(|octet| *octet == 0), "no plaintext");
}

#[test]
fn what_is_reserved_before_a_disable_is_still_good_after_it() {
    let link = Link::new(PLAIN, ENCRYPT);
    let mut secy = link.sender(Config::default());
    let mut receiver = link.receiver(Config::default());
    let mut block = secy.reserve(1).expect("plenty");
    secy.disable_transmit_sa(an(0)).expect("there");
    let sealer = secy.sealer(&block).expect("the SA is there");
    let pn = block.take_next().expect("one");
    let sealed = sealer.seal(pn, with_room(&user_frame(60)));
    let sent = secy.count_sealed(sealed.expect("sealed"));
    assert_eq!(outcome(&mut receiver, sent.octets()), ReceiveOutcome::Ok);
}

/// What was seen inside the window is forgotten with the SA, so the SA may not come back below it.
#[test]
fn duplicates_are_not_let_in_by_reinstalling_the_receive_sa() {
    let link = Link::new(CipherSuite::GcmAes128, ENCRYPT);
    let wire = protect(&mut link.sender(config(|_| {})), &user_frame(100));
    let mut receiver = link.receiver(config(|c| {
        c.replay_window = 64;
        c.detect_duplicates = true;
    }));
    assert_eq!(outcome(&mut receiver, &wire), ReceiveOutcome::Ok);
    assert_eq!(outcome(&mut receiver, &wire), ReceiveOutcome::Duplicate);
    receiver.delete_receive_sa(SENDER, an(0), ki(1)).expect("it is there");
    let again = link.receive_sa();
    assert_eq!(receiver.install_receive_sa(SENDER, &again), Err(InstallError::PnRegress));
    let again = ReceiveSa { lowest_pn: 2, ..again };
    receiver.install_receive_sa(SENDER, &again).expect("beyond what was seen");
    receiver.enable_receive_sa(SENDER, an(0)).expect("it is there");
    assert_eq!(outcome(&mut receiver, &wire), ReceiveOutcome::Late);
}

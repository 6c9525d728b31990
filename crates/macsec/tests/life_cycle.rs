//! Keys, SCs and SAs from installation to deletion: every refusal there is, and what survives what.

mod common;

use common::{
    ENCRYPT, Link, RECEIVER, SALT, SENDER, STRANGER, VecSecY, an, bare_secy, config, counters,
    data_key, ki, outcome, protect, receive_sa, sak_octets, transmit_sa, user_frame, with_room,
};
use macsec::{
    Backend, CipherSuite, ConfidentialityOffset, Config, DataKey, DataKeyError, InstallError,
    KeyError, KeySlot, LifeCycleError, MissingSa, Portable, ProtectError, ReceiveOutcome,
    ReceiveSa, ReceiveScSlot, Sak, Sci, SecY, Ssci, Storage, TransmitSa,
};

const PLAIN: CipherSuite = CipherSuite::GcmAes128;
const XPN: CipherSuite = CipherSuite::GcmAesXpn128;

fn bare() -> VecSecY {
    bare_secy(Portable, SENDER, Config::default())
}

#[test]
fn a_data_key_cannot_be_made_with_a_part_missing_or_misfit() {
    for len in (0..=40).filter(|len| !matches!(len, 16 | 32)) {
        let sak = Sak::new(&vec![1; len]).err();
        assert_eq!(sak, Some(DataKeyError::SakLength), "{len}");
    }
    for suite in CipherSuite::ALL {
        let make = |len: usize, salt| {
            let sak = Sak::new(&vec![1; len]).expect("16 or 32");
            DataKey::new(ki(1), suite, sak, salt).err()
        };
        let (right, salt) = (suite.key_len(), suite.is_xpn().then_some(SALT));
        let (salt_misfit, misfit) = if suite.is_xpn() {
            (None, DataKeyError::SaltMissing)
        } else {
            (Some(SALT), DataKeyError::SaltUnexpected)
        };
        assert_eq!(make(right, salt), None, "{suite}");
        assert_eq!(make(48 - right, salt), Some(DataKeyError::SakLength));
        assert_eq!(make(right, salt_misfit), Some(misfit), "{suite}");
    }
}

#[test]
fn every_key_error_has_its_cause() {
    let mut secy = bare();
    let install = |secy: &mut VecSecY, key: &DataKey| secy.install_key(key);
    let refused = |error: KeyError| Err(InstallError::Key(error));
    assert_eq!(install(&mut secy, &data_key(PLAIN, 1)), Ok(()));
    let again = install(&mut secy, &data_key(PLAIN, 1));
    assert_eq!(again, refused(KeyError::KiInUse));
    let other_sak = install(&mut secy, &data_key(XPN, 1));
    assert_eq!(other_sak, refused(KeyError::KiInUse));
    // The same octets under another name, for the same suite and for another.
    for (suite, salt) in [(PLAIN, None), (XPN, Some(SALT))] {
        let sak = Sak::new(&sak_octets(PLAIN, 1)).expect("16");
        let renamed = DataKey::new(ki(2), suite, sak, salt).expect("fits");
        assert_eq!(install(&mut secy, &renamed), refused(KeyError::SakInUse));
    }
    for number in 2..=4 {
        assert_eq!(install(&mut secy, &data_key(PLAIN, number)), Ok(()));
    }
    let fifth = install(&mut secy, &data_key(PLAIN, 5));
    assert_eq!(fifth, refused(KeyError::NoFreeSlot));
    assert_eq!(secy.remove_key(ki(9)), Err(KeyError::UnknownKi));
    assert_eq!(secy.key_suite(ki(1)), Some(PLAIN));

    let sa = transmit_sa(PLAIN, 0, 1, 1);
    secy.install_transmit_sa(&sa).expect("fits");
    secy.create_receive_sc(RECEIVER).expect("room");
    secy.install_receive_sa(RECEIVER, &receive_sa(PLAIN, 0, 2, 1)).expect("fits");
    for key in [1, 2] {
        assert_eq!(secy.remove_key(ki(key)), Err(KeyError::InUseBySa));
    }
    secy.delete_transmit_sa(an(0), ki(1)).expect("there");
    secy.delete_receive_sa(RECEIVER, an(0), ki(2)).expect("there");
    for key in [1, 2] {
        assert_eq!(secy.remove_key(ki(key)), Ok(()));
        assert_eq!(secy.remove_key(ki(key)), Err(KeyError::UnknownKi));
        assert_eq!(secy.key_suite(ki(key)), None);
    }
    assert_eq!(install(&mut secy, &data_key(XPN, 5)), Ok(()));
}

#[test]
fn every_install_error_has_its_cause_in_both_directions() {
    let mut secy = bare();
    secy.install_key(&data_key(PLAIN, 1)).expect("room");
    secy.install_key(&data_key(XPN, 2)).expect("room");
    secy.create_receive_sc(RECEIVER).expect("room");
    type Change = fn(&mut TransmitSa, &mut ReceiveSa);
    let unknown = InstallError::Key(KeyError::UnknownKi);
    let cases: [(CipherSuite, u8, Change, InstallError); 9] = [
        (PLAIN, 9, |_, _| (), unknown),
        (
            PLAIN,
            1,
            |tx, rx| (tx.ssci, rx.ssci) = (Some(Ssci(1)), Some(Ssci(1))),
            InstallError::SsciUnexpected,
        ),
        (XPN, 2, |tx, rx| (tx.ssci, rx.ssci) = (None, None), InstallError::SsciMissing),
        (
            XPN,
            2,
            |tx, rx| {
                tx.confidentiality = common::ENCRYPT_30;
                rx.offset = ConfidentialityOffset::Thirty;
            },
            InstallError::XpnOffset,
        ),
        (
            XPN,
            2,
            |tx, rx| {
                tx.confidentiality = common::ENCRYPT_50;
                rx.offset = ConfidentialityOffset::Fifty;
            },
            InstallError::XpnOffset,
        ),
        (PLAIN, 1, |tx, rx| (tx.next_pn, rx.lowest_pn) = (0, 0), InstallError::PnRange),
        (XPN, 2, |tx, rx| (tx.next_pn, rx.lowest_pn) = (0, 0), InstallError::PnRange),
        (PLAIN, 1, |tx, rx| (tx.next_pn, rx.lowest_pn) = (1 << 32, 1 << 32), InstallError::PnRange),
        (
            PLAIN,
            1,
            |tx, rx| (tx.next_pn, rx.lowest_pn) = (u64::MAX, u64::MAX),
            InstallError::PnRange,
        ),
    ];
    for (suite, key, change, expected) in cases {
        let mut tx = transmit_sa(suite, 0, key, 1);
        let mut rx = receive_sa(suite, 0, key, 1);
        change(&mut tx, &mut rx);
        assert_eq!(secy.install_transmit_sa(&tx), Err(expected), "{tx:?}");
        let received = secy.install_receive_sa(RECEIVER, &rx);
        assert_eq!(received, Err(expected), "{rx:?}");
        assert_eq!(secy.transmit_sa(an(0)), None, "nothing has changed");
        assert_eq!(secy.receive_sa(RECEIVER, an(0)), None);
    }
    let sa = receive_sa(PLAIN, 0, 1, 1);
    let nowhere = secy.install_receive_sa(STRANGER, &sa);
    assert_eq!(nowhere, Err(InstallError::NoSuchSc));
    secy.install_receive_sa(RECEIVER, &sa).expect("fits");
    let again = secy.install_receive_sa(RECEIVER, &sa);
    assert_eq!(again, Err(InstallError::AnInUse));
    let tx = transmit_sa(PLAIN, 0, 1, 1);
    secy.install_transmit_sa(&tx).expect("fits");
    let again = secy.install_transmit_sa(&transmit_sa(XPN, 0, 2, 1));
    assert_eq!(again, Err(InstallError::AnInUse));
}

#[test]
fn every_life_cycle_error_has_its_cause() {
    use LifeCycleError::{NoFreeSlot, NoSuchSa, NoSuchSc, OtherKey, PnRange, ScExists};
    let mut secy = bare();
    assert_eq!(secy.enable_transmit_sa(an(0)), Err(NoSuchSa));
    assert_eq!(secy.disable_transmit_sa(an(0)), Err(NoSuchSa));
    assert_eq!(secy.delete_transmit_sa(an(0), ki(1)), Err(NoSuchSa));
    assert_eq!(secy.raise_transmit_next_pn(an(0), 1), Err(NoSuchSa));

    assert_eq!(secy.delete_receive_sc(RECEIVER), Err(NoSuchSc));
    type Call = fn(&mut VecSecY) -> Result<(), LifeCycleError>;
    let calls: [Call; 4] = [
        |secy| secy.enable_receive_sa(RECEIVER, an(0)),
        |secy| secy.disable_receive_sa(RECEIVER, an(0)),
        |secy| secy.delete_receive_sa(RECEIVER, an(0), ki(1)),
        |secy| secy.raise_receive_lowest_pn(RECEIVER, an(0), 1),
    ];
    for call in calls {
        assert_eq!(call(&mut secy), Err(NoSuchSc));
    }
    assert_eq!(secy.create_receive_sc(RECEIVER), Ok(()));
    assert_eq!(secy.create_receive_sc(RECEIVER), Err(ScExists));
    for call in calls {
        assert_eq!(call(&mut secy), Err(NoSuchSa));
    }
    for port in 2..=4 {
        let sci = Sci::new(RECEIVER.mac(), port);
        assert_eq!(secy.create_receive_sc(sci), Ok(()));
    }
    assert_eq!(secy.create_receive_sc(STRANGER), Err(NoFreeSlot));
    assert_eq!(secy.receive_scs().count(), 4);

    secy.install_key(&data_key(PLAIN, 1)).expect("room");
    secy.install_transmit_sa(&transmit_sa(PLAIN, 0, 1, 1)).expect("fits");
    secy.install_receive_sa(RECEIVER, &receive_sa(PLAIN, 0, 1, 1)).expect("fits");
    assert_eq!(secy.delete_transmit_sa(an(0), ki(2)), Err(OtherKey));
    let wrong = secy.delete_receive_sa(RECEIVER, an(0), ki(2));
    assert_eq!(wrong, Err(OtherKey));
    assert!(secy.transmit_sa(an(0)).is_some(), "not deleted");
    assert!(secy.receive_sa(RECEIVER, an(0)).is_some(), "not deleted");
    let beyond = 1 << 32;
    assert_eq!(secy.raise_transmit_next_pn(an(0), beyond), Err(PnRange));
    let raised = secy.raise_receive_lowest_pn(RECEIVER, an(0), beyond);
    assert_eq!(raised, Err(PnRange));
    assert_eq!(secy.raise_transmit_next_pn(an(0), beyond - 1), Ok(()));
    let raised = secy.raise_receive_lowest_pn(RECEIVER, an(0), beyond - 1);
    assert_eq!(raised, Ok(()));
}

#[test]
fn nothing_is_sent_unless_an_sa_is_enabled() {
    let mut secy = bare();
    secy.install_key(&data_key(PLAIN, 1)).expect("room");
    let refused = |secy: &mut VecSecY| common::try_protect(secy, &user_frame(60)).err();
    assert_eq!(refused(&mut secy), Some(ProtectError::NoTransmitSa));
    secy.install_transmit_sa(&transmit_sa(PLAIN, 3, 1, 1)).expect("fits");
    assert_eq!(refused(&mut secy), Some(ProtectError::NoTransmitSa));
    secy.enable_transmit_sa(an(3)).expect("there");
    assert_eq!(secy.encoding_sa(), Some(an(3)));
    assert_eq!(refused(&mut secy), None);
    secy.disable_transmit_sa(an(3)).expect("there");
    assert_eq!(refused(&mut secy), Some(ProtectError::NoTransmitSa));
    secy.enable_transmit_sa(an(3)).expect("there");
    secy.delete_transmit_sa(an(3), ki(1)).expect("there");
    assert_eq!(secy.encoding_sa(), None);
    let mut batch = Vec::new();
    let frames = (0..3).map(|_| with_room(&user_frame(60)));
    secy.protect_batch(frames, |result| batch.push(result.err().map(|r| r.error)));
    assert_eq!(batch, [Some(ProtectError::NoTransmitSa); 3]);
    let counted = counters(|c| {
        c.transmit_sc.out_pkts_encrypted = 1;
        c.generation.out_octets_encrypted = 60;
        c.local.out_no_transmit_sa = 6;
    });
    assert_eq!(secy.counters(), counted);
}

#[test]
fn an_sa_that_is_not_enabled_receives_nothing() {
    let link = Link::new(PLAIN, ENCRYPT);
    let mut sender = link.sender(Config::default());
    let mut receiver = link.receiver(Config::default());
    let gone = ReceiveOutcome::NoSaError(MissingSa::SaNotInUse);
    receiver.disable_receive_sa(SENDER, an(0)).expect("there");
    let frame = protect(&mut sender, &user_frame(60));
    assert_eq!(outcome(&mut receiver, &frame), gone);
    receiver.enable_receive_sa(SENDER, an(0)).expect("there");
    assert_eq!(outcome(&mut receiver, &frame), ReceiveOutcome::Ok);
    let status = receiver.receive_sa(SENDER, an(0)).expect("there");
    assert_eq!((status.ki, status.suite, status.in_use), (ki(1), PLAIN, true));
}

/// Three rollovers: the new receive SA comes first, the old stays until drained, counters go on.
#[test]
fn a_rollover_loses_no_frame_and_no_count() {
    let link = Link::new(PLAIN, ENCRYPT);
    let mut sender = link.sender(Config::default());
    let mut receiver = link.receiver(Config::default());
    let mut ok = 0;
    for generation in 1..=4_u8 {
        let (old, new) = (generation, generation + 1);
        let last_of_old = protect(&mut sender, &user_frame(100));
        for secy in [&mut sender, &mut receiver] {
            secy.install_key(&data_key(PLAIN, new)).expect("room");
        }
        let new_an = an(generation % 4);
        let rx = receive_sa(PLAIN, generation % 4, new, 1);
        receiver.install_receive_sa(SENDER, &rx).expect("fits");
        receiver.enable_receive_sa(SENDER, new_an).expect("there");
        let tx = transmit_sa(PLAIN, generation % 4, new, 1);
        sender.install_transmit_sa(&tx).expect("fits");
        sender.enable_transmit_sa(new_an).expect("there");
        let first_of_new = protect(&mut sender, &user_frame(100));
        // Overtaken on the way, and yet both are in order, each for its SA.
        for frame in [&first_of_new, &last_of_old] {
            assert_eq!(outcome(&mut receiver, frame), ReceiveOutcome::Ok);
            ok += 1;
        }
        let old_an = an(generation - 1);
        sender.delete_transmit_sa(old_an, ki(old)).expect("there");
        receiver.delete_receive_sa(SENDER, old_an, ki(old)).expect("there");
        for secy in [&mut sender, &mut receiver] {
            secy.remove_key(ki(old)).expect("no SA has it");
        }
        let gone = ReceiveOutcome::NoSaError(MissingSa::SaNotInUse);
        assert_eq!(outcome(&mut receiver, &last_of_old), gone);
        let counted = receiver.receive_sc_counters(SENDER).expect("there");
        assert_eq!(counted.in_pkts_ok, ok);
        assert_eq!(sender.counters().transmit_sc.out_pkts_encrypted, ok);
        assert_eq!(sender.counters().generation.out_octets_encrypted, ok * 100);
    }
}

#[test]
fn a_deleted_scs_counts_stay_in_the_sums() {
    let link = Link::new(PLAIN, ENCRYPT);
    let mut sender = link.sender(Config::default());
    let mut receiver = link.receiver(Config::default());
    let frame = protect(&mut sender, &user_frame(60));
    let expected = [ReceiveOutcome::Ok, ReceiveOutcome::Late];
    assert_eq!([(); 2].map(|()| outcome(&mut receiver, &frame)), expected);
    let before = receiver.counters();
    assert_eq!(before.frames_in(), 2);
    receiver.delete_receive_sc(SENDER).expect("there");
    assert_eq!(receiver.counters(), before);
    assert_eq!(receiver.receive_sc_counters(SENDER), None);
    receiver.create_receive_sc(SENDER).expect("room");
    let anew = receiver.receive_sc_counters(SENDER).expect("there");
    assert_eq!(anew, macsec::ReceiveScCounters::default());
    assert_eq!(receiver.counters(), before);
    // And the SC's SAs are remembered as if they had been deleted one by one.
    let again = receiver.install_receive_sa(SENDER, &link.receive_sa());
    assert_eq!(again, Err(InstallError::PnRegress));
    let further = receive_sa(PLAIN, 0, 1, 2);
    assert_eq!(receiver.install_receive_sa(SENDER, &further), Ok(()));
}

/// The same SecY code on storage of every kind.
fn lent<S, R>(keys: S, peers: R)
where
    S: Storage<KeySlot<<Portable as Backend>::Key>>,
    R: Storage<ReceiveScSlot>,
{
    let mut secy = SecY::new(Portable, SENDER, config(|_| {}), keys, peers).expect("agrees");
    secy.install_key(&data_key(PLAIN, 1)).expect("room for one");
    let full = InstallError::Key(KeyError::NoFreeSlot);
    assert_eq!(secy.install_key(&data_key(PLAIN, 2)), Err(full));
    secy.create_receive_sc(RECEIVER).expect("room for one");
    let full = Err(LifeCycleError::NoFreeSlot);
    assert_eq!(secy.create_receive_sc(STRANGER), full);
}

#[test]
fn storage_may_be_an_array_a_slice_or_a_vec_and_is_emptied_first() {
    lent([KeySlot::EMPTY], [ReceiveScSlot::EMPTY]);
    lent(vec![KeySlot::EMPTY], vec![ReceiveScSlot::EMPTY]);
    let (mut keys, mut peers) = ([KeySlot::EMPTY], [ReceiveScSlot::EMPTY]);
    for _ in 0..2 {
        lent(&mut keys[..], &mut peers[..]);
    }
}

/// Regression: slots are counted by `u16`, which overflowed beyond 65536 of them.
#[test]
fn storage_for_more_than_65536_is_no_fault() {
    let keys: Vec<_> = (0..65_537).map(|_| KeySlot::EMPTY).collect();
    let peers: Vec<_> = (0..65_537).map(|_| ReceiveScSlot::EMPTY).collect();
    let mut secy = SecY::new(macsec_gcm_null::Null, SENDER, config(|_| {}), keys, peers)
        .expect("controls that agree");
    assert_eq!(secy.remove_key(ki(1)), Err(KeyError::UnknownKi));
    let frame = common::RawFrame::new(PLAIN, true, 1, &common::user_data(60)).build();
    let nobody = ReceiveOutcome::NoSaError(MissingSa::UnknownSci);
    assert_eq!(secy.validate(frame).outcome(), nobody);
}

#[test]
fn what_a_key_agreement_asks_is_answered() {
    let link = Link::new(CipherSuite::GcmAes128, common::ENCRYPT_30);
    let mut secy = link.receiver(config(|_| {}));
    assert_eq!((secy.max_keys(), secy.max_receive_channels()), (4, 4));
    assert!(secy.is_receiving(SENDER) && !secy.is_transmitting());
    assert!(!secy.is_receiving(STRANGER));
    assert_eq!(
        secy.receive_sa(SENDER, an(0)).map(|sa| sa.offset),
        Some(ConfidentialityOffset::Thirty)
    );
    secy.disable_receive_sa(SENDER, an(0)).expect("it is there");
    assert!(!secy.is_receiving(SENDER));

    let mut sender = link.at_pn(u64::from(u32::MAX)).sender(config(|_| {}));
    assert!(sender.is_transmitting());
    protect(&mut sender, &user_frame(60));
    assert!(!sender.is_transmitting(), "its last packet number has gone");

    let key = data_key(CipherSuite::GcmAesXpn256, 3);
    assert_eq!((key.ki(), key.suite()), (ki(3), CipherSuite::GcmAesXpn256));
    assert_eq!(key.sak().expose_octets(), sak_octets(CipherSuite::GcmAesXpn256, 3));
    assert!(key.salt() == Some(SALT));
}

//! The three steps apart: over threads, with things happening in between.

mod common;

use std::{
    collections::BTreeMap,
    sync::{Mutex, mpsc},
    thread,
};

use common::{
    Link, SENDER, STRANGER, an, config, counters, ki, protect, user_data, user_frame, with_room,
};
use macsec::{
    Admitted, CipherSuite, ClearVlanTags, Counters, FrameBuf, MissingSa, Opened, Parsed, PnBlock,
    Portable, ProtectError, ReceiveOutcome, Refused, Sealed, Shared, ValidateFrames, Verdict,
};

const WORKERS: usize = 4;
const BATCHES: usize = 60;
const PER_BATCH: usize = 37;
const FRAMES: usize = BATCHES * PER_BATCH;

/// Frame number `number`, which its User Data tell; lengths vary.
fn numbered(number: usize) -> Vec<u8> {
    let mut frame = user_frame(50 + number * 131 % 700);
    frame[14..22].copy_from_slice(&(number as u64).to_be_bytes());
    frame
}

/// Seals in `WORKERS` threads, emits in one: what comes out is in the order of the packet numbers.
fn seal_in_parallel(link: Link) -> Vec<Vec<u8>> {
    type Batch = (usize, PnBlock, Vec<FrameBuf<Vec<u8>>>);
    type Done = (usize, Vec<Result<Sealed<Vec<u8>>, Refused<Vec<u8>>>>);
    let mut secy = link.sender_on(Shared(Portable), SENDER, config(|_| {}));
    let mut all = secy.reserve(FRAMES as u32).expect("plenty");
    let sealer = secy.sealer(&all).expect("the SA is there").detach();
    let (to_workers, batches) = mpsc::channel::<Batch>();
    let batches = Mutex::new(batches);
    let (to_sequencer, done) = mpsc::channel::<Done>();
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            let (to_sequencer, batches, sealer) = (to_sequencer.clone(), &batches, &sealer);
            scope.spawn(move || {
                loop {
                    let next = batches.lock().expect("no panic").recv();
                    let Ok((index, mut block, frames)) = next else {
                        return;
                    };
                    let mut sealed = Vec::new();
                    sealer.seal_batch(&mut block, frames, |result| sealed.push(result));
                    assert!(block.is_empty());
                    to_sequencer.send((index, sealed)).expect("it listens");
                }
            });
        }
        drop(to_sequencer);
        for index in 0..BATCHES {
            let block = all.split_first(PER_BATCH as u32);
            let first = index * PER_BATCH;
            let frames = (first..first + PER_BATCH).map(|n| with_room(&numbered(n)));
            to_workers.send((index, block, frames.collect())).expect("they listen");
        }
        drop(to_workers);
        assert!(all.is_empty());
        // The sequencer: whatever comes early waits.
        let mut waiting = BTreeMap::new();
        let mut wire = Vec::new();
        let mut next = 0;
        for (index, sealed) in done {
            waiting.insert(index, sealed);
            while let Some(sealed) = waiting.remove(&next) {
                for sealed in sealed {
                    let sealed = sealed.expect("nothing is refused");
                    wire.push(secy.count_sealed(sealed).octets().to_vec());
                }
                next += 1;
            }
        }
        let octets: usize = (0..FRAMES).map(|n| numbered(n).len() - 12).sum();
        let counted = counters(|c| {
            c.transmit_sc.out_pkts_encrypted = FRAMES as u64;
            c.generation.out_octets_encrypted = octets as u64;
        });
        assert_eq!(secy.counters(), counted);
        wire
    })
}

/// Opens in `WORKERS` threads, commits in the order of arrival.
fn open_in_parallel(link: Link, wire: &[Vec<u8>]) -> Vec<Vec<u8>> {
    type Job<K> = (usize, Admitted<Vec<u8>>, Option<K>);
    let mut secy = link.receiver_on(Shared(Portable), SENDER, config(|_| {}));
    let (to_workers, jobs) = mpsc::channel::<Job<_>>();
    let jobs = Mutex::new(jobs);
    let (to_committer, opened) = mpsc::channel::<(usize, Opened<Vec<u8>>)>();
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            let (to_committer, jobs) = (to_committer.clone(), &jobs);
            scope.spawn(move || {
                loop {
                    let next = jobs.lock().expect("no panic").recv();
                    let Ok((index, admitted, key)) = next else {
                        return;
                    };
                    let key = key.expect("every frame needs one");
                    let opened = admitted.open(&key);
                    to_committer.send((index, opened)).expect("it listens");
                }
            });
        }
        drop(to_committer);
        // A ring of 256 frames in flight at most; the window is 0 all the same.
        let (mut waiting, mut delivered) = (BTreeMap::new(), Vec::new());
        let mut sent = 0;
        while delivered.len() < wire.len() {
            while sent < wire.len() && sent < delivered.len() + 256 {
                let parsed = Parsed::new(wire[sent].clone(), ClearVlanTags::None);
                let admitted = secy.admit(parsed);
                let key = secy.key_of(&admitted).cloned();
                to_workers.send((sent, admitted, key)).expect("they listen");
                sent += 1;
            }
            let (index, frame) = opened.recv().expect("they work");
            waiting.insert(index, frame);
            while let Some(frame) = waiting.remove(&delivered.len()) {
                let verdict = secy.commit(frame);
                assert_eq!(verdict.outcome(), ReceiveOutcome::Ok);
                delivered.push(verdict.delivered().expect("it is Ok").to_vec());
            }
        }
        drop(to_workers);
        assert_eq!(secy.counters().receive_scs.in_pkts_ok, FRAMES as u64);
        assert_eq!(secy.counters().frames_in(), FRAMES as u64);
        delivered
    })
}

#[test]
fn a_pipeline_over_threads_loses_nothing_with_window_zero() {
    for (suite, pn) in [
        (CipherSuite::GcmAes128, 1),
        // The lower half wraps on the way.
        (CipherSuite::GcmAesXpn256, (1 << 32) - FRAMES as u64 / 2),
    ] {
        let link = Link::new(suite, common::ENCRYPT).at_pn(pn);
        let wire = seal_in_parallel(link);
        // The same octets as one by one.
        let mut alone = link.sender(config(|_| {}));
        for (number, wire) in wire.iter().enumerate() {
            assert_eq!(*wire, protect(&mut alone, &numbered(number)));
        }
        let delivered = open_in_parallel(link, &wire);
        let expected: Vec<_> = (0..FRAMES).map(numbered).collect();
        assert_eq!(delivered, expected);
    }
}

fn parsed(wire: &[u8]) -> Parsed<Vec<u8>> {
    Parsed::new(wire.to_vec(), ClearVlanTags::None)
}

#[test]
fn frames_that_cannot_be_opened_in_time_are_overruns_and_may_come_again() {
    let link = Link::new(CipherSuite::GcmAes128, common::ENCRYPT);
    let wire = protect(&mut link.sender(config(|_| {})), &user_frame(100));
    for mode in [ValidateFrames::Check, ValidateFrames::Strict] {
        let mut secy = link.receiver(config(|c| c.validate_frames = mode));
        let admitted = secy.admit(parsed(&wire));
        assert!(admitted.needs_key());
        let opened = admitted.overrun();
        let verdict = secy.commit(opened);
        assert_eq!(verdict.outcome(), ReceiveOutcome::Overrun);
        assert_eq!(verdict.delivered(), None);
        assert_eq!(verdict.into_buffer(), wire, "never decrypted");
        let counted = counters(|c| c.verification.in_pkts_overrun = 1);
        assert_eq!(secy.counters(), counted);
        assert_eq!(common::outcome(&mut secy, &wire), ReceiveOutcome::Ok);
    }
}

/// Two copies are in flight: both are admitted, both opened, and the second is late at its commit.
#[test]
fn a_frame_found_late_after_decryption_leaves_no_plaintext_behind() {
    for confidentiality in [common::ENCRYPT, common::ENCRYPT_30] {
        let link = Link::new(CipherSuite::GcmAes128, confidentiality);
        let wire = protect(&mut link.sender(config(|_| {})), &user_frame(100));
        let mut secy = link.receiver(config(|_| {}));
        let first = secy.open(parsed(&wire));
        let second = secy.open(parsed(&wire));
        assert_eq!(secy.commit(first).outcome(), ReceiveOutcome::Ok);
        let verdict = secy.commit(second);
        assert_eq!(verdict.outcome(), ReceiveOutcome::Late);
        assert_eq!((verdict.delivered(), verdict.range()), (None, 0..0));
        let buffer = verdict.into_buffer();
        let start = 12 + 8 + common::offset_of(confidentiality).octets();
        assert!(buffer[start..120].iter().all(|octet| *octet == 0));
        let counted = counters(|c| {
            c.receive_scs.in_pkts_ok = 1;
            c.receive_scs.in_pkts_late = 1;
            c.verification.in_octets_decrypted = 100;
        });
        assert_eq!(secy.counters(), counted);
    }
}

/// No discarded encrypted frame shows any of its User Data, whatever the reason.
#[test]
fn discarded_frames_hold_no_plaintext() {
    let link = Link::new(CipherSuite::GcmAes256, common::ENCRYPT).at_pn(5);
    let wire = protect(&mut link.sender(config(|_| {})), &user_frame(200));
    let mut forged = wire.clone();
    forged[40] ^= 1;
    let mut late = link.receiver(config(|_| {}));
    late.raise_receive_lowest_pn(SENDER, an(0), 9).expect("SA");
    let mut disabled = link.receiver(config(|_| {}));
    disabled.disable_receive_sa(SENDER, an(0)).expect("SA");
    let no_validation = config(|c| c.validate_frames = ValidateFrames::Disabled);
    let mut unvalidated = link.receiver(no_validation);
    let mut strict = link.receiver(config(|_| {}));
    let gone = ReceiveOutcome::NoSaError(MissingSa::SaNotInUse);
    for (secy, wire, expected) in [
        (&mut late, &wire, ReceiveOutcome::Late),
        (&mut disabled, &wire, gone),
        (&mut unvalidated, &wire, ReceiveOutcome::NotValid),
        (&mut strict, &forged, ReceiveOutcome::NotValid),
    ] {
        let verdict = secy.validate(wire.clone());
        assert_eq!(verdict.outcome(), expected);
        let (buffer, plain) = (verdict.into_buffer(), user_data(200));
        assert!(buffer.windows(8).all(|w| !plain.windows(8).any(|p| p == w)));
    }
}

#[test]
fn an_sa_that_goes_between_the_steps_takes_its_frames_along() {
    let link = Link::new(CipherSuite::GcmAes128, common::ENCRYPT);
    let wire = protect(&mut link.sender(config(|_| {})), &user_frame(100));
    type Change = fn(&mut common::VecSecY);
    let changes: [Change; 4] = [
        |secy| secy.disable_receive_sa(SENDER, an(0)).expect("SA"),
        |secy| secy.delete_receive_sa(SENDER, an(0), ki(1)).expect("SA"),
        |secy| secy.delete_receive_sc(SENDER).expect("SC"),
        // Gone and back: the frame was opened by the former.
        |secy| {
            secy.delete_receive_sa(SENDER, an(0), ki(1)).expect("SA");
            let link = Link::new(CipherSuite::GcmAes128, common::ENCRYPT);
            secy.install_receive_sa(SENDER, &link.receive_sa()).expect("nothing was received");
            secy.enable_receive_sa(SENDER, an(0)).expect("SA");
        },
    ];
    for change in changes {
        let mut secy = link.receiver(config(|_| {}));
        let opened = secy.open(parsed(&wire));
        change(&mut secy);
        let verdict = secy.commit(opened);
        let gone = ReceiveOutcome::NoSaError(MissingSa::SaNotInUse);
        assert_eq!((verdict.outcome(), verdict.delivered()), (gone, None));
        let counted = counters(|c| c.verification.in_pkts_no_sa_error = 1);
        assert_eq!(secy.counters(), counted);
        assert!(verdict.into_buffer()[20..120].iter().all(|o| *o == 0));
    }
}

#[test]
fn the_wrong_key_opens_nothing() {
    let link = Link::new(CipherSuite::GcmAes128, common::ENCRYPT);
    let wire = protect(&mut link.sender(config(|_| {})), &user_frame(100));
    let mut secy = link.receiver(config(|_| {}));
    secy.install_key(&common::data_key(link.suite, 2)).expect("room");
    let admitted = secy.admit(parsed(&wire));
    let other = common::sak_octets(link.suite, 2);
    let other = macsec_gcm::KeyBytes::from_slice(&other).expect("16");
    let opened = admitted.open(&macsec_gcm::Backend::expand(&Portable, other));
    assert_eq!(secy.commit(opened).outcome(), ReceiveOutcome::NotValid);
}

#[test]
fn nothing_counts_before_its_third_step() {
    let link = Link::new(CipherSuite::GcmAes128, common::ENCRYPT);
    let mut secy = link.sender(config(|_| {}));
    let mut block = secy.reserve(2).expect("plenty");
    let sealer = secy.sealer(&block).expect("SA");
    let runt = FrameBuf::new(vec![0; 44], 16..28).expect("inside");
    let refused = sealer.seal(block.take_next().expect("one"), runt);
    let refused = refused.map(drop).expect_err("too short");
    let sealed = sealer.seal(block.take_next().expect("two"), with_room(&user_frame(9)));
    let sealed = sealed.expect("sealed");
    assert_eq!(secy.counters(), Counters::default());
    assert_eq!(refused.error, ProtectError::Runt);
    secy.count_refused(refused.error);
    assert_eq!(secy.count_sealed(sealed).octets().len(), 12 + 8 + 9 + 16);
    let counted = counters(|c| {
        c.local.out_caller_error = 1;
        c.transmit_sc.out_pkts_encrypted = 1;
        c.generation.out_octets_encrypted = 9;
    });
    assert_eq!(secy.counters(), counted);
}

#[test]
fn frames_in_clear_pass_only_if_protect_frames_is_off() {
    let link = Link::new(CipherSuite::GcmAes128, common::ENCRYPT);
    let mut secy = link.sender(config(|c| c.protect_frames = false));
    let frame = user_frame(100);
    assert_eq!(protect(&mut secy, &frame), frame);
    let mut batch = Vec::new();
    let frames = (0..40).map(|_| with_room(&frame));
    secy.protect_batch(frames, |sent| batch.push(sent.map(|s| s.octets().to_vec())));
    assert_eq!(batch.len(), 40);
    let all = batch.iter().all(|sent| sent.as_ref().is_ok_and(|s| *s == frame));
    assert!(all);
    let counted = counters(|c| c.generation.out_pkts_untagged = 41);
    assert_eq!(secy.counters(), counted);
    let sa = secy.transmit_sa(an(0)).expect("SA");
    assert_eq!(sa.next_pn, Some(1), "no packet number is spent");
}

/// Good, forged, late and untagged frames, more of them than go into one batch of the cipher.
#[test]
fn frames_admitted_together_open_in_a_batch_as_they_do_alone() {
    let clear = ClearVlanTags::One;
    let settings = config(|c| c.clear_vlan_tags = clear);
    let link = Link::new(CipherSuite::GcmAes128, common::ENCRYPT_30).at_pn(5);
    let mut sender = link.sender(settings);
    let arrivals: Vec<_> = (0..3 * macsec::BATCH + 5)
        .map(|number| {
            let tag: &[u8] = if number % 4 == 0 { &[0x81, 0, 0, 1] } else { &[] };
            let inside = [tag, &user_data(1 + number * 7)].concat();
            let mut wire = protect(&mut sender, &common::frame_of(SENDER.mac(), &inside));
            match number % 5 {
                1 => *wire.last_mut().expect("an ICV") ^= 1,
                2 => wire = user_frame(60),
                3 => wire[12 + tag.len() + 4..12 + tag.len() + 8].copy_from_slice(&[0, 0, 0, 1]),
                _ => {}
            }
            wire
        })
        .collect();
    let parsed = |wire: &Vec<u8>| Parsed::new(wire.clone(), clear);
    let mut alone = link.receiver_on(Shared(Portable), SENDER, settings);
    let mut together = link.receiver_on(Shared(Portable), SENDER, settings);
    // All are admitted before the first is committed, in both.
    let opened: Vec<_> = arrivals.iter().map(|w| alone.open(parsed(w))).collect();
    let expected: Vec<_> = opened.into_iter().map(|o| alone.commit(o)).collect();
    let admitted: Vec<_> = arrivals.iter().map(|w| together.admit(parsed(w))).collect();
    let key = together.key_of(&admitted[0]).expect("the first is good").clone();
    let mut opened = Vec::new();
    Admitted::open_batch(&key, admitted, |frame| opened.push(frame));
    let received: Vec<_> = opened.into_iter().map(|o| together.commit(o)).collect();
    assert_eq!(received.len(), arrivals.len());
    for (received, expected) in received.iter().zip(&expected) {
        assert_eq!(received.outcome(), expected.outcome());
        assert_eq!(received.delivered(), expected.delivered());
    }
    for outcome in
        [ReceiveOutcome::Ok, ReceiveOutcome::NotValid, ReceiveOutcome::NoTag, ReceiveOutcome::Late]
    {
        assert!(received.iter().any(|v| v.outcome() == outcome), "{outcome}");
    }
    assert_eq!(together.counters(), alone.counters());
}

/// Opened when anything went, committed when only what is valid goes.
#[test]
fn controls_that_become_stricter_hold_for_frames_in_flight() {
    use ValidateFrames::{Disabled, Null, Strict};
    let link = Link::new(CipherSuite::GcmAes128, common::INTEGRITY);
    let with_sci = config(|c| c.always_include_sci = true);
    let tagged = protect(&mut link.sender(with_sci), &user_frame(100));
    let foreign = protect(&mut link.sender_on(Portable, STRANGER, with_sci), &user_frame(100));
    let untagged = user_frame(100);
    let unknown = MissingSa::UnknownSci;
    for (mode, wire, before, after) in [
        (Null, &tagged, ReceiveOutcome::Null, ReceiveOutcome::NoTag),
        (Disabled, &untagged, ReceiveOutcome::Untagged, ReceiveOutcome::NoTag),
        (Disabled, &tagged, ReceiveOutcome::Unchecked, ReceiveOutcome::NotValid),
        (Disabled, &foreign, ReceiveOutcome::NoSa(unknown), ReceiveOutcome::NoSaError(unknown)),
    ] {
        let mut secy = link.receiver(config(|c| c.validate_frames = mode));
        assert_eq!(common::outcome(&mut secy, wire), before);
        let counted = secy.counters();
        let opened = secy.open(parsed(wire));
        secy.set_config(config(|c| c.validate_frames = Strict)).expect("they agree");
        let verdict = secy.commit(opened);
        assert_eq!(verdict.outcome(), after, "{before}");
        assert_eq!(verdict.delivered(), None, "{before}");
        assert_eq!(secy.counters().frames_in(), counted.frames_in() + 1, "{before}");
    }
}

/// An engine that works from a queue: all frames are handed in before the first comes back, and it comes back
/// in another order. It does the very jobs that the SecY would have done.
#[test]
fn an_engine_with_a_queue_can_stand_between_the_steps() {
    use macsec::gcm::{Backend, GcmKey, KeyBytes};
    for clear_vlan_tags in [ClearVlanTags::None, ClearVlanTags::One] {
        for confidentiality in [common::INTEGRITY, common::ENCRYPT, common::ENCRYPT_50] {
            let link = Link::new(CipherSuite::GcmAes256, confidentiality);
            let octets = common::sak_octets(link.suite, 1);
            let engine = Portable.expand(KeyBytes::from_slice(&octets).expect("32 octets"));
            let settings = config(|c| {
                c.clear_vlan_tags = clear_vlan_tags;
                c.replay_window = 8;
            });
            let mut frames: Vec<_> = (0..5).map(|n| user_frame(40 + 20 * n)).collect();
            frames[1][12..16].copy_from_slice(&[0x81, 0, 0, 7]);

            let mut alone = link.sender(settings);
            let expected: Vec<_> = frames.iter().map(|frame| protect(&mut alone, frame)).collect();
            let mut secy = link.sender(settings);
            let mut pns = secy.reserve(5).expect("plenty");
            let sealer = secy.sealer(&pns).expect("the SA is there");
            let mut queue: Vec<_> = frames
                .iter()
                .map(|frame| {
                    let pn = pns.take_next().expect("five");
                    sealer.prepare(pn, with_room(frame)).expect("nothing is refused")
                })
                .collect();
            queue.iter_mut().rev().for_each(|to_seal| engine.seal(&mut to_seal.job()));
            let wire: Vec<_> = queue
                .into_iter()
                .map(|to_seal| secy.count_sealed(to_seal.sealed()).octets().to_vec())
                .collect();
            assert_eq!(wire, expected);
            assert_eq!(secy.counters(), alone.counters());

            let mut received = wire.clone();
            *received[3].last_mut().expect("an ICV") ^= 1;
            received.push(user_frame(60)); // needs no engine
            let mut secy = link.receiver(settings);
            let queue: Vec<_> = received
                .iter()
                .map(|wire| secy.admit(Parsed::new(wire.clone(), clear_vlan_tags)).prepare())
                .collect();
            let opened: Vec<_> = queue
                .into_iter()
                .enumerate()
                .map(|(number, to_open)| match to_open {
                    Ok(to_open) if number == 4 => to_open.overrun(),
                    Ok(mut to_open) => {
                        let mut job = to_open.job();
                        engine.open(&mut job);
                        let authentic = job.is_authentic();
                        to_open.opened(authentic)
                    }
                    Err(opened) => opened,
                })
                .collect();
            let verdicts: Vec<_> = opened.into_iter().map(|opened| secy.commit(opened)).collect();
            use ReceiveOutcome::{NoTag, NotValid, Ok as Valid, Overrun};
            let outcomes: Vec<_> = verdicts.iter().map(Verdict::outcome).collect();
            assert_eq!(outcomes, [Valid, Valid, Valid, NotValid, Overrun, NoTag]);
            for (verdict, frame) in verdicts.iter().zip(&frames).take(3) {
                assert_eq!(verdict.delivered(), Some(&frame[..]));
            }
            assert_eq!(secy.counters().frames_in(), 6);
        }
    }
}

/// Not even if the engine left it there.
#[test]
fn what_an_engine_found_forged_is_erased() {
    let link = Link::new(CipherSuite::GcmAes128, common::ENCRYPT);
    let wire = protect(&mut link.sender(config(|_| {})), &user_frame(100));
    let mut secy = link.receiver(config(|_| {}));
    let mut to_open = secy.admit(parsed(&wire)).prepare().expect("an SA is in use");
    to_open.job().text.fill(0x5a);
    let opened = to_open.opened(false);
    let verdict = secy.commit(opened);
    assert_eq!(verdict.outcome(), ReceiveOutcome::NotValid);
    assert!(!verdict.into_buffer().contains(&0x5a));
}

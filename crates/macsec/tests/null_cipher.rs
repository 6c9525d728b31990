//! Octets of all kinds behind a cipher that lets them through: no panic, and every frame counted once.

mod common;

use common::{Link, SENDER, STRANGER, VecSecY, config, sak_octets, with_room};
use macsec::{CipherSuite, ClearVlanTags, Config, ValidateFrames};
use macsec_gcm_null::Null;
use proptest::{prelude::*, sample::select};

fn any_config() -> impl Strategy<Value = Config> {
    let modes =
        select(vec![ValidateFrames::Disabled, ValidateFrames::Check, ValidateFrames::Strict]);
    let clear = select(vec![ClearVlanTags::None, ClearVlanTags::One, ClearVlanTags::Two]);
    let windows = select(vec![0, 1, 64, 1024]);
    let flags = any::<[bool; 5]>();
    (modes, clear, windows, flags).prop_map(|(mode, clear, window, flags)| {
        config(|c| {
            (c.validate_frames, c.clear_vlan_tags, c.replay_window) = (mode, clear, window);
            [
                c.replay_protect,
                c.compat.accept_changed_text,
                c.compat.disabled_decrypts,
                c.detect_duplicates,
                c.always_include_sci,
            ] = flags;
            c.detect_duplicates &= c.replay_protect;
        })
    })
}

/// Octets that often look like a frame, with the tag that the null cipher likes.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let tags = select(vec![vec![], vec![0x81, 0, 0, 1], vec![0x88, 0xa8, 0, 1, 0x81, 0, 0, 2]]);
    let ethertype = select(vec![[0x88, 0xe5], [0x88, 0xe5], [0x88, 0xe5], [0x08, 0x00]]);
    let sl = prop_oneof![Just(0), 1..48_u8, any::<u8>()];
    let pn = prop_oneof![0..20_u32, any::<u32>()];
    let sci = select(vec![SENDER, STRANGER]);
    let data = proptest::collection::vec(any::<u8>(), 0..80);
    let shaped = (tags, ethertype, any::<u8>(), sl, pn, sci, data, any::<bool>()).prop_map(
        |(tags, ethertype, tci_an, sl, pn, sci, data, valid)| {
            let mut frame = common::frame_of(SENDER.mac(), &tags);
            frame.extend(ethertype);
            frame.extend([tci_an, sl]);
            frame.extend(pn.to_be_bytes());
            if tci_an & 0x20 != 0 {
                frame.extend(sci.0);
            }
            let sized = if (1..48).contains(&sl) && valid {
                data.into_iter().chain([0; 48]).take(sl.into()).collect()
            } else {
                data
            };
            frame.extend(sized);
            // That of the key of its AN; keys of both lengths begin alike.
            let icv = sak_octets(CipherSuite::GcmAes128, (tci_an & 3) + 1);
            frame.extend(icv[..16].iter().map(|octet| octet ^ u8::from(!valid)));
            frame
        },
    );
    let cut = (shaped.clone(), any::<proptest::sample::Index>()).prop_map(|(mut frame, at)| {
        frame.truncate(at.index(frame.len() + 1));
        frame
    });
    let noise = proptest::collection::vec(any::<u8>(), 0..200);
    prop_oneof![6 => shaped, 1 => cut, 1 => noise]
}

fn receiver(suite: CipherSuite, encrypted: bool, config: Config) -> VecSecY<Null> {
    let mode = if encrypted { common::ENCRYPT } else { common::INTEGRITY };
    let mut secy = Link::new(suite, mode).receiver_on(Null, SENDER, config);
    // Every AN of the known SC has a key, so that most frames get somewhere.
    for number in 2..=4 {
        let link = Link { an: common::an(number - 1), ..Link::new(suite, mode) };
        let key = common::data_key(suite, number);
        secy.install_key(&key).expect("room");
        let mut sa = link.receive_sa();
        sa.ki = common::ki(number);
        secy.install_receive_sa(SENDER, &sa).expect("fits");
        secy.enable_receive_sa(SENDER, link.an).expect("there");
    }
    secy
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn whatever_comes_has_one_outcome_and_no_panic(
        config in any_config(),
        suite in select(CipherSuite::ALL.to_vec()),
        frames in proptest::collection::vec(any_frame(), 0..100),
    ) {
        let mut single = receiver(suite, true, config);
        let mut batch = receiver(suite, true, config);
        let mut one_by_one = Vec::new();
        for (number, frame) in (1..).zip(&frames) {
            let verdict = single.validate(frame.clone());
            let (outcome, delivered) = (verdict.outcome(), verdict.delivered());
            prop_assert_eq!(delivered.is_some(), outcome.is_delivered());
            if let Some(delivered) = delivered {
                prop_assert!(delivered.len() <= frame.len() && delivered.len() > 12);
            }
            prop_assert_eq!(single.counters().frames_in(), number);
            one_by_one.push((outcome, delivered.map(<[u8]>::to_vec)));
        }
        let delivered = one_by_one.iter().filter(|(_, d)| d.is_some()).count() as u64;
        let counters = single.counters();
        prop_assert_eq!(counters.discarded_in(), counters.frames_in() - delivered);
        let mut together = Vec::new();
        batch.validate_batch(frames, |verdict| {
            together.push((verdict.outcome(), verdict.delivered().map(<[u8]>::to_vec)));
        });
        prop_assert_eq!(one_by_one, together);
        prop_assert_eq!(counters, batch.counters());
    }

    #[test]
    fn whatever_is_to_be_sent_has_one_outcome_and_no_panic(
        config in any_config(),
        suite in select(CipherSuite::ALL.to_vec()),
        frames in proptest::collection::vec(any_frame(), 0..50),
    ) {
        let link = Link::new(suite, common::ENCRYPT).at_pn(suite.max_pn() - 30);
        let mut secy = link.sender_on(Null, SENDER, config);
        for (number, frame) in (1..).zip(&frames) {
            let sent = secy.protect(with_room(frame));
            prop_assert_eq!(sent.is_ok(), frame.len() > 12 && number <= 31);
            prop_assert_eq!(secy.counters().frames_out(), number);
        }
    }
}

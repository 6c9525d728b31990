//! What holds for every frame: round trips, forgeries, batches, sums.

mod common;

use common::{
    Link, RawFrame, SENDER, STRANGER, VecSecY, an, bare_secy, config, protect, user_data,
};
use macsec::{
    CipherSuite, ClearVlanTags, Confidentiality, Config, Portable, ReceiveOutcome, ReceiveSa, Sci,
    ValidateFrames,
};
use proptest::{prelude::*, sample::select};

/// Every suite with every mode that it has.
fn suites_and_modes() -> Vec<(CipherSuite, Confidentiality)> {
    let modes = |suite: CipherSuite| match suite.is_xpn() {
        false => vec![common::INTEGRITY, common::ENCRYPT, common::ENCRYPT_30, common::ENCRYPT_50],
        true => vec![common::INTEGRITY, common::ENCRYPT],
    };
    let suites = CipherSuite::ALL.into_iter();
    suites.flat_map(|suite| modes(suite).into_iter().map(move |mode| (suite, mode))).collect()
}

/// Every way to name the SC, with an SCI that suits it.
fn codings() -> [(Sci, Config); 5] {
    let broadcaster = Sci::new(SENDER.mac(), 0);
    [
        (SENDER, config(|_| {})),
        (SENDER, config(|c| c.always_include_sci = true)),
        (SENDER, config(|c| c.use_es = true)),
        (SENDER, config(|c| c.use_scb = true)),
        (broadcaster, config(|c| (c.use_es, c.use_scb) = (true, true))),
    ]
}

fn round_trip(sender: &mut VecSecY, receiver: &mut VecSecY, frame: &[u8]) {
    let wire = protect(sender, frame);
    let verdict = receiver.validate(wire);
    assert_eq!(verdict.outcome(), ReceiveOutcome::Ok, "{}", frame.len());
    assert!(verdict.delivered() == Some(frame), "{}", frame.len());
}

#[test]
fn every_length_from_1_to_9600_comes_back_in_every_suite_and_mode() {
    let longest = common::frame_of(SENDER.mac(), &user_data(9600));
    for (suite, mode) in suites_and_modes() {
        let link = Link::new(suite, mode);
        let mut sender = link.sender(config(|_| {}));
        let mut receiver = link.receiver(config(|_| {}));
        for len in 1..=9600 {
            round_trip(&mut sender, &mut receiver, &longest[..12 + len]);
        }
        let counters = receiver.counters();
        assert_eq!(counters.receive_scs.in_pkts_ok, 9600);
        let octets =
            counters.verification.in_octets_validated + counters.verification.in_octets_decrypted;
        assert_eq!(octets, 9600 * 9601 / 2);
    }
}

#[test]
fn short_lengths_come_back_in_every_coding_of_the_sci() {
    for (suite, mode) in suites_and_modes() {
        for (sci, config) in codings() {
            let link = Link::new(suite, mode);
            let mut sender = link.sender_on(Portable, sci, config);
            let mut receiver = link.receiver_on(Portable, sci, Config::default());
            for len in (1..=200).chain([1500, 9000, 9600]) {
                let frame = common::user_frame(len);
                round_trip(&mut sender, &mut receiver, &frame);
            }
        }
    }
}

/// Strict, with nothing else to hide behind: a window that holds everything.
fn strict_receiver(link: Link, sci: Sci) -> VecSecY {
    let wide = config(|c| c.replay_window = 1 << 20);
    link.receiver_on(Portable, sci, wide)
}

#[test]
fn not_one_bit_of_a_frame_can_be_flipped() {
    for (suite, mode) in suites_and_modes() {
        for (sci, config) in codings() {
            for len in [1, 40, 47, 48, 100] {
                let link = Link::new(suite, mode).at_pn(7);
                let mut sender = link.sender_on(Portable, sci, config);
                let wire = protect(&mut sender, &common::user_frame(len));
                let mut receiver = strict_receiver(link, sci);
                for bit in 0..wire.len() * 8 {
                    let mut forged = wire.clone();
                    forged[bit / 8] ^= 1 << (bit % 8);
                    let verdict = receiver.validate(forged);
                    let outcome = verdict.outcome();
                    assert!(!outcome.is_delivered(), "{suite} {len} {bit} {outcome}");
                    assert!(verdict.delivered().is_none() && verdict.range().is_empty());
                }
                // None of that has spoiled the frame itself.
                assert_eq!(receiver.validate(wire).outcome(), ReceiveOutcome::Ok);
            }
        }
    }
}

fn any_suite_and_mode() -> impl Strategy<Value = (CipherSuite, Confidentiality)> {
    select(suites_and_modes())
}

/// A frame for the mixed batches: what it is made from, and what is done to it.
#[derive(Clone, Debug)]
struct Arrival {
    /// Which of the three peers; the last is unknown.
    peer: usize,
    tci: u8,
    pn: u64,
    len: usize,
    damage: Option<prop::sample::Index>,
    untagged: bool,
}

fn any_arrival() -> impl Strategy<Value = Arrival> {
    let tci = select(vec![
        0x20, 0x20, 0x20, 0x2c, 0x2c, 0x2c, 0x24, 0x28, 0x0c, 0x4c, 0x21, 0x2d, 0x2e, 0xac,
    ]);
    let near = 0..40_u64;
    let far = select(vec![1 << 31, (1 << 31) + 9, 1 << 32, (1 << 32) + 3]);
    let pn = prop_oneof![9 => near, 1 => far];
    let damage = proptest::option::weighted(0.15, any::<prop::sample::Index>());
    let untagged = prop::bool::weighted(0.1);
    (0..3_usize, tci, pn, 1..120_usize, damage, untagged).prop_map(
        |(peer, tci, pn, len, damage, untagged)| Arrival { peer, tci, pn, len, damage, untagged },
    )
}

const PEERS: [Sci; 3] = [SENDER, Sci([0x02, 0, 0, 0, 0, 0x07, 0, 1]), STRANGER];

impl Arrival {
    /// AN 0 has key 1 and AN 1 key 2, for both known peers. AN 2 does not exist.
    fn wire(&self, suite: CipherSuite, first_pn: u64) -> Vec<u8> {
        if self.untagged {
            return common::user_frame(self.len);
        }
        let pn = first_pn.wrapping_add(self.pn);
        let mut raw = RawFrame::new(suite, true, pn, &user_data(self.len));
        raw.sci = PEERS[self.peer];
        raw.source = raw.sci.mac();
        raw.ssci = 1 + self.peer as u32;
        raw.tci_an = self.tci;
        raw.key = 1 + (self.tci & 3);
        let mut wire = raw.build();
        if let Some(at) = &self.damage {
            let bit = at.index(wire.len() * 8);
            wire[bit / 8] ^= 1 << (bit % 8);
        }
        wire
    }
}

fn mixed_receiver(suite: CipherSuite, first_pn: u64, config: Config) -> VecSecY {
    let mut secy = bare_secy(Portable, common::RECEIVER, config);
    for key in [1, 2] {
        secy.install_key(&common::data_key(suite, key)).expect("room");
    }
    for (number, sci) in (1..).zip(&PEERS[..2]) {
        secy.create_receive_sc(*sci).expect("room");
        for key in [1, 2] {
            let sa = ReceiveSa {
                an: an(key - 1),
                ki: common::ki(key),
                ssci: common::ssci(suite, number),
                ..Link::new(suite, common::ENCRYPT).at_pn(first_pn).receive_sa()
            };
            secy.install_receive_sa(*sci, &sa).expect("fits");
            secy.enable_receive_sa(*sci, an(key - 1)).expect("there");
        }
    }
    secy
}

fn any_controls() -> impl Strategy<Value = Config> {
    let modes = select(vec![
        ValidateFrames::Null,
        ValidateFrames::Disabled,
        ValidateFrames::Check,
        ValidateFrames::Strict,
        ValidateFrames::Strict,
    ]);
    let windows = select(vec![0, 3, 16, 1000]);
    (modes, windows, any::<[bool; 4]>()).prop_map(|(mode, window, flags)| {
        config(|c| {
            (c.validate_frames, c.replay_window) = (mode, window);
            c.replay_protect = flags[0];
            c.detect_duplicates = flags[0] && flags[1];
            c.compat.accept_changed_text = flags[2];
            c.compat.disabled_decrypts = flags[3];
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_frame_comes_back(
        (suite, mode) in any_suite_and_mode(),
        (sci, config) in select(codings().to_vec()),
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..2000), 1..8),
    ) {
        let link = Link::new(suite, mode);
        let mut sender = link.sender_on(Portable, sci, config);
        let mut receiver = link.receiver_on(Portable, sci, Config::default());
        for payload in payloads {
            let frame = common::frame_of(SENDER.mac(), &payload);
            round_trip(&mut sender, &mut receiver, &frame);
        }
    }

    #[test]
    fn no_damaged_frame_is_delivered(
        (suite, mode) in any_suite_and_mode(),
        (sci, config) in select(codings().to_vec()),
        len in 1..1600_usize,
        flips in prop::collection::vec(any::<prop::sample::Index>(), 1..6),
    ) {
        let link = Link::new(suite, mode);
        let mut sender = link.sender_on(Portable, sci, config);
        let wire = protect(&mut sender, &common::user_frame(len));
        let mut forged = wire.clone();
        for flip in flips {
            let bit = flip.index(wire.len() * 8);
            forged[bit / 8] ^= 1 << (bit % 8);
        }
        prop_assume!(forged != wire);
        let mut receiver = strict_receiver(link, sci);
        let verdict = receiver.validate(forged);
        prop_assert!(!verdict.outcome().is_delivered(), "{}", verdict.outcome());
        prop_assert_eq!(verdict.delivered(), None);
        prop_assert_eq!(receiver.counters().frames_in(), 1);
    }

    #[test]
    fn a_batch_is_the_same_as_its_frames_one_by_one(
        suite in select(CipherSuite::ALL.to_vec()),
        near_wrap in any::<bool>(),
        config in any_controls(),
        arrivals in prop::collection::vec(any_arrival(), 1..100),
        cut in any::<prop::sample::Index>(),
    ) {
        let first_pn = match (suite.is_xpn(), near_wrap) {
            (true, true) => (1 << 32) - 15,
            (true, false) => (1 << 31) - 15,
            (false, true) => u64::from(u32::MAX) - 20,
            (false, false) => 1,
        };
        let wires: Vec<_> = arrivals.iter().map(|a| a.wire(suite, first_pn)).collect();
        let mut single = mixed_receiver(suite, first_pn, config);
        let mut batch = mixed_receiver(suite, first_pn, config);
        let expected: Vec<_> = wires.iter().map(|w| common::validate(&mut single, w)).collect();
        let mut received = Vec::new();
        // In two batches, of any size.
        let (first, second) = wires.split_at(cut.index(wires.len()));
        for part in [first, second] {
            batch.validate_batch(part.to_vec(), |verdict| {
                received.push((verdict.outcome(), verdict.delivered().map(<[u8]>::to_vec)));
            });
        }
        prop_assert_eq!(expected, received);
        prop_assert_eq!(single.counters(), batch.counters());
        let counted = match config.validate_frames {
            ValidateFrames::Null => 0,
            _ => wires.len() as u64,
        };
        prop_assert_eq!(batch.counters().frames_in(), counted);
        for sci in &PEERS[..2] {
            prop_assert_eq!(single.receive_sc_counters(*sci), batch.receive_sc_counters(*sci));
            for an in macsec::An::ALL {
                prop_assert_eq!(single.receive_sa(*sci, an), batch.receive_sa(*sci, an));
            }
        }
    }

    #[test]
    fn a_batch_is_protected_as_its_frames_one_by_one(
        (suite, mode) in any_suite_and_mode(),
        left in prop_oneof![Just(1000), 0..60_u64],
        lens in prop::collection::vec((0..150_usize, 1..4_u8), 1..100),
        clear in select(vec![ClearVlanTags::None, ClearVlanTags::Two]),
    ) {
        let link = Link::new(suite, mode).at_pn(suite.max_pn() - left);
        let config = config(|c| {
            (c.use_es, c.clear_vlan_tags, c.max_frame_octets) = (true, clear, 150);
        });
        let frames: Vec<_> = lens
            .iter()
            .map(|(len, source)| {
                let mut mac = SENDER.mac();
                mac.0[5] = (*source).min(2);
                common::frame_of(mac, &user_data(*len))
            })
            .collect();
        let mut single = link.sender(config);
        let mut batch = link.sender(config);
        let expected: Vec<_> = frames.iter().map(|f| common::try_protect(&mut single, f)).collect();
        let mut sent = Vec::new();
        batch.protect_batch(frames.iter().map(|f| common::with_room(f)), |result| {
            sent.push(result.map(|s| s.octets().to_vec()).map_err(|r| r.error));
        });
        prop_assert_eq!(expected, sent);
        prop_assert_eq!(single.counters(), batch.counters());
        prop_assert_eq!(batch.counters().frames_out(), frames.len() as u64);
        prop_assert_eq!(single.transmit_sa(an(0)), batch.transmit_sa(an(0)));
    }

    #[test]
    fn every_frame_counts_once_whatever_it_is(
        config in any_controls(),
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..150), 0..60),
    ) {
        prop_assume!(config.validate_frames != ValidateFrames::Null);
        let mut secy = mixed_receiver(CipherSuite::GcmAes256, 1, config);
        for (number, frame) in (1..).zip(frames) {
            drop(secy.validate(frame));
            prop_assert_eq!(secy.counters().frames_in(), number);
        }
    }
}

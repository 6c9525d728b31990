//! How a SecTAG names its SC: explicit, end station, single copy broadcast, point-to-point.

mod common;

use common::{
    Link, RawFrame, SENDER, STRANGER, VecSecY, bare_secy, config, counters, data_key, frame_of,
    outcome, user_data, user_frame, validate,
};
use macsec::{
    CipherSuite, Config, ConfigError, KeySlot, MacAddress, MissingSa, Portable, ProtectError,
    ReceiveOutcome, ReceiveScSlot, Sci, SecTag, SecY, TagSci, ValidateFrames,
};

const SUITE: CipherSuite = CipherSuite::GcmAes128;
const BROADCASTER: Sci = Sci([0x02, 0, 0, 0, 0, 0x01, 0, 0]);
const UNKNOWN: ReceiveOutcome = ReceiveOutcome::NoSaError(MissingSa::UnknownSci);

fn link() -> Link {
    Link::new(SUITE, common::ENCRYPT)
}

/// A sender with this many receive SCs.
fn sender(sci: Sci, peers: u8, config: Config) -> VecSecY {
    let mut secy = link().sender_on(Portable, sci, config);
    for peer in 0..peers {
        secy.create_receive_sc(Sci::new(MacAddress([4; 6]), peer.into())).expect("room");
    }
    secy
}

fn tag_of(wire: &[u8]) -> SecTag {
    SecTag::parse(&wire[12..]).expect("a valid tag")
}

/// (config, SCI, receive SCs) => TCI bits, and how the peer learns the SCI.
#[test]
fn the_tag_names_the_sc_as_the_controls_and_the_number_of_peers_say() {
    let plain = config(|_| {});
    let always = config(|c| c.always_include_sci = true);
    let es = config(|c| c.use_es = true);
    let scb = config(|c| c.use_scb = true);
    let both = config(|c| (c.use_es, c.use_scb) = (true, true));
    for peers in 0..=2 {
        for (config, sci, expected) in [
            (
                plain,
                SENDER,
                if peers > 1 { TagSci::Explicit(SENDER) } else { TagSci::PointToPoint },
            ),
            (always, SENDER, TagSci::Explicit(SENDER)),
            (es, SENDER, TagSci::EndStation),
            (scb, SENDER, TagSci::Broadcast),
            (both, BROADCASTER, TagSci::EndStationBroadcast),
        ] {
            let mut secy = sender(sci, peers, config);
            let wire = common::protect(&mut secy, &user_frame(60));
            let what = format!("{peers} {config:?}");
            assert_eq!(tag_of(&wire).sci, expected, "{what}");
            let tci = match expected {
                TagSci::Explicit(_) => 0x2c,
                TagSci::EndStation => 0x4c,
                TagSci::EndStationBroadcast => 0x5c,
                TagSci::Broadcast => 0x1c,
                TagSci::PointToPoint => 0x0c,
            };
            assert_eq!(wire[14], tci, "{what}");
            let raw =
                RawFrame { tci_an: tci, sci, ..RawFrame::new(SUITE, true, 1, &user_data(60)) };
            assert_eq!(wire, raw.build(), "{what}");
            let explicit = matches!(expected, TagSci::Explicit(_));
            assert_eq!(secy.including_sci(), explicit, "{what}");
            // The peer, who has but this one receive SC, understands each of them.
            let mut peer = link().receiver_on(Portable, sci, Config::default());
            let received = validate(&mut peer, &wire);
            assert_eq!(received, (ReceiveOutcome::Ok, Some(user_frame(60))));
        }
    }
}

#[test]
fn the_tag_changes_with_the_number_of_peers() {
    let mut secy = sender(SENDER, 1, config(|_| {}));
    assert!(!secy.including_sci());
    secy.create_receive_sc(STRANGER).expect("room");
    assert!(secy.including_sci());
    secy.delete_receive_sc(STRANGER).expect("it is there");
    assert!(!secy.including_sci());
}

/// What a receiver with 0, 1 or 2 receive SCs makes of each form.
#[test]
fn frames_without_sci_are_for_a_lone_sc_only() {
    let forms =
        [(0x2c, SENDER), (0x4c, SENDER), (0x5c, BROADCASTER), (0x1c, SENDER), (0x0c, SENDER)];
    for (tci_an, sci) in forms {
        let raw = RawFrame { tci_an, sci, ..RawFrame::new(SUITE, true, 1, &user_data(60)) };
        let (wire, names_itself) = (raw.build(), !matches!(tci_an, 0x1c | 0x0c));
        // None.
        let mut none = bare_secy(Portable, common::RECEIVER, Config::default());
        none.install_key(&data_key(SUITE, 1)).expect("key");
        assert_eq!(validate(&mut none, &wire), (UNKNOWN, None), "{tci_an:x}");
        let missing = counters(|c| {
            c.verification.in_pkts_no_sa_error = 1;
            c.local.in_no_sci = 1;
        });
        assert_eq!(none.counters(), missing);
        // One.
        let mut one = link().receiver_on(Portable, sci, Config::default());
        assert_eq!(outcome(&mut one, &wire), ReceiveOutcome::Ok, "{tci_an:x}");
        // Two.
        let mut two = link().receiver_on(Portable, sci, Config::default());
        two.create_receive_sc(STRANGER).expect("room");
        let expected = if names_itself { ReceiveOutcome::Ok } else { UNKNOWN };
        assert_eq!(outcome(&mut two, &wire), expected, "{tci_an:x}");
        // Down to one again.
        two.delete_receive_sc(STRANGER).expect("it is there");
        let next = RawFrame { pn: 2, ..raw }.build();
        assert_eq!(outcome(&mut two, &next), ReceiveOutcome::Ok, "{tci_an:x}");
    }
}

#[test]
fn an_end_stations_sci_is_its_source_address_with_port_one() {
    for (tci_an, port) in [(0x4c, 1), (0x5c, 0)] {
        for other in [0, 1, 2, 0x100, 0xffff] {
            let sci = Sci::new(SENDER.mac(), other);
            let raw = RawFrame { tci_an, sci, ..RawFrame::new(SUITE, true, 1, &user_data(60)) };
            let mut receiver = link().receiver_on(Portable, sci, Config::default());
            let expected = if other == port { ReceiveOutcome::Ok } else { UNKNOWN };
            let received = outcome(&mut receiver, &raw.build());
            assert_eq!(received, expected, "{tci_an:x} port {other}");
        }
    }
}

#[test]
fn an_explicit_sci_need_not_match_the_source_address() {
    let raw = RawFrame { source: STRANGER.mac(), ..RawFrame::new(SUITE, true, 1, &user_data(60)) };
    let mut receiver = link().receiver(Config::default());
    let received = validate(&mut receiver, &raw.build());
    assert_eq!(received, (ReceiveOutcome::Ok, Some(raw.plain())));
}

/// In an unencrypted frame for nobody, both lengths of tag are stripped.
#[test]
fn unencrypted_frames_of_unknown_scs_are_delivered_stripped_unless_strict() {
    for tci_an in [0x20, 0x40, 0x50, 0x10, 0x00] {
        let raw =
            RawFrame { tci_an, sci: STRANGER, ..RawFrame::new(SUITE, false, 1, &user_data(60)) };
        for mode in [ValidateFrames::Disabled, ValidateFrames::Check] {
            let config = config(|c| c.validate_frames = mode);
            let mut none = bare_secy(Portable, common::RECEIVER, config);
            let expected = ReceiveOutcome::NoSa(MissingSa::UnknownSci);
            let received = validate(&mut none, &raw.build());
            assert_eq!(received, (expected, Some(raw.plain())), "{tci_an:x}");
        }
    }
}

#[test]
fn with_use_es_a_foreign_source_address_is_refused_and_counted() {
    let es = config(|config| config.use_es = true);
    let mut secy = sender(SENDER, 1, es);
    let ours = user_frame(60);
    let foreign = frame_of(STRANGER.mac(), &user_data(60));
    assert!(common::try_protect(&mut secy, &ours).is_ok());
    for _ in 0..2 {
        let refused = common::try_protect(&mut secy, &foreign);
        assert_eq!(refused, Err(ProtectError::SourceNotSci));
    }
    let counted = counters(|c| {
        c.transmit_sc.out_pkts_encrypted = 1;
        c.generation.out_octets_encrypted = 60;
        c.local.out_source_not_sci = 2;
    });
    assert_eq!(secy.counters(), counted);
    // Without useES a bridge may send for others.
    secy.set_config(config(|_| {})).expect("agrees");
    assert!(common::try_protect(&mut secy, &foreign).is_ok());
}

#[test]
fn controls_that_contradict_each_other_are_refused_at_birth_and_later() {
    let cases: [(Config, Sci, Result<(), ConfigError>); 12] = [
        (
            config(|c| (c.always_include_sci, c.use_es) = (true, true)),
            SENDER,
            Err(ConfigError::SciTwice),
        ),
        (
            config(|c| (c.always_include_sci, c.use_scb) = (true, true)),
            SENDER,
            Err(ConfigError::SciTwice),
        ),
        (config(|c| c.use_es = true), SENDER, Ok(())),
        (config(|c| c.use_es = true), BROADCASTER, Err(ConfigError::EsPort)),
        (config(|c| (c.use_es, c.use_scb) = (true, true)), SENDER, Err(ConfigError::EsPort)),
        (config(|c| (c.use_es, c.use_scb) = (true, true)), BROADCASTER, Ok(())),
        (config(|c| c.use_scb = true), SENDER, Ok(())),
        (config(|c| c.use_scb = true), BROADCASTER, Ok(())),
        (config(|c| c.always_include_sci = true), BROADCASTER, Ok(())),
        (
            config(|c| (c.detect_duplicates, c.replay_protect) = (true, false)),
            SENDER,
            Err(ConfigError::DuplicateWindow),
        ),
        (
            config(|c| (c.detect_duplicates, c.replay_window) = (true, 1025)),
            SENDER,
            Err(ConfigError::DuplicateWindow),
        ),
        (config(|c| (c.detect_duplicates, c.replay_window) = (true, 1024)), SENDER, Ok(())),
    ];
    for (config, sci, expected) in cases {
        let keys: [KeySlot<<Portable as macsec::Backend>::Key>; 0] = [];
        let peers: [ReceiveScSlot; 0] = [];
        let born = SecY::new(Portable, sci, config, keys, peers).map(drop);
        assert_eq!(born, expected, "{sci} {config:?}");
        let mut secy = bare_secy(Portable, sci, Config::default());
        assert_eq!(secy.set_config(config), expected, "{sci} {config:?}");
        let now = if expected.is_ok() { config } else { Config::default() };
        assert_eq!(*secy.config(), now, "all or nothing");
    }
}

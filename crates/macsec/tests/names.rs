//! What things are called: counters, texts, and what no text may show.

mod common;

use std::collections::BTreeSet;

use common::{Link, SALT, SENDER, an, config, data_key, protect, sak_octets, user_frame};
use macsec::{
    COUNTERS, CipherSuite, ClearVlanTags, ConfigError, CounterScope, Counters, DataKeyError,
    InstallError, KeyError, LifeCycleError, MissingSa, Parsed, ProtectError, ReceiveOutcome, Sak,
    SecTag, SecTagError, TagProtection, TagSci,
};

/// 802.1AE-2018's names and their YANG leaves.
const NAMES: [(&str, &str); 20] = [
    ("InPktsUntagged", "in-pkts-untagged"),
    ("InPktsNoTag", "in-pkts-no-tag"),
    ("InPktsBadTag", "in-pkts-bad-tag"),
    ("InPktsNoSA", "in-pkts-no-sa"),
    ("InPktsNoSAError", "in-pkts-no-sa-error"),
    ("InPktsOverrun", "in-pkts-overrun"),
    ("InOctetsValidated", "in-octets-validated"),
    ("InOctetsDecrypted", "in-octets-decrypted"),
    ("InPktsOK", "in-pkts-ok"),
    ("InPktsUnchecked", "in-pkts-unchecked"),
    ("InPktsDelayed", "in-pkts-delayed"),
    ("InPktsLate", "in-pkts-late"),
    ("InPktsInvalid", "in-pkts-invalid"),
    ("InPktsNotValid", "in-pkts-not-valid"),
    ("OutPktsUntagged", "out-pkts-untagged"),
    ("OutPktsTooLong", "out-pkts-too-long"),
    ("OutOctetsProtected", "out-octets-protected"),
    ("OutOctetsEncrypted", "out-octets-encrypted"),
    ("OutPktsProtected", "out-pkts-protected"),
    ("OutPktsEncrypted", "out-pkts-encrypted"),
];

#[test]
fn the_table_has_the_twenty_counters_of_the_standard_each_once() {
    let table: BTreeSet<_> = COUNTERS.iter().map(|c| (c.name, c.yang)).collect();
    assert_eq!(table, BTreeSet::from(NAMES));
    assert_eq!(COUNTERS.len(), 20);
    for names in [
        COUNTERS.iter().flat_map(|c| c.mib.iter()).collect::<Vec<_>>(),
        COUNTERS.iter().flat_map(|c| c.linux.iter()).collect(),
    ] {
        let unique: BTreeSet<_> = names.iter().collect();
        assert_eq!(unique.len(), names.len(), "{names:?}");
    }
    for counter in COUNTERS {
        assert!(!counter.mib.is_empty() && !counter.linux.is_empty());
        assert!(counter.mib.iter().all(|name| name.starts_with("secy")));
        let expected = match (counter.name.starts_with("Out"), counter.name) {
            (true, "OutPktsProtected" | "OutPktsEncrypted") => CounterScope::TransmitSc,
            (true, _) => CounterScope::Generation,
            (
                false,
                "InPktsOK" | "InPktsUnchecked" | "InPktsDelayed" | "InPktsLate" | "InPktsInvalid"
                | "InPktsNotValid",
            ) => CounterScope::ReceiveSc,
            (false, _) => CounterScope::Verification,
        };
        assert_eq!(counter.scope, expected, "{}", counter.name);
    }
}

/// Each counter set to a value of its own is read by the entry of its own name.
#[test]
fn every_entry_reads_its_own_counter() {
    let counters = common::counters(|c| {
        let v = &mut c.verification;
        (v.in_pkts_untagged, v.in_pkts_no_tag, v.in_pkts_bad_tag) = (1, 2, 3);
        (v.in_pkts_no_sa, v.in_pkts_no_sa_error, v.in_pkts_overrun) = (4, 5, 6);
        (v.in_octets_validated, v.in_octets_decrypted) = (7, 8);
        let r = &mut c.receive_scs;
        (r.in_pkts_ok, r.in_pkts_unchecked, r.in_pkts_delayed) = (9, 10, 11);
        (r.in_pkts_late, r.in_pkts_invalid, r.in_pkts_not_valid) = (12, 13, 14);
        let g = &mut c.generation;
        (g.out_pkts_untagged, g.out_pkts_too_long) = (15, 16);
        (g.out_octets_protected, g.out_octets_encrypted) = (17, 18);
        let t = &mut c.transmit_sc;
        (t.out_pkts_protected, t.out_pkts_encrypted) = (19, 20);
    });
    for (expected, (name, _)) in (1..).zip(NAMES) {
        let entry = COUNTERS.iter().find(|c| c.name == name).expect(name);
        assert_eq!((entry.value)(&counters), expected, "{name}");
        assert_eq!((entry.value)(&Counters::default()), 0);
    }
    // The sums leave none out and take none twice.
    assert_eq!(counters.in_errors(), 3 + 5 + 14);
    assert_eq!(counters.in_discards(), 2 + 6 + 12);
    assert_eq!(counters.out_errors(), 16);
    assert_eq!(counters.discarded_in(), 22 + 20);
    assert_eq!(counters.frames_in(), 42 + 1 + 4 + 9 + 10 + 11 + 13);
    assert_eq!(counters.frames_out(), 15 + 16 + 19 + 20);
}

#[test]
fn every_text_is_one_short_line() {
    let mut texts: Vec<String> = Vec::new();
    let sectag = [
        SecTagError::Truncated,
        SecTagError::EtherType,
        SecTagError::Version,
        SecTagError::SciTwice,
        SecTagError::ReservedBits,
        SecTagError::ShortLengthRange,
        SecTagError::PnZero,
        SecTagError::ChangedText,
        SecTagError::TooShort,
        SecTagError::TooLong,
    ];
    let missing = [MissingSa::UnknownSci, MissingSa::SaNotInUse];
    texts.extend(sectag.iter().map(ToString::to_string));
    texts.extend(sectag.map(|e| ReceiveOutcome::BadTag(e).to_string()));
    texts.extend(missing.map(|m| ReceiveOutcome::NoSa(m).to_string()));
    texts.extend(missing.map(|m| ReceiveOutcome::NoSaError(m).to_string()));
    let plain = [
        ReceiveOutcome::Null,
        ReceiveOutcome::Untagged,
        ReceiveOutcome::Unchecked,
        ReceiveOutcome::Delayed,
        ReceiveOutcome::Ok,
        ReceiveOutcome::Invalid,
        ReceiveOutcome::NoTag,
        ReceiveOutcome::ReservedTci,
        ReceiveOutcome::Late,
        ReceiveOutcome::Duplicate,
        ReceiveOutcome::Overrun,
        ReceiveOutcome::NotValid,
        ReceiveOutcome::Runt,
    ];
    texts.extend(plain.iter().map(ToString::to_string));
    let protect = [
        ProtectError::NoTransmitSa,
        ProtectError::PnExhausted,
        ProtectError::PnWithheld,
        ProtectError::TooLong,
        ProtectError::SourceNotSci,
        ProtectError::Runt,
        ProtectError::NoHeadroom,
        ProtectError::NoTailroom,
        ProtectError::ForeignPn,
    ];
    texts.extend(protect.iter().map(ToString::to_string));
    let key = [
        KeyError::KiInUse,
        KeyError::SakInUse,
        KeyError::NoFreeSlot,
        KeyError::UnknownKi,
        KeyError::InUseBySa,
    ];
    texts.extend(key.iter().map(ToString::to_string));
    let controls = [
        ConfigError::SciTwice,
        ConfigError::EsPort,
        ConfigError::DuplicateWindow,
        ConfigError::XpnReplayWindow,
    ];
    texts.extend(controls.iter().map(ToString::to_string));
    let install = [
        InstallError::NoSuchSc,
        InstallError::AnInUse,
        InstallError::NonceInUse,
        InstallError::PnRegress,
        InstallError::PnRange,
        InstallError::SsciMissing,
        InstallError::SsciUnexpected,
        InstallError::XpnOffset,
        InstallError::TooManyInstallations,
    ];
    texts.extend(install.iter().map(ToString::to_string));
    let life_cycle = [
        LifeCycleError::ScExists,
        LifeCycleError::NoFreeSlot,
        LifeCycleError::NoSuchSa,
        LifeCycleError::OtherKey,
    ];
    texts.extend(life_cycle.iter().map(ToString::to_string));
    let data_key =
        [DataKeyError::SakLength, DataKeyError::SaltMissing, DataKeyError::SaltUnexpected];
    texts.extend(data_key.iter().map(ToString::to_string));
    for text in &texts {
        assert!((5..=90).contains(&text.len()), "{text}");
        assert!(text.chars().all(|c| c == ' ' || c.is_ascii_graphic()), "{text}");
        assert!(!text.ends_with('.') && *text == text.trim(), "{text}");
    }
    let unique: BTreeSet<_> = texts.iter().collect();
    assert_eq!(unique.len(), texts.len(), "each has a text of its own");
    // Errors inside errors speak for themselves.
    for error in key {
        assert_eq!(InstallError::Key(error).to_string(), error.to_string());
    }
    for error in controls {
        assert_eq!(InstallError::Config(error).to_string(), error.to_string());
    }
}

#[test]
fn a_sectag_reads_like_a_dissection() {
    let tag = |sci, protection, short_length| {
        let (an, pn) = (an(2), 17);
        let tag = SecTag { sci, protection, an, short_length, pn };
        tag.to_string()
    };
    let explicit = TagSci::Explicit(SENDER);
    for (text, expected) in [
        (
            tag(explicit, TagProtection::Encrypted, 0),
            "MACsec AN 2 PN 17 SCI 02-00-00-00-00-01-0001 encrypted",
        ),
        (
            tag(TagSci::EndStation, TagProtection::IntegrityOnly, 42),
            "MACsec AN 2 PN 17 ES SL 42 integrity only",
        ),
        (
            tag(TagSci::EndStationBroadcast, TagProtection::ChangedText, 0),
            "MACsec AN 2 PN 17 ES SCB changed text",
        ),
        (tag(TagSci::Broadcast, TagProtection::Reserved, 0), "MACsec AN 2 PN 17 SCB reserved"),
        (
            tag(TagSci::PointToPoint, TagProtection::Encrypted, 1),
            "MACsec AN 2 PN 17 SL 1 encrypted",
        ),
    ] {
        assert_eq!(text, expected);
    }
}

/// `text` shows no four octets of `secret` in a row, in hexadecimal or as a list of numbers.
fn shows(text: &str, secret: &[u8]) -> bool {
    secret.windows(4).any(|part| {
        let list: Vec<_> = part.iter().map(ToString::to_string).collect();
        let hex_list: Vec<_> = part.iter().map(|o| format!("{o:#x}")).collect();
        let forms =
            [hex::encode(part), hex::encode_upper(part), list.join(", "), hex_list.join(", ")];
        let bare: String = text.split_whitespace().collect();
        forms
            .iter()
            .any(|form| text.contains(form.as_str()) || bare.contains(&form.replace(' ', "")))
    })
}

#[test]
fn no_debug_text_shows_a_secret() {
    let suite = CipherSuite::GcmAesXpn256;
    let key_octets = sak_octets(suite, 1);
    assert!(shows(&format!("{key_octets:?}"), &key_octets), "it would see it");
    assert!(shows(&format!("{key_octets:#?}"), &key_octets));
    let sak = Sak::new(&key_octets).expect("32");
    assert_eq!(format!("{sak:?}"), "Sak(256 bits)");
    assert_eq!(format!("{SALT:?}"), "Salt(..)");
    let key = data_key(suite, 1);
    let link = Link::new(suite, common::ENCRYPT);
    let mut sender = link.sender(config(|_| {}));
    let receiver = link.receiver(config(|_| {}));
    let block = sender.reserve(1).expect("plenty");
    for text in [
        format!("{key:?} {key:#?}"),
        format!("{sender:?} {sender:#?}"),
        format!("{receiver:?}"),
        format!("{block:?}"),
        format!("{:?}", sender.transmit_sa(an(0))),
        format!("{:?}", receiver.receive_sa(SENDER, an(0))),
    ] {
        assert!(!shows(&text, &key_octets), "{text}");
        assert!(!shows(&text, &SALT.0), "{text}");
    }
}

/// Regression: the nonce (and so the salt) of a frame in flight could be read from its `Debug` text, and the
/// plaintext of one that was not committed yet.
#[test]
fn frames_in_flight_show_neither_nonce_nor_plaintext() {
    let suite = CipherSuite::GcmAesXpn256;
    let link = Link::new(suite, common::ENCRYPT);
    let wire = protect(&mut link.sender(config(|_| {})), &user_frame(100));
    let receiver = link.receiver(config(|_| {}));
    let admitted = receiver.admit(Parsed::new(wire.clone(), ClearVlanTags::None));
    let nonce = common::RawFrame::new(suite, true, 1, &[]).nonce();
    assert!(!shows(&format!("{admitted:?} {admitted:#?}"), &nonce));
    let opened = receiver.open(Parsed::new(wire, ClearVlanTags::None));
    let text = format!("{opened:?} {opened:#?}");
    assert!(!shows(&text, &nonce), "{text}");
    assert!(!shows(&text, &user_frame(100)), "{text}");
}

/// User data is nobody's business in a log either.
#[test]
fn no_frame_shows_its_octets() {
    let link = Link::new(CipherSuite::GcmAes128, common::ENCRYPT);
    let wire = protect(&mut link.sender(config(|_| {})), &user_frame(100));
    let mut receiver = link.receiver(config(|_| {}));
    let parsed = Parsed::new(user_frame(100), ClearVlanTags::None);
    let refused =
        receiver.protect(common::with_room(&user_frame(100))).expect_err("no transmit SA");
    let verdict = receiver.validate(wire);
    assert!(verdict.delivered().is_some());
    for text in [format!("{parsed:?}"), format!("{refused:?}"), format!("{verdict:?}")] {
        assert!(!shows(&text, &user_frame(100)), "{text}");
        assert!(text.len() < 300, "{text}");
    }
    assert_eq!(refused.to_string(), refused.error.to_string());
}

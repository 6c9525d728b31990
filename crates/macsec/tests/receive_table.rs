//! What becomes of a received frame (802.1AE clause 10.6), row by row, as a table.

mod common;

use common::{
    Link, RECEIVER, RawFrame, SENDER, STRANGER, VecSecY, an, config, counters, data_key, frame_of,
    ki, user_data,
};
use macsec::{
    CipherSuite, ClearVlanTags, Counters, MissingSa, Parsed, ReceiveOutcome, SecTagError,
    ValidateFrames, Verdict,
};

/// First accepted PN of the receiver.
const LOWEST: u64 = 10;
const DATA: usize = 64;

/// One row for each kind of frame; what becomes of it in each mode.
///
/// - protection: `int`egrity only, `enc`rypted, or `any`.
/// - replayProtect: `on`, `off` or `any`.
/// - compat: `-` none, `c` accept_changed_text, `d` disabled_decrypts, `cd` both, `any`.
/// - `del`ivered (without SecTAG, ICV and padding, if there is a SecTAG) or `disc`arded.
/// - `+` behind an outcome: User Data is counted in octets, as validated or decrypted.
///
/// With validateFrames Null, every one of these is delivered as it is and counted nowhere.
const TABLE: &str = "
frame                     | prot | replay | compat | Disabled               | Check                  | Strict
untagged                  | any  | any    | any    | del  Untagged          | del  Untagged          | disc NoTag
runt                      | any  | any    | any    | disc Runt              | disc Runt              | disc Runt
reserved                  | enc  | any    | any    | disc ReservedTci       | disc ReservedTci       | disc ReservedTci
reserved+version          | enc  | any    | any    | disc ReservedTci       | disc ReservedTci       | disc ReservedTci
reserved+unknown-sci      | enc  | any    | any    | disc ReservedTci       | disc ReservedTci       | disc ReservedTci
reserved+truncated        | enc  | any    | any    | disc ReservedTci       | disc ReservedTci       | disc ReservedTci
version                   | any  | any    | any    | disc BadTag:Version    | disc BadTag:Version    | disc BadTag:Version
version+unknown-sci       | any  | any    | any    | disc BadTag:Version    | disc BadTag:Version    | disc BadTag:Version
version+late+forged       | any  | any    | any    | disc BadTag:Version    | disc BadTag:Version    | disc BadTag:Version
zero-pn                   | any  | any    | any    | disc BadTag:PnZero     | disc BadTag:PnZero     | disc BadTag:PnZero
zero-pn+unknown-sci       | any  | any    | any    | disc BadTag:PnZero     | disc BadTag:PnZero     | disc BadTag:PnZero
truncated                 | any  | any    | any    | disc BadTag:TooShort   | disc BadTag:TooShort   | disc BadTag:TooShort
changed                   | int  | any    | -      | disc BadTag:Changed    | disc BadTag:Changed    | disc BadTag:Changed
changed                   | int  | any    | d      | disc BadTag:Changed    | disc BadTag:Changed    | disc BadTag:Changed
changed+unknown-sci       | int  | any    | -      | disc BadTag:Changed    | disc BadTag:Changed    | disc BadTag:Changed
changed                   | int  | any    | c      | disc NotValid          | del  Ok+               | del  Ok+
changed                   | int  | any    | cd     | del  Ok+               | del  Ok+               | del  Ok+
changed+forged            | int  | any    | c      | disc NotValid          | disc NotValid          | disc NotValid
changed+forged            | int  | any    | cd     | disc NotValid          | disc NotValid          | disc NotValid
changed+late              | int  | on     | c      | disc Late              | disc Late              | disc Late
changed+late              | int  | off    | cd     | del  Delayed+          | del  Delayed+          | del  Delayed+
changed+unknown-sci       | int  | any    | c      | disc NoSaError:Sci     | disc NoSaError:Sci     | disc NoSaError:Sci
unknown-sci               | int  | any    | any    | del  NoSa:Sci          | del  NoSa:Sci          | disc NoSaError:Sci
unknown-sci               | enc  | any    | any    | disc NoSaError:Sci     | disc NoSaError:Sci     | disc NoSaError:Sci
unknown-sci+late+forged   | int  | any    | any    | del  NoSa:Sci          | del  NoSa:Sci          | disc NoSaError:Sci
no-sa                     | int  | any    | any    | del  NoSa:Sa           | del  NoSa:Sa           | disc NoSaError:Sa
no-sa                     | enc  | any    | any    | disc NoSaError:Sa      | disc NoSaError:Sa      | disc NoSaError:Sa
disabled-sa               | int  | any    | any    | del  NoSa:Sa           | del  NoSa:Sa           | disc NoSaError:Sa
disabled-sa               | enc  | any    | any    | disc NoSaError:Sa      | disc NoSaError:Sa      | disc NoSaError:Sa
disabled-sa+late+forged   | enc  | any    | any    | disc NoSaError:Sa      | disc NoSaError:Sa      | disc NoSaError:Sa
late                      | any  | on     | any    | disc Late              | disc Late              | disc Late
late+forged               | any  | on     | any    | disc Late              | disc Late              | disc Late
late                      | int  | off    | any    | del  Delayed           | del  Delayed+          | del  Delayed+
late                      | enc  | off    | -      | disc NotValid          | del  Delayed+          | del  Delayed+
late                      | enc  | off    | d      | del  Delayed+          | del  Delayed+          | del  Delayed+
late+forged               | int  | off    | any    | del  Delayed           | del  Invalid           | disc NotValid
late+forged               | enc  | off    | any    | disc NotValid          | disc NotValid          | disc NotValid
forged                    | int  | any    | any    | del  Unchecked         | del  Invalid           | disc NotValid
forged                    | enc  | any    | any    | disc NotValid          | disc NotValid          | disc NotValid
good                      | int  | any    | any    | del  Unchecked         | del  Ok+               | del  Ok+
good                      | enc  | any    | -      | disc NotValid          | del  Ok+               | del  Ok+
good                      | enc  | any    | d      | del  Ok+               | del  Ok+               | del  Ok+
padded                    | int  | any    | any    | del  Unchecked         | del  Ok+               | del  Ok+
padded                    | enc  | any    | -      | disc NotValid          | del  Ok+               | del  Ok+
good,overrun              | int  | any    | any    | del  Unchecked         | disc Overrun           | disc Overrun
good,overrun              | enc  | any    | -      | disc NotValid          | disc Overrun           | disc Overrun
good,overrun              | enc  | any    | d      | disc Overrun           | disc Overrun           | disc Overrun
forged,overrun            | enc  | any    | d      | disc Overrun           | disc Overrun           | disc Overrun
late,overrun              | any  | on     | any    | disc Late              | disc Late              | disc Late
untagged,overrun          | any  | any    | any    | del  Untagged          | del  Untagged          | disc NoTag
";

const MODES: [ValidateFrames; 3] =
    [ValidateFrames::Disabled, ValidateFrames::Check, ValidateFrames::Strict];

/// One cell of the table, under one setting.
#[derive(Debug)]
struct Case {
    frame: String,
    encrypted: bool,
    replay_protect: bool,
    changed_text: bool,
    disabled_decrypts: bool,
    mode: ValidateFrames,
    expected: String,
}

/// Every cell under every setting that its row stands for.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for row in TABLE.lines().skip(2) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [frame, prot, replay, compat, expected @ ..] = &cells[..] else {
            panic!("{row}");
        };
        assert_eq!(expected.len(), 3, "{row}");
        let encryptions = match *prot {
            "int" => &[false][..],
            "enc" => &[true],
            "any" => &[false, true],
            _ => panic!("{row}"),
        };
        let protects = match *replay {
            "on" => &[true][..],
            "off" => &[false],
            "any" => &[true, false],
            _ => panic!("{row}"),
        };
        let compats = match *compat {
            "any" => &["-", "c", "d", "cd"][..],
            one => &[one],
        };
        for (&encrypted, &replay_protect) in
            encryptions.iter().flat_map(|e| protects.iter().map(move |p| (e, p)))
        {
            for (compat, (mode, expected)) in
                compats.iter().flat_map(|c| MODES.iter().zip(expected).map(move |m| (c, m)))
            {
                cases.push(Case {
                    frame: (*frame).to_owned(),
                    encrypted,
                    replay_protect,
                    changed_text: compat.contains('c'),
                    disabled_decrypts: compat.contains('d'),
                    mode: *mode,
                    expected: (*expected).to_owned(),
                });
            }
        }
    }
    cases
}

impl Case {
    /// The frame on the wire, and what is left of it without its tag.
    fn octets(&self) -> (Vec<u8>, Vec<u8>) {
        let suite = CipherSuite::GcmAes128;
        let kind = self.frame.split(',').next().unwrap_or_default();
        let traits: Vec<&str> = kind.split('+').collect();
        let known = |t: &&str| {
            [
                "untagged",
                "runt",
                "reserved",
                "version",
                "zero-pn",
                "truncated",
                "changed",
                "unknown-sci",
                "no-sa",
                "disabled-sa",
                "late",
                "forged",
                "good",
                "padded",
            ]
            .contains(t)
        };
        assert!(traits.iter().all(known), "{kind}");
        let has = |name: &str| traits.contains(&name);
        let untagged = frame_of(SENDER.mac(), &user_data(DATA));
        if has("untagged") {
            return (untagged.clone(), untagged);
        }
        if has("runt") {
            return (untagged[..13].to_vec(), Vec::new());
        }
        let data = user_data(if has("padded") { 4 } else { DATA });
        let pn = if has("zero-pn") {
            0
        } else if has("late") {
            LOWEST - 1
        } else {
            LOWEST
        };
        let mut raw = RawFrame::new(suite, self.encrypted, pn, &data);
        if has("unknown-sci") {
            raw.sci = STRANGER;
        }
        if has("no-sa") {
            raw.tci_an |= 1;
        }
        if has("disabled-sa") {
            raw.tci_an |= 2;
            raw.key = 2;
        }
        if has("changed") {
            raw.tci_an |= 0x04;
        }
        if has("version") {
            raw.tci_an |= 0x80;
        }
        if has("reserved") {
            raw.tci_an &= !0x04;
        }
        let mut wire = raw.build();
        if has("forged") {
            // In the User Data, so that delivery of it shows.
            wire[12 + 16 + 2] ^= 0x10;
            raw.user_data[2] ^= 0x10;
        }
        if has("truncated") {
            wire.truncate(12 + 16 + 48 + 16 - 1);
        }
        if has("padded") {
            wire.resize(60, 0);
        }
        (wire, raw.plain())
    }

    fn receiver(&self) -> VecSecY {
        let suite = CipherSuite::GcmAes128;
        let link = Link::new(suite, common::INTEGRITY).at_pn(LOWEST);
        let mut secy = link.receiver(config(|config| {
            config.validate_frames = self.mode;
            config.replay_protect = self.replay_protect;
            config.compat.accept_changed_text = self.changed_text;
            config.compat.disabled_decrypts = self.disabled_decrypts;
        }));
        // AN 2 has a key and an SA, but is not in use. AN 1 and 3 have none.
        secy.install_key(&data_key(suite, 2)).expect("key");
        let mut sa = link.receive_sa();
        (sa.an, sa.ki) = (an(2), ki(2));
        secy.install_receive_sa(SENDER, &sa).expect("SA");
        secy
    }

    /// The outcome, and every counter that should have moved.
    fn outcome(&self, octets: u64) -> (ReceiveOutcome, Counters) {
        let (name, counted) = match self.expected[5..].strip_suffix('+') {
            Some(name) => (name, true),
            None => (&self.expected[5..], false),
        };
        let bad_tag = |error| (ReceiveOutcome::BadTag(error), "BadTag");
        let (sci, sa) = (MissingSa::UnknownSci, MissingSa::SaNotInUse);
        let (outcome, counter) = match name {
            "Untagged" => (ReceiveOutcome::Untagged, name),
            "NoTag" => (ReceiveOutcome::NoTag, name),
            "Runt" => (ReceiveOutcome::Runt, name),
            "ReservedTci" => (ReceiveOutcome::ReservedTci, name),
            "BadTag:Version" => bad_tag(SecTagError::Version),
            "BadTag:PnZero" => bad_tag(SecTagError::PnZero),
            "BadTag:TooShort" => bad_tag(SecTagError::TooShort),
            "BadTag:Changed" => bad_tag(SecTagError::ChangedText),
            "NoSa:Sci" => (ReceiveOutcome::NoSa(sci), name),
            "NoSa:Sa" => (ReceiveOutcome::NoSa(sa), name),
            "NoSaError:Sci" => (ReceiveOutcome::NoSaError(sci), name),
            "NoSaError:Sa" => (ReceiveOutcome::NoSaError(sa), name),
            "Late" => (ReceiveOutcome::Late, name),
            "Overrun" => (ReceiveOutcome::Overrun, name),
            "Delayed" => (ReceiveOutcome::Delayed, name),
            "Unchecked" => (ReceiveOutcome::Unchecked, name),
            "Invalid" => (ReceiveOutcome::Invalid, name),
            "NotValid" => (ReceiveOutcome::NotValid, name),
            "Ok" => (ReceiveOutcome::Ok, name),
            other => panic!("{other}"),
        };
        let moved = counters(|c| {
            let v = &mut c.verification;
            if counted && self.encrypted {
                v.in_octets_decrypted = octets;
            } else if counted {
                v.in_octets_validated = octets;
            }
            match counter {
                "Untagged" => v.in_pkts_untagged = 1,
                "NoTag" => v.in_pkts_no_tag = 1,
                "Runt" => c.local.in_runt = 1,
                "ReservedTci" => c.local.in_reserved_tci = 1,
                "BadTag" => v.in_pkts_bad_tag = 1,
                "NoSa:Sci" => (v.in_pkts_no_sa, c.local.in_unknown_sci) = (1, 1),
                "NoSa:Sa" => v.in_pkts_no_sa = 1,
                "NoSaError:Sci" => (v.in_pkts_no_sa_error, c.local.in_no_sci) = (1, 1),
                "NoSaError:Sa" => v.in_pkts_no_sa_error = 1,
                "Overrun" => v.in_pkts_overrun = 1,
                "Late" => c.receive_scs.in_pkts_late = 1,
                "Delayed" => c.receive_scs.in_pkts_delayed = 1,
                "Unchecked" => c.receive_scs.in_pkts_unchecked = 1,
                "Invalid" => c.receive_scs.in_pkts_invalid = 1,
                "NotValid" => c.receive_scs.in_pkts_not_valid = 1,
                "Ok" => c.receive_scs.in_pkts_ok = 1,
                other => panic!("{other}"),
            }
        });
        (outcome, moved)
    }

    fn check(&self, how: &str, secy: &VecSecY, verdict: &Verdict<Vec<u8>>) {
        let (wire, plain) = self.octets();
        // What stays when the User Data is cut out of `plain`.
        let (outcome, moved) = self.outcome((plain.len().max(12) - 12) as u64);
        assert_eq!(verdict.outcome(), outcome, "{how}: {self:?}");
        let delivered = match &self.expected[..4] {
            "del " => Some(&plain[..]),
            "disc" => None,
            _ => panic!("{self:?}"),
        };
        assert_eq!(verdict.delivered(), delivered, "{how}: {self:?} {wire:x?}");
        assert_eq!(outcome.is_delivered(), delivered.is_some(), "{self:?}");
        assert_eq!(verdict.range().is_empty(), delivered.is_none());
        assert_eq!(secy.counters(), moved, "{how}: {self:?}");
        assert_eq!(moved.frames_in(), 1);
        assert_eq!(moved.discarded_in(), u64::from(delivered.is_none()));

        // Only a frame that was found valid may move the packet numbers.
        let next = if self.expected.contains("Ok") { LOWEST + 1 } else { LOWEST };
        let sa = secy.receive_sa(SENDER, an(0)).expect("the SA");
        assert_eq!((sa.next_pn, sa.lowest_pn), (next, next), "{self:?}");
    }

    fn run(&self) {
        let (wire, _) = self.octets();
        let mut secy = self.receiver();
        let parsed = Parsed::new(wire.clone(), ClearVlanTags::None);
        let admitted = secy.admit(parsed);
        if self.frame.ends_with(",overrun") {
            let verdict = secy.commit(admitted.overrun());
            self.check("overrun", &secy, &verdict);
            return;
        }
        let opened = match secy.key_of(&admitted) {
            Some(key) => admitted.open(key),
            None => admitted.open(&no_key()),
        };
        assert_eq!(secy.counters(), Counters::default(), "{self:?}");
        let verdict = secy.commit(opened);
        self.check("three steps", &secy, &verdict);

        let mut secy = self.receiver();
        let verdict = secy.validate(wire.clone());
        self.check("one call", &secy, &verdict);

        let mut secy = self.receiver();
        let mut verdicts = Vec::new();
        secy.validate_batch([wire.clone()], |verdict| verdicts.push(verdict));
        assert_eq!(verdicts.len(), 1);
        self.check("batch", &secy, &verdicts[0]);
    }
}

/// A key for frames that need none: it must not be asked.
fn no_key() -> impl macsec_gcm::GcmKey {
    struct NotToBeUsed;
    impl macsec_gcm::GcmKey for NotToBeUsed {
        fn seal_batch(&self, _: &mut [macsec_gcm::SealJob<'_>]) {
            panic!("no frame is sealed here");
        }
        fn open_batch(&self, _: &mut [macsec_gcm::OpenJob<'_>]) {
            panic!("this frame needs no key");
        }
    }
    NotToBeUsed
}

#[test]
fn every_cell_of_the_outcome_table_holds() {
    let cases = cases();
    assert!(cases.len() > 900, "{}", cases.len());
    cases.iter().for_each(Case::run);
}

#[test]
fn null_mode_delivers_every_frame_as_it_came_and_counts_none() {
    for case in cases() {
        let null = Case { mode: ValidateFrames::Null, ..case };
        let (wire, _) = null.octets();
        let mut secy = null.receiver();
        let verdict = secy.validate(wire.clone());
        assert_eq!(verdict.outcome(), ReceiveOutcome::Null, "{null:?}");
        assert_eq!(verdict.delivered(), Some(&wire[..]), "{null:?}");
        assert_eq!(secy.counters(), Counters::default(), "{null:?}");
    }
}

#[test]
fn the_table_knows_every_outcome_there_is() {
    let all = cases();
    for name in [
        "Untagged",
        "NoSa:Sci",
        "NoSa:Sa",
        "Unchecked",
        "Delayed",
        "Delayed+",
        "Ok+",
        "Invalid",
        "NoTag",
        "ReservedTci",
        "BadTag:Version",
        "NoSaError:Sci",
        "NoSaError:Sa",
        "Late",
        "Overrun",
        "NotValid",
        "Runt",
    ] {
        let found = all.iter().any(|case| &case.expected[5..] == name);
        assert!(found, "{name}");
    }
}

#[test]
fn a_duplicate_inside_the_window_is_discarded_only_if_asked_for() {
    for detect in [false, true] {
        let link = Link::new(CipherSuite::GcmAes128, common::ENCRYPT);
        let mut secy = link.receiver(config(|config| {
            config.replay_window = 8;
            config.detect_duplicates = detect;
        }));
        let wire = RawFrame::new(link.suite, true, 5, &user_data(DATA)).build();
        assert_eq!(common::outcome(&mut secy, &wire), ReceiveOutcome::Ok);
        let (second, delivered) = common::validate(&mut secy, &wire);
        let (expected, ok, duplicate) =
            if detect { (ReceiveOutcome::Duplicate, 1, 1) } else { (ReceiveOutcome::Ok, 2, 0) };
        assert_eq!((second, delivered.is_none()), (expected, detect));
        let counted = counters(|c| {
            c.receive_scs.in_pkts_ok = ok;
            c.receive_scs.in_duplicate = duplicate;
            c.verification.in_octets_decrypted = ok * DATA as u64;
        });
        assert_eq!(secy.counters(), counted);
        assert_eq!(secy.counters().frames_in(), 2);
        assert_eq!(secy.sci(), RECEIVER);
    }
}

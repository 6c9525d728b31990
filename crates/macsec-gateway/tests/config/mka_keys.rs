//! The keys of `[port.mka]`: one, or a chain of them.

use macsec_gateway::config::{MAX_KEYS, MkaKey, Timestamp};
use mka::Ckn;

use super::*;

/// A file with one port, whose MKA is `lines`, from 5 on.
fn with_mka(lines: &str) -> String {
    port(&format!("[port.mka]\n{lines}"))
}

/// `[[port.mka.key]]`, in as many lines as `lines` and three. The CAK is all of `octet`.
fn key(ckn: &str, octet: u8, lines: &str) -> String {
    let cak = hex::encode([octet; 32]);
    format!("[[port.mka.key]]\nckn = \"{ckn}\"\ncak = \"{cak}\"\n{lines}\n")
}

/// A file with these as the keys of `[port.mka]`.
fn chain(keys: &[String]) -> String {
    with_mka(&keys.concat())
}

#[track_caller]
fn keys(text: &str) -> Vec<MkaKey> {
    let mut config = Place::new().load(text).expect("no fault").config;
    config.ports.remove(0).mka.expect("there").keys
}

/// The warnings of `text`, without those of CAKs in it.
#[track_caller]
fn warnings(text: &str) -> Vec<String> {
    let mut warnings = super::warnings(text);
    warnings.retain(|text| !text.contains("better off in a file of its own"));
    warnings
}

fn instant(text: &str) -> Option<Timestamp> {
    Some(text.parse().expect("an instant"))
}

#[test]
fn the_key_of_the_table_itself_comes_first() {
    let dates = "start = 2026-12-01T00:00:00Z\nend = 2026-12-31T12:00:00+02:00";
    let text = with_mka(&format!("ckn = \"01\"\ncak_file = \"k256\"\n{}", key("02", 2, dates)))
        + &key("03", 3, "fallback = true");
    let keys = keys(&text);
    let ckns = keys.iter().map(|key| key.ckn.octets().to_vec());
    assert_eq!(ckns.collect::<Vec<_>>(), [[1], [2], [3]]);
    assert_eq!((keys[0].start, keys[0].end, keys[0].fallback), (None, None, false));
    let [start, end] = ["2026-12-01T00:00:00Z", "2026-12-31T10:00:00Z"].map(instant);
    assert_eq!((keys[1].start, keys[1].end, keys[1].fallback), (start, end, false));
    assert_eq!((keys[2].start, keys[2].end, keys[2].fallback), (None, None, true));
    assert!(keys[1].cak() == mka::Cak::new(&[2; 32]).expect("a CAK"));
    assert_eq!(warnings(&text), [""; 0]);
}

#[test]
fn a_list_will_do() {
    let keys = keys(&chain(&[key("02", 2, "fallback = false")]));
    let [key] = &keys[..] else { panic!("one: {keys:?}") };
    assert_eq!((key.ckn, key.fallback), (Ckn::new(&[2]).expect("a CKN"), false));
}

#[test]
fn eight_keys_and_no_more() {
    let list = |count: u8| (1..=count).map(|n| key(&format!("{n:02x}"), n, "")).collect::<String>();
    let own = "ckn = \"ff\"\ncak_file = \"k256\"\n";
    assert_eq!(keys(&with_mka(&list(8))).len(), MAX_KEYS);
    assert_eq!(keys(&with_mka(&format!("{own}{}", list(7)))).len(), MAX_KEYS);
    let rule = "key = (an array): at most 8 keys: that of [port.mka], and [[port.mka.key]]";
    check(with_mka(&list(9)), &[&format!(":5: port.wan0.mka.{rule}")]);
    check(with_mka(&format!("{own}{}", list(8))), &[&format!(":7: port.wan0.mka.{rule}")]);
    check(
        with_mka(&format!("{own}key = 1")),
        &[":7: port.wan0.mka.key = 1: at most 8 keys: that \
        of [port.mka], and [[port.mka.key]]"],
    );
}

#[test]
fn of_keys_that_do_not_go_with_each_other() {
    let twice = chain(&[key("02", 2, ""), key("02", 3, "")]);
    check(
        &twice,
        &[":10: port.wan0.mka.key.2.ckn = \"02\": a CKN of its own; port.wan0.mka.key.1.ckn has \
           this (line 6)"],
    );
    let own = with_mka(&format!("ckn = \"02\"\ncak_file = \"k256\"\n{}", key("02", 2, "")));
    check(
        &own,
        &[":8: port.wan0.mka.key.1.ckn = \"02\": a CKN of its own; port.wan0.mka.ckn has this \
           (line 5)"],
    );
    let fallback = "fallback = true";
    check(
        chain(&[key("02", 2, fallback)]),
        &[":8: port.wan0.mka.key.1.fallback = true: false: it is the only key, and there is none \
           to fall back from"],
    );
    let three = [key("02", 2, fallback), key("03", 3, fallback), key("04", 4, "")];
    check(
        chain(&three),
        &[":12: port.wan0.mka.key.2.fallback = true: false, but for one key; \
           port.wan0.mka.key.1.fallback has this (line 8)"],
    );
}

#[test]
fn of_one_key() {
    let instant =
        "a date and a time of day with its offset, in whole seconds, as 2026-12-01T00:00:00Z";
    for (value, shown) in [
        ("2026-12-01", "2026-12-01"),
        ("2026-12-01T00:00:00", "2026-12-01T00:00:00"),
        ("2026-12-01T00:00:00.5Z", "2026-12-01T00:00:00.5Z"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:60Z"),
        ("1796083200", "1796083200"),
        ("\"2026-12-01T00:00:00Z\"", "\"2026-12-01T00:00:00Z\""),
    ] {
        for name in ["start", "end"] {
            let text = chain(&[key("02", 2, &format!("{name} = {value}"))]);
            check(&text, &[&format!(":8: port.wan0.mka.key.1.{name} = {shown}: {instant}")]);
        }
    }
    for end in ["2026-12-01T00:00:00Z", "2026-12-01T00:59:59+01:00"] {
        let dates = format!("start = 2026-12-01T00:00:00Z\nend = {end}");
        let rule = "an instant after the start, 2026-12-01T00:00:00Z";
        let line = format!(":9: port.wan0.mka.key.1.end = {end}: {rule}");
        check(chain(&[key("02", 2, &dates)]), &[&line]);
    }
    let missing = [
        ":5: port.wan0.mka.key.1.ckn = (missing): required: 2 to 64 hexadecimal digits, an even \
         number of them",
        ":5: port.wan0.mka.key.1.cak_file = (missing): required: one of cak_file, cak_env, cak",
    ];
    check(with_mka("[[port.mka.key]]"), &missing);
    let line = ":8: port.wan0.mka.key.1.starts = 1: unknown key: did you mean start?";
    check(chain(&[key("02", 2, "starts = 1")]), &[line]);
    // The key of the table itself has no dates.
    let own = with_mka("ckn = \"02\"\ncak_file = \"k256\"\nstart = 2026-12-01T00:00:00Z");
    let faults = Place::new().faults(&own);
    assert!(faults[0].starts_with(":7: port.wan0.mka.start = "), "{faults:?}");
}

/// From the first to the second of these days of December 2026, so many seconds later.
fn days(from: u8, to: u8, later: u8) -> String {
    format!("start = 2026-12-{from:02}T00:00:00Z\nend = 2026-12-{to:02}T00:00:{later:02}Z")
}

#[test]
fn a_chain_with_a_gap_is_warned_about() {
    let last = |day| format!("start = 2026-12-{day:02}T00:00:00Z\n");
    let gap = [key("01", 1, &days(1, 5, 0)), key("02", 2, &last(6))];
    let start = ":13: port.wan0.mka.key.2.start: ";
    let from = "an earlier one: from 2026-12-05T00:00:00Z on";
    assert_eq!(warnings(&chain(&gap)), [format!("{start}{from} no key is valid")]);
    let fallback = [&gap[..], &[key("03", 3, "fallback = true")]].concat();
    assert_eq!(warnings(&chain(&fallback)), [format!("{start}{from} only the fallback is valid")]);

    let brief = "a minute or more before the key before it ends, ";
    let clocks = "the clocks of two ends are never the same";
    for later in [0, 59] {
        let text = chain(&[key("01", 1, &days(1, 5, later)), key("02", 2, &last(5))]);
        let expected = format!("{start}{brief}2026-12-05T00:00:{later:02}Z: {clocks}");
        assert_eq!(warnings(&text), [expected]);
    }
    // Whatever the order, and with a key that is valid throughout.
    let minute = [key("02", 2, &last(4)), key("01", 1, &days(1, 5, 0))];
    assert_eq!(warnings(&chain(&minute)), [""; 0]);
    let covered = [&gap[..], &[key("03", 3, "")]].concat();
    assert_eq!(warnings(&chain(&covered)), [""; 0]);
    // A brief one within another takes over nothing.
    let within = "start = 2026-12-04T23:59:30Z\nend = 2026-12-04T23:59:50Z";
    let within = [key("01", 1, &days(1, 5, 0)), key("02", 2, within), key("03", 3, &last(4))];
    assert_eq!(warnings(&chain(&within)), [""; 0]);
}

#[test]
fn what_leaves_no_key_in_the_end_is_warned_about() {
    let advice = "no end for one of the keys: after this no key is valid";
    let both = [key("01", 1, &days(4, 9, 0)), key("02", 2, &days(1, 5, 0))];
    let expected = format!(":9: port.wan0.mka.key.1.end: {advice}");
    assert_eq!(warnings(&chain(&both)), [expected]);
    let fallback = [&both[..], &[key("03", 3, "fallback = true")]].concat();
    assert_eq!(warnings(&chain(&fallback)), [""; 0]);
}

#[test]
fn one_cak_under_two_ckns_is_warned_about() {
    assert_eq!(
        warnings(&chain(&[key("01", 1, ""), key("02", 1, "")])),
        [
            ":11: port.wan0.mka.key.2.cak: a CAK of its own for each CKN; port.wan0.mka.key.1.cak has \
          this (line 7), under another CKN"
        ]
    );
}

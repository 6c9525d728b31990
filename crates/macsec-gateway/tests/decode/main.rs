//! `macsec decode`, run as a user runs it.

mod bench;
#[path = "../common/mod.rs"]
mod common;
mod live;

use std::{fs, os::unix::fs::PermissionsExt};

use bench::{Bench, CAK, CKN, OTHER_KEY, SAK};
use common::{CANNOT_RUN, stderr, stdout};
use serde_json::Value;

/// The exit code for "not everything could be opened".
const FAILED: i32 = 1;

#[test]
fn mka_is_followed_and_its_traffic_opened_even_before_the_sak_was_seen() {
    let bench = Bench::new();
    let capture = bench.pcap("mka.pcap", &Bench::session());
    let output = bench.decode(&[&capture, "--keys", &bench.keys_file(CAK)]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    assert_eq!(stderr(&output), "");
    let text = stdout(&output);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(text.matches(" ICV ok CKN ").count(), 9, "one for each MKPDU: {text}");
    assert!(lines.iter().any(|line| line.contains("  -- ")), "the story: {text}");
    // The first frame of the capture is data.
    assert!(text.contains("+0.001000 MKA 02-00-00-00-00-0a-0001 MN 1 "), "{text}");
    assert!(!text.contains("MACsec 02-"), "what is plainly fine has no line: {text}");
    for part in ["12 frames", "9: ICV ok 9, ICV bad 0, no CAK 0", "2: opened 2", "other   1", CKN] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn json_is_one_object_with_everything() {
    let bench = Bench::new();
    let capture = bench.pcap("mka.pcap", &Bench::session());
    let keys = bench.keys_file(CAK);
    let output = bench.decode(&[&capture, "--keys", &keys, "--json"]);
    let json: Value = serde_json::from_str(&stdout(&output)).expect("one object");
    let expected = [
        ("frames", 12),
        ("mkpdus", 9),
        ("mkpdu_icv_ok", 9),
        ("mkpdu_icv_bad", 0),
        ("mkpdu_no_key", 0),
        ("data_frames", 2),
        ("data_ok", 2),
        ("data_bad", 0),
        ("data_no_key", 0),
        ("other_frames", 1),
    ];
    for (key, count) in expected {
        assert_eq!(json[key], count, "{key}: {json}");
    }
    assert_eq!(json["complete"], true);
    let sak = &json["saks"][0];
    assert_eq!(sak["ki"], "939e90af2426d8c26346920800000001");
    assert_eq!((&sak["an"], &sak["suite"]), (&0.into(), &"gcm-aes-128".into()));
    assert_eq!((&sak["source"], &sak["data_ok"]), (&"distributed".into(), &2.into()));
    assert!(sak.get("sak").is_none(), "{sak}");
    let peers = json["peers"].as_array().expect("rows");
    let a = peers.iter().find(|peer| peer["sci"] == "02-00-00-00-00-0a-0001").expect("a row");
    assert_eq!((&a["data_frames"], &a["data_ok"]), (&2.into(), &2.into()));
    assert_eq!(a["sas"][0]["highest_pn"], 2);
    assert_eq!(a["mka"][0]["mi"], "939e90af2426d8c263469208");
    // With -v, every MKPDU field by field.
    let output = bench.decode(&[&capture, "--keys", &keys, "--json", "-v"]);
    let json: Value = serde_json::from_str(&stdout(&output)).expect("one object");
    assert_eq!(json["mkpdu_records"].as_array().map(Vec::len), Some(9));
    assert_eq!(json["mkpdu_records"][0]["mkpdu"]["actor_mn"], 1);
    assert_eq!(json["mkpdus"], 9);
}

#[test]
fn verbose_shows_mkpdus_whole_and_every_data_frame() {
    let bench = Bench::new();
    let capture = bench.pcap("mka.pcap", &Bench::session());
    let output = bench.decode(&[&capture, "--keys", &bench.keys_file(CAK), "--verbose"]);
    let text = stdout(&output);
    assert_eq!(text.matches("Actor's Message Number").count(), 9, "{text}");
    assert!(text.contains("MACsec 02-00-00-00-00-0a-0001 AN 0 PN 1, ok"), "{text}");
    assert!(text.contains("MACsec 02-00-00-00-00-0a-0001 AN 0 PN 2, ok"), "{text}");
}

#[test]
fn the_capture_is_written_in_clear_with_times_order_and_mka_kept() {
    let bench = Bench::new();
    let session = Bench::session();
    for (capture, nanoseconds) in
        [(bench.pcap("mka.pcap", &session), false), (bench.pcapng("mka.pcapng", &session), true)]
    {
        let out = bench.path("clear.pcap");
        let keys = bench.keys_file(CAK);
        let output = bench.decode(&[&capture, "--keys", &keys, "--write", &out]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(stdout(&output).contains("written 12 frames in clear"), "{}", stdout(&output));
        let (frames, is_nano) = bench::read_pcap(&out);
        assert_eq!(is_nano, nanoseconds);
        let expected: Vec<_> =
            session.iter().map(|frame| (frame.at, frame.clear.clone())).collect();
        assert_eq!(frames, expected);
        let mode = fs::metadata(&out).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "it is in clear");
    }
}

#[test]
fn what_cannot_be_opened_is_told_a_few_times_counted_and_left_out() {
    let bench = Bench::new();
    let sealed = bench::seal_many(&[7; 16], 50);
    let capture = bench.pcap("data.pcap", &sealed);
    let out = bench.path("clear.pcap");
    let wrong = format!("sci=02000000000a0001,an=0,suite=gcm-aes-128,key={OTHER_KEY}");
    let output = bench.decode(&[&capture, "--sa", &wrong, "--write", &out]);
    assert_eq!(output.status.code(), Some(FAILED));
    let text = stdout(&output);
    assert_eq!(text.matches(", ICV BAD").count(), 10, "{text}");
    assert_eq!(text.matches("(more like this are only counted").count(), 1, "{text}");
    assert!(text.contains("50: opened 0, ICV bad 50, no SAK 0"), "{text}");
    assert!(text.contains("written 0 frames in clear"), "{text}");
    assert!(text.contains("left out as they could not be opened 50"), "{text}");
    assert!(bench::read_pcap(&out).0.is_empty());

    // No key at all.
    let output = bench.decode(&[&capture, "--json"]);
    assert_eq!(output.status.code(), Some(FAILED));
    let json: Value = serde_json::from_str(&stdout(&output)).expect("one object");
    assert_eq!((&json["data_no_key"], &json["data_bad"]), (&50.into(), &0.into()));
    assert_eq!(stderr(&output), "");
}

#[test]
fn a_wrong_cak_is_told() {
    let bench = Bench::new();
    let capture = bench.pcap("mka.pcap", &Bench::session());
    let output = bench.decode(&[&capture, "--keys", &bench.keys_file(OTHER_KEY), "--json"]);
    assert_eq!(output.status.code(), Some(FAILED));
    let json: Value = serde_json::from_str(&stdout(&output)).expect("one object");
    assert_eq!((&json["mkpdu_icv_bad"], &json["mkpdu_icv_ok"]), (&9.into(), &0.into()));
    assert_eq!(json["data_no_key"], 2);
}

#[test]
fn keys_on_the_command_line_work_and_are_warned_of() {
    let bench = Bench::new();
    let sealed = bench::seal_many(&[7; 16], 3);
    let capture = bench.pcapng("data.pcapng", &sealed);
    let key = "07".repeat(16);
    let sa = format!("sci=02-00-00-00-00-0a-0001,an=0,suite=GCM-AES-128,key={key}");
    let output = bench.decode(&[&capture, "--sa", &sa]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    assert!(stderr(&output).contains("warning: keys on a command line"), "{}", stderr(&output));
    assert!(!stdout(&output).contains(&key) && !stderr(&output).contains(&key));
}

#[test]
fn keys_are_shown_only_when_asked_for() {
    let bench = Bench::new();
    let capture = bench.pcap("mka.pcap", &Bench::session());
    let keys = bench.keys_file(CAK);
    for more in [&[][..], &["-v"], &["--json"], &["--json", "-v"]] {
        let arguments = [&[&*capture, "--keys", &keys], more].concat();
        let output = bench.decode(&arguments);
        let all = stdout(&output) + &stderr(&output);
        assert!(!all.contains(SAK) && !all.contains(CAK), "{more:?}: {all}");
        let output = bench.decode(&[&arguments[..], &["--show-keys"]].concat());
        let all = stdout(&output) + &stderr(&output);
        assert!(all.contains(SAK) && !all.contains(CAK), "{more:?}: {all}");
    }
}

#[test]
fn a_capture_comes_from_stdin_too_from_a_pipe_or_a_file() {
    let bench = Bench::new();
    let capture = bench.pcapng("mka.pcapng", &Bench::session());
    let keys = bench.keys_file(CAK);
    let octets = fs::read(&capture).expect("there");
    let piped = bench.decode_stdin(&octets, &["-", "--keys", &keys]);
    assert_eq!(piped.status.code(), Some(0), "{}{}", stdout(&piped), stderr(&piped));
    assert!(stdout(&piped).contains("stdin: 12 frames"), "{}", stdout(&piped));
    let direct = bench.decode_file_as_stdin(&capture, &["-", "--keys", &keys]);
    assert_eq!(stdout(&direct), stdout(&piped));
}

#[test]
fn a_capture_that_breaks_off_is_told_with_what_was_before() {
    let bench = Bench::new();
    let capture = bench.pcap("mka.pcap", &Bench::session());
    let octets = fs::read(&capture).expect("there");
    fs::write(&capture, &octets[..octets.len() - 5]).expect("to be written");
    let output = bench.decode(&[&capture, "--keys", &bench.keys_file(CAK)]);
    assert_eq!(output.status.code(), Some(FAILED));
    let told = stderr(&output);
    assert!(told.contains("ends in the middle of a record, "), "{told}");
    assert!(told.contains("11 frames before it have been read"), "{told}");
    assert!(stdout(&output).contains("11 frames in "), "{}", stdout(&output));
}

#[test]
fn what_cannot_be_read_at_all_is_told_in_one_line() {
    let bench = Bench::new();
    let no_capture = bench.path("text");
    fs::write(&no_capture, "this is a text, and no capture at all").expect("to be written");
    let none = bench.path("none.pcap");
    let capture = bench.pcap("mka.pcap", &Bench::session());
    let copy = bench.path("./mka.pcap");
    for (arguments, expected) in [
        (vec![&*no_capture], "must be pcap or pcapng"),
        (vec![&*none], "cannot be read: No such file"),
        (vec![&*capture, "--write", &copy], "must be another file"),
        (vec![&*capture, "--write", "-"], "--write: must be a file"),
        (vec!["nothing0", "--follow"], "nothing0"),
    ] {
        let output = bench.decode(&arguments);
        assert_eq!(output.status.code(), Some(CANNOT_RUN), "{arguments:?}");
        assert_eq!(stdout(&output), "", "{arguments:?}");
        let told = stderr(&output);
        assert!(told.starts_with("macsec decode: ") && told.contains(expected), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

#[test]
fn every_fault_of_the_keys_is_told_and_no_key() {
    let bench = Bench::new();
    let capture = bench.pcap("mka.pcap", &Bench::session());
    let keys = bench.path("keys.toml");
    let text = format!(
        "[[ca]]\nckn = \"{CKN}\"\ncak = \"{CAK}ff\"\n\n[[sa]]\nsci = \"02000000000a\"\nan = 4\n\
         suite = \"gcm-aes-xpn-128\"\nsak = \"{SAK}\"\nslat = \"00\"\n"
    );
    fs::write(&keys, text).expect("to be written");
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o600)).expect("ours");
    let ca = format!("ckn={CKN},cak=0");
    let output = bench.decode(&[&capture, "--keys", &keys, "--ca", &ca]);
    assert_eq!(output.status.code(), Some(CANNOT_RUN));
    let told = stderr(&output);
    for expected in [
        ":3: ca.1.cak = (hidden): 32 or 64 hexadecimal digits: there are 34",
        ":6: sa.1.sci = \"02000000000a\": aa-bb-cc-dd-ee-ff-pppp or 16 hexadecimal digits",
        ":7: sa.1.an = 4: 0 to 3",
        ":10: sa.1.slat = (hidden): unknown key: did you mean salt?",
        "--ca 1: cak = (hidden): 32 or 64 hexadecimal digits: there are 1",
    ] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    assert!(!told.contains(CAK) && !told.contains(SAK), "{told}");
}

#[test]
fn a_keys_file_gives_saks_and_one_that_others_can_read_is_warned_of() {
    let bench = Bench::new();
    let sealed = bench::seal_many(&[7; 16], 3);
    let capture = bench.pcap("data.pcap", &sealed);
    let keys = bench.path("keys.toml");
    let key = "07".repeat(16);
    let text = format!(
        "[[sa]]\nsci = \"02-00-00-00-00-0a-0001\"\nan = 0\nsuite = \"gcm-aes-128\"\nsak = \"{key}\"\n"
    );
    fs::write(&keys, text).expect("to be written");
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o644)).expect("ours");
    let output = bench.decode(&[&capture, "--keys", &keys]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    let told = stderr(&output);
    assert!(told.contains("warning: ") && told.contains("chmod 600"), "{told}");
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o600)).expect("ours");
    let output = bench.decode(&[&capture, "--keys", &keys]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
}

#[test]
fn the_configuration_of_a_gateway_is_a_keys_file() {
    let bench = Bench::new();
    let capture = bench.pcap("mka.pcap", &Bench::session());
    let config = bench.path("macsec.toml");
    let text = format!(
        "[[port]]\nname = \"wan0\"\nuplink = \"eth1\"\ncipher_suite = \"gcm-aes-128\"\n\
         [port.mka]\nckn = \"{CKN}\"\ncak = \"{CAK}\"\n"
    );
    fs::write(&config, text).expect("to be written");
    fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).expect("ours");
    let output = bench.decode(&[&capture, "--keys", &config]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
}

#[test]
fn frames_cut_by_the_capture_and_of_other_links_are_counted() {
    let bench = Bench::new();
    let mut frames = bench::seal_many(&[7; 16], 2);
    frames[1].captured = 40;
    let key = "07".repeat(16);
    let sa = format!("sci=02000000000a0001,an=0,suite=gcm-aes-128,key={key}");
    let output = bench.decode(&[&bench.pcap("cut.pcap", &frames), "--sa", &sa, "--json"]);
    assert_eq!(output.status.code(), Some(FAILED));
    let json: Value = serde_json::from_str(&stdout(&output)).expect("one object");
    assert_eq!((&json["data_ok"], &json["data_cut_short"]), (&1.into(), &1.into()), "{json}");

    let capture = bench.pcap_of_link("raw.pcap", &frames, pcap_file::DataLink::RAW);
    let output = bench.decode(&[&capture, "--json"]);
    let json: Value = serde_json::from_str(&stdout(&output)).expect("one object");
    assert_eq!((&json["other_link_frames"], &json["frames"]), (&2.into(), &2.into()));
}

#[test]
fn a_reader_that_has_enough_ends_it_quietly() {
    let bench = Bench::new();
    let capture = bench.pcap("data.pcap", &bench::seal_many(&[7; 16], 5000));
    let (first, told) = bench.decode_head(&[&capture, "-v"]);
    assert!(first.contains("MACsec "), "{first}");
    assert_eq!(told, "");
}

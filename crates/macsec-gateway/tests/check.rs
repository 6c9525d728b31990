//! `macsec check`, run as a user runs it.

mod common;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Output},
};

use common::{CANNOT_RUN, macsec, stderr, stdout};
use serde_json::{Value, json};
use tempfile::TempDir;

const SAK: &str = "00112233445566778899aabbccddee01";

fn place(text: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("macsec.toml");
    fs::write(&file, text).expect("written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("ours");
    (directory, file)
}

fn check(text: &str, more: &[&str]) -> (Output, String) {
    let (_directory, file) = place(text);
    let file = file.to_str().expect("UTF-8");
    (macsec(&[&["check", file], more].concat()), file.to_owned())
}

const CLOSED: &str = "[[port]]\nname = \"wan0\"\nuplink = \"eth1\"\n";

const FULL: &str = "
namespace = \"wires\"
[[port]]
name = \"wan0\"
uplink = \"eth1\"
uplink_mtu = 1600
tap = \"macsec0\"
mac = \"02:00:00:00:00:07\"
inner_vlan_tags = 1
sci = \"02-00-00-00-00-01-0001\"
cipher_suite = \"gcm-aes-xpn-128\"
replay_window = 1024
detect_duplicates = true
vlan_tags_in_clear = 1
bypass_ethertypes = [0x88cc, 0x88f7, 0x0842, 0x1000, 0x1001, 0x1002, 0x1003, 0x1004]
[port.static_keys]
first_use = true
sak = \"00112233445566778899aabbccddee01\"
salt = \"e6a1b2c3d4e5f60718293a4b\"
ssci = 4294967295
[[port.static_keys.peer]]
sci = \"02-00-00-00-00-02-0001\"
ssci = 4294967294
[[port.static_keys.peer]]
sci = \"02-00-00-00-00-03-0001\"
ssci = 3
an = 1
sak = \"ffeeddccbbaa99887766554433221100\"
salt = \"e6a1b2c3d4e5f60718293a4b\"
[[port]]
name = \"wan1\"
uplink = \"eth2\"
isolation = \"filter\"
promiscuous = true
mtu = 1400
cipher_suite = \"gcm-aes-256\"
confidentiality_offset = 30
protect_frames = false
validate_frames = \"disabled\"
replay_protect = false
use_es = true
";

#[test]
fn says_what_will_be_in_force() {
    let (output, file) = check(FULL, &[]);
    assert_eq!(
        stdout(&output),
        "\
port wan0: uplink eth1, TAP macsec0
  uplink        MTU 1600, in the namespace wires
  TAP           MTU 1560, MAC address 02:00:00:00:00:07
  SCI           02-00-00-00-00-01-0001; in every frame
  cipher suite  gcm-aes-xpn-128, encrypted
  transmit      protected
  receive       valid frames only (strict), replay window 1024, no duplicates
  VLAN tags     up to 1 in clear
  bypass        0x0842, 0x1000, 0x1001, 0x1002, 0x1003, 0x1004, 0x88cc
  bypass        0x88f7
  keys          static, for labs, taken for unused if no marks are there
  our SA        AN 0, SSCI 4294967295
    key check   0e01b164c708aa176a9fd5906cb4e021
  peer          02-00-00-00-00-02-0001, AN 0, SSCI 4294967294, same key
  peer          02-00-00-00-00-03-0001, AN 1, SSCI 3
    key check   4730aa45e1ff534805756bfdd323276d

port wan1: uplink eth2, TAP wan1
  uplink        MTU as it is, kept from the host by filters, promiscuous
  TAP           MTU 1400, MAC address the uplink's
  SCI           the uplink's MAC address, port 0001; implied by ES
  cipher suite  gcm-aes-256, encrypted but for 30 octets
  transmit      IN CLEAR
  receive       NOT VALIDATED (disabled), REPLAYS TOO
  keys          none: the port stays closed
"
    );
    assert!(stdout(&output).lines().all(|line| line.len() <= 80));
    assert_eq!(stderr(&output), format!("\
{file}:17: port.wan0.static_keys.first_use: remove it after the first start: it hides the loss of PN marks
{file}:18: port.wan0.static_keys.sak: a key is better off in a file of its own: sak_file
{file}:28: port.wan0.static_keys.peer.2.sak: a key is better off in a file of its own: sak_file
"));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn says_what_will_be_in_force_by_default() {
    let (output, _) = check(CLOSED, &[]);
    assert_eq!(
        stdout(&output),
        "\
port wan0: uplink eth1, TAP wan0
  uplink        MTU as it is, in the namespace macsec
  TAP           MTU the uplink's less 32, MAC address the uplink's
  SCI           the uplink's MAC address, port 0001; in every frame
  cipher suite  gcm-aes-xpn-256, encrypted
  transmit      protected
  receive       valid frames only (strict), replay window 0
  keys          none: the port stays closed
"
    );
    assert_eq!(stderr(&output), "");
    assert_eq!(output.status.code(), Some(0));
}

const AGREED: &str = "
[[port]]
name = \"wan0\"
uplink = \"eth1\"
[port.mka]
ckn = \"6D6B61\"
cak = \"00112233445566778899aabbccddee01\"
[[port]]
name = \"wan1\"
uplink = \"eth2\"
validate_frames = \"check\"
[port.mka]
ckn = \"00000000000000000000000000000000000000000000000000000000000000ff\"
cak = \"00112233445566778899aabbccddee0100112233445566778899aabbccddee01\"
key_server_priority = 255
cipher_suites = [\"gcm-aes-128\", \"gcm-aes-256\", \"gcm-aes-xpn-128\", \"gcm-aes-xpn-256\"]
policy = \"should-secure\"
rekey_interval = 3600
rekey_on_peer_loss = true
destination = \"01-80-c2-00-00-00\"
ethertype = 0x876f
delay_protect = true
max_peers = 31
mka_version = 1
icv_indicator = true
set_order = \"standard\"
[[port.mka.key]]
ckn = \"02\"
cak = \"00112233445566778899aabbccddee0100112233445566778899aabbccddee02\"
start = 2026-12-01T01:00:00+01:00
end = 2026-12-31T00:00:00Z
[[port.mka.key]]
ckn = \"03\"
cak = \"00112233445566778899aabbccddee0100112233445566778899aabbccddee03\"
fallback = true
";

#[test]
fn says_how_keys_will_be_agreed_upon() {
    let (output, file) = check(AGREED, &[]);
    assert_eq!(
        stdout(&output),
        "\
port wan0: uplink eth1, TAP wan0
  uplink        MTU as it is, in the namespace macsec
  TAP           MTU the uplink's less 32, MAC address the uplink's
  SCI           the uplink's MAC address, port 0001; in every frame
  cipher suite  gcm-aes-xpn-256, encrypted
  transmit      protected
  receive       valid frames only (strict), replay window 0
  keys          MKA, closed without it (must-secure)
  CKN           6d6b61
    key check   0e01b164c708aa176a9fd5906cb4e021, 128 bits
  key server    priority 16
  new SAK       when packet numbers run out
  hello         every 2000 ms
  peers         4 at most

port wan1: uplink eth2, TAP wan1
  uplink        MTU as it is, in the namespace macsec
  TAP           MTU the uplink's less 32, MAC address the uplink's
  SCI           the uplink's MAC address, port 0001; in every frame
  cipher suite  gcm-aes-128, encrypted
  transmit      protected
  receive       INVALID FRAMES TOO (check), replay window 0
  keys          MKA, IN CLEAR WITHOUT IT (should-secure)
  CKN           00000000000000000000000000000000000000000000000000000000000000ff
    key check   7b8d717eccefaef526c21a04822d845c, 256 bits
  CKN           02
    key check   95ba320cbe638260d441a835beb76fe4, 256 bits
    valid       from 2026-12-01T00:00:00Z until 2026-12-31T00:00:00Z
  CKN           03
    key check   0fadd2a03930047b54e2c704fbd1b2a2, 256 bits
    use         fallback: while no other key has a live peer
  also taken    gcm-aes-256, gcm-aes-xpn-128, gcm-aes-xpn-256
  key server    never
  new SAK       every 3600 s, when a peer has gone
  hello         every 500 ms, which bounds delay
  peers         31 at most
  EAPOL         to 01:80:c2:00:00:00, EtherType 0x876f, MKA version 1
  EAPOL         standard order, ICV Indicator
"
    );
    assert!(stdout(&output).lines().all(|line| line.len() <= 80));
    let better = "a key is better off in a file of its own: cak_file";
    assert_eq!(
        stderr(&output),
        format!(
            "\
{file}:7: port.wan0.mka.cak: {better}
{file}:7: port.wan0.mka.cak: 64 hexadecimal digits for gcm-aes-xpn-256: no SAK is safer than the CAK that it travels under
{file}:14: port.wan1.mka.cak: {better}
{file}:15: port.wan1.mka.key_server_priority: 255 is never: without an end that is less, there is no key
{file}:17: port.wan1.mka.policy: must-secure, after the roll-out: whoever drops MKPDUs opens this port
{file}:29: port.wan1.mka.key.1.cak: {better}
{file}:34: port.wan1.mka.key.2.cak: {better}
"
        )
    );
    assert_eq!(output.status.code(), Some(0));
}

const PROFILE: &str = "
[[port]]
name = \"wan0\"
uplink = \"eth1\"
use_es = true
[port.mka]
profile = \"aws\"
ckn = \"6D6B61\"
cak_env = \"MACSEC_TEST_CAK\"
";

#[test]
fn says_what_a_profile_sets_and_what_it_would_have() {
    let (_directory, file) = place(PROFILE);
    let check = |options: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_macsec"))
            .arg("check")
            .arg(&file)
            .args(options)
            .env("MACSEC_TEST_CAK", format!("{SAK}{SAK}"))
            .output()
            .expect("the binary has been built")
    };
    let output = check(&[]);
    let told = "
  profile       aws
    sets        mka.cipher_suites = [\"gcm-aes-xpn-256\", \"gcm-aes-256\"]
    overridden  always_include_sci = true
    sets        vlan_tags_in_clear = 0
";
    assert!(stdout(&output).ends_with(told), "{}", stdout(&output));
    assert!(stdout(&output).lines().all(|line| line.len() <= 80));
    let advice = "port.wan0.mka.profile: aws: the SCI in every frame: always_include_sci = true\n";
    assert!(stderr(&output).ends_with(advice), "{}", stderr(&output));
    let suites = "[\"gcm-aes-xpn-256\", \"gcm-aes-256\"]";
    let expected = json!([{
        "port": "wan0",
        "profile": "aws",
        "settings": [
            { "key": "mka.cipher_suites", "value": suites, "overridden": false },
            { "key": "always_include_sci", "value": "true", "overridden": true },
            { "key": "vlan_tags_in_clear", "value": "0", "overridden": false },
        ],
    }]);
    assert_eq!(json(&check(&["--json"]))["profiles"], expected);
}

#[test]
fn the_examples_are_right() {
    let directory = tempfile::tempdir().expect("a directory");
    for (kind, name) in [("sak", "lab.sak"), ("cak", "lab.cak"), ("cak", "next.cak")] {
        let path = directory.path().join(name);
        let made = macsec(&["keygen", kind, "--out", path.to_str().expect("UTF-8")]);
        assert!(made.status.success(), "{}", stderr(&made));
    }
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/gateway");
    let mut checked = 0;
    for example in fs::read_dir(examples).expect("there").map(|entry| entry.expect("a file")) {
        if example.path().extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let copy = directory.path().join(example.file_name());
        fs::copy(example.path(), &copy).expect("copied");
        let output = macsec(&["check", copy.to_str().expect("UTF-8")]);
        assert_eq!(output.status.code(), Some(0), "{copy:?}: {}", stderr(&output));
        if stdout(&output).contains("MKA") {
            assert_eq!(stderr(&output), "", "{copy:?}");
        }
        checked += 1;
    }
    assert!(checked >= 8, "{checked}");
}

#[test]
fn prints_every_fault_in_a_line_of_its_own() {
    let (output, file) =
        check("[[port]]\nname = \"wan0\"\nuplink = \"eth1\"\nmtu = 1\nan = 0\n", &[]);
    let lines = stderr(&output);
    let [mtu, an] = lines.lines().collect::<Vec<_>>()[..] else { panic!("two lines: {lines}") };
    assert_eq!(mtu, format!("{file}:4: port.wan0.mtu = 1: 68 to 65521"));
    assert!(an.starts_with(&format!("{file}:5: port.wan0.an = 0: unknown key: ")), "{an}");
    assert_eq!(stdout(&output), "");
    assert_eq!(output.status.code(), Some(CANNOT_RUN));
}

#[test]
fn a_file_that_is_not_there_is_a_fault() {
    let output = macsec(&["check", "/nonexistent/macsec.toml"]);
    let expected =
        "/nonexistent/macsec.toml: cannot be read: No such file or directory (os error 2)\n";
    assert_eq!(stderr(&output), expected);
    assert_eq!(output.status.code(), Some(CANNOT_RUN));
    let output = macsec(&["check", "--json", "/nonexistent/macsec.toml"]);
    assert_eq!(json(&output)["faults"][0]["line"], Value::Null);
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&stdout(output)).expect("JSON")
}

#[test]
fn the_json_form_has_every_part_of_a_fault() {
    let (output, file) = check(&format!("{CLOSED}mtu = 1\nsak = \"{SAK}\"\n"), &["--json"]);
    let mut verdict = json(&output);
    // The list of all keys is long.
    verdict["faults"][1]["allowed"].take();
    let expected = json!({
        "ok": false,
        "faults": [
            {
                "file": file,
                "line": 4,
                "key": "port.wan0.mtu",
                "value": "1",
                "allowed": "68 to 65521",
            },
            { "file": file, "line": 5, "key": "port.wan0.sak", "value": "(hidden)", "allowed": null },
        ],
        "warnings": [],
        "profiles": [],
    });
    assert_eq!(verdict, expected);
    assert_eq!(stderr(&output), "");
    assert_eq!(output.status.code(), Some(CANNOT_RUN));
}

#[test]
fn the_json_form_of_a_good_file_has_the_warnings() {
    let (output, file) = check(FULL, &["--json"]);
    let verdict = json(&output);
    assert_eq!((&verdict["ok"], &verdict["faults"]), (&json!(true), &json!([])));
    let expected = json!({
        "file": file,
        "line": 17,
        "key": "port.wan0.static_keys.first_use",
        "advice": "remove it after the first start: it hides the loss of PN marks",
    });
    assert_eq!(verdict["warnings"][0], expected);
    assert_eq!(verdict["warnings"].as_array().map(Vec::len), Some(3));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_key_may_come_from_the_environment() {
    let keys = "cipher_suite = \"gcm-aes-128\"\n[port.static_keys]\nsak_env = \"MACSEC_TEST_SAK\"\n\
                peer = [{ sci = \"0200000000020001\" }]\n";
    let (_directory, file) = place(&format!("{CLOSED}{keys}"));
    let check = |value: &str| {
        Command::new(env!("CARGO_BIN_EXE_macsec"))
            .arg("check")
            .arg(&file)
            .env("MACSEC_TEST_SAK", value)
            .output()
            .expect("the binary has been built")
    };
    let output = check(&format!(" {SAK}\n"));
    assert!(stdout(&output).contains("0e01b164c708aa176a9fd5906cb4e021"));
    assert_eq!(stderr(&output), "");
    assert_eq!(output.status.code(), Some(0));

    let output = check(&SAK[2..]);
    let expected = "port.wan0.static_keys.sak_env = \"MACSEC_TEST_SAK\": 32 hexadecimal digits for \
                    gcm-aes-128: there are 30\n";
    assert!(stderr(&output).ends_with(expected), "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(CANNOT_RUN));
}

#[test]
fn a_cak_may_come_from_the_environment() {
    let mka = "[port.mka]\nckn = \"01\"\ncak_env = \"MACSEC_TEST_CAK\"\n";
    let (_directory, file) = place(&format!("{CLOSED}{mka}"));
    let output = Command::new(env!("CARGO_BIN_EXE_macsec"))
        .arg("check")
        .arg(&file)
        .env("MACSEC_TEST_CAK", format!(" {SAK}{SAK}\n"))
        .output()
        .expect("the binary has been built");
    assert!(stdout(&output).contains("256 bits"), "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
}

#[test]
fn shows_no_key_whatever_is_wrong() {
    for text in [
        FULL.to_owned(),
        FULL.replace("ssci = 3", "ssci = 0"),
        FULL.replace("gcm-aes-xpn-128", "gcm-aes-256"),
        FULL.replace("sak =", "key ="),
        FULL.replace("ssci = 3", "ssci = \"x"),
        AGREED.to_owned(),
        AGREED.replace("hello_time = 500", "hello_time = 0"),
        AGREED.replace("cak = \"", "cak = \"x"),
        AGREED.replace("cak =", "cack ="),
    ] {
        for more in [&[][..], &["--json"]] {
            let (output, _) = check(&text, more);
            let all = stdout(&output) + &stderr(&output);
            for secret in [&SAK[..16], "ffeeddccbbaa", "e6a1b2c3d4e5"] {
                assert!(!all.contains(secret), "{all}");
            }
        }
    }
}

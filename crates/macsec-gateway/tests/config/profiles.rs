//! `profile` of `[port.mka]`: what it sets, what wins over it, and what the cloud would not take.

use macsec::{CipherSuite, ClearVlanTags};
use macsec_gateway::config::{Policy, PortConfig, Profile, UsedSetting};

use super::*;

/// A file with one port: `of_port` from line 4 on, then its MKA with the profile `name`.
fn with_profile(name: &str, of_port: &str, of_mka: &str) -> String {
    port(&format!(
        "{of_port}\n[port.mka]\nprofile = \"{name}\"\nckn = \"01\"\ncak_file = \"k256\"\n{of_mka}"
    ))
}

#[track_caller]
fn loaded(text: &str) -> Loaded {
    Place::new().load(text).expect("no fault")
}

#[track_caller]
fn the_port(text: &str) -> PortConfig {
    loaded(text).config.ports.remove(0)
}

/// What is said of the profile in `text`.
#[track_caller]
fn advice(text: &str) -> Vec<String> {
    let warnings = loaded(text).warnings.into_iter();
    let of_profile = warnings.filter(|warning| warning.key == "port.wan0.mka.profile");
    of_profile.map(|warning| warning.advice).collect()
}

#[test]
fn every_profile_works_as_it_is() {
    for profile in Profile::ALL {
        let text = with_profile(profile.name(), "", "");
        let Loaded { config, warnings, profiles } = loaded(&text);
        assert_eq!(warnings, [], "{profile}");
        let mka = config.ports[0].mka.as_ref().expect("there");
        assert_eq!(mka.profile, Some(profile));
        assert_eq!(mka.policy, Policy::MustSecure);
        let suites = [CipherSuite::GcmAesXpn256, CipherSuite::GcmAes256];
        assert_eq!(mka.suites.as_slice(), suites, "{profile}");
        assert_eq!(config.ports[0].cipher_suite, CipherSuite::GcmAesXpn256);
        let [used] = &profiles[..] else { panic!("one: {profiles:?}") };
        assert_eq!((used.port.as_str(), used.profile), ("wan0", profile));
        assert!(!used.settings.is_empty() && !used.settings.iter().any(|set| set.overridden));
    }
    let port = the_port(&with_profile("aws", "", ""));
    assert!(port.controls.always_include_sci);
    assert_eq!(port.controls.clear_vlan_tags, ClearVlanTags::None);
    let plain = port_without_profile();
    assert_eq!(plain.mka.expect("there").profile, None);
}

fn port_without_profile() -> PortConfig {
    the_port(&port("[port.mka]\nckn = \"01\"\ncak_file = \"k256\""))
}

/// What is said to be set is what the file might say itself.
#[test]
fn what_a_profile_sets_can_be_written_out() {
    for profile in Profile::ALL {
        let text = with_profile(profile.name(), "", "");
        let settings = loaded(&text).profiles.remove(0).settings;
        let line = |key: &str, value: &str| format!("{key} = {value}\n");
        let (mut of_port, mut of_mka) = (String::new(), String::new());
        for UsedSetting { key, value, .. } in settings {
            match key.strip_prefix("mka.") {
                Some(key) => of_mka += &line(key, value),
                None => of_port += &line(key, value),
            }
        }
        let written = loaded(&with_profile(profile.name(), &of_port, &of_mka));
        assert!(written.profiles[0].settings.iter().all(|set| set.overridden), "{profile}");
        assert_eq!(written.config, loaded(&text).config);
    }
}

#[test]
fn what_the_file_says_wins() {
    let text = with_profile(
        "aws",
        "vlan_tags_in_clear = 1\nalways_include_sci = false",
        "cipher_suites = [\"gcm-aes-256\"]",
    );
    let port = the_port(&text);
    assert_eq!(port.cipher_suite, CipherSuite::GcmAes256);
    assert_eq!(port.controls.clear_vlan_tags, ClearVlanTags::One);
    assert!(!port.controls.always_include_sci);
    assert!(loaded(&text).profiles[0].settings.iter().all(|set| set.overridden));
    // So does what says the same otherwise.
    let text = with_profile("aws", "cipher_suite = \"gcm-aes-xpn-128\"\nuse_es = true", "");
    let port = the_port(&text);
    let mka = port.mka.as_ref().expect("there");
    assert_eq!(mka.suites.as_slice(), [CipherSuite::GcmAesXpn128]);
    assert!(port.controls.use_es && !port.controls.always_include_sci);
    let policy = the_port(&with_profile("gcp", "", "policy = \"should-secure\""));
    assert_eq!(policy.mka.expect("there").policy, Policy::ShouldSecure);
}

#[test]
fn of_a_profile_that_nobody_knows() {
    for (value, shown) in [("\"AWS\"", "\"AWS\""), ("1", "1")] {
        let text =
            port(&format!("[port.mka]\nprofile = {value}\nckn = \"01\"\ncak_file = \"k256\"\n"));
        let rule = "\"aws\", \"gcp\", \"azure\", \"oci\"";
        let line = format!(":5: port.wan0.mka.profile = {shown}: {rule}");
        assert_eq!(Place::new().faults(text), [line]);
    }
}

/// `count` keys of 256 bits beside that of the port itself.
fn more_keys(count: u8) -> String {
    let key = |n: u8| {
        let cak = hex::encode([n; 32]);
        format!("[[port.mka.key]]\nckn = \"{n:04x}\"\ncak = \"{cak}\"\n")
    };
    (1..=count).map(key).collect()
}

#[test]
fn what_aws_does_not_take_is_warned_about() {
    let suites = "cipher_suites = [\"gcm-aes-xpn-128\", \"gcm-aes-xpn-256\"]";
    let first = "aws: gcm-aes-xpn-256 first: there is no other from 100 Gbit/s on";
    let cases = [
        (with_profile("aws", "", &more_keys(2)), vec![]),
        (with_profile("aws", "", &more_keys(3)), vec!["aws: 3 keys at most; there are 4"]),
        (
            with_profile("aws", "", "").replace("k256", "k128"),
            vec!["aws: CAKs of 256 bits only; that of CKN 01 has 128"],
        ),
        (
            with_profile("aws", "", suites),
            vec!["aws: suites of 256 bits only, not gcm-aes-xpn-128", first],
        ),
        (with_profile("aws", "cipher_suite = \"gcm-aes-256\"", ""), vec![first]),
        (
            with_profile("aws", "always_include_sci = false", ""),
            vec!["aws: the SCI in every frame: always_include_sci = true"],
        ),
        (
            with_profile("aws", "vlan_tags_in_clear = 2", ""),
            vec!["aws: no VLAN tag in clear: vlan_tags_in_clear = 0"],
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(advice(&text), expected, "{text}");
    }
}

#[test]
fn what_gcp_does_not_take_is_warned_about() {
    let chain = |hours: [u8; 2]| {
        let [first, second] = hours.map(|hour| format!("start = 2026-12-01T{hour:02}:00:00Z\n"));
        let keys = more_keys(2).replacen("\"\n[[port", &format!("\"\n{first}[[port"), 1);
        with_profile("gcp", "", &format!("{keys}{second}"))
    };
    let apart = "gcp: starts 6 hours apart at least, not 2026-12-01T01:00:00Z and \
                 2026-12-01T06:00:00Z";
    let cases = [
        (with_profile("gcp", "", &more_keys(4)), vec![]),
        (with_profile("gcp", "", &more_keys(5)), vec!["gcp: 5 keys at most; there are 6"]),
        (
            with_profile("gcp", "", "").replace("k256", "k128"),
            vec!["gcp: CAKs of 256 bits only; that of CKN 01 has 128"],
        ),
        (chain([1, 7]), vec![]),
        (chain([1, 6]), vec![apart]),
        (chain([6, 1]), vec![apart]),
    ];
    for (text, expected) in cases {
        assert_eq!(advice(&text), expected, "{text}");
    }
}

#[test]
fn the_others_take_what_there_is() {
    for name in ["azure", "oci"] {
        let suites = "cipher_suites = [\"gcm-aes-128\", \"gcm-aes-xpn-128\"]";
        let text = with_profile(name, "always_include_sci = false", &more_keys(7));
        assert_eq!(advice(&text), [""; 0]);
        let text = with_profile(name, "", suites).replace("k256", "k128");
        assert_eq!(loaded(&text).warnings, []);
    }
}

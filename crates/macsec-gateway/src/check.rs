//! `macsec check`: what a configuration file would do, or all that is wrong with it.

use std::{
    fmt::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;
use macsec::{CipherSuite, ClearVlanTags, Confidentiality, Sci, Ssci, ValidateFrames};
use mka::{ETHERTYPE_EAPOL, KeyLength, NEAREST_NON_TPMR_BRIDGE, SetOrder};
use serde::Serialize;

use crate::{
    config::{
        Config, Fault, Isolation, Key, Loaded, MkaConfig, MkaKey, Policy, PortConfig, StaticKeys,
        UsedProfile, UsedSetting, Warning,
    },
    exit,
};

/// Options of `macsec check`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The configuration file
    pub file: PathBuf,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// The result, as `macsec check --json` prints it.
#[derive(Serialize)]
struct Verdict<'a> {
    /// Whether a gateway would start with it.
    ok: bool,
    faults: &'a [Fault],
    warnings: &'a [Warning],
    /// What profiles set; none if there are faults.
    profiles: &'a [UsedProfile],
}

/// Checks the file and prints what was found: a summary, or every fault in a line of its own.
#[must_use]
pub fn run(options: &Options) -> ExitCode {
    let loaded = Config::load(&options.file);
    let (faults, warnings, profiles) = match &loaded {
        Ok(loaded) => (&[][..], &loaded.warnings[..], &loaded.profiles[..]),
        Err(faults) => (&faults[..], &[][..], &[][..]),
    };
    if options.json {
        let verdict = Verdict { ok: loaded.is_ok(), faults, warnings, profiles };
        match serde_json::to_string(&verdict) {
            Ok(json) => println!("{json}"),
            Err(error) => unreachable!("texts and numbers always serialize: {error}"),
        }
    } else {
        if let Ok(loaded) = &loaded {
            print!("{}", Summary(loaded));
        }
        warnings.iter().for_each(|warning| eprintln!("{warning}"));
        faults.iter().for_each(|fault| eprintln!("{fault}"));
    }
    if loaded.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(exit::CANNOT_RUN) }
}

/// What will be in force with a configuration, in lines of 80 columns. Keys are told by their check
/// value.
#[derive(Debug)]
pub struct Summary<'a>(pub &'a Loaded);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Loaded { config, profiles, .. } = self.0;
        for (number, port) in config.ports.iter().enumerate() {
            if number > 0 {
                f.write_char('\n')?;
            }
            write_port(f, port, &config.namespace)?;
            let mut profiles = profiles.iter().filter(|profile| profile.port == port.name);
            profiles.try_for_each(|profile| write_profile(f, profile))?;
        }
        Ok(())
    }
}

fn write_port(f: &mut fmt::Formatter<'_>, port: &PortConfig, namespace: &str) -> fmt::Result {
    let PortConfig { controls, .. } = port;
    writeln!(f, "port {}: uplink {}, TAP {}", port.name, port.uplink, port.tap)?;
    line(f, "uplink", &uplink(port, namespace))?;
    line(f, "TAP", &tap(port))?;
    line(f, "SCI", &sci(port))?;
    line(f, "cipher suite", &format!("{}, {}", port.cipher_suite, confidentiality(port)))?;
    line(f, "transmit", if controls.protect_frames { "protected" } else { "IN CLEAR" })?;
    line(f, "receive", &receive(controls))?;
    let in_clear = match controls.clear_vlan_tags {
        ClearVlanTags::None => "",
        ClearVlanTags::One => "up to 1 in clear",
        ClearVlanTags::Two => "up to 2 in clear",
    };
    line(f, "VLAN tags", in_clear)?;
    for few in port.bypass.chunks(7) {
        let few: Vec<_> = few.iter().map(|ethertype| format!("0x{ethertype:04x}")).collect();
        line(f, "bypass", &few.join(", "))?;
    }
    match (&port.mka, &port.static_keys) {
        (Some(mka), _) => write_mka(f, mka),
        (None, Some(keys)) => write_keys(f, keys),
        (None, None) => line(f, "keys", "none: the port stays closed"),
    }
}

/// Writes `label` and `text`, unless there is nothing to say.
fn line(f: &mut fmt::Formatter<'_>, label: &str, text: &str) -> fmt::Result {
    if text.is_empty() { Ok(()) } else { writeln!(f, "  {label:<13} {text}") }
}

fn uplink(port: &PortConfig, namespace: &str) -> String {
    let mtu = port.uplink_mtu.map_or("MTU as it is".to_owned(), |mtu| format!("MTU {mtu}"));
    let isolation = match port.isolation {
        Isolation::Namespace => format!("in the namespace {namespace}"),
        Isolation::Filter => "kept from the host by filters".to_owned(),
    };
    let promiscuous = if port.promiscuous { ", promiscuous" } else { "" };
    format!("{mtu}, {isolation}{promiscuous}")
}

fn tap(port: &PortConfig) -> String {
    let greatest = port.uplink_mtu.map(|uplink| port.greatest_mtu(uplink));
    let mtu = match port.mtu.or(greatest) {
        Some(mtu) => mtu.to_string(),
        // The uplink's is not known yet. What is taken off is.
        None => format!("the uplink's less {}", u32::MAX - port.greatest_mtu(u32::MAX)),
    };
    let mac = port.mac.map_or("the uplink's".to_owned(), |mac| mac.to_string());
    format!("MTU {mtu}, MAC address {mac}")
}

fn sci(port: &PortConfig) -> String {
    let sci = port.sci.map_or_else(
        || format!("the uplink's MAC address, port {:04x}", Sci::PORT_END_STATION),
        |sci| sci.to_string(),
    );
    let controls = &port.controls;
    let on_the_wire = match (controls.always_include_sci, controls.use_es, controls.use_scb) {
        (true, _, _) => "in every frame",
        (false, true, true) => "implied by ES and SCB",
        (false, true, false) => "implied by ES",
        (false, false, true) => "implied by SCB",
        (false, false, false) => "only in frames that need it",
    };
    format!("{sci}; {on_the_wire}")
}

fn confidentiality(port: &PortConfig) -> String {
    match port.confidentiality {
        Confidentiality::IntegrityOnly => "integrity only".to_owned(),
        Confidentiality::Encrypt(offset) => match offset.octets() {
            0 => "encrypted".to_owned(),
            octets => format!("encrypted but for {octets} octets"),
        },
    }
}

fn receive(controls: &macsec::Config) -> String {
    let mode = match controls.validate_frames {
        ValidateFrames::Strict => "valid frames only (strict)",
        ValidateFrames::Check => "INVALID FRAMES TOO (check)",
        ValidateFrames::Disabled => "NOT VALIDATED (disabled)",
        ValidateFrames::Null => "EVERYTHING AS IT COMES (null)",
    };
    let replay = match (controls.replay_protect, controls.detect_duplicates) {
        (false, _) => "REPLAYS TOO".to_owned(),
        (true, false) => format!("replay window {}", controls.replay_window),
        (true, true) => format!("replay window {}, no duplicates", controls.replay_window),
    };
    format!("{mode}, {replay}")
}

fn write_mka(f: &mut fmt::Formatter<'_>, mka: &MkaConfig) -> fmt::Result {
    let policy = match mka.policy {
        Policy::MustSecure => "closed without it (must-secure)",
        Policy::ShouldSecure => "IN CLEAR WITHOUT IT (should-secure)",
    };
    line(f, "keys", &format!("MKA, {policy}"))?;
    mka.keys.iter().try_for_each(|key| write_cak(f, key))?;
    let others = mka.suites.as_slice().iter().skip(1).copied().map(CipherSuite::name);
    line(f, "also taken", &others.collect::<Vec<_>>().join(", "))?;
    let key_server = match mka.priority {
        u8::MAX => "never".to_owned(),
        priority => format!("priority {priority}"),
    };
    line(f, "key server", &key_server)?;
    let by_age = mka.rekey_interval.map(|age| format!("every {} s", age.as_secs()));
    let by_loss = if mka.rekey_on_peer_loss { ", when a peer has gone" } else { "" };
    let by_age = by_age.unwrap_or_else(|| "when packet numbers run out".to_owned());
    line(f, "new SAK", &format!("{by_age}{by_loss}"))?;
    let bounded = if mka.delay_protect { ", which bounds delay" } else { "" };
    line(f, "hello", &format!("every {} ms{bounded}", mka.hello_time.as_millis()))?;
    line(f, "peers", &format!("{} at most", mka.max_peers))?;
    unusual(mka).chunks(3).try_for_each(|few| line(f, "EAPOL", &few.join(", ")))
}

fn write_cak(f: &mut fmt::Formatter<'_>, key: &MkaKey) -> fmt::Result {
    line(f, "CKN", &key.ckn.to_string())?;
    let bits = match key.cak.length() {
        KeyLength::Bits128 => 128,
        KeyLength::Bits256 => 256,
    };
    line(f, "  key check", &format!("{}, {bits} bits", key.cak.check))?;
    let start = key.start.map(|start| format!("from {start}"));
    let end = key.end.map(|end| format!("until {end}"));
    let valid: Vec<_> = start.into_iter().chain(end).collect();
    line(f, "  valid", &valid.join(" "))?;
    let fallback = if key.fallback { "fallback: while no other key has a live peer" } else { "" };
    line(f, "  use", fallback)
}

/// Writes what `profile` sets, and what it would have set.
fn write_profile(f: &mut fmt::Formatter<'_>, profile: &UsedProfile) -> fmt::Result {
    line(f, "profile", profile.profile.name())?;
    for UsedSetting { key, value, overridden } in &profile.settings {
        let label = if *overridden { "  overridden" } else { "  sets" };
        line(f, label, &format!("{key} = {value}"))?;
    }
    Ok(())
}

/// What peers must be able to take, or set up too.
fn unusual(mka: &MkaConfig) -> Vec<String> {
    let mut unusual = Vec::new();
    if mka.destination != NEAREST_NON_TPMR_BRIDGE {
        unusual.push(format!("to {}", mka.destination));
    }
    if mka.ethertype != ETHERTYPE_EAPOL {
        unusual.push(format!("EtherType {:#06x}", mka.ethertype));
    }
    if mka.version != 3 {
        unusual.push(format!("MKA version {}", mka.version));
    }
    if mka.set_order == SetOrder::Standard {
        unusual.push("standard order".to_owned());
    }
    if mka.icv_indicator {
        unusual.push("ICV Indicator".to_owned());
    }
    unusual
}

fn write_keys(f: &mut fmt::Formatter<'_>, keys: &StaticKeys) -> fmt::Result {
    let first_use = if keys.first_use { ", taken for unused if no marks are there" } else { "" };
    line(f, "keys", &format!("static, for labs{first_use}"))?;
    line(f, "our SA", &format!("AN {}{}", keys.an, ssci(keys.ssci)))?;
    write_key(f, &keys.key)?;
    for peer in &keys.peers {
        let key = if peer.key.is_some() { "" } else { ", same key" };
        line(f, "peer", &format!("{}, AN {}{}{key}", peer.sci, peer.an, ssci(peer.ssci)))?;
        peer.key.iter().try_for_each(|key| write_key(f, key))?;
    }
    Ok(())
}

fn ssci(ssci: Option<Ssci>) -> String {
    ssci.map_or_else(String::new, |ssci| format!(", SSCI {}", ssci.0))
}

fn write_key(f: &mut fmt::Formatter<'_>, key: &Key) -> fmt::Result {
    line(f, "  key check", &key.check.to_string())
}

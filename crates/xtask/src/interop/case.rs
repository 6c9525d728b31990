//! The cases: `crates/macsec-gateway/tests/interop/cases.toml`.

use std::{collections::BTreeSet, fs, path::Path};

use macsec::{An, CipherSuite, ValidateFrames};
use macsec_gateway::config::Isolation;
use serde::{Deserialize, Deserializer, de::Error};

use super::Result;

/// Octets that an Ethernet frame carries, unless someone says otherwise.
pub(super) const ETHERNET_MTU: u32 = 1500;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    case: Vec<Case>,
}

/// One case. The table says what its fields mean.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) name: String,
    #[serde(deserialize_with = "suite")]
    pub(super) suite: CipherSuite,
    #[serde(default, deserialize_with = "isolation")]
    pub(super) isolation: Isolation,
    #[serde(default = "yes")]
    pub(super) confidentiality: bool,
    #[serde(default)]
    pub(super) form: Form,
    pub(super) tci_an: u8,
    #[serde(default = "ethernet_mtu")]
    pub(super) mtu: u32,
    #[serde(default)]
    pub(super) vlan: bool,
    #[serde(default)]
    pub(super) lengths: Lengths,
    #[serde(default = "first_pn")]
    pub(super) our_pn: u64,
    #[serde(default = "first_pn")]
    pub(super) kernel_pn: u64,
    #[serde(default)]
    pub(super) wrong_key: bool,
    #[serde(default)]
    validate: Validate,
    #[serde(default)]
    pub(super) second_peer: bool,
    #[serde(default)]
    pub(super) replay_window: u32,
    #[serde(default)]
    pub(super) held_back: bool,
    #[serde(default)]
    pub(super) attacks: Vec<Attack>,
    #[serde(default)]
    pub(super) udp: bool,
    pub(super) restart: Option<Restart>,
    #[serde(default)]
    pub(super) expect: Expect,
}

/// How a SecTAG names its SC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Form {
    /// By the SCI itself.
    #[default]
    Explicit,
    /// By ES: the source address, port 0001.
    EndStation,
    /// By SCB.
    SingleCopyBroadcast,
    /// Not at all: there is but one.
    Implicit,
}

/// Which frame lengths are tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Lengths {
    All,
    #[default]
    Some,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Validate {
    #[default]
    Strict,
    Check,
}

/// What is to become of the frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Expect {
    #[default]
    Delivered,
    NotValid,
    Invalid,
    Exhausted,
}

/// What an attacker on the wire sends, to both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Attack {
    /// Frames of the other end, once more.
    Replayed,
    /// The same, the short ones padded to what an Ethernet frame must have.
    Padded,
    /// Frames without a SecTAG.
    Plain,
    /// The last frames of the other end, once more, within the replay window: no attack, as far as
    /// MACsec goes.
    Recent,
}

/// How our end is ended in mid-traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Restart {
    /// By SIGTERM.
    Terminated,
    /// By SIGKILL.
    Killed,
}

fn suite<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<CipherSuite, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

fn isolation<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Isolation, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "namespace" => Ok(Isolation::Namespace),
        "filter" => Ok(Isolation::Filter),
        other => Err(D::Error::custom(format!("{other:?} is no isolation"))),
    }
}

fn yes() -> bool {
    true
}

fn ethernet_mtu() -> u32 {
    ETHERNET_MTU
}

fn first_pn() -> u64 {
    1
}

impl Case {
    /// All cases of the table.
    pub(super) fn all(table: &Path) -> Result<Vec<Self>> {
        let text = fs::read_to_string(table).map_err(|e| format!("{}: {e}", table.display()))?;
        let Table { case: cases } = toml::from_str(&text)?;
        let mut names = BTreeSet::new();
        for case in &cases {
            if !names.insert(&case.name) {
                return Err(format!("two cases are called {}", case.name).into());
            }
        }
        Ok(cases)
    }

    /// The AN of the SAs.
    pub(super) fn an(&self) -> An {
        An::from_low_bits(self.tci_an)
    }

    /// What both ends do with frames that are not valid.
    pub(super) fn validate(&self) -> ValidateFrames {
        match self.validate {
            Validate::Strict => ValidateFrames::Strict,
            Validate::Check => ValidateFrames::Check,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sound() {
        let cases = Case::all(&crate::interop::source_directory().join("cases.toml")).unwrap();
        for suite in CipherSuite::ALL {
            for confidentiality in [true, false] {
                let of = |case: &&Case| {
                    case.suite == suite
                        && case.confidentiality == confidentiality
                        && case.form == Form::Explicit
                };
                assert!(cases.iter().any(|case| of(&case)), "{} {confidentiality}", suite.name());
            }
        }
    }
}

//! Profiles: defaults that suit a cloud's edge, and what that cloud demands beyond them.
//!
//! Only what the clouds themselves say is in here. Where they leave a choice, the other end has to
//! be set up alike.

use std::fmt;

use ::mka::KeyLength;
use macsec::{CipherSuite, ClearVlanTags};
use serde::Serialize;

use super::{
    MkaConfig, PortConfig, Timestamp,
    reader::{Found, Report, Table},
};

/// The cloud whose edge is the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// `aws`: AWS Direct Connect.
    Aws,
    /// `gcp`: Google Cloud Interconnect.
    Gcp,
    /// `azure`: Azure ExpressRoute Direct.
    Azure,
    /// `oci`: OCI FastConnect.
    Oci,
}

/// A profile in use, and what it sets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UsedProfile {
    /// The name of the port.
    pub port: String,
    /// The profile.
    pub profile: Profile,
    /// All that it sets.
    pub settings: Vec<UsedSetting>,
}

/// What a profile sets, as the file might have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct UsedSetting {
    /// The key, as within `[[port]]`: `mka.policy`.
    pub key: &'static str,
    /// The value as TOML spells it.
    pub value: &'static str,
    /// Whether the file has a value of its own, which holds.
    pub overridden: bool,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 4] = [Self::Aws, Self::Gcp, Self::Azure, Self::Oci];

    /// What it is called in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Gcp => "gcp",
            Self::Azure => "azure",
            Self::Oci => "oci",
        }
    }

    /// What it sets.
    const fn settings(self) -> &'static [Setting] {
        match self {
            Self::Aws => &[WIDE_SUITES, SCI, NO_TAG_IN_CLEAR],
            Self::Gcp | Self::Oci => &[WIDE_SUITES, MUST_SECURE],
            Self::Azure => &[WIDE_SUITES],
        }
    }

    /// How many CAKs an edge of the cloud holds at a time, as far as that is known.
    const fn max_keys(self) -> Option<usize> {
        match self {
            Self::Aws => Some(3),
            Self::Gcp => Some(5),
            Self::Azure | Self::Oci => None,
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A default.
struct Setting {
    /// Whether the key is one of `[port.mka]`, or of the port itself.
    of_mka: bool,
    key: &'static str,
    path: &'static str,
    value: &'static str,
    /// Keys of the port that say something about the same.
    rivals: &'static [&'static str],
}

/// AWS takes these, and only the first on fast links; Azure and OCI have these among four. Google
/// speaks of keys of 256 bits, whatever the suite.
const WIDE_SUITES: Setting = Setting {
    of_mka: true,
    key: "cipher_suites",
    path: "mka.cipher_suites",
    value: "[\"gcm-aes-xpn-256\", \"gcm-aes-256\"]",
    rivals: &["cipher_suite"],
};
const MUST_SECURE: Setting = Setting {
    of_mka: true,
    key: "policy",
    path: "mka.policy",
    value: "\"must-secure\"",
    rivals: &[],
};
const SCI: Setting = Setting {
    of_mka: false,
    key: "always_include_sci",
    path: "always_include_sci",
    value: "true",
    rivals: &["use_es", "use_scb"],
};
const NO_TAG_IN_CLEAR: Setting = Setting {
    of_mka: false,
    key: "vlan_tags_in_clear",
    path: "vlan_tags_in_clear",
    value: "0",
    rivals: &[],
};

/// Reads `profile` in `mka`, and puts what it sets where `port`, called `name`, and `mka` have
/// nothing.
pub(super) fn apply<'i>(
    report: &mut Report,
    name: Option<&str>,
    port: &mut Table<'i>,
    mka: &mut Table<'i>,
) -> Option<Found<Profile>> {
    let names = Profile::ALL.map(|profile| (profile.name(), profile));
    let profile = mka.choice(report, "profile", &names)?;
    let mut settings = Vec::new();
    for Setting { of_mka, key, path, value, rivals } in profile.value.settings() {
        let is_set = rivals.iter().any(|rival| port.has(rival));
        let table = if *of_mka { &mut *mka } else { &mut *port };
        let overridden = is_set || table.has(key);
        if !overridden {
            table.put(report, key, value, &profile.at);
        }
        settings.push(UsedSetting { key: path, value, overridden });
    }
    if let Some(name) = name {
        report.tell_profile(UsedProfile {
            port: name.to_owned(),
            profile: profile.value,
            settings,
        });
    }
    Some(profile)
}

/// Warns of what the cloud would not take of `port`.
pub(super) fn advise(report: &mut Report, profile: &Found<Profile>, port: &PortConfig) {
    let Some(mka) = &port.mka else { return };
    let Found { value: profile, at } = profile;
    let mut warn = |advice: String| report.warn(at, format!("{profile}: {advice}"));
    if let Some(most) = profile.max_keys()
        && mka.keys.len() > most
    {
        warn(format!("{most} keys at most; there are {}", mka.keys.len()));
    }
    if matches!(profile, Profile::Aws | Profile::Gcp) {
        for key in mka.keys.iter().filter(|key| key.cak.length() == KeyLength::Bits128) {
            warn(format!("CAKs of 256 bits only; that of CKN {} has 128", key.ckn));
        }
    }
    match profile {
        Profile::Aws => advise_on_aws(warn, port, mka),
        Profile::Gcp => advise_on_gcp(warn, mka),
        Profile::Azure | Profile::Oci => {}
    }
}

fn advise_on_aws(mut warn: impl FnMut(String), port: &PortConfig, mka: &MkaConfig) {
    let suites = mka.suites.as_slice();
    for suite in suites.iter().filter(|suite| suite.key_len() != 32) {
        warn(format!("suites of 256 bits only, not {suite}"));
    }
    if suites.first() != Some(&CipherSuite::GcmAesXpn256) {
        warn("gcm-aes-xpn-256 first: there is no other from 100 Gbit/s on".to_owned());
    }
    if !port.controls.always_include_sci {
        warn("the SCI in every frame: always_include_sci = true".to_owned());
    }
    if port.controls.clear_vlan_tags != ClearVlanTags::None {
        warn("no VLAN tag in clear: vlan_tags_in_clear = 0".to_owned());
    }
}

/// Hours between the starts of two keys.
const HOURS: i64 = 6;

fn advise_on_gcp(mut warn: impl FnMut(String), mka: &MkaConfig) {
    let mut starts: Vec<Timestamp> = mka.keys.iter().filter_map(|key| key.start).collect();
    starts.sort_unstable();
    for pair in starts.windows(2) {
        if let [first, second] = pair
            && second.0.saturating_sub(first.0) < HOURS * 3600
        {
            warn(format!("starts {HOURS} hours apart at least, not {first} and {second}"));
        }
    }
}

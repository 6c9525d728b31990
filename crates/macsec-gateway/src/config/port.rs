//! What a port is made of.

use std::ops::RangeInclusive;

use ::mka::Suites;
use macsec::{
    CipherSuite, ClearVlanTags, Confidentiality, ConfidentialityOffset, MAX_DUPLICATE_WINDOW,
    MAX_XPN_REPLAY_WINDOW, MacAddress, Sci, ValidateFrames,
};

use super::{
    Isolation, PortConfig, Source,
    mka::{self, Surroundings},
    profile,
    reader::{Found, Report, Spot, Table, value_or},
    registry::Registry,
    static_keys,
};
use crate::port::inner_mtu;

/// Linux takes no interface name that is longer.
const MAX_NAME: usize = 15;
const NAME_RULE: &str = "1 to 15 letters, digits, '-' and '_'";
const INTERFACE_RULE: &str = "an interface: 1 to 15 printable ASCII characters without '/', ':' \
    and '%', and not \".\", \"..\", \"all\" or \"default\"";
const MAC_RULE: &str =
    "the address of one station, as aa:bb:cc:dd:ee:ff: the first octet even, not all zero";
/// How an SCI is written.
pub(super) const SCI_RULE: &str = "aa-bb-cc-dd-ee-ff-pppp or 16 hexadecimal digits";

/// The most is what a ring of the kernel's takes, with addresses, EtherType and two VLAN tags.
const UPLINK_MTU: RangeInclusive<u32> = 256..=64_978;
/// From the least that IPv4 needs to the most that Linux gives to a TAP.
const TAP_MTU: RangeInclusive<u32> = 68..=65521;

/// Reads a `[[port]]`. None only if there is a fault.
pub(super) fn read(
    report: &mut Report,
    mut table: Table<'_>,
    source: &Source<'_>,
    registry: &mut Registry,
) -> Option<PortConfig> {
    let names = Names::read(report, &mut table, registry);
    let isolation = table.choice(
        report,
        "isolation",
        &[("namespace", Isolation::Namespace), ("filter", Isolation::Filter)],
    );
    let promiscuous = table.flag(report, "promiscuous", false);
    let mac = table.text(report, "mac", MAC_RULE, |text| {
        text.parse().ok().filter(|mac: &MacAddress| mac.0[0] & 1 == 0 && mac.0 != [0; 6])
    });
    let mut mka = table.table(report, "mka");
    let name = names.as_ref().map(|names| names.name.as_str());
    let profile = mka.as_mut().and_then(|mka| profile::apply(report, name, &mut table, mka));
    let suites = suites(report, &mut table, mka.as_mut());
    let suite = suites.map(|suites| suites.first());
    let sci = table.text(report, "sci", SCI_RULE, |text| text.parse::<Sci>().ok());
    let confidentiality = confidentiality(report, &mut table, suite);
    let Controls { controls, lax } = controls(report, &mut table, suites, sci.as_ref());
    let sizes = Sizes::read(report, &mut table, controls.clear_vlan_tags);
    let mut bypass = table.numbers(report, "bypass_ethertypes", may_bypass);
    bypass.sort_unstable();
    let static_keys = table.table(report, "static_keys");
    if let (Some(mka), Some(static_keys)) = (&mka, &static_keys) {
        let rule = format!("nothing beside {}: keys are agreed upon or given", mka.at().key);
        report.fault(&static_keys.at(), rule);
    }
    let used = profile.as_ref().map(|found| found.value);
    let around = Surroundings { profile: used, suites, bypass: &bypass, lax: &lax };
    let mka = mka.map(|mka| mka::read(report, mka, &around, source, registry));
    let static_keys = static_keys
        .map(|keys| static_keys::read(report, keys, suite, sci.as_ref(), source, registry));
    table.finish(report);

    let Names { name, uplink, tap } = names?;
    let config = PortConfig {
        name,
        uplink,
        isolation: value_or(isolation, Isolation::default()),
        uplink_mtu: sizes.uplink_mtu,
        promiscuous,
        tap,
        mac: mac.map(|found| found.value),
        mtu: sizes.mtu,
        inner_vlan_tags: sizes.inner_vlan_tags,
        sci: sci.map(|found| found.value),
        cipher_suite: suite?,
        confidentiality,
        controls,
        bypass,
        mka: match mka {
            Some(mka) => Some(mka?),
            None => None,
        },
        static_keys: match static_keys {
            Some(keys) => Some(keys?),
            None => None,
        },
    };
    if let Some(profile) = profile {
        profile::advise(report, &profile, &config);
    }
    Some(config)
}

/// Whether `name` has letters, digits, `-` and `_` only.
pub(super) fn is_plain(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

struct Names {
    name: String,
    uplink: String,
    tap: String,
}

impl Names {
    /// Reads the names of `table`, which is called by the port's from then on.
    fn read(report: &mut Report, table: &mut Table<'_>, registry: &mut Registry) -> Option<Self> {
        let name = table.required(report, "name", NAME_RULE, |name| {
            (matches!(name.len(), 1..=MAX_NAME) && is_plain(name)).then(|| name.to_owned())
        });
        let name = name.and_then(|Found { value, mut at }| {
            table.rename(format!("port.{value}"));
            at.key = format!("port.{value}.name");
            let is_new = registry.names.claim(report, value.clone(), &at, "a name");
            is_new.then_some(Found { value, at })
        });

        let interface = |text: &str| is_interface(text).then(|| text.to_owned());
        let uplink = table.required(report, "uplink", INTERFACE_RULE, interface);
        let uplink = uplink.and_then(|Found { value, at }| {
            let is_new = registry.interfaces.claim(report, value.clone(), &at, "an interface");
            is_new.then_some(value)
        });

        let tap_given = table.has("tap");
        let tap = table.text(report, "tap", INTERFACE_RULE, interface);
        let tap = match &name {
            Some(name) if !tap_given && !is_interface(&name.value) => {
                report.fault(&name.at, "another name, or a tap: no interface can be called so");
                None
            }
            Some(name) if !tap_given => {
                Some(Found { value: name.value.clone(), at: name.at.clone() })
            }
            _ => tap,
        };
        let tap = tap.and_then(|Found { value, at }| {
            let is_new = registry.interfaces.claim(report, value.clone(), &at, "a TAP");
            is_new.then_some(value)
        });
        Some(Self { name: name?.value, uplink: uplink?, tap: tap? })
    }
}

/// Whether Linux would give `name` to an interface, and to one only: `all` and `default` are
/// sysctl's.
fn is_interface(name: &str) -> bool {
    matches!(name.len(), 1..=MAX_NAME)
        && name.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '/' | ':' | '%'))
        && !matches!(name, "." | ".." | "all" | "default")
}

struct Sizes {
    uplink_mtu: Option<u32>,
    mtu: Option<u32>,
    inner_vlan_tags: u8,
}

impl Sizes {
    fn read(report: &mut Report, table: &mut Table<'_>, in_clear: ClearVlanTags) -> Self {
        let uplink_mtu = table.number(report, "uplink_mtu", UPLINK_MTU).map(|found| found.value);
        let inner_vlan_tags = table.whole(report, "inner_vlan_tags", "0 to 2", |n| {
            u8::try_from(n).ok().filter(|n| *n <= 2)
        });
        let inner_vlan_tags = value_or(inner_vlan_tags, 0);
        let mtu = table.number(report, "mtu", TAP_MTU);
        if let (Some(uplink_mtu), Some(mtu)) = (uplink_mtu, &mtu) {
            let greatest = inner_mtu(uplink_mtu, inner_vlan_tags, in_clear);
            if mtu.value > greatest {
                let rule = format!(
                    "{} to {greatest}: the uplink's {uplink_mtu} less {}",
                    TAP_MTU.start(),
                    uplink_mtu - greatest
                );
                report.fault(&mtu.at, rule);
            }
        }
        Self { uplink_mtu, mtu: mtu.map(|found| found.value), inner_vlan_tags }
    }
}

/// Reads which cipher suites the port may use: `cipher_suite`, or a list for MKA. None if that is
/// faulty.
fn suites(
    report: &mut Report,
    table: &mut Table<'_>,
    mka: Option<&mut Table<'_>>,
) -> Option<Suites> {
    let names = CipherSuite::ALL.map(|suite| (suite.name(), suite));
    let default = (!table.has("cipher_suite")).then_some(CipherSuite::GcmAesXpn256);
    let one = table.choice(report, "cipher_suite", &names);
    if let Some(mka) = mka
        && let is_given = mka.has("cipher_suites")
        && let list = mka.choices(report, "cipher_suites", &names)
        && is_given
    {
        let list = list?;
        if let Some(one) = one {
            let rule = format!("nothing beside {}: one suite, or a list", one.at.key);
            report.fault(&list.at, rule);
        }
        return Suites::new(&list.value).ok();
    }
    Suites::new(&[one.map(|found| found.value).or(default)?]).ok()
}

fn confidentiality(
    report: &mut Report,
    table: &mut Table<'_>,
    suite: Option<CipherSuite>,
) -> Confidentiality {
    let encrypt = table.flag(report, "confidentiality", true);
    let offset =
        table.whole(report, "confidentiality_offset", "0, 30, 50", |octets| match octets {
            0 => Some(ConfidentialityOffset::Zero),
            30 => Some(ConfidentialityOffset::Thirty),
            50 => Some(ConfidentialityOffset::Fifty),
            _ => None,
        });
    if let Some(offset) = &offset
        && offset.value != ConfidentialityOffset::Zero
    {
        if !encrypt {
            report.fault(&offset.at, "0 without confidentiality");
        }
        if let Some(suite) = suite.filter(|suite| suite.is_xpn()) {
            report.fault(&offset.at, format!("0 with {suite}"));
        }
    }
    let offset = value_or(offset, ConfidentialityOffset::Zero);
    if encrypt { Confidentiality::Encrypt(offset) } else { Confidentiality::IntegrityOnly }
}

struct Controls {
    controls: macsec::Config,
    /// Those that let something pass without MACsec, each with the value that does not.
    lax: Vec<(Spot, &'static str)>,
}

fn controls(
    report: &mut Report,
    table: &mut Table<'_>,
    suites: Option<Suites>,
    sci: Option<&Found<Sci>>,
) -> Controls {
    let mut controls = macsec::Config::default();
    let mut lax = Vec::new();
    if let Some(protect) = table.boolean(report, "protect_frames") {
        controls.protect_frames = protect.value;
        if !protect.value {
            lax.push((protect.at, "true"));
        }
    }
    let modes = [
        ValidateFrames::Strict,
        ValidateFrames::Check,
        ValidateFrames::Disabled,
        ValidateFrames::Null,
    ]
    .map(|mode| (mode.to_string(), mode));
    let modes = modes.each_ref().map(|(name, mode)| (name.as_str(), *mode));
    if let Some(validate) = table.choice(report, "validate_frames", &modes) {
        controls.validate_frames = validate.value;
        if validate.value != ValidateFrames::Strict {
            lax.push((validate.at, "\"strict\""));
        }
    }
    replay(report, table, suites, &mut controls);
    sci_on_the_wire(report, table, sci, &mut controls);
    let in_clear = table.whole(report, "vlan_tags_in_clear", "0 to 2", |tags| match tags {
        0 => Some(ClearVlanTags::None),
        1 => Some(ClearVlanTags::One),
        2 => Some(ClearVlanTags::Two),
        _ => None,
    });
    controls.clear_vlan_tags = value_or(in_clear, ClearVlanTags::None);
    controls.compat.accept_changed_text = table.flag(report, "accept_changed_text", false);
    controls.compat.disabled_decrypts = table.flag(report, "disabled_decrypts", false);
    Controls { controls, lax }
}

fn replay(
    report: &mut Report,
    table: &mut Table<'_>,
    suites: Option<Suites>,
    controls: &mut macsec::Config,
) {
    controls.replay_protect = table.flag(report, "replay_protect", true);
    let xpn =
        suites.and_then(|suites| suites.as_slice().iter().copied().find(|suite| suite.is_xpn()));
    let window = table.number(report, "replay_window", 0..=u32::MAX);
    if let (Some(window), Some(suite)) = (&window, xpn)
        && window.value > MAX_XPN_REPLAY_WINDOW
    {
        report.fault(&window.at, format!("0 to {MAX_XPN_REPLAY_WINDOW} with {suite}"));
    }
    controls.replay_window = value_or(window, 0);
    let duplicates = table.boolean(report, "detect_duplicates");
    let can_detect = controls.replay_protect && controls.replay_window <= MAX_DUPLICATE_WINDOW;
    if let Some(duplicates) = &duplicates
        && duplicates.value
        && !can_detect
    {
        let rule = format!(
            "false, unless replay_protect is true and replay_window at most {MAX_DUPLICATE_WINDOW}"
        );
        report.fault(&duplicates.at, rule);
    }
    controls.detect_duplicates = value_or(duplicates, false);
}

/// Reads how the peer gets to know our SCI.
fn sci_on_the_wire(
    report: &mut Report,
    table: &mut Table<'_>,
    sci: Option<&Found<Sci>>,
    controls: &mut macsec::Config,
) {
    let always = table.boolean(report, "always_include_sci");
    let use_es = table.boolean(report, "use_es");
    controls.use_es = use_es.as_ref().is_some_and(|found| found.value);
    controls.use_scb = table.flag(report, "use_scb", false);
    let implied = controls.use_es || controls.use_scb;
    if let Some(always) = &always
        && always.value
        && implied
    {
        report.fault(&always.at, "false together with use_es or use_scb");
    }
    controls.always_include_sci = value_or(always, !implied);

    let Some(use_es) = use_es.filter(|found| found.value) else { return };
    let (port, how) = if controls.use_scb {
        (Sci::PORT_SINGLE_COPY_BROADCAST, "use_es and use_scb")
    } else {
        (Sci::PORT_END_STATION, "use_es")
    };
    match sci {
        Some(sci) if sci.value.port() != port => {
            report.fault(&sci.at, format!("an SCI that ends in {port:04x}, together with {how}"));
        }
        // By default, the SCI is that of port 0001.
        None if port != Sci::PORT_END_STATION => {
            report.fault(&use_es.at, format!("false, or an sci that ends in {port:04x}, as {how}"));
        }
        _ => {}
    }
}

fn may_bypass(ethertype: u32) -> Result<u16, &'static str> {
    match u16::try_from(ethertype) {
        Ok(0..0x0600 | 0x888e | 0x88e5 | 0x8100 | 0x88a8) | Err(_) => Err(
            "0x0600 to 0xffff, but for 0x888e (EAPOL), 0x88e5 (MACsec), 0x8100 and 0x88a8 (VLAN)",
        ),
        Ok(ethertype) => Ok(ethertype),
    }
}

//! How a port agrees on keys: `[port.mka]`.

use std::{ops::RangeInclusive, time::Duration};

use ::mka::{
    ETHERTYPE_EAPOL, Framing, KayConfig, NEAREST_NON_TPMR_BRIDGE, ParticipantConfig, SetOrder,
    Suites, logon::LogonPolicy, order::Controls,
};
use macsec::{MacAddress, Sci};

use super::{
    MAX_PEERS, PortConfig, Profile, Source,
    mka_keys::{self, MkaKey},
    reader::{Report, Spot, Table, value_or},
    registry::Registry,
};

/// `[port.mka]`: MKA with pre-shared CAKs.
#[derive(Debug, PartialEq)]
pub struct MkaConfig {
    /// The cloud whose edge is the other end, if its defaults were taken.
    pub profile: Option<Profile>,
    /// The CAKs, 1 to [`MAX_KEYS`](super::MAX_KEYS), each with a CKN of its own: that of
    /// `[port.mka]` itself, if it has one, then those of `[[port.mka.key]]`. At most one is the
    /// fallback, and never the only one.
    pub keys: Vec<MkaKey>,
    /// Key Server Priority: less is better, 255 is never. Default 16.
    pub priority: u8,
    /// The cipher suites that may be used, the most wanted first. Default: the port's one.
    pub suites: Suites,
    /// What the port does without MACsec. Default [`Policy::MustSecure`].
    pub policy: Policy,
    /// How old a SAK gets before a key server makes another, 30 seconds to 30 days. Default: as old
    /// as its packet numbers last.
    pub rekey_interval: Option<Duration>,
    /// Whether a key server makes a new SAK when a peer has gone. Default false.
    pub rekey_on_peer_loss: bool,
    /// Whom MKPDUs are sent to, a group address. Default the PAE group address.
    pub destination: MacAddress,
    /// The EtherType of EAPOL on the port: 888E by default, never MACsec's nor a VLAN tag's, nor on
    /// the bypass list.
    pub ethertype: u16,
    /// MKA Hello Time, 0.5 to 60 seconds. Default 2 seconds, or 0.5 with `delay_protect`.
    pub hello_time: Duration,
    /// Whether peers are told to discard frames that have been under way for long, which takes a
    /// `hello_time` of 0.5 seconds. Default false.
    pub delay_protect: bool,
    /// How many live peers there may be, 1 to [`MAX_PEERS`](super::MAX_PEERS). Default 4.
    pub max_peers: usize,
    /// The MKA version to send, 1 to 3. Default 3.
    pub version: u8,
    /// Whether MKPDUs announce their ICV. Default false.
    pub icv_indicator: bool,
    /// The order of the parameter sets. Default [`SetOrder::Ascending`].
    pub set_order: SetOrder,
}

impl PortConfig {
    /// What the KaY of the port is told, if it has one. `sci` is that of the port, `source` the address
    /// that its MKPDUs come from: the uplink's.
    #[must_use]
    pub fn kay_config(&self, sci: Sci, source: MacAddress) -> Option<KayConfig> {
        let mka = self.mka.as_ref()?;
        let mut participant = ParticipantConfig::new(sci);
        participant.framing = Framing::new(source);
        participant.framing.destination = mka.destination;
        participant.framing.ethertype = mka.ethertype;
        participant.framing.order = mka.set_order;
        participant.framing.icv_indicator = mka.icv_indicator;
        participant.priority = mka.priority;
        participant.version = mka.version;
        participant.suites = mka.suites;
        participant.confidentiality = self.confidentiality;
        participant.plain_text_allowed = mka.policy == Policy::ShouldSecure;
        participant.hello_time = mka.hello_time;
        participant.rekey_interval = mka.rekey_interval;
        participant.rekey_on_member_loss = mka.rekey_on_peer_loss;
        participant.delay_protect = mka.delay_protect;
        participant.max_peers = mka.max_peers;
        let mut config = KayConfig::new(participant);
        config.policy = match mka.policy {
            Policy::MustSecure => LogonPolicy::MUST_SECURE,
            Policy::ShouldSecure => LogonPolicy::SHOULD_SECURE,
        };
        config.port.secured = Controls {
            protect_frames: self.controls.protect_frames,
            validate_frames: self.controls.validate_frames,
            replay_protect: self.controls.replay_protect,
            replay_window: self.controls.replay_window,
        };
        Some(config)
    }
}

impl MkaConfig {
    /// Whether the KaY can go on when this configuration is replaced by `other`: peers see nothing
    /// change but keys, which come and go while it runs. If not, the port begins anew, as a
    /// participant that nobody has seen yet.
    #[must_use]
    pub fn keeps_session(&self, other: &Self) -> bool {
        let Self { profile: _, rekey_interval: _, rekey_on_peer_loss: _, keys: _, .. } = self;
        let agreement = |of: &Self| (of.priority, of.suites, of.policy, of.max_peers);
        let wire = |of: &Self| {
            (
                of.destination,
                of.ethertype,
                of.hello_time,
                of.delay_protect,
                of.version,
                of.icv_indicator,
                of.set_order,
            )
        };
        agreement(self) == agreement(other) && wire(self) == wire(other)
    }

    /// Whether one of the keys has the CAK of `key`, under its CKN.
    #[must_use]
    pub fn has_cak_of(&self, key: &MkaKey) -> bool {
        self.keys.iter().any(|other| other.ckn == key.ckn && other.cak == key.cak)
    }
}

/// What a port does without MACsec.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// `must-secure`: it stays closed.
    #[default]
    MustSecure,
    /// `should-secure`: it opens in clear once MKA has failed, or if the key server says so.
    ShouldSecure,
}

/// What `[port.mka]` has to know of the port around it.
pub(super) struct Surroundings<'a> {
    pub(super) profile: Option<Profile>,
    /// None if they are faulty.
    pub(super) suites: Option<Suites>,
    pub(super) bypass: &'a [u16],
    /// The controls of the port that let something pass without MACsec, each with the value that
    /// does not.
    pub(super) lax: &'a [(Spot, &'static str)],
}

/// Milliseconds between hellos. The least is what bounds delay.
const HELLO_TIME: RangeInclusive<u32> = 500..=60_000;
const DEFAULT_PEERS: usize = 4;
const PEERS_RULE: &str = "1 to 31";
const INTERVAL_RULE: &str = "0 or 30 to 2592000";
const DESTINATION_RULE: &str = "a group address, as 01-80-c2-00-00-03: the first octet odd";
const ETHERTYPE_RULE: &str = "0x0600 to 0xffff, but for 0x88e5 (MACsec), 0x8100 and 0x88a8 (VLAN), and for bypass_ethertypes";

/// Reads `[port.mka]`, whose `profile` and `cipher_suites` have been read. None only if there is a fault.
pub(super) fn read(
    report: &mut Report,
    mut table: Table<'_>,
    around: &Surroundings<'_>,
    source: &Source<'_>,
    registry: &mut Registry,
) -> Option<MkaConfig> {
    let keys = mka_keys::read(report, &mut table, around.suites, source, registry);
    let priority = priority(report, &mut table);
    let policy = policy(report, &mut table, around.lax);
    let rekey_interval = table.whole(report, "rekey_interval", INTERVAL_RULE, |seconds| {
        matches!(seconds, 0 | 30..=2_592_000).then(|| Duration::from_secs(seconds.into()))
    });
    let rekey_on_peer_loss = table.flag(report, "rekey_on_peer_loss", false);
    let destination = table.text(report, "destination", DESTINATION_RULE, |text| {
        text.parse().ok().filter(|mac: &MacAddress| mac.0[0] & 1 == 1)
    });
    let ethertype = table.whole(report, "ethertype", ETHERTYPE_RULE, |ethertype| {
        u16::try_from(ethertype).ok().filter(|ethertype| {
            !matches!(ethertype, 0..0x0600 | 0x88e5 | 0x8100 | 0x88a8)
                && !around.bypass.contains(ethertype)
        })
    });
    let (delay_protect, hello_time) = hellos(report, &mut table);
    let max_peers = table.whole(report, "max_peers", PEERS_RULE, |peers| {
        usize::try_from(peers).ok().filter(|peers| (1..=MAX_PEERS).contains(peers))
    });
    let version = table.whole(report, "mka_version", "1 to 3", |version| {
        u8::try_from(version).ok().filter(|version| matches!(version, 1..=3))
    });
    let icv_indicator = table.flag(report, "icv_indicator", false);
    let orders = [("ascending", SetOrder::Ascending), ("standard", SetOrder::Standard)];
    let set_order = table.choice(report, "set_order", &orders);
    table.finish(report);

    Some(MkaConfig {
        profile: around.profile,
        keys: keys?,
        priority,
        suites: around.suites?,
        policy,
        rekey_interval: rekey_interval.map(|found| found.value).filter(|time| !time.is_zero()),
        rekey_on_peer_loss,
        destination: value_or(destination, NEAREST_NON_TPMR_BRIDGE),
        ethertype: value_or(ethertype, ETHERTYPE_EAPOL),
        hello_time,
        delay_protect,
        max_peers: value_or(max_peers, DEFAULT_PEERS),
        version: value_or(version, 3),
        icv_indicator,
        set_order: value_or(set_order, SetOrder::default()),
    })
}

/// Reads whether delay is bounded, and the Hello Time.
fn hellos(report: &mut Report, table: &mut Table<'_>) -> (bool, Duration) {
    let delay_protect = table.flag(report, "delay_protect", false);
    let hello_time = table.number(report, "hello_time", HELLO_TIME);
    let fastest = *HELLO_TIME.start();
    if let Some(hello_time) = hello_time.as_ref().filter(|found| found.value != fastest)
        && delay_protect
    {
        let rule = format!("{fastest} with delay_protect: slower hellos cannot bound delay");
        report.fault(&hello_time.at, rule);
    }
    let default = if delay_protect { fastest } else { 2000 };
    (delay_protect, Duration::from_millis(value_or(hello_time, default).into()))
}

fn priority(report: &mut Report, table: &mut Table<'_>) -> u8 {
    let priority = table
        .whole(report, "key_server_priority", "0 to 255", |priority| u8::try_from(priority).ok());
    if let Some(priority) = priority.as_ref().filter(|found| found.value == u8::MAX) {
        report.warn(&priority.at, "255 is never: without an end that is less, there is no key");
    }
    value_or(priority, 16)
}

fn policy(report: &mut Report, table: &mut Table<'_>, lax: &[(Spot, &'static str)]) -> Policy {
    let policies = [("must-secure", Policy::MustSecure), ("should-secure", Policy::ShouldSecure)];
    let policy = table.choice(report, "policy", &policies);
    if let Some(policy) = policy.as_ref().filter(|found| found.value == Policy::ShouldSecure) {
        let advice = "must-secure, after the roll-out: whoever drops MKPDUs opens this port";
        report.warn(&policy.at, advice);
    }
    let policy = value_or(policy, Policy::default());
    for (at, value) in lax.iter().filter(|_| policy == Policy::MustSecure) {
        report.fault(at, format!("{value} with the MKA policy must-secure"));
    }
    policy
}

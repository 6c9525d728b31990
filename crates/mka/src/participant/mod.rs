//! An MKA participant: one member of one CA on one port (802.1X clause 9).
//!
//! [`Participant`] is sans-I/O. Frames and time go in, frames, events and the time of the next timeout
//! come out; time is a monotonic duration since whenever the caller likes. After construction nothing
//! is allocated.
//!
//! | part | idea |
//! |---|---|
//! | `receive` | the pipeline from a frame to what it changes |
//! | `peers` | potential, live and forgotten peers |
//! | `numbers` | which of our messages are recent |
//! | `timers` | when to send |
//! | `election` | who is key server |
//! | `decision` | whether and how to use MACsec |
//! | `sak_rules` | when the key server makes a SAK |
//! | `place` | its place among the participants of its port |
//! | `client` | what the others do with it |
//! | `sak` | the SAK agreed on, its members and SSCIs |
//! | `key_use` | SAK Use in both directions |
//! | `announced` | what peers announce, for people |
//! | `offered` | a group CAK that the key server distributes, for people |
//! | `suspension` | a key server that is silent for a while |
//! | `transmit` | what is sent |

mod announced;
mod client;
mod config;
mod decision;
mod election;
mod event;
mod key_use;
mod numbers;
mod offered;
mod peers;
mod place;
mod receive;
mod sak;
mod sak_rules;
mod suspension;
mod timers;
mod transmit;

use alloc::vec::Vec;
use core::{fmt, time::Duration};

use macsec::{Ki, Sci};

pub use announced::{Announced, AnnouncedName};
pub use config::{ConfigError, ParticipantConfig, Suites};
pub use election::KeyServer;
pub use event::{Discard, Event, MiReason, ParticipantCounters, SakRefusal};
pub use key_use::{KeyInUse, KeyReport, PeerKeyUse, ReportedKey};
pub use offered::OfferedCak;
pub(crate) use place::{Place, UsedAns};
pub use sak::{AgreedSak, SakInfo, SakMember};
pub use sak_rules::RekeyReason;
pub use suspension::ResumeReason;
pub use timers::HELLO_TIME;

use crate::{Cak, Ckn, Ick, Kek, Member, Mi, Random};
use announced::AnnouncedNames;
use client::UnknownSak;
use event::Events;
use numbers::MessageNumbers;
use peers::{Peer, PeerTable};
use sak::SakState;
use sak_rules::Distribution;
use suspension::Suspension;
use timers::HelloTimer;

/// What the members of a CA have come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Agreement {
    /// Nothing yet, or no more: there is no live peer, no key server or no SAK.
    Pending,
    /// To do without MACsec.
    PlainText,
    /// To use MACsec, with the SAK that [`Participant::sak`] describes.
    Secured,
}

/// A peer as its participant sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerStatus {
    /// Its MI, and the number of its last message.
    pub member: Member,
    /// Its SCI; `None` of a peer that only others have heard.
    pub sci: Option<Sci>,
    /// Its MKA version, if we have heard it.
    pub version: Option<u8>,
    /// Its Key Server Priority, if we have heard it.
    pub priority: Option<u8>,
    /// When its last message came, if we have heard it.
    pub heard_at: Option<Duration>,
    /// Whether it is live rather than potential.
    pub live: bool,
    /// Its last SAK Use.
    pub key_use: Option<PeerKeyUse>,
    /// What it has announced last, if it ever has.
    pub announced: Option<Announced>,
}

/// One member of a CA: it finds its peers, elects a key server with them and agrees on SAKs.
///
/// A key server makes SAKs, others take them; either way they come out of
/// [`take_agreed_sak`](Self::take_agreed_sak). What the port does with them comes in by
/// [`report_keys`](Self::report_keys).
pub struct Participant<R> {
    config: ParticipantConfig,
    life: Duration,
    cak: Cak,
    ckn: Ckn,
    ick: Ick,
    kek: Kek,
    random: R,
    failed: bool,
    enabled: bool,

    mi: Mi,
    numbers: MessageNumbers,
    peers: PeerTable,
    key_server: KeyServer,
    elected_since: Duration,
    session_since: Option<Duration>,
    suspension: Option<Suspension>,
    hello: HelloTimer,
    names: AnnouncedNames,
    offered_cak: Option<OfferedCak>,

    place: Place,
    /// Another participant was the principal one before us.
    cak_changed: bool,
    sak: SakState,
    new_sak: Option<AgreedSak>,
    plain_text: bool,
    refused: Option<(Ki, SakRefusal)>,
    unknown_sak: Option<UnknownSak>,
    report: KeyReport,
    sak_use_sent: bool,

    key_number: u32,
    distribution: Option<Distribution>,
    last_sak: Option<Duration>,
    rekey_requested: bool,
    sak_abandoned: bool,
    rollover_since: Option<Duration>,

    live_list: Vec<Member>,
    potential_list: Vec<Member>,
    events: Events,
    counters: ParticipantCounters,
}

/// Why there is no participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParticipantError {
    /// The configuration is not to be used.
    Config(ConfigError),
    /// The random generator failed.
    Random,
}

impl fmt::Display for ParticipantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Random => crate::RandomError.fmt(f),
        }
    }
}

impl core::error::Error for ParticipantError {}

impl<R: Random> Participant<R> {
    /// A member of the CA whose CAK is `cak` under the name `ckn`, with an MI of its own and no peers.
    /// Its first MKPDU is due at once.
    ///
    /// # Errors
    /// See [`ParticipantError`].
    pub fn new(
        config: ParticipantConfig,
        cak: Cak,
        ckn: Ckn,
        mut random: R,
        now: Duration,
    ) -> Result<Self, ParticipantError> {
        config.check().map_err(ParticipantError::Config)?;
        let mi = Mi::generate(&mut random).map_err(|_| ParticipantError::Random)?;
        let (life, limit) = (config.life_time(), config.max_peers);
        let mut peers = PeerTable::new(limit, life);
        peers.disown(mi);
        Ok(Self {
            life,
            ick: cak.ick(&ckn),
            kek: cak.kek(&ckn),
            cak,
            ckn,
            random,
            failed: false,
            enabled: true,
            mi,
            numbers: MessageNumbers::new(),
            key_server: election::elect(config.priority, config.sci, &peers),
            peers,
            elected_since: now,
            session_since: None,
            suspension: None,
            hello: HelloTimer::new(config.hello_time, now),
            names: AnnouncedNames::default(),
            offered_cak: None,
            place: Place::default(),
            cak_changed: false,
            sak: SakState::new(),
            new_sak: None,
            plain_text: false,
            refused: None,
            unknown_sak: None,
            report: KeyReport::default(),
            sak_use_sent: false,
            key_number: 0,
            distribution: None,
            last_sak: None,
            rekey_requested: false,
            sak_abandoned: false,
            rollover_since: None,
            live_list: Vec::with_capacity(limit),
            potential_list: Vec::with_capacity(limit),
            events: Events::new(32 + 4 * limit),
            counters: ParticipantCounters::default(),
            config,
        })
    }

    /// Lets time pass: peers expire, SAKs become due. Then fetch as after
    /// [`handle_frame`](Self::handle_frame).
    pub fn handle_timeout(&mut self, now: Duration) {
        if !self.is_active() {
            return;
        }
        self.end_suspension_in_time(now);
        let mut key_server_lost = false;
        while let Some(peer) = self.peers.expire(now) {
            if peer.live
                && let Some(heard) = peer.heard
            {
                key_server_lost |= self.key_server == KeyServer::Peer(peer.mi);
                self.event(Event::PeerLost { mi: peer.mi, sci: heard.sci });
                self.hello.news();
            }
        }
        if key_server_lost {
            self.renew(now, MiReason::KeyServerLost);
        }
        self.settle(now);
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) and
    /// [`poll_transmit`](Self::poll_transmit) next, at the latest. `now` is the time of the last input.
    /// `None` if never: the participant has failed, or its port is disabled.
    #[must_use]
    pub fn poll_timeout(&self, now: Duration) -> Option<Duration> {
        if !self.is_active() {
            return None;
        }
        let others = [self.peers.next_expiry(), self.sak_due(now), self.suspended_until()];
        Some(others.into_iter().flatten().fold(self.hello.due(), Duration::min))
    }

    /// What has happened, oldest first. Call until there is none.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    pub(crate) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// `newSAK`: the SAK agreed on last, once. It is to be received with as soon as may be, and to be
    /// transmitted with when the CP machine says so and [`may_transmit`](Self::may_transmit) does.
    pub fn take_agreed_sak(&mut self) -> Option<AgreedSak> {
        self.new_sak.take()
    }

    /// Changes when SAKs are made without need. See [`ParticipantConfig::rekey_interval`] and
    /// [`ParticipantConfig::rekey_on_member_loss`].
    pub const fn set_rekeying(&mut self, interval: Option<Duration>, on_member_loss: bool) {
        self.config.rekey_interval = interval;
        self.config.rekey_on_member_loss = on_member_loss;
    }

    /// Takes the state of the data plane's keys. To be called on every change and, for the PNs, every
    /// half a second; what changes but PNs is sent to the peers at once.
    pub fn report_keys(&mut self, now: Duration, report: KeyReport) {
        if self.report == report {
            return;
        }
        if self.report.differs(&report) {
            self.hello.news();
        }
        self.report = report;
        if !self.failed {
            self.settle(now);
        }
    }

    /// `portEnabled`. While it is false nothing is sent or taken, and there are no peers. With true a new
    /// MI is taken (802.1X clause 9.4): peers may have been lost, or have changed, meanwhile.
    ///
    /// A new participant's port is enabled.
    pub fn set_port_enabled(&mut self, now: Duration, enabled: bool) {
        if self.failed || enabled == self.enabled {
            return;
        }
        self.enabled = enabled;
        if enabled {
            self.renew(now, MiReason::PortEnabled);
        } else {
            self.peers.clear();
            self.settle(now);
        }
    }

    /// Says whether the data plane is bringing a SAK into use and has not got to transmit with it yet. A key
    /// server makes no other meanwhile, which would lose frames, but waits no longer than a Life Time; and not at all
    /// if that SAK serves nobody, leaves behind who uses the one before, or does not get to all any more, as somebody has
    /// come or gone.
    pub fn set_rollover(&mut self, now: Duration, under_way: bool) {
        let since = under_way.then(|| self.rollover_since.unwrap_or(now));
        let ends = self.rollover_since.is_some() && since.is_none();
        self.rollover_since = since;
        if ends && !self.failed {
            self.settle(now);
        }
    }

    /// The data plane has given up the SAK `ki`. If that is the one agreed on, a key server makes another;
    /// another member takes a new MI to get one.
    pub fn sak_abandoned(&mut self, now: Duration, ki: Ki) {
        if self.failed || self.sak.info().is_none_or(|info| info.ki != ki) {
            return;
        }
        if self.key_server == KeyServer::Us {
            self.sak_abandoned = true;
        } else {
            self.renew(now, MiReason::SakAbandoned);
        }
        self.settle(now);
    }

    /// Asks for a new SAK. Only a key server makes one; to others this is nothing.
    pub fn request_rekey(&mut self, now: Duration) {
        self.rekey_requested = self.key_server == KeyServer::Us;
        if !self.failed {
            self.settle(now);
        }
    }

    /// Refuses the SAK `ki`, which the caller knows from an earlier run: its PNs cannot be told. A new MI
    /// makes the key server send another.
    pub fn refuse_sak(&mut self, now: Duration, ki: Ki) {
        if !self.failed && self.sak.info().is_some_and(|info| info.ki == ki) {
            self.drop_sak();
            self.renew(now, MiReason::SakReused);
            self.settle(now);
        }
    }

    /// What the members have come to.
    #[must_use]
    pub fn agreement(&self) -> Agreement {
        let session = self.session_since.is_some();
        match self.sak.info() {
            Some(_) if session => Agreement::Secured,
            _ if session && self.plain_text => Agreement::PlainText,
            _ => Agreement::Pending,
        }
    }

    /// The key server. [`KeyServer::Us`] means `electedSelf`; alone, we are our own.
    #[must_use]
    pub const fn key_server(&self) -> KeyServer {
        self.key_server
    }

    /// The SAK agreed on last.
    #[must_use]
    pub const fn sak(&self) -> Option<&SakInfo> {
        self.sak.info()
    }

    /// The members that this SAK was made for, key server first. They stay the same as long as the SAK
    /// does; their SCIs may become known later.
    #[must_use]
    pub fn sak_members(&self) -> &[SakMember] {
        self.sak.members()
    }

    /// `allReceiving`: every live member reports that it receives with the SAK `ki`. Of a SAK that another made that is not
    /// said while a better peer does not stand for key server: when a key server goes, all but the best take themselves for
    /// its successor for a moment, and whoever went over to its last SAK then would not be followed.
    #[must_use]
    pub fn all_receiving(&self, ki: Ki) -> bool {
        let ours = Mi::of_ki(ki) == self.mi;
        self.all_have(ki) && (ours || !self.better_peer_does_not_stand())
    }

    /// `serverTransmitting`: the key server reports that it transmits with the SAK `ki`; or who made it does, and was key
    /// server then: all received with it. If that has gone, whoever has gone over from another key will do, and saw one of
    /// the two; who had none before has not waited for anybody.
    #[must_use]
    pub fn server_transmitting(&self, ki: Ki) -> bool {
        let maker = Mi::of_ki(ki);
        let has_gone = maker != self.mi && self.peers.live().all(|(peer, _)| peer.mi != maker);
        let leads = |peer: &Peer| {
            peer.mi == maker
                || self.key_server == KeyServer::Peer(peer.mi)
                || (has_gone && key_use::receives_with_another(peer, ki))
        };
        self.peers.live().any(|(peer, _)| key_use::transmits(peer, ki) && leads(peer))
    }

    /// Whether a live member reports that it transmits with another SAK than `ki`.
    pub(crate) fn others_transmit(&self, ki: Ki) -> bool {
        self.peers.live().any(|(peer, _)| {
            peer.key_use.is_some_and(|keys| keys.keys().any(|key| key.tx && key.ki != ki))
        })
    }

    /// Whether it is safe to transmit with the SAK agreed on last. With an XPN suite one has to know one's
    /// own SSCI, and the key server must have kept to its list of members.
    #[must_use]
    pub fn may_transmit(&self) -> bool {
        self.sak.may_transmit()
    }

    /// Our own SSCI with the SAK agreed on last, if it has SSCIs and ours is known.
    #[must_use]
    pub fn own_ssci(&self) -> Option<macsec::Ssci> {
        self.sak.own_ssci()
    }

    /// The peers, live and potential.
    pub fn peers(&self) -> impl Iterator<Item = PeerStatus> {
        self.peers.all().map(|peer| PeerStatus {
            member: Member { mi: peer.mi, mn: peer.mn },
            sci: peer.heard.map(|heard| heard.sci),
            version: peer.heard.map(|heard| heard.version),
            priority: peer.heard.map(|heard| heard.priority),
            heard_at: peer.heard.map(|heard| heard.at),
            live: peer.live,
            key_use: peer.key_use,
            announced: peer.announced,
        })
    }

    /// Our MI, and the number of our last message.
    #[must_use]
    pub const fn member(&self) -> Member {
        Member { mi: self.mi, mn: self.numbers.last() }
    }

    /// The name of the CAK.
    #[must_use]
    pub const fn ckn(&self) -> &Ckn {
        &self.ckn
    }

    /// The configuration.
    #[must_use]
    pub const fn config(&self) -> &ParticipantConfig {
        &self.config
    }

    /// What has been counted.
    #[must_use]
    pub const fn counters(&self) -> &ParticipantCounters {
        &self.counters
    }

    /// Whether the random generator has failed, and the participant with it.
    #[must_use]
    pub const fn has_failed(&self) -> bool {
        self.failed
    }

    /// As if so many messages had been sent and so many SAKs been made.
    #[cfg(test)]
    pub(crate) fn skip_to(&mut self, message_number: u32, key_number: u32) {
        self.numbers.skip_to(message_number);
        self.key_number = key_number;
    }

    const fn is_active(&self) -> bool {
        self.enabled && !self.failed
    }

    /// Draws the consequences of a change, whatever it was.
    fn settle(&mut self, now: Duration) {
        if self.peers.live().next().is_none() {
            if self.session_since.take().is_some() {
                self.drop_sak();
                self.plain_text = false;
                self.sak_use_sent = false;
                self.event(Event::Alone);
            }
        } else if self.session_since.is_none() {
            self.session_since = Some(now);
        }
        self.elect(now);
        self.check_suspension(now);
        self.sak.update(&self.peers);
        if !self.failed {
            self.serve(now);
        }
    }

    fn elect(&mut self, now: Duration) {
        let elected = election::elect(self.config.priority, self.config.sci, &self.peers);
        if elected == self.key_server {
            return;
        }
        self.key_server = elected;
        self.elected_since = now;
        // What the last key server has been waiting for is not held against the new one.
        self.rollover_since = self.rollover_since.map(|_| now);
        self.unknown_sak = None;
        // Who is no longer key server stops distributing at once. What was decided stays in force until
        // the new one decides.
        self.serve_no_more();
        self.hello.news();
        self.event(Event::KeyServer(elected));
    }

    fn drop_sak(&mut self) {
        self.sak.clear();
        self.new_sak = None;
        self.distribution = None;
    }

    /// Takes a new MI. Message and key numbers begin anew with it.
    fn renew(&mut self, now: Duration, reason: MiReason) {
        let Ok(mi) = Mi::generate(&mut self.random) else { return self.fail() };
        self.peers.disown(mi);
        self.peers.begin_anew();
        self.mi = mi;
        self.numbers.restart();
        self.key_number = 0;
        self.distribution = None;
        self.unknown_sak = None;
        self.sak_use_sent = false;
        self.elected_since = now;
        self.hello.restart();
        self.event(Event::NewMi(reason));
    }

    fn fail(&mut self) {
        self.failed = true;
        self.drop_sak();
        self.event(Event::Failed);
    }

    fn event(&mut self, event: Event) {
        self.events.push(event, &mut self.counters);
    }
}

/// Shows no key.
impl<R> fmt::Debug for Participant<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Participant")
            .field("ckn", &self.ckn)
            .field("sci", &self.config.sci)
            .field("mi", &self.mi)
            .field("key_server", &self.key_server)
            .field("sak", &self.sak.info())
            .finish_non_exhaustive()
    }
}

//! What a KaY has to say to the log: one line for each event, with port, CKN, KI and SCI, and never a key.
//!
//! What a stranger can cause is told once, and then how often it has happened each minute.

use std::time::Duration;

use macsec_io::packet::PacketError;
use mka::{
    Ckn, Discard, Event, Kay, KayEvent, KeyServer, MiReason, Participant, Random, Received,
    SakRefusal,
    cp::{CpEvent, PortStatus},
    logon::MkaOutcome,
};
use tracing::{debug, error, field::display, info, warn};

use crate::status::{
    key_server,
    names::{mi_reason, rekey_reason, resume_reason, sak_refusal},
    symptoms,
};

/// How often something that comes again and again is told.
const PAUSE: Duration = Duration::from_secs(60);

/// What may come again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeated {
    UnknownCkn,
    Icv,
    OwnSci,
    OwnMi,
    Crowd,
    Malformed,
    SakRefused,
    CakOffered,
    NotSent,
}

impl Repeated {
    const COUNT: usize = Self::NotSent as usize + 1;
}

/// How often something has happened since it was last told.
#[derive(Clone, Debug, Default)]
struct Seldom {
    /// Until when it is not told again; `None` if it may be.
    quiet_until: Option<Duration>,
    untold: u64,
    text: String,
}

/// The log of a KaY.
pub(super) struct KayLog {
    port: String,
    /// That of the principal participant, if there is one.
    ckn: Option<Ckn>,
    repeated: [Seldom; Repeated::COUNT],
}

impl KayLog {
    pub(super) fn new(port: &str) -> Self {
        Self { port: port.to_owned(), ckn: None, repeated: Default::default() }
    }

    /// The name of the port.
    pub(super) fn port(&self) -> &str {
        &self.port
    }

    /// Something has happened to the KaY.
    pub(super) fn event(&mut self, now: Duration, event: &KayEvent, kay: &Kay<impl Random>) {
        match event {
            KayEvent::Participant(ckn, event) => self.participant(now, ckn, event, kay),
            KayEvent::Principal(ckn) => {
                self.ckn = *ckn;
                info!(port = self.port, ckn = ckn.map(display), "CAK to be used");
            }
            KayEvent::ControlledPort(event) => self.controlled_port(event),
            KayEvent::Outcome(outcome) => self.outcome(*outcome),
            _ => {}
        }
    }

    fn participant(&mut self, now: Duration, ckn: &Ckn, event: &Event, kay: &Kay<impl Random>) {
        let port = &self.port;
        let participant = kay.participant(ckn);
        match event {
            // A CAK is all it takes, or a recording of who had it.
            Event::PeerPotential { mi, sci } => debug!(port, %ckn, %mi, %sci, "peer potential"),
            Event::PeerLive { mi, sci } => info!(port, %ckn, %mi, %sci, "peer live"),
            Event::PeerReplaced { old, new } => {
                info!(port, %ckn, mi = %new, former = %old, "peer has restarted");
            }
            Event::PeerLost { mi, sci } => {
                warn!(port, %ckn, %mi, %sci, "peer lost: not heard for a Life Time");
            }
            Event::NoSakUse { mi, sci } => {
                warn!(port, %ckn, %mi, %sci, "peer does not say which SAKs it uses");
            }
            Event::Suspended(time) => {
                let seconds = time.as_secs();
                info!(port, %ckn, seconds, "suspended: the key server will be silent");
            }
            Event::Resumed(reason) => {
                info!(port, %ckn, "no longer suspended: {}", resume_reason(*reason));
            }
            Event::Alone => warn!(port, %ckn, "the last live peer has gone: no session"),
            Event::KeyServer(KeyServer::Nobody) => {
                warn!(port, %ckn, "no key server: no member may be one (priority 255)");
            }
            Event::KeyServer(_) => {
                if let Some(server) = key_server(kay) {
                    let (sci, priority) = (&server.sci, server.priority);
                    info!(port, %ckn, sci, priority, is_self = server.is_self, "key server");
                }
            }
            Event::NewMi(reason @ (MiReason::Collision | MiReason::Cloned)) => {
                let mi = participant.map(|participant| participant.member().mi);
                warn!(port, %ckn, mi = mi.map(display), "new MI: {}", mi_reason(*reason));
            }
            Event::NewMi(reason) => {
                let mi = participant.map(|participant| participant.member().mi);
                info!(port, %ckn, mi = mi.map(display), "new MI: {}", mi_reason(*reason));
            }
            Event::SakGenerated(ki, reason) => {
                let (an, suite) = an_and_suite(participant);
                info!(port, %ckn, %ki, an, suite, "SAK made: {}", rekey_reason(*reason));
            }
            Event::SakReceived(ki) => {
                let (an, suite) = an_and_suite(participant);
                info!(port, %ckn, %ki, an, suite, "SAK received");
            }
            // That of a peer which is not live yet, as a rule. It must not keep the next refusal back.
            Event::SakRefused(refusal @ SakRefusal::NotKeyServer) => {
                debug!(port, %ckn, "SAK not taken: {}", sak_refusal(*refusal));
            }
            Event::SakRefused(refusal) => {
                self.repeat(now, Repeated::SakRefused, || {
                    format!("SAK of the key server refused: {}", sak_refusal(*refusal))
                });
            }
            Event::CakOffered { sci, .. } => {
                let offer = participant.and_then(Participant::offered_cak);
                self.repeat(now, Repeated::CakOffered, || {
                    let group = offer.map(|offer| offer.ckn.to_string()).unwrap_or_default();
                    format!("group CAK {group} distributed by the key server {sci}: not taken")
                });
            }
            Event::PlainText => warn!(port, %ckn, "agreed to do without MACsec"),
            Event::Failed => error!(port, %ckn, "the system's random number generator has failed"),
            _ => debug!(port, %ckn, "{event:?}"),
        }
    }

    fn controlled_port(&self, event: &CpEvent) {
        let (port, ckn) = (&self.port, self.ckn.map(display));
        match event {
            CpEvent::Transmitting(ki) => info!(port, ckn, %ki, "transmitting with the SAK"),
            CpEvent::Retired(ki) => info!(port, ckn, %ki, "SAK retired"),
            CpEvent::Abandoned(ki) => warn!(port, ckn, %ki, "SAK given up before it was in use"),
            CpEvent::Port(PortStatus::Closed) => warn!(port, ckn, "Controlled Port closed"),
            CpEvent::Port(PortStatus::Secured) => info!(port, ckn, "Controlled Port secured"),
            CpEvent::Port(PortStatus::Unprotected) => {
                warn!(port, ckn, "Controlled Port open IN CLEAR (policy should-secure)");
            }
            CpEvent::OrderFailed { ki: Some(ki), failure, .. } => {
                error!(port, ckn, %ki, "the SAK cannot be used: {failure}");
            }
            CpEvent::OrderFailed { ki: None, failure, .. } => {
                error!(port, ckn, "an order to the SecY has failed: {failure}");
            }
            _ => debug!(port, ckn, "{event:?}"),
        }
    }

    fn outcome(&self, outcome: MkaOutcome) {
        let (port, ckn) = (&self.port, self.ckn.map(display));
        match outcome {
            MkaOutcome::Secured => info!(port, ckn, "MKA secured"),
            MkaOutcome::Plain => warn!(port, ckn, "MKA: the members do without MACsec"),
            MkaOutcome::Pending => info!(port, ckn, "MKA: no session"),
            MkaOutcome::Failed => {
                warn!(port, ckn, "MKA has failed: no session for a Life Time; see `macsec status`");
            }
        }
    }

    /// A frame has been passed over.
    pub(super) fn discarded(
        &mut self,
        now: Duration,
        discard: Discard,
        frame: &[u8],
        kay: &Kay<impl Random>,
    ) {
        let kind = match discard {
            Discard::UnknownCkn => Repeated::UnknownCkn,
            Discard::Decode(error) if error.is_icv() => Repeated::Icv,
            Discard::Decode(_) => Repeated::Malformed,
            Discard::OwnSci => Repeated::OwnSci,
            Discard::OwnMi => Repeated::OwnMi,
            Discard::PeerLimit | Discard::PeerSci => Repeated::Crowd,
            _ => return debug!(port = self.port, "MKPDU not taken: {discard}"),
        };
        self.repeat(now, kind, || {
            let text = match discard {
                Discard::UnknownCkn => {
                    let theirs = kay.unknown_ckn().map(ToString::to_string).unwrap_or_default();
                    let ours: Vec<_> =
                        kay.participants().map(|one| one.ckn().to_string()).collect();
                    let seen = symptoms::other_ckn(&theirs, &ours.join(", "));
                    format!("{seen}: {}", symptoms::CKN)
                }
                Discard::Decode(error) if error.is_icv() => {
                    let ethertype = kay.config().participant.framing.ethertype;
                    let received = Received::parse(frame, ethertype).ok();
                    let ckn = received.map(|received| received.ckn().to_string());
                    let seen = symptoms::other_cak(&ckn.unwrap_or_default());
                    format!("MKPDU with a wrong ICV, {seen}: {}", symptoms::CAK)
                }
                Discard::Decode(error) => format!("malformed MKPDU, or other EAPOL: {error}"),
                Discard::OwnSci => format!("MKPDU with our own SCI: {}", symptoms::LOOP),
                Discard::OwnMi => format!("MKPDU with our own MI: {}", symptoms::LOOP),
                _ => format!("MKPDU not taken: {discard}"),
            };
            let source = kay.last_source().map(|source| format!(" (from {source})"));
            text + &source.unwrap_or_default()
        });
    }

    /// The uplink has not taken an MKPDU.
    pub(super) fn not_sent(&mut self, now: Duration, error: &PacketError) {
        self.repeat(now, Repeated::NotSent, || format!("MKPDU not sent: {error}"));
    }

    /// Tells what has been kept back, once its time has come. To be called every few seconds.
    pub(super) fn tick(&mut self, now: Duration) {
        for seldom in &mut self.repeated {
            if seldom.quiet_until.is_none_or(|until| until > now) {
                continue;
            }
            seldom.quiet_until = None;
            if seldom.untold > 0 {
                let (port, ckn, untold) = (&self.port, self.ckn.map(display), seldom.untold);
                warn!(port, ckn, "{untold} times more in a minute: {}", seldom.text);
                seldom.untold = 0;
                seldom.quiet_until = Some(now + PAUSE);
            }
        }
    }

    /// Tells something that may come again and again: the first time now, then how often.
    fn repeat(&mut self, now: Duration, kind: Repeated, text: impl FnOnce() -> String) {
        let seldom = &mut self.repeated[kind as usize];
        if seldom.quiet_until.is_some() {
            seldom.untold += 1;
            return;
        }
        seldom.quiet_until = Some(now + PAUSE);
        seldom.text = text();
        warn!(port = self.port, ckn = self.ckn.map(display), "{}", seldom.text);
    }
}

fn an_and_suite(
    participant: Option<&Participant<impl Random>>,
) -> (Option<u8>, Option<&'static str>) {
    let sak = participant.and_then(Participant::sak);
    (sak.map(|sak| sak.an.number()), sak.map(|sak| sak.suite.name()))
}

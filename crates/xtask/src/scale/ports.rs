//! Sessions of two KaYs each, in one thread.

use std::{
    thread,
    time::{Duration, Instant},
};

use macsec::{MacAddress, Sci};
use mka::{
    Cak, Ckn, Event, Framing, Kay, KayConfig, KayEvent, KeyPns, MAX_FRAME_LEN, OsRandom,
    ParticipantConfig, logon::MkaOutcome, order::Action, schedule::Schedule,
};

use crate::interop::Result;

/// Links come up one after the other, so that hellos do not all fall together: the Hello Time.
const SPREAD: Duration = Duration::from_secs(2);
/// How often the gateway tells a KaY where packet numbers are.
const PN_INTERVAL: Duration = Duration::from_millis(500);

/// A KaY, and what a port has besides.
struct Port {
    kay: Kay<OsRandom>,
    /// The keys that a SecY would have now, with where their packet numbers are.
    keys: Vec<KeyPns>,
    link_up: Option<Duration>,
    next_pns: Option<Duration>,
}

/// KaYs, each of which has its peer beside it.
pub(super) struct Ports {
    ports: Vec<Port>,
    schedule: Schedule,
    begin: Instant,
    hellos: u64,
    peers_lost: bool,
    with_pns: bool,
}

impl Ports {
    /// So many sessions of two KaYs with so many CAKs each, and room for so many peers.
    pub(super) fn new(
        sessions: usize,
        caks: usize,
        max_peers: usize,
        with_pns: bool,
    ) -> Result<Self> {
        let mut ports = Vec::with_capacity(2 * sessions);
        let mut schedule = Schedule::new(2 * sessions);
        for session in 0..sessions {
            let link_up = SPREAD.mul_f64(session as f64 / sessions as f64);
            for end in 0..2_u8 {
                let kay = kay(session, end, caks, max_peers)?;
                schedule.set(ports.len(), Some(link_up));
                let link_up = Some(link_up);
                ports.push(Port { kay, keys: Vec::new(), link_up, next_pns: None });
            }
        }
        let begin = Instant::now();
        Ok(Self { ports, schedule, begin, hellos: 0, peers_lost: false, with_pns })
    }

    /// MKPDUs sent.
    pub(super) fn hellos(&self) -> u64 {
        self.hellos
    }

    /// Whether a peer has been lost, ever.
    pub(super) fn lost_peers(&self) -> bool {
        self.peers_lost
    }

    /// Whether all ports are.
    pub(super) fn are_secured(&self) -> bool {
        let is_secured = |port: &Port| {
            port.kay.outcome() == MkaOutcome::Secured
                && port.kay.participants().all(|one| one.peers().any(|peer| peer.live))
        };
        self.ports.iter().all(is_secured)
    }

    /// Runs for so long.
    pub(super) fn run_for(&mut self, time: Duration) {
        self.run_until(Instant::now() + time, |_| false);
    }

    /// Runs until then, or until something is reached, at which it looks twice a second.
    pub(super) fn run_until(&mut self, end: Instant, reached: impl Fn(&Self) -> bool) {
        let mut next_look = Instant::now() + PN_INTERVAL;
        while Instant::now() < end {
            if Instant::now() >= next_look {
                if reached(self) {
                    return;
                }
                next_look += PN_INTERVAL;
            }
            let now = self.begin.elapsed();
            while let Some(at) = self.schedule.pop_due(now) {
                self.timeout(now, at);
            }
            let due = self.schedule.next().unwrap_or(Duration::MAX);
            let until = next_look.min(end).saturating_duration_since(self.begin).min(due);
            thread::sleep(until.saturating_sub(self.begin.elapsed()));
        }
    }

    fn timeout(&mut self, now: Duration, at: usize) {
        let port = &mut self.ports[at];
        if port.link_up.take_if(|due| *due <= now).is_some() {
            port.kay.set_port_enabled(now, true);
        } else if port.next_pns.take_if(|due| *due <= now).is_some() {
            port.kay.report_pns(now, &port.keys);
        } else {
            port.kay.handle_timeout(now);
        }
        self.after_input(now, at);
    }

    /// Takes everything that has come of an input, and gives frames to the peer, of whose answers there may come more.
    fn after_input(&mut self, now: Duration, at: usize) {
        let mut frame = [0; MAX_FRAME_LEN];
        let mut pending = [Some(at), None];
        while let [Some(at), rest] = pending {
            pending = [rest, None];
            self.carry_out(now, at);
            while let Some(len) = self.ports[at].kay.poll_transmit(now, &mut frame) {
                self.hellos += 1;
                let peer = at ^ 1;
                // One whose link is not up yet does not hear it.
                let _ = self.ports[peer].kay.handle_frame(now, &frame[..len]);
                pending = [Some(peer), None];
            }
            self.arrange(now, at);
        }
    }

    fn carry_out(&mut self, now: Duration, at: usize) {
        let Port { kay, keys, .. } = &mut self.ports[at];
        while let Some(order) = kay.poll_order() {
            match &order.action {
                Action::InstallKey(key) => {
                    keys.push(KeyPns { ki: key.ki(), transmit_next_pn: 1, receive_next_pn: 1 });
                }
                Action::RemoveKey(ki) => keys.retain(|key| key.ki != *ki),
                _ => {}
            }
            kay.order_done(now, order.id, Ok(()));
        }
        while let Some(event) = kay.poll_event() {
            if let KayEvent::Participant(_, Event::PeerLost { .. }) = event {
                self.peers_lost = true;
            }
        }
    }

    /// When it is its turn again.
    fn arrange(&mut self, now: Duration, at: usize) {
        let port = &mut self.ports[at];
        if self.with_pns && !port.keys.is_empty() {
            port.next_pns.get_or_insert(now + PN_INTERVAL);
        }
        let dues = [port.kay.poll_timeout(), port.link_up, port.next_pns];
        self.schedule.set(at, dues.into_iter().flatten().min());
    }
}

fn kay(session: usize, end: u8, caks: usize, max_peers: usize) -> Result<Kay<OsRandom>> {
    let [.., a, b, c] = (session as u32).to_be_bytes();
    let source = MacAddress([2, 0, a, b, c, end]);
    let mut participant = ParticipantConfig::new(Sci::new(source, 1));
    participant.framing = Framing::new(source);
    participant.max_peers = max_peers;
    // The gateway's default.
    participant.priority = 16;
    let mut kay = Kay::without_participants(KayConfig::new(participant), Duration::ZERO)?;
    for number in 0..caks {
        let name = [a, b, c, u8::try_from(number)?];
        let mut cak = [0x42; 32];
        cak[..4].copy_from_slice(&name);
        let preference = u32::try_from(number)?;
        let (cak, ckn) = (Cak::new(&cak)?, Ckn::new(&name)?);
        kay.add_participant(Duration::ZERO, cak, ckn, preference, OsRandom)?;
    }
    Ok(kay)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `cargo xtask scale` measures, but for a moment, and without a look at the clock.
    #[test]
    fn two_hundred_participants_keep_their_sessions() {
        for (sessions, caks) in [(100, 1), (50, 2)] {
            let mut ports = Ports::new(sessions, caks, 1, true).expect("ports");
            ports.run_until(Instant::now() + Duration::from_secs(60), Ports::are_secured);
            assert!(ports.are_secured(), "{sessions} sessions under {caks} CAKs");
            let hellos = ports.hellos();
            ports.run_for(Duration::from_secs(3));
            assert!(ports.are_secured() && !ports.lost_peers());
            assert!(ports.hellos() > hellos);
        }
    }
}

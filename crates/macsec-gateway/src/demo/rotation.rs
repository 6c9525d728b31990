//! SAKs that make way for others while the clouds talk.

use std::{collections::BTreeSet, io, time::Duration};

use super::{gateway::Gateway, topology::End};
use crate::status::PortStatus;

/// From the start of the traffic to the first rotation.
const FIRST: Duration = Duration::from_millis(200);
/// From the beginning of one rotation to that of the next. The old SAK is kept for three seconds
/// after the new one is in use (MKA SAK Retire Time).
const INTERVAL: Duration = Duration::from_millis(4500);
/// A rotation that would not have as long before the traffic ends is not begun.
const LONGEST: Duration = Duration::from_millis(4300);
/// Between two looks at a rotation under way.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// How many rotations there have to be in as much time: one in five seconds, but no more than
/// three, as the machine may be busy.
#[must_use]
pub fn required(seconds: u32) -> u32 {
    (seconds / 5).min(3)
}

/// The rotations, one after the other.
pub struct Rotations {
    /// How long the clouds talk.
    duration: Duration,
    done: u32,
    next: Duration,
    /// The one that is under way.
    current: Option<Rotation>,
}

struct Rotation {
    /// The KI of the SAK that makes way.
    old: String,
    begun: Duration,
    next_look: Duration,
}

impl Rotations {
    /// For as long as the clouds talk.
    #[must_use]
    pub fn new(duration: Duration) -> Self {
        Self { duration, done: 0, next: FIRST, current: None }
    }

    /// How many have been completed: both gateways send with the new SAK, and neither has the old
    /// one any more.
    #[must_use]
    pub fn done(&self) -> u32 {
        self.done
    }

    /// Begins a rotation if it is time to, or looks how far the one that is under way has got.
    /// Returns how long it took if it has been completed. To be called often, with the time since
    /// the traffic began.
    ///
    /// # Errors
    /// A gateway has ended, or refuses.
    pub fn go_on(
        &mut self,
        elapsed: Duration,
        gateways: &mut [Gateway; 2],
    ) -> io::Result<Option<Duration>> {
        let Some(current) = &mut self.current else {
            if elapsed >= self.next && elapsed + LONGEST <= self.duration {
                let [a, _] = keys(gateways)?;
                let old = a.in_use.ok_or_else(|| io::Error::other("there is no SAK to replace"))?;
                gateways[End::A as usize].rekey()?;
                self.next = elapsed + INTERVAL;
                self.current = Some(Rotation { old, begun: elapsed, next_look: elapsed });
            }
            return Ok(None);
        };
        if elapsed < current.next_look {
            return Ok(None);
        }
        current.next_look = elapsed + LOOK_INTERVAL;
        let [a, b] = keys(gateways)?;
        let is_gone = |keys: &Keys| !keys.known.contains(&current.old);
        if a.in_use.is_none() || a.in_use != b.in_use || !is_gone(&a) || !is_gone(&b) {
            return Ok(None);
        }
        let took = elapsed - current.begun;
        self.current = None;
        self.done += 1;
        Ok(Some(took))
    }
}

/// The SAKs of a gateway, by their KIs.
#[derive(Default)]
struct Keys {
    /// The one that it sends with.
    in_use: Option<String>,
    /// All that it could send or receive with.
    known: BTreeSet<String>,
}

impl Keys {
    fn of(port: &PortStatus) -> Self {
        let Some(secy) = &port.secy else { return Self::default() };
        let transmit = &secy.transmit_sc.transmit_sa;
        let receive = secy.receive_sc.iter().flat_map(|sc| &sc.receive_sa);
        let in_use = transmit.iter().find(|sa| sa.in_use);
        let known = transmit.iter().map(|sa| &sa.key_identifier);
        Self {
            in_use: in_use.map(|sa| sa.key_identifier.clone()),
            known: known.chain(receive.map(|sa| &sa.key_identifier)).cloned().collect(),
        }
    }
}

fn keys(gateways: &mut [Gateway; 2]) -> io::Result<[Keys; 2]> {
    let [a, b] = gateways;
    Ok([Keys::of(&a.answer()?), Keys::of(&b.answer()?)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_required_fits() {
        assert_eq!([4, 5, 14, 20, 86_400].map(required), [0, 1, 2, 3, 3]);
        for seconds in 5..30 {
            let last = FIRST + INTERVAL * (required(seconds) - 1);
            assert!(last + LONGEST <= Duration::from_secs(seconds.into()), "{seconds}");
        }
    }
}

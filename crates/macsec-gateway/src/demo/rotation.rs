//! Keys that make way for others while the clouds talk: SAKs, and once the CAK.

use std::{collections::BTreeSet, io, time::Duration};

use zeroize::Zeroizing;

use super::{
    files::{self, PRIMARY},
    gateway::Gateway,
    topology::End,
};
use crate::{
    control::{KeyAnswer, KeyResult, RefusalCode},
    status::PortStatus,
};

/// The CKN of the CAK that takes the place of the first: "next".
pub const NEXT: &str = "6e657874";

/// From the start of the traffic to the first rotation.
const FIRST: Duration = Duration::from_millis(200);
/// From the beginning of one rotation to that of the next. The old SAK is kept for three seconds
/// after the new one is in use (MKA SAK Retire Time).
const INTERVAL: Duration = Duration::from_millis(4500);
/// A rotation that would not have as long before the traffic ends is not begun.
const LONGEST: Duration = Duration::from_millis(4300);
/// The same for a CAK, which first has to become live at both ends.
const LONGEST_ROLL: Duration = Duration::from_millis(5200);
/// Which rotation is that of the CAK.
const ROLL_AFTER: u32 = 1;
/// Between two looks at a rotation under way.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// How many rotations there have to be in as much time: one in five seconds, but no more than
/// three, as the machine may be busy.
#[must_use]
pub fn required(seconds: u32) -> u32 {
    (seconds / 5).min(3)
}

/// How many of them have to be of the CAK.
#[must_use]
pub fn required_rolls(seconds: u32) -> u32 {
    u32::from(seconds >= 10)
}

/// The rotations, one after the other.
pub struct Rotations {
    /// How long the clouds talk.
    duration: Duration,
    /// Digits of the CAK that takes the place of the first.
    next_cak: Zeroizing<String>,
    done: u32,
    rolls: u32,
    next: Duration,
    /// The one that is under way.
    current: Option<Rotation>,
}

/// What makes way for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The SAK alone.
    Sak,
    /// The CAK, and with it the SAK.
    Cak,
}

struct Rotation {
    kind: Kind,
    /// The KI of the SAK that makes way.
    old: String,
    /// The key server has been told which CAK to prefer.
    activated: bool,
    begun: Duration,
    next_look: Duration,
}

impl Rotations {
    /// For as long as the clouds talk.
    ///
    /// # Errors
    /// Those of the random number generator.
    pub fn new(duration: Duration) -> io::Result<Self> {
        let next_cak = files::fresh_key(32)?;
        Ok(Self { duration, next_cak, done: 0, rolls: 0, next: FIRST, current: None })
    }

    /// How many have been completed: both gateways send with the new SAK, and neither has the old
    /// one any more.
    #[must_use]
    pub fn done(&self) -> u32 {
        self.done
    }

    /// How many of them were of the CAK: neither gateway has the old CAK any more either.
    #[must_use]
    pub fn rolls(&self) -> u32 {
        self.rolls
    }

    /// Begins a rotation if it is time to, or looks how far the one that is under way has got.
    /// Returns which it was and how long it took if it has been completed. To be called often, with
    /// the time since the traffic began.
    ///
    /// # Errors
    /// A gateway has ended, or refuses.
    pub fn go_on(
        &mut self,
        elapsed: Duration,
        gateways: &mut [Gateway; 2],
    ) -> io::Result<Option<(Kind, Duration)>> {
        let Some(current) = &mut self.current else {
            let kind = if self.done == ROLL_AFTER { Kind::Cak } else { Kind::Sak };
            let longest = if kind == Kind::Cak { LONGEST_ROLL } else { LONGEST };
            if elapsed >= self.next && elapsed + longest <= self.duration {
                let in_use = Saks::of(&gateways[End::A as usize].answer()?).in_use;
                let old = in_use.ok_or_else(|| io::Error::other("there is no SAK to replace"))?;
                match kind {
                    Kind::Sak => gateways[End::A as usize].rekey()?,
                    // In any order.
                    Kind::Cak => {
                        for gateway in gateways.iter().rev() {
                            must_be_done(&gateway.add_key(NEXT, &self.next_cak)?)?;
                        }
                    }
                }
                self.next = elapsed + INTERVAL;
                let activated = kind == Kind::Sak;
                let (begun, next_look) = (elapsed, elapsed);
                self.current = Some(Rotation { kind, old, activated, begun, next_look });
            }
            return Ok(None);
        };
        if elapsed < current.next_look {
            return Ok(None);
        }
        current.next_look = elapsed + LOOK_INTERVAL;
        if !current.activated {
            current.activated = is_done(&gateways[End::A as usize].activate_key(NEXT)?)?;
            return Ok(None);
        }
        if !gone_over_from(&current.old, gateways)? {
            return Ok(None);
        }
        let kind = current.kind;
        if kind == Kind::Cak {
            for gateway in gateways.iter() {
                if !is_done(&gateway.retire_key(PRIMARY, false)?)? {
                    return Ok(None);
                }
            }
            self.rolls += 1;
        }
        let took = elapsed - current.begun;
        self.current = None;
        self.done += 1;
        Ok(Some((kind, took)))
    }
}

/// Whether what was asked for has been done, or was already. If not, it may be later.
fn is_done(answer: &KeyAnswer) -> io::Result<bool> {
    if answer.refusal.is_some_and(RefusalCode::may_pass) {
        return Ok(false);
    }
    must_be_done(answer).map(|()| true)
}

/// What is refused for good ends the demo.
///
/// # Errors
/// Why it is refused.
pub fn must_be_done(answer: &KeyAnswer) -> io::Result<()> {
    match answer.result {
        KeyResult::Done | KeyResult::NothingToDo => Ok(()),
        _ => Err(io::Error::other(format!(
            "{} refused: {}",
            answer.operation.name(),
            answer.message
        ))),
    }
}

/// The SAKs of a gateway, by their KIs.
#[derive(Default)]
pub struct Saks {
    /// The one that it sends with.
    pub in_use: Option<String>,
    /// All that it could send or receive with.
    pub known: BTreeSet<String>,
}

impl Saks {
    /// Those of a port, from what it says.
    #[must_use]
    pub fn of(port: &PortStatus) -> Self {
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

/// Whether both gateways send with the same SAK, and neither has the SAK `former` any more.
///
/// # Errors
/// As [`Gateway::answer`].
pub fn gone_over_from(former: &str, gateways: &mut [Gateway; 2]) -> io::Result<bool> {
    let [a, b] = gateways;
    let [a, b] = [Saks::of(&a.answer()?), Saks::of(&b.answer()?)];
    let is_gone = |saks: &Saks| !saks.known.contains(former);
    Ok(a.in_use.is_some() && a.in_use == b.in_use && is_gone(&a) && is_gone(&b))
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

//! Holds orders back until the key that is to be transmitted with is on record.
//!
//! Orders are carried out in the order in which they are given, so those behind it wait too. But the KaY does not
//! wait for ever: once it has given up on the key, which the orders behind show, that one is refused and the
//! others go on, whatever the disk does. So a port that is to be closed is closed at once.

use std::{collections::VecDeque, time::Duration};

use macsec::Ki;
use mka::order::{Action, Order, OrderId};

/// What is to be done next with an order.
#[derive(Debug)]
pub(super) enum Step {
    /// Put this key on record, and tell of it by the name of the order: [`OrderGate::recorded`].
    Record(OrderId, Ki),
    /// Pass it on.
    Pass(Order),
    /// Answer that it has failed: it has waited for the disk until the KaY gave up on it.
    GiveUp(OrderId, Ki),
}

/// Orders on their way to a port. The first may wait for the disk, the others for the first.
#[derive(Debug, Default)]
pub(super) struct OrderGate {
    orders: VecDeque<Order>,
    /// The first order, if its key is being put on record, and since when.
    waiting: Option<(OrderId, Duration)>,
    /// Keys that this run has put on record, and that are installed still.
    on_record: Vec<Ki>,
}

impl OrderGate {
    /// Takes an order, behind the others.
    pub(super) fn push(&mut self, order: Order) {
        self.orders.push_back(order);
    }

    /// What is to be done next; `None` if there is nothing to do before the disk answers. Call until then.
    pub(super) fn next(&mut self, now: Duration) -> Option<Step> {
        let first = self.orders.front()?;
        match first.action {
            Action::EnableTransmit { ki, .. } if !self.on_record.contains(&ki) => {
                let id = first.id;
                if self.orders.iter().skip(1).any(|later| revokes(&later.action, ki)) {
                    self.orders.pop_front();
                    self.waiting = None;
                    return Some(Step::GiveUp(id, ki));
                }
                if self.waiting.is_some() {
                    return None;
                }
                self.waiting = Some((id, now));
                return Some(Step::Record(id, ki));
            }
            Action::DeleteTransmitSa { ki, .. } => self.on_record.retain(|known| *known != ki),
            _ => {}
        }
        self.orders.pop_front().map(Step::Pass)
    }

    /// The disk has answered about the key of the order `id`. An order that has failed for that is to be
    /// answered so.
    pub(super) fn recorded<E>(
        &mut self,
        id: OrderId,
        result: Result<(), E>,
    ) -> Option<(OrderId, E)> {
        self.waiting.take_if(|(waiting, _)| *waiting == id)?;
        match result {
            Ok(()) => {
                let ki = self.orders.front().and_then(|order| enabled(&order.action));
                self.on_record.extend(ki);
                None
            }
            Err(error) => {
                self.orders.pop_front();
                Some((id, error))
            }
        }
    }

    /// How long the disk has not answered, if somebody waits for it.
    pub(super) fn waits(&self, now: Duration) -> Option<Duration> {
        self.waiting.map(|(_, since)| now.saturating_sub(since))
    }
}

/// The key that is to be transmitted with.
fn enabled(action: &Action) -> Option<Ki> {
    match action {
        Action::EnableTransmit { ki, .. } => Some(*ki),
        _ => None,
    }
}

/// Whether this order shows that its KaY does not want to transmit with the key `gone` any more.
fn revokes(action: &Action, gone: Ki) -> bool {
    match action {
        // With another one, or once more.
        Action::EnableTransmit { .. } => true,
        Action::DeleteTransmitSa { ki, .. } => *ki == gone,
        Action::SetControlledPort { enabled } => !enabled,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use macsec::{An, MacAddress, Sci};
    use mka::cp::{ControlledPort, Inputs, Settings};

    use super::*;

    const NOW: Duration = Duration::ZERO;

    /// Orders with names as a KaY gives them.
    struct Orders {
        port: ControlledPort,
        up: bool,
    }

    impl Orders {
        fn order(&mut self, action: Action) -> Order {
            loop {
                if let Some(Order { id, .. }) = self.port.poll_order() {
                    return Order { id, action };
                }
                self.up = !self.up;
                self.port.update(NOW, Inputs { port_enabled: self.up, ..Inputs::default() });
            }
        }
    }

    fn ki(number: u8) -> Ki {
        Ki([number; 16])
    }

    fn enable(number: u8) -> Action {
        Action::EnableTransmit { an: An::ALL[0], ki: ki(number) }
    }

    fn delete(number: u8) -> Action {
        Action::DeleteTransmitSa { an: An::ALL[0], ki: ki(number) }
    }

    /// A gate with these orders, and their names.
    fn gate<const N: usize>(actions: [Action; N]) -> (OrderGate, [OrderId; N]) {
        let mut orders = Orders { port: ControlledPort::new(Settings::default()), up: false };
        let mut gate = OrderGate::default();
        let ids = actions.map(|action| {
            let order = orders.order(action);
            let id = order.id;
            gate.push(order);
            id
        });
        (gate, ids)
    }

    /// What comes of it until the disk has to answer.
    fn steps(gate: &mut OrderGate) -> Vec<(&'static str, OrderId)> {
        std::iter::from_fn(|| gate.next(NOW))
            .map(|step| match step {
                Step::Record(id, _) => ("record", id),
                Step::Pass(order) => ("pass", order.id),
                Step::GiveUp(id, _) => ("give up", id),
            })
            .collect()
    }

    #[test]
    fn orders_wait_behind_a_key_that_is_not_on_record() {
        let sci = Sci::new(MacAddress([2, 0, 0, 0, 0, 9]), 1);
        let late = Action::CreateReceiveSc { sci };
        let (mut gate, [a, b, c]) = gate([Action::RemoveKey(ki(9)), enable(1), late]);
        assert_eq!(steps(&mut gate), [("pass", a), ("record", b)]);
        assert_eq!(steps(&mut gate), [], "it asks once");
        let second = Duration::from_secs(1);
        assert_eq!(gate.waits(NOW + second), Some(second));
        assert!(gate.recorded(c, Ok::<_, ()>(())).is_none(), "that is no answer to it");
        assert_eq!(steps(&mut gate), []);
        assert!(gate.recorded(b, Ok::<_, ()>(())).is_none());
        assert_eq!(steps(&mut gate), [("pass", b), ("pass", c)]);
        assert_eq!(gate.waits(NOW), None);
    }

    #[test]
    fn a_key_that_is_on_record_does_not_wait() {
        let (mut gate, [a]) = gate([enable(1)]);
        steps(&mut gate);
        let _ = gate.recorded(a, Ok::<_, ()>(()));
        let (other, ids) = self::gate([enable(1), delete(1), enable(1)]);
        gate.orders.extend(other.orders);
        // Until its SA goes.
        let [again, gone, anew] = ids;
        let expected = [("pass", a), ("pass", again), ("pass", gone), ("record", anew)];
        assert_eq!(steps(&mut gate), expected);
    }

    #[test]
    fn a_failure_lets_the_others_pass() {
        let (mut gate, [a, b]) = gate([enable(1), Action::RemoveKey(ki(9))]);
        assert_eq!(steps(&mut gate), [("record", a)]);
        assert_eq!(gate.recorded(a, Err("broken")), Some((a, "broken")));
        assert_eq!(steps(&mut gate), [("pass", b)]);
    }

    #[test]
    fn whoever_gives_up_does_not_wait() {
        let close = Action::SetControlledPort { enabled: false };
        let open = Action::SetControlledPort { enabled: true };
        for (action, gives_up) in
            [(enable(2), true), (delete(1), true), (delete(2), false), (close, true), (open, false)]
        {
            let (mut gate, [a, b]) = gate([enable(1), action]);
            let next = match &gate.orders[1].action {
                Action::EnableTransmit { .. } => "record",
                _ => "pass",
            };
            match gives_up {
                true => assert_eq!(steps(&mut gate), [("give up", a), (next, b)]),
                false => assert_eq!(steps(&mut gate), [("record", a)]),
            }
        }
    }
}

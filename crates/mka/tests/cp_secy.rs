//! Two Controlled Ports on SecYs of ours: rollovers from suite to suite, with a frame each way between any two orders.

use std::{collections::VecDeque, time::Duration};

use macsec::{
    An, CipherSuite, Confidentiality, Config, DataKey, FrameBuf, HEADROOM, KeySlot, LifeCycleError,
    MacAddress, Portable, ReceiveScSlot, Sak, Sci, SecY, Ssci, TAILROOM, gcm::Backend,
};
use mka::{
    Mi,
    cp::{ControlledPort, CpState, Inputs, NewSak, PeerReport, PeerSa, PortStatus, Settings},
    logon::Connect,
    order::{Action, Order, OrderFailure},
    xpn_salt,
};

type Slots = Vec<KeySlot<<Portable as Backend>::Key>>;

struct Member {
    sci: Sci,
    secy: SecY<Portable, Slots, Vec<ReceiveScSlot>>,
    open: bool,
    cp: ControlledPort,
    inputs: Inputs,
    orders: VecDeque<Order>,
}

/// What is there already, or gone already, is as good as done.
fn idempotent(result: Result<(), LifeCycleError>) -> Result<(), OrderFailure> {
    match result {
        Ok(())
        | Err(LifeCycleError::ScExists | LifeCycleError::NoSuchSa | LifeCycleError::OtherKey) => {
            Ok(())
        }
        Err(_) => Err(OrderFailure::Refused),
    }
}

impl Member {
    fn new(number: u8, elected_self: bool) -> Self {
        let sci = Sci::new(MacAddress([2, 0, 0, 0, 0, number]), 1);
        let keys = (0..2).map(|_| KeySlot::EMPTY).collect();
        let peers = vec![ReceiveScSlot::EMPTY];
        Self {
            sci,
            secy: SecY::new(Portable, sci, Config::default(), keys, peers).unwrap(),
            open: false,
            cp: ControlledPort::new(Settings::default()),
            inputs: Inputs {
                port_enabled: true,
                connect: Connect::Secure,
                elected_self,
                peers_transmit: false,
                latest: None,
            },
            orders: VecDeque::new(),
        }
    }

    fn carry_out(&mut self, action: &Action) -> Result<(), OrderFailure> {
        let secy = &mut self.secy;
        let refused = |_| OrderFailure::Refused;
        match *action {
            Action::SetControls(controls) => {
                let mut config = Config::default();
                config.protect_frames = controls.protect_frames;
                config.validate_frames = controls.validate_frames;
                config.replay_protect = controls.replay_protect;
                config.replay_window = controls.replay_window;
                secy.set_config(config).map_err(|_| OrderFailure::Unsupported)
            }
            Action::SetControlledPort { enabled } => {
                self.open = enabled;
                Ok(())
            }
            Action::InstallKey(ref key) => secy.install_key(key).map_err(refused),
            Action::CreateReceiveSc { sci } => idempotent(secy.create_receive_sc(sci)),
            Action::InstallReceiveSa { sci, ref sa } => {
                secy.install_receive_sa(sci, sa).map_err(refused)?;
                idempotent(secy.enable_receive_sa(sci, sa.an))
            }
            Action::InstallTransmitSa(ref sa) => secy.install_transmit_sa(sa).map_err(refused),
            Action::EnableTransmit { an, .. } => {
                secy.enable_transmit_sa(an).map_err(|_| OrderFailure::Refused)
            }
            Action::DeleteTransmitSa { an, ki } => idempotent(secy.delete_transmit_sa(an, ki)),
            Action::DeleteReceiveSa { sci, an, ki } => {
                idempotent(secy.delete_receive_sa(sci, an, ki))
            }
            Action::DeleteReceiveSc { sci } => idempotent(secy.delete_receive_sc(sci)),
            Action::RemoveKey(ki) => secy.remove_key(ki).map_err(|_| OrderFailure::Refused),
            ref other => panic!("{other:?}"),
        }
    }

    fn update(&mut self, now: Duration) {
        self.cp.update(now, self.inputs);
        self.fetch();
    }

    fn fetch(&mut self) {
        while let Some(order) = self.cp.poll_order() {
            self.orders.push_back(order);
        }
        while self.cp.poll_event().is_some() {}
    }

    /// Carries out one order, if there is one.
    fn work(&mut self, now: Duration) -> bool {
        let Some(order) = self.orders.pop_front() else { return false };
        let result = self.carry_out(&order.action);
        assert_eq!(result, Ok(()), "{:?}", order.action);
        self.cp.order_done(now, order.id, result);
        self.fetch();
        true
    }

    fn offer(&mut self, number: u32, suite: CipherSuite, peer: Sci) {
        let (mi, xpn) = (Mi([0x5a; 12]), suite.is_xpn());
        let octets: Vec<u8> = (0..suite.key_len()).map(|at| at as u8 ^ number as u8).collect();
        let salt = xpn.then(|| xpn_salt(mi.ki(number)));
        let key = DataKey::new(mi.ki(number), suite, Sak::new(&octets).unwrap(), salt).unwrap();
        let ssci = |sci: Sci| xpn.then(|| Ssci(u32::from(sci.0[5])));
        let sak = NewSak {
            key,
            an: An::from_low_bits(number as u8),
            confidentiality: Confidentiality::default(),
            ssci: ssci(self.sci),
            next_pn: 1,
            peers: [PeerSa { sci: peer, ssci: ssci(peer), lowest_pn: 1 }].into_iter().collect(),
        };
        self.cp.offer(sak).unwrap();
    }
}

/// What one says of the latest key of the other.
fn report(to: &mut Member, from: &Member) {
    to.inputs.latest = to.cp.latest().map(|latest| {
        let key = from.cp.reported().into_iter().flatten().find(|key| key.ki == latest.ki);
        PeerReport {
            ki: latest.ki,
            all_receiving: key.is_some_and(|key| key.rx),
            server_transmitting: !to.inputs.elected_self && key.is_some_and(|key| key.tx),
            ssci_map_known: true,
        }
    });
}

fn frame_crosses(from: &mut Member, to: &mut Member, serial: u32) {
    let mut buffer = vec![0; HEADROOM + 64 + TAILROOM];
    let frame = HEADROOM..HEADROOM + 64;
    buffer[frame.clone()].fill(serial as u8);
    buffer[HEADROOM..HEADROOM + 6].copy_from_slice(&to.sci.0[..6]);
    buffer[HEADROOM + 6..HEADROOM + 12].copy_from_slice(&from.sci.0[..6]);
    let sent = buffer[frame.clone()].to_vec();
    let protected = from.secy.protect(FrameBuf::new(buffer, frame).unwrap()).unwrap();
    assert_ne!(protected.octets(), sent);
    let verdict = to.secy.validate(protected.octets().to_vec());
    assert_eq!(verdict.delivered(), Some(&sent[..]), "{:?}", verdict.outcome());
}

#[test]
fn rollovers_from_suite_to_suite_on_secys_lose_no_frame_between_any_two_orders() {
    let [a, b] = &mut [Member::new(1, true), Member::new(2, false)];
    let mut now = Duration::ZERO;
    let mut frames = 0;
    let suites = CipherSuite::ALL.into_iter().cycle();
    for (number, suite) in (1..=9).zip(suites) {
        let (a_sci, b_sci) = (a.sci, b.sci);
        a.offer(number, suite, b_sci);
        b.offer(number, suite, a_sci);
        for _ in 0..40 {
            now += Duration::from_millis(100);
            a.update(now);
            b.update(now);
            loop {
                let worked = a.work(now) | b.work(now);
                if number > 1 {
                    assert!(a.open && b.open);
                    frame_crosses(a, b, frames);
                    frame_crosses(b, a, frames);
                    frames += 1;
                }
                if !worked {
                    break;
                }
            }
            report(a, b);
            report(b, a);
        }
        for member in [&*a, &*b] {
            assert_eq!(member.cp.state(), CpState::Retire);
            assert_eq!(member.cp.port(), PortStatus::Secured);
            assert_eq!(member.secy.keys().collect::<Vec<_>>(), [Mi([0x5a; 12]).ki(number)]);
            assert_eq!(member.secy.encoding_sa(), Some(An::from_low_bits(number as u8)));
        }
    }
    assert!(frames > 300);
}

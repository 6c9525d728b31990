//! Two ports that agree on their keys: a KaY and a SecY each, in memory and in virtual time. They come up, exchange
//! frames, and change to another SAK while frames are under way.
//!
//! `cargo run -p macsec-examples --example mka_session`

use std::{error::Error, time::Duration};

use macsec::{
    Backend, Config, FrameBuf, HEADROOM, KeyError, KeySlot, LifeCycleError, MacAddress, Portable,
    ReceiveScSlot, Sci, SecY, TAILROOM,
};
use mka::{
    Cak, Ckn, Kay, KayConfig, KeyPns, MAX_FRAME_LEN, OsRandom, ParticipantConfig,
    cp::PortStatus,
    order::{Action, OrderFailure},
};

/// The time between two looks. A real port sleeps until [`Kay::poll_timeout`] or the next frame.
const TICK: Duration = Duration::from_millis(10);

/// A port: what agrees on keys, and what uses them.
struct Port {
    kay: Kay<OsRandom>,
    secy: SecY<Portable, Vec<KeySlot<<Portable as Backend>::Key>>, Vec<ReceiveScSlot>>,
    /// controlledPortEnabled.
    open: bool,
}

impl Port {
    fn new(station: u8) -> Result<Self, Box<dyn Error>> {
        let sci = Sci::new(MacAddress([0x02, 0, 0, 0, 0, station]), 1);
        let mut config = ParticipantConfig::new(sci);
        // The lesser priority makes the keys.
        config.priority = station;
        // Pre-shared, the same at both ends.
        let (cak, ckn) = (Cak::new(&[0x42; 32])?, Ckn::new(b"example")?);
        let kay = Kay::new(KayConfig::new(config), cak, ckn, OsRandom, Duration::ZERO)?;
        // Three keys at a time: the one in use, the next, and one that is just going.
        let keys = (0..3).map(|_| KeySlot::EMPTY).collect();
        let secy = SecY::new(Portable, sci, Config::default(), keys, vec![ReceiveScSlot::EMPTY])?;
        Ok(Self { kay, secy, open: false })
    }

    /// What a port does after each input to its KaY: it carries out the orders, and answers each.
    fn obey(&mut self, now: Duration) {
        while let Some(order) = self.kay.poll_order() {
            let result = self.carry_out(&order.action);
            self.kay.order_done(now, order.id, result);
        }
        while let Some(event) = self.kay.poll_event() {
            println!("{now:>7.2?} {} {event:?}", self.secy.sci());
        }
    }

    /// Orders are idempotent: what is there already, or gone already, is as good as done.
    fn carry_out(&mut self, action: &Action) -> Result<(), OrderFailure> {
        let secy = &mut self.secy;
        let done = |result| match result {
            Ok(())
            | Err(
                LifeCycleError::ScExists
                | LifeCycleError::NoSuchSc
                | LifeCycleError::NoSuchSa
                | LifeCycleError::OtherKey,
            ) => Ok(()),
            Err(LifeCycleError::NoFreeSlot) => Err(OrderFailure::NoRoom),
            Err(_) => Err(OrderFailure::Refused),
        };
        match action {
            Action::SetControls(controls) => {
                let mut config = *secy.config();
                config.protect_frames = controls.protect_frames;
                config.validate_frames = controls.validate_frames;
                config.replay_protect = controls.replay_protect;
                config.replay_window = controls.replay_window;
                secy.set_config(config).map_err(|_| OrderFailure::Unsupported)
            }
            Action::SetControlledPort { enabled } => {
                self.open = *enabled;
                Ok(())
            }
            Action::InstallKey(key) => secy.install_key(key).map_err(|_| OrderFailure::Refused),
            Action::CreateReceiveSc { sci } => done(secy.create_receive_sc(*sci)),
            Action::InstallReceiveSa { sci, sa } => {
                secy.install_receive_sa(*sci, sa).map_err(|_| OrderFailure::Refused)?;
                done(secy.enable_receive_sa(*sci, sa.an))
            }
            Action::InstallTransmitSa(sa) => {
                secy.install_transmit_sa(sa).map_err(|_| OrderFailure::Refused)
            }
            // Whoever keeps keys over a restart has the KI on disk before this: see `mka::order`.
            Action::EnableTransmit { an, .. } => done(secy.enable_transmit_sa(*an)),
            Action::DeleteTransmitSa { an, ki } => done(secy.delete_transmit_sa(*an, *ki)),
            Action::DeleteReceiveSa { sci, an, ki } => done(secy.delete_receive_sa(*sci, *an, *ki)),
            Action::DeleteReceiveSc { sci } => done(secy.delete_receive_sc(*sci)),
            Action::RemoveKey(ki) => match secy.remove_key(*ki) {
                Ok(()) | Err(KeyError::UnknownKi) => Ok(()),
                Err(_) => Err(OrderFailure::Refused),
            },
            _ => Err(OrderFailure::Unsupported),
        }
    }

    /// Twice a second: where the packet numbers are, so that the key is changed before they run out.
    fn report_pns(&mut self, now: Duration) {
        let Some(sa) = self.secy.encoding_sa().and_then(|an| self.secy.transmit_sa(an)) else {
            return;
        };
        let transmit_next_pn = sa.next_pn.unwrap_or(u64::MAX);
        // One that is complete looks at its receive SAs, too.
        self.kay.report_pns(now, &[KeyPns { ki: sa.ki, transmit_next_pn, receive_next_pn: 1 }]);
    }

    fn is_secured(&self) -> bool {
        self.open && self.kay.port().port() == PortStatus::Secured
    }

    fn protect(&mut self, text: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
        let mut frame = vec![0xff; 6];
        frame.extend(self.secy.sci().mac().0);
        frame.extend([0x08, 0x00]);
        frame.extend(text);
        let mut buffer = vec![0; HEADROOM];
        buffer.extend(&frame);
        buffer.extend([0; TAILROOM]);
        let end = HEADROOM + frame.len();
        let frame = FrameBuf::new(&mut buffer, HEADROOM..end).expect("the range lies inside");
        let protected = self.secy.protect(frame).map_err(|refused| refused.error)?;
        Ok(protected.octets().to_vec())
    }

    fn delivers(&mut self, mut wire: Vec<u8>, text: &[u8]) -> bool {
        let verdict = self.secy.validate(&mut wire);
        self.open && verdict.delivered().is_some_and(|frame| frame.ends_with(text))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut ports = [Port::new(1)?, Port::new(2)?];
    let mut now = Duration::ZERO;
    for port in &mut ports {
        port.kay.set_port_enabled(now, true);
        port.obey(now);
    }
    run(&mut ports, &mut now, |ports| ports.iter().all(Port::is_secured));
    println!("secured after {now:?}\n");

    exchange(&mut ports, b"a first frame")?;
    let before = ports[0].kay.port().in_use().map(|key| key.ki);
    // Under way while the key changes: it still arrives, as the old key stays for three seconds.
    let late = ports[0].protect(b"a late frame")?;
    assert!(ports[0].kay.request_rekey(now));
    ports[0].obey(now);
    run(&mut ports, &mut now, |ports| {
        ports.iter().all(|port| {
            let key = port.kay.port().in_use();
            key.is_some() && key.map(|key| key.ki) != before
        })
    });
    println!("another SAK in use after {now:?}\n");
    exchange(&mut ports, b"a frame under the new key")?;
    assert!(ports[1].delivers(late, b"a late frame"));
    println!("all frames delivered, that of the old key too");
    Ok(())
}

/// Lets time pass until `done`: timers, frames from each port to the other, orders.
fn run(ports: &mut [Port; 2], now: &mut Duration, done: impl Fn(&[Port; 2]) -> bool) {
    let mut frame = [0; MAX_FRAME_LEN];
    while !done(ports) {
        *now += TICK;
        assert!(*now < Duration::from_secs(60), "it takes a second");
        for from in [0, 1] {
            if now.as_millis().is_multiple_of(500) {
                ports[from].report_pns(*now);
            }
            if ports[from].kay.poll_timeout().is_some_and(|due| due <= *now) {
                ports[from].kay.handle_timeout(*now);
            }
            ports[from].obey(*now);
            while let Some(len) = ports[from].kay.poll_transmit(*now, &mut frame) {
                let to = &mut ports[1 - from];
                // Why a frame is not taken is for the log; there is nothing to do about it.
                if let Err(discard) = to.kay.handle_frame(*now, &frame[..len]) {
                    println!("not taken: {discard}");
                }
                to.obey(*now);
            }
        }
    }
}

/// A frame each way.
fn exchange(ports: &mut [Port; 2], text: &[u8]) -> Result<(), Box<dyn Error>> {
    for from in [0, 1] {
        let wire = ports[from].protect(text)?;
        assert_eq!(wire[12..14], [0x88, 0xe5]);
        assert!(ports[1 - from].delivers(wire, text));
    }
    Ok(())
}

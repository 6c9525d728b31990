//! Orders of a KaY, carried out on the SecY of a port: see [`mka::order`] for the rules.

use macsec::{
    An, Config, InstallError, KeyError, Ki, LifeCycleError, ReceiveSa, Sci, TransmitSa,
    ValidateFrames,
};
use mka::{
    KeyPns,
    order::{Action, Controls, OrderFailure},
};

use super::{Port, PortSecY};

/// What the configuration and a KaY say of a port.
#[derive(Clone, Copy, Debug)]
pub(super) struct Command {
    /// The controls of the configuration.
    configured: Config,
    /// Those that a KaY has ordered instead, as far as it may.
    ordered: Option<Controls>,
    /// Frames pass (controlledPortEnabled).
    pub(super) open: bool,
}

impl Command {
    /// No KaY says anything: the port is open, and its controls are as configured.
    pub(super) const fn new(configured: Config) -> Self {
        Self { configured, ordered: None, open: true }
    }

    /// Takes what the configuration says by now. Replay protection is its own alone once MACsec is in use:
    /// no peer is told of it, so an order of before must not outlive the configuration it came from.
    pub(super) fn configure(&mut self, configured: Config) {
        self.configured = configured;
        if let Some(ordered) = self.ordered.as_mut().filter(|o| **o != Controls::UNPROTECTED) {
            ordered.replay_protect = configured.replay_protect;
            ordered.replay_window = configured.replay_window;
        }
    }

    /// The controls that follow.
    pub(super) fn controls(&self) -> Config {
        let mut controls = self.configured;
        let Some(ordered) = self.ordered else { return controls };
        controls.protect_frames = ordered.protect_frames;
        controls.validate_frames = ordered.validate_frames;
        controls.replay_protect = ordered.replay_protect;
        controls.replay_window = ordered.replay_window;
        // There is no such thing without replay protection.
        controls.detect_duplicates &= ordered.replay_protect;
        controls
    }
}

impl Port {
    /// Carries out an order. What is there already is not made again, what is not there is deleted, and
    /// an order about a key never touches another key, be it on the same AN.
    ///
    /// # Errors
    /// [`OrderFailure`]: nothing has changed then.
    pub fn carry_out(&mut self, action: &Action) -> Result<(), OrderFailure> {
        let secy = &mut self.secy;
        match *action {
            Action::SetControls(controls) => self.order_controls(controls),
            Action::SetControlledPort { enabled } => {
                self.set_controlled_port(enabled);
                Ok(())
            }
            Action::InstallKey(ref key) => match secy.key_suite(key.ki()) {
                Some(suite) if suite == key.suite() => Ok(()),
                _ => secy.install_key(key).map_err(install_failure),
            },
            Action::CreateReceiveSc { sci } => match secy.create_receive_sc(sci) {
                Err(LifeCycleError::NoFreeSlot) => Err(OrderFailure::NoRoom),
                Ok(()) | Err(_) => Ok(()),
            },
            Action::InstallReceiveSa { sci, ref sa } => install_receive_sa(secy, sci, sa),
            Action::RaiseLowestPn { sci, an, ki, lowest_pn } => match secy.receive_sa(sci, an) {
                Some(there) if there.ki == ki => {
                    gone(secy.raise_receive_lowest_pn(sci, an, lowest_pn))
                }
                _ => Ok(()),
            },
            Action::InstallTransmitSa(ref sa) => install_transmit_sa(secy, sa),
            Action::EnableTransmit { an, ki } => {
                of_this_key(secy.transmit_sa(an).map(|sa| sa.ki), ki)?;
                secy.enable_transmit_sa(an).map_err(|_| OrderFailure::Refused)
            }
            Action::DeleteTransmitSa { an, ki } => gone(secy.delete_transmit_sa(an, ki)),
            Action::DeleteReceiveSa { sci, an, ki } => gone(secy.delete_receive_sa(sci, an, ki)),
            Action::DeleteReceiveSc { sci } => {
                // Another key may have come to use it.
                if An::ALL.into_iter().any(|an| secy.receive_sa(sci, an).is_some()) {
                    return Err(OrderFailure::Refused);
                }
                gone(secy.delete_receive_sc(sci))
            }
            Action::RemoveKey(ki) => match secy.remove_key(ki) {
                Ok(()) | Err(KeyError::UnknownKi) => Ok(()),
                Err(_) => Err(OrderFailure::Refused),
            },
            // One that is newer than this data plane.
            _ => Err(OrderFailure::Unsupported),
        }
    }

    /// Opens or closes the Controlled Port (controlledPortEnabled). Nothing passes a closed one but what
    /// is on the bypass list. A port is open at first.
    pub fn set_controlled_port(&mut self, enabled: bool) {
        self.command.open = enabled;
    }

    /// Goes back to the controls of the configuration: there is no KaY to order others any more.
    ///
    /// # Errors
    /// [`PortError::Controls`](super::PortError::Controls).
    pub fn forget_orders(&mut self) -> Result<(), super::PortError> {
        self.command.ordered = None;
        self.set_controls(self.command.configured)
    }

    /// Where the packet numbers of each key are, for a KaY that is to replace it in time.
    pub fn key_pns(&self) -> Vec<KeyPns> {
        self.secy.keys().map(|ki| key_pns(&self.secy, ki)).collect()
    }

    fn order_controls(&mut self, controls: Controls) -> Result<(), OrderFailure> {
        let former = self.command.ordered.replace(controls);
        let mut controls = self.command.controls();
        self.limit_frames(&mut controls);
        self.secy.set_config(controls).map_err(|_| {
            self.command.ordered = former;
            OrderFailure::Unsupported
        })
    }

    /// Whether nothing but what is protected and valid passes.
    #[must_use]
    pub fn protects(&self) -> bool {
        let controls = self.secy.config();
        controls.protect_frames && controls.validate_frames == ValidateFrames::Strict
    }
}

fn key_pns(secy: &PortSecY, ki: Ki) -> KeyPns {
    let transmit = An::ALL.into_iter().filter_map(|an| secy.transmit_sa(an));
    // A key has one transmit SA at the most.
    let transmit = transmit.filter(|sa| sa.ki == ki).map(|sa| sa.next_pn.unwrap_or(u64::MAX));
    let of_peer = |sci| An::ALL.into_iter().filter_map(move |an| secy.receive_sa(sci, an));
    let receive = secy.receive_scs().flat_map(of_peer).filter(|sa| sa.ki == ki);
    KeyPns {
        ki,
        transmit_next_pn: transmit.max().unwrap_or(1),
        receive_next_pn: receive.map(|sa| sa.next_pn).max().unwrap_or(1),
    }
}

fn install_receive_sa(secy: &mut PortSecY, sci: Sci, sa: &ReceiveSa) -> Result<(), OrderFailure> {
    let ReceiveSa { an, ki, .. } = *sa;
    match secy.receive_sa(sci, an) {
        Some(there) => of_this_key(Some(there.ki), ki)?,
        None => secy.install_receive_sa(sci, sa).map_err(install_failure)?,
    }
    // It is there by now.
    secy.enable_receive_sa(sci, an).map_err(|_| OrderFailure::Refused)
}

fn install_transmit_sa(secy: &mut PortSecY, sa: &TransmitSa) -> Result<(), OrderFailure> {
    match secy.transmit_sa(sa.an) {
        Some(there) => of_this_key(Some(there.ki), sa.ki),
        None => secy.install_transmit_sa(sa).map_err(install_failure),
    }
}

/// Whether the key of an SA is the one that the order is about.
fn of_this_key(there: Option<Ki>, wanted: Ki) -> Result<(), OrderFailure> {
    if there == Some(wanted) { Ok(()) } else { Err(OrderFailure::Refused) }
}

/// What is not there, or is another's, is none of this order's business.
fn gone(result: Result<(), LifeCycleError>) -> Result<(), OrderFailure> {
    match result {
        Ok(())
        | Err(LifeCycleError::NoSuchSa | LifeCycleError::NoSuchSc | LifeCycleError::OtherKey) => {
            Ok(())
        }
        Err(_) => Err(OrderFailure::Refused),
    }
}

fn install_failure(error: InstallError) -> OrderFailure {
    match error {
        InstallError::Key(KeyError::NoFreeSlot) => OrderFailure::NoRoom,
        InstallError::Config(_) | InstallError::XpnOffset => OrderFailure::Unsupported,
        _ => OrderFailure::Refused,
    }
}

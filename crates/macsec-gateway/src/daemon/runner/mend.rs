//! What is missing is put together, as far as it can be had.

use std::{sync::Arc, time::Instant};

use macsec::{InstallError, MacAddress, Sci};
use macsec_io::{netlink::Netlink, tap::Tap};
use tracing::info;

use super::{LOOK_INTERVAL, OwnedUplink, Runner};
use crate::{
    daemon::{
        keys::{self, KeysError},
        problem::{Problem, Where},
    },
    port::{Port, RingSettings, UplinkRings},
    status::UplinkState,
    uplink,
};

impl Runner {
    /// Puts together whatever is missing and can be had.
    pub(super) fn mend(&mut self) {
        if self.uplink.is_none() && Instant::now() >= self.retry_uplink {
            let attempt = self.mend_uplink();
            // An attempt that fails may have changed the interface and changed it back, which is
            // news of links, and not to be answered by the next attempt at once.
            if attempt.as_ref().is_err_and(|problem| !problem.passing) {
                self.retry_uplink = Instant::now() + LOOK_INTERVAL;
            }
            self.problems.set(Where::Uplink, attempt.err());
        }
        let attempt = self.mend_port();
        self.problems.set(Where::Port, attempt.err());
        let attempt = self.mend_mka();
        self.problems.set(Where::Mka, attempt.err());
        let attempt = self.mend_tap();
        self.problems.set(Where::Tap, attempt.err());
        let attempt = self.mend_keys();
        self.problems.set(Where::Keys, attempt.err());
        let failing = self.port.as_ref().and_then(Port::marks).and_then(|m| m.failures().present);
        self.problems.set(Where::State, failing.map(Problem::passing));
        self.tell_carrier();
        self.answer_changes();
    }

    /// Says what does not work, unless there may be more to say soon.
    fn answer_changes(&mut self) {
        if self.kay_waits.is_patient() {
            return;
        }
        for answer in self.unanswered.drain(..) {
            // Nobody may be waiting any more.
            drop(answer.send(self.problems.all()));
        }
    }

    fn mend_uplink(&mut self) -> Result<(), Problem> {
        let settings = uplink::Settings { mtu: self.config.uplink_mtu };
        let (claim, uplink) =
            self.surroundings.take_uplink(&self.config.uplink, self.config.isolation, &settings)?;
        let owned = OwnedUplink::new(claim, uplink)?;
        info!(
            port = self.config.name,
            uplink = self.config.uplink,
            mtu = owned.state.mtu,
            carrier = owned.state.carrier,
            "uplink taken"
        );
        self.uplink = Some(owned);
        // Its MTU and MAC address follow those of the uplink.
        self.tap = None;
        Ok(())
    }

    /// The SecY, and the rings of the uplink.
    fn mend_port(&mut self) -> Result<(), Problem> {
        let config = Arc::clone(&self.config);
        let Some(UplinkState { mac, mtu, carrier }) = self.uplink.as_ref().map(|u| u.state) else {
            return Ok(());
        };
        let sci = config.sci.unwrap_or(Sci::new(MacAddress(mac), Sci::PORT_END_STATION));
        let room = config.room();
        if self.port.as_ref().is_some_and(|port| port.secy().sci() != sci || port.room() != room) {
            self.discard_port();
        }
        let port = match &mut self.port {
            Some(port) => port,
            None => {
                let mut port = Port::new(sci, config.controls, room)?;
                self.problems.set(Where::Controls, None);
                // It is the KaY's to open it, if there is to be one.
                port.set_controlled_port(config.mka.is_none());
                port.set_eapol_ether_type(super::eapol_ether_type(&config));
                port.set_bypass(&config.bypass);
                port.set_captures(self.captures.take());
                if let Some(tap) = self.spare_tap.take() {
                    port.attach_tap(tap);
                }
                self.port.insert(port)
            }
        };
        if let (false, Some(owned)) = (port.has_uplink(), &self.uplink) {
            let settings = RingSettings {
                mtu,
                promiscuous: config.promiscuous,
                address: config.mac.map(|mac| mac.0).filter(|address| *address != mac),
                mark: super::mark(&config),
            };
            let name = config.uplink.clone();
            let rings = owned.uplink.run(move || UplinkRings::open(&name, &settings))?;
            port.attach_uplink(rings, mtu);
        }
        port.set_uplink_carrier(carrier);
        Ok(())
    }

    fn mend_tap(&mut self) -> Result<(), Problem> {
        let (Some(port), Some(owned)) = (&mut self.port, &self.uplink) else {
            return Ok(());
        };
        let config = &self.config;
        let greatest = config.greatest_mtu(owned.state.mtu);
        let mtu = config.mtu.unwrap_or(greatest);
        if mtu > greatest {
            return Err(Problem::lasting(format!(
                "mtu = {mtu}: at most {greatest} over an uplink with MTU {}",
                owned.state.mtu
            )));
        }
        if self.tap.is_some() && port.tap().is_some() {
            return Ok(());
        }
        let mac = config.mac.map_or(owned.state.mac, |mac| mac.0);
        if port.tap().is_none() {
            let tap = Tap::create(&config.tap)?;
            // Plugged in when the port is.
            tap.set_carrier(false)?;
            self.carrier = false;
            port.attach_tap(tap);
        }
        let mut netlink = Netlink::open()?;
        // Only if need be: some kernels change no address of an interface that is up.
        if netlink.link(&config.tap)?.mac != Some(mac) {
            netlink.set_mac(&config.tap, mac)?;
        }
        netlink.set_mtu(&config.tap, mtu)?;
        netlink.set_up(&config.tap)?;
        info!(port = config.name, tap = config.tap, mtu, "TAP up");
        self.tap = Some((mtu, mac));
        Ok(())
    }

    fn mend_keys(&mut self) -> Result<(), Problem> {
        let (Some(port), Some(keys)) = (&mut self.port, &self.config.static_keys) else {
            return Ok(());
        };
        if self.keys_since.is_some() {
            return Ok(());
        }
        if let Err(error) = keys::install(port, &self.config, keys, &self.surroundings.store) {
            keys::remove(port);
            if matches!(error, KeysError::Install(InstallError::PnRegress)) {
                // The disk has failed meanwhile, and the SecY has seen more than the record holds. None
                // of that has been sent or delivered, so the record is right, for another SecY.
                self.discard_port();
            }
            return Err(Problem::lasting(error.to_string()));
        }
        info!(
            port = self.config.name,
            ki = %keys::ki(&keys.key),
            an = %keys.an,
            cipher_suite = %self.config.cipher_suite,
            "static keys in use (for labs only)"
        );
        self.keys_since = Some(Instant::now());
        Ok(())
    }
}

//! What operators ask of the keys of a port: it is seen whether it may be, written down, and then
//! it comes about.

use std::{
    fmt::Display,
    io,
    sync::{Arc, mpsc::sync_channel},
    time::Duration,
};

use macsec_io::peer::PeerCredentials;
use mka::Ckn;

use super::{
    key_guards::{self, Allowed, Refusal},
    key_stores::configured,
    port_thread::{Order, PortThread},
    service::{STATUS_TIMEOUT, Service, names, ports_asked_for},
};
use crate::{
    audit::{self, Entry},
    config::{KeyCheck, Timestamp, TimestampError, parse_cak},
    control::{KeyAnswer, KeyOperation, KeyResult, PortKeys, RefusalCode, Request},
    keyring::{AddedKey, Ring},
    status::{PortStatus, cak_statuses},
};

/// An operation on a key of a port.
pub(super) struct Asked {
    operation: KeyOperation,
    port: String,
    ckn: String,
    /// The check value of its CAK, if it is known.
    check: Option<KeyCheck>,
    dry_run: bool,
}

/// What is to be changed on record.
enum Change {
    Add(AddedKey),
    Activate { ckn: Ckn, former: Option<(Ckn, KeyCheck)> },
    Retire { ckn: Ckn, check: KeyCheck, force: bool },
}

impl Asked {
    pub(super) fn new(operation: KeyOperation, port: &str, ckn: &str, dry_run: bool) -> Self {
        let (port, ckn) = (port.to_owned(), ckn.to_owned());
        Self { operation, port, ckn, check: None, dry_run }
    }

    fn answer(self, result: KeyResult, refusal: Option<RefusalCode>, message: String) -> KeyAnswer {
        let check = self.check.map(|check| check.to_string());
        let Self { operation, port, ckn, .. } = self;
        KeyAnswer { operation, port, ckn, check, result, refusal, message }
    }
}

impl Service {
    /// The keys of the port `name`, or of all that have MKA.
    pub(super) fn list_keys(&mut self, name: Option<&str>) -> Result<Vec<PortKeys>, Vec<String>> {
        let asked = ports_asked_for(&self.ports, name)?;
        let keys = &mut self.keys;
        let list = |port: &PortThread| {
            let name = &port.config.name;
            if port.config.mka.is_none() {
                return Err(vec![format!("port {name}: it has no [port.mka]")]);
            }
            let reason = |reason| vec![format!("port {name}: {reason}")];
            let ring = keys.keys(&port.config).map_err(reason)?;
            Ok(port_keys(&ring, status_of(port)))
        };
        asked.into_iter().map(list).collect()
    }

    /// Does something to a key, if it may be. It is written down before it comes about, and so is a
    /// refusal; but not what was only tried.
    pub(super) fn operate_on_key(
        &mut self,
        mut asked: Asked,
        request: &Request,
        client: PeerCredentials,
    ) -> KeyAnswer {
        let planned = self.plan(&mut asked, request);
        let (result, refusal, message) = match &planned {
            Ok((Some(_), message)) if asked.dry_run => {
                (KeyResult::WouldBeDone, None, message.clone())
            }
            Ok((Some(_), message)) => (KeyResult::Done, None, message.clone()),
            Ok((None, message)) => (KeyResult::NothingToDo, None, message.clone()),
            Err(refusal) => (KeyResult::Refused, Some(refusal.code), refusal.message.clone()),
        };
        if asked.dry_run {
            return asked.answer(result, refusal, message);
        }
        let reason = refusal.map(|_| message.as_str());
        let recorded = self.record(&asked, client, result.name(), reason);
        let Ok((Some(change), _)) = planned else {
            return asked.answer(result, refusal, message);
        };
        let done = recorded.map_err(|error| format!("audit log: {error}")).and_then(|()| {
            self.make(&asked.port, change).inspect_err(|reason| {
                // It has been written down as done.
                let _ = self.record(&asked, client, "failed", Some(reason));
            })
        });
        match done {
            Ok(()) => asked.answer(result, None, message),
            Err(reason) => {
                let reason = format!("{reason}; nothing has changed");
                asked.answer(KeyResult::Refused, Some(RefusalCode::NotRecorded), reason)
            }
        }
    }

    /// What is to be changed, if anything, and what is to be said of it.
    fn plan(
        &mut self,
        asked: &mut Asked,
        request: &Request,
    ) -> Result<(Option<Change>, String), Refusal> {
        let ports = &self.ports;
        let Some(port) = ports.iter().find(|port| port.config.name == asked.port) else {
            let message = format!("no such port: there are {}", names(ports));
            return Err(Refusal::new(RefusalCode::NoSuchPort, message));
        };
        let config = Arc::clone(&port.config);
        if config.mka.is_none() {
            return Err(Refusal::new(RefusalCode::NoMka, "the port has no [port.mka]"));
        }
        let ckn = asked.ckn.parse::<Ckn>().map_err(|error| malformed(&error))?;
        let status = status_of(port);
        let ring = self.keys.keys(&config);
        let ring = ring.map_err(|reason| Refusal::new(RefusalCode::NotRecorded, reason))?;
        asked.check = ring.keys.iter().find(|key| key.ckn == ckn).map(|key| key.check);
        let (allowed, change) = match request {
            Request::KeyAdd { cak, start, end, fallback, .. } => {
                let mut key = added_key(ckn, &cak.0)?;
                (key.start, key.end) = (date("start", start)?, date("end", end)?);
                key.fallback = *fallback;
                asked.check = Some(key.check);
                let allowed = key_guards::add(&status, &ring, &key, Timestamp::now())?;
                (allowed, Change::Add(key))
            }
            Request::KeyRetire { force, .. } => {
                let known = self.keys.get(&config.name).is_ok_and(|store| store.has_retired(ckn));
                let allowed = key_guards::retire(&status, &ring, ckn, known, *force)?;
                asked.check = asked.check.or_else(|| check_of(&status, &asked.ckn));
                let check = asked.check.unwrap_or(KeyCheck([0; 16]));
                (allowed, Change::Retire { ckn, check, force: *force })
            }
            _ => {
                let former = former(&status, &ring, ckn);
                (key_guards::activate(&status, &ring, ckn)?, Change::Activate { ckn, former })
            }
        };
        Ok(match allowed {
            Allowed::Do(message) => (Some(change), message),
            Allowed::Nothing(message) => (None, message),
        })
    }

    /// Changes what is on record of a port's keys, and tells the port.
    fn make(&mut self, port: &str, change: Change) -> Result<(), String> {
        let Some(thread) = self.ports.iter().find(|thread| thread.config.name == port) else {
            return Err("the port has gone".to_owned());
        };
        let config = &thread.config;
        let store = self.keys.get(port).map_err(|error| error.to_string())?;
        let mut forced = None;
        match change {
            Change::Add(key) => store.add(key, configured(config)),
            Change::Activate { ckn, former } => store.activate(ckn, former),
            Change::Retire { ckn, check, force } => {
                forced = force.then_some(ckn);
                store.retire(ckn, check, configured(config))
            }
        }
        .map_err(|error| error.to_string())?;
        let ring = Ring { forced, ..store.ring(configured(config)) };
        thread.order(Order::Keys(Ok(Arc::new(ring))));
        Ok(())
    }

    fn record(
        &self,
        asked: &Asked,
        client: PeerCredentials,
        result: &str,
        reason: Option<&str>,
    ) -> io::Result<()> {
        let check = asked.check.map(|check| check.to_string());
        let entry = Entry {
            time: Timestamp::now().to_string(),
            port: &asked.port,
            operation: asked.operation.name(),
            ckn: &asked.ckn,
            check: check.as_deref(),
            uid: client.uid,
            pid: client.pid,
            result,
            reason,
        };
        audit::record(&self.config.state_directory, &entry)
    }
}

fn status_of(port: &PortThread) -> PortStatus {
    let (answer, status) = sync_channel(1);
    port.order(Order::Status(answer));
    status.recv_timeout(STATUS_TIMEOUT).unwrap_or_else(|_| PortStatus::silent(&port.config))
}

/// The keys of a port as they are listed.
fn port_keys(ring: &Ring, status: PortStatus) -> PortKeys {
    let secured = status.controlled_port_enabled && status.mka.as_ref().is_some_and(|m| m.secured);
    let port = status.name;
    match status.mka {
        Some(mka) => PortKeys {
            port,
            secured,
            key_server: mka.key_server,
            in_use: mka.keys.iter().find(|key| key.in_use_for.is_some()).map(|key| key.ckn.clone()),
            former: mka.former_key,
            keys: mka.keys,
        },
        None => PortKeys {
            port,
            secured,
            key_server: None,
            in_use: None,
            former: None,
            keys: cak_statuses(Timestamp::now(), ring, &[], 0, Duration::ZERO),
        },
    }
}

fn malformed(error: &dyn Display) -> Refusal {
    Refusal::new(RefusalCode::Malformed, error.to_string())
}

fn added_key(ckn: Ckn, cak: &str) -> Result<AddedKey, Refusal> {
    let octets = parse_cak(cak.as_bytes());
    let octets = octets.ok_or_else(|| malformed(&"CAK: 32 or 64 hexadecimal digits"))?;
    AddedKey::new(ckn, octets).map_err(|error| malformed(&error))
}

fn date(name: &str, text: &Option<String>) -> Result<Option<Timestamp>, Refusal> {
    let parsed = text.as_deref().map(str::parse).transpose();
    parsed.map_err(|error: TimestampError| malformed(&format!("{name}: {error}")))
}

/// The key that `ckn` follows: the one in use, or, if that is `ckn` already, the one before.
fn former(status: &PortStatus, ring: &Ring, ckn: Ckn) -> Option<(Ckn, KeyCheck)> {
    let mka = status.mka.as_ref()?;
    let in_use = mka.keys.iter().find(|key| key.in_use_for.is_some()).map(|key| &key.ckn);
    let to = ckn.to_string();
    let former = in_use.filter(|in_use| **in_use != to).or(mka.former_key.as_ref())?;
    let key = ring.keys.iter().find(|key| key.ckn != ckn && key.ckn.to_string() == *former)?;
    Some((key.ckn, key.check))
}

/// The check value of a key that has left the configuration and is still taken part with.
fn check_of(status: &PortStatus, ckn: &str) -> Option<KeyCheck> {
    let key = status.mka.as_ref()?.keys.iter().find(|key| key.ckn == ckn)?;
    let mut check = [0; 16];
    hex::decode_to_slice(&key.check, &mut check).ok()?;
    Some(KeyCheck(check))
}

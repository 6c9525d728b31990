//! `macsec keys list`.

use std::{
    fmt::{self, Write},
    process::ExitCode,
};

use super::{Asking, PortKeys, ask_keys, print_json};
use crate::{
    exit,
    status::{CakState, CakStatus, key_state},
};

/// Shows the keys of a port, or of all.
pub(super) fn list(asking: &Asking, port: Option<&str>) -> ExitCode {
    let ports = match ask_keys(&asking.socket, port) {
        Ok(ports) => ports,
        Err(reason) => return exit::cannot_run("keys list", &reason),
    };
    if asking.json {
        print_json(&ports);
    } else {
        let mut text = String::new();
        // A String takes everything.
        let _ = ports.iter().try_for_each(|port| write_port(&mut text, port));
        print!("{text}");
    }
    ExitCode::SUCCESS
}

fn write_port(f: &mut String, port: &PortKeys) -> fmt::Result {
    let secured = if port.secured { "secured" } else { "NOT SECURED" };
    let server = match &port.key_server {
        Some(server) if server.is_self => "this end".to_owned(),
        Some(server) => format!("{}, priority {}", server.sci, server.priority),
        None => "none".to_owned(),
    };
    writeln!(f, "{}: {secured}, key server: {server}", port.port)?;
    port.keys.iter().try_for_each(|key| write_key(f, key))
}

fn write_key(f: &mut String, key: &CakStatus) -> fmt::Result {
    writeln!(f, "    {} {}", if key.preferred { "*" } else { " " }, key.ckn)?;
    write!(f, "        {}", key_state(key))?;
    for (is_so, word) in [(key.activated, "activated"), (key.fallback, "fallback")] {
        if is_so {
            write!(f, ", {word}")?;
        }
    }
    writeln!(f, "\n        check {}, from the {}", key.check, key.source)?;
    if key.state != CakState::Retired && (key.start.is_some() || key.end.is_some()) {
        let date = |date: &Option<String>| date.clone().unwrap_or_else(|| "-".to_owned());
        writeln!(f, "        valid from {} until {}", date(&key.start), date(&key.end))?;
    }
    Ok(())
}

//! The configuration file, and whether a running gateway has it.

use std::path::Path;

use super::Finding;
use crate::{
    config::{Config, Fault, Loaded},
    control::{self, Reply, Request},
};

const CHECK: &str = "configuration";

/// What `macsec check` says of the file.
pub(super) fn file(file: &Path, loaded: &Result<Loaded, Vec<Fault>>) -> Vec<Finding> {
    match loaded {
        Ok(Loaded { config, warnings, .. }) if warnings.is_empty() => {
            let ports = config.ports.len();
            let s = if ports == 1 { "" } else { "s" };
            vec![Finding::ok(CHECK, format!("{}: {ports} port{s}", file.display()))]
        }
        Ok(Loaded { warnings, .. }) => {
            let of = |warning: &crate::config::Warning| {
                let seen = format!("{}:{}: {}", warning.file, warning.line, warning.key);
                Finding::warning(CHECK, seen, capitalised(&warning.advice))
            };
            warnings.iter().map(of).collect()
        }
        Err(faults) => faults.iter().map(of_fault).collect(),
    }
}

fn of_fault(fault: &Fault) -> Finding {
    let Some(key) = &fault.key else {
        return Finding::problem(
            CHECK,
            fault.to_string(),
            "Name the file with --config FILE, or put it right and try `macsec check FILE`.",
        );
    };
    let line = fault.line.map_or_else(String::new, |line| format!(":{line}"));
    let value = fault.value.as_ref().map_or_else(String::new, |value| format!(" = {value}"));
    let seen = format!("{}{line}: {key}{value}", fault.file);
    // The environment is that of whoever runs the gateway.
    if key.ends_with(".sak_env") || key.ends_with(".cak_env") {
        let advice =
            format!("{}; seen from here. The gateway's environment counts.", fault.allowed);
        return Finding::warning(CHECK, seen, capitalised(&advice));
    }
    Finding::problem(CHECK, seen, format!("Allowed: {}.", fault.allowed))
}

/// Whether the gateway behind `socket` runs with what the file says now.
pub(super) fn in_force(socket: &Path) -> Option<Finding> {
    match control::ask(socket, &Request::Reload { dry_run: true }) {
        Ok(Reply::Changes(changes)) if changes.is_empty() => None,
        Ok(Reply::Changes(changes)) => Some(Finding::note(
            CHECK,
            format!("the gateway does not run with what the file says now: {}", changes.join("; ")),
            "`macsec reload` applies it.",
        )),
        Ok(Reply::Refused(reasons)) => Some(Finding::warning(
            CHECK,
            format!("a reload would be refused: {}", reasons.join("; ")),
            "The gateway goes on with what it has. Put the file right before the next start.",
        )),
        _ => None,
    }
}

/// The ports that the file has.
pub(super) fn port_names(loaded: Option<&Config>) -> Vec<String> {
    loaded
        .map_or_else(Vec::new, |config| config.ports.iter().map(|port| port.name.clone()).collect())
}

/// As a sentence.
fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(char::to_uppercase);
    let end = if text.ends_with('.') { "" } else { "." };
    first.into_iter().flatten().chain(characters).chain(end.chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn a_key_in_the_environment_of_the_gateway_is_not_ours_to_see() {
        let fault = |key: &str| Fault {
            file: "m.toml".to_owned(),
            line: Some(3),
            key: Some(key.to_owned()),
            value: Some("\"X\"".to_owned()),
            allowed: "a variable that is set".to_owned(),
        };
        for key in ["port.wan0.static_keys.sak_env", "port.wan0.mka.cak_env"] {
            assert_eq!(of_fault(&fault(key)).level, Level::Warning);
        }
        let finding = of_fault(&fault("port.wan0.uplink"));
        assert_eq!(finding.level, Level::Problem);
        assert_eq!(finding.seen, "m.toml:3: port.wan0.uplink = \"X\"");
        assert_eq!(finding.advice, "Allowed: a variable that is set.");
    }
}

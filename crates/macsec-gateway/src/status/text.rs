//! The status for people, at 80 columns.

use std::fmt::{self, Write};

use macsec::{COUNTERS, CounterInfo, CounterScope};

use super::{PortStatus, ReceiveScStatus, SecyStatus, Status, TransmitScStatus, mka::write_mka};

/// The status as text.
#[must_use]
pub fn render(status: &Status) -> String {
    let mut text = String::new();
    for (index, port) in status.ports.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        // Writing to a string does not fail.
        let _ = write_port(&mut text, port);
    }
    text
}

fn write_port(f: &mut String, port: &PortStatus) -> fmt::Result {
    let state = match (port.controlled_port_enabled, port.secured) {
        (false, _) => "CLOSED",
        (true, true) => "SECURED",
        (true, false) => "OPEN, BUT NOT SECURED (protect_frames, validate_frames)",
    };
    writeln!(f, "{}: {state}", port.name)?;
    for problem in &port.problems {
        writeln!(f, "    !! {problem}")?;
    }
    let uplink = &port.uplink;
    match uplink.present {
        true => writeln!(
            f,
            "    uplink {} ({}), MTU {}, {}, {}",
            uplink.name,
            uplink.isolation,
            uplink.mtu,
            uplink.phys_address,
            if uplink.carrier { "carrier" } else { "NO CARRIER" },
        )?,
        false => writeln!(f, "    uplink {} ({}), NOT THERE", uplink.name, uplink.isolation)?,
    }
    match port.tap.present {
        true => writeln!(
            f,
            "    TAP {}, MTU {}, {}",
            port.tap.name, port.tap.mtu, port.tap.phys_address
        )?,
        false => writeln!(f, "    TAP {}, NOT THERE", port.tap.name)?,
    }
    if let Some(mka) = &port.mka {
        write_mka(f, mka)?;
    }
    let Some(secy) = &port.secy else {
        return Ok(());
    };
    write_controls(f, port, secy)?;
    write_transmit_sc(f, &secy.transmit_sc)?;
    secy.receive_sc.iter().try_for_each(|sc| write_receive_sc(f, sc))?;
    write_counters(f, secy)?;
    write_local(f, port)
}

fn write_controls(f: &mut String, port: &PortStatus, secy: &SecyStatus) -> fmt::Result {
    let keys = match port.key_source.as_str() {
        "static" => "static keys (lab)",
        "mka" => "MKA",
        _ => "no keys",
    };
    writeln!(f, "    {} by {}, {keys}", secy.cipher_suite, secy.cipher_backend)?;
    let on = |on| if on { "on" } else { "off" };
    writeln!(
        f,
        "    protect {}, validate {}, replay {} window {}",
        on(secy.protect_frames),
        secy.validate_frames,
        on(secy.replay_protect),
        secy.replay_window,
    )?;
    writeln!(
        f,
        "    always_include_sci {}, use_es {}, use_scb {}, SCI sent: {}",
        on(secy.always_include_sci),
        on(secy.use_es),
        on(secy.use_scb),
        if secy.including_sci { "yes" } else { "no" },
    )
}

fn write_transmit_sc(f: &mut String, sc: &TransmitScStatus) -> fmt::Result {
    writeln!(f, "    TXSC {}", sc.sci)?;
    for sa in &sc.transmit_sa {
        let next_pn = sa.next_pn.map_or_else(|| "none left".to_owned(), |pn| pn.to_string());
        let protection = match (sa.confidentiality, sa.confidentiality_offset) {
            (false, _) => "integrity only".to_owned(),
            (true, 0) => "encrypt".to_owned(),
            (true, offset) => format!("encrypt from octet {offset}"),
        };
        writeln!(
            f,
            "        {}: next PN {next_pn}, {protection}, {}, age {}",
            sa.an,
            in_use(sa.in_use),
            age(sa.age)
        )?;
        writeln!(f, "           KI {}", sa.key_identifier)?;
    }
    Ok(())
}

fn write_receive_sc(f: &mut String, sc: &ReceiveScStatus) -> fmt::Result {
    writeln!(f, "    RXSC {}", sc.sci)?;
    for sa in &sc.receive_sa {
        writeln!(
            f,
            "        {}: next PN {}, lowest PN {}, {}, age {}",
            sa.an,
            sa.next_pn,
            sa.lowest_pn,
            in_use(sa.in_use),
            age(sa.age)
        )?;
        writeln!(f, "           KI {}", sa.key_identifier)?;
    }
    Ok(())
}

/// Every counter of the standard: receive on the left, transmit on the right.
fn write_counters(f: &mut String, secy: &SecyStatus) -> fmt::Result {
    let value = |name: &str, scope| {
        let map = match scope {
            CounterScope::Verification => &secy.verification,
            CounterScope::Generation => &secy.generation,
            CounterScope::ReceiveSc => &secy.receive_sc_sum,
            CounterScope::TransmitSc => &secy.transmit_sc.statistics,
        };
        map.get(name).copied().unwrap_or_default()
    };
    let receives = |scope| matches!(scope, CounterScope::Verification | CounterScope::ReceiveSc);
    let (left, right): (Vec<&CounterInfo>, Vec<&CounterInfo>) =
        COUNTERS.iter().partition(|c| receives(c.scope));
    let mut right = right.into_iter();
    for counter in left {
        write!(f, "    {:<18}{:>18}", counter.name, value(counter.yang, counter.scope))?;
        if let Some(counter) = right.next() {
            write!(f, "   {:<18}{:>18}", counter.name, value(counter.yang, counter.scope))?;
        }
        writeln!(f)?;
    }
    Ok(())
}

/// What the standard does not count, if it is not zero.
fn write_local(f: &mut String, port: &PortStatus) -> fmt::Result {
    let counts: Vec<String> = port
        .local
        .iter()
        .filter(|(_, count)| **count != 0)
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    wrap(f, "local: ", &counts)?;
    let bypass: Vec<String> = port
        .bypass
        .iter()
        .map(|entry| format!("{} in {} out {}", entry.ether_type, entry.in_pkts, entry.out_pkts))
        .collect();
    wrap(f, "in clear: ", &bypass)
}

/// Items with commas between, in lines of at most 80 columns.
pub(super) fn wrap(f: &mut String, title: &str, items: &[String]) -> fmt::Result {
    let mut line = format!("    {title}");
    let indent = line.len();
    for (index, item) in items.iter().enumerate() {
        let item = if index + 1 < items.len() { format!("{item},") } else { item.clone() };
        if line.len() + 1 + item.len() > 80 && line.len() > indent {
            writeln!(f, "{}", line.trim_end())?;
            line = " ".repeat(indent);
        }
        line.push_str(&item);
        line.push(' ');
    }
    if items.is_empty() { Ok(()) } else { writeln!(f, "{}", line.trim_end()) }
}

fn in_use(in_use: bool) -> &'static str {
    if in_use { "in use" } else { "not in use" }
}

/// Seconds as people say them.
pub(super) fn age(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min {} s", seconds % 60),
        3600..86_400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::fixture::port;

    fn status(ports: Vec<PortStatus>) -> Status {
        let (version, configuration) = (String::new(), String::new());
        Status { version, pid: 1, uptime: 1, configuration, pcap_missed: None, ports }
    }

    #[test]
    fn it_fits_80_columns_and_has_every_counter() {
        let text = render(&status(vec![port()]));
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
            assert_eq!(line, line.trim_end());
        }
        for counter in COUNTERS {
            let name = format!(" {} ", counter.name);
            assert_eq!(text.matches(&name).count(), 1, "{name}\n{text}");
        }
        assert!(text.contains("NO CARRIER") && text.contains("age 1 d 1 h"), "{text}");
    }

    #[test]
    fn a_port_that_lets_anything_through_is_not_called_secured() {
        let open = PortStatus { secured: false, ..port() };
        assert!(render(&status(vec![open])).starts_with("a-port-of-15-xx: OPEN, BUT NOT SECURED"));
        let closed = PortStatus { controlled_port_enabled: false, secured: false, ..port() };
        assert!(render(&status(vec![closed])).starts_with("a-port-of-15-xx: CLOSED"));
    }

    #[test]
    fn ports_are_told_apart() {
        let other = PortStatus { name: "other".to_owned(), secy: None, ..port() };
        let both = render(&status(vec![port(), other]));
        assert!(both.contains("\n\nother: SECURED"), "{both}");
        assert_eq!(render(&status(Vec::new())), "");
    }

    #[test]
    fn json_survives_the_way_there_and_back() {
        let status = status(vec![port()]);
        let json = serde_json::to_string(&status).expect("JSON");
        assert_eq!(serde_json::from_str::<Status>(&json).expect("a status"), status);
        assert!(json.contains("\"in-pkts-not-valid\"") && json.contains("\"replay-window\""));
    }
}

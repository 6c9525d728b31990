//! Sessions that come up, go on and come back.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{BOTH_ISOLATIONS, Couple, Daemon, END, End, Hosts, PATIENCE, in_use, kay, rekey};
use crate::bench::Wan;

/// A couple with a session, once for each way to own an uplink.
fn for_both(test: impl Fn(&Couple, [Daemon; 2], Hosts)) {
    for isolation in BOTH_ISOLATIONS {
        let Some(couple) = Couple::new() else { return };
        let end = End { isolation, ..END };
        let (left, right) = couple.secured(end, end);
        let mut hosts = couple.hosts();
        hosts.talk();
        test(&couple, [left, right], hosts);
    }
}

#[test]
fn two_gateways_agree_on_keys() {
    for_both(|_, [left, right], mut hosts| {
        hosts.all_pass(500);
        let (a, b) = (left.status(), right.status());
        for status in [&a, &b] {
            let (port, kay) = (&status.ports[0], kay(status));
            assert!(port.secured && kay.secured && kay.active && !kay.failed);
            assert_eq!((port.key_source.as_str(), kay.policy.as_str()), ("mka", "must-secure"));
            assert_eq!(kay.symptoms, [""; 0]);
            assert_eq!((kay.participants.len(), kay.participants[0].ckn.as_str()), (1, super::CKN));
            assert!(kay.saks[0].tx && kay.saks[0].rx);
            assert_eq!(kay.saks[0].cipher_suite.as_deref(), Some("gcm-aes-xpn-256"));
        }
        assert_eq!(in_use(&a), in_use(&b));
        // The priorities are the same, so the lower SCI is better.
        let server = |status| kay(status).key_server.as_ref().map(|server| server.is_self);
        assert_eq!((server(&a), server(&b)), (Some(true), Some(false)));
        assert_eq!(kay(&a).actor.mi, kay(&b).participants[0].peers[0].mi);
        let text = macsec_gateway::status::render(&b);
        assert!(text.contains("live peer 02-00-00-00-00-01-0001, priority 16"), "{text}");
        assert!(text.contains("last SAK"), "{text}");
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        left.stop();
        right.stop();
    });
}

#[test]
fn either_end_starts_again() {
    for_both(|couple, [mut left, mut right], mut hosts| {
        for (killed, first) in [(false, true), (true, true), (false, false), (true, false)] {
            let (edge, daemon) =
                if first { (&couple.a, &mut left) } else { (&couple.b, &mut right) };
            drop(hosts);
            // It is gone before the next one begins.
            if killed {
                daemon.child.kill().expect("a child");
            } else {
                daemon.signal("-TERM");
            }
            daemon.wait();
            *daemon = edge.start_again();
            left.secured();
            right.secured();
            hosts = couple.hosts();
            hosts.talk();
            hosts.all_pass(100);
        }
        left.stop();
        right.stop();
    });
}

#[test]
fn a_peer_that_is_gone_closes_the_port_until_it_is_back() {
    let Some(couple) = Couple::new() else { return };
    let (mut left, right) = couple.secured(END, END);
    right.kill();
    let closed = left.wait_until("it is closed", |status| !status.ports[0].controlled_port_enabled);
    assert_eq!(in_use(&closed), None, "no key is left");
    // The TAP is told last.
    let deadline = Instant::now() + PATIENCE;
    while couple.a.netlink(|netlink| netlink.link("wan0").expect("a TAP")).carrier {
        assert!(Instant::now() < deadline, "the TAP has a carrier");
        thread::sleep(Duration::from_millis(20));
    }
    left.logs("peer lost");
    left.wait_until("it says so", |s| super::has_symptom(s, "no peer is heard any more"));
    let mut right = couple.b.start_again();
    left.secured();
    right.secured();
    couple.hosts().talk();
    left.stop();
    right.stop();
}

#[test]
fn a_link_that_goes_down_and_up() {
    let Some(couple) = Couple::new() else { return };
    let (mut left, mut right) = couple.secured(END, END);
    let mut hosts = couple.hosts();
    for edge in couple.ends() {
        hosts.talk();
        let mi = kay(&left.status()).actor.mi.clone();
        edge.netlink(|netlink| netlink.set_down("up0").expect("down"));
        for daemon in [&mut left, &mut right] {
            let down = |status: &macsec_gateway::status::Status| {
                let port = &status.ports[0];
                !port.controlled_port_enabled && !kay(status).active && in_use(status).is_none()
            };
            daemon.wait_until("it is down", down);
        }
        edge.netlink(|netlink| netlink.set_up("up0").expect("up"));
        left.secured();
        right.secured();
        assert_ne!(kay(&left.status()).actor.mi, mi, "peers may have changed meanwhile");
    }
    hosts.talk();
    hosts.all_pass(100);
    left.stop();
    right.stop();
}

#[test]
fn an_uplink_that_is_pulled_and_put_back() {
    for_both(|couple, [mut left, mut right], _| {
        couple.unplug();
        left.shows("NOT THERE");
        right.shows("NOT THERE");
        left.shows("wan0: CLOSED");
        couple.plug();
        left.secured();
        right.secured();
        couple.hosts().talk();
        left.stop();
        right.stop();
    });
}

#[test]
fn a_new_sak_on_demand_loses_no_frame() {
    let Some(couple) = Couple::new() else { return };
    let (left, right) = couple.secured(END, END);
    let mut hosts = couple.hosts();
    hosts.talk();
    for _ in 0..3 {
        let before = in_use(&left.status());
        let output = rekey(&couple.a, &[]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(text, "port wan0: a new SAK is on its way\n");
        let deadline = Instant::now() + PATIENCE;
        loop {
            hosts.all_pass(20);
            let now = (in_use(&left.status()), in_use(&right.status()));
            if now.0 == now.1 && now.0 != before {
                break;
            }
            assert!(Instant::now() < deadline, "{now:?} after {before:?}");
            thread::sleep(Duration::from_millis(5));
        }
        // The old one is taken away while frames pass, too.
        let deadline = Instant::now() + PATIENCE;
        while kay(&left.status()).saks.len() > 1 || kay(&right.status()).saks.len() > 1 {
            hosts.all_pass(20);
            assert!(Instant::now() < deadline, "the old SAK stays");
            thread::sleep(Duration::from_millis(20));
        }
    }
    let last = kay(&left.status()).last_rekey.clone().expect("a SAK");
    assert_eq!(last.reason, "macsec rekey");

    // Only the key server makes SAKs.
    for (arguments, reason) in [
        (["--port", "wan0"], "the key server is 02-00-00-00-00-01-0001 (priority 16)"),
        (["--port", "wan1"], "no port \"wan1\": there are wan0"),
    ] {
        let output = rekey(&couple.b, &arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(text.contains(reason) && text.lines().count() == 1, "{text}");
    }
    left.stop();
    right.stop();
}

#[test]
fn a_reload_that_peers_are_not_told_of_touches_no_session() {
    let Some(couple) = Couple::new() else { return };
    let (mut left, mut right) = couple.secured(END, END);
    let mut hosts = couple.hosts();
    hosts.talk();
    let before = left.status();
    let mka = "rekey_interval = 3600\nrekey_on_peer_loss = true";
    let lines = "replay_window = 64\nalways_include_sci = false";
    End { mka, lines, ..END }.configure(&couple.a);
    let lines = left.reload(false).expect("a reload");
    assert!(lines.iter().any(|line| line.contains("rekey_interval")), "{lines:?}");
    hosts.all_pass(200);
    let after = left.status();
    assert_eq!(in_use(&after), in_use(&before));
    assert_eq!(kay(&after).actor.mi, kay(&before).actor.mi);
    assert!(kay(&after).next_rekey.is_some_and(|seconds| seconds > 3000));
    let secy = after.ports[0].secy.as_ref().expect("a SecY");
    assert_eq!((secy.replay_window, secy.always_include_sci), (64, false));
    // It stays so in sessions to come.
    couple.a.netlink(|netlink| netlink.set_down("up0").expect("down"));
    left.shows("wan0: CLOSED");
    couple.a.netlink(|netlink| netlink.set_up("up0").expect("up"));
    let secy = left.secured().ports.remove(0).secy.expect("a SecY");
    assert_eq!(secy.replay_window, 64);
    right.secured();
    hosts.talk();
    left.stop();
    right.stop();
}

#[test]
fn a_reload_of_anything_else_begins_a_session_anew() {
    let Some(couple) = Couple::new() else { return };
    let (mut left, mut right) = couple.secured(END, END);
    let changes = [
        "key_server_priority = 17",
        "key_server_priority = 17\nethertype = 0x876f",
        // The SecY is too small for that.
        "max_peers = 31",
        "delay_protect = true",
    ];
    for mka in changes {
        let before = kay(&left.status()).actor.mi.clone();
        let end = End { mka, ..END };
        for (edge, daemon) in couple.ends().into_iter().zip([&mut left, &mut right]) {
            end.configure(edge);
            daemon.reload(false).expect("a reload");
        }
        left.secured();
        right.secured();
        assert_ne!(kay(&left.status()).actor.mi, before);
        couple.hosts().talk();
    }
    left.stop();
    right.stop();
}

#[test]
fn from_static_keys_to_mka_and_back() {
    let Some(couple) = Couple::new() else { return };
    let [a, b] = couple.ends();
    let fixed = [
        Wan { peer: super::FAR, ..Wan::default() },
        Wan { peer: super::NEAR, ssci: 2, ..Wan::default() },
    ];
    let mut left = a.start(&[&fixed[0]]);
    let mut right = b.start(&[&fixed[1]]);
    left.secured();
    right.secured();
    let mut hosts = couple.hosts();
    hosts.talk();
    for _ in 0..2 {
        for (edge, daemon) in [(a, &left), (b, &right)] {
            END.configure(edge);
            daemon.reload(false).expect("a reload");
        }
        for daemon in [&mut left, &mut right] {
            daemon.wait_until("MKA", |status| status.ports[0].key_source == "mka");
            daemon.secured();
        }
        hosts.talk();
        assert!(in_use(&left.status()).is_some());
        for (edge, daemon, wan) in [(a, &left, &fixed[0]), (b, &right, &fixed[1])] {
            edge.configure(&[wan]);
            daemon.reload(false).expect("a reload");
        }
        for daemon in [&mut left, &mut right] {
            let status = daemon.secured();
            assert_eq!(status.ports[0].key_source, "static");
            assert_eq!(status.ports[0].mka, None);
        }
        hosts.talk();
        hosts.all_pass(50);
    }
    left.stop();
    right.stop();
}

/// What carriers and old peers ask for, at both ends.
#[test]
fn whatever_a_wan_takes() {
    let Some(couple) = Couple::new() else { return };
    for (lines, mka) in [
        ("vlan_tags_in_clear = 1", "destination = \"ff-ff-ff-ff-ff-ff\"\nethertype = 0x876f"),
        ("", "destination = \"01-00-5e-00-00-01\"\nicv_indicator = true"),
        ("", "mka_version = 1\nset_order = \"standard\"\nicv_indicator = true"),
        ("", "mka_version = 2\ndelay_protect = true\nmax_peers = 31"),
    ] {
        let end = End { lines, mka, ..END };
        let (left, right) = couple.secured(end, end);
        let mut hosts = couple.hosts();
        hosts.talk();
        hosts.all_pass(50);
        left.stop();
        right.stop();
    }
}

#[test]
fn each_suite_and_offset() {
    let Some(couple) = Couple::new() else { return };
    for lines in [
        "cipher_suite = \"gcm-aes-128\"\nconfidentiality_offset = 30",
        "cipher_suite = \"gcm-aes-256\"\nconfidentiality = false",
        "cipher_suite = \"gcm-aes-xpn-128\"\nreplay_window = 64\ndetect_duplicates = true",
    ] {
        let end = End { lines, ..END };
        let (left, right) = couple.secured(end, end);
        let mut hosts = couple.hosts();
        hosts.talk();
        hosts.all_pass(100);
        let secy = left.port("wan0").secy.expect("a SecY");
        assert!(lines.contains(&secy.transmit_sc.transmit_sa[0].cipher_suite), "{lines}");
        left.stop();
        right.stop();
    }
}

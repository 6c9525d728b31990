//! A gateway with MKA, and a wire that ends in the test's hands.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{END, End, has_symptom, kay};
use crate::{
    Line,
    bench::{FAR, NEAR, PATIENCE, Station, number_of, numbered},
};

/// MKA Life Time, and a little.
const LIFE: Duration = Duration::from_secs(7);

#[test]
fn a_port_that_must_be_secured_is_closed_without_a_peer() {
    for isolation in super::BOTH_ISOLATIONS {
        let Some(line) = Line::new() else { return };
        End { isolation, ..END }.configure(&line.edge);
        let mut gateway = line.edge.start_again();
        gateway.wait_until("a TAP", |status| status.ports[0].tap.present);
        let (mut wire, mut host) = (line.wire("far0"), line.edge.station("wan0"));
        let end = Instant::now() + LIFE;
        let mut eapol = 0;
        for number in 0.. {
            host.send(&numbered(FAR, NEAR, number, 100));
            wire.send(&numbered(NEAR, FAR, number, 100));
            for frame in wire.received() {
                assert_eq!(frame[12..14], [0x88, 0x8e], "{frame:02x?}");
                eapol += 1;
            }
            assert_eq!(host.received(), Vec::<Vec<u8>>::new());
            if Instant::now() > end {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        assert!(eapol > 3, "{eapol} MKPDUs");
        let words = "MKPDUs are sent, and no peer is heard";
        let status = gateway.wait_until(words, |status| has_symptom(status, words));
        assert!(kay(&status).failed && !status.ports[0].controlled_port_enabled);
        assert!(status.ports[0].local["port-closed"] > 0);
        assert_eq!(status.ports[0].local["delivered"], 0);
        gateway.stop();
    }
}

#[test]
fn a_port_that_should_be_secured_opens_in_clear_after_a_life_time() {
    let Some(line) = Line::new() else { return };
    End { mka: "policy = \"should-secure\"", ..END }.configure(&line.edge);
    let mut gateway = line.edge.start_again();
    let status = gateway.wait_until("open", |status| status.ports[0].controlled_port_enabled);
    assert!(!status.ports[0].secured && kay(&status).failed);
    assert!(has_symptom(&status, "frames pass IN CLEAR"));
    gateway.shows("wan0: OPEN, BUT NOT SECURED");
    let (mut wire, mut host) = (line.wire("far0"), line.edge.station("wan0"));
    passes(&mut host, &mut wire, FAR, NEAR);
    passes(&mut wire, &mut host, NEAR, FAR);
    gateway.stop();
}

/// Frames pass as they are.
#[track_caller]
fn passes(from: &mut Station, to: &mut Station, destination: [u8; 6], source: [u8; 6]) {
    let deadline = Instant::now() + PATIENCE;
    for number in 1.. {
        let frame = numbered(destination, source, number, 100);
        from.send(&frame);
        thread::sleep(Duration::from_millis(20));
        if to.received().iter().any(|got| number_of(got).is_some()) {
            return;
        }
        assert!(Instant::now() < deadline, "nothing passes");
    }
}

#[test]
fn a_flood_of_foreign_mkpdus_is_told_once_and_does_no_harm() {
    let Some(line) = Line::new() else { return };
    END.configure(&line.edge);
    let mut gateway = line.edge.start_again();
    let mut wire = line.wire("far0");
    let hello = wire.wait_for(1, |frame| frame[12..14] == [0x88, 0x8e]).remove(0);
    // Another source and another CKN, then the right CKN and a wrong ICV.
    let mut unknown = hello.clone();
    unknown[6..12].copy_from_slice(&FAR);
    let ckn = 18 + 32;
    assert_eq!(&unknown[ckn..ckn + 3], b"mka");
    let mut forged = unknown.clone();
    unknown[ckn] = b'x';
    *forged.last_mut().expect("octets") ^= 1;
    for _ in 0..20_000 {
        wire.send(&unknown);
        wire.send(&forged);
        wire.received();
    }
    let status = gateway.wait_until("all are counted", |status| {
        let counters = &kay(status).counters;
        let got = counters["eapol-mk-no-cfn"]
            + counters["in-mkpdu-icv-verification-errors"]
            + counters["eapol-socket-drop"];
        got >= 30_000
    });
    assert_eq!(kay(&status).unknown_ckn.as_deref(), Some("786b61"));
    let log = gateway.log();
    assert_eq!(log.matches("MKPDUs come under CKN 786b61").count(), 1, "{log}");
    assert_eq!(log.matches("likely another CAK").count(), 1, "{log}");
    // Hellos go on.
    let sent = kay(&status).counters["out-mkpdu"];
    gateway.wait_until("hellos", |status| kay(status).counters["out-mkpdu"] > sent + 1);
    gateway.stop();
}

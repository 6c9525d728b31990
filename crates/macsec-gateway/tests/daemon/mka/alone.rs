//! A gateway with MKA, and a wire that ends in the test's hands.

use std::{
    thread,
    time::{Duration, Instant},
};

use macsec::{MacAddress, Sci};
use mka::{
    Cak, Ckn, DistributedCak, MAX_FRAME_LEN, OsRandom, Participant, ParticipantConfig, Received,
};

use super::{CAK, CKN, END, End, has_symptom, kay};
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
    gateway.logs("likely another CAK");
    let log = gateway.log();
    assert_eq!(log.matches("MKPDUs come under CKN 786b61").count(), 1, "{log}");
    assert_eq!(log.matches("likely another CAK").count(), 1, "{log}");
    // Hellos go on.
    let sent = kay(&status).counters["out-mkpdu"];
    gateway.wait_until("hellos", |status| kay(status).counters["out-mkpdu"] > sent + 1);
    gateway.stop();
}

/// A key server in the test's hands, whose MKPDUs say more than ours would.
struct Puppet {
    participant: Participant<OsRandom>,
    cak: Cak,
    group: DistributedCak<'static>,
    began: Instant,
}

impl Puppet {
    fn new(group: DistributedCak<'static>) -> Self {
        let mut config = ParticipantConfig::new(Sci::new(MacAddress(FAR), 1));
        config.priority = 0;
        let cak = Cak::new(&hex::decode(CAK).expect("digits")).expect("a CAK");
        let ckn = Ckn::new(&hex::decode(CKN).expect("digits")).expect("a CKN");
        let participant = Participant::new(config, cak.clone(), ckn, OsRandom, Duration::ZERO);
        Self { participant: participant.expect("one"), cak, group, began: Instant::now() }
    }

    /// Hears and says what is due.
    fn turn(&mut self, wire: &mut Station) {
        let now = self.began.elapsed();
        for frame in wire.received() {
            let _ = self.participant.handle_frame(now, &frame);
        }
        self.participant.handle_timeout(now);
        let (mut own, mut said) = ([0; MAX_FRAME_LEN], [0; MAX_FRAME_LEN]);
        while let Some(len) = self.participant.poll_transmit(now, &mut own) {
            let framing = self.participant.config().framing;
            let ick = self.cak.ick(self.participant.ckn());
            let received = Received::parse(&own[..len], framing.ethertype).expect("an MKPDU");
            let mkpdu = received.verify(&ick).expect("its own");
            let mut body = *mkpdu.body();
            body.distributed_cak = Some(self.group);
            let len = framing.encode(&body, &ick, &mut said).expect("room");
            wire.send(&said[..len]);
        }
    }
}

#[test]
fn a_cak_that_the_key_server_distributes_is_told_and_not_taken() {
    let Some(line) = Line::new() else { return };
    END.configure(&line.edge);
    let mut gateway = line.edge.start_again();
    let mut wire = line.wire("far0");
    let octets = [[0xee; 24].as_slice(), b"group"].concat().leak();
    let mut puppet = Puppet::new(DistributedCak::new(octets).expect("a set"));
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        puppet.turn(&mut wire);
        let status = gateway.try_status();
        if let Some(status) = status.filter(|status| kay(status).counters["in-cak-mkpdu"] > 4) {
            break status;
        }
        assert!(Instant::now() < deadline, "{}", gateway.log());
        thread::sleep(Duration::from_millis(20));
    };
    let [participant] = &kay(&status).participants[..] else { panic!("{status:?}") };
    let offered = participant.offered_cak.as_ref().expect("an offer");
    let (ckn, from) = ("67726f7570", "02-00-00-00-00-02-0001");
    assert_eq!((offered.ckn.as_str(), offered.from.as_str()), (ckn, from));
    gateway.shows(&format!("CAK distributed by {from}, and not taken:\n            {ckn}\n"));
    let words = format!("group CAK {ckn} distributed by the key server {from}: not taken");
    gateway.logs(&words);
    let log = gateway.log();
    assert_eq!(log.matches(&words).count(), 1, "{log}");
    assert!(!log.contains("eeee") && !format!("{status:?}").contains("eeee"), "the wrapped key");
    gateway.stop();
}

//! MKPDUs of a pair of wpa_supplicants, and one of MKA version 3, as text and as JSON.

mod lan;

use std::time::Duration;

use macsec_decode::{
    Frame, Given, GivenCa, Kind, SakBook, classify,
    mka::{IcvVerdict, Limits, MkaReader, MkpduFinding},
};
use mka::{Cak, Ckn, ICV_LEN};
use serde_json::Value;

const GOLDEN: &str = include_str!("../../../test-vectors/mka/golden-frames.json");

fn golden() -> Vec<Value> {
    let all: Value = serde_json::from_str(GOLDEN).unwrap();
    all["frames"].as_array().unwrap().clone()
}

fn octets(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn named(id: &str) -> Value {
    golden().into_iter().find(|golden| golden["id"] == id).unwrap()
}

/// All CAKs of these frames, each name once.
fn given() -> Given {
    let mut given = Given::default();
    for golden in golden() {
        let ckn = Ckn::new(&octets(&golden["ckn"])).unwrap();
        if !given.cas.iter().any(|ca| ca.ckn == ckn) {
            given.cas.push(GivenCa { ckn, cak: Cak::new(&octets(&golden["cak"])).unwrap() });
        }
    }
    given
}

fn read(reader: &mut MkaReader, number: u64, octets: &[u8]) -> MkpduFinding {
    assert_eq!(classify(octets), Kind::Eapol { at: 12 });
    reader.read(&Frame { number, at: Duration::from_secs(number), octets, whole: true })
}

fn alone(octets: &[u8]) -> MkpduFinding {
    read(&mut MkaReader::new(&given(), Limits::default()), 1, octets)
}

#[test]
fn every_golden_frame_is_verified_and_its_sak_unwrapped() {
    let mut unwrapped = 0;
    for golden in golden() {
        let mut reader = MkaReader::new(&given(), Limits::default());
        let finding = read(&mut reader, 1, &octets(&golden["frame"]));
        assert_eq!(finding.record.icv, IcvVerdict::Ok, "{}", golden["id"]);
        let mut book = SakBook::default();
        reader.learned(&mut book);
        assert_eq!(book.saks.len(), usize::from(!golden["sak"].is_null()), "{}", golden["id"]);
        for sak in &book.saks {
            assert_eq!(sak.sak.expose_octets(), octets(&golden["sak"]));
            unwrapped += 1;
        }
        let shown = serde_json::to_string(&finding.record).unwrap()
            + &finding.record.whole()
            + &finding.record.summary()
            + &serde_json::to_string(&reader.report()).unwrap()
            + &format!("{reader:?}");
        for secret in ["cak", "kek", "ick", "sak"] {
            let Some(secret) = golden[secret].as_str() else { continue };
            assert!(!shown.contains(secret), "{}: {shown}", golden["id"]);
        }
    }
    assert_eq!(unwrapped, 4);
}

#[test]
fn one_line_and_whole() {
    let finding = alone(&octets(&named("F4")["frame"]));
    assert_eq!(
        finding.record.summary(),
        "MKA 02-00-00-00-00-0a-0001 MN 3 ICV ok CKN 96437a93ccf10d9d.. prio 16 server live 1 \
         pot 0, SAK KN 1 AN 0 gcm-aes-128, latest KN 1 AN 0 tx rx"
    );
    assert_eq!(
        finding.record.whole(),
        "EAPOL 02:00:00:00:00:0a > 01:80:c2:00:00:03, Packet Type: 5
  Protocol Version: 3
  Packet Body Length: 160
  Basic Parameter set
    MKA Version Identifier: 1
    Key Server Priority: 16
    Key Server: true
    MACsec Desired: true
    MACsec Capability: 2 (integrity, and confidentiality with offset 0)
    SCI: 02-00-00-00-00-0a-0001
    Actor's Member Identifier: 939e90af2426d8c263469208
    Actor's Message Number: 3
    Algorithm Agility: 0080c201
    CAK Name: 96437a93ccf10d9dfe347846cce52c7d
  Live Peer List Parameter set: type 1, length 16
    Key Server SSCI (LSB): 0
    Member Identifier: 6fb9828b91bc9b58d647d306, Message Number: 1
  MACsec SAK Use Parameter set: type 3, length 40
    Latest Key AN: 0
    Latest Key tx: true
    Latest Key rx: true
    Latest Key: Key Server Member Identifier: 939e90af2426d8c263469208
    Latest Key: Key Number: 1
    Latest Key: Lowest Acceptable PN: 1
    Old Key AN: 0
    Old Key tx: false
    Old Key rx: false
    Old Key: Key Server Member Identifier: 000000000000000000000000
    Old Key: Key Number: 0
    Old Key: Lowest Acceptable PN: 1
    Plain tx: false
    Plain rx: false
    Delay protect: false
  Distributed SAK Parameter set: type 4, length 28
    Distributed AN: 0
    Confidentiality Offset: 1 (offset 0)
    Key Number: 1
    MACsec Cipher Suite: gcm-aes-128 (not in the set: the default)
    AES Key Wrap of SAK: 72b594d277f7b48712e1d458b64b860717a1f2f289ffb5bc
  ICV: cc64039a668e0fbbe9321fd20cbea5a0
  ICV verdict: ICV ok"
    );
    let json = serde_json::to_value(&finding.record).unwrap();
    assert_eq!(json["icv"], "ok");
    assert_eq!(json["mkpdu"]["distributed_sak"]["unwrapped"], true);
    assert_eq!(json["mkpdu"]["distributed_sak"]["cipher_suite_present"], false);
    assert_eq!(json["mkpdu"]["live_peer_list"]["peers"][0]["mn"], 1);
    let types: Vec<_> = json["mkpdu"]["parameter_sets"].as_array().unwrap().iter().collect();
    assert_eq!(types.len(), 3);
}

#[test]
fn the_frame_of_version_3_gives_ssci_and_upper_halves() {
    let finding = alone(&octets(&named("X1")["frame"]));
    let mkpdu = finding.record.mkpdu.unwrap();
    assert_eq!(mkpdu.mka_version_identifier, 3);
    assert_eq!(mkpdu.live_peer_list.unwrap().key_server_ssci, 2);
    assert_eq!(mkpdu.xpn.unwrap().latest_lowest_acceptable_pn_upper, 0);
    let sak = mkpdu.distributed_sak.unwrap();
    assert!(sak.cipher_suite_present && sak.macsec_cipher_suite.contains("xpn"), "{sak:?}");
}

#[test]
fn a_rewritten_destination_is_told_from_another_cak() {
    let mut frame = octets(&named("F3")["frame"]);
    frame[5] = 0x00;
    let line = alone(&frame).record.summary();
    assert!(
        line.contains("ICV BAD [it was sent to 01:80:c2:00:00:03: something on the way"),
        "{line}"
    );
    frame[40] ^= 1;
    assert!(alone(&frame).record.summary().contains("[likely another CAK]"));
}

#[test]
fn what_breaks_a_rule_is_shown_as_such() {
    let good = octets(&named("F3")["frame"]);
    let cut = MkaReader::new(&given(), Limits::default()).read(&Frame {
        number: 1,
        at: Duration::ZERO,
        octets: &good[..60],
        whole: false,
    });
    assert!(cut.record.summary().ends_with("MALFORMED cut short by the capture"));
    let other = alone(&hex::decode("0180c200000302000000000a888e0101000000").unwrap());
    assert_eq!(other.record.summary(), "EAPOL from 02:00:00:00:00:0a type 1");
    // Its Live Peer List has 17 octets, and a right ICV all the same.
    let mut frame = good.clone();
    frame[12 + 2 + 4 + 48 + 3] = 17;
    let golden = named("F3");
    let ckn = Ckn::new(&octets(&golden["ckn"])).unwrap();
    let ick = Cak::new(&octets(&golden["cak"])).unwrap().ick(&ckn);
    let (said, icv) = frame.split_last_chunk_mut::<ICV_LEN>().unwrap();
    *icv = ick.icv(said);
    let finding = alone(&frame);
    let line = finding.record.summary();
    assert!(line.contains("ICV ok MALFORMED Live Peer List: length 17"), "{line}");
    let mut frame = good;
    frame[46] = 1;
    let line = alone(&frame).record.summary();
    assert!(line.contains("MALFORMED algorithm agility: 0180c201"), "{line}");
}

#[test]
fn a_sak_under_another_kek_does_not_unwrap_and_is_told() {
    let golden = named("F3");
    let mut frame = octets(&golden["frame"]);
    let at = frame.len() - ICV_LEN - 3;
    frame[at] ^= 1;
    let ckn = Ckn::new(&octets(&golden["ckn"])).unwrap();
    let ick = Cak::new(&octets(&golden["cak"])).unwrap().ick(&ckn);
    let (said, icv) = frame.split_last_chunk_mut::<ICV_LEN>().unwrap();
    *icv = ick.icv(said);
    let mut reader = MkaReader::new(&given(), Limits::default());
    let finding = read(&mut reader, 1, &frame);
    assert!(finding.record.summary().contains("[the SAK does not unwrap]"));
    let report = reader.report();
    assert_eq!(report.saks[0].unwrapped, Some(false));
    let told = lan::symptoms(&report).join("\n");
    assert!(told.contains("1 SAKs came that do not unwrap"), "{told}");
    let mut book = SakBook::default();
    reader.learned(&mut book);
    assert!(book.saks.is_empty());
}

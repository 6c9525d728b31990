//! Frames of a pair of wpa_supplicants, and one of MKA version 3: read, unwrapped, written again.

mod common;

use common::{Golden, golden, golden_frame};
use macsec::{An, CipherSuite, Confidentiality, ConfidentialityOffset, Ki, Ssci};
use mka::{
    Capability, DecodeError, DistributedSak, ETHERTYPE_EAPOL, Framing, ICV_LEN, KeyUse,
    MAX_FRAME_LEN, Mi, Mkpdu, NEAREST_CUSTOMER_BRIDGE, Received, SakUse, SetOrder, SuiteId,
};

fn verify(golden: &Golden) -> Mkpdu<'_> {
    let received = Received::parse(&golden.frame, ETHERTYPE_EAPOL).unwrap();
    assert_eq!(*received.ckn(), golden.ckn, "{}", golden.id);
    received.verify(&golden.ick).unwrap()
}

#[test]
fn every_golden_frame_is_written_again_octet_for_octet() {
    assert_eq!(golden().len(), 13);
    for golden in golden() {
        let mkpdu = verify(&golden);
        let mut framing = Framing::new(mkpdu.frame().source);
        framing.destination = mkpdu.frame().destination;
        framing.icv_indicator = mkpdu.has_icv_indicator();
        if golden.standard_order {
            framing.order = SetOrder::Standard;
        }
        let mut buffer = [0xee; MAX_FRAME_LEN];
        let len = framing.encode(mkpdu.body(), &golden.ick, &mut buffer).unwrap();
        assert_eq!(hex::encode(&buffer[..len]), hex::encode(&golden.frame), "{}", golden.id);
    }
}

#[test]
fn every_golden_sak_is_unwrapped() {
    let mut unwrapped = 0;
    for golden in golden() {
        let mkpdu = verify(&golden);
        let key = mkpdu.body().distributed_sak.as_ref().and_then(DistributedSak::key);
        assert_eq!(key.is_some(), golden.sak.is_some(), "{}", golden.id);
        let (Some(key), Some(expected)) = (key, &golden.sak) else { continue };
        let sak = golden.kek.unwrap_sak(key.wrapped, key.suite.known().unwrap()).unwrap();
        assert_eq!(sak.expose_octets(), expected, "{}", golden.id);
        unwrapped += 1;
    }
    assert_eq!(unwrapped, 4);
}

/// What the frames say, field by field, against what mka.md says about them.
#[test]
fn fields_of_the_golden_frames() {
    let a = Mi(hex::decode("939e90af2426d8c263469208").unwrap().try_into().unwrap());
    let b = Mi(hex::decode("6fb9828b91bc9b58d647d306").unwrap().try_into().unwrap());

    let golden = golden_frame("F1");
    let mkpdu = verify(&golden);
    let basic = &mkpdu.body().basic;
    assert_eq!((basic.version, basic.key_server_priority), (1, 16));
    assert!(basic.key_server && basic.macsec_desired);
    assert_eq!(basic.macsec_capability, Capability::Confidentiality);
    assert_eq!(basic.sci.to_string(), "02-00-00-00-00-0a-0001");
    assert_eq!((basic.actor.mi, basic.actor.mn), (a, 1));
    assert!(mkpdu.body().live.is_none() && mkpdu.body().potential.is_none());

    let golden = golden_frame("F2");
    let potential = verify(&golden).body().potential.unwrap();
    assert_eq!((potential.len(), potential.find(a), potential.find(b)), (1, Some(1), None));

    let golden = golden_frame("F3");
    let body = *verify(&golden).body();
    assert_eq!(body.live.unwrap().find(b), Some(1));
    let Some(DistributedSak::Key(key)) = body.distributed_sak else { panic!("no key") };
    assert_eq!((key.an, key.key_number), (An::default(), 1));
    assert_eq!(key.suite, SuiteId::Known(CipherSuite::GcmAes128));
    assert_eq!(key.confidentiality, Confidentiality::Encrypt(ConfidentialityOffset::Zero));

    let ki = Ki(hex::decode("939e90af2426d8c26346920800000001").unwrap().try_into().unwrap());
    assert_eq!((a.ki(1), Mi::of_ki(ki), mka::key_number(ki)), (ki, a, 1));
    let used = |tx| KeyUse { ki, an: An::default(), tx, rx: true, lowest_pn: 1 };
    let sak_use = |latest, old| SakUse {
        plain_tx: false,
        plain_rx: false,
        delay_protect: false,
        keys: Some([latest, old]),
    };
    for (id, expected) in [
        ("F4", sak_use(used(true), KeyUse::NONE)),
        ("F5", sak_use(used(false), KeyUse::NONE)),
        ("F6", sak_use(used(true), KeyUse::NONE)),
        ("F7", sak_use(KeyUse::NONE, used(true))),
        ("F8", sak_use(KeyUse::NONE, used(true))),
        ("F9", sak_use(KeyUse::NONE, used(true))),
    ] {
        let golden = golden_frame(id);
        assert_eq!(verify(&golden).body().sak_use, Some(expected), "{id}");
    }
    assert!(!verify(&golden_frame("F5")).body().basic.key_server);

    let golden = golden_frame("X1");
    let body = *verify(&golden).body();
    assert_eq!(body.basic.version, 3);
    let order = body.ssci_order().unwrap();
    assert_eq!((order.key_server(), order.peer(0), order.peer(1)), (Ssci(2), Some(Ssci(1)), None));
    assert_eq!(body.xpn.unwrap().latest_lowest_pn(1), 1);
    // No other frame gives an order: hostap is of version 1.
    assert!(verify(&golden_frame("F3")).body().ssci_order().is_none());
}

#[test]
fn any_octet_changed_is_noticed() {
    let golden = golden_frame("F3");
    for at in 0..golden.frame.len() {
        for bit in 0..8 {
            let mut frame = golden.frame.clone();
            frame[at] ^= 1 << bit;
            let verdict =
                Received::parse(&frame, ETHERTYPE_EAPOL).and_then(|got| got.verify(&golden.ick));
            assert!(verdict.is_err(), "octet {at}, bit {bit}");
            if at >= frame.len() - ICV_LEN {
                assert_eq!(verdict.unwrap_err(), DecodeError::Icv);
            }
        }
    }
}

#[test]
fn another_key_is_an_icv_failure() {
    let golden = golden_frame("F1");
    let other = golden_frame("K1").ick;
    let received = Received::parse(&golden.frame, ETHERTYPE_EAPOL).unwrap();
    let error = received.verify(&other).unwrap_err();
    assert!(error.is_icv());
    assert_eq!(error.to_string(), "ICV: does not fit frame and key");
}

#[test]
fn another_group_address_is_accepted_if_the_icv_covers_it() {
    let golden = golden_frame("F3");
    let mut frame = golden.frame.clone();
    frame[..6].copy_from_slice(&NEAREST_CUSTOMER_BRIDGE.0);
    let received = Received::parse(&frame, ETHERTYPE_EAPOL).unwrap();
    assert_eq!(received.verify(&golden.ick).unwrap_err(), DecodeError::Icv);
    let (octets, icv) = frame.split_last_chunk_mut::<ICV_LEN>().unwrap();
    *icv = golden.ick.icv(octets);
    let received = Received::parse(&frame, ETHERTYPE_EAPOL).unwrap();
    assert!(received.verify(&golden.ick).is_ok());
}

#[test]
fn display_reads_as_a_dissector() {
    let golden = golden_frame("F4");
    assert_eq!(
        verify(&golden).to_string(),
        "EAPOL v3 type 5 02:00:00:00:00:0a > 01:80:c2:00:00:03 length 160
MKA v1 SCI 02-00-00-00-00-0a-0001 MI 939e90af2426d8c263469208 MN 3 \
         CKN 96437a93ccf10d9dfe347846cce52c7d priority 16 key server MACsec desired \
         (confidentiality, offset 0)
  Live Peer List: 1: 6fb9828b91bc9b58d647d306 MN 1
  SAK Use: latest 939e90af2426d8c263469208/1 AN 0 tx rx lowest PN 1; old none
  Distributed SAK: key number 1 AN 0 gcm-aes-128 encrypt, offset 0
  ICV verified"
    );
    let golden = golden_frame("X1");
    let unverified = Received::parse(&golden.frame, ETHERTYPE_EAPOL).unwrap().unverified().unwrap();
    let text = unverified.to_string();
    assert!(text.contains("Live Peer List: 1 (key server SSCI 2): "), "{text}");
    assert!(text.contains("XPN: upper lowest PNs 0, 0"), "{text}");
    assert!(text.ends_with("ICV not verified"), "{text}");
    // The wrapped SAK is no secret, but nobody can read it either.
    assert!(!text.contains("e3c8b280"), "{text}");
}

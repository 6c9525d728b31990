//! The MKA codec: raw frames, and MKPDUs with the right ICV.
//!
//! Input: a flag octet; then a frame from its destination address on, or (flag 01) an MKPDU without
//! its ICV, which is added.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use macsec::MacAddress;
use mka::{
    Body, Cak, Ckn, DistributedSak, ETHERTYPE_EAPOL, Framing, ICV_LEN, Ick, MAX_FRAME_LEN,
    Received, SetOrder,
};

/// Fixed: the ICK does not depend on the CKN that a frame claims.
static ICK: LazyLock<Ick> = LazyLock::new(|| {
    let ckn = Ckn::new(b"fuzz").expect("four octets");
    Cak::new(&[0x42; 16]).expect("sixteen octets").ick(&ckn)
});

fuzz_target!(|input: &[u8]| {
    let Some((&flags, octets)) = input.split_first() else { return };
    if flags & 0x01 == 0 {
        return receive(octets);
    }
    let mut frame = vec![0x01, 0x80, 0xc2, 0, 0, 3, 2, 0, 0, 0, 0, 0x0a, 0x88, 0x8e, 3, 5];
    let Ok(len) = u16::try_from(octets.len() + ICV_LEN) else { return };
    frame.extend(len.to_be_bytes());
    frame.extend(octets);
    let icv = ICK.icv(&frame);
    frame.extend(icv);
    receive(&frame);
});

fn receive(frame: &[u8]) {
    let received = match Received::parse(frame, ETHERTYPE_EAPOL) {
        Ok(received) => received,
        Err(error) => return drop(error.to_string()),
    };
    let unverified = received.unverified();
    let mkpdu = match received.verify(&ICK) {
        Ok(mkpdu) => mkpdu,
        Err(error) => {
            let _ = error.to_string();
            // Without the key the sets are read all the same, and no other fault is found.
            if let Err(other) = unverified {
                assert!(error.is_icv() || error == other);
            }
            return;
        }
    };
    let unverified = unverified.expect("what passes with the key passes without");
    assert_eq!(unverified.claimed_body(), mkpdu.body());
    let _ = (mkpdu.to_string(), format!("{mkpdu:?}"));
    let body = mkpdu.body();
    assert!(mkpdu.unknown_sets().all(|set| set.body.len() < frame.len()));
    if let Some(order) = body.ssci_order() {
        let listed = body.live.expect("an order has a list").len();
        assert!(
            (0..listed).all(|at| order.peer(at).is_some_and(|ssci| ssci != order.key_server()))
        );
        assert_eq!(order.peer(listed), None);
    }
    for order in [SetOrder::Ascending, SetOrder::Standard] {
        write_again(body, order);
    }
}

fn write_again(body: &Body<'_>, order: SetOrder) {
    let mut framing = Framing::new(MacAddress([2, 0, 0, 0, 0, 0x0b]));
    framing.order = order;
    // The longest MKPDU, and what the Indicator adds, always fit; what we write is no longer.
    let mut buffer = [0; MAX_FRAME_LEN];
    let known = match body.distributed_sak.as_ref().and_then(DistributedSak::key) {
        Some(key) => key.suite.known().is_some(),
        None => true,
    };
    let written = framing.encode(body, &ICK, &mut buffer);
    assert_eq!(written.is_ok(), known && body.basic.version <= 3);
    let Ok(len) = written else { return };
    let received = Received::parse(&buffer[..len], ETHERTYPE_EAPOL).expect("ours");
    let mkpdu = received.verify(&ICK).expect("ours");
    assert_eq!(mkpdu.body(), body, "says something else when written again");
}

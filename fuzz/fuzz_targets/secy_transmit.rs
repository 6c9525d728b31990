//! Any frames and any controls through `protect`; what comes out opens at a peer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use macsec::{
    Confidentiality, ConfidentialityOffset, Config, FrameBuf, Portable, ProtectedFrame,
    ReceiveOutcome, ReceiveSa, Refused, TransmitSa,
};
use macsec_fuzz::{
    FuzzSecY, Input, KI, RECEIVER, an, clear_vlan_tags, secy, sender_sci, sender_ssci, suite,
};

/// What came of protecting a frame, and the octets that there are then.
type Sent = Result<Vec<u8>, (macsec::ProtectError, Vec<u8>)>;

fuzz_target!(|octets: &[u8]| {
    let mut input = Input::new(octets);
    let (flags, style) = (input.u8(), input.u8());
    let suite = suite(input.u8());
    let an = an(input.u8());
    let limit = input.u16();
    let mut config = Config::default();
    config.protect_frames = flags & 0x80 == 0;
    config.always_include_sci = flags & 0x01 != 0;
    config.use_es = flags & 0x02 != 0;
    config.use_scb = flags & 0x04 != 0;
    config.clear_vlan_tags = clear_vlan_tags(flags >> 3 & 0x03);
    config.max_frame_octets = if flags & 0x20 == 0 { usize::MAX } else { usize::from(limit) };
    let port = [1, 0, limit, 0xffff][usize::from(style & 0x03)];
    let offset = match style >> 2 & 0x03 {
        1 => ConfidentialityOffset::Thirty,
        2 => ConfidentialityOffset::Fifty,
        _ => ConfidentialityOffset::Zero,
    };
    let confidentiality = if style & 0x10 == 0 {
        Confidentiality::Encrypt(offset)
    } else {
        Confidentiality::IntegrityOnly
    };
    // Close to the last PN if so told, so that the frames run out of numbers.
    let next_pn = if style & 0x20 == 0 {
        1 + u64::from(input.u32())
    } else {
        suite.max_pn() - u64::from(input.u8())
    };

    let sci = sender_sci(port);
    let ssci = sender_ssci(suite);
    let senders = [(); 2].map(|()| {
        let mut sender = secy(Portable, sci, config, suite)?;
        for peer in 0..(style >> 6) {
            let peer = macsec::Sci([2, 0, 0, 0, 0, peer, 0, 1]);
            sender.create_receive_sc(peer).ok()?;
        }
        let sa = TransmitSa { an, ki: KI, ssci, next_pn, confidentiality };
        sender.install_transmit_sa(&sa).ok()?;
        sender.enable_transmit_sa(an).ok()?;
        Some(sender)
    });
    let [Some(mut single), Some(mut batched)] = senders else {
        return;
    };

    let mut receiving = Config::default();
    receiving.clear_vlan_tags = config.clear_vlan_tags;
    let mut peer = secy(Portable, RECEIVER, receiving, suite).expect("controls that go together");
    peer.create_receive_sc(sci).expect("a slot is free");
    let offset = match confidentiality {
        Confidentiality::Encrypt(offset) => offset,
        Confidentiality::IntegrityOnly => ConfidentialityOffset::Zero,
    };
    let sa = ReceiveSa { an, ki: KI, ssci, lowest_pn: next_pn, offset };
    peer.install_receive_sa(sci, &sa).expect("a fresh key");
    peer.enable_receive_sa(sci, an).expect("installed");

    let mut frames = Vec::new();
    while !input.is_empty() && frames.len() < 70 {
        let (before, after) = (input.u8() % 20, input.u8() % 20);
        let mut buffer = vec![0xd5; usize::from(before)];
        let source = input.u8() & 1 == 0;
        let mut octets = input.octets().to_vec();
        if let (true, Some(address)) = (source, octets.get_mut(6..12)) {
            address.copy_from_slice(&sci.mac().0);
        }
        buffer.extend(&octets);
        buffer.resize(buffer.len() + usize::from(after), 0xd5);
        frames.push((buffer, usize::from(before), octets));
    }

    let mut sent = Vec::new();
    for (buffer, start, octets) in &frames {
        let counted = single.counters().frames_out();
        let outcome = sent_of(single.protect(buf(buffer, *start, octets.len())));
        assert_eq!(single.counters().frames_out(), counted + 1);
        match &outcome {
            Ok(on_wire) if !config.protect_frames => assert_eq!(on_wire, octets),
            Ok(on_wire) => check_at_peer(&mut peer, on_wire, octets, &config),
            Err((_, untouched)) => assert_eq!(untouched, octets, "a refused frame was changed"),
        }
        sent.push(outcome);
    }
    let mut sent_in_batch = Vec::new();
    batched.protect_batch(frames.iter().map(|(b, start, o)| buf(b, *start, o.len())), |result| {
        sent_in_batch.push(sent_of(result))
    });
    assert_eq!(sent, sent_in_batch, "single and batch differ");
    assert_eq!(single.counters(), batched.counters());
});

fn buf(buffer: &[u8], start: usize, len: usize) -> FrameBuf<Vec<u8>> {
    FrameBuf::new(buffer.to_vec(), start..start + len).expect("inside")
}

fn sent_of(result: Result<ProtectedFrame<Vec<u8>>, Refused<Vec<u8>>>) -> Sent {
    match result {
        Ok(protected) => Ok(protected.octets().to_vec()),
        Err(refused) => Err((refused.error, refused.frame.octets().to_vec())),
    }
}

fn check_at_peer(peer: &mut FuzzSecY<Portable>, on_wire: &[u8], octets: &[u8], config: &Config) {
    assert!(on_wire.len() <= config.max_frame_octets);
    assert!((24..=32).contains(&(on_wire.len() - octets.len())));
    let verdict = peer.validate(on_wire.to_vec());
    assert_eq!(verdict.outcome(), ReceiveOutcome::Ok);
    assert_eq!(verdict.delivered(), Some(octets));
}

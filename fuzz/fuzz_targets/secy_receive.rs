//! Any frames into a SecY with real AES-GCM and any controls.
//!
//! Besides raw octets there are frames that a sender sealed, as they are, damaged, or a second time. In Strict nothing
//! may be delivered that the sender did not seal.
#![no_main]

use libfuzzer_sys::fuzz_target;
use macsec::{
    Confidentiality, ConfidentialityOffset, Config, FrameBuf, HEADROOM, Portable, ReceiveOutcome,
    ReceiveSa, TAILROOM, TransmitSa, ValidateFrames,
};
use macsec_fuzz::{
    FuzzSecY, Input, KI, Receiver, SENDER, an, receive_config, secy, sender_sci, sender_ssci,
    suite, without_tags,
};

fuzz_target!(|octets: &[u8]| {
    let mut input = Input::new(octets);
    let config = receive_config(&mut input);
    let suite = suite(input.u8());
    let an = an(input.u8());
    let style = input.u8();
    let offset =
        [ConfidentialityOffset::Zero, ConfidentialityOffset::Thirty, ConfidentialityOffset::Fifty]
            [usize::from(style & 0x03) % 3];
    let offset = if suite.is_xpn() { ConfidentialityOffset::Zero } else { offset };
    let confidentiality = if style & 0x04 == 0 {
        Confidentiality::Encrypt(offset)
    } else {
        Confidentiality::IntegrityOnly
    };

    let sci = sender_sci(1);
    let first_pn = (suite.max_pn() - input.u64() % suite.max_pn()).max(1);
    let Some(mut receiver) = Receiver::new(Portable, config, suite) else {
        return;
    };
    let ssci = sender_ssci(suite);
    assert!(receiver.accept(sci, ReceiveSa { an, ki: KI, ssci, lowest_pn: first_pn, offset }));

    let mut sending = Config::default();
    sending.clear_vlan_tags = config.clear_vlan_tags;
    sending.always_include_sci = style & 0x08 != 0;
    sending.use_es = style & 0x18 == 0x10;
    let mut sender = secy(Portable, sci, sending, suite).expect("controls that go together");
    let sa = TransmitSa { an, ki: KI, ssci, next_pn: first_pn, confidentiality };
    sender.install_transmit_sa(&sa).expect("a fresh key");
    sender.enable_transmit_sa(an).expect("installed");

    let mut sealed: Vec<Vec<u8>> = Vec::new();
    let mut plain: Vec<Vec<u8>> = Vec::new();
    let mut frames: Vec<Vec<u8>> = Vec::new();
    while !input.is_empty() && frames.len() < 80 {
        match input.u8() % 8 {
            0..=1 => frames.push(input.octets().to_vec()),
            2..=4 => {
                let mut frame = [0; 12];
                frame[6..].copy_from_slice(&SENDER.0);
                let frame = [&frame, input.octets()].concat();
                if let Some(protected) = protect(&mut sender, &frame) {
                    plain.extend((0..=2).filter_map(|tags| without_tags(&frame, tags)));
                    sealed.push(protected.clone());
                    frames.push(protected);
                }
            }
            5..=6 => {
                // Damaged: one octet changed, octets cut off the end or put there.
                let mut frame = pick(&sealed, input.u8());
                let change = input.u8();
                let at = usize::from(input.u16());
                let len = frame.len();
                match change {
                    0 => frame.truncate(at % (len + 1)),
                    1 => frame.resize(len + at % 64, 0),
                    _ if len > 0 => frame[at % len] ^= change,
                    _ => {}
                }
                frames.push(frame);
            }
            _ => frames.push(pick(&sealed, input.u8())),
        }
    }

    let strict = config.validate_frames == ValidateFrames::Strict;
    for heard in receiver.hear(&frames) {
        let Some(delivered) = heard.delivered.filter(|_| strict) else {
            continue;
        };
        assert!(matches!(heard.outcome, ReceiveOutcome::Ok | ReceiveOutcome::Delayed));
        // Clear VLAN tags are not authenticated: whatever they say now, the rest was sealed.
        assert!(
            (0..=2).any(|tags| without_tags(&delivered, tags).is_some_and(|d| plain.contains(&d))),
            "delivered and never sealed"
        );
    }
});

fn protect(sender: &mut FuzzSecY<Portable>, frame: &[u8]) -> Option<Vec<u8>> {
    let mut buffer = vec![0; HEADROOM];
    buffer.extend(frame);
    buffer.resize(buffer.len() + TAILROOM, 0);
    let frame = FrameBuf::new(buffer, HEADROOM..HEADROOM + frame.len()).expect("inside");
    Some(sender.protect(frame).ok()?.octets().to_vec())
}

fn pick(frames: &[Vec<u8>], which: u8) -> Vec<u8> {
    match frames.len() {
        0 => Vec::new(),
        len => frames[usize::from(which) % len].clone(),
    }
}

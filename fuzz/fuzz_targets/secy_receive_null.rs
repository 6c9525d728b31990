//! Past the ICV: frames with structured SecTAGs into a SecY whose cipher protects nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use macsec::{An, CipherSuite, ConfidentialityOffset, Config, ReceiveOutcome, ReceiveSa, Ssci};
use macsec_fuzz::{Heard, Input, KI, Receiver, SAK, SENDER, an, receive_config, sender_sci, suite};
use macsec_gcm_null::Null;

const PORTS: [u16; 2] = [1, 0];

fuzz_target!(|octets: &[u8]| {
    let mut input = Input::new(octets);
    let mut config = receive_config(&mut input);
    let suite = suite(input.u8());
    let an = an(input.u8());
    let peers = 1 + usize::from(input.u8() & 1);
    let Some(mut receiver) = Receiver::new(Null, config, suite) else {
        return;
    };
    for (ssci, &port) in (1..).zip(&PORTS[..peers]) {
        let sa = ReceiveSa {
            an,
            ki: KI,
            ssci: suite.is_xpn().then_some(Ssci(ssci)),
            lowest_pn: any_pn(&mut input, suite),
            offset: ConfidentialityOffset::Zero,
        };
        assert!(receiver.accept(sender_sci(port), sa));
    }

    while !input.is_empty() {
        let mut frames = Vec::new();
        let count = 1 + input.u8() % 40;
        while frames.len() < usize::from(count) && !input.is_empty() {
            frames.push(frame(&mut input, &receiver, an));
        }
        if count == 1 && config.replay_protect {
            check_one(&mut receiver, &frames, &config, suite, an);
        } else {
            receiver.hear(&frames);
        }
        let event = input.u8();
        if event == 0xfe {
            let other = receive_config(&mut input);
            if receiver.set_config(other) {
                config = other;
            }
        }
        if event == 0xff {
            let pn = any_pn(&mut input, suite);
            receiver.raise_lowest_pn(sender_sci(1), an, pn);
        }
    }
});

/// One frame under replay protection: not delivered late, and the very same frame not a second time.
fn check_one(
    receiver: &mut Receiver<Null>,
    frames: &[Vec<u8>],
    config: &Config,
    suite: CipherSuite,
    an: An,
) {
    let before = PORTS.map(|port| receiver.pns(sender_sci(port), an));
    let heard = receiver.hear(frames);
    let after = PORTS.map(|port| receiver.pns(sender_sci(port), an));
    let [Heard { outcome, .. }] = heard[..] else {
        return;
    };
    assert_ne!(outcome, ReceiveOutcome::Delayed, "late, and delivered");
    if outcome != ReceiveOutcome::Ok {
        assert_eq!(before, after, "moved by a frame that was not valid");
        return;
    }
    if config.replay_window != 0 && !config.detect_duplicates {
        return;
    }
    // Where lowestPN has crossed into another half of an epoch, the same 32 bits stand for another PN. With a
    // real cipher that is another nonce; this one does not care.
    let epoch = |pns: [Option<(u64, u64)>; 2]| pns.map(|pns| pns.map(|(lowest, _)| lowest >> 31));
    if suite.is_xpn() && epoch(before) != epoch(after) {
        return;
    }
    let heard = receiver.hear(frames);
    assert!(
        matches!(heard[0].outcome, ReceiveOutcome::Late | ReceiveOutcome::Duplicate),
        "delivered twice"
    );
}

/// A frame whose SecTAG is mostly right, so that most get past the checks on it.
fn frame(input: &mut Input<'_>, receiver: &Receiver<Null>, an: An) -> Vec<u8> {
    let style = input.u8();
    let twist = input.u8();
    let (tci, sci) = match style & 0x07 {
        0..=1 => (0x20, Some(sender_sci(1))),
        2 => (0x20, Some(sender_sci(0))),
        3 => (0x40, None),
        4 => (0x50, None),
        5 => (0x10, None),
        6 => (0x00, None),
        _ => (input.u8(), Some(macsec::Sci(input.u64().to_be_bytes()))),
    };
    let protection = [0x0c, 0x00, 0x04, 0x08][usize::from(style >> 3 & 0x03)];
    let number = if twist & 0x80 == 0 { an.number() } else { twist & 0x03 };

    let mut frame = vec![0; 6];
    frame.extend(SENDER.0);
    for _ in 0..(twist >> 5 & 0x03) % 3 {
        frame.extend([0x81, 0x00, 0x00, 0x05]);
    }
    let text = input.octets();
    let short_length = match (style & 0x20 != 0, text.len()) {
        (true, _) => input.u8(),
        (false, len @ 1..48) => len as u8,
        _ => 0,
    };
    let next = receiver.pns(sender_sci(1), an).map_or(1, |(_, next)| next);
    let pn = if style & 0x40 == 0 {
        // Near the highest so far: where replay window and recovery have their edges.
        (next as u32).wrapping_add_signed(i32::from(input.u16() as i16))
    } else {
        input.u32()
    };
    frame.extend([0x88, 0xe5, tci | protection | number, short_length]);
    frame.extend(pn.to_be_bytes());
    frame.extend(sci.into_iter().flat_map(|sci| sci.0));
    frame.extend(text);
    let mut tag: [u8; 16] = SAK[..16].try_into().expect("sixteen octets");
    if twist & 0x1f == 0x1f {
        tag[usize::from(input.u8() % 16)] ^= 1;
    }
    frame.extend(tag);
    if twist & 0x1c == 0x18 {
        frame.resize(frame.len() + usize::from(input.u8() % 64), 0);
    }
    frame
}

/// Any PN that the suite has, and often one near an edge.
fn any_pn(input: &mut Input<'_>, suite: CipherSuite) -> u64 {
    let pn = match input.u8() % 4 {
        0 => 1 + u64::from(input.u16()),
        1 => suite.max_pn() - u64::from(input.u16()),
        2 => (u64::from(input.u32()) << 31).wrapping_add_signed(i64::from(input.u16() as i16)),
        _ => input.u64(),
    };
    pn.clamp(1, suite.max_pn())
}

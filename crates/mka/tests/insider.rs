//! An insider, who has the CAK, says whatever comes to its mind. It can spoil its CA, but a participant
//! neither panics nor grows nor spins.

mod lab;

use std::time::Duration;

use lab::{Station, cak, ckn, config, sci};
use macsec::{An, CipherSuite, Confidentiality, Ki, Sak};
use mka::{
    Basic, Body, Capability, DistributedKey, DistributedSak, Framing, KeyUse, MAX_FRAME_LEN,
    Member, Mi, PeerList, SakUse, SuiteId, WrappedKey, Xpn,
};
use netem::{Dice, Node};
use proptest::prelude::*;

/// A number of one of a few things, so that they meet.
fn few(dice: &mut Dice) -> u8 {
    dice.below(5) as u8
}

fn some_mi(dice: &mut Dice, us: Mi) -> Mi {
    match few(dice) {
        0 => us,
        number => Mi([number; 12]),
    }
}

fn some_number(dice: &mut Dice) -> u32 {
    match few(dice) {
        0 => u32::MAX,
        1 => dice.number() as u32,
        _ => dice.below(40) as u32,
    }
}

fn some_members(dice: &mut Dice, us: Member) -> Vec<Member> {
    let mut members: Vec<_> = (0..few(dice))
        .map(|_| Member { mi: some_mi(dice, us.mi), mn: some_number(dice) })
        .collect();
    if dice.chance(700) {
        members.push(us);
    }
    members
}

fn some_use(dice: &mut Dice, us: Mi) -> KeyUse {
    let ki: Ki = some_mi(dice, us).ki(few(dice).into());
    let (tx, rx) = (dice.chance(500), dice.chance(500));
    KeyUse { ki, an: An::from_low_bits(few(dice)), tx, rx, lowest_pn: some_number(dice) }
}

fn frame(dice: &mut Dice, us: Member, wrapped: &WrappedKey) -> Vec<u8> {
    let mut body = Body::new(Basic {
        version: 1 + dice.below(3) as u8,
        key_server_priority: [0, 16, 255][dice.below(3) as usize],
        key_server: dice.chance(500),
        macsec_desired: dice.chance(800),
        macsec_capability: [Capability::None, Capability::Integrity, Capability::Offsets]
            [dice.below(3) as usize],
        sci: sci(few(dice)),
        actor: Member { mi: some_mi(dice, us.mi), mn: some_number(dice) },
        ckn: ckn(),
    });
    let (live, potential) = (some_members(dice, us), some_members(dice, us));
    body.live = Some(PeerList::new(&live).with_key_server_ssci(few(dice)));
    body.potential = Some(PeerList::new(&potential));
    if dice.chance(500) {
        body.distributed_sak = Some(DistributedSak::Key(DistributedKey {
            an: An::from_low_bits(few(dice)),
            confidentiality: Confidentiality::default(),
            key_number: few(dice).into(),
            suite: SuiteId::Known(CipherSuite::GcmAesXpn256),
            wrapped: wrapped.octets(),
        }));
    }
    if dice.chance(500) {
        body.sak_use = Some(SakUse {
            plain_tx: false,
            plain_rx: false,
            delay_protect: dice.chance(500),
            keys: dice.chance(900).then(|| [some_use(dice, us.mi), some_use(dice, us.mi)]),
        });
        body.xpn = dice.chance(500).then(|| Xpn::new(0, dice.number(), dice.number()));
    }
    let mut buffer = [0; MAX_FRAME_LEN];
    let framing = Framing::new(body.basic.sci.mac());
    let len = framing.encode(&body, &cak().ick(&ckn()), &mut buffer).unwrap();
    buffer[..len].to_vec()
}

proptest! {
    #[test]
    fn whatever_an_insider_says_is_survived(seed: u64) {
        let mut dice = Dice::new(seed);
        let mut config = config(9);
        config.max_peers = 1 + dice.below(4) as usize;
        config.plain_text_allowed = dice.chance(300);
        let mut station = Station::new(config, seed, Duration::ZERO, &Default::default());
        let mut now = Duration::ZERO;
        for _ in 0..300 {
            // One SAK for each frame: what a key server repeats is not what is tested here.
            let mut sak = [0; 32];
            sak[..8].copy_from_slice(&dice.number().to_be_bytes());
            let wrapped = cak().kek(&ckn()).wrap_sak(&Sak::new(&sak).unwrap()).unwrap();
            let frame = frame(&mut dice, station.participant.member(), &wrapped);
            station.receive(now, &frame);
            let until = now + Duration::from_millis(dice.below(1500));
            let mut steps = 0;
            loop {
                while station.transmit(now).is_some() {}
                let Some(next) = station.next_timeout(now).filter(|next| *next <= until) else { break };
                now = now.max(next);
                station.timeout(now);
                steps += 1;
                prop_assert!(steps < 100, "time stands still");
            }
            now = until;
            prop_assert!(station.participant.peers().count() <= 2 * config.max_peers);
            prop_assert_eq!(station.participant.counters().out_errors, 0);
            prop_assert_eq!(station.participant.counters().events_lost, 0);
        }
    }
}

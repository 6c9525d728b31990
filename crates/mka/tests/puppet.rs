//! A participant against a peer whose every word the test puts into its mouth: what other
//! implementations do, and what they should not.

mod lab;

use std::time::Duration;

use lab::{Station, cak, ckn, config, sci, seconds};
use macsec::{An, CipherSuite, Confidentiality, ConfidentialityOffset, Ki, Sak, Ssci};
use mka::{
    Agreement, Basic, Body, Capability, Discard, DistributedKey, DistributedSak, Framing,
    KeyServer, KeyUse, MAX_FRAME_LEN, Member, Mi, MiReason, ParticipantConfig, PeerList, Received,
    RekeyReason, SakRefusal, SakUse, SuiteId, Suites, WrappedKey, Xpn,
};

const OFFSET_0: Confidentiality = Confidentiality::Encrypt(ConfidentialityOffset::Zero);
const OFFSET_30: Confidentiality = Confidentiality::Encrypt(ConfidentialityOffset::Thirty);

/// A station, and a puppet beside it.
struct Stage {
    station: Station,
    now: Duration,
    basic: Basic,
    wrapped: WrappedKey,
}

impl Stage {
    /// The puppet has priority 0, so it is key server as soon as it is live.
    fn new(config: ParticipantConfig) -> Self {
        let mut stage = Self {
            station: Station::new(config, 1, Duration::ZERO, &Default::default()),
            now: Duration::ZERO,
            basic: Basic {
                version: 3,
                key_server_priority: 0,
                key_server: true,
                macsec_desired: true,
                macsec_capability: Capability::Offsets,
                sci: sci(0x10),
                actor: Member { mi: Mi(*b"puppet's MI."), mn: 0 },
                ckn: ckn(),
            },
            wrapped: cak().kek(&ckn()).wrap_sak(&Sak::new(&[0x5a; 32]).unwrap()).unwrap(),
        };
        stage.hear();
        stage
    }

    /// The puppet says something; its message lists the station and, in front of it, `others`.
    fn say_among<'a>(
        &mut self,
        others: &[Member],
        words: impl FnOnce(&mut Body<'a>),
    ) -> Result<(), Discard> {
        self.basic.actor.mn += 1;
        let mut list = others.to_vec();
        list.push(self.station.participant.member());
        let mut body = Body::new(self.basic);
        // Leaked, so that what the words add may live as long as the test likes.
        body.live = Some(PeerList::new(list.leak()));
        words(&mut body);
        let mut buffer = [0; MAX_FRAME_LEN];
        let framing = Framing::new(self.basic.sci.mac());
        let len = framing.encode(&body, &cak().ick(&ckn()), &mut buffer).unwrap();
        let result = self.station.participant.handle_frame(self.now, &buffer[..len]);
        self.station.drain(self.now);
        result
    }

    fn say<'a>(&mut self, words: impl FnOnce(&mut Body<'a>)) -> Result<(), Discard> {
        self.say_among(&[], words)
    }

    /// The puppet distributes a key of 256 bits.
    fn distribute(&mut self, change: impl FnOnce(&mut DistributedKey<'_>)) {
        let wrapped = self.wrapped;
        let mut key = key(&wrapped);
        change(&mut key);
        self.say(|body| body.distributed_sak = Some(DistributedSak::Key(key))).unwrap();
    }

    fn uses(&mut self, keys: [KeyUse; 2], xpn: Option<Xpn>) {
        self.say(|body| {
            let (plain_tx, plain_rx, delay_protect) = (false, false, false);
            let keys = Some(keys);
            body.sak_use = Some(SakUse { plain_tx, plain_rx, delay_protect, keys });
            body.xpn = xpn;
        })
        .unwrap();
    }

    fn ki(&self, number: u32) -> Ki {
        self.basic.actor.mi.ki(number)
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.station.participant.handle_timeout(self.now);
        self.station.drain(self.now);
    }

    /// What the station sends within a Hello Time, frame by frame.
    fn hear(&mut self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let mut buffer = [0; MAX_FRAME_LEN];
        for _ in 0..20 {
            while let Some(len) = self.station.participant.poll_transmit(self.now, &mut buffer) {
                frames.push(buffer[..len].to_vec());
            }
            self.wait(Duration::from_millis(100));
        }
        frames
    }

    /// What the station sent last.
    fn heard<T>(&mut self, look: impl FnOnce(&Body<'_>) -> T) -> T {
        let frames = self.hear();
        let received = Received::parse(frames.last().unwrap(), 0x888e).unwrap();
        look(received.verify(&cak().ick(&ckn())).unwrap().body())
    }
}

fn key(wrapped: &WrappedKey) -> DistributedKey<'_> {
    DistributedKey {
        an: An::ALL[0],
        confidentiality: OFFSET_0,
        key_number: 1,
        suite: SuiteId::Known(CipherSuite::GcmAesXpn256),
        wrapped: wrapped.octets(),
    }
}

fn used(ki: Ki, lowest_pn: u32) -> KeyUse {
    KeyUse { ki, an: An::ALL[0], tx: true, rx: true, lowest_pn }
}

fn client() -> Stage {
    Stage::new(config(1))
}

#[test]
fn a_sak_is_taken_once_and_used() {
    let mut stage = client();
    stage.distribute(|_| {});
    assert_eq!(stage.station.participant.agreement(), Agreement::Secured);
    assert_eq!(stage.station.ki(), Some(stage.ki(1)));
    assert_eq!(stage.station.latest.as_ref().unwrap().sak, [0x5a; 32]);
    let events = stage.station.events.len();
    stage.distribute(|_| {});
    assert_eq!(stage.station.events.len(), events, "the same again is nothing new");
    let sak_use = stage.heard(|body| body.sak_use.unwrap());
    let [latest, old] = sak_use.keys.unwrap();
    assert_eq!((latest.ki, latest.rx, old), (stage.ki(1), true, KeyUse::NONE));
}

#[test]
fn what_is_no_good_is_refused_and_told_once() {
    type Spoil = fn(&mut DistributedKey<'_>);
    let cases: [(Spoil, SakRefusal); 5] = [
        (|key| key.confidentiality = OFFSET_30, SakRefusal::Confidentiality),
        (|key| key.confidentiality = Confidentiality::IntegrityOnly, SakRefusal::Confidentiality),
        (|key| key.suite = SuiteId::Known(CipherSuite::GcmAes256), SakRefusal::CipherSuite),
        (|key| key.wrapped = &[7; 40], SakRefusal::Unwrap),
        (|key| key.wrapped = &[0; 40], SakRefusal::Unwrap),
    ];
    for (spoil, refusal) in cases {
        let mut stage = client();
        for _ in 0..3 {
            stage.distribute(spoil);
        }
        assert_eq!(stage.station.refusals(), [refusal]);
        assert!(stage.station.ki().is_none());
        assert_eq!(stage.station.new_mis(), []);
    }
}

#[test]
fn only_the_elected_key_server_distributes() {
    let mut stage = client();
    stage.basic.key_server = false;
    stage.distribute(|_| {});
    assert_eq!(stage.station.participant.key_server(), KeyServer::Us);
    assert_eq!(stage.station.refusals(), [SakRefusal::NotKeyServer]);
    // Nor does one that does not list us as live.
    let mut stage = client();
    let wrapped = stage.wrapped;
    let us = [stage.station.participant.member()];
    stage
        .say(|body| {
            body.live = None;
            body.potential = Some(PeerList::new(&us));
            body.distributed_sak = Some(DistributedSak::Key(key(&wrapped)));
        })
        .unwrap();
    assert_eq!(stage.station.refusals(), [SakRefusal::NotKeyServer]);
    assert!(stage.station.ki().is_none());
}

/// Members that had fallen apart used all four ANs; whichever the key server took, one of them refused it, took a new MI, and
/// all began anew.
#[test]
fn a_sak_takes_the_place_of_the_key_in_use_with_its_an() {
    let mut stage = client();
    stage.distribute(|_| {});
    stage.wrapped = cak().kek(&ckn()).wrap_sak(&Sak::new(&[0x5c; 32]).unwrap()).unwrap();
    stage.distribute(|key| key.key_number = 2);
    assert_eq!(stage.station.ki(), Some(stage.ki(2)));
    assert!(stage.station.old.is_none());
    // Or that of a key server that has restarted and knows nothing of ANs.
    stage.basic.actor = Member { mi: Mi([0x77; 12]), mn: 0 };
    stage.wrapped = cak().kek(&ckn()).wrap_sak(&Sak::new(&[0x5b; 32]).unwrap()).unwrap();
    stage.distribute(|_| {});
    assert_eq!(stage.station.ki(), Some(stage.ki(1)));
    assert_eq!((stage.station.refusals(), stage.station.new_mis()), (vec![], vec![]));
}

/// An AN was taken for used because the last SAK had it, though that had been given up. The key server, to which it was
/// the only one free, distributed its next SAK in vain for ever.
#[test]
fn the_an_of_a_sak_that_was_given_up_is_free() {
    let mut stage = client();
    stage.distribute(|_| {});
    stage.uses([used(stage.ki(1), 1), KeyUse::NONE], None);
    stage.distribute(|key| (key.key_number, key.an) = (2, An::ALL[1]));
    assert_eq!(stage.station.ki(), Some(stage.ki(2)));
    stage.station.latest = stage.station.old.take();
    stage.wait(Duration::ZERO);
    stage.distribute(|key| (key.key_number, key.an) = (3, An::ALL[1]));
    assert_eq!(stage.station.refusals(), []);
    assert_eq!(stage.station.ki(), Some(stage.ki(3)));
}

/// Pitfall 47: a SAK of before is never taken again, as its PNs would begin anew.
#[test]
fn p47_a_sak_of_before_is_refused_with_a_new_mi() {
    let mut stage = client();
    stage.distribute(|_| {});
    stage.distribute(|key| (key.key_number, key.an) = (2, An::ALL[1]));
    stage.distribute(|key| (key.key_number, key.an) = (1, An::ALL[2]));
    assert_eq!(stage.station.refusals(), [SakRefusal::Reused]);
    assert_eq!(stage.station.new_mis(), [MiReason::SakReused]);
    assert_eq!(stage.station.ki(), Some(stage.ki(2)));
}

/// Section 3.3: the members of an XPN SAK are those of the first MKPDU that carried it.
#[test]
fn another_list_for_the_same_sak_stops_transmission() {
    let mut stage = client();
    stage.distribute(|_| {});
    assert!(stage.station.participant.may_transmit());
    let wrapped = stage.wrapped;
    let other = [Member { mi: Mi([9; 12]), mn: 1 }];
    stage
        .say_among(&other, |body| body.distributed_sak = Some(DistributedSak::Key(key(&wrapped))))
        .unwrap();
    assert!(!stage.station.participant.may_transmit());
    assert_eq!(stage.station.new_mis(), [MiReason::MembersChanged]);
}

/// MI0171: before MKA version 3 the SCIs of all members have to be known; since, the order tells.
#[test]
fn sscis_wait_for_scis_unless_the_key_server_numbers() {
    let other = [Member { mi: Mi([9; 12]), mn: 1 }];
    for (ordered, octet) in [(false, 0), (true, 2)] {
        let mut stage = client();
        let wrapped = stage.wrapped;
        stage
            .say_among(&other, |body| {
                body.live = body.live.map(|list| list.with_key_server_ssci(octet));
                body.distributed_sak = Some(DistributedSak::Key(key(&wrapped)));
            })
            .unwrap();
        assert_eq!(stage.station.participant.may_transmit(), ordered);
        // The station has the lowest SCI, and stands last in the list.
        let own = Some(Ssci(3)).filter(|_| ordered);
        assert_eq!(stage.station.participant.sak_members()[2].ssci, own);
        // Now the third member is heard.
        let basic = stage.basic;
        stage.basic = Basic {
            sci: sci(0x20),
            key_server: false,
            actor: Member { mi: Mi([9; 12]), mn: 1 },
            ..basic
        };
        stage.say(|_| {}).unwrap();
        assert!(stage.station.participant.may_transmit());
        let sscis: Vec<_> =
            stage.station.participant.sak_members().iter().map(|member| member.ssci).collect();
        assert_eq!(sscis, [2, 1, 3].map(|number| Some(Ssci(number))));
    }
}

/// Section 4.2, item 5: it persists, so we act; once or twice is but a race.
#[test]
fn p23_a_key_server_with_a_sak_that_we_do_not_have_makes_us_take_a_new_mi() {
    let mut stage = client();
    let unknown = [used(stage.ki(7), 1), KeyUse::NONE];
    for _ in 0..2 {
        stage.uses(unknown, None);
        stage.wait(seconds(2));
    }
    assert_eq!(stage.station.new_mis(), []);
    stage.uses(unknown, None);
    assert_eq!(stage.station.new_mis(), [MiReason::UnknownSak]);
}

/// A key server that had not brought its newest SAK into use yet, and spoke of the one before, made a member that had only
/// the newest take a new MI, and so needed another SAK, and so on.
#[test]
fn a_key_server_may_still_use_a_sak_from_before_our_first() {
    let mut stage = client();
    stage.distribute(|key| (key.key_number, key.an) = (3, An::ALL[2]));
    for _ in 0..6 {
        stage.uses([used(stage.ki(2), 1), used(stage.ki(1), 1)], None);
        stage.hear();
    }
    assert_eq!(stage.station.new_mis(), []);
}

/// Pitfall 45: an old key that we do not know is nobody's business.
#[test]
fn p45_an_unknown_old_key_is_ignored() {
    let mut stage = client();
    stage.distribute(|_| {});
    for _ in 0..10 {
        stage.uses([used(stage.ki(1), 1), used(stage.ki(99), 1)], None);
        stage.hear();
    }
    assert_eq!(stage.station.new_mis(), []);
    assert!(stage.station.participant.server_transmitting(stage.ki(1)));
}

/// Section 5.4: the key in use may stand in the old place.
#[test]
fn the_key_in_use_is_found_in_either_place() {
    for old in [false, true] {
        let mut stage = client();
        stage.distribute(|_| {});
        let mut keys = [used(stage.ki(1), 1), KeyUse::NONE];
        if old {
            keys.reverse();
        }
        stage.uses(keys, None);
        assert!(stage.station.participant.server_transmitting(stage.ki(1)));
        assert!(!stage.station.participant.server_transmitting(stage.ki(2)));
    }
}

/// Section 5.5: lowest PNs of 64 bits come in two halves; without the upper one they are not guessed.
#[test]
fn lowest_pns_are_taken_in_whole() {
    let mut stage = client();
    let low = 0x9000_0001;
    let keys = [used(stage.ki(1), low), used(stage.ki(2), 7)];
    stage.uses(keys, Some(Xpn::new(0, 0x0012_0000_0000, 0)));
    let peer = stage.station.participant.peers().next().unwrap().key_use.unwrap();
    let (ki, other) = (stage.ki(1), stage.ki(2));
    assert_eq!(peer.key(ki).unwrap().lowest_pn_64, Some(0x0012_9000_0001));
    assert_eq!(peer.key(other).unwrap().lowest_pn_64, Some(7));
    stage.uses(keys, None);
    let peer = stage.station.participant.peers().next().unwrap().key_use.unwrap();
    assert_eq!(peer.key(ki).unwrap().lowest_pn_64, None);
    assert_eq!(peer.key(ki).unwrap().lowest_pn, low);
}

/// The puppet as client, with priority 255.
fn server(config: ParticipantConfig) -> Stage {
    let mut stage = Stage::new(config);
    (stage.basic.key_server_priority, stage.basic.key_server) = (255, false);
    stage
}

fn receiving(ki: Ki, lowest_pn: u32) -> [KeyUse; 2] {
    [used(ki, lowest_pn), KeyUse::NONE]
}

/// Section 5.3: again and again until it is received with, then no more.
#[test]
fn a_sak_is_distributed_until_every_member_receives_with_it() {
    let mut stage = server(config(1));
    stage.say(|_| {}).unwrap();
    let ki = stage.station.ki().unwrap();
    for _ in 0..3 {
        let number =
            stage.heard(|body| body.distributed_sak.unwrap().key().map(|key| key.key_number));
        assert_eq!(number, Some(1));
        stage.say(|_| {}).unwrap();
        assert!(!stage.station.participant.all_receiving(ki));
    }
    stage.uses(receiving(ki, 1), None);
    assert!(stage.station.participant.all_receiving(ki));
    stage.hear();
    assert!(!stage.heard(|body| body.distributed_sak.is_some()));
}

/// A SAK, and that one has it, are told as quickly as first hellos: long before anybody transmits.
#[test]
fn news_of_a_sak_are_repeated_quickly() {
    let mut stage = server(config(1));
    for _ in 0..3 {
        stage.hear();
    }
    stage.say(|_| {}).unwrap();
    let frames = stage.hear();
    assert!(frames.len() >= 4, "{}", frames.len());
    let mut stage = client();
    for _ in 0..3 {
        stage.hear();
    }
    stage.distribute(|_| {});
    assert!(stage.hear().len() >= 4);
}

/// A rollover was waited for though nobody was left to complete it.
#[test]
fn a_rollover_to_a_sak_without_a_member_is_not_waited_for() {
    let mut stage = server(config(1));
    stage.say(|_| {}).unwrap();
    assert_eq!(stage.station.generated(), [RekeyReason::First]);
    let now = stage.now;
    stage.station.participant.set_rollover(now, true);
    // The member restarts.
    stage.basic.actor = Member { mi: Mi([9; 12]), mn: 0 };
    stage.say(|_| {}).unwrap();
    stage.wait(seconds(1));
    assert_eq!(stage.station.generated(), [RekeyReason::First, RekeyReason::NewMember]);
}

/// Pitfall 18: the upper half counts, and a lower half by itself says nothing.
#[test]
fn p18_exhaustion_of_a_peer_is_seen_in_64_bits() {
    for (high, rekeys) in [(None, false), (Some(0), false), (Some(0xc000_0000u64 << 32), true)] {
        let mut stage = server(config(1));
        stage.say(|_| {}).unwrap();
        let ki = stage.station.ki().unwrap();
        stage.wait(seconds(2));
        stage.uses(receiving(ki, u32::MAX), high.map(|high| Xpn::new(0, high, 0)));
        stage.say(|_| {}).unwrap();
        assert_eq!(stage.station.ki() != Some(ki), rekeys);
    }
    let mut config = config(1);
    config.suites = Suites::new(&[CipherSuite::GcmAes128]).unwrap();
    let mut stage = server(config);
    stage.say(|_| {}).unwrap();
    let ki = stage.station.ki().unwrap();
    stage.wait(seconds(2));
    stage.uses(receiving(ki, 0xc000_0000), None);
    stage.say(|_| {}).unwrap();
    assert_eq!(stage.station.generated(), [RekeyReason::First, RekeyReason::PnExhaustion]);
}

/// A peer that changes its mind about MACsec was a member in name only: it gets a fresh SAK.
#[test]
fn one_that_wants_macsec_only_later_gets_a_fresh_sak() {
    let mut stage = server(config(1));
    stage.basic.macsec_desired = false;
    stage.say(|_| {}).unwrap();
    assert!(stage.station.ki().is_none());
    let puppet = stage.basic;
    stage.basic = Basic {
        sci: sci(0x20),
        macsec_desired: true,
        actor: Member { mi: Mi([9; 12]), mn: 0 },
        ..puppet
    };
    stage.say(|_| {}).unwrap();
    assert_eq!(stage.station.generated(), [RekeyReason::First]);
    stage.wait(seconds(2));
    let other = std::mem::replace(&mut stage.basic, Basic { macsec_desired: true, ..puppet });
    stage.say_among(&[other.actor], |_| {}).unwrap();
    assert_eq!(stage.station.generated(), [RekeyReason::First, RekeyReason::NewMember]);
}

/// wpa_supplicant takes a new MI when it hears of SAKs from a member that lists none of its last two
/// messages. In every other group of three it did: a new SAK makes members talk, a newcomer too, whom
/// not all had listed yet.
#[test]
fn there_is_a_sak_once_members_know_each_other_or_after_half_a_life_time() {
    for acquainted in [true, false] {
        let mut stage = server(config(1));
        stage.say(|_| {}).unwrap();
        let first = stage.station.ki().unwrap();
        stage.uses(receiving(first, 1), None);
        stage.wait(seconds(2));
        let member = stage.basic;
        let actor = Member { mi: Mi([9; 12]), mn: 0 };
        stage.basic = Basic { sci: sci(0x20), actor, ..member };
        stage.say_among(&[member.actor], |_| {}).unwrap();
        stage.wait(Duration::from_millis(if acquainted { 100 } else { 2_900 }));
        assert_eq!(stage.station.generated(), [RekeyReason::First]);
        if acquainted {
            let newcomer = std::mem::replace(&mut stage.basic, member);
            stage.say_among(&[newcomer.actor], |_| {}).unwrap();
        } else {
            stage.wait(Duration::from_millis(100));
        }
        assert_eq!(stage.station.generated(), [RekeyReason::First, RekeyReason::NewMember]);
    }
}

/// Newcomers that know nobody, one after the other, do not keep the others from a SAK.
#[test]
fn newcomers_do_not_prolong_the_time_to_get_to_know_each_other() {
    let mut stage = server(config(1));
    stage.say(|_| {}).unwrap();
    let member = stage.basic;
    for number in 1..=3 {
        assert_eq!(stage.station.generated(), [RekeyReason::First], "{number}");
        let actor = Member { mi: Mi([number; 12]), mn: 0 };
        stage.basic = Basic { sci: sci(0x20 + number), actor, ..member };
        stage.say(|_| {}).unwrap();
        stage.wait(seconds(1));
    }
    assert_eq!(stage.station.generated(), [RekeyReason::First, RekeyReason::NewMember]);
}

/// An AN that a member still uses is passed over: we have restarted and know of none.
#[test]
fn a_restarted_key_server_avoids_ans_in_use() {
    let mut stage = server(config(1));
    let old = stage.ki(3);
    stage.uses([used(old, 1), KeyUse::NONE], None);
    assert_eq!(stage.station.latest.as_ref().unwrap().an, An::ALL[1]);
    for _ in 0..4 {
        stage.hear();
    }
    stage.uses(
        [KeyUse { an: An::ALL[1], ..used(old, 1) }, KeyUse { an: An::ALL[2], ..used(old, 1) }],
        None,
    );
    assert_eq!(stage.station.latest.as_ref().unwrap().an, An::ALL[3]);
}

/// One that would win but does not stand follows somebody whom we may hear soon: for a Life Time it
/// is waited for.
#[test]
fn a_better_peer_that_does_not_stand_delays_the_first_sak_by_a_life_time() {
    let mut stage = client();
    stage.basic.key_server = false;
    stage.say(|_| {}).unwrap();
    let begin = stage.now;
    while stage.station.ki().is_none() {
        stage.hear();
        stage.say(|_| {}).unwrap();
        assert!(stage.now - begin < seconds(10));
    }
    assert!(stage.now - begin >= seconds(4), "{:?}", stage.now - begin);
}

/// Pitfall 28: who is key server again does not go on where it left off.
#[test]
fn p28_one_that_is_key_server_again_makes_a_fresh_sak() {
    let mut stage = server(config(1));
    stage.say(|_| {}).unwrap();
    let first = stage.station.ki().unwrap();
    stage.uses(receiving(first, 1), None);
    stage.wait(seconds(2));
    let (priority, key_server) = (0, true);
    (stage.basic.key_server_priority, stage.basic.key_server) = (priority, key_server);
    stage.distribute(|key| key.an = An::ALL[1]);
    assert_eq!(stage.station.ki(), Some(stage.ki(1)));
    (stage.basic.key_server_priority, stage.basic.key_server) = (255, false);
    stage.say(|_| {}).unwrap();
    let generated = stage.station.generated();
    assert_eq!(generated, [RekeyReason::First, RekeyReason::KeyServerChanged]);
    assert_eq!(stage.station.latest.as_ref().unwrap().an, An::ALL[2]);
}

/// A member that goes before it has the SAK changes the list that the SAK goes with: there has to be
/// another.
#[test]
fn a_member_lost_during_distribution_makes_a_fresh_sak() {
    let mut stage = server(config(1));
    stage.say(|_| {}).unwrap();
    let puppet = stage.basic;
    let third = Basic { sci: sci(0x20), actor: Member { mi: Mi([9; 12]), mn: 0 }, ..stage.basic };
    stage.basic = third;
    stage.wait(seconds(1));
    stage.say(|_| {}).unwrap();
    stage.basic = puppet;
    for _ in 0..4 {
        stage.hear();
        stage.say(|_| {}).unwrap();
    }
    let reasons = [RekeyReason::First, RekeyReason::NewMember, RekeyReason::MemberLost];
    assert_eq!(stage.station.generated(), reasons);
    assert!(stage.heard(|body| body.distributed_sak.is_some()));
}

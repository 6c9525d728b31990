//! What one who has but one of a port's CAKs, the fallback say, can do to those who use another: nothing.

mod data_plane;
mod kay_lab;
mod lab;

use kay_lab::{KayLab, ckn_of};
use lab::{millis, seconds};
use macsec::{An, CipherSuite, Confidentiality, Ki, Sak, Sci};
use mka::{
    Basic, Body, Cak, Capability, DistributedKey, DistributedSak, Framing, KeyUse, MAX_FRAME_LEN,
    Member, Mi, PeerList, SakUse, SuiteId, Xpn, key_number,
};

const FALLBACK: u8 = 2;

/// Somebody who has the fallback CAK, and takes whatever name is of use.
struct Insider {
    mi: Mi,
    mn: u32,
    sci: Sci,
}

impl Insider {
    /// Tells the station `to` that it is key server, that the SAK `ki` is theirs, and that it uses that one itself.
    fn says(&mut self, lab: &mut KayLab, to: usize, ki: Ki, delay_protect: bool) {
        let victim = lab.lan[to].kay.participant(&ckn_of(FALLBACK)).unwrap().member();
        let cak = Cak::new(&[FALLBACK; 16]).unwrap();
        let sak = Sak::new(&[7; 32]).unwrap();
        let wrapped = cak.kek(&ckn_of(FALLBACK)).wrap_sak(&sak).unwrap();
        self.mn += 1;
        let mut body = Body::new(Basic {
            version: 3,
            key_server_priority: 0,
            key_server: true,
            macsec_desired: true,
            macsec_capability: Capability::Offsets,
            sci: self.sci,
            actor: Member { mi: self.mi, mn: self.mn },
            ckn: ckn_of(FALLBACK),
        });
        let live = [victim];
        body.live = Some(PeerList::new(&live));
        body.distributed_sak = Some(DistributedSak::Key(DistributedKey {
            an: An::ALL[3],
            confidentiality: Confidentiality::default(),
            key_number: key_number(ki),
            suite: SuiteId::Known(CipherSuite::GcmAesXpn256),
            wrapped: wrapped.octets(),
        }));
        let (tx, rx) = (true, true);
        let used = KeyUse { ki, an: An::ALL[0], tx, rx, lowest_pn: u32::MAX - 1 };
        body.sak_use = Some(SakUse {
            plain_tx: false,
            plain_rx: false,
            delay_protect,
            keys: Some([used, KeyUse::NONE]),
        });
        body.xpn = Some(Xpn::new(0, u64::MAX - 1, 0));
        let mut buffer = [0; MAX_FRAME_LEN];
        let framing = Framing::new(self.sci.mac());
        let len = framing.encode(&body, &cak.ick(&ckn_of(FALLBACK)), &mut buffer).unwrap();
        lab.lan.inject(to, &buffer[..len]);
    }
}

/// It calls its SAK, and itself, by the names of those in use: these are no secret.
#[test]
fn a_sak_by_the_name_of_that_in_use_is_not_taken_for_it() {
    let mut lab = KayLab::of(31, &[1, 2]);
    for index in 0..2 {
        lab.lan.with(index, |station, now| station.add_cak(now, FALLBACK, 0));
    }
    lab.lan.with(0, |station, now| station.prefer(now, FALLBACK, 9));
    lab.lan.with(1, |station, now| station.prefer(now, 0, 9));
    lab.secured_within(seconds(10));
    lab.lan.run_for(seconds(10));
    lab.send_data(millis(5));
    let ki = lab.lan[1].ki().unwrap();
    let principal = *lab.lan[1].kay.principal().unwrap().ckn();
    assert_ne!(principal, ckn_of(FALLBACK));
    let mut insider = Insider { mi: Mi::of_ki(ki), mn: 0, sci: lab.lan[0].sci };
    for _ in 0..20 {
        insider.says(&mut lab, 1, ki, true);
        lab.lan.run_for(millis(500));
        let fallback = lab.lan[1].kay.participant(&ckn_of(FALLBACK)).unwrap();
        assert!(fallback.sak().is_none_or(|sak| sak.ki != ki));
        assert_eq!(lab.lan[1].kay.participant_of(ki).unwrap().ckn(), &principal);
    }
    lab.stop_data();
    assert_eq!(lab.lost(), 0, "{}", lab.show());
}

//! A group CAK that a key server distributes is told to people, and changes nothing.

mod data_plane;
mod kay_lab;
mod lab;

use kay_lab::{KayLab, Station};
use lab::{cak, ckn, sci, seconds};
use macsec::Sci;
use mka::{
    Basic, Body, Cak, Capability, Ckn, DistributedCak, Event, Framing, KayEvent, MAX_FRAME_LEN,
    Member, OfferedCak, PeerList,
};

/// A Distributed CAK with this name.
fn set(name: &str) -> DistributedCak<'static> {
    DistributedCak::new([&[0xee; 24], name.as_bytes()].concat().leak()).unwrap()
}

fn offer(name: &str) -> OfferedCak {
    OfferedCak { from: sci(1), ckn: Ckn::new(name.as_bytes()).unwrap() }
}

/// Of whom an offer has been told.
fn told(station: &Station) -> Vec<Sci> {
    let offer = |event: &KayEvent| match event {
        KayEvent::Participant(_, Event::CakOffered { sci, .. }) => Some(*sci),
        _ => None,
    };
    station.events.iter().filter_map(offer).collect()
}

/// The offer that stands.
fn offered(station: &Station) -> Option<OfferedCak> {
    station.kay.participants().next().unwrap().offered_cak().copied()
}

/// MKPDUs with a Distributed CAK, and all.
fn counted(station: &Station) -> (u64, u64) {
    let counters = station.kay.participant_counters();
    (counters.in_cak_mkpdu, counters.in_mkpdu)
}

fn says(lab: &mut KayLab, index: usize, words: impl Fn(&mut Body<'_>) + 'static) {
    lab.lan[index].says = Some(Box::new(move |_, body| words(body)));
}

#[test]
fn each_offer_of_the_key_server_is_told_once_and_changes_nothing() {
    let mut lab = KayLab::of(1, &[16, 32]);
    let first = set("group 1");
    says(&mut lab, 0, move |body| body.distributed_cak = Some(first));
    let ki = lab.secured_within(seconds(5));
    lab.send_data(seconds(1) / 10);
    lab.lan.run_for(seconds(30));
    assert_eq!(told(&lab.lan[1]), [sci(1)]);
    assert_eq!(offered(&lab.lan[1]), Some(offer("group 1")));
    let (with, all) = counted(&lab.lan[1]);
    assert!(with == all && with > 10, "{with} {all}");
    let second = set("group 2");
    says(&mut lab, 0, move |body| body.distributed_cak = Some(second));
    lab.lan.run_for(seconds(30));
    lab.stop_data();
    assert_eq!(told(&lab.lan[1]), [sci(1), sci(1)]);
    assert_eq!(offered(&lab.lan[1]), Some(offer("group 2")));
    // The session is the same, and there is no other participant.
    assert_eq!((lab.lost(), lab.lan[1].ki()), (0, Some(ki)));
    assert_eq!((lab.lan[1].closed(), lab.lan[1].kay.participants().count()), (0, 1));
    // The other end hears none.
    assert_eq!((told(&lab.lan[0]), counted(&lab.lan[0]).0), (vec![], 0));
}

#[test]
fn who_is_not_the_key_server_has_nothing_to_offer() {
    let mut lab = KayLab::of(1, &[16, 32]);
    let group = set("group");
    says(&mut lab, 1, move |body| body.distributed_cak = Some(group));
    lab.secured_within(seconds(5));
    lab.lan.run_for(seconds(20));
    let (with, all) = counted(&lab.lan[0]);
    assert!(with == all && with > 5, "{with} {all}");
    assert!(told(&lab.lan[0]).is_empty());
    assert_eq!(offered(&lab.lan[0]), None);
}

/// It may be a recording: nothing that we have said is in it.
#[test]
fn who_does_not_list_us_has_nothing_to_offer() {
    let mut lab = KayLab::of(1, &[16, 32]);
    let group = set("group");
    says(&mut lab, 0, move |body| {
        (body.live, body.potential) = (None, None);
        body.distributed_cak = Some(group);
    });
    lab.lan.run_for(seconds(20));
    let (with, all) = counted(&lab.lan[1]);
    assert!(with == all && with > 5, "{with} {all}");
    assert!(told(&lab.lan[1]).is_empty() && lab.lan[1].live_peers() == 0);
    assert_eq!(offered(&lab.lan[1]), None);
}

#[test]
fn who_does_not_have_the_cak_has_nothing_to_offer() {
    let mut lab = KayLab::of(1, &[16, 32]);
    lab.secured_within(seconds(5));
    let before = (lab.show(), counted(&lab.lan[1]));
    let actor = lab.lan[0].kay.principal().unwrap().member();
    let us = [lab.lan[1].kay.principal().unwrap().member()];
    let mut body = Body::new(Basic {
        version: 3,
        key_server_priority: 16,
        key_server: true,
        macsec_desired: true,
        macsec_capability: Capability::Offsets,
        sci: sci(1),
        actor: Member { mn: actor.mn + 1, ..actor },
        ckn: ckn(),
    });
    body.live = Some(PeerList::new(&us));
    body.distributed_cak = Some(set("group"));
    let mut buffer = [0; MAX_FRAME_LEN];
    let mut hear = |lab: &mut KayLab, cak: Cak| {
        let framing = Framing::new(sci(1).mac());
        let len = framing.encode(&body, &cak.ick(&ckn()), &mut buffer).unwrap();
        lab.lan.inject(1, &buffer[..len]);
        lab.lan.run_for(seconds(1) / 100);
    };
    hear(&mut lab, Cak::new(&[0x43; 16]).unwrap());
    assert_eq!((lab.show(), counted(&lab.lan[1])), before);
    assert!(told(&lab.lan[1]).is_empty());
    // The same of who has it.
    hear(&mut lab, cak());
    assert_eq!((told(&lab.lan[1]), offered(&lab.lan[1])), (vec![sci(1)], Some(offer("group"))));
}

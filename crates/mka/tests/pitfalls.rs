//! Traps that other implementations fell into, by the numbers of our list of them; those of the codec are here.
//!
//! Where each has its test: here, in the file named, or in `src`.
//!
//! | | test |
//! |---|---|
//! | 1 | `pitfall_1_any_group_address_is_accepted_and_no_individual_one` |
//! | 2 | `pitfall_2_the_icv_indicator_is_accepted_present_or_absent_and_sent_on_request` |
//! | 3 | keys `pitfall_3_ckns_differ_by_their_length_too`; attacks `truncated_corrupt_and_foreign_mkpdus_change_nothing` |
//! | 4 | lengths `pitfall_4_basic_length_is_29_to_60`; keys `long_ckns_are_cut_and_short_ones_filled_for_derivation_only` |
//! | 5 | `pitfall_5_offset_bits_0_are_integrity_only_and_1_are_offset_0` |
//! | 6 | `pitfall_6_each_flag_of_sak_use_has_its_bit`; kay_pitfalls `p06_p37_delay_protect_goes_with_a_hello_each_half_a_second`; kay_delay `a_peer_with_slow_hellos_harms_nothing_that_is_on_time` |
//! | 7 | kay_pitfalls `p07_the_lowest_pn_told_is_two_seconds_old`; src `p07_the_lowest_pn_is_that_of_two_seconds_ago`; kay_delay `frames_of_less_than_two_seconds_are_never_late` |
//! | 8 | `pitfall_8_sak_use_takes_just_the_octets_that_it_says` |
//! | 9 | lengths `pitfall_9_peer_lists_are_multiples_of_16` |
//! | 10 | `pitfall_10_and_18_unknown_sets_are_passed_over_whatever_their_type` |
//! | 11 | keys `pitfall_11_session_ids_have_any_length` |
//! | 12 | keys `cak_and_sak_of_128_and_256_bits_in_all_four_combinations` |
//! | 13 | `pitfall_13_the_misprint_of_gcm_aes_128_is_read_and_never_written` |
//! | 14 | `pitfall_14_a_distributed_cak_has_a_short_ckn_too`; lengths `pitfall_14_distributed_cak_is_25_to_72` |
//! | 15 | `pitfall_15_sets_come_in_any_order`, `pitfall_15_newer_versions_of_mka_and_eapol_are_read_as_ours` |
//! | 16 | lengths `pitfall_16_a_set_that_runs_into_the_icv_is_refused`, `every_buffer_that_is_too_short_is_an_error` |
//! | 17 | keys `pitfall_17_and_53_the_salt_comes_from_the_ki`, `pitfall_17_sscis_by_sci_start_with_the_greatest`, `pitfall_17_sscis_by_list_leave_out_the_key_server` |
//! | 18 | `pitfall_18_lowest_pns_have_64_bits`, `pitfall_18_sets_do_not_depend_on_the_version`; puppet `p18_exhaustion_of_a_peer_is_seen_in_64_bits`; kay_delay `the_lower_half_of_a_pn_binds_nothing` |
//! | 19 | `pitfall_19_the_icv_is_not_over_vlan_tags` |
//! | 20 | `pitfall_20_padding_behind_the_body_is_cut_off` |
//! | 21 | src `p21_a_potential_peer_expires_however_much_it_says`; session `p21_p51_a_one_way_peer_delays_the_first_sak_by_a_life_time` |
//! | 22 | src `p22_numbers_of_a_life_time_are_recent`; kay_simulations `ports_are_secured_on_a_bad_network` |
//! | 23 | session `p23_a_client_that_loses_the_key_server_takes_a_new_mi`; puppet `p23_a_key_server_with_a_sak_that_we_do_not_have_makes_us_take_a_new_mi`; kay_healing `one_way_cuts_of_any_length` |
//! | 24 | session `p24_a_restarted_client_is_back_within_two_seconds`; kay_pitfalls `p24_p46_restarted_peers_leave_no_scs_and_keys` |
//! | 25 | attacks `p25_replayed_and_reflected_mkpdus_change_nothing`; kay_attacks `replays_at_once`, `reflections` |
//! | 26 | session `p26_without_peers_there_is_no_agreement_and_no_sak`; kay_pitfalls `p26_p50_alone_a_port_is_closed_and_has_no_keys` |
//! | 27 | src `p27_a_tie_is_broken_by_the_whole_sci`; kay_healing `ties_of_priorities` |
//! | 28 | session `p28_a_former_key_server_distributes_no_more`; puppet `p28_one_that_is_key_server_again_makes_a_fresh_sak` |
//! | 29 | session `p29_a_lonely_participant_sends_for_ever`; kay_healing `a_network_that_is_gone_for_an_hour` |
//! | 30 | session `p30_sak_use_has_no_part_in_liveness`; kay_pitfalls `p30_slow_sas_do_not_make_peers_flap` |
//! | 31 | kay_pitfalls `p31_a_missing_sak_use_is_told_once_and_costs_nothing` |
//! | 32 | attacks `p32_a_malformed_mkpdu_counts_for_nothing` |
//! | 33 | kay_pitfalls `p33_no_announcement_is_needed` |
//! | 34 | src `p34_plain_text_is_decided_only_where_it_is_allowed`; kay_policy `a_key_server_that_wants_no_macsec_opens_the_ports_that_allow_it` |
//! | 35 | not ours: a KaY has no queue of received frames; its caller hands over each, and empties its socket before it sleeps |
//! | 36 | kay_pitfalls `p36_slow_hellos_at_both_ends_keep_a_session`; that both ends have the same is for the operator |
//! | 37 | kay_pitfalls `p06_p37_delay_protect_goes_with_a_hello_each_half_a_second` |
//! | 38 | session `p38_nobody_is_key_server_at_priority_255`; src `p38_priority_255_is_never_elected`; the warning is the gateway's |
//! | 39 | keys `pitfall_39_a_ckn_in_text_is_pairs_of_digits_of_either_case` |
//! | 40 | `pitfall_40_the_ethertype_is_configurable_and_the_icv_covers_it`; kay_pitfalls `p40_address_and_ethertype_are_configurable` |
//! | 41 | cp_machine `a_server_seen_to_transmit_before_we_receive_is_not_forgotten`; cp_table `no_way_to_transmit_but_by_the_rules`; kay_pitfalls `p41_p43_sak_use_tells_the_truth`; kay_healing `losses_at_every_moment_of_a_rekey` |
//! | 42 | cp_machine `a_transmit_sa_that_is_missing_is_no_dead_end`; kay_healing `data_planes_that_fail_one_kind_of_order_for_a_while` |
//! | 43 | cp_machine `abandon_does_not_lose_the_new_sak`, `change_does_not_lose_the_new_sak_but_forgets_the_keys`; kay_pitfalls `p41_p43_sak_use_tells_the_truth` |
//! | 44 | session `p44_exhaustion_is_seen_in_the_old_place_too`; kay_pitfalls `p44_a_peer_that_reports_nothing_is_watched`; kay_healing `packet_numbers_that_run_out_again_and_again` |
//! | 45 | puppet `p45_an_unknown_old_key_is_ignored` |
//! | 46 | crashes by timing are the compiler's to prevent; kay_pitfalls `p24_p46_restarted_peers_leave_no_scs_and_keys` |
//! | 47 | puppet `p47_a_sak_of_before_is_refused_with_a_new_mi`; kay_session `a_ki_of_an_earlier_run_is_refused_with_a_new_mi`; the ledger in every laboratory |
//! | 48 | kay_pitfalls `p48_a_data_plane_with_two_ans_gets_on` |
//! | 49 | cp_machine `the_salt_and_ssci_of_xpn_are_there_before_any_sa`; `of_one_mind` in kay_lab, in every test there |
//! | 50 | cp_machine `peers_come_and_go_under_a_key`; kay_pitfalls `p26_p50_alone_a_port_is_closed_and_has_no_keys`; the data plane in every laboratory |
//! | 51 | session `p21_p51_a_one_way_peer_delays_the_first_sak_by_a_life_time` |
//! | 52 | session `p52_saks_are_at_least_a_second_apart`; kay_pitfalls `p52_a_key_server_that_flaps_makes_few_saks` |
//! | 53 | keys `pitfall_17_and_53_the_salt_comes_from_the_ki` |
//! | 54 | kay_pitfalls `p54_the_default_suite_has_long_packet_numbers` |
//! | 55 | not ours: the MTU is the gateway's |

mod common;

use common::{
    basic, encode, frame_of, framing, parse, raw_basic, raw_frame, reseal, set, set_header, verify,
};
use macsec::{An, CipherSuite, Confidentiality, ConfidentialityOffset, Ki, MacAddress, Ssci};
use mka::{
    Announcement, Body, Capability, DecodeError, DistributedCak, DistributedKey, DistributedSak,
    ETHERTYPE_EAPOL, KeyLength, KeyUse, Kmd, Member, Mi, NEAREST_BRIDGE, NEAREST_CUSTOMER_BRIDGE,
    NEAREST_NON_TPMR_BRIDGE, PeerList, Received, SakUse, SetOrder, SetType, SuiteId, Tlv, Xpn,
};

const PEERS: [Member; 2] =
    [Member { mi: Mi([1; 12]), mn: 5 }, Member { mi: Mi([2; 12]), mn: 0xffff_fffe }];
const KI: Ki = Ki([0x4b; 16]);

fn used(lowest_pn: u32) -> KeyUse {
    KeyUse { ki: KI, an: An::ALL[2], tx: true, rx: false, lowest_pn }
}

fn distributed(suite: CipherSuite, confidentiality: Confidentiality) -> DistributedSak<'static> {
    DistributedSak::Key(DistributedKey {
        an: An::ALL[3],
        confidentiality,
        key_number: 9,
        suite: SuiteId::Known(suite),
        wrapped: &[0x77; 40][..suite.key_len() + 8],
    })
}

/// A body with every parameter set there is.
fn full() -> Body<'static> {
    let mut body = Body::new(basic());
    body.live = Some(PeerList::new(&PEERS).with_key_server_ssci(2));
    body.potential = Some(PeerList::new(&PEERS[1..]));
    body.sak_use = Some(SakUse {
        plain_tx: true,
        plain_rx: false,
        delay_protect: true,
        keys: Some([used(7), KeyUse::NONE]),
    });
    let encrypt = Confidentiality::Encrypt(ConfidentialityOffset::Zero);
    body.distributed_sak = Some(distributed(CipherSuite::GcmAesXpn256, encrypt));
    body.distributed_cak = DistributedCak::new(&[0x66; 27]);
    body.kmd = Kmd::new("a domain");
    body.announcement = Some(Announcement::new(&[114 << 1, 3, b'n', b'e', b't']).unwrap());
    body.xpn = Some(Xpn::new(0, 7 | 1 << 40, 1));
    body
}

/// The parameter sets of a frame of ours, behind the Basic parameter set, each by itself.
fn sets_of(frame: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = &frame[18 + 48..frame.len() - 16];
    let mut sets = Vec::new();
    while let [_, _, high, low, ..] = *rest {
        let len = usize::from(u16::from_be_bytes([high & 0x0f, low]));
        let (set, next) = rest.split_at((4 + len).next_multiple_of(4).min(rest.len()));
        sets.push(set.to_vec());
        rest = next;
    }
    sets
}

#[test]
fn pitfall_1_any_group_address_is_accepted_and_no_individual_one() {
    for destination in [
        NEAREST_NON_TPMR_BRIDGE,
        NEAREST_CUSTOMER_BRIDGE,
        NEAREST_BRIDGE,
        MacAddress([0xff; 6]),
        MacAddress([0x01, 0x00, 0x5e, 1, 2, 3]),
        MacAddress([0x33, 0x33, 0, 0, 0, 1]),
    ] {
        let mut framing = framing();
        framing.destination = destination;
        let frame = encode(&framing, &full());
        assert_eq!(verify(&frame).unwrap().frame().destination, destination);
    }
    for individual in [[0; 6], [2, 0, 0, 0, 0, 1], [0xfe; 6]] {
        let mut frame = frame_of(&[]);
        frame[..6].copy_from_slice(&individual);
        reseal(&mut frame);
        assert_eq!(parse(&frame).unwrap_err(), DecodeError::Destination);
    }
}

#[test]
fn pitfall_2_the_icv_indicator_is_accepted_present_or_absent_and_sent_on_request() {
    for wanted in [false, true] {
        let mut framing = framing();
        framing.icv_indicator = wanted;
        let frame = encode(&framing, &full());
        let mkpdu = verify(&frame).unwrap();
        assert_eq!(mkpdu.has_icv_indicator(), wanted);
        assert_eq!(*mkpdu.body(), full());
        let indicator = frame[frame.len() - 20..frame.len() - 16] == [255, 0, 0, 16];
        assert_eq!(indicator, wanted);
    }
}

#[test]
fn pitfall_5_offset_bits_0_are_integrity_only_and_1_are_offset_0() {
    let cases = [
        (0x00, Confidentiality::IntegrityOnly),
        (0x10, Confidentiality::Encrypt(ConfidentialityOffset::Zero)),
        (0x20, Confidentiality::Encrypt(ConfidentialityOffset::Thirty)),
        (0x30, Confidentiality::Encrypt(ConfidentialityOffset::Fifty)),
    ];
    for (bits, confidentiality) in cases {
        let mut body = Body::new(basic());
        let key = distributed(CipherSuite::GcmAes128, confidentiality);
        body.distributed_sak = Some(key);
        let frame = encode(&framing(), &body);
        assert_eq!(sets_of(&frame)[0][..4], [4, 0xc0 | bits, 0, 28]);
        assert_eq!(verify(&frame).unwrap().body().distributed_sak, Some(key));
    }
}

/// Pitfall 6 and the layout of figure 11-10: each flag in its own bit.
#[test]
fn pitfall_6_each_flag_of_sak_use_has_its_bit() {
    let none = KeyUse { lowest_pn: 0, ..KeyUse::NONE };
    let key = |an: usize, tx, rx| KeyUse { an: An::ALL[an], tx, rx, ..none };
    let flags = |plain_tx, plain_rx, delay_protect| (plain_tx, plain_rx, delay_protect);
    for (octets, latest, old, (plain_tx, plain_rx, delay_protect)) in [
        ([0x00, 0x00], none, none, flags(false, false, false)),
        ([0x80, 0x00], key(2, false, false), none, flags(false, false, false)),
        ([0x40, 0x00], key(1, false, false), none, flags(false, false, false)),
        ([0x20, 0x00], key(0, true, false), none, flags(false, false, false)),
        ([0x10, 0x00], key(0, false, true), none, flags(false, false, false)),
        ([0x0c, 0x00], none, key(3, false, false), flags(false, false, false)),
        ([0x02, 0x00], none, key(0, true, false), flags(false, false, false)),
        ([0x01, 0x00], none, key(0, false, true), flags(false, false, false)),
        ([0x00, 0x80], none, none, flags(true, false, false)),
        ([0x00, 0x40], none, none, flags(false, true, false)),
        ([0x00, 0x10], none, none, flags(false, false, true)),
    ] {
        let sak_use = SakUse { plain_tx, plain_rx, delay_protect, keys: Some([latest, old]) };
        let raw = set(3, octets[0], octets[1] >> 4, &[0; 40]);
        let frame = frame_of(&raw);
        assert_eq!(verify(&frame).unwrap().body().sak_use, Some(sak_use), "{octets:02x?}");
        let mut body = Body::new(basic());
        body.sak_use = Some(sak_use);
        assert_eq!(sets_of(&encode(&framing(), &body)), [raw], "{octets:02x?}");
    }
    // Reserved bit 5 is passed over.
    let frame = frame_of(&set(3, 0, 0x2, &[0; 40]));
    let sak_use = verify(&frame).unwrap().body().sak_use.unwrap();
    assert!(!sak_use.plain_tx && !sak_use.plain_rx && !sak_use.delay_protect);
}

#[test]
fn pitfall_8_sak_use_takes_just_the_octets_that_it_says() {
    let frame = encode(&framing(), &full());
    let sets = sets_of(&frame);
    assert_eq!(sets[2].len(), 44);
    assert_eq!(sets[2][..4], [3, 0xa0, 0x90, 40]);
    assert_eq!(sets[3][0], 4, "the next set stands right behind");
    let mut body = Body::new(basic());
    body.sak_use =
        Some(SakUse { plain_tx: true, plain_rx: true, delay_protect: false, keys: None });
    let frame = encode(&framing(), &body);
    assert_eq!(sets_of(&frame), [[3, 0, 0xc0, 0]]);
    assert_eq!(verify(&frame).unwrap().body().sak_use, body.sak_use);
    // Excess octets are passed over, and the next set is found.
    let mut sets = set(3, 0, 0, &[1; 46]);
    sets.extend(set(6, 0, 0, b"next"));
    let frame = frame_of(&sets);
    assert_eq!(verify(&frame).unwrap().body().kmd.unwrap().octets(), b"next");
}

/// Some peers fail on a lowest PN of 0, even in a place without a key.
#[test]
fn quirk_d_a_place_without_a_key_has_pn_1() {
    let mut body = Body::new(basic());
    body.sak_use = full().sak_use;
    let frame = encode(&framing(), &body);
    assert_eq!(sets_of(&frame)[0][24..], {
        let mut none = [0; 20];
        none[19] = 1;
        none
    });
}

#[test]
fn pitfall_10_and_18_unknown_sets_are_passed_over_whatever_their_type() {
    for kind in [0].into_iter().chain(9..=254) {
        let mut sets = set(kind, 0xff, 0xf, &[kind; 5]);
        sets.extend(set(2, 0, 0, &[7; 16]));
        let frame = frame_of(&sets);
        let mkpdu = verify(&frame).unwrap();
        assert_eq!(mkpdu.body().potential.unwrap().len(), 1);
        let found: Vec<_> = mkpdu.unknown_sets().collect();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].set_type, found[0].body), (SetType::Unknown(kind), &[kind; 5][..]));
    }
}

#[test]
fn pitfall_13_the_misprint_of_gcm_aes_128_is_read_and_never_written() {
    for identifier in ["0080c20001000001", "0080020001000001"] {
        let mut body = vec![0, 0, 0, 9];
        body.extend(hex::decode(identifier).unwrap());
        body.extend([0x77; 24]);
        let frame = frame_of(&set(4, 0xd0, 0, &body));
        let body = *verify(&frame).unwrap().body();
        let encrypt = Confidentiality::Encrypt(ConfidentialityOffset::Zero);
        assert_eq!(body.distributed_sak, Some(distributed(CipherSuite::GcmAes128, encrypt)));
        // Written in the short form, which names no suite.
        assert_eq!(sets_of(&encode(&framing(), &body))[0].len(), 32);
    }
    let mut body = vec![0, 0, 0, 9];
    body.extend(hex::decode("0080020001000002").unwrap());
    body.extend([0x77; 40]);
    let frame = frame_of(&set(4, 0xd0, 0, &body));
    let body = *verify(&frame).unwrap().body();
    let suite = body.distributed_sak.unwrap().key().unwrap().suite;
    assert_eq!(suite, SuiteId::Unknown([0, 0x80, 2, 0, 1, 0, 0, 2]));
}

#[test]
fn pitfall_14_a_distributed_cak_has_a_short_ckn_too() {
    let body: Vec<u8> = (0..72).collect();
    let split = |len: usize, length| DistributedCak::new(&body[..len]).unwrap().split(length);
    let (wrapped, ckn) = split(25, KeyLength::Bits128).unwrap();
    assert_eq!((wrapped, ckn.octets()), (&body[..24], &[24][..]));
    assert!(split(25, KeyLength::Bits256).is_none());
    // The same octets are one or the other: only the reader can know.
    let (wrapped, ckn) = split(56, KeyLength::Bits128).unwrap();
    assert_eq!((wrapped.len(), ckn.octets().len()), (24, 32));
    let (wrapped, ckn) = split(56, KeyLength::Bits256).unwrap();
    assert_eq!((wrapped.len(), ckn.octets().len()), (40, 16));
    assert!(split(57, KeyLength::Bits128).is_none());
    assert!(split(72, KeyLength::Bits256).is_some());
}

#[test]
fn pitfall_15_sets_come_in_any_order() {
    let frame = encode(&framing(), &full());
    let sets = sets_of(&frame);
    let types: Vec<u8> = sets.iter().map(|set| set[0]).collect();
    assert_eq!(types, [1, 2, 3, 4, 5, 6, 7, 8]);
    let mut standard = framing();
    standard.order = SetOrder::Standard;
    let frame = encode(&standard, &full());
    let types: Vec<u8> = sets_of(&frame).iter().map(|set| set[0]).collect();
    assert_eq!(types, [3, 4, 5, 6, 7, 8, 1, 2]);
    assert_eq!(*verify(&frame).unwrap().body(), full());
    // Each rotation, forwards and backwards, with an unknown set between.
    for start in 0..sets.len() {
        let mut rotated = sets.clone();
        rotated.rotate_left(start);
        rotated.insert(3, set(99, 0, 0, b"unknown"));
        for _ in 0..2 {
            let frame = frame_of(&rotated.concat());
            assert_eq!(*verify(&frame).unwrap().body(), full());
            rotated.reverse();
        }
    }
}

#[test]
fn pitfall_15_newer_versions_of_mka_and_eapol_are_read_as_ours() {
    for version in 1..=255 {
        let frame = raw_frame(&raw_basic(version, b"ckn"), &set(2, 0, 0, &[7; 16]));
        let mkpdu = verify(&frame).unwrap();
        assert_eq!(mkpdu.body().basic.version, version);
        assert_eq!(mkpdu.body().potential.unwrap().len(), 1);
    }
    let frame = raw_frame(&raw_basic(0, b"ckn"), &[]);
    assert_eq!(parse(&frame).unwrap_err(), DecodeError::MkaVersion);
    for version in 0..=255 {
        let mut frame = frame_of(&[]);
        frame[14] = version;
        reseal(&mut frame);
        match version {
            0..3 => assert_eq!(parse(&frame).unwrap_err(), DecodeError::EapolVersion(version)),
            3.. => assert_eq!(verify(&frame).unwrap().frame().version, version),
        }
    }
}

#[test]
fn other_eapol_types_are_not_for_mka() {
    for kind in (0..=255).filter(|&kind| kind != 5) {
        let mut frame = frame_of(&[]);
        frame[15] = kind;
        reseal(&mut frame);
        assert_eq!(parse(&frame).unwrap_err(), DecodeError::EapolType(kind));
    }
}

#[test]
fn pitfall_18_lowest_pns_have_64_bits() {
    let (latest, old) = (0xc000_0000_0000_0001, 0x0000_0001_ffff_ffff);
    let mut body = full();
    body.xpn = Some(Xpn::new(17, latest, old));
    // The cast is what SAK Use carries.
    body.sak_use.as_mut().unwrap().keys = Some([used(latest as u32), used(old as u32)]);
    let frame = encode(&framing(), &body);
    let read = *verify(&frame).unwrap().body();
    let [latest_use, old_use] = read.sak_use.unwrap().keys.unwrap();
    let xpn = read.xpn.unwrap();
    assert_eq!(xpn.latest_lowest_pn(latest_use.lowest_pn), latest);
    assert_eq!(xpn.old_lowest_pn(old_use.lowest_pn), old);
    assert_eq!(xpn.suspension_time, 17);
}

/// A peer of version 1 may use an XPN suite and send no XPN set.
#[test]
fn pitfall_18_sets_do_not_depend_on_the_version() {
    for version in 1..=3 {
        let mut body = full();
        body.basic.version = version;
        let frame = encode(&framing(), &body);
        assert_eq!(*verify(&frame).unwrap().body(), body);
        assert_eq!(body.ssci_order().is_some(), version == 3);
    }
}

#[test]
fn the_order_of_the_live_list_means_something_with_an_xpn_sak_only() {
    let order = full().ssci_order().unwrap();
    assert_eq!(order.key_server(), Ssci(2));
    assert_eq!([order.peer(0), order.peer(1)], [Some(Ssci(1)), Some(Ssci(3))]);
    let without = |change: &dyn Fn(&mut Body<'_>)| {
        let mut body = full();
        change(&mut body);
        body.ssci_order()
    };
    let encrypt = Confidentiality::Encrypt(ConfidentialityOffset::Zero);
    let plain = distributed(CipherSuite::GcmAes256, encrypt);
    assert!(without(&|body| body.distributed_sak = Some(plain)).is_none());
    assert!(without(&|body| body.distributed_sak = Some(DistributedSak::PlainText)).is_none());
    assert!(without(&|body| body.distributed_sak = None).is_none());
    assert!(without(&|body| body.live = None).is_none());
    assert!(without(&|body| body.live = Some(PeerList::new(&PEERS))).is_none(), "no SSCI 0");
    let high = PeerList::new(&PEERS).with_key_server_ssci(4);
    assert!(without(&|body| body.live = Some(high)).is_none(), "three members");
}

#[test]
fn pitfall_19_the_icv_is_not_over_vlan_tags() {
    let frame = encode(&framing(), &full());
    let tagged = |tags: &[[u8; 4]]| [&frame[..12], &tags.concat(), &frame[12..]].concat();
    let (c_tag, s_tag) = ([0x81, 0x00, 0xe0, 0x00], [0x88, 0xa8, 0x00, 0x05]);
    for tags in [&[c_tag][..], &[s_tag], &[s_tag, c_tag], &[c_tag, c_tag]] {
        let tagged = tagged(tags);
        assert_eq!(*verify(&tagged).unwrap().body(), full());
        for len in 0..tagged.len() {
            assert!(parse(&tagged[..len]).is_err());
        }
    }
    let error = parse(&tagged(&[s_tag, c_tag, c_tag])).map(drop).unwrap_err();
    assert_eq!(error, DecodeError::EtherType(0x8100));
    let error = parse(&tagged(&[[0x88, 0xe5, 0, 0]])).map(drop).unwrap_err();
    assert_eq!(error, DecodeError::EtherType(0x88e5));
}

#[test]
fn pitfall_20_padding_behind_the_body_is_cut_off() {
    for padding in [1, 4, 46, 1000] {
        let mut frame = encode(&framing(), &full());
        frame.resize(frame.len() + padding, 0xa5);
        assert_eq!(*verify(&frame).unwrap().body(), full());
    }
}

#[test]
fn pitfall_40_the_ethertype_is_configurable_and_the_icv_covers_it() {
    let mut framing = framing();
    framing.ethertype = 0x876f;
    let frame = encode(&framing, &full());
    assert_eq!(frame[12..14], [0x87, 0x6f]);
    assert_eq!(parse(&frame).unwrap_err(), DecodeError::EtherType(0x876f));
    let received = Received::parse(&frame, 0x876f).unwrap();
    assert_eq!(*received.verify(&common::lab_ick()).unwrap().body(), full());
    // Rewritten on the way, it is refused.
    let mut rewritten = frame;
    rewritten[12..14].copy_from_slice(&ETHERTYPE_EAPOL.to_be_bytes());
    assert_eq!(verify(&rewritten).unwrap_err(), DecodeError::Icv);
}

#[test]
fn of_a_set_that_comes_twice_the_first_counts() {
    let mut sets = set(6, 0, 0, b"first");
    sets.extend(set(6, 0, 0, b"second"));
    // Not even its length matters.
    sets.extend(set(6, 0, 0, &[b'x'; 254]));
    let frame = frame_of(&sets);
    assert_eq!(verify(&frame).unwrap().body().kmd.unwrap().as_str(), Some("first"));
}

#[test]
fn reserved_bits_and_padding_are_ignored() {
    // Octet 2 of a Potential Peer List, low bits of a Distributed SAK, flags where none are.
    let mut sets = set(2, 0xff, 0xf, &[7; 16]);
    sets.extend(set(4, 0xdf, 0xf, &[0x77; 28]));
    let mut kmd = set(6, 0xff, 0xf, b"pad");
    *kmd.last_mut().unwrap() = 0xff;
    sets.extend(kmd);
    let frame = frame_of(&sets);
    let body = *verify(&frame).unwrap().body();
    assert_eq!(body.potential.unwrap().key_server_ssci(), 0);
    assert_eq!(body.distributed_sak.unwrap().key().unwrap().an, An::ALL[3]);
    assert_eq!(body.kmd.unwrap().as_str(), Some("pad"));
    // What we send has them all zero.
    let ours = sets_of(&encode(&framing(), &body));
    assert_eq!(ours[0][..4], [2, 0, 0, 16]);
    assert_eq!(ours[1][..4], [4, 0xd0, 0, 28]);
    assert_eq!(ours[2], [&[6, 0, 0, 3], &b"pad\0"[..]].concat());
}

#[test]
fn the_plain_text_decision_has_no_body() {
    let mut body = Body::new(basic());
    body.distributed_sak = Some(DistributedSak::PlainText);
    let frame = encode(&framing(), &body);
    assert_eq!(sets_of(&frame), [[4, 0, 0, 0]]);
    assert_eq!(*verify(&frame).unwrap().body(), body);
}

#[test]
fn another_algorithm_agility_is_refused_before_the_icv() {
    let mut frame = frame_of(&[]);
    frame[18 + 31] = 0x02;
    let error = verify(&frame).map(drop).unwrap_err();
    assert_eq!(error, DecodeError::AlgorithmAgility(0x0080_c202));
    let error = parse(&frame).unwrap().unverified().map(drop).unwrap_err();
    assert_eq!(error, DecodeError::AlgorithmAgility(0x0080_c202));
    // The CKN can be asked for all the same: whether it is ours comes first.
    assert_eq!(*parse(&frame).unwrap().ckn(), common::lab_ckn());
}

/// Nothing of the sets is looked at before the ICV: bad sets under a bad ICV are a bad ICV.
#[test]
fn the_icv_comes_before_the_sets() {
    let mut frame = frame_of(&set_header(1, 0, 0, 15));
    *frame.last_mut().unwrap() ^= 1;
    assert_eq!(verify(&frame).unwrap_err(), DecodeError::Icv);
    let error = parse(&frame).unwrap().unverified().map(drop).unwrap_err();
    assert!(matches!(error, DecodeError::SetOverrun(SetType::LivePeerList, 15)));
}

#[test]
fn announcements_are_read_tlv_by_tlv() {
    let suites = [
        &[0, 2][..],
        &CipherSuite::GcmAesXpn128.identifier(),
        &[0xff, 0xfd],
        &[9, 9, 9, 9, 9, 9, 9, 9],
    ]
    .concat();
    let mut octets = vec![111 << 1, 2, 0x13, 0x80, 112 << 1, 20];
    octets.extend(&suites);
    octets.extend([113 << 1, 1, b'd', 114 << 1, 1, b'n', 127 << 1, 0]);
    let announcement = Announcement::new(&octets).unwrap();
    let tlvs: Vec<Tlv<'_>> = announcement.tlvs().collect();
    assert_eq!(
        tlvs,
        [
            Tlv::AccessInformation([0x13, 0x80]),
            Tlv::CipherSuites(&suites),
            Tlv::Kmd(b"d"),
            Tlv::Nid(b"n"),
            Tlv::Other(127, b""),
        ]
    );
    let listed: Vec<_> = tlvs[1].suites().map(|entry| (entry.suite, entry.capability)).collect();
    assert_eq!(
        listed,
        [
            (SuiteId::Known(CipherSuite::GcmAesXpn128), Capability::Confidentiality),
            (SuiteId::Unknown([9; 8]), Capability::Integrity),
        ]
    );
    assert_eq!(tlvs[2].suites().count(), 0);
    assert_eq!(
        announcement.to_string(),
        "access information 1380; cipher suites gcm-aes-xpn-128 suite 0909090909090909; \
         KMD \"d\"; NID \"n\"; TLV 127 length 0"
    );
    let mut body = Body::new(basic());
    body.announcement = Some(announcement);
    assert_eq!(*verify(&encode(&framing(), &body)).unwrap().body(), body);
}

#[test]
fn a_domain_that_is_no_utf_8_is_shown_escaped() {
    let frame = frame_of(&set(6, 0, 0, b"a\x1b\xff\"b"));
    let kmd = verify(&frame).unwrap().body().kmd.unwrap();
    assert_eq!(kmd.as_str(), None);
    assert_eq!(kmd.to_string(), r#""a\x1b\xff\"b""#);
}

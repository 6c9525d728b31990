//! Every rule about lengths, at its edges: under a right ICV, so that nothing else can refuse.

mod common;

use common::{
    encode, frame_of, framing, golden, parse, raw_basic, raw_frame, set, set_header, verify,
};
use macsec::{CipherSuite, MacAddress};
use mka::{
    Body, Ckn, DecodeError, DistributedCak, DistributedKey, DistributedSak, EncodeError,
    HEADERS_LEN, ICV_LEN, Kmd, MAX_FRAME_LEN, MAX_MKPDU_LEN, Member, Mi, PeerList, SetType,
    SuiteId,
};

/// Changes the length field of the EAPOL header, whatever the frame holds.
fn with_eapol_length(frame: &[u8], len: u16) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[16..18].copy_from_slice(&len.to_be_bytes());
    frame
}

/// The verdict on a frame with one parameter set.
fn verdict(kind: u8, len: usize) -> Result<(), DecodeError> {
    verify(&frame_of(&set(kind, 0, 0, &vec![0; len]))).map(drop)
}

#[test]
fn a_frame_cut_anywhere_is_refused() {
    for golden in golden() {
        for len in 0..golden.frame.len() {
            let error = parse(&golden.frame[..len]).unwrap_err();
            let expected = if len < HEADERS_LEN {
                DecodeError::FrameLength
            } else {
                let body_len = golden.frame.len() - HEADERS_LEN;
                DecodeError::EapolLength(u16::try_from(body_len).unwrap())
            };
            assert_eq!(error, expected, "{} cut to {len}", golden.id);
        }
    }
}

/// The same, but the EAPOL header says how much is left, and the ICV is right.
#[test]
fn an_mkpdu_cut_anywhere_and_sealed_again_never_passes_for_more_than_it_is() {
    let mut sets = set(1, 0, 0, &[1; 32]);
    sets.extend(set(3, 0, 0, &[2; 40]));
    sets.extend(set(4, 0x10, 0, &[3; 28]));
    sets.extend(set(6, 0, 0, b"domain"));
    let boundaries = [0, 36, 36 + 44, 36 + 44 + 32, 36 + 44 + 32 + 12];
    for len in (0..=sets.len()).step_by(4) {
        let verdict = verify(&frame_of(&sets[..len])).map(drop);
        assert_eq!(verdict.is_ok(), boundaries.contains(&len), "{len}: {verdict:?}");
    }
}

#[test]
fn eapol_body_length() {
    let frame = frame_of(&[]);
    let len = u16::try_from(frame.len() - HEADERS_LEN).unwrap();
    for wrong in [0, 4, 28, 31] {
        let error = parse(&with_eapol_length(&frame, wrong)).unwrap_err();
        assert_eq!(error, DecodeError::MkpduLength(wrong));
    }
    for wrong in [33, 34, 35, len - 1] {
        let error = parse(&with_eapol_length(&frame, wrong)).unwrap_err();
        assert_eq!(error, DecodeError::MkpduAlignment(wrong));
    }
    for wrong in [len + 1, len + 4, 0x7fff, 0x8000, u16::MAX] {
        let error = parse(&with_eapol_length(&frame, wrong)).unwrap_err();
        assert_eq!(error, DecodeError::EapolLength(wrong));
    }
    // 32 to 51 octets pass rules b and c, but no Basic parameter set and ICV fit into them.
    for short in (32..52).step_by(4) {
        let error = parse(&with_eapol_length(&frame, short)).unwrap_err();
        assert_eq!(error, DecodeError::BasicOverrun, "{short}");
    }
}

#[test]
fn an_mkpdu_of_1496_octets_is_the_longest() {
    let room = MAX_MKPDU_LEN - raw_basic(3, &[0; 16]).len() - ICV_LEN - 4;
    let longest = frame_of(&set(200, 0, 0, &vec![0; room]));
    assert_eq!(longest.len(), MAX_FRAME_LEN);
    assert!(verify(&longest).is_ok());
    let longer = frame_of(&set(200, 0, 0, &vec![0; room + 1]));
    assert_eq!(verify(&longer).unwrap_err(), DecodeError::MkpduLength(1500));
}

#[test]
fn pitfall_4_basic_length_is_29_to_60() {
    for len in 1..=32 {
        let ckn = vec![0x31; len];
        let basic = raw_basic(1, &ckn);
        assert_eq!(basic.len() % 4, 0);
        let frame = raw_frame(&basic, &set(6, 0, 0, b"behind"));
        assert_eq!(frame.len() % 4, 2);
        let received = parse(&frame).unwrap();
        assert_eq!(received.ckn().octets(), ckn);
        let mkpdu = verify(&frame).unwrap();
        assert_eq!(mkpdu.body().kmd.unwrap().as_str(), Some("behind"), "{len}");
        // And ours has the same octets.
        let mut body = *mkpdu.body();
        body.basic.ckn = Ckn::new(&ckn).unwrap();
        let mut ours = encode(&framing(), &body);
        assert_eq!(ours.split_off(ours.len() - ICV_LEN), frame[frame.len() - ICV_LEN..]);
    }
    for len in [0, 33, 34, 64] {
        let error = parse(&raw_frame(&raw_basic(1, &vec![0x31; len]), &[])).map(drop).unwrap_err();
        assert_eq!(error, DecodeError::BasicLength(28 + u16::try_from(len).unwrap()));
    }
    for len in [0, 27, 0x0fff_u16] {
        let mut frame = frame_of(&[]);
        frame[20] = 0xe0 | len.to_be_bytes()[0];
        frame[21] = len.to_be_bytes()[1];
        assert_eq!(parse(&frame).unwrap_err(), DecodeError::BasicLength(len));
    }
}

#[test]
fn pitfall_9_peer_lists_are_multiples_of_16() {
    for kind in [1, 2] {
        for len in 0..=64 {
            let set_type =
                [SetType::LivePeerList, SetType::PotentialPeerList][usize::from(kind) - 1];
            let expected = match len % 16 {
                0 => Ok(()),
                _ => Err(DecodeError::SetLength(set_type, u16::try_from(len).unwrap())),
            };
            assert_eq!(verdict(kind, len), expected, "{kind} {len}");
        }
    }
}

#[test]
fn sak_use_is_0_or_40_and_more() {
    for len in 0..=60 {
        let expected = match len {
            0 | 40.. => Ok(()),
            _ => Err(DecodeError::SetLength(SetType::SakUse, u16::try_from(len).unwrap())),
        };
        assert_eq!(verdict(3, len), expected, "{len}");
    }
}

#[test]
fn distributed_sak_is_0_or_28_or_36_or_52() {
    for len in 0..=80 {
        let expected = match len {
            0 | 28 | 36 | 52 => Ok(()),
            _ => Err(DecodeError::SetLength(SetType::DistributedSak, u16::try_from(len).unwrap())),
        };
        assert_eq!(verdict(4, len), expected, "{len}");
    }
}

#[test]
fn the_wrapped_sak_fits_its_suite() {
    for suite in CipherSuite::ALL {
        for wrapped in [24, 40] {
            let mut body = vec![0, 0, 0, 1];
            body.extend(suite.identifier());
            body.extend(vec![0x77; wrapped]);
            let len = u16::try_from(body.len()).unwrap();
            let frame = frame_of(&set(4, 0x10, 0, &body));
            let verdict = verify(&frame);
            if wrapped == suite.key_len() + 8 {
                let key = *verdict.unwrap().body().distributed_sak.as_ref().unwrap().key().unwrap();
                assert_eq!((key.suite, key.wrapped.len()), (SuiteId::Known(suite), wrapped));
            } else {
                assert_eq!(verdict.unwrap_err(), DecodeError::DistributedSakSuite(len));
            }
        }
    }
}

#[test]
fn pitfall_14_distributed_cak_is_25_to_72() {
    for len in 0..=100 {
        let expected = match len {
            25..=72 => Ok(()),
            _ => Err(DecodeError::SetLength(SetType::DistributedCak, u16::try_from(len).unwrap())),
        };
        assert_eq!(verdict(5, len), expected, "{len}");
        assert_eq!(DistributedCak::new(&vec![0; len]).is_some(), expected.is_ok());
    }
}

#[test]
fn kmd_is_253_at_most() {
    for len in 0..=300 {
        let expected = match len {
            0..=253 => Ok(()),
            _ => Err(DecodeError::SetLength(SetType::Kmd, u16::try_from(len).unwrap())),
        };
        assert_eq!(verdict(6, len), expected, "{len}");
    }
    assert!(Kmd::new(&"d".repeat(253)).is_some());
    assert!(Kmd::new(&"d".repeat(254)).is_none());
}

#[test]
fn xpn_is_8_at_least() {
    for len in 0..=20 {
        let expected = match len {
            8.. => Ok(()),
            _ => Err(DecodeError::SetLength(SetType::Xpn, u16::try_from(len).unwrap())),
        };
        assert_eq!(verdict(8, len), expected, "{len}");
    }
}

#[test]
fn tlvs_stay_in_the_announcement_and_have_their_lengths() {
    let tlv = |kind: u8, value: &[u8]| {
        let len = u16::try_from(value.len()).unwrap();
        let mut tlv = ((u16::from(kind) << 9) | len).to_be_bytes().to_vec();
        tlv.extend(value);
        tlv
    };
    // The session does not depend on it: the rest of the MKPDU holds.
    let verdict = |octets: &[u8]| {
        let frame = frame_of(&set(7, 0, 0, octets));
        let mkpdu = verify(&frame).unwrap();
        let error = mkpdu.announcement_error();
        assert_eq!(mkpdu.body().announcement.is_none(), error.is_some());
        error.map_or(Ok(()), Err)
    };
    for (kind, len, fits) in [
        (111, 2, true),
        (111, 1, false),
        (111, 3, false),
        (112, 0, true),
        (112, 10, true),
        (112, 20, true),
        (112, 9, false),
        (112, 11, false),
        (113, 253, true),
        (113, 254, false),
        (114, 0, true),
        (114, 100, true),
        (114, 101, false),
        (0, 511, true),
        (126, 511, true),
        (127, 0, true),
    ] {
        let expected = match fits {
            true => Ok(()),
            false => Err(DecodeError::TlvLength(kind, u16::try_from(len).unwrap())),
        };
        let mut octets = tlv(120, b"before");
        octets.extend(tlv(kind, &vec![0; len]));
        assert_eq!(verdict(&octets), expected, "{kind} {len}");
        // Cut by an octet it runs past the end.
        octets.pop();
        assert!(verdict(&octets).is_err(), "{kind} {len}");
    }
    assert_eq!(verdict(&[114 << 1]), Err(DecodeError::TlvOverrun(114)));
    assert_eq!(verdict(&[114 << 1, 1]), Err(DecodeError::TlvOverrun(114)));
    assert_eq!(verdict(&[(114 << 1) | 1, 0]), Err(DecodeError::TlvOverrun(114)));
}

/// Pitfall 16: with twelve bits of length, from any set, to the ICV and not one octet further.
#[test]
fn pitfall_16_a_set_that_runs_into_the_icv_is_refused() {
    for kind in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 77, 254] {
        for len in [1, 12, 13, 16, 17, 4092, 4095] {
            // A header at the very end, so that the ICV stands where the body should.
            let error = verify(&frame_of(&set_header(kind, 0, 0, len))).unwrap_err();
            assert!(
                matches!(error, DecodeError::SetOverrun(set, l)
                    if set.octet() == kind && usize::from(l) == len),
                "{kind} {len}: {error:?}"
            );
        }
    }
    // The padding has to fit as well.
    let mut sets = set_header(9, 0, 0, 5);
    sets.extend([0; 4]);
    assert!(matches!(verify(&frame_of(&sets)), Err(DecodeError::SetOverrun(..))));
}

#[test]
fn the_icv_indicator_announces_16_octets_at_the_end() {
    assert!(verify(&frame_of(&set_header(255, 0, 0, 16))).unwrap().has_icv_indicator());
    for len in [0, 12, 15, 17, 20, 4095] {
        let error = verify(&frame_of(&set_header(255, 0, 0, len))).map(drop).unwrap_err();
        assert_eq!(error, DecodeError::IcvIndicator(u16::try_from(len).unwrap()));
    }
    // Something stands between it and the end.
    let mut early = set(255, 0, 0, &[0; 16]);
    assert_eq!(verify(&frame_of(&early)).unwrap_err(), DecodeError::IcvIndicator(16));
    early.truncate(4);
    early.extend(set(6, 0, 0, b""));
    assert_eq!(verify(&frame_of(&early)).unwrap_err(), DecodeError::IcvIndicator(16));
}

#[test]
fn errors_name_the_field_and_what_is_allowed() {
    for (error, text) in [
        (verdict(3, 39), "SAK Use: length 39, must be 0, or 40 and more"),
        (verdict(1, 15), "Live Peer List: length 15, must be a multiple of 16"),
        (verdict(4, 29), "Distributed SAK: length 29, must be 0, 28, 36 or 52"),
        (verdict(5, 24), "Distributed CAK: length 24, must be 25 to 72"),
    ] {
        assert_eq!(error.unwrap_err().to_string(), text);
    }
}

fn peers(count: usize) -> Vec<Member> {
    let number = |index: usize| u32::try_from(index).unwrap() + 1;
    (0..count).map(|index| Member { mi: Mi([1; 12]), mn: number(index) }).collect()
}

/// A list is never cut to fit: a peer that is missing from it would think itself lost.
#[test]
fn what_does_not_fit_is_refused_and_not_cut() {
    let most = (MAX_MKPDU_LEN - raw_basic(3, &[0; 16]).len() - ICV_LEN - 4) / 16;
    assert_eq!(most, 89);
    let members = peers(most + 1);
    let mut body = Body::new(common::basic());
    body.live = Some(PeerList::new(&members[..most]));
    let frame = encode(&framing(), &body);
    assert_eq!(verify(&frame).unwrap().body().live.unwrap().len(), most);

    body.live = Some(PeerList::new(&members));
    let mut buffer = [0; 4 * MAX_FRAME_LEN];
    let encode =
        |body: &Body<'_>, buffer: &mut [u8]| framing().encode(body, &common::lab_ick(), buffer);
    assert_eq!(encode(&body, &mut buffer), Err(EncodeError::TooLong));
    let members = peers(300);
    body.live = Some(PeerList::new(&members));
    let mut long_buffer = vec![0; 10_000];
    assert_eq!(encode(&body, &mut long_buffer), Err(EncodeError::TooLong));
}

#[test]
fn every_buffer_that_is_too_short_is_an_error() {
    let members = peers(2);
    let mut body = Body::new(common::basic());
    body.live = Some(PeerList::new(&members));
    body.kmd = Kmd::new("domain");
    let frame = encode(&framing(), &body);
    for len in 0..frame.len() {
        let mut buffer = vec![0; len];
        let verdict = framing().encode(&body, &common::lab_ick(), &mut buffer);
        assert_eq!(verdict, Err(EncodeError::Buffer), "{len}");
    }
    let mut buffer = vec![0; frame.len()];
    assert_eq!(framing().encode(&body, &common::lab_ick(), &mut buffer), Ok(frame.len()));
    assert_eq!(buffer, frame);
}

#[test]
fn what_cannot_be_sent_is_refused() {
    let refused = |change: &dyn Fn(&mut Body<'_>)| {
        let mut body = Body::new(common::basic());
        change(&mut body);
        let mut buffer = [0; MAX_FRAME_LEN];
        framing().encode(&body, &common::lab_ick(), &mut buffer).unwrap_err()
    };
    for version in [0, 4, 255] {
        assert_eq!(refused(&|body| body.basic.version = version), EncodeError::MkaVersion);
    }
    let key = |suite, wrapped| {
        DistributedSak::Key(DistributedKey {
            an: macsec::An::default(),
            confidentiality: macsec::Confidentiality::IntegrityOnly,
            key_number: 1,
            suite,
            wrapped,
        })
    };
    let known = SuiteId::Known(CipherSuite::GcmAesXpn256);
    assert_eq!(
        refused(&|body| body.distributed_sak = Some(key(known, &[0; 24]))),
        EncodeError::WrappedKey
    );
    assert_eq!(
        refused(&|body| body.distributed_sak = Some(key(SuiteId::Unknown([9; 8]), &[0; 24]))),
        EncodeError::CipherSuite
    );
    let mut unicast = framing();
    unicast.destination = MacAddress([2, 0, 0, 0, 0, 1]);
    let verdict =
        unicast.encode(&Body::new(common::basic()), &common::lab_ick(), &mut [0; MAX_FRAME_LEN]);
    assert_eq!(verdict, Err(EncodeError::Destination));
}

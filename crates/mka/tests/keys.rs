//! The key hierarchy against Annex G, and what becomes of bad keys and bad randomness.

mod common;

use common::{Fixed, ckn, octets, vectors};
use macsec::{CipherSuite, Ki, MacAddress, Sak, Sci, Ssci};
use mka::{
    Cak, Ckn, KeyError, KeyLength, Mi, RandomError, SsciOrder, eap_cak_and_ckn, ssci_by_sci,
    xpn_salt,
};

fn mi(value: &serde_json::Value) -> Mi {
    Mi(octets(value).try_into().unwrap())
}

fn cak(octets: &[u8]) -> Cak {
    Cak::new(octets).unwrap()
}

#[test]
fn kek_and_ick() {
    // A KEK shows itself by what it wraps, an ICK by its ICVs.
    for vector in vectors("kek_ick") {
        let (cak, ckn) = (cak(&octets(&vector["cak"])), ckn(&vector["ckn"]));
        let kek = octets(&vector["kek"]);
        let sak = Sak::new(&[0x5a; 16]).unwrap();
        let wrapped = cak.kek(&ckn).wrap_sak(&sak).unwrap();
        assert_eq!(wrapped.octets(), reference::wrap(&kek, &[0x5a; 16]), "{}", vector["id"]);
        let icv = cak.ick(&ckn).icv(b"octets");
        assert_eq!(
            icv[..],
            reference::cmac(&octets(&vector["ick"]), b"octets"),
            "{}",
            vector["id"]
        );
    }
}

/// The primitives again, straight from their crates. They have their own vectors in the crate's tests.
mod reference {
    use aes::{Aes128, Aes256};
    use aes_kw::{AesKw, KeyInit};
    use cmac::{Cmac, Mac};

    pub(super) fn wrap(kek: &[u8], key: &[u8]) -> Vec<u8> {
        let mut buffer = [0; 40];
        match kek.len() {
            16 => AesKw::<Aes128>::new_from_slice(kek).unwrap().wrap_key(key, &mut buffer),
            _ => AesKw::<Aes256>::new_from_slice(kek).unwrap().wrap_key(key, &mut buffer),
        }
        .unwrap()
        .to_vec()
    }

    pub(super) fn cmac(key: &[u8], octets: &[u8]) -> Vec<u8> {
        match key.len() {
            16 => finish(Cmac::<Aes128>::new_from_slice(key).unwrap(), octets),
            _ => finish(Cmac::<Aes256>::new_from_slice(key).unwrap(), octets),
        }
    }

    fn finish(mut mac: impl Mac, octets: &[u8]) -> Vec<u8> {
        mac.update(octets);
        mac.finalize().into_bytes().to_vec()
    }
}

#[test]
fn sak() {
    for vector in vectors("sak") {
        let cak = cak(&octets(&vector["cak"]));
        let members: Vec<Mi> = vector["members"].as_array().unwrap().iter().map(mi).collect();
        let number = u32::try_from(vector["key_number"].as_u64().unwrap()).unwrap();
        let nonce = octets(&vector["nonce"]);
        let suite = match nonce.len() {
            16 => CipherSuite::GcmAes128,
            _ => CipherSuite::GcmAesXpn256,
        };
        let sak = cak.generate_sak(suite, &members, number, &mut Fixed(nonce)).unwrap();
        assert_eq!(sak.expose_octets(), octets(&vector["sak"]), "{}", vector["id"]);
    }
}

#[test]
fn a_sak_depends_on_all_that_goes_into_it() {
    let members = [Mi([1; 12]), Mi([2; 12])];
    let make = |cak: u8, members: &[Mi], number, nonce: u8| {
        let random = &mut Fixed(vec![nonce; 32]);
        let cak = Cak::new(&[cak; 16]).unwrap();
        let sak = cak.generate_sak(CipherSuite::GcmAes256, members, number, random).unwrap();
        sak.expose_octets().to_vec()
    };
    let usual = make(1, &members, 1, 1);
    assert_eq!(usual, make(1, &members, 1, 1));
    for other in [
        make(2, &members, 1, 1),
        make(1, &members[..1], 1, 1),
        make(1, &members, 2, 1),
        make(1, &members, 1, 2),
    ] {
        assert_ne!(usual, other);
    }
}

#[test]
fn no_randomness_no_sak_and_no_mi() {
    for len in [0, 15] {
        let sak = common::lab_cak().generate_sak(
            CipherSuite::GcmAes128,
            &[common::MI],
            1,
            &mut Fixed(vec![7; len]),
        );
        assert_eq!(sak.unwrap_err(), KeyError::Random);
    }
    assert_eq!(Mi::generate(&mut Fixed(vec![7; 11])), Err(RandomError));
    assert_eq!(Mi::generate(&mut Fixed(vec![7; 12])), Ok(Mi([7; 12])));
}

#[cfg(feature = "std")]
#[test]
fn the_operating_system_gives_other_octets_each_time() {
    let mut random = mka::OsRandom;
    assert_ne!(Mi::generate(&mut random), Mi::generate(&mut random));
}

fn eap(vector: &serde_json::Value, swap: bool) -> (Cak, Ckn) {
    let paes = vector["paes"].as_array().unwrap();
    let mut paes = [0, 1].map(|index: usize| MacAddress(octets(&paes[index]).try_into().unwrap()));
    if swap {
        paes.swap(0, 1);
    }
    let session_id = octets(&vector["session_id"]);
    eap_cak_and_ckn(&octets(&vector["msk"]), KeyLength::Bits128, &session_id, paes).unwrap()
}

#[test]
fn eap_cak_and_its_name() {
    for vector in vectors("eap") {
        for swap in [false, true] {
            let (derived, name) = eap(&vector, swap);
            assert_eq!(name, ckn(&vector["ckn"]));
            assert_eq!(derived, cak(&octets(&vector["cak"])));
        }
    }
}

#[test]
fn an_msk_may_be_longer_but_not_shorter_than_the_cak() {
    let paes = [MacAddress([2; 6]), MacAddress([4; 6])];
    let derive = |msk: &[u8], length| eap_cak_and_ckn(msk, length, b"session", paes);
    let (long, short) =
        (derive(&[1; 64], KeyLength::Bits128), derive(&[1; 16], KeyLength::Bits128));
    assert_eq!(long.unwrap(), short.unwrap());
    let (cak, name) = derive(&[1; 64], KeyLength::Bits256).unwrap();
    assert_eq!((cak.length(), name.octets().len()), (KeyLength::Bits256, 16));
    assert_eq!(derive(&[1; 31], KeyLength::Bits256).unwrap_err(), KeyError::MskLength);
    assert_eq!(derive(&[1; 15], KeyLength::Bits128).unwrap_err(), KeyError::MskLength);
}

#[test]
fn wrap_and_unwrap() {
    for vector in vectors("wrap") {
        let hierarchy = vectors("kek_ick");
        let parent = hierarchy.iter().find(|parent| parent["kek"] == vector["kek"]).unwrap();
        let kek = cak(&octets(&parent["cak"])).kek(&ckn(&parent["ckn"]));
        let sak = Sak::new(&octets(&vector["sak"])).unwrap();
        let wrapped = kek.wrap_sak(&sak).unwrap();
        assert_eq!(wrapped.octets(), octets(&vector["wrapped"]), "{}", vector["id"]);
        let suite = match sak.expose_octets().len() {
            16 => CipherSuite::GcmAes128,
            _ => CipherSuite::GcmAes256,
        };
        let again = kek.unwrap_sak(wrapped.octets(), suite).unwrap();
        assert_eq!(again.expose_octets(), sak.expose_octets());
    }
}

/// Pitfall 12: the length of the SAK has nothing to do with that of the CAK.
#[test]
fn cak_and_sak_of_128_and_256_bits_in_all_four_combinations() {
    for cak_len in [16, 32] {
        let kek = Cak::new(&vec![3; cak_len]).unwrap().kek(&common::lab_ckn());
        assert_eq!(format!("{kek:?}"), format!("Kek({} bits)", cak_len * 8));
        for suite in CipherSuite::ALL {
            let cak = Cak::new(&vec![3; cak_len]).unwrap();
            let random = &mut Fixed(vec![9; 32]);
            let sak = cak.generate_sak(suite, &[common::MI], 1, random).unwrap();
            assert_eq!(sak.expose_octets().len(), suite.key_len());
            let wrapped = kek.wrap_sak(&sak).unwrap();
            assert_eq!(wrapped.octets().len(), suite.key_len() + 8);
            let again = kek.unwrap_sak(wrapped.octets(), suite).unwrap();
            assert_eq!(again.expose_octets(), sak.expose_octets());
            let other_suite = match suite.key_len() {
                16 => CipherSuite::GcmAes256,
                _ => CipherSuite::GcmAes128,
            };
            let error = kek.unwrap_sak(wrapped.octets(), other_suite).unwrap_err();
            assert_eq!(error, KeyError::WrappedLength);
        }
    }
}

#[test]
fn a_changed_wrap_or_another_kek_is_refused() {
    let kek = common::lab_cak().kek(&common::lab_ckn());
    let sak = Sak::new(&[0x5a; 16]).unwrap();
    let wrapped = kek.wrap_sak(&sak).unwrap();
    let unwrap = |octets: &[u8]| kek.unwrap_sak(octets, CipherSuite::GcmAes128).map(drop);
    for at in 0..24 {
        let mut octets = wrapped.octets().to_vec();
        octets[at] ^= 0x10;
        assert_eq!(unwrap(&octets), Err(KeyError::Unwrap), "{at}");
    }
    for len in (0..40).filter(|&len| len != 24) {
        assert_eq!(unwrap(&vec![1; len]), Err(KeyError::WrappedLength), "{len}");
    }
    let other = common::lab_cak().kek(&Ckn::new(b"another").unwrap());
    let error = other.unwrap_sak(wrapped.octets(), CipherSuite::GcmAes128).unwrap_err();
    assert_eq!(error, KeyError::Unwrap);
}

#[test]
fn a_group_cak_travels_wrapped() {
    let kek = common::lab_cak().kek(&common::lab_ckn());
    for (len, length) in [(16, KeyLength::Bits128), (32, KeyLength::Bits256)] {
        let group = Cak::new(&vec![0x77; len]).unwrap();
        let wrapped = kek.wrap_cak(&group).unwrap();
        assert_eq!(kek.unwrap_cak(wrapped.octets(), length).unwrap(), group);
    }
    let zero = kek.wrap_sak(&Sak::new(&[0; 16]).unwrap()).unwrap();
    let error = kek.unwrap_cak(zero.octets(), KeyLength::Bits128).unwrap_err();
    assert_eq!(error, KeyError::CakZero);
}

#[test]
fn bad_caks_are_refused() {
    for len in (0..64).filter(|len| !matches!(len, 16 | 32)) {
        assert_eq!(Cak::new(&vec![1; len]).unwrap_err(), KeyError::CakLength, "{len}");
    }
    for len in [16, 32] {
        assert_eq!(Cak::new(&vec![0; len]).unwrap_err(), KeyError::CakZero);
        let mut last = vec![0; len];
        last[len - 1] = 1;
        assert!(Cak::new(&last).is_ok());
    }
}

#[test]
fn keys_show_nothing_and_compare_by_their_octets() {
    let (cak, ckn) = (common::lab_cak(), common::lab_ckn());
    assert_eq!(format!("{cak:?}"), "Cak(128 bits)");
    assert_eq!(format!("{:?}", cak.ick(&ckn)), "Ick(128 bits)");
    assert_eq!(format!("{:?}", cak.kek(&ckn)), "Kek(128 bits)");
    assert_eq!(cak, cak.clone());
    assert_ne!(cak, Cak::new(&[0x42; 32]).unwrap());
    assert_ne!(cak, Cak::new(&[0x43; 16]).unwrap());
    assert_eq!(cak.ick(&ckn), cak.ick(&ckn));
    assert_ne!(cak.kek(&ckn), cak.kek(&Ckn::new(b"other").unwrap()));
}

#[test]
fn keys_are_zeroed_on_drop() {
    fn zeroed<T: zeroize::ZeroizeOnDrop>() {}
    zeroed::<Cak>();
    zeroed::<mka::Ick>();
    zeroed::<mka::Kek>();
}

/// Pitfall 4, in key derivation: only the first 16 octets of a CKN go in, and zeros behind a shorter one.
#[test]
fn long_ckns_are_cut_and_short_ones_filled_for_derivation_only() {
    let cak = common::lab_cak();
    let name = |octets: &[u8]| Ckn::new(octets).unwrap();
    let (long, cut) = (name(&[7; 32]), name(&[7; 16]));
    assert_ne!(long, cut);
    assert_eq!(cak.ick(&long), cak.ick(&cut));
    let (short, filled) = (name(b"MKA01"), name(b"MKA01\0\0\0"));
    assert_ne!(short, filled);
    assert_eq!(cak.kek(&short), cak.kek(&filled));
}

#[test]
fn pitfall_11_session_ids_have_any_length() {
    let paes = [MacAddress([2; 6]), MacAddress([4; 6])];
    let names = [1, 33, 64, 65, 66, 255].map(|len| {
        let session_id = vec![0x0d; len];
        eap_cak_and_ckn(&[1; 16], KeyLength::Bits128, &session_id, paes).unwrap().1
    });
    for (index, name) in names.iter().enumerate() {
        assert!(!names[..index].contains(name), "{index}");
    }
}

#[test]
fn pitfall_17_and_53_the_salt_comes_from_the_ki() {
    for vector in vectors("salt") {
        let number = u32::try_from(vector["key_number"].as_u64().unwrap()).unwrap();
        let salt = xpn_salt(mi(&vector["mi"]).ki(number));
        assert_eq!(salt.0[..], octets(&vector["salt"]), "{}", vector["id"]);
    }
    assert_eq!(xpn_salt(Ki([0; 16])).0, [0; 12]);
}

#[test]
fn pitfall_17_sscis_by_sci_start_with_the_greatest() {
    let scis = [3, 1, 2].map(|port| Sci::new(MacAddress([2; 6]), port));
    let sscis = scis.map(|sci| ssci_by_sci(&scis, sci));
    assert_eq!(sscis, [Some(Ssci(1)), Some(Ssci(3)), Some(Ssci(2))]);
    // Compared as numbers of 64 bits, without sign.
    let (low, high) = (Sci([0x7f; 8]), Sci([0x80; 8]));
    assert_eq!(ssci_by_sci(&[low, high], high), Some(Ssci(1)));
    assert_eq!(ssci_by_sci(&[low, high], low), Some(Ssci(2)));
    // One who is not there, or there twice, has none.
    assert_eq!(ssci_by_sci(&[low], high), None);
    assert_eq!(ssci_by_sci(&[low, high, low], low), None);
}

#[test]
fn pitfall_17_sscis_by_list_leave_out_the_key_server() {
    for listed in 0..6 {
        for key_server in 0..=255 {
            let order = SsciOrder::new(key_server, listed);
            let valid = (1..=listed + 1).contains(&usize::from(key_server));
            assert_eq!(order.is_some(), valid, "{key_server} of {listed}");
            let Some(order) = order else { continue };
            let mut sscis: Vec<u32> = (0..listed).map(|at| order.peer(at).unwrap().0).collect();
            assert!(sscis.is_sorted());
            assert!(!sscis.contains(&order.key_server().0));
            sscis.push(order.key_server().0);
            sscis.sort_unstable();
            assert!(sscis.into_iter().eq(1..=u32::try_from(listed).unwrap() + 1));
            assert_eq!(order.peer(listed), None);
            assert_eq!(order.peer(usize::MAX), None);
        }
    }
}

/// Both ways to number give the same numbers, if the key server keeps to the order of the SCIs.
#[test]
fn sscis_by_list_and_by_sci_agree() {
    let scis: Vec<Sci> = (1..=5).rev().map(|port| Sci::new(MacAddress([2; 6]), port)).collect();
    for key_server in 0..scis.len() {
        let mut listed = scis.clone();
        let own = listed.remove(key_server);
        let octet = u8::try_from(ssci_by_sci(&scis, own).unwrap().0).unwrap();
        let order = SsciOrder::new(octet, listed.len()).unwrap();
        for (index, &peer) in listed.iter().enumerate() {
            assert_eq!(order.peer(index), ssci_by_sci(&scis, peer));
        }
    }
}

#[test]
fn pitfall_39_a_ckn_in_text_is_pairs_of_digits_of_either_case() {
    let name: Ckn = "4D4b413031".parse().unwrap();
    assert_eq!(name.octets(), b"MKA01");
    assert_eq!(name.to_string(), "4d4b413031");
    assert_eq!("0".repeat(64).parse::<Ckn>().unwrap().octets(), [0; 32]);
    for (text, error) in [
        ("", KeyError::CknLength),
        ("1", KeyError::CknText),
        ("123", KeyError::CknText),
        ("0x12", KeyError::CknText),
        ("12 4", KeyError::CknText),
        ("é1", KeyError::CknText),
        (&"0".repeat(65), KeyError::CknText),
        (&"0".repeat(66), KeyError::CknLength),
    ] {
        assert_eq!(text.parse::<Ckn>(), Err(error), "{text:?}");
    }
}

#[test]
fn pitfall_3_ckns_differ_by_their_length_too() {
    let name = |octets: &[u8]| Ckn::new(octets).unwrap();
    assert_ne!(name(b"MKA01"), name(b"MKA01\0"));
    assert_ne!(name(b"MKA01"), name(b"MKA0"));
    assert_eq!(Ckn::new(&[]), Err(KeyError::CknLength));
    assert_eq!(Ckn::new(&[1; 33]), Err(KeyError::CknLength));
    for len in 1..=32 {
        assert_eq!(name(&vec![9; len]).octets(), vec![9; len]);
    }
}

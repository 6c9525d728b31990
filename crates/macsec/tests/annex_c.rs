//! The example frames of 802.1AE Annex C, octet for octet, through the SecY and back; frames with a
//! confidentiality offset, and DPDK's bad frames.

mod common;

use common::{bare_secy, config, counters, validate, with_room};
use macsec::{
    An, CipherSuite, ClearVlanTags, Confidentiality, ConfidentialityOffset, Counters, DataKey, Ki,
    Parsed, Portable, ReceiveOutcome, ReceiveSa, Sak, Salt, Sci, SecTag, SecTagError, Ssci,
    TagProtection, TransmitSa, ValidateFrames,
};
use serde_json::Value;

macro_rules! vectors {
    ($path:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../test-vectors/", $path))
    };
}

const IEEE: [&str; 4] = [
    vectors!("ieee/gcm-aes-128.json"),
    vectors!("ieee/gcm-aes-256.json"),
    vectors!("ieee/gcm-aes-xpn-128.json"),
    vectors!("ieee/gcm-aes-xpn-256.json"),
];
const OFFSETS: &str = vectors!("derived/derived-confidentiality-offset.json");
const NEGATIVE: &str = vectors!("dpdk/negative-dpdk.json");

const RECEIVER: Sci = Sci([0x02, 0, 0, 0, 0, 0x99, 0, 1]);
const KI: Ki = Ki([0x4b; 16]);

#[derive(Clone)]
struct Vector {
    id: String,
    suite: CipherSuite,
    key: Vec<u8>,
    salt: Option<Salt>,
    ssci: Option<Ssci>,
    sci: Sci,
    explicit: bool,
    an: An,
    pn: u64,
    confidentiality: Confidentiality,
    sectag: Vec<u8>,
    unprotected: Vec<u8>,
    protected: Vec<u8>,
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().expect(name)
}

fn octets(value: &Value, name: &str) -> Vec<u8> {
    hex::decode(text(value, name)).expect(name)
}

fn fixed<const N: usize>(value: &Value, name: &str) -> Option<[u8; N]> {
    if value[name].is_null() {
        return None;
    }
    Some(octets(value, name).try_into().expect(name))
}

fn vectors_in(json: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(json).expect("JSON");
    file["vectors"].as_array().expect("vectors").clone()
}

impl Vector {
    fn read(value: &Value) -> Self {
        let pn = fixed(value, "pn").map(u32::from_be_bytes).expect("pn");
        let pn64 = fixed(value, "pn64").map(u64::from_be_bytes);
        Self {
            id: text(value, "id").to_owned(),
            suite: text(value, "cipher_suite").parse().expect("suite"),
            key: octets(value, "key"),
            salt: fixed(value, "salt").map(Salt),
            ssci: fixed(value, "ssci").map(u32::from_be_bytes).map(Ssci),
            sci: Sci(fixed(value, "sci").expect("sci")),
            explicit: value["sci_explicit"].as_bool().expect("sci_explicit"),
            an: An::new(value["an"].as_u64().expect("an") as u8).expect("an"),
            pn: pn64.unwrap_or(u64::from(pn)),
            confidentiality: match text(value, "mode") {
                "integrity" => Confidentiality::IntegrityOnly,
                "confidentiality" => Confidentiality::default(),
                other => panic!("mode {other}"),
            },
            sectag: octets(value, "sectag"),
            unprotected: octets(value, "unprotected_frame"),
            protected: octets(value, "protected_frame"),
        }
    }

    fn key(&self) -> DataKey {
        let sak = Sak::new(&self.key).expect("a SAK");
        DataKey::new(KI, self.suite, sak, self.salt).expect("a key")
    }

    /// A SecY about to send this very frame. Vectors without SCI are from an end station: `ES` is set.
    fn sender(&self) -> common::VecSecY {
        let config = config(|config| {
            config.always_include_sci = self.explicit;
            config.use_es = !self.explicit;
        });
        let mut secy = bare_secy(Portable, self.sci, config);
        secy.install_key(&self.key()).expect("key");
        let (an, ssci, next_pn) = (self.an, self.ssci, self.pn);
        let confidentiality = self.confidentiality;
        secy.install_transmit_sa(&TransmitSa { an, ki: KI, ssci, next_pn, confidentiality })
            .expect("SA");
        secy.enable_transmit_sa(an).expect("SA");
        secy
    }

    fn receiver(&self, mode: ValidateFrames) -> common::VecSecY {
        let config = config(|config| config.validate_frames = mode);
        let mut secy = bare_secy(Portable, RECEIVER, config);
        secy.install_key(&self.key()).expect("key");
        secy.create_receive_sc(self.sci).expect("SC");
        let (an, ssci, lowest_pn) = (self.an, self.ssci, self.pn);
        let offset = common::offset_of(self.confidentiality);
        secy.install_receive_sa(self.sci, &ReceiveSa { an, ki: KI, ssci, lowest_pn, offset })
            .expect("SA");
        secy.enable_receive_sa(self.sci, an).expect("SA");
        secy
    }

    fn encrypts(&self) -> bool {
        self.confidentiality != Confidentiality::IntegrityOnly
    }

    fn counted_out(&self) -> Counters {
        let octets = self.unprotected.len() as u64 - 12;
        counters(|c| {
            if self.encrypts() {
                c.transmit_sc.out_pkts_encrypted = 1;
                c.generation.out_octets_encrypted = octets;
            } else {
                c.transmit_sc.out_pkts_protected = 1;
                c.generation.out_octets_protected = octets;
            }
        })
    }

    fn counted_in(&self) -> Counters {
        let octets = self.unprotected.len() as u64 - 12;
        counters(|c| {
            c.receive_scs.in_pkts_ok = 1;
            if self.encrypts() {
                c.verification.in_octets_decrypted = octets;
            } else {
                c.verification.in_octets_validated = octets;
            }
        })
    }

    fn check_one_call(&self) {
        let id = &self.id;
        let mut sender = self.sender();
        let sent = sender.protect(with_room(&self.unprotected)).expect(id);
        assert_eq!(sent.octets(), self.protected, "{id}");
        assert_eq!(sender.counters(), self.counted_out(), "{id}");

        for mode in [ValidateFrames::Check, ValidateFrames::Strict] {
            let mut receiver = self.receiver(mode);
            let (outcome, delivered) = validate(&mut receiver, &self.protected);
            assert_eq!(outcome, ReceiveOutcome::Ok, "{id}");
            assert_eq!(delivered.as_ref(), Some(&self.unprotected), "{id}");
            assert_eq!(receiver.counters(), self.counted_in(), "{id}");
        }
    }

    fn check_three_steps(&self) {
        let id = &self.id;
        let mut sender = self.sender();
        let mut block = sender.reserve(1).expect(id);
        let sealer = sender.sealer(&block).expect(id);
        let pn = block.take_next().expect(id);
        let sealed = sealer.seal(pn, with_room(&self.unprotected)).expect(id);
        assert_eq!(sender.counters(), Counters::default(), "{id}");
        let sent = sender.count_sealed(sealed);
        assert_eq!(sent.octets(), self.protected, "{id}");
        assert_eq!(sender.counters(), self.counted_out(), "{id}");

        let mut receiver = self.receiver(ValidateFrames::Strict);
        let parsed = Parsed::new(self.protected.clone(), ClearVlanTags::None);
        let tag = parsed.sectag().copied().expect(id);
        let mut octets = [0; 16];
        let len = tag.emit(&mut octets).expect(id);
        assert_eq!(octets[..len], self.sectag, "{id}");
        let admitted = receiver.admit(parsed);
        assert!(admitted.needs_key(), "{id}");
        let opened = admitted.open(&Portable.expand_key(&self.key));
        assert_eq!(receiver.counters(), Counters::default(), "{id}");
        let verdict = receiver.commit(opened);
        assert_eq!(verdict.delivered(), Some(&self.unprotected[..]), "{id}");
        assert_eq!(receiver.counters(), self.counted_in(), "{id}");
    }
}

/// A key made from octets, past the SecY.
trait ExpandKey {
    fn expand_key(&self, octets: &[u8]) -> macsec_gcm::PortableKey;
}

impl ExpandKey for Portable {
    fn expand_key(&self, octets: &[u8]) -> macsec_gcm::PortableKey {
        let key = macsec_gcm::KeyBytes::from_slice(octets).expect("16 or 32");
        macsec_gcm::Backend::expand(self, key)
    }
}

fn ieee() -> Vec<Vector> {
    let values = IEEE.into_iter().flat_map(vectors_in);
    values.map(|value| Vector::read(&value)).collect()
}

#[test]
fn there_are_32_frames_eight_of_each_suite() {
    let vectors = ieee();
    assert_eq!(vectors.len(), 32);
    for suite in CipherSuite::ALL {
        let of_suite = vectors.iter().filter(|v| v.suite == suite);
        assert_eq!(of_suite.clone().count(), 8);
        assert_eq!(of_suite.clone().filter(|v| v.explicit).count(), 4);
        assert_eq!(of_suite.filter(|v| v.encrypts()).count(), 4);
    }
}

#[test]
fn every_frame_of_annex_c_is_protected_and_validated_octet_for_octet() {
    ieee().iter().for_each(Vector::check_one_call);
}

#[test]
fn every_frame_of_annex_c_is_the_same_in_three_steps() {
    ieee().iter().for_each(Vector::check_three_steps);
}

/// With offsets there is no independent known answer: these guard against change.
#[test]
fn sixteen_frames_with_a_confidentiality_offset_are_the_same_in_both_directions() {
    let bases = ieee();
    let values = vectors_in(OFFSETS);
    assert_eq!(values.len(), 16);
    for value in &values {
        let base = bases.iter().find(|base| base.id == text(value, "base"));
        let offset = match value["confidentiality_offset"].as_u64() {
            Some(30) => ConfidentialityOffset::Thirty,
            Some(50) => ConfidentialityOffset::Fifty,
            other => panic!("offset {other:?}"),
        };
        let vector = Vector {
            id: text(value, "id").to_owned(),
            confidentiality: Confidentiality::Encrypt(offset),
            protected: octets(value, "protected_frame"),
            sectag: octets(value, "sectag"),
            ..base.expect("its base").clone()
        };
        vector.check_one_call();
        vector.check_three_steps();
        // The offset is not on the wire; whoever takes it for another does not get past the ICV.
        let other = Vector { confidentiality: Confidentiality::default(), ..vector.clone() };
        let (outcome, delivered) =
            validate(&mut other.receiver(ValidateFrames::Check), &vector.protected);
        assert_eq!(outcome, ReceiveOutcome::NotValid, "{}", vector.id);
        assert_eq!(delivered, None);
    }
}

/// The frame that DPDK's bad ones were made from.
fn dpdk_vector(frame: &Value) -> Vector {
    Vector {
        id: text(frame, "id").to_owned(),
        suite: CipherSuite::GcmAes128,
        key: octets(frame, "key"),
        salt: None,
        ssci: None,
        sci: Sci(*b"\xfe\x2f\xcd\x14\x24\x1b\x88\x2c"),
        explicit: true,
        an: An::default(),
        pn: 2,
        confidentiality: Confidentiality::default(),
        sectag: Vec::new(),
        unprotected: Vec::new(),
        protected: octets(frame, "protected_frame"),
    }
}

#[test]
fn every_bad_frame_of_dpdk_is_discarded_for_its_own_defect() {
    let file: Value = serde_json::from_str(NEGATIVE).expect("JSON");
    let frames = file["frames"].as_array().expect("frames");
    assert_eq!(frames.len(), 8);
    for frame in frames {
        let vector = dpdk_vector(frame);
        let expected = match vector.id.as_str() {
            "dpdk-err_cipher-0" => ReceiveOutcome::NotValid,
            "dpdk-bad_tag-0" => ReceiveOutcome::BadTag(SecTagError::Version),
            "dpdk-bad_tag-1" => ReceiveOutcome::BadTag(SecTagError::ChangedText),
            "dpdk-bad_tag-2" | "dpdk-bad_tag-3" => ReceiveOutcome::BadTag(SecTagError::SciTwice),
            "dpdk-bad_tag-4" => ReceiveOutcome::BadTag(SecTagError::PnZero),
            "dpdk-bad_tag-5" => ReceiveOutcome::BadTag(SecTagError::ReservedBits),
            "dpdk-intr_test-2" => ReceiveOutcome::BadTag(SecTagError::ShortLengthRange),
            other => panic!("what is {other}?"),
        };
        let counted = counters(|c| match expected {
            ReceiveOutcome::NotValid => c.receive_scs.in_pkts_not_valid = 1,
            _ => c.verification.in_pkts_bad_tag = 1,
        });
        for mode in [ValidateFrames::Check, ValidateFrames::Strict] {
            let mut receiver = vector.receiver(mode);
            let received = validate(&mut receiver, &vector.protected);
            assert_eq!(received, (expected, None), "{} {mode}", vector.id);
            assert_eq!(receiver.counters(), counted, "{} {mode}", vector.id);
        }
    }
}

#[test]
fn changed_text_is_checked_for_integrity_if_it_is_to_be_accepted() {
    let file: Value = serde_json::from_str(NEGATIVE).expect("JSON");
    let vector = dpdk_vector(&file["frames"][2]);
    for mode in [ValidateFrames::Check, ValidateFrames::Strict] {
        let mut receiver = vector.receiver(mode);
        let mut config = *receiver.config();
        config.compat.accept_changed_text = true;
        receiver.set_config(config).expect("controls that agree");
        let parsed = Parsed::new(vector.protected.clone(), ClearVlanTags::None);
        let protection = parsed.sectag().map(|tag: &SecTag| tag.protection);
        assert_eq!(protection, Some(TagProtection::ChangedText));
        let received = validate(&mut receiver, &vector.protected);
        assert_eq!(received, (ReceiveOutcome::NotValid, None), "{mode}");
        let counted = counters(|c| c.receive_scs.in_pkts_not_valid = 1);
        assert_eq!(receiver.counters(), counted);
    }
}

/// The defect undone: else the frames above could be refused for anything.
#[test]
fn the_frame_that_dpdk_spoiled_is_valid() {
    let file: Value = serde_json::from_str(NEGATIVE).expect("JSON");
    let mut vector = dpdk_vector(&file["frames"][0]);
    let first = 12 + 16;
    assert_eq!(vector.protected[first], 0x38);
    vector.protected[first] = 0x39;
    let mut receiver = vector.receiver(ValidateFrames::Strict);
    let (outcome, delivered) = validate(&mut receiver, &vector.protected);
    assert_eq!(outcome, ReceiveOutcome::Ok);
    assert_eq!(delivered.map(|frame| frame.len()), Some(64));
}

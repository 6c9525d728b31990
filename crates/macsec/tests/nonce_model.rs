//! Whatever is called in whatever order, no nonce meets a key twice: seen by a cipher that keeps a
//! list, and read off the wire.

mod common;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use common::{SENDER, VecSecY, an, bare_secy, config, data_key, ki, user_frame, with_room};
use macsec::{CipherSuite, PnBlock, ProtectError, SecTag, Ssci, TransmitSa};
use macsec_gcm::{Backend, GcmKey, KeyBytes, OpenJob, SealJob};
use proptest::{prelude::*, sample::select};

/// All (key, nonce) pairs that frames were sealed with.
type Seen = Rc<RefCell<BTreeSet<(Vec<u8>, [u8; 12])>>>;

#[derive(Clone, Default)]
struct Watching(Seen);

struct WatchedKey {
    octets: Vec<u8>,
    seen: Seen,
}

impl Backend for Watching {
    type Key = WatchedKey;

    fn name(&self) -> &'static str {
        "watching"
    }

    fn expand(&self, key: KeyBytes<'_>) -> WatchedKey {
        WatchedKey { octets: key.as_slice().to_vec(), seen: Rc::clone(&self.0) }
    }
}

impl GcmKey for WatchedKey {
    fn seal_batch(&self, jobs: &mut [SealJob<'_>]) {
        for job in jobs {
            job.tag.copy_from_slice(&self.octets[..16]);
            // Without additional data it is no frame (the SecY's check for equal keys).
            if !job.aad.is_empty() {
                let pair = (self.octets.clone(), job.nonce);
                assert!(self.seen.borrow_mut().insert(pair), "nonce used twice");
            }
        }
    }

    fn open_batch(&self, _: &mut [OpenJob<'_>]) {
        panic!("nothing is received here");
    }
}

#[derive(Clone, Debug)]
enum Call {
    InstallKey(u8),
    RemoveKey(u8),
    Install { an: u8, key: u8, pn: u64, ssci: u32 },
    Enable(u8),
    Disable(u8),
    Delete { an: u8, key: u8 },
    Raise { an: u8, pn: u64 },
    Protect,
    ProtectBatch(u8),
    Reserve(u8),
    Split { block: u8, count: u8 },
    SealBlock { block: u8, count: u8 },
    Drop(u8),
}

fn any_call(suite: CipherSuite) -> impl Strategy<Value = Call> {
    let max = suite.max_pn();
    let pn = select(vec![1, 1, 2, 4, 8, 100, max - 40, max - 3, max]);
    let (an, key) = (0..4_u8, 1..5_u8);
    prop_oneof![
        1 => key.clone().prop_map(Call::InstallKey),
        1 => key.clone().prop_map(Call::RemoveKey),
        4 => (an.clone(), key.clone(), pn.clone(), select(vec![1, 1, 1, 2]))
            .prop_map(|(an, key, pn, ssci)| Call::Install { an, key, pn, ssci }),
        4 => an.clone().prop_map(Call::Enable),
        1 => an.clone().prop_map(Call::Disable),
        2 => (an.clone(), key).prop_map(|(an, key)| Call::Delete { an, key }),
        1 => (an, pn).prop_map(|(an, pn)| Call::Raise { an, pn }),
        4 => Just(Call::Protect),
        2 => (0..40_u8).prop_map(Call::ProtectBatch),
        3 => (0..12_u8).prop_map(Call::Reserve),
        2 => (0..6_u8, 0..6_u8).prop_map(|(block, count)| Call::Split { block, count }),
        4 => (0..6_u8, 0..40_u8).prop_map(|(block, count)| Call::SealBlock { block, count }),
        1 => (0..6_u8).prop_map(Call::Drop),
    ]
}

/// The SecY, what is reserved from it, and what has been on the wire.
struct Model {
    suite: CipherSuite,
    secy: VecSecY<Watching>,
    blocks: Vec<PnBlock>,
    /// Which key the SA of each AN has.
    keys: BTreeMap<u8, u8>,
    /// Key and PN field of every frame. (The PNs in play differ in the lower half already.)
    on_wire: BTreeSet<(u8, u32)>,
}

impl Model {
    fn new(suite: CipherSuite, backend: Watching) -> Self {
        let mut secy = bare_secy(backend, SENDER, config(|_| {}));
        for key in 1..=3 {
            secy.install_key(&data_key(suite, key)).expect("room");
        }
        Self { suite, secy, blocks: Vec::new(), keys: BTreeMap::new(), on_wire: BTreeSet::new() }
    }

    fn sent(&mut self, wire: &[u8]) {
        let tag = SecTag::parse(&wire[12..]).expect("what we send is valid");
        let key = self.keys[&tag.an.number()];
        assert!(self.on_wire.insert((key, tag.pn)), "PN {} again", tag.pn);
    }

    fn call(&mut self, call: &Call) {
        match *call {
            Call::InstallKey(key) => {
                let _ = self.secy.install_key(&data_key(self.suite, key));
            }
            Call::RemoveKey(key) => {
                let _ = self.secy.remove_key(ki(key));
            }
            Call::Install { an: number, key, pn, ssci } => {
                let sa = TransmitSa {
                    an: an(number),
                    ki: ki(key),
                    ssci: self.suite.is_xpn().then_some(Ssci(ssci)),
                    next_pn: pn,
                    confidentiality: common::ENCRYPT,
                };
                if self.secy.install_transmit_sa(&sa).is_ok() {
                    self.keys.insert(number, key);
                }
            }
            Call::Enable(number) => {
                let _ = self.secy.enable_transmit_sa(an(number));
            }
            Call::Disable(number) => {
                let _ = self.secy.disable_transmit_sa(an(number));
            }
            Call::Delete { an: number, key } => {
                let _ = self.secy.delete_transmit_sa(an(number), ki(key));
            }
            Call::Raise { an: number, pn } => {
                let _ = self.secy.raise_transmit_next_pn(an(number), pn);
            }
            Call::Protect => {
                if let Ok(wire) = common::try_protect(&mut self.secy, &user_frame(60)) {
                    self.sent(&wire);
                }
            }
            Call::ProtectBatch(count) => {
                let frames = (0..count).map(|_| with_room(&user_frame(60)));
                let mut wires = Vec::new();
                self.secy.protect_batch(frames, |result| {
                    wires.extend(result.map(|sent| sent.octets().to_vec()));
                });
                wires.iter().for_each(|wire| self.sent(wire));
            }
            Call::Reserve(count) => self.blocks.extend(self.secy.reserve(count.into())),
            Call::Split { block, count } => {
                if let Some(block) = self.blocks.get_mut(usize::from(block)) {
                    let before = block.len();
                    let first = block.split_first(count.into());
                    assert_eq!(first.len() + block.len(), before);
                    self.blocks.push(first);
                }
            }
            Call::SealBlock { block, count } => self.seal(block, count),
            Call::Drop(block) => {
                if usize::from(block) < self.blocks.len() {
                    drop(self.blocks.remove(block.into()));
                }
            }
        }
    }

    /// Seals with the block's own SA, or, if that is gone, tries to with the SA that encodes now.
    fn seal(&mut self, block: u8, count: u8) {
        let fresh = self.secy.reserve(1);
        let Some(block) = self.blocks.get_mut(usize::from(block)) else {
            return;
        };
        let own = self.secy.sealer(block);
        let at_home = own.is_some();
        let other = fresh.ok().and_then(|fresh| self.secy.sealer(&fresh));
        let Some(sealer) = own.or(other) else {
            return;
        };
        let mut left = block.len();
        let frames = (0..count).map(|_| with_room(&user_frame(60)));
        let mut sealed = Vec::new();
        sealer.seal_batch(block, frames, |result| {
            match &result {
                Ok(_) => assert!(at_home && left > 0),
                Err(refused) if left == 0 => assert_eq!(refused.error, ProtectError::PnExhausted),
                Err(refused) => {
                    assert!(!at_home);
                    assert_eq!(refused.error, ProtectError::ForeignPn);
                }
            }
            left = left.saturating_sub(1);
            sealed.extend(result);
        });
        for sealed in sealed {
            let wire = self.secy.count_sealed(sealed).octets().to_vec();
            self.sent(&wire);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_nonce_meets_a_key_twice(
        (suite, calls) in select(CipherSuite::ALL.to_vec()).prop_flat_map(|suite| {
            (Just(suite), prop::collection::vec(any_call(suite), 1..120))
        }),
    ) {
        let watching = Watching::default();
        let mut model = Model::new(suite, watching.clone());
        calls.iter().for_each(|call| model.call(call));
        // Every frame sealed was sent, and none but these.
        prop_assert_eq!(watching.0.borrow().len(), model.on_wire.len());
        let counted = model.secy.counters().transmit_sc.out_pkts_encrypted;
        prop_assert_eq!(counted, model.on_wire.len() as u64);
    }
}

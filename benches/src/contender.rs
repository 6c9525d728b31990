//! What is measured: chunks of frames through `macsec`, its backend, and `ring`.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use macsec::{
    An, CipherSuite, Config, DataKey, FrameBuf, HEADROOM, KeySlot, Ki, MacAddress, Portable,
    ReceiveSa, ReceiveScSlot, Sak, Salt, Sci, SecY, Ssci, TAILROOM, TransmitSa,
};
use macsec_gcm::{Backend, GcmKey, KeyBytes, OpenJob, SealJob};
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

/// Frames in a chunk, which is what is timed at once.
pub const CHUNK: usize = 32;

/// Octets of additional data: addresses and SecTAG with SCI.
const AAD: [u8; 28] = [0xad; 28];
const ADDRESSES_LEN: usize = 12;
const SECTAG_LEN: usize = 16;
const ICV_LEN: usize = 16;
const SAK: [u8; 32] = [0x42; 32];
const AN: An = An::ALL[0];
const ALICE: Sci = Sci::new(MacAddress([2, 0, 0, 0, 0, 1]), 1);
const BOB: Sci = Sci::new(MacAddress([2, 0, 0, 0, 0, 2]), 1);

type BenchSecY = SecY<Portable, [KeySlot<<Portable as Backend>::Key>; 1], [ReceiveScSlot; 1]>;

/// Sending or receiving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Protect; seal.
    Protect,
    /// Validate; open.
    Validate,
}

/// Something that handles [`CHUNK`] frames at a time.
pub struct Contender {
    prepare: Box<dyn FnMut(&mut Frames)>,
    run: Box<dyn FnMut(&mut Frames)>,
    frames: Frames,
}

impl Contender {
    fn new(
        frames: Frames,
        prepare: impl FnMut(&mut Frames) + 'static,
        run: impl FnMut(&mut Frames) + 'static,
    ) -> Self {
        Self { prepare: Box::new(prepare), run: Box::new(run), frames }
    }

    /// Prepares a chunk, which is not timed, and runs it, which is.
    pub fn time_chunk(&mut self) -> Duration {
        (self.prepare)(&mut self.frames);
        let begin = Instant::now();
        (self.run)(black_box(&mut self.frames));
        begin.elapsed()
    }
}

/// The buffers of a chunk. Every contender has its own, of the same size and alignment.
struct Frames {
    buffers: Vec<Vec<u8>>,
    /// Octets of a frame before protection, from the destination address on.
    len: usize,
}

impl Frames {
    fn new(len: usize) -> Self {
        let buffer = vec![0x5a; HEADROOM + len + TAILROOM];
        Self { buffers: vec![buffer; CHUNK], len }
    }

    fn unprotected(&mut self) -> impl Iterator<Item = FrameBuf<&mut [u8]>> {
        let range = HEADROOM..HEADROOM + self.len;
        self.buffers
            .iter_mut()
            .filter_map(move |buffer| FrameBuf::new(&mut buffer[..], range.clone()).ok())
    }

    /// Where the raw ciphers find their text, tag behind it: as in a protected frame.
    fn texts(&mut self) -> impl Iterator<Item = (&mut [u8], &mut [u8; ICV_LEN])> {
        self.buffers.iter_mut().filter_map(|buffer| {
            buffer[ADDRESSES_LEN + SECTAG_LEN..].split_last_chunk_mut::<ICV_LEN>()
        })
    }
}

fn nonce(number: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&number.to_be_bytes());
    nonce
}

fn secy(suite: CipherSuite, ours: Sci, peer: Sci) -> BenchSecY {
    let mut config = Config::default();
    config.always_include_sci = true;
    // The same chunk is received again and again: it must stay inside the window.
    config.replay_window = (1 << 30) - 1;
    let keys = [const { KeySlot::EMPTY }; 1];
    let peers = [const { ReceiveScSlot::EMPTY }; 1];
    let mut secy = SecY::new(Portable, ours, config, keys, peers).expect("controls");
    let ki = Ki([1; 16]);
    let sak = Sak::new(&SAK[..suite.key_len()]).expect("length");
    let salt = suite.is_xpn().then_some(Salt([7; 12]));
    let key = DataKey::new(ki, suite, sak, salt).expect("parts");
    secy.install_key(&key).expect("key");
    let ssci = |sci: Sci| suite.is_xpn().then_some(Ssci(u32::from(sci.mac().0[5])));
    secy.create_receive_sc(peer).expect("SC");
    let receive =
        ReceiveSa { an: AN, ki, ssci: ssci(peer), lowest_pn: 1, offset: Default::default() };
    secy.install_receive_sa(peer, &receive).expect("SA");
    secy.enable_receive_sa(peer, AN).expect("SA");
    let transmit = TransmitSa {
        an: AN,
        ki,
        ssci: ssci(ours),
        next_pn: 1,
        confidentiality: Default::default(),
    };
    secy.install_transmit_sa(&transmit).expect("SA");
    secy.enable_transmit_sa(AN).expect("SA");
    secy
}

/// `SecY::protect`, frame by frame.
#[must_use]
pub fn protect(suite: CipherSuite, len: usize) -> Contender {
    let mut secy = secy(suite, ALICE, BOB);
    Contender::new(
        Frames::new(len),
        |_| {},
        move |frames| {
            for frame in frames.unprotected() {
                assert!(secy.protect(frame).is_ok());
            }
        },
    )
}

/// `SecY::protect_batch`.
#[must_use]
pub fn protect_batch(suite: CipherSuite, len: usize) -> Contender {
    let mut secy = secy(suite, ALICE, BOB);
    Contender::new(
        Frames::new(len),
        |_| {},
        move |frames| {
            secy.protect_batch(frames.unprotected(), |sent| assert!(sent.is_ok()));
        },
    )
}

/// `SecY::validate`, frame by frame.
#[must_use]
pub fn validate(suite: CipherSuite, len: usize) -> Contender {
    let mut secy = secy(suite, BOB, ALICE);
    Contender::new(Frames::new(len), protected_frames(suite, len), move |frames| {
        for buffer in &mut frames.buffers {
            assert!(secy.validate(&mut buffer[..]).delivered().is_some());
        }
    })
}

/// `SecY::validate_batch`.
#[must_use]
pub fn validate_batch(suite: CipherSuite, len: usize) -> Contender {
    let mut secy = secy(suite, BOB, ALICE);
    Contender::new(Frames::new(len), protected_frames(suite, len), move |frames| {
        let buffers = frames.buffers.iter_mut().map(|buffer| &mut buffer[..]);
        secy.validate_batch(buffers, |verdict| assert!(verdict.delivered().is_some()));
    })
}

/// Puts the same protected frames there before every chunk.
fn protected_frames(suite: CipherSuite, len: usize) -> impl FnMut(&mut Frames) {
    let mut sender = secy(suite, ALICE, BOB);
    let mut frames = Frames::new(len);
    for frame in frames.unprotected() {
        assert!(sender.protect(frame).is_ok());
    }
    restore(frames)
}

/// Puts the same octets there before every chunk.
fn restore(original: Frames) -> impl FnMut(&mut Frames) {
    move |frames| {
        for (to, from) in frames.buffers.iter_mut().zip(&original.buffers) {
            to.copy_from_slice(from);
        }
    }
}

/// The backend alone, one job at a time.
#[must_use]
pub fn portable(operation: Operation, suite: CipherSuite, len: usize) -> Contender {
    backend(operation, suite, len, false)
}

/// The backend alone, a chunk of jobs at a time.
#[must_use]
pub fn portable_batch(operation: Operation, suite: CipherSuite, len: usize) -> Contender {
    backend(operation, suite, len, true)
}

fn backend(operation: Operation, suite: CipherSuite, len: usize, batch: bool) -> Contender {
    let octets = &SAK[..suite.key_len()];
    let key = Portable.expand(KeyBytes::from_slice(octets).expect("16 or 32 octets"));
    let mut numbers = 0_u64..;
    let mut sealed = Frames::new(len);
    for ((text, tag), number) in sealed.texts().zip(0..) {
        key.seal(&mut SealJob { nonce: nonce(number), aad: &AAD, text, tag });
    }
    match operation {
        Operation::Protect => Contender::new(
            Frames::new(len),
            |_| {},
            move |frames| {
                let jobs = frames.texts().zip(&mut numbers).map(|((text, tag), number)| {
                    let nonce = nonce(number);
                    SealJob { nonce, aad: black_box(&AAD), text, tag }
                });
                if batch {
                    key.seal_batch(&mut jobs.collect::<Vec<_>>());
                } else {
                    jobs.for_each(|mut job| key.seal(&mut job));
                }
            },
        ),
        Operation::Validate => Contender::new(Frames::new(len), restore(sealed), move |frames| {
            let jobs = frames.texts().zip(0..).map(|((text, tag), number)| {
                OpenJob::new(nonce(number), black_box(&AAD), text, tag)
            });
            if batch {
                let mut jobs = jobs.collect::<Vec<_>>();
                key.open_batch(&mut jobs);
                assert!(jobs.iter().all(OpenJob::is_authentic));
            } else {
                jobs.for_each(|mut job| {
                    key.open(&mut job);
                    assert!(job.is_authentic());
                });
            }
        }),
    }
}

/// `ring` alone, one frame at a time; it has no batches.
#[must_use]
pub fn ring_alone(operation: Operation, suite: CipherSuite, len: usize) -> Contender {
    let octets = &SAK[..suite.key_len()];
    let algorithm = if octets.len() == 16 { &AES_128_GCM } else { &AES_256_GCM };
    let key = LessSafeKey::new(UnboundKey::new(algorithm, octets).expect("the key's length"));
    let seal = move |key: &LessSafeKey, number, text: &mut [u8], tag: &mut [u8; ICV_LEN]| {
        let nonce = Nonce::assume_unique_for_key(nonce(number));
        let sealed = key.seal_in_place_separate_tag(nonce, Aad::from(black_box(&AAD)), text);
        tag.copy_from_slice(sealed.expect("short enough").as_ref());
    };
    let mut numbers = 0_u64..;
    let mut sealed = Frames::new(len);
    for ((text, tag), number) in sealed.texts().zip(0..) {
        seal(&key, number, text, tag);
    }
    match operation {
        Operation::Protect => Contender::new(
            Frames::new(len),
            |_| {},
            move |frames| {
                for ((text, tag), number) in frames.texts().zip(&mut numbers) {
                    seal(&key, number, text, tag);
                }
            },
        ),
        Operation::Validate => Contender::new(Frames::new(len), restore(sealed), move |frames| {
            for (buffer, number) in frames.buffers.iter_mut().zip(0..) {
                let nonce = Nonce::assume_unique_for_key(nonce(number));
                let text = &mut buffer[ADDRESSES_LEN + SECTAG_LEN..];
                let opened = key.open_in_place(nonce, Aad::from(black_box(&AAD)), text);
                assert!(opened.is_ok());
            }
        }),
    }
}

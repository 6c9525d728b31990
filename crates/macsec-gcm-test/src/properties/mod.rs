//! What holds for any frame, any batch and any forgery.

mod batch;
mod forgery;
mod lengths;

pub use batch::{every_batch_size, mixed_batches, one_odd_job_anywhere};
pub use forgery::{
    every_flipped_bit, every_key_bit, moved_boundaries, paired_tag_bits, random_forgeries,
};
pub use lengths::{every_alignment, every_short_length, frame_lengths, long_text};

use proptest::{
    prelude::*,
    sample::select,
    test_runner::{Config, TestCaseError, TestRunner},
};

use crate::{
    Check,
    case::{KEY_LENS, Shape},
    frame::{Damage, Part},
    oracle,
};

/// The longest text, more than a jumbo frame.
const MAX_TEXT: usize = 9600;

/// Checks `cases` values of `strategy`, or as many as `PROPTEST_CASES` says, and panics with the
/// smallest that fails.
#[track_caller]
fn hold<S: Strategy>(rule: &str, cases: u32, strategy: &S, check: impl Fn(S::Value) -> Check) {
    let mut config =
        Config { failure_persistence: None, max_shrink_iters: 500, ..Config::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    let checked = |value| check(value).map_err(TestCaseError::fail);
    if let Err(error) = TestRunner::new(config).run(strategy, checked) {
        panic!("{rule}: {error}");
    }
}

/// Key octets of either length.
fn any_key() -> impl Strategy<Value = Vec<u8>> {
    (select(&KEY_LENS[..]), any::<u64>()).prop_map(|(len, seed)| oracle::octets(seed, len))
}

/// The frames that MACsec makes, and others: encrypted behind a SecTAG without or with SCI, with a
/// confidentiality offset, integrity only, and anything at all.
fn any_shape() -> impl Strategy<Value = Shape> {
    let header = || select(&[20_usize, 28][..]);
    let lengths = prop_oneof![
        4 => (header(), any_length()),
        1 => (header().prop_flat_map(|h| select(vec![h + 30, h + 50])), any_length()),
        2 => (header(), any_length()).prop_map(|(header, data)| (header + data, 0)),
        2 => (0..=300_usize, 0..=300_usize),
    ];
    (lengths, 0..64_usize).prop_map(|((aad, text), offset)| Shape { aad, text, offset })
}

/// Lengths of texts: near the sizes of blocks and of strides, and any up to the longest.
fn any_length() -> impl Strategy<Value = usize> {
    prop_oneof![
        3 => 0..=300_usize,
        2 => (0..=12_usize, 0..=2_usize).prop_map(|(power, off)| (1_usize << power) + off - 1),
        2 => select(&[46_usize, 64, 1280, 1500, 1514][..]),
        1 => 0..=MAX_TEXT,
    ]
}

fn any_damage() -> impl Strategy<Value = Damage> {
    (select(&Part::ALL[..]), any::<u16>())
        .prop_map(|(part, bit)| Damage { part, bit: usize::from(bit) })
}

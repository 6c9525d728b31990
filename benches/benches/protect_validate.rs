//! Protect and validate, by suite and frame length, beside the ciphers under them. See README.md.

use std::{env, time::Duration};

use criterion::{BenchmarkId, Criterion, Throughput};
use macsec::CipherSuite;
use macsec_benches::{
    CHUNK, Contender, Operation, paired, portable, portable_batch, protect, protect_batch,
    ring_alone, validate, validate_batch,
};

const LENGTHS: [usize; 7] = [64, 128, 256, 512, 1024, 1500, 9000];
/// What protecting a frame of this length may cost above the backend under it.
const KEY_LENGTH: usize = 1500;
const KEY_LIMIT: f64 = 1.05;

/// How much to measure.
struct Extent {
    suites: &'static [CipherSuite],
    lengths: &'static [usize],
    /// For each row of the summary.
    budget: Duration,
}

const FULL: Extent =
    Extent { suites: &CipherSuite::ALL, lengths: &LENGTHS, budget: Duration::from_millis(1500) };
const SMOKE: Extent = Extent {
    suites: &[CipherSuite::GcmAes128, CipherSuite::GcmAesXpn256],
    lengths: &[64, 1500],
    budget: Duration::from_millis(500),
};

fn main() {
    // Run by `cargo test --benches`: that this builds is all that is asked then.
    if !env::args().any(|arg| arg == "--bench") {
        return;
    }
    let given = |option: &str| env::args().any(|arg| arg == option);
    let smoke = given("--quick") || env::var_os("MACSEC_BENCH_SMOKE").is_some();
    let extent = if smoke { &SMOKE } else { &FULL };
    if !given("--summary") {
        absolute(extent, smoke);
    }
    // Asked for criterion's cases of that name: they have no rest to compare with.
    if !env::args().skip(1).any(|arg| arg.contains('/')) {
        summary(extent);
    }
}

/// Every contender on its own, by criterion.
fn absolute(extent: &Extent, smoke: bool) {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(if smoke { 300 } else { 1500 }))
        .sample_size(if smoke { 10 } else { 30 })
        .configure_from_args();
    for &suite in extent.suites {
        for &operation in &[Operation::Protect, Operation::Validate] {
            let mut group = criterion.benchmark_group(format!("{}/{suite}", name(operation)));
            for &len in extent.lengths {
                group.throughput(Throughput::Bytes((CHUNK * len) as u64));
                for (name, contender) in contenders(operation, suite, len) {
                    let mut contender = contender;
                    group.bench_function(BenchmarkId::new(name, len), |bencher| {
                        bencher.iter_custom(|chunks| {
                            (0..chunks).map(|_| contender.time_chunk()).sum::<Duration>()
                        });
                    });
                }
            }
            group.finish();
        }
    }
}

/// All contenders by turns, and the ratios of their medians.
fn summary(extent: &Extent) {
    println!("\nBy turns, in chunks of {CHUNK} frames; ratios of medians.");
    println!("        backend  |  macsec : backend  |  backend : ring");
    println!("octets  ns/frame |   single     batch |  single");
    let mut key_figures = Vec::new();
    for &operation in &[Operation::Protect, Operation::Validate] {
        for &suite in extent.suites {
            println!("{} {suite}", name(operation));
            for &len in extent.lengths {
                let key = operation == Operation::Protect && len == KEY_LENGTH;
                let budget = extent.budget * if key { 4 } else { 1 };
                let (_, mut contenders): (Vec<_>, Vec<_>) =
                    contenders(operation, suite, len).into_iter().unzip();
                let medians = paired(&mut contenders, budget);
                let single = medians.ratio(SINGLE, BACKEND);
                println!(
                    "{len:6}  {:8.0} | {single:8.3}  {:8.3} | {:7.2}",
                    medians.of(BACKEND).as_secs_f64() * 1e9 / CHUNK as f64,
                    medians.ratio(BATCH, BACKEND_BATCH),
                    medians.ratio(BACKEND, RING),
                );
                if key {
                    key_figures.push((suite, single));
                }
            }
        }
    }
    println!("\nKey figure: protect of {KEY_LENGTH} octets costs, of the backend under it,");
    for (suite, ratio) in key_figures {
        let verdict = if ratio <= KEY_LIMIT { "within" } else { "ABOVE" };
        let limit = 100.0 * KEY_LIMIT;
        println!("  {suite:16} {:6.1} %  ({verdict} {limit:.0} %)", 100.0 * ratio);
    }
}

const SINGLE: usize = 0;
const BATCH: usize = 1;
const BACKEND: usize = 2;
const BACKEND_BATCH: usize = 3;
const RING: usize = 4;

fn contenders(
    operation: Operation,
    suite: CipherSuite,
    len: usize,
) -> [(&'static str, Contender); 5] {
    let (single, batch) = match operation {
        Operation::Protect => (protect(suite, len), protect_batch(suite, len)),
        Operation::Validate => (validate(suite, len), validate_batch(suite, len)),
    };
    [
        ("macsec", single),
        ("macsec-batch", batch),
        ("portable", portable(operation, suite, len)),
        ("portable-batch", portable_batch(operation, suite, len)),
        ("ring", ring_alone(operation, suite, len)),
    ]
}

fn name(operation: Operation) -> &'static str {
    match operation {
        Operation::Protect => "protect",
        Operation::Validate => "validate",
    }
}

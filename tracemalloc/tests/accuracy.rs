//! Two hundred runs of sampling, each with another seed: what the estimates are worth.
//!
//! The program has two places that allocate as many bytes as each other: a great many blocks of 8
//! bytes, and a single one. (jemalloc's documentation of its sampling has the same two.) The mean
//! of all estimates must be right within 1 %, and the truth must lie within two standard errors,
//! 1.96, in 92 to 98 % of the runs.
//!
//! One thread, no harness: so the samples are the same in each run of this test.
//!
//! `cargo test --release -p tracemalloc --test accuracy -- BLOCKS PERIOD` takes other numbers.

use std::hint::black_box;

use pymalloc::PyMalloc;
use tracemalloc::{Config, KeyType, Mode, Snapshot, Statistic, Unwinder};

#[global_allocator]
static GLOBAL: PyMalloc = PyMalloc;

const SEEDS: u64 = 200;

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .filter_map(|text| text.parse().ok());
    let blocks = arguments.next().unwrap_or(100_000);
    let period_bytes = arguments.next().unwrap_or(1600) as u64;
    let small = many(blocks, period_bytes);
    let truth = (blocks * 8) as f64;
    println!("{blocks} blocks of 8 bytes, and one of {truth}; a sample each {period_bytes} bytes");
    println!("{:24}{:>12}{:>14}", "", "mean / truth", "within 95 %");
    let mut wrong = false;
    for (name, truth, estimates) in [
        ("bytes, small blocks", truth, &small.bytes),
        ("blocks, small blocks", blocks as f64, &small.blocks),
        ("bytes, the large block", truth, &small.large),
        ("bytes in all", 2.0 * truth, &small.all),
    ] {
        let count = estimates.len() as f64;
        let mean = estimates.iter().map(|&(value, _)| value).sum::<f64>() / count / truth;
        let inside = |&&(value, error): &&(f64, f64)| (value - truth).abs() <= 1.96 * error + 0.5;
        let within = estimates.iter().filter(inside).count() as f64 / count;
        println!("{name:24}{mean:12.4}{:13.1}%", within * 100.0);
        wrong |= (mean - 1.0).abs() > 0.01;
        // Of the large block there is no doubt: each of its samples has the chance 1.
        let is_certain = name == "bytes, the large block";
        wrong |= if is_certain {
            within < 1.0
        } else {
            !(0.92..=0.98).contains(&within)
        };
    }
    assert!(!wrong, "the estimates are not what they claim to be");
}

#[derive(Default)]
struct Estimates {
    bytes: Vec<(f64, f64)>,
    blocks: Vec<(f64, f64)>,
    large: Vec<(f64, f64)>,
    all: Vec<(f64, f64)>,
}

fn many(blocks: usize, period_bytes: u64) -> Estimates {
    let mut estimates = Estimates::default();
    let mut kept: Vec<Box<u64>> = Vec::with_capacity(blocks);
    for seed in 0..SEEDS {
        let config = Config {
            nframe: 1,
            mode: Mode::Sampled { period_bytes },
            unwinder: Unwinder::FramePointers,
            seed: Some(seed),
            ..Config::default()
        };
        tracemalloc::start_with(config).expect("the allocator is hooked");
        kept.extend((0..blocks as u64).map(Box::new));
        let large = black_box(vec![1_u8; blocks * 8]);
        let snapshot = tracemalloc::take_snapshot().expect("it was started");
        tracemalloc::stop();
        drop(large);
        kept.clear();
        tracemalloc::untraced(|| read(&snapshot, &mut estimates));
    }
    estimates
}

fn read(snapshot: &Snapshot, estimates: &mut Estimates) {
    let by_class = snapshot.statistics(KeyType::SizeClass, false);
    let size = |stat: &Statistic| (stat.size as f64, stat.error.map_or(0.0, |error| error.size));
    let count = |stat: &Statistic| {
        (
            stat.count as f64,
            stat.error.map_or(0.0, |error| error.count),
        )
    };
    let small = by_class.iter().max_by_key(|stat| stat.count);
    let large = by_class
        .iter()
        .filter(|stat| stat.count == 1)
        .max_by_key(|stat| stat.size);
    let small = small.expect("some were sampled");
    estimates.bytes.push(size(small));
    estimates.blocks.push(count(small));
    estimates.large.push(large.map_or((0.0, 0.0), size));
    let all = snapshot.statistics(KeyType::Domain, false);
    estimates.all.extend(all.first().map(size));
}

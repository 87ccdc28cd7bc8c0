//! What the modes of pymalloc cost, beside mimalloc's secure mode and glibc.
//!
//! `cost` prints instructions for one operation by callgrind, and nanoseconds of processor
//! time, the least of nine interleaved runs. `cost ROW ALLOCATOR COUNT` runs one row.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::env;
use std::hint::black_box;
use std::process::Command;

use mimalloc::MiMalloc;
use pymalloc::{PyMalloc, PyMallocDebug, PyMallocSecure, Sampled};

static SAMPLED: Sampled<PyMalloc> = Sampled::new(PyMalloc);
static SECURE_SAMPLED: Sampled<PyMallocSecure> = Sampled::new(PyMallocSecure);

const ALLOCATORS: [&str; 7] = [
    "fast",
    "sampled, off",
    "sampled, 1 in 5000",
    "secure",
    "debug",
    "mimalloc secure",
    "glibc",
];

/// A row: how often its operation is done, few times and many, under callgrind; and timed.
const ROWS: [(&str, usize, usize, usize); 6] = [
    ("pair", 1_000, 101_000, 4_000_000),
    ("batch", 2_000, 102_000, 4_000_000),
    ("churn", 5_000, 105_000, 4_000_000),
    ("medium", 5_000, 25_000, 400_000),
    ("large", 100, 1_100, 20_000),
    ("grow", 1, 5, 40),
];

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [row, allocator, count] = &arguments[..] {
        let count = count.parse().expect("a number");
        match &**allocator {
            "fast" => run(&PyMalloc, row, count),
            "sampled, off" => run(&SAMPLED, row, count),
            "sampled, 1 in 5000" => {
                pymalloc::set_sample_rate(5000);
                run(&SAMPLED, row, count);
            }
            "secure" => run(&PyMallocSecure, row, count),
            "secure, sampled, off" => run(&SECURE_SAMPLED, row, count),
            "debug" => run(&PyMallocDebug, row, count),
            "mimalloc secure" => run(&MiMalloc, row, count),
            "glibc" => run(&System, row, count),
            other => panic!("no allocator {other}"),
        }
        return;
    }
    println!("| instructions | {} |", ROWS.map(|row| row.0).join(" | "));
    for allocator in ALLOCATORS {
        let each = ROWS.map(|(row, few, many, _)| {
            let all = instructions(row, allocator, many) - instructions(row, allocator, few);
            format!("{:.0}", all as f64 / (many - few) as f64)
        });
        println!("| {allocator} | {} |", each.join(" | "));
    }
    let mut least: BTreeMap<(usize, usize), f64> = BTreeMap::new();
    for _ in 0..9 {
        for (row, (name, _, _, count)) in ROWS.iter().enumerate() {
            for (allocator, by) in ALLOCATORS.iter().enumerate() {
                let time = processor_time(name, by, *count) * 1e9 / *count as f64;
                let best = least.entry((allocator, row)).or_insert(f64::INFINITY);
                *best = best.min(time);
            }
        }
    }
    println!("| nanoseconds | {} |", ROWS.map(|row| row.0).join(" | "));
    for (allocator, by) in ALLOCATORS.iter().enumerate() {
        let each: Vec<String> = (0..ROWS.len())
            .map(|row| format!("{:.1}", least[&(allocator, row)]))
            .collect();
        println!("| {by} | {} |", each.join(" | "));
    }
}

fn run(allocator: &impl GlobalAlloc, row: &str, count: usize) {
    match row {
        "pair" => pair(allocator, 40, count),
        "batch" => batch(allocator, count),
        "churn" => churn(allocator, count, 16, 512),
        "medium" => churn(allocator, count, 1_000, 30_000),
        "large" => pair(allocator, 200_000, count),
        "grow" => (0..count).for_each(|_| grow(allocator)),
        other => panic!("no row {other}"),
    }
}

fn alloc(allocator: &impl GlobalAlloc, size: usize) -> *mut u8 {
    let layout = Layout::from_size_align(size, 8).expect("a legal layout");
    // SAFETY: the layout is not empty.
    let block = unsafe { allocator.alloc(layout) };
    assert!(!block.is_null());
    // SAFETY: the block is longer.
    unsafe { block.cast::<u64>().write(1) };
    black_box(block)
}

fn free(allocator: &impl GlobalAlloc, block: *mut u8, size: usize) {
    let layout = Layout::from_size_align(size, 8).expect("a legal layout");
    // SAFETY: every block is freed once, as it was allocated.
    unsafe { allocator.dealloc(black_box(block), layout) }
}

fn pair(allocator: &impl GlobalAlloc, size: usize, count: usize) {
    for _ in 0..count {
        let block = alloc(allocator, size);
        free(allocator, block, size);
    }
}

/// A thousand blocks, freed in order: an operation is one block.
fn batch(allocator: &impl GlobalAlloc, count: usize) {
    let mut blocks = vec![std::ptr::null_mut(); 1_000];
    for _ in 0..count / 1_000 {
        blocks
            .iter_mut()
            .for_each(|block| *block = alloc(allocator, 40));
        blocks.iter().for_each(|block| free(allocator, *block, 40));
    }
}

/// A thousand places, one of which is freed and filled anew each time.
fn churn(allocator: &impl GlobalAlloc, count: usize, from: usize, to: usize) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 32) as usize * below) >> 32
    };
    let places = if to > 512 { 100 } else { 1_000 };
    let mut blocks: Vec<(*mut u8, usize)> = (0..places)
        .map(|_| (alloc(allocator, from), from))
        .collect();
    for _ in 0..count {
        let size = from + random(to - from);
        let place = random(places);
        let (block, old) = blocks[place];
        free(allocator, block, old);
        blocks[place] = (alloc(allocator, size), size);
    }
    for (block, size) in blocks {
        free(allocator, block, size);
    }
}

/// From 64 KiB to 16 MiB, doubling, filled.
fn grow(allocator: &impl GlobalAlloc) {
    let mut size = 64 << 10;
    let mut block = alloc(allocator, size);
    while size < 16 << 20 {
        let layout = Layout::from_size_align(size, 8).expect("a legal layout");
        // SAFETY: live, of that layout.
        block = unsafe { allocator.realloc(block, layout, 2 * size) };
        // SAFETY: the new half.
        unsafe { block.add(size).write_bytes(1, size) };
        size *= 2;
    }
    free(allocator, block, size);
}

fn command(row: &str, allocator: &str, count: usize) -> [String; 3] {
    [row.to_owned(), allocator.to_owned(), count.to_string()]
}

fn instructions(row: &str, allocator: &str, count: usize) -> u64 {
    let this = env::current_exe().expect("a program knows its path");
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    valgrind.arg(this).args(command(row, allocator, count));
    let output = valgrind.output().expect("valgrind is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().find(|line| line.contains("Collected :"));
    let number = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
    number.unwrap_or_else(|| panic!("{row} on {allocator}: {said}"))
}

/// Seconds of processor time of a process that runs a row, its start included.
fn processor_time(row: &str, allocator: &str, count: usize) -> f64 {
    let children = || {
        // SAFETY: numbers: zeros are one.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: it writes one usage.
        unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage) };
        let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
        seconds(usage.ru_utime) + seconds(usage.ru_stime)
    };
    let this = env::current_exe().expect("a program knows its path");
    let before = children();
    let status = Command::new(this)
        .args(command(row, allocator, count))
        .status();
    assert!(status.expect("the child starts").success());
    children() - before
}

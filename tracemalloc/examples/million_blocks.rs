//! What a million live blocks cost: the tracer's memory, a snapshot, names for its stacks.

#[global_allocator]
static GLOBAL: pymalloc::PyMalloc = pymalloc::PyMalloc;

use std::hint::black_box;
use std::time::{Duration, Instant};

use tracemalloc::KeyType;

const BLOCKS: usize = 1_000_000;
/// Calls below `main`, left or right each time: so there are 2048 stacks.
const DEPTH: u32 = 11;

type Blocks = Vec<Box<[u64; 3]>>;

fn grow(blocks: &mut Blocks, depth: u32, count: usize) {
    if depth == 0 {
        blocks.extend((0..count).map(|n| Box::new([n as u64; 3])));
    } else {
        left(blocks, depth - 1, count / 2);
        right(blocks, depth - 1, count - count / 2);
    }
}

#[inline(never)]
fn left(blocks: &mut Blocks, depth: u32, count: usize) {
    grow(blocks, depth, count);
    black_box(blocks);
}

#[inline(never)]
fn right(blocks: &mut Blocks, depth: u32, count: usize) {
    grow(blocks, depth, count);
    black_box(blocks);
}

fn timed<R>(work: impl FnOnce() -> R) -> (R, Duration) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed())
}

fn in_use() -> usize {
    let stats = pymalloc::stats();
    stats.bytes_in_use + stats.bytes_large
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut blocks = Blocks::with_capacity(BLOCKS);
    tracemalloc::start(32)?;
    let before = tracemalloc::get_tracemalloc_memory();
    grow(&mut blocks, DEPTH, BLOCKS);
    let memory = tracemalloc::get_tracemalloc_memory() - before;
    println!("{} live blocks", blocks.len());
    println!(
        "memory of the tracer    {:>8.1} bytes a block, stacks included",
        memory as f64 / BLOCKS as f64
    );

    let used = in_use();
    for turn in ["first", "second"] {
        let (snapshot, taking) = timed(tracemalloc::take_snapshot);
        let snapshot = snapshot?;
        // The first to ask has the stacks' names looked up.
        let (top, naming) = timed(|| snapshot.statistics(KeyType::Traceback, false));
        println!("{turn} snapshot");
        println!(
            "  taken in              {:>8.1} ms",
            taking.as_secs_f64() * 1e3
        );
        println!(
            "  statistics            {:>8.1} ms, {} stacks",
            naming.as_secs_f64() * 1e3,
            top.len()
        );
    }
    println!("left of both            {:>8} bytes", in_use() - used);
    drop(blocks);
    Ok(())
}

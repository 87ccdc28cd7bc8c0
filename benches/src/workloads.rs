//! What the rows of `footprint` do to the allocator.
//!
//! Each workload runs in a process of its own and says how much memory was
//! resident at its start, at its busiest and at its end.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use crate::resident::{idle, resident_bytes};

/// Resident memory at three moments; and the heap's own size, where known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Before the workload.
    pub start_bytes: usize,
    /// While it held the most.
    pub busy_bytes: usize,
    /// After it, as the row defines it.
    pub after_bytes: usize,
    /// Arenas and large regions that were added and are still there.
    pub heap_growth_bytes: usize,
}

/// A workload: measures itself.
pub type Workload = fn() -> Reading;

const MB: usize = 1_000_000;
/// How long a process idles before it is looked at again.
const IDLE: Duration = Duration::from_millis(2500);
/// Blocks of the workloads that hold very many.
const MANY: usize = 1_000_000;

/// A process that has done next to nothing.
#[must_use]
pub fn hello() -> Reading {
    let start = Start::now();
    drop(black_box(String::from("hello")));
    start.end(resident_bytes(), resident_bytes())
}

/// A million boxes of 24 bytes, held.
#[must_use]
pub fn million_of_24_bytes() -> Reading {
    held(|n| [n as u64; 3])
}

/// A million boxes of 100 bytes, held.
#[must_use]
pub fn million_of_100_bytes() -> Reading {
    held(|n| [n as u32; 25])
}

fn held<T>(make: fn(usize) -> T) -> Reading {
    let start = Start::now();
    let mut boxes = Vec::with_capacity(MANY);
    boxes.extend((0..MANY).map(|n| Box::new(make(n))));
    let boxes = black_box(boxes);
    let busy = resident_bytes();
    drop(boxes);
    start.end(busy, resident_bytes())
}

/// Which 64 sizes a thread touches.
#[derive(Clone, Copy, Debug)]
enum Sizes {
    /// 8, 16, 24 ... 512 bytes.
    Small,
    /// From 16 bytes to 64 KiB, each 1.14 times the one before.
    Spread,
}

impl Sizes {
    fn of(self, n: i32) -> usize {
        match self {
            Self::Small => 8 * usize::try_from(n + 1).expect("counted from 0"),
            // 16 * 4096^(63/63) = 64 KiB.
            Self::Spread => (16.0 * 4096_f64.powf(f64::from(n) / 63.0)).round() as usize,
        }
    }

    /// A block of each of the 64 sizes, written to.
    fn touch(self) -> [Vec<u8>; 64] {
        let mut n = -1;
        [(); 64].map(|()| {
            n += 1;
            // Written byte by byte: zeroed memory might be left untouched.
            let mut block = Vec::with_capacity(self.of(n));
            block.resize(self.of(n), 0xa5);
            block
        })
    }
}

/// 1000 threads of 64 small sizes, one after the other.
#[must_use]
pub fn thousand_threads_in_turn() -> Reading {
    threads_in_batches(1000, 1, Sizes::Small)
}

/// 1000 threads of 64 small sizes, 50 at a time.
#[must_use]
pub fn thousand_threads_in_batches() -> Reading {
    threads_in_batches(1000, 50, Sizes::Small)
}

/// 1000 threads of 64 sizes to 64 KiB, one after the other.
#[must_use]
pub fn thousand_threads_in_turn_spread() -> Reading {
    threads_in_batches(1000, 1, Sizes::Spread)
}

/// 1000 threads of 64 sizes to 64 KiB, 50 at a time.
#[must_use]
pub fn thousand_threads_in_batches_spread() -> Reading {
    threads_in_batches(1000, 50, Sizes::Spread)
}

/// 200 threads of 64 small sizes, all alive when the process is looked at.
#[must_use]
pub fn two_hundred_threads_alive() -> Reading {
    threads_in_batches(200, 200, Sizes::Small)
}

/// Threads are born, hold 64 blocks each while the process is looked at, free
/// them and are joined; `batch` of them are alive at a time.
fn threads_in_batches(count: usize, batch: usize, sizes: Sizes) -> Reading {
    let start = Start::now();
    let mut busy = 0;
    for _ in 0..count / batch {
        let all_hold = Barrier::new(batch + 1);
        let was_seen = Barrier::new(batch + 1);
        thread::scope(|scope| {
            let spawn = |_| {
                scope.spawn(|| {
                    let blocks = black_box(sizes.touch());
                    all_hold.wait();
                    was_seen.wait();
                    drop(blocks);
                })
            };
            let threads: Vec<_> = (0..batch).map(spawn).collect();
            all_hold.wait();
            busy = busy.max(resident_bytes());
            was_seen.wait();
            // A scope ends with the closures; only `join` waits for the threads.
            for thread in threads {
                thread.join().expect("it only touches memory");
            }
        });
    }
    start.end(busy, resident_bytes())
}

/// 300 MB of 96-byte blocks, freed in the order of their birth; then idling.
#[must_use]
pub fn freed_in_order() -> Reading {
    freed(|_| {})
}

/// 300 MB of 96-byte blocks, freed in random order; then idling.
#[must_use]
pub fn freed_in_random_order() -> Reading {
    freed(|blocks| Random::new().shuffle(blocks))
}

fn freed(reorder: fn(&mut Vec<Box<[u64; 12]>>)) -> Reading {
    let start = Start::now();
    let mut blocks: Vec<_> = (0..300 * MB / 96)
        .map(|n| Box::new([n as u64; 12]))
        .collect();
    let busy = resident_bytes();
    reorder(&mut blocks);
    drop(blocks);
    // From here to the last reading nothing calls the allocator.
    idle(IDLE);
    start.end(busy, resident_bytes())
}

/// 100 MB of 16 to 512 bytes each, all freed in random order; then idling.
#[must_use]
pub fn mixed_freed_in_random_order() -> Reading {
    let start = Start::now();
    let mut random = Random::new();
    let mut blocks = Vec::new();
    fill(&mut blocks, &mut random);
    let busy = resident_bytes();
    random.shuffle(&mut blocks);
    drop(blocks);
    idle(IDLE);
    start.end(busy, resident_bytes())
}

/// 100 MB of 16 to 512 bytes each; a random 2 % survive.
#[must_use]
pub fn survivors() -> Reading {
    let start = Start::now();
    let mut random = Random::new();
    let mut blocks = Vec::new();
    fill(&mut blocks, &mut random);
    let busy = resident_bytes();
    let survivors = black_box(few_of(&mut blocks, &mut random));
    idle(IDLE);
    let after = resident_bytes();
    drop(black_box((blocks, survivors)));
    start.end(busy, after)
}

/// The same, and then as many again: how much is resident now, against the first time.
#[must_use]
pub fn refilled_after_survivors() -> Reading {
    let start = Start::now();
    let mut random = Random::new();
    let mut blocks = Vec::new();
    fill(&mut blocks, &mut random);
    let busy = resident_bytes();
    let survivors = black_box(few_of(&mut blocks, &mut random));
    fill(&mut blocks, &mut random);
    blocks.truncate(blocks.len() - survivors.len());
    let after = resident_bytes();
    drop(black_box((blocks, survivors)));
    start.end(busy, after)
}

/// Adds 100 MB of blocks.
fn fill(blocks: &mut Vec<Vec<u8>>, random: &mut Random) {
    let mut total = 0;
    while total < 100 * MB {
        let size = 16 + random.below(497);
        total += size;
        blocks.push(vec![0xa5; size]);
    }
}

/// Takes one in fifty of `blocks`; the others are freed in random order.
fn few_of(blocks: &mut Vec<Vec<u8>>, random: &mut Random) -> Vec<Vec<u8>> {
    random.shuffle(blocks);
    let survivors = blocks.split_off(blocks.len() - blocks.len() / 50);
    blocks.clear();
    survivors
}

/// The moment a workload starts.
struct Start {
    resident_bytes: usize,
    heap_bytes: usize,
}

impl Start {
    fn now() -> Self {
        Self {
            resident_bytes: resident_bytes(),
            heap_bytes: heap_bytes(),
        }
    }

    fn end(&self, busy_bytes: usize, after_bytes: usize) -> Reading {
        Reading {
            start_bytes: self.resident_bytes,
            busy_bytes,
            after_bytes,
            heap_growth_bytes: heap_bytes().saturating_sub(self.heap_bytes),
        }
    }
}

/// Bytes in the allocator's arenas, and in its large blocks, freed ones included.
fn heap_bytes() -> usize {
    let heap = pymalloc::stats();
    let in_arenas =
        heap.bytes_in_use + heap.bytes_free + heap.bytes_unused_pools + heap.bytes_quantization;
    in_arenas + heap.bytes_large + heap.bytes_large_cached
}

/// Numbers that look random and are the same in every run (xorshift).
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // The remainder keeps it below a usize.
        (self.0 % limit as u64) as usize
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_run_from_the_first_to_the_last() {
        assert_eq!((Sizes::Small.of(0), Sizes::Small.of(63)), (8, 512));
        assert_eq!((Sizes::Spread.of(0), Sizes::Spread.of(63)), (16, 65_536));
        let blocks = Sizes::Spread.touch();
        let grows = |pair: &[Vec<u8>]| pair[0].len() < pair[1].len();
        assert!(blocks.windows(2).all(grows));
    }

    #[test]
    fn a_shuffle_loses_nothing_and_moves_something() {
        let mut items: Vec<_> = (0..1000).collect();
        Random::new().shuffle(&mut items);
        assert!(!items.is_sorted());
        items.sort_unstable();
        assert!(items.iter().copied().eq(0..1000));
    }

    #[test]
    fn one_in_fifty_survives() {
        let mut blocks = vec![vec![1_u8]; 1000];
        assert_eq!(few_of(&mut blocks, &mut Random::new()).len(), 20);
        assert!(blocks.is_empty());
    }
}

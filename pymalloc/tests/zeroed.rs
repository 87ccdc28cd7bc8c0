//! `vec![0; n]` is zero whatever the memory held before: blocks used again by
//! their own thread, by another, regions kept by the large tier, and memory
//! given back and taken again.

mod support;

use std::thread;

use pymalloc::PyMalloc;
use support::are_all;

#[global_allocator]
static GLOBAL: PyMalloc = PyMalloc;

/// Every small size's neighbourhood, and the edges of the other tiers.
fn sizes() -> impl Iterator<Item = usize> {
    let small = (1..=64).chain((65..=512).step_by(13));
    let edges = [
        511,
        512,
        513,
        1023,
        1024,
        1025,
        4095,
        4096,
        4097,
        8191,
        16_384,
        20_000,
        32_769,
        65_535,
        65_536,
        65_537,
        100_000,
        131_072,
        262_143,
        262_144,
        262_145,
        1 << 20,
        (5 << 20) + 1,
    ];
    small.chain(edges)
}

/// Enough blocks for a pool and its neighbour, but no more than 2 MiB.
fn block_count(size: usize) -> usize {
    (2_usize << 20).div_ceil(size).clamp(2, 300)
}

fn dirty_blocks(size: usize) -> Vec<Vec<u8>> {
    (0..block_count(size)).map(|_| vec![0xa5; size]).collect()
}

#[track_caller]
fn assert_blocks_are_zero(size: usize) {
    let blocks: Vec<Vec<u8>> = (0..block_count(size)).map(|_| vec![0; size]).collect();
    for block in &blocks {
        assert!(are_all(block, 0), "dirt in a block of {size}");
    }
}

#[test]
fn blocks_that_their_own_thread_freed_come_back_zero() {
    for size in sizes() {
        drop(dirty_blocks(size));
        assert_blocks_are_zero(size);
    }
}

#[test]
fn blocks_that_another_thread_freed_come_back_zero() {
    for size in sizes().step_by(7) {
        let blocks = dirty_blocks(size);
        thread::spawn(move || drop(blocks))
            .join()
            .expect("it only frees");
        assert_blocks_are_zero(size);
    }
}

#[test]
fn blocks_of_a_dead_thread_come_back_zero() {
    for size in sizes().step_by(7) {
        let blocks = thread::spawn(move || {
            let mut blocks = dirty_blocks(size);
            // Half die with the thread, half are freed after it.
            blocks.truncate(blocks.len() / 2);
            blocks
        })
        .join()
        .expect("it only allocates");
        drop(blocks);
        assert_blocks_are_zero(size);
    }
}

#[test]
fn memory_given_back_comes_again_zero() {
    for size in sizes().step_by(5) {
        drop(dirty_blocks(size));
        pymalloc::trim();
        assert_blocks_are_zero(size);
    }
}

#[test]
fn a_block_carved_beside_dirty_ones_is_zero() {
    // A pool half dirty and half never carved, a large region shrunk and
    // grown: what is "known to be zero" must be so.
    for size in sizes() {
        let mut kept = dirty_blocks(size);
        kept.truncate(kept.len() / 2);
        assert_blocks_are_zero(size);
        assert_eq!(kept[0][0], 0xa5);
    }
    let mut region = vec![0xa5_u8; 3 << 20];
    region.truncate(100_000);
    region.shrink_to_fit();
    for size in [70_000, 100_000, 1 << 20, 3 << 20] {
        assert_blocks_are_zero(size);
    }
    assert!(region.iter().all(|byte| *byte == 0xa5));
}

#[test]
fn wider_zeros_are_zero_too() {
    for count in [1, 8, 64, 65, 1_000, 10_000, 100_000] {
        drop(vec![u128::MAX; count]);
        let zeros = vec![0_u128; count];
        assert!(zeros.iter().all(|zero| *zero == 0), "{count} of 16 bytes");
    }
}

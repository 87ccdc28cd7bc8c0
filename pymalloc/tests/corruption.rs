//! `verify_heap` is no rubber stamp: what a wild write or a second free does to
//! free blocks is found and said, wherever in the heap the blocks lie.
//!
//! Each heap is a child process's, which ends with it. The allocator is driven
//! directly: what the test itself needs comes from the system.

mod support;

use std::alloc::{GlobalAlloc, Layout};
use std::process::exit;

use pymalloc::PyMalloc;
use support::{Child, assert_heap_is_sound, in_child};

static SUBJECT: PyMalloc = PyMalloc;

const SIZE: usize = 64;
/// More than a thread keeps at hand, in several pools.
const COUNT: usize = 2_000;

fn layout() -> Layout {
    Layout::from_size_align(SIZE, 8).expect("a legal layout")
}

fn allocate() -> Vec<usize> {
    (0..COUNT)
        .map(|_| {
            // SAFETY: the layout is not empty.
            let block = unsafe { SUBJECT.alloc(layout()) };
            assert!(!block.is_null());
            block.expose_provenance()
        })
        .collect()
}

fn free(block: usize) {
    let block = std::ptr::with_exposed_provenance_mut(block);
    // SAFETY: not safe where the test frees twice: the process ends before it
    // allocates from this heap again.
    unsafe { SUBJECT.dealloc(block, layout()) }
}

/// Frees every other block, so that no pool becomes empty; returns these.
fn free_every_other(blocks: &[usize]) -> Vec<usize> {
    let freed: Vec<usize> = blocks.iter().copied().step_by(2).collect();
    freed.iter().copied().for_each(free);
    freed
}

/// Writes over the first word of a block that was freed.
fn scribble(block: usize, word: usize) {
    let block = std::ptr::with_exposed_provenance_mut::<usize>(block);
    // SAFETY: the memory is mapped and aligned; that it is not ours any more is
    // the damage that the walker has to find.
    unsafe { block.write(word) }
}

/// Free blocks at hand of this thread.
fn at_hand() -> Vec<usize> {
    let blocks = allocate();
    let last = blocks.len() - 8;
    blocks[last..].iter().copied().for_each(free);
    blocks[last..].to_vec()
}

/// Free blocks in pools of this thread.
fn in_own_pools() -> Vec<usize> {
    let freed = free_every_other(&allocate());
    pymalloc::trim();
    freed
}

/// Free blocks in pools whose thread has exited.
fn in_common_pools() -> Vec<usize> {
    let thread = std::thread::spawn(|| free_every_other(&allocate()));
    thread.join().expect("it only allocates and frees")
}

/// Plays one child: 0 if the damage is found, and was not seen before.
fn damage_is_found(place: &str, damage: &str) -> bool {
    let freed = match place {
        "at hand" => at_hand(),
        "own" => in_own_pools(),
        "common" => in_common_pools(),
        _ => unreachable!("no such place"),
    };
    assert_heap_is_sound();
    match damage {
        "wild" => freed
            .iter()
            .for_each(|block| scribble(*block, 0x4141_4141_4141_4141)),
        "near" => freed
            .iter()
            .for_each(|block| scribble(*block, freed[0] + 24)),
        "null" => freed.iter().for_each(|block| scribble(*block, 0)),
        "loop" => freed.iter().for_each(|block| scribble(*block, *block)),
        "twice" => freed.iter().take(2).for_each(|block| free(*block)),
        _ => unreachable!("no such damage"),
    }
    let found = pymalloc::verify_heap();
    found.is_err_and(|error| error.address() != 0 && !error.to_string().is_empty())
}

/// Every damage in one place, each in a child of its own.
#[track_caller]
fn assert_found(test: &str, place: &str, damages: &[&str]) {
    if let Some(damage) = in_child(test) {
        // No destructor runs on such a heap.
        exit(if damage_is_found(place, &damage) {
            0
        } else {
            1
        });
    }
    for damage in damages {
        let status = Child::of(test, damage).status();
        assert!(status.success(), "{damage} in {place}: {status}");
    }
}

#[test]
fn damage_to_blocks_at_hand_is_found() {
    assert_found(
        "damage_to_blocks_at_hand_is_found",
        "at hand",
        &["near", "null", "loop", "twice"],
    );
}

#[test]
fn damage_to_blocks_in_own_pools_is_found() {
    assert_found(
        "damage_to_blocks_in_own_pools_is_found",
        "own",
        &["wild", "near", "null", "loop"],
    );
}

#[test]
fn damage_to_blocks_in_common_pools_is_found() {
    assert_found(
        "damage_to_blocks_in_common_pools_is_found",
        "common",
        &["wild", "near", "null", "loop"],
    );
}

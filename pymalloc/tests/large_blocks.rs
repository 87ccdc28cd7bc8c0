//! What the large tier frees serves again, whatever its size: without a page fault where
//! it can, and never with a byte that somebody else uses.

mod support;

use std::alloc::{GlobalAlloc, Layout};

use pymalloc::PyMalloc;
use support::{Child, alone, are_all, assert_heap_is_sound, in_child};

static SUBJECT: PyMalloc = PyMalloc;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("a legal layout")
}

#[track_caller]
fn alloc(size: usize, fill: u8) -> *mut u8 {
    // SAFETY: the layout is not empty.
    let block = unsafe { SUBJECT.alloc(layout(size)) };
    assert!(!block.is_null());
    // SAFETY: the block is that long.
    unsafe { block.write_bytes(fill, size) };
    block
}

fn free(block: *mut u8, size: usize) {
    // SAFETY: every block here is freed once, with its size.
    unsafe { SUBJECT.dealloc(block, layout(size)) };
}

#[track_caller]
fn realloc(block: *mut u8, size: usize, new_size: usize) -> *mut u8 {
    // SAFETY: every block here is live, and has that size.
    let block = unsafe { SUBJECT.realloc(block, layout(size), new_size) };
    assert!(!block.is_null());
    block
}

#[track_caller]
fn assert_filled(block: *mut u8, size: usize, fill: u8) {
    // SAFETY: the block is live, and its first `size` bytes were written.
    let bytes = unsafe { core::slice::from_raw_parts(block, size) };
    assert!(are_all(bytes, fill) && bytes[0] == fill);
}

fn cached() -> usize {
    pymalloc::stats().bytes_large_cached
}

/// A freed block is all that is cached: of `MIB` bytes, at the address returned.
fn one_cached_megabyte() -> *mut u8 {
    pymalloc::trim();
    let block = alloc(MIB, 0xa5);
    free(block, MIB);
    assert_eq!(cached(), MIB);
    block
}

#[test]
fn a_freed_block_serves_smaller_ones() {
    alone(|| {
        let base = one_cached_megabyte();
        let first = alloc(128 * KIB, 1);
        let second = alloc(256 * KIB, 2);
        assert_eq!(first, base);
        assert_eq!(second, base.wrapping_add(128 * KIB));
        assert_eq!(cached(), MIB - 384 * KIB);
        assert_filled(first, 128 * KIB, 1);
        assert_heap_is_sound();
        free(first, 128 * KIB);
        free(second, 256 * KIB);
        assert_eq!(alloc(MIB, 3), base, "the parts are one again");
        free(base, MIB);
    });
}

#[test]
fn a_block_grows_in_place_into_what_was_freed_behind_it() {
    alone(|| {
        let base = one_cached_megabyte();
        let mut size = 128 * KIB;
        let block = alloc(size, 7);
        while size < MIB {
            assert_eq!(realloc(block, size, 2 * size), base);
            assert_filled(block, 128 * KIB, 7);
            size *= 2;
        }
        assert_eq!(cached(), 0);
        assert_heap_is_sound();
        free(block, size);
    });
}

#[test]
fn a_block_moves_into_a_cached_span_and_leaves_its_own_there() {
    alone(|| {
        let base = one_cached_megabyte();
        let block = alloc(128 * KIB, 7);
        let wall = alloc(128 * KIB, 8);
        let moved = realloc(block, 128 * KIB, 512 * KIB);
        assert_eq!(moved, base.wrapping_add(256 * KIB));
        assert_filled(moved, 128 * KIB, 7);
        assert_filled(wall, 128 * KIB, 8);
        // What is behind it, and what it left.
        assert_eq!(cached(), 256 * KIB + 128 * KIB);
        assert_heap_is_sound();
        free(moved, 512 * KIB);
        free(wall, 128 * KIB);
    });
}

#[test]
fn what_a_block_is_shrunk_by_serves_again() {
    alone(|| {
        pymalloc::trim();
        let block = alloc(MIB, 7);
        assert_eq!(realloc(block, MIB, 256 * KIB), block);
        assert_eq!(cached(), 768 * KIB);
        let other = alloc(768 * KIB, 8);
        assert_eq!(other, block.wrapping_add(256 * KIB));
        assert_filled(block, 256 * KIB, 7);
        assert_heap_is_sound();
        free(block, 256 * KIB);
        free(other, 768 * KIB);
    });
}

#[test]
fn a_zeroed_block_from_the_cache_is_zero() {
    alone(|| {
        let base = one_cached_megabyte();
        // SAFETY: the layout is not empty.
        let block = unsafe { SUBJECT.alloc_zeroed(layout(200 * KIB)) };
        assert_eq!(block, base, "it did not come from the cache");
        assert_filled(block, 200 * KIB, 0);
        free(block, 200 * KIB);
    });
}

#[test]
fn growth_beyond_what_is_cached_keeps_every_byte() {
    alone(|| {
        pymalloc::trim();
        let mut size = 100_000;
        let mut block = alloc(size, 7);
        while size < 40 * MIB {
            let new_size = size * 3 / 2;
            block = realloc(block, size, new_size);
            assert_filled(block, size, 7);
            let added = block.wrapping_add(size);
            // SAFETY: the new part of the block.
            unsafe { added.write_bytes(7, new_size - size) };
            size = new_size;
            assert_heap_is_sound();
        }
        free(block, size);
    });
}

/// In a process of its own: what was ever in use is nothing but what it allocates.
#[test]
fn a_request_that_cannot_be_met_is_no_growth() {
    const TEST: &str = "a_request_that_cannot_be_met_is_no_growth";
    if in_child(TEST).is_none() {
        return drop(Child::of(TEST, "alone").stderr());
    }
    // SAFETY: the layout is not empty.
    let none = unsafe { SUBJECT.alloc(layout(1 << 62)) };
    assert!(none.is_null());
    let block = alloc(MIB, 1);
    // SAFETY: a live block of that layout, which stays as it is.
    let none = unsafe { SUBJECT.realloc(block, layout(MIB), 1 << 62) };
    assert!(none.is_null());
    free(block, MIB);
    free(alloc(3 * MIB, 1), 3 * MIB);
    assert_eq!(cached(), 3 * MIB);
    // More than ever was in use: what is cached pays for it.
    let blocks = [2, 3, 4].map(|fill| alloc(5 * MIB, fill));
    assert_eq!(cached(), 0);
    assert_heap_is_sound();
    blocks.iter().for_each(|block| free(*block, 5 * MIB));
}

//! A process may have so many mappings and no more. A hole in one makes two of it, so at the
//! limit the kernel refuses to take memory back: what is freed then serves again, its memory
//! is the system's, and its addresses go back as soon as the kernel takes them.
//!
//! The allocator is driven directly. The blocks are many and large, and hardly touched.

mod support;

use std::alloc::{GlobalAlloc, Layout};

use pymalloc::PyMalloc;
use support::{
    Child, alone, assert_heap_is_sound, bytes_in_use, in_child, mapped_bytes, mappings_to_use_up,
};

static SUBJECT: PyMalloc = PyMalloc;

const SIZE: usize = 17 * 4096;
const LAYOUT: Layout = match Layout::from_size_align(SIZE, 8) {
    Ok(layout) => layout,
    Err(_) => panic!("a legal layout"),
};

/// One block in so many is written to.
const TOUCHED: usize = 32;

fn mappings() -> usize {
    let text = std::fs::read_to_string("/proc/self/maps").expect("Linux has /proc");
    text.lines().count()
}

fn alloc(number: usize) -> *mut usize {
    // SAFETY: the layout is not empty.
    let block: *mut usize = unsafe { SUBJECT.alloc(LAYOUT) }.cast();
    assert!(!block.is_null(), "null for block {number}");
    block
}

fn free(block: *mut usize) {
    // SAFETY: the block is live, under this layout.
    unsafe { SUBJECT.dealloc(block.cast(), LAYOUT) };
}

#[test]
fn at_the_limit_of_mappings_nothing_is_lost() {
    const TEST: &str = "at_the_limit_of_mappings_nothing_is_lost";
    let Some(limit) = mappings_to_use_up() else {
        return;
    };
    if in_child(TEST).is_none() {
        alone(|| {
            Child::of(TEST, "split").stderr();
        });
        return;
    }
    let mut blocks = Vec::with_capacity(2 * limit + 4000);
    let mut kept = Vec::with_capacity(blocks.capacity());
    let (in_use, mapped) = (bytes_in_use(), mapped_bytes());
    blocks.extend((0..blocks.capacity()).map(alloc));
    let before = mappings();
    assert!(before < limit / 2, "{before} mappings: no neighbours");

    // Every second one goes: each a hole, until no more are allowed.
    for (number, block) in blocks.drain(..).enumerate() {
        if number % 2 == 0 {
            free(block);
        } else {
            if number % TOUCHED == 1 {
                // SAFETY: the block is live, and large enough.
                unsafe { block.write(number) };
            }
            kept.push((number, block));
        }
    }
    let holes = mappings();
    assert!(holes > limit - 50, "{holes} mappings of {limit}");
    assert_heap_is_sound();
    assert_eq!(bytes_in_use() - in_use, kept.len() * SIZE);

    // What the kernel refused serves now, when it would give nothing new.
    let again: Vec<_> = (0..500).map(alloc).collect();
    again.into_iter().for_each(free);

    for (number, block) in kept {
        if number % TOUCHED == 1 {
            // SAFETY: the block is live, and its first word was written.
            assert_eq!(unsafe { block.read() }, number);
        }
        free(block);
    }
    pymalloc::trim();
    assert_heap_is_sound();
    assert_eq!(bytes_in_use(), in_use);
    let (left, records) = (mapped_bytes(), 16 << 20);
    assert!(
        left < mapped + records,
        "{mapped} bytes mapped before, {left} after"
    );
}

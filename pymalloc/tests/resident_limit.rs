//! A program that lives under a limit on resident memory, as in a container, and uses most
//! of it for blocks of one size, then of another, never has more resident than the limit:
//! what is freed goes back before it is needed as something else.
//!
//! Nobody enforces the limit here: the kernel's own high-water mark is compared, that of
//! a child process. The allocator is driven directly.

mod support;

use std::alloc::{GlobalAlloc, Layout};

use pymalloc::PyMalloc;
use support::{Child, alone, assert_heap_is_sound, in_child, resident_bytes};

static SUBJECT: PyMalloc = PyMalloc;

/// Of blocks, in each phase.
const USED_BYTES: usize = 96 << 20;
/// Bytes of the smallest blocks.
const SMALLEST: usize = 24;
/// Beyond what the child has at the start. A fresh start for each phase would need the
/// blocks and little else; keeping what was freed would need twice as much.
const LIMIT_BYTES: usize = 128 << 20;
/// What the high-water mark may be wrong by: the kernel counts for each core apart.
const ERROR_BYTES: usize = 8 << 20;

/// The most bytes of this process that were ever resident.
fn peak_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has /proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.expect("a line of kB")
        .parse::<usize>()
        .expect("a number")
        * 1024
}

/// Fills the memory with blocks of one size, touches them all, and frees them.
fn phase(size: usize, blocks: &mut Vec<*mut u8>) {
    let layout = Layout::from_size_align(size, 8).expect("a legal layout");
    for _ in 0..USED_BYTES / size {
        // SAFETY: the layout is not empty.
        let block = unsafe { SUBJECT.alloc(layout) };
        assert!(!block.is_null());
        // SAFETY: the block is live, and as long.
        unsafe { block.write_bytes(1, size) };
        blocks.push(block);
    }
    for block in blocks.drain(..) {
        // SAFETY: each is live, under this layout.
        unsafe { SUBJECT.dealloc(block, layout) };
    }
}

#[test]
fn phases_of_different_sizes_fit_into_one_limit() {
    const TEST: &str = "phases_of_different_sizes_fit_into_one_limit";
    if in_child(TEST).is_none() {
        alone(|| {
            Child::of(TEST, "limited").stderr();
        });
        return;
    }
    // The test's own memory is resident from the start, and does not grow.
    let mut blocks: Vec<*mut u8> = vec![std::ptr::dangling_mut(); USED_BYTES / SMALLEST];
    blocks.clear();
    let start = resident_bytes();
    for size in [
        64,
        9_000,
        100_000,
        SMALLEST,
        3 << 20,
        500,
        40_000,
        70_000,
        64,
    ] {
        phase(size, &mut blocks);
        let peak = peak_bytes() - start;
        assert!(
            peak + ERROR_BYTES > USED_BYTES,
            "only {peak} bytes were seen"
        );
        assert!(peak < LIMIT_BYTES, "{peak} bytes with blocks of {size}");
    }
    assert_heap_is_sound();
}

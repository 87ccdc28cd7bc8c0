//! Every layout that Rust can name gets a block that fits it or null, never a
//! panic: empty ones, every alignment to 4 MiB and beyond, sizes to
//! `isize::MAX`. What cannot be had costs nothing.
//!
//! The allocator is driven directly, under the system's as the global one.

mod model;
mod support;

use std::alloc::{GlobalAlloc, Layout};

use model::{MAX_ALIGN_SHIFT, Model, Op, Pattern};
use pymalloc::PyMalloc;
use support::{alone, assert_heap_is_sound, bytes_in_use};

static SUBJECT: PyMalloc = PyMalloc;

/// The largest size that a layout of this alignment may have.
const fn largest(align: usize) -> usize {
    (isize::MAX as usize + 1) - align
}

/// Sizes that no machine can serve: past every address space, and at each
/// place where adding a header, a page, an arena or the alignment wraps.
fn impossible_sizes(align: usize) -> impl Iterator<Item = usize> {
    let below_largest = [0, 1, 8, 16, 4095, 4096, 65_535, 65_536, 262_144, 4 << 20];
    let shifts = [47, 48, 52, 56, 60, 62];
    below_largest
        .into_iter()
        .map(move |less| largest(align) - less)
        .chain(shifts.map(|shift| 1 << shift))
}

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).expect("a legal layout")
}

#[test]
fn every_alignment_meets_every_size() {
    const SIZES: [usize; 16] = [
        1, 7, 8, 9, 24, 64, 511, 512, 513, 1025, 4096, 16_385, 65_535, 65_536, 65_537, 300_000,
    ];
    alone(|| {
        let mut model = Model::new(&SUBJECT);
        for shift in 0..=MAX_ALIGN_SHIFT {
            for (i, size) in SIZES.into_iter().enumerate() {
                model.apply(Op::Alloc {
                    thread: 0,
                    size,
                    align: 1 << shift,
                    zeroed: i.is_multiple_of(2),
                });
            }
            // Each alignment's blocks also grow and shrink across the tiers.
            for new_size in [1, 600, 70_000, 40] {
                model.apply(Op::Realloc {
                    thread: 0,
                    pick: 3 * new_size,
                    new_size,
                });
            }
            model.apply(Op::Check);
        }
        model.finish();
    });
}

#[test]
fn empty_blocks_have_addresses_of_their_own() {
    alone(|| {
        let mut model = Model::new(&SUBJECT);
        // The model sees to it that no two blocks share an address.
        for shift in 0..=MAX_ALIGN_SHIFT {
            for zeroed in [false, true] {
                let (size, align) = (0, 1 << shift);
                model.apply(Op::Alloc {
                    thread: 0,
                    size,
                    align,
                    zeroed,
                });
            }
        }
        model.apply(Op::Check);
        // To something and back to nothing.
        for (pick, new_size) in [(0, 1), (0, 0), (5, 70_000), (45, 0), (9, 513), (45, 0)] {
            model.apply(Op::Realloc {
                thread: 0,
                pick,
                new_size,
            });
        }
        model.finish();
    });
}

#[test]
fn impossible_sizes_are_null_and_cost_nothing() {
    alone(|| {
        pymalloc::trim();
        let in_use = bytes_in_use();
        let mapped = support::mapped_bytes();
        for shift in 0..=MAX_ALIGN_SHIFT {
            for size in impossible_sizes(1 << shift) {
                let layout = layout(size, 1 << shift);
                // SAFETY: the layout is legal and not empty.
                let plain = unsafe { SUBJECT.alloc(layout) };
                assert!(plain.is_null(), "alloc of {layout:?}");
                // SAFETY: as above.
                let zeroed = unsafe { SUBJECT.alloc_zeroed(layout) };
                assert!(zeroed.is_null(), "alloc_zeroed of {layout:?}");
            }
        }
        assert_eq!(bytes_in_use(), in_use);
        let grown = support::mapped_bytes().saturating_sub(mapped);
        assert!(grown < 1 << 20, "{grown} bytes are mapped for nothing");
        assert_heap_is_sound();
    });
}

#[test]
fn impossible_alignments_are_null() {
    alone(|| {
        for shift in 48..=62 {
            let layout = layout(1, 1 << shift);
            // SAFETY: the layout is legal and not empty.
            let block = unsafe { SUBJECT.alloc(layout) };
            assert!(block.is_null(), "{layout:?}");
        }
        assert_heap_is_sound();
    });
}

#[test]
fn huge_alignments_are_met_or_null() {
    alone(|| {
        let mut model = Model::tolerating_null(&SUBJECT);
        for shift in MAX_ALIGN_SHIFT..=32 {
            for size in [1, 70_000] {
                model.apply(Op::Alloc {
                    thread: 0,
                    size,
                    align: 1 << shift,
                    zeroed: true,
                });
            }
        }
        assert!(model.null_count() < 22, "not one alignment was met");
        model.finish();
    });
}

#[test]
fn a_realloc_that_cannot_be_keeps_the_old_block() {
    alone(|| {
        let in_use = bytes_in_use();
        for size in [1, 24, 512, 513, 40_000, 65_536, 65_537, 1 << 20] {
            for align in [1, 16, 4096, 1 << 17] {
                let old = layout(size, align);
                // SAFETY: the layout is legal and not empty.
                let block = unsafe { SUBJECT.alloc(old) };
                assert!(!block.is_null());
                let pattern = Pattern::of(size as u64);
                pattern.fill(block, size);
                for new_size in impossible_sizes(align) {
                    // SAFETY: the block is live; the new size is legal.
                    let moved = unsafe { SUBJECT.realloc(block, old, new_size) };
                    assert!(moved.is_null(), "{old:?} to {new_size}");
                    assert!(pattern.is_at(block, size), "{old:?} to {new_size}");
                }
                // SAFETY: the block is live, and was never moved.
                unsafe { SUBJECT.dealloc(block, old) };
            }
        }
        assert_eq!(bytes_in_use(), in_use);
        assert_heap_is_sound();
    });
}

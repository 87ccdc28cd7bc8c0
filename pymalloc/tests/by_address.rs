//! Blocks freed and resized by their address alone. Some tests compare what is in use in the
//! whole process, so each runs while no other does.

mod support;

use std::alloc::{GlobalAlloc, Layout};

use pymalloc::{ForeignBlock, PyMalloc, dealloc_unsized, owns, realloc_unsized, usable_size};
use support::{alone, are_all, assert_heap_is_sound, bytes_in_use};

/// Sizes of every tier, at and beside the borders of classes.
const SIZES: [usize; 19] = [
    0, 1, 8, 9, 16, 24, 100, 504, 512, 513, 1000, 4096, 10_000, 40_000, 65_535, 65_536, 65_537,
    200_000, 3_000_000,
];
const ALIGNMENTS: [usize; 8] = [1, 8, 16, 64, 512, 4096, 65_536, 1 << 20];

fn layouts() -> impl Iterator<Item = Layout> {
    SIZES.into_iter().flat_map(|size| {
        ALIGNMENTS
            .into_iter()
            .map(move |align| Layout::from_size_align(size, align).expect("small enough"))
    })
}

/// A block filled with `value`.
fn filled(layout: Layout, value: u8) -> *mut u8 {
    // SAFETY: PyMalloc takes an empty layout too.
    let block = unsafe { PyMalloc.alloc(layout) };
    assert!(!block.is_null());
    // SAFETY: as long as its layout says.
    unsafe { block.write_bytes(value, layout.size()) };
    block
}

/// The first bytes of a block.
///
/// # Safety
/// They were written, and the block is in use for as long as the answer.
unsafe fn bytes<'a>(block: *mut u8, len: usize) -> &'a [u8] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(block, len) }
}

#[test]
fn a_block_of_any_layout_is_freed_by_its_address() {
    alone(|| {
        let before = bytes_in_use();
        for _ in 0..3 {
            let blocks: Vec<_> = layouts().map(|layout| filled(layout, 1)).collect();
            for block in blocks {
                // SAFETY: each is given up once.
                assert_eq!(unsafe { dealloc_unsized(block) }, Ok(()));
            }
        }
        assert_eq!(bytes_in_use(), before);
        assert_heap_is_sound();
    });
}

#[test]
fn a_block_of_any_layout_takes_any_other() {
    alone(|| {
        let before = bytes_in_use();
        for old in layouts() {
            for new in layouts() {
                let block = filled(old, 0x5a);
                // SAFETY: the block is this test's, and its successor is.
                let moved = unsafe { realloc_unsized(block, new) }.expect("it is a block");
                assert!(moved.addr().is_multiple_of(new.align()), "{old:?} {new:?}");
                // SAFETY: a block in use.
                let usable = unsafe { usable_size(moved) };
                assert!(usable >= new.size(), "{old:?} {new:?}");
                let kept = old.size().min(new.size());
                // SAFETY: these bytes were written, the block is freed below.
                let contents = unsafe { bytes(moved, kept) };
                assert!(are_all(contents, 0x5a), "{old:?} {new:?}");
                // SAFETY: given up once.
                assert_eq!(unsafe { dealloc_unsized(moved) }, Ok(()));
            }
        }
        assert_eq!(bytes_in_use(), before);
        assert_heap_is_sound();
    });
}

#[test]
fn a_block_stays_where_it_is_while_it_keeps_three_quarters() {
    alone(|| {
        let layout = |size| Layout::from_size_align(size, 16).expect("small");
        let block = filled(layout(400), 1);
        for size in [399, 350, 301] {
            // SAFETY: the block is this test's.
            assert_eq!(unsafe { realloc_unsized(block, layout(size)) }, Ok(block));
        }
        // SAFETY: as above.
        let moved = unsafe { realloc_unsized(block, layout(300)) }.expect("it is a block");
        assert_ne!(moved, block);
        // SAFETY: given up once.
        assert_eq!(unsafe { dealloc_unsized(moved) }, Ok(()));
    });
}

#[test]
fn what_is_no_block_is_refused_and_left_alone() {
    alone(|| {
        let small = filled(Layout::new::<[u64; 4]>(), 1);
        let large = filled(Layout::new::<[u8; 300_000]>(), 1);
        let mut on_the_stack = [1_u8; 64];
        let region_mask = !((32 << 20) - 1);
        let foreign = [
            (&raw mut on_the_stack).cast(),
            std::ptr::null_mut(),
            std::ptr::without_provenance_mut(16),
            std::ptr::without_provenance_mut(usize::MAX & !15),
            // Inside a large block.
            large.wrapping_add(4096),
            // The region's header, and its last arena, which nothing has needed yet.
            small.map_addr(|address| address & region_mask),
            small.map_addr(|address| (address | !region_mask) & !15),
        ];
        for address in foreign {
            // SAFETY: no block of this allocator's starts there.
            let freed = unsafe { dealloc_unsized(address) };
            assert_eq!(freed, Err(ForeignBlock), "{address:?}");
            // SAFETY: as above.
            let moved = unsafe { realloc_unsized(address, Layout::new::<u64>()) };
            assert_eq!(moved, Err(ForeignBlock), "{address:?}");
        }
        assert!(are_all(&on_the_stack, 1));
        for block in [small, large] {
            assert!(owns(block));
            // SAFETY: given up once.
            assert_eq!(unsafe { dealloc_unsized(block) }, Ok(()));
        }
        assert_heap_is_sound();
    });
}

#[test]
fn a_realloc_without_memory_leaves_the_block() {
    alone(|| {
        let huge =
            Layout::from_size_align(isize::MAX as usize - 15, 16).expect("just small enough");
        for layout in [Layout::new::<[u8; 100]>(), Layout::new::<[u8; 300_000]>()] {
            let block = filled(layout, 3);
            // SAFETY: the block is this test's.
            let moved = unsafe { realloc_unsized(block, huge) };
            assert_eq!(moved, Ok(std::ptr::null_mut()));
            // SAFETY: written above, freed below.
            assert!(are_all(unsafe { bytes(block, layout.size()) }, 3));
            // SAFETY: given up once.
            assert_eq!(unsafe { dealloc_unsized(block) }, Ok(()));
        }
    });
}

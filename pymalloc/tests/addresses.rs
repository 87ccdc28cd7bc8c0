//! `owns` answers for any address at all, and touches none of them;
//! `usable_size` answers for a block of any tier.
//!
//! The allocator is driven directly, so that the system's blocks are foreign.

mod model;
mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;

use model::{Model, Op};
use pymalloc::{PyMalloc, owns, usable_size};
use support::{alone, assert_heap_is_sound};

static SUBJECT: PyMalloc = PyMalloc;
static STATIC: [u8; 4096] = [1; 4096];

/// Sizes of each tier, with the edges between them.
const SIZES: [usize; 18] = [
    1,
    8,
    9,
    24,
    100,
    504,
    505,
    512,
    513,
    1025,
    5_000,
    16_385,
    65_535,
    65_536,
    65_537,
    262_144,
    1 << 20,
    5 << 20,
];

fn bytes(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("a legal layout")
}

#[track_caller]
fn allocate(layout: Layout) -> *mut u8 {
    // SAFETY: the layout is not empty.
    let block = unsafe { SUBJECT.alloc(layout) };
    assert!(!block.is_null(), "{layout:?}");
    block
}

fn free(block: *mut u8, layout: Layout) {
    // SAFETY: the tests free each block once, under its layout.
    unsafe { SUBJECT.dealloc(block, layout) }
}

#[test]
fn owns_every_byte_of_its_blocks() {
    alone(|| {
        for size in SIZES {
            let block = allocate(bytes(size));
            // SAFETY: the block is live.
            let usable = unsafe { usable_size(block) };
            let step = (usable / 512).max(1);
            for offset in (0..usable).step_by(step).chain([usable - 1]) {
                assert!(owns(block.wrapping_add(offset)), "{offset} of {size}");
            }
            free(block, bytes(size));
        }
    });
}

#[test]
fn owns_no_address_that_others_gave_out() {
    alone(|| {
        let ours = allocate(bytes(100));
        let on_stack = [0_u8; 64];
        let in_system = Box::new([0_u8; 64]);
        let large_in_system = vec![1_u8; 4 << 20];
        let function: fn() = owns_no_address_that_others_gave_out;
        for (what, address) in [
            ("a local", on_stack.as_ptr()),
            ("a static", STATIC.as_ptr()),
            ("a static's last byte", &raw const STATIC[4095]),
            (
                "a function",
                ptr::with_exposed_provenance(function as usize),
            ),
            ("a block of the system's", in_system.as_ptr()),
            ("a large block of the system's", large_in_system.as_ptr()),
            ("errno", {
                // SAFETY: the call has no preconditions.
                let errno = unsafe { libc::__errno_location() };
                errno.cast::<u8>().cast_const()
            }),
        ] {
            assert!(!owns(address), "{what} at {address:p}");
        }
        assert!(owns(ours));
        free(ours, bytes(100));
    });
}

#[test]
fn owns_no_mapping_of_the_callers() {
    alone(|| {
        let len = 1 << 20;
        // SAFETY: a fresh anonymous mapping touches nothing that exists.
        let mapping = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert_ne!(mapping, libc::MAP_FAILED);
        let start = mapping.cast::<u8>().cast_const();
        // PROT_NONE: a read would be the end of this process.
        assert!(!owns(start) && !owns(start.wrapping_add(len - 1)));
        // SAFETY: the mapping is ours and unused.
        let status = unsafe { libc::munmap(mapping, len) };
        assert_eq!(status, 0);
        assert!(!owns(start) && !owns(start.wrapping_add(len - 1)));
    });
}

#[test]
fn owns_no_address_at_the_ends_of_any_range() {
    alone(|| {
        let _ours = Model::new(&SUBJECT);
        assert!(!owns(ptr::null()));
        assert!(!owns(ptr::without_provenance(usize::MAX)));
        // Either side of every power of two: each level of a radix tree, the
        // end of the user's half, the hole, and the kernel's half.
        for shift in (0..12).chain(47..64) {
            let power = 1_usize << shift;
            for addr in [power - 1, power, power + 1, power.wrapping_neg()] {
                assert!(!owns(ptr::without_provenance(addr)), "{addr:#x}");
            }
        }
        for addr in (0xffff_8000_0000_0000..usize::MAX).step_by(1 << 43) {
            assert!(!owns(ptr::without_provenance(addr)), "{addr:#x}");
        }
    });
}

#[test]
fn owns_our_block_but_not_its_image_in_another_half() {
    alone(|| {
        for size in [24, 5_000, 1 << 20] {
            let block = allocate(bytes(size));
            for bit in 47..64 {
                let image = ptr::without_provenance(block.addr() | (1 << bit));
                assert!(!owns(image), "{image:p} for {block:p}");
            }
            free(block, bytes(size));
        }
    });
}

#[test]
fn owns_no_large_region_after_it_went_back() {
    alone(|| {
        let layout = bytes(64 << 20);
        let block = allocate(layout);
        assert!(owns(block));
        free(block, layout);
        pymalloc::trim();
        assert!(!owns(block.wrapping_add(32 << 20)));
        assert_heap_is_sound();
    });
}

#[test]
fn usable_size_covers_the_request_in_every_tier() {
    alone(|| {
        for size in (1..=2048).chain(SIZES) {
            let block = allocate(bytes(size));
            // SAFETY: the block is live.
            let usable = unsafe { usable_size(block) };
            assert!(usable >= size, "{usable} for {size}");
            // What is promised is there: every byte takes a write.
            model::Pattern::of(size as u64).fill(block, usable);
            assert!(model::Pattern::of(size as u64).is_at(block, usable));
            free(block, bytes(size));
        }
        assert_heap_is_sound();
    });
}

#[test]
fn small_blocks_waste_less_than_eight_bytes() {
    alone(|| {
        for size in 1..=512 {
            let block = allocate(bytes(size));
            // SAFETY: the block is live.
            let usable = unsafe { usable_size(block) };
            assert_eq!(usable, size.next_multiple_of(8), "for {size}");
            free(block, bytes(size));
        }
    });
}

#[test]
fn medium_blocks_waste_at_most_an_eighth() {
    alone(|| {
        for size in (513..=65_536).step_by(97) {
            let block = allocate(bytes(size));
            // SAFETY: the block is live.
            let usable = unsafe { usable_size(block) };
            assert!(usable - size <= usable.div_ceil(8), "{usable} for {size}");
            free(block, bytes(size));
        }
    });
}

#[test]
fn realloc_within_the_usable_size_stays_where_it_is() {
    alone(|| {
        for size in SIZES {
            let block = allocate(bytes(size));
            // SAFETY: the block is live.
            let usable = unsafe { usable_size(block) };
            // SAFETY: the block is live; the new size is legal.
            let grown = unsafe { SUBJECT.realloc(block, bytes(size), usable) };
            assert_eq!(grown, block, "{size} to {usable}");
            free(grown, bytes(usable));
        }
    });
}

#[test]
fn foreign_blocks_stay_foreign_while_our_heap_changes() {
    alone(|| {
        let layout = bytes(5_000);
        // SAFETY: the layout is not empty.
        let foreign = unsafe { System.alloc(layout) };
        let mut model = Model::new(&SUBJECT);
        for round in 0..64 {
            model.apply(Op::Alloc {
                thread: 0,
                size: 9_000 * (round % 9 + 1),
                align: 8,
                zeroed: false,
            });
            model.apply(Op::Dealloc {
                thread: 0,
                pick: round / 3,
            });
            assert!(!owns(foreign));
        }
        model.finish();
        // SAFETY: the block is the system's, under this layout.
        unsafe { System.dealloc(foreign, layout) };
    });
}

//! The secure mode at the limits of a process: on its addresses, on its data, on the number of its
//! mappings. What it keeps of freed blocks is given up before a request is refused, and a growth
//! that the kernel refuses loses nothing.
//!
//! Each test is a child process with a limit of its own. The allocator is driven directly.

mod support;

use std::alloc::{GlobalAlloc, Layout};
use std::ptr::null_mut;

use pymalloc::PyMallocSecure;
use support::{
    Child, are_all, in_child, mapped_bytes, mappings_to_use_up, may_map, may_peek, page_size, skip,
};

const MIB: usize = 1 << 20;
/// What a child may need besides.
const SLACK_BYTES: usize = 16 * MIB;

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("a legal layout")
}

fn alloc(size: usize) -> *mut u8 {
    // SAFETY: the layout is not empty.
    unsafe { PyMallocSecure.alloc(layout(size)) }
}

#[track_caller]
fn free(block: *mut u8, size: usize) {
    assert!(!block.is_null());
    // SAFETY: each block is freed once.
    unsafe { PyMallocSecure.dealloc(block, layout(size)) };
}

fn realloc(block: *mut u8, old: usize, new: usize) -> *mut u8 {
    // SAFETY: a block of that size.
    unsafe { PyMallocSecure.realloc(block, layout(old), new) }
}

/// Sets the soft limit, to no more than the hard one.
fn limit(resource: libc::__rlimit_resource_t, bytes: usize) {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is writable.
    let status = unsafe { libc::getrlimit(resource, &raw mut limit) };
    assert_eq!(status, 0);
    limit.rlim_cur = limit.rlim_max.min(bytes as libc::rlim_t);
    // SAFETY: `limit` is readable.
    let status = unsafe { libc::setrlimit(resource, &raw const limit) };
    assert_eq!(status, 0);
}

/// Does something under a limit. What asserts, which takes memory to say so, comes after.
fn under<R>(resource: libc::__rlimit_resource_t, bytes: usize, body: impl FnOnce() -> R) -> R {
    limit(resource, bytes);
    let result = body();
    limit(resource, usize::MAX);
    result
}

#[track_caller]
fn as_child(test: &str, body: fn()) {
    if !may_map(1 << 30) {
        return;
    }
    if in_child(test).is_some() {
        body();
    } else {
        eprint!("{}", Child::of(test, "limited").stderr());
    }
}

/// Has the addresses of nearly 256 MiB of freed blocks kept.
fn fill_quarantine() {
    for _ in 0..8 {
        free(alloc(30 * MIB), 30 * MIB);
    }
}

/// What a request gives where few addresses are left, but for those that are kept.
fn beside_kept_addresses(request: impl FnOnce() -> *mut u8) -> *mut u8 {
    let before = mapped_bytes();
    fill_quarantine();
    let kept = mapped_bytes() - before;
    assert!(kept > 200 * MIB, "{kept} bytes are kept");
    under(libc::RLIMIT_AS, mapped_bytes() + SLACK_BYTES, request)
}

#[test]
fn addresses_of_freed_blocks_are_given_up_for_a_large_one() {
    as_child(
        "addresses_of_freed_blocks_are_given_up_for_a_large_one",
        || {
            let block = beside_kept_addresses(|| alloc(150 * MIB));
            free(block, 150 * MIB);
        },
    );
}

#[test]
fn addresses_of_freed_blocks_are_given_up_for_a_region() {
    as_child(
        "addresses_of_freed_blocks_are_given_up_for_a_region",
        || {
            let block = beside_kept_addresses(|| alloc(100));
            free(block, 100);
        },
    );
}

#[test]
fn addresses_of_freed_blocks_are_given_up_for_growth() {
    as_child("addresses_of_freed_blocks_are_given_up_for_growth", || {
        let block = alloc(MIB);
        let grown = beside_kept_addresses(|| realloc(block, MIB, 150 * MIB));
        free(grown, 150 * MIB);
    });
}

#[test]
fn a_block_that_is_too_large_to_keep_leaves_the_others_kept() {
    as_child(
        "a_block_that_is_too_large_to_keep_leaves_the_others_kept",
        || {
            let before = mapped_bytes();
            fill_quarantine();
            let kept = mapped_bytes() - before;
            free(alloc(300 * MIB), 300 * MIB);
            let now = mapped_bytes() - before;
            assert!(now + MIB > kept && now < kept + MIB, "{kept}, then {now}");
        },
    );
}

/// A child that grows blocks. What the kernel has left of a new place is known where it lets the
/// allocator look.
#[track_caller]
fn as_growing_child(test: &str, body: fn()) {
    if may_peek() {
        as_child(test, body);
    }
}

#[test]
fn growth_that_a_limit_on_data_refuses_loses_nothing() {
    as_growing_child("growth_that_a_limit_on_data_refuses_loses_nothing", || {
        let block = alloc(MIB);
        let (data, before) = (support::data_bytes(), mapped_bytes());
        let grown = under(libc::RLIMIT_DATA, data + SLACK_BYTES, || {
            [(); 20].map(|()| realloc(block, MIB, 100 * MIB))
        });
        let lost = mapped_bytes().saturating_sub(before);
        assert_eq!(grown, [null_mut(); 20]);
        assert!(lost < 100 * MIB, "{lost} bytes");
        free(block, MIB);
    });
}

/// Where the kernel moves no pages, because it counts both places, they are copied.
#[test]
fn growth_under_a_limit_on_addresses_is_a_copy_where_it_is_no_move() {
    as_growing_child(
        "growth_under_a_limit_on_addresses_is_a_copy_where_it_is_no_move",
        || {
            let block = alloc(100 * MIB);
            // SAFETY: the block's bytes.
            unsafe { block.write_bytes(0x5a, MIB) };
            // The new place fits, but not with as much as the block grows by.
            let room = 200 * MIB + SLACK_BYTES;
            let grown = under(libc::RLIMIT_AS, mapped_bytes() + room, || {
                realloc(block, 100 * MIB, 200 * MIB)
            });
            assert!(!grown.is_null());
            // SAFETY: the block's bytes.
            let bytes = unsafe { std::slice::from_raw_parts(grown, MIB) };
            assert!(are_all(bytes, 0x5a));
            free(grown, 200 * MIB);
        },
    );
}

/// Maps pages, each apart from its neighbours, until the kernel allows no more mappings; `None`,
/// having said so, where it allows very many.
fn use_up_mappings() -> Option<Vec<*mut libc::c_void>> {
    let most = mappings_to_use_up()?;
    let mut pages = Vec::with_capacity(most + 1);
    while pages.len() <= most {
        let page = map_page(pages.len());
        if page == libc::MAP_FAILED {
            return Some(pages);
        }
        pages.push(page);
    }
    skip("the kernel makes one mapping of many");
    None
}

/// Maps a page that nobody writes to, of another kind than the one before.
fn map_page(number: usize) -> *mut libc::c_void {
    let kind = if number.is_multiple_of(2) {
        libc::MAP_NORESERVE
    } else {
        0
    };
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | kind;
    // SAFETY: an anonymous mapping at a place of the kernel's choice.
    unsafe { libc::mmap(null_mut(), page_size(), libc::PROT_READ, flags, -1, 0) }
}

fn unmap_page(page: *mut libc::c_void) {
    // SAFETY: mapped above, and used by nobody.
    let status = unsafe { libc::munmap(page, page_size()) };
    assert_eq!(status, 0);
}

#[test]
fn at_the_limit_of_mappings_a_block_shrinks_in_place_of_kept_ones() {
    as_child(
        "at_the_limit_of_mappings_a_block_shrinks_in_place_of_kept_ones",
        || {
            let block = alloc(MIB);
            // Apart from each other, so that each is a mapping.
            let blocks = [(); 60].map(|()| {
                map_page(0);
                alloc(100_000)
            });
            for kept in blocks {
                free(kept, 100_000);
            }
            let Some(pages) = use_up_mappings() else {
                return;
            };
            let shrunk = realloc(block, MIB, MIB / 2);
            // What the test says needs memory, too.
            pages.into_iter().for_each(unmap_page);
            assert_eq!(shrunk, block);
            free(shrunk, MIB / 2);
        },
    );
}

#[test]
fn near_the_limit_of_mappings_growth_loses_nothing() {
    as_growing_child("near_the_limit_of_mappings_growth_loses_nothing", || {
        let block = alloc(MIB);
        let Some(mut pages) = use_up_mappings() else {
            return;
        };
        let before = mapped_bytes();
        // A move needs some mappings more than the block.
        for _ in 0..12 {
            pages.pop().into_iter().for_each(unmap_page);
            for _ in 0..5 {
                let grown = realloc(block, MIB, 100 * MIB);
                if !grown.is_null() {
                    // It could be moved, or copied.
                    free(grown, 100 * MIB);
                    let now = mapped_bytes();
                    pages.into_iter().for_each(unmap_page);
                    // A freed block's addresses are kept.
                    assert!(now < before + 150 * MIB, "{before} bytes, then {now}");
                    return;
                }
            }
        }
        panic!("twelve mappings are not enough");
    });
}

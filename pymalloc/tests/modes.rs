//! The debug, hardened and sampled modes keep every promise an allocator makes: the model
//! of `model` drives each, on one thread or hopping between three.
//!
//! proptest runs 24 cases of each, or `PROPTEST_CASES`.

#[path = "modes/mode.rs"]
mod mode;
mod model;
mod support;

use std::alloc::{GlobalAlloc, Layout};
use std::os::unix::process::ExitStatusExt;

use mode::Mode;
use model::{Model, Op, THREAD_COUNT};
use proptest::prelude::*;
use pymalloc::{PyMalloc, PyMallocDebug, PyMallocSecure, Sampled};
use support::{Child, in_child};

static DEBUG: Mode<PyMallocDebug> = Mode::new(PyMallocDebug);
static SECURE: Mode<PyMallocSecure> = Mode::new(PyMallocSecure);
static SAMPLED: Mode<Sampled<PyMalloc>> = Mode::new(Sampled::new(PyMalloc));
static SECURE_SAMPLED: Mode<Sampled<PyMallocSecure>> = Mode::new(Sampled::new(PyMallocSecure));
static FAST: Mode<PyMalloc> = Mode::new(PyMalloc);

fn sizes() -> impl Strategy<Value = usize> {
    prop_oneof![
        8 => 1..=512_usize,
        3 => 513..=65_536_usize,
        1 => 65_520..=65_540_usize,
        1 => 65_537..=300_000_usize,
    ]
}

fn ops() -> impl Strategy<Value = Op> {
    let thread = || 0..THREAD_COUNT;
    let aligns = || prop_oneof![8 => 0..=4_u32, 2 => 5..=12_u32, 1 => 13..=18_u32];
    prop_oneof![
        10 => (thread(), sizes(), aligns(), any::<bool>()).prop_map(
            |(thread, size, shift, zeroed)| Op::Alloc { thread, size, align: 1 << shift, zeroed }
        ),
        6 => (thread(), any::<usize>(), sizes())
            .prop_map(|(thread, pick, new_size)| Op::Realloc { thread, pick, new_size }),
        8 => (thread(), any::<usize>()).prop_map(|(thread, pick)| Op::Dealloc { thread, pick }),
        1 => thread().prop_map(|thread| Op::EndThread { thread }),
        1 => Just(Op::Check),
        2 => (thread(), 1..700_usize, 1..200_usize).prop_map(
            |(thread, size, count)| Op::Burst { thread, size, align: 8, count }
        ),
        2 => (thread(), any::<usize>(), 1..200_usize)
            .prop_map(|(thread, pick, count)| Op::Drain { thread, pick, count }),
    ]
}

fn sequences() -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(ops(), 1..200)
}

proptest! {
    #![proptest_config(support::cases(24))]

    #[test]
    fn debug_keeps_every_promise(ops in sequences()) {
        support::alone(|| Model::run(&DEBUG, &ops));
    }

    #[test]
    fn secure_keeps_every_promise(ops in sequences()) {
        support::alone(|| Model::run(&SECURE, &ops));
    }

    #[test]
    fn sampled_keeps_every_promise(ops in sequences()) {
        pymalloc::set_sample_rate(3);
        support::alone(|| Model::run(&SAMPLED, &ops));
    }

    #[test]
    fn sampled_over_secure_keeps_every_promise(ops in sequences()) {
        pymalloc::set_sample_rate(3);
        support::alone(|| Model::run(&SECURE_SAMPLED, &ops));
    }
}

/// The hooks of the plain type, with and without stacks.
#[test]
fn debug_by_the_environment_keeps_every_promise() {
    const TEST: &str = "debug_by_the_environment_keeps_every_promise";
    if in_child(TEST).is_some() {
        proptest!(support::cases(24), |(ops in sequences())| {
            Model::run(&FAST, &ops);
        });
        return;
    }
    for stacks in ["0", "1"] {
        let child = Child::of(TEST, "child").env("PYMALLOC", "debug");
        child.env("PYMALLOC_STACKS", stacks).stderr();
    }
}

/// What a block looked like is gone before another sees it.
#[test]
fn a_new_block_of_the_secure_mode_is_zeros() {
    support::alone(|| {
        for size in [1, 8, 24, 40, 500, 5_000, 60_000, 100_000] {
            let layout = Layout::from_size_align(size, 8).expect("a legal layout");
            for _ in 0..200 {
                // SAFETY: the layout is not empty.
                let block = unsafe { PyMallocSecure.alloc(layout) };
                // SAFETY: the new block's bytes.
                let bytes = unsafe { std::slice::from_raw_parts_mut(block, size) };
                assert!(support::are_all(bytes, 0));
                bytes.fill(0xaa);
                // SAFETY: each block is freed once.
                unsafe { PyMallocSecure.dealloc(block, layout) };
            }
        }
    });
}

/// An attacker who frees and allocates does not get the same block at once, nor in a
/// known order.
#[test]
fn the_secure_mode_does_not_reuse_at_once_or_in_order() {
    support::alone(|| {
        let layout = Layout::from_size_align(40, 8).expect("a legal layout");
        // SAFETY: the layout is not empty.
        let alloc = || unsafe { PyMallocSecure.alloc(layout) };
        // SAFETY: each block is freed once.
        let free = |block| unsafe { PyMallocSecure.dealloc(block, layout) };
        let first = alloc();
        free(first);
        let mut last: Vec<_> = std::iter::once(first).collect();
        for _ in 0..15 {
            let block = alloc();
            assert!(
                !last.contains(&block),
                "used again after {} frees",
                last.len()
            );
            free(block);
            last.push(block);
        }
        let blocks: Vec<_> = (0..64).map(|_| alloc()).collect();
        let ascending = blocks.windows(2).filter(|pair| pair[0] < pair[1]).count();
        // Of 63 pairs, about half; all in one direction, if it were a plain list.
        assert!((10..54).contains(&ascending), "{ascending} of 63 ascend");
        blocks.into_iter().for_each(free);
    });
}

/// Programs with secrets lock them, or keep them out of dumps and children: then the pages of a
/// block are several mappings, which the kernel does not move together.
#[test]
fn a_large_block_whose_pages_differ_is_resized_all_the_same() {
    support::alone(|| {
        for new_size in [300_000, 150_000, 70_000] {
            let layout = Layout::from_size_align(150_000, 8).expect("a legal layout");
            // SAFETY: the layout is not empty.
            let block = unsafe { PyMallocSecure.alloc(layout) };
            // SAFETY: the block's bytes.
            unsafe { block.write_bytes(0x5a, layout.size()) };
            // SAFETY: the block's own first page.
            let answer = unsafe { libc::madvise(block.cast(), 4096, libc::MADV_DONTFORK) };
            assert_eq!(answer, 0);
            // SAFETY: the block of that layout.
            let block = unsafe { PyMallocSecure.realloc(block, layout, new_size) };
            assert!(!block.is_null(), "{new_size}");
            let len = layout.size().min(new_size);
            // SAFETY: the block's bytes.
            let bytes = unsafe { std::slice::from_raw_parts(block, len) };
            assert!(support::are_all(bytes, 0x5a));
            let layout = Layout::from_size_align(new_size, 8).expect("a legal layout");
            // SAFETY: the block of that layout.
            unsafe { PyMallocSecure.dealloc(block, layout) };
        }
    });
}

/// A block that shrinks stays, its old end behind a guard.
#[test]
fn a_large_block_that_shrinks_gives_its_end_back() {
    const TEST: &str = "a_large_block_that_shrinks_gives_its_end_back";
    let layout = Layout::from_size_align(3_000_000, 8).expect("a legal layout");
    let shrunk = || {
        // SAFETY: the layout is not empty.
        let block = unsafe { PyMallocSecure.alloc(layout) };
        // SAFETY: the block of that layout.
        (block, unsafe {
            PyMallocSecure.realloc(block, layout, 100_000)
        })
    };
    if in_child(TEST).is_some() {
        let (block, _) = shrunk();
        let guard = 100_000_usize.next_multiple_of(support::page_size());
        // SAFETY: none: it dies of it.
        unsafe { block.wrapping_add(guard).write_volatile(1) };
        return;
    }
    let status = Child::of(TEST, "child").status();
    assert_eq!(status.signal(), Some(libc::SIGSEGV));
    support::alone(|| {
        let before = support::mapped_bytes();
        for _ in 0..10 {
            let (block, now) = shrunk();
            assert_eq!(block, now);
        }
        let more = support::mapped_bytes().saturating_sub(before);
        assert!(more < 4 << 20, "{more} bytes for a million");
    });
}

/// Memory that the secure mode does not need any more goes back.
#[test]
fn the_secure_mode_gives_memory_back() {
    support::alone(|| {
        let layout = Layout::from_size_align(1_000, 8).expect("a legal layout");
        let before = support::resident_bytes();
        let blocks: Vec<_> = (0..50_000)
            .map(|_| {
                // SAFETY: the layout is not empty.
                let block = unsafe { PyMallocSecure.alloc(layout) };
                // SAFETY: the block's bytes.
                unsafe { block.write_bytes(1, 1_000) };
                block
            })
            .collect();
        let full = support::resident_bytes();
        assert!(full > before + (45 << 20));
        for block in blocks {
            // SAFETY: each block is freed once.
            unsafe { PyMallocSecure.dealloc(block, layout) };
        }
        let after = support::resident_bytes();
        assert!(after < before + (4 << 20), "{before} -> {full} -> {after}");
    });
}

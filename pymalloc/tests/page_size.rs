//! On kernels with pages of 16 and 64 KiB the promises are the same.
//!
//! Needs the feature `fault-injection`, which simulates the page size; it is
//! set before the first allocation, so each size is a child process.

#[path = "modes/mode.rs"]
mod mode;
mod model;
mod support;

use std::alloc::{GlobalAlloc, Layout};

use mode::Mode;
use model::{MAX_ALIGN_SHIFT, Model, Op, Subject, THREAD_COUNT};
use pymalloc::{PyMalloc, PyMallocDebug, PyMallocSecure, Sampled, fault};
use support::{Child, Random, alone, are_all, assert_heap_is_sound, in_child, resident_bytes};

static SUBJECT: PyMalloc = PyMalloc;
static DEBUG: Mode<PyMallocDebug> = Mode::new(PyMallocDebug);
static SECURE: Mode<PyMallocSecure> = Mode::new(PyMallocSecure);
static SAMPLED: Mode<Sampled<PyMalloc>> = Mode::new(Sampled::new(PyMalloc));

fn random_op(random: &mut Random) -> Op {
    // Mostly this thread: then the counts are exact as well.
    let thread = random.below(4 * THREAD_COUNT) / (4 * THREAD_COUNT - 2);
    let pick = random.below(1 << 20);
    match random.below(24) {
        0..=9 => Op::Alloc {
            thread,
            size: random.size(),
            align: 1 << (random.below(MAX_ALIGN_SHIFT as usize + 1) * random.below(4) / 3),
            zeroed: pick.is_multiple_of(2),
        },
        10..=14 => Op::Realloc {
            thread,
            pick,
            new_size: random.size(),
        },
        15..=21 => Op::Dealloc { thread, pick },
        22 => Op::EndThread { thread },
        _ => Op::Check,
    }
}

fn run_model(subject: &'static impl Subject, seed: u64) {
    let mut random = Random::new(seed);
    let ops: Vec<Op> = (0..400).map(|_| random_op(&mut random)).collect();
    Model::run(subject, &ops);
}

/// The model's promises, kept with pages of this size.
fn live_with_pages_of(page_size: usize) {
    fault::set_page_size(page_size);
    for seed in 0..12 {
        run_model(&SUBJECT, seed);
        pymalloc::trim();
        assert_heap_is_sound();
    }
    // Large regions are whole pages: their usable sizes show the setting.
    let mut model = Model::new(&SUBJECT);
    for size in [65_537, 100_000, 300_000] {
        model.apply(Op::Alloc {
            thread: 0,
            size,
            align: 8,
            zeroed: true,
        });
    }
    for usable in model.usable_sizes() {
        assert_eq!(usable % page_size, 0, "usable size {usable}");
    }
    model.finish();
}

/// The same of the modes.
fn live_in_modes_with_pages_of(page_size: usize) {
    fault::set_page_size(page_size);
    pymalloc::set_sample_rate(3);
    for seed in 0..6 {
        run_model(&DEBUG, seed);
        run_model(&SECURE, seed);
        run_model(&SAMPLED, seed);
    }
}

/// A pool that the secure mode gives back to the system has neighbours, maybe on the same page.
fn give_back_beside_others(page_size: usize) {
    fault::set_page_size(page_size);
    let layout = Layout::from_size_align(1_000, 8).expect("a legal layout");
    let blocks: Vec<*mut u8> = (0..20_000)
        .map(|_| {
            // SAFETY: the layout is not empty.
            let block = unsafe { PyMallocSecure.alloc(layout) };
            // SAFETY: the new block's bytes.
            unsafe { block.write_bytes(0x5a, layout.size()) };
            block
        })
        .collect();
    // One pool in four becomes empty.
    let (freed, kept): (Vec<_>, Vec<_>) = blocks
        .into_iter()
        .partition(|block| (block.addr() >> 14).is_multiple_of(4));
    let free = |blocks: Vec<*mut u8>| {
        for block in blocks {
            // SAFETY: each block is freed once.
            unsafe { PyMallocSecure.dealloc(block, layout) };
        }
    };
    free(freed);
    for block in &kept {
        // SAFETY: live, of that layout.
        let bytes = unsafe { std::slice::from_raw_parts(*block, layout.size()) };
        assert!(are_all(bytes, 0x5a));
    }
    free(kept);
}

/// One pool of each arena stays in use, and with it no more than the page that it lies in.
fn give_back_around_what_stays(page_size: usize) {
    const COUNT: usize = 40_000;
    fault::set_page_size(page_size);
    let layout = Layout::from_size_align(1_000, 8).expect("a legal layout");
    let before = resident_bytes();
    let mut blocks: Vec<*mut u8> = (0..COUNT)
        .map(|_| {
            // SAFETY: the layout is not empty.
            let block = unsafe { SUBJECT.alloc(layout) };
            // SAFETY: the new block's bytes.
            unsafe { block.write_bytes(0x5a, layout.size()) };
            block
        })
        .collect();
    let grown = resident_bytes() - before;
    assert!(grown > COUNT * 1_000, "{grown}");
    let stays = |block: &*mut u8| block.addr() % (256 << 10) < 16 << 10;
    let (kept, freed): (Vec<_>, Vec<_>) = blocks.drain(..).partition(stays);
    let free = |blocks: &[*mut u8]| {
        for block in blocks {
            // SAFETY: each block is freed once.
            unsafe { SUBJECT.dealloc(*block, layout) };
        }
    };
    // What lies on one page goes piece by piece.
    for part in 0..4 {
        let of_part = |block: &&*mut u8| block.addr() >> 14 & 3 == part;
        free(&freed.iter().filter(of_part).copied().collect::<Vec<_>>());
        pymalloc::trim();
    }
    let left = resident_bytes() - before;
    let page = page_size.max(16 << 10);
    let most = grown / (256 << 10) * page + (2 << 20);
    assert!(left < most, "{left} of {grown}");
    for block in &kept {
        // SAFETY: live, of that layout.
        let bytes = unsafe { std::slice::from_raw_parts(*block, layout.size()) };
        assert!(are_all(bytes, 0x5a));
    }
    free(&kept);
    assert_heap_is_sound();
}

#[track_caller]
fn as_child(test: &str, page_size: usize, body: fn(usize)) {
    if in_child(test).is_some() {
        body(page_size);
    } else {
        alone(|| {
            Child::of(test, "paged").stderr();
        });
    }
}

#[test]
fn promises_hold_with_4_kib_pages() {
    as_child(
        "promises_hold_with_4_kib_pages",
        4 << 10,
        live_with_pages_of,
    );
}

#[test]
fn promises_hold_with_16_kib_pages() {
    as_child(
        "promises_hold_with_16_kib_pages",
        16 << 10,
        live_with_pages_of,
    );
}

#[test]
fn promises_hold_with_64_kib_pages() {
    as_child(
        "promises_hold_with_64_kib_pages",
        64 << 10,
        live_with_pages_of,
    );
}

#[test]
fn the_modes_keep_theirs_with_16_kib_pages() {
    const TEST: &str = "the_modes_keep_theirs_with_16_kib_pages";
    as_child(TEST, 16 << 10, live_in_modes_with_pages_of);
}

#[test]
fn the_modes_keep_theirs_with_64_kib_pages() {
    const TEST: &str = "the_modes_keep_theirs_with_64_kib_pages";
    as_child(TEST, 64 << 10, live_in_modes_with_pages_of);
}

#[test]
fn a_pool_is_given_back_alone_with_16_kib_pages() {
    const TEST: &str = "a_pool_is_given_back_alone_with_16_kib_pages";
    as_child(TEST, 16 << 10, give_back_beside_others);
}

#[test]
fn a_pool_is_given_back_alone_with_64_kib_pages() {
    const TEST: &str = "a_pool_is_given_back_alone_with_64_kib_pages";
    as_child(TEST, 64 << 10, give_back_beside_others);
}

#[test]
fn what_stays_keeps_its_page_alone_with_4_kib_pages() {
    const TEST: &str = "what_stays_keeps_its_page_alone_with_4_kib_pages";
    as_child(TEST, 4 << 10, give_back_around_what_stays);
}

#[test]
fn what_stays_keeps_its_page_alone_with_16_kib_pages() {
    const TEST: &str = "what_stays_keeps_its_page_alone_with_16_kib_pages";
    as_child(TEST, 16 << 10, give_back_around_what_stays);
}

#[test]
fn what_stays_keeps_its_page_alone_with_64_kib_pages() {
    const TEST: &str = "what_stays_keeps_its_page_alone_with_64_kib_pages";
    as_child(TEST, 64 << 10, give_back_around_what_stays);
}

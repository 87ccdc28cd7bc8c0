//! On kernels with pages of 16 and 64 KiB the promises are the same.
//!
//! Needs the feature `fault-injection`, which simulates the page size; it is
//! set before the first allocation, so each size is a child process.

mod model;
mod support;

use model::{MAX_ALIGN_SHIFT, Model, Op, THREAD_COUNT};
use pymalloc::{PyMalloc, fault};
use support::{Child, Random, alone, assert_heap_is_sound, in_child};

static SUBJECT: PyMalloc = PyMalloc;

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

/// The model's promises, kept with pages of this size.
fn live_with_pages_of(page_size: usize) {
    fault::set_page_size(page_size);
    for seed in 0..12 {
        let mut random = Random::new(seed);
        let ops: Vec<Op> = (0..400).map(|_| random_op(&mut random)).collect();
        Model::run(&SUBJECT, &ops);
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

#[track_caller]
fn as_child(test: &str, page_size: usize) {
    if in_child(test).is_some() {
        live_with_pages_of(page_size);
    } else {
        alone(|| {
            Child::of(test, "paged").stderr();
        });
    }
}

#[test]
fn promises_hold_with_4_kib_pages() {
    as_child("promises_hold_with_4_kib_pages", 4 << 10);
}

#[test]
fn promises_hold_with_16_kib_pages() {
    as_child("promises_hold_with_16_kib_pages", 16 << 10);
}

#[test]
fn promises_hold_with_64_kib_pages() {
    as_child("promises_hold_with_64_kib_pages", 64 << 10);
}

//! One fixed program, and each of its system calls fails in turn: alone, and with every
//! later one. Requests may be null then, and nothing else changes: no live byte, no
//! count; as soon as calls succeed, requests do; and when all is freed, nothing is in use.
//!
//! Needs the feature `fault-injection`. The allocator is driven directly.

mod model;
mod support;

use model::{Model, Op, THREAD_COUNT};
use pymalloc::PyMalloc;
use pymalloc::fault::{self, Call};
use support::{Child, Random, alone, assert_heap_is_sound, bytes_in_use, in_child};

static SUBJECT: PyMalloc = PyMalloc;

/// More calls than the program makes.
const MOST_CALLS: usize = 2_000;

/// Blocks of every tier on two threads that come, grow and go. Trims leave the cache of
/// freed large blocks empty: so the next ones, and those that grow, ask the system.
fn program() -> Vec<Op> {
    let mut random = Random::new(21);
    let mut ops = Vec::new();
    for round in 0..60 {
        let thread = random.below(THREAD_COUNT - 1);
        let size = size(&mut random);
        let align = 1 << random.below(if round % 4 == 0 { 20 } else { 5 });
        let (pick, new_size) = (random.below(1 << 20), size_of_large(&mut random));
        let zeroed = random.below(2) == 0;
        ops.push(Op::Alloc {
            thread,
            size,
            align,
            zeroed,
        });
        ops.extend(match round % 12 {
            1 | 4 | 7 => [
                Op::Trim { thread },
                Op::Realloc {
                    thread,
                    pick,
                    new_size,
                },
            ],
            2 => burst_and_drain(thread, pick),
            6 => [Op::EndThread { thread: 1 }, Op::Dealloc { thread, pick }],
            _ => [
                Op::Dealloc { thread, pick },
                Op::Dealloc {
                    thread,
                    pick: pick / 3,
                },
            ],
        });
    }
    ops
}

fn burst_and_drain(thread: usize, pick: usize) -> [Op; 2] {
    let (size, align, count) = (2_000, 8, 200);
    [
        Op::Burst {
            thread,
            size,
            align,
            count,
        },
        Op::Drain {
            thread,
            pick,
            count,
        },
    ]
}

fn size(random: &mut Random) -> usize {
    match random.below(5) {
        0..=2 => size_of_large(random),
        3 => 513 + random.below(65_024),
        _ => random.size(),
    }
}

fn size_of_large(random: &mut Random) -> usize {
    65_537 + random.below(300 << 10)
}

/// Runs the program with `count` calls failing from the `n`-th on; then again, with none.
/// Returns how many calls there were.
fn fail_then_recover(chosen: &[Call], n: usize, count: usize) -> usize {
    let mut model = Model::tolerating_null(&SUBJECT);
    fault::fail(chosen, n, count);
    for op in program() {
        model.apply(op);
    }
    model.apply(Op::Check);
    let calls = fault::calls();
    fault::clear();
    let nulls = model.null_count();
    for op in program() {
        model.apply(op);
    }
    assert_eq!(model.null_count(), nulls, "null after the recovery");
    model.finish();
    pymalloc::trim();
    calls
}

/// Each call of the chosen kinds; there are at least `least`.
#[track_caller]
fn assert_each_may_fail(chosen: &[Call], least: usize) {
    alone(|| {
        let in_use = bytes_in_use();
        let mut most = 0;
        for count in [1, usize::MAX] {
            let mut n = 1;
            while fail_then_recover(chosen, n, count) >= n {
                assert_heap_is_sound();
                assert_eq!(bytes_in_use(), in_use, "{chosen:?} failed at {n}");
                n += 1;
                assert!(n < MOST_CALLS, "the calls never end");
            }
            most = most.max(n - 1);
        }
        assert!(most >= least, "only {most} calls of {chosen:?}");
    });
}

#[test]
fn each_mmap_may_fail() {
    assert_each_may_fail(&[Call::Map], 20);
}

#[test]
fn each_mremap_may_fail() {
    assert_each_may_fail(&[Call::Remap], 3);
}

#[test]
fn each_munmap_may_fail() {
    assert_each_may_fail(&[Call::Unmap], 20);
}

#[test]
fn each_madvise_may_fail() {
    assert_each_may_fail(&[Call::Discard], 20);
}

#[test]
fn each_call_of_any_kind_may_fail() {
    let all = [Call::Map, Call::Remap, Call::Unmap, Call::Discard];
    assert_each_may_fail(&all, 60);
}

#[test]
fn each_call_may_fail_where_pages_are_of_64_kib() {
    const TEST: &str = "each_call_may_fail_where_pages_are_of_64_kib";
    if in_child(TEST).is_some() {
        fault::set_page_size(64 << 10);
        assert_each_may_fail(&[Call::Map, Call::Remap, Call::Unmap, Call::Discard], 60);
    } else {
        alone(|| {
            Child::of(TEST, "paged").stderr();
        });
    }
}

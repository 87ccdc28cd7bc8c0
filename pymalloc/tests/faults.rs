//! Every request for pages may fail, at any point of a program: the caller
//! gets null, no live byte changes, frees go on working, and once the system
//! answers again so does the allocator. Nothing is lost.
//!
//! Needs the feature `fault-injection`. The allocator is driven directly:
//! the test's own memory comes from the system.

mod model;
mod support;

use std::alloc::{GlobalAlloc, Layout};
use std::io::Write;
use std::path::Path;

use model::{Model, Op, Pattern, THREAD_COUNT};
use pymalloc::{PyMalloc, fault};
use support::{Child, Random, alone, assert_heap_is_sound, bytes_in_use, in_child};

static SUBJECT: PyMalloc = PyMalloc;

/// Fewer than this would say little.
const MANY_REQUESTS: usize = 20;
/// More requests for pages than any sequence here makes.
const MOST_REQUESTS: usize = 2_000;

/// Requests fail as long as it lives, also when a test ends early.
#[derive(Debug)]
struct Failing;

impl Failing {
    /// From the n-th request on.
    fn at(n: usize) -> Self {
        fault::fail_at(n);
        Self
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        fault::clear();
    }
}

/// Large blocks ask the system more often than others, the more so the less of them a
/// cache can hold: more of them, more to fail.
fn size_to_fail(random: &mut Random) -> usize {
    match random.below(4) {
        0 => 65_537 + random.below(4 << 20),
        _ => random.size(),
    }
}

/// A fixed sequence that reaches every tier, on a number of threads.
fn sequence(seed: u64, threads: usize) -> Vec<Op> {
    let mut random = Random::new(seed);
    let mut ops = Vec::new();
    for _ in 0..80 {
        let thread = random.below(threads);
        let size = size_to_fail(&mut random);
        let align = 1 << random.below(14);
        let zeroed = random.below(2) == 0;
        ops.push(Op::Alloc {
            thread,
            size,
            align,
            zeroed,
        });
        let (thread, pick) = (random.below(threads), random.below(1 << 20));
        ops.push(match random.below(8) {
            0..=2 => Op::Realloc {
                thread,
                pick,
                new_size: size_to_fail(&mut random),
            },
            3..=5 => Op::Dealloc { thread, pick },
            6 => Op::EndThread { thread },
            _ => Op::Check,
        });
    }
    ops
}

/// Runs the sequence with the n-th request failing and every later one, then
/// again with none failing. Returns how many nulls there were.
fn fail_then_recover(n: usize, threads: usize) -> usize {
    let mut model = Model::tolerating_null(&SUBJECT);
    let failing = Failing::at(n);
    for op in sequence(n as u64 % 3, threads) {
        model.apply(op);
    }
    model.apply(Op::Check);
    drop(failing);
    let nulls = model.null_count();
    for op in sequence(9, threads) {
        model.apply(op);
    }
    assert_eq!(model.null_count(), nulls, "null after the recovery");
    model.finish();
    nulls
}

/// Fails at 1, 2, 3 ... until nothing fails any more; there is much to fail.
#[track_caller]
fn assert_every_request_may_fail(mut nulls_at: impl FnMut(usize) -> usize) {
    // Three sequences take turns: all of them must have run to their ends.
    let mut clean_runs = 0;
    let mut n = 0;
    while clean_runs < 3 {
        n += 1;
        assert!(n < MOST_REQUESTS, "requests never stop failing");
        clean_runs = if nulls_at(n) == 0 { clean_runs + 1 } else { 0 };
    }
    assert!(n > MANY_REQUESTS, "only {n} requests were put to the test");
}

#[test]
fn every_request_of_a_fresh_process_may_fail() {
    const TEST: &str = "every_request_of_a_fresh_process_may_fail";
    if let Some(n) = in_child(TEST) {
        let nulls = fail_then_recover(n.parse().expect("a number"), 1);
        writeln!(std::io::stderr(), "nulls={nulls}").expect("stderr");
        return;
    }
    alone(|| {
        assert_every_request_may_fail(|n| {
            let said = Child::of(TEST, &n.to_string()).stderr();
            let nulls = said.trim().strip_prefix("nulls=").expect("a count");
            nulls.parse().expect("a number")
        });
    });
}

#[test]
fn every_request_of_three_fresh_threads_may_fail() {
    alone(|| {
        assert_every_request_may_fail(|n| {
            pymalloc::trim();
            fail_then_recover(n, THREAD_COUNT)
        });
    });
}

#[test]
fn every_request_of_a_warm_process_may_fail() {
    alone(|| {
        assert_every_request_may_fail(|n| {
            let in_use = bytes_in_use();
            pymalloc::trim();
            let nulls = fail_then_recover(n, 1);
            assert_eq!(bytes_in_use(), in_use, "at {n}");
            nulls
        });
    });
}

#[test]
fn growth_that_fails_keeps_the_block_and_works_later() {
    alone(|| {
        for (old_size, new_size) in [
            (400, 70_000),
            (60_000, 1 << 20),
            (70_000, 9 << 20),
            (1 << 20, 64 << 20),
        ] {
            for align in [8, 64, 1 << 13, 1 << 17] {
                let layout = Layout::from_size_align(old_size, align).expect("a legal layout");
                pymalloc::trim();
                // SAFETY: the layout is not empty.
                let block = unsafe { SUBJECT.alloc(layout) };
                assert!(!block.is_null());
                let pattern = Pattern::of(new_size as u64);
                pattern.fill(block, old_size);

                let failing = Failing::at(1);
                // SAFETY: the block is live; the new size is legal.
                let moved = unsafe { SUBJECT.realloc(block, layout, new_size) };
                drop(failing);
                assert!(moved.is_null(), "{layout:?} to {new_size}");
                assert!(pattern.is_at(block, old_size));
                assert_heap_is_sound();

                // SAFETY: a failed realloc leaves the block live.
                let moved = unsafe { SUBJECT.realloc(block, layout, new_size) };
                assert!(!moved.is_null(), "{layout:?} to {new_size}");
                assert!(pattern.is_at(moved, old_size));
                let layout = Layout::from_size_align(new_size, align).expect("a legal layout");
                // SAFETY: the block is live, under its new layout.
                unsafe { SUBJECT.dealloc(moved, layout) };
            }
        }
        assert_heap_is_sound();
    });
}

/// Beyond 16 MiB, or 32, pools are in huge pages, where the system has some, until a part goes back.
#[test]
fn advice_about_huge_pages_may_be_refused() {
    let layout = Layout::new::<[u64; 128]>();
    let refuse_if = |is_refused| {
        let chosen: &[_] = if is_refused {
            &[fault::Call::Advise]
        } else {
            &[]
        };
        fault::fail(chosen, 1, usize::MAX);
    };
    let has_huge_pages = Path::new("/sys/kernel/mm/transparent_hugepage").exists();
    alone(|| {
        let in_use = bytes_in_use();
        let phases = [(false, false), (true, false), (false, true)];
        // Each time more than ever was: only memory that is new gets huge pages.
        for (n, (growing, shrinking)) in phases.into_iter().enumerate() {
            refuse_if(growing);
            let mut blocks = Vec::new();
            for id in 0..((40 + 24 * n) << 20) / layout.size() {
                // SAFETY: the layout is not empty.
                let block = unsafe { SUBJECT.alloc(layout) };
                assert!(!block.is_null());
                Pattern::of(id as u64).fill(block, layout.size());
                blocks.push(block);
            }
            assert!(!growing || fault::calls() > 0);
            fault::clear();
            // What nobody wanted yet goes back, and nothing else does.
            pymalloc::trim();
            assert_eq!(pymalloc::trim(), 0);
            refuse_if(shrinking);
            for (id, block) in blocks.into_iter().enumerate() {
                assert!(Pattern::of(id as u64).is_at(block, layout.size()));
                // SAFETY: the block is live, under this layout.
                unsafe { SUBJECT.dealloc(block, layout) };
                if id == 10_000 {
                    assert_heap_is_sound();
                }
            }
            pymalloc::trim();
            assert!(!shrinking || !has_huge_pages || fault::calls() > 0);
            fault::clear();
            pymalloc::trim();
            assert_eq!(pymalloc::trim(), 0);
            assert_heap_is_sound();
            assert_eq!(bytes_in_use(), in_use);
        }
    });
}

#[test]
fn frees_shrinks_and_trims_need_no_pages() {
    alone(|| {
        let mut model = Model::new(&SUBJECT);
        for op in sequence(4, 1) {
            if matches!(op, Op::Alloc { .. }) {
                model.apply(op);
            }
        }
        let failing = Failing::at(1);
        // Null would be an error here: the model does not tolerate it.
        for pick in 0..40 {
            model.apply(Op::Realloc {
                thread: 0,
                pick: pick * 7,
                new_size: 0,
            });
        }
        pymalloc::trim();
        model.finish();
        pymalloc::trim();
        drop(failing);
        assert_heap_is_sound();
    });
}

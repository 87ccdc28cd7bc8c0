//! A process may have used up its pthread keys before the allocator is loaded: then it cannot
//! be told of a thread's exit, and keeps its promises all the same.
//!
//! Each test is a child process; the allocator is driven directly.

mod model;
mod support;

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use model::{Model, Op, THREAD_COUNT};
use pymalloc::PyMalloc;
use support::{Child, Random, alone, assert_heap_is_sound, in_child};

static SUBJECT: PyMalloc = PyMalloc;

/// The keys taken last.
static KEYS: [AtomicU32; 16] = [const { AtomicU32::new(0) }; 16];

/// Takes every key, before the allocator's constructor runs.
#[used]
// SAFETY: the loader calls what it finds there.
#[unsafe(link_section = ".preinit_array")]
static BEFORE_LOADED: extern "C" fn() = {
    extern "C" fn take_all_keys() {
        let mut count = 0;
        let mut key = 0;
        // SAFETY: `key` is writable; there is no destructor.
        while unsafe { libc::pthread_key_create(&raw mut key, None) } == 0 {
            KEYS[count % KEYS.len()].store(key, Relaxed);
            count += 1;
        }
    }
    take_all_keys
};

/// Gives a few back after it: std needs some.
#[used]
// SAFETY: as above.
#[unsafe(link_section = ".init_array.00102")]
static AFTER_LOADED: extern "C" fn() = {
    extern "C" fn give_some_back() {
        for key in &KEYS {
            // SAFETY: taken above, and used by nobody.
            unsafe { libc::pthread_key_delete(key.load(Relaxed)) };
        }
    }
    give_some_back
};

fn alloc_and_free(layout: Layout) {
    // SAFETY: no layout here is empty.
    let block = unsafe { SUBJECT.alloc(layout) };
    assert!(!block.is_null());
    // SAFETY: the block just allocated, with its layout.
    unsafe { SUBJECT.dealloc(block, layout) };
}

/// A thread that is told of its exit keeps blocks at hand.
#[track_caller]
fn assert_is_guest() {
    alloc_and_free(Layout::new::<[u64; 4]>());
    assert_eq!(pymalloc::stats().bytes_in_fronts, 0, "it has a key");
}

/// Threads come and go a hundred times over, each with blocks of its own and
/// of others.
fn live_without_keys() {
    assert_is_guest();
    let in_use = support::bytes_in_use();
    for seed in 0..20 {
        let mut model = Model::new(&SUBJECT);
        let mut random = Random::new(seed);
        for _ in 0..20 {
            let thread = random.below(THREAD_COUNT);
            model.apply(Op::Burst {
                thread,
                size: random.size(),
                align: 8,
                count: 20,
            });
            model.apply(Op::Drain {
                thread: random.below(THREAD_COUNT),
                pick: random.below(1 << 20),
                count: 15,
            });
            model.apply(Op::EndThread { thread });
        }
        model.finish();
    }
    assert_eq!(support::bytes_in_use(), in_use);
    assert_heap_is_sound();
}

#[test]
fn threads_that_cannot_be_seen_to_exit_lose_nothing() {
    const TEST: &str = "threads_that_cannot_be_seen_to_exit_lose_nothing";
    if in_child(TEST).is_some() {
        alone(live_without_keys);
        let heap = pymalloc::stats();
        assert!(heap.bytes_mapped < 64 << 20, "{heap}");
    } else {
        Child::of(TEST, "keyless").stderr();
    }
}

/// Guests have no pools: what they grow by comes from those that all share.
#[test]
fn growth_of_guests_is_paid_for_with_what_lies_idle() {
    const TEST: &str = "growth_of_guests_is_paid_for_with_what_lies_idle";
    const MIB: usize = 1 << 20;
    if in_child(TEST).is_none() {
        return drop(Child::of(TEST, "keyless").stderr());
    }
    assert_is_guest();
    let large = Layout::from_size_align(3 * MIB, 8).expect("a legal layout");
    let small = Layout::from_size_align(96, 8).expect("a legal layout");
    alloc_and_free(large);
    assert_eq!(pymalloc::stats().bytes_large_cached, 3 * MIB);
    for _ in 0..20 * MIB / 96 {
        // SAFETY: the layout is not empty. The blocks go with the process.
        assert!(!unsafe { SUBJECT.alloc(small) }.is_null());
    }
    assert_eq!(pymalloc::stats().bytes_large_cached, 0);
}

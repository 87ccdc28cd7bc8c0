//! A process may have used up its pthread keys before it first allocates: then
//! the allocator cannot be told of a thread's exit, and keeps its promises all
//! the same.
//!
//! The test is a child process; the allocator is driven directly, for the
//! first time after the last key is gone.

mod model;
mod support;

use model::{Model, Op, THREAD_COUNT};
use pymalloc::PyMalloc;
use support::{Child, Random, alone, assert_heap_is_sound, in_child};

static SUBJECT: PyMalloc = PyMalloc;

/// Takes every key that is left; how many.
fn take_all_keys() -> usize {
    let mut count = 0;
    loop {
        let mut key = 0;
        // SAFETY: `key` is writable; there is no destructor.
        let status = unsafe { libc::pthread_key_create(&raw mut key, None) };
        if status != 0 {
            assert_eq!(status, libc::EAGAIN);
            return count;
        }
        count += 1;
    }
}

/// Threads come and go a hundred times over, each with blocks of its own and
/// of others.
fn live_without_keys() {
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
        // std needs a key or none; a thread that ran has what it needs.
        std::thread::spawn(|| ()).join().expect("it does nothing");
        assert!(take_all_keys() > 0);
        alone(live_without_keys);
        let heap = pymalloc::stats();
        assert!(heap.bytes_mapped < 64 << 20, "{heap}");
    } else {
        Child::of(TEST, "keyless").stderr();
    }
}

//! What threads cost: a thousand that came and went cost nothing that stays,
//! two hundred at once cost little each, and one needs no more stack than the
//! system's least.

mod support;

use std::sync::{Arc, Barrier};
use std::thread;

use pymalloc::PyMalloc;
use support::{alone, assert_heap_is_sound, bytes_in_use, resident_bytes};

#[global_allocator]
static GLOBAL: PyMalloc = PyMalloc;

/// What the counts may differ by: the harness's own threads.
const SLACK_BYTES: usize = 1 << 20;
/// Of a thread's stack: less than a huge page, which would else be resident, in each, where
/// the system uses them always.
const STACK_BYTES: usize = 256 << 10;
/// What the thread count may cost the process for good.
const THREADS_SLACK_BYTES: usize = 4 << 20;

#[test]
fn a_thousand_threads_leave_the_heap_as_it_was() {
    alone(|| {
        let touch_every_class = || {
            let boxes: Vec<Vec<u8>> = (1..=64).map(|class| vec![1; class * 8]).collect();
            assert_eq!(boxes.iter().map(Vec::len).sum::<usize>(), 64 * 65 * 4);
        };
        let bear_and_join = |count: usize| {
            for _ in 0..count {
                let thread = thread::Builder::new().stack_size(STACK_BYTES);
                thread
                    .spawn(touch_every_class)
                    .expect("a thread")
                    .join()
                    .expect("it only allocates");
            }
        };
        bear_and_join(20);
        let (heap_before, resident_before) = (bytes_in_use(), resident_bytes());
        bear_and_join(1_000);
        assert_heap_is_sound();
        let (heap_after, resident_after) = (bytes_in_use(), resident_bytes());
        assert!(
            heap_after <= heap_before + SLACK_BYTES,
            "{heap_before} bytes in use before, {heap_after} after"
        );
        assert!(
            resident_after <= resident_before + THREADS_SLACK_BYTES,
            "{resident_before} bytes resident before, {resident_after} after"
        );
    });
}

#[test]
fn two_hundred_live_threads_stay_within_forty_megabytes() {
    const THREADS: usize = 200;
    const LIMIT_BYTES: usize = 40 << 20;
    alone(|| {
        let all_have_allocated = Arc::new(Barrier::new(THREADS + 1));
        let all_may_go = Arc::new(Barrier::new(THREADS + 1));
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let (allocated, go) = (Arc::clone(&all_have_allocated), Arc::clone(&all_may_go));
                let thread = thread::Builder::new().stack_size(STACK_BYTES);
                let live = move || {
                    let boxes: Vec<Vec<u8>> = (1..=64).map(|class| vec![1; class * 8]).collect();
                    allocated.wait();
                    go.wait();
                    drop(boxes);
                };
                thread.spawn(live).expect("a thread")
            })
            .collect();
        all_have_allocated.wait();
        let resident = resident_bytes();
        assert_heap_is_sound();
        all_may_go.wait();
        for thread in threads {
            thread.join().expect("it only allocates");
        }
        assert!(resident < LIMIT_BYTES, "{resident} bytes resident");
    });
}

#[test]
fn a_thread_with_the_smallest_stack_allocates() {
    alone(|| {
        // Rounded up to what the system asks for.
        let smallest = thread::Builder::new().stack_size(1);
        let work = || {
            let blocks = [8, 512, 513, 40_000, 65_537, 1 << 20].map(|len| vec![1_u8; len]);
            blocks.iter().map(Vec::len).sum::<usize>()
        };
        let sum = smallest.spawn(work).expect("a thread").join();
        assert_eq!(sum.expect("it only allocates"), 1_155_146);
        assert_heap_is_sound();
    });
}

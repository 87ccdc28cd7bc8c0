//! What a thread allocates is counted, and nobody else's.

#[path = "support/tracing.rs"]
mod tracing;

use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::thread;

use pymalloc::PyMalloc;
use tracemalloc::{Config, Counted, Region, Unwinder, Usage, measure};
use tracing::Tracing;

#[global_allocator]
static GLOBAL: Counted<PyMalloc> = Counted(PyMalloc);

fn ten_frames(unwinder: Unwinder) -> Config {
    Config {
        nframe: 10,
        unwinder,
        ..Config::default()
    }
}

fn block(bytes: usize) -> Vec<u8> {
    black_box(Vec::with_capacity(black_box(bytes)))
}

#[test]
fn blocks_bytes_and_peak_are_exact() {
    let (kept, usage) = measure(|| {
        let one = block(100);
        let mut two = block(1000);
        two.reserve_exact(5000);
        two.shrink_to(10);
        drop(one);
        (block(7), black_box(Box::new([0_u64; 4])))
    })
    .unwrap();
    assert_eq!(
        (usage.allocations, usage.reallocations, usage.frees),
        (4, 2, 2)
    );
    assert_eq!(usage.allocated_bytes, 100 + 5000 + 7 + 32);
    assert_eq!((usage.live_blocks(), usage.live_bytes()), (2, 7 + 32));
    assert_eq!(usage.peak_bytes, 5100);
    let ((), usage) = measure(|| drop(kept)).unwrap();
    assert_eq!(
        (usage.frees, usage.freed_bytes, usage.peak_bytes),
        (2, 39, 0)
    );
    assert_eq!(usage.live_bytes(), -39);
    assert!(usage.is_empty());
}

#[test]
fn nothing_is_counted_where_nothing_is_allocated() {
    // The first of a thread, where its own room is made.
    let measured = || measure(|| measure(|| measure(|| 1).unwrap()).unwrap()).unwrap();
    let ((_, inner), outer) = thread::spawn(measured).join().unwrap();
    assert_eq!((inner, outer), (Usage::default(), Usage::default()));
}

#[test]
fn zeroed_and_large_blocks_count_as_others() {
    let (kept, usage) = measure(|| (vec![0_u8; 300], vec![0_u8; 5 << 20])).unwrap();
    assert_eq!(
        (usage.allocations, usage.live_bytes()),
        (2, 300 + (5 << 20))
    );
    drop(kept);
}

#[test]
fn threads_do_not_see_each_other() {
    let work = |blocks: u64| {
        move || {
            for _ in 0..50 {
                let (kept, usage) = measure(|| {
                    let kept: Vec<Vec<u8>> = (0..blocks).map(|_| block(10)).collect();
                    thread::yield_now();
                    kept
                })
                .unwrap();
                assert_eq!(usage.allocations, blocks + 1);
                assert_eq!(usage.peak_bytes, blocks * (10 + 24));
                drop(kept);
            }
        }
    };
    let threads = [1, 10, 100].map(|blocks| thread::spawn(work(blocks)));
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn another_threads_blocks_are_not_counted() {
    let (kept, usage) = measure(|| {
        let kept = block(50);
        // The thread's own room is this thread's; the block is not.
        let other = thread::spawn(|| block(100_000)).join().unwrap();
        (kept, other)
    })
    .unwrap();
    assert!((50..20_000).contains(&usage.allocated_bytes), "{usage}");
    drop(kept);
}

#[test]
fn regions_overlap_in_any_way() {
    let first = Region::new().unwrap();
    drop(block(1000));
    let second = Region::new().unwrap();
    drop(block(300));
    let third = Region::new().unwrap();
    drop(block(50));
    let peak = |region: &Region| region.usage().peak_bytes;
    assert_eq!((peak(&first), peak(&second), peak(&third)), (1000, 300, 50));
    // Not the last one first.
    drop(first);
    let kept = block(400);
    assert_eq!((peak(&second), peak(&third)), (400, 400));
    drop(second);
    drop(kept);
    drop(block(10));
    let usage = third.usage();
    assert_eq!((usage.allocations, usage.frees), (3, 3));
    assert_eq!((usage.peak_bytes, usage.live_bytes()), (400, 0));
}

#[test]
fn a_region_ends_with_a_panic() {
    let kept = block(8);
    let caught = catch_unwind(AssertUnwindSafe(|| {
        measure(|| {
            let _block = block(9);
            std::panic::resume_unwind(Box::new(()));
        })
    }));
    assert!(caught.is_err());
    let (_, usage) = measure(|| drop(kept)).unwrap();
    assert_eq!((usage.frees, usage.peak_bytes), (1, 0));
}

#[test]
fn a_region_is_refused_or_works_while_its_thread_exits() {
    struct Last(Option<Region>);
    impl Drop for Last {
        fn drop(&mut self) {
            drop(block(700));
            if let Some(region) = self.0.take() {
                // What the thread began with is freed meanwhile.
                assert!(region.usage().allocated_bytes >= 700);
            }
            if let Ok((_, usage)) = measure(|| drop(block(30))) {
                assert_eq!((usage.allocations, usage.peak_bytes), (1, 30));
            }
        }
    }
    thread_local! {
        static BEFORE: Last = const { Last(None) };
        static LAST: std::cell::RefCell<Last> = const { std::cell::RefCell::new(Last(None)) };
    }
    let exits = || {
        BEFORE.with(|_| ());
        LAST.with(|last| last.borrow_mut().0 = Some(Region::new().unwrap()));
    };
    thread::spawn(exits).join().unwrap();
}

/// Whichever test traces meanwhile.
#[cfg(feature = "framehop")]
#[test]
fn what_the_recorder_allocates_is_not_counted() {
    // More than there are threads that have left a cache of rules to another.
    const THREADS: usize = 8;
    let [begun, on, done] = [(); 3].map(|()| Barrier::new(THREADS + 1));
    let work = || {
        let region = Region::new().unwrap();
        begun.wait();
        on.wait();
        let kept = block(100_000);
        let usage = region.usage();
        done.wait();
        drop(kept);
        (usage.allocations, usage.live_bytes())
    };
    let _tracing = Tracing::off();
    thread::scope(|scope| {
        let threads = [(); THREADS].map(|()| scope.spawn(work));
        begun.wait();
        tracemalloc::start_with(ten_frames(Unwinder::Tables)).unwrap();
        on.wait();
        done.wait();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), (1, 100_000));
        }
    });
}

/// The wrapper's own calls are no part of a traceback.
#[test]
fn a_traced_block_is_put_down_to_who_asked() {
    let _tracing = Tracing::start(ten_frames(Unwinder::Auto));
    let kept = block(12_345);
    let traceback = tracemalloc::get_address_traceback(kept.as_ptr().addr()).unwrap();
    let last = &traceback[traceback.len() - 1];
    assert!(last.filename().ends_with("tests/measure.rs"), "{last:?}");
    assert!(last.function().contains("block"), "{last:?}");
}

//! `Traced`: a foreign allocator, traced by a table.

use std::alloc::System;
use std::hint::black_box;
use std::sync::{Mutex, PoisonError};
use std::thread;

use tracemalloc::{Config, Mode, Traced};

#[global_allocator]
static GLOBAL: Traced<System> = Traced(System);

/// A process traces as a whole: one test at a time.
static ONE: Mutex<()> = Mutex::new(());

fn count_of(size: usize) -> usize {
    let snapshot = tracemalloc::take_snapshot().unwrap();
    let all = snapshot.traces();
    all.iter().filter(|trace| trace.size() == size).count()
}

#[test]
fn every_block_is_there_until_it_is_freed_or_moved() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    tracemalloc::start(5).unwrap();
    let (before, _) = tracemalloc::get_traced_memory();
    let mut kept: Vec<Vec<u8>> = (0..500).map(|_| Vec::with_capacity(12_345)).collect();
    assert_eq!(count_of(12_345), 500);
    for block in &mut kept[..100] {
        block.reserve_exact(23_456);
    }
    assert_eq!((count_of(12_345), count_of(23_456)), (400, 100));
    let (current, peak) = tracemalloc::get_traced_memory();
    let least = 400 * 12_345 + 100 * 23_456;
    // The harness's own thread allocates, too.
    let expected = before + least..before + least + 100_000;
    assert!(expected.contains(&current), "{current}, not {expected:?}");
    assert!(peak >= current);
    assert!(tracemalloc::get_object_traceback(&kept[7]).is_none());
    assert!(tracemalloc::get_address_traceback(kept[7].as_ptr().addr()).is_some());
    thread::spawn(move || drop(kept)).join().unwrap();
    assert_eq!((count_of(12_345), count_of(23_456)), (0, 0));
    tracemalloc::stop();
}

#[test]
fn samples_stand_for_all() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let config = Config {
        mode: Mode::Sampled { period_bytes: 2000 },
        seed: Some(3),
        ..Config::default()
    };
    tracemalloc::start_with(config).unwrap();
    let kept: Vec<_> = (0..100_000)
        .map(|_| black_box(Box::new([0_u8; 40])))
        .collect();
    let snapshot = tracemalloc::take_snapshot().unwrap();
    let all = snapshot.traces();
    let of_kept = all.iter().filter(|trace| trace.size() == 40);
    let sum: f64 = of_kept.map(|trace| trace.weight().count).sum();
    // 2,000 samples: one standard error is 2.2 %.
    assert!((sum / 1e5 - 1.0).abs() < 0.1, "{sum}");
    drop(kept);
    assert_eq!(count_of(40), 0);
    tracemalloc::stop();
}

#[test]
fn sizes_that_add_up_to_more_than_there_is_do_no_harm() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    tracemalloc::start(5).unwrap();
    let (before, _) = tracemalloc::get_traced_memory();
    for size in [usize::MAX, 1 << 62] {
        for address in [64, 128, 192] {
            tracemalloc::track(1, address, size).unwrap();
        }
        drop(tracemalloc::take_snapshot().unwrap());
        for address in [64, 128, 192] {
            tracemalloc::untrack(1, address);
        }
    }
    let kept = black_box(Box::new([0_u8; 1717]));
    assert_eq!(count_of(1717), 1);
    let (after, _) = tracemalloc::get_traced_memory();
    assert!(after.abs_diff(before) < 10_000, "{before} {after}");
    drop(kept);
    tracemalloc::stop();
}

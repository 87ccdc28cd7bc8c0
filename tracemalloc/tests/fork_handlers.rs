//! A program's own handlers for forks allocate, wherever they run.

use std::alloc::System;
use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tracemalloc::{Dumper, Traced};

#[global_allocator]
static GLOBAL: Traced<System> = Traced(System);

static CALLS: AtomicUsize = AtomicUsize::new(0);
static DUMPERS: Mutex<Vec<Dumper>> = Mutex::new(Vec::new());
/// Dumpers that said that they were not waited for.
static LEFT: AtomicUsize = AtomicUsize::new(0);

/// Blocks that come and go, and looks that find nothing.
extern "C" fn allocates() {
    drop(black_box(Box::new([7_u8; 5000])));
    black_box(tracemalloc::track(3, 4096, 64).is_ok());
    tracemalloc::untrack(3, 4096);
    let is_blind = tracemalloc::take_snapshot().is_err()
        && tracemalloc::take_peak_snapshot().is_err()
        && tracemalloc::get_address_traceback((&raw const CALLS).addr()).is_none()
        && tracemalloc::waterfall().is_ok();
    tracemalloc::clear_traces();
    tracemalloc::reset_peak();
    tracemalloc::stop();
    CALLS.fetch_add(usize::from(is_blind), Relaxed);
}

/// One that wants to look once more, which it cannot until the fork is done, and one that is dropped.
extern "C" fn stops_dumpers() {
    let mut dumpers = std::mem::take(&mut *DUMPERS.lock().unwrap());
    let stopped = dumpers.pop().map(Dumper::stop);
    LEFT.fetch_add(usize::from(matches!(stopped, Some(Err(_)))), Relaxed);
}

#[test]
fn handlers_that_were_registered_before_the_start_may_allocate_and_look_and_stop() {
    // Before the recorder's: in the parent and the child they run first, before a fork last.
    // SAFETY: the handlers can be called at any time.
    let made = unsafe { libc::pthread_atfork(Some(allocates), Some(allocates), Some(allocates)) };
    assert_eq!(made, 0);
    // SAFETY: as above.
    let made = unsafe { libc::pthread_atfork(Some(stops_dumpers), None, None) };
    assert_eq!(made, 0);
    let dumper = || Dumper::start("/dev/null", Duration::from_secs(3600)).unwrap();
    DUMPERS.lock().unwrap().extend([dumper(), dumper()]);
    tracemalloc::start(5).unwrap();
    let kept = black_box(Box::new([1_u8; 4000]));
    let before = tracemalloc::get_traced_memory().0;
    // A test that hangs says nothing.
    // SAFETY: no requirements.
    unsafe { libc::alarm(240) };
    // SAFETY: the child allocates, which the handlers for forks allow, and leaves.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    let records = || {
        let block = black_box(Box::new([2_u8; 3000]));
        let known = tracemalloc::get_address_traceback((&raw const *block).addr()).is_some();
        let old = tracemalloc::get_address_traceback((&raw const *kept).addr()).is_some();
        known && old && CALLS.load(Relaxed) == 2
    };
    if child == 0 {
        // SAFETY: leaves at once.
        unsafe { libc::_exit(i32::from(!records())) };
    }
    let mut status = 0;
    // SAFETY: waits for the child above.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0);
    assert!(records());
    assert_eq!(LEFT.load(Relaxed), 1);
    // SAFETY: no requirements.
    unsafe { libc::alarm(0) };
    let after = tracemalloc::get_traced_memory().0;
    assert!(after.abs_diff(before) < 1000, "{before} {after}");
    tracemalloc::stop();
}

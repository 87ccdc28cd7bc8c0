//! What looks at the heap does not change it: `stats`, its `Display`,
//! `verify_heap`, `trim`, `owns` and `usable_size` allocate nothing.
//!
//! The global allocator counts this thread's calls on their way to `PyMalloc`.

mod support;

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::fmt::{self, Write};
use std::hint::black_box;

use pymalloc::PyMalloc;
use support::alone;

#[derive(Debug)]
struct Counting;

#[global_allocator]
static GLOBAL: Counting = Counting;

thread_local! {
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    CALLS.set(CALLS.get() + 1);
}

// SAFETY: every call goes to PyMalloc as it is; counting touches no heap: the
// cell is initialised at compile time and has no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's contract is the same.
        unsafe { PyMalloc.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count();
        // SAFETY: the caller's contract is the same.
        unsafe { PyMalloc.dealloc(ptr, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's contract is the same.
        unsafe { PyMalloc.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's contract is the same.
        unsafe { PyMalloc.realloc(ptr, layout, new_size) }
    }
}

/// How often `work` calls the allocator, over a heap with something in it.
fn calls_during(work: impl FnOnce() + Send) -> usize {
    alone(|| {
        let _heap: Vec<Vec<u8>> = [1, 100, 512, 600, 9_000, 65_536, 300_000]
            .map(|len| vec![1; len])
            .into();
        let before = CALLS.get();
        work();
        CALLS.get() - before
    })
}

/// Takes text, keeps its length.
#[derive(Debug, Default)]
struct Sink {
    len: usize,
}

impl Write for Sink {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.len += text.len();
        Ok(())
    }
}

#[test]
fn the_counter_counts() {
    assert_eq!(calls_during(|| drop(black_box(Box::new(1)))), 2);
    assert_eq!(calls_during(|| ()), 0);
}

#[test]
fn stats_allocates_nothing() {
    let calls = calls_during(|| {
        black_box(pymalloc::stats());
    });
    assert_eq!(calls, 0);
}

#[test]
fn printing_stats_allocates_nothing() {
    let mut sink = Sink::default();
    let calls = calls_during(|| {
        write!(sink, "{}", pymalloc::stats()).expect("the sink takes all");
    });
    assert_eq!(calls, 0);
    assert!(sink.len > 500, "a table of {} bytes", sink.len);
}

#[test]
fn verify_heap_allocates_nothing() {
    let calls = calls_during(|| {
        assert!(pymalloc::verify_heap().is_ok());
    });
    assert_eq!(calls, 0);
}

#[test]
fn trim_allocates_nothing() {
    let calls = calls_during(|| {
        black_box(pymalloc::trim());
    });
    assert_eq!(calls, 0);
}

#[test]
fn owns_and_usable_size_allocate_nothing() {
    let block = Box::new([1_u8; 100]);
    let calls = calls_during(|| {
        assert!(pymalloc::owns(block.as_ptr()));
        // SAFETY: the block is live.
        let usable = unsafe { pymalloc::usable_size(block.as_ptr()) };
        assert!(usable >= 100);
    });
    assert_eq!(calls, 0);
}

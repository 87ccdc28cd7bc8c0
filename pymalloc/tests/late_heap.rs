//! A thread may allocate, or free, for the first time in the very last destructor that it
//! runs, when the system tells nobody any more that it has exited: the heap
//! holds no word about such a thread that outlives it.
//!
//! The threads are the system's own, so that nothing allocates before that; the
//! tests are child processes, which a stale heap could crash.

mod support;

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::{null, null_mut};
use std::sync::OnceLock;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::SeqCst;

use pymalloc::PyMalloc;
use support::{Child, alone, assert_heap_is_sound, bytes_in_use, in_child};

static SUBJECT: PyMalloc = PyMalloc;

/// glibc runs the destructors of keys so many times (PTHREAD_DESTRUCTOR_ITERATIONS).
const LAST_ROUND: usize = 4;
/// More than the system keeps of stacks that threads have left: this one is
/// unmapped, and with it the thread's heap.
const STACK_BYTES: usize = 64 << 20;
/// More than a block of each size below, with those borrowed beside it.
const LOST_BYTES: usize = 16 << 10;

/// What the destructor is to free instead of allocating.
static GIFT: AtomicPtr<u8> = AtomicPtr::new(null_mut());
const GIFT_LAYOUT: Layout = Layout::new::<[u64; 8]>();

thread_local! {
    static ROUND: Cell<usize> = const { Cell::new(0) };
    static ALLOCATES_IN: Cell<usize> = const { Cell::new(0) };
}

fn key() -> libc::pthread_key_t {
    static KEY: OnceLock<libc::pthread_key_t> = OnceLock::new();
    *KEY.get_or_init(|| {
        let mut key = 0;
        // SAFETY: `key` is writable, and the destructor never goes away.
        let status = unsafe { libc::pthread_key_create(&raw mut key, Some(destructor)) };
        assert_eq!(status, 0);
        key
    })
}

/// Waits for its round; frees what it was given in that one, or allocates in every tier.
extern "C" fn destructor(value: *mut c_void) {
    ROUND.set(ROUND.get() + 1);
    if ROUND.get() < ALLOCATES_IN.get() {
        // SAFETY: the key exists; the value is any non-null pointer.
        unsafe { libc::pthread_setspecific(key(), value) };
        return;
    }
    let gift = GIFT.swap(null_mut(), SeqCst);
    if !gift.is_null() {
        // SAFETY: it was allocated under this layout, and is given away.
        unsafe { SUBJECT.dealloc(gift, GIFT_LAYOUT) };
        return;
    }
    for size in [8, 64, 512, 5_000, 100_000] {
        let layout = Layout::from_size_align(size, 8).expect("a legal layout");
        // SAFETY: the layout is not empty.
        let block = unsafe { SUBJECT.alloc(layout) };
        // SAFETY: the block is live.
        unsafe { block.write_bytes(1, size) };
        // SAFETY: the block is live, under this layout.
        unsafe { SUBJECT.dealloc(block, layout) };
    }
}

/// A thread that sets the key, and leaves everything else to its destructor.
extern "C" fn start(round: *mut c_void) -> *mut c_void {
    ALLOCATES_IN.set(round.addr());
    // SAFETY: the key exists; the value is any non-null pointer.
    unsafe { libc::pthread_setspecific(key(), round) };
    null_mut()
}

fn run_thread(round: usize) {
    let mut thread = 0;
    // SAFETY: all zeros is a valid representation; it is initialised next.
    let mut attributes: libc::pthread_attr_t = unsafe { std::mem::zeroed() };
    // SAFETY: `attributes` is writable.
    let status = unsafe { libc::pthread_attr_init(&raw mut attributes) };
    assert_eq!(status, 0);
    // SAFETY: `attributes` is initialised.
    let status = unsafe { libc::pthread_attr_setstacksize(&raw mut attributes, STACK_BYTES) };
    assert_eq!(status, 0);
    let argument = null::<c_void>().with_addr(round).cast_mut();
    // SAFETY: the attributes are initialised; `start` takes a number.
    let status =
        unsafe { libc::pthread_create(&raw mut thread, &raw const attributes, start, argument) };
    assert_eq!(status, 0);
    // SAFETY: the thread is joined once; its result is not looked at.
    let status = unsafe { libc::pthread_join(thread, null_mut()) };
    assert_eq!(status, 0);
}

fn live_with_late_threads(round: usize, frees: bool) {
    // The allocator's own key comes first, as it does under a global allocator.
    let layout = Layout::new::<u64>();
    // SAFETY: the layout is not empty.
    let block = unsafe { SUBJECT.alloc(layout) };
    key();
    let before = bytes_in_use();
    for threads in 1..=20 {
        if frees {
            // SAFETY: the layout is not empty.
            GIFT.store(unsafe { SUBJECT.alloc(GIFT_LAYOUT) }, SeqCst);
        }
        run_thread(round);
        let left = bytes_in_use() - before;
        if round < LAST_ROUND {
            assert_eq!(left, 0);
        } else {
            // Nobody tells the allocator that such a thread is gone: what it had at
            // hand is lost, and no more than that.
            assert!(left <= threads * LOST_BYTES, "{left} bytes after {threads}");
        }
        assert_heap_is_sound();
        pymalloc::trim();
    }
    // SAFETY: the block is live, under this layout.
    unsafe { SUBJECT.dealloc(block, layout) };
}

#[track_caller]
fn as_child(test: &str, round: usize, frees: bool) {
    if in_child(test).is_some() {
        live_with_late_threads(round, frees);
    } else {
        alone(|| Child::of(test, "late").stderr());
    }
}

#[test]
fn a_heap_of_the_first_round_goes_with_its_thread() {
    as_child("a_heap_of_the_first_round_goes_with_its_thread", 1, false);
}

#[test]
fn a_heap_of_the_round_before_the_last_goes_with_its_thread() {
    as_child(
        "a_heap_of_the_round_before_the_last_goes_with_its_thread",
        LAST_ROUND - 1,
        false,
    );
}

#[test]
fn a_heap_of_the_last_round_loses_what_it_has_at_hand_and_no_more() {
    as_child(
        "a_heap_of_the_last_round_loses_what_it_has_at_hand_and_no_more",
        LAST_ROUND,
        false,
    );
}

#[test]
fn a_thread_that_frees_in_the_round_before_the_last_keeps_nothing() {
    as_child(
        "a_thread_that_frees_in_the_round_before_the_last_keeps_nothing",
        LAST_ROUND - 1,
        true,
    );
}

#[test]
fn a_thread_that_frees_in_the_last_round_loses_that_and_no_more() {
    as_child(
        "a_thread_that_frees_in_the_last_round_loses_that_and_no_more",
        LAST_ROUND,
        true,
    );
}

//! A thread of the C library's, for the child of a fork. std's own takes a lock of std's when
//! it starts, which a thread of the parent that was just starting or ending may have held at
//! the fork: then nobody frees it (Rust 1.95).

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::null_mut;

/// Runs `body` in a thread, and waits for its end.
///
/// # Panics
/// If there can be no thread, or with what `body` panics with.
pub(crate) fn in_c_thread<F: FnOnce() -> R + Send, R: Send>(body: F) -> R {
    struct Work<F, R> {
        body: Option<F>,
        outcome: Option<std::thread::Result<R>>,
    }
    extern "C" fn start<F: FnOnce() -> R, R>(work: *mut c_void) -> *mut c_void {
        // SAFETY: `work` below, lent until the thread has ended.
        let work = unsafe { &mut *work.cast::<Work<F, R>>() };
        let body = work.body.take();
        work.outcome = body.map(|body| catch_unwind(AssertUnwindSafe(body)));
        null_mut()
    }

    let mut work = Work {
        body: Some(body),
        outcome: None,
    };
    // SAFETY: zeros are a place for a thread's name.
    let mut thread: libc::pthread_t = unsafe { std::mem::zeroed() };
    let argument = (&raw mut work).cast();
    // SAFETY: the argument outlives the thread, which is joined below.
    let status =
        unsafe { libc::pthread_create(&raw mut thread, std::ptr::null(), start::<F, R>, argument) };
    assert_eq!(status, 0, "pthread_create");
    // SAFETY: the thread just made, joined once.
    let status = unsafe { libc::pthread_join(thread, null_mut()) };
    assert_eq!(status, 0, "pthread_join");
    let outcome = work.outcome.expect("the thread has run");
    outcome.unwrap_or_else(|panic| resume_unwind(panic))
}

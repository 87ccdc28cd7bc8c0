//! `fork`: the child gets locks that nobody holds.
//!
//! Before a fork the forking thread takes the lock of those who start, stop and look, and all of
//! `live.rs`; no other thread is in the middle of a table then. All else that hooks share is
//! changed by single atomic steps. The handlers are registered after the allocator's, so this
//! runs before it locks itself: nobody waits for us who holds anything of it.

use std::cell::UnsafeCell;
use std::sync::{MutexGuard, Once};

use super::control;
use super::hooks::LIVE;
use super::live::AllLocks;

struct Held(UnsafeCell<Option<(AllLocks, MutexGuard<'static, ()>)>>);

// SAFETY: it is written by the thread that has all the locks, and emptied by the same thread, in
// the parent and in the child.
unsafe impl Sync for Held {}

static HELD: Held = Held(UnsafeCell::new(None));

/// Registers the handlers, once. Outside the hook.
pub(super) fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Without memory for them a fork is as risky as it is without handlers.
        // SAFETY: the handlers are functions that can be called at any time.
        unsafe { libc::pthread_atfork(Some(before), Some(after), Some(after)) };
    });
}

extern "C" fn before() {
    let control = control();
    let all = (LIVE.lock_all(), control);
    // SAFETY: this thread has all locks: no other is here.
    unsafe { *HELD.0.get() = Some(all) };
}

extern "C" fn after() {
    // SAFETY: `before` ran in this thread: it still has all locks.
    let all = unsafe { (*HELD.0.get()).take() };
    drop(all);
}

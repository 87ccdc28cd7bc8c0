//! The calling thread's caches, which lie in memory of their own between guard pages.
//!
//! A thread's exit is learned from a pthread key: then all its blocks go back to the pools.
//! What it allocates later, and a thread for which there is no memory, share one record
//! behind a lock.

use core::cell::Cell;
use core::ffi::c_void;
use core::ptr::null_mut;

use super::cache::Cache;
use super::chance::Chance;
use super::dump::Found;
use super::large;
use crate::exit_key::ExitKey;
use crate::os;
use crate::size_class::SizeClass;
use crate::sync::{Mutex, MutexGuard, lock};

/// What a thread has. Zeros are a thread that has nothing.
#[derive(Debug)]
pub(crate) struct Thread {
    caches: [Cache; SizeClass::COUNT],
    pub(crate) chance: Chance,
    next_idle: *mut Thread,
}

impl Thread {
    /// The blocks of a class.
    #[inline(always)]
    pub(crate) fn cache(&mut self, class: SizeClass) -> (&mut Cache, &mut Chance) {
        // SAFETY: a class's number is below COUNT.
        let cache = unsafe { self.caches.get_unchecked_mut(class.index()) };
        (cache, &mut self.chance)
    }

    /// A record of zeros but for its chance, in memory of its own; null if there is none.
    fn map() -> *mut Self {
        large::insist(Self::try_map).unwrap_or(null_mut())
    }

    fn try_map() -> Option<*mut Self> {
        let page = os::page_size();
        let size = size_of::<Self>().next_multiple_of(page);
        let reserved = os::reserve(size + 2 * page)?;
        let start = reserved.as_ptr().wrapping_add(page);
        // SAFETY: the reservation just made.
        if unsafe { os::allow(start, size) } {
            let thread: *mut Self = start.cast();
            // SAFETY: new, long enough, aligned to a page; zeros are a record.
            unsafe { (*thread).chance = Chance::new() };
            return Some(thread);
        }
        // SAFETY: known to nobody.
        unsafe { os::unmap(reserved, size + 2 * page) };
        None
    }

    fn flush(&mut self) -> Result<(), Found> {
        let each = SizeClass::all().map(|class| self.cache(class).0.flush(class));
        each.fold(Ok(()), Result::and)
    }
}

/// A pointer to a record, of which the lock around it makes one thread's.
#[derive(Debug)]
pub(crate) struct Record(*mut Thread);

// SAFETY: reached by whoever has the lock.
unsafe impl Send for Record {}

/// Records of threads that have exited.
static IDLE: Mutex<Record> = Mutex::new(Record(null_mut()));
/// The record of those that have none.
static GUESTS: Mutex<Record> = Mutex::new(Record(null_mut()));

thread_local! {
    static CURRENT: Cell<*mut Thread> = const { Cell::new(null_mut()) };
    static HAS_ASKED: Cell<bool> = const { Cell::new(false) };
}

/// The calling thread's record, if it has one of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Own(*mut Thread);

impl Own {
    /// Looks it up, which in the middle of a function would cost what a call does: a caller's
    /// work.
    #[inline(always)]
    pub(crate) fn get() -> Self {
        Self(CURRENT.get())
    }

    /// Calls `f` with its caches, if there is a record.
    #[inline(always)]
    pub(crate) fn with<R>(self, f: impl FnOnce(&mut Thread) -> R) -> Option<R> {
        // SAFETY: null, or this thread's record: it cannot have been sent here, and was looked up
        // in this call of the allocator. `f` calls nothing that comes back here: what it calls
        // allocates from the system alone.
        unsafe { self.0.as_mut() }.map(f)
    }
}

/// Calls `f`, for blocks of a class, with caches, the calling thread's or the guests', which
/// are made if there are none; `None` if there is no memory for any. What it finds wrong is
/// said when it has come back.
pub(crate) fn with_any<R>(
    class: SizeClass,
    f: impl FnOnce(&mut Thread) -> Result<R, Found>,
) -> Option<R> {
    if CURRENT.get().is_null() && !HAS_ASKED.replace(true) {
        CURRENT.set(enlist());
    }
    // SAFETY: as in `Own::with`.
    let result = match unsafe { CURRENT.get().as_mut() } {
        Some(thread) => f(thread),
        None => as_guest(class, f)?,
    };
    Some(result.unwrap_or_else(|found| found.end()))
}

fn as_guest<R>(
    class: SizeClass,
    f: impl FnOnce(&mut Thread) -> Result<R, Found>,
) -> Option<Result<R, Found>> {
    let mut guests = lock(&GUESTS);
    if guests.0.is_null() {
        guests.0 = Thread::map();
    }
    // SAFETY: null, or a record that only the lock's holder touches.
    let thread = unsafe { guests.0.as_mut() }?;
    let result = f(thread);
    // Nothing waits there for another guest.
    let flushed = thread.cache(class).0.flush(class);
    Some(flushed.and(result))
}

/// A record for the thread, that is told of its exit; null if that cannot be.
fn enlist() -> *mut Thread {
    let Some(key) = KEY.get() else {
        return null_mut();
    };
    let mut idle = lock(&IDLE);
    let found = idle.0;
    let thread = if found.is_null() {
        drop(idle);
        Thread::map()
    } else {
        // SAFETY: an idle record, touched under the lock.
        idle.0 = unsafe { (*found).next_idle };
        drop(idle);
        found
    };
    if thread.is_null() {
        return thread;
    }
    // SAFETY: the key is never deleted.
    if unsafe { libc::pthread_setspecific(key, thread.cast()) } != 0 {
        retire(thread);
        return null_mut();
    }
    thread
}

fn retire(thread: *mut Thread) {
    let mut idle = lock(&IDLE);
    // SAFETY: the record is the caller's, who gives it up.
    unsafe { (*thread).next_idle = idle.0 };
    idle.0 = thread;
}

/// Tells of a thread's exit.
static KEY: ExitKey = ExitKey::new(exits);

unsafe extern "C" fn exits(thread: *mut c_void) {
    CURRENT.set(null_mut());
    let thread: *mut Thread = thread.cast();
    // SAFETY: `enlist` stored this thread's own record, which is nobody else's.
    let flushed = unsafe { (*thread).flush() };
    retire(thread);
    flushed.unwrap_or_else(|found| found.end());
}

/// The locks, held.
pub(crate) type AllHeld = [MutexGuard<'static, Record>; 2];

/// Takes the locks, for a fork.
pub(crate) fn lock_all() -> AllHeld {
    [lock(&GUESTS), lock(&IDLE)]
}

/// In the child of a fork, with no lock held: its blocks must not be the parent's.
pub(crate) fn reseed() {
    for records in [&GUESTS, &IDLE] {
        let held = lock(records);
        let mut record = held.0;
        // SAFETY: null, or a record that only the lock's holder touches.
        while let Some(thread) = unsafe { record.as_mut() } {
            thread.chance = Chance::new();
            record = thread.next_idle;
        }
    }
    // SAFETY: null, or this thread's record.
    if let Some(thread) = unsafe { CURRENT.get().as_mut() } {
        thread.chance = Chance::new();
    }
}

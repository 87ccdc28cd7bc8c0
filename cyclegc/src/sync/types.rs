//! The one place that names atomics and locks: std's, or loom's when the crate
//! is compiled as a model (`cfg(loom)`, set by the package `cyclegc-loom`).
//!
//! Everything the protocol rests on goes through these types, so that the models
//! explore the code that ships. Counters for statistics, epochs and settings stand for
//! themselves: they are std's in both.

#[cfg(not(loom))]
mod imp {
    pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU64, fence};
    pub(crate) use std::sync::{Mutex, MutexGuard};
    pub(crate) use std::thread::yield_now;

    use std::sync::atomic::Ordering;

    /// The value of a word, some moment's.
    #[inline(always)]
    pub(crate) fn look(word: &AtomicU64) -> u64 {
        // ORDERING: Relaxed: an exchange follows, which fails if it was not the newest.
        word.load(Ordering::Relaxed)
    }

    /// The value of a pointer, some moment's.
    #[inline(always)]
    pub(crate) fn look_ptr<T>(pointer: &AtomicPtr<T>) -> *mut T {
        // ORDERING: Relaxed: as in `look`.
        pointer.load(Ordering::Relaxed)
    }

    /// Sets bits of an address; returns the pointer before.
    pub(crate) fn set_bits<T>(pointer: &AtomicPtr<T>, bits: usize, order: Ordering) -> *mut T {
        pointer.fetch_or(bits, order)
    }

    /// Clears bits of an address; returns the pointer before.
    pub(crate) fn clear_bits<T>(pointer: &AtomicPtr<T>, bits: usize, order: Ordering) -> *mut T {
        pointer.fetch_and(!bits, order)
    }

    /// A function that is `const` where std's types are used.
    macro_rules! maybe_const {
        ($(#[$meta:meta])* $vis:vis fn $($rest:tt)*) => {
            $(#[$meta])* $vis const fn $($rest)*
        };
    }
    pub(crate) use maybe_const;
}

#[cfg(loom)]
mod imp {
    pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicU64, fence};
    pub(crate) use loom::sync::{Mutex, MutexGuard};
    pub(crate) use loom::thread::yield_now;

    use std::sync::atomic::Ordering::{self, Relaxed};

    /// The value of a word: a failing exchange, because loom remembers only the last
    /// access to an object. A thread's own load would hide an earlier one of another
    /// thread's from the exchange that follows.
    pub(crate) fn look(word: &AtomicU64) -> u64 {
        let none = u64::MAX;
        word.compare_exchange(none, none, Relaxed, Relaxed)
            .unwrap_or_else(|value| value)
    }

    /// The value of a pointer, likewise.
    pub(crate) fn look_ptr<T>(pointer: &AtomicPtr<T>) -> *mut T {
        let none = std::ptr::without_provenance_mut(usize::MAX);
        pointer
            .compare_exchange(none, none, Relaxed, Relaxed)
            .unwrap_or_else(|value| value)
    }

    /// Sets bits of an address; returns the pointer before.
    pub(crate) fn set_bits<T>(pointer: &AtomicPtr<T>, bits: usize, order: Ordering) -> *mut T {
        let set = |before: *mut T| Some(before.map_addr(|address| address | bits));
        pointer
            .fetch_update(order, Relaxed, set)
            .unwrap_or_else(|before| before)
    }

    /// Clears bits of an address; returns the pointer before.
    pub(crate) fn clear_bits<T>(pointer: &AtomicPtr<T>, bits: usize, order: Ordering) -> *mut T {
        let clear = |before: *mut T| Some(before.map_addr(|address| address & !bits));
        pointer
            .fetch_update(order, Relaxed, clear)
            .unwrap_or_else(|before| before)
    }

    macro_rules! maybe_const {
        ($(#[$meta:meta])* $vis:vis fn $($rest:tt)*) => {
            $(#[$meta])* $vis fn $($rest)*
        };
    }
    pub(crate) use maybe_const;
}

pub(crate) use imp::*;

/// Locks, whatever a thread that panicked left behind: what is behind these locks
/// is whole between any two statements.
///
/// With `--cfg tsan` it asks again and again: ThreadSanitizer does not see what happens in
/// std's code that waits.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    #[cfg(tsan)]
    loop {
        match try_lock(mutex) {
            Some(guard) => return guard,
            None => yield_now(),
        }
    }
    #[cfg(not(tsan))]
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Locks if nobody else has it.
pub(crate) fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(std::sync::TryLockError::Poisoned(guard)) => Some(guard.into_inner()),
        Err(std::sync::TryLockError::WouldBlock) => None,
    }
}

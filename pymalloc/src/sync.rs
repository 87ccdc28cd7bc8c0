//! The one place that names atomics, cells and locks: std's, or loom's when the
//! crate is compiled as a model (`cfg(loom)`, set by the `loom-tests` package).
//!
//! Everything the protocol between threads rests on goes through these types, so that
//! the models explore the code that ships and no copy of it. (Core's atomics are used where
//! a value stands for itself: the map of regions, a pool's class, settings.)

#[cfg(not(loom))]
mod imp {
    pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64};
    pub(crate) use std::sync::{Mutex, MutexGuard};

    /// loom's `UnsafeCell` interface over core's; compiles to a plain access.
    #[derive(Debug)]
    #[repr(transparent)]
    pub(crate) struct UnsafeCell<T>(core::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self(core::cell::UnsafeCell::new(value))
        }

        #[inline(always)]
        pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
            f(self.0.get())
        }

        #[inline(always)]
        pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            f(self.0.get())
        }
    }

    /// The value of a word, some moment's.
    #[inline(always)]
    pub(crate) fn look(word: &AtomicU32) -> u32 {
        // ORDERING: Relaxed; every user follows up with a read-modify-write, or needs
        // no more than some value.
        word.load(core::sync::atomic::Ordering::Relaxed)
    }

    /// The value of a pointer, some moment's.
    #[inline(always)]
    pub(crate) fn look_ptr<T>(pointer: &AtomicPtr<T>) -> *mut T {
        // ORDERING: Relaxed, as for `look`.
        pointer.load(core::sync::atomic::Ordering::Relaxed)
    }

    /// A number that one thread at a time writes and any thread may read for
    /// statistics. A reader that is not the writer gets some recent value.
    ///
    /// Under loom it is a plain cell: no model reads statistics, so any access
    /// by a thread that does not hold the number is reported as a race.
    #[derive(Debug)]
    #[repr(transparent)]
    pub(crate) struct Tally(AtomicU32);

    impl Tally {
        pub(crate) const fn new(value: u32) -> Self {
            Self(AtomicU32::new(value))
        }

        #[inline(always)]
        pub(crate) fn get(&self) -> u32 {
            // ORDERING: Relaxed; the writer reads its own value, and a reader for
            // statistics needs no more than some value.
            self.0.load(core::sync::atomic::Ordering::Relaxed)
        }

        #[inline(always)]
        pub(crate) fn set(&self, value: u32) {
            // ORDERING: Relaxed, see `get`.
            self.0.store(value, core::sync::atomic::Ordering::Relaxed);
        }
    }
}

#[cfg(loom)]
mod imp {
    pub(crate) use loom::cell::UnsafeCell;
    pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64};
    pub(crate) use loom::sync::{Mutex, MutexGuard};

    use core::sync::atomic::Ordering::Relaxed;

    /// The value of a word.
    ///
    /// A failing exchange, because loom remembers only the last access to an object: a
    /// thread's own load would hide an earlier load of another thread's from the
    /// exchange that follows, and with it the other order of the two.
    pub(crate) fn look(word: &AtomicU32) -> u32 {
        let none = u32::MAX;
        word.compare_exchange(none, none, Relaxed, Relaxed)
            .unwrap_or_else(|value| value)
    }

    /// The value of a pointer, likewise.
    pub(crate) fn look_ptr<T>(pointer: &AtomicPtr<T>) -> *mut T {
        let none = core::ptr::without_provenance_mut(usize::MAX);
        pointer
            .compare_exchange(none, none, Relaxed, Relaxed)
            .unwrap_or_else(|value| value)
    }

    /// See the std flavour: here any access by a thread that does not hold the
    /// number is a reported race.
    #[derive(Debug)]
    pub(crate) struct Tally(UnsafeCell<u32>);

    impl Tally {
        pub(crate) fn new(value: u32) -> Self {
            Self(UnsafeCell::new(value))
        }

        pub(crate) fn get(&self) -> u32 {
            // SAFETY: the pointer is the cell's own, for the length of the call.
            self.0.with(|value| unsafe { *value })
        }

        pub(crate) fn set(&self, value: u32) {
            // SAFETY: the pointer is the cell's own, for the length of the call.
            self.0.with_mut(|cell| unsafe { *cell = value });
        }
    }
}

pub(crate) use imp::*;

/// `const fn` with std's types, a plain `fn` with loom's, which register
/// themselves at run time.
macro_rules! const_fn {
    ($(#[$meta:meta])* $vis:vis fn $($rest:tt)*) => {
        #[cfg(not(loom))]
        $(#[$meta])* $vis const fn $($rest)*
        #[cfg(loom)]
        $(#[$meta])* $vis fn $($rest)*
    };
}
pub(crate) use const_fn;

/// Locks `mutex`; a panic of an earlier holder does not matter, because nothing
/// that runs under these locks panics.
#[inline]
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // ThreadSanitizer sees the exchange of an uncontended lock, which is inlined here,
    // but not the waiting, which is compiled into std.
    #[cfg(tsan)]
    loop {
        match mutex.try_lock() {
            Ok(guard) => return guard,
            Err(std::sync::TryLockError::Poisoned(error)) => return error.into_inner(),
            Err(std::sync::TryLockError::WouldBlock) => std::thread::yield_now(),
        }
    }
    #[cfg(not(tsan))]
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

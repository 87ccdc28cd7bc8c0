//! When a handle that an `AtomicGc` lost may be dropped: when every thread that may have
//! read the pointer before is done with it (crossbeam-epoch).
//!
//! An own domain of epochs, so that what other users of the crate do is not waited for. The
//! epochs say when a handle may be dropped; it is dropped by [`flush`] alone: readers run no
//! destructors. Under loom, a count of those who are pinned, behind a lock, which keeps the
//! same promises: what is displaced is dropped when nobody is pinned, and who is pinned later
//! sees that it is not there any more.

pub(crate) use imp::{Guard, flush, flush_all, pin};

#[cfg(not(loom))]
mod imp {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::sync::{Mutex, OnceLock};

    use crossbeam_epoch::{Collector, LocalHandle};

    use crate::sync::any::AnyGc;
    use crate::sync::local;
    use crate::sync::types::lock;
    use crate::sync::unraisable::guarded;
    use crate::unraisable::UnraisablePlace;

    pub(crate) struct Guard(crossbeam_epoch::Guard);

    static COLLECTOR: OnceLock<Collector> = OnceLock::new();
    /// Handles that wait.
    static WAITING: AtomicUsize = AtomicUsize::new(0);
    /// Those among them that nobody can be reading any more.
    static READY: Mutex<Vec<AnyGc>> = Mutex::new(Vec::new());

    thread_local! {
        static HANDLE: LocalHandle = register();
    }

    #[cold]
    fn register() -> LocalHandle {
        COLLECTOR.get_or_init(Collector::new).register()
    }

    /// What this thread reads from now on stays while the guard exists. No destructor runs
    /// here.
    #[inline]
    pub(crate) fn pin() -> Guard {
        let guard = HANDLE.try_with(LocalHandle::pin);
        // The thread ends: for this once.
        Guard(guard.unwrap_or_else(|_| register().pin()))
    }

    impl Guard {
        /// Drops a handle when nobody who is pinned now is pinned any more.
        pub(crate) fn defer(&self, handle: AnyGc) {
            // ORDERING: Relaxed: decides how long `flush_all` goes on.
            WAITING.fetch_add(1, Relaxed);
            self.0.defer(move || lock(&READY).push(handle));
        }
    }

    /// Drops some of what may be dropped, unpinned. Nothing of it stays behind in this thread.
    pub(crate) fn flush() {
        if local::with(|local| local.proving.get()) {
            // In a panic hook: no destructor runs under the collector's lock.
            return;
        }
        pin().0.flush();
        let ready = std::mem::take(&mut *lock(&READY));
        for handle in ready {
            // ORDERING: Relaxed: as in `defer`.
            WAITING.fetch_sub(1, Relaxed);
            guarded(UnraisablePlace::Drop, || "", || drop(handle));
        }
    }

    /// Drops what may be dropped.
    pub(crate) fn flush_all() {
        let mut idle_count = 0;
        // An epoch takes two steps to pass, unless a thread is in an older one.
        while idle_count < 4 {
            let before = WAITING.load(Relaxed);
            if before == 0 {
                return;
            }
            flush();
            let is_idle = WAITING.load(Relaxed) >= before;
            idle_count = if is_idle { idle_count + 1 } else { 0 };
        }
    }
}

#[cfg(loom)]
mod imp {
    use loom::sync::Mutex;

    use crate::sync::any::AnyGc;
    use crate::sync::types::lock;

    #[derive(Default)]
    struct State {
        pinned: usize,
        deferred: Vec<AnyGc>,
        ready: Vec<AnyGc>,
    }

    loom::lazy_static! {
        static ref EPOCH: Mutex<State> = Mutex::new(State::default());
    }

    pub(crate) struct Guard;

    pub(crate) fn pin() -> Guard {
        lock(&EPOCH).pinned += 1;
        Guard
    }

    impl Guard {
        pub(crate) fn defer(&self, handle: AnyGc) {
            lock(&EPOCH).deferred.push(handle);
        }
    }

    impl Drop for Guard {
        fn drop(&mut self) {
            let mut state = lock(&EPOCH);
            state.pinned -= 1;
            if state.pinned == 0 {
                let deferred = std::mem::take(&mut state.deferred);
                state.ready.extend(deferred);
            }
        }
    }

    pub(crate) fn flush() {
        let ready = std::mem::take(&mut lock(&EPOCH).ready);
        drop(ready);
    }

    pub(crate) fn flush_all() {
        flush();
    }
}

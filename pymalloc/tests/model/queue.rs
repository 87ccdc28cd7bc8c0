//! A bounded queue between threads, of spinning and yielding.
//!
//! std's channels and locks wait in code that is compiled without
//! instrumentation, so that ThreadSanitizer misses what they order and reports
//! races that are none. Every step of this one is compiled here.

use std::cell::UnsafeCell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::yield_now;

/// A lock that waits by yielding.
#[derive(Debug, Default)]
pub(crate) struct SpinLock<T> {
    is_locked: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: `with` lets one thread at a time at the value.
unsafe impl<T: Send> Sync for SpinLock<T> {}

impl<T> SpinLock<T> {
    /// A free lock.
    pub(crate) fn new(value: T) -> Self {
        Self {
            is_locked: AtomicBool::new(false),
            value: UnsafeCell::new(value),
        }
    }

    /// Runs `work`, which must not panic, on the value alone.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        // ORDERING: Acquire takes over what the last holder wrote; pairs with
        // the Release below.
        while self.is_locked.swap(true, Ordering::Acquire) {
            yield_now();
        }
        // SAFETY: this thread has the lock, and gives no reference away.
        let result = work(unsafe { &mut *self.value.get() });
        // ORDERING: Release publishes the value; pairs with the swap above.
        self.is_locked.store(false, Ordering::Release);
        result
    }
}

/// A queue that holds so many items and no more.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    state: SpinLock<State<T>>,
    capacity: usize,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    is_closed: bool,
}

impl<T> Queue<T> {
    /// An empty queue.
    pub(crate) fn new(capacity: usize) -> Self {
        let items = VecDeque::with_capacity(capacity);
        let is_closed = false;
        Self {
            state: SpinLock::new(State { items, is_closed }),
            capacity,
        }
    }

    /// Waits for room, and appends the item.
    pub(crate) fn send(&self, item: T) {
        let mut item = Some(item);
        while item.is_some() {
            self.state.with(|state| {
                if state.items.len() < self.capacity {
                    state.items.extend(item.take());
                }
            });
            if item.is_some() {
                yield_now();
            }
        }
    }

    /// Waits for an item; none once the queue is closed and empty.
    pub(crate) fn receive(&self) -> Option<T> {
        loop {
            let (item, is_closed) = self
                .state
                .with(|state| (state.items.pop_front(), state.is_closed));
            if item.is_some() || is_closed {
                return item;
            }
            yield_now();
        }
    }

    /// Says that no item will follow.
    pub(crate) fn close(&self) {
        self.state.with(|state| state.is_closed = true);
    }
}

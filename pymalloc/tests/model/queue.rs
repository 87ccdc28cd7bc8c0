//! A lock and a bounded queue between threads, straight on the system's futex.
//!
//! std's own wait in code that is compiled without instrumentation, so that
//! ThreadSanitizer misses what they order and reports races that are none.
//! Every step that orders anything is compiled here.

use std::cell::UnsafeCell;
use std::collections::VecDeque;
use std::ptr::null;
use std::sync::atomic::{AtomicU32, Ordering};

const FREE: u32 = 0;
const HELD: u32 = 1;
/// Held, and somebody may be asleep.
const WAITED_FOR: u32 = 2;

/// Sleeps while `word` is `seen`; may wake for no reason.
fn wait(word: &AtomicU32, seen: u32) {
    let no_timeout = null::<libc::timespec>();
    let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word outlives the call, which reads it.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, seen, no_timeout) };
}

/// Wakes up to `count` sleepers.
fn wake(word: &AtomicU32, count: i32) {
    let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the address is only looked up among the sleepers'.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, count) };
}

/// A lock around a value (U. Drepper, "Futexes Are Tricky", mutex 3).
#[derive(Debug, Default)]
pub(crate) struct Lock<T> {
    word: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: `with` lets one thread at a time at the value.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    /// A free lock.
    pub(crate) fn new(value: T) -> Self {
        Self {
            word: AtomicU32::new(FREE),
            value: UnsafeCell::new(value),
        }
    }

    /// Runs `work`, which must not panic, on the value alone.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        // ORDERING: Acquire, here and below, takes over what the last holder
        // wrote; pairs with the Release swap.
        let free = self
            .word
            .compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed);
        if free.is_err() {
            while self.word.swap(WAITED_FOR, Ordering::Acquire) != FREE {
                wait(&self.word, WAITED_FOR);
            }
        }
        // SAFETY: this thread has the lock, and gives no reference away.
        let result = work(unsafe { &mut *self.value.get() });
        // ORDERING: Release publishes the value; pairs with both Acquires.
        if self.word.swap(FREE, Ordering::Release) == WAITED_FOR {
            wake(&self.word, 1);
        }
        result
    }
}

/// A queue that holds so many items and no more.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    state: Lock<State<T>>,
    /// Counts changes of the state; sleepers wait for the next one.
    changes: AtomicU32,
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
            state: Lock::new(State { items, is_closed }),
            changes: AtomicU32::new(0),
            capacity,
        }
    }

    /// Waits for room, and appends the item.
    pub(crate) fn send(&self, item: T) {
        let mut item = Some(item);
        self.until(|state| {
            if state.items.len() < self.capacity {
                state.items.extend(item.take());
            }
            item.is_none().then_some(())
        });
    }

    /// Waits for an item; none once the queue is closed and empty.
    pub(crate) fn receive(&self) -> Option<T> {
        self.until(|state| match state.items.pop_front() {
            None if !state.is_closed => None,
            item => Some(item),
        })
    }

    /// Says that no item will follow.
    pub(crate) fn close(&self) {
        self.until(|state| {
            state.is_closed = true;
            Some(())
        });
    }

    /// Tries until there is a result, then wakes those who wait for a change.
    fn until<R>(&self, mut attempt: impl FnMut(&mut State<T>) -> Option<R>) -> R {
        loop {
            // ORDERING: Relaxed; the lock orders the state. A change after this
            // load and the failed attempt makes the wait return at once.
            let seen = self.changes.load(Ordering::Relaxed);
            if let Some(result) = self.state.with(&mut attempt) {
                self.changes.fetch_add(1, Ordering::Relaxed);
                wake(&self.changes, i32::MAX);
                return result;
            }
            wait(&self.changes, seen);
        }
    }
}

//! Where a heap learns that one of its full pools has room again, and what
//! outlives a heap: its mailbox.
//!
//! ```text
//!  freeing thread                               owner
//!  push finds FULL ──▶ post(pool) ──▶ [pool]─▶[pool]─▶∅ ──▶ take()
//!                          │
//!                          └─ the owner has exited: CLOSED ──▶ the commons
//! ```
//! Mailboxes are never freed, so a pool may keep the address of its owner's; an idle
//! one is given to the next thread. A pool of the old owner that arrives then is
//! simply adopted by the new one.
//!
//! # Access
//! A pool in the mailbox, and on its way to it, is held by whoever posts it, then by
//! whoever takes it: its `next` links the mailbox's stack. Nothing is ever popped
//! singly, so the stack has no ABA problem.
//!
//! # Orderings
//! `post` Release, pairs with `take` and `close` Acquire: the pool's fields and link.
//! `close` Release, pairs with the Acquire of a `post` that finds it closed: all that
//! the exited owner wrote to its pools [loom: thread_exit_against_remote_free].

use core::ptr::{self, null_mut};
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use crate::pool::{Held, Pool};
use crate::sync::{AtomicPtr, look_ptr};

/// The stack of pools that came back to one heap.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Mailbox {
    arrived: AtomicPtr<Pool>,
}

/// The owner has exited.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Closed;

fn closed() -> *mut Pool {
    ptr::without_provenance_mut(1)
}

impl Mailbox {
    /// A closed mailbox.
    pub(crate) fn new() -> Self {
        Self {
            arrived: AtomicPtr::new(closed()),
        }
    }

    /// Lets pools in, for a new owner.
    pub(crate) fn open(&self) {
        // ORDERING: Relaxed; the new owner has the old one's writes by the registry's
        // lock, and a `post` to an open mailbox needs none.
        self.arrived.store(null_mut(), Relaxed);
    }

    /// Brings a pool to the owner, or says that there is none: then the caller
    /// still holds the pool.
    pub(crate) fn post(&self, pool: Held) -> Result<(), Closed> {
        // ORDERING: Acquire pairs with `close`.
        let mut seen = self.arrived.load(Acquire);
        loop {
            if seen == closed() {
                return Err(Closed);
            }
            pool.set_next(seen);
            let address = ptr::from_ref(pool.pool()).cast_mut();
            // ORDERING: Release hands the pool to `take` or `close`; Acquire on
            // failure as above.
            match self
                .arrived
                .compare_exchange(seen, address, Release, Acquire)
            {
                Ok(_) => return Ok(()),
                Err(now) => seen = now,
            }
        }
    }

    /// Whether a `take` would find nothing.
    pub(crate) fn is_empty(&self) -> bool {
        // A pool seen late is seen at the next look.
        look_ptr(&self.arrived).is_null()
    }

    /// Every pool that has arrived, for the owner.
    pub(crate) fn take(&self) -> Arrivals {
        // ORDERING: Acquire receives the pools from `post`.
        Arrivals(self.arrived.swap(null_mut(), Acquire))
    }

    /// Lets no pool in any more; those that had arrived.
    pub(crate) fn close(&self) -> Arrivals {
        // ORDERING: Acquire receives the pools from `post`; Release hands the
        // owner's pools to a `post` that comes too late.
        let seen = self.arrived.swap(closed(), AcqRel);
        Arrivals(if seen == closed() { null_mut() } else { seen })
    }
}

/// Pools taken out of a mailbox, each held by whoever iterates.
#[derive(Debug)]
pub(crate) struct Arrivals(*mut Pool);

impl Iterator for Arrivals {
    type Item = Held;

    fn next(&mut self) -> Option<Held> {
        if self.0.is_null() {
            return None;
        }
        // SAFETY: descriptors are never freed.
        let pool: &'static Pool = unsafe { &*self.0 };
        // SAFETY: the pool was in the mailbox, which was taken whole: it is held
        // by this iterator, and passed on.
        let pool = unsafe { Held::new(pool) };
        self.0 = pool.next();
        Some(pool)
    }
}

//! A doubly linked list of used pools: one a class in each heap (CPython
//! `usedpools`), one a shelf in the commons.
//!
//! # Invariants
//! 1. The list's holder (the heap's thread, or the shelf's lock) holds every pool
//!    on it.
//! 2. A pool on a list has `listed` set; `prev` of the first is null, `next` of the
//!    last is null.

use core::cell::Cell;
use core::ptr::{self, null_mut};

use crate::pool::{Held, Pool};

/// The list, by its first pool.
#[derive(Debug)]
pub(crate) struct PoolList(Cell<*mut Pool>);

impl PoolList {
    /// An empty list.
    pub(crate) const fn new() -> Self {
        Self(Cell::new(null_mut()))
    }

    /// The first pool.
    #[inline]
    pub(crate) fn first(&self) -> Option<Held> {
        claim(self.0.get())
    }

    /// Puts a pool at the front.
    pub(crate) fn push(&self, pool: Held) {
        debug_assert!(!pool.is_listed());
        let address = ptr::from_ref(pool.pool()).cast_mut();
        pool.set_prev(null_mut());
        pool.set_next(self.0.get());
        if let Some(second) = self.first() {
            second.set_prev(address);
        }
        self.0.set(address);
        pool.set_listed(true);
    }

    /// Takes a pool off. It is on this list.
    pub(crate) fn remove(&self, pool: Held) {
        debug_assert!(pool.is_listed());
        match claim(pool.prev()) {
            Some(before) => before.set_next(pool.next()),
            None => self.0.set(pool.next()),
        }
        if let Some(after) = claim(pool.next()) {
            after.set_prev(pool.prev());
        }
        pool.set_listed(false);
    }

    /// The pool after this one, which is on this list.
    pub(crate) fn after(&self, pool: Held) -> Option<Held> {
        claim(pool.next())
    }

    /// The pools, first to last.
    #[cfg(not(loom))]
    pub(crate) fn iter(&self) -> impl Iterator<Item = Held> {
        core::iter::successors(self.first(), |pool| claim(pool.next()))
    }
}

fn claim(pool: *mut Pool) -> Option<Held> {
    if pool.is_null() {
        return None;
    }
    // SAFETY: descriptors are never freed.
    let pool: &'static Pool = unsafe { &*pool };
    // SAFETY: invariant 1: the list's holder holds it, and only it calls.
    Some(unsafe { Held::new(pool) })
}

//! `get_mut` beside collections, upgrades and clones.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use cyclegc_loom::sync::{self, Gc, Weak};
use cyclegc_loom::{Trace, Tracer};
use loom::cell::UnsafeCell;
use loom::sync::atomic::AtomicBool;
use loom::thread;

use crate::{Life, all_dropped, explore};

/// A lock that is only tried: loom makes a thread that is about to try one of its own wait for
/// who has it, which no collector does.
#[derive(Default)]
pub(crate) struct TryLock<T> {
    is_locked: AtomicBool,
    value: UnsafeCell<T>,
}

pub(crate) struct Guard<'a, T>(&'a TryLock<T>);

impl<T> TryLock<T> {
    pub(crate) fn try_lock(&self) -> Option<Guard<'_, T>> {
        let taken = self
            .is_locked
            .compare_exchange(false, true, Acquire, Relaxed);
        taken.is_ok().then(|| Guard(self))
    }
}

impl<T> Guard<'_, T> {
    pub(crate) fn with<R>(&self, run: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: the lock is ours.
        self.0.value.with_mut(|value| run(unsafe { &mut *value }))
    }
}

/// For the collector, which looks at once.
impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the lock is ours.
        self.0.value.with(|value| unsafe { &*value })
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        self.0.is_locked.store(false, Release);
    }
}

/// Looks at itself when it is traced, so that loom sees who else does.
pub(crate) struct Watched {
    pub(crate) life: Life,
    pub(crate) cell: TryLock<Option<Gc<Watched>>>,
}

// SAFETY: the cell is only used under its lock.
unsafe impl Sync for Watched {}

// SAFETY: the handle is reported once, and its lock is kept.
unsafe impl Trace for Watched {
    fn trace(&self, tracer: &mut Tracer<'_>) {
        self.life.touch();
        if let Some(guard) = self.cell.try_lock() {
            // SAFETY: it borrows from `self`, and so is what it protects.
            unsafe { tracer.locked(guard) };
        }
    }
}

impl Watched {
    pub(crate) fn new(dropped: &Arc<AtomicUsize>) -> Gc<Watched> {
        Gc::new(Watched {
            life: Life::new(dropped),
            cell: TryLock::default(),
        })
    }

    pub(crate) fn set(&self, gc: Gc<Watched>) {
        let cell = self.cell.try_lock().unwrap();
        cell.with(|value| *value = Some(gc));
    }

    pub(crate) fn write(&mut self) {
        self.life.race.with_mut(|_| ());
    }
}

/// `get_mut` of a suspect, beside a collection; again after it was cloned.
#[test]
fn a_thread_takes_a_mut() {
    explore(4, || {
        let dropped = Arc::default();
        let mut only = Watched::new(&dropped);
        drop(only.clone());
        let thread = thread::spawn(move || {
            Gc::get_mut(&mut only).unwrap().write();
            let again = only.clone();
            drop(only);
            again.life.touch();
        });
        sync::collect();
        thread.join().unwrap();
        all_dropped(&dropped, 1);
    });
}

/// `get_mut` of an object that the collector reaches through a cell, which the `&mut` borrows
/// from.
#[test]
fn a_thread_takes_a_mut_in_a_cell() {
    explore(4, || {
        let dropped = Arc::default();
        let outer = Watched::new(&dropped);
        outer.set(Watched::new(&dropped));
        let other = outer.clone();
        let thread = thread::spawn(move || {
            if let Some(cell) = other.cell.try_lock() {
                cell.with(|inner| Gc::get_mut(inner.as_mut().unwrap()).unwrap().write());
            }
            drop(other);
        });
        drop(outer);
        sync::collect();
        thread.join().unwrap();
        all_dropped(&dropped, 2);
    });
}

/// The same in a dead ring, where the object looked at first has the `&mut`. `after` is
/// what the thread does when that has ended.
fn takes_a_mut_in_a_ring(after: fn(&Gc<Watched>)) {
    explore(3, move || {
        let dropped = Arc::default();
        let (outer, inner) = (Watched::new(&dropped), Watched::new(&dropped));
        drop(inner.clone());
        inner.set(outer.clone());
        outer.set(inner);
        let other = outer.clone();
        let thread = thread::spawn(move || {
            if let Some(cell) = other.cell.try_lock() {
                cell.with(|inner| {
                    let inner = inner.as_mut().unwrap();
                    Gc::get_mut(inner).unwrap().write();
                    after(inner);
                });
            }
            drop(other);
        });
        drop(outer);
        sync::collect();
        thread.join().unwrap();
        all_dropped(&dropped, 2);
    });
}

#[test]
fn a_thread_takes_a_mut_in_a_ring() {
    takes_a_mut_in_a_ring(|_| ());
}

#[test]
fn a_thread_takes_a_mut_in_a_ring_and_clones() {
    takes_a_mut_in_a_ring(|inner| drop(inner.clone()));
}

/// Upgrades a weak handle, and has the other handle alone then: nothing says any more that there
/// was a weak one.
fn upgrades(weak: Weak<Watched>) {
    let upgraded = weak.upgrade();
    drop(weak);
    if let Some(other) = upgraded {
        other.life.touch();
    }
}

/// `get_mut` against the upgrade of a weak handle; the other handle goes, or stays as it is until
/// the thread has ended.
fn a_mut_against_upgrades(stays: bool) {
    explore(4, move || {
        let dropped = Arc::default();
        let mut only = Watched::new(&dropped);
        let weak = Gc::downgrade(&only);
        let thread = thread::spawn(move || upgrades(weak));
        if let Some(only) = Gc::get_mut(&mut only) {
            only.write();
        }
        let kept = stays.then_some(only);
        thread.join().unwrap();
        drop(kept);
        all_dropped(&dropped, 1);
    });
}

#[test]
fn a_mut_against_an_upgrade() {
    a_mut_against_upgrades(false);
}

/// Who upgrades does not wait until the handle is used again.
#[test]
fn a_mut_against_an_upgrade_of_a_handle_that_stays() {
    a_mut_against_upgrades(true);
}

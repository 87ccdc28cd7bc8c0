//! `fork`: the child gets locks nobody holds, and forgets the threads it has not got.
//!
//! Before a fork the forking thread takes every lock, in the order of shared.rs, so
//! that no other thread is in the middle of anything they guard. What the other
//! threads' own heaps held is lost to the child, as their stacks are, and so is a pool that
//! one of them was bringing to a mailbox; what they had out stays valid, and can be freed: to
//! the pool's remote list, or, once the closed mailbox is met, to the commons.

use core::cell::UnsafeCell;

use crate::arena_list::ArenaLists;
use crate::commons::Shelf;
use crate::debug;
use crate::large;
use crate::registry::{Member, Roll};
use crate::sampled;
use crate::secure;
use crate::shared::Shared;
use crate::size_class::SizeClass;
use crate::sync::MutexGuard;

/// Every lock there is. Dropped in the order of the fields.
struct AllLocks {
    _sampled: sampled::Held,
    _secure: secure::AllHeld,
    _debug: debug::Held,
    _large: MutexGuard<'static, large::State>,
    _arenas: MutexGuard<'static, ArenaLists>,
    _shelves: [MutexGuard<'static, Shelf>; SizeClass::COUNT],
    _registry: MutexGuard<'static, Roll>,
}

/// Where the locks are kept from just before a fork to just after.
pub(crate) struct Held(UnsafeCell<Option<AllLocks>>);

// SAFETY: it is written by the thread that has all the locks, and emptied by the same
// thread, in the parent and in the child.
unsafe impl Sync for Held {}

impl Held {
    /// No fork under way.
    pub(crate) const fn new() -> Self {
        Self(UnsafeCell::new(None))
    }

    /// Takes every lock.
    pub(crate) fn prepare(&self, shared: &'static Shared) {
        let registry = shared.registry.lock();
        let shelves = shared.commons.lock_all();
        let arenas = shared.arenas.lock();
        // None of these is held while another is taken, but the secure ones in their order.
        let all = AllLocks {
            _debug: debug::lock(),
            _secure: secure::lock_all(),
            _sampled: sampled::lock(),
            _large: shared.large.lock(),
            _arenas: arenas,
            _shelves: shelves,
            _registry: registry,
        };
        // SAFETY: this thread has all locks: no other is here.
        unsafe { *self.0.get() = Some(all) };
    }

    /// Frees every lock, in the thread that took them or its copy in the child.
    pub(crate) fn release(&self) {
        // SAFETY: `prepare` ran in this thread: it still has all locks.
        let all = unsafe { (*self.0.get()).take() };
        drop(all);
    }
}

/// In the child: closes the mailboxes of the threads that were not copied, and puts back
/// the pools that one of them was giving to the system.
pub(crate) fn forget_others(shared: &Shared, own: Option<&'static Member>) {
    shared.arenas.recover();
    let mut roll = shared.registry.lock();
    for member in roll.live() {
        if !own.is_some_and(|own| core::ptr::eq(own, member)) {
            for pool in member.mailbox().close() {
                pool.recount();
                shared.commons.take_in(&shared.arenas, pool);
            }
            roll.forget(member);
        }
    }
}

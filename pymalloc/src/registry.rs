//! The threads that have heaps: their names and mailboxes.
//!
//! A member's record outlives its thread: pools may hold the address of its mailbox for
//! as long as blocks of theirs are out. Records are used again, names never.
//!
//! # Access
//! `heap` and the links: under the registry's lock. The mailbox: any thread.

use core::cell::Cell;
use core::ptr::null;

use crate::heap::Heap;
use crate::mailbox::Mailbox;
use crate::pool::OwnerId;
use crate::slab::Slab;
use crate::sync::{Mutex, MutexGuard, lock};

/// A thread with a heap, or the record of one that has exited.
#[derive(Debug)]
pub(crate) struct Member {
    mailbox: Mailbox,
    /// Null while the record is idle.
    heap: Cell<*const Heap>,
    next: Option<&'static Member>,
    next_idle: Cell<Option<&'static Member>>,
}

// SAFETY: all but the mailbox is reached under the registry's lock alone.
unsafe impl Sync for Member {}

impl Member {
    /// Where full pools come back to.
    pub(crate) fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }
}

/// All members.
#[derive(Debug)]
pub(crate) struct Registry(Mutex<Roll>);

/// What the registry's lock guards.
#[derive(Debug)]
pub(crate) struct Roll {
    members: Option<&'static Member>,
    idle: Option<&'static Member>,
    slab: Slab<Member>,
    last_id: OwnerId,
}

// SAFETY: the records are touched by whoever has the roll, that is, by the lock.
unsafe impl Send for Roll {}

impl Registry {
    crate::sync::const_fn! {
        /// No members.
        pub(crate) fn new() -> Self {
            Self(Mutex::new(Roll {
                members: None,
                idle: None,
                slab: Slab::new(),
                last_id: 0,
            }))
        }
    }

    /// Locks the roll.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Roll> {
        lock(&self.0)
    }

    /// A new name and an open mailbox for a heap, which stays where it is until it is
    /// retired; `None` if memory has run out.
    pub(crate) fn enlist(&self, heap: &Heap) -> Option<(OwnerId, &'static Member)> {
        let mut roll = self.lock();
        let member = match roll.idle {
            Some(member) => {
                roll.idle = member.next_idle.get();
                member
            }
            None => {
                let members = roll.members;
                let member = roll.slab.add(Member {
                    mailbox: Mailbox::new(),
                    heap: Cell::new(null()),
                    next: members,
                    next_idle: Cell::new(None),
                })?;
                roll.members = Some(member);
                member
            }
        };
        member.heap.set(heap);
        member.mailbox.open();
        roll.last_id += 1;
        Some((roll.last_id, member))
    }

    /// Takes the record of a thread that exits; its mailbox is closed.
    pub(crate) fn retire(&self, member: &'static Member) {
        let mut roll = self.lock();
        member.heap.set(null());
        member.next_idle.set(roll.idle);
        roll.idle = Some(member);
    }
}

#[cfg(not(loom))]
impl Roll {
    /// The members that have heaps, with them.
    pub(crate) fn heaps(&self) -> impl Iterator<Item = (&'static Member, *const Heap)> {
        core::iter::successors(self.members, |member| member.next)
            .map(|member| (member, member.heap.get()))
            .filter(|(_, heap)| !heap.is_null())
    }

    /// Forgets the heap of a thread that does not exist in this process, a fork's
    /// child. Its record is not used again: pools may be on their way to it.
    pub(crate) fn forget(&self, member: &'static Member) {
        member.heap.set(null());
    }

    /// The slab of the records, for statistics.
    pub(crate) fn slab(&self) -> &Slab<Member> {
        &self.slab
    }
}

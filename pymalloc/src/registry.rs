//! The threads that have heaps: their names and mailboxes.
//!
//! A member's record outlives its thread: pools may hold the address of its mailbox for
//! as long as blocks of theirs are out. Records are used again, names never.
//!
//! A member also says how many free blocks its thread has at hand: the fronts themselves
//! go with the thread, which may end without a word, so nobody else looks at them.
//!
//! # Access
//! `live` and the links: under the registry's lock. The mailbox: any thread. `cached`:
//! written by the thread, read for statistics.

use core::cell::Cell;

use crate::mailbox::Mailbox;
use crate::pool::OwnerId;
use crate::size_class::SizeClass;
use crate::slab::Slab;
use crate::sync::{Mutex, MutexGuard, Tally, lock};

/// A thread with a heap, or the record of one that has exited.
#[derive(Debug)]
pub(crate) struct Member {
    mailbox: Mailbox,
    /// Free blocks of each class in the thread's front, as of its last visit to the
    /// pools of that class.
    cached: [Tally; SizeClass::COUNT],
    live: Cell<bool>,
    next: Option<&'static Member>,
    next_idle: Cell<Option<&'static Member>>,
}

// SAFETY: the mailbox and the counts are made of atomics; all else is reached under the
// registry's lock alone.
unsafe impl Sync for Member {}

impl Member {
    /// Where full pools come back to.
    pub(crate) fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    /// Notes how many free blocks of a class the thread has at hand. For the thread.
    pub(crate) fn set_cached(&self, class: SizeClass, blocks: u32) {
        if let Some(cached) = self.cached.get(class.index()) {
            cached.set(blocks);
        }
    }

    /// How many free blocks of a class the thread had at hand when it last noted it.
    #[cfg(not(loom))]
    pub(crate) fn cached(&self, class: SizeClass) -> u32 {
        self.cached.get(class.index()).map_or(0, Tally::get)
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

    /// A new name and a record with an open mailbox; `None` if memory has run out.
    pub(crate) fn enlist(&self) -> Option<(OwnerId, &'static Member)> {
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
                    cached: std::array::from_fn(|_| Tally::new(0)),
                    live: Cell::new(false),
                    next: members,
                    next_idle: Cell::new(None),
                })?;
                roll.members = Some(member);
                member
            }
        };
        member.live.set(true);
        member.mailbox.open();
        roll.last_id += 1;
        Some((roll.last_id, member))
    }

    /// Takes the record of a thread that exits; its mailbox is closed.
    pub(crate) fn retire(&self, member: &'static Member) {
        self.lock().retire(member);
    }
}

impl Roll {
    fn retire(&mut self, member: &'static Member) {
        member.live.set(false);
        member.next_idle.set(self.idle);
        self.idle = Some(member);
    }
}

#[cfg(not(loom))]
impl Roll {
    /// The members whose threads have not exited.
    pub(crate) fn live(&self) -> impl Iterator<Item = &'static Member> + use<> {
        core::iter::successors(self.members, |member| member.next)
            .filter(|member| member.live.get())
    }

    /// Takes the record of a thread that does not exist in this process, a fork's child; its
    /// mailbox is closed. What it had at hand is lost, and counts as in use.
    pub(crate) fn forget(&mut self, member: &'static Member) {
        member.cached.iter().for_each(|cached| cached.set(0));
        self.retire(member);
    }

    /// The slab of the records, for statistics.
    pub(crate) fn slab(&self) -> &Slab<Member> {
        &self.slab
    }
}

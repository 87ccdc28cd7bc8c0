//! Numbers of objects that outlive a snapshot.
//!
//! The table of the last snapshot says which number the object at an address got. The
//! object's own flag `NUMBERED` says that it got one: an object that was made since at
//! the same address does not have it.
//!
//! # Invariants
//!
//! 1. Every key of `numbers` was the address of an object with the flag when the
//!    last snapshot was taken. An address whose object has no flag is another's now.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ptr::NonNull;

use super::graph::ObjectId;
use super::hash::FastHash;
use crate::header::{Header, NUMBERED};

/// From an object's address to something.
pub(crate) type AddressMap<V> = HashMap<usize, V, FastHash>;

struct Table {
    numbers: AddressMap<u32>,
    next: u32,
}

impl Table {
    /// No numbers yet; `next` is the first.
    const fn from(next: u32) -> Self {
        Table {
            numbers: AddressMap::with_hasher(FastHash),
            next,
        }
    }
}

thread_local! {
    static TABLE: RefCell<Table> = const { RefCell::new(Table::from(1)) };
}

/// The number that a snapshot gave to a live object.
///
/// # Safety
///
/// The object is allocated.
pub(super) unsafe fn known(object: NonNull<Header>) -> Option<ObjectId> {
    // SAFETY: the caller's object is allocated.
    if !unsafe { object.as_ref() }.has(NUMBERED) {
        return None;
    }
    let known = TABLE.try_with(|table| {
        let table = table.borrow();
        table
            .numbers
            .get(&object.addr().get())
            .copied()
            .map(ObjectId)
    });
    known.ok().flatten()
}

/// Gives numbers to the objects of one snapshot.
pub(super) struct Numbering {
    before: Table,
    now: Vec<(usize, u32)>,
}

impl Numbering {
    /// For about so many objects.
    pub(super) fn start(count: usize) -> Self {
        let before = TABLE.try_with(|table| {
            let mut table = table.borrow_mut();
            let next = table.next;
            std::mem::replace(&mut *table, Table::from(next))
        });
        Numbering {
            before: before.unwrap_or(Table::from(1)),
            now: Vec::with_capacity(count),
        }
    }

    /// The number of an object, a new one if it has none.
    ///
    /// # Safety
    ///
    /// The object is allocated, and was not numbered by this before.
    pub(super) unsafe fn number(&mut self, object: NonNull<Header>) -> ObjectId {
        // SAFETY: the caller's object is allocated.
        let header = unsafe { object.as_ref() };
        let address = object.addr().get();
        let known = if header.has(NUMBERED) {
            self.before.numbers.get(&address).copied()
        } else {
            None
        };
        let number = known.unwrap_or_else(|| {
            header.set(NUMBERED);
            let number = self.before.next;
            self.before.next = number.checked_add(1).unwrap_or(1);
            number
        });
        self.now.push((address, number));
        ObjectId(number)
    }
}

impl Drop for Numbering {
    fn drop(&mut self) {
        // INVARIANT: 1.
        let table = Table {
            numbers: self.now.drain(..).collect(),
            next: self.before.next,
        };
        // At the thread's end there is nobody left to ask.
        let _ = TABLE.try_with(|place| place.replace(table));
    }
}

/// Gives the memory back that object numbers take, about 16 bytes for each object of
/// the last snapshot. Objects get new numbers from then on.
///
/// ```
/// use cyclegc::{Gc, objgraph};
///
/// let one = Gc::new([Gc::new(1)]);
/// let id = objgraph::snapshot().find(&one).unwrap().id();
/// objgraph::forget_ids();
/// assert_ne!(objgraph::snapshot().find(&one).unwrap().id(), id);
/// ```
pub fn forget_ids() {
    // At the thread's end they are gone.
    let _ = TABLE.try_with(|table| table.borrow_mut().numbers = AddressMap::default());
}

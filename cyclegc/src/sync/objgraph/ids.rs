//! Numbers of objects that threads share.
//!
//! As in `crate::objgraph::ids`, but one table for the process, and an object's end takes it out:
//! a snapshot sees a part of the objects, and does not know which of the others are alive.
//!
//! # Invariants
//!
//! 1. An object with the flag `NUMBERED` whose address is a key of `numbers` has that
//!    number. Only who has the collector's lock sets the flag, and makes the entry with it.
//!    (An object that ends while it is given a number may leave an entry behind, which the
//!    next object there replaces: that has no flag.)

use crate::objgraph::{AddressMap, FastHash, ObjectId};
use crate::sync::domain::domain;
use crate::sync::header::Object;
use crate::sync::second_word::NUMBERED;
use crate::sync::types::{Mutex, lock, maybe_const};

/// See the module.
pub(crate) struct Numbers(Mutex<Table>);

struct Table {
    numbers: AddressMap<u32>,
    next: u32,
}

impl Numbers {
    maybe_const! {
        pub(crate) fn new() -> Self {
            Numbers(Mutex::new(Table {
                numbers: AddressMap::with_hasher(FastHash),
                next: 1,
            }))
        }
    }

    /// The number of an object, a new one if it has none.
    ///
    /// # Safety
    ///
    /// The object's memory is kept, and the caller has the collector's lock.
    pub(super) unsafe fn number(&self, object: Object) -> ObjectId {
        // SAFETY: the caller's.
        let second = &unsafe { object.head() }.second;
        let mut table = lock(&self.0);
        let address = object.address();
        if second.has(NUMBERED)
            && let Some(known) = table.numbers.get(&address)
        {
            return ObjectId(*known);
        }
        let number = table.next;
        table.next = number.checked_add(1).unwrap_or(1);
        table.numbers.insert(address, number);
        // INVARIANT: 1.
        second.set(NUMBERED);
        ObjectId(number)
    }

    /// Forgets an object, whose value is gone and whose memory is still there.
    pub(crate) fn forget(&self, object: Object) {
        let numbers = &mut lock(&self.0).numbers;
        numbers.remove(&object.address());
        if numbers.len() < numbers.capacity() / 4 {
            numbers.shrink_to(2 * numbers.len());
        }
    }
}

/// The number that a snapshot gave to an object.
///
/// # Safety
///
/// The object's memory is kept.
pub(super) unsafe fn known(object: Object) -> Option<ObjectId> {
    // SAFETY: the caller's.
    if !unsafe { object.head() }.second.has(NUMBERED) {
        return None;
    }
    let table = lock(&domain().numbers.0);
    table.numbers.get(&object.address()).copied().map(ObjectId)
}

/// Gives the memory back that object numbers take, about 16 bytes for each living object
/// that a snapshot has seen, and for some that ended while it was taken, until there is another
/// object in their place. Objects get new numbers from then on, and graphs of before do not find
/// them.
///
/// ```
/// use cyclegc::sync::{Gc, objgraph};
///
/// let one = Gc::new(1);
/// let id = || {
///     let graph = objgraph::SnapshotOptions::new().root(&one).snapshot();
///     graph.find(&one).unwrap().id()
/// };
/// let before = id();
/// assert_eq!(id(), before);
/// objgraph::forget_ids();
/// assert_ne!(id(), before);
/// ```
pub fn forget_ids() {
    lock(&domain().numbers.0).numbers = AddressMap::default();
}

//! Numbers of objects that threads share.
//!
//! As in `crate::objgraph::ids`, but one table for the process, and a snapshot that sees a part of the
//! objects leaves the numbers of the others.
//!
//! # Invariants
//!
//! 1. An object with the flag `NUMBERED` whose address is a key of `numbers` has that
//!    number. Only who has the collector's lock sets the flag, and writes the entry with it.

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

/// Entries of objects that a snapshot did not see, and may be dead, which are kept in any
/// case.
const KEPT: usize = 1000;

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

    /// Forgets objects that were not seen, if they are many.
    pub(super) fn sweep(&self, seen: &[Object]) {
        let mut table = lock(&self.0);
        if table.numbers.len() <= 2 * seen.len() + KEPT {
            return;
        }
        let before = std::mem::take(&mut table.numbers);
        let of = |object: &Object| {
            let number = before.get(&object.address())?;
            Some((object.address(), *number))
        };
        table.numbers = seen.iter().filter_map(of).collect();
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

/// Gives the memory back that object numbers take, about 16 bytes for each object of
/// the last snapshots. Objects get new numbers from then on.
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

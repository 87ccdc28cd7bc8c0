//! Where each handle was made: only with `--cfg cyclegc_provenance`.
//!
//! Every `Gc` and `AnyGc` then is two words: it has an [`Origin`], whose number stands in
//! a table of the thread with the place in the program that made it. Object graphs look
//! up the handles that no object holds.
//!
//! # Invariants
//!
//! 1. `handles` has an entry for each origin that exists, and no other.

use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::Location;
use std::ptr::NonNull;

/// The number of a handle, as long as the handle exists.
#[derive(Debug)]
pub(crate) struct Origin(usize);

/// An object's address and a place in the program.
type Entry = (usize, &'static Location<'static>);

struct Table {
    handles: HashMap<usize, Entry>,
    /// Where the object that was last made at an address was made.
    objects: HashMap<usize, &'static Location<'static>>,
    next: usize,
}

thread_local! {
    static TABLE: RefCell<Table> = RefCell::new(Table {
        handles: HashMap::new(),
        objects: HashMap::new(),
        next: 1,
    });
}

impl Origin {
    /// A handle to `object` is made, by the caller of whoever calls.
    #[track_caller]
    pub(crate) fn here(object: NonNull<()>) -> Self {
        let entry = (object.addr().get(), Location::caller());
        let number = TABLE.try_with(|table| {
            let mut table = table.borrow_mut();
            let number = table.next;
            table.next += 1;
            table.handles.insert(number, entry);
            number
        });
        // The thread has ended: there is nobody left to ask.
        Origin(number.unwrap_or(0))
    }

    pub(crate) fn number(&self) -> usize {
        self.0
    }

    /// The handle is gone.
    pub(crate) fn end(&self) {
        // As in `here`.
        let _ = TABLE.try_with(|table| table.borrow_mut().handles.remove(&self.0));
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.end();
    }
}

/// An object is made, by the caller of whoever calls.
#[track_caller]
pub(crate) fn made(object: NonNull<()>) {
    let location = Location::caller();
    // As in `Origin::here`.
    let _ = TABLE.try_with(|table| {
        let address = object.addr().get();
        table.borrow_mut().objects.insert(address, location);
    });
}

/// Where the live object at an address was made.
pub(crate) fn place_of(address: usize) -> Option<&'static Location<'static>> {
    let place = TABLE.try_with(|table| table.borrow().objects.get(&address).copied());
    place.ok().flatten()
}

/// Address of the object and place of all handles but those for which `is_inside` says so,
/// oldest first.
pub(crate) fn outside(is_inside: impl Fn(usize) -> bool) -> Vec<Entry> {
    let handles = TABLE.try_with(|table| {
        let table = table.borrow();
        let outside = table
            .handles
            .iter()
            .filter(|(number, _)| !is_inside(**number));
        let mut outside: Vec<(usize, Entry)> = outside.map(|(n, entry)| (*n, *entry)).collect();
        outside.sort_by_key(|(number, _)| *number);
        outside.into_iter().map(|(_, entry)| entry).collect()
    });
    handles.unwrap_or_default()
}

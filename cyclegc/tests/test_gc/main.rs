//! CPython's `Lib/test/test_gc.py`, case by case, on `Gc` values.
//!
//! The counts are CPython 3.11's where the objects correspond: a `List` is a
//! list, an `Instance` an instance with its attributes.

mod cycles;
mod finalizers;
mod inspect;
mod weakrefs;
mod when;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use cyclegc::{AnyGc, Finalize, Gc, Trace, collect};

/// A Python list.
#[derive(Trace, Default)]
struct List {
    items: RefCell<Vec<AnyGc>>,
}

impl List {
    fn new() -> Gc<List> {
        Gc::new(List::default())
    }

    fn append<T: ?Sized>(&self, item: &Gc<T>) {
        self.items.borrow_mut().push(item.into());
    }
}

/// A Python instance.
#[derive(Trace, Default)]
struct Instance {
    attributes: RefCell<BTreeMap<&'static str, AnyGc>>,
}

impl Instance {
    fn new() -> Gc<Instance> {
        Gc::new(Instance::default())
    }

    fn set<T: ?Sized>(&self, name: &'static str, value: &Gc<T>) {
        self.attributes.borrow_mut().insert(name, value.into());
    }
}

/// An instance of a class with `__del__`.
#[derive(Trace)]
struct WithDel {
    attributes: RefCell<BTreeMap<&'static str, AnyGc>>,
    calls: Rc<Cell<usize>>,
}

impl WithDel {
    fn new(calls: &Rc<Cell<usize>>) -> Gc<WithDel> {
        Gc::new(WithDel {
            attributes: RefCell::default(),
            calls: calls.clone(),
        })
    }
}

impl Finalize for WithDel {
    fn finalize(&self) {
        self.calls.set(self.calls.get() + 1);
    }
}

fn collected() -> usize {
    collect().collected
}

//! What cycles can be made of.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use cyclegc::{AnyGc, Finalize, Gc, Trace, collect};

use crate::{Instance, List, collected};

#[test]
fn test_list() {
    let list = List::new();
    list.append(&list);
    collect();
    drop(list);
    assert_eq!(collected(), 1);
}

#[test]
fn test_dict() {
    let dict = Gc::new(RefCell::new(BTreeMap::<u32, AnyGc>::new()));
    dict.borrow_mut().insert(1, (&dict).into());
    collect();
    drop(dict);
    assert_eq!(collected(), 1);
}

#[test]
fn test_tuple() {
    // A tuple cannot hold itself: the cycle goes through a list.
    let list = List::new();
    let tuple: Gc<(AnyGc,)> = Gc::new(((&list).into(),));
    list.append(&tuple);
    collect();
    drop(tuple);
    drop(list);
    assert_eq!(collected(), 2);
}

#[test]
fn test_instance() {
    let instance = Instance::new();
    instance.set("a", &instance);
    collect();
    drop(instance);
    assert_eq!(collected(), 1);
}

#[test]
fn test_method() {
    // A bound method refers to its instance, which refers to it.
    let instance = Instance::new();
    let method: Gc<(AnyGc, u8)> = Gc::new(((&instance).into(), 0));
    instance.set("init", &method);
    collect();
    drop((instance, method));
    assert_eq!(collected(), 2);
}

#[test]
fn test_trashcan() {
    // Deep chains whose destruction makes more garbage, while collections run.
    #[derive(Trace)]
    struct Ouch {
        calls: Rc<Cell<usize>>,
        inner: RefCell<Option<AnyGc>>,
    }
    impl Finalize for Ouch {
        fn finalize(&self) {
            self.calls.set(self.calls.get() + 1);
            if self.calls.get().is_multiple_of(17) {
                collect();
            }
        }
    }
    let calls = Rc::new(Cell::new(0));
    cyclegc::enable();
    const N: usize = 150;
    for _ in 0..2 {
        let mut outer: AnyGc = List::new().into();
        for _ in 0..N {
            let ouch = Gc::new(Ouch {
                calls: calls.clone(),
                inner: RefCell::new(Some(outer)),
            });
            let list = List::new();
            list.append(&ouch);
            outer = list.into();
        }
    }
    assert_eq!(calls.get(), 2 * N);
}

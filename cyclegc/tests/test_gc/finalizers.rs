//! Finalizers, and what they bring back to life.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use cyclegc::{AnyGc, Finalize, Gc, Thresholds, Trace, collect};

use crate::{Instance, List, WithDel, collected};

#[test]
fn test_legacy_finalizer() {
    // CPython puts the objects with a legacy `tp_del` into `gc.garbage`. Here
    // a finalizer never makes an object uncollectable, as since PEP 442.
    let calls = Rc::new(Cell::new(0));
    let with_del = WithDel::new(&calls);
    with_del
        .attributes
        .borrow_mut()
        .insert("a", (&with_del).into());
    let without = Instance::new();
    without.set("b", &without);
    collect();
    drop((with_del, without));
    let stats = collect();
    assert_eq!(
        (stats.collected, stats.uncollectable, calls.get()),
        (2, 0, 1)
    );
    assert!(cyclegc::garbage().is_empty());
}

#[test]
fn test_del() {
    // __del__ methods can trigger collection, make this to happen.
    struct Guard(Thresholds);
    impl Drop for Guard {
        fn drop(&mut self) {
            cyclegc::set_threshold(self.0.young, self.0.middle, self.0.old);
        }
    }
    #[derive(Trace)]
    struct A(Rc<Cell<usize>>);
    impl Finalize for A {
        fn finalize(&self) {
            // Allocates: with a threshold of 1 this starts a collection.
            drop(List::new());
            drop(List::new());
            self.0.set(self.0.get() + 1);
        }
    }
    let _guard = Guard(cyclegc::threshold());
    cyclegc::enable();
    cyclegc::set_threshold(1, 10, 10);
    let calls = Rc::new(Cell::new(0));
    let a = Gc::new(A(calls.clone()));
    drop(a);
    assert_eq!(calls.get(), 1);
}

#[test]
fn test_del_newclass() {
    let calls = Rc::new(Cell::new(0));
    let a = WithDel::new(&calls);
    drop(a);
    assert_eq!(calls.get(), 1);
}

#[test]
fn test_boom() {
    // Two objects whose finalizers break the cycle and touch each other.
    #[derive(Trace)]
    struct Boom {
        other: RefCell<Option<Gc<Boom>>>,
        runs: Rc<Cell<usize>>,
    }
    impl Finalize for Boom {
        fn finalize(&self) {
            self.runs.set(self.runs.get() + 1);
            if let Some(other) = self.other.take() {
                drop(other.other.take());
            }
        }
    }
    let runs = Rc::new(Cell::new(0));
    let new = || {
        Gc::new(Boom {
            other: RefCell::default(),
            runs: runs.clone(),
        })
    };
    let (a, b) = (new(), new());
    a.other.replace(Some(b.clone()));
    b.other.replace(Some(a.clone()));
    collect();
    let live = cyclegc::tracked_count();
    drop((a, b));
    collect();
    assert_eq!(runs.get(), 2);
    assert_eq!(cyclegc::tracked_count(), live - 2);
    assert!(cyclegc::garbage().is_empty());
}

#[test]
fn test_boom_new() {
    // As `boom`, on a cycle of three whose finalizers all let go at once.
    #[derive(Trace)]
    struct Boom(RefCell<Vec<Gc<Boom>>>);
    impl Finalize for Boom {
        fn finalize(&self) {
            self.0.take();
        }
    }
    let nodes: Vec<Gc<Boom>> = (0..3).map(|_| Gc::new(Boom(RefCell::default()))).collect();
    for node in &nodes {
        node.0.borrow_mut().extend(nodes.iter().cloned());
    }
    drop(nodes);
    collect();
    assert_eq!(cyclegc::tracked_count(), 0);
}

#[test]
fn test_resurrection_only_happens_once_per_object() {
    #[derive(Trace)]
    struct A {
        me: RefCell<Option<Gc<A>>>,
        resurrected: Rc<Cell<usize>>,
        living: Rc<RefCell<Vec<Gc<A>>>>,
    }
    impl Finalize for A {
        fn finalize(&self) {
            self.resurrected.set(self.resurrected.get() + 1);
            let me = self.me.borrow().clone().expect("intact");
            self.living.borrow_mut().push(me);
        }
    }
    let resurrected = Rc::new(Cell::new(0));
    let living = Rc::new(RefCell::new(Vec::new()));
    let a = Gc::new(A {
        me: RefCell::default(),
        resurrected: resurrected.clone(),
        living: living.clone(),
    });
    a.me.replace(Some(a.clone()));
    drop(a);
    assert_eq!(collected(), 0);
    assert_eq!((resurrected.get(), living.borrow().len()), (1, 1));

    living.borrow_mut().clear();
    assert_eq!(collected(), 1);
    assert_eq!(resurrected.get(), 1);
    assert!(living.borrow().is_empty());
}

#[test]
fn test_resurrection_is_transitive() {
    #[derive(Trace)]
    struct Cargo(RefCell<Option<AnyGc>>);
    #[derive(Trace)]
    struct A {
        me: RefCell<Option<Gc<A>>>,
        cargo: Gc<Cargo>,
        living: Rc<RefCell<Vec<Gc<A>>>>,
    }
    impl Finalize for A {
        fn finalize(&self) {
            let me = self.me.borrow().clone().expect("intact");
            self.living.borrow_mut().push(me);
        }
    }
    let living = Rc::new(RefCell::new(Vec::new()));
    let cargo = Gc::new(Cargo(RefCell::default()));
    cargo.0.replace(Some((&cargo).into()));
    let address = Gc::as_ptr(&cargo);
    let a = Gc::new(A {
        me: RefCell::default(),
        cargo,
        living: living.clone(),
    });
    a.me.replace(Some(a.clone()));
    drop(a);
    assert_eq!(collected(), 0);
    let a = living.borrow_mut().pop().expect("resurrected");
    assert_eq!(Gc::as_ptr(&a.cargo), address);
    assert_eq!(Gc::ref_count(&a.cargo), 2);
    drop(a);
    assert_eq!(collected(), 2);
}

#[test]
fn test_resurrection_does_not_block_cleanup_of_other_objects() {
    // When a finalizer resurrects objects, stats were reporting them as having
    // been collected; and other trash in the same collection must go.
    const N: usize = 100;
    #[derive(Trace, Default)]
    struct A {
        me: RefCell<Option<Gc<A>>>,
    }
    #[derive(Trace)]
    struct Z {
        me: RefCell<Option<Gc<Z>>>,
        list: Rc<RefCell<Vec<Gc<Z>>>>,
    }
    impl Finalize for Z {
        fn finalize(&self) {
            let me = self.me.borrow().clone().expect("intact");
            self.list.borrow_mut().push(me);
        }
    }
    fn make_trash() {
        let a = Gc::new(A::default());
        a.me.replace(Some(a.clone()));
    }
    let list = Rc::new(RefCell::new(Vec::new()));
    let make_z = || {
        let z = Gc::new(Z {
            me: RefCell::default(),
            list: list.clone(),
        });
        z.me.replace(Some(z.clone()));
    };
    cyclegc::disable();
    collect();
    for _ in 0..N {
        make_trash();
    }
    assert_eq!(collected(), N);
    for _ in 0..N {
        make_trash();
    }
    make_z();
    assert_eq!(collected(), N);
    assert_eq!(list.borrow().len(), 1);
    list.borrow_mut().clear();
    for _ in 0..N {
        make_trash();
    }
    // Now the Z dies as well: it was finalized before.
    assert_eq!(collected(), N + 1);
    assert!(list.borrow().is_empty());
}

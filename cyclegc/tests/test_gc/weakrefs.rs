//! Weak references between garbage and the living: CPython's bug 1055820.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use cyclegc::{Gc, Trace, Weak, collect};

use crate::collected;

#[test]
fn test_bug1055820b() {
    // Corresponds to temp2b.py in the bug report.
    thread_local! {
        static OUCH: RefCell<Vec<Option<()>>> = const { RefCell::new(Vec::new()) };
    }
    #[derive(Trace)]
    struct Loop {
        me: RefCell<Option<Gc<Loop>>>,
    }
    let new = || {
        let gc = Gc::new(Loop {
            me: RefCell::default(),
        });
        gc.me.replace(Some(gc.clone()));
        gc
    };
    let cs: Vec<Gc<Loop>> = (0..2).map(|_| new()).collect();
    let weaks: Rc<RefCell<Vec<Weak<Loop>>>> = Rc::default();
    for c in &cs {
        let seen = Rc::downgrade(&weaks);
        let weak = Weak::with_callback(c, move || {
            // All weak references to the trash are cleared before any
            // callback runs.
            for weak in seen.upgrade().iter().flat_map(|w| w.borrow().clone()) {
                OUCH.with_borrow_mut(|ouch| ouch.push(weak.upgrade().map(drop)));
            }
        });
        weaks.borrow_mut().push(weak);
    }
    drop(cs);
    collect();
    OUCH.with_borrow(|ouch| {
        assert_eq!(ouch.len(), 4);
        assert!(ouch.iter().all(Option::is_none));
    });
}

#[test]
fn test_bug1055820c() {
    // Corresponds to temp2c.py: a weak reference outside the trash, in an
    // older generation, to an object inside it.
    #[derive(Trace, Default)]
    struct C {
        me: RefCell<Option<Gc<C>>>,
        target: RefCell<Option<Gc<C>>>,
        weak: RefCell<Weak<C>>,
    }
    let called = Rc::new(Cell::new(0));
    let c0 = Gc::new(C::default());
    let c1 = Gc::new(C::default());
    c1.me.replace(Some(c1.clone()));
    c1.target.replace(Some(c0.clone()));
    collect();
    let c2 = Gc::new(C::default());
    let calls = called.clone();
    let seen = Gc::downgrade(&c0);
    c2.weak.replace(Weak::with_callback(&c0, move || {
        assert!(seen.upgrade().is_none());
        calls.set(calls.get() + 1);
    }));
    drop((c0, c1));
    assert_eq!(collected(), 2);
    // The reference was reachable, so its callback ran.
    assert_eq!(called.get(), 1);
    assert!(c2.weak.borrow().upgrade().is_none());
}

#[test]
fn test_bug1055820d() {
    // Corresponds to temp2d.py: the reference with the callback is trash too,
    // so the callback must not run.
    #[derive(Trace, Default)]
    struct D {
        me: RefCell<Option<Gc<D>>>,
        weak: RefCell<Weak<D>>,
    }
    let called = Rc::new(Cell::new(false));
    let a = Gc::new(D::default());
    let b = Gc::new(D::default());
    a.me.replace(Some(b.clone()));
    b.me.replace(Some(a.clone()));
    let tell = called.clone();
    a.weak
        .replace(Weak::with_callback(&b, move || tell.set(true)));
    drop((a, b));
    // The two, and the reference: CPython counts weakref objects as well.
    assert_eq!(collected(), 3);
    assert!(!called.get());
}

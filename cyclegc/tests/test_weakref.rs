//! The cases of CPython's `Lib/test/test_weakref.py` about cycles, callbacks
//! and their order, and what `Weak` promises besides.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use cyclegc::{Finalize, Gc, Trace, Weak, WeakValueMap, collect, intern::Interner};

#[derive(Trace, Default)]
struct C {
    i: RefCell<Option<Gc<C>>>,
    wr: RefCell<Weak<C>>,
    more: RefCell<Vec<Weak<C>>>,
}

fn c() -> Gc<C> {
    Gc::new(C::default())
}

/// A log that callbacks write.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<&'static str>>>);

impl Log {
    fn callback(&self, what: &'static str) -> impl FnOnce() + 'static {
        let log = self.0.clone();
        move || log.borrow_mut().push(what)
    }

    fn take(&self) -> Vec<&'static str> {
        self.0.take()
    }
}

#[test]
fn test_basic_callback() {
    let log = Log::default();
    let object = c();
    let wr = Weak::with_callback(&object, log.callback("died"));
    assert!(wr.upgrade().is_some());
    drop(object);
    assert_eq!(log.take(), ["died"]);
    assert!(wr.upgrade().is_none());
}

#[test]
fn test_multiple_callbacks() {
    // The newest reference hears first.
    let log = Log::default();
    let object = c();
    let one = Weak::with_callback(&object, log.callback("one"));
    let two = Weak::with_callback(&object, log.callback("two"));
    let plain = Gc::downgrade(&object);
    drop(object);
    assert_eq!(log.take(), ["two", "one"]);
    assert!(!one.is_alive() && !two.is_alive() && !plain.is_alive());
}

#[test]
fn test_callback_of_a_dropped_reference_does_not_run() {
    let log = Log::default();
    let object = c();
    let wr = Weak::with_callback(&object, log.callback("died"));
    let copy = wr.clone();
    drop(wr);
    drop(copy);
    drop(object);
    assert_eq!(log.take(), [""; 0]);
}

#[test]
fn test_callback_in_cycle_1() {
    // The object, the reference and the callback are trash together: the
    // callback does not run.
    let log = Log::default();
    let (a, b) = (c(), c());
    a.i.replace(Some(b.clone()));
    b.i.replace(Some(a.clone()));
    a.wr.replace(Weak::with_callback(&b, log.callback("called")));
    drop((a, b));
    collect();
    assert_eq!(log.take(), [""; 0]);
    assert_eq!(cyclegc::tracked_count(), 0);
}

#[test]
fn test_callback_in_cycle_3() {
    // The reference is outside of the trash, its holder alive: it is called,
    // and finds the object gone.
    let log = Log::default();
    let holder = c();
    let (a, b) = (c(), c());
    a.i.replace(Some(b.clone()));
    b.i.replace(Some(a.clone()));
    let seen = Gc::downgrade(&a);
    let tell = log.callback("called");
    holder.wr.replace(Weak::with_callback(&b, move || {
        assert!(seen.upgrade().is_none(), "all references are cleared first");
        tell();
    }));
    drop((a, b));
    assert_eq!(collect().collected, 2);
    assert_eq!(log.take(), ["called"]);
}

#[test]
fn test_callback_reachable_one_way() {
    // Trash refers to the reference, and so does a live object.
    let log = Log::default();
    let (a, b) = (c(), c());
    a.i.replace(Some(b.clone()));
    b.i.replace(Some(a.clone()));
    let wr = Weak::with_callback(&a, log.callback("called"));
    b.wr.replace(wr.clone());
    drop((a, b));
    assert_eq!(collect().collected, 2);
    assert_eq!(log.take(), ["called"]);
    assert!(wr.upgrade().is_none());
}

#[test]
fn test_callback_different_classes() {
    // A reference in trash to an object that is no trash, but dies with it.
    let log = Log::default();
    let (ring, tail) = (c(), c());
    ring.i.replace(Some(ring.clone()));
    ring.wr
        .replace(Weak::with_callback(&tail, log.callback("called")));
    ring.more.borrow_mut().push(Gc::downgrade(&tail));
    drop(ring);
    collect();
    assert_eq!(log.take(), [""; 0]);
    drop(tail);
    assert_eq!(log.take(), [""; 0]);
    assert_eq!(cyclegc::tracked_count(), 0);
}

#[test]
fn test_callbacks_on_callback() {
    // A callback drops the last handle of another object with a callback.
    let log = Log::default();
    let (first, second) = (c(), c());
    let outer = Weak::with_callback(&second, log.callback("second"));
    let tell = log.callback("first");
    let keep = RefCell::new(Some(second));
    let inner = Weak::with_callback(&first, move || {
        drop(keep.take());
        tell();
    });
    first.i.replace(Some(first.clone()));
    drop(first);
    collect();
    assert_eq!(log.take(), ["second", "first"]);
    drop((inner, outer));
}

#[test]
fn test_weakrefs_work_in_a_finalizer_of_a_death_by_counting_only() {
    // Counting: the finalizer first, references alive. A collection:
    // references and callbacks first.
    #[derive(Trace)]
    struct Finalized {
        me: Weak<Finalized>,
        cycle: RefCell<Option<Gc<Finalized>>>,
        log: Rc<RefCell<Vec<&'static str>>>,
    }
    impl Finalize for Finalized {
        fn finalize(&self) {
            let alive = self.me.is_alive();
            let what = if alive {
                "finalizer, alive"
            } else {
                "finalizer, cleared"
            };
            self.log.borrow_mut().push(what);
        }
    }
    let log = Log::default();
    let new = || {
        Gc::new_cyclic(|me| Finalized {
            me: me.clone(),
            cycle: RefCell::default(),
            log: log.0.clone(),
        })
    };
    let object = new();
    let wr = Weak::with_callback(&object, log.callback("callback"));
    drop(object);
    assert_eq!(log.take(), ["finalizer, alive", "callback"]);

    let object = new();
    let wr = (wr, Weak::with_callback(&object, log.callback("callback")));
    object.cycle.replace(Some(object.clone()));
    drop(object);
    assert_eq!(collect().collected, 1);
    assert_eq!(log.take(), ["callback", "finalizer, cleared"]);
    drop(wr);
}

#[test]
fn test_gc_during_ref_creation() {
    // Collections while references and callbacks are made.
    cyclegc::set_threshold(1, 1, 1);
    let log = Log::default();
    let mut kept = Vec::new();
    for _ in 0..100 {
        let trash = c();
        trash.i.replace(Some(trash.clone()));
        kept.push(Weak::with_callback(&trash, log.callback("died")));
    }
    collect();
    assert_eq!(log.take().len(), 100);
    assert!(kept.iter().all(|wr| wr.upgrade().is_none()));
}

#[test]
fn test_threaded_weak_value_dict() {
    // One thread here: entries die while the map is in use.
    let mut map = WeakValueMap::new();
    let kept: Vec<Gc<C>> = (0..10).map(|_| c()).collect();
    for (key, value) in kept.iter().enumerate() {
        map.insert(key, value);
        map.insert(key + 100, &c());
    }
    assert_eq!((map.len(), map.iter().count()), (10, 10));
    assert!(Gc::ptr_eq(&map.get(&3).expect("alive"), &kept[3]));
    drop(kept);
    assert!(map.is_empty());
}

#[test]
fn interned_values_share_an_object_until_their_last_user_is_gone() {
    let interner = Interner::<str>::new();
    let a = interner.intern("spam");
    let b = interner.clone().intern(String::from("spam"));
    let c = interner.intern("eggs");
    assert!(Gc::ptr_eq(&a, &b) && !Gc::ptr_eq(&a, &c));
    assert_eq!(interner.len(), 2);
    drop((a, b));
    assert_eq!(interner.len(), 1);
    assert!(interner.get("spam").is_none() && interner.get("eggs").is_some());
    drop(c);
    assert!(interner.is_empty());
    assert_eq!(cyclegc::tracked_count(), 0);
}

#[test]
fn a_weak_handle_may_outlive_all() {
    let object = c();
    let wr = Gc::downgrade(&object);
    assert_eq!((wr.ref_count(), Gc::weak_count(&object)), (1, 1));
    drop(object);
    let copy = wr.clone();
    assert_eq!(wr.ref_count(), 0);
    assert!(copy.ptr_eq(&wr));
    drop(wr);
    assert!(copy.upgrade().is_none());
}

#[test]
fn a_callback_that_holds_its_own_reference_leaks_nothing() {
    let count = Rc::new(Cell::new(0));
    let object = c();
    let slot: Rc<RefCell<Weak<C>>> = Rc::default();
    let (seen, holder) = (count.clone(), slot.clone());
    let wr = Weak::with_callback(&object, move || {
        drop(holder.take());
        seen.set(seen.get() + 1);
    });
    slot.replace(wr);
    drop(object);
    assert_eq!((count.get(), Rc::strong_count(&slot)), (1, 1));
    assert_eq!(cyclegc::tracked_count(), 0);
}

//! Handles, weak ones, and what is alive when, seen by one thread.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock, RwLock};

use cyclegc::sync::{self, AnyGc, Gc, Weak};
use cyclegc::{Trace, into_dyn};

use crate::support::{Life, alone};

#[derive(Trace, Clone)]
struct Counted {
    next: Option<Gc<Counted>>,
}

#[test]
fn a_value_dies_with_its_last_handle_in_the_thread_that_drops_it() {
    let _alone = alone();
    let alive = Arc::default();
    let one = Gc::new(Arc::new(Life::new(&alive)));
    let two = one.clone();
    drop(one);
    assert_eq!(alive.load(SeqCst), 1);
    std::thread::spawn(move || drop(two)).join().unwrap();
    assert_eq!(alive.load(SeqCst), 0);
}

#[test]
fn handles_can_be_unwrapped_and_mutated_when_alone() {
    let _alone = alone();
    let mut one = one_more();
    Gc::get_mut(&mut one).unwrap().next = Some(one_more());
    let two = one.clone();
    assert!(Gc::get_mut(&mut one).is_none());
    Gc::make_mut(&mut one).next = None;
    assert!(two.next.is_some() && !Gc::ptr_eq(&one, &two));
    let one = Gc::try_unwrap(one).ok().unwrap();
    assert!(one.next.is_none());
    let weak = Gc::downgrade(&two);
    let mut two = two;
    assert!(Gc::get_mut(&mut two).is_none());
    assert!(Gc::into_inner(two).is_some() && weak.upgrade().is_none());
}

fn one_more() -> Gc<Counted> {
    Gc::new(Counted { next: None })
}

#[test]
fn a_mut_that_ended_does_not_hide_an_object_from_the_collector() {
    let _alone = alone();
    type Loop = Mutex<Vec<AnyGc>>;
    // Listed, alone, borrowed, then part of a ring without being cloned again.
    let mut inner = Gc::new(Loop::default());
    drop(inner.clone());
    Gc::get_mut(&mut inner).unwrap();
    let outer = Gc::new(Loop::default());
    inner.lock().unwrap().push((&outer).into());
    outer.lock().unwrap().push(inner.into());
    drop(outer);
    assert_eq!(sync::collect().collected, 2);
}

#[test]
fn one_of_many_gets_the_inner_value() {
    let _alone = alone();
    for _ in 0..200 {
        let gc = Gc::new(7);
        let threads = [(); 3].map(|()| {
            let gc = gc.clone();
            std::thread::spawn(move || Gc::into_inner(gc))
        });
        let mut found = usize::from(Gc::into_inner(gc).is_some());
        for thread in threads {
            found += usize::from(thread.join().unwrap().is_some());
        }
        assert_eq!(found, 1);
    }
}

#[test]
fn unsized_values_are_collected_too() {
    trait Named: Trace {
        fn name(&self) -> &str;
    }
    #[derive(Trace)]
    struct Item(String, Mutex<Option<Gc<dyn Named + Send + Sync>>>);
    impl Named for Item {
        fn name(&self) -> &str {
            &self.0
        }
    }

    let alone = alone();
    let item = Gc::new(Item("x".into(), Mutex::default()));
    let named = into_dyn!(item.clone() => dyn Named + Send + Sync);
    assert_eq!(named.name(), "x");
    *item.1.lock().unwrap() = Some(named);
    drop(item);
    let list: Gc<[Gc<str>]> = ["a", "b"].map(Gc::from).into_iter().collect();
    assert_eq!(&*list[1], "b");
    drop(list);
    assert_eq!(alone.tracked_count(), 1);
    assert_eq!(sync::collect().collected, 1);
    assert_eq!(alone.tracked_count(), 0);
}

#[test]
fn headers_are_small() {
    let _alone = alone();
    assert_eq!(AnyGc::from(Gc::new(1_u64)).allocation_size(), 24 + 8);
    let tracked = AnyGc::from(Gc::new(Mutex::new(None::<AnyGc>)));
    assert_eq!(tracked.allocation_size(), 32 + tracked.size());
}

#[test]
fn a_cycle_through_each_kind_of_cell_is_collected() {
    let _alone = alone();
    type Nested = Vec<Mutex<std::cell::Cell<Option<AnyGc>>>>;
    #[derive(Trace, Default)]
    struct Cells {
        lock: RwLock<Option<AnyGc>>,
        once: OnceLock<AnyGc>,
        nested: Mutex<std::cell::RefCell<Nested>>,
    }
    let cells = Gc::new(Cells::default());
    *cells.lock.write().unwrap() = Some((&cells).into());
    cells.once.set((&cells).into()).unwrap();
    let cell = std::cell::Cell::new(Some((&cells).into()));
    let nested = cells.nested.lock().unwrap();
    nested.borrow_mut().push(Mutex::new(cell));
    drop(nested);
    assert_eq!(Gc::ref_count(&cells), 4);
    drop(cells);
    assert_eq!(sync::collect().collected, 1);
}

#[test]
fn weak_handles_are_cleared_before_a_collection_destroys() {
    let _alone = alone();
    let me = Gc::new_cyclic(|me: &Weak<Mutex<Option<AnyGc>>>| {
        assert!(me.upgrade().is_none());
        Mutex::new(None)
    });
    let weak = Gc::downgrade(&me);
    *me.lock().unwrap() = Some((&me).into());
    drop(me);
    assert!(weak.is_alive());
    assert_eq!(sync::collect().collected, 1);
    assert!(!weak.is_alive() && weak.upgrade().is_none());
    drop(weak.clone());
}

#[test]
fn a_callback_runs_unless_its_weak_handle_is_garbage_too() {
    let _alone = alone();
    let calls = Arc::new(AtomicUsize::new(0));
    let call = |calls: &Arc<AtomicUsize>| {
        let calls = calls.clone();
        move || {
            calls.fetch_add(1, SeqCst);
        }
    };
    type Place = Mutex<(Option<AnyGc>, Option<Weak<Mutex<u8>>>)>;
    let target = Gc::new(Mutex::new(1));
    let outside = Weak::with_callback(&target, call(&calls));
    let garbage = Gc::new(Place::default());
    *garbage.lock().unwrap() = (
        Some((&garbage).into()),
        Some(Weak::with_callback(&target, call(&calls))),
    );
    drop(garbage);
    // The place and the cell of its weak handle.
    assert_eq!(sync::collect().collected, 2);
    assert_eq!(calls.load(SeqCst), 0);
    drop(target);
    assert_eq!(calls.load(SeqCst), 1);
    assert!(outside.upgrade().is_none());
}

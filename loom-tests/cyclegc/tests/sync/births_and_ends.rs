//! Objects that are upgraded as they are made, and ways for handles to end besides a drop.

use std::sync::Arc;

use cyclegc_loom::sync::{self, Gc, Weak};
use loom::thread;

use crate::exclusive::{TryLock, Watched};
use crate::{Life, Node, all_dropped, explore};

/// A weak handle leaves `make`, and is upgraded when there is a value.
#[test]
fn an_object_is_upgraded_that_was_just_made() {
    explore(3, || {
        let dropped = Arc::default();
        let mut thread = None;
        let only = Gc::new_cyclic(|me: &Weak<Watched>| {
            let me = me.clone();
            thread = Some(thread::spawn(move || {
                if let Some(made) = me.upgrade() {
                    made.life.touch();
                }
            }));
            Watched {
                life: Life::new(&dropped),
                cell: TryLock::default(),
            }
        });
        drop(only);
        thread.unwrap().join().unwrap();
        all_dropped(&dropped, 1);
    });
}

/// Of two threads that ask for the value one gets it, when the other is done with it.
#[test]
fn one_of_two_threads_takes_the_value_out() {
    explore(3, || {
        let dropped = Arc::default();
        let a = Node::new(&dropped, None);
        let b = a.clone();
        let thread = thread::spawn(move || {
            b.life.touch();
            Gc::into_inner(b).is_some()
        });
        a.life.touch();
        let mine = Gc::into_inner(a).is_some();
        assert!(mine != thread.join().unwrap());
        all_dropped(&dropped, 1);
    });
}

/// `get_mut` of a suspect, and then a weak handle to it, beside a collection.
#[test]
fn a_thread_takes_a_mut_and_downgrades() {
    explore(4, || {
        let dropped = Arc::default();
        let mut only = Watched::new(&dropped);
        drop(only.clone());
        let thread = thread::spawn(move || {
            Gc::get_mut(&mut only).unwrap().write();
            drop(Gc::downgrade(&only));
            only.life.touch();
        });
        sync::collect();
        thread.join().unwrap();
        all_dropped(&dropped, 1);
    });
}

/// `get_mut` in a ring that the collector has seen no handle to but its own: the thread comes
/// by a weak one.
#[test]
fn a_thread_takes_a_mut_under_verdict() {
    explore(3, || {
        let dropped = Arc::default();
        let (outer, inner) = (Watched::new(&dropped), Watched::new(&dropped));
        // Listed, so that it is looked at first.
        drop(inner.clone());
        inner.set(outer.clone());
        outer.set(inner);
        let weak = Gc::downgrade(&outer);
        let thread = thread::spawn(move || {
            let Some(outer) = weak.upgrade() else { return };
            if let Some(cell) = outer.cell.try_lock() {
                cell.with(|inner| {
                    let inner = inner.as_mut().unwrap();
                    Gc::get_mut(inner).unwrap().write();
                    drop(inner.clone());
                });
            }
        });
        drop(outer);
        sync::collect();
        thread.join().unwrap();
        all_dropped(&dropped, 2);
    });
}

/// Weak handles go in another thread while one asks for a `&mut`.
#[test]
fn a_mut_against_the_end_of_a_weak_handle() {
    explore(4, || {
        let dropped = Arc::default();
        let mut only = Watched::new(&dropped);
        let weak = Gc::downgrade(&only);
        let thread = thread::spawn(move || {
            if let Some(other) = weak.upgrade() {
                other.life.touch();
                drop(Gc::downgrade(&other));
            }
        });
        if let Some(only) = Gc::get_mut(&mut only) {
            only.write();
        }
        thread.join().unwrap();
        assert!(Gc::get_mut(&mut only).is_some());
        drop(only);
        all_dropped(&dropped, 1);
    });
}

/// The memory of an object that is on no list ends with one of these two.
#[test]
fn the_last_weak_handle_goes_with_the_last() {
    explore(3, || {
        let dropped = Arc::default();
        let only = Watched::new(&dropped);
        let weak = Gc::downgrade(&only);
        let thread = thread::spawn(move || drop(weak));
        drop(only);
        thread.join().unwrap();
        all_dropped(&dropped, 1);
    });
}

/// A collection looks at the cell of a weak handle while that goes, and its target.
#[test]
fn a_cell_outlives_its_weak_handle() {
    explore(3, || {
        let dropped = Arc::default();
        let target = Watched::new(&dropped);
        let weak = Weak::with_callback(&target, || ());
        // The cell is listed.
        drop(weak.clone());
        let thread = thread::spawn(|| {
            sync::collect();
        });
        drop(weak);
        drop(target);
        thread.join().unwrap();
        all_dropped(&dropped, 1);
    });
}

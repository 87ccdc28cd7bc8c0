//! Pointers that threads replace: `AtomicGc`.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use cyclegc_loom::Trace;
use cyclegc_loom::sync::{self, AtomicGc, Gc};
use loom::thread;

use crate::{Life, Watched, all_dropped, explore};

/// An `AtomicGc` is read while its handle, the last, is displaced.
#[test]
fn a_pointer_is_read_while_it_is_replaced() {
    explore(4, || {
        let dropped: Arc<AtomicUsize> = Arc::default();
        let place = Arc::new(AtomicGc::new(Watched::new(&dropped)));
        let other = place.clone();
        let thread = thread::spawn(move || {
            if let Some(read) = other.load() {
                read.life.touch();
            }
        });
        place.store(Watched::new(&dropped));
        thread.join().unwrap();
        drop(place);
        all_dropped(&dropped, 2);
    });
}

/// Refers to itself through a pointer that threads replace.
#[derive(Trace)]
#[trace(crate = cyclegc_loom)]
struct Swapped {
    #[trace(skip)]
    life: Life,
    next: AtomicGc<Swapped>,
}

/// A handle moves out of a pointer, which a proof has marked.
#[test]
fn a_handle_moves_out_of_a_pointer() {
    explore(4, || {
        let dropped: Arc<AtomicUsize> = Arc::default();
        let a = swapped(&dropped);
        a.next.store(a.clone());
        let thread = thread::spawn(move || {
            let moved = a.next.swap(None);
            drop(a);
            moved.unwrap().life.touch();
        });
        sync::collect();
        thread.join().unwrap();
        all_dropped(&dropped, 1);
    });
}

/// An object is put there where there was none, and read.
#[test]
fn an_object_is_read_that_was_just_put_there() {
    explore(3, || {
        let dropped: Arc<AtomicUsize> = Arc::default();
        let place = Arc::new(AtomicGc::<Watched>::new(None));
        let (other, counted) = (place.clone(), dropped.clone());
        let thread = thread::spawn(move || other.store(Watched::new(&counted)));
        if let Some(read) = place.load() {
            read.life.touch();
        }
        thread.join().unwrap();
        drop(place);
        all_dropped(&dropped, 1);
    });
}

/// Two threads put an object there each, and use what they take out.
#[test]
fn two_threads_swap_what_a_pointer_refers_to() {
    explore(3, || {
        let dropped: Arc<AtomicUsize> = Arc::default();
        let place = Arc::new(AtomicGc::<Watched>::new(None));
        let swap = |place: &AtomicGc<Watched>, dropped: &Arc<AtomicUsize>| {
            if let Some(taken) = place.swap(Watched::new(dropped)) {
                taken.life.touch();
            }
        };
        let (other, counted) = (place.clone(), dropped.clone());
        let thread = thread::spawn(move || swap(&other, &counted));
        swap(&place, &dropped);
        thread.join().unwrap();
        drop(place);
        all_dropped(&dropped, 2);
    });
}

/// Two threads put an object there each, and look at none.
#[test]
fn two_threads_store_into_a_pointer() {
    explore(3, || {
        let dropped: Arc<AtomicUsize> = Arc::default();
        let place = Arc::new(AtomicGc::<Watched>::new(None));
        let (other, counted) = (place.clone(), dropped.clone());
        let thread = thread::spawn(move || other.store(Watched::new(&counted)));
        place.store(Watched::new(&dropped));
        thread.join().unwrap();
        drop(place);
        all_dropped(&dropped, 2);
    });
}

/// An object is put there where there was none, and where there is one it is used.
#[test]
fn two_threads_put_an_object_where_there_is_none() {
    explore(3, || {
        let dropped: Arc<AtomicUsize> = Arc::default();
        let place = Arc::new(AtomicGc::<Watched>::new(None));
        let put = |place: &AtomicGc<Watched>, dropped: &Arc<AtomicUsize>| {
            if let Err(error) = place.compare_exchange(None, Watched::new(dropped)) {
                error.current.unwrap().life.touch();
            }
        };
        let (other, counted) = (place.clone(), dropped.clone());
        let thread = thread::spawn(move || put(&other, &counted));
        put(&place, &dropped);
        thread.join().unwrap();
        drop(place);
        all_dropped(&dropped, 2);
    });
}

/// A thread gives its only handle away, and another takes it out for the one that it has.
#[test]
fn a_handle_that_was_used_is_taken_out_by_comparison() {
    explore(3, || {
        let dropped: Arc<AtomicUsize> = Arc::default();
        let one = Watched::new(&dropped);
        let place = Arc::new(AtomicGc::<Watched>::new(None));
        let (other, given) = (place.clone(), one.clone());
        let thread = thread::spawn(move || {
            given.life.touch();
            other.store(given);
        });
        drop(place.compare_exchange(Some(&one), None));
        drop(one);
        thread.join().unwrap();
        drop(place);
        all_dropped(&dropped, 1);
    });
}

fn swapped(dropped: &Arc<AtomicUsize>) -> Gc<Swapped> {
    Gc::new(Swapped {
        life: Life::new(dropped),
        next: AtomicGc::default(),
    })
}

/// A new object is put into a pointer that the guess looks at.
#[test]
fn an_object_is_put_into_a_pointer_beside_a_collection() {
    explore(3, || {
        let dropped: Arc<AtomicUsize> = Arc::default();
        let a = swapped(&dropped);
        drop(a.clone());
        let counted = dropped.clone();
        let thread = thread::spawn(move || a.next.store(swapped(&counted)));
        sync::collect();
        thread.join().unwrap();
        all_dropped(&dropped, 2);
    });
}

/// The same where the collector has seen no handle but the object's own.
#[test]
fn an_object_is_put_into_a_pointer_under_verdict() {
    explore(3, || {
        let dropped: Arc<AtomicUsize> = Arc::default();
        let a = swapped(&dropped);
        a.next.store(a.clone());
        let weak = Gc::downgrade(&a);
        let counted = dropped.clone();
        let thread = thread::spawn(move || {
            let a = weak.upgrade();
            a.is_some_and(|a| {
                a.next.store(swapped(&counted));
                true
            })
        });
        drop(a);
        sync::collect();
        let made = usize::from(thread.join().unwrap());
        all_dropped(&dropped, 1 + made);
    });
}

/// The same beside a thread that asks for the edges of the object with the pointer.
#[test]
fn an_object_is_put_into_a_pointer_whose_edges_a_thread_asks_for() {
    explore(3, || {
        let dropped: Arc<AtomicUsize> = Arc::default();
        let a = swapped(&dropped);
        let (other, counted) = (a.clone(), dropped.clone());
        let thread = thread::spawn(move || other.next.store(swapped(&counted)));
        drop(sync::edges(&a));
        thread.join().unwrap();
        drop(a);
        all_dropped(&dropped, 2);
    });
}

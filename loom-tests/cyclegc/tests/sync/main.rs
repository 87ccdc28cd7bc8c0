//! Models of `cyclegc::sync`: every interleaving, up to a number of preemptions, of threads
//! that walk, move, juggle and keep the handles of a small cycle, and of collectors.
//!
//! The crate itself is compiled with loom's types, so these are the handles that ship. Each
//! model ends with a last collection, and asks that every node was dropped, once, and never
//! used after that.
//!
//! `cargo run -p loom-tests --bin mutations cyclegc` shows that each model can fail.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicUsize};

use cyclegc_loom::sync::{self, Gc, Weak};
use cyclegc_loom::{Finalize, Trace};
use loom::cell::UnsafeCell;
use loom::sync::Mutex;
use loom::thread;

mod asking;
mod births_and_ends;
mod exclusive;
mod pointers;

use exclusive::Watched;

/// Explores with this many preemptions of a running thread. Bugs that take two threads
/// beside the collector show at three, not before.
fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let executions = Arc::new(AtomicUsize::new(0));
    let counted = executions.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 20_000;
    builder.check(move || {
        counted.fetch_add(1, Relaxed);
        model();
    });
    println!("{} executions", executions.load(Relaxed));
}

const ALIVE: u32 = 0xA11C_E5ED;
const DROPPED: u32 = 0xDEAD_DEAD;

/// Finds out whether a value is used when it is not there. loom finds out whether a use and
/// the end are ordered.
struct Life {
    state: AtomicU32,
    race: UnsafeCell<()>,
    dropped: Arc<AtomicUsize>,
}

// SAFETY: `race` is looked at, and "written" when the value is dropped: what loom checks.
unsafe impl Sync for Life {}

impl Life {
    fn new(dropped: &Arc<AtomicUsize>) -> Self {
        Life {
            state: AtomicU32::new(ALIVE),
            race: UnsafeCell::new(()),
            dropped: dropped.clone(),
        }
    }

    fn touch(&self) {
        assert_eq!(self.state.load(Relaxed), ALIVE, "used after its end");
        self.race.with(|_| ());
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        assert_eq!(self.state.swap(DROPPED, Relaxed), ALIVE, "dropped twice");
        self.race.with_mut(|_| ());
        self.dropped.fetch_add(1, Relaxed);
    }
}

/// A node with a handle that cannot change, and one that can.
#[derive(Trace)]
#[trace(crate = cyclegc_loom)]
struct Node {
    #[trace(skip)]
    life: Life,
    fixed: Option<Gc<Node>>,
    cell: Mutex<Option<Gc<Node>>>,
}

impl Node {
    fn new(dropped: &Arc<AtomicUsize>, fixed: Option<Gc<Node>>) -> Gc<Node> {
        Gc::new(Node {
            life: Life::new(dropped),
            fixed,
            cell: Mutex::new(None),
        })
    }

    fn fixed(&self) -> Gc<Node> {
        self.life.touch();
        self.fixed.clone().unwrap()
    }

    fn cell(&self) -> Option<Gc<Node>> {
        self.life.touch();
        self.cell.lock().unwrap().clone()
    }

    fn take(&self) -> Option<Gc<Node>> {
        self.life.touch();
        self.cell.lock().unwrap().take()
    }

    fn set(&self, gc: Option<Gc<Node>>) {
        let before = std::mem::replace(&mut *self.cell.lock().unwrap(), gc);
        drop(before);
    }
}

/// A ring of two: `a.fixed` is `b`, `b.cell` is `a`.
fn ring(dropped: &Arc<AtomicUsize>) -> Gc<Node> {
    let b = Node::new(dropped, None);
    let a = Node::new(dropped, Some(b.clone()));
    b.set(Some(a.clone()));
    a
}

/// Runs threads on a ring while this one collects.
fn beside_a_collection(preemptions: usize, threads: &'static [fn(Gc<Node>)]) {
    explore(preemptions, move || {
        let dropped = Arc::default();
        let a = ring(&dropped);
        let running: Vec<_> = threads
            .iter()
            .map(|run| {
                let (run, a) = (*run, a.clone());
                thread::spawn(move || run(a))
            })
            .collect();
        drop(a);
        sync::collect();
        for thread in running {
            thread.join().unwrap();
        }
        sync::collect();
        assert_eq!(dropped.load(Relaxed), 2, "a node was leaked");
    });
}

/// Goes once around, with two handles at a time.
fn walks(a: Gc<Node>) {
    let b = a.fixed();
    let again = b.cell();
    drop((a, b));
    if let Some(again) = again {
        again.life.touch();
    }
}

/// Goes around with one handle, but for the moments in which it takes the next.
fn juggles(a: Gc<Node>) {
    let b = a.fixed();
    drop(a);
    let Some(a) = b.cell() else { return };
    drop(b);
    let b = a.fixed();
    drop(a);
    b.life.touch();
}

/// Moves the handle to `a` out of `b`, which nothing counts.
fn moves_out(a: Gc<Node>) {
    let b = a.fixed();
    drop(a);
    let moved = b.take();
    drop(b);
    if let Some(a) = moved {
        a.fixed().life.touch();
    }
}

/// Moves a handle from its stack into a cell.
fn moves_in(a: Gc<Node>) {
    let b = a.fixed();
    let before = b.take();
    b.set(Some(a));
    b.life.touch();
    drop(before);
    b.life.touch();
}

#[test]
fn a_thread_walks() {
    beside_a_collection(4, &[walks]);
}

#[test]
fn a_thread_juggles() {
    beside_a_collection(4, &[juggles]);
}

#[test]
fn a_thread_moves_a_handle_out() {
    beside_a_collection(4, &[moves_out]);
}

#[test]
fn a_thread_moves_a_handle_in() {
    beside_a_collection(4, &[moves_in]);
}

/// An object that no collector looks at ends after all uses of it.
#[test]
fn two_threads_drop() {
    explore(4, || {
        let dropped = Arc::default();
        let a = Node::new(&dropped, None);
        let b = a.clone();
        let thread = thread::spawn(move || b.life.touch());
        a.life.touch();
        drop(a);
        thread.join().unwrap();
        assert_eq!(dropped.load(Relaxed), 1);
    });
}

/// Collections that see two handles do not forget an object.
#[test]
fn a_ring_lives_through_collections() {
    explore(1, || {
        let dropped = Arc::default();
        let a = ring(&dropped);
        sync::collect();
        sync::collect();
        drop(a);
        sync::collect();
        assert_eq!(dropped.load(Relaxed), 2, "a node was leaked");
    });
}

/// One node is looked at before a handle moves into it, the other after its last handle
/// outside is gone.
#[test]
fn a_ring_closes_while_a_collection_looks() {
    explore(3, || {
        let dropped = Arc::default();
        let y = Node::new(&dropped, None);
        drop(y.clone());
        let x = Node::new(&dropped, Some(y));
        let in_ring = x.clone();
        let thread = thread::spawn(move || {
            x.fixed.as_ref().unwrap().set(Some(in_ring));
            drop(x);
        });
        sync::collect();
        thread.join().unwrap();
        sync::collect();
        assert_eq!(dropped.load(Relaxed), 2, "a node was leaked");
    });
}

#[test]
fn nobody_is_there() {
    beside_a_collection(4, &[drop]);
}

#[test]
#[ignore = "takes minutes"]
fn two_threads_juggle_and_move_out() {
    beside_a_collection(3, &[juggles, moves_out]);
}

#[test]
fn two_threads_walk_and_move_in() {
    beside_a_collection(3, &[walks, moves_in]);
}

/// Ends with a collection that nothing runs beside, and asks for the number of values that
/// were dropped.
fn all_dropped(dropped: &AtomicUsize, count: usize) {
    sync::collect();
    assert_eq!(dropped.load(Relaxed), count, "leaked");
}

/// A weak handle is upgraded while its object is under verdict.
#[test]
fn a_thread_upgrades() {
    explore(3, || {
        let dropped = Arc::default();
        let a = ring(&dropped);
        let weak = Gc::downgrade(&a);
        let thread = thread::spawn(move || {
            if let Some(a) = weak.upgrade() {
                let b = a.fixed();
                drop(a);
                b.life.touch();
            }
        });
        drop(a);
        sync::collect();
        thread.join().unwrap();
        all_dropped(&dropped, 2);
    });
}

/// Stores its handle to itself on a shelf when it is finalized.
#[derive(Trace)]
#[trace(crate = cyclegc_loom)]
struct Risen {
    #[trace(skip)]
    life: Life,
    me: Mutex<Option<Gc<Risen>>>,
    #[trace(skip)]
    shelf: Arc<Mutex<Option<Gc<Risen>>>>,
}

impl Finalize for Risen {
    fn finalize(&self) {
        self.life.touch();
        let me = self.me.lock().unwrap().clone();
        *self.shelf.lock().unwrap() = me;
    }
}

/// A finalizer resurrects, while another thread takes what it resurrected.
#[test]
fn a_finalizer_resurrects() {
    explore(3, || {
        let dropped = Arc::default();
        let shelf = Arc::new(Mutex::new(None));
        let risen = Gc::new(Risen {
            life: Life::new(&dropped),
            me: Mutex::new(None),
            shelf: shelf.clone(),
        });
        *risen.me.lock().unwrap() = Some(risen.clone());
        let other = shelf.clone();
        let thread = thread::spawn(move || {
            let taken: Option<Gc<Risen>> = other.lock().unwrap().take();
            if let Some(risen) = taken {
                risen.life.touch();
                // Only what it holds keeps it from here on.
                drop(risen);
            }
        });
        drop(risen);
        sync::collect();
        thread.join().unwrap();
        let taken = shelf.lock().unwrap().take();
        drop(taken);
        all_dropped(&dropped, 1);
    });
}

/// Two collections at once, of a ring whose last handle a third thread drops.
#[test]
fn two_threads_collect() {
    explore(3, || {
        let dropped = Arc::default();
        let a = ring(&dropped);
        let thread = thread::spawn(|| {
            sync::collect();
        });
        drop(a);
        sync::collect();
        thread.join().unwrap();
        all_dropped(&dropped, 2);
    });
}

/// A thread that makes, lists, collects nothing and exits, beside a collection.
#[test]
fn a_thread_exits() {
    explore(3, || {
        let dropped: Arc<AtomicUsize> = Arc::default();
        let other = dropped.clone();
        let thread = thread::spawn(move || drop(ring(&other)));
        sync::collect();
        thread.join().unwrap();
        all_dropped(&dropped, 2);
    });
}

/// Weak handles go while the last handle does.
#[test]
fn a_weak_handle_goes_with_the_last() {
    explore(4, || {
        let dropped = Arc::default();
        let only = Watched::new(&dropped);
        let weak: Weak<Watched> = Gc::downgrade(&only);
        drop(only.clone());
        let thread = thread::spawn(move || drop(weak));
        let collecting = thread::spawn(|| {
            sync::collect();
        });
        drop(only);
        thread.join().unwrap();
        collecting.join().unwrap();
        all_dropped(&dropped, 1);
    });
}

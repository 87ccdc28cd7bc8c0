//! Thread-locals whose destructors run after the collector's own: what they hold is
//! whole, dies by counting, and may make, finalize and watch objects on its way.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use cyclegc::{Finalize, Gc, Trace, Weak};

#[derive(Trace)]
#[trace(leaf)]
struct Count(Arc<AtomicUsize>);

impl Drop for Count {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
        // A destructor after the end may look around and collect.
        let _ = cyclegc::objects(None);
        cyclegc::collect();
    }
}

#[derive(Trace)]
struct Node {
    links: RefCell<Vec<Gc<Node>>>,
    watch: RefCell<Option<Weak<Node>>>,
    heirs: Cell<usize>,
    dropped: Count,
}

impl Node {
    fn new(dropped: &Arc<AtomicUsize>, heirs: usize) -> Gc<Self> {
        Gc::new(Self {
            links: RefCell::default(),
            watch: RefCell::default(),
            heirs: Cell::new(heirs),
            dropped: Count(dropped.clone()),
        })
    }
}

impl Finalize for Node {
    fn finalize(&self) {
        if let Some(left) = self.heirs.get().checked_sub(1) {
            // Made after the end: not registered, and freed by counting.
            let heir = Node::new(&self.dropped.0, left);
            let other = Node::new(&self.dropped.0, 0);
            heir.links.borrow_mut().push(other.clone());
            let called = Rc::new(Cell::new(false));
            let call = called.clone();
            let weak = Weak::with_callback(&other, move || call.set(true));
            drop(heir);
            assert!(weak.is_alive() && !called.get());
            drop(other);
            assert!(!weak.is_alive() && called.get());
        }
    }
}

/// Dropped after the thread's `Gc`s were, because it was made before the first.
struct Late(RefCell<Vec<Gc<Node>>>);

impl Drop for Late {
    fn drop(&mut self) {
        for node in self.0.take() {
            // A drop that is not the last one, of an object that was a suspect when the
            // collector closed, and of one that was not.
            drop(node.clone());
            node.links
                .borrow()
                .iter()
                .for_each(|link| drop(link.clone()));
            drop(node);
        }
    }
}

thread_local! {
    static LATE: Late = const { Late(RefCell::new(Vec::new())) };
}

#[test]
fn what_outlives_the_collector_dies_by_counting() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let count = dropped.clone();
    let made = thread::spawn(move || {
        LATE.with(|_| ());
        let mut made = 0;
        for round in 0..200 {
            let (a, b) = (Node::new(&count, round % 3), Node::new(&count, 0));
            made += 2 + 2 * (round % 3);
            a.links.borrow_mut().push(b.clone());
            b.watch.replace(Some(Weak::with_callback(&a, || ())));
            if round % 2 == 0 {
                // Suspects, in one generation or another.
                drop((a.clone(), b.clone()));
            }
            if round % 50 == 7 {
                cyclegc::collect_generation(cyclegc::Generation::ALL[round % 3]);
            }
            LATE.with(|late| late.0.borrow_mut().push(a));
        }
        made
    })
    .join()
    .expect("the thread ends in order");
    assert_eq!(dropped.load(Ordering::Relaxed), made);
}

//! Ten million nodes on a stack of 64 KiB, a million in a debug build: build, drop, collect.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use cyclegc::{Finalize, Gc, Trace};

/// A million overflow such a stack as surely, and a debug build takes ten times as long for each.
const NODES: usize = if cfg!(debug_assertions) {
    1_000_000
} else {
    10_000_000
};
const STACK_BYTES: usize = 64 * 1024;

#[derive(Trace)]
struct Node {
    next: RefCell<Option<Gc<Node>>>,
}

fn node(next: Option<Gc<Node>>) -> Gc<Node> {
    Gc::new(Node {
        next: RefCell::new(next),
    })
}

fn on_a_small_stack(test: fn()) {
    std::thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(test)
        .expect("a thread")
        .join()
        .expect("no overflow");
}

fn list(nodes: usize) -> Gc<Node> {
    let mut head = node(None);
    for _ in 1..nodes {
        head = node(Some(head));
    }
    head
}

#[test]
fn a_list_of_millions_is_dropped() {
    on_a_small_stack(|| {
        cyclegc::disable();
        let list = list(NODES);
        assert_eq!(cyclegc::tracked_count(), NODES);
        drop(list);
        assert_eq!(cyclegc::tracked_count(), 0);
    });
}

#[test]
fn a_live_list_of_millions_is_traced_and_survives() {
    on_a_small_stack(|| {
        cyclegc::disable();
        let list = list(NODES);
        // A drop that is not the last makes the head a suspect.
        drop(list.clone());
        let stats = cyclegc::collect();
        assert_eq!((stats.candidates, stats.collected), (NODES, 0));
        let mut length = 0;
        let mut at = Some(list);
        while let Some(node) = at {
            length += 1;
            at = node.next.take();
        }
        assert_eq!(length, NODES);
    });
}

#[test]
fn a_ring_of_millions_is_collected() {
    on_a_small_stack(|| {
        cyclegc::disable();
        let last = node(None);
        let mut head = last.clone();
        for _ in 1..NODES {
            head = node(Some(head));
        }
        last.next.replace(Some(head));
        drop(last);
        assert_eq!(cyclegc::collect().collected, NODES);
        assert_eq!(cyclegc::tracked_count(), 0);
    });
}

#[derive(Trace)]
struct Tree {
    left: Option<Gc<Tree>>,
    right: Option<Gc<Tree>>,
}

/// A tree that is as deep as it can be and still branches everywhere.
fn deep_tree() -> Gc<Tree> {
    let leaf = || {
        Gc::new(Tree {
            left: None,
            right: None,
        })
    };
    let mut root = leaf();
    for _ in 0..NODES / 2 {
        root = Gc::new(Tree {
            left: Some(leaf()),
            right: Some(root),
        });
    }
    root
}

#[test]
fn a_deep_tree_of_millions_is_dropped() {
    on_a_small_stack(|| {
        cyclegc::disable();
        let tree = deep_tree();
        assert_eq!(cyclegc::tracked_count(), NODES + 1);
        drop(tree);
        assert_eq!(cyclegc::tracked_count(), 0);
    });
}

#[test]
fn a_deep_tree_that_hangs_on_a_cycle_is_collected() {
    on_a_small_stack(|| {
        cyclegc::disable();
        let knot = Gc::new((deep_tree(), RefCell::new(None::<cyclegc::AnyGc>)));
        knot.1.replace(Some((&knot).into()));
        drop(knot);
        assert_eq!(cyclegc::collect().collected, NODES + 2);
        assert_eq!(cyclegc::tracked_count(), 0);
    });
}

#[derive(Trace)]
struct Chained {
    next: RefCell<Option<Gc<Chained>>>,
    finalized: Rc<Cell<usize>>,
}

impl Finalize for Chained {
    fn finalize(&self) {
        self.finalized.set(self.finalized.get() + 1);
        // The next one dies inside this finalizer.
        drop(self.next.take());
    }
}

#[test]
fn finalizers_that_end_each_other_do_not_nest_deeply() {
    on_a_small_stack(|| {
        const CHAIN: usize = 1_000_000;
        cyclegc::disable();
        let finalized = Rc::new(Cell::new(0));
        let mut head = None;
        for _ in 0..CHAIN {
            head = Some(Gc::new(Chained {
                next: RefCell::new(head),
                finalized: finalized.clone(),
            }));
        }
        drop(head);
        assert_eq!(finalized.get(), CHAIN);
        assert_eq!(cyclegc::tracked_count(), 0);
    });
}

#[derive(Trace)]
#[trace(leaf)]
struct Opaque {
    _next: Option<Gc<Opaque>>,
}

#[test]
fn a_chain_of_leaf_types_is_dropped() {
    on_a_small_stack(|| {
        let mut head = None;
        for _ in 0..1_000_000 {
            head = Some(Gc::new(Opaque { _next: head }));
        }
        assert_eq!(cyclegc::tracked_count(), 0);
        drop(head);
    });
}

#[test]
fn the_size_of_a_long_list_is_computed() {
    on_a_small_stack(|| {
        cyclegc::disable();
        let mut head = node(None);
        for _ in 1..100_000 {
            head = node(Some(head));
        }
        let one = cyclegc::AnyGc::from(&head).allocation_size();
        assert_eq!(cyclegc::deep_size_of(&head), 100_000 * one);
    });
}

/// A value of boxes inside each other, however many.
#[derive(Trace)]
enum Boxes {
    End(RefCell<Option<Gc<Boxed>>>),
    More(Box<Boxes>),
}

#[derive(Trace)]
struct Boxed {
    boxes: RefCell<Boxes>,
}

fn boxed(depth: usize) -> Gc<Boxed> {
    let mut boxes = Boxes::End(RefCell::default());
    for _ in 0..depth {
        boxes = Boxes::More(Box::new(boxes));
    }
    Gc::new(Boxed {
        boxes: RefCell::new(boxes),
    })
}

/// Takes the boxes apart: dropping them recurses, as `Box` does.
fn take_apart(gc: &Gc<Boxed>) {
    let mut boxes = gc.boxes.replace(Boxes::End(RefCell::default()));
    while let Boxes::More(inner) = boxes {
        boxes = *inner;
    }
}

#[test]
fn boxes_inside_each_other_are_traced_with_little_stack() {
    on_a_small_stack(|| {
        let deep = boxed(300_000);
        drop(deep.clone());
        assert_eq!(cyclegc::collect().candidates, 1);
        assert!(cyclegc::referents(&deep).is_empty());
        assert!(cyclegc::edges(&deep).is_empty());
        take_apart(&deep);
    });
}

#[test]
fn cycles_through_a_hundred_boxes_are_collected() {
    let deep = boxed(100);
    {
        let boxes = deep.boxes.borrow();
        let mut at = &*boxes;
        while let Boxes::More(inner) = at {
            at = inner;
        }
        let Boxes::End(end) = at else { return };
        *end.borrow_mut() = Some(deep.clone());
    }
    drop(deep);
    assert_eq!(cyclegc::collect().collected, 1);
}

//! Graphs of `Gc` with cycles, weak references and finalizers that resurrect.

use std::cell::{Cell, RefCell};

use benches::random::Random;
use cyclegc::{Finalize, Gc, Trace, Weak};

#[derive(Trace)]
struct Node {
    number: usize,
    /// `number`, over and over.
    payload: Vec<usize>,
    links: RefCell<Vec<Gc<Node>>>,
    back: RefCell<Option<Weak<Node>>>,
}

thread_local! {
    static FINALIZED: Cell<usize> = const { Cell::new(0) };
    static RESURRECTED: RefCell<Vec<Gc<Node>>> = const { RefCell::new(Vec::new()) };
}

impl Finalize for Node {
    fn finalize(&self) {
        self.check();
        FINALIZED.set(FINALIZED.get() + 1);
        if self.number.is_multiple_of(64)
            && let Some(link) = self.links.borrow().first()
        {
            RESURRECTED.with_borrow_mut(|saved| saved.push(link.clone()));
        }
    }
}

impl Node {
    fn new(number: usize, len: usize) -> Gc<Self> {
        Gc::new(Self {
            number,
            payload: vec![number; len],
            links: RefCell::default(),
            back: RefCell::default(),
        })
    }

    fn check(&self) {
        let whole = self.payload.iter().all(|word| *word == self.number);
        assert!(whole, "the payload of object {} changed", self.number);
    }
}

/// Builds a graph, takes parts of it away, and drops it; every object that was made has
/// been finalized then. Returns how many.
pub(crate) fn build_and_drop(random: &mut Random) -> usize {
    let before = FINALIZED.get();
    let count = 2 + random.below(2_000);
    let mut nodes: Vec<_> = (0..count)
        .map(|number| Node::new(number, random.below(40)))
        .collect();
    for _ in 0..count * 2 {
        let (from, to) = (&nodes[random.below(count)], &nodes[random.below(count)]);
        from.links.borrow_mut().push(to.clone());
        to.back.replace(Some(Gc::downgrade(from)));
    }
    while nodes.len() > count / 8 {
        let gone = nodes.swap_remove(random.below(nodes.len()));
        gone.check();
        let neighbour = gone.back.borrow().as_ref().and_then(Weak::upgrade);
        if let Some(node) = neighbour {
            node.check();
            node.links.borrow_mut().pop();
        }
    }
    cyclegc::collect();
    nodes.iter().for_each(|node| walk(node, 4));
    drop(nodes);
    // What is resurrected is not finalized again.
    while {
        cyclegc::collect();
        let saved = RESURRECTED.take();
        saved.iter().for_each(|node| node.check());
        !saved.is_empty()
    } {}
    assert_eq!(FINALIZED.get() - before, count, "objects finalized");
    count
}

fn walk(node: &Gc<Node>, depth: usize) {
    node.check();
    if depth > 0 {
        node.links
            .borrow()
            .iter()
            .for_each(|link| walk(link, depth - 1));
    }
}

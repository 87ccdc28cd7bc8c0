//! Object graphs: what is in them, what is asked of them, what is written.

mod chains;
mod cycles;
mod exports;
mod shapes;
mod sizes;
mod types;

use std::cell::RefCell;

use cyclegc::objgraph::{self, ObjectGraph};
use cyclegc::{Gc, Trace, Weak};

/// What most tests are about.
#[derive(Trace, Default)]
struct Node {
    name: &'static str,
    left: RefCell<Option<Gc<Node>>>,
    children: RefCell<Vec<Gc<Node>>>,
    parent: RefCell<Option<Weak<Node>>>,
}

fn node(name: &'static str) -> Gc<Node> {
    Gc::new(Node {
        name,
        ..Node::default()
    })
}

/// The names of a node's links, with what kind they are.
fn links(graph: &ObjectGraph, gc: &Gc<Node>) -> Vec<String> {
    let node = graph.find(gc).expect("it is in the graph");
    let links = node.links();
    links
        .map(|link| format!("{}{link}", if link.is_weak() { "~" } else { "" }))
        .collect()
}

/// A chain of so many nodes; the first.
fn chain(length: usize) -> Gc<Node> {
    let mut first = node("last");
    for _ in 1..length {
        let next = node("");
        next.left.replace(Some(first));
        first = next;
    }
    first
}

/// Runs a test on a small stack.
fn on_small_stack(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new()
        .stack_size(64 * 1024)
        .spawn(test);
    thread.expect("it starts").join().expect("it passes");
}

/// A snapshot does what asking for the edges of each object does.
#[test]
fn a_graph_has_the_edges_that_objects_report() {
    let top = node("top");
    for name in ["a", "b"] {
        let child = node(name);
        child.parent.replace(Some(Gc::downgrade(&top)));
        top.children.borrow_mut().push(child);
    }
    top.left.replace(Some(top.children.borrow()[0].clone()));
    let graph = objgraph::snapshot();
    for object in cyclegc::objects(None) {
        let node = graph.find(&object).expect("it is in the graph");
        let strong = node.links().filter(|link| !link.is_weak());
        let names: Vec<String> = strong.map(|link| link.name()).collect();
        let expected = cyclegc::edges(&object);
        assert_eq!(
            names,
            expected
                .iter()
                .map(|edge| edge.name.as_str())
                .collect::<Vec<_>>()
        );
        let held = graph
            .nodes()
            .flat_map(|n| n.links())
            .filter(|l| !l.is_weak());
        let inside = held.filter(|link| link.target() == node).count();
        // `objects` and `edges` are dropped by now, but for `object` itself.
        drop(expected);
        assert_eq!(node.ref_count(), node.outside_count() + inside);
    }
    assert_eq!(
        links(&graph, &top),
        [".left", ".children[0]", ".children[1]"]
    );
    let child = top.children.borrow()[1].clone();
    assert_eq!(links(&graph, &child), ["~.parent"]);
}

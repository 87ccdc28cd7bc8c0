//! Cycles, garbage, and Python's hunt for leaks.

use cyclegc::{DebugFlags, Gc, objgraph};

use super::{Node, node};

/// A circle of so many nodes; the first.
fn circle(length: usize) -> Gc<Node> {
    let first = super::chain(length);
    let mut last = first.clone();
    loop {
        let next = last.left.borrow().clone();
        match next {
            Some(next) => last = next,
            None => break,
        }
    }
    last.left.replace(Some(first.clone()));
    first
}

#[test]
fn cycles_of_one_shape_are_one_group() {
    for _ in 0..10 {
        circle(3);
    }
    let alive = circle(1);
    let pair = circle(2);
    pair.left
        .borrow()
        .as_ref()
        .expect("two")
        .children
        .borrow_mut()
        .push(alive.clone());
    let report = objgraph::cycles();
    let groups: Vec<_> = report
        .groups
        .iter()
        .map(|g| (g.count, g.object_count, g.circle.len(), g.is_garbage))
        .collect();
    assert_eq!(
        groups,
        [(10, 30, 3, true), (1, 2, 2, false), (1, 1, 1, false)]
    );
    assert_eq!((report.cycle_count(), report.garbage_count()), (12, 10));
    let text = report.to_string();
    assert!(text.contains("10 x garbage, 30 objects"), "{text}");
    assert!(text.contains("    .left\n"), "{text}");
    assert_eq!(report.clone().garbage().groups.len(), 1);
    assert_eq!(cyclegc::collect().collected, 30);
    assert_eq!(objgraph::cycles().garbage_count(), 0);
}

#[test]
fn what_garbage_holds_is_reached_by_garbage_alone() {
    let ring = circle(2);
    ring.children.borrow_mut().push(node("tail"));
    drop(ring);
    let graph = objgraph::snapshot();
    assert_eq!(graph.len(), 3);
    let dominators = graph.dominators();
    // Nothing is lost under the root.
    let sizes = dominators
        .top()
        .into_iter()
        .map(|node| dominators.retained_size(node));
    assert_eq!(sizes.sum::<usize>(), graph.total_bytes());
}

#[test]
fn the_documented_hunt_for_leaks_finds_the_cycle() {
    cyclegc::set_debug(DebugFlags::SAVEALL);
    circle(3);
    cyclegc::collect();
    let garbage = cyclegc::garbage();
    assert_eq!(garbage.len(), 3);
    let report = objgraph::cycles();
    // `garbage` here holds them, too.
    assert!(report.groups[0].is_saved && !report.groups[0].is_garbage);
    drop(garbage);
    let report = objgraph::cycles().garbage();
    assert!(report.groups[0].is_saved);
    assert!(report.to_string().contains("saved garbage"), "{report}");
    let one = cyclegc::garbage().pop().expect("three");
    let why = objgraph::why_alive(&one);
    assert!(!why.is_reachable && why.is_saved);
    assert!(why.to_string().contains("take_garbage"), "{why}");
    drop(one);
    cyclegc::set_debug(DebugFlags::empty());
    drop(cyclegc::take_garbage());
    assert_eq!(cyclegc::collect().collected, 3);
}

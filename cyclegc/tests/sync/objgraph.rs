//! Object graphs of what threads share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, RwLock};

use cyclegc::objgraph::{self, Explorer, Node as GraphNode, ObjectGraph};
use cyclegc::sync::objgraph::{SnapshotOptions, snapshot};
use cyclegc::sync::{self, AnyGc, AtomicGc, Gc, Weak};
use cyclegc::{DebugFlags, Generation, Trace, Tracer, into_dyn};

use crate::support::{Locked as _, Node, alone, ring};

/// A graph of what a handle reaches, and suspects.
pub(crate) fn graph_of<T: ?Sized>(gc: &Gc<T>) -> ObjectGraph {
    SnapshotOptions::new().root(gc).snapshot()
}

/// The names of a node's links, with what kind they are.
fn links(node: GraphNode<'_>) -> Vec<String> {
    let links = node.links();
    links
        .map(|link| format!("{}{link}", if link.is_weak() { "~" } else { "" }))
        .collect()
}

type Slice = Option<Gc<[Gc<u8>]>>;

#[derive(Trace, Default)]
struct Everything {
    mutex: Mutex<Vec<Gc<u8>>>,
    rw_lock: RwLock<Option<Gc<u8>>>,
    once: OnceLock<Gc<u8>>,
    atomic: AtomicGc<u8>,
    any: Option<AnyGc>,
    map: BTreeMap<&'static str, Gc<str>>,
    weak: Mutex<Weak<u8>>,
    plain: (Option<Gc<u8>>, Slice),
}

#[test]
fn every_cell_names_its_links() {
    let _alone = alone();
    let byte = Gc::new(7_u8);
    let all = Gc::new(Everything {
        any: Some((&byte).into()),
        map: BTreeMap::from([("k", "text".into())]),
        plain: (Some(byte.clone()), Some([byte.clone()].into())),
        ..Everything::default()
    });
    all.mutex.locked().push(byte.clone());
    *all.rw_lock.write().unwrap() = Some(byte.clone());
    all.once.set(byte.clone()).unwrap();
    all.atomic.store(byte.clone());
    *all.weak.locked() = Gc::downgrade(&byte);
    let graph = graph_of(&all);
    let node = graph.find(&all).unwrap();
    let expected = [
        ".mutex[0]",
        ".rw_lock",
        ".once",
        ".atomic",
        ".any",
        ".map[\"k\"]",
        "~.weak",
        ".plain.0",
        ".plain.1",
    ];
    assert_eq!(links(node), expected);
    let seven = graph.find(&byte).unwrap();
    assert_eq!((seven.ref_count(), seven.outside_count()), (8, 1));
    assert_eq!((node.ref_count(), node.outside_count()), (1, 1));
    assert!(!seven.is_tracked() && seven.generation().is_none());
    assert_eq!(node.generation(), Some(Generation::Young));
    assert!(
        node.size() > AnyGc::from(&all).allocation_size(),
        "a vector"
    );
}

#[test]
fn zero_objects_make_an_empty_graph() {
    let _alone = alone();
    let graph = snapshot();
    assert!(graph.is_empty() && graph.cycles().groups.is_empty());
    assert!(graph.dominators().top().is_empty());
    let mut written = Vec::new();
    graph.write_heap_snapshot(&mut written).unwrap();
    Explorer::new(&graph).write(&mut written).unwrap();
    // A value without bytes is an object.
    let nothing = Gc::new(());
    assert_eq!(graph_of(&nothing).len(), 1);
}

#[test]
fn suspects_and_roots_are_seen_and_nothing_else() {
    let _alone = alone();
    let alive = Arc::default();
    let (root, kept) = (Node::new(&alive), Node::new(&alive));
    root.links().push(Node::new(&alive));
    assert!(snapshot().is_empty(), "each had one handle ever");
    assert_eq!(graph_of(&root).len(), 2);
    root.link(&kept);
    let graph = snapshot();
    assert_eq!(graph.len(), 1, "the one with two handles");
    let node = graph.find(&kept).unwrap();
    assert_eq!(node.outside_count(), 2, "who holds it is not known");
    let graph = graph_of(&root);
    assert_eq!(graph.find(&kept).unwrap().outside_count(), 1);
    assert_eq!(
        links(graph.find(&root).unwrap()),
        [".links[0]", ".links[1]"]
    );
}

#[test]
fn the_functions_that_take_a_handle_take_shared_ones() {
    let _alone = alone();
    let alive = Arc::default();
    let (top, middle, leaf) = (Node::new(&alive), Node::new(&alive), Node::new(&alive));
    top.link(&middle);
    middle.links().push(leaf);
    let leaf = middle.links()[0].clone();
    drop(middle);
    let why = objgraph::why_alive(&leaf);
    assert_eq!(
        (why.chain.steps.len(), why.outside_count()),
        (2, 1),
        "nobody knows `top`"
    );
    let _again = top.clone();
    let why = objgraph::why_alive(&leaf);
    assert_eq!(
        (why.chain.steps.len(), why.outside_count()),
        (3, 2),
        "{why}"
    );
    assert_eq!(why.chain.steps[1].link.as_deref(), Some(".links[0]"));
    let is_top = |node: GraphNode<'_>| node.outside_count() == 2;
    let back = objgraph::find_backref_chain(&leaf, is_top);
    assert_eq!(back, why.chain);
    let is_leaf = |node: GraphNode<'_>| node.links().len() == 0;
    // `leaf` counts again, so ends of chains differ.
    let there = objgraph::find_ref_chain(&top, is_leaf);
    assert_eq!(there.steps.len(), 3);
    assert!(there.objects().is_empty(), "they are not this thread's");
    assert!(objgraph::show_chain(&there).dot().contains(".links[0]"));
    assert!(objgraph::show_refs(&top).svg().contains("Node"));
    assert!(objgraph::show_backrefs(&leaf).dot().contains(".links[0]"));
    assert_eq!(objgraph::asized(&AnyGc::from(&top), 2).refs.len(), 1);
    let graph = graph_of(&top);
    let node = graph.find(&top).unwrap();
    assert_eq!(graph.deep_size(node), graph.total_bytes());
    let middle = node.links().next().unwrap().target();
    // `leaf` is held from outside, too.
    let retained = graph.dominators().retained_size(middle);
    assert_eq!(retained, middle.size());
}

#[test]
fn the_two_flavours_are_not_mixed_up() {
    let _alone = alone();
    let own = cyclegc::Gc::new([cyclegc::Gc::new(1)]);
    let shared = Gc::new([Gc::new(1)]);
    let (own_graph, shared_graph) = (objgraph::snapshot(), graph_of(&shared));
    assert!(own_graph.find(&own).is_some() && own_graph.find(&shared).is_none());
    assert!(shared_graph.find(&shared).is_some() && shared_graph.find(&own).is_none());
    // A handle of the one kind in an object of the other is no link.
    let mixed = cyclegc::Gc::new((shared.clone(), own.clone()));
    let graph = objgraph::snapshot();
    assert_eq!(links(graph.find(&mixed).unwrap()), [".1"]);
    assert_eq!(graph_of(&shared).find(&shared).unwrap().outside_count(), 2);
    let asked = objgraph::SnapshotOptions::new()
        .asked_with(&shared)
        .snapshot();
    assert_eq!(asked.len(), graph.len());
}

#[test]
fn weak_links_are_drawn_and_keep_nothing() {
    #[derive(Trace, Default)]
    struct Child {
        parent: Mutex<Weak<Child>>,
        children: Mutex<Vec<Gc<Child>>>,
    }

    let _alone = alone();
    let (parent, child) = (Gc::new(Child::default()), Gc::new(Child::default()));
    parent.children.locked().push(child.clone());
    *child.parent.locked() = Weak::with_callback(&parent, || ());
    let graph = graph_of(&parent);
    assert_eq!(graph.len(), 2, "cells of weak references are left out");
    let (p, c) = (graph.find(&parent).unwrap(), graph.find(&child).unwrap());
    assert_eq!(
        (links(p), links(c)),
        (vec![".children[0]".to_owned()], vec!["~.parent".to_owned()])
    );
    assert_eq!((p.outside_count(), c.outside_count()), (1, 1));
    assert!(graph.cycles().groups.is_empty());
    // A weak link alone leads to its target, too.
    assert_eq!(graph_of(&child).len(), 2);
    drop(parent);
    let graph = graph_of(&child);
    assert_eq!((graph.len(), graph.link_count()), (1, 0));
}

trait Shape: Trace + Send + Sync {
    fn area(&self) -> u64;
}

#[derive(Trace)]
struct Square(u64, Gc<str>);

impl Shape for Square {
    fn area(&self) -> u64 {
        self.0 * self.0
    }
}

#[test]
fn unsized_objects_have_their_own_types_and_sizes() {
    let _alone = alone();
    let text: Gc<str> = "0123456789".into();
    let slice: Gc<[Gc<str>]> = [text.clone(), "x".into()].into();
    let shape: Gc<dyn Shape> = into_dyn!(Gc::new(Square(2, text.clone())) => dyn Shape);
    assert_eq!(shape.area(), 4);
    let options = SnapshotOptions::new().root(&slice).root(&shape);
    let graph = options.snapshot();
    assert_eq!(graph.len(), 4);
    let square = graph.find(&shape).unwrap();
    assert_eq!(square.short_type_name(), "Square", "not the trait's");
    assert_eq!(links(square), [".1"]);
    let node = graph.find(&slice).unwrap();
    assert_eq!(links(node), ["[0]", "[1]"]);
    assert_eq!(node.size(), AnyGc::from(&slice).allocation_size());
    let node = graph.find(&text).unwrap();
    assert_eq!(node.size(), AnyGc::from(&text).allocation_size());
    assert_eq!((node.ref_count(), node.outside_count()), (3, 1));
}

#[test]
fn a_million_objects_in_a_row_need_no_stack() {
    // The same needs minutes without optimisation.
    const COUNT: usize = if cfg!(debug_assertions) {
        50_000
    } else {
        1_000_000
    };
    #[derive(Trace, Default)]
    struct Link(Mutex<Option<Gc<Link>>>);

    let _alone = alone();
    let test = || {
        let mut first = Gc::new(Link::default());
        for _ in 1..COUNT {
            first = Gc::new(Link(Mutex::new(Some(first))));
        }
        let graph = graph_of(&first);
        assert_eq!((graph.len(), graph.link_count()), (COUNT, COUNT - 1));
        let start = graph.find(&first).unwrap();
        let total = graph.total_bytes();
        assert_eq!(graph.dominators().retained_size(start), total);
        let is_last = |node: GraphNode<'_>| node.links().len() == 0;
        let way = graph.ref_chain(start, usize::MAX, is_last);
        assert_eq!(way.steps.len(), COUNT);
        let last = graph.by_id(way.steps[COUNT - 1].id).unwrap();
        assert_eq!(graph.why_alive(last).chain, way);
    };
    let thread = std::thread::Builder::new()
        .stack_size(64 * 1024)
        .spawn(test);
    thread.unwrap().join().unwrap();
}

#[test]
fn garbage_is_told_before_and_after_it_is_saved() {
    let _alone = alone();
    let alive = Arc::default();
    drop(ring(&alive, 3));
    let held = ring(&alive, 2);
    let report = snapshot().cycles();
    assert_eq!((report.cycle_count(), report.garbage_count()), (2, 1));
    assert_eq!(report.garbage().groups[0].circle[0].link, ".links[0]");
    sync::set_debug(DebugFlags::SAVEALL);
    sync::collect();
    sync::set_debug(DebugFlags::empty());
    let graph = snapshot();
    let report = graph.cycles().garbage();
    assert!(report.groups[0].is_saved && report.groups[0].object_count == 3);
    let saved = sync::garbage().swap_remove(0);
    let why = objgraph::why_alive(&saved);
    assert!(why.is_saved && !why.is_reachable, "{why}");
    drop(saved);
    sync::take_garbage();
    assert_eq!(sync::collect().collected, 3);
    assert_eq!(snapshot().find(&held).unwrap().outside_count(), 1);
    held.links().clear();
}

#[test]
fn a_snapshot_leaves_the_collector_alone() {
    let _alone = alone();
    let alive = Arc::default();
    let first = ring(&alive, 3);
    let (suspects, count) = (sync::suspect_count(), Gc::ref_count(&first));
    for _ in 0..3 {
        assert_eq!(snapshot().len(), 3);
    }
    assert_eq!(sync::suspect_count(), suspects);
    assert_eq!((Gc::ref_count(&first), Gc::weak_count(&first)), (count, 0));
    let graph = snapshot();
    drop(first);
    assert_eq!(sync::collect().collected, 3);
    assert_eq!(graph.len(), 3, "it holds nothing");
}

#[test]
fn ages_and_frozen_objects_are_told() {
    let _alone = alone();
    let alive = Arc::default();
    let old = ring(&alive, 1);
    sync::collect();
    let age = |gc: &Gc<Node>| graph_of(gc).find(gc).unwrap().generation();
    assert_eq!(age(&old), Some(Generation::Old));
    sync::freeze();
    let young = ring(&alive, 1);
    assert_eq!((age(&old), age(&young)), (None, Some(Generation::Young)));
    assert_eq!(snapshot().len(), 2, "frozen suspects are seen");
    sync::unfreeze();
    old.links().clear();
    young.links().clear();
}

#[test]
fn numbers_stay_and_are_never_used_twice() {
    let _alone = alone();
    let alive = Arc::default();
    let (keep, other) = (Node::new(&alive), Node::new(&alive));
    let id = |gc: &Gc<Node>| graph_of(gc).find(gc).unwrap().id();
    let first = id(&keep);
    let mut last = id(&other);
    assert!(last > first);
    for _ in 0..50 {
        // Most likely at the address of the one before.
        let now = id(&Node::new(&alive));
        assert!(now > last);
        last = now;
    }
    assert_eq!(id(&keep), first, "though other snapshots did not see it");
}

#[test]
fn an_old_graph_finds_an_object_whatever_other_snapshots_saw() {
    let _alone = alone();
    // Many, each with one handle: who is not asked about them does not see them.
    let many = Gc::new((0..2000).map(Gc::new).collect::<Vec<_>>());
    let graph = graph_of(&many);
    let id = graph.find(&many).unwrap().id();
    assert_eq!(sync::objgraph::snapshot().len(), 0);
    assert_eq!(graph.find(&many).unwrap().id(), id);
    assert_eq!(graph_of(&many).find(&many[1999]).map(|node| node.id()), {
        graph.find(&many[1999]).map(|node| node.id())
    });
}

/// Knows no names.
struct ByHand(Mutex<Vec<Gc<u8>>>, AtomicGc<u8>);

// SAFETY: handles are reported once, and leave under a lock that is kept.
unsafe impl Trace for ByHand {
    fn trace(&self, tracer: &mut Tracer<'_>) {
        tracer.value(&self.0);
        tracer.value(&self.1);
    }
}

#[test]
fn edges_without_names_have_numbers() {
    let _alone = alone();
    let byte = Gc::new(1);
    let by_hand = Gc::new(ByHand(
        Mutex::new(vec![byte.clone(), byte.clone()]),
        AtomicGc::new(byte.clone()),
    ));
    let graph = graph_of(&by_hand);
    assert_eq!(links(graph.find(&by_hand).unwrap()), ["<0>", "<1>", "<2>"]);
    assert_eq!(graph.find(&byte).unwrap().outside_count(), 1);
    assert!(by_hand.0.try_lock().is_ok());
}

#[test]
fn what_is_written_has_the_shared_graph() {
    let _alone = alone();
    let alive = Arc::default();
    let first = ring(&alive, 3);
    drop(ring(&alive, 2));
    let graph = snapshot();
    let mut written = Vec::new();
    graph.write_heap_snapshot(&mut written).unwrap();
    let text = String::from_utf8(written).unwrap();
    let read = v8_heap_parser::decode_str(&text).unwrap();
    assert_eq!(
        read.nodes().len(),
        graph.len() + 3,
        "the root, outside, garbage"
    );
    let mut page = Vec::new();
    Explorer::new(&graph).write(&mut page).unwrap();
    assert!(String::from_utf8(page).unwrap().contains("Node"));
    let drawing = objgraph::show_refs(&first);
    assert!(drawing.dot().contains("links[0]") && drawing.svg().contains("<svg"));
    first.links().clear();
}

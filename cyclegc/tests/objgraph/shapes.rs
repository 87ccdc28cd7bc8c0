//! Graphs of every shape.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use cyclegc::objgraph::{self, GraphBuilder, NodeInfo, ObjectGraph, SnapshotOptions};
use cyclegc::{AnyGc, Finalize, Gc, Generation, Trace, Tracer, Weak, WeakValueMap, into_dyn};

use super::{Node, chain, node, on_small_stack};

#[test]
fn an_empty_graph_answers_everything() {
    let graph = objgraph::snapshot();
    assert!(graph.is_empty() && graph.link_count() == 0 && graph.total_bytes() == 0);
    assert!(graph.typestats().most_common(10).is_empty());
    assert!(graph.cycles().groups.is_empty());
    assert!(graph.dominators().top().is_empty());
    assert_eq!(objgraph::count::<Node>(), 0);
    assert!(objgraph::leaking_objects().is_empty());
    assert!(objgraph::growth(5).rows.is_empty());
    assert!(objgraph::new_objects().ids.is_empty());
    let mut written = Vec::new();
    graph.write_heap_snapshot(&mut written).expect("a vector");
    objgraph::Explorer::new(&graph)
        .write(&mut written)
        .expect("a vector");
    assert!(objgraph::Drawing::default().svg().ends_with("</svg>\n"));
}

#[test]
fn weak_links_are_drawn_and_keep_nothing() {
    let (parent, child) = (node("parent"), node("child"));
    parent.children.borrow_mut().push(child.clone());
    child.parent.replace(Some(Gc::downgrade(&parent)));
    let graph = objgraph::snapshot();
    let (p, c) = (graph.find(&parent), graph.find(&child));
    let (p, c) = (p.expect("there"), c.expect("there"));
    assert_eq!((p.outside_count(), c.outside_count()), (1, 1));
    assert_eq!(p.referrers().filter(|link| link.is_weak()).count(), 1);
    assert!(
        graph.cycles().groups.is_empty(),
        "only a strong circle is one"
    );
    assert_eq!(graph.deep_size(c), c.size());
    let drawing = objgraph::show_refs(&child);
    assert!(
        drawing
            .dot()
            .contains("label=\".parent\",weight=2,style=dotted")
    );
    assert!(drawing.svg().contains("class=\"a w\""));
    drop(parent);
    let graph = objgraph::snapshot();
    assert_eq!(
        graph.find(&child).expect("there").links().len(),
        0,
        "the parent is dead"
    );
}

#[test]
fn weak_maps_name_their_values_by_key() {
    let value = node("value");
    let mut map = WeakValueMap::new();
    map.insert("key", &value);
    let map = Gc::new(map);
    let graph = objgraph::snapshot();
    let links: Vec<_> = graph.find(&map).expect("there").links().collect();
    assert_eq!(links.len(), 1);
    assert!(links[0].is_weak());
    assert_eq!(links[0].name(), "[\"key\"]");
}

#[test]
fn cells_of_weak_references_are_no_objects_of_the_graph() {
    let value = node("value");
    let holder = Gc::new(RefCell::new(Weak::with_callback(&value, || ())));
    let graph = objgraph::snapshot();
    assert_eq!(graph.len(), 2);
    assert_eq!(graph.find(&holder).expect("there").links().len(), 1);
}

trait Shape: Trace {
    fn area(&self) -> f64;
}

#[derive(Trace)]
struct Square(f64, Option<Gc<str>>);

impl Shape for Square {
    fn area(&self) -> f64 {
        self.0 * self.0
    }
}

#[test]
fn unsized_objects_have_their_own_types_and_sizes() {
    let text: Gc<str> = "0123456789".into();
    let slice: Gc<[Gc<str>]> = [text.clone(), text.clone(), "x".into()].into();
    let shape: Gc<dyn Shape> = into_dyn!(Gc::new(Square(2.0, Some(text))) => dyn Shape);
    assert_eq!(shape.area(), 4.0);
    let graph = objgraph::snapshot();
    assert_eq!(objgraph::count::<str>(), 2);
    assert_eq!(objgraph::count::<[Gc<str>]>(), 1);
    let square = graph.find(&shape).expect("there");
    assert_eq!(square.short_type_name(), "Square", "not the trait's");
    assert_eq!(square.links().next().expect("one").name(), ".1");
    let slice_node = graph.find(&slice).expect("there");
    let names: Vec<_> = slice_node.links().map(|link| link.name()).collect();
    assert_eq!(names, ["[0]", "[1]", "[2]"]);
    assert_eq!(slice_node.size(), AnyGc::from(&slice).allocation_size());
    let text = slice_node.links().next().expect("one").target();
    assert_eq!((text.ref_count(), text.outside_count()), (3, 0));
}

#[test]
fn a_borrowed_cell_hides_its_links_and_says_so() {
    let (holder, inner) = (node("holder"), node("inner"));
    holder.children.borrow_mut().push(inner.clone());
    let borrowed = holder.children.borrow_mut();
    let graph = objgraph::snapshot();
    let h = graph.find(&holder).expect("there");
    assert!(h.hides_links());
    assert_eq!(h.links().len(), 0);
    let why = objgraph::why_alive(&inner);
    // The handle in the cell seems to be outside.
    assert_eq!((why.outside_count(), why.hiding_count), (1, 1));
    assert!(why.to_string().contains("A cell was borrowed"), "{why}");
    drop(borrowed);
    let why = objgraph::why_alive(&inner);
    assert_eq!((why.chain.steps[0].id, why.hiding_count), (h.id(), 0));
}

#[test]
fn objects_that_a_mut_borrow_may_reach_are_left_out() {
    let mut mine = Gc::new((Cell::new(1), RefCell::new(None::<Gc<Node>>)));
    let inner = node("inner");
    mine.1.replace(Some(inner.clone()));
    let reference = Gc::get_mut(&mut mine).expect("the only handle");
    let graph = objgraph::snapshot();
    assert_eq!(graph.len(), 1);
    assert_eq!(graph.find(&inner).expect("there").outside_count(), 2);
    reference.0.set(2);
}

#[test]
fn a_million_objects_in_a_row_need_no_stack() {
    // The same needs minutes without optimisation.
    const COUNT: usize = if cfg!(debug_assertions) {
        50_000
    } else {
        1_000_000
    };
    on_small_stack(|| {
        let first = chain(COUNT);
        let graph = objgraph::snapshot();
        assert_eq!(graph.len(), COUNT);
        let start = graph.find(&first).expect("there");
        let total = graph.total_bytes();
        assert_eq!(graph.deep_size(start), total);
        assert_eq!(graph.dominators().retained_size(start), total);
        assert!(graph.cycles().groups.is_empty());
        let is_last = |node: objgraph::Node<'_>| node.links().len() == 0;
        let way = graph.ref_chain(start, usize::MAX, is_last);
        assert_eq!(way.steps.len(), COUNT);
        let last = graph.by_id(way.steps[COUNT - 1].id).expect("there");
        assert_eq!(graph.why_alive(last).chain, way);
        assert_eq!(graph.asized(start, 3).size, total);
        // One more link makes it one circle.
        let end = objgraph::at(last.id()).and_then(|any| any.downcast::<Node>());
        end.expect("alive").left.replace(Some(first.clone()));
        let report = objgraph::cycles();
        assert_eq!(report.groups[0].circle.len(), COUNT);
        let mut written = Vec::new();
        graph.write_heap_snapshot(&mut written).expect("a vector");
        written.clear();
        objgraph::Explorer::new(&graph)
            .write(&mut written)
            .expect("a vector");
        first.left.take();
    });
}

#[test]
fn many_links_of_one_object_are_walked_once() {
    let leaf = Gc::new(1);
    let wide = Gc::new(vec![leaf; 200_000]);
    let graph = objgraph::snapshot();
    let start = graph.find(&wide).expect("there");
    assert_eq!(graph.asized(start, 1).refs.len(), 200_000);
    assert!(
        graph
            .draw_refs(&[start], &objgraph::DrawOptions::default())
            .box_count()
            < 10
    );
    assert_eq!(graph.node(1).outside_count(), 0);
}

struct Panics;

// SAFETY: it reports nothing.
unsafe impl Trace for Panics {
    fn trace(&self, _: &mut Tracer<'_>) {}
    fn trace_edges(&self, _: &mut cyclegc::EdgeTracer<'_>) {
        panic!("in trace_edges");
    }
}

#[test]
fn a_panic_in_trace_edges_comes_out_and_changes_no_count() {
    let bad = Gc::new(Panics);
    let list = Gc::new(vec![bad.clone()]);
    for _ in 0..2 {
        let caught = std::panic::catch_unwind(objgraph::snapshot);
        assert!(caught.is_err());
    }
    assert_eq!((Gc::ref_count(&bad), Gc::ref_count(&list)), (2, 1));
    drop((bad, list));
    assert!(objgraph::snapshot().is_empty());
}

#[derive(Trace)]
struct Door(Rc<RefCell<Vec<usize>>>, RefCell<Vec<AnyGc>>);

impl Finalize for Door {
    fn finalize(&self) {
        let graph = objgraph::snapshot();
        let doors = graph
            .nodes()
            .filter(|node| node.short_type_name() == "Door");
        self.0.borrow_mut().push(doors.count());
    }
}

#[test]
fn a_snapshot_from_a_finalizer_sees_what_is_still_intact() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    for _ in 0..2 {
        let door = Gc::new(Door(seen.clone(), RefCell::default()));
        door.1.borrow_mut().push((&door).into());
    }
    assert_eq!(cyclegc::collect().collected, 2);
    assert_eq!(*seen.borrow(), [2, 2]);
    assert_eq!(cyclegc::collect().collected, 0);
}

#[test]
fn a_snapshot_leaves_the_collector_alone() {
    let (a, b) = (node("a"), node("b"));
    a.left.replace(Some(b.clone()));
    b.left.replace(Some(a.clone()));
    let suspects = cyclegc::suspect_count();
    let graph = objgraph::snapshot();
    assert_eq!(cyclegc::suspect_count(), suspects);
    assert_eq!((Gc::ref_count(&a), Gc::weak_count(&a)), (2, 0));
    drop((a, b));
    // The graph holds nothing.
    assert_eq!(cyclegc::collect().collected, 2);
    assert_eq!(graph.len(), 2);
}

#[test]
fn ages_and_frozen_objects_are_told() {
    let (old, young) = (node("old"), node("young"));
    drop(old.clone());
    cyclegc::collect();
    let graph = objgraph::snapshot();
    let age = |gc| graph.find(gc).expect("there").generation();
    assert_eq!(age(&old), Some(Generation::Old));
    cyclegc::freeze();
    let later = node("later");
    let graph = objgraph::snapshot();
    let age = |gc| graph.find(gc).expect("there").generation();
    assert_eq!((age(&young), age(&later)), (None, Some(Generation::Young)));
    assert!(graph.find(&young).expect("there").is_tracked());
    cyclegc::unfreeze();
}

#[test]
fn numbers_are_never_used_twice() {
    let keep = node("keep");
    fn id(gc: &Gc<Node>) -> objgraph::ObjectId {
        objgraph::snapshot().find(gc).expect("there").id()
    }
    let first = id(&keep);
    let mut last = first;
    for _ in 0..50 {
        // Most likely at the address of the one before.
        let other = node("other");
        let now = id(&other);
        assert!(now > last);
        last = now;
    }
    assert_eq!(id(&keep), first);
    assert_eq!(objgraph::at(last), None);
}

#[test]
fn graphs_can_be_sent_and_built_by_hand() {
    let mut builder = GraphBuilder::new();
    let names: Vec<String> = (0..3).map(|index| format!("app::Type{index}")).collect();
    for name in &names {
        builder.node(NodeInfo::new(name, 10).ref_count(1));
    }
    builder.links_of(0);
    builder.link("[\"a\"]", 1);
    builder.link(".b", 2);
    let graph = builder.finish();
    let roots = std::thread::spawn(move || {
        let roots = graph.nodes().filter(|node| node.is_root());
        roots.map(|node| node.short_type_name()).collect::<Vec<_>>()
    });
    assert_eq!(roots.join().expect("it ends"), ["Type0"]);
}

#[test]
fn the_asking_handle_counts_only_inside_an_object() {
    let inner = node("inner");
    let outer = Gc::new(BTreeMap::from([("k", inner.clone())]));
    let count = |handle: &Gc<Node>| {
        let graph = SnapshotOptions::new().asked_with(handle).snapshot();
        graph.find(handle).expect("there").outside_count()
    };
    assert_eq!(count(&inner), 0, "`inner` itself is left out");
    assert_eq!(count(&outer["k"]), 1, "`inner` is another");
}

/// Says that it was asked for names.
struct Named(RefCell<Option<AnyGc>>, Rc<Cell<u32>>);

// SAFETY: the one handle is owned, and reported once.
unsafe impl Trace for Named {
    fn trace(&self, tracer: &mut Tracer<'_>) {
        tracer.value(&self.0);
    }
    fn trace_edges(&self, tracer: &mut cyclegc::EdgeTracer<'_>) {
        self.1.set(self.1.get() + 1);
        tracer.field("me", &self.0);
    }
}

#[test]
fn a_collection_asks_for_no_names() {
    let asked = Rc::new(Cell::new(0));
    let named = Gc::new(Named(RefCell::default(), asked.clone()));
    named.0.replace(Some((&named).into()));
    let _ = objgraph::typestats();
    drop(named.clone());
    cyclegc::collect();
    assert_eq!(asked.get(), 0);
    assert_eq!(objgraph::snapshot().link_count(), 1);
    assert_eq!(asked.get(), 1);
    drop(named);
    assert_eq!(cyclegc::collect().collected, 1);
    assert_eq!(asked.get(), 1);
}

/// What is asked where objects were made is any code.
#[test]
fn who_is_asked_for_stacks_may_drop_what_is_in_the_graph() {
    let kept = RefCell::new(vec![chain(100)]);
    let drops = |_: usize| {
        kept.take();
        cyclegc::collect();
        Vec::new()
    };
    let graph = SnapshotOptions::new().stacks(&drops).snapshot();
    assert_eq!(graph.len(), 100);
    assert!(objgraph::snapshot().is_empty());
}

#[test]
fn who_is_asked_for_stacks_may_take_a_snapshot() {
    let first = Gc::new(vec![Gc::new(1)]);
    // So that it has a number that no later snapshot would give it.
    let _ = objgraph::snapshot();
    let inner = RefCell::new(None);
    let made = RefCell::new(None);
    let looks = |_: usize| {
        if made.borrow().is_none() {
            *made.borrow_mut() = Some(Gc::new(vec![Gc::new(2), Gc::new(3)]));
            *inner.borrow_mut() = Some(objgraph::snapshot());
        }
        Vec::new()
    };
    let outer = SnapshotOptions::new().stacks(&looks).snapshot();
    let (made, inner) = (made.take().unwrap(), inner.take().unwrap());
    let id = |graph: &ObjectGraph| graph.find(&first).unwrap().id();
    assert_eq!(id(&inner), id(&outer));
    assert_eq!(id(&objgraph::snapshot()), id(&outer));
    // Numbers of new objects are new.
    assert!(outer.by_id(inner.find(&made).unwrap().id()).is_none());
}

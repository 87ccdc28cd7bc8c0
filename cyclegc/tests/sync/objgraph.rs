//! Object graphs of what threads share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, OnceLock, RwLock};

use cyclegc::objgraph::{self, Explorer, Node as GraphNode, ObjectGraph};
use cyclegc::sync::objgraph::{SnapshotOptions, snapshot};
use cyclegc::sync::{self, AnyGc, AtomicGc, Gc, Weak};
use cyclegc::{DebugFlags, EdgeTracer, Finalize, Generation, Trace, Tracer, into_dyn};

use crate::support::{Life, Locked as _, Node, alone, join, ring};

/// A graph of what a handle reaches, and suspects.
fn graph_of<T: ?Sized>(gc: &Gc<T>) -> ObjectGraph {
    SnapshotOptions::new().root(gc).snapshot()
}

/// The names of a node's links, with what kind they are.
fn links(node: GraphNode<'_>) -> Vec<String> {
    let links = node.links();
    links
        .map(|link| format!("{}{link}", if link.is_weak() { "~" } else { "" }))
        .collect()
}

#[derive(Trace, Default)]
struct Everything {
    mutex: Mutex<Vec<Gc<u8>>>,
    rw_lock: RwLock<Option<Gc<u8>>>,
    once: OnceLock<Gc<u8>>,
    atomic: AtomicGc<u8>,
    any: Option<AnyGc>,
    map: BTreeMap<&'static str, Gc<str>>,
    weak: Mutex<Weak<u8>>,
    plain: (Option<Gc<u8>>, Option<Gc<[Gc<u8>]>>),
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
fn a_cell_that_a_thread_has_locked_hides_its_links() {
    let _alone = alone();
    let alive = Arc::default();
    let (holder, inner) = (Node::new(&alive), Node::new(&alive));
    holder.link(&inner);
    let (locked, done) = (Barrier::new(2), Barrier::new(2));
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let _guard = holder.links();
            locked.wait();
            done.wait();
        });
        locked.wait();
        let graph = graph_of(&holder);
        let node = graph.find(&holder).unwrap();
        assert!(node.hides_links() && node.links().len() == 0);
        let why = objgraph::why_alive(&inner);
        assert_eq!((why.chain.steps.len(), why.outside_count()), (1, 1));
        done.wait();
        join(vec![thread]);
    });
    let graph = graph_of(&holder);
    assert!(!graph.find(&holder).unwrap().hides_links());
    assert_eq!(graph.find(&inner).unwrap().outside_count(), 1);
    let cell = Gc::new(RwLock::new(inner.clone()));
    {
        let _read = cell.read().unwrap();
        assert_eq!(graph_of(&cell).find(&cell).unwrap().links().len(), 1);
    }
    let _write = cell.write().unwrap();
    assert!(graph_of(&cell).find(&cell).unwrap().hides_links());
}

#[test]
fn a_poisoned_cell_is_looked_into() {
    let _alone = alone();
    let alive = Arc::default();
    let holder = ring(&alive, 1);
    let again = holder.clone();
    let panics = move || {
        let _guard = again.links();
        std::panic::resume_unwind(Box::new("poison"));
    };
    assert!(std::thread::spawn(panics).join().is_err());
    assert_eq!(graph_of(&holder).link_count(), 1);
    holder.links().clear();
}

#[test]
fn an_object_that_a_mut_may_reach_is_not_looked_into() {
    let _alone = alone();
    let mut first = Gc::new((vec![Gc::new(1_u8)], 0));
    let _suspect = first.clone();
    drop(_suspect);
    let value = Gc::get_mut(&mut first).unwrap();
    let graph = snapshot();
    let hidden = graph.nodes().next().unwrap();
    assert!(graph.len() == 1 && hidden.hides_links());
    value.1 = 1;
    value.0.push(Gc::new(2));
    // The `&mut` has ended, as whoever borrows the handle knows.
    assert_eq!(graph_of(&first).find(&first).unwrap().links().len(), 2);
    let _value = Gc::get_mut(&mut first).unwrap();
    let holder = Gc::new(Mutex::new(first));
    assert_eq!(graph_of(&holder).len(), 4, "and as a cell shows");
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
fn threads_that_move_handles_meanwhile_break_nothing() {
    let alone = alone();
    let alive: Arc<AtomicUsize> = Arc::default();
    let stop = AtomicBool::new(false);
    let place = AtomicGc::new(ring(&alive, 3));
    let tables: Vec<_> = (0..4).map(|_| Node::new(&alive)).collect();
    let rounds = if cfg!(debug_assertions) { 50 } else { 1000 };
    std::thread::scope(|scope| {
        let mutate = |number: usize| {
            let (stop, alive, place, tables) = (&stop, &alive, &place, &tables);
            scope.spawn(move || {
                while !stop.load(SeqCst) {
                    let (from, to) = (&tables[number], &tables[(number + 1) % 4]);
                    let moved = from.links().pop();
                    to.links().extend(moved);
                    from.link(&ring(alive, 2));
                    place.store(ring(alive, 2));
                    if let Some(taken) = place.swap(None) {
                        to.link(&taken);
                    }
                    from.links().truncate(20);
                    to.links().truncate(20);
                    if sync::tracked_count() > 2000 {
                        sync::collect();
                    }
                    let mut mine = Node::new(alive);
                    if let Some(value) = Gc::get_mut(&mut mine) {
                        value.life.touch();
                    }
                }
            })
        };
        let threads = vec![mutate(0), mutate(1)];
        for round in 0..rounds {
            let graph = graph_of(&tables[round % 4]);
            let node = graph.find(&tables[round % 4]).unwrap();
            assert!(node.outside_count() > 0);
            // All links lead to nodes, whatever moved.
            assert!(
                graph
                    .nodes()
                    .all(|node| node.links().all(|l| l.target().size() > 0))
            );
            assert!(graph.dominators().top().len() <= graph.len());
        }
        stop.store(true, SeqCst);
        join(threads);
    });
    drop((tables, place));
    sync::collect();
    assert_eq!((alive.load(SeqCst), alone.tracked_count()), (0, 0));
    assert!(snapshot().is_empty());
}

#[test]
fn an_object_whose_last_handle_goes_under_the_eyes_of_a_snapshot_ends() {
    /// Drops a handle while a snapshot asks it for its edges.
    struct Lets(Arc<(Barrier, Barrier)>);

    // SAFETY: it holds no handles.
    unsafe impl Trace for Lets {
        fn trace(&self, _: &mut Tracer<'_>) {}
        fn trace_edges(&self, _: &mut EdgeTracer<'_>) {
            self.0.0.wait();
            self.0.1.wait();
        }
    }

    #[derive(Trace)]
    struct Holder(Lets, #[trace(skip)] Life);

    let alone = alone();
    let alive: Arc<AtomicUsize> = Arc::default();
    let barriers = Arc::new((Barrier::new(2), Barrier::new(2)));
    let holder = Gc::new(Holder(Lets(barriers.clone()), Life::new(&alive)));
    let other = holder.clone();
    let dropper = std::thread::spawn(move || {
        barriers.0.wait();
        other.1.touch();
        drop((holder, other));
        barriers.1.wait();
    });
    assert_eq!(snapshot().len(), 1, "it is a suspect");
    dropper.join().unwrap();
    assert_eq!((alive.load(SeqCst), alone.tracked_count()), (0, 0));
}

#[test]
fn who_makes_objects_faster_than_a_snapshot_looks_is_not_chased() {
    /// A chain that a thread makes longer whenever its end is looked at.
    struct Growing(OnceLock<Gc<Growing>>, Arc<(Barrier, Barrier)>);

    // SAFETY: the handle is reported once, and does not leave.
    unsafe impl Trace for Growing {
        fn trace(&self, tracer: &mut Tracer<'_>) {
            tracer.value(&self.0);
        }
        fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
            if self.0.get().is_none() {
                self.1.0.wait();
                self.1.1.wait();
            }
            tracer.field("next", &self.0);
        }
    }

    let _alone = alone();
    let (barriers, stop) = (
        Arc::new((Barrier::new(2), Barrier::new(2))),
        AtomicBool::new(false),
    );
    let first = Gc::new(Growing(OnceLock::new(), barriers.clone()));
    std::thread::scope(|scope| {
        let grow = scope.spawn(|| {
            let mut end = first.clone();
            loop {
                barriers.0.wait();
                if stop.load(SeqCst) {
                    break;
                }
                for _ in 0..5000 {
                    let next = Gc::new(Growing(OnceLock::new(), barriers.clone()));
                    end.0.set(next.clone()).ok();
                    end = next;
                }
                barriers.1.wait();
            }
        });
        let graph = graph_of(&first);
        assert!((5000..200_000).contains(&graph.len()));
        assert!(graph.find(&first).unwrap().links().len() == 1);
        assert_eq!(graph.nodes().filter(|node| node.hides_links()).count(), 1);
        stop.store(true, SeqCst);
        barriers.0.wait();
        join(vec![grow]);
    });
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

struct Panics;

// SAFETY: it reports nothing.
unsafe impl Trace for Panics {
    fn trace(&self, _: &mut Tracer<'_>) {}
    fn trace_edges(&self, _: &mut EdgeTracer<'_>) {
        panic!("in trace_edges");
    }
}

#[test]
fn a_panic_in_trace_edges_is_reported_and_hides_the_links() {
    let _alone = alone();
    static TOLD: AtomicUsize = AtomicUsize::new(0);
    sync::set_unraisable_hook(Some(|unraisable| {
        TOLD.fetch_add(usize::from(unraisable.type_name.contains("Panics")), SeqCst);
    }));
    let seen = Arc::new(Mutex::new(None));
    let seen_hook = seen.clone();
    let hook_before = std::panic::take_hook();
    // The thread has the collector's lock.
    std::panic::set_hook(Box::new(move |_| {
        *seen_hook.locked() = Some(snapshot().len())
    }));
    let list = Gc::new((vec![Gc::new(1)], Gc::new(Panics)));
    let graph = graph_of(&list);
    std::panic::set_hook(hook_before);
    assert_eq!((graph.len(), *seen.locked()), (3, Some(0)));
    let bad = graph.find(&list.1).unwrap();
    assert!(bad.hides_links() && !graph.find(&list).unwrap().hides_links());
    assert_eq!(TOLD.load(SeqCst), 1);
    assert_eq!((Gc::ref_count(&list), Gc::ref_count(&list.1)), (1, 1));
    sync::set_unraisable_hook(None);
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
fn a_snapshot_from_a_finalizer_sees_what_is_still_intact() {
    #[derive(Trace)]
    struct Door(Arc<AtomicUsize>, Mutex<Option<Gc<Door>>>);

    impl Finalize for Door {
        fn finalize(&self) {
            let graph = self.1.locked().as_ref().map(graph_of);
            self.0
                .fetch_add(graph.map_or(0, |graph| graph.len()), SeqCst);
        }
    }

    let alone = alone();
    let seen: Arc<AtomicUsize> = Arc::default();
    let door = Gc::new(Door(seen.clone(), Mutex::default()));
    *door.1.locked() = Some(door.clone());
    drop(door);
    assert_eq!(sync::collect().collected, 1);
    assert_eq!((seen.load(SeqCst), alone.tracked_count()), (1, 0));
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

#[test]
fn a_displaced_handle_is_none_from_outside() {
    let _alone = alone();
    let byte = Gc::new(Mutex::new(1));
    let place = AtomicGc::new(byte.clone());
    place.store(None);
    let graph = graph_of(&byte);
    assert_eq!(graph.find(&byte).unwrap().outside_count(), 1);
}

//! Snapshots of the object graph, and what threads do meanwhile.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, OnceLock, RwLock};

use cyclegc::sync::objgraph::snapshot;
use cyclegc::sync::{self, AtomicGc, Gc};
use cyclegc::{EdgeTracer, Finalize, Trace, Tracer, objgraph};

use crate::objgraph::graph_of;
use crate::support::{Life, Locked as _, Node, alone, collect_all, join, ring};

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
fn threads_that_move_handles_meanwhile_break_nothing() {
    let alone = alone();
    let alive: Arc<AtomicUsize> = Arc::default();
    let place = AtomicGc::new(ring(&alive, 3));
    let tables: Vec<_> = (0..4).map(|_| Node::new(&alive)).collect();
    let rounds = if cfg!(debug_assertions) { 500 } else { 5000 };
    std::thread::scope(|scope| {
        let mutate = |number: usize| {
            let (alive, place, tables) = (&alive, &place, &tables);
            scope.spawn(move || {
                for _ in 0..rounds {
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
        let mut round = 0;
        while threads.iter().any(|thread| !thread.is_finished()) {
            round += 1;
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
        join(threads);
    });
    drop((tables, place));
    collect_all(&alive);
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
fn a_displaced_handle_is_none_from_outside() {
    let _alone = alone();
    let byte = Gc::new(Mutex::new(1));
    let place = AtomicGc::new(byte.clone());
    place.store(None);
    let outside_count = || graph_of(&byte).find(&byte).unwrap().outside_count();
    // A thread of an earlier test that is ending may hold it up for a moment.
    let is_seen = (0..1000).any(|_| {
        let is_one = outside_count() == 1;
        if !is_one {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        is_one
    });
    assert!(is_seen, "{} handles from outside", outside_count());
}

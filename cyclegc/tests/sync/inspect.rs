//! What can be asked about objects while threads use them: lists, edges, sizes.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock, RwLock, TryLockError};

use cyclegc::sync::{self, AnyGc, AtomicGc, Edge, Gc, Weak};
use cyclegc::{Generation, Trace, Tracer};

use crate::support::{Node, SetAtEnd, alone, collect_all, join, ring};

fn same(mut found: Vec<AnyGc>, mut expected: Vec<AnyGc>) -> bool {
    found.sort_by_key(AnyGc::address);
    expected.sort_by_key(AnyGc::address);
    found == expected
}

fn names(edges: Vec<Edge>) -> Vec<String> {
    edges.into_iter().map(|edge| edge.name).collect()
}

#[test]
fn what_is_shared_and_what_that_reaches_is_listed() {
    let _alone = alone();
    let alive = Arc::default();
    let (top, shared, below) = (Node::new(&alive), Node::new(&alive), Node::new(&alive));
    shared.links().push(below);
    assert!(sync::objects(None).is_empty());
    top.link(&shared);
    let below = AnyGc::from(&shared.links()[0]);
    // Nobody but this thread has `top`, and it only once.
    assert!(same(sync::objects(None), vec![(&shared).into(), below]));
    let again = AnyGc::from(&top);
    assert!(sync::objects(None).contains(&again));
}

#[test]
fn all_of_a_cycle_is_listed_however_often_it_was_collected() {
    let _alone = alone();
    let alive = Arc::default();
    let live = ring(&alive, 10);
    for _ in 0..4 {
        assert_eq!(sync::collect().collected, 0);
    }
    assert_eq!(sync::objects(None).len(), 10);
    let second = live.links()[0].clone();
    assert_eq!(sync::referrers(&second), [AnyGc::from(&live)]);
    drop((live, second));
    assert_eq!(sync::collect().collected, 10);
    assert!(sync::objects(None).is_empty());
}

#[test]
fn an_object_is_listed_in_its_generation() {
    let _alone = alone();
    let alive = Arc::default();
    let generations = |object: &Gc<Node>| {
        let object = AnyGc::from(object);
        let listed = Generation::ALL.map(|one| sync::objects(Some(one)).contains(&object));
        (object.generation(), listed)
    };
    let node = ring(&alive, 1);
    assert_eq!(
        generations(&node),
        (Some(Generation::Young), [true, false, false])
    );
    sync::collect_generation(Generation::Young);
    assert_eq!(
        generations(&node),
        (Some(Generation::Middle), [false, true, false])
    );
    sync::collect();
    assert_eq!(
        generations(&node),
        (Some(Generation::Old), [false, false, true])
    );
    sync::freeze();
    assert_eq!(generations(&node), (None, [false; 3]));
    // What a frozen object refers to may be listed.
    node.links().push(ring(&alive, 1));
    assert_eq!(sync::objects(None).len(), 1);
    sync::unfreeze();
    assert_eq!(sync::objects(None).len(), 2);
    assert_eq!(AnyGc::from(Gc::new(1)).generation(), None);
}

#[test]
fn a_value_that_may_be_borrowed_mutably_is_not_listed() {
    let _alone = alone();
    let mut list = Gc::new(vec![Gc::new(1)]);
    drop(list.clone());
    assert_eq!(sync::objects(None).len(), 1);
    let value = Gc::get_mut(&mut list).unwrap();
    assert!(sync::objects(None).is_empty());
    value.clear();
    drop(list.clone());
    assert_eq!(sync::objects(None).len(), 1);
}

#[test]
fn what_a_weak_handle_is_made_of_is_not_told() {
    #[derive(Trace)]
    struct Watcher(Mutex<Option<Weak<u8>>>);

    let alone = alone();
    let target = Gc::new(1);
    let watcher = Gc::new(Watcher(Mutex::default()));
    let weak = Weak::with_callback(&target, || ());
    *watcher.0.lock().unwrap() = Some(weak.clone());
    drop(watcher.clone());
    assert_eq!(alone.tracked_count(), 2);
    assert_eq!(sync::objects(None), [AnyGc::from(&watcher)]);
    assert!(sync::referents(&watcher).is_empty() && sync::edges(&watcher).is_empty());

    /// Whose edges have no names.
    struct Plain(Weak<u8>);
    // SAFETY: what is owned is asked once.
    unsafe impl Trace for Plain {
        fn trace(&self, tracer: &mut Tracer<'_>) {
            tracer.value(&self.0);
        }
    }
    let plain = Gc::new(Plain(weak));
    assert!(sync::referents(&plain).is_empty() && sync::edges(&plain).is_empty());
}

/// Has no names for its edges, and a lock that it knows how to take.
struct ByHand(Mutex<Vec<AnyGc>>);

// SAFETY: the handles are reported once, and leave only under the lock, which is kept.
unsafe impl Trace for ByHand {
    fn trace(&self, tracer: &mut Tracer<'_>) {
        if let Ok(guard) = self.0.try_lock() {
            // SAFETY: the guard borrows from `self` alone, and so is what it protects.
            unsafe { tracer.locked(guard) };
        }
    }
}

#[test]
fn edges_say_where_a_handle_is() {
    #[derive(Trace)]
    struct Places {
        plain: Gc<u8>,
        by_name: Mutex<BTreeMap<String, Gc<u8>>>,
        read: RwLock<Vec<AnyGc>>,
        once: OnceLock<Gc<u8>>,
        pointer: AtomicGc<u8>,
        weak: Weak<u8>,
    }

    let _alone = alone();
    let one = Gc::new(1);
    let places = Gc::new(Places {
        plain: one.clone(),
        by_name: Mutex::new(BTreeMap::from([("x".into(), one.clone())])),
        read: RwLock::new(vec![(&one).into(), (&one).into()]),
        once: OnceLock::from(one.clone()),
        pointer: AtomicGc::new(one.clone()),
        weak: Gc::downgrade(&one),
    });
    let edges = sync::edges(&places);
    assert!(edges.iter().all(|edge| edge.target == AnyGc::from(&one)));
    let expected = [
        ".plain",
        r#".by_name["x"]"#,
        ".read[0]",
        ".read[1]",
        ".once",
        ".pointer",
    ];
    assert_eq!(names(edges), expected);
    assert_eq!(sync::referents(&places).len(), 6);
    places.pointer.store(None);
    assert_eq!(sync::edges(&places).len(), 5);

    let by_hand = Gc::new(vec![ByHand(Mutex::new(vec![(&one).into(), (&one).into()]))]);
    assert_eq!(names(sync::edges(&by_hand)), ["[0]<0>", "[0]<1>"]);
    assert!(by_hand[0].0.try_lock().is_ok());
    // Each flavour hears of its own.
    let other = cyclegc::Gc::new((cyclegc::Gc::new(1), one.clone(), ByHand(Mutex::default())));
    assert_eq!(cyclegc::edges(&other)[0].name, ".0");
    assert_eq!(cyclegc::edges(&other).len(), 1);
}

#[test]
fn what_is_locked_is_not_seen() {
    let _alone = alone();
    let alive = Arc::default();
    let node = ring(&alive, 2);
    let small = sync::deep_size_of(Node::new(&alive));
    let guard = node.links();
    assert!(sync::edges(&node).is_empty() && sync::referents(&node).is_empty());
    assert!(sync::deep_size_of(&node) <= small);
    drop(guard);
    assert_eq!(names(sync::edges(&node)), [".links[0]"]);
}

#[cfg(feature = "parking_lot")]
#[test]
fn edges_behind_locks_of_parking_lot_are_seen() {
    let _alone = alone();
    let locks = Gc::new((
        parking_lot::Mutex::new(Gc::new(1)),
        parking_lot::RwLock::new(Gc::new(2)),
    ));
    assert_eq!(names(sync::edges(&locks)), [".0", ".1"]);
    let guard = locks.0.lock();
    assert_eq!(names(sync::edges(&locks)), [".1"]);
    drop(guard);
}

#[test]
fn a_deep_size_is_that_of_all_that_is_reached() {
    let _alone = alone();
    let alive = Arc::default();
    let one = sync::deep_size_of(ring(&alive, 1));
    let mut circle = ring(&alive, 1000);
    assert_eq!(sync::deep_size_of(&circle), 1000 * one);
    // A second handle counts once.
    let size = sync::deep_size_of(Gc::new((circle.clone(), circle.clone())));
    let pair = AnyGc::from(Gc::new((circle.clone(), circle.clone())));
    assert_eq!(size, 1000 * one + pair.allocation_size());
    drop(pair);
    // Nothing recurses.
    for _ in 0..100_000 {
        let next = Node::new(&alive);
        next.links().push(circle);
        circle = next;
    }
    assert!(sync::deep_size_of(&circle) > 100_000 * size_of::<Node>());
}

#[test]
fn a_panic_in_trace_passes_and_leaves_nothing_locked() {
    struct Bad(Mutex<Option<AnyGc>>);
    // SAFETY: the handle is reported once.
    unsafe impl Trace for Bad {
        fn trace(&self, tracer: &mut Tracer<'_>) {
            tracer.value(&self.0);
            std::panic::resume_unwind(Box::new("trace"));
        }
    }

    let _alone = alone();
    let bad = Gc::new(Bad(Mutex::default()));
    *bad.0.lock().unwrap() = Some((&bad).into());
    let throws = |ask: &dyn Fn() -> usize| catch_unwind(AssertUnwindSafe(ask)).is_err();
    assert!(throws(&|| sync::edges(&bad).len()));
    assert!(throws(&|| sync::referents(&bad).len()));
    assert!(throws(&|| sync::objects(None).len()));
    assert!(throws(&|| sync::deep_size_of(&bad)));
    assert_eq!(Gc::ref_count(&bad), 2);
    let taken = match bad.0.try_lock() {
        Ok(mut guard) => guard.take(),
        Err(TryLockError::Poisoned(guard)) => guard.into_inner().take(),
        Err(TryLockError::WouldBlock) => None,
    };
    assert!(taken.is_some());
}

#[test]
fn looking_at_objects_keeps_none_while_threads_use_them() {
    let alone = alone();
    let alive: Arc<AtomicUsize> = Arc::default();
    let done = AtomicBool::new(false);
    let place = AtomicGc::new(ring(&alive, 3));
    let rounds = if cfg!(debug_assertions) { 200 } else { 2000 };
    std::thread::scope(|scope| {
        let changes = scope.spawn(|| {
            let _end = SetAtEnd(&done);
            for _ in 0..rounds {
                let first = ring(&alive, 3);
                let second = first.links()[0].clone();
                place.store(first);
                // Opens the ring, and closes another one.
                let third = second.links().pop();
                second.link(&second);
                drop((second, third));
            }
        });
        let looks = scope.spawn(|| {
            while !done.load(SeqCst) {
                for object in sync::objects(None) {
                    assert!(object.is_tracked() && object.size() > 0);
                }
                if let Some(first) = place.load() {
                    assert!(sync::deep_size_of(&first) > 0);
                    for edge in sync::edges(&first) {
                        assert!(edge.name.starts_with(".links["));
                    }
                    for holder in sync::referrers(&first) {
                        holder.downcast::<Node>().unwrap().life.touch();
                    }
                }
            }
        });
        let collects = scope.spawn(|| {
            while !done.load(SeqCst) {
                sync::collect();
            }
        });
        join(vec![changes, looks, collects]);
    });
    drop(place);
    collect_all(&alive);
    assert_eq!((alive.load(SeqCst), alone.tracked_count()), (0, 0));
}

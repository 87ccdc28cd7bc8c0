//! What other collectors stumbled over: locks that are held, handles that move while they
//! are traced, objects made by destructors.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex};

use cyclegc::Trace;
use cyclegc::sync::{self, Gc};

use crate::support::{Life, Locked as _, Node, SetAtEnd, alone, join, ring};

#[test]
fn what_a_guard_protects_is_not_looked_into() {
    let _alone = alone();
    let alive = Arc::default();
    let first = ring(&alive, 2);
    let guard = first.links();
    drop(guard[0].clone());
    assert_eq!(sync::collect().collected, 0);
    drop(guard);
    drop(first);
    assert_eq!(sync::collect().collected, 2);
}

#[test]
fn a_mutex_that_is_never_unlocked_keeps_what_it_protects() {
    let _alone = alone();
    let alive = Arc::default();
    let first = ring(&alive, 2);
    let again = first.clone();
    #[allow(clippy::mem_forget, reason = "that is what is tested")]
    std::mem::forget(again.links());
    drop((first, again));
    assert_eq!(sync::collect().collected, 0);
    assert_eq!(alive.load(SeqCst), 2);
}

#[test]
fn a_poisoned_mutex_is_looked_into() {
    let _alone = alone();
    let alive = Arc::default();
    let first = ring(&alive, 2);
    let other = first.clone();
    let panics = move || {
        let _guard = other.links();
        std::panic::resume_unwind(Box::new("poison"));
    };
    assert!(std::thread::spawn(panics).join().is_err());
    assert!(first.links.is_poisoned());
    drop(first);
    assert_eq!(sync::collect().collected, 2);
}

#[test]
fn a_collection_while_unwinding_poisons_nothing() {
    struct Collects;
    impl Drop for Collects {
        fn drop(&mut self) {
            sync::collect();
        }
    }

    let _alone = alone();
    let alive = Arc::default();
    let live = ring(&alive, 2);
    drop(ring(&alive, 2));
    let unwind = std::panic::catch_unwind(|| {
        let _collects = Collects;
        std::panic::resume_unwind(Box::new("out"));
    });
    assert!(unwind.is_err() && !live.links.is_poisoned());
    assert_eq!(alive.load(SeqCst), 2);
}

/// Makes rings when it is dropped.
#[derive(Trace)]
#[trace(leaf)]
struct MakesMore {
    alive: Arc<AtomicUsize>,
    more: usize,
}

impl Drop for MakesMore {
    fn drop(&mut self) {
        for _ in 0..self.more {
            drop(ring(&self.alive, 2));
        }
    }
}

#[test]
fn destructors_that_make_objects_in_a_collection_lose_none() {
    #[derive(Trace)]
    struct Holds {
        more: MakesMore,
        me: Mutex<Option<Gc<Holds>>>,
    }

    let alone = alone();
    sync::enable();
    sync::set_threshold(1, 1, 1);
    let alive: Arc<AtomicUsize> = Arc::default();
    for _ in 0..10 {
        let more = MakesMore {
            alive: alive.clone(),
            more: 100,
        };
        let holds = Gc::new(Holds {
            more,
            me: Mutex::default(),
        });
        assert_eq!(holds.more.more, 100);
        *holds.me.locked() = Some(holds.clone());
    }
    sync::disable();
    sync::collect();
    sync::collect();
    assert_eq!((alive.load(SeqCst), alone.tracked_count()), (0, 0));
}

#[test]
fn handles_that_move_and_are_smuggled_while_threads_collect_stay_good() {
    let alone = alone();
    let alive = Arc::default();
    let stop = Arc::new(AtomicBool::new(false));
    // Two nodes that hold each other; one handle goes from the one's cell to the other's,
    // through the stack, and back, without being counted.
    let (a, b, ball) = (Node::new(&alive), Node::new(&alive), Node::new(&alive));
    ball.link(&a);
    a.link(&b);
    b.link(&a);
    a.link(&ball);
    drop(ball);
    std::thread::scope(|scope| {
        let collects = || {
            scope.spawn(|| {
                while !stop.load(SeqCst) {
                    sync::collect();
                }
            })
        };
        let threads = vec![collects(), collects()];
        let end = SetAtEnd(&stop);
        for _ in 0..if cfg!(debug_assertions) { 3000 } else { 30_000 } {
            for (from, to) in [(&a, &b), (&b, &a)] {
                let ball = from.links().pop();
                ball.as_ref().unwrap().life.touch();
                to.links().extend(ball);
            }
        }
        drop(end);
        join(threads);
    });
    assert_eq!(alive.load(SeqCst), 3);
    drop((a, b));
    sync::collect();
    assert_eq!((alive.load(SeqCst), alone.tracked_count()), (0, 0));
}

#[test]
fn garbage_of_a_thread_that_sleeps_forever_is_collected() {
    let _alone = alone();
    let alive: Arc<AtomicUsize> = Arc::default();
    let (made, done) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let thread = {
        let (alive, made, done) = (alive.clone(), made.clone(), done.clone());
        std::thread::spawn(move || {
            drop(ring(&alive, 2));
            made.wait();
            done.wait();
        })
    };
    made.wait();
    assert_eq!(sync::collect().collected, 2);
    done.wait();
    thread.join().unwrap();
}

#[test]
fn thread_locals_may_use_handles_while_a_thread_ends() {
    thread_local! {
        static LAST: std::cell::RefCell<Option<Gc<Node>>> = const { std::cell::RefCell::new(None) };
    }

    let alone = alone();
    let alive: Arc<AtomicUsize> = Arc::default();
    let other = alive.clone();
    std::thread::spawn(move || {
        LAST.set(Some(Node::new(&other)));
        drop(ring(&other, 2));
        LAST.with_borrow(|last| {
            let last = last.as_ref().unwrap();
            last.link(last);
        });
    })
    .join()
    .unwrap();
    assert_eq!(sync::collect().collected, 3);
    assert_eq!((alive.load(SeqCst), alone.tracked_count()), (0, 0));
}

#[test]
fn objects_that_last_destructors_drop_are_counted() {
    thread_local! {
        static LAST: std::cell::RefCell<Vec<Gc<Node>>> = const { std::cell::RefCell::new(Vec::new()) };
    }

    let alone = alone();
    let alive: Arc<AtomicUsize> = Arc::default();
    let other = alive.clone();
    std::thread::spawn(move || {
        // Touched before any object is made: its destructor runs last.
        LAST.with_borrow_mut(|last| last.extend((0..10).map(|_| Node::new(&other))));
    })
    .join()
    .unwrap();
    assert_eq!((alive.load(SeqCst), alone.tracked_count()), (0, 0));
}

#[test]
fn a_value_outlives_its_life_nowhere() {
    let _alone = alone();
    let alive = Arc::default();
    let life = Life::new(&alive);
    life.touch();
    drop(life);
    assert_eq!(alive.load(SeqCst), 0);
}

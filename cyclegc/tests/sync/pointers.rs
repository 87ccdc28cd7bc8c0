//! `AtomicGc`: threads that read, replace and exchange.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{self, TryRecvError};
use std::sync::{Arc, Mutex};
use std::thread;

use cyclegc::Trace;
use cyclegc::sync::{self, AtomicGc, Gc};

use crate::support::{Life, alone, collect_all, join};

#[derive(Trace)]
struct Link {
    #[trace(skip)]
    life: Life,
    next: AtomicGc<Link>,
}

fn link(alive: &Arc<AtomicUsize>, next: Option<Gc<Link>>) -> Gc<Link> {
    Gc::new(Link {
        life: Life::new(alive),
        next: AtomicGc::new(next),
    })
}

#[test]
fn a_cycle_through_a_pointer_is_collected() {
    let alone = alone();
    let alive = Arc::default();
    let a = link(&alive, None);
    let b = link(&alive, Some(a.clone()));
    a.next.store(b);
    assert_eq!(sync::collect().collected, 0);
    assert!(Gc::ptr_eq(&a.next.load().unwrap().next.load().unwrap(), &a));
    drop(a);
    assert_eq!(sync::collect().collected, 2);
    assert_eq!((alive.load(SeqCst), alone.tracked_count()), (0, 0));
}

#[test]
fn a_chain_is_built_and_taken_apart_by_threads() {
    let alone = alone();
    let alive: Arc<AtomicUsize> = Arc::default();
    let head = AtomicGc::new(None);
    let rounds = if cfg!(debug_assertions) { 300 } else { 3000 };
    std::thread::scope(|scope| {
        let run = || {
            scope.spawn(|| {
                for round in 0..rounds {
                    // Push, as a stack without a lock does.
                    let node = link(&alive, None);
                    loop {
                        let first = head.load();
                        node.next.store(first.clone());
                        if head.compare_exchange(first.as_ref(), node.clone()).is_ok() {
                            break;
                        }
                    }
                    // And pop.
                    while let Some(first) = head.load() {
                        first.life.touch();
                        let next = first.next.load();
                        if head.compare_exchange(Some(&first), next).is_ok() {
                            // Garbage that refers to itself.
                            first.next.store(first.clone());
                            break;
                        }
                    }
                    if round % 64 == 0 {
                        sync::collect();
                    }
                }
            })
        };
        join(vec![run(), run(), run()]);
    });
    head.store(None);
    collect_all(&alive);
    assert_eq!((alive.load(SeqCst), alone.tracked_count()), (0, 0));
}

static BY_READER: AtomicUsize = AtomicUsize::new(0);

/// Notices a reader that drops it; may hold its thread up.
#[derive(Trace)]
struct Watched {
    #[trace(skip)]
    _ends: Ends,
}

struct Ends(Option<(mpsc::Sender<()>, Mutex<mpsc::Receiver<()>>)>);

impl Drop for Ends {
    fn drop(&mut self) {
        let by_reader = thread::current().name() == Some("reader");
        BY_READER.fetch_add(by_reader.into(), SeqCst);
        if let Some((reached, go_on)) = &self.0 {
            reached.send(()).unwrap();
            let _ = go_on.lock().unwrap().recv();
        }
    }
}

#[test]
fn who_only_reads_runs_no_destructors() {
    let _alone = alone();
    let watched = || Gc::new(Watched { _ends: Ends(None) });
    let (reached, is_reached) = mpsc::channel();
    let (go, go_on) = mpsc::channel::<()>();
    let slow = Gc::new(Watched {
        _ends: Ends(Some((reached, Mutex::new(go_on)))),
    });
    let (place, other) = (AtomicGc::new(slow), AtomicGc::new(Gc::new(1)));
    let place_of_slow = &place;
    thread::scope(|scope| {
        // A thread of an earlier test that is ending may keep what was displaced for a moment.
        let (enough, is_enough) = mpsc::channel::<()>();
        let held_up = scope.spawn(move || {
            while let Err(TryRecvError::Empty) = is_enough.try_recv() {
                place_of_slow.store(watched());
            }
        });
        is_reached.recv().unwrap();
        drop(enough);
        let place = AtomicGc::new(watched());
        (0..10).for_each(|_| place.store(watched()));
        drop(go);
        join(vec![held_up]);
        let reader = thread::Builder::new().name("reader".to_owned());
        let read = || {
            for _ in 0..2000 {
                assert_eq!(other.load().as_deref(), Some(&1));
            }
        };
        join(vec![reader.spawn_scoped(scope, read).unwrap()]);
    });
    assert_eq!(BY_READER.load(SeqCst), 0);
}

#[test]
fn what_is_displaced_is_dropped_by_collections_at_the_latest() {
    let _alone = alone();
    let alive: Arc<AtomicUsize> = Arc::default();
    let place = AtomicGc::new(link(&alive, None));
    drop(place.swap(None));
    collect_all(&alive);
    assert_eq!(alive.load(SeqCst), 0);
    let one = link(&alive, None);
    assert!(place.compare_exchange(Some(&one), None).is_err());
    assert!(place.compare_exchange(None, one.clone()).unwrap().is_none());
    assert!(Gc::ptr_eq(&place.into_inner().unwrap(), &one));
}

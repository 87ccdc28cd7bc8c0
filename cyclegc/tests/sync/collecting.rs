//! What collections find, keep, count and tell; finalizers.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use cyclegc::sync::{self, AnyGc, Gc, Weak};
use cyclegc::{DebugFlags, Finalize, Generation, Phase, Trace, Tracer};

use crate::support::{Node, alone, ring};

#[test]
fn live_objects_stay_and_dead_ones_go() {
    let alone = alone();
    let alive = Arc::default();
    let live = ring(&alive, 10);
    drop(ring(&alive, 5));
    assert_eq!(sync::collect().collected, 5);
    assert_eq!(sync::collect().collected, 0);
    assert_eq!((alive.load(SeqCst), alone.tracked_count()), (10, 10));
    drop(live);
    assert_eq!(sync::collect().collected, 10);
    assert_eq!((alive.load(SeqCst), alone.tracked_count()), (0, 0));
}

#[test]
fn a_ring_of_objects_that_were_no_suspects_any_more_is_found() {
    let _alone = alone();
    let alive = Arc::default();
    // Seen with one handle each by two old collections, shared afterwards, then dead.
    let (a, b) = (Node::new(&alive), Node::new(&alive));
    drop((a.clone(), b.clone()));
    assert_eq!(sync::collect().collected, 0);
    assert_eq!(sync::suspect_count(), 2);
    assert_eq!(sync::collect().collected, 0);
    assert_eq!(sync::suspect_count(), 0);
    a.link(&b);
    b.link(&a);
    drop((a, b));
    assert_eq!(sync::collect().collected, 2);
}

/// A collection stops here, and goes on when it is told to.
struct Halt {
    reached: mpsc::Sender<()>,
    go_on: Mutex<mpsc::Receiver<()>>,
    links: Mutex<Vec<Gc<Node>>>,
}

// SAFETY: all edges are reported.
unsafe impl Trace for Halt {
    fn trace(&self, tracer: &mut Tracer<'_>) {
        tracer.value(&self.links);
        if self.reached.send(()).is_ok() {
            let _ = self.go_on.lock().unwrap().recv();
        }
    }
}

#[test]
fn a_ring_that_closes_while_a_collection_looks_is_found_by_a_later_one() {
    let alone = alone();
    let alive = Arc::default();
    let (reached, is_reached) = mpsc::channel();
    let (go, go_on) = mpsc::channel();
    // The collection looks at the suspects in this order, some at a time: at `y` before it
    // halts, at `x` after.
    let listed = || {
        let node = Node::new(&alive);
        drop(node.clone());
        node
    };
    let y = listed();
    let mut fillers: Vec<_> = std::iter::repeat_with(listed).take(40).collect();
    let halt = Gc::new(Halt {
        reached,
        go_on: Mutex::new(go_on),
        links: Mutex::default(),
    });
    drop(halt.clone());
    fillers.extend(std::iter::repeat_with(listed).take(40));
    let x = Node::new(&alive);
    let in_ring = x.clone();
    x.links().push(y);

    let collecting = thread::spawn(sync::collect);
    is_reached.recv().unwrap();
    x.links()[0].links().push(in_ring);
    drop(x);
    drop(is_reached);
    drop(go);
    assert_eq!(collecting.join().unwrap().collected, 0);
    assert_eq!(sync::collect().collected, 2);
    drop((fillers, halt));
    assert_eq!((alive.load(SeqCst), alone.tracked_count()), (0, 0));
}

#[test]
fn survivors_are_promoted_and_left_alone_by_younger_collections() {
    let _alone = alone();
    let alive = Arc::default();
    let ring = ring(&alive, 3);
    sync::collect_generation(Generation::Young);
    sync::collect_generation(Generation::Middle);
    drop(ring);
    assert_eq!(sync::collect_generation(Generation::Middle).collected, 0);
    assert_eq!(sync::collect().collected, 3);
}

#[test]
fn collections_happen_by_themselves() {
    let alone = alone();
    sync::enable();
    let alive = Arc::default();
    for _ in 0..20_000 {
        drop(ring(&alive, 2));
    }
    assert!(alone.tracked_count() < 2000, "{}", alone.tracked_count());
    sync::collect();
    assert_eq!(alone.tracked_count(), 0);
}

#[test]
fn a_background_thread_collects_for_the_others() {
    let alone = alone();
    sync::enable();
    let collector = sync::Collector::spawn().unwrap();
    assert!(sync::Collector::spawn().is_err());
    let alive = Arc::default();
    let this = std::thread::current().id();
    let here = Arc::new(AtomicUsize::new(0));
    let seen = here.clone();
    let id = sync::add_callback(move |_, _| {
        seen.fetch_add(usize::from(std::thread::current().id() == this), SeqCst);
    });
    let mut made = 0;
    while sync::stats()
        .iter()
        .map(|stats| stats.collected)
        .sum::<usize>()
        == 0
        || made < 5000
    {
        drop(ring(&alive, 2));
        made += 1;
    }
    drop(collector);
    assert_eq!(here.load(SeqCst), 0);
    assert!(sync::remove_callback(id));
    sync::collect();
    assert_eq!(alone.tracked_count(), 0);
    drop(sync::Collector::spawn().unwrap());
}

#[test]
fn frozen_objects_are_left_alone_until_they_thaw() {
    let _alone = alone();
    let alive = Arc::default();
    let frozen = ring(&alive, 4);
    sync::freeze();
    let outside = Node::new(&alive);
    outside.link(&outside);
    drop((frozen, outside));
    assert_eq!(sync::collect().collected, 1);
    sync::unfreeze();
    assert_eq!(sync::collect().collected, 4);
}

#[test]
fn a_background_thread_may_be_stopped_by_what_it_runs() {
    static COLLECTOR: Mutex<Option<sync::Collector>> = Mutex::new(None);
    static NEXT: Mutex<Option<std::io::ErrorKind>> = Mutex::new(None);

    #[derive(Trace)]
    struct Stops(Mutex<Option<AnyGc>>);
    impl Finalize for Stops {
        fn finalize(&self) {
            drop(COLLECTOR.lock().unwrap().take());
            *NEXT.lock().unwrap() = sync::Collector::spawn().err().map(|error| error.kind());
        }
    }

    let alone = alone();
    sync::enable();
    *COLLECTOR.lock().unwrap() = Some(sync::Collector::spawn().unwrap());
    let stops = Gc::new(Stops(Mutex::default()));
    *stops.0.lock().unwrap() = Some((&stops).into());
    drop(stops);
    let alive = Arc::default();
    while NEXT.lock().unwrap().is_none() {
        drop(ring(&alive, 2));
    }
    assert_eq!(
        *NEXT.lock().unwrap(),
        Some(std::io::ErrorKind::AlreadyExists)
    );
    let next = loop {
        match sync::Collector::spawn() {
            Ok(next) => break next,
            Err(_) => thread::yield_now(),
        }
    };
    let collections = || {
        sync::stats()
            .map(|stats| stats.collections)
            .iter()
            .sum::<usize>()
    };
    let before = collections();
    while collections() == before {
        drop(ring(&alive, 2));
    }
    drop(next);
    sync::collect();
    // The first one, which nobody waits for, tells what died there when its thread ends.
    while alone.tracked_count() != 0 {
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn what_died_while_it_was_old_or_frozen_does_not_keep_its_memory() {
    let _alone = alone();
    let alive = Arc::default();
    let shared = || {
        let nodes: Vec<_> = (0..10_000).map(|_| Node::new(&alive)).collect();
        drop(nodes.clone());
        nodes
    };
    let old = shared();
    sync::collect_generation(Generation::Young);
    sync::collect_generation(Generation::Middle);
    let frozen = shared();
    sync::freeze();
    drop((old, frozen));
    assert!(sync::suspect_count() >= 20_000);
    sync::collect_generation(Generation::Young);
    assert!(sync::suspect_count() < 1000, "{}", sync::suspect_count());
    sync::unfreeze();
}

#[test]
fn a_ring_with_a_frozen_object_that_was_not_counted_yet_is_found() {
    let _alone = alone();
    let alive = Arc::default();
    let (send, receive) = mpsc::channel();
    let (ended, end) = mpsc::channel::<()>();
    let other = {
        let alive = Arc::clone(&alive);
        // The first object is counted at once, the second when the thread ends.
        thread::spawn(move || {
            send.send([Node::new(&alive), Node::new(&alive)]).unwrap();
            let _ = end.recv();
        })
    };
    let [counted, frozen] = receive.recv().unwrap();
    sync::freeze();
    drop(counted);
    let young = Node::new(&alive);
    frozen.link(&young);
    young.links().push(frozen);
    drop(young);
    assert_eq!(sync::collect().collected, 0);
    assert_eq!(sync::collect().collected, 0);
    sync::unfreeze();
    assert_eq!(sync::collect().collected, 2);
    drop(ended);
    other.join().unwrap();
}

#[test]
fn callbacks_hear_of_each_collection() {
    let _alone = alone();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let told = heard.clone();
    let id = sync::add_callback(move |phase, info| {
        told.lock().unwrap().push((phase, info.generation));
        // A collection inside does nothing.
        assert_eq!(sync::collect().candidates, 0);
    });
    sync::collect_generation(Generation::Young);
    assert!(sync::remove_callback(id) && !sync::remove_callback(id));
    let young = Generation::Young;
    let expected = [(Phase::Start, young), (Phase::Stop, young)];
    assert_eq!(*heard.lock().unwrap(), expected);
}

#[test]
fn garbage_can_be_saved() {
    let _alone = alone();
    let alive = Arc::default();
    sync::set_debug(DebugFlags::SAVEALL);
    drop(ring(&alive, 3));
    assert_eq!(sync::collect().collected, 3);
    assert_eq!((sync::garbage().len(), alive.load(SeqCst)), (3, 3));
    sync::set_debug(DebugFlags::empty());
    drop(sync::take_garbage());
    assert_eq!(sync::collect().collected, 3);
    assert_eq!(alive.load(SeqCst), 0);
}

type Shelf = Arc<Mutex<Vec<Gc<Phoenix>>>>;

/// Puts itself on a shelf when it is finalized.
#[derive(Trace)]
struct Phoenix {
    me: Mutex<Option<Gc<Phoenix>>>,
    #[trace(skip)]
    shelf: Option<Shelf>,
    #[trace(skip)]
    finalized: Arc<AtomicUsize>,
}

impl Finalize for Phoenix {
    fn finalize(&self) {
        self.finalized.fetch_add(1, SeqCst);
        if let Some(shelf) = &self.shelf {
            let me = self.me.lock().unwrap().clone();
            shelf.lock().unwrap().extend(me);
        }
    }
}

fn phoenix(shelf: Option<&Shelf>, finalized: &Arc<AtomicUsize>) -> Gc<Phoenix> {
    let phoenix = Gc::new(Phoenix {
        me: Mutex::default(),
        shelf: shelf.cloned(),
        finalized: finalized.clone(),
    });
    *phoenix.me.lock().unwrap() = Some(phoenix.clone());
    phoenix
}

#[test]
fn a_finalizer_runs_once_and_may_resurrect() {
    let _alone = alone();
    let (shelf, finalized) = (Shelf::default(), Arc::default());
    drop(phoenix(None, &finalized));
    drop(phoenix(Some(&shelf), &finalized));
    assert_eq!(sync::collect().collected, 1);
    assert_eq!(
        (finalized.load(SeqCst), shelf.lock().unwrap().len()),
        (2, 1)
    );
    assert!(Gc::is_finalized(&shelf.lock().unwrap()[0]));
    shelf.lock().unwrap().clear();
    assert_eq!(sync::collect().collected, 1);
    assert_eq!(finalized.load(SeqCst), 2);
}

type Act = Box<dyn FnOnce() + Send>;

/// What two collections do to a ring at the same time; see the test below.
#[derive(Default)]
struct Script {
    finalized: Mutex<Vec<&'static str>>,
    traced_count: AtomicUsize,
    /// When `last` is traced for the fourth time.
    at_trace: Mutex<Option<Act>>,
    /// When the actor of this name is finalized.
    at_finalize: Mutex<Vec<(&'static str, Act)>>,
}

struct Actor {
    name: &'static str,
    script: Arc<Script>,
    links: Mutex<Vec<Gc<Actor>>>,
}

// SAFETY: all edges are reported.
unsafe impl Trace for Actor {
    fn trace(&self, tracer: &mut Tracer<'_>) {
        tracer.value(&self.links);
        if self.name == "last" {
            let before = self.script.traced_count.fetch_add(1, SeqCst);
            let act = self
                .script
                .at_trace
                .lock()
                .unwrap()
                .take_if(|_| before == 3);
            if let Some(act) = act {
                act();
            }
        }
    }

    fn finalizer() -> Option<fn(&Self)> {
        Some(Self::finalize)
    }
}

impl Finalize for Actor {
    fn finalize(&self) {
        self.script.finalized.lock().unwrap().push(self.name);
        let mut acts = self.script.at_finalize.lock().unwrap();
        let due: Vec<_> = acts
            .extract_if(.., |(name, _)| *name == self.name)
            .collect();
        drop(acts);
        due.into_iter().for_each(|(_, act)| act());
    }
}

fn actor(name: &'static str, script: &Arc<Script>, links: Vec<Gc<Actor>>) -> Gc<Actor> {
    Gc::new(Actor {
        name,
        script: script.clone(),
        links: Mutex::new(links),
    })
}

/// An actor that refers to itself.
fn selfish(name: &'static str, script: &Arc<Script>) -> Gc<Actor> {
    let actor = actor(name, script, Vec::new());
    actor.links.lock().unwrap().push(actor.clone());
    actor
}

#[test]
fn a_finalizer_runs_though_another_collection_looks_at_its_object() {
    let _alone = alone();
    let script: Arc<Script> = Arc::default();
    // `first` -> `middle` -> `last` -> `first`. Suspects come first: a collection hears
    // `first`, `between`, `middle`, `last`.
    let first = actor("first", &script, Vec::new());
    let last = actor("last", &script, vec![first.clone()]);
    let middle = actor("middle", &script, vec![last]);
    first.links.lock().unwrap().push(middle);
    let between = selfish("between", &script);

    let (under_proof, is_under_proof) = mpsc::channel();
    let (go, go_on) = mpsc::channel::<()>();
    let (over, is_over) = mpsc::channel::<()>();
    // That is the second collection's proof, with `middle` under verdict.
    *script.at_trace.lock().unwrap() = Some(Box::new(move || {
        under_proof.send(()).unwrap();
        let _ = go_on.recv();
    }));
    let (threads, in_finalizer) = (Arc::new(Mutex::new(Vec::new())), script.clone());
    let spawned = threads.clone();
    let begin_the_second = move || {
        drop(selfish("of the second", &in_finalizer));
        let mut spawned = spawned.lock().unwrap();
        spawned.push(thread::spawn(|| {
            sync::collect();
        }));
        is_under_proof.recv().unwrap();
        spawned.push(thread::spawn(move || {
            // The first collection asks for `middle` meanwhile.
            thread::sleep(Duration::from_millis(100));
            drop(go);
        }));
    };
    // The second collection hears this before `middle`, until the first is over.
    let wait_for_the_first = move || {
        let _ = is_over.recv();
    };
    script.at_finalize.lock().unwrap().extend([
        ("between", Box::new(begin_the_second) as Act),
        ("of the second", Box::new(wait_for_the_first)),
    ]);
    drop((first, between));
    sync::collect();
    drop(over);
    for thread in threads.lock().unwrap().drain(..) {
        thread.join().unwrap();
    }
    sync::collect();
    let mut finalized = script.finalized.lock().unwrap().clone();
    finalized.sort_unstable();
    assert_eq!(
        finalized,
        ["between", "first", "last", "middle", "of the second"]
    );
}

#[test]
fn a_finalizer_may_wait_for_what_lost_its_last_handle_to_the_collection() {
    /// Its last handle goes while it is looked at.
    struct Goes {
        signals: Mutex<Option<(mpsc::Sender<()>, mpsc::Receiver<()>)>>,
        _end: mpsc::Sender<()>,
    }
    // SAFETY: it holds no handles.
    unsafe impl Trace for Goes {
        fn trace(&self, _: &mut Tracer<'_>) {
            if let Some((is_looked_at, dropped)) = self.signals.lock().unwrap().take() {
                is_looked_at.send(()).unwrap();
                dropped.recv().unwrap();
            }
        }
    }
    #[derive(Trace)]
    struct Waits {
        itself: Mutex<Option<AnyGc>>,
        #[trace(skip)]
        end: Mutex<mpsc::Receiver<()>>,
        #[trace(skip)]
        heard: Arc<Mutex<Option<RecvTimeoutError>>>,
    }
    impl Finalize for Waits {
        fn finalize(&self) {
            let end = self.end.lock().unwrap();
            *self.heard.lock().unwrap() = end.recv_timeout(Duration::from_secs(60)).err();
        }
    }

    let _alone = alone();
    let (is_looked_at, looked_at) = mpsc::channel();
    let (is_dropped, dropped) = mpsc::channel();
    let (has_end, end) = mpsc::channel();
    let goes = Gc::new(Goes {
        signals: Mutex::new(Some((is_looked_at, dropped))),
        _end: has_end,
    });
    let heard = Arc::default();
    let waits = Gc::new(Waits {
        itself: Mutex::default(),
        end: Mutex::new(end),
        heard: Arc::clone(&heard),
    });
    *waits.itself.lock().unwrap() = Some((&waits).into());
    drop((goes.clone(), waits));
    let thread = thread::spawn(move || {
        looked_at.recv().unwrap();
        drop(goes);
        is_dropped.send(()).unwrap();
    });
    assert_eq!(sync::collect().collected, 1);
    thread.join().unwrap();
    let heard = *heard.lock().unwrap();
    assert_eq!(heard, Some(RecvTimeoutError::Disconnected));
}

#[test]
fn a_finalizer_may_wait_for_a_thread_that_collects() {
    #[derive(Trace)]
    struct Waits(Mutex<Option<AnyGc>>);
    impl Finalize for Waits {
        fn finalize(&self) {
            std::thread::spawn(sync::collect).join().unwrap();
        }
    }

    let _alone = alone();
    let waits = Gc::new(Waits(Mutex::default()));
    *waits.0.lock().unwrap() = Some((&waits).into());
    drop(waits);
    assert_eq!(sync::collect().collected, 1);
}

#[test]
fn weak_handles_see_a_resurrected_object_only_if_made_later() {
    let _alone = alone();
    let (shelf, finalized) = (Shelf::default(), Arc::default());
    let phoenix = phoenix(Some(&shelf), &finalized);
    let before = Gc::downgrade(&phoenix);
    drop(phoenix);
    assert_eq!(sync::collect().collected, 0);
    assert!(before.upgrade().is_none());
    let after: Weak<Phoenix> = Gc::downgrade(&shelf.lock().unwrap()[0]);
    assert!(after.upgrade().is_some());
    shelf.lock().unwrap().clear();
    // The phoenix; the weak handle's cell is alive.
    assert_eq!(sync::collect().collected, 1);
    assert!(after.upgrade().is_none());
}

#[test]
fn a_last_drop_runs_the_finalizer_while_weak_handles_work() {
    #[derive(Trace)]
    struct Looks(#[trace(skip)] Arc<Mutex<Option<Weak<Looks>>>>);
    impl Finalize for Looks {
        fn finalize(&self) {
            let weak = self.0.lock().unwrap();
            assert!(weak.as_ref().unwrap().upgrade().is_some());
        }
    }

    let _alone = alone();
    let place = Arc::default();
    let looks = Gc::new(Looks(Arc::clone(&place)));
    *place.lock().unwrap() = Some(Gc::downgrade(&looks));
    drop(looks);
    assert!(place.lock().unwrap().as_ref().unwrap().upgrade().is_none());
}

#[test]
fn the_memory_of_dead_suspects_is_given_back_without_a_collection() {
    let _alone = alone();
    for _ in 0..100_000 {
        let node = Gc::new(Mutex::new(None::<AnyGc>));
        drop(node.clone());
    }
    // Entries beyond that would be memory that nobody uses.
    assert!(sync::suspect_count() < 2000, "{}", sync::suspect_count());
}

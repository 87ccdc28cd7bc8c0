//! Counts of what threads share, how they change, and handles to what is counted.
//!
//! Every test asks about a type of its own: of others there may be leftovers of a thread that
//! is ending.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex};

use cyclegc::objgraph::{
    ClassSnapshot, Explorer, Growth, GrowthRow, NewRow, SummaryDiff, TypeCount,
};
use cyclegc::sync::objgraph::{
    ClassTracker, CollectorLog, GrowthTracker, NewObjects, SummaryTracker, at, at_ids, by_type,
    by_type_name, count, cycles, growth, leaking_objects, most_common_types, new_objects, snapshot,
    typestats,
};
use cyclegc::sync::{self, AnyGc, Gc};
use cyclegc::{Finalize, Generation, Trace};

use crate::objgraph::graph_of;
use crate::support::{Life, Locked as _, SetAtEnd, alone, join};

/// A node of a type that only one test has.
macro_rules! own_node {
    () => {
        #[derive(Trace, Default)]
        struct Own(Mutex<Vec<Gc<Own>>>);

        impl Own {
            /// In sight as long as it is kept.
            #[allow(dead_code, reason = "not all tests ask for it")]
            fn seen() -> [Gc<Own>; 2] {
                let own = Gc::new(Own::default());
                [own.clone(), own]
            }
        }
    };
}

fn is_of<T>(name: &str) -> bool {
    name == std::any::type_name::<T>()
}

fn grown<T>(growth: &Growth) -> Option<&GrowthRow> {
    growth.rows.iter().find(|row| is_of::<T>(&row.name))
}

fn new_of<T>(new: &NewObjects) -> Option<&NewRow> {
    new.rows.iter().find(|row| is_of::<T>(&row.name))
}

fn sorted(mut handles: Vec<AnyGc>) -> Vec<AnyGc> {
    handles.sort_by_key(AnyGc::address);
    handles
}

#[test]
fn what_is_in_sight_is_counted_and_given() {
    own_node!();
    let _alone = alone();
    let root = Gc::new(Own::default());
    let child = Gc::new(Own::default());
    let child_address = AnyGc::from(&child).address();
    assert_eq!(count::<Own>(), 1, "there were two handles for a moment");
    root.0.locked().push(child);
    let second = root.clone();
    assert_eq!(count::<Own>(), 2);
    let stats = typestats();
    let row = stats.get(std::any::type_name::<Own>());
    let size = AnyGc::from(&root).allocation_size();
    assert_eq!((row.count, row.bytes), (2, 2 * size));
    assert_eq!(
        stats.get("Own"),
        TypeCount {
            name: "Own".into(),
            ..row
        }
    );
    let most = most_common_types(usize::MAX);
    assert!(most.contains(&("Own".to_owned(), 2)), "{most:?}");
    let given = sorted(by_type::<Own>().into_iter().map(AnyGc::from).collect());
    let addresses = given.iter().map(AnyGc::address);
    let mut expected = [AnyGc::from(&root).address(), child_address];
    expected.sort_unstable();
    assert!(addresses.eq(expected));
    assert_eq!(sorted(by_type_name("Own")), given);
    assert!(by_type_name("Ow").is_empty());
    drop((second, given));
}

#[test]
fn an_object_with_one_handle_ever_is_out_of_sight() {
    own_node!();
    let _alone = alone();
    let root = Gc::new(Own::default());
    root.0.locked().push(Gc::new(Own::default()));
    assert_eq!(count::<Own>(), 0);
    let second = root.clone();
    assert_eq!(count::<Own>(), 2);
    drop(second);
    assert_eq!(count::<Own>(), 2, "for a while");
    for _ in 0..3 {
        sync::collect();
    }
    assert_eq!(count::<Own>(), 0);
}

#[test]
fn untracked_objects_are_counted_where_others_lead_to_them() {
    #[derive(Trace)]
    struct Leaf(u8);

    let _alone = alone();
    let list = Gc::new((0..3).map(Leaf).map(Gc::new).collect::<Vec<_>>());
    let ninth = Gc::new(Leaf(9));
    let _again = (list.clone(), ninth.clone());
    assert_eq!((count::<Leaf>(), by_type::<Leaf>().len()), (3, 3));
    assert!(by_type::<Leaf>().iter().all(|leaf| leaf.0 < 3));
    let text: Gc<[Gc<str>]> = ["a".into(), "b".into()].into();
    let _again = text.clone();
    assert_eq!(count::<[Gc<str>]>(), 1, "unsized ones, too");
}

#[test]
fn a_number_gives_its_object_until_that_ends() {
    own_node!();
    let _alone = alone();
    let [one, again] = Own::seen();
    let other = Own::seen();
    let id = |gc: &Gc<Own>| snapshot().find(gc).unwrap().id();
    let ids = [id(&one), id(&other[0])];
    assert_eq!(at(ids[0]), Some(AnyGc::from(&one)));
    let both = sorted(vec![(&one).into(), (&other[0]).into()]);
    assert_eq!(sorted(at_ids(&ids)), both);
    drop(both);
    drop((one, again));
    assert_eq!(at(ids[0]), None);
    assert_eq!(at_ids(&ids), [AnyGc::from(&other[0])]);
}

#[test]
fn what_no_object_refers_to_is_told_from_the_rest() {
    own_node!();
    let _alone = alone();
    let [outer, _again] = Own::seen();
    let inner = Gc::new(Own::default());
    outer.0.locked().push(inner.clone());
    let mut leaking = leaking_objects();
    leaking.retain(|object| is_of::<Own>(object.type_name()));
    assert_eq!(leaking, [AnyGc::from(&outer)]);
}

#[test]
fn cycles_are_told() {
    own_node!();
    let _alone = alone();
    let ring = Gc::new(Own::default());
    ring.0.locked().push(ring.clone());
    let ours = || {
        let mut groups = cycles().groups.into_iter();
        let ours = groups.find(|group| group.circle[0].type_name == "Own");
        ours.map(|group| group.is_garbage)
    };
    assert_eq!(ours(), Some(false));
    drop(ring);
    assert_eq!(ours(), Some(true));
    sync::collect();
    assert_eq!(ours(), None);
}

#[test]
fn growth_is_over_the_peak() {
    own_node!();
    let _alone = alone();
    let mut tracker = GrowthTracker::new();
    let mut all: Vec<_> = (0..5).map(|_| Own::seen()).collect();
    assert_eq!(grown::<Own>(&tracker.growth(99)).unwrap().delta, 5);
    all.truncate(1);
    assert!(grown::<Own>(&tracker.growth(99)).is_none());
    all.extend((0..6).map(|_| Own::seen()));
    let growth = tracker.growth(99);
    let row = grown::<Own>(&growth).unwrap();
    assert_eq!((row.total, row.delta), (7, 2));
}

#[test]
fn growth_collects_unless_told_not_to() {
    own_node!();
    let _alone = alone();
    let garbage = || {
        let own = Gc::new(Own::default());
        own.0.locked().push(own.clone());
    };
    garbage();
    assert!(grown::<Own>(&growth(99)).is_none());
    garbage();
    let mut tracker = GrowthTracker::new().without_collecting();
    assert_eq!(grown::<Own>(&tracker.growth(99)).unwrap().total, 1);
    sync::collect();
}

#[test]
fn new_objects_are_those_first_seen_since() {
    own_node!();
    let _alone = alone();
    let old = Own::seen();
    new_objects();
    let dies = Own::seen();
    new_objects();
    drop(dies);
    let new = [Own::seen(), Own::seen()];
    let hidden = Gc::new(Own::default());
    let found = new_objects();
    let row = new_of::<Own>(&found).unwrap();
    assert_eq!((row.old, row.current, row.new, row.delta()), (2, 3, 2, 1));
    let mut handles = found.handles();
    handles.retain(|object| is_of::<Own>(object.type_name()));
    assert_eq!(
        sorted(handles),
        sorted(new.each_ref().map(|own| (&own[0]).into()).into())
    );
    // It comes into sight now.
    let _again = hidden.clone();
    let found = new_objects();
    assert_eq!(new_of::<Own>(&found).unwrap().new, 1);
    assert!(found.handles().contains(&AnyGc::from(&hidden)));
    assert!(new_of::<Own>(&new_objects()).is_none());
    drop((old, new));
}

#[test]
fn threads_share_the_marks() {
    own_node!();
    const COUNT: usize = 50;

    let _alone = alone();
    growth(0);
    new_objects();
    let all: Vec<_> = (0..COUNT).map(|_| Own::seen()).collect();
    let start = Barrier::new(4);
    let (grew, appeared) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let ask = || {
            start.wait();
            let growth = growth(usize::MAX);
            let delta = grown::<Own>(&growth).map_or(0, |row| row.delta);
            grew.fetch_add(delta, SeqCst);
            let new = new_objects();
            appeared.fetch_add(new_of::<Own>(&new).map_or(0, |row| row.new), SeqCst);
        };
        join((0..4).map(|_| scope.spawn(ask)).collect());
    });
    // Each object is told to one of them.
    assert_eq!((grew.load(SeqCst), appeared.load(SeqCst)), (COUNT, COUNT));
    drop(all);
}

#[test]
fn trackers_see_what_comes_and_goes() {
    own_node!();
    let _alone = alone();
    let mut summary = SummaryTracker::new();
    let mut tracker = ClassTracker::new();
    tracker.track_class::<Own>();
    let mut all = Vec::new();
    for _ in 0..3 {
        all.push(Own::seen());
        tracker.create_snapshot("more");
    }
    let counts = |s: &ClassSnapshot| s.types[std::any::type_name::<Own>()].0;
    assert!(tracker.snapshots().iter().map(counts).eq([1, 2, 3]));
    assert_eq!(tracker.plot(5).to_string(), "Own  ▃▆█  1 .. 3\n");
    assert!(tracker.summary().to_string().contains("Own"));
    let change = |diff: SummaryDiff| {
        let row = diff.rows.into_iter().find(|row| is_of::<Own>(&row.name));
        row.map_or(0, |row| row.count)
    };
    assert_eq!(change(summary.diff()), 3);
    // The page takes these trackers.
    let log = CollectorLog::start();
    sync::collect();
    let mut page = Vec::new();
    let graph = graph_of(&all[0][0]);
    let explorer = Explorer::new(&graph).growth(&tracker).collector(&log);
    explorer.write(&mut page).unwrap();
    let page = String::from_utf8(page).unwrap();
    assert!(page.contains("\"growthTypes\":[\"Own\"]") && page.contains("[\"more\","));
    assert!(page.contains("\"pauses\":[["));
    drop(all);
    assert_eq!(change(summary.diff()), -3);
}

#[test]
fn a_log_hears_the_collections_of_all_threads_until_it_is_dropped() {
    let _alone = alone();
    let log = CollectorLog::start();
    sync::collect();
    let young = || {
        sync::collect_generation(Generation::Young);
    };
    std::thread::spawn(young).join().unwrap();
    let heard = log.pauses();
    let generations = heard.iter().map(|pause| pause.generation);
    assert!(generations.eq([Generation::Old, Generation::Young]));
    assert!(heard[0].at <= heard[1].at);
    assert_eq!((&log).into_iter().count(), 2);
    // Any thread may have it.
    std::thread::spawn(move || drop(log)).join().unwrap();
    let log = CollectorLog::start();
    sync::collect();
    assert_eq!(log.pauses().len(), 1);
}

#[test]
fn what_a_thread_has_locked_is_not_counted_and_no_growth_when_it_is_back() {
    #[derive(Trace, Default)]
    struct Inner(Mutex<u8>);
    #[derive(Trace, Default)]
    struct Holder(Mutex<Vec<Gc<Inner>>>);

    let _alone = alone();
    let holder = Gc::new(Holder::default());
    let _again = holder.clone();
    holder.0.locked().push(Gc::default());
    let mut tracker = GrowthTracker::new();
    assert_eq!(grown::<Inner>(&tracker.growth(99)).unwrap().delta, 1);
    let (locked, done) = (Barrier::new(2), Barrier::new(2));
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let _guard = holder.0.locked();
            locked.wait();
            done.wait();
        });
        locked.wait();
        assert_eq!((count::<Holder>(), count::<Inner>()), (1, 0));
        assert!(by_type::<Inner>().is_empty());
        assert!(grown::<Inner>(&tracker.growth(99)).is_none());
        done.wait();
        join(vec![thread]);
    });
    assert_eq!(count::<Inner>(), 1);
    assert!(grown::<Inner>(&tracker.growth(99)).is_none());
}

#[test]
fn no_handle_is_given_beside_a_mut() {
    own_node!();
    let _alone = alone();
    let mut own = Gc::new(Own::default());
    drop(own.clone());
    assert_eq!(by_type::<Own>().len(), 1);
    let value = Gc::get_mut(&mut own).unwrap();
    assert_eq!(count::<Own>(), 1);
    assert!(by_type::<Own>().is_empty());
    value.0 = Mutex::default();
}

#[test]
fn a_finalizer_asks_what_grew() {
    #[derive(Trace)]
    struct Asks(Mutex<Option<Gc<Asks>>>, Arc<AtomicUsize>);

    impl Finalize for Asks {
        fn finalize(&self) {
            growth(9);
            new_objects();
            self.1.fetch_add(1, SeqCst);
        }
    }

    let _alone = alone();
    let seen = Arc::default();
    let asks = Gc::new(Asks(Mutex::default(), Arc::clone(&seen)));
    *asks.0.locked() = Some(asks.clone());
    drop(asks);
    assert!(grown::<Asks>(&growth(9)).is_none());
    assert_eq!((seen.load(SeqCst), count::<Asks>()), (1, 0));
}

#[test]
fn handles_are_given_while_threads_let_go() {
    #[derive(Trace)]
    struct Short(#[trace(skip)] Life, Mutex<Option<Gc<Short>>>);

    let alone = alone();
    let alive: Arc<AtomicUsize> = Arc::default();
    let stop = AtomicBool::new(false);
    let new = || Gc::new(Short(Life::new(&alive), Mutex::default()));
    std::thread::scope(|scope| {
        let churn = || {
            while !stop.load(SeqCst) {
                let first = new();
                *first.1.locked() = Some(new());
                let again = first.clone();
                drop(first);
                again.0.touch();
            }
        };
        let threads = vec![scope.spawn(churn), scope.spawn(churn)];
        let rounds = if cfg!(debug_assertions) { 100 } else { 1000 };
        let stopped = SetAtEnd(&stop);
        for _ in 0..rounds {
            for given in by_type::<Short>() {
                given.0.touch();
                let below = given.1.locked().clone();
                below.iter().for_each(|short| short.0.touch());
            }
        }
        drop(stopped);
        join(threads);
    });
    sync::collect();
    assert_eq!((alive.load(SeqCst), alone.tracked_count()), (0, 0));
}

//! When collections run, and what they count.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use cyclegc::{
    AnyGc, Finalize, Gc, Generation, Phase, Thresholds, Trace, collect, collect_generation,
};

use crate::{List, collected};

#[test]
fn test_get_count() {
    collect();
    let (a, b, c) = cyclegc::count();
    let x = List::new();
    let (d, e, f) = cyclegc::count();
    assert_eq!((b, c), (0, 0));
    assert_eq!((e, f), (0, 0));
    assert_eq!((a, d), (0, 1));
    drop(x);
    assert_eq!(cyclegc::count(), (0, 0, 0));
}

#[test]
fn test_collect_generations() {
    collect();
    let x = List::new();
    let generation = || AnyGc::from(&x).generation();
    collect_generation(Generation::Young);
    assert_eq!(cyclegc::count(), (0, 1, 0));
    assert_eq!(generation(), Some(Generation::Middle));
    collect_generation(Generation::Middle);
    assert_eq!(cyclegc::count(), (0, 0, 1));
    assert_eq!(generation(), Some(Generation::Old));
    collect_generation(Generation::Old);
    assert_eq!(cyclegc::count(), (0, 0, 0));
    assert_eq!(generation(), Some(Generation::Old));
}

#[test]
fn test_get_stats() {
    let old = cyclegc::stats();
    collect_generation(Generation::Young);
    let new = cyclegc::stats();
    assert_eq!(new[0].collections, old[0].collections + 1);
    assert_eq!(new[1].collections, old[1].collections);
    assert_eq!(new[2].collections, old[2].collections);
    let list = List::new();
    list.append(&list);
    drop(list);
    collect();
    let newest = cyclegc::stats();
    assert_eq!(newest[2].collections, old[2].collections + 1);
    assert_eq!(newest[2].collected, old[2].collected + 1);
    assert_eq!(newest[2].uncollectable, 0);
}

#[test]
fn test_callbacks() {
    // What CPython's GCCallbackTests record.
    let visits = Rc::new(RefCell::new(Vec::new()));
    let seen = visits.clone();
    let id = cyclegc::add_callback(move |phase, info| {
        seen.borrow_mut()
            .push((phase, info.generation, info.stats.collected));
    });
    collect_generation(Generation::Young);
    let list = List::new();
    list.append(&list);
    drop(list);
    collect();
    assert_eq!(
        *visits.borrow(),
        [
            (Phase::Start, Generation::Young, 0),
            (Phase::Stop, Generation::Young, 0),
            (Phase::Start, Generation::Old, 0),
            (Phase::Stop, Generation::Old, 1),
        ]
    );
    assert!(cyclegc::remove_callback(id));
    assert!(!cyclegc::remove_callback(id));
    collect();
    assert_eq!(visits.borrow().len(), 4);
}

#[test]
fn test_collect_is_not_reentrant() {
    #[derive(Trace)]
    struct Nested(RefCell<Option<Gc<Nested>>>, Rc<Cell<Option<usize>>>);
    impl Finalize for Nested {
        fn finalize(&self) {
            let stats = collect();
            assert_eq!(stats, cyclegc::CollectStats::default());
            self.1.set(Some(stats.collected));
        }
    }
    let seen = Rc::new(Cell::new(None));
    let nested = Gc::new(Nested(RefCell::default(), seen.clone()));
    nested.0.replace(Some(nested.clone()));
    drop(nested);
    assert_eq!(collected(), 1);
    assert_eq!(seen.get(), Some(0));
}

#[test]
fn test_gc_thresholds_and_the_young_trigger() {
    assert_eq!(cyclegc::threshold(), Thresholds::new(700, 10, 10));
    let before = cyclegc::stats();
    let kept: Vec<Gc<List>> = (0..700).map(|_| List::new()).collect();
    assert_eq!(cyclegc::stats()[0].collections, before[0].collections);
    let last = List::new();
    assert_eq!(cyclegc::stats()[0].collections, before[0].collections + 1);
    assert_eq!(cyclegc::count(), (0, 1, 0));
    drop((kept, last));
}

#[test]
fn test_disabled_and_zero_threshold_do_not_collect() {
    collect();
    let before = cyclegc::stats();
    cyclegc::disable();
    let a: Vec<Gc<List>> = (0..2000).map(|_| List::new()).collect();
    cyclegc::enable();
    cyclegc::set_threshold(0, 10, 10);
    let b: Vec<Gc<List>> = (0..2000).map(|_| List::new()).collect();
    assert_eq!(cyclegc::stats(), before);
    cyclegc::set_threshold(700, 10, 10);
    let c = List::new();
    assert_eq!(cyclegc::stats()[0].collections, before[0].collections + 1);
    drop((a, b, c));
}

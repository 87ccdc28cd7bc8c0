//! CPython's `Lib/test/test_finalization.py`, case by case.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use cyclegc::{Finalize, Gc, Trace, Weak, collect};

/// What the finalizer of an object does besides counting.
#[derive(Clone, Copy, PartialEq, Trace)]
enum Act {
    Simple,
    /// Adds itself to the survivors.
    Resurrect,
    /// Breaks the cycle.
    Suicide,
}

/// CPython's `SimpleBase` and its mixins.
#[derive(Trace)]
struct Object {
    id: usize,
    act: Act,
    /// For objects in no cycle, as `self` is for CPython's.
    me: Weak<Object>,
    left: RefCell<Option<Gc<Object>>>,
    right: RefCell<Option<Gc<Object>>>,
    #[trace(skip)]
    test: Rc<Test>,
}

#[derive(Default)]
struct Test {
    del_calls: RefCell<Vec<usize>>,
    survivors: RefCell<Vec<Gc<Object>>>,
    next: Cell<usize>,
}

impl Finalize for Object {
    fn finalize(&self) {
        self.test.del_calls.borrow_mut().push(self.id);
        // The rest of the chain is intact.
        for neighbour in [&self.left, &self.right] {
            if let Some(neighbour) = &*neighbour.borrow() {
                assert!(Gc::ref_count(neighbour) >= 1);
            }
        }
        match self.act {
            Act::Simple => {}
            Act::Resurrect => {
                let me = self.me.upgrade().or_else(|| {
                    let left = self.left.borrow().clone()?;
                    if left.id == self.id {
                        return Some(left);
                    }
                    left.right.borrow().clone()
                });
                self.test
                    .survivors
                    .borrow_mut()
                    .push(me.expect("a handle to itself"));
            }
            Act::Suicide => {
                drop(self.left.take());
                drop(self.right.take());
            }
        }
    }
}

impl Test {
    fn new() -> Rc<Test> {
        collect();
        Rc::default()
    }

    fn object(self: &Rc<Test>, act: Act) -> Gc<Object> {
        let id = self.next.replace(self.next.get() + 1);
        Gc::new_cyclic(|me| Object {
            id,
            act,
            me: me.clone(),
            left: RefCell::default(),
            right: RefCell::default(),
            test: self.clone(),
        })
    }

    /// `SelfCycleBase`: the object refers to itself.
    fn self_cycle(self: &Rc<Test>, act: Act) -> Gc<Object> {
        let object = self.object(act);
        object.left.replace(Some(object.clone()));
        object
    }

    /// `CycleChainBase.build_chain`: a ring that is linked both ways.
    fn chain(self: &Rc<Test>, acts: &[Act]) -> Vec<Gc<Object>> {
        let nodes: Vec<Gc<Object>> = acts.iter().map(|act| self.object(*act)).collect();
        for (index, node) in nodes.iter().enumerate() {
            let right = &nodes[(index + 1) % nodes.len()];
            node.right.replace(Some(right.clone()));
            right.left.replace(Some(node.clone()));
        }
        nodes
    }

    fn calls(&self) -> Vec<usize> {
        let mut calls = self.del_calls.take();
        calls.sort_unstable();
        calls
    }

    fn survivors(&self) -> Vec<usize> {
        let mut ids: Vec<usize> = self.survivors.borrow().iter().map(|s| s.id).collect();
        ids.sort_unstable();
        ids
    }
}

fn weak(objects: &[Gc<Object>]) -> Vec<Weak<Object>> {
    objects.iter().map(Gc::downgrade).collect()
}

fn ids(range: std::ops::Range<usize>) -> Vec<usize> {
    range.collect()
}

// SimpleFinalizationTest

#[test]
fn test_simple() {
    let test = Test::new();
    let object = test.object(Act::Simple);
    let wr = Gc::downgrade(&object);
    drop(object);
    assert_eq!(test.calls(), [0]);
    assert!(wr.upgrade().is_none());
    collect();
    assert_eq!((test.calls(), cyclegc::tracked_count()), (vec![], 0));
}

#[test]
fn test_simple_resurrect() {
    let test = Test::new();
    drop(test.object(Act::Resurrect));
    assert_eq!((test.calls(), test.survivors()), (vec![0], vec![0]));
    // Weak references to an object that dies by counting are cleared after
    // the finalizer: a resurrected object keeps them.
    assert!(test.survivors.borrow()[0].me.is_alive());
    drop(test.survivors.take());
    collect();
    // Not finalized a second time.
    assert_eq!((test.calls(), cyclegc::tracked_count()), (vec![], 0));
}

#[test]
fn test_non_gc() {
    // An untracked type is finalized as well.
    #[derive(Trace)]
    struct NonGc(Rc<Cell<usize>>);
    impl Finalize for NonGc {
        fn finalize(&self) {
            self.0.set(self.0.get() + 1);
        }
    }
    let calls = Rc::new(Cell::new(0));
    let object = Gc::new(NonGc(calls.clone()));
    assert!(!Gc::is_tracked(&object));
    drop(object);
    assert_eq!(calls.get(), 1);
}

// SelfCycleFinalizationTest

#[test]
fn test_self_cycle_simple() {
    let test = Test::new();
    let object = test.self_cycle(Act::Simple);
    let wr = Gc::downgrade(&object);
    drop(object);
    assert_eq!(collect().collected, 1);
    assert_eq!(test.calls(), [0]);
    assert!(wr.upgrade().is_none());
    assert_eq!(collect().collected, 0);
    assert_eq!(test.calls(), []);
}

#[test]
fn test_self_cycle_resurrect() {
    let test = Test::new();
    let object = test.self_cycle(Act::Resurrect);
    let wr = Gc::downgrade(&object);
    drop(object);
    assert_eq!(collect().collected, 0);
    assert_eq!((test.calls(), test.survivors()), (vec![0], vec![0]));
    // Cleared before the finalizer, and it stays so; new ones work.
    assert!(wr.upgrade().is_none());
    let again = Gc::downgrade(&test.survivors.borrow()[0]);
    assert!(again.is_alive());
    collect();
    assert_eq!(test.survivors(), [0]);
    drop(test.survivors.take());
    assert_eq!(collect().collected, 1);
    assert_eq!(test.calls(), []);
    assert!(!again.is_alive() && !wr.is_alive());
}

#[test]
fn test_self_cycle_simple_suicide() {
    let test = Test::new();
    drop(test.self_cycle(Act::Suicide));
    // It dies by counting inside its finalizer: nothing is left to collect.
    assert_eq!(collect().collected, 0);
    assert_eq!(test.calls(), [0]);
    assert_eq!(cyclegc::tracked_count(), 0);
}

// CycleChainFinalizationTest

fn check_non_resurrecting_chain(acts: &[Act]) {
    let test = Test::new();
    let n = acts.len();
    let nodes = test.chain(acts);
    let wrs = weak(&nodes);
    drop(nodes);
    collect();
    assert_eq!(test.calls(), ids(0..n));
    assert!(wrs.iter().all(|wr| wr.upgrade().is_none()));
    assert_eq!(test.survivors(), []);
    collect();
    assert_eq!(test.calls(), []);
    assert_eq!(cyclegc::tracked_count(), 0);
}

fn check_resurrecting_chain(acts: &[Act]) {
    let test = Test::new();
    let n = acts.len();
    let nodes = test.chain(acts);
    let wrs = weak(&nodes);
    drop(nodes);
    collect();
    assert_eq!(test.calls(), ids(0..n));
    let resurrecting: Vec<usize> = (0..n).filter(|id| acts[*id] == Act::Resurrect).collect();
    assert_eq!(test.survivors(), resurrecting);
    assert!(wrs.iter().all(|wr| wr.upgrade().is_none()));
    // All members of the chain are reachable from the survivors.
    assert_eq!(cyclegc::tracked_count(), n);
    drop(test.survivors.take());
    collect();
    assert_eq!(test.calls(), []);
    assert_eq!(cyclegc::tracked_count(), 0);
}

#[test]
fn test_homogenous() {
    for n in [1, 2, 3, 5, 20] {
        check_non_resurrecting_chain(&vec![Act::Simple; n]);
    }
}

#[test]
fn test_homogenous_resurrect() {
    for n in [1, 2, 3, 5, 20] {
        check_resurrecting_chain(&vec![Act::Resurrect; n]);
    }
}

#[test]
fn test_homogenous_suicidal() {
    for n in [1, 2, 3, 5, 20] {
        check_non_resurrecting_chain(&vec![Act::Suicide; n]);
    }
}

#[test]
fn test_heterogenous_suicidal_one() {
    check_non_resurrecting_chain(&[Act::Suicide, Act::Simple, Act::Simple, Act::Simple]);
}

#[test]
fn test_heterogenous_suicidal_two() {
    check_non_resurrecting_chain(&[
        Act::Suicide,
        Act::Simple,
        Act::Simple,
        Act::Suicide,
        Act::Simple,
    ]);
}

#[test]
fn test_heterogenous_resurrect_one() {
    check_resurrecting_chain(&[Act::Resurrect, Act::Simple, Act::Simple]);
}

#[test]
fn test_heterogenous_resurrect_two() {
    check_resurrecting_chain(&[
        Act::Resurrect,
        Act::Simple,
        Act::Simple,
        Act::Resurrect,
        Act::Simple,
    ]);
}

#[test]
fn test_heterogenous_resurrect_three() {
    check_resurrecting_chain(&[
        Act::Resurrect,
        Act::Resurrect,
        Act::Simple,
        Act::Simple,
        Act::Resurrect,
    ]);
}

#[test]
fn only_the_resurrected_part_of_the_garbage_survives() {
    // Two cycles, and one that points into the first: only what the survivor
    // reaches lives on (CPython since 3.9).
    let test = Test::new();
    let saved = test.self_cycle(Act::Resurrect);
    let lost = test.self_cycle(Act::Simple);
    let pointing = test.self_cycle(Act::Simple);
    pointing.right.replace(Some(saved.clone()));
    drop((saved, lost, pointing));
    assert_eq!(collect().collected, 2);
    assert_eq!((test.calls(), test.survivors()), (vec![0, 1, 2], vec![0]));
    drop(test.survivors.take());
    assert_eq!(collect().collected, 1);
    assert_eq!(test.calls(), []);
}

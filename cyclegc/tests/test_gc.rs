//! CPython's `Lib/test/test_gc.py`, case by case, on `Gc` values.
//!
//! The counts are CPython 3.11's where the objects correspond: a `List` is a
//! list, an `Instance` an instance with its attributes.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use cyclegc::{
    AnyGc, DebugFlags, Finalize, Gc, Generation, Phase, Thresholds, Trace, Weak, collect,
    collect_generation,
};

/// A Python list.
#[derive(Trace, Default)]
struct List {
    items: RefCell<Vec<AnyGc>>,
}

impl List {
    fn new() -> Gc<List> {
        Gc::new(List::default())
    }

    fn append<T: ?Sized>(&self, item: &Gc<T>) {
        self.items.borrow_mut().push(item.into());
    }
}

/// A Python instance.
#[derive(Trace, Default)]
struct Instance {
    attributes: RefCell<BTreeMap<&'static str, AnyGc>>,
}

impl Instance {
    fn new() -> Gc<Instance> {
        Gc::new(Instance::default())
    }

    fn set<T: ?Sized>(&self, name: &'static str, value: &Gc<T>) {
        self.attributes.borrow_mut().insert(name, value.into());
    }
}

/// An instance of a class with `__del__`.
#[derive(Trace)]
struct WithDel {
    attributes: RefCell<BTreeMap<&'static str, AnyGc>>,
    calls: Rc<Cell<usize>>,
}

impl WithDel {
    fn new(calls: &Rc<Cell<usize>>) -> Gc<WithDel> {
        Gc::new(WithDel {
            attributes: RefCell::default(),
            calls: calls.clone(),
        })
    }
}

impl Finalize for WithDel {
    fn finalize(&self) {
        self.calls.set(self.calls.get() + 1);
    }
}

fn collected() -> usize {
    collect().collected
}

#[test]
fn test_list() {
    let list = List::new();
    list.append(&list);
    collect();
    drop(list);
    assert_eq!(collected(), 1);
}

#[test]
fn test_dict() {
    let dict = Gc::new(RefCell::new(BTreeMap::<u32, AnyGc>::new()));
    dict.borrow_mut().insert(1, (&dict).into());
    collect();
    drop(dict);
    assert_eq!(collected(), 1);
}

#[test]
fn test_tuple() {
    // A tuple cannot hold itself: the cycle goes through a list.
    let list = List::new();
    let tuple: Gc<(AnyGc,)> = Gc::new(((&list).into(),));
    list.append(&tuple);
    collect();
    drop(tuple);
    drop(list);
    assert_eq!(collected(), 2);
}

#[test]
fn test_instance() {
    let instance = Instance::new();
    instance.set("a", &instance);
    collect();
    drop(instance);
    assert_eq!(collected(), 1);
}

#[test]
fn test_method() {
    // A bound method refers to its instance, which refers to it.
    let instance = Instance::new();
    let method: Gc<(AnyGc, u8)> = Gc::new(((&instance).into(), 0));
    instance.set("init", &method);
    collect();
    drop((instance, method));
    assert_eq!(collected(), 2);
}

#[test]
fn test_legacy_finalizer() {
    // CPython puts the objects with a legacy `tp_del` into `gc.garbage`. Here
    // a finalizer never makes an object uncollectable, as since PEP 442.
    let calls = Rc::new(Cell::new(0));
    let with_del = WithDel::new(&calls);
    with_del
        .attributes
        .borrow_mut()
        .insert("a", (&with_del).into());
    let without = Instance::new();
    without.set("b", &without);
    collect();
    drop((with_del, without));
    let stats = collect();
    assert_eq!(
        (stats.collected, stats.uncollectable, calls.get()),
        (2, 0, 1)
    );
    assert!(cyclegc::garbage().is_empty());
}

#[test]
fn test_del() {
    // __del__ methods can trigger collection, make this to happen.
    struct Guard(Thresholds);
    impl Drop for Guard {
        fn drop(&mut self) {
            cyclegc::set_threshold(self.0.young, self.0.middle, self.0.old);
        }
    }
    #[derive(Trace)]
    struct A(Rc<Cell<usize>>);
    impl Finalize for A {
        fn finalize(&self) {
            // Allocates: with a threshold of 1 this starts a collection.
            drop(List::new());
            drop(List::new());
            self.0.set(self.0.get() + 1);
        }
    }
    let _guard = Guard(cyclegc::threshold());
    cyclegc::enable();
    cyclegc::set_threshold(1, 10, 10);
    let calls = Rc::new(Cell::new(0));
    let a = Gc::new(A(calls.clone()));
    drop(a);
    assert_eq!(calls.get(), 1);
}

#[test]
fn test_del_newclass() {
    let calls = Rc::new(Cell::new(0));
    let a = WithDel::new(&calls);
    drop(a);
    assert_eq!(calls.get(), 1);
}

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
fn test_trashcan() {
    // Deep chains whose destruction makes more garbage, while collections run.
    #[derive(Trace)]
    struct Ouch {
        calls: Rc<Cell<usize>>,
        inner: RefCell<Option<AnyGc>>,
    }
    impl Finalize for Ouch {
        fn finalize(&self) {
            self.calls.set(self.calls.get() + 1);
            if self.calls.get().is_multiple_of(17) {
                collect();
            }
        }
    }
    let calls = Rc::new(Cell::new(0));
    cyclegc::enable();
    const N: usize = 150;
    for _ in 0..2 {
        let mut outer: AnyGc = List::new().into();
        for _ in 0..N {
            let ouch = Gc::new(Ouch {
                calls: calls.clone(),
                inner: RefCell::new(Some(outer)),
            });
            let list = List::new();
            list.append(&ouch);
            outer = list.into();
        }
    }
    assert_eq!(calls.get(), 2 * N);
}

#[test]
fn test_boom() {
    // Two objects whose finalizers break the cycle and touch each other.
    #[derive(Trace)]
    struct Boom {
        other: RefCell<Option<Gc<Boom>>>,
        runs: Rc<Cell<usize>>,
    }
    impl Finalize for Boom {
        fn finalize(&self) {
            self.runs.set(self.runs.get() + 1);
            if let Some(other) = self.other.take() {
                drop(other.other.take());
            }
        }
    }
    let runs = Rc::new(Cell::new(0));
    let new = || {
        Gc::new(Boom {
            other: RefCell::default(),
            runs: runs.clone(),
        })
    };
    let (a, b) = (new(), new());
    a.other.replace(Some(b.clone()));
    b.other.replace(Some(a.clone()));
    collect();
    let live = cyclegc::tracked_count();
    drop((a, b));
    collect();
    assert_eq!(runs.get(), 2);
    assert_eq!(cyclegc::tracked_count(), live - 2);
    assert!(cyclegc::garbage().is_empty());
}

#[test]
fn test_boom_new() {
    // As `boom`, on a cycle of three whose finalizers all let go at once.
    #[derive(Trace)]
    struct Boom(RefCell<Vec<Gc<Boom>>>);
    impl Finalize for Boom {
        fn finalize(&self) {
            self.0.take();
        }
    }
    let nodes: Vec<Gc<Boom>> = (0..3).map(|_| Gc::new(Boom(RefCell::default()))).collect();
    for node in &nodes {
        node.0.borrow_mut().extend(nodes.iter().cloned());
    }
    drop(nodes);
    collect();
    assert_eq!(cyclegc::tracked_count(), 0);
}

#[test]
fn test_get_referents() {
    let (one, two) = (Gc::new(1), Gc::new(2));
    let any = |gc: &Gc<i32>| AnyGc::from(gc);
    let list = List::new();
    list.append(&one);
    list.append(&two);
    assert_eq!(cyclegc::referents(&list), [any(&one), any(&two)]);

    let tuple = Gc::new((two.clone(), one.clone()));
    assert_eq!(cyclegc::referents(&tuple), [any(&two), any(&one)]);

    let dict = Gc::new(BTreeMap::from([(5, one.clone())]));
    assert_eq!(cyclegc::referents(&dict), [any(&one)]);
    assert_eq!(cyclegc::referents(&one), []);
}

#[test]
fn test_is_tracked() {
    // Atomic built-in types are not tracked, containers are.
    assert!(!Gc::is_tracked(&Gc::new(1)));
    assert!(!Gc::is_tracked(&Gc::new(1.0)));
    assert!(!Gc::is_tracked(&Gc::new(true)));
    assert!(!Gc::is_tracked(&Gc::<str>::from("a")));
    assert!(!Gc::is_tracked(&Gc::new((1, "x"))));
    assert!(Gc::is_tracked(&List::new()));
    assert!(Gc::is_tracked(&Instance::new()));
    assert!(Gc::is_tracked(&Gc::<[AnyGc]>::from(vec![AnyGc::from(
        Gc::new(1)
    )])));
}

#[test]
fn test_is_finalized() {
    thread_local! {
        static STORAGE: RefCell<Vec<Gc<Lazarus>>> = const { RefCell::new(Vec::new()) };
    }
    #[derive(Trace)]
    struct Lazarus(Weak<Lazarus>);
    impl Finalize for Lazarus {
        fn finalize(&self) {
            let me = self.0.upgrade().expect("alive while it is finalized");
            STORAGE.with_borrow_mut(|storage| storage.push(me));
        }
    }
    assert!(!Gc::is_finalized(&Gc::new(3)));
    let lazarus = Gc::new_cyclic(|me| Lazarus(me.clone()));
    assert!(!Gc::is_finalized(&lazarus));
    drop(lazarus);
    let lazarus = STORAGE.with_borrow_mut(Vec::pop).expect("resurrected");
    assert!(Gc::is_finalized(&lazarus));
    // Its finalizer does not run again.
    drop(lazarus);
    assert!(STORAGE.with_borrow(Vec::is_empty));
}

#[test]
fn test_bug1055820b() {
    // Corresponds to temp2b.py in the bug report.
    thread_local! {
        static OUCH: RefCell<Vec<Option<()>>> = const { RefCell::new(Vec::new()) };
    }
    #[derive(Trace)]
    struct Loop {
        me: RefCell<Option<Gc<Loop>>>,
    }
    let new = || {
        let gc = Gc::new(Loop {
            me: RefCell::default(),
        });
        gc.me.replace(Some(gc.clone()));
        gc
    };
    let cs: Vec<Gc<Loop>> = (0..2).map(|_| new()).collect();
    let weaks: Rc<RefCell<Vec<Weak<Loop>>>> = Rc::default();
    for c in &cs {
        let seen = Rc::downgrade(&weaks);
        let weak = Weak::with_callback(c, move || {
            // All weak references to the trash are cleared before any
            // callback runs.
            for weak in seen.upgrade().iter().flat_map(|w| w.borrow().clone()) {
                OUCH.with_borrow_mut(|ouch| ouch.push(weak.upgrade().map(drop)));
            }
        });
        weaks.borrow_mut().push(weak);
    }
    drop(cs);
    collect();
    OUCH.with_borrow(|ouch| {
        assert_eq!(ouch.len(), 4);
        assert!(ouch.iter().all(Option::is_none));
    });
}

#[test]
fn test_bug1055820c() {
    // Corresponds to temp2c.py: a weak reference outside the trash, in an
    // older generation, to an object inside it.
    #[derive(Trace, Default)]
    struct C {
        me: RefCell<Option<Gc<C>>>,
        target: RefCell<Option<Gc<C>>>,
        weak: RefCell<Weak<C>>,
    }
    let called = Rc::new(Cell::new(0));
    let c0 = Gc::new(C::default());
    let c1 = Gc::new(C::default());
    c1.me.replace(Some(c1.clone()));
    c1.target.replace(Some(c0.clone()));
    collect();
    let c2 = Gc::new(C::default());
    let calls = called.clone();
    let seen = Gc::downgrade(&c0);
    c2.weak.replace(Weak::with_callback(&c0, move || {
        assert!(seen.upgrade().is_none());
        calls.set(calls.get() + 1);
    }));
    drop((c0, c1));
    assert_eq!(collected(), 2);
    // The reference was reachable, so its callback ran.
    assert_eq!(called.get(), 1);
    assert!(c2.weak.borrow().upgrade().is_none());
}

#[test]
fn test_bug1055820d() {
    // Corresponds to temp2d.py: the reference with the callback is trash too,
    // so the callback must not run.
    #[derive(Trace, Default)]
    struct D {
        me: RefCell<Option<Gc<D>>>,
        weak: RefCell<Weak<D>>,
    }
    let called = Rc::new(Cell::new(false));
    let a = Gc::new(D::default());
    let b = Gc::new(D::default());
    a.me.replace(Some(b.clone()));
    b.me.replace(Some(a.clone()));
    let tell = called.clone();
    a.weak
        .replace(Weak::with_callback(&b, move || tell.set(true)));
    drop((a, b));
    // The two, and the reference: CPython counts weakref objects as well.
    assert_eq!(collected(), 3);
    assert!(!called.get());
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
fn test_freeze() {
    let list = List::new();
    list.append(&list);
    cyclegc::freeze();
    assert_eq!(cyclegc::frozen_count(), 1);
    assert_eq!(cyclegc::count(), (0, 0, 0));
    drop(list);
    assert_eq!(collected(), 0);
    cyclegc::unfreeze();
    assert_eq!(cyclegc::frozen_count(), 0);
    assert_eq!(collected(), 1);
}

#[test]
fn test_get_objects() {
    collect();
    let list = List::new();
    list.append(&list);
    let me = AnyGc::from(&list);
    let listed = |generation| cyclegc::objects(Some(generation)).contains(&me);
    let where_is = || Generation::ALL.map(listed);
    assert_eq!(where_is(), [true, false, false]);
    collect_generation(Generation::Young);
    assert_eq!(where_is(), [false, true, false]);
    collect_generation(Generation::Middle);
    assert_eq!(where_is(), [false, false, true]);
    collect_generation(Generation::Old);
    assert_eq!(where_is(), [false, false, true]);
    assert!(cyclegc::objects(None).contains(&me));
    drop((list, me));
    collect();
}

#[test]
fn test_get_objects_arguments() {
    collect();
    let kept: Vec<Gc<List>> = (0..5).map(|_| List::new()).collect();
    let all = cyclegc::objects(None).len();
    let each: usize = Generation::ALL
        .iter()
        .map(|generation| cyclegc::objects(Some(*generation)).len())
        .sum();
    assert_eq!((all, each), (5, 5));
    assert!(Generation::try_from(1000).is_err());
    drop(kept);
}

#[test]
fn test_resurrection_only_happens_once_per_object() {
    #[derive(Trace)]
    struct A {
        me: RefCell<Option<Gc<A>>>,
        resurrected: Rc<Cell<usize>>,
        living: Rc<RefCell<Vec<Gc<A>>>>,
    }
    impl Finalize for A {
        fn finalize(&self) {
            self.resurrected.set(self.resurrected.get() + 1);
            let me = self.me.borrow().clone().expect("intact");
            self.living.borrow_mut().push(me);
        }
    }
    let resurrected = Rc::new(Cell::new(0));
    let living = Rc::new(RefCell::new(Vec::new()));
    let a = Gc::new(A {
        me: RefCell::default(),
        resurrected: resurrected.clone(),
        living: living.clone(),
    });
    a.me.replace(Some(a.clone()));
    drop(a);
    assert_eq!(collected(), 0);
    assert_eq!((resurrected.get(), living.borrow().len()), (1, 1));

    living.borrow_mut().clear();
    assert_eq!(collected(), 1);
    assert_eq!(resurrected.get(), 1);
    assert!(living.borrow().is_empty());
}

#[test]
fn test_resurrection_is_transitive() {
    #[derive(Trace)]
    struct Cargo(RefCell<Option<AnyGc>>);
    #[derive(Trace)]
    struct A {
        me: RefCell<Option<Gc<A>>>,
        cargo: Gc<Cargo>,
        living: Rc<RefCell<Vec<Gc<A>>>>,
    }
    impl Finalize for A {
        fn finalize(&self) {
            let me = self.me.borrow().clone().expect("intact");
            self.living.borrow_mut().push(me);
        }
    }
    let living = Rc::new(RefCell::new(Vec::new()));
    let cargo = Gc::new(Cargo(RefCell::default()));
    cargo.0.replace(Some((&cargo).into()));
    let address = Gc::as_ptr(&cargo);
    let a = Gc::new(A {
        me: RefCell::default(),
        cargo,
        living: living.clone(),
    });
    a.me.replace(Some(a.clone()));
    drop(a);
    assert_eq!(collected(), 0);
    let a = living.borrow_mut().pop().expect("resurrected");
    assert_eq!(Gc::as_ptr(&a.cargo), address);
    assert_eq!(Gc::ref_count(&a.cargo), 2);
    drop(a);
    assert_eq!(collected(), 2);
}

#[test]
fn test_resurrection_does_not_block_cleanup_of_other_objects() {
    // When a finalizer resurrects objects, stats were reporting them as having
    // been collected; and other trash in the same collection must go.
    const N: usize = 100;
    #[derive(Trace, Default)]
    struct A {
        me: RefCell<Option<Gc<A>>>,
    }
    #[derive(Trace)]
    struct Z {
        me: RefCell<Option<Gc<Z>>>,
        list: Rc<RefCell<Vec<Gc<Z>>>>,
    }
    impl Finalize for Z {
        fn finalize(&self) {
            let me = self.me.borrow().clone().expect("intact");
            self.list.borrow_mut().push(me);
        }
    }
    fn make_trash() {
        let a = Gc::new(A::default());
        a.me.replace(Some(a.clone()));
    }
    let list = Rc::new(RefCell::new(Vec::new()));
    let make_z = || {
        let z = Gc::new(Z {
            me: RefCell::default(),
            list: list.clone(),
        });
        z.me.replace(Some(z.clone()));
    };
    cyclegc::disable();
    collect();
    for _ in 0..N {
        make_trash();
    }
    assert_eq!(collected(), N);
    for _ in 0..N {
        make_trash();
    }
    make_z();
    assert_eq!(collected(), N);
    assert_eq!(list.borrow().len(), 1);
    list.borrow_mut().clear();
    for _ in 0..N {
        make_trash();
    }
    // Now the Z dies as well: it was finalized before.
    assert_eq!(collected(), N + 1);
    assert!(list.borrow().is_empty());
}

#[test]
fn test_saveall() {
    collect();
    assert!(cyclegc::garbage().is_empty());
    let list = List::new();
    list.append(&list);
    let id = AnyGc::from(&list).address();
    cyclegc::set_debug(DebugFlags::SAVEALL);
    drop(list);
    assert_eq!(collected(), 1);
    cyclegc::set_debug(DebugFlags::empty());
    let garbage = cyclegc::take_garbage();
    assert_eq!(garbage.len(), 1);
    assert_eq!(garbage[0].address(), id);
    drop(garbage);
    assert_eq!(collected(), 1);
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
fn test_gc_debug_leak_is_38() {
    assert_eq!(DebugFlags::LEAK, DebugFlags::from_bits_retain(38));
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

#[test]
fn debug_flags_print_what_cpython_prints() {
    if std::env::var_os("PRINT").is_some() {
        let list = List::new();
        list.append(&list);
        drop(list);
        cyclegc::set_debug(DebugFlags::STATS | DebugFlags::COLLECTABLE);
        collect();
        // The collection when the thread ends is not asked about.
        cyclegc::set_debug(DebugFlags::empty());
        return;
    }
    let this = std::env::current_exe().expect("a path");
    let output = std::process::Command::new(this)
        .args([
            "--exact",
            "debug_flags_print_what_cpython_prints",
            "--nocapture",
        ])
        .env("PRINT", "1")
        .output()
        .expect("it starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = errors.lines().filter(|l| l.starts_with("gc: ")).collect();
    assert_eq!(lines.len(), 5, "{errors}");
    assert_eq!(lines[0], "gc: collecting generation 2...");
    assert_eq!(lines[1], "gc: objects in each generation: 1 0 0");
    assert_eq!(lines[2], "gc: objects in permanent generation: 0");
    assert!(lines[3].starts_with("gc: collectable <test_gc::List at 0x"));
    assert!(lines[4].starts_with("gc: done, 1 unreachable, 0 uncollectable, "));
}

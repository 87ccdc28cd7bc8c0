//! Code of a user that runs in the middle of something may do anything again.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use cyclegc::intern::Interner;
use cyclegc::{
    AnyGc, Finalize, Gc, Trace, Tracer, Weak, collect, deep_size_of, edges, objects, referents,
};

#[derive(Trace, Default)]
struct Node {
    links: RefCell<Vec<AnyGc>>,
    _on_drop: Option<OnDrop>,
}

#[derive(Trace)]
#[trace(leaf)]
struct OnDrop(Box<dyn Fn()>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// A node that refers to itself.
fn cycle(on_drop: impl Fn() + 'static) -> Gc<Node> {
    let node = Gc::new(Node {
        links: RefCell::default(),
        _on_drop: Some(OnDrop(Box::new(on_drop))),
    });
    node.links.borrow_mut().push((&node).into());
    node
}

#[test]
fn a_destructor_in_a_collection_may_look_at_all_objects_and_collect() {
    let ran = Rc::new(Cell::new(0));
    let count = ran.clone();
    let one = cycle(move || {
        count.set(count.get() + 1);
        for object in objects(None) {
            let _ = (referents(&object), edges(&object), deep_size_of(&object));
        }
        assert_eq!(collect().candidates, 0);
        drop(cycle(|| {}));
        cyclegc::freeze();
        cyclegc::unfreeze();
    });
    let other = cycle(|| {});
    one.links.borrow_mut().push((&other).into());
    drop((one, other));
    assert_eq!(collect().collected, 2);
    assert_eq!(ran.get(), 1);
    assert_eq!(collect().collected, 1);
    assert_eq!(cyclegc::tracked_count(), 0);
}

thread_local! {
    static NAMES: Interner<Equal> = Interner::new();
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static INTERNED: RefCell<Vec<Gc<Equal>>> = const { RefCell::new(Vec::new()) };
}

/// All have one hash; comparing two interns more and drops what was interned.
struct Equal(u32);

// SAFETY: it holds no handles.
unsafe impl Trace for Equal {
    fn trace(&self, _: &mut Tracer<'_>) {}
}

impl std::hash::Hash for Equal {
    fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
}

impl PartialEq for Equal {
    fn eq(&self, other: &Equal) -> bool {
        let depth = DEPTH.get();
        if depth < 6 {
            DEPTH.set(depth + 1);
            drop(INTERNED.take());
            let more = NAMES.with(|names| names.intern(Equal(100 + depth)));
            INTERNED.with_borrow_mut(|kept| kept.push(more));
            collect();
        }
        self.0 == other.0
    }
}

impl Eq for Equal {}

#[test]
fn an_eq_may_use_the_interner_that_calls_it() {
    let one = NAMES.with(|names| names.intern(Equal(1)));
    let two = NAMES.with(|names| names.intern(Equal(2)));
    let again = NAMES.with(|names| names.intern(Equal(2)));
    assert_eq!(DEPTH.get(), 6);
    assert!(Gc::ptr_eq(&two, &again));
    assert_eq!((one.0, two.0), (1, 2));
    drop((one, two, again, INTERNED.take()));
    assert_eq!(NAMES.with(Interner::len), 0);
}

struct Panics(RefCell<Vec<AnyGc>>);

thread_local! {
    static PANICKING: Cell<bool> = const { Cell::new(false) };
    static KEPT: RefCell<Vec<Gc<Node>>> = const { RefCell::new(Vec::new()) };
}

// SAFETY: each handle is owned and reported once.
unsafe impl Trace for Panics {
    fn trace(&self, tracer: &mut Tracer<'_>) {
        tracer.value(&self.0);
        assert!(!PANICKING.get());
    }
}

fn take_candidates_apart() {
    let [mut third, second, first] = <[Gc<Node>; 3]>::try_from(KEPT.take()).ok().expect("three");
    assert!(Gc::try_unwrap(first).is_ok());
    drop(Weak::with_callback(&second, || {}));
    drop(second);
    assert!(Gc::get_mut(&mut third).is_none());
    drop(third.links.take());
    for object in objects(None) {
        let _ = object.size();
    }
    cyclegc::freeze();
    assert_eq!(collect().candidates, 0);
    KEPT.set(vec![third, cycle(|| {})]);
}

#[test]
fn a_panic_hook_may_take_candidates_apart() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if PANICKING.replace(false) {
            take_candidates_apart();
        } else {
            default(info);
        }
    }));
    let nodes: Vec<Gc<Node>> = (0..3).map(|_| Gc::new(Node::default())).collect();
    nodes[0].links.borrow_mut().push((&cycle(|| {})).into());
    for node in &nodes {
        drop(node.clone());
    }
    let panics = Gc::new(Panics(RefCell::default()));
    panics.0.borrow_mut().push((&panics).into());
    let weak = Gc::downgrade(&panics);
    KEPT.set(nodes);
    PANICKING.set(true);
    drop(panics);
    assert_eq!(collect().uncollectable, 1);
    drop(KEPT.take());
    collect();
    // Its edges are unknown: it is kept until they go.
    let panics = weak.upgrade().expect("kept");
    drop(panics.0.take());
    drop(panics);
    assert_eq!(cyclegc::tracked_count(), 0);
}

#[test]
fn the_closure_of_new_cyclic_may_collect_and_look_around() {
    thread_local! {
        static KNOWN: RefCell<Option<Weak<Node>>> = const { RefCell::new(None) };
    }
    let mut node = Gc::<Node>::new_cyclic(|weak| {
        KNOWN.set(Some(weak.clone()));
        for _ in 0..2000 {
            drop(cycle(|| {}));
        }
        collect();
        assert!(objects(None).is_empty());
        assert!(weak.upgrade().is_none());
        Node::default()
    });
    assert!(Gc::get_mut(&mut node).is_none(), "a weak handle exists");
    assert!(KNOWN.take().is_some_and(|weak| weak.is_alive()));
    assert!(Gc::get_mut(&mut node).is_some());
}

#[test]
fn an_iterator_that_panics_loses_what_it_made_only() {
    let made = catch_unwind(AssertUnwindSafe(|| {
        let values = (0..10).map(|n| {
            assert!(n < 5);
            cycle(|| {})
        });
        values.collect::<Gc<[Gc<Node>]>>()
    }));
    assert!(made.is_err());
    assert_eq!(collect().collected, 5);
}

#[derive(Trace)]
struct Exits {
    me: RefCell<Option<Gc<Exits>>>,
    neighbour: RefCell<Option<Gc<Node>>>,
}

impl Finalize for Exits {
    fn finalize(&self) {
        let neighbour = self.neighbour.take().expect("intact");
        KEPT.with_borrow_mut(|kept| kept.push(neighbour));
        std::process::exit(0);
    }
}

/// `exit` runs the destructors of thread-locals while a collection or a drop
/// is still on the stack.
fn exit_inside(what: &str) -> ! {
    let member = cycle(|| {});
    KEPT.with_borrow_mut(|kept| kept.push(member.clone()));
    let exits = Gc::new(Exits {
        me: RefCell::default(),
        neighbour: RefCell::new(Some(cycle(|| {}))),
    });
    match what {
        "destructor" => {
            let node = cycle(|| std::process::exit(0));
            node.links.borrow_mut().push((&member).into());
        }
        "finalizer" => drop(exits),
        "collected finalizer" => {
            *exits.me.borrow_mut() = Some(exits.clone());
            drop(exits);
        }
        _ => {
            cyclegc::add_callback(|_, _| std::process::exit(0));
            drop(member);
        }
    }
    collect();
    unreachable!("{what} did not exit");
}

#[test]
fn the_process_may_exit_in_the_middle() {
    if let Ok(what) = std::env::var("CYCLEGC_TEST_EXITS") {
        exit_inside(&what);
    }
    for what in ["destructor", "finalizer", "collected finalizer", "callback"] {
        let output = std::process::Command::new(std::env::current_exe().expect("a path"))
            .args(["--exact", "the_process_may_exit_in_the_middle"])
            .env("CYCLEGC_TEST_EXITS", what)
            // Cycles that other thread-locals hold leak.
            .env("ASAN_OPTIONS", "detect_leaks=0")
            .output()
            .expect("it starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{what}: {errors}");
    }
}

//! Panics in trace, finalizers, callbacks and destructors leave the collector
//! usable, free nothing twice, and lose at most that set.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use cyclegc::{
    AnyGc, Finalize, Gc, Trace, Tracer, UnraisablePlace, Weak, collect, set_unraisable_hook,
};

thread_local! {
    static CAUGHT: RefCell<Vec<UnraisablePlace>> = const { RefCell::new(Vec::new()) };
    /// What the panic hook, which is every thread's, does on this thread, once.
    static ON_PANIC: Cell<Option<fn()>> = const { Cell::new(None) };
}

fn record() {
    std::panic::set_hook(Box::new(|_| {
        if let Some(action) = ON_PANIC.take() {
            action();
        }
    }));
    set_unraisable_hook(Some(|caught| {
        CAUGHT.with_borrow_mut(|all| all.push(caught.place));
    }));
}

fn caught() -> Vec<UnraisablePlace> {
    CAUGHT.with_borrow_mut(std::mem::take)
}

#[derive(Trace)]
struct Node {
    links: RefCell<Vec<AnyGc>>,
    bomb: Option<Bomb>,
}

/// Panics when it is dropped, and counts.
#[derive(Trace)]
#[trace(leaf)]
struct Bomb {
    drops: Rc<Cell<usize>>,
    armed: bool,
}

impl Drop for Bomb {
    fn drop(&mut self) {
        self.drops.set(self.drops.get() + 1);
        assert!(!self.armed, "boom");
    }
}

fn node(drops: &Rc<Cell<usize>>, armed: bool) -> Gc<Node> {
    Gc::new(Node {
        links: RefCell::default(),
        bomb: Some(Bomb {
            drops: drops.clone(),
            armed,
        }),
    })
}

/// The collector still works.
fn assert_usable() {
    let drops = Rc::new(Cell::new(0));
    let a = node(&drops, false);
    a.links.borrow_mut().push((&a).into());
    drop(a);
    assert_eq!(collect().collected, 1);
    assert_eq!(drops.get(), 1);
}

#[test]
fn a_destructor_that_panics_in_a_collection() {
    record();
    let drops = Rc::new(Cell::new(0));
    let nodes: Vec<Gc<Node>> = (0..10).map(|i| node(&drops, i % 3 == 0)).collect();
    for node in &nodes {
        node.links
            .borrow_mut()
            .extend(nodes.iter().map(AnyGc::from));
    }
    drop(nodes);
    assert_eq!(collect().collected, 10);
    assert_eq!(drops.get(), 10);
    assert_eq!(caught(), [UnraisablePlace::Drop; 4]);
    assert_eq!(cyclegc::tracked_count(), 0);
    assert_usable();
}

#[test]
fn a_destructor_that_panics_in_a_drop_passes_through() {
    record();
    let drops = Rc::new(Cell::new(0));
    let inner = node(&drops, false);
    let weak = Gc::downgrade(&inner);
    let outer = node(&drops, true);
    outer.links.borrow_mut().push(inner.into());
    assert!(catch_unwind(AssertUnwindSafe(|| drop(outer))).is_err());
    // The other fields were dropped all the same, and nothing twice.
    assert_eq!(drops.get(), 2);
    assert!(weak.upgrade().is_none());
    assert_eq!(cyclegc::tracked_count(), 0);
    assert_usable();
}

#[test]
fn destructors_that_panic_deep_in_a_list() {
    record();
    let drops = Rc::new(Cell::new(0));
    let mut head: Option<Gc<Node>> = None;
    for index in 0..1000 {
        let next = node(&drops, index == 3 || index == 500);
        next.links.borrow_mut().extend(head.map(AnyGc::from));
        head = Some(next);
    }
    assert!(catch_unwind(AssertUnwindSafe(|| drop(head))).is_err());
    assert_eq!(drops.get(), 1000);
    assert_eq!(cyclegc::tracked_count(), 0);
    assert_usable();
}

struct BadTrace {
    panics: Cell<bool>,
    links: RefCell<Vec<AnyGc>>,
}

// SAFETY: reports each handle at most once.
unsafe impl Trace for BadTrace {
    fn trace(&self, tracer: &mut Tracer<'_>) {
        let links = self.links.borrow();
        for (index, link) in links.iter().enumerate() {
            assert!(index == 0 || !self.panics.get(), "cannot trace");
            link.trace(tracer);
        }
    }
}

#[test]
fn a_trace_that_panics_keeps_what_it_holds_and_nothing_else() {
    record();
    let drops = Rc::new(Cell::new(0));
    let bad = Gc::new(BadTrace {
        panics: Cell::new(true),
        links: RefCell::default(),
    });
    let held = node(&drops, false);
    bad.links
        .borrow_mut()
        .extend([AnyGc::from(&held), AnyGc::from(&bad)]);
    held.links.borrow_mut().push((&bad).into());
    // Other garbage of the same collection.
    let other = node(&drops, false);
    other.links.borrow_mut().push((&other).into());
    let weak = Gc::downgrade(&bad);
    drop((bad, held, other));
    let stats = collect();
    assert_eq!((stats.collected, stats.uncollectable), (1, 1));
    assert_eq!(caught(), [UnraisablePlace::Trace]);
    assert_eq!(drops.get(), 1);
    assert_eq!(cyclegc::tracked_count(), 2);
    // It is not asked again.
    assert_eq!(collect().uncollectable, 0);
    assert_usable();
    let bad = weak.upgrade().expect("kept");
    drop(bad.links.take());
    drop(bad);
    assert_eq!(cyclegc::tracked_count(), 0);
}

#[test]
fn a_trace_that_panics_on_a_live_object_changes_nothing() {
    record();
    let drops = Rc::new(Cell::new(0));
    let bad = Gc::new(BadTrace {
        panics: Cell::new(true),
        links: RefCell::default(),
    });
    let held = node(&drops, false);
    bad.links
        .borrow_mut()
        .extend([AnyGc::from(&held), AnyGc::from(&held)]);
    drop(bad.clone());
    drop(held);
    assert_eq!(collect().uncollectable, 1);
    assert_eq!(bad.links.borrow().len(), 2);
    drop(bad);
    assert_eq!(drops.get(), 1);
    assert_eq!(cyclegc::tracked_count(), 0);
}

#[test]
fn a_panic_hook_may_use_handles_while_a_trace_panics() {
    thread_local! {
        static KEPT: RefCell<Vec<Gc<Node>>> = const { RefCell::new(Vec::new()) };
        static SEED: RefCell<Option<Gc<Node>>> = const { RefCell::new(None) };
    }
    record();
    ON_PANIC.set(Some(|| {
        let seed = SEED.take().expect("a seed");
        KEPT.with_borrow_mut(|kept| kept.push(seed.clone()));
        let links = seed.links.take();
        drop(links);
    }));
    let drops = Rc::new(Cell::new(0));
    let seed = node(&drops, false);
    let gone = node(&drops, false);
    seed.links.borrow_mut().push((&gone).into());
    gone.links.borrow_mut().push((&seed).into());
    let bad = Gc::new(BadTrace {
        panics: Cell::new(true),
        links: RefCell::default(),
    });
    bad.links
        .borrow_mut()
        .extend([AnyGc::from(&bad), AnyGc::from(&seed)]);
    SEED.with_borrow_mut(|slot| *slot = Some(seed.clone()));
    let weak = Gc::downgrade(&bad);
    drop(gone);
    drop(seed);
    drop(bad);
    collect();
    // `gone` died in the hook, while it was a candidate.
    assert_eq!(drops.get(), 1);
    let seed = KEPT.with_borrow_mut(Vec::pop).expect("kept by the hook");
    assert!(seed.links.borrow().is_empty());
    assert_usable();
    let bad = weak.upgrade().expect("its edges are unknown");
    drop(bad.links.take());
}

#[derive(Trace)]
struct BadFinalizer {
    me: RefCell<Option<AnyGc>>,
    resurrect: Option<Rc<RefCell<Vec<AnyGc>>>>,
}

impl Finalize for BadFinalizer {
    fn finalize(&self) {
        if let (Some(saved), Some(me)) = (&self.resurrect, &*self.me.borrow()) {
            saved.borrow_mut().push(me.clone());
        }
        panic!("cannot finalize");
    }
}

#[test]
fn a_finalizer_that_panics_counts_as_run() {
    record();
    drop(Gc::new(BadFinalizer {
        me: RefCell::default(),
        resurrect: None,
    }));
    assert_eq!(caught(), [UnraisablePlace::Finalize]);

    let saved = Rc::new(RefCell::new(Vec::new()));
    for resurrect in [None, Some(saved.clone())] {
        let cycle = Gc::new(BadFinalizer {
            me: RefCell::default(),
            resurrect,
        });
        cycle.me.replace(Some((&cycle).into()));
    }
    assert_eq!(collect().collected, 1);
    assert_eq!(caught(), [UnraisablePlace::Finalize; 2]);
    assert!(saved.borrow()[0].is_finalized());
    saved.borrow_mut().clear();
    assert_eq!(collect().collected, 1);
    assert_eq!(caught(), []);
    assert_eq!(cyclegc::tracked_count(), 0);
    assert_usable();
}

#[test]
fn a_callback_that_panics_does_not_stop_the_others() {
    record();
    let drops = Rc::new(Cell::new(0));
    let ran = Rc::new(Cell::new(0));
    let new = |cyclic: bool| {
        let target = node(&drops, false);
        if cyclic {
            target.links.borrow_mut().push((&target).into());
        }
        let count = ran.clone();
        let first = Weak::with_callback(&target, move || count.set(count.get() + 1));
        let second = Weak::with_callback(&target, || panic!("cannot call back"));
        (first, second)
    };
    let weaks = [new(false), new(true)];
    assert_eq!(collect().collected, 1);
    assert_eq!(ran.get(), 2);
    assert_eq!(caught(), [UnraisablePlace::Callback; 2]);
    assert!(weaks.iter().all(|(a, b)| !a.is_alive() && !b.is_alive()));
    assert_usable();
}

#[test]
fn a_collection_callback_that_panics_is_reported() {
    record();
    let id = cyclegc::add_callback(|_, _| panic!("cannot listen"));
    assert_usable();
    cyclegc::remove_callback(id);
    assert_eq!(caught(), [UnraisablePlace::Callback; 2]);
}

#[test]
fn a_closure_of_new_cyclic_that_panics_leaks_nothing() {
    record();
    let escaped = RefCell::new(None);
    let count = cyclegc::count().0;
    let made = catch_unwind(AssertUnwindSafe(|| {
        Gc::<Node>::new_cyclic(|me| {
            escaped.replace(Some(me.clone()));
            assert!(me.upgrade().is_none());
            panic!("cannot make")
        })
    }));
    assert!(made.is_err());
    // The object that was not made is not counted.
    assert_eq!(cyclegc::count().0, count);
    assert!(escaped.take().is_some_and(|weak| weak.upgrade().is_none()));
    assert_eq!(cyclegc::tracked_count(), 0);
    assert_usable();
}

#[cfg(target_os = "linux")]
#[test]
fn debug_prints_nobody_can_read_do_not_stop_a_collection() {
    if std::env::var_os("FULL").is_some() {
        let node = node(&Rc::default(), false);
        node.links.borrow_mut().push((&node).into());
        let weak = Gc::downgrade(&node);
        drop(node);
        cyclegc::set_debug(
            cyclegc::DebugFlags::STATS
                | cyclegc::DebugFlags::COLLECTABLE
                | cyclegc::DebugFlags::UNCOLLECTABLE,
        );
        assert_eq!(collect().collected, 1);
        assert!(!weak.is_alive());
        return;
    }
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .expect("Linux has it");
    let status = std::process::Command::new(std::env::current_exe().expect("a path"))
        .args([
            "--exact",
            "debug_prints_nobody_can_read_do_not_stop_a_collection",
            "--nocapture",
        ])
        .env("FULL", "1")
        .stdout(std::process::Stdio::null())
        .stderr(full)
        .status()
        .expect("it starts");
    assert!(status.success());
}

//! A panic hook may run anything while a collection looks at objects.

use std::cell::{Cell, RefCell};

use cyclegc::{Gc, Generation, Trace, Tracer, collect, collect_generation};

thread_local! {
    /// What the hook does, once, on this thread.
    static ACTION: Cell<Option<fn()>> = const { Cell::new(None) };
    static KEPT: RefCell<Option<Gc<Node>>> = const { RefCell::new(None) };
    static SEEN: Cell<Option<bool>> = const { Cell::new(None) };
    static DROPPED: Cell<bool> = const { Cell::new(false) };
}

fn hook_runs(action: fn()) {
    ACTION.set(Some(action));
    std::panic::set_hook(Box::new(|_| {
        if let Some(action) = ACTION.take() {
            action();
        }
    }));
}

/// Panics when it is traced.
struct Panics;

/// Looks, while a panic passes, whether the value was dropped.
struct Looks;

impl Drop for Looks {
    fn drop(&mut self) {
        SEEN.set(Some(DROPPED.get()));
    }
}

// SAFETY: no edge is reported.
unsafe impl Trace for Panics {
    fn trace(&self, _: &mut Tracer<'_>) {
        let _looks = Looks;
        panic!("trace");
    }
}

impl Drop for Panics {
    fn drop(&mut self) {
        DROPPED.set(true);
    }
}

#[derive(Trace, Default)]
struct Node {
    data: Vec<u64>,
    links: RefCell<Vec<Gc<Node>>>,
    panics: Option<Box<RefCell<Panics>>>,
}

fn panicking() -> Gc<Node> {
    Gc::new(Node {
        panics: Some(Box::new(RefCell::new(Panics))),
        ..Node::default()
    })
}

#[test]
fn it_gets_no_mut_to_a_candidate() {
    let node = Gc::new(Node::default());
    drop(node.clone());
    KEPT.set(Some(node));
    let bomb = panicking();
    drop(bomb.clone());
    hook_runs(|| {
        let mut node = KEPT.take().expect("kept");
        SEEN.set(Some(Gc::get_mut(&mut node).is_some()));
        KEPT.set(Some(node));
        DROPPED.set(SEEN.get() == Some(true));
    });
    let stats = collect_generation(Generation::Young);
    assert_eq!(stats.uncollectable, 1);
    assert_eq!(SEEN.get(), Some(false));
    let mut node = KEPT.take().expect("kept");
    Gc::get_mut(&mut node).expect("unique").data.push(1);
}

#[test]
fn a_cycle_that_it_cuts_off_is_not_lost() {
    let outer = Gc::new(Node::default());
    let cycle = Gc::new(Node::default());
    cycle.links.borrow_mut().push(cycle.clone());
    let weak = Gc::downgrade(&cycle);
    // Both are found from `outer`; only `outer` is a suspect.
    outer.links.borrow_mut().extend([panicking(), cycle]);
    drop(outer.clone());
    KEPT.set(Some(outer));
    hook_runs(|| {
        let outer = KEPT.take().expect("kept");
        let cycle = outer.links.borrow_mut().pop();
        KEPT.set(Some(outer));
        drop(cycle);
    });
    collect_generation(Generation::Young);
    collect();
    assert!(ACTION.take().is_none(), "nothing panicked");
    assert!(!weak.is_alive());
    drop(KEPT.take());
}

#[test]
fn it_does_not_end_the_value_whose_trace_unwinds() {
    let bomb = panicking();
    drop(bomb.clone());
    KEPT.set(Some(bomb));
    hook_runs(|| drop(KEPT.take()));
    let stats = collect_generation(Generation::Young);
    assert_eq!(stats.uncollectable, 1);
    assert_eq!(SEEN.get(), Some(false));
    assert!(DROPPED.get(), "leaked");
}

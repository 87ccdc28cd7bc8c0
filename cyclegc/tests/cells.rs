//! What a `Cell` holds can be taken out by any code that runs; nothing may run
//! while the collector looks at it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use cyclegc::{AnyGc, EdgeTracer, Gc, Trace, Tracer, collect};

thread_local! {
    /// What the panic hook does, once, on this thread.
    static ACTION: Cell<Option<fn()>> = const { Cell::new(None) };
    static KEPT: RefCell<Option<Gc<Holder>>> = const { RefCell::new(None) };
    static DROPPED: Cell<bool> = const { Cell::new(false) };
    static USED_AFTER_DROP: Cell<bool> = const { Cell::new(false) };
    static TRACED: Cell<u32> = const { Cell::new(0) };
}

fn hook_runs(action: fn()) {
    ACTION.set(Some(action));
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| match ACTION.take() {
        Some(action) => action(),
        None => default(info),
    }));
}

/// Panics when it is traced, and looks at itself while the panic passes.
struct Panics;

struct Looks;

impl Drop for Looks {
    fn drop(&mut self) {
        USED_AFTER_DROP.set(DROPPED.get());
    }
}

impl Drop for Panics {
    fn drop(&mut self) {
        DROPPED.set(true);
    }
}

fn panic_while_looking() -> ! {
    TRACED.set(TRACED.get() + 1);
    let _looks = Looks;
    panic!("trace");
}

// SAFETY: no edge is reported.
unsafe impl Trace for Panics {
    fn trace(&self, _: &mut Tracer<'_>) {
        panic_while_looking();
    }
    fn trace_edges(&self, _: &mut EdgeTracer<'_>) {
        panic_while_looking();
    }
    fn edge_key(&self) -> Option<String> {
        panic_while_looking();
    }
}

impl PartialEq for Panics {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl Eq for Panics {}
impl PartialOrd for Panics {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Panics {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

trait Shape: Trace {}
impl Shape for Panics {}

type Wrapped = (u8, Wrapper<Panics>);
type ByPair = BTreeMap<(u8, Panics), Gc<u8>>;

/// Every way from a cell to a type that is traced by hand.
#[derive(Trace, Default)]
struct Holder {
    direct: Cell<Option<Panics>>,
    boxed: Cell<Option<Box<Panics>>>,
    dynamic: Cell<Option<Box<dyn Shape>>>,
    borrowed: Cell<Option<Box<RefCell<Panics>>>>,
    derived: Cell<Option<Box<Wrapped>>>,
    keyed: Cell<Option<BTreeMap<Box<Panics>, Gc<u8>>>>,
    paired: Cell<Option<ByPair>>,
}

#[derive(Trace)]
struct Wrapper<T>(Vec<T>);

fn holders() -> Vec<Gc<Holder>> {
    let new = |fill: fn(&Holder)| {
        let holder = Gc::new(Holder::default());
        fill(&holder);
        holder
    };
    vec![
        new(|h| h.direct.set(Some(Panics))),
        new(|h| h.boxed.set(Some(Box::new(Panics)))),
        new(|h| h.dynamic.set(Some(Box::new(Panics)))),
        new(|h| h.borrowed.set(Some(Box::new(RefCell::new(Panics))))),
        new(|h| h.derived.set(Some(Box::new((1, Wrapper(vec![Panics])))))),
        new(|h| {
            let map = BTreeMap::from([(Box::new(Panics), Gc::new(1))]);
            h.keyed.set(Some(map));
        }),
        new(|h| {
            let map = BTreeMap::from([((1, Panics), Gc::new(1))]);
            h.paired.set(Some(map));
        }),
    ]
}

fn empty_the_kept_holder() {
    KEPT.with_borrow(|kept| {
        let Some(holder) = kept else { return };
        drop(holder.direct.take());
        drop(holder.boxed.take());
        drop(holder.dynamic.take());
        drop(holder.borrowed.take());
        drop(holder.derived.take());
        drop(holder.keyed.take());
        drop(holder.paired.take());
    });
}

#[test]
fn no_panic_hook_empties_a_cell_that_is_being_looked_into() {
    for (index, holder) in holders().into_iter().enumerate() {
        DROPPED.set(false);
        USED_AFTER_DROP.set(false);
        drop(holder.clone());
        KEPT.set(Some(holder.clone()));
        hook_runs(empty_the_kept_holder);
        let stats = collect();
        let edges = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            cyclegc::edges(&holder).len() + cyclegc::referents(&holder).len()
        }));
        ACTION.take();
        assert!(!USED_AFTER_DROP.get(), "holder {index}");
        assert_eq!((stats.candidates, stats.uncollectable), (1, 0));
        assert!(edges.is_ok(), "holder {index}");
        assert!(!DROPPED.get(), "holder {index}");
        KEPT.take();
        drop(holder);
        assert!(DROPPED.get(), "leaked");
    }
    assert_eq!(TRACED.get(), 0);
}

/// What is traced by hand and says that it never panics.
struct Quiet(Vec<AnyGc>);

// SAFETY: each handle is owned and reported once; nothing here panics.
unsafe impl Trace for Quiet {
    fn trace(&self, tracer: &mut Tracer<'_>) {
        tracer.value(&self.0);
    }
    fn never_panics(&self) -> bool {
        true
    }
}

/// What is traced by hand and does not say so.
struct Loud(Vec<AnyGc>);

// SAFETY: each handle is owned and reported once.
unsafe impl Trace for Loud {
    fn trace(&self, tracer: &mut Tracer<'_>) {
        tracer.value(&self.0);
    }
}

#[derive(Trace)]
struct Derived(Vec<AnyGc>);

trait Knot: Trace {}
impl Knot for Derived {}

/// How many objects die when a cell holds the only handle to itself.
fn knotted<T: Trace>(make: fn(Vec<AnyGc>) -> T) -> usize {
    let knot = Gc::new(Cell::new(None));
    knot.set(Some(make(vec![AnyGc::from(&knot)])));
    let weak = Gc::downgrade(&knot);
    drop(knot);
    let collected = collect().collected;
    if let Some(knot) = weak.upgrade() {
        drop(knot.take());
    }
    collected
}

#[test]
fn cycles_through_cells_are_collected() {
    assert_eq!(knotted(|links| links), 1);
    assert_eq!(knotted(Derived), 1);
    assert_eq!(knotted(|links| Box::new(Derived(links))), 1);
    assert_eq!(knotted(|l| Box::new(Derived(l)) as Box<dyn Knot>), 1);
    assert_eq!(knotted(|links| RefCell::new((1_u8, [links]))), 1);
    assert_eq!(knotted(|links| Cell::new(Ok::<_, ()>(links))), 1);
    assert_eq!(knotted(Quiet), 1);
    // What is beside such a type is looked into.
    assert_eq!(knotted(|links| (Loud(Vec::new()), links)), 1);
}

#[test]
fn a_type_traced_by_hand_is_not_looked_into_inside_a_cell_only() {
    assert_eq!(knotted(Loud), 0);
    let knot = Gc::new(RefCell::new(None));
    *knot.borrow_mut() = Some(Loud(vec![AnyGc::from(&knot)]));
    drop(knot);
    assert_eq!(collect().collected, 1);
}

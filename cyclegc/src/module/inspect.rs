//! Looking at objects and at what refers to what.
//!
//! Nothing here is for programs that run: it is for their authors.

use std::collections::HashSet;
use std::ptr::NonNull;

use crate::any::AnyGc;
use crate::edge::{Edge, edges_of};
use crate::generation::{Generation, PERMANENT};
use crate::header::{DEAD, Header, MUT_TAKEN};
use crate::state::{self, State};
use crate::trace::Tracer;

/// All tracked objects, or those of one generation (`gc.get_objects`).
///
/// Frozen objects are not listed, as in CPython, nor are objects that a `&mut`
/// from [`Gc::get_mut`](crate::Gc::get_mut) may still reach.
///
/// Costs a visit to every tracked object. Dropping the handles makes the
/// objects suspects.
///
/// ```
/// use cyclegc::{AnyGc, Gc};
///
/// let list = Gc::new(vec![Gc::new(1)]);
/// assert!(cyclegc::objects(None).contains(&AnyGc::from(&list)));
/// ```
#[must_use]
pub fn objects(generation: Option<Generation>) -> Vec<AnyGc> {
    state::with(|state| {
        visible(state, |index| match generation {
            Some(generation) => index == generation.index(),
            None => index != PERMANENT,
        })
    })
}

/// Handles to the objects whose generation index suits.
fn visible(state: &State, suits: impl Fn(usize) -> bool) -> Vec<AnyGc> {
    state
        .objects()
        .into_iter()
        .filter(|object| {
            // SAFETY: `State::objects` gives tracked, allocated objects.
            let index = unsafe { state.generation_of(*object) };
            // SAFETY: as above.
            suits(index) && is_visible(unsafe { object.as_ref() })
        })
        // SAFETY: just tested.
        .map(|object| unsafe { AnyGc::share(object) })
        .collect()
}

/// The value is alive, and no `&mut` to it can exist.
pub(crate) fn is_visible(header: &Header) -> bool {
    let count = header.count();
    // A `&mut` needs the only handle.
    let may_be_borrowed = header.has(MUT_TAKEN) && count == 1;
    count > 0 && !header.has(DEAD) && !may_be_borrowed
}

/// The tracked objects that hold a handle to `object` (`gc.get_referrers`).
///
/// Frozen objects are not searched, as in CPython. Costs a trace of every
/// tracked object.
///
/// ```
/// use cyclegc::{AnyGc, Gc};
///
/// let inner = Gc::new(1);
/// let outer = Gc::new(vec![inner.clone()]);
/// assert_eq!(cyclegc::referrers(&inner), [AnyGc::from(&outer)]);
/// ```
#[must_use]
pub fn referrers(object: impl Into<AnyGc>) -> Vec<AnyGc> {
    let object = object.into();
    let mut all = objects(None);
    all.retain(|holder| targets(holder).contains(&object.header()));
    all
}

/// The objects that `object` holds handles to (`gc.get_referents`).
///
/// One entry for each handle, so there can be duplicates.
///
/// ```
/// use cyclegc::{AnyGc, Gc};
///
/// let inner = Gc::new(1);
/// let outer = Gc::new(vec![inner.clone(), inner.clone()]);
/// assert_eq!(cyclegc::referents(&outer), [AnyGc::from(&inner), AnyGc::from(&inner)]);
/// ```
#[must_use]
pub fn referents(object: impl Into<AnyGc>) -> Vec<AnyGc> {
    targets(&object.into())
        .into_iter()
        // SAFETY: an edge is a handle, so its target is allocated.
        .filter(|target| !unsafe { target.as_ref() }.has(DEAD))
        // SAFETY: it is alive, and its handle is not mutably borrowed.
        .map(|target| unsafe { AnyGc::share(target) })
        .collect()
}

fn targets(object: &AnyGc) -> Vec<NonNull<Header>> {
    let mut found = Vec::new();
    let mut tracer = Tracer::new(&mut found);
    // SAFETY: the handle keeps the value alive, and since it could be had no
    // `&mut` to it exists.
    unsafe { (object.head().vtable().trace)(object.header(), &mut tracer) };
    found
}

/// As [`referents`], each with the path to the handle.
///
/// ```
/// use std::collections::BTreeMap;
/// use cyclegc::Gc;
///
/// let map = Gc::new(BTreeMap::from([("k", Gc::new(1))]));
/// assert_eq!(cyclegc::edges(&map)[0].name, r#"["k"]"#);
/// ```
#[must_use]
pub fn edges(object: impl Into<AnyGc>) -> Vec<Edge> {
    let object = object.into();
    // SAFETY: as in `targets`.
    unsafe { edges_of(object.header()) }.0
}

/// The bytes of the object and of all it reaches (Pympler's `asizeof`).
///
/// Allocations with their headers, and the buffers of vectors, strings and
/// maps; an object that is reached twice counts once. Costs a visit to all
/// that is reached; no recursion.
///
/// ```
/// use cyclegc::Gc;
///
/// let shared = Gc::new([0_u8; 1000]);
/// let pair = Gc::new((shared.clone(), shared));
/// let size = cyclegc::deep_size_of(&pair);
/// assert!((1016..1100).contains(&size));
/// ```
#[must_use]
pub fn deep_size_of(object: impl Into<AnyGc>) -> usize {
    let mut size_bytes = 0;
    reach(vec![object.into()], AnyGc::address, |object| {
        // SAFETY: as in `targets`.
        let (edges, owned_bytes) = unsafe { edges_of(object.header()) };
        size_bytes += object.allocation_size() + owned_bytes;
        edges.into_iter().map(|edge| edge.target).collect()
    });
    size_bytes
}

/// `start` and all that can be reached from there, each once; `next` gives what one object
/// refers to. The handles keep the objects, so that no address is used again.
pub(crate) fn reach<A>(
    start: Vec<A>,
    address: fn(&A) -> usize,
    mut next: impl FnMut(&A) -> Vec<A>,
) -> Vec<A> {
    let mut seen = HashSet::new();
    let mut reached = start;
    reached.retain(|object| seen.insert(address(object)));
    let mut at = 0;
    while let Some(object) = reached.get(at) {
        let mut targets = next(object);
        targets.retain(|target| seen.insert(address(target)));
        reached.append(&mut targets);
        at += 1;
    }
    reached
}

/// The number of tracked objects of this thread, in constant time:
/// `len(gc.get_objects())`, frozen objects included.
///
/// ```
/// use cyclegc::Gc;
///
/// let before = cyclegc::tracked_count();
/// let list = Gc::new(vec![Gc::new(1)]);
/// assert_eq!(cyclegc::tracked_count(), before + 1);
/// # drop(list);
/// ```
#[must_use]
pub fn tracked_count() -> usize {
    state::with(|state| state.tracked_count())
}

/// The number of suspects of this thread: objects that saw a drop which was
/// not their last, and that no old collection has cleared since. CPython has no
/// such thing: it looks at all objects.
///
/// ```
/// use cyclegc::Gc;
///
/// let before = cyclegc::suspect_count();
/// let list = Gc::new(vec![Gc::new(1)]);
/// drop(list.clone());
/// assert_eq!(cyclegc::suspect_count(), before + 1);
/// ```
#[must_use]
pub fn suspect_count() -> usize {
    state::with(|state| state.suspects.iter().map(|s| s.len()).sum())
}

/// Tracked objects that are not frozen, about.
pub(crate) fn live_count(state: &State) -> usize {
    state
        .tracked_count()
        .saturating_sub(state.frozen_live.get())
}

/// Number of tracked objects in each generation; the last are frozen.
pub(crate) fn generation_sizes(state: &State) -> [usize; 4] {
    let mut sizes = [0; 4];
    for object in state.objects() {
        // SAFETY: `State::objects` gives tracked, allocated objects.
        sizes[unsafe { state.generation_of(object) }] += 1;
    }
    sizes
}

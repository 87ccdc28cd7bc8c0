//! Looking at objects and at what refers to what.
//!
//! Nothing here is for programs that run: it is for their authors. An object is looked at as
//! a collector does it, for a moment, while the threads go on: what is found may have changed
//! when it is told.

use crate::edge::{EdgeTracer, Sighting};
use crate::generation::{Generation, PERMANENT};
use crate::module::reach;
use crate::sync::any::AnyGc;
use crate::sync::collect::locked;
use crate::sync::epoch;
use crate::sync::header::Object;
use crate::sync::visit::Visit;
use crate::sync::weak_cell::is_cell;
use crate::trace::Tracer;

/// A handle that an object owns, and where in the object it is.
///
/// ```
/// use std::sync::Mutex;
/// use cyclegc::{Trace, sync::{self, Edge, Gc}};
///
/// #[derive(Trace)]
/// struct Row {
///     cells: Mutex<Vec<Gc<u32>>>,
/// }
///
/// let row = Gc::new(Row { cells: Mutex::new(vec![Gc::new(1), Gc::new(2)]) });
/// let names = |edges: Vec<Edge>| edges.into_iter().map(|edge| edge.name).collect::<Vec<_>>();
/// assert_eq!(names(sync::edges(&row)), [".cells[0]", ".cells[1]"]);
/// ```
pub type Edge = crate::edge::Edge<AnyGc>;

/// The tracked objects that the collector knows of, or those of one generation
/// (`gc.get_objects`, but not all).
///
/// No list has all objects: each `Gc::new` would have to write to it. What is listed is
/// what had two handles at once, until two full collections saw it with one, and what such
/// objects reach. So **every object is there that has two handles, or is part of a cycle**;
/// those are missing which have one handle, in the hands of a thread or of another that is
/// missing. [`tracked_count`](crate::sync::tracked_count) counts them all.
///
/// Frozen objects are not listed, as in CPython, nor are objects that a `&mut` from
/// [`Gc::get_mut`](crate::sync::Gc::get_mut) may still reach, nor what was locked just then
/// or moved meanwhile; nor, while a collection runs finalizers and callbacks, what it found
/// to be garbage before them.
///
/// Waits while a collection looks for garbage, and costs a visit to all that is listed. The
/// handles make the objects suspects; the last to go may end one, as any handle's end does.
///
/// ```
/// use cyclegc::sync::{self, AnyGc, Gc};
///
/// let list = Gc::new(vec![Gc::new([Gc::new(1)])]);
/// assert!(sync::objects(None).is_empty());
/// let again = list.clone();
/// assert_eq!(sync::objects(None), [AnyGc::from(&list), AnyGc::from(&list[0])]);
/// # drop(again);
/// ```
#[must_use]
pub fn objects(generation: Option<Generation>) -> Vec<AnyGc> {
    let (entries, epochs) = locked(|collector| {
        collector.take_shards();
        // What frozen ones refer to need not be frozen.
        let entries = collector.lists.iter().flatten().copied();
        // SAFETY: an entry has a hold.
        let is_users = |entry: &Object| !unsafe { is_cell(*entry) };
        let entries: Vec<Object> = entries.filter(is_users).collect();
        for entry in &entries {
            // SAFETY: an entry has a hold, and stays in its list while this thread has the
            // lock.
            unsafe { entry.head() }.second.hold();
        }
        (entries, collector.epochs.clone())
    });
    // SAFETY: it was held, and no lock is.
    let share = |entry| unsafe { AnyGc::from_held(entry) };
    let suspects = entries.into_iter().filter_map(share).collect();
    let mut objects = reach(suspects, AnyGc::address, |object| {
        let mut targets = referents(object);
        targets.retain(AnyGc::is_tracked);
        targets
    });
    objects.retain(|object| {
        let index = object.birth().map(|birth| epochs.generation(birth));
        index.is_some_and(|index| match generation {
            Some(generation) => index == generation.index(),
            None => index != PERMANENT,
        })
    });
    objects
}

/// The tracked objects that hold a handle to `object` (`gc.get_referrers`, but not all).
///
/// Of those that [`objects`] lists: all that are part of a cycle, or shared. Other handles,
/// of [`Gc::ref_count`](crate::sync::Gc::ref_count), are those of threads, and of objects
/// that nobody shares. Costs what `objects` costs, and a trace of each.
///
/// ```
/// use std::sync::Mutex;
/// use cyclegc::sync::{self, AnyGc, Gc};
///
/// let inner = Gc::new(Mutex::new(None));
/// let outer = Gc::new(vec![inner.clone()]);
/// *inner.lock().unwrap() = Some(AnyGc::from(&outer)); // a cycle
/// assert_eq!(sync::referrers(&inner), [AnyGc::from(&outer)]);
/// ```
#[must_use]
pub fn referrers(object: impl Into<AnyGc>) -> Vec<AnyGc> {
    let object = object.into();
    let mut all = objects(None);
    all.retain(|holder| look_at(holder, |found| found.contains(&object.object())));
    all
}

/// The objects that `object` holds handles to (`gc.get_referents`).
///
/// One entry for each handle, so there can be duplicates. What lies in a locked cell is
/// not seen.
///
/// ```
/// use cyclegc::sync::{self, AnyGc, Gc};
///
/// let inner = Gc::new(1);
/// let outer = Gc::new(vec![inner.clone(), inner.clone()]);
/// assert_eq!(sync::referents(&outer), [AnyGc::from(&inner), AnyGc::from(&inner)]);
/// ```
#[must_use]
pub fn referents(object: impl Into<AnyGc>) -> Vec<AnyGc> {
    look_at(&object.into(), |found| {
        // SAFETY: an edge is a handle, whose cell is still locked, or its pointer pinned.
        let share = |target: &Object| unsafe { AnyGc::share(*target) };
        found.iter().map(share).collect()
    })
}

/// Traces an object; `look` sees the targets of its edges while their cells are locked.
fn look_at<R>(object: &AnyGc, look: impl FnOnce(&[Object]) -> R) -> R {
    let _pinned = epoch::pin();
    let mut visit = Visit::new();
    let mut unused = Vec::new();
    let mut tracer = Tracer::shared(&mut visit, &mut unused);
    // SAFETY: a handle keeps the object.
    let vtable = unsafe { object.object().head() }.vtable;
    // SAFETY: the handle keeps the value until the guards are gone, and since it could be
    // had, no `&mut` to the value exists.
    unsafe { (vtable.trace)(object.object(), &mut tracer) };
    // SAFETY: an edge is a handle, whose cell is still locked, or its pointer pinned.
    visit.found.retain(|target| !unsafe { is_cell(*target) });
    look(&visit.found)
}

/// As [`referents`], each with the path to the handle.
///
/// ```
/// use std::{collections::BTreeMap, sync::RwLock};
/// use cyclegc::sync::{self, Gc};
///
/// let map = Gc::new(RwLock::new(BTreeMap::from([("k", Gc::new(1))])));
/// assert_eq!(sync::edges(&map)[0].name, r#"["k"]"#);
/// ```
#[must_use]
pub fn edges(object: impl Into<AnyGc>) -> Vec<Edge> {
    edges_of(&object.into()).0
}

/// The named edges of an object, and the bytes that it owns elsewhere.
fn edges_of(object: &AnyGc) -> (Vec<Edge>, usize) {
    let _pinned = epoch::pin();
    let mut edges = Vec::new();
    let mut sink = |sighting: Sighting<'_, Object>| {
        let Sighting::Strong { name, target, .. } = sighting else {
            return;
        };
        // SAFETY: an edge is a handle, whose cell is still locked, or its pointer pinned.
        if unsafe { is_cell(target) } {
            return;
        }
        // SAFETY: an edge is a handle, whose cell is still locked, or its pointer pinned.
        let target = unsafe { AnyGc::share(target) };
        let name = name.to_owned();
        edges.push(Edge { name, target });
    };
    // SAFETY: pinned above.
    let mut tracer = unsafe { EdgeTracer::shared(String::new(), &mut sink) };
    // SAFETY: a handle keeps the object.
    let vtable = unsafe { object.object().head() }.vtable;
    // SAFETY: as in `look_at`.
    unsafe { (vtable.trace_edges)(object.object(), &mut tracer) };
    let owned_bytes = tracer.owned_bytes();
    (edges, owned_bytes)
}

/// The bytes of the object and of all it reaches (Pympler's `asizeof`).
///
/// Allocations with their headers, and the buffers of vectors, strings and maps; an object
/// that is reached twice counts once. What lies in a locked cell is not seen. Costs a visit to
/// all that is reached; no recursion. Objects that other threads let go of meanwhile may end
/// here.
///
/// ```
/// use cyclegc::sync::{self, Gc};
///
/// let shared = Gc::new([0_u8; 1000]);
/// let pair = Gc::new((shared.clone(), shared));
/// let size = sync::deep_size_of(&pair);
/// assert!((1016..1100).contains(&size));
/// ```
#[must_use]
pub fn deep_size_of(object: impl Into<AnyGc>) -> usize {
    let mut size_bytes = 0;
    reach(vec![object.into()], AnyGc::address, |object| {
        let (edges, owned_bytes) = edges_of(object);
        size_bytes += object.allocation_size() + owned_bytes;
        edges.into_iter().map(|edge| edge.target).collect()
    });
    size_bytes
}

//! Walks over the live objects of this thread.
//!
//! Tracked objects are those the heap lists, frozen ones included; untracked ones
//! are found where others refer to them. Cells of weak references are the
//! collector's own and left out.

use std::any::TypeId;
use std::collections::HashSet;
use std::ptr::NonNull;

use super::graph::ObjectId;
use super::hash::FastHash;
use super::ids;
use crate::any::AnyGc;
use crate::header::{DEAD, Header, OPAQUE, TRACKED};
use crate::module::is_visible;
use crate::state;
use crate::trace::Tracer;
use crate::weak_cell::WeakCell;

/// A handle that the walk takes while code of a user looks at the object.
///
/// Given up without a trace, unless that code panics: a panic hook may have dropped
/// all other handles.
pub(super) struct Held(NonNull<Header>);

impl Held {
    /// # Safety
    ///
    /// The object's value is alive.
    pub(super) unsafe fn new(object: NonNull<Header>) -> Self {
        // SAFETY: the caller's object is allocated.
        unsafe { object.as_ref() }.increment();
        Held(object)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: the count includes this handle.
        let handle = unsafe { AnyGc::adopt(self.0) };
        if !std::thread::panicking() {
            crate::any::forget(handle);
        }
    }
}

/// Whether an object is one of the graph.
///
/// # Safety
///
/// The object is allocated.
pub(super) unsafe fn is_node(object: NonNull<Header>) -> bool {
    // SAFETY: the caller's object is allocated.
    let header = unsafe { object.as_ref() };
    !header.has(DEAD)
        && header.count() != 0
        && (header.vtable().type_id)() != TypeId::of::<WeakCell>()
}

/// The tracked objects that can be looked at.
pub(super) fn tracked() -> Vec<NonNull<Header>> {
    let mut objects = state::with(|state| state.objects());
    objects.retain(|object| {
        // SAFETY: `State::objects` gives allocated objects.
        let is_visible = is_visible(unsafe { object.as_ref() });
        // SAFETY: as above.
        is_visible && unsafe { is_node(*object) }
    });
    objects
}

/// Whether the edges of an object may be asked for.
pub(super) fn can_be_traced(header: &Header) -> bool {
    !header.has(OPAQUE)
}

/// An object that a walk has come upon.
///
/// # Invariants
///
/// 1. It is alive while this is borrowed.
pub(super) struct Seen(NonNull<Header>);

impl Seen {
    fn header(&self) -> &Header {
        // SAFETY: invariant 1.
        unsafe { self.0.as_ref() }
    }

    pub(super) fn type_id(&self) -> TypeId {
        (self.header().vtable().type_id)()
    }

    pub(super) fn type_name(&self) -> &'static str {
        (self.header().vtable().type_name)()
    }

    /// The bytes of the allocation, without buffers that the value owns.
    pub(super) fn size_bytes(&self) -> usize {
        // SAFETY: invariant 1.
        unsafe { (self.header().vtable().layout)(self.0) }.0.size()
    }

    /// The number that a snapshot gave to it.
    pub(super) fn id(&self) -> Option<ObjectId> {
        // SAFETY: invariant 1.
        unsafe { ids::known(self.0) }
    }
}

/// Every live object once; what is untracked comes after an object that refers to it.
pub(super) fn each_object(mut visit: impl FnMut(&Seen)) {
    let mut seen = HashSet::with_hasher(FastHash);
    let mut found = Vec::new();
    for object in tracked() {
        // INVARIANT: 1; `visit` drops no handle.
        visit(&Seen(object));
        // SAFETY: `tracked` gives allocated objects, and no handle was dropped since.
        let header = unsafe { object.as_ref() };
        if !can_be_traced(header) {
            continue;
        }
        found.clear();
        // SAFETY: the object's value is alive.
        let held = unsafe { Held::new(object) };
        // SAFETY: as above; it is visible, so no `&mut` to it exists.
        unsafe { (header.vtable().trace)(object, &mut Tracer::new(&mut found)) };
        drop(held);
        for target in &found {
            // SAFETY: an edge is a handle, so its target is allocated.
            let is_leaf = !unsafe { target.as_ref() }.has(TRACKED);
            // SAFETY: as above.
            if is_leaf && unsafe { is_node(*target) } && seen.insert(target.addr().get()) {
                // INVARIANT: 1, as above.
                visit(&Seen(*target));
            }
        }
    }
}

/// Handles to the objects that suit.
pub(super) fn select(mut suits: impl FnMut(&Seen) -> bool) -> Vec<AnyGc> {
    let mut found = Vec::new();
    each_object(|object| {
        if suits(object) {
            found.push(object.0);
        }
    });
    let found = found.into_iter();
    // SAFETY: the walk gave these live objects, and no handle was dropped since.
    found
        .map(|object| unsafe { AnyGc::share(object) })
        .collect()
}

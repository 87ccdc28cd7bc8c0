//! Walks over the objects that a snapshot sees.

use std::any::TypeId;

use super::capture::capture_and;
use super::ids;
use super::snapshot::SnapshotOptions;
use crate::objgraph::ObjectId;
use crate::sync::AnyGc;
use crate::sync::header::{Header, Object};

/// An object that a snapshot has seen.
///
/// # Invariants
///
/// 1. Its memory is kept while this is borrowed; its value need not be.
pub(super) struct Seen(Object);

impl Seen {
    fn head(&self) -> &Header {
        // SAFETY: invariant 1.
        unsafe { self.0.head() }
    }

    pub(super) fn type_id(&self) -> TypeId {
        (self.head().vtable.type_id)()
    }

    pub(super) fn type_name(&self) -> &'static str {
        (self.head().vtable.type_name)()
    }

    /// The bytes of the allocation, without buffers that the value owns.
    pub(super) fn size_bytes(&self) -> usize {
        // SAFETY: invariant 1.
        unsafe { (self.head().vtable.layout)(self.0) }.0.size()
    }

    /// The number that snapshots give to it.
    pub(super) fn id(&self) -> Option<ObjectId> {
        // SAFETY: invariant 1.
        unsafe { ids::known(self.0) }
    }
}

/// Every object that a snapshot sees, once. `visit` runs under the collector's lock.
pub(super) fn each_object(mut visit: impl FnMut(&Seen)) {
    capture_and(&SnapshotOptions::new(), |objects| {
        // INVARIANT: 1.
        objects.iter().for_each(|object| visit(&Seen(*object)));
    });
}

/// Handles to the objects that suit, but for those that have died since.
pub(super) fn select(mut suits: impl FnMut(&Seen) -> bool) -> Vec<AnyGc> {
    let mut found = Vec::new();
    each_object(|object| {
        if suits(object) {
            object.head().second.hold();
            found.push(object.0);
        }
    });
    let found = found.into_iter();
    // SAFETY: it was held, and no lock is.
    found
        .filter_map(|object| unsafe { AnyGc::from_held(object) })
        .collect()
}

//! The lists of suspects: objects that had more than one handle.
//!
//! Threads push on one of a few shards; a collection takes them all. No thread owns one, so
//! what a thread listed is found whatever becomes of the thread.
//!
//! # Invariants
//!
//! 1. An entry has a hold: the memory of its object stays, its value need not. Entries that
//!    keep memory which nothing else keeps are swept out when all that entries keep has
//!    doubled since the last sweep.

use crate::sync::domain::domain;
use crate::sync::gc_box::free_any;
use crate::sync::header::Object;
use crate::sync::local;
use crate::sync::types::{Mutex, lock, maybe_const};

/// Number of shards.
const SHARDS: usize = if cfg!(loom) { 1 } else { 16 };

/// Memory that the dead entries of a shard may keep in any case, in bytes.
const SWEEP_BYTES: usize = 32 * 1024;

/// What threads listed since the last collection.
#[derive(Debug)]
pub(crate) struct Shards([Shard; SHARDS]);

/// Apart, so that two threads do not share a cache line.
#[repr(align(128))]
#[derive(Debug)]
struct Shard(Mutex<List>);

#[derive(Debug)]
struct List {
    objects: Vec<Object>,
    /// What the objects take.
    size_bytes: usize,
    sweep_at_bytes: usize,
}

impl List {
    const EMPTY: List = List {
        objects: Vec::new(),
        size_bytes: 0,
        sweep_at_bytes: SWEEP_BYTES,
    };

    fn push(&mut self, object: Object, size_bytes: usize) {
        self.objects.push(object);
        self.size_bytes += size_bytes;
        if self.size_bytes > self.sweep_at_bytes {
            self.sweep();
        }
    }

    #[cold]
    fn sweep(&mut self) {
        // SAFETY: invariant 1.
        self.objects
            .retain(|object| unsafe { keep_living(*object) });
        // SAFETY: invariant 1.
        let sizes = self
            .objects
            .iter()
            .map(|object| unsafe { size_bytes(*object) });
        self.size_bytes = sizes.sum();
        self.sweep_at_bytes = (2 * self.size_bytes).max(SWEEP_BYTES);
    }
}

/// # Safety
///
/// The object is allocated.
unsafe fn size_bytes(object: Object) -> usize {
    // SAFETY: the caller's.
    let vtable = unsafe { object.head() }.vtable;
    // SAFETY: the caller's.
    unsafe { (vtable.layout)(object) }.0.size()
}

/// Gives the hold of an entry up if its value is gone, and no `Weak` handle keeps its memory
/// anyway; false if so.
///
/// # Safety
///
/// The caller has the hold.
pub(crate) unsafe fn keep_living(object: Object) -> bool {
    // SAFETY: the hold keeps the memory.
    let is_used = unsafe { object.head() }.second.weak() != 0;
    if !is_used {
        // SAFETY: the caller's.
        unsafe { release_hold(object) };
    }
    is_used
}

/// Gives a hold up, and the memory back if it was the last that kept it.
///
/// # Safety
///
/// The caller has the hold.
pub(crate) unsafe fn release_hold(object: Object) {
    // SAFETY: the hold keeps the memory.
    if unsafe { object.head() }.second.release_hold() {
        // SAFETY: nothing refers to it any more; its value is gone.
        unsafe { free_any(object) };
    }
}

/// Lists an object whose `UNSHARED` the caller has just cleared.
///
/// # Safety
///
/// The caller has a handle.
#[cold]
pub(crate) unsafe fn list(object: Object) {
    // SAFETY: the handle keeps the object.
    unsafe { object.head() }.second.hold();
    // SAFETY: as above.
    let size_bytes = unsafe { size_bytes(object) };
    let shards = &domain().shards.0;
    let shard = local::with(local::Local::number) % shards.len();
    lock(&shards[shard].0).push(object, size_bytes);
}

impl Shards {
    maybe_const! {
        pub(crate) fn new() -> Self {
            #[cfg(not(loom))]
            return Shards([const { Shard(Mutex::new(List::EMPTY)) }; SHARDS]);
            #[cfg(loom)]
            Shards([Shard(Mutex::new(List::EMPTY))])
        }
    }

    /// Takes the entries, holds and all.
    pub(crate) fn take(&self, into: &mut impl Extend<Object>) {
        for shard in &self.0 {
            let taken = std::mem::replace(&mut *lock(&shard.0), List::EMPTY);
            into.extend(taken.objects);
        }
    }

    /// The number of entries.
    pub(crate) fn len(&self) -> usize {
        self.0
            .iter()
            .map(|shard| lock(&shard.0).objects.len())
            .sum()
    }
}

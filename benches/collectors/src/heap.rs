//! What a row needs of a crate.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A crate's counted or traced handles.
pub trait Heap: 'static {
    /// It frees cycles.
    const COLLECTS: bool = true;
    /// It collects by itself; else a row asks every 1000 operations.
    const AUTOMATIC: bool = true;
    /// It has weak handles.
    const WEAK: bool = true;
    /// A handle to a node.
    type Handle: Clone + 'static;

    /// A node without links.
    fn new(v: u64) -> Self::Handle;
    /// A link to `to` from the node `from`.
    fn link(from: &Self::Handle, to: Self::Handle);
    /// The node's number.
    fn value(handle: &Self::Handle) -> u64;
    /// The number, read through a weak handle made for it; 0 if there are none.
    fn value_through_weak(_: &Self::Handle) -> u64 {
        0
    }
    /// A full collection.
    fn collect() {}
}

/// How many nodes are alive. One thread counts, so loads and stores do.
static ALIVE: AtomicUsize = AtomicUsize::new(0);

/// Nodes that were made and not yet dropped.
#[must_use]
pub fn alive() -> usize {
    // ORDERING: Relaxed: only one thread makes and drops nodes.
    ALIVE.load(Ordering::Relaxed)
}

/// Counts the node it is in.
#[derive(Debug)]
pub struct Tally(());

impl Tally {
    /// One more.
    #[inline]
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "it counts: nothing should make it by default"
    )]
    pub fn new() -> Self {
        // ORDERING: Relaxed: as in `alive`.
        ALIVE.store(alive().wrapping_add(1), Ordering::Relaxed);
        Self(())
    }
}

impl Drop for Tally {
    #[inline]
    fn drop(&mut self) {
        // ORDERING: Relaxed: as in `alive`.
        ALIVE.store(alive().wrapping_sub(1), Ordering::Relaxed);
    }
}

//! `snapshot`, and what one can ask of it.

use std::ptr::NonNull;

use super::capture::Capture;
use super::graph::ObjectGraph;
use super::handle::Handle;
use super::ids;
use super::node::Node;
use super::stacks::Frame;
use crate::header::Header;
use crate::sync::objgraph as shared;

/// What a snapshot asks besides the objects themselves.
///
/// ```
/// use cyclegc::{Gc, objgraph::{Frame, SnapshotOptions}};
///
/// let list = Gc::new(vec![Gc::new(1)]);
/// let origin = |_address: usize| vec![Frame::at("src/main.rs", 4)];
/// let graph = SnapshotOptions::new().stacks(&origin).snapshot();
/// assert_eq!(graph.find(&list).unwrap().stack()[0].line, 4);
/// ```
#[derive(Clone, Copy, Default)]
pub struct SnapshotOptions<'a> {
    pub(super) stacks: Option<&'a dyn Fn(usize) -> Vec<Frame>>,
    /// Object and identity of the handle that asks.
    pub(super) asker: Option<(NonNull<Header>, usize)>,
}

impl<'a> SnapshotOptions<'a> {
    /// Nothing besides.
    ///
    /// ```
    /// assert!(cyclegc::objgraph::SnapshotOptions::new().snapshot().is_empty());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks where each object was made: `stack_of` is given the address at which its
    /// memory starts, and says the calls, innermost first.
    ///
    /// For what traces the global allocator, as `tracemalloc::object_stacks`. Objects lie in
    /// pools, of which that sees only the whole; those of more than 3584 bytes have memory of
    /// their own, and built with `--cfg cyclegc_alone` each has.
    ///
    /// ```
    /// # use cyclegc::objgraph::SnapshotOptions;
    /// let graph = SnapshotOptions::new().stacks(&|_| Vec::new()).snapshot();
    /// # let _ = graph;
    /// ```
    #[must_use]
    pub fn stacks(mut self, stack_of: &'a dyn Fn(usize) -> Vec<Frame>) -> Self {
        self.stacks = Some(stack_of);
        self
    }

    /// Does not count `handle` itself among the handles from outside: it is the one
    /// with which somebody asks. It counts if it lies in an object of the graph. The object
    /// of a [`sync`](crate::sync) handle is in no such graph: nothing changes then.
    ///
    /// ```
    /// use cyclegc::{Gc, objgraph::SnapshotOptions};
    ///
    /// let asked = Gc::new(vec![Gc::new(1)]);
    /// let graph = SnapshotOptions::new().asked_with(&asked).snapshot();
    /// assert!(!graph.find(&asked).unwrap().is_root());
    /// ```
    #[must_use]
    pub fn asked_with(mut self, handle: &'a impl Handle) -> Self {
        // A shared object is not in this graph.
        if !handle.is_shared() {
            self.asker = Some((handle.object().cast(), handle.identity()));
        }
        self
    }

    /// Takes the snapshot; see [`snapshot`].
    ///
    /// # Panics
    ///
    /// As [`snapshot`].
    ///
    /// ```
    /// assert!(cyclegc::objgraph::SnapshotOptions::new().snapshot().is_empty());
    /// ```
    #[must_use]
    pub fn snapshot(self) -> ObjectGraph {
        Capture::new(self).run()
    }
}

impl std::fmt::Debug for SnapshotOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SnapshotOptions")
            .field("stacks", &self.stacks.is_some())
            .finish_non_exhaustive()
    }
}

/// The graph of this thread's objects as they are now.
///
/// Tracked objects, frozen ones too, and all that they refer to. Untracked objects
/// that only local variables hold are not found, nor are objects that a `&mut` from
/// [`Gc::get_mut`](crate::Gc::get_mut) may reach. Nothing is collected first, so
/// garbage that waits for the collector is there: [`collect`](crate::collect) before
/// to leave it out.
///
/// Costs a visit to every object and link, about half a microsecond each, and the
/// memory of the graph once more while it is made. Objects are not touched, but for a
/// flag and a number in their headers.
///
/// # Panics
///
/// If a `trace_edges` that was written by hand does.
///
/// ```
/// use cyclegc::{Gc, objgraph};
///
/// let list = Gc::new(vec![Gc::new(1), Gc::new(2)]);
/// let graph = objgraph::snapshot();
/// assert_eq!((graph.len(), graph.link_count()), (3, 2));
/// # drop(list);
/// ```
#[must_use]
pub fn snapshot() -> ObjectGraph {
    SnapshotOptions::new().snapshot()
}

/// A snapshot in which the asking handle is not counted, and the object's place in it.
pub(super) fn snapshot_for(handle: &impl Handle) -> (ObjectGraph, Option<usize>) {
    let graph = if handle.is_shared() {
        shared::snapshot_for(handle)
    } else {
        SnapshotOptions::new().asked_with(handle).snapshot()
    };
    let index = graph.find(handle).map(Node::index);
    (graph, index)
}

impl ObjectGraph {
    /// The node of an object, if the object was there.
    ///
    /// Costs a look at all nodes.
    ///
    /// ```
    /// use cyclegc::{Gc, objgraph};
    ///
    /// let graph = objgraph::snapshot();
    /// assert!(graph.find(&Gc::new([Gc::new(1)])).is_none());
    /// ```
    #[must_use]
    pub fn find(&self, handle: &impl Handle) -> Option<Node<'_>> {
        if handle.is_shared() != self.is_shared {
            return None;
        }
        let id = if self.is_shared {
            shared::known_id(handle)
        } else {
            // SAFETY: a handle keeps its object allocated.
            unsafe { ids::known(handle.object().cast()) }
        };
        self.by_id(id?)
    }
}

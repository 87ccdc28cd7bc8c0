//! `snapshot`, where it begins, and what one can ask of it.

use super::capture::capture;
use super::ids;
use crate::objgraph::{Frame, Handle as AnyHandle, ObjectGraph, ObjectId};
use crate::sync::header::Object;
use crate::sync::{AnyGc, Gc};

/// A handle to an object that threads share: a [`Gc`] or an [`AnyGc`].
///
/// ```
/// use cyclegc::sync::{AnyGc, Gc, objgraph};
///
/// let any = AnyGc::from(Gc::new(1));
/// let graph = objgraph::SnapshotOptions::new().root(&any).snapshot();
/// assert_eq!(graph.find(&any).unwrap().type_name(), "i32");
/// ```
pub trait Handle: AnyHandle {}

impl<T: ?Sized> Handle for Gc<T> {}
impl Handle for AnyGc {}

/// Where a snapshot begins, and what it asks besides the objects themselves.
///
/// ```
/// use std::sync::Mutex;
/// use cyclegc::sync::{Gc, objgraph::SnapshotOptions};
///
/// let list = Gc::new(Mutex::new(vec![Gc::new(1)]));
/// let graph = SnapshotOptions::new().root(&list).snapshot();
/// assert_eq!(graph.find(&list).unwrap().links().len(), 1);
/// ```
#[derive(Clone, Default)]
pub struct SnapshotOptions<'a> {
    pub(super) stacks: Option<&'a dyn Fn(usize) -> Vec<Frame>>,
    /// Objects of borrowed handles.
    pub(super) roots: Vec<Object>,
    /// Object and identity of the handle that asks.
    pub(super) asker: Option<(Object, usize)>,
}

impl<'a> SnapshotOptions<'a> {
    /// What suspects and saved garbage reach.
    ///
    /// ```
    /// use cyclegc::sync::{Gc, objgraph::SnapshotOptions};
    ///
    /// let list = Gc::new(vec![Gc::new(1)]);
    /// let other = list.clone(); // makes it a suspect
    /// assert_eq!(SnapshotOptions::new().snapshot().len(), 2);
    /// # drop(other);
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an object, and what it reaches.
    ///
    /// The handle counts as one from outside, unless it lies in an object of the graph.
    ///
    /// ```
    /// use cyclegc::sync::{Gc, objgraph::SnapshotOptions};
    ///
    /// let (one, two) = (Gc::new('x'), Gc::new('y'));
    /// let graph = SnapshotOptions::new().root(&one).root(&two).snapshot();
    /// assert_eq!(graph.len(), 2);
    /// assert!(graph.find(&one).unwrap().is_root());
    /// ```
    #[must_use]
    pub fn root(mut self, handle: &'a impl Handle) -> Self {
        self.roots.push(Object(handle.object().cast()));
        self
    }

    /// Asks where each object was made: `stack_of` is given the address at which its
    /// memory starts, and says the calls, innermost first.
    ///
    /// For what traces the global allocator, as `tracemalloc::object_stacks`: each object has
    /// a block of its own. `stack_of` runs when the snapshot is taken and no lock is held: an
    /// object may have died since.
    ///
    /// ```
    /// use cyclegc::objgraph::Frame;
    /// use cyclegc::sync::{Gc, objgraph::SnapshotOptions};
    ///
    /// let one = Gc::new(1);
    /// let origin = |_address: usize| vec![Frame::at("src/main.rs", 4)];
    /// let graph = SnapshotOptions::new().root(&one).stacks(&origin).snapshot();
    /// assert_eq!(graph.find(&one).unwrap().stack()[0].line, 4);
    /// ```
    #[must_use]
    pub fn stacks(mut self, stack_of: &'a dyn Fn(usize) -> Vec<Frame>) -> Self {
        self.stacks = Some(stack_of);
        self
    }

    /// Adds an object as [`root`](Self::root) does, but does not count `handle` itself among
    /// those from outside: it is the one with which somebody asks. It counts if it lies in an
    /// object of the graph whose edges have names.
    ///
    /// ```
    /// use cyclegc::sync::{Gc, objgraph::SnapshotOptions};
    ///
    /// let asked = Gc::new(1);
    /// let graph = SnapshotOptions::new().asked_with(&asked).snapshot();
    /// assert!(!graph.find(&asked).unwrap().is_root());
    /// ```
    #[must_use]
    pub fn asked_with(self, handle: &'a impl Handle) -> Self {
        self.asked_by(handle)
    }

    fn asked_by(mut self, handle: &'a impl AnyHandle) -> Self {
        let object = Object(handle.object().cast());
        self.roots.push(object);
        self.asker = Some((object, handle.identity()));
        self
    }

    /// Takes the snapshot; see [`snapshot`].
    ///
    /// ```
    /// assert!(cyclegc::sync::objgraph::SnapshotOptions::new().snapshot().is_empty());
    /// ```
    #[must_use]
    pub fn snapshot(self) -> ObjectGraph {
        capture(&self)
    }
}

impl std::fmt::Debug for SnapshotOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SnapshotOptions")
            .field("roots", &self.roots.len())
            .field("stacks", &self.stacks.is_some())
            .finish_non_exhaustive()
    }
}

/// The graph of what suspects and saved garbage reach, of all threads, now.
///
/// The module says what that leaves out, and what threads may do meanwhile;
/// [`SnapshotOptions::root`] adds to it. Nothing is collected first, so garbage that waits
/// for the collector is there: [`collect`](crate::sync::collect) before to leave it out.
///
/// Waits for a collection of another thread's, not for its finalizers and destructors. Then
/// costs a visit to every object and link, and the memory of the graph once more while it is
/// made. A panic in a `trace_edges` that was written by hand goes to
/// [`set_unraisable_hook`](crate::sync::set_unraisable_hook). A panic hook that runs because
/// of such a one, or of one in `trace`, gets an empty graph: its thread has the collector.
///
/// ```
/// use std::sync::Mutex;
/// use cyclegc::sync::{AnyGc, Gc, objgraph};
///
/// let list = Gc::new(Mutex::new(Vec::<AnyGc>::new()));
/// list.lock().unwrap().push((&list).into());
/// drop(list);
/// let graph = objgraph::snapshot();
/// assert_eq!(graph.cycles().garbage_count(), 1);
/// ```
#[must_use]
pub fn snapshot() -> ObjectGraph {
    SnapshotOptions::new().snapshot()
}

/// A snapshot that a handle to a shared object asks for.
pub(crate) fn snapshot_for(handle: &impl AnyHandle) -> ObjectGraph {
    SnapshotOptions::new().asked_by(handle).snapshot()
}

/// The number of a shared object, if a snapshot gave it one.
pub(crate) fn known_id(handle: &impl AnyHandle) -> Option<ObjectId> {
    // SAFETY: a handle keeps its object allocated.
    unsafe { ids::known(Object(handle.object().cast())) }
}

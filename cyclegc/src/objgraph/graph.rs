//! `ObjectGraph`: the objects at one moment, as plain data.
//!
//! Nodes are objects, links are the handles between them. Nothing in a graph keeps
//! an object alive or knows its memory: it can be sent to another thread, kept, and
//! compared with a later one. Everything is in arrays, links sorted by their source:
//!
//! ```text
//!  nodes    type  size  count  id ..          links   target  name  weak
//!  #0  -----------+                             0 <---- starts[0]
//!  #1             |                             1
//!  ..             +--> types                    2 <---- starts[1]
//! ```
//!
//! # Invariants
//!
//! 1. `starts` has one entry more than there are nodes and does not decrease;
//!    node `n`'s links are `starts[n]..starts[n + 1]`.
//! 2. Targets are below the number of nodes.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

use super::names::{Name, Names, write_name};
use super::referrers::Referrers;
use super::stacks::{Frame, Stacks};
use crate::generation::Generation;

/// The object graph at one moment.
///
/// [`snapshot`](super::snapshot) takes one of this thread's objects,
/// [`GraphBuilder`](super::GraphBuilder) makes one of anything. It holds no handle:
/// objects may die, and their addresses be used again, while it says what was.
///
/// Costs about 45 bytes an object and 13 a link; see [`Self::memory_bytes`].
///
/// ```
/// use cyclegc::{Gc, objgraph};
///
/// let leaf = Gc::new(7);
/// let pair = Gc::new((leaf.clone(), leaf));
/// let graph = objgraph::snapshot();
/// let node = graph.find(&pair).unwrap();
/// assert_eq!(node.outside_count(), 1); // `pair` itself
/// let names: Vec<_> = node.links().map(|link| link.name()).collect();
/// assert_eq!(names, [".0", ".1"]);
/// ```
pub struct ObjectGraph {
    pub(super) types: Vec<TypeEntry>,
    pub(super) nodes: Vec<NodeEntry>,
    pub(super) starts: Vec<u32>,
    pub(super) targets: Vec<u32>,
    pub(super) link_names: Vec<Name>,
    pub(super) weak: Vec<bool>,
    pub(super) names: Names,
    pub(super) stacks: Stacks,
    /// Where handles from outside were made, by node.
    pub(super) origins: HashMap<usize, Vec<String>>,
    pub(super) referrers: OnceLock<Referrers>,
}

/// A type of which there are objects.
pub(super) struct TypeEntry {
    pub(super) name: Box<str>,
    pub(super) has_finalizer: bool,
}

/// What is known of an object.
#[derive(Clone, Copy)]
pub(super) struct NodeEntry {
    pub(super) address: usize,
    pub(super) size_bytes: usize,
    pub(super) id: ObjectId,
    pub(super) type_number: u32,
    pub(super) ref_count: u32,
    /// Handles that no node's link is.
    pub(super) outside_count: u32,
    /// 0 is none.
    pub(super) stack: u32,
    pub(super) flags: NodeFlags,
}

bitflags::bitflags! {
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(super) struct NodeFlags: u8 {
        /// Generation index, 3 if frozen.
        const GENERATION = 3;
        const TRACKED = 1 << 2;
        const HIDES_LINKS = 1 << 3;
        const SAVED = 1 << 4;
        const FINALIZED = 1 << 5;
    }
}

/// Names an object for as long as it lives, and no other.
///
/// Objects get their numbers, from 1, when a snapshot first sees them, so a higher
/// number is a newer object. Python's `id` is an address, and soon another's.
///
/// ```
/// use cyclegc::{Gc, objgraph};
///
/// let one = Gc::new([Gc::new(1)]);
/// let id = objgraph::snapshot().find(&one).unwrap().id();
/// assert_eq!(objgraph::snapshot().find(&one).unwrap().id(), id);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ObjectId(pub(super) u32);

impl ObjectId {
    /// The number itself.
    ///
    /// ```
    /// # use cyclegc::{Gc, objgraph};
    /// let one = Gc::new([Gc::new(1)]);
    /// let id = objgraph::snapshot().find(&one).unwrap().id();
    /// assert_eq!(id.to_string(), format!("#{}", id.number()));
    /// ```
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl ObjectGraph {
    /// The number of objects.
    ///
    /// ```
    /// let list = cyclegc::Gc::new(vec![cyclegc::Gc::new(1)]);
    /// assert_eq!(cyclegc::objgraph::snapshot().len(), 2);
    /// # drop(list);
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are no objects.
    ///
    /// ```
    /// assert!(cyclegc::objgraph::snapshot().is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The number of links, weak ones included.
    ///
    /// ```
    /// let list = cyclegc::Gc::new(vec![cyclegc::Gc::new(1)]);
    /// assert_eq!(cyclegc::objgraph::snapshot().link_count(), 1);
    /// # drop(list);
    /// ```
    #[must_use]
    pub fn link_count(&self) -> usize {
        self.targets.len()
    }

    /// The bytes of all objects, with the buffers they own.
    ///
    /// ```
    /// let bytes = cyclegc::Gc::new((vec![0_u8; 1000], cyclegc::Gc::new(1)));
    /// assert!(cyclegc::objgraph::snapshot().total_bytes() > 1000);
    /// # drop(bytes);
    /// ```
    #[must_use]
    pub fn total_bytes(&self) -> usize {
        self.nodes.iter().map(|node| node.size_bytes).sum()
    }

    /// The bytes that this graph takes itself, without what is computed from it.
    ///
    /// ```
    /// let graph = cyclegc::objgraph::snapshot();
    /// assert!(graph.memory_bytes() < 4096);
    /// ```
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<NodeEntry>()
            + (self.starts.capacity() + self.targets.capacity()) * size_of::<u32>()
            + self.link_names.capacity() * size_of::<Name>()
            + self.weak.capacity()
            + self.names.memory_bytes()
            + self.stacks.memory_bytes()
    }

    /// All objects, those that others refer to after the others' first.
    ///
    /// ```
    /// use cyclegc::{Gc, objgraph};
    ///
    /// let list = Gc::new(vec![Gc::new(1), Gc::new(2)]);
    /// let graph = objgraph::snapshot();
    /// assert_eq!(graph.nodes().filter(|n| n.type_name() == "i32").count(), 2);
    /// # drop(list);
    /// ```
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = Node<'_>> + DoubleEndedIterator {
        (0..self.nodes.len()).map(|index| self.node(index))
    }

    /// The object at this place in [`Self::nodes`].
    ///
    /// # Panics
    ///
    /// If there are not so many.
    ///
    /// ```
    /// # use cyclegc::{Gc, objgraph};
    /// let list = Gc::new(vec![Gc::new(1)]);
    /// let graph = objgraph::snapshot();
    /// assert_eq!(graph.node(1).index(), 1);
    /// ```
    #[must_use]
    pub fn node(&self, index: usize) -> Node<'_> {
        assert!(index < self.nodes.len(), "there are {} nodes", self.len());
        Node { graph: self, index }
    }

    /// The object with this number, if it was alive.
    ///
    /// Costs a look at all objects.
    ///
    /// ```
    /// # use cyclegc::{Gc, objgraph};
    /// let list = Gc::new(vec![Gc::new(1)]);
    /// let graph = objgraph::snapshot();
    /// let id = graph.node(0).id();
    /// assert_eq!(graph.by_id(id).unwrap().index(), 0);
    /// ```
    #[must_use]
    pub fn by_id(&self, id: ObjectId) -> Option<Node<'_>> {
        let index = self.nodes.iter().position(|node| node.id == id)?;
        Some(self.node(index))
    }

    /// The links of a node.
    pub(super) fn links_of(&self, node: usize) -> Range<usize> {
        self.starts[node] as usize..self.starts[node + 1] as usize
    }

    /// A link of a node.
    pub(super) fn link(&self, source: usize, link: usize) -> Link<'_> {
        Link {
            graph: self,
            source,
            link,
        }
    }

    /// Targets of the links of a node that keep them alive.
    pub(super) fn strong_targets(&self, node: usize) -> impl Iterator<Item = u32> {
        self.links_of(node)
            .filter(|link| !self.weak[*link])
            .map(|link| self.targets[link])
    }

    pub(super) fn referrers(&self) -> &Referrers {
        self.referrers.get_or_init(|| Referrers::of(self))
    }
}

impl fmt::Debug for ObjectGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectGraph")
            .field("nodes", &self.len())
            .field("links", &self.link_count())
            .finish_non_exhaustive()
    }
}

/// An object in an [`ObjectGraph`].
///
/// ```
/// use cyclegc::{Gc, objgraph};
///
/// let list = Gc::new(vec![Gc::new(1)]);
/// let graph = objgraph::snapshot();
/// let node = graph.find(&list).unwrap();
/// assert!(node.is_tracked() && node.is_root());
/// assert_eq!(node.short_type_name(), "Vec<Gc<i32>>");
/// ```
#[derive(Clone, Copy)]
pub struct Node<'g> {
    pub(super) graph: &'g ObjectGraph,
    pub(super) index: usize,
}

impl<'g> Node<'g> {
    pub(super) fn entry(self) -> &'g NodeEntry {
        &self.graph.nodes[self.index]
    }

    fn type_entry(self) -> &'g TypeEntry {
        &self.graph.types[self.entry().type_number as usize]
    }

    /// Its place in [`ObjectGraph::nodes`].
    #[must_use]
    pub fn index(self) -> usize {
        self.index
    }

    /// Its number, the same in all graphs it is in.
    #[must_use]
    pub fn id(self) -> ObjectId {
        self.entry().id
    }

    /// Where it was.
    #[must_use]
    pub fn address(self) -> usize {
        self.entry().address
    }

    /// Its type, with modules.
    #[must_use]
    pub fn type_name(self) -> &'g str {
        &self.type_entry().name
    }

    /// Its type, without modules.
    #[must_use]
    pub fn short_type_name(self) -> String {
        super::short_type_name(self.type_name())
    }

    /// Whether its type has a finalizer (objgraph marks `__del__`).
    #[must_use]
    pub fn has_finalizer(self) -> bool {
        self.type_entry().has_finalizer
    }

    /// Its bytes: header, value, and what the value owns besides, such as a vector's
    /// buffer.
    #[must_use]
    pub fn size(self) -> usize {
        self.entry().size_bytes
    }

    /// The number of handles to it.
    #[must_use]
    pub fn ref_count(self) -> usize {
        self.entry().ref_count as usize
    }

    /// The number of handles to it that no object of the graph holds: local variables,
    /// statics, what is behind an `Rc`, and cells that were borrowed.
    #[must_use]
    pub fn outside_count(self) -> usize {
        self.entry().outside_count as usize
    }

    /// Whether a handle from outside keeps it alive (objgraph: `is_proper_module`).
    #[must_use]
    pub fn is_root(self) -> bool {
        self.entry().outside_count > 0
    }

    /// Whether the collector knows it (`gc.is_tracked`).
    #[must_use]
    pub fn is_tracked(self) -> bool {
        self.entry().flags.contains(NodeFlags::TRACKED)
    }

    /// Whether [`garbage`](crate::garbage) holds it.
    #[must_use]
    pub fn is_saved(self) -> bool {
        self.entry().flags.contains(NodeFlags::SAVED)
    }

    /// Whether its finalizer has run (`gc.is_finalized`).
    #[must_use]
    pub fn is_finalized(self) -> bool {
        self.entry().flags.contains(NodeFlags::FINALIZED)
    }

    /// Whether it holds something that could not be looked at, a borrowed cell for
    /// one: what that refers to seems to be held from outside.
    #[must_use]
    pub fn hides_links(self) -> bool {
        self.entry().flags.contains(NodeFlags::HIDES_LINKS)
    }

    /// Its generation; `None` if it is untracked or frozen.
    #[must_use]
    pub fn generation(self) -> Option<Generation> {
        let index = (self.entry().flags & NodeFlags::GENERATION).bits();
        let generation = Generation::try_from(usize::from(index)).ok();
        generation.filter(|_| self.is_tracked())
    }

    /// Where the handles from outside were made or cloned, oldest first. Known only if the
    /// program is built with `--cfg cyclegc_provenance`; a handle that a hand-written
    /// [`Trace`](crate::Trace) reports without a name is listed, too.
    #[must_use]
    pub fn origins(self) -> &'g [String] {
        self.graph
            .origins
            .get(&self.index)
            .map_or(&[], Vec::as_slice)
    }

    /// Where it was made, innermost call first; empty if nobody took note. See
    /// [`SnapshotOptions`](super::SnapshotOptions).
    #[must_use]
    pub fn stack(self) -> Vec<Frame> {
        self.graph.stacks.frames(self.entry().stack)
    }

    /// The handles it holds.
    pub fn links(self) -> impl ExactSizeIterator<Item = Link<'g>> {
        let Node { graph, index } = self;
        graph
            .links_of(index)
            .map(move |link| graph.link(index, link))
    }

    /// The handles that other objects hold to it.
    ///
    /// The first call for a graph costs a look at all links; then only what it gives.
    pub fn referrers(self) -> impl ExactSizeIterator<Item = Link<'g>> {
        let graph = self.graph;
        graph
            .referrers()
            .of_node(self.index)
            .map(move |(source, link)| graph.link(source, link))
    }
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Node<'_> {
    /// `Node #17`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.short_type_name(), self.id())
    }
}

impl PartialEq for Node<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.graph, other.graph) && self.index == other.index
    }
}

impl Eq for Node<'_> {}

/// A handle that one object of a graph holds to another.
///
/// ```
/// use cyclegc::{Gc, objgraph};
///
/// let list = Gc::new(vec![Gc::new(1)]);
/// let graph = objgraph::snapshot();
/// let link = graph.find(&list).unwrap().links().next().unwrap();
/// assert_eq!((link.name().as_str(), link.target().type_name()), ("[0]", "i32"));
/// ```
#[derive(Clone, Copy)]
pub struct Link<'g> {
    graph: &'g ObjectGraph,
    source: usize,
    link: usize,
}

impl<'g> Link<'g> {
    /// The object that holds the handle.
    #[must_use]
    pub fn source(self) -> Node<'g> {
        self.graph.node(self.source)
    }

    /// The object that it refers to.
    #[must_use]
    pub fn target(self) -> Node<'g> {
        self.graph.node(self.graph.targets[self.link] as usize)
    }

    /// Whether it does not keep its target alive.
    #[must_use]
    pub fn is_weak(self) -> bool {
        self.graph.weak[self.link]
    }

    /// Where in the source the handle is, as in [`Edge`](crate::Edge).
    #[must_use]
    pub fn name(self) -> String {
        self.to_string()
    }

    /// Its source and its own number.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the builder has counted both"
    )]
    pub(super) fn numbers(self) -> (u32, u32) {
        (self.source as u32, self.link as u32)
    }

    /// Equal for equal names.
    pub(super) fn name_key(self) -> (u32, u32) {
        self.graph.link_names[self.link].key()
    }

    pub(super) fn name_parts(self) -> (&'g str, Option<u32>) {
        self.graph.names.parts(self.graph.link_names[self.link])
    }
}

impl fmt::Display for Link<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_name(f, self.name_parts())
    }
}

impl fmt::Debug for Link<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{} -> {}", self.source(), self, self.target())
    }
}

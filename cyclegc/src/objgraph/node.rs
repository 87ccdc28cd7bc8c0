//! `Node` and `Link`: an object of a graph, and a handle in it.

use std::fmt;

use super::graph::{NodeEntry, NodeFlags, ObjectGraph, ObjectId, TypeEntry};
use super::names::write_name;
use super::stacks::Frame;
use crate::generation::Generation;

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
    pub(super) graph: &'g ObjectGraph,
    pub(super) source: usize,
    pub(super) link: usize,
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

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

use super::names::{Name, Names};
use super::node::{Link, Node};
use super::referrers::Referrers;
use super::stacks::Stacks;

/// The object graph at one moment.
///
/// [`snapshot`](super::snapshot) takes one of this thread's objects,
/// [`sync::objgraph`](crate::sync::objgraph) of those that threads share,
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
    /// Of objects that threads share.
    pub(super) is_shared: bool,
}

/// A type of which there are objects.
pub(super) struct TypeEntry {
    pub(super) name: Box<str>,
    pub(super) has_finalizer: bool,
}

/// What is known of an object.
#[derive(Clone, Copy)]
pub(crate) struct NodeEntry {
    pub(crate) address: usize,
    pub(crate) size_bytes: usize,
    pub(crate) id: ObjectId,
    pub(crate) type_number: u32,
    pub(crate) ref_count: u32,
    /// Handles that no node's link is.
    pub(crate) outside_count: u32,
    /// 0 is none.
    pub(crate) stack: u32,
    pub(crate) flags: NodeFlags,
}

bitflags::bitflags! {
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(crate) struct NodeFlags: u8 {
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
pub struct ObjectId(pub(crate) u32);

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

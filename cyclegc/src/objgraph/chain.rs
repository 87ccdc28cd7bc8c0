//! Shortest chains of references.

use std::collections::VecDeque;
use std::fmt;

use super::census::at_ids;
use super::graph::{ObjectGraph, ObjectId};
use super::handle::Handle;
use super::node::{Link, Node};
use super::snapshot::snapshot_for;
use crate::any::AnyGc;

/// A chain of objects, each holding a handle to the next.
///
/// Plain data: it keeps nothing alive. Prints one object a line.
///
/// ```
/// use cyclegc::{Gc, objgraph};
///
/// let inner = Gc::new(vec![Gc::new('x')]);
/// let outer = Gc::new((1, inner));
/// let chain = objgraph::find_ref_chain(&outer, |node| node.type_name() == "char");
/// let names: Vec<_> = chain.steps.iter().map(|step| step.link.as_deref()).collect();
/// assert_eq!(names, [Some(".1"), Some("[0]"), None]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// From the first object to the last.
    pub steps: Vec<Step>,
    pub(super) is_shared: bool,
}

/// An object of a [`Chain`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The object.
    pub id: ObjectId,
    /// Its type, without modules.
    pub type_name: String,
    /// The number of handles to it that no object holds.
    pub outside_count: usize,
    /// Where in it the handle to the next one is; `None` for the last.
    pub link: Option<String>,
    pub(super) has_finalizer: bool,
}

/// Which way links are followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Toward {
    Refs,
    Backrefs,
}

impl Chain {
    fn empty(graph: &ObjectGraph) -> Self {
        Chain {
            steps: Vec::new(),
            is_shared: graph.is_shared,
        }
    }

    fn new(last: Node<'_>) -> Self {
        let mut chain = Self::empty(last.graph);
        chain.push(last, None);
        chain
    }

    fn push(&mut self, node: Node<'_>, link: Option<Link<'_>>) {
        self.steps.push(Step {
            id: node.id(),
            type_name: node.short_type_name(),
            outside_count: node.outside_count(),
            link: link.map(Link::name),
            has_finalizer: node.has_finalizer(),
        });
    }

    /// Handles to the objects, or to those that are still alive, in the chain's order;
    /// none if they are not this thread's ([`sync::objgraph::at_ids`] gives shared ones).
    ///
    /// [`sync::objgraph::at_ids`]: crate::sync::objgraph::at_ids
    ///
    /// Costs a visit to every object.
    ///
    /// ```
    /// use cyclegc::{AnyGc, Gc, objgraph};
    ///
    /// let list = Gc::new(vec![Gc::new('x')]);
    /// let chain = objgraph::find_ref_chain(&list, |node| node.type_name() == "char");
    /// assert_eq!(chain.objects(), [AnyGc::from(&list), AnyGc::from(&list[0])]);
    /// ```
    #[must_use]
    pub fn objects(&self) -> Vec<AnyGc> {
        if self.is_shared {
            return Vec::new();
        }
        let ids: Vec<ObjectId> = self.steps.iter().map(|step| step.id).collect();
        let mut found = at_ids(&ids);
        found.sort_by_key(|object| {
            // SAFETY: a handle keeps its object allocated.
            let id = unsafe { super::ids::known(object.header()) };
            ids.iter().position(|known| Some(*known) == id)
        });
        found
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, step) in self.steps.iter().enumerate() {
            let indent = 2 * depth.min(20);
            write!(f, "{:indent$}{} {}", "", step.type_name, step.id)?;
            match step.outside_count {
                0 => {}
                1 => f.write_str(", held from outside by 1 handle")?,
                count => write!(f, ", held from outside by {count} handles")?,
            }
            match &step.link {
                Some(link) => writeln!(f, "\n{:indent$}  {link}", "")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}

const UNREACHED: (u32, u32) = (u32::MAX, u32::MAX);

/// How far [`find_ref_chain`] and [`find_backref_chain`] look: objgraph's `max_depth`.
pub const MAX_CHAIN_DEPTH: usize = 20;

/// The shortest chain from an object to one that suits `predicate` (objgraph's
/// `find_ref_chain`).
///
/// Only the object itself if there is none within [`MAX_CHAIN_DEPTH`]. Weak references
/// are not followed. The handle that asks does not count as one from outside. Costs a
/// snapshot; [`ObjectGraph::ref_chain`] asks one that is there.
///
/// ```
/// use cyclegc::{Gc, objgraph};
///
/// let list = Gc::new(vec![Gc::new('x')]);
/// let chain = objgraph::find_ref_chain(&list, |node| node.type_name() == "char");
/// assert_eq!(chain.steps.len(), 2);
/// ```
///
/// # Panics
///
/// As [`snapshot`](super::snapshot), and if `predicate` does.
#[must_use]
pub fn find_ref_chain(from: &impl Handle, predicate: impl Fn(Node<'_>) -> bool) -> Chain {
    let (graph, node) = snapshot_for(from);
    let chain = |node| graph.ref_chain(graph.node(node), MAX_CHAIN_DEPTH, predicate);
    node.map(chain).unwrap_or_default()
}

/// The shortest chain to an object from one that suits `predicate` (objgraph's
/// `find_backref_chain`).
///
/// Only the object itself if there is none within [`MAX_CHAIN_DEPTH`]. As
/// [`find_ref_chain`] otherwise. [`Node::is_root`] is the predicate for "who keeps it
/// alive"; [`why_alive`](super::why_alive) says more.
///
/// ```
/// use cyclegc::{Gc, objgraph};
///
/// let inner = Gc::new(vec![Gc::new('x')]);
/// let outer = Gc::new((1, inner.clone()));
/// let chain = objgraph::find_backref_chain(&inner, |node| node.is_root());
/// assert_eq!(chain.objects()[0], (&outer).into());
/// ```
///
/// # Panics
///
/// As [`find_ref_chain`].
#[must_use]
pub fn find_backref_chain(to: &impl Handle, predicate: impl Fn(Node<'_>) -> bool) -> Chain {
    let (graph, node) = snapshot_for(to);
    let chain = |node| graph.backref_chain(graph.node(node), MAX_CHAIN_DEPTH, predicate);
    node.map(chain).unwrap_or_default()
}

impl ObjectGraph {
    /// As [`find_ref_chain`], to any depth.
    ///
    /// Costs at most a look at every link.
    ///
    /// ```
    /// use cyclegc::{Gc, objgraph};
    ///
    /// let list = Gc::new(vec![Gc::new('x')]);
    /// let graph = objgraph::snapshot();
    /// let start = graph.find(&list).unwrap();
    /// assert_eq!(graph.ref_chain(start, 9, |node| node.type_name() == "char").steps.len(), 2);
    /// assert_eq!(graph.ref_chain(start, 9, |_| false).steps.len(), 1);
    /// ```
    #[must_use]
    pub fn ref_chain(
        &self,
        from: Node<'_>,
        max_depth: usize,
        predicate: impl Fn(Node<'_>) -> bool,
    ) -> Chain {
        let Some(ways) = self.search(from, Toward::Refs, max_depth, predicate) else {
            return Chain::new(from);
        };
        let mut chain = Chain::empty(self);
        for link in ways.iter().rev() {
            chain.push(link.source(), Some(*link));
        }
        let last = ways
            .first()
            .map_or(from.index(), |link| link.target().index());
        chain.push(self.node(last), None);
        chain
    }

    /// As [`find_backref_chain`], to any depth.
    ///
    /// Costs at most a look at every link.
    ///
    /// ```
    /// use cyclegc::{Gc, objgraph};
    ///
    /// let list = Gc::new(vec![Gc::new('x')]);
    /// let graph = objgraph::snapshot();
    /// let end = graph.find(&list[0]).unwrap();
    /// assert_eq!(graph.backref_chain(end, 9, |node| node.is_root()).steps.len(), 2);
    /// ```
    #[must_use]
    pub fn backref_chain(
        &self,
        to: Node<'_>,
        max_depth: usize,
        predicate: impl Fn(Node<'_>) -> bool,
    ) -> Chain {
        let Some(ways) = self.search(to, Toward::Backrefs, max_depth, predicate) else {
            return Chain::new(to);
        };
        let mut chain = Chain::empty(self);
        for link in &ways {
            chain.push(link.source(), Some(*link));
        }
        chain.push(self.node(to.index()), None);
        chain
    }

    /// Breadth first from `start` to what suits; the links on the way, last first.
    pub(super) fn search(
        &self,
        start: Node<'_>,
        toward: Toward,
        max_depth: usize,
        predicate: impl Fn(Node<'_>) -> bool,
    ) -> Option<Vec<Link<'_>>> {
        // Source and number of the link by which each was reached.
        let mut came_by = vec![UNREACHED; self.len()];
        let mut queue = VecDeque::from([(start.index(), 0)]);
        while let Some((index, depth)) = queue.pop_front() {
            if predicate(self.node(index)) {
                return Some(self.way_back(start.index(), index, toward, &came_by));
            }
            if depth == max_depth {
                continue;
            }
            for (next, link) in self.neighbours(index, toward) {
                let is_new = next != start.index() && came_by[next] == UNREACHED;
                if is_new && !link.is_weak() {
                    came_by[next] = link.numbers();
                    queue.push_back((next, depth + 1));
                }
            }
        }
        None
    }

    fn way_back(
        &self,
        start: usize,
        end: usize,
        toward: Toward,
        came_by: &[(u32, u32)],
    ) -> Vec<Link<'_>> {
        let mut way = Vec::new();
        let mut here = end;
        while here != start {
            let (source, link) = came_by[here];
            let link = self.link(source as usize, link as usize);
            way.push(link);
            here = match toward {
                Toward::Refs => link.source().index(),
                Toward::Backrefs => link.target().index(),
            };
        }
        way
    }

    /// The objects that links lead to, or come from.
    pub(super) fn neighbours(
        &self,
        node: usize,
        toward: Toward,
    ) -> impl Iterator<Item = (usize, Link<'_>)> {
        let node = self.node(node);
        let refs = (toward == Toward::Refs).then(|| node.links());
        let backrefs = (toward == Toward::Backrefs).then(|| node.referrers());
        let refs = refs
            .into_iter()
            .flatten()
            .map(|link| (link.target().index(), link));
        let backrefs = backrefs.into_iter().flatten();
        refs.chain(backrefs.map(|link| (link.source().index(), link)))
    }
}
